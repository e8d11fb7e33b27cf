"""Calls that are made again and again, recorded for `_recall` to recognise."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from fastsoftmax import _launch, _recall, _shortcuts
from fastsoftmax._arguments import MISSING
from fastsoftmax._compiling import compiling
from fastsoftmax._loops import ASKS_TWICE
from fastsoftmax._memory import numpy_empty
from fastsoftmax._objects import ALIGNED, are_as_expected
from fastsoftmax._records import (
    ALIGNED_AT,
    ARRAY,
    BESIDES_AT,
    CODE_AT,
    COUNT,
    DTYPE_AT,
    FIELDS,
    IGNORED_AT,
    IN_SET,
    INPUT,
    JOB_AT,
    MAKE_AT,
    MAKE_WITH_AT,
    MAY_BE_OUT_AT,
    MOST_DIMS,
    NONE,
    OBJECTS_AT,
    ODD,
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
    TEMPERATURE,
    WORD,
    owners,
    records,
)

if TYPE_CHECKING:
    from fastsoftmax._facts import Direct
    from fastsoftmax._shortcuts import Way

Array = np.ndarray[Any, Any]

# Nanoseconds of work, roughly.  As long as a direct call takes, no other Python thread runs; and
# of a call that takes as long as the other, what is saved is next to nothing.
_MOST_DIRECT, _MOST_RECORDED = 5_000, 1_000_000
_turns = itertools.cycle(range(IN_SET))


def _set_of(input: Array, *others: int) -> int:
    """The number of the first record among which a call is, as `_recall` finds it."""
    lying = zip(input.shape, input.strides, strict=True)
    mixed = id(input.dtype)
    for number in (*others, *itertools.chain.from_iterable(lying)):
        mixed = (mixed ^ (number % WORD)) * ODD % WORD
    return 1 + ((mixed >> SHIFT) & (SETS - 1)) * IN_SET


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
        each is not None and (each.__class__ is not np.ndarray or each.ndim > MOST_DIMS)
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
    if any(owner is not None and owner[0] == whole_key for owner in owners):
        return
    given = None if is_array else temperature, name, dim, dtype, axis, workers
    fields = np.zeros(FIELDS, np.int64)
    fields[OBJECTS_AT : OBJECTS_AT + TEMPERATURE] = id(None)
    fields[OBJECTS_AT + TEMPERATURE : OBJECTS_AT + COUNT] = [id(each) for each in given]
    for number, each in enumerate(arrays):
        if each is not None:
            first = number * STEP
            fields[first : first + STEP] = _described(each, out, number in {INPUT, SECOND})
            fields[IGNORED_AT + number] = -1
    owner: Any = way
    if direct is not None:
        owner = _directed(fields, direct, job, way)
    fields[OWNER_AT] = id(owner)
    if not _open():
        return
    dtypes = [None if each is None else each.dtype for each in arrays]
    degrees = 0 if is_array else id(temperature)
    shown, target = (id(None) if each is None else 0 for each in (where, out))
    first = _set_of(input, id(name), id(dim), id(dtype), degrees, shown, target)
    with compiling():
        free = (each for each in range(IN_SET) if records[first + each, RANK_AT] == 0)
        number = first + next(free, next(_turns))
        # A call of another thread may come between any two statements.
        place = records[number]
        place[RANK_AT] = 0
        owners[number] = whole_key, owner, given, dtypes, numpy_empty
        place[RANK_AT + 1 :] = fields[RANK_AT + 1 :]
        place[RANK_AT] = fields[RANK_AT]


def _directed(fields: Array, direct: Direct, job: Array | None, way: Way) -> Any:
    """Describe what computes directly, `job` or a kernel; returns who keeps all that it needs."""
    owner: Any = way
    made_with = direct.shape, direct.dtype
    if job is None:
        scratch = numpy_empty(direct.scratch, np.uint8)
        owner = direct, scratch, made_with
        fields[CODE_AT] = direct.kernel.address(direct.stored)[0]
        fields[TASKS_AT], fields[SCRATCH_AT] = direct.tasks, scratch.ctypes.data
    else:
        # Threads may use it while another thread records another call in this place.
        job, made_with = vars(way).setdefault("recorded", (job.copy(), made_with))
        job[ASKS_TWICE] = 1
        fields[JOB_AT] = job.ctypes.data
    fields[TABLE_AT] = direct.table.ctypes.data
    fields[MAKE_AT], fields[MAKE_WITH_AT] = id(numpy_empty), id(made_with)
    if direct.besides:
        fields[BESIDES_AT:FIELDS] = [each.ctypes.data for each in direct.besides]
    return owner


def _described(array: Array, out: Array | None, may_be_out: bool) -> Array:
    """The fields of one of the arrays of a call."""
    fields = np.zeros(STEP, np.int64)
    fields[RANK_AT], fields[DTYPE_AT] = array.ndim + 1, id(array.dtype)
    fields[SHAPE_AT : SHAPE_AT + array.ndim] = array.shape
    fields[STRIDES_AT : STRIDES_AT + array.ndim] = array.strides
    fields[SPAN_AT : SPAN_AT + 2] = _span(array)
    fields[ALIGNED_AT] = array.flags.num & ALIGNED
    if out is not None and may_be_out:
        alike = (out.shape, out.strides, out.dtype) == (array.shape, array.strides, array.dtype)
        fields[MAY_BE_OUT_AT] = alike
    return fields


def _span(array: Array) -> tuple[int, int]:
    low, high = byte_bounds(array)
    begin = array.ctypes.data
    return begin - low, high - begin


def _open() -> bool:
    """Let calls be recognised from now on."""
    if _shortcuts.records is records:
        return True
    if not are_as_expected():
        _shortcuts.record = None
        return False
    records[0, [NONE, ARRAY]] = id(None), id(np.ndarray)
    entry = _recall.ready()
    _shortcuts.records = records
    _shortcuts.recall = entry
    return True
