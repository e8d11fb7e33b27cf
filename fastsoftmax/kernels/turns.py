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

A vector is made when the first that needs it is: as blends take vectors that are near each
other, those of a few columns are in registers at a time, where round after round of blends
would keep all C waiting in memory.  (1000, 37) float32 took 34 µs on one thread with AVX2 so,
and takes 28.7.

The slices of a vector end up in another order than in memory, the same for every column:
`vectors_of` turns columns back.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from fastsoftmax.kernels.shuffles import shuffle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastsoftmax.kernels.values import Value

    Numbered = Callable[[int], Value]
    """Vectors that come into being as they are asked for by their numbers."""

_PIECE_BITS = 128
"""Within pieces of this size, exchanges are cheaper than across them."""

Values = list["Value"]


def columns_of(vectors: Numbered, count: int, width: int) -> Iterator[Value]:
    """The columns, one after the other, of `width` slices in `count` vectors."""
    unit, odd = _cut(count, width)
    vectors = functools.cache(vectors)
    sets = [_units(vectors, first, odd, width, unit) for first in range(0, count, odd)]
    for q in range(odd):
        yield from _apart([units(q) for units in sets])


def vectors_of(columns: Numbered, count: int, width: int) -> Iterator[tuple[int, Value]]:
    """The slices, side by side, whose columns these are: what undoes `columns_of`.

    With the number of each vector, as they come in another order.
    """
    unit, odd = _cut(count, width)

    @functools.cache
    def together(q: int) -> Values:
        return _together([columns(q * unit + i) for i in range(unit)])

    sets = [_memory(together, i, odd, width, unit) for i in range(unit)]
    a = _inverse(width // unit, odd)
    for i in range(odd):
        for first, found in enumerate(sets):
            yield first * odd + i * a % odd, found(i)


def _cut(count: int, width: int) -> tuple[int, int]:
    """``(u, m)`` for so many vectors."""
    unit = math.gcd(count, width)
    return unit, count // unit


def _inverse(places: int, odd: int) -> int:
    """What makes 1 of `places` if multiplied, modulo `odd`."""
    return pow(places, -1, odd) if odd > 1 else 0


# --- Units ----------------------------------------------------------------------------


def _units(vectors: Numbered, first: int, odd: int, width: int, unit: int) -> Numbered:
    """For each q the units q of all slices in the vectors from `first` on, one to a place."""
    # Place p of what comes out as number q is in vector v with v * places = q - p, modulo m.
    a = _inverse(width // unit, odd)
    aligned = _aligned(lambda i: vectors(first + i * a % odd), odd, width, unit, -1)
    return lambda q: _rotated(aligned(q), q * unit)


def _memory(
    together: Callable[[int], Values], set_: int, odd: int, width: int, unit: int
) -> Numbered:
    """What undoes `_units`; vector v as number ``v * places`` modulo m."""
    return _aligned(lambda q: _rotated(together(q)[set_], -q * unit), odd, width, unit, 1)


def _aligned(vectors: Numbered, count: int, width: int, unit: int, sign: int) -> Numbered:
    """For the place p, vector i becomes vector ``i + sign p`` modulo their number."""
    distances = [i // unit % count for i in range(width)]
    vectors, distance = functools.cache(vectors), 1
    while distance <= max(distances):
        moved = [i + width if d & distance else i for i, d in enumerate(distances)]
        vectors = _blended(vectors, count, sign * distance, moved)
        distance *= 2
    return vectors


def _blended(vectors: Numbered, count: int, step: int, moved: list[int]) -> Numbered:
    """Vector i with some elements of vector ``i + step`` modulo their number."""
    return functools.cache(lambda i: shuffle(vectors(i), vectors((i + step) % count), moved))


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
