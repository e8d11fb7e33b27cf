"""What the commands have in common: their options, the progress bar, saving."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import contenders, machine, machine_text, results
from benchmarks.processes import ROOT, usable_cpus

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

_REDIRECTED_WIDTH = 160
console = Console(highlight=False, width=None if sys.stdout.isatty() else _REDIRECTED_WIDTH)
LIBRARIES = ("numpy", "numba", "llvmlite", "ml_dtypes")
"""Distributions whose versions are kept beside those of the contenders."""


def names(text: str) -> list[str]:
    """Parse names with commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()]


def positive(text: str) -> int:
    """Parse a positive whole number; 1e6 is one too."""
    value = float(text)
    if value < 1 or value != int(value):
        raise ValueError(text)
    return int(value)


def add_contenders(parser: argparse.ArgumentParser) -> None:
    """Options that choose who takes part, on how many threads."""
    parser.add_argument(
        "--contenders",
        type=names,
        metavar="NAMES",
        help="with commas between them (default: all that are installed): "
        + ", ".join(contender.name for contender in contenders.CONTENDERS),
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=len(usable_cpus()),
        metavar="N",
        help="threads and CPUs of each contender (default: all, %(default)s)",
    )
    parser.add_argument(
        "--with",
        dest="plugins",
        action="append",
        default=[],
        metavar="FILE.py",
        help="a file that adds contenders of your own; see docs/benchmarks.md",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """The option that says where results go."""
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.json",
        help="the results file to put the results into (default: one in "
        f"{shown(results.OWN.parent)}/, which git ignores)",
    )


def chosen(arguments: argparse.Namespace, default: Mapping[str, bool] | None = None) -> list[str]:
    """The names of the contenders that take part; files of one's own are loaded."""
    for file in arguments.plugins:
        contenders.load(file)
    if arguments.contenders is None:
        known = [contender.name for contender in contenders.CONTENDERS]
        return [name for name in known if (default or {}).get(name, True)]
    if not arguments.contenders:
        raise ValueError("--contenders names nobody")
    return [contenders.named(name).name for name in arguments.contenders]


def shown(path: Path) -> str:
    """A path as it is seen from the root of the repository."""
    with contextlib.suppress(ValueError):
        return path.resolve().relative_to(ROOT).as_posix()
    return str(path)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar; call what it gives at the start of each step, with the step's name."""
    columns = (
        TextColumn("{task.fields[what]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total, what=what)
        begun = False

        def step(name: str) -> None:
            nonlocal begun
            bar.update(task, description=name, advance=1 if begun else 0)
            begun = True

        yield step


def header(
    watch: machine.Watch, threads: int, versions: dict[str, str], missing: dict[str, str]
) -> dict[str, Any]:
    """What every section of a results file begins with; call it when all processes ended."""
    return {
        "date": results.today(),
        "threads": threads,
        "versions": versions,
        "libraries": machine.versions(LIBRARIES),
        "missing": missing,
        "load": watch.report(),
    }


def save(path: Path | None, section: str, content: dict[str, Any]) -> None:
    """Write a section and say where."""
    path = path or results.OWN
    results.save(path, section, content, machine.describe())
    console.print(f"{section}: written to {shown(path)}")
    console.print(machine_text.noise(content))
