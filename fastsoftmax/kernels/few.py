"""Slices of a few elements to columns and back: several of them in each vector.

A vector of W elements is cut into pieces of P = 2, 4 or 8, each for one slice of at most P
elements; P vectors hold W slices, and log2(P) rounds of shuffles make columns of them.
Transposing W vectors of one slice each, as for longer slices, would be W log2(W) shuffles
for columns most of which are empty: (1000000, 2) float32 took 2.7 ns an element so.

Slices that fill their pieces and lie side by side are loaded as whole vectors: lanes are in
another order then, *shuffled*, which is as good where nobody looks at slices one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.memory import load, load_first, store
from fastsoftmax.kernels.operations import NEGATIVE_INFINITY, Operation
from fastsoftmax.kernels.shuffles import joined, shuffle, transpose
from fastsoftmax.kernels.steps import result
from fastsoftmax.kernels.sums import lane_count
from fastsoftmax.kernels.values import Value, Vec, as_type, formula
from fastsoftmax.kernels.vectors import maximum, splat, vector, vector_count

if TYPE_CHECKING:
    from collections.abc import Iterable


@device
def is_few(tile: Any, length: Any) -> Any:
    """Whether slices are short enough for this way."""
    return length * 2 <= vector_count(tile)


@device
def turn_few(tile: Any, rows: Any, stride: Any, length: Any, shuffled: Any) -> Any:
    """Write the slices at `rows`, as many as a vector holds, to the tile; their maxima."""
    if shuffled:
        if length == 2:
            return _whole(tile, rows, 2)
        if length == 4:
            return _whole(tile, rows, 4)
        return _whole(tile, rows, 8)
    if length <= 2:
        return _pieces(tile, rows, stride, length, 2)
    if length <= 4:
        return _pieces(tile, rows, stride, length, 4)
    return _pieces(tile, rows, stride, length, 8)


@device
def turn_few_back(
    operation: Any, rows: Any, length: Any, tiles: Any, notes: Any, shuffled: Any
) -> None:
    """Write the results of a tile, of as many slices as a vector holds, to rows."""
    if length <= 2:
        _two_back(operation, rows, length, tiles, notes, shuffled)
    elif length <= 4:
        _four_back(operation, rows, length, tiles, notes, shuffled)
    else:
        _eight_back(operation, rows, length, tiles, notes, shuffled)


def _back_by(size: int) -> Any:
    @device
    def back(operation, rows, length, tiles, notes, shuffled):
        """`turn_few_back` of slices of at most `size` elements."""
        vectors = _results(operation, tiles, notes, size)
        if shuffled:
            _store_whole(rows, vectors)
        else:
            _store_pieces(rows, length, vectors, size)

    return back


_two_back, _four_back, _eight_back = map(_back_by, (2, 4, 8))


def _fits(tile: Value, size: int) -> bool:
    return size < vector_count(tile)


def _columns(tile: Value, vectors: list[Value]) -> Value:
    """Write the columns of vectors of slices to the tile; returns the maxima."""
    columns = transpose(tuple(vectors))
    for i, column in enumerate(columns):
        store(tile, i * lane_count(tile), column)
    return raised_by(splat(NEGATIVE_INFINITY, vectors[0]), columns, len(columns))


def raised_by(top: Value, columns: Iterable[Value], count: int) -> Value:
    """`top`, raised to `count` columns: in four chains, as each `maximum` waits for the last."""
    lows = splat(NEGATIVE_INFINITY, top)
    chains = [top, *[lows] * (3 if count > 3 else count // 2)]
    for i, column in enumerate(columns):
        chains[i % len(chains)] = maximum(column, chains[i % len(chains)])
    while len(chains) > 1:  # none of them is NaN
        chains = [maximum(*pair) for pair in zip(chains[::2], chains[1::2], strict=True)]
    return chains[0]


@formula
def _whole(tile: Value, rows: Value, size: int) -> Value:
    """Slices of `size` elements, side by side; the lanes are shuffled."""
    if not _fits(tile, size):
        return vector(tile)
    return _columns(tile, [load(rows, i * vector_count(tile)) for i in range(size)])


@formula
def _pieces(tile: Value, rows: Value, stride: Value, length: Value, size: int) -> Value:
    """Slices of at most `size` elements."""
    if not _fits(tile, size):
        return vector(tile)
    like = as_type(0.0, Vec(tile.dtype, size), tile.builder)

    def piece(slice_: int) -> Value:
        return load_first(rows, stride * slice_, like, length, NEGATIVE_INFINITY)

    slices = range(0, vector_count(tile), size)
    return _columns(tile, [joined([piece(s + i) for s in slices]) for i in range(size)])


@formula
def _results(operation: Operation, tiles: Any, notes: Any, size: int) -> tuple[Value, ...]:
    """The results of `size` columns, as vectors of slices."""
    if not _fits(tiles[0], size):
        return (vector(tiles[0]),) * size
    strip = lane_count(tiles[0])
    coefficients = tuple(load(place, 0) for place in notes[:2])
    cool = tuple(load(place, 0) for place in notes[2:]) if len(notes) > 2 else None

    def found(i: int) -> Value:
        g = load(tiles[1], i * strip) if operation.inputs == 2 else None
        return result(operation, load(tiles[0], i * strip), g, coefficients, cool)

    return transpose(tuple(found(i) for i in range(size)))


@formula
def _store_whole(rows: Value, vectors: tuple[Value, ...]) -> None:
    for i, each in enumerate(vectors):
        store(rows, i * each.count, each)


@formula
def _store_pieces(rows: Value, length: Value, vectors: tuple[Value, ...], size: int) -> None:
    """Write slice after slice, so that what is written beyond a row's end is overwritten."""
    if not _fits(rows, size):
        return
    for s in range(0, vectors[0].count, size):
        for i, each in enumerate(vectors):
            store(rows, length * (s + i), shuffle(each, each, range(s, s + size)))
