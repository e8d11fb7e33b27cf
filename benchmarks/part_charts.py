"""The charts of accuracy, start-up and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks import results, style
from benchmarks.part_tables import MIB, worst
from benchmarks.tables import digits, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.style import Theme

_HALF_ULP = 0.5


def _names(axes: Axes, names: list[str], theme: Theme) -> None:
    """Contenders from top to bottom, ours in its colour."""
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(map(results.title_of, names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        if name == "fastsoftmax":
            label.set(color=theme.ours, fontweight="bold")


def accuracy(section: dict[str, Any], theme: Theme) -> Figure:
    """The worst error of each contender, by dtype and dim."""
    names = list(section["versions"])
    dtypes = list(dict.fromkeys(row["dtype"] for row in section["rows"]))
    drawn = style.figure(1.5 + 0.3 * len(names))
    panels = drawn.subplots(1, len(dtypes), sharey=True, squeeze=False)[0]
    _names(panels[0], names, theme)
    for axes, dtype in zip(panels, dtypes, strict=True):
        axes.set_title(dtype)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, numticks=6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        for y, name in enumerate(names):
            here = [
                row for row in section["rows"] if row["dtype"] == dtype and row["contender"] == name
            ]
            _errors(axes, y, here, style.look_of(name, theme), theme)
        low, high = axes.get_xlim()
        axes.set_xlim(min(0.3, low), max(high * 2.5, 10))
        axes.axvline(_HALF_ULP, color=theme.muted, lw=1, ls=":")
    style.heading(
        drawn,
        "Largest error in ULP: filled the last dim, open the first (dotted: 0.5, correct rounding)",
        section,
    )
    return drawn


def _errors(axes: Axes, y: int, rows: list[dict[str, Any]], look: style.Look, theme: Theme) -> None:
    """The last dim filled, the first open, and the larger in figures."""
    found = {
        dim: worst([row for row in rows if row["dim"] == dim], "max_ulp")
        for dim in ("last", "first")
    }
    values = [value for value in found.values() if value]
    if not values:
        axes.text(0.35, y, "refused", va="center", fontsize=8, color=theme.muted)
        return
    axes.plot([min(values), max(values)], [y, y], color=look.color, lw=1.5)
    for dim, value in found.items():
        if value:
            fill = look.color if dim == "last" else theme.background
            axes.plot(value, y, marker="o", ms=7 if dim == "last" else 8, mew=1.6,
                      color=look.color, mfc=fill, zorder=3 if dim == "last" else 2)  # fmt: skip
    axes.annotate(
        digits(max(values), 2), (max(values), y), (7, 0), textcoords="offset points",
        va="center", fontsize=8,
    )  # fmt: skip


def startup(section: dict[str, Any], theme: Theme) -> Figure:
    """Import, first result with compiled code at hand, first result ever."""
    names = list(section["versions"])
    first = next(iter(section["cases"]))
    whats = {
        "import": ("import, beyond NumPy's", 0.45),
        f"warm, {first}": ("first result", 1.0),
        f"cold, {first}": ("first result ever (compiles)", 0.25),
    }
    drawn = style.figure(1.5 + 0.5 * len(names))
    axes = drawn.subplots()
    _names(axes, names, theme)
    for number, (what, (title, alpha)) in enumerate(whats.items()):
        for y, name in enumerate(names):
            seconds = _seconds(section, name, what)
            if seconds is not None:
                place = y + 0.27 * (number - 1)
                color = style.look_of(name, theme).color
                axes.barh(place, seconds, height=0.24, color=color, alpha=alpha)
                text = f" {duration(seconds).text}, {title}"
                axes.text(seconds, place, text, va="center", fontsize=8)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.35)
    axes.set_xlabel("seconds in a new process that has imported NumPy", fontsize=9)
    style.heading(drawn, f"Import and first result: {section['cases'][first]}", section)
    return drawn


def _seconds(section: dict[str, Any], name: str, what: str) -> float | None:
    for row in section["rows"]:
        if row["contender"] == name and row["what"] == what:
            seconds: float = row["seconds"]
            return seconds
    return None


def memory(section: dict[str, Any], theme: Theme) -> Figure:
    """Peak memory beyond the result, as a share of the input, into a new result."""
    names = list(section["versions"])
    rows = [row for row in section["rows"] if row["mode"] == "fresh"]
    cases = list(dict.fromkeys((row["case"], row["shape_text"], row["dtype"]) for row in rows))
    drawn = style.figure(1.6 + 0.36 * len(cases))
    axes = drawn.subplots()
    axes.set_yticks(range(len(cases)))
    axes.set_yticklabels([f"{case}  {shape} {dtype}" for case, shape, dtype in cases])
    axes.set_ylim(len(cases) - 0.4, -0.6)
    for row in rows:
        if row["status"] == "measured":
            y = cases.index((row["case"], row["shape_text"], row["dtype"]))
            look = style.look_of(row["contender"], theme)
            share = max(0.0, row["bytes"]) / row["input_bytes"]
            offset = (names.index(row["contender"]) - (len(names) - 1) / 2) * 0.09
            axes.plot(share, y + offset, ls="none", marker=look.marker, ms=7, color=look.color)
    axes.set_xlim(-0.05, max(1.1, axes.get_xlim()[1]))
    axes.xaxis.set_major_formatter(FuncFormatter(style.times))
    axes.set_xlabel("memory beyond input and result, as a multiple of the input", fontsize=9)
    most = max((row["bytes"] for row in rows if row.get("contender") == "fastsoftmax"
                and row["status"] == "measured"), default=0)  # fmt: skip
    style.heading(
        drawn,
        f"Peak memory beyond the result (fastsoftmax: {max(0, most) / MIB:.1f} MiB at the most)",
        section,
    )
    style.legend(drawn, axes, names, theme)
    return drawn
