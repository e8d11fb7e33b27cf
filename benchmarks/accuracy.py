"""``python -m benchmarks accuracy``: errors of all contenders against extended precision."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import contenders, machine, measure, options, part_tables, race, reference
from benchmarks.processes import WorkerDied, WorkerError, as_json
from benchmarks.workloads import DTYPES, Case

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

HELP = "max and mean ULP and sum errors of all contenders"
LENGTHS = (10, 1000, 50257, 10_000_000)
QUICK_LENGTHS = (10, 1000)
SIGMAS = (1.0, 10.0, 30.0)
ELEMENTS = 1 << 18
"""Elements of a case with short slices; one of long slices has two."""
HALVES = ("float16", "bfloat16")
POLICY = (
    "Inputs are drawn from N(0, sigma), in the dtype that is asked for; the reference is "
    "softmax of exactly these in numpy.longdouble. Max and mean ULP are over normal results; "
    "errors of subnormal results are in steps of such numbers. The sums are those of whole "
    "slices, summed in longdouble."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_contenders(parser)
    parser.add_argument("--lengths", type=options.names, metavar="N,N", help="of the slices")
    parser.add_argument("--sigmas", type=options.names, metavar="X,X", help="of the inputs")
    parser.add_argument("--dtypes", type=options.names, metavar="NAMES", help="default: all")
    parser.add_argument("--quick", action="store_true", help="lengths 10 and 1000 only")
    options.add_output(parser)


def cases(lengths: Sequence[int], sigmas: Sequence[float], dtypes: Sequence[str]) -> list[Case]:
    """Every combination with both dims; the halves only where they resolve the results."""
    found = []
    for dtype in dtypes:
        if dtype == "float64" and not reference.is_extended():
            continue
        for length in lengths:
            if length > ELEMENTS and dtype in HALVES:
                continue
            count = max(2, ELEMENTS // length)
            for dim in (1, 0):
                shape = (count, length) if dim else (length, count)
                name = f"{length} {'last' if dim else 'first'}"
                found += [
                    Case(name, "N(0, sigma)", shape, dim, dtype, "accuracy", sigma=sigma)
                    for sigma in sigmas
                ]
    return found


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, save."""
    default = QUICK_LENGTHS if arguments.quick else LENGTHS
    lengths = [options.positive(text) for text in arguments.lengths or map(str, default)]
    sigmas = [float(text) for text in arguments.sigmas or map(str, SIGMAS)]
    dtypes = arguments.dtypes or DTYPES
    for name in dtypes:
        if name not in DTYPES:
            raise ValueError(f"there is no dtype {name!r}; there are {', '.join(DTYPES)}")
    names = [
        name
        for name in options.chosen(arguments, {"fastsoftmax-serial": False})
        if contenders.named(name).kind != contenders.LIMIT
    ]
    settings = measure.Settings(
        arguments.threads, modes=("fresh",), plugins=tuple(arguments.plugins)
    )
    section = measured(cases(lengths, sigmas, dtypes), names, settings)
    race.render(part_tables.accuracy(section))
    options.save(arguments.output, "accuracy", section)
    return 0


def measured(
    chosen: Sequence[Case], names: Sequence[str], settings: measure.Settings
) -> dict[str, Any]:
    """Measure and return the section of the results file."""
    watch = machine.Watch()
    rows = []
    with (
        measure.Field(names, settings) as field,
        options.progress("accuracy", len(chosen)) as step,
        tempfile.TemporaryDirectory() as folder,
    ):
        versions, missing = dict(field.versions), dict(field.missing)
        file = Path(folder) / "sample.npz"
        for case in chosen:
            step(f"{case.dtype}, n {case.shape[case.dim]}, sigma {case.sigma:g}, {case.dim}")
            reference.sample(case.array(), case.dim, 2 * case.size).save(str(file))
            rows += [_row(field, name, case, str(file)) for name in list(field.workers)]
    return {
        **options.header(watch, settings.threads, versions, missing),
        "policy": POLICY,
        "timed": False,
        "rows": rows,
    }


def _row(field: measure.Field, name: str, case: Case, file: str) -> dict[str, Any]:
    """The errors of one contender in one case."""
    row: dict[str, Any] = {
        "contender": name,
        "dtype": case.dtype,
        "length": case.shape[case.dim],
        "sigma": case.sigma,
        "dim": "last" if case.dim else "first",
    }
    worker = field.workers[name]
    refusal = contenders.named(name).refusal(case)
    if refusal:
        return {**row, "status": "refused", "detail": refusal}
    try:
        found = worker.ask("errors", case=as_json(case), sample=file)
        worker.ask("release")
    except WorkerError as problem:
        if isinstance(problem, WorkerDied):
            field.restart(name)
        return {**row, "status": "refused", "detail": str(problem)}
    status = "wrong" if found.pop("wrong") else "computed"
    kept = {key: value for key, value in found.items() if not math.isnan(value)}
    return {**row, "status": status, **kept}
