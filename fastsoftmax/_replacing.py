"""Files that are replaced whole or not at all.

What is written goes to a temporary file beside its place and is renamed when it is complete, so
that a reader, a full disk or a killed process never finds half a file.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPORARY = ".fastsoftmax-*.tmp"
"""What matches the names of temporary files."""


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `target`, and its permissions, if all goes well.

    A new one has those of any new file, which the user's umask tells.
    """
    temporary = target.with_name(TEMPORARY.replace("*", secrets.token_hex(8)))
    try:
        with temporary.open("xb") as file:
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
            yield file
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
