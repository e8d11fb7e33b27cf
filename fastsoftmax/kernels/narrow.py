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
from fastsoftmax.kernels.cells import degrees_of, note, notes_for, summarise
from fastsoftmax.kernels.elements import as_computed, computed_like
from fastsoftmax.kernels.groups import AHEAD_BYTES
from fastsoftmax.kernels.masks import MASKS_BYTES, run_with_masks
from fastsoftmax.kernels.memory import (
    advance,
    clear,
    load_like,
    stream_fence,
)
from fastsoftmax.kernels.narrow_tiles import all_from, empty_tiles, fill_tiles, part_of
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import (
    Operation,
    cool_for,
    heat_for,
    inputs_of,
    uses_temperature,
)
from fastsoftmax.kernels.outcomes import coefficients
from fastsoftmax.kernels.strides import (
    SECOND,
    SOURCE,
    TARGET,
    described,
    is_packed,
    results_ahead,
    strides_of,
)
from fastsoftmax.kernels.sums import LANES_BYTES, SINGLE, lane_count, lanes
from fastsoftmax.kernels.tiles import reduce_short_strip, settle
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows
from fastsoftmax.kernels.vectors import double
from fastsoftmax.kernels.workspaces import workspace, workspace_bytes

# Groups that go through each step together, at the most.
_GROUPS = 4
# Rows of their tiles, with one each that is read beyond the last (kernels/tiles.py).
_TILE_ROWS = 2 * (SINGLE + 1)
# Columns are written as many at a time as a vector has elements, 16 at the most.
_TILE_BYTES = (_TILE_ROWS + 16) * LANES_BYTES
_TOPS_BYTES = _GROUPS * LANES_BYTES
# The same slices as rows; the last one is written beyond its end.
_ROWS_BYTES = SINGLE * LANES_BYTES + LANES_BYTES


def _narrow(operation: Operation, bare: bool, writes: bool) -> Any:
    empty, describe = (empty_tiles, unwanted) if writes else (unwanted, summarise)

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
                fill_tiles(operation, bases, tiles, top, group, call, rows, packed)
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
                    x, _ = part_of(places, start + ahead * strip, axes, SOURCE)
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
                    operation, tiles, all_from(notes, i * strip), group, call, rows, how
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
