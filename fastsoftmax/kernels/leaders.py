"""The largest elements of each slice, where they are, and what softmax makes of them."""

from __future__ import annotations

import functools
from typing import Any

from fastsoftmax._jit import device, kernel_of
from fastsoftmax.kernels import exponential
from fastsoftmax.kernels.along import stage
from fastsoftmax.kernels.elements import computed_like, put_part
from fastsoftmax.kernels.groups import ROW_BYTES
from fastsoftmax.kernels.memory import advance, load_first, load_like, pointer
from fastsoftmax.kernels.operands import OPERANDS, bases_of
from fastsoftmax.kernels.operations import NEGATIVE_INFINITY, Operation, heat_for, shifted
from fastsoftmax.kernels.outcomes import SUMMARY_PARTS, frame_of, needs_shift
from fastsoftmax.kernels.steps import kept_alone, result
from fastsoftmax.kernels.strides import SUMMARY, TARGET, described, slice_at
from fastsoftmax.kernels.sums import block_length, lane_count, lanes
from fastsoftmax.kernels.values import Value, formula
from fastsoftmax.kernels.vectors import any_of, double, is_above, narrow, splat
from fastsoftmax.kernels.whole import degree_of
from fastsoftmax.kernels.workspaces import workspace


@device
def _insert(values: Any, places: Any, count: Any, kept: Any, x: Any, place: Any) -> None:
    """Put `x` behind all that are not smaller, of `kept` values; the last of `count` goes."""
    here = min(kept, count - 1)
    while here > 0 and values[here - 1] < x:
        values[here], places[here] = values[here - 1], places[here - 1]
        here -= 1
    values[here], places[here] = x, place


@device
def _among(x: Any, first: Any, length: Any, offset: Any, values: Any, places: Any, k: Any) -> None:
    """Insert what is above the smallest of the k largest so far."""
    step = lane_count(x)
    j = first
    while j < length:
        whole = length - j >= step
        if whole and not any_of(
            is_above(load_like(x, j, lanes(x)), splat(values[k - 1], lanes(x)))
        ):
            j += step
            continue
        for i in range(j, min(j + step, length)):
            if x[i] > values[k - 1]:
                _insert(values, places, k, k, x[i], offset + i)
        j += step


@formula
def _probabilities(
    operation: Operation, x: Value, by: Value, frame: Any, quotient: Any, scope: Any
) -> Value:
    """The results of some elements of a slice that is shifted by `by`."""
    numbers, heat = scope
    kept = kept_alone(operation, shifted(operation, x, by), numbers, frame, heat)
    return result(operation, kept, None, quotient, None)


@device
def _select(
    operation: Any, bases: Any, slice_: Any, length: Any, k: Any, homes: Any, call: Any, buffer: Any
) -> None:
    """Write the k largest of a slice and their places to `homes`, in order."""
    values, places = homes
    size, kept = block_length(buffer), 0
    for begin in range(0, length, size):
        count = min(size, length - begin)
        x = stage(operation, bases, slice_, begin, count, 0.0, call, buffer)
        j = 0
        while kept < k and j < count:
            value = x[j] if x[j] == x[j] else NEGATIVE_INFINITY
            _insert(values, places, k, kept, value, begin + j)
            kept += 1
            j += 1
        _among(x, j, count, begin, values, places, k)


@device
def _write(
    operation: Any, out: Any, values: Any, count: Any, known: Any, like: Any, scope: Any
) -> None:
    """Write the results of the elements `values`; `known` is the summary of their slice.

    In its frame, whatever those of their blocks: these make no difference to results.
    """
    high, top, low = known[0], known[1], known[2]
    numbers, heat = scope
    by = top if needs_shift(operation, top, like, numbers, heat) else 0.0
    frame, _ = frame_of(narrow(top - by, like), like, numbers, heat)
    group, step = lanes(like), lane_count(like)
    quotient = splat(narrow(high, like), group), splat(narrow(low, like), group)
    for i in range(0, count, step):
        x = narrow(load_first(values, i, double(group), count - i, 0.0), like)
        found = _probabilities(operation, x, narrow(by, like), frame, quotient, scope)
        put_part(out, i, found, None, count - i)


def _leaders(operation: Operation) -> Any:
    def leaders(
        source, target, second, mask, temperature, summary_, places, geometry, scratch, first, last
    ):
        """Write the k largest of the slices `first` to `last` - 1, in order.

        Their places, and what softmax makes of them.  Of equal ones the first comes first; NaN
        counts as -inf.  k is in the field for tiles' width; a slice's results and places lie side
        by side, and in `summary_`, after what is known of it, there is memory for k elements.
        """
        bases = bases_of(source, target, second, mask, temperature, summary_)
        like = computed_like(bases[TARGET])
        numbers = exponential.numbers(like)
        length, _, k, options, _, batch, dims = described(geometry)
        call, buffer = (batch, dims, options), workspace(like, ROW_BYTES)
        for slice_ in range(first, last):
            known = slice_at(bases[SUMMARY], slice_, batch, SUMMARY)
            values = advance(known, SUMMARY_PARTS)
            home = slice_at(pointer(places), slice_, batch, TARGET)
            _select(operation, bases, slice_, length, k, (values, home), call, buffer)
            out = slice_at(bases[TARGET], slice_, batch, TARGET)
            scope = numbers, heat_for(operation, degree_of(operation, bases, slice_, batch), like)
            _write(operation, out, values, k, known, like, scope)
            if known[0] != known[0]:  # and so are all results
                for i in range(k):
                    home[i] = i

    return kernel_of(leaders, f"leaders-{operation.name}", (*OPERANDS, "places"))


leaders = functools.cache(_leaders)
