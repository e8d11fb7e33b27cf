"""Memory of large results: used again, and no more of it kept than was said."""

from __future__ import annotations

import json
import sys
from collections import deque

import numpy as np
import processes
import pytest

import fastsoftmax
from fastsoftmax import _memory

MIB = 1 << 20

CODE = """
    import json, sys
    import numpy as np, psutil
    import fastsoftmax
    resident = lambda: psutil.Process().memory_info().rss
    x = np.zeros((1024, 4096), np.float32)  # 16 MiB
    fastsoftmax.softmax(x, 1, workers=1)
    before = resident()
    results = [fastsoftmax.softmax(x, 1, workers=1) for _ in range(16)]
    during = resident()
    results.clear()
    print(json.dumps([during - before, resident() - before]))
"""


OFFERED = """
    import json, pathlib
    import numpy as np
    import fastsoftmax
    rollup = pathlib.Path("/proc/self/smaps_rollup")
    def offered():
        lines = rollup.read_text().splitlines() if rollup.exists() else []
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("LazyFree"))
    small, large = np.zeros((400, 1000), np.float32), np.zeros((1000, 2000), np.float32)
    fastsoftmax.softmax(small, 1), fastsoftmax.softmax(large, 1)
    in_turn = []
    for _ in range(20):
        for x in small, large:
            fastsoftmax.softmax(x, 1)
            in_turn.append(offered())
    for _ in range(32):
        fastsoftmax.softmax(small, 1)
    print(json.dumps([rollup.exists(), max(in_turn), offered(), large.nbytes]))
"""


SHORT = """
    import pathlib, resource
    import numpy as np
    import fastsoftmax
    x = np.zeros((128, 1 << 18), np.float32)  # a MiB a slice
    def computed(slices):
        result = fastsoftmax.softmax(x[:slices], 1, workers=1)
        assert (result[::9, ::999] == 2.0 ** -18).all()
    computed(96)  # whose memory is kept
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (64 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    computed(128)  # with what was kept, there is enough
    try:
        held = fastsoftmax.softmax(x, 1, workers=1)
        fastsoftmax.softmax(x, 1, workers=1)
    except MemoryError as problem:
        print(problem)
    computed(8)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count otherwise")
def test_too_little_memory_is_an_error_of_memory() -> None:
    said = processes.run(SHORT, FASTSOFTMAX_SPARE_BYTES=str(256 * MIB))
    assert "Unable to allocate 128. MiB for an array with shape (128, 262144)" in said


@pytest.mark.parametrize("spare", [0, 40, 80])
def test_no_more_is_kept_than_was_said(spare: int) -> None:
    said = processes.run(CODE, FASTSOFTMAX_SPARE_BYTES=str(spare * MIB))
    during, after = json.loads(said)
    assert during > 200 * MIB
    assert after < (spare + 16) * MIB


def test_a_result_gets_the_memory_of_one_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "_kept", deque())  # what other tests left
    x = np.zeros((1024, 1031), np.float32)
    result = fastsoftmax.softmax(x, 1)
    address = result.ctypes.data
    part = result[3:5]
    del result
    other = fastsoftmax.softmax(x, 1)
    assert other.ctypes.data != address, "a part of it was still there"
    del part
    again = fastsoftmax.softmax(x, 1)
    assert again.ctypes.data == address


def test_of_several_pieces_the_last_one_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "_kept", deque())
    x = np.zeros((1024, 1031), np.float32)
    first, second = fastsoftmax.softmax(x, 1), fastsoftmax.softmax(x, 1)
    address = second.ctypes.data
    del first, second
    for _ in range(4):
        assert fastsoftmax.softmax(x, 1).ctypes.data == address


def test_idle_memory_is_offered_to_the_system_but_none_that_is_used_in_turn() -> None:
    told, in_turn, idle, size = json.loads(processes.run(OFFERED))
    if not told:
        pytest.skip("this system does not tell what is offered to it")
    assert in_turn == 0
    assert idle > size / 2  # the system does not count what it has yet to sort


@pytest.mark.skipif(not _memory._AVAILABLE, reason="this system is offered no memory")
def test_memory_of_living_results_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "_kept", deque())
    x = np.zeros((1000, 300), np.float32)
    held = fastsoftmax.softmax(x, 1)
    for _ in range(5 * _memory._IDLE_TURNS):
        fastsoftmax.softmax(x[:950], 1)
    assert [each._offered for each in _memory._kept if not each.is_free] == [False]
    assert (held > 0).all()


@pytest.mark.parametrize("offset", [0, 4, 16, 60])
def test_results_across_memory_lie_in_lines_as_their_logits(offset: int) -> None:
    length = 640
    while not fastsoftmax.explain(np.zeros((length, 1024), np.float32), 0).streaming:
        length *= 2
    size = 4 * length * 1024
    memory = np.zeros(size + 128, np.uint8)
    begin = -memory.ctypes.data % 64 + offset
    x = memory[begin : begin + size].view(np.float32).reshape(length, 1024)
    for _ in range(2):  # the second call goes another way
        assert fastsoftmax.softmax(x, 0).ctypes.data % 64 == offset
        assert fastsoftmax.softmax(x, 1).ctypes.data % 64 == 0


@pytest.mark.parametrize("given", ["", "-1", "many", "1e6"])
def test_other_amounts_are_refused_by_name(given: str) -> None:
    code = """
    try:
        import fastsoftmax
        fastsoftmax.softmax([1.0], 0)
    except ValueError as error:
        print(error)
    """
    said = processes.run(code, FASTSOFTMAX_SPARE_BYTES=given)
    assert "FASTSOFTMAX_SPARE_BYTES" in said
    assert repr(given) in said
