"""``python -m benchmarks all``: every measurement and the report."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import accuracy, memory, options, race, report, results, scaling, startup

HELP = "every measurement, then the report"
PARTS = {
    "race": race,
    "accuracy": accuracy,
    "startup": startup,
    "memory": memory,
    "scaling": scaling,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_contenders(parser)
    parser.add_argument("--quick", action="store_true", help="minutes instead of an hour")
    parser.add_argument(
        "--output",
        type=Path,
        default=results.PUBLISHED,
        metavar="FILE.json",
        help=f"default: {options.shown(results.PUBLISHED)}",
    )


def words_for(part: str, arguments: argparse.Namespace) -> list[str]:
    """The command line of one part."""
    words = ["--threads", str(arguments.threads), "--output", str(arguments.output)]
    if arguments.contenders is not None:
        words += ["--contenders", ",".join(arguments.contenders)]
    for file in arguments.plugins:
        words += ["--with", file]
    if arguments.quick:
        # A quick race still runs the whole card: the report is about all of it.
        words += ["--budget", "30", "--rounds", "5"] if part == "race" else ["--quick"]
    return words


def run(arguments: argparse.Namespace) -> int:
    """Measure part after part; each is saved when it is done."""
    for name, part in PARTS.items():
        parser = argparse.ArgumentParser()
        part.add_arguments(parser)
        part.run(parser.parse_args(words_for(name, arguments)))
    report.write(arguments.output)
    return 0
