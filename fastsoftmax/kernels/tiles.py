"""Slices side by side: each element of a vector belongs to a slice of its own.

A *tile* holds the slices of a group as columns: element j of its slices is row j, `pitch`
elements after row j - 1.  `narrow` and `columns` differ in how a tile is filled and emptied;
what happens to it in between is here, for the slices of one *strip* at a time:
as many as there are lanes, or fewer where registers are few.
"""

from __future__ import annotations

from typing import Any

from fastsoftmax._cpu import VECTOR_BYTES
from fastsoftmax._jit import device
from fastsoftmax.kernels.exponential import exponent_of, window
from fastsoftmax.kernels.groups import ask_for, ask_to_write
from fastsoftmax.kernels.lane_totals import TOTALS_BYTES, fold_lanes
from fastsoftmax.kernels.memory import LINE_BYTES, load_like, store
from fastsoftmax.kernels.operations import Operation, has_frame, shift_of, shifted
from fastsoftmax.kernels.outcomes import coefficients, framed_top, needs_shift
from fastsoftmax.kernels.steps import back_of, begin, consume, parts, prepare, totals
from fastsoftmax.kernels.sums import LANES_BYTES, lane_count
from fastsoftmax.kernels.values import Value, Vec, as_type, formula
from fastsoftmax.kernels.vectors import any_of, choose, double, narrow, splat
from fastsoftmax.kernels.workspaces import keep, kept, workspace_bytes

STRIP_BYTES = min(LANES_BYTES, max(LINE_BYTES, 2 * VECTOR_BYTES))
"""The width of a strip where registers are few: two of them, a cache line at least.

The sixteen registers of AVX2 have no room for more: (32, 128, 28, 28) dim 1 took 3.0 ms on one
thread with strips as wide as lanes, four registers, and takes 2.7 in kernels/strips.py.
"""


@formula
def strip_count(like: Value) -> int:
    """The slices of a strip of `STRIP_BYTES`."""
    return int(STRIP_BYTES * 8 // like.dtype.bitwidth)


@formula
def strip_like(address: Value) -> Value:
    """A zero for each of them."""
    return as_type(0.0, Vec(address.dtype, strip_count(address)), address.builder)


@formula
def shifts(operation: Operation, top: Value, scope: Any) -> tuple[Value, Value]:
    """Which slices have a maximum that is too large, and what they are shifted by; others by 0."""
    numbers, heat = scope
    heeded = framed_top(operation, top)
    large = needs_shift(operation, heeded, top, numbers, heat)
    by = narrow(shift_of(operation, double(heeded), top), top)
    return large, choose(large, by, splat(0.0, top))


@device
def settle(operation: Any, tile: Any, pitch: Any, length: Any, top: Any, scope: Any) -> Any:
    """Shift, in place, the slices whose maximum is too large; returns the maxima then."""
    if has_frame(operation):
        large, by = shifts(operation, top, scope)
        if any_of(large):
            for j in range(length):
                x = load_like(tile, j * pitch, by)
                store(tile, j * pitch, choose(large, shifted(operation, x, by), x))
            return choose(large, splat(0.0, top), top)
    return top


@formula
def second_of(operation: Operation, tile: Value, index: Any, like: Value) -> Any:
    """The second input, if there is one."""
    return load_like(tile, index, like) if operation.inputs == 2 else None


@formula
def leave(operation: Operation, tile: Value, index: Any, kept: Value) -> None:
    """Write what the operation keeps of elements in their place."""
    if operation.keeps:
        store(tile, index, kept)


@formula
def framed(operation: Operation, top: Value, scope: Any) -> Any:
    """The maxima that frames are chosen by, their exponents, the frames, and the way back."""
    numbers, heat = scope
    top = framed_top(operation, top)
    k = exponent_of(top, numbers, heat)
    return top, k, window(k, numbers, heat), back_of(operation, k)


@formula
def taken(lanes_memory: Any, lane: Any, sums: Any) -> Any:
    """The sums of a lane, where there are several that wait in memory; else `sums`."""
    return sums if lanes_memory is None else kept(lanes_memory, lane, sums)


@formula
def returned(lanes_memory: Any, lane: Any, sums: Any) -> None:
    """Put the sums of a lane back where they were `taken` from."""
    if lanes_memory is not None:
        keep(lanes_memory, lane, sums)


@formula
def _ask_ahead(ahead: Any, j: Value, like: Value) -> None:
    """Ask for what row j will be followed by, see `sum_lanes`."""
    if ahead is not None:
        ask_for(ahead[0], j * ahead[1], like)


@device
def sum_lanes(
    operation: Any,
    tiles: Any,
    pitch: Any,
    length: Any,
    top: Any,
    scope: Any,
    frame: Any,
    back: Any,
    ahead: Any,
    leaving: Any,
    lanes_memory: Any,
) -> Any:
    """The sums of `length` elements, `leaving` what is kept of them in their place.

    Those of the last lane, the others in `lanes_memory`; None: there is one lane.  Rows are
    taken in their order: lane by lane, each would be a page from the last one.

    The argument of an element is reduced while the polynomial of the one before is
    evaluated, as in `sweep`; and meanwhile what will be packed next, rows ``ahead[1]``
    elements apart at ``ahead[0]``, is asked for, unless `ahead` is None.
    """
    tile, other = tiles
    numbers, heat = scope
    count = lane_count(tile)
    sums = begin(operation, top)
    for lane in range(count):
        returned(lanes_memory, lane, sums)
    x = load_like(tile, 0, top)
    prepared = prepare(operation, x, top, numbers, frame, heat)
    for j in range(length):
        _ask_ahead(ahead, j, top)
        g = second_of(operation, other, j * pitch, top)
        sums = taken(lanes_memory, j & (count - 1), sums)
        sums, left = consume(operation, sums, prepared, g, numbers, back)
        returned(lanes_memory, j & (count - 1), sums)
        x = load_like(tile, (j + 1) * pitch, top)
        prepared = prepare(operation, x, top, numbers, frame, heat)
        if leaving:
            leave(operation, tile, j * pitch, left)
    return sums


@formula
def _add_row(
    operation: Operation, tile: Value, index: Any, sums: Any, prepared: Any, numbers: Any, back: Any
) -> Any:
    """`sums` with the elements at `index`, of which is left what is kept."""
    sums, left = consume(operation, sums, prepared, None, numbers, back)
    leave(operation, tile, index, left)
    return sums


@device
def sum_pairs(
    operation: Any,
    tile: Any,
    pitch: Any,
    length: Any,
    top: Any,
    scope: Any,
    frame: Any,
    back: Any,
    ahead: Any,
) -> Any:
    """`sum_lanes` of slices with one lane and one input, `STRIP_BYTES` wide: two rows at once.

    Two registers of two rows are as much to do side by side as four registers of one row, but
    have half of the sums and frames, which would not stay in registers: (1000, 37) float32
    took 28.7 µs on one thread with AVX2 and takes 25.1.  What is left of a row is written before
    others are read: it would wait in memory else.

    Two rows after the last one are read.  `ahead` is where elements will be read and results
    written, and how far to go for each row: both are asked for meanwhile.
    """
    numbers, heat = scope
    x_ahead, out, step = ahead
    sums = begin(operation, top)
    first = prepare(operation, load_like(tile, 0, top), top, numbers, frame, heat)
    second = prepare(operation, load_like(tile, pitch, top), top, numbers, frame, heat)
    for j in range(0, length - 1, 2):
        here, there = j * pitch, (j + 1) * pitch
        ask_for(x_ahead, j * step, top)
        ask_for(x_ahead, (j + 1) * step, top)
        ask_to_write(out, j * step, top)
        ask_to_write(out, (j + 1) * step, top)
        sums = _add_row(operation, tile, here, sums, first, numbers, back)
        sums = _add_row(operation, tile, there, sums, second, numbers, back)
        x, y = load_like(tile, here + 2 * pitch, top), load_like(tile, there + 2 * pitch, top)
        first = prepare(operation, x, top, numbers, frame, heat)
        second = prepare(operation, y, top, numbers, frame, heat)
    if length & 1:
        ask_for(x_ahead, (length - 1) * step, top)
        ask_to_write(out, (length - 1) * step, top)
        sums = _add_row(operation, tile, (length - 1) * pitch, sums, first, numbers, back)
    return sums


@device
def _many_lanes(
    operation: Any,
    tiles: Any,
    pitch: Any,
    length: Any,
    top: Any,
    scope: Any,
    frame: Any,
    back: Any,
    leaving: Any,
) -> Any:
    """``(high, low, ties)`` of the elements, one block at most, summed in lanes."""
    memory = workspace_bytes(tiles[0], TOTALS_BYTES)
    sums = sum_lanes(
        operation, tiles, pitch, length, top, scope, frame, back, None, leaving, memory
    )
    return fold_lanes(operation, memory, sums, lane_count(tiles[0]))


@device
def reduce_short_strip(
    operation: Any, tiles: Any, pitch: Any, length: Any, top: Any, scope: Any, ahead: Any
) -> Any:
    """`reduce_strip` of slices that are `short`."""
    top, k, frame, back = framed(operation, top, scope)
    sums = sum_lanes(operation, tiles, pitch, length, top, scope, frame, back, ahead, True, None)
    high, low, ties = parts(totals(operation, sums, True))
    return double(top), double(k), high, low, ties


@device
def reduce_strip(
    operation: Any,
    tiles: Any,
    pitch: Any,
    length: Any,
    top: Any,
    scope: Any,
    short: Any,
    ahead: Any,
) -> Any:
    """The states of the slices of a strip, at most a block of them, all parts in float64.

    Elements are replaced by what the operation keeps of them.  Rows after the last one are
    read, though they do not count: as many as there are lanes.  `short` slices, of at most
    `SINGLE` elements, have one lane, and what comes `ahead` is asked for (`sum_lanes`); that of
    longer ones would not stay in the caches.
    """
    if short:
        return reduce_short_strip(operation, tiles, pitch, length, top, scope, ahead)
    top, k, frame, back = framed(operation, top, scope)
    found = _many_lanes(operation, tiles, pitch, length, top, scope, frame, back, True)
    return double(top), double(k), found[0], found[1], found[2]


@device
def reduce_rows(operation: Any, tiles: Any, pitch: Any, length: Any, top: Any, scope: Any) -> Any:
    """The same for a block of longer slices; its elements stay as they are."""
    top, k, frame, back = framed(operation, top, scope)
    found = _many_lanes(operation, tiles, pitch, length, top, scope, frame, back, False)
    return double(top), double(k), found[0], found[1], found[2]


@device
def strip_coefficients(
    operation: Any, state: Any, top: Any, like: Any, scope: Any, short: Any
) -> Any:
    """The coefficients of the slices of a strip; `top` is their max before any shift."""
    numbers, heat = scope
    if short:
        return coefficients(operation, state, double(top), like, numbers, heat, True)
    return coefficients(operation, state, double(top), like, numbers, heat, False)
