"""Gradients of slices that lie across memory, of one block, with no mask or temperature.

Tiles, as in `columns`, are written and read once more than memory is.  That is what exponentials
need, which are kept there; gradients keep nothing, so both inputs are read twice where they stand,
the second time from the second-level cache: (1000, 1000) over dim 0 took 0.54 ns an element on two
threads with tiles, and takes 0.35.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.along import result_anew
from fastsoftmax.kernels.elements import computed_like, fetch_left, put_left
from fastsoftmax.kernels.gradient_steps import KINDS, known_of
from fastsoftmax.kernels.groups import ask_soon, ask_to_write, raise_at
from fastsoftmax.kernels.lane_totals import TOTALS_BYTES, fold_lanes
from fastsoftmax.kernels.memory import advance, load_like, store
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import NEGATIVE_INFINITY, Operation, shifted
from fastsoftmax.kernels.packing import ROWS_AHEAD, cell_of, grid_of
from fastsoftmax.kernels.steps import add_inputs, begin, parts, totals
from fastsoftmax.kernels.strides import SECOND, SOURCE, TARGET, described, run_at, strides_of
from fastsoftmax.kernels.sums import SINGLE, lane_count
from fastsoftmax.kernels.tiles import STRIP_BYTES, strip_count, strip_like
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import splat
from fastsoftmax.kernels.workspaces import (
    keep,
    kept,
    load_kinds,
    store_kinds,
    workspace,
    workspace_bytes,
)

WIDTH_BYTES = 256
"""The width of a cell: a few cache lines of each row, as ends of rows may be in one line more."""
_STRIPS = WIDTH_BYTES // STRIP_BYTES
_SUMS_BYTES = _STRIPS * TOTALS_BYTES
_KNOWN_BYTES = KINDS * WIDTH_BYTES


@formula
def _empty_sums(operation: Operation, memory: Value, lane: Value, like: Value) -> None:
    """Begin the sums of a lane of all strips."""
    for strip in range(_STRIPS):
        keep(advance(memory, strip * TOTALS_BYTES), lane, begin(operation, strip_like(like)))


@formula
def _add_strip(
    operation: Operation, rows: Any, i: Any, last: Value | None, lane: Value, memory: Any
) -> None:
    """Add the elements of a strip in a row, those before `last` if that is not None.

    `rows` are both inputs and what is asked for of them, `memory` the sums of the strip and the
    maxima of all columns.
    """
    x, g, x_ahead, g_ahead = rows
    sums, tops = memory
    group, left = strip_like(tops), None if last is None else last - i
    elements, others = (fetch_left(each, i, group, left) for each in (x, g))
    ask_soon(x_ahead, i, group)
    ask_soon(g_ahead, i, group)
    found = kept(sums, lane, begin(operation, group))
    keep(sums, lane, add_inputs(operation, found, elements, others))
    if operation.has_frame:
        raise_at(tops, i, elements)


@formula
def _add_row(operation: Operation, rows: Any, lane: Value, memory: Any) -> None:
    """Add the elements of a row as wide as a cell."""
    sums, tops = memory
    for strip in range(_STRIPS):
        mine = advance(sums, strip * TOTALS_BYTES), tops
        _add_strip(operation, rows, strip * strip_count(tops), None, lane, mine)


@device
def rows_on(length: Any, step: Any, width: Any) -> Any:
    """How far ahead lines are asked for: some rows, or in the next cell if there are few."""
    return ROWS_AHEAD * step if length > 4 * ROWS_AHEAD else width


@device
def _add_rows(operation: Any, inputs: Any, steps: Any, length: Any, last: Any, memory: Any) -> None:
    """Sum the columns before `last` of a cell."""
    x, g = inputs
    sums, tops = memory
    strip, count = strip_count(tops), 1 if length <= SINGLE else lane_count(tops)
    for lane in range(count):
        _empty_sums(operation, sums, lane, tops)
    for i in range(0, _STRIPS * strip, strip):
        store(tops, i, splat(NEGATIVE_INFINITY, strip_like(tops)))
    ahead = rows_on(length, steps[0], last), rows_on(length, steps[1], last)
    for j in range(length):
        here, there = advance(x, j * steps[0]), advance(g, j * steps[1])
        rows = here, there, advance(here, ahead[0]), advance(there, ahead[1])
        lane = j & (count - 1)
        if last == _STRIPS * strip:
            _add_row(operation, rows, lane, memory)
        else:
            for i in range(0, last, strip):
                mine = advance(sums, i // strip * TOTALS_BYTES), tops
                _add_strip(operation, rows, i, last, lane, mine)


@formula
def _width_of(memory: Value) -> int:
    """The columns of a cell."""
    return int(WIDTH_BYTES * 8 // memory.dtype.bitwidth)


@device
def _totals(operation: Any, sums: Any, length: Any, like: Any) -> Any:
    """``(high, low, ties)`` of the columns of a strip."""
    empty = begin(operation, strip_like(like))
    if length <= SINGLE:
        return parts(totals(operation, kept(sums, 0, empty), True))
    return fold_lanes(operation, sums, empty, lane_count(like))


@formula
def _write_strip(
    operation: Operation, rows: Any, i: Any, last: Value | None, memory: Value, numbers: Any
) -> None:
    """Write the results of a strip in a row; `rows` are inputs, results and what is asked for."""
    x, g, out, out_ahead = rows
    group, left = strip_like(memory), None if last is None else last - i
    elements, others = (fetch_left(each, i, group, left) for each in (x, g))
    upper, lower, by, origin, floor, back = load_kinds(memory, i, _width_of(memory), KINDS, group)
    if operation.has_frame:
        elements = shifted(operation, elements, by)
    share, scope = (back, upper, lower), (numbers, None, None)
    found = result_anew(operation, elements, others, (origin, floor), share, scope)
    ask_to_write(out_ahead, i, group)
    put_left(out, i, found, left)


@formula
def _write_row(operation: Operation, rows: Any, memory: Value, numbers: Any) -> None:
    """Write the results of a row as wide as a cell."""
    for strip in range(_STRIPS):
        _write_strip(operation, rows, strip * strip_count(memory), None, memory, numbers)


@device
def _write_rows(
    operation: Any, places: Any, steps: Any, length: Any, last: Any, memory: Any, numbers: Any
) -> None:
    """Write the results of the columns before `last` of a cell."""
    x, g, out = places
    strip = strip_count(memory)
    for j in range(length):
        there = advance(out, j * steps[2])
        ahead = advance(there, rows_on(length, steps[2], last))
        rows = advance(x, j * steps[0]), advance(g, j * steps[1]), there, ahead
        if last == _STRIPS * strip:
            _write_row(operation, rows, memory, numbers)
        else:
            for i in range(0, last, strip):
                _write_strip(operation, rows, i, last, memory, numbers)


def _column_gradients(operation: Operation) -> Any:
    @device
    def column_gradients(bases, options, geometry, scratch, first, last):
        """All steps for the groups of slices `first` to `last` - 1, as in `columns`."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, width, _, _, axes, dims = described(geometry)
        steps = (
            strides_of(dims, SOURCE)[0],
            strides_of(dims, SECOND)[0],
            strides_of(dims, TARGET)[0],
        )
        grid = grid_of(axes, width, bases[TARGET], steps[2], False)
        tops, known = workspace(like, WIDTH_BYTES), workspace(like, _KNOWN_BYTES)
        sums = workspace_bytes(like, _SUMS_BYTES)
        for task in range(first, last):
            cell = cell_of(task, grid)
            count = cell[3]
            x = run_at(bases[SOURCE], cell[0], cell[1], axes, SOURCE)
            g = run_at(bases[SECOND], cell[0], cell[1], axes, SECOND)
            out = run_at(bases[TARGET], cell[0], cell[1], axes, TARGET)
            _add_rows(operation, (x, g), steps, length, count, (sums, tops))
            for i in range(0, count, strip_count(like)):
                mine = advance(sums, i // strip_count(like) * TOTALS_BYTES)
                found = _totals(operation, mine, length, like)
                top = load_like(tops, i, strip_like(like))
                store_kinds(known, i, _width_of(known), known_of(operation, top, found, numbers))
            _write_rows(operation, (x, g, out), steps, length, count, known, numbers)

    return kernel_over(column_gradients, f"column-gradients-{operation.name}", bare=False)


column_gradients = functools.cache(_column_gradients)
