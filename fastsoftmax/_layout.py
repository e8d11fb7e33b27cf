"""From the arrays of a call to the kernels that fit them, and their arguments.

================  ====================================================================
classes           softmax and its logarithm of very short slices, one after the other
class_gradients   the gradients of such slices
narrow            other slices of at most `SINGLE` elements
rows              longer ones, elements side by side (others are gathered block by block);
                  `along` for whatever is not plain softmax
gradients         of either along memory, with nothing but two inputs and results
columns           slices side by side: memory is contiguous across them
bunches           the same in runs of a few, those of several batches at once
split             slices of more than one block: along memory, across it, or a few of them
                  interleaved
================  ====================================================================

Where results lie along another axis than the input, it is copied to their place first.

The plan of a call depends on nothing but shapes, strides, dtypes and what is asked for, so
plans are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax._copied_first import CopiedFirst, copied_along
from fastsoftmax._cpu import CPUS
from fastsoftmax._geometry import geometry
from fastsoftmax._launch import LEAST_LAUNCH
from fastsoftmax._places import Leading, Picking
from fastsoftmax._plans import ELEMENT_COST, OnePass
from fastsoftmax._split import Split
from fastsoftmax._tiling import bunch_width
from fastsoftmax.kernels.class_gradients import most_classes
from fastsoftmax.kernels.classes import LEAST_CLASSES, MOST_CLASSES
from fastsoftmax.kernels.narrow_gradients import least_length
from fastsoftmax.kernels.operations import BACKWARDS, MASKED, RESULTS, SOFTMAX
from fastsoftmax.kernels.rows import MOST_BLOCKS
from fastsoftmax.kernels.strides import MASK, SOURCE, TARGET, TEMPERATURE
from fastsoftmax.kernels.sums import SINGLE, block_of, lanes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoftmax._geometry import Axis, Dims, Geometry
    from fastsoftmax._plans import Plan
    from fastsoftmax._task import Task

Array = np.ndarray[Any, Any]

# Columns need this many neighbours to be worth more than rows gathered one by one.
LEAST_RUN = 4
# Where slices have several axes, and more than `SINGLE` elements; of more than one block, three
# quarters of a strip.
LEAST_RUN_OF_SEVERAL = 12


def _plan(geometry: Geometry, dtype: np.dtype[Any], task: Task, plane: int) -> Plan:
    """The plan that fits."""

    def is_unit(axis: Axis) -> bool:
        return all(axis.strides[operand] == 1 for operand in task.touched)

    one_axis = len(geometry.inner) == 1
    run = geometry.batch[-1]
    neighbours = is_unit(run)
    in_rows = one_axis and is_unit(geometry.inner[0])
    item = max(4, dtype.itemsize)
    blocks = -(-geometry.length // block_of(item))
    least = LEAST_RUN
    if not one_axis and geometry.length > SINGLE:
        least = LEAST_RUN_OF_SEVERAL if blocks == 1 else lanes_of(item) * 3 // 4
    across = neighbours and run.size >= least and (geometry.length == 1 or not in_rows)
    bunched = one_axis and neighbours and not in_rows and blocks == 1
    if bunched and is_bunched(geometry, item, task):
        return OnePass("bunches", geometry, dtype, task, plane)
    if across and blocks == 1:
        return OnePass("columns", geometry, dtype, task, plane)
    interleaved = one_axis and neighbours and blocks > 1 and 1 < run.size < lanes_of(item)
    if interleaved and is_dense(geometry, task):
        return Split(geometry, dtype, task, plane, "interleaved")
    if across:
        return Split(geometry, dtype, task, plane, "across")
    few = LEAST_CLASSES <= geometry.length <= MOST_CLASSES
    if few and task.is_result and is_packed(geometry, task):
        return OnePass("classes", geometry, dtype, task, plane)
    gradients = in_rows and task.is_gradient and has_one_temperature(geometry)
    if geometry.length <= SINGLE:
        very_few = LEAST_CLASSES <= geometry.length <= most_classes(dtype.itemsize)
        if gradients and very_few and is_packed(geometry, task):
            return OnePass("class_gradients", geometry, dtype, task, plane)
        if gradients and geometry.length >= least_length(task.operation, dtype.itemsize):
            return OnePass("gradients", geometry, dtype, task, plane)
        return OnePass("narrow", geometry, dtype, task, plane)
    gradients = gradients and (blocks == 1 or task.operation in BACKWARDS)
    kind = "rows" if task.is_bare and task.operation is SOFTMAX else "along"
    kind = "gradients" if gradients else kind
    if blocks == 1 or (blocks <= MOST_BLOCKS and not _is_shared(geometry, item, kind)):
        return OnePass(kind, geometry, dtype, task, plane)
    return Split(geometry, dtype, task, plane, "along")


def is_bunched(geometry: Geometry, item: int, task: Task) -> bool:
    """Whether columns are computed with those of other batches.

    Of longer slices, two or three beside one another are gathered faster one by one.
    """
    if geometry.length == 1 or not (task.is_plain and task.options & RESULTS):
        return False
    if geometry.length > SINGLE and geometry.batch[-1].size < LEAST_RUN:
        return False
    return bunch_width(geometry, item, task.operation.inputs) > 0


def _is_shared(geometry: Geometry, item: int, kind: str) -> bool:
    """Whether threads are done sooner if they share each slice than if they take whole ones.

    Sharing is three launches, and takes exponentials twice.
    """
    whole = -(-geometry.slices // CPUS) * ELEMENT_COST[kind][item]
    shared = geometry.slices / CPUS * ELEMENT_COST["split"][item]
    return geometry.length * whole > geometry.length * shared + 3 * LEAST_LAUNCH


def is_packed(geometry: Geometry, task: Task) -> bool:
    """Whether slices lie along memory, one after the other, and so do their masks.

    All have the same mask otherwise, and the same temperature.
    """
    if len(geometry.batch) > 1 or len(geometry.inner) > 1 or not has_one_temperature(geometry):
        return False
    inner, run = geometry.inner[0].strides, geometry.batch[0]
    has_masks = task.options & MASKED and run.strides[MASK] != 0
    operands = (*task.touched, MASK) if has_masks else task.touched
    if any(inner[operand] != 1 for operand in operands):
        return False
    return run.size == 1 or all(run.strides[each] == geometry.length for each in operands)


def has_one_temperature(geometry: Geometry) -> bool:
    """Whether all slices have the same."""
    return all(axis.size == 1 or axis.strides[TEMPERATURE] == 0 for axis in geometry.batch)


def is_dense(geometry: Geometry, task: Task) -> bool:
    """Whether slices that lie side by side fill memory from one element of theirs to the next."""
    step, run = geometry.inner[0].strides, geometry.batch[-1]
    dense = all(step[operand] == run.size for operand in task.touched)
    return dense and not task.options & MASKED


_plans: dict[Any, Plan] = {}
_MOST_PLANS = 512


def plan_for(operands: tuple[Array, ...], task: Task, plane: int = 0) -> Plan:
    """The plan for operands in the order of kernels/strides.py, none of them empty.

    All have the shape of the first one, or are placeholders of one element.  Parts of a summary
    are so many numbers apart, or a number for each slice.
    """
    return _kept(_of_slices, operands, task, plane)


def picking_plan(operands: tuple[Array, ...], task: Task) -> Plan:
    """The plan for the losses of slices with summaries; the last operand is of places."""
    return _kept(_of_losses, operands, task)


def leading_plan(operands: tuple[Array, ...], task: Task, count: int) -> Plan:
    """The plan for the `count` largest of each slice; the last operand is for their places."""
    return _kept(_of_leaders, operands, task, count)


def _kept(
    make: Callable[[tuple[Array, ...], Task, int], Plan],
    operands: tuple[Array, ...],
    task: Task,
    count: int = 0,
) -> Plan:
    """The plan that is made for such operands."""
    source = operands[SOURCE]
    strides = tuple([operand.strides for operand in operands])
    key = make, source.shape, strides, source.dtype, operands[TARGET].dtype, task, count
    plan = _plans.get(key)
    if plan is None:
        plan = make(operands, task, count)
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        _plans[key] = plan
    return plan


def _of_slices(operands: tuple[Array, ...], task: Task, plane: int) -> Plan:
    def as_they_stand(operands: tuple[Array, ...]) -> Plan:
        return _over_geometry(_plan, operands, task, plane)

    for moved in task.movable:
        axes = copied_along(operands[moved], operands[TARGET], task.dims)
        if axes is not None:
            plan = CopiedFirst(operands, moved, axes, task, as_they_stand)
            if len(axes.inner) > 1 or plan.kind in {"columns", "bunches", "split"}:
                return plan
    return as_they_stand(operands)


def _of_losses(operands: tuple[Array, ...], task: Task, _: int) -> Plan:
    return _over_geometry(Picking, operands, task)


def _of_leaders(operands: tuple[Array, ...], task: Task, count: int) -> Plan:
    return _over_geometry(Leading, operands, task, count)


def _over_geometry(
    make: Callable[..., Plan], operands: tuple[Array, ...], task: Task, count: int = 0
) -> Plan:
    """A plan for the geometry of a call, with `count` or the number of slices."""
    found = _geometry_of(operands, task.dims)
    given, dtype = operands[SOURCE].dtype, operands[TARGET].dtype
    plan = make(found, dtype, task, count or found.slices)
    if given != dtype:
        plan.read(given)
    return plan


def _geometry_of(operands: tuple[Array, ...], dims: Dims) -> Geometry:
    shape = operands[SOURCE].shape
    nothing = (0,) * len(shape)
    strides = tuple(operand.strides if operand.shape == shape else nothing for operand in operands)
    return geometry(shape, strides, tuple(operand.itemsize for operand in operands), dims)
