"""Compiled kernels kept on disk, so that a new process need not compile them again.

Numba's own cache does not fit: its key leaves out jit options and every file but the
function's own, and it raises where no folder can be written (numba#4908) or a file is cut
short (numba#10434).  Here the key is a digest of everything that machine code depends on,
each file carries a digest of itself, and whatever goes wrong costs time, never a result.

The folder is ``$FASTSOFTMAX_CACHE_DIR``, else a folder in ``$NUMBA_CACHE_DIR``, else one in
the user's cache folder.  An empty ``FASTSOFTMAX_CACHE_DIR`` turns the cache off.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import re
import shutil
import sys
import time
import warnings
from importlib import resources
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from fastsoftmax._replacing import TEMPORARY, replacing
from fastsoftmax._version import __version__

DIRECTORY_VARIABLE = "FASTSOFTMAX_CACHE_DIR"
_ENGINE = (
    "addresses",
    "cache",
    "compilers",
    "cpu",
    "jit",
    "loops",
    "objects",
    "recall",
    "records",
    "replacing",
)
_DIGEST_BYTES = 32
_SUFFIX = ".kernel"
_FOLDER_DIGITS = 16
_FOLDER = re.compile(f"[0-9a-f]{{{_FOLDER_DIGITS}}}")
_UNUSED_DAYS = 30


def directory() -> Path | None:
    """The folder of the cache; None where it is turned off or there is no home."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR) / "fastsoftmax"
    try:
        return _user_cache() / "fastsoftmax"
    except RuntimeError:  # no home folder
        return None


def _user_cache() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base) if base else Path.home() / ".cache"


def fingerprint(options: object) -> str:
    """A digest of all that decides what a kernel compiles to, except its signature."""
    digest = hashlib.sha256()
    versions = __version__, numba.__version__, llvmlite.__version__, sys.version
    digest.update(repr((versions, options)).encode())
    for name, source in sorted(_sources().items()):
        digest.update(repr(name).encode())
        digest.update(source)
    return digest.hexdigest()


def _sources() -> dict[str, bytes]:
    """The files of the engine: the kernels, and the modules that make code of them."""
    package = resources.files("fastsoftmax")
    files = [package / f"_{name}.py" for name in _ENGINE]
    files += [file for file in (package / "kernels").iterdir() if file.name.endswith(".py")]
    return {file.name: file.read_bytes() for file in files}


class KernelCache(_Cache):  # type: ignore[misc]  # Numba has no type hints
    """What a dispatcher asks before it compiles, and tells afterwards."""

    _warned = False

    def __init__(self, name: str, fingerprint: str) -> None:
        self._name = name
        self._fingerprint = fingerprint
        self._enabled = True
        self.loaded: set[Any] = set()
        """The signatures that came from disk."""

    @property
    def cache_path(self) -> str:
        folder = directory()
        return str(folder / self._fingerprint[:_FOLDER_DIGITS]) if folder else ""

    def path(self, signature: Any, context: Any) -> Path | None:
        """The file for a signature and processor."""
        if not (self._enabled and self.cache_path):
            return None
        key = self._fingerprint, str(signature), context.codegen().magic_tuple()
        digest = hashlib.sha256(repr(key).encode()).hexdigest()
        return Path(self.cache_path) / f"{self._name}-{digest[:24]}{_SUFFIX}"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        path = self.path(sig, target_context)
        if path is None:
            return None
        try:
            content = path.read_bytes()
            digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if hashlib.sha256(payload).digest() != digest:
                return None
            # Enough for machine code.  A context that is to compile is refreshed as well, which
            # imports SciPy where it is installed: a third of a second.
            rtsys.initialize(target_context)
            result = CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:  # a broken file is as good as none; it will be written anew
            return None
        self.loaded.add(sig)
        return result

    def save_overload(self, sig: Any, data: Any) -> None:
        path = self.path(sig, data.target_context)
        if path is None:
            return
        try:
            payload = dumps(data._reduce())
            is_new = not path.parent.is_dir()
            # Another process may have made it since.
            path.parent.mkdir(parents=True, exist_ok=True)
            if is_new:
                _remove_unused(path.parent)
            with replacing(path) as file:
                file.write(hashlib.sha256(payload).digest() + payload)
        except Exception as problem:
            self._warn(path.parent, problem)

    @classmethod
    def _warn(cls, folder: Path, problem: Exception) -> None:
        if cls._warned:
            return
        KernelCache._warned = True
        # Where warnings are errors, a result must not be lost over this one.
        with contextlib.suppress(Warning):
            warnings.warn(
                f"compiled kernels cannot be kept in {folder} ({problem}); every new process "
                f"will compile them again. Set {DIRECTORY_VARIABLE} to a folder that can be "
                "written, or to nothing to do without.",
                stacklevel=2,
            )

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Numba's word for forgetting; files are told apart by their names instead."""


def _remove_unused(current: Path) -> None:
    """Remove the folders of other fingerprints that nobody wrote to for a while.

    And no others: the folder of the cache may be one where somebody keeps more than that.
    """
    oldest = time.time() - _UNUSED_DAYS * 24 * 3600
    for other in current.parent.iterdir():
        with contextlib.suppress(OSError):
            if other != current and _is_ours(other) and other.stat().st_mtime < oldest:
                shutil.rmtree(other, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether a folder is named after a fingerprint and holds nothing but kernels."""
    if folder.is_symlink() or not (folder.is_dir() and _FOLDER.fullmatch(folder.name)):
        return False
    patterns = f"*{_SUFFIX}", TEMPORARY
    return all(any(each.match(pattern) for pattern in patterns) for each in folder.iterdir())
