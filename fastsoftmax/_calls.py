"""Each public function's call: its arguments checked, computed, in the form it is asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ma  # which NumPy leaves for its first use, in the middle of a call

from fastsoftmax import _arguments, _compute, _plain, _second_calls, _summaries
from fastsoftmax._compute import Call
from fastsoftmax._dtypes import kernel_dtype
from fastsoftmax._quiet import quiet
from fastsoftmax._shortcuts import LSE, LSE_KEEPING_DIMS, SOFTMAX_AND_LSE, remember
from fastsoftmax._ways import both, then_copied
from fastsoftmax.kernels import operations as ops

Array = np.ndarray[Any, Any]


FORWARD = {
    "softmax": (ops.SOFTMAX, False),
    "softmin": (ops.SOFTMAX, True),
    "log_softmax": (ops.LOGS, False),
    "logsumexp": (ops.LOGS, False),
}
"""The functions of logits: their operation, and whether the input counts negative."""
GRADIENTS = {"softmax_backward": ops.BACKWARD, "log_softmax_backward": ops.LOG_BACKWARD}
_KEEPS_DIMS = {LSE: False, LSE_KEEPING_DIMS: True}


def called(key: Any, name: str, arguments: tuple[Any, ...], second: Any = None) -> Any:
    """The result of the function that has this name in `_shortcuts`; its way is kept by `key`."""
    if name in GRADIENTS:
        return _computed(key, *backward(name, arguments, second))
    if name == SOFTMAX_AND_LSE:
        return _softmax_and_lse(key, arguments)
    if name in _KEEPS_DIMS:
        return _logsumexp(key, arguments, keep=_KEEPS_DIMS[name])
    call, mask = forward(name, *arguments)
    return _computed(key, call, mask)


def _computed(key: Any, call: Call, mask: Array | None) -> Array:
    result = _compute.elementwise(call)
    if key is not None:
        remember(key, _second_calls.shortcut(call, result))
    return _masked(result, mask)


def _softmax_and_lse(key: Any, arguments: tuple[Any, ...]) -> tuple[Array, Array]:
    """Softmax and, of the logits as they are, log-sum-exp."""
    call, mask = forward("softmax", *arguments)
    # First of all, as `out` may be the input.
    raw = call._replace(operation=ops.LOGS, out=None, temperature=None)
    shape = call.outer
    lse = _log_sum_exp(raw).reshape(shape)
    result = _compute.elementwise(call)
    if key is not None:
        ways = _second_calls.shortcut(call, result), _summaries.summary_shortcut(raw, shape)
        remember(key, both(*ways))
    lse = lse if shape else lse[()]
    return _masked(result, mask), (
        lse if mask is None else _masked(lse, np.all(mask, axis=call.dims))
    )


def _logsumexp(key: Any, arguments: tuple[Any, ...], *, keep: bool) -> Array:
    """log(sum(exp(input)))."""
    input, dim, dtype, axis, out, where, temperature, workers = arguments
    call, mask = forward("logsumexp", input, dim, dtype, axis, None, where, temperature, workers)
    shape = call.kept if keep else call.outer
    if out is not None:
        _arguments.check_out(out, shape, call.dtype)
    result = _log_sum_exp(call).reshape(shape)
    if key is not None:
        way = _summaries.summary_shortcut(call, shape)
        remember(key, way if out is None else then_copied(way))
    hidden = None if mask is None else np.all(mask, axis=call.dims, keepdims=keep)
    if out is not None:
        quiet(np.copyto, out, result, casting="same_kind")
        return _masked(out, hidden)
    return _masked(result if shape or mask is not None else result[()], hidden)


def backward(name: str, arguments: tuple[Any, ...], grad_output: Any) -> tuple[Call, Array | None]:
    """The call of a gradient, and the mask of masked arrays; its dtype is that of its inputs."""
    output, dim, _, axis, out, where, temperature, workers = arguments
    grad = _arguments.array_of("grad_output", grad_output)
    array = _arguments.array_of("output", output)
    if grad.shape != array.shape:
        raise ValueError(
            f"grad_output has the shape {grad.shape} and output {array.shape}; they must be equal"
        )
    dims = _arguments.dims_of(dim, axis, array.ndim)
    try:
        dtype = np.result_type(*[_arguments.dtype_of(None, each) for each in (grad, array)])
    except TypeError:
        raise TypeError(
            f"grad_output has the dtype {grad.dtype} and output {array.dtype}, which have none in "
            "common; cast one of them"
        ) from None
    mask = _arguments.where_of(where, array.shape, "output")
    hidden = _hidden_by(grad_output, output)
    mask = _shown(mask, hidden)
    degrees = _arguments.temperature_of(temperature, array.shape, "output", dims, dtype)
    threads = _arguments.workers_of(workers)
    if out is not None:
        _arguments.check_out(out, array.shape, dtype)
    operation = GRADIENTS[name]
    return Call(operation, (array, grad), dims, dtype, out, mask, degrees, threads), hidden


def forward(
    name: str,
    input: Any,
    dim: Any,
    dtype: Any,
    axis: Any,
    out: Any,
    where: Any,
    temperature: Any,
    workers: Any,
) -> tuple[Call, Array | None]:
    """The call of a function of logits, and the mask of a masked array."""
    array = _arguments.array_of("input", input)
    dims = _arguments.dims_of(dim, axis, array.ndim)
    result = _arguments.dtype_of(dtype, array)
    mask = _arguments.where_of(where, array.shape, "input")
    hidden = _hidden_by(input)
    mask = _shown(mask, hidden)
    degrees = _arguments.temperature_of(temperature, array.shape, "input", dims, result)
    threads = _arguments.workers_of(workers)
    if out is not None:
        _arguments.check_out(out, array.shape, result)
    operation, negated = FORWARD[name]
    call = Call(operation, (array,), dims, result, out, mask, degrees, threads, negated)
    return call, hidden


def _hidden_by(*inputs: Any) -> Array | None:
    """Where masked arrays among the inputs hide an element; None if there are none."""
    masks = [ma.getmaskarray(each) for each in inputs if isinstance(each, ma.MaskedArray)]
    return np.logical_or.reduce(masks) if masks else None


def _shown(mask: Array | None, hidden: Array | None) -> Array | None:
    if hidden is None:
        return mask
    return ~hidden if mask is None else mask & ~hidden


def _masked(result: Array, hidden: Array | None) -> Array:
    """The result, masked as the inputs are; an `out` is as NumPy's functions leave one."""
    if isinstance(result, ma.MaskedArray):
        result.mask = False if hidden is None else hidden
        return result
    return result if hidden is None else ma.MaskedArray(result, mask=hidden.copy())


def _log_sum_exp(call: Call) -> Array:
    """Log-sum-exp in the dtype of the call, dims kept as 1."""
    if math.prod(call.shape) == 0:
        return np.full(call.kept, -np.inf, call.dtype)
    if kernel_dtype(call.dtype) is None:
        return _plain.logsumexp(call)
    with np.errstate(all="ignore"):
        result: Array = _summaries.summary(call)[0].astype(call.dtype)
    return result
