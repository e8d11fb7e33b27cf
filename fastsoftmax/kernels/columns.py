"""Slices that lie across memory: neighbours in memory belong to neighbouring slices.

For slices over any dim but the last (inner > 1).  A few hundred bytes' width of the slices
is packed into a tile that stays in the caches, computed there strip by strip, and written
out; strided memory is read once and written once.  Slices of more than one block go through
three kernels: their blocks reduced, joined (kernels/whole.py), and written (column_results.py).
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.cells import degrees_of, empty, fill, note, notes_for, summarise
from fastsoftmax.kernels.elements import computed_like
from fastsoftmax.kernels.memory import (
    advance,
    load_like,
    load_part,
    pointer,
    store,
    store_part,
    stream_fence,
)
from fastsoftmax.kernels.operands import kernel_over, split_kernel
from fastsoftmax.kernels.operations import (
    RESULTS,
    SUMMARY_WANTED,
    Operation,
    cool_for,
    heat_for,
    inputs_of,
    shifted,
)
from fastsoftmax.kernels.packing import (
    GROUP_BYTES,
    cell_of,
    clear_after,
    grid_of,
    tile_after,
    tile_in,
)
from fastsoftmax.kernels.strides import (
    SOURCE,
    TARGET,
    all_steps,
    described,
    last_step,
    run_at,
)
from fastsoftmax.kernels.sums import SINGLE, block_length, lane_count, lanes
from fastsoftmax.kernels.tiles import reduce_rows, reduce_strip, settle, strip_coefficients
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows, is_strip_gradual
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import any_of, choose, double, is_different, narrow
from fastsoftmax.kernels.whole import (
    SHIFT,
)
from fastsoftmax.kernels.workspaces import workspace


def _columns(operation: Operation, bare: bool) -> Any:
    @device
    def columns(bases, options, geometry, scratch, first, last):
        """All steps for the groups of slices `first` to `last` - 1, of one block each.

        A group is some neighbouring slices, see `grid_of`: the stride of the last axis of
        the batch is 1.
        """
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, streaming, width, _, plane, axes, dims = described(geometry)
        call, span, short = (axes, dims, options), (0, length), length <= SINGLE
        tile, pitch = tile_in(scratch, like, width)
        other = tile_after(tile, pitch, length, inputs_of(operation))
        clear_after(tile, pitch, length)
        tops, notes = workspace(like, GROUP_BYTES), notes_for(operation, like, GROUP_BYTES)
        # Rows of the next cell are asked for if they are the same step apart.
        step_ahead = last_step(dims, SOURCE) if dims[0] == 1 else 0
        streaming = streaming and options & RESULTS != 0
        grid = grid_of(axes, width, bases[TARGET], all_steps(dims, TARGET), streaming)
        group, strip = lanes(like), lane_count(like)
        justified = options & RESULTS == 0 or not expects_underflow(operation)
        for task in range(first, last):
            cell = cell_of(task, grid)
            low, high = cell[2], cell[3]
            if low >= high:
                continue
            fill(operation, bases, (tile, other), pitch, tops, cell, span, call)
            following = cell_of(min(task + 1, last - 1), grid)
            ahead = run_at(bases[SOURCE], following[0], following[1], axes, SOURCE)
            gradual = False
            for i in range(0, high, strip):
                degrees = degrees_of(operation, bases, cell, i, axes, group)
                scope = numbers, heat_for(operation, degrees, like)
                column, top = (advance(tile, i), advance(other, i)), load_like(tops, i, group)
                settled = settle(operation, column[0], pitch, length, top, scope)
                coming = advance(ahead, i), step_ahead
                state = reduce_strip(
                    operation, column, pitch, length, settled, scope, short, coming
                )
                found = strip_coefficients(operation, state, top, like, scope, short)
                note(notes, i, found, cool_for(operation, degrees, like))
                if not gradual:
                    gradual = is_strip_gradual(operation, column[0], pitch, length, found)
                    justified |= gradual
                if options & SUMMARY_WANTED != 0:
                    setting = axes, plane, degrees, like
                    known = state, top, found
                    summarise(operation, known, bases, cell, i, scope, setting)
            if options & RESULTS != 0:
                tiles, how = (tile, other), (grid[4], gradual)
                empty(operation, bases, tiles, pitch, notes, cell, span, call, how)
        if not justified:
            forget_underflows()
        if streaming:
            stream_fence(bases[TARGET])

    return kernel_over(columns, f"columns-{operation.name}", bare=bare)


# --- Slices of more than one block ----------------------------------------------------


@formula
def load_columns(state: Value, index: Any, like: Value, first: Value, last: Value) -> Value:
    """The numbers `first` to `last` - 1 from `index` on, in float64; 0 elsewhere."""
    return load_part(state, index, double(like), first, last, 0.0)


@device
def shift_strip(operation: Any, column: Any, pitch: Any, length: Any, by: Any, top: Any) -> Any:
    """Shift the slices of a strip by the numbers `by` where they are not 0."""
    wanted = is_different(by, 0.0)
    if any_of(wanted):
        for j in range(length):
            x = load_like(column, j * pitch, by)
            store(column, j * pitch, choose(wanted, shifted(operation, x, by), x))
        return choose(wanted, shifted(operation, top, by), top)
    return top


def _reduce_columns(operation: Operation) -> Any:
    @device
    def reduce_columns(bases, slices, blocks, geometry, scratch, first, last):
        """Fill `blocks` for the tasks `first` to `last` - 1: all blocks of a group in turn."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, width, options, _, axes, dims = described(geometry)
        call, size = (axes, dims, options), block_length(like)
        tile, pitch = tile_in(scratch, like, width)
        other = tile_after(tile, pitch, size, inputs_of(operation))
        clear_after(tile, pitch, size)
        clear_after(tile, pitch, length % size)
        tops = workspace(like, GROUP_BYTES)
        state, of_slices = pointer(blocks), pointer(slices)
        grid = grid_of(axes, width, bases[SOURCE], 0, False)
        per_slice, all_slices = blocks.shape[1], blocks.shape[2]
        group, strip = lanes(like), lane_count(like)
        for task in range(first, last):
            block = task % per_slice
            cell = cell_of(task // per_slice, grid)
            low, high = cell[2], cell[3]
            if low >= high:
                continue
            rows_here = min(size, length - block * size)
            span = block * size, rows_here
            fill(operation, bases, (tile, other), pitch, tops, cell, span, call)
            slice_ = cell[0] * grid[2] + cell[1]
            mine = advance(of_slices, SHIFT * all_slices + slice_)
            here = advance(state, block * all_slices + slice_)
            for i in range(0, high, strip):
                degrees = degrees_of(operation, bases, cell, i, axes, group)
                scope = numbers, heat_for(operation, degrees, like)
                column, top = (advance(tile, i), advance(other, i)), load_like(tops, i, group)
                by = narrow(load_columns(mine, i, group, low - i, high - i), like)
                top = shift_strip(operation, column[0], pitch, rows_here, by, top)
                found = reduce_rows(operation, column, pitch, rows_here, top, scope)
                keep_states(here, per_slice * all_slices, i, found, low - i, high - i)

    return split_kernel(reduce_columns, f"reduce-columns-{operation.name}")


@formula
def keep_states(state: Value, part: Value, i: Value, found: Any, first: Any, last: Any) -> None:
    """Write the states of the slices `first` to `last` - 1 of a strip."""
    for number, value in enumerate(found):
        store_part(state, part * number + i, value, first, last)


columns = functools.cache(_columns)
reduce_columns = functools.cache(_reduce_columns)
