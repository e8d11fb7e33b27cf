"""Inputs of every kind: the same slices in arrays of many layouts, and values worth a try.

A `Layout` puts slices, given as the rows of a matrix, into an array of some shape and
strides, and says over which dim they lie there.  All inputs are read-only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]


def read_only(x: Array) -> Array:
    """`x` as an array that nobody can write to."""
    x = x.view()
    x.flags.writeable = False
    return x


def logits(shape: Any, dtype: Any, scale: float = 1.0, offset: float = 0.0) -> Array:
    """Normally distributed numbers, always the same ones for the same arguments."""
    seed = [abs(int(each)) for each in np.ravel(shape)] + [round(scale * 16)]
    x = np.random.default_rng(seed).normal(0.0, scale, shape)
    return read_only(np.asarray(x + offset).astype(dtype))


def placed(array: Array, rng: np.random.Generator) -> Array:
    """The same numbers with axes in any order, elements next to each other, apart or reversed."""
    order = rng.permutation(array.ndim)
    turned = array.transpose(order)
    steps = rng.choice([1, 1, 1, 2, -1], array.ndim)
    memory = np.zeros([abs(step) * size for step, size in zip(steps, turned.shape, strict=True)])
    view = memory.astype(array.dtype)[tuple(slice(None, None, step) for step in steps)]
    view[...] = turned
    return view.transpose(np.argsort(order))


class Layout(NamedTuple):
    """Where slices lie in an array."""

    name: str
    dim: int | tuple[int, ...] | None
    place: Callable[[Array], Array]
    """From slices, the rows of a matrix, to an array that holds them."""

    def of(self, slices: Array) -> Array:
        """The array, read-only."""
        return read_only(self.place(slices))


def _within(shape: tuple[int, ...], index: Any, x: Array) -> Array:
    """`x` as the part `index` of a larger array, whose other elements must not count."""
    larger = np.full(shape, np.nan if x.dtype.kind == "f" else 77, x.dtype)
    larger[index] = x
    part: Array = larger[index]
    return part


def _factors(length: int) -> tuple[int, int]:
    """The length as a product, of its smallest factor if it has one."""
    first = next((p for p in (2, 3, 5, 7, 11) if length % p == 0), 1)
    return first, length // first


def _padded_rows(x: Array) -> Array:
    return _within((x.shape[0], x.shape[1] + 3), np.s_[:, 1:-2], x)


def _padded_columns(x: Array) -> Array:
    return _within((x.shape[1], x.shape[0] + 5), np.s_[:, 2:-3], x.T)


def _every_other(x: Array) -> Array:
    return _within((x.shape[0], 2 * x.shape[1]), np.s_[:, ::2], x)


def _every_third_row(x: Array) -> Array:
    return _within((3 * x.shape[1], x.shape[0]), np.s_[::3], x.T)


def _columns_apart(x: Array) -> Array:
    return _within((x.shape[1], 2 * x.shape[0]), np.s_[:, ::2], x.T)


def _backwards(x: Array) -> Array:
    return np.ascontiguousarray(x[:, ::-1])[:, ::-1]


def _batch_backwards(x: Array) -> Array:
    return np.ascontiguousarray(x[::-1])[::-1]


def _both_backwards(x: Array) -> Array:
    return np.ascontiguousarray(x.T[::-1, ::-1])[::-1, ::-1]


def _in_the_middle(x: Array) -> Array:
    slices, length = x.shape
    outer, inner = _factors(slices)
    return np.ascontiguousarray(x.reshape(outer, inner, length).swapaxes(1, 2))


def _around(x: Array) -> Array:
    slices, length = x.shape
    return np.ascontiguousarray(x.reshape(slices, *_factors(length)).swapaxes(0, 1))


def _joint_in_fortran_order(x: Array) -> Array:
    return np.asfortranarray(x.reshape(x.shape[0], *_factors(x.shape[1])))


def _many_dims(x: Array) -> Array:
    slices, length = x.shape
    return np.ascontiguousarray(x.reshape(1, *_factors(slices), length).transpose(1, 0, 3, 2))


LAYOUTS = [
    Layout("rows", -1, np.ascontiguousarray),
    Layout("padded rows", 1, _padded_rows),
    Layout("dim 0", 0, lambda x: np.ascontiguousarray(x.T)),
    Layout("transposed", 1, np.asfortranarray),
    Layout("padded columns", 0, _padded_columns),
    Layout("every other element", 1, _every_other),
    Layout("every third row", 0, _every_third_row),
    Layout("columns apart", 0, _columns_apart),
    Layout("backwards", 1, _backwards),
    Layout("batch backwards", 1, _batch_backwards),
    Layout("both backwards", 0, _both_backwards),
    Layout("dim in the middle", 1, _in_the_middle),
    Layout("dims around the batch", (0, -1), _around),
    Layout("joint dims in Fortran order", (2, 1), _joint_in_fortran_order),
    Layout("many dims", 2, _many_dims),
    Layout("whole array", None, np.ascontiguousarray),
    Layout("whole array in Fortran order", None, np.asfortranarray),
    Layout("batch of one row repeated", 1, lambda x: np.broadcast_to(x[:1], x.shape)),
    Layout("one column repeated", 1, lambda x: np.broadcast_to(x[:, :1], x.shape)),
]


# --- How an array is stored -----------------------------------------------------------


def big_endian(x: Array) -> Array:
    """The same numbers in the byte order of others."""
    return x.astype(x.dtype.newbyteorder(">"), order="K")


def unaligned(x: Array) -> Array:
    """The same numbers from an odd address on, in C or Fortran order."""
    order: Any = "F" if x.flags.f_contiguous and not x.flags.c_contiguous else "C"
    memory = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype)
    moved = memory.reshape(x.shape, order=order)
    moved[...] = x
    return moved


def field_of_records(x: Array) -> Array:
    """The same numbers 3 bytes apart from one another."""
    records = np.zeros(x.shape, [("gap", np.uint8, 3), ("x", x.dtype)])
    records["x"] = x
    return records["x"]


STORAGES = {
    "big-endian": big_endian,
    "unaligned": unaligned,
    "field of records": field_of_records,
}
