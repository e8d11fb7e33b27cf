"""What is done to a cell: the columns of a task, filled into tiles and emptied from them."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.memory import (
    advance,
    load_like,
    store,
    workspace,
    workspace_double,
)
from fastsoftmax.kernels.operations import (
    COPY,
    MASKED,
    NEGATED,
    Operation,
    cool_for,
    gradual_of,
    hidden,
    hidden_result,
    inputs_of,
    uses_temperature,
)
from fastsoftmax.kernels.outcomes import SUMMARY_PARTS, summary
from fastsoftmax.kernels.packing import (
    GROUP_BYTES,
    hide_columns,
    negate,
    pack,
    raise_tops,
    resolve,
    unpack,
)
from fastsoftmax.kernels.strides import (
    MASK,
    SECOND,
    SOURCE,
    SUMMARY,
    TARGET,
    TEMPERATURE,
    run_at,
    strides_of,
    zero,
)
from fastsoftmax.kernels.sums import LANES_BYTES
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import count_of, double, splat

_DOUBLES_BYTES = 8 * LANES_BYTES


@device
def fill(
    operation: Any, bases: Any, tiles: Any, pitch: Any, tops: Any, cell: Any, span: Any, call: Any
) -> None:
    """Pack the columns of a cell, rows `span` of its slices, as the operation wants them."""
    batch, begin, low, high = cell
    start, length = span
    axes, dims, options = call
    tile, other = tiles
    step = strides_of(dims, SOURCE)[0]
    x = advance(run_at(bases[SOURCE], batch, begin, axes, SOURCE), start * step)
    pack(tile, pitch, tops, x, step, length, low, high)
    if options & NEGATED != 0:
        negate(tile, pitch, length, high)
    if options & MASKED != 0:
        shown, steps = mask_at(bases, batch, begin, axes, dims, start)
        hide_columns(tile, pitch, length, low, high, shown, steps, hidden(operation, tile))
    if options & (NEGATED | MASKED) != 0:
        raise_tops(tile, pitch, tops, length, high)
    if inputs_of(operation) == 2:
        step = strides_of(dims, SECOND)[0]
        g = advance(run_at(bases[SECOND], batch, begin, axes, SECOND), start * step)
        unused = workspace(tile, GROUP_BYTES)
        pack(other, pitch, unused, g, step, length, low, high)
        if options & MASKED != 0:
            shown, steps = mask_at(bases, batch, begin, axes, dims, start)
            hide_columns(other, pitch, length, low, high, shown, steps, zero(tile))


@device
def mask_at(bases: Any, batch: Any, begin: Any, axes: Any, dims: Any, start: Any) -> Any:
    """The address of the mask of row `start` of a cell, and its strides."""
    step = strides_of(dims, MASK)[0]
    shown = advance(run_at(bases[MASK], batch, begin, axes, MASK), start * step)
    return shown, (step, strides_of(axes, MASK)[axes[0] - 1])


@device
def empty(
    operation: Any,
    bases: Any,
    tiles: Any,
    pitch: Any,
    notes: Any,
    cell: Any,
    span: Any,
    call: Any,
    how: Any,
) -> None:
    """Write the results of a cell, rows `span` of its slices; `how`: streaming, gradually."""
    streaming, gradual = how
    batch, begin, low, high = cell
    start, length = span
    axes, dims, options = call
    step = strides_of(dims, TARGET)[0]
    out = advance(run_at(bases[TARGET], batch, begin, axes, TARGET), start * step)
    if options & MASKED == 0 and not gradual:
        unpack(operation, tiles, pitch, notes, out, step, length, low, high, streaming)
        return
    if gradual:
        resolve(gradual_of(operation), tiles, pitch, notes, length, high)
    else:
        resolve(operation, tiles, pitch, notes, length, high)
    if options & MASKED != 0:
        shown, steps = mask_at(bases, batch, begin, axes, dims, start)
        nothing = hidden_result(operation, tiles[0])
        hide_columns(tiles[0], pitch, length, low, high, shown, steps, nothing)
    unpack(COPY, tiles, pitch, notes, out, step, length, low, high, streaming)


@device
def degree_of(operation: Any, bases: Any) -> Any:
    """The temperature of slices that have one, in float64."""
    return bases[TEMPERATURE][0] if uses_temperature(operation) else 1.0


@device
def degrees_of(operation: Any, bases: Any, cell: Any, i: Any, axes: Any, group: Any) -> Any:
    """The temperatures of the columns from `i` on, as many as `group` has, in float64."""
    degrees = double(splat(1.0, group))
    if uses_temperature(operation):
        batch, begin, low, high = cell
        place = run_at(bases[TEMPERATURE], batch, begin, axes, TEMPERATURE)
        step = strides_of(axes, TEMPERATURE)[axes[0] - 1]
        memory = workspace_double(bases[TEMPERATURE], _DOUBLES_BYTES)
        for c in range(count_of(group)):
            memory[c] = place[min(max(i + c, low), high - 1) * step]
        degrees = load_like(memory, 0, degrees)
    return degrees


@device
def summarise(
    operation: Any, known: Any, bases: Any, cell: Any, i: Any, scope: Any, setting: Any
) -> None:
    """Write the summaries of the strip of columns from `i` on.

    `known` are their state, their maxima and their coefficients.
    """
    axes, plane, degrees, like = setting
    numbers, heat = scope
    batch, begin, low, high = cell
    state, top, quotient = known
    found = summary(operation, state, double(top), quotient, like, numbers, heat, degrees)
    place = run_at(bases[SUMMARY], batch, begin, axes, SUMMARY)
    step = strides_of(axes, SUMMARY)[axes[0] - 1]
    memory = workspace_double(like, _DOUBLES_BYTES)
    for part in range(SUMMARY_PARTS):
        store(memory, 0, one_of(found, part))
        for c in range(max(low - i, 0), min(high - i, count_of(top))):
            place[part * plane + (i + c) * step] = memory[c]


@device
def one_of(found: Any, part: Any) -> Any:
    """The part of this number of a summary."""
    if part == 0:
        return found[0]
    return found[1] if part == 1 else found[2]


@formula
def notes_for(operation: Operation, like: Value, size: int) -> Any:
    """Memory for what results are made with: coefficients, and 1 / T where it is wanted."""
    count = 2 if cool_for(operation, double(zero_like(like)), like) is None else 4
    return tuple(workspace(like, size) for _ in range(count))


def zero_like(address: Value) -> Value:
    """A number 0 of the dtype of `address`."""
    return zero(address)


@formula
def note(notes: Any, i: Any, found: Any, cool: Any) -> None:
    """Write what the results of the strip from column `i` on are made with."""
    values = tuple(found) if cool is None else (*found, *cool)
    for place, value in zip(notes, values, strict=True):
        store(place, i, value)
