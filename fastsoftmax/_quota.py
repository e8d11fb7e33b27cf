"""The CPUs that the control groups of a process grant it, which Numba does not look at."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path("/sys/fs/cgroup")
# Where control groups of both versions are mounted, and what /proc/self/cgroup calls them.
_VERSIONS = ((_ROOT, ""), (_ROOT / "cpu", "cpu"))
# The files with a quota and its period, both in one or each in its own.
_FILES = (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))


@functools.cache
def quota() -> int:
    """CPUs for as many threads: the least that the process's group or one around it has."""
    granted = [_quota_in(folder) for folder in _folders()]
    return min((each for each in granted if each), default=os.cpu_count() or 1)


def _folders() -> Iterator[Path]:
    """The folders of the groups, from the process's own up."""
    for root, kind in _VERSIONS:
        path = ""
        with contextlib.suppress(OSError, ValueError):
            for line in _read(Path("/proc/self/cgroup")).splitlines():
                _, kinds, own = line.split(":", 2)
                if kind in kinds.split(",") and ".." not in Path(own).parts:
                    path = own.lstrip("/")
        folder = root / path
        yield from (each for each in (folder, *folder.parents) if each.is_relative_to(root))


def _quota_in(folder: Path) -> int:
    """The CPUs that a group has, one at the least; 0 if it may have them all."""
    for names in _FILES:
        with contextlib.suppress(OSError, ValueError):  # "max 100000" is one
            words = [word for name in names for word in _read(folder / name).split()]
            time, period = map(int, words)
            if time > 0 and period > 0:
                return max(1, time // period)
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
