"""Ways of calls that want the summaries of slices, or more of them by these."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastsoftmax._memory import numpy_empty
from fastsoftmax._quiet import quiet
from fastsoftmax._ways import INT64, Array, computing, known_for

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from fastsoftmax._plans import Plan
    from fastsoftmax._shortcuts import Way


def of_summaries(
    plan: Plan,
    operands: tuple[Array, ...],
    result: Array,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    workers: int | None,
) -> Way:
    """The same for the first part of summaries like `result`, in this shape and dtype."""
    last = plan.flat(operands[-1])
    begin = (last.ctypes.data - result.ctypes.data) // result.itemsize
    parts, slices, empty = result.size, math.prod(shape), numpy_empty
    compute, is_line = computing(plan, operands, workers), len(shape) == 1

    def way(
        array: Array, _out: None = None, where: Array | None = None, *_: Array | None
    ) -> Array | None:
        if not array.flags.aligned:
            return None
        found = empty(parts)
        compute(array, None, None, where, None, found[begin:] if begin else found)
        log_sums: Array = quiet(found[:slices].astype, dtype)
        if is_line:
            return log_sums
        return log_sums.reshape(shape) if shape else log_sums[0]

    return known_for(way, plan.cost)


def of_losses(
    plans: tuple[Plan, Plan],
    operands: tuple[Array, ...],
    shape: tuple[int, ...],
    finish: Callable[[Array, Array], Any],
    workers: int | None,
) -> Way:
    """What `finish` makes of the losses at one element of each slice, summaries in `shape`.

    The second input is which, and `finish` gets it, too; a loss is NaN where there is none.
    """
    _, *placeholders, _, _ = operands
    launch, pick = (plan.launcher(workers) for plan in plans)
    slices, parts, empty = math.prod(shape[1:]), math.prod(shape), numpy_empty

    def way(array: Array, _out: None, _where: None, given: Array, *_: Any) -> Any:
        places = given
        if places.dtype != INT64:
            places = places.astype(INT64)  # what is too large becomes negative
        if not (array.flags.aligned and places.flags.aligned):
            return None
        summary = empty(parts)
        launch((array, *placeholders, summary))
        pick((array, *placeholders, summary, places))
        return finish(summary[:slices], given)

    return known_for(way, sum(plan.cost for plan in plans))


def of_leaders(
    plans: tuple[Plan, Plan],
    operands: tuple[Array, ...],
    result: Array,
    size: int,
    finish: Callable[[Array, Array], Any],
    workers: int | None,
) -> Way:
    """What `finish` makes of the largest probabilities and their places.

    `operands` are those of the first plan, and `size` is that of the memory that both share.
    """
    _, no_target, *placeholders, _ = operands
    summarise, lead = (plan.launcher(workers) for plan in plans)
    shape, dtype, empty = result.shape, result.dtype, numpy_empty

    def way(array: Array, *_: Any) -> Any:
        if not array.flags.aligned:
            return None
        memory, results, places = empty(size), empty(shape, dtype), empty(shape, INT64)
        summarise((array, no_target, *placeholders, memory))
        lead((array, results, *placeholders, memory, places))
        return finish(results, places)

    return known_for(way, sum(plan.cost for plan in plans))
