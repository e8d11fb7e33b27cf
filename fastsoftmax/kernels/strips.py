"""Columns of one block, with no mask or temperature: three cells at once.

As in `sweep`, memory and arithmetic would wait for each other in turn.  So while the
exponentials of a cell are taken in one tile, the results of the cell before leave the other
one and the elements of the cell that follows take their places, row after row.  Where only
summaries are wanted, nothing leaves.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.cells import degrees_of, note, notes_for, summarise
from fastsoftmax.kernels.elements import (
    computed_like,
    fetch,
    fetch_part,
    put,
    put_part,
    put_past_caches,
)
from fastsoftmax.kernels.exponential import exponent_of, window
from fastsoftmax.kernels.groups import SOON_LINES, ask_for, ask_soon, ask_to_write, raise_at
from fastsoftmax.kernels.memory import (
    advance,
    line_count,
    load_like,
    prefetch_soon,
    store,
    stream_fence,
    workspace,
    workspace_bytes,
)
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import (
    NEGATIVE_INFINITY,
    SUMMARY_WANTED,
    Operation,
    begin,
    consume,
    parts,
    prepare,
    result,
    totals,
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
from fastsoftmax.kernels.strides import SOURCE, TARGET, described, is_in_memory, run_at, strides_of
from fastsoftmax.kernels.sums import SINGLE, lane_count
from fastsoftmax.kernels.tiles import (
    TOTALS_BYTES,
    fold_lanes,
    leave,
    reduce_strip,
    returned,
    settle,
    strip_coefficients,
    strip_count,
    strip_like,
    taken,
)
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import double, splat

NOTHING, THROUGH_CACHES, PAST_CACHES = range(3)
"""How results leave a tile."""


@formula
def _exchange(
    operation: Operation,
    other: Value,
    ends: Any,
    places: Any,
    i: Value,
    last: Value | None,
    memory: Any,
    leaving: int,
) -> None:
    """Let the results of a strip leave the other tile, and elements take their places.

    `ends` are the addresses of elements and of results, and of those that are asked for; `places`
    the offsets of the row in the tile, elements and results, `i` that of the strip.  `last` is
    the end of a row that ends within a strip.
    """
    x, ahead, out, out_ahead = ends
    in_tile, in_x, in_out = places
    uppers, lowers, tops = memory
    group = strip_like(other)
    if leaving != NOTHING:
        left = load_like(other, in_tile + i, group)
        coefficients = load_like(uppers, i, group), load_like(lowers, i, group)
        found = result(operation, left, None, coefficients, None)
        if leaving == PAST_CACHES:
            put_past_caches(out, in_out + i, found)
        else:
            ask_to_write(out_ahead, in_out + i, group)
            if last is None:
                put(out, in_out + i, found)
            else:
                put_part(out, in_out + i, found, None, last - i)
    if last is None:
        elements = fetch(x, in_x + i, group)
    else:
        elements = fetch_part(x, in_x + i, group, None, last - i, 0.0)
    ask_soon(ahead, in_x + i, group)
    store(other, in_tile + i, elements)
    raise_at(tops, i, elements)


@device
def _exchange_next(operation: Any, exchange: Any, state: Any) -> Any:
    """The next `_exchange`; returns the `state` after it.

    `state` is where it takes place: ``(*places, i)``; `exchange` are the other tile, `ends`,
    what `places` take from row to row with the width of a row, `memory` and `leaving`, and where
    the elements are that will be read a cell later, if they are to be asked for.
    """
    other, ends, steps, memory, leaving, later, is_wanted = exchange
    in_tile, in_x, in_out, i = state
    places, last = (in_tile, in_x, in_out), steps[3]
    is_part = last - i < strip_count(other)
    if leaving == PAST_CACHES:
        _exchange(operation, other, ends, places, i, None, memory, PAST_CACHES)
    elif leaving == NOTHING:
        if is_part:
            _exchange(operation, other, ends, places, i, last, memory, NOTHING)
        else:
            _exchange(operation, other, ends, places, i, None, memory, NOTHING)
    elif is_part:
        _exchange(operation, other, ends, places, i, last, memory, THROUGH_CACHES)
    else:
        _exchange(operation, other, ends, places, i, None, memory, THROUGH_CACHES)
    if is_wanted:
        ask_for(later, in_x + i, strip_like(other))
    i += strip_count(other)
    if i >= last:
        # Where lines of logits and results do not begin alike, the row ends in one line more.
        prefetch_soon(ends[1], in_x + (i - 1))
        i = 0
        in_tile, in_x, in_out = in_tile + steps[0], in_x + steps[1], in_out + steps[2]
    return in_tile, in_x, in_out, i


@device
def _sum_elements(
    operation: Any,
    tile: Any,
    pitch: Any,
    length: Any,
    scope: Any,
    lanes_memory: Any,
    exchange: Any,
    state: Any,
) -> Any:
    """``(sums, state)``: `tiles.sum_lanes` with exchanges."""
    numbers, frame, top = scope
    count = lane_count(tile)
    sums = begin(operation, top)
    for lane in range(count):
        returned(lanes_memory, lane, sums)
    prepared = prepare(operation, load_like(tile, 0, top), top, numbers, frame, None)
    for j in range(length):
        sums = taken(lanes_memory, j & (count - 1), sums)
        sums, left = consume(operation, sums, prepared, None, numbers, top)
        returned(lanes_memory, j & (count - 1), sums)
        x = load_like(tile, (j + 1) * pitch, top)
        prepared = prepare(operation, x, top, numbers, frame, None)
        leave(operation, tile, j * pitch, left)
        state = _exchange_next(operation, exchange, state)
    return sums, state


@device
def _reduce_strip(
    operation: Any,
    tile: Any,
    pitch: Any,
    length: Any,
    top: Any,
    numbers: Any,
    exchange: Any,
    state: Any,
) -> Any:
    """`tiles.reduce_strip` with exchanges; returns the state of the slices and of these."""
    k = exponent_of(top, numbers, None)
    scope = numbers, window(k, numbers, None), top
    memory = workspace_bytes(tile, TOTALS_BYTES)
    if length <= SINGLE:
        sums, state = _sum_elements(operation, tile, pitch, length, scope, None, exchange, state)
        high, low, ties = parts(totals(operation, sums, True))
    else:
        sums, state = _sum_elements(operation, tile, pitch, length, scope, memory, exchange, state)
        high, low, ties = fold_lanes(operation, memory, sums, lane_count(tile))
    return (double(top), double(k), high, low, ties), state


@device
def _rows_ahead(width: Any, line_: Any) -> Any:
    """How many rows ahead lines are asked for, rows being `width` elements."""
    return max(1, SOON_LINES * line_ // width)


@device
def _is_whole(cell: Any, last: Any) -> Any:
    return cell[2] == 0 and cell[3] == last


@device
def _empty(
    operation: Any,
    tile: Any,
    pitch: Any,
    notes: Any,
    out: Any,
    rows: Any,
    cell: Any,
    streaming: Any,
) -> None:
    """Write the results of a cell by themselves."""
    step, length = rows
    low, high = cell[2], cell[3]
    if low < high:
        tiles = tile, tile
        unpack(operation, tiles, pitch, notes, out, step, length, low, high, streaming)


def _strips(operation: Operation, writes: bool) -> Any:
    @device
    def strips(bases, options, geometry, scratch, first, last):
        """All steps for the groups of slices `first` to `last` - 1, of one block each.

        Groups as in `columns`.
        """
        like = computed_like(bases[0])
        numbers = exponential.numbers(like)
        length, streaming, width, _, plane, axes, dims = described(geometry)
        tile, pitch = tile_in(scratch, like, width)
        other = tile_after(tile, pitch, length, 2)
        clear_after(tile, pitch, length)
        clear_after(other, pitch, length)
        tops, tops_below = workspace(like, GROUP_BYTES), workspace(like, GROUP_BYTES)
        notes, notes_above = (
            notes_for(operation, like, GROUP_BYTES),
            notes_for(operation, like, GROUP_BYTES),
        )
        step_in, step_out = strides_of(dims, SOURCE)[0], strides_of(dims, TARGET)[0]
        grid = grid_of(axes, width, bases[TARGET], step_out, streaming and writes)
        leaving = PAST_CACHES if grid[4] else THROUGH_CACHES if writes else NOTHING
        group, strip = strip_like(like), strip_count(like)
        # Cells that don't reach over a run are all alike, be they as wide as a tile or not.
        whole = min(width, axes[1][axes[0] - 1])
        steps, scope = (pitch, step_in, step_out, whole), (numbers, None)
        short, in_memory = length <= SINGLE, is_in_memory(geometry)
        ahead_in = _rows_ahead(whole, line_count(bases[SOURCE])) * step_in
        ahead_out = _rows_ahead(whole, line_count(bases[TARGET])) * step_out
        above = cell = cell_of(first, grid)
        x = run_at(bases[SOURCE], cell[0], cell[1], axes, SOURCE)
        pack(tile, pitch, tops, x, step_in, length, cell[2], cell[3])
        for task in range(first, last):
            below, after = (
                cell_of(min(task + 1, last - 1), grid),
                cell_of(min(task + 2, last - 1), grid),
            )
            x = run_at(bases[SOURCE], below[0], below[1], axes, SOURCE)
            out = run_at(bases[TARGET], above[0], above[1], axes, TARGET)
            ends = x, advance(x, ahead_in), out, advance(out, ahead_out)
            # What a cell does beside the others, every strip of it does.
            together = cell[3] == whole and _is_whole(below, whole) and task < last - 1
            if writes:
                together = together and _is_whole(above, whole) and task > first
            if together:
                for i in range(0, whole, strip):
                    store(tops_below, i, splat(NEGATIVE_INFINITY, group))
            else:
                if task > first and writes:
                    _empty(
                        operation,
                        other,
                        pitch,
                        notes_above,
                        out,
                        (step_out, length),
                        above,
                        grid[4],
                    )
                if task + 1 < last:
                    pack(other, pitch, tops_below, x, step_in, length, below[2], below[3])
            later = run_at(bases[SOURCE], after[0], after[1], axes, SOURCE)
            memory = *notes_above, tops_below
            exchange = other, ends, steps, memory, leaving, later, in_memory
            state = 0, 0, 0, 0
            for i in range(0, cell[3], strip):
                column, top = advance(tile, i), load_like(tops, i, group)
                settled = settle(operation, column, pitch, length, top, scope)
                if together:
                    found, state = _reduce_strip(
                        operation, column, pitch, length, settled, numbers, exchange, state
                    )
                else:
                    columns, nowhere = (column, column), (column, pitch)
                    found = reduce_strip(
                        operation, columns, pitch, length, settled, scope, short, nowhere
                    )
                if writes:
                    known = strip_coefficients(operation, found, top, like, scope, short)
                    note(notes, i, known, None)
                if options & SUMMARY_WANTED != 0:
                    degrees = degrees_of(operation, bases, cell, i, axes, group)
                    setting = axes, plane, degrees, like
                    summarise(operation, found, top, bases, cell, i, scope, setting)
            above, cell = cell, below
            tile, other = other, tile
            tops, tops_below = tops_below, tops
            notes, notes_above = notes_above, notes
        if writes:
            out = run_at(bases[TARGET], above[0], above[1], axes, TARGET)
            rows = step_out, length
            _empty(operation, other, pitch, notes_above, out, rows, above, grid[4])
            if streaming:
                stream_fence(bases[TARGET])

    return kernel_over(strips, f"strips-{operation.name}", bare=writes)


strips = functools.cache(_strips)
