"""The oracle: the whole family as a textbook has it, in extended precision, and slow.

Everything is computed in ``np.longdouble``, whose 64 bits of mantissa (on x86) are 2048 times
finer than float64.  Its one weak point is ``(x - max) / temperature``, whose rounding error
``exp`` multiplies by up to 745; so what the subtraction and the division round off is kept and
applied.  test_reference.py holds all of it against mpmath with 50 digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]
Dim = int | tuple[int, ...] | None

EXTENDED = np.longdouble
# Veltkamp's constant for 64 bits of mantissa: cuts a number into two halves of 32 bits.
_SPLITTER = EXTENDED(2**32 + 1)


# --- The family -----------------------------------------------------------------------


def softmax(x: Any, dim: Dim, where: Any = True, temperature: Any = 1.0) -> Array:
    """``exp(x / temperature) / sum(exp(x / temperature))`` over the elements of `where`."""
    return _slice_by_slice(_softmax, dim, x, where, temperature)


def softmin(x: Any, dim: Dim, where: Any = True, temperature: Any = 1.0) -> Array:
    """The softmax of ``-x``."""
    return softmax(-np.asarray(x, EXTENDED), dim, where, temperature)


def log_softmax(x: Any, dim: Dim, where: Any = True, temperature: Any = 1.0) -> Array:
    """The logarithm of the softmax."""
    return _slice_by_slice(_log_softmax, dim, x, where, temperature)


def logsumexp(x: Any, dim: Dim, where: Any = True) -> Array:
    """``log(sum(exp(x)))``; the dims of a slice are kept with the size 1."""
    return _slice_by_slice(_logsumexp, dim, x, where, 1.0)


def softmax_backward(
    grad: Any, output: Any, dim: Dim, where: Any = True, temperature: Any = 1.0
) -> Array:
    """``output * (grad - sum(grad * output)) / temperature``."""
    return _slice_by_slice(_softmax_backward, dim, grad, where, temperature, output)


def log_softmax_backward(
    grad: Any, output: Any, dim: Dim, where: Any = True, temperature: Any = 1.0
) -> Array:
    """``(grad - exp(output) * sum(grad)) / temperature``."""
    return _slice_by_slice(_log_softmax_backward, dim, grad, where, temperature, output)


# --- The same where each slice is a row -----------------------------------------------


def _softmax(x: Array, here: Array, temperature: Array) -> Array:
    terms = _terms(x, here, temperature)
    return np.where(here, terms / terms.sum(axis=1, keepdims=True), 0)


def _log_softmax(x: Array, here: Array, temperature: Array) -> Array:
    distance, lost = _distances(x, here, temperature)
    result = distance - np.log1p(_sum_of_others(x, here, temperature)) + lost
    return np.where(here, result, -np.inf)


def _logsumexp(x: Array, here: Array, temperature: Array) -> Array:
    top = _top(x, here)
    return np.where(np.isinf(top), top, top + np.log1p(_sum_of_others(x, here, temperature)))


def _softmax_backward(grad: Array, here: Array, temperature: Array, output: Array) -> Array:
    product = np.where(here, grad * output, 0).sum(axis=1, keepdims=True)
    return np.where(here, output * (grad - product) / temperature, 0)


def _log_softmax_backward(grad: Array, here: Array, temperature: Array, output: Array) -> Array:
    total = np.where(here, grad, 0).sum(axis=1, keepdims=True)
    return np.where(here, (grad - np.exp(output) * total) / temperature, 0)


def _top(x: Array, here: Array) -> Array:
    top: Array = np.where(here, x, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    return top


def _distances(x: Array, here: Array, temperature: Array) -> tuple[Array, Array]:
    """``(x - max) / temperature``, and what was lost to rounding on the way."""
    top = _top(x, here)
    difference = x - top
    distance, lost = difference, _lost_by_subtraction(x, top, difference)
    if not (temperature == 1).all():  # which rounds nothing
        distance = difference / temperature
        lost = lost / temperature + _lost_by_division(difference, temperature, distance)
    return distance, np.where(np.isfinite(lost), lost, 0)


def _terms(x: Array, here: Array, temperature: Array) -> Array:
    distance, lost = _distances(x, here, temperature)
    return np.where(here, np.exp(distance) * (1 + lost), 0)


def _sum_of_others(x: Array, here: Array, temperature: Array) -> Array:
    """The sum of the terms without one largest, which is 1."""
    terms = _terms(x, here, temperature)
    if terms.shape[1]:
        largest = np.where(here, x, -np.inf).argmax(axis=1)[:, np.newaxis]
        term = np.take_along_axis(terms, largest, axis=1)
        np.put_along_axis(terms, largest, np.where(np.isnan(term), term, 0), axis=1)
    total: Array = terms.sum(axis=1, keepdims=True)
    return total


# --- What arithmetic rounds off -------------------------------------------------------


def _lost_by_subtraction(a: Array, b: Array, difference: Array) -> Array:
    """``(a - b) - difference``, by Knuth's TwoSum."""
    share = difference - a
    lost: Array = (a - (difference - share)) + (-b - share)
    return lost


def _lost_by_division(a: Array, b: Array, quotient: Array) -> Array:
    """``a / b - quotient``, by Dekker's exact product."""
    product = quotient * b
    (high, low), (b_high, b_low) = _halves(quotient), _halves(b)
    error = ((high * b_high - product) + high * b_low + low * b_high) + low * b_low
    lost: Array = ((a - product) - error) / b
    return lost


def _halves(a: Array) -> tuple[Array, Array]:
    upper = a * _SPLITTER
    upper = upper - (upper - a)
    return upper, a - upper


# --- Any array as rows ----------------------------------------------------------------


def dims_of(dim: Dim, ndim: int) -> tuple[int, ...]:
    """The dims of a slice, counted from 0 and in order."""
    if dim is None or ndim == 0:
        return tuple(range(ndim))
    given = dim if isinstance(dim, tuple) else (dim,)
    return tuple(sorted(each % ndim for each in given))


def slices_of(x: Array, dim: Dim) -> Array:
    """The slices of an array as the rows of a fresh matrix, their elements in order."""
    dims = dims_of(dim, x.ndim)
    batch = [i for i in range(x.ndim) if i not in dims]
    slices, length = _count(x.shape, batch), _count(x.shape, dims)
    return np.array(x.transpose(*batch, *dims), order="C").reshape(slices, length)


def _slice_by_slice(
    function: Callable[..., Array], dim: Dim, x: Any, where: Any, temperature: Any, *more: Any
) -> Array:
    """A function of rows, applied to the slices of arrays."""
    with np.errstate(all="ignore"):
        x = np.asarray(x, EXTENDED)
        given: list[Array] = [x, np.asarray(where, np.bool_), np.asarray(temperature, EXTENDED)]
        given += [np.asarray(each, EXTENDED) for each in more]
        rows = function(*(slices_of(np.broadcast_to(each, x.shape), dim) for each in given))
    dims = dims_of(dim, x.ndim)
    batch = [i for i in range(x.ndim) if i not in dims]
    whole = rows.shape[1] == _count(x.shape, dims)
    shape = [x.shape[i] for i in batch] + [x.shape[i] if whole else 1 for i in dims]
    return rows.reshape(shape).transpose(*np.argsort([*batch, *dims]))


def _count(shape: tuple[int, ...], dims: Any) -> int:
    return int(np.prod([shape[i] for i in dims], dtype=int))
