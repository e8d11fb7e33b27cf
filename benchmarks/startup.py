"""``python -m benchmarks startup``: import time, and time to the first result."""

from __future__ import annotations

import statistics
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks import contenders, machine, options, part_tables, race
from benchmarks.processes import WorkerError, as_json, ask_once
from benchmarks.workloads import Case

if TYPE_CHECKING:
    import argparse

HELP = "import time, and time to the first result in a new process"
CACHE_VARIABLE = "FASTSOFTMAX_CACHE_DIR"
RUNS, COLD_RUNS = 7, 3
CASES = (
    Case("rows", "", (1000, 1000), 1),
    Case("few classes", "", (1000, 10), 1),
    Case("columns", "", (1000, 1000), 0),
)
POLICY = (
    "Each figure is from new processes that have imported NumPy and nothing else; files are in "
    "the system's cache. Import: of the package. First result: from before the import to the "
    "result, the making of tensors, models and compiled code in between. Cold: fastsoftmax "
    "finds an empty cache folder and compiles; warm: it finds what an earlier process "
    "compiled. Medians; runs are interleaved."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_contenders(parser)
    parser.add_argument("--rounds", type=options.positive, default=RUNS, metavar="N")
    parser.add_argument("--quick", action="store_true", help="two rounds, one case")
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, save."""
    chosen = options.chosen(arguments, {"fastsoftmax-serial": False})
    names = [name for name in chosen if contenders.named(name).kind != contenders.LIMIT]
    rounds = 2 if arguments.quick else arguments.rounds
    cases = CASES[:1] if arguments.quick else CASES
    section = measured(names, cases, rounds, arguments.threads, arguments.plugins)
    race.render(part_tables.startup(section))
    options.save(arguments.output, "startup", section)
    return 0


class _Startup:
    """Runs of all kinds, collected."""

    def __init__(self, threads: int, plugins: list[str]) -> None:
        self._threads = threads
        self._plugins = plugins
        self.found: dict[tuple[str, str], list[float]] = {}

    def add(self, name: str, what: str, folder: str, case: Case | None = None) -> None:
        """Run one process and keep its seconds."""
        request: dict[str, Any] = {"name": name, "plugins": self._plugins}
        if case is None:
            request["what"] = "import"
        else:
            request |= {"what": "first", "case": as_json(case), "threads": self._threads}
        answer = ask_once(request, self._threads, **{CACHE_VARIABLE: folder})
        self.found.setdefault((name, what), []).append(answer["seconds"])


def measured(
    names: list[str], cases: tuple[Case, ...], rounds: int, threads: int, plugins: list[str]
) -> dict[str, Any]:
    """Measure and return the section of the results file."""
    watch = machine.Watch()
    here = [name for name in names if contenders.named(name).available()]
    missing = {name: "not installed" for name in names if name not in here}
    runs = _Startup(threads, plugins)
    with tempfile.TemporaryDirectory() as warm, options.progress("startup", 2 + rounds) as step:
        step("warming up")
        for name in list(here):
            problem = _trial(runs, name, cases, warm)
            if problem:
                here.remove(name)
                missing[name] = problem
        step("cold")
        for _ in range(min(COLD_RUNS, rounds)):
            _cold(runs, here, cases)
        for number in range(rounds):
            step(f"round {number + 1}")
            for name in here:
                runs.add(name, "import", warm)
                for case in cases:
                    runs.add(name, f"warm, {case.workload}", warm, case)
    versions = {name: contenders.named(name).version() for name in here}
    return {
        **options.header(watch, threads, versions, missing),
        "policy": POLICY,
        "cases": {case.workload: f"{case.shape} float32, dim {case.dim}" for case in cases},
        "rows": [
            {"contender": name, "what": what, "seconds": statistics.median(seconds)}
            for (name, what), seconds in runs.found.items()
            if what != "unused" and name in here
        ],
    }


def _trial(runs: _Startup, name: str, cases: tuple[Case, ...], warm: str) -> str:
    """Fill caches; the problem of a contender that cannot take part."""
    try:
        for case in cases:
            runs.add(name, "unused", warm, case)
    except WorkerError as problem:
        return str(problem)
    return ""


def _cold(runs: _Startup, names: list[str], cases: tuple[Case, ...]) -> None:
    """The first result ever; only we keep compiled code."""
    for name in names:
        if contenders.named(name).kind == contenders.OURS:
            for case in cases:
                with tempfile.TemporaryDirectory() as empty:
                    runs.add(name, f"cold, {case.workload}", empty, case)
