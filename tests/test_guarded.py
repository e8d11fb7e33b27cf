"""Arrays that end where memory does: nothing beyond them is read, in whatever layout."""

from __future__ import annotations

import sys

import processes
import pytest

GUARDED = """
    import ctypes, mmap
    import numpy as np
    import fastsoftmax
    libc = ctypes.CDLL(None, use_errno=True)
    size = 4 << 20
    memory = mmap.mmap(-1, size + mmap.PAGESIZE)
    begin = np.frombuffer(memory, np.uint8).ctypes.data
    assert libc.mprotect(ctypes.c_void_p(begin + size), mmap.PAGESIZE, 0) == 0
    for dtype in ("f4", "f8"):
        whole = np.ndarray(size // np.dtype(dtype).itemsize, dtype, memory)
        whole[...] = np.random.default_rng(1).standard_normal(whole.size)
        for length, slices in ((100, 3000), (300, 777), (17, 1031), (2, 5000), (40, 64)):
            for step in (1, 2, 3, -1):
                width = slices * abs(step) - abs(step) + 1
                if length * width > whole.size:
                    continue
                rows = whole[-length * width :].reshape(length, width)[:, ::step]
                for x in (rows, rows.T):
                    results = np.empty((2, x.size), dtype)
                    outs = None, results[0].reshape(x.shape), results[1].reshape(x.shape[::-1]).T
                    for dim in (0, 1):
                        wanted = fastsoftmax.softmax(x.copy(), dim)
                        for out in outs:
                            found = fastsoftmax.softmax(x, dim, out=out, workers=1)
                            assert np.array_equal(found, wanted)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pages are guarded otherwise elsewhere")
def test_nothing_beyond_the_last_element_is_read() -> None:
    """Where the next page cannot be read: the process would be killed."""
    processes.run(GUARDED)
