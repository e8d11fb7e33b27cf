"""A few long slices that lie interleaved in memory: (1000000, 8) along dim 0.

With fewer slices than lanes, a vector of neighbours holds an element each of all slices,
and of those as many as there is room for.  So `columns` of one block are taken as wider ones:
element j of slice c belongs to lane ``j mod L``, so L rows of the `count` slices are one row
of ``L * count`` columns, each of which holds one lane of one slice.  They are summed as all
columns are, and the lanes of a slice, `count` columns apart, are joined by halves.

(1000000, 8) float32 took 1.3 ns an element as columns that fill a quarter of each vector, and
takes 0.35 so.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.along import shares, write_block
from fastsoftmax.kernels.cells import degrees_of
from fastsoftmax.kernels.columns import keep_states, keep_strip, load_state, shift_strip
from fastsoftmax.kernels.elements import computed_like
from fastsoftmax.kernels.elements import fetch as fetch_elements
from fastsoftmax.kernels.exponential import exponent_of, window
from fastsoftmax.kernels.memory import (
    LINE_BYTES,
    advance,
    elements_before_line,
    line_count,
    load_like,
    pointer,
    pointer_like,
    store,
    stream_fence,
    workspace,
    workspace_double,
)
from fastsoftmax.kernels.operands import split_kernel
from fastsoftmax.kernels.operations import (
    COPY,
    NEGATED,
    NEGATIVE_INFINITY,
    Operation,
    back_of,
    begin,
    consume,
    cool_for,
    heat_for,
    inputs_of,
    join_totals,
    keep_sums,
    keeps,
    parts,
    prepare,
    result,
    totals,
)
from fastsoftmax.kernels.outcomes import EXPONENT, framed_top
from fastsoftmax.kernels.strides import SECOND, SOURCE, TARGET, described, run_at, zero
from fastsoftmax.kernels.sums import LANES_BYTES, block_length, lane_count, lanes, lanes_of
from fastsoftmax.kernels.tiles import flat_totals, sum_lane, totals_like
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import double, keep_first, maximum, narrow, splat
from fastsoftmax.kernels.whole import FIRST, SECOND_ONE, SHIFT, SLICE_EXPONENT

# For each lane of each slice, of which there are no more than lanes, and a vector beyond.
_ROW_BYTES = LANES_BYTES * 33
_DOUBLES_BYTES = 8 * 32 * 33
_TOTALS_BYTES = 3 * _DOUBLES_BYTES


def tile_bytes(length: int, count: int, itemsize: int) -> int:
    """The scratch memory for `count` slices of at most a block."""
    lanes_ = lanes_of(itemsize)
    return _elements(length, count, lanes_, LINE_BYTES // itemsize) * itemsize + LINE_BYTES


def _elements(length: int, count: int, lanes_: int, line: int) -> int:
    """Elements of a tile: a row of lanes more is read, and one less one may be in use."""
    return (length // lanes_ + 2) * (count * lanes_ + line)


_elements_of = device(_elements)


@device
def _pitch_of(like: Any, count: Any) -> Any:
    """Elements from row to row: a line more than there are, as in `packing.tile_in`."""
    return count * lane_count(like) + line_count(like)


@device
def _tiles_in(scratch: Any, like: Any, size: Any, count: Any, inputs: Any) -> Any:
    """The addresses of the tiles of both inputs."""
    tile = pointer_like(scratch, like)
    tile = advance(tile, elements_before_line(tile))
    if inputs < 2:
        return tile, tile
    return tile, advance(tile, _elements_of(size, count, lane_count(like), line_count(like)))


@device
def _copy_in(tile: Any, pitch: Any, source: Any, count: Any, negated: Any) -> None:
    """Copy `count` elements to the rows of a tile."""
    group, step = lanes(tile), lane_count(tile)
    width = pitch - line_count(tile)
    for begin_ in range(0, count, width):
        row, x = advance(tile, begin_ // width * pitch), advance(source, begin_)
        here = min(width, count - begin_)
        whole = here - here % step
        for i in range(0, whole, step):
            elements = fetch_elements(x, i, group)
            store(row, i, group - elements if negated else elements)
        for i in range(whole, here):
            element = fetch_elements(x, i, zero(tile))
            row[i] = -element if negated else element


@device
def _fill(
    operation: Any, bases: Any, tiles: Any, pitch: Any, batch: Any, span: Any, call: Any
) -> None:
    """Copy a block of all slices, elements `span` of memory, to the tiles."""
    axes, options = call
    start, elements = span
    x = advance(run_at(bases[SOURCE], batch, 0, axes, SOURCE), start)
    _copy_in(tiles[0], pitch, x, elements, options & NEGATED != 0)
    if inputs_of(operation) == 2:
        x = advance(run_at(bases[SECOND], batch, 0, axes, SECOND), start)
        _copy_in(tiles[1], pitch, x, elements, False)


@device
def _spread(memory: Any, count: Any, like: Any) -> None:
    """Repeat the first `count` numbers for each lane."""
    width, step = count * lane_count(memory), lane_count(memory)
    while count < width:
        for v in range(0, count, step):
            store(memory, count + v, load_like(memory, v, like))
        count += count


@device
def _spread_doubles(memory: Any, count: Any, lanes_: Any, like: Any) -> None:
    """The same for numbers in float64."""
    width = count * lanes_
    while count < width:
        for v in range(0, count, lanes_):
            store(memory, count + v, load_like(memory, v, like))
        count += count


@device
def _tops(tops: Any, tile: Any, count: Any, rows: Any) -> None:
    """Write the maxima of `rows` elements of each slice, once for each lane."""
    group, step = lanes(tile), lane_count(tile)
    pitch, whole, width = _pitch_of(tile, count), rows // step, count * step
    left = (rows - whole * step) * count
    for i in range(0, width, step):
        column, top = advance(tile, i), splat(NEGATIVE_INFINITY, group)
        for r in range(whole):
            top = maximum(load_like(column, r * pitch, group), top)
        last = load_like(column, whole * pitch, group)
        store(tops, i, maximum(keep_first(last, left - i, NEGATIVE_INFINITY), top))
    while width > count:
        width //= 2
        for v in range(0, width, step):
            upper = load_like(tops, width + v, group)
            store(tops, v, maximum(upper, load_like(tops, v, group)))
    _spread(tops, count, group)


@formula
def _add_last(
    operation: Operation,
    sums: Any,
    tiles: Any,
    place: Value,
    count: Value,
    top: Value,
    scope: Any,
    frame: Any,
    back: Value,
) -> Any:
    """The sums with the first `count` columns of the last row, of which not all are there."""
    group = lanes(tiles[0])
    numbers, heat = scope
    prepared = prepare(operation, load_like(tiles[0], place, group), top, numbers, frame, heat)
    g = load_like(tiles[1], place, group) if operation.inputs == 2 else None
    new, _ = consume(operation, sums, prepared, g, numbers, back)
    return keep_sums(operation, new, count, sums)


@formula
def _store_planes(memory: Value, plane: Value, index: Value, found: Any) -> None:
    for i, value in enumerate(flat_totals(found)):
        store(memory, plane * i + index, value)


@formula
def _load_planes(memory: Value, plane: Value, index: Value, like: Any) -> Any:
    values = [
        load_like(memory, plane * i + index, value) for i, value in enumerate(flat_totals(like))
    ]
    return totals_like(values)


@device
def _joined(operation: Any, memory: Any, plane: Any, count: Any, like: Any) -> Any:
    """``(high, low, ties)`` of the slices, from the totals of each of their lanes."""
    width, step = count * lane_count(like), lane_count(like)
    found = totals(operation, begin(operation, lanes(like)), False)
    while width > count:
        width //= 2
        for v in range(0, width, step):
            lower = _load_planes(memory, plane, v, found)
            upper = _load_planes(memory, plane, width + v, found)
            _store_planes(memory, plane, v, join_totals(lower, upper))
    return parts(_load_planes(memory, plane, 0, found))


def _reduce_interleaved(operation: Operation) -> Any:
    @device
    def reduce_interleaved(bases, slices, blocks, geometry, scratch, first, last):
        """Fill `blocks` for the tasks `first` to `last` - 1: all blocks of a batch in turn."""
        like = computed_like(bases[0])
        numbers = exponential.numbers(like)
        length, _, _, options, _, axes, _ = described(geometry)
        size, count = block_length(like), axes[1][axes[0] - 1]
        tiles = _tiles_in(scratch, like, size, count, inputs_of(operation))
        tops, bys = workspace(like, _ROW_BYTES), workspace(like, _ROW_BYTES)
        degrees, memory = (
            workspace_double(like, _DOUBLES_BYTES),
            workspace_double(like, _TOTALS_BYTES),
        )
        state, of_slices = pointer(blocks), pointer(slices)
        per_slice, all_slices = blocks.shape[1], blocks.shape[2]
        group, step = lanes(like), lane_count(like)
        pitch, width, plane = _pitch_of(like, count), count * step, (count + 1) * step
        for task in range(first, last):
            block, batch = task % per_slice, task // per_slice
            rows = min(size, length - block * size)
            span = block * size * count, rows * count
            _fill(operation, bases, tiles, pitch, batch, span, (axes, options))
            mine = advance(of_slices, SHIFT * all_slices + batch * count)
            _tops(tops, tiles[0], count, rows)
            store(bys, 0, narrow(load_state(mine, 0, group, 0, count), like))
            _spread(bys, count, group)
            cell = batch, 0, 0, count
            warm = degrees_of(operation, bases, cell, 0, axes, like)
            store(degrees, 0, warm)
            _spread_doubles(degrees, count, step, warm)
            whole = rows // step
            left = (rows - whole * step) * count
            top, k = group, group
            for i in range(width - step, -step, -step):
                column = advance(tiles[0], i), advance(tiles[1], i)
                heat = heat_for(operation, load_like(degrees, i, warm), like)
                scope = numbers, heat
                top, by = load_like(tops, i, group), load_like(bys, i, group)
                top = shift_strip(operation, column[0], pitch, whole + 1, by, top)
                top = framed_top(operation, top)
                k = exponent_of(top, numbers, heat)
                frame, back = window(k, numbers, heat), back_of(operation, k)
                nowhere = column[0], pitch
                each = 0, whole, 1
                sums = sum_lane(operation, column, pitch, each, top, scope, frame, back, nowhere)
                if left > i:
                    sums = _add_last(
                        operation, sums, column, whole * pitch, left - i, top, scope, frame, back
                    )
                _store_planes(memory, plane, i, totals(operation, sums, False))
            high, low, ties = _joined(operation, memory, plane, count, like)
            here = advance(state, block * all_slices + batch * count)
            found = double(top), double(k), high, low, ties
            keep_states(here, per_slice * all_slices, 0, found, 0, count)

    return split_kernel(reduce_interleaved, f"reduce-interleaved-{operation.name}")


@device
def _resolve_strip(
    operation: Any, column: Any, pitch: Any, rows: Any, found: Any, cool: Any
) -> None:
    """Replace what was kept of a strip by its results."""
    for r in range(rows):
        store(column[0], r * pitch, _result_at(operation, column, r * pitch, found, cool))


@formula
def _result_at(operation: Operation, column: Any, place: Value, found: Any, cool: Any) -> Value:
    group = lanes(column[0])
    g = load_like(column[1], place, group) if operation.inputs == 2 else None
    return result(operation, load_like(column[0], place, group), g, found, cool)


def _write_interleaved(operation: Operation) -> Any:
    @device
    def write_interleaved(bases, slices, blocks, geometry, scratch, first, last):
        """Write the results of the tasks `first` to `last` - 1."""
        like = computed_like(bases[0])
        numbers = exponential.numbers(like)
        length, streaming, _, options, _, axes, _ = described(geometry)
        size, count = block_length(like), axes[1][axes[0] - 1]
        tiles = _tiles_in(scratch, like, size, count, inputs_of(operation))
        bys, factors = workspace(like, _ROW_BYTES), workspace(like, _ROW_BYTES)
        uppers, lowers = workspace(like, _ROW_BYTES), workspace(like, _ROW_BYTES)
        exponents, degrees = workspace(like, _ROW_BYTES), workspace_double(like, _DOUBLES_BYTES)
        state, of_slices = pointer(blocks), pointer(slices)
        per_slice, all_slices = blocks.shape[1], blocks.shape[2]
        group, step = lanes(like), lane_count(like)
        pitch, width = _pitch_of(like, count), count * step
        for task in range(first, last):
            block, batch = task % per_slice, task // per_slice
            rows = min(size, length - block * size)
            start, elements = block * size * count, rows * count
            _fill(operation, bases, tiles, pitch, batch, (start, elements), (axes, options))
            mine = advance(of_slices, batch * count)
            here = advance(state, (EXPONENT * per_slice + block) * all_slices + batch * count)
            by = load_state(mine, SHIFT * all_slices, group, 0, count)
            slice_k = load_state(mine, SLICE_EXPONENT * all_slices, group, 0, count)
            upper = load_state(mine, FIRST * all_slices, group, 0, count)
            lower = load_state(mine, SECOND_ONE * all_slices, group, 0, count)
            k = load_state(here, 0, group, 0, count)
            share = group, narrow(upper, like), narrow(lower, like)
            if keeps(operation):
                share = shares(operation, k, slice_k, (share[1], share[2]))
            store(factors, 0, share[0])
            store(uppers, 0, share[1])
            store(lowers, 0, share[2])
            store(bys, 0, narrow(by, like))
            store(exponents, 0, narrow(k, like))
            for memory in (factors, uppers, lowers, bys, exponents):
                _spread(memory, count, group)
            cell = batch, 0, 0, count
            warm = degrees_of(operation, bases, cell, 0, axes, like)
            store(degrees, 0, warm)
            _spread_doubles(degrees, count, step, warm)
            lines = (rows + step - 1) // step
            for i in range(0, width, step):
                column = advance(tiles[0], i), advance(tiles[1], i)
                hot = load_like(degrees, i, warm)
                scope = numbers, heat_for(operation, hot, like)
                shift_strip(operation, column[0], pitch, lines, load_like(bys, i, group), group)
                if keeps(operation):
                    exponent, factor = load_like(exponents, i, group), load_like(factors, i, group)
                    keep_strip(operation, column[0], pitch, lines, exponent, factor, scope)
                found = load_like(uppers, i, group), load_like(lowers, i, group)
                cool = cool_for(operation, hot, like)
                _resolve_strip(operation, column, pitch, lines, found, cool)
            out = advance(run_at(bases[TARGET], batch, 0, axes, TARGET), start)
            nothing = (group, group), None
            for i in range(0, elements, width):
                row, here_ = advance(tiles[0], i // width * pitch), min(width, elements - i)
                write_block(COPY, row, row, advance(out, i), here_, nothing, streaming)
        if streaming:
            stream_fence(bases[TARGET])

    return split_kernel(write_interleaved, f"write-interleaved-{operation.name}")


reduce_interleaved = functools.cache(_reduce_interleaved)
write_interleaved = functools.cache(_write_interleaved)
