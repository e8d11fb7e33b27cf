"""Softmax in extended precision, and how far a result is from it.

The sums and exponentials are those of `numpy.longdouble`: 80 bits on x86, 64 significant.
Where longdouble is no wider than float64, float64 results cannot be judged and are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from benchmarks.workloads import Array

FORMATS = {
    "float16": (11, -14),
    "bfloat16": (8, -126),
    "float32": (24, -126),
    "float64": (53, -1022),
}
"""Significant bits and the exponent of the smallest normal number."""
CHECKED = 1 << 18
"""Elements that a check looks at; slices are taken from the whole array."""
_CHUNK = 1 << 20
# What is called wrong is off by more than a tenth, 100 ULP and the smallest normal number.
_WRONG_SHARE = 0.1
_WRONG_ULP = 100


def is_extended() -> bool:
    """Whether longdouble is wider than float64 here."""
    return bool(np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant)


def softmax(rows: Array) -> Array:
    """Softmax of the last dim of a matrix, in longdouble."""
    count, length = rows.shape
    result = np.empty((count, length), np.longdouble)
    step = max(1, _CHUNK // length)
    for first in range(0, count, step):
        some, target = rows[first : first + step], result[first : first + step]
        top = some.max(axis=1, keepdims=True).astype(np.longdouble)
        for start in range(0, length, _CHUNK):
            part = slice(start, start + _CHUNK)
            np.exp(some[:, part].astype(np.longdouble) - top, out=target[:, part])
        target /= target.sum(axis=1, keepdims=True)
    return result


class Sample(NamedTuple):
    """Some slices of a result, by number, and what they should be."""

    slices: Array
    elements: Array
    expected: Array

    def of(self, result: Array, dim: int) -> Array:
        """The same elements of a result."""
        return in_rows(result, dim, self.slices)[:, self.elements]

    def save(self, path: str) -> None:
        """Write it to an .npz file."""
        np.savez(path, **self._asdict())

    @classmethod
    def load(cls, path: str) -> Sample:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as content:
            return cls(*(content[name] for name in cls._fields))


def in_rows(array: Array, dim: int, slices: Array) -> Array:
    """The numbered slices along `dim` as the rows of a matrix."""
    moved = np.moveaxis(array, dim, -1)
    return moved[np.unravel_index(slices, moved.shape[:-1])] if moved.ndim > 1 else moved[None]


def sample(array: Array, dim: int, most: int = CHECKED) -> Sample:
    """What some slices of the softmax of `array` should be, some `most` elements in all."""
    length = array.shape[dim]
    count = array.size // length
    slices = _spread_out(count, max(1, most // length))
    elements = _spread_out(length, most)
    expected = softmax(in_rows(array, dim, slices))[:, elements]
    return Sample(slices, elements, expected)


def _spread_out(count: int, most: int) -> Array:
    """At most `most` numbers below `count`, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def ulp(expected: Array, dtype: str) -> Array:
    """The distance of neighbouring numbers of the dtype at `expected`."""
    bits, least = FORMATS[dtype]
    exponent = np.frexp(expected)[1] - 1
    unit: Array = np.ldexp(np.longdouble(1), np.maximum(exponent, least) - (bits - 1))
    return unit


class Errors(NamedTuple):
    """How far a result is from the reference."""

    max_ulp: float
    """Largest error of a normal result, in ULP; NaN where there is none."""
    mean_ulp: float
    subnormal_steps: float
    """Largest error of a subnormal result, in steps of such numbers; NaN where there is none."""
    wrong: bool
    """Whether it is another function altogether, or no numbers."""


def errors(result: Array, expected: Array, dtype: str) -> Errors:
    """Judge a result against what it should be."""
    exact = result.astype(np.longdouble)
    unit = ulp(expected, dtype)
    off = np.abs(exact - expected)
    tiny = np.ldexp(np.longdouble(1), FORMATS[dtype][1])
    wrong = not bool(np.all(off <= _WRONG_SHARE * expected + _WRONG_ULP * unit + tiny))
    normal = expected >= tiny
    in_ulp = off / unit
    return Errors(
        _largest(in_ulp[normal]),
        float(in_ulp[normal].mean()) if normal.any() else float("nan"),
        _largest(in_ulp[~normal]),
        wrong,
    )


def _largest(values: Array) -> float:
    return float(values.max()) if values.size else float("nan")


def sum_error(rows: Array) -> float:
    """The largest distance from 1 of the sums of the rows of a matrix, summed exactly enough."""
    count, length = rows.shape
    worst: Any = np.longdouble(0)
    step = max(1, _CHUNK // length)
    for first in range(0, count, step):
        some = rows[first : first + step]
        total = np.zeros(len(some), np.longdouble)
        for start in range(0, length, _CHUNK):
            total += some[:, start : start + _CHUNK].astype(np.longdouble).sum(axis=1)
        worst = max(worst, np.abs(total - 1).max())
    return float(worst)
