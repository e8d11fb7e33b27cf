"""A call that was made before may take a shorter way: to the same bits, whatever else differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import STORAGES, Layout, logits, read_only
from relatives import RELATIVES, Relative, name_of, slices_of_several_sizes

Array = np.ndarray[Any, Any]

EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
SHAPES = [(38, 10), (38, 100), (100, 38)]


@EACH
def test_the_second_call_is_as_the_first(relative: Relative, dtype: Any, layout: Layout) -> None:
    for length in (2, 10, 100):
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        first = relative.call(*inputs, layout.dim)
        second = relative.call(*inputs, layout.dim)
        assert np.array_equal(first, second)
        assert first.strides == second.strides
        relative.assert_accurate(second, inputs, layout.dim, length)


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_the_second_input_may_be_stored_in_another_way(
    relative: Relative, dtype: Any, shape: Any
) -> None:
    for dim in (0, 1):
        inputs = relative.given_rows(logits(shape, dtype, 3.0))
        wanted = relative.call(*inputs, dim)
        for store in STORAGES.values():
            stored = [read_only(store(each)) for each in inputs]
            for _ in range(2):
                assert np.array_equal(relative.call(*stored, dim), wanted)
                assert np.array_equal(relative.call(*inputs, dim), wanted)


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_the_second_out_may_be_stored_in_another_way(
    relative: Relative, dtype: Any, shape: Any
) -> None:
    for dim in (0, 1):
        inputs = relative.given_rows(logits(shape, dtype, 3.0))
        wanted = relative.call(*inputs, dim)
        outs = [
            np.zeros_like(wanted),
            *(store(np.zeros_like(wanted)) for store in STORAGES.values()),
        ]
        for out in outs * 2:
            out[...] = 7
            assert relative.call(*inputs, dim, out=out) is out
            assert np.array_equal(out, wanted)


@EACH
def test_the_second_mask_may_be_another(relative: Relative, dtype: Any) -> None:
    inputs = relative.given_rows(logits((38, 10), dtype, 3.0))
    for seed in range(4):
        shown = np.random.default_rng(seed).random((38, 10)) < 0.6
        for _ in range(2):
            got = relative.call(*inputs, 1, where=shown)
            relative.assert_accurate(got, inputs, 1, seed, where=shown)
    wide = np.random.default_rng(9).random((38, 20)) < 0.6
    for shown in (wide[:, ::2], wide[:, 1::2], wide[:, 10:], wide[::-1, :10]) * 2:
        got = relative.call(*inputs, 1, where=shown)
        relative.assert_accurate(got, inputs, 1, "strides", where=shown)


@EACH
def test_the_second_temperature_may_be_another(relative: Relative, dtype: Any) -> None:
    if not relative.tempered:
        return
    inputs = relative.given_rows(logits((38, 10), dtype, 3.0))
    for temperature in (0.5, 2.0, 1.0, 0.5, 3.0, 1.0, 2.0, np.inf, 1e-30, 0.5):
        got = relative.call(*inputs, 1, temperature=temperature)
        relative.assert_accurate(got, inputs, 1, temperature, temperature=temperature)


@EACH
def test_a_second_call_that_is_wrong_is_refused(relative: Relative, dtype: Any) -> None:
    inputs = relative.given_rows(logits((4, 5), dtype, 3.0))
    wanted = relative.call(*inputs, 1)
    out = np.zeros_like(wanted)
    for _ in range(3):
        relative.call(*inputs, 1, out=out)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        relative.call(*inputs, 1, out=out)
    for bad in (True, np.bool_(True), 1.0, "1", 2, -3):
        with pytest.raises((TypeError, ValueError)):
            relative.call(*inputs, bad)
    for workers in (True, 1.0, 0):
        with pytest.raises(ValueError, match="workers"):
            relative.call(*inputs, 1, workers=workers)
