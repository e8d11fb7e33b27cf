"""Gradients of very short slices of one length, that lie side by side in both inputs.

As kernels/classes.py: what depends on the length is settled when code is built.  Slices become
columns in registers (kernels/turns.py), results are made of these, and become slices again.
softmax_backward of (100000, 5) float32 took 160 µs on two threads as kernels/narrow.py does it,
which knows of masks and strides, and takes 83.
"""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._cpu import VECTOR_BYTES
from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.block_results import result_of
from fastsoftmax.kernels.cells import common_degree
from fastsoftmax.kernels.class_results import copy_up_to, deliver_first
from fastsoftmax.kernels.elements import computed_like, fetch, put
from fastsoftmax.kernels.gradient_steps import known_of, scope_of
from fastsoftmax.kernels.groups import ask_soon, ask_to_write, elements_ahead, workspace_for
from fastsoftmax.kernels.memory import advance
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import Operation, cool_for
from fastsoftmax.kernels.steps import add_inputs, begin, parts, totals
from fastsoftmax.kernels.strides import SECOND, SOURCE, TARGET, axes_in, is_far
from fastsoftmax.kernels.sums import lane_count
from fastsoftmax.kernels.turns import columns_of, vectors_of
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import double, maximum, splat, vector, vector_count
from fastsoftmax.kernels.workspaces import workspace


def most_classes(itemsize: int) -> int:
    """The length of the longest slices that are worth it, with elements of so many bytes.

    Columns of both inputs are in registers, all at once, or would be.  Halves are longer worth it:
    kernels/narrow_gradients.py reads them in pieces of a few, which have to be converted.
    """
    return 40 if itemsize < 4 else 15


@formula
def _compute(
    operation: Operation, x: Value, g: Value, out: Value, classes: int, like: Value, scope: Any
) -> None:
    """Write the results of as many slices as a vector has elements."""
    part, (numbers, cool) = vector(like), scope
    step = part.count

    def columns(inputs: Value) -> list[Value]:
        return list(columns_of(lambda i: fetch(inputs, i * step, part), classes, step))

    pairs = list(zip(columns(x), columns(g), strict=True))
    sums, top = begin(operation, part), part
    for x_column, g_column in pairs:
        sums = add_inputs(operation, sums, x_column, g_column)
        if operation.has_frame:  # whatever is below 0 counts as 0 (`outcomes.framed_top`)
            top = maximum(x_column, top)
    found = parts(totals(operation, sums, True))
    known = scope_of(operation, known_of(operation, top, found, numbers), numbers, cool)
    for i, each in vectors_of(lambda i: result_of(operation, *pairs[i], known), classes, step):
        put(out, i * step, each)


@formula
def _ask_ahead(x: Value, g: Value, out: Value, classes: int, like: Value) -> None:
    """Ask for the lines of slices that come some time after these."""
    part = vector(like)
    for i in range(classes):
        for each in (x, g):
            ask_soon(each, i * part.count + elements_ahead(each), part)
        ask_to_write(out, i * part.count + elements_ahead(out), part)


def _class_gradients(operation: Operation, classes: int) -> Any:
    size = classes * VECTOR_BYTES

    @device
    def class_gradients(bases, _options, geometry, _scratch, first, last):
        """All steps for the groups of slices `first` to `last` - 1: as many as there are lanes."""
        like = computed_like(bases[TARGET])
        degree = splat(common_degree(operation, bases), double(vector(like)))
        scope = exponential.numbers(like), cool_for(operation, degree, like)
        axes, _ = axes_in(geometry)
        step, far = vector_count(like), is_far(geometry)
        first, last = first * lane_count(like), min(last * lane_count(like), axes[1][0])
        source, second, target = bases[SOURCE], bases[SECOND], bases[TARGET]
        last_x, last_g = workspace_for(source, like, size), workspace_for(second, like, size)
        staged = workspace(target, size)
        whole = first + (last - first) // step * step
        for i in range(first, whole, step):
            x, g = advance(source, i * classes), advance(second, i * classes)
            out = advance(target, i * classes)
            if far:
                _ask_ahead(x, g, out, classes, like)
            _compute(operation, x, g, out, classes, like, scope)
        if whole < last:
            count, room = (last - whole) * classes, step * classes
            x = copy_up_to(advance(source, whole * classes), last_x, count, room)
            g = copy_up_to(advance(second, whole * classes), last_g, count, room)
            _compute(operation, x, g, staged, classes, like, scope)
            deliver_first(staged, advance(target, whole * classes), count)

    return kernel_over(class_gradients, f"{operation.name}-of-{classes}", bare=False)


class_gradients = functools.cache(_class_gradients)
