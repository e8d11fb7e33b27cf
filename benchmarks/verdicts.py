"""Regressions: whether a run differs from an older one by more than the noise of both."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import contenders, results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.results import Cell, Entry

LEAST_CHANGE = 0.05
"""Changes below this are never called: the place of memory pages alone makes as much."""
SLOWER, FASTER, SAME, LOST, NEW = "slower", "faster", "same", "lost", "new"


class Verdict(NamedTuple):
    """What became of one contender in one cell by one mode."""

    key: str
    contender: str
    mode: str
    change: float
    """The new time over the old one, less the machine's drift; NaN where one is missing."""
    word: str


def verdict(old: Entry, new: Entry, drift: float = 1.0) -> tuple[float, str]:
    """Compare two timings.

    The rounds of a run say how far its minimum can be trusted: it is called slower only if its
    fastest call is slower than the old run's typical round, and faster the other way round.
    `drift` is the factor by which the whole machine has become slower.
    """
    before, after = old["minimum"] * drift, new["minimum"]
    change = after / before
    if change > 1 + LEAST_CHANGE and after > typical(old) * drift:
        return change, SLOWER
    if change < 1 / (1 + LEAST_CHANGE) and typical(new) < before:
        return change, FASTER
    return change, SAME


def typical(entry: Entry) -> float:
    """The median of the fastest calls of the rounds."""
    return statistics.median(entry["rounds"])


def drift(old: dict[str, Any], new: dict[str, Any]) -> float:
    """How much slower the machine has become: the median change of unchanged contenders.

    Those are the peers and limits with the same version in both runs.
    """
    changes = [
        after["minimum"] / before["minimum"]
        for _, before, after in _pairs(old, new)
        if before is not None
        and _timed(before)
        and _timed(after)
        and results.kind_of(after["contender"]) in {contenders.PEER, contenders.LIMIT}
        and old["versions"].get(after["contender"]) == new["versions"].get(after["contender"])
    ]
    return statistics.median(changes) if changes else 1.0


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Verdict]:
    """Compare two race sections, entry by entry."""
    factor = drift(old, new)
    found = []
    for cell, before, after in _pairs(old, new):
        change, word = float("nan"), SAME
        if before is None or not _timed(before):
            word = NEW if _timed(after) else SAME
        elif not _timed(after):
            word = LOST
        else:
            change, word = verdict(before, after, factor)
        found.append(Verdict(cell["key"], after["contender"], after["mode"], change, word))
    return found


def _pairs(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[Cell, Entry | None, Entry]]:
    """The entries of the new run, each with the old run's for the same work."""
    cells = {_work(cell): cell for cell in old["cells"]}
    for cell in new["cells"]:
        before = cells.get(_work(cell))
        for entry in cell["entries"]:
            mode, name = entry["mode"], entry["contender"]
            yield cell, before and results.find(before, name, mode), entry


def _work(cell: Cell) -> tuple[Any, ...]:
    return cell["key"], tuple(cell["shape"]), cell["dim"], cell["dtype"], cell["layout"]


def _timed(entry: Entry) -> bool:
    return entry["status"] == results.TIMED
