"""Input, second input, mask and result each in a layout of its own: the bits of contiguous ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import logits, placed, read_only
from relatives import RELATIVES, Relative, name_of

Array = np.ndarray[Any, Any]

LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 64, 65, 100, 1000, 5000]
DRAWS = 12


@pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("masked", [False, True])
def test_the_bits_of_contiguous_arrays(
    relative: Relative, length: int, masked: bool, dtype: Any
) -> None:
    rng = np.random.default_rng(length)
    shapes = [(40, length), (2, 40, length), (length, 70), (3, length, 7), (7, 2, length)]
    for shape in shapes:
        dim = shape.index(length, 1 if shape[0] != length else 0)
        slices = logits((int(np.prod(shape)) // length, length), dtype, 3.0)
        moved = [*shape[:dim], *shape[dim + 1 :], length]
        inputs = [
            np.ascontiguousarray(np.moveaxis(each.reshape(moved), -1, dim))
            for each in relative.given_rows(slices)
        ]
        more = {"where": rng.random(shape) < 0.7} if masked else {}
        wanted = relative.call(*inputs, dim, **more)
        for _ in range(DRAWS):
            given = [read_only(placed(each, rng)) for each in inputs]
            others = {name: read_only(placed(each, rng)) for name, each in more.items()}
            strides = [each.strides for each in (*given, *others.values())]
            got = relative.call(*given, dim, **others)
            assert np.array_equal(got, wanted), (shape, dim, strides)
            out = placed(np.zeros_like(wanted), rng)
            relative.call(*given, dim, **others, out=out)
            assert np.array_equal(out, wanted), (shape, dim, strides, out.strides)
