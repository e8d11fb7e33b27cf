"""The arguments of a call: checked and in one form, or refused.

An error names the argument, what was given and what would be right.  Nothing is written
before everything is checked.
"""

from __future__ import annotations

import math
import operator
from typing import Any, Final

import numpy as np

from fastsoftmax._dtypes import is_floating, result_dtype
from fastsoftmax._quiet import quiet

Array = np.ndarray[Any, Any]
Dims = tuple[int, ...]


class Missing:
    """The type of an argument that was not given."""

    def __repr__(self) -> str:
        return "<required>"


MISSING: Final = Missing()


def as_array(name: str, given: Any) -> Array:
    """`given` as an array of anything."""
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ValueError(
            f"{name}, a {type(given).__name__}, makes no array; nested sequences must have one "
            f"length on each level ({error})"
        ) from None


def array_of(name: str, given: Any) -> Array:
    """`given` as an array of numbers."""
    array = as_array(name, given)
    if result_dtype(array.dtype) is None:
        wanted = "it must be floating, integer, bool or complex"
        if array.dtype.kind == "O":
            wanted += ": convert it by numpy.asarray(x, float) or, from pandas, x.to_numpy(float)"
        raise TypeError(f"{name} has the dtype {array.dtype}; {wanted}")
    return array


def dims_of(dim: Any, axis: Any, ndim: int) -> Dims:
    """The dims of a slice, counted from 0 and in order."""
    if dim is not MISSING and axis is not MISSING:
        raise TypeError(f"dim={dim!r} and axis={axis!r} were given; they mean the same, give one")
    if dim is MISSING:
        dim = axis
    if dim is MISSING:
        raise TypeError("dim is missing; give an int, a tuple of ints, or None for all dims")
    if dim is None:
        return tuple(range(ndim))
    if not isinstance(dim, tuple):
        dims: Dims = (_one_dim(dim, ndim),)
        return dims if ndim else ()
    dims = tuple(_one_dim(each, ndim) for each in dim)
    if len(set(dims)) < len(dims):
        raise ValueError(f"dim={dim!r} names a dim twice")
    if not dims:
        raise ValueError("dim=() names no dim; give at least one, or None for all dims")
    return tuple(sorted(dims)) if ndim else ()


def _one_dim(given: Any, ndim: int) -> int:
    if isinstance(given, bool | np.bool_) or _is_bool_tensor(given):
        raise TypeError(f"dim={given!r} is a bool; it must be an int, a tuple of ints or None")
    try:
        dim = operator.index(given)
    except TypeError:
        raise TypeError(
            f"dim={given!r} is a {type(given).__name__}; it must be an int, a tuple of ints or None"
        ) from None
    size = max(ndim, 1)  # a scalar has the dims 0 and -1, as in torch
    if not -size <= dim < size:
        raise np.exceptions.AxisError(
            "Dimension out of range (expected to be in range of "
            f"[{-size}, {size - 1}], but got {dim})"
        )
    return dim % size


def _is_bool_tensor(given: Any) -> bool:
    """Whether it is a bool of another library, which Python's index may take for 0 or 1."""
    return str(getattr(given, "dtype", "")).endswith("bool")


def dtype_of(given: Any, array: Array) -> np.dtype[Any]:
    """The dtype of the result."""
    if given is None:
        result = result_dtype(array.dtype)
        assert result is not None  # array_of lets nothing else through
        return result
    try:
        dtype: np.dtype[Any] = np.dtype(given).newbyteorder("=")
    except TypeError:
        raise TypeError(
            f"dtype={given!r} is no dtype; give a floating one such as float32"
        ) from None
    if array.dtype.kind == "c":
        if dtype.kind != "c":
            raise TypeError(f"dtype={dtype} for complex input; it must be a complex dtype")
    elif not is_floating(dtype):
        raise TypeError(
            f"dtype={dtype} for {array.dtype} input; it must be a floating dtype such as float32"
        )
    return dtype


def workers_of(given: Any) -> int | None:
    """The number of threads at the most; None: as Numba is set."""
    if given is None:
        return None
    try:
        workers = -1 if isinstance(given, bool | np.bool_) else operator.index(given)
    except TypeError:
        workers = -1
    if workers < 1:
        raise ValueError(f"workers={given!r}; it must be a positive int or None")
    return workers


def flag_of(name: str, given: Any) -> bool:
    """A yes or no."""
    if not isinstance(given, bool | np.bool_ | int):
        raise TypeError(f"{name}={given!r} is a {type(given).__name__}; it must be a bool")
    return bool(given)


def keepdim_of(keepdim: Any, keepdims: Any) -> bool:
    """Whether dims are kept with size 1."""
    if keepdims is MISSING:
        return flag_of("keepdim", keepdim)
    if keepdim is not False:
        raise TypeError(
            f"keepdim={keepdim!r} and keepdims={keepdims!r} were given; they mean the same"
        )
    return flag_of("keepdims", keepdims)


def where_of(given: Any, shape: tuple[int, ...], owner: str) -> Array | None:
    """The mask, not yet broadcast to `shape`, that of `owner`; None where there is none."""
    if given is None:
        return None
    refuse_masked("where", given)
    mask = as_array("where", given)
    if mask.dtype != np.bool_:
        raise TypeError(f"where has the dtype {mask.dtype}; it must be bool")
    if not _broadcasts(mask.shape, shape):
        raise ValueError(
            f"where has the shape {mask.shape}, which cannot be broadcast to {shape}, that of "
            f"{owner}"
        )
    return mask


def temperature_of(
    given: Any, shape: tuple[int, ...], owner: str, dims: Dims, dtype: np.dtype[Any]
) -> Array | None:
    """Temperatures, one or not yet broadcast to `shape`, that of `owner`; None where all are 1.

    In float64, for results of the `dtype` longdouble, or complex ones of these, in longdouble.
    """
    if given.__class__ is float and 0.0 < given < math.inf:
        return None if given == 1.0 else np.array([given])
    refuse_masked("temperature", given)
    try:
        array = np.asarray(given)
        if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":
            raise TypeError
        temperature = quiet(array.astype, np.longdouble if dtype.char in "gG" else np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"temperature={given!r}; it must be a positive float or an array of them"
        ) from None
    positive = temperature > 0
    if not positive.all():
        wrong = array[~positive].flat[0]
        raise ValueError(
            f"temperature is {wrong!s}; it must be positive{' in float64' * bool(wrong > 0)}"
        )
    if not _broadcasts(temperature.shape, shape):
        raise ValueError(
            f"temperature has the shape {temperature.shape}, which cannot be broadcast to "
            f"{shape}, that of {owner}"
        )
    offset = len(shape) - temperature.ndim
    for dim in dims:
        if dim >= offset and temperature.shape[dim - offset] != 1:
            raise ValueError(
                f"temperature has the shape {temperature.shape}; its size along dim {dim} must "
                "be 1, as a slice has one temperature"
            )
    if temperature.size == 1:
        return None if temperature.flat[0] == 1.0 else temperature.reshape(1)
    return temperature


def refuse_masked(name: str, given: Any) -> None:
    """Refuse elements that are masked themselves: nobody knows what is meant."""
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise ValueError(
            f"{name} is a masked array with masked elements; give an array without, such as "
            f"{name}.filled(...)"
        )


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    if len(shape) > len(to):
        return False
    ends = zip(reversed(shape), reversed(to), strict=False)
    return all(size in {1, whole} for size, whole in ends)


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an `out` that results of this shape and dtype cannot be written to."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out is a {type(out).__name__}; it must be a numpy.ndarray or None")
    if out.shape != shape:
        raise ValueError(f"out has the shape {out.shape}; it must have {shape}, that of the result")
    is_number = is_floating(out.dtype) or out.dtype.kind == "c"
    if not is_number or not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(
            f"out has the dtype {out.dtype}; it must be {dtype}, that of the result, or a floating "
            "or complex one that NumPy casts it to by the rule 'same_kind'"
        )
    if not out.flags.writeable:
        raise ValueError("out is read-only; it must be writeable")
    if overlaps_itself(out):
        raise ValueError(
            f"out has the shape {out.shape} and strides {out.strides}: some of its elements "
            "share memory; each must have its own"
        )


def overlaps_itself(array: Array) -> bool:
    """Whether two elements of `array` share memory."""
    if array.size < 2:
        return False
    reach = array.itemsize
    axes = zip(map(abs, array.strides), array.shape, strict=True)
    for stride, size in sorted(axis for axis in axes if axis[1] > 1):
        if stride < reach:
            return not _offsets_are_apart(array)
        reach = stride * (size - 1) + reach
    return False


def _offsets_are_apart(array: Array) -> bool:
    """Whether no two elements share memory, where strides do not tell: by looking at each."""
    if 0 in (stride for stride, size in zip(array.strides, array.shape, strict=True) if size > 1):
        return False
    offsets = np.zeros((), np.intp)
    for stride, size in zip(array.strides, array.shape, strict=True):
        offsets = np.add.outer(offsets, np.arange(size) * stride)
    return bool(np.all(np.diff(np.sort(offsets, axis=None)) >= array.itemsize))


def same_memory(a: Array, b: Array) -> bool:
    """Whether two arrays of the same shape and dtype are the same elements in order."""
    return a.strides == b.strides and a.__array_interface__["data"] == b.__array_interface__["data"]
