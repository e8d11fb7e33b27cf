"""What compiled kernels are kept by: all that their code depends on."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import modules
import processes
from modules import PACKAGE

from fastsoftmax import _cache

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_every_source_of_the_engine_is_in_the_key(tmp_path: Path) -> None:
    """A comment more in any file that decides on machine code makes another key."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "fastsoftmax", ignore=ignored)
    code = """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from fastsoftmax import _cache
    package = Path(_cache.__file__).parent
    assert package.parent == Path(sys.argv[1]).resolve(), package
    key = _cache.fingerprint(())
    for name in sys.argv[2:]:
        file = package / name
        content = file.read_bytes()
        file.write_bytes(content + b"# more")
        if _cache.fingerprint(()) == key:
            print(file)
        file.write_bytes(content)
    (package / "kernels" / "another.py").touch()
    if _cache.fingerprint(()) == key:
        print("a new file")
    """
    engine = [str(path.relative_to(PACKAGE)) for path in modules.below("kernels")]
    assert len(engine) > 15
    assert processes.run(code, str(tmp_path), *engine) == ""


def test_options_and_versions_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = _cache.fingerprint({"fastmath": False})
    assert _cache.fingerprint({"fastmath": False}) == key
    assert _cache.fingerprint({"fastmath": True}) != key
    for module, name in [
        (_cache, "__version__"),
        (_cache.numba, "__version__"),
        (_cache.llvmlite, "__version__"),
        (sys, "version"),
    ]:
        with monkeypatch.context() as changed:
            changed.setattr(module, name, "another")
            assert _cache.fingerprint({"fastmath": False}) != key
    assert _cache.fingerprint({"fastmath": False}) == key


def test_the_options_of_kernels_are_those_in_the_key() -> None:
    code = """
    from fastsoftmax import _jit
    {change}
    _jit._fingerprint.cache_clear()
    print(_jit._fingerprint())
    """
    changes = [
        "",
        "_jit._OPTIONS['fastmath'] = True",
        "_jit._OPTIONS['boundscheck'] = True",
        "_jit._INLINED['forceinline'] = False",
        "_jit._APART['forceinline'] = True",
        "_jit.VECTOR_BYTES = 8",
    ]
    keys = {processes.run(code.format(change=change)) for change in changes}
    assert len(keys) == len(changes)


def test_processors_and_signatures_have_files_of_their_own() -> None:
    class Context:
        def __init__(self, *tuple_: str) -> None:
            self.magic = tuple_

        def codegen(self) -> Any:
            return self

        def magic_tuple(self) -> tuple[str, ...]:
            return self.magic

    cache = _cache.KernelCache("rows-serial", "abc")
    known = Context("x86_64", "znver3", "+avx2")
    paths = {
        cache.path("(float32)", known),
        cache.path("(float64)", known),
        cache.path("(float32)", Context("x86_64", "znver3", "+avx2,+avx512f")),
        cache.path("(float32)", Context("x86_64", "skylake", "+avx2")),
        _cache.KernelCache("rows-parallel", "abc").path("(float32)", known),
        _cache.KernelCache("rows-serial", "abd").path("(float32)", known),
    }
    assert len(paths) == 6
    assert cache.path("(float32)", known) in paths
