r"""The functions of the family, as what layouts need to know of them.

An operation sees a slice three times, a vector at a time: it *prepares* each element,
*consumes* it into running sums, and, when the sums have become two *coefficients* of the
slice (kernels/outcomes.py), makes of each element its *result*.  With x the elements of the
first input and g those of the second,

=============  =================================  ====================  =======================
operation      sums                               coefficients          result
=============  =================================  ====================  =======================
SOFTMAX        exp(x)                             1 / sum, high, low    exp(x) * (high + low)
LOGS           exp(x), x not the max; ties        max, log of the rest  (x - max) - log
BACKWARD       x g                                sum, high and low     x * (g - sum)
LOG_BACKWARD   g                                  sum, high and low     g - exp(x) * sum
=============  =================================  ====================  =======================

A sixth operation is a line in this table and a branch in the formulas below.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fastsoftmax.kernels.cooled import quotient, quotient_of_difference
from fastsoftmax.kernels.exponential import (
    Heat,
    Numbers,
    Window,
    constant,
    heat_of,
    inverse_offset,
    reduce_argument,
    rounded,
    term,
)
from fastsoftmax.kernels.gradual import gradual_result, scaled
from fastsoftmax.kernels.powers import power_of_two
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
from fastsoftmax.kernels.values import Static, Value, as_type, formula
from fastsoftmax.kernels.vectors import (
    LARGEST,
    choose,
    double,
    equal,
    fma,
    keep_first,
    smallest,
    splat,
)

NEGATIVE_INFINITY = float("-inf")

MASKED, NEGATED, RESULTS, SUMMARY_WANTED = 1, 2, 4, 8
"""What is asked for besides: there is a mask; the input counts negative; results are to be
written; so is the summary of each slice."""


@dataclass(frozen=True, eq=False)
class Operation(Static):
    """A function of the family."""

    name: str
    hidden: float
    """What stands for elements that a mask leaves out."""
    hidden_result: float
    inputs: int = 1
    has_frame: bool = True
    """Whether exponentials are taken, for which the max of the slice is needed."""
    keeps: bool = False
    """Whether its results are made of exponentials, kept in place of the elements."""
    tempered: bool = False
    """Whether exponents are divided by a temperature."""
    cooled: bool = False
    """Whether results are."""
    exact: bool = False
    """Whether products of its inputs are exact in the dtype in which they are computed."""
    gradual: bool = False
    """Whether they are made as subnormal ones are (kernels/gradual.py)."""


SOFTMAX = Operation("softmax", NEGATIVE_INFINITY, 0.0, keeps=True)
LOGS = Operation("logs", NEGATIVE_INFINITY, NEGATIVE_INFINITY)
BACKWARD = Operation("backward", 0.0, 0.0, inputs=2, has_frame=False)
LOG_BACKWARD = Operation("log_backward", NEGATIVE_INFINITY, 0.0, inputs=2, keeps=True)
COPY = Operation("copy", 0.0, 0.0, has_frame=False)
"""The result is what was kept."""
TEMPERED_SOFTMAX = Operation("tempered_softmax", NEGATIVE_INFINITY, 0.0, keeps=True, tempered=True)
TEMPERED_LOGS = Operation(
    "tempered_logs", NEGATIVE_INFINITY, NEGATIVE_INFINITY, tempered=True, cooled=True
)
TEMPERED_BACKWARD = replace(BACKWARD, name="tempered_backward", cooled=True)
TEMPERED_LOG_BACKWARD = replace(LOG_BACKWARD, name="tempered_log_backward", cooled=True)
# Elements of float16 and bfloat16 have 11 bits at the most, those of float32 24.
HALF_BACKWARD = replace(BACKWARD, name="half_backward", exact=True)
TEMPERED_HALF_BACKWARD = replace(TEMPERED_BACKWARD, name="tempered_half_backward", exact=True)

_GRADUAL = {
    each: replace(each, name=f"gradual_{each.name}", gradual=True)
    for each in (SOFTMAX, TEMPERED_SOFTMAX)
}
SOFTMAXES = (*_GRADUAL, *_GRADUAL.values())
LOGARITHMS = (LOGS, TEMPERED_LOGS)
BACKWARDS = (BACKWARD, TEMPERED_BACKWARD, HALF_BACKWARD, TEMPERED_HALF_BACKWARD)
LOG_BACKWARDS = (LOG_BACKWARD, TEMPERED_LOG_BACKWARD)

Sums = Any
"""Running sums of an operation; a tuple of values."""


@formula
def inputs_of(operation: Operation) -> int:
    """The number of inputs."""
    return operation.inputs


@formula
def has_frame(operation: Operation) -> bool:
    """Whether it takes exponentials."""
    return operation.has_frame


@formula
def keeps(operation: Operation) -> bool:
    """Whether elements are replaced by their exponentials."""
    return operation.keeps


@formula
def has_quotients(operation: Operation) -> bool:
    """Whether its results are quotients, which may be subnormal."""
    return operation in SOFTMAXES


@formula
def gradual_of(operation: Operation) -> Operation:
    """The operation whose results are the same, made as subnormal ones are if they may be."""
    return _GRADUAL.get(operation, operation)


@formula
def kept_of(operation: Operation, x: Value, kept: Value) -> Value:
    """Where results find what was kept: in place of the elements, or the elements."""
    return kept if operation.keeps else x


@formula
def counts_ties(operation: Operation) -> bool:
    """Whether sums are of elements below the max, and those equal to it are counted."""
    return operation in LOGARITHMS


@formula
def hidden(operation: Operation, like: Value) -> Value:
    """What stands for a hidden element of the first input."""
    return _number_like(operation.hidden, like)


@formula
def hidden_result(operation: Operation, like: Value) -> Value:
    """The result of a hidden element."""
    return _number_like(operation.hidden_result, like)


def _number_like(number: float, like: Value) -> Value:
    """A number in the dtype of the address `like`."""
    return as_type(number, like.dtype, like.builder)


@formula
def uses_temperature(operation: Operation) -> bool:
    """Whether the temperature makes a difference."""
    return operation.tempered or operation.cooled


@formula
def heat_for(operation: Operation, temperature: Value, like: Value) -> Heat:
    """The numbers of the temperature, in float64, of slices; None if there is none."""
    return heat_of(temperature, like) if operation.tempered else None


@formula
def cool_for(operation: Operation, temperature: Value, like: Value) -> Any:
    """1 / T in two parts, where results want it."""
    return heat_of(temperature, like)[3:] if operation.cooled else None


@formula
def shift_of(operation: Operation, top: Value, like: Value) -> Value:
    """What slices with the maximum `top` are shifted by if it is too large, in float64."""
    return smallest(top, LARGEST[like.dtype]) if operation in LOGARITHMS else top


@formula
def shifted(operation: Operation, x: Value, by: Any) -> Value:
    """An element less `by`.

    Differences from a maximum beyond the limit are exact wherever the term does not vanish.
    An infinite maximum makes NaN of what has to be NaN, but logarithms count it as finite:
    log-sum-exp is infinite then, unless there is a NaN besides.
    """
    return (smallest(x, LARGEST[x.dtype]) if operation in LOGARITHMS else x) - by


# --- Sums -----------------------------------------------------------------------------


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
def keep_sums(operation: Operation, new: Sums, count: Value, old: Sums) -> Sums:
    """The sums `new` in the first `count` lanes, `old` in the others."""
    if isinstance(new, Value):
        return keep_first(new, count, old)
    return tuple(keep_sums(operation, a, count, b) for a, b in zip(new, old, strict=True))


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


# --- Results --------------------------------------------------------------------------


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
