"""np.ma's masked arrays: the mask is the `where`, and the result is masked alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import logits
from relatives import OF_LOGITS, RELATIVES, Relative, name_of

from fastsoftmax import cross_entropy, log_softmax, logsumexp, softmax, top_k

EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
OF_ONE = pytest.mark.parametrize("relative", OF_LOGITS, ids=name_of)
HIDDEN = np.random.default_rng(11).random((20, 30)) < 0.4
HIDDEN[3] = True
HIDDEN[:, 5] = True


def masked_inputs(relative: Relative, dtype: Any, hidden: Any = HIDDEN) -> tuple[Any, ...]:
    """Inputs with NaN under their mask, and the same without."""
    plain = relative.given_rows(logits((20, 30), dtype, 3.0))
    dirty = [np.where(HIDDEN, np.nan, each).astype(dtype) for each in plain]
    return tuple(np.ma.MaskedArray(each, mask=hidden) for each in dirty), plain


@EACH
def test_the_mask_is_the_where(relative: Relative, dtype: Any) -> None:
    for dim in (0, 1, None):
        masked, plain = masked_inputs(relative, dtype)
        got = relative.call(*masked, dim)
        wanted = relative.call(*plain, dim, where=~HIDDEN)
        assert isinstance(got, np.ma.MaskedArray)
        assert got.dtype == dtype
        hidden = np.all(HIDDEN, axis=dim, keepdims=True) if relative.reduces else HIDDEN
        assert np.array_equal(np.ma.getmaskarray(got), hidden)
        shown = np.broadcast_to(~hidden, wanted.shape)
        assert np.array_equal(np.ma.getdata(got)[shown], wanted[shown])


@pytest.mark.parametrize("relative", RELATIVES[4:], ids=name_of)
@pytest.mark.parametrize("which", [0, 1])
def test_one_of_two_inputs_may_be_masked(relative: Relative, dtype: Any, which: int) -> None:
    masked, plain = masked_inputs(relative, dtype)
    inputs = [masked[i] if i == which else plain[i] for i in range(2)]
    got = relative.call(*inputs, 1)
    assert isinstance(got, np.ma.MaskedArray)
    assert np.array_equal(np.ma.getmaskarray(got), HIDDEN)
    wanted = relative.call(*plain, 1, where=~HIDDEN)
    assert np.array_equal(np.ma.getdata(got)[~HIDDEN], wanted[~HIDDEN])


@EACH
def test_a_masked_array_without_a_mask(relative: Relative, dtype: Any) -> None:
    plain = relative.given_rows(logits((20, 30), dtype, 3.0))
    got = relative.call(*(np.ma.MaskedArray(each) for each in plain), 1)
    assert isinstance(got, np.ma.MaskedArray)
    assert not np.ma.getmaskarray(got).any()
    assert np.array_equal(np.ma.getdata(got), relative.call(*plain, 1))


@EACH
def test_mask_and_where_together(relative: Relative, dtype: Any) -> None:
    shown = np.random.default_rng(12).random((20, 30)) < 0.7
    masked, plain = masked_inputs(relative, dtype)
    got = np.ma.getdata(relative.call(*masked, 1, where=shown))
    wanted = relative.call(*plain, 1, where=shown & ~HIDDEN)
    if relative.reduces:
        assert np.array_equal(got[~HIDDEN.all(axis=1)], wanted[~HIDDEN.all(axis=1)])
    else:
        assert np.array_equal(got[~HIDDEN], wanted[~HIDDEN])
    narrow = relative.call(*masked, 1, where=shown[:1])
    wanted = relative.call(*plain, 1, where=shown[:1] & ~HIDDEN)
    keep = ~HIDDEN.all(axis=1) if relative.reduces else ~HIDDEN
    assert np.array_equal(np.ma.getdata(narrow)[keep], wanted[keep])


@OF_ONE
@pytest.mark.parametrize("kind", ["?", "i1", "i8", "f2", "g"])
def test_other_dtypes(relative: Relative, kind: str) -> None:
    x = np.round(logits((20, 30), np.float64, 4.0)).astype(kind)
    got = relative.call(np.ma.MaskedArray(x, mask=HIDDEN), 1)
    wanted = relative.call(x, 1, where=~HIDDEN)
    assert got.dtype == wanted.dtype
    keep = ~HIDDEN.all(axis=1) if relative.reduces else ~HIDDEN
    assert np.array_equal(np.ma.getdata(got)[keep], wanted[keep])


@EACH
def test_the_input_stays_as_it_was(relative: Relative, dtype: Any) -> None:
    masked, _ = masked_inputs(relative, dtype)
    before = [(each.data.tobytes(), each.mask.tobytes()) for each in masked]
    got = relative.call(*masked, 1)
    got[...] = 0
    got.mask = np.ma.nomask
    assert [(each.data.tobytes(), each.mask.tobytes()) for each in masked] == before


@OF_ONE
def test_out_gets_the_result(relative: Relative, dtype: Any) -> None:
    masked, plain = masked_inputs(relative, dtype)
    wanted = relative.call(*plain, 1, where=~HIDDEN)
    out = np.zeros_like(wanted)
    got = relative.call(*masked, 1, out=out)
    assert np.array_equal(out, wanted)
    assert np.shares_memory(np.ma.getdata(got), out)


@OF_ONE
def test_empty_masked_arrays_and_scalars(relative: Relative) -> None:
    empty = relative.call(np.ma.MaskedArray(np.zeros((0, 3)), mask=np.zeros((0, 3), bool)), 1)
    assert isinstance(empty, np.ma.MaskedArray)
    one = relative.call(np.ma.MaskedArray(2.0, mask=True), None)
    assert np.ma.getmaskarray(one).all()


def test_fully_masked_slices_stay_masked(dtype: Any) -> None:
    x = np.ma.masked_all((2, 3), dtype)
    assert softmax(x, 1).mask.all()
    assert log_softmax(x, 1).mask.all()
    assert np.ma.getmaskarray(logsumexp(x, 1)).all()
    assert np.ma.getmaskarray(logsumexp(x, None)).all()


def test_log_sum_exp_beside_the_probabilities(dtype: Any) -> None:
    (x,), _ = masked_inputs(OF_LOGITS[0], dtype)
    probabilities, lse = softmax(x, 1, return_lse=True)
    assert np.array_equal(np.ma.getmaskarray(probabilities), HIDDEN)
    wanted = logsumexp(x, 1)
    assert isinstance(lse, np.ma.MaskedArray)
    assert np.array_equal(np.ma.getmaskarray(lse), np.ma.getmaskarray(wanted))
    assert np.array_equal(lse.compressed(), wanted.compressed())


@pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
def test_a_masked_out_is_masked_as_the_inputs_are(relative: Relative, dtype: Any) -> None:
    """Whatever it was masked as before: as NumPy's functions leave theirs."""
    inputs, plain = masked_inputs(relative, dtype)
    for given, fresh in ((inputs, relative.call(*inputs, 1)), (plain, relative.call(*plain, 1))):
        stale = np.random.default_rng(2).random(fresh.shape) < 0.5
        out = np.ma.MaskedArray(np.zeros(fresh.shape, dtype), mask=stale)
        result = relative.call(*given, 1, out=out)
        for found in (result, out):
            assert np.array_equal(np.ma.getmaskarray(found), np.ma.getmaskarray(fresh))
            assert np.array_equal(np.ma.getdata(found), np.ma.getdata(fresh), equal_nan=True)


def test_the_largest_of_what_is_not_masked(dtype: Any) -> None:
    (x,), (plain,) = masked_inputs(OF_LOGITS[0], dtype)
    got, places = top_k(x, 3, 1)
    wanted, right = top_k(plain, 3, 1, where=~HIDDEN)
    keep = ~HIDDEN.all(axis=1)
    assert np.array_equal(np.ma.getdata(got)[keep], wanted[keep])
    assert np.array_equal(np.ma.getdata(places)[keep], right[keep])


def test_classes_that_are_masked_have_no_probability(dtype: Any) -> None:
    (x,), (plain,) = masked_inputs(OF_LOGITS[0], dtype)
    rows = ~HIDDEN.all(axis=1)
    target = (~HIDDEN).argmax(axis=1)
    got = np.ma.getdata(cross_entropy(x, target, reduction="none"))[rows]
    logs = log_softmax(plain, 1, np.float64, where=~HIDDEN)
    wanted = -np.take_along_axis(logs, target[:, np.newaxis], axis=1)[rows, 0]
    assert np.allclose(got, wanted, rtol=4 * np.finfo(dtype).eps, atol=0)
    hidden_class = np.full(20, 5)  # hidden in all slices
    got = np.ma.getdata(cross_entropy(x, hidden_class, reduction="none"))[rows]
    assert (got == np.inf).all()


def test_masked_targets_do_not_count() -> None:
    x = np.array([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2], [0.5, 0.5, 0.0]])
    for dtype in (np.int64, np.uint8):
        target = np.ma.MaskedArray(np.array([0, 1, 99], dtype), mask=[False, False, True])
        assert cross_entropy(x, target) == cross_entropy(x[:2], [0, 1])
