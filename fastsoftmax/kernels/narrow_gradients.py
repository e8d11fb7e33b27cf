"""Gradients of softmax of short slices along memory, with no mask or temperature.

Products are added one after the other, for as many slices at a time as a vector has elements: those
of so many elements of each are transposed in registers, the one time that any are.  Results are
made of the slices as they stand.  (1000, 64) float32 took 29 µs on one thread where both inputs
become columns and results rows again, as in kernels/narrow.py, and takes 15.5.

For slices of at most `sums.SINGLE` elements, of at least `least_length`.
"""

from __future__ import annotations

import functools
from typing import Any

from numba.core import types

from fastsoftmax._jit import device
from fastsoftmax.kernels.block_results import write_group
from fastsoftmax.kernels.elements import computed_like, fetch
from fastsoftmax.kernels.groups import ask_soon, ask_to_write, elements_ahead
from fastsoftmax.kernels.memory import (
    advance,
    load_kind,
    load_like,
    store,
    workspace,
    workspace_bytes,
)
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import Operation, begin, keep_sums, parts, totals
from fastsoftmax.kernels.row_gradients import quotient
from fastsoftmax.kernels.strides import (
    SECOND,
    SOURCE,
    TARGET,
    described,
    run_at,
    strides_of,
)
from fastsoftmax.kernels.sums import add_products, products
from fastsoftmax.kernels.values import Value, Vec, as_type, formula
from fastsoftmax.kernels.vectors import native, transpose, vector, vector_count

SLICES = 16
"""Slices that go through each step together."""
_NUMBERS_BYTES = 8 * SLICES


def _side(dtype: Any) -> int:
    """The side of the squares that are transposed.

    Of float32, products are in float64, and shuffles of half a register of AVX-512 find more units
    that do them than those of a whole one; of float64, it is whole elements that are, and there
    are twice as many to be shuffled: (1000, 64) took 37 µs with squares of 4, and takes 31.
    """
    return 4 if dtype == types.float32 else native(types.float64).count


def least_length(itemsize: int) -> int:
    """The length of the shortest slices that are worth it: those of two squares."""
    return 2 * _side(types.float32 if itemsize == 4 else types.float64)


@formula
def _side_of(like: Value) -> int:
    return _side(like.dtype)


@formula
def _begin(operation: Operation, like: Value) -> Any:
    """Empty sums of all slices, as many at a time as a square has."""
    side = _side(like.dtype)
    group = as_type(0.0, Vec(like.dtype, side), like.builder)
    return tuple(begin(operation, group) for _ in range(SLICES // side))


@formula
def _add_square(
    operation: Operation, sums: Any, places: Any, j: Any, left: Value | None, like: Value
) -> Any:
    """The sums of slices with their elements from `j` on, or the last of those that are left."""
    side = _side(like.dtype)
    group = as_type(0.0, Vec(like.dtype, side), like.builder)
    rows = []
    for inputs in places:
        x, g = (fetch(place, j, group) for place in inputs)
        rows.append(products(x, g, operation.exact))
    columns = zip(*(transpose(tuple(each)) for each in zip(*rows, strict=True)), strict=True)
    (total,) = sums
    for i, column in enumerate(columns):
        new = add_products(total, column)
        if left is not None:
            new = keep_sums(operation, new, (left + (i + 1 - side)) * side, total)
        total = new
    return (total,)


@formula
def _add(
    operation: Operation,
    sums: Any,
    inputs: Any,
    offsets: Any,
    j: Any,
    left: Value | None,
    like: Value,
) -> Any:
    """The same of all slices, which begin so many elements after each of the inputs."""
    side = _side(like.dtype)
    found = []
    for number, each in enumerate(sums):
        places = [
            tuple(
                advance(x, load_kind(memory, 8 * i, types.intp))
                for x, memory in zip(inputs, offsets, strict=True)
            )
            for i in range(number * side, (number + 1) * side)
        ]
        found.append(_add_square(operation, each, places, j, left, like))
    return tuple(found)


@formula
def _note(operation: Operation, sums: Any, notes: Any, like: Value) -> None:
    """Write the coefficients of all slices."""
    for number, each in enumerate(sums):
        high, low, _ = parts(totals(operation, each, True))
        for memory, value in zip(notes, quotient(operation, high, low, like), strict=True):
            store(memory, number * value.count, value)


@formula
def _step(axes: Any, operand: Any) -> Any:
    """Elements from one slice of a run to the next."""
    return load_like(strides_of(axes, operand), axes[0] - 1, axes[0])


@device
def _keep_offsets(memory: Any, count: Any, step: Any) -> None:
    """Write where slices begin; the last of `count` stands for those that are not there."""
    for i in range(SLICES):
        store(memory, 8 * i, min(i, count - 1) * step)


@device
def _write(
    operation: Any,
    places: Any,
    steps: Any,
    count: Any,
    length: Any,
    notes: Any,
    ahead: Any,
    like: Any,
) -> None:
    """Write the results of `count` slices; lines of results are asked for as far ahead.

    Those of inputs are as well.  Summed some elements of each slice at a time, they are in too many
    places for the processor to see what comes next: (1000000, 20) float32 took 10.2 ms on two
    threads without, and takes 6.6.
    """
    part, step = vector(like), vector_count(like)
    whole = length - length % step
    for i in range(count):
        x, g = advance(places[0], i * steps[0]), advance(places[1], i * steps[1])
        out, scope = advance(places[2], i * steps[2]), ((notes[0][i], notes[1][i]), None)
        for j in range(0, whole, step):
            ask_soon(x, j + elements_ahead(x), part)
            ask_soon(g, j + elements_ahead(g), part)
            if ahead > 0:
                ask_to_write(out, j + ahead, part)
            write_group(operation, x, g, out, j, None, scope, False, part)
        if whole < length:
            bounds = None, length - whole
            write_group(operation, x, g, out, whole, bounds, scope, False, part)


def _narrow_gradients(operation: Operation) -> Any:
    @device
    def narrow_gradients(bases, _options, geometry, _scratch, first, last):
        """All steps for the slices `first` to `last` - 1."""
        like = computed_like(bases[TARGET])
        length, streaming, _, _, _, axes, _ = described(geometry)
        notes = workspace(like, _NUMBERS_BYTES), workspace(like, _NUMBERS_BYTES)
        offsets = workspace_bytes(like, _NUMBERS_BYTES), workspace_bytes(like, _NUMBERS_BYTES)
        side, run = _side_of(like), axes[1][axes[0] - 1]
        whole = length - length % side
        x_step, g_step, step = _step(axes, SOURCE), _step(axes, SECOND), _step(axes, TARGET)
        # What comes in pieces of lines goes through the caches.
        ahead = elements_ahead(bases[TARGET]) if streaming else 0
        steps = x_step, g_step, step
        done, before = first, 0
        while done < last:
            above = done // run
            begin_ = done - above * run
            end = min(run, begin_ + last - done)
            x_run = run_at(bases[SOURCE], above, 0, axes, SOURCE)
            g_run = run_at(bases[SECOND], above, 0, axes, SECOND)
            out_run = run_at(bases[TARGET], above, 0, axes, TARGET)
            for start in range(begin_, end, SLICES):
                count = min(SLICES, end - start)
                x, g = advance(x_run, start * x_step), advance(g_run, start * g_step)
                out = advance(out_run, start * step)
                if count != before:
                    _keep_offsets(offsets[0], count, x_step)
                    _keep_offsets(offsets[1], count, g_step)
                    before = count
                sums = _begin(operation, like)
                for j in range(0, whole, side):
                    sums = _add(operation, sums, (x, g), offsets, j, None, like)
                if whole < length:
                    left = length - whole
                    sums = _add(operation, sums, (x, g), offsets, length - side, left, like)
                _note(operation, sums, notes, like)
                _write(operation, (x, g, out), steps, count, length, notes, ahead, like)
            done += end - begin_

    return kernel_over(narrow_gradients, f"narrow-gradients-{operation.name}", bare=False)


narrow_gradients = functools.cache(_narrow_gradients)
