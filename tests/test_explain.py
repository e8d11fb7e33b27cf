"""`explain`: the right path for each call, and nothing done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import processes
import pytest
import recalls
from arrays import logits
from halves import HALVES
from relatives import name_of

import fastsoftmax
from fastsoftmax import _copied_first, _launch, _layout, _plans, explain, softmax

if TYPE_CHECKING:
    from pathlib import Path

F4, F8 = np.dtype(np.float32), np.dtype(np.float64)
FORWARD = ["softmax", "softmin", "log_softmax", "logsumexp"]
# Large enough for threads on each layer, and to go past the caches of any machine; memory
# that nobody touches takes no room.
HUGE = np.empty((1 << 14, 1 << 14), F4)


@pytest.mark.parametrize("function", FORWARD)
@pytest.mark.parametrize(
    ("shape", "dim", "kernels"),
    [
        ((100, 10), 1, ("classes", "narrow")),
        ((100, 2), -1, ("classes", "narrow")),
        ((30, 20, 3), 2, ("classes", "narrow")),
        ((100, 64), 1, ("classes", "narrow")),
        ((100, 1000), 1, ("rows", "along")),
        ((3, 65), 1, ("rows", "along")),
        ((1000,), 0, ("rows", "along")),
        ((10, 1000), 0, ("columns",)),
        ((1000, 100), 0, ("columns",)),
        ((4, 21, 64, 64), 1, ("columns",)),
        ((1_000_000,), 0, ("split",)),
        ((1000, 1000), None, ("split",)),
        ((1000, 1000), (0, 1), ("split",)),
        ((100_000, 8), 0, ("split",)),
    ],
    ids=str,
)
def test_each_layout_has_its_kernel(
    dtype: Any, function: str, shape: Any, dim: Any, kernels: tuple[str, ...]
) -> None:
    found = explain(np.zeros(shape, dtype), dim, function=function)
    assert found.kernel in kernels
    assert found.computed_in == str(dtype)
    count = np.zeros(shape, np.uint8).sum(axis=dim, keepdims=True).size
    assert (found.slices, found.length) == (count, np.prod(shape) // count)
    assert found.copies == ()


def test_plain_softmax_of_rows_has_a_kernel_of_its_own() -> None:
    x = logits((100, 1000), F4)
    assert explain(x, 1).kernel == "rows"
    assert explain(x, 1, function="log_softmax").kernel == "along"
    assert explain(x, 1, temperature=0.7).kernel == "along"
    assert explain(x, 1, where=x > 0).kernel == "along"


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_very_short_slices_one_after_the_other_have_a_kernel_of_their_length(function: str) -> None:
    for length in range(2, 65):
        x = np.zeros((5, 8, length), F4)
        assert explain(x, 2, function=function).kernel == "classes"
        assert explain(x[0, :1], 1, function=function).kernel == "classes"
        assert explain(x[:, ::2], 2, function=function).kernel == "narrow"
    assert explain(np.zeros((5, 65), F4), 1, function=function).kernel in ("rows", "along")
    assert explain(np.zeros((5, 10), F4), 1, out=np.zeros((5, 20), F4)[:, ::2]).kernel == "narrow"


@pytest.mark.parametrize("function", ["softmax_backward", "log_softmax_backward"])
def test_gradients(function: str) -> None:
    for shape, dim, kernel in (
        ((100, 5), 1, "class_gradients"),
        ((100, 20), 1, "gradients"),
        ((100, 1000), 1, "gradients"),
        ((40, 50), 0, "columns"),
    ):
        found = explain(np.zeros(shape, F4), dim, function=function)
        assert (found.kernel, found.copies, found.computed_in) == (kernel, (), "float32")
    x = np.zeros((100, 20), "?")
    copies = ("output as float32", "grad_output as float32")
    assert explain(x, 1, function=function).copies == copies
    assert explain(x, 1, function=function, where=~x).kernel == "narrow"
    with pytest.raises(TypeError, match=f"dtype='f4'.*{function} has no such argument"):
        explain(x, 1, "f4", function=function)
    with pytest.raises(TypeError, match="input"):
        explain(np.array(["a"]), 0, function=function)


def test_transposed_and_strided_inputs_are_not_copied() -> None:
    x = logits((300, 400), F4)
    assert explain(x.T, 1).kernel == "columns"
    assert explain(x.T, 0).kernel == "rows"
    for view, dim in (
        (x[:, ::2], 1),
        (x[::-1], 0),
        (x[:, ::-1], 1),
        (np.broadcast_to(x[0], (9, 400)), 1),
    ):
        assert explain(view, dim).copies == ()


@pytest.mark.parametrize("given", ["?", "i1", "u2", "i4", "i8", ">f4", ">f8"])
def test_inputs_that_have_to_be_cast_are_named(given: str) -> None:
    x = np.zeros((100, 10), given)
    (copied,) = explain(x, 1).copies
    assert "input" in copied
    assert explain(x, 1).kernel == "classes"


def test_unaligned_inputs_are_copied() -> None:
    x = np.zeros(4001, np.uint8)[1:].view(F4).reshape(100, 10)
    assert len(explain(x, 1).copies) == 1


def test_an_out_that_overlaps_or_is_cast_to_means_a_copy_of_the_result() -> None:
    memory = np.zeros(1010, F4)
    x, out = memory[:1000].reshape(100, 10), memory[10:].reshape(100, 10)
    assert explain(x, 1, out=out).copies == ("result",)
    assert explain(x, 1, out=x).copies == ()
    assert explain(x, 1, out=np.zeros((100, 10), F4)).copies == ()
    assert explain(x, 1, out=np.zeros((100, 10), F8)).copies == ("result",)


@pytest.mark.parametrize("half", HALVES, ids=name_of)
def test_halves_are_computed_in_float32(half: Any) -> None:
    for shape, dim in (((100, 10), 1), ((100, 1000), 1), ((1000, 100), 0)):
        assert explain(np.zeros(shape, half), dim).computed_in == "float32"


def test_the_dtype_of_the_call_counts() -> None:
    x = np.zeros((100, 10), F4)
    assert explain(x, 1, np.float64).computed_in == "float64"
    assert explain(x, 1, dtype="f8").copies != ()
    assert explain(np.zeros((100, 10), "g"), 1, F4).kernel == "classes"


def test_what_numpy_computes() -> None:
    for x in (np.zeros((3, 4), "g"), np.zeros((3, 4), "D"), np.zeros((0, 4)), np.zeros((3, 1))):
        found = explain(x, 1)
        assert (found.kernel, found.threads, found.tile) == ("numpy", 1, None)


# --- Threads, tiles, stores ------------------------------------------------------------


def test_threads() -> None:
    assert explain(logits((3,), F4), 0).threads == 1
    assert explain(HUGE, 1, workers=1).threads == 1
    assert 1 <= explain(HUGE, 1, workers=2).threads <= 2
    assert explain(HUGE, 1).threads >= explain(HUGE, 1, workers=2).threads


def test_each_step_has_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices that are shared take several steps; so do those that are copied, by pieces."""
    asked = []

    def threads_for(tasks: int, cost: float, workers: int | None) -> int:
        asked.append(cost)
        return min(tasks, 1 if cost < 1e6 else 2, workers or 2)

    monkeypatch.setattr(_launch, "threads_for", threads_for)
    x = np.zeros((2000, 2000), F4)
    assert explain(x.ravel()[:3_000_000], 0).threads == 1
    assert asked[-1] == asked[-2] == 3e6 * _plans.ELEMENT_COST["split"][4] / 2
    assert explain(x.ravel(), 0, function="logsumexp").threads == 1
    asked.clear()
    _layout._plans.clear()
    monkeypatch.setattr(_copied_first, "PIECE_BYTES", 2 << 20)
    explain(x.T, 1, out=np.zeros_like(x))
    costs = [_plans.ELEMENT_COST[step][4] for step in ("copies", "rows")]
    assert max(asked) < x.size * sum(costs) / 2


@pytest.mark.parametrize("given", [F4, F8, "f2", "i2", "u1"])
@pytest.mark.parametrize("dim", [0, 1])
def test_what_is_explained_is_what_is_done(given: Any, dim: int) -> None:
    """No other plan is made for the call itself, whatever is cast or repeated."""
    x = np.zeros((1000, 1000), given)
    for view in (
        x,
        x.T,
        x[:, ::2],
        x[::-1],
        np.broadcast_to(x[0], x.shape),
        np.broadcast_to(x[:, :1], x.shape),
    ):
        for more in ({}, {"dtype": F8}, {"out": np.zeros(view.shape, F4)}):
            _layout._plans.clear()
            recalls.forget()
            explain(view, dim, **more)
            plans = dict(_layout._plans)
            softmax(view, dim, **more)
            assert plans == _layout._plans, (view.strides, more)


@pytest.mark.parametrize("function", ["softmax_backward", "log_softmax_backward"])
def test_the_input_of_a_gradient_that_is_copied_is_named(function: str) -> None:
    x, out = np.zeros((1000, 1000), F4), np.empty((1000, 1000), F4)
    (copied,) = explain(x.T, 1, out=out, function=function).copies
    assert copied in {"output to the result", "grad_output to the result"}


def test_repeated_elements_have_their_result_in_the_order_of_the_rows() -> None:
    view = np.broadcast_to(np.zeros(1000, F4), (1000, 1000))
    for dim in (0, 1):
        assert explain(view, dim).copies == ()


def test_as_many_threads_as_numba_is_set_to() -> None:
    said = processes.run("""
        import numba
        import numpy as np
        import fastsoftmax
        x = np.empty((1 << 12, 1 << 12), np.float32)
        threads = fastsoftmax.explain(x, 1).threads
        numba.set_num_threads(1)
        print(threads, fastsoftmax.explain(x, 1).threads, fastsoftmax.explain(x, 1).layer)
    """)
    before, after, layer = said.split()
    assert int(before) >= int(after) == 1
    assert layer in {"tbb", "omp", "workqueue"}


def test_tiles_are_of_columns() -> None:
    assert explain(logits((100, 1000), F4), 1).tile is None
    rows, columns = explain(np.zeros((1000, 4096), F4), 0).tile or (0, 0)
    assert 1 <= rows <= 1000
    assert 1 <= columns <= 4096
    # A tile a thread, 1 MiB at the most.
    for shape in [(2, 10**6), (1000, 4096), (4096, 4096), (10**6, 64)]:
        rows, columns = explain(np.empty(shape, F4), 0).tile or (0, 0)
        assert 0 < rows * columns * 4 <= 1 << 20


def test_large_results_go_past_the_caches() -> None:
    assert explain(HUGE, 1).streaming
    assert explain(HUGE, 0).streaming
    assert not explain(logits((100, 100), F4), 1).streaming
    assert not explain(HUGE.reshape(-1)[: HUGE.size // 100 * 100].reshape(-1, 100), 1).streaming


# --- Nothing done -----------------------------------------------------------------------


@pytest.mark.parametrize("function", FORWARD)
def test_out_is_left_alone(function: str) -> None:
    x = logits((40, 30), F4)
    out = np.full((40, 30), 7, F4)
    shown = np.ones((40, 30), bool)
    explain(x, 1, out=out, where=shown, temperature=2.0, function=function)
    assert (out == 7).all()
    own = x.copy()
    explain(own, 1, out=own, function=function)
    assert np.array_equal(own, x)


def test_nothing_is_computed_or_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsoftmax import _jit, _launch

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("something was computed or compiled")

    monkeypatch.setattr(_launch, "ready", forbidden)
    monkeypatch.setattr(_jit.Kernel, "compile", forbidden)
    for function in FORWARD:
        for shape, dim in (((100, 10), 1), ((100, 1000), 1), ((1000, 100), 0), ((10**6,), 0)):
            explain(np.zeros(shape, F4), dim, function=function)
            explain(np.zeros(shape, np.int64), dim, where=True, function=function)


CODE_STATES = """
    import sys
    import numpy as np
    import fastsoftmax

    x = np.zeros((20, 10), np.float32)
    for workers in (1, None):
        print(fastsoftmax.explain(x, 1, workers=workers).code)
    fastsoftmax.softmax(x, 1)
    print(fastsoftmax.explain(x, 1).code)
    print(fastsoftmax.explain(x, 1, function="softmin").code)
    print(fastsoftmax.explain(x.astype("f8"), 1).code)
    print(fastsoftmax.explain(np.zeros((3, 4), "g"), 1).code)
"""


def test_code_for_one_thread_is_not_all_that_several_want(tmp_path: Path) -> None:
    code = """
    import numpy as np
    import fastsoftmax
    x = np.zeros((1000, 1000), np.float32)
    fastsoftmax.softmax(x, 1, workers=1)
    found = fastsoftmax.explain(x, 1)
    print(found.threads, found.code, fastsoftmax.explain(x, 1, workers=1).code)
    """
    threads, *states = processes.run(code, FASTSOFTMAX_CACHE_DIR=str(tmp_path)).split()
    assert states == ["absent" if int(threads) > 1 else "compiled", "compiled"]


def test_the_state_of_the_code(tmp_path: Path) -> None:
    """Absent, then compiled, and for the next process cached."""
    first = processes.run(CODE_STATES, FASTSOFTMAX_CACHE_DIR=str(tmp_path)).split()
    assert first == ["absent", "absent", "compiled", "absent", "absent", "compiled"]
    second = processes.run(CODE_STATES, FASTSOFTMAX_CACHE_DIR=str(tmp_path)).split()
    assert second == ["cached", "cached", "compiled", "absent", "absent", "compiled"]


# --- What it says -----------------------------------------------------------------------


def test_its_repr_is_a_short_table() -> None:
    found = explain(np.zeros((1000, 4096), np.int16), 0)
    lines = repr(found).splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 60
    table = dict(line.split(maxsplit=1) for line in lines if not line.startswith("computed in"))
    assert table["kernel"] == "columns"
    assert table["length"] == "1000"
    assert table["slices"] == "4096"
    rows, columns = found.tile or (0, 0)
    assert table["tile"] == f"{rows} x {columns}"
    assert "input" in table["copies"]
    assert table["streaming"] in {"yes", "no"}
    assert table["code"] in {"absent", "cached", "compiled"}


def test_an_explanation_cannot_be_changed() -> None:
    found = explain(np.zeros(3), 0)
    with pytest.raises(AttributeError):
        found.kernel = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "error", "word"),
    [
        ({"function": "sigmoid"}, ValueError, "function='sigmoid'"),
        ({"function": "cross_entropy"}, ValueError, "function"),
        ({"function": None}, ValueError, "function"),
        ({"function": ["softmax"]}, (TypeError, ValueError), "function"),
        ({"dim": 2}, np.exceptions.AxisError, "got 2"),
        ({"dim": 1.0}, TypeError, "dim"),
        ({"axis": 1}, TypeError, "axis"),
        ({"input": ["a"]}, TypeError, "input"),
        ({"dtype": int}, TypeError, "dtype"),
        ({"out": np.zeros(3)}, ValueError, "out"),
        ({"where": 1}, TypeError, "where"),
        ({"temperature": 0.0}, ValueError, "temperature"),
        ({"workers": 0}, ValueError, "workers"),
    ],
    ids=str,
)
def test_it_refuses_what_the_call_refuses(changes: Any, error: Any, word: str) -> None:
    with pytest.raises(error, match=word):
        explain(**{"input": np.zeros((2, 3)), "dim": 0, **changes})


def test_the_functions_it_knows_are_there() -> None:
    for function in FORWARD:
        assert callable(getattr(fastsoftmax, function))
    assert softmax([0.0], 0) == 1
