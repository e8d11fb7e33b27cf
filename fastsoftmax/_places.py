"""Plans for kernels that know of places in slices, once there are summaries of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoftmax._plans import OneKernel
from fastsoftmax.kernels.leaders import leaders
from fastsoftmax.kernels.losses import losses_kernel

if TYPE_CHECKING:
    import numpy as np

    from fastsoftmax._geometry import Geometry
    from fastsoftmax._jit import Kernel
    from fastsoftmax._task import Task

# Nanoseconds that the loss of a slice takes, whose element is anywhere in it.
PICK_COST = 2.0


class Placed(OneKernel):
    """A plan for a kernel that knows of places in each slice, besides the other operands."""

    def __init__(
        self,
        kernel: Kernel,
        geometry: Geometry,
        dtype: np.dtype[Any],
        task: Task,
        plane: int = 0,
        count: int = 0,
    ) -> None:
        super().__init__("along", geometry, dtype, task, plane)
        self.kernel = kernel
        self.kernels = (kernel,)
        self.tasks = geometry.slices
        self.table = self._table(geometry, count)


class Leading(Placed):
    """A plan for the k largest of each slice, once there are summaries."""

    def __init__(self, geometry: Geometry, dtype: np.dtype[Any], task: Task, count: int) -> None:
        super().__init__(leaders(task.operation), geometry, dtype, task, count=count)


class Picking(Placed):
    """A plan for the losses at one element of each slice, once there are summaries."""

    def __init__(self, geometry: Geometry, dtype: np.dtype[Any], task: Task, plane: int) -> None:
        super().__init__(losses_kernel, geometry, dtype, task, plane)
        self.cost = PICK_COST * self.tasks
