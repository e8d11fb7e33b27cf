"""Teams: what the threads of a layer share, and threads of TBB that are awake for the next launch.

Numba's loop makes an arena of its own for each launch on TBB, and with it its threads lose what
they were waiting for; the next launch wakes them from sleep, which takes 30 to 70 us on a virtual
machine.  In the arena that each Python thread has by itself they look out for a millisecond more.
Numba adds tasks to that one, too, for its universal functions: through such a task a thread that
is awake is at work within 2 us.

Nobody waits for a task that was not begun: who launches does the work of a thread that does not
come, and a task that comes too late finds nothing to do.  So what threads share is never freed.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import sys
import time
from typing import Any

import numpy as np

from fastsoftmax import _jit
from fastsoftmax._compiling import starting
from fastsoftmax._loops import (
    ADD,
    AVAILABLE,
    AWAKE,
    GIVE_WAY,
    IS_ASKED,
    LAUNCHING,
    LINE,
    MEMBER,
    PLACE_STEP,
    SCRATCH,
    WAKE,
)

_PATIENCE = 0.1
"""Seconds that the end of a process waits for tasks."""


class Team:
    """The memory that as many threads share, on a layer with these `functions_of` it.

    They are awake for so many cycles after a launch, and to wake them takes so many nanoseconds.
    """

    def __init__(self, threads: int, functions: dict[int, int], awake: int, wake: int) -> None:
        self.threads = threads
        self.has_tasks = ADD in functions
        """Whether its threads are launched by tasks, and not by Numba's loop."""
        self.memory = _for_ever((1 + threads) * PLACE_STEP * 8).view(np.intp)
        for word, number in {**functions, AWAKE: awake, WAKE: wake}.items():
            self.memory[word] = number
        self._is_asked = self.memory[PLACE_STEP + IS_ASKED :: PLACE_STEP]
        self._room = 0
        atexit.register(self._settle)

    def reserve(self, size: int) -> None:
        """Have so many bytes of scratch memory at least."""
        with starting():
            if size > self._room:
                room = max(size, 2 * self._room)
                self.memory[SCRATCH] = _for_ever(room).ctypes.data
                self._room = room

    def is_launching(self) -> bool:
        """Whether some thread is in a launch."""
        return bool(self.memory[LAUNCHING])

    def begin_anew(self, is_safe: bool) -> None:
        """After a fork, in a process where no other thread is; it launches if that is safe."""
        self.memory[PLACE_STEP:] = 0
        self.memory[LAUNCHING] = not is_safe

    def ask_anew(self) -> None:
        """After a fork, in the parent, whose tasks that were not begun may be lost."""
        self._is_asked[:] = 0

    def _settle(self) -> None:
        """Wait for tasks that were not begun."""
        end = time.monotonic() + _PATIENCE
        while self._is_asked.any() and time.monotonic() < end:
            time.sleep(1e-4)


def functions_of(layer: str, available: Any) -> dict[int, int]:
    """The functions of a team on a layer, one of C that tells how many threads are `available`."""
    functions = {AVAILABLE: _address(available)}
    if layer == "tbb":
        pool = importlib.import_module("numba.np.ufunc.tbbpool")
        if hasattr(pool, "add_task"):
            give_way = _address(_give_way())
            functions.update({ADD: pool.add_task, MEMBER: _jit.member(), GIVE_WAY: give_way})
    return functions


def _for_ever(size: int) -> np.ndarray[Any, Any]:
    """Zeros that are never freed, as many bytes, from the beginning of a line on."""
    memory = np.zeros(size + LINE * 8, np.uint8)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))
    begin = -memory.ctypes.data % (LINE * 8)
    return memory[begin : begin + size]


def _give_way() -> Any:
    """The system's function that lets other threads run."""
    if sys.platform == "win32":
        return ctypes.windll.kernel32.SwitchToThread
    return ctypes.CDLL(None).sched_yield


def _address(function: Any) -> int:
    """Where a function of C is."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0
