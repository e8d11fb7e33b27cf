"""What README and docs show comes from the results file in the repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

for needed in ("matplotlib", "psutil", "rich"):
    pytest.importorskip(needed)

from benchmarks import charts, embed, page, report, results, workloads  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


# That of the machine whose figures README shows, and those of others.
PUBLISHED = sorted(results.PUBLISHED.parent.parent.glob("benchmarks*/results.json"))


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return results.read(results.PUBLISHED)


def test_covers_the_whole_card(data: dict[str, Any]) -> None:
    assert [each["key"] for each in data["race"]["cells"]] == [
        case.key for case in workloads.card()
    ]


@pytest.mark.parametrize("path", report.documents(), ids=lambda path: path.name)
def test_documents_embed_it(data: dict[str, Any], path: Path) -> None:
    blocks = report.blocks(data, path.parent)
    for name, text in embed.embedded(path.read_text(encoding="utf-8")).items():
        assert text == blocks[name], "run `python -m benchmarks report`"


def test_there_is_more_than_one_machine() -> None:
    assert results.PUBLISHED in PUBLISHED
    assert len(PUBLISHED) > 1
    machines = [results.read(path)["machine"] for path in PUBLISHED]
    assert all(machines.count(each) == 1 for each in machines)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda path: path.parent.name)
def test_the_report_is_made_of_it(published: Path) -> None:
    text = (published.parent / report.REPORT).read_text(encoding="utf-8")
    assert text == report.markdown(results.read(published))


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda path: path.parent.name)
def test_charts_are_made_of_it(published: Path) -> None:
    data, folder = results.read(published), published.parent / report.CHARTS
    for chart in charts.charts(data):
        for theme in ("light", "dark"):
            text = (folder / f"{chart.name}-{theme}.svg").read_text(encoding="utf-8")
            assert results.digest(data[chart.section]) in text


def test_the_page_is_made_of_it_and_of_nothing_else(data: dict[str, Any]) -> None:
    folder = results.PUBLISHED.parent
    drawings = {
        path.name: path.read_text(encoding="utf-8")
        for path in (folder / report.CHARTS).glob("*.svg")
    }
    text = (folder / report.PAGE).read_text(encoding="utf-8")
    assert text == page.html(data, drawings)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
