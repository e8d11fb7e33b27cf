"""Addresses in machine code: what kernels are handed of arrays, and what threads tell each other.

Threads share words of memory, which they read and write in one order for all of them.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import NativeValue, intrinsic, models, register_model, unbox


class Data(types.CPointer):  # type: ignore[misc]  # Numba has no type hints
    """Where the elements of an array begin: all of an array that a kernel is handed.

    Numba takes arrays apart into seven fields and a counted reference, 60 ns each: most of
    the time of a small call.  Whoever calls holds the arrays, so their addresses will do.
    """


register_model(Data)(models.PointerModel)
WORD = types.intp
WORDS = Data(WORD)
BYTES = Data(types.uint8)
_ORDER = "seq_cst"


@unbox(Data)  # type: ignore[untyped-decorator]
def _data_of(kind: Data, array: Any, c: Any) -> NativeValue:
    """The field that follows a Python object's own in NumPy's struct of an array."""
    address = c.context.get_value_type(kind)
    field = c.builder.gep(array, [ir.IntType(64)(object.__basicsize__)])
    place = c.builder.bitcast(field, address.as_pointer())
    return NativeValue(c.builder.load(place))


@intrinsic
def offset(_context, address, _count):  # type: ignore[no-untyped-def]
    """The address `count` elements further on."""

    def codegen(_context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return address(address, WORD), codegen


# --- Words that threads share ---------------------------------------------------------


@intrinsic
def read(_context, words, _number):  # type: ignore[no-untyped-def]
    """One of the words at an address."""

    def codegen(_context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return builder.load_atomic(builder.gep(args[0], [args[1]]), _ORDER, WORD.bitwidth // 8)

    return WORD(words, WORD), codegen


@intrinsic
def write(_context, words, _number, _word):  # type: ignore[no-untyped-def]
    """Set one of the words at an address."""

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, number, word = args
        builder.store_atomic(word, builder.gep(words, [number]), _ORDER, WORD.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(words, WORD, WORD), codegen


@intrinsic
def exchange(_context, words, _number, _word):  # type: ignore[no-untyped-def]
    """Set one of the words at an address; returns what it was."""

    def codegen(_context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, number, word = args
        return builder.atomic_rmw("xchg", builder.gep(words, [number]), word, _ORDER)

    return WORD(words, WORD, WORD), codegen


@intrinsic
def exchange_if(_context, words, _number, _expected, _word):  # type: ignore[no-untyped-def]
    """Set one of the words at an address if it is as expected; returns whether it was."""

    def codegen(_context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, number, expected, word = args
        place = builder.gep(words, [number])
        return builder.extract_value(builder.cmpxchg(place, expected, word, _ORDER, _ORDER), 1)

    return types.boolean(words, WORD, WORD, WORD), codegen


@intrinsic
def fetch_and_add(_context, words, _number, _word):  # type: ignore[no-untyped-def]
    """Add to one of the words at an address; returns what it was."""

    def codegen(_context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, number, word = args
        return builder.atomic_rmw("add", builder.gep(words, [number]), word, "monotonic")

    return WORD(words, WORD, WORD), codegen


# --- Functions by their addresses -----------------------------------------------------


def _kept_in(builder: ir.IRBuilder, words: Any, number: Any, kind: Any) -> Any:
    """The address of a `kind` that is one of the words at an address."""
    return builder.load(builder.bitcast(builder.gep(words, [number]), kind.as_pointer()))


@intrinsic
def call_numba(_context, words, _number, arguments, besides):  # type: ignore[no-untyped-def]
    """Call machine code of Numba that returns nothing, whose address is one of the words."""
    kinds = *arguments.types, *besides.types

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, number, *given = args
        function = context.call_conv.get_function_type(types.none, kinds)
        address = _kept_in(builder, words, number, function.as_pointer())
        codes = [code for each in given for code in cgutils.unpack_tuple(builder, each)]
        context.call_conv.call_function(builder, address, types.none, kinds, codes)
        return context.get_dummy_value()

    return types.none(words, WORD, arguments, besides), codegen


@intrinsic
def call_c(_context, words, _number, arguments):  # type: ignore[no-untyped-def]
    """Call the function of C whose address is one of the words, with addresses."""

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, number, given = args
        pointer = cgutils.voidptr_t
        codes = [builder.bitcast(each, pointer) for each in cgutils.unpack_tuple(builder, given)]
        function = ir.FunctionType(ir.VoidType(), [pointer] * len(codes))
        builder.call(_kept_in(builder, words, number, function.as_pointer()), codes)
        return context.get_dummy_value()

    return types.none(words, WORD, arguments), codegen


@intrinsic
def count_by(_context, words, _number):  # type: ignore[no-untyped-def]
    """What the function of C whose address is one of the words returns, an ``int``."""

    def codegen(_context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        function = ir.FunctionType(ir.IntType(32), [])
        words, number = args
        counted = builder.call(_kept_in(builder, words, number, function.as_pointer()), [])
        return builder.sext(counted, ir.IntType(sig.return_type.bitwidth))

    return WORD(words, WORD), codegen


def _address_at(kind: Any) -> Any:
    def address_at(_context, words, _number):  # type: ignore[no-untyped-def]
        """The address that is one of the words."""

        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            words, number = args
            return _kept_in(builder, words, number, context.get_value_type(sig.return_type))

        return kind(words, WORD), codegen

    return intrinsic(address_at)


bytes_at, words_at = _address_at(BYTES), _address_at(WORDS)


@intrinsic
def put_down(_context, words, _number, given):  # type: ignore[no-untyped-def]
    """Keep a tuple until the function that calls this ends; one of the words tells where."""

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, number, given = args
        kept = cgutils.alloca_once_value(builder, given)
        place = builder.gep(words, [number])
        builder.store(kept, builder.bitcast(place, kept.type.as_pointer()))
        return context.get_dummy_value()

    return types.none(words, WORD, given), codegen


@intrinsic
def pick_up(_context, words, _number, kind):  # type: ignore[no-untyped-def]
    """The tuple of that kind which was put down, by the word that tells where."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        words, number, _ = args
        pointer = context.get_value_type(sig.return_type).as_pointer()
        found = builder.load(_kept_in(builder, words, number, pointer))
        return impl_ret_borrowed(context, builder, sig.return_type, found)

    return kind.instance_type(words, WORD, kind), codegen


@intrinsic
def tuple_at(_context, address, kind):  # type: ignore[no-untyped-def]
    """The tuple of that kind at an address."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        pointer = context.get_value_type(sig.return_type).as_pointer()
        found = builder.load(builder.bitcast(args[0], pointer))
        return impl_ret_borrowed(context, builder, sig.return_type, found)

    return kind.instance_type(address, kind), codegen


@intrinsic
def call_stored(_context, words, _number, given):  # type: ignore[no-untyped-def]
    """What machine code of Numba returns, true or false, whose address is one of the words.

    It is given these words, and the address of a tuple.
    """
    return types.boolean(words, WORD, given), code_of_stored_call


def code_of_stored_call(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
    """What `call_stored` is compiled to."""
    words, number, given = args
    kinds = WORDS, WORDS
    function = context.call_conv.get_function_type(types.boolean, kinds)
    address = _kept_in(builder, words, number, function.as_pointer())
    stored = builder.bitcast(cgutils.alloca_once_value(builder, given), words.type)
    codes = words, stored
    _, found = context.call_conv.call_function(builder, address, types.boolean, kinds, codes)
    return found


@intrinsic
def relax(_context):  # type: ignore[no-untyped-def]
    """Tell the processor that a loop waits, so that it leaves its units to others."""

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, _args: Any) -> Any:
        if platform.machine().lower() in {"x86_64", "amd64"}:
            pause = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, pause, name), [])
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def cycles(_context):  # type: ignore[no-untyped-def]
    """The processor's clock; 0 where there is none to be read."""

    def codegen(_context: Any, builder: ir.IRBuilder, sig: Any, _args: Any) -> Any:
        clock = ir.FunctionType(ir.IntType(64), [])
        name = "llvm.readcyclecounter"
        found = builder.call(cgutils.get_or_insert_function(builder.module, clock, name), [])
        return builder.trunc(found, ir.IntType(32)) if sig.return_type.bitwidth == 32 else found

    return WORD(), codegen
