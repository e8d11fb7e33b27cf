"""Loops over the tasks of a kernel, shared by threads: the parallel builds.

Each worker has a share of the tasks, of neighbours, and takes `grain` of them at a time, by a
counter.  Then it does the same to the shares of others, so that a thread that the system holds back
holds up nobody else.  It has `room` bytes of scratch memory for itself.

Called again, a thread finds in its caches what it had there: with one counter for all,
(1000, 1000) float32 took 180 us on two cores, so 174.  Even more so if every other launch is
`turned` and begins at the end of its share: 162.

All that comes with a launch is done here.  A kernel leaves little of Python in the caches, so that
each step of Python takes several times what it takes by itself: of the 61 us that gradients of
(256, 1000) float32 took, 15 were for that.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
from numba.core import types

from fastsoftmax._addresses import (
    WORD,
    WORDS,
    bytes_at,
    call_c,
    call_numba,
    call_stored,
    count_by,
    cycles,
    exchange,
    exchange_if,
    fetch_and_add,
    offset,
    pick_up,
    put_down,
    read,
    relax,
    tuple_at,
    words_at,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

LINE = 16
"""Words of a pair of cache lines, which processors fetch together."""
PLACE_STEP = LINE
"""Words from one worker's place in a team to the next; before the first are as many for all."""

# Shares of the work per thread: enough for a thread that is held back to lose its to others, but
# not less than so many nanoseconds, as each takes some 0.4 us to begin and to end.
SHARES, LEAST_PIECE = 4, 5_000

# --- Teams ----------------------------------------------------------------------------
#
# A team's memory is words that a launching thread shares with those that help it (`_team`): what
# it knows of the layer and of launches, then a place for each worker.

AVAILABLE, ADD, MEMBER, GIVE_WAY, SCRATCH = range(5)
"""Addresses: of functions, those that tell how many threads may be used, that make a task for one,
that do it and that let others run; and of scratch memory."""
AWAKE, WAKE = range(5, 7)
"""How many cycles threads are awake after a launch, and nanoseconds that it takes to wake them."""
LAUNCHING, LAUNCHES = range(7, 9)
"""Whether somebody launches, and how often that was."""
_LAST, _WAITING, BALANCE = range(9, 12)
"""When there was work last, since when who launched waits for others, and what threads are worth:
nanoseconds that are lost without them, less those that were lost by them."""
# The words of a place.
_STATE, IS_ASKED = range(2)
"""Whether there is work, and whether there is a task that looks for it."""
_SHARE, _WORK, _WORKER = range(2, 5)
"""The work: the address of a function, that of what it is told, and who of the team does it."""
_RETURNED = 5
"""Two words for what Numba's functions return."""
_COUNTER = 8
"""The worker's counter of tasks."""
_NOTHING, _OPEN, _TAKEN, _DONE = range(4)
"""States: there is no work, there is some, somebody does it, it is done."""

_LOOKS = 500
"""How often a task looks for more work before it ends."""
_PATIENCE = 2000
"""How often a thread looks for the end of another's work before it lets others run each time."""
# A job is words, too: what there is to do, on `MOST` workers at the most.
MOST, TASKS, LEAST, COST, TURNS, ROOM = range(6)
"""Tasks, `LEAST` of them at a time if there are enough, that take `COST` nanoseconds; 1 if every
other launch is turned; and bytes of scratch memory for each worker."""
SERIAL, TEAM, SHARE, RUN = range(6, 10)
"""Addresses: of the kernel, of the team's memory and of two of `Loops`."""
ASKS_TWICE = 10
"""1 if a call that was not worth it is asked for once more."""
JOB_WORDS = 11


def member_of_team(device: Callable[[Any], Any]) -> Any:
    """``member(place)``, what a task does: the work at its place, and what comes soon after.

    Whoever launches later has to make another one.
    """

    @device
    def work(place):  # type: ignore[no-untyped-def]
        state = offset(place, _STATE)
        if read(state) != _OPEN or not exchange_if(state, _OPEN, _TAKEN):
            return False
        call_numba(offset(place, _SHARE), (offset(place, _WORK),), (read(offset(place, _WORKER)),))
        write(state, _DONE)
        return True

    def member(place):  # type: ignore[no-untyped-def]
        looks = 0
        while looks < _LOOKS:
            looks = 0 if work(place) else looks + 1
            relax()
        write(offset(place, IS_ASKED), 0)
        # It may have come since, from somebody who saw that a task was there.
        work(place)

    return member


@functools.cache
def steps_of_launch(device: Callable[[Any], Any]) -> tuple[Any, ...]:
    """``(begin, end, ask, finish)``, what a thread does that launches.

    ``begin(job, team)`` makes it the one that does, if the job is worth it now; it returns the
    number of workers, or 0, how many tasks they take at a time, and 1 if they begin at the end.
    ``end(team)`` lets others launch.
    ``ask(team, place)`` makes a task for a place; ``finish(team, place)`` waits for the work there,
    or takes it back if nobody has begun it; returns whether somebody had.
    """

    @device
    def workers_for(job, team):  # type: ignore[no-untyped-def]
        now, balance = cycles(), read(offset(team, BALANCE))
        if now - read(offset(team, _LAST)) > read(offset(team, AWAKE)):
            balance = 0
        # What calls in succession take longer on one thread pays for waking the others.
        gain, wake = job[COST] // 2, read(offset(team, WAKE))
        paid = min(balance + gain, max(gain, wake))
        write(offset(team, _LAST), now)
        write(offset(team, BALANCE), balance if paid < wake and job[ASKS_TWICE] != 0 else paid)
        workers = min(job[MOST], count_by(offset(team, AVAILABLE)))
        if workers < 2 or paid < wake:
            return 0
        if exchange(offset(team, LAUNCHING), 1) != 0:
            return 0
        write(offset(team, LAUNCHES), read(offset(team, LAUNCHES)) + 1)
        for worker in range(workers):
            write(offset(team, (1 + worker) * PLACE_STEP + _COUNTER), 0)
        return workers

    @device
    def begin(job, team):  # type: ignore[no-untyped-def]
        workers = workers_for(job, team)
        count, tasks = max(1, workers), job[TASKS]
        pieces = min(SHARES, max(1, job[COST] // (count * LEAST_PIECE)))
        grain = max(-(-tasks // (count * pieces)), min(job[LEAST], -(-tasks // count)))
        return workers, grain, read(offset(team, LAUNCHES)) & job[TURNS]

    @device
    def end(team):  # type: ignore[no-untyped-def]
        now, waiting, balance = cycles(), offset(team, _WAITING), offset(team, BALANCE)
        spent, waited = read(waiting) - read(offset(team, _LAST)), now - read(waiting)
        if waited > 2 * spent:  # for a thread that the system holds back, at two cycles or so a ns
            write(balance, read(balance) - waited // 2)
        write(offset(team, _LAST), now)
        write(offset(team, LAUNCHING), 0)

    @device
    def ask(team, place):  # type: ignore[no-untyped-def]
        returned = offset(place, _RETURNED)
        given = bytes_at(offset(team, MEMBER)), returned, offset(returned, 1), place, place
        call_c(offset(team, ADD), given)

    @device
    def finish(team, place):  # type: ignore[no-untyped-def]
        state, looks = offset(place, _STATE), 0
        if exchange_if(state, _OPEN, _NOTHING):
            return False
        while read(state) != _DONE:
            looks += 1
            if looks < _PATIENCE:
                relax()
            else:
                call_c(offset(team, GIVE_WAY), ())
        return True

    return begin, end, ask, finish


# --- Loops ----------------------------------------------------------------------------

MEMBER_SIGNATURE = types.none(WORDS)
SHARE_SIGNATURE = types.none(WORDS, WORD)
_WORK_KIND = types.Tuple((WORD, WORD, WORD, WORDS, WORDS))
RUN_SIGNATURE = types.boolean(WORDS, WORDS)


def entry_signature(kinds: tuple[Any, ...]) -> Any:
    """That of an entry for arguments of these kinds."""
    return types.boolean(WORDS, types.Tuple(kinds))


class Loops(NamedTuple):
    """Functions that do a job, for kernels with the same kinds of arguments."""

    in_prange: Any
    """``run(job, arguments)``, where the kernel's arguments are at an address: by Numba's loop.

    It returns whether it did: it does nothing if threads are not worth waking, or none may be used,
    or some other thread launches."""
    by_tasks: Any
    """The same, by tasks."""
    share: Any
    """``share(place, worker)``: the work at a worker's place in a team."""
    entry: Any
    """``entry(job, arguments)`` for Python: the job's `RUN`, with a tuple of arguments."""


def loops(kinds: tuple[Any, ...], device: Callable[[Any], Any]) -> Loops:
    """The loops for kernels with arguments of these kinds."""
    arguments_kind = types.Tuple(kinds)
    begin, end, ask, finish = steps_of_launch(device)

    @device
    def take(worker, work):  # type: ignore[no-untyped-def]
        workers, grain, turned, job, stored = work
        team, tasks = words_at(offset(job, TEAM)), job[TASKS]
        arguments = tuple_at(stored, arguments_kind)
        own = offset(bytes_at(offset(team, SCRATCH)), worker * job[ROOM])
        for turn in range(workers):
            mine = (worker + turn) % workers
            first_of_share, end_of_share = mine * tasks // workers, (mine + 1) * tasks // workers
            counter = offset(team, (1 + mine) * PLACE_STEP + _COUNTER)
            first = first_of_share + fetch_and_add(counter, grain)
            while first < end_of_share:
                last = min(first + grain, end_of_share)
                if turned != 0:
                    both = first_of_share + end_of_share
                    place = own, both - last, both - first
                else:
                    place = own, first, last
                call_numba(offset(job, SERIAL), arguments, place)
                first = first_of_share + fetch_and_add(counter, grain)
        if worker == 0:
            write(offset(team, _WAITING), cycles())

    def in_prange(job, stored):  # type: ignore[no-untyped-def]
        team = words_at(offset(job, TEAM))
        workers, grain, turned = begin(job, team)
        if workers == 0:
            return False
        for worker in numba.prange(workers):
            take(worker, (workers, grain, turned, job, stored))
        end(team)
        return True

    def by_tasks(job, stored):  # type: ignore[no-untyped-def]
        team = words_at(offset(job, TEAM))
        workers, grain, turned = begin(job, team)
        if workers == 0:
            return False
        work = workers, grain, turned, job, stored
        for worker in range(1, workers):
            place = offset(team, (1 + worker) * PLACE_STEP)
            write(offset(place, _SHARE), read(offset(job, SHARE)))
            write(offset(place, _WORKER), worker)
            put_down(offset(place, _WORK), work)
            write(offset(place, _STATE), _OPEN)
            if exchange(offset(place, IS_ASKED), 1) == 0:
                ask(team, place)
        take(0, work)
        helpers = 0
        for worker in range(1, workers):
            helpers += finish(team, offset(team, (1 + worker) * PLACE_STEP))
        if helpers == 0:  # threads sleep, and were woken in vain
            write(offset(team, BALANCE), read(offset(team, BALANCE)) - read(offset(team, WAKE)))
        end(team)
        return True

    def share(place, worker):  # type: ignore[no-untyped-def]
        take(worker, pick_up(place, _WORK_KIND))

    def entry(job, arguments):  # type: ignore[no-untyped-def]
        return call_stored(offset(job, RUN), job, arguments)

    return Loops(in_prange, by_tasks, share, entry)
