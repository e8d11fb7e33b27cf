"""Kernels compute with normal numbers: processors of Intel take 150 cycles for each other one.

What is computed beside the slices asked for (lanes that no slice has, rows beyond the last one)
must not be what happens to be in memory, and no part of a sum may be too small.  The processor
notes in its flags whether it met such a number; scratch memory and the stack are full of them
beforehand.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import processor
import pytest
from arrays import DTYPES, LAYOUTS, Layout, logits
from processor import DENORMAL, UNDERFLOW, clear_flags, flags

import fastsoftmax
from fastsoftmax import _launch
from fastsoftmax.kernels.memory import pointer
from fastsoftmax.kernels.workspaces import workspace

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

pytestmark = processor.of_this_kind

# Two bytes of it are subnormal as float16, four as float32, eight as float64.
LITTER = 0x0001
LITTER_BYTES = 1 << 19

CALLS: dict[str, Callable[[Array, Any], object]] = {
    "softmax": lambda x, dim: fastsoftmax.softmax(x, dim, workers=1),
    "log_softmax": lambda x, dim: fastsoftmax.log_softmax(x, dim, workers=1),
    "logsumexp": lambda x, dim: fastsoftmax.logsumexp(x, dim, workers=1),
    "tempered": lambda x, dim: fastsoftmax.softmax(x, dim, temperature=0.7, workers=1),
    "masked": lambda x, dim: fastsoftmax.softmax(x, dim, where=x < 1, workers=1),
    "backward": lambda x, dim: fastsoftmax.softmax_backward(x, x, dim, workers=1),
}
LENGTHS = [1, 2, 3, 7, 10, 31, 37, 64, 65, 128, 257, 1000, 5000]


@numba.njit
def _litter(words: Array) -> Any:
    """Write the first of the words all over the stack; returns one that was written."""
    memory = workspace(pointer(words), LITTER_BYTES)
    for i in range(LITTER_BYTES // 2):
        memory[i] = words[0]
    return memory[words[1]]


def met(compute: Callable[[], object]) -> int:
    """Which flags a call raises where memory is littered."""
    compute()  # compiled
    memory = _launch.own.bytes(0)
    memory[: memory.nbytes // 2 * 2].view(np.uint16)[:] = LITTER
    assert _litter(np.array([LITTER, 5], np.uint16)) == LITTER
    clear_flags()
    compute()
    return int(flags()) & (DENORMAL | UNDERFLOW)


def test_the_flags_tell() -> None:
    """Of subnormal numbers that are asked for, of which results there are, and of nothing else."""
    x = np.zeros((1, 100), np.float32)
    assert met(lambda: fastsoftmax.softmax(x, 1)) == 0
    x[0, ::2] = -95.0
    assert met(lambda: fastsoftmax.softmax(x, 1)) == UNDERFLOW
    x[0, ::2] = 1e-40
    assert met(lambda: fastsoftmax.softmax(x, 1)) & DENORMAL


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_no_number_is_subnormal(layout: Layout, name: str, dtype: np.dtype[Any]) -> None:
    for length in LENGTHS:
        for slices in (1, 3, 17, 40, 64) if length < 1000 else (3, 64):
            x = layout.of(logits((slices, length), dtype))
            # Where all elements are equal, as those of slices that no lane has are, the others'
            # sum vanishes, once a strip; and so do hidden elements.
            equal = length == 1 or slices != 64 or layout.name == "one column repeated"
            vanish = name == "masked" or (name.startswith("log") and equal)
            found = met(functools.partial(CALLS[name], x, layout.dim))
            assert found & ~(UNDERFLOW if vanish else 0) == 0, (slices, length)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_halves_are_computed_as_normal_numbers(layout: Layout, name: str) -> None:
    """None of these halves is subnormal, and no result."""
    for length in LENGTHS[:10]:
        for slices in (1, 17):
            x = logits((slices, length), np.float16)
            x = layout.of(np.where(abs(x) < 1e-3, 1, x))
            assert met(functools.partial(CALLS[name], x, layout.dim)) & DENORMAL == 0, (
                slices,
                length,
            )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_what_is_far_below_is_normal(layout: Layout, name: str, dtype: np.dtype[Any]) -> None:
    """Results may vanish, but no operand is subnormal."""
    for length in (2, 10, 37, 200, 5000):
        for low in (-np.inf, -1e9):
            slices = logits((3, length), dtype).copy()
            slices[:, 1::2] = low
            x = layout.of(slices)
            found = met(functools.partial(CALLS[name], x, layout.dim))
            assert found & DENORMAL == 0, (length, low)
