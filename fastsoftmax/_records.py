"""How calls are recorded: what `_recording` writes and `_recall` reads, as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

# Records are found by a hash of what most calls differ in, a few in the same place.
SETS, IN_SET = 64, 4
MOST_RECORDS = SETS * IN_SET
MOST_DIMS = 4
ODD, SHIFT, WORD = 0x2545F4914F6CDD1D, 40, 2**64

# The arrays of a call, in the order of a way's arguments.
ARRAYS = 5
INPUT, OUT, WHERE, SECOND, TEMPERATURE = range(ARRAYS)
# What a record tells of one of them.
RANK_AT = 0
"""Its dims and 1; 0: there is none."""
DTYPE_AT = 1
SHAPE_AT = 2
STRIDES_AT = SHAPE_AT + MOST_DIMS
SPAN_AT = STRIDES_AT + MOST_DIMS
"""Bytes before its first element, and from there on."""
MAY_BE_OUT_AT = SPAN_AT + 2
"""Whether `out` may begin where it does."""
ALIGNED_AT = MAY_BE_OUT_AT + 1
STEP = ALIGNED_AT + 1
# The fields of a record, which come after those of all arrays, the input's first.  If that has
# no rank, nothing is recorded here.
OBJECTS_AT = ARRAYS * STEP
"""The arguments, first those that may be arrays."""
COUNT = ARRAYS + 5
IGNORED_AT = OBJECTS_AT + COUNT
"""All bits for each argument that is an array, as any of its kind will do; else none."""
CODE_AT = IGNORED_AT + COUNT
"""The machine code of a kernel; 0: the owner is a way, for Python to go,"""
JOB_AT = CODE_AT + 1
"""but for what threads can do of it (`_loops`), if there is that."""
TABLE_AT, TASKS_AT, SCRATCH_AT, MAKE_AT, MAKE_WITH_AT, OWNER_AT, BESIDES_AT = range(
    JOB_AT + 1, JOB_AT + 8
)
"""From the last one on: the operands besides input and result; the first is 0 if there are none."""
OTHERS = 4
FIELDS = BESIDES_AT + OTHERS
# The first record is none: it tells where two objects are.
NONE, ARRAY = 0, 1


records = np.zeros((1 + MOST_RECORDS, FIELDS), np.int64)
owners: list[Any] = [None] * (1 + MOST_RECORDS)
"""What the records point to."""
