"""The table of contenders, shared by all measurements.

To add one, write a class with a `name` and `prepare`, and add it to `CONTENDERS`:
docs/benchmarks.md shows it.
"""

from __future__ import annotations

import os
import runpy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.contender import LIMIT, OURS, PEER, VARIANT, Calls, Contender

if TYPE_CHECKING:
    from benchmarks.workloads import Array, Case

__all__ = ["CONTENDERS", "LIMIT", "OURS", "PEER", "VARIANT", "Calls", "Contender", "load", "named"]


class Fastsoftmax(Contender):
    """The library itself."""

    name = "fastsoftmax"
    kind = OURS
    package = "fastsoftmax"

    def prepare(self, x: Array, dim: int) -> Calls:
        from fastsoftmax import softmax

        out = np.empty_like(x)
        options: dict[str, Any] = {} if self.threads is None else {"workers": self.threads}
        return Calls(
            partial(softmax, x, dim, **options), partial(softmax, x, dim, out=out, **options), out
        )


class FastsoftmaxSerial(Fastsoftmax):
    """The library itself on one thread."""

    name = "fastsoftmax-serial"
    label = "fastsoftmax, serial"
    kind = VARIANT
    threads = 1


class Torch(Contender):
    """PyTorch on the CPU, tensors in and out."""

    name = "torch"
    package = "torch"

    def start(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)

    def tensor(self, x: Array) -> Any:
        """A tensor with the shape, strides and bytes of `x`."""
        import torch

        if x.dtype == "bfloat16":
            return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(x)

    def prepare(self, x: Array, dim: int) -> Calls:
        import torch

        tensor = self.tensor(x)
        out = torch.empty_like(tensor)
        return Calls(
            partial(torch.softmax, tensor, dim),
            partial(torch.softmax, tensor, dim, out=out),
            out,
            self._to_numpy,
        )

    @staticmethod
    def _to_numpy(tensor: Any) -> Array:
        import torch

        result: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        return result


class OnnxRuntime(Contender):
    """ONNX Runtime: a model of one Softmax node, values in and out."""

    name = "onnxruntime"
    label = "ONNX Runtime"
    package = "onnxruntime"
    also = ("onnx",)
    _threads = 1

    def refusal(self, case: Case) -> str:
        return "no Softmax of this dtype" if case.dtype == "bfloat16" else ""

    def start(self, threads: int) -> None:
        self._threads = threads

    def prepare(self, x: Array, dim: int) -> Calls:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        session = ort.InferenceSession(
            self._model(x, dim), options, providers=["CPUExecutionProvider"]
        )
        value = self._value(x)
        target = ort.OrtValue.ortvalue_from_numpy(np.empty(x.shape, x.dtype))
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", value)
        binding.bind_ortvalue_output("y", target)
        if not x.flags.c_contiguous:  # which it cannot read as it stands: the copy is timed, too

            def fresh() -> Any:
                return session.run_with_ort_values(["y"], {"x": self._value(x)})

            def into() -> None:
                binding.bind_ortvalue_input("x", self._value(x))
                session.run_with_iobinding(binding)

            return Calls(fresh, into, target, self._to_numpy)
        return Calls(
            partial(session.run_with_ort_values, ["y"], {"x": value}),
            partial(session.run_with_iobinding, binding),
            target,
            self._to_numpy,
        )

    @staticmethod
    def _value(x: Array) -> Any:
        import onnxruntime as ort

        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x))

    @staticmethod
    def _model(x: Array, dim: int) -> bytes:
        from onnx import TensorProto, helper

        kinds = {
            "float16": TensorProto.FLOAT16,
            "bfloat16": TensorProto.BFLOAT16,
            "float32": TensorProto.FLOAT,
            "float64": TensorProto.DOUBLE,
        }
        value, result = (
            helper.make_tensor_value_info(name, kinds[x.dtype.name], x.shape) for name in "xy"
        )
        node = helper.make_node("Softmax", ["x"], ["y"], axis=dim)
        graph = helper.make_graph([node], "softmax", [value], [result])
        opset = [helper.make_opsetid("", 13)]
        model: bytes = helper.make_model(
            graph, opset_imports=opset, ir_version=8
        ).SerializeToString()
        return model

    @staticmethod
    def _to_numpy(result: Any) -> Array:
        value = result[0] if isinstance(result, list) else result
        array: Array = value.numpy()
        return array


class Jax(Contender):
    """JAX on the CPU, compiled ahead for the shape; arrays in and out."""

    name = "jax"
    label = "JAX"
    package = "jax"
    into_out = False

    def start(self, threads: int) -> None:
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        config: Any = jax.config
        config.update("jax_enable_x64", True)

    def prepare(self, x: Array, dim: int) -> Calls:
        import jax

        array = jax.device_put(np.ascontiguousarray(x))
        compiled = jax.jit(partial(jax.nn.softmax, axis=dim)).lower(array).compile()
        if not x.flags.c_contiguous:  # which no array of JAX is: the copy is timed, too
            put = jax.device_put
            return Calls(lambda: compiled(put(np.ascontiguousarray(x))).block_until_ready())
        return Calls(lambda: compiled(array).block_until_ready())


class Scipy(Contender):
    """scipy.special.softmax."""

    name = "scipy"
    label = "SciPy"
    package = "scipy"
    threads = 1
    into_out = False

    def prepare(self, x: Array, dim: int) -> Calls:
        from scipy.special import softmax

        return Calls(partial(softmax, x, axis=dim))


class ScikitLearn(Contender):
    """scikit-learn's softmax of the rows of a matrix, sklearn.utils.extmath.softmax."""

    name = "scikit-learn"
    package = "sklearn"
    distribution = "scikit-learn"
    threads = 1
    into_out = False

    def refusal(self, case: Case) -> str:
        return "" if (len(case.shape), case.dim) == (2, 1) else "rows of matrices only"

    def prepare(self, x: Array, dim: int) -> Calls:
        from sklearn.utils.extmath import softmax

        return Calls(partial(softmax, x))


class Numpy(Contender):
    """NumPy by hand, in as few temporaries as it takes."""

    name = "numpy"
    label = "NumPy by hand"
    package = "numpy"
    threads = 1

    def prepare(self, x: Array, dim: int) -> Calls:
        def into(out: Array) -> Array:
            np.subtract(x, x.max(axis=dim, keepdims=True), out=out)
            np.exp(out, out=out)
            np.divide(out, out.sum(axis=dim, keepdims=True), out=out)
            return out

        out = np.empty_like(x)
        return Calls(lambda: into(np.empty_like(x)), partial(into, out), out)


class Copy(Contender):
    """Not a softmax: NumPy's copy of the input, on one thread."""

    name = "copy"
    kind = LIMIT
    package = "numpy"
    threads = 1

    def prepare(self, x: Array, dim: int) -> Calls:
        out = np.empty_like(x)
        return Calls(partial(x.copy, order="K"), partial(np.copyto, out, x), out)


class CopyThreads(Torch):
    """Not a softmax: torch's copy, on all threads and past the caches where that is faster."""

    name = "copy-threads"
    label = "copy, threads"
    kind = LIMIT

    def prepare(self, x: Array, dim: int) -> Calls:
        tensor = self.tensor(x)
        out = tensor.clone()
        return Calls(tensor.clone, partial(out.copy_, tensor), out, self._to_numpy)


CONTENDERS: list[Contender] = [
    Fastsoftmax(),
    FastsoftmaxSerial(),
    Torch(),
    OnnxRuntime(),
    Jax(),
    Scipy(),
    ScikitLearn(),
    Numpy(),
    Copy(),
    CopyThreads(),
]


def load(path: str) -> None:
    """Run a Python file that adds contenders of one's own to the table, or replaces some."""
    runpy.run_path(path, run_name="contenders_of_ones_own")
    CONTENDERS[:] = {contender.name: contender for contender in CONTENDERS}.values()


def named(name: str) -> Contender:
    """The contender of that name, whatever its case.

    Raises
    ------
    ValueError
        If there is none.
    """
    for contender in CONTENDERS:
        if contender.name.lower() == name.strip().lower():
            return contender
    known = ", ".join(contender.name for contender in CONTENDERS)
    raise ValueError(f"there is no contender {name!r}; there are {known}")
