"""Beside the libraries that people come from: no further from them than they are from the truth.

SciPy is always there.  The others are compared where they are installed (``-m peers``).
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import scipy.special
from arrays import logits, read_only
from family import SOFTMAX
from reference import EXTENDED

import fastsoftmax

Array = np.ndarray[Any, Any]

CASES = [
    ((7,), 0),
    ((40, 10), 1),
    ((40, 300), 1),
    ((300, 40), 0),
    ((2, 3, 40, 50), 1),
    ((2, 50_257), 1),
    ((10_000, 5), 0),
    ((6, 7, 8), (0, 2)),
    ((6, 7, 8), None),
]
SCALES = [1.0, 10.0, 30.0]


def scipys(x: Array, dim: Any) -> Array:
    return np.asarray(scipy.special.softmax(x, axis=dim))


def torchs(x: Array, dim: int) -> Array:
    torch = importlib.import_module("torch")
    return np.asarray(torch.softmax(torch.from_numpy(x.copy()), dim))


def jaxs(x: Array, dim: Any) -> Array:
    jax = importlib.import_module("jax")
    with jax.enable_x64(True):
        return np.asarray(jax.nn.softmax(jax.numpy.asarray(x), axis=dim))


def onnx_runtimes(x: Array, dim: int) -> Array:
    helper = importlib.import_module("onnx.helper")
    runtime = importlib.import_module("onnxruntime")
    kind = {"float32": 1, "float64": 11}[x.dtype.name]
    ends = [helper.make_tensor_value_info(name, kind, x.shape) for name in "xy"]
    node = helper.make_node("Softmax", ["x"], ["y"], axis=dim)
    graph = helper.make_graph([node], "softmax", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=runtime.get_available_providers()
    )
    return np.asarray(session.run(None, {"x": x.copy()})[0])


def scikit_learns(x: Array, dim: int) -> Array:
    """Which takes rows alone."""
    softmax = importlib.import_module("sklearn.utils.extmath").softmax
    rows = np.moveaxis(x, dim, -1)
    result = softmax(np.ascontiguousarray(rows).reshape(-1, rows.shape[-1]), copy=True)
    return np.moveaxis(np.asarray(result).reshape(rows.shape), -1, dim)


PEERS = {
    "torch": (["torch"], torchs),
    "jax": (["jax"], jaxs),
    "onnxruntime": (["onnx", "onnxruntime"], onnx_runtimes),
    "scikit-learn": (["sklearn"], scikit_learns),
}


def assert_within_their_error(x: Array, dim: Any, theirs: Array) -> None:
    """``|ours - theirs| <= |theirs - exact| + 2 ulp``."""
    ours, exact = SOFTMAX.call(x, dim), SOFTMAX.exact(x, dim)
    assert theirs.dtype == ours.dtype
    assert theirs.shape == ours.shape
    units = np.spacing(exact.astype(ours.dtype)).astype(EXTENDED)
    distance = np.abs(ours.astype(EXTENDED) - theirs.astype(EXTENDED))
    assert (distance <= np.abs(theirs.astype(EXTENDED) - exact) + 2 * units).all()


@pytest.mark.parametrize(("shape", "dim"), CASES)
@pytest.mark.parametrize("scale", SCALES)
def test_scipy(dtype: Any, shape: Any, dim: Any, scale: float) -> None:
    x = logits(shape, dtype, scale)
    assert_within_their_error(x, dim, scipys(x, dim))


@pytest.mark.parametrize("values", [[0, np.nan, 1], [0, np.inf], [0, -np.inf], [-np.inf] * 2, [9]])
def test_scipy_agrees_on_what_is_not_finite(dtype: Any, values: list[float]) -> None:
    x = np.array(values, dtype)
    with np.errstate(all="ignore"):
        theirs = scipys(x, 0)
    assert np.array_equal(np.isnan(SOFTMAX.call(x, 0)), np.isnan(theirs))


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("peer", PEERS)
def test_other_peers(peer: str, dtype: Any) -> None:
    needed, theirs = PEERS[peer]
    for module in needed:
        pytest.importorskip(module)
    for shape, dim in CASES:
        if isinstance(dim, int):
            for scale in SCALES:
                x = logits(shape, dtype, scale)
                assert_within_their_error(x, dim, theirs(x, dim))


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_torch_agrees_on_arguments_and_what_is_not_finite() -> None:
    torch = pytest.importorskip("torch")
    inf, nan = np.inf, np.nan
    x = np.array([[0, nan, 1], [0, inf, 1], [0, -inf, 1], [-inf] * 3, [inf, -inf, 0]], np.float32)
    theirs = torch.softmax(torch.from_numpy(x), 1).numpy()
    assert np.array_equal(np.isnan(SOFTMAX.call(x, 1)), np.isnan(theirs))
    for dim in (2, -3, 7):
        with pytest.raises(IndexError) as ours:
            fastsoftmax.softmax(x, dim)
        with pytest.raises(IndexError) as their:
            torch.softmax(torch.from_numpy(x), dim)
        assert str(ours.value) == str(their.value)
    for given in (np.float32(3), np.zeros((0, 3), np.float32)):
        own = torch.softmax(torch.tensor(given), -1)
        assert tuple(own.shape) == fastsoftmax.softmax(given, -1).shape
    wide = read_only(np.array([0.1, 0.2]))
    cast = torch.softmax(torch.tensor(wide), 0, dtype=torch.float32).numpy()
    assert np.allclose(fastsoftmax.softmax(wide, 0, np.float32), cast, rtol=2e-7, atol=0)
    assert np.array_equal(
        fastsoftmax.softmax(x, axis=1)[2], fastsoftmax.softmax(x, dim=1)[2]
    )  # as in torch.softmax(x, axis=1)
