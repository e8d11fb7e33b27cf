r"""log(1 + z) for z >= 0 in float64, on vectors.

As in fdlibm [1]_: :math:`1 + z = 2^k (1 + m)` with m from :math:`\sqrt{1/2} - 1` to
:math:`\sqrt 2 - 1`, what 1 + z loses by rounding kept as c, and with s = m / (2 + m)

.. math:: \log(1 + z) = k \ln 2 + m - \frac{m^2}{2} + s \left(\frac{m^2}{2} + R(s^2)\right)
          + \frac{c}{1 + z}.

.. [1] fdlibm, s_log1p.c, Sun Microsystems 1993; the error is below 1 ULP.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from fastsoftmax.kernels.exponential import FORMATS
from fastsoftmax.kernels.values import Value, emit, formula
from fastsoftmax.kernels.vectors import bits_constant, bits_of, fma

# Found by tests/scripts/find_coefficients.py: the error of s R(s**2) is below 2**-61.8.
_COEFFICIENTS = (
    float.fromhex("0x1.55555555555d6p-1"),
    float.fromhex("0x1.999999996e551p-2"),
    float.fromhex("0x1.2492494ef58aep-2"),
    float.fromhex("0x1.c71c48c6fa4dap-3"),
    float.fromhex("0x1.7467f40392fffp-3"),
    float.fromhex("0x1.397967934df29p-3"),
    float.fromhex("0x1.307e38657b727p-3"),
)
# ln(2) in two parts, the first short enough that k times it is exact.
_LN2_HIGH = float.fromhex("0x1.62e42feep-1")
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD


@formula
def log1p(z: Value, rest: Any) -> Value:
    """log(1 + z + rest) for float64 z >= 0 and a `rest` far below z; NaN for NaN."""
    whole = 1.0 + z
    share = whole - 1.0
    lost = ((1.0 - (whole - share)) + (z - share)) + rest
    k, fraction = _split(whole)
    m = fraction - 1.0
    s = m / (2.0 + m)
    square = s * s
    *coefficients, tail = _COEFFICIENTS
    for g in reversed(coefficients):
        tail = fma(tail, square, g)
    half = 0.5 * m * m
    small = fma(s, fma(tail, square, half), fma(k, _LN2_LOW, lost / whole))
    return k * _LN2_HIGH - ((half - small) - m)


def _split(number: Value) -> tuple[Value, Value]:
    """k and the number over 2**k, which is between sqrt(1/2) and sqrt(2)."""
    kind = number.type
    bits = bits_of(kind)
    magic = FORMATS[number.dtype].magic

    def exponent(builder: ir.IRBuilder, code: Any) -> Any:
        above = builder.sub(builder.bitcast(code, bits), bits_constant(bits, _SQRT_HALF_BITS))
        return builder.ashr(above, bits_constant(bits, 52))

    def as_number(builder: ir.IRBuilder, code: Any) -> Any:
        # In the low bits of a number whose last place counts ones.
        base = builder.bitcast(ir.Constant(code.type, _all(code.type, magic)), bits)
        return builder.bitcast(builder.add(base, exponent(builder, code)), code.type)

    def fraction(builder: ir.IRBuilder, code: Any) -> Any:
        shifted = builder.shl(exponent(builder, code), bits_constant(bits, 52))
        return builder.bitcast(builder.sub(builder.bitcast(code, bits), shifted), code.type)

    return emit(kind, as_number, number) - magic, emit(kind, fraction, number)


def _all(kind: Any, value: float) -> Any:
    return [value] * kind.count if isinstance(kind, ir.VectorType) else value
