"""Gradients divided by a temperature, whose inverse is in two parts, with no more than they lose.

An output or a difference may be subnormal, and a quotient of either may overflow, where the
gradient itself is neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba.core import types

from fastsoftmax.kernels.values import emit
from fastsoftmax.kernels.vectors import (
    LARGEST,
    beyond,
    bits_constant,
    bits_of,
    choose,
    fma,
    is_above,
    splat,
)

if TYPE_CHECKING:
    from llvmlite import ir

    from fastsoftmax.kernels.values import Value

_LIFTS = {types.float32: 2.0**64, types.float64: 2.0**512}
"""A power of two: subnormal numbers times it are normal, numbers above 1 over it still are."""

_EXPONENTS = {types.float32: 0xFF << 23, types.float64: 0x7FF << 52}
"""The bits of their exponents."""


def quotient(x: Value, high: Value, low: Value, cool: Any) -> Value:
    """x (high - low) / T.

    The difference is divided.  Where that could overflow, x takes a power of two off it before.
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


def quotient_of_difference(g: Value, x: Value, high: Value, low: Value, cool: Any) -> Value:
    """(g - x (high + low)) / T, rounded as if it were not divided if T is 1.

    Each term is divided by T if that is 1 or more, else by what remains of T without a power of
    two, lest it overflows; their difference is divided by the power.
    """
    power, first, second = _split(cool)
    upper = high * first
    lower = fma(high, first, -upper) + (high * second + low * first)
    given = g * first
    lost = fma(-g, second, fma(-g, first, given))
    return fma(-x, upper, fma(-x, lower, given) - lost) * power


def _split(cool: Any) -> tuple[Value, Value, Value]:
    """1 / T as a power of two, at least 1, and a number of at most 1 in two parts."""
    inverse = cool[0]
    one = splat(1.0, inverse)
    power = choose(is_above(inverse, 1.0), _power_within(inverse) * 2.0, one)
    return power, inverse * (one / power), cool[1] * (one / power)


def _power_within(x: Value) -> Value:
    """The largest power of two that is not above x, which is positive and normal."""

    def instructions(builder: ir.IRBuilder, code: Any) -> Any:
        bits = bits_of(x.type)
        masked = builder.and_(builder.bitcast(code, bits), bits_constant(bits, _EXPONENTS[x.dtype]))
        return builder.bitcast(masked, code.type)

    return emit(x.type, instructions, x)


def _if_finite(rest: Value) -> Value:
    """What a number lost, which is nothing where it is infinite."""
    return choose(beyond(rest, LARGEST[rest.dtype]), splat(0.0, rest), rest)
