"""Threads: the only place that starts a kernel, and decides on how many threads.

A kernel is started in parallel if its work is worth the launch, if nobody else of this
process is in a parallel kernel of ours, and if the threading layer survives it here:

* OpenMP's GNU runtime kills a forked child at its first parallel call if the parent had made
  one, so such a child stays serial.
* Numba's own pool, "workqueue", aborts the process when two threads launch at once.  Our
  launches exclude one another by a lock, but other Numba code may be running in another
  thread, so with more than one thread alive it is not used.

Whoever may not go parallel does the same work with the serial build, which gives the same
bits and leaves other Python threads running.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import multiprocessing
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from fastsoftmax._compiling import starting, undisturbed
from fastsoftmax._jit import COUNTER_STEP

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._jit import Kernel

# What starting a parallel kernel costs, in nanoseconds; measured by
# `python -m benchmarks thresholds`.
LAUNCH_COST = {"tbb": 6_000, "omp": 8_000, "workqueue": 120_000}
# A launch has to be worth this many times its cost.
WORTH = 4
_LEAST_COST = WORTH * min(LAUNCH_COST.values())
# Shares of the work per thread: enough for a thread that is held back to lose its to others.
SHARES = 4


class _Scratch(threading.local):
    """Memory that is kept from call to call, as fresh memory costs a page fault every 4 KiB."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def bytes(self, size: int) -> np.ndarray[Any, Any]:
        """At least `size` bytes."""
        if self._memory.nbytes < size:
            self._memory = np.empty(size, np.uint8)
        return self._memory


own = _Scratch()
# The lock round parallel launches is held by whoever removed the key.  Python looks for
# interrupts when a call returns, so that one could fall between a lock's `acquire` and the
# `try` after it; it doesn't between the removal of a key and the next statement.
_idle = {"threads": True}
_serial_only = False


def run(
    kernel: Kernel,
    dtype: np.dtype[Any],
    arguments: tuple[Any, ...],
    tasks: int,
    cost: float,
    workers: int | None,
    scratch: int = 0,
    least: int = 1,
) -> None:
    """Do all `tasks` of a kernel, which cost some `cost` nanoseconds on one thread.

    Each thread gets `scratch` bytes of memory of its own, and `least` tasks at a time if there
    are enough for all threads.
    """
    count = threads_for(tasks, cost, workers)
    if count > 1:
        mine = False
        try:
            try:
                del _idle["threads"]
            except KeyError:
                pass  # some other thread of this process is in a launch
            else:
                mine = True
            if mine:
                grain = max(-(-tasks // (count * SHARES)), min(least, -(-tasks // count)))
                memory = own.bytes(count * scratch)
                counters = np.zeros(count * COUNTER_STEP, np.intp)
                parallel = ready(kernel, dtype, True)
                serial = kernel.address(dtype)
                parallel(count, counters, tasks, grain, memory, scratch, serial, arguments)
                return
        finally:
            if mine:
                _idle["threads"] = True
    ready(kernel, dtype, False)(*arguments, own.bytes(scratch), 0, tasks)


def ready(kernel: Kernel, dtype: np.dtype[Any], parallel: bool) -> Callable[..., None]:
    """A build of a kernel, compiled if it is not yet."""
    entry = kernel.entry(dtype, parallel)
    if entry is None:
        entry = undisturbed(
            lambda: kernel.entry(dtype, parallel) or kernel.compile(dtype, parallel)
        )
    return entry


def is_serial(tasks: int, cost: float) -> bool:
    """Whether this much work is worth threads on no layer."""
    return tasks < 2 or cost < _LEAST_COST


def threads_for(tasks: int, cost: float, workers: int | None) -> int:
    """The number of threads that this much work is worth."""
    if workers == 1 or is_serial(tasks, cost):
        return 1
    available = _available()
    if workers is not None:
        available = min(available, workers)
    if available < 2:
        return 1
    launch = LAUNCH_COST.get(layer(), max(LAUNCH_COST.values()))
    return min(available, tasks) if cost >= WORTH * launch else 1


def _available() -> int:
    """Threads that may be used now."""
    if _serial_only:
        return 1
    _offer_tbb()
    try:
        with starting():  # as Numba takes a lock, here and in each later call
            threads = min(int(numba.get_num_threads()), _quota())
    except (ImportError, ValueError):  # the layer that was asked for cannot be loaded
        return 1
    if layer() == "workqueue" and threading.active_count() > 1:
        return 1
    return threads


@functools.cache
def _offer_tbb() -> None:
    """Load TBB from the environment of this Python, where Numba does not look for it.

    Numba takes TBB before OpenMP if its library can be found, which that of ``pip install tbb``
    in a virtual environment cannot.  On a machine that is busy with other work it is the
    better one by far: OpenMP's threads spin while they wait.
    """
    for name in ("libtbb.so.12", "libtbb.12.dylib"):
        path = Path(sys.prefix) / "lib" / name
        if path.exists():
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def layer() -> str:
    """The name of Numba's threading layer, empty while none is launched."""
    try:
        return str(numba.threading_layer())
    except ValueError:
        return ""


@functools.cache
def _quota() -> int:
    """CPUs that the control group of the process grants, which Numba does not look at."""
    for path, period_path in (
        ("/sys/fs/cgroup/cpu.max", None),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        with contextlib.suppress(OSError, ValueError):
            words = _read(path).split()
            if period_path is not None:
                words.append(_read(period_path))
            quota, period = int(words[0]), int(words[1])  # "max 100000": ValueError
            if quota > 0 and period > 0:
                return max(1, quota // period)
    return os.cpu_count() or 1


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def _after_fork() -> None:
    global _serial_only  # noqa: PLW0603  # a forked child starts afresh
    # Threads that were in a launch are not there, and their layer waits for them.
    launching = "threads" not in _idle
    _idle["threads"] = True
    _serial_only = _serial_only or launching or layer() == "omp"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
# Imported in a child whose parent may have launched OpenMP's threads before.
if multiprocessing.parent_process() is not None:
    _after_fork()
