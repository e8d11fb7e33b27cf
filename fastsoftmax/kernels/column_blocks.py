"""Blocks of slices that lie across memory, with no mask or temperature: two cells at once.

While the sums of a cell are taken in one tile, the elements of the next one are packed into the
other (kernels/exchanges.py).
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.columns import keep_states, load_columns, shift_strip
from fastsoftmax.kernels.elements import computed_like
from fastsoftmax.kernels.exchanges import LEAVE_NOTHING, is_whole, reduce_beside, rows_ahead
from fastsoftmax.kernels.memory import advance, line_count, load_like, pointer, store
from fastsoftmax.kernels.operands import split_kernel
from fastsoftmax.kernels.operations import NEGATIVE_INFINITY, Operation
from fastsoftmax.kernels.packing import (
    GROUP_BYTES,
    cell_of,
    clear_after,
    grid_of,
    pack,
    tile_after,
    tile_in,
)
from fastsoftmax.kernels.strides import (
    SOURCE,
    TARGET,
    described,
    is_in_memory,
    run_at,
    strides_of,
)
from fastsoftmax.kernels.sums import block_length
from fastsoftmax.kernels.tiles import reduce_rows, strip_count, strip_like
from fastsoftmax.kernels.vectors import narrow, splat
from fastsoftmax.kernels.whole import SHIFT
from fastsoftmax.kernels.workspaces import workspace


@device
def _part_of(task: Any, cells: Any, length: Any, size: Any) -> Any:
    """``(block, rows)`` of a task: all cells of a block come before those of the next one."""
    block = task // cells
    return block, min(size, length - block * size)


def _reduce_column_blocks(operation: Operation) -> Any:
    @device
    def reduce_column_blocks(bases, slices, blocks, geometry, scratch, first, last):
        """Fill `blocks` for the tasks `first` to `last` - 1."""
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, width, _, _, axes, dims = described(geometry)
        size = block_length(like)
        tile, pitch = tile_in(scratch, like, width)
        other = tile_after(tile, pitch, size, 2)
        for rows in (size, length % size):
            clear_after(tile, pitch, rows)
            clear_after(other, pitch, rows)
        tops, tops_below = workspace(like, GROUP_BYTES), workspace(like, GROUP_BYTES)
        state, of_slices = pointer(blocks), pointer(slices)
        step = strides_of(dims, SOURCE)[0]
        grid = grid_of(axes, width, bases[SOURCE], 0, False)
        per_slice, all_slices = blocks.shape[1], blocks.shape[2]
        cells = grid[0] * (all_slices // grid[2])
        group, strip = strip_like(like), strip_count(like)
        whole, in_memory = min(width, grid[2]), is_in_memory(geometry)
        ahead = rows_ahead(whole, step, line_count(bases[SOURCE])) * step
        steps = pitch, 0, step, 0, whole
        block, rows = _part_of(first, cells, length, size)
        cell = cell_of(first % cells, grid)
        x = advance(run_at(bases[SOURCE], cell[0], cell[1], axes, SOURCE), block * size * step)
        pack(tile, pitch, tops, x, step, rows, cell[2], cell[3])
        for task in range(first, last):
            following, after = min(task + 1, last - 1), min(task + 2, last - 1)
            block_below, rows_below = _part_of(following, cells, length, size)
            below, later = cell_of(following % cells, grid), cell_of(after % cells, grid)
            x = run_at(bases[SOURCE], below[0], below[1], axes, SOURCE)
            x = advance(x, block_below * size * step)
            y = run_at(bases[SOURCE], later[0], later[1], axes, SOURCE)
            y = advance(y, after // cells * size * step)
            together = cell[3] == whole and is_whole(below, whole)
            together = together and rows == rows_below and task < last - 1
            if together:
                for i in range(0, whole, strip):
                    store(tops_below, i, splat(NEGATIVE_INFINITY, group))
            elif task < last - 1:
                pack(other, pitch, tops_below, x, step, rows_below, below[2], below[3])
            elements, memory = (x, advance(x, ahead)), (tops_below, tops_below, tops_below)
            unused = bases[TARGET]
            ends, others = ((elements, elements), unused, unused), (other, other)
            exchange = others, ends, steps, memory, LEAVE_NOTHING, (y, y), in_memory
            slice_ = cell[0] * grid[2] + cell[1]
            mine = advance(of_slices, SHIFT * all_slices + slice_)
            here = advance(state, block * all_slices + slice_)
            turn = 0, 0, 0, 0, 0
            for i in range(0, cell[3], strip):
                column, top, left = advance(tile, i), load_like(tops, i, group), cell[3] - i
                columns = column, column
                by = narrow(load_columns(mine, i, group, 0, left), like)
                top = shift_strip(operation, column, pitch, rows, by, top)
                if together:
                    found, turn = reduce_beside(
                        operation, columns, pitch, rows, top, numbers, False, exchange, turn
                    )
                else:
                    scope = numbers, None
                    found = reduce_rows(operation, columns, pitch, rows, top, scope)
                keep_states(here, per_slice * all_slices, i, found, 0, left)
            cell, block, rows = below, block_below, rows_below
            tile, other = other, tile
            tops, tops_below = tops_below, tops

    return split_kernel(reduce_column_blocks, f"reduce-column-blocks-{operation.name}")


reduce_column_blocks = functools.cache(_reduce_column_blocks)
