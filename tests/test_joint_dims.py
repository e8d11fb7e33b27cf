"""Slices over several dims that are not one in memory, beside other dims: columns of many runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import DTYPES, logits, read_only
from halves import HALVES
from relatives import LOG_SOFTMAX, LOGSUMEXP, RELATIVES, SOFTMAX, Relative, name_of
from ulps import assert_same_bits

from fastsoftmax import explain

Array = np.ndarray[Any, Any]

EACH = pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
EACH_DTYPE = pytest.mark.parametrize("dtype", [*DTYPES, *HALVES], ids=name_of)
# One lane, several, runs that are prime or of one row, three axes, more than a block.
CASES = [
    ((3, 5, 7, 64), (0, 2), "columns"),
    ((2, 3, 2, 4), (0, 2), "columns"),
    ((1, 3, 31, 2, 33), (2, 4), "rows"),
    ((5, 2, 3, 3, 2, 17), (0, 2, 4), "columns"),
    ((13, 3, 11, 130), (0, 2), "columns"),
    ((70, 3, 70, 40), (0, 2), "split"),
    ((70, 2, 70, 5), (0, 2), "rows"),
    ((9, 3, 9, 5), (0, 2), "rows"),
]


def inputs_for(relative: Relative, shape: tuple[int, ...], dim: Any, dtype: Any) -> Any:
    """The inputs, with slices far from one another."""
    far = logits(shape[-1:], np.float64, 60.0)
    x = read_only((logits(shape, np.float64, 3.0) + far).astype(dtype))
    if relative.inputs == 1:
        return (x,)
    forward = LOG_SOFTMAX if "log" in relative.name else SOFTMAX
    return read_only(logits(shape, np.float64, 2.0).astype(dtype)), read_only(forward.call(x, dim))


def in_rows(x: Any, dim: tuple[int, ...]) -> Array:
    """The same numbers with slices along memory."""
    others = [i for i in range(np.ndim(x)) if i not in dim]
    order = [*others, *dim]
    turned = np.ascontiguousarray(np.transpose(x, order))
    return np.asarray(turned.reshape(*turned.shape[: len(others)], -1))


def apart(relative: Relative, inputs: Any, dim: tuple[int, ...], **more: Any) -> Array:
    """What the function makes of slices along memory, in the same order as `in_rows`."""
    return relative.call(*(in_rows(each, dim) for each in inputs), -1, **more)


@EACH
@EACH_DTYPE
def test_the_same_as_along_memory(relative: Relative, dtype: Any) -> None:
    for shape, dim, kernel in CASES:
        inputs = inputs_for(relative, shape, dim, dtype)
        if relative is SOFTMAX:
            assert explain(inputs[0], dim).kernel == kernel, shape
        wanted = apart(relative, inputs, dim)
        for workers in (1, 2):
            result = relative.call(*inputs, dim, workers=workers)
            assert_same_bits(in_rows(result, dim), wanted, (shape, workers))


@EACH
@pytest.mark.parametrize("kind", ["of each element", "of one dim", "of the other dims"])
def test_masks(relative: Relative, dtype: Any, kind: str) -> None:
    """Masks may be broadcast, along dims of slices and others."""
    for shape, dim, _ in CASES:
        kept = {"of each element": range(len(shape)), "of one dim": dim[-1:]}
        others = [i for i in range(len(shape)) if i not in dim]
        own = [size if i in kept.get(kind, others) else 1 for i, size in enumerate(shape)]
        mask = np.random.default_rng(7).random(own) < 0.7
        mask[..., :1] = False
        inputs = inputs_for(relative, shape, dim, dtype)
        full = np.ascontiguousarray(np.broadcast_to(mask, shape))
        wanted = apart(relative, inputs, dim, where=in_rows(full, dim))
        for workers in (1, 2):
            result = relative.call(*inputs, dim, where=read_only(mask), workers=workers)
            assert_same_bits(in_rows(result, dim), wanted, (shape, workers))


@pytest.mark.parametrize("relative", [each for each in RELATIVES if not each.reduces], ids=name_of)
def test_what_lies_between_is_left_alone(relative: Relative, dtype: Any) -> None:
    """In place, into a part of larger memory, from parts of it; temperatures differ."""
    for shape, dim, _ in CASES:
        inputs = inputs_for(relative, shape, dim, dtype)
        degrees = np.ones([1 if i in dim else size for i, size in enumerate(shape)])
        degrees[..., 1:] = 2.0
        for more in ({}, {"temperature": degrees}):
            rows = {key: in_rows(value, dim) for key, value in more.items()}
            wanted = apart(relative, inputs, dim, **rows)
            inside = tuple(slice(1, 1 + size) for size in shape)
            larger = tuple(size + 3 for size in shape)
            given = []
            for each in inputs:
                memory = np.full(larger, np.nan, dtype)
                memory[inside] = each
                given.append(read_only(memory[inside]))
            memory = np.full(larger, 7.0, dtype)
            relative.call(*given, dim, out=memory[inside], workers=2, **more)
            assert_same_bits(in_rows(memory[inside], dim), wanted, shape)
            memory[inside] = 7.0
            assert (memory == 7.0).all()
            *others, last = (each.copy() for each in inputs)
            relative.call(*others, last, dim, out=last, workers=2, **more)
            assert_same_bits(in_rows(last, dim), wanted, shape)


def test_results_past_the_caches(dtype: Any) -> None:
    """Rows that begin with a line, and rows that don't, of slices of one block and of more."""
    for shape in ((24, 3, 40, 3328), (1, 64, 2, 80, 1024), (24, 3, 40, 3329), (70, 2, 70, 1000)):
        x = logits(shape[-4:], dtype, 2.0)
        dim = (0, 2)
        assert explain(x, dim).streaming or x.nbytes < 1 << 25
        wanted = apart(SOFTMAX, (x,), dim)
        memory = np.zeros(x.size + 64, dtype)
        for offset in (0, 5):
            out = memory[offset : offset + x.size].reshape(x.shape)
            assert_same_bits(in_rows(SOFTMAX.call(x, dim, out=out, workers=2), dim), wanted, shape)


@EACH
def test_accuracy(relative: Relative, dtype: Any) -> None:
    for shape, dim, _ in CASES[:4]:
        inputs = inputs_for(relative, shape, dim, dtype)
        relative.assert_accurate(relative.call(*inputs, dim), inputs, dim, shape)


def test_large_values(dtype: Any) -> None:
    """Slices whose maxima are too large for the kernels' frames, beside others."""
    for shape, dim, _ in CASES:
        x = logits(shape, dtype).copy()
        x[..., 1] = np.where(x[..., 1] > 0, np.finfo(dtype).max, np.finfo(dtype).max / 2)
        x[..., 2] = -np.inf
        x[..., 3] *= np.finfo(dtype).max / 16
        for relative in (SOFTMAX, LOG_SOFTMAX, LOGSUMEXP):
            result = relative.call(x, dim)
            assert_same_bits(in_rows(result, dim), apart(relative, (x,), dim), shape)
