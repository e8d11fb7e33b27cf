"""Masks: of every shape that broadcasts, over every function, and what lies under them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import DTYPES, Layout, logits, read_only
from halves import HALVES
from reference import slices_of
from relatives import (
    BY_NAME,
    FEW_LAYOUTS,
    LOG_BACKWARD,
    LOGSUMEXP,
    RELATIVES,
    Relative,
    name_of,
    slices_of_several_sizes,
)

Array = np.ndarray[Any, Any]

NAN, INF = np.nan, np.inf
EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
OVER_LAYOUTS = pytest.mark.parametrize("layout", FEW_LAYOUTS, ids=name_of)


def mask(shape: Any, share: float = 0.6) -> Array:
    """A mask, always the same one for the same shape."""
    shown: Array = np.random.default_rng(list(np.ravel(shape))).random(shape) < share
    return shown


def assert_right(
    relative: Relative, inputs: tuple[Array, ...], dim: Any, where: Any, what: object = ""
) -> None:
    """Right where the mask is True, and nothing elsewhere."""
    got = relative.call(*inputs, dim, where=where)
    relative.assert_accurate(got, inputs, dim, what, where=where)
    if not relative.reduces:
        hidden = ~np.broadcast_to(where, got.shape)
        assert (got[hidden] == relative.hidden).all(), what


@EACH
@OVER_LAYOUTS
def test_a_mask_of_the_shape_of_the_input(relative: Relative, layout: Layout, dtype: Any) -> None:
    for length in (1, 2, 3, 10, 33, 64, 65, 100, 1000):
        slices = slices_of_several_sizes(length, dtype)
        inputs = relative.given(layout, slices)
        shown = layout.place(mask(slices.shape))
        assert_right(relative, inputs, layout.dim, shown, length)
        assert_right(relative, inputs, layout.dim, np.ascontiguousarray(shown), length)


@pytest.mark.parametrize("relative", RELATIVES[2:5], ids=name_of)
@pytest.mark.parametrize("name", ["rows", "dim 0"])
def test_masks_of_long_slices(relative: Relative, name: str) -> None:
    layout = BY_NAME[name]
    for length in (4097, 9000, 20_001):
        slices = slices_of_several_sizes(length, np.dtype(np.float32))
        shown = mask(slices.shape)
        shown[0, :4096] = False  # a whole block
        shown[1] = False
        inputs = relative.given(layout, slices)
        assert_right(relative, inputs, layout.dim, layout.place(shown), length)


@EACH
@pytest.mark.parametrize("dim", [0, 1, 2, (0, 1), (0, 2), (1, 2), None])
def test_masks_that_broadcast(relative: Relative, dim: Any) -> None:
    inputs = relative.given(BY_NAME["rows"], logits((70, 60), np.float32, 4.0))
    inputs = tuple(each.reshape(5, 14, 60) for each in inputs)
    for shape in [
        (5, 14, 60), (1, 14, 60), (5, 1, 60), (5, 14, 1), (14, 60), (14, 1), (1, 60), (60,),
        (5, 1, 1), (1, 1, 60), (1, 1, 1), (1,), (),
    ]:  # fmt: skip
        assert_right(relative, inputs, dim, mask(shape), shape)
        assert_right(relative, inputs, dim, np.broadcast_to(mask(shape), (5, 14, 60)), shape)
    for whole in (True, False, np.True_, np.False_, [True], [[False]]):
        assert_right(relative, inputs, dim, whole, whole)


@EACH
@pytest.mark.parametrize("kind", [*DTYPES, *HALVES], ids=str)
def test_a_mask_for_several_slices_is_one_for_each(relative: Relative, kind: Any) -> None:
    """Of short slices it is written out, as often as there are slices at a time."""
    for length in (2, 10, 37, 64):
        rows = relative.given_rows(logits((7 * 45, length), np.float64, 5.0))
        inputs = [each.astype(kind).reshape(7, 45, length) for each in rows]
        for shape in [(length,), (7, 1, length), (45, 1), (7, 1, 1), (45, length), (1, 1, 1)]:
            shown = mask(shape)
            wanted = relative.call(*inputs, 2, where=np.broadcast_to(shown, (7, 45, length)).copy())
            assert np.array_equal(relative.call(*inputs, 2, where=shown), wanted, equal_nan=True)
            part = [each[::2, 1:] for each in inputs]
            found = relative.call(*part, 2, where=np.broadcast_to(shown, (7, 45, length))[::2, 1:])
            assert np.array_equal(found, wanted[::2, 1:], equal_nan=True)


@EACH
def test_masks_of_any_strides(relative: Relative, dtype: Any) -> None:
    shape = 38, 70
    wide = mask((76, 210))
    masks = {
        "apart": wide[::2, ::3],
        "backwards": wide[37::-1, 69::-1],
        "Fortran": np.asfortranarray(wide[:38, :70]),
        "transposed": mask((70, 38)).T,
        "padded": wide[5:43, 7:77],
        "window": np.lib.stride_tricks.sliding_window_view(mask(107), 70),
        "read-only": read_only(wide[:38, :70]),
        "bytes": wide[:38, :70].view(np.int8).view(np.bool_),
    }
    for dim in (0, 1, None):
        inputs = relative.given(BY_NAME["rows"], logits(shape, dtype, 4.0))
        for name, shown in masks.items():
            assert shown.shape == shape
            got = relative.call(*inputs, dim, where=shown)
            wanted = relative.call(*inputs, dim, where=np.array(shown, order="C"))
            assert got.tobytes() == wanted.tobytes(), name
            assert_right(relative, inputs, dim, shown, name)


@EACH
@OVER_LAYOUTS
def test_fully_masked_slices(relative: Relative, layout: Layout, dtype: Any) -> None:
    for length in (1, 3, 40, 100):
        slices = slices_of_several_sizes(length, dtype)
        inputs = relative.given(layout, slices)
        shown = np.ones(slices.shape, bool)
        shown[::3] = False
        where = layout.place(shown)
        got = slices_of(relative.call(*inputs, layout.dim, where=where), layout.dim)
        if layout.dim is not None:
            assert (got[::3] == relative.hidden).all()
        assert_right(relative, inputs, layout.dim, where, length)
        nothing = relative.call(*inputs, layout.dim, where=False)
        assert (nothing == relative.hidden).all()


@EACH
@OVER_LAYOUTS
def test_whatever_lies_under_the_mask_is_ignored(
    relative: Relative, layout: Layout, dtype: Any
) -> None:
    for length in (2, 10, 64, 100):
        slices = logits((12, length), dtype, 3.0)
        shown = mask(slices.shape)
        shown[0] = False
        clean = relative.given(layout, slices)
        where = layout.place(shown)
        wanted = relative.call(*clean, layout.dim, where=where)
        assert np.isfinite(wanted).any()
        for value in (NAN, INF, -INF, np.finfo(dtype).max):
            dirty = [each.copy(order="K") for each in clean]
            for each in dirty:
                each[~where] = value
            got = relative.call(*dirty, layout.dim, where=where)
            assert got.tobytes() == wanted.tobytes(), (length, value)


@EACH
def test_nan_beside_the_mask_still_spoils_its_slice(relative: Relative, dtype: Any) -> None:
    for length in (3, 40, 100):
        inputs = [np.array(e) for e in relative.given(BY_NAME["rows"], logits((4, length), dtype))]
        shown = np.ones((4, length), bool)
        shown[:, 1] = False
        inputs[0][2, 0] = NAN
        got = relative.call(*inputs, 1, where=shown)
        rest = got[2] if relative.reduces else got[2, shown[2]]
        assert np.isnan(rest).all()
        assert not np.isnan(got[[0, 1, 3]]).any()


def test_minus_infinity_alone_beside_the_mask(dtype: Any) -> None:
    """All that is left is -inf: as a slice of nothing but -inf, not as an empty one."""
    x = np.full((4, 5), -INF, dtype)
    x[:, 3:] = 1
    shown = np.array([True, True, True, False, False])
    for relative in (RELATIVES[0], RELATIVES[2]):
        got = relative.call(x, 1, where=shown)
        assert np.isnan(got[:, :3]).all()
        assert (got[:, 3:] == relative.hidden).all()
    assert (LOGSUMEXP.call(x, 1, where=shown) == -INF).all()


@EACH
@OVER_LAYOUTS
def test_a_mask_of_true_gives_the_bits_of_no_mask(
    relative: Relative, layout: Layout, dtype: Any
) -> None:
    for length in (1, 2, 3, 31, 64, 65, 100, 1000):
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        wanted = relative.call(*inputs, layout.dim).tobytes()
        for where in (True, np.ones((1,) * inputs[0].ndim, bool), np.ones(inputs[0].shape, bool)):
            assert relative.call(*inputs, layout.dim, where=where).tobytes() == wanted, length


@EACH
def test_the_shown_elements_have_the_bits_they_have_in_any_layout(relative: Relative) -> None:
    slices = logits((38, 50), np.float32, 5.0)
    shown = mask(slices.shape)
    rows = relative.given(BY_NAME["rows"], slices)
    wanted = slices_of(relative.call(*rows, 1, where=shown), 1)
    for layout in FEW_LAYOUTS:
        if layout.dim is None:
            continue
        inputs = relative.given(layout, slices)
        got = relative.call(*inputs, layout.dim, where=layout.place(shown))
        assert slices_of(got, layout.dim).tobytes() == wanted.tobytes(), layout.name


@EACH
def test_out_may_overlap_the_mask(relative: Relative, dtype: Any) -> None:
    """The mask is read before its memory is written."""
    inputs = relative.given(BY_NAME["rows"], logits((38, 40), dtype, 3.0))
    for dim in (0, 1):
        shown = mask((38, 40))
        wanted = relative.call(*inputs, dim, where=shown)
        memory = np.zeros(wanted.nbytes + 2000, np.uint8)
        out = memory[: wanted.nbytes].view(dtype).reshape(wanted.shape)
        where = memory[: shown.size].view(bool).reshape(shown.shape)
        where[...] = shown
        assert relative.call(*inputs, dim, where=where, out=out) is out
        assert np.array_equal(out, wanted)


@EACH
def test_in_place_with_a_mask(relative: Relative, dtype: Any) -> None:
    if relative.reduces:
        return
    for shape in [(38, 10), (38, 100)]:
        inputs = relative.given(BY_NAME["rows"], logits(shape, dtype, 3.0))
        shown = mask(shape)
        for dim in (0, 1):
            wanted = relative.call(*inputs, dim, where=shown)
            for which in range(relative.inputs):
                own = [each.copy() for each in inputs]
                relative.call(*own, dim, where=shown, out=own[which])
                assert np.array_equal(own[which], wanted)


@EACH
def test_a_mask_with_a_mask_of_its_own_is_refused(relative: Relative) -> None:
    """Hidden or shown: nobody knows what is meant."""
    inputs = relative.given_rows(logits((2, 3), np.float32))
    shown = np.ma.array([True] * 3, mask=[False, True, False])
    with pytest.raises(ValueError, match="where is a masked array"):
        relative.call(*inputs, 1, where=shown)
    wanted = relative.call(*inputs, 1, where=shown.data)
    assert np.array_equal(relative.call(*inputs, 1, where=shown[[0, 2, 0]]), wanted)
    if relative.tempered:
        for bad in (np.ma.array([1.0], mask=[True]), np.ma.masked):
            with pytest.raises(ValueError, match="temperature is a masked array"):
                relative.call(*inputs, 1, temperature=bad)


@EACH
def test_masks_of_empty_inputs(relative: Relative) -> None:
    empty = np.zeros((0, 3), np.float32)
    for where in (True, np.ones((0, 3), bool), np.ones((1, 3), bool)):
        got = relative.call(*[empty] * relative.inputs, 1, where=where)
        assert got.size == 0


def test_the_gradient_of_a_masked_log_softmax(dtype: Any) -> None:
    """Forward and backward with the same mask fit: -inf outputs and their gradients are ignored."""
    x = logits((20, 30), dtype, 3.0)
    shown = mask(x.shape)
    output = RELATIVES[2].call(x, 1, where=shown)
    grad = np.where(shown, logits((30, 20), dtype).T, NAN).astype(dtype)
    got = LOG_BACKWARD.call(grad, output, 1, where=shown)
    assert (got[~shown] == 0).all()
    LOG_BACKWARD.assert_accurate(got, (grad, output), 1, "masked", where=shown)


@EACH
@pytest.mark.parametrize("kind", ["i2", "i8", "g"])
def test_masks_over_other_dtypes(relative: Relative, kind: str) -> None:
    x = np.round(4 * logits((8, 9), np.float64, 3.0)).astype(kind)
    shown = mask(x.shape)
    inputs = (x,) * relative.inputs
    got = relative.call(*inputs, 1, where=shown)
    with np.errstate(all="ignore"):
        exact = relative.exact(*inputs, 1, where=shown)
    assert np.allclose(got, exact.astype(got.dtype), rtol=1e-5, atol=1e-30)
