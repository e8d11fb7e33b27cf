"""The call of `warmup`."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoftmax import _launch, _recall
from fastsoftmax._calls import FORWARD, GRADIENTS
from fastsoftmax._casts import COMPUTED, reads, stored_as
from fastsoftmax._compute import of_dtype, storage
from fastsoftmax._dtypes import FLOAT32
from fastsoftmax._split import STEPS
from fastsoftmax.kernels import columns, narrow, whole
from fastsoftmax.kernels import operations as ops
from fastsoftmax.kernels.batches import batches
from fastsoftmax.kernels.bunches import bunches
from fastsoftmax.kernels.class_gradients import class_gradients, most_classes
from fastsoftmax.kernels.classes import LEAST_CLASSES, MOST_CLASSES, of_classes
from fastsoftmax.kernels.column_blocks import reduce_column_blocks
from fastsoftmax.kernels.column_gradients import column_gradients
from fastsoftmax.kernels.copies import copy_rows, sides_for, transpose_by
from fastsoftmax.kernels.leaders import leaders
from fastsoftmax.kernels.losses import losses_kernel
from fastsoftmax.kernels.narrow_gradients import narrow_gradients
from fastsoftmax.kernels.row_gradients import row_gradients
from fastsoftmax.kernels.rows import rows
from fastsoftmax.kernels.short import short
from fastsoftmax.kernels.strips import strips

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastsoftmax._jit import Kernel

OPERATIONS = {
    **{name: operation for name, (operation, _) in FORWARD.items()},
    **GRADIENTS,
    "cross_entropy": ops.LOGS,
    "top_k": ops.SOFTMAX,
}
_BESIDES = {"cross_entropy": losses_kernel, "top_k": leaders(ops.SOFTMAX)}
_REDUCING = {"logsumexp", "cross_entropy", "top_k"}
"""Functions that want no more than the summaries of slices."""
LAYOUTS = ("rows", "narrow", "columns", "split", "copied")


def warmup(
    functions: Sequence[str],
    dtypes: Sequence[Any],
    layouts: Sequence[str],
    classes: Sequence[int],
    casts: Sequence[Any],
    parallel: bool,
    progress: Any,
) -> int:
    """See `fastsoftmax.warmup`."""
    functions, layouts = _several(functions), _several(layouts)
    _check("functions", functions, tuple(OPERATIONS))
    _check("layouts", layouts, LAYOUTS)
    classes = [_number_of_classes(each) for each in _several(classes)]
    stored = {storage(_dtype_of("dtypes", each)) for each in _several(dtypes)}
    given = {_cast_from(_dtype_of("casts", each)) for each in _several(casts)}
    wanted = {
        (reader, dtype)
        for function in functions
        for layout in layouts
        for dtype in stored
        for kernel in kernels_for(function, layout, classes, dtype)
        for reader in (kernel, *_readers(kernel, function, dtype, given))
    }
    ordered = sorted(wanted, key=lambda each: (each[0].name, each[1].str))
    jobs: list[tuple[str, Callable[[], Any]]] = [
        (f"{kernel.name} {dtype}", partial(_launch.ready, kernel, dtype))
        for kernel, dtype in ordered
    ]
    # To compile a parallel build loads the threading layer, which is to be the one of calls.
    if parallel and _launch.has_layer():
        loops = {kernel.loop.name: kernel.loop for kernel, _ in ordered}
        jobs += [(name, partial(_launch.ready_loop, loops[name])) for name in sorted(loops)]
    if jobs:
        jobs.append(("recall of small calls", _recall.ready))
    for done, (name, compile_it) in enumerate(jobs):
        if progress is not None:
            progress(done, len(jobs), name)
        compile_it()
    if progress is not None:
        progress(len(jobs), len(jobs), "ready")
    return len(jobs)


def _several(given: Any) -> list[Any]:
    """What was given, be it one or several."""
    is_one = isinstance(given, str | bytes) or not isinstance(given, Iterable)
    return [given] if is_one else list(given)


def _dtype_of(name: str, given: Any) -> np.dtype[Any]:
    if isinstance(given, str) and given == "bfloat16":  # which NumPy knows by name from then on
        with contextlib.suppress(ImportError):
            importlib.import_module("ml_dtypes")
    try:
        dtype: np.dtype[Any] = np.dtype(given)
    except TypeError:
        raise ValueError(f"{name} has {given!r}, which is no dtype of NumPy") from None
    if given is None:  # which NumPy takes for float64
        raise ValueError(f"{name} has None; give a dtype such as float32")
    return dtype


def _cast_from(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """How kernels see inputs of a dtype that they cast."""
    if not reads(dtype):
        raise ValueError(
            f"casts has {dtype}; it must be float16, bfloat16, float32, float64, bool or an "
            "integer of 8, 32 or 64 bits, all native: others are cast before kernels read them"
        )
    return stored_as(dtype)


def _readers(
    kernel: Kernel, function: str, dtype: np.dtype[Any], given: set[np.dtype[Any]]
) -> list[Kernel]:
    """The builds of a kernel that cast inputs of the dtypes `given` to `dtype`."""
    operation = OPERATIONS[function]
    if operation.inputs > 1 or dtype not in COMPUTED or kernel is whole.join(operation):
        return []
    return [kernel.reading(each) for each in given if each != dtype]


def _number_of_classes(given: Any) -> int:
    is_whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if not is_whole or not LEAST_CLASSES <= given <= MOST_CLASSES:
        raise ValueError(
            f"classes has {given!r}; they are whole numbers from {LEAST_CLASSES} to {MOST_CLASSES}"
        )
    return int(given)


def _check(name: str, given: Sequence[str], known: tuple[str, ...]) -> None:
    for each in given:
        if each not in known:
            raise ValueError(f"{name} has {each!r}; they are {', '.join(known)}")


def kernels_for(
    function: str, layout: str, classes: Sequence[int] = (), dtype: np.dtype[Any] = FLOAT32
) -> list[Kernel]:
    """The kernels of a function on one layout, with those of so many `classes`."""
    operation = of_dtype(OPERATIONS[function], dtype)
    besides = [_BESIDES[function]] if function in _BESIDES else []
    if layout == "split":
        steps: list[Callable[..., Kernel]] = [*chain.from_iterable(STEPS.values()), whole.join]
        if operation.inputs == 1:
            steps.append(reduce_column_blocks)
        return [step(operation) for step in steps] + besides
    if layout == "rows" and function == "softmax":
        return [rows, short]
    bare, writes = function in {"softmax", "log_softmax"}, function not in _REDUCING
    if layout == "copied":
        return [copy_rows, *map(transpose_by, sides_for(dtype))] if writes else []
    kernels = {
        "narrow": [narrow.narrow(operation, bare, writes)],
        "columns": [columns.columns(operation, bare)],
        "rows": [whole.along(operation, bare), batches(operation, bare, writes)],
    }[layout]
    if layout == "columns" and function != "softmin":
        kernels += [strips(operation, writes), *([bunches(operation)] if writes else [])]
    if layout == "columns" and operation.inputs == 2:
        kernels.append(column_gradients(operation))
    if operation.inputs == 2:
        kernels += {
            "narrow": [narrow_gradients(operation)],
            "rows": [row_gradients(operation)],
        }.get(layout, [])
    if layout == "narrow" and operation.inputs == 2:
        few = [count for count in classes if count <= most_classes(dtype.itemsize)]
        kernels += [class_gradients(operation, count) for count in few]
    elif layout == "narrow" and writes:
        asked = ops.NEGATED if function == "softmin" else 0
        kernels += [of_classes(operation, count, asked) for count in classes]
    return kernels + besides
