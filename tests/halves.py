"""float16 and bfloat16 for tests: correct rounding, and errors in ULP of either format."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from reference import EXTENDED

Array = np.ndarray[Any, Any]

FLOAT16, BFLOAT16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
HALVES = [FLOAT16, BFLOAT16]

# All but near-ties are rounded correctly.
MOST_ULPS = 0.51
CORRECTLY_ROUNDED = 0.999

# Bits of the mantissa, and the exponent of a subnormal step.
_FORMATS = {FLOAT16: (11, -24), BFLOAT16: (8, -133)}


def units(exact: Array, dtype: np.dtype[Any]) -> Array:
    """The distance of neighbours in `dtype` at each number."""
    bits, lowest = _FORMATS[dtype]
    _, exponents = np.frexp(exact)
    return np.ldexp(EXTENDED(1), np.maximum(exponents - bits, lowest))


def rounded(exact: Array, dtype: np.dtype[Any]) -> Array:
    """The nearest number that `dtype` has, ties to even, in extended precision."""
    with np.errstate(all="ignore"):
        unit = units(np.where(np.isfinite(exact), exact, 1), dtype)
        nearest = np.rint(exact / unit) * unit
        largest = float(ml_dtypes.finfo(dtype).max)
        nearest = np.where(np.abs(nearest) > largest, np.sign(nearest) * np.inf, nearest)
    return np.where(np.isfinite(exact), nearest, exact)


def assert_nearly_all_rounded(
    result: Array, exact: Array, what: object, terms: Array | None = None
) -> tuple[int, int]:
    """At most 0.51 ULP, and nearly all as near as can be; how many are not, of how many.

    Where results are differences of `terms`, the hundredth is of the largest of those.
    """
    wanted = rounded(exact, result.dtype)
    got = result.astype(EXTENDED)
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    with np.errstate(all="ignore"):
        slack = (MOST_ULPS - 0.5) * units(exact if terms is None else terms, result.dtype)
        allowed = units(exact, result.dtype) / 2 + slack
        bad = ~same & ~(np.abs(got - exact) <= allowed)
    assert not bad.any(), f"{what}: {got[bad][:3]} for {exact[bad][:3]}"
    wrong = int(np.count_nonzero(~same))
    # Of few results some may be near-ties: their share is of many calls together.
    assert wrong <= max(3, (1 - CORRECTLY_ROUNDED) * same.size), f"{what}: {wrong} of {same.size}"
    return wrong, same.size
