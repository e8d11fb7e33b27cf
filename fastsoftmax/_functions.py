"""The public functions of logits: docstring and one call each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from fastsoftmax import _shortcuts
from fastsoftmax._arguments import MISSING, Missing, flag_of, keepdim_of
from fastsoftmax._calling import by_way, called
from fastsoftmax._shortcuts import LSE, LSE_KEEPING_DIMS, SOFTMAX_AND_LSE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

Dim = int | tuple[int, ...] | None
_Array = np.ndarray
_Result = np.ndarray[Any, Any]
# One object for all calls: `_recall` knows a temperature by which object it is.
_ONE = 1.0


@overload
def softmax(
    input: ArrayLike,
    dim: Dim | Missing = ...,
    dtype: DTypeLike | None = ...,
    *,
    axis: Dim | Missing = ...,
    out: np.ndarray[Any, Any] | None = ...,
    where: ArrayLike | None = ...,
    temperature: ArrayLike = ...,
    workers: int | None = ...,
    return_lse: Literal[False] = ...,
) -> _Result: ...
@overload
def softmax(
    input: ArrayLike,
    dim: Dim | Missing = ...,
    dtype: DTypeLike | None = ...,
    *,
    axis: Dim | Missing = ...,
    out: np.ndarray[Any, Any] | None = ...,
    where: ArrayLike | None = ...,
    temperature: ArrayLike = ...,
    workers: int | None = ...,
    return_lse: bool,
) -> Any: ...
def softmax(
    input: ArrayLike,
    dim: Dim | Missing = MISSING,
    dtype: DTypeLike | None = None,
    *,
    axis: Dim | Missing = MISSING,
    out: np.ndarray[Any, Any] | None = None,
    where: ArrayLike | None = None,
    temperature: ArrayLike = _ONE,
    workers: int | None = None,
    return_lse: bool = False,
) -> Any:
    r"""Softmax over one or more dims: each slice becomes positive and sums to 1.

    .. math:: \mathrm{softmax}(x)_i = \frac{e^{x_i / T}}{\sum_j e^{x_j / T}}

    Parameters
    ----------
    input : array_like
        The logits, of any shape, order and strides; read-only and memory-mapped arrays too.
        Integers and bool count as floats: up to 16 bits as float32, wider ones as float64.
    dim : int, tuple of int or None
        The dim of a slice, counted from the end if negative; a tuple: all of these jointly;
        None: the whole array.
    dtype : dtype_like, optional
        A floating dtype that the input is cast to first, and that of the result.
    axis : int, tuple of int or None
        NumPy's word for `dim`; give one of the two, by name.
    out : numpy.ndarray, optional
        Where to write the result: of its shape, of a dtype that it can be cast to by the rule
        ``"same_kind"``, with any strides.  It may be the input or overlap it.
    where : array_like of bool, optional
        A mask, broadcast to the shape of the input.  Elements where it is False take no part,
        whatever they are (NaN too), and become 0.
    temperature : float or array_like, optional
        T, positive; an array, broadcast to the input with size 1 along `dim`, gives each
        slice its own.  The quotient is not rounded.
    workers : int, optional
        Threads at the most; None: as many as Numba is set to use.
    return_lse : bool, optional
        Return ``(result, lse)``, where lse is the log-sum-exp of the slices (of the input as
        it is, with the mask but without the temperature), with `dim` removed.

    Returns
    -------
    numpy.ndarray
        Of the shape of the input, and of its memory order; float16, bfloat16, float32,
        float64, longdouble and complex inputs keep their dtype.  A masked array gives a
        masked array, round `out` if that is given.  With `return_lse`, a tuple of this and of
        another array, or a scalar.

    Raises
    ------
    TypeError
        `dim` is missing or no int, `dtype` is not floating, `where` is not bool, or an array
        has no numbers.
    numpy.exceptions.AxisError
        `dim` is out of range, with torch's sentence.
    ValueError
        `dim` names a dim twice or none, or `out`, `where`, `temperature` or `workers` do not fit.
        Nothing is written then.

    See Also
    --------
    log_softmax : its logarithm, accurate where softmax is nearly 0 or 1.
    explain : how a call would be computed.

    Notes
    -----
    float32 and float64 results are within 2 ULP of the exact ones (0.35 on average), for any
    length; subnormal results are at most one step from the correctly rounded ones.  The same
    slice has the same bits in any batch, position, dim, stride, thread count and vector width.
    float16 and bfloat16 are computed in float32 and rounded once.  longdouble and complex go
    through plain NumPy.

    A slice with NaN or +inf, or with nothing but -inf, is NaN; -inf among finite elements
    gives 0.  Slices do not touch each other.  NumPy warns of nothing here.

    The maximum is not subtracted, which would round: each exponential is scaled by a power of
    two instead [1]_, and sums are error-free in each lane [2]_.

    References
    ----------
    .. [1] P. T. P. Tang, "Table-driven implementation of the exponential function in IEEE
       floating-point arithmetic", ACM Trans. Math. Softw. 15 (1989), 144-157.
    .. [2] T. J. Dekker, "A floating-point technique for extending the available precision",
       Numerische Mathematik 18 (1971), 224-242.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import softmax
    >>> np.set_printoptions(precision=4)
    >>> softmax([1.0, 2.0, 3.0], dim=0)
    array([0.09  , 0.2447, 0.6652])
    >>> softmax([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], dim=1)
    array([[0.659 , 0.2424, 0.0986],
           [0.1131, 0.836 , 0.0508]])
    >>> softmax([1.0, 2.0, np.nan], dim=0, where=[True, True, False])
    array([0.2689, 0.7311, 0.    ])
    """
    name = "softmax"
    if return_lse is not False and (return_lse is True or flag_of("return_lse", return_lse)):
        name = SOFTMAX_AND_LSE
    # As `called`, which would be a tenth of the time of the smallest calls.
    found: Any = _shortcuts.recall(
        _shortcuts.records,
        name,
        input,
        dim,
        dtype,
        axis,
        out,
        where,
        temperature,
        workers,
        None,
    )
    if found.__class__ is _Array:
        return found
    return by_way(found, name, (input, dim, dtype, axis, out, where, temperature, workers))


def softmin(
    input: ArrayLike,
    dim: Dim | Missing = MISSING,
    dtype: DTypeLike | None = None,
    *,
    axis: Dim | Missing = MISSING,
    out: np.ndarray[Any, Any] | None = None,
    where: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    workers: int | None = None,
) -> np.ndarray[Any, Any]:
    r"""Softmax of the negative input: the smallest elements get the most.

    .. math:: \mathrm{softmin}(x)_i = \frac{e^{-x_i / T}}{\sum_j e^{-x_j / T}}

    Parameters
    ----------
    input, dim, dtype, axis, out, where, temperature, workers
        As for `softmax`.

    Returns
    -------
    numpy.ndarray
        As for `softmax`.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does.

    See Also
    --------
    softmax : the same of the input itself, with all details.

    Notes
    -----
    Within 2 ULP, as softmax.  A slice with -inf is NaN; +inf among finite elements gives 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import softmin
    >>> np.set_printoptions(precision=4)
    >>> softmin([1.0, 2.0, 3.0], dim=0)
    array([0.6652, 0.2447, 0.09  ])
    """
    arguments = input, dim, dtype, axis, out, where, temperature, workers
    result: _Result = called("softmin", arguments)
    return result


def log_softmax(
    input: ArrayLike,
    dim: Dim | Missing = MISSING,
    dtype: DTypeLike | None = None,
    *,
    axis: Dim | Missing = MISSING,
    out: np.ndarray[Any, Any] | None = None,
    where: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    workers: int | None = None,
) -> np.ndarray[Any, Any]:
    r"""The logarithm of softmax, accurate near 0 and far from it.

    .. math:: \log \mathrm{softmax}(x)_i = \frac{x_i}{T} - \log \sum_j e^{x_j / T}

    Parameters
    ----------
    input, dim, dtype, axis, out, where, temperature, workers
        As for `softmax`.  Elements left out by `where` become -inf.

    Returns
    -------
    numpy.ndarray
        As for `softmax`.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does.

    See Also
    --------
    softmax : with all details.
    logsumexp : what is subtracted.

    Notes
    -----
    Computed as :math:`(x_i - m) / T - \log(N + s)` with m the maximum, N how often it occurs
    less one by ``log1p``, and s the sum of all other exponentials: within 2 ULP everywhere,
    also where the result is nearly 0.  NaN and infinities as in `softmax`; -inf stays -inf.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import log_softmax
    >>> np.set_printoptions(precision=4)
    >>> log_softmax([0.0, -40.0], dim=0)
    array([-4.2484e-18, -4.0000e+01])
    """
    arguments = input, dim, dtype, axis, out, where, temperature, workers
    result: _Result = called("log_softmax", arguments)
    return result


def logsumexp(
    input: ArrayLike,
    dim: Dim | Missing = MISSING,
    dtype: DTypeLike | None = None,
    *,
    axis: Dim | Missing = MISSING,
    keepdim: bool = False,
    keepdims: bool | Missing = MISSING,
    out: np.ndarray[Any, Any] | None = None,
    where: ArrayLike | None = None,
    workers: int | None = None,
) -> np.ndarray[Any, Any]:
    r"""The logarithm of the sum of exponentials.

    .. math:: \mathrm{logsumexp}(x) = \log \sum_j e^{x_j}

    Parameters
    ----------
    input, dim, dtype, axis, where, workers
        As for `softmax`.
    keepdim : bool, optional
        Keep the dims of a slice, with size 1; else they are removed.
    keepdims : bool, optional
        NumPy's word for `keepdim`.
    out : numpy.ndarray, optional
        Where to write the result; see `softmax`.

    Returns
    -------
    numpy.ndarray or scalar
        One number for each slice; a scalar if there is one in all.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does.

    See Also
    --------
    log_softmax : the logits less this.

    Notes
    -----
    Within 2 ULP wherever the maximum and the logarithm do not nearly cancel, else within 2
    ULP of the larger of the two.  Empty slices and those of nothing but -inf give -inf, those
    with +inf give +inf, those with NaN give NaN.  For weights, add their logarithms to the
    input.

    Examples
    --------
    >>> from fastsoftmax import logsumexp
    >>> round(float(logsumexp([1.0, 2.0, 3.0], dim=0)), 4)
    3.4076
    """
    keep = keepdim
    if keepdims is not MISSING or keepdim.__class__ is not bool:
        keep = keepdim_of(keepdim, keepdims)
    name = LSE_KEEPING_DIMS if keep else LSE
    result: _Result = called(name, (input, dim, dtype, axis, out, where, _ONE, workers))
    return result
