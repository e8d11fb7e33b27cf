"""Where the terms of rows are kept between their exponential and their division.

In scratch memory, for two *batches* of rows: one whose terms are written, and the one above,
whose terms are read.  A load waits for the stores before it that are a little further on in a
page, whichever page that is (`sweep.turn_of`), so the two are half a page apart, and neither
begins where arrays do: near the beginning of a page.
"""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.memory import (
    LINE_BYTES,
    PAGE_BYTES,
    advance,
    elements_before_page,
)
from fastsoftmax.kernels.sums import LANES_BYTES
from fastsoftmax.kernels.values import Value, formula

_PLACE_BYTES = PAGE_BYTES // 4
"""Where in a page the first batch begins."""


def pitch_of(length: Any, itemsize: Any) -> Any:
    """`pitch`, as it is known outside kernels, too."""
    lines = LINE_BYTES // itemsize
    return (length + LANES_BYTES // itemsize + 2 * lines - 1) // lines * lines


_pitch = device(pitch_of)


@device
def half_a_page_on(least: Any, like: Any) -> Any:
    """Elements, `least` or more, from a place to the next that is half a page from it in pages."""
    page = PAGE_BYTES // itemsize_of(like)
    return (least + page // 2 - 1) // page * page + page // 2


@device
def pitch(like: Any, length: Any) -> Any:
    """Elements from one row of terms to the next: whole lines, with one before and a group after.

    Vectors that begin within a line are two lines to write: (64, 50257) float32 took 0.29 ns an
    element on one thread where the second row was not at a line, and takes 0.24.
    """
    return _pitch(length, itemsize_of(like))


@device
def room(like: Any, length: Any, rows: Any) -> Any:
    """Elements from the terms of one batch to those of the other."""
    return half_a_page_on(rows * pitch(like, length), like)


@formula
def itemsize_of(like: Value) -> int:
    """The bytes of an element."""
    return int(like.dtype.bitwidth // 8)


@formula
def placed(scratch: Value) -> Value:
    """The address in scratch memory where the first batch begins."""
    inside = _PLACE_BYTES * 8 // scratch.dtype.bitwidth
    return advance(scratch, elements_before_page(scratch) + inside)


def terms_bytes(length: int, itemsize: int, rows: int) -> int:
    """The scratch memory that the terms of batches of so many rows take."""
    least = rows * pitch_of(length, itemsize) * itemsize
    return PAGE_BYTES + _PLACE_BYTES + 2 * (least + PAGE_BYTES)
