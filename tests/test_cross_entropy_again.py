"""Calls of cross_entropy like one before, which take shorter ways, whatever comes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference
from arrays import logits
from losses import REDUCTIONS, SHAPES, assert_close, exact, targets
from recalls import array, forget, record_at_once, recorded

from fastsoftmax import cross_entropy


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_second_calls(dtype: Any, shape: Any, dim: int, reduction: str) -> None:
    x = logits(shape, dtype, 4.0)
    for seed in range(3):
        random = np.random.default_rng(seed)
        y = np.asarray(random.integers(0, shape[dim], targets(x, dim).shape))
        ignored = y.copy()
        if y.size > 1:
            ignored.flat[random.integers(0, y.size)] = -100
        narrow = y.astype(np.int32)
        for target in (y, ignored, narrow, y.tolist(), np.asarray(y, order="F"), y.copy()):
            for given in (x, np.asfortranarray(x), x[::-1].copy()[::-1]):
                got = cross_entropy(given, target, dim, reduction=reduction)
                assert_close(got, exact(x, np.asarray(target), dim, reduction=reduction), dtype)


def test_second_calls_with_a_target_out_of_range_are_refused(dtype: Any) -> None:
    x, good = logits((4, 5), dtype), np.array([0, 4, 2, 1])
    for _ in range(3):
        cross_entropy(x, good)
    for wrong in (-1, 5, -101, 2**40):
        with pytest.raises(ValueError, match=rf"target .*{wrong}.*0 to 4"):
            cross_entropy(x, np.array([0, 1, wrong, 2]))
    for index in (3, 0):  # the same targets, one of them ignored
        for _ in range(3):
            got = cross_entropy(x, np.array([0, 3, 2, 1]), ignore_index=index)
            assert_close(got, exact(x, np.array([0, 3, 2, 1]), 1, ignore_index=index), dtype)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_calls_with_no_target_that_counts(reduction: str, dtype: Any) -> None:
    x, y = logits((4, 5), dtype), np.array([0, 4, 2, 1])
    for _ in range(3):
        cross_entropy(x, y, reduction=reduction)
    y[...] = -100
    for _ in range(2):
        got = cross_entropy(x, y, reduction=reduction)
        wanted = {"mean": np.nan, "sum": 0.0, "none": np.zeros(4)}[reduction]
        assert np.array_equal(got, wanted, equal_nan=True)


def test_second_calls_with_too_few_targets_are_refused(dtype: Any) -> None:
    x, y = logits((4, 5), dtype), np.array([0, 4, 2, 1, 0])
    for _ in range(3):
        cross_entropy(x, y[:4])
    for targets_ in (y[:3], y, y[:1]):
        with pytest.raises(ValueError, match="target has the shape"):
            cross_entropy(x, targets_)


@pytest.mark.parametrize("kind", ["i8", "i4", "u1", "u8", ">i4"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_second_targets_may_be_of_another_dtype(kind: str, reduction: str) -> None:
    x = logits((38, 10), np.float32)
    for shift in range(3):
        classes = (np.arange(38) + shift) % 10
        wanted = cross_entropy(x, classes.tolist(), reduction=reduction)
        assert np.array_equal(cross_entropy(x, classes.astype(kind), reduction=reduction), wanted)
    beyond = np.array([10 if i == 5 else 0 for i in range(38)], kind)
    with pytest.raises(ValueError, match="target has the class 10"):
        cross_entropy(x, beyond, reduction=reduction)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "?", "i1", "u2", "i4", "u4", "i8", "u8"])
def test_the_second_logits_of_any_dtype(kind: str) -> None:
    x = (5 * np.abs(logits((38, 10), np.float32))).astype(kind)
    classes = np.arange(38) % 10
    for given in (x, x[::-1], x[:, ::-1]):
        wanted = -np.log(reference.softmax(given.astype(np.float64), 1)[np.arange(38), classes])
        for _ in range(3):
            losses = cross_entropy(given, classes, reduction="none")
            assert np.allclose(
                losses, wanted.astype(np.float64), rtol=4e-3 if kind == "f2" else 1e-6
            )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_recorded_calls(reduction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record_at_once(monkeypatch)
    forget()
    for shape, dim in (((8, 10), 1), ((10, 8), 0), ((4, 10, 6), 1), ((10,), 0), ((70, 10), 1)):
        x, y = array(shape), np.asarray(np.arange(math.prod(shape) // 10) % 10)
        y = y.reshape(targets(array(shape), dim).shape)
        for step in range(4):
            y[...] = (y + 3) % 10
            got = cross_entropy(x, y, dim, reduction=reduction)
            assert_close(got, exact(x, y, dim, reduction=reduction), np.float32)
            if step == 2:
                assert recorded() > 0
        if y.size > 1:
            ignored = np.where(y == y.flat[0], -100, y)
            for _ in range(2):
                got = cross_entropy(x, ignored, dim, reduction=reduction)
                assert_close(got, exact(x, ignored, dim, reduction=reduction), np.float32)
        for wrong in (10, -1, 2**40):
            y[...] = wrong
            with pytest.raises(ValueError, match=f"target has the class {wrong}"):
                cross_entropy(x, y, dim, reduction=reduction)
    forget()


def test_calls_with_an_index_of_their_own_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = array((8, 10)), np.arange(8) % 3
    record_at_once(monkeypatch)
    forget()
    for ignored in (-1, 77):
        for _ in range(3):
            assert cross_entropy(x, y, ignore_index=ignored) == cross_entropy(x, y)
    assert recorded() == 3
    forget()


@pytest.mark.parametrize(
    ("ignored", "wrong"), [(-100, 2**64 - 100), (-1, 2**64 - 1), (-(2**63), 2**63)]
)
def test_classes_that_are_no_int64_are_not_those_that_are_ignored(ignored: int, wrong: int) -> None:
    x, y = logits((4, 10), np.float32), np.array([1, 2, 3, 4], np.uint64)
    for _ in range(3):
        cross_entropy(x, y, reduction="none", ignore_index=ignored)
    y[3] = wrong
    for _ in range(2):
        with pytest.raises(ValueError, match=f"target has the class {wrong}"):
            cross_entropy(x, y, reduction="none", ignore_index=ignored)


def test_a_sum_of_few_is_exact() -> None:
    for count in (2, 8, 9, 64):
        x, y = logits((count, 5), np.float64, 20.0), np.arange(count) % 5
        losses = cross_entropy(x, y, reduction="none")
        for _ in range(3):
            assert cross_entropy(x, y, reduction="sum") == math.fsum(losses)
            assert cross_entropy(x[::-1], y[::-1]) == math.fsum(losses) / count


@pytest.mark.parametrize("count", [2, 100])
def test_sums_beyond_the_largest_number(count: int) -> None:
    for kind, largest in (("f2", 65000.0), ("f4", 3e38), ("f8", 1e308)):
        x = np.zeros((count, 2), kind)
        x[:, 0] = largest
        with np.errstate(all="raise"):
            for _ in range(3):
                assert cross_entropy(x, np.ones(count, int), reduction="sum") == np.inf
                if kind != "f8":
                    assert cross_entropy(x, np.ones(count, int)) == x[0, 0]
