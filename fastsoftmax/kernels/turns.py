r"""Slices that lie side by side to columns and back, in registers.

C vectors of W elements hold W slices of C elements each.  Let C = m u with m odd, u a power of
two that divides W, and take u elements at a time as a *unit*, of which a slice has m and a
vector W / u.  Element q of slice s is unit ``s m + q`` of memory; that it falls into each place
of a vector once, whatever q is, is what m being odd is good for.  So the units q of all slices
are collected without moving any within its vector: `_aligned` picks, in log2(m) rounds of
blends, for the place p the vector ``q' - p a`` modulo m, with ``a (W / u) = 1`` modulo m.  A
rotation by q units then brings those of one slice to the same place, and u by u transpositions
take units apart.

(1000000, 10) float32 takes 3 blends, 0.8 rotations and one exchange for each vector so, where a
transposition of 16 rows, of which 6 columns are empty, takes 10 exchanges.

The slices of a vector end up in another order than in memory, the same for every column:
`vectors_of` turns columns back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastsoftmax.kernels.vectors import shuffle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastsoftmax.kernels.values import Value

_PIECE_BITS = 128
"""Within pieces of this size, exchanges are cheaper than across them."""

Values = list["Value"]


def columns_of(vectors: Sequence[Value]) -> Values:
    """The columns of as many slices as a vector has elements."""
    unit, odd = _cut(vectors)
    sets = [
        _turned(_aligned(vectors[i : i + odd], unit, -1), unit, 1)
        for i in range(0, len(vectors), odd)
    ]
    columns: Values = []
    for units in zip(*sets, strict=True):
        columns += _apart(list(units))
    return columns


def vectors_of(columns: Sequence[Value]) -> Values:
    """The slices, side by side, whose columns these are: what undoes `columns_of`."""
    unit, _ = _cut(columns)
    groups = [_together(list(columns[i : i + unit])) for i in range(0, len(columns), unit)]
    vectors: Values = []
    for units in zip(*groups, strict=True):
        vectors += _aligned(_turned(list(units), unit, -1), unit, 1)
    return vectors


def _cut(vectors: Sequence[Value]) -> tuple[int, int]:
    """``(u, m)`` for so many vectors."""
    unit = math.gcd(len(vectors), vectors[0].count)
    return unit, len(vectors) // unit


# --- Units ----------------------------------------------------------------------------


def _inverse(unit: int, vectors: Sequence[Value]) -> int:
    """``a``: the inverse of the units of a vector, modulo the number of vectors."""
    return pow(vectors[0].count // unit, -1, len(vectors)) if len(vectors) > 1 else 0


def _aligned(vectors: Sequence[Value], unit: int, sign: int) -> Values:
    """For the place p, vector i becomes vector ``i + sign p a`` modulo their number."""
    count, width = len(vectors), vectors[0].count
    a = _inverse(unit, vectors)
    distances = [i // unit * a % count for i in range(width)]
    result, distance = list(vectors), 1
    while distance <= max(distances):
        moved = [i + width if d & distance else i for i, d in enumerate(distances)]
        result = [
            shuffle(each, result[(i + sign * distance) % count], moved)
            for i, each in enumerate(result)
        ]
        distance *= 2
    return result


def _turned(vectors: Sequence[Value], unit: int, sign: int) -> Values:
    """In and out of the order of `_aligned`, with units q rotated by q places.

    `sign` is 1 to bring the units of one slice to the same place, -1 to undo it.
    """
    count, width = len(vectors), vectors[0].count
    a = _inverse(unit, vectors)
    result = list(vectors)
    for q in range(count):
        at = q * a % count
        source, target = (at, q) if sign > 0 else (q, at)
        by = sign * q * unit
        result[target] = _rotated(vectors[source], [(i + by) % width for i in range(width)])
    return result


def _rotated(vector: Value, indices: list[int]) -> Value:
    return vector if indices[0] == 0 else shuffle(vector, vector, indices)


# --- Elements of units ----------------------------------------------------------------


def _apart(vectors: Values) -> Values:
    """The elements of units: vector i holds element i of each unit of any vector."""
    distance = len(vectors) // 2
    while distance:
        low, high = _exchange(vectors[0], distance)
        vectors = _each_pair(vectors, distance, low, high)
        distance //= 2
    return vectors


def _together(vectors: Values) -> Values:
    """What undoes `_apart`."""
    distance, width = 1, vectors[0].count
    while distance < len(vectors):
        low, high = _exchange(vectors[0], distance)
        places = {source: place for place, source in enumerate((*low, *high))}
        first = [places[i] for i in range(width)]
        second = [places[i] for i in range(width, 2 * width)]
        vectors = _each_pair(vectors, distance, first, second)
        distance *= 2
    return vectors


def _each_pair(vectors: Values, distance: int, low: list[int], high: list[int]) -> Values:
    """Vectors whose numbers differ by `distance` as their elements `low` and `high`."""
    result = list(vectors)
    for i, a in enumerate(vectors):
        if not i & distance:
            b = vectors[i + distance]
            result[i], result[i + distance] = shuffle(a, b, low), shuffle(a, b, high)
    return result


def _exchange(like: Value, distance: int) -> tuple[list[int], list[int]]:
    """The even and the odd runs of `distance` elements of two vectors.

    Those of the first vector come before those of the second, piece by piece.
    """
    width = like.count
    piece = max(min(_PIECE_BITS // like.dtype.bitwidth, width), 2 * distance)
    if distance * like.dtype.bitwidth >= _PIECE_BITS:
        piece = width
    found: tuple[list[int], list[int]] = [], []
    for begin in range(0, width, piece):
        for odd in (0, 1):
            for vector in (0, width):
                found[odd].extend(
                    vector + i for i in range(begin, begin + piece) if i // distance % 2 == odd
                )
    return found
