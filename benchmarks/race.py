"""``python -m benchmarks race``: the race proper, over the card or a case of one's own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.markup import escape
from rich.table import Table as RichTable

from benchmarks import (
    contenders,
    machine,
    machine_text,
    measure,
    options,
    race_tables,
    results,
    verdicts,
    workloads,
)
from benchmarks.options import console

if TYPE_CHECKING:
    import argparse

    from benchmarks.tables import Table

HELP = "speed of all contenders on the card, or on your own shape or data"
POLICY = (
    "Each contender has a process, with its threads and CPUs pinned, that sleeps while others "
    "have their turn. Inputs are the contender's own (tensors), made beforehand; where it knows "
    "no strides, the copy of an input that has some is timed. Results are checked before anything "
    "is timed. Rounds are interleaved in an order drawn anew; the first call of a turn is not "
    "counted. Calls are timed in batches of 0.1 ms at least; a result is dropped before the next "
    "call, so memory that a library keeps for reuse is reused, and page faults count where it "
    "asks the system for new. Tables show the fastest call; the file has medians, rounds and page "
    "faults too."
)
FEW_CELLS = 3
OWN_CASE = results.OWN.with_name("own-case.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_contenders(parser)
    parser.add_argument("--workloads", type=options.names, metavar="NAMES", help="default: all")
    parser.add_argument("--dtypes", type=options.names, metavar="NAMES", help="default: all")
    parser.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="of timing in all (default: 20 a cell); checks and warming up come on top",
    )
    parser.add_argument("--rounds", type=options.positive, default=15, metavar="N")
    parser.add_argument("--quick", action="store_true", help="fewer cells, 1 s each, 5 rounds")
    parser.add_argument("--sigma", type=float, metavar="X", help="of random logits; default: 1")
    own = parser.add_argument_group("your own case")
    own.add_argument("--shape", help="such as 1000,1000 or 1e6,2")
    own.add_argument("--input", type=Path, metavar="FILE.npy", help="your own data")
    own.add_argument("--dim", type=int, default=-1, help="default: the last")
    own.add_argument("--dtype", help="default: float32, or that of the file")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="look for regressions")
    options.add_output(parser)


def cases_of(arguments: argparse.Namespace) -> list[workloads.Case]:
    """The cases that the options choose, their logits as far apart as is asked for."""
    cases = _chosen(arguments)
    if arguments.sigma is None:
        return cases
    if arguments.input is not None:
        raise ValueError("--sigma: logits of a file are as they are; give it without --input")
    return [workloads.spread(case, arguments.sigma) for case in cases]


def _chosen(arguments: argparse.Namespace) -> list[workloads.Case]:
    if arguments.shape is not None and arguments.input is not None:
        raise ValueError("--shape and --input are two cases; give one")
    if arguments.input is not None:
        return [_from_file(arguments.input, arguments.dim, arguments.dtype)]
    if arguments.shape is not None:
        try:
            shape = tuple(map(options.positive, options.names(arguments.shape)))
        except ValueError:
            raise ValueError(f"--shape {arguments.shape}: sizes with commas between") from None
        return [workloads.own_case(shape, arguments.dim, arguments.dtype or "float32")]
    quick = arguments.quick and arguments.workloads is None
    wanted = workloads.QUICK if quick else arguments.workloads
    dtypes = arguments.dtypes or (["float32"] if quick else None)
    return workloads.card(wanted, dtypes)


def _from_file(path: Path, dim: int, dtype: str | None) -> workloads.Case:
    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as problem:
        raise ValueError(f"--input {path}: {problem}") from None
    if dtype is None:
        dtype = data.dtype.name if data.dtype.name in workloads.DTYPES else "float32"
    return workloads.own_case(data.shape, dim, dtype, str(path.resolve()))


def run(arguments: argparse.Namespace) -> int:
    """Race, print, save; 1 if a regression was found."""
    old = results.read(arguments.compare)["race"] if arguments.compare else None
    cases = cases_of(arguments)
    section = measured(cases, options.chosen(arguments), _settings(arguments, len(cases)))
    show(section)
    own = arguments.shape is not None or arguments.input is not None
    options.save(arguments.output or (OWN_CASE if own else results.OWN), "race", section)
    return _compare(old, results.rounded(section)) if old else 0


def _settings(arguments: argparse.Namespace, cells: int) -> measure.Settings:
    each, rounds = (1.0, 5) if arguments.quick else (20.0, arguments.rounds)
    budget = each * cells if arguments.budget is None else arguments.budget
    return measure.Settings(arguments.threads, budget, rounds, plugins=tuple(arguments.plugins))


def measured(
    cases: list[workloads.Case], names: list[str], settings: measure.Settings
) -> dict[str, Any]:
    """Race and return the section of the results file."""
    watch = machine.Watch()
    with measure.Field(names, settings) as field:
        versions, missing = dict(field.versions), dict(field.missing)
        with options.progress("race", len(cases)) as step:
            cells = measure.race(field, cases, step)
        layer = field.layer()
    for name, why in missing.items():
        console.print(f"{results.title_of(name)} takes no part: {escape(why)}")
    return {
        **options.header(watch, settings.threads, versions, missing),
        "contender_threads": {
            name: contenders.named(name).threads or settings.threads for name in versions
        },
        "threading_layer": layer,
        "budget": settings.budget,
        "rounds": settings.rounds,
        "policy": POLICY,
        "cells": cells,
    }


def show(section: dict[str, Any]) -> None:
    """Print the tables of a race."""
    cells = section["cells"]
    if len(cells) <= FEW_CELLS:
        for cell in cells:
            render(race_tables.details(cell))
    else:
        render(race_tables.speed(section))
    if len(cells) > 1:
        render(race_tables.standings(section))


def render(table: Table) -> None:
    """Print a table on the terminal."""
    shown = RichTable(title=escape(table.title), title_justify="left", title_style="bold")
    for i, column in enumerate(table.columns):
        number = table.is_number(i)
        justify: Literal["right", "left"] = "right" if number else "left"
        least = max((len(row[i].text) for row in table.rows), default=0) if number else None
        shown.add_column(escape(column), justify=justify, min_width=least, overflow="fold")
    for row in table.rows:
        shown.add_row(*(_styled(datum.text) for datum in row))
    console.print(shown)


def _styled(text: str) -> str:
    bare = escape(text.replace("`", ""))
    return f"[bold]{bare.strip('*')}[/bold]" if bare.startswith("**") else bare


def _compare(old: dict[str, Any], new: dict[str, Any]) -> int:
    found = verdicts.compare(old, new)
    ours = [each for each in found if results.kind_of(each.contender) == contenders.OURS]
    render(race_tables.verdicts(ours))
    factor = verdicts.drift(old, new)
    console.print(
        f"The machine itself: contenders that did not change take {factor:.2f} times as long, "
        "and that is taken out."
    )
    worse = [each for each in ours if each.word in {verdicts.SLOWER, verdicts.LOST}]
    if any(machine_text.is_noisy(section) for section in (old, new)):
        console.print("One of the two runs was noisy; measure again before you believe this.")
    changes = [each.change for each in ours if not math.isnan(each.change)]
    console.print(
        f"{len(worse)} regressions in {len(ours)} timings; geometric mean of the changes "
        f"{results.geometric_mean(changes):.3f}."
    )
    return 1 if worse else 0
