"""The totals of lanes that are side by side in memory, joined by halves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.steps import join_totals, parts, totals
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import double
from fastsoftmax.kernels.workspaces import keep, kept, workspace_bytes

if TYPE_CHECKING:
    from fastsoftmax.kernels.operations import Operation

# The sums of all lanes: up to three float64 for each element of each lane.
TOTALS_BYTES = 3 * 8 * 32 * 32


def flat_totals(found: Any) -> tuple[Value, ...]:
    """The parts of totals one after the other, in float64."""
    total_, ties = found
    return (*(total_ if isinstance(total_, tuple) else (total_,)), double(ties))


def totals_like(values: list[Value]) -> Any:
    """Totals from `flat_totals` of them."""
    return (tuple(values[:-1]) if len(values) > 2 else values[0]), values[-1]


@formula
def _four(memory: Value, lane: Value, apart: Value, like: Any) -> Any:
    """What is kept of every `apart`-th lane from `lane` on."""
    return tuple(kept(memory, lane + i * apart, like) for i in range(4))


@formula
def _total_of_four(
    operation: Operation, memory: Value, lane: Value, apart: Value, sums: Any
) -> Any:
    """The total of lanes whose sums are in `memory`, by halves."""
    first, second, third, last = (
        totals(operation, each, False) for each in _four(memory, lane, apart, sums)
    )
    return join_totals(join_totals(first, third), join_totals(second, last))


@formula
def _four_joined(memory: Value, lane: Value, apart: Value, like: Any) -> Any:
    """The same of lanes whose totals are there."""
    first, second, third, last = _four(memory, lane, apart, like)
    return join_totals(join_totals(first, third), join_totals(second, last))


@device
def fold_lanes(operation: Any, memory: Any, sums: Any, count: Any) -> Any:
    """``(high, low, ties)`` of all lanes, `count` of them, whose sums are in `memory`.

    Two halvings at once: with a row of its own in memory for each total, (32, 128, 28, 28)
    over dim 1 took a tenth of its time here.
    """
    joined = workspace_bytes(memory, TOTALS_BYTES)
    found = totals(operation, sums, False)
    count //= 4
    for lane in range(count):
        keep(joined, lane, _total_of_four(operation, memory, lane, count, sums))
    while count >= 4:
        count //= 4
        for lane in range(count):
            keep(joined, lane, _four_joined(joined, lane, count, found))
    if count == 2:
        return parts(join_totals(kept(joined, 0, found), kept(joined, 1, found)))
    return parts(kept(joined, 0, found))
