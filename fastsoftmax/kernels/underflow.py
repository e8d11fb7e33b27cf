"""Whether results are subnormal: looked for where the processor saw something underflow.

A processor of x86 notes, thread by thread, that a result was too small for a normal number.  What
underflowed in one block is expected to do so in the next, the next call's included, so blocks are
looked through from then on, and those that hold subnormal results written as kernels/gradual.py
does.  The note costs nothing where nothing underflows; what is looked through for nothing (logits
of -inf underflow, to 0) some 0.03 ns an element.  A kernel whose expectation was not `justified`,
as no block held any, has the processor forget.

Whether a block is written one way or the other does not change its results.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastsoftmax._jit import device, device_apart
from fastsoftmax.kernels.gradual import RANGES
from fastsoftmax.kernels.memory import load_like
from fastsoftmax.kernels.operations import has_quotients
from fastsoftmax.kernels.sums import lane_count, lanes
from fastsoftmax.kernels.values import INT32, Value, formula
from fastsoftmax.kernels.vectors import any_of, call_llvm, choose, is_above, is_x86, maximum, splat

_UNDERFLOW, _FLUSHES = 0x10, 0x8000
"""Bits of MXCSR, a register of x86: whether something underflowed in this thread since the bit was
cleared, and whether what does becomes 0, which nothing is to be done about then."""


def _status(builder: ir.IRBuilder, name: str, place: Any) -> None:
    address = builder.bitcast(place, ir.IntType(8).as_pointer())
    call_llvm(builder, f"llvm.x86.sse.{name}", ir.VoidType(), [address])


def _place_of_status(builder: ir.IRBuilder) -> Any:
    with builder.goto_entry_block():
        return builder.alloca(INT32)


@intrinsic
def underflowed(_context):
    """Whether the processor noted that a result was too small for a normal number, and keeps such.

    Others than x86 compute with such numbers as fast as with any.
    """

    def codegen(_: Any, builder: ir.IRBuilder, _sig: Any, _args: Any) -> Any:
        if not is_x86(builder):
            return ir.IntType(1)(0)
        place = _place_of_status(builder)
        _status(builder, "stmxcsr", place)
        noted = builder.and_(builder.load(place), INT32(_UNDERFLOW | _FLUSHES))
        return builder.icmp_unsigned("==", noted, INT32(_UNDERFLOW))

    return types.boolean(), codegen


@intrinsic
def forget_underflows(_context):
    """Have the processor forget it.  Takes some 15 ns."""

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, _args: Any) -> Any:
        if is_x86(builder):
            place = _place_of_status(builder)
            _status(builder, "stmxcsr", place)
            builder.store(builder.and_(builder.load(place), INT32(~_UNDERFLOW)), place)
            _status(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.none(), codegen


@device
def expects_underflow(operation: Any) -> Any:
    """Whether results of an operation may be subnormal."""
    return has_quotients(operation) and underflowed()


@formula
def _bounds(high: Value) -> tuple[Value, Value]:
    """Between which terms results, or their second products, are subnormal, with some room.

    The numbers that are `high` of quotients, and low parts as large as they may be.
    """
    own = RANGES[high.dtype]
    least = 1.0 / high * 2.0**own.exponent
    return least * 2.0 ** (-own.digits - 2), least * 2.0 ** (own.digits + 2)


@formula
def _raised_below(found: Value, terms: Value, bound: Value) -> Value:
    """`found`, raised to those of the terms that are below `bound`."""
    return maximum(choose(is_above(bound, terms), terms, splat(0.0, terms)), found)


@device_apart
def is_gradual(operation: Any, terms: Any, count: Any, quotient: Any) -> Any:
    """Whether some of the results of `count` neighbours may be subnormal, if that is expected."""
    if not expects_underflow(operation):
        return False
    least, bound = _bounds(quotient[0])
    group, step = lanes(terms), lane_count(terms)
    found = splat(0.0, group)
    for j in range(0, count, step):
        # The last group may end with anything.
        here = load_like(terms, min(j, max(0, count - step)), group)
        found = _raised_below(found, here, bound)
    return any_of(is_above(found, least))


@device
def is_strip_gradual(operation: Any, terms: Any, pitch: Any, rows: Any, quotient: Any) -> Any:
    """The same of a strip of columns, whose rows are `pitch` elements apart."""
    return expects_underflow(operation) and holds_subnormal(terms, pitch, rows, quotient)


@device
def holds_subnormal(terms: Any, pitch: Any, rows: Any, quotient: Any) -> Any:
    """Whether some of its results may be subnormal."""
    least, bound = _bounds(quotient[0])
    found = splat(0.0, quotient[0])
    for j in range(rows):
        found = _raised_below(found, load_like(terms, j * pitch, found), bound)
    return any_of(is_above(found, least))
