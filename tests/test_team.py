"""Teams: launches by threads that are awake, where nobody waits for those that never come."""

from __future__ import annotations

import textwrap

import processes
import pytest
from layers import LAYERS, Children, variables

PREPARE = """
import os, sys, threading, time
import numpy as np
import numba
from fastsoftmax import _launch, _loops, _quota, explain, softmax

x = np.random.default_rng(0).standard_normal((2500, 1000)).astype(np.float32)
serial = softmax(x, 1, workers=1).tobytes()
right = lambda: softmax(x, 1).tobytes() == serial
assert right()
layer = os.environ["NUMBA_THREADING_LAYER"]
if _launch.layer() != layer or _launch.threads_for(2, 1e9, None) < 2:
    print("not there")
    sys.exit()
team = _launch._started.team
assert team.has_tasks == (layer == "tbb")
launches = lambda: int(team.memory[_loops.LAUNCHES])
asked = team._is_asked[1:2]  # of the one worker besides that there is on any machine
def wait_for_others():
    "Until somebody looked for work and went."
    for _ in range(1000):
        if not asked.any():
            return
        time.sleep(0.01)
        right()
        time.sleep(0.01)
    raise SystemExit("nobody ever came")
wake = int(team.memory[_loops.WAKE])
team.memory[_loops.WAKE] = -2**62  # whatever launches cost
"""


def run(code: str, layer: str = "tbb") -> None:
    """Run code in a process on a layer, which has to print "well"."""
    printed = processes.run(PREPARE + textwrap.dedent(code), **variables(layer)).strip()
    if printed == "not there":
        pytest.skip(f"threads of {layer} are {printed}")
    assert printed == "well"


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> str:
    """Each threading layer."""
    return str(request.param)


# --- Which calls are launched ---------------------------------------------------------


def test_calls_in_succession_are_launched(layer: str) -> None:
    run(
        """
    before = launches()
    assert all(right() for _ in range(100))
    assert launches() == before + 100
    print("well")
    """,
        layer,
    )


@pytest.mark.parametrize("layer", ["tbb", "omp"])
def test_threads_are_not_woken_for_a_small_call_by_itself(layer: str) -> None:
    run(
        """
    team.memory[_loops.WAKE] = wake
    small, cost = x[:100], 100 * (1000 * 0.2 + 25)
    assert 2 * wake > cost > _launch._started.least_cost
    assert explain(small, 1).threads > 1
    softmax(small, 1)
    before = launches()
    for _ in range(20):
        time.sleep(0.01)
        softmax(small, 1)
    assert launches() == before
    for _ in range(20 * int(wake / cost)):
        softmax(small, 1)
    assert launches() > before
    print("well")
    """,
        layer,
    )


@pytest.mark.parametrize("layer", ["tbb", "omp"])
def test_a_launch_that_was_held_up_is_paid_for_by_calls_on_one_thread(layer: str) -> None:
    run(
        """
    from fastsoftmax._addresses import cycles, exchange, read
    from fastsoftmax._jit import kernel_of
    def uneven(words, _table, _scratch, first, _last):
        if first == 0:
            for _ in range(100_000_000):
                if read(words, 0) != 0:
                    break
        elif exchange(words, 0, 1) == 0:
            begin = cycles()
            while cycles() - begin < 100_000_000:
                pass
    kernel, dtype = kernel_of(uneven, "uneven", ("places",)), np.dtype(np.int64)
    job = _launch.Job(kernel, dtype, 2, 1e6, 2)
    balance = team.memory[_loops.BALANCE :][:1]
    for _ in range(20):
        balance[0] = 0
        job.run((np.zeros(1, np.int64), np.zeros(1, np.intp)))
        if balance[0] < -10_000_000:
            break
    assert -200_000_000 < balance[0] < -10_000_000
    team.memory[_loops.WAKE] = 0
    before = launches()
    given = np.ones(1, np.int64), np.zeros(1, np.intp)
    job.run(given)
    assert launches() == before
    balance[0] = -1000
    job.run(given)
    assert launches() == before + 1
    print("well")
    """,
        layer,
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_threads_as_numba_may_use(count: int, layer: str) -> None:
    run(
        f"""
    numba.set_num_threads({count})
    before = launches()
    assert all(right() for _ in range(20))
    assert launches() - before == {20 * (count > 1)}
    assert explain(x, 1).threads == min({count}, _quota.quota())
    other = threading.Thread(target=lambda: [right() for _ in range(20)])
    before = launches()
    other.start()
    other.join()
    # A thread's number of threads is its own; "workqueue" is not safe while there are several.
    assert launches() == before + 20 * (layer != "workqueue")
    print("well")
    """,
        layer,
    )


def test_one_worker_is_the_caller(layer: str) -> None:
    run(
        """
    before = launches()
    for workers in (1, 2, 3):
        assert all(softmax(x, 1, workers=workers).tobytes() == serial for _ in range(20))
        assert launches() == before + 20 * (workers - 1)
    print("well")
    """,
        layer,
    )


def test_a_launch_while_another_thread_launches_is_serial(layer: str) -> None:
    run(
        """
    team.memory[_loops.LAUNCHING] = 1
    before = launches()
    assert all(right() for _ in range(20))
    assert launches() == before
    team.memory[_loops.LAUNCHING] = 0
    assert right() and launches() == before + 1
    print("well")
    """,
        layer,
    )


# --- Threads that do not come ---------------------------------------------------------


def test_tasks_that_nobody_begins_are_made_again() -> None:
    """TBB may fail to notice one until the next, and an end of a process may lose it."""
    run("""
    for _ in range(5):
        asked[:] = 1
        before = launches()
        assert all(right() for _ in range(50))
        assert launches() == before + 50
        wait_for_others()
    print("well")
    """)


def test_tasks_that_come_too_late_find_nothing_to_do() -> None:
    run("""
    for _ in range(300):
        assert right()
        asked[:] = 0  # the next launch makes more tasks than there are places
    print("well")
    """)


def test_threads_that_launch_and_end() -> None:
    run("""
    failed = []
    def work():
        failed.extend(1 for _ in range(3) if not right())
    for _ in range(100):
        threads = [threading.Thread(target=work) for _ in range(3)]
        [each.start() for each in threads]
        [each.join() for each in threads]
    assert not failed
    print("well")
    """)


def test_scratch_memory_grows_while_others_launch() -> None:
    run("""
    failed, stop = [], False
    def work():
        while not stop:
            failed.extend(1 for _ in range(3) if not right())
    threads = [threading.Thread(target=work) for _ in range(2)]
    [each.start() for each in threads]
    for length in range(1000, 60_000, 3001):
        y = np.ones((64, length), np.float32)
        assert np.array_equal(softmax(y, 1), softmax(y, 1, workers=1))
        assert np.array_equal(softmax(y, 0), softmax(y, 0, workers=1))
    stop = True
    [each.join() for each in threads]
    assert not failed
    print("well")
    """)


def test_a_process_ends_while_tasks_wait() -> None:
    run("""
    assert all(right() for _ in range(10))
    time.sleep(0.1)  # until nobody looks for work
    asked[:] = 1
    begin = time.monotonic()
    team._settle()
    assert 0.05 < time.monotonic() - begin < 5
    print("well")
    """)


def test_the_team_launches_after_a_fork_in_both_processes() -> None:
    run("""
    if not hasattr(os, "fork"):
        print("well")
        sys.exit()
    for _ in range(10):
        asked[:] = 1  # by tasks that the fork loses
        sys.stdout.flush()
        child = os.fork()
        before = launches()
        well = all(right() for _ in range(20)) and launches() == before + 20
        if child == 0:
            os._exit(0 if well else 1)
        assert well and os.waitpid(child, 0)[1] == 0
        wait_for_others()
    print("well")
    """)


def test_a_child_of_a_process_with_other_threads_is_serial() -> None:
    """TBB's locks may be held at the fork by threads that the child does not have."""
    run("""
    if not hasattr(os, "fork"):
        print("well")
        sys.exit()
    def in_child(launched):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            before = launches()
            well = all(right() for _ in range(5)) and launches() == before + 5 * launched
            os._exit(0 if well and explain(x, 1).threads > launched else 1)
        return os.waitpid(child, 0)[1] == 0
    stop = threading.Event()
    other = threading.Thread(target=lambda: stop.wait())
    assert in_child(launched=True)
    other.start()
    assert in_child(launched=False)
    stop.set()
    other.join()
    assert in_child(launched=True)
    print("well")
    """)


def test_other_work_of_tbb_may_run_meanwhile() -> None:
    run("""
    @numba.njit(parallel=True)
    def double(values):
        for i in numba.prange(values.size):
            values[i] *= 2
    @numba.vectorize(["float64(float64)"], target="parallel")
    def half(value):
        return value / 2
    values = np.ones(100_000)
    for _ in range(100):
        double(values)
        assert right()
        values = half(values)
    assert np.array_equal(values, np.ones(100_000))
    print("well")
    """)


def test_a_numba_that_adds_no_tasks_has_its_own_loop() -> None:
    code = """
    from fastsoftmax import _launch
    try:
        from numba.np.ufunc import tbbpool
        del tbbpool.add_task
    except ImportError:
        pass
    print(jobs.digest(), jobs.digest(2))
    assert _launch._started is None or not _launch._started.team.has_tasks
    """
    Children("tbb").run_at_once(code, wanted=2)
