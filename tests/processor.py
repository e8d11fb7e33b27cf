"""MXCSR, the register of x86 that notes what kinds of numbers were met, and says what to do then.

Of the calling thread alone.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import numba
import pytest
from llvmlite import ir
from numba.extending import intrinsic

from fastsoftmax.kernels.vectors import call_llvm

if TYPE_CHECKING:
    from collections.abc import Callable

of_this_kind = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"},
    reason="reads a register of processors of this kind",
)

# An operand was subnormal; a result was, or would have been.
DENORMAL, UNDERFLOW = 0x02, 0x10
_FLAGS = 0x3F
# Results that are subnormal become 0; those that are too small are no reason for a signal.
FLUSH, QUIET_UNDERFLOW = 0x8000, 0x0800


def _status(builder: ir.IRBuilder, name: str, word: Any) -> Any:
    """Call ``ldmxcsr`` with this word or ``stmxcsr``; returns the word."""
    place = builder.alloca(ir.IntType(32))
    builder.store(word, place)
    address = builder.bitcast(place, ir.IntType(8).as_pointer())
    call_llvm(builder, f"llvm.x86.sse.{name}", ir.VoidType(), [address])
    return builder.load(place)


@intrinsic
def _flags(_context: Any) -> Any:
    def codegen(_: Any, builder: ir.IRBuilder, _sig: Any, _args: Any) -> Any:
        return _status(builder, "stmxcsr", ir.IntType(32)(0))

    return numba.types.int32(), codegen


@intrinsic
def _set_flags(_context: Any, word: Any) -> Any:
    def codegen(_: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return _status(builder, "ldmxcsr", args[0])

    return numba.types.int32(word), codegen


@numba.njit("int32()")
def flags() -> Any:
    """What the processor noted."""
    return _flags() & _FLAGS


@numba.njit("int32()")
def clear_flags() -> Any:
    """Have it forget that."""
    return _set_flags(numba.int32(_flags() & ~_FLAGS))


@numba.njit("int32(int32, int32)")
def _change(clear: Any, put: Any) -> Any:
    """Clear some bits and set others; returns what the register was."""
    before = _flags()
    _set_flags(numba.int32((before & ~clear) | put))
    return before


def expecting(expected: bool, compute: Callable[[], Any]) -> Any:
    """What is computed where something underflowed before, or nothing did."""
    _change(UNDERFLOW, UNDERFLOW if expected else 0)
    return compute()


def flushing(compute: Callable[[], Any]) -> Any:
    """What is computed where subnormal results become 0."""
    before = _change(0, FLUSH)
    try:
        return compute()
    finally:
        _change(FLUSH, before & FLUSH)


def trapping(compute: Callable[[], Any]) -> Any:
    """What is computed where something underflowed before, and kills if it does again."""
    _change(QUIET_UNDERFLOW, UNDERFLOW)
    try:
        return compute()
    finally:
        _change(0, QUIET_UNDERFLOW)
