"""The call of `top_k`: the largest logits, then their probabilities."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax import _calls, _compute, _plain, _summaries
from fastsoftmax._dtypes import kernel_dtype
from fastsoftmax.kernels import operations as ops

if TYPE_CHECKING:
    from fastsoftmax._compute import Call

Array = np.ndarray[Any, Any]


def top_k(
    input: Any,
    k: Any,
    dim: Any,
    dtype: Any,
    axis: Any,
    where: Any,
    temperature: Any,
    workers: Any,
) -> tuple[Array, Array]:
    """The k largest probabilities of each slice and their indices."""
    call, _ = _calls.forward(
        "log_softmax", input, dim, dtype, axis, None, where, temperature, workers
    )
    if len(call.dims) != 1:
        raise TypeError(f"dim={dim!r} with an input of {len(call.shape)} dims; it must be one int")
    if call.dtype.kind == "c":
        raise TypeError(f"input has the dtype {call.dtype}; complex numbers have no order")
    count = _count_of(k, call.length)
    (along,) = call.dims
    if 0 in call.shape:
        shape = tuple(count if i == along else size for i, size in enumerate(call.shape))
        return np.empty(shape, call.dtype), np.empty(shape, np.int64)
    if kernel_dtype(call.dtype) is None:
        return _sorted(call, count, along)
    call = _compute.with_exact_differences(call)
    values, indices = _summaries.leaders(call, count)
    found = _summaries.summary(call)
    with np.errstate(all="ignore"):
        # exp() multiplies the rounding errors of its argument, so that is in higher precision.
        distance = values.astype(np.longdouble) - found[1]
        if call.temperature is not None:
            distance = distance / call.temperature
        whole = found[3].astype(np.longdouble) + 1
        result = (np.exp(distance) / whole).astype(call.dtype)
    # A slice with an infinite maximum or with NaN; and elements that are hidden.
    result[values == -np.inf] = 0
    bad = np.broadcast_to(~np.isfinite(found[0]), values.shape)
    if call.where is not None:
        empty = ~np.broadcast_to(call.where, call.shape).any(axis=along, keepdims=True)
        bad = bad & ~empty
    result[bad] = np.nan
    order = np.arange(count).reshape([-1 if i == along else 1 for i in range(len(call.shape))])
    return result, np.where(bad, order, indices)


def _count_of(given: Any, length: int) -> int:
    try:
        if isinstance(given, bool | np.bool_):
            raise TypeError
        count = operator.index(given)
    except TypeError:
        raise TypeError(f"k={given!r} is a {type(given).__name__}; it must be an int") from None
    if not 1 <= count <= length:
        raise ValueError(f"k={count}; it must be from 1 to {length}, the length of a slice")
    return count


def _sorted(call: Call, count: int, along: int) -> tuple[Array, Array]:
    """The same of longdouble and complex, by their real parts, from all probabilities."""
    result = _plain.elementwise(call._replace(operation=ops.SOFTMAX))
    keys = call.inputs[0].astype(call.dtype).real
    if call.where is not None:
        keys = np.where(call.where, keys, -np.inf)
    order = np.argsort(-keys, axis=along, kind="stable")
    indices = np.take(order, np.arange(count), axis=along)
    return np.take_along_axis(result, indices, axis=along), indices
