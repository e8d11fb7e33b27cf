"""Temperatures: one for all or one for each slice, as accurate as none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from arrays import Layout, logits, read_only
from reference import dims_of, slices_of
from relatives import (
    BACKWARD,
    BY_NAME,
    FEW_LAYOUTS,
    LOG_BACKWARD,
    LOG_SOFTMAX,
    OF_LOGITS,
    SOFTMAX,
    SOFTMIN,
    TEMPERED,
    Relative,
    name_of,
    slices_of_several_sizes,
)
from ulps import assert_accurate, assert_same_bits

from fastsoftmax import log_softmax, softmax, softmax_backward, softmin

Array = np.ndarray[Any, Any]

NAN, INF = np.nan, np.inf
EACH = pytest.mark.parametrize("relative", TEMPERED, ids=name_of)
OVER_LAYOUTS = pytest.mark.parametrize("layout", FEW_LAYOUTS, ids=name_of)
RANGE = [1e-3, 0.01, 0.1, 0.3, 0.7, 1 - 2**-50, 1.1, 1.3, np.pi, 7.0, 64.0, 1e3]


def temperatures(shape: Any, low: float = 1e-3, high: float = 1e3) -> Array:
    """Numbers of all sizes between two, which float32 does not have."""
    spread = np.random.default_rng(list(np.ravel(shape))).uniform(np.log(low), np.log(high), shape)
    return np.asarray(np.exp(spread))


def assert_right(
    relative: Relative, inputs: tuple[Array, ...], dim: Any, temperature: Any, what: object
) -> None:
    got = relative.call(*inputs, dim, temperature=temperature)
    assert got.dtype == inputs[0].dtype
    relative.assert_accurate(got, inputs, dim, (what, temperature), temperature=temperature)


@EACH
@OVER_LAYOUTS
def test_one_temperature(relative: Relative, layout: Layout, dtype: Any) -> None:
    for length in (1, 2, 3, 10, 33, 64, 65, 100, 1000):
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        for temperature in RANGE:
            assert_right(relative, inputs, layout.dim, temperature, length)


@EACH
@OVER_LAYOUTS
def test_one_temperature_a_slice(relative: Relative, layout: Layout, dtype: Any) -> None:
    for length in (2, 3, 10, 64, 65, 100, 1000):
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        x = inputs[0]
        dims = dims_of(layout.dim, x.ndim)
        shape = tuple(1 if i in dims else size for i, size in enumerate(x.shape))
        each = temperatures(shape)
        assert_right(relative, inputs, layout.dim, each, length)
        # The bits are those of the slice with its temperature as a number.
        got = slices_of(relative.call(*inputs, layout.dim, temperature=each), layout.dim)
        rows = [slices_of(given, layout.dim) for given in inputs]
        numbers = slices_of(np.broadcast_to(each, x.shape), layout.dim)[:, 0]
        for i in (0, len(got) // 2, len(got) - 1):
            own = [given[i].copy() for given in rows]
            alone = relative.call(*own, 0, temperature=float(numbers[i]))
            assert got[i].tobytes() == alone.tobytes()


@pytest.mark.parametrize("relative", [SOFTMAX, LOG_SOFTMAX, BACKWARD], ids=name_of)
@pytest.mark.parametrize("name", ["rows", "dim 0"])
def test_long_slices(relative: Relative, name: str) -> None:
    layout = BY_NAME[name]
    for length in (4097, 9000, 50_257):
        inputs = relative.given(layout, slices_of_several_sizes(length, np.dtype(np.float32)))
        for temperature in (0.01, 0.7, np.pi):
            assert_right(relative, inputs, layout.dim, temperature, length)


@EACH
@pytest.mark.parametrize("dim", [0, 1, 2, (0, 2), None])
def test_temperatures_that_broadcast(relative: Relative, dim: Any) -> None:
    inputs = relative.given(BY_NAME["rows"], logits((30, 40), np.float32, 6.0))
    inputs = tuple(each.reshape(5, 6, 40) for each in inputs)
    dims = dims_of(dim, 3)
    for shape in [(5, 6, 40), (5, 1, 40), (6, 40), (40,), (6, 1), (1, 1, 1), (1,), ()]:
        offset = 3 - len(shape)
        fits = tuple(1 if i + offset in dims else size for i, size in enumerate(shape))
        each = temperatures(fits, 0.1, 10.0)
        assert_right(relative, inputs, dim, each, fits)
        for kind in (np.float32, np.float16):
            assert_right(relative, inputs, dim, each.astype(kind), (fits, kind))
        wide = np.asfortranarray(np.broadcast_to(each, fits))
        assert np.array_equal(
            relative.call(*inputs, dim, temperature=wide),
            relative.call(*inputs, dim, temperature=each),
        )


@EACH
def test_whatever_is_a_number_will_do(relative: Relative, dtype: Any) -> None:
    inputs = relative.given(BY_NAME["rows"], logits((4, 10), dtype, 3.0))
    wanted = relative.call(*inputs, 1, temperature=2.0).tobytes()
    for two in (2, np.float32(2), np.int8(2), np.array(2), [[2.0]], np.full((4, 1), 2), [2]):
        assert relative.call(*inputs, 1, temperature=two).tobytes() == wanted


# --- Extremes -------------------------------------------------------------------------

EXTREMES = [1e-30, 1e-18, 1e-6, 1e6, 1e19, 1e30, 1e300, 1e-300, 5e-324, 1.7e308, INF]


@pytest.mark.parametrize("relative", [SOFTMAX, SOFTMIN, LOG_SOFTMAX], ids=name_of)
@pytest.mark.parametrize("temperature", EXTREMES)
def test_extreme_temperatures(relative: Relative, dtype: Any, temperature: float) -> None:
    for layout in FEW_LAYOUTS[:2]:
        for length in (2, 33, 100):
            rows = logits((11, length), dtype, 3.0).copy()
            rows[3:5] = 1.5  # ties
            rows[5, :] *= dtype.type(1e-30)
            rows[6, :] *= dtype.type(1e30)
            (x,) = relative.given(layout, read_only(rows))
            got = relative.call(x, layout.dim, temperature=temperature)
            exact = relative.exact(x, layout.dim, temperature=temperature)
            # Where quotients overflow in the dtype, so do the logarithms: errors_of counts
            # equal infinities as right.
            assert_accurate(got, exact, length)


@EACH
@pytest.mark.parametrize("temperature", EXTREMES)
def test_the_second_call_with_an_extreme_temperature(
    relative: Relative, dtype: Any, temperature: float
) -> None:
    inputs = relative.given(FEW_LAYOUTS[0], slices_of_several_sizes(33, dtype))
    dim = FEW_LAYOUTS[0].dim
    first, *later = (relative.call(*inputs, dim, temperature=temperature) for _ in range(3))
    assert {each.tobytes() for each in later} == {first.tobytes()}


@pytest.mark.parametrize("relative", [SOFTMAX, LOG_SOFTMAX], ids=name_of)
def test_extreme_temperatures_beside_usual_ones(relative: Relative, dtype: Any) -> None:
    each = np.array([1e-30, 1.0, INF, 0.5, 1e30, 2.0])[:, np.newaxis]
    rows = logits((6, 20), dtype, 3.0)
    got = relative.call(rows, 1, temperature=each)
    with np.errstate(all="ignore"):
        exact = relative.exact(rows, 1, temperature=each)
    relative.assert_accurate(got, (rows,), 1, "side by side", temperature=each)
    assert got.shape == exact.shape


def test_logits_and_temperatures_as_far_apart_as_can_be() -> None:
    """Quotients beyond all numbers; other logits in a slice or under a mask make no difference."""
    for t in (1e-302, 1e-308, 5e-324):
        for large in (1e280, 1e300, 8e307):
            x = np.array([[large, 2 * large, 0], [1e-310, 2e-310, -large], [0, -large, -1e9]])
            for temperature in (t, np.full((3, 1), t)):
                got = softmax(x, 1, temperature=temperature)
                assert np.array_equal(got[[0, 2]], [[0, 1, 0], [1, 0, 0]])
                exact = reference.softmax(x[1, :2], 0, temperature=t)
                assert np.allclose(got[1, :2], exact.astype(np.float64), rtol=1e-12)
                assert np.array_equal(softmin(-x, 1, temperature=temperature), got)
                logs = log_softmax(x, 1, temperature=temperature)
                assert np.array_equal(logs[[0, 2]], [[-INF, 0, -INF], [0, -INF, -INF]])
                shown = np.array([[True, False, True]] * 3)
                rest = softmax(np.where(shown, x, large), 1, temperature=temperature, where=shown)
                assert np.array_equal(rest, softmax(x, 1, temperature=temperature, where=shown))


@pytest.mark.parametrize("shape", [(200, 5), (200, 20), (200, 100), (20, 5000)])
@pytest.mark.parametrize("temperature", [1e-3, 0.3, 0.7, 5.0, 1e3])
def test_gradients_of_all_sizes(dtype: Any, shape: tuple[int, int], temperature: float) -> None:
    """Subnormal outputs, gradients far above 1 and far below; whose terms have one sign or two."""
    sizes = logits((*shape, 3), np.float64)
    most = -np.finfo(dtype).minexp - 40
    g = np.ldexp(sizes[..., 0], np.rint(sizes[..., 1] * 20).astype(int)).astype(dtype)
    g[::2] = np.abs(g[::2])
    x = sizes[..., 2] * np.linspace(0.1, most, shape[0])[:, None]
    for relative, make in ((BACKWARD, softmax), (LOG_BACKWARD, log_softmax)):
        y = make(x.astype(dtype), 1)
        if relative is LOG_BACKWARD:  # whose exponentials are to be normal
            y = np.maximum(y, np.log(np.finfo(dtype).tiny) / 2)
        for inputs, dim in (((g, y), 1), ((g.T.copy(), y.T.copy()), 0)):
            got = relative.call(*inputs, dim, temperature=temperature)
            what = relative.name, shape, dim
            relative.assert_accurate(got, inputs, dim, what, temperature=temperature)


def test_a_difference_that_overflows_is_infinite(dtype: Any) -> None:
    most = np.finfo(dtype).max
    g = np.array([[0.9 * most, -0.9 * most, 0.0]], dtype)
    y = np.array([[0.25, 0.75, 0.0]], dtype)
    for temperature in (0.5, 1.0, 2.0, np.full((1, 1), 2.0)):
        assert softmax_backward(g, y, 1, temperature=temperature)[0, 0] == np.inf


def test_an_infinite_temperature_makes_all_alike(dtype: Any) -> None:
    x = logits((4, 8), dtype, 30.0)
    assert np.array_equal(softmax(x, 1, temperature=INF), np.full((4, 8), 1 / 8))
    assert np.array_equal(
        log_softmax(x, 1, temperature=INF), np.broadcast_to(-np.log(dtype.type(8)), (4, 8))
    )


def test_a_temperature_near_0_leaves_the_largest(dtype: Any) -> None:
    x = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, -1.0]], dtype)
    wanted = [[0, 1, 0], [0.5, 0.5, 0]]
    assert np.array_equal(softmax(x, 1, temperature=1e-30), wanted)


@pytest.mark.parametrize("relative", [SOFTMAX, SOFTMIN, LOG_SOFTMAX], ids=name_of)
@pytest.mark.parametrize("length", [3, 70, 5000])
def test_a_slice_that_is_nan_is_so_with_a_temperature(
    relative: Relative, dtype: Any, length: int
) -> None:
    rows = logits((7, length), dtype, 3.0).copy()
    rows[0, :2], rows[1, :2], rows[2, -2:], rows[3, 1] = (NAN, -INF), (INF, -INF), (-INF, NAN), INF
    rows[4], rows[5, 0] = -INF, -INF
    x = rows if relative is not SOFTMIN else -rows
    wanted = np.isnan(relative.call(x, 1))
    assert wanted.all(axis=1).tolist() == [True] * 5 + [False] * 2
    for temperature in (2.0, 0.3, np.full((7, 1), 2.0), 1e30):
        assert np.array_equal(np.isnan(relative.call(x, 1, temperature=temperature)), wanted)
        turned = relative.call(x.T.copy(), 0, temperature=np.transpose(temperature))
        assert np.array_equal(np.isnan(turned), wanted.T)


@EACH
def test_special_elements_stay_what_they_are(relative: Relative, dtype: Any) -> None:
    if relative.inputs == 2:
        return
    sign = -1 if relative is SOFTMIN else 1
    x = sign * np.array([[0, NAN, 1], [0, INF, 1], [0, -INF, 1], [-INF, -INF, -INF]], dtype)
    for temperature in (0.3, np.full((4, 1), 3.0)):
        got = relative.call(x, 1, temperature=temperature)
        assert np.isnan(got[[0, 1, 3]]).all()
        assert got[2, 1] == relative.hidden
        assert np.isfinite(got[2, [0, 2]]).all()


# --- 1, and with other arguments -------------------------------------------------------


@EACH
@OVER_LAYOUTS
def test_a_temperature_of_1_gives_the_bits_of_none(
    relative: Relative, layout: Layout, dtype: Any
) -> None:
    for length in (1, 3, 33, 65, 100, 1000):
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        wanted = relative.call(*inputs, layout.dim).tobytes()
        shape = [1 if i in dims_of(layout.dim, inputs[0].ndim) else n for i, n in
                 enumerate(inputs[0].shape)]  # fmt: skip
        for one in (1, 1.0, np.float32(1), np.ones(()), np.ones(shape)):
            got = relative.call(*inputs, layout.dim, temperature=one)
            assert got.tobytes() == wanted, (length, np.shape(one))


@EACH
def test_with_a_mask(relative: Relative, dtype: Any) -> None:
    for dim in (0, 1):
        for length in (10, 100):
            inputs = relative.given(BY_NAME["rows"], logits((38, length), dtype, 5.0))
            shown = np.random.default_rng(length).random((38, length)) < 0.7
            each = temperatures((1, length) if dim == 0 else (38, 1), 0.1, 10.0)
            for temperature in (0.3, each):
                got = relative.call(*inputs, dim, where=shown, temperature=temperature)
                relative.assert_accurate(
                    got, inputs, dim, length, where=shown, temperature=temperature
                )
                assert (got[~shown] == relative.hidden).all()


@pytest.mark.parametrize("relative", [each for each in OF_LOGITS if each.tempered], ids=name_of)
@pytest.mark.parametrize("other", [np.inf, 1e-310, 1e305, 2.0])
def test_wide_integers_do_not_depend_on_the_temperatures_of_other_slices(
    relative: Relative, other: float
) -> None:
    for first in (2**53, 2**63 - 3, -(2**63)):
        x = np.array([[first, first + 1, first + 2]] * 2)
        wanted = relative.call(np.array([[0.0, 1.0, 2.0]]), 1)
        got = relative.call(x, 1, temperature=[[1.0], [other]])
        assert np.allclose(got[0], wanted[0], rtol=4e-16, atol=0)
    first = 2**60
    x = np.array([[first + 2**36 + 1, first, first + 2**36 + 1], [0, 0, 0]])
    got = relative.call(x, 1, np.float32, temperature=[[1.0], [other]])
    assert_same_bits(got[:1], relative.call(x[:1].astype(np.float32), 1), "cast first")


def test_unusual_temperatures_of_gradients_into_subclasses() -> None:
    """What they make of arithmetic is nothing to results that are written to them."""

    class Silent(np.ndarray[Any, Any]):
        __array_ufunc__ = None

    grad, output = np.array([[1e-10, 0.0], [1e-10, 0.0]]), np.full((2, 2), 0.5)
    for temperature in (1e-310, np.array([[1e-310], [1.0]])):
        wanted = BACKWARD.call(grad, output, 1, temperature=temperature)
        for kind in (np.ma.MaskedArray, Silent):
            out = np.full((2, 2), 7.0)
            BACKWARD.call(grad, output, 1, temperature=temperature, out=out.view(kind))
            assert np.array_equal(out, wanted)


def test_hidden_logits_are_not_far_from_the_others() -> None:
    """However large: what is divided by the least temperatures is scaled by those that count."""
    degree = 2.0**-1060
    for hidden in (2.0**950, -(2.0**950), np.inf, np.nan):
        x = np.array([[hidden, 0.0, degree, 2 * degree]])
        got = SOFTMAX.call(x, 1, temperature=degree, where=[False, True, True, True])
        wanted = SOFTMAX.call(np.array([[0.0, 1.0, 2.0]]), 1)
        assert np.allclose(got[:, 1:], wanted, rtol=1e-15, atol=0)


@EACH
def test_out_may_overlap_the_temperatures(relative: Relative) -> None:
    inputs = relative.given(BY_NAME["rows"], logits((38, 40), np.float64, 3.0))
    memory = np.zeros((38, 40))
    memory[:, :1] = temperatures((38, 1), 0.1, 10.0)
    wanted = relative.call(*inputs, 1, temperature=memory[:, :1].copy())
    assert relative.call(*inputs, 1, temperature=memory[:, :1], out=memory) is memory
    assert np.array_equal(memory, wanted)


@pytest.mark.parametrize("kind", ["g", "F", "D"])
def test_scalars_that_numpy_computes(kind: str) -> None:
    for shape in ((), (1,), (1, 1)):
        for function, wanted in ((softmax, 1.0), (softmin, 1.0), (log_softmax, 0.0)):
            got = function(np.ones(shape, kind), 0, temperature=0.7)
            assert np.array_equal(got, np.full(shape, wanted))
            assert np.shape(got) == shape


@EACH
def test_threads(relative: Relative) -> None:
    rows = np.resize(logits((97, 1013), np.float32, 5.0), (30_000, 20))
    inputs = relative.given(BY_NAME["rows"], rows)
    each = temperatures((30_000, 1), 0.1, 10.0)
    wanted = relative.call(*inputs, 1, temperature=each).tobytes()
    assert relative.call(*inputs, 1, temperature=each, workers=2).tobytes() == wanted


@EACH
def test_other_dtypes(relative: Relative) -> None:
    for kind in ("i4", "u1", "g"):
        x = np.random.default_rng(6).integers(0, 9, (5, 8)).astype(kind)
        got = relative.call(*[x] * relative.inputs, 1, temperature=0.7)
        exact = relative.exact(*[x] * relative.inputs, 1, temperature=0.7)
        assert np.allclose(got, exact, rtol=2e-6, atol=1e-30)


def test_64_bit_integers_divided_without_rounding() -> None:
    top = 2**63 - 1
    x = np.array([[top, top - 1, top - 5]])
    got = softmax(x, 1, temperature=2.0)
    assert np.array_equal(got, softmax(np.array([[0.0, -1.0, -5.0]]), 1, temperature=2.0))
