"""Masks: elements that take no part replaced, in buffers, tiles and results."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.elements import computed_like, fetch, put
from fastsoftmax.kernels.memory import advance, is_set
from fastsoftmax.kernels.operations import MASKED
from fastsoftmax.kernels.strides import (
    MASK,
    is_packed,
    last_step,
    locate,
    run_from,
    run_places,
    strides_of,
)
from fastsoftmax.kernels.sums import LANES_BYTES, SINGLE, lane_count, lanes
from fastsoftmax.kernels.vectors import choose, splat

MASKS_BYTES = (SINGLE + 1) * LANES_BYTES // 4
"""A mask for each slice of a group of short ones, and what is read beyond them."""


@device
def hide(buffer: Any, mask: Any, start: Any, count: Any, dims: Any, fill: Any) -> None:
    """Replace the elements of `buffer`, `start`, ... of a slice, that its mask leaves out."""
    done = 0
    while done < count:
        offset, step, run = run_from(start + done, count - done, dims, MASK)
        hide_run(advance(buffer, done), advance(mask, offset), step, run, fill)
        done += run


@device
def hide_run(buffer: Any, shown: Any, step: Any, count: Any, fill: Any) -> None:
    """Replace the elements of `buffer`, of any dtype, where `shown`, with this stride, is 0."""
    whole, group = 0, lanes(computed_like(buffer))
    other, lane = splat(fill, group), lane_count(group)
    if step == 1:
        whole = count - count % lane
        for i in range(0, whole, lane):
            put(buffer, i, choose(is_set(shown, i, group), fetch(buffer, i, group), other))
    elif step == 0:
        if shown[0] != 0:
            return
        whole = count - count % lane
        for i in range(0, whole, lane):
            put(buffer, i, other)
    for i in range(whole, count):  # without a jump, which nobody could foresee
        put(buffer, i, choose(shown[i * step] != 0, fetch(buffer, i, fill), fill))


@device
def hide_rows(rows: Any, shown: Any, fill: Any, call: Any) -> None:
    """Replace the elements of slices in `rows` that their masks, from `shown` on, leave out.

    One mask for all stands there repeated.
    """
    present, length, axes, dims, _ = call
    step = last_step(axes, MASK)
    if step == 0 or is_packed(axes, dims, MASK, length):
        hide_run(rows, shown, 1, present * length, fill)
    else:
        for i in range(present):
            hide(advance(rows, i * length), advance(shown, i * step), 0, length, dims, fill)


@device
def run_with_masks(bases: Any, batch: Any, call: Any, masks: Any, like: Any) -> Any:
    """`run_places` of a run; one mask for all slices is repeated in `masks`, for a group."""
    length, axes, dims, options = call
    x, out, g, shown = run_places(bases, batch, 0, axes)
    if options & MASKED != 0 and last_step(axes, MASK) == 0:
        count, size, steps = dims[0], dims[1], strides_of(dims, MASK)
        for j in range(length):
            masks[j] = shown[locate(j, count, size, steps)]
        for j in range(length, length * min(lane_count(like), axes[1][axes[0] - 1])):
            masks[j] = masks[j - length]
        shown = masks
    return x, out, g, shown
