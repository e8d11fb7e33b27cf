"""Recorded calls as Python sees them: references, memory, errors, threads, processes."""

from __future__ import annotations

import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import processes
import pytest
from recalls import array, settled, wrong_together

from fastsoftmax import _objects, _records, softmax

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("_calls_recorded_at_once")


def test_nothing_is_kept_or_lost() -> None:
    x, out = array((4, 5)), np.empty((4, 5), np.float32)
    settled(softmax, x, 1)
    settled(softmax, x, 1, out=out)
    settled(softmax, x, 0)
    owners = [owner[1] for owner in _records.owners if owner is not None]
    assert len(owners) == 3
    watched = [x, out, x.dtype, np.empty, *owners]
    before = [sys.getrefcount(each) for each in watched]
    tracemalloc.start()
    try:
        for _ in range(1000):
            softmax(x, 1)
            softmax(x, 1, out=out)
            softmax(x, 0)
        first = tracemalloc.get_traced_memory()[0]
        for _ in range(5000):
            softmax(x, 1)
            softmax(x, 1, out=out)
            softmax(x, 0)
        assert tracemalloc.get_traced_memory()[0] - first < 5000
    finally:
        tracemalloc.stop()
    assert [sys.getrefcount(each) for each in watched] == before
    result = softmax(x, 1)
    assert sys.getrefcount(result) == 2


def test_an_error_of_the_allocation_is_raised() -> None:
    x = array((4, 5))
    settled(softmax, x, 1)

    def none_left(*_: Any) -> None:
        raise MemoryError("none left")

    (number,) = np.flatnonzero(_records.records[1:, _records.RANK_AT]) + 1
    _records.records[number, _records.MAKE_AT] = id(none_left)
    owner = _records.owners[number][1]
    before = sys.getrefcount(owner)
    for _ in range(3):
        with pytest.raises(MemoryError, match="none left"):
            softmax(x, 1)
    after = sys.getrefcount(owner)
    assert after == before


def test_what_stands_in_for_numpys_functions_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    x = array((4, 5))
    real = np.empty
    with monkeypatch.context() as patched:
        patched.setattr(np, "empty", lambda *given: None if given[0] == x.shape else real(*given))
        for _ in range(3):
            result = settled(softmax, x, 1)
    assert np.array_equal(result, settled(softmax, x, 1))


def test_a_temperature_that_becomes_another_one_makes_another_call() -> None:
    x, temperature = array((4, 5)), np.array(0.5)
    halves = settled(softmax, x, 1, temperature=temperature)
    temperature[...] = 2.0
    doubles = settled(softmax, x, 1, temperature=temperature)
    assert np.array_equal(doubles, softmax(x, 1, temperature=2.0))
    assert not np.array_equal(halves, doubles)


def test_threads_that_record_at_the_same_time() -> None:
    """Records are written while others are read, and replaced all the time."""
    cases = [(array((n, m)), dim) for n in (1, 2, 5) for m in (2, 3, 17, 40) for dim in (0, 1)]
    wanted = [softmax(x, dim) for x, dim in cases]
    assert wrong_together(cases, wanted, 3000) == []


# --- Processes ------------------------------------------------------------------------------

REPEATED = """
    import sys
    import numpy as np
    from fastsoftmax import softmax, _shortcuts

    x = np.arange(3, dtype=np.float32)
    softmax(x, 0)
    if sys.argv[1] == "cached":
        import numba.core.compiler
        def compiled(*_, **__):
            raise SystemExit("something was compiled after all")
        numba.core.compiler.compile_extra = compiled
    elif sys.argv[1] == "unknown":
        from fastsoftmax import _recording
        _recording.are_as_expected = lambda: False
    for _ in range(300):
        result = softmax(x, 0)
    print(_shortcuts.recall is not _shortcuts._recall_nothing, result)
"""


def test_another_process_finds_it_in_the_cache(tmp_path: Path) -> None:
    folder = {"FASTSOFTMAX_CACHE_DIR": str(tmp_path)}
    first = processes.run(REPEATED, "first", **folder)
    assert first.startswith("True")
    assert processes.run(REPEATED, "cached", **folder) == first


def test_calls_do_without_where_objects_are_not_as_expected() -> None:
    known = processes.run(REPEATED, "known")
    assert processes.run(REPEATED, "unknown") == known.replace("True", "False")


def test_objects_are_as_expected() -> None:
    assert _objects.are_as_expected()


def test_children_recall_what_their_parent_recorded() -> None:
    code = """
        import os
        import numpy as np
        from fastsoftmax import softmax

        x = np.arange(3, dtype=np.float32)
        for _ in range(200):
            right = softmax(x, 0)
        child = os.fork()
        for _ in range(200):
            assert np.array_equal(softmax(x, 0), right)
            assert softmax(x[:2], 0).size == 2
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    processes.run(code)
