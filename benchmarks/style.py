"""How charts look: light and dark, colours that colour-blind people tell apart, same bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks import contenders, machine_text, results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

WIDTH = 10.0
"""Inches; at the width of a README ten points are some eleven pixels."""


FONT = "DejaVu Sans"
_INSTEAD = "Verdana, sans-serif"
"""Where the reader has no such font: Verdana is as wide, others are narrower."""


_LEGEND_COLUMNS = 6


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours of one background."""

    name: str
    background: str
    text: str
    muted: str
    grid: str
    ours: str
    behind: str
    peers: tuple[str, ...]


# Okabe and Ito's colours, https://jfly.uni-koeln.de/color/; yellow and the blues are shifted
# so that they stand out from the background too.
LIGHT = Theme(
    name="light",
    background="#ffffff",
    text="#1f2328",
    muted="#6e7781",
    grid="#d8dee4",
    ours="#0072b2",
    behind="#d55e00",
    peers=("#d55e00", "#009e73", "#e69f00", "#cc79a7", "#7a5195", "#8c7300", "#444444"),
)
DARK = Theme(
    name="dark",
    background="#0d1117",
    text="#e6edf3",
    muted="#8d96a0",
    grid="#30363d",
    ours="#56b4e9",
    behind="#ff7f32",
    peers=("#ff7f32", "#1bc795", "#e69f00", "#e493bf", "#b59ad6", "#f0e442", "#c9d1d9"),
)
THEMES = (LIGHT, DARK)
MARKERS = ("s", "^", "D", "v", "P", "X", "*")


@dataclasses.dataclass(frozen=True)
class Look:
    """The colour and marker of a contender, the same in all charts."""

    color: str
    marker: str
    line: str
    fill: str
    """The colour inside the marker."""


def look_of(name: str, theme: Theme) -> Look:
    """What a contender looks like; those of one's own come after the known ones."""
    kind = results.kind_of(name)
    if kind == contenders.OURS:
        return Look(theme.ours, "o", "-", theme.ours)
    if kind == contenders.VARIANT:
        return Look(theme.ours, "o", ":", theme.background)
    if kind == contenders.LIMIT:
        threads = name == "copy-threads"
        return Look(theme.muted, "x" if threads else "|", "--" if threads else ":", theme.muted)
    peers = [each.name for each in contenders.CONTENDERS if each.kind == contenders.PEER]
    number = peers.index(name) if name in peers else len(peers)
    color = theme.peers[number % len(theme.peers)]
    return Look(color, MARKERS[number % len(MARKERS)], "-", color)


def _settings(theme: Theme) -> Any:
    return {
        "svg.hashsalt": "fastsoftmax",
        "svg.fonttype": "none",
        "font.family": FONT,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "figure.facecolor": theme.background,
        "axes.facecolor": theme.background,
        "savefig.facecolor": theme.background,
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.edgecolor": theme.grid,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.text,
        "ytick.labelcolor": theme.text,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }


@contextlib.contextmanager
def drawing(theme: Theme) -> Iterator[None]:
    """Draw and save in a theme's colours."""
    with mpl.rc_context(_settings(theme)):
        yield


def figure(height: float) -> Figure:
    """A figure as wide as all others."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def svg(drawn: Figure, description: str) -> str:
    """The figure as SVG, the same bytes for the same figure; the description goes into it."""
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Description": description}
    drawn.savefig(buffer, format="svg", metadata=metadata)
    text = buffer.getvalue().replace(f"'{FONT}'", f"'{FONT}', {_INSTEAD}")
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def heading(drawn: Figure, text: str, section: dict[str, Any]) -> None:
    """One sentence above a chart that says what there is to see, and of what a run."""
    if machine_text.is_noisy(section):
        text += " (noisy run)"
    drawn.suptitle(text, x=0.01, ha="left", fontsize=12, fontweight="bold")


def legend(drawn: Figure, axes: Axes, names: Sequence[str], theme: Theme) -> None:
    """A line of markers below a chart, or more of the same length."""
    handles = []
    for name in names:
        look = look_of(name, theme)
        handles += axes.plot(
            [], [], ls="none", marker=look.marker, ms=7, mew=1.6, color=look.color,
            mfc=look.fill, label=results.title_of(name),
        )  # fmt: skip
    lines = -(-len(names) // _LEGEND_COLUMNS)
    columns = -(-len(names) // lines)
    drawn.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9.5)


def times(value: float, _position: object = None) -> str:
    """A factor as people write it: 0.5x, 1x, 20x."""
    return f"{value:g}x"
