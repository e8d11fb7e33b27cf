"""What NumPy computes: longdouble and complex, and slices of one element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax._memory import laid_out_like
from fastsoftmax._quiet import quiet
from fastsoftmax.kernels import operations as ops

if TYPE_CHECKING:
    from fastsoftmax._compute import Call

Array = np.ndarray[Any, Any]


def singles(operation: ops.Operation, array: Array, result: Array, where: Array | None) -> Array:
    """Softmax of slices of one element, in `result`, or its logarithm.

    That is 1 or 0, NaN where the element is not finite.
    """
    hidden = None if where is None else ~where  # before results are written, perhaps over it
    number = result.dtype.type(operation is ops.SOFTMAX)
    if result.itemsize == 2:
        _finite_halves(number, array, result)
    else:
        quiet(np.subtract, array, array, result)
        if number != 0:
            np.add(result, number, result)
    if hidden is not None:
        np.copyto(result, result.dtype.type(operation.hidden_result), where=hidden)
    return result


def _finite_halves(number: np.generic, array: Array, result: Array) -> None:
    """Write a number where elements are finite, NaN elsewhere.

    By bits: NumPy casts each of these numbers to float32 and back, 100000 in 0.6 ms.
    """
    usual, nan, infinity = np.array([number, np.nan, np.inf], result.dtype).view(np.uint16)
    bits = result.view(np.uint16)
    np.bitwise_and(array.view(np.uint16), infinity, bits)  # the exponent
    np.equal(bits, infinity, bits, casting="unsafe")
    np.multiply(bits, nan - usual, bits)
    np.add(bits, usual, bits)


def elementwise(call: Call) -> Array:
    """The functions of the family on longdouble and complex: right, not fast."""
    work = _WORK.get(call.dtype, call.dtype)
    with np.errstate(all="ignore"):
        arrays = [array.astype(work) for array in call.inputs]
        degrees = call.temperature
        if degrees is not None:  # one number for a scalar as well
            degrees = degrees.astype(work.char.lower())[() if degrees.size > 1 else 0]
        shown = np.True_ if call.where is None else call.where
        if len(arrays) > 1:
            found = _backward(call.operation, arrays, call.dims or None, shown)
            if degrees is not None:
                found = _joined(tuple(part / degrees for part in _parts(found)))
        else:
            found = _forward(call, arrays[0], degrees, shown)
        result = laid_out_like(call.inputs[0], call.dtype)
        np.copyto(result, found, casting="unsafe")
        np.copyto(result, call.dtype.type(call.operation.hidden_result), where=~shown)
        return result


_WORK = {np.dtype(np.complex64): np.dtype(np.complex128)}
"""What is computed in another dtype, which holds quotients by any temperature."""


def _forward(call: Call, array: Array, degrees: Any, shown: Any) -> Array:
    axis = call.dims or None
    array = -array if call.negated else array
    top = np.where(shown, array.real, -np.inf).max(axis=axis, keepdims=True)
    tops = top, np.zeros_like(top)  # the maximum is that of the real parts
    parts = zip(_parts(array), tops, strict=False)
    pairs = [_quotients(part, most, degrees) for part, most in parts]
    below, lost = (_joined(parts) for parts in zip(*pairs, strict=True))
    terms = np.where(shown, _exponentials(array, below) * (1 + lost), 0)
    if call.operation is ops.SOFTMAX:
        return np.asarray(terms / terms.sum(axis=axis, keepdims=True))
    return np.asarray((below - _log_of_sum(array, top, terms, axis)) + lost)


def _parts(array: Array) -> tuple[Array, ...]:
    """Real numbers, or both parts of complex ones.

    Each by itself, as NumPy makes NaN of a complex infinity that is divided by a real number.
    """
    return (array.real, array.imag) if array.dtype.kind == "c" else (array,)


def _joined(parts: tuple[Array, ...]) -> Array:
    """What such `_parts` are of."""
    real, *imaginary = parts
    if not imaginary:
        return np.asarray(real)
    result = np.empty(np.shape(real), np.result_type(real, np.complex64))
    result.real, result.imag = real, imaginary[0]
    return result


def _quotients(array: Array, top: Array, degrees: Any) -> tuple[Array, Array]:
    """``(array - top) / degrees``, and what that lost by rounding."""
    below = array - top
    share = below - array
    lost = (array - (below - share)) - (top + share)
    if degrees is not None:
        far = np.isinf(below) & np.isfinite(array) & np.isfinite(top)
        whole, below = below, below / degrees
        high, low = _product(below, degrees)
        lost = (((whole - high) - low) + lost) / degrees
        below = np.where(far, array / degrees - top / degrees, below)
    return below, np.where(np.abs(lost) < 1, lost, 0)  # of more, the exponential is 0


def _product(a: Array, b: Any) -> tuple[Array, Array]:
    """A product and what it lost by rounding, by halves of both factors (T. J. Dekker)."""

    def halves(x: Any) -> tuple[Any, Any]:
        bits = np.finfo(a.dtype).nmant + 1
        scaled = x * a.dtype.type(2 ** ((bits + 1) // 2) + 1)
        high = scaled - (scaled - x)
        return high, x - high

    product = a * b
    (high, low), (upper, lower) = halves(a), halves(b)
    return product, ((high * upper - product) + high * lower + low * upper) + low * lower


def _exponentials(array: Array, below: Array) -> Array:
    """exp(below); NaN where either part of a complex number is, though the real one be -inf."""
    return np.asarray(np.where(np.isnan(array), np.nan, np.exp(below)))


def _log_of_sum(array: Array, top: Array, terms: Array, axis: Any) -> Array:
    """log(sum of terms), the largest of which are 1."""
    if array.dtype.kind == "c":
        return np.asarray(np.log(terms.sum(axis=axis, keepdims=True)))
    is_top = (array == top) & (terms == 1)  # hidden elements are terms of 0, infinite ones NaN
    ties = np.sum(is_top, axis=axis, keepdims=True)
    rest = np.where(is_top, 0, terms).sum(axis=axis, keepdims=True)
    return np.asarray(np.log1p((ties - 1) + rest))


def logsumexp(call: Call) -> Array:
    """log(sum(exp(input))) of longdouble and complex, dims kept as 1."""
    axis = call.dims or None
    with np.errstate(all="ignore"):
        array = call.inputs[0].astype(call.dtype)
        shown = np.True_ if call.where is None else call.where
        top = np.where(shown, array.real, -np.inf).max(axis=axis, keepdims=True)
        finite = np.where(np.isfinite(top), top, 0)
        terms = np.where(shown, _exponentials(array, array - finite), 0)
        log = np.log(terms.sum(axis=axis, keepdims=True))
        if array.dtype.kind != "c":
            log = np.where(np.isfinite(top), _log_of_sum(array, top, terms, axis), log)
        return np.asarray(finite + log, call.dtype)


def _backward(operation: ops.Operation, arrays: list[Array], axis: Any, shown: Any) -> Array:
    output, grad = (np.where(shown, array, 0) for array in arrays)
    if operation is ops.BACKWARD:
        return np.asarray(output * (grad - (grad * output).sum(axis=axis, keepdims=True)))
    return np.asarray(grad - np.exp(output) * grad.sum(axis=axis, keepdims=True))
