"""Vectors as wholes: parts of them, elements in another order, and rows that become columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir

from fastsoftmax._cpu import REGISTER_BYTES
from fastsoftmax.kernels.values import (
    Value,
    Vec,
    as_type,
    emit,
    formula,
    integers,
)
from fastsoftmax.kernels.vectors import element, elements_between, is_x86, maximum

if TYPE_CHECKING:
    from collections.abc import Sequence


@formula
def unexplained(a: Value) -> Value:
    """`a`, of which LLVM no longer knows how it came about.

    What is stored where one of two operands of a maximum was read becomes a masked store of
    the other, which takes 20 cycles on processors with AVX2 alone (Zen 3).
    """

    def instructions(builder: ir.IRBuilder, code: Any) -> Any:
        return builder.asm(
            ir.FunctionType(code.type, [code.type]), "", "=v,0", [code], side_effect=False
        )

    if a.builder is not None and not is_x86(a.builder):
        return a
    return joined([emit(part.type, instructions, part) for part in registers_of(a)])


def shuffle(a: Value, b: Value, indices: Sequence[int]) -> Value:
    """The elements at `indices` of `a` followed by `b`."""
    kind = Vec(a.dtype, len(indices))

    def instructions(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
        return builder.shuffle_vector(a, b, integers(indices))

    return emit(kind, instructions, a, b)


@formula
def lower_half(a: Value) -> Value:
    """The first half of the elements."""
    return shuffle(a, a, range(a.count // 2))


@formula
def upper_half(a: Value) -> Value:
    """The second half of the elements."""
    return shuffle(a, a, range(a.count // 2, a.count))


@formula
def largest_apart(a: Value, count: int) -> Value:
    """The largest of the elements that are `count` apart, of a vector without NaN."""
    while a.count > count:
        a = maximum(lower_half(a), upper_half(a))
    return a


@formula
def largest(a: Value) -> Value:
    """The largest element of a vector without NaN."""
    return element(largest_apart(a, 1), 0)


@formula
def keep_first(a: Value, count: Value, other: Any) -> Value:
    """The first `count` elements of `a`, then `other`."""
    other = as_type(other, a.type, a.builder)

    def instructions(builder: ir.IRBuilder, a: Any, other: Any, count: Any) -> Any:
        mask = elements_between(builder, None, count, kind)
        return builder.select(mask, a, other)

    kind = a.type
    return emit(kind, instructions, a, other, count)


def registers_of(a: Value) -> list[Value]:
    """A vector as vectors that fill a register each."""
    width = REGISTER_BYTES * 8 // a.dtype.bitwidth
    if a.count <= width:
        return [a]
    return [shuffle(a, a, range(i, i + width)) for i in range(0, a.count, width)]


def joined(pieces: Sequence[Value]) -> Value:
    """Vectors one after the other, as one."""
    while len(pieces) > 1:
        pairs = zip(pieces[::2], pieces[1::2], strict=True)
        pieces = [shuffle(a, b, range(2 * a.count)) for a, b in pairs]
    return pieces[0]


@formula
def transpose(rows: tuple[Value, ...]) -> tuple[Value, ...]:
    """n vectors of n elements as their n columns; likewise each n of longer vectors.

    log2(n) rounds; a round exchanges, between rows whose numbers differ in one bit, the
    elements whose numbers differ from their row's in that bit.
    """
    count, width = len(rows), rows[0].count
    distance = count // 2
    while distance:
        low = [i if not i & distance else i - distance + width for i in range(width)]
        high = [i + distance if not i & distance else i + width for i in range(width)]
        rows = tuple(
            shuffle(rows[i], rows[i ^ distance], low)
            if not i & distance
            else shuffle(rows[i ^ distance], rows[i], high)
            for i in range(count)
        )
        distance //= 2
    return rows
