"""The loop of `rows`: three blocks at once.

Three steps a row (maximum, exponentials with their sum, division) would wait for memory in
the first and last and for arithmetic in the second, and for each other's last result in
between.  So one loop, `sweep`, takes the exponentials of a block, the maximum of the block
that follows and divides the block of the row above: 9.5 cycles for 16 float32 on Zen 5 with
AVX-512, of which 7 are the arithmetic's.  Within it, the exponential is cut in two: the
argument of a group of lanes is reduced while the polynomial of the group before is
evaluated (9.7 cycles instead of 11.1: otherwise the processor's queues fill with operations
that wait).
"""

from __future__ import annotations

from typing import Any

from fastsoftmax._jit import device
from fastsoftmax.kernels.elements import (
    fetch,
    fetch_part,
    put,
    put_part,
    put_past_caches,
)
from fastsoftmax.kernels.exponential import reduce_argument, rounded, term
from fastsoftmax.kernels.gradual import scaled
from fastsoftmax.kernels.groups import (
    ask_to_write,
    fetch_group,
    fetch_groups,
    gathered,
    raised,
)
from fastsoftmax.kernels.memory import (
    LINE_BYTES,
    advance,
    bytes_within_page,
    line_count,
    load_like,
    store,
)
from fastsoftmax.kernels.operations import NEGATIVE_INFINITY
from fastsoftmax.kernels.shuffles import keep_first
from fastsoftmax.kernels.sums import (
    add,
    fold,
    lane_count,
    lanes,
    parts_of,
    start,
    total,
)
from fastsoftmax.kernels.values import Value, Vec, as_type, formula
from fastsoftmax.kernels.vectors import fma, maximum, splat

# Stores so much further on in a page are none that loads wait for; what they are moved by.
_NEAR_BYTES, _TURN_BYTES = 640, 1024

# --- Exponentials ---------------------------------------------------------------------


@formula
def _add_argument(argument: Any, sums: Any, terms: Value, j: Any, count: Any, numbers: Any) -> Any:
    """`sums` with the group at `j`, or its first `count` elements (None: all)."""
    parts = term(argument, numbers)
    if count is not None:
        # A missing element is a term of nothing in all its parts: it leaves the sums alone.
        parts = tuple(keep_first(part, count, 0.0) for part in parts)
    store(terms, j, rounded(parts))
    return add(sums, parts)


@device
def exponentials(x: Any, frame: Any, terms: Any, length: Any, numbers: Any) -> Any:
    """Write the terms of a block; returns the parts of their total."""
    group, count = lanes(terms), lane_count(terms)
    whole = length - length % count
    sums = start(group)
    for j in range(0, whole, count):
        argument = reduce_argument(fetch(x, j, group), numbers, frame)
        sums = _add_argument(argument, sums, terms, j, None, numbers)
    if whole < length:
        here = fetch_part(x, whole, group, None, length - whole, 0.0)
        argument = reduce_argument(here, numbers, frame)
        sums = _add_argument(argument, sums, terms, whole, length - whole, numbers)
    return folded(sums)


@formula
def folded(sums: Any) -> Any:
    """The parts of the total of all lanes."""
    return parts_of(fold(total(sums)))


# --- Division -------------------------------------------------------------------------


@formula
def line_of(out: Value, terms: Value) -> Value:
    """A zero for each of the results that fill a line of `out`, in the dtype of `terms`."""
    return as_type(0.0, Vec(terms.dtype, line_count(out)), terms.builder)


@formula
def divided(terms: Value, j: Value, like: Value, quotient: Any) -> Value:
    """The results of the elements from `j` on, as many as `like` has."""
    values = load_like(terms, j, like)
    return fma(values, quotient[0], values * quotient[1])


@device
def divide_rest(terms: Any, first: Any, length: Any, quotient: Any, out: Any, past: Any) -> None:
    """Write the results from element `first` on, `past` the caches if a line begins there."""
    piece, step = line_of(out, terms), line_count(out)
    while first + step <= length:
        result = divided(terms, first, piece, quotient)
        if past:
            put_past_caches(out, first, result)
        else:
            put(out, first, result)
        first += step
    if first < length:
        put_part(out, first, divided(terms, first, piece, quotient), None, length - first)


@device
def divide_lead(terms: Any, lead: Any, quotient: Any, out: Any) -> None:
    """Write the results before the first whole line.

    As the end of a line: the line after it is past the caches already, and a store that
    reaches into it, if only with elements that are masked, would fetch it back.
    """
    if lead > 0:
        begin = lead - line_count(out)
        found = divided(terms, begin, line_of(out, terms), quotient)
        put_part(out, begin, found, -begin, None)


@device
def scale(terms: Any, length: Any, factor: Any) -> None:
    """Multiply the terms of a block by a power of two."""
    for j in range(0, length, lane_count(terms)):
        store(terms, j, scaled(load_like(terms, j, lanes(terms)), factor))


# --- The loop -------------------------------------------------------------------------


@formula
def _step(blocks: Any, shift: Value, past: bool, numbers: Any, j: Value, state: Any) -> Any:
    """One round of `sweep`: the group at `j`, and the argument of the group after it.

    What is divided is `shift` elements further on.
    """
    x, frame, terms, below, above, quotient, out, ahead = blocks
    argument, sums, top = state
    group = lanes(terms)
    parts = term(argument, numbers)
    argument = reduce_argument(fetch(x, j + lane_count(terms), group), numbers, frame)
    store(terms, j, rounded(parts))
    sums = add(sums, parts)
    if past:
        fetch_group(below, j, group)
    else:
        ask_to_write(out, shift + j + ahead, group)
    top = maximum(gathered(fetch(below, j, group)), top)
    found = divided(above, shift + j, group, quotient)
    (put_past_caches if past else put)(out, shift + j, found)
    return argument, sums, top


@device
def turn_of(x: Any, below: Any, out: Any, length: Any, like: Any) -> Any:
    """How many elements the results of `sweep` are written before the others are read.

    A load waits for the stores before it whose addresses are the same within a page: with
    `out` a little after `x` there, (64, 49152) float32 takes 0.40 ns an element on one thread
    instead of 0.22.  Results are written from the middle of their block on then, and from its
    beginning afterwards.
    """
    count = lane_count(like)
    rounds = length - length % count
    step = _TURN_BYTES // LINE_BYTES * line_count(out)
    for turn in range(0, rounds, step):
        if _is_clear(x, below, advance(out, turn), count) and (
            turn == 0 or _is_clear(x, below, advance(out, turn - rounds), count)
        ):
            return turn
    return 0


@device
def _is_clear(x: Any, below: Any, out: Any, ahead: Any) -> Any:
    """Whether loads from `x` and `below` don't take what is stored at `out` for their own.

    Those from `x` are `ahead` elements further on.
    """
    return (
        bytes_within_page(advance(x, ahead), out) >= _NEAR_BYTES
        and bytes_within_page(below, out) >= _NEAR_BYTES
    )


@device
def sweep(
    x: Any,
    frame: Any,
    terms: Any,
    length: Any,
    below: Any,
    below_length: Any,
    above: Any,
    quotient: Any,
    out: Any,
    lead: Any,
    turn: Any,
    ahead: Any,
    numbers: Any,
) -> Any:
    """Exponentials of `x`, maximum of `below`, division of `above`: ``(sums, tops)``.

    The sums are by lane, the maxima of one register: four took the registers that AVX2 lacks
    (7 % of a row).  `x` and `below` are blocks of logits, `terms` receives the terms of `x`,
    and `above` holds terms, as many, whose results go to `out`: from element `lead` on (where
    a cache line begins) as many whole groups as there are, those from element `turn` on first, as
    `results_ahead` has it.
    """
    group, count = lanes(terms), lane_count(terms)
    last = (length - 1) // count * count
    top, sums = splat(NEGATIVE_INFINITY, gathered(group)), start(group)
    # Rounds in which all three have a whole group, and the exponentials one more, or their last.
    most = last if last + count == length else last - count
    most = min(most, below_length - below_length % count)
    rounds = max(0, min(most, length - lead))
    rounds -= rounds % count
    if last > 0:
        state = reduce_argument(fetch(x, 0, group), numbers, frame), sums, top
        blocks, begin = (x, frame, terms, below, above, quotient, out, ahead), 0
        turn = min(turn, rounds)
        shift = lead + turn
        for end in (rounds - turn, rounds):
            if ahead < 0:
                for j in range(begin, end, count):
                    state = _step(blocks, shift, True, numbers, j, state)
            else:
                for j in range(begin, end, count):
                    state = _step(blocks, shift, False, numbers, j, state)
            begin, shift = end, shift - rounds
        if ahead < 0:
            # Lines that no round asks for would be waited for, a few in each row.
            fetch_groups(below, rounds, below_length, terms)
        argument, sums, top = state
        for j in range(rounds, last - count, count):
            following = fetch(x, j + count, group)
            sums = _add_argument(argument, sums, terms, j, None, numbers)
            argument = reduce_argument(following, numbers, frame)
        if rounds < last:
            following = fetch_part(x, last, group, None, length - last, 0.0)
            sums = _add_argument(argument, sums, terms, last - count, None, numbers)
            argument = reduce_argument(following, numbers, frame)
    else:
        following = fetch_part(x, last, group, None, length, 0.0)
        argument = reduce_argument(following, numbers, frame)
    sums = _add_argument(argument, sums, terms, last, length - last, numbers)
    divide_rest(above, lead + rounds, length, quotient, out, ahead < 0)
    return sums, raised(top, below, rounds, below_length)
