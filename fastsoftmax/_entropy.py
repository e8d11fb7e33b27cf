"""The call of `cross_entropy`."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ma

from fastsoftmax import _arguments, _calls, _casts, _compute, _plain, _summaries
from fastsoftmax._arguments import MISSING
from fastsoftmax._dtypes import FLOAT64, is_floating, kernel_dtype
from fastsoftmax._extremes import FEW
from fastsoftmax._quiet import quiet
from fastsoftmax._shortcuts import remember

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._compute import Call

Array = np.ndarray[Any, Any]

# Elements that are taken to float64 at once where every class counts.
_CHUNK = 1 << 17
_SURELY_FINITE = 60_000.0
"""What no dtype has to round to infinity."""


def cross_entropy(
    key: Any,
    input: Any,
    target: Any,
    dim: Any,
    weight: Any,
    ignore_index: Any,
    label_smoothing: Any,
    reduction: Any,
    workers: Any,
) -> Any:
    """See `fastsoftmax.cross_entropy`; the way of the call is kept by `key`."""
    call, _ = _calls.forward("log_softmax", input, dim, None, MISSING, None, None, 1.0, workers)
    if len(call.dims) != 1 or call.dtype.kind == "c":
        raise TypeError(
            f"input has the shape {call.shape} and dtype {call.inputs[0].dtype}, dim={dim!r}; "
            "logits must be real and dim one int"
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction={reduction!r}; it must be 'mean', 'sum' or 'none'")
    smoothing = _smoothing_of(label_smoothing)
    ignored = _ignored_of(ignore_index)
    exact = _casts.with_exact_differences(call)
    if exact is not call:  # other calls have other differences
        call, key = exact, None
    if call.where is not None:  # of a masked array: such classes have no probability
        hidden = np.where(call.where, call.inputs[0].astype(call.dtype), call.dtype.type(-np.inf))
        call = call._replace(inputs=(hidden,), where=None)
    (along,) = call.dims
    weights = _weights_of(weight, call.length)
    targets = _arguments.as_array("target", target)
    if isinstance(target, ma.MaskedArray) and targets.dtype.kind in "iu":
        targets = np.where(ma.getmaskarray(target), ignored, targets.astype(np.int64))
    if is_floating(targets.dtype) and (targets.size or targets.shape == call.shape):  # not []
        _arguments.refuse_masked("target", target)
        losses, number = _of_probabilities(call, along, targets, weights, smoothing)
        return _reduced(losses, number, reduction, call.dtype)
    classes, shown = _classes_of(targets, call, along, ignored)
    losses = _of_classes(call, along, classes, weights, smoothing)
    if not shown.all():
        losses = np.where(shown, losses, 0.0)
    if weights is None:
        count = float(np.count_nonzero(shown))
    else:
        count = float(np.where(shown, weights[classes], 0.0).sum())
    may_repeat = targets.flags.c_contiguous and not 0 <= ignored < call.length
    if key is not None and may_repeat and classes.size:
        finish = _finisher(reduction, ignored, classes.shape, call.dtype)
        remember(key, _summaries.losses_shortcut(call, classes, finish))
    return _reduced(losses, count, reduction, call.dtype)


def _finisher(
    reduction: str, ignored: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Callable[[Array, Array], Any]:
    """What makes the result of the losses of such calls, flat, and of their classes.

    Of calls with a class that there is not, or with a NaN, it makes None.
    """
    is_each, is_sum = reduction == "none", reduction == "sum"

    def finish(losses: Array, classes: Array) -> Any:
        total, count = _total(losses), float(losses.size)
        if math.isnan(total):
            hidden = classes.reshape(-1) == ignored
            losses[hidden] = 0.0
            total, count = _total(losses), count - np.count_nonzero(hidden)
            if math.isnan(total) or count == 0.0:
                return None
        if is_each:
            return quiet(losses.astype, dtype).reshape(shape)
        loss = total if is_sum else total / count
        return dtype.type(loss) if loss < _SURELY_FINITE else quiet(dtype.type, loss)

    return finish


def _smoothing_of(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float | np.number):
        raise TypeError(f"label_smoothing={given!r}; it must be a float from 0 to 1")
    if not 0.0 <= given <= 1.0:
        raise ValueError(f"label_smoothing={given!r}; it must be from 0 to 1")
    return float(given)


def _ignored_of(given: Any) -> int:
    try:
        if isinstance(given, bool | np.bool_):
            raise TypeError
        return operator.index(given)
    except TypeError:
        raise TypeError(f"ignore_index={given!r}; it must be an int") from None


def _reduced(losses: Array, count: float, reduction: str, dtype: np.dtype[Any]) -> Any:
    if reduction == "none":
        return quiet(losses.astype, dtype)
    return quiet(_mean, losses, 1.0 if reduction == "sum" else count, dtype)


def _mean(losses: Array, count: float, dtype: np.dtype[Any]) -> Any:
    return dtype.type(_total(losses) / np.float64(count))


def _total(losses: Array) -> Any:
    """The sum of losses.  Python is faster with a few than NumPy is with any, and exact."""
    if losses.size > FEW or losses.dtype != FLOAT64:
        return quiet(np.add.reduce, losses, None)
    try:
        return math.fsum(losses.ravel().tolist())
    except (OverflowError, ValueError):  # infinite ones among them, or too large a sum
        return quiet(np.add.reduce, losses, None)


def _weights_of(given: Any, classes: int) -> Array | None:
    if given is None:
        return None
    _arguments.refuse_masked("weight", given)
    weights = _arguments.array_of("weight", given)
    if weights.dtype.kind == "c":
        raise TypeError(f"weight has the dtype {weights.dtype}; it must be real")
    if weights.shape != (classes,):
        raise ValueError(
            f"weight has the shape {weights.shape}; it must have {(classes,)}, one for each class"
        )
    return quiet(weights.astype, np.float64)


def _classes_of(targets: Array, call: Call, along: int, ignored: int) -> tuple[Array, Array]:
    """The class of each slice, 0 for those that do not count, and which do."""
    if targets.dtype.kind not in "iu" and targets.size:
        raise TypeError(f"target has the dtype {targets.dtype}; it must be integer or floating")
    shape = call.outer
    if targets.shape != shape:
        raise ValueError(
            f"target has the shape {targets.shape}; it must have {shape}, that of input "
            f"{call.shape} without dim {along}"
        )
    shown = targets != ignored
    wrong = shown & ((targets < 0) | (targets >= call.length))
    if wrong.any():
        raise ValueError(
            f"target has the class {targets[wrong].flat[0]}; classes are 0 to {call.length - 1} "
            f"and ignore_index={ignored}"
        )
    return np.where(shown, targets, 0).astype(np.int64, order="C", copy=False), shown


def _of_classes(
    call: Call, along: int, classes: Array, weights: Array | None, smoothing: float
) -> Array:
    """The loss of each slice, in float64 (longdouble for longdouble)."""
    if classes.size == 0:
        return np.zeros(classes.shape)
    top, log, losses = _of_slices(call, along, classes)
    with np.errstate(all="ignore"):
        if weights is not None:
            losses = losses * weights[classes]
        if smoothing > 0.0:
            share = smoothing / call.length
            smooth = _of_all_classes(call, along, top, log, weights)
            losses = (1.0 - smoothing) * losses + share * smooth
    return losses


def _as_wide(array: Array, dtype: np.dtype[Any]) -> Array:
    wide = dtype if kernel_dtype(dtype) is None else np.float64
    return quiet(quiet(array.astype, dtype).astype, wide)


def _of_slices(call: Call, along: int, classes: Array) -> tuple[Array, Array, Array]:
    """Max and log(sum exp(x - max)) of each slice, dims kept as 1; the loss at its class.

    The last two are NaN where the max is infinite or there is a NaN.
    """
    with np.errstate(all="ignore"):
        if kernel_dtype(call.dtype) is not None:
            losses, top, log = _summaries.losses(call, classes)
            return top, np.where(np.isnan(losses), np.nan, log), np.squeeze(losses, along)
        array = call.inputs[0].astype(call.dtype)
        top = array.max(axis=along, keepdims=True)
        log = _plain.logsumexp(call._replace(inputs=(array - top,)))
        x = np.take_along_axis(array, np.expand_dims(classes, along), axis=along)
        return top, log, np.squeeze(log - (x - top), along)


def _of_all_classes(call: Call, along: int, top: Array, log: Array, weights: Array | None) -> Array:
    """sum(-w log softmax) of each slice, some slices at a time, along the longest other dim."""
    others = [i for i in range(len(call.shape)) if i != along]
    longest = max(others, key=lambda i: call.shape[i], default=along)
    order = *[i for i in others if i != longest], *{longest: None, along: None}
    array, top, log = (
        each.transpose(order)[(np.newaxis,) * (each.ndim == 1)]
        for each in (call.inputs[0], top, log)
    )
    scale = np.ones(call.length) if weights is None else weights
    result = np.empty(array.shape[:-1], log.dtype)
    step = max(1, _CHUNK // call.length)
    for place in np.ndindex(array.shape[:-2]):
        for first in range(0, array.shape[-2], step):
            part = (*place, slice(first, first + step))
            distance = _as_wide(array[part], call.dtype) - top[part]
            # NumPy's order of summation depends on how memory is laid out.
            losses = np.ascontiguousarray((log[part] - distance) * scale)
            result[part] = losses.sum(axis=-1)
    if not others:
        return result.reshape(())
    kept = np.array([i - (i > along) for i in order[:-1]])
    return np.asarray(result.transpose(np.argsort(kept)))


def _of_probabilities(
    call: Call, along: int, targets: Array, weights: Array | None, smoothing: float
) -> tuple[Array, float]:
    """The loss of each slice whose target is a probability for each class, and their number."""
    if targets.shape != call.shape:
        raise ValueError(
            f"target has the shape {targets.shape}; probabilities must have that of input, "
            f"{call.shape}"
        )
    logs = _as_wide(_compute.elementwise(call), call.dtype)
    wanted = _as_wide(targets, call.dtype)
    with np.errstate(all="ignore"):
        if smoothing > 0.0:
            wanted = wanted * (1.0 - smoothing) + smoothing / call.length
        if weights is not None:
            wanted = wanted * np.expand_dims(weights, tuple(range(1, len(call.shape) - along)))
        losses = -(wanted * logs).sum(axis=along)
    return losses, float(losses.size)
