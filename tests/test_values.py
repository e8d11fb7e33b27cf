"""NaN, infinities and extremes: what they give, whom they leave alone, and no warnings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import Layout, logits, read_only
from family import SOFTMAX, Function
from reference import slices_of

Array = np.ndarray[Any, Any]
NAN, INF = np.nan, np.inf

# Narrow, rows, and more than one block.
LENGTHS = [2, 10, 64, 65, 300, 9000]


def with_one(slices: Array, place: int, value: float) -> Array:
    """The slices with one element of the second one replaced."""
    changed = slices.copy()
    changed[1, place] = value
    return changed


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("value", [NAN, -NAN, INF])
def test_nan_and_plus_infinity_spoil_their_slice_and_no_other(
    function: Function, dtype: Any, layout: Layout, value: float, length: int
) -> None:
    if layout.dim is None or "repeated" in layout.name:
        return  # has but one slice, or slices that share their elements
    slices = logits((4, length), dtype, 3.0)
    clean = slices_of(function.call(layout.of(slices), layout.dim), layout.dim)
    for place in {0, 1, length // 2, length - 1}:
        x = layout.of(with_one(slices, place, value))
        got = slices_of(function.call(x, layout.dim), layout.dim)
        assert np.isnan(got[1]).all()
        for neighbour in (0, 2, 3):
            assert got[neighbour].tobytes() == clean[neighbour].tobytes()


@pytest.mark.parametrize("length", LENGTHS)
def test_minus_infinity_is_0_and_leaves_its_slice_as_it_was(
    function: Function, dtype: Any, layout: Layout, length: int
) -> None:
    if "repeated" in layout.name:
        return
    slices = logits((4, length), dtype, 3.0)
    for place in {0, length // 2, length - 1}:
        x = layout.of(with_one(slices, place, -INF))
        far = layout.of(with_one(slices, place, np.finfo(dtype).min))
        got = function.call(x, layout.dim)
        assert np.array_equal(got == 0, x == -INF)
        # A finite number far enough below does the same.
        assert np.array_equal(got, function.call(far, layout.dim))


@pytest.mark.parametrize("length", [1, *LENGTHS])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_slices_of_nothing_finite_are_nan(
    function: Function, dtype: Any, layout: Layout, value: float, length: int
) -> None:
    x = layout.of(np.full((4, length), value, dtype))
    assert np.isnan(function.call(x, layout.dim)).all()


@pytest.mark.parametrize("length", LENGTHS)
def test_infinities_of_both_signs_are_nan(
    function: Function, dtype: Any, layout: Layout, length: int
) -> None:
    slices = np.full((4, length), -INF, dtype)
    slices[:, length // 2] = INF
    assert np.isnan(function.call(layout.of(slices), layout.dim)).all()


def test_a_block_of_minus_infinities_is_all_0(function: Function, dtype: Any) -> None:
    """Whole blocks of a long slice without a finite element."""
    for dim in (0, 1):
        x = np.full((3, 20_000), -INF, dtype)
        x[:, 9000:9003] = [0, 1, 2]
        x = np.ascontiguousarray(x if dim else x.T)
        got = slices_of(function.call(read_only(x), dim), dim)
        alone = function.call(np.arange(3, dtype=dtype), 0)
        assert np.allclose(got[:, 9000:9003], alone, rtol=4 * np.finfo(dtype).eps, atol=0)
        got[:, 9000:9003] = 0
        assert not got.any()


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("place", [0, 4095, 4096, 9000, 19_999])
def test_one_nan_spoils_all_blocks(
    function: Function, dtype: Any, value: float, place: int
) -> None:
    x = np.zeros((2, 20_000), dtype)
    x[0, place] = value
    got = function.call(read_only(x), 1)
    assert np.isnan(got[0]).all()
    assert np.array_equal(got[1], function.call(x[1], 0))


@pytest.mark.parametrize("kind", ["g", "D"])
def test_the_plain_route_follows_the_same_rules(kind: str) -> None:
    x = np.array([[0, NAN], [0, INF], [0, -INF], [-INF, -INF], [0, 0]], kind)
    got = SOFTMAX.call(x, 1)
    assert np.isnan(got[[0, 1, 3]]).all()
    assert np.array_equal(got[[2, 4]], [[1, 0], [0.5, 0.5]])


def test_zeros_of_both_signs_are_alike(function: Function, dtype: Any) -> None:
    x = np.array([0.0, -0.0, 1.0, -1.0], dtype)
    assert function.call(x, 0)[0] == function.call(x, 0)[1]
    assert np.array_equal(function.call(x, 0), function.call(np.abs(x) * np.sign(x), 0))


# --- Warnings -------------------------------------------------------------------------

PATTERNS = np.random.default_rng(4).integers(0, 2**64, 4000, np.uint64)
VALUES = {
    "any bits of float32": PATTERNS.view(np.float32).reshape(8, 1000),
    "any bits of float64": PATTERNS.view(np.float64).reshape(8, 500),
    "signalling NaN": np.array([0x7FA00000, 0, 0, 0], np.uint32).view(np.float32).reshape(2, 2),
    "results that vanish": np.array([[0.0, -100.0, -104.0], [0.0, -740.0, -800.0]]),
    "beyond float32": np.array([[1e300, 0.0, -1e300], [1e39, -1e39, 1e-50]]),
    "extremes": np.array([[1.7e308, -1.7e308, 0.0], [3.4e38, -3.4e38, 1e-320]]),
    "infinities": np.array([[INF, 0.0, -INF], [-INF, -INF, NAN]]),
    "big-endian": np.array([[1e300, -1e300], [NAN, 0.0]], ">f8"),
    "longdouble": np.array([[1, -12000], [0, -np.inf]], np.longdouble) * 1e3,
    "complex": np.array([[1e300 + 1e300j, -800.0], [INF, NAN]]),
    "int64": np.array([[2**63 - 1, -(2**63)], [2**53 + 1, 0]]),
    "uint64": np.array([[2**64 - 1, 0], [2**53 + 1, 0]], np.uint64),
    "int8": np.array([[127, -128]], np.int8),
}


@pytest.mark.parametrize("wanted", [None, "f4", "f8", "g"])
@pytest.mark.parametrize("name", VALUES)
def test_no_values_make_numpy_warn(function: Function, name: str, wanted: Any) -> None:
    x = VALUES[name]
    if x.dtype.kind == "c" and wanted is not None:
        wanted = "D"
    with np.errstate(all="raise"):
        for given in (read_only(x), read_only(np.asfortranarray(x))):
            for dim in (0, 1, None):
                result = function.call(given, dim, wanted)
                function.call(given, dim, wanted, out=np.empty_like(result))


@pytest.mark.parametrize("wanted", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("name", [name for name in VALUES if name != "complex"])
def test_no_result_makes_numpy_warn_on_its_way_to_out(
    function: Function, name: str, wanted: str
) -> None:
    """Results too small for a smaller out come out as 0 or subnormal, without a word."""
    x = VALUES[name]
    out = np.full(x.shape, 7, wanted)
    with np.errstate(all="raise"):
        function.call(x, 1, out=out)
    with np.errstate(all="ignore"):
        assert np.array_equal(out, function.call(x, 1).astype(wanted), equal_nan=True)


def test_the_error_state_of_numpy_stays_as_it_was(function: Function) -> None:
    with np.errstate(over="raise", under="warn", invalid="call", divide="print"):
        before = np.geterr()
        function.call([1e308, -1e308, NAN], 0)
        function.call(np.array([1, 2], np.longdouble), 0)
        assert np.geterr() == before
