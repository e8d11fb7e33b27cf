"""Calls for what is known of whole slices: log-sum-exp, losses, the largest elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastsoftmax import _summary_ways, _temperature, _ways
from fastsoftmax._casts import cast_rounding, is_ready, stands_as_computed
from fastsoftmax._compute import (
    operands_of,
    operation_of,
    options_of,
    stored_of,
)
from fastsoftmax._dtypes import FLOAT32, kernel_dtype
from fastsoftmax._layout import leading_plan, picking_plan, plan_for
from fastsoftmax._memory import empty_like
from fastsoftmax._plans import NOTHING
from fastsoftmax._quiet import quiet
from fastsoftmax._task import Task
from fastsoftmax.kernels import operations as ops
from fastsoftmax.kernels.outcomes import SUMMARY_PARTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._compute import Call
    from fastsoftmax._plans import Plan
    from fastsoftmax._shortcuts import Way

Array = np.ndarray[Any, Any]


def summary(call: Call) -> Array:
    """``(3, ...)``: log-sum-exp, max and log of each slice, in float64, dims kept as 1.

    See `outcomes.summary`; inputs are not empty, and of a dtype that kernels compute.
    """
    result, operands, task = _summing(call)
    plan_for(operands, task).run(operands, call.workers)
    return result


def summary_shortcut(call: Call, shape: tuple[int, ...]) -> Way | None:
    """The way of calls like this one to their log-sum-exp, of this shape; see `shortcut`."""
    array = call.inputs[0]
    stands = array.dtype == call.dtype or stands_as_computed(call, array)
    cast = array if stands else empty_like(array, call.dtype)
    if array.size == 0 or not stands_as_computed(call, cast):
        return None
    call = call._replace(inputs=(cast,))
    result, operands, task = _summing(call)
    plan = plan_for(operands, task)
    if plan.corner is not None and call.where is not None and call.where.shape != call.shape:
        return None
    way = _summary_ways.of_summaries(plan, operands, result, shape, call.dtype, call.workers)
    if cast is array:
        return way
    return _ways.after_casts(way, (array,), call.dtype, in_place=False)


def losses(call: Call, places: Array) -> Array:
    """`summary`, with -log softmax at one element of each slice in place of log-sum-exp.

    `places` are int64, contiguous and one for each slice.
    """
    result, operands, task = _summing(call)
    plan_for(operands, task).run(operands, call.workers)
    operands = *operands, _spread(call, places)
    picking_plan(operands, task).run(operands, call.workers)
    return result


def losses_shortcut(call: Call, places: Array, finish: Callable[[Array, Array], Any]) -> Way | None:
    """The way of calls like this one, and with places like these, to their losses.

    That is, to what `finish` makes of them, in float64 and flat, and of the places.
    """
    if not stands_as_computed(call, call.inputs[0]):
        return None
    result, operands, task = _summing(call)
    plan = plan_for(operands, task)
    if plan.corner is not None:
        return None
    operands = *operands, _spread(call, places)
    plans = plan, picking_plan(operands, task)
    way = _summary_ways.of_losses(plans, operands, result.shape, finish, call.workers)
    return _ways.if_exact(way, call.inputs[0], call.dtype)


def _summing(call: Call) -> tuple[Array, tuple[Array, ...], Task]:
    """Memory for the summary of a call, and what kernels need to write it."""
    result = np.empty((SUMMARY_PARTS, *call.kept))
    call, operands = _reading(call, _spread(call, result[0, ...]))
    return (
        result,
        operands,
        Task(operation_of(call), options_of(call) | ops.SUMMARY_WANTED, call.dims),
    )


def _spread(call: Call, each: Array) -> Array:
    """Numbers of the slices, as an operand of the shape of the input."""
    return np.broadcast_to(each.reshape(call.kept), call.shape)


def leaders(call: Call, count: int) -> tuple[Array, Array]:
    """The `count` largest probabilities of each slice and their places, in order.

    They come after all other dims; calls as for `summary`.
    """
    found = _leading(call, count)
    for plan, operands in zip(found.plans, (found.summing, found.leading), strict=True):
        plan.run(operands, call.workers)
    return quiet(found.results.astype, call.dtype, copy=False), found.places


def leaders_shortcut(call: Call, count: int, finish: Callable[[Array, Array], Any]) -> Way | None:
    """The way of calls like this one to what `finish` makes of `leaders`."""
    if call.where is not None or not stands_as_computed(call, call.inputs[0]):
        return None
    if call.temperature is not None and (
        call.temperature.size > 1 or not _temperature.is_usual(call.temperature, FLOAT32)
    ):
        return None
    found = _leading(call, count)
    if found.plans[0].corner is not None:
        return None
    way = _summary_ways.of_leaders(
        found.plans, found.summing, found.results, found.memory.size, finish, call.workers
    )
    return _ways.if_exact(way, call.inputs[0], call.dtype)


class _Leading(NamedTuple):
    """Memory for the leaders of a call, and the two plans that fill it with their operands."""

    memory: Array
    """What is known of each slice, and its leaders."""
    results: Array
    places: Array
    plans: tuple[Plan, Plan]
    summing: tuple[Array, ...]
    leading: tuple[Array, ...]


def _leading(call: Call, count: int) -> _Leading:
    work = kernel_dtype(call.dtype)
    assert work is not None  # others are `_plain`
    call = _temperature.with_usual(call)
    stored = stored_of(call, work)
    memory = np.empty((*call.outer, SUMMARY_PARTS + count))
    # The input is read as softmax reads it.
    summing = operands_of(call, stored, NOTHING[1].astype(stored), _spread(call, memory[..., 0]))
    results = np.empty((*call.outer, count), stored)
    places = np.empty(results.shape, np.int64)
    array, no_target, *others = summing
    target, homes = (
        _spread(call, each[..., 0]) for each in (results.view(no_target.dtype), places)
    )
    leading = array, target, *others, homes
    task = Task(operation_of(call), options_of(call), call.dims)
    wanted = task._replace(options=task.options | ops.SUMMARY_WANTED)
    plans = plan_for(summing, wanted, plane=1), leading_plan(leading, task, count)
    return _Leading(memory, results, places, plans, summing, leading)


def _reading(call: Call, summary: Array) -> tuple[Call, tuple[Array, ...]]:
    """A call that writes nothing but its summary, and its operands."""
    work = kernel_dtype(call.dtype)
    assert work is not None  # others are `_plain`
    call = _temperature.with_usual(call)
    stored = stored_of(call, work)
    array = call.inputs[0]
    if not is_ready(call, array, stored):
        target = empty_like(array, stored)
        cast_rounding(call, array, target)
        call = call._replace(inputs=(target,), dtype=stored)
    return call, operands_of(call, stored, NOTHING[1].astype(stored), summary)
