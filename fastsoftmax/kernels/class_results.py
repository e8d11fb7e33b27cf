"""Slices of kernels/classes.py that are staged: fewer than a strip has, and lines in pieces."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.memory import (
    advance,
    clear,
    elements_before_line,
    line_count,
    load_kind,
    store,
    store_first,
    store_part,
    stream,
)
from fastsoftmax.kernels.values import Value, Vec, formula
from fastsoftmax.kernels.vectors import native, vector_count


@device
def copy_up_to(x: Any, out: Any, count: Any, room: Any) -> Any:
    """Copy `count` elements; zeros fill the `room` after them.  Returns `out`."""
    clear(advance(out, count), room - count)
    for i in range(count):
        out[i] = x[i]
    return out


@device
def repeated(x: Any, step: Any, count: Any, out: Any, room: Any) -> Any:
    """Copy `count` elements, `step` apart, again and again until `room` is full; returns `out`."""
    for i in range(count):
        out[i] = x[i * step]
    for i in range(count, room):
        out[i] = out[i - count]
    return out


@device
def masks_at(masks: Any, i: Any, present: Any, strip: Any, classes: Any, room: Any) -> Any:
    """Where the masks of a strip are, from byte `i` on; in `room`, with zeros, if some are not."""
    shown = advance(masks, i)
    if present < strip:
        return copy_up_to(shown, room, present * classes, strip * classes)
    return shown


@formula
def _register_at(staged: Value, j: Value) -> Value:
    return load_kind(staged, j, native(staged.dtype))


@device
def deliver_first(staged: Any, out: Any, count: Any) -> None:
    """Write the first `count` results that are staged."""
    step = vector_count(out)
    whole = count - count % step
    for j in range(0, whole, step):
        store(out, j, _register_at(staged, j))
    if whole < count:
        store_first(out, whole, _register_at(staged, whole), count - whole)


# --- Results past the caches, whose lines begin anywhere ----------------------------------


@formula
def line_at(staged: Value, j: Value) -> Value:
    """The results from element `j` on that fill a line."""
    return load_kind(staged, j, Vec(staged.dtype, line_count(staged)))


@device
def stream_lines(staged: Any, out: Any, began: Any, count: Any) -> Any:
    """Write the whole lines among `count` results past the caches; returns how many results.

    `out` is where a line begins.  The first `began` results are not there.  What is left,
    less than a line, is held on for the next group to fill.
    """
    step = line_count(out)
    whole = count - count % step
    if began > 0 and whole > 0:
        store_part(out, 0, line_at(staged, 0), began, step)
    for j in range(step if began > 0 else 0, whole, step):
        stream(out, j, line_at(staged, j))
    if whole > 0:
        store(staged, 0, line_at(staged, whole))
    return whole


@device
def slices_before_grid(out: Any, classes: Any, strip: Any) -> Any:
    """How many slices before the first one strips begin, so that they fill lines of `out`.

    0 if there is no such number.  The first strip has so many slices less.
    """
    for present in range(1, strip):
        if present * classes % line_count(out) == elements_before_line(out):
            return strip - present
    return 0


@device
def span_of_strip(number: Any, strip: Any, before: Any, slices: Any) -> Any:
    """``(begin, count)`` of the slices of a strip."""
    begin = max(0, number * strip - before)
    return begin, min(slices, (number + 1) * strip - before) - begin
