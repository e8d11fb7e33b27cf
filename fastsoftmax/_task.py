"""What is asked of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastsoftmax.kernels.operations import (
    BACKWARDS,
    LOG_BACKWARDS,
    LOGARITHMS,
    LOGS,
    MASKED,
    NEGATED,
    RESULTS,
    SOFTMAX,
    SOFTMAXES,
    SUMMARY_WANTED,
    Operation,
)
from fastsoftmax.kernels.strides import SECOND, SOURCE, TARGET

if TYPE_CHECKING:
    from fastsoftmax._geometry import Dims


class Task(NamedTuple):
    """What is asked for."""

    operation: Operation
    options: int
    """The sum of constants of kernels/operations.py."""
    dims: Dims

    @property
    def is_bare(self) -> bool:
        """Whether two operands are enough: no mask, temperature or summary."""
        return self.operation in {SOFTMAX, LOGS} and self.options == RESULTS

    @property
    def is_result(self) -> bool:
        """Whether all that is wanted is the result of one input."""
        one_input = self.operation in SOFTMAXES + LOGARITHMS
        return one_input and self.options & ~(MASKED | NEGATED) == RESULTS

    @property
    def is_summary(self) -> bool:
        """Whether all that is wanted is the summary, with no mask and no temperature."""
        return self.operation in {SOFTMAX, LOGS} and self.options == SUMMARY_WANTED

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but inputs and one output: no mask, and no temperature."""
        is_gradient = self.is_gradient and not self.operation.cooled
        return self.is_bare or self.is_summary or is_gradient

    @property
    def is_gradient(self) -> bool:
        """Whether it is a gradient with no mask."""
        return self.operation in BACKWARDS + LOG_BACKWARDS and self.options == RESULTS

    @property
    def movable(self) -> tuple[int, ...]:
        """The operands one of which may be copied to where results go, before they are computed."""
        if self.touched == (SOURCE, TARGET):
            return (SOURCE,)
        return (SECOND, SOURCE) if self.is_gradient else ()

    @property
    def touched(self) -> tuple[int, ...]:
        """The operands of the size of the input that are there."""
        second = (SECOND,) if self.operation.inputs == 2 else ()
        return (SOURCE, *((TARGET,) if self.options & RESULTS else ()), *second)
