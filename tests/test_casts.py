"""Casts: the input is cast first, on whatever way it comes to the arithmetic.

Large arrays are cast as they are read, small ones beforehand; results are those of the array
that NumPy has cast, bit for bit, and within the gates of the extended-precision oracle.
"""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from arrays import LAYOUTS, logits, read_only
from reference import softmax as exact_softmax
from relatives import BY_NAME, OF_LOGITS, name_of
from ulps import assert_accurate

import fastsoftmax
from fastsoftmax import _casts, explain, softmax

if TYPE_CHECKING:
    from arrays import Layout
    from relatives import Relative

Array = np.ndarray[Any, Any]

F4, F8 = np.dtype(np.float32), np.dtype(np.float64)
HALF, BFLOAT = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
PAIRS = [
    (BFLOAT, F4),
    (F8, F4),
    (F4, F8),
    (HALF, F8),
    (BFLOAT, F8),
    *((np.dtype(code), F4) for code in ("?", "i1", "u1", "i2", "u2")),
    *((np.dtype(code), F8) for code in ("i4", "u4", "i8", "u8")),
    (np.dtype("i8"), F4),
    (np.dtype("u1"), F8),
]
# Slices of every layout of kernels: few classes, one block, several, more than are kept.
SIZES = [(1700, 10), (300, 64), (253, 65), (100, 200), (17, 1000), (5, 4097), (3, 9001)]


def cast_logits(shape: Any, given: np.dtype[Any], scale: float = 5.0) -> Array:
    """Normally distributed numbers in any dtype."""
    x = logits(shape, np.float64, scale)
    if given.kind in "ub":
        x = np.abs(x)
    return read_only(x.astype(given))


def assert_cast_first(
    relative: Relative, x: Array, dim: Any, dtype: np.dtype[Any], **options: Any
) -> None:
    """The result is that of the array which NumPy has cast."""
    result = relative.call(x, dim=dim, dtype=dtype, **options)
    wanted = relative.call(x.astype(dtype), dim=dim, **options)
    assert result.dtype == dtype
    assert np.array_equal(result, wanted, equal_nan=True)


# --- Which arrays are cast when they are read -----------------------------------------


@pytest.mark.parametrize("size", [_casts.LEAST_CAST - 2, _casts.LEAST_CAST])
@pytest.mark.parametrize(("given", "wanted"), [(HALF, F4), (F4, F8), (np.dtype("u1"), F4)])
def test_large_arrays_are_not_copied(given: Any, wanted: Any, size: int) -> None:
    x = cast_logits((size // 2, 2), given)
    copies = () if size >= _casts.LEAST_CAST else (f"input as {wanted}",)
    assert explain(x, 1, dtype=wanted).copies == copies
    assert explain(x, 1, dtype=wanted, function="logsumexp").copies == copies


def test_what_kernels_cannot_cast_is_cast_beforehand() -> None:
    x = cast_logits((200, 100), F4)
    assert explain(x.astype(np.int16), 1).copies == ("input as float32",)
    assert explain(x.astype(">f4"), 1, dtype=F8).copies == ("input as float64",)
    assert explain(x, 1, dtype=HALF).copies == ("input as float16",)
    memory = np.empty(x.nbytes + 1, np.uint8)[1:].view(F4).reshape(x.shape)
    assert explain(memory, 1, dtype=F8).copies == ("input as float64",)


# --- The same bits --------------------------------------------------------------------


@pytest.mark.parametrize(("count", "length"), SIZES)
@pytest.mark.parametrize("layout", LAYOUTS, ids=name_of)
def test_halves_are_cast_to_float32_in_every_layout(
    layout: Layout, count: int, length: int
) -> None:
    x = layout.of(cast_logits((count, length), HALF))
    result = softmax(x, layout.dim, np.float32)
    assert np.array_equal(result, softmax(x.astype(F4), layout.dim))
    assert_accurate(result, exact_softmax(x, layout.dim))


@pytest.mark.parametrize(("given", "wanted"), PAIRS, ids=str)
@pytest.mark.parametrize(("count", "length"), [(1700, 10), (100, 200), (3, 9001)])
@pytest.mark.parametrize("name", ["rows", "dim 0", "every other element", "backwards"])
def test_any_dtype_is_cast_to_any_other(
    given: Any, wanted: Any, name: str, count: int, length: int
) -> None:
    layout = BY_NAME[name]
    x = layout.of(cast_logits((count, length), given))
    result = softmax(x, layout.dim, wanted)
    assert result.dtype == wanted
    assert np.array_equal(result, softmax(x.astype(wanted), layout.dim))
    assert_accurate(result, exact_softmax(x.astype(wanted), layout.dim))


@pytest.mark.parametrize("relative", OF_LOGITS, ids=name_of)
@pytest.mark.parametrize("name", ["rows", "dim 0", "whole array"])
@pytest.mark.parametrize(("count", "length"), [(1700, 10), (100, 200)])
def test_every_function_casts_first(relative: Relative, name: str, count: int, length: int) -> None:
    layout = BY_NAME[name]
    x = layout.of(cast_logits((count, length), HALF))
    assert_cast_first(relative, x, layout.dim, F4)
    where = np.random.default_rng(3).random(x.shape) < 0.7
    assert_cast_first(relative, x, layout.dim, F4, where=where)
    if relative.tempered:
        assert_cast_first(relative, x, layout.dim, F4, temperature=0.7)


def test_losses_and_leaders_cast_first() -> None:
    x = cast_logits((200, 300), np.dtype("i4"))
    classes = np.arange(200)
    loss = fastsoftmax.cross_entropy(x, classes)
    assert loss == fastsoftmax.cross_entropy(x.astype(F8), classes)
    for found, wanted in zip(
        fastsoftmax.top_k(x, 7, 1), fastsoftmax.top_k(x.astype(F8), 7, 1), strict=True
    ):
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("count", "length", "dim"), [(600, 1000, 1), (1000, 600, 0), (1, 600000, 1)]
)
def test_threads_make_no_difference(workers: int, count: int, length: int, dim: int) -> None:
    x = cast_logits((count, length), HALF)
    wanted = softmax(x.astype(F4), dim, workers=1)
    for _ in range(3):  # every other launch begins at the end
        assert np.array_equal(softmax(x, dim, F4, workers=workers), wanted)


# --- Values ---------------------------------------------------------------------------


def test_what_overflows_is_infinite_and_nobody_is_warned() -> None:
    x = np.array(logits((200, 100), F8, 5.0))
    x[3, 4], x[5, 6], x[7, 8] = 1e300, -1e300, np.nan
    result = softmax(x, 1, F4)
    assert np.isnan(result[[3, 7]]).all()
    assert result[5, 6] == 0
    others = np.delete(np.arange(200), [3, 7])
    with np.errstate(over="ignore"):  # of NumPy's cast
        cast = x[others].astype(F4)
    assert np.array_equal(result[others], softmax(cast, 1))


def test_the_input_is_rounded_first() -> None:
    x = np.full((130, 130), 16777217.0)
    x[:, 0] = 16777216.0
    result = softmax(x, 1, F4)
    assert (result == result[0, 0]).all()
    assert (softmax(x, 1)[:, 0] < result[0, 0] / 2).all()


@pytest.mark.parametrize("wide", [np.int64, np.uint64])
@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
def test_differences_of_wide_integers_are_exact_by_turns(name: str, wide: Any) -> None:
    function = getattr(fastsoftmax, name)
    x = np.random.default_rng(1).integers(0, 9, (130, 130)).astype(wide)
    far = x + wide(1 << 62)
    for each in (x, far, far, x, x, far):
        result = function(read_only(each), 1)
        if name == "log_softmax":
            assert_accurate(result, np.log(exact_softmax(x, 1)))
        else:
            sign = -1 if name == "softmin" else 1
            assert_accurate(result, exact_softmax(sign * x.astype(F8), 1))


@pytest.mark.parametrize(("given", "wanted"), [("?", None), ("f8", F4), ("i8", F4), (HALF, F8)])
@pytest.mark.parametrize("function", [fastsoftmax.softmax, fastsoftmax.softmin])
def test_slices_of_one_element(function: Any, given: Any, wanted: Any) -> None:
    x = np.ones((_casts.LEAST_CAST, 1), given)
    infinite = given == "f8"
    if infinite:
        x[1] = 1e300  # in float32
    for _ in range(3):
        result = function(read_only(x), 1, wanted)
        assert np.isnan(result[1]).all() == infinite
        assert (np.delete(result, 1, 0) == 1).all()


@pytest.mark.parametrize("given", ["i8", "u8", "i4", "f8"])
@pytest.mark.parametrize("wanted", [F4, HALF])
@pytest.mark.parametrize("count", [1, 9000])
def test_unusual_temperatures_make_no_difference_to_the_cast(
    given: str, wanted: Any, count: int
) -> None:
    largest = 2**24 if wanted == F4 else 2**11
    x = np.full((count, 3), [largest + 1, largest, 0], given)
    for temperature in (1e-30, np.where(np.arange(count) == 0, 1e-30, 1.0)[:, np.newaxis]):
        result = softmax(x, 1, wanted, temperature=temperature)
        assert np.array_equal(result, softmax(x.astype(wanted), 1, temperature=temperature))
        assert (result[:, 0] == result[:, 1]).all()


def test_a_wider_out_holds_rounded_results_at_any_temperature() -> None:
    x = cast_logits((200, 100), F4)
    for temperature in (0.7, 1e-25, 1e25):
        out = np.empty(x.shape)
        fastsoftmax.log_softmax(x, 1, temperature=temperature, out=out)
        assert np.array_equal(out, fastsoftmax.log_softmax(x, 1, temperature=temperature))


def test_losses_of_wide_integers_are_exact_by_turns() -> None:
    x = np.random.default_rng(1).integers(0, 9, (130, 130))
    far, classes = x + (1 << 62), np.arange(130)
    wanted = fastsoftmax.cross_entropy(x.astype(F8), classes)
    for each in (x, far, far, x, x, far, x):
        assert np.isclose(fastsoftmax.cross_entropy(each, classes), wanted, rtol=1e-15)
        share, _ = fastsoftmax.top_k(each, 3, 1)
        assert np.allclose(share, fastsoftmax.top_k(x.astype(F8), 3, 1)[0], rtol=1e-15)


# --- Memory ---------------------------------------------------------------------------


@pytest.mark.parametrize("given", [HALF, np.dtype("i8"), np.dtype("u1"), np.dtype("i2")], ids=str)
def test_nothing_is_copied_that_could_be_read(given: Any) -> None:
    """But for integers of 16 bits, and these once."""
    x, classes = np.ones((400, 1000), given), np.zeros(400, np.int64)
    dtype = F4 if given.itemsize < 8 else F8
    for call in (
        lambda: fastsoftmax.logsumexp(x, 1, dtype),
        lambda: fastsoftmax.cross_entropy(x, classes),
        lambda: fastsoftmax.top_k(x, 3, 1),
    ):
        for _ in range(3):
            call()
            tracemalloc.start()
            call()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            most = 1.1 * x.size * dtype.itemsize if given == np.int16 else 0.1 * x.nbytes
            assert peak < most + 50_000


def test_out_may_share_memory_with_what_is_cast() -> None:
    x = cast_logits((200, 100), HALF)
    wanted = softmax(x.astype(F4), 1)
    memory = np.zeros(x.size * 6, np.uint8)
    for begin in (0, 2 * x.size, 4 * x.size):
        given = memory[begin : begin + 2 * x.size].view(HALF).reshape(x.shape)
        given[...] = x
        out = memory[: 4 * x.size].view(F4).reshape(x.shape)
        assert softmax(given, 1, F4, out=out) is out
        assert np.array_equal(out, wanted)


def test_out_may_have_another_dtype_than_the_call() -> None:
    x = cast_logits((200, 100), HALF)
    for dtype, out_dtype in ((F4, F8), (F4, HALF), (F8, F4)):
        out = np.empty(x.shape, out_dtype)
        softmax(x, 1, dtype, out=out)
        assert np.array_equal(out, softmax(x.astype(dtype), 1).astype(out_dtype))
