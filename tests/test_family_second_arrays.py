"""Masks, temperatures, inputs and `out` of a later call: others than those of the first one.

Such calls take shorter ways, which hold nothing of the arrays that they were found with.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from arrays import logits, read_only
from relatives import RELATIVES, Relative, name_of

pytestmark = pytest.mark.usefixtures("_ways_of_later_calls")
EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)


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
def test_the_second_mask_may_have_another_shape(relative: Relative, dtype: Any) -> None:
    inputs = relative.given_rows(logits((38, 10), dtype, 3.0))
    rows = np.arange(38)[:, None] % 3 < 2
    masks = [rows, np.arange(10) % 4 < 3, np.array(True), np.ones((1, 1), bool), rows[::-1]]
    for flip in (slice(None), slice(None, None, -1)):  # the batch is turned round
        turned = [each[flip] for each in inputs]
        for shown in masks * 2:
            wanted = relative.call(*turned, 1, where=np.broadcast_to(shown, (38, 10)).copy())
            for _ in range(2):
                assert np.array_equal(relative.call(*turned, 1, where=shown), wanted)


@EACH
def test_the_second_temperature_may_be_another(relative: Relative, dtype: Any) -> None:
    if not relative.tempered:
        return
    inputs = relative.given_rows(logits((38, 10), dtype, 3.0))
    for temperature in (0.5, 2.0, 1.0, 0.5, 3.0, 1.0, 2.0, np.inf, 1e-30, 0.5):
        got = relative.call(*inputs, 1, temperature=temperature)
        relative.assert_accurate(got, inputs, 1, temperature, temperature=temperature)


TEMPERED = pytest.mark.parametrize(
    "relative", [each for each in RELATIVES if each.tempered], ids=name_of
)
TEMPERATURES = {
    "of rows": np.linspace(0.5, 2.0, 38)[:, None],
    "single": np.linspace(0.5, 2.0, 38, dtype=np.float32)[:, None],
    "integers": np.arange(1, 39)[:, None],
    "backwards": np.linspace(0.5, 2.0, 38)[::-1, None],
    "apart": np.linspace(0.5, 2.0, 76)[::2, None],
    "ones": np.ones((38, 1)),
    "one": np.full((1, 1), 2.0),
    "too small for float32": np.geomspace(1e-30, 1.0, 38)[:, None],
    "infinite": np.where(np.arange(38) % 5, 2.0, np.inf)[:, None],
}


@TEMPERED
def test_the_second_temperatures_may_be_others(relative: Relative, dtype: Any) -> None:
    slices = logits((38, 10), dtype, 3.0)
    for flip in (slice(None), slice(None, None, -1)):  # the batch is turned round
        inputs = [each[flip] for each in relative.given_rows(slices)]
        for what, temperatures in [*TEMPERATURES.items()] * 3:
            given = read_only(temperatures)
            got = relative.call(*inputs, 1, temperature=given)
            relative.assert_accurate(got, inputs, 1, what, temperature=temperatures)
        shown = np.arange(10) % 3 > 0
        for _ in range(3):
            got = relative.call(*inputs, 1, temperature=given, where=shown)
            relative.assert_accurate(
                got, inputs, 1, what, temperature=given, where=np.broadcast_to(shown, (38, 10))
            )


@pytest.mark.parametrize(
    "relative", [each for each in RELATIVES if each.tempered and each.inputs == 1], ids=name_of
)
@pytest.mark.parametrize("source", ["f2", "f4", "f8", "i4"])
def test_temperatures_that_became_wrong_are_refused(relative: Relative, source: str) -> None:
    """The same array as before, with other numbers; nothing is written, by a cast neither."""
    inputs = [each.astype(source) for each in relative.given_rows(logits((38, 10), "f4", 3.0))]
    temperatures, out = np.full((38, 1), 2.0), np.zeros((38, 10))
    for _ in range(3):
        twice = relative.call(*inputs, 1, np.float64, temperature=temperatures, out=out).copy()
    out[...] = 7
    for wrong in (0.0, -1.0, np.nan):
        temperatures[3] = wrong
        with pytest.raises(ValueError, match="temperature is"):
            relative.call(*inputs, 1, np.float64, temperature=temperatures, out=out)
        assert (out == 7).all()
    temperatures[...] = 2.0
    for kind in ("c16", "?", "U3", "O"):
        with pytest.raises(TypeError, match="temperature="):
            relative.call(*inputs, 1, np.float64, temperature=temperatures.astype(kind), out=out)
    relative.call(*inputs, 1, np.float64, temperature=2.0, out=np.zeros_like(out))
    for wide in (np.full((1, 38, 1), 2.0), np.full((1, 1, 1), 2.0)):
        with pytest.raises(ValueError, match="temperature has the shape"):
            relative.call(*inputs, 1, np.float64, temperature=wide, out=out)
    assert (out == 7).all()
    temperatures[...] = 1.0
    wanted = relative.call(*inputs, 1, np.float64)
    assert np.allclose(
        relative.call(*inputs, 1, np.float64, temperature=temperatures, out=out), wanted, rtol=1e-14
    )
    assert not np.array_equal(wanted, twice)


@TEMPERED
def test_out_may_be_the_temperatures(relative: Relative) -> None:
    inputs = relative.given_rows(logits((10, 10), np.float64, 3.0))
    memory = np.zeros((10, 10))
    for out in (np.zeros((10, 10)), memory) * 3:
        memory[...] = 2.0
        got = relative.call(*inputs, 1, temperature=memory[:, 3:4], out=out)
        relative.assert_accurate(got, inputs, 1, "out", temperature=np.full((10, 1), 2.0))


@pytest.mark.parametrize("relative", [each for each in RELATIVES if not each.reduces], ids=name_of)
@pytest.mark.parametrize("where_out_begins", [0, 40, 340, 400])
def test_out_may_come_to_overlap_the_mask(relative: Relative, where_out_begins: int) -> None:
    inputs = relative.given_rows(logits((38, 10), np.float32, 3.0))
    shown = np.random.default_rng(0).random((38, 10)) < 0.6
    wanted = relative.call(*inputs, 1, where=shown)
    memory = np.zeros(400 + 4 * 380, np.uint8)
    mask = memory[:380].view(np.bool_).reshape(38, 10)
    out = memory[where_out_begins : where_out_begins + 4 * 380].view(np.float32).reshape(38, 10)
    for target in (np.zeros((38, 10), np.float32), out) * 3:
        mask[...] = shown
        assert relative.call(*inputs, 1, where=mask, out=target) is target
        assert np.array_equal(target, wanted)


@pytest.mark.parametrize("shift", [-3000, -2999, -10, -1, 0, 1, 10, 2999, 3000])
@pytest.mark.parametrize("which", [0, 1])
def test_out_may_come_to_overlap_either_input_of_a_gradient(which: int, shift: int) -> None:
    for relative in (each for each in RELATIVES if each.inputs == 2):
        inputs = [*relative.given_rows(logits((300, 10), np.float32, 3.0))]
        wanted = relative.call(*inputs, 1)
        memory = np.zeros(3 * 3000, np.float32)
        moved = memory[3000:6000].reshape(300, 10)
        out = memory[3000 + shift : 6000 + shift].reshape(300, 10)
        values, inputs[which] = inputs[which], moved
        for target in (np.zeros((300, 10), np.float32), out) * 3:
            moved[...] = values
            assert relative.call(*inputs, 1, out=target) is target
            assert np.array_equal(target, wanted)


@EACH
def test_nothing_of_the_first_call_is_held(relative: Relative, dtype: Any) -> None:
    given = [each.copy() for each in relative.given_rows(logits((38, 10), dtype, 3.0))]
    more = {"where": np.ones((38, 10), bool)}
    if relative.tempered:
        more["temperature"] = np.full((38, 1), 2.0)
    if not relative.reduces:
        more["out"] = np.zeros_like(given[0])
    for _ in range(3):
        result = relative.call(*given, 1, **more)
        fresh = relative.call(*given, 1)
    watched = [weakref.ref(each) for each in (*given, *more.values(), result, fresh)]
    del given, more, result, fresh
    assert [each() for each in watched] == [None] * len(watched)
