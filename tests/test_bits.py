"""The same slice has the same bits wherever it lies, whoever its neighbours, by any threads."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import processes
import pytest
from arrays import DTYPES, LAYOUTS, Layout, logits, read_only
from family import FAMILY, Function
from reference import slices_of

import fastsoftmax

Array = np.ndarray[Any, Any]

# One lane, more lanes, ends of vectors, of blocks, and slices that are split.
LENGTHS = [1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000]
BLOCKS = [2047, 2048, 2049, 4095, 4096, 4097, 8192, 10_007, 140_000]


def apart(function: Function, slices: Array) -> list[bytes]:
    """The bits of each slice by itself, contiguous, on one thread."""
    return [function.call(each.copy(), 0, workers=1).tobytes() for each in slices]


def bits(result: Array, dim: Any) -> list[bytes]:
    return [each.tobytes() for each in slices_of(result, dim)]


def slices_for(length: int, dtype: Any) -> Array:
    """Slices of several sizes: some have a large offset, some results that vanish."""
    count = 38 if length < 1000 else 6
    offsets = np.resize([0.0, 50.0, -3e4, 1e6, -1e30], count)[:, np.newaxis]
    return read_only(logits((count, length), dtype, 12.0) + offsets.astype(dtype))


@pytest.mark.parametrize("length", [*LENGTHS, *BLOCKS])
def test_layout_and_threads(function: Function, dtype: Any, layout: Layout, length: int) -> None:
    x = layout.of(slices_for(length, dtype))
    wanted = apart(function, slices_of(x, layout.dim))
    for workers in (1, 2, None):
        assert bits(function.call(x, layout.dim, workers=workers), layout.dim) == wanted


@pytest.mark.parametrize("length", [3, 64, 65, 1000, 4097, 10_007])
def test_the_way_to_out(function: Function, dtype: Any, layout: Layout, length: int) -> None:
    slices = slices_for(length, dtype)
    x, dim = layout.of(slices), layout.dim
    wanted = apart(function, slices_of(x, dim))
    for other in LAYOUTS:  # out as any array of that shape
        if other.place(slices).shape == x.shape and "repeated" not in other.name:
            out = other.place(np.zeros_like(slices))
            assert bits(function.call(x, dim, out=out), dim) == wanted, other.name
    if "repeated" not in layout.name:
        own = layout.place(slices)
        if own is slices or np.may_share_memory(own, slices):
            own = own.copy(order="K")
        for workers in (1, None):
            own[...] = x
            assert bits(function.call(own, dim, out=own, workers=workers), dim) == wanted
    memory = np.zeros(x.size + 5, dtype)
    own, out = memory[5:].reshape(x.shape), memory[:-5].reshape(x.shape)
    own[...] = x
    assert bits(function.call(own, dim, out=out), dim) == wanted


@pytest.mark.parametrize("length", [2, 10, 64, 65, 1000, 4097])
def test_position_and_batch(function: Function, dtype: Any, layout: Layout, length: int) -> None:
    """One slice among others, anywhere in batches of many sizes."""
    if layout.dim is None or "repeated" in layout.name:
        return
    one = logits(length, dtype, 5.0)
    wanted = function.call(one.copy(), 0, workers=1).tobytes()
    for batch in (1, 2, 7, 31, 33, 70):
        for place in {0, batch // 2, batch - 1}:
            slices = logits((batch, length), dtype, 20.0).copy()
            slices[place] = one
            result = slices_of(function.call(layout.of(slices), layout.dim), layout.dim)
            assert result[place].tobytes() == wanted, (batch, place)


def test_large_batches_on_all_threads(function: Function, dtype: Any) -> None:
    """Enough work for every thread, and for results that go past the caches."""
    for shape in [(400_000, 10), (60_000, 64), (30_000, 65), (600, 5000), (3, 1_000_000)]:
        slices = read_only(np.resize(logits((997, 1009), dtype, 9.0), shape))
        wanted = function.call(slices, 1, workers=1).tobytes()
        across = np.ascontiguousarray(slices.T)
        for workers in (2, None):
            assert function.call(slices, 1, workers=workers).tobytes() == wanted, shape
            result = function.call(across, 0, workers=workers)
            assert np.ascontiguousarray(result.T).tobytes() == wanted, shape


@pytest.mark.parametrize("offset", range(1, 17))
def test_any_address(function: Function, dtype: Any, offset: int) -> None:
    """Inputs and results that begin anywhere on a cache line."""
    for shape in [(20, 30), (20, 100), (2, 5000), (7000, 200)]:
        slices = np.resize(logits((503, 1009), dtype, 9.0), shape)
        memory = np.zeros(2 * slices.size + 64, dtype)
        x = memory[offset : offset + slices.size].reshape(shape)
        out = memory[-slices.size - offset : -offset].reshape(shape)
        x[...] = slices
        wanted = function.call(slices, 1, workers=1)
        assert function.call(x, 1, out=out).tobytes() == wanted.tobytes()
        across = memory[offset : offset + slices.size].reshape(shape[::-1])
        across[...] = slices.T
        out = memory[-slices.size - offset : -offset].reshape(shape[::-1])
        assert np.array_equal(function.call(across, 0, out=out).T, wanted)


def test_joint_dims_are_one_slice_in_their_order(function: Function, dtype: Any) -> None:
    x = logits((6, 70, 5, 40), dtype, 8.0)
    for dim in [(0, 1), (1, 3), (0, 2), (0, 3), (1, 2, 3), (0, 1, 2, 3), None]:
        wanted = apart(function, slices_of(x, dim))
        for axes in [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)]:
            stored = np.ascontiguousarray(x.transpose(axes)).transpose(np.argsort(axes))
            assert bits(function.call(stored, dim), dim) == wanted


def test_the_matrix_reaches_every_kernel() -> None:
    """Or else the tests above say less than they seem to."""
    reached = set()
    for layout in LAYOUTS:
        for length in (*LENGTHS, *BLOCKS):
            x = layout.of(slices_for(length, DTYPES[0]))
            found = fastsoftmax.explain(x, layout.dim)
            reached.add((found.kernel, found.tile is not None))
    wanted = {(name, False) for name in ("classes", "narrow", "rows", "split")}
    assert reached >= {*wanted, ("columns", True), ("split", True)}


# --- Vector widths --------------------------------------------------------------------

DIGESTS = """
    import test_bits

    test_bits.print_digests()
"""


def print_digests() -> None:
    """A digest for each function, dtype, and length, over all layouts, on one thread."""
    digests = {}
    for function in FAMILY:
        for dtype in DTYPES:
            for length in (*LENGTHS, *BLOCKS[:-1]):
                digest = hashlib.sha256()
                for layout in LAYOUTS:
                    x = layout.of(slices_for(length, dtype))
                    digest.update(function.call(x, layout.dim, workers=1).tobytes())
                digests[f"{function.name} {dtype} {length}"] = digest.hexdigest()
    print(json.dumps(digests))


def test_vector_widths_agree() -> None:
    widths = "4", "8", "16"
    started = [processes.start(DIGESTS, FASTSOFTMAX_VECTOR_WIDTH=width) for width in widths]
    first, *others = map(json.loads, processes.finish_all(started))
    assert len(first) == len(FAMILY) * len(DTYPES) * (len(LENGTHS) + len(BLOCKS) - 1)
    for other in others:
        assert other == first


@pytest.mark.parametrize("width", ["", "5", "32", "eight", "8.0"])
def test_other_vector_widths_are_refused_by_name(width: str) -> None:
    said = processes.run(
        """
        import fastsoftmax
        try:
            fastsoftmax.softmax([1.0], 0)
        except ValueError as error:
            print(error)
        """,
        FASTSOFTMAX_VECTOR_WIDTH=width,
    )
    for word in ("FASTSOFTMAX_VECTOR_WIDTH", repr(width), "4, 8, 16"):
        assert word in said
