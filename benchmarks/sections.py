"""The sections of a report: their titles and their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import part_tables, race_tables, results

if TYPE_CHECKING:
    from benchmarks.tables import Table

TITLES = {
    "race": "Speed",
    "accuracy": "Accuracy",
    "startup": "Start-up",
    "memory": "Memory",
    "scaling": "Scaling",
}


def tables_of(data: dict[str, Any], section: str) -> list[Table]:
    """All tables of a section."""
    content = data[section]
    if section == "race":
        return [
            race_tables.standings(content),
            race_tables.speed(content),
            *(race_tables.times(content, mode) for mode in results.MODES),
        ]
    if section == "accuracy":
        return [
            part_tables.accuracy(content),
            *(part_tables.accuracy_in_full(content, name) for name in part_tables.QUANTITIES),
        ]
    if section == "startup":
        return [part_tables.startup(content)]
    return [part_tables.memory(content)] if section == "memory" else part_tables.curves(content)
