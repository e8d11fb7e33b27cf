"""The ways (`_ways`) of calls that were made before, by what these looked like.

And before them, what is asked first: calls that are recorded in machine code (`_recall`).  That is
put in place when Numba is there; nothing here imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastsoftmax._arguments import MISSING, same_memory

# Names of functions in keys; others are those of the public functions.
SOFTMAX_AND_LSE = "softmax and lse"
LSE, LSE_KEEPING_DIMS = "logsumexp", "logsumexp, keeping dims"

Way = Callable[..., Any]
"""``way(input, out=None, where=None, second=None, temperature=None)``: the result, or None for a
call that has to go the long way after all.  The second input is that of a gradient; temperatures
that are one number are known to the way."""

ways: dict[Any, Way] = {}
"""By `key_of`."""
_MOST_WAYS = 512

OFTEN = 64
"""Of so many calls by a way, that of one is recorded."""
_until_recorded = OFTEN


def _recall_nothing(*_: Any) -> None:
    return None


recall: Callable[..., Any] = _recall_nothing
"""``recall(records, name, input, dim, dtype, axis, out, where, temperature, workers, second)``:
the result of a call that is recorded, or its way, else None (see `_recall`)."""
records: Any = None
record: Callable[[Any, tuple[Any, ...], Any, Way], None] | None = None
"""``record(key, arguments, second, way)``: make `recall` know a call, if that is worth it."""

_Array = np.ndarray
_NUMBERS = {int, float}
_INTS = {int, *(np.dtype(code).type for code in "bBhHiIlLqQ")}  # equal ones are equal in a key
_NUMPY_NUMBERS = {np.dtype(code).type for code in "bBhHiIlLqQefdg"}
_MADE_ARRAYS = {list, np.memmap, *_NUMBERS, *_NUMPY_NUMBERS}
"""Inputs that are made arrays of and have ways as those do."""
_PLAIN_INTS = {*_INTS, type(None)}
_PLAIN_DIMS = {*_PLAIN_INTS, tuple}


def key_of(
    name: Any,
    input: Any,
    dim: Any,
    dtype: Any,
    axis: Any,
    out: Any,
    where: Any,
    temperature: Any,
    workers: Any,
    second: Any = None,
) -> Any:
    """All that the way of a call depends on; None for calls that go the long way.

    Two calls with the same key are both right or both wrong, and ways are kept of right ones.
    """
    if dim is MISSING:
        dim = axis
    elif axis is not MISSING:
        return None
    if (
        input.__class__ is not _Array
        or dim.__class__ not in _PLAIN_DIMS
        or (dim.__class__ is tuple and any(each.__class__ not in _INTS for each in dim))
        or not (dtype is None or _is_plain(dtype))
        or workers.__class__ not in _PLAIN_INTS
    ):
        return None
    degrees = temperature
    if temperature.__class__ not in _NUMBERS:
        degrees = _temperature_key(temperature, input.ndim)
        if degrees is None:
            return None
    target = mask = other = None
    if second is not None:
        if second.__class__ is not _Array:
            return None
        other = second.shape, second.strides, second.dtype
    if out is not None:
        if out.__class__ is not _Array or not _is_free(out, input):
            return None
        others = where, temperature if temperature.__class__ is _Array else None
        if not (second is None or _is_free(out, second)) or _touches(out, others):
            return None
        target = out.shape, out.strides, out.dtype
    if where is not None:
        if where.__class__ is not _Array:
            return None
        mask = where.shape, where.strides, where.dtype
    given = dtype, target, mask, other, degrees, workers
    return name, input.shape, input.strides, input.dtype, dim, given


def _is_plain(dtype: Any) -> bool:
    """Whether a dtype, or what stands for one, is the same for ever."""
    if isinstance(dtype, type):
        return dtype is float or issubclass(dtype, np.generic)
    return dtype.__class__ is str or isinstance(dtype, np.dtype)


def _temperature_key(temperature: Any, ndim: int) -> Any:
    """The number that a temperature is, or how an array of several lies; None for others."""
    kind = temperature.__class__
    if kind is _Array:
        if temperature.size > 1:
            return temperature.shape, temperature.strides, temperature.dtype
        if temperature.size == 0 or temperature.ndim > ndim:
            return None
        kind, temperature = temperature.dtype.type, temperature.flat[0]
    return float(temperature) if kind in _NUMPY_NUMBERS else None


def _is_free(out: Any, input: Any) -> bool:
    """Whether results can go to `out` as they are made: it is the input or apart from it."""
    if not out.flags.writeable:
        return False
    if out is input or not np.may_share_memory(out, input):
        return True
    return out.shape == input.shape and out.dtype == input.dtype and same_memory(out, input)


def _touches(out: Any, others: tuple[Any, ...]) -> bool:
    """Whether `out` may share memory with one of the others."""
    return any(each is not None and np.may_share_memory(out, each) for each in others)


def remember(key: Any, way: Way | None) -> None:
    """Keep the way of a call, if there is one."""
    if way is None:
        return
    if len(ways) >= _MOST_WAYS:
        ways.clear()
    ways[key] = way


def known(name: str, arguments: tuple[Any, ...], second: Any = None) -> tuple[Any, Any]:
    """``(key, result)`` of a call, by the way of one with the same key; None if there was none."""
    input, dim, dtype, axis, out, where, temperature, workers = arguments
    if input.__class__ in _MADE_ARRAYS:
        try:
            input = np.asarray(input)
        except ValueError:  # refused by name on the long way
            return None, None
    key = key_of(name, input, dim, dtype, axis, out, where, temperature, workers, second)
    way = ways.get(key)
    if way is None:
        return key, None
    global _until_recorded  # noqa: PLW0603
    _until_recorded -= 1
    if _until_recorded <= 0:
        _until_recorded = OFTEN
        if record is not None:
            record(key, arguments, second, way)
    return key, way(input, out, where, second, temperature)
