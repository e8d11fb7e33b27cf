"""Numbers that are looked through before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsoftmax._dtypes import FLOAT64, is_wide

Array = np.ndarray[Any, Any]

FEW = 64
"""Numbers that Python looks through, or adds up."""
_PIECE = 1 << 16
"""Numbers that are looked through at a time."""
_LEAST_ROUNDED = 2.0**53
"""The least integer as float64 that larger ones may have become."""


def extremes(numbers: Array) -> tuple[float, float]:
    """The smallest and the largest of some numbers; NaN if there is a NaN.

    Python is faster with a few than NumPy is with any.  More than fit a cache are looked through
    piece by piece, once for both.
    """
    if numbers.size > _PIECE and numbers.flags.forc:
        flat = numbers.ravel("K")
        found = [extremes(flat[i : i + _PIECE]) for i in range(0, flat.size, _PIECE)]
        numbers = np.array(found)
    if numbers.size > FEW:
        least, most = np.minimum.reduce(numbers, None), np.maximum.reduce(numbers, None)
        return least.item(), most.item()
    values = numbers.ravel().tolist()
    nothing = sum(values) * 0.0  # unless there is a NaN or an infinite number
    return min(values) + nothing, max(values) + nothing


def is_exact(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether no integer is so large that float64, if that is the dtype, may have to round it."""
    return not may_round(array.dtype, dtype) or are_exact(array)


def may_round(given: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Whether integers of a dtype are as many as that, and cast to float64."""
    return is_wide(given) and dtype == FLOAT64


def are_exact(numbers: Array) -> bool:
    """Whether float64 holds integers, or did where these are what it made of them."""
    if FEW < numbers.size <= _PIECE and numbers.dtype == FLOAT64:  # one reduction of two
        largest: float = np.maximum.reduce(np.abs(numbers), None).item()
        return largest < _LEAST_ROUNDED
    smallest, largest = extremes(numbers)
    return smallest > -_LEAST_ROUNDED and largest < _LEAST_ROUNDED
