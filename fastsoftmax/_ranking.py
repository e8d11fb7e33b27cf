"""The public function `top_k`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoftmax._arguments import MISSING, Missing
from fastsoftmax._calling import named, recalled
from fastsoftmax._compiling import compiling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike


def top_k(
    input: ArrayLike,
    k: int,
    dim: int | Missing = MISSING,
    dtype: DTypeLike | None = None,
    *,
    axis: int | Missing = MISSING,
    where: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    workers: int | None = None,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The k largest probabilities of softmax and where they are, without all the others.

    Parameters
    ----------
    input : array_like
        The logits, as for `softmax`.
    k : int
        How many, from 1 to the size of the input along `dim`.
    dim : int
        The dim of a slice.
    dtype, axis, where, temperature, workers
        As for `softmax`.

    Returns
    -------
    probabilities : numpy.ndarray
        Of the shape of the input, but k along `dim`: the largest first.
    indices : numpy.ndarray
        Where they are along `dim`, int64, of the same shape.  Of equal logits the one with
        the lowest index comes first.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does; `dim` is no int, `k` is no int or out of range.

    See Also
    --------
    softmax : all probabilities.

    Notes
    -----
    The probabilities are those of `softmax`, bit for bit.  Slices that softmax makes NaN are NaN
    here, elements that are hidden too, with the indices 0 to k - 1.  An infinite temperature makes
    all logits equal.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import top_k
    >>> np.set_printoptions(precision=4)
    >>> probabilities, indices = top_k([1.0, 3.0, 2.0, 3.0], 3, dim=0)
    >>> probabilities
    array([0.3995, 0.3995, 0.147 ])
    >>> indices
    array([1, 3, 2])
    """
    key = None
    if where is None and k.__class__ is int:
        arguments = input, dim, dtype, axis, None, None, temperature, workers
        key, found = recalled(named("top_k", k), arguments)
        if found is not None:
            return found  # type: ignore[no-any-return]
    with compiling():
        from fastsoftmax import _leaders

    return _leaders.top_k(key, input, k, dim, dtype, axis, where, temperature, workers)
