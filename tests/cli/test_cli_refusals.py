"""What the command refuses: in one line on standard error, with nothing written."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fastsoftmax import cli

if TYPE_CHECKING:
    from command import Array, Call


class TestRefuses:
    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            ([], "required: LOGITS"),
            (["logits.npy", "more.npy"], "more.npy"),
            (["logits.npy", "--tpo", "3"], "--tpo"),
            (["logits.npy", "-o"], "-o"),
            (["absent.npy"], "cannot read absent.npy: No such file or directory"),
            (["absent.csv"], "cannot read absent.csv: No such file or directory"),
            (["folder.npy"], "cannot read folder.npy: it is a folder; give a file"),
            (["logits.npy/x.npy"], "cannot read logits.npy/x.npy: Not a directory"),
            (["logits.txt"], "logits.txt has the suffix '.txt'; it must be one of .npy, .csv"),
            (["logits"], "logits has the suffix ''; it must be one of .npy, .csv"),
            (["text.npy"], "text.npy is not a .npy file of numbers: the magic string"),
            (["empty.npy"], "empty.npy is not a .npy file of numbers: EOF"),
            (["cut.npy"], "cut.npy is not a .npy file of numbers: mmap length"),
            (["pickle.npy"], "pickle.npy is not a .npy file of numbers: the magic string"),
            (["objects.npy"], "objects.npy is not a .npy file of numbers: Array can't be"),
            (["zip.npy"], "zip.npy is not a .npy file of numbers: the magic string"),
            (["header.npy"], "header.npy is not a .npy file of numbers"),
            (["words.npy"], "input has the dtype <U3"),
            (["dates.npy"], "input has the dtype datetime64[D]"),
            (["records.npy"], "input has the dtype [('a', '<f4')]"),
            (["logits.npy", "--dim", "3"], "expected to be in range of [-3, 2], but got 3"),
            (["logits.npy", "--dim=-4"], "expected to be in range of [-3, 2], but got -4"),
            (["logits.npy", "--dim", "1,1"], "dim=(1, 1) names a dim twice"),
            (["logits.npy", "--dim", "1.0"], "argument --dim: '1.0' must be an int"),
            (["logits.npy", "--dim", "x"], "argument --dim: 'x' must be an int"),
            (["logits.npy", "--dim", ""], "argument --dim: '' must be an int"),
            (["logits.npy", "--dim", "1,"], "argument --dim: '1,' must be an int"),
            (["logits.npy", "--dim"], "argument --dim: expected one argument"),
            (["logits.npy", "--dtype", "int32"], "argument --dtype: invalid choice: 'int32'"),
            (["logits.npy", "--dtype", "O"], "argument --dtype: invalid choice: 'O'"),
            (
                ["logits.npy", "--dtype", "complex64"],
                "dtype=complex64 for float32 input; it must be a floating",
            ),
            (["complex.npy", "--dtype", "float32"], "dtype=float32 for complex input"),
            (["logits.npy", "--top", "0"], "argument --top: '0' must be a positive int"),
            (["logits.npy", "--top", "-1"], "argument --top: '-1' must be a positive int"),
            (["logits.npy", "--top", "2.5"], "argument --top: '2.5' must be a positive int"),
            (["complex.npy", "--top", "2"], "--top 2 with complex input"),
            (["complex.npy", "-o", "p.csv"], "the result is complex"),
            (["logits.npy", "-o", "p.csv"], "the result has 3 dims; a .csv file holds 1 or 2"),
            (["number.npy", "-o", "p.csv"], "the result has 0 dims; a .csv file holds 1 or 2"),
            (["logits.npy", "-o", "p.txt"], "p.txt has the suffix '.txt'"),
            (["logits.npy", "-o", "p"], "p has the suffix ''"),
            (["logits.npy", "-o", "absent/p.npy"], "cannot write absent/p.npy: there is no folder"),
            (["logits.npy", "-o", "text.npy/p.npy"], "cannot write text.npy/p.npy"),
            (["logits.npy", "-o", "folder.npy"], "cannot write folder.npy: it is a folder"),
            (["absent\nfile.npy"], "cannot read absent file.npy"),
        ],
    )
    def test_in_one_line_and_writes_nothing(
        self, bad_files: None, refusal: Call, words: list[str], complaint: str
    ) -> None:
        output = [] if {"-o", "absent.npy"} & set(words) else ["-o", "p.npy"]
        assert complaint in refusal(*words[:1], *output, *words[1:])

    @pytest.fixture
    def bad_files(self, logits: Array) -> None:
        Path("folder.npy").mkdir()
        Path("text.npy").write_text("1 2 3 4 5\n")
        Path("empty.npy").write_bytes(b"")
        Path("cut.npy").write_bytes(Path("logits.npy").read_bytes()[:-1])
        Path("pickle.npy").write_bytes(pickle.dumps([1.0, 2.0]))
        Path("header.npy").write_bytes(b"\x93NUMPY\1\0\x04\0{'a\n")
        np.save("objects.npy", np.array([1, None]), allow_pickle=True)
        np.savez("zip.npz", x=np.arange(3.0))
        Path("zip.npz").rename("zip.npy")
        np.save("words.npy", np.array(["one"]))
        np.save("dates.npy", np.array(["2026-01-01"], "M8[D]"))
        np.save("records.npy", np.zeros(2, [("a", "<f4")]))
        np.save("complex.npy", np.array([1j, 1]))
        np.save("number.npy", np.array(1.0))

    @pytest.mark.parametrize("place", ["input", "output"])
    def test_what_is_no_regular_file(self, logits: Array, refusal: Call, place: str) -> None:
        os.mkfifo("pipe.npy")
        Path("null.npy").symlink_to(os.devnull)
        for name in ("pipe.npy", "null.npy"):
            words = [name] if place == "input" else ["logits.npy", "-o", name]
            assert f"{name}: it is not a regular file" in refusal(*words)
        assert Path("pipe.npy").is_fifo()
        assert Path("null.npy").is_char_device()

    def test_symbolic_links_in_a_circle(self, logits: Array, refusal: Call) -> None:
        Path("b.npy").symlink_to("a.npy")
        Path("a.npy").symlink_to("b.npy")
        assert "cannot read a.npy: " in refusal("a.npy")
        assert "cannot write a.npy: " in refusal("logits.npy", "-o", "a.npy")

    @pytest.mark.parametrize("forbidden", ["p.npy", ""])
    def test_an_output_without_permission(
        self, logits: Array, refusal: Call, monkeypatch: pytest.MonkeyPatch, forbidden: str
    ) -> None:
        Path("p.npy").write_text("old")
        closed = Path(forbidden).resolve()
        monkeypatch.setattr(os, "access", lambda path, _: Path(path) != closed)
        assert "cannot write p.npy: no permission" in refusal("logits.npy", "-o", "p.npy")

    def test_more_than_fits_in_memory(
        self, logits: Array, refusal: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def computed(*_: object) -> Array:
            raise MemoryError("Unable to allocate 4 TiB")

        monkeypatch.setattr(cli, "softmax", computed)
        assert "not enough memory: Unable" in refusal("logits.npy", "-o", "p.npy")
