"""Results whose memory runs along another axis than an input's, which is copied there first."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from arrays import DTYPES, logits, placed, read_only
from halves import HALVES
from recalls import forget
from relatives import (
    BACKWARD,
    LOG_BACKWARD,
    LOG_SOFTMAX,
    LOGSUMEXP,
    SOFTMAX,
    SOFTMIN,
    Relative,
    name_of,
)
from ulps import assert_same_bits

from fastsoftmax import _casts, _copied_first, _layout, explain, softmax, warmup
from fastsoftmax.kernels.copies import BLOCK, SIDES
from fastsoftmax.kernels.strides import SECOND, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Array = np.ndarray[Any, Any]

RESULTS = pytest.mark.parametrize("relative", [SOFTMAX, SOFTMIN, LOG_SOFTMAX], ids=name_of)
EACH_DTYPE = pytest.mark.parametrize("dtype", [*DTYPES, *HALVES], ids=name_of)
COPIED = "input to the result"
# The smallest squares, what is left over of any, one block, more than one.
SIZES = [4, 7, 8, 13, 16, 31, 33, BLOCK - 1, BLOCK, 2 * BLOCK + 1, 401]


@pytest.fixture(autouse=True, params=["at once", "in pieces"])
def _of_any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Results are computed so however small they are."""
    monkeypatch.setattr(_copied_first, "LEAST_BYTES", 1)
    monkeypatch.setattr(_copied_first, "LEAST_IN_STEPS", 1)
    if request.param == "in pieces":
        monkeypatch.setattr(_copied_first, "PIECE_BYTES", 1 << 13)
        monkeypatch.setattr(_copied_first, "BLOCK", SIDES[0])
    _layout._plans.clear()
    forget()
    yield
    _layout._plans.clear()
    forget()


def copying_plans() -> list[_copied_first.CopiedFirst]:
    return [each for each in _layout._plans.values() if isinstance(each, _copied_first.CopiedFirst)]


def in_order(array: Array, order: tuple[int, ...]) -> Array:
    """The same numbers, whose axes lie in memory in this order, the last one along it."""
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


def framed(like: Array, order: tuple[int, ...]) -> tuple[Array, Array]:
    """Memory full of sevens, and a part of it in the shape of `like` that no edge belongs to."""
    shape = [size + 3 for size in np.array(like.shape)[list(order)]]
    memory = np.full(shape, 7, like.dtype)
    part = memory[tuple(slice(1, -2) for _ in shape)]
    return memory, part.transpose(np.argsort(order))


def assert_untouched(memory: Array) -> None:
    """All but what `framed` has as a part."""
    inside = np.zeros(memory.shape, bool)
    inside[tuple(slice(1, -2) for _ in memory.shape)] = True
    assert (memory[~inside] == 7).all()


def test_pieces(request: pytest.FixtureRequest) -> None:
    """Or else the tests say less than they seem to."""
    x, out = np.zeros((401, 257), np.float32).T, np.empty((257, 401), np.float32)
    softmax(x, 1, out=out)
    (plan,) = [
        each for each in _layout._plans.values() if isinstance(each, _copied_first.CopiedFirst)
    ]
    pieces = 1 if "at once" in request.node.name else 257 // SIDES[0]
    assert len(plan._pieces) == pieces


@RESULTS
@EACH_DTYPE
def test_sizes(relative: Relative, dtype: Any) -> None:
    for height in SIZES:
        for width in SIZES[:: 1 if relative is SOFTMAX else 3]:
            x = in_order(logits((height, width), np.float64, 3.0).astype(dtype), (1, 0))
            x = read_only(x)
            for dim in (0, 1):
                wanted = relative.call(np.ascontiguousarray(x), dim)
                memory, out = framed(x, (0, 1))
                assert explain(x, dim, out=out).copies == (COPIED,)
                assert relative.call(x, dim, out=out) is out
                assert_same_bits(out, wanted, (height, width, dim))
                assert_untouched(memory)


@EACH_DTYPE
@pytest.mark.parametrize("shape", [(5, 40, 129), (130, 6, 17), (21, 3, 4, 35)], ids=str)
def test_orders_of_axes(dtype: Any, shape: tuple[int, ...]) -> None:
    """Of images with channels first and last, heads before and after positions, and all others."""
    contiguous = logits(shape, np.float64, 3.0).astype(dtype)
    order = tuple(range(len(shape)))
    for dim in (0, 1, (1, 2), len(shape) - 1):
        wanted = softmax(contiguous, dim)
        for first in list(permutations(order))[:: 1 if len(shape) == 3 else 5]:
            x = read_only(in_order(contiguous, first))
            for second in (order, order[::-1]):
                for workers in (1, 2):
                    memory, out = framed(x, second)
                    softmax(x, dim, out=out, workers=workers)
                    assert_same_bits(out, wanted, (dim, first, second, workers))
                    assert_untouched(memory)


IN_STEPS: dict[str, Callable[[Array], Array]] = {
    "every second": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "every third": lambda x: np.repeat(x, 3, -1)[..., 1::3],
    "backwards": lambda x: x[..., ::-1].copy()[..., ::-1],
    "every second backwards": lambda x: np.repeat(x[..., ::-1], 2, -1)[..., ::-2],
    "all backwards": lambda x: np.flip(np.flip(x).copy()),
    "one for all": lambda x: np.broadcast_to(x[..., :1], x.shape),
}


@RESULTS
@EACH_DTYPE
@pytest.mark.parametrize("place", IN_STEPS.values(), ids=list(IN_STEPS))
def test_neighbours_in_steps(
    relative: Relative, dtype: Any, place: Callable[[Array], Array]
) -> None:
    for shape in ((3, 4), (20, 33), (9, 64, 31), (2, 5, 7, 16), (3, 10_001)):
        x = read_only(place(logits(shape, np.float64, 3.0).astype(dtype)))
        for dim in range(len(shape) - 1):
            wanted = relative.call(np.ascontiguousarray(x), dim)
            assert explain(x, dim, function=relative.name).copies == (COPIED,)
            for workers in (1, 2, 2):
                memory, out = framed(x, tuple(range(len(shape))))
                relative.call(x, dim, out=out, workers=workers)
                assert_same_bits(out, wanted, (shape, dim, workers))
                assert_untouched(memory)
            assert_same_bits(relative.call(x, dim), wanted, (shape, dim))


@pytest.mark.parametrize("given", ["float16", "float64", "int8", "uint32", "int64", "bool"])
@pytest.mark.parametrize("wanted_in", ["float32", "float64"])
def test_casts(given: str, wanted_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which are made by the copy, as for large arrays."""
    monkeypatch.setattr(_casts, "LEAST_CAST", 1)
    for shape in ((40, 150), (7, 20, 33)):
        numbers = (logits(shape, np.float64) * 10).astype(given)
        order = tuple(range(len(shape)))
        steps = IN_STEPS["every third"](numbers)
        for x in (in_order(numbers, order[::-1]), steps):
            for dim in order[: -1 if x is steps else None]:
                wanted = softmax(np.ascontiguousarray(numbers), dim, wanted_in)
                for _ in range(3):
                    memory, out = framed(wanted, order)
                    softmax(read_only(x), dim, wanted_in, out=out)
                    assert_same_bits(out, wanted, (shape, dim))
                    assert_untouched(memory)
                assert explain(x, dim, wanted_in, out=out).copies == (COPIED,)


@RESULTS
def test_accuracy(relative: Relative, dtype: Any) -> None:
    x = logits((300, 65), dtype, 8.0).T
    for dim in (0, 1):
        got = relative.call(x, dim, out=np.empty(x.shape, dtype))
        relative.assert_accurate(got, (x,), dim, "transposed")


@RESULTS
@pytest.mark.usefixtures("_ways_of_later_calls")
def test_masks_and_temperatures_of_fewer_axes(relative: Relative, dtype: Any) -> None:
    """In the first call and in later ones, where arrays are no longer broadcast."""
    x = read_only(logits((150, 70), dtype, 3.0).T)
    shown = logits(x.shape, dtype) < 1.0
    for dim in (0, 1):
        degrees = np.linspace(0.5, 3.0, x.shape[1 - dim])
        degrees = degrees if dim == 0 else degrees[:, None]
        for more in (
            {"temperature": 2.0},
            {"temperature": degrees},
            {"where": shown},
            {"where": shown[0]},
            {"where": shown[:, :1], "temperature": degrees},
            {"where": np.True_},
        ):
            wanted = relative.call(np.ascontiguousarray(x), dim, **more)
            for _ in range(3):
                memory, out = framed(x, (0, 1))
                assert_same_bits(relative.call(x, dim, out=out, **more), wanted, (dim, more))
                assert_untouched(memory)


def test_calls_again_with_other_numbers(dtype: Any) -> None:
    for seed in range(5):
        x = logits((130, 90), dtype, 1.0 + seed).T
        out = np.empty(x.shape, dtype)
        for dim in (0, 1):
            softmax(x, dim, out=out)
            assert_same_bits(out, softmax(np.ascontiguousarray(x), dim), (seed, dim))


def test_out_that_is_the_input_transposed(dtype: Any) -> None:
    """It is read and written at once, and so computed elsewhere first."""
    for dim in (0, 1):
        x = logits((140, 140), dtype, 3.0).copy()
        wanted = softmax(x, dim)
        for _ in range(2):
            memory = x.copy()
            softmax(memory, dim, out=memory.T)
            assert_same_bits(memory.T, wanted, dim)


def test_logits_that_are_broadcast(dtype: Any) -> None:
    x = np.broadcast_to(logits((60, 1, 40), dtype), (60, 50, 40)).transpose(2, 1, 0)
    for dim in (0, 1, 2):
        out = np.empty(x.shape, dtype)
        assert_same_bits(softmax(x, dim, out=out), softmax(np.ascontiguousarray(x), dim), dim)


@pytest.mark.parametrize("seed", range(40))
def test_the_bits_of_contiguous_arrays(seed: int, dtype: Any) -> None:
    """Axes in any order, elements next to each other, apart or reversed."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 30, rng.integers(2, 5)))
    x = logits(shape, dtype, 3.0)
    dim = int(rng.integers(len(shape)))
    where = rng.random(shape) < 0.8
    for more in ({}, {"where": where}):
        out = placed(np.zeros_like(x), rng)
        softmax(read_only(placed(x, rng)), dim, out=out, **more)
        assert_same_bits(out, softmax(x, dim, **more), (shape, dim))


def test_where_nothing_is_copied(dtype: Any) -> None:
    x = logits((90, 70), dtype)
    for given, out in (
        (x, np.empty(x.shape, dtype)),
        (x.T, np.empty(x.shape, dtype).T),
        (x, np.empty((*x.shape, 2), dtype)[..., 0]),
        (x, np.empty((70, 180), dtype)[:, ::2].T),
        (x[:, ::2], np.empty((90, 35), dtype)),
        (x[::2].T[::2].T, np.empty((45, 35), dtype)),
    ):
        assert explain(given, 1, out=out).copies == ()
    assert explain(x, 1).copies == ()


@pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
@EACH_DTYPE
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_gradients_of_another_layout(relative: Relative, dtype: Any, temperature: float) -> None:
    """Those of results come back as they may: transposed, where a product was."""
    for shape in ((150, 70), (40, 7), (3, 130, 20)):
        forward = LOG_SOFTMAX if relative is LOG_BACKWARD else SOFTMAX
        for dim in range(len(shape)):
            y = read_only(forward.call(logits(shape, np.float64).astype(dtype), dim))
            g = logits(shape, np.float64, 2.0).astype(dtype)
            wanted = relative.call(g, y, dim, temperature=temperature)
            given = read_only(in_order(g, tuple(range(len(shape)))[::-1]))
            for workers in (1, 2, 2):
                got = relative.call(given, y, dim, temperature=temperature, workers=workers)
                assert_same_bits(got, wanted, (shape, dim, workers))
                assert got.flags.c_contiguous
    assert {plan.moved for plan in copying_plans()} == {SECOND}


@pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
@pytest.mark.parametrize("place", IN_STEPS.values(), ids=list(IN_STEPS))
def test_gradients_in_steps(
    relative: Relative, place: Callable[[Array], Array], dtype: Any
) -> None:
    """One of the inputs is copied, if the other need not be."""
    y, g = (read_only(logits((3, 150, 33), dtype, 1.0, offset)) for offset in (0.0, 0.5))
    for dim in (0, 1):
        for given in ((place(g), y), (g, place(y)), (place(g), place(y))):
            wanted = relative.call(*map(np.ascontiguousarray, given), dim)
            for workers in (1, 2, 2):
                got = relative.call(*map(read_only, given), dim, workers=workers)
                assert_same_bits(got, wanted, (dim, workers))
    assert {plan.moved for plan in copying_plans()} == {SOURCE, SECOND}


@pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
def test_gradients_beside_outputs_that_run_backwards(relative: Relative, dtype: Any) -> None:
    y, g = (logits((6, 40, 33), dtype, 1.0, offset) for offset in (0.0, 0.5))
    steps = IN_STEPS["every third"](g)
    for flipped in (np.s_[::-1], np.s_[:, ::-1], np.s_[::-1, ::-1], np.s_[..., ::-1]):
        given = read_only(y[flipped].copy()[flipped])
        for dim in (0, 1, 2):
            wanted = relative.call(g, y, dim, temperature=2.0)
            for grad in (steps, in_order(g, (2, 1, 0)), in_order(g, (1, 2, 0))):
                for _ in range(2):
                    got = relative.call(read_only(grad), given, dim, temperature=2.0)
                    assert_same_bits(got, wanted, (flipped, dim))


@pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
@EACH_DTYPE
def test_gradients_in_place(relative: Relative, dtype: Any) -> None:
    """Where the memory of results is an input's, the other is not copied there."""
    y, g = logits((90, 70), dtype), logits((70, 90), dtype).T
    wanted = relative.call(np.ascontiguousarray(g), y, 1)
    for _ in range(2):
        grad = np.array(g, order="F")
        assert_same_bits(relative.call(grad, y, 1, out=grad), wanted, "gradients")
        output = y.copy()
        assert_same_bits(relative.call(g, output, 1, out=output), wanted, "outputs")


@pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
def test_gradients_with_temperatures_in_place_after_others(relative: Relative, dtype: Any) -> None:
    """Where the output runs backwards, temperatures of a dim less than it are seen so, too."""
    count = 291
    grad, y = logits((count, count), dtype, 2.0), logits((count, count), dtype)
    output = read_only(np.asfortranarray(y)[:, ::-1])
    degrees = np.linspace(0.5, 2.0, count)
    rows = np.ascontiguousarray(grad.T), np.ascontiguousarray(output.T)
    wanted = relative.call(*rows, 1, temperature=degrees[:, np.newaxis]).T
    out = np.empty_like(grad)
    for _ in range(3):
        relative.call(grad, output, 0, temperature=degrees, out=out)
        assert_same_bits(out, wanted, "fresh")
    out[...] = grad
    relative.call(out, output, 0, temperature=degrees, out=out)
    assert_same_bits(out, wanted, "in place")


@pytest.mark.parametrize("relative", [BACKWARD, LOG_BACKWARD], ids=name_of)
@EACH_DTYPE
def test_gradients_into_out(relative: Relative, dtype: Any) -> None:
    """Copied to it, unless it is the other input, in whichever order such calls come."""
    y, g = logits((90, 70), dtype), logits((90, 70), dtype, 2.0)
    transposed = read_only(np.array(g, order="F")), read_only(np.array(y, order="F"))
    wanted = relative.call(g, y, 1)
    for grad, output, moved in ((transposed[0], y, "grad_output"), (g, transposed[1], "output")):
        for _ in range(3):
            memory, out = framed(y, (0, 1))
            assert relative.call(read_only(grad), read_only(output), 1, out=out) is out
            assert_same_bits(out, wanted, moved)
            assert_untouched(memory)
            both = [each.copy(order="K") for each in (grad, output)]
            other = both[moved == "grad_output"]
            relative.call(*both, 1, out=other)
            assert_same_bits(other, wanted, f"into the other than {moved}")
    assert {plan.moved for plan in copying_plans()} == {SOURCE, SECOND}


def test_summaries_copy_nothing(dtype: Any) -> None:
    x = logits((70, 90), dtype).T
    for dim in (0, 1):
        assert explain(x, dim, function=LOGSUMEXP.name).copies == ()
        LOGSUMEXP.call(x, dim)
    assert not copying_plans()


def test_kernels_that_are_compiled_ahead() -> None:
    x, out = logits((64, 64), np.float32).T, np.empty((64, 64), np.float32)
    count = warmup(layouts=["copied"], dtypes=["float32"], parallel=False)
    assert count == len(SIDES) + 2
    softmax(out, 1)
    assert explain(x, 1, out=out, workers=1).code == "compiled"


def test_small_results_are_computed_as_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    _layout._plans.clear()
    side = int((_copied_first.LEAST_BYTES // 4) ** 0.5)
    few = int(_copied_first.LEAST_IN_STEPS**0.5)
    for more, copies in ((-1, ()), (1, (COPIED,))):
        x = np.zeros((side + more, side + more), np.float32)
        assert explain(x.T, 1, out=np.empty_like(x)).copies == copies
        x = np.zeros((few + more, few + more, 2), np.float32)[..., 0]
        assert explain(x, 0).copies == copies
