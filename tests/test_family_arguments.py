"""One table of refusals for all functions: the error, what it says, and `out` left alone."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pytest
from arrays import logits, read_only
from relatives import RELATIVES, Relative, name_of

import fastsoftmax

MATRIX = logits((2, 3), np.float32)
AXIS = np.exceptions.AxisError
GRADIENTS = {"softmax_backward", "log_softmax_backward"}
TAKE_OUT = {each.name for each in RELATIVES}
HOT = TAKE_OUT - {"logsumexp"} | {"top_k"}
TAKE_DTYPE = TAKE_OUT - GRADIENTS | {"top_k"}


class Function(NamedTuple):
    """A function that takes logits or two arrays of their shape."""

    name: str

    def __call__(self, x: Any, **arguments: Any) -> Any:
        call = getattr(fastsoftmax, self.name)
        if self.name in GRADIENTS:
            return call(x, x, **arguments)
        return call(x, 1, **arguments) if self.name == "top_k" else call(x, **arguments)

    @property
    def first(self) -> str:
        """What errors call the first argument."""
        return "grad_output" if self.name in GRADIENTS else "input"


FUNCTIONS = [Function(each.name) for each in RELATIVES] + [Function("top_k")]


class Bad(NamedTuple):
    """Arguments that are refused by the functions that take them."""

    error: type[Exception]
    words: tuple[str, ...]
    arguments: dict[str, Any]
    of: frozenset[str]

    def __str__(self) -> str:
        return " ".join(f"{key}={value!r:.30}" for key, value in self.arguments.items())


def bad(
    error: type[Exception], *words: str, of: Any = TAKE_OUT | {"top_k"}, **arguments: Any
) -> Bad:
    return Bad(error, words, arguments, frozenset(of))


def sentence(low: int, high: int, got: int) -> str:
    """Torch's."""
    return f"Dimension out of range (expected to be in range of [{low}, {high}], but got {got})"


INPUTS = [
    bad(TypeError, "input", "object", input=np.array([[1, None]]), dim=0),
    bad(TypeError, "input", "<U1", input=["x"], dim=0),
    bad(TypeError, "input", "|S1", input=[b"1"], dim=0),
    bad(TypeError, "input", "datetime64", input=np.array(["2026-11-01"], "M8[D]"), dim=0),
    bad(TypeError, "input", "timedelta64", input=np.array([1], "m8[s]"), dim=0),
    bad(TypeError, "input", "f4", input=np.zeros(3, [("x", "f4")]), dim=0),
    bad(TypeError, "input", "object", input=None, dim=0),
]
DIMS = [
    bad(TypeError, "dim", "missing"),
    bad(TypeError, "dim=1.0", "float", dim=1.0),
    bad(TypeError, "dim=True", "bool", dim=True),
    bad(TypeError, "dim", "bool", dim=np.True_),
    bad(TypeError, "dim='1'", "str", dim="1"),
    bad(TypeError, "dim", "list", dim=[0, 1]),
    bad(TypeError, "dim", "1.0", dim=(0, 1.0)),
    bad(TypeError, "dim", "None", dim=(0, None)),
    bad(TypeError, "dim", "float", axis=1.0),
    bad(TypeError, "dim=1", "axis=1", dim=1, axis=1),
    bad(TypeError, "dim=None", "axis=None", dim=None, axis=None),
    bad(ValueError, "dim=(0, 0)", "twice", dim=(0, 0)),
    bad(ValueError, "dim=(1, -1)", "twice", dim=(1, -1)),
    bad(ValueError, "dim=()", dim=()),
    bad(AXIS, sentence(-2, 1, 2), dim=2),
    bad(AXIS, sentence(-2, 1, -3), dim=-3),
    bad(AXIS, sentence(-2, 1, 2), dim=(0, 2)),
    bad(AXIS, sentence(-2, 1, 2), axis=2),
    bad(AXIS, sentence(-2, 1, 2), dim=2, input=np.zeros((2, 0))),
    bad(AXIS, sentence(-1, 0, 1), dim=1, input=[]),
    bad(AXIS, sentence(-1, 0, -2), dim=-2, input=np.float32(3)),
]
DTYPES = [
    bad(TypeError, "dtype=int32", "floating", dim=0, dtype="i4", of=TAKE_DTYPE),
    bad(TypeError, "dtype=bool", "floating", dim=0, dtype=bool, of=TAKE_DTYPE),
    bad(TypeError, "dtype=complex128", "floating", dim=0, dtype=complex, of=TAKE_DTYPE),
    bad(TypeError, "dtype=object", "floating", dim=0, dtype=object, of=TAKE_DTYPE),
    bad(TypeError, "dtype=float64", dim=0, dtype=float, input=[1j, 2], of=TAKE_DTYPE),
    bad(TypeError, "float33", dim=0, dtype="float33", of=TAKE_DTYPE),
]
WHERES = [
    bad(TypeError, "where", "int", dim=0, where=1),
    bad(TypeError, "where", "float64", dim=0, where=np.ones((2, 3))),
    bad(TypeError, "where", "uint8", dim=0, where=np.ones((2, 3), np.uint8)),
    bad(TypeError, "where", "object", dim=0, where=[[None] * 3] * 2),
    bad(TypeError, "where", "<U4", dim=0, where="True"),
    bad(ValueError, "where", "(2,)", "(2, 3)", dim=0, where=np.ones(2, bool)),
    bad(ValueError, "where", "(3, 1)", "(2, 3)", dim=0, where=np.ones((3, 1), bool)),
    bad(ValueError, "where", "(1, 2, 3)", "(2, 3)", dim=0, where=np.ones((1, 2, 3), bool)),
    bad(ValueError, "where", "(2, 0)", "(2, 3)", dim=0, where=np.ones((2, 0), bool)),
    bad(ValueError, "where", dim=1, where=np.ones((2, 3), bool), input=np.zeros((2, 0))),
]
TEMPERATURES = [
    bad(ValueError, "temperature", "0", dim=0, temperature=0, of=HOT),
    bad(ValueError, "temperature", "0.0", dim=0, temperature=0.0, of=HOT),
    bad(ValueError, "temperature", "-0.0", dim=0, temperature=-0.0, of=HOT),
    bad(ValueError, "temperature", "-1.5", dim=0, temperature=-1.5, of=HOT),
    bad(ValueError, "temperature", "nan", dim=0, temperature=np.nan, of=HOT),
    bad(ValueError, "temperature", "-inf", dim=0, temperature=-np.inf, of=HOT),
    bad(ValueError, "temperature", dim=0, temperature=np.array([[1.0, 2.0, 0.0]]), of=HOT),
    bad(ValueError, "temperature", dim=0, temperature=[[1.0, np.nan, 1.0]], of=HOT),
    bad(TypeError, "temperature", "None", dim=0, temperature=None, of=HOT),
    bad(TypeError, "temperature", "'1'", dim=0, temperature="1", of=HOT),
    bad(TypeError, "temperature", "1j", dim=0, temperature=1j, of=HOT),
    bad(TypeError, "temperature", "True", dim=0, temperature=True, of=HOT),
    bad(TypeError, "temperature", dim=0, temperature=[None], of=HOT),
    bad(ValueError, "temperature", "(2,)", dim=0, temperature=np.ones(2), of=HOT),
    bad(ValueError, "temperature", "(1, 1, 3)", dim=0, temperature=np.ones((1, 1, 3)), of=HOT),
    bad(ValueError, "temperature", "(2, 1)", "dim 0", dim=0, temperature=np.ones((2, 1)), of=HOT),
    bad(ValueError, "temperature", "(2, 3)", "dim 1", dim=1, temperature=np.ones((2, 3)), of=HOT),
    bad(ValueError, "temperature", "(3,)", "dim 1", dim=-1, temperature=np.ones(3), of=HOT),
    bad(
        ValueError, "temperature", "(3,)", "dim 1", dim=(0, 1), temperature=np.ones(3),
        of=HOT - {"top_k"},
    ),
]  # fmt: skip
WORKERS = [
    bad(ValueError, "workers=0", "positive", dim=0, workers=0),
    bad(ValueError, "workers=-1", "positive", dim=0, workers=-1),
    bad(ValueError, "workers=True", "positive", dim=0, workers=True),
    bad(ValueError, "workers=2.0", "positive", dim=0, workers=2.0),
    bad(ValueError, "workers='2'", "positive", dim=0, workers="2"),
]
ALL = INPUTS + DIMS + DTYPES + WHERES + TEMPERATURES + WORKERS


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
@pytest.mark.parametrize("given", ALL, ids=str)
def test_a_refusal_names_the_argument_and_leaves_out_alone(function: Function, given: Bad) -> None:
    if function.name not in given.of:
        return
    arguments = {"input": MATRIX, **given.arguments}
    x = arguments.pop("input")
    out = np.full(np.shape(x) if function.name != "logsumexp" else np.shape(x)[1:], 7.0)
    if function.name in TAKE_OUT:
        arguments["out"] = out
    with pytest.raises(given.error) as caught:
        function(x, **arguments)
    assert type(caught.value) is given.error
    for word in given.words:
        assert (function.first if word == "input" else word) in str(caught.value)
    assert (out == 7).all()


OUTS = [
    (np.full((3, 2), 7.0), ValueError, ("out", "(3, 2)")),
    (np.full((2, 3, 1), 7.0), ValueError, ("out", "(2, 3, 1)")),
    (np.full((6,), 7.0), ValueError, ("out", "(6,)")),
    ("right", TypeError, ("out", "int64", "same_kind")),
    ("read-only", ValueError, ("out", "read-only")),
    ("broadcast", ValueError, ("out", "share")),
    ([[7.0] * 3] * 2, TypeError, ("out", "list")),
    (7.0, TypeError, ("out", "float")),
]


@pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
@pytest.mark.parametrize(("out", "error", "words"), OUTS, ids=lambda value: f"{value!s:.12}")
def test_an_out_that_does_not_fit_is_refused(
    relative: Relative, out: Any, error: type[Exception], words: tuple[str, ...]
) -> None:
    shape = (2, 1) if relative.reduces else (2, 3)
    if isinstance(out, str):
        out = {
            "right": np.full(shape, 7),
            "read-only": read_only(np.full(shape, 7.0)),
            "broadcast": np.lib.stride_tricks.as_strided(np.full(1, 7.0), shape, (0, 0)),
        }[out]
    with pytest.raises(error) as caught:
        relative.call(*[MATRIX] * relative.inputs, 1, out=out)
    for word in words:
        assert word in str(caught.value)
    assert (np.asarray(out) == 7).all()


@pytest.mark.parametrize(
    "function", [fastsoftmax.softmax_backward, fastsoftmax.log_softmax_backward]
)
def test_gradients_of_dtypes_with_nothing_in_common_are_refused(function: Any) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    half, other, out = np.ones((2, 3), np.float16), np.ones((2, 3), bfloat16), np.full((2, 3), 7.0)
    for given in ((half, other), (other, half)):
        with pytest.raises(TypeError, match=r"grad_output .*16 and output .*16") as caught:
            function(*given, 1, out=out)
        assert type(caught.value) is TypeError
        assert (out == 7).all()


@pytest.mark.parametrize("name", sorted(GRADIENTS))
def test_gradient_and_output_of_different_shapes_are_refused(name: str) -> None:
    call = getattr(fastsoftmax, name)
    for shape in [(2,), (3, 2), (1, 3), (2, 3, 1), ()]:
        with pytest.raises(ValueError, match=r"grad_output .*output") as caught:
            call(np.zeros(shape), np.zeros((2, 3)), 0)
        assert str(shape) in str(caught.value)
    with pytest.raises(TypeError, match=r"\boutput .*object"):
        call(np.zeros(2), np.array([None, 1]), 0)


def test_logsumexp_takes_one_of_keepdim_and_keepdims() -> None:
    with pytest.raises(TypeError, match=r"keepdim.*keepdims"):
        fastsoftmax.logsumexp(MATRIX, 0, keepdim=True, keepdims=True)


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_an_unknown_argument_is_refused(function: Function) -> None:
    with pytest.raises(TypeError, match="dims"):
        function(MATRIX, dims=0)
    with pytest.raises(TypeError, match="positional"):
        getattr(fastsoftmax, function.name)(MATRIX, 1, 0, None, 5, 6)


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_an_axis_error_is_an_index_error_and_a_value_error(function: Function) -> None:
    for error in (IndexError, ValueError):
        with pytest.raises(error, match=re.escape("[-2, 1], but got 2")):
            function(MATRIX, dim=2)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("input", lambda ragged: fastsoftmax.softmax(ragged, 0)),
        ("input", lambda ragged: fastsoftmax.logsumexp(tuple(ragged), 0)),
        ("input", lambda ragged: fastsoftmax.cross_entropy(ragged, [0, 1])),
        ("target", lambda ragged: fastsoftmax.cross_entropy(np.eye(2), ragged)),
        ("grad_output", lambda ragged: fastsoftmax.softmax_backward(ragged, ragged, 0)),
        ("where", lambda ragged: fastsoftmax.softmax([1.0, 2.0], 0, where=ragged)),
    ],
)
def test_sequences_of_several_lengths_are_refused_by_name(name: str, call: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}, a (list|tuple), makes no array.* one length"):
        call([[1.0, 2.0], [3.0]])
