"""The numbers that exponentials are made of, and the ways to look them up."""

from __future__ import annotations

import platform
from typing import Any

import mpmath
import numpy as np
import processes
import pytest
from arrays import DTYPES

import fastsoftmax
from fastsoftmax.kernels.exponential import FORMATS, Format

# What kernels/exponential.py says of them, as powers of two.
POLYNOMIAL_ERROR = {"float32": -27.36, "float64": -62.2}
SCALE_ERROR = {"float32": -31.2, "float64": -67.7}


@pytest.fixture
def chosen(dtype: np.dtype[Any]) -> Format:
    """The numbers for a dtype."""
    return next(found for kind, found in FORMATS.items() if str(kind) == str(dtype))


def test_numbers_are_of_their_dtype(chosen: Format, dtype: np.dtype[Any]) -> None:
    for number in (chosen.inverse, chosen.high, chosen.low, *chosen.scales, *chosen.coefficients):
        assert float(dtype.type(number)) == number


def test_a_step_is_a_part_of_an_octave(chosen: Format, dtype: np.dtype[Any]) -> None:
    with mpmath.workprec(200):
        step = mpmath.log(2) / chosen.steps
        # What the second part leaves out, times the largest n, is nothing to r.
        assert abs(mpmath.mpf(chosen.high) + chosen.low - step) * chosen.steps < mpmath.mpf(2) ** (
            -2 * np.finfo(dtype).nmant - 4
        )
        largest = chosen.limit * chosen.steps
        assert abs(largest * (chosen.inverse * step - 1)) < mpmath.mpf(2) ** -7


def test_scales_are_roots_of_two(chosen: Format, dtype: np.dtype[Any]) -> None:
    with mpmath.workprec(200):
        for j, scale in enumerate(chosen.scales):
            exact = chosen.scales[0] * mpmath.mpf(2) ** (mpmath.mpf(j) / chosen.steps)
            assert abs(scale / exact - 1) < mpmath.mpf(2) ** SCALE_ERROR[str(dtype)]
            assert 1 <= scale < 2


def test_polynomials_are_exponentials(chosen: Format, dtype: np.dtype[Any]) -> None:
    with mpmath.workprec(200):
        reach = mpmath.log(2) / chosen.steps * (mpmath.mpf(1) / 2 + mpmath.mpf(2) ** -7)
        for i in range(-500, 501):
            r = reach * i / 500
            found = sum(c * r**k for k, c in enumerate((1, 1, *chosen.coefficients)))
            error = abs(found / mpmath.exp(r) - 1)
            assert error < mpmath.mpf(2) ** POLYNOMIAL_ERROR[str(dtype)]


@pytest.mark.parametrize("shape", [(1,), (5, 1), (300, 1), (1, 1000)])
def test_the_exponential_of_0_is_1(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """The factor that all terms have in common leaves no trace where nothing divides by it."""
    g = np.full(shape, 1.7, dtype)
    dim = shape.index(1)
    result = fastsoftmax.log_softmax_backward(g, np.zeros(shape, dtype), dim)
    np.testing.assert_array_equal(result, np.zeros(shape, dtype))


SAMPLE = """
    import hashlib
    from arrays import DTYPES, logits
    from fastsoftmax import softmax

    digest = hashlib.sha256()
    for dtype in DTYPES:
        for shape, dim in [((33, 10), 1), ((9, 131), 1), ((77, 40), 0)]:
            digest.update(softmax(logits(shape, dtype, 10.0), dim, workers=1).tobytes())
    print(digest.hexdigest())
"""


@pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"}, reason="names a processor of that kind"
)
def test_processors_without_permutations_give_the_same_bits() -> None:
    """SSE2 alone: scales are chosen by bits, and products and sums rounded once in software."""
    plain = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"}
    assert processes.run(SAMPLE, **plain) == processes.run(SAMPLE)


def test_dtypes_have_their_numbers() -> None:
    assert {str(kind) for kind in FORMATS} == {str(dtype) for dtype in DTYPES}
