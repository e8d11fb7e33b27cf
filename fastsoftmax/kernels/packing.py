"""Columns of strided memory into tiles, and results from tiles into memory."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.elements import fetch, fetch_part, put, put_part, put_past_caches
from fastsoftmax.kernels.groups import ask_soon, ask_to_write
from fastsoftmax.kernels.masks import hide_run
from fastsoftmax.kernels.memory import (
    LINE_BYTES,
    PAGE_BYTES,
    advance,
    clear,
    elements_before_line,
    line_count,
    load_like,
    load_part,
    pointer_like,
    store,
)
from fastsoftmax.kernels.operations import NEGATIVE_INFINITY, Operation
from fastsoftmax.kernels.steps import result
from fastsoftmax.kernels.strides import TARGET, strides_of
from fastsoftmax.kernels.sums import LANES_BYTES, lane_count, lanes, lanes_of
from fastsoftmax.kernels.terms import half_a_page_on
from fastsoftmax.kernels.values import Value, Vec, as_type, formula
from fastsoftmax.kernels.vectors import maximum, splat

# The width of a tile at the most, in strips (of as many slices as there are lanes).
GROUP = 4
GROUP_BYTES = GROUP * LANES_BYTES
ROWS_AHEAD = 8
"""How many rows ahead lines are asked for where nothing else is done meanwhile."""
NARROW_LINES = 32
"""Rows of so many lines or fewer go past the caches only if they begin with one: each end within
a line, which is written through the caches, takes as long as several lines."""


@formula
def _wide(address: Value) -> Value:
    """-inf in each element of a vector as wide as a tile."""
    vec = Vec(address.dtype, GROUP * lane_count(address))
    return as_type(NEGATIVE_INFINITY, vec, address.builder)


@device
def _pack_whole(tile: Any, pitch: Any, x: Any, step: Any, length: Any, top: Any) -> Any:
    """Copy `length` rows as wide as `top` to the tile; returns `top` raised to them."""
    for j in range(length):
        elements = fetch(x, j * step, top)
        ask_soon(x, (j + ROWS_AHEAD) * step, top)
        store(tile, j * pitch, elements)
        top = maximum(elements, top)
    return top


@device
def pack(
    tile: Any, pitch: Any, tops: Any, x: Any, step: Any, length: Any, first: Any, last: Any
) -> None:
    """Copy the columns `first` to `last` - 1 of `x` to the tile, their maxima to `tops`.

    `length` rows that are `step` elements apart.  `first` is in the first strip; what else
    there is of the first and last strip becomes 0.
    """
    strip = lane_count(tile)
    low = splat(NEGATIVE_INFINITY, lanes(tile))
    done = 0
    while done < last:
        column, place = advance(tile, done), advance(x, done)
        if done >= first and last - done >= GROUP * strip:
            store(tops, done, _pack_whole(column, pitch, place, step, length, _wide(tile)))
            done += (GROUP - 1) * strip
        elif done >= first and last - done >= strip:
            store(tops, done, _pack_whole(column, pitch, place, step, length, low))
        else:
            top = low
            for j in range(length):
                elements = fetch_part(place, j * step, low, first - done, last - done, 0.0)
                store(column, j * pitch, elements)
                top = maximum(elements, top)
            store(tops, done, top)
        done += strip


@device
def negate(tile: Any, pitch: Any, length: Any, last: Any) -> None:
    """Turn the sign of the first `last` columns, strip by strip."""
    group, strip = lanes(tile), lane_count(tile)
    for j in range(length):
        for i in range(0, last, strip):
            store(tile, j * pitch + i, group - load_like(tile, j * pitch + i, group))


@device
def hide_columns(
    tile: Any, pitch: Any, length: Any, first: Any, last: Any, shown: Any, steps: Any, fill: Any
) -> None:
    """Replace what a mask, at `shown` with these strides of rows and columns, leaves out."""
    for j in range(length):
        place = advance(shown, j * steps[0] + first * steps[1])
        hide_run(advance(tile, j * pitch + first), place, steps[1], last - first, fill)


@device
def raise_tops(tile: Any, pitch: Any, tops: Any, length: Any, last: Any) -> None:
    """Write the maxima of the first `last` columns, strip by strip."""
    group, strip = lanes(tile), lane_count(tile)
    for i in range(0, last, strip):
        top = splat(NEGATIVE_INFINITY, group)
        for j in range(length):
            top = maximum(load_like(tile, j * pitch + i, group), top)
        store(tops, i, top)


@formula
def _result_at(
    operation: Operation, tiles: Any, pitch: Value, j: Value, i: Value, notes: Any, bounds: Any
) -> Value:
    """The results in row j from column i on, one strip, or the part within `bounds`."""
    group = lanes(tiles[0])

    def loaded(tile: Value, index: Any) -> Value:
        if bounds is None:
            return load_like(tile, index, group)
        return load_part(tile, index, group, *bounds, 0.0)

    x = loaded(tiles[0], j * pitch + i)
    g = loaded(tiles[1], j * pitch + i) if operation.inputs == 2 else None
    coefficients = tuple(load_like(note, i, group) for note in notes[:2])
    cool = None
    if len(notes) > 2:
        cool = tuple(load_like(note, i, group) for note in notes[2:])
    return result(operation, x, g, coefficients, cool)


@device
def unpack(
    operation: Any,
    tiles: Any,
    pitch: Any,
    notes: Any,
    out: Any,
    step: Any,
    length: Any,
    first: Any,
    last: Any,
    streaming: Any,
) -> None:
    """Write the results of the columns `first` to `last` - 1.

    `notes` are the addresses of the coefficients of each column, and of its 1 / T.
    """
    strip = lane_count(tiles[0])
    begin = (first + strip - 1) // strip * strip
    whole = max(begin, last - last % strip)
    for j in range(length):
        for i in range(begin, whole, strip):
            found = _result_at(operation, tiles, pitch, j, i, notes, None)
            if streaming:
                put_past_caches(out, j * step + i, found)
            else:
                put(out, j * step + i, found)
                ask_to_write(out, (j + ROWS_AHEAD) * step + i, lanes(tiles[0]))
    for i in range(0, last, strip):
        if i < begin or i >= whole:
            for j in range(length):
                found = _result_at(operation, tiles, pitch, j, i, notes, None)
                ask_to_write(out, (j + ROWS_AHEAD) * step + i, lanes(tiles[0]))
                put_part(out, j * step + i, found, first - i, last - i)


@device
def resolve(operation: Any, tiles: Any, pitch: Any, notes: Any, length: Any, last: Any) -> None:
    """Replace what was kept in the first `last` columns by the results, strip by strip."""
    strip = lane_count(tiles[0])
    for j in range(length):
        for i in range(0, last, strip):
            found = _result_at(operation, tiles, pitch, j, i, notes, None)
            store(tiles[0], j * pitch + i, found)


@device
def lie_alike(axes: Any, out: Any, step_out: Any) -> Any:
    """Whether the rows of results of all batches begin alike on cache lines."""
    line_, strides = line_count(out), strides_of(axes, TARGET)
    alike = step_out % line_ == 0
    for axis in range(axes[0] - 1):
        alike = alike and strides[axis] % line_ == 0
    return alike


@device
def begin_with_lines(axes: Any, out: Any, step_out: Any) -> Any:
    """Whether they all begin with a line."""
    return elements_before_line(out) == 0 and lie_alike(axes, out, step_out)


@device
def grid_of(axes: Any, width: Any, out: Any, step_out: Any, streaming: Any) -> Any:
    """How columns are cut into groups: ``(groups, width, run, lead, streaming)``.

    Groups are `width` columns, the first of them begins `lead` columns before the first
    column.  If results are to be streamed, and their rows lie alike, groups begin with a line of
    the result; else, if rows are narrow and don't begin with one, or if their only group ends
    within a vector, they are not streamed.
    """
    line_, run = line_count(out), axes[1][axes[0] - 1]
    groups = groups_of(run, width, line_, streaming)
    streaming = streaming and lie_alike(axes, out, step_out)
    if run <= NARROW_LINES * line_:
        streaming = streaming and elements_before_line(out) == 0
    if run <= width:
        streaming = streaming and run % lane_count(out) == 0
    lead = (line_ - elements_before_line(out)) % line_ if streaming else 0
    return groups, width, run, lead, streaming


@device
def cell_of(task: Any, grid: Any) -> Any:
    """``(batch, begin, first, last)`` of a task: its columns, counted from `begin`.

    Nothing, ``first >= last``, for a group that is there for other alignments only.
    """
    groups, width, run, lead, _ = grid
    batch = task // groups
    begin = (task - batch * groups) * width - lead
    return batch, begin, max(0, -begin), min(width, run - begin)


def _groups(run: int, width: int, line_: int, streaming: bool) -> int:
    lead = line_ - 1 if streaming and run > NARROW_LINES * line_ else 0
    return (run + lead + width - 1) // width


groups_of = device(_groups)


def tasks_in(run: int, width: int, itemsize: int, streaming: bool) -> int:
    """The number of groups of one batch, see `grid_of`, for results of `itemsize` bytes."""
    return _groups(run, width, LINE_BYTES // itemsize, streaming)


def _pitch(width: int, line_: int) -> int:
    return (width + line_ - 1) // line_ * line_


pitch_of = device(_pitch)
"""The distance of the rows of a tile: whole lines."""


def tile_bytes(length: int, width: int, itemsize: int) -> int:
    """The scratch memory that a tile takes: `tiles` reads beyond its end."""
    rows = length + lanes_of(itemsize)
    return rows * _pitch(width, LINE_BYTES // itemsize) * itemsize + 2 * LINE_BYTES + PAGE_BYTES


@device
def tile_in(scratch: Any, like: Any, width: Any) -> Any:
    """The address of a tile in scratch memory, and the distance of its rows."""
    tile = pointer_like(scratch, like)
    return advance(tile, elements_before_line(tile)), pitch_of(width, line_count(like))


@device
def clear_after(tile: Any, pitch: Any, length: Any) -> None:
    """Write zeros to the row after `length` rows, which kernels/tiles.py reads."""
    clear(advance(tile, length * pitch), pitch)


@device
def tile_after(tile: Any, pitch: Any, length: Any, inputs: Any) -> Any:
    """The address of a second tile, where there are several inputs.

    A load from one does not wait for stores into the other so, see `sweep.turn_of`: (64, 32,
    56, 56) float32 over dim 1 took 2.32 ms on one thread and takes 2.14.
    """
    if inputs < 2:
        return tile
    rows = length + lane_count(tile)
    return advance(tile, half_a_page_on(rows * pitch + line_count(tile), tile))
