"""Slices of several blocks across memory: each has the bits that it has along memory."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from arrays import logits
from relatives import RELATIVES, Relative, name_of

from fastsoftmax import explain
from fastsoftmax.kernels.column_results import WIDE_BYTES
from fastsoftmax.kernels.sums import block_of

Array = np.ndarray[Any, Any]

EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)


def across(rows: Array, apart: int = 0, shift: int = 0) -> Array:
    """The transposed rows, `apart` elements after one another, from element `shift` on."""
    count, length = rows.shape
    memory = np.zeros(length * (count + apart) + shift, rows.dtype)
    columns = memory[shift:].reshape(length, count + apart)[:, :count]
    columns[...] = rows.T
    return columns


def lengths(dtype: Any) -> list[int]:
    block = block_of(np.dtype(dtype).itemsize)
    return [block + 1, 2 * block, 2 * block + block // 8 + 3]


@EACH
@pytest.mark.parametrize("count", [33, 168, 1000])
@pytest.mark.parametrize("apart", [0, 5])
def test_any_number_of_columns(relative: Relative, dtype: Any, count: int, apart: int) -> None:
    for length in lengths(dtype)[:: 1 if count < 1000 else 2]:
        rows = relative.given_rows(logits((count, length), dtype, 5.0))
        columns = [across(each, apart) for each in rows]
        wanted = relative.call(*rows, 1)
        assert np.array_equal(relative.call(*columns, 0).T, wanted)
        if not relative.reduces:
            out = across(np.zeros_like(wanted), apart, 3)
            assert relative.call(*columns, 0, out=out, workers=2) is out
            assert np.array_equal(out.T, wanted)


@EACH
@pytest.mark.usefixtures("_past_caches")
@pytest.mark.parametrize("beyond", [0, 41])
def test_more_columns_than_a_piece_has(relative: Relative, dtype: Any, beyond: int) -> None:
    """Past the caches, wherever lines of the result begin."""
    count, length = WIDE_BYTES // np.dtype(dtype).itemsize + beyond, lengths(dtype)[0]
    rows = relative.given_rows(logits((count, length), dtype, 5.0))
    columns = [across(each) for each in rows]
    plan = explain(columns[0], 0)
    assert (plan.kernel, plan.streaming) == ("split", True)
    wanted = relative.call(*rows, 1)
    for shift in (0, 1, 17):
        if relative.reduces:
            continue
        memory = np.full(count * length + shift + 64, 7, dtype)
        out = memory[shift : shift + count * length].reshape(length, count)
        relative.call(*columns, 0, out=out, workers=2)
        assert np.array_equal(out.T, wanted)
        assert (memory[:shift] == 7).all()
        assert (memory[shift + count * length :] == 7).all()
    assert np.array_equal(relative.call(*columns, 0, workers=2).T, wanted)


@EACH
def test_masks_and_temperatures(relative: Relative, dtype: Any) -> None:
    count, length = 100, lengths(dtype)[2]
    rows = relative.given_rows(logits((count, length), dtype, 5.0))
    columns = [across(each, 3) for each in rows]
    shown = np.random.default_rng(count).random((count, length)) < 0.7
    shown[3] = False
    degrees = np.linspace(0.3, 3.0, count)[:, None]
    for mask in (None, shown, shown[:, :1], shown[3:4]):
        for temperature in (1.0, 0.7, degrees) if relative.tempered else (None,):
            more = {} if temperature is None else {"temperature": temperature}
            turned = {"temperature": degrees.T} if temperature is degrees else more
            wanted = relative.call(*rows, 1, where=mask, **more)
            masks = [mask] if mask is None else [mask.T, np.ascontiguousarray(mask.T)]
            for each in masks:
                got = relative.call(*columns, 0, where=each, workers=2, **turned)
                assert np.array_equal(got.T, wanted)


@EACH
def test_large_and_missing_numbers(relative: Relative, dtype: Any) -> None:
    length = lengths(dtype)[0]
    slices = logits((70, length), dtype, 5.0).copy()
    rows = relative.given_rows(slices)
    special = [each.copy() for each in rows]
    numbers = [np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, -0.0, 70000.0]
    for each in special:
        for i, number in enumerate(numbers):
            each[i, i * 7 % length] = number
            each[10 + i, -1 - i] = number
            each[20 + i] = number
    wanted = relative.call(*special, 1)
    got = relative.call(*[across(each) for each in special], 0, workers=2)
    assert np.array_equal(got.T, wanted, equal_nan=True)
    assert np.array_equal(got.T[40:], relative.call(*rows, 1)[40:])


@EACH
@pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16])
def test_halves(relative: Relative, half: Any) -> None:
    length, count = lengths(np.float32)[0], 1100
    rows = [each.astype(half) for each in relative.given_rows(logits((count, length), np.float32))]
    columns = [across(each, 1) for each in rows]
    wanted = relative.call(*rows, 1)
    assert np.array_equal(relative.call(*columns, 0, workers=2).T, wanted)
    shown = np.arange(count)[:, None] % 3 > 0
    wanted = relative.call(*rows, 1, where=shown)
    assert np.array_equal(relative.call(*columns, 0, where=shown.T).T, wanted)
