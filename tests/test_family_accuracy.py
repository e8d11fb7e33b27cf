"""The accuracy table of the contract for the relatives of softmax, as hard numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference
from arrays import DTYPES, Layout, logits, read_only
from relatives import (
    BACKWARD,
    BY_NAME,
    FEW_LAYOUTS,
    LOG_BACKWARD,
    LOG_SOFTMAX,
    LOGSUMEXP,
    RELATIVES,
    Relative,
    errors_in_units_of,
    name_of,
    slices_of_several_sizes,
)
from ulps import assert_accurate, errors_in_ulps

from fastsoftmax import log_softmax, logsumexp, softmax_backward, softmin

SHORT = [1, 2, 3, 10, 31, 33, 64, 65, 100, 1000, 1023]
LONG = [4097, 9000, 50_257]
# Softmax itself has tests of its own.
OTHERS = RELATIVES[1:]
EACH = pytest.mark.parametrize("relative", OTHERS, ids=name_of)


@EACH
def test_short_slices(relative: Relative, dtype: Any, layout: Layout) -> None:
    for length in SHORT:
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        result = relative.call(*inputs, layout.dim)
        assert result.dtype == dtype
        relative.assert_accurate(result, inputs, layout.dim, length)


@EACH
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["rows", "dim 0", "backwards", "whole array"])
def test_long_slices(relative: Relative, dtype: Any, name: str) -> None:
    layout = BY_NAME[name]
    for length in LONG:
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        result = relative.call(*inputs, layout.dim)
        relative.assert_accurate(result, inputs, layout.dim, length)


@EACH
def test_one_slice_of_300000(relative: Relative, dtype: Any) -> None:
    inputs = relative.given(BY_NAME["rows"], logits((1, 300_000), dtype, 3.0))
    relative.assert_accurate(relative.call(*inputs, 1), inputs, 1, "rows")
    relative.assert_accurate(relative.call(*inputs, None), inputs, None, "whole")


@EACH
@pytest.mark.parametrize("offset", [-1e30, -1e5, 1e4, 1e6, 3e38])
def test_large_offsets(relative: Relative, dtype: Any, offset: float) -> None:
    for layout in FEW_LAYOUTS[:2]:
        for length in (3, 33, 100):
            slices = logits((38, length), dtype, 5.0, offset)
            inputs = relative.given(layout, slices)
            relative.assert_accurate(relative.call(*inputs, layout.dim), inputs, layout.dim, length)


@EACH
def test_numbers_from_subnormal_to_the_largest(relative: Relative, dtype: Any) -> None:
    info = np.finfo(dtype)
    numbers = [info.max, info.max / 2, 88.0, 1, 1e-9, info.tiny, info.smallest_subnormal, 0]
    numbers = np.array([*numbers, *(-each for each in numbers)], dtype)
    if relative.inputs == 2:  # sums of gradients would overflow, in the oracle as well
        numbers = numbers[np.abs(numbers) < 100]
    for layout in FEW_LAYOUTS[:4]:
        for length in (2, 12, 100):
            slices = np.random.default_rng(length).choice(numbers, (38, length))
            inputs = relative.given(layout, read_only(slices))
            relative.assert_accurate(relative.call(*inputs, layout.dim), inputs, layout.dim, length)


@pytest.mark.parametrize("temperature", [0.013, 0.7, 1.0, 3.3, 1000.0])
def test_gradients_of_outputs_near_0(dtype: Any, temperature: float) -> None:
    """Whose quotient by the temperature may be subnormal where no result is."""
    info = np.finfo(dtype)
    least, unit = float(info.tiny), 2.0 ** (info.nmant + 10)
    for layout in FEW_LAYOUTS[:4]:
        for length in (3, 33, 100, 5000):
            random = np.random.default_rng(length)
            output = least * 2.0 ** random.uniform(0, 20, (20, length))
            output[:, 0] = 1
            grad = unit * random.normal(size=(20, length))
            inputs = layout.of(grad.astype(dtype)), layout.of(output.astype(dtype))
            result = BACKWARD.call(*inputs, layout.dim, temperature=temperature)
            BACKWARD.assert_accurate(result, inputs, layout.dim, length, temperature=temperature)


# --- Near 0 ---------------------------------------------------------------------------


@pytest.mark.parametrize("below", [1.0, 10.0, 15.0, 17.0, 30.0, 40.0, 80.0, 87.0, 100.0, 103.0])
def test_logarithms_of_probabilities_near_1(dtype: Any, layout: Layout, below: float) -> None:
    for length in (2, 3, 33, 65, 100, 1000):
        slices = np.full((38, length), -below, dtype)
        slices[:, length // 3] = 0
        inputs = LOG_SOFTMAX.given(layout, read_only(slices))
        LOG_SOFTMAX.assert_accurate(
            LOG_SOFTMAX.call(*inputs, layout.dim), inputs, layout.dim, (below, length)
        )


def test_the_worked_example_near_0() -> None:
    for length in (2, 40, 100, 9000):  # elements at -inf make no difference
        x = np.full(length, -np.inf)
        x[:2] = [0.0, -40.0]
        near, far = log_softmax(x, 0, workers=1)[:2]
        assert f"{near:.3e}" == "-4.248e-18"
        assert far == -40


def test_logsumexp_is_accurate_near_0(dtype: Any, layout: Layout) -> None:
    """log(exp(0) + exp(-x)), which is exp(-x), not 0."""
    for length in (2, 33, 100):
        slices = np.full((38, length), -200.0, dtype)
        slices[:, 0] = 0
        slices[:, -1] = -np.linspace(1, 80, 38)
        x = layout.of(slices)
        LOGSUMEXP.assert_accurate(LOGSUMEXP.call(x, layout.dim), (x,), layout.dim, length)
        if layout.dim == -1:
            assert_accurate(LOGSUMEXP.call(x, -1), reference.logsumexp(x, -1))


def test_max_and_logarithm_that_cancel(dtype: Any) -> None:
    """2 ULP of the larger of the two, however little is left."""
    for length in (2, 3, 10, 100, 1000, 9000):
        tops = -np.log(length) * (1 + np.linspace(-1e-3, 1e-3, 21))
        x = read_only(np.repeat(tops[:, np.newaxis], length, axis=1).astype(dtype))
        LOGSUMEXP.assert_accurate(LOGSUMEXP.call(x, 1), (x,), 1, length)


@pytest.mark.parametrize("ties", [1, 2, 3, 7, 33, 100])
def test_ties_of_the_maximum_are_counted(dtype: Any, layout: Layout, ties: int) -> None:
    for length in (100, 5000):
        slices = np.full((6, length), -1000.0, dtype)
        slices[:, :: length // ties][:, :ties] = 2.5
        count = int((slices[0] == 2.5).sum())
        slices = slices[:, np.random.default_rng(ties).permutation(length)]
        assert count == ties
        x = layout.of(slices)
        slices_at_once = 6 if layout.dim is None else 1
        if "column repeated" in layout.name:
            slices_at_once, ties = 1, length
        wanted = np.log(np.longdouble(ties * slices_at_once))
        logs = log_softmax(x, layout.dim, workers=1)
        top = logs[x == x.max()]
        assert errors_in_ulps(top, np.full(top.shape, -wanted)).max() <= 2
        lse = logsumexp(np.where(x == x.max(), x, x.dtype.type(-1000)), layout.dim, workers=1)
        if "column repeated" not in layout.name:
            assert errors_in_ulps(np.atleast_1d(lse), wanted + 2.5).max() <= 2


@pytest.mark.parametrize("value", [0.0, -3.7, 88.0, 1e30])
def test_equal_elements_have_the_logarithm_of_their_number(dtype: Any, value: float) -> None:
    for layout in FEW_LAYOUTS:
        for length in (1, 2, 3, 10, 64, 100, 5000):
            x = layout.of(np.full((4, length), value, dtype))
            result = log_softmax(x, layout.dim, workers=1)
            count = x.size if layout.dim is None else length
            assert (result == result.flat[0]).all()
            wanted = -np.log(np.full(1, count, np.longdouble))
            assert errors_in_ulps(result.reshape(-1)[:1], wanted).max() <= 2


# --- What is exact --------------------------------------------------------------------


def test_softmin_is_softmax_of_the_negative(dtype: Any, layout: Layout) -> None:
    from fastsoftmax import softmax

    for length in (1, 3, 33, 100, 1000):
        x = layout.of(slices_of_several_sizes(length, dtype))
        wanted = softmax(layout.of(-slices_of_several_sizes(length, dtype)), layout.dim, workers=1)
        assert np.array_equal(softmin(x, layout.dim, workers=1), wanted)


def test_a_constant_gradient_of_softmax_vanishes(dtype: Any) -> None:
    """sum(g y) is g where y is exact, so that g - sum is 0."""
    for length in (2, 4, 32, 128, 4096):
        output = np.full((6, length), 1 / length, dtype)
        grad = np.full((6, length), 3.25, dtype)
        assert not softmax_backward(grad, output, 1, workers=1).any()


def test_gradients_whose_sum_cancels(dtype: Any) -> None:
    """Sums of gradients are exact to twice the precision."""
    big = 1 / np.finfo(dtype).eps
    for length in (4, 40, 100, 5000):
        grad = logits((6, length), dtype).copy()
        grad[:, 0], grad[:, -1] = big, -big
        output = np.full((6, length), -np.log(length), dtype)
        sums = np.array([[math.fsum(row)] for row in grad.tolist()])
        terms = grad.astype(np.longdouble), np.exp(output.astype(np.longdouble)) * sums
        scale = np.maximum(np.abs(terms[0]), np.abs(terms[1]))
        got = LOG_BACKWARD.call(grad, output, 1)
        assert errors_in_units_of(scale, got, terms[0] - terms[1]).max() <= 4
