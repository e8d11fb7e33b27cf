"""The command `fastsoftmax`: softmax of the array in a file.

Whatever is wrong with what the command was given is one line on standard error and the exit
status 2, and nothing is written.  Numba is imported only once everything else is checked.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fastsoftmax import __version__, _arguments, _files, _report, _warmup_command, softmax
from fastsoftmax._arguments import MISSING
from fastsoftmax._files import Array, FileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DTYPES = ("float16", "float32", "float64", "longdouble", "complex64", "complex128")
# Arrays up to this size are computed some more times, and the least time is shown: that of the
# first call is spent on compiling or loading the kernel.  For larger ones it is a small part.
_QUICK_BYTES = 64 << 20
_REPEATS = 3

_UNPRINTED, _REFUSED = 1, 2
_INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended


class UsageError(Exception):
    """What the command was given and cannot be used, in one sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the words `argv`, by default the process's; its exit status."""
    try:
        try:
            return _guarded(sys.argv[1:] if argv is None else argv)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has what it wanted
        _discard_output()
        return 0
    except OSError as problem:
        _discard_output()
        return _complain(f"error: cannot print: {problem.strerror or problem}", _UNPRINTED)


def make_parser() -> argparse.ArgumentParser:
    """The words that the command understands."""
    parser = _Parser(
        prog="fastsoftmax",
        description="Softmax of the array in a file: exp(x) / sum exp(x) along dim.",
        epilog="Files are .npy, or .csv with commas and at most one header line. A .csv file of "
        "one column is one-dimensional. `fastsoftmax warmup` compiles kernels ahead.",
        allow_abbrev=False,
    )
    parser.add_argument("logits", metavar="LOGITS", type=Path, help="the file to read")
    parser.add_argument(
        "--dim",
        type=_dim,
        default=-1,
        metavar="DIM",
        help="what a slice is: an int, several with commas between, or none for the whole "
        "array (default: -1)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="PROBS", help="the file to write; replaced only whole"
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        metavar="DTYPE",
        help=f"cast to this first: {', '.join(DTYPES)} (the last two for complex input; "
        "default: by the input's dtype)",
    )
    parser.add_argument(
        "--top",
        type=_positive,
        metavar="K",
        help=f"print the K largest probabilities of the first {_report.SLICES} slices",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Refuse in one line, where argparse would print the usage too."""
        raise UsageError(f"{message} (see fastsoftmax --help)")


def _dim(text: str) -> int | tuple[int, ...] | None:
    if text.strip().lower() == "none":
        return None
    try:
        dims = tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be an int, ints with commas between such as 1,2, or none"
        ) from None
    return dims if len(dims) > 1 else dims[0]


def _positive(text: str) -> int:
    with contextlib.suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be a positive int")


def _with_dims_joined(words: Sequence[str]) -> list[str]:
    """``--dim -2,-1`` as ``--dim=-2,-1``, as argparse takes ``-2,-1`` for an option."""
    result: list[str] = []
    for word in words:
        if result and result[-1] == "--dim" and re.match(r"-\d", word):
            result[-1] = f"--dim={word}"
        else:
            result.append(word)
    return result


def _guarded(words: Sequence[str]) -> int:
    """Run the command; errors that are not a defect of the program become one line."""
    with _warnings_in_one_line():
        try:
            if list(words[:1]) == ["warmup"]:
                _warm_up(words[1:])
            else:
                _softmax_of_file(make_parser().parse_args(_with_dims_joined(words)))
        except (UsageError, FileError) as problem:
            return _complain(f"error: {problem}", _REFUSED)
        except KeyboardInterrupt:
            return _complain("interrupted", _INTERRUPTED)
    return 0


def _warm_up(words: Sequence[str]) -> None:
    parser = _warmup_command.add_words(_Parser(allow_abbrev=False))
    try:
        _warmup_command.run(parser, words, _say)
    except (TypeError, ValueError) as problem:
        raise UsageError(str(problem)) from problem


def _softmax_of_file(arguments: argparse.Namespace) -> None:
    """Read, compute, write, and print what was done, in this order."""
    output: Path | None = arguments.output
    if output is not None:
        _files.check_output(output)
    logits = _files.read(arguments.logits)
    _check_use(logits, output, arguments.top)
    result, seconds, first = _timed(logits, arguments.dim, arguments.dtype)
    given = logits.dtype
    del logits  # some systems do not replace a file that is mapped, and it may be the output
    if output is not None:
        _files.write(output, result)
    lines = _report.summary(arguments.logits, given, arguments.dim, result, output)
    lines.append(_report.time_line(seconds, first))
    if arguments.top is not None:
        bars = _report.bars_for(getattr(sys.stdout, "encoding", None))
        lines += ["", *_report.leading(result, arguments.dim, arguments.top, bars)]
    _say("\n".join(lines))


def _check_use(logits: Array, output: Path | None, top: int | None) -> None:
    """Refuse what the result could not be used for, before it is computed."""
    if output is not None and _files.is_csv(output):
        if logits.ndim not in {1, 2}:
            raise UsageError(
                f"the result has {logits.ndim} dims; a .csv file holds 1 or 2, write {output} "
                "as .npy"
            )
        if logits.dtype.kind == "c":
            raise UsageError(f"the result is complex; a .csv file is not, write {output} as .npy")
    if top is not None and logits.dtype.kind == "c":
        raise UsageError(f"--top {top} with complex input: complex numbers have no order")


def _timed(logits: Array, dim: Any, dtype: str | None) -> tuple[Array, float, float | None]:
    """The result, the time it took, and where the call was repeated, that of the first."""
    try:
        _arguments.dims_of(dim, MISSING, logits.ndim)  # before Numba is imported for nothing
        result, first = _timed_once(logits, dim, dtype)
        if logits.nbytes > _QUICK_BYTES:
            return result, first, None
        return result, min(_timed_once(logits, dim, dtype)[1] for _ in range(_REPEATS)), first
    except MemoryError as problem:
        raise UsageError(f"not enough memory: {problem}") from problem
    except (TypeError, ValueError, OSError) as problem:
        raise UsageError(str(problem)) from problem


def _timed_once(logits: Array, dim: Any, dtype: str | None) -> tuple[Array, float]:
    start = time.perf_counter()
    result = softmax(logits, dim, dtype)
    return result, time.perf_counter() - start


def _say(text: str) -> None:
    """Print, also what standard output cannot encode: escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _complain(message: str, status: int = 0) -> int:
    """Print one line on standard error; the exit status."""
    print(f"fastsoftmax: {' '.join(message.split())}", file=sys.stderr)
    return status


@contextlib.contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Show warnings as the command shows errors."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        _complain(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _discard_output() -> None:
    """Send what is still to be printed nowhere: nobody reads it."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
