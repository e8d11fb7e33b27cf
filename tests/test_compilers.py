"""The compilers of kernels: their memory for types tells what Numba's own would find anew."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numba
import pytest
from numba.core import errors, types

from fastsoftmax._compilers import DeviceCompiler, KernelCompiler

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBERS = types.int64, types.uint8, types.float32, types.boolean
OPERATORS = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.floordiv,
    operator.mod,
    operator.lt,
    operator.eq,
    min,
    max,
)


def signature_by(compiler: Any, function: Any, kinds: tuple[Any, ...]) -> Any:
    """What such a call returns, or the kind of error."""
    made = numba.njit(**compiler)(function)
    try:
        made.compile(kinds)
    except errors.TypingError as error:
        return type(error)
    return made.overloads[kinds].signature


@pytest.mark.parametrize("operation", OPERATORS, ids=lambda each: each.__name__)
def test_operators_return_what_numba_has_them_return(
    operation: Callable[[Any, Any], Any],
) -> None:
    def function(a: Any, b: Any) -> Any:
        return operation(a, b)

    for kinds in [(a, b) for a in NUMBERS for b in NUMBERS]:
        expected = signature_by({}, function, kinds)
        for _ in range(2):  # found, and remembered
            found = signature_by({"pipeline_class": KernelCompiler}, function, kinds)
            assert found == expected, kinds


@pytest.mark.parametrize("compiler", [KernelCompiler, DeviceCompiler])
def test_what_has_no_type_is_refused_again_and_again(compiler: Any) -> None:
    for _ in range(2):
        found = signature_by(
            {"pipeline_class": compiler},
            lambda a, b: a + b,
            (types.int64, types.unicode_type),
        )
        assert found is errors.TypingError


def test_literals_are_numbers_like_others_and_choose_elements_of_tuples() -> None:
    @numba.njit(pipeline_class=KernelCompiler)
    def chosen(pair, number):  # type: ignore[no-untyped-def]
        return pair[0] + 2 * number, pair[1], number + 3, number + 4

    assert chosen((1, 2.5), 10) == (21, 2.5, 13, 14)
    assert chosen((1.5, True), 10) == (21.5, True, 13, 14)


def test_python_functions_of_other_than_numbers_are_not_remembered() -> None:
    @numba.njit(pipeline_class=KernelCompiler)
    def lengths(few, more):  # type: ignore[no-untyped-def]
        return len(few), len(more), few + more

    assert lengths((1, 2), (3, 4, 5)) == (2, 3, (1, 2, 3, 4, 5))
    assert lengths((1,), ()) == (1, 0, (1,))


def test_a_part_is_compiled_once_for_all_integers() -> None:
    @numba.njit(pipeline_class=DeviceCompiler, forceinline=True, no_cpython_wrapper=True)
    def part(x, y, is_sum):  # type: ignore[no-untyped-def]
        return x + y if is_sum else x * y

    @numba.njit(pipeline_class=KernelCompiler)
    def whole(x):  # type: ignore[no-untyped-def]
        return part(x, 5, x > 0), part(x, 7, x > 0), part(3, x, x > 0), part(3, 5, x < 0)

    assert whole(10) == (15, 17, 13, 15)
    assert len(part.overloads) == 1
