"""Short slices: as many at once as there are lanes.

For slices of at most `sums.SINGLE` elements: classifiers' scores.  Their rows are read as
they stand, turned into the columns of a tile in registers, and turned back into rows.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.along import is_plain, unwanted
from fastsoftmax.kernels.block_results import copy_out
from fastsoftmax.kernels.cells import degrees_of, note, notes_for, summarise
from fastsoftmax.kernels.elements import as_computed, computed_like
from fastsoftmax.kernels.few import is_few, raised_by, turn_few, turn_few_back
from fastsoftmax.kernels.groups import AHEAD_BYTES
from fastsoftmax.kernels.masks import MASKS_BYTES, hide_rows, run_with_masks
from fastsoftmax.kernels.memory import (
    advance,
    clear,
    load,
    load_first,
    load_like,
    store,
    stream_fence,
    workspace,
    workspace_bytes,
)
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import (
    MASKED,
    NEGATED,
    NEGATIVE_INFINITY,
    Operation,
    cool_for,
    gradual_of,
    heat_for,
    hidden,
    hidden_result,
    inputs_of,
    result,
    uses_temperature,
)
from fastsoftmax.kernels.outcomes import coefficients
from fastsoftmax.kernels.strides import (
    MASK,
    SECOND,
    SOURCE,
    TARGET,
    copy_in,
    described,
    gather,
    is_packed,
    is_row,
    last_step,
    negate,
    results_ahead,
    scatter,
    strides_of,
    zero,
)
from fastsoftmax.kernels.sums import LANES_BYTES, SINGLE, lane_count, lanes
from fastsoftmax.kernels.tiles import reduce_short_strip, settle
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows, is_strip_gradual
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import (
    double,
    splat,
    transpose,
    vector,
    vector_count,
)

# Groups that go through each step together, at the most.
_GROUPS = 4
# Rows of their tiles, with one each that is read beyond the last (kernels/tiles.py).
_TILE_ROWS = 2 * (SINGLE + 1)
# Columns are written as many at a time as a vector has elements, 16 at the most.
_TILE_BYTES = (_TILE_ROWS + 16) * LANES_BYTES
_TOPS_BYTES = _GROUPS * LANES_BYTES
# The same slices as rows; the last one is written beyond its end.
_ROWS_BYTES = SINGLE * LANES_BYTES + LANES_BYTES


@formula
def _turn(tile: Value, top: Value, rows: Value, j: Value, stride: Value, width: Value) -> Value:
    """Write the elements from `j` on, `width` of them, of the slices at `rows` to the tile.

    What is beyond `width` becomes -inf.  Returns the part of a strip's maxima `top`, raised
    to them.
    """
    loaded = [
        load_first(rows, stride * i + j, top, width, NEGATIVE_INFINITY) for i in range(top.count)
    ]
    columns = transpose(tuple(loaded))
    for i, column in enumerate(columns):
        store(tile, (j + i) * lane_count(tile), column)
    return raised_by(top, columns, len(columns))


@device
def _turn_rows(
    tile: Any, tops: Any, rows: Any, stride: Any, present: Any, length: Any, shuffled: Any
) -> None:
    """Write slices, `stride` elements apart, to the tile and their maxima to `tops`.

    A vector's worth of them at a time.  Zeros stand for slices that are not there.
    """
    step = vector_count(tile)
    if present <= lane_count(tile) - step:
        clear(tile, length * lane_count(tile))
        clear(tops, lane_count(tile))
    for part in range(0, present, step):
        place, column = advance(rows, part * stride), advance(tile, part)
        if is_few(tile, length):
            top = turn_few(column, place, stride, length, shuffled)
        else:
            top = splat(NEGATIVE_INFINITY, vector(tile))
            for j in range(0, length, step):
                top = _turn(column, top, place, j, stride, min(step, length - j))
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
def _rows_of(
    bases: Any, operand: Any, place: Any, step: Any, shown: Any, fill: Any, call: Any, rows: Any
) -> Any:
    """``(address, stride)`` of slices along memory: as they stand, or gathered in `rows`."""
    present, length, axes, dims, options = call
    negated = operand == SOURCE and options & NEGATED != 0
    if present < lane_count(rows):
        clear(rows, lane_count(rows) * length)
    if is_packed(axes, dims, operand, length):
        copy_in(rows, place, 1, present * length)
        if negated:
            negate(rows, present * length)
    else:
        for i in range(present):
            row = advance(rows, i * length)
            gather(row, advance(place, i * step), 0, length, dims, operand, negated)
    if options & MASKED != 0:
        hide_rows(rows, shown, fill, call)
    return rows, length


@formula
def _at(places: Any, begin: Any, axes: Any, operand: Any) -> Any:
    """``(address, stride)`` of the slices of a run in an operand, from `begin` on."""
    step = last_step(axes, operand)
    return advance(places[operand], step * begin), step


@device
def _fill(
    operation: Any, bases: Any, tiles: Any, tops: Any, group: Any, call: Any, rows: Any, packed: Any
) -> None:
    """Write the slices of a group to the tiles, and their maxima to `tops`."""
    length, axes, dims, options = call
    places, begin, present = group
    tile, other = tiles
    of_rows = present, length, axes, dims, options
    shown, _ = _at(places, begin, axes, MASK)
    x, step = _at(places, begin, axes, SOURCE)
    place, stride = rows, length
    if present == lane_count(tile) and is_plain(bases[SOURCE], dims, options, SOURCE, tile):
        place, stride = as_computed(x, tile), step
    else:
        _rows_of(bases, SOURCE, x, step, shown, hidden(operation, tile), of_rows, rows)
    shuffled = _is_shuffled(packed, present, length, tile)
    _turn_rows(tile, tops, place, stride, present, length, shuffled)
    if inputs_of(operation) == 2:
        unused = workspace(tile, LANES_BYTES)
        x, step = _at(places, begin, axes, SECOND)
        place, stride = rows, length
        if present == lane_count(tile) and is_plain(bases[SECOND], dims, options, SECOND, tile):
            place, stride = as_computed(x, tile), step
        else:
            _rows_of(bases, SECOND, x, step, shown, zero(tile), of_rows, rows)
        _turn_rows(other, unused, place, stride, present, length, shuffled)


@device
def _is_shuffled(packed: Any, present: Any, length: Any, tile: Any) -> Any:
    """Whether lanes are in another order, see kernels/few.py."""
    whole = packed and present == lane_count(tile)
    return whole and (length == 2 or length == 4 or length == 8)  # noqa: PLR1714  # no sets here


@device
def _resolve(
    operation: Any, tiles: Any, notes: Any, present: Any, length: Any, shuffled: Any, rows: Any
) -> None:
    """Write the results of a group to rows of `length` elements."""
    step, final = vector_count(rows), (length - 1) // vector_count(rows) * vector_count(rows)
    for part in range(0, present, step):
        columns, here = _from(tiles, part), _from(notes, part)
        row = advance(rows, part * length)
        if is_few(rows, length):
            turn_few_back(operation, row, length, columns, here, shuffled)
        else:
            # From the end: what is written beyond a row's end is overwritten.
            for j in range(final, -1, -step):
                _turn_back(operation, row, j, length, columns, here)


@device
def _scatter(rows: Any, out: Any, step: Any, call: Any) -> None:
    """Write results to slices that begin `step` elements apart, one by one."""
    present, length, _, dims, _ = call
    for i in range(present):
        row, place = advance(rows, i * length), advance(out, i * step)
        if is_row(dims, TARGET):
            copy_out(row, place, length, 0)
        else:
            scatter(row, place, 0, length, dims)


@device
def _empty(
    operation: Any, tiles: Any, notes: Any, group: Any, call: Any, rows: Any, how: Any
) -> Any:
    """Write the results of a group; returns whether some were subnormal."""
    length, axes, dims, options = call
    places, start, present = group
    of_rows = present, length, axes, dims, options
    packed, side_by_side, leaving = how
    group_like = lanes(rows)
    shuffled = _is_shuffled(packed, present, length, rows)
    quotient = load_like(notes[0], 0, group_like), load_like(notes[1], 0, group_like)
    gradual = is_strip_gradual(operation, tiles[0], lane_count(rows), length, quotient)
    if gradual:
        _resolve(gradual_of(operation), tiles, notes, present, length, shuffled, rows)
    else:
        _resolve(operation, tiles, notes, present, length, shuffled, rows)
    if options & MASKED != 0:
        shown, _ = _at(places, start, axes, MASK)
        hide_rows(rows, shown, hidden_result(operation, rows), of_rows)
    out, step = _at(places, start, axes, TARGET)
    if side_by_side:
        copy_out(rows, out, present * length, leaving)
    else:
        _scatter(rows, out, step, of_rows)
    return gradual


def _narrow(operation: Operation, bare: bool, writes: bool) -> Any:
    empty, describe = (_empty, unwanted) if writes else (unwanted, summarise)

    @device
    def narrow(bases, options, geometry, scratch, first, last):
        """All steps for the groups of slices `first` to `last` - 1.

        A group is as many slices as there are lanes, or what is left of a run along the last
        axis of the batch.  Some groups go through each step together: the end of one, where
        operations wait for one another, runs beside the beginning of the next.
        """
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, _, _, plane, axes, dims = described(geometry)
        leaving = results_ahead(geometry, bases[TARGET])
        call = length, axes, dims, options
        tile, other = workspace(like, _TILE_BYTES), workspace(like, _TILE_BYTES)
        rows, tops = workspace(like, _ROWS_BYTES), workspace(like, _TOPS_BYTES)
        notes = notes_for(operation, like, _TOPS_BYTES)
        masks = workspace_bytes(like, MASKS_BYTES)
        lanes_, strip = lanes(like), lane_count(like)
        rank = axes[0] - 1
        run = axes[1][rank]
        one_by_one = not writes or uses_temperature(operation)
        x_plain = is_plain(bases[SOURCE], dims, options, SOURCE, like)
        packed = x_plain and strides_of(axes, SOURCE)[rank] == length and not one_by_one
        if inputs_of(operation) == 2:  # lanes are in one order in both
            packed = packed and strides_of(axes, SECOND)[rank] == length
        side_by_side = is_packed(axes, dims, TARGET, length)
        size, most = (length + 1) * strip, min(_GROUPS, _TILE_ROWS // (length + 1))
        # The groups that are asked for while sums are taken, counted from these.
        ahead = most + AHEAD_BYTES // (length * LANES_BYTES)
        groups = (run + strip - 1) // strip
        batch = first // groups
        begin, places = (
            (first - batch * groups) * strip,
            run_with_masks(bases, batch, call, masks, like),
        )
        done = first
        justified = not writes or not expects_underflow(operation)
        for i in range(min(most, last - first)):  # the rows that are read beyond
            clear(advance(tile, i * size + length * strip), strip)
        while done < last:
            if begin >= run:
                batch += 1
                begin, places = 0, run_with_masks(bases, batch, call, masks, like)
            count = min(most, last - done)
            count = min(count, (run - begin + strip - 1) // strip)
            for i in range(count):
                start = begin + i * strip
                tiles = advance(tile, i * size), advance(other, i * size)
                group = places, start, min(strip, run - start)
                top = advance(tops, i * strip)
                _fill(operation, bases, tiles, top, group, call, rows, packed)
            for i in range(count):
                start = begin + i * strip
                tiles = advance(tile, i * size), advance(other, i * size)
                cell = batch, start, 0, min(strip, run - start)
                degrees = degrees_of(operation, bases, cell, 0, axes, lanes_)
                scope = numbers, heat_for(operation, degrees, like)
                top = load_like(tops, i * strip, lanes_)
                settled = settle(operation, tiles[0], strip, length, top, scope)
                coming = tiles[0], strip
                if packed:
                    x, _ = _at(places, start + ahead * strip, axes, SOURCE)
                    coming = as_computed(x, like), strip
                state = reduce_short_strip(operation, tiles, strip, length, settled, scope, coming)
                found = coefficients(operation, state, double(top), like, *scope, True)
                note(notes, i * strip, found, cool_for(operation, degrees, like))
                setting, known = (axes, plane, degrees, like), (state, top, found)
                describe(operation, known, bases, cell, 0, scope, setting)
            for i in range(count):
                start = begin + i * strip
                group = places, start, min(strip, run - start)
                tiles = advance(tile, i * size), advance(other, i * size)
                how = packed, side_by_side, leaving
                justified |= empty(
                    operation, tiles, _from(notes, i * strip), group, call, rows, how
                )
            begin += count * strip
            done += count
        if not justified:
            forget_underflows()
        if leaving < 0:
            stream_fence(bases[TARGET])

    name = f"narrow-{operation.name}" if writes else f"narrow-summary-{operation.name}"
    return kernel_over(narrow, name, bare=bare)


narrow = functools.cache(_narrow)
