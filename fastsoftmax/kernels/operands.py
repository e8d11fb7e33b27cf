"""How kernels get their operands: all of them, or the two that plain calls have."""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device, kernel_of
from fastsoftmax.kernels.memory import pointer, pointer_like
from fastsoftmax.kernels.operations import RESULTS
from fastsoftmax.kernels.strides import options_in
from fastsoftmax.kernels.workspaces import workspace_double

OPERANDS = ("source", "target", "source", "bytes", "doubles", "doubles")


@device
def bases_of(source, target, second, mask, temperature, summary_):
    """The addresses of all operands, in the order of kernels/strides.py."""
    return (
        pointer(source),
        pointer(target),
        pointer(second),
        pointer(mask),
        pointer(temperature),
        pointer(summary_),
    )


def kernel_over(body: Any, name: str, *, bare: bool) -> Any:
    """The kernel of ``body(bases, options, geometry, scratch, first, last)``.

    A `bare` one is for calls without mask, temperature and summary: two operands are faster
    to hand over, and what is for the others is gone from the machine code.
    """
    if not bare:

        def run(
            source, target, second, mask, temperature, summary_, geometry, scratch, first, last
        ):
            bases = bases_of(source, target, second, mask, temperature, summary_)
            body(bases, options_in(geometry), geometry, scratch, first, last)

        return kernel_of(run, name, OPERANDS)

    def run_bare(source, target, geometry, scratch, first, last):
        x, nothing = pointer(source), pointer(scratch)
        numbers = pointer_like(scratch, workspace_double(x, 8))
        bases = x, pointer(target), x, nothing, numbers, numbers
        body(bases, RESULTS, geometry, scratch, first, last)

    return kernel_of(run_bare, f"bare-{name}", OPERANDS[:2])


def split_kernel(body: Any, name: str) -> Any:
    """The kernel of ``body(bases, slices, blocks, geometry, scratch, first, last)``.

    For slices of several blocks: `slices` and `blocks` are what is known of each, see
    kernels/whole.py and kernels/outcomes.py.
    """

    def run(
        source,
        target,
        second,
        mask,
        temperature,
        summary_,
        slices,
        blocks,
        geometry,
        scratch,
        first,
        last,
    ):
        bases = bases_of(source, target, second, mask, temperature, summary_)
        body(bases, slices, blocks, geometry, scratch, first, last)

    return kernel_of(run, name, (*OPERANDS, "slices", "blocks"))
