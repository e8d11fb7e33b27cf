"""The results file: its sections, reading, writing, and the questions that all tables ask."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, TypedDict

from benchmarks import contenders
from benchmarks.processes import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
PUBLISHED = ROOT / "docs" / "benchmarks" / "results.json"
"""The results that README and docs show."""
OWN = ROOT / ".benchmarks" / "results.json"
"""Where runs of one's own go; git ignores it."""
SECTIONS = ("race", "accuracy", "startup", "memory", "scaling")
TIMED = "timed"
MODES = ("fresh", "out")


class Entry(TypedDict, total=False):
    """What one contender did in one cell by one mode."""

    contender: str
    mode: str
    status: str
    """`timed`; else `wrong`, `refused` or `died`, and `detail` tells more."""
    detail: str
    minimum: float
    """Seconds of the fastest call."""
    median: float
    """Median of the rounds' medians, in seconds."""
    spread: float
    """Half of the rounds' minima lie within this share of their median."""
    rounds: list[float]
    """The fastest call of each round."""
    calls: int
    faults: float
    """Page faults a call."""
    max_ulp: float


class Cell(TypedDict):
    """A cell of the card, and what came of it."""

    key: str
    workload: str
    source: str
    group: str
    shape: list[int]
    dim: int
    dtype: str
    layout: str
    entries: list[Entry]


def read(path: Path) -> dict[str, Any]:
    """Read a results file.

    Raises
    ------
    ValueError
        If it is none, or of another format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as problem:
        raise ValueError(f"{path}: not JSON ({problem})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: not a results file of format {FORMAT}")
    return content


def save(path: Path, section: str, content: dict[str, Any], machine: dict[str, Any]) -> None:
    """Put a section into a results file; sections from another machine are dropped."""
    kept: dict[str, Any] = {}
    if path.exists():
        old = read(path)
        if old.get("machine", {}).get("cpu") == machine["cpu"]:
            kept = {name: old[name] for name in SECTIONS if name in old}
    kept[section] = content
    ordered = {name: kept[name] for name in SECTIONS if name in kept}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _pretty(rounded({"format": FORMAT, "machine": machine, **ordered}))
    path.write_text(text + "\n", encoding="utf-8")


def _pretty(value: Any, margin: str = "") -> str:
    """JSON with a line for each row: what holds no objects stays on one line."""
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, list) or not any(_is_deep(item) for item in items):
        return json.dumps(value, ensure_ascii=False)
    inner = margin + " "
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {_pretty(item, inner)}" for key, item in value.items()]
    else:
        lines = [_pretty(item, inner) for item in items]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n{inner}" + f",\n{inner}".join(lines) + f"\n{margin}{end}"


def _is_deep(value: Any) -> bool:
    """Whether a value is an object, or holds some."""
    if isinstance(value, list):
        return any(_is_deep(item) for item in value)
    return isinstance(value, dict)


def rounded(value: Any) -> Any:
    """The same with floats of four digits; NaN and infinities are null."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def today() -> str:
    """The date, in ISO's form."""
    return datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()


def digest(content: Any) -> str:
    """A short name of some results, by which what was made of them is known."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def find(cell: Cell, contender: str, mode: str) -> Entry | None:
    """The entry of a contender, whatever became of it."""
    for entry in cell["entries"]:
        if entry["contender"] == contender and entry["mode"] == mode:
            return entry
    return None


def seconds(cell: Cell, contender: str, mode: str) -> float | None:
    """The fastest call of a contender, if it was timed."""
    entry = find(cell, contender, mode)
    return entry["minimum"] if entry is not None and entry["status"] == TIMED else None


def kind_of(name: str) -> str:
    """What a contender is; one that is no longer in the table is a peer."""
    for contender in contenders.CONTENDERS:
        if contender.name == name:
            return contender.kind
    return contenders.PEER


def title_of(name: str) -> str:
    """What a contender is called in tables."""
    for contender in contenders.CONTENDERS:
        if contender.name == name:
            return contender.title()
    return name


def best_peer(cell: Cell, mode: str) -> tuple[str, float] | None:
    """The fastest peer by a mode, and its seconds."""
    found = [
        (entry["contender"], entry["minimum"])
        for entry in cell["entries"]
        if entry["mode"] == mode
        and entry["status"] == TIMED
        and kind_of(entry["contender"]) == contenders.PEER
    ]
    return min(found, key=lambda pair: pair[1]) if found else None


def lead(cell: Cell, mode: str) -> float | None:
    """The best peer's time over ours: above 1 we are ahead."""
    ours, best = seconds(cell, "fastsoftmax", mode), best_peer(cell, mode)
    return None if ours is None or best is None else best[1] / ours


def geometric_mean(values: list[float]) -> float:
    """The geometric mean; NaN of nothing."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan
