"""The shortest way for small calls that were made before.

What a call of small arrays comes to depends on their shapes, strides and dtypes alone: too
small for threads, it is one kernel with one table.  Once made, its way is kept here: allocate
the result, enter the kernel.  Most of the time that is left is NumPy's for the allocation
and Numba's for taking the arrays apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastsoftmax._arguments import MISSING

Way = Callable[..., Any]
"""``way(input, out=None, where=None)``; that of `logsumexp` takes the input alone."""

ways: dict[Any, Way] = {}
"""By `key_of`; calls of softmax with nothing else by (shape, strides, dtype, dim), or by
`key_with_out`."""
_MOST_WAYS = 512

_Array = np.ndarray
_PLAIN_INTS = {int, type(None)}


def key_of(
    name: str,
    input: Any,
    dim: Any,
    dtype: Any,
    axis: Any,
    out: Any,
    where: Any,
    temperature: Any,
    workers: Any,
) -> Any:
    """All that the way of a call depends on; None for calls that go the long way.

    Two calls with the same key are both right or both wrong, and ways are kept of right ones.
    """
    if (
        input.__class__ is not _Array
        or dim.__class__ is not int
        or dtype is not None
        or axis is not MISSING
        or temperature.__class__ is not float
        or workers.__class__ not in _PLAIN_INTS
    ):
        return None
    target = mask = None
    if out is not None:
        if out.__class__ is not _Array or not _is_free(out, input):
            return None
        target = out.shape, out.strides, out.dtype
    if where is not None:
        if where.__class__ is not _Array or where.shape != input.shape:
            return None
        if out is not None and np.may_share_memory(out, where):
            return None
        mask = where.strides, where.dtype
    given = target, mask, temperature, workers
    return name, input.shape, input.strides, input.dtype, dim, given


def key_with_out(key: Any, input: Any, out: Any) -> Any:
    """The short key of a call that has an `out` besides; None where that is no usual one."""
    if out.__class__ is not _Array:
        return None
    flags = out.flags
    # What owns its memory shares it with its views alone.  NumPy's own test takes 170 ns.
    is_usual = flags.writeable and flags.owndata and input.base is None
    if not (is_usual or _is_free(out, input)):
        return None
    return key, out.shape, out.strides, out.dtype


def _is_free(out: Any, input: Any) -> bool:
    """Whether results can go to `out` as they are made: it is the input or apart from it."""
    return out.flags.writeable and (out is input or not np.may_share_memory(out, input))


def remember(key: Any, way: Way) -> None:
    """Keep the way of a call."""
    if len(ways) >= _MOST_WAYS:
        ways.clear()
    ways[key] = way
