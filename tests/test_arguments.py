"""What each argument accepts, what it refuses, and what the refusal says."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pytest
from arrays import logits, read_only
from family import SOFTMAX, Function
from ulps import assert_accurate

MATRIX = logits((2, 3), np.float32)
AXIS = np.exceptions.AxisError


class Refusal(NamedTuple):
    """A call that is refused, and what the error has to be and say."""

    arguments: dict[str, Any]
    error: type[Exception]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(f"{key}={value!r:.40}" for key, value in self.arguments.items())


def refused(error: type[Exception], *words: str, **arguments: Any) -> Refusal:
    return Refusal({"input": MATRIX, **arguments}, error, words)


def out_of_range(dim: Any, low: int, high: int, got: int, **arguments: Any) -> Refusal:
    """Torch's sentence."""
    words = f"Dimension out of range (expected to be in range of [{low}, {high}], but got {got})"
    return refused(AXIS, words, dim=dim, **arguments)


EMPTY, SCALAR = np.zeros((2, 0), np.float32), np.float32(3)

INPUTS = [
    refused(TypeError, "input", "object", "to_numpy(float)", input=np.array([1, None]), dim=0),
    refused(TypeError, "input", "object", input=[{}], dim=0),
    refused(TypeError, "input", "object", input=None, dim=0),
    refused(TypeError, "input", "<U1", input="x", dim=0),
    refused(TypeError, "input", "<U3", input=["1.0", "2.0"], dim=0),
    refused(TypeError, "input", "|S1", input=[b"1", b"2"], dim=0),
    refused(TypeError, "input", "datetime64", input=np.array(["2026-11-01"], "M8[D]"), dim=0),
    refused(TypeError, "input", "timedelta64", input=np.array([1], "m8[s]"), dim=0),
    refused(TypeError, "input", "f4", input=np.zeros(3, [("x", "f4")]), dim=0),
    refused(TypeError, "input", "object", input=np.zeros((2, 0), object), dim=0),
]

DIMS = [
    refused(TypeError, "dim", "missing"),
    refused(TypeError, "dim", "missing", input=EMPTY),
    refused(TypeError, "dim=1.0", "float", dim=1.0),
    refused(TypeError, "dim", "1.0", "float", dim=np.float64(1)),
    refused(TypeError, "dim=True", "bool", dim=True),
    refused(TypeError, "dim", "bool", dim=np.True_),
    refused(TypeError, "dim='1'", "str", dim="1"),
    refused(TypeError, "dim", "[0, 1]", "list", dim=[0, 1]),
    refused(TypeError, "dim", "1.0", dim=(0, 1.0)),
    refused(TypeError, "dim", "True", "bool", dim=(0, True)),
    refused(TypeError, "dim", "None", dim=(0, None)),
    refused(TypeError, "dim", "float", axis=1.0),
    refused(TypeError, "dim", "float", dim=1.0, input=EMPTY),
    refused(TypeError, "dim=1", "axis=1", dim=1, axis=1),
    refused(TypeError, "dim=None", "axis=None", dim=None, axis=None),
    refused(ValueError, "dim=(0, 0)", "twice", dim=(0, 0)),
    refused(ValueError, "dim=(1, -1)", "twice", dim=(1, -1)),
    refused(ValueError, "dim=()", dim=()),
    out_of_range(2, -2, 1, 2),
    out_of_range(-3, -2, 1, -3),
    out_of_range(np.int64(7), -2, 1, 7),
    out_of_range((0, 2), -2, 1, 2),
    out_of_range(10**30, -2, 1, 10**30),
    out_of_range(2, -2, 1, 2, input=EMPTY),
    out_of_range(1, -1, 0, 1, input=[]),
    out_of_range(1, -1, 0, 1, input=SCALAR),
    out_of_range(-2, -1, 0, -2, input=SCALAR),
]

DTYPE_RULES = [
    refused(TypeError, "dtype=int32", "floating", dim=0, dtype=np.int32),
    refused(TypeError, "dtype=uint8", "floating", dim=0, dtype="u1"),
    refused(TypeError, "dtype=bool", "floating", dim=0, dtype=bool),
    refused(TypeError, "dtype=complex64", "floating", dim=0, dtype=np.complex64),
    refused(TypeError, "dtype=complex128", "floating", dim=0, dtype=complex),
    refused(TypeError, "dtype=object", "floating", dim=0, dtype=object),
    refused(TypeError, "dtype=int64", "floating", dim=0, dtype=int, input=EMPTY),
    refused(TypeError, "dtype=int64", "floating", dim=0, dtype=int, input=[1, 2]),
    refused(TypeError, "dtype=float64", "complex", dim=0, dtype=float, input=[1j, 2]),
    refused(TypeError, "float33", dim=0, dtype="float33"),
]

WORKERS = [
    refused(ValueError, "workers=0", "positive", dim=0, workers=0),
    refused(ValueError, "workers=-1", "positive", dim=0, workers=-1),
    refused(ValueError, "workers=True", "positive", dim=0, workers=True),
    refused(ValueError, "workers=2.0", "positive", dim=0, workers=2.0),
    refused(ValueError, "workers='2'", "positive", dim=0, workers="2"),
    refused(ValueError, "workers=0", "positive", dim=0, workers=0, input=EMPTY),
]


@pytest.mark.parametrize("refusal", INPUTS + DIMS + DTYPE_RULES + WORKERS, ids=str)
def test_a_refusal_names_the_argument_and_leaves_out_alone(
    function: Function, refusal: Refusal
) -> None:
    given = refusal.arguments["input"]
    kept = np.full(np.shape(given), 7.0)
    with pytest.raises(refusal.error) as caught:
        function.call(**refusal.arguments, out=kept)
    assert type(caught.value) is refusal.error
    for word in refusal.words:
        assert word in str(caught.value)
    assert (kept == 7).all()


def test_an_axis_error_is_an_index_error_and_a_value_error(function: Function) -> None:
    for error in (IndexError, ValueError):
        with pytest.raises(error, match=re.escape("[-2, 1], but got 2")):
            function.call(MATRIX, 2)


def test_only_the_first_three_arguments_go_without_a_name(function: Function) -> None:
    with pytest.raises(TypeError, match="positional"):
        function.call(MATRIX, 0, None, 1)


def test_an_unknown_argument_is_refused(function: Function) -> None:
    with pytest.raises(TypeError, match="dims"):
        function.call(MATRIX, dims=0)


def test_input_is_the_name_of_the_first_argument(function: Function) -> None:
    assert np.array_equal(function.call(input=MATRIX, dim=0), function.call(MATRIX, 0))


# --- dim ------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3, np.int8(1), np.array(2)])
def test_axis_is_another_name_for_dim(function: Function, dim: Any) -> None:
    x = logits((3, 4, 5), np.float32)
    result = function.call(x, axis=dim)
    assert np.array_equal(result, function.call(x, dim))
    assert_accurate(result, function.exact(x, int(dim)))


@pytest.mark.parametrize("dim", [(0,), (0, 1), (1, 0), (0, 2), (-1, 0), (1, -1), (0, 1, 2), None])
def test_a_tuple_of_dims_and_none_are_taken_jointly(
    function: Function, dtype: Any, dim: Any
) -> None:
    x = logits((3, 4, 5), dtype, 3.0)
    result = function.call(x, dim)
    assert_accurate(result, function.exact(x, dim))
    assert np.array_equal(result, function.call(x, axis=dim))


def test_the_order_of_a_tuple_does_not_matter(function: Function, dtype: Any) -> None:
    x = logits((13, 7, 11), dtype, 3.0)
    assert np.array_equal(function.call(x, (0, 2)), function.call(x, (2, 0)))
    assert np.array_equal(function.call(x, (2, 1, 0)), function.call(x, None))


@pytest.mark.parametrize("dim", [0, -1, None, (0,), (-1,)])
@pytest.mark.parametrize(
    "kind", ["f4", "f8", "g", "F", "D", "?", "i1", "u2", "i4", "u4", "i8", "u8"]
)
def test_a_scalar_has_one_slice_of_one_element(function: Function, dim: Any, kind: str) -> None:
    for given in (np.array(1, kind), np.ones((), kind)[()]):
        result = function.call(given, dim)
        assert result.shape == ()
        assert result == function.exact(1.0, 0)
    out = np.zeros((), result.dtype)
    assert function.call(np.array(1, kind), dim, out=out) is out
    assert out == result


@pytest.mark.parametrize("extreme", [2**63 - 1, -(2**63)])
@pytest.mark.parametrize("dim", [0, None, (0,)])
def test_a_scalar_may_be_an_extreme_integer(dim: Any, extreme: int) -> None:
    assert SOFTMAX.call(np.array(extreme), dim) == 1


# --- dtype ----------------------------------------------------------------------------


def test_the_input_is_cast_before_anything_is_computed(function: Function) -> None:
    # In float32 the first two are equal, and 0.1 is another number than in float64.
    x = read_only(np.array([16777217.0, 16777216.0, 16777215.9]))
    for given in (x, np.array([0.1, 0.3, 0.7])):
        result = function.call(given, 0, np.float32)
        assert result.dtype == np.float32
        assert np.array_equal(result, function.call(given.astype(np.float32), 0))
    assert function.call(x, 0, np.float32)[0] == function.call(x, 0, np.float32)[1]
    # The other way the input's own rounding stays.
    single = np.array([0.1, 0.3, 0.7], np.float32)
    assert np.array_equal(
        function.call(single, 0, dtype=np.float64), function.call(single.astype(np.float64), 0)
    )


@pytest.mark.parametrize("given", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("wanted", ["f4", "f8", "g", float, np.float32, np.dtype(">f4"), ">f8"])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_any_input_goes_to_any_floating_dtype(
    function: Function, given: str, wanted: Any, layout: Any
) -> None:
    x = read_only(np.random.default_rng(3).integers(0, 90, (5, 7)).astype(given, order=layout))
    result = function.call(x, 1, wanted)
    assert result.dtype == np.dtype(wanted).newbyteorder("=")
    assert result.dtype.isnative
    assert_accurate(result, function.exact(x.astype(wanted), 1))


@pytest.mark.parametrize("wanted", ["f4", "f8"])
def test_longdouble_input_is_rounded_to_the_dtype(function: Function, wanted: str) -> None:
    x = np.array([0.1, 0.2, 1000.3], np.longdouble) / 3
    result = function.call(x, 0, wanted)
    assert np.array_equal(result, function.call(x.astype(wanted), 0))


# --- workers --------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [None, 1, 2, 3, 64, 10**9, np.int32(2)])
def test_any_number_of_workers_will_do(function: Function, dtype: Any, workers: Any) -> None:
    for shape in [(3,), (50, 40), (3000, 100)]:
        x = logits(shape, dtype, 5.0)
        result = function.call(x, -1, workers=workers)
        assert np.array_equal(result, function.call(x, -1))
        assert_accurate(result, function.exact(x, -1))


@pytest.mark.parametrize("given", ["foo", 3])
def test_what_is_no_dtype_is_named(given: Any) -> None:
    with pytest.raises(TypeError, match=f"dtype={given!r} is no dtype"):
        SOFTMAX.call([1.0, 2.0], 0, given)
