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
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import NativeValue, intrinsic, models, register_model, unbox

from fastsoftmax import _cache
from fastsoftmax._cpu import FIRST_LEVEL_BYTES, VECTOR_BYTES
from fastsoftmax._device import DeviceCompiler

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


COUNTER_STEP = 16
"""Counters of tasks are so many numbers apart: on cache lines of their own."""
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


class Data(types.CPointer):  # type: ignore[misc]  # Numba has no type hints
    """Where the elements of an array begin: all of an array that a kernel is handed.

    Numba takes arrays apart into seven fields and a counted reference, 60 ns each: most of
    the time of a small call.  Whoever calls holds the arrays, so their addresses will do.
    """


register_model(Data)(models.PointerModel)


@unbox(Data)  # type: ignore[untyped-decorator]
def _data_of(kind: Data, array: Any, c: Any) -> NativeValue:
    """The field that follows a Python object's own in NumPy's struct of an array."""
    address = c.context.get_value_type(kind)
    field = c.builder.gep(array, [ir.IntType(64)(object.__basicsize__)])
    place = c.builder.bitcast(field, address.as_pointer())
    return NativeValue(c.builder.load(place))


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


class Kernel:
    """A kernel in its two builds: serial, and parallel over its tasks.

    Both run the same function, whose last four arguments are the geometry of the call
    (kernels/strides.py), scratch memory, the first task and the end of the tasks to do.
    Builds are made, or read from the cache, one by one.
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
        # Symbols of machine code are named after their function.  Two kernels of one name, from
        # the caches of two processes, would be taken for one another.
        self._function, name = function, f"{self.name}-serial"
        self._serial = numba.njit(**_OPTIONS)(_named(function, name))
        self._serial._cache = _cache.KernelCache(name, _fingerprint())
        self._loop = _Loop.over(tuple(kind if kind in _ARRAYS else "bytes" for kind in arguments))
        self._entries: dict[tuple[str, bool], Callable[..., None]] = {}
        self._addresses: dict[str, np.ndarray[Any, Any]] = {}

    def reading(self, given: np.dtype[Any]) -> Kernel:
        """The kernel that does the same to inputs of another dtype than that of results.

        Its elements are cast as they are read.
        """
        if given.char not in self._readers:
            self._readers[given.char] = Kernel(self._function, self.name, self.arguments, given)
        return self._readers[given.char]

    def entry(self, dtype: np.dtype[Any], parallel: bool) -> Callable[..., None] | None:
        """The build for arrays of `dtype`; None as long as it is not there.

        The serial one is ``run(*arrays, geometry, scratch, first, last)``, the parallel one
        ``run(workers, counters, tasks, grain, turned, scratch, room, serial, arguments)`` with the
        `address` of the serial one.  Each of `workers` has a share of `tasks`, of neighbours, and
        takes `grain` of them at a time, by a counter that is 0 at first, `COUNTER_STEP` numbers
        from the next one.  Then it does the same to the shares of
        others, so that a thread that the system holds back holds up nobody else.  It has
        `room` bytes of `scratch` for itself.

        Called again, a thread finds in its caches what it had there: with one counter for all,
        (1000, 1000) float32 took 180 us on two cores, so 174.  Even more so if it is `turned`
        every other time, 1 for 0, and begins at the end of its share: 162.
        """
        return self._entries.get((dtype.char, parallel))

    def state(self, dtype: np.dtype[Any], parallel: bool) -> str:
        """``"compiled"`` in this process, ``"cached"`` on disk or ``"absent"``."""
        if (dtype.char, parallel) in self._entries:
            return "compiled"
        states = [_state_of(self._serial, self._signature(dtype))]
        if (dtype.char, False) in self._entries:
            states = ["compiled"]
        if parallel:
            states.append(self._loop.state())
        return min(states, key=_STATES.index)

    def compile(self, dtype: np.dtype[Any], parallel: bool) -> Callable[..., None]:
        """The same, compiled or read from the cache."""
        if parallel:
            if (dtype.char, False) not in self._entries:
                self.compile(dtype, False)
            entry = self._loop.compile()
        else:
            signature = self._signature(dtype)
            with _uncollected():
                entry = self._serial.compile(signature)
            code = self._serial.overloads[signature.args]
            address = code.library.get_pointer_to_function(code.fndesc.llvm_func_name)
            self._addresses[dtype.char] = np.array([address], np.intp)
        self._entries[dtype.char, parallel] = entry
        return entry

    def address(self, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """Where the machine code of the serial build is."""
        return self._addresses[dtype.char]

    def _signature(self, dtype: np.dtype[Any]) -> Any:
        source = numba.from_dtype(self._given or dtype)
        given = [_argument(kind, numba.from_dtype(dtype), source) for kind in self.arguments]
        task = types.intp
        return types.none(*given, Data(task), Data(types.uint8), task, task)


class _Loop:
    """The parallel build, for all kernels with so many arguments.

    It calls the serial build by its address, to which it is no matter what the addresses of
    arrays point to.  Called by name, that would be compiled a second time as a part of the
    loop: two seconds; and a loop for each kernel would take a third of a second each.
    """

    def __init__(self, arguments: tuple[str, ...]) -> None:
        name = f"parallel-{len(arguments)}"
        given = [_argument(kind, types.uint8, types.uint8) for kind in arguments]
        task, scratch = types.intp, Data(types.uint8)
        numbers = task, Data(task), task, task, task, scratch, task, Data(task)
        self._signature = types.none(*numbers, types.Tuple([*given, Data(task)]))
        self._dispatcher = numba.njit(parallel=True, **_OPTIONS)(_named(_loop(), name))
        self._dispatcher._cache = _cache.KernelCache(name, _fingerprint())

    @staticmethod
    @functools.cache
    def over(arguments: tuple[str, ...]) -> _Loop:
        """That for arguments of these kinds."""
        return _Loop(arguments)

    def state(self) -> str:
        """See `Kernel.state`."""
        return _state_of(self._dispatcher, self._signature)

    def compile(self) -> Callable[..., None]:
        """What `Kernel.entry` is in parallel, compiled or read from the cache."""
        with _uncollected():
            entry: Callable[..., None] = self._dispatcher.compile(self._signature)
        return entry


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
        self._dispatcher = numba.njit(**_WITH_OBJECTS)(_named(function, name))
        self._dispatcher._cache = _cache.KernelCache(name, _fingerprint())
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


def _loop() -> Callable[..., None]:
    """A loop over tasks, see `Kernel.entry`."""

    def run(
        workers: int,
        counters: Any,
        tasks: int,
        grain: int,
        turned: int,
        scratch: Any,
        room: int,
        serial: Any,
        arguments: Any,
    ) -> None:
        for worker in numba.prange(workers):
            own = _offset(scratch, worker * room)
            for turn in range(workers):
                share = (worker + turn) % workers
                begin, end = share * tasks // workers, (share + 1) * tasks // workers
                counter = _offset(counters, share * COUNTER_STEP)
                first = begin + _fetch_and_add(counter, grain)
                while first < end:
                    last = min(first + grain, end)
                    if turned != 0:
                        _call(serial, arguments, own, begin + end - last, begin + end - first)
                    else:
                        _call(serial, arguments, own, first, last)
                    first = begin + _fetch_and_add(counter, grain)

    return run


@intrinsic
def _fetch_and_add(_context, counter, _amount):  # type: ignore[no-untyped-def]
    """Add to the number at an address, atomically; returns what it was."""

    def codegen(_context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", *args, "monotonic")

    return types.intp(counter, types.intp), codegen


@intrinsic
def _call(_context, place, arguments, own, first, last):  # type: ignore[no-untyped-def]
    """Call the serial build whose address is at `place`."""
    kinds = *arguments.types, own, first, last

    def codegen(context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        place, given, *rest = args
        function = context.call_conv.get_function_type(types.none, kinds)
        address = builder.load(builder.bitcast(place, function.as_pointer().as_pointer()))
        codes = [*cgutils.unpack_tuple(builder, given), *rest]
        context.call_conv.call_function(builder, address, types.none, kinds, codes)
        return context.get_dummy_value()

    return types.none(place, arguments, own, first, last), codegen


@intrinsic
def _offset(_context, address, _count):  # type: ignore[no-untyped-def]
    """The address `count` elements further on."""

    def codegen(_context: Any, builder: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return address(address, types.intp), codegen
