"""The cross entropy of logits: against its definition, and against torch where it is there."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import numpy as np
import pytest
from arrays import logits
from losses import REDUCTIONS, SHAPES, assert_close, exact, targets
from recalls import forget
from reference import EXTENDED

import fastsoftmax
from fastsoftmax import cross_entropy

Array = np.ndarray[Any, Any]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_against_the_definition(dtype: Any, shape: Any, dim: int, reduction: str) -> None:
    x = logits(shape, dtype, 4.0)
    target = targets(x, dim)
    weight = np.random.default_rng(1).uniform(0.1, 2, shape[dim])
    for w, smoothing, ignored in itertools.product(
        (None, weight), (0.0, 0.1, 1.0), (-100, int(target.flat[0]))
    ):
        if target.size == 1 and ignored >= 0:
            continue
        more: Any = {
            "weight": w,
            "ignore_index": ignored,
            "label_smoothing": smoothing,
            "reduction": reduction,
        }
        got = cross_entropy(x, target, dim, workers=1, **more)
        assert_close(got, exact(x, target, dim, **more), dtype)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_probabilities_as_targets(dtype: Any, shape: Any, dim: int, reduction: str) -> None:
    x = logits(shape, dtype, 4.0)
    target = np.abs(logits((*shape, 1), np.float64)[..., 0]).astype(dtype)
    target = (target / target.sum(axis=dim, keepdims=True)).astype(dtype)
    weight = np.random.default_rng(1).uniform(0.1, 2, shape[dim])
    for w, smoothing in itertools.product((None, weight), (0.0, 0.1, 1.0)):
        more: Any = {"weight": w, "label_smoothing": smoothing, "reduction": reduction}
        got = cross_entropy(x, target, dim, workers=1, **more)
        wanted = exact(x, target, dim, **more)
        if reduction == "mean":  # torch's: by the number of slices, whatever the weights
            wanted = exact(x, target, dim, **{**more, "reduction": "sum"}) / targets(x, dim).size
        # The log-probabilities are rounded to the dtype here.
        eps = 4 * float(np.finfo(dtype).eps)
        assert np.allclose(np.asarray(got, EXTENDED), wanted, rtol=eps + 1e-14, atol=0)
        assert np.asarray(got).dtype == dtype


@pytest.mark.peers
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_against_torch(dtype: Any, reduction: str) -> None:
    pytest.importorskip("torch")
    torch = importlib.import_module("torch")
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    for shape in [(7,), (20, 10), (3, 6, 4, 5), (8, 300)]:
        dim = 0 if len(shape) == 1 else 1
        x = logits(shape, dtype, 4.0)
        target = np.asarray(targets(x, dim))
        weight = np.random.default_rng(1).uniform(0.1, 2, shape[dim]).astype(dtype)
        soft = fastsoftmax.softmax(logits((*shape, 1), dtype)[..., 0], dim)
        cases = itertools.product(
            (target, soft), (None, weight), (0.0, 0.1, 1.0), (-100, int(target.flat[0]))
        )
        for y, w, smoothing, ignored in cases:
            if y is soft and ignored >= 0:
                continue  # torch has no such thing
            wanted = torch.nn.functional.cross_entropy(
                torch.from_numpy(x.copy()),
                torch.from_numpy(np.array(y)),
                weight=None if w is None else torch.from_numpy(w),
                ignore_index=ignored,
                label_smoothing=smoothing,
                reduction=reduction,
            ).numpy()
            got = cross_entropy(
                x, y, dim, weight=w, ignore_index=ignored, label_smoothing=smoothing,
                reduction=reduction,
            )  # fmt: skip
            assert np.allclose(got, wanted, rtol=rtol, equal_nan=True)
            assert np.shape(got) == wanted.shape


def test_the_worked_example() -> None:
    got = cross_entropy([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], [0, 1])
    # -(log 0.6590 + log 0.8360) / 2, by hand from the example of softmax.
    assert round(float(got), 3) == round(-(np.log(0.6590) + np.log(0.8360)) / 2, 3)
    assert isinstance(got, np.float64)


def test_a_loss_near_0_is_not_lost(dtype: Any) -> None:
    x = np.array([[0.0, -40.0], [-40.0, 0.0]], dtype)
    got = cross_entropy(x, [0, 1], reduction="none")
    assert np.allclose(got, np.exp(np.longdouble(-40)), rtol=2 * np.finfo(dtype).eps, atol=0)


def test_slices_that_are_ignored_may_hold_anything(dtype: Any) -> None:
    x = logits((4, 5), dtype).copy()
    wanted = cross_entropy(x[[0, 2]], [1, 2])
    x[1], x[3] = np.nan, np.inf
    for smoothing in (0.0, 0.2):
        wanted = cross_entropy(x[[0, 2]], [1, 2], label_smoothing=smoothing)
        assert cross_entropy(x, [1, -100, 2, -100], label_smoothing=smoothing) == wanted
        assert cross_entropy(x, [1, 9, 2, 9], ignore_index=9, label_smoothing=smoothing) == wanted


def test_nothing_but_ignored_targets(dtype: Any) -> None:
    x = logits((3, 4), dtype)
    target = [-100, -100, -100]
    assert np.isnan(cross_entropy(x, target))
    assert cross_entropy(x, target, reduction="sum") == 0
    assert cross_entropy(x, target, reduction="none").tolist() == [0, 0, 0]
    assert np.isnan(cross_entropy(x, [0, 0, 0], weight=np.zeros(4)))


def test_no_slices_at_all(dtype: Any) -> None:
    x = np.zeros((0, 4), dtype)
    target = np.zeros(0, int)
    assert np.isnan(cross_entropy(x, target))
    assert cross_entropy(x, target, reduction="sum") == 0
    assert cross_entropy(x, target, reduction="none").shape == (0,)
    assert cross_entropy(x, [], reduction="none").shape == (0,)


def test_nan_and_infinities(dtype: Any) -> None:
    inf = np.inf
    x = np.array([[0, np.nan], [0, inf], [-inf, 0], [-inf, 0], [-inf, -inf]], dtype)
    got = cross_entropy(x, [0, 1, 0, 1, 0], reduction="none")
    assert np.isnan(got[[0, 1, 4]]).all()
    assert got[2] == inf
    assert got[3] == 0


@pytest.mark.parametrize("kind", ["i1", "u1", "i4", "u4", "i8", "u8", ">i4"])
def test_targets_of_any_integer_dtype(kind: str) -> None:
    x = logits((6, 5), np.float32)
    target = np.array([0, 1, 2, 3, 4, 0])
    assert cross_entropy(x, target.astype(kind)) == cross_entropy(x, target)


@pytest.mark.parametrize("kind", ["f2", "g", "i2", "i8", ">f4"])
def test_logits_of_other_dtypes(kind: str) -> None:
    x = np.round(logits((6, 5), np.float64, 4.0)).astype(kind)
    target = [0, 1, 2, 3, 4, 0]
    got = cross_entropy(x, target, reduction="none")
    assert got.dtype == fastsoftmax.softmax(x, 1).dtype
    wanted = exact(x.astype(EXTENDED), np.array(target), 1, reduction="none")
    assert np.allclose(got.astype(EXTENDED), wanted, rtol=float(np.finfo(got.dtype).eps))


def test_64_bit_integers_are_told_apart() -> None:
    top = 2**63 - 1
    got = cross_entropy(np.array([[top, top - 2], [top - 1, top]]), [1, 0], reduction="none")
    assert np.allclose(got, cross_entropy([[0.0, -2.0], [-1.0, 0.0]], [1, 0], reduction="none"))


@pytest.mark.parametrize("order", ["C", "F"])
def test_strides(dtype: Any, order: Any) -> None:
    x = logits((3, 6, 40), dtype, 3.0)
    for dim in (0, 1, 2, -1):
        target = targets(x, dim)
        wanted = cross_entropy(x, target, dim, reduction="none")
        for given in (np.asarray(x, order=order), x[::-1, ::-1].copy()[::-1, ::-1]):
            for y in (target, np.asfortranarray(target)):
                assert np.array_equal(cross_entropy(given, y, dim, reduction="none"), wanted)


@pytest.mark.parametrize("classes", [6, 8, 64, 1000])
def test_smoothed_losses_have_the_same_bits_in_every_layout(dtype: Any, classes: int) -> None:
    x = logits((30, classes), dtype, 3.0)
    y = targets(x, 1)
    more: Any = {"label_smoothing": 0.3, "reduction": "none"}
    wanted = cross_entropy(x, y, **more)
    wide = np.repeat(x, 2, axis=1)[:, ::2]
    for given in (np.asfortranarray(x), wide, x[::-1].copy()[::-1]):
        assert np.array_equal(cross_entropy(given, y, **more), wanted)
    assert np.array_equal(cross_entropy(x.T, y, 0, **more), wanted)
    assert np.array_equal(cross_entropy(x.T.copy(), y, 0, **more), wanted)
    cube = np.ascontiguousarray(x.reshape(5, 6, classes).transpose(0, 2, 1))
    assert np.array_equal(cross_entropy(cube, y.reshape(5, 6), 1, **more).ravel(), wanted)
    alone = [cross_entropy(row, int(target), 0, **more) for row, target in zip(x, y, strict=True)]
    assert np.array_equal(alone, wanted)


# --- Refusals ---------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [-1, 5, 100, -101, 2**40])
def test_a_target_out_of_range_is_refused(wrong: int) -> None:
    x = logits((4, 5), np.float32)
    with pytest.raises(ValueError, match=rf"target .*{wrong}.*0 to 4"):
        cross_entropy(x, [0, 1, wrong, 2])


def test_targets_are_checked_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsoftmax import _launch

    def computed(*_: Any, **__: Any) -> None:
        raise AssertionError("something was computed")

    forget()  # calls that were recorded are computed without asking anybody
    monkeypatch.setattr(_launch, "ready", computed)
    with pytest.raises(ValueError, match="target"):
        cross_entropy(logits((4, 5), np.float32), [0, 1, 5, 2])
    with pytest.raises(AssertionError, match="computed"):
        cross_entropy(logits((4, 5), np.float32), [0, 1, 4, 2])


@pytest.mark.parametrize("shape", [(2, 10, 3, 4), (3, 10, 2), (2, 10, 300), (10,), (4, 3, 10)])
def test_label_smoothing_of_several_batch_dims(shape: Any, dtype: Any) -> None:
    """The longest of them taken at once, wherever it is."""
    dim = shape.index(10)
    x = logits(shape, dtype, 3.0)
    y = targets(x, dim)
    others = [i for i in range(len(shape)) if i != dim]
    wanted = exact(x, y, dim, label_smoothing=0.3, reduction="none")
    for order in itertools.permutations(range(len(shape))):
        of_batch = [others.index(i) for i in order if i != dim]
        moved, classes = x.transpose(order).copy(), y.transpose(of_batch)
        got = cross_entropy(moved, classes, order.index(dim), label_smoothing=0.3, reduction="none")
        assert_close(np.asarray(got).transpose(np.argsort(of_batch)), wanted, dtype)


def test_signalling_numbers_make_no_warning() -> None:
    signalling = np.full(5, 0x7FA00000, np.uint32).view(np.float32)
    x = np.zeros((1, 5), np.float32)
    assert np.isnan(cross_entropy(x, signalling[np.newaxis]))
    assert np.isnan(cross_entropy(x, [0], weight=signalling))
    with pytest.raises(ValueError, match="temperature is nan"):
        fastsoftmax.softmax(x, 1, temperature=signalling[:1])


@pytest.mark.parametrize(
    ("changes", "error", "word"),
    [
        ({"target": [0, 1]}, ValueError, "target"),
        ({"target": [[0, 1, 2, 3]]}, ValueError, "target"),
        ({"target": np.zeros((4, 4))}, ValueError, "target"),
        ({"target": np.zeros(4)}, ValueError, "target"),
        ({"target": [True] * 4}, TypeError, "target"),
        ({"target": ["a"] * 4}, TypeError, "target"),
        ({"target": [None] * 4}, TypeError, "target"),
        ({"target": np.zeros(4, complex)}, TypeError, "target"),
        ({"weight": [1.0] * 4}, ValueError, "weight"),
        ({"weight": 1.0}, ValueError, "weight"),
        ({"weight": ["a"] * 5}, TypeError, "weight"),
        ({"weight": [1.0 + 0j] * 5}, TypeError, "weight has the dtype complex128"),
        ({"weight": np.ma.masked_equal([1.0, 2, 3, 4, 5], 3)}, ValueError, "weight is a masked"),
        (
            {"target": np.ma.masked_greater(np.eye(4, 5), 0.5)},
            ValueError,
            "target is a masked array",
        ),
        ({"label_smoothing": -0.1}, ValueError, "label_smoothing"),
        ({"label_smoothing": 1.5}, ValueError, "label_smoothing"),
        ({"label_smoothing": np.nan}, ValueError, "label_smoothing"),
        ({"label_smoothing": "1"}, TypeError, "label_smoothing"),
        ({"label_smoothing": None}, TypeError, "label_smoothing"),
        ({"ignore_index": "1"}, TypeError, "ignore_index"),
        ({"ignore_index": None}, TypeError, "ignore_index"),
        ({"ignore_index": True}, TypeError, "ignore_index"),
        ({"ignore_index": 1.5}, TypeError, "ignore_index"),
        ({"reduction": "median"}, ValueError, "reduction"),
        ({"reduction": None}, ValueError, "reduction"),
        ({"reduction": ["mean"]}, ValueError, "reduction"),
        ({"input": np.zeros((4, 5), complex)}, TypeError, "input"),
        ({"input": [["a"]]}, TypeError, "input"),
        ({"dim": 2}, np.exceptions.AxisError, "got 2"),
        ({"dim": (0, 1)}, TypeError, "dim"),
        ({"dim": None}, TypeError, "dim"),
        ({"dim": 1.0}, TypeError, "dim"),
        ({"dim": True}, TypeError, "dim"),
        ({"workers": 0}, ValueError, "workers"),
    ],
    ids=str,
)
def test_refusals_name_the_argument(changes: Any, error: type[Exception], word: str) -> None:
    arguments = {"input": np.zeros((4, 5)), "target": [0, 1, 2, 3], **changes}
    with pytest.raises(error, match=word):
        cross_entropy(**arguments)
