"""The list of charts: which there are for some results, drawn in both themes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import curve_charts, part_charts, race_charts, results, style

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from benchmarks.style import Theme


class Chart(NamedTuple):
    """A chart before it is drawn."""

    name: str
    section: str
    alt: str
    """What it shows, for those who cannot see it; the figures are in the tables."""
    draw: Callable[[Theme], Figure]


def charts(data: dict[str, Any]) -> list[Chart]:
    """The charts of the sections that there are."""
    found = []
    if race := data.get("race"):
        found += [
            Chart(
                "speed",
                "race",
                "Bars: the best peer's time over fastsoftmax's in each workload",
                partial(race_charts.speed, race),
            ),
            Chart(
                "contenders",
                "race",
                "Markers: every contender's time over fastsoftmax's in each workload",
                partial(race_charts.everyone, race),
            ),
        ]
    found += [
        Chart(name, name, alt, partial(draw, data[name]))
        for name, alt, draw in (
            ("accuracy", "Largest errors in ULP of each contender", part_charts.accuracy),
            ("startup", "Import time and time to the first result", part_charts.startup),
            ("memory", "Peak memory beyond the result", part_charts.memory),
        )
        if name in data
    ]
    if scaling := data.get("scaling"):
        caches = data["machine"]["caches"]
        kinds = list(dict.fromkeys(row["curve"] for row in scaling["rows"]))
        found += [
            Chart(
                f"scaling-{kind}",
                "scaling",
                f"Elements a second over {kind}, a line for each contender",
                partial(curve_charts.curve, scaling, kind, caches),
            )
            for kind in kinds
            if kind in curve_charts.HEADINGS
        ]
        if any(kind.startswith("threads, ") for kind in kinds):
            found.append(
                Chart(
                    "scaling-threads",
                    "scaling",
                    "Speed-up over the number of threads",
                    partial(curve_charts.threads, scaling),
                )
            )
    return found


def drawn(data: dict[str, Any]) -> dict[str, str]:
    """All charts as SVG, by file name; each names the results that it was made of."""
    files = {}
    for chart in charts(data):
        description = f"results {results.digest(data[chart.section])}"
        for theme in style.THEMES:
            with style.drawing(theme):
                files[f"{chart.name}-{theme.name}.svg"] = style.svg(chart.draw(theme), description)
    return files
