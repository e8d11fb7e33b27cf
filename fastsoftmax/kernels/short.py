"""Softmax of rows of one block, some of them at a time.

As `rows`, but the numbers of a row (its frame, its quotient) depend on the last element of
the loop over it, by some 200 cycles of operations that wait for one another: as long as the
loop over 300 float32.  So the rows of a *batch* go through each step together, where those of
one row wait beside those of others.
"""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import kernel
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.elements import computed_like
from fastsoftmax.kernels.groups import ROW_BYTES, raised
from fastsoftmax.kernels.memory import (
    advance,
    clear,
    elements_before_line,
    load_like,
    pointer,
    pointer_like,
    prefetch_to_write,
    store,
    stream_fence,
)
from fastsoftmax.kernels.operations import NEGATIVE_INFINITY, SOFTMAX, gradual_of
from fastsoftmax.kernels.outcomes import PARTS, coefficients, frame_of, load_state, needs_shift
from fastsoftmax.kernels.rows import (
    block_at,
    deliver,
    keep_block_state,
    reduce_shifted,
    write_results,
)
from fastsoftmax.kernels.shuffles import largest
from fastsoftmax.kernels.strides import (
    SOURCE,
    TARGET,
    described,
    is_row,
    results_ahead,
    scatter,
    slice_at,
    zero,
)
from fastsoftmax.kernels.sums import LANES_BYTES, lane_count, lanes
from fastsoftmax.kernels.sweep import divide_lead, folded, sweep, turn_of
from fastsoftmax.kernels.terms import pitch, placed, room, terms_bytes
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows, is_gradual
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import double, narrow, splat, vector, vector_count
from fastsoftmax.kernels.workspaces import workspace, workspace_double

MOST_ROWS = 4
"""Rows of a batch at the most."""
_TOPS_BYTES = LANES_BYTES * MOST_ROWS
_SUMS_BYTES = 2 * LANES_BYTES * MOST_ROWS
_PAIRS_BYTES = 2 * 8 * MOST_ROWS
_STATE_BYTES = PARTS * 8 * MOST_ROWS


def scratch_bytes(length: int, itemsize: int, rows: int) -> int:
    """The scratch memory that `short` takes: for terms, and for logits that are gathered.

    These have 8 bytes at the most.
    """
    return terms_bytes(length, itemsize, rows) * (1 + 8 // itemsize)


@formula
def _keep_lanes(memory: Value, row: Any, values: Any) -> None:
    """Write the lanes of a row."""
    for i, value in enumerate(values):
        store(memory, (row * len(values) + i) * value.count, value)


@formula
def _kept_lanes(memory: Value, row: Any, like: Value) -> Any:
    """The two that were written."""
    return tuple(load_like(memory, (row * 2 + i) * like.count, like) for i in range(2))


@kernel("source", "target")
def short(source: Any, target: Any, geometry: Any, scratch: Any, first: Any, last: Any) -> None:
    """Softmax of the slices `first` to `last` - 1, of one block each."""
    x_base, out_base = pointer(source), pointer(target)
    like = computed_like(out_base)
    numbers = exponential.numbers(like)
    length, _, most, _, _, batch, dims = described(geometry)
    x_direct, out_direct = is_row(dims, SOURCE), is_row(dims, TARGET)
    ahead = results_ahead(geometry, out_base) if out_direct else 0
    apart, next_batch = pitch(like, length), room(like, length, most)

    terms = placed(pointer_like(scratch, like))
    above = advance(terms, next_batch)
    staged = pointer_like(advance(above, next_batch), x_base)
    spare = advance(staged, next_batch)
    results, shifted = workspace(out_base, ROW_BYTES), workspace(like, ROW_BYTES)
    tops, sums = workspace(like, _TOPS_BYTES), workspace(like, _SUMS_BYTES)
    frames, quotients = workspace(like, _PAIRS_BYTES), workspace(like, _PAIRS_BYTES)
    state = workspace_double(like, _STATE_BYTES)
    # What stands for the terms of rows above the first ones, and their quotients.
    clear(shifted, length + lane_count(like))
    clear(quotients, 2 * most)
    nothing, justified = (zero(like), zero(like)), not expects_underflow(SOFTMAX)

    turn = 0
    if x_direct and out_direct and last - first > 2 * most:
        # As of all batches, if they are equally far from one another.
        x = slice_at(x_base, first + most, batch, SOURCE)
        below = slice_at(x_base, first + 2 * most, batch, SOURCE)
        turn = turn_of(x, below, slice_at(out_base, first, batch, TARGET), length, like)
    for i in range(min(most, last - first)):
        x_row = slice_at(x_base, first + i, batch, SOURCE)
        x = block_at(x_row, 0, length, dims, x_direct, advance(staged, i * apart))
        lows = splat(NEGATIVE_INFINITY, vector(like))
        store(tops, i * vector_count(like), raised(lows, x, 0, length))
    for begin in range(first, last, most):
        count = min(most, last - begin)
        for i in range(count):
            top = largest(load_like(tops, i * vector_count(like), vector(like)))
            frame, k = frame_of(top, like, numbers, None)
            frames[2 * i], frames[2 * i + 1] = frame
            keep_block_state(advance(state, i), MOST_ROWS, top, k, 0.0, 0.0)
        for i in range(count):
            row, place = begin + i, i * apart
            x = advance(staged, place)
            if x_direct:
                x = slice_at(x_base, row, batch, SOURCE)
            below, below_length = x, 0
            if row + most < last:
                below = slice_at(x_base, row + most, batch, SOURCE)
                below = block_at(below, 0, length, dims, x_direct, advance(spare, place))
                below_length = length
            out_row = slice_at(out_base, max(row - most, first), batch, TARGET)
            quotient, writes = (quotients[2 * i], quotients[2 * i + 1]), begin > first
            if writes and is_gradual(SOFTMAX, advance(above, place), length, quotient):
                there = out_row, 0, dims, results
                write_results(
                    gradual_of(SOFTMAX), advance(above, place), length, quotient, there, ahead
                )
                quotient, writes, justified = nothing, False, True
            out, lead = results, 0
            if writes and out_direct:
                out = out_row
                if ahead < 0:
                    lead = min(elements_before_line(out), length)
                    # Lines that two rows share are written twice, through the caches.
                    prefetch_to_write(out, 0)
                    prefetch_to_write(out, length - 1)
            found, tops_below = sweep(
                x,
                (frames[2 * i], frames[2 * i + 1]),
                advance(terms, place),
                length,
                below,
                below_length,
                advance(above, place) if begin > first else shifted,
                quotient,
                out,
                lead,
                turn,
                ahead if writes else 0,
                numbers,
            )
            _keep_lanes(sums, i, found)
            store(tops, i * vector_count(like), tops_below)
            if writes:
                divide_lead(advance(above, place), lead, quotient, out)
                if not out_direct:
                    scatter(results, out_row, 0, length, dims)
        for i in range(count):
            high, low = folded(_kept_lanes(sums, i, lanes(like)))
            state[2 * MOST_ROWS + i], state[3 * MOST_ROWS + i] = high, low
            top = narrow(state[i], like)
            if needs_shift(SOFTMAX, state[i], like, numbers, None):
                x_row = slice_at(x_base, begin + i, batch, SOURCE)
                logits, place = (x_row, staged), advance(terms, i * apart)
                mine = advance(state, i)
                reduce_shifted(
                    logits, length, dims, x_direct, top, shifted, place, mine, MOST_ROWS, numbers
                )
            whole = load_state(advance(state, i), MOST_ROWS)
            found = coefficients(SOFTMAX, whole, double(top), like, numbers, None, False)
            quotients[2 * i], quotients[2 * i + 1] = found
        terms, above = above, terms
        staged, spare = spare, staged
    # The last batch, and what of the one before has no row below it.
    count = (last - first - 1) % most + 1
    for row in range(max(first, last - most), last):
        i = (row - first) % most
        source = above if row >= last - count else terms
        quotient = quotients[2 * i], quotients[2 * i + 1]
        place = slice_at(out_base, row, batch, TARGET), 0, dims, results
        justified |= deliver(advance(source, i * apart), length, quotient, place, ahead)
    if not justified:
        forget_underflows()
    if ahead < 0:
        stream_fence(out_base)
