"""Subnormal results, computed with normal numbers where something underflowed before.

Whether that is so is noted by the processor, thread by thread; here by one thread.  Where another
underflow kills the process, those survive that compute with normal numbers.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import processes
import pytest
from arrays import Layout, logits
from processor import (
    DENORMAL,
    UNDERFLOW,
    clear_flags,
    expecting,
    flags,
    flushing,
    of_this_kind,
)

import fastsoftmax
from fastsoftmax.kernels.memory import load_like, pointer, store
from fastsoftmax.kernels.operations import SOFTMAX, Operation, gradual_of
from fastsoftmax.kernels.steps import result
from fastsoftmax.kernels.sums import lane_count, lanes

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

pytestmark = of_this_kind

# From nearly 1 to below the least subnormal number.
LOWEST = {"float32": -106.0, "float64": -748.0}
LENGTHS = [2, 3, 10, 37, 64, 65, 200, 1000, 5000, 20_000]
WAYS: dict[str, Callable[[Array], dict[str, Any]]] = {
    "plain": lambda _: {},
    "tempered": lambda _: {"temperature": 0.7},
    "masked": lambda x: {"where": np.arange(x.size).reshape(x.shape) % 3 > 0},
}


def ramps(count: int, length: int, dtype: Any) -> Array:
    """Slices whose results are of all sizes; some are subnormal, whatever a mask leaves out."""
    x = np.random.default_rng(length).uniform(LOWEST[str(dtype)], 0.0, (count, length))
    if length > 10:
        x[:, 1:5] = LOWEST[str(dtype)] * 0.96
    x[:, length // 2 : length // 2 + 3] = 0.0
    return x.astype(dtype)


def slices(length: int, dtype: Any) -> Array:
    return ramps(70 if length < 1000 else 5, length, dtype)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Any:
    """What else is asked for."""
    return WAYS[request.param]


def calls(x: Array, dim: Any, way: Any) -> Callable[[], Array]:
    """A call on this thread; NumPy, if it computes anything, has the processor forget."""
    more = way(x)
    return lambda: fastsoftmax.softmax(x, dim, workers=1, **more)


# --- The arithmetic -------------------------------------------------------------------


def _results_of(operation: Operation) -> Any:
    @numba.njit
    def results(terms: Array, quotients: Array, out: Array) -> None:
        """Write the results of terms, whole groups, with each of the quotients, row by row."""
        x, written = pointer(terms), pointer(out)
        for i in range(len(quotients)):
            quotient = quotients[i, 0], quotients[i, 1]
            for j in range(0, terms.size, lane_count(x)):
                found = result(operation, load_like(x, j, lanes(x)), None, quotient, None)
                store(written, i * terms.size + j, found)

    return results


products, gradual_results = _results_of(SOFTMAX), _results_of(gradual_of(SOFTMAX))


def terms_and_quotients(dtype: Any) -> tuple[Array, Array]:
    """Terms of all sizes that there are, and quotients of many sums, whatever is lost of them."""
    random = np.random.default_rng(5)
    info, bias = np.finfo(dtype), {"float32": 64, "float64": 512}[str(dtype)]
    exponents = random.uniform(info.minexp - bias + 125, bias + 1, 1 << 14)
    terms = np.exp2(np.clip(exponents, info.minexp + 1, None)).astype(dtype)
    terms[:40] = 0.0
    high = np.exp2(random.uniform(-bias - 20, -bias + 1, 200)).astype(dtype)
    lost = np.exp2(random.uniform(-info.nmant - 16, -info.nmant - 1, high.size))
    low = (high * lost * random.choice([-1, 1], high.size)).astype(dtype)
    low[::9] = 0.0
    return terms, np.stack([high, low], axis=1)


def test_results_are_those_of_the_processor(dtype: np.dtype[Any]) -> None:
    terms, quotients = terms_and_quotients(dtype)
    wanted, found = (np.empty((len(quotients), terms.size), dtype) for _ in range(2))
    products(terms, quotients, wanted)
    gradual_results(terms, quotients, found)
    is_subnormal = (wanted > 0) & (wanted < np.finfo(dtype).tiny)
    assert 0.02 < is_subnormal.mean() < 0.9
    assert (found.view(np.uint8) == wanted.view(np.uint8)).all()


def test_no_number_on_the_way_is_subnormal(dtype: np.dtype[Any]) -> None:
    terms, quotients = terms_and_quotients(dtype)
    found = np.empty((len(quotients), terms.size), dtype)
    gradual_results(terms, quotients, found)  # compiled
    clear_flags()
    gradual_results(terms, quotients, found)
    assert flags() & (DENORMAL | UNDERFLOW) == 0
    products(terms, quotients, found)
    assert flags() & UNDERFLOW


def test_nan_stays(dtype: np.dtype[Any]) -> None:
    terms = np.full(64, np.nan, dtype)
    found = np.empty((1, terms.size), dtype)
    gradual_results(terms, np.array([[1e-19, 1e-28]], dtype), found)
    assert np.isnan(found).all()
    terms[:] = 1.0
    gradual_results(terms, np.array([[np.nan, 0.0]], dtype), found)
    assert np.isnan(found).all()


# --- The layouts ----------------------------------------------------------------------


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_expected_changes_no_bit(
    dtype: np.dtype[Any], layout: Layout, way: Any, length: int
) -> None:
    x = layout.of(slices(length, dtype))
    compute = calls(x, layout.dim, way)
    wanted = expecting(False, compute)
    if "repeated" not in layout.name and length > 10:
        assert ((wanted > 0) & (wanted < np.finfo(dtype).tiny)).any()
    assert expecting(True, compute).tobytes() == wanted.tobytes()


SURVIVING = """
import numpy as np
from arrays import LAYOUTS
from processor import expecting, trapping
from test_gradual import WAYS, calls, slices

dtype = np.dtype({dtype!r})
for layout in LAYOUTS:
    for length in (37, 64, 65, 200, 1000, 5000, 20_000):
        if layout.dim is None and length > 1000 or "repeated" in layout.name:
            continue  # blocks without subnormal results, which may hold what vanishes
        compute = calls(layout.of(slices(length, dtype)), layout.dim, WAYS[{way!r}])
        wanted = expecting(False, compute)
        print(layout.name, length, flush=True)
        assert trapping(compute).tobytes() == wanted.tobytes()
print("all survived")
"""


@pytest.mark.parametrize("way", WAYS)
def test_layouts_compute_with_normal_numbers(dtype: np.dtype[Any], way: str) -> None:
    """Where all slices hold subnormal results, that is, and such are expected."""
    printed = processes.run(SURVIVING.format(dtype=str(dtype), way=way))
    assert printed.splitlines()[-1] == "all survived"


@pytest.mark.parametrize("low", ["-inf", "-1e9", "ramp"])
@pytest.mark.parametrize("length", LENGTHS)
def test_some_slices_hold_subnormal_results(
    dtype: np.dtype[Any], layout: Layout, length: int, low: str
) -> None:
    """Beside slices that hold none, or elements of nothing."""
    x = logits((70 if length < 1000 else 5, length), dtype).copy()
    x[::3] = ramps(len(x), length, dtype)[::3]
    x[1::4, ::2] = ramps(1, length, dtype)[:, ::2] if low == "ramp" else float(low)
    compute = calls(layout.of(x), layout.dim, WAYS["plain"])
    wanted = expecting(False, compute)
    assert expecting(True, compute).tobytes() == wanted.tobytes()


def test_what_is_expected_follows_what_was_found(dtype: np.dtype[Any], layout: Layout) -> None:
    if "whole" in layout.name or "repeated" in layout.name:
        return
    for length in (2, 10, 37, 65, 1000):
        ordinary = calls(layout.of(logits((70, length), dtype)), layout.dim, WAYS["plain"])
        sharp = calls(layout.of(slices(length, dtype)), layout.dim, WAYS["plain"])
        ordinary(), sharp()  # compiled
        clear_flags()
        ordinary()
        assert not flags() & UNDERFLOW, length
        sharp()
        assert flags() & UNDERFLOW, length
        sharp()
        assert flags() & UNDERFLOW, length
        ordinary()
        assert not flags() & UNDERFLOW, length


@pytest.mark.parametrize("length", LENGTHS)
def test_where_results_are_flushed_all_are(
    dtype: np.dtype[Any], layout: Layout, length: int
) -> None:
    """As by ``torch.set_flush_denormal(True)``: whatever else underflowed."""
    compute = calls(layout.of(slices(length, dtype)), layout.dim, WAYS["plain"])
    compute()  # compiled
    found = flushing(lambda: expecting(False, compute))
    assert not ((found > 0) & (found < np.finfo(dtype).tiny)).any()
    assert flushing(lambda: expecting(True, compute)).tobytes() == found.tobytes()


KILLED = """
import numpy as np
from processor import trapping
import fastsoftmax

x = np.array([0, -80], np.float32)
fastsoftmax.softmax(x, 0)
trapping(lambda: fastsoftmax.softmax(x, 0))
print("nothing underflows", flush=True)
trapping(lambda: np.float32(1e-30) * np.float32(1e-10))
print("it is no reason for a signal")
"""


def test_a_process_would_be_killed() -> None:
    """What the test above relies on."""
    process = processes.start(KILLED)
    out, _ = process.communicate(timeout=processes.PATIENCE)
    assert out == "nothing underflows\n"
    assert process.returncode == -signal.SIGFPE
