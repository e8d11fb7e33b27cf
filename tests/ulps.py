"""How far results are from the oracle's, in units in the last place.

The unit of an element is the distance of the correctly rounded result from its next larger
neighbour in the dtype of the result.  Subnormal results are coarser than the arithmetic
before them, so that one rounding more shows: their errors are counted in whole subnormal
steps from the correctly rounded result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from reference import EXTENDED, Dim, dims_of, slices_of

if TYPE_CHECKING:
    from collections.abc import Iterable

Array = np.ndarray[Any, Any]

# What softmax promises in float32 and float64.
MOST_ULPS = 2.0
MEAN_ULPS = 0.5
SUBNORMAL_STEPS = 1.0
SUM_ERROR = {np.dtype(np.float32): 2e-7, np.dtype(np.float64): 6e-16}


def errors_in_ulps(result: Array, exact: Array) -> Array:
    """The error of each element in ULP; infinite where one is NaN or infinite alone."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(result.dtype)
        units = np.spacing(np.abs(rounded)).astype(EXTENDED)
        errors = np.abs(result.astype(EXTENDED) - exact) / units
    same = (np.isnan(result) & np.isnan(rounded)) | ((result == rounded) & np.isinf(rounded))
    errors = np.where(same, 0, errors)
    return np.where(np.isnan(errors), np.inf, errors).astype(np.float64)


def are_subnormal(exact: Array, dtype: Any) -> Array:
    """Where the correctly rounded result is subnormal or 0."""
    smallest = np.finfo(dtype).tiny
    with np.errstate(all="ignore"):
        subnormal: Array = np.abs(exact.astype(dtype)) < smallest
    return subnormal


class Errors(NamedTuple):
    """What the gates look at."""

    largest: float
    """The largest error of a normal result."""
    total: float
    """The sum of the errors of normal results."""
    normal: int
    """The number of normal results."""
    steps: float
    """The largest distance of a subnormal result from the correctly rounded one."""

    @property
    def mean(self) -> float:
        return self.total / max(1, self.normal)


def errors_of(result: Array, exact: Array) -> Errors:
    """Measure results against the oracle's."""
    subnormal = are_subnormal(exact, result.dtype)
    normal = errors_in_ulps(result[~subnormal], exact[~subnormal])
    with np.errstate(all="ignore"):
        rounded = exact[subnormal].astype(result.dtype).astype(EXTENDED)
    steps = errors_in_ulps(result[subnormal], rounded)
    return Errors(
        float(normal.max(initial=0)),
        float(normal.sum()),
        normal.size,
        float(steps.max(initial=0)),
    )


def together(all_errors: Iterable[Errors]) -> Errors:
    """The errors of several results as those of one."""
    largest, total, normal, steps = zip(*all_errors, strict=True)
    return Errors(max(largest), sum(total), sum(normal), max(steps))


def error_of_sums(result: Array, dim: Dim) -> float:
    """The largest distance from 1 of the sum of a slice, summed in extended precision."""
    dims = dims_of(dim, result.ndim)
    if not dims:
        return float(abs(EXTENDED(result[()]) - 1))
    # NumPy sums the rows of a contiguous matrix pairwise: what it rounds is far below 1e-18.
    return float(np.abs(slices_of(result, dim).sum(axis=1, dtype=EXTENDED) - 1).max())


def assert_accurate(result: Array, exact: Array, what: object = "") -> Errors:
    """Hold each result against the gates, all but the one for the mean."""
    errors = errors_of(result, exact)
    assert errors.largest <= MOST_ULPS, f"{what}: {errors.largest} ULP"
    assert errors.steps <= SUBNORMAL_STEPS, f"{what}: {errors.steps} subnormal steps"
    return errors


def assert_same_bits(got: Array, wanted: Array, what: object) -> None:
    """The signs of zeros and NaN included."""
    assert got.dtype == wanted.dtype, what
    assert np.array_equal(_bits_of(got), _bits_of(wanted)), what


def _bits_of(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")
