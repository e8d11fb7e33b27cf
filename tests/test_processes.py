"""Forks, pools, signals and the import: processes that live to tell their results."""

from __future__ import annotations

import multiprocessing
import os

import processes
import pytest
from layers import LAYERS, Children

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork or timer")


@pytest.fixture(params=LAYERS)
def children(request: pytest.FixtureRequest) -> Children:
    """Processes on each threading layer."""
    return Children(request.param)


# --- Forks ----------------------------------------------------------------------------


@forks
def test_a_forked_child_computes_after_its_parent_did(children: Children) -> None:
    code = """
    check()
    assert in_child(check)
    assert in_child(lambda: [check(), in_child(check) or sys.exit(1), check()])
    print(jobs.digest())
    """
    children.run(code)


@forks
def test_a_child_that_is_the_first_to_compute(children: Children) -> None:
    code = """
    assert in_child(check)
    print(jobs.digest())
    assert in_child(check)
    """
    children.run(code)


@forks
def test_a_fork_while_other_threads_compute(children: Children) -> None:
    code = """
    stop, wrong, right = False, [], jobs.rows(1).tobytes()
    def work():
        while not stop:
            if jobs.rows().tobytes() != right:
                wrong.append(1)
    def work_once():
        assert jobs.rows().tobytes() == right
    threads = [threading.Thread(target=work) for _ in range(2)]
    [thread.start() for thread in threads]
    for i in range(40):
        if not in_child(work_once):
            os.write(2, b"child %d did not end well" % i)
            os._exit(1)  # not waiting for threads, which may hang as well
    stop = True
    [thread.join() for thread in threads]
    assert not wrong
    print(jobs.digest())
    """
    children.run(code)


@forks
def test_a_fork_from_a_thread(children: Children) -> None:
    code = """
    check()
    ended_well = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: ended_well.append(in_child(check)))
        thread.start()
        check()
        thread.join()
    assert ended_well == [True] * 3, ended_well
    print(jobs.digest())
    """
    children.run(code)


POOL = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    check()
    with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
        print(*[each.result() for each in [pool.submit(jobs.digest) for _ in range(4)]])
"""


@forks
def test_pools_of_forked_processes(children: Children) -> None:
    children.run(POOL.format(method="fork"), wanted=4)


@pytest.mark.parametrize("method", sorted({*multiprocessing.get_all_start_methods()} - {"fork"}))
def test_pools_of_fresh_processes(method: str) -> None:
    Children("omp").run(POOL.format(method=method), wanted=4)


# --- Signals --------------------------------------------------------------------------

INTERRUPTED = """
    from fastsoftmax import _launch
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    check()
    lost = 0
    for i in range(60):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0003 * (i + 1))
            for _ in range(100):
                jobs.rows()
            lost += 1
        except KeyboardInterrupt:
            pass
        assert not (_launch._started and _launch._started.team.is_launching())
    print(jobs.digest())
"""


@forks
def test_an_interrupted_call_leaves_the_next_one_right(children: Children) -> None:
    children.run(INTERRUPTED)


@forks
def test_no_interrupt_is_lost() -> None:
    """Exceptions in a ``__del__`` are printed and forgotten, this one too."""
    Children("omp").run(INTERRUPTED + "    assert not lost, lost\n")


@forks
def test_no_interrupt_is_lost_where_ways_of_calls_are_dropped() -> None:
    code = """
    import signal
    import sys
    import numpy as np
    from fastsoftmax import softmax

    x = np.zeros((2, 3), np.float32)
    for i in range(1200):
        softmax(x, 1, temperature=1.0 + i)
    lost = []
    sys.unraisablehook = lost.append
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    arrived = 0
    for i in range(300):
        temperature = 1.0
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001 + i * 1e-6)
            while True:
                temperature += 1.0
                softmax(x, 1, temperature=temperature)
        except KeyboardInterrupt:
            arrived += 1
    assert (arrived, lost) == (300, []), (arrived, lost)
    """
    processes.run(code)


# --- Import ---------------------------------------------------------------------------


def test_the_import_leaves_numba_for_the_first_call() -> None:
    code = """
    import sys
    import fastsoftmax
    late = {"numba", "llvmlite", "scipy", "multiprocessing"} & set(sys.modules)
    assert not late, late
    print(fastsoftmax.softmax([1.0, 1.0], 0))
    """
    assert processes.run(code).strip() == "[0.5 0.5]"
