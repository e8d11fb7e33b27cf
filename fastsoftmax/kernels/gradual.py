"""Results that underflow gradually: subnormal numbers, without computing with any.

Processors of Intel take some 150 cycles for an operation whose result is subnormal: (64, 50257)
float32 of deviation 30 took 4.0 ns an element on two threads, and takes 0.26.  The bits of such a
number are those of an integer, how many of the least one it is, so `gradual_result` computes that
integer, as a number that is normal, and rounds as the processor would: the same bits as a product
has.  It takes thrice as long, so it is for blocks that hold such results (kernels/underflow.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from numba.core import types

from fastsoftmax.kernels.values import Value, emit, formula, llvm_type
from fastsoftmax.kernels.vectors import (
    beyond,
    bits_constant,
    bits_of,
    choose,
    fma,
    is_above,
    maximum,
    splat,
)

if TYPE_CHECKING:
    from llvmlite import ir


class Range(NamedTuple):
    """Where the numbers of a dtype become subnormal."""

    digits: int
    """The bits of a normal number's fraction."""
    exponent: int
    """That of the least normal number."""
    octaves: int
    """How many results are computed above where they belong: as many as leave 1 finite."""
    nothing: float
    """A term (kernels/exponential.py) that makes a result of 0, of any slice, and none less."""

    @property
    def unit(self) -> int:
        """The exponent of the least subnormal number."""
        return self.exponent - self.digits


RANGES = {
    types.float32: Range(23, -126, 120, 2.0**-92),
    types.float64: Range(52, -1022, 960, 2.0**-570),
}


@formula
def gradual_result(x: Value, quotient: Any) -> Value:
    """``x * (high + low)`` for a term `x`, as ``fma(x, high, x * low)`` has it."""
    own = RANGES[x.dtype]
    least, up = 2.0 ** (own.exponent + own.octaves), 2.0**own.octaves
    high, low = quotient[0] * up, quotient[1] * up
    x = maximum(own.nothing, x)
    # The second product, rounded to subnormal numbers if it is one: beside a number of which
    # these are the last bits, and whose sign it has.
    beside = choose(is_above(low, 0.0), splat(least, low), splat(-least, low))
    share = x * low
    share = choose(beyond(share, least), share, fma(x, low, beside) - beside)
    found = fma(x, high, share)
    # The number of the least subnormal numbers, as the last bits of a number.
    units = 2.0 ** (-own.unit - own.octaves)
    counted = fma(x, high * units, share * units + 2.0**own.digits)
    # By this number, not by `found`: LLVM would see that `least` is never chosen, and scale
    # what is subnormal then.
    is_subnormal = is_above(2.0 ** (own.digits + 1), counted)
    whole = maximum(least, found) * 2.0**-own.octaves
    return choose(is_subnormal, _last_bits(counted, own), whole)


@formula
def least_factor(like: Value) -> int:
    """The exponent of the least power of two that terms of the dtype of `like` are scaled by."""
    return RANGES[like.dtype].exponent + 6


@formula
def scaled(terms: Value, factor: Value) -> Value:
    """`terms` times a power of two, from that of `least_factor` to 1.

    Those that make results of 0 are raised to others that do, so that none becomes subnormal.
    """
    return maximum(RANGES[terms.dtype].nothing / factor, terms) * factor


def _last_bits(counted: Value, own: Range) -> Value:
    """The number whose bits are those of the integer `counted` less 2**digits."""
    base = (own.digits + 1 - own.exponent) << own.digits  # the bits of 2**digits

    def instructions(builder: ir.IRBuilder, code: Any) -> Any:
        bits = builder.bitcast(code, bits_of(counted.type))
        left = builder.sub(bits, bits_constant(bits.type, base))
        return builder.bitcast(left, llvm_type(counted.type))

    return emit(counted.type, instructions, counted)
