"""``python -m benchmarks memory``: the peak of a call beyond its input and result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import contenders, machine, options, part_tables, race
from benchmarks.processes import WorkerError, as_json, ask_once
from benchmarks.results import MODES
from benchmarks.workloads import Case

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

HELP = "peak memory beyond input and result"
CASES = (
    Case("rows", "attention", (4096, 4096), 1),
    Case("columns", "contrastive", (4096, 4096), 0),
    Case("few classes", "digits", (1_000_000, 10), 1),
    Case("one slice", "retrieval", (8_000_000,), 0),
    Case("middle dim", "segmentation", (4, 21, 512, 512), 1),
    Case("transposed", "x.T", (4096, 4096), 1, layout="transposed"),
    Case("every second", "x[:, ::2]", (4096, 4096), 1, layout="every second"),
    Case("float16", "attention", (4096, 4096), 1, "float16"),
)
POLICY = (
    "The peak of resident memory during one call in a process that has computed the same kind "
    "of work on less data before, less what was resident before the call and less the new "
    "result. Inputs in the contender's own kind, dense copies of strided ones too, were made "
    "before the call and are not counted."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_contenders(parser)
    parser.add_argument("--quick", action="store_true", help="two cases")
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, save."""
    chosen = options.chosen(arguments, {"fastsoftmax-serial": False})
    names = [name for name in chosen if contenders.named(name).kind != contenders.LIMIT]
    cases = CASES[:2] if arguments.quick else CASES
    section = measured(names, cases, arguments.threads, arguments.plugins)
    race.render(part_tables.memory(section))
    options.save(arguments.output, "memory", section)
    return 0


def measured(
    names: Sequence[str], cases: Sequence[Case], threads: int, plugins: list[str]
) -> dict[str, Any]:
    """Measure and return the section of the results file."""
    watch = machine.Watch()
    here = [name for name in names if contenders.named(name).available()]
    rows = []
    with options.progress("memory", len(cases) * len(here)) as step:
        for case in cases:
            for name in here:
                step(f"{case.workload}, {name}")
                rows += [_row(name, case, mode, threads, plugins) for mode in MODES]
    versions = {name: contenders.named(name).version() for name in here}
    missing = {name: "not installed" for name in names if name not in here}
    return {**options.header(watch, threads, versions, missing), "policy": POLICY, "rows": rows}


def _row(name: str, case: Case, mode: str, threads: int, plugins: list[str]) -> dict[str, Any]:
    row = {
        "contender": name,
        "case": case.workload,
        "shape_text": str(case.shape),
        "dtype": case.dtype,
        "dim": case.dim,
        "layout": case.layout,
        "mode": mode,
    }
    refusal = contenders.named(name).refusal(case)
    if not refusal and mode == "out" and not contenders.named(name).into_out:
        refusal = "cannot compute into an existing array"
    if refusal:
        return {**row, "status": "refused", "detail": refusal}
    request = {"what": "peak", "name": name, "case": as_json(case), "threads": threads}
    try:
        answer = ask_once({**request, "mode": mode, "plugins": plugins}, threads)
    except WorkerError as problem:
        return {**row, "status": "refused", "detail": str(problem)}
    return {**row, "status": "measured", "input_bytes": case.nbytes, **answer}
