r"""From the blocks of a slice to its coefficients.

A block has its own maximum and its own frame, so that its sums are what they are whatever
the other blocks hold.  Frames differ by powers of two: totals join exactly, in order, in the
frame of the largest block.

The *state* of a block is five numbers in float64: its maximum, k, the parts of its total,
and the number of its elements that equal the maximum.
"""

from __future__ import annotations

import math
from typing import Any

from numba.core import types

from fastsoftmax._jit import device
from fastsoftmax.kernels.exponential import (
    Heat,
    Numbers,
    exponent_of,
    is_large,
    power_below_one,
    reduce_argument,
    term,
    window,
)
from fastsoftmax.kernels.gradual import least_factor
from fastsoftmax.kernels.logarithm import log1p
from fastsoftmax.kernels.memory import advance
from fastsoftmax.kernels.operations import LOG_BACKWARDS, LOGARITHMS, Operation, counts_ties
from fastsoftmax.kernels.steps import bounded
from fastsoftmax.kernels.sums import join, parts_of, reciprocal, single_total, total_of, weigh
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import (
    LARGEST,
    beyond,
    both,
    choose,
    double,
    element,
    fma,
    is_above,
    maximum,
    narrow,
    splat,
    vector,
    where_at_least,
)

TOP, EXPONENT, HIGH, LOW, TIES = range(5)
"""The parts of a block's state."""
PARTS = 5
SUMMARY_PARTS = 3
State = tuple[Value, Value, Value, Value, Value]

# A block this near to the frame of its slice (as a power of two) gets a quotient of its own,
# whose parts are normal numbers still.  The terms of others are scaled first.
_NEAR = -4.0


# --- Frames ---------------------------------------------------------------------------


@formula
def frame_of(top: Any, like: Value, numbers: Numbers, heat: Heat) -> Any:
    """The window and k of a block with the maximum `top`, all scalars."""
    k = exponent_of(splat(top, vector(like)), numbers, heat)
    origin, floor = window(k, numbers, heat)
    return (element(origin, 0), element(floor, 0)), element(k, 0)


@formula
def frame_at(k: Any, like: Value, numbers: Numbers, heat: Heat) -> Any:
    """The window with the exponent `k`, scalars."""
    origin, floor = window(splat(k, vector(like)), numbers, heat)
    return element(origin, 0), element(floor, 0)


@formula
def framed_top(operation: Operation, top: Value) -> Value:
    """The maximum by which the frame of a block is chosen."""
    if operation in LOG_BACKWARDS:  # terms that leave their frame: 1 has to be in it
        return bounded(operation, where_at_least(top, 0.0, top, 0.0))
    return top


@formula
def needs_shift(
    operation: Operation, top: Value, like: Value, numbers: Numbers, heat: Heat
) -> Value:
    """Whether a slice with this maximum has to be shifted by it first."""
    if operation.inputs == 2:  # no sums of exponentials: nothing is
        return is_above(top, math.inf)
    large = is_large(narrow(top, like), numbers, heat)
    if operation in LOGARITHMS:  # nothing but -inf is as good as nothing large
        large = both(large, is_above(top, -math.inf))
    return large


# --- Blocks ---------------------------------------------------------------------------


@device
def load_state(state: Any, part: Any) -> Any:
    """The state whose parts are `part` elements apart."""
    return (
        state[TOP * part],
        state[EXPONENT * part],
        state[HIGH * part],
        state[LOW * part],
        state[TIES * part],
    )


@device
def keep_state(state: Any, part: Any, found: Any) -> None:
    """Write a state."""
    for i in range(PARTS):
        state[i * part] = found[i]


@device
def largest_top(state: Any, count: Any) -> Any:
    """The maximum of a slice of `count` blocks, the parts TOP of whose states are neighbours."""
    top = state[0]
    for block in range(1, count):
        top = max(top, state[block])
    return top


@device
def merged(operation: Any, state: Any, part: Any, step: Any, count: Any, setting: Any) -> Any:
    """The state of a slice of `count` blocks, `step` elements apart, in one frame."""
    like, numbers, heat = setting
    if count == 1:
        return load_state(state, part)
    here = 0
    for block in range(1, count):
        if state[block * step] > state[here * step]:
            here = block
    top, k = state[here * step], state[EXPONENT * part + here * step]
    high, low, ties = 0.0, 0.0, 0.0
    for block in range(count):
        found = load_state(advance(state, block * step), part)
        if counts_ties(operation):
            if found[0] == top:
                ties += found[4]
            elif found[0] > _LOWEST:
                found = with_ties(found, like, numbers, heat)
        high, low = added(operation, high, low, found, k, like)
    return top, k, high, low, ties


_LOWEST = float("-inf")


@formula
def added(
    operation: Operation, high: Value, low: Value, found: State, k: Value, like: Value
) -> tuple[Value, Value]:
    """The parts of a total in the frame `k`, with those of a block."""
    share = total_of(found[HIGH], found[LOW], like)
    if operation.inputs == 1:  # sums of exponentials
        share = weigh(share, power_below_one(found[EXPONENT] - k))
    return parts_of(join(total_of(high, low, like), share))


@formula
def with_ties(found: State, like: Value, numbers: Numbers, heat: Heat) -> State:
    """The state of a block whose largest elements are not the largest of their slice."""
    top, k, high, low, ties = found
    largest = weigh(_exponential(top, k, like, numbers, heat), ties)
    return top, k, *parts_of(join(total_of(high, low, like), largest)), ties


def _exponential(top: Value, k: Value, like: Value, numbers: Numbers, heat: Heat) -> Any:
    """exp(top / T) in the frame `k` as a total, scalar or vector."""
    narrowed, narrow_k = narrow(top, like), narrow(k, like)
    argument = reduce_argument(narrowed, numbers, window(narrow_k, numbers, heat), heat)
    rest, scale = parts = term(argument, numbers)
    if like.dtype == types.float32:
        return double(scale) + double(rest) * double(scale)
    return single_total(parts)


@formula
def share_of(k: Value, slice_k: Value, quotient: Any) -> tuple[Value, Value, Value]:
    """``(factor, high, low)``: the results of a block are terms * factor * (high + low).

    The factor is 1 unless the block is far below the others, where scaled quotients would
    be subnormal and lose their last bits.  It is a normal number: what it lacks, quotients have.
    """
    high, low = quotient
    distance = k - slice_k
    far = maximum(distance, least_factor(high))
    factor = where_at_least(distance, _NEAR, 1.0, power_below_one(far))
    near = power_below_one(where_at_least(distance, _NEAR, distance, distance - far))
    return (
        narrow(factor, high),
        narrow(double(high) * near, high),
        narrow(double(low) * near, low),
    )


# --- Coefficients ---------------------------------------------------------------------


@formula
def coefficients(
    operation: Operation,
    state: State,
    slice_top: Value,
    like: Value,
    numbers: Numbers,
    heat: Heat,
    one_lane: bool,
) -> tuple[Value, Value]:
    """The two numbers that results are made with (kernels/operations.py).

    `slice_top` is the maximum before any shift.
    """
    top, _, high, low, _ = state
    if operation.inputs == 2:
        if like.dtype == types.float64:
            total = high + low
            return total, low - (total - high)
        upper = narrow(high, like)
        return upper, narrow(high - double(upper), like)
    if operation.keeps:
        pair = narrow(high, like), narrow(low, like)
        return reciprocal(pair if one_lane else total_of(high, low, like), like)
    log = log1p(*_sum_less_one(state, like, numbers, heat))
    # Infinite maxima: no difference from them is a number.
    return narrow(top, like), narrow(
        choose(is_infinite(slice_top), slice_top - slice_top, log), like
    )


@formula
def is_infinite(top: Value) -> Value:
    """Where a maximum (never NaN) is infinite."""
    return beyond(top, LARGEST[top.dtype])


def _sum_less_one(state: State, like: Value, numbers: Numbers, heat: Heat) -> tuple[Value, Value]:
    """sum exp((x - max) / T) - 1 as high and low part, in float64."""
    top, k, high, low, ties = state
    largest = _exponential(top, k, like, numbers, heat)
    if like.dtype == types.float32:
        quotient = high / largest
        lost = quotient * 0.0
    else:
        quotient = high / largest[0]
        residual = fma(-quotient, largest[0], high) + fma(-quotient, largest[1], low)
        lost = residual / largest[0]
    others = ties - 1.0
    z = others + quotient
    share = z - others
    return z, lost + ((others - (z - share)) + (quotient - share))


@formula
def summary(
    operation: Operation,
    state: State,
    top: Value,
    found: tuple[Value, Value],
    like: Value,
    numbers: Numbers,
    heat: Heat,
    temperature: Value,
) -> tuple[Value, Value, Value]:
    """What is known of slices with the max `top` and the coefficients `found`, in float64.

    The first of three is NaN if the slice is.  Of logarithms they are log-sum-exp, max, and the
    logarithm of sum exp((x - max) / T); of quotients, the high coefficient, the max, and the low
    coefficient.
    """
    if operation not in LOGARITHMS:
        return double(found[0]), top, double(found[1])
    _, _, high, _, _ = state
    log = log1p(*_sum_less_one(state, like, numbers, heat))
    infinite = is_infinite(top)
    inverse = 1.0 / temperature
    upper = top * inverse
    # 1 / T and the product are rounded: what they lost, and then what the sum loses.
    lower = fma(top, inverse, -upper) - upper * fma(inverse, temperature, -1.0)
    value = upper + log
    share = value - upper
    lower = lower + ((upper - (value - share)) + (log - share))
    # The total of a slice is NaN if one of its elements is.
    return choose(infinite, top + high * 0.0, value + lower), top, log
