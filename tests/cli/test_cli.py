"""The command: what it computes and refuses, and how it ends."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Array, Call, contents, process
from scipy.special import softmax as scipy_softmax

from fastsoftmax import cli

Dims = int | tuple[int, ...] | None
DATA = Path(__file__).parents[2] / "docs" / "data"
TOLERANCE = {"float16": 1e-3, "float32": 3e-6, "float64": 1e-14, "longdouble": 1e-14}


class TestComputes:
    def test_over_the_last_dim_if_none_is_given(self, logits: Array, run_well: Call) -> None:
        run_well("logits.npy", "-o", "p.npy")
        result = np.load("p.npy")
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, scipy_softmax(logits, -1), rtol=3e-6)

    @pytest.mark.parametrize(
        ("text", "dims"),
        [
            ("0", 0),
            ("-2", 1),
            ("1,2", (1, 2)),
            ("-1, -3", (0, 2)),
            ("-2,-1", (1, 2)),
            ("none", None),
            ("None", None),
        ],
    )
    @pytest.mark.parametrize("joined", [True, False])
    def test_over_the_dims_that_are_given(
        self, logits: Array, run_well: Call, text: Any, dims: Dims, joined: bool
    ) -> None:
        run_well("logits.npy", *([f"--dim={text}"] if joined else ["--dim", text]), "-o", "p.npy")
        np.testing.assert_allclose(np.load("p.npy"), scipy_softmax(logits, dims), rtol=3e-6)

    @pytest.mark.parametrize("dtype", TOLERANCE)
    def test_in_the_dtype_that_is_given(self, logits: Array, run_well: Call, dtype: str) -> None:
        out = run_well("logits.npy", "--dtype", dtype, "-o", "p.npy")
        result = np.load("p.npy")
        assert result.dtype == np.dtype(dtype)
        expected = scipy_softmax(logits.astype(dtype).astype(np.float64), -1)
        np.testing.assert_allclose(result.astype(np.float64), expected, rtol=TOLERANCE[dtype])
        assert f"dtype   float32 -> {np.dtype(dtype)}" in out or dtype == "float32"

    @pytest.mark.parametrize(
        "array",
        [
            pytest.param(np.asfortranarray(np.arange(6.0).reshape(2, 3)), id="column-major"),
            pytest.param(np.arange(6.0).reshape(2, 3).astype(">f4"), id="big-endian"),
            pytest.param(np.array([240, 245, 250], np.uint8), id="uint8"),
            pytest.param(np.array([True, False]), id="bool"),
            pytest.param(np.array(3.0), id="0-d"),
            pytest.param(np.array([1.0, -np.inf, 2.0]), id="infinity"),
        ],
    )
    def test_whatever_the_array(self, folder: Path, run_well: Call, array: Array) -> None:
        np.save("x.npy", array)
        run_well("x.npy", "-o", "p.npy")
        expected = scipy_softmax(array.astype(np.float64), -1 if array.ndim else None)
        np.testing.assert_allclose(np.load("p.npy"), expected, rtol=3e-6)

    @pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
    def test_nothing_of_nothing(self, folder: Path, run_well: Call, shape: tuple[int, ...]) -> None:
        np.save("x.npy", np.zeros(shape))
        run_well("x.npy", "-o", "p.npy", "--top", 2)
        assert np.load("p.npy").shape == shape

    def test_complex_numbers(self, folder: Path, run_well: Call) -> None:
        array = np.array([1 + 2j, 0.5])
        np.save("x.npy", array)
        run_well("x.npy", "-o", "p.npy", "--dtype", "complex64")
        assert np.load("p.npy").dtype == np.complex64
        np.testing.assert_allclose(np.load("p.npy"), scipy_softmax(array), rtol=1e-6)

    def test_slices_with_nan_as_nan(self, folder: Path, run_well: Call) -> None:
        np.save("x.npy", np.array([[np.nan, 1.0], [1.0, 1.0]]))
        run_well("x.npy", "-o", "p.npy")
        expected = [[np.nan, np.nan], [0.5, 0.5]]
        np.testing.assert_allclose(np.load("p.npy"), expected, rtol=1e-15)

    def test_an_input_that_is_its_output(self, logits: Array, run_well: Call) -> None:
        run_well("logits.npy", "-o", "logits.npy")
        np.testing.assert_allclose(np.load("logits.npy"), scipy_softmax(logits, -1), rtol=3e-6)

    def test_a_large_input_only_once(
        self, logits: Array, run_well: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cli, "_QUICK_BYTES", 8)
        calls = []

        def computed(array: Array, *_: object) -> Array:
            calls.append(array)
            return array

        monkeypatch.setattr(cli, "softmax", computed)
        out = run_well("logits.npy")
        assert len(calls) == 1
        assert re.search(r"time    [\d.e-]+ [mu]?s, compiling or loading the kernel included", out)

    def test_the_shipped_logits(self, run_well: Call, folder: Path) -> None:
        run_well(DATA / "digits_logits.npy", "--dim", "-1", "-o", "p.npy", "--top", "3")
        logits, result = np.load(DATA / "digits_logits.npy"), np.load("p.npy")
        np.testing.assert_allclose(result, scipy_softmax(logits.astype(float), 1), rtol=1e-6)
        right = result.argmax(axis=1) == np.load(DATA / "digits_labels.npy")
        assert right.mean() > 0.96


class TestWhereStandardOutputIs:
    def test_closed_it_does_its_work(self, logits: Array, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdout", None)
        assert cli.main(["logits.npy", "-o", "p.npy", "--top", "2"]) == 0
        assert np.load("p.npy").shape == logits.shape

    def test_full_it_says_so(
        self, logits: Array, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Full(io.TextIOBase):
            def write(self, _: str) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(sys, "stdout", Full())
        assert cli.main(["logits.npy", "-o", "p.npy"]) == 1
        complaint = "fastsoftmax: error: cannot print: No space left on device\n"
        assert capsys.readouterr().err == complaint
        assert np.load("p.npy").shape == logits.shape


class TestIsAProcess:
    def test_that_computes(self, logits: Array) -> None:
        done = process("logits.npy", "--dim", "-1", "-o", "p.npy", "--top", "1")
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"shape   (3, 4, 5)" in done.stdout
        np.testing.assert_allclose(np.load("p.npy"), scipy_softmax(logits, -1), rtol=3e-6)

    def test_that_refuses(self, folder: Path) -> None:
        done = process("absent.npy", "-o", "p.npy")
        message = b"fastsoftmax: error: cannot read absent.npy: No such file or directory"
        assert (done.returncode, done.stdout, done.stderr.strip()) == (2, b"", message)
        assert contents() == {}

    def test_that_tells_its_version_and_use(self, folder: Path) -> None:
        assert re.fullmatch(rb"fastsoftmax \d+\.\d+\.\d+\S*\s+", process("--version").stdout)
        use = process("--help")
        assert use.returncode == 0
        for option in (b"--dim", b"--output", b"--dtype", b"--top", b"--version"):
            assert option in use.stdout

    @pytest.mark.parametrize(("encoding", "bar"), [("ascii", "#"), ("utf-8", "█"), ("cp437", "#")])
    def test_that_prints_what_the_terminal_can_show(
        self, folder: Path, encoding: str, bar: str
    ) -> None:
        np.save("Übung.npy", np.array([0.0, 50.0]))
        environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
        done = process("Übung.npy", "--top", "1", env=environment)
        out = done.stdout.decode(encoding)
        assert done.returncode == 0
        assert bar * 24 in out
        assert ("\\xdcbung.npy" if encoding == "ascii" else "Übung.npy") in out

    @pytest.mark.parametrize("words", [["logits.npy", "--top", "3"], ["--help"], ["--version"]])
    def test_that_does_not_mind_a_reader_who_leaves(self, logits: Array, words: list[str]) -> None:
        writer = subprocess.Popen(
            [sys.executable, "-m", "fastsoftmax", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()
        assert writer.stderr.read() == b""
        writer.stderr.close()
        assert writer.wait(timeout=120) == 0

    @pytest.mark.parametrize(
        "words", [["absent.npy"], ["logits.npy", "--dim", "7"], ["logits.npy", "-o", "no/p.npy"]]
    )
    def test_that_refuses_before_it_imports_numba(self, logits: Array, words: list[str]) -> None:
        program = (
            "import sys; from fastsoftmax import cli\n"
            f"assert cli.main({words!r}) == 2\n"
            "assert 'numba' not in sys.modules and 'llvmlite' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
