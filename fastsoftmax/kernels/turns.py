r"""Slices that lie side by side to columns and back, in registers.

C vectors of W elements hold W slices of C elements each.  Let C = m u with m odd, u a power of
two that divides W, and take u elements at a time as a *unit*, of which a slice has m and a
vector W / u.  Element q of slice s is unit ``s m + q`` of memory; that it falls into each place
of a vector once, whatever q is, is what m being odd is good for.  So the units q of all slices
are collected without moving any within its vector: with the vectors in the right order, place p
of what is collected for q comes from vector ``q - p`` modulo m, which `_aligned` brings about
in log2(m) or log2(W / u) rounds of blends.  A rotation by q units then brings those of one
slice to the same place, and u by u transpositions take units apart.

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
    sets = [_units(vectors[i : i + odd], unit) for i in range(0, len(vectors), odd)]
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
        vectors += _memory(units, unit)
    return vectors


def _cut(vectors: Sequence[Value]) -> tuple[int, int]:
    """``(u, m)`` for so many vectors."""
    unit = math.gcd(len(vectors), vectors[0].count)
    return unit, len(vectors) // unit


# --- Units ----------------------------------------------------------------------------


def _units(vectors: Sequence[Value], unit: int) -> Values:
    """For each q the units q of all slices in these vectors, one slice to a place."""
    count, places = len(vectors), vectors[0].count // unit
    # Place p of what comes out as number q is in vector v with v * places = q - p, modulo m.
    a = pow(places, -1, count) if count > 1 else 0
    aligned = _aligned([vectors[i * a % count] for i in range(count)], unit, -1)
    return [_rotated(each, q * unit) for q, each in enumerate(aligned)]


def _memory(units: Sequence[Value], unit: int) -> Values:
    """What undoes `_units`."""
    count, places = len(units), units[0].count // unit
    aligned = _aligned([_rotated(each, -q * unit) for q, each in enumerate(units)], unit, 1)
    return [aligned[v * places % count] for v in range(count)]


def _aligned(vectors: Sequence[Value], unit: int, sign: int) -> Values:
    """For the place p, vector i becomes vector ``i + sign p`` modulo their number."""
    count, width = len(vectors), vectors[0].count
    distances = [i // unit % count for i in range(width)]
    result, distance = list(vectors), 1
    while distance <= max(distances):
        moved = [i + width if d & distance else i for i, d in enumerate(distances)]
        result = [
            shuffle(each, result[(i + sign * distance) % count], moved)
            for i, each in enumerate(result)
        ]
        distance *= 2
    return result


def _rotated(vector: Value, by: int) -> Value:
    """The elements from number `by` on, then those before."""
    width = vector.count
    indices = [(i + by) % width for i in range(width)]
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
