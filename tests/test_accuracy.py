"""The accuracy table of the contract, as hard numbers, over the matrix of inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from arrays import LAYOUTS, Layout, logits, read_only
from family import SOFTMAX, Function
from reference import EXTENDED, slices_of
from ulps import (
    MEAN_ULPS,
    SUM_ERROR,
    Errors,
    assert_accurate,
    error_of_sums,
    together,
)

import fastsoftmax

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

SCALES = [1.0, 10.0, 30.0]
SHORT = range(1, 131)
# Primes, ends of blocks and what is beside them, a vocabulary, a million.
LONG = [251, 509, 1021, 1023, 1024, 1025, 2047, 2048, 2049, 4093, 4095, 4096, 4097, 10007, 50257]
BY_NAME = {layout.name: layout for layout in LAYOUTS}


def assert_contract(function: Function, x: Array, dim: Any, what: object = "") -> Errors:
    """Hold one call against every gate but the mean's."""
    result = function.call(x, dim)
    assert result.dtype == x.dtype
    assert result.shape == x.shape
    assert error_of_sums(result, dim) <= SUM_ERROR[result.dtype], what
    return assert_accurate(result, function.exact(x, dim), what)


@pytest.fixture(params=SCALES, ids=lambda scale: f"N(0,{scale:.0f})")
def scale(request: pytest.FixtureRequest) -> float:
    """The standard deviation of the logits."""
    chosen: float = request.param
    return chosen


def lengths_for(layout: Layout, scale: float, lengths: Sequence[int]) -> Sequence[int]:
    """All lengths at every scale for the plainest layouts; in turn for the others."""
    if layout.name in {"rows", "dim 0"}:
        return lengths
    return lengths[SCALES.index(scale) :: len(SCALES)]


def test_short_slices(function: Function, dtype: Any, layout: Layout, scale: float) -> None:
    errors = []
    for length in lengths_for(layout, scale, SHORT):
        x = layout.of(logits((38, length), dtype, scale))
        errors.append(assert_contract(function, x, layout.dim, length))
    assert together(errors).mean <= MEAN_ULPS


def test_long_slices(function: Function, dtype: Any, layout: Layout, scale: float) -> None:
    errors = []
    # Where the elements of a slice are equal, so are their errors: a mean takes many slices.
    least = 50 if layout.name == "one column repeated" else 1
    for length in lengths_for(layout, scale, LONG):
        x = layout.of(logits((max(least, 12_000 // length), length), dtype, scale))
        errors.append(assert_contract(function, x, layout.dim, length))
    assert together(errors).mean <= MEAN_ULPS


@pytest.mark.parametrize("length", [3, 10, 64, 65, 200])
def test_any_number_of_slices(function: Function, dtype: Any, layout: Layout, length: int) -> None:
    for slices in [*range(1, 10), 15, 16, 17, 31, 32, 33, 34, 63, 64, 65, 127, 128, 129, 131]:
        x = layout.of(logits((slices, length), dtype, 10.0))
        assert_contract(function, x, layout.dim, slices)


@pytest.mark.parametrize(
    ("name", "scale"),
    [*(("rows", scale) for scale in SCALES), ("dim 0", 10.0), ("every other element", 10.0)],
)
def test_a_million_elements(function: Function, dtype: Any, name: str, scale: float) -> None:
    layout = BY_NAME[name]
    x = layout.of(logits((1, 1_000_000), dtype, scale))
    assert assert_contract(function, x, layout.dim).mean <= MEAN_ULPS


@pytest.mark.parametrize("name", ["rows", "dim 0"])
def test_ten_million_elements_sum_to_one(dtype: Any, name: str) -> None:
    slices = np.resize(logits((99_991,), dtype, 3.0), (1, 10_000_000))
    layout = BY_NAME[name]
    result = fastsoftmax.softmax(layout.of(slices), layout.dim)
    assert abs(math.fsum(result.reshape(-1)) - 1) <= SUM_ERROR[dtype]


def test_storages(function: Function, dtype: Any, storage: Any, scale: float) -> None:
    for name in ("rows", "dim 0"):
        for shape in [(38, 10), (38, 100), (3, 5000)]:
            layout = BY_NAME[name]
            x = read_only(storage(layout.of(logits(shape, dtype, scale))))
            result = function.call(x, layout.dim)
            assert result.dtype == dtype
            assert_accurate(result, function.exact(x, layout.dim), (name, shape))


# --- Values that are hard -------------------------------------------------------------

# From where x is exact to where neighbours are further apart than any difference counts;
# in between, the largest maximum that kernels take as it is.
OFFSETS = {
    "float32": [1e2, 1e4, 45_425.0, 45_427.0, 1e5, 1e6, 1e7, 1e8, 1e30, 3e38],
    "float64": [1e2, 1e4, 1e6, 7.6e11, 7.7e11, 1e13, 1e15, 1e16, 1e30, 1e300, 1.7e308],
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shape", [(60, 10), (40, 100), (2, 9000)])
def test_large_offsets(
    function: Function, dtype: Any, layout: Layout, shape: Any, sign: int
) -> None:
    for offset in OFFSETS[dtype.name]:
        for scale in (1.0, 10.0):
            x = layout.of(logits(shape, dtype, scale, sign * offset))
            assert_contract(function, x, layout.dim, (sign * offset, scale))


@pytest.mark.parametrize("shape", [(60, 10), (40, 100), (2, 9000)])
def test_slices_of_several_sizes_side_by_side(
    function: Function, dtype: Any, layout: Layout, shape: Any
) -> None:
    """Slices near 0 beside slices that have to be shifted first."""
    offsets = np.resize(np.array([0, *OFFSETS[dtype.name], 0]), shape[0])
    with np.errstate(over="ignore"):
        x = (logits(shape, np.float64, 3.0) + offsets[:, np.newaxis]).astype(dtype)
    assert_contract(function, layout.of(x), layout.dim)


def test_the_largest_and_smallest_numbers(function: Function, dtype: Any, layout: Layout) -> None:
    info = np.finfo(dtype)
    numbers = [info.max, info.max / 2, 1, info.tiny, info.smallest_subnormal, 0]
    numbers = np.array([*numbers, *(-each for each in numbers)], dtype)
    for length in (2, 12, 100, 5000):
        x = np.random.default_rng(length).choice(numbers, (38 if length < 1000 else 4, length))
        assert_contract(function, layout.of(x), layout.dim, length)


def test_blocks_far_below_the_others(function: Function, dtype: Any, layout: Layout) -> None:
    """A long slice whose parts differ in size by more and more, up to nothing."""
    low = -110 if dtype == np.float32 else -760
    for length in (5000, 20_000, 70_000):
        ramp = np.linspace(0, low, length) + logits((2, length), np.float64)
        assert_contract(function, layout.of(ramp.astype(dtype)), layout.dim, length)
        assert_contract(function, layout.of(ramp[:, ::-1].astype(dtype)), layout.dim, length)


def test_one_element_far_below_in_a_block_of_its_own(
    function: Function, dtype: Any, layout: Layout
) -> None:
    """So far that its result is hardly one: a power of two for the block would be none."""
    if "column repeated" in layout.name:
        return  # of nothing
    lowest = -104.0 if dtype == np.float32 else -745.5
    x = np.full((6, 2 * 4096 + 1), -np.inf)
    x[:, 7] = np.linspace(-0.7, 0.7, len(x))
    x[:, -1] = x[:, 7] + lowest + np.linspace(0.0, 2.0, len(x))
    x = x.astype(dtype)
    for slices in (x, x[:, ::-1]):
        assert_contract(function, layout.of(slices), layout.dim)


@pytest.mark.parametrize("length", [2, 40, 70, 5000])
def test_subnormal_results_are_within_one_step(
    function: Function, dtype: Any, layout: Layout, length: int
) -> None:
    highest, lowest = (-86.0, -105.0) if dtype == np.float32 else (-707.0, -747.0)
    x = np.linspace(highest, lowest, 38 * length).reshape(38, length)
    x[:, length // 2] = 0
    x = layout.of(x.astype(dtype))
    exact = function.exact(x, layout.dim)
    if "repeated" not in layout.name:
        assert (np.abs(exact) < np.finfo(dtype).tiny).any()
    assert_accurate(function.call(x, layout.dim), exact)


def float32_patterns(step: int) -> Array:
    """Every `step`-th of the 2**32 numbers that float32 has, NaN and infinities too."""
    return np.arange(0, 2**32, step, np.int64).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("place", [0, 1])
def test_two_elements_over_all_of_float32(function: Function, place: int) -> None:
    """Slices [x, 0]: every 4099th x; tests/scripts/sweep_two_elements.py takes all of them."""
    pairs = np.zeros((2**32 // 4099 + 1, 2), np.float32)
    pairs[:, place] = float32_patterns(4099)
    exact = function.exact(pairs, 1)
    for name in ("rows", "dim 0", "columns apart"):
        layout = BY_NAME[name]
        result = function.call(layout.of(pairs), layout.dim)
        assert_accurate(slices_of(result, layout.dim), exact, name)


def test_two_elements_over_all_exponents_of_float64(function: Function) -> None:
    patterns = np.random.default_rng(2).integers(0, 2**64, 200_000, np.uint64)
    x = read_only(np.stack([patterns.view(np.float64), np.zeros(patterns.size)], axis=1))
    assert_accurate(function.call(x, 1), function.exact(x, 1))


# --- What must be exact ---------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, -3.7, 1.0, 88.0, 1e4, -1e30])
def test_equal_elements_share_alike(
    function: Function, dtype: Any, layout: Layout, value: float
) -> None:
    for length in (2, 3, 10, 64, 100, 4096, 9000):
        x = layout.of(np.full((4, length), value, dtype))
        result = function.call(x, layout.dim)
        assert (result == result.flat[0]).all(), length
        share = 1 / np.array([x.size if layout.dim is None else length], EXTENDED)
        assert_accurate(result.reshape(-1)[:1], share, length)
        if value == 0:  # whose exponential is exactly 1
            assert result.flat[0] == share.astype(dtype)[0], length


def test_the_worked_examples_print_as_shown() -> None:
    first = SOFTMAX.call([1.0, 2.0, 3.0], dim=0)
    assert [f"{each:.4f}" for each in first] == ["0.0900", "0.2447", "0.6652"]
    assert f"{first.sum():.4f}" == "1.0000"
    second = SOFTMAX.call([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], dim=1)
    assert [[f"{each:.4f}" for each in row] for row in second] == [
        ["0.6590", "0.2424", "0.0986"],
        ["0.1131", "0.8360", "0.0508"],
    ]
    assert [f"{each:.4f}" for each in second.sum(axis=1)] == ["1.0000"] * 2
