"""Walking arrays of any shape and stride: where a slice begins, and its elements in order.

A kernel is told of its call by one array of integers: numbers of the call, then the axes of the
batch and those of a slice, outermost first: their sizes, then for each operand its strides
in elements.  Kernels turn it into addresses first thing, as handing Numba's arrays on counts
references by locked instructions, which wait for all stores on their way past the caches:
0.1 us a row.
"""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device, device_apart
from fastsoftmax.kernels.elements import (
    copy_element,
    fetch,
    fetch_every_second,
    fetch_reversed,
    put,
)
from fastsoftmax.kernels.groups import RESULTS_AHEAD_BYTES, fetch_group
from fastsoftmax.kernels.memory import (
    LINE_BYTES,
    advance,
    line_count,
    load_like,
    pointer,
    store,
)
from fastsoftmax.kernels.sums import lane_count, lanes
from fastsoftmax.kernels.values import formula
from fastsoftmax.kernels.vectors import both, element, equal

LENGTH, REACH, WIDTH, OPTIONS, PLANE, OPERAND_COUNT, BATCH_RANK, SLICE_RANK = range(8)
"""Elements of a slice, where arrays are, columns of a tile (or rows of a batch, or k), what is
asked for (kernels/operations.py), numbers in a plane of the summary, arrays with strides, axes."""
NEAR, FAR, PAST_CACHES, IN_MEMORY = range(4)
"""Arrays fit the second-level cache; they don't; results are to be written past all caches; inputs
are likely to be in none either."""
_FIRST_AXIS = SLICE_RANK + 1
SOURCE, TARGET, SECOND, MASK, TEMPERATURE, SUMMARY = range(6)
"""The operands.  Softmax alone has but the first two."""
_SIZES = 1
_STRIDES = 2


@device
def described(geometry: Any) -> Any:
    """``(length, streaming, width, options, plane, batch, dims)`` of a call.

    The last two are axes: ``(rank, sizes, strides)``, with addresses of the numbers.
    """
    call = pointer(geometry)
    batch, dims = axes_in(geometry)
    streaming = call[REACH] >= PAST_CACHES
    return call[LENGTH], streaming, call[WIDTH], call[OPTIONS], call[PLANE], batch, dims


@device
def axes_in(geometry: Any) -> Any:
    """``(batch, dims)`` of a call."""
    call = pointer(geometry)
    rank = call[BATCH_RANK]
    batch = _axes(advance(call, _FIRST_AXIS), rank)
    dims = _axes(advance(call, _FIRST_AXIS + (1 + call[OPERAND_COUNT]) * rank), call[SLICE_RANK])
    return batch, dims


@device
def options_in(geometry: Any) -> Any:
    """What is asked for."""
    return pointer(geometry)[OPTIONS]


@device
def is_far(geometry: Any) -> Any:
    """Whether what is read next should be asked for."""
    return pointer(geometry)[REACH] != NEAR


@device
def results_ahead(geometry: Any, out: Any) -> Any:
    """How many elements ahead lines of results are asked for; negative: they go past the caches.

    None where a second-level cache has them all: lines after a thread's own would be taken from
    another thread, which would have to fetch them back.
    """
    reach = pointer(geometry)[REACH]
    if reach >= PAST_CACHES:
        return -1
    return RESULTS_AHEAD_BYTES // LINE_BYTES * line_count(out) if reach != NEAR else 0


@device
def is_in_memory(geometry: Any) -> Any:
    """Whether the input is likely to be in no cache."""
    return pointer(geometry)[REACH] == IN_MEMORY


@device
def _axes(numbers: Any, rank: Any) -> Any:
    return rank, numbers, advance(numbers, rank)


@formula
def strides_of(axes: Any, operand: Any) -> Any:
    """The strides of an operand."""
    return advance(axes[2], axes[0] * operand)


@formula
def last_step(axes: Any, operand: Any) -> Any:
    """The stride of the last axis."""
    return load_like(strides_of(axes, operand), axes[0] - 1, axes[0])


@device
def locate(index: Any, rank: Any, sizes: Any, strides: Any) -> Any:
    """The offset of the element with the flat `index` over the first `rank` axes."""
    offset = 0
    for axis in range(rank - 1, 0, -1):
        above = index // sizes[axis]
        offset += (index - above * sizes[axis]) * strides[axis]
        index = above
    if rank > 0:
        offset += index * strides[0]
    return offset


@device
def slice_at(base: Any, index: Any, axes: Any, operand: Any) -> Any:
    """Where the slice `index` begins in an operand at `base`."""
    return advance(base, locate(index, axes[0], axes[1], strides_of(axes, operand)))


@device
def run_at(base: Any, index: Any, begin: Any, axes: Any, operand: Any) -> Any:
    """Where slice `begin` of the run `index`, over all axes but the last, begins."""
    strides = strides_of(axes, operand)
    above = axes[0] - 1
    return advance(base, locate(index, above, axes[1], strides) + begin * strides[above])


@device
def element_at(base: Any, index: Any, dims: Any, operand: Any) -> Any:
    """Where the element `index` of the slice that begins at `base` is."""
    return slice_at(base, index, dims, operand)


@device
def all_steps(dims: Any, operand: Any) -> Any:
    """The bits of all strides of a slice: a multiple of a power of two if each of them is."""
    strides, bits = strides_of(dims, operand), 0
    for axis in range(dims[0]):
        bits |= strides[axis]
    return bits


@device
def run_places(bases: Any, index: Any, begin: Any, axes: Any) -> Any:
    """`run_at` in each of the operands that have slices' elements or their mask."""
    return (
        run_at(bases[SOURCE], index, begin, axes, SOURCE),
        run_at(bases[TARGET], index, begin, axes, TARGET),
        run_at(bases[SECOND], index, begin, axes, SECOND),
        run_at(bases[MASK], index, begin, axes, MASK),
    )


@formula
def is_row(dims: Any, operand: Any) -> Any:
    """Whether the elements of a slice are neighbours in memory."""
    step = load_like(strides_of(dims, operand), 0, dims[0])
    return both(equal(dims[0], 1), equal(step, 1))


@formula
def is_packed(axes: Any, dims: Any, operand: int, length: Any) -> Any:
    """Whether slices follow one another in memory, with nothing between them."""
    return both(is_row(dims, operand), equal(last_step(axes, operand), length))


@formula
def zero(address: Any) -> Any:
    """A number 0 of the dtype of `address`."""
    return element(lanes(address), 0)


@device
def run_from(start: Any, count: Any, dims: Any, operand: Any) -> Any:
    """``(offset, step, run)``: where the element `start` of a slice is, and how many follow it.

    So many of `count` elements, itself included, are the same step apart.
    """
    rank, sizes, strides = dims[0], dims[1], strides_of(dims, operand)
    inner, step = sizes[rank - 1], strides[rank - 1]
    # A division takes as long as ten elements of a short slice, which has one run.
    above = 0 if rank == 1 else start // inner
    within = start - above * inner
    return locate(above, rank - 1, sizes, strides) + within * step, step, min(inner - within, count)


@device_apart
def gather(
    buffer: Any, source: Any, start: Any, count: Any, dims: Any, operand: Any, negated: Any
) -> None:
    """Copy the elements `start`, `start` + 1, ... of the slice at `source` to `buffer`."""
    done = 0
    while done < count:
        offset, step, run = run_from(start + done, count - done, dims, operand)
        copy_in(advance(buffer, done), advance(source, offset), step, run)
        done += run
    if negated:
        negate(buffer, count)


@device
def negate(buffer: Any, count: Any) -> None:
    """Turn the sign of `count` elements."""
    for i in range(count):
        buffer[i] = -buffer[i]


@device
def copy_in(buffer: Any, source: Any, step: Any, count: Any) -> None:
    """Copy elements `step` apart, those 1, -1 and 2 apart as vectors."""
    whole, group, lane = 0, lanes(buffer), lane_count(buffer)
    if step == 1:
        whole = count - count % lane
        for i in range(0, whole, lane):
            store(buffer, i, fetch(source, i, group))
    elif step == -1:
        whole = count - count % lane
        for i in range(0, whole, lane):
            store(buffer, i, fetch_reversed(source, 1 - i - lane, group))
    elif step == 2 and count > lane:
        # Nothing after the last element is read: it ends the last vector, as it begins others.
        for i in range(0, count - lane, lane):
            fetch_group(source, 2 * i, group)
            fetch_group(source, 2 * i + lane, group)
            store(buffer, i, fetch_every_second(source, 2 * i, group, 0))
        last = count - lane
        store(buffer, last, fetch_every_second(source, 2 * last - 1, group, 1))
        whole = count
    for i in range(whole, count):
        copy_element(buffer, i, source, i * step)


@device_apart
def scatter(buffer: Any, target: Any, start: Any, count: Any, dims: Any) -> None:
    """Copy `buffer` to the elements `start`, `start` + 1, ... of the slice at `target`."""
    done = 0
    while done < count:
        offset, step, run = run_from(start + done, count - done, dims, TARGET)
        _copy_out(advance(buffer, done), advance(target, offset), step, run)
        done += run


@device
def _copy_out(buffer: Any, target: Any, step: Any, count: Any) -> None:
    whole = 0
    if step == 1:
        group, lane = lanes(buffer), lane_count(buffer)
        whole = count - count % lane
        for i in range(0, whole, lane):
            put(target, i, load_like(buffer, i, group))
    for i in range(whole, count):
        copy_element(target, i * step, buffer, i)
