"""Memory of kernels' own, and values that wait there."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from fastsoftmax.kernels.memory import LINE_BYTES, advance, load_like, store
from fastsoftmax.kernels.values import (
    Value,
    emit,
    formula,
    llvm_type,
)


@formula
def workspace(like: Value, size: int) -> Value:
    """`size` bytes of uninitialised stack memory, typed like the address `like`."""
    return _stack(like.type, like, size)


@formula
def workspace_double(like: Value, size: int) -> Value:
    """`size` bytes of uninitialised stack memory for numbers in float64."""
    return _stack(types.CPointer(types.float64), like, size)


def _stack(kind: Any, like: Value, size: int) -> Value:
    def instructions(builder: ir.IRBuilder, _: Any) -> Any:
        # Not `cgutils.alloca_once`, which would write zeros to all of it.
        with builder.goto_entry_block():
            memory = builder.alloca(ir.ArrayType(ir.IntType(8), size))
            memory.align = LINE_BYTES
        return builder.bitcast(memory, llvm_type(kind))

    return emit(kind, instructions, like)


@formula
def workspace_bytes(like: Value, size: int) -> Value:
    """`size` bytes of uninitialised stack memory, for `keep`."""
    return _stack(types.CPointer(types.uint8), like, size)


@formula
def store_kinds(memory: Value, index: Any, apart: int, values: Any) -> None:
    """Write vectors of several kinds of numbers, those of one kind `apart` from the next."""
    for number, value in enumerate(values):
        store(memory, index + number * apart, value)


@formula
def load_kinds(memory: Value, index: Any, apart: int, count: int, like: Value) -> Any:
    """So many kinds of numbers, as `store_kinds` wrote them."""
    return tuple(load_like(memory, index + number * apart, like) for number in range(count))


@formula
def keep(memory: Value, number: Any, found: Any) -> None:
    """Write set `number` of values, in tuples of tuples, to a workspace of bytes."""
    size = sum(_bytes(value) for value in _flat(found))
    for value in _flat(found):
        store(memory, number * size, value)
        memory = advance(memory, _bytes(value))


@formula
def kept(memory: Value, number: Any, like: Any) -> Any:
    """What was kept as that number, of the types of `like`."""
    size = sum(_bytes(value) for value in _flat(like))
    loaded = []
    for value in _flat(like):
        loaded.append(load_like(memory, number * size, value))
        memory = advance(memory, _bytes(value))
    return _shaped(iter(loaded), like)


def _bytes(value: Value) -> int:
    return value.count * int(value.dtype.bitwidth) // 8


def _flat(found: Any) -> list[Value]:
    """All values in tuples of tuples."""
    return [found] if isinstance(found, Value) else [each for part in found for each in _flat(part)]


def _shaped(values: Any, like: Any) -> Any:
    return next(values) if isinstance(like, Value) else tuple(_shaped(values, a) for a in like)
