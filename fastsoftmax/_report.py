"""What the command prints of a result: its summary and its leading classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Array = np.ndarray[Any, Any]
Dim = int | tuple[int, ...] | None

SLICES = 5
"""The slices whose leading classes are shown, at the most."""

_BAR_WIDTH = 24
_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def summary(
    logits: Path, given: np.dtype[Any], dim: Dim, result: Array, output: Path | None
) -> list[str]:
    """The lines that say what was computed."""
    names = ", ".join(map(str, dim)) if isinstance(dim, tuple) else str(dim)
    dtypes = str(given) if given == result.dtype else f"{given} -> {result.dtype}"
    lines = [
        f"input   {logits}",
        f"shape   {result.shape}",
        f"dtype   {dtypes}",
        f"dim     {names.lower()}",
    ]
    if output is not None:
        lines.append(f"output  {output}")
    return lines


def time_line(seconds: float, first: float | None) -> str:
    """How long the computation took; `first`: a first call before it, in seconds."""
    if first is None:
        return f"time    {_duration(seconds)}, compiling or loading the kernel included"
    return (
        f"time    {_duration(seconds)} (the first call, which compiles or loads the kernel: "
        f"{_duration(first)})"
    )


def _duration(seconds: float) -> str:
    unit, size = next(each for each in _UNITS if seconds >= each[1] or each is _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def bars_for(encoding: str | None) -> Callable[[float], str]:
    """How a share of 1 is drawn where text has this encoding."""
    try:
        _EIGHTHS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return lambda share: "#" * round(share * _BAR_WIDTH)
    return _block_bar


def _block_bar(share: float) -> str:
    whole, eighths = divmod(round(share * _BAR_WIDTH * 8), 8)
    return _EIGHTHS[-1] * whole + _EIGHTHS[eighths].strip()


def leading(result: Array, dim: Dim, top: int, bar: Callable[[float], str]) -> list[str]:
    """A table of the `top` largest probabilities of the first slices."""
    dims = _counted_from_0(dim, result.ndim)
    batch = [size for axis, size in enumerate(result.shape) if axis not in dims]
    lengths = [result.shape[axis] for axis in dims]
    rows = [("slice", "class", "probability", "")]
    if result.size:
        for index in _first_slices(result.ndim, dims, batch):
            rows += _slice_rows(index, result[index], lengths, top, bar)
    lines = _in_columns(rows)
    rest = math.prod(batch) - SLICES
    if rest > 0:
        lines.append(f"... and {rest} more slice{'s' if rest > 1 else ''}")
    return lines


def _counted_from_0(dim: Dim, ndim: int) -> tuple[int, ...]:
    if dim is None:
        return tuple(range(ndim))
    dims = dim if isinstance(dim, tuple) else (dim,)
    return tuple(sorted(each % ndim for each in dims)) if ndim else ()


def _first_slices(
    ndim: int, dims: tuple[int, ...], batch: list[int]
) -> Iterator[tuple[int | slice, ...]]:
    """The indices of the first slices, in the order of the batch."""
    for number in range(min(math.prod(batch), SLICES)):
        place = iter(np.unravel_index(number, batch) if batch else ())
        yield tuple(slice(None) if axis in dims else int(next(place)) for axis in range(ndim))


def _slice_rows(
    index: tuple[int | slice, ...],
    probabilities: Array,
    lengths: list[int],
    top: int,
    bar: Callable[[float], str],
) -> list[tuple[str, str, str, str]]:
    """The rows of one slice; only the first names it."""
    name = ", ".join(":" if isinstance(each, slice) else str(each) for each in index)
    flat = probabilities.ravel()
    if np.isnan(flat).any():
        return [(f"[{name}]", "all", "NaN", "")]
    rows: list[tuple[str, str, str, str]] = []
    for place in _largest(flat, min(top, flat.size)):
        share = float(flat[place])
        where = tuple(int(each) for each in np.unravel_index(place, lengths)) if lengths else (0,)
        label = str(where[0] if len(where) == 1 else where)
        rows.append(("" if rows else f"[{name}]", label, _share(share), bar(share)))
    return rows


def _largest(flat: Array, count: int) -> Array:
    """The places of the `count` largest numbers, equal ones in order."""
    least = np.partition(flat, flat.size - count)[flat.size - count]
    above = np.flatnonzero(flat > least)
    equal = np.flatnonzero(flat == least)[: count - above.size]
    places = np.concatenate([above, equal])
    order: Array = np.lexsort((places, -flat[places]))
    return places[order]


def _share(share: float) -> str:
    return f"{share:.4f}" if share == 0 or share >= 0.00005 else f"{share:.0e}"


def _in_columns(rows: list[tuple[str, str, str, str]]) -> list[str]:
    """Rows as lines, columns as wide as their widest entry; names left, numbers right."""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{name:<{widths[0]}}  {label:>{widths[1]}}  {share:>{widths[2]}}  {bar}".rstrip()
        for name, label, share, bar in rows
    ]
