"""The report as one HTML file that needs nothing else: sortable tables, charts inlined."""

from __future__ import annotations

import base64
import html as markup
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import charts, machine_text, results, sections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.tables import Datum, Table

_SHELL = Path(__file__).with_name("page.html")
_OPEN_ROWS = 40
"""Longer tables are folded up until they are asked for."""


def html(data: dict[str, Any], drawings: Mapping[str, str]) -> str:
    """The whole page."""
    shell = _SHELL.read_text(encoding="utf-8")
    links = "".join(
        f'<a href="#{section}">{sections.TITLES[section]}</a>'
        for section in results.SECTIONS
        if section in data
    )
    body = "".join(_section(data, name, drawings) for name in results.SECTIONS if name in data)
    filled = {
        "links": links,
        "machine": _table(machine_text.table(data["machine"]), sortable=False),
        "sections": body,
        "digest": results.digest(data),
    }
    for name, text in filled.items():
        shell = shell.replace(f"<!-- {name} -->", text)
    return shell


def _section(data: dict[str, Any], name: str, drawings: Mapping[str, str]) -> str:
    content = data[name]
    conditions = machine_text.sentence(data["machine"], content)
    noisy = ' class="noisy"' if machine_text.is_noisy(content) else ""
    parts = [
        f'<section id="{name}"><h2>{sections.TITLES[name]}</h2>',
        f"<p{noisy}>{markup.escape(conditions)}</p>",
        f"<p>{markup.escape(content['policy'])}</p>",
        f"<p>{markup.escape(machine_text.versions(content))}</p>",
    ]
    parts += [_picture(each, drawings) for each in charts.charts(data) if each.section == name]
    parts += [_folded(table) for table in sections.tables_of(data, name)]
    return "\n".join([*parts, "</section>\n"])


def _picture(chart: charts.Chart, drawings: Mapping[str, str]) -> str:
    light, dark = (_data_url(drawings[f"{chart.name}-{theme}.svg"]) for theme in ("light", "dark"))
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img alt="{markup.escape(chart.alt)}" src="{light}"></picture>'
    )


def _data_url(drawing: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()


def _folded(table: Table) -> str:
    state = "" if len(table.rows) > _OPEN_ROWS else " open"
    title = markup.escape(table.title)
    return f"<details{state}><summary>{title}</summary>{_table(table)}</details>"


def _table(table: Table, sortable: bool = True) -> str:
    head = "".join(
        f"<th{_right(table, i)}>{_inline(column)}</th>" for i, column in enumerate(table.columns)
    )
    rows = "\n".join(
        "<tr>" + "".join(_cell(table, i, datum) for i, datum in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    if not any(table.columns):
        head = ""
    kind = ' class="sortable"' if sortable else ""
    return (
        f"<div><table{kind}><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>"
    )


def _cell(table: Table, column: int, datum: Datum) -> str:
    number = "" if datum.number is None else f' data-number="{datum.number:.6g}"'
    return f"<td{_right(table, column)}{number}>{_inline(datum.text)}</td>"


def _right(table: Table, column: int) -> str:
    return ' class="number"' if table.is_number(column) else ""


def _inline(text: str) -> str:
    """The little Markdown that stands in tables: bold and code."""
    safe = markup.escape(text)
    if safe.startswith("**"):
        return f"<strong>{safe.strip('*')}</strong>"
    first, *others = safe.split("`")
    return first + "".join(
        f"<code>{part}</code>" if i % 2 == 0 else part for i, part in enumerate(others)
    )
