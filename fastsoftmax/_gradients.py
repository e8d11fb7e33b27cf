"""The public functions of gradients: docstring and one call each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoftmax._arguments import MISSING, Missing
from fastsoftmax._calling import called

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from fastsoftmax._functions import Dim


def softmax_backward(
    grad_output: ArrayLike,
    output: ArrayLike,
    dim: Dim | Missing = MISSING,
    *,
    axis: Dim | Missing = MISSING,
    out: np.ndarray[Any, Any] | None = None,
    where: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    workers: int | None = None,
) -> np.ndarray[Any, Any]:
    r"""The gradient of softmax with respect to the logits.

    .. math:: \frac{y_i}{T} \left(g_i - \sum_j g_j y_j\right)

    Parameters
    ----------
    grad_output : array_like
        g, the gradient with respect to the result of softmax.
    output : array_like
        y, the result of softmax; of the same shape.
    dim, axis, out, where, temperature, workers
        As given to `softmax`.

    Returns
    -------
    numpy.ndarray
        Of the shape of `output`, in the dtype that both inputs have in common; 0 where `where` is
        False.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does; the two shapes differ, or their dtypes have none in common.

    See Also
    --------
    softmax : the function itself.

    Notes
    -----
    The same as torch's ``_softmax_backward_data`` of finite numbers, within 4 ULP of the largest
    term; an infinite gradient makes NaN of its slice.  The sum is exact to about twice the
    precision, in the order that softmax has.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import softmax, softmax_backward
    >>> np.set_printoptions(precision=4)
    >>> y = softmax([1.0, 2.0, 3.0], dim=0)
    >>> softmax_backward([1.0, 0.0, 0.0], y, dim=0)
    array([ 0.0819, -0.022 , -0.0599])
    """
    arguments = output, dim, None, axis, out, where, temperature, workers
    result: np.ndarray[Any, Any] = called("softmax_backward", arguments, grad_output)
    return result


def log_softmax_backward(
    grad_output: ArrayLike,
    output: ArrayLike,
    dim: Dim | Missing = MISSING,
    *,
    axis: Dim | Missing = MISSING,
    out: np.ndarray[Any, Any] | None = None,
    where: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    workers: int | None = None,
) -> np.ndarray[Any, Any]:
    r"""The gradient of log_softmax with respect to the logits.

    .. math:: \frac{1}{T} \left(g_i - e^{y_i} \sum_j g_j\right)

    Parameters
    ----------
    grad_output : array_like
        g, the gradient with respect to the result of log_softmax.
    output : array_like
        y, the result of log_softmax; of the same shape.
    dim, axis, out, where, temperature, workers
        As given to `log_softmax`.

    Returns
    -------
    numpy.ndarray
        Of the shape of `output`, in the dtype that both inputs have in common; 0 where `where` is
        False.

    Raises
    ------
    TypeError, ValueError
        As `log_softmax` does; the two shapes differ, or their dtypes have none in common.

    See Also
    --------
    log_softmax : the function itself.

    Notes
    -----
    Within 4 ULP of the largest term, where the exponential and, for a temperature below 1, what is
    divided by it are normal numbers.  An infinite gradient makes NaN of its slice; where
    the exponential of `output` is infinite, as that of no logarithm of a probability is, so is the
    result, or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import log_softmax, log_softmax_backward
    >>> np.set_printoptions(precision=4)
    >>> y = log_softmax([1.0, 2.0, 3.0], dim=0)
    >>> log_softmax_backward([1.0, 0.0, 0.0], y, dim=0)
    array([ 0.91  , -0.2447, -0.6652])
    """
    arguments = output, dim, None, axis, out, where, temperature, workers
    result: np.ndarray[Any, Any] = called("log_softmax_backward", arguments, grad_output)
    return result
