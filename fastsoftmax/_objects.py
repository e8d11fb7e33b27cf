"""Python objects and NumPy arrays as machine code sees them.  It holds the GIL meanwhile.

Everything is a word of eight bytes here: an object is where its words begin, and a field is
the number of one of them.
"""

from __future__ import annotations

import struct
import sys
from ctypes import c_int64
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import NativeValue, box, intrinsic, models, register_model, unbox

from fastsoftmax._addresses import WORD, WORDS, code_of_stored_call

# Fields of an object, and of an array after those (`PyArrayObject_fields` of NumPy's C API).
_HEADER = object.__basicsize__ // 8
TYPE = _HEADER - 1
DATA, NDIM, SHAPE, STRIDES, _BASE, DTYPE, FLAGS = range(_HEADER, _HEADER + 7)
INT = 0xFFFFFFFF
"""The part of a word that a C int takes, as those of NDIM and FLAGS."""
ALIGNED, WRITEABLE = 0x0100, 0x0400
"""Flags of arrays."""


class Object(types.CPointer):  # type: ignore[misc]  # Numba has no type hints
    """An object that the caller holds."""


class NewReference(types.CPointer):  # type: ignore[misc]
    """An object that the caller gets; null: an error was raised."""


register_model(Object)(models.PointerModel)
register_model(NewReference)(models.PointerModel)
OBJECT, NEW_REFERENCE = Object(WORD), NewReference(WORD)


@unbox(Object)  # type: ignore[untyped-decorator]
def _where_it_begins(kind: Object, given: Any, c: Any) -> NativeValue:
    return NativeValue(c.builder.bitcast(given, c.context.get_value_type(kind)))


@box(NewReference)  # type: ignore[untyped-decorator]
def _as_it_is(_kind: NewReference, value: Any, c: Any) -> Any:
    return c.builder.bitcast(value, c.pyapi.pyobj)


def are_as_expected() -> bool:
    """Whether an array's fields are where this module says, in this NumPy and this Python."""
    if struct.calcsize("P") != 8 or sys.byteorder != "little":
        return False
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    array = np.empty((3, 5), np.float32)[:, 1:]
    words = (c_int64 * (FLAGS + 1)).from_address(id(array))
    shape, strides = ((c_int64 * 2).from_address(words[field]) for field in (SHAPE, STRIDES))
    return (
        (words[TYPE], words[DATA]) == (id(np.ndarray), array.ctypes.data)
        and (words[NDIM] & INT, words[DTYPE]) == (2, id(array.dtype))
        and (*shape, *strides) == (*array.shape, *array.strides)
        and words[FLAGS] & INT == array.flags.num
    )


# --- What machine code does with words ----------------------------------------------------


@intrinsic
def address(_context, words):  # type: ignore[no-untyped-def]
    """Where something is, as a number."""

    def codegen(_context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], ir.IntType(64))

    return WORD(words), codegen


@intrinsic
def at(_context, _address):  # type: ignore[no-untyped-def]
    """The words at an address."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

    return WORDS(WORD), codegen


@intrinsic
def follow(_context, words, _field):  # type: ignore[no-untyped-def]
    """The words whose address is in a field."""

    def codegen(_context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        place = builder.gep(args[0], [args[1]])
        return builder.load(builder.bitcast(place, place.type.as_pointer()))

    return WORDS(words, WORD), codegen


@intrinsic
def reference(_context, words):  # type: ignore[no-untyped-def]
    """A new reference to the object that begins here."""

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        api = context.get_python_api(builder)
        api.incref(builder.bitcast(args[0], api.pyobj))
        return args[0]

    return NEW_REFERENCE(words), codegen


@intrinsic
def drop(_context, _reference):  # type: ignore[no-untyped-def]
    """Give a reference back."""

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        api = context.get_python_api(builder)
        api.decref(builder.bitcast(args[0], api.pyobj))
        return context.get_dummy_value()

    return types.none(NEW_REFERENCE), codegen


@intrinsic
def call_object(_context, _called, _arguments):  # type: ignore[no-untyped-def]
    """What an object returns for a tuple of arguments."""

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        api = context.get_python_api(builder)
        called, arguments = (builder.bitcast(each, api.pyobj) for each in args)
        result = api.call(called, arguments, api.get_null_object())
        return builder.bitcast(result, ir.IntType(64).as_pointer())

    return NEW_REFERENCE(WORDS, WORDS), codegen


@intrinsic
def call_kernel(_context, kernel, arrays, _tasks):  # type: ignore[no-untyped-def]
    """Do all tasks of a kernel, of whose elements it is no matter here what they are."""
    kinds = *arrays.types, types.intp, types.intp

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        code, given, tasks = args
        function = context.call_conv.get_function_type(types.none, kinds)
        code = builder.bitcast(code, function.as_pointer())
        codes = *cgutils.unpack_tuple(builder, given), ir.Constant(tasks.type, 0), tasks
        context.call_conv.call_function(builder, code, types.none, kinds, codes)
        return context.get_dummy_value()

    return types.none(kernel, arrays, types.intp), codegen


@intrinsic
def call_released(_context, words, _number, given):  # type: ignore[no-untyped-def]
    """The same as `call_stored`, while other Python threads run."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        api = context.get_python_api(builder)
        state = api.save_thread()
        found = code_of_stored_call(context, builder, sig, args)
        api.restore_thread(state)
        return found

    return types.boolean(words, types.intp, given), codegen
