"""Calls that are made again and again, recognised by machine code.

A call is the same as one before if its arrays lie the same way in memory and all else are the
same objects: numbers, dtypes, None, which nobody can change.  In Python it takes half a
microsecond to find that out, so it takes a fifth of that.  Small calls are then computed right
away, with no step through Python but NumPy's allocation of the result; of others the way is found.

Calls are recorded by and by, once many were made: to compile what recognises them takes a
third of a second, once on a machine.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from fastsoftmax import _launch, _shortcuts
from fastsoftmax._addresses import WORDS, offset
from fastsoftmax._arguments import MISSING
from fastsoftmax._compiling import compiling, undisturbed
from fastsoftmax._jit import Entry, device
from fastsoftmax._loops import ASKS_TWICE, RUN
from fastsoftmax._memory import numpy_empty
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
    are_as_expected,
    at,
    call_kernel,
    call_object,
    call_released,
    drop,
    follow,
    reference,
)

if TYPE_CHECKING:
    from fastsoftmax._facts import Direct
    from fastsoftmax._shortcuts import Way

Array = np.ndarray[Any, Any]

# Nanoseconds of work, roughly.  As long as a direct call takes, no other Python thread runs; and
# of a call that takes as long as the other, what is saved is next to nothing.
_MOST_DIRECT, _MOST_RECORDED = 5_000, 1_000_000
# Records are found by a hash of what most calls differ in, a few in the same place.
_SETS, _IN_SET = 64, 4
_MOST_RECORDS = _SETS * _IN_SET
_MOST_DIMS = 4
_ODD, _SHIFT, _WORD = 0x2545F4914F6CDD1D, 40, 2**64

# The arrays of a call, in the order of a way's arguments.
_ARRAYS = 5
_INPUT, _OUT, _WHERE, _SECOND, _TEMPERATURE = range(_ARRAYS)
# What a record tells of one of them.
_RANK = 0
"""Its dims and 1; 0: there is none."""
_DTYPE = 1
_SHAPE = 2
_STRIDES = _SHAPE + _MOST_DIMS
_SPAN = _STRIDES + _MOST_DIMS
"""Bytes before its first element, and from there on."""
_MAY_BE_OUT = _SPAN + 2
"""Whether `out` may begin where it does."""
_ALIGNED = _MAY_BE_OUT + 1
_STEP = _ALIGNED + 1
# The fields of a record, which come after those of all arrays, the input's first.  If that has
# no rank, nothing is recorded here.
_OBJECTS = _ARRAYS * _STEP
"""The arguments, first those that may be arrays."""
_COUNT = _ARRAYS + 5
_IGNORED = _OBJECTS + _COUNT
"""All bits for each argument that is an array, as any of its kind will do; else none."""
_CODE = _IGNORED + _COUNT
"""The machine code of a kernel; 0: the owner is a way, for Python to go,"""
_JOB = _CODE + 1
"""but for what threads can do of it (`_loops`), if there is that."""
_TABLE, _TASKS, _SCRATCH, _MAKE, _MAKE_WITH, _OWNER, _BESIDES = range(_JOB + 1, _JOB + 8)
"""From the last one on: the operands besides input and result; the first is 0 if there are none."""
_OTHERS = 4
_FIELDS = _BESIDES + _OTHERS
# The first record is none: it tells where two objects are.
_NONE, _ARRAY = 0, 1


_records = np.zeros((1 + _MOST_RECORDS, _FIELDS), np.int64)
_owners: list[Any] = [None] * (1 + _MOST_RECORDS)
"""What the records point to."""
_turns = itertools.cycle(range(_IN_SET))


# --- Recognising --------------------------------------------------------------------------


@device
def _are_equal(words, others, count):  # type: ignore[no-untyped-def]
    different = 0
    for i in range(count):
        different |= words[i] ^ others[i]
    return different == 0


@device
def _first_of_set(input, others):  # type: ignore[no-untyped-def]
    """The number of the first record among which a call is; see `_set_of`."""
    mixed, ndim = input[DTYPE], input[NDIM] & INT
    for other in others:
        mixed = (mixed ^ other) * _ODD
    shape, strides = follow(input, SHAPE), follow(input, STRIDES)
    for i in range(ndim):
        mixed = (((mixed ^ shape[i]) * _ODD) ^ strides[i]) * _ODD
    return 1 + ((mixed >> _SHIFT) & (_SETS - 1)) * _IN_SET


def _set_of(input: Array, *others: int) -> int:
    """The same in Python."""
    lying = zip(input.shape, input.strides, strict=True)
    mixed = id(input.dtype)
    for number in (*others, *itertools.chain.from_iterable(lying)):
        mixed = (mixed ^ (number % _WORD)) * _ODD % _WORD
    return 1 + ((mixed >> _SHIFT) & (_SETS - 1)) * _IN_SET


@device
def _lies_alike(record, array, records):  # type: ignore[no-untyped-def]
    """Whether an object is an array like the one that is recorded."""
    ndim = record[_RANK] - 1
    return (
        array[TYPE] == records[_ARRAY]
        and array[NDIM] & INT == ndim
        and array[DTYPE] == record[_DTYPE]
        and array[FLAGS] & ALIGNED == record[_ALIGNED]
        and _are_equal(offset(record, _SHAPE), follow(array, SHAPE), ndim)
        and _are_equal(offset(record, _STRIDES), follow(array, STRIDES), ndim)
    )


@device
def _may_write(record, out, arrays):  # type: ignore[no-untyped-def]
    """Whether results can go to `out` as they are made, like what is recorded otherwise."""
    if out[FLAGS] & WRITEABLE == 0:
        return False
    mine, begin = offset(record, _OUT * _STEP), out[DATA]
    for number in range(_ARRAYS):
        other = offset(record, number * _STEP)
        if number == _OUT or other[_RANK] == 0:
            continue
        place = at(arrays[number])[DATA]
        is_before = begin + mine[_SPAN + 1] <= place - other[_SPAN]
        is_after = place + other[_SPAN + 1] <= begin - mine[_SPAN]
        if not (is_before | is_after | ((place == begin) & (other[_MAY_BE_OUT] != 0))):
            return False
    return True


@device
def _is_recorded(record, given, records):  # type: ignore[no-untyped-def]
    """Whether a call is the recorded one."""
    different = 0
    for i in range(_COUNT):
        different |= (record[_OBJECTS + i] ^ given[i]) & ~record[_IGNORED + i]
    if record[_RANK] == 0 or different != 0:
        return False
    for number in range(_ARRAYS):
        known = offset(record, number * _STEP)
        if known[_RANK] != 0 and not _lies_alike(known, at(given[number]), records):
            return False
    return record[_OUT * _STEP + _RANK] == 0 or _may_write(record, at(given[_OUT]), given)


@device
def _others(record, where, second):  # type: ignore[no-untyped-def]
    """The operands besides input and result, for kernels that have them."""
    other, mask = follow(record, _BESIDES), follow(record, _BESIDES + 1)
    if record[_SECOND * _STEP + _RANK] != 0:
        other = follow(second, DATA)
    if record[_WHERE * _STEP + _RANK] != 0:
        mask = follow(where, DATA)
    return other, mask, follow(record, _BESIDES + 2), follow(record, _BESIDES + 3)


@device
def _compute(record, input, result, where, second):  # type: ignore[no-untyped-def]
    """Have the kernel of a record do all of a call."""
    code, tasks = follow(record, _CODE), record[_TASKS]
    table, scratch = follow(record, _TABLE), follow(record, _SCRATCH)
    both = follow(input, DATA), follow(result, DATA)
    if record[_BESIDES] == 0:
        call_kernel(code, both + (table, scratch), tasks)  # noqa: RUF005
    else:
        operands = both + _others(record, where, second)
        call_kernel(code, operands + (table, scratch), tasks)  # noqa: RUF005


@device
def _share_out(record, input, result, where, second):  # type: ignore[no-untyped-def]
    """Have threads do all of a call, or nothing; returns whether they did."""
    job, table = follow(record, _JOB), follow(record, _TABLE)
    both = follow(input, DATA), follow(result, DATA)
    if record[_BESIDES] == 0:
        return call_released(job, RUN, both + (table,))  # noqa: RUF005
    operands = both + _others(record, where, second)
    return call_released(job, RUN, operands + (table,))  # noqa: RUF005


def _recall(records, name, input, dim, dtype, axis, out, where, temperature, workers, second):  # type: ignore[no-untyped-def]
    """The result of a recorded call, or its way; None for any other call."""
    nothing = follow(records, _NONE)
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
    if input[TYPE] != records[_ARRAY]:
        return reference(nothing)
    is_fresh = address(out) == address(nothing)
    degrees = 0 if temperature[TYPE] == records[_ARRAY] else address(temperature)
    shown = address(nothing) if address(where) == address(nothing) else 0
    target = address(nothing) if is_fresh else 0
    first = _first_of_set(
        input, (address(name), address(dim), address(dtype), degrees, shown, target)
    )
    for number in range(first, first + _IN_SET):
        record = offset(records, number * _FIELDS)
        if not _is_recorded(record, given, records):
            continue
        owner = reference(follow(record, _OWNER))
        is_job = record[_CODE] == 0
        if is_job and record[_JOB] == 0:
            return owner
        if is_fresh:
            result = call_object(follow(record, _MAKE), follow(record, _MAKE_WITH))
        else:
            result = reference(out)
        # While Python ran, another thread may have recorded another call in this place.
        is_there = record[_OWNER] == address(owner)
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


def ready() -> None:
    """Compile what recognises calls, or read it from the cache."""
    undisturbed(_entry.compile)


# --- Recording ----------------------------------------------------------------------------


def record_call(key: Any, arguments: tuple[Any, ...], second: Any, way: Way) -> None:
    """Have calls like this one recognised, if that is worth it."""
    facts, name = getattr(way, "facts", None), key[0]
    input, dim, dtype, axis, out, where, temperature, workers = arguments
    if facts is None or facts.cost > _MOST_RECORDED:
        return
    is_array = temperature.__class__ is np.ndarray
    if is_array and temperature.size == 1:  # the same object may come to be another number
        return
    arrays = input, out, where, second, temperature if is_array else None
    if any(
        each is not None and (each.__class__ is not np.ndarray or each.ndim > _MOST_DIMS)
        for each in arrays
    ):
        return
    direct = facts.direct
    job = None if direct is None or direct.job is None else direct.job.words()
    aligned = all(each is None or each.flags.aligned for each in arrays)  # ways look themselves
    too_long = facts.cost > _MOST_DIRECT if job is None else not _launch.survives_threads()
    if too_long or not aligned or (out is None and direct and not direct.shape):
        direct = None
    # Equal calls whose objects are others each time would take all places.
    whole_key = key, axis is MISSING
    if any(owner is not None and owner[0] == whole_key for owner in _owners):
        return
    given = None if is_array else temperature, name, dim, dtype, axis, workers
    fields = np.zeros(_FIELDS, np.int64)
    fields[_OBJECTS : _OBJECTS + _TEMPERATURE] = id(None)
    fields[_OBJECTS + _TEMPERATURE : _OBJECTS + _COUNT] = [id(each) for each in given]
    for number, each in enumerate(arrays):
        if each is not None:
            first = number * _STEP
            fields[first : first + _STEP] = _described(each, out, number in {_INPUT, _SECOND})
            fields[_IGNORED + number] = -1
    owner: Any = way
    if direct is not None:
        owner = _directed(fields, direct, job, way)
    fields[_OWNER] = id(owner)
    if not _open():
        return
    dtypes = [None if each is None else each.dtype for each in arrays]
    degrees = 0 if is_array else id(temperature)
    shown, target = (id(None) if each is None else 0 for each in (where, out))
    first = _set_of(input, id(name), id(dim), id(dtype), degrees, shown, target)
    with compiling():
        free = (each for each in range(_IN_SET) if _records[first + each, _RANK] == 0)
        number = first + next(free, next(_turns))
        # A call of another thread may come between any two statements.
        place = _records[number]
        place[_RANK] = 0
        _owners[number] = whole_key, owner, given, dtypes, numpy_empty
        place[_RANK + 1 :] = fields[_RANK + 1 :]
        place[_RANK] = fields[_RANK]


def _directed(fields: Array, direct: Direct, job: Array | None, way: Way) -> Any:
    """Describe what computes directly, `job` or a kernel; returns who keeps all that it needs."""
    owner: Any = way
    made_with = direct.shape, direct.dtype
    if job is None:
        scratch = numpy_empty(direct.scratch, np.uint8)
        owner = direct, scratch, made_with
        fields[_CODE] = direct.kernel.address(direct.stored)[0]
        fields[_TASKS], fields[_SCRATCH] = direct.tasks, scratch.ctypes.data
    else:
        # Threads may use it while another thread records another call in this place.
        job, made_with = vars(way).setdefault("recorded", (job.copy(), made_with))
        job[ASKS_TWICE] = 1
        fields[_JOB] = job.ctypes.data
    fields[_TABLE] = direct.table.ctypes.data
    fields[_MAKE], fields[_MAKE_WITH] = id(numpy_empty), id(made_with)
    if direct.besides:
        fields[_BESIDES:_FIELDS] = [each.ctypes.data for each in direct.besides]
    return owner


def _described(array: Array, out: Array | None, may_be_out: bool) -> Array:
    """The fields of one of the arrays of a call."""
    fields = np.zeros(_STEP, np.int64)
    fields[_RANK], fields[_DTYPE] = array.ndim + 1, id(array.dtype)
    fields[_SHAPE : _SHAPE + array.ndim] = array.shape
    fields[_STRIDES : _STRIDES + array.ndim] = array.strides
    fields[_SPAN : _SPAN + 2] = _span(array)
    fields[_ALIGNED] = array.flags.num & ALIGNED
    if out is not None and may_be_out:
        alike = (out.shape, out.strides, out.dtype) == (array.shape, array.strides, array.dtype)
        fields[_MAY_BE_OUT] = alike
    return fields


def _span(array: Array) -> tuple[int, int]:
    low, high = byte_bounds(array)
    begin = array.ctypes.data
    return begin - low, high - begin


def _open() -> bool:
    """Let calls be recognised from now on."""
    if _shortcuts.records is _records:
        return True
    if not are_as_expected():
        _shortcuts.record = None
        return False
    _records[0, [_NONE, _ARRAY]] = id(None), id(np.ndarray)
    entry = undisturbed(_entry.compile)
    _shortcuts.records = _records
    _shortcuts.recall = entry
    return True
