"""The shortest way of calls like one that was computed: which checks and casts are left."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from fastsoftmax import _plain, _temperature, _ways
from fastsoftmax._casts import (
    converts,
    stands_as_computed,
    whole_elements,
)
from fastsoftmax._compute import Array, Call, elementwise, operands_of, stored_of, task_of
from fastsoftmax._dtypes import FLOAT64, is_wide, kernel_dtype
from fastsoftmax._layout import plan_for
from fastsoftmax._memory import empty_like

if TYPE_CHECKING:
    from fastsoftmax._shortcuts import Way


def shortcut(call: Call, result: Array) -> Way | None:
    """The way of calls like this one, which gave this result."""
    if result.dtype != call.dtype:
        fresh = empty_like(call.inputs[0], call.dtype)
        way = _ways.then_copied(_shortest(call._replace(out=None), fresh))
    else:
        way = _shortest(call, result)
    return way or _without_checks(call)


def _without_checks(call: Call) -> Way | None:
    """The long way, but for the checks of arguments."""
    if _has_temperatures(call):
        return None
    call = call._replace(inputs=(), out=None, where=None)  # whose memory is not to be held

    def way(
        array: Array,
        out: Array | None = None,
        where: Array | None = None,
        second: Array | None = None,
        _temperature: Array | None = None,
    ) -> Array:
        inputs = (array,) if second is None else (array, second)
        return elementwise(call._replace(inputs=inputs, out=out, where=where))

    return way


def _shortest(call: Call, result: Array) -> Way | None:
    """The way of calls whose arrays kernels read and write as they stand.

    Or as they stand once the input is cast.
    """
    array = call.inputs[0]
    if array.size == 0 or not whole_elements(result):
        return None
    if call.out is not None and result is not call.out:
        return None
    work = kernel_dtype(call.dtype)
    if work is None or not converts(call.dtype) or stored_of(call, work) != call.dtype:
        return None
    if call.temperature is not None and not _temperature.is_usual(call.temperature, FLOAT64):
        return None  # its logits are scaled in each call
    if all(stands_as_computed(call, each) for each in call.inputs):
        way = _way_of(call, result)
        way = way and _ways.if_exact(way, array, call.dtype)
    else:
        way = _after_casts(call, result)
    if way is None or not _has_temperatures(call):
        return way
    # First of all, as nothing may be written if they are refused.
    return _ways.with_temperatures(way, *_temperature.USUAL[work])


def _after_casts(call: Call, result: Array) -> Way | None:
    """The way of calls with inputs that are cast; one alone is cast to where its results go."""
    in_place = len(call.inputs) == 1
    inputs = []
    for each in call.inputs:
        if each.dtype == call.dtype:
            if not stands_as_computed(call, each):
                return None
            inputs.append(each)
        elif in_place:
            inputs.append(result)
        elif is_wide(each.dtype):
            return None
        else:
            inputs.append(empty_like(each, call.dtype))
    way = _way_of(call._replace(inputs=tuple(inputs)), result)
    if way is None:
        return None
    return _ways.after_casts(way, call.inputs, call.dtype, in_place=in_place)


def _way_of(call: Call, result: Array) -> Way | None:
    """The way of calls whose inputs are cast and whose temperatures are checked."""
    if call.is_single:
        singles = functools.partial(_plain.singles, call.operation)
        return _ways.of_singles(singles, call.inputs[0], call.dtype)
    operands = operands_of(call, call.dtype, result)
    plan = plan_for(operands, task_of(call))
    others = call.where, call.temperature if _has_temperatures(call) else None
    shapes = {each.shape for each in others if each is not None}
    if plan.views and shapes - {call.shape}:
        return None
    return _ways.of_results(plan, operands, call.dtype, call.workers, call.dims)


def _has_temperatures(call: Call) -> bool:
    """Whether calls like this come with temperatures, and not with one that is known."""
    return call.temperature is not None and call.temperature.size > 1
