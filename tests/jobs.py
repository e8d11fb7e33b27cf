"""Work for processes and threads under test: large enough for several threads, and digested."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np
from arrays import logits

from fastsoftmax import softmax

Array = np.ndarray[Any, Any]

# Narrow, rows, columns, split: each worth a launch on the slowest threading layer.
CASES = [((100_000, 10), 1), ((3000, 1000), 1), ((1000, 1500), 0), ((3_000_000,), 0)]


@functools.cache
def inputs() -> list[tuple[Array, int]]:
    """The logits of all cases, and their dims."""
    return [(np.resize(logits((977, 1013), np.float32, 5.0), shape), dim) for shape, dim in CASES]


def digest(workers: int | None = None) -> str:
    """What all cases come to; the same on any number of threads."""
    result = hashlib.sha256()
    for x, dim in inputs():
        result.update(softmax(x, dim, workers=workers).tobytes())
    return result.hexdigest()


def rows(workers: int | None = None) -> Array:
    """A shorter job: the rows alone."""
    x, dim = inputs()[1]
    result: Array = softmax(x, dim, workers=workers)
    return result
