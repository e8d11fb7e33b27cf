"""Gradients divided by a temperature, whose inverse is in two parts, with no more than they lose.

An output or a difference may be subnormal, and a quotient of either may overflow, where the
gradient itself is neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba.core import types

from fastsoftmax.kernels.vectors import LARGEST, beyond, choose, fma, is_above, splat

if TYPE_CHECKING:
    from fastsoftmax.kernels.values import Value

_LIFTS = {types.float32: 2.0**64, types.float64: 2.0**512}
"""What makes a normal number of a subnormal one, and no infinity of it and of what it takes that
power of two from."""


def quotient(x: Value, high: Value, low: Value, cool: Any) -> Value:
    """x (high - low) / T.

    The difference is divided.  Lest its quotient overflows, powers of two go from it to x.
    """
    lift, inverse = _LIFTS[x.dtype], cool[0]
    most = choose(is_above(inverse, 1.0), splat(1.0, inverse), splat(LARGEST[x.dtype], inverse))
    is_large = beyond(high, most)
    one = splat(1.0, x)
    x = x * choose(is_large, splat(lift, x), one)
    less = choose(is_large, splat(1 / lift, x), one)
    high, low = high * less, low * less
    factor = high * inverse
    rest = _if_finite(fma(high, inverse, -factor) + high * cool[1])
    return fma(factor, x, -(x * (low * inverse - rest)))


def lost_in_fma(a: Value, x: Value, y: Value, found: Value) -> Value:
    """What `found`, a - x y rounded once, lost by that."""
    product = x * y
    total = a - product
    share = total - a
    rest = (a - (total - share)) - (product + share)
    return _if_finite((total - found) + (rest - fma(x, y, -product)))


def _if_finite(rest: Value) -> Value:
    """What a number lost, which is nothing where it is infinite."""
    return choose(beyond(rest, LARGEST[rest.dtype]), splat(0.0, rest), rest)
