"""The command: ``python -m benchmarks [race | accuracy | ...]``."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

COMMANDS = {
    "race": "race",
    "accuracy": "accuracy",
    "calls": "calls",
    "startup": "startup",
    "memory": "memory",
    "scaling": "scaling",
    "thresholds": "thresholds",
    "report": "report",
    "all": "everything",
}
DEFAULT = "race"


def _parser() -> tuple[argparse.ArgumentParser, dict[str, ModuleType]]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="CPU softmaxes compared. Without a command: race. "
        "Each command has its own --help.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    modules = {}
    for name, file in COMMANDS.items():
        module = importlib.import_module(f"benchmarks.{file}")
        module.add_arguments(subparsers.add_parser(name, help=module.HELP))
        modules[name] = module
    return parser, modules


def main(words: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0, 1 for a regression, 2 for a mistake."""
    words = sys.argv[1:] if words is None else words
    parser, modules = _parser()
    if not words or (words[0] not in {*COMMANDS, "-h", "--help"}):
        words = [DEFAULT, *words]
    arguments = parser.parse_args(words)
    try:
        status: int = modules[arguments.command].run(arguments)
    except (ValueError, OSError) as problem:
        parser.exit(2, f"{parser.prog} {arguments.command}: {problem}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
