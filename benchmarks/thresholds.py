"""``python -m benchmarks thresholds``: what starting a parallel kernel costs here.

The engine weighs a call's work against this cost, see fastsoftmax/_launch.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks import options, processes, race, tables
from benchmarks.tables import Datum, Table

if TYPE_CHECKING:
    import argparse

HELP = "cost of a parallel launch, by threading layer"
LAYERS = ("tbb", "omp", "workqueue")
CALLS, ROUNDS = 50, 40
TASKS_PER_THREAD = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--threads", type=options.positive, default=len(processes.usable_cpus()), metavar="N"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure each layer in a process of its own and print."""
    rows = []
    for layer in LAYERS:
        answer = _ask(layer, arguments.threads)
        columns = [tables.duration(answer.get(name)) for name in ("minimum", "median")]
        rows.append([Datum(layer), *columns, Datum(answer.get("error", ""))])
    render = Table(
        f"A parallel launch, {arguments.threads} threads", ["layer", "minimum", "median", ""], rows
    )
    race.render(render)
    return 0


def _ask(layer: str, threads: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.thresholds"],
        capture_output=True,
        env=processes.environment(threads, NUMBA_THREADING_LAYER=layer),
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed"]
        return {"error": lines[-1][:100]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def launch_cost() -> dict[str, float]:
    """Seconds of a parallel loop over tasks that do next to nothing, less those of a serial one."""
    import numba
    import numpy as np

    def body(marks: Any) -> None:
        for i in numba.prange(marks.size):
            marks[i] += 1

    marks = np.zeros(TASKS_PER_THREAD * numba.get_num_threads(), np.int64)
    serial, parallel = numba.njit(body), numba.njit(parallel=True)(body)
    costs = []
    for call in (serial, parallel):
        call(marks)
    for _ in range(ROUNDS):
        spent = []
        for call in (serial, parallel):
            start = time.perf_counter()
            for _ in range(CALLS):
                call(marks)
            spent.append((time.perf_counter() - start) / CALLS)
        costs.append(spent[1] - spent[0])
    return {"minimum": min(costs), "median": float(np.median(costs))}


if __name__ == "__main__":
    os.environ.setdefault("NUMBA_THREADING_LAYER", LAYERS[0])
    print(json.dumps(launch_cost()))
