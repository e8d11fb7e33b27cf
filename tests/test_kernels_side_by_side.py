"""Kernels that compute several slices, rows or cells at once: each slice as by itself."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from arrays import logits
from halves import HALVES
from reference import slices_of
from relatives import RELATIVES, Relative, name_of

from fastsoftmax import explain, log_softmax, logsumexp, softmax

Array = np.ndarray[Any, Any]

EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
# More slices than lanes are no longer interleaved; a length of whole lanes, one more, one less.
COUNTS = [2, 7, 8, 15, 31, 33]
LENGTHS = [4096 + 32, 4097]


def assert_as_apart(relative: Relative, inputs: tuple[Array, ...], dim: int, **more: Any) -> None:
    """Each slice has the bits that it has as an array of its own."""
    result = relative.call(*inputs, dim, **more)
    slices = zip(*(slices_of(each, dim) for each in inputs), strict=True)
    for got, each in zip(slices_of(result, dim), slices, strict=True):
        alone = relative.call(*(part.copy() for part in each), 0)
        assert got.tobytes() == alone.tobytes()


# --- Interleaved ----------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("count", COUNTS)
def test_interleaved_slices(relative: Relative, dtype: Any, count: int) -> None:
    for length in LENGTHS:
        rows = relative.given_rows(logits((count, length), dtype, 5.0))
        inputs = tuple(np.ascontiguousarray(each.T) for each in rows)
        assert_as_apart(relative, inputs, 0)


@EACH
def test_interleaved_slices_in_a_batch_on_threads(relative: Relative, dtype: Any) -> None:
    rows = relative.given_rows(logits((4 * 7, 5000), dtype, 5.0))
    inputs = tuple(
        np.ascontiguousarray(np.moveaxis(each.reshape(4, 7, 5000), 1, 2)) for each in rows
    )
    assert_as_apart(relative, inputs, 1, workers=2)


@EACH
@pytest.mark.parametrize("half", HALVES, ids=name_of)
def test_interleaved_halves(relative: Relative, half: Any) -> None:
    rows = relative.given_rows(logits((5, 5000), np.float32, 3.0))
    inputs = tuple(np.ascontiguousarray(each.T).astype(half) for each in rows)
    assert_as_apart(relative, inputs, 0)


@pytest.mark.parametrize("relative", [each for each in RELATIVES if each.tempered], ids=name_of)
def test_interleaved_slices_with_a_temperature_each(relative: Relative, dtype: Any) -> None:
    rows = relative.given_rows(logits((6, 5000), dtype, 5.0))
    inputs = tuple(np.ascontiguousarray(each.T) for each in rows)
    temperature = np.linspace(0.2, 3.0, 6)
    result = relative.call(*inputs, 0, temperature=temperature)
    for i, degrees in enumerate(temperature):
        parts = [each[:, i].copy() for each in inputs]
        alone = relative.call(*parts, 0, temperature=np.array([degrees]))
        assert np.array_equal(result[:, i], alone)


@EACH
def test_large_and_missing_numbers_stay_in_their_slice(relative: Relative, dtype: Any) -> None:
    rows = [each.copy() for each in relative.given_rows(logits((8, 5000), dtype, 5.0))]
    logits_of = rows[-1]
    logits_of[1] *= 1e6 if dtype == np.float32 else 1e14
    logits_of[2, 4998] = np.nan
    logits_of[3, 17] = np.inf
    logits_of[4] = -np.inf
    logits_of[5, ::2] = -np.inf
    inputs = tuple(np.ascontiguousarray(each.T) for each in rows)
    result = relative.call(*inputs, 0)
    for got, *each in zip(slices_of(result, 0), *(slices_of(x, 0) for x in inputs), strict=True):
        alone = relative.call(*(part.copy() for part in each), 0)
        assert np.array_equal(got.ravel(), alone.ravel(), equal_nan=True)


# --- Cells, rows and groups in turn ------------------------------------------------------


def in_columns(relative: Relative, shape: tuple[int, int, int], dtype: Any) -> tuple[Any, ...]:
    """``(inputs, wanted)``: columns over dim 1, and their results by way of rows."""
    batch, length, width = shape
    rows = relative.given_rows(logits((batch * width, length), dtype, 4.0))
    turned = [np.moveaxis(each.reshape(batch, width, length), 2, 1) for each in rows]
    along = relative.call(*rows, 1).reshape(batch, width, -1)
    return tuple(np.ascontiguousarray(each) for each in turned), np.moveaxis(along, 2, 1)


@EACH
@pytest.mark.parametrize("width", [1, 31, 33, 96, 129, 700])
@pytest.mark.parametrize("length", [2, 21, 64, 65, 1000])
def test_columns_of_any_width(relative: Relative, dtype: Any, length: int, width: int) -> None:
    """Cells before, at and after the one in turn, whole and in part."""
    inputs, wanted = in_columns(relative, (3, length, width), dtype)
    for workers in (1, 2):
        assert np.array_equal(relative.call(*inputs, 1, workers=workers), wanted)
    if not relative.reduces:
        own = [each.copy() for each in inputs]
        assert np.array_equal(relative.call(*own, 1, out=own[-1]), wanted)


@EACH
@pytest.mark.usefixtures("_past_caches")
@pytest.mark.parametrize("width", [32, 64, 160, 500, 512, 528, 1040])
def test_columns_past_the_caches_wherever_lines_begin(
    relative: Relative, dtype: Any, width: int
) -> None:
    length = 1200 // (width // 32)
    inputs, wanted = in_columns(relative, (5, length, width), dtype)
    assert explain(inputs[0], 1).streaming
    for offset in (0, 1, 4, 16):
        memory = np.full(wanted.size + offset + 32, 7, dtype)
        begin = -memory.ctypes.data % 64 // memory.itemsize + offset
        out = memory[begin : begin + wanted.size].reshape(wanted.shape)
        for workers in (1, 2):
            if relative.reduces:
                assert np.array_equal(relative.call(*inputs, 1, workers=workers), wanted)
                continue
            out[...] = 0
            relative.call(*inputs, 1, out=out, workers=workers)
            assert np.array_equal(out, wanted)
        assert np.all(memory[:begin] == 7)
        assert np.all(memory[begin + wanted.size :] == 7)


@EACH
@pytest.mark.parametrize("length", [1000, 4097])
def test_columns_of_one_row_that_is_repeated(relative: Relative, dtype: Any, length: int) -> None:
    """Rows that are no distance apart."""
    inputs = [np.broadcast_to(logits((70,), dtype, 4.0), (length, 70)) for _ in "xg"]
    given = inputs[: relative.inputs]
    wanted = relative.call(*(np.ascontiguousarray(each.T) for each in given), 1)
    assert np.array_equal(relative.call(*given, 0).T, wanted)


@pytest.mark.parametrize("width", [1, 31, 33, 96, 129, 700])
@pytest.mark.parametrize("length", [2, 21, 64, 65, 1000])
def test_columns_of_any_width_that_are_summed(dtype: Any, length: int, width: int) -> None:
    x = logits((3, length, width), dtype, 4.0).copy()
    x[1, :, :: width // 3 + 1] *= 1e30 if dtype == np.float32 else 1e300
    wanted = logsumexp(np.moveaxis(x, 1, 2).copy(), 2, workers=1)
    for workers in (1, 2):
        assert np.array_equal(logsumexp(x, 1, workers=workers), wanted)
        assert np.array_equal(logsumexp(x[::-1], 1, workers=workers), wanted[::-1])


@pytest.mark.parametrize("count", [*range(1, 10), 16, 17])
@pytest.mark.parametrize("length", [65, 96, 97, 500, 2000, 4096, 4097, 4129, 4608, 5121, 8200])
def test_batches_of_rows(dtype: Any, count: int, length: int) -> None:
    x = logits((count, length), dtype, 4.0)
    wanted = np.stack([softmax(row, 0, workers=1) for row in x])
    assert np.array_equal(softmax(x, 1, workers=1), wanted)
    turned = np.asfortranarray(x[::-1])[::-1]  # gathered row by row
    assert np.array_equal(softmax(turned[:, ::-1][:, ::-1], 1, workers=1), wanted)


@pytest.mark.parametrize("offset", [0, 64, 200, 640, 1024, 2048, 3400, 3968])
@pytest.mark.parametrize("shape", [(20, 100), (13, 512), (9, 4096), (5, 9001)])
def test_rows_wherever_results_begin_in_a_page(dtype: Any, shape: Any, offset: int) -> None:
    """Results are written from the middle of rows on where loads would wait for them."""
    x = logits(shape, dtype, 4.0)
    memory = np.full(x.size + 3 * 8192 // x.itemsize, 7, dtype)
    # As far from the logits within a page.
    begin = (x.ctypes.data - memory.ctypes.data + offset) % 4096 // x.itemsize
    out = memory[begin : begin + x.size].reshape(shape)
    wanted = np.stack([softmax(row, 0, workers=1) for row in x])
    assert softmax(x, 1, out=out, workers=1).tobytes() == wanted.tobytes()
    assert np.all(memory[:begin] == 7)
    assert np.all(memory[begin + x.size :] == 7)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("length", [65, 96, 300, 4096, 4097, 5121, 8200])
def test_rows_of_halves(length: int, name: str) -> None:
    """Computed in float32 and rounded once, wherever lines and pages begin."""
    kind = np.dtype(getattr(ml_dtypes, name, name))
    x = logits((18, length), np.float32, 4.0).astype(kind)
    x[3, length // 2] = np.nan
    x[5, 0], x[5, -1] = 60000, 59968  # too large for the frames of kernels
    x[7] = -np.inf
    wanted = softmax(x.astype(np.float32), 1, workers=1).astype(kind)
    apart = np.asfortranarray(x[::-1])[::-1][:, ::-1][:, ::-1]  # gathered row by row
    assert softmax(apart, 1, workers=1).tobytes() == wanted.tobytes()
    for offset in (0, 1, 31, 100, 700):
        memory = np.full(x.size + 800, 7, kind)
        out = memory[offset : offset + x.size].reshape(x.shape)
        softmax(x, 1, out=out, workers=1)
        assert out.tobytes() == wanted.tobytes()
        assert np.all(memory[:offset] == 7)
        assert np.all(memory[offset + x.size :] == 7)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 127, 129, 200])
@pytest.mark.parametrize("length", [2, 3, 4, 8, 10, 16, 41, 64])
def test_groups_of_narrow_slices(dtype: Any, count: int, length: int) -> None:
    x = logits((2, count, length), dtype, 4.0)
    wanted = np.stack([[softmax(row, 0, workers=1) for row in part] for part in x])
    assert np.array_equal(softmax(x, 2, workers=1), wanted)
    assert np.array_equal(softmax(np.repeat(x, 2, axis=1)[:, ::2], 2, workers=1), wanted)


@pytest.mark.parametrize("function", [softmax, log_softmax])
@pytest.mark.parametrize("length", [*range(2, 41), 47, 50, 56, 60, 63, 64, 65])
def test_slices_one_after_the_other(dtype: Any, length: int, function: Any) -> None:
    """Turned into columns in registers, by shuffles that are made for each length."""
    for count in (1, 7, 31, 32, 33, 129, 300):
        x = logits((count, length), dtype, 4.0).copy()
        x[count // 2, length // 2] = np.nan
        x[-1, 0] = 1e30
        apart = np.zeros((count, length + 1), dtype)
        apart[:, :-1] = x
        wanted = function(apart[:, :-1], 1, workers=1)
        for workers in (1, 2):
            assert function(x, 1, workers=workers).tobytes() == wanted.tobytes()
        own = x.copy()
        assert function(own, 1, out=own).tobytes() == wanted.tobytes()


@pytest.mark.usefixtures("_past_caches")
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("length", [2, 3, 5, 10, 16, 32, 37, 63, 163, 5001])
def test_short_slices_past_the_caches_wherever_lines_begin(length: int, name: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, name, name))
    for count in (400_000 // length + extra for extra in (0, 1, 30)):
        x = np.resize(logits((1013, 991), np.float32, 4.0), (count, length)).astype(kind)
        assert explain(x, 1).streaming
        apart = np.zeros((count, length + 1), kind)
        apart[:, :-1] = x
        wanted = softmax(apart[:, :-1], 1)
        for offset in (0, 1, 7, 32):
            memory = np.full(x.size + offset + 40, 7, kind)
            out = memory[offset : offset + x.size].reshape(x.shape)
            for workers in (1, 2):
                out[...] = 0
                softmax(x, 1, out=out, workers=workers)
                assert out.tobytes() == wanted.tobytes()
            assert np.all(memory[:offset] == 7)
            assert np.all(memory[offset + x.size :] == 7)


@pytest.mark.usefixtures("_past_caches")
@pytest.mark.parametrize(
    ("shape", "dim", "step"),
    [
        ((100_000, 9), 0, 1),
        ((30_000, 36), 1, 1000),
        ((1100, 900), 1, 100),
        ((200, 5001), 1, 20),
        ((900, 1100), 0, 100),
    ],
)
def test_results_past_the_caches_wherever_lines_begin(shape: Any, dim: int, step: int) -> None:
    """The same bits as of parts that stay in the caches."""
    x = np.resize(logits((997, 1013), np.float32, 4.0), shape)
    assert explain(x, dim).streaming
    wanted = np.empty_like(x)
    for first in range(0, shape[1 - dim], step):
        part = (slice(first, first + step),) if dim == 1 else (..., slice(first, first + step))
        assert not explain(x[part], dim).streaming
        wanted[part] = softmax(x[part].copy(), dim, workers=1)
    for offset in (0, 1, 7):
        out = np.full(x.size + offset, 7, x.dtype)[offset:].reshape(shape)
        softmax(x, dim, out=out)
        assert np.array_equal(out, wanted)
