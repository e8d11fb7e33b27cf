"""Python in processes of their own: for what may kill one, and for what is decided at import."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
# A process that hangs is an error like any other, only a late one.
PATIENCE = 240


def environment(**changes: str | None) -> dict[str, str]:
    """The variables of this process with some changed; None removes one."""
    variables = {**os.environ, **changes}
    return {name: value for name, value in variables.items() if value is not None}


def start(code: str, *words: str, **changes: str | None) -> subprocess.Popen[str]:
    """A process that runs `code`; it finds the modules of this folder."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE,
        env=environment(**changes),
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What a process prints; it must end well."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, f"exit status {process.returncode}\n{out}{err}"
    return out


def finish_all(started: list[subprocess.Popen[str]]) -> list[str]:
    """What several processes print, each of which must end well."""
    with contextlib.ExitStack() as stack:
        for process in started:
            stack.enter_context(process)
            stack.callback(process.kill)
        return [finish(process) for process in started]


def run(code: str, *words: str, **changes: str | None) -> str:
    """What `code` prints when it is run in a process of its own."""
    return finish(start(code, *words, **changes))
