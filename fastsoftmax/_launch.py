"""Threads: the only place that starts a kernel, and decides on how many threads.

A kernel is started in parallel if its work is worth the launch, if nobody else of this
process is in a parallel kernel of ours, and if the threading layer survives it here:

* OpenMP's GNU runtime kills a forked child at its first parallel call if the parent had made
  one, so such a child stays serial.
* Numba ends TBB's threads before a fork, but cannot while other Python threads use them; locks
  that these hold would be locked for ever in the child.  With other threads alive it stays serial.
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
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np

from fastsoftmax import _team
from fastsoftmax._compiling import starting, undisturbed
from fastsoftmax._loops import COST, JOB_WORDS, LEAST, MOST, ROOM, SERIAL, TASKS, TEAM, TURNS
from fastsoftmax._quota import quota

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._jit import Kernel, Loop


class Costs(NamedTuple):
    """What launches take on a threading layer; measured by `python -m benchmarks thresholds`."""

    launch: int
    """Nanoseconds, if threads are awake."""
    awake: int = 0
    """For how many cycles of the processor's clock they are, after a launch."""
    wake: int = 0
    """Nanoseconds if they sleep."""


COSTS = {
    "tbb": Costs(1_600, 2_000_000, 50_000),
    "tbb, by Numba's loop": Costs(6_000),
    "omp": Costs(4_000, 10_000_000, 1_000_000),
    "workqueue": Costs(120_000),
}
LEAST_LAUNCH = min(each.launch for each in COSTS.values())
# A launch has to be worth this many times its cost.
WORTH = 4
_LEAST_COST = WORTH * LEAST_LAUNCH


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
_serial_only = False
_was_alone = False
"""Whether the process had one Python thread at its last fork, as far as that is known."""


class Job:
    """Tasks of a kernel, which cost some `cost` nanoseconds on one thread.

    Each thread gets `scratch` bytes of memory of its own, and `least` tasks at a time if there
    are enough for all threads.  If it `turns`, each launch begins where the last one ended, which
    the caches have still where arrays come again: as input once more, or as what was written.

    All that can be found out beforehand is, and the rest is left to machine code (`_loops`).
    """

    __slots__ = (
        "_cost", "_dtype", "_launch", "_most", "_scratch", "_tasks", "_words", "kernel"
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
        self._dtype, self._tasks, self._cost, self._scratch = dtype, tasks, cost, scratch
        self._most = _most_threads(tasks, cost, workers)
        self._words = np.zeros(JOB_WORDS, np.intp)
        numbers = self._most, tasks, least, int(cost), 1 if turns else 0, scratch
        self._words[[MOST, TASKS, LEAST, COST, TURNS, ROOM]] = numbers
        self._launch: Callable[[tuple[Any, ...]], bool] = self._launch_first

    def run(self, arguments: tuple[Any, ...]) -> None:
        """Do all tasks."""
        if self._most == 1 or not self._launch(arguments):
            tasks, scratch = self._tasks, own.bytes(self._scratch)
            ready(self.kernel, self._dtype)(*arguments, scratch, 0, tasks)

    def words(self) -> np.ndarray[Any, Any] | None:
        """The job for the loops (`_loops`); None if it is not to be launched as things are."""
        if _threads(self._most, self._cost) == 1 or _started is None:
            return None
        if self._words[SERIAL] == 0:
            ready(self.kernel, self._dtype)
            _, found = ready_loop(self.kernel.loop)
            team, words = _started.team, self._words
            words[MOST] = min(_affordable(self._most, self._cost), team.threads)
            team.reserve(int(words[MOST]) * self._scratch)
            words[list(found)] = list(found.values())
            words[TEAM] = team.memory.ctypes.data
            words[SERIAL] = self.kernel.address(self._dtype)[0]
        return self._words

    def _launch_first(self, arguments: tuple[Any, ...]) -> bool:
        """Do all tasks on several threads and return True, or do none."""
        words = self.words()
        if words is None or _started is None:
            return False
        entry, _ = ready_loop(self.kernel.loop)

        def launch(arguments: tuple[Any, ...]) -> bool:
            return entry(words, arguments)

        def launch_alone(arguments: tuple[Any, ...]) -> bool:
            return threading.active_count() == 1 and entry(words, arguments)

        self._launch = launch_alone if _started.name == "workqueue" else launch
        return self._launch(arguments)


def ready(kernel: Kernel, dtype: np.dtype[Any]) -> Callable[..., None]:
    """A kernel for one thread, compiled if it is not yet."""
    entry = kernel.entry(dtype)
    if entry is None:
        entry = undisturbed(lambda: kernel.entry(dtype) or kernel.compile(dtype))
    return entry


def ready_loop(loop: Loop) -> tuple[Callable[..., bool], dict[int, int]]:
    """See `Loop.build`: that for the layer that is started, compiled if it is not yet."""
    by_tasks = has_tasks()
    found = loop.build(by_tasks)
    if found is None:
        found = undisturbed(lambda: loop.build(by_tasks) or loop.compile(by_tasks))
    return found


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
    return min(_affordable(most, cost), started.available())


def _affordable(most: int, cost: float) -> int:
    """Threads that the layer has enough work for."""
    assert _started is not None
    return min(most, 2 * int(cost / _started.least_cost), _started.quota)


def has_tasks() -> bool:
    """Whether launches are tasks; not as long as no layer is started."""
    return _started is not None and _started.team.has_tasks


def survives_threads() -> bool:
    """Whether other threads may launch what they like on the layer that is started."""
    return _started is not None and _started.name != "workqueue"


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
    team: _team.Team


_started: _Layer | None = None
_missing: Any = None
"""The layer that was asked for and found not to load: no call has to try again."""


def _start() -> _Layer | None:
    """Have Numba load its threading layer; None if the one that was asked for cannot be loaded."""
    global _missing  # noqa: PLW0603  # there is one layer in a process
    wanted = numba.config.THREADING_LAYER, tuple(numba.config.THREADING_LAYER_PRIORITY)
    if wanted == _missing:
        return None
    _offer_tbb()
    try:
        with starting():
            numba.get_num_threads()
    except (ImportError, ValueError):
        _missing = wanted
        return None
    return undisturbed(_know_layer)


def _know_layer() -> _Layer:
    global _started  # noqa: PLW0603  # there is one layer in a process
    if _started is None:
        name = layer()
        # The public function takes a lock in each call, which the child of a fork may find locked.
        numbas = getattr(numba.np.ufunc.parallel, "_get_num_threads", None)
        available = numbas or ctypes.CFUNCTYPE(ctypes.c_int)(_count_threads)
        functions = _team.functions_of(name, available)
        costs = COSTS["tbb, by Numba's loop" if name == "tbb" and len(functions) == 1 else name]
        team = _team.Team(numba.config.NUMBA_NUM_THREADS, functions, costs.awake, costs.wake)
        _started = _Layer(name, WORTH * costs.launch, available, quota(), team)
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


def _before_fork() -> None:
    global _was_alone  # noqa: PLW0603  # there is one fork at a time
    _was_alone = threading.active_count() == 1


def _after_fork_in_child() -> None:
    global _serial_only  # noqa: PLW0603  # a forked child starts afresh
    # Threads that were in a launch are not there, and their layer waits for them.
    launching = _started is not None and _started.team.is_launching()
    unsafe = {"omp"} if _was_alone else {"omp", "tbb"}
    _serial_only = _serial_only or launching or layer() in unsafe
    if _started is not None:
        _started.team.begin_anew(not _serial_only)


def _after_fork_in_parent() -> None:
    if _started is not None:
        _started.team.ask_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
# Imported in a child whose parent may have launched OpenMP's threads before.
if multiprocessing.parent_process() is not None:
    _after_fork_in_child()
