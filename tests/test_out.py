"""Results that are written to an array of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import processes
import pytest
from arrays import Layout, logits, read_only

import fastsoftmax

if TYPE_CHECKING:
    from family import Function

Array = np.ndarray[Any, Any]

# Narrow, rows, columns, and slices that are split.
CASES = [((38, 10), 1), ((38, 300), 1), ((300, 38), 0), ((2, 9000), 1), ((9000, 40), 0)]


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest, dtype: Any) -> tuple[Array, int]:
    """Logits, and a dim of theirs; together they reach every kernel."""
    shape, dim = request.param
    return logits(shape, dtype, 4.0), dim


def test_out_is_filled_and_returned(function: Function, case: Any) -> None:
    x, dim = case
    out = np.full_like(x, np.nan)
    assert function.call(x, dim, out=out) is out
    assert np.array_equal(out, function.call(x, dim))


def test_out_may_have_any_strides(function: Function, dtype: Any, layout: Layout) -> None:
    if "repeated" in layout.name:
        return  # no elements of their own: see below
    for length in (10, 300, 5000):
        slices = logits((4, length), dtype, 4.0)
        x, out = layout.of(slices), layout.place(np.zeros_like(slices))
        surroundings = np.isnan(out.base).sum() if out.base is not None else 0
        assert function.call(x, layout.dim, out=out) is out
        assert np.array_equal(out, function.call(x, layout.dim))
        if out.base is not None:
            assert np.isnan(out.base).sum() == surroundings, "elements beside out were written"
        # The same from an input of other strides.
        again = layout.place(np.zeros_like(slices))
        function.call(read_only(np.ascontiguousarray(x)), layout.dim, out=again)
        assert np.array_equal(again, out)


def test_out_may_be_stored_in_any_way(function: Function, case: Any, storage: Any) -> None:
    x, dim = case
    out = storage(np.zeros_like(x))
    assert function.call(x, dim, out=out) is out
    assert np.array_equal(out, function.call(x, dim))


LARGE_AND_UNALIGNED = """
    import sys
    import numpy as np
    from arrays import logits
    from family import FAMILY

    (function,) = [each for each in FAMILY if each.name == sys.argv[1]]
    dtype, shapes = np.dtype(sys.argv[2]), [
        ((60_000, 30), 1), ((6000, 300), 1), ((300, 6000), 0), ((2, 900_000), 1), ((900_000, 2), 0)
    ]
    for shape, dim in shapes:
        x = logits(shape, dtype)
        wanted = function.call(x, dim)
        for shift in range(1, dtype.itemsize):
            memory = np.zeros(x.nbytes + 8, np.uint8)
            out = memory[shift : shift + x.nbytes].view(dtype).reshape(shape)
            assert function.call(x, dim, out=out) is out
            assert np.array_equal(out, wanted), (shape, shift)
            assert not memory[:shift].any() and not memory[shift + x.nbytes :].any()
"""


def test_a_large_out_may_be_unaligned(function: Function, dtype: Any) -> None:
    """Results this large go past the caches, in whole lines, which have to be aligned."""
    processes.run(LARGE_AND_UNALIGNED, function.name, dtype.name)


def test_in_place(function: Function, case: Any) -> None:
    x, dim = case
    own = x.copy()
    assert function.call(own, dim, out=own) is own
    assert np.array_equal(own, function.call(x, dim))


@pytest.mark.parametrize("distance", [1, 2, 7, 16, 300, 1000])
@pytest.mark.parametrize("out_first", [True, False])
def test_out_may_overlap_the_input(
    function: Function, case: Any, distance: int, out_first: bool
) -> None:
    x, dim = case
    memory = np.zeros(x.size + distance, x.dtype)
    near, far = memory[: x.size].reshape(x.shape), memory[distance:].reshape(x.shape)
    own, out = (far, near) if out_first else (near, far)
    own[...] = x
    assert function.call(own, dim, out=out) is out
    assert np.array_equal(out, function.call(x, dim))


def test_out_may_be_the_input_in_another_order(function: Function, dtype: Any) -> None:
    for size in (5, 40, 300):
        x = logits((size, size), dtype, 4.0)
        for turn in (np.transpose, np.flipud, np.fliplr, np.rot90):
            for dim in (0, 1, None):
                own = x.copy()
                out = turn(own)
                assert function.call(own, dim, out=out) is out
                assert np.array_equal(out, function.call(x, dim))


def test_out_may_be_the_memory_of_an_input_of_another_dtype(function: Function) -> None:
    for large in (0, 2**60):
        numbers = np.random.default_rng(5).integers(0, 9, (40, 30)) + large
        own = numbers.copy()
        out = own.view(np.float64)
        assert np.array_equal(function.call(own, 1, out=out), function.call(numbers, 1))
    x = logits((40, 30), np.float64)
    own = x.copy()
    out = own.view(np.float32)[:, ::2]
    assert np.array_equal(function.call(own, 1, np.float32, out=out), function.call(x, 1, "f4"))


# --- dtype ----------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["f4", "f8", "i2", "i8"])
@pytest.mark.parametrize("wanted", ["f2", "f4", "f8", "g", "F", "D", ">f4", ">f8"])
def test_out_may_have_any_dtype_of_the_same_kind(
    function: Function, case: Any, given: str, wanted: str
) -> None:
    x, dim = case
    x = read_only(x.astype(given))
    out = np.zeros(x.shape, wanted)
    assert function.call(x, dim, out=out) is out
    with np.errstate(under="ignore"):
        assert np.array_equal(out, function.call(x, dim).astype(wanted))


@pytest.mark.parametrize("dtype_", ["?", "i4", "i8", "u1", "M8[s]"])
def test_out_of_another_kind_is_refused(function: Function, dtype_: str) -> None:
    out = np.zeros((2, 3), dtype_)
    before = out.copy()
    with pytest.raises(TypeError, match=r"(?s)out .*dtype.*float32.*same_kind"):
        function.call(np.zeros((2, 3), np.float32), 0, out=out)
    assert np.array_equal(out, before)


def test_a_complex_result_is_not_written_to_a_real_out(function: Function) -> None:
    out = np.full((2,), 7.0)
    with pytest.raises(TypeError, match=r"out .*float64.*complex128.*same_kind"):
        function.call([1j, 2], 0, out=out)
    assert out.tolist() == [7, 7]


# --- Refusals -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2,), (3, 2), (1, 3), (2, 3, 1), (), (2, 4), (6,)])
def test_an_out_of_another_shape_is_refused(function: Function, shape: Any) -> None:
    out = np.full(shape, 7.0)
    with pytest.raises(ValueError, match="out") as caught:
        function.call(np.zeros((2, 3)), 0, out=out)
    assert str(shape) in str(caught.value)
    assert "(2, 3)" in str(caught.value)
    assert (out == 7).all()


def test_the_shape_of_out_is_checked_for_an_empty_input_too(function: Function) -> None:
    with pytest.raises(ValueError, match=r"out .*\(3, 0\).*\(0, 3\)"):
        function.call(np.zeros((0, 3)), 0, out=np.zeros((3, 0)))


def test_a_read_only_out_is_refused(function: Function) -> None:
    out = read_only(np.full((2, 3), 7.0))
    with pytest.raises(ValueError, match="out is read-only"):
        function.call(np.zeros((2, 3)), 0, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize(
    ("memory", "strides"),
    [
        ((1, 3), (0, 8)),  # one row for all
        ((2, 1), (8, 0)),  # one element for a row
        ((4,), (8, 8)),  # rows begin within one another
        ((9,), (12, 8)),  # elements begin within one another
        ((9,), (8, 4)),
    ],
)
def test_an_out_that_overlaps_itself_is_refused(
    function: Function, memory: Any, strides: Any
) -> None:
    base = np.full(memory, 7.0)
    out = np.lib.stride_tricks.as_strided(base, (2, 3), strides)
    with pytest.raises(ValueError, match=r"out .*\(2, 3\).*share"):
        function.call(np.zeros((2, 3)), 0, out=out)
    assert (base == 7).all()


def test_interleaved_strides_are_no_overlap(function: Function) -> None:
    base = np.full(12, 7.0)
    out = np.lib.stride_tricks.as_strided(base, (3, 2), (16, 40))  # 0 5 2 7 4 9
    x = logits((3, 2), np.float64)
    assert np.array_equal(function.call(x, 1, out=out), function.call(x, 1))
    assert (base[[1, 3, 6, 8, 10, 11]] == 7).all()


@pytest.mark.parametrize("out", [[[0.0] * 3] * 2, (0.0,), 3, "x", np.float64(3), object()])
def test_an_out_that_is_no_array_is_refused(function: Function, out: Any) -> None:
    with pytest.raises(TypeError, match=f"out is a {type(out).__name__}"):
        function.call(np.zeros((2, 3)), 0, out=out)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_an_empty_out_comes_back_as_it_is(function: Function, shape: Any) -> None:
    out = np.zeros(shape, np.float32)
    assert function.call(np.zeros(shape), 0, out=out) is out


def test_one_element_may_be_repeated_by_a_stride_that_is_never_taken(function: Function) -> None:
    out = np.lib.stride_tricks.as_strided(np.zeros(3), (1, 3), (0, 8))
    assert function.call(np.zeros((1, 3)), 1, out=out) is out
    assert out.tolist() == [[1 / 3] * 3]


@pytest.mark.parametrize("kind", ["U3", "S3", "O", "V2", "V8", "M8[s]", "f8,f8"])
def test_out_of_what_are_no_numbers_is_refused(kind: str) -> None:
    out = np.zeros(2, kind)
    before = out.copy()
    with pytest.raises(TypeError, match=r"out has the dtype .*; it must be float64"):
        fastsoftmax.softmax([1.0, 2.0], 0, out=out)
    assert (out == before).all()
