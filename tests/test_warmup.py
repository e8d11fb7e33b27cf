"""`warmup` and its command: kernels compiled ahead, so that calls find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import processes
import pytest
from relatives import RELATIVES, Relative, name_of

from fastsoftmax import _launch, _shortcuts, explain, warmup
from fastsoftmax._warmup import kernels_for
from fastsoftmax.cli import main
from fastsoftmax.kernels.class_gradients import class_gradients, most_classes
from fastsoftmax.kernels.operations import BACKWARD, HALF_BACKWARD

if TYPE_CHECKING:
    from pathlib import Path

# The kernel that takes the least time.
LEAST: Any = {"dtypes": ["float32"], "layouts": ["narrow"], "classes": [], "parallel": False}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gradients_of_as_many_classes_as_have_kernels(dtype: str) -> None:
    kind = np.dtype(dtype)
    most = most_classes(kind.itemsize)
    for count, has_one in ((most, True), (most + 1, False)):
        found = kernels_for("softmax_backward", "narrow", (count,), kind)
        operation = BACKWARD if kind.itemsize > 2 else HALF_BACKWARD
        assert (class_gradients(operation, count) in found) == has_one
        explained = explain(np.zeros((9, count), kind), 1, function="softmax_backward").kernel
        assert (explained == "class_gradients") == has_one


def test_one_build_for_each_kernel() -> None:
    """And one for the recall of small calls."""
    assert warmup(**LEAST) == 1 + 1
    assert warmup(["softmax"], **LEAST) == 1 + 1
    assert warmup(["softmax", "softmax"], **LEAST) == 1 + 1
    assert warmup(**{**LEAST, "layouts": ["narrow", "narrow"]}) == 1 + 1
    assert warmup(**{**LEAST, "dtypes": ["float32", np.float32, np.dtype("f4"), "f4"]}) == 1 + 1
    assert warmup(**{**LEAST, "dtypes": ["float32", "float64"]}) == 2 + 1
    assert warmup(**{**LEAST, "parallel": True}) == 2 + 1
    assert warmup(**{**LEAST, "classes": [3]}) == 2 + 1
    assert warmup(["softmax", "logsumexp"], **{**LEAST, "classes": (3, 10, 3)}) == 4 + 1
    assert warmup(**{**LEAST, "classes": np.array([3, 10])}) == 3 + 1


def test_nothing_to_compile() -> None:
    for empty in ({"dtypes": []}, {"layouts": []}):
        assert warmup(**{**LEAST, **empty}) == 0
    assert warmup([], **LEAST) == 0


def test_a_name_alone_is_no_list_of_letters() -> None:
    """One word where several can be given means this one, or is refused by name."""
    for changes in ({"functions": "softmax"}, {"layouts": "narrow"}, {"dtypes": "float32"}):
        (name,) = changes
        try:
            assert warmup(**{**LEAST, **changes}) == 1 + 1
        except (TypeError, ValueError) as refusal:
            assert name in str(refusal)  # noqa: PT017  # either will do


def test_progress_is_told_before_each_build_and_at_the_end() -> None:
    seen: list[tuple[int, int, str]] = []
    count = warmup(["softmax", "log_softmax"], **LEAST, progress=lambda *each: seen.append(each))
    assert [done for done, _, _ in seen] == list(range(count + 1))
    assert {total for _, total, _ in seen} == {count}
    names = [name for _, _, name in seen]
    assert len(set(names)) == count + 1
    assert all("float32" in name for name in names[:-2])


AFTERWARDS = """
    import sys
    import numpy as np
    import fastsoftmax

    function, layout, dtype = sys.argv[1:]
    shape, dim = {
        "narrow": ((20, 10), 1),
        "rows": ((20, 1000), 1),
        "columns": ((10, 20), 0),
        "split": ((300_000,), 0),
    }[layout]
    x = np.zeros(shape, dtype)
    before = fastsoftmax.explain(x, dim, function=function, workers=1).code
    count = fastsoftmax.warmup([function], dtypes=[dtype], layouts=[layout], parallel=False)
    after = fastsoftmax.explain(x, dim, function=function, workers=1).code

    import numba.core.compiler
    def compiled(*_, **__):
        raise SystemExit("something was compiled after all")
    numba.core.compiler.compile_extra = compiled
    getattr(fastsoftmax, function)(x, dim, workers=1)
    for _ in range(200):
        getattr(fastsoftmax, function)(x, dim, workers=1)
    print(before, after, count)
"""


SHAPES = {
    "narrow": [((50, 10), 1), ((6, 9, 5), (0, 2))],
    "rows": [((20, 1000), 1), ((20, 9000), 1), ((20, 12, 10), (1, 2))],
    "columns": [((10, 40), 0), ((1000, 300), 0), ((2000, 128), 0), ((4000, 300), 0)],
    "split": [((300_000,), 0), ((5000, 100), 0), ((5000, 7), 0), ((5000, 3), 0), ((2, 600_000), 1)],
}


@pytest.mark.parametrize("layout", SHAPES)
@pytest.mark.parametrize("relative", RELATIVES, ids=name_of)
def test_no_kernel_is_left_out(
    relative: Relative, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What calls launch is among what would be compiled ahead; nothing is computed here."""
    used = set()

    def note(kernel: Any, *_: Any) -> Any:
        used.add(kernel)
        return lambda *_: None

    monkeypatch.setattr(_launch.Job, "run", lambda job, *_: note(job.kernel))
    monkeypatch.setattr(_launch, "ready", note)
    monkeypatch.setattr(_shortcuts, "ways", {})
    monkeypatch.setattr(_shortcuts, "recall", lambda *_: None)
    for shape, dim in SHAPES[layout]:
        relative.call(*[np.zeros(shape, np.float32)] * relative.inputs, dim)
    name = relative.public.__name__
    ahead = set(kernels_for(name, layout, [10]))
    assert used <= ahead, [kernel.name for kernel in used - ahead]


@pytest.mark.parametrize(
    ("function", "layout", "dtype"),
    [
        ("softmax", "narrow", "float32"),
        ("softmax", "rows", "float64"),
        ("softmax", "columns", "float16"),
        ("softmax", "rows", "float16"),
        ("log_softmax", "rows", "float32"),
        ("log_softmax", "split", "float32"),
        ("softmin", "narrow", "float32"),
        ("logsumexp", "narrow", "float32"),
    ],
)
def test_calls_find_what_was_compiled_ahead(
    function: str, layout: str, dtype: str, tmp_path: Path
) -> None:
    said = processes.run(AFTERWARDS, function, layout, dtype, FASTSOFTMAX_CACHE_DIR=str(tmp_path))
    before, after, count = said.split()
    assert (before, after) == ("absent", "compiled")
    assert int(count) >= 1


GRADIENTS_AND_MORE = """
    import numpy as np
    import fastsoftmax

    names = ["softmax_backward", "log_softmax_backward", "top_k", "cross_entropy"]
    fastsoftmax.warmup(names, dtypes=["float32"], layouts=["narrow"], parallel=False)
    import numba.core.compiler
    def compiled(*_, **__):
        raise SystemExit("something was compiled after all")
    numba.core.compiler.compile_extra = compiled
    x = np.zeros((20, 10), np.float32)
    fastsoftmax.softmax_backward(x, x, 1)
    fastsoftmax.log_softmax_backward(x, x, 1)
    fastsoftmax.top_k(x, 2, 1)
    fastsoftmax.cross_entropy(x, np.zeros(20, int))
"""


LAYER_OF_CALLS = """
    import sys
    import numpy as np
    import fastsoftmax
    if "warm" in sys.argv:
        fastsoftmax.warmup(["softmax"], dtypes=["float32"], layouts=["narrow"])
    x = np.zeros((1000, 1000), np.float32)
    fastsoftmax.softmax(x, 1)
    print(fastsoftmax.explain(x, 1).layer, end="")
"""


@pytest.mark.parametrize("layer", ["", "tbb", "omp", "imaginary"])
def test_it_loads_the_threading_layer_of_calls(layer: str) -> None:
    """From where calls find it; where there is none, nothing for several threads is compiled."""
    variables = {"NUMBA_THREADING_LAYER": layer or None, "LD_LIBRARY_PATH": None}
    usual = processes.run(LAYER_OF_CALLS, **variables)
    assert processes.run(LAYER_OF_CALLS, "warm", **variables) == usual


def test_functions_that_explain_does_not_know() -> None:
    processes.run(GRADIENTS_AND_MORE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"functions": ["sigmoid"]}, ("functions", "'sigmoid'", "softmax")),
        ({"functions": ["softmax", "explain"]}, ("functions", "'explain'")),
        ({"layouts": ["diagonal"]}, ("layouts", "'diagonal'", "rows")),
        ({"layouts": ["rows", "Narrow"]}, ("layouts", "'Narrow'")),
        ({"classes": [1]}, ("classes", "1", "from 2 to 64")),
        ({"classes": [10, 65]}, ("classes", "65")),
        ({"classes": [2.0]}, ("classes", "2.0")),
        ({"classes": 65}, ("classes", "65")),
        ({"classes": [True]}, ("classes", "True")),
        ({"classes": ["3"]}, ("classes", "'3'")),
        ({"dtypes": ["int32"]}, ("dtype", "int32")),
        ({"dtypes": ["longdouble"]}, ("dtype",)),
        ({"dtypes": ["complex64"]}, ("dtype", "complex64")),
        ({"dtypes": ["float32", bool]}, ("dtype", "bool")),
        ({"dtypes": ["float33"]}, ("float33",)),
    ],
    ids=str,
)
def test_what_there_is_not_is_refused(changes: Any, words: tuple[str, ...]) -> None:
    seen: list[Any] = []
    with pytest.raises(ValueError, match=words[0]) as caught:
        warmup(**{**LEAST, **changes}, progress=lambda *each: seen.append(each))
    for word in words:
        assert word in str(caught.value)
    assert seen == [], "nothing is compiled before everything is checked"


def test_it_leaves_the_results_alone() -> None:
    x = np.zeros((20, 10), np.float32)
    warmup(**{**LEAST, "classes": [10]})
    assert explain(x, 1).code == "compiled"


# --- The command ------------------------------------------------------------------------


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["warmup", "--dtypes", "float32", "--layouts", "narrow", "--classes=", "--serial"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    first, _, last = out.splitlines()
    assert "0 of 2" in " ".join(first.split())
    assert "float32" in first
    assert "2 of 2" in " ".join(last.split())
    assert err == ""


def test_words_with_commas_between(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["warmup", "--dtypes", "float32, float64", "--layouts=narrow", "--serial"]
    assert main([*words, "--classes", "3, 10"]) == 0
    assert "7 of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--functions", "sigmoid"], "sigmoid"),
        (["--layouts", "rows,diagonal"], "diagonal"),
        (["--dtypes", "int32"], "int32"),
        (["--dtypes", "float33"], "float33"),
        (["--classes", "10,65"], "65"),
        (["--classes", "ten"], "'ten' is no list of whole numbers"),
        (["--threads", "3"], "--threads"),
        (["extra"], "extra"),
        (["--serial=1"], "--serial"),
    ],
)
def test_the_command_refuses_in_one_line(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["warmup", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("fastsoftmax: error: ")
    assert named in err


def test_the_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["warmup", "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for word in (
        "fastsoftmax warmup",
        "--functions",
        "--dtypes",
        "--layouts",
        "--classes",
        "--serial",
    ):
        assert word in out


# --- Casts ----------------------------------------------------------------------------


def test_kernels_that_cast_what_they_read() -> None:
    rows: Any = {**LEAST, "layouts": ["rows"], "casts": ["float16"]}
    assert warmup(**rows) == 4 + 1
    x = np.zeros((200, 100), np.float16)
    for length in (100, 10_000):
        large = np.zeros((200, length), np.float16)
        assert explain(large, 1, "float32", workers=1).code == "compiled"
    assert explain(x, 1, "float32", workers=1).copies == ()
    assert warmup(**{**rows, "casts": "float32"}) == 2 + 1
    assert warmup(["softmax_backward"], **rows) == 3 + 1  # whose inputs are not
    assert warmup(**{**rows, "layouts": "split", "dtypes": ["float32"], "casts": "bool"}) == 15 + 1


@pytest.mark.parametrize("given", ["int16", ">f4", "longdouble", "no dtype", None])
def test_dtypes_that_are_cast_beforehand_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="casts has"):
        warmup(**LEAST, casts=[given])


def test_the_command_knows_bfloat16_by_name() -> None:
    code = """
        from fastsoftmax.cli import main
        words = ["--layouts", "narrow", "--classes", "", "--dtypes", "float32", "--serial"]
        raise SystemExit(main(["warmup", *words, "--casts", "bfloat16"]))
    """
    assert "reading-int16" in processes.run(code)
