"""What the system tells of the memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def page_faults() -> int:
    """Page faults so far that needed no disk; 0 where nobody counts them."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt if resource else 0


def resident() -> int:
    """Bytes in memory now."""
    if _STATUS.exists():
        return _field("VmRSS")
    import psutil

    return int(psutil.Process().memory_info().rss)


def forget_peak() -> bool:
    """Let the peak start again from now; whether the system can."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def peak() -> int:
    """The most bytes in memory at a time, since `forget_peak` if that worked."""
    if _STATUS.exists():
        return _field("VmHWM")
    if resource is None:
        return resident()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _field(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0
