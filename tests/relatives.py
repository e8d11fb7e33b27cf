"""The whole family under test: how each function is called, its oracle and its gates.

A `Relative` is called as ``call(*inputs, dim, ...)`` with one array of logits or, for the
gradients, with ``(grad_output, output)``; `given` makes either of the same slices.  Results
keep the number of dims of the input.  Calls are serial unless they say otherwise, as each
build for several threads has to be compiled besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import reference
from arrays import LAYOUTS, Layout, logits, read_only
from reference import EXTENDED, Dim, dims_of
from ulps import MOST_ULPS, assert_accurate, errors_in_ulps

import fastsoftmax

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

# What gradients promise, in ULP of their largest term.
MOST_ULPS_OF_TERM = 4.0

BY_NAME = {layout.name: layout for layout in LAYOUTS}
# One of each kind: along memory, across it, with steps, backwards, joint.
FEW_LAYOUTS = [
    BY_NAME[name]
    for name in (
        "rows",
        "dim 0",
        "dim in the middle",
        "every other element",
        "columns apart",
        "backwards",
        "both backwards",
        "dims around the batch",
        "whole array",
    )
]


class Relative(NamedTuple):
    """A function of the family."""

    name: str
    public: Callable[..., Any]
    exact: Callable[..., Array]
    """``exact(*inputs, dim, where=True, temperature=1.0)``, in extended precision."""
    hidden: float
    """The result of an element that a mask leaves out."""
    inputs: int = 1
    reduces: bool = False
    """Whether there is one result for a slice."""
    tempered: bool = True

    def call(self, *inputs_and_dim: Any, **more: Any) -> Array:
        """The function, on one thread, with the dims of a slice kept."""
        keep = {"keepdim": True} if self.reduces else {}
        return np.asanyarray(self.public(*inputs_and_dim, **{"workers": 1, **keep, **more}))

    def given(self, layout: Layout, slices: Array) -> tuple[Array, ...]:
        """Inputs in a layout, of logits as the rows of a matrix."""
        if self.inputs == 1:
            return (layout.of(slices),)
        make = reference.log_softmax if "log" in self.name else reference.softmax
        output = make(slices, 1).astype(slices.dtype)
        grad = logits((*slices.shape, 1), slices.dtype)[..., 0]
        return layout.of(grad), layout.of(output)

    def given_rows(self, slices: Array) -> tuple[Array, ...]:
        """The same as matrices whose rows are the slices."""
        return self.given(BY_NAME["rows"], slices)

    def assert_accurate(
        self, result: Array, inputs: Any, dim: Dim, what: object, **more: Any
    ) -> None:
        """Hold a result against the gates of the function."""
        exact = self.exact(*inputs, dim, **more)
        assert result.shape == exact.shape, what
        if self.reduces:
            _assert_lse(result, exact, inputs[0], dim, what, **more)
        elif self.inputs == 2:
            scale = largest_term(self, *inputs, dim, **more)
            errors = errors_in_units_of(scale, result, exact)
            assert errors.max(initial=0) <= MOST_ULPS_OF_TERM, f"{what}: {errors.max()} ULP"
        else:
            assert_accurate(result, exact, what)


def errors_in_units_of(scale: Array, result: Array, exact: Array) -> Array:
    """The error of each element in ULP of another number, `scale`."""
    with np.errstate(all="ignore"):
        units = np.spacing(np.abs(scale).astype(result.dtype)).astype(EXTENDED)
        errors = np.abs(result.astype(EXTENDED) - exact) / units
    usual = np.isfinite(result) & np.isfinite(exact)
    zero = result.dtype.type(0)
    others = errors_in_ulps(np.where(usual, zero, result), np.where(usual, 0, exact))
    return np.where(usual, errors, others).astype(np.float64)


def largest_term(
    relative: Relative, grad: Any, output: Any, dim: Dim, where: Any = True, temperature: Any = 1.0
) -> Array:
    """The larger of the two terms whose difference a gradient is, element by element."""
    axis = dims_of(dim, np.ndim(grad))
    here = np.broadcast_to(np.asarray(where), np.shape(grad))
    with np.errstate(all="ignore"):
        g, y = (np.where(here, np.asarray(each, EXTENDED), 0) for each in (grad, output))
        t = np.asarray(temperature, EXTENDED)
        if relative.name == "softmax_backward":
            terms = y * g / t, y * (g * y).sum(axis=axis, keepdims=True) / t
        else:
            terms = g / t, np.exp(y) * g.sum(axis=axis, keepdims=True) / t
        largest: Array = np.maximum(np.abs(terms[0]), np.abs(terms[1]))
    return largest


def _assert_lse(
    result: Array, exact: Array, x: Array, dim: Dim, what: object, where: Any = True
) -> None:
    """2 ULP, of the larger of max and log where they nearly cancel."""
    here = np.broadcast_to(np.asarray(where), x.shape)
    with np.errstate(all="ignore"):
        wide = np.where(here, x.astype(EXTENDED), -np.inf)
        top = wide.max(axis=dims_of(dim, x.ndim), keepdims=True, initial=-np.inf)
        larger = np.maximum(np.abs(top), np.abs(exact - top))
        scale = np.where(np.abs(exact) < larger / 2, larger, exact)
    errors = errors_in_units_of(scale, result, exact)
    assert errors.max(initial=0) <= MOST_ULPS, f"{what}: {errors.max()} ULP"


SOFTMAX = Relative("softmax", fastsoftmax.softmax, reference.softmax, 0.0)
SOFTMIN = Relative("softmin", fastsoftmax.softmin, reference.softmin, 0.0)
LOG_SOFTMAX = Relative("log_softmax", fastsoftmax.log_softmax, reference.log_softmax, -np.inf)
LOGSUMEXP = Relative(
    "logsumexp",
    fastsoftmax.logsumexp,
    reference.logsumexp,
    -np.inf,
    reduces=True,
    tempered=False,
)
BACKWARD = Relative(
    "softmax_backward", fastsoftmax.softmax_backward, reference.softmax_backward, 0.0, inputs=2
)
LOG_BACKWARD = Relative(
    "log_softmax_backward",
    fastsoftmax.log_softmax_backward,
    reference.log_softmax_backward,
    0.0,
    inputs=2,
)
RELATIVES = [SOFTMAX, SOFTMIN, LOG_SOFTMAX, LOGSUMEXP, BACKWARD, LOG_BACKWARD]
OF_LOGITS = RELATIVES[:4]
TEMPERED = [each for each in RELATIVES if each.tempered]


def name_of(value: Any) -> str:
    """How a parameter is shown in the name of a test."""
    return str(getattr(value, "name", value)).replace(" ", "-")


def slices_of_several_sizes(length: int, dtype: Any) -> Array:
    """Slices near 0, far from it, and some whose results vanish."""
    count = 38 if length < 100 else 11 if length < 2000 else 6
    offsets = np.resize([0.0, 50.0, -3e4, 0.0, 1e6, -2.5], count)[:, np.newaxis]
    return read_only(logits((count, length), dtype, 9.0) + offsets.astype(dtype))
