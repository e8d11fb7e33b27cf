"""Slices of several blocks along memory: the kernel `along`, and the three steps of `Split`."""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.along import (
    keep_block,
    leave_block,
    reduce_block,
    stage,
    stage_second,
)
from fastsoftmax.kernels.block_results import deliver
from fastsoftmax.kernels.elements import computed_like
from fastsoftmax.kernels.groups import ROW_BYTES
from fastsoftmax.kernels.memory import advance, pointer, pointer_like, stream_fence
from fastsoftmax.kernels.operands import kernel_over, split_kernel
from fastsoftmax.kernels.operations import (
    RESULTS,
    SUMMARY_WANTED,
    Operation,
    cool_for,
    has_quotients,
    heat_for,
    shift_of,
    uses_temperature,
)
from fastsoftmax.kernels.outcomes import (
    EXPONENT,
    TOP,
    coefficients,
    keep_state,
    largest_top,
    merged,
    needs_shift,
    summary,
)
from fastsoftmax.kernels.strides import (
    SUMMARY,
    TARGET,
    TEMPERATURE,
    described,
    results_ahead,
    slice_at,
)
from fastsoftmax.kernels.sums import block_length
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows
from fastsoftmax.kernels.vectors import double, narrow
from fastsoftmax.kernels.workspaces import workspace, workspace_double

SHIFT, SLICE_TOP, SLICE_EXPONENT, FIRST, SECOND_ONE = range(5)
"""The rows of `slices`, (5, slices): what is subtracted first (0: nothing), the max before
that, k, and the coefficients."""
SLICE_ROWS = 5


@device
def keep_summary(
    operation: Any, known: Any, place: Any, plane: Any, setting: Any, temperature: Any
) -> None:
    """Write the summary of a slice; `known` are its state, maximum and coefficients."""
    like, numbers, heat = setting
    state, top, quotient = known
    found = summary(operation, state, top, quotient, like, numbers, heat, temperature)
    place[0], place[plane], place[2 * plane] = found


@device
def degree_of(operation: Any, bases: Any, slice_: Any, batch: Any) -> Any:
    """The temperature of a slice, in float64."""
    if uses_temperature(operation):
        return slice_at(bases[TEMPERATURE], slice_, batch, TEMPERATURE)[0]
    return 1.0


def _remaking(operation: Operation) -> Any:
    """How exponentials are computed a second time.

    Quotients, which may be subnormal, are looked through before they are written.
    """
    return keep_block if has_quotients(operation) else leave_block


def _along(operation: Operation, bare: bool) -> Any:
    remade = _remaking(operation)

    @device
    def along(bases, options, geometry, scratch, first, last):
        """All steps for the slices `first` to `last` - 1."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, _, _, plane, batch, dims = described(geometry)
        ahead = results_ahead(geometry, bases[TARGET])
        call = batch, dims, options
        size = block_length(like)
        blocks = (length + size - 1) // size
        buffer, kept = workspace(like, ROW_BYTES), workspace(like, ROW_BYTES)
        other, results = workspace(like, ROW_BYTES), workspace(like, ROW_BYTES)
        state = pointer_like(scratch, workspace_double(like, 8))
        justified = options & RESULTS == 0 or not expects_underflow(operation)
        for slice_ in range(first, last):
            degrees = degree_of(operation, bases, slice_, batch)
            heat = heat_for(operation, degrees, like)
            cool = cool_for(operation, degrees, like)
            setting = like, numbers, heat
            top, by = 0.0, 0.0
            for attempt in range(2):
                for block in range(blocks):
                    begin = block * size
                    count = min(size, length - begin)
                    x = stage(operation, bases, slice_, begin, count, by, call, buffer)
                    g = stage_second(operation, bases, slice_, begin, count, call, other)
                    found = reduce_block(operation, x, g, count, numbers, heat)
                    keep_state(advance(state, block), blocks, found)
                if attempt > 0:
                    break
                top = largest_top(state, blocks)
                if not needs_shift(operation, top, like, numbers, heat):
                    break
                by = shift_of(operation, top, like)
            whole = merged(operation, state, blocks, 1, blocks, setting)
            found = coefficients(operation, whole, top, like, numbers, heat, False)
            if options & SUMMARY_WANTED != 0:
                place = slice_at(bases[SUMMARY], slice_, batch, SUMMARY)
                keep_summary(operation, (whole, top, found), place, plane, setting, degrees)
            if options & RESULTS != 0:
                for block in range(blocks):
                    begin = block * size
                    count = min(size, length - begin)
                    x = stage(operation, bases, slice_, begin, count, by, call, buffer)
                    g = stage_second(operation, bases, slice_, begin, count, call, other)
                    known = state[EXPONENT * blocks + block], whole[EXPONENT]
                    scope = numbers, heat, cool
                    left, block_scope = remade(operation, x, kept, count, known, found, scope)
                    justified |= deliver(
                        operation,
                        bases,
                        slice_,
                        begin,
                        count,
                        (left, g),
                        block_scope,
                        call,
                        results,
                        ahead,
                    )
        if not justified:
            forget_underflows()
        if ahead < 0:
            stream_fence(bases[TARGET])

    return kernel_over(along, f"along-{operation.name}", bare=bare)


# --- Slices that several threads share ------------------------------------------------


def _reduce(operation: Operation) -> Any:
    @device
    def reduce(bases, slices, blocks, geometry, scratch, first, last):
        """Fill `blocks` for the blocks `first` to `last` - 1, slice after slice."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, _, options, _, batch, dims = described(geometry)
        call = batch, dims, options
        size, per_slice, all_slices = block_length(like), blocks.shape[1], blocks.shape[2]
        buffer, other = workspace(like, ROW_BYTES), workspace(like, ROW_BYTES)
        state, of_slices = pointer(blocks), pointer(slices)
        for task in range(first, last):
            slice_ = task // per_slice
            block = task - slice_ * per_slice
            begin = block * size
            count = min(size, length - begin)
            degrees = degree_of(operation, bases, slice_, batch)
            heat = heat_for(operation, degrees, like)
            by = of_slices[SHIFT * all_slices + slice_]
            x = stage(operation, bases, slice_, begin, count, by, call, buffer)
            g = stage_second(operation, bases, slice_, begin, count, call, other)
            found = reduce_block(operation, x, g, count, numbers, heat)
            keep_state(advance(state, block * all_slices + slice_), per_slice * all_slices, found)

    return split_kernel(reduce, f"reduce-{operation.name}")


def _join(operation: Operation) -> Any:
    @device
    def join(bases, slices, blocks, geometry, scratch, first, last):
        """Fill `slices` for the slices `first` to `last` - 1.

        A slice whose maximum is too large gets its shift; its blocks are to be reduced once
        more, and joined again.
        """
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        _, _, _, options, plane, batch, _ = described(geometry)
        per_slice, all_slices = blocks.shape[1], blocks.shape[2]
        state, of_slices = pointer(blocks), pointer(slices)
        for slice_ in range(first, last):
            degrees = degree_of(operation, bases, slice_, batch)
            heat = heat_for(operation, degrees, like)
            setting = like, numbers, heat
            here, mine = advance(state, slice_), advance(of_slices, slice_)
            part = per_slice * all_slices
            whole = merged(operation, here, part, all_slices, per_slice, setting)
            top = whole[TOP]
            if mine[SHIFT * all_slices] != 0.0:  # what it was before the shift
                top = mine[SLICE_TOP * all_slices]
            elif needs_shift(operation, top, like, numbers, heat):
                mine[SHIFT * all_slices] = shift_of(operation, top, like)
            mine[SLICE_TOP * all_slices] = top
            found = coefficients(operation, whole, top, like, numbers, heat, False)
            mine[SLICE_EXPONENT * all_slices] = whole[EXPONENT]
            mine[FIRST * all_slices] = double(found[0])
            mine[SECOND_ONE * all_slices] = double(found[1])
            if options & SUMMARY_WANTED != 0:
                place = slice_at(bases[SUMMARY], slice_, batch, SUMMARY)
                keep_summary(operation, (whole, top, found), place, plane, setting, degrees)

    return split_kernel(join, f"join-{operation.name}")


def _write(operation: Operation) -> Any:
    remade = _remaking(operation)

    @device
    def write(bases, slices, blocks, geometry, scratch, first, last):
        """Write the results of the blocks `first` to `last` - 1, slice after slice."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, _, options, _, batch, dims = described(geometry)
        ahead = results_ahead(geometry, bases[TARGET])
        call = batch, dims, options
        size, per_slice, all_slices = block_length(like), blocks.shape[1], blocks.shape[2]
        buffer, kept = workspace(like, ROW_BYTES), workspace(like, ROW_BYTES)
        other, results = workspace(like, ROW_BYTES), workspace(like, ROW_BYTES)
        state, of_slices = pointer(blocks), pointer(slices)
        justified = not expects_underflow(operation)
        for task in range(first, last):
            slice_ = task // per_slice
            block = task - slice_ * per_slice
            begin = block * size
            count = min(size, length - begin)
            degrees = degree_of(operation, bases, slice_, batch)
            heat, cool = heat_for(operation, degrees, like), cool_for(operation, degrees, like)
            scope = numbers, heat, cool
            mine = advance(of_slices, slice_)
            by, slice_k = mine[SHIFT * all_slices], mine[SLICE_EXPONENT * all_slices]
            found = (
                narrow(mine[FIRST * all_slices], like),
                narrow(mine[SECOND_ONE * all_slices], like),
            )
            x = stage(operation, bases, slice_, begin, count, by, call, buffer)
            g = stage_second(operation, bases, slice_, begin, count, call, other)
            k = state[(EXPONENT * per_slice + block) * all_slices + slice_]
            left, block_scope = remade(operation, x, kept, count, (k, slice_k), found, scope)
            justified |= deliver(
                operation,
                bases,
                slice_,
                begin,
                count,
                (left, g),
                block_scope,
                call,
                results,
                ahead,
            )
        if not justified:
            forget_underflows()
        if ahead < 0:
            stream_fence(bases[TARGET])

    return split_kernel(write, f"write-{operation.name}")


along = functools.cache(_along)
reduce = functools.cache(_reduce)
join = functools.cache(_join)
write = functools.cache(_write)
