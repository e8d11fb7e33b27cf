"""Gradients of short slices along memory, with no mask and with one temperature.

What sums are made of is transposed in registers, in squares: some elements of as many slices, which
are added one after the other.  Results are made of the slices as they stand.  softmax_backward of
(1000, 64) float32 took 29 µs on one thread where both inputs become columns and results rows
again, as in kernels/narrow.py, and takes 15.5.

For slices of at most `sums.SINGLE` elements, of at least `least_length`.
"""

from __future__ import annotations

import functools
from typing import Any

from numba.core import types

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.block_results import write_group
from fastsoftmax.kernels.cells import common_degree
from fastsoftmax.kernels.elements import computed_like, fetch
from fastsoftmax.kernels.gradient_steps import (
    KNOWN_BYTES,
    MOST_SLICES,
    NUMBERS_BYTES,
    add_addends,
    addends,
    are_above_0,
    note_known,
    scope_at,
)
from fastsoftmax.kernels.groups import ask_soon, ask_to_write, elements_ahead
from fastsoftmax.kernels.memory import advance, clear, load_kind, store
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import Operation, cool_for
from fastsoftmax.kernels.shuffles import transpose
from fastsoftmax.kernels.steps import begin, keep_sums, parts, totals
from fastsoftmax.kernels.strides import (
    SECOND,
    SOURCE,
    TARGET,
    described,
    last_step,
    run_at,
    zero,
)
from fastsoftmax.kernels.sums import SINGLE
from fastsoftmax.kernels.values import Value, Vec, as_type, formula
from fastsoftmax.kernels.vectors import maximum, native, vector, vector_count
from fastsoftmax.kernels.workspaces import workspace, workspace_bytes, workspace_double


def _side(dtype: Any) -> int:
    """The side of a square.

    Of float32 it holds float64, and half a register of AVX-512 finds more units that shuffle it
    than a whole one does.  Of float64 it holds both inputs, which are twice as many shuffles:
    softmax_backward of (1000, 64) took 37 µs with squares of 4, and takes 31.
    """
    return 4 if dtype == types.float32 else native(types.float64).count


def least_length(operation: Operation, itemsize: int) -> int:
    """The length of the shortest slices that are worth it, with elements of so many bytes.

    Those of two squares.  But rows, whose last vectors are filled in part, have more exponentials
    to be computed than columns have, for which halves don't make up.
    """
    if operation.keeps and itemsize < 4:
        return SINGLE + 1
    return 2 * _side(types.float64 if itemsize > 4 else types.float32)


@formula
def _side_of(like: Value) -> int:
    return _side(like.dtype)


@formula
def _group(like: Value) -> Value:
    """A zero for each slice of a square."""
    return as_type(0.0, Vec(like.dtype, _side(like.dtype)), like.builder)


@formula
def _begin(operation: Operation, like: Value) -> Any:
    """Empty sums of all slices, as many at a time as a square has."""
    group = _group(like)
    return tuple(begin(operation, group) for _ in range(MOST_SLICES // group.count))


@formula
def _add_square(
    operation: Operation, sums: Any, top: Value, places: Any, j: Any, left: Value | None
) -> Any:
    """``(sums, top)`` of slices with their elements from `j` on, or the last that are left.

    `top` is raised to elements of any of them.
    """
    rows, side = [], len(places)
    for inputs in places:
        x, g = (fetch(place, j, top) for place in inputs)
        rows.append(addends(operation, x, g))
        if operation.has_frame:
            top = maximum(x, top)
    columns = zip(*(transpose(tuple(each)) for each in zip(*rows, strict=True)), strict=True)
    for i, column in enumerate(columns):
        new = add_addends(operation, sums, column)
        if left is not None:
            new = keep_sums(new, (left + (i + 1 - side)) * side, sums)
        sums = new
    return sums, top


@formula
def _add(
    operation: Operation, found: Any, inputs: Any, offsets: Any, j: Any, left: Value | None
) -> Any:
    """The same of all slices, which begin so many elements after each of the inputs."""
    all_sums, top = found
    side, new = top.count, []
    for number, sums in enumerate(all_sums):
        places = [
            tuple(
                advance(x, load_kind(memory, 8 * i, types.intp))
                for x, memory in zip(inputs, offsets, strict=True)
            )
            for i in range(number * side, (number + 1) * side)
        ]
        raised, top = _add_square(operation, sums, top, places, j, left)
        new.append(raised)
    return tuple(new), top


@formula
def _keep_totals(operation: Operation, sums: Any, highs: Value, lows: Value) -> None:
    """Write the totals of all slices."""
    for number, each in enumerate(sums):
        high, low, _ = parts(totals(operation, each, True))
        store(highs, number * high.count, high)
        store(lows, number * low.count, low)


@device
def _keep_tops(tops: Any, x: Any, step: Any, count: Any, length: Any) -> None:
    """Write the maxima of `count` slices; others are 0."""
    clear(tops, MOST_SLICES)
    for i in range(count):
        row, top = advance(x, i * step), zero(tops)
        for j in range(length):
            top = maximum(fetch(row, j, top), top)
        tops[i] = top


@device
def _keep_offsets(memory: Any, count: Any, step: Any) -> None:
    """Write where slices begin; the last of `count` stands for those that are not there."""
    for i in range(MOST_SLICES):
        store(memory, 8 * i, min(i, count - 1) * step)


@device
def _write(
    operation: Any,
    places: Any,
    steps: Any,
    count: Any,
    length: Any,
    known: Any,
    ahead: Any,
    scope: Any,
) -> None:
    """Write the results of `count` slices; lines of results are asked for as far ahead.

    Those of inputs are as well.  Summed some elements of each slice at a time, they are in too many
    places for the processor to see what comes next: (1000000, 20) float32 took 10.2 ms on two
    threads without, and takes 6.6.
    """
    part, step = vector(known), vector_count(known)
    whole = length - length % step
    for i in range(count):
        x, g = advance(places[0], i * steps[0]), advance(places[1], i * steps[1])
        out, here = advance(places[2], i * steps[2]), scope_at(operation, known, i, *scope)
        for j in range(0, whole, step):
            ask_soon(x, j + elements_ahead(x), part)
            ask_soon(g, j + elements_ahead(g), part)
            if ahead > 0:
                ask_to_write(out, j + ahead, part)
            write_group(operation, x, g, out, j, None, here, False, part)
        if whole < length:
            bounds = None, length - whole
            write_group(operation, x, g, out, whole, bounds, here, False, part)


def _narrow_gradients(operation: Operation) -> Any:
    @device
    def narrow_gradients(bases, _options, geometry, _scratch, first, last):
        """All steps for the slices `first` to `last` - 1."""
        like = computed_like(bases[TARGET])
        length, streaming, _, _, _, axes, _ = described(geometry)
        numbers = exponential.numbers(like)
        scope = numbers, cool_for(operation, common_degree(operation, bases), like)
        tops, known = workspace(like, NUMBERS_BYTES), workspace(like, KNOWN_BYTES)
        highs, lows = workspace_double(like, NUMBERS_BYTES), workspace_double(like, NUMBERS_BYTES)
        offsets = workspace_bytes(like, NUMBERS_BYTES), workspace_bytes(like, NUMBERS_BYTES)
        clear(tops, MOST_SLICES)
        were_above = False
        side, run = _side_of(like), axes[1][axes[0] - 1]
        whole = length - length % side
        x_step, g_step = last_step(axes, SOURCE), last_step(axes, SECOND)
        step = last_step(axes, TARGET)
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
            for start in range(begin_, end, MOST_SLICES):
                count = min(MOST_SLICES, end - start)
                x, g = advance(x_run, start * x_step), advance(g_run, start * g_step)
                out = advance(out_run, start * step)
                if count != before:
                    _keep_offsets(offsets[0], count, x_step)
                    _keep_offsets(offsets[1], count, g_step)
                    before = count
                found = _begin(operation, like), _group(like)
                for j in range(0, whole, side):
                    found = _add(operation, found, (x, g), offsets, j, None)
                if whole < length:
                    left = length - whole
                    found = _add(operation, found, (x, g), offsets, length - side, left)
                _keep_totals(operation, found[0], highs, lows)
                is_above = are_above_0(found[1])
                if is_above:
                    _keep_tops(tops, x, x_step, count, length)
                elif were_above:
                    clear(tops, MOST_SLICES)
                were_above = is_above
                for i in range(0, count, vector_count(like)):
                    note_known(operation, known, i, (tops, highs, lows), numbers)
                _write(operation, (x, g, out), steps, count, length, known, ahead, scope)
            done += end - begin_

    return kernel_over(narrow_gradients, f"narrow-gradients-{operation.name}", bare=False)


narrow_gradients = functools.cache(_narrow_gradients)
