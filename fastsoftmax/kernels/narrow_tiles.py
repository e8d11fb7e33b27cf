"""Short slices into tiles and back: as they stand in memory, or gathered and masked first."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.along import is_plain
from fastsoftmax.kernels.block_results import copy_out
from fastsoftmax.kernels.elements import as_computed
from fastsoftmax.kernels.few import is_few, raised_by, turn_few, turn_few_back
from fastsoftmax.kernels.masks import hide_rows
from fastsoftmax.kernels.memory import (
    advance,
    clear,
    load,
    load_first,
    load_like,
    store,
)
from fastsoftmax.kernels.operations import (
    MASKED,
    NEGATED,
    NEGATIVE_INFINITY,
    gradual_of,
    hidden,
    hidden_result,
    inputs_of,
)
from fastsoftmax.kernels.shuffles import transpose
from fastsoftmax.kernels.steps import result
from fastsoftmax.kernels.strides import (
    MASK,
    SECOND,
    SOURCE,
    TARGET,
    copy_in,
    gather,
    is_packed,
    is_row,
    last_step,
    negate,
    scatter,
    zero,
)
from fastsoftmax.kernels.sums import LANES_BYTES, lane_count, lanes
from fastsoftmax.kernels.underflow import is_strip_gradual
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import splat, vector, vector_count
from fastsoftmax.kernels.workspaces import workspace


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
def all_from(addresses: Any, part: Value) -> Any:
    """The addresses of the elements number `part` of each."""
    return tuple(advance(place, part) for place in addresses)


@device
def _rows_of(
    operand: Any, place: Any, step: Any, shown: Any, fill: Any, call: Any, rows: Any
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
def part_of(places: Any, begin: Any, axes: Any, operand: Any) -> Any:
    """``(address, stride)`` of the slices of a run in an operand, from `begin` on."""
    step = last_step(axes, operand)
    return advance(places[operand], step * begin), step


@device
def fill_tiles(
    operation: Any, bases: Any, tiles: Any, tops: Any, group: Any, call: Any, rows: Any, packed: Any
) -> None:
    """Write the slices of a group to the tiles, and their maxima to `tops`."""
    length, axes, dims, options = call
    places, begin, present = group
    tile, other = tiles
    of_rows = present, length, axes, dims, options
    shown, _ = part_of(places, begin, axes, MASK)
    x, step = part_of(places, begin, axes, SOURCE)
    place, stride = rows, length
    if present == lane_count(tile) and is_plain(bases[SOURCE], dims, options, SOURCE, tile):
        place, stride = as_computed(x, tile), step
    else:
        _rows_of(SOURCE, x, step, shown, hidden(operation, tile), of_rows, rows)
    shuffled = _is_shuffled(packed, present, length, tile)
    _turn_rows(tile, tops, place, stride, present, length, shuffled)
    if inputs_of(operation) == 2:
        unused = workspace(tile, LANES_BYTES)
        x, step = part_of(places, begin, axes, SECOND)
        place, stride = rows, length
        if present == lane_count(tile) and is_plain(bases[SECOND], dims, options, SECOND, tile):
            place, stride = as_computed(x, tile), step
        else:
            _rows_of(SECOND, x, step, shown, zero(tile), of_rows, rows)
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
        columns, here = all_from(tiles, part), all_from(notes, part)
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
def empty_tiles(
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
        shown, _ = part_of(places, start, axes, MASK)
        hide_rows(rows, shown, hidden_result(operation, rows), of_rows)
    out, step = part_of(places, start, axes, TARGET)
    if side_by_side:
        copy_out(rows, out, present * length, leaving)
    else:
        _scatter(rows, out, step, of_rows)
    return gradual
