"""Compiled kernels on disk: found again, written whole, and never in the way of a result."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import signal
import stat
import sys
import textwrap
import time
from pathlib import Path

import processes
import pytest

from fastsoftmax import _cache

# Every process here computes the same, with the kernel that takes the least time to compile.
CALL = """
import sys, warnings
import fastsoftmax
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    result = fastsoftmax.softmax([0.0] * 128, 0)
    again = fastsoftmax.softmax([[0.0] * 128] * 2, 1)
assert result.tolist() == again[0].tolist() == again[1].tolist() == [1 / 128] * 128
print(*[each.message for each in caught], sep="\\n")
"""
# The same where nothing can be compiled: only the cache has the kernel.
WITHOUT_COMPILER = (
    """
import numba.core.compiler
def compiled(*_, **__):
    raise SystemExit("something was compiled")
numba.core.compiler.compile_extra = compiled
"""
    + CALL
)


def call(folder: Path | str, code: str = CALL) -> str:
    """Compute in a fresh process; returns its warnings."""
    return processes.run(code, FASTSOFTMAX_CACHE_DIR=str(folder)).strip()


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """All files with their times and bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that one process has filled."""
    folder = tmp_path_factory.mktemp("cache") / "not" / "there" / "yet"
    assert call(folder) == ""
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(filled, tmp_path / "cache"))


def kernel_in(folder: Path) -> Path:
    """The only file of the cache."""
    (path,) = contents(folder)
    return path


def test_the_second_process_compiles_nothing(folder: Path) -> None:
    before = contents(folder)
    assert len(before) == 1
    assert call(folder, WITHOUT_COMPILER) == ""
    assert contents(folder) == before


def test_a_kernel_that_is_found_needs_no_compiler_made_ready(folder: Path) -> None:
    # Numba imports SciPy for that, and then compiles for others as ever.
    code = """
    import sys
    import numba, numpy
    print("scipy.linalg" in sys.modules)
    print(numba.njit(lambda a: (a @ a).sum())(numpy.zeros((2, 2))))
    """
    assert call(folder, CALL + textwrap.dedent(code)).split() == ["False", "0.0"]


@pytest.mark.parametrize("collects", [True, False])
def test_compiling_leaves_the_garbage_collector_as_it_was(tmp_path: Path, collects: bool) -> None:
    before = "import gc\n" if collects else "import gc\ngc.disable()\n"
    assert call(tmp_path, before + CALL + "print(gc.isenabled())") == str(collects)


def test_nothing_but_the_cache_lets_a_process_do_without_compiler(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="something was compiled"):
        call(tmp_path, WITHOUT_COMPILER)


@pytest.mark.skipif(sys.platform == "win32", reason="links are for administrators there")
def test_folders_of_other_versions_are_removed_when_they_are_old(folder: Path) -> None:
    """And nothing else that is there, whatever its name and age."""
    (current,) = folder.iterdir()
    old = _cache._UNUSED_DAYS * 24 * 3600 + 3600
    unused, used, mixed, other, linked, file = (
        folder / name for name in ("0" * 16, "1" * 16, "2" * 16, "data", "3" * 16, "4" * 16)
    )
    for each in (unused, used, mixed, other):
        each.mkdir()
        (each / "a-kernel.kernel").write_bytes(b"")
    (unused / ".fastsoftmax-0.tmp").write_bytes(b"")
    (mixed / "a-letter.txt").write_bytes(b"")
    file.write_bytes(b"")
    linked.symlink_to(other)
    for each in (unused, mixed, other, file):
        os.utime(each, times=(time.time() - old,) * 2)
    shutil.rmtree(current)
    assert call(folder) == ""
    assert set(folder.iterdir()) == {current, used, mixed, other, linked, file}
    assert [each.name for each in other.iterdir()] == ["a-kernel.kernel"]


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such permissions")
def test_kernels_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    for mask, mode in ((0o022, 0o644), (0o077, 0o600)):
        folder = tmp_path / str(mask)
        assert call(folder, f"import os\nos.umask({mask})\n" + CALL) == ""
        assert stat.S_IMODE(kernel_in(folder).stat().st_mode) == mode


def test_a_kernel_knows_where_its_code_is(folder: Path) -> None:
    states = """
    import fastsoftmax
    x = [0.0] * 128
    before = fastsoftmax.explain(x, 0).code
    fastsoftmax.softmax(x, 0)
    print(before, fastsoftmax.explain(x, 0).code, fastsoftmax.explain(x, 0, "float32").code)
    """
    assert call(folder, states) == "cached compiled absent"


def _whole(content: bytes) -> bytes:
    """Something else, with a digest of its own that is right."""
    payload = pickle.dumps(("something", "else"))
    return hashlib.sha256(payload).digest() + payload


def _flipped(content: bytes, place: int) -> bytes:
    """The same with one bit changed, in the middle of machine code."""
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


BROKEN = {
    "empty": lambda content: content[:0],
    "a few bytes": lambda content: content[:20],
    "cut short": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "one bit wrong": lambda content: _flipped(content, len(content) // 2),
    "garbage": lambda content: content[::-1],
    "something else": _whole,
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_file_is_replaced(folder: Path, filled: Path, damage: str) -> None:
    path = kernel_in(folder)
    path.write_bytes(BROKEN[damage](path.read_bytes()))
    with pytest.raises(AssertionError, match="something was compiled"):
        call(folder, WITHOUT_COMPILER)
    if damage in {"cut short", "something else"}:  # the others take the same way
        assert call(folder) == ""
        assert list(contents(folder)) == [path]
        assert call(folder, WITHOUT_COMPILER) == ""


def test_a_folder_in_the_place_of_a_file_costs_one_warning(folder: Path) -> None:
    path = kernel_in(folder)
    path.unlink()
    path.mkdir()
    assert "cannot be kept" in call(folder)
    assert list(path.parent.iterdir()) == [path], "a temporary file was left behind"


# --- Folders --------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    (warning,) = call(tmp_path / "file" / "cache").splitlines()
    for word in (str(tmp_path / "file" / "cache"), "FASTSOFTMAX_CACHE_DIR", "compile"):
        assert word in warning


def test_no_result_is_lost_where_warnings_are_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    code = """
    import warnings
    warnings.simplefilter("error")
    import fastsoftmax
    print(sum(fastsoftmax.softmax([0.0] * 128, 0)))
    """
    assert call(tmp_path / "file" / "cache", code) == "1.0"


def test_an_empty_variable_turns_the_cache_off(tmp_path: Path) -> None:
    code = """
    import fastsoftmax
    from fastsoftmax import _cache
    assert _cache.directory() is None
    x = [0.0] * 128
    print(sum(fastsoftmax.softmax(x, 0)), fastsoftmax.explain(x, 0, "float32").code)
    """
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": None}
    printed = processes.run(code, FASTSOFTMAX_CACHE_DIR="", **home)
    assert printed.strip() == "1.0 absent"
    assert not [path for path in contents(tmp_path) if path.suffix == ".kernel"]


def test_the_folder_is_chosen_by_these_variables(tmp_path: Path) -> None:
    code = "from fastsoftmax import _cache; print(_cache.directory())"

    def chosen(**variables: str | None) -> str:
        unset = dict.fromkeys(["FASTSOFTMAX_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
        return processes.run(code, **{**unset, **variables}).strip()

    assert chosen(FASTSOFTMAX_CACHE_DIR="/a", NUMBA_CACHE_DIR="/b") == "/a"
    assert chosen(NUMBA_CACHE_DIR="/b", XDG_CACHE_HOME="/c") == str(Path("/b/fastsoftmax"))
    if sys.platform == "linux":
        assert chosen(XDG_CACHE_HOME="/c") == "/c/fastsoftmax"
        assert chosen(HOME="/d") == "/d/.cache/fastsoftmax"


# --- Several processes, and processes that are stopped --------------------------------


def test_processes_may_fill_one_cache_together(tmp_path: Path) -> None:
    together = [
        processes.start(CALL, FASTSOFTMAX_CACHE_DIR=str(tmp_path / "cache")) for _ in range(3)
    ]
    assert [said.strip() for said in processes.finish_all(together)] == [""] * 3
    assert len(contents(tmp_path)) == 1
    assert call(tmp_path / "cache", WITHOUT_COMPILER) == ""


def test_another_process_may_make_the_folder_first(tmp_path: Path) -> None:
    """Whenever it does: here between the look for the folder and the making of it."""
    late = """
import os, pathlib
was_there = pathlib.Path.is_dir
def make_it_after_looking(path):
    found = was_there(path)
    if path.is_relative_to(CACHE):
        os.makedirs(path, exist_ok=True)
    return found
pathlib.Path.is_dir = make_it_after_looking
"""
    folder = tmp_path / "cache"
    assert call(folder, f"CACHE = {str(folder)!r}\n" + late + CALL) == ""
    assert len(contents(folder)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_process_that_is_stopped_leaves_a_cache_that_can_be_used(
    tmp_path: Path, name: str
) -> None:
    """Stopped at several moments of its compiling and writing."""
    code = """
    import os, signal, sys, threading, time
    import fastsoftmax
    # Left alone in a shell's background, interrupts are ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    def stop():  # again and again, as Numba calls where an interrupt is printed and forgotten
        time.sleep(float(sys.argv[1]))
        while True:
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
            time.sleep(0.1)
    threading.Thread(target=stop, daemon=True).start()
    fastsoftmax.softmax([0.0] * 128, 0)
    while True:
        time.sleep(1)
    """
    for delay in ("0.4", "1.2"):
        with processes.start(code, delay, name, FASTSOFTMAX_CACHE_DIR=str(tmp_path)) as process:
            try:
                process.communicate(timeout=processes.PATIENCE)
            finally:
                process.kill()
        assert process.returncode not in {0, -signal.SIGKILL} or name == "SIGKILL"
        for path, (_, content) in contents(tmp_path).items():
            assert path.suffix != ".kernel" or len(content) > 10_000
    assert call(tmp_path) == ""
    assert call(tmp_path, WITHOUT_COMPILER) == ""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_a_compilation_that_is_interrupted_may_be_made_again(tmp_path: Path) -> None:
    code = """
    import signal
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    import fastsoftmax
    fastsoftmax.softmax([0.0] * 3, 0)  # loads Numba, which an interrupted import leaves broken
    for moment in (0.3, 0.6, 0.9):
        try:
            signal.setitimer(signal.ITIMER_REAL, moment)
            fastsoftmax.softmax([0.0] * 128, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            pass
    print(sum(fastsoftmax.softmax([0.0] * 128, 0)))
    """
    assert call(tmp_path, code) == "1.0"
    assert call(tmp_path, WITHOUT_COMPILER) == ""
