"""Slices that threads share: the bits are those of slices that a thread takes whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from arrays import logits, read_only
from halves import HALVES
from recalls import forget
from relatives import BY_NAME, RELATIVES, Relative, name_of, slices_of_several_sizes

from fastsoftmax import _layout, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrays import Layout

Array = np.ndarray[Any, Any]

ALONG = [
    BY_NAME[name]
    for name in ("rows", "padded rows", "every other element", "backwards", "dims around the batch")
]
EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)


class Sharing:
    """Has slices of several blocks shared, or taken whole."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def __call__(self, *, shared: bool) -> None:
        """All calls from now on."""
        self._patch.setattr(_layout, "_is_shared", lambda *_: shared)
        _layout._plans.clear()
        forget()


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sharing]:
    """How slices of several blocks are computed."""
    yield Sharing(monkeypatch)
    _layout._plans.clear()
    forget()


def assert_the_same(
    sharing: Sharing, relative: Relative, inputs: Any, dim: Any, **more: Any
) -> None:
    """Shared by any number of threads, and taken whole."""
    sharing(shared=False)
    wanted = relative.call(*inputs, dim, **more)
    sharing(shared=True)
    for workers in (1, 2):
        assert np.array_equal(
            relative.call(*inputs, dim, **more, workers=workers), wanted, equal_nan=True
        )


def test_the_fixture_makes_a_difference(sharing: Sharing) -> None:
    x = np.zeros((20, 9001), np.float32)
    for shared, kernel in ((True, "split"), (False, "rows")):
        sharing(shared=shared)
        assert explain(x, 1).kernel == kernel


@EACH
@pytest.mark.parametrize("layout", ALONG, ids=name_of)
@pytest.mark.parametrize("length", [4097, 9001])
def test_every_layout_along_memory(
    sharing: Sharing, relative: Relative, dtype: Any, layout: Layout, length: int
) -> None:
    inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
    assert_the_same(sharing, relative, inputs, layout.dim)
    where = np.random.default_rng(3).random(inputs[0].shape) < 0.7
    assert_the_same(sharing, relative, inputs, layout.dim, where=where)
    if relative.tempered:
        assert_the_same(sharing, relative, inputs, layout.dim, temperature=0.7)


@EACH
@pytest.mark.parametrize("half", HALVES, ids=str)
def test_halves(sharing: Sharing, relative: Relative, half: Any) -> None:
    rows = relative.given_rows(logits((5, 9001), np.float32, 5.0))
    assert_the_same(sharing, relative, [each.astype(half) for each in rows], 1)


@EACH
def test_extreme_values(sharing: Sharing, relative: Relative) -> None:
    x = np.array(logits((8, 9001), np.float32, 5.0))
    x[0, 5000], x[1, 77], x[2, 4100] = np.nan, np.inf, -np.inf
    x[3], x[4, 100:], x[5] = -np.inf, -np.inf, x[5] * 1e30
    x[6] -= 1e30
    inputs = [read_only(x)] * relative.inputs
    assert_the_same(sharing, relative, inputs, 1)


# --- Which are shared -----------------------------------------------------------------


@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp"])
def test_slices_are_shared_where_that_is_sooner(
    function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kernel(cpus: int, count: int, length: int) -> str:
        monkeypatch.setattr(_layout, "CPUS", cpus)
        _layout._plans.clear()
        return explain(np.zeros((count, length), np.float32), 1, function=function).kernel

    assert kernel(64, 1, 100_000) == "split"
    assert kernel(64, 64, 100_000) != "split"  # all threads are busy as it is
    assert kernel(64, 1, 5000) != "split"  # over before threads have begun
    assert kernel(1, 1, 100_000) != "split"  # nobody to share with
    assert kernel(1, 1, 1_000_000) == "split"  # more blocks than are kept
    _layout._plans.clear()
