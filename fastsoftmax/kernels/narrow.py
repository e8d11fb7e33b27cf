"""Short slices: as many at once as there are lanes.

For slices of at most `sums.SINGLE` elements: classifiers' scores.  Their rows are read as
they stand, turned into the columns of a tile in registers, and turned back into rows.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.along import is_plain
from fastsoftmax.kernels.cells import degrees_of, note, notes_for, summarise
from fastsoftmax.kernels.elements import as_computed, computed_like, put, put_past_caches
from fastsoftmax.kernels.few import is_few, turn_few, turn_few_back
from fastsoftmax.kernels.memory import (
    advance,
    elements_before_line,
    load,
    load_first,
    load_like,
    store,
    stream_fence,
    workspace,
)
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import (
    MASKED,
    NEGATED,
    NEGATIVE_INFINITY,
    RESULTS,
    SUMMARY_WANTED,
    Operation,
    cool_for,
    heat_for,
    hidden,
    hidden_result,
    inputs_of,
    result,
    uses_temperature,
)
from fastsoftmax.kernels.strides import (
    MASK,
    SECOND,
    SOURCE,
    TARGET,
    described,
    gather,
    hide,
    is_row,
    run_at,
    scatter,
    strides_of,
    zero,
)
from fastsoftmax.kernels.sums import LANES_BYTES, SINGLE, lane_count, lanes
from fastsoftmax.kernels.tiles import reduce_strip, settle, strip_coefficients
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import (
    maximum,
    smaller,
    splat,
    transpose,
    vector,
    vector_count,
)

# A strip of SINGLE rows, and the rows that are read beyond it (kernels/tiles.py).
_TILE_BYTES = (SINGLE + 1) * LANES_BYTES
# The same slices as rows; the last one is written beyond its end.
_ROWS_BYTES = SINGLE * LANES_BYTES + LANES_BYTES


@formula
def _turn(
    tile: Value, top: Value, rows: Value, j: Value, stride: Value, present: Value, width: Value
) -> Value:
    """Write the elements from `j` on, `width` of them, of the slices at `rows` to the tile.

    Only `present` slices are there; the last one stands in for the others.  What is beyond
    `width` becomes -inf.  Returns the part of a strip's maxima `top`, raised to them.
    """
    count = top.count
    loaded = [
        load_first(rows, smaller(i, present - 1) * stride + j, top, width, NEGATIVE_INFINITY)
        for i in range(count)
    ]
    for i, column in enumerate(transpose(tuple(loaded))):
        store(tile, (j + i) * lane_count(tile), column)
        top = maximum(column, top)
    return top


@device
def _turn_rows(
    tile: Any, tops: Any, rows: Any, stride: Any, present: Any, length: Any, shuffled: Any
) -> None:
    """Write `present` slices, `stride` elements apart, to the tile and their maxima to `tops`."""
    strip, step = lane_count(tile), vector_count(tile)
    for part in range(0, strip, step):
        if part < present and is_few(tile, length):
            place = advance(rows, part * stride)
            top = turn_few(advance(tile, part), place, stride, present - part, length, shuffled)
        elif part < present:
            top = splat(NEGATIVE_INFINITY, vector(tile))
            for j in range(0, length, step):
                place, width = advance(rows, part * stride), min(step, length - j)
                top = _turn(advance(tile, part), top, place, j, stride, present - part, width)
        else:  # nobody there
            top = vector(tile)
            for j in range(length):
                store(tile, j * strip + part, top)
        store(tops, part, top)


@formula
def _turn_back(
    operation: Any, rows: Value, j: Value, length: Value, tiles: Any, notes: Any
) -> None:
    """Write the results of the tiles' elements from `j` on to rows of `length` elements.

    As many rows as a vector has elements; `notes` are what results are made with.
    """
    count, strip = vector_count(rows), lane_count(rows)
    coefficients = tuple(load(place, 0) for place in notes[:2])
    cool = tuple(load(place, 0) for place in notes[2:]) if len(notes) > 2 else None

    def found(i: int) -> Value:
        x = load(tiles[0], (j + i) * strip)
        g = load(tiles[1], (j + i) * strip) if operation.inputs == 2 else None
        return result(operation, x, g, coefficients, cool)

    for i, row in enumerate(transpose(tuple(found(i) for i in range(count)))):
        store(rows, length * i + j, row)


@formula
def _from(notes: Any, part: Value) -> Any:
    return tuple(advance(place, part) for place in notes)


@device
def _copy(buffer: Any, target: Any, count: Any, streaming: Any) -> None:
    """Copy `count` neighbouring elements."""
    piece, step = lanes(buffer), lane_count(buffer)
    whole = count - count % step
    if streaming and elements_before_line(target) == 0:
        for i in range(0, whole, step):
            put_past_caches(target, i, load_like(buffer, i, piece))
    else:
        for i in range(0, whole, step):
            put(target, i, load_like(buffer, i, piece))
    for i in range(whole, count):
        put(target, i, buffer[i])


@device
def _rows_of(
    bases: Any, operand: Any, place: Any, step: Any, shown: Any, fill: Any, call: Any, rows: Any
) -> Any:
    """``(address, stride)`` of slices along memory: as they stand, or gathered in `rows`."""
    present, length, axes, dims, options = call
    negated = operand == SOURCE and options & NEGATED != 0
    for i in range(present):
        row = advance(rows, i * length)
        gather(row, advance(place, i * step), 0, length, dims, operand, negated)
        if options & MASKED != 0:
            mask_step = strides_of(axes, MASK)[axes[0] - 1]
            hide(row, advance(shown, i * mask_step), 0, length, dims, fill)
    return rows, length


def _narrow(operation: Operation, bare: bool) -> Any:
    @device
    def narrow(bases, options, geometry, scratch, first, last):
        """All steps for the groups of slices `first` to `last` - 1.

        A group is as many slices as there are lanes, or what is left of the last axis of
        the batch.
        """
        like = computed_like(bases[0])
        numbers = exponential.numbers(like)
        length, streaming, _, _, plane, axes, dims = described(geometry)
        tile, rows = workspace(like, _TILE_BYTES), workspace(like, _ROWS_BYTES)
        other, tops = workspace(like, _TILE_BYTES), workspace(like, LANES_BYTES)
        unused, notes = workspace(like, LANES_BYTES), notes_for(operation, like, LANES_BYTES)
        group, strip, step = lanes(like), lane_count(like), vector_count(like)
        x_plain = is_plain(bases[SOURCE], dims, options, SOURCE)
        g_plain = is_plain(bases[SECOND], dims, options, SECOND)
        out_row = is_row(dims, TARGET) and options & MASKED == 0
        rank = axes[0] - 1
        run = axes[1][rank]
        x_step, g_step = strides_of(axes, SOURCE)[rank], strides_of(axes, SECOND)[rank]
        out_step, mask_step = strides_of(axes, TARGET)[rank], strides_of(axes, MASK)[rank]
        groups = (run + strip - 1) // strip
        one_by_one = options & SUMMARY_WANTED != 0 or uses_temperature(operation)
        packed = x_plain and x_step == length and not one_by_one
        can_shuffle = packed and (length in {2, 4, 8})
        final = (length - 1) // step * step
        for task in range(first, last):
            batch = task // groups
            begin = (task - batch * groups) * strip
            present = min(strip, run - begin)
            cell = batch, begin, 0, present
            call = present, length, axes, dims, options
            shown = run_at(bases[MASK], batch, begin, axes, MASK)
            # See kernels/few.py.
            shuffled = can_shuffle and present == strip
            x = run_at(bases[SOURCE], batch, begin, axes, SOURCE)
            place, stride = rows, length
            if x_plain:
                place, stride = as_computed(x, like), x_step
            else:
                _rows_of(bases, SOURCE, x, x_step, shown, hidden(operation, like), call, rows)
            _turn_rows(tile, tops, place, stride, present, length, shuffled)
            if inputs_of(operation) == 2:
                x = run_at(bases[SECOND], batch, begin, axes, SECOND)
                place, stride = rows, length
                if g_plain:
                    place, stride = as_computed(x, like), g_step
                else:
                    _rows_of(bases, SECOND, x, g_step, shown, zero(like), call, rows)
                _turn_rows(other, unused, place, stride, present, length, shuffled)
            degrees = degrees_of(operation, bases, cell, 0, axes, like)
            scope, tiles = (numbers, heat_for(operation, degrees, like)), (tile, other)
            top = load_like(tops, 0, group)
            settled = settle(operation, tile, strip, length, top, scope)
            nowhere = tile, strip
            state = reduce_strip(operation, tiles, strip, length, settled, scope, True, nowhere)
            found = strip_coefficients(operation, state, top, like, scope, True)
            note(notes, 0, found, cool_for(operation, degrees, like))
            if options & SUMMARY_WANTED != 0:
                setting = axes, plane, degrees, like
                summarise(operation, state, top, bases, cell, 0, scope, setting)
            if options & RESULTS == 0:
                continue
            for part in range(0, strip, step):
                columns = advance(tile, part), advance(other, part)
                row, here = advance(rows, part * length), _from(notes, part)
                if is_few(tile, length):
                    turn_few_back(operation, row, length, columns, here, shuffled)
                else:
                    # From the end: what is written beyond a row's end is overwritten.
                    for j in range(final, -1, -step):
                        _turn_back(operation, row, j, length, columns, here)
            out = run_at(bases[TARGET], batch, begin, axes, TARGET)
            if out_row and out_step == length:
                _copy(rows, out, present * length, streaming)
            else:
                for i in range(present):
                    row, home = advance(rows, i * length), advance(out, i * out_step)
                    if options & MASKED != 0:
                        hidden_here = advance(shown, i * mask_step)
                        hide(row, hidden_here, 0, length, dims, hidden_result(operation, row))
                    if out_row:
                        _copy(row, home, length, False)
                    else:
                        scatter(row, home, 0, length, dims)
        if streaming:
            stream_fence(bases[TARGET])

    return kernel_over(narrow, f"narrow-{operation.name}", bare=bare)


narrow = functools.cache(_narrow)
