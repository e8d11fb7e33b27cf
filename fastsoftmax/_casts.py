"""How elements of any dtype come to kernels: as they stand, cast when read, or cast beforehand.

Kernels write what they compute, float32 or float64, and the halves where the processor converts
them.  They read the same, and of large arrays whatever else the dtype of the call is cast from:
no array is copied for it, and no pass over memory of its own is taken.  Fewer elements NumPy
casts, as kernels for each pair of dtypes have to be compiled.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax._cpu import HAS_HALF
from fastsoftmax._dtypes import FLOAT32, FLOAT64
from fastsoftmax._extremes import is_exact
from fastsoftmax._quiet import quiet

if TYPE_CHECKING:
    from fastsoftmax._compute import Call

Array = np.ndarray[Any, Any]

_HALVES: dict[str, np.dtype[Any]] = {"float16": np.dtype(np.uint16), "bfloat16": np.dtype(np.int16)}
"""How kernels see the halves, where the processor converts them."""
_VIEWS: dict[str, np.dtype[Any]] = {**_HALVES, "bool": np.dtype(np.uint8)}
_INTEGERS = {"bool", "int8", "uint8", "int32", "uint32", "int64", "uint64"}
"""What kernels read besides floating dtypes; 16 bits are taken for halves."""
LEAST_CAST = 1 << 14
"""Elements that are worth kernels of their own, which cast them when they read them.

NumPy casts fewer of them in the time of a launch.
"""
COMPUTED = {FLOAT32, FLOAT64}


@functools.cache
def converts(dtype: np.dtype[Any]) -> bool:
    """Whether kernels load and store elements of this dtype."""
    return dtype in COMPUTED or (dtype.name in _HALVES and HAS_HALF)


@functools.cache
def reads(dtype: np.dtype[Any]) -> bool:
    """Whether they load elements of this dtype, if only to cast them."""
    return dtype.name in _INTEGERS or converts(dtype)


@functools.cache
def stored_as(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """How kernels see elements of a dtype that they load and store."""
    return _VIEWS.get(dtype.name, dtype)


def stands_as_computed(call: Call, array: Array) -> bool:
    """Whether kernels read an input where it is, if need be with a cast."""
    if not converts(call.dtype) or not whole_elements(array):
        return False
    return array.dtype == call.dtype or _is_cast_when_read(call, array)


def _is_cast_when_read(call: Call, array: Array) -> bool:
    """Whether kernels cast an input to the dtype of the call, which they compute in."""
    if array.size < LEAST_CAST or len(call.inputs) > 1 or call.dtype not in COMPUTED:
        return False
    if call.is_single:  # which no kernel reads
        return False
    return reads(array.dtype) and is_exact(array, call.dtype)


def is_ready(call: Call, array: Array, stored: np.dtype[Any]) -> bool:
    """The same for kernels that see elements of the call as `stored`."""
    return call.dtype == stored and stands_as_computed(call, array)


def whole_elements(array: Array) -> bool:
    """Whether the array is native, aligned and its strides are whole elements.

    As kernels want it: stores past the caches are of aligned lines, which hold whole elements.
    """
    aligned = array.flags.aligned and array.dtype.isnative
    return aligned and not any(stride % array.itemsize for stride in array.strides)


def cast(call: Call, array: Array, target: Array) -> None:
    """Write `array`, cast to the dtype of the call first, to `target`."""
    # Softmax and its logarithm are the same of a slice that is shifted; gradients are not.
    may_shift = call.operation.inputs == 1 and call.dtype == target.dtype
    if may_shift and not is_exact(array, target.dtype):
        _cast_wide_integers(call, array, target)
    else:
        cast_rounding(call, array, target)


def cast_rounding(call: Call, array: Array, target: Array) -> None:
    """The same whatever the integers are, as a sum of their exponentials wants it."""
    if call.dtype not in {target.dtype, array.dtype}:
        array = quiet(array.astype, call.dtype)
    quiet(np.copyto, target, array, casting="unsafe")


def with_exact_differences(call: Call) -> Call:
    """The same call; integers that would be rounded are as `_cast_wide_integers` has them."""
    array = call.inputs[0]
    if array.size == 0 or is_exact(array, FLOAT64):
        return call
    target = np.empty_like(array, FLOAT64, subok=False)
    _cast_wide_integers(call, array, target)
    return call._replace(inputs=(target,))


def _cast_wide_integers(call: Call, array: Array, target: Array) -> None:
    """Integers as float64; slices where that would round, as differences from the max.

    Softmax is the same either way, and the differences are exact wherever it is not 0.
    """
    np.copyto(target, array, casting="unsafe")
    exact = 1 << 53
    info, shown = np.iinfo(array.dtype), _shown(call.where)
    low = array.min(axis=call.dims, keepdims=True, initial=info.max, where=shown)
    top = array.max(axis=call.dims, keepdims=True, initial=info.min, where=shown)
    rounds = (low < -exact) | (top > exact)  # by slice: none makes a difference to another
    # Differences of unsigned integers wrap round to what is right.
    if call.negated:
        np.copyto(target, array.astype(np.uint64) - low.astype(np.uint64), "unsafe", rounds)
        return
    below = (top.astype(np.uint64) - array.astype(np.uint64)).astype(np.float64)
    np.copyto(target, -below, where=rounds)


def _shown(where: Array | None) -> Array | bool:
    return True if where is None else where
