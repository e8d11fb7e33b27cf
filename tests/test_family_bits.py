"""The same bits in every layout, on any threads, in place or not, for the whole family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import LAYOUTS, Layout, logits, read_only
from reference import slices_of
from relatives import BY_NAME, FEW_LAYOUTS, RELATIVES, Relative, name_of, slices_of_several_sizes

Array = np.ndarray[Any, Any]

OTHERS = RELATIVES[1:]
EACH = pytest.mark.parametrize("relative", OTHERS, ids=name_of)
OVER_LAYOUTS = pytest.mark.parametrize("layout", LAYOUTS, ids=name_of)


def bits(result: Array, dim: Any) -> list[bytes]:
    return [each.tobytes() for each in slices_of(result, dim)]


def apart(relative: Relative, inputs: tuple[Array, ...], dim: Any) -> list[bytes]:
    """The bits of each slice by itself, contiguous, on one thread."""
    slices = zip(*(slices_of(each, dim) for each in inputs), strict=True)
    return [relative.call(*(part.copy() for part in each), 0).tobytes() for each in slices]


@EACH
@OVER_LAYOUTS
def test_layouts(relative: Relative, layout: Layout, dtype: Any) -> None:
    for length in (1, 2, 3, 31, 33, 64, 65, 100, 1023):
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        result = relative.call(*inputs, layout.dim)
        assert bits(result, layout.dim) == apart(relative, inputs, layout.dim), length


@EACH
@pytest.mark.parametrize("name", ["rows", "dim 0", "every other element", "whole array"])
def test_long_slices(relative: Relative, name: str, dtype: Any) -> None:
    layout = BY_NAME[name]
    for length in (2049, 4097, 9000):
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        result = relative.call(*inputs, layout.dim)
        assert bits(result, layout.dim) == apart(relative, inputs, layout.dim), length


@EACH
@pytest.mark.parametrize(("shape", "dim"), [((150_000, 4), 1), ((4000, 100), 1)])
def test_threads(relative: Relative, shape: tuple[int, int], dim: int) -> None:
    """Enough work for several threads on the slowest threading layer."""
    rows = read_only(np.resize(logits((97, 1013), np.float32, 5.0), shape))
    inputs = relative.given(BY_NAME["rows"], rows)
    wanted = relative.call(*inputs, dim).tobytes()
    for workers in (2, None, 7):
        assert relative.call(*inputs, dim, workers=workers).tobytes() == wanted


@pytest.mark.parametrize("relative", RELATIVES[2:5], ids=name_of)
def test_threads_share_long_slices_and_columns(relative: Relative) -> None:
    long = relative.given(BY_NAME["rows"], logits((1, 1_000_000), np.float32, 3.0))
    columns = relative.given(BY_NAME["dim 0"], logits((1500, 700), np.float32, 3.0))
    for inputs, dim in ((long, 1), (columns, 0)):
        wanted = relative.call(*inputs, dim).tobytes()
        assert relative.call(*inputs, dim, workers=2).tobytes() == wanted
        assert relative.call(*inputs, dim, workers=None).tobytes() == wanted


@EACH
@OVER_LAYOUTS
def test_out_in_any_layout(relative: Relative, layout: Layout) -> None:
    for length in (10, 100):
        slices = slices_of_several_sizes(length, np.dtype(np.float32))
        inputs = relative.given(layout, slices)
        wanted = relative.call(*inputs, layout.dim)
        for other in FEW_LAYOUTS:
            out = other.place(np.zeros(slices.shape, np.float32))
            if relative.reduces:
                out = out[:1] if other.dim == 0 else out[:, :1]
            if out.shape != wanted.shape:
                continue
            assert relative.call(*inputs, layout.dim, out=out) is out
            assert np.array_equal(out, wanted), other.name


@EACH
@pytest.mark.parametrize("shape", [(38, 10), (38, 100), (3, 9000)])
@pytest.mark.parametrize("dim", [0, 1])
def test_in_place_and_overlapping(
    relative: Relative, dtype: Any, shape: tuple[int, int], dim: int
) -> None:
    inputs = relative.given(BY_NAME["rows"], logits(shape, dtype, 4.0))
    wanted = relative.call(*inputs, dim)
    for which in range(relative.inputs):
        for distance in (0, 1, 16, 300):
            memory = np.zeros(2 * shape[0] * shape[1] + distance, dtype)
            own = memory[: inputs[0].size].reshape(shape)
            own[...] = inputs[which]
            given = [own if i == which else each for i, each in enumerate(inputs)]
            out = memory[distance : distance + wanted.size].reshape(wanted.shape)
            if distance == 0 and not relative.reduces:
                out = own
            assert relative.call(*given, dim, out=out) is out
            assert np.array_equal(out, wanted), (which, distance)


@pytest.mark.parametrize("relative", OTHERS[-2:], ids=name_of)
def test_inputs_of_different_strides(relative: Relative, dtype: Any) -> None:
    """The two inputs of a gradient, each in a layout of its own."""
    grad, output = relative.given(BY_NAME["rows"], logits((38, 40), dtype))
    wanted = relative.call(grad, output, 1)
    for turn in (np.asfortranarray, lambda x: np.repeat(x, 2, axis=1)[:, ::2], np.array):
        for other in (np.asfortranarray, lambda x: x[:, ::-1].copy()[:, ::-1]):
            assert np.array_equal(relative.call(turn(grad), other(output), 1), wanted)
            assert np.array_equal(relative.call(other(grad), turn(output), 1), wanted)


@EACH
def test_one_slice_anywhere_in_a_batch(relative: Relative, dtype: Any) -> None:
    for length in (3, 33, 100):
        one = [each[0] for each in relative.given(BY_NAME["rows"], logits((1, length), dtype, 5.0))]
        wanted = relative.call(*(each.copy() for each in one), 0).tobytes()
        for name in ("rows", "dim 0", "dim in the middle"):
            layout = BY_NAME[name]
            for batch in (1, 8, 33):
                for place in {0, batch // 2, batch - 1}:
                    rows = relative.given(BY_NAME["rows"], logits((batch, length), dtype, 20.0))
                    inputs = []
                    for each, own in zip(rows, one, strict=True):
                        changed = each.copy()
                        changed[place] = own
                        inputs.append(layout.of(changed))
                    got = slices_of(relative.call(*inputs, layout.dim), layout.dim)
                    assert got[place].tobytes() == wanted
