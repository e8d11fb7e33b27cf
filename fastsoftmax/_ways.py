"""Ways: calls that were made before, with all that was found out about them kept.

What a call comes to depends on the shapes, strides and dtypes of its arrays alone: once
made, its way is to allocate the result and to launch the kernels.  For small calls, which
never take threads, it is to enter one kernel; most of the time that is left then is NumPy's
for the allocation and Numba's for the entry.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax import _launch
from fastsoftmax._memory import empty_like
from fastsoftmax._plans import OnePass, Plan
from fastsoftmax.kernels.strides import SOURCE, TARGET

if TYPE_CHECKING:
    from fastsoftmax._shortcuts import Way

Array = np.ndarray[Any, Any]

_BYTE = np.dtype(np.uint8)
_NO_MEMORY = np.empty(0, np.uint8)


def of_results(
    plan: Plan, operands: tuple[Array, ...], dtype: np.dtype[Any], workers: int | None
) -> Way:
    """A function that makes the results of calls with operands like these.

    It returns None where a call has to go the long way after all.
    """
    if isinstance(plan, OnePass) and plan.is_serial(workers) and dtype == plan.dtype:
        if plan.is_bare and plan.corner is None and plan.scratch == 0:
            return _shortest(plan, operands)
        return _serial(plan, operands)
    return _launching(plan, operands, dtype, workers)


def _shortest(plan: OnePass, operands: tuple[Array, ...]) -> Way:
    kernel = _launch.ready(plan.kernel, plan.dtype, False)
    table, tasks, target = plan.table, plan.tasks, operands[TARGET]
    shape, dtype, flat, empty = target.shape, target.dtype, target.flags.c_contiguous, np.empty

    def way(array: Array, out: Array | None = None, _: None = None) -> Array:
        if out is None:
            # NumPy takes 90 ns by shape and dtype, 140 by an example.
            out = empty(shape, dtype) if flat else np.empty_like(array)
        kernel(array, out, table, _NO_MEMORY, 0, tasks)
        return out

    return way


def _serial(plan: OnePass, operands: tuple[Array, ...]) -> Way:
    kernel = _launch.ready(plan.kernel, plan.dtype, False)
    table, tasks, size, is_bare = plan.table, plan.tasks, plan.scratch, plan.is_bare
    empty_like, scratch = np.empty_like, _launch.own.bytes
    index = ... if plan.corner is None else plan.corner
    _, _, second, mask, *rest = (plan.flat(operand) for operand in operands)

    def way(array: Array, out: Array | None = None, where: Array | None = None) -> Array:
        if out is None:
            out = empty_like(array)
        ends = array[index], out[index]
        if is_bare:
            kernel(*ends, table, scratch(size), 0, tasks)
            return out
        shown = mask if where is None else where.view(_BYTE)[index]
        kernel(*ends, second, shown, *rest, table, scratch(size), 0, tasks)
        return out

    return way


def _launching(
    plan: Plan, operands: tuple[Array, ...], dtype: np.dtype[Any], workers: int | None
) -> Way:
    launch, stored = plan.launch, operands[SOURCE].dtype
    is_viewed = stored != dtype
    index = ... if plan.corner is None else plan.corner
    _, _, second, mask, *rest = (plan.flat(operand) for operand in operands)

    def way(array: Array, out: Array | None = None, where: Array | None = None) -> Array | None:
        if not array.flags.aligned or not (out is None or out.flags.aligned):
            return None
        result = empty_like(array, array.dtype) if out is None else out
        ends = array[index], result[index]
        if is_viewed:
            ends = ends[0].view(stored), ends[1].view(stored)
        shown = mask if where is None else where.view(_BYTE)[index]
        launch((*ends, second, shown, *rest), workers)
        return result

    return way


def of_summaries(
    plan: Plan,
    operands: tuple[Array, ...],
    result: Array,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    workers: int | None,
) -> Way:
    """The same for the first part of summaries like `result`, in this shape and dtype."""
    *_, last = flat = [plan.flat(operand) for operand in operands]
    begin = (last.ctypes.data - result.ctypes.data) // result.itemsize
    launch, stored, rest = plan.launch, operands[SOURCE].dtype, flat[1:-1]
    index = ... if plan.corner is None else plan.corner
    parts, slices, empty = result.size, math.prod(shape), np.empty

    def way(array: Array) -> Array | None:
        if not array.flags.aligned:
            return None
        found = empty(parts)
        launch((array[index].view(stored), *rest, found[begin:]), workers)
        with np.errstate(all="ignore"):
            log_sums: Array = found[:slices].astype(dtype).reshape(shape)
        return log_sums if shape else log_sums[()]

    return way
