"""What is known about the way of a call, for it to be recorded (`_recall`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fastsoftmax._jit import Kernel
    from fastsoftmax._launch import Job

Array = np.ndarray[Any, Any]


class Direct(NamedTuple):
    """A kernel that does a whole call."""

    kernel: Kernel
    stored: np.dtype[Any]
    """How the kernel sees elements."""
    table: Array
    tasks: int
    scratch: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...] | None
    """That of a fresh result; None if it is not C-contiguous, and NumPy's to find."""
    besides: tuple[Array, ...] = ()
    """What stands for second input, mask, temperature and summary; a bare kernel has none."""
    job: Job | None = None
    """The same on several threads, which calls are worth."""


class Facts(NamedTuple):
    """What is known about a way."""

    cost: float
    """Nanoseconds of work, roughly."""
    direct: Direct | None
