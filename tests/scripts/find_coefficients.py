"""Find the coefficients of the polynomials in the kernels.

    python tests/scripts/find_coefficients.py

`exponential.py`: the polynomial p(r) = 1 + r + c2 r**2 + ... + cd r**d stands for exp(r) on
[-reach, reach].  A linear program finds the corrections to Taylor's coefficients with the
smallest largest relative error (the minimax polynomial).  The coefficients are then rounded to
the dtype from c2 up, one at a time, and after each rounding the remaining ones are found anew,
so that they make up for it.  Printed are the coefficients and the largest relative error with
exactly these coefficients in exact arithmetic; a kernel's own rounding comes on top.

The scales 2**(c + j / S) of the S steps of an octave, all from 1 to 2: the first is a number of
the dtype, one for which the others are so nearly, and which its rounded inverse takes to 1.

`logarithm.py`: with s = m / (2 + m), log(1 + m) = 2 s + s R(s**2), and R(z) = g1 z + g2 z**2
+ ... is found likewise for all m from sqrt(1/2) - 1 to sqrt(2) - 1; the error is that of s R.

Needs mpmath and SciPy.
"""

from __future__ import annotations

import mpmath
import numpy as np
from scipy.optimize import linprog

mpmath.mp.dps = 60

STEPS = {np.float32: 4, np.float64: 2}
DEGREES = {np.float32: 4, np.float64: 10}
# x is reduced by the integer nearest to x / h, h = ln(2) / steps, whose rounding error is below
# 2**-7 for slices that are not shifted first (`Format.limit` in exponential.py).
REACHES = {dtype: mpmath.log(2) / steps * (0.5 + 2**-7) for dtype, steps in STEPS.items()}
# First scales to try: these multiples of the unit above 1.
TRIED = {np.float32: range(1, 1 << 20), np.float64: range(1 << 10, 20_000 << 10, 1 << 10)}
FITTED, CHECKED = 600, 20_000  # points
FRACTION = 80  # bits


def chebyshev(reach: mpmath.mpf, count: int) -> list[mpmath.mpf]:
    """Points on [-reach, reach], denser towards the ends."""
    return [reach * mpmath.cos(mpmath.pi * i / (count - 1)) for i in range(count)]


def relative_error(coefficients: list[mpmath.mpf], r: mpmath.mpf) -> mpmath.mpf:
    """p(r) / exp(r) - 1 for p = 1 + r + c2 r**2 + ..."""
    value = mpmath.mpf(0)
    for c in [mpmath.mpf(1), mpmath.mpf(1), *coefficients][::-1]:
        value = value * r + c
    return value / mpmath.exp(r) - 1


def minimax(fixed: list[mpmath.mpf], degree: int, reach: mpmath.mpf) -> list[mpmath.mpf]:
    """The best coefficients c2..cd that begin with `fixed`."""
    free = range(len(fixed) + 2, degree + 1)
    start = fixed + [1 / mpmath.factorial(k) for k in free]
    points = chebyshev(reach, FITTED)
    errors = [relative_error(start, r) for r in points]
    # The unknowns are the corrections at r = reach and the bound, all over `scale`, so that
    # the program's numbers are near 1 although the errors are near 2**-62.
    scale = max(abs(error) for error in errors) / 100
    powers = np.array([[float((r / reach) ** k / mpmath.exp(r)) for k in free] for r in points])
    values = smallest_bound(powers, [float(error / scale) for error in errors])
    corrections = [
        mpmath.mpf(value) * scale / reach**k for k, value in zip(free, values, strict=True)
    ]
    return fixed + [c + d for c, d in zip(start[len(fixed) :], corrections, strict=True)]


def smallest_bound(functions: np.ndarray, errors: list[float]) -> list[float]:
    """The weights of `functions` (columns) that make the largest ``abs(errors)`` smallest."""
    count, offset, bound = functions.shape[1], np.array(errors), np.ones((len(errors), 1))
    program = linprog(
        c=[0.0] * count + [1.0],
        A_ub=np.block([[functions, -bound], [-functions, -bound]]),
        b_ub=np.concatenate([-offset, offset]),
        bounds=(None, None),
    )
    return list(program.x[:-1])


def rounded(value: mpmath.mpf, dtype: type[np.floating]) -> mpmath.mpf:
    """`value` in `dtype`, to nearest."""
    with mpmath.workprec(np.finfo(dtype).nmant + 1):
        return +value


def find(dtype: type[np.floating]) -> tuple[list[mpmath.mpf], mpmath.mpf]:
    """The rounded coefficients for `dtype` and the bound of their relative error."""
    fixed: list[mpmath.mpf] = []
    degree, reach = DEGREES[dtype], REACHES[dtype]
    for index in range(degree - 1):
        fixed.append(rounded(minimax(fixed, degree, reach)[index], dtype))
    return fixed, max(abs(relative_error(fixed, r)) for r in chebyshev(reach, CHECKED))


def find_scales(dtype: type[np.floating]) -> tuple[list[mpmath.mpf], mpmath.mpf]:
    """The scales of an octave for `dtype` and the bound of their relative error."""
    bits, steps = np.finfo(dtype).nmant, STEPS[dtype]
    roots = [mpmath.mpf(2) ** (mpmath.mpf(j) / steps) for j in range(steps)]
    unit = 1 << FRACTION  # the search is in integers
    places = [int(root * unit) for root in roots]

    def distance(first: int) -> int:
        """How far from a number of the dtype a scale is at the most."""
        return max(abs((first * place + unit // 2) % unit - unit // 2) for place in places)

    def has_inverse(first: int) -> bool:
        scale = dtype(first * 2.0**-bits)
        return bool(dtype(1) / scale * scale == 1)

    first = min(filter(has_inverse, (2**bits + tried for tried in TRIED[dtype])), key=distance)
    exact = [first * mpmath.mpf(2) ** -bits * root for root in roots]
    scales = [rounded(scale, dtype) for scale in exact]
    return scales, max(abs(a / b - 1) for a, b in zip(scales, exact, strict=True))


S_REACH = (mpmath.sqrt(2) - 1) / (mpmath.sqrt(2) + 1)
LOG_TERMS = 7


def log_rest(z: mpmath.mpf) -> mpmath.mpf:
    """R(z) for z = s**2."""
    s = mpmath.sqrt(z)
    return (mpmath.log((1 + s) / (1 - s)) - 2 * s) / s


def find_logarithm() -> tuple[list[mpmath.mpf], mpmath.mpf]:
    """g1, g2, ... in float64, and the largest error of s R."""
    fixed: list[mpmath.mpf] = []
    points = [S_REACH**2 * (1 + mpmath.cos(mpmath.pi * i / FITTED)) / 2 for i in range(FITTED)]
    points = [z for z in points if z > 0]
    for _ in range(LOG_TERMS):
        free = range(len(fixed) + 1, LOG_TERMS + 1)
        start = fixed + [mpmath.mpf(2) / (2 * k + 1) for k in free]
        errors = [
            mpmath.sqrt(z) * (sum(g * z ** (k + 1) for k, g in enumerate(start)) - log_rest(z))
            for z in points
        ]
        scale = max(abs(error) for error in errors) / 100
        reach = S_REACH**2
        powers = np.array(
            [[float(mpmath.sqrt(z) * (z / reach) ** k) for k in free] for z in points]
        )
        corrections = smallest_bound(powers, [float(error / scale) for error in errors])
        best = [
            g + mpmath.mpf(d) * scale / reach**k
            for k, g, d in zip(free, start[len(fixed) :], corrections, strict=True)
        ]
        fixed.append(rounded(best[0], np.float64))
    checked = [S_REACH * mpmath.mpf(i) / CHECKED for i in range(1, CHECKED)]
    bound = max(
        abs(s * (sum(g * s ** (2 * k + 2) for k, g in enumerate(fixed)) - log_rest(s**2)))
        for s in checked
    )
    return fixed, bound


def main() -> None:
    coefficients, bound = find_logarithm()
    print(f"logarithm: error at most 2**{mpmath.nstr(mpmath.log(bound, 2), 5)}")
    for g in coefficients:
        print(f'    float.fromhex("{float(g).hex()}"),')
    for dtype in DEGREES:
        coefficients, bound = find(dtype)
        size = mpmath.nstr(mpmath.log(bound, 2), 5)
        print(f"{dtype.__name__}: relative error at most 2**{size}")
        for c in coefficients:
            print(f'    float.fromhex("{float(c).hex()}"),')
        scales, bound = find_scales(dtype)
        print(f"scales: relative error at most 2**{mpmath.nstr(mpmath.log(bound, 2), 5)}")
        for scale in scales:
            print(f'    float.fromhex("{float(scale).hex()}"),')


if __name__ == "__main__":
    main()
