"""Columns of one block, with no mask or temperature: three cells at once.

As in `sweep`, memory and arithmetic would wait for each other in turn.  So while the
sums of a cell are taken in one tile, the results of the cell before leave the other one and
the elements of the cell that follows take their places, row after row (kernels/exchanges.py).
Where there are two inputs there are two tiles of each.  Where only summaries are wanted, nothing
leaves.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.cells import degrees_of, note, notes_for, summarise
from fastsoftmax.kernels.elements import computed_like
from fastsoftmax.kernels.exchanges import (
    LEAVE_NOTHING,
    LEAVE_PAST_CACHES,
    LEAVE_THROUGH_CACHES,
    is_whole,
    reduce_beside,
    rows_ahead,
)
from fastsoftmax.kernels.memory import advance, line_count, load_like, store, stream_fence
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import (
    NEGATIVE_INFINITY,
    SUMMARY_WANTED,
    Operation,
    gradual_of,
    inputs_of,
)
from fastsoftmax.kernels.packing import (
    GROUP_BYTES,
    cell_of,
    clear_after,
    grid_of,
    pack,
    tile_after,
    tile_in,
    unpack,
)
from fastsoftmax.kernels.strides import (
    SECOND,
    SOURCE,
    TARGET,
    described,
    is_in_memory,
    run_at,
    strides_of,
)
from fastsoftmax.kernels.sums import SINGLE
from fastsoftmax.kernels.tiles import (
    reduce_strip,
    settle,
    strip_coefficients,
    strip_count,
    strip_like,
)
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows, is_strip_gradual
from fastsoftmax.kernels.vectors import splat
from fastsoftmax.kernels.workspaces import workspace


@device
def _inputs_at(operation: Any, bases: Any, cell: Any, axes: Any) -> Any:
    """Where the elements of a cell begin in the inputs; the first one stands for a second."""
    x = run_at(bases[SOURCE], cell[0], cell[1], axes, SOURCE)
    if inputs_of(operation) == 2:
        return x, run_at(bases[SECOND], cell[0], cell[1], axes, SECOND)
    return x, x


@device
def _fill(operation: Any, tiles: Any, pitch: Any, tops: Any, inputs: Any, cell: Any) -> None:
    """Pack the elements of a cell by themselves; `inputs` are their addresses and row steps."""
    (x, step_in), (g, step_second), length = inputs
    pack(tiles[0], pitch, tops, x, step_in, length, cell[2], cell[3])
    if inputs_of(operation) == 2:
        unused = workspace(tiles[1], GROUP_BYTES)
        pack(tiles[1], pitch, unused, g, step_second, length, cell[2], cell[3])


@device
def _empty(
    operation: Any,
    tiles: Any,
    pitch: Any,
    notes: Any,
    out: Any,
    rows: Any,
    cell: Any,
    how: Any,
) -> None:
    """Write the results of a cell by themselves; `how`: streaming, gradually."""
    (step, length), (streaming, gradual) = rows, how
    low, high = cell[2], cell[3]
    if low >= high:
        return
    if gradual:
        makes = gradual_of(operation)
        unpack(makes, tiles, pitch, notes, out, step, length, low, high, streaming)
    else:
        unpack(operation, tiles, pitch, notes, out, step, length, low, high, streaming)


def _strips(operation: Operation, writes: bool) -> Any:
    inputs = operation.inputs

    @device
    def strips(bases, options, geometry, scratch, first, last):
        """All steps for the groups of slices `first` to `last` - 1, of one block each.

        Groups as in `columns`.
        """
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, streaming, width, _, plane, axes, dims = described(geometry)
        tile, pitch = tile_in(scratch, like, width)
        tiles = tile, tile_after(tile, pitch, length, inputs)
        other = tile_after(tiles[1], pitch, length, 2)
        others = other, tile_after(other, pitch, length, inputs)
        for each in (*tiles, *others):
            clear_after(each, pitch, length)
        tops, tops_below = workspace(like, GROUP_BYTES), workspace(like, GROUP_BYTES)
        notes, notes_above = (
            notes_for(operation, like, GROUP_BYTES),
            notes_for(operation, like, GROUP_BYTES),
        )
        step_in, step_out = strides_of(dims, SOURCE)[0], strides_of(dims, TARGET)[0]
        step_second = strides_of(dims, SECOND)[0] if inputs == 2 else 0
        grid = grid_of(axes, width, bases[TARGET], step_out, streaming and writes)
        leaving = LEAVE_THROUGH_CACHES if writes else LEAVE_NOTHING
        leaving = LEAVE_PAST_CACHES if grid[4] else leaving
        group, strip = strip_like(like), strip_count(like)
        # Cells that don't reach over a run are all alike, be they as wide as a tile or not.
        whole = min(width, axes[1][axes[0] - 1])
        steps, scope = (pitch, step_out, step_in, step_second, whole), (numbers, None)
        short, in_memory = length <= SINGLE, is_in_memory(geometry)
        line_ = line_count(bases[SOURCE])
        ahead_in = rows_ahead(whole, step_in, line_) * step_in
        ahead_out = rows_ahead(whole, step_out, line_) * step_out
        ahead_second = rows_ahead(whole, step_second, line_) * step_second
        gradual, justified = False, not expects_underflow(operation)
        above = cell = cell_of(first, grid)
        x, g = _inputs_at(operation, bases, cell, axes)
        _fill(operation, tiles, pitch, tops, ((x, step_in), (g, step_second), length), cell)
        for task in range(first, last):
            below, after = (
                cell_of(min(task + 1, last - 1), grid),
                cell_of(min(task + 2, last - 1), grid),
            )
            x, g = _inputs_at(operation, bases, below, axes)
            out = run_at(bases[TARGET], above[0], above[1], axes, TARGET)
            # What a cell does beside the others, every strip of it does.
            together = cell[3] == whole and is_whole(below, whole) and task < last - 1
            if writes:
                together = together and is_whole(above, whole) and task > first
                together = together and not gradual
            if together:
                for i in range(0, whole, strip):
                    store(tops_below, i, splat(NEGATIVE_INFINITY, group))
            else:
                if task > first and writes:
                    _empty(
                        operation,
                        others,
                        pitch,
                        notes_above,
                        out,
                        (step_out, length),
                        above,
                        (grid[4], gradual),
                    )
                if task + 1 < last:
                    given = (x, step_in), (g, step_second), length
                    _fill(operation, others, pitch, tops_below, given, below)
            both = (x, advance(x, ahead_in)), (g, advance(g, ahead_second))
            ends, memory = (both, out, advance(out, ahead_out)), (*notes_above, tops_below)
            later = _inputs_at(operation, bases, after, axes)
            exchange = others, ends, steps, memory, leaving, later, in_memory
            state, gradual = (0, 0, 0, 0, 0), False
            for i in range(0, cell[3], strip):
                column, top = (
                    (advance(tiles[0], i), advance(tiles[1], i)),
                    load_like(tops, i, group),
                )
                settled = settle(operation, column[0], pitch, length, top, scope)
                if together:
                    found, state = reduce_beside(
                        operation, column, pitch, length, settled, numbers, short, exchange, state
                    )
                else:
                    found = reduce_strip(
                        operation, column, pitch, length, settled, scope, short, None
                    )
                quotient = strip_coefficients(operation, found, top, like, scope, short)
                if writes:
                    note(notes, i, quotient, None)
                    if not gradual:
                        gradual = is_strip_gradual(operation, column[0], pitch, length, quotient)
                        justified |= gradual
                if options & SUMMARY_WANTED != 0:
                    degrees = degrees_of(operation, bases, cell, i, axes, group)
                    setting, known = (axes, plane, degrees, like), (found, top, quotient)
                    summarise(operation, known, bases, cell, i, scope, setting)
            above, cell = cell, below
            tiles, others = others, tiles
            tops, tops_below = tops_below, tops
            notes, notes_above = notes_above, notes
        if writes:
            out = run_at(bases[TARGET], above[0], above[1], axes, TARGET)
            rows = step_out, length
            how = grid[4], gradual
            _empty(operation, others, pitch, notes_above, out, rows, above, how)
            if not justified:
                forget_underflows()
            if streaming:
                stream_fence(bases[TARGET])

    return kernel_over(strips, f"strips-{operation.name}", bare=writes and inputs == 1)


strips = functools.cache(_strips)
