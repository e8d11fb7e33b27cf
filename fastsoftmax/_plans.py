"""Plans: how the slices of arrays of one shape, strides and dtype are computed.

A plan knows its kernels, their arguments besides the arrays, and what they cost.  Which plan
fits is decided in `_layout`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax import _launch
from fastsoftmax._cpu import LAST_LEVEL_BYTES, SECOND_LEVEL_BYTES
from fastsoftmax._jit import SCRATCH_UNIT, Kernel
from fastsoftmax._tiling import (
    LEAST_CELLS,
    LEAST_PAST_CACHES,
    batch_rows,
    bunch_width,
    pair_width,
    reads_twice,
    shares_sets,
    tile_width,
)
from fastsoftmax.kernels import bunches, columns, narrow, short, strips, whole
from fastsoftmax.kernels.batches import batch_slices, batches
from fastsoftmax.kernels.class_gradients import class_gradients
from fastsoftmax.kernels.classes import of_classes
from fastsoftmax.kernels.column_gradients import WIDTH_BYTES as GRADIENTS_BYTES
from fastsoftmax.kernels.column_gradients import column_gradients
from fastsoftmax.kernels.gradient_steps import MOST_SLICES
from fastsoftmax.kernels.narrow_gradients import narrow_gradients
from fastsoftmax.kernels.operations import MASKED, NEGATED, RESULTS
from fastsoftmax.kernels.outcomes import PARTS
from fastsoftmax.kernels.packing import tasks_in, tile_bytes
from fastsoftmax.kernels.row_gradients import row_gradients
from fastsoftmax.kernels.rows import rows, scratch_bytes
from fastsoftmax.kernels.strides import FAR, IN_MEMORY, NEAR, PAST_CACHES
from fastsoftmax.kernels.sums import SINGLE, block_of, lanes_of

if TYPE_CHECKING:
    from fastsoftmax._geometry import Geometry
    from fastsoftmax._task import Task

Array = np.ndarray[Any, Any]

# Input and results that caches are taken to keep.  A core's part of a last-level cache is not
# told; on servers, where dozens share one, it is no more than so many times the second level.
MOST_KEPT_BYTES = min(LAST_LEVEL_BYTES // 4, 24 * SECOND_LEVEL_BYTES)
MOST_KEPT_ACROSS_BYTES = min(MOST_KEPT_BYTES, 3 * SECOND_LEVEL_BYTES)
# As `LEAST_CELLS`: the first and last of rows that are computed block by block have no neighbour.
LEAST_ROWS = 16
# Nanoseconds an element takes on one thread, roughly, in float32 and float64: what launching
# threads is weighed against.  Measured by `python -m benchmarks thresholds`.
ELEMENT_COST = {
    "classes": {4: 0.3, 8: 0.6},
    "class_gradients": {4: 0.3, 8: 0.5},
    "narrow": {4: 0.4, 8: 0.8},
    "rows": {4: 0.2, 8: 0.45},
    "along": {4: 0.35, 8: 0.8},
    "gradients": {4: 0.3, 8: 0.5},
    "columns": {4: 0.3, 8: 0.6},
    "bunches": {4: 0.5, 8: 0.9},
    "split": {4: 0.4, 8: 0.9},
    "copies": {4: 0.2, 8: 0.4},
}
# The same for each slice of more than `SINGLE` elements along memory, besides.
SLICE_COST = 25.0


NOTHING = np.zeros(1, np.uint8), np.ones(1, np.float64), np.zeros(1, np.float64)
"""Placeholders for a mask, a temperature and a summary that are not wanted."""


Launcher = Callable[[tuple[Any, ...]], None]


def passes_caches(size: int, across: bool) -> bool:
    """Whether results of so many bytes are written past the caches.

    With the input, they are more than is likely to be found there afterwards.  Results that
    are written `across` memory, in pieces of rows far apart, drive one another out before.
    """
    return 2 * size > (MOST_KEPT_ACROSS_BYTES if across else MOST_KEPT_BYTES)


class Plan(abc.ABC):
    """How the slices of arrays of one shape, strides and dtype are computed."""

    moved: int | None = None
    """The operand that is copied to where the results go, if one is."""

    def __init__(
        self,
        kind: str,
        geometry: Geometry,
        dtype: np.dtype[Any],
        task: Task,
        plane: int,
        across: bool = False,
    ) -> None:
        self.kind = kind
        self.dtype = dtype
        self.item = max(4, dtype.itemsize)
        """The bytes of an element where it is computed."""
        self.corner = geometry.corner
        self.views = self.corner is not None
        """Whether operands are viewed otherwise, and so have to have the shape of the input."""
        elements = geometry.length * geometry.slices
        self.cost = elements * ELEMENT_COST[kind][self.item]
        in_rows = kind in {"rows", "along", "gradients"} and geometry.length > SINGLE
        if in_rows:
            self.cost += geometry.slices * SLICE_COST
        self._bytes = elements * dtype.itemsize
        self._in_memory = passes_caches(self._bytes, across=False)
        self.streaming = passes_caches(self._bytes, across)
        if in_rows and geometry.length < LEAST_PAST_CACHES[self.item]:
            self._in_memory = self.streaming = False
        self.width = 0
        self.batch = 1
        """Rows that are computed at a time."""
        self.scratch = 0
        self.tasks = 0
        self._fields = task.options, plane
        self.kernels: tuple[Kernel, ...] = ()
        self._rows = min(geometry.length, block_of(self.item))

    @property
    def tile(self) -> tuple[int, int] | None:
        """Rows and columns of a tile, where there is one."""
        return (self._rows, self.width) if self.width else None

    def state(self, parallel: bool) -> str:
        """The state of the code, see `Kernel.state`: the worst of all kernels."""
        order = ("absent", "cached", "compiled")
        states = [kernel.state(self.dtype) for kernel in self.kernels]
        if parallel:
            states += [kernel.loop.state(_launch.has_tasks()) for kernel in self.kernels]
        return min(states, key=order.index)

    def read(self, given: np.dtype[Any]) -> None:
        """Have kernels read inputs of this dtype, not that of results."""
        # Nobody asks a `CopiedFirst`: its copies cast what they read.
        raise NotImplementedError

    def run(self, operands: tuple[Array, ...], workers: int | None) -> None:
        """Compute."""
        self.launcher(workers)(tuple(self.flat(operand) for operand in operands))

    def flat(self, operand: Array) -> Array:
        """An array that starts where the first slice does."""
        corner = self.corner
        if operand.ndim == 0:  # which NumPy's operators make a number of, and kernels want arrays
            return operand.reshape(1)
        if corner is None or operand.ndim != len(corner):  # a placeholder
            return operand
        return operand[corner]

    @abc.abstractmethod
    def launcher(self, workers: int | None) -> Launcher:
        """A function that computes with operands that are `flat`."""

    def threads(self, workers: int | None) -> int:
        """The number of threads that calls take."""
        return _launch.threads_for(self.tasks, self.cost, workers)

    def is_serial(self, workers: int | None) -> bool:
        """Whether calls like this never take threads."""
        return workers == 1 or _launch.is_serial(self.tasks, self.cost)

    def _table(self, geometry: Geometry, count: int = 0) -> Array:
        """What kernels are told; `count`: how many places in each slice are wanted, if any are."""
        reach = FAR if 2 * self._bytes > SECOND_LEVEL_BYTES else NEAR
        reach = PAST_CACHES if self.streaming else reach
        reach = IN_MEMORY if self._in_memory else reach
        return geometry.table(reach, count or self.width or self.batch, *self._fields)


class OneKernel(Plan):
    """A plan for one kernel."""

    kernel: Kernel
    table: Array
    is_bare = False
    least = 1
    """Tasks that a thread should get at a time."""
    turns = True
    """Whether every other launch begins at the end."""

    def read(self, given: np.dtype[Any]) -> None:
        """See `Plan.read`."""
        self.kernel = self.kernel.reading(given)
        self.kernels = (self.kernel,)

    def launcher(self, workers: int | None) -> Launcher:
        """See `Plan.launcher`."""
        table, tasks = self.table, self.tasks
        if self.is_serial(workers):
            kernel = _launch.ready(self.kernel, self.dtype)
            size, scratch = self.scratch, _launch.own.bytes
            if self.is_bare:
                return lambda given: kernel(given[0], given[1], table, scratch(size), 0, tasks)
            return lambda given: kernel(*given, table, scratch(size), 0, tasks)
        run = self.job(workers).run
        if self.is_bare:
            return lambda given: run((given[0], given[1], table))
        return lambda given: run((*given, table))

    def job(self, workers: int | None) -> _launch.Job:
        """What there is to do."""
        return _launch.Job(
            self.kernel,
            self.dtype,
            self.tasks,
            self.cost,
            workers,
            self.scratch,
            self.least,
            self.turns,
        )


class OnePass(OneKernel):
    """A plan for one kernel, which reads each slice once and writes it."""

    def __init__(
        self, kind: str, geometry: Geometry, dtype: np.dtype[Any], task: Task, plane: int
    ) -> None:
        super().__init__(kind, geometry, dtype, task, plane, kind == "columns")
        self.is_bare = task.is_bare
        self._writes = bool(task.options & RESULTS)
        self._run = geometry.batch[-1].size
        self._runs = geometry.slices // self._run
        self.tasks = _CHOICES[kind](self, geometry, task)
        self.table = self._table(geometry)
        self.kernels = (self.kernel,)

    # Each of these chooses a kernel, with what it takes, and returns the number of tasks.

    def _in_rows(self, geometry: Geometry, _: Task) -> int:
        if geometry.length <= block_of(self.item):
            self.kernel = short.short
            self.batch = batch_rows(geometry.length, self.item)
            self.scratch = rounded(short.scratch_bytes(geometry.length, self.item, self.batch))
        else:
            self.kernel, self.least = rows, LEAST_ROWS
            self.scratch = rounded(scratch_bytes(geometry.length, self.item))
        return geometry.slices

    def _along(self, geometry: Geometry, task: Task) -> int:
        if geometry.length <= block_of(self.item):
            self.kernel = batches(task.operation, task.is_bare, self._writes)
            self.batch = batch_slices(geometry.length, self.item)
        else:
            self.kernel = whole.along(task.operation, task.is_bare)
            self.scratch = rounded(-(-geometry.length // block_of(self.item)) * PARTS * 8)
        return geometry.slices

    def _gradients_along(self, geometry: Geometry, task: Task) -> int:
        if geometry.length <= SINGLE:
            self.kernel, self.least = narrow_gradients(task.operation), MOST_SLICES
        else:
            self.kernel = row_gradients(task.operation)
            self.batch = batch_slices(min(geometry.length, block_of(self.item)), self.item)
        return geometry.slices

    def _in_groups(self, _: Geometry, task: Task) -> int:
        self.kernel = narrow.narrow(task.operation, task.is_bare, self._writes)
        return self._groups(self._run)

    def _gradients_of_classes(self, geometry: Geometry, task: Task) -> int:
        self.kernel = class_gradients(task.operation, geometry.length)
        return self._groups(self._run)

    def _of_classes(self, geometry: Geometry, task: Task) -> int:
        asked = task.options & (MASKED | NEGATED)
        self.kernel = of_classes(task.operation, geometry.length, asked)
        # Past the caches, the first group may have less slices than others.
        less = lanes_of(self.item) - 1 if self.streaming else 0
        return self._groups(self._run + less)

    def _in_bunches(self, geometry: Geometry, task: Task) -> int:
        self.kernel, inputs = bunches.bunches(task.operation), task.operation.inputs
        self.width = bunch_width(geometry, self.item, inputs)
        size = bunches.scratch_bytes(geometry.length, self.width, self.item)
        self.scratch = rounded(size * inputs)
        return -(-self._runs // (self.width // self._run))

    def _in_columns(self, geometry: Geometry, task: Task) -> int:
        inputs, itemsize = task.operation.inputs, self.dtype.itemsize
        widths = geometry, self.item, inputs, self._in_memory
        streaming, pair = self.streaming and self._writes, pair_width(*widths)
        in_caches = not self._in_memory and reads_twice(geometry, itemsize)
        if inputs == 2 and task.is_plain and in_caches:
            self.kernel, tiles, streaming = column_gradients(task.operation), 0, False
            self.width = GRADIENTS_BYTES // self.item
        elif pair and task.is_plain:
            self.kernel = strips.strips(task.operation, self._writes)
            self.width, tiles, self.least = pair, 2 * inputs, LEAST_CELLS
        else:
            self.kernel = columns.columns(task.operation, task.is_bare)
            self.width, tiles = tile_width(*widths), inputs
        self.scratch = rounded(tile_bytes(geometry.length, self.width, self.item) * tiles)
        self.turns = not shares_sets(geometry, itemsize)
        return self._runs * tasks_in(self._run, self.width, itemsize, streaming)

    def _groups(self, slices: int) -> int:
        """Groups of as many slices as there are lanes, if each run has so many slices."""
        return self._runs * -(-slices // lanes_of(self.item))


_CHOICES: dict[str, Callable[[OnePass, Geometry, Task], int]] = {
    "rows": OnePass._in_rows,
    "along": OnePass._along,
    "gradients": OnePass._gradients_along,
    "narrow": OnePass._in_groups,
    "classes": OnePass._of_classes,
    "class_gradients": OnePass._gradients_of_classes,
    "columns": OnePass._in_columns,
    "bunches": OnePass._in_bunches,
}


def rounded(size: int) -> int:
    """Scratch memory of at least so many bytes."""
    return -(-size // SCRATCH_UNIT) * SCRATCH_UNIT
