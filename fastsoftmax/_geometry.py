"""Any call as slices (the chosen dims) of a batch (all others), in as few axes as will do.

The batch has no order, so its axes are sorted, turned and merged; those of a slice are
merged where they are one stride for all operands.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

Dims = tuple[int, ...]


class Axis(NamedTuple):
    """An axis with its strides, in elements, in each of the operands."""

    size: int
    strides: tuple[int, ...]


class Geometry(NamedTuple):
    """A call as slices of a batch."""

    inner: tuple[Axis, ...]
    """The axes of a slice, outermost first; at least one."""
    batch: tuple[Axis, ...]
    """The other axes, outermost first; at least one."""
    corner: tuple[int | slice, ...] | None
    """The index of a one-dimensional view that starts where the first slice does; None where
    arrays do so themselves."""

    @property
    def length(self) -> int:
        """Elements of a slice."""
        return math.prod(axis.size for axis in self.inner)

    @property
    def slices(self) -> int:
        """Slices in all."""
        return math.prod(axis.size for axis in self.batch)

    def table(self, reach: int, width: int, options: int, plane: int) -> np.ndarray[Any, Any]:
        """What a kernel is told of its call, in the order of kernels/strides.py."""
        operands, ranks = len(self.batch[0].strides), (len(self.batch), len(self.inner))
        numbers = [self.length, reach, width, options, plane, operands, *ranks]
        for axes in (self.batch, self.inner):
            numbers += [axis.size for axis in axes]
            for operand in range(operands):
                numbers += [axis.strides[operand] for axis in axes]
        return np.array(numbers, np.intp)


def geometry(
    shape: tuple[int, ...],
    strides: tuple[tuple[int, ...], ...],
    itemsizes: tuple[int, ...],
    dims: Dims,
) -> Geometry:
    """Sort and merge the axes of operands with these strides in bytes.

    The first operand is the source, the second the target.
    """
    inner: list[Axis] = []
    batch: list[Axis] = []
    corner: list[int | slice] = []
    for i, size in enumerate(shape):
        steps = _in_elements(i, strides, itemsizes)
        # The batch has no order, so an axis that runs backwards is turned round.
        backwards = i not in dims and steps[0] < 0
        if backwards:
            steps = tuple(-step for step in steps)
        corner.append(size - 1 if backwards else 0)
        (inner if i in dims else batch).append(Axis(size, steps))
    turned = any(corner)
    if turned:
        corner[-1] = slice(corner[-1], None, -1) if corner[-1] else slice(None)
    batch.sort(key=_reach, reverse=True)
    operands = len(strides)
    axes = _merged(inner, operands), _merged(batch, operands)
    return Geometry(*axes, tuple(corner) if turned else None)


def walk(
    shape: tuple[int, ...],
    strides: tuple[tuple[int, ...], ...],
    itemsizes: tuple[int, ...],
) -> tuple[Axis, ...]:
    """All axes of source and target, sorted by the target's strides and merged.

    None is turned round, as every axis of a target may run forwards.
    """
    axes = [Axis(size, _in_elements(i, strides, itemsizes)) for i, size in enumerate(shape)]
    return _merged(sorted(axes, key=_reach, reverse=True), len(strides))


def _in_elements(
    axis: int, strides: tuple[tuple[int, ...], ...], itemsizes: tuple[int, ...]
) -> tuple[int, ...]:
    """The strides of all operands along an axis."""
    pairs = zip(strides, itemsizes, strict=True)
    return tuple([each[axis] // itemsize for each, itemsize in pairs])


def _reach(axis: Axis) -> tuple[int, int]:
    return abs(axis.strides[1]), abs(axis.strides[0])


def _merged(axes: list[Axis], operands: int) -> tuple[Axis, ...]:
    """The same walk over memory in as few axes as possible, in the same order."""
    result: list[Axis] = []
    for axis in axes:
        if axis.size == 1:
            continue
        if result and all(
            outer == within * axis.size
            for outer, within in zip(result[-1].strides, axis.strides, strict=True)
        ):
            result[-1] = Axis(result[-1].size * axis.size, axis.strides)
        else:
            result.append(axis)
    return tuple(result) or (Axis(1, (1,) * operands),)
