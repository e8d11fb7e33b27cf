"""Memory for large results: aligned, in huge pages where there are any, and used again.

Fresh memory costs a page fault every 4 KiB (2 MiB at best) in which the system fills it with
zeros: (4096, 4096) float32 takes 1.6 ms into memory that is there and 5 ms into fresh.  So a
few pieces of memory are kept, and a large result gets one that no array holds any more.  Those
that are not wanted for the next few large results are offered to the system (``MADV_FREE``),
which takes them whenever it is short.

Nothing runs when an array dies: what is raised in a ``__del__``, an interrupt for one, is lost.

The environment variable ``FASTSOFTMAX_SPARE_BYTES`` sets how much is kept at the most;
0 keeps none.  Where the system has no such offer, NumPy allocates as ever.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

SPARE_VARIABLE = "FASTSOFTMAX_SPARE_BYTES"


def _spare_bytes() -> int:
    given = os.environ.get(SPARE_VARIABLE, str(256 << 20))
    if not given.isdecimal():
        raise ValueError(
            f"the environment variable {SPARE_VARIABLE} is {given!r}; it must be a number of bytes"
        )
    return int(given)


SPARE_BYTES = _spare_bytes()
# Smaller results come from NumPy, whose allocator has memory at hand for them.
LARGE_BYTES = 1 << 20
_HUGE_PAGE, _PAGE_BYTES, _LINE_BYTES = 2 << 20, 4096, 64
# How far after its logits a result begins in a page.  Arrays that begin alike are in the same banks
# of memory: (8, 12, 512, 512) float32 5.4 ms, so 4.7.
_APART_BYTES = 512
# A piece serves a result that fills at least this share of it.
_LEAST_SHARE = 0.75
# A piece is offered when at least as many large results were made without it.  What is offered
# takes time to be written to again: two in turn, offered each time, (400, 1000) float32 430 us
# instead of 125.  All pieces are looked at every few turns.
_IDLE_TURNS, _TURNS_BETWEEN = 16, 8
_AVAILABLE = hasattr(mmap, "MADV_FREE") and hasattr(mmap, "MAP_ANONYMOUS") and SPARE_BYTES > 0

numpy_empty = np.empty
"""NumPy's own allocation, should something else stand in its place for a while."""

_kept: deque[_Piece] = deque()
"""The pieces that are used again, those of living arrays too."""


def empty_like(
    array: np.ndarray[Any, Any], dtype: np.dtype[Any], dims: tuple[int, ...] = ()
) -> np.ndarray[Any, Any]:
    """Memory for a result of an array's shape, in the order that a ufunc's would have.

    If slices over `dims` lie across memory, it begins as far into a cache line as the array:
    what is read is whole lines then where what is written is.
    """
    if not _is_ours(array, dtype):
        return laid_out_like(array, dtype)
    return _large_maker(array, dtype, dims)(array)


def laid_out_like(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Memory from NumPy in the same order."""
    if 0 in array.strides:  # repeated elements, whose order `np.empty_like` turns round
        spread = np.nditer(
            [array, None],
            flags=["zerosize_ok"],
            op_flags=[["readonly"], ["writeonly", "allocate"]],
            op_dtypes=[array.dtype, dtype],
        )
        return np.asarray(spread.operands[1])
    return np.empty_like(array, dtype, subok=False)


def _is_ours(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bool:
    """Whether the memory of a result of an array's shape is ours, not NumPy's."""
    is_large = array.size * dtype.itemsize >= LARGE_BYTES
    return _AVAILABLE and is_large and array.flags.forc and 0 not in array.strides


def _large_maker(
    array: np.ndarray[Any, Any], dtype: np.dtype[Any], dims: tuple[int, ...]
) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """A function that makes large results for arrays that lie like this one."""
    shape, item = array.shape, dtype.itemsize
    size = array.size * item + _PAGE_BYTES
    order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
    is_across = bool(dims) and all(abs(array.strides[dim]) > array.itemsize for dim in dims)

    def make(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        place = array.__array_interface__["data"][0]
        within_line = place % _LINE_BYTES
        begin = (place - within_line + _APART_BYTES) % _PAGE_BYTES
        if is_across:
            begin += within_line // item * item
        lease = None
        with contextlib.suppress(OSError):
            lease = _lease(size)
        if lease is None:  # there may be enough now that nothing is kept; else it is MemoryError
            return np.empty(shape, dtype, order)
        memory: np.ndarray[Any, Any] = np.asarray(lease)
        result: np.ndarray[Any, Any] = np.ndarray(shape, dtype, memory, begin, order=order)
        return result

    return make


def maker_like(
    array: np.ndarray[Any, Any], dtype: np.dtype[Any], dims: tuple[int, ...] = ()
) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """A function that does what `empty_like` does, for arrays that lie like this one."""

    def as_ever(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return empty_like(array, dtype, dims)

    if _is_ours(array, dtype):
        return _large_maker(array, dtype, dims)
    if array.size * dtype.itemsize >= LARGE_BYTES:
        return as_ever
    example, empty = as_ever(array), numpy_empty
    # NumPy takes 110 ns by shape and dtype, 180 by an example, twice that with all its options.
    shape = example.shape
    if empty(shape, dtype).strides == example.strides:
        return lambda _: empty(shape, dtype)
    order = sorted(range(len(shape)), key=lambda dim: -example.strides[dim])
    sizes, back = tuple(shape[dim] for dim in order), tuple(np.argsort(order).tolist())
    if empty(sizes, dtype).transpose(back).strides == example.strides:
        return lambda _: empty(sizes, dtype).transpose(back)
    return as_ever


class _Piece:
    """A piece of memory from the system."""

    __slots__ = ("_interface", "_map", "_offered", "_offset", "_turn", "holder", "size")

    def __init__(self, size: int) -> None:
        self.size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        huge = size >= _HUGE_PAGE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._map = mmap.mmap(-1, self.size + (_HUGE_PAGE if huge else 0), flags=flags)
        start = np.frombuffer(self._map, np.uint8, count=1).ctypes.data
        self._offset = -start % _HUGE_PAGE if huge else 0
        self._interface = {
            "version": 3,
            "typestr": "|u1",
            "shape": (self.size,),
            "data": (start + self._offset, False),
        }
        self.holder: weakref.ref[_Lease] | None = None
        self._turn, self._offered = 0, False
        if huge and hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # not in this kernel
                self._map.madvise(mmap.MADV_HUGEPAGE)

    @property
    def is_free(self) -> bool:
        """Whether no array holds it any more."""
        return self.holder is None or self.holder() is None

    def lend(self, size: int, turn: int) -> _Lease | None:
        """What a new array is to hold; None if this piece is not free or does not fit."""
        if not size <= self.size <= size / _LEAST_SHARE or not self.is_free:
            return None
        lease = _Lease(self, self._interface)
        self.holder, self._turn, self._offered = weakref.ref(lease), turn, False
        return lease

    def rest(self, turn: int) -> None:
        """Let the system have the memory, until it is written to again, if it is idle."""
        if self.is_free and not self._offered and turn - self._turn >= _IDLE_TURNS:
            self._offered = True
            with contextlib.suppress(OSError):
                self._map.madvise(mmap.MADV_FREE, self._offset, self.size)


class _Lease:
    """What an array holds on to as long as it needs its piece of memory."""

    __slots__ = ("__array_interface__", "__weakref__", "_piece")

    def __init__(self, piece: _Piece, interface: dict[str, Any]) -> None:
        self._piece = piece
        self.__array_interface__ = interface


_turns = itertools.count(1)
"""Large results so far."""


def _lease(size: int) -> _Lease:
    """Memory for a new array: the piece of late that is free and fits, else a new one.

    Mostly it is one of the last two: looking at no others, and at these in few steps, saves as
    much time as two threads take for a tenth of (1000, 1000) float32 (see `_launch.Job`).
    """
    turn = next(_turns)
    if turn % _TURNS_BETWEEN:
        tried: list[_Piece] = []
        with contextlib.suppress(IndexError):
            while len(tried) < 2:
                piece = _kept.pop()
                tried.append(piece)
                lease = piece.lend(size, turn)
                if lease is not None:
                    _kept.extend(tried)
                    return lease
        _kept.extend(reversed(tried))
    return _lease_any(size, turn)


def _lease_any(size: int, turn: int) -> _Lease:
    """The same of all pieces; those that are idle are offered to the system.

    Should it have no memory left, OSError, and none of them is kept.
    """
    pieces, lease = _all_kept(), None
    for piece in reversed(pieces):
        lease = piece.lend(size, turn)
        if lease is not None:
            pieces.remove(piece)
            break
    else:
        piece = _Piece(size)
        lease = piece.lend(size, turn)
    assert lease is not None
    excess = sum(each.size for each in pieces) + piece.size - SPARE_BYTES
    # Given up are pieces that are free, the one first that was lent the longest time ago.
    for each in pieces:
        if excess > 0 and each.is_free:
            excess -= each.size
        else:
            each.rest(turn)
            _kept.append(each)
    if excess <= 0:
        _kept.append(piece)
    return lease


def _all_kept() -> list[_Piece]:
    """The pieces, taken out of `_kept`: nobody else can lend them meanwhile."""
    pieces = []
    with contextlib.suppress(IndexError):
        while True:
            pieces.append(_kept.popleft())
    return pieces
