"""Temperatures that kernels cannot compute with as they stand.

Beyond `USUAL`, the numbers of an exponential (kernels/exponential.py) are not normal.
Float32 is computed as float64 there.  In float64, logits and temperature are scaled by one
power of two, which leaves their quotient alone; gradients are divided once they are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax._casts import cast
from fastsoftmax._dtypes import FLOAT32, FLOAT64
from fastsoftmax.kernels import operations as ops

if TYPE_CHECKING:
    from fastsoftmax._compute import Call

Array = np.ndarray[Any, Any]

USUAL = {FLOAT32: (2.0**-60, 2.0**60), FLOAT64: (2.0**-1000, 2.0**1000)}
"""The least and the largest temperature by the dtype that kernels compute in."""
_FAR = 2.0**900
"""More than a logit may be to be scaled; the next one below it is further away than counts."""
_GRADIENTS = {ops.BACKWARD, ops.LOG_BACKWARD}


def is_usual(temperature: Array, work: np.dtype[Any]) -> bool:
    """Whether kernels that compute in the dtype `work` take these temperatures."""
    least, most = USUAL[work]
    if temperature.size == 1:
        return bool(least <= temperature.item() <= most)
    return bool(least <= temperature.min() and temperature.max() <= most)


def divided_afterwards(call: Call) -> Array | None:
    """What results are to be divided by once they are there, if by anything."""
    temperature = call.temperature
    if temperature is None or call.operation not in _GRADIENTS or is_usual(temperature, FLOAT64):
        return None
    return np.where(_are_usual(temperature), 1.0, temperature)


def with_usual(call: Call) -> Call:
    """The same call with temperatures that float64 can compute with."""
    temperature = call.temperature
    if temperature is None or is_usual(temperature, FLOAT64):
        return call
    if call.operation in _GRADIENTS:
        return call._replace(temperature=np.where(_are_usual(temperature), temperature, 1.0))
    least, most = USUAL[FLOAT64]
    (logits,) = call.inputs
    if logits.dtype != call.dtype:  # first of all, as integers may be too large for float64
        target = np.empty_like(logits, call.dtype, subok=False)
        cast(call, logits, target)
        logits = target
    if np.isinf(temperature).any():
        with np.errstate(all="ignore"):
            logits = np.where(np.isinf(temperature), logits * 0.0, logits)
    if call.dtype == FLOAT64:
        with np.errstate(all="ignore"):
            cold = temperature < least
            if cold.any():
                cold = cold & ~_are_far_apart(logits, call)
            powers = np.where(cold, 100, np.where(temperature > most, -100, 0))
            logits = np.ldexp(logits, powers)
            temperature = np.ldexp(temperature, powers)
    return call._replace(inputs=(logits,), temperature=np.clip(temperature, least, most))


def _are_far_apart(logits: Array, call: Call) -> Array:
    """Slices whose largest logits are so large that no less one counts, but equal ones alone.

    That is, whatever the temperature is, if it is below the usual.  Scaled, they would overflow.
    """
    shown = True if call.where is None else call.where
    logits = -logits if call.negated else logits
    top = np.max(logits, axis=call.dims, keepdims=True, initial=-np.inf, where=shown)
    return np.asarray(top > _FAR)


def _are_usual(temperature: Array) -> Array:
    least, most = USUAL[FLOAT64]
    return np.asarray((least <= temperature) & (temperature <= most))
