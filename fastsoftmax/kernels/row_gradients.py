"""Gradients of long slices along memory, with no mask and with one temperature.

Sums need no exponentials, and nothing is worth keeping: both inputs are read where they stand, for
their sums and then, from the first-level cache, for the results.  Some slices at a time go through
both steps: the end of a sum, where operations wait for one another, runs beside the beginning of
the next.  softmax_backward of (64, 1000) float32 took 12.5 µs on one thread as other operations go,
and takes 10.3.

For slices of more than `sums.SINGLE` elements; others are in kernels/narrow_gradients.py.  Those of
log_softmax, whose blocks have frames of their own, are one block at the most.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.block_results import write_block
from fastsoftmax.kernels.cells import common_degree
from fastsoftmax.kernels.elements import computed_like, fetch_left
from fastsoftmax.kernels.gradient_steps import (
    KNOWN_BYTES,
    MOST_SLICES,
    NUMBERS_BYTES,
    are_above_0,
    note_known,
    scope_at,
)
from fastsoftmax.kernels.groups import ask_for, ask_soon
from fastsoftmax.kernels.memory import advance, clear, stream_fence
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import Operation, cool_for
from fastsoftmax.kernels.shuffles import largest, lower_half
from fastsoftmax.kernels.steps import add_inputs, begin, folded, join_totals, totals
from fastsoftmax.kernels.strides import (
    SECOND,
    SOURCE,
    TARGET,
    described,
    results_ahead,
    slice_at,
    zero,
)
from fastsoftmax.kernels.sums import block_length, join, lane_count, lanes, parts_of, total_of
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import maximum, vector_count
from fastsoftmax.kernels.workspaces import workspace, workspace_double

_SOON_SHARE = 16
"""Elements that are near are asked for so much of a block ahead."""


@formula
def _raised(
    operation: Operation, sums: Any, inputs: Any, j: Any, left: Value | None, like: Value
) -> Any:
    """The sums of half of the lanes with the elements from `j` on, or those that are left.

    The others count as 0, which makes no difference: no sum is -0, as they begin with 0.
    """
    group = lower_half(lanes(like))
    return add_inputs(operation, sums, *(fetch_left(each, j, group, left) for each in inputs))


@formula
def _raised_tops(operation: Operation, tops: Value, x: Value, j: Any, left: Value | None) -> Value:
    """The maxima, if they make a difference, raised to the elements from `j` on.

    Those that are not left count as 0, and so does whatever is less (`outcomes.framed_top`).
    """
    return maximum(fetch_left(x, j, tops, left), tops) if operation.has_frame else tops


@device
def _reduce(operation: Any, x: Any, g: Any, count: Any, streaming: Any, like: Any) -> Any:
    """``(top, high, low)`` of a block: its maximum, 0 at the least, and its total."""
    inputs, group, step = (x, g), lanes(like), lane_count(like)
    lower = upper = begin(operation, lower_half(group))
    half, tops = step // 2, group
    whole, ahead = count - count % step, block_length(like)
    if streaming:
        for j in range(0, whole, step):
            ask_for(x, j + ahead, group)
            ask_for(g, j + ahead, group)
            lower = _raised(operation, lower, inputs, j, None, like)
            upper = _raised(operation, upper, inputs, j + half, None, like)
            tops = _raised_tops(operation, tops, x, j, None)
    else:
        ahead //= _SOON_SHARE
        for j in range(0, whole, step):
            ask_soon(x, j + ahead, group)
            ask_soon(g, j + ahead, group)
            lower = _raised(operation, lower, inputs, j, None, like)
            upper = _raised(operation, upper, inputs, j + half, None, like)
            tops = _raised_tops(operation, tops, x, j, None)
    left = count - whole
    if left > half:
        lower = _raised(operation, lower, inputs, whole, None, like)
        upper = _raised(operation, upper, inputs, whole + half, left - half, like)
    elif left > 0:
        lower = _raised(operation, lower, inputs, whole, left, like)
    if left > 0:
        tops = _raised_tops(operation, tops, x, whole, left)
    both = join_totals(totals(operation, lower, False), totals(operation, upper, False))
    high, low, _ = folded(both)
    return largest(tops) if are_above_0(tops) else zero(like), high, low


@formula
def _joined(a: Any, b: Any, like: Value) -> Any:
    """The parts of the total of two totals."""
    return parts_of(join(total_of(*a, like), total_of(*b, like)))


def _row_gradients(operation: Operation) -> Any:
    @device
    def row_gradients(bases, _options, geometry, _scratch, first, last):
        """All steps for the slices `first` to `last` - 1."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        cool = cool_for(operation, common_degree(operation, bases), like)
        length, streaming, most, _, _, batch, _ = described(geometry)
        ahead = results_ahead(geometry, bases[TARGET])
        size = block_length(like)
        tops, known = workspace(like, NUMBERS_BYTES), workspace(like, KNOWN_BYTES)
        highs, lows = workspace_double(like, NUMBERS_BYTES), workspace_double(like, NUMBERS_BYTES)
        # What stands for slices that are not there.
        clear(tops, MOST_SLICES)
        clear(highs, MOST_SLICES)
        clear(lows, MOST_SLICES)
        for start in range(first, last, most):
            count = min(most, last - start)
            for i in range(count):
                x = slice_at(bases[SOURCE], start + i, batch, SOURCE)
                g = slice_at(bases[SECOND], start + i, batch, SECOND)
                top, high, low = _reduce(operation, x, g, min(size, length), streaming, like)
                if length > size:  # as blocks are joined elsewhere, beginning with 0
                    high, low = _joined((0.0, 0.0), (high, low), like)
                for j in range(size, length, size):
                    x, g, left = advance(x, size), advance(g, size), min(size, length - j)
                    _, more, rest = _reduce(operation, x, g, left, streaming, like)
                    high, low = _joined((high, low), (more, rest), like)
                tops[i], highs[i], lows[i] = top, high, low
            for i in range(0, count, vector_count(like)):
                note_known(operation, known, i, (tops, highs, lows), numbers)
            for i in range(count):
                x = slice_at(bases[SOURCE], start + i, batch, SOURCE)
                g = slice_at(bases[SECOND], start + i, batch, SECOND)
                out = slice_at(bases[TARGET], start + i, batch, TARGET)
                scope = scope_at(operation, known, i, numbers, cool)
                write_block(operation, x, g, out, length, scope, ahead)
        if streaming:
            stream_fence(bases[TARGET])

    return kernel_over(row_gradients, f"row-gradients-{operation.name}", bare=False)


row_gradients = functools.cache(_row_gradients)
