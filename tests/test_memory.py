"""Memory of large results: used again, and no more of it kept than was said."""

from __future__ import annotations

import json
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
