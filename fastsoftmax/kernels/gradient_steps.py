"""What gradients take that are computed from both inputs as they stand, with no tile.

Sums don't need exponentials, not even those of `LOG_BACKWARD`, so these are taken as results are
made; all that has to be known of slices beforehand is their largest elements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba.core import types

from fastsoftmax.kernels.memory import load_like
from fastsoftmax.kernels.operations import BACKWARDS
from fastsoftmax.kernels.outcomes import coefficients
from fastsoftmax.kernels.sums import add_products, join, number, products
from fastsoftmax.kernels.tiles import framed, shifts
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import any_of, choose, double, element, is_above, splat, vector
from fastsoftmax.kernels.workspaces import load_kinds, store_kinds

if TYPE_CHECKING:
    from fastsoftmax.kernels.operations import Operation, Sums

KINDS = 6
"""What is known of a slice: coefficients, shift, window, and the way back from its frame."""
MOST_SLICES = 16
"""Slices along memory that go through each step together: a vector of float32 has no more
elements."""
NUMBERS_BYTES = 8 * MOST_SLICES
KNOWN_BYTES = KINDS * NUMBERS_BYTES


@formula
def addends(operation: Operation, x: Value, g: Value) -> tuple[Value, ...]:
    """What `add_addends` takes of elements of both inputs."""
    if operation in BACKWARDS:
        return products(x, g, operation.exact)
    return (g if g.dtype == types.float64 else double(g),)


@formula
def add_addends(operation: Operation, sums: Sums, given: tuple[Value, ...]) -> Sums:
    """The sums that `operations.add_inputs` makes."""
    (total,) = sums
    if operation in BACKWARDS:
        return (add_products(total, given),)
    (g,) = given
    return (total + g if isinstance(total, Value) else join(total, number(g)),)


@formula
def are_above_0(tops: Value) -> Value:
    """Whether there are numbers above 0, as there are in no logarithms of probabilities.

    For other maxima, 0 does (`outcomes.framed_top`).
    """
    return any_of(is_above(tops, 0.0))


@formula
def known_of(operation: Operation, top: Value, found: Any, numbers: Any) -> Any:
    """What the results in slices with these maxima and sums are made with."""
    scope, nothing = (numbers, None), splat(0.0, top)
    if not operation.has_frame:
        top = nothing
    large, by = shifts(operation, top, scope)
    top, k, window, back = framed(operation, choose(large, nothing, top), scope)
    state = double(top), double(k), *found
    return *coefficients(operation, state, double(top), top, *scope, False), by, *window, back


@formula
def note_known(operation: Operation, memory: Value, i: Any, sums: Any, numbers: Any) -> None:
    """Write what is known of slices from number `i` on, as many as a vector has elements.

    `sums` are the addresses of their maxima and of both parts of their totals.
    """
    tops, *totals = sums
    top = load_like(tops, i, vector(tops))
    high, low = (load_like(each, i, double(top)) for each in totals)
    known = known_of(operation, top, (high, low, splat(0.0, high)), numbers)
    store_kinds(memory, i, MOST_SLICES, known)


@formula
def scope_at(operation: Operation, memory: Value, i: Any, numbers: Any, cool: Any) -> Any:
    """The same of one slice, for `block_results.write_group`."""
    like = element(vector(memory), 0)
    return scope_of(operation, load_kinds(memory, i, MOST_SLICES, KINDS, like), numbers, cool)


@formula
def scope_of(operation: Operation, known: Any, numbers: Any, cool: Any) -> Any:
    """What is known of slices, for `block_results.result_of`."""
    upper, lower, by, *window, back = known
    if not operation.keeps:
        return (upper, lower), cool
    return (upper, lower), cool, numbers, tuple(window), None, back, by
