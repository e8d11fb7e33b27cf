"""Calls that are recorded: recognised by machine code, and no others taken for them.

What the results should be is what the same calls gave before they were recorded, which all
other tests compare with references.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from arrays import Layout, logits
from recalls import array, direct, forget, recorded, settled

from fastsoftmax import (
    _calling,
    _records,
    log_softmax,
    logsumexp,
    softmax,
    softmax_backward,
    softmin,
)

pytestmark = pytest.mark.usefixtures("_calls_recorded_at_once")
FUNCTIONS = [softmax, softmin, log_softmax]
# Shapes with a direct call and with a way: a kernel for few classes, short rows, columns, threads.
SHAPES = [(3,), (2, 3), (128, 10), (7, 100), (2, 3, 4, 5), (300, 100), (2, 1, 2, 1, 3)]


# --- The same calls -----------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_bits_as_before(function: Any, shape: Any, dtype: Any) -> None:
    for dim in (0, -1):
        x = array(shape, dtype)
        fresh = settled(function, x, dim)
        assert fresh is not settled(function, x, dim)
        out = np.empty_like(x)
        assert settled(function, x, dim, out=out) is out
        assert np.array_equal(out, fresh)
        # Other numbers in the same places.
        y = x + np.linspace(-2, 2, x.size, dtype=dtype).reshape(x.shape)
        again = function(y, dim)
        forget()
        assert np.array_equal(again, function(y, dim))
        x[...] = y
        assert function(x, dim, out=x) is x
        assert np.array_equal(x, again)
        for _ in range(3):
            x[...] = y
            function(x, dim, out=x)
        assert np.array_equal(x, again)


def test_small_calls_are_direct_and_others_have_ways() -> None:
    x = array((4, 5))
    for count, call in enumerate(
        [
            lambda: softmax(x, 1),
            lambda: softmax(x, 1, out=x),
            lambda: softmax(x, axis=1),
            lambda: softmax(x, (0, 1)),
            lambda: log_softmax(x, 1),
            lambda: softmax(x, 1, temperature=2.0),
            lambda: softmax(x, 1, where=x > 0),
            lambda: softmax(x.astype(np.float16), 1),
            lambda: softmax_backward(x, x, 1),
        ],
        1,
    ):
        for _ in range(3):
            call()
        assert recorded() == direct() == count
    y = array((300, 1000))
    settled(softmax, y, 1)
    settled(softmax, x, 1, dtype=np.float64)
    assert (recorded(), direct()) == (count + 2, count)
    z = array((6000, 1000))  # so large that it makes no difference
    settled(softmax, z, 1)
    assert recorded() == count + 2


def test_every_layout(layout: Layout, dtype: Any) -> None:
    for length in (2, 10, 100):
        slices = logits((12, length), dtype, 3.0)
        x = layout.of(slices)
        result = settled(softmax, x, layout.dim)
        out = layout.place(np.zeros_like(slices))
        if not out.flags.writeable:  # of elements that are repeated
            out = np.zeros_like(x)
        assert np.array_equal(settled(softmax, x, layout.dim, out=out), result)


def test_more_calls_than_records() -> None:
    shapes = itertools.product(range(1, 80), (2, 3))
    cases = [(array(shape), dim) for shape in shapes for dim in (0, 1)]
    wanted = [softmax(x, dim) for x, dim in cases]
    for _ in range(3):
        for (x, dim), right in zip(cases, wanted, strict=True):
            assert np.array_equal(softmax(x, dim), right)
    assert _records.MOST_RECORDS / 2 < recorded() <= _records.MOST_RECORDS < len(cases)


def test_elements_that_are_not_aligned_are_left_to_ways() -> None:
    memory = np.zeros(4 * 20 + 1, np.uint8)
    x = memory[1:].view(np.float32).reshape(4, 5)
    x[...] = array((4, 5))
    for more in ({}, {"where": np.ones((4, 5), bool)}):
        softmax(x.copy(), 1, **more)
        settled(softmax, x, 1, **more)
    assert recorded() == 2
    assert direct() == 0


def test_recorded_calls_are_recalled(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found where they were put, that is, whatever their strides, arrays and other arguments."""
    x = layout.of(logits((12, 10), np.float32, 3.0))
    if x.ndim > _records.MOST_DIMS:
        return
    out, shown = np.zeros_like(x), np.ones(x.shape, bool)
    calls = [
        lambda: softmax(x, layout.dim),
        lambda: softmax(x, layout.dim, out=out),
        lambda: softmax(x, axis=layout.dim),
        lambda: softmax(x, layout.dim, np.float64),
        lambda: softmax(x, layout.dim, where=shown),
        lambda: softmax(x, layout.dim, where=shown, out=out),
        lambda: softmax(x, layout.dim, temperature=2.0, workers=1),
        lambda: softmax(x, layout.dim, return_lse=True),
        lambda: softmax_backward(x, out, layout.dim),
        lambda: logsumexp(x, layout.dim),
        lambda: logsumexp(x, layout.dim, keepdim=True),
    ]

    def not_recalled(*_: Any) -> Any:
        raise AssertionError("the call was not recalled")

    for call in calls:
        for _ in range(3):
            call()
        with monkeypatch.context() as patched:
            patched.setattr(_calling, "known", not_recalled)
            call()


def test_equal_calls_of_other_objects_take_one_place() -> None:
    x = array((4, 5))
    for _ in range(5):
        settled(softmax, x, 1, temperature=float("2.0"))
    assert recorded() == 1


# --- Other calls --------------------------------------------------------------------------


def test_what_is_not_the_same() -> None:
    """Each differs from the recorded call in one thing."""
    x = array((6, 6))
    others: list[tuple[Any, Any]] = [
        (x.astype(np.float64), 1),
        (x.astype(">f4"), 1),
        (x.T, 1),
        (x[::-1], 1),
        (x[:5], 1),
        (x[:, :5], 1),
        (x[:, None], 1),
        (x.ravel(), 0),
        (x, 0),
        (x, None),
        (x, (0, 1)),
        (x.tolist(), 1),
        (x.astype(np.int32), 1),
        (np.broadcast_to(x[0], (6, 6)), 1),
    ]
    for other, dim in others:
        settled(softmax, x, 1)
        settled(softmax, x, 1, out=np.empty_like(x))
        result = softmax(other, dim)
        forget()
        copy = np.array(other)
        right = softmax(copy.astype(np.result_type(copy, np.float32)), dim)
        assert np.array_equal(result, right), (other, dim)
        assert result.dtype == right.dtype
    settled(softmax, x, 1)
    assert not np.array_equal(log_softmax(x, 1), softmax(x, 1))


def test_subclasses_are_no_arrays() -> None:
    x = array((6, 6))
    settled(softmax, x, 1)
    masked = np.ma.masked_array(x, np.eye(6, dtype=bool))
    result = softmax(masked, 1)
    assert isinstance(result, np.ma.MaskedArray)
    assert np.allclose(result.sum(1), 1)


@pytest.mark.parametrize("bad", [True, np.bool_(True), 1.0, "1", 2, -3, 1 << 70, None, object()])
def test_wrong_arguments_are_refused_as_ever(bad: Any) -> None:
    x = array((6, 6))
    settled(softmax, x, 1)
    if bad is not None:
        with pytest.raises((TypeError, ValueError)):
            softmax(x, bad)
    for name in ("dtype", "out", "temperature", "workers"):
        if not (bad is None and name != "temperature") and (bad, name) not in {
            (1.0, "temperature"),
            (2, "temperature"),
            (2, "workers"),
            (1 << 70, "temperature"),
            (1 << 70, "workers"),
        }:
            with pytest.raises((TypeError, ValueError)):
                softmax(x, 1, **{name: bad})
    with pytest.raises(TypeError):
        softmax(x)
    for nothing in (5, "abc", object(), {}):
        with pytest.raises((TypeError, ValueError)):
            softmax(nothing, 1)


def test_out_is_checked_each_time() -> None:
    x, out = array((6, 6)), np.zeros((6, 6), np.float32)
    right = settled(softmax, x, 1, out=out).copy()
    for wrong in (np.zeros((6, 5), np.float32), np.zeros((6, 6), int), np.zeros(36, np.float32)):
        with pytest.raises((TypeError, ValueError)):
            softmax(x, 1, out=wrong)
        assert not wrong.any()
    out[...] = 7
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        softmax(x, 1, out=out)
    assert (out == 7).all()
    for other in (np.zeros((6, 6)), np.zeros((6, 12), np.float32)[:, ::2], np.zeros((6, 6), "f2")):
        assert np.allclose(softmax(x, 1, out=other), right, atol=1e-3)


@pytest.mark.parametrize("shape", [(600, 6), (90, 40)])
@pytest.mark.parametrize("shift", [-3600, -3599, -360, -1, 0, 1, 40, 360, 3599, 3600])
def test_out_may_come_to_overlap_the_input(shape: Any, shift: int) -> None:
    memory = np.zeros(3 * 3600, np.float32)
    x = memory[3600:7200].reshape(shape)
    for dim in (0, 1):
        x[...] = array(shape)
        right = settled(softmax, x.copy(), dim, out=np.empty_like(x)).copy()
        out = memory[3600 + shift : 7200 + shift].reshape(shape)
        assert softmax(x, dim, out=out) is out
        assert np.array_equal(out, right)


def assert_overlap_is_seen(memory: Any, x: Any, out: Any) -> None:
    """By the record of a call whose `out` is apart and lies alike; both are parts of `memory`."""
    forget()
    right = softmax(x.copy(), 1)
    apart = np.zeros_like(memory)
    begin = out.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    twin = np.ndarray(out.shape, out.dtype, apart, begin, out.strides)
    assert np.array_equal(settled(softmax, x, 1, out=twin), right)
    before = memory.copy()
    assert np.array_equal(softmax(x, 1, out=out), right)
    memory[...] = before


@pytest.mark.parametrize("shift", [-2400, -400, -6, 6, 400, 2400])
def test_overlap_of_larger_arrays_that_run_backwards(shift: int) -> None:
    """What is written first is read last, by kernels that don't read all of it before."""
    size, shape = 3600, (600, 6)
    memory = array(3 * size)

    def views(begin: int) -> list[Any]:
        part = memory[begin : begin + size]
        return [part.reshape(shape), part[::-1].reshape(shape), part.reshape(shape)[::-1]]

    for x, out in itertools.product(views(size), views(size + shift)):
        assert_overlap_is_seen(memory, x, out)


@pytest.mark.parametrize("count", [6, 60, 100])
def test_out_may_be_the_input_transposed(count: int, dtype: Any) -> None:
    x = array((count, count), dtype)
    wanted = softmax(x, 1).copy()
    settled(softmax, x, 1, out=np.empty_like(x).T)
    softmax(x, 1, out=x.T)
    assert np.array_equal(x.T, wanted)


def test_out_may_be_the_memory_of_integers() -> None:
    """Which have to be there still when they turn out to be too large."""
    y = np.arange(20).reshape(4, 5)
    settled(softmax, y, 1, out=np.empty(y.shape))
    large = y + 2**60
    wanted = softmax(large, 1)
    y[...] = large
    out = y.view(np.float64)
    assert np.array_equal(softmax(y, 1, out=out), wanted)


def test_overlap_is_seen_whatever_the_strides() -> None:
    memory = array(400)
    for x, out in itertools.permutations(
        [
            memory[:36].reshape(6, 6),
            memory[:72:2].reshape(6, 6),
            memory[35::-1].reshape(6, 6),
            memory[20:56].reshape(6, 6).T,
            memory[100:172].reshape(6, 12)[:, 3:9],
            memory[103:175].reshape(6, 12)[:, 3:9],
        ],
        2,
    ):
        assert_overlap_is_seen(memory, x, out)
