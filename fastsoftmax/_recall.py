"""Calls that are made again and again, recognised by machine code.

A call is the same as one before if its arrays lie the same way in memory and all else are the
same objects: numbers, dtypes, None, which nobody can change.  In Python it takes half a
microsecond to find that out, so it takes a fifth of that.  Small calls are then computed right
away, with no step through Python but NumPy's allocation of the result; of others the way is found.

Calls are recorded (`_recording`) by and by, once many were made: to compile what recognises them
takes a third of a second, once on a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax._addresses import WORDS, offset
from fastsoftmax._compiling import undisturbed
from fastsoftmax._jit import Entry, device
from fastsoftmax._loops import RUN
from fastsoftmax._objects import (
    ALIGNED,
    DATA,
    DTYPE,
    FLAGS,
    INT,
    NDIM,
    NEW_REFERENCE,
    OBJECT,
    SHAPE,
    STRIDES,
    TYPE,
    WRITEABLE,
    address,
    at,
    call_kernel,
    call_object,
    call_released,
    drop,
    follow,
    reference,
)
from fastsoftmax._records import (
    ALIGNED_AT,
    ARRAY,
    ARRAYS,
    BESIDES_AT,
    CODE_AT,
    COUNT,
    DTYPE_AT,
    FIELDS,
    IGNORED_AT,
    IN_SET,
    JOB_AT,
    MAKE_AT,
    MAKE_WITH_AT,
    MAY_BE_OUT_AT,
    NONE,
    OBJECTS_AT,
    ODD,
    OUT,
    OWNER_AT,
    RANK_AT,
    SCRATCH_AT,
    SECOND,
    SETS,
    SHAPE_AT,
    SHIFT,
    SPAN_AT,
    STEP,
    STRIDES_AT,
    TABLE_AT,
    TASKS_AT,
    WHERE,
)

Array = np.ndarray[Any, Any]

if TYPE_CHECKING:
    from collections.abc import Callable


@device
def _are_equal(words, others, count):  # type: ignore[no-untyped-def]
    different = 0
    for i in range(count):
        different |= words[i] ^ others[i]
    return different == 0


@device
def _first_of_set(input, others):  # type: ignore[no-untyped-def]
    """The number of the first record among which a call is; as `_recording` does."""
    mixed, ndim = input[DTYPE], input[NDIM] & INT
    for other in others:
        mixed = (mixed ^ other) * ODD
    shape, strides = follow(input, SHAPE), follow(input, STRIDES)
    for i in range(ndim):
        mixed = (((mixed ^ shape[i]) * ODD) ^ strides[i]) * ODD
    return 1 + ((mixed >> SHIFT) & (SETS - 1)) * IN_SET


@device
def _lies_alike(record, array, records):  # type: ignore[no-untyped-def]
    """Whether an object is an array like the one that is recorded."""
    ndim = record[RANK_AT] - 1
    return (
        array[TYPE] == records[ARRAY]
        and array[NDIM] & INT == ndim
        and array[DTYPE] == record[DTYPE_AT]
        and array[FLAGS] & ALIGNED == record[ALIGNED_AT]
        and _are_equal(offset(record, SHAPE_AT), follow(array, SHAPE), ndim)
        and _are_equal(offset(record, STRIDES_AT), follow(array, STRIDES), ndim)
    )


@device
def _may_write(record, out, arrays):  # type: ignore[no-untyped-def]
    """Whether results can go to `out` as they are made.

    It is writeable and apart from each other array, or begins where one does that it may be.
    """
    if out[FLAGS] & WRITEABLE == 0:
        return False
    mine, begin = offset(record, OUT * STEP), out[DATA]
    for number in range(ARRAYS):
        other = offset(record, number * STEP)
        if number == OUT or other[RANK_AT] == 0:
            continue
        place = at(arrays[number])[DATA]
        is_before = begin + mine[SPAN_AT + 1] <= place - other[SPAN_AT]
        is_after = place + other[SPAN_AT + 1] <= begin - mine[SPAN_AT]
        if not (is_before | is_after | ((place == begin) & (other[MAY_BE_OUT_AT] != 0))):
            return False
    return True


@device
def _is_recorded(record, given, records):  # type: ignore[no-untyped-def]
    """Whether a call is the recorded one."""
    different = 0
    for i in range(COUNT):
        different |= (record[OBJECTS_AT + i] ^ given[i]) & ~record[IGNORED_AT + i]
    if record[RANK_AT] == 0 or different != 0:
        return False
    for number in range(ARRAYS):
        known = offset(record, number * STEP)
        if known[RANK_AT] != 0 and not _lies_alike(known, at(given[number]), records):
            return False
    return record[OUT * STEP + RANK_AT] == 0 or _may_write(record, at(given[OUT]), given)


@device
def _others(record, where, second):  # type: ignore[no-untyped-def]
    """The operands besides input and result, for kernels that have them."""
    other, mask = follow(record, BESIDES_AT), follow(record, BESIDES_AT + 1)
    if record[SECOND * STEP + RANK_AT] != 0:
        other = follow(second, DATA)
    if record[WHERE * STEP + RANK_AT] != 0:
        mask = follow(where, DATA)
    return other, mask, follow(record, BESIDES_AT + 2), follow(record, BESIDES_AT + 3)


@device
def _compute(record, input, result, where, second):  # type: ignore[no-untyped-def]
    """Have the kernel of a record do all of a call."""
    code, tasks = follow(record, CODE_AT), record[TASKS_AT]
    table, scratch = follow(record, TABLE_AT), follow(record, SCRATCH_AT)
    both = follow(input, DATA), follow(result, DATA)
    if record[BESIDES_AT] == 0:
        call_kernel(code, both + (table, scratch), tasks)  # noqa: RUF005
    else:
        operands = both + _others(record, where, second)
        call_kernel(code, operands + (table, scratch), tasks)  # noqa: RUF005


@device
def _share_out(record, input, result, where, second):  # type: ignore[no-untyped-def]
    """Have threads do all of a call, or nothing; returns whether they did."""
    job, table = follow(record, JOB_AT), follow(record, TABLE_AT)
    both = follow(input, DATA), follow(result, DATA)
    if record[BESIDES_AT] == 0:
        return call_released(job, RUN, both + (table,))  # noqa: RUF005
    operands = both + _others(record, where, second)
    return call_released(job, RUN, operands + (table,))  # noqa: RUF005


def _recall(records, name, input, dim, dtype, axis, out, where, temperature, workers, second):  # type: ignore[no-untyped-def]
    """The result of a recorded call, or its way; None for any other call."""
    nothing = follow(records, NONE)
    given = (
        address(input),
        address(out),
        address(where),
        address(second),
        address(temperature),
        address(name),
        address(dim),
        address(dtype),
        address(axis),
        address(workers),
    )
    if input[TYPE] != records[ARRAY]:
        return reference(nothing)
    is_fresh = address(out) == address(nothing)
    degrees = 0 if temperature[TYPE] == records[ARRAY] else address(temperature)
    shown = address(nothing) if address(where) == address(nothing) else 0
    target = address(nothing) if is_fresh else 0
    first = _first_of_set(
        input, (address(name), address(dim), address(dtype), degrees, shown, target)
    )
    for number in range(first, first + IN_SET):
        record = offset(records, number * FIELDS)
        if not _is_recorded(record, given, records):
            continue
        owner = reference(follow(record, OWNER_AT))
        is_job = record[CODE_AT] == 0
        if is_job and record[JOB_AT] == 0:
            return owner
        if is_fresh:
            result = call_object(follow(record, MAKE_AT), follow(record, MAKE_WITH_AT))
        else:
            result = reference(out)
        # While Python ran, another thread may have recorded another call in this place.
        is_there = record[OWNER_AT] == address(owner)
        if address(result) != 0 and is_there:
            if not is_job:
                _compute(record, input, result, where, second)
            elif not _share_out(record, input, result, where, second):
                drop(result)
                return owner
        drop(owner)
        if address(result) != 0 and not is_there:
            drop(result)
            return reference(nothing)
        return result
    return reference(nothing)


_entry = Entry(_recall, "recall", NEW_REFERENCE, (WORDS, *(OBJECT,) * 10))


def ready() -> Callable[..., Any]:
    """What recognises calls, compiled or read from the cache."""
    return undisturbed(_entry.compile)
