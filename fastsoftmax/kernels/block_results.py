"""The results of blocks along memory: made of what was kept of them, and written."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.along import result_anew
from fastsoftmax.kernels.elements import (
    computed_like,
    fetch,
    fetch_part,
    put,
    put_part,
    put_past_caches,
)
from fastsoftmax.kernels.groups import ask_to_write
from fastsoftmax.kernels.masks import hide
from fastsoftmax.kernels.memory import advance, elements_before_line, prefetch_to_write
from fastsoftmax.kernels.operations import (
    COPY,
    MASKED,
    Operation,
    gradual_of,
    hidden_result,
    shifted,
)
from fastsoftmax.kernels.steps import result
from fastsoftmax.kernels.strides import MASK, TARGET, is_row, scatter, slice_at
from fastsoftmax.kernels.sums import lane_count, lanes
from fastsoftmax.kernels.underflow import is_gradual
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import vector, vector_count


@formula
def write_group(
    operation: Operation,
    x: Value,
    g: Value,
    out: Value,
    j: Any,
    bounds: Any,
    scope: Any,
    streaming: bool,
    group: Value,
) -> None:
    """Write the results of as many elements as `group` has, from `j` on.

    All, or those within ``(first, last)``.
    """
    if bounds is None:
        first = fetch(x, j, group)
        second = fetch(g, j, group) if operation.inputs == 2 else None
        found = result_of(operation, first, second, scope)
        (put_past_caches if streaming else put)(out, j, found)
        return
    first = fetch_part(x, j, group, *bounds, 0.0)
    second = fetch_part(g, j, group, *bounds, 0.0) if operation.inputs == 2 else None
    put_part(out, j, result_of(operation, first, second, scope), *bounds)


def result_of(operation: Operation, x: Value, g: Any, scope: Any) -> Value:
    """The results of elements, by the scope of `keep_block`, `leave_block` or `scope_at`."""
    coefficients, cool, *left = scope
    if not left:
        return result(operation, x, g, coefficients, cool)
    numbers, frame, heat, factor, *by = left
    if by:
        x = shifted(operation, x, *by)
    return result_anew(operation, x, g, frame, (factor, *coefficients), (numbers, heat, cool))


@device
def write_block(
    operation: Any, x: Any, g: Any, out: Any, count: Any, scope: Any, ahead: Any
) -> None:
    """Write the results of a block whose elements are neighbours, as `results_ahead` has it."""
    like = computed_like(out)
    group, part, step = lanes(like), vector(like), lane_count(like)
    lead = 0
    if ahead < 0:
        lead = min(elements_before_line(out), count)
        # Lines that two blocks share are written twice, through the caches.
        prefetch_to_write(out, 0)
        prefetch_to_write(out, count - 1)
    whole = lead + (count - lead) // step * step
    if ahead < 0:
        for j in range(lead, whole, step):
            write_group(operation, x, g, out, j, None, scope, True, group)
    else:
        for j in range(lead, whole, step):
            ask_to_write(out, j + ahead, group)
            write_group(operation, x, g, out, j, None, scope, False, group)
    if lead > 0:
        # As the end of a line: the line after it is past the caches already, and a store
        # that reaches into it, if only with elements that are masked, would fetch it back.
        write_group(operation, x, g, out, lead - step, (step - lead, None), scope, False, group)
    while whole + vector_count(like) <= count:
        write_group(operation, x, g, out, whole, None, scope, False, part)
        whole += vector_count(like)
    if whole < count:
        write_group(operation, x, g, out, whole, (None, count - whole), scope, False, part)


@device
def _write(operation: Any, x: Any, g: Any, out: Any, count: Any, scope: Any, ahead: Any) -> Any:
    """`write_block`, gradually if need be; returns whether it was."""
    if is_gradual(operation, x, count, scope[0]):
        write_block(gradual_of(operation), x, g, out, count, scope, ahead)
        return True
    write_block(operation, x, g, out, count, scope, ahead)
    return False


@device
def deliver(
    operation: Any,
    bases: Any,
    slice_: Any,
    start: Any,
    count: Any,
    block: Any,
    scope: Any,
    call: Any,
    results: Any,
    ahead: Any,
) -> Any:
    """Write the results of a block ``(kept, second input)`` to where they belong.

    Returns whether some were subnormal (kernels/gradual.py).
    """
    batch, dims, options = call
    x, g = block
    out = slice_at(bases[TARGET], slice_, batch, TARGET)
    if is_row(dims, TARGET) and options & MASKED == 0:
        return _write(operation, x, g, advance(out, start), count, scope, ahead)
    gradual = _write(operation, x, g, results, count, scope, 0)
    if options & MASKED != 0:
        shown = slice_at(bases[MASK], slice_, batch, MASK)
        hide(results, shown, start, count, dims, hidden_result(operation, results))
    if is_row(dims, TARGET):
        copy_out(results, advance(out, start), count, ahead)
    else:
        scatter(results, out, start, count, dims)
    return gradual


@device
def copy_out(results: Any, out: Any, count: Any, ahead: Any) -> None:
    """Write `count` results that are neighbours as they are."""
    nothing = (lanes(results), lanes(results)), None
    write_block(COPY, results, results, out, count, nothing, ahead)
