"""Elements to another array, whose memory runs along another axis or in other steps.

Where slices lie along memory in the input and across it in the result, or the other way round,
each access to one of them is a cache line of its own.  A copy of the input to where the results
go, of squares that are transposed in registers, reads and writes whole pieces of lines, and from
there on both are alike.

Neighbours that are steps apart in the input alone are copied row by row.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from fastsoftmax._jit import device, kernel_of
from fastsoftmax.kernels.elements import fetch
from fastsoftmax.kernels.memory import (
    LINE_BYTES,
    advance,
    line_count,
    pointer,
    prefetch,
    prefetch_to_write,
    store,
)
from fastsoftmax.kernels.shuffles import transpose
from fastsoftmax.kernels.strides import SOURCE, TARGET, axes_in, copy_in, slice_at, strides_of
from fastsoftmax.kernels.values import Value, Vec, as_type, formula
from fastsoftmax.kernels.vectors import native

if TYPE_CHECKING:
    import numpy as np

SIDES = 16, 8, 4
"""Elements of a square's side."""
BLOCK = 128
"""Elements of a block's side, about; a block is a task.

Its lines are in the second-level cache together, and its pages in the first-level TLB.
"""
_ROW = 4096
"""Elements of a row, about, that are a task."""


def sides_for(dtype: np.dtype[Any]) -> list[int]:
    """Those that make sense for elements of a dtype, the longest first: a line at the most."""
    return [side for side in SIDES if side * dtype.itemsize <= LINE_BYTES]


def blocks_in(size: int) -> int:
    """The number of blocks along an axis of so many elements."""
    return max(1, size // BLOCK)


def pieces_in(size: int) -> int:
    """The number of pieces of a row of so many elements."""
    return max(1, size // _ROW)


_blocks, _pieces = device(blocks_in), device(pieces_in)


@device
def _begin(block: Any, blocks: Any, size: Any, side: Any) -> Any:
    """The first element of a block: whole squares from the first of all, or the end of all."""
    return block * size // blocks // side * side if block < blocks else size


@formula
def _copy_square(x: Value, out: Value, apart: Any, out_apart: Any, side: int) -> None:
    """Copy a square, cast if need be, whose rows in the input are its columns in the result.

    Rows of whole lines, each with a line of its own, are asked for a square ahead.
    """
    if side == line_count(x):
        for i in range(side):
            prefetch(advance(x, i * apart), side)
            prefetch_to_write(advance(out, (side + i) * out_apart), 0)
    count = min(side, native(out.dtype).count)
    like = as_type(0.0, Vec(out.dtype, count), x.builder)
    for column in range(0, side, count):
        for row in range(0, side, count):
            rows = tuple(fetch(advance(x, (row + i) * apart), column, like) for i in range(count))
            for i, each in enumerate(transpose(rows)):
                store(advance(out, (column + i) * out_apart), row, each)


def _transpose_by(side: int) -> Any:
    def transposed(source, target, geometry, _scratch, first, last):
        """Copy the blocks `first` to `last` - 1.

        The slices of the geometry are planes: their first axis has the stride 1 in `source`, their
        second in `target`, and both have a square's side at the least.
        """
        x_base, out_base = pointer(source), pointer(target)
        batch, plane = axes_in(geometry)
        height, width = plane[1][0], plane[1][1]
        apart, out_apart = strides_of(plane, SOURCE)[1], strides_of(plane, TARGET)[0]
        down, across = _blocks(height), _blocks(width)
        for task in range(first, last):
            which = task // (down * across)
            i, j = task // across % down, task % across
            x = slice_at(x_base, which, batch, SOURCE)
            out = slice_at(out_base, which, batch, TARGET)
            end, right = _begin(i + 1, down, height, side), _begin(j + 1, across, width, side)
            for row in range(_begin(i, down, height, side), end, side):
                # The last squares are moved back to the edge: they copy some elements again.
                above = min(row, end - side)
                for column in range(_begin(j, across, width, side), right, side):
                    left = min(column, right - side)
                    begin = advance(x, above + left * apart)
                    place = advance(out, above * out_apart + left)
                    _copy_square(begin, place, apart, out_apart, side)

    return kernel_of(transposed, f"transposed-by-{side}", ("source", "target"))


transpose_by = functools.cache(_transpose_by)
"""The kernel that copies by squares of this side."""


def rows_copied(source, target, geometry, _scratch, first, last):
    """Copy the pieces `first` to `last` - 1 of rows, which are the slices of the geometry.

    Their elements are neighbours in `target`.
    """
    x_base, out_base = pointer(source), pointer(target)
    batch, row = axes_in(geometry)
    size, step = row[1][0], strides_of(row, SOURCE)[0]
    pieces = _pieces(size)
    for task in range(first, last):
        which, piece = task // pieces, task % pieces
        begin, end = piece * size // pieces, (piece + 1) * size // pieces
        x = advance(slice_at(x_base, which, batch, SOURCE), begin * step)
        out = advance(slice_at(out_base, which, batch, TARGET), begin)
        copy_in(out, x, step, end - begin)


copy_rows = kernel_of(rows_copied, "rows-copied", ("source", "target"))
