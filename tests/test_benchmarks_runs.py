"""The commands of the benchmarks, run for real on little data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

for needed in ("matplotlib", "psutil", "rich"):
    pytest.importorskip(needed)

from benchmarks import __main__, results  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "benchmarks.md"
DIGITS = ROOT / "docs" / "data" / "digits_logits.npy"

BAD_CONTENDERS = """
import os
import numpy as np
from benchmarks.contenders import CONTENDERS, Calls, Contender

class Zeros(Contender):
    name, package, into_out = "zeros", "numpy", False
    def prepare(self, x, dim):
        return Calls(lambda: np.zeros_like(x))

class Refusing(Zeros):
    name = "refusing"
    def prepare(self, x, dim):
        raise OverflowError("no room")

class Dying(Zeros):
    name = "dying"
    def prepare(self, x, dim):
        return Calls(lambda: os._exit(3))

class Absent(Zeros):
    name, package = "absent", "no_such_package"

CONTENDERS += [Zeros(), Refusing(), Dying(), Absent()]
"""


def run(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=ROOT, check=True, timeout=300)


class TestARace:
    def race(self, tmp_path: Path, source: str, names: str) -> dict[str, Any]:
        (tmp_path / "mine.py").write_text(source)
        output = tmp_path / "own.json"
        words = ["--shape", "40,20", "--budget", "0.1", "--rounds", "2", "--contenders", names]
        run("race", "--with", str(tmp_path / "mine.py"), *words, "--output", str(output))
        race: dict[str, Any] = json.loads(output.read_text())["race"]
        return race

    def test_of_the_contender_in_the_guide(self, tmp_path: Path) -> None:
        [example] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        assert len([line for line in example.splitlines() if line.strip()]) == 10
        race = self.race(tmp_path, example, "shifted,numpy")
        [cell] = race["cells"]
        found = results.find(cell, "shifted", "fresh")
        assert found is not None
        assert found["status"] == results.TIMED
        assert len(found["rounds"]) == 2
        assert race["contender_threads"] == {"shifted": 1, "numpy": 1}

    def test_goes_on_without_those_who_fail(self, tmp_path: Path) -> None:
        race = self.race(tmp_path, BAD_CONTENDERS, "zeros,refusing,dying,absent,numpy,copy")
        [cell] = race["cells"]
        found = {(each["contender"], each["mode"]): each for each in cell["entries"]}
        assert found["zeros", "fresh"]["status"] == "wrong"
        assert found["refusing", "fresh"]["detail"] == "OverflowError: no room"
        assert found["dying", "fresh"]["status"] == "died"
        assert "status 3" in found["dying", "fresh"]["detail"]
        assert race["missing"] == {"absent": "not installed"}
        assert {found[name, "out"]["status"] for name in ("numpy", "copy")} == {results.TIMED}


def test_accuracy_is_measured_in_full(tmp_path: Path) -> None:
    output = tmp_path / "own.json"
    words = ["--lengths", "10", "--sigmas", "1", "--dtypes", "float32"]
    run("accuracy", "--contenders", "numpy,fastsoftmax", *words, "--output", str(output))
    rows = json.loads(output.read_text())["accuracy"]["rows"]
    assert [(row["contender"], row["dim"]) for row in rows] == [
        (name, dim) for dim in ("last", "first") for name in ("numpy", "fastsoftmax")
    ]
    assert all(0 < row["mean_ulp"] < row["max_ulp"] and row["sum_error"] < 1e-5 for row in rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workloads", "imagnet"], "no workload 'imagnet'"),
        (["--contenders", "troch"], "no contender 'troch'"),
        (["--shape", "10,x"], "--shape 10,x"),
        (["--shape", "10,10", "--dim", "2"], "dim 2"),
        (["--input", "nowhere.npy"], "nowhere.npy"),
        (["--shape", "10,10", "--sigma", "-1"], "sigma -1"),
        (["--input", str(DIGITS), "--sigma", "2"], "--sigma"),
        (["--compare", "nowhere.json"], "nowhere.json"),
        (["report", "nowhere.json"], "nowhere.json"),
    ],
)
def test_a_mistake_is_one_clear_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        __main__.main(words)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
