"""Softmax of slices whose elements are neighbours in memory (or are made so), one at a time.

For slices of more than `sums.SINGLE` elements, float32 or float64 as they stand: no mask, no
temperature.  The loop over a row is in kernels/sweep.py.
"""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device, device_apart, kernel
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.block_results import write_block
from fastsoftmax.kernels.elements import computed_like
from fastsoftmax.kernels.groups import ROW_BYTES, fetch_groups, largest_of, shift, workspace_for
from fastsoftmax.kernels.memory import (
    advance,
    clear,
    elements_before_line,
    pointer,
    pointer_like,
    prefetch_to_write,
    stream_fence,
)
from fastsoftmax.kernels.operations import SOFTMAX, gradual_of
from fastsoftmax.kernels.outcomes import (
    EXPONENT,
    PARTS,
    coefficients,
    frame_of,
    keep_state,
    largest_top,
    merged,
    needs_shift,
    share_of,
)
from fastsoftmax.kernels.shuffles import largest
from fastsoftmax.kernels.strides import (
    SOURCE,
    TARGET,
    described,
    gather,
    is_row,
    results_ahead,
    scatter,
    slice_at,
    zero,
)
from fastsoftmax.kernels.sums import BLOCK_BYTES, LANES_BYTES, block_length, lane_count
from fastsoftmax.kernels.sweep import (
    divide_lead,
    exponentials,
    folded,
    scale,
    sweep,
    turn_of,
)
from fastsoftmax.kernels.terms import placed, room, terms_bytes
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows, is_gradual
from fastsoftmax.kernels.vectors import double, narrow
from fastsoftmax.kernels.workspaces import workspace, workspace_double

# Blocks of a row at the most, so that the terms of two rows stay in the second-level cache.
MOST_BLOCKS = 32
SHORT_SHARE = 4
"""Last blocks of at most this part of a block are computed by themselves."""
_ENDING_BYTES = BLOCK_BYTES // SHORT_SHARE + LANES_BYTES
_STATE_BYTES = PARTS * 8 * MOST_BLOCKS
_SHARES_BYTES = 2 * 8 * MOST_BLOCKS


@device
def block_at(x: Any, start: Any, count: Any, dims: Any, direct: Any, buffer: Any) -> Any:
    """The address of a block of the slice at `x`: where it stands, or gathered."""
    if direct:
        return advance(x, start)
    gather(buffer, x, start, count, dims, SOURCE, False)
    return buffer


@device_apart
def reduce_shifted(
    logits: Any,
    length: Any,
    dims: Any,
    direct: Any,
    by: Any,
    buffer: Any,
    terms: Any,
    state: Any,
    part: Any,
    numbers: Any,
) -> None:
    """Write the terms and state of the blocks of a row, shifted by its maximum.

    `logits` are the row and memory for a block that is gathered, `buffer` takes shifted ones.
    Differences from a maximum beyond the limit are exact wherever the term does not vanish,
    and an infinite maximum makes NaN of what has to be NaN.
    """
    size = block_length(terms)
    for start_ in range(0, length, size):
        count = min(size, length - start_)
        block = block_at(logits[0], start_, count, dims, direct, logits[1])
        shift(SOFTMAX, block, count, by, buffer)
        top = largest_of(buffer, count, terms)
        frame, k = frame_of(top, terms, numbers, None)
        high, low = exponentials(buffer, frame, advance(terms, start_), count, numbers)
        keep_block_state(advance(state, start_ // size), part, top, k, high, low)


@device
def keep_block_state(state: Any, part: Any, top: Any, k: Any, high: Any, low: Any) -> None:
    """Write the state of a block, whose parts are `part` elements apart."""
    keep_state(state, part, (double(top), double(k), high, low, 0.0))


@device
def _share_out(state: Any, shares: Any, k: Any, quotient: Any, terms: Any, length: Any) -> None:
    """Write each block's quotient to `shares`; scale the terms of those that are far off."""
    size = block_length(terms)
    for start_ in range(0, length, size):
        block = start_ // size
        factor, high, low = share_of(state[EXPONENT * MOST_BLOCKS + block], k, quotient)
        shares[2 * block], shares[2 * block + 1] = high, low
        if factor != factor / factor:  # not 1
            scale(advance(terms, start_), min(size, length - start_), factor)


@device_apart
def write_results(
    operation: Any, terms: Any, count: Any, quotient: Any, place: Any, ahead: Any
) -> None:
    """Write the results of a block of a row by themselves.

    `place` is the row of results, where in it the block begins, and memory for one that is
    scattered.
    """
    out, begin, dims, results = place
    there = advance(out, begin) if is_row(dims, TARGET) else results
    write_block(operation, terms, terms, there, count, (quotient, None), ahead)
    if not is_row(dims, TARGET):
        scatter(results, out, begin, count, dims)


@device
def deliver(terms: Any, count: Any, quotient: Any, place: Any, ahead: Any) -> Any:
    """The same, gradually if need be; returns whether it was."""
    gradual = is_gradual(SOFTMAX, terms, count, quotient)
    if gradual:
        write_results(gradual_of(SOFTMAX), terms, count, quotient, place, ahead)
    else:
        write_results(SOFTMAX, terms, count, quotient, place, ahead)
    return gradual


def scratch_bytes(length: int, itemsize: int) -> int:
    """The scratch memory that `rows` takes."""
    return terms_bytes(length, itemsize, 1)


@kernel("source", "target")
def rows(source: Any, target: Any, geometry: Any, scratch: Any, first: Any, last: Any) -> None:
    """Softmax of the slices `first` to `last` - 1, of at most `MOST_BLOCKS` blocks each."""
    x_base, out_base = pointer(source), pointer(target)
    like = computed_like(out_base)
    numbers = exponential.numbers(like)
    setting = like, numbers, None
    length, _, _, _, _, batch, dims = described(geometry)
    x_direct, out_direct = is_row(dims, SOURCE), is_row(dims, TARGET)
    ahead = results_ahead(geometry, out_base) if out_direct else 0
    size = block_length(like)
    blocks = (length + size - 1) // size
    # A last block that is short has no room for the maximum of the next row beside it.
    main = blocks - 1 if blocks > 1 and 0 < length % size <= size // SHORT_SHARE else blocks
    rest = length - main * size if main < blocks else 0

    terms = placed(pointer_like(scratch, like))
    above = advance(terms, room(like, length, 1))
    staged, spare = (
        workspace_for(x_base, like, ROW_BYTES),
        workspace_for(x_base, like, ROW_BYTES),
    )
    ending = workspace_for(x_base, like, _ENDING_BYTES)
    results, shifted = workspace(out_base, ROW_BYTES), workspace(like, ROW_BYTES)
    state, shares = workspace_double(like, _STATE_BYTES), workspace(like, _SHARES_BYTES)
    # What stands for the terms of a row above the first one, and its quotients.
    clear(shifted, min(size, length) + lane_count(like))
    clear(shares, 2 * blocks)
    nothing, justified = (zero(like), zero(like)), not expects_underflow(SOFTMAX)

    x = slice_at(x_base, first, batch, SOURCE)
    x = block_at(x, 0, min(size, length), dims, x_direct, staged)
    top = largest_of(x, min(size, length), like)
    for row in range(first, last):
        x_row = slice_at(x_base, row, batch, SOURCE)
        out_row = slice_at(out_base, max(row - 1, first), batch, TARGET)
        for block in range(main):
            begin = block * size
            count = min(size, length - begin)
            frame, k = frame_of(top, like, numbers, None)
            below, below_count = x, count
            if block + 1 < main:
                below_count = min(size, length - begin - size)
                below = block_at(x_row, begin + size, below_count, dims, x_direct, spare)
            elif row + 1 < last:
                below_count = min(size, length)
                below = slice_at(x_base, row + 1, batch, SOURCE)
                below = block_at(below, 0, below_count, dims, x_direct, spare)
            quotient = shares[2 * block], shares[2 * block + 1]
            above_block, writes = advance(above, begin), row > first
            if writes and is_gradual(SOFTMAX, above_block, count, quotient):
                place = out_row, begin, dims, results
                write_results(gradual_of(SOFTMAX), above_block, count, quotient, place, ahead)
                writes, justified = False, True
                quotient = nothing
            out, lead = results, 0
            if writes and out_direct:
                out = advance(out_row, begin)
                if ahead < 0:
                    lead = min(elements_before_line(out), count)
                    # Lines that two blocks share are written twice, through the caches.
                    prefetch_to_write(out, 0)
                    prefetch_to_write(out, count - 1)
            sums, next_tops = sweep(
                x,
                frame,
                advance(terms, begin),
                count,
                below,
                below_count,
                above_block if row > first else shifted,
                quotient,
                out,
                lead,
                turn_of(x, below, out, count, like),
                ahead if writes else 0,
                numbers,
            )
            high, low = folded(sums)
            keep_block_state(advance(state, block), MOST_BLOCKS, top, k, high, low)
            if writes:
                divide_lead(above_block, lead, quotient, out)
                if not out_direct:
                    scatter(results, out_row, begin, count, dims)
            x, top = below, largest(next_tops)
            staged, spare = spare, staged
        if rest > 0:
            begin = main * size
            last_x = block_at(x_row, begin, rest, dims, x_direct, ending)
            if ahead < 0:
                fetch_groups(last_x, 0, rest, like)
            last_top = largest_of(last_x, rest, like)
            frame, k = frame_of(last_top, like, numbers, None)
            high, low = exponentials(last_x, frame, advance(terms, begin), rest, numbers)
            keep_block_state(advance(state, main), MOST_BLOCKS, last_top, k, high, low)
            if row > first:
                quotient = shares[2 * main], shares[2 * main + 1]
                place = out_row, begin, dims, results
                justified |= deliver(advance(above, begin), rest, quotient, place, ahead)
        row_top = largest_top(state, blocks)
        if needs_shift(SOFTMAX, row_top, like, numbers, None):
            by, logits = narrow(row_top, like), (x_row, spare)
            reduce_shifted(
                logits, length, dims, x_direct, by, shifted, terms, state, MOST_BLOCKS, numbers
            )
        whole = merged(SOFTMAX, state, MOST_BLOCKS, 1, blocks, setting)
        quotient = coefficients(SOFTMAX, whole, row_top, like, numbers, None, False)
        if blocks == 1:
            shares[0], shares[1] = quotient
        else:
            _share_out(state, shares, whole[EXPONENT], quotient, terms, length)
        terms, above = above, terms
    out_row = slice_at(out_base, last - 1, batch, TARGET)
    for block in range(blocks):
        begin = block * size
        count = min(size, length - begin)
        quotient = shares[2 * block], shares[2 * block + 1]
        place = out_row, begin, dims, results
        justified |= deliver(advance(above, begin), count, quotient, place, ahead)
    if not justified:
        forget_underflows()
    if ahead < 0:
        stream_fence(out_base)
