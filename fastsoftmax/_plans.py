"""Plans: how the slices of arrays of one shape, strides and dtype are computed.

A plan knows its kernels, their arguments besides the arrays, and what they cost.  Which plan
fits is decided in `_layout`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastsoftmax import _launch
from fastsoftmax._cpu import LAST_LEVEL_BYTES
from fastsoftmax._jit import SCRATCH_UNIT, Kernel
from fastsoftmax.kernels import columns, narrow, whole
from fastsoftmax.kernels.leaders import leaders_kernel
from fastsoftmax.kernels.operations import LOGS, RESULTS, SOFTMAX, Operation
from fastsoftmax.kernels.outcomes import PARTS
from fastsoftmax.kernels.packing import GROUP, tasks_in, tile_bytes
from fastsoftmax.kernels.rows import rows, scratch_bytes
from fastsoftmax.kernels.strides import SECOND, SOURCE, TARGET
from fastsoftmax.kernels.sums import LANES_BYTES, block_of, lanes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._geometry import Dims, Geometry
    from fastsoftmax._shortcuts import Way

Array = np.ndarray[Any, Any]

# The size of a tile at the most: with rows a page or more apart, wide rows are worth more
# than a tile that stays in the first-level cache.
TILE_BYTES = 1 << 20
NEAR_TILE_BYTES = 24 << 10
PAGE_BYTES = 4096
# Nanoseconds an element takes on one thread, roughly: what launching threads is weighed against.
COST = {
    "narrow": {4: 0.8, 8: 1.6},
    "rows": {4: 0.25, 8: 0.6},
    "along": {4: 0.5, 8: 1.2},
    "columns": {4: 0.5, 8: 1.3},
    "split": {4: 0.4, 8: 1.2},
}


NOTHING = np.zeros(1, np.uint8), np.ones(1, np.float64), np.zeros(1, np.float64)
"""Placeholders for a mask, a temperature and a summary that are not wanted."""


class Task(NamedTuple):
    """What is asked for."""

    operation: Operation
    options: int
    """The sum of constants of kernels/operations.py."""
    dims: Dims

    @property
    def is_bare(self) -> bool:
        """Whether two operands are enough: no mask, temperature or summary."""
        return self.operation in {SOFTMAX, LOGS} and self.options == RESULTS

    @property
    def touched(self) -> tuple[int, ...]:
        """The operands of the size of the input that are there."""
        second = (SECOND,) if self.operation.inputs == 2 else ()
        return (SOURCE, *((TARGET,) if self.options & RESULTS else ()), *second)


class Plan:
    """How the slices of arrays of one shape, strides and dtype are computed."""

    def __init__(
        self, kind: str, geometry: Geometry, dtype: np.dtype[Any], task: Task, plane: int
    ) -> None:
        self.kind = kind
        self.dtype = dtype
        self.item = max(4, dtype.itemsize)
        """The bytes of an element where it is computed."""
        self.corner = geometry.corner
        elements = geometry.length * geometry.slices
        self.cost = elements * COST[kind][self.item]
        self.streaming = 2 * elements * dtype.itemsize > LAST_LEVEL_BYTES // 4
        self.width = 0
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
        return min((kernel.state(self.dtype, parallel) for kernel in self.kernels), key=order.index)

    def run(self, operands: tuple[Array, ...], workers: int | None) -> None:
        """Compute."""
        self._run(tuple(self._flat(operand) for operand in operands), workers)

    def _flat(self, operand: Array) -> Array:
        """A one-dimensional array that starts where the first slice does."""
        corner = self.corner
        if operand.ndim != len(corner):  # a placeholder
            return operand
        if len(corner) != 1:
            return operand[corner] if corner else operand.reshape(1)
        return operand if corner[0] == _ALL else operand[corner]

    def _run(self, operands: tuple[Array, ...], workers: int | None) -> None:
        raise AssertionError("a plan is a OnePass or a Split")

    def is_serial(self, workers: int | None) -> bool:
        """Whether calls like this never take threads."""
        return workers == 1 or _launch.is_serial(self.tasks, self.cost)

    def shortcut(self, operands: tuple[Array, ...]) -> Way | None:
        """A function that makes the result of a serial call with operands like these."""
        return None

    def summary_way(
        self, operands: tuple[Array, ...], result: Array, shape: tuple[int, ...]
    ) -> Way | None:
        """The same for the first part of summaries like `result`, in this shape."""
        return None

    def _table(self, geometry: Geometry) -> Array:
        return geometry.table(int(self.streaming), self.width, *self._fields)


_ALL = slice(None)


class OnePass(Plan):
    """A plan for one kernel, which reads each slice once and writes it."""

    def __init__(
        self, kind: str, geometry: Geometry, dtype: np.dtype[Any], task: Task, plane: int
    ) -> None:
        super().__init__(kind, geometry, dtype, task, plane)
        *above, run = geometry.batch
        per_run = run.size
        self.is_bare = task.is_bare
        self.kernel: Kernel = rows
        if kind == "columns":
            self.kernel = columns.columns(task.operation, task.is_bare)
            self.width = _tile_width(geometry, self.item)
            per_run = tasks_in(run.size, self.width, dtype.itemsize)
            tile = tile_bytes(geometry.length, self.width, self.item)
            self.scratch = _rounded(tile * task.operation.inputs)
        elif kind == "rows":
            self.scratch = _rounded(scratch_bytes(geometry.length, self.item))
        elif kind == "along":
            self.kernel = whole.along(task.operation, task.is_bare)
            self.scratch = _rounded(-(-geometry.length // block_of(self.item)) * PARTS * 8)
        else:
            self.kernel = narrow.narrow(task.operation, task.is_bare)
            per_run = -(-run.size // lanes_of(self.item))
        self.table = self._table(geometry)
        self.tasks = math.prod(axis.size for axis in above) * per_run
        self.kernels = (self.kernel,)

    def _run(self, operands: tuple[Array, ...], workers: int | None) -> None:
        if self.is_bare:
            operands = operands[:2]
        arguments = *operands, self.table
        _launch.run(
            self.kernel, self.dtype, arguments, self.tasks, self.cost, workers, self.scratch
        )

    def shortcut(self, operands: tuple[Array, ...]) -> Way | None:
        """See `Plan.shortcut`."""
        kernel = _launch.ready(self.kernel, self.dtype, False)
        table, flat = self.table, self._flat
        tasks, size, empty_like = self.tasks, self.scratch, np.empty_like
        scratch = _launch.own.bytes if size else _no_bytes
        corner = self.corner
        if self.is_bare and corner == (_ALL,):

            def flat_bare(array: Array, out: Array | None = None, _: None = None) -> Array:
                result = empty_like(array) if out is None else out
                kernel(array, result, table, scratch(size), 0, tasks)
                return result

            return flat_bare
        if self.is_bare:

            def bare(array: Array, out: Array | None = None, _: None = None) -> Array:
                result = empty_like(array) if out is None else out
                kernel(array[corner], result[corner], table, scratch(size), 0, tasks)
                return result

            return bare
        _, _, second, mask, *rest = (flat(operand) for operand in operands)

        def way(array: Array, out: Array | None, where: Array | None) -> Array:
            result = empty_like(array) if out is None else out
            shown = mask if where is None else where.view(_BYTE)[corner]
            views = array[corner], result[corner], second, shown
            kernel(*views, *rest, table, scratch(size), 0, tasks)
            return result

        return way

    def summary_way(
        self, operands: tuple[Array, ...], result: Array, shape: tuple[int, ...]
    ) -> Way | None:
        """See `Plan.summary_way`."""
        kernel = _launch.ready(self.kernel, self.dtype, False)
        *_, last = flat = [self._flat(operand) for operand in operands]
        begin = (last.ctypes.data - result.ctypes.data) // result.itemsize
        corner, rest, table, dtype = self.corner, flat[1:-1], self.table, self.dtype
        tasks, size, parts, slices = self.tasks, self.scratch, result.size, math.prod(shape)
        scratch = _launch.own.bytes if size else _no_bytes
        empty = np.empty

        def way(array: Array) -> Array:
            found = empty(parts)
            kernel(array[corner], *rest, found[begin:], table, scratch(size), 0, tasks)
            with np.errstate(all="ignore"):
                log_sums: Array = found[:slices].astype(dtype).reshape(shape)
            return log_sums if shape else log_sums[()]

        return way


class Leading(Plan):
    """A plan for the k largest of each slice."""

    def __init__(self, geometry: Geometry, dtype: np.dtype[Any], task: Task, count: int) -> None:
        super().__init__("along", geometry, dtype, task, 0)
        self.width = count
        self.tasks = geometry.slices
        self.table = self._table(geometry)

    def _run(self, operands: tuple[Array, ...], workers: int | None) -> None:
        arguments = *operands, self.table
        _launch.run(leaders_kernel, self.dtype, arguments, self.tasks, self.cost, workers)


class Split(Plan):
    """A plan for slices of several blocks: reduce all blocks, join them, write all blocks."""

    def __init__(
        self, geometry: Geometry, dtype: np.dtype[Any], task: Task, plane: int, across: bool
    ) -> None:
        super().__init__("split", geometry, dtype, task, plane)
        self.slices = geometry.slices
        self.blocks = -(-geometry.length // block_of(self.item))
        self.writes = bool(task.options & RESULTS)
        groups = self.slices
        steps = (columns.reduce_columns, columns.write_columns) if across else _ALONG
        self.reduce, self.write = (step(task.operation) for step in steps)
        self.join: Kernel = whole.join(task.operation)
        if across:
            *above, run = geometry.batch
            self.width = _tile_width(geometry, self.item)
            tile = tile_bytes(block_of(self.item), self.width, self.item)
            self.scratch = _rounded(tile * task.operation.inputs)
            groups = math.prod(axis.size for axis in above)
            groups *= tasks_in(run.size, self.width, dtype.itemsize)
        self.table = self._table(geometry)
        self.tasks = groups * self.blocks
        self.kernels = (self.reduce, self.write) if self.writes else (self.reduce,)

    def _run(self, operands: tuple[Array, ...], workers: int | None) -> None:
        slices = np.zeros((whole.SLICE_ROWS, self.slices))
        blocks = np.empty((PARTS, self.blocks, self.slices))
        arguments = *operands, slices, blocks, self.table
        self._launch(self.reduce, arguments, self.tasks, self.cost / 2, workers)
        self._launch(self.join, arguments, self.slices, 0.0, 1)
        if slices[whole.SHIFT].any():  # maxima too large for the kernels' frames
            self._launch(self.reduce, arguments, self.tasks, self.cost / 2, workers)
            self._launch(self.join, arguments, self.slices, 0.0, 1)
        if self.writes:
            self._launch(self.write, arguments, self.tasks, self.cost / 2, workers)

    def _launch(
        self,
        kernel: Kernel,
        arguments: tuple[Any, ...],
        tasks: int,
        cost: float,
        workers: int | None,
    ) -> None:
        _launch.run(kernel, self.dtype, arguments, tasks, cost, workers, self.scratch)


_ALONG: tuple[Callable[[Operation], Kernel], ...] = (whole.reduce, whole.write)


_BYTE = np.dtype(np.uint8)
_NO_MEMORY = np.empty(0, np.uint8)


def _no_bytes(_: int) -> Array:
    return _NO_MEMORY


def _rounded(size: int) -> int:
    return -(-size // SCRATCH_UNIT) * SCRATCH_UNIT


def _tile_width(geometry: Geometry, item: int) -> int:
    """The slices in a tile of columns: whole strips, as many as its size allows."""
    strip = lanes_of(item)
    column_bytes = min(geometry.length, block_of(item)) * LANES_BYTES
    near = abs(geometry.inner[0].strides[SOURCE]) * item < PAGE_BYTES
    strips = (NEAR_TILE_BYTES if near else TILE_BYTES) // column_bytes
    return strip * max(1, min(strips, GROUP, -(-geometry.batch[-1].size // strip)))
