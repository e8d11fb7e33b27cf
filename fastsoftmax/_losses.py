"""The public function `cross_entropy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoftmax._arguments import MISSING, as_array
from fastsoftmax._calling import named, recalled
from fastsoftmax._compiling import compiling

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_ONE = 1.0
_IGNORED = -100
_MADE_ARRAYS = int, list


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    dim: int = -1,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = _IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    workers: int | None = None,
) -> Any:
    r"""The cross entropy of logits with the classes that are right.

    .. math:: \ell = -w_y \log \mathrm{softmax}(x)_y

    Parameters
    ----------
    input : array_like
        The logits; classes are along `dim`.
    target : array_like of int
        The right class of each slice, of the shape of the input without `dim`; or, if it is
        floating and of the shape of the input, the probability of each class.
    dim : int, optional
        The dim of the classes.
    weight : array_like, optional
        w, a weight for each class.
    ignore_index : int, optional
        Slices with this target do not count, nor do those whose target is masked.
    label_smoothing : float, optional
        From 0 to 1: how much of each target goes to all classes alike.
    reduction : {"mean", "sum", "none"}, optional
        What is returned of the losses: their mean (by the weights of their targets), their
        sum, or each of them.
    workers : int, optional
        As for `softmax`.

    Returns
    -------
    numpy.ndarray or scalar
        In the dtype that softmax would have; an array, of the shape of the input without `dim`,
        for the reduction "none".

    Raises
    ------
    TypeError
        As `softmax` does; `target` is not of numbers, or `weight` not of real ones.
    ValueError
        A target is no class and not `ignore_index`, shapes do not fit, `label_smoothing` or
        `reduction` is none of the above; a weight, or a probability as a target, is masked.

    See Also
    --------
    log_softmax : the logarithms of all classes.

    Notes
    -----
    The arguments mean what they mean to ``torch.nn.functional.cross_entropy``, but for `dim`,
    which is always the second one there.  One pass over the logits gives max and log-sum-exp
    of each slice; the matrix of log-probabilities is not written (with probabilities as
    targets it is).  Sums are taken in float64.  The mean of no targets is NaN.

    Examples
    --------
    >>> from fastsoftmax import cross_entropy
    >>> round(float(cross_entropy([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], [0, 1])), 4)
    0.2981
    """
    key = None
    if isinstance(target, _MADE_ARRAYS):
        target = as_array("target", target)
    if (
        weight is None
        and label_smoothing.__class__ is float
        and label_smoothing == 0.0
        and ignore_index.__class__ is int
        and reduction.__class__ is str
        and target is not None
    ):
        arguments = input, dim, None, MISSING, None, None, _ONE, workers
        key, loss = recalled(named(reduction, ignore_index), arguments, target)
        if loss is not None:
            return loss
    with compiling():
        from fastsoftmax import _entropy

    return _entropy.cross_entropy(
        key, input, target, dim, weight, ignore_index, label_smoothing, reduction, workers
    )
