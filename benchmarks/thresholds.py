"""``python -m benchmarks thresholds``: what starting a parallel kernel costs here, and elements.

The engine weighs a call's work against a launch, see fastsoftmax/_launch.py and _plans.py.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks import options, processes, race, tables
from benchmarks.tables import Datum, Table

if TYPE_CHECKING:
    import argparse

HELP = "cost of a parallel launch by threading layer, and of an element by kernel"
LAYERS = ("tbb", "omp", "workqueue")
CALLS, ROUNDS = 50, 40
LOOKS, WORK, PAUSE = 20_000, 1e6, 0.01
"""What a task does, for how many nanoseconds of work it passes, and seconds after which threads
sleep."""
ELEMENTS = "elements"
DTYPES = ("float32", "float64")
# A call for each kernel, small enough for the second-level cache.
CALLS_OF_KERNELS = {
    "classes": ("softmax", (5000, 10), 1),
    "class_gradients": ("softmax_backward", (5000, 10), 1),
    "narrow": ("softmax", (1000, 50), 1),
    "rows": ("softmax", (50, 1000), 1),
    "along": ("log_softmax", (50, 1000), 1),
    "along, short slices": ("log_softmax", (1000, 65), 1),
    "gradients": ("softmax_backward", (50, 1000), 1),
    "gradients, short slices": ("softmax_backward", (1000, 50), 1),
    "columns": ("softmax", (100, 500), 0),
    "columns, gradients": ("softmax_backward", (1000, 100), 0),
    "bunches": ("softmax", (500, 12, 8), 1),
    "split": ("softmax", (150_000,), 0),
}


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
        columns = [tables.duration(answer.get(name)) for name in ("awake", "asleep")]
        rows.append([Datum(layer), *columns, Datum(answer.get("error", ""))])
    render = Table(
        f"A parallel launch, {arguments.threads} threads",
        ["layer", "threads awake", "asleep", ""],
        rows,
    )
    race.render(render)
    rows = [
        [Datum(kernel), *[tables.duration(cost) for cost in costs.values()]]
        for kernel, costs in _ask(LAYERS[0], 1, ELEMENTS).items()
    ]
    race.render(Table("An element on one thread", ["kernel", *map(str, DTYPES)], rows))
    return 0


def _ask(layer: str, threads: int, *words: str) -> dict[str, Any]:
    try:
        return processes.answer_of("thresholds", words, threads, NUMBA_THREADING_LAYER=layer)
    except processes.WorkerError as error:
        return {"error": str(error)[:100]}


def inputs_for(kernel: str, dtype: str) -> list[Any]:
    """What the function of `CALLS_OF_KERNELS` is called with."""
    import numpy as np

    name, shape, _ = CALLS_OF_KERNELS[kernel]
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    if kernel == "narrow":  # slices one after the other have another
        x = np.concatenate([x, x], axis=1)[:, : shape[1]]
    return [x, x] if name.endswith("_backward") else [x]


def element_costs() -> dict[str, dict[str, float]]:
    """Seconds an element takes each kernel on one thread, by dtype."""
    import numpy as np

    import fastsoftmax

    costs: dict[str, dict[str, float]] = {}
    for kernel, (name, _, dim) in CALLS_OF_KERNELS.items():
        for dtype in DTYPES:
            inputs = inputs_for(kernel, dtype)
            x = inputs[0]
            function, out = getattr(fastsoftmax, name), np.empty_like(x)
            found = fastsoftmax.explain(x, dim, function=name, out=out, workers=1)
            assert found.kernel == kernel.split(",")[0], found
            function(*inputs, dim, out=out, workers=1)
            least = float("inf")
            for _ in range(ROUNDS):
                start = time.perf_counter()
                for _ in range(CALLS):
                    function(*inputs, dim, out=out, workers=1)
                least = min(least, (time.perf_counter() - start) / CALLS)
            costs.setdefault(kernel, {})[dtype] = least / x.size
    return costs


def launch_cost() -> dict[str, float]:
    """Seconds of a launch: what a task for each thread takes longer than one of them by itself.

    One launch after the other, and after a pause in which threads fall asleep.
    """
    import numpy as np

    import fastsoftmax
    from fastsoftmax import _launch, _loops
    from fastsoftmax._addresses import read
    from fastsoftmax._jit import kernel_of

    # Loads the layer, as every large call does.
    fastsoftmax.softmax(np.zeros((1024, 1024), np.float32), 1)
    layer = _launch._started
    assert layer is not None
    layer.team.memory[_loops.WAKE] = -(2**62)  # whatever it costs

    def work(words: Any, _table: Any, _scratch: Any, first: int, last: int) -> None:
        for _ in range((last - first) * LOOKS):
            read(words)

    kernel, dtype = kernel_of(work, "work", ("places",)), np.dtype(np.int64)
    given, threads = (np.zeros(1, dtype), np.zeros(1, np.intp)), layer.available()
    alone = _launch.Job(kernel, dtype, 1, WORK, 1)
    shared = _launch.Job(kernel, dtype, threads, WORK, None)
    costs: dict[str, list[float]] = {"awake": [], "asleep": []}
    for job in (alone, shared):
        job.run(given)
    for _ in range(ROUNDS):
        for name, calls, pause in (("awake", CALLS, 0.0), ("asleep", 1, PAUSE)):
            spent = []
            for job in (alone, shared):
                job.run(given)
                time.sleep(pause)
                start = time.perf_counter()
                for _ in range(calls):
                    job.run(given)
                spent.append((time.perf_counter() - start) / calls)
            costs[name].append(spent[1] - spent[0])
    return {name: float(np.median(each)) for name, each in costs.items()}


if __name__ == "__main__":
    os.environ.setdefault("NUMBA_THREADING_LAYER", LAYERS[0])
    print(json.dumps(element_costs() if ELEMENTS in sys.argv[1:] else launch_cost()))
