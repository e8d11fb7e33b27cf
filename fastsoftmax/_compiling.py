"""What compilers and threading layers need of a process: order, and to be left alone.

Numba and LLVM compile under locks of their own, and threading layers start under such.  A
child that is forked meanwhile would find those locked for ever, and so it would modules that
are being imported: forks wait for whoever holds one of the locks here.

An interrupt that Python raises between two steps of LLVM's wrapper can leave memory that is
freed twice, which kills the process.  Python raises them in the main thread alone, so code is
compiled in another one.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

T = TypeVar("T")

_compiling, _starting = threading.RLock(), threading.RLock()


def compiling() -> AbstractContextManager[Any]:
    """To be held while something is compiled, or a module imported that brings Numba along."""
    return _compiling


def starting() -> AbstractContextManager[Any]:
    """To be held while threads are started."""
    return _starting


def undisturbed(make: Callable[[], T]) -> T:
    """What `make` compiles, or reads from the cache, while no other thread does.

    Not to be called by who holds `compiling`.
    """
    made: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with compiling():
                made.append(make())
        except BaseException as error:  # is raised where it is waited for
            errors.append(error)

    thread = threading.Thread(target=work, name="fastsoftmax-compiler")
    try:
        thread.start()
    except RuntimeError:  # no more threads here, or none as the interpreter comes to its end
        work()
    else:
        thread.join()
    if errors:
        raise errors.pop()
    return made.pop()


def _before_fork() -> None:
    _compiling.acquire()
    _starting.acquire()


def _after_fork_in_parent() -> None:
    _starting.release()
    _compiling.release()


def _after_fork() -> None:
    global _compiling, _starting  # a forked child starts afresh
    _compiling, _starting = threading.RLock(), threading.RLock()


# A fork calls what was registered last first.  `logging` takes its lock then, too, which imports
# and Numba want: so it has to come after ours, and have registered before.
_LOGGING = logging.root

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork
    )
