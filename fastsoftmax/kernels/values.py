"""Formulas over machine values: plain Python functions that become parts of kernels.

A `Value` stands for a number, vector or address in the machine code being built; operators
and the functions of `vectors` and `memory` write instructions and return new values.  So a
formula over values is an ordinary Python function: it may look at types with ``if`` and call
other formulas, and nothing of that is left in the machine code.

`formula` makes such a function callable from Numba kernels, where the loops are.  Numba
first asks for the types alone: then the function runs once on values without a builder,
which carry types and no code.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_constant
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin, models, register_model, typeof_impl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INT1, INT32, INT64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_SCALARS = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.boolean: INT1,
    **{
        each: ir.IntType(each.bitwidth)
        for each in (*types.signed_domain, *types.unsigned_domain, types.intp, types.uintp)
    },
}


class Static:
    """Something known when code is built, by which formulas choose what to write.

    Kernels pass it along like a value; it is a type of its own and takes up no code.
    """

    name: str


class _StaticType(types.Type):
    def __init__(self, value: Static) -> None:
        self.value = value
        super().__init__(name=f"{type(value).__name__}({value.name})")


@typeof_impl.register(Static)
def _type_of_static(value: Static, _context: Any) -> _StaticType:
    return _StaticType(value)


register_model(_StaticType)(models.OpaqueModel)


@lower_constant(_StaticType)
def _lower_static(context: Any, _builder: Any, _type: Any, _value: Any) -> Any:
    return context.get_dummy_value()


class Vec(types.Type):
    """The Numba type of `count` elements of `dtype` held as one value."""

    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype = dtype
        self.count = count
        super().__init__(name=f"Vec({dtype}, {count})")


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vec: Vec) -> None:
        super().__init__(manager, vec, llvm_type(vec))


def llvm_type(given: Any) -> Any:
    """What LLVM calls the Numba type `given`."""
    if isinstance(given, Vec):
        return ir.VectorType(_SCALARS[given.dtype], given.count)
    if isinstance(given, types.CPointer):
        return _SCALARS[given.dtype].as_pointer()
    return _SCALARS[given]


def dtype_of(given: Any) -> Any:
    """The type of an element of a vector or address, or of the number itself."""
    return getattr(given, "dtype", given)


def kind_with(kind: Any, dtype: Any) -> Any:
    """`kind`, a vector or number, of another dtype."""
    return Vec(dtype, kind.count) if isinstance(kind, Vec) else dtype


class Value:
    """A typed value of the machine code that `builder` writes (none: the type alone)."""

    __slots__ = ("builder", "code", "type")

    def __init__(self, kind: Any, code: Any, builder: ir.IRBuilder | None) -> None:
        self.type = kind
        self.code = code
        self.builder = builder

    @property
    def dtype(self) -> Any:
        """The type of an element."""
        return dtype_of(self.type)

    @property
    def count(self) -> int:
        """Elements of the vector."""
        return int(self.type.count)

    def __add__(self, other: Any) -> Value:
        return arithmetic("fadd", "add", self, other)

    def __radd__(self, other: Any) -> Value:
        return arithmetic("fadd", "add", other, self)

    def __sub__(self, other: Any) -> Value:
        return arithmetic("fsub", "sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return arithmetic("fsub", "sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return arithmetic("fmul", "mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        return arithmetic("fmul", "mul", other, self)

    def __truediv__(self, other: Any) -> Value:
        return arithmetic("fdiv", None, self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return arithmetic("fdiv", None, other, self)

    def __neg__(self) -> Value:
        return emit(self.type, lambda builder, a: builder.fneg(a), self)


def emit(kind: Any, instructions: Callable[..., Any], *operands: Value | int) -> Value:
    """The value of the type `kind` that ``instructions(builder, *codes)`` computes.

    A Python integer among the operands stands for itself.
    """
    builder = next(each.builder for each in operands if isinstance(each, Value))
    if builder is None:
        return Value(kind, None, None)
    codes = [each.code if isinstance(each, Value) else INT64(each) for each in operands]
    return Value(kind, instructions(builder, *codes), builder)


def arithmetic(floating: str, integer: str | None, a: Any, b: Any) -> Value:
    """The LLVM instruction of this name on two operands of which one is a `Value`."""
    a, b = alike(a, b)
    name = floating if isinstance(a.dtype, types.Float) else integer
    if name is None:
        raise TypeError(f"there is no {floating} of {a.type}")
    return emit(a.type, lambda builder, *codes: getattr(builder, name)(*codes), a, b)


def alike(*operands: Any) -> list[Value]:
    """All operands in one type: that of the vector among them, scalars in every element."""
    values = [each for each in operands if isinstance(each, Value)]
    kind = next((each.type for each in values if isinstance(each.type, Vec)), None)
    if kind is None:
        kind = values[0].type
    return [as_type(each, kind, values[0].builder) for each in operands]


def as_type(operand: Any, kind: Any, builder: ir.IRBuilder | None) -> Value:
    """`operand`, a value or Python number, as a value of the type `kind`."""
    if not isinstance(operand, Value):
        if isinstance(dtype_of(kind), types.Integer):
            operand = int(operand)
        if isinstance(kind, Vec):
            code = ir.Constant(llvm_type(kind), [operand] * kind.count)
        else:
            code = ir.Constant(llvm_type(kind), operand)
        return Value(kind, code, builder)
    if operand.type == kind:
        return operand
    if isinstance(kind, Vec) and not isinstance(operand.type, Vec):
        scalar = as_type(operand, kind.dtype, builder)
        return emit(kind, lambda builder, a: splat_code(builder, a, kind.count), scalar)
    if operand.type == types.float64 and kind == types.float32:
        return emit(kind, lambda builder, a: builder.fptrunc(a, llvm_type(kind)), operand)
    raise TypeError(f"{operand.type} where {kind} belongs")


def splat_code(builder: ir.IRBuilder, scalar: Any, count: int) -> Any:
    """The LLVM value `scalar` in every element of a vector."""
    undefined = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    single = builder.insert_element(undefined, scalar, INT32(0))
    return builder.shuffle_vector(single, undefined, integers([0] * count))


def integers(values: Sequence[int], bits: ir.IntType = INT32) -> ir.Constant:
    """A constant vector of integers."""
    return ir.Constant(ir.VectorType(bits, len(values)), list(values))


# --- Between formulas and Numba -------------------------------------------------------


def formula(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let kernels call `function`, which other formulas go on to call as it is.

    What is a `Value` to a formula is a number to the kernel that calls it, so the types of
    arguments are the function's own affair: type checkers see none.
    """

    class Template(AbstractTemplate):
        key = function
        prefer_literal = True  # sizes and names are known when the code is written

        def generic(self, args: Any, _kws: Any) -> Any:
            operands = [_operand(kind, None, None) for kind in args]
            return _type_of(function(*operands))(*args)

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        operands = [
            _operand(kind, code, builder) for kind, code in zip(sig.args, args, strict=True)
        ]
        return _code_of(context, builder, function(*operands))

    infer_global(function, types.Function(Template))
    lower_builtin(function, types.VarArg(types.Any))(lower)
    return function


def _operand(kind: Any, code: Any, builder: ir.IRBuilder | None) -> Any:
    """What a formula gets for an argument of Numba's: a value, tuple or Python object."""
    if isinstance(kind, types.Literal):
        return kind.literal_value
    if isinstance(kind, types.NoneType):
        return None
    if isinstance(kind, _StaticType):
        return kind.value
    if isinstance(kind, types.BaseTuple):
        parts = [None] * len(kind) if builder is None else cgutils.unpack_tuple(builder, code)
        return tuple(_operand(each, part, builder) for each, part in zip(kind, parts, strict=True))
    if isinstance(kind, types.Integer):
        kind = types.intp
    return Value(kind, code, builder)


def _type_of(result: Any) -> Any:
    """The Numba type of what a formula returns."""
    if result is None:
        return types.none
    if isinstance(result, bool):
        return types.boolean
    if isinstance(result, tuple):
        return types.Tuple([_type_of(part) for part in result])
    if isinstance(result, Value):
        return result.type
    if isinstance(result, Static):
        return _StaticType(result)
    return types.intp if isinstance(result, int) else types.float64


def _code_of(context: Any, builder: ir.IRBuilder, result: Any) -> Any:
    """The LLVM value of what a formula returns."""
    if result is None or isinstance(result, Static):
        return context.get_dummy_value()
    if isinstance(result, tuple):
        parts = [_code_of(context, builder, part) for part in result]
        return context.make_tuple(builder, _type_of(result), parts)
    if isinstance(result, Value):
        return result.code
    return context.get_constant(_type_of(result), result)


def _register_operator(symbol: Callable[[Any, Any], Any]) -> None:
    """Give kernels, too, the operator of vectors."""

    class Template(AbstractTemplate):
        key = symbol

        def generic(self, args: Any, _kws: Any) -> Any:
            if not any(isinstance(kind, Vec) for kind in args):
                return None
            return symbol(*[_operand(kind, None, None) for kind in args]).type(*args)

    def lower(_context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        pairs = zip(sig.args, args, strict=True)
        return symbol(*[_operand(kind, code, builder) for kind, code in pairs]).code

    infer_global(symbol)(Template)
    for kinds in ((Vec, Vec), (Vec, types.Number), (types.Number, Vec)):
        lower_builtin(symbol, *kinds)(lower)


for _symbol in (operator.add, operator.sub, operator.mul, operator.truediv):
    _register_operator(_symbol)
