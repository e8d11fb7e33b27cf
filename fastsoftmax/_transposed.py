"""Plans for results whose memory runs along another axis than an input's."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax._cpu import CPUS, SECOND_LEVEL_BYTES
from fastsoftmax._geometry import Axis, Geometry, geometry
from fastsoftmax._plans import OneKernel, Plan
from fastsoftmax.kernels.strides import SECOND, SOURCE, TARGET
from fastsoftmax.kernels.transposition import BLOCK, SIDES, blocks_in, sides_for, transpose_by

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
# Results that are copied and computed at a time: with their input, they are to be in the caches in
# between.  (2000, 2000) float64 took 4.9 ms all at once, and takes 3.2.
PIECE_BYTES = max(CPUS * SECOND_LEVEL_BYTES * 3 // 8, 1 << 20)


_NAMES = {SOURCE: "input", SECOND: "grad_output"}


class _Copy(OneKernel):
    """A plan to copy an input to where the results go."""

    is_bare = True

    def __init__(self, planes: Geometry, dtype: np.dtype[Any], task: Task) -> None:
        super().__init__("transposed", planes, dtype, task, 0)
        sizes = [axis.size for axis in planes.inner]
        self.kernel = transpose_by(next(side for side in sides_for(dtype) if side <= min(sizes)))
        self.kernels = (self.kernel,)
        self.table = self._table(planes)
        self.tasks = planes.slices * math.prod(map(blocks_in, sizes))


class Transposed(Plan):
    """A plan to copy an input to where the results go, and to compute these in place.

    Piece by piece, so that caches have each in between.  `in_place` gives the plans for operands
    one of which is the result.
    """

    def __init__(
        self,
        operands: tuple[Array, ...],
        planes: Geometry,
        task: Task,
        in_place: Callable[[tuple[Array, ...]], Plan],
    ) -> None:
        assert task.movable is not None
        self._moved: int = task.movable
        self.copies = (f"{_NAMES[self._moved]} to the result",)
        given, target = operands[self._moved], operands[TARGET]
        self._ndim, dtype = target.ndim, target.dtype
        self._pieces: list[tuple[Index, Plan, Plan]] = []
        known: dict[tuple[int, ...], tuple[Plan, Plan]] = {}
        for index in _pieces(given, target, planes, task.dims):
            shape = target[index].shape
            if shape not in known:
                copy = _Copy(_planes(given[index], target[index]) or planes, dtype, task)
                parts = _part(operands, index, self._ndim)
                known[shape] = copy, in_place(self._in_place(parts))
            self._pieces.append((index, *known[shape]))
        _, _, then = self._pieces[0]
        super().__init__(then.kind, planes, dtype, task, 0)
        self.cost = sum(copy.cost + then.cost for _, copy, then in self._pieces)
        self.tasks, self.streaming = then.tasks, then.streaming
        self.views = bool(self._pieces[0][0])
        self.kernels = tuple(
            {kernel for pair in known.values() for plan in pair for kernel in plan.kernels}
        )
        self._then = then

    @property
    def tile(self) -> tuple[int, int] | None:
        """See `Plan.tile`."""
        return self._then.tile

    def launcher(self, workers: int | None) -> Launcher:
        """See `Plan.launcher`."""
        launchers = {plan: plan.launcher(workers) for _, *pair in self._pieces for plan in pair}
        steps = [(index, launchers[copy], launchers[then]) for index, copy, then in self._pieces]

        def launch(operands: tuple[Array, ...]) -> None:
            for index, copy, compute in steps:
                parts = _part(operands, index, self._ndim)
                copy((parts[self._moved], parts[TARGET]))
                compute(self._in_place(parts))

        return launch

    def _in_place(self, operands: tuple[Array, ...]) -> tuple[Array, ...]:
        """The operands when the copy is made."""
        return (*operands[: self._moved], operands[TARGET], *operands[self._moved + 1 :])


def planes_of(source: Array, target: Array) -> Geometry | None:
    """Both as planes, of an axis that lies along memory in one and one in the other.

    None where they are no such planes, or copies are not worth it.
    """
    if source.shape != target.shape or source.dtype != target.dtype:
        return None
    if target.nbytes < LEAST_BYTES:
        return None
    if any(stride < 0 for each in (source, target) for stride in each.strides):
        return None
    return _planes(source, target)


def _planes(source: Array, target: Array) -> Geometry | None:
    """The same of whatever is worth it."""
    strides, itemsize = (source.strides, target.strides), source.itemsize
    axes = geometry(source.shape, strides, (itemsize, itemsize), ()).batch
    rows = [axis for axis in axes if axis.strides[SOURCE] == 1]
    columns = [axis for axis in axes if axis.strides[TARGET] == 1]
    if not rows or not columns or rows == columns:
        return None
    plane = rows[0], columns[0]
    if min(axis.size for axis in plane) < SIDES[-1]:
        return None
    others = tuple(axis for axis in axes if axis not in plane)
    return Geometry(plane, others or (Axis(1, (1, 1)),), None)


def _pieces(source: Array, target: Array, planes: Geometry, dims: Dims) -> list[Index]:
    """Parts of `PIECE_BYTES` or so, by the outermost axis of the batch that makes them.

    Their planes are blocks at the least, if those of the whole are.
    """
    count = round(target.nbytes / PIECE_BYTES)
    batch = [axis for axis in range(target.ndim) if axis not in dims]
    sides = [min(axis.size, BLOCK) for axis in planes.inner]

    def is_wide(index: Index) -> bool:
        found = _planes(source[index], target[index])
        return found is not None and all(
            axis.size >= side for axis, side in zip(found.inner, sides, strict=True)
        )

    for axis in sorted(batch, key=lambda axis: target.strides[axis], reverse=True):
        size, grain = target.shape[axis], 1
        if target.itemsize in {source.strides[axis], target.strides[axis]}:
            grain = SIDES[0]  # lines stay whole
        if not 1 < count <= 2 * size:
            continue
        cuts = [i * size // count // grain * grain for i in range(count)]
        bounds = pairwise((*sorted({*cuts}), size))
        pieces = [(*[slice(None)] * axis, slice(begin, end)) for begin, end in bounds]
        if all(map(is_wide, pieces)):
            return pieces
    return [()]


def _part(operands: tuple[Array, ...], index: Index, ndim: int) -> tuple[Array, ...]:
    """That part of all operands that are no placeholders."""
    if not index:
        return operands
    return tuple([each[index] if each.ndim == ndim else each for each in operands])
