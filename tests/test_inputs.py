"""Everything that NumPy makes an array of: what it is stored in, how, and by whom."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from arrays import logits, read_only
from family import SOFTMAX, Function
from ulps import assert_accurate

import fastsoftmax

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]


def same(function: Function, given: Any, x: Any, dim: Any = -1) -> Array:
    """The result for `given`, which has to be that for the array `x`."""
    result = function.call(given, dim)
    assert type(result) is np.ndarray
    assert np.array_equal(result, function.call(x, dim), equal_nan=True)
    return result


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([1.0, 2.0, 3.0], "f8"),
        ((1.0, 2.0, 3.0), "f8"),
        ([1, 2, 3], "f8"),
        ([[True, False], [True, True]], "f4"),
        ([np.float32(1), np.float32(2)], "f4"),
        (range(5), "f8"),
        (array.array("f", [1, 2, 3]), "f4"),
        (memoryview(array.array("d", [1, 2, 3])), "f8"),
        ([1j, 2], "D"),
        ([], "f8"),
    ],
)
def test_what_numpy_makes_an_array_of_will_do(function: Function, given: Any, dtype: str) -> None:
    assert same(function, given, np.asarray(given)).dtype == dtype


@pytest.mark.parametrize("given", [3, 3.0, True, np.float32(3), np.int8(3), np.bool_(True)])
def test_a_scalar_is_a_slice_of_one(function: Function, given: Any) -> None:
    result = function.call(given, 0)
    assert isinstance(result, np.ndarray)
    assert (result.shape, result.item()) == ((), 1)


def test_a_large_python_integer_is_an_object_to_numpy_and_refused(function: Function) -> None:
    with pytest.raises(TypeError, match=r"input.*object"):
        function.call([2**70, 0], 0)


class Labelled:
    """Not an array, but has one."""

    def __init__(self, x: Array) -> None:
        self.x = x

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return self.x


class Named(np.ndarray[Any, Any]):
    """An array with a name, which its views and results inherit."""

    def __array_finalize__(self, parent: Any) -> None:
        self.name = getattr(parent, "name", "nobody")


def test_whatever_converts_to_an_array_will_do(function: Function) -> None:
    x = logits((3, 4), np.float32)
    same(function, Labelled(x), x)


def test_a_subclass_gives_a_plain_array(function: Function, dtype: Any) -> None:
    for shape in [(2, 3), (900, 1000)]:
        x = logits(shape, dtype)
        same(function, x.view(Named), x)
        same(function, x.view(np.recarray), x)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_is_an_array_of_two_dims(function: Function) -> None:
    x = logits((2, 3), np.float64)
    for dim in (0, 1, None):
        same(function, np.matrix(x), x, dim)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("cls", [np.matrix, Named, np.recarray])
@pytest.mark.parametrize("dim", [0, 1, None])
def test_out_may_be_of_a_subclass(function: Function, dim: Any, cls: Any) -> None:
    for shape in [(2, 3), (40, 300), (2, 9000)]:
        x = logits(shape, np.float64)
        out = np.zeros(shape).view(cls)
        assert function.call(x, dim, out=out) is out
        assert np.array_equal(np.asarray(out), function.call(x, dim))
        backwards = np.zeros(shape)[::-1].view(cls)
        assert function.call(x, dim, out=backwards) is backwards
        assert np.array_equal(np.asarray(backwards), function.call(x, dim))


# --- Files ----------------------------------------------------------------------------


def test_memory_mapped_files(function: Function, dtype: Any, tmp_path: Path) -> None:
    x = logits((300, 40), dtype)
    np.save(tmp_path / "x.npy", x)
    for dim in (0, 1, None):
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        for _ in range(3):
            same(function, mapped, x, dim)
            assert type(function.call(mapped, dim)) is np.ndarray
        out = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", dtype, x.shape)
        assert function.call(mapped, dim, out=out) is out
        out.flush()
        assert np.array_equal(np.load(tmp_path / "y.npy"), function.call(x, dim))


def test_a_file_in_place(function: Function, dtype: Any, tmp_path: Path) -> None:
    x = logits((300, 40), dtype)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r+")
    function.call(mapped, 1, out=mapped)
    mapped.flush()
    assert np.array_equal(np.load(tmp_path / "x.npy"), function.call(x, 1))


def test_a_buffer_that_cannot_be_written(function: Function) -> None:
    x = np.frombuffer(np.arange(6.0).tobytes()).reshape(2, 3)
    same(function, x, x.copy())


# --- Strides --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(38, 10), (38, 300), (3, 9000)])
def test_storages_give_the_same_bits(
    function: Function, dtype: Any, storage: Any, shape: Any
) -> None:
    for order in ("C", "F"):
        x = read_only(np.asarray(logits(shape, dtype, 3.0), order=order))
        for dim in (0, 1, None):
            same(function, read_only(storage(x)), x, dim)


def test_large_arrays_stored_in_any_way(function: Function, dtype: Any, storage: Any) -> None:
    for shape, dim in [((60_000, 30), 1), ((6000, 300), 1), ((300, 6000), 0), ((2, 900_000), 1)]:
        x = logits(shape, dtype)
        same(function, read_only(storage(x)), x, dim)


@pytest.mark.parametrize("turn", [np.flip, np.fliplr, np.flipud, np.transpose, np.rot90])
@pytest.mark.parametrize("shape", [(38, 10), (38, 300), (3, 9000)])
def test_views_give_the_same_bits_as_copies(
    function: Function, dtype: Any, shape: Any, turn: Any
) -> None:
    x = logits(shape, dtype, 3.0)
    for dim in (0, 1, None):
        same(function, turn(x), turn(x).copy(), dim)


@pytest.mark.parametrize("strides", [(0, 4), (4, 0), (0, 0), (4, 4), (8, 4), (4, 8), (-4, 4)])
@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (40, 300), (5, 9000)])
def test_elements_may_be_seen_more_than_once(
    function: Function, strides: Any, shape: tuple[int, int]
) -> None:
    memory = logits(30_000, np.float32, 3.0)
    x = np.lib.stride_tricks.as_strided(memory[9000:], shape, strides, writeable=False)
    for dim in (0, 1, None):
        same(function, x, x.copy(), dim)


def test_windows_over_a_signal(function: Function, dtype: Any) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(logits(500, dtype, 3.0), 64)
    same(function, windows, windows.copy(), 1)
    same(function, windows, windows.copy(), 0)


def test_huge_views_of_one_element_need_no_memory_of_theirs(function: Function) -> None:
    x = np.broadcast_to(np.float32(2), (3000, 1000))
    result = function.call(x, 1)
    assert_accurate(result[:1], SOFTMAX.exact(x[:1], 1))
    assert (result == result[0, 0]).all()


@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_large_integers_in_one_slice_leave_the_bits_of_others(name: str, dtype: Any) -> None:
    public = getattr(fastsoftmax, name)
    small = np.arange(1800).reshape(60, 30) % 23
    large = np.full((1, 30), 2**60)
    both = np.concatenate([small, large]).astype(dtype)
    alone = public(small.astype(dtype), 1)
    assert np.array_equal(public(both, 1)[:-1], alone)
    shown = np.ones((60, 31), bool)
    shown[:, -1] = False
    hidden = np.concatenate([small, np.full((60, 1), 2**60)], axis=1).astype(dtype)
    assert np.array_equal(public(hidden, 1, where=shown)[:, :-1], alone)
