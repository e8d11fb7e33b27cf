"""``python -m benchmarks report``: Markdown, charts and a page, made from a results file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import (
    charts,
    embed,
    machine_text,
    options,
    page,
    part_tables,
    race_tables,
    results,
    sections,
)
from benchmarks.options import console
from benchmarks.processes import ROOT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from benchmarks.tables import Table

HELP = "Markdown tables, SVG charts and a page from a results file"
CHARTS = "charts"
REPORT, PAGE = "report.md", "index.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "results",
        nargs="?",
        type=Path,
        default=results.PUBLISHED,
        metavar="RESULTS.json",
        help="the report is written beside it; README.md and docs/ are brought up to date only "
        f"from the default, {options.shown(results.PUBLISHED)}",
    )
    parser.add_argument(
        "--with", dest="plugins", action="append", default=[], metavar="FILE.py",
        help="a file of contenders of your own, for their titles",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Write all of it."""
    from benchmarks import contenders

    for file in arguments.plugins:
        contenders.load(file)
    write(arguments.results)
    return 0


def write(path: Path) -> None:
    """Write report, charts and page beside the results, and bring the documents up to date."""
    data = results.read(path)
    folder = path.parent
    (folder / CHARTS).mkdir(exist_ok=True)
    drawings = charts.drawn(data)
    for name, drawing in drawings.items():
        (folder / CHARTS / name).write_text(drawing, encoding="utf-8")
    (folder / REPORT).write_text(markdown(data), encoding="utf-8")
    (folder / PAGE).write_text(page.html(data, drawings), encoding="utf-8")
    written = [folder / REPORT, folder / PAGE]
    if path.resolve() == results.PUBLISHED:
        written += bring_up_to_date(data)
    console.print(f"written: {', '.join(map(options.shown, written))} and {len(drawings)} charts")


def documents() -> list[Path]:
    """The hand-written documents that may embed generated parts."""
    return [
        path
        for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
        if path.exists()
    ]


def bring_up_to_date(data: dict[str, Any]) -> list[Path]:
    """Replace the generated parts of the documents; those that have some are returned."""
    found = []
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if embed.parts(text):
            path.write_text(embed.replaced(text, blocks(data, path.parent)), encoding="utf-8")
            found.append(path)
    return found


def blocks(data: dict[str, Any], folder: Path) -> dict[str, str]:
    """What README and docs embed, by the names of their markers, for a document in `folder`."""
    pictures = (results.PUBLISHED.parent / CHARTS).relative_to(folder).as_posix()
    makers: dict[str, tuple[str, Callable[[dict[str, Any]], list[Table]]]] = {
        "speed": ("race", lambda race: [race_tables.standings(race), race_tables.speed(race)]),
        "accuracy": ("accuracy", lambda part: [part_tables.accuracy(part, brief=True)]),
        "startup": ("startup", lambda part: [part_tables.startup(part)]),
        "memory": ("memory", lambda part: [part_tables.memory(part)]),
    }
    found = {}
    for name, (section, tables) in makers.items():
        if section in data:
            content = data[section]
            made = [table.markdown() for table in tables(content)]
            where = machine_text.sentence(data["machine"], content)
            found[name] = "\n\n".join([picture(data, name, pictures), *made, where])
    return found


def picture(data: dict[str, Any], name: str, folder: str) -> str:
    """The chart as HTML that follows the reader's theme."""
    [chart] = [chart for chart in charts.charts(data) if chart.name == name]
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{folder}/{name}-dark.svg">\n'
        f'  <img alt="{chart.alt}" src="{folder}/{name}-light.svg">\n'
        "</picture>"
    )


def markdown(data: dict[str, Any]) -> str:
    """The whole report."""
    lines = [
        "# Benchmarks",
        (
            "Made from `results.json` by `python -m benchmarks report`; do not edit. "
            "[How it is measured, and how to add a contender](../benchmarks.md). "
            f"The same with sortable tables: [{PAGE}]({PAGE})."
        ),
        machine_text.table(data["machine"]).markdown(),
    ]
    for section in results.SECTIONS:
        if section not in data:
            continue
        content = data[section]
        lines += [f"## {sections.TITLES[section]}", machine_text.sentence(data["machine"], content)]
        lines += [content["policy"], machine_text.versions(content)]
        here = [chart.name for chart in charts.charts(data) if chart.section == section]
        lines += [picture(data, name, CHARTS) for name in here]
        for table in sections.tables_of(data, section):
            lines += [f"### {table.title}", table.markdown()]
    return "\n\n".join(lines) + "\n"
