"""Powers of two, whole and broken, from integers that stand in the low bits of numbers.

Adding 1.5 * 2**(mantissa bits) to a number rounds it to an integer and leaves that integer
in its low bits: the *magic* numbers of this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba.core import types

from fastsoftmax._cpu import REGISTER_BYTES
from fastsoftmax.kernels.shuffles import joined, registers_of, shuffle
from fastsoftmax.kernels.values import (
    Value,
    Vec,
    as_type,
    emit,
    formula,
    kind_with,
    llvm_type,
)
from fastsoftmax.kernels.vectors import bits_constant, call_llvm, element, is_x86

if TYPE_CHECKING:
    from llvmlite import ir

_INTEGERS = {types.float32: types.int32, types.float64: types.int64}
_MANTISSA_BITS = {types.float32: 23, types.float64: 52}
_BIAS = {types.float32: 127, types.float64: 1023}


def _integers_of(magic: Value) -> Value:
    """The bits of numbers as integers."""
    kind = kind_with(magic.type, _INTEGERS[magic.dtype])
    return emit(kind, lambda builder, code: builder.bitcast(code, llvm_type(kind)), magic)


@formula
def power_of_two(magic: Value) -> Value:
    """2**(i - exponent bias) for the integer i in the low bits of `magic`."""

    def instructions(builder: ir.IRBuilder, i: Any) -> Any:
        shifted = builder.shl(i, bits_constant(i.type, _MANTISSA_BITS[magic.dtype]))
        return builder.bitcast(shifted, llvm_type(magic.type))

    return emit(magic.type, instructions, _integers_of(magic))


@formula
def power_of_root(magic: Value, roots: Value, steps: int) -> Value:
    """``roots[i mod steps] * 2**(i // steps - exponent bias)`` for the i in `magic`.

    `roots` is what `roots_of` makes of the `steps` numbers, a power of two of them.
    """
    i = _integers_of(magic)
    place = _place_of_octaves(magic, steps)

    def instructions(builder: ir.IRBuilder, i: Any, root: Any) -> Any:
        shifted = builder.shl(i, bits_constant(i.type, place))
        return builder.bitcast(builder.add(shifted, root), llvm_type(magic.type))

    return emit(magic.type, instructions, i, _looked_up(roots, i, steps))


def _place_of_octaves(like: Value, steps: int) -> int:
    """How far the octaves of an integer of steps are from being an exponent, in bits."""
    return _MANTISSA_BITS[like.dtype] - (steps.bit_length() - 1)


@formula
def roots_of(numbers: tuple[float, ...], like: Value) -> Value:
    """The table of `power_of_root` for these numbers, from 1 to 2, in the dtype of `like`.

    In a register, over and over.  Of the bits of each number is taken what the bits of i add:
    its own place among them, and the bias of an exponent.
    """
    dtype = like.dtype
    integer = np.dtype(_INTEGERS[dtype].name)
    bits = np.array(numbers, dtype.name).view(integer).astype(object)
    place = _place_of_octaves(like, len(numbers))
    kind = Vec(_INTEGERS[dtype], REGISTER_BYTES // integer.itemsize)
    table = [
        int(bits[j]) - (_BIAS[dtype] << _MANTISSA_BITS[dtype]) - (j << place)
        for j in (i % len(numbers) for i in range(kind.count))
    ]
    return Value(kind, llvm_type(kind)(table), like.builder)


def _looked_up(table: Value, index: Value, count: int) -> Value:
    """The elements of `table` at the low bits of `index`, of which it has `count`."""
    if index.builder is None:
        return index
    bits = index.dtype.bitwidth
    has_permutation = is_x86(index.builder) and REGISTER_BYTES > 16
    if has_permutation and isinstance(index.type, Vec) and index.count * bits >= 128:
        return joined([_permuted(table, piece) for piece in registers_of(index)])
    choices = [as_type(element(table, j), index.type, index.builder) for j in range(count)]
    bit = 1
    while len(choices) > 1:
        pairs = zip(choices[::2], choices[1::2], strict=True)
        choices = [_by_bit(index, bit, clear, set_) for clear, set_ in pairs]
        bit *= 2
    return choices[0]


def _by_bit(index: Value, bit: int, clear: Value, set_: Value) -> Value:
    """One of two, by a bit of `index`."""

    def instructions(builder: ir.IRBuilder, index: Any, clear: Any, set_: Any) -> Any:
        found = builder.and_(index, bits_constant(index.type, bit))
        return builder.select(
            builder.icmp_unsigned("==", found, bits_constant(index.type, 0)), clear, set_
        )

    return emit(index.type, instructions, index, clear, set_)


def _permuted(table: Value, index: Value) -> Value:
    """`_looked_up` for a register: one instruction (two for float64)."""
    table = shuffle(table, table, range(index.count))
    bits = index.dtype.bitwidth
    numbers = llvm_type(Vec({32: types.float32, 64: types.float64}[bits], index.count))
    name = {
        128: "avx.vpermilvar.{}",
        256: "avx.vpermilvar.{}.256",
        512: "avx512.vpermilvar.{}.512",
    }[index.count * bits].format({32: "ps", 64: "pd"}[bits])

    def instructions(builder: ir.IRBuilder, table: Any, index: Any) -> Any:
        if bits == 64:  # two elements, chosen by the second bit
            index = builder.shl(index, bits_constant(index.type, 1))
        code = call_llvm(
            builder, f"llvm.x86.{name}", numbers, [builder.bitcast(table, numbers), index]
        )
        return builder.bitcast(code, table.type)

    return emit(index.type, instructions, table, index)
