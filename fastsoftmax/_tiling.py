"""How many slices are computed together: columns of a tile, and rows of a batch.

By the sizes of caches, and by where the slices lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsoftmax._cpu import CPUS, FIRST_LEVEL_BYTES, SECOND_LEVEL_BYTES
from fastsoftmax.kernels import column_gradients, short
from fastsoftmax.kernels.memory import PAGE_BYTES
from fastsoftmax.kernels.packing import GROUP, tile_bytes
from fastsoftmax.kernels.strides import SOURCE
from fastsoftmax.kernels.sums import LANES_BYTES, SINGLE, block_of, lanes_of

if TYPE_CHECKING:
    from fastsoftmax._geometry import Geometry

# The size of a tile at the most: with rows a page or more apart, wide rows are worth more
# than a tile that stays in the first-level cache.
TILE_BYTES = min(1 << 20, SECOND_LEVEL_BYTES)
NEAR_TILE_BYTES = 24 << 10
# Of two tiles at once, by what was measured at (1000, 4096) float64 dim 0: 3.3 ms with 62 % of a
# second-level cache, 4.1 with all of it.
PAIR_SHARE = 0.75
# The narrowest may take all of it, and what tiles need besides their rows: (4096, 4096) float32
# dim 0 takes 5.3 ms with two tiles of 128 bytes' width and 6.4 with one of 256.
MOST_PAIR_SHARE = 1 + 1 / 32
# And this part of a tile's limit where the caches have the arrays: (2000, 1000) float32 dim 0 took
# 0.68 ms with all of it, and takes 0.59.
NEAR_PAIR_SHARE = 0.54
# Cells that a thread gets at a time, if there are so many for each; of what the caches have, there
# are.  The first and last of them have no neighbour to be computed beside: (512, 512) float32 dim 0
# took 79 us with two for each of two threads, and takes 56.
LEAST_CELLS = 8
# Rows of fewer elements, by the bytes of one, go through the caches however many they are:
# (250000, 100) float32 took 10.4 ms past them, and takes 7.7.
LEAST_PAST_CACHES = {4: 160, 8: 1}


# Columns of several runs side by side have to fill so many times as many lanes; the second number
# is for two inputs of more than `SINGLE` rows, which otherwise are read twice as they lie.
WORTH_BUNCHES = 1.5, 3.0


def batch_rows(length: int, item: int) -> int:
    """Short rows in a batch: as many as the first-level cache has room for, five times and some.

    Logits, those of the next batch, terms, those of the batch above, and its results.
    """
    return max(1, min(short.MOST_ROWS, FIRST_LEVEL_BYTES // 6 // (length * item)))


def tile_width(geometry: Geometry, item: int, inputs: int, in_memory: bool) -> int:
    """The slices in a tile of columns: whole strips, as many as its size allows.

    Where there are several inputs, their tiles share it.  Of what the caches have, there are a few
    tiles for each thread, but for runs of a few strips: what a run ends with costs a whole strip.
    """
    strip = lanes_of(item)
    column_bytes = min(geometry.length, block_of(item)) * LANES_BYTES
    near = abs(geometry.inner[-1].strides[SOURCE]) * item < PAGE_BYTES
    whole = -(-geometry.batch[-1].size // strip)
    # Runs of one cell each are all alike, and so computed side by side, whatever their width.
    near = near and column_bytes <= NEAR_TILE_BYTES and whole > GROUP
    strips = (NEAR_TILE_BYTES if near else TILE_BYTES // inputs) // column_bytes
    if not in_memory and whole > GROUP:
        strips = min(strips, geometry.slices // (LEAST_CELLS * CPUS * strip))
    return strip * max(1, min(strips, GROUP, whole))


def bunch_width(geometry: Geometry, item: int, inputs: int) -> int:
    """The slices in a tile of runs side by side, 0 if runs fill as many lanes by themselves.

    Of widths that make as much of their lanes, the least; two inputs have to be in the first-level
    cache.
    """
    strip, run = lanes_of(item), geometry.batch[-1].size
    batches = geometry.slices // run
    if run >= 2 * strip or batches == 1:
        return 0

    def share(width: int) -> float:
        """Of the lanes that are used."""
        return min(width // run, batches) * run / width

    column_bytes = min(geometry.length, block_of(item)) * LANES_BYTES
    if inputs > 1 and inputs * column_bytes > FIRST_LEVEL_BYTES:
        return 0
    most = max(1, min(GROUP, TILE_BYTES // 2 // column_bytes))
    width = max(range(strip, (most + 1) * strip, strip), key=share)
    alone = run / (-(-run // strip) * strip)
    worth = WORTH_BUNCHES[inputs > 1 and geometry.length > SINGLE]
    return width if share(width) > worth * alone else 0


def is_scattered(geometry: Geometry, itemsize: int) -> bool:
    """Whether rows of columns are in pages of their own, and not in the same sets of a cache."""
    is_far = abs(geometry.inner[-1].strides[SOURCE]) * itemsize > PAGE_BYTES
    return is_far and not shares_sets(geometry, itemsize)


def shares_sets(geometry: Geometry, itemsize: int) -> bool:
    """Whether rows of columns are in the same sets of a cache, and drive one another out of it."""
    return geometry.inner[-1].strides[SOURCE] * itemsize % PAGE_BYTES == 0


def pair_width(geometry: Geometry, item: int, inputs: int, in_memory: bool) -> int:
    """The slices in each of two tiles, 0 if there is no room for two of each input.

    Nor are there two where the elements of a slice are not all the same step apart.

    Of half the width of one tile at the least if arrays are in memory: rows that are far apart are
    read faster in wide pieces, by more than what is gained by two tiles.
    """
    if len(geometry.inner) > 1:
        return 0
    strip = lanes_of(item)
    widest = tile_width(geometry, item, inputs, in_memory)
    widths = range(widest, (widest - 1) // 2 if in_memory else 0, -strip)
    rows = min(geometry.length, block_of(item))
    sizes = [2 * inputs * tile_bytes(rows, width, item) for width in widths]
    usual = TILE_BYTES * (PAIR_SHARE if in_memory else NEAR_PAIR_SHARE)
    for width, size in zip(widths, sizes, strict=True):
        if size <= usual:
            return width
    most = MOST_PAIR_SHARE if inputs == 1 else PAIR_SHARE
    return widths[-1] if sizes[-1] <= most * TILE_BYTES else 0


def reads_twice(geometry: Geometry, itemsize: int) -> bool:
    """Whether gradients are in the second-level cache when they are read for a second time.

    Rows that are a multiple of a power of two bytes apart share a part of its sets: (1024, 1024)
    float32 dim 0 takes 0.63 ns an element so, and 0.52 with tiles.
    """
    if len(geometry.inner) > 1:
        return False
    apart = abs(geometry.inner[0].strides[SOURCE]) * itemsize
    width = max(column_gradients.WIDTH_BYTES, apart & -apart)
    return 2 * geometry.length * width <= SECOND_LEVEL_BYTES
