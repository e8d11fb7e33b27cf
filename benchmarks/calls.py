"""``python -m benchmarks calls``: the time of a call of any of the functions, by its arguments.

A small one, or of a matrix of any size.  torch's calls are of tensors that are there already, with
as many threads.
"""

from __future__ import annotations

import json
import sys
import timeit
from typing import TYPE_CHECKING, Any

from benchmarks import options, processes, race, tables
from benchmarks.tables import Datum, Table

if TYPE_CHECKING:
    import argparse

HELP = "time of a call of each function by its arguments, small or of any size"
OURS, TORCH = "fastsoftmax", "torch"
ROWS, COLUMNS = 8, 10
CALLS, ROUNDS, PROCESSES = 1000, 15, 3
# Of long calls fewer are made: as many as take so many seconds.
_ROUND_SECONDS = 0.02
# More calls than `OFTEN`, after which they are recognised (fastsoftmax/_shortcuts.py).
WARM = 300
# What is called, and what torch calls for the same.  x is a float32 matrix, v one row of it.
STATEMENTS = {
    "softmax(v, 0)": "T.softmax(v, 0)",
    "softmax(v, 0, out=o)": "T.softmax(v, 0, out=o)",
    "softmax(x, 1)": "T.softmax(x, 1)",
    "softmax(x, 0)": "T.softmax(x, 0)",
    "softmax(x, (0, 1))": "",
    "softmax(x[:, ::2], 1)": "T.softmax(x[:, ::2], 1)",
    "softmax(rows, 1)": "T.softmax(rows, 1)",
    "softmax(x, 1, float64)": "T.softmax(x, 1, float64)",
    "softmax(halves, 1)": "T.softmax(halves, 1)",
    "softmax(halves, 1, float32)": "T.softmax(halves, 1, float32)",
    "softmax(integers, 1)": "T.softmax(integers, 1, float64)",
    "softmax(counts, 1)": "T.softmax(counts, 1, float32)",
    "softmax(numbers, 0)": "T.softmax(T.tensor(numbers), 0)",
    "softmax(x, 1, where=mask)": "T.softmax(T.where(mask, x, lowest), 1)",
    "softmax(x, 1, temperature=2.0)": "T.softmax(x / 2.0, 1)",
    "softmax(x, 1, temperature=degrees)": "T.softmax(x / degrees, 1)",
    "softmax(x, 1, temperature=degrees, where=mask)": "",
    "softmax(x, 1, return_lse=True)": "T.softmax(x, 1), T.logsumexp(x, 1)",
    "softmax(x, 1, return_lse=True, where=mask)": "",
    "softmin(x, 1)": "T.softmax(-x, 1)",
    "log_softmax(x, 1)": "T.log_softmax(x, 1)",
    "log_softmax(x, 0)": "T.log_softmax(x, 0)",
    "logsumexp(x, 1)": "T.logsumexp(x, 1)",
    "logsumexp(x, 1, keepdim=True)": "T.logsumexp(x, 1, keepdim=True)",
    "logsumexp(halves, 1)": "T.logsumexp(halves, 1)",
    "softmax_backward(x, x, 1)": "T._softmax_backward_data(x, x, 1, float32)",
    "softmax_backward(x, x, 0)": "T._softmax_backward_data(x, x, 0, float32)",
    "log_softmax_backward(x, x, 1)": "T._log_softmax_backward_data(x, x, 1, float32)",
    "log_softmax_backward(x, x, 0)": "T._log_softmax_backward_data(x, x, 0, float32)",
    "cross_entropy(x, classes)": "T.nn.functional.cross_entropy(x, classes)",
    "top_k(x, 3, 1)": "T.topk(T.softmax(x, 1), 3)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--threads", type=options.positive, default=1, metavar="N")
    for name, default in (("rows", ROWS), ("columns", COLUMNS)):
        parser.add_argument(
            f"--{name}",
            type=options.positive,
            default=default,
            metavar="N",
            help=f"of the matrix x (default: {default})",
        )


def run(arguments: argparse.Namespace) -> int:
    """Measure in processes that take turns and print."""
    least: dict[str, dict[str, float]] = {OURS: {}, TORCH: {}}
    for _ in range(PROCESSES):
        for contender, best in least.items():
            for call, seconds in _ask(contender, arguments).items():
                best[call] = min(seconds, best.get(call, float("inf")))
    rows = [
        [Datum(call), *[tables.duration(best.get(call)) for best in least.values()]]
        for call in STATEMENTS
    ]
    title = f"A call; x is ({arguments.rows}, {arguments.columns}) float32"
    race.render(Table(title, ["call", *least], rows))
    return 0


def _ask(contender: str, arguments: argparse.Namespace) -> dict[str, float]:
    words = contender, str(arguments.rows), str(arguments.columns)
    try:
        return processes.answer_of("calls", words, arguments.threads)
    except processes.WorkerError:
        if contender == OURS:
            raise
        return {}  # it is not there


def times(contender: str, rows: int, columns: int) -> dict[str, float]:
    """Seconds of each call."""
    names = _names(contender, rows, columns)
    spent = {}
    for ours, theirs in STATEMENTS.items():
        statement = ours if contender == OURS else theirs
        if statement:
            timer = timeit.Timer(statement, globals=names)
            timer.timeit(2)
            calls = max(1, min(CALLS, round(_ROUND_SECONDS / timer.timeit(1))))
            timer.timeit(min(WARM, calls))
            spent[ours] = min(timer.repeat(ROUNDS, calls)) / calls
    return spent


def _names(contender: str, rows: int, columns: int) -> dict[str, Any]:
    """What the statements name."""
    import numpy as np

    x = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    arrays: dict[str, Any] = {
        "x": x,
        "v": x[0].copy(),
        "o": x[0].copy(),
        "rows": np.broadcast_to(x[0], x.shape),
        "halves": x.astype(np.float16),
        "integers": (3 * x).astype(np.int64),
        "counts": np.abs(3 * x).astype(np.uint8),
        "mask": x < 1,
        "degrees": np.linspace(0.5, 2, len(x), dtype=np.float32)[:, None],
        "classes": np.arange(rows) % columns,
    }
    numbers = {"numbers": [1.0, 2.0, 3.0]}
    if contender == OURS:
        import fastsoftmax

        public = {name: getattr(fastsoftmax, name) for name in fastsoftmax.__all__}
        return {**public, **arrays, **numbers, "float32": np.float32, "float64": np.float64}
    import torch

    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    tensors["rows"] = tensors["v"].expand(x.shape)
    lowest = torch.tensor(float("-inf"))
    kinds = {"float32": torch.float32, "float64": torch.float64}
    return {"T": torch, **tensors, **numbers, **kinds, "lowest": lowest}


if __name__ == "__main__":
    print(json.dumps(times(sys.argv[1], *map(int, sys.argv[2:]))))
