"""Gradients of softmax along memory, with no mask or temperature.

There are no exponentials, so nothing is worth keeping: both inputs are read where they stand, for
their sums and then, from the first-level cache, for the results.  Some slices at a time go through
both steps: the end of a sum, where operations wait for one another, runs beside the beginning of
the next.  (64, 1000) float32 took 12.5 µs on one thread as other operations go, and takes 10.3.

For slices of more than `sums.SINGLE` elements; others are in kernels/narrow_gradients.py.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.block_results import write_block
from fastsoftmax.kernels.elements import computed_like, fetch_left
from fastsoftmax.kernels.groups import ask_for, ask_soon
from fastsoftmax.kernels.memory import advance, stream_fence, workspace
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import (
    Operation,
    add_inputs,
    begin,
    folded,
    join_totals,
    totals,
)
from fastsoftmax.kernels.outcomes import coefficients
from fastsoftmax.kernels.strides import (
    SECOND,
    SOURCE,
    TARGET,
    described,
    results_ahead,
    slice_at,
)
from fastsoftmax.kernels.sums import block_length, join, lane_count, lanes, parts_of, total_of
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import lower_half

MOST_SLICES = 16
"""Slices that go through each step together, at the most."""
_NUMBERS_BYTES = 8 * MOST_SLICES
_SOON_SHARE = 16
"""Elements that are near are asked for so much of a block ahead."""


@formula
def quotient(operation: Operation, high: Value, low: Value, like: Value) -> Any:
    """The coefficients of slices with these totals."""
    state = high, high, high, low, low  # of which nothing counts but the total
    return coefficients(operation, state, high, like, None, None, False)


@formula
def _raised(
    operation: Operation, sums: Any, inputs: Any, j: Any, left: Value | None, like: Value
) -> Any:
    """The sums of half of the lanes with the elements from `j` on, or those that are left.

    The others count as 0, which makes no difference: no sum is -0, as they begin with 0.
    """
    group = lower_half(lanes(like))
    return add_inputs(operation, sums, *(fetch_left(each, j, group, left) for each in inputs))


@device
def _total(operation: Any, x: Any, g: Any, count: Any, streaming: Any, like: Any) -> Any:
    """``(high, low)``, the total of a block."""
    inputs, group, step = (x, g), lanes(like), lane_count(like)
    lower = upper = begin(operation, lower_half(group))
    half = step // 2
    whole, ahead = count - count % step, block_length(like)
    if streaming:
        for j in range(0, whole, step):
            ask_for(x, j + ahead, group)
            ask_for(g, j + ahead, group)
            lower = _raised(operation, lower, inputs, j, None, like)
            upper = _raised(operation, upper, inputs, j + half, None, like)
    else:
        ahead //= _SOON_SHARE
        for j in range(0, whole, step):
            ask_soon(x, j + ahead, group)
            ask_soon(g, j + ahead, group)
            lower = _raised(operation, lower, inputs, j, None, like)
            upper = _raised(operation, upper, inputs, j + half, None, like)
    left = count - whole
    if left > half:
        lower = _raised(operation, lower, inputs, whole, None, like)
        upper = _raised(operation, upper, inputs, whole + half, left - half, like)
    elif left > 0:
        lower = _raised(operation, lower, inputs, whole, left, like)
    both = join_totals(totals(operation, lower, False), totals(operation, upper, False))
    high, low, _ = folded(both)
    return high, low


@formula
def _joined(a: Any, b: Any, like: Value) -> Any:
    """The parts of the total of two totals."""
    return parts_of(join(total_of(*a, like), total_of(*b, like)))


def _row_gradients(operation: Operation) -> Any:
    @device
    def row_gradients(bases, _options, geometry, _scratch, first, last):
        """All steps for the slices `first` to `last` - 1."""
        like = computed_like(bases[TARGET])
        length, streaming, most, _, _, batch, _ = described(geometry)
        ahead = results_ahead(geometry, bases[TARGET])
        size = block_length(like)
        upper, lower = workspace(like, _NUMBERS_BYTES), workspace(like, _NUMBERS_BYTES)
        for start in range(first, last, most):
            count = min(most, last - start)
            for i in range(count):
                x = slice_at(bases[SOURCE], start + i, batch, SOURCE)
                g = slice_at(bases[SECOND], start + i, batch, SECOND)
                found = _total(operation, x, g, min(size, length), streaming, like)
                if length > size:  # as blocks are joined elsewhere, beginning with 0
                    found = _joined((0.0, 0.0), found, like)
                for j in range(size, length, size):
                    x, g, left = advance(x, size), advance(g, size), min(size, length - j)
                    block = _total(operation, x, g, left, streaming, like)
                    found = _joined(found, block, like)
                upper[i], lower[i] = quotient(operation, found[0], found[1], like)
            for i in range(count):
                x = slice_at(bases[SOURCE], start + i, batch, SOURCE)
                g = slice_at(bases[SECOND], start + i, batch, SECOND)
                out = slice_at(bases[TARGET], start + i, batch, TARGET)
                scope = (upper[i], lower[i]), None
                write_block(operation, x, g, out, length, scope, ahead)
        if streaming:
            stream_fence(bases[TARGET])

    return kernel_over(row_gradients, f"row-gradients-{operation.name}", bare=False)


row_gradients = functools.cache(_row_gradients)
