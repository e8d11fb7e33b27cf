"""Threads: the same bits on every threading layer, and layers that survive all callers."""

from __future__ import annotations

import pytest
from layers import LAYERS, Children


@pytest.fixture(params=LAYERS)
def children(request: pytest.FixtureRequest) -> Children:
    """Processes on each threading layer."""
    return Children(request.param)


def test_every_layer_gives_the_same_bits(children: Children) -> None:
    children.run("print(jobs.digest(), jobs.digest(2), jobs.digest(3))", wanted=3)


def test_a_layer_that_loads_is_used(children: Children) -> None:
    code = """
    from fastsoftmax import _launch, _quota
    import numba
    try:
        numba.set_num_threads(3)
        loads = True
    except ValueError:
        loads = False
    count = _launch.threads_for(100, 1e9, None)
    assert count == (min(3, _quota.quota()) if loads else 1), count
    assert _launch.layer() == (os.environ["NUMBA_THREADING_LAYER"] if loads else "")
    assert _launch.threads_for(100, 1e9, 2) == min(2, count)
    assert _launch.threads_for(100, 1e9, 1) == _launch.threads_for(1, 1e9, None) == 1
    print(jobs.digest())
    assert not loads or numba.get_num_threads() == 3
    """
    children.run(code)


def test_a_layer_that_cannot_be_loaded_costs_only_time(children: Children) -> None:
    code = """
    for name in ("tbbpool", "omppool", "workqueue"):
        sys.modules["numba.np.ufunc." + name] = None
    from fastsoftmax import _launch
    import numba
    asked, ask = [], numba.get_num_threads
    numba.get_num_threads = lambda: asked.append(1) or ask()
    print(jobs.digest(), jobs.digest(2))
    assert _launch.layer() == ""
    assert len(asked) == 1
    """
    children.run(code, wanted=2)


def test_a_layer_nobody_knows_costs_only_time() -> None:
    Children("imaginary").run("print(jobs.digest())")


def test_nothing_of_numba_or_the_environment_is_changed(children: Children) -> None:
    code = """
    import numba
    settings = lambda: {key: value for key, value in vars(numba.config).items() if key.isupper()}
    before = dict(os.environ), settings()
    print(jobs.digest())
    assert before == (dict(os.environ), settings())
    """
    children.run(code)


# --- Threads --------------------------------------------------------------------------


def test_threads_may_call_at_the_same_time(children: Children) -> None:
    code = """
    from multiprocessing.pool import ThreadPool
    with ThreadPool(8) as pool:
        print(*pool.map(lambda _: jobs.digest(), range(24)))
    """
    children.run(code, wanted=24)


def test_two_threads_make_the_first_call_ever_together(children: Children) -> None:
    code = """
    begin, found = threading.Barrier(2), []
    def call():
        begin.wait()
        found.append(jobs.digest())
    threads = [threading.Thread(target=call) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(*found)
    """
    children.run_at_once(code, wanted=2)


def test_other_parallel_numba_code_may_run_meanwhile(children: Children) -> None:
    """The pool "workqueue" aborts the process when two threads launch at once."""
    code = """
    import numba, numpy as np
    @numba.njit(parallel=True)
    def double(x):
        for i in numba.prange(x.size):
            x[i] *= 2
    x, stop = np.zeros(100_000), False
    try:
        double(x)
    except ValueError:  # this layer is not installed
        stop = True
    def work():
        while not stop:
            double(x)
    other = threading.Thread(target=work)
    other.start()
    print(*[jobs.digest() for _ in range(10)])
    stop = True
    other.join()
    """
    children.run(code, wanted=10)


def test_a_process_may_end_while_a_thread_computes(children: Children) -> None:
    code = """
    begun = threading.Event()
    def work():
        while True:
            jobs.digest()
            begun.set()
    threading.Thread(target=work, daemon=True).start()
    begun.wait()
    print(jobs.digest())
    """
    children.run(code)
