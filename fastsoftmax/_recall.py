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
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from fastsoftmax import _shortcuts
from fastsoftmax._arguments import MISSING
from fastsoftmax._compiling import compiling, undisturbed
from fastsoftmax._jit import Entry, device
from fastsoftmax._memory import numpy_empty
from fastsoftmax._objects import (
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
    WORDS,
    WRITEABLE,
    address,
    are_as_expected,
    beyond,
    call_kernel,
    call_object,
    drop,
    follow,
    reference,
)

if TYPE_CHECKING:
    from fastsoftmax._jit import Kernel
    from fastsoftmax._shortcuts import Way

Array = np.ndarray[Any, Any]

# Nanoseconds of work, roughly.  As long as a direct call takes, no other Python thread runs; and
# of a call that takes as long as the other, what is saved is next to nothing.
_MOST_DIRECT, _MOST_RECORDED = 5_000, 100_000
_MOST_RECORDS = 16
_MOST_DIMS = 4

# The fields of a record.
_RANK = 0
"""Dims of the arrays and 1; 0: nothing is recorded here."""
_DTYPE = 1
_OBJECTS = 2
"""All arguments but the arrays."""
_COUNT = 8
_SHAPE = _OBJECTS + _COUNT
_STRIDES = _SHAPE + _MOST_DIMS
_HAS_OUT = _STRIDES + _MOST_DIMS
_OUT_STRIDES = _HAS_OUT + 1
_SPAN = _OUT_STRIDES + _MOST_DIMS
"""Bytes before the first element of the input and from there on; two for `out` follow."""
_CODE = _SPAN + 4
"""The machine code of a kernel; 0: the owner is a way, for Python to go."""
_TABLE, _TASKS, _SCRATCH, _MAKE, _MAKE_WITH, _OWNER, _FIELDS = range(_CODE + 1, _CODE + 8)
# The first record is none; it tells where two objects are.
_NONE, _ARRAY = 0, 1


class Direct(NamedTuple):
    """A bare kernel that does a whole call on one thread."""

    kernel: Kernel
    dtype: np.dtype[Any]
    table: Array
    tasks: int
    scratch: int
    shape: tuple[int, ...] | None
    """That of a fresh result; None if it is not C-contiguous, and NumPy's to find."""


class Facts(NamedTuple):
    """What is known about a way."""

    cost: float
    """Nanoseconds of work, roughly."""
    direct: Direct | None


_records = np.zeros((1 + _MOST_RECORDS, _FIELDS), np.int64)
_owners: list[Any] = [None] * (1 + _MOST_RECORDS)
"""What the records point to."""
_places = itertools.cycle(range(1, 1 + _MOST_RECORDS))


# --- Recognising --------------------------------------------------------------------------


@device
def _are_equal(words, others, count):  # type: ignore[no-untyped-def]
    different = 0
    for i in range(count):
        different |= words[i] ^ others[i]
    return different == 0


@device
def _are_apart(record, source, target):  # type: ignore[no-untyped-def]
    a, b = source[DATA], target[DATA]
    is_before = b + record[_SPAN + 3] <= a - record[_SPAN]
    is_after = a + record[_SPAN + 1] <= b - record[_SPAN + 2]
    return is_before | is_after


@device
def _is_recorded(record, input, out, is_fresh, given):  # type: ignore[no-untyped-def]
    """Whether a call is the recorded one."""
    ndim = input[NDIM] & INT
    if record[_RANK] != ndim + 1 or record[_DTYPE] != input[DTYPE]:
        return False
    different = 0
    for i in range(_COUNT):
        different |= record[_OBJECTS + i] ^ given[i]
    if different != 0 or is_fresh == (record[_HAS_OUT] != 0):
        return False
    shape = follow(input, SHAPE)
    if not _are_equal(beyond(record, _SHAPE), shape, ndim):
        return False
    if not _are_equal(beyond(record, _STRIDES), follow(input, STRIDES), ndim):
        return False
    if is_fresh:
        return True
    return (
        out[NDIM] & INT == ndim
        and out[DTYPE] == input[DTYPE]
        and out[FLAGS] & WRITEABLE != 0
        and _are_equal(shape, follow(out, SHAPE), ndim)
        and _are_equal(beyond(record, _OUT_STRIDES), follow(out, STRIDES), ndim)
        and (address(out) == address(input) or _are_apart(record, input, out))
    )


def _recall(records, name, input, dim, dtype, axis, out, where, temperature, workers, option):  # type: ignore[no-untyped-def]
    """The result of a recorded call, or its way; None for any other call."""
    nothing = follow(records, _NONE)
    is_fresh = address(out) == address(nothing)
    kind = records[_ARRAY]
    if input[TYPE] != kind or not (is_fresh or out[TYPE] == kind):
        return reference(nothing)
    given = (
        address(name),
        address(dim),
        address(dtype),
        address(axis),
        address(where),
        address(temperature),
        address(workers),
        address(option),
    )
    for number in range(1, 1 + _MOST_RECORDS):
        record = beyond(records, number * _FIELDS)
        if not _is_recorded(record, input, out, is_fresh, given):
            continue
        if record[_CODE] == 0:
            return reference(follow(record, _OWNER))
        code, tasks = follow(record, _CODE), record[_TASKS]
        table, scratch = follow(record, _TABLE), follow(record, _SCRATCH)
        if not is_fresh:
            call_kernel(code, follow(input, DATA), follow(out, DATA), table, scratch, tasks)
            return reference(out)
        # While Python runs, another thread may record another call in this place.
        owner = reference(follow(record, _OWNER))
        result = call_object(follow(record, _MAKE), follow(record, _MAKE_WITH))
        if address(result) != 0:
            call_kernel(code, follow(input, DATA), follow(result, DATA), table, scratch, tasks)
        drop(owner)
        return result
    return reference(nothing)


_entry = Entry(_recall, "recall", NEW_REFERENCE, (WORDS, *(OBJECT,) * 10))


def ready() -> None:
    """Compile what recognises calls, or read it from the cache."""
    undisturbed(_entry.compile)


# --- Recording ----------------------------------------------------------------------------


def _record(key: Any, arguments: tuple[Any, ...], way: Way) -> None:
    """Have calls like this one recognised, if that is worth it."""
    facts, name = getattr(way, "facts", None), key[0]
    input, dim, dtype, axis, out, where, temperature, workers = arguments
    if facts is None or facts.cost > _MOST_RECORDED or where is not None:
        return
    if input.__class__ is not np.ndarray or input.ndim > _MOST_DIMS:
        return
    if temperature.__class__ is np.ndarray:  # the same object may come to be another number
        return
    if out is not None and out.dtype is not input.dtype:
        return
    direct = facts.direct
    if direct is not None and (facts.cost > _MOST_DIRECT or (out is None and not direct.shape)):
        direct = None
    # Equal calls whose objects are others each time would take all places.
    whole_key = key, axis is MISSING
    if any(owner is not None and owner[0] == whole_key for owner in _owners):
        return
    given = name, dim, dtype, axis, where, temperature, workers, False
    fields = np.zeros(_FIELDS, np.int64)
    fields[_RANK], fields[_DTYPE] = input.ndim + 1, id(input.dtype)
    fields[_OBJECTS:_SHAPE] = [id(each) for each in given]
    fields[_SHAPE : _SHAPE + input.ndim] = input.shape
    fields[_STRIDES : _STRIDES + input.ndim] = input.strides
    fields[_SPAN : _SPAN + 2] = _span(input)
    if out is not None:
        fields[_HAS_OUT] = True
        fields[_OUT_STRIDES : _OUT_STRIDES + input.ndim] = out.strides
        fields[_SPAN + 2 : _SPAN + 4] = _span(out)
    owner: Any = way
    if direct is not None:
        scratch, made_with = numpy_empty(direct.scratch, np.uint8), (direct.shape, direct.dtype)
        owner = direct, scratch, made_with
        fields[_CODE] = direct.kernel.address(direct.dtype)[0]
        fields[_TABLE], fields[_SCRATCH] = direct.table.ctypes.data, scratch.ctypes.data
        fields[_TASKS] = direct.tasks
        fields[_MAKE], fields[_MAKE_WITH] = id(numpy_empty), id(made_with)
    fields[_OWNER] = id(owner)
    if not _open():
        return
    with compiling():
        number = next(_places)
        # A call of another thread may come between any two statements.
        place = _records[number]
        place[_RANK] = 0
        _owners[number] = whole_key, owner, given, input.dtype, numpy_empty
        place[_RANK + 1 :] = fields[_RANK + 1 :]
        place[_RANK] = fields[_RANK]


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


_shortcuts.record = _record
