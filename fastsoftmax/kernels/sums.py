r"""One order of summation for every layout, and sums that lose nothing.

A slice is cut into *blocks* of `BLOCK_BYTES`.  In a block, element j belongs to *lane*
``j mod L``, `LANES_BYTES` of them; a slice of at most `SINGLE` elements has one lane.  A
lane is summed in order, lanes are joined by halves, blocks in order.  The layouts differ in
which of these sums stand side by side in a vector, never in the order, so that the same
slice has the same sum everywhere.

A lane's sum is error-free [1]_: it starts at a number sigma that no term exceeds, so that
the rounding error of ``s + term`` is itself a number, and these errors are summed apart,
together with what the rounded terms lost.
From there on a *total* is a float64 for float32 terms, a pair of float64 (high, low) for
float64 terms.

.. [1] T. J. Dekker, "A floating-point technique for extending the available precision",
   Numerische Mathematik 18 (1971), 224-242: FastTwoSum, exact for ``s >= term``.
"""

from __future__ import annotations

from typing import Any

from numba.core import types

from fastsoftmax.kernels.exponential import Term, constant, lost, rounded
from fastsoftmax.kernels.shuffles import lower_half, upper_half
from fastsoftmax.kernels.values import Value, Vec, as_type, formula
from fastsoftmax.kernels.vectors import double, element, fma, narrow, splat

Sums = tuple[Value, Value]
"""A lane's ``(large, errors)``, sigma included in `large`."""
Total = Any
"""A sum in the wider format: a value, or two of them (high, low)."""

LANES_BYTES = 128
BLOCK_BYTES = 16384
SINGLE = 64


def lanes_of(itemsize: int) -> int:
    """L for elements of `itemsize` bytes."""
    return LANES_BYTES // itemsize


def block_of(itemsize: int) -> int:
    """The length of a block of elements of `itemsize` bytes."""
    return BLOCK_BYTES // itemsize


@formula
def lane_count(like: Value) -> int:
    """`lanes_of` the dtype of `like`, an address or vector."""
    return lanes_of(like.dtype.bitwidth // 8)


@formula
def block_length(like: Value) -> int:
    """`block_of` the dtype of `like`, an address or vector."""
    return block_of(like.dtype.bitwidth // 8)


@formula
def lanes(address: Value) -> Value:
    """A zero in each of the L lanes, for elements of the dtype of `address`."""
    return as_type(0.0, Vec(address.dtype, lane_count(address)), address.builder)


# --- A lane ---------------------------------------------------------------------------


@formula
def start(like: Value) -> Sums:
    """Empty sums, one in each element of a vector like `like`."""
    return splat(constant(like, "sigma"), like), splat(0.0, like)


@formula
def add(sums: Sums, term: Term) -> Sums:
    """`sums` with one more term each (in parts, see `exponential`)."""
    large, errors = sums
    larger = large + rounded(term)
    return larger, errors + lost(term, larger - large)


# --- Totals ---------------------------------------------------------------------------


@formula
def total(sums: Sums) -> Total:
    """What was added to `sums`."""
    large, errors = sums
    sigma = constant(large, "sigma")
    if large.dtype == types.float32:
        return (double(large) - double(sigma)) + double(errors)
    return large - sigma, errors


@formula
def join(a: Total, b: Total) -> Total:
    """The total of two totals."""
    if isinstance(a, Value) or isinstance(b, Value):
        return a + b
    # D. E. Knuth's TwoSum: the error of the sum, whichever is the larger one.
    high = a[0] + b[0]
    share = high - a[0]
    error = (a[0] - (high - share)) + (b[0] - share)
    return high, (a[1] + b[1]) + error


@formula
def weigh(a: Total, weight: Value) -> Total:
    """A total times a power of two."""
    return a * weight if isinstance(a, Value) else (a[0] * weight, a[1] * weight)


@formula
def nothing(like: Value) -> Total:
    """Totals of nothing, one in each element of a vector like `like`."""
    zeros = splat(0.0, double(like))
    return zeros if like.dtype == types.float32 else (zeros, zeros)


@formula
def number(a: Value) -> Total:
    """A number as a total."""
    return double(a) if a.dtype == types.float32 else (a, splat(0.0, a))


@formula
def products(a: Value, b: Value, is_exact: bool) -> tuple[Value, ...]:
    """What `add_products` takes to add a b to a total: the product, or both if they are float64.

    `is_exact` if products are exact in the dtype of a and b, too.
    """
    if a.dtype == types.float64:
        return a, b
    return (double(a * b) if is_exact else double(a) * double(b),)


@formula
def add_products(total: Total, given: tuple[Value, ...]) -> Total:
    """A total with a product, which is exact."""
    if len(given) == 1:
        return total + given[0]
    a, b = given
    high = a * b
    return join(total, (high, fma(a, b, -high)))


@formula
def add_product(total: Total, a: Value, b: Value, is_exact: bool) -> Total:
    """The same in one operation where there is one."""
    if a.dtype == types.float32 and not is_exact:
        return fma(double(a), double(b), total)
    return add_products(total, products(a, b, is_exact))


@formula
def parts_of(total: Total) -> tuple[Value, Value]:
    """A total as two numbers in float64, to be kept in memory."""
    return (total, total - total) if isinstance(total, Value) else total


@formula
def single_total(term: Term) -> Total:
    """A term as a total."""
    near = rounded(term)
    if near.dtype == types.float32:
        return double(near)
    return near, lost(term, near)


@formula
def total_of(high: Value, low: Value, like: Value) -> Total:
    """The total of terms of the dtype of `like` whose parts these are."""
    return high if like.dtype == types.float32 else (high, low)


@formula
def fold(lanes: Total) -> Total:
    """The total of all lanes of a vector, by halves, as a scalar."""
    if isinstance(lanes, Value):
        while lanes.count > 1:
            lanes = join(lower_half(lanes), upper_half(lanes))
        return element(lanes, 0)
    while lanes[0].count > 1:
        lower, upper = map(lower_half, lanes), map(upper_half, lanes)
        lanes = join(tuple(lower), tuple(upper))
    return element(lanes[0], 0), element(lanes[1], 0)


@formula
def single(sums: Sums) -> Total:
    """The total of slices that have one lane, as a pair in their own dtype."""
    large, errors = sums
    return large - constant(large, "sigma"), errors


@formula
def reciprocal(total: Total, like: Value) -> tuple[Value, Value]:
    """1 / total as (high, low) in the dtype of `like`."""
    if isinstance(total, Value):
        high = narrow(total, like)
        low = narrow(total - double(high), like)
    else:
        high = total[0] + total[1]
        low = total[1] - (high - total[0])
    quotient = 1.0 / high
    # Newton's step on the residual 1 - quotient * (high + low).
    residual = fma(quotient, low, fma(quotient, high, -1.0))
    return quotient, -(residual * quotient)
