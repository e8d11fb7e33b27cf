"""The files of the command: .csv with its ways, outputs replaced only whole."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from command import Array, Call, Run, contents
from scipy.special import softmax as scipy_softmax

from fastsoftmax import _files, cli

FailWith = Callable[[BaseException], None]


class TestReadsCsv:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("1,2,3\n4,5,9\n", id="plain"),
            pytest.param("1,2,3\n4,5,9", id="no newline at the end"),
            pytest.param("cat,dog,mouse\n1,2,3\n4,5,9\n", id="header"),
            pytest.param('"a, b",,"c"\n1,2,3\n4,5,9\n', id="quoted header"),
            pytest.param("\ufeff1,2,3\n4,5,9\n", id="byte order mark"),
            pytest.param("1,2,3\r\n4,5,9\r\n", id="Windows"),
            pytest.param("\n1,2,3\n\n   \n4,5,9\n\n", id="blank lines"),
            pytest.param(' 1 ,+2.0,3e0\n"4",5.,9\n', id="quotes and spaces"),
        ],
    )
    def test_of_numbers(self, folder: Path, run_well: Call, text: Any) -> None:
        Path("x.csv").write_bytes(text.encode())
        out = run_well("x.csv", "-o", "p.npy")
        assert "shape   (2, 3)\ndtype   float64\n" in out
        expected = scipy_softmax([[1.0, 2, 3], [4, 5, 9]], 1)
        np.testing.assert_allclose(np.load("p.npy"), expected, rtol=1e-14)

    def test_of_one_column_as_one_slice(self, folder: Path, run_well: Call) -> None:
        Path("x.csv").write_text("score\n1\n2\n3\n")
        run_well("x.csv", "-o", "p.npy")
        np.testing.assert_allclose(np.load("p.npy"), scipy_softmax([1.0, 2, 3]), rtol=1e-14)

    def test_of_one_line_as_a_matrix(self, folder: Path, run_well: Call) -> None:
        Path("x.CSV").write_text("1,2,3\n")
        assert "shape   (1, 3)" in run_well("x.CSV")

    def test_of_nan_and_infinity(self, folder: Path, run_well: Call) -> None:
        Path("x.csv").write_text("nan,1\n-inf,1\n")
        run_well("x.csv", "-o", "p.npy")
        expected = [[np.nan, np.nan], [0.0, 1.0]]
        np.testing.assert_allclose(np.load("p.npy"), expected, rtol=1e-15)

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            (b"", "x.csv holds no numbers"),
            (b"\n\n", "x.csv holds no numbers"),
            (b"a,b\n", "x.csv holds no numbers"),
            (b"1,2\n3\n", "x.csv, line 2: 1 numbers, where the lines above have 2"),
            (b"a,b\n\n1,2\n3,4,5\n", "x.csv, line 4: 3 numbers"),
            (b"1,2\n3,four\n", "x.csv, line 2, column 2: 'four' is not a number"),
            (b"a,b\nc,d\n1,2\n", "x.csv, line 2, column 1: 'c' is not a number"),
            (b"1,two\n3,4\n", "x.csv, line 1, column 2: 'two' is not a number"),
            (b"id,1\n3,4\n", "x.csv, line 1, column 1: 'id' is not a number"),
            (b",,\n1,2,3\n", "x.csv, line 1, column 1: '' is not a number"),
            (b"1,2,\n3,4,\n", "x.csv, line 1, column 3: '' is not a number"),
            (b"1,2\n,\n", "x.csv, line 2, column 1: '' is not a number"),
            (b"1;2\n3;4\n", "x.csv, line 2, column 1: '3;4' is not a number"),
            (b"1,2\n\xff\xfe\n", "x.csv is not a .csv file: it is no UTF-8 text"),
            (b'1,2\n"3,4\n', "x.csv is not a .csv file"),
            (b"1,2\n" + b"1" * 200_000 + b",2\n", "x.csv is not a .csv file: field larger"),
        ],
    )
    def test_or_says_what_is_wrong_with_it(
        self, folder: Path, refusal: Call, text: Any, complaint: str
    ) -> None:
        Path("x.csv").write_bytes(text)
        assert complaint in refusal("x.csv", "-o", "p.npy")


class TestReplacesOutputs:
    def test_as_csv(self, folder: Path, run_well: Call) -> None:
        array = np.random.default_rng(2).normal(0, 3, (4, 3)).astype(np.float32)
        np.save("x.npy", array)
        Path("p.csv").write_text("old")
        run_well("x.npy", "-o", "p.csv", "--dim", "0")
        run_well("x.npy", "-o", "p.npy", "--dim", "0")
        lines = Path("p.csv").read_text().splitlines()
        read = np.array([line.split(",") for line in lines], dtype=np.float32)
        np.testing.assert_array_equal(read, np.load("p.npy"))
        np.testing.assert_allclose(read, scipy_softmax(array, 0), rtol=3e-6)

    def test_as_csv_of_one_column(self, folder: Path, run_well: Call) -> None:
        np.save("x.npy", np.array([0.0, np.log(3)]))
        run_well("x.npy", "-o", "p.csv")
        np.testing.assert_allclose(np.loadtxt("p.csv"), [0.25, 0.75], rtol=1e-15)
        assert len(Path("p.csv").read_text().splitlines()) == 2
        run_well("p.csv", "-o", "p.csv")
        expected = scipy_softmax([0.25, 0.75])
        np.testing.assert_allclose(np.loadtxt("p.csv"), expected, rtol=1e-15)

    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
    def test_with_the_permissions_they_had(self, logits: Array, run_well: Call, mode: int) -> None:
        Path("p.npy").write_text("old")
        Path("p.npy").chmod(mode)
        run_well("logits.npy", "-o", "p.npy")
        assert stat.S_IMODE(Path("p.npy").stat().st_mode) == mode
        assert np.load("p.npy").shape == logits.shape

    @pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
    def test_and_makes_new_ones_as_the_umask_has_it(
        self, logits: Array, run_well: Call, mask: int, mode: int
    ) -> None:
        before = os.umask(mask)
        try:
            run_well("logits.npy", "-o", "p.npy")
        finally:
            os.umask(before)
        assert stat.S_IMODE(Path("p.npy").stat().st_mode) == mode

    @pytest.mark.parametrize("exists", [True, False])
    def test_that_a_symbolic_link_points_to(
        self, logits: Array, run_well: Call, exists: bool
    ) -> None:
        Path("elsewhere").mkdir()
        if exists:
            Path("elsewhere/p.npy").write_text("old")
        Path("link.npy").symlink_to("elsewhere/p.npy")
        run_well("logits.npy", "-o", "link.npy")
        assert Path("link.npy").is_symlink()
        assert np.load("elsewhere/p.npy").shape == logits.shape

    def test_only_when_they_are_on_the_disk(
        self, logits: Array, run_well: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps: list[tuple[str, int]] = []
        fsync, replace = os.fsync, Path.replace

        def noted_fsync(handle: int) -> None:
            steps.append(("fsync", os.fstat(handle).st_size))
            fsync(handle)

        def noted_replace(source: Path, target: Path) -> Path:
            steps.append(("replace", source.stat().st_size))
            assert source.parent == target.parent
            return replace(source, target)

        monkeypatch.setattr(os, "fsync", noted_fsync)
        monkeypatch.setattr(Path, "replace", noted_replace)
        run_well("logits.npy", "-o", "p.npy")
        size = Path("p.npy").stat().st_size
        assert steps == [("fsync", size), ("replace", size)]

    @pytest.fixture
    def half_written(self, monkeypatch: pytest.MonkeyPatch) -> FailWith:
        """Let writing an output fail halfway."""

        def fail_with(problem: BaseException) -> None:
            def write_half(file: BinaryIO, array: Array, **_: object) -> None:
                file.write(array.tobytes()[: array.nbytes // 2])
                file.flush()
                raise problem

            monkeypatch.setattr(np.lib.format, "write_array", write_half)

        return fail_with

    def test_never_by_half_when_the_disk_is_full(
        self, logits: Array, refusal: Call, half_written: FailWith
    ) -> None:
        Path("p.npy").write_text("old")
        half_written(OSError(errno.ENOSPC, "No space left on device"))
        complaint = refusal("logits.npy", "-o", "p.npy", "--top", "1")
        assert "cannot write p.npy: No space left on device" in complaint

    def test_never_by_half_when_interrupted(
        self, logits: Array, run: Run, half_written: FailWith
    ) -> None:
        Path("p.npy").write_text("old")
        before = contents()
        half_written(KeyboardInterrupt())
        assert run("logits.npy", "-o", "p.npy") == (130, "", "fastsoftmax: interrupted\n")
        assert contents() == before

    def test_never_by_half_when_something_unforeseen_happens(
        self, logits: Array, half_written: FailWith
    ) -> None:
        Path("p.npy").write_text("old")
        before = contents()
        half_written(RuntimeError("unforeseen"))
        with pytest.raises(RuntimeError, match="unforeseen"):
            cli.main(["logits.npy", "-o", "p.npy"])
        assert contents() == before

    def test_never_by_half_when_killed(self, logits: Array) -> None:
        Path("p.npy").write_text("old")
        program = (
            "import os, signal, numpy as np; from fastsoftmax import cli\n"
            "def write_half(file, array, **_):\n"
            "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
            "np.lib.format.write_array = write_half\n"
            "cli.main(['logits.npy', '-o', 'p.npy'])\n"
        )
        done = subprocess.run([sys.executable, "-c", program], check=False, timeout=120)
        assert done.returncode < 0
        assert Path("p.npy").read_text() == "old"

    def test_beside_others_that_do_the_same(self, logits: Array) -> None:
        """A reader sees one whole file or another while two processes write it."""
        np.save("p.npy", logits)
        words = [sys.executable, "-m", "fastsoftmax", "logits.npy", "-o", "p.npy"]
        writers = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(2)]
        while any(writer.poll() is None for writer in writers):
            assert np.load("p.npy").shape == logits.shape
        assert [writer.returncode for writer in writers] == [0, 0]
        assert sorted(contents()) == [Path("logits.npy"), Path("p.npy")]


def test_a_folder_where_files_cannot_be_made_is_no_traceback(
    logits: Array, refusal: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permission was there when it was checked, and is gone when the file is made."""
    original = Path.open

    def closed(path: Path, mode: str = "r", **options: Any) -> Any:
        if "x" in mode:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, mode, **options)

    monkeypatch.setattr(Path, "open", closed)
    assert "cannot write p.npy: Permission denied" in refusal("logits.npy", "-o", "p.npy")


def test_reading_maps_the_file_and_writing_unmaps_it_first(
    logits: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No input is copied, and one that is the output is free to be replaced."""
    mapped = []
    place = str(Path("logits.npy").resolve())  # others of this name may be mapped still
    read, write = _files.read, _files.write

    def noted_read(path: Path) -> Array:
        array = read(path)
        mapped.append(isinstance(array, np.memmap))
        return array

    def noted_write(path: Path, array: Array) -> None:
        with contextlib.suppress(FileNotFoundError):  # a system without /proc
            mapped.append(place in Path("/proc/self/maps").read_text())
        write(path, array)

    monkeypatch.setattr(_files, "read", noted_read)
    monkeypatch.setattr(_files, "write", noted_write)
    assert cli.main(["logits.npy", "-o", "logits.npy"]) == 0
    assert mapped in ([True, False], [True])
