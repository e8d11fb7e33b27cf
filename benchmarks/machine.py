"""The machine, what is installed, and what else it was busy with."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.processes import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Iterable

OTHERS_AT_MOST = 0.05
"""The share of all CPUs that other processes may take before a run is called noisy."""
STEAL_AT_MOST = 0.02
_CPU = Path("/sys/devices/system/cpu/cpu0")
_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_LOOK_SECONDS = 1.0


def describe() -> dict[str, Any]:
    """Processor, caches, cores, memory, system."""
    return {
        "cpu": cpu_name(),
        "architecture": platform.machine(),
        "cores": psutil.cpu_count(logical=False) or 0,
        "cpus": len(usable_cpus()),
        "caches": caches(),
        "vectors": vectors(),
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "huge_pages": _chosen(_PAGES.read_text()) if _PAGES.exists() else "",
        "python": platform.python_version(),
    }


def cpu_name() -> str:
    """The processor's model name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def vectors() -> str:
    """The widest vectors that the processor says it has."""
    info = Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.exists() else set()
    for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("asimd", "NEON")):
        if flag in words:
            return name
    return ""


def caches() -> dict[str, int]:
    """Bytes of the data caches by level, as the first CPU sees them."""
    sizes = {}
    for index in sorted((_CPU / "cache").glob("index*")):
        kind, level, size = (
            (index / name).read_text().strip() for name in ("type", "level", "size")
        )
        if kind != "Instruction":
            unit = {"K": 1 << 10, "M": 1 << 20}.get(size[-1:], 1)
            sizes[f"L{level}"] = int(size.rstrip("KM")) * unit
    return sizes


def _chosen(text: str) -> str:
    """The word in brackets."""
    return text.partition("[")[2].partition("]")[0]


def versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of the distributions that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def load_now() -> dict[str, float]:
    """The load averages, and the share of all CPUs that is busy in one second of looking."""
    one, five, _ = os.getloadavg() if hasattr(os, "getloadavg") else (0.0, 0.0, 0.0)
    busy = psutil.cpu_percent(_LOOK_SECONDS) / 100
    return {"load_1": round(one, 2), "load_5": round(five, 2), "busy": round(busy, 3)}


class Watch:
    """How busy the CPUs were with other work, while our processes ran.

    That is what all processes took less what ours took, which counts a child when it has
    ended; and what the host gave to others.
    """

    def __init__(self) -> None:
        self._before = load_now()
        self._start = time.monotonic()
        self._own = _own_times()
        self._system = _system_times()

    def report(self) -> dict[str, Any]:
        """Load before and after, other work meanwhile, and whether that is too much."""
        busy, steal = (
            after - before for after, before in zip(_system_times(), self._system, strict=True)
        )
        seconds = (time.monotonic() - self._start) * (psutil.cpu_count() or 1)
        others = max(0.0, busy - (_own_times() - self._own)) / max(seconds, 1e-9)
        stolen = max(0.0, steal) / max(seconds, 1e-9)
        return {
            "before": self._before,
            "after": load_now(),
            "others": round(others, 3),
            "stolen": round(stolen, 3),
            "noisy": others > OTHERS_AT_MOST
            or stolen > STEAL_AT_MOST
            or self._before["busy"] > 2 * OTHERS_AT_MOST,
        }


def _own_times() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = psutil.Process().cpu_times()
    names = "user", "system", "children_user", "children_system"
    return float(sum(getattr(times, name, 0.0) for name in names))


def _system_times() -> tuple[float, float]:
    """CPU seconds of all processes since the start, and those that the host gave to others."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "steal", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return sum(times) - guest - idle, getattr(times, "steal", 0.0)
