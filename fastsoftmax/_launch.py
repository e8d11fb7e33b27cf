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
import itertools
import multiprocessing
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
LEAST_LAUNCH = min(LAUNCH_COST.values())
# A launch has to be worth this many times its cost.
WORTH = 4
_LEAST_COST = WORTH * LEAST_LAUNCH
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
_launches = itertools.count()
_serial_only = False


class Job:
    """Tasks of a kernel, which cost some `cost` nanoseconds on one thread.

    Each thread gets `scratch` bytes of memory of its own, and `least` tasks at a time if there
    are enough for all threads.  If it `turns`, each launch begins where the last one ended, which
    the caches have still where arrays come again: as input once more, or as what was written.

    All that can be found out beforehand is.  A kernel leaves little of Python in the caches, so
    that each step towards the next one takes several times what it takes by itself: 17 of the
    157 us of (1000, 1000) float32 on two threads were spent that way, and 6 are now.
    """

    __slots__ = (
        "_cost", "_dtype", "_least", "_most", "_parallel", "_scratch", "_tasks", "_turns", "kernel"
    )  # fmt: skip

    def __init__(
        self,
        kernel: Kernel,
        dtype: np.dtype[Any],
        tasks: int,
        cost: float,
        workers: int | None,
        scratch: int = 0,
        least: int = 1,
        turns: bool = True,
    ) -> None:
        self.kernel = kernel
        self._turns = 1 if turns else 0
        self._dtype, self._tasks, self._cost = dtype, tasks, cost
        self._scratch, self._least = scratch, least
        self._most = _most_threads(tasks, cost, workers)
        self._parallel: Callable[..., None] | None = None

    def run(self, arguments: tuple[Any, ...]) -> None:
        """Do all tasks."""
        tasks, scratch = self._tasks, self._scratch
        count = _threads(self._most, self._cost)
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
                    parallel = self._parallel
                    if parallel is None:
                        parallel = self._parallel = ready(self.kernel, self._dtype, True)
                    grain = max(-(-tasks // (count * SHARES)), min(self._least, -(-tasks // count)))
                    counters = np.zeros(count * COUNTER_STEP, np.intp)
                    turned = next(_launches) & self._turns
                    memory, serial = own.bytes(count * scratch), self.kernel.address(self._dtype)
                    given = memory, scratch, serial, arguments
                    parallel(count, counters, tasks, grain, turned, *given)
                    return
            finally:
                if mine:
                    _idle["threads"] = True
        ready(self.kernel, self._dtype, False)(*arguments, own.bytes(scratch), 0, tasks)


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
    return _threads(_most_threads(tasks, cost, workers), cost)


def _most_threads(tasks: int, cost: float, workers: int | None) -> int:
    """The same on the best of layers, with as many threads as one could wish for."""
    if workers == 1 or is_serial(tasks, cost):
        return 1
    return tasks if workers is None else min(tasks, workers)


def _threads(most: int, cost: float) -> int:
    """Threads that may be used now, up to `most`."""
    if most == 1 or _serial_only:
        return 1
    started = _started or _start()
    if started is None or cost < started.least_cost:
        return 1
    if started.name == "workqueue" and threading.active_count() > 1:
        return 1
    return min(most, started.available(), started.quota)


def has_layer() -> bool:
    """Whether there is a threading layer; it is loaded then."""
    return (_started or _start()) is not None


class _Layer(NamedTuple):
    """A threading layer that is there."""

    name: str
    least_cost: float
    """Nanoseconds of work that are worth a launch."""
    available: Callable[[], int]
    """How many threads Numba is set to use."""
    quota: int


_started: _Layer | None = None


def _start() -> _Layer | None:
    """Have Numba load its threading layer; None if the one that was asked for cannot be loaded."""
    global _started  # noqa: PLW0603  # there is one layer in a process
    _offer_tbb()
    try:
        with starting():
            numba.get_num_threads()
    except (ImportError, ValueError):
        return None
    name = layer()
    launch = LAUNCH_COST.get(name, max(LAUNCH_COST.values()))
    # Numba's public function takes a lock in each call, which the child of a fork may find locked.
    available = getattr(numba.np.ufunc.parallel, "_get_num_threads", _count_threads)
    _started = _Layer(name, WORTH * launch, available, _quota())
    return _started


def _count_threads() -> int:
    with starting():
        return int(numba.get_num_threads())


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
