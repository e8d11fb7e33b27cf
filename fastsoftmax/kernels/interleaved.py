"""A few long slices that lie interleaved in memory: (1000000, 8) along dim 0.

With fewer slices than lanes, a vector of neighbours holds an element each of all slices,
and of those as many as there is room for.  So `columns` of one block are taken as wider ones:
element j of slice c belongs to lane ``j mod L``, so L rows of the `count` slices are one row
of ``L * count`` columns, each of which holds one lane of one slice.  They are summed as all
columns are, and the lanes of a slice, `count` columns apart, are joined by halves.  Elements
are taken where they stand unless they have to be converted, negated or shifted.

(1000000, 8) float32 took 1.3 ns an element as columns that fill a quarter of each vector, 0.35
as wider ones in a tile, and takes 0.18 so.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.cells import degrees_of
from fastsoftmax.kernels.columns import keep_states, load_columns, shift_strip
from fastsoftmax.kernels.elements import (
    as_computed,
    computed_like,
    is_computed,
)
from fastsoftmax.kernels.groups import raise_at
from fastsoftmax.kernels.lane_totals import flat_totals, totals_like
from fastsoftmax.kernels.memory import (
    LINE_BYTES,
    advance,
    clear,
    elements_before_line,
    load_first,
    load_like,
    pointer,
    pointer_like,
    store,
)
from fastsoftmax.kernels.operands import split_kernel
from fastsoftmax.kernels.operations import (
    NEGATED,
    NEGATIVE_INFINITY,
    Operation,
    heat_for,
    inputs_of,
)
from fastsoftmax.kernels.packing import negate
from fastsoftmax.kernels.steps import begin, consume, join_totals, keep_sums, parts, prepare, totals
from fastsoftmax.kernels.strides import SECOND, SOURCE, TARGET, copy_in, described, run_at
from fastsoftmax.kernels.sums import LANES_BYTES, block_length, lane_count, lanes, lanes_of
from fastsoftmax.kernels.tiles import framed, sum_lanes
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import (
    any_of,
    double,
    is_different,
    maximum,
    narrow,
    splat,
)
from fastsoftmax.kernels.whole import SHIFT
from fastsoftmax.kernels.workspaces import workspace, workspace_double

COLUMNS_BYTES, DOUBLES_BYTES = LANES_BYTES * 33, 8 * 32 * 33
"""Memory for a number for each lane of each slice, of which there are no more than lanes, and
a vector beyond: in the dtype of the elements and in float64."""
_PLANES = 3
_TOTALS_BYTES = _PLANES * DOUBLES_BYTES


def tile_bytes(length: int, count: int, itemsize: int) -> int:
    """The scratch memory for `count` slices of at most a block."""
    return _elements(length, count, lanes_of(itemsize)) * itemsize + LINE_BYTES


def _elements(length: int, count: int, lanes_: int) -> int:
    """Elements of a tile: one row of lanes less may be in use."""
    return (length // lanes_ + 1) * count * lanes_


_elements_of = device(_elements)


@device
def _tiles_in(scratch: Any, like: Any, size: Any, count: Any, inputs: Any) -> Any:
    """The addresses of the tiles of both inputs."""
    tile = pointer_like(scratch, like)
    tile = advance(tile, elements_before_line(tile))
    if inputs < 2:
        return tile, tile
    return tile, advance(tile, _elements_of(size, count, lane_count(like)))


@device
def _block_of(
    operation: Any, bases: Any, tiles: Any, batch: Any, span: Any, call: Any, shifting: Any
) -> Any:
    """The addresses of a block of all slices, elements `span` of memory.

    Where they stand, unless they are to be converted or shifted: then in the tiles.
    """
    axes, options = call
    start, elements = span
    x = advance(run_at(bases[SOURCE], batch, 0, axes, SOURCE), start)
    g = advance(run_at(bases[SECOND], batch, 0, axes, SECOND), start)
    if not shifting and is_computed(x, tiles[0]) and options & NEGATED == 0:
        x = as_computed(x, tiles[0])
    else:
        copy_in(tiles[0], x, 1, elements)
        if options & NEGATED != 0:
            negate(tiles[0], 0, 1, elements)
        x = tiles[0]
    if inputs_of(operation) < 2:
        return x, x
    if is_computed(g, tiles[1]):
        return x, as_computed(g, tiles[1])
    copy_in(tiles[1], g, 1, elements)
    return x, tiles[1]


@device
def spread(memory: Any, count: Any, like: Any, lanes_: Any) -> None:
    """Repeat the first `count` numbers for each of the lanes, and a strip beyond."""
    width, done = count * lanes_, count
    while done < width:
        for v in range(0, done, lanes_):
            store(memory, done + v, load_like(memory, v, like))
        done += done
    store(memory, width, load_like(memory, 0, like))


@formula
def _raise_tops(tops: Value, i: Value, x: Value, pitch: Value, rows: int) -> None:
    """Raise the maxima from column `i` on to some rows at `x`."""
    top = load_like(tops, i, lanes(x))
    for r in range(rows):
        top = maximum(load_like(x, pitch * r + i, top), top)
    store(tops, i, top)


@device
def _tops(tops: Any, x: Any, count: Any, rows: Any) -> None:
    """Write the maxima of `rows` elements of each slice, once for each lane."""
    group, step = lanes(x), lane_count(x)
    whole, width = rows // step, count * step
    low = splat(NEGATIVE_INFINITY, group)
    for i in range(0, width, step):
        store(tops, i, low)
    many = whole - whole % 4
    for r in range(0, many, 4):
        for i in range(0, width, step):
            _raise_tops(tops, i, advance(x, r * width), width, 4)
    for r in range(many, whole):
        for i in range(0, width, step):
            _raise_tops(tops, i, advance(x, r * width), width, 1)
    left = (rows - whole * step) * count
    for i in range(0, left, step):
        last = load_first(x, whole * width + i, group, left - i, NEGATIVE_INFINITY)
        raise_at(tops, i, last)
    while width > count:
        width //= 2
        for v in range(0, width, step):
            raise_at(tops, v, load_like(tops, width + v, group))
    spread(tops, count, group, step)


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
    """The sums with the first `count` columns of a row: no others are read."""
    group = lanes(tiles[0])
    numbers, heat = scope
    x = load_first(tiles[0], place, group, count, 0.0)
    prepared = prepare(operation, x, top, numbers, frame, heat)
    g = load_first(tiles[1], place, group, count, 0.0) if operation.inputs == 2 else None
    new, _ = consume(operation, sums, prepared, g, numbers, back)
    return keep_sums(new, count, sums)


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
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, _, options, _, axes, _ = described(geometry)
        size, count = block_length(like), axes[1][axes[0] - 1]
        tiles = _tiles_in(scratch, like, size, count, inputs_of(operation))
        tops, bys = workspace(like, COLUMNS_BYTES), workspace(like, COLUMNS_BYTES)
        degrees, memory = (
            workspace_double(like, DOUBLES_BYTES),
            workspace_double(like, _TOTALS_BYTES),
        )
        state, of_slices = pointer(blocks), pointer(slices)
        per_slice, all_slices = blocks.shape[1], blocks.shape[2]
        group, step = lanes(like), lane_count(like)
        width, plane = count * step, (count + 1) * step
        clear(tops, plane)
        clear(memory, _PLANES * plane)
        for task in range(first, last):
            block, batch = task % per_slice, task // per_slice
            rows = min(size, length - block * size)
            span = block * size * count, rows * count
            mine = advance(of_slices, SHIFT * all_slices + batch * count)
            store(bys, 0, narrow(load_columns(mine, 0, group, 0, count), like))
            spread(bys, count, group, step)
            shifting = any_of(is_different(load_like(bys, 0, group), 0.0))
            found = _block_of(operation, bases, tiles, batch, span, (axes, options), shifting)
            _tops(tops, found[0], count, rows)
            cell = batch, 0, 0, count
            warm = degrees_of(operation, bases, cell, 0, axes, group)
            store(degrees, 0, warm)
            spread(degrees, count, warm, step)
            whole = rows // step
            left = (rows - whole * step) * count
            top, k = group, group
            for i in range(width - step, -step, -step):
                column = advance(found[0], i), advance(found[1], i)
                heat = heat_for(operation, load_like(degrees, i, warm), like)
                scope = numbers, heat
                top, by = load_like(tops, i, group), load_like(bys, i, group)
                if shifting:
                    lines = whole + (1 if left > i else 0)
                    top = shift_strip(operation, column[0], width, lines, by, top)
                top, k, frame, back = framed(operation, top, scope)
                sums = begin(operation, group)
                if whole > 0:
                    # But for the last row: the one after those summed is read.
                    most = whole - 1
                    sums = sum_lanes(
                        operation,
                        column,
                        width,
                        most,
                        top,
                        scope,
                        frame,
                        back,
                        None,
                        False,
                        None,
                    )
                    place = most * width
                    sums = _add_last(operation, sums, column, place, step, top, scope, frame, back)
                if left > i:
                    sums = _add_last(
                        operation, sums, column, whole * width, left - i, top, scope, frame, back
                    )
                _store_planes(memory, plane, i, totals(operation, sums, False))
            high, low, ties = _joined(operation, memory, plane, count, like)
            here = advance(state, block * all_slices + batch * count)
            known = double(top), double(k), high, low, ties
            keep_states(here, per_slice * all_slices, 0, known, 0, count)

    return split_kernel(reduce_interleaved, f"reduce-interleaved-{operation.name}")


reduce_interleaved = functools.cache(_reduce_interleaved)
