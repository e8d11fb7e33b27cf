"""What tests of recorded calls share."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from arrays import logits

from fastsoftmax import _records, _shortcuts, softmax

if TYPE_CHECKING:
    import pytest

Array = np.ndarray[Any, Any]


def record_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each call recorded, instead of one of many."""
    monkeypatch.setattr(_shortcuts, "OFTEN", 1)
    monkeypatch.setattr(_shortcuts, "_until_recorded", 1)


def forget() -> None:
    _shortcuts.ways.clear()
    _records.records[1:] = 0
    _records.owners[:] = [None] * len(_records.owners)


def recorded() -> int:
    return np.count_nonzero(_records.records[1:, _records.RANK_AT])


def direct() -> int:
    return np.count_nonzero(_records.records[1:, _records.CODE_AT])


def launched() -> int:
    """How many of the recorded calls are threads'."""
    return np.count_nonzero(_records.records[1:, _records.JOB_AT])


def wrong_together(cases: list[tuple[Array, int]], wanted: list[Array], calls: int) -> list[int]:
    """The cases whose softmax was not as wanted, of so many calls of each of four threads.

    They take turns as often as Python lets them.
    """
    wrong: list[int] = []

    def work(seed: int) -> None:
        order = np.random.default_rng(seed).integers(len(cases), size=calls)
        for i in order:
            x, dim = cases[i]
            out = np.empty_like(x) if i % 3 else None
            if not np.array_equal(softmax(x, dim, out=out), wanted[i]):
                wrong.append(i)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return wrong


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
