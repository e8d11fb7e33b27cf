"""Loops over the tasks of a kernel, shared by threads: the parallel builds.

Each worker has a share of the tasks, of neighbours, and takes `grain` of them at a time, by a
counter.  Then it does the same to the shares of others, so that a thread that the system holds back
holds up nobody else.  It has `room` bytes of scratch memory for itself.

Called again, a thread finds in its caches what it had there: with one counter for all,
(1000, 1000) float32 took 180 us on two cores, so 174.  Even more so if every other launch is
`turned` and begins at the end of its share: 162.

All that comes with a launch is done here.  A kernel leaves little of Python in the caches, so that
each step of Python takes several times what it takes by itself.  Gradients of (256, 1000) float32
took 61 us with Numba's loop and Python's steps, and take 35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
_LAST, _BEGAN, _WAITING, BALANCE = range(9, 13)
"""When there was work last, since when who launches works and waits for others, and what threads
are worth: nanoseconds that are lost without them, less those that were lost by them."""
# The words of a place.
_STATE, IS_ASKED = range(2)
"""Whether there is work, and whether there is a task that looks for it."""
_SHARE, _WORK, _WORKER = range(2, 5)
"""The work: the address of a function, that of what it is told, and who of the team does it."""
_RETURNED = 5
"""Two words for what Numba's functions return."""
_COUNTER = 8
"""The worker's counter of tasks."""
_ASKED_AT = 9
"""When the task was made."""
_NOTHING, _OPEN, _TAKEN, _DONE = range(4)
"""States: there is no work, there is some, somebody does it, it is done."""

_LOOKS = 500
"""How often a task looks for more work before it ends."""
_LOST_AFTER = 2_000_000
"""Cycles after which a task that nobody has begun is made again."""
_PATIENCE = 2000
"""How often a thread looks for the end of another's work before it lets others run each time."""
# A job is words, too: what there is to do, on `MOST` workers at the most.
MOST, TASKS, LEAST, COST, TURNS, ROOM = range(6)
"""Tasks, `LEAST` of them at a time if there are enough, that take `COST` nanoseconds; 1 if every
other launch is turned; and bytes of scratch memory for each worker."""
SERIAL, TEAM, SHARE, RUN = range(6, 10)
"""Addresses: of the kernel, of the team's memory, of what does a share and of a loop."""
ASKS_TWICE = 10
"""1 if a call that was not worth it is asked for once more."""
JOB_WORDS = 11


def member(place: Any) -> None:
    """What a task does: the work at its place, and what comes soon after.

    Whoever launches later has to make another one.
    """
    looks = 0
    while looks <= _LOOKS:
        looks += 1
        if looks > _LOOKS:  # for the last time, as some may come from who saw that a task was there
            write(place, IS_ASKED, 0)
        if read(place, _STATE) == _OPEN and exchange_if(place, _STATE, _OPEN, _TAKEN):
            call_numba(place, _SHARE, (offset(place, _WORK),), (read(place, _WORKER),))
            write(place, _STATE, _DONE)
            if looks <= _LOOKS:
                looks = 0
        relax()


# --- Loops ----------------------------------------------------------------------------

_WORK_KIND = types.Tuple((WORD, WORD, WORD, WORDS, WORDS))
MEMBER_SIGNATURE = types.none(WORDS)
SHARE_SIGNATURE = types.none(WORDS, WORD)
RUN_SIGNATURE = types.boolean(WORDS, WORDS)


def entry_signature(kinds: tuple[Any, ...]) -> Any:
    """That of an entry for arguments of these kinds."""
    return types.boolean(WORDS, types.Tuple(kinds))


def steps_of_launch(device: Callable[[Any], Any]) -> tuple[Any, Any]:
    """``(begin, end)``: what a thread does that launches.

    ``begin(job, team)`` makes it the one that does, if the job is worth it now; it returns the
    number of workers, or 0, how many tasks they take at a time, and 1 if they begin at the end.
    ``end(team)`` lets others launch.
    """

    @device
    def begin(job, team):  # type: ignore[no-untyped-def]
        now, balance = cycles(), read(team, BALANCE)
        if now - read(team, _LAST) > read(team, AWAKE):
            balance = 0
        # What calls in succession take longer on one thread pays for waking the others.
        gain, wake = job[COST] // 2, read(team, WAKE)
        paid = min(balance + gain, max(gain, wake))
        write(team, _LAST, now)
        write(team, BALANCE, balance if paid < wake and job[ASKS_TWICE] != 0 else paid)
        workers = min(job[MOST], count_by(team, AVAILABLE))
        if workers < 2 or paid < wake or exchange(team, LAUNCHING, 1) != 0:
            return 0, 0, 0
        write(team, _BEGAN, now)
        launches, tasks = read(team, LAUNCHES) + 1, job[TASKS]
        write(team, LAUNCHES, launches)
        for worker in range(workers):
            write(team, (1 + worker) * PLACE_STEP + _COUNTER, 0)
        pieces = min(SHARES, max(1, job[COST] // (workers * LEAST_PIECE)))
        grain = max(-(-tasks // (workers * pieces)), min(job[LEAST], -(-tasks // workers)))
        return workers, grain, launches & job[TURNS]

    @device
    def end(team):  # type: ignore[no-untyped-def]
        now, waiting = cycles(), read(team, _WAITING)
        spent, waited = waiting - read(team, _BEGAN), now - waiting
        if waited > 2 * spent:  # for a thread that the system holds back, at two cycles or so a ns
            write(team, BALANCE, read(team, BALANCE) - waited // 2)
        write(team, _LAST, now)
        write(team, LAUNCHING, 0)

    return begin, end


def loops(device: Callable[[Any], Any]) -> tuple[Any, Any]:
    """``(in_prange, by_tasks)``: a loop by Numba, and one by tasks.

    Both are ``run(job, arguments)``, where the arguments of the kernel are at an address.  They
    return whether they did the job: they do nothing if threads are not worth waking, or none may
    be used, or some other thread launches.
    """
    begin, end = steps_of_launch(device)

    def in_prange(job, stored):  # type: ignore[no-untyped-def]
        team = words_at(job, TEAM)
        workers, grain, turned = begin(job, team)
        if workers == 0:
            return False
        work = offset(team, PLACE_STEP + _WORK)
        put_down(work, 0, (workers, grain, turned, job, stored))
        for worker in numba.prange(workers):
            call_numba(job, SHARE, (work,), (worker,))
        end(team)
        return True

    def by_tasks(job, stored):  # type: ignore[no-untyped-def]
        team = words_at(job, TEAM)
        workers, grain, turned = begin(job, team)
        if workers == 0:
            return False
        first, work = offset(team, PLACE_STEP), (workers, grain, turned, job, stored)
        for worker in range(1, workers):
            place = offset(first, worker * PLACE_STEP)
            write(place, _SHARE, job[SHARE])
            write(place, _WORKER, worker)
            put_down(place, _WORK, work)
            write(place, _STATE, _OPEN)
            if exchange(place, IS_ASKED, 1) == 0:
                write(place, _ASKED_AT, cycles())
                returned = offset(place, _RETURNED)
                given = bytes_at(team, MEMBER), returned, offset(returned, 1), place, place
                call_c(team, ADD, given)
        put_down(first, _WORK, work)
        call_numba(job, SHARE, (offset(first, _WORK),), (0,))
        helpers = 0
        for worker in range(1, workers):
            place, looks = offset(first, worker * PLACE_STEP), 0
            if exchange_if(place, _STATE, _OPEN, _NOTHING):  # nobody has begun it, nor will
                # TBB may fail to notice a task until another one is made.
                if cycles() - read(place, _ASKED_AT) > _LOST_AFTER:
                    write(place, IS_ASKED, 0)
                continue
            helpers += 1
            while read(place, _STATE) != _DONE:
                looks += 1
                if looks < _PATIENCE:
                    relax()
                else:
                    call_c(team, GIVE_WAY, ())
        if helpers == 0:  # threads sleep, and were woken in vain
            write(team, BALANCE, read(team, BALANCE) - read(team, WAKE))
        end(team)
        return True

    return in_prange, by_tasks


def ends_of_loops(kinds: tuple[Any, ...]) -> tuple[Any, Any]:
    """``(share, entry)`` for kernels with arguments of these kinds.

    ``share(place, worker)`` does the share of a worker, of the work at a place in a team;
    ``entry(job, arguments)`` is for Python: the job's `RUN`, with a tuple of arguments.
    """
    arguments_kind = types.Tuple(kinds)

    def share(place, worker):  # type: ignore[no-untyped-def]
        workers, grain, turned, job, stored = pick_up(place, 0, _WORK_KIND)
        team, tasks = words_at(job, TEAM), job[TASKS]
        arguments = tuple_at(stored, arguments_kind)
        own = offset(bytes_at(team, SCRATCH), worker * job[ROOM])
        for turn in range(workers):
            mine = (worker + turn) % workers
            first_of_share, end_of_share = mine * tasks // workers, (mine + 1) * tasks // workers
            counter = (1 + mine) * PLACE_STEP + _COUNTER
            first = first_of_share + fetch_and_add(team, counter, grain)
            while first < end_of_share:
                last = min(first + grain, end_of_share)
                if turned != 0:
                    both = first_of_share + end_of_share
                    part = own, both - last, both - first
                else:
                    part = own, first, last
                call_numba(job, SERIAL, arguments, part)
                first = first_of_share + fetch_and_add(team, counter, grain)
        if worker == 0:
            write(team, _WAITING, cycles())

    def entry(job, arguments):  # type: ignore[no-untyped-def]
        return call_stored(job, RUN, arguments)

    return share, entry
