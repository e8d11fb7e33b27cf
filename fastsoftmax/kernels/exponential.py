r"""The exponential of the whole library, scaled by a power of two.

With the integer :math:`n` nearest to :math:`x \log_2 e` and :math:`r = x - n \ln 2`,

.. math:: e^x \, 2^{B - k} = e^r \cdot 2^{n - k + B},

where :math:`k` is near :math:`\log_2 e \max x`.  The maximum is not subtracted from x, which
would round and cost up to ``abs(x - max)`` ULP; k shifts the result by a power of two, which
is exact.  The bias :math:`B` keeps every term that can reach the result, subnormal results
included, a normal number until the last multiplication.

``t = x log2(e) + magic - k`` finds n: adding 1.5 * 2**(mantissa bits) rounds to an integer
and leaves that integer in the low bits of t, ready to become an exponent.  ``x - n ln2_high``
is exact in one fused operation, as both are multiples of one unit and the difference is
below 2**mantissa bits of it.

A *term* is kept in three parts ``(whole, rest, scale)``, meaning ``whole + rest * scale``:
with the rounding error of ``1 + r`` carried over into `rest`, the parts are good to 0.15 ULP
where one number could be no better than 0.5.  `sums.add` sums the parts; slices are
normalised by a sum that is better than its terms.

With a temperature T, exp(x / T) has :math:`r = (x - n T \ln 2) / T`: the same steps with
`Heat`'s numbers, and one more to divide.  x / T itself is never rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from numba.core import types

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
    power_of_two,
    rint,
    splat,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Numbers = tuple[Value, ...]
"""log2(e), ln(2) as high and low part, 1, and the coefficients of the polynomial."""
Window = tuple[Value, Value]
"""The frame of a slice, as `reduce_argument` wants it."""
Heat = tuple[Value, Value, Value, Value, Value] | None
"""log2(e) / T, T ln(2) as high and low part, 1 / T as high and low part; None: T is 1."""
Argument = tuple[Value, ...]
"""``(r, scale)``: the exponential is exp(r) * scale; with a temperature what r lost, too."""
Term = tuple[Value, Value, Value]
"""``(whole, rest, scale)``, meaning ``whole + rest * scale``."""


class Format(NamedTuple):
    """The numbers that the arithmetic in one dtype is made of."""

    magic: float
    """1.5 * 2**(mantissa bits): adding it rounds to an integer."""
    bias: float
    """B: terms are held times 2**B, so that those of subnormal results are normal."""
    exponent: float
    """The exponent field of 2**B."""
    sigma: float
    """2**(B + 2), more than twice any term: where a lane's sum starts."""
    log2_e: float
    ln2_high: float
    ln2_low: float
    """ln(2) is high + low."""
    limit: float
    """The largest ``abs(max) * log2(e)`` of slices that need no shift: n is right to 2**-8."""
    coefficients: tuple[float, ...]
    """c2, c3, ... of exp(r) = 1 + r + c2 r**2 + ...; found, with the bound of their relative
    error, by tests/scripts/find_coefficients.py."""


FORMATS = {
    # Relative error at most 2**-28.1.
    types.float32: Format(
        magic=1.5 * 2.0**23,
        bias=64.0,
        exponent=127.0 + 64.0,
        sigma=2.0**66,
        log2_e=float.fromhex("0x1.715476p+0"),
        ln2_high=float.fromhex("0x1.62e430p-1"),
        ln2_low=float.fromhex("-0x1.05c610p-29"),
        limit=2.0**16,
        coefficients=(
            float.fromhex("0x1.fffffc0000000p-2"),
            float.fromhex("0x1.55548e0000000p-3"),
            float.fromhex("0x1.5558bc0000000p-5"),
            float.fromhex("0x1.123ce80000000p-7"),
            float.fromhex("0x1.6a471c0000000p-10"),
        ),
    ),
    # Relative error at most 2**-57.7.
    types.float64: Format(
        magic=1.5 * 2.0**52,
        bias=512.0,
        exponent=1023.0 + 512.0,
        sigma=2.0**514,
        log2_e=float.fromhex("0x1.71547652b82fep+0"),
        ln2_high=float.fromhex("0x1.62e42fefa39efp-1"),
        ln2_low=float.fromhex("0x1.abc9e3b39803fp-56"),
        limit=2.0**40,
        coefficients=(
            float.fromhex("0x1.000000000000ap-1"),
            float.fromhex("0x1.55555555554f3p-3"),
            float.fromhex("0x1.55555555504fep-5"),
            float.fromhex("0x1.1111111129261p-7"),
            float.fromhex("0x1.6c16c18510988p-10"),
            float.fromhex("0x1.a01a01249a537p-13"),
            float.fromhex("0x1.a01997578617bp-16"),
            float.fromhex("0x1.71df2d9c8fa64p-19"),
            float.fromhex("0x1.28b02391b74f9p-22"),
            float.fromhex("0x1.ad79c3cbd5e19p-26"),
        ),
    ),
}


@formula
def constant(like: Value, name: str) -> Value:
    """The number `name` of the `Format` of the dtype of `like`."""
    return as_type(getattr(FORMATS[like.dtype], name), like.dtype, like.builder)


@formula
def numbers(like: Value) -> Numbers:
    """The numbers of `reduce_argument` and `term`, for the dtype of `like`."""
    chosen = FORMATS[like.dtype]
    constants = [chosen.log2_e, chosen.ln2_high, chosen.ln2_low, 1.0, *chosen.coefficients]
    return tuple(opaque(as_type(c, like.dtype, like.builder)) for c in constants)


@formula
def heat_of(temperature: Value, like: Value) -> Heat:
    """The numbers for temperatures in float64, scalar or vector, in the dtype of `like`."""
    single, wide = FORMATS[like.dtype], FORMATS[types.float64]
    inverse = 1.0 / temperature
    ln2 = temperature * wide.ln2_high
    if like.dtype == types.float64:
        low = fma(temperature, wide.ln2_high, -ln2) + temperature * wide.ln2_low
        inverse_low = -fma(inverse, temperature, -1.0) * inverse
        return inverse * single.log2_e, ln2, low, inverse, inverse_low
    high, cool = narrow(ln2, like), narrow(inverse, like)
    return (
        narrow(inverse * wide.log2_e, like),
        high,
        narrow(ln2 - double(high), like),
        cool,
        narrow(inverse - double(cool), like),
    )


def _scales(numbers: Numbers, heat: Heat) -> tuple[Value, Value, Value]:
    """What takes x to n, and n back to x in two parts."""
    return (numbers[0], numbers[1], numbers[2]) if heat is None else heat[:3]


@formula
def is_large(top: Value, numbers: Numbers, heat: Heat = None) -> Value:
    """Where slices with the maxima `top` must be shifted by them first (NaN counts)."""
    limit = constant(top, "limit")
    if heat is not None:
        # A rounded quotient log2(e) / T is twice as far off as the constant.
        whole, half = splat(limit, heat[3]), splat(limit * 0.5, heat[3])
        limit = choose(equal(heat[3], 1.0), whole, half)
    return beyond(top * _scales(numbers, heat)[0], limit)


@formula
def exponent_of(top: Value, numbers: Numbers, heat: Heat = None) -> Value:
    """k for slices (or blocks of slices) with the maxima `top`, a vector.

    k is even, so that ties round alike in every frame and the same element in two frames
    has terms that differ by an exact power of two.  Maxima below the limit count as the
    limit: beside others in their slice they vanish either way.
    """
    size = maximum(top * _scales(numbers, heat)[0], -constant(top, "limit"))
    return 2.0 * rint(size * 0.5)


@formula
def window(k: Value, numbers: Numbers, heat: Heat = None) -> Window:
    """``(origin, floor)`` for k: ``magic + exponent - k``, and the least element to heed.

    Elements below `floor` are raised to it: their terms are the smallest normal numbers,
    their results below every subnormal one.
    """
    exponent = constant(k, "exponent")
    return constant(k, "magic") + exponent - k, (k - (exponent - 2.0)) * _scales(numbers, heat)[1]


@formula
def reduce_argument(x: Value, numbers: Numbers, window: Window, heat: Heat = None) -> Argument:
    """``(r, scale)`` with exp(x / T) * 2**(B - k) = exp(r) * scale; NaN stays in r."""
    log2_e, ln2_high, ln2_low = _scales(numbers, heat)
    origin, floor = window
    x = maximum(floor, x)
    t = fma(x, log2_e, origin)
    n = origin - t
    r = fma(n, ln2_low, fma(n, ln2_high, x))
    if heat is None:
        return r, power_of_two(t)
    divided = r * heat[3]
    return divided, power_of_two(t), fma(r, heat[3], -divided) + r * heat[4]


@formula
def term(argument: Argument, numbers: Numbers) -> Term:
    """exp(r) * scale in parts."""
    r, scale, *lost = argument
    _, _, _, one, *coefficients = numbers
    whole = r + one
    square = r * r
    rounding = r - (whole - one)
    if lost:
        rounding = rounding + lost[0]
    rest = fma(square, _polynomial(coefficients, r, square), rounding)
    return whole * scale, rest, scale


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
    return fma(term[1], term[2], term[0])


@formula
def power_below_one(exponent: Value) -> Value:
    """2**exponent for an integer `exponent` of at most 0, in float64; 0 below -1074."""
    exponent = maximum(exponent, -1100.0)
    half = rint(exponent * 0.5)
    magic = FORMATS[types.float64].magic + 1023.0
    return power_of_two(half + magic) * power_of_two((exponent - half) + magic)
