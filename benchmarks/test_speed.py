"""A quick look at speed: ``pytest benchmarks``, with ``-k`` to choose.

All contenders share one process here and are timed one after the other; ``python -m
benchmarks`` gives each its own and interleaves them, and is the one to trust.
"""

from __future__ import annotations

import functools
import os
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import reference
from benchmarks.contenders import CONTENDERS, LIMIT
from benchmarks.workloads import QUICK, Case, card

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from benchmarks.contender import Calls, Contender

SECONDS = 0.15
"""Of timing a test, about."""
MOST_ROUNDS = 200
BATCH_SECONDS = 50e-6


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Cross cells, modes and contenders, as far as they can do it."""
    every = metafunc.config.getoption("--card")
    cases = card() if every else card(QUICK, ["float32"])
    parameters = [
        pytest.param(contender, case, mode, id=f"{case.key}-{mode}-{contender.name}")
        for case in cases
        for mode in ("fresh", "out")
        for contender in CONTENDERS
        if contender.available() and not contender.refusal(case)
        if mode == "fresh" or contender.into_out
    ]
    metafunc.parametrize(("contender", "case", "mode"), parameters)


@functools.lru_cache(maxsize=1)
def _input(case: Case) -> tuple[Any, reference.Sample]:
    """The array, and what some slices of its softmax are."""
    array = case.array()
    return array, reference.sample(array, case.dim, 1 << 14)


@functools.cache
def _started(contender: Contender) -> Contender:
    """The contender on all CPUs."""
    contender.start(os.cpu_count() or 1)
    return contender


def _prepared(contender: Contender, case: Case) -> Calls:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what peers warn of while they start
        return _started(contender).prepare(_input(case)[0], case.dim)


def test_speed(benchmark: BenchmarkFixture, contender: Contender, case: Case, mode: str) -> None:
    """Check a contender's result, then time it."""
    calls = _prepared(contender, case)
    call = calls.fresh if mode == "fresh" else calls.out
    assert call is not None
    result = call()
    array, sample = _input(case)
    found = calls.to_numpy(result if mode == "fresh" else calls.target)
    if contender.kind == LIMIT:
        assert (found == array).all()
    else:
        assert not reference.errors(sample.of(found, case.dim), sample.expected, case.dtype).wrong
    del result, found
    benchmark.group = f"{case.key}, {mode}"
    benchmark.extra_info["contender"] = contender.name
    seconds = min(_timed(call) for _ in range(3))
    batch = max(1, int(BATCH_SECONDS / seconds))
    rounds = int(SECONDS / (seconds * batch))
    pedantic: Any = benchmark.pedantic
    pedantic(call, iterations=batch, rounds=max(2, min(rounds, MOST_ROUNDS)))


def _timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
