"""The dtype, memory and exactness of results, by the dtype and shape of the input."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import scipy.special
from arrays import Layout, logits, read_only
from family import SOFTMAX, Function
from ulps import assert_accurate

Array = np.ndarray[Any, Any]

RESULTS = {
    **dict.fromkeys(["?", "i1", "u1", "i2", "u2"], "f4"),
    **dict.fromkeys(["i4", "u4", "i8", "u8"], "f8"),
    **{same: same for same in ("f4", "f8", "g", "F", "D", "G")},
}


@pytest.mark.parametrize("order", ["=", ">"])
@pytest.mark.parametrize("given", RESULTS)
def test_the_input_decides_the_dtype_of_the_result(
    function: Function, given: str, order: Any
) -> None:
    x = read_only(np.arange(6).reshape(2, 3).astype(np.dtype(given).newbyteorder(order)))
    result = function.call(x, 1)
    assert result.dtype == RESULTS[given]
    assert result.dtype.isnative
    assert result.shape == (2, 3)
    assert type(result) is np.ndarray


# --- Integers -------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_integers_are_right_at_their_extremes(
    function: Function, given: str, layout: Layout
) -> None:
    info = np.iinfo(given)
    low, high = int(info.min), int(info.max)
    numbers = [low, low + 1, low + 40, 0, 1, 5, 39, high - 700, high - 40, high - 1, high]
    numbers = [each for each in numbers if each >= low]
    for length in (2, 12, 70, 5000):
        chosen = np.random.default_rng(length).choice(len(numbers), (8, length))
        x = layout.of(np.array(numbers, given)[chosen])
        result = function.call(x, layout.dim)
        assert_accurate(result, function.exact(x, layout.dim), length)


@pytest.mark.parametrize(
    ("given", "top"),
    [
        ("i8", 2**63 - 1),
        ("u8", 2**64 - 1),
        ("i8", 2**53 + 2),
        ("i8", 2**53 + 1),
        ("i8", -(2**53) + 8),
        ("i8", -(2**53)),
        ("i8", -(2**63) + 9),
    ],
)
def test_neighbours_of_a_huge_integer_are_told_apart(given: str, top: int) -> None:
    """Float64 holds none of these differences; the contract has them exact."""
    x = np.array([top, top - 1, top - 2, top - 9], given)
    shifted = np.array([0.0, -1.0, -2.0, -9.0])
    assert np.array_equal(SOFTMAX.call(x, 0), SOFTMAX.call(shifted, 0))
    matrix = np.stack([x, x[::-1], np.zeros_like(x)])
    results = SOFTMAX.call(matrix, 1)
    assert np.array_equal(results[:2], [SOFTMAX.call(shifted, 0), SOFTMAX.call(shifted[::-1], 0)])
    assert results[2].tolist() == [0.25] * 4


def test_small_integers_do_not_wrap_round() -> None:
    """NumPy, SciPy and JAX give [nan, 0] where 3 - 5 is 254."""
    assert_accurate(SOFTMAX.call(np.array([3, 5], np.uint8), 0), SOFTMAX.exact([3, 5], 0))
    assert SOFTMAX.call(np.array([-128, 127], np.int8), 0).tolist() == [0, 1]


def test_bools_are_0_and_1() -> None:
    x = np.array([True, False, True])
    assert np.array_equal(SOFTMAX.call(x, 0), SOFTMAX.call(x.astype(np.float32), 0))


# --- What has no kernel ---------------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1, -1, (0, 2), None])
@pytest.mark.parametrize("scale", [1.0, 30.0, 3000.0])
def test_longdouble_keeps_its_precision(dim: Any, scale: float) -> None:
    x = np.random.default_rng(8).normal(0, scale, (3, 4, 5)).astype(np.longdouble)
    result = SOFTMAX.call(read_only(x), dim)
    assert result.dtype == np.longdouble
    exact = SOFTMAX.exact(x, dim)
    # The plain route subtracts the maximum, which rounds: some units for each factor of 2.
    bound = 16 * np.finfo(np.longdouble).eps * max(1, scale)
    assert (np.abs(result - exact) <= bound * exact).all()


@pytest.mark.parametrize("dim", [0, 1, -1, (0, 2), None])
@pytest.mark.parametrize("given", ["F", "D", "G"])
def test_complex_is_as_in_scipy(dim: Any, given: str) -> None:
    rng = np.random.default_rng(9)
    x = (rng.normal(0, 3, (3, 4, 5)) + 1j * rng.normal(0, 3, (3, 4, 5))).astype(given)
    result = SOFTMAX.call(read_only(x), dim)
    assert result.dtype == x.dtype
    wanted = np.exp(x.astype("G")) / np.exp(x.astype("G")).sum(axis=dim, keepdims=True)
    eps = np.finfo(x.dtype).eps
    assert np.abs(result - wanted).max() <= 64 * eps * np.abs(wanted).max()
    scipys = scipy.special.softmax(x, axis=dim)
    assert np.abs(result - scipys).max() <= 64 * eps * np.abs(wanted).max()


def test_large_real_parts_of_complex_numbers_do_not_overflow() -> None:
    result = SOFTMAX.call([1e4 + 1j, 1e4 + 1j, -1e4], 0)
    assert np.allclose(result, [0.5, 0.5, 0], rtol=1e-15, atol=0)


@pytest.mark.parametrize("given", ["g", "D"])
def test_the_plain_route_takes_out_and_dtype_too(given: str) -> None:
    x = np.array([[1.0, 2.0, 3.0]], given)
    out = np.zeros((3, 1), given).T
    assert SOFTMAX.call(x, 1, out=out) is out
    assert np.array_equal(out, SOFTMAX.call(x, 1))
    own = x.copy()
    assert np.array_equal(SOFTMAX.call(own, 1, out=own), out)
    assert SOFTMAX.call([1.0, 2.0], 0, dtype="g").dtype == np.longdouble
    assert SOFTMAX.call([1j, 2.0], 0, dtype="F").dtype == np.complex64


# --- Memory ---------------------------------------------------------------------------


def order_of(x: Array) -> list[int]:
    """The strides of an array, in elements, where they count."""
    axes = zip(x.shape, x.strides, strict=True)
    return [stride // x.itemsize for size, stride in axes if size > 1]


def test_a_fresh_result_has_the_memory_order_that_ufuncs_give(
    function: Function, dtype: Any, layout: Layout
) -> None:
    for shape in [(4, 6), (24, 70_000)]:  # NumPy's memory, and ours
        x = layout.of(np.zeros(shape, dtype))
        assert order_of(function.call(x, layout.dim)) == order_of(np.positive(x))


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 0, 3, 1), (1, 0, 3, 2)])
@pytest.mark.parametrize("given", ["f4", "i4", "g", ">f8"])
def test_the_memory_order_of_many_dims_is_kept(
    function: Function, given: str, axes: tuple[int, ...]
) -> None:
    x = read_only(np.zeros((3, 4, 5, 6), given).transpose(axes))
    for view in (x, x[:, ::-1], x[..., :1], x[::2]):
        assert order_of(function.call(view, 1)) == order_of(np.positive(view))


@pytest.mark.parametrize("shape", [(3,), (40, 30), (700, 1000), (1000, 2000)])
def test_a_result_is_memory_of_its_own(function: Function, dtype: Any, shape: Any) -> None:
    x = logits(shape, dtype)
    result = function.call(x, -1)
    kept = result.copy()
    assert result.flags.writeable
    assert result.flags.aligned
    assert not np.may_share_memory(result, x)
    other = function.call(x, 0)
    assert not np.may_share_memory(result, other)
    other[...] = 0
    assert np.array_equal(result, kept)


def test_memory_is_not_used_again_while_anything_refers_to_it(function: Function) -> None:
    x = logits((900, 1000), np.float32)
    views = []
    for _ in range(5):
        result = function.call(x, 1)
        views += [result[3:5], result.T[::-1], memoryview(result), result.reshape(-1)[7:]]
    del result
    gc.collect()
    wanted = function.call(x, 1)
    again = [function.call(x * 0, 1) for _ in range(8)]
    for row, turned, view, flat in zip(*[iter(views)] * 4, strict=True):
        assert np.array_equal(row, wanted[3:5])
        assert np.array_equal(turned, wanted.T[::-1])
        assert np.array_equal(np.asarray(view), wanted)
        assert np.array_equal(flat, wanted.reshape(-1)[7:])
    assert all((each == each[0, 0]).all() for each in again)


def test_results_are_right_in_memory_that_was_used_before(function: Function, dtype: Any) -> None:
    for shape in [(600, 1000), (1000, 600), (590, 1010), (700, 1000)]:
        for order in ("C", "F"):
            x = read_only(np.asarray(logits(shape, dtype, 3.0), order=order))
            result = function.call(x, 1)
            assert_accurate(result, function.exact(x, 1), (shape, order))
            result.fill(np.nan)


# --- Shapes ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4), (0, 0)])
@pytest.mark.parametrize("given", ["f4", "f8", "i1", "i8", "u8", "?", "g", "D", ">f4"])
def test_an_empty_input_gives_an_empty_result(function: Function, shape: Any, given: str) -> None:
    for dim in [*range(-len(shape), len(shape)), tuple(range(len(shape))), None]:
        result = function.call(read_only(np.zeros(shape, given)), dim)
        assert result.shape == shape
        assert result.dtype == RESULTS[given.strip(">")]


def test_an_empty_result_has_the_dtype_asked_for(function: Function) -> None:
    assert function.call([], 0).dtype == np.float64
    assert function.call(np.zeros((0, 3), np.int8), 0, np.float64).dtype == np.float64


def test_a_slice_of_one_element_is_1(function: Function, dtype: Any, layout: Layout) -> None:
    x = layout.of(logits((3000, 1), dtype, 50.0))
    if layout.dim is not None:
        assert (function.call(x, layout.dim) == 1).all()
    numbers = [0.0, 1.0, -1.0, 88.0, 1e-45, 1e30, -1e30, 3e38, *logits(200, dtype, 10.0)]
    for each in np.array(numbers, dtype):
        for shape in ((), (1,), (1, 1, 1)):
            assert function.call(np.full(shape, each), None) == 1


@pytest.mark.parametrize("shape", [(1, 7, 1), (1, 1, 7), (7, 1, 1), (1,) * 20 + (7,), (2,) * 16])
def test_dims_of_size_1_and_many_dims_are_no_matter(
    function: Function, dtype: Any, shape: tuple[int, ...]
) -> None:
    x = logits(shape, dtype, 3.0)
    for dim in (0, -1, len(shape) // 2, (0, -1), None):
        assert_accurate(function.call(x, dim), function.exact(x, dim), dim)


@pytest.mark.parametrize(
    ("dim", "last"), [(62, 0), (63, 1), (-1, 1), ((0, 63), 1), (None, None), (0, ())]
)
def test_the_most_dims_that_numpy_has(function: Function, dim: Any, last: Any) -> None:
    x = logits((1,) * 62 + (3, 2), np.float64)
    result = function.call(x, dim)
    exact = function.exact(x.reshape(3, 2), last) if last != () else np.ones((3, 2), "g")
    assert_accurate(result.reshape(3, 2), exact)
