"""The call of `top_k`: the largest logits, and what softmax makes of them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax import _calls, _compute, _summaries
from fastsoftmax._dtypes import kernel_dtype
from fastsoftmax._quiet import quiet
from fastsoftmax._shortcuts import remember

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._compute import Call

Array = np.ndarray[Any, Any]


def top_k(
    key: Any,
    input: Any,
    k: Any,
    dim: Any,
    dtype: Any,
    axis: Any,
    where: Any,
    temperature: Any,
    workers: Any,
) -> tuple[Array, Array]:
    """The k largest probabilities of each slice and their indices; the way is kept by `key`."""
    call, _ = _calls.forward("softmax", input, dim, dtype, axis, None, where, temperature, workers)
    if len(call.dims) != 1:
        raise TypeError(f"dim={dim!r} with an input of {len(call.shape)} dims; it must be one int")
    if call.dtype.kind == "c":
        raise TypeError(f"input has the dtype {call.dtype}; complex numbers have no order")
    count = _count_of(k, call.length)
    (along,) = call.dims
    if 0 in call.shape:
        shape = tuple(count if i == along else size for i, size in enumerate(call.shape))
        return np.empty(shape, call.dtype), np.empty(shape, np.int64)
    if kernel_dtype(call.dtype) is None or call.length == 1:
        return _sorted(call, count, along)
    finish = _finisher(len(call.shape), along)
    if key is not None:
        remember(key, _summaries.leaders_shortcut(call, count, finish))
    result, places = _summaries.leaders(call, count)
    if call.where is not None:
        _let_masked_come_last(call.where, call.shape, along, result, places)
    return finish(result, places)


def _let_masked_come_last(
    where: Array, shape: tuple[int, ...], along: int, result: Array, places: Array
) -> None:
    """Also in slices that are NaN or masked as a whole, whose elements have no order."""
    unordered = np.isnan(result[..., 0])
    if not unordered.any():
        return
    shown = np.moveaxis(np.broadcast_to(where, shape), along, -1)
    order = np.argsort(~shown[unordered], axis=-1, kind="stable")
    places[unordered] = order[:, : result.shape[-1]]
    result[~np.take_along_axis(shown, places, axis=-1)] = 0


def _finisher(ndim: int, along: int) -> Callable[[Array, Array], tuple[Array, Array]]:
    """What makes the results of such calls of those with the dim `along` as the last one."""
    if along == ndim - 1:
        return lambda result, places: (result, places)
    axes = [*range(ndim - 1)]
    axes.insert(along, ndim - 1)
    return lambda result, places: (result.transpose(axes), places.transpose(axes))


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
    """The same from all probabilities, of what kernels do not compute."""
    result = _compute.elementwise(call)
    keys = quiet(call.inputs[0].astype, call.dtype).real
    if call.temperature is not None:
        keys = np.where(np.isinf(call.temperature), 0, keys)  # all are alike
    # Those of slices that are NaN come as they are, masked ones last.
    keys = np.where(np.isnan(result).any(axis=along, keepdims=True), 0, keys)
    if call.where is not None:
        keys = np.where(call.where, keys, -np.inf)
    order = np.argsort(-keys, axis=along, kind="stable")
    indices = np.take(order, np.arange(count), axis=along)
    return np.take_along_axis(result, indices, axis=along), indices
