"""The largest probabilities and where they are, against a full sort of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from arrays import Layout, logits, read_only
from halves import BFLOAT16, FLOAT16
from recalls import array, forget, record_at_once, recorded
from reference import EXTENDED
from relatives import FEW_LAYOUTS, name_of
from ulps import assert_accurate

from fastsoftmax import softmax, top_k

Array = np.ndarray[Any, Any]
NAN, INF = np.nan, np.inf

ONE_DIM = [layout for layout in FEW_LAYOUTS if isinstance(layout.dim, int)]
OVER_LAYOUTS = pytest.mark.parametrize("layout", ONE_DIM, ids=name_of)


def order_of(x: Array, dim: int, where: Any = True) -> Array:
    """Indices from the largest logit to the smallest, those of equals as they come."""
    keys = np.where(where, x.astype(EXTENDED), -INF)
    return np.argsort(-keys, axis=dim, kind="stable")


def assert_right(x: Array, k: int, dim: int, what: object = "", **more: Any) -> None:
    got, places = top_k(x, k, dim, workers=1, **more)
    order = order_of(x, dim, more.get("where", True))
    wanted = np.take(order, np.arange(k), axis=dim)
    exact = np.take_along_axis(reference.softmax(x, dim, **more), wanted, axis=dim)
    assert got.shape == places.shape == wanted.shape, what
    assert (got.dtype, places.dtype) == (x.dtype, np.int64), what
    assert_accurate(got, exact, what)
    shown = np.take_along_axis(np.broadcast_to(more.get("where", True), x.shape), wanted, axis=dim)
    assert np.array_equal(places[shown], wanted[shown]), what


@OVER_LAYOUTS
def test_every_length_and_k(layout: Layout, dtype: Any) -> None:
    for length in (1, 2, 3, 10, 33, 65, 100, 1000):
        x = layout.of(logits((12, length), dtype, 4.0))
        for k in sorted({1, 2, 5, length // 2, length - 1, length}):
            if 1 <= k <= length:
                assert_right(x, k, layout.dim, (length, k))  # type: ignore[arg-type]


def test_a_vocabulary(dtype: Any) -> None:
    for scale in (1.0, 20.0):
        x = logits((3, 50_257), dtype, scale)
        for k in (1, 5, 50):
            assert_right(x, k, 1, k)


def test_of_equal_logits_the_first_come_first(dtype: Any) -> None:
    for length in (4, 10, 64, 100, 5000):
        x = np.random.default_rng(length).integers(0, 4, (20, length)).astype(dtype)
        for k in {1, 3, min(length, 40), length // 2}:
            for given, dim in ((x, 1), (np.ascontiguousarray(x.T), 0)):
                assert_right(given, k, dim, (length, k))
    same = np.full((3, 70), -2.5, dtype)
    _, places = top_k(same, 9, 1)
    assert np.array_equal(places, np.broadcast_to(np.arange(9), (3, 9)))


def test_logits_that_differ_where_probabilities_do_not(dtype: Any) -> None:
    """By logits, the order is strict where all probabilities round to 0."""
    x = np.array([[0.0, -5000.0, -4000.0, -4001.0, -900.0]], dtype)
    got, places = top_k(x, 5, 1)
    assert places.tolist() == [[0, 4, 2, 3, 1]]
    assert got.tolist() == [[1, 0, 0, 0, 0]]


def assert_of_softmax(x: Array, k: int, dim: int, **more: Any) -> None:
    """Probabilities are those of softmax, bit for bit."""
    for _ in range(2):
        got, places = top_k(x, k, dim, workers=1, **more)
        wanted = np.take_along_axis(softmax(x, dim, **more), places, axis=dim)
        assert got.dtype == wanted.dtype
        assert np.array_equal(got, wanted, equal_nan=True), (x.shape, k, dim)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e6])
@OVER_LAYOUTS
def test_the_bits_of_softmax(layout: Layout, scale: float, dtype: Any) -> None:
    for length in (1, 2, 7, 37, 64, 65, 100, 1000, 5000):
        x = layout.of(logits((20, length), dtype, scale))
        assert_of_softmax(x, min(length, 19), layout.dim)  # type: ignore[arg-type]


@pytest.mark.parametrize("half", [FLOAT16, BFLOAT16])
@pytest.mark.parametrize("dim", [0, 1])
def test_the_bits_of_softmax_of_halves(dim: int, half: Any) -> None:
    for length in (3, 10, 100, 5000):
        shape = (length, 9) if dim == 0 else (9, length)
        assert_of_softmax(logits(shape, np.float32, 5.0).astype(half), min(length, 20), dim)


def test_the_bits_of_softmax_whatever_the_arguments(dtype: Any) -> None:
    for length in (10, 100, 5000):
        x = logits((20, length), dtype, 30.0)
        shown = np.random.default_rng(length).random(x.shape) < 0.5
        shown[3] = False
        for temperature in (0.3, 1e-3, 1e30, INF, 1e-200, np.linspace(0.2, 3, 20)[:, np.newaxis]):
            assert_of_softmax(x, 9, 1, temperature=temperature)
            assert_of_softmax(x, 9, 1, temperature=temperature, where=shown)
            assert_of_softmax(x.T, 9, 0, temperature=np.transpose(temperature))


def test_the_bits_of_softmax_where_results_are_subnormal() -> None:
    """Far below the largest, alone in a block and among others."""
    for kind, step in ((np.float32, 0.25), (np.float64, 2.0)):
        for length in (400, 50_000):
            x = np.full((2, length), -np.inf, kind)
            x[:, -400:] = -step * np.arange(400)
            assert_of_softmax(x, 400, 1)
            x[1, 0], x[1, -400] = 0.0, -INF
            assert_of_softmax(x, 400, 1)


@pytest.mark.parametrize("kind", ["?", "i4", "i8", "u8", "f2", "f4", "f8", ">f8", "g"])
@pytest.mark.parametrize("target", [None, "f2", "f4", "f8", BFLOAT16])
def test_the_bits_of_softmax_of_what_is_cast(kind: str, target: Any) -> None:
    """Also where temperatures have float32 computed as float64."""
    each = np.array([[1e30], [0.5], [2.0], [1.0]])
    for length in (1, 3, 100, 5000):
        x = logits((4, length), np.float64, 5.0)
        if kind in {"i8", "u8"}:
            x = np.random.default_rng(length).integers(0, 2**62, x.shape)
        for temperature in (
            1.0,
            0.5,
            1e30,
            1e-30,
            1e-300,
            INF,
            each,
            np.where(each > 9, INF, each),
        ):
            given = x.astype(kind)
            got, places = top_k(given, min(length, 3), 1, target, temperature=temperature)
            shares = softmax(given, 1, target, temperature=temperature)
            wanted = np.take_along_axis(shares, places, axis=1)
            assert got.dtype == wanted.dtype
            assert np.array_equal(got, wanted, equal_nan=True), (length, temperature)


def test_recorded_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    record_at_once(monkeypatch)
    forget()
    for k in (1, 3, 10):
        for x in (array((8, 10)), array((4, 10, 3)), array((10,))):
            dim = min(1, x.ndim - 1)
            for _ in range(3):
                x[...] = x[::-1].copy()
                got, places = top_k(x, k, dim)
                order = np.take(order_of(x, dim), np.arange(k), axis=dim)
                assert np.array_equal(places, order)
                assert np.array_equal(got, np.take_along_axis(softmax(x, dim), order, axis=dim))
    assert recorded() == 9 + 3  # of top_k, and of softmax
    forget()


def test_longdouble_and_complex_slices_that_softmax_makes_nan() -> None:
    for x in (np.array([1, NAN, 3], np.longdouble), np.array([NAN, 1, INF], np.float16)):
        got, places = top_k(x, 2, 0)
        assert np.isnan(got).all()
        assert places.tolist() == [0, 1]
    _, places = top_k(np.array([1, 2, 3], np.longdouble), 2, 0, temperature=INF)
    assert places.tolist() == [0, 1]


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("kind", [FLOAT16, BFLOAT16, np.float32, np.float64, np.longdouble])
def test_masks_of_slices_that_softmax_makes_nan(kind: Any, value: float) -> None:
    """What is masked is 0 there as well, and comes last."""
    for length in (3, 40, 5000):
        for dim in (0, 1):
            x = logits((4, length), np.float64).astype(kind)
            x[1, length // 2] = value
            shown = np.arange(4 * length).reshape(4, length) % 3 == 2
            shown[1, length // 2], shown[3] = True, False
            x, shown = (x, shown) if dim else (x.T, shown.T)
            for k in (1, 2, 3):
                got, places = top_k(read_only(x), k, dim, where=read_only(shown))
                wanted = np.take_along_axis(softmax(x, dim, where=shown), places, axis=dim)
                assert np.array_equal(got, wanted, equal_nan=True)
                order = np.argsort(~shown.take(1, 1 - dim), kind="stable")[:k]
                assert np.array_equal(places.take(1, 1 - dim), order)
                assert places.take(3, 1 - dim).tolist() == [*range(k)]


@pytest.mark.parametrize("value", [NAN, INF])
def test_slices_that_softmax_makes_nan(dtype: Any, value: float) -> None:
    for length in (3, 40, 100, 5000):
        x = logits((4, length), dtype).copy()
        x[1, length // 2] = value
        x[2] = -INF
        got, places = top_k(x, 3, 1)
        assert np.isnan(got[1:3]).all()
        assert places[1:3].tolist() == [[0, 1, 2]] * 2
        assert not np.isnan(got[[0, 3]]).any()
        assert_right(x[[0, 3]], 3, 1)


def test_minus_infinity_comes_last(dtype: Any) -> None:
    x = np.array([[-INF, 1.0, -INF, 2.0, -INF]], dtype)
    got, places = top_k(x, 5, 1)
    assert places.tolist() == [[3, 1, 0, 2, 4]]
    assert (got[0, 2:] == 0).all()
    assert_accurate(got[:, :2], reference.softmax(x[:, [3, 1]], 1))


@pytest.mark.parametrize("k", [1, 3, 10])
def test_with_a_mask(dtype: Any, k: int) -> None:
    x = logits((30, 40), dtype, 3.0)
    shown = np.random.default_rng(k).random(x.shape) < 0.5
    assert_right(x, k, 1, where=shown)
    assert_right(x, k, 0, where=shown)
    assert_right(x, k, 1, where=shown[:, :1] | shown[0])
    dirty = np.where(shown, x, NAN).astype(dtype)
    for plain, other in zip(
        top_k(x, k, 1, where=shown), top_k(dirty, k, 1, where=shown), strict=True
    ):
        assert np.array_equal(plain, other)


def test_where_fewer_are_shown_than_wanted(dtype: Any) -> None:
    """Hidden elements have the probability 0 and come after all others."""
    x = logits((5, 6), dtype)
    shown = np.zeros((5, 6), bool)
    shown[:4, 2] = True
    shown[:2, 4] = True
    got, places = top_k(x, 6, 1, where=shown)
    exact = reference.softmax(x, 1, where=shown)
    assert_accurate(got, -np.sort(-exact, axis=1))
    for row in places:
        assert sorted(row) == list(range(6))
    assert (got[4] == 0).all()


@pytest.mark.parametrize("temperature", [0.1, 0.7, 3.0, 1e30])
def test_with_a_temperature(dtype: Any, temperature: float) -> None:
    x = logits((30, 40), dtype, 3.0)
    assert_right(x, 4, 1, temperature=temperature)
    each = np.linspace(0.2, 3, 30)[:, np.newaxis]
    assert_right(x, 4, 1, temperature=each)
    assert_right(x, 4, 0, temperature=np.linspace(0.2, 3, 40))


def test_an_infinite_temperature_makes_all_alike(dtype: Any) -> None:
    got, places = top_k(logits((3, 8), dtype), 4, 1, temperature=INF)
    assert np.array_equal(got, np.full((3, 4), 1 / 8))
    assert all(len(set(row)) == 4 for row in places.tolist())


def test_other_dtypes() -> None:
    for kind in ("?", "i1", "u2", "i4", "u8", "f2", "g"):
        x = np.random.default_rng(8).permutation(40).reshape(4, 10).astype(kind)
        got, places = top_k(x, 3, 1)
        assert got.dtype == softmax(x, 1).dtype
        assert np.array_equal(places, order_of(x, 1)[:, :3])
        wanted = np.take_along_axis(softmax(x, 1), places, axis=1)
        assert np.allclose(got.astype(float), wanted.astype(float), rtol=1e-3)
    x = logits((4, 10), np.float64, 3.0)
    got, _ = top_k(x, 2, 1, np.float32)
    assert np.array_equal(got, top_k(x.astype(np.float32), 2, 1)[0])


@pytest.mark.parametrize(("kind", "low"), [("f2", -18.0), ("f4", -100.0), ("f8", -740.0)])
def test_nothing_is_warned_of_whatever_the_caller_has_set(kind: str, low: float) -> None:
    x = np.array([[0.0, low, -np.inf], [0.0, low, np.nan], [low, low, low]], kind)
    wanted = top_k(x, 3, 1)
    with np.errstate(all="raise"):
        for _ in range(3):
            for got, right in zip(top_k(x, 3, 1), wanted, strict=True):
                assert np.array_equal(got, right, equal_nan=True)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "?", "i1", "u2", "i4", "u4", "i8", "u8"])
def test_the_second_call_is_as_the_first(kind: str) -> None:
    x = (5 * np.abs(logits((12, 10), np.float32))).astype(kind)
    many = np.linspace(0.5, 2.0, 12)[:, None]
    for given, dim in ((x, 1), (x.T, 0), (x[::-1], 1), (x[:, ::-1], -1), (x[3], 0)):
        for more in ({}, {"temperature": 0.5}, {"temperature": 1e-200}, {"temperature": np.inf}):
            wanted = top_k(given, 3, dim, **more)
            shares = np.take_along_axis(softmax(given, dim, **more), wanted[1], dim)
            assert np.allclose(wanted[0], shares, rtol=2e-3 if kind == "f2" else 1e-6)
            for _ in range(3):
                assert all(map(np.array_equal, top_k(given, 3, dim, **more), wanted))
    for degrees in (many, many[::-1], many):
        wanted = top_k(x, 3, 1, temperature=degrees)
        shares = np.take_along_axis(softmax(x, 1, temperature=degrees), wanted[1], 1)
        assert np.allclose(wanted[0], shares, rtol=2e-3 if kind == "f2" else 1e-6)


def test_64_bit_integers_are_told_apart() -> None:
    x = np.array([[2**63 - 3, 2**63 - 1, 2**63 - 2, 0]])
    got, places = top_k(x, 3, 1)
    assert places.tolist() == [[1, 2, 0]]
    assert np.allclose(got, softmax(np.array([[0.0, -1.0, -2.0]]), 1), rtol=1e-14)


def test_strides_and_storage(dtype: Any) -> None:
    x = logits((6, 7, 8), dtype, 3.0)
    for dim in (0, 1, 2, -1):
        wanted = top_k(x, 3, dim)
        for given in (np.asfortranarray(x), x[::-1].copy()[::-1], x.astype(dtype.newbyteorder())):
            for got, right in zip(top_k(read_only(given), 3, dim), wanted, strict=True):
                assert np.array_equal(got, right)
    broadcast = np.broadcast_to(logits(9, dtype), (4, 9))
    assert_right(broadcast, 3, 1)


def test_threads_make_no_difference() -> None:
    x = np.resize(logits((97, 101), np.float32, 3.0), (40_000, 50))
    one, two = top_k(x, 3, 1, workers=1), top_k(x, 3, 1, workers=2)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_empty_inputs_and_scalars_of_one() -> None:
    got, places = top_k(np.zeros((0, 4), np.float32), 2, 1)
    assert got.shape == places.shape == (0, 2)
    got, places = top_k(np.array([3.0]), 1, 0)
    assert (got.tolist(), places.tolist()) == ([1.0], [0])


@pytest.mark.parametrize("k", [0, -1, 6, 10**30])
def test_a_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=rf"k={k}.*1 to 5"):
        top_k(np.zeros((2, 5)), k, 1)


@pytest.mark.parametrize("k", [1.0, "1", None, True, np.True_, (1,)])
def test_a_k_that_is_no_int_is_refused(k: Any) -> None:
    with pytest.raises(TypeError, match="k="):
        top_k(np.zeros((2, 5)), k, 1)


@pytest.mark.parametrize("dim", [(0, 1), None])
def test_dims_of_several_are_refused(dim: Any) -> None:
    with pytest.raises(TypeError, match="dim"):
        top_k(np.zeros((2, 5)), 1, dim)


def test_any_integer_will_do_for_k() -> None:
    x = logits((3, 5), np.float32)
    assert np.array_equal(top_k(x, np.int8(2), axis=1)[1], top_k(x, 2, 1)[1])


def test_complex_numbers_have_no_order() -> None:
    with pytest.raises(TypeError, match="complex64"):
        top_k(np.array([1 + 5j, 2, 3j], np.complex64), 2, 0)
