"""Which dtypes there are: what each input gives, and what it is computed in."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)

# Integers become the smallest float that holds them exactly; the widest ones float64.
_RESULTS: dict[str, np.dtype[Any]] = {
    **dict.fromkeys(["bool", "int8", "uint8", "int16", "uint16"], FLOAT32),
    **dict.fromkeys(["int32", "uint32", "int64", "uint64"], FLOAT64),
}
_KERNELS: dict[str, np.dtype[Any]] = {
    **dict.fromkeys(["float16", "bfloat16", "float32"], FLOAT32),
    "float64": FLOAT64,
}


@functools.cache
def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` is a real floating dtype; bfloat16 is known by name alone."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def is_wide(dtype: np.dtype[Any]) -> bool:
    """Whether elements are integers that float64 may have to round."""
    return dtype.kind in "iu" and dtype.itemsize == 8


@functools.cache
def result_dtype(given: np.dtype[Any]) -> np.dtype[Any] | None:
    """The dtype of the result for an input of the dtype `given`; None: there is none."""
    if is_floating(given) or given.kind == "c":
        native: np.dtype[Any] = given.newbyteorder("=")
        return native
    return _RESULTS.get(given.name)


@functools.cache
def kernel_dtype(result: np.dtype[Any]) -> np.dtype[Any] | None:
    """The dtype in which kernels compute results of the dtype `result`; None: they don't."""
    return _KERNELS.get(result.name)
