"""Measure softmax([x, 0]) in float32 over all 2**32 values of x.

    python tests/scripts/sweep_two_elements.py [--step 1] [--start 0] [--stop 4294967296]

Prints the largest and mean error of normal results in units in the last place, the largest
distance of subnormal results in steps, and where they are.  The oracle is float64, 2**29
times finer than float32.  All of it takes some 40 minutes on one core; the tests take every
4099th value (tests/test_accuracy.py).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from ulps import MEAN_ULPS, MOST_ULPS, SUBNORMAL_STEPS, are_subnormal, errors_in_ulps

from fastsoftmax import softmax

Array = np.ndarray[Any, Any]

ALL = 2**32
CHUNK = 2**21


class Found(NamedTuple):
    """What a range of patterns gave."""

    largest: float
    worst: float
    total: float
    count: int
    steps: float
    steps_at: float


def measure(x: Array) -> Found:
    """The errors of softmax([x, 0]) for some values of x."""
    pairs = np.stack([x, np.zeros_like(x)], axis=1)
    with np.errstate(invalid="ignore"):  # signalling NaN
        exact = exactly(x.astype(np.float64))
    result = softmax(pairs, 1)
    subnormal = are_subnormal(exact, np.float32)
    with np.errstate(all="ignore"):
        steps = errors_in_ulps(result, exact.astype(np.float32).astype(np.float64))
    steps = np.where(subnormal, steps, 0).max(axis=1)
    errors = np.where(subnormal, 0, errors_in_ulps(result, exact))
    largest = errors.max(axis=1)
    return Found(
        float(largest.max()),
        float(x[largest.argmax()]),
        float(errors.sum()),
        int(np.count_nonzero(~subnormal)),
        float(steps.max()),
        float(x[steps.argmax()]),
    )


def exactly(x: Array) -> Array:
    """softmax([x, 0]) in float64; NaN for NaN and +inf."""
    with np.errstate(all="ignore"):
        small = np.exp(-np.abs(x))
    larger, smaller = 1 / (1 + small), small / (1 + small)
    result = np.stack([np.where(x > 0, larger, smaller), np.where(x > 0, smaller, larger)], axis=1)
    result[np.isnan(x) | (x == np.inf)] = np.nan
    return result


def main() -> int:
    """Sweep, print, and say by the exit status whether the contract holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=1, help="take every STEP-th pattern")
    parser.add_argument("--start", type=int, default=0, help="the first pattern of bits")
    parser.add_argument("--stop", type=int, default=ALL, help="the pattern to stop before")
    arguments = parser.parse_args()
    if not (arguments.step > 0 and 0 <= arguments.start < arguments.stop <= ALL):
        parser.error("0 <= start < stop <= 2**32 and a positive step")
    found = []
    for first in range(arguments.start, arguments.stop, CHUNK * arguments.step):
        last = min(first + CHUNK * arguments.step, arguments.stop)
        patterns = np.arange(first, last, arguments.step, np.int64).astype(np.uint32)
        found.append(measure(patterns.view(np.float32)))
        done = (last - arguments.start) / (arguments.stop - arguments.start)
        print(f"\r{100 * done:6.2f} %", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    worst = max(found, key=lambda each: each.largest)
    furthest = max(found, key=lambda each: each.steps)
    mean = sum(each.total for each in found) / max(1, sum(each.count for each in found))
    print(f"normal results     largest {worst.largest:.4f} ULP at x = {worst.worst!r}")
    print(f"                   mean    {mean:.4f} ULP")
    print(f"subnormal results  largest {furthest.steps:.0f} steps at x = {furthest.steps_at!r}")
    holds = worst.largest <= MOST_ULPS and mean <= MEAN_ULPS and furthest.steps <= SUBNORMAL_STEPS
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
