"""Exchanges: what leaves a tile and what takes its place while another one is computed.

A cell of columns (kernels/packing.py) waits for memory twice, when its elements are packed and when
its results are written.  Both are done beside the sums of the cell in between, strip by strip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoftmax._cpu import FIRST_LEVEL_BYTES
from fastsoftmax._jit import device
from fastsoftmax.kernels.elements import fetch_left, put_left, put_past_caches
from fastsoftmax.kernels.groups import SOON_LINES, ask_for, ask_soon, ask_to_write, raise_at
from fastsoftmax.kernels.lane_totals import TOTALS_BYTES, fold_lanes
from fastsoftmax.kernels.memory import LINE_BYTES, PAGE_BYTES, load_like, prefetch_soon, store
from fastsoftmax.kernels.steps import begin, consume, parts, prepare, result, totals
from fastsoftmax.kernels.sums import lane_count
from fastsoftmax.kernels.tiles import (
    framed,
    leave,
    returned,
    second_of,
    strip_count,
    strip_like,
    taken,
)
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import double
from fastsoftmax.kernels.workspaces import workspace_bytes

if TYPE_CHECKING:
    from fastsoftmax.kernels.operations import Operation

LEAVE_NOTHING, LEAVE_THROUGH_CACHES, LEAVE_PAST_CACHES = range(3)
"""How results leave a tile."""


@formula
def _exchange(
    operation: Operation,
    others: Any,
    ends: Any,
    places: Any,
    i: Value,
    last: Value | None,
    memory: Any,
    leaving: int,
) -> None:
    """Let the results of a strip leave the other tiles, and elements take their places.

    `ends` are ``(inputs, out, out_ahead)``, an input its address and that of what is asked for
    meanwhile; `places` the offsets of the row in the tile, results and inputs, `i` that of the
    strip.  `last` is the end of a row that ends within a strip.
    """
    inputs, out, out_ahead = ends
    in_tile, in_out, *in_inputs = places
    uppers, lowers, tops = memory
    group, remaining = strip_like(others[0]), None if last is None else last - i
    if leaving != LEAVE_NOTHING:
        left = [load_like(others[n], in_tile + i, group) for n in range(operation.inputs)]
        coefficients = load_like(uppers, i, group), load_like(lowers, i, group)
        found = result(operation, left[0], left[-1], coefficients, None)
        if leaving == LEAVE_PAST_CACHES:
            put_past_caches(out, in_out + i, found)
        else:
            ask_to_write(out_ahead, in_out + i, group)
            put_left(out, in_out + i, found, remaining)
    for number in range(operation.inputs):
        (x, ahead), index = inputs[number], in_inputs[number] + i
        elements = fetch_left(x, index, group, remaining)
        ask_soon(ahead, index, group)
        store(others[number], in_tile + i, elements)
        if operation.has_frame and number == 0:
            raise_at(tops, i, elements)


@formula
def _ask_a_cell_ahead(operation: Operation, later: Any, places: Any, i: Value, like: Value) -> None:
    """Ask for elements in the place of a strip, in the cell after the next one."""
    for number in range(operation.inputs):
        ask_for(later[number], places[2 + number] + i, like)


@formula
def _ask_for_row_ends(operation: Operation, inputs: Any, places: Any, last: Value) -> None:
    """Ask for the ends of rows, which may be in one line more than what is as wide."""
    for number in range(operation.inputs):
        prefetch_soon(inputs[number][1], places[2 + number] + (last - 1))


@device
def _exchange_next(operation: Any, exchange: Any, state: Any) -> Any:
    """The next `_exchange`; returns the `state` after it.

    `state` is where it takes place: ``(*places, i)``; `exchange` are the other tiles, `ends`,
    what `places` take from row to row with the width of a row, `memory` and `leaving`, and where
    the elements are that will be read a cell later, if they are to be asked for.
    """
    others, ends, steps, memory, leaving, later, is_wanted = exchange
    in_tile, in_out, in_x, in_g, i = state
    places, last = (in_tile, in_out, in_x, in_g), steps[4]
    is_part = last - i < strip_count(others[0])
    if leaving == LEAVE_PAST_CACHES:
        _exchange(operation, others, ends, places, i, None, memory, LEAVE_PAST_CACHES)
    elif leaving == LEAVE_NOTHING:
        if is_part:
            _exchange(operation, others, ends, places, i, last, memory, LEAVE_NOTHING)
        else:
            _exchange(operation, others, ends, places, i, None, memory, LEAVE_NOTHING)
    elif is_part:
        _exchange(operation, others, ends, places, i, last, memory, LEAVE_THROUGH_CACHES)
    else:
        _exchange(operation, others, ends, places, i, None, memory, LEAVE_THROUGH_CACHES)
    if is_wanted:
        _ask_a_cell_ahead(operation, later, places, i, strip_like(others[0]))
    i += strip_count(others[0])
    if i >= last:
        _ask_for_row_ends(operation, ends[0], places, last)
        i = 0
        in_tile, in_out = in_tile + steps[0], in_out + steps[1]
        in_x, in_g = in_x + steps[2], in_g + steps[3]
    return in_tile, in_out, in_x, in_g, i


@device
def _sum_elements(
    operation: Any,
    tiles: Any,
    pitch: Any,
    length: Any,
    scope: Any,
    lanes_memory: Any,
    exchange: Any,
    state: Any,
) -> Any:
    """``(sums, state)``: `tiles.sum_lanes` with exchanges."""
    numbers, frame, top, back = scope
    tile, second = tiles
    count = lane_count(tile)
    sums = begin(operation, top)
    for lane in range(count):
        returned(lanes_memory, lane, sums)
    prepared = prepare(operation, load_like(tile, 0, top), top, numbers, frame, None)
    for j in range(length):
        g = second_of(operation, second, j * pitch, top)
        sums = taken(lanes_memory, j & (count - 1), sums)
        sums, left = consume(operation, sums, prepared, g, numbers, back)
        returned(lanes_memory, j & (count - 1), sums)
        x = load_like(tile, (j + 1) * pitch, top)
        prepared = prepare(operation, x, top, numbers, frame, None)
        leave(operation, tile, j * pitch, left)
        state = _exchange_next(operation, exchange, state)
    return sums, state


@device
def reduce_beside(
    operation: Any,
    tiles: Any,
    pitch: Any,
    length: Any,
    top: Any,
    numbers: Any,
    short: Any,
    exchange: Any,
    state: Any,
) -> Any:
    """`tiles.reduce_strip` with exchanges; returns the state of the slices and of these."""
    top, k, frame, back = framed(operation, top, (numbers, None))
    scope = numbers, frame, top, back
    memory = workspace_bytes(tiles[0], TOTALS_BYTES)
    if short:
        sums, state = _sum_elements(operation, tiles, pitch, length, scope, None, exchange, state)
        high, low, ties = parts(totals(operation, sums, True))
    else:
        sums, state = _sum_elements(operation, tiles, pitch, length, scope, memory, exchange, state)
        high, low, ties = fold_lanes(operation, memory, sums, lane_count(tiles[0]))
    return (double(top), double(k), high, low, ties), state


@device
def rows_ahead(width: Any, step: Any, line_: Any) -> Any:
    """How many rows ahead lines are asked for, `width` elements of each.

    Rows a power of two apart are in the same sets of the first-level cache, and would drive one
    another out of it: those of logits and of results get no more than a quarter of it each.
    """
    apart = abs(step) * (LINE_BYTES // line_)
    apart = min(max(apart & -apart, LINE_BYTES), PAGE_BYTES)
    return max(1, min(SOON_LINES * line_ // width, FIRST_LEVEL_BYTES // 4 // apart))


@device
def is_whole(cell: Any, last: Any) -> Any:
    """Whether a cell is all the columns before `last`."""
    return cell[2] == 0 and cell[3] == last
