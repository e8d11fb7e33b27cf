"""Memory operations of the kernels: pointers, and loads and stores of vectors.

An address is the data pointer of an array plus an offset in elements (LLVM's
``getelementptr``; an integer is never turned into an address: numba#10695).  Nothing but
`stream` needs aligned addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastsoftmax._addresses import Data
from fastsoftmax.kernels.values import (
    INT32,
    INT64,
    Value,
    Vec,
    as_type,
    dtype_of,
    emit,
    formula,
    llvm_type,
)
from fastsoftmax.kernels.vectors import call_llvm, elements_between, is_x86, native

if TYPE_CHECKING:
    from collections.abc import Sequence

LINE_BYTES = 64
"""Size and alignment of a cache line, the unit in which `stream` should fill memory."""
PAGE_BYTES = 4096
"""Processors take addresses for the same, at first, that are the same within so many bytes."""


@intrinsic
def pointer(_context, given):
    """The address of the first element of an array that a kernel was handed."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        if isinstance(given, Data):
            return args[0]
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(given.dtype)(given), codegen


@intrinsic
def pointer_like(_context, given, like):
    """The same address, typed like the address `like`."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(like))

    return like(given, like), codegen


@formula
def advance(address: Value, count: Value) -> Value:
    """The address `count` elements further on."""
    return emit(address.type, lambda builder, p, n: builder.gep(p, [n]), address, count)


def _place(builder: ir.IRBuilder, address: Any, index: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(address, [index]), llvm_type(kind).as_pointer())


def _size(kind: Any) -> int:
    """The bytes of an element."""
    return int(dtype_of(kind).bitwidth) // 8


# --- Loads ----------------------------------------------------------------------------


@formula
def load(address: Value, index: Any) -> Value:
    """The register-wide vector that starts at element `index`."""
    return load_kind(address, index, native(address.dtype))


@formula
def load_like(address: Value, index: Any, like: Value) -> Value:
    """The vector of the type of `like` that starts at element `index`."""
    return load_kind(address, index, like.type)


@formula
def load_first(address: Value, index: Any, like: Value, count: Value, fill: Any) -> Value:
    """`load_like` of the first `count` elements only, then `fill`; no other is read."""
    return load_part_kind(address, index, like.type, None, count, fill)


@formula
def load_part(
    address: Value, index: Any, like: Value, first: Value | None, last: Value | None, fill: Any
) -> Value:
    """`load_like` of the elements `first` to `last` - 1 only, `fill` elsewhere."""
    return load_part_kind(address, index, like.type, first, last, fill)


def load_kind(address: Value, index: Any, kind: Any) -> Value:
    """The vector or number of the type `kind` at element `index`."""

    def instructions(builder: ir.IRBuilder, address: Any, index: Any) -> Any:
        value = builder.load(_place(builder, address, index, kind))
        value.align = _size(kind)
        return value

    return emit(kind, instructions, address, index)


def load_part_kind(
    address: Value, index: Any, vec: Vec, first: Value | None, last: Value | None, fill: Any
) -> Value:
    """The elements `first` to `last` - 1 of the vector at `index`, `fill` elsewhere."""

    def instructions(builder: ir.IRBuilder, p: Any, index: Any, fill: Any, *bounds: Any) -> Any:
        mask = elements_between(builder, *_both(bounds, first, last), vec)
        place, align = _place(builder, p, index, vec), INT32(_size(vec))
        name = f"llvm.masked.load.{_suffix(vec)}.p0"
        return call_llvm(builder, name, llvm_type(vec), [place, align, mask, fill])

    fill = as_type(fill, vec, address.builder)
    bounds = [bound for bound in (first, last) if bound is not None]
    return emit(vec, instructions, address, index, fill, *bounds)


def _suffix(vec: Vec) -> str:
    letter = "f" if isinstance(vec.dtype, types.Float) else "i"
    return f"v{vec.count}{letter}{vec.dtype.bitwidth}"


def _both(given: Sequence[Any], first: Any, last: Any) -> tuple[Any, Any]:
    """The code of both bounds, None for one that is."""
    codes = list(given)
    return (None if first is None else codes.pop(0)), (None if last is None else codes.pop(0))


@formula
def is_set(address: Value, index: Any, like: Value) -> Value:
    """Which of the bytes from `index` on, as many as `like` has elements, are not 0."""
    stored = load_kind(address, index, Vec(types.uint8, like.count))

    def instructions(builder: ir.IRBuilder, a: Any) -> Any:
        return builder.icmp_unsigned("!=", a, ir.Constant(a.type, [0] * like.count))

    return emit(Vec(types.boolean, like.count), instructions, stored)


# --- Stores ---------------------------------------------------------------------------


@formula
def store(address: Value, index: Any, value: Value) -> None:
    """Write a vector or number from element `index` on."""

    def instructions(builder: ir.IRBuilder, address: Any, index: Any, code: Any) -> Any:
        place = _place(builder, address, index, value.type)
        builder.store(code, place).align = _size(value.type)

    emit(types.none, instructions, address, index, value)


@formula
def line_count(address: Value) -> int:
    """The number of elements in a cache line."""
    return int(LINE_BYTES * 8 // address.dtype.bitwidth)


@formula
def line(address: Value) -> Value:
    """A zero in each element of a vector that fills a cache line."""
    return as_type(0.0, Vec(address.dtype, line_count(address)), address.builder)


@formula
def store_first(address: Value, index: Any, vec: Value, count: Value) -> None:
    """Write the first `count` elements of the vector; no other element is touched.

    A line beyond them may be fetched, though, if the vector reaches into it.
    """
    store_part(address, index, vec, None, count)


@formula
def store_part(
    address: Value, index: Any, vec: Value, first: Value | None, last: Value | None
) -> None:
    """Write the elements `first` to `last` - 1 of the vector; no other element is touched."""

    def instructions(builder: ir.IRBuilder, p: Any, index: Any, code: Any, *bounds: Any) -> Any:
        mask = elements_between(builder, *_both(bounds, first, last), vec.type)
        place, align = _place(builder, p, index, vec.type), INT32(_size(vec.type))
        name = f"llvm.masked.store.{_suffix(vec.type)}.p0"
        call_llvm(builder, name, ir.VoidType(), [code, place, align, mask])

    bounds = [bound for bound in (first, last) if bound is not None]
    emit(types.none, instructions, address, index, vec, *bounds)


@formula
def stream(address: Value, index: Any, vec: Value) -> None:
    """`store` past the caches; the address must begin a cache line or a vector inside one.

    Worth it where nobody reads the result before the caches have turned over: the line is
    not read first, which saves a third of the traffic.  `stream_fence` comes at the end.
    """

    def instructions(builder: ir.IRBuilder, address: Any, index: Any, code: Any) -> Any:
        instruction = builder.store(code, _place(builder, address, index, vec.type))
        instruction.align = min(_size(vec.type) * vec.count, LINE_BYTES)
        marker = builder.module.add_metadata([ir.Constant(INT32, 1)])
        instruction.set_metadata("nontemporal", marker)

    emit(types.none, instructions, address, index, vec)


@formula
def stream_fence(address: Value) -> None:
    """Make what was streamed visible before anything that is written later."""

    def instructions(builder: ir.IRBuilder, _: Any) -> Any:
        if is_x86(builder):
            call_llvm(builder, "llvm.x86.sse.sfence", ir.VoidType(), [])
        else:
            builder.fence("release")

    emit(types.none, instructions, address)


@formula
def clear(address: Value, count: Value) -> None:
    """Write zeros to `count` elements.

    Where a kernel computes what nobody looks at, of memory that nobody wrote: numbers that are
    not normal may be there, and processors of Intel take 150 cycles for each operation on one.
    """
    size = count * _size(address.dtype)

    def instructions(builder: ir.IRBuilder, p: Any, size: Any) -> Any:
        cgutils.memset(builder, p, size, 0)

    emit(types.none, instructions, address, size)


@formula
def prefetch(address: Value, index: Any) -> None:
    """Ask for the cache line of element `index`, which will be read.

    Into the second-level cache: the first has little room to spare.
    """
    _prefetch(address, index, 0, 2)


@formula
def prefetch_soon(address: Value, index: Any) -> None:
    """The same for a line that will be read next: into the first-level cache."""
    _prefetch(address, index, 0, 3)


@formula
def prefetch_to_write(address: Value, index: Any) -> None:
    """Ask for the cache line of element `index`, which will be written in part soon."""
    _prefetch(address, index, 1, 3)


def _prefetch(address: Value, index: Any, write: int, locality: int) -> None:
    def instructions(builder: ir.IRBuilder, address: Any, index: Any) -> Any:
        line = builder.bitcast(builder.gep(address, [index]), ir.IntType(8).as_pointer())
        numbers = [INT32(number) for number in (write, locality, 1)]
        call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), [line, *numbers])

    emit(types.none, instructions, address, index)


@formula
def elements_before_line(address: Value) -> Value:
    """How many elements from `address` on until the next cache line begins."""
    return _elements_before(address, LINE_BYTES)


@formula
def elements_before_page(address: Value) -> Value:
    """How many until the next page begins."""
    return _elements_before(address, PAGE_BYTES)


def _elements_before(address: Value, size: int) -> Value:
    def instructions(builder: ir.IRBuilder, address: Any) -> Any:
        missing = builder.and_(builder.neg(builder.ptrtoint(address, INT64)), INT64(size - 1))
        return builder.udiv(missing, INT64(element.bitwidth // 8))

    element = address.dtype
    return emit(types.intp, instructions, address)


@formula
def bytes_within_page(first: Value, last: Value) -> Value:
    """The bytes from one address to another as if both were in the same page."""

    def instructions(builder: ir.IRBuilder, *addresses: Any) -> Any:
        begin, end = (builder.ptrtoint(address, INT64) for address in addresses)
        return builder.and_(builder.sub(end, begin), INT64(PAGE_BYTES - 1))

    return emit(types.intp, instructions, first, last)


# --- Values that wait in memory -------------------------------------------------------
