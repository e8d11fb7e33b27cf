"""Processes on one threading layer of Numba or another, and the work they are given."""

from __future__ import annotations

import os
import sys
import textwrap

import jobs
import processes

LAYERS = ["omp", "workqueue", "tbb"]

PREPARE = """
import faulthandler, os, signal, sys, threading
import jobs

def in_child(work):
    "Fork, work in the child, and say whether it ended well."
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(60)  # kills a child that hangs, and says where
    try:
        work()
    except BaseException as error:
        os.write(2, repr(error).encode())
        os._exit(1)
    os._exit(0)

def check():
    if jobs.digest() != serial:
        raise SystemExit("wrong")

serial = None
"""


class Children:
    """Runs code on one threading layer, and knows what it has to print."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.wanted = jobs.digest(workers=1)

    def run(self, code: str, wanted: int = 1) -> None:
        """Run `code`, which has to print so many digests of the jobs, all of them right."""
        self.run_at_once("serial = jobs.digest(workers=1)\n" + textwrap.dedent(code), wanted)

    def run_at_once(self, code: str, wanted: int = 1) -> None:
        """The same with nothing computed before."""
        printed = processes.run(PREPARE + textwrap.dedent(code), **variables(self.layer))
        assert printed.split() == [self.wanted] * wanted


def variables(layer: str) -> dict[str, str | None]:
    """The environment in which a layer can be loaded, if it is installed at all."""
    libraries = [f"{sys.prefix}/lib", os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        "NUMBA_THREADING_LAYER": layer,
        "NUMBA_NUM_THREADS": "4",
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
    }
