"""The race itself: rounds interleaved among processes, each case computed by all contenders."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks import contenders, reference
from benchmarks.processes import Worker, WorkerDied, WorkerError, as_json
from benchmarks.results import MODES, Cell, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.workloads import Case

LEAST_ROUNDS = 3
"""Rounds that a contender takes part in, however slow it is."""
# A contender holds the input, its own copy of it, a result, and an `out`.
_ARRAYS = 4
_MEMORY_SHARE = 0.7


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a race is run."""

    threads: int
    budget: float = 600.0
    """Seconds of timing for all cells together."""
    rounds: int = 15
    modes: tuple[str, ...] = MODES
    plugins: tuple[str, ...] = ()


class Field:
    """The processes of the contenders that are there, for as long as a race lasts."""

    def __init__(self, names: Sequence[str], settings: Settings) -> None:
        self.settings = settings
        self.workers: dict[str, Worker] = {}
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        for name in names:
            self._start(name)

    def _start(self, name: str) -> None:
        if not contenders.named(name).available():
            self.missing[name] = "not installed"
            return
        worker = Worker(name, self.settings.threads, self.settings.plugins)
        try:
            self.versions[name] = worker.ask("describe")["version"]
        except WorkerError as problem:
            self.missing[name] = str(problem)
            worker.close()
        else:
            self.workers[name] = worker

    def restart(self, name: str) -> None:
        """Replace a process that died."""
        self.workers.pop(name).close()
        self._start(name)

    def layer(self) -> str:
        """The threading layer that fastsoftmax used."""
        worker = self.workers.get("fastsoftmax")
        return str(worker.ask("layer")) if worker else ""

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def __enter__(self) -> Field:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def too_large(case: Case, count: int) -> bool:
    """Whether the arrays of so many contenders are more than memory holds."""
    return bool(case.nbytes * _ARRAYS * count > _MEMORY_SHARE * psutil.virtual_memory().available)


def race(
    field: Field, cases: Sequence[Case], done: Callable[[str], None] = lambda _: None
) -> list[Cell]:
    """Measure all cases; `done` is told each before it begins."""
    cells = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            done(case.key)
            budget = field.settings.budget / len(cases)
            cells.append(_cell(field, case, budget, Path(folder) / "sample.npz"))
    return cells


def _cell(field: Field, case: Case, budget: float, file: Path) -> Cell:
    cell = Cell(
        key=case.key,
        workload=case.workload,
        source=case.source,
        group=case.group,
        shape=list(case.shape),
        dim=case.dim,
        dtype=case.dtype,
        layout=case.layout,
        entries=[],
    )
    if too_large(case, len(field.workers)):
        cell["entries"] = [
            _lost(name, mode, "refused", "more than this machine's memory")
            for name in field.workers
            for mode in field.settings.modes
        ]
        return cell
    judged = not (case.dtype == "float64" and not reference.is_extended())
    if judged:
        reference.sample(case.array(), case.dim).save(str(file))
    runs = [_Run(field, name, case, str(file) if judged else "") for name in list(field.workers)]
    _interleave([run for run in runs if run.modes], budget, field.settings.rounds)
    for run in runs:
        cell["entries"] += run.entries()
        run.release()
    return cell


class _Run:
    """One contender in one cell."""

    def __init__(self, field: Field, name: str, case: Case, sample: str) -> None:
        self._field = field
        self.name = name
        self.modes: dict[str, dict[str, Any]] = {}
        self._turns: dict[str, list[dict[str, Any]]] = {}
        self._lost: list[Entry] = []
        able = contenders.named(name)
        wanted = [mode for mode in field.settings.modes if mode != "out" or able.into_out]
        refusal = able.refusal(case)
        if refusal:
            self._lost = [_lost(name, mode, "refused", refusal) for mode in wanted]
            return
        try:
            answer = self._worker.ask("prepare", case=as_json(case), sample=sample, modes=wanted)
        except WorkerError as problem:
            self.fail(problem, wanted)
            return
        for mode, found in answer.items():
            if found.get("wrong"):
                detail = f"off by {found.get('max_ulp', math.nan):.3g} ULP"
                self._lost.append(_lost(name, mode, "wrong", detail))
            else:
                self.modes[mode] = found
                self._turns[mode] = []
        self._worker.settle()

    @property
    def _worker(self) -> Worker:
        return self._field.workers[self.name]

    @property
    def cost(self) -> float:
        """Seconds of one call by each mode."""
        return float(sum(found["seconds"] for found in self.modes.values()))

    def turn(self, seconds: float) -> None:
        """Have a turn that takes about so long."""
        try:
            answer = self._worker.ask("turn", seconds=seconds / len(self.modes))
        except WorkerError as problem:
            self.fail(problem, list(self.modes))
            return
        for mode, timed in answer.items():
            self._turns[mode].append(timed)
        self._worker.settle()

    def fail(self, problem: WorkerError, modes: list[str]) -> None:
        """Take no further part in this cell."""
        died = isinstance(problem, WorkerDied)
        status = "died" if died else "refused"
        self._lost += [_lost(self.name, mode, status, str(problem)) for mode in modes]
        self.modes, self._turns = {}, {}
        if died:
            self._field.restart(self.name)

    def release(self) -> None:
        """Let go of the arrays."""
        if self.name in self._field.workers:
            self._worker.ask("release")

    def entries(self) -> list[Entry]:
        """What came of it, by mode."""
        timed = [
            summary(self.name, mode, turns, self.modes[mode].get("max_ulp"))
            for mode, turns in self._turns.items()
            if turns
        ]
        return timed + self._lost


def _lost(name: str, mode: str, status: str, detail: str) -> Entry:
    return Entry(contender=name, mode=mode, status=status, detail=detail)


def _interleave(runs: list[_Run], budget: float, rounds: int) -> None:
    """Rounds in which each has a turn, in an order drawn anew; the slow sit some out."""
    if not runs:
        return
    share = budget / len(runs)
    order = random.Random(0)
    for number in range(rounds):
        order.shuffle(runs)
        for run in runs:
            # What is over when `number` rounds have cost as much as they must.
            affordable = number < LEAST_ROUNDS or number * run.cost < share
            if run.modes and affordable:
                run.turn(share / rounds)


def summary(name: str, mode: str, turns: list[dict[str, Any]], max_ulp: float | None) -> Entry:
    """The figures of a contender's rounds."""
    minima = [turn["minimum"] for turn in turns]
    entry = Entry(
        contender=name,
        mode=mode,
        status="timed",
        minimum=min(minima),
        median=statistics.median(turn["median"] for turn in turns),
        spread=spread(minima),
        rounds=minima,
        calls=sum(turn["calls"] for turn in turns),
        faults=statistics.median(turn["faults"] for turn in turns),
    )
    if max_ulp is not None:
        entry["max_ulp"] = max_ulp
    return entry


def spread(minima: list[float]) -> float:
    """The middle half of the rounds' minima, as a share of their median."""
    if len(minima) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(minima, n=4, method="inclusive")
    return (high - low) / middle
