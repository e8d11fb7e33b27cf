"""What holds for every input, on inputs that hypothesis makes up."""

from __future__ import annotations

from typing import Any

import numpy as np
from arrays import DTYPES, STORAGES, read_only
from family import SOFTMAX
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from reference import slices_of
from ulps import SUM_ERROR, assert_accurate, error_of_sums

Array = np.ndarray[Any, Any]

softmax = SOFTMAX.call
dtypes = st.sampled_from(DTYPES)


@st.composite
def numbers(draw: st.DrawFn, shape: Any, dtype: Any) -> Array:
    """Any finite numbers, of sizes from one extreme to the other, some of them special."""
    largest = float(np.finfo(dtype).max)
    limit = draw(st.sampled_from([1.0, 30.0, 100.0, 800.0, 1e6, 1e30, largest / 2]))
    offset = draw(st.sampled_from([0.0, 0.0, limit, -limit]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = np.asarray(rng.uniform(-limit, limit, shape) + offset).astype(dtype)
    special = st.floats(-largest, largest, width=8 * dtype.itemsize)  # type: ignore[call-overload]
    for value in draw(st.lists(special, max_size=3)):
        x.flat[draw(st.integers(0, x.size - 1))] = value
    return x


@st.composite
def arrays(draw: st.DrawFn, dtype: Any = None) -> Array:
    """Arrays of any shape and strides, made of views and copies."""
    shape = draw(npst.array_shapes(min_dims=1, max_dims=5, max_side=9))
    x = draw(numbers(shape, dtype or draw(dtypes)))
    axes = draw(st.permutations(range(x.ndim)))
    x = np.ascontiguousarray(x.transpose(axes)).transpose(np.argsort(axes))
    steps = [draw(st.sampled_from([1, 1, 2, -1, -2])) for _ in range(x.ndim)]
    x = x[tuple(slice(None, None, step) for step in steps)]
    if draw(st.booleans()):
        axis = draw(st.integers(0, x.ndim - 1))
        x = np.broadcast_to(x.take([0], axis), x.shape)
    return read_only(x)


@st.composite
def dims(draw: st.DrawFn, ndim: int) -> Any:
    """An int, a tuple or None."""
    some = st.lists(
        st.integers(-ndim, ndim - 1), min_size=1, max_size=ndim, unique_by=lambda d: d % ndim
    )
    return draw(st.one_of(st.integers(-ndim, ndim - 1), some.map(tuple), st.none()))


@st.composite
def rows(draw: st.DrawFn, most: int = 140) -> Array:
    """A few slices as rows, of lengths that take all the ways there are through short ones."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, most)))
    return read_only(draw(numbers(shape, draw(dtypes))))


@given(st.data())
def test_any_array_over_any_dims_is_near_the_oracle(data: st.DataObject) -> None:
    x = data.draw(arrays())
    dim = data.draw(dims(x.ndim))
    result = softmax(x, dim)
    assert result.shape == x.shape
    assert_accurate(result, SOFTMAX.exact(x, dim))
    assert error_of_sums(result, dim) <= SUM_ERROR[result.dtype]


@given(st.data())
def test_strides_and_storage_do_not_matter(data: st.DataObject) -> None:
    x = data.draw(arrays())
    dim = data.draw(dims(x.ndim))
    wanted = softmax(np.array(x, order="C"), dim)
    assert np.array_equal(softmax(x, dim), wanted)
    stored = STORAGES[data.draw(st.sampled_from(sorted(STORAGES)))](x)
    assert np.array_equal(softmax(stored, dim), wanted)
    out = data.draw(arrays(x.dtype).filter(lambda out: out.size >= x.size))
    memory = np.zeros(out.size, x.dtype)[: x.size].reshape(x.shape[::-1]).T
    assert np.array_equal(softmax(x, dim, out=memory), wanted)


@given(st.data())
def test_out_may_lie_anywhere_over_the_input(data: st.DataObject) -> None:
    x = data.draw(arrays())
    dim = data.draw(dims(x.ndim))
    distance = data.draw(st.integers(0, x.size + 3))
    memory = np.zeros(2 * x.size + 8, x.dtype)
    own = memory[distance : distance + x.size].reshape(x.shape)
    start = data.draw(st.integers(0, x.size + 3))
    out = memory[start : start + x.size].reshape(x.shape[::-1]).T
    own[...] = x
    assert softmax(own, dim, out=out) is out
    assert np.array_equal(out, softmax(x, dim))


@given(rows())
def test_results_lie_between_0_and_1_and_sum_to_1(x: Array) -> None:
    result = softmax(x, 1)
    assert (result >= 0).all()
    assert (result <= 1).all()
    assert error_of_sums(result, 1) <= SUM_ERROR[result.dtype]


@given(rows())
def test_the_order_is_kept(x: Array) -> None:
    """Within what rounding allows: larger elements do not get less by more than 2 ULP."""
    result = softmax(x, 1)
    order = np.argsort(x, axis=1, kind="stable")
    ordered = np.take_along_axis(result, order, axis=1)
    highest = np.maximum.accumulate(ordered, axis=1)
    assert (highest - ordered <= 4 * np.spacing(highest)).all()


@given(rows(), st.data())
def test_equal_elements_get_equal_shares(x: Array, data: st.DataObject) -> None:
    chosen = data.draw(npst.arrays(np.intp, x.shape[1], elements=st.integers(0, x.shape[1] - 1)))
    result = softmax(x[:, chosen], 1)
    for i in set(chosen.tolist()):
        same = result[:, chosen == i]
        assert (same == same[:, :1]).all()


@given(rows(), st.data())
def test_a_permutation_of_the_slice_permutes_the_result(x: Array, data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(x.shape[1]))))
    moved, result = softmax(x[:, order], 1), softmax(x, 1)[:, order]
    unit = np.spacing(np.maximum(moved, result))
    assert (np.abs(moved - result) <= 4 * unit).all()
    if x.shape[1] <= 2:  # a + b is b + a
        assert np.array_equal(moved, result)


@given(rows(), st.data())
def test_a_permutation_of_the_batch_permutes_the_bits(x: Array, data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(x.shape[0]))))
    assert softmax(x[order], 1).tobytes() == softmax(x, 1)[order].tobytes()
    assert (
        np.ascontiguousarray(softmax(x[order].T, 0).T).tobytes() == softmax(x[order], 1).tobytes()
    )


@given(rows(), rows(), st.data())
def test_neighbours_do_not_matter(x: Array, others: Array, data: st.DataObject) -> None:
    assume(x.dtype == others.dtype)
    length = min(x.shape[1], others.shape[1])
    place = data.draw(st.integers(0, len(others)))
    spoilt = np.where(data.draw(st.booleans()), np.nan, others[:, :length]).astype(x.dtype)
    batch = np.insert(spoilt, place, x[0, :length], axis=0)
    wanted = softmax(x[0, :length], 0).tobytes()
    assert softmax(batch, 1)[place].tobytes() == wanted
    assert softmax(np.ascontiguousarray(batch.T), 0)[:, place].tobytes() == wanted


@given(st.data())
def test_integers_may_be_shifted_by_integers(data: st.DataObject) -> None:
    """Shifts that round nothing change nothing but rounding."""
    dtype = data.draw(dtypes)
    exact = 2 ** (np.finfo(dtype).nmant - 1)
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 140)))
    x = data.draw(npst.arrays(np.int64, shape, elements=st.integers(-exact, exact)))
    shift = data.draw(st.integers(-exact, exact))
    near = data.draw(st.sampled_from([5, 90, 700, exact]))
    x = np.clip(x, -near, near)
    exact_result = SOFTMAX.exact(x, 1)
    for given_ in (x.astype(dtype), (x + shift).astype(dtype)):
        assert_accurate(softmax(given_, 1), exact_result)


@given(st.data())
def test_wide_integers_are_shifted_exactly(data: st.DataObject) -> None:
    """Integers so large that float64 cannot hold them are computed by their differences."""
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 100)))
    x = data.draw(npst.arrays(np.int64, shape, elements=st.integers(-900, 0)))
    x[:, 0] = 0
    shift = data.draw(st.integers(2**53 + 1, 2**63 - 1))
    wanted = softmax(x, 1)
    assert np.array_equal(softmax(x + shift, 1), wanted)
    assert np.array_equal(softmax(x.astype(np.uint64) + np.uint64(2**63 + shift), 1), wanted)


@given(st.data())
def test_zeros_among_minus_infinities_share_exactly(data: st.DataObject) -> None:
    """The exponential of 0 is 1, the sum a whole number, and its reciprocal correctly rounded."""
    dtype = data.draw(dtypes)
    counts = data.draw(npst.arrays(np.bool_, st.integers(1, 9000)))
    counts[data.draw(st.integers(0, counts.size - 1))] = True
    result = softmax(np.where(counts, 0, -np.inf).astype(dtype), 0)
    assert (result == np.where(counts, dtype.type(1) / dtype.type(counts.sum()), 0)).all()


@given(rows(), st.data())
def test_minus_infinity_adds_nothing(x: Array, data: st.DataObject) -> None:
    """Slices with elements that do not count are the slices without them, but for rounding."""
    hidden = data.draw(npst.arrays(np.bool_, x.shape[1]))
    assume(not hidden.all())
    result = softmax(np.where(hidden, -np.inf, x).astype(x.dtype), 1)
    assert (result[:, hidden] == 0).all()
    assert_accurate(result[:, ~hidden], SOFTMAX.exact(x[:, ~hidden], 1))


@given(rows())
def test_the_dtype_asked_for_is_cast_to_first(x: Array) -> None:
    for dtype in DTYPES:
        with np.errstate(over="ignore"):
            cast = x.astype(dtype)
        wanted = softmax(cast, 1)
        assert np.array_equal(softmax(x, 1, dtype), wanted, equal_nan=True)
        assert np.array_equal(slices_of(softmax(x.T, 0, dtype), 0), wanted, equal_nan=True)
