"""Ways: calls that were made before, with all that was found out about them kept.

What a call comes to depends on the shapes, strides and dtypes of its arrays alone: once
made, its way is to allocate the result and to launch the kernels.  For small calls, which
never take threads, it is to enter one kernel; most of the time that is left then is NumPy's
for the allocation and Numba's for the entry.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax import _launch
from fastsoftmax._memory import empty_like, numpy_empty
from fastsoftmax._plans import OnePass, Picking, Plan
from fastsoftmax._recall import Direct, Facts
from fastsoftmax.kernels.strides import SOURCE, TARGET

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._geometry import Dims
    from fastsoftmax._shortcuts import Way

Array = np.ndarray[Any, Any]

_BYTE = np.dtype(np.uint8)
_LEAST_ROUNDED = 2.0**53
"""The least integer as float64 that larger ones may have become."""


def of_results(
    plan: Plan,
    operands: tuple[Array, ...],
    dtype: np.dtype[Any],
    workers: int | None,
    dims: Dims,
) -> Way:
    """A function that makes the results of calls with operands like these.

    It returns None where a call has to go the long way after all.
    """
    if (
        isinstance(plan, OnePass)
        and plan.is_serial(workers)
        and dtype == plan.dtype
        and plan.is_bare
        and plan.corner is None
        and not plan.streaming  # which needs elements to be aligned, as all others see to
    ):
        return _shortest(plan, operands[TARGET])
    launch, finished = _launcher(plan, workers), _finished(plan, operands)
    dims = dims if plan.streaming else ()
    stored = operands[SOURCE].dtype
    is_viewed = stored != dtype

    def way(
        array: Array,
        out: Array | None = None,
        where: Array | None = None,
        second: Array | None = None,
    ) -> Array | None:
        if not array.flags.aligned or not (second is None or second.flags.aligned):
            return None
        if out is None:
            out = empty_like(array, dtype, dims)
        elif not out.flags.aligned:
            return None
        target = out
        if is_viewed:
            array, target = array.view(stored), out.view(stored)
            second = None if second is None else second.view(stored)
        launch(finished(array, target, second, where))
        return out

    return _known_for(way, Facts(plan.cost, None))


def _known_for(way: Way, facts: Facts) -> Way:
    """A way whose calls may be recorded (`_recall`)."""
    vars(way)["facts"] = facts
    return way


# Decorated, this takes 300 ns less than a `with` does.
@np.errstate(all="ignore")
def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    return array.astype(dtype)


@np.errstate(all="ignore")
def _copy_cast(target: Array, array: Array) -> None:
    np.copyto(target, array, casting="unsafe")


def _shortest(plan: OnePass, target: Array) -> Way:
    kernel = _launch.ready(plan.kernel, plan.dtype, False)
    dtype, table, tasks, size = plan.dtype, plan.table, plan.tasks, plan.scratch
    empty, scratch = numpy_empty, _launch.own.bytes
    flat = target.strides == empty(target.shape, dtype).strides  # axes of size 1 as well
    shape = target.shape if flat else None

    def way(array: Array, out: Array | None = None, *_: None) -> Array:
        if out is None:
            # NumPy takes 90 ns by shape and dtype, 140 by an example.
            out = np.empty_like(array) if shape is None else empty(shape, dtype)
        kernel(array, out, table, scratch(size), 0, tasks)
        return out

    direct = Direct(plan.kernel, dtype, table, tasks, size, shape)
    return _known_for(way, Facts(plan.cost, direct))


def _launcher(plan: Plan, workers: int | None) -> Callable[[tuple[Array, ...]], None]:
    """A function that computes with operands that are `flat`."""
    if not (isinstance(plan, OnePass | Picking) and plan.is_serial(workers)):
        return functools.partial(plan.launch, workers=workers)
    kernel = _launch.ready(plan.kernel, plan.dtype, False)
    table, tasks, size, scratch = plan.table, plan.tasks, plan.scratch, _launch.own.bytes
    if plan.is_bare:
        return lambda given: kernel(given[0], given[1], table, scratch(size), 0, tasks)
    return lambda given: kernel(*given, table, scratch(size), 0, tasks)


def _finished(plan: Plan, operands: tuple[Array, ...]) -> Callable[..., tuple[Array, ...]]:
    """A function that makes all operands of kernels of those that come with each call."""
    _, _, no_second, no_mask, *rest = (plan.flat(operand) for operand in operands)
    corner, flat = plan.corner, plan.flat

    def finished(
        array: Array, out: Array, second: Array | None, where: Array | None
    ) -> tuple[Array, ...]:
        shown = no_mask if where is None else where.view(_BYTE)
        other = no_second if second is None else second
        if corner is None:
            return array, out, other, shown, *rest
        return flat(array), flat(out), flat(other), flat(shown), *rest

    return finished


def after_cast(way: Way, source: np.dtype[Any], dtype: np.dtype[Any]) -> Way:
    """The way of calls whose input is cast to `dtype`; `way` is in place."""
    # NumPy warns of a signalling NaN even where all else is exact.
    is_exact = source.kind in "iub" and np.can_cast(source, dtype)
    is_wide = source.kind in "iu" and source.itemsize == 8 and dtype == np.float64
    largest = np.maximum.reduce

    def cast_first(
        array: Array, out: Array | None = None, where: Array | None = None, *_: None
    ) -> Any:
        result = empty_like(array, dtype) if out is None else out
        (np.copyto if is_exact else _copy_cast)(result, array)
        if is_wide and not largest(np.abs(result), None) < _LEAST_ROUNDED:
            return None
        return way(result, result, where)

    return cast_first


def then_copied(way: Way | None) -> Way | None:
    """The way of calls whose fresh result is copied, and cast, to `out`."""
    if way is None:
        return None

    def copy_last(
        array: Array, out: Array, where: Array | None = None, second: Array | None = None
    ) -> Array | None:
        result = way(array, None, where, second)
        if result is None:
            return None
        _copy_cast(out, result)
        return out

    return copy_last


def both(way: Way, summary: Way) -> Way:
    """The way of calls that return the results of both; `out` may be the input."""

    def in_order(
        array: Array, out: Array | None = None, where: Array | None = None, *_: None
    ) -> Any:
        log_sums = summary(array, None, where)
        result = None if log_sums is None else way(array, out, where)
        return None if result is None else (result, log_sums)

    return in_order


def of_summaries(
    plan: Plan,
    operands: tuple[Array, ...],
    result: Array,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    workers: int | None,
) -> Way:
    """The same for the first part of summaries like `result`, in this shape and dtype."""
    _, target, *_, last = (plan.flat(operand) for operand in operands)
    begin = (last.ctypes.data - result.ctypes.data) // result.itemsize
    stored, finished = operands[SOURCE].dtype, _finished(plan, operands)
    parts, slices, empty = result.size, math.prod(shape), numpy_empty
    launch = _launcher(plan, workers)
    is_viewed = stored != dtype

    def way(
        array: Array, _out: None = None, where: Array | None = None, _second: None = None
    ) -> Array | None:
        if not array.flags.aligned:
            return None
        found = empty(parts)
        seen = array.view(stored) if is_viewed else array
        given = finished(seen, target, None, where)
        launch((*given[:-1], found[begin:] if begin else found))
        log_sums = _cast(found[:slices], dtype)
        return log_sums.reshape(shape) if shape else log_sums[0]

    return way


def of_losses(
    plans: tuple[Plan, Plan],
    operands: tuple[Array, ...],
    shape: tuple[int, ...],
    length: int,
    finish: Callable[[Array], Any],
    workers: int | None,
) -> Way:
    """What `finish` makes of the losses at one element of each slice, summaries in `shape`.

    It returns None unless all elements are from 0 to `length` - 1.
    """
    _, *placeholders, _, _ = operands
    launch, pick = (_launcher(plan, workers) for plan in plans)
    stored, slices, empty = operands[SOURCE].dtype, math.prod(shape[1:]), numpy_empty
    largest = np.maximum.reduce

    def way(array: Array, places: Array) -> Any:
        if not (array.flags.aligned and places.flags.aligned):
            return None
        if largest(places.view(np.uint64), None) >= length:  # those below 0 are large ones
            return None
        given = array.view(stored), *placeholders, empty(shape)
        launch(given)
        pick((*given, places))
        return finish(given[-1].reshape(-1)[:slices])

    return way
