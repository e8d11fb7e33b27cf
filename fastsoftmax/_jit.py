"""Numba's options, and how kernels become machine code: the only place that names either."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import types
from numba.core.compiler import Compiler

from fastsoftmax import _cache, _loops
from fastsoftmax._addresses import BYTES, WORD, WORDS, Data
from fastsoftmax._compilers import DeviceCompiler, KernelCompiler
from fastsoftmax._cpu import FIRST_LEVEL_BYTES, VECTOR_BYTES

if numba.config.DISABLE_JIT:
    raise RuntimeError(
        "NUMBA_DISABLE_JIT is set: kernels of fastsoftmax are written for the compiler and do not "
        "run as Python; unset it"
    )

F = TypeVar("F", bound=Callable[..., Any])

# error_model: the default raises ZeroDivisionError from kernels.  No fastmath: NaN and
# infinities are part of the contract, and the order of every sum is (see kernels/sums.py).
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}
_WITH_OBJECTS: dict[str, Any] = {**_OPTIONS, "nogil": False, "no_cfunc_wrapper": True}
# Without the wrappers that only calls from Python need, a third of the compile time is saved.
_UNWRAPPED: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_INLINED: dict[str, Any] = {**_UNWRAPPED, "forceinline": True}
_APART: dict[str, Any] = {**_UNWRAPPED, "forceinline": False}


SCRATCH_UNIT = 64
"""Scratch memory comes in multiples of this many bytes."""


@functools.cache
def _fingerprint() -> str:
    machine = VECTOR_BYTES, FIRST_LEVEL_BYTES
    return _cache.fingerprint((_OPTIONS, _INLINED, _APART, _WITH_OBJECTS, machine))


def device(function: F) -> F:
    """Make `function` a part of kernels, inlined wherever one calls it."""
    jitted: F = numba.njit(pipeline_class=DeviceCompiler, **_OPTIONS, **_INLINED)(function)
    return jitted


def device_apart(function: F) -> F:
    """The same for what is large and seldom called: it stays a function of its own."""
    jitted: F = numba.njit(pipeline_class=DeviceCompiler, **_OPTIONS, **_APART)(function)
    return jitted


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's garbage collector, which takes a sixth of the time of compiling.

    It looks through all objects again and again, as the compiler makes millions and drops few.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Code:
    """A function of machine code that others call by its address."""

    def __init__(self, function: Callable[..., Any], name: str, **options: Any) -> None:
        # Symbols of machine code are named after their function.  Two kernels of one name, from
        # the caches of two processes, would be taken for one another.
        self._dispatcher = _cached(function, name, **options)

    def state(self, signature: Any) -> str:
        """``"compiled"`` in this process, ``"cached"`` on disk or ``"absent"``."""
        return _state_of(self._dispatcher, signature)

    def compile(self, signature: Any) -> tuple[Callable[..., Any], np.ndarray[Any, Any]]:
        """What Python calls, and the address in an array, compiled or read from the cache."""
        with _uncollected():
            entry: Callable[..., Any] = self._dispatcher.compile(signature)
        code = self._dispatcher.overloads[signature.args]
        address = code.library.get_pointer_to_function(code.fndesc.llvm_func_name)
        return entry, np.array([address], np.intp)


class Kernel:
    """A kernel: a function over tasks, and the loops that share its tasks among threads.

    The last four arguments of the function are the geometry of the call (kernels/strides.py),
    scratch memory, the first task and the end of the tasks to do.
    """

    def __init__(
        self,
        function: Callable[..., None],
        name: str,
        arguments: tuple[str, ...],
        given: np.dtype[Any] | None = None,
    ) -> None:
        self.name = name if given is None else f"{name}-reading-{given}"
        self._given = given
        self._readers: dict[str, Kernel] = {}
        self.arguments = arguments
        self.loop = Loop.over(tuple(kind if kind in _ARRAYS else "bytes" for kind in arguments))
        self._function, self._code = function, _Code(function, f"{self.name}-serial")
        self._builds: dict[str, tuple[Callable[..., None], np.ndarray[Any, Any]]] = {}

    def reading(self, given: np.dtype[Any]) -> Kernel:
        """The kernel that does the same to inputs of another dtype than that of results.

        Its elements are cast as they are read.
        """
        if given.char not in self._readers:
            self._readers[given.char] = Kernel(self._function, self.name, self.arguments, given)
        return self._readers[given.char]

    def entry(self, dtype: np.dtype[Any]) -> Callable[..., None] | None:
        """``run(*arrays, geometry, scratch, first, last)`` for arrays of `dtype`.

        None as long as it is not there.
        """
        found = self._builds.get(dtype.char)
        return found and found[0]

    def state(self, dtype: np.dtype[Any]) -> str:
        """``"compiled"`` in this process, ``"cached"`` on disk or ``"absent"``."""
        if dtype.char in self._builds:
            return "compiled"
        return self._code.state(self._signature(dtype))

    def compile(self, dtype: np.dtype[Any]) -> Callable[..., None]:
        """The same as `entry`, compiled or read from the cache."""
        self._builds[dtype.char] = self._code.compile(self._signature(dtype))
        return self._builds[dtype.char][0]

    def address(self, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """Where the machine code for arrays of `dtype` is."""
        return self._builds[dtype.char][1]

    def _signature(self, dtype: np.dtype[Any]) -> Any:
        source = numba.from_dtype(self._given or dtype)
        given = [_argument(kind, numba.from_dtype(dtype), source) for kind in self.arguments]
        return types.none(*given, WORDS, BYTES, WORD, WORD)


class Loop:
    """The parallel builds (`_loops`) of all kernels with so many arguments.

    They call a kernel by its address, to which it is no matter what the addresses of arrays
    point to.  Called by name, that would be compiled a second time as a part of the
    loop: two seconds; and a loop for each kernel would take a third of a second each.
    """

    def __init__(self, arguments: tuple[str, ...]) -> None:
        # The type of a share does not tell its loop's arguments, so its name does.
        arrays = [f"-{kind}-{i}" for i, kind in enumerate(arguments) if kind in _ARRAYS]
        self.name = f"parallel-{len(arguments)}{''.join(arrays)}"
        kinds = *[_argument(kind, types.uint8, types.uint8) for kind in arguments], WORDS
        share, entry = _loops.ends_of_loops(kinds)
        self._share, self._entry = _Code(share, f"{self.name}-share"), _Code(entry, self.name)
        self._signature = _loops.entry_signature(kinds)
        self._builds: dict[bool, tuple[Callable[..., bool], dict[int, int]]] = {}

    @staticmethod
    @functools.cache
    def over(arguments: tuple[str, ...]) -> Loop:
        """That for arguments of these kinds."""
        return Loop(arguments)

    def state(self, by_tasks: bool) -> str:
        """See `Kernel.state`."""
        states = (
            _RUNS[by_tasks].state(_loops.RUN_SIGNATURE),
            self._share.state(_loops.SHARE_SIGNATURE),
            self._entry.state(self._signature),
        )
        return min(states, key=_STATES.index)

    def build(self, by_tasks: bool) -> tuple[Callable[..., bool], dict[int, int]] | None:
        """``entry(job, arguments)`` and words of such a job; None as long as it is not there."""
        return self._builds.get(by_tasks)

    def compile(self, by_tasks: bool) -> tuple[Callable[..., bool], dict[int, int]]:
        """The same, compiled or read from the cache."""
        _, share = self._share.compile(_loops.SHARE_SIGNATURE)
        _, run = _RUNS[by_tasks].compile(_loops.RUN_SIGNATURE)
        entry, _ = self._entry.compile(self._signature)
        self._builds[by_tasks] = entry, {_loops.SHARE: int(share[0]), _loops.RUN: int(run[0])}
        return self._builds[by_tasks]


def _cached(function: Callable[..., None], name: str, **options: Any) -> Any:
    """A function for Numba to compile, that is kept on disk by that name."""
    options = {**_OPTIONS, "pipeline_class": KernelCompiler, **options}
    dispatcher = numba.njit(**options)(_named(function, name))
    dispatcher._cache = _cache.KernelCache(name, _fingerprint())
    return dispatcher


_STATES = ("absent", "cached", "compiled")


def _state_of(dispatcher: Any, signature: Any) -> str:
    if signature.args in dispatcher.overloads:
        return "compiled"
    path = dispatcher._cache.path(signature, dispatcher.targetctx)
    return "cached" if path is not None and path.exists() else "absent"


class Entry:
    """A function for Python objects (`_objects`), which holds the GIL as they are not its own."""

    def __init__(
        self, function: Callable[..., Any], name: str, result: Any, arguments: tuple[Any, ...]
    ) -> None:
        self._dispatcher = _cached(function, name, **_WITH_OBJECTS)
        self._signature = result(*arguments)

    def compile(self) -> Callable[..., Any]:
        """What Python calls, compiled or read from the cache."""
        with _uncollected():
            entry: Callable[..., Any] = self._dispatcher.compile(self._signature)
        return entry


def _named(function: Callable[..., None], name: str) -> Callable[..., None]:
    """A function that does the same by that name."""
    code = name.replace("-", "_")
    named = FunctionType(function.__code__, function.__globals__, code, None, function.__closure__)
    named.__qualname__ = code
    return named


# What no kernel's arguments make a difference to.
_in_prange, _by_tasks = _loops.loops(device)
_RUNS = {
    False: _Code(_in_prange, "parallel-in-prange", parallel=True, pipeline_class=Compiler),
    True: _Code(_by_tasks, "parallel-by-tasks"),
}
_MEMBER = _Code(_loops.member, "member-of-team")


def member() -> int:
    """The address of what the tasks of a team do."""
    _, address = _MEMBER.compile(_loops.MEMBER_SIGNATURE)
    return int(address[0])


def kernel(*arguments: str) -> Callable[[Callable[..., None]], Kernel]:
    """Make a `Kernel` of a function over tasks; `arguments` are keys of `_argument`."""
    return lambda function: Kernel(function, function.__name__, arguments)


def kernel_of(function: Callable[..., None], name: str, arguments: tuple[str, ...]) -> Kernel:
    """The same for a function that is made for one of several operations."""
    return Kernel(function, name, arguments)


_ARRAYS = {"slices", "blocks"}
"""Kinds of arguments that are more than the address of an array."""


def _argument(kind: str, dtype: Any, source: Any) -> Any:
    """The Numba type of an argument, for results of one dtype and inputs of another.

    Arrays are passed for their address alone, so one type does for every array: entry points
    take read-only, unaligned and strided arrays alike.
    """
    return {
        "source": Data(source),
        "target": Data(dtype),
        "bytes": Data(types.uint8),
        "doubles": Data(types.float64),
        "places": Data(types.int64),
        "slices": types.Array(types.float64, 2, "C"),
        "blocks": types.Array(types.float64, 3, "C"),
    }[kind]
