"""A call that was made before may take a shorter way: to the same bits, whatever else differs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from arrays import STORAGES, Layout, logits, read_only
from relatives import RELATIVES, Relative, name_of, slices_of_several_sizes

from fastsoftmax import _shortcuts, logsumexp

Array = np.ndarray[Any, Any]


pytestmark = pytest.mark.usefixtures("_ways_of_later_calls")
EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
SHAPES = [(38, 10), (38, 100), (100, 38)]


@EACH
def test_the_second_call_is_as_the_first(relative: Relative, dtype: Any, layout: Layout) -> None:
    for length in (2, 10, 100):
        inputs = relative.given(layout, slices_of_several_sizes(length, dtype))
        first = relative.call(*inputs, layout.dim)
        second = relative.call(*inputs, layout.dim)
        assert np.array_equal(first, second)
        assert first.strides == second.strides
        relative.assert_accurate(second, inputs, layout.dim, length)


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_the_second_input_may_be_stored_in_another_way(
    relative: Relative, dtype: Any, shape: Any
) -> None:
    for dim in (0, 1):
        inputs = relative.given_rows(logits(shape, dtype, 3.0))
        wanted = relative.call(*inputs, dim)
        for store in STORAGES.values():
            stored = [read_only(store(each)) for each in inputs]
            for _ in range(2):
                assert np.array_equal(relative.call(*stored, dim), wanted)
                assert np.array_equal(relative.call(*inputs, dim), wanted)


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_the_second_out_may_be_stored_in_another_way(
    relative: Relative, dtype: Any, shape: Any
) -> None:
    for dim in (0, 1):
        inputs = relative.given_rows(logits(shape, dtype, 3.0))
        wanted = relative.call(*inputs, dim)
        outs = [
            np.zeros_like(wanted),
            *(store(np.zeros_like(wanted)) for store in STORAGES.values()),
        ]
        for out in outs * 2:
            out[...] = 7
            assert relative.call(*inputs, dim, out=out) is out
            assert np.array_equal(out, wanted)


@pytest.mark.parametrize("kinds", [*itertools.product(["f2", "f4", "f8", "i2", "i8"], repeat=2)])
def test_gradients_of_several_dtypes_are_cast_as_ever(kinds: Any) -> None:
    for relative in (each for each in RELATIVES if each.inputs == 2):
        rows = relative.given_rows(logits((38, 10), np.float32, 3.0))
        inputs = [each.astype(kind) for each, kind in zip(rows, kinds, strict=True)]
        for given in (inputs, [each[::-1].T.copy().T for each in inputs]):
            first = relative.call(*given, 1)
            out = np.zeros_like(first)
            for _ in range(3):
                second = relative.call(*given, 1)
                assert np.array_equal(first, second)
                assert (first.dtype, first.strides) == (second.dtype, second.strides)
                assert np.array_equal(relative.call(*given, 1, out=out), first)


@EACH
def test_a_second_call_that_is_wrong_is_refused(relative: Relative, dtype: Any) -> None:
    inputs = relative.given_rows(logits((4, 5), dtype, 3.0))
    wanted = relative.call(*inputs, 1)
    out = np.zeros_like(wanted)
    for _ in range(3):
        relative.call(*inputs, 1, out=out)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        relative.call(*inputs, 1, out=out)
    relative.call(*inputs, (1,))
    for bad in (True, np.bool_(True), 1.0, "1", 2, -3, (True,), (1.0,), (np.bool_(True),)):
        with pytest.raises((TypeError, ValueError)):
            relative.call(*inputs, bad)
    if relative.inputs == 2:
        for fewer in ((3, 5), (1, 5), (4, 4), (5,)):
            with pytest.raises(ValueError, match="grad_output has the shape"):
                relative.call(np.ones(fewer, dtype), inputs[1], 1)
    for workers in (True, 1.0, 0):
        with pytest.raises(ValueError, match="workers"):
            relative.call(*inputs, 1, workers=workers)


@EACH
@pytest.mark.parametrize("shape", [(38, 10), (38, 100), (3, 1000), (4096, 1031)])
def test_the_second_call_may_be_of_memory_that_is_not_aligned(
    relative: Relative, shape: Any
) -> None:
    """Of a size that goes past the caches, too, where stores want whole lines."""
    inputs = relative.given_rows(logits(shape, np.float32, 3.0))
    wanted = relative.call(*inputs, 1)
    out = np.zeros_like(wanted)
    for workers in (1, None):
        relative.call(*inputs, 1, out=out, workers=workers)
        relative.call(*inputs, 1, workers=workers)
        shifted = [shifted_by_a_byte(each) for each in (*inputs, out)]
        for given in ([*inputs, shifted[-1]], [*shifted[:-1], out], shifted):
            given[-1][...] = 7
            relative.call(*given[:-1], 1, out=given[-1], workers=workers)
            assert np.array_equal(given[-1], wanted)
        assert np.array_equal(relative.call(*shifted[:-1], 1, workers=workers), wanted)


def shifted_by_a_byte(array: Array) -> Array:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    shifted = memory[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    assert not shifted.flags.aligned
    return shifted


@pytest.mark.parametrize("relative", [each for each in RELATIVES if each.inputs == 1], ids=name_of)
@pytest.mark.parametrize("source", ["f2", "f4", "f8", ">f4", ">f8", "i1", "u2", "i4", "i8", "?"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", None])
def test_the_second_call_casts_as_the_first(relative: Relative, source: str, dtype: Any) -> None:
    plain = logits((38, 10), np.float32, 3.0)
    kind = None if dtype is None else np.dtype(dtype)
    numbers = np.abs(plain) if source == "u2" else plain
    for array in (each.astype(source) for each in (numbers, numbers.T, numbers * 3)):
        for store in STORAGES.values():
            stored = store(array)
            for dim in (0, 1):
                first = relative.call(stored, dim, dtype=kind)
                cast = array if kind is None else array.astype(kind)
                assert np.array_equal(first, relative.call(cast, dim))
                for _ in range(2):
                    second = relative.call(stored, dim, dtype=kind)
                    assert np.array_equal(first, second)
                    assert (first.dtype, first.strides) == (second.dtype, second.strides)
                out = np.zeros_like(first)
                for _ in range(2):
                    assert relative.call(stored, dim, dtype=kind, out=out) is out
                    assert np.array_equal(first, out)


@EACH
def test_dims_by_other_words_are_the_same(relative: Relative, dtype: Any) -> None:
    inputs = relative.given_rows(logits((4, 5, 6), dtype, 3.0))
    for dim in (1, -1, (0, 2), (2, 1), None, (0, 1, 2)):
        wanted = relative.call(*inputs, dim)
        for _ in range(2):
            assert np.array_equal(relative.call(*inputs, axis=dim), wanted)
            assert np.array_equal(relative.call(*inputs, dim=dim), wanted)
        for _ in range(2):
            with pytest.raises(TypeError, match="give one"):
                relative.call(*inputs, dim, axis=dim)
    for bad in ((True, 2), (0, 0), (), (0, 1.0)):
        for _ in range(2):
            with pytest.raises((TypeError, ValueError)):
                relative.call(*inputs, bad)


def test_the_gradient_may_be_written_over_either_input(dtype: Any) -> None:
    for relative in (each for each in RELATIVES if each.inputs == 2):
        grad, output = relative.given_rows(logits((38, 10), dtype, 3.0))
        wanted = relative.call(grad, output, 1)
        for _ in range(3):
            for which in (0, 1):
                given = [grad.copy(), output.copy()]
                assert relative.call(*given, 1, out=given[which]) is given[which]
                assert np.array_equal(given[which], wanted)
            both = grad.copy()
            alone = relative.call(both, both, 1)
            assert np.array_equal(relative.call(both, both, 1, out=both), alone)


@EACH
def test_numbers_and_dtypes_by_other_words_are_the_same(relative: Relative) -> None:
    inputs = relative.given_rows(logits((4, 5), np.float32, 3.0))
    wanted = relative.call(*inputs, 1)
    for _ in range(3):
        for dim in (np.int64(1), np.int8(-1), np.uint64(1), (np.int32(1),)):
            assert np.array_equal(relative.call(*inputs, dim), wanted)
        for workers in (np.int64(1), np.uint8(2)):
            assert np.array_equal(relative.call(*inputs, 1, workers=workers), wanted)
        for bad in (np.bool_(True), np.float64(1.0), np.timedelta64(1), np.array(True)):
            with pytest.raises(TypeError, match="dim"):
                relative.call(*inputs, bad)
    if not relative.tempered:
        return
    at_half = relative.call(*inputs, 1, temperature=0.5)
    for _ in range(3):
        for number in (np.float32(0.5), np.float16(0.5), np.longdouble(0.5), np.array(0.5)):
            assert np.array_equal(relative.call(*inputs, 1, temperature=number), at_half)
        for one in (np.int64(1), np.array(1), 1):
            assert np.array_equal(relative.call(*inputs, 1, temperature=one), wanted)
        for bad in (
            np.bool_(True),
            np.array(True),
            np.float32(-1),
            np.array(0.0),
            np.float64("nan"),
        ):
            with pytest.raises((TypeError, ValueError), match="temperature"):
                relative.call(*inputs, 1, temperature=bad)


@pytest.mark.parametrize("relative", [each for each in RELATIVES if not each.reduces], ids=name_of)
def test_out_may_be_another_view_of_the_input(relative: Relative, dtype: Any) -> None:
    wanted = relative.call(*relative.given_rows(logits((4, 5), dtype, 3.0)), 1)
    for _ in range(3):
        *others, x = (each.copy() for each in relative.given_rows(logits((4, 5), dtype, 3.0)))
        out = x[:]
        assert relative.call(*others, x, 1, out=out) is out
        assert np.array_equal(x, wanted)


@EACH
def test_the_second_out_may_have_another_dtype(relative: Relative, dtype: Any) -> None:
    inputs = relative.given_rows(logits((4, 5), dtype, 3.0))
    wanted = relative.call(*inputs, 1)
    for kind in ("f2", "f4", "f8", ">f4", "g", "c16") * 3:
        out = np.full_like(wanted, 7, kind)
        assert relative.call(*inputs, 1, out=out) is out
        assert np.array_equal(out, wanted.astype(kind))


@pytest.mark.parametrize("relative", [each for each in RELATIVES if each.inputs == 1], ids=name_of)
@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_the_second_integers_may_be_too_large_for_float64(relative: Relative, kind: Any) -> None:
    small = np.array([[3, 1, 2], [5, 9, 7]], kind)
    for large in (0, 1 << 53, (1 << 53) + 1, (1 << 62) + 1):
        for _ in range(3):
            relative.call(small, 1)
        x = small + kind(large)
        got = relative.call(x, 1)
        _shortcuts.ways.clear()
        assert np.array_equal(got, relative.call(x, 1))
        if not relative.reduces:
            assert np.allclose(got, relative.call(small, 1), rtol=1e-14, atol=0)
            memory = small.copy()
            for _ in range(3):
                memory[...] = small
                relative.call(memory, 1, out=memory.view(np.float64))
            memory[...] = x
            assert np.array_equal(relative.call(memory, 1, out=memory.view(np.float64)), got)


@EACH
@pytest.mark.parametrize("shape", [(), (3, 1), (1,), (0, 3), (3, 0)])
def test_scalars_and_slices_of_one_element_or_none(
    relative: Relative, dtype: Any, shape: Any
) -> None:
    count = max(1, int(np.prod(shape)))
    inputs = [
        np.resize(each, shape) for each in relative.given_rows(logits((1, count), dtype, 3.0))
    ]
    for dim in (0, -1, None):
        wanted = relative.call(*inputs, dim)
        for _ in range(3):
            again = relative.call(*inputs, dim)
            assert np.array_equal(again, wanted, equal_nan=True)
            assert np.shape(again) == np.shape(wanted)
            out = np.zeros_like(wanted)
            assert relative.call(*inputs, dim, out=out) is out
            assert np.array_equal(out, wanted, equal_nan=True)


def test_log_sum_exp_may_be_written_to_any_out() -> None:
    x = logits((4, 5), np.float32, 3.0)
    wanted = logsumexp(x, 1)
    for kind in ("f4", "f8", "f2", ">f4", "c8") * 3:
        out = np.zeros(8, kind)[::2]
        assert logsumexp(x, 1, out=out) is out
        assert np.array_equal(out, wanted.astype(kind))
        kept = np.zeros((4, 1), kind)
        assert logsumexp(x, 1, keepdim=True, out=kept) is kept
        assert np.array_equal(kept[:, 0], wanted.astype(kind))
    memory = np.zeros(20, np.float32)
    for begin in (0, 4, 16) * 3:  # in the input
        given = memory.reshape(4, 5)
        given[...] = x
        assert np.array_equal(logsumexp(given, 1, out=memory[begin : begin + 4]), wanted)


@EACH
@pytest.mark.parametrize("shape", [(5, 1, 2, 1), (1, 3), (3, 1), (1, 70, 1), (2, 1, 3), (1, 1)])
@pytest.mark.parametrize("repeated", [False, True])
def test_sizes_of_1_keep_their_strides(
    relative: Relative, dtype: Any, shape: Any, repeated: bool
) -> None:
    rows = relative.given_rows(logits((1, int(np.prod(shape))), dtype, 3.0))
    for order in itertools.permutations(range(len(shape))):
        for step in (1, 2, -2):
            steps = (slice(None, None, step),) * len(shape)
            wide = tuple(size * abs(step) for size in shape)
            turned = []
            for each in rows:
                x = np.resize(each, wide).transpose(order).copy()
                x = x.transpose(np.argsort(order))[steps]
                turned.append(np.broadcast_to(x[:1], x.shape) if repeated else x)
            for dim in (0, -1, None, (0, 1), tuple(reversed(range(len(shape))))):
                first = relative.call(*turned, dim)
                second = relative.call(*turned, dim)
                assert np.array_equal(first, second, equal_nan=True)
                assert np.shape(first) == np.shape(second)
                assert first.strides == second.strides
