"""One element of each slice of log-probabilities, made from the summary of the slice."""

from __future__ import annotations

import math

from fastsoftmax._jit import kernel_of
from fastsoftmax.kernels.elements import computed_like, fetch
from fastsoftmax.kernels.memory import pointer
from fastsoftmax.kernels.operands import OPERANDS
from fastsoftmax.kernels.strides import (
    SOURCE,
    SUMMARY,
    described,
    last_step,
    run_at,
    strides_of,
    zero,
)


def losses(
    source, target, second, mask, temperature, summary_, places, geometry, scratch, first, last
):
    """Write -log softmax of one element of the slices `first` to `last` - 1.

    In place of their log-sum-exp, in float64; `places` is which element, laid out as the
    summary is.  Where there is no such element it is NaN.
    """
    like = computed_like(pointer(target))
    nothing = zero(like)
    length, _, _, _, plane, batch, dims = described(geometry)
    step, run = strides_of(dims, SOURCE)[0], batch[1][batch[0] - 1]
    across, apart = last_step(batch, SOURCE), last_step(batch, SUMMARY)
    done = first
    while done < last:
        above = done // run
        begin = done - above * run
        count = min(run - begin, last - done)
        x = run_at(pointer(source), above, begin, batch, SOURCE)
        found = run_at(pointer(summary_), above, begin, batch, SUMMARY)
        which = run_at(pointer(places), above, begin, batch, SUMMARY)
        for i in range(count):
            place, log_sum = which[i * apart], found[i * apart]
            loss = math.nan
            if 0 <= place < length and math.isfinite(log_sum):
                element = fetch(x, i * across + place * step, nothing)
                loss = found[2 * plane + i * apart] - (element - found[plane + i * apart])
            found[i * apart] = loss
        done += count


losses_kernel = kernel_of(losses, "losses", (*OPERANDS, "places"))
