"""The command under test: how it is run, and what there is to see afterwards."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Run = Callable[..., tuple[int, str, str]]
"""From words to exit status, standard output and standard error."""
Call = Callable[..., str]
"""From words to what was printed."""

Row = tuple[str | None, str, str, str]


def contents() -> dict[Path, bytes | None]:
    """All files of the current folder, and folders as None."""
    return {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


def process(*words: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fastsoftmax", *map(str, words)],
        capture_output=True,
        check=False,
        timeout=120,
        **options,
    )


def table(out: str) -> list[Row]:
    """The rows of the leading classes: (slice, class, probability, bar)."""
    rows = out.split("\n\n")[1].splitlines()[1:]
    pattern = re.compile(r"(\[.*?\])? +(all|\d+|\(.*?\)) +(\S+) *(\S*)")
    found = [pattern.fullmatch(row) for row in rows if not row.startswith("...")]
    assert all(found)
    return [match.groups() for match in found if match]  # type: ignore[misc]
