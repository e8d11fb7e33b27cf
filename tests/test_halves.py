"""float16 and bfloat16: computed wider, rounded once, in every function and layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import STORAGES, Layout, logits, read_only
from halves import BFLOAT16, CORRECTLY_ROUNDED, FLOAT16, HALVES, assert_nearly_all_rounded
from reference import EXTENDED, slices_of
from relatives import (
    BY_NAME,
    FEW_LAYOUTS,
    LOG_SOFTMAX,
    OF_LOGITS,
    RELATIVES,
    SOFTMAX,
    Relative,
    largest_term,
    name_of,
)

from fastsoftmax import log_softmax, logsumexp, softmax

Array = np.ndarray[Any, Any]

EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
HALF = pytest.mark.parametrize("half", HALVES, ids=name_of)
NAMES = ["rows", "dim 0", "dim in the middle", "every other element", "both backwards"]


def assert_right(
    relative: Relative, inputs: tuple[Array, ...], dim: Any, what: object, **more: Any
) -> tuple[int, int]:
    got = relative.call(*inputs, dim, **more)
    assert got.dtype == inputs[0].dtype
    wide = [each.astype(EXTENDED) for each in inputs]
    exact = relative.exact(*wide, dim, **more)
    terms = largest_term(relative, *wide, dim, **more) if relative.inputs == 2 else None
    if relative.reduces:
        top = wide[0].max() if dim is None else wide[0].max(axis=dim, keepdims=True)
        larger = np.maximum(np.abs(top), np.abs(exact - top))
        terms = np.where(np.abs(exact) < larger / 2, larger, exact)
    return assert_nearly_all_rounded(got, exact, what, terms)


@EACH
@HALF
@pytest.mark.parametrize("name", NAMES)
def test_results_are_rounded_correctly(relative: Relative, half: Any, name: str) -> None:
    layout = BY_NAME[name]
    counts = []
    for length in (1, 2, 3, 10, 33, 64, 65, 100, 1000):
        for scale in (1.0, 8.0):
            rows = logits((38 if length < 1000 else 8, length), half, scale)
            inputs = relative.given(layout, rows)
            counts.append(assert_right(relative, inputs, layout.dim, (length, scale)))
    wrong, total = np.sum(counts, axis=0)
    assert wrong <= max(1, (1 - CORRECTLY_ROUNDED) * total)


@pytest.mark.parametrize("relative", [SOFTMAX, LOG_SOFTMAX], ids=name_of)
@HALF
def test_every_layout(relative: Relative, half: Any, layout: Layout) -> None:
    for length in (10, 100):
        rows = logits((38, length), half, 3.0)
        x = layout.of(rows)
        assert_right(relative, (x,), layout.dim, length)


@pytest.mark.parametrize("name", ["rows", "dim 0"])
@HALF
def test_long_slices(half: Any, name: str) -> None:
    layout = BY_NAME[name]
    for length in (4097, 9000, 50_257):
        x = layout.of(logits((3, length), half, 3.0))
        assert_right(SOFTMAX, (x,), layout.dim, length)


@HALF
@pytest.mark.parametrize("count", [4, 8, 10, 17, 18, 34, 49, 82])
def test_long_slices_side_by_side(half: Any, count: int) -> None:
    """Tasks are counted outside of kernels and in them, for lines of 32 halves."""
    for batch in ((), (2,)):
        rows = logits((*batch, count, 4500), half, 3.0)
        x = np.ascontiguousarray(np.swapaxes(rows, -1, -2))
        wanted = softmax(rows, -1, workers=1)
        for _ in range(3):
            found = np.swapaxes(softmax(x, -2), -1, -2)
            assert found.tobytes() == wanted.tobytes()
        assert logsumexp(x, -2).tobytes() == logsumexp(rows, -1).tobytes()


@HALF
@pytest.mark.parametrize("relative", [SOFTMAX, LOG_SOFTMAX], ids=name_of)
def test_slices_of_one_element_over_the_whole_dtype(relative: Relative, half: Any) -> None:
    """As they stand, in steps, backwards, in place and masked."""
    x, usual = np.arange(1 << 16, dtype=np.uint16).view(half), int(relative is SOFTMAX)
    with np.errstate(invalid="ignore"):  # of NaN that signal
        finite = np.isfinite(x.astype(np.float64))
    wanted = np.where(finite, usual, np.nan)
    shown = np.arange(x.size) % 3 > 0
    masked = np.where(shown, wanted, 0 if usual else -np.inf)
    for given in (x, np.repeat(x, 2)[::2], x[::-1].copy()[::-1]):
        for _ in range(2):
            got = relative.call(read_only(given)[:, None], 1)
            assert got.dtype == half
            np.testing.assert_array_equal(got[:, 0].astype(np.float64), wanted)
            got = relative.call(given[None], 0, where=shown[None], out=given.copy()[None])
            np.testing.assert_array_equal(got[0].astype(np.float64), masked)
    in_place = x.copy()
    relative.call(in_place[:, None], 1, out=in_place[:, None])
    np.testing.assert_array_equal(in_place.astype(np.float64), wanted)


@HALF
@pytest.mark.parametrize("place", [0, 1])
def test_two_elements_over_the_whole_dtype(half: Any, place: int) -> None:
    """Slices [x, 0] with each of the 65536 numbers x."""
    pairs = np.zeros((2**16, 2), half)
    pairs[:, place] = np.arange(2**16, dtype=np.uint16).view(half)
    for x, dim in ((pairs, 1), (np.ascontiguousarray(pairs.T), 0)):
        with np.errstate(invalid="ignore"):  # signalling NaN
            wide = x.astype(EXTENDED)
        probabilities = softmax(x, dim, workers=1)
        assert_nearly_all_rounded(probabilities, SOFTMAX.exact(wide, dim), dim)
        logs = log_softmax(x, dim, workers=1)
        assert_nearly_all_rounded(logs, LOG_SOFTMAX.exact(wide, dim), dim)


@HALF
def test_subnormal_results_are_not_flushed(half: Any) -> None:
    lowest = {FLOAT16: (-17.5, -9.0), BFLOAT16: (-92.5, -86.0)}[half]
    for length in (3, 33, 100):
        for layout in FEW_LAYOUTS[:2]:
            rows = np.linspace(*lowest, 38 * length).reshape(38, length).astype(half)
            rows[:, 0] = 0
            x = layout.of(rows)
            got = softmax(x, layout.dim, workers=1)
            exact = SOFTMAX.exact(x.astype(EXTENDED), layout.dim)
            assert ((got > 0) & (got.astype(np.float64) < _tiny(half))).any()
            assert_nearly_all_rounded(got, exact, length)


def _tiny(half: Any) -> float:
    return 2.0**-14 if half == FLOAT16 else 2.0**-126


@HALF
def test_sums_beyond_the_range_of_the_dtype(half: Any) -> None:
    """Exponentials and their sums need more room than float16 has."""
    for length in (70_000, 200_000):
        x = np.zeros(length, half)
        got = softmax(x, 0, workers=1)
        assert_nearly_all_rounded(got, np.full(length, 1 / EXTENDED(length)), length)
    x = np.full((5, 100), 60_000, half)
    assert_right(SOFTMAX, (x,), 1, "large")
    assert_right(LOG_SOFTMAX, (x,), 1, "large")


@EACH
@HALF
def test_special_values(relative: Relative, half: Any) -> None:
    if relative.inputs == 2:
        return
    sign = -1 if relative.name == "softmin" else 1
    nan, inf = np.nan, np.inf
    rows = [[nan, 0, 1], [inf, 0, 1], [-inf, 0, 1], [-inf, -inf, -inf], [0, 0, 0]]
    x = sign * np.array(rows)
    wide = relative.call(x, 1)
    got = relative.call(x.astype(half), 1).astype(np.float64)
    assert np.array_equal(np.isnan(got), np.isnan(wide))
    assert np.array_equal(got[np.isinf(wide)], wide[np.isinf(wide)])


# --- Bits ------------------------------------------------------------------------------


@EACH
@HALF
def test_the_same_bits_in_every_layout(relative: Relative, half: Any) -> None:
    for length in (3, 33, 64, 65, 100):
        rows = logits((38, length), half, 4.0)
        wanted = slices_of_halves(relative, BY_NAME["rows"], rows)
        for name in NAMES[1:]:
            assert slices_of_halves(relative, BY_NAME[name], rows) == wanted, (name, length)


def slices_of_halves(relative: Relative, layout: Layout, rows: Array) -> bytes:
    got = relative.call(*relative.given(layout, rows), layout.dim)
    return slices_of(got, layout.dim).tobytes()


@HALF
def test_threads_and_out(half: Any) -> None:
    for shape, dim in (((60_000, 20), 1), ((2000, 300), 1), ((300, 2000), 0)):
        x = read_only(np.resize(logits((97, 101), half, 3.0), shape))
        wanted = softmax(x, dim, workers=1).tobytes()
        assert softmax(x, dim).tobytes() == wanted
        own = x.copy()
        assert softmax(own, dim, out=own) is own
        assert own.tobytes() == wanted


@EACH
@HALF
def test_in_place_overlapping_and_stored_in_any_way(relative: Relative, half: Any) -> None:
    if relative.inputs == 2 or relative.reduces:
        return
    x = logits((38, 40), half, 3.0)
    for dim in (0, 1):
        wanted = relative.call(x, dim)
        memory = np.zeros(x.size + 7, half)
        own, out = memory[7:].reshape(x.shape), memory[:-7].reshape(x.shape)
        own[...] = x
        assert relative.call(own, dim, out=out) is out
        assert out.tobytes() == wanted.tobytes()
        for name, store in STORAGES.items():
            if half == BFLOAT16 and name == "big-endian":
                continue  # there is no such dtype
            assert relative.call(store(x), dim).tobytes() == wanted.tobytes()


# --- Other dtypes ----------------------------------------------------------------------


@pytest.mark.parametrize("relative", OF_LOGITS, ids=name_of)
@HALF
@pytest.mark.parametrize("wanted", [np.float32, np.float64, np.float16, BFLOAT16, np.longdouble])
def test_dtype_means_cast_first(relative: Relative, half: Any, wanted: Any) -> None:
    for shape in [(20, 10), (20, 100)]:
        x = logits(shape, half, 4.0)
        for dim in (0, 1):
            got = relative.call(x, dim, wanted)
            assert got.dtype == wanted
            with np.errstate(all="ignore"):
                assert np.array_equal(got, relative.call(x.astype(wanted), dim))


@pytest.mark.parametrize("relative", OF_LOGITS, ids=name_of)
@HALF
@pytest.mark.parametrize("given", ["?", "i1", "u2", "i4", "i8", "u8", "f4", "f8", ">f4", "g"])
def test_other_inputs_are_rounded_to_a_half_first(
    relative: Relative, half: Any, given: str
) -> None:
    x = np.asarray(logits((20, 10), np.float64, 30.0) + 50).astype(given)
    for dim in (0, 1):
        got = relative.call(x, dim, half)
        assert got.dtype == half
        with np.errstate(over="ignore"):
            cast = x.astype(half)
        assert got.tobytes() == relative.call(cast, dim).tobytes()


@pytest.mark.parametrize("relative", OF_LOGITS, ids=name_of)
@HALF
def test_out_in_another_dtype(relative: Relative, half: Any) -> None:
    x = logits((20, 10), half, 4.0)
    for dim in (0, 1):
        result = relative.call(x, dim)
        for kind in (np.float16, np.float32, np.float64, np.longdouble, np.complex64):
            if half == BFLOAT16 and not np.can_cast(half, kind, "same_kind"):
                continue
            out = np.zeros(result.shape, kind)
            assert relative.call(x, dim, out=out) is out
            assert np.array_equal(out, result.astype(kind))
    for kind in (np.float32, np.float64):
        wide = x.astype(kind)
        if np.can_cast(kind, half, "same_kind"):
            out = np.zeros(relative.call(wide, 1).shape, half)
            relative.call(wide, 1, out=out)
            assert np.array_equal(out, relative.call(wide, 1).astype(half))


@HALF
def test_masks_and_temperatures(half: Any) -> None:
    for length in (10, 100):
        x = logits((38, length), half, 4.0)
        shown = np.random.default_rng(length).random(x.shape) < 0.6
        shown[3] = False
        each = np.linspace(0.2, 3, 38)[:, np.newaxis]
        for name in ("rows", "dim 0"):
            layout = BY_NAME[name]
            placed, hidden = layout.of(x), layout.of(shown)
            assert_right(SOFTMAX, (placed,), layout.dim, length, where=hidden)
            heat = each if name == "rows" else each.T
            assert_right(SOFTMAX, (placed,), layout.dim, length, temperature=heat)


@EACH
@HALF
def test_one_temperature_for_all(relative: Relative, half: Any) -> None:
    if not relative.tempered:
        return
    for length in (10, 100):
        inputs = relative.given_rows(logits((38, length), half, 4.0))
        for temperature in (2.0, 0.5, 3, np.float32(7)):
            for _ in range(2):
                assert_right(relative, inputs, 1, length, temperature=temperature)
            alike = np.full((38, 1), float(temperature))
            got = relative.call(*inputs, 1, temperature=temperature)
            assert np.array_equal(got, relative.call(*inputs, 1, temperature=alike))


@HALF
def test_empty_and_scalar(half: Any) -> None:
    assert softmax(np.zeros((0, 3), half), 1).dtype == half
    assert softmax(np.zeros((), half), 0).dtype == half
    assert logsumexp(np.zeros((2, 0), half), 1).tolist() == [-np.inf, -np.inf]
    assert logsumexp(np.zeros(1, half), 0).dtype == half


def test_bfloat16_is_not_imported_for_others() -> None:
    import processes

    said = processes.run("""
        import sys
        import numpy as np
        import fastsoftmax
        fastsoftmax.softmax(np.zeros(3, np.float16), 0)
        print("ml_dtypes" in sys.modules)
    """)
    assert said.split() == ["False"]
