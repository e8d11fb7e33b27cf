"""Columns in runs of a few, which are computed with those of other batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import DTYPES, logits, read_only
from halves import HALVES
from relatives import BACKWARD, LOG_BACKWARD, LOG_SOFTMAX, SOFTMAX, Relative, name_of
from ulps import assert_same_bits

from fastsoftmax import explain

Array = np.ndarray[Any, Any]

EACH = pytest.mark.parametrize(
    "relative", [SOFTMAX, LOG_SOFTMAX, BACKWARD, LOG_BACKWARD], ids=name_of
)
EACH_DTYPE = pytest.mark.parametrize("dtype", [*DTYPES, *HALVES], ids=name_of)
# Two, as many as a part of a vector, whole vectors, primes, more than a strip.
RUNS = [2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 33]
LENGTHS = [2, 3, 17, 64, 65, 300]
# One bunch that is not whole, whole ones, one and some more.
BATCHES = [2, 3, 16, 67]


def inputs_for(relative: Relative, shape: tuple[int, int, int], dtype: Any) -> tuple[Array, ...]:
    """Of slices over dim 1, some of them with subnormal results."""
    sizes = np.array([1.0, 12.0, 90.0])[np.arange(shape[0]) % 3, None, None]
    x = (logits(shape, np.float64) * sizes).astype(dtype)
    if relative.inputs == 1:
        return (read_only(x),)
    forward = LOG_SOFTMAX if relative is LOG_BACKWARD else SOFTMAX
    return read_only(logits(shape, np.float64, 2.0).astype(dtype)), read_only(forward.call(x, 1))


def apart(relative: Relative, inputs: tuple[Array, ...]) -> Array:
    """The results of slices along memory, one by one."""
    rows = [np.ascontiguousarray(each.transpose(0, 2, 1)) for each in inputs]
    return relative.call(*rows, 2).transpose(0, 2, 1)


def kernel_of(relative: Relative, x: Array) -> str:
    return explain(x, 1, function=relative.name).kernel


@EACH
@EACH_DTYPE
def test_runs(relative: Relative, dtype: Any) -> None:
    reached = 0
    for run in RUNS:
        for length in LENGTHS:
            for batch in BATCHES:
                shape = batch, length, run
                inputs = inputs_for(relative, shape, dtype)
                reached += kernel_of(relative, inputs[0]) == "bunches"
                assert_same_bits(relative.call(*inputs, 1), apart(relative, inputs), shape)
    assert reached > len(RUNS) * len(LENGTHS)


@EACH
@pytest.mark.parametrize("run", [2, 5, 8, 13])
def test_runs_in_larger_memory(relative: Relative, run: int, dtype: Any) -> None:
    """What lies between runs is neither read nor written; batches are of two axes."""
    for length in (2, 9, 70):
        inputs = inputs_for(relative, (12, length, run), dtype)
        wanted = apart(relative, inputs)
        inside = np.s_[1:-1, :, 1:-1, 2:-3]
        given = []
        for each in inputs:
            memory = np.full((5, 4, length + 2, run + 5), np.nan, dtype)
            memory[inside] = each.reshape(3, 4, length, run)
            given.append(read_only(memory)[inside])
        memory = np.full((5, 4, length + 2, run + 5), 7.0, dtype)
        for workers in (1, 2):
            out = memory[inside]
            relative.call(*given, 2, out=out, workers=workers)
            assert_same_bits(out.reshape(wanted.shape), wanted, (length, run))
            untouched = memory.copy()
            untouched[inside] = 7.0
            assert (untouched == 7.0).all()


@EACH
def test_in_place_and_backwards(relative: Relative, dtype: Any) -> None:
    inputs = inputs_for(relative, (40, 11, 4), dtype)
    wanted = apart(relative, inputs)
    for workers in (1, 2):
        *others, last = [each.copy() for each in inputs]
        relative.call(*others, last, 1, out=last, workers=workers)
        assert_same_bits(last, wanted, "in place")
    backwards = [read_only(each[::-1, ::-1].copy()[::-1, ::-1]) for each in inputs]
    assert_same_bits(relative.call(*backwards, 1), wanted, "backwards")


@pytest.mark.parametrize("relative", [SOFTMAX, LOG_SOFTMAX], ids=name_of)
def test_accuracy(relative: Relative, dtype: Any) -> None:
    for shape in ((300, 10, 2), (70, 80, 5)):
        (x,) = inputs_for(relative, shape, dtype)
        assert kernel_of(relative, x) == "bunches"
        relative.assert_accurate(relative.call(x, 1), (x,), 1, shape)


def test_values_of_other_batches_make_no_difference(dtype: Any) -> None:
    x = logits((33, 6, 4), dtype, 3.0).copy()
    wanted = SOFTMAX.call(x, 1)
    for value in (np.nan, np.inf, -np.inf, np.finfo(dtype).max):
        spoilt = x.copy()
        spoilt[::2] = value
        assert_same_bits(SOFTMAX.call(spoilt, 1)[1::2], wanted[1::2], value)


def test_what_is_computed_run_by_run(dtype: Any) -> None:
    """One run, wide ones, long slices of two, masks and temperatures."""
    lanes = 128 // dtype.itemsize
    for shape in ((1, 10, 4), (50, 10, lanes), (50, 10, 2 * lanes), (20, 100, 3)):
        assert kernel_of(SOFTMAX, logits(shape, dtype)) != "bunches"
    x = logits((50, 10, 4), dtype)
    assert kernel_of(SOFTMAX, x) == "bunches"
    for more in ({"temperature": 2.0}, {"where": x < 1.0}):
        assert explain(x, 1, **more).kernel == "columns"
