"""One measurement in a process that has done nothing before; prints one line of JSON."""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import contenders, memory_use
from benchmarks.workloads import Case

if TYPE_CHECKING:
    from collections.abc import Callable

SHRINK = 16
"""The first dims of a large input are so many times shorter while a library warms up."""


def import_time(name: str) -> dict[str, Any]:
    """Seconds that the package's import takes after NumPy's."""
    package = contenders.named(name).package
    start = time.perf_counter()
    importlib.import_module(package)
    return {"seconds": time.perf_counter() - start}


def first_result(name: str, case: Case, threads: int) -> dict[str, Any]:
    """Seconds from the import to the first result, and to the second after that."""
    contender = contenders.named(name)
    array = case.array()
    start = time.perf_counter()
    contender.start(threads)
    call = contender.prepare(array, case.dim).fresh
    call()
    first = time.perf_counter()
    call()
    return {"seconds": first - start, "second": time.perf_counter() - first}


def peak_memory(name: str, case: Case, threads: int, mode: str) -> dict[str, Any]:
    """Bytes at the peak of a call beyond what was there before, and beyond a new result."""
    contender = contenders.named(name)
    contender.start(threads)
    _call(contender, smaller(case), mode)[0]()
    call, result_bytes = _call(contender, case, mode)
    before = memory_use.resident()
    exact = memory_use.forget_peak()
    result = call()
    beyond = memory_use.peak() - before - result_bytes
    del result
    return {"bytes": beyond, "exact": exact}


def _call(contender: contenders.Contender, case: Case, mode: str) -> tuple[Callable[[], Any], int]:
    """The call, and the bytes of the result that it makes."""
    calls = contender.prepare(case.array(), case.dim)
    if mode == "fresh":
        return calls.fresh, case.nbytes
    if calls.out is None:
        raise ValueError("cannot compute into an existing array")
    target = calls.target
    if isinstance(target, np.ndarray):
        target[...] = 0  # its pages are there before the call
    elif hasattr(target, "zero_"):
        target.zero_()
    return calls.out, 0


def smaller(case: Case) -> Case:
    """The same kind of work on less data: all sizes that are not along the dim are smaller.

    A single slice is shortened itself.
    """
    sizes = list(case.shape)
    others = [i for i in range(len(sizes)) if i != case.dim] or [case.dim]
    largest = max(others, key=lambda i: sizes[i])
    sizes[largest] = max(1, sizes[largest] // SHRINK)
    return Case("warm-up", "", tuple(sizes), case.dim, case.dtype, layout=case.layout)


def main() -> None:
    """Do the measurement that the arguments name."""
    request = json.loads(sys.argv[1])
    for file in request.pop("plugins", ()):
        contenders.load(file)
    if "case" in request:
        case = request["case"]
        request["case"] = Case(**{**case, "shape": tuple(case["shape"])})
    what: dict[str, Callable[..., dict[str, Any]]] = {
        "import": import_time,
        "first": first_result,
        "peak": peak_memory,
    }
    print(json.dumps(what[request.pop("what")](**request)))


if __name__ == "__main__":
    main()
