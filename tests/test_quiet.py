"""NumPy's functions without its warnings, whatever the caller has set."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest

from fastsoftmax._quiet import quiet

LARGE = np.full(1000, 1e300)


@pytest.mark.parametrize("state", ["warn", "raise", "print", "ignore"])
def test_nothing_is_heard_and_nothing_changed(
    state: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with np.errstate(all=state), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(quiet(LARGE.astype, np.float32)).all()
        assert np.isnan(quiet(np.subtract, np.inf, np.inf))
        assert set(np.geterr().values()) == {state}
    assert capfd.readouterr() == ("", "")


def test_threads_and_calls_within_calls() -> None:
    right: list[bool] = []

    def work() -> None:
        products = [quiet(quiet, np.multiply, LARGE, LARGE) for _ in range(300)]
        right.append(bool(np.isinf(products).all()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 4


def test_errors_are_raised() -> None:
    with pytest.raises(TypeError):
        quiet(np.copyto, np.zeros(3, int), LARGE[:3], casting="safe")
