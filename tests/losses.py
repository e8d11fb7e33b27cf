"""What tests of the cross entropy share: its definition, and shapes and targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import reference
from reference import EXTENDED

Array = np.ndarray[Any, Any]

SHAPES = [
    ((7,), 0),
    ((20, 10), 1),
    ((20, 10), 0),
    ((8, 300), -1),
    ((3, 6, 4, 5), 1),
    ((2, 9000), 1),
]
REDUCTIONS = ["mean", "sum", "none"]


def exact(
    x: Array,
    target: Array,
    dim: int,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """The definition, over all log-probabilities in extended precision."""
    logs = np.moveaxis(reference.log_softmax(x, dim), dim, -1)
    classes = logs.shape[-1]
    w = np.ones(classes, EXTENDED) if weight is None else np.asarray(weight, EXTENDED)
    target = np.asarray(target)
    if target.dtype.kind == "f":
        wanted = np.moveaxis(target, dim, -1).astype(EXTENDED)
        wanted = wanted * (1 - EXTENDED(label_smoothing)) + EXTENDED(label_smoothing) / classes
        losses = -(wanted * w * logs).sum(axis=-1)
        shares: Any = np.ones(losses.shape)
    else:
        shown = target != ignore_index
        index = np.where(shown, target, 0)
        nll = -np.take_along_axis(logs, index[..., np.newaxis], axis=-1)[..., 0] * w[index]
        smooth = -(w * logs).sum(axis=-1) / classes
        losses = (1 - EXTENDED(label_smoothing)) * nll + EXTENDED(label_smoothing) * smooth
        losses, shares = np.where(shown, losses, 0), np.where(shown, w[index], 0)
    if reduction == "none":
        return losses
    return losses.sum() / (shares.sum() if reduction == "mean" else 1)


def targets(x: Array, dim: int) -> Array:
    rng = np.random.default_rng(7)
    shape = np.delete(np.array(x.shape), dim)
    return rng.integers(0, x.shape[dim], tuple(shape))


def assert_close(got: Any, wanted: Any, dtype: Any) -> None:
    assert np.asarray(got).dtype == dtype
    assert np.shape(got) == np.shape(wanted)
    # Sums are taken in float64: one rounding to the dtype, and those of the sums.
    assert np.allclose(
        np.asarray(got, EXTENDED), wanted, rtol=max(float(np.finfo(dtype).eps), 1e-14), atol=0
    )
