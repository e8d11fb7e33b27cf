"""The command `fastsoftmax warmup`: compile kernels ahead."""

from __future__ import annotations

import argparse
import inspect
from typing import TYPE_CHECKING

from fastsoftmax import warmup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def add_words(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Give a parser the words of this command."""
    parser.prog = "fastsoftmax warmup"
    parser.description = "Compile kernels ahead and keep them in the cache, as for containers."
    given = inspect.signature(warmup).parameters
    classes = given["classes"].default
    for name, text in (
        ("functions", "names of functions of the package"),
        ("dtypes", "floating dtypes of their inputs"),
        ("layouts", "of these, and copied"),
        ("casts", "other dtypes of large inputs, which are cast to each of --dtypes"),
    ):
        default = given[name].default
        parser.add_argument(
            f"--{name}",
            type=_words,
            default=default,
            metavar="A,B",
            help=f"{text} (default: {','.join(default) or 'none'})",
        )
    parser.add_argument(
        "--classes",
        type=_numbers,
        default=classes,
        metavar="A,B",
        help="lengths of short slices with kernels of their own, from 2 to 64 "
        f"(default: {','.join(map(str, classes))})",
    )
    parser.add_argument(
        "--serial", action="store_true", help="leave out the builds for several threads"
    )
    return parser


def run(parser: argparse.ArgumentParser, words: Sequence[str], say: Callable[[str], None]) -> None:
    """Compile what `words` ask for and say which kernel is next."""
    arguments = parser.parse_args(words)

    def progress(done: int, total: int, name: str) -> None:
        say(f"{done:3} of {total}  {name}")

    warmup(
        arguments.functions,
        dtypes=arguments.dtypes,
        layouts=arguments.layouts,
        classes=arguments.classes,
        casts=arguments.casts,
        parallel=not arguments.serial,
        progress=progress,
    )


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers") from None


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
