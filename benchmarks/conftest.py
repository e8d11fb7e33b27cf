"""Options of ``pytest benchmarks``, the quick look at speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contenders import CONTENDERS

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses all cells."""
    parser.addoption(
        "--card", action="store_true", help="every cell of the card, not a quick selection"
    )


def pytest_report_header() -> str:
    """Name the contenders that are not installed."""
    missing = [contender.title() for contender in CONTENDERS if not contender.available()]
    return f"contenders not installed: {', '.join(missing) or 'none'}"
