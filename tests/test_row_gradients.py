"""Gradients along memory: the bits of the same slices across it, or under a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from arrays import DTYPES, logits, read_only
from halves import HALVES
from relatives import BACKWARD, LOG_BACKWARD, Relative, name_of
from ulps import assert_same_bits

from fastsoftmax import _launch, _shortcuts
from fastsoftmax._layout import _plans
from fastsoftmax.kernels.gradient_steps import MOST_SLICES

Array = np.ndarray[Any, Any]

GRADIENTS = pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
EACH_DTYPE = pytest.mark.parametrize("dtype", [*DTYPES, *HALVES], ids=name_of)
SHORT = [2, 3, 5, 7, 8, 9, 12, 15, 16, 17, 20, 31, 32, 33, 40, 41, 45, 63, 64, 65, 66]
LONG = [79, 80, 95, 97, 127, 129, 1000, 4095, 4097, 9000]


def given_rows(relative: Relative, shape: tuple[int, int], dtype: Any) -> tuple[Array, Array]:
    """Gradients far from one another in size, and outputs, with a few zeros of either sign."""
    sizes = logits((*shape, 2), np.float64, 2.5)
    g = np.ldexp(logits(shape, np.float64), np.rint(sizes[..., 0]).astype(np.int32))
    make = reference.log_softmax if relative is LOG_BACKWARD else reference.softmax
    y = make(sizes[..., 1], 1)
    g[0], y[-1] = -0.0, -0.0
    g[1 % shape[0], ::2] = 0.0
    return read_only(g.astype(dtype)), read_only(y.astype(dtype))


@GRADIENTS
@EACH_DTYPE
@pytest.mark.parametrize("slices", [1, MOST_SLICES - 1, MOST_SLICES, 2 * MOST_SLICES + 3])
def test_rows_are_columns(relative: Relative, slices: int, dtype: Any) -> None:
    for length in [*SHORT, *LONG]:
        g, y = given_rows(relative, (slices, length), dtype)
        got = relative.call(g, y, 1)
        wanted = relative.call(g.T.copy(), y.T.copy(), 0).T
        assert_same_bits(got, wanted, length)
        assert_same_bits(relative.call(g, y, 1, where=np.True_), wanted, length)


@GRADIENTS
@EACH_DTYPE
def test_in_place_of_either_input(relative: Relative, dtype: Any) -> None:
    for length in (10, 20, 63, 64, 100, 5000):
        g, y = given_rows(relative, (21, length), dtype)
        wanted = relative.call(g, y, 1)
        for number in (0, 1):
            inputs = [g.copy(), y.copy()]
            out = inputs[number]
            assert relative.call(*inputs, 1, out=out) is out
            assert_same_bits(out, wanted, (length, number))


@GRADIENTS
@EACH_DTYPE
def test_rows_of_larger_arrays(relative: Relative, dtype: Any) -> None:
    """Rows apart, in runs of several, turned round; what lies beside them is not touched."""
    for length in (9, 17, 33, 64, 65, 200):
        g, y = given_rows(relative, (60, length), dtype)
        wanted = relative.call(g, y, 1)
        for index in (np.s_[:, :, 3 : 3 + length], np.s_[:, ::-1, 3 : 3 + length]):
            arrays = []
            for each in (g, y, np.zeros_like(g)):
                wide = np.full((4, 15, length + 7), np.nan, dtype)
                wide[index] = each.reshape(4, 15, length)
                arrays.append((wide, wide[index]))
            out, part = arrays[2]
            relative.call(arrays[0][1], arrays[1][1], 2, out=part)
            assert_same_bits(part.reshape(wanted.shape), wanted, length)
            out[index] = np.nan
            assert np.isnan(out.astype(np.float32)).all(), length


@GRADIENTS
@EACH_DTYPE
def test_threads_that_begin_anywhere(relative: Relative, dtype: Any) -> None:
    for shape in ((7, 501, 20), (3, 400, 64), (5, 77, 100)):
        rows = np.prod(shape[:2])
        g, y = (each.reshape(shape) for each in given_rows(relative, (rows, shape[2]), dtype))
        wanted = relative.call(g, y, 2)
        padded = np.zeros((shape[0], shape[1] + 1, shape[2]), dtype)[:, :-1]
        padded[...] = y
        for output in (y, padded):
            for workers in (2, None):
                got = relative.call(g, output, 2, workers=workers)
                assert_same_bits(got, wanted, shape)


@GRADIENTS
def test_nan_and_infinities(relative: Relative, dtype: Any) -> None:
    for length in (9, 20, 31, 64, 100, 5000):
        g, y = (each.copy() for each in given_rows(relative, (23, length), dtype))
        g[3, 0], g[4, -1], g[5, 5], y[6, -2], y[7, 0] = np.nan, np.inf, -np.inf, np.nan, np.inf
        g[8, :2] = np.inf, -np.inf
        got = relative.call(g, y, 1)
        wanted = relative.call(g.T.copy(), y.T.copy(), 0).T
        assert np.array_equal(got, wanted, equal_nan=True), length
        others = np.delete(np.arange(23), [3, 4, 5, 6, 7, 8])
        assert np.isfinite(got[others]).all(), length
        relative.assert_accurate(got[others], (g[others], y[others]), 1, length)


@EACH_DTYPE
def test_outputs_that_are_no_logarithms_of_probabilities(dtype: Any) -> None:
    """Above 0, far above it and far below, beside others: frames and shifts of their own."""
    for length in (9, 20, 64, 65, 100, 4000):
        g, y = (each.copy() for each in given_rows(LOG_BACKWARD, (40, length), dtype))
        y[3, 0], y[4], y[6, -1], y[7] = 3.0, y[4] + dtype.type(30), 3e4, -3e4
        y[20, 2], y[21, 1], y[22] = np.inf, np.nan, -np.inf
        got = LOG_BACKWARD.call(g, y, 1)
        wanted = LOG_BACKWARD.call(g.T.copy(), y.T.copy(), 0).T
        as_numbers = got.astype(np.float64), wanted.astype(np.float64)
        assert np.array_equal(*as_numbers, equal_nan=True), length


@pytest.mark.parametrize(
    ("relative", "shape", "dim", "name"),
    [
        (BACKWARD, (50, 20), 1, "narrow-gradients"),
        (BACKWARD, (5, 6, 64), 2, "narrow-gradients"),
        (BACKWARD, (50, 5), 1, "backward-of-5"),
        (BACKWARD, (50, 15), 1, "backward-of-15"),
        (BACKWARD, (50, 65), 1, "row-gradients"),
        (BACKWARD, (50, 9000), 1, "row-gradients"),
        (BACKWARD, (4, 5, 6), (1, 2), "narrow-gradients"),
        (BACKWARD, (50, 40), 0, "column-gradients-backward"),
        (LOG_BACKWARD, (50, 20), 1, "narrow-gradients"),
        (LOG_BACKWARD, (50, 1000), 1, "row-gradients"),
        (LOG_BACKWARD, (50, 9000), 1, "along"),
    ],
)
def test_which_kernel_is_taken(
    relative: Relative,
    shape: tuple[int, ...],
    dim: Any,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is computed here."""
    monkeypatch.setattr(_launch.Job, "run", lambda *_: None)
    monkeypatch.setattr(_launch, "ready", lambda *_: lambda *_: None)
    monkeypatch.setattr(_shortcuts, "ways", {})
    monkeypatch.setattr(_shortcuts, "recall", lambda *_: None)
    _plans.clear()
    relative.call(*[np.zeros(shape, np.float32)] * 2, dim)
    (plan,) = _plans.values()
    (kernel,) = plan.kernels
    assert kernel.name.startswith(name)


@GRADIENTS
def test_masks_and_many_temperatures_have_other_kernels(
    relative: Relative, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shortcuts, "ways", {})
    for length, other in ((20, "narrow"), (100, "along")):
        g, y = given_rows(relative, (50, length), np.float32)
        each = np.linspace(0.5, 2.0, 50)[:, None]
        for more, kind in (
            ({"temperature": 0.5}, "gradients"),
            ({"where": y > 0}, other),
            ({"temperature": each}, other),
        ):
            _plans.clear()
            relative.call(g, y, 1, **more)
            (plan,) = _plans.values()
            assert plan.kind == kind


@GRADIENTS
@EACH_DTYPE
@pytest.mark.parametrize("temperature", [0.3, 7.0])
def test_one_temperature_has_the_bits_of_as_many_as_there_are_slices(
    relative: Relative, dtype: Any, temperature: float
) -> None:
    for length in (9, 20, 63, 64, 100, 9000):
        g, y = given_rows(relative, (35, length), dtype)
        got = relative.call(g, y, 1, temperature=temperature)
        wanted = relative.call(g, y, 1, temperature=np.full((35, 1), temperature))
        assert_same_bits(got, wanted, length)
