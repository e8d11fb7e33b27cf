"""Plans for results whose memory runs along another axis than an input's, or in other steps."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax._cpu import CPUS, SECOND_LEVEL_BYTES
from fastsoftmax._geometry import Axis, Geometry, walk
from fastsoftmax._plans import OneKernel, Plan
from fastsoftmax.kernels.copies import (
    BLOCK,
    SIDES,
    blocks_in,
    copy_rows,
    pieces_in,
    sides_for,
    transpose_by,
)
from fastsoftmax.kernels.memory import LINE_BYTES
from fastsoftmax.kernels.strides import SOURCE, TARGET

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._geometry import Dims
    from fastsoftmax._plans import Launcher
    from fastsoftmax._task import Task

Array = np.ndarray[Any, Any]
Index = tuple[slice, ...]

# Results of fewer bytes are in caches that are fast enough, wherever their elements are.
# (200, 200) float32 takes 14 to 22 us as it lies, 19 to 25 copied; (1000, 100) 44 to 98, 36 to 59.
LEAST_BYTES = SECOND_LEVEL_BYTES // 8
# Fewer elements whose neighbours are steps apart are gathered slice by slice as fast.  Over dim 0,
# (64, 16) float32 in steps of two takes 2.0 us so, and 2.5 copied; (100, 100) 12.6 and 8.5.
LEAST_IN_STEPS = 1 << 11
# Neighbours that are further apart than the elements of slices have a line each, of which a copy
# takes one element at a time: so much of these are to be in the caches.  The first of each two of
# (8000, 64, 2) float32 over dim 1 take 0.6 ms as they lie, 2.8 copied; of (500, 1000, 2) 0.9 and
# 0.6; of (3000, 100, 2) 0.48 and 0.38.
MOST_LINES_BYTES = SECOND_LEVEL_BYTES // 16
# Results that are copied and computed at a time: with their input, they are to be in the caches in
# between.  (2000, 2000) float64 took 4.9 ms all at once, and takes 3.2.
PIECE_BYTES = max(CPUS * SECOND_LEVEL_BYTES // 2, 1 << 20)


class _Copy(OneKernel):
    """A plan to copy an input to where the results go, along the axes of `copied_along`."""

    is_bare = True

    def __init__(
        self, axes: Geometry, given: np.dtype[Any], dtype: np.dtype[Any], task: Task
    ) -> None:
        super().__init__("copies", axes, dtype, task, 0)
        sizes = [axis.size for axis in axes.inner]
        if len(sizes) == 1:
            self.kernel, parts = copy_rows, pieces_in(*sizes)
        else:
            side = next(side for side in sides_for(dtype) if side <= min(sizes))
            self.kernel, parts = transpose_by(side), math.prod(map(blocks_in, sizes))
        self.kernels = (self.kernel,)
        if given != dtype:
            self.read(given)
        self.table = self._table(axes)
        self.tasks = axes.slices * parts


class CopiedFirst(Plan):
    """A plan to copy an input to where the results go, and to compute these in place.

    Piece by piece, so that caches have each in between.  Where another input is there already,
    nothing is copied.  `standing` gives the plans for operands as they stand.
    """

    def __init__(
        self,
        operands: tuple[Array, ...],
        moved: int,
        axes: Geometry,
        task: Task,
        standing: Callable[[tuple[Array, ...]], Plan],
    ) -> None:
        given, target = operands[moved], operands[TARGET]
        self._ndim, dtype = target.ndim, target.dtype
        self._pieces: list[tuple[Index, Plan, Plan]] = []
        known: dict[tuple[int, ...], tuple[Plan, Plan]] = {}
        for index in _pieces(given, target, axes, task.dims):
            shape = target[index].shape
            if shape not in known:
                found = _axes_of(given[index], target[index])
                assert found is not None  # as `_pieces` saw to
                parts = _part(operands, index, self._ndim)
                then = standing(_in_place(parts, moved))
                known[shape] = _Copy(found, given.dtype, dtype, task), then
            self._pieces.append((index, *known[shape]))
        _, _, then = self._pieces[0]
        super().__init__(then.kind, axes, dtype, task, 0)
        self.moved = moved
        self._others = [each for each in task.touched if each not in {moved, TARGET}]
        # Not when it is wanted: those who launch don't have halves viewed as kernels see them.
        self._standing = standing(operands) if self._others else then
        self.cost = sum(copy.cost + then.cost for _, copy, then in self._pieces)
        self.tasks, self.streaming = then.tasks, then.streaming
        self.views = bool(self._pieces[0][0]) or then.views or self._standing.views
        self.kernels = tuple(
            {kernel for pair in known.values() for plan in pair for kernel in plan.kernels}
        )
        self._then = then

    @property
    def tile(self) -> tuple[int, int] | None:
        """See `Plan.tile`."""
        return self._then.tile

    def threads(self, workers: int | None) -> int:
        """See `Plan.threads`."""
        return max(plan.threads(workers) for _, *pair in self._pieces for plan in pair)

    def launcher(self, workers: int | None) -> Launcher:
        """See `Plan.launcher`."""
        launchers = {plan: plan.launcher(workers) for _, *pair in self._pieces for plan in pair}
        moved = self.moved
        assert moved is not None

        def launch(operands: tuple[Array, ...]) -> None:
            place = _place(operands[TARGET])
            if any(_place(operands[each]) == place for each in self._others):
                self._standing.run(operands, workers)
                return
            for index, copy, then in self._pieces:
                parts = _part(operands, index, self._ndim)
                launchers[copy]((parts[moved], parts[TARGET]))
                parts = _in_place(parts, moved)
                if then.corner is not None:  # the other input runs backwards
                    parts = tuple(map(then.flat, parts))
                launchers[then](parts)

        return launch


def copied_along(source: Array, target: Array, dims: Dims) -> Geometry | None:
    """The axes to copy along: of a plane, one of which lies along memory in each array, or of rows.

    None where copies are not worth it.
    """
    if source.shape != target.shape or any(stride < 0 for stride in target.strides):
        return None
    found = _axes_of(source, target)
    if found is None:
        return None
    if len(found.inner) == 2:
        return found if target.nbytes >= LEAST_BYTES else None
    # Slices whose own elements are steps apart are gathered as fast.
    along = [dim for dim in dims if target.shape[dim] > 1]
    if any(target.strides[dim] == target.itemsize for dim in along):
        return None
    run = found.inner[0]
    step = abs(run.strides[SOURCE]) * source.itemsize
    is_long = run.size * LINE_BYTES >= MOST_LINES_BYTES
    if is_long and any(abs(source.strides[dim]) < step for dim in along):
        return None
    return found if target.size >= LEAST_IN_STEPS else None


def _axes_of(source: Array, target: Array) -> Geometry | None:
    """The same whatever it is worth; None where both lie along the same axis."""
    axes = walk(
        source.shape,
        (source.strides, target.strides),
        (source.itemsize, target.itemsize),
    )
    run = next((axis for axis in axes if axis.strides[TARGET] == 1), None)
    if run is None or run.strides[SOURCE] == 1 or run.size < SIDES[-1]:
        return None
    rows = [axis for axis in axes if axis.strides[SOURCE] == 1 and axis.size >= SIDES[-1]]
    inner = (*rows[:1], run)
    batch = tuple(axis for axis in axes if axis not in inner)
    return Geometry(inner, batch or (Axis(1, (1, 1)),), None)


def _pieces(source: Array, target: Array, whole: Geometry, dims: Dims) -> list[Index]:
    """Parts of `PIECE_BYTES` or so, by the outermost axis of the batch that makes them.

    Their planes are blocks at the least, if those of the whole are.
    """
    count = round(target.nbytes / PIECE_BYTES)
    batch = [axis for axis in range(target.ndim) if axis not in dims]
    sides = [min(axis.size, BLOCK) for axis in whole.inner]

    def is_wide(index: Index) -> bool:
        found = _axes_of(source[index], target[index])
        return found is not None and all(
            axis.size >= side for axis, side in zip(found.inner, sides, strict=False)
        )

    for axis in sorted(batch, key=lambda axis: target.strides[axis], reverse=True):
        size, grain = target.shape[axis], 1
        if any(each.strides[axis] == each.itemsize for each in (source, target)):
            grain = SIDES[0]  # lines stay whole
        if not 1 < count <= 2 * size:
            continue
        cuts = [i * size // count // grain * grain for i in range(count)]
        bounds = pairwise((*sorted({*cuts}), size))
        pieces = [(*[slice(None)] * axis, slice(begin, end)) for begin, end in bounds]
        if all(map(is_wide, pieces)):
            return pieces
    return [()]


def _place(array: Array) -> int:
    """Where the memory of an array begins, be it seen through a view that is read-only or not."""
    place: int = array.__array_interface__["data"][0]
    return place


def _part(operands: tuple[Array, ...], index: Index, ndim: int) -> tuple[Array, ...]:
    """That part of all operands that are no placeholders."""
    if not index:
        return operands
    return tuple([each[index] if each.ndim == ndim else each for each in operands])


def _in_place(operands: tuple[Array, ...], moved: int) -> tuple[Array, ...]:
    """The operands once the copy is made."""
    return (*operands[:moved], operands[TARGET], *operands[moved + 1 :])
