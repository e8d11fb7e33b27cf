"""Numbers in memory and in computation: loads and stores that convert.

Kernels compute in float32 or float64.  Results are either, or one of the two halves, float16
and bfloat16, which Numba does not know: they come as uint16 and int16, and their
dtype says what they mean.  Inputs are what results are, or are cast when they are read: from any
of the four, or from integers of 8, 32 or 64 bits.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from fastsoftmax.kernels.memory import load_kind, load_part_kind, store, store_part, stream
from fastsoftmax.kernels.shuffles import shuffle
from fastsoftmax.kernels.values import (
    Value,
    as_type,
    emit,
    formula,
    kind_with,
    llvm_type,
)
from fastsoftmax.kernels.vectors import bits_constant

HALF, BFLOAT = types.uint16, types.int16
"""How kernels see arrays of float16 and of bfloat16."""


@formula
def computed_like(address: Value) -> Value:
    """An address without a place, of the dtype that results at `address` are computed in."""
    kind = types.CPointer(_computed_dtype(address.dtype))
    return emit(kind, lambda _builder, _: ir.Constant(llvm_type(kind), None), address)


@formula
def is_computed(address: Value, like: Value) -> bool:
    """Whether elements at `address` have the dtype of `like`, in which they are computed."""
    return bool(address.dtype == like.dtype)


@formula
def as_computed(address: Value, like: Value) -> Value:
    """The same address, typed like `like`; for addresses that `is_computed`."""
    return emit(like.type, lambda builder, p: builder.bitcast(p, llvm_type(like.type)), address)


def _computed_dtype(dtype: Any) -> Any:
    return types.float32 if dtype in {HALF, BFLOAT} else dtype


@formula
def fetch(address: Value, index: Any, like: Value) -> Value:
    """The numbers from element `index` on, a value of the type of `like`."""
    return _computed(load_kind(address, index, kind_with(like.type, address.dtype)), like)


@formula
def fetch_reversed(address: Value, index: Any, like: Value) -> Value:
    """The numbers from element `index` on, the last one first."""
    found = fetch(address, index, like)
    return shuffle(found, found, range(like.count - 1, -1, -1))


@formula
def fetch_every_second(address: Value, index: Value, like: Value, first: int) -> Value:
    """Every second number from element `index` + `first` on, 0 or 1; others are read, too."""
    lower = fetch(address, index, like)
    upper = fetch(address, index + like.count, like)
    return shuffle(lower, upper, range(first, 2 * like.count, 2))


@formula
def fetch_part(
    address: Value, index: Any, like: Value, first: Any, last: Any, fill: float
) -> Value:
    """`fetch` of the elements `first` to `last` - 1 only, elsewhere `fill`.

    Or 0, if they are not stored as float32 or float64.
    """
    kind = kind_with(like.type, address.dtype)
    if not isinstance(address.dtype, types.Float):
        fill = 0
    return _computed(load_part_kind(address, index, kind, first, last, fill), like)


@formula
def fetch_left(address: Value, index: Any, like: Value, left: Value | None) -> Value:
    """`fetch` of the elements that are left, 0 for others; of all if that is None."""
    if left is None:
        return fetch(address, index, like)
    return fetch_part(address, index, like, None, left, 0.0)


@formula
def put(address: Value, index: Any, value: Value) -> None:
    """Write numbers from element `index` on."""
    store(address, index, _stored(address, value))


@formula
def put_part(address: Value, index: Any, value: Value, first: Any, last: Any) -> None:
    """`put` of the elements `first` to `last` - 1 only."""
    store_part(address, index, _stored(address, value), first, last)


@formula
def put_left(address: Value, index: Any, value: Value, left: Value | None) -> None:
    """`put` of the elements that are left; of all if that is None."""
    if left is None:
        put(address, index, value)
    else:
        put_part(address, index, value, None, left)


@formula
def put_past_caches(address: Value, index: Any, value: Value) -> None:
    """`put` by `memory.stream`."""
    stream(address, index, _stored(address, value))


@formula
def copy_element(target: Value, place: Any, source: Value, index: Any) -> None:
    """Write the element `index` of `source` to element `place`, in the dtype that is there."""
    stored = load_kind(source, index, source.dtype)
    like = as_type(0.0, target.dtype, target.builder)
    put(target, place, _computed(stored, like))


def _computed(stored: Value, like: Value) -> Value:
    """Numbers as they are stored, in the type of `like`; as they are if it is stored, too."""
    given = stored.dtype
    if given == like.dtype or not isinstance(like.dtype, types.Float):
        return stored
    wanted = llvm_type(like.type)

    def from_half(builder: ir.IRBuilder, a: Any) -> Any:
        half = _llvm_like(a.type, ir.HalfType())
        return builder.fpext(builder.bitcast(a, half), wanted)

    def from_bfloat(builder: ir.IRBuilder, a: Any) -> Any:
        # The upper half of a float32.
        bits = _llvm_like(a.type, ir.IntType(32))
        code = builder.shl(builder.zext(a, bits), bits_constant(bits, 16))
        single = builder.bitcast(code, _llvm_like(a.type, ir.FloatType()))
        return single if like.dtype == types.float32 else builder.fpext(single, wanted)

    def from_float(builder: ir.IRBuilder, a: Any) -> Any:
        return (builder.fpext if like.dtype == types.float64 else builder.fptrunc)(a, wanted)

    def from_integer(builder: ir.IRBuilder, a: Any) -> Any:
        return (builder.sitofp if given.signed else builder.uitofp)(a, wanted)

    convert = from_float if isinstance(given, types.Float) else from_integer
    return emit(like.type, {HALF: from_half, BFLOAT: from_bfloat}.get(given, convert), stored)


def _stored(address: Value, value: Value) -> Value:
    """Computed numbers as elements at `address`, rounded to nearest; such as they are."""
    if address.dtype not in {HALF, BFLOAT} or address.dtype == value.dtype:
        return value
    kind = kind_with(value.type, address.dtype)
    to = llvm_type(kind)

    def to_half(builder: ir.IRBuilder, a: Any) -> Any:
        half = _llvm_like(a.type, ir.HalfType())
        return builder.bitcast(builder.fptrunc(a, half), to)

    def to_bfloat(builder: ir.IRBuilder, a: Any) -> Any:
        bits = _llvm_like(a.type, ir.IntType(32))
        code = builder.bitcast(a, bits)
        upper = builder.lshr(code, bits_constant(bits, 16))
        # Half of the last place, less one unless the last bit is set: ties go to even.
        odd = builder.and_(upper, bits_constant(bits, 1))
        up = builder.add(code, builder.add(odd, bits_constant(bits, 0x7FFF)))
        quiet = builder.or_(upper, bits_constant(bits, 0x40))  # a NaN that stays one
        is_nan = builder.fcmp_unordered("uno", a, a)
        rounded = builder.select(is_nan, quiet, builder.lshr(up, bits_constant(bits, 16)))
        return builder.trunc(rounded, to)

    return emit(kind, to_half if address.dtype == HALF else to_bfloat, value)


def _llvm_like(given: Any, element: Any) -> Any:
    """The LLVM type `element`, as many as the LLVM type `given` has."""
    return ir.VectorType(element, given.count) if isinstance(given, ir.VectorType) else element
