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

from fastsoftmax import _launch, _shortcuts
from fastsoftmax._dtypes import FLOAT64
from fastsoftmax._extremes import are_exact, extremes, may_round
from fastsoftmax._facts import Direct, Facts
from fastsoftmax._memory import LARGE_BYTES, maker_like, numpy_empty
from fastsoftmax._plans import OnePass, Plan
from fastsoftmax._quiet import quiet
from fastsoftmax._recording import record_call
from fastsoftmax.kernels.strides import SECOND, SOURCE, TEMPERATURE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._geometry import Dims
    from fastsoftmax._shortcuts import Way

Array = np.ndarray[Any, Any]

INT64 = np.dtype(np.int64)

_shortcuts.record = record_call


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
    make = maker_like(operands[SOURCE], dtype, dims if plan.streaming else ())
    direct = _direct(plan, operands, dtype, workers)
    if direct is not None and direct.job is None:
        if not direct.besides and dtype == plan.dtype:
            return _shortest(plan, direct, make)
    elif isinstance(plan, OnePass) and plan.is_bare and plan.corner is None:
        return _short(plan, make, workers, direct)
    compute = computing(plan, operands, workers)

    def way(
        array: Array,
        out: Array | None = None,
        where: Array | None = None,
        second: Array | None = None,
        temperature: Array | None = None,
    ) -> Array | None:
        if not array.flags.aligned or not (second is None or second.flags.aligned):
            return None
        if out is None:
            out = make(array)
        elif not out.flags.aligned:
            return None
        compute(array, out, second, where, temperature)
        return out

    return known_for(way, plan.cost, direct)


def known_for(way: Way, cost: float, direct: Direct | None = None) -> Way:
    """A way whose calls may be recorded (`_recall`); they cost so many nanoseconds, roughly."""
    vars(way)["facts"] = Facts(cost, direct)
    return way


def _cost(*ways: Way) -> float:
    """What it costs to take several ways; those that nothing is known of are too long."""
    return sum(vars(way)["facts"].cost if "facts" in vars(way) else math.inf for way in ways)


def _shortest(plan: Plan, direct: Direct, make: Callable[[Array], Array]) -> Way:
    """The way of calls that need nothing but memory for the result, if that."""
    kernel = _launch.ready(direct.kernel, direct.stored)
    table, tasks, size, scratch = direct.table, direct.tasks, direct.scratch, _launch.own.bytes

    def way(array: Array, out: Array | None = None, *_: None) -> Array:
        if out is None:
            out = make(array)
        kernel(array, out, table, scratch(size), 0, tasks)
        return out

    return known_for(way, plan.cost, direct)


def _short(
    plan: OnePass, make: Callable[[Array], Array], workers: int | None, direct: Direct | None
) -> Way:
    """The same of calls that may take threads, or whose elements have to be aligned."""
    job = direct.job if direct is not None else None
    run, table = (job or plan.job(workers)).run, plan.table

    def way(array: Array, out: Array | None = None, *_: None) -> Array | None:
        if not array.flags.aligned:
            return None
        if out is None:
            out = make(array)
        elif not out.flags.aligned:
            return None
        run((array, out, table))
        return out

    return known_for(way, plan.cost, direct)


def _direct(
    plan: Plan, operands: tuple[Array, ...], dtype: np.dtype[Any], workers: int | None
) -> Direct | None:
    """What it takes to do without a way, if that is possible."""
    if not isinstance(plan, OnePass) or plan.corner is not None:
        return None
    source, _, *others = operands
    if plan.streaming:  # which needs elements to be aligned, as ways see to
        return None
    if others[TEMPERATURE - SECOND].size > 1:  # which is checked in each call
        return None
    job = None if plan.is_serial(workers) else plan.job(workers)
    is_large = source.size * dtype.itemsize >= LARGE_BYTES
    if is_large and job is None:  # which is not worth it
        return None
    flat = False  # large results are made by Python
    if not is_large:
        strides = maker_like(source, dtype)(source).strides
        flat = strides == numpy_empty(source.shape, dtype).strides  # axes of size 1 as well
    # Others than placeholders come with each call; those of the first one are not to be held.
    nothing = np.zeros(1)
    besides = tuple(each.reshape(1) if each.size == 1 else nothing for each in others)
    return Direct(
        plan.kernel,
        plan.dtype,
        plan.table,
        plan.tasks,
        plan.scratch,
        dtype,
        source.shape if flat else None,
        () if plan.is_bare else besides,
        job,
    )


def computing(plan: Plan, operands: tuple[Array, ...], workers: int | None) -> Callable[..., None]:
    """``compute(array, out, second, where, temperature, summary)``, for operands like these.

    None stands for what calls don't have.  A temperature that is no array is known already, and
    a summary `flat`.  Kernels are handed addresses alone: no array has to be viewed as they see it.
    """
    launch, flat = plan.launcher(workers), plan.flat
    is_tempered = operands[TEMPERATURE].size > 1
    # Others come with each call; those of the first one are not to be held.
    _, no_target, no_second, no_mask, degrees, no_summary = (
        flat(each) if each.size == 1 else None for each in operands
    )

    def compute(
        array: Array,
        out: Array | None,
        second: Array | None,
        where: Array | None,
        temperature: Array | None,
        summary: Array | None = no_summary,
    ) -> None:
        launch(
            (
                array,
                no_target if out is None else out,
                no_second if second is None else second,
                no_mask if where is None else where,
                temperature if is_tempered else degrees,
                summary,
            )
        )

    if plan.corner is None:
        return compute

    def compute_flat(*given: Array | None) -> None:
        count = 5 if is_tempered else 4
        arrays = [None if each is None else flat(each) for each in given[:count]]
        compute(*arrays, *given[count:])  # type: ignore[arg-type]

    return compute_flat


def of_singles(operation: Callable[..., Array], source: Array, dtype: np.dtype[Any]) -> Way:
    """The way of calls whose slices have one element; `operation` computes them."""
    make = maker_like(source, dtype)

    def way(
        array: Array, out: Array | None = None, where: Array | None = None, *_: Array | None
    ) -> Array:
        return operation(array, make(array) if out is None else out, where)

    return known_for(way, source.size)


def if_exact(way: Way, array: Array, dtype: np.dtype[Any]) -> Way:
    """The way of calls whose kernels read inputs like this one, if it `is_exact`."""
    if not may_round(array.dtype, dtype):
        return way

    def checked_first(array: Array, *others: Any) -> Any:
        return way(array, *others) if are_exact(array) else None

    return known_for(checked_first, array.size + _cost(way))


def with_temperatures(way: Way, least: float, most: float) -> Way:
    """The way of calls with an array of temperatures, which must lie between these two."""

    def checked_first(
        array: Array,
        out: Array | None,
        where: Array | None,
        second: Array | None,
        temperature: Array,
    ) -> Any:
        exact = temperature.dtype.kind == "f" and temperature.itemsize <= FLOAT64.itemsize
        degrees = temperature.astype(FLOAT64) if exact else quiet(temperature.astype, FLOAT64)
        smallest, largest = extremes(degrees)
        if not (least <= smallest and largest <= most):
            return None
        return way(array, out, where, second, degrees)

    return known_for(checked_first, _cost(way))


def after_casts(
    way: Way, inputs: tuple[Array, ...], dtype: np.dtype[Any], *, in_place: bool
) -> Way:
    """The way of calls with inputs like these, those of another dtype cast first.

    `in_place`: the one input is cast to where `way` writes its results.
    """
    first, *others = inputs
    rounds = in_place and may_round(first.dtype, dtype)
    makers = [None if each.dtype == dtype else maker_like(each, dtype) for each in inputs]
    make, make_second = makers[0], makers[1] if others else None

    def cast_first(
        array: Array,
        out: Array | None = None,
        where: Array | None = None,
        second: Array | None = None,
        temperature: Array | None = None,
    ) -> Any:
        if make is not None:
            cast = out if in_place and out is not None else make(array)
            quiet(np.copyto, cast, array, "unsafe")
            array = cast
            if rounds and not are_exact(cast):
                return None
        if make_second is not None and second is not None:
            cast = make_second(second)
            quiet(np.copyto, cast, second, "unsafe")
            second = cast
        return way(array, array if in_place else out, where, second, temperature)

    return known_for(cast_first, sum(each.size for each in inputs) + _cost(way))


def then_copied(way: Way | None) -> Way | None:
    """The way of calls whose fresh result is copied, and cast, to `out`."""
    if way is None:
        return None

    def copy_last(
        array: Array,
        out: Array,
        where: Array | None = None,
        second: Array | None = None,
        temperature: Array | None = None,
    ) -> Array | None:
        result = way(array, None, where, second, temperature)
        if result is None:
            return None
        quiet(np.copyto, out, result, "unsafe")
        return out

    return known_for(copy_last, _cost(way))


def both(way: Way | None, summary: Way | None) -> Way | None:
    """The way of calls that return the results of both; `out` may be the input."""
    if way is None or summary is None:
        return None

    def in_order(
        array: Array,
        out: Array | None = None,
        where: Array | None = None,
        second: Array | None = None,
        temperature: Array | None = None,
    ) -> Any:
        log_sums = summary(array, None, where)
        result = None if log_sums is None else way(array, out, where, second, temperature)
        return None if result is None else (result, log_sums)

    return known_for(in_order, _cost(way, summary))
