"""Softmax and log-sum-exp from one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from arrays import logits
from halves import HALVES
from relatives import BY_NAME, FEW_LAYOUTS, name_of, slices_of_several_sizes

from fastsoftmax import logsumexp, softmax

if TYPE_CHECKING:
    from arrays import Layout

OVER_LAYOUTS = pytest.mark.parametrize("layout", FEW_LAYOUTS, ids=name_of)


def assert_both(x: Any, dim: Any, **more: Any) -> None:
    """The bits of the two functions called one by one."""
    probabilities, lse = softmax(x, dim, return_lse=True, workers=1, **more)
    wanted = softmax(x, dim, workers=1, **more)
    assert np.array_equal(probabilities, wanted, equal_nan=True)
    assert probabilities.strides == wanted.strides
    more.pop("temperature", None)
    right = logsumexp(x, dim, workers=1, **more)
    assert np.shape(lse) == np.shape(right)
    assert lse.dtype == right.dtype
    assert np.array_equal(lse, right, equal_nan=True)


@OVER_LAYOUTS
def test_the_bits_of_softmax_and_of_logsumexp(layout: Layout, dtype: Any) -> None:
    for length in (1, 2, 10, 64, 65, 100, 1000):
        assert_both(layout.of(slices_of_several_sizes(length, dtype)), layout.dim)


@pytest.mark.parametrize("name", ["rows", "dim 0"])
def test_long_slices(name: str, dtype: Any) -> None:
    layout = BY_NAME[name]
    assert_both(layout.of(slices_of_several_sizes(9000, dtype)), layout.dim)


def test_the_mask_counts_for_both_and_the_temperature_for_one(dtype: Any) -> None:
    x = slices_of_several_sizes(40, dtype)
    shown = np.random.default_rng(3).random(x.shape) < 0.6
    shown[2] = False
    assert_both(x, 1, where=shown)
    assert_both(x, 1, temperature=0.3)
    assert_both(x, 0, temperature=np.linspace(0.1, 3, 40), where=shown)


@pytest.mark.parametrize("dim", [0, 1, 2, (0, 2), None])
def test_dims_are_removed(dtype: Any, dim: Any) -> None:
    assert_both(slices_of_several_sizes(60, dtype).reshape(38, 6, 10), dim)


@pytest.mark.parametrize("given", ["?", "i1", "i4", "u8", "f2", ">f8", "g", "D"])
def test_other_dtypes(given: str) -> None:
    x = np.round(slices_of_several_sizes(10, np.dtype(np.float32)) % 7).astype(given)
    assert_both(x, 1)
    if given != "D":
        assert_both(x, 1, dtype=np.float64)


@pytest.mark.parametrize("half", HALVES, ids=name_of)
def test_halves(half: Any) -> None:
    assert_both(logits((38, 10), half, 4.0), 1)


def test_out_may_be_the_input(dtype: Any) -> None:
    """Log-sum-exp is of the logits as they were."""
    x = slices_of_several_sizes(40, dtype)
    wanted, right = softmax(x, 1, return_lse=True)
    own = x.copy()
    got, lse = softmax(own, 1, out=own, return_lse=True)
    assert got is own
    assert np.array_equal(got, wanted)
    assert np.array_equal(lse, right)


def test_special_values() -> None:
    nan, inf = np.nan, np.inf
    x = np.array([[0, nan], [0, inf], [0, -inf], [-inf, -inf]])
    got, lse = softmax(x, 1, return_lse=True)
    assert np.array_equal(got, [[nan, nan], [nan, nan], [1, 0], [nan, nan]], equal_nan=True)
    assert np.array_equal(lse, [nan, inf, 0, -inf], equal_nan=True)


def test_empty_inputs() -> None:
    got, lse = softmax(np.zeros((2, 0)), 1, return_lse=True)
    assert got.shape == (2, 0)
    assert lse.tolist() == [-np.inf, -np.inf]
    assert softmax(np.zeros((0, 3)), 1, return_lse=True)[1].shape == (0,)


@pytest.mark.parametrize("bad", [np.array([1, 2]), [], "yes", None, 1.0])
def test_what_is_no_bool_is_refused(bad: Any) -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match=r"return_lse=.* it must be a bool"):
            softmax([1.0, 2.0], 0, return_lse=bad)
        with pytest.raises(TypeError, match=r"keepdim=.* it must be a bool"):
            logsumexp([1.0, 2.0], 0, keepdim=bad)
    for yes in (True, np.True_, 1):
        assert len(softmax([1.0, 2.0], 0, return_lse=yes)) == 2


def test_refusals_are_those_of_softmax() -> None:
    out = np.full((2, 3), 7.0)
    with pytest.raises(ValueError, match="temperature"):
        softmax(np.zeros((2, 3)), 1, temperature=-1.0, out=out, return_lse=True)
    with pytest.raises(np.exceptions.AxisError):
        softmax(np.zeros((2, 3)), 2, out=out, return_lse=True)
    assert (out == 7).all()
