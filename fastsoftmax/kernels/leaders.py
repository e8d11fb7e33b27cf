"""The largest elements of each slice, and where they are."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device, kernel_of
from fastsoftmax.kernels.along import stage
from fastsoftmax.kernels.elements import computed_like
from fastsoftmax.kernels.groups import ROW_BYTES
from fastsoftmax.kernels.memory import load_like, pointer, workspace
from fastsoftmax.kernels.operands import OPERANDS, bases_of
from fastsoftmax.kernels.operations import LOGS
from fastsoftmax.kernels.strides import SUMMARY, described, slice_at
from fastsoftmax.kernels.sums import block_length, lane_count, lanes
from fastsoftmax.kernels.vectors import any_of, is_above, splat


@device
def _insert(values: Any, places: Any, count: Any, kept: Any, x: Any, place: Any) -> None:
    """Put `x` behind all that are not smaller, of `kept` values; the last of `count` goes."""
    here = min(kept, count - 1)
    while here > 0 and values[here - 1] < x:
        values[here], places[here] = values[here - 1], places[here - 1]
        here -= 1
    values[here], places[here] = x, place


@device
def _among(x: Any, first: Any, length: Any, offset: Any, values: Any, places: Any, k: Any) -> None:
    """Insert what is above the smallest of the k largest so far."""
    step = lane_count(x)
    j = first
    while j < length:
        whole = length - j >= step
        if whole and not any_of(
            is_above(load_like(x, j, lanes(x)), splat(values[k - 1], lanes(x)))
        ):
            j += step
            continue
        for i in range(j, min(j + step, length)):
            if x[i] > values[k - 1]:
                _insert(values, places, k, k, x[i], offset + i)
        j += step


def leaders(
    source, target, second, mask, temperature, summary_, places, geometry, scratch, first, last
):
    """Write the k largest of the slices `first` to `last` - 1 and their places, in order.

    Of equal ones the first comes first; NaN counts as -inf.  k is in the field for tiles'
    width, the values go to `summary_`, each slice's side by side, the places likewise.
    """
    bases = bases_of(source, target, second, mask, temperature, summary_)
    like = computed_like(bases[0])
    length, _, k, options, _, batch, dims = described(geometry)
    call = batch, dims, options
    size, buffer = block_length(like), workspace(like, ROW_BYTES)
    for slice_ in range(first, last):
        values = slice_at(bases[SUMMARY], slice_, batch, SUMMARY)
        home = slice_at(pointer(places), slice_, batch, SUMMARY)
        kept = 0
        for begin in range(0, length, size):
            count = min(size, length - begin)
            x = stage(LOGS, bases, slice_, begin, count, 0.0, call, buffer)
            j = 0
            while kept < k and j < count:
                value = x[j] if x[j] == x[j] else NEGATIVE_INFINITY
                _insert(values, home, k, kept, value, begin + j)
                kept += 1
                j += 1
            _among(x, j, count, begin, values, home, k)


NEGATIVE_INFINITY = float("-inf")

leaders_kernel = kernel_of(leaders, "leaders", (*OPERANDS, "places"))
