"""The tables of accuracy, start-up, memory and scaling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmarks import results
from benchmarks.tables import NOTHING, Datum, Table, duration, number

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = dict[str, Any]
MIB = 1 << 20
QUANTITIES = {
    "max_ulp": "max ULP",
    "mean_ulp": "mean ULP",
    "subnormal_steps": "subnormal results, steps",
    "sum_error": "abs(sum - 1)",
}


def worst(rows: Iterable[Row], quantity: str) -> float | None:
    """The largest of a quantity; None where there is none."""
    values = [row[quantity] for row in rows if row.get(quantity) is not None]
    return max(values) if values else None


def _pick(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _unique(rows: Iterable[Row], *names: str) -> list[tuple[Any, ...]]:
    """The combinations of some fields, in the order of the rows."""
    return list(dict.fromkeys(tuple(row[name] for name in names) for row in rows))


def accuracy(section: dict[str, Any], brief: bool = False) -> Table:
    """The worst of each quantity by dtype, over all lengths, sigmas and dims."""
    rows = []
    for (dtype,) in _unique(section["rows"], "dtype"):
        half = dtype in {"float16", "bfloat16"}
        for quantity, title in QUANTITIES.items():
            if brief and (half or quantity == "subnormal_steps") and quantity != "max_ulp":
                continue
            row = [Datum(dtype), Datum(title)]
            for name in section["versions"]:
                found = _pick(section["rows"], dtype=dtype, contender=name)
                row.append(number(worst(found, quantity)))
            rows.append(row)
    columns = ["dtype", "error", *map(results.title_of, section["versions"])]
    return Table("Worst error over all lengths, sigmas and dims", columns, rows)


def accuracy_in_full(section: dict[str, Any], quantity: str) -> Table:
    """One quantity in each case."""
    rows = []
    for case in _unique(section["rows"], "dtype", "dim", "length", "sigma"):
        dtype, dim, length, sigma = case
        row = [Datum(dtype), Datum(dim), number(length, 3), number(sigma)]
        for name in section["versions"]:
            [found] = _pick(
                section["rows"], dtype=dtype, dim=dim, length=length, sigma=sigma, contender=name
            ) or [{"status": NOTHING}]
            value = found.get(quantity)
            refused = found["status"] in {"refused", "wrong"}
            row.append(Datum(found["status"]) if refused else number(value))
        rows.append(row)
    columns = ["dtype", "dim", "length", "sigma", *map(results.title_of, section["versions"])]
    return Table(QUANTITIES[quantity], columns, rows)


def startup(section: dict[str, Any]) -> Table:
    """Import and first results, a row for each contender."""
    whats = [what for (what,) in _unique(section["rows"], "what")]
    whats.sort(key=lambda what: (what != "import", not what.startswith("warm")))
    rows = [
        [Datum(results.title_of(name)), *(_seconds(section, name, what) for what in whats)]
        for name in section["versions"]
    ]
    columns = ["", *(what if what == "import" else f"first result, {what}" for what in whats)]
    return Table("Import, and first result in a new process", columns, rows)


def _seconds(section: dict[str, Any], name: str, what: str) -> Datum:
    found = _pick(section["rows"], contender=name, what=what)
    return duration(found[0]["seconds"]) if found else Datum(NOTHING)


def memory(section: dict[str, Any]) -> Table:
    """Peak memory beyond the result, in MiB."""
    rows = []
    for case in _unique(section["rows"], "case", "shape_text", "dtype", "dim", "mode"):
        what, shape, dtype, dim, mode = case
        here = _pick(section["rows"], case=what, dtype=dtype, mode=mode)
        row = [Datum(f"{what}: {shape} {dtype}, dim {dim}"), Datum(_mode(mode))]
        size = next((found["input_bytes"] for found in here if "input_bytes" in found), None)
        row.append(number(size / MIB if size else None, 3))
        for name in section["versions"]:
            found = _pick(here, contender=name)
            row.append(number(found[0]["bytes"] / MIB) if _measured(found) else Datum(NOTHING))
        rows.append(row)
    columns = ["array", "result", "input", *map(results.title_of, section["versions"])]
    return Table("Peak memory beyond input and result, MiB", columns, rows)


def _measured(found: list[Row]) -> bool:
    return bool(found) and found[0]["status"] == "measured"


def _mode(mode: str) -> str:
    return "new" if mode == "fresh" else "`out=`"


def curve(section: dict[str, Any], name: str) -> Table:
    """Nanoseconds an element along one curve."""
    here = _pick(section["rows"], curve=name)
    contenders = [who for (who,) in _unique(here, "contender")]
    rows = []
    for x in sorted({row["x"] for row in here}):
        row = [number(x, 8)]
        for who in contenders:
            found = _pick(here, x=x, contender=who)
            nanoseconds = found[0]["seconds"] / found[0]["elements"] * 1e9 if found else math.nan
            row.append(number(nanoseconds))
        rows.append(row)
    return Table(
        f"Nanoseconds an element over {name}", [name, *map(results.title_of, contenders)], rows
    )


def curves(section: dict[str, Any]) -> list[Table]:
    """A table for each curve."""
    return [curve(section, name) for (name,) in _unique(section["rows"], "curve")]
