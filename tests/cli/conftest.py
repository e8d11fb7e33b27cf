"""The command run in this process, in a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from command import Array, Call, Run, contents

from fastsoftmax import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def logits(folder: Path) -> Array:
    """A small array, also in ``logits.npy``."""
    array = np.random.default_rng(0).normal(0, 3, (3, 4, 5)).astype(np.float32)
    np.save("logits.npy", array)
    return array


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command, however it ends."""

    def call(*words: object) -> tuple[int, str, str]:
        status = cli.main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def run_well(run: Run) -> Call:
    """Run the command, which is to succeed without a word on standard error."""

    def call(*words: object) -> str:
        status, out, err = run(*words)
        assert (status, err) == (0, "")
        return out

    return call


@pytest.fixture
def refusal(run: Run) -> Call:
    """Run the command, which is to refuse in one line and leave every file as it is."""

    def call(*words: object) -> str:
        before = contents()
        status, out, err = run(*words)
        assert (status, out) == (2, "")
        assert err.startswith("fastsoftmax: error: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert contents() == before
        return err

    return call
