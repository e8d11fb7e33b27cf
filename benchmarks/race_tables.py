"""The tables of the race: us and the best peer, everybody's times, changes since."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmarks import contenders, results
from benchmarks.tables import NOTHING, Datum, Table, duration, number, ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Cell
    from benchmarks.verdicts import Verdict


LAYOUTS = {"transposed": "x.T", "every second": "x[:, ::2]"}


def shape(cell: Cell, brief: bool = False) -> str:
    """Shape, dtype, dim and layout of a cell; float32 goes without saying if brief."""
    sizes = ", ".join(map(_size, cell["shape"])) + ("," if len(cell["shape"]) == 1 else "")
    layout = f", {LAYOUTS[cell['layout']]}" if cell["layout"] in LAYOUTS else ""
    dtype = "" if brief and cell["dtype"] == "float32" else f" {cell['dtype']}"
    return f"({sizes}){dtype}, dim {cell['dim']}{layout}"


def _size(size: int) -> str:
    """Large round sizes as people say them."""
    for factor, unit in ((10**6, "M"), (10**3, "k")):
        if size >= 10 * 10**3 and size % (factor // 10) == 0 and size >= factor:
            return f"{size / factor:g}{unit}"
    return str(size)


def speed(section: dict[str, Any]) -> Table:
    """Us and the best peer in each cell, fresh and out."""
    rows = []
    for cell in section["cells"]:
        row = [Datum(cell["workload"]), Datum(shape(cell))]
        for mode in results.MODES:
            best = results.best_peer(cell, mode)
            row += [
                duration(results.seconds(cell, "fastsoftmax", mode)),
                Datum(f"{results.title_of(best[0])} {duration(best[1]).text}", best[1])
                if best
                else Datum(NOTHING),
                ratio(results.lead(cell, mode)),
            ]
        rows.append(row)
    columns = ["workload", "array"]
    for mode in ("a new result", "`out=`"):
        columns += [f"{mode}: fastsoftmax", "best peer", "we are"]
    return Table("Speed against the best peer of each cell", columns, rows)


def standings(section: dict[str, Any]) -> Table:
    """The geometric mean and the count of wins, fresh and out."""
    rows = []
    for mode, what in zip(results.MODES, ("a new result", "`out=`"), strict=True):
        leads = [lead for cell in section["cells"] if (lead := results.lead(cell, mode))]
        behind = [cell["key"] for cell in section["cells"] if (results.lead(cell, mode) or 1) < 1]
        mean = results.geometric_mean(leads)
        rows.append(
            [
                Datum(what),
                ratio(mean) if leads else Datum(NOTHING),
                Datum(f"{sum(lead >= 1 for lead in leads)} of {len(leads)}"),
                Datum(", ".join(behind) or "nowhere"),
            ]
        )
    columns = ["", "geometric mean against the best peer of each cell", "ahead in", "behind in"]
    return Table("Standings", columns, rows)


def times(section: dict[str, Any], mode: str) -> Table:
    """All contenders' times in all cells, by one mode."""
    names = [name for name in section["versions"] if _takes_part(section, name, mode)]
    rows = []
    for cell in section["cells"]:
        row = [Datum(cell["workload"]), Datum(shape(cell))]
        for name in names:
            entry = results.find(cell, name, mode)
            timed = entry is not None and entry["status"] == results.TIMED
            row.append(
                duration(entry["minimum"])
                if entry is not None and timed
                else Datum(entry["status"] if entry is not None else NOTHING)
            )
        rows.append(row)
    what = "A new result on each call" if mode == "fresh" else "Into an existing array (`out=`)"
    return Table(what, ["workload", "array", *map(results.title_of, names)], rows)


def _takes_part(section: dict[str, Any], name: str, mode: str) -> bool:
    return any(results.seconds(cell, name, mode) is not None for cell in section["cells"])


def details(cell: Cell) -> Table:
    """All that is known of one cell: a row for each contender and mode."""
    rows = []
    for entry in sorted(cell["entries"], key=lambda entry: entry.get("minimum", math.inf)):
        ours = results.seconds(cell, "fastsoftmax", entry["mode"])
        start = [Datum(results.title_of(entry["contender"])), Datum(entry["mode"])]
        if entry["status"] != results.TIMED:
            blank = [Datum(NOTHING)] * 5
            rows.append([*start, *blank, Datum(f"{entry['status']}: {entry['detail']}")])
            continue
        limit = results.kind_of(entry["contender"]) == contenders.LIMIT
        rows.append(
            [
                *start,
                duration(entry["minimum"]),
                duration(entry["median"]),
                Datum(f"{entry['spread']:.0%}", entry["spread"]),
                number(entry["minimum"] / ours if ours else None),
                number(entry.get("max_ulp")),
                Datum("no softmax" if limit else ""),
            ]
        )
    columns = ["contender", "mode", "minimum", "median", "spread", "x ours", "max ULP", ""]
    return Table(f"{cell['workload']}: {shape(cell)}", columns, rows)


def verdicts(found: Sequence[Verdict]) -> Table:
    """Changes against an older run, the worst first."""
    rows = [
        [
            Datum(each.key),
            Datum(each.mode),
            Datum(results.title_of(each.contender)),
            number(each.change, 3),
            Datum(each.word),
        ]
        for each in sorted(found, key=lambda each: -(each.change if each.change > 0 else math.inf))
    ]
    columns = ["cell", "mode", "contender", "new time / old", "verdict"]
    return Table("Against the older run", columns, rows)
