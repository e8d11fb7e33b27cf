"""Arrays that other libraries hold, as `np.asarray` sees them."""

from __future__ import annotations

from typing import Any

import arrays
import numpy as np
import pytest
import scipy.special

import fastsoftmax

pytestmark = pytest.mark.peers

SHAPE = (37, 10)
DTYPES = [np.float32, np.float64]


def in_pandas(logits: np.ndarray) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(logits, columns=[f"class {i}" for i in range(SHAPE[1])])


def in_pandas_by_column(logits: np.ndarray) -> Any:
    frame = in_pandas(logits)
    return frame.assign(**{name: frame[name].to_numpy() for name in frame.columns})


def in_xarray(logits: np.ndarray) -> Any:
    xarray = pytest.importorskip("xarray")
    return xarray.DataArray(logits, dims=("image", "class"))


def in_dask(logits: np.ndarray) -> Any:
    dask = pytest.importorskip("dask.array")
    return dask.from_array(logits, chunks=(8, 3))


CONTAINERS = [in_pandas, in_pandas_by_column, in_xarray, in_dask]


@pytest.fixture(params=DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def logits(request: pytest.FixtureRequest) -> np.ndarray:
    return arrays.logits(SHAPE, request.param, scale=3.0)


@pytest.mark.parametrize("dim", [0, 1, -1, None])
@pytest.mark.parametrize("contain", CONTAINERS)
def test_a_container_gives_the_bits_of_its_array(
    contain: Any, logits: np.ndarray, dim: int | None
) -> None:
    found = fastsoftmax.softmax(contain(logits), dim)
    assert type(found) is np.ndarray
    assert found.dtype == logits.dtype
    np.testing.assert_array_equal(found, fastsoftmax.softmax(logits, dim))
    wanted = scipy.special.softmax(logits.astype(np.longdouble), axis=dim)
    np.testing.assert_allclose(found, wanted, rtol=4 * np.finfo(logits.dtype).eps)


@pytest.mark.parametrize("contain", CONTAINERS)
def test_a_container_is_left_as_it_was(contain: Any, logits: np.ndarray) -> None:
    held = contain(logits)
    fastsoftmax.softmax(held, dim=1)
    np.testing.assert_array_equal(np.asarray(held), logits)


def test_blocks_of_a_dask_array_have_the_bits_of_the_whole(logits: np.ndarray) -> None:
    dask = pytest.importorskip("dask.array")
    chunked = dask.from_array(logits, chunks=(8, SHAPE[1]))
    found = chunked.map_blocks(fastsoftmax.softmax, dim=1, dtype=logits.dtype)
    assert found.dtype == logits.dtype
    np.testing.assert_array_equal(found.compute(), fastsoftmax.softmax(logits, dim=1))


def test_xarray_keeps_coordinates_through_apply_ufunc(logits: np.ndarray) -> None:
    xarray = pytest.importorskip("xarray")
    held = xarray.DataArray(logits, dims=("image", "class"), coords={"class": range(SHAPE[1])})
    found = xarray.apply_ufunc(
        fastsoftmax.softmax,
        held,
        input_core_dims=[["class"]],
        output_core_dims=[["class"]],
        kwargs={"dim": -1},
    )
    assert found.dims == held.dims
    np.testing.assert_array_equal(found["class"], held["class"])
    np.testing.assert_array_equal(found.to_numpy(), fastsoftmax.softmax(logits, dim=1))


def test_a_column_of_pandas_is_a_slice(logits: np.ndarray) -> None:
    frame = in_pandas(logits)
    found = fastsoftmax.softmax(frame["class 3"], dim=0)
    np.testing.assert_array_equal(found, fastsoftmax.softmax(logits[:, 3], dim=0))


def test_a_frame_with_text_is_refused_by_its_dtype() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"score": [1.0, 2.0], "name": ["a", "b"]})
    with pytest.raises(TypeError, match="object"):
        fastsoftmax.softmax(frame, dim=0)
