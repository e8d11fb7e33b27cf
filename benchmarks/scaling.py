"""``python -m benchmarks scaling``: speed over size, classes, batch and threads."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from benchmarks import contenders, machine, measure, options, results
from benchmarks.options import console
from benchmarks.workloads import Case

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

HELP = "speed over size, number of classes, batch and threads"
SECONDS, ROUNDS = 6.0, 9
QUICK_SECONDS, QUICK_ROUNDS = 0.5, 3
LENGTH = 1000
ALL_SIZES = 1_000_000
SIZES = tuple(
    step * 10**power for power in range(9) for step in (1, 3) if 3 <= step * 10**power <= 10**8
)
CLASSES = (
    *(2, 3, 5, 8, 10, 16, 24, 31, 32, 33, 37, 48, 64, 100, 128, 256, 512),
    *(1000, 2048, 4096, 10_000, 31_250, 100_000, 1_000_000),
)
BATCHES = tuple(4**power for power in range(11))
LEFT_OUT = dict.fromkeys(("fastsoftmax-serial", "scipy", "scikit-learn"), False)
MODE = "either"
POLICY = (
    "As in the race, float32, into an existing array where the contender can and a new one "
    f"where it cannot. Size: rows of {LENGTH}, or one shorter row. Classes: {ALL_SIZES} "
    "elements in all. Batch: rows of ten classes. Threads: whole arrays, one process for each "
    "number of threads."
)


@dataclasses.dataclass(frozen=True)
class Curve:
    """Cases along one axis."""

    name: str
    points: tuple[tuple[int, Case], ...]


def _size_case(size: int) -> Case:
    shape = (1, size) if size <= LENGTH else (size // LENGTH, LENGTH)
    return Case(f"size {size}", "", shape, 1, group="size")


def curves(quick: bool = False) -> list[Curve]:
    """All curves over the shapes of arrays; quick ones have fewer points."""
    step = 2 if quick else 1
    sizes = [size for size in SIZES[::step] if not quick or size <= 10**7]
    return [
        Curve("size", tuple((size, _size_case(size)) for size in sizes)),
        Curve(
            "classes",
            tuple(
                (count, Case(f"classes {count}", "", (ALL_SIZES // count, count), 1))
                for count in CLASSES[:: 2 * step - 1]
            ),
        ),
        Curve(
            "batch",
            tuple((rows, Case(f"batch {rows}", "", (rows, 10), 1)) for rows in BATCHES[::step]),
        ),
    ]


THREAD_CASES = (
    Case("rows in cache", "", (1000, 1000), 1),
    Case("rows", "", (4096, 4096), 1),
    Case("few classes", "", (1_000_000, 10), 1),
    Case("one slice", "", (8_000_000,), 0),
    Case("columns", "", (4096, 4096), 0),
)


def thread_counts(most: int) -> list[int]:
    """All numbers up to four, then powers of two, and the most."""
    powers = [2**power for power in range(3, 10)]
    return sorted({count for count in [1, 2, 3, 4, *powers, most] if count <= most})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_contenders(parser)
    parser.add_argument(
        "--budget", type=float, default=SECONDS, metavar="SECONDS", help="of timing a point"
    )
    parser.add_argument("--rounds", type=options.positive, default=ROUNDS, metavar="N")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter points")
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, save."""
    seconds, rounds = arguments.budget, arguments.rounds
    if arguments.quick:
        seconds, rounds = min(seconds, QUICK_SECONDS), min(rounds, QUICK_ROUNDS)
    settings = measure.Settings(
        arguments.threads, seconds, rounds, (MODE,), tuple(arguments.plugins)
    )
    section = measured(options.chosen(arguments, LEFT_OUT), settings, arguments.quick)
    options.save(arguments.output, "scaling", section)
    console.print("`python -m benchmarks report` draws the curves.", markup=False)
    return 0


def measured(names: Sequence[str], settings: measure.Settings, quick: bool) -> dict[str, Any]:
    """Measure and return the section of the results file; the budget is that of a point."""
    watch = machine.Watch()
    shapes = curves(quick)
    counts = thread_counts(settings.threads)
    cases = THREAD_CASES[:2] if quick else THREAD_CASES
    parallel = [name for name in names if contenders.named(name).threads is None]
    points = sum(len(curve.points) for curve in shapes) + len(counts) * len(cases)
    rows: list[dict[str, Any]] = []
    with options.progress("scaling", points) as step:
        with measure.Field(names, settings) as field:
            versions, missing = dict(field.versions), dict(field.missing)
            for curve in shapes:
                for x, case in curve.points:
                    rows += _point(field, curve.name, x, case, step)
        for count in counts:
            fewer = dataclasses.replace(settings, threads=count)
            with measure.Field(parallel, fewer) as field:
                for case in cases:
                    rows += _point(field, f"threads, {case.workload}", count, case, step)
    return {
        **options.header(watch, settings.threads, versions, missing),
        "policy": POLICY,
        "rows": rows,
    }


def _point(field: measure.Field, curve: str, x: int, case: Case, step: Any) -> list[dict[str, Any]]:
    [cell] = measure.race(field, [case], step)
    return [
        {
            "curve": curve,
            "x": x,
            "elements": case.size,
            "contender": entry["contender"],
            "seconds": entry["minimum"],
            "spread": entry["spread"],
        }
        for entry in cell["entries"]
        if entry["status"] == results.TIMED
    ]
