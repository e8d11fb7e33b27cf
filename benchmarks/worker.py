"""A process of one contender: waits for a line of JSON, does what it says, answers with one.

The process of a race lives as long as the race and sleeps while others have their turn.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import json
import os
import statistics
import sys
import time
from itertools import repeat
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from benchmarks import contenders, memory_use, reference
from benchmarks.workloads import Case

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.contenders import Contender

BATCH_SECONDS = 100e-6
"""Calls are timed in batches that last at least so long; the clock costs less than 0.1 %."""
LONG_SECONDS = 0.05
"""Calls longer than this get no untimed call at the start of a turn."""


@dataclasses.dataclass
class Mode:
    """One way of calling that is timed."""

    call: Callable[[], Any]
    batch: int
    seconds: float


class Prepared:
    """A contender's calls for one case, checked."""

    def __init__(self, contender: Contender, case: Case, sample: reference.Sample | None) -> None:
        array = case.array()
        self.calls = contender.prepare(array, case.dim)
        self.case = case
        self.modes: dict[str, Mode] = {}
        self.report: dict[str, Any] = {}
        self._sample = sample
        self._copied = array if contender.kind == contenders.LIMIT else None

    def check(self, modes: list[str]) -> dict[str, Any]:
        """Compute once by each mode and compare; keep what is right to be timed."""
        for mode in modes:
            call = self._call(mode)
            if call is None:
                continue
            result = call()
            answer = self._judge(result if call is self.calls.fresh else self.calls.target)
            del result
            if not answer.get("wrong"):
                self.modes[mode] = _calibrated(call)
                answer["seconds"] = self.modes[mode].seconds
            self.report[mode] = answer
        return self.report

    def _call(self, mode: str) -> Callable[[], Any] | None:
        """The call of a mode; "either" is into an existing array where that can be."""
        if mode == "fresh":
            return self.calls.fresh
        return self.calls.out or (self.calls.fresh if mode == "either" else None)

    def _judge(self, result: Any) -> dict[str, Any]:
        if self._copied is not None:
            return {"wrong": not np.array_equal(self.calls.to_numpy(result), self._copied)}
        if self._sample is None:
            return {}
        found = self._sample.of(self.calls.to_numpy(result), self.case.dim)
        return reference.errors(found, self._sample.expected, self.case.dtype)._asdict()

    def errors(self) -> dict[str, Any]:
        """Compute once and judge the elements and the sums."""
        result = self.calls.fresh()
        moved = np.moveaxis(self.calls.to_numpy(result), self.case.dim, -1)
        sums = reference.sum_error(moved.reshape(-1, moved.shape[-1]))
        return {**self._judge(result), "sum_error": sums}


def _calibrated(call: Callable[[], Any]) -> Mode:
    """How many calls make a batch, and what one costs."""
    batch = 1
    while True:
        seconds = _timed(call, batch)
        if seconds * batch >= BATCH_SECONDS:
            return Mode(call, batch, seconds)
        batch = max(2 * batch, min(64 * batch, int(BATCH_SECONDS / max(seconds, 1e-9)) + 1))


def _timed(call: Callable[[], Any], batch: int) -> float:
    """Seconds a call; each result is dropped before the next call begins."""
    start = time.perf_counter()
    for _ in repeat(None, batch):
        call()
    return (time.perf_counter() - start) / batch


def turn(mode: Mode, seconds: float) -> dict[str, Any]:
    """Time calls for some seconds, at least one batch."""
    if mode.seconds < LONG_SECONDS:
        mode.call()
    faults = memory_use.page_faults()
    samples = []
    end = time.perf_counter() + seconds
    while True:
        samples.append(_timed(mode.call, mode.batch))
        if time.perf_counter() >= end:
            break
    count = len(samples) * mode.batch
    return {
        "minimum": min(samples),
        "median": statistics.median(samples),
        "calls": count,
        "faults": (memory_use.page_faults() - faults) / count,
    }


class Worker:
    """The commands, by name."""

    def __init__(self, contender: Contender, threads: int) -> None:
        self._contender = contender
        contender.start(threads)
        self._prepared: Prepared | None = None

    def describe(self) -> dict[str, Any]:
        """Import the package and tell what it is."""
        importlib.import_module(self._contender.package)
        return {"version": self._contender.version()}

    def prepare(self, case: dict[str, Any], sample: str, modes: list[str]) -> dict[str, Any]:
        """Make the input, compute once and compare."""
        self.release()
        judged = reference.Sample.load(sample) if sample else None
        self._prepared = Prepared(self._contender, _case(case), judged)
        return self._prepared.check(modes)

    def errors(self, case: dict[str, Any], sample: str) -> dict[str, Any]:
        """Compute once and judge, the sums too."""
        self.release()
        self._prepared = Prepared(self._contender, _case(case), reference.Sample.load(sample))
        return self._prepared.errors()

    def turn(self, seconds: float) -> dict[str, Any]:
        """Time each mode for some seconds."""
        return {name: turn(mode, seconds) for name, mode in self._now.modes.items()}

    def layer(self) -> str:
        """Numba's threading layer, if it has one by now."""
        numba = sys.modules.get("numba")
        try:
            return str(numba.threading_layer()) if numba else ""
        except ValueError:
            return ""

    def release(self) -> None:
        """Let go of the memory of the case."""
        if self._prepared is not None:
            self._prepared = None
            gc.collect()

    @property
    def _now(self) -> Prepared:
        if self._prepared is None:
            raise ValueError("no case is prepared")
        return self._prepared


def _case(content: dict[str, Any]) -> Case:
    return Case(**{**content, "shape": tuple(content["shape"])})


def serve(name: str, threads: int, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more.

    Python's garbage collector runs between cases only, as in `timeit`.
    """
    gc.disable()
    worker: Worker | None = None
    for line in requests:
        request = json.loads(line)
        try:
            worker = worker or Worker(contenders.named(name), threads)
            value = getattr(worker, request.pop("do"))(**request)
            answer = {"value": value}
        except Exception as problem:  # a peer may refuse by any exception
            answer = {"error": f"{type(problem).__name__}: {problem}".splitlines()[0][:200]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Serve on the standard streams; what libraries print goes to standard error."""
    name, threads, cpus, *files = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, map(int, cpus.split(",")))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for file in files:
        contenders.load(file)
    serve(name, int(threads), sys.stdin, answers)


if __name__ == "__main__":
    main()
