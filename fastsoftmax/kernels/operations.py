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

COPY, of what was kept, takes no sums.  Another operation is a line in this table, a branch in
the formulas below, and a name for it in `_calls`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fastsoftmax.kernels.exponential import (
    Heat,
    heat_of,
)
from fastsoftmax.kernels.values import Static, Value, as_type, formula
from fastsoftmax.kernels.vectors import LARGEST, smallest

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


# --- Results --------------------------------------------------------------------------
