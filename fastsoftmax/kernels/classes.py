"""Slices of one length, known when code is built, that lie side by side: classes' scores.

As kernels/narrow.py does it, but what depends on the length is settled beforehand: how slices
become columns (kernels/turns.py), which are written to a tile in the first-level cache, and
come back as results.  Softmax and its logarithm; a temperature is that of all slices, and a mask
that of all, or one with an element for each of theirs.
"""

from __future__ import annotations

import functools
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from fastsoftmax._jit import device
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.cells import common_degree
from fastsoftmax.kernels.class_results import (
    copy_up_to,
    deliver_first,
    line_at,
    masks_at,
    repeated,
    slices_before_grid,
    span_of_strip,
    stream_lines,
)
from fastsoftmax.kernels.elements import (
    computed_like,
    fetch,
    put,
    put_past_caches,
)
from fastsoftmax.kernels.few import raised_by
from fastsoftmax.kernels.groups import AHEAD_BYTES, workspace_for
from fastsoftmax.kernels.memory import (
    LINE_BYTES,
    advance,
    clear,
    elements_before_line,
    is_set,
    line_count,
    load,
    load_like,
    store,
    store_part,
    stream_fence,
)
from fastsoftmax.kernels.operands import kernel_over
from fastsoftmax.kernels.operations import (
    COPY,
    MASKED,
    NEGATED,
    NEGATIVE_INFINITY,
    Operation,
    cool_for,
    gradual_of,
    heat_for,
    hidden,
    hidden_result,
)
from fastsoftmax.kernels.outcomes import coefficients
from fastsoftmax.kernels.steps import begin, parts, result, totals
from fastsoftmax.kernels.strides import MASK, SOURCE, TARGET, described, is_far, strides_of
from fastsoftmax.kernels.sums import SINGLE, lane_count
from fastsoftmax.kernels.tiles import (
    STRIP_BYTES,
    framed,
    settle,
    strip_count,
    strip_like,
    sum_pairs,
)
from fastsoftmax.kernels.turns import columns_of, vectors_of
from fastsoftmax.kernels.underflow import expects_underflow, forget_underflows, holds_subnormal
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import choose, double, splat, vector, vector_count
from fastsoftmax.kernels.workspaces import keep, kept, workspace, workspace_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_CLASSES, MOST_CLASSES = 2, SINGLE
"""Slices that have one lane."""
# Strips that go through each step together, at the most: as many as take 6 KiB, four if they
# take 24 KiB at the most.
_STRIPS, _TILES_BYTES, _LARGE_TILES_BYTES = 8, 6144, 24576
_TOPS_BYTES = _STRIPS * STRIP_BYTES
# What is known of all slices at a time, in float64 at the most.
_KNOWN_BYTES, _SUMS_BYTES = 5 * 2 * _TOPS_BYTES, 3 * 2 * _TOPS_BYTES


def _shown(shown: Value, j: int, elements: Value, fill: Value) -> Value:
    """The elements from number `j` on that their mask at `shown` leaves in, else `fill`."""
    return choose(is_set(shown, j, elements), elements, splat(fill, elements))


@formula
def _turn(
    operation: Operation,
    asked: int,
    tile: Value,
    tops: Value,
    x: Value,
    shown: Value,
    classes: int,
) -> None:
    """Write slices at `x`, as many as a vector has elements, to the tile."""
    like, step = vector(tile), vector_count(tile)

    def given(j: int) -> Value:
        found = fetch(x, j, like)
        if asked & NEGATED:
            found = -found
        if asked & MASKED:
            found = _shown(shown, j, found, hidden(operation, tile))
        return found

    def stored() -> Iterator[Value]:
        columns = columns_of(lambda i: given(i * step), classes, step)
        for i, column in enumerate(columns):
            store(tile, i * strip_count(tile), column)
            yield column

    store(tops, 0, raised_by(splat(NEGATIVE_INFINITY, like), stored(), classes))


@formula
def _fill_up(tile: Value, tops: Value, classes: int) -> None:
    """Write as many slices of zeros."""
    nothing = vector(tile)
    for i in range(classes):
        store(tile, i * strip_count(tile), nothing)
    store(tops, 0, nothing)


@formula
def _turn_back(
    operation: Operation,
    asked: int,
    out: Value,
    tile: Value,
    notes: Any,
    cool: Any,
    shown: Value,
    classes: int,
    streaming: bool,
) -> None:
    """Write the results of as many slices to `out`."""
    step = vector_count(tile)
    coefficients = tuple(load(place, 0) for place in notes)

    def found(i: int) -> Value:
        return result(operation, load(tile, i * strip_count(tile)), None, coefficients, cool)

    vectors = vectors_of(found, classes, step)
    # Past the caches, what fills a line has to come at once.
    for i, each in sorted(vectors, key=itemgetter(0)) if streaming else vectors:
        results = each
        if asked & MASKED:
            results = _shown(shown, i * step, each, hidden_result(operation, tile))
        (put_past_caches if streaming else put)(out, i * step, results)


@device
def _resolve_gradually(operation: Any, tile: Any, classes: Any, quotient: Any) -> None:
    """Replace what was kept of slices, some of whose results are subnormal, by the results."""
    for i in range(classes):
        x = load_like(tile, i * strip_count(tile), quotient[0])
        store(tile, i * strip_count(tile), result(gradual_of(operation), x, None, quotient, None))


# --- The kernel ---------------------------------------------------------------------------


def _of_classes(operation: Operation, classes: int, asked: int) -> Any:
    # With the rows that are read beyond the last one.
    tile_bytes, lines = (classes + 2) * STRIP_BYTES, classes * STRIP_BYTES
    most = min(_STRIPS, max(4, _TILES_BYTES // tile_bytes), _LARGE_TILES_BYTES // tile_bytes)
    tiles_bytes = most * tile_bytes
    # The strips that are asked for while sums are taken, counted from these.
    ahead = most + AHEAD_BYTES // lines
    # With what was held on of a line, and a line read beyond.
    staged_bytes = lines + 2 * LINE_BYTES
    masked = asked & MASKED > 0

    @device
    def write_strip(place, strip, notes, cool, is_resolved, staged, how):
        """Write the results of a strip: ``(tile, where to, masks, number of slices)``.

        Past the caches, `place` is the line that they begin in, with how many of its elements are
        not there, and how many are there or held on.  Returns that of the next strip.
        """
        tile, target, shown, present = strip
        out_line, began, held = place
        streaming, fills_lines = how
        whole, aligned = present == strip_count(tile), held == 0 and fills_lines
        for part in range(0, present, vector_count(tile)):
            mine, at = advance(tile, part), part * classes
            here = advance(notes[0], part), advance(notes[1], part)
            out, seen = advance(target, at), advance(shown, at)
            if is_resolved:
                if not whole or (streaming and not aligned):
                    out = advance(staged, held + at)
                _turn_back(COPY, asked, out, mine, here, None, seen, classes, False)
            elif whole and streaming and aligned:
                _turn_back(operation, asked, out, mine, here, cool, seen, classes, True)
            else:
                if streaming or not whole:
                    out = advance(staged, held + at)
                _turn_back(operation, asked, out, mine, here, cool, seen, classes, False)
        if not streaming and not whole:
            deliver_first(staged, target, present * classes)
        elif streaming and not (whole and aligned):
            results = held + present * classes
            done = stream_lines(staged, out_line, began, results)
            began = began if done == 0 else 0
            out_line, held = advance(out_line, done), results - done
        elif streaming:
            out_line = advance(out_line, present * classes)
        return out_line, began, held

    @device
    def body(bases, _options, geometry, _scratch, first, last):
        """All steps for the groups of slices `first` to `last` - 1: as many as there are lanes.

        By strips.  The first and last may have fewer: zeros stand for the others.
        """
        source, target = bases[SOURCE], bases[TARGET]
        like = computed_like(target)
        numbers, degree = exponential.numbers(like), common_degree(operation, bases)
        _, streaming, _, _, _, axes, dims = described(geometry)
        slices = axes[1][0]
        tiles, tops = workspace(like, tiles_bytes), workspace(like, _TOPS_BYTES)
        notes = workspace(like, _TOPS_BYTES), workspace(like, _TOPS_BYTES)
        last_ones, staged = (
            workspace_for(source, like, lines),
            workspace(target, staged_bytes),
        )
        masks, masks_apart = bases[MASK], classes
        last_masks = workspace_for(masks, like, lines)
        same_masks = workspace_for(masks, like, lines)
        group, strip, step = strip_like(like), strip_count(like), vector_count(like)
        scope = numbers, heat_for(operation, splat(degree, double(group)), like)
        cool = cool_for(operation, splat(degree, double(vector(like))), like)
        size, elements = (classes + 2) * strip, classes * strip
        if masked and strides_of(axes, MASK)[0] == 0:
            apart = strides_of(dims, MASK)[0]
            masks, masks_apart = repeated(masks, apart, classes, same_masks, elements), 0
        later = ahead * elements if is_far(geometry) else 0
        # Lines of results that pass the caches must not be asked for.
        asks = is_far(geometry) and not streaming
        justified = not expects_underflow(operation)
        known, sums = workspace_bytes(like, _KNOWN_BYTES), workspace_bytes(like, _SUMS_BYTES)
        start = framed(operation, group, scope)
        # Strips that end within a line are streamed with what was held on.
        fills_lines = elements % line_count(target) == 0
        before = slices_before_grid(target, classes, strip) if streaming and fills_lines else 0
        first *= lane_count(like) // strip
        last = min(last * (lane_count(like) // strip), (slices + before + strip - 1) // strip)
        out_line = advance(target, max(0, first * strip - before) * classes)
        began = 0
        if streaming:
            began = (line_count(target) - elements_before_line(out_line)) % line_count(target)
        place, how = (advance(out_line, -began), began, began), (streaming, fills_lines)
        for i in range(min(most, last - first)):  # the rows that are read beyond
            clear(advance(tiles, i * size + elements), 2 * strip)
        for now in range(first, last, most):
            count, expected = min(most, last - now), expects_underflow(operation)
            resolved = 0  # a bit for each strip whose results stand in its tile
            for i in range(count):
                at, present = span_of_strip(now + i, strip, before, slices)
                x, shown = advance(source, at * classes), masks
                if masked:
                    shown = masks_at(masks, at * masks_apart, present, strip, classes, last_masks)
                turned = (present + step - 1) // step * step
                if present < strip:
                    x = copy_up_to(x, last_ones, present * classes, turned * classes)
                for part in range(0, strip, step):
                    mine, top = advance(tiles, i * size + part), advance(tops, i * strip + part)
                    given, seen = advance(x, part * classes), advance(shown, part * classes)
                    if part < turned:
                        _turn(operation, asked, mine, top, given, seen, classes)
                    else:
                        _fill_up(mine, top, classes)
            for i in range(count):
                tile, top = advance(tiles, i * size), load_like(tops, i * strip, group)
                settled = settle(operation, tile, strip, classes, top, scope)
                keep(known, i, framed(operation, settled, scope))
            for i in range(count):
                top, _, frame, back = kept(known, i, start)
                here = (now + i) * elements - before * classes
                coming, out = advance(source, here + later), staged
                if asks:
                    out = advance(target, here)
                found = sum_pairs(
                    operation,
                    advance(tiles, i * size),
                    strip,
                    classes,
                    top,
                    scope,
                    frame,
                    back,
                    (coming, out, strip),
                )
                keep(sums, i, found)
            for i in range(count):
                top, k, _, _ = kept(known, i, start)
                found = kept(sums, i, begin(operation, group))
                high, low, ties = parts(totals(operation, found, True))
                state = double(top), double(k), high, low, ties
                first_top = load_like(tops, i * strip, group)
                found = coefficients(operation, state, double(first_top), like, *scope, True)
                store(notes[0], i * strip, found[0])
                store(notes[1], i * strip, found[1])
                tile = advance(tiles, i * size)
                if expected and holds_subnormal(tile, strip, classes, found):
                    _resolve_gradually(operation, tile, classes, found)
                    resolved, justified = resolved | 1 << i, True
            for i in range(count):
                at, present = span_of_strip(now + i, strip, before, slices)
                shown = masks
                if masked:
                    shown = masks_at(masks, at * masks_apart, present, strip, classes, last_masks)
                results = advance(tiles, i * size), advance(target, at * classes), shown, present
                mine = advance(notes[0], i * strip), advance(notes[1], i * strip)
                is_resolved = resolved >> i & 1 != 0
                place = write_strip(place, results, mine, cool, is_resolved, staged, how)
        out_line, began, held = place
        if held > 0:
            store_part(out_line, 0, line_at(staged, 0), began, held)
        if not justified:
            forget_underflows()
        if streaming:
            stream_fence(target)

    bare = not (operation.tempered or asked)
    said = (MASKED, "-masked"), (NEGATED, "-negated")
    besides = "".join(word for option, word in said if asked & option)
    return kernel_over(body, f"{operation.name}-of-{classes}{besides}", bare=bare)


of_classes = functools.cache(_of_classes)
