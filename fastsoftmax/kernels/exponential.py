r"""The exponential of the whole library, scaled by a power of two.

An octave has S steps of :math:`h = \ln 2 / S` (4 of them for float32, 2 for float64).  With
the integer :math:`n` nearest to :math:`x / h` and :math:`r = x - n h`,

.. math:: e^x \, 2^{B + c - k} =
          e^r \cdot 2^{c + (n \bmod S) / S} \cdot 2^{\lfloor n / S \rfloor - k + B},

where :math:`k` is near :math:`\log_2 e \max x`.  The maximum is not subtracted from x, which
would round and cost up to ``abs(x - max)`` ULP; k shifts the result by a power of two, which
is exact.  The bias :math:`B` keeps every term that can reach the result, subnormal results
included, a normal number until the last multiplication.

``t = x / h + magic - S k`` finds n: adding 1.5 * 2**(mantissa bits) rounds to an integer
and leaves that integer in the low bits of t, ready to become an exponent and the number of a
step.  ``x - n h_high`` is exact in one fused operation, as both are multiples of one unit and
the difference is below 2**mantissa bits of it.

A *term* is kept in two parts ``(rest, scale)``, meaning ``scale + rest * scale`` with `rest`
near exp(r) - 1: as r is small, the parts are good to 0.3 ULP where one number could be no
better than 0.5.  `sums.add` sums the parts; slices are normalised by a sum that is better
than its terms.  The S scales of an octave would be rounded, too: the offset c, which is in
every term and so in no quotient, is one for which all of them are numbers of the dtype but
for 0.003 ULP.

With a temperature T, exp(x / T) has :math:`r = (x - n T h) / T`: the same steps with
`Heat`'s numbers, and two more to divide.  x / T itself is never rounded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from numba.core import types

from fastsoftmax.kernels.powers import power_of_root, power_of_two, roots_of
from fastsoftmax.kernels.values import Value, as_type, formula
from fastsoftmax.kernels.vectors import (
    beyond,
    choose,
    double,
    equal,
    fma,
    maximum,
    narrow,
    opaque,
    rint,
    splat,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Numbers = tuple[Value, ...]
"""The table of scales; 1 / h, h as high and low part; the coefficients of the polynomial."""
Window = tuple[Value, Value]
"""The frame of a slice, as `reduce_argument` wants it."""
Heat = tuple[Value, Value, Value, Value, Value] | None
"""1 / (T h), T h as high and low part, 1 / T as high and low part; None: T is 1."""
Argument = tuple[Value, Value]
"""``(r, scale)``: the exponential is exp(r) * scale."""
Term = tuple[Value, Value]
"""``(rest, scale)``, meaning ``scale + rest * scale``."""


class Format(NamedTuple):
    """The numbers that the arithmetic in one dtype is made of."""

    magic: float
    """1.5 * 2**(mantissa bits): adding it rounds to an integer."""
    bias: float
    """B: terms are held times 2**B, so that those of subnormal results are normal."""
    exponent: float
    """The exponent field of 2**B."""
    reach: float
    """How many octaves below k terms reach: so far below subnormal results that a sum of any number
    of the least is nothing, and no farther than that what they lose by rounding, where it is
    taken, is a normal number.  (Processors of Intel take 150 cycles for one that is not.)"""
    sigma: float
    """2**(B + 2), more than any term: where a lane's sum starts."""
    limit: float
    """The largest ``abs(max) * log2(e)`` of slices that need no shift: n is right to 2**-7."""
    inverse: float
    """1 / h."""
    high: float
    low: float
    """h is high + low."""
    scales: tuple[float, ...]
    """2**(c + j / S) for the S steps of an octave, from 1 to 2: the scale of NaN is a number."""
    coefficients: tuple[float, ...]
    """c2, c3, ... of exp(r) = 1 + r + c2 r**2 + ...; found, like the scales, with the bound of
    their relative error, by tests/scripts/find_coefficients.py."""

    @property
    def steps(self) -> int:
        """S."""
        return len(self.scales)

    @property
    def overflow(self) -> float:
        """A number whose exponential is infinite; less by a little, and it is finite."""
        return math.log(2.0) * (2.0 * self.bias + 2.0**-9)


FORMATS = {
    # Relative error at most 2**-27.4, and 2**-31.2 of a scale.
    types.float32: Format(
        magic=1.5 * 2.0**23,
        bias=64.0,
        exponent=127.0 + 64.0,
        reach=189.0,
        sigma=2.0**66,
        limit=2.0**16,
        inverse=float.fromhex("0x1.715476p+2"),
        high=float.fromhex("0x1.62e430p-3"),
        low=float.fromhex("-0x1.05c610p-31"),
        scales=(
            float.fromhex("0x1.07692c0000000p+0"),
            float.fromhex("0x1.3940020000000p+0"),
            float.fromhex("0x1.7484e80000000p+0"),
            float.fromhex("0x1.bb00a00000000p+0"),
        ),
        coefficients=(
            float.fromhex("0x1.0000080000000p-1"),
            float.fromhex("0x1.5572b60000000p-3"),
            float.fromhex("0x1.5519860000000p-5"),
        ),
    ),
    # Relative error at most 2**-62.2, and 2**-67.7 of a scale.
    types.float64: Format(
        magic=1.5 * 2.0**52,
        bias=512.0,
        exponent=1023.0 + 512.0,
        reach=1150.0,
        sigma=2.0**514,
        limit=2.0**40,
        inverse=float.fromhex("0x1.71547652b82fep+1"),
        high=float.fromhex("0x1.62e42fefa39efp-2"),
        low=float.fromhex("0x1.abc9e3b39803fp-57"),
        scales=(
            float.fromhex("0x1.0000001311800p+0"),
            float.fromhex("0x1.6a09e682eb389p+0"),
        ),
        coefficients=(
            float.fromhex("0x1.0000000000000p-1"),
            float.fromhex("0x1.5555555555503p-3"),
            float.fromhex("0x1.55555555556e8p-5"),
            float.fromhex("0x1.111111116895ap-7"),
            float.fromhex("0x1.6c16c16a6200ap-10"),
            float.fromhex("0x1.a019fa07fca1fp-13"),
            float.fromhex("0x1.a01a12eaf863cp-16"),
            float.fromhex("0x1.722285c7a5f1fp-19"),
            float.fromhex("0x1.27c02dd0e3585p-22"),
        ),
    ),
}


@formula
def constant(like: Value, name: str) -> Value:
    """The number `name` of the `Format` of the dtype of `like`."""
    return as_type(getattr(FORMATS[like.dtype], name), like.dtype, like.builder)


@formula
def steps_of(like: Value) -> int:
    """S for the dtype of `like`."""
    return FORMATS[like.dtype].steps


@formula
def numbers(like: Value) -> Numbers:
    """The numbers of `reduce_argument` and `term`, for the dtype of `like`."""
    chosen = FORMATS[like.dtype]
    constants = [chosen.inverse, chosen.high, chosen.low, *chosen.coefficients]
    return (
        opaque(roots_of(chosen.scales, like)),
        *(opaque(as_type(c, like.dtype, like.builder)) for c in constants),
    )


@formula
def heat_of(temperature: Value, like: Value) -> Heat:
    """The numbers for temperatures in float64, scalar or vector, in the dtype of `like`."""
    wide = FORMATS[types.float64]
    more = FORMATS[like.dtype].steps / wide.steps
    inverse = 1.0 / temperature
    per_step = inverse * (wide.inverse * more)
    step = temperature * (wide.high / more)
    if like.dtype == types.float64:
        low = fma(temperature, wide.high, -step) + temperature * wide.low
        inverse_low = -fma(inverse, temperature, -1.0) * inverse
        return per_step, step, low, inverse, inverse_low
    high, cool = narrow(step, like), narrow(inverse, like)
    return (
        narrow(per_step, like),
        high,
        narrow(step - double(high), like),
        cool,
        narrow(inverse - double(cool), like),
    )


def _steps(numbers: Numbers, heat: Heat) -> tuple[Value, Value, Value]:
    """What takes x to n, and n back to x in two parts."""
    return (numbers[1], numbers[2], numbers[3]) if heat is None else heat[:3]


@formula
def is_large(top: Value, numbers: Numbers, heat: Heat = None) -> Value:
    """Where slices with the maxima `top` must be shifted by them first (NaN counts)."""
    limit = constant(top, "limit") * steps_of(top)
    if heat is not None:
        # A rounded quotient 1 / (T h) is twice as far off as the constant.
        whole, half = splat(limit, heat[3]), splat(limit * 0.5, heat[3])
        limit = choose(equal(heat[3], 1.0), whole, half)
    return beyond(top * _steps(numbers, heat)[0], limit)


@formula
def exponent_of(top: Value, numbers: Numbers, heat: Heat = None) -> Value:
    """k for slices (or blocks of slices) with the maxima `top`, a vector.

    k is even, so that ties round alike in every frame and the same element in two frames
    has terms that differ by an exact power of two.  Maxima below the limit count as the
    limit: beside others in their slice they vanish either way.
    """
    octaves = top * (_steps(numbers, heat)[0] * (1 / steps_of(top)))
    return 2.0 * rint(maximum(octaves, -constant(top, "limit")) * 0.5)


@formula
def window(k: Value, numbers: Numbers, heat: Heat = None) -> Window:
    """``(origin, floor)`` for k: magic + S (exponent - k), and the least element to heed.

    Elements below `floor` are raised to it: their results are below every subnormal one.
    """
    steps = steps_of(k)
    octave = _steps(numbers, heat)[1] * steps
    origin = constant(k, "magic") + (constant(k, "exponent") - k) * steps
    return origin, (k - constant(k, "reach")) * octave


@formula
def reduce_argument(x: Value, numbers: Numbers, window: Window, heat: Heat = None) -> Argument:
    """``(r, scale)`` with exp(x / T) * 2**(B + c - k) = exp(r) * scale; NaN stays in r."""
    per_step, high, low = _steps(numbers, heat)
    origin, floor = window
    x = maximum(floor, x)
    t = fma(x, per_step, origin)
    n = origin - t
    r = fma(n, low, fma(n, high, x))
    if heat is not None:
        r = fma(r, heat[3], r * heat[4])
    return r, power_of_root(t, numbers[0], steps_of(x))


@formula
def term(argument: Argument, numbers: Numbers) -> Term:
    """exp(r) * scale in parts."""
    r, scale = argument
    square = r * r
    return fma(square, _polynomial(numbers[4:], r, square), r), scale


def _polynomial(coefficients: Sequence[Value], r: Value, square: Value) -> Value:
    """c0 + c1 r + c2 r**2 + ..., as a polynomial in r**2 of pairs.

    No more operations than one after the other, and half of them do not wait for others.
    """
    pairs = zip(coefficients[1::2], coefficients[::2], strict=False)
    *others, found = [fma(odd, r, even) for odd, even in pairs] + [
        *coefficients[len(coefficients) // 2 * 2 :]
    ]
    for pair in reversed(others):
        found = fma(found, square, pair)
    return found


@formula
def rounded(term: Term) -> Value:
    """A term as one number."""
    rest, scale = term
    return fma(rest, scale, scale)


@formula
def lost(term: Term, kept: Value) -> Value:
    """What a term is more than `kept`, a number near it."""
    rest, scale = term
    return fma(rest, scale, scale - kept)


@formula
def inverse_offset(like: Value) -> float:
    """2**-c in the dtype of `like`: what makes exponentials of terms."""
    return 1.0 / FORMATS[like.dtype].scales[0]


@formula
def power_below_one(exponent: Value) -> Value:
    """2**exponent for an integer `exponent` of at most 0, in float64; 0 below -1074."""
    exponent = maximum(exponent, -1100.0)
    half = rint(exponent * 0.5)
    magic = FORMATS[types.float64].magic + 1023.0
    return power_of_two(half + magic) * power_of_two((exponent - half) + magic)
