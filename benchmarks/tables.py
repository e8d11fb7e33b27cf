"""Tables for the terminal, Markdown and HTML alike, and how figures stand in them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTHING = "–"  # noqa: RUF001 - a dash for what was not measured


_NEAR = 1.1


class Datum(NamedTuple):
    """What stands in a table: the text, and the number that it sorts by."""

    text: str
    number: float | None = None


class Table(NamedTuple):
    """A table with a heading; columns of numbers are set to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Datum]]

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return any(row[column].number is not None for row in self.rows)

    def markdown(self) -> str:
        """The table in GitHub's Markdown."""
        rules = ["---:" if self.is_number(i) else "---" for i in range(len(self.columns))]
        lines = [self.columns, rules, *([datum.text for datum in row] for row in self.rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def duration(seconds: float | None) -> Datum:
    """A time in the unit that suits it, three digits."""
    if seconds is None:
        return Datum(NOTHING)
    for factor, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms"), (1.0, "s")):
        if seconds * factor < 999.5 or unit == "s":
            return Datum(f"{digits(seconds * factor)} {unit}", seconds)
    raise AssertionError("the last unit fits all")


def digits(value: float, count: int = 3) -> str:
    """A number with some digits, without an exponent where that can be avoided."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    places = count - 1 - math.floor(math.log10(abs(float(f"{value:.{count}g}"))))
    return f"{value:.{max(0, places)}f}"


def number(value: float | None, count: int = 2) -> Datum:
    """A number as it is; large ones with an exponent."""
    if value is None or math.isnan(value):
        return Datum(NOTHING)
    text = digits(value, count) if 1e-3 <= abs(value) < 1e5 else f"{value:.{count - 1}e}"
    return Datum("0" if value == 0 else text, value)


def factor(lead: float) -> str:
    """A ratio or its inverse, whichever is above 1; near 1 with one digit more."""
    times = max(lead, 1 / lead)
    return f"{digits(times, 3 if times < _NEAR else 2)}x"


def ratio(lead: float | None) -> Datum:
    """The best peer's time over ours, in words that hide nothing."""
    if lead is None:
        return Datum(NOTHING)
    if lead >= 1:
        return Datum(f"{factor(lead)} faster", lead)
    return Datum(f"**{factor(lead)} slower**", lead)
