"""What the engine needs to know of the processor: its vectors and its caches.

Read once, when the first kernel is built.  The environment variable
``FASTSOFTMAX_VECTOR_WIDTH`` (4, 8 or 16 single-precision elements) replaces what the
processor says of its vectors; results are the same bits at every width, so it serves tests
and measurements.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from numba.core.registry import cpu_target

WIDTH_VARIABLE = "FASTSOFTMAX_VECTOR_WIDTH"
WIDTHS = (4, 8, 16)


def _register_width() -> int:
    """Single-precision elements in the widest register that Numba compiles for."""
    # Its own features, so that NUMBA_CPU_NAME counts too.
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    if "+avx512f" in features:
        return 16
    return 8 if "+avx" in features else 4


def _vector_width() -> int:
    """Single-precision elements in a vector of the kernels."""
    forced = os.environ.get(WIDTH_VARIABLE)
    if forced is not None:
        if forced not in {str(width) for width in WIDTHS}:
            raise ValueError(
                f"the environment variable {WIDTH_VARIABLE} is {forced!r}; "
                f"it must be one of {', '.join(map(str, WIDTHS))}"
            )
        return int(forced)
    return _register_width()


REGISTER_BYTES = 4 * _register_width()
VECTOR_BYTES = 4 * _vector_width()


def _has_half() -> bool:
    """Whether the processor converts float16."""
    triple: str
    features: str
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    if triple.startswith(("x86_64", "i686")):
        return "+f16c" in features.split(",")
    return triple.startswith(("aarch64", "arm64"))


HAS_HALF = _has_half()

# Where the system does not tell: sizes that most processors have or exceed.
_USUAL_FIRST_LEVEL, _USUAL_SECOND_LEVEL, _USUAL_LAST_LEVEL = 32 << 10, 1 << 20, 8 << 20


def _caches() -> dict[int, int]:
    """The sizes of the caches for data that the first CPU can use, by their level."""
    sizes = {}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        with contextlib.suppress(OSError, ValueError):
            if (index / "type").read_text().strip() == "Instruction":
                continue
            text = (index / "size").read_text().strip()
            unit = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:], 1)
            sizes[int((index / "level").read_text())] = int(text.rstrip("KM")) * unit
    return sizes


_SIZES = _caches()
FIRST_LEVEL_BYTES = _SIZES.get(1, _USUAL_FIRST_LEVEL)
SECOND_LEVEL_BYTES = _SIZES.get(2, _USUAL_SECOND_LEVEL)
LAST_LEVEL_BYTES = max(_SIZES.values(), default=_USUAL_LAST_LEVEL)


def _cpus() -> int:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


CPUS = _cpus()
