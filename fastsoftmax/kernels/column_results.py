"""Results of slices that lie across memory and have more than one block.

Once the coefficients of slices are known, results do not depend on one another: memory is
read and written row after row, in pieces as wide as what is known of their columns leaves
room for in the caches.  No tile is filled.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.along import result_anew, shares
from fastsoftmax.kernels.cells import degrees_of
from fastsoftmax.kernels.columns import load_columns
from fastsoftmax.kernels.elements import (
    computed_like,
    fetch,
    fetch_part,
    put,
    put_part,
    put_past_caches,
)
from fastsoftmax.kernels.exponential import window
from fastsoftmax.kernels.groups import ask_for, ask_to_write
from fastsoftmax.kernels.masks import hide_run
from fastsoftmax.kernels.memory import (
    advance,
    elements_before_line,
    line_count,
    pointer,
    stream_fence,
)
from fastsoftmax.kernels.operands import split_kernel
from fastsoftmax.kernels.operations import (
    MASKED,
    NEGATED,
    Operation,
    cool_for,
    gradual_of,
    heat_for,
    hidden_result,
    shifted,
)
from fastsoftmax.kernels.outcomes import EXPONENT
from fastsoftmax.kernels.packing import NARROW_LINES, ROWS_AHEAD, begin_with_lines
from fastsoftmax.kernels.strides import (
    MASK,
    SECOND,
    SOURCE,
    TARGET,
    all_steps,
    described,
    element_at,
    last_step,
    run_at,
)
from fastsoftmax.kernels.sums import LANES_BYTES, block_length, block_of, lane_count, lanes
from fastsoftmax.kernels.sweep import line_of
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import element, narrow, splat
from fastsoftmax.kernels.whole import FIRST, SECOND_ONE, SHIFT, SLICE_EXPONENT
from fastsoftmax.kernels.workspaces import load_kinds, store_kinds, workspace

WIDE_BYTES = 4096
"""The width of a piece at the most."""
_PIECES = 8
"""Pieces of a block, one below the other: threads have more than a few to share then."""
# A vector may begin before the first column of a piece, and end after the last one.
_COLUMNS_BYTES = WIDE_BYTES + 2 * LANES_BYTES
# What is known of a column: its shift, frame and factor, coefficients, temperatures.
_KNOWN_BYTES = 13 * _COLUMNS_BYTES


def pieces_in(length: int, run: int, itemsize: int) -> int:
    """The pieces of a batch of slices of elements of `itemsize` bytes, see `write_columns`."""
    rows, width = block_of(itemsize) // _PIECES, WIDE_BYTES // itemsize
    return -(-length // rows) * -(-run // width)


@formula
def _known(operation: Operation, by: Value, k: Any, found: Any, scope: Any, cool: Any) -> Any:
    """All that results are made with, but the elements.

    `k` are the exponents of the block and of the slice, `found` the slice's coefficients.
    """
    numbers, heat = scope
    frame, share = (), found
    if operation.keeps:
        frame = window(narrow(k[0], by), numbers, heat)
        share = shares(operation, *k, found)
    return by, *frame, *share, *(heat or ()), *(cool or ())


@formula
def _apart(memory: Value) -> int:
    """From one kind of numbers of all columns to the next."""
    return int(_COLUMNS_BYTES * 8 // memory.dtype.bitwidth)


@formula
def _results(
    operation: Operation, memory: Value, i: Any, x: Value, g: Any, sign: Value, numbers: Any
) -> Value:
    """The results of the elements `x` and `g` in the columns from `i` on."""
    apart = _apart(memory)
    sizes = 1, *((2, 3) if operation.keeps else (0, 2)), 5 * operation.tempered
    parts, first = [], 0
    for size in (*sizes, 2 * operation.cooled):
        parts.append(load_kinds(memory, i + first * apart, apart, size, x))
        first += size
    (by,), frame, share, heat, cool = parts
    x = shifted(operation, x * sign, by)  # less 0 where there is no shift
    return result_anew(operation, x, g, frame, share, (numbers, heat or None, cool or None))


@formula
def _second(operation: Operation, address: Value, index: Any, like: Value, bounds: Any) -> Any:
    """Elements of the second input, if there is one."""
    if operation.inputs == 1:
        return None
    if bounds is None:
        return fetch(address, index, like)
    return fetch_part(address, index, like, *bounds, 0.0)


@device
def _write_row(
    operation: Any, places: Any, ahead: Any, count: Any, known: Any, streaming: Any
) -> None:
    """Write the results of `count` columns of a row: by groups, and at both ends by lines.

    What comes before the first whole line is the end of a line that begins before the row,
    see `sweep.divide_lead`.
    """
    x, g, out = places
    memory, sign, numbers = known
    group, piece = lanes(memory), line_of(out, memory)
    strip, line = lane_count(memory), line_count(out)
    i = 0
    if streaming:
        lead = elements_before_line(out)
        i = lead - line if lead > 0 else 0
    while i < count:
        if i >= 0 and i + strip <= count:
            ask_for(x, ahead[0] + i, group)
            here, other = fetch(x, i, group), _second(operation, g, i, group, None)
            found = _results(operation, memory, i, here, other, sign, numbers)
            if streaming:
                put_past_caches(out, i, found)
            else:
                put(out, i, found)
                ask_to_write(out, ahead[1] + i, group)
            i += strip
        else:
            first, last = -i, count - i
            here = fetch_part(x, i, piece, first, last, 0.0)
            other = _second(operation, g, i, piece, (first, last))
            found = _results(operation, memory, i, here, other, sign, numbers)
            put_part(out, i, found, first, last)
            i += line


def _write_columns(operation: Operation) -> Any:
    @device
    def write_columns(bases, slices, blocks, geometry, scratch, first, last):
        """Write the results of the pieces `first` to `last` - 1, see `pieces_in`."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, streaming, _, options, _, axes, dims = described(geometry)
        memory = workspace(like, _KNOWN_BYTES)
        memory = advance(memory, lane_count(like))
        state, of_slices = pointer(blocks), pointer(slices)
        step_in, step_out = last_step(dims, SOURCE), last_step(dims, TARGET)
        per_slice, all_slices = blocks.shape[1], blocks.shape[2]
        group, strip = lanes(like), lane_count(like)
        size, run = block_length(like), axes[1][axes[0] - 1]
        rows, width = size // _PIECES, WIDE_BYTES // LANES_BYTES * strip
        below, beside = (length + rows - 1) // rows, (run + width - 1) // width
        sign = element(splat(-1.0 if options & NEGATED != 0 else 1.0, group), 0)
        streaming = streaming and options & MASKED == 0
        if run <= NARROW_LINES * line_count(bases[TARGET]):
            streaming = streaming and begin_with_lines(axes, bases[TARGET], all_steps(dims, TARGET))
        expected = expects_underflow(operation)
        ahead = ROWS_AHEAD * step_in, ROWS_AHEAD * step_out
        for task in range(first, last):
            batch, row = task // (below * beside), task // beside % below * rows
            begin = task % beside * width
            count = min(width, run - begin)
            cell, slice_ = (batch, begin, 0, count), batch * run + begin
            mine = advance(of_slices, slice_)
            here = advance(state, (EXPONENT * per_slice + row // size) * all_slices + slice_)
            for i in range(0, count, strip):
                left = count - i
                degrees = degrees_of(operation, bases, cell, i, axes, group)
                scope = numbers, heat_for(operation, degrees, like)
                by = load_columns(mine, SHIFT * all_slices + i, group, 0, left)
                slice_k = load_columns(mine, SLICE_EXPONENT * all_slices + i, group, 0, left)
                upper = load_columns(mine, FIRST * all_slices + i, group, 0, left)
                lower = load_columns(mine, SECOND_ONE * all_slices + i, group, 0, left)
                k = load_columns(here, i, group, 0, left), slice_k
                found = narrow(upper, like), narrow(lower, like)
                cool = cool_for(operation, degrees, like)
                numbers_of = _known(operation, narrow(by, like), k, found, scope, cool)
                store_kinds(memory, i, _apart(memory), numbers_of)
            x = run_at(bases[SOURCE], batch, begin, axes, SOURCE)
            g = run_at(bases[SECOND], batch, begin, axes, SECOND)
            out = run_at(bases[TARGET], batch, begin, axes, TARGET)
            shown, across = run_at(bases[MASK], batch, begin, axes, MASK), last_step(axes, MASK)
            known = memory, sign, numbers
            for j in range(row, min(length, row + rows)):
                place = element_at(out, j, dims, TARGET)
                places = element_at(x, j, dims, SOURCE), element_at(g, j, dims, SECOND), place
                if expects_underflow(operation):
                    makes = gradual_of(operation)
                    _write_row(makes, places, ahead, count, known, streaming)
                else:
                    _write_row(operation, places, ahead, count, known, streaming)
                if options & MASKED != 0:
                    mask = element_at(shown, j, dims, MASK)
                    hide_run(place, mask, across, count, hidden_result(operation, like))
        if expected:  # nothing is looked through here: each call learns anew
            forget_underflows()
        if streaming:
            stream_fence(bases[TARGET])

    return split_kernel(write_columns, f"write-columns-{operation.name}")


write_columns = functools.cache(_write_columns)
