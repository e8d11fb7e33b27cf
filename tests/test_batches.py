"""Slices that go through each step together: as if they were alone, whatever the others are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import logits
from relatives import RELATIVES, TEMPERED, Relative, name_of

from fastsoftmax import explain, log_softmax_backward
from fastsoftmax.kernels.batches import MOST_SLICES, batch_slices
from fastsoftmax.kernels.sums import block_of

Array = np.ndarray[Any, Any]
NAN, INF = np.nan, np.inf

LENGTHS = [65, 96, 97, 128, 300, 511, 1000, 2047]
COUNTS = [1, 2, 7, MOST_SLICES, MOST_SLICES + 1, 2 * MOST_SLICES + 3]


def slices_of_all_kinds(length: int, dtype: Any) -> Array:
    """Near 0, too large for a frame, with infinities and NaN, beside one another."""
    x = logits((max(COUNTS), length), dtype, 9.0).copy()
    x[1::5] += np.asarray(1e6, dtype)
    x[3] = -INF
    x[4, length // 2], x[8, -1], x[12, 0] = NAN, INF, -INF
    x[14] = np.where(np.arange(length) == 7, np.finfo(dtype).max, x[14])
    x[16] *= np.asarray(40.0, dtype)
    return x


@pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
@pytest.mark.parametrize("length", LENGTHS)
def test_as_if_alone(relative: Relative, length: int, dtype: Any) -> None:
    rows = slices_of_all_kinds(length, dtype)
    inputs = relative.given_rows(rows)
    shown = np.random.default_rng(length).random(rows.shape) < 0.6
    shown[5] = False
    for more in ({}, {"where": shown}):
        alone = [
            relative.call(
                *(each[i : i + 1] for each in inputs),
                1,
                **{name: each[i : i + 1] for name, each in more.items()},
            )
            for i in range(max(COUNTS))
        ]
        for count in COUNTS:
            here = {name: each[:count] for name, each in more.items()}
            got = relative.call(*(each[:count] for each in inputs), 1, **here)
            assert np.array_equal(got, np.concatenate(alone[:count]), equal_nan=True), count
        columns = [np.ascontiguousarray(each.T) for each in inputs]
        across = relative.call(*columns, 0, **{name: each.T for name, each in more.items()})
        assert np.array_equal(across.T, np.concatenate(alone), equal_nan=True)


@pytest.mark.parametrize("relative", TEMPERED, ids=name_of)
@pytest.mark.parametrize("length", [65, 128, 511])
def test_a_temperature_for_each(relative: Relative, length: int, dtype: Any) -> None:
    rows = slices_of_all_kinds(length, dtype)
    inputs = relative.given_rows(rows)
    degrees = np.geomspace(1e-3, 1e3, max(COUNTS))[:, np.newaxis]
    got = relative.call(*inputs, 1, temperature=degrees)
    for i, degree in enumerate(degrees):
        alone = relative.call(*(each[i : i + 1] for each in inputs), 1, temperature=degree)
        assert np.array_equal(got[i : i + 1], alone, equal_nan=True), i


def test_how_many_go_together() -> None:
    """All that the first-level cache has room for, and one where that is all of it."""
    for itemsize in (4, 8):
        sizes = [batch_slices(length, itemsize) for length in range(1, block_of(itemsize) + 1)]
        assert sizes == sorted(sizes, reverse=True)
        assert (sizes[0], sizes[-1]) == (MOST_SLICES, 1)
    x = np.zeros((50, 100), np.float32)
    assert explain(x, 1, function="log_softmax").kernel == "along"
    assert explain(x, 1).kernel == "rows"


@pytest.mark.parametrize("value", [-1e30, -1e5, -INF])
@pytest.mark.parametrize("length", [2, 10, 64, 65, 300, 1000, 5000])
def test_gradients_of_vanishing_exponentials(length: int, value: float, dtype: Any) -> None:
    """exp(y) is 0, however far y is below all that log_softmax gives: g itself is left."""
    g = logits((20, length), dtype)
    y = np.full(g.shape, value, dtype)
    assert np.array_equal(log_softmax_backward(g, y, 1), g)
    across = log_softmax_backward(np.ascontiguousarray(g.T), np.ascontiguousarray(y.T), 0)
    assert np.array_equal(across.T, g)
