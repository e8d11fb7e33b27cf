"""What operations do to elements, a vector at a time (see kernels/operations.py)."""

from __future__ import annotations

from typing import Any

from fastsoftmax.kernels.cooled import quotient, quotient_of_difference
from fastsoftmax.kernels.exponential import (
    Heat,
    Numbers,
    Window,
    constant,
    inverse_offset,
    reduce_argument,
    rounded,
    term,
)
from fastsoftmax.kernels.gradual import gradual_result, scaled
from fastsoftmax.kernels.operations import (
    BACKWARDS,
    COPY,
    LOG_BACKWARDS,
    LOGARITHMS,
    NEGATIVE_INFINITY,
    SOFTMAXES,
    Operation,
    Sums,
)
from fastsoftmax.kernels.powers import power_of_two
from fastsoftmax.kernels.shuffles import keep_first
from fastsoftmax.kernels.sums import (
    add,
    add_product,
    fold,
    join,
    nothing,
    number,
    parts_of,
    single,
    single_total,
    start,
    total,
)
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import choose, double, equal, fma, smallest, splat


@formula
def begin(operation: Operation, like: Value) -> Sums:
    """Empty sums, one in each element of a vector like `like`."""
    if operation in SOFTMAXES:
        return start(like)
    return (nothing(like), splat(0.0, like)) if operation in LOGARITHMS else (nothing(like),)


@formula
def bounded(operation: Operation, x: Value) -> Value:
    """Elements whose exponentials are the results, where these are infinite: no larger ones.

    A frame that holds the least of them holds all.  Logarithms of probabilities are none.
    """
    return smallest(x, constant(x, "overflow")) if operation in LOG_BACKWARDS else x


@formula
def prepare(
    operation: Operation, x: Value, top: Any, numbers: Numbers, frame: Window, heat: Heat
) -> Any:
    """What `consume` needs of the elements `x` of slices with the max `top`."""
    if not operation.has_frame:
        return (x,)
    if operation not in LOGARITHMS:
        return reduce_argument(bounded(operation, x), numbers, frame, heat)
    is_top = equal(x, top)
    below = choose(is_top, splat(NEGATIVE_INFINITY, x), x)
    ties = choose(is_top, splat(1.0, x), splat(0.0, x))
    return *reduce_argument(below, numbers, frame, heat), ties


@formula
def consume(
    operation: Operation, sums: Sums, prepared: Any, g: Any, numbers: Numbers, back: Any
) -> Any:
    """``(sums, kept)``: the sums with these elements, and what is kept of them.

    `back` is what takes kept exponentials out of their frame.
    """
    if operation in SOFTMAXES:
        parts = term(prepared, numbers)
        return add(sums, parts), rounded(parts)
    if operation in LOGARITHMS:
        *argument, ties = prepared
        total_, count = sums
        parts = term(tuple(argument), numbers)
        return (join(total_, single_total(parts)), count + ties), ties
    if operation in BACKWARDS:
        return add_inputs(operation, sums, prepared[0], g), prepared[0]
    kept = rounded(term(prepared, numbers)) * back
    return add_inputs(operation, sums, kept, g), kept


@formula
def add_inputs(operation: Operation, sums: Sums, x: Value, g: Value) -> Sums:
    """The sums of an operation of two inputs with these elements of theirs."""
    (total_,) = sums
    if operation in BACKWARDS:
        return (add_product(total_, x, g, operation.exact),)
    return (join(total_, number(g)),)


@formula
def kept_alone(
    operation: Operation, x: Value, numbers: Numbers, frame: Window, heat: Heat
) -> Value:
    """The exponentials that are kept of the elements `x`, in their frame."""
    return rounded(term(reduce_argument(bounded(operation, x), numbers, frame, heat), numbers))


@formula
def times(operation: Operation, kept: Value, factor: Value) -> Value:
    """What is kept, times what `along.shares` says."""
    return scaled(kept, factor) if operation in SOFTMAXES else kept * factor


@formula
def keep_sums(new: Sums, count: Value, old: Sums) -> Sums:
    """The sums `new` in the first `count` lanes, `old` in the others."""
    if isinstance(new, Value):
        return keep_first(new, count, old)
    return tuple(keep_sums(a, count, b) for a, b in zip(new, old, strict=True))


@formula
def totals(operation: Operation, sums: Sums, one_lane: bool) -> Any:
    """``(total, ties)`` of each lane."""
    if operation in SOFTMAXES:
        if one_lane:
            return single(sums), splat(0.0, sums[0])
        return total(sums), splat(0.0, sums[0])
    if operation in LOGARITHMS:
        return sums
    (total_,) = sums
    return total_, splat(0.0, total_ if isinstance(total_, Value) else total_[0])


@formula
def join_totals(a: Any, b: Any) -> Any:
    """``(total, ties)`` of two lanes together."""
    return join(a[0], b[0]), a[1] + b[1]


@formula
def parts(found: Any) -> tuple[Value, Value, Value]:
    """``(high, low, ties)`` of ``(total, ties)``, in float64."""
    total_, ties = found
    if isinstance(total_, Value):
        high, low = parts_of(total_)
    else:
        high, low = (double(part) for part in total_)
    return high, low, double(ties)


@formula
def folded(found: Any) -> tuple[Value, Value, Value]:
    """`parts` of all lanes of a vector together, as scalars."""
    total_, ties = found
    return parts((fold(total_), fold(ties)))


@formula
def back_of(operation: Operation, k: Value) -> Value:
    """What takes exponentials out of the frame with exponent `k`: 2**(k - B - c).

    1 for operations that divide by a sum in the same frame.
    """
    if operation not in LOG_BACKWARDS:
        return splat(1.0, k)
    # `exponent` is the field of 2**B: that less B is the exponent bias, as power_of_two wants.
    bias = constant(k, "bias")
    origin = constant(k, "magic") + (constant(k, "exponent") - bias)
    return power_of_two(origin + (k - bias)) * inverse_offset(k)


@formula
def result(operation: Operation, x: Value, g: Any, coefficients: Any, cool: Any) -> Value:
    """The results of elements, of which `x` was kept.

    `cool` is 1 / T in two parts, None for no temperature; for 1 the results are the same.
    """
    if operation is COPY:
        return x
    first, second = coefficients
    if operation in SOFTMAXES:
        return gradual_result(x, coefficients) if operation.gradual else fma(x, first, x * second)
    if operation in LOGARITHMS:
        distance = x - first
        if cool is None:
            return distance - second
        found = fma(distance, cool[0], fma(distance, cool[1], -second))
        # Infinity times the low part may be NaN; the log is, where all of the slice is to be.
        lowest = equal(distance, splat(NEGATIVE_INFINITY, distance))
        return choose(lowest, distance - second, found)
    if operation in BACKWARDS:
        # Two roundings, of the difference and of the result: at most 4 ULP of the larger term.
        difference = g - first
        if cool is None:
            return fma(x, difference, -(x * second))
        return quotient(x, difference, second, cool)
    if cool is None:
        return fma(-x, first, fma(-x, second, g))
    return quotient_of_difference(g, x, first, second, cool)
