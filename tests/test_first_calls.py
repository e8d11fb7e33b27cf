"""First calls of a process, which import and compile: beside forks, interrupts, other settings."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import processes
import pytest

from fastsoftmax import _compiling

if TYPE_CHECKING:
    from pathlib import Path

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork or timer")


@forks
@pytest.mark.parametrize("function", ["softmax", "logsumexp", "softmax_backward", "cross_entropy"])
def test_a_fork_while_another_thread_makes_the_first_call(function: str) -> None:
    """Wherever in it: a module that is half imported is locked for ever in the child."""
    code = """
        import os
        import signal
        import sys
        import threading
        import time
        import fastsoftmax

        given = {"softmax_backward": ([1.0, 2.0],), "cross_entropy": (0,)}.get(sys.argv[1], ())

        def call():
            return getattr(fastsoftmax, sys.argv[1])([1.0, 2.0], *given, 0)

        thread = threading.Thread(target=call)
        thread.start()
        children = []
        for _ in range(8):
            time.sleep(0.03)
            child = os.fork()
            if child == 0:
                signal.alarm(50)
                call()
                os._exit(0)
            children.append(child)
        thread.join()
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    """
    processes.run(code, function)


@forks
def test_interrupts_while_kernels_are_compiled(tmp_path: Path) -> None:
    """Each arrives, none harms the compiler, and what it was at is there afterwards."""
    code = """
        import signal
        import sys
        import time
        import numpy as np
        import fastsoftmax
        from fastsoftmax import softmax

        softmax(np.ones((2, 100), np.float32), 1)
        lost = []
        sys.unraisablehook = lost.append
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        arrived, until = 0, time.monotonic() + 6
        while time.monotonic() < until:
            count = 2 + arrived // 16
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.002 + arrived % 16 * 0.001)
                while True:
                    softmax(np.ones((2, count), np.float32), 1)
            except KeyboardInterrupt:
                arrived += 1
        assert arrived > 50, arrived
        assert not lost, lost
        for count in range(2, count + 1):
            assert np.allclose(softmax(np.ones((2, count), np.float32), 1), 1 / count)
    """
    processes.run(code, FASTSOFTMAX_CACHE_DIR=str(tmp_path))


def test_errors_and_interrupts_of_the_compiler_are_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise MemoryError("none left")

    with pytest.raises(MemoryError, match="none left"):
        _compiling.undisturbed(fail)
    assert _compiling.undisturbed(threading.current_thread) is not threading.current_thread()


def test_compiling_does_without_a_thread_where_there_are_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert _compiling.undisturbed(lambda: 5) == 5


def test_without_numbas_compiler_there_is_an_error_that_says_so() -> None:
    code = """
        import fastsoftmax
        try:
            fastsoftmax.softmax([1.0, 2.0], 0)
        except RuntimeError as error:
            assert "NUMBA_DISABLE_JIT" in str(error)
        else:
            raise AssertionError
    """
    processes.run(code, NUMBA_DISABLE_JIT="1")
