"""NaN, infinities, empty arrays and results of the relatives of softmax, per the contract."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from arrays import Layout, logits, read_only
from reference import slices_of
from relatives import (
    BACKWARD,
    FEW_LAYOUTS,
    LOG_BACKWARD,
    LOG_SOFTMAX,
    LOGSUMEXP,
    MOST_ULPS_OF_TERM,
    RELATIVES,
    SOFTMIN,
    Relative,
    errors_in_units_of,
    largest_term,
    name_of,
)

from fastsoftmax import log_softmax, logsumexp, softmax, softmin

NAN, INF = np.nan, np.inf
LENGTHS = [2, 10, 64, 65, 300, 5000]
OTHERS = RELATIVES[1:]
EACH = pytest.mark.parametrize("relative", OTHERS, ids=name_of)
OVER_LAYOUTS = pytest.mark.parametrize("layout", FEW_LAYOUTS, ids=name_of)
BATCHES = [layout for layout in FEW_LAYOUTS if layout.dim is not None]


def results(relative: Relative, layout: Layout, *slices: Any) -> Any:
    """The results of slices in a layout, as rows again."""
    inputs = [layout.of(read_only(np.asarray(each))) for each in slices]
    return slices_of(relative.call(*inputs, layout.dim), layout.dim)


def rows_for(relative: Relative, length: int, dtype: Any) -> list[Any]:
    """Four slices of ordinary numbers, for each input of a function."""
    rows = logits((4, length), dtype, 3.0)
    return [each.copy() for each in relative.given(BATCHES[0], rows)]


@EACH
@pytest.mark.parametrize("length", LENGTHS)
def test_nan_spoils_its_slice_and_no_other(relative: Relative, dtype: Any, length: int) -> None:
    for layout in BATCHES:
        for which in range(relative.inputs):
            for place in {0, length // 2, length - 1}:
                rows = rows_for(relative, length, dtype)
                clean = results(relative, layout, *rows)
                rows[which][1, place] = NAN
                got = results(relative, layout, *rows)
                if relative is LOG_BACKWARD and which == 1:
                    assert np.isnan(got[1, place])  # exp(y) is of one element
                else:
                    assert np.isnan(got[1]).all()
                others = [0, 2, 3]
                assert got[others].tobytes() == clean[others].tobytes()


@pytest.mark.parametrize("length", LENGTHS)
@OVER_LAYOUTS
def test_infinities_of_logits(layout: Layout, length: int, dtype: Any) -> None:
    if layout.dim is None:
        return
    rows = logits((4, length), dtype, 3.0).copy()
    rows[1, length // 2] = INF
    clean = rows.copy()
    clean[1] = 0
    for relative in (LOG_SOFTMAX, SOFTMIN):
        sign = -1 if relative is SOFTMIN else 1
        got = results(relative, layout, sign * rows)
        assert np.isnan(got[1]).all()
        assert np.array_equal(got[[0, 2, 3]], results(relative, layout, sign * clean)[[0, 2, 3]])
    got = results(LOGSUMEXP, layout, rows)
    assert got[1] == INF
    assert np.array_equal(got[[0, 2, 3]], results(LOGSUMEXP, layout, clean)[[0, 2, 3]])


@pytest.mark.parametrize("length", LENGTHS)
@OVER_LAYOUTS
def test_minus_infinity_takes_no_part(layout: Layout, length: int, dtype: Any) -> None:
    rows = logits((4, length), dtype, 3.0).copy()
    rows[1, length // 2] = -INF
    far = rows.copy()
    far[1, length // 2] = np.finfo(dtype).min
    logs, far_logs = results(LOG_SOFTMAX, layout, rows), results(LOG_SOFTMAX, layout, far)
    assert np.array_equal(logs == -INF, np.isneginf(slices_of(layout.of(rows), layout.dim)))
    assert np.array_equal(logs[logs != -INF], far_logs[logs != -INF])
    assert np.array_equal(results(LOGSUMEXP, layout, rows), results(LOGSUMEXP, layout, far))
    assert np.array_equal(results(SOFTMIN, layout, -rows), results(SOFTMIN, layout, -far))


@pytest.mark.parametrize("length", [1, *LENGTHS])
@OVER_LAYOUTS
def test_slices_of_nothing_finite(layout: Layout, length: int, dtype: Any) -> None:
    for value in (NAN, INF, -INF):
        rows = np.full((4, length), value, dtype)
        assert np.isnan(results(LOG_SOFTMAX, layout, rows)).all()
        assert np.isnan(results(SOFTMIN, layout, rows)).all()
        lse = results(LOGSUMEXP, layout, rows)
        assert np.array_equal(lse, np.full(lse.shape, value), equal_nan=True)


@pytest.mark.parametrize("length", LENGTHS)
@OVER_LAYOUTS
def test_logsumexp_of_infinities_of_several_kinds(layout: Layout, length: int, dtype: Any) -> None:
    for values, wanted in (((INF, -INF), INF), ((INF, NAN), NAN), ((-INF, NAN), NAN)):
        rows = np.full((4, length), values[0], dtype)
        rows[:, -1] = values[1]
        for given in (rows, rows[:, ::-1]):
            got = results(LOGSUMEXP, layout, given)
            assert np.array_equal(got, np.full(got.shape, wanted), equal_nan=True)


def test_elements_of_probability_0_pass_their_gradient_on(dtype: Any) -> None:
    """log_softmax at -inf: exp(output) is 0."""
    for length in (3, 100):
        grad = logits((5, length), dtype)
        output = np.full((5, length), -INF, dtype)
        output[:, 0] = 0
        got = LOG_BACKWARD.call(grad, output, 1)
        assert np.array_equal(got[:, 1:], grad[:, 1:])


# --- Single elements, empty arrays, scalars --------------------------------------------


def test_a_slice_of_one_element(dtype: Any) -> None:
    x = np.array([[3.0], [-1e30], [0.0]], dtype)
    assert np.array_equal(log_softmax(x, 1), np.zeros((3, 1)))
    assert np.array_equal(softmin(x, 1), np.ones((3, 1)))
    assert np.array_equal(logsumexp(x, 1), x[:, 0])
    bad = np.array([[NAN], [INF], [-INF]], dtype)
    assert np.isnan(log_softmax(bad, 1)).all()
    assert np.isnan(softmin(bad, 1)).all()
    assert np.array_equal(logsumexp(bad, 1), bad[:, 0], equal_nan=True)


@EACH
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_empty_arrays(relative: Relative, dtype: Any, shape: Any) -> None:
    empty = np.zeros(shape, dtype)
    for dim in (0, -1, None):
        result = relative.call(*[empty] * relative.inputs, dim)
        assert result.dtype == dtype
        if relative.reduces:
            kept = [0] if dim == 0 else [len(shape) - 1] if dim == -1 else range(len(shape))
            assert result.shape == tuple(1 if i in kept else n for i, n in enumerate(shape))
            assert (result == -INF).all()
        else:
            assert result.shape == shape


def test_scalars() -> None:
    for dim in (0, -1, None):
        assert log_softmax(3.0, dim).shape == ()
        assert log_softmax(3.0, dim) == 0
        assert softmin(np.float32(3), dim) == 1
        assert logsumexp(3.0, dim) == 3


# --- Shapes and dtypes of results ------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1, -1, (0, 2), (2, 0), (1,), None])
def test_logsumexp_removes_or_keeps_dims_as_numpy_does(dtype: Any, dim: Any) -> None:
    x = logits((3, 4, 5), dtype)
    for keep in (False, True):
        wanted = np.max(x, axis=dim, keepdims=keep)
        got = logsumexp(x, dim, keepdim=keep)
        assert np.shape(got) == np.shape(wanted)
        assert got.dtype == dtype
        assert np.array_equal(got, logsumexp(x, dim, keepdims=keep))
        assert np.array_equal(got, logsumexp(x, axis=dim, keepdims=keep))
        out = np.zeros(np.shape(wanted), dtype)
        assert logsumexp(x, dim, keepdim=keep, out=out) is out
        assert np.array_equal(out, got)


def test_logsumexp_of_one_slice_is_a_scalar() -> None:
    result = logsumexp(np.array([1, 2], np.float32), 0)
    assert isinstance(result, np.float32)


@pytest.mark.parametrize("given", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_integers_become_the_float_that_holds_them(given: str) -> None:
    x = np.random.default_rng(3).integers(0, 90, (5, 7)).astype(given)
    wanted = np.float32 if x.dtype.itemsize < 4 else np.float64
    for relative in (LOG_SOFTMAX, SOFTMIN, LOGSUMEXP):
        got = relative.call(x, 1)
        assert got.dtype == wanted
        assert np.array_equal(got, relative.call(x.astype(wanted), 1))


@pytest.mark.parametrize("kind", ["i8", "u8"])
def test_64_bit_integers_at_their_extremes(kind: str) -> None:
    """Differences are exact, which float64 would round."""
    info = np.iinfo(kind)
    top, low = int(info.max), int(info.min)
    rows = [[top, top - 1, low], [low, low + 3, low + 1], [top - 2, top, top - 5]]
    x = np.array(rows, kind)
    for function, sign in ((log_softmax, 1), (softmin, -1), (softmax, 1)):
        for got, row in zip(function(x, 1), rows, strict=True):
            base = max(row) if sign == 1 else min(row)
            wanted = function(np.array([float(each - base) for each in row]), 0)
            assert np.allclose(got, wanted, rtol=4e-16, atol=0)
        masked = np.array([[True, True, False]] * 3)
        for got, row in zip(function(x, 1, where=masked), rows, strict=True):
            base = max(row[:2]) if sign == 1 else min(row[:2])
            wanted = function(np.array([float(each - base) for each in row[:2]]), 0)
            assert np.allclose(got[:2], wanted, rtol=4e-16, atol=0)


def test_logsumexp_of_64_bit_integers_at_their_extremes() -> None:
    x = np.array([[2**63 - 1, 0], [-(2**63), -(2**63)], [2**53 + 1, 2**53 + 1]])
    LOGSUMEXP.assert_accurate(logsumexp(x, 1, keepdim=True), (x,), 1, "int64")


@pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_gradients_of_integers_too_large_for_float64(relative: Relative, kind: Any) -> None:
    """They are rounded: no shift makes differences of them, as logits allow."""
    large = np.array([[2**60 + 1, 3, 5], [2, 2**60 + 1, 2**53 + 1]], kind)
    small = np.array([[-0.5, -1.5, -2.0], [-1.0, -0.25, -3.0]])
    for _ in range(3):
        result = relative.call(large, small, 1)
        assert np.array_equal(result, relative.call(large.astype(np.float64), small, 1))
        relative.assert_accurate(result, (large.astype(np.float64), small), 1, kind)
        result = relative.call(small, large, 1)
        wanted = relative.call(small, large.astype(np.float64), 1)
        assert np.array_equal(result, wanted, equal_nan=True)


@pytest.mark.parametrize("length", LENGTHS)
def test_outputs_whose_exponentials_are_infinite(dtype: Any, length: int) -> None:
    """They are no logarithms of probabilities, and leave the others what they are."""
    largest = np.log(np.finfo(dtype).max)
    for layout in BATCHES:
        for large in (0.9 * largest, largest + 0.5, 2 * largest, 1e6, 1e30, INF):
            grad, output = rows_for(LOG_BACKWARD, length, dtype)
            output[1:3, length // 2] = large
            output[2, 0] = largest - 9.0
            got = results(LOG_BACKWARD, layout, grad, output)
            exact, usual = LOG_BACKWARD.exact(grad, output, 1), output < largest
            assert not np.isfinite(got[~usual]).any()
            scale = largest_term(LOG_BACKWARD, grad, output, 1)
            errors = errors_in_units_of(scale[usual], got[usual], exact[usual])
            assert errors.max() <= MOST_ULPS_OF_TERM, (layout, large)


@EACH
@pytest.mark.parametrize("order", ["C", "F"])
def test_results_have_the_memory_order_of_the_input(
    relative: Relative, dtype: Any, order: Any
) -> None:
    if relative.reduces:
        return
    inputs = [np.asarray(logits((30, 40), dtype), order=order) for _ in range(relative.inputs)]
    assert relative.call(*inputs, 1).flags[f"{order}_CONTIGUOUS"]


@pytest.mark.parametrize("kind", ["g", "D"])
def test_longdouble_and_complex_go_the_plain_route(kind: str) -> None:
    x = logits((4, 7), np.float64, 3.0).astype(kind)
    for relative in RELATIVES:
        inputs = relative.given(BATCHES[0], x) if kind == "g" else [x] * relative.inputs
        got = relative.call(*inputs, 1)
        assert got.dtype == x.dtype
        exact = relative.exact(*(np.real(each) for each in inputs), 1)
        assert np.allclose(got, exact, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("temperature", [0.3, 3.7, np.longdouble(1) / 3, 1e-3])
def test_longdouble_does_not_round_the_quotient(temperature: Any) -> None:
    """Against mpmath, in units of the format's eps."""
    exact = mpmath.mp.clone()
    exact.prec = 200

    def number(x: Any) -> Any:
        total, rest = exact.mpf(0), np.longdouble(x)
        for _ in range(3):  # float64 parts hold any longdouble that is not beyond their range
            part = np.float64(rest)
            total, rest = total + exact.mpf(float(part)), rest - part
        return total

    eps = float(np.finfo(np.longdouble).eps)
    for x in (
        np.array([10000, 9990.1, 9970.7], "g") / 7,
        np.array([1e-3, 2e-3, -1], "g") / 3,
        np.array([-900, 2, 11, 0.5], "g") / 11,
    ):
        powers = [exact.exp(number(each) / number(np.longdouble(temperature))) for each in x]
        total = sum(powers)
        got = softmax(x, 0, temperature=temperature)
        logs = log_softmax(x, 0, temperature=temperature)
        for result, log, power in zip(got, logs, powers, strict=True):
            share = power / total
            if exact.log(share) > -690:
                assert abs(number(result) / share - 1) < 4 * eps
            assert abs(number(log) - exact.log(share)) <= 4 * eps * max(abs(exact.log(share)), eps)


@pytest.mark.parametrize("kind", ["g", "F", "D"])
def test_any_temperature_on_the_plain_route(kind: str) -> None:
    info = np.finfo(kind)
    assert softmax(np.array([1, 2, 3], kind), 0, temperature=1e-50).tolist() == [0, 0, 1]
    large = np.array([info.max / 8, info.max / 8, 3], kind)
    assert softmax(large, 0, temperature=1e-10).tolist() == [0.5, 0.5, 0]
    if kind != "F":
        assert softmax(np.array([1, 2, 3], kind), 0, temperature=1e-310).tolist() == [0, 0, 1]
    # Differences that overflow have quotients that don't.
    far = np.array([0.7, -0.7, 0]) * info.max
    wanted = softmax(np.array([1.4, -1.4, 0]), 0)
    assert np.allclose(softmax(far.astype(kind), 0, temperature=info.max / 2), wanted)
    logs = log_softmax(far.astype(kind), 0, temperature=2.0)
    assert np.allclose(logs.real / info.max, [0, -0.7, -0.35])
    grad, output = np.array([1e-30, 0], kind), np.array([0.5, 0.5], kind)
    got = BACKWARD.call(grad, output, 0, temperature=1e-50)
    assert np.allclose(got.real, [2.5e19, -2.5e19])
    assert np.array_equal(got.imag, [0, 0])


def test_temperatures_beyond_float64() -> None:
    small = np.longdouble("1e-4000")
    if small == 0:
        pytest.skip("longdouble is float64 here")
    x = np.array([1, 1, 0], "g")
    assert softmax(x * small, 0, temperature=small).tolist() == softmax(x, 0).tolist()
    with pytest.raises(ValueError, match=r"temperature is 1e-4000; .* positive in float64"):
        softmax([1.0, 2.0], 0, temperature=small)


@pytest.mark.parametrize("kind", ["F", "D"])
def test_complex_nan_whose_real_part_is_infinite(kind: str) -> None:
    for number in (complex(-INF, NAN), complex(INF, NAN), complex(NAN, -INF), complex(0, NAN)):
        x = np.array([[number, 1, 2], [0, 1, 2]], kind)
        for temperature in (1.0, 2.0):
            got = softmax(x, 1, temperature=temperature)
            assert np.isnan(got[0]).all()
            assert not np.isnan(got[1]).any()
        assert np.isnan(logsumexp(x, 1)).tolist() == [True, False]
    got = log_softmax(np.array([complex(-INF, 0), 1, 2], kind), 0, temperature=2.0)
    assert got[0] == complex(-INF, 0)
    assert np.isfinite(got[1:]).all()


@pytest.mark.parametrize("kind", ["g", "D"])
def test_the_plain_route_has_the_memory_order_of_ufuncs(kind: str) -> None:
    base = np.zeros((2, 4, 3), kind)
    for x in (base.transpose(0, 2, 1), base.transpose(2, 1, 0), base[::-1], base[:1] + base):
        wanted = np.exp(x).strides
        assert softmax(x, 1).strides == wanted
        assert softmax(x, 1, where=np.ones(x.shape, bool)).strides == wanted
        assert softmax(np.ma.array(x, mask=False), 1).strides == wanted
        assert BACKWARD.call(np.zeros(x.shape, kind), x, 1).strides == wanted
    repeated = np.broadcast_to(base[0], (5, 4, 3))
    assert softmax(repeated, 1).strides == np.exp(repeated).strides


@pytest.mark.parametrize("kind", ["g", "D"])
def test_infinite_elements_go_the_plain_route(kind: str) -> None:
    x = np.array([[INF, 1, 2], [-INF, 1, 1], [-INF, -INF, -INF]]).astype(kind)
    half = np.log(np.longdouble(2))
    wanted = np.array([[NAN] * 3, [-INF, -half, -half], [NAN] * 3])
    got = log_softmax(x, 1)
    assert np.allclose(got.real, wanted, rtol=1e-15, equal_nan=True)
    assert np.array_equal(got[1].imag, [0, 0, 0])


@EACH
def test_no_values_make_numpy_warn(relative: Relative, dtype: Any) -> None:
    patterns = np.random.default_rng(4).integers(0, 2**64, 2000, np.uint64).view(dtype)
    x = read_only(patterns.reshape(8, -1))
    with np.errstate(all="raise"):
        for dim in (0, 1):
            relative.call(*[x] * relative.inputs, dim)
