"""The call of `explain`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastsoftmax import _calls, _compute, _launch
from fastsoftmax._arguments import array_of
from fastsoftmax._calls import FORWARD, GRADIENTS
from fastsoftmax._dtypes import kernel_dtype
from fastsoftmax._explanation import Explanation


def explain(function: str, *arguments: Any) -> Explanation:
    """See `fastsoftmax.explain`."""
    known = (*FORWARD, *GRADIENTS)
    if not isinstance(function, str) or function not in known:
        raise ValueError(f"function={function!r}; it must be one of {', '.join(known)}")
    input, _, dtype, *_, workers = arguments
    if function in GRADIENTS:
        if dtype is not None:
            raise TypeError(f"dtype={dtype!r}; {function} has no such argument")
        array_of("input", input)  # refused by this name, if it is
        call, _ = _calls.backward(function, arguments, input)
    else:
        if function == "logsumexp":  # whose `out` has another shape, and makes no difference
            arguments = (*arguments[:4], None, *arguments[5:])
        call, _ = _calls.forward(function, *arguments)
    elements = math.prod(call.shape)
    slices = elements // call.length if call.length else 0
    if elements == 0 or kernel_dtype(call.dtype) is None or call.is_single:
        return Explanation(
            "numpy", slices, call.length, str(call.dtype), 1, _launch.layer(), None, (), False,
            "compiled",
        )  # fmt: skip
    plan, copies = _compute.outline(call, writes=function != "logsumexp")
    threads = plan.threads(workers)
    return Explanation(
        plan.kind,
        slices,
        call.length,
        str(np.dtype(np.float32 if plan.item == 4 else np.float64)),
        threads,
        _launch.layer(),
        plan.tile,
        copies,
        plan.streaming,
        plan.state(threads > 1),
    )
