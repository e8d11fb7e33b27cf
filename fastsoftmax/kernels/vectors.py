"""Operations on vectors and numbers: one machine instruction each, or a few.

Numba leaves vectorisation to LLVM's loop vectoriser, which gives up on a max, on a
polynomial between loads and stores that may alias, and on every call of ``exp``.  Here a
vector is a value (`values.Vec` is LLVM's ``<count x dtype>``), so a formula runs as written
on SSE, AVX2, AVX-512 and NEON.  LLVM cuts vectors that are wider than the machine's
registers into pieces, element by element, which leaves every result as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import cgutils, types

from fastsoftmax._cpu import VECTOR_BYTES
from fastsoftmax.kernels.values import (
    INT1,
    INT32,
    INT64,
    Value,
    Vec,
    alike,
    as_type,
    dtype_of,
    emit,
    formula,
    integers,
    kind_with,
    llvm_type,
    splat_code,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def native(dtype: Any) -> Vec:
    """The vector that fills one register of the width chosen in `_cpu`."""
    return Vec(dtype, VECTOR_BYTES * 8 // dtype.bitwidth)


def call_llvm(builder: ir.IRBuilder, name: str, result: Any, args: Sequence[Any]) -> Any:
    """Call the function `name` of LLVM."""
    signature = ir.FunctionType(result, [arg.type for arg in args])
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(function, args)


def is_x86(builder: ir.IRBuilder) -> bool:
    """Whether the code that is built is for the processors of that name."""
    triple: str = builder.module.triple
    return triple.startswith(("x86", "i686"))


def _elementwise(name: str, *operands: Any) -> Value:
    """LLVM's function `name` in the type of the operands: ``llvm.fma.v8f32``, ``llvm.fma.f64``."""
    values = alike(*operands)
    kind = values[0].type
    suffix = f"f{values[0].dtype.bitwidth}"
    if isinstance(kind, Vec):
        suffix = f"v{kind.count}{suffix}"

    def instructions(builder: ir.IRBuilder, *codes: Any) -> Any:
        return call_llvm(builder, f"llvm.{name}.{suffix}", llvm_type(kind), codes)

    return emit(kind, instructions, *values)


# --- Elementwise ----------------------------------------------------------------------


@formula
def fma(a: Any, b: Any, c: Any) -> Value:
    """a * b + c, rounded once."""
    return _elementwise("fma", a, b, c)


@formula
def rint(a: Value) -> Value:
    """`a` rounded to an integer, ties to even."""
    return _elementwise("nearbyint", a)


@formula
def maximum(a: Any, b: Any) -> Value:
    """The larger one; `b` where either is NaN (one instruction on x86)."""
    a, b = alike(a, b)

    def instructions(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    return emit(a.type, instructions, a, b)


@formula
def smallest(a: Value, bound: Any) -> Value:
    """`a`, at most `bound`; NaN stays."""
    a, bound = alike(a, bound)

    def instructions(builder: ir.IRBuilder, a: Any, bound: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", a, bound), bound, a)

    return emit(a.type, instructions, a, bound)


@formula
def where_at_least(a: Value, bound: Any, above: Any, below: Any) -> Value:
    """`above` where ``a >= bound``, else (NaN too) `below`."""
    a, bound, above, below = alike(a, bound, above, below)

    def instructions(builder: ir.IRBuilder, a: Any, bound: Any, above: Any, below: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">=", a, bound), above, below)

    return emit(a.type, instructions, a, bound, above, below)


LARGEST = {types.float32: 3.4028234663852886e38, types.float64: 1.7976931348623157e308}
"""The largest finite numbers."""


@formula
def beyond(a: Value, limit: Any) -> Value:
    """Where not ``abs(a) <= limit`` (NaN too), as bool."""
    size, limit = alike(_elementwise("fabs", a), limit)
    kind = kind_with(a.type, types.boolean)
    return emit(kind, lambda builder, a, b: builder.fcmp_unordered(">", a, b), size, limit)


@formula
def both(a: Value, b: Any) -> Any:
    """Where both are true; `b` may be known when code is built."""
    if isinstance(b, bool):
        return a if b else False
    return emit(a.type, lambda builder, a, b: builder.and_(a, b), a, b)


@formula
def is_above(a: Value, bound: Any) -> Value:
    """Where ``a > bound``, as bool."""
    a, bound = alike(a, bound)
    kind = kind_with(a.type, types.boolean)
    return emit(kind, lambda builder, a, b: builder.fcmp_ordered(">", a, b), a, bound)


@formula
def any_of(where: Value) -> Value:
    """Whether any element of a vector of bool is true."""
    name = f"llvm.vector.reduce.or.v{where.count}i1"
    return emit(types.boolean, lambda builder, a: call_llvm(builder, name, INT1, [a]), where)


@formula
def equal(a: Value, b: Any) -> Value:
    """Where two are equal, as bool."""
    a, b = alike(a, b)
    kind = kind_with(a.type, types.boolean)
    name = "icmp_signed" if isinstance(a.dtype, types.Integer) else "fcmp_ordered"
    return emit(kind, lambda builder, a, b: getattr(builder, name)("==", a, b), a, b)


@formula
def lacks(flags: Any, bits: int) -> Any:
    """Whether none of these bits is set."""
    if isinstance(flags, int):
        return flags & bits == 0
    return equal(emit(flags.type, lambda builder, a, b: builder.and_(a, b), flags, bits), 0)


@formula
def is_different(a: Value, b: Any) -> Value:
    """Where two are not equal (NaN is not), as bool."""
    a, b = alike(a, b)
    kind = kind_with(a.type, types.boolean)
    return emit(kind, lambda builder, a, b: builder.fcmp_unordered("!=", a, b), a, b)


@formula
def choose(where: Value, a: Any, b: Any) -> Value:
    """`a` where it is true, else `b`."""
    a, b = alike(a, b)
    return emit(a.type, lambda builder, *codes: builder.select(*codes), where, a, b)


def bits_of(kind: Any) -> Any:
    """The LLVM type of the bits of a number or vector as integers."""
    bits = ir.IntType(dtype_of(kind).bitwidth)
    return ir.VectorType(bits, kind.count) if isinstance(kind, Vec) else bits


def bits_constant(bits: Any, value: int) -> ir.Constant:
    """`value` as a constant of the type `bits`, everywhere if that is a vector."""
    if isinstance(bits, ir.VectorType):
        return ir.Constant(bits, [value] * bits.count)
    return ir.Constant(bits, value)


@formula
def double(a: Value) -> Value:
    """`a` in float64."""
    if a.dtype == types.float64:
        return a
    kind = kind_with(a.type, types.float64)
    return emit(kind, lambda builder, code: builder.fpext(code, llvm_type(kind)), a)


@formula
def narrow(a: Value, like: Value) -> Value:
    """The float64 `a`, rounded to the dtype of `like`."""
    if a.dtype == like.dtype:
        return a
    kind = kind_with(a.type, like.dtype)
    return emit(kind, lambda builder, code: builder.fptrunc(code, llvm_type(kind)), a)


@formula
def opaque(a: Value) -> Value:
    """`a`, of which LLVM no longer knows that it is a constant.

    A loop's constants that find no register are read again in every round, each by two
    instructions: its address is 64 bits wide in code that is compiled at run time.  A number
    that is not known to be constant waits on the stack instead, where the instruction that
    wants it reads it along: 10 % less time for the loop of `rows` with AVX-512.
    """

    def instructions(builder: ir.IRBuilder, code: Any) -> Any:
        with builder.goto_entry_block():
            hidden = builder.alloca(code.type)
        builder.store(code, hidden)
        signature = ir.FunctionType(ir.VoidType(), [hidden.type])
        builder.asm(signature, "", "r,~{memory}", [hidden], side_effect=True)
        return builder.load(hidden)

    return emit(a.type, instructions, a)


# --- Whole vectors --------------------------------------------------------------------


@formula
def splat(scalar: Any, like: Value) -> Value:
    """`scalar` in every element of a vector of the type of `like`."""
    return as_type(scalar, like.type, like.builder)


@formula
def count_of(a: Value) -> int:
    """The number of elements of a vector."""
    return a.count


@formula
def vector(address: Value) -> Value:
    """A register-wide vector of zeros of the dtype of `address`."""
    return as_type(0.0, native(address.dtype), address.builder)


@formula
def vector_count(address: Value) -> int:
    """The number of elements of `vector`."""
    return native(address.dtype).count


@formula
def element(a: Value, index: Any) -> Value:
    """The element at `index`."""
    if isinstance(index, int):
        return emit(a.dtype, lambda builder, code: builder.extract_element(code, INT32(index)), a)
    return emit(a.dtype, lambda builder, code, i: builder.extract_element(code, i), a, index)


def elements_between(builder: ir.IRBuilder, first: Any, last: Any, kind: Vec) -> Any:
    """The LLVM mask of the elements `first` to `last` - 1 of a vector; None is no bound."""
    bits = INT64 if kind.dtype.bitwidth > 32 else INT32
    positions = integers(range(kind.count), bits)

    def bound(given: Any) -> Any:
        """In as many bits as an element has: masks of other widths take shuffles to make."""
        if bits is INT64:
            return splat_code(builder, given, kind.count)
        for above, limit in ((False, INT64(0)), (True, INT64(kind.count))):
            beyond = builder.icmp_signed(">" if above else "<", given, limit)
            given = builder.select(beyond, limit, given)
        return splat_code(builder, builder.trunc(given, bits), kind.count)

    masks = []
    if first is not None:
        masks.append(builder.icmp_signed(">=", positions, bound(first)))
    if last is not None:
        masks.append(builder.icmp_signed("<", positions, bound(last)))
    return masks[0] if len(masks) == 1 else builder.and_(*masks)
