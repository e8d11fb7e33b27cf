"""Recorded calls that threads share: launched by machine code, with no step through Python."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from recalls import array, direct, launched, recorded, settled, wrong_together

from fastsoftmax import (
    _launch,
    _loops,
    _records,
    log_softmax,
    softmax,
    softmax_backward,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Array = np.ndarray[Any, Any]
SHAPE = 300, 200


@pytest.fixture(autouse=True)
def _launches(_calls_recorded_at_once: None) -> Iterator[Array]:
    """Whatever launches cost; calls are launched where the layer survives other threads."""
    softmax(np.zeros((1000, 1000), np.float32), 1)
    if not _launch.survives_threads() or _launch.threads_for(2, 1e9, None) < 2:
        pytest.skip("calls are not launched here")
    memory = _launch._started.team.memory  # type: ignore[union-attr]
    wake, memory[_loops.WAKE] = int(memory[_loops.WAKE]), -(2**62)
    yield memory
    memory[_loops.WAKE] = wake


@pytest.fixture
def team(_launches: Array) -> Array:
    """The words that threads share."""
    return _launches


def calls(x: Array) -> list[Callable[..., Array]]:
    """Calls of kernels with two operands and with more."""
    mask, temperature = x > 0, np.float32(0.5)
    return [
        lambda **more: softmax(x, 1, **more),
        lambda **more: softmax(x, 0, **more),
        lambda **more: log_softmax(x, 1, **more),
        lambda **more: softmax(x, 1, where=mask, **more),
        lambda **more: softmax(x, 1, temperature=2.0, **more),
        lambda **more: softmax(x, 1, where=mask, temperature=temperature, **more),
        lambda **more: softmax_backward(x, x, 1, **more),
    ]


def test_calls_that_are_worth_threads_are_launched(team: Array) -> None:
    x = array(SHAPE)
    for count, call in enumerate(calls(x), 1):
        alone = call(workers=1)
        fresh = settled(call)
        out = np.empty_like(x)
        assert settled(call, out=out) is out
        assert launched() == 2 * count
        before = int(team[_loops.LAUNCHES])
        again = call()
        assert call(out=out) is out
        assert team[_loops.LAUNCHES] == before + 2
        for result in (fresh, again, out):
            assert np.array_equal(result, alone, equal_nan=True)


def test_results_in_place_of_their_inputs() -> None:
    x = array(SHAPE)
    wanted = softmax(x, 1, workers=1)
    for _ in range(5):
        y = x.copy()
        assert softmax(y, 1, out=y) is y
        assert np.array_equal(y, wanted)
    assert launched() == 1


def test_small_calls_have_no_threads_and_large_results_python() -> None:
    settled(softmax, array((40, 50)), 1)
    assert (recorded(), direct(), launched()) == (1, 1, 0)
    settled(softmax, array((2000, 200)), 1)  # of more than a MiB, in memory of our own
    assert (recorded(), direct(), launched()) == (2, 1, 0)
    out = np.empty((2000, 200), np.float32)
    settled(softmax, array((2000, 200)), 1, out=out)
    assert (recorded(), direct(), launched()) == (3, 1, 1)


def test_a_call_that_is_not_launched_goes_its_way(team: Array) -> None:
    x, out = array(SHAPE), np.empty(SHAPE, np.float32)
    for call in calls(x):
        wanted = settled(call)
        settled(call, out=out)
        team[_loops.LAUNCHING] = 1  # as if another thread did
        try:
            before = int(team[_loops.LAUNCHES])
            assert np.array_equal(call(), wanted)
            assert np.array_equal(call(out=out), wanted)
            assert team[_loops.LAUNCHES] == before
        finally:
            team[_loops.LAUNCHING] = 0


def test_a_call_that_is_asked_for_twice_counts_once(team: Array) -> None:
    x = array(SHAPE)
    settled(softmax, x, 1)
    (way,) = [owner[1] for owner in _records.owners if owner is not None]
    job, _ = vars(way)["recorded"]
    team[_loops.WAKE] = 2**62
    for _ in range(50):
        softmax(x, 1)
        first = int(team[_loops.BALANCE])
        softmax(x, 1)
        gained = int(team[_loops.BALANCE]) - first
        if gained > 0:  # else the call came too late to follow the other
            assert gained == job[_loops.COST] // 2
            return
    raise AssertionError("calls never followed one another")


def test_nothing_is_kept_or_lost(team: Array) -> None:
    x, out = array(SHAPE), np.empty(SHAPE, np.float32)
    settled(softmax, x, 1)
    settled(softmax, x, 1, out=out)
    watched = [x, out, *[owner[1] for owner in _records.owners if owner is not None]]
    before = [sys.getrefcount(each) for each in watched]
    for refused in (0, 1):
        team[_loops.LAUNCHING] = refused
        for _ in range(300):
            result = softmax(x, 1)
            softmax(x, 1, out=out)
        assert sys.getrefcount(result) == 2
    team[_loops.LAUNCHING] = 0
    assert [sys.getrefcount(each) for each in watched] == before


def test_an_error_of_the_allocation_is_raised() -> None:
    x = array(SHAPE)
    settled(softmax, x, 1)

    def none_left(*_: Any) -> None:
        raise MemoryError("none left")

    (number,) = np.flatnonzero(_records.records[1:, _records.RANK_AT]) + 1
    _records.records[number, _records.MAKE_AT] = id(none_left)
    for _ in range(3):
        with pytest.raises(MemoryError, match="none left"):
            softmax(x, 1)


def test_a_record_that_is_replaced_during_the_allocation() -> None:
    x = array(SHAPE)
    wanted = settled(softmax, x, 1)
    (number,) = np.flatnonzero(_records.records[1:, _records.RANK_AT]) + 1
    kept = _records.records[number].copy()

    def replaced(*given: Any) -> Any:
        _records.records[number, _records.OWNER_AT] = id(None)
        return np.empty(*given)

    for _ in range(3):
        _records.records[number] = kept
        _records.records[number, _records.MAKE_AT] = id(replaced)
        assert np.array_equal(softmax(x, 1), wanted)
    _records.records[number] = kept


def test_other_python_threads_run_meanwhile() -> None:
    x, out = array((3000, 1000)), np.empty((3000, 1000), np.float32)
    counted = itertools.count()
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            next(counted)
            time.sleep(0)

    for _ in range(5):
        softmax(x, 1, out=out)
    assert launched() == 1
    thread = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(100.0)  # nobody is made to let others run
    try:
        thread.start()
        for _ in range(200):
            softmax(x, 1, out=out)
        stop.set()
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert next(counted) > 10


def test_threads_that_launch_and_record_at_the_same_time() -> None:
    cases = [(array((n, 200)), dim) for n in range(150, 300, 11) for dim in (0, 1)]
    wanted = [softmax(x, dim, workers=1) for x, dim in cases]
    assert wrong_together(cases, wanted, 1000) == []
