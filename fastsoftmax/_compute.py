"""A checked call: casts, the memory of the result, and the route to the kernels."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastsoftmax import _plain, _temperature
from fastsoftmax._arguments import same_memory
from fastsoftmax._casts import (
    cast,
    converts,
    is_ready,
    stored_as,
    whole_elements,
)
from fastsoftmax._dtypes import FLOAT32, FLOAT64, kernel_dtype
from fastsoftmax._layout import plan_for
from fastsoftmax._memory import empty_like, laid_out_like
from fastsoftmax._plans import NOTHING, Plan, passes_caches
from fastsoftmax._quiet import quiet
from fastsoftmax._task import Task
from fastsoftmax.kernels import operations as ops
from fastsoftmax.kernels.strides import SECOND, SOURCE

if TYPE_CHECKING:
    from fastsoftmax._geometry import Dims

Array = np.ndarray[Any, Any]

_TEMPERED = {
    ops.SOFTMAX: ops.TEMPERED_SOFTMAX,
    ops.LOGS: ops.TEMPERED_LOGS,
    ops.BACKWARD: ops.TEMPERED_BACKWARD,
    ops.LOG_BACKWARD: ops.TEMPERED_LOG_BACKWARD,
}
_OF_HALVES = {
    ops.BACKWARD: ops.HALF_BACKWARD,
    ops.TEMPERED_BACKWARD: ops.TEMPERED_HALF_BACKWARD,
}


class Call(NamedTuple):
    """A call with its arguments checked."""

    operation: ops.Operation
    inputs: tuple[Array, ...]
    dims: Dims
    dtype: np.dtype[Any]
    out: Array | None = None
    where: Array | None = None
    temperature: Array | None = None
    """Float64, of the shape of the inputs with 1 along the dims, or broadcastable to it."""
    workers: int | None = None
    negated: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the inputs."""
        return tuple(self.inputs[0].shape)

    @property
    def kept(self) -> tuple[int, ...]:
        """The shape with 1 for each dim of the slices."""
        return tuple(1 if i in self.dims else size for i, size in enumerate(self.shape))

    @property
    def outer(self) -> tuple[int, ...]:
        """The shape without the dims of the slices."""
        return tuple(size for i, size in enumerate(self.shape) if i not in self.dims)

    @property
    def length(self) -> int:
        """Elements of a slice."""
        return math.prod(self.shape[dim] for dim in self.dims)

    @property
    def is_single(self) -> bool:
        """Whether nothing is computed: softmax of one element, or its logarithm."""
        return self.operation in {ops.SOFTMAX, ops.LOGS} and self.length == 1


def elementwise(call: Call) -> Array:
    """The result of a function whose results have the shape of its input."""
    work = kernel_dtype(call.dtype)
    if math.prod(call.shape) == 0:
        if call.out is not None:
            return call.out
        return np.empty_like(call.inputs[0], call.dtype, subok=False)
    if work is None:
        return _deliver(_plain.elementwise(call), call.out)
    if call.is_single:
        (array,) = call.inputs
        logits, result = quiet(array.astype, call.dtype, copy=False), empty_like(array, call.dtype)
        return _deliver(_plain.singles(call.operation, logits, result, call.where), call.out)
    quotient = _temperature.divided_afterwards(call)
    call = _temperature.with_usual(call)
    stored = stored_of(call, work)
    target = call.out
    if target is None or _needs_temporary(call, target, stored):
        array = call.inputs[0]
        past = passes_caches(array.size * stored.itemsize, across=True)
        target = empty_like(array, stored, call.dims if past else ())
    operands = operands_of(call, stored, target)
    plan_for(operands, task_of(call)).run(operands, call.workers)
    if quotient is not None:
        results = np.asarray(target)  # not as a subclass that divides in its own way
        quiet(np.divide, results, quotient, out=results)
    if target is call.out:
        return target
    if target.dtype != call.dtype:
        target = quiet(target.astype, call.dtype)
    return _deliver(target, call.out)


def outline(call: Call, *, writes: bool) -> tuple[Plan, tuple[str, ...]]:
    """The plan of a call, and what is copied for it; nothing is computed."""
    work = kernel_dtype(call.dtype)
    assert work is not None  # others are `_plain`
    stored = stored_of(call, work)
    names = {SOURCE: "input"}
    if len(call.inputs) > 1:
        names = {SOURCE: "output", SECOND: "grad_output"}
    ready, target = [is_ready(call, each, stored) for each in call.inputs], call.out
    pairs = zip(names.values(), ready, strict=True)
    copies = [f"{name} as {stored}" for name, stands in pairs if not stands]
    if target is None or _needs_temporary(call, target, stored):
        if target is not None or (writes and stored != call.dtype):
            copies.append("result")
        target = laid_out_like(call.inputs[0], stored)
    elif not writes:
        target = np.empty(1, stored)
    inputs = [
        each if stands else _memory_to_cast(call, each, stored, target)
        for each, stands in zip(call.inputs, ready, strict=True)
    ]
    call = call._replace(inputs=tuple(inputs), dtype=stored)
    result = np.broadcast_to(NOTHING[2], call.shape) if not writes else NOTHING[2]
    operands = operands_of(call, stored, target, result)
    task = task_of(call)
    if not writes:
        task = task._replace(options=options_of(call) | ops.SUMMARY_WANTED)
    plan = plan_for(operands, task)
    if plan.moved is not None:
        copies.append(f"{names[plan.moved]} to the result")
    return plan, tuple(copies)


def storage(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """How kernels see arrays of a floating dtype; ValueError if they don't."""
    work = kernel_dtype(dtype)
    if work is None:
        raise ValueError(f"dtype {dtype} is not computed by kernels")
    return stored_as(dtype) if converts(dtype) else work


def stored_of(call: Call, work: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which kernels read and write the elements of a call."""
    if call.temperature is not None and not _temperature.is_usual(call.temperature, work):
        return FLOAT64
    return call.dtype if call.dtype == work or converts(call.dtype) else work


def operation_of(call: Call) -> ops.Operation:
    """The operation of kernels that compute a call."""
    if call.temperature is None:
        return of_dtype(call.operation, call.dtype)
    return of_dtype(_TEMPERED[call.operation], call.dtype)


def of_dtype(operation: ops.Operation, dtype: np.dtype[Any]) -> ops.Operation:
    """An operation as it is for inputs and results of a dtype."""
    if dtype.itemsize < FLOAT32.itemsize:
        return _OF_HALVES.get(operation, operation)
    return operation


def task_of(call: Call) -> Task:
    """What is asked of a plan that writes results."""
    return Task(operation_of(call), options_of(call) | ops.RESULTS, call.dims)


def options_of(call: Call) -> int:
    masked = ops.MASKED if call.where is not None else 0
    return masked | (ops.NEGATED if call.negated else 0)


def operands_of(
    call: Call, stored: np.dtype[Any], target: Array, summary: Array = NOTHING[2]
) -> tuple[Array, ...]:
    """What kernels get, in the order of kernels/strides.py."""
    mask, temperature, _ = NOTHING
    if call.where is not None:
        mask = call.where
        if mask.shape != call.shape:
            mask = np.broadcast_to(mask, call.shape)
        mask = mask.view(np.uint8)
    if call.temperature is not None:
        temperature = call.temperature
        if temperature.size > 1:
            temperature = np.broadcast_to(temperature, call.shape)
    arrays = [_ready(call, array, stored, target) for array in call.inputs]
    view = stored_as(stored)
    second = arrays[1] if len(arrays) > 1 else _placeholder(view)
    first = arrays[0]
    given = stored_as(first.dtype)
    if given is not first.dtype:
        first = first.view(given)
    if view is not stored:
        target, second = target.view(view), second.view(view)
    return first, target, second, mask, temperature, summary


@functools.cache
def _placeholder(dtype: np.dtype[Any]) -> Array:
    """A second input where there is none."""
    return np.zeros(1, dtype)


def _ready(call: Call, array: Array, stored: np.dtype[Any], target: Array) -> Array:
    """An input as kernels can read it: as it stands, or cast, into the target if it is free."""
    if is_ready(call, array, stored):
        return array
    copy = _memory_to_cast(call, array, stored, target)
    cast(call, array, copy)
    return copy


def _memory_to_cast(call: Call, array: Array, stored: np.dtype[Any], target: Array) -> Array:
    """Where an input is cast to: the target if it is free."""
    # `out` is free, too: had the input a part in it, there would be a temporary instead.
    free = len(call.inputs) == 1 and target.size == array.size
    return target if free else empty_like(array, stored)


def _needs_temporary(call: Call, out: Array, stored: np.dtype[Any]) -> bool:
    """Whether results have to be kept elsewhere before they are written to `out`.

    What is computed in another dtype than that of the call is rounded to it first.
    """
    if not out.dtype == stored == call.dtype or not whole_elements(out):
        return True
    others = [each for each in (call.where, call.temperature) if each is not None]
    others += [
        each for each in call.inputs if not (each.dtype == stored and same_memory(each, out))
    ]
    return any(np.may_share_memory(each, out) for each in others)


def _deliver(result: Array, out: Array | None) -> Array:
    if out is None:
        return result
    quiet(np.copyto, out, result, casting="same_kind")
    return out
