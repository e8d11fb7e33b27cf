"""Gradients of slices across memory: those of the same slices along it, by any kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import logits
from halves import BFLOAT16, FLOAT16
from relatives import BACKWARD, LOG_BACKWARD, Relative, name_of

from fastsoftmax import _launch, _shortcuts
from fastsoftmax.kernels.column_gradients import WIDTH_BYTES

Array = np.ndarray[Any, Any]

GRADIENTS = pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
WIDTH = WIDTH_BYTES // 4
WIDTHS = [4, 5, 31, 32, 33, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH + 7]
LENGTHS = [1, 2, 31, 33, 63, 64, 65, 97, 300, 1001]


def columns_of(rows: Array) -> Array:
    return rows.T.copy(order="C")


@GRADIENTS
@pytest.mark.parametrize("length", LENGTHS)
def test_columns_are_rows(relative: Relative, length: int, dtype: Any) -> None:
    for width in WIDTHS:
        rows = relative.given_rows(logits((width, length), dtype, 4.0))
        wanted = relative.call(*rows, 1)
        got = relative.call(*map(columns_of, rows), 0)
        assert np.array_equal(got, wanted.T), width
        inputs = [columns_of(each) for each in rows]
        out = inputs[-1]
        assert relative.call(*inputs, 0, out=out) is out
        assert np.array_equal(out, wanted.T), width


@GRADIENTS
@pytest.mark.parametrize("half", [FLOAT16, BFLOAT16])
def test_of_halves(relative: Relative, half: Any) -> None:
    for length, width in ((10, 70), (100, 63), (300, 130)):
        rows = [each.astype(half) for each in relative.given_rows(logits((width, length), "f4"))]
        wanted = relative.call(*rows, 1)
        got = relative.call(*map(columns_of, rows), 0)
        assert got.dtype == half
        assert np.array_equal(got, wanted.T), (length, width)


@GRADIENTS
def test_columns_of_all_kinds(relative: Relative, dtype: Any) -> None:
    """NaN, infinities and numbers far from those of any softmax, beside one another."""
    for length in (40, 100, 1000):
        g, y = (each.copy() for each in relative.given_rows(logits((75, length), dtype, 3.0)))
        y[3], y[4], y[5] = -np.inf, -1e5, 1e5
        y[9, 1], y[20, -1], g[30, 0], g[31, 0] = np.nan, np.inf, np.nan, np.inf
        wanted = relative.call(g, y, 1)
        got = relative.call(columns_of(g), columns_of(y), 0)
        assert np.array_equal(got, wanted.T, equal_nan=True), length


@GRADIENTS
def test_several_batches_and_strides(relative: Relative, dtype: Any) -> None:
    g, y = relative.given_rows(logits((3 * 70, 50), dtype, 3.0))
    wanted = relative.call(g, y, 1).reshape(3, 70, 50).transpose(0, 2, 1)
    g, y = (each.reshape(3, 70, 50).transpose(0, 2, 1) for each in (g, y))
    wide = np.zeros((3, 50, 100), dtype)
    for given in (np.ascontiguousarray(y), np.flip(np.flip(y, 1).copy(), 1), wide[:, :, 7:77]):
        given[...] = y
        assert np.array_equal(relative.call(np.ascontiguousarray(g), given, 1), wanted)


@GRADIENTS
@pytest.mark.parametrize(
    ("shape", "twice"), [((1000, 300), True), ((1024, 1024), False), ((4096, 4096), False)]
)
def test_which_kernel_is_taken(
    relative: Relative, shape: tuple[int, int], twice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles where the second reading would not find rows in the caches; nothing is computed."""
    used = set()

    def note(taken: Any, *_: Any) -> Any:
        used.add(taken.name.rsplit("-", 1)[0])
        return lambda *_: None

    monkeypatch.setattr(_launch.Job, "run", lambda job, *_: note(job.kernel))
    monkeypatch.setattr(_launch, "ready", note)
    monkeypatch.setattr(_shortcuts, "ways", {})
    monkeypatch.setattr(_shortcuts, "recall", lambda *_: None)
    relative.call(*[np.zeros(shape, np.float32)] * 2, 0)
    assert len(used) == 1
    assert (used == {"column-gradients"}) == twice
