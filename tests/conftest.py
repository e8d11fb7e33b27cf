"""The matrix of the tests: dtypes, layouts and functions, each combination a case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from arrays import DTYPES, LAYOUTS, STORAGES, Layout
from family import FAMILY, Function
from hypothesis import HealthCheck, settings
from recalls import forget, record_at_once

from fastsoftmax import _layout, _plans

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

# The first example of a law may compile a kernel, so there is no deadline.
_COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("always-the-same", derandomize=True, **_COMMON)
settings.register_profile("explore", max_examples=1000, **_COMMON)
settings.load_profile("always-the-same")


@pytest.fixture(params=FAMILY, ids=lambda function: function.name)
def function(request: pytest.FixtureRequest) -> Function:
    """A function of the family."""
    chosen: Function = request.param
    return chosen


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> np.dtype[Any]:
    """A dtype that kernels compute in."""
    chosen: np.dtype[Any] = request.param
    return chosen


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.name.replace(" ", "-"))
def layout(request: pytest.FixtureRequest) -> Layout:
    """Where slices lie in an array."""
    chosen: Layout = request.param
    return chosen


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest) -> Any:
    """How an array is stored, if not in the machine's own way."""
    return STORAGES[request.param]


@pytest.fixture
def _past_caches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Results of half a MiB are written past the caches, whatever caches there are."""
    for name in ("MOST_KEPT_BYTES", "MOST_KEPT_ACROSS_BYTES"):
        monkeypatch.setattr(_plans, name, 1 << 20)
    _layout._plans.clear()
    forget()
    yield
    _layout._plans.clear()
    forget()


@pytest.fixture(params=["by its key", "recorded"])
def _ways_of_later_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "recorded":
        record_at_once(monkeypatch)


@pytest.fixture
def _calls_recorded_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    record_at_once(monkeypatch)
    forget()
    yield
    forget()
