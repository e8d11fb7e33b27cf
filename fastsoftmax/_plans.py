"""Plans: how the slices of arrays of one shape, strides and dtype are computed.

A plan knows its kernels, their arguments besides the arrays, and what they cost.  Which plan
fits is decided in `_layout`.
"""

from __future__ import annotations

import math
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
    is_scattered,
    pair_width,
    reads_twice,
    shares_sets,
    tile_width,
)
from fastsoftmax.kernels import bunches, columns, interleaved, narrow, short, strips, whole
from fastsoftmax.kernels.batches import batch_slices, batches
from fastsoftmax.kernels.class_gradients import class_gradients
from fastsoftmax.kernels.classes import of_classes
from fastsoftmax.kernels.column_blocks import reduce_column_blocks
from fastsoftmax.kernels.column_results import pieces_in, write_columns
from fastsoftmax.kernels.gradient_steps import MOST_SLICES
from fastsoftmax.kernels.gradients import WIDTH_BYTES as GRADIENTS_BYTES
from fastsoftmax.kernels.gradients import gradients
from fastsoftmax.kernels.interleaved_results import write_interleaved
from fastsoftmax.kernels.narrow_gradients import narrow_gradients
from fastsoftmax.kernels.operations import MASKED, NEGATED, RESULTS, Operation
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
COST = {
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


class Plan:
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
        self.cost = elements * COST[kind][self.item]
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
        raise AssertionError("a plan is a OnePass, a Split or a Placed")

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

    def launcher(self, workers: int | None) -> Launcher:
        """A function that computes with operands that are `flat`."""
        raise AssertionError("a plan is a OnePass, a Split or a Placed")

    def is_serial(self, workers: int | None) -> bool:
        """Whether calls like this never take threads."""
        return workers == 1 or _launch.is_serial(self.tasks, self.cost)

    def _table(self, geometry: Geometry) -> Array:
        reach = FAR if 2 * self._bytes > SECOND_LEVEL_BYTES else NEAR
        reach = PAST_CACHES if self.streaming else reach
        reach = IN_MEMORY if self._in_memory else reach
        return geometry.table(reach, self.width or self.batch, *self._fields)


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
        *above, run = geometry.batch
        per_run = run.size
        self.is_bare = task.is_bare
        writes = bool(task.options & RESULTS)
        self.kernel = rows
        if kind == "bunches":
            self.kernel = bunches.bunches(task.operation)
            self.width = bunch_width(geometry, self.item, task.operation.inputs)
            size = bunches.scratch_bytes(geometry.length, self.width, self.item)
            self.scratch = _rounded(size * task.operation.inputs)
            together, runs = self.width // run.size, geometry.slices // run.size
            above, per_run = [], -(-runs // together)
        elif kind == "columns":
            per_run = self._in_columns(geometry, dtype, task)
        elif kind == "rows" and geometry.length <= block_of(self.item):
            self.kernel = short.short
            self.batch = batch_rows(geometry.length, self.item)
            self.scratch = _rounded(short.scratch_bytes(geometry.length, self.item, self.batch))
        elif kind == "rows":
            self.scratch = _rounded(scratch_bytes(geometry.length, self.item))
            self.least = LEAST_ROWS
        elif kind == "along" and geometry.length <= block_of(self.item):
            self.kernel = batches(task.operation, task.is_bare, writes)
            self.batch = batch_slices(geometry.length, self.item)
        elif kind == "along":
            self.kernel = whole.along(task.operation, task.is_bare)
            self.scratch = _rounded(-(-geometry.length // block_of(self.item)) * PARTS * 8)
        elif kind == "gradients" and geometry.length <= SINGLE:
            self.kernel, self.least = narrow_gradients(task.operation), MOST_SLICES
        elif kind == "gradients":
            self.kernel = row_gradients(task.operation)
            self.batch = batch_slices(min(geometry.length, block_of(self.item)), self.item)
        elif kind == "class_gradients":
            self.kernel = class_gradients(task.operation, geometry.length)
            per_run = -(-run.size // lanes_of(self.item))
        elif kind == "classes":
            asked = task.options & (MASKED | NEGATED)
            self.kernel = of_classes(task.operation, geometry.length, asked)
            group = lanes_of(self.item)
            # Past the caches, the first group may have less slices than others.
            per_run = -(-(run.size + (group - 1 if self.streaming else 0)) // group)
        else:
            self.kernel = narrow.narrow(task.operation, task.is_bare, writes)
            per_run = -(-run.size // lanes_of(self.item))
        self.table = self._table(geometry)
        self.tasks = math.prod(axis.size for axis in above) * per_run
        self.kernels = (self.kernel,)

    def _in_columns(self, geometry: Geometry, dtype: np.dtype[Any], task: Task) -> int:
        """Choose how columns are computed; returns the tasks of a run of them."""
        operation, run = task.operation, geometry.batch[-1].size
        inputs, streaming = operation.inputs, self.streaming and bool(task.options & RESULTS)
        pair = pair_width(geometry, self.item, inputs, self._in_memory)
        in_caches = not self._in_memory and reads_twice(geometry, dtype.itemsize)
        if inputs == 2 and task.is_plain and in_caches:
            self.kernel, tiles, streaming = gradients(operation), 0, False
            self.width = GRADIENTS_BYTES // self.item
        elif pair and task.is_plain:
            self.kernel = strips.strips(operation, bool(task.options & RESULTS))
            self.width, tiles, self.least = pair, 2 * inputs, LEAST_CELLS
        else:
            self.kernel = columns.columns(operation, task.is_bare)
            self.width, tiles = tile_width(geometry, self.item, inputs, self._in_memory), inputs
        self.scratch = _rounded(tile_bytes(geometry.length, self.width, self.item) * tiles)
        self.turns = not shares_sets(geometry, dtype.itemsize)
        return tasks_in(run, self.width, dtype.itemsize, streaming)


class Split(Plan):
    """A plan for slices of several blocks: reduce all blocks, join them, write all blocks."""

    def __init__(
        self, geometry: Geometry, dtype: np.dtype[Any], task: Task, plane: int, steps: str
    ) -> None:
        super().__init__("split", geometry, dtype, task, plane, steps == "across")
        self.slices = geometry.slices
        self.blocks = -(-geometry.length // block_of(self.item))
        self.writes = bool(task.options & RESULTS)
        self.reduce, self.write = (step(task.operation) for step in STEPS[steps])
        tiles = task.operation.inputs
        self.join: Kernel = whole.join(task.operation)
        *above, run = geometry.batch
        groups, block, size = self.slices, block_of(self.item), 0
        if steps != "along":
            groups = math.prod(axis.size for axis in above)
        if steps == "across":
            self.width = tile_width(geometry, self.item, tiles, self._in_memory)
            pair = pair_width(geometry, self.item, tiles, self._in_memory)
            if self._in_memory and not is_scattered(geometry, dtype.itemsize):
                pair = 0
            if pair and (task.is_bare or task.is_summary):
                self.reduce, self.width, tiles = reduce_column_blocks(task.operation), pair, 2
            size = tile_bytes(block, self.width, self.item)
            groups *= tasks_in(run.size, self.width, dtype.itemsize, False)
        elif steps == "interleaved":
            self.width = run.size
            size = interleaved.tile_bytes(block, run.size, self.item)
        self.scratch = _rounded(size * tiles)
        self.table = self._table(geometry)
        self.tasks = self._pieces = groups * self.blocks
        if steps == "across":
            self._pieces = pieces_in(geometry.length, run.size, self.item)
            self._pieces *= math.prod(axis.size for axis in above)
        self._find_kernels()

    def read(self, given: np.dtype[Any]) -> None:
        """See `Plan.read`; what joins blocks reads no elements."""
        self.reduce, self.write = self.reduce.reading(given), self.write.reading(given)
        self._find_kernels()

    def _find_kernels(self) -> None:
        self.kernels = (self.reduce, self.write) if self.writes else (self.reduce,)

    def launcher(self, workers: int | None) -> Launcher:
        """See `Plan.launcher`."""

        def job(kernel: Kernel, tasks: int, cost: float, workers: int | None) -> _launch.Job:
            return _launch.Job(kernel, self.dtype, tasks, cost, workers, self.scratch)

        reduce = job(self.reduce, self.tasks, self.cost / 2, workers)
        join = job(self.join, self.slices, 0.0, 1)
        write = job(self.write, self._pieces, self.cost / 2, workers)

        def launch(operands: tuple[Array, ...]) -> None:
            slices = np.zeros((whole.SLICE_ROWS, self.slices))
            blocks = np.empty((PARTS, self.blocks, self.slices))
            arguments = *operands, slices, blocks, self.table
            reduce.run(arguments)
            join.run(arguments)
            if np.count_nonzero(slices[whole.SHIFT]):  # maxima too large for the kernels' frames
                reduce.run(arguments)
                join.run(arguments)
            if self.writes:
                write.run(arguments)

        return launch


STEPS: dict[str, tuple[Callable[[Operation], Kernel], ...]] = {
    "along": (whole.reduce, whole.write),
    "across": (columns.reduce_columns, write_columns),
    "interleaved": (interleaved.reduce_interleaved, write_interleaved),
}
"""How slices of several blocks are reduced and written, by how they lie in memory."""


def _rounded(size: int) -> int:
    return -(-size // SCRATCH_UNIT) * SCRATCH_UNIT
