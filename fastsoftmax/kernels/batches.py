"""Slices of one block along memory, for every operation, mask and temperature, some at a time.

As `whole.along`, but the numbers of a slice (its frame, its coefficients) depend on the last of its
elements, by some 300 cycles of operations that wait for one another.  So the slices of a *batch*
go through each step together, as in `short`, and what is computed for a slice as a whole is
computed for as many as a vector has elements: log_softmax of slices of 65 float32 took 1.4 ns an
element on one thread when they went one by one, and takes 0.7.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.along import (
    is_plain,
    reduce_framed,
    stage,
    stage_second,
    top_of,
    unwanted,
)
from fastsoftmax.kernels.block_results import deliver
from fastsoftmax.kernels.elements import as_computed, computed_like
from fastsoftmax.kernels.groups import ROW_BYTES
from fastsoftmax.kernels.memory import advance, clear, load_like, stream_fence
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import (
    Operation,
    cool_for,
    heat_for,
    kept_of,
    shift_of,
    uses_temperature,
)
from fastsoftmax.kernels.outcomes import (
    PARTS,
    SUMMARY_PARTS,
    coefficients,
    keep_state,
    needs_shift,
    summary,
)
from fastsoftmax.kernels.strides import (
    SECOND,
    SOURCE,
    SUMMARY,
    TARGET,
    described,
    results_ahead,
    slice_at,
    zero,
)
from fastsoftmax.kernels.terms import pitch, pitch_of
from fastsoftmax.kernels.tiles import framed
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import any_of, double, splat, vector, vector_count
from fastsoftmax.kernels.whole import degree_of
from fastsoftmax.kernels.workspaces import load_kinds, store_kinds, workspace, workspace_double

MOST_SLICES = 16
"""Slices of a batch at the most: a vector of float32 has no more elements."""
_NUMBERS_BYTES = 8 * MOST_SLICES
_FRAMES_BYTES = 5 * _NUMBERS_BYTES
_STATES_BYTES = PARTS * _NUMBERS_BYTES
_SUMMARIES_BYTES = SUMMARY_PARTS * _NUMBERS_BYTES


def batch_slices(length: int, itemsize: int) -> int:
    """How many slices of this length are computed together."""
    return max(1, min(MOST_SLICES, ROW_BYTES // itemsize // pitch_of(length, itemsize)))


@device
def _row_at(base: Any, slice_: Any, batch: Any, operand: Any, stands: Any, buffer: Any) -> Any:
    """Where a slice of an operand is: where it stands, or in `buffer`."""
    if stands:
        return as_computed(slice_at(base, slice_, batch, operand), buffer)
    return buffer


@formula
def _degrees_at(operation: Operation, memory: Value, i: Any, like: Value) -> Value:
    """The temperatures of the slices from number `i` on, in float64."""
    one = splat(1.0, double(like))
    return load_like(memory, i, one) if uses_temperature(operation) else one


@formula
def _framing(operation: Operation, top: Value, scope: Any) -> tuple[Value, ...]:
    """What the elements of slices with these maxima are reduced with."""
    top, k, window, back = framed(operation, top, scope)
    return top, k, *window, back


@formula
def _coefficients(
    operation: Operation, states: Value, i: Any, top: Value, scope: Any
) -> tuple[Any, tuple[Value, Value]]:
    """``(states, coefficients)`` of the slices from number `i` on; `top` before any shift."""
    found = load_kinds(states, i, MOST_SLICES, PARTS, double(top))
    return found, coefficients(operation, found, double(top), top, *scope, False)


@formula
def _note_summaries(
    operation: Operation, memory: Value, i: Any, known: Any, like: Value, scope: Any, degree: Value
) -> None:
    """Write the summaries of the slices from number `i` on."""
    numbers, heat = scope
    found = summary(operation, *known, like, numbers, heat, degree)
    store_kinds(memory, i, MOST_SLICES, found)


@device
def _describe(bases: Any, slice_: Any, batch: Any, plane: Any, memory: Any, i: Any) -> None:
    """Write the summary with number `i` to where that of the slice belongs."""
    place = slice_at(bases[SUMMARY], slice_, batch, SUMMARY)
    for part in range(SUMMARY_PARTS):
        place[part * plane] = memory[part * MOST_SLICES + i]


def _batches(operation: Operation, bare: bool, writes: bool) -> Any:
    write, describe = (deliver, unwanted) if writes else (unwanted, _describe)
    note_summaries = unwanted if writes else _note_summaries

    @device
    def batches(bases, options, geometry, scratch, first, last):
        """All steps for the slices `first` to `last` - 1."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, most, _, plane, batch, dims = described(geometry)
        ahead = results_ahead(geometry, bases[TARGET])
        call, apart = (batch, dims, options), pitch(like, length)
        staged, kept = workspace(like, ROW_BYTES), workspace(like, ROW_BYTES)
        other, results = workspace(like, ROW_BYTES), workspace(like, ROW_BYTES)
        tops, settled = workspace(like, _NUMBERS_BYTES), workspace(like, _NUMBERS_BYTES)
        shifts, degrees = (
            workspace_double(like, _NUMBERS_BYTES),
            workspace_double(like, _NUMBERS_BYTES),
        )
        frames, quotients = workspace(like, _FRAMES_BYTES), workspace(like, _FRAMES_BYTES)
        states = workspace_double(like, _STATES_BYTES)
        summaries = workspace_double(like, _SUMMARIES_BYTES)
        # What stands for slices that a batch has not.
        clear(tops, MOST_SLICES)
        clear(settled, MOST_SLICES)
        clear(states, PARTS * MOST_SLICES)
        for i in range(MOST_SLICES):
            degrees[i] = 1.0
        source, second = bases[SOURCE], bases[SECOND]
        x_stands = is_plain(source, dims, options, SOURCE, like)
        g_stands = is_plain(second, dims, options, SECOND, like)
        group, step = vector(like), vector_count(like)
        justified = not writes or not expects_underflow(operation)
        for begin in range(first, last, most):
            count = min(most, last - begin)
            for i in range(count):
                x, g = advance(staged, i * apart), advance(other, i * apart)
                x = stage(operation, bases, begin + i, 0, length, 0.0, call, x)
                stage_second(operation, bases, begin + i, 0, length, call, g)
                tops[i] = top_of(operation, x, length)
                settled[i], shifts[i] = tops[i], 0.0
                degrees[i] = degree_of(operation, bases, begin + i, batch)
            for i in range(0, count, step):
                heat = heat_for(operation, _degrees_at(operation, degrees, i, group), like)
                top = load_like(tops, i, group)
                if any_of(needs_shift(operation, top, like, numbers, heat)):
                    for j in range(i, min(i + step, count)):
                        top = tops[j]
                        own = heat_for(operation, degrees[j], like)
                        if needs_shift(operation, top, like, numbers, own):
                            by, row = (
                                shift_of(operation, double(top), like),
                                advance(staged, j * apart),
                            )
                            x = stage(operation, bases, begin + j, 0, length, by, call, row)
                            settled[j], shifts[j] = top_of(operation, x, length), by
                scope = numbers, heat
                framing = _framing(operation, load_like(settled, i, group), scope)
                store_kinds(frames, i, MOST_SLICES, framing)
            for i in range(count):
                slice_, place, x_here = begin + i, i * apart, x_stands and shifts[i] == 0.0
                x = _row_at(source, slice_, batch, SOURCE, x_here, advance(staged, place))
                g = _row_at(second, slice_, batch, SECOND, g_stands, advance(other, place))
                frame = load_kinds(frames, i, MOST_SLICES, 5, zero(like))
                scope = numbers, heat_for(operation, degrees[i], like)
                row = advance(kept, place)
                found = reduce_framed(operation, x, g, row, length, frame, scope)
                keep_state(advance(states, i), MOST_SLICES, found)
            for i in range(0, count, step):
                degree = _degrees_at(operation, degrees, i, group)
                scope, top = (
                    (numbers, heat_for(operation, degree, like)),
                    load_like(tops, i, group),
                )
                found, quotient = _coefficients(operation, states, i, top, scope)
                store_kinds(quotients, i, MOST_SLICES, quotient)
                known = found, double(top), quotient
                note_summaries(operation, summaries, i, known, like, scope, degree)
            for i in range(count):
                describe(bases, begin + i, batch, plane, summaries, i)
            for i in range(count):
                slice_, place, x_here = begin + i, i * apart, x_stands and shifts[i] == 0.0
                x = _row_at(source, slice_, batch, SOURCE, x_here, advance(staged, place))
                g = _row_at(second, slice_, batch, SECOND, g_stands, advance(other, place))
                block = kept_of(operation, x, advance(kept, place)), g
                quotient = quotients[i], quotients[MOST_SLICES + i]
                scope = quotient, cool_for(operation, degrees[i], like)
                justified |= write(
                    operation, bases, slice_, 0, length, block, scope, call, results, ahead
                )
        if not justified:
            forget_underflows()
        if ahead < 0:
            stream_fence(bases[TARGET])

    name = f"batches-{operation.name}" if writes else f"batches-summary-{operation.name}"
    return kernel_over(batches, name, bare=bare)


batches = functools.cache(_batches)
