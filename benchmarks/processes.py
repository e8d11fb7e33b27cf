"""Processes of contenders, as their parent sees them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.workloads import Case

ROOT = Path(__file__).resolve().parent.parent
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NPROC",  # XLA's
)
_PAUSE = 0.2
"""Seconds after which the threads of any library sleep, where the system does not tell."""
_LOOK = 0.002


class WorkerError(Exception):
    """A contender refused a case, or could not start."""


class WorkerDied(WorkerError):  # noqa: N818 - that is what happened
    """The process is gone."""


def environment(threads: int, **changes: str) -> dict[str, str]:
    """The variables of a contender's process.

    Its modules are kept as bytecode, as an installer leaves those of the others.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    fixed = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **fixed, "PYTHONPATH": os.pathsep.join(paths), **changes}


def usable_cpus() -> list[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpus_for(threads: int) -> list[int]:
    """As many CPUs, one of each core as long as there are cores."""
    usable = usable_cpus()
    firsts: list[int] = []
    others: list[int] = []
    seen: set[str] = set()
    for cpu in usable:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text().strip() if siblings.exists() else str(cpu)
        (others if core in seen else firsts).append(cpu)
        seen.add(core)
    return (firsts + others)[:threads]


class Worker:
    """A process that runs benchmarks/worker.py."""

    def __init__(self, name: str, threads: int, plugins: Sequence[str] = ()) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        cpus = ",".join(map(str, cpus_for(threads)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, str(threads), cpus, *plugins],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(threads),
            text=True,
        )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self, command: str, **arguments: Any) -> Any:
        """Have a command done and return its value.

        Raises
        ------
        WorkerError
            With the message of the contender that refused.
        WorkerDied
            With the last line of what the process said.
        """
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        try:
            pipe_in.write(json.dumps({"do": command, **arguments}) + "\n")
            pipe_in.flush()
            line = pipe_out.readline()
        except OSError:
            line = ""
        if not line:
            raise WorkerDied(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["value"]

    def _last_words(self) -> str:
        status = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return f"the process ended with status {status}" + (f": {lines[-1]}" if lines else "")

    def settle(self) -> None:
        """Wait until all threads of the process sleep, so that they disturb nobody's turn."""
        tasks = Path(f"/proc/{self.pid}/task")
        if not tasks.is_dir():
            time.sleep(_PAUSE)
            return
        end = time.monotonic() + _PAUSE
        while time.monotonic() < end and _running(tasks):
            time.sleep(_LOOK)

    def close(self) -> None:
        """End the process and wait for it."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()


def _running(tasks: Path) -> bool:
    """Whether a thread of a process is running or wants to."""
    for stat in tasks.glob("*/stat"):
        try:
            state = stat.read_text().rpartition(")")[2].split()[0]
        except OSError:  # the thread has ended meanwhile
            continue
        if state == "R":
            return True
    return False


def ask_once(request: dict[str, Any], threads: int, **changes: str) -> dict[str, Any]:
    """The answer of benchmarks/probes.py, see `answer_of`."""
    return answer_of("probes", [json.dumps(request)], threads, **changes)


def answer_of(module: str, words: Sequence[str], threads: int, **changes: str) -> dict[str, Any]:
    """What a module here prints as JSON, in its last line, in a process of its own.

    Raises
    ------
    WorkerError
        If it failed, with the last line of what it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *words],
        capture_output=True,
        env=environment(threads, **changes),
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise WorkerError(lines[-1][:200])
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def as_json(case: Case) -> dict[str, Any]:
    """A case as a worker reads it."""
    return dataclasses.asdict(case)
