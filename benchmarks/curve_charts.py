"""The charts of scaling: speed along one axis, each line named at its end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks import contenders, results, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.style import Theme

HEADINGS = {
    "size": "Speed over size (rows of 1000 float32): elements a second",
    "classes": "Speed over the number of classes (a million float32): elements a second",
    "batch": "Speed over batch (rows of ten classes, float32): elements a second",
}
AXES = {
    "size": "elements; from the dotted lines on, input and result together no longer fit a cache",
    "classes": "classes",
    "batch": "rows",
}
_APART = 0.048
"""The least distance of names at the ends of lines, as a share of the height."""


def lines_of(section: dict[str, Any], name: str) -> dict[str, list[tuple[int, float]]]:
    """The points of each contender along a curve: x, and elements a second."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in section["rows"]:
        if row["curve"] == name:
            rate = row["elements"] / row["seconds"]
            found.setdefault(row["contender"], []).append((row["x"], rate))
    return {who: sorted(points) for who, points in found.items()}


def curve(section: dict[str, Any], name: str, caches: dict[str, int], theme: Theme) -> Figure:
    """Elements a second along a curve."""
    drawn = style.figure(4.8)
    axes = drawn.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = {}
    lines = lines_of(section, name)
    for who, points in lines.items():
        look = style.look_of(who, theme)
        ours = results.kind_of(who) == contenders.OURS
        xs, ys = zip(*points, strict=True)
        limit = results.kind_of(who) == contenders.LIMIT
        axes.plot(xs, ys, color=look.color, ls=look.line, lw=2.6 if ours else 1.5, ms=4,
                  marker=None if limit else look.marker, zorder=3 if ours else 2)  # fmt: skip
        ends[who] = ys[-1]
    last = max((points[-1][0] for points in lines.values()), default=10)
    first = min((points[0][0] for points in lines.values()), default=1)
    axes.set_xlim(first / 1.2, last * (last / first) ** 0.16)
    if name == "size":
        _draw_caches(axes, caches, last, theme)
    axes.yaxis.set_major_formatter(FuncFormatter(_rate))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(LogLocator(10, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(_count))
    axes.set_xlabel(AXES[name], fontsize=9)
    _name_ends(axes, ends, last, theme)
    style.heading(drawn, HEADINGS[name], section)
    return drawn


def _draw_caches(axes: Axes, caches: dict[str, int], last: int, theme: Theme) -> None:
    for level, size in caches.items():
        x = size / 8  # four bytes in, four out
        if x < last:
            axes.axvline(x, color=theme.muted, lw=1, ls=":")
            axes.annotate(
                f" {level}", (x, 1), xycoords=("data", "axes fraction"), va="top", fontsize=9,
                color=theme.muted,
            )  # fmt: skip


def _name_ends(axes: Axes, ends: dict[str, float], x: float, theme: Theme) -> None:
    """Names beside the ends of lines, moved apart where they would overlap."""
    low, high = (math.log(value) for value in axes.get_ylim())
    places = {who: (math.log(y) - low) / (high - low) for who, y in ends.items()}
    below = -1.0
    for who in sorted(places, key=lambda who: places[who]):
        below = places[who] = max(places[who], below + _APART)
    for who, place in places.items():
        y = math.exp(low + place * (high - low))
        axes.annotate(
            results.title_of(who), (x, y), (8, 0), textcoords="offset points", va="center",
            fontsize=9, color=style.look_of(who, theme).color, annotation_clip=False,
            fontweight="bold" if results.kind_of(who) == contenders.OURS else "normal",
        )  # fmt: skip


def _rate(value: float, _position: object = None) -> str:
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g} {unit}/s"
    return f"{value:g} /s"


def _count(value: float, _position: object = None) -> str:
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"


def threads(section: dict[str, Any], theme: Theme) -> Figure:
    """Speed over the number of threads, as a multiple of the contender's on one."""
    names = [
        name
        for name in dict.fromkeys(row["curve"] for row in section["rows"])
        if name.startswith("threads, ")
    ]
    drawn = style.figure(3.4)
    panels = drawn.subplots(1, len(names), sharey=True, squeeze=False)[0]
    shown: list[str] = []
    for axes, name in zip(panels, names, strict=True):
        lines = lines_of(section, name)
        most = 1
        for who, points in lines.items():
            if points[0][0] != 1:
                continue
            look = style.look_of(who, theme)
            xs = [x for x, _ in points]
            ys = [rate / points[0][1] for _, rate in points]
            most = max(most, *xs)
            axes.plot(xs, ys, color=look.color, ls=look.line, marker=look.marker, ms=6)
            shown += [who] if who not in shown else []
        axes.plot([1, most], [1, most], color=theme.muted, lw=1, ls=":", zorder=1)
        axes.set_title(name.removeprefix("threads, "), fontsize=10)
        axes.set_xticks(range(1, most + 1) if most <= 8 else [1, most // 2, most])
        axes.set_xlabel("threads", fontsize=9)
        axes.yaxis.set_major_formatter(FuncFormatter(style.times))
    style.heading(
        drawn, "Speed-up over threads, against one's own speed on one (dotted: ideal)", section
    )
    if shown:
        style.legend(drawn, panels[0], shown, theme)
    return drawn
