"""Plans for slices of several blocks, which threads share: reduced, joined and written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax import _launch
from fastsoftmax._plans import Plan, rounded
from fastsoftmax._tiling import is_scattered, pair_width, tile_width
from fastsoftmax.kernels import columns, interleaved, whole
from fastsoftmax.kernels.column_blocks import reduce_column_blocks
from fastsoftmax.kernels.column_results import pieces_in, write_columns
from fastsoftmax.kernels.interleaved_results import write_interleaved
from fastsoftmax.kernels.operations import RESULTS, Operation
from fastsoftmax.kernels.outcomes import PARTS
from fastsoftmax.kernels.packing import tasks_in, tile_bytes
from fastsoftmax.kernels.sums import block_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._geometry import Geometry
    from fastsoftmax._jit import Kernel
    from fastsoftmax._plans import Launcher
    from fastsoftmax._task import Task

Array = np.ndarray[Any, Any]


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
        self.scratch = rounded(size * tiles)
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

    def threads(self, workers: int | None) -> int:
        """See `Plan.threads`; what joins blocks takes one."""
        tasks = (self.tasks, self._pieces) if self.writes else (self.tasks,)
        return max(_launch.threads_for(each, self.cost / 2, workers) for each in tasks)

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
