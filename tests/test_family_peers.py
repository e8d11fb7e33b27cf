"""The relatives of softmax beside the libraries that people come from, within those's errors.

SciPy is always there.  The others are compared where they are installed (``-m peers``).
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import reference
import scipy.special
from arrays import logits

import fastsoftmax

Array = np.ndarray[Any, Any]
CASES = [((40, 10), 1), ((40, 300), 1), ((300, 40), 0), ((2, 3, 40, 5), 2), ((2, 9000), 1)]
SCALES = [1.0, 10.0, 30.0]


def assert_agree(got: Any, peers: Any, exact: Array) -> None:
    """Apart by what the peer is from the truth, and by our own 4 ULP."""
    wide = np.asarray(peers, np.longdouble)
    with np.errstate(all="ignore"):
        own = 4 * np.spacing(np.abs(exact).astype(got.dtype)).astype(np.longdouble)
    assert (np.abs(got - wide) <= np.abs(wide - exact) + own).all()
    # And the peer is not far: both mean the same.
    assert np.allclose(got, wide, rtol=1e-3, atol=1e-4 if got.dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_scipy(dtype: Any, shape: Any, dim: int, scale: float) -> None:
    x = logits(shape, dtype, scale)
    logs = fastsoftmax.log_softmax(x, dim)
    assert_agree(logs, scipy.special.log_softmax(x, axis=dim), reference.log_softmax(x, dim))
    for keep in (True, False):
        lse = fastsoftmax.logsumexp(x, dim, keepdims=keep)
        peers = scipy.special.logsumexp(x, axis=dim, keepdims=keep)
        exact = reference.logsumexp(x, dim).reshape(lse.shape)
        assert_agree(lse, peers, exact)


def test_scipy_on_infinities() -> None:
    inf = np.inf
    x = np.array([[0, inf], [0, -inf], [-inf, -inf], [inf, inf], [1, np.nan]])
    with np.errstate(all="ignore"):
        wanted = scipy.special.logsumexp(x, axis=1)
    assert np.allclose(fastsoftmax.logsumexp(x, 1), wanted, equal_nan=True, rtol=1e-15)


def test_weights_are_logarithms_added(dtype: Any) -> None:
    x = logits((20, 30), dtype, 3.0)
    b = np.random.default_rng(2).uniform(0.1, 2, (20, 30)).astype(dtype)
    wanted = scipy.special.logsumexp(x.astype(np.float64), axis=1, b=b.astype(np.float64))
    got = fastsoftmax.logsumexp(x + np.log(b), 1)
    assert np.allclose(got, wanted, rtol=1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.peers
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_torch(dtype: Any, shape: Any, dim: int, scale: float) -> None:
    pytest.importorskip("torch")
    torch = importlib.import_module("torch")
    x = logits(shape, dtype, scale)
    grad = logits((*shape, 1), dtype)[..., 0]
    given, kind = torch.from_numpy(x.copy()), torch.from_numpy(x.copy()).dtype
    for name in ("log_softmax", "softmin", "logsumexp"):
        got = np.asarray(getattr(fastsoftmax, name)(x, dim))
        functions = torch if name == "logsumexp" else torch.nn.functional
        peers = getattr(functions, name)(given, dim).numpy()
        exact = getattr(reference, name)(x, dim).reshape(got.shape)
        assert_agree(got, peers, exact)
    for name, forward in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
        output = forward(given, dim)
        backward = getattr(torch, f"_{name}_backward_data")
        peers = backward(torch.from_numpy(grad.copy()), output, dim, kind).numpy()
        got = getattr(fastsoftmax, f"{name}_backward")(grad, output.numpy(), dim)
        eps = float(np.finfo(dtype).eps)
        assert np.allclose(got, peers, rtol=1000 * eps, atol=1000 * eps * np.abs(grad).max())


@pytest.mark.peers
@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_torch_computes_gradients_by_itself(dtype: Any, shape: Any, dim: int) -> None:
    """With a temperature, by differentiating: what `temperature` is to mean."""
    pytest.importorskip("torch")
    torch = importlib.import_module("torch")
    x, grad = logits(shape, dtype, 3.0), logits((*shape, 1), dtype)[..., 0]
    for name in ("softmax", "log_softmax"):
        given = torch.from_numpy(x.copy()).requires_grad_()
        output = getattr(torch, name)(given / 0.7, dim)
        output.backward(torch.from_numpy(grad.copy()))
        own = getattr(fastsoftmax, name)(x, dim, temperature=0.7)
        backward = getattr(fastsoftmax, f"{name}_backward")
        got = backward(grad, own, dim, temperature=0.7)
        eps = float(np.finfo(dtype).eps)
        scale = 1000 * eps * np.abs(grad).max()
        assert np.allclose(got, given.grad.numpy(), rtol=1000 * eps, atol=scale)


@pytest.mark.peers
@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_jax(dtype: Any, shape: Any, dim: int) -> None:
    pytest.importorskip("jax")
    jax = importlib.import_module("jax")
    x = logits(shape, dtype, 10.0)
    shown = np.random.default_rng(5).random(shape) < 0.7
    np.put_along_axis(shown, np.zeros_like(shown.take([0], dim), np.intp), True, dim)
    with jax.enable_x64(True):
        logs = np.asarray(jax.nn.log_softmax(jax.numpy.asarray(x), axis=dim))
        lse = np.asarray(jax.nn.logsumexp(jax.numpy.asarray(x), axis=dim))
        masked = np.asarray(jax.nn.softmax(jax.numpy.asarray(x), axis=dim, where=shown))
    assert_agree(fastsoftmax.log_softmax(x, dim), logs, reference.log_softmax(x, dim))
    exact = reference.logsumexp(x, dim).reshape(lse.shape)
    assert_agree(fastsoftmax.logsumexp(x, dim), lse, exact)
    assert_agree(
        fastsoftmax.softmax(x, dim, where=shown), masked, reference.softmax(x, dim, where=shown)
    )


@pytest.mark.peers
def test_torch_top_k(dtype: Any) -> None:
    pytest.importorskip("torch")
    torch = importlib.import_module("torch")
    x = logits((30, 40), dtype, 3.0)
    for dim in (0, 1):
        values, places = torch.topk(torch.softmax(torch.from_numpy(x.copy()), dim), 5, dim)
        got, own = fastsoftmax.top_k(x, 5, dim)
        assert np.array_equal(own, places.numpy())
        assert np.allclose(got, values.numpy(), rtol=100 * np.finfo(dtype).eps)
