"""The charts of the race: by how much we lead, and everybody's times beside ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks import contenders, results, style
from benchmarks.race_tables import shape
from benchmarks.tables import factor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.results import Cell
    from benchmarks.style import Theme

MODE_TITLES = {"fresh": "a new result on each call", "out": "into an existing array (out=)"}
_ROW = 0.27
"""Inches of a cell of the card."""
_MOST_TIMES = 100.0
"""Contenders further off are drawn at the edge."""
_TEXT = 0.45
"""The share of a panel's width that the longest text takes."""
_WIDE = 300.0
"""Axes over more than this have ticks at powers of ten only."""


def _labels(axes: Axes, cells: list[Cell]) -> None:
    axes.set_yticks(range(len(cells)))
    axes.set_yticklabels(
        [f"{cell['workload']}  {shape(cell, brief=True)}" for cell in cells], fontsize=8
    )
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _log_x(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis with factors on both sides of 1x."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    steps = (1.0, 2.0, 5.0) if high / low < _WIDE else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(10, subs=steps, numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(_factor))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelsize=8.5)


def _factor(value: float, _position: object = None) -> str:
    """Both 1/5 and 5 are 5x, to the left and to the right of 1x."""
    return f"{max(value, 1 / value):.3g}x"


def _axes(drawn: Figure, cells: list[Cell]) -> dict[str, Axes]:
    left, right = drawn.subplots(1, 2, sharey=True)
    found = dict(zip(results.MODES, (left, right), strict=True))
    for mode, axes in found.items():
        axes.set_title(MODE_TITLES[mode])
        _labels(axes, cells)
        if axes is right:
            axes.tick_params(axis="y", labelleft=False)
    return found


def speed(section: dict[str, Any], theme: Theme) -> Figure:
    """A bar for each cell: the best peer's time over ours."""
    cells: list[Cell] = section["cells"]
    drawn = style.figure(1.2 + _ROW * len(cells))
    leads = {mode: [results.lead(cell, mode) for cell in cells] for mode in results.MODES}
    known = [lead for column in leads.values() for lead in column if lead] or [1.0]
    low, longest = min(0.7, *known) / 1.3, max(1.5, *known)
    high = math.exp((math.log(longest) - _TEXT * math.log(low)) / (1 - _TEXT))
    for mode, axes in _axes(drawn, cells).items():
        _log_x(axes, low, high)
        for y, (cell, lead) in enumerate(zip(cells, leads[mode], strict=True)):
            _bar(axes, y, cell, lead, mode, theme)
        axes.axvline(1, color=theme.text, lw=1)
        axes.set_xlabel("behind the best peer  ←  →  ahead of it", fontsize=9)
    style.heading(drawn, "fastsoftmax against the best peer of each workload", section)
    return drawn


def _bar(axes: Axes, y: int, cell: Cell, lead: float | None, mode: str, theme: Theme) -> None:
    best = results.best_peer(cell, mode)
    if lead is None or best is None:
        axes.text(1.05, y, "not measured", va="center", fontsize=8, color=theme.muted)
        return
    color = theme.ours if lead >= 1 else theme.behind
    axes.barh(y, lead - 1, left=1, height=0.62, color=color)
    text = f"{factor(lead)} {'ahead of' if lead >= 1 else 'behind'} {results.title_of(best[0])}"
    axes.text(max(lead, 1) * 1.06, y, text, va="center", fontsize=8)


def everyone(section: dict[str, Any], theme: Theme) -> Figure:
    """A row of markers for each cell: everybody's time over ours."""
    cells: list[Cell] = section["cells"]
    drawn = style.figure(1.6 + _ROW * len(cells))
    shown = [name for name in section["versions"] if results.kind_of(name) != contenders.OURS]
    lowest = 0.5
    found = _axes(drawn, cells)
    for mode, axes in found.items():
        for y, cell in enumerate(cells):
            ours = results.seconds(cell, "fastsoftmax", mode)
            for name in shown:
                seconds = results.seconds(cell, name, mode)
                if ours is None or seconds is None:
                    continue
                lowest = min(lowest, seconds / ours)
                place = max(1 / _MOST_TIMES, min(seconds / ours, _MOST_TIMES))
                _marker(axes, place, y, name, theme)
        axes.axvline(1, color=theme.ours, lw=2)
        axes.set_xlabel("less time than fastsoftmax  ←  →  more time", fontsize=9)
    for axes in found.values():
        _log_x(axes, max(lowest, 1 / _MOST_TIMES) / 1.3, _MOST_TIMES * 1.3)
    style.heading(
        drawn, "Every contender's time, as a multiple of fastsoftmax's (the line)", section
    )
    style.legend(drawn, found["fresh"], shown, theme)
    return drawn


def _marker(axes: Axes, x: float, y: int, name: str, theme: Theme) -> None:
    look = style.look_of(name, theme)
    limit = results.kind_of(name) == contenders.LIMIT
    axes.plot(
        x, y, ls="none", marker=look.marker, ms=9 if limit else 6, mew=1.6, color=look.color,
        mfc=look.fill, alpha=0.9,
    )  # fmt: skip
