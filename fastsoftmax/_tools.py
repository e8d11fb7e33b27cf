"""The public functions about calls: `explain` and `warmup`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsoftmax._arguments import MISSING, Missing
from fastsoftmax._compiling import compiling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike

    from fastsoftmax._explanation import Explanation
    from fastsoftmax._functions import Dim


def explain(
    input: ArrayLike,
    dim: Dim | Missing = MISSING,
    dtype: DTypeLike | None = None,
    *,
    axis: Dim | Missing = MISSING,
    out: np.ndarray[Any, Any] | None = None,
    where: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    workers: int | None = None,
    function: str = "softmax",
) -> Explanation:
    """How a call would be computed: which kernel, how many threads, what is copied.

    Parameters
    ----------
    input, dim, dtype, axis, out, where, temperature, workers
        As for `softmax`.  For a gradient, `input` is its `output`; `grad_output` is taken to be
        as it is, and there is no `dtype`.
    function : {"softmax", "softmin", "log_softmax", "logsumexp", "softmax_backward", \
"log_softmax_backward"}, optional
        The function that would be called.

    Returns
    -------
    Explanation
        Its attributes say it one by one, its repr is a table.

    Raises
    ------
    TypeError, ValueError
        As the call itself does; `function` is none of the above.

    See Also
    --------
    warmup : compile ahead.

    Notes
    -----
    Nothing is computed or compiled, and `out` is left alone.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import explain
    >>> explain(np.zeros((100, 10), np.float32), dim=1).kernel
    'classes'
    """
    with compiling():
        from fastsoftmax import _explain

    arguments = input, dim, dtype, axis, out, where, temperature, workers
    return _explain.explain(function, *arguments)


def warmup(
    functions: Sequence[str] = ("softmax",),
    *,
    dtypes: Sequence[DTypeLike] = ("float32", "float64"),
    layouts: Sequence[str] = ("rows", "narrow", "columns", "split"),
    classes: Sequence[int] = (2, 3, 10),
    casts: Sequence[DTypeLike] = (),
    parallel: bool = True,
    progress: Callable[[int, int, str], object] | None = None,
) -> int:
    """Compile kernels ahead, and keep them in the cache: for images of containers.

    Parameters
    ----------
    functions : sequence of str, optional
        Names of functions of this package.
    dtypes : sequence of dtype_like, optional
        Floating dtypes of their inputs.
    layouts : sequence of str, optional
        Of "rows" (long slices along memory), "narrow" (short ones), "columns" (slices across
        memory) and "split" (long slices that threads share); besides one of these, "copied"
        for results whose memory runs along another dim than an input's, or without its steps.
    classes : sequence of int, optional
        Lengths, from 2 to 64, of short slices one after the other in memory, as classifiers'
        scores are: `softmax`, `softmin`, `log_softmax` and gradients (of up to 15, those of
        halves 40) have a kernel for each, which belongs to the layout "narrow".
    casts : sequence of dtype_like, optional
        Other dtypes of large inputs that calls cast to those of `dtypes` that are float32 or
        float64: "float16" for ``softmax(x, dim, dtype="float32")``.  They are floating, bool
        or integers, but not of 16 bits.
    parallel : bool, optional
        Compile the builds for several threads, too.
    progress : callable, optional
        Called as ``progress(done, total, name)`` before each kernel and at the end.

    Returns
    -------
    int
        How many builds are ready.

    Raises
    ------
    ValueError
        A function, dtype, layout or number of classes that there is not, or a dtype that is not
        cast as it is read.

    See Also
    --------
    explain : whether the code of a call is compiled.

    Notes
    -----
    A build takes half a second to five seconds, and a fraction of that if it is cached.  One
    besides those of the kernels is for recognising small calls that are made again.  Calls
    with a temperature other than 1, for the log-sum-exp besides, or with a mask for few classes
    have kernels of their own, which their first call compiles.

    Examples
    --------
    >>> from fastsoftmax import warmup
    >>> warmup(dtypes=["float32"], layouts=["narrow"], classes=[10], parallel=False)
    3
    """
    with compiling():
        from fastsoftmax import _warmup

    return _warmup.warmup(functions, dtypes, layouts, classes, casts, parallel, progress)
