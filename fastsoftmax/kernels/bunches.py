"""Columns of runs that are narrower than a strip: those of some batches side by side.

A run of few slices, such as the heads of (batch, position, head) over dim 1, would leave most
lanes of a strip empty.  So runs of several batches are packed into the rows of one tile, one after
the other, and are columns of it from there on.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.cells import note, notes_for
from fastsoftmax.kernels.elements import computed_like, fetch, fetch_part, put, put_part
from fastsoftmax.kernels.memory import LINE_BYTES, advance, line_count, load_like, store
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import Operation, gradual_of, inputs_of
from fastsoftmax.kernels.packing import (
    GROUP_BYTES,
    clear_after,
    raise_tops,
    resolve,
    tile_after,
    tile_bytes,
    tile_in,
)
from fastsoftmax.kernels.shuffles import lower_half
from fastsoftmax.kernels.strides import (
    SECOND,
    SOURCE,
    TARGET,
    described,
    run_at,
    strides_of,
)
from fastsoftmax.kernels.sums import SINGLE, lane_count, lanes
from fastsoftmax.kernels.tiles import reduce_strip, settle, strip_coefficients
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows, is_strip_gradual
from fastsoftmax.kernels.vectors import count_of, vector
from fastsoftmax.kernels.workspaces import workspace


@device
def _whole_rows(step: Any, length: Any, run: Any, width: Any) -> Any:
    """How many rows may be read or written in whole vectors: what is beyond them is the run's."""
    beyond = (width - run % width) % width
    if beyond == 0:
        return length
    rows = length if step >= run else 0
    while beyond > 0 and rows > 0:  # without a division, as runs may be short
        rows, beyond = rows - 1, beyond - step
    return rows


@device
def _pack_run(tile: Any, pitch: Any, x: Any, step: Any, length: Any, run: Any, like: Any) -> None:
    """Copy `length` rows of `run` elements to the tile, as many at a time as `like` has.

    What comes after a row in the tile becomes what comes after it in memory, or 0.
    """
    width = count_of(like)
    whole = _whole_rows(step, length, run, width)
    for j in range(whole):
        for i in range(0, run, width):
            store(tile, j * pitch + i, fetch(x, j * step + i, like))
    for j in range(whole, length):
        for i in range(0, run, width):
            store(tile, j * pitch + i, fetch_part(x, j * step + i, like, None, run - i, 0.0))


@device
def _unpack_run(
    tile: Any, pitch: Any, out: Any, step: Any, length: Any, run: Any, like: Any
) -> None:
    """Write `length` rows of `run` results, as many at a time as `like` has.

    What is written after a row is overwritten by the next one, if that follows at once.
    """
    width = count_of(like)
    whole = _whole_rows(step, length, run, width) if step == run or run % width == 0 else 0
    for j in range(whole):
        for i in range(0, run, width):
            put(out, j * step + i, load_like(tile, j * pitch + i, like))
    for j in range(whole, length):
        for i in range(0, run, width):
            put_part(out, j * step + i, load_like(tile, j * pitch + i, like), None, run - i)


@device
def _in_vectors(
    move: Any, tile: Any, pitch: Any, place: Any, step: Any, length: Any, run: Any
) -> None:
    """`_pack_run` or `_unpack_run` in vectors that suit the run."""
    whole = vector(tile)
    half = lower_half(whole)
    if run > count_of(half):
        move(tile, pitch, place, step, length, run, whole)
    elif 2 * run > count_of(half):
        move(tile, pitch, place, step, length, run, half)
    else:
        move(tile, pitch, place, step, length, run, lower_half(half))


@device
def _batches(axes: Any) -> Any:
    """The number of runs."""
    count = 1
    for axis in range(axes[0] - 1):
        count *= axes[1][axis]
    return count


@device
def _fill(tile: Any, pitch: Any, base: Any, operand: Any, bunch: Any, call: Any) -> None:
    """Pack the runs of a bunch; lanes that none falls on become 0, or what comes after the last."""
    first, count, run = bunch
    length, axes, dims = call
    strip, step = lane_count(tile), strides_of(dims, operand)[0]
    used = count * run
    if used % strip != 0:
        for j in range(length):
            store(tile, j * pitch + used // strip * strip, lanes(tile))
    for k in range(count):
        x = run_at(base, first + k, 0, axes, operand)
        _in_vectors(_pack_run, advance(tile, k * run), pitch, x, step, length, run)


def scratch_bytes(length: int, width: int, itemsize: int) -> int:
    """The scratch memory for one tile, with room for what is written beyond the ends of rows."""
    return tile_bytes(length, width + LINE_BYTES // itemsize, itemsize)


def _bunches(operation: Operation) -> Any:
    @device
    def bunches(bases, _options, geometry, scratch, first, last):
        """All steps for the bunches `first` to `last` - 1, of slices of one block each."""
        like = computed_like(bases[TARGET])
        scope = exponential.numbers(like), None
        length, _, width, _, _, axes, dims = described(geometry)
        call, short = (length, axes, dims), length <= SINGLE
        tile, pitch = tile_in(scratch, like, width + line_count(like))
        other = tile_after(tile, pitch, length, inputs_of(operation))
        clear_after(tile, pitch, length)
        tops, notes = workspace(like, GROUP_BYTES), notes_for(operation, like, GROUP_BYTES)
        run, batches = axes[1][axes[0] - 1], _batches(axes)
        together, step_out = width // run, strides_of(dims, TARGET)[0]
        group, strip = lanes(like), lane_count(like)
        justified = not expects_underflow(operation)
        for task in range(first, last):
            begin = task * together
            bunch = begin, min(together, batches - begin), run
            used = bunch[1] * run
            _fill(tile, pitch, bases[SOURCE], SOURCE, bunch, call)
            if inputs_of(operation) == 2:
                _fill(other, pitch, bases[SECOND], SECOND, bunch, call)
            raise_tops(tile, pitch, tops, length, used)
            gradual = False
            for i in range(0, used, strip):
                column, top = (advance(tile, i), advance(other, i)), load_like(tops, i, group)
                settled = settle(operation, column[0], pitch, length, top, scope)
                coming = column[0], pitch
                state = reduce_strip(
                    operation, column, pitch, length, settled, scope, short, coming
                )
                found = strip_coefficients(operation, state, top, like, scope, short)
                note(notes, i, found, None)
                gradual |= is_strip_gradual(operation, column[0], pitch, length, found)
            justified |= gradual
            if gradual:
                resolve(gradual_of(operation), (tile, other), pitch, notes, length, used)
            else:
                resolve(operation, (tile, other), pitch, notes, length, used)
            for k in range(bunch[1]):
                out = run_at(bases[TARGET], begin + k, 0, axes, TARGET)
                mine = advance(tile, k * run)
                _in_vectors(_unpack_run, mine, pitch, out, step_out, length, run)
        if not justified:
            forget_underflows()

    return kernel_over(bunches, f"bunches-{operation.name}", bare=operation.inputs == 1)


bunches = functools.cache(_bunches)
