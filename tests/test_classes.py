"""Very short slices one after the other, whose kernels know their length, beside other layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import DTYPES, logits, read_only
from halves import HALVES
from relatives import BACKWARD, LOG_BACKWARD, LOG_SOFTMAX, SOFTMAX, SOFTMIN, Relative, name_of
from ulps import assert_same_bits

from fastsoftmax import _shortcuts, explain
from fastsoftmax._layout import _plans
from fastsoftmax.kernels.class_gradients import most_classes
from fastsoftmax.kernels.classes import MOST_CLASSES

Array = np.ndarray[Any, Any]

RESULTS = pytest.mark.parametrize("relative", [SOFTMAX, SOFTMIN, LOG_SOFTMAX], ids=name_of)
GRADIENTS = pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
EACH_DTYPE = pytest.mark.parametrize("dtype", [*DTYPES, *HALVES], ids=name_of)
# Each is a kernel to be compiled.
LENGTHS = [2, 5, 10, 31]
MORE_LENGTHS = [3, 4, 7, 8, 16, 17, 37, 64]
# One, fewer than there are lanes, as many, some more, many.
COUNTS = [1, 15, 32, 67, 300]


def few(count: int, length: int, dtype: Any) -> Array:
    """Slices of all sizes: of usual numbers, of nothing but one class, with subnormal results."""
    x = (
        logits((count, length), np.float64).copy()
        * np.array([1.0, 12.0, 90.0])[np.arange(count) % 3, None]
    )
    return read_only(x.astype(dtype))


def mask_for(x: Array) -> Array:
    """A third is left out; in some slices all is, in some nothing."""
    shown: Array = np.arange(x.size).reshape(x.shape) * 7 % 3 != 0
    shown[::7], shown[3::11] = False, True
    return read_only(shown)


@RESULTS
@pytest.mark.parametrize(
    ("dtype", "masked", "temperature"),
    [(DTYPES[0], True, 1.0), (DTYPES[0], False, 0.3)]
    + [(dtype, True, 7.0) for dtype in (*DTYPES, *HALVES)],
    ids=str,
)
def test_rows_are_columns(relative: Relative, dtype: Any, masked: bool, temperature: float) -> None:
    lengths = LENGTHS + MORE_LENGTHS * (relative is SOFTMAX and dtype == np.float32)
    for length in lengths:
        for count in COUNTS:
            x = few(count, length, dtype)
            more: dict[str, Any] = {"temperature": temperature}
            across = dict(more)
            if masked:
                more["where"] = mask_for(x)
                across["where"] = more["where"].T.copy()
            got = relative.call(x, 1, **more)
            assert_same_bits(got, relative.call(x.T.copy(), 0, **across).T, (length, count))


@RESULTS
@pytest.mark.usefixtures("_past_caches")
@pytest.mark.parametrize("offset", [0, 1, 5])
def test_masked_results_past_the_caches(relative: Relative, offset: int) -> None:
    """Whose lines begin anywhere, and whose first and last strips are not whole."""
    for count, length in ((40_003, 10), (30_000, 5), (9001, 37)):
        x = few(count, length, np.float32)
        shown = mask_for(x)
        memory = np.full(count * length + 2 * offset + 1, 7.0, np.float32)
        out = memory[offset : offset + x.size].reshape(x.shape)
        for workers in (1, 2):
            out[...] = 7.0
            assert explain(x, 1, out=out, where=shown).kernel == "classes"
            assert explain(x, 1, out=out, where=shown).streaming
            relative.call(x, 1, out=out, where=shown, workers=workers)
            wanted = relative.call(x.T.copy(), 0, where=shown.T.copy()).T
            assert_same_bits(out, wanted, (count, length))
            assert (memory[:offset] == 7.0).all()
            assert (memory[offset + x.size :] == 7.0).all()


@RESULTS
@EACH_DTYPE
def test_one_mask_for_all_slices(relative: Relative, dtype: Any) -> None:
    for length in LENGTHS:
        every_other = np.zeros(2 * length, bool)
        every_other[::4] = True
        masks: list[Any] = [every_other[::2], np.arange(length) > 0, np.False_]
        for count in COUNTS:
            x = few(count, length, dtype)
            for mask in masks:
                wanted = relative.call(x, 1, where=np.broadcast_to(mask, x.shape).copy())
                what = length, count, mask
                assert_same_bits(relative.call(x, 1, where=mask), wanted, what)


@RESULTS
def test_masked_in_place(relative: Relative, dtype: Any) -> None:
    for length in (2, 10, 37):
        x = few(70, length, dtype).copy()
        shown = mask_for(x)
        wanted = relative.call(x, 1, where=shown)
        assert relative.call(x, 1, where=shown, out=x) is x
        assert_same_bits(x, wanted, length)


@pytest.mark.parametrize("function", ["softmax", "softmin", "log_softmax"])
def test_which_calls_have_a_kernel_of_their_length(function: str) -> None:
    for length in range(2, MOST_CLASSES + 1):
        x = np.zeros((5, 8, length), np.float32)
        ones, per_slice = np.ones(x.shape, bool), np.full((5, 8, 1), 2.0)
        wide = np.ones((5, 8, length + 1), bool)[..., :-1]
        assert explain(x, 2, function=function, temperature=2.0).kernel == "classes"
        assert explain(x, 2, function=function, where=ones).kernel == "classes"
        assert explain(x, 2, function=function, temperature=per_slice).kernel == "narrow"
        assert explain(x, 2, function=function, where=ones[0, 0]).kernel == "classes"
        for mask in (ones[:1], ones[..., :1], wide):
            assert explain(x, 2, function=function, where=mask).kernel == "narrow"


@GRADIENTS
@EACH_DTYPE
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_gradients_in_rows_are_those_in_columns(
    relative: Relative, dtype: Any, temperature: float
) -> None:
    for length in (2, 3, 6, 8, 15, 40):
        for count in COUNTS:
            g, y = (each.astype(dtype) for each in relative.given_rows(few(count, length, "f8")))
            got = relative.call(g, y, 1, temperature=temperature)
            wanted = relative.call(g.T.copy(), y.T.copy(), 0, temperature=temperature).T
            assert_same_bits(got, wanted, (length, count))


@GRADIENTS
def test_gradients_of_many_slices(relative: Relative, dtype: Any) -> None:
    """So many that the next ones are asked for."""
    for count, length in ((200_003, 3), (100_001, 7), (60_000, 15)):
        g, y = (each.astype(dtype) for each in relative.given_rows(few(count, length, "f8")))
        wanted = relative.call(g.T.copy(), y.T.copy(), 0).T
        for workers in (1, 2):
            assert_same_bits(relative.call(g, y, 1, workers=workers), wanted, (count, length))


@GRADIENTS
def test_gradients_in_place_of_either_input(relative: Relative, dtype: Any) -> None:
    for length in (2, 5, 15):
        g, y = (each.astype(dtype) for each in relative.given_rows(few(70, length, "f8")))
        wanted = relative.call(g, y, 1)
        for number in (0, 1):
            inputs = [g.copy(), y.copy()]
            relative.call(*inputs, 1, out=inputs[number])
            assert_same_bits(inputs[number], wanted, (length, number))


@GRADIENTS
def test_which_gradients_have_a_kernel_of_their_length(
    relative: Relative, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shortcuts, "ways", {})
    g = few(40, 5, np.float32)
    long = few(40, most_classes(4) + 1, np.float32)
    calls: list[tuple[str, Array, dict[str, Any]]] = [
        ("class_gradients", g, {}),
        ("class_gradients", g, {"temperature": 2.0}),
        ("narrow", g, {"temperature": np.full((40, 1), 2.0)}),
        ("narrow", g, {"where": g > 0}),
        ("gradients", long, {}),
    ]
    for kind, given, more in calls:
        _plans.clear()
        relative.call(given, given, 1, **more)
        (plan,) = _plans.values()
        assert plan.kind == kind
