"""Slices along memory, for every operation, dtype, mask and temperature.

A slice is taken block by block: reduced, and, once its coefficients are known, written.
Blocks that are not as the arithmetic wants them (strided, masked, half, negative) are staged
in a buffer that stays in the first-level cache.  `rows` is the faster way for plain softmax.

The same steps by themselves serve slices that several threads share (`Split`): all blocks reduced,
joined to coefficients slice by slice, all blocks written (kernels/block_results.py).  Where there
are several blocks exponentials are computed a second time, which is cheaper than to fetch them from
memory.

While a block is computed, the next one is asked for: the first step of a block, its maximum,
waits for memory else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.elements import (
    as_computed,
    is_computed,
)
from fastsoftmax.kernels.groups import ask_for, largest_of, shift
from fastsoftmax.kernels.masks import hide
from fastsoftmax.kernels.memory import (
    advance,
    load_first,
    load_like,
    store,
)
from fastsoftmax.kernels.operations import MASKED, NEGATED, Operation, has_frame, hidden, inputs_of
from fastsoftmax.kernels.outcomes import (
    frame_at,
    frame_of,
    framed_top,
    share_of,
)
from fastsoftmax.kernels.steps import (
    back_of,
    begin,
    consume,
    folded,
    keep_sums,
    kept_alone,
    prepare,
    result,
    times,
    totals,
)
from fastsoftmax.kernels.strides import (
    MASK,
    SECOND,
    SOURCE,
    gather,
    is_row,
    slice_at,
    zero,
)
from fastsoftmax.kernels.sums import block_length, lane_count, lanes
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import both, double, lacks, narrow

if TYPE_CHECKING:
    from fastsoftmax.kernels.exponential import Heat, Numbers

# --- Blocks as the arithmetic wants them ----------------------------------------------


@formula
def is_plain(base: Value, dims: Any, options: Any, operand: int, like: Value) -> Any:
    """Whether blocks of an operand can be computed, in the dtype of `like`, where they stand."""
    if not is_computed(base, like):
        return False
    return both(is_row(dims, operand), lacks(options, MASKED | NEGATED))


@device
def stage(
    operation: Any, bases: Any, slice_: Any, start: Any, count: Any, by: Any, call: Any, buffer: Any
) -> Any:
    """The address of a block of the first input, less `by`: as it stands, or in `buffer`."""
    batch, dims, options = call
    x = slice_at(bases[SOURCE], slice_, batch, SOURCE)
    if by == 0.0 and is_plain(bases[SOURCE], dims, options, SOURCE, buffer):
        return as_computed(advance(x, start), buffer)
    gather(buffer, x, start, count, dims, SOURCE, options & NEGATED != 0)
    if options & MASKED != 0:
        shown = slice_at(bases[MASK], slice_, batch, MASK)
        hide(buffer, shown, start, count, dims, hidden(operation, buffer))
    if by != 0.0:
        shift(operation, buffer, count, narrow(by, buffer), buffer)
    return buffer


@device
def stage_second(
    operation: Any, bases: Any, slice_: Any, start: Any, count: Any, call: Any, buffer: Any
) -> Any:
    """The same for the second input, if the operation has one."""
    batch, dims, options = call
    if inputs_of(operation) < 2:
        return buffer
    x = slice_at(bases[SECOND], slice_, batch, SECOND)
    if is_plain(bases[SECOND], dims, options, SECOND, buffer):
        return as_computed(advance(x, start), buffer)
    gather(buffer, x, start, count, dims, SECOND, False)
    if options & MASKED != 0:
        shown = slice_at(bases[MASK], slice_, batch, MASK)
        hide(buffer, shown, start, count, dims, zero(buffer))
    return buffer


# --- Reducing -------------------------------------------------------------------------


@formula
def _add_group(
    operation: Operation,
    sums: Any,
    x: Value,
    g: Value,
    kept: Value,
    j: Any,
    count: Any,
    top: Value,
    numbers: Numbers,
    frame: Any,
    heat: Heat,
    back: Value,
) -> Any:
    """The sums with the group at `j`, or its first `count` elements (None: all)."""
    group = lanes(x)
    first = load_like(x, j, group) if count is None else load_first(x, j, group, count, 0.0)
    second = None
    if operation.inputs == 2:
        second = load_like(g, j, group) if count is None else load_first(g, j, group, count, 0.0)
    prepared = prepare(operation, first, top, numbers, frame, heat)
    new, left = consume(operation, sums, prepared, second, numbers, back)
    if operation.keeps and kept is not None:
        store(kept, j, left)
    return new if count is None else keep_sums(new, count, sums)


@device
def top_of(operation: Any, x: Any, count: Any) -> Any:
    """The maximum of a block by which its frame is chosen, if it has one."""
    if has_frame(operation):
        return framed_top(operation, largest_of(x, count, x))
    return zero(x)


@device
def reduce_block(operation: Any, x: Any, g: Any, count: Any, numbers: Any, heat: Any) -> Any:
    """The state of a block."""
    top = top_of(operation, x, count)
    frame, k = frame_of(top, x, numbers, heat)
    framing = top, k, frame[0], frame[1], back_of(operation, k)
    return reduce_framed(operation, x, g, None, count, framing, (numbers, heat))


@device
def reduce_framed(
    operation: Any, x: Any, g: Any, kept: Any, count: Any, framing: Any, scope: Any
) -> Any:
    """The same of a block whose maximum is known; writes what the operation keeps of it to `kept`.

    `framing` are the maximum, k, the window and the way back; `kept` may be None.
    """
    numbers, heat = scope
    top, k, origin, floor, back = framing
    frame = origin, floor
    sums = begin(operation, lanes(x))
    step = lane_count(x)
    whole = count - count % step
    ahead = block_length(x)
    for j in range(0, whole, step):
        ask_for(x, j + ahead, lanes(x))
        if inputs_of(operation) == 2:
            ask_for(g, j + ahead, lanes(x))
        sums = _add_group(operation, sums, x, g, kept, j, None, top, numbers, frame, heat, back)
    if whole < count:
        sums = _add_group(
            operation, sums, x, g, kept, whole, count - whole, top, numbers, frame, heat, back
        )
    high, low, ties = folded(totals(operation, sums, False))
    return double(top), double(k), high, low, ties


@device
def keep_block(
    operation: Any, x: Any, kept: Any, count: Any, known: Any, quotient: Any, scope: Any
) -> Any:
    """``(kept, scope)`` of a block of a slice of several: its exponentials, computed anew.

    `known` are the k of the block and that of the slice; the new scope is for `deliver`.
    """
    numbers, heat, cool = scope
    frame = frame_at(narrow(known[0], x), x, numbers, heat)
    factor, high, low = shares(operation, known[0], known[1], quotient)
    step = lane_count(x)
    whole = count - count % step
    ahead = block_length(x)
    for j in range(0, whole, step):
        ask_for(x, j + ahead, lanes(x))
        keep_group(operation, x, kept, j, None, numbers, frame, heat, factor)
    if whole < count:
        keep_group(operation, x, kept, whole, count - whole, numbers, frame, heat, factor)
    return kept, ((high, low), cool)


@formula
def leave_block(
    operation: Operation, x: Value, kept: Value, count: Any, known: Any, quotient: Any, scope: Any
) -> Any:
    """The same where exponentials, if there are any, are computed as results are made of them."""
    numbers, heat, cool = scope
    if not operation.keeps:
        return x, (quotient, cool)
    frame = frame_at(narrow(known[0], x), x, numbers, heat)
    factor, *found = shares(operation, *known, quotient)
    return x, (tuple(found), cool, numbers, frame, heat, factor)


@formula
def shares(operation: Operation, k: Value, slice_k: Value, quotient: Any) -> Any:
    """What a block's exponentials are multiplied with, and then the coefficients."""
    if operation.inputs == 2:
        return back_of(operation, narrow(k, quotient[0])), *quotient
    return share_of(k, slice_k, quotient)


@formula
def result_anew(
    operation: Operation, x: Value, g: Any, frame: Any, share: Any, scope: Any
) -> Value:
    """The results of elements of a block whose exponentials, if there are any, were not kept.

    `share` is what `shares` makes of their quotient, `scope` the numbers, heat and cool.
    """
    numbers, heat, cool = scope
    if operation.keeps:
        x = times(operation, kept_alone(operation, x, numbers, frame, heat), share[0])
    return result(operation, x, g, share[-2:], cool)


@formula
def keep_group(
    operation: Operation,
    x: Value,
    kept: Value,
    j: Any,
    count: Any,
    numbers: Numbers,
    frame: Any,
    heat: Heat,
    factor: Value,
) -> None:
    """Write the exponentials of the group at `j`, times `factor`."""
    group = lanes(x)
    first = load_like(x, j, group) if count is None else load_first(x, j, group, count, 0.0)
    found = kept_alone(operation, first, numbers, frame, heat)
    store(kept, j, times(operation, found, factor))


@formula
def unwanted(*_: Any) -> bool:
    """What stands for parts of a kernel that it has no use for; it compiles in no time."""
    return False
