"""The oracle against 50 digits, and the ruler against distances that are known."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import reference
import ulps

EXTENDED = np.longdouble
# The oracle may be off by a few of its own units, 2**-63; float64's unit is 2**-52.
RELATIVE = 2.0**-59
# What 800 digits make of a difference that is exactly 0.
TINY = mpmath.mpf(10) ** -700
SHAPES = [(1,), (2,), (5, 3), (3, 40), (2, 3, 4)]


@pytest.fixture(autouse=True)
def fifty_digits() -> Any:
    with mpmath.workdps(50):
        yield


def exactly(number: Any) -> mpmath.mpf:
    """A number of any floating dtype, unrounded."""
    mantissa, exponent = np.frexp(EXTENDED(number))
    high = float(mantissa)
    return mpmath.ldexp(mpmath.mpf(high) + float(mantissa - EXTENDED(high)), int(exponent))


def mp_softmax(x: list[mpmath.mpf]) -> list[mpmath.mpf]:
    terms = [mpmath.exp(each) for each in x]
    return [term / mpmath.fsum(terms) for term in terms]


def mp_log_softmax(x: list[mpmath.mpf]) -> list[mpmath.mpf]:
    # A result near 0 is a difference of near-equals: more digits for it.
    with mpmath.workdps(800):
        total = mpmath.log(mpmath.fsum(map(mpmath.exp, x)))
        return [each - total for each in x]


def mp_logsumexp(x: list[mpmath.mpf]) -> list[mpmath.mpf]:
    return [mpmath.log(mpmath.fsum(map(mpmath.exp, x)))]


def mp_softmax_backward(grad: list[mpmath.mpf], output: list[mpmath.mpf]) -> list[mpmath.mpf]:
    product = mpmath.fdot(grad, output)
    return [y * (g - product) for g, y in zip(grad, output, strict=True)]


def mp_log_softmax_backward(grad: list[mpmath.mpf], output: list[mpmath.mpf]) -> list[mpmath.mpf]:
    total = mpmath.fsum(grad)
    return [g - mpmath.exp(y) * total for g, y in zip(grad, output, strict=True)]


def logits(shape: tuple[int, ...], scale: float, offset: float = 0.0) -> Any:
    return np.random.default_rng([17, *shape]).normal(offset, scale, shape)


def assert_near(got: Any, wanted: list[mpmath.mpf], scale: Any = None) -> None:
    for one, exact in zip(got, wanted, strict=True):
        size = max(abs(exact), TINY) if scale is None else scale
        assert abs(exactly(one) - exact) <= RELATIVE * size, (one, exact)


@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])
@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.7, 13.0])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(reference.softmax, mp_softmax), (reference.log_softmax, mp_log_softmax)],
)
def test_softmax_and_its_logarithm_agree_with_50_digits(
    ours: Any, theirs: Any, shape: tuple[int, ...], temperature: float, scale: float
) -> None:
    x = logits(shape, scale * temperature, offset=5.0)
    got = ours(x, -1, temperature=temperature).reshape(-1, shape[-1])
    for row, result in zip(x.reshape(-1, shape[-1]), got, strict=True):
        exact = [exactly(each) / exactly(temperature) for each in row]
        assert_near(result, theirs(exact))


@pytest.mark.parametrize("shape", SHAPES)
def test_logsumexp_agrees_with_50_digits(shape: tuple[int, ...]) -> None:
    x = logits(shape, 10.0)
    got = reference.logsumexp(x, -1).reshape(-1)
    for row, result in zip(x.reshape(-1, shape[-1]), got, strict=True):
        top = abs(exactly(row.max()))
        assert_near([result], mp_logsumexp([exactly(each) for each in row]), top + 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (reference.softmax_backward, mp_softmax_backward),
        (reference.log_softmax_backward, mp_log_softmax_backward),
    ],
)
def test_gradients_agree_with_50_digits(ours: Any, theirs: Any, shape: tuple[int, ...]) -> None:
    grad, output = logits(shape, 1.0), logits(shape, 0.1)
    got = ours(grad, output, -1).reshape(-1, shape[-1])
    rows = zip(grad.reshape(-1, shape[-1]), output.reshape(-1, shape[-1]), got, strict=True)
    for g, y, result in rows:
        largest = max(1, float(np.abs(g).sum()))
        assert_near(result, theirs([*map(exactly, g)], [*map(exactly, y)]), largest)


def test_a_mask_leaves_elements_out() -> None:
    x = logits((6,), 3.0)
    here = np.array([True, False, True, True, False, True])
    x[1], x[4] = np.nan, np.inf
    kept = reference.softmax(x[here], 0)
    assert np.array_equal(reference.softmax(x, 0, where=here)[here], kept)
    assert np.array_equal(reference.softmax(x, 0, where=here)[~here], [0, 0])
    assert np.array_equal(reference.log_softmax(x, 0, where=here)[~here], [-np.inf] * 2)
    assert reference.logsumexp(x, 0, where=here) == reference.logsumexp(x[here], 0)
    assert np.array_equal(reference.softmax(x, 0, where=False), np.zeros(6))
    assert reference.logsumexp(x, 0, where=False) == -np.inf


@pytest.mark.parametrize("dim", [0, 1, -1, (0, 2), (2, 0), (-1, 1), None])
def test_dims_are_taken_jointly_and_in_order(dim: Any) -> None:
    x = logits((3, 4, 5), 2.0)
    rows = reference.slices_of(x, dim)
    got = reference.slices_of(reference.softmax(x, dim), dim)
    assert np.array_equal(got, reference.softmax(rows, 1))
    kept = tuple(range(3)) if dim is None else dim
    assert np.allclose(reference.softmax(x, dim).sum(axis=kept).astype(float), 1, rtol=1e-15)


@pytest.mark.parametrize(
    ("x", "wanted", "log_wanted", "total"),
    [
        ([0.0, np.nan], [np.nan] * 2, [np.nan] * 2, np.nan),
        ([0.0, np.inf], [np.nan] * 2, [np.nan] * 2, np.inf),
        ([0.0, -np.inf], [1, 0], [0, -np.inf], 0),
        ([-np.inf, -np.inf], [np.nan] * 2, [np.nan] * 2, -np.inf),
        ([np.nan], [np.nan], [np.nan], np.nan),
        ([7.0], [1], [0], 7),
    ],
)
def test_nan_and_infinities_follow_the_contract(
    x: list[float], wanted: list[float], log_wanted: list[float], total: float
) -> None:
    assert np.array_equal(reference.softmax(x, 0), wanted, equal_nan=True)
    assert np.array_equal(reference.log_softmax(x, 0), log_wanted, equal_nan=True)
    assert np.array_equal(reference.logsumexp(x, 0), [total], equal_nan=True)


def test_the_logarithm_is_accurate_near_zero() -> None:
    assert float(reference.log_softmax([0.0, -40.0], 0)[0]) == -4.248354255291589e-18


# --- The ruler ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [1.0, 0.75, 1.5, 2.0**-10, 2.0**-120])
def test_a_neighbour_is_one_ulp_away(dtype: Any, value: float) -> None:
    exact = np.array([value], EXTENDED)
    above = np.nextafter(exact.astype(dtype), dtype(np.inf))
    assert ulps.errors_in_ulps(above, exact) == 1
    halfway = exact + np.spacing(dtype(value)).astype(EXTENDED) / 4
    assert ulps.errors_in_ulps(exact.astype(dtype), halfway) == 0.25


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_unit_of_subnormal_results_is_one_step(dtype: Any) -> None:
    step = np.nextafter(dtype(0), dtype(1))
    exact = np.array([0, 3.4, 10.3]) * EXTENDED(step)
    assert ulps.are_subnormal(exact, dtype).all()
    errors = ulps.errors_of(np.array([1, 3, 8]).astype(dtype) * step, exact)
    assert (errors.largest, errors.steps, errors.normal) == (0, 2, 0)


def test_nan_matches_nan_and_nothing_else() -> None:
    result = np.array([np.nan, np.nan, 1.0, np.inf, np.inf, 0.0], np.float32)
    exact = np.array([np.nan, 1.0, np.nan, np.inf, 1.0, 0.0], EXTENDED)
    assert ulps.errors_in_ulps(result, exact).tolist() == [0, np.inf, np.inf, 0, np.inf, 0]


def test_the_sum_is_that_of_each_slice() -> None:
    result = np.array([[0.5, 0.5], [0.25, 0.5]])
    assert ulps.error_of_sums(result, 1) == 0.25
    assert ulps.error_of_sums(result, 0) == 0.25
    assert ulps.error_of_sums(result, None) == 0.75


def test_the_gates_stop_what_is_off() -> None:
    exact = np.array([0.3], EXTENDED)
    off = np.float32(0.3) + 3 * np.spacing(np.float32(0.3))
    ulps.assert_accurate(exact.astype(np.float32), exact)
    with pytest.raises(AssertionError, match=r"here: (2\.|3\.)"):
        ulps.assert_accurate(np.array([off]), exact, "here")
