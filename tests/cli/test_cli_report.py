"""What the command prints."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
from command import Array, Call, Run, contents, table
from scipy.special import softmax as scipy_softmax

from fastsoftmax import _report, cli

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class TestPrints:
    def test_what_was_done(self, logits: Array, run_well: Call) -> None:
        out = run_well("logits.npy", "-o", "p.npy", "--dim", "0,2")
        assert out.startswith(
            "input   logits.npy\nshape   (3, 4, 5)\ndtype   float32\ndim     0, 2\n"
            "output  p.npy\ntime    "
        )
        number = r"[\d.]+(e[-+]\d+)? [mu]?s"
        assert re.search(
            rf"time    {number} \(the first call, which .* the kernel: {number}\)\n$", out
        )

    def test_without_writing(self, logits: Array, run_well: Call) -> None:
        before = contents()
        assert "output" not in run_well("logits.npy", "--dim", "none")
        assert contents() == before

    def test_the_leading_classes_of_the_first_slices(self, folder: Path, run_well: Call) -> None:
        array = np.random.default_rng(1).normal(0, 2, (7, 30))
        np.save("x.npy", array)
        out = run_well("x.npy", "--top", "3")
        rows = table(out)
        expected = scipy_softmax(array, 1)
        leaders = expected.argsort(axis=1)[:, :-4:-1]
        assert [row[0] for row in rows[::3]] == [f"[{i}, :]" for i in range(5)]
        assert [int(row[1]) for row in rows] == leaders[:5].ravel().tolist()
        shares = [expected[i, j] for i in range(5) for j in leaders[i]]
        np.testing.assert_allclose([float(row[2]) for row in rows], shares, atol=5.1e-5)
        assert out.endswith("... and 2 more slices\n")

    def test_no_more_classes_than_there_are(self, folder: Path, run_well: Call) -> None:
        np.save("x.npy", np.zeros((6, 2)))
        out = run_well("x.npy", "--top", "100")
        assert [row[1] for row in table(out)] == ["0", "1"] * 5
        assert out.endswith("... and 1 more slice\n")

    def test_equal_classes_in_their_order(self, folder: Path, run_well: Call) -> None:
        np.save("x.npy", np.array([0.0, 2, 1, 2, 2, 1]))
        rows = table(run_well("x.npy", "--top", "5"))
        assert [row[1] for row in rows] == ["1", "3", "4", "2", "5"]
        assert [row[0] for row in rows] == ["[:]", None, None, None, None]

    def test_the_first_of_more_equal_classes_than_are_shown(
        self, folder: Path, run_well: Call
    ) -> None:
        np.save("x.npy", np.array([[1.0, 1, 1, 0], [0, 1, 1, 1], [3, 3, 4, 3]]))
        rows = table(run_well("x.npy", "--top", "2"))
        assert [row[1] for row in rows] == ["0", "1", "1", "2", "2", "0"]

    def test_classes_along_the_dim_that_is_given(self, logits: Array, run_well: Call) -> None:
        rows = table(run_well("logits.npy", "--top", "1", "--dim", "1"))
        names = ["[0, :, 0]", "[0, :, 1]", "[0, :, 2]", "[0, :, 3]", "[0, :, 4]"]
        assert [row[0] for row in rows] == names
        assert [int(row[1]) for row in rows] == logits[0].argmax(axis=0).tolist()

    def test_classes_of_several_dims_as_indices(self, logits: Array, run_well: Call) -> None:
        rows = table(run_well("logits.npy", "--top", "1", "--dim", "2,0"))
        assert [row[0] for row in rows] == [f"[:, {i}, :]" for i in range(4)]
        leader = np.unravel_index(logits[:, 0].argmax(), (3, 5))
        assert rows[0][1] == str(tuple(map(int, leader)))

    def test_a_number_alone(self, folder: Path, run_well: Call) -> None:
        np.save("x.npy", np.array(3))
        ((name, label, share, _),) = table(run_well("x.npy", "--top", "1"))
        assert (name, label, share) == ("[]", "0", "1.0000")

    def test_nan_for_a_slice_with_nan(self, folder: Path, run_well: Call) -> None:
        np.save("x.npy", np.array([[np.nan, 1.0], [0.0, np.log(3)]]))
        rows = table(run_well("x.npy", "--top", "2"))
        assert rows[0] == ("[0, :]", "all", "NaN", "")
        assert [row[1:3] for row in rows[1:]] == [("1", "0.7500"), ("0", "0.2500")]

    def test_small_shares_by_their_size(self, folder: Path, run_well: Call) -> None:
        np.save("x.npy", np.array([0.0, -20.0, -np.inf]))
        rows = table(run_well("x.npy", "--top", "3"))
        assert [row[2] for row in rows] == ["1.0000", "2e-09", "0.0000"]

    def test_bars_as_long_as_the_shares(self) -> None:
        blocks, signs = _report.bars_for("utf-8"), _report.bars_for("latin-1")
        assert [blocks(share) for share in (1, 0.5, 0.5 + 1 / 192, 0)] == [
            "█" * 24,
            "█" * 12,
            "█" * 12 + "▏",
            "",
        ]
        assert [signs(share) for share in (1, 0.5, 0)] == ["#" * 24, "#" * 12, ""]
        assert _report.bars_for(None)(1) == _report.bars_for("no such encoding")(1) == "#" * 24

    def test_warnings_in_one_line(
        self, logits: Array, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def computed(array: Array, *_: object) -> Array:
            warnings.warn("kernels cannot be\nkept", stacklevel=1)
            return np.array(array)

        monkeypatch.setattr(cli, "softmax", computed)
        monkeypatch.setattr(cli, "_QUICK_BYTES", 0)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            status, _, err = run("logits.npy")
        assert (status, err) == (0, "fastsoftmax: warning: kernels cannot be kept\n")
