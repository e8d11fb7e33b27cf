"""What is done to a cell: the columns of a task, filled into tiles and emptied from them."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.memory import advance, load_like, store
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
    last_step,
    run_at,
    run_from,
    zero,
)
from fastsoftmax.kernels.sums import LANES_BYTES
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import count_of, double, splat
from fastsoftmax.kernels.workspaces import workspace, workspace_double

_DOUBLES_BYTES = 8 * LANES_BYTES


@device
def fill(
    operation: Any, bases: Any, tiles: Any, pitch: Any, tops: Any, cell: Any, span: Any, call: Any
) -> None:
    """Pack the columns of a cell, rows `span` of its slices, as the operation wants them."""
    length, high = span[1], cell[3]
    _, dims, options = call
    tile, other = tiles
    _pack_rows(tile, pitch, tops, bases[SOURCE], SOURCE, cell, span, call)
    if options & NEGATED != 0:
        negate(tile, pitch, length, high)
    if options & MASKED != 0:
        _hide_rows(tile, pitch, bases[MASK], cell, span, call, hidden(operation, tile))
    if options & (NEGATED | MASKED) != 0 or dims[0] > 1:
        raise_tops(tile, pitch, tops, length, high)
    if inputs_of(operation) == 2:
        unused = workspace(tile, GROUP_BYTES)
        _pack_rows(other, pitch, unused, bases[SECOND], SECOND, cell, span, call)
        if options & MASKED != 0:
            _hide_rows(other, pitch, bases[MASK], cell, span, call, zero(tile))


@device
def _pack_rows(
    tile: Any, pitch: Any, tops: Any, base: Any, operand: Any, cell: Any, span: Any, call: Any
) -> None:
    """Copy rows of a cell to the tile: those of a run at a time, whose maxima `tops` become."""
    x = run_at(base, cell[0], cell[1], call[0], operand)
    start, length = span
    done = 0
    while done < length:
        offset, step, rows = run_from(start + done, length - done, call[1], operand)
        here = advance(tile, done * pitch)
        pack(here, pitch, tops, advance(x, offset), step, rows, cell[2], cell[3])
        done += rows


@device
def _hide_rows(
    tile: Any, pitch: Any, base: Any, cell: Any, span: Any, call: Any, fill: Any
) -> None:
    """Replace what the mask leaves out in rows of a cell."""
    axes, dims, _ = call
    shown = run_at(base, cell[0], cell[1], axes, MASK)
    across = last_step(axes, MASK)
    start, length = span
    done = 0
    while done < length:
        offset, step, rows = run_from(start + done, length - done, dims, MASK)
        here, steps = advance(tile, done * pitch), (step, across)
        hide_columns(here, pitch, rows, cell[2], cell[3], advance(shown, offset), steps, fill)
        done += rows


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
    length, high = span[1], cell[3]
    if call[2] & MASKED == 0 and not gradual:
        _unpack_rows(operation, tiles, pitch, notes, bases[TARGET], cell, span, call, streaming)
        return
    if gradual:
        resolve(gradual_of(operation), tiles, pitch, notes, length, high)
    else:
        resolve(operation, tiles, pitch, notes, length, high)
    if call[2] & MASKED != 0:
        nothing = hidden_result(operation, tiles[0])
        _hide_rows(tiles[0], pitch, bases[MASK], cell, span, call, nothing)
    _unpack_rows(COPY, tiles, pitch, notes, bases[TARGET], cell, span, call, streaming)


@device
def _unpack_rows(
    operation: Any,
    tiles: Any,
    pitch: Any,
    notes: Any,
    base: Any,
    cell: Any,
    span: Any,
    call: Any,
    streaming: Any,
) -> None:
    """Write the results of rows of a cell, those of a run at a time."""
    out = run_at(base, cell[0], cell[1], call[0], TARGET)
    start, length = span
    done = 0
    while done < length:
        offset, step, rows = run_from(start + done, length - done, call[1], TARGET)
        here = advance(tiles[0], done * pitch), advance(tiles[1], done * pitch)
        place = advance(out, offset)
        unpack(operation, here, pitch, notes, place, step, rows, cell[2], cell[3], streaming)
        done += rows


@device
def common_degree(operation: Any, bases: Any) -> Any:
    """The temperature of slices that have one, in float64."""
    return bases[TEMPERATURE][0] if uses_temperature(operation) else 1.0


@device
def degrees_of(operation: Any, bases: Any, cell: Any, i: Any, axes: Any, group: Any) -> Any:
    """The temperatures of the columns from `i` on, as many as `group` has, in float64."""
    degrees = double(splat(1.0, group))
    if uses_temperature(operation):
        batch, begin, low, high = cell
        place = run_at(bases[TEMPERATURE], batch, begin, axes, TEMPERATURE)
        step = last_step(axes, TEMPERATURE)
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
    step = last_step(axes, SUMMARY)
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
    count = 2 if cool_for(operation, double(zero(like)), like) is None else 4
    return tuple(workspace(like, size) for _ in range(count))


@formula
def note(notes: Any, i: Any, found: Any, cool: Any) -> None:
    """Write what the results of the strip from column `i` on are made with."""
    values = tuple(found) if cool is None else (*found, *cool)
    for place, value in zip(notes, values, strict=True):
        store(place, i, value)
