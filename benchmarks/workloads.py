"""The card: the arrays that all contenders compute, named after what they are from."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Array = np.ndarray[Any, np.dtype[Any]]

FLOAT32, FLOAT64 = "float32", "float64"
DTYPES = ("float16", "bfloat16", FLOAT32, FLOAT64)
ITEM_BYTES = {"float16": 2, "bfloat16": 2, FLOAT32: 4, FLOAT64: 8}
SEED = 20260


@dataclasses.dataclass(frozen=True)
class Case:
    """One array and the dim of its softmax: a cell of the card."""

    workload: str
    source: str
    shape: tuple[int, ...]
    dim: int
    dtype: str = FLOAT32
    group: str = "own"
    layout: str = "dense"
    sigma: float = 1.0
    path: str = ""
    """The .npy file that holds the data; empty: they are drawn at random."""

    @property
    def key(self) -> str:
        """What tells the cell from all others of a run."""
        return f"{self.workload} {self.dtype}"

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the input, and of the result."""
        return self.size * ITEM_BYTES[self.dtype]

    def array(self) -> Array:
        """The input, the same in every process."""
        if self.path:
            loaded: Array = np.load(self.path, allow_pickle=False)
            return loaded.astype(numpy_dtype(self.dtype))
        rng = np.random.default_rng([SEED, *self.shape])
        drawn = np.float64 if self.dtype == FLOAT64 else np.float32
        base: Array = rng.standard_normal(base_shape(self), dtype=drawn)
        base *= drawn(self.sigma)
        if base.dtype != self.dtype:
            base = base.astype(numpy_dtype(self.dtype))
        return laid_out(base, self.layout)


def base_shape(case: Case) -> tuple[int, ...]:
    """The shape of the dense array that the input is a view of."""
    if case.layout == "transposed":
        return case.shape[::-1]
    if case.layout == "every second":
        return (*case.shape[:-1], 2 * case.shape[-1])
    return case.shape


def laid_out(base: Array, layout: str) -> Array:
    """The view of `base` that the layout names."""
    views: dict[str, Array] = {"transposed": base.T, "every second": base[..., ::2]}
    return views.get(layout, base)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype of that name; bfloat16 is ml_dtypes'."""
    if name == "bfloat16":
        from ml_dtypes import bfloat16

        dtype: np.dtype[Any] = np.dtype(bfloat16)
        return dtype
    return np.dtype(name)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A row of the card: one shape, in one or more dtypes."""

    name: str
    source: str
    shape: tuple[int, ...]
    dim: int
    group: str
    dtypes: tuple[str, ...] = (FLOAT32,)
    layout: str = "dense"

    def cases(self) -> list[Case]:
        """Its cells, one for each dtype."""
        return [
            Case(self.name, self.source, self.shape, self.dim, dtype, self.group, self.layout)
            for dtype in self.dtypes
        ]


TINY, FEW, ROWS, LONG, OTHER = "tiny", "few classes", "rows", "one slice", "other dims"

CARD = (
    Workload("scores", "three scores", (3,), 0, TINY),
    Workload("examples", "two examples, three classes", (2, 3), 1, TINY),
    Workload("classifier", "a batch of 128, ten classes", (128, 10), 1, TINY),
    Workload("binary", "a million yes or no", (1_000_000, 2), 1, FEW),
    Workload("sentiment", "negative, neutral, positive", (300_000, 3), 1, FEW, (FLOAT64,)),
    Workload("digits", "ten digits", (100_000, 10), 1, FEW, (FLOAT32, FLOAT64)),
    Workload("digits-all", "a million digits", (1_000_000, 10), 1, FEW),
    Workload("pets", "37 breeds", (100_000, 37), 1, FEW),
    Workload(
        "imagenet",
        "1000 images, 1000 classes",
        (1000, 1000),
        1,
        ROWS,
        (FLOAT32, FLOAT64, "float16", "bfloat16"),
    ),
    Workload("attention", "four heads, 1024 tokens", (4096, 1024), 1, ROWS),
    Workload(
        "attention-long",
        "one head, 4096 tokens",
        (4096, 4096),
        1,
        ROWS,
        (FLOAT32, FLOAT64, "float16"),
    ),
    Workload("vocabulary", "GPT-2's vocabulary, 64 positions", (64, 50257), 1, ROWS),
    Workload("vocabulary-256", "GPT-2's vocabulary, 256 positions", (256, 50257), 1, ROWS),
    Workload("attention-bert", "8 texts, 12 heads, 512 tokens", (8, 12, 512, 512), 3, ROWS),
    Workload("retrieval", "one query, 8 million documents", (8_000_000,), 0, LONG),
    Workload("retrieval-all", "one query, 50 million documents", (50_000_000,), 0, LONG),
    Workload("channels", "128 channels of feature maps", (32, 128, 28, 28), 1, OTHER),
    Workload("segmentation", "21 classes a pixel, four images", (4, 21, 512, 512), 1, OTHER),
    Workload("contrastive", "1024 images against texts", (1024, 1024), 0, OTHER),
    Workload("contrastive-long", "4096 images against texts", (4096, 4096), 0, OTHER),
    Workload("mixture", "1000 components, 4096 points", (1000, 4096), 0, OTHER, (FLOAT64,)),
    Workload("routing", "a million tokens, 8 experts", (1_000_000, 8), 0, OTHER),
    Workload("transposed", "x.T", (2000, 2000), 1, OTHER, layout="transposed"),
    Workload("every-second", "x[:, ::2]", (2000, 2000), 1, OTHER, layout="every second"),
)

QUICK = (
    "scores",
    "classifier",
    "digits",
    "imagenet",
    "vocabulary",
    "channels",
    "contrastive",
    "transposed",
)
"""The workloads of a quick look: each group, nothing beyond a few million elements."""


def card(workloads: Iterable[str] | None = None, dtypes: Iterable[str] | None = None) -> list[Case]:
    """The cells of the named workloads and dtypes; None: all.

    Raises
    ------
    ValueError
        If a name is on no card.
    """
    wanted = _checked("workload", workloads, [workload.name for workload in CARD])
    kept = _checked("dtype", dtypes, DTYPES)
    return [
        case
        for workload in CARD
        if workload.name in wanted
        for case in workload.cases()
        if case.dtype in kept
    ]


def _checked(what: str, given: Iterable[str] | None, known: Sequence[str]) -> Sequence[str]:
    if given is None:
        return known
    names = list(given)
    for name in names:
        if name not in known:
            raise ValueError(f"there is no {what} {name!r}; there are {', '.join(known)}")
    return names


def spread(case: Case, sigma: float) -> Case:
    """The same case with random logits of this standard deviation."""
    if not 0 <= sigma < math.inf:
        raise ValueError(f"sigma {sigma:g}: a standard deviation is finite and not negative")
    name = f"{case.workload}, sigma {sigma:g}"  # no other cell's: cells are compared by name
    return dataclasses.replace(case, workload=name, sigma=sigma)


def own_case(shape: tuple[int, ...], dim: int, dtype: str = FLOAT32, path: str = "") -> Case:
    """A case of one's own: random data of a shape, or those of a file.

    Raises
    ------
    ValueError
        If the shape has no such dim, or no softmax at all.
    """
    if not shape or min(shape) < 1:
        raise ValueError(f"shape {shape}: sizes must be positive")
    if not -len(shape) <= dim < len(shape):
        raise ValueError(f"dim {dim}: the shape {shape} has the dims 0 to {len(shape) - 1}")
    _checked("dtype", [dtype], DTYPES)
    name = "x".join(map(str, shape)) + f" dim {dim % len(shape)}"
    return Case(
        name, "own data" if path else "own shape", shape, dim % len(shape), dtype, path=path
    )
