"""What tests of recorded calls share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from arrays import logits

from fastsoftmax import _recall, _shortcuts

if TYPE_CHECKING:
    import pytest

Array = np.ndarray[Any, Any]


def record_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each call recorded, instead of one of many."""
    monkeypatch.setattr(_shortcuts, "OFTEN", 1)
    monkeypatch.setattr(_shortcuts, "_until_recorded", 1)


def forget() -> None:
    _shortcuts.ways.clear()
    _recall._records[1:] = 0
    _recall._owners[:] = [None] * len(_recall._owners)


def recorded() -> int:
    return np.count_nonzero(_recall._records[1:, _recall._RANK])


def direct() -> int:
    return np.count_nonzero(_recall._records[1:, _recall._CODE])


def launched() -> int:
    """How many of the recorded calls are threads'."""
    return np.count_nonzero(_recall._records[1:, _recall._JOB])


def array(shape: Any, dtype: Any = np.float32) -> Array:
    """As `logits`, to be written to."""
    return logits(shape, dtype, 3.0).copy()


def settled(function: Any, *arguments: Any, **more: Any) -> Array:
    """The result of a call that is recorded, which has the bits of the first one."""
    first = function(*arguments, **more).copy()
    for _ in range(3):
        result: Array = function(*arguments, **more)
    assert np.array_equal(first, result, equal_nan=True)
    assert first.dtype == result.dtype
    return result
