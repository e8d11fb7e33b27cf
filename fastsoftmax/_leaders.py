"""The call of `top_k`: the largest logits, then their probabilities."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax import _calls, _compute, _plain, _summaries
from fastsoftmax._dtypes import FLOAT64, kernel_dtype
from fastsoftmax._quiet import quiet
from fastsoftmax._shortcuts import remember
from fastsoftmax.kernels import operations as ops

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
    exact = _compute.with_exact_differences(call)
    if exact is not call:  # other calls have other differences
        call, key = exact, None
    values, places = _summaries.leaders(call, count)
    finish = _finisher(call, count, along)
    if key is not None:
        remember(key, _summaries.leaders_shortcut(call, count, finish))
    found = _summaries.summary(call).reshape(-1, len(values))
    empty = None
    if call.where is not None:
        empty = ~np.broadcast_to(call.where, call.shape).any(axis=along).reshape(-1)
    return finish(found, values, places, empty)


def _finisher(call: Call, count: int, along: int) -> Callable[..., tuple[Array, Array]]:
    """What makes probabilities and indices of the summary and the leaders of such calls."""
    outer, dtype = (*call.outer, count), call.dtype
    # exp() multiplies the rounding errors of its argument, so that is in higher precision.
    wide = np.dtype(np.longdouble if dtype == FLOAT64 else np.float64)
    temperature = call.temperature
    if temperature is not None and temperature.size > 1:
        spread = np.broadcast_to(temperature, call.shape)
        temperature = np.take(spread, 0, along).reshape(-1, 1)
    has_infinite = temperature is not None and bool(np.isinf(temperature).any())

    def finish(
        found: Array, values: Array, places: Array, empty: Array | None = None
    ) -> tuple[Array, Array]:
        result, total = quiet(_probabilities, found, values, temperature, wide, dtype)
        if has_infinite or total - total != 0.0:  # a maximum is infinite, or there is a NaN
            result[values == -np.inf] = 0  # also where it is the maximum
            bad = ~np.isfinite(found[0])
            if empty is not None:
                bad &= ~empty
            result[bad] = np.nan
            places[bad] = np.arange(count)
        if len(outer) != 2:
            result, places = result.reshape(outer), places.reshape(outer)
        if along == len(outer) - 1:
            return result, places
        return np.moveaxis(result, -1, along), np.moveaxis(places, -1, along)

    return finish


def _probabilities(
    found: Array,
    values: Array,
    temperature: Array | None,
    wide: np.dtype[Any],
    dtype: np.dtype[Any],
) -> tuple[Array, float]:
    """exp((x - max) / T) / sum, the sum being 1 and the last part of the summary.

    And the sum of all log-sum-exps, which is finite as a rule if they are.
    """
    log_sums, top, _, rest = found
    if wide != FLOAT64:
        values, rest = values.astype(wide), rest.astype(wide)
    result: Array = values - top[:, np.newaxis]
    if temperature is not None:
        result /= temperature
    np.exp(result, result)
    result /= (rest + 1.0)[:, np.newaxis]
    return result.astype(dtype), float(np.add.reduce(log_sums))


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
