"""Results of slices that lie interleaved in memory, once their coefficients are known.

The second half of kernels/interleaved.py: memory is read and written in order, a vector of
neighbours at a time, each of which belongs to another slice or lane.
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
from fastsoftmax.kernels.groups import ask_for
from fastsoftmax.kernels.interleaved import COLUMNS_BYTES, DOUBLES_BYTES, spread
from fastsoftmax.kernels.memory import (
    advance,
    elements_before_line,
    load_like,
    pointer,
    store,
    stream_fence,
)
from fastsoftmax.kernels.operands import split_kernel
from fastsoftmax.kernels.operations import (
    NEGATED,
    Operation,
    cool_for,
    gradual_of,
    heat_for,
    keeps,
    shifted,
)
from fastsoftmax.kernels.outcomes import EXPONENT
from fastsoftmax.kernels.strides import SECOND, SOURCE, TARGET, described, run_at
from fastsoftmax.kernels.sums import block_length, lane_count, lanes
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import (
    any_of,
    choose,
    double,
    is_different,
    narrow,
    splat,
)
from fastsoftmax.kernels.whole import FIRST, SECOND_ONE, SHIFT, SLICE_EXPONENT
from fastsoftmax.kernels.workspaces import workspace, workspace_double


@formula
def _known_at(operation: Operation, notes: Any, degrees: Value, w: Value, numbers: Any) -> Any:
    """What the results of the strip from column `w` on are made with, and its temperature."""
    group = lanes(notes[0])
    by, exponent, factor, upper, lower = (load_like(note, w, group) for note in notes)
    hot = load_like(degrees, w, double(group))
    heat, cool = heat_for(operation, hot, notes[0]), cool_for(operation, hot, notes[0])
    frame, share = window(exponent, numbers, heat), (factor, upper, lower)
    return by, frame, share, (numbers, heat, cool)


@formula
def _write_group(
    operation: Operation,
    places: Any,
    j: Value,
    known: Any,
    bounds: Any,
    negated: Value,
    plain: bool,
    streaming: bool,
) -> None:
    """Write the results of the group at `j`: all, or those within ``(first, last)``.

    Nothing is negated or shifted if `plain`.
    """
    x, g, out = places
    by, frame, share, scope = known

    def loaded(address: Value) -> Value:
        if bounds is None:
            return fetch(address, j, by)
        return fetch_part(address, j, by, *bounds, 0.0)

    kept = loaded(x)
    if not plain:
        kept = choose(negated, splat(0.0, kept) - kept, kept)
        kept = choose(is_different(by, 0.0), shifted(operation, kept, by), kept)
    second = loaded(g) if operation.inputs == 2 else None
    found = result_anew(operation, kept, second, frame, share, scope)
    if bounds is not None:
        put_part(out, j, found, *bounds)
    else:
        (put_past_caches if streaming else put)(out, j, found)


@device
def _write_span(
    operation: Any, places: Any, span: Any, notes: Any, degrees: Any, numbers: Any, how: Any
) -> None:
    """Write results of `elements` neighbours: `span` is that, `width` and `lead`.

    Rows are as long as for the sums, but begin `lead` elements later, where a line does: a
    vector is in any case the same columns of each.  Some rows are taken strip by strip, so
    that what is known of a strip stays in registers and memory is read nearly in order.
    """
    elements, width, lead = span
    plain, negated, streaming = how
    step = lane_count(notes[0])
    if lead > 0:
        known = _known_at(operation, notes, degrees, width + lead - step, numbers)
        bounds = step - lead, step
        _write_group(operation, places, lead - step, known, bounds, negated, False, False)
    rows, left = (elements - lead) // width, (elements - lead) % width
    most = max(1, block_length(notes[0]) // width)
    for chunk in range(0, rows + 1, most):
        first, last = chunk * width, min(chunk + most, rows) * width
        for i in range(0, width, step):
            known = _known_at(operation, notes, degrees, lead + i, numbers)
            if not plain:
                for j in range(first + lead + i, last + lead, width):
                    _write_group(operation, places, j, known, None, negated, False, False)
            elif streaming:
                for j in range(first + lead + i, last + lead, width):
                    ask_for(places[0], j + most * width, lanes(notes[0]))
                    _write_group(operation, places, j, known, None, negated, True, True)
            else:
                for j in range(first + lead + i, last + lead, width):
                    _write_group(operation, places, j, known, None, negated, True, False)
            if chunk + most > rows and left > i:
                bounds = 0, min(step, left - i)
                j = lead + rows * width + i
                _write_group(operation, places, j, known, bounds, negated, False, False)


def _write_interleaved(operation: Operation) -> Any:
    @device
    def write_interleaved(bases, slices, blocks, geometry, _scratch, first, last):
        """Write the results of the tasks `first` to `last` - 1."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, streaming, _, options, _, axes, _ = described(geometry)
        size, count = block_length(like), axes[1][axes[0] - 1]
        bys, exponents = workspace(like, COLUMNS_BYTES), workspace(like, COLUMNS_BYTES)
        factors, uppers = workspace(like, COLUMNS_BYTES), workspace(like, COLUMNS_BYTES)
        lowers, degrees = workspace(like, COLUMNS_BYTES), workspace_double(like, DOUBLES_BYTES)
        notes = bys, exponents, factors, uppers, lowers
        state, of_slices = pointer(blocks), pointer(slices)
        per_slice, all_slices = blocks.shape[1], blocks.shape[2]
        group, step = lanes(like), lane_count(like)
        negated, expected = options & NEGATED != 0, expects_underflow(operation)
        for task in range(first, last):
            block, batch = task % per_slice, task // per_slice
            rows = min(size, length - block * size)
            start, elements = block * size * count, rows * count
            mine = advance(of_slices, batch * count)
            here = advance(state, (EXPONENT * per_slice + block) * all_slices + batch * count)
            by = load_columns(mine, SHIFT * all_slices, group, 0, count)
            slice_k = load_columns(mine, SLICE_EXPONENT * all_slices, group, 0, count)
            upper = load_columns(mine, FIRST * all_slices, group, 0, count)
            lower = load_columns(mine, SECOND_ONE * all_slices, group, 0, count)
            k = load_columns(here, 0, group, 0, count)
            share = group, narrow(upper, like), narrow(lower, like)
            if keeps(operation):
                share = shares(operation, k, slice_k, (share[1], share[2]))
            store(bys, 0, narrow(by, like))
            store(exponents, 0, narrow(k, like))
            store(factors, 0, share[0])
            store(uppers, 0, share[1])
            store(lowers, 0, share[2])
            for note in notes:
                spread(note, count, group, step)
            warm = degrees_of(operation, bases, (batch, 0, 0, count), 0, axes, group)
            store(degrees, 0, warm)
            spread(degrees, count, warm, step)
            places = (
                advance(run_at(bases[SOURCE], batch, 0, axes, SOURCE), start),
                advance(run_at(bases[SECOND], batch, 0, axes, SECOND), start),
                advance(run_at(bases[TARGET], batch, 0, axes, TARGET), start),
            )
            lead = min(elements_before_line(places[2]), elements) if streaming else 0
            plain = not negated and not any_of(is_different(by, 0.0))
            span, how = (elements, count * step, lead), (plain, negated, streaming)
            if expects_underflow(operation):
                makes = gradual_of(operation)
                _write_span(makes, places, span, notes, degrees, numbers, how)
            else:
                _write_span(operation, places, span, notes, degrees, numbers, how)
        if expected:  # nothing is looked through here: each call learns anew
            forget_underflows()
        if streaming:
            stream_fence(bases[TARGET])

    return split_kernel(write_interleaved, f"write-interleaved-{operation.name}")


write_interleaved = functools.cache(_write_interleaved)
