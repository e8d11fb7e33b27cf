"""What is done to elements that are neighbours in memory, a group of lanes at a time."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.elements import fetch, fetch_part, is_computed
from fastsoftmax.kernels.memory import (
    line_count,
    load_like,
    prefetch,
    prefetch_soon,
    prefetch_to_write,
    store,
)
from fastsoftmax.kernels.operations import NEGATIVE_INFINITY, shifted
from fastsoftmax.kernels.shuffles import keep_first, largest, largest_apart, unexplained
from fastsoftmax.kernels.sums import BLOCK_BYTES, LANES_BYTES, lanes
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import count_of, maximum, splat, vector_count
from fastsoftmax.kernels.workspaces import workspace

# How far ahead lines are asked for when memory is streamed, in bytes.  Left alone, the
# processor's own prefetching keeps the few places for missing lines of the first-level cache
# waiting for memory, and every other miss waits with them: (4096, 4096) float32 took 0.47 ns
# an element without and takes 0.17 with it (Zen 5; anything from 4 to 16 KiB will do).
AHEAD_BYTES = 8192
# The same of results that are written through the caches: (4096, 1024) float32 took 0.33 ns an
# element on one thread without and takes 0.28 with it (where a core has 2 MiB of its own).
RESULTS_AHEAD_BYTES = 4096
SOON_LINES = 48
"""How many lines ahead pieces of rows are asked for, which are too short for the processor's own
prefetching to be of use."""
# The last group of a block is read whole.
ROW_BYTES = BLOCK_BYTES + LANES_BYTES
"""What a block takes."""


@formula
def workspace_for(x: Value, like: Value, size: int) -> Value:
    """Memory for elements like those at `x`, as many as take `size` bytes where computed."""
    return workspace(x, size * x.dtype.bitwidth // like.dtype.bitwidth)


@formula
def ask_for(x: Value, j: Value, like: Value) -> None:
    """Ask for the cache lines of the elements from `j` on, as many as `like` has."""
    for i in range(0, like.count, line_count(x)):
        prefetch(x, j + i)


@formula
def ask_soon(x: Value, j: Value, like: Value) -> None:
    """The same for elements that are read next, see `SOON_LINES`."""
    for i in range(0, like.count, line_count(x)):
        prefetch_soon(x, j + i)


@formula
def ask_to_write(out: Value, j: Value, like: Value) -> None:
    """The same for elements that are to be written."""
    for i in range(0, like.count, line_count(out)):
        prefetch_to_write(out, j + i)


@formula
def elements_ahead(x: Value) -> int:
    """The elements at `x` that take `AHEAD_BYTES`."""
    return int(AHEAD_BYTES * 8 // x.dtype.bitwidth)


@formula
def fetch_group(x: Value, j: Value, like: Value) -> None:
    """Ask for the elements, as many as `like` has, that come some time after those at `j`."""
    ask_for(x, j + elements_ahead(x), like)


@device
def fetch_groups(x: Any, first: Any, length: Any, like: Any) -> None:
    """The same for those of the elements `first` to `length` - 1, computed like `like`."""
    group = lanes(like)
    for j in range(first, length, count_of(group)):
        fetch_group(x, j, group)


@device
def raised(top: Any, x: Any, first: Any, length: Any) -> Any:
    """The lanes `top`, raised to the elements `first` to `length` - 1 at `x`."""
    count = count_of(top)
    while first + count <= length:
        top = maximum(fetch(x, first, top), top)
        first += count
    if first < length:
        left = length - first
        elements = fetch_part(x, first, top, None, left, NEGATIVE_INFINITY)
        if not is_computed(x, top):
            elements = keep_first(elements, left, NEGATIVE_INFINITY)
        top = maximum(elements, top)
    return top


@formula
def gathered(elements: Value) -> Value:
    """The largest of the elements that are a register apart."""
    return largest_apart(elements, vector_count(elements))


@formula
def raise_at(tops: Value, index: Any, elements: Value) -> None:
    """Raise the maxima from `index` on to `elements`."""
    store(tops, index, unexplained(maximum(elements, load_like(tops, index, elements))))


@device
def largest_of(x: Any, length: Any, like: Any) -> Any:
    """The largest of `length` elements at `x`, NaN aside, in the dtype of `like`."""
    return largest(raised(splat(NEGATIVE_INFINITY, lanes(like)), x, 0, length))


@device
def shift(operation: Any, x: Any, length: Any, by: Any, buffer: Any) -> None:
    """Write the elements at `x`, less `by`, to `buffer`."""
    for j in range(length):
        buffer[j] = shifted(operation, fetch(x, j, by), by)
