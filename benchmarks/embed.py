"""Generated parts of hand-written Markdown: what stands between two comment markers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MARKER = re.compile(r"^<!-- (?P<name>[a-z]+):(?P<end>begin|end) -->$", re.MULTILINE)


def parts(text: str) -> dict[str, tuple[int, int]]:
    """Where each part begins and ends, its markers not included.

    Raises
    ------
    ValueError
        If a marker lacks its partner, or a part is there twice.
    """
    found: dict[str, tuple[int, int]] = {}
    begun: re.Match[str] | None = None
    for marker in _MARKER.finditer(text):
        name = marker["name"]
        if marker["end"] == "begin":
            if begun is not None or name in found:
                raise ValueError(f"<!-- {name}:begin --> is there twice, or within another part")
            begun = marker
        elif begun is None or begun["name"] != name:
            raise ValueError(f"<!-- {name}:end --> has no beginning")
        else:
            found[name] = begun.end(), marker.start()
            begun = None
    if begun is not None:
        raise ValueError(f"<!-- {begun['name']}:begin --> has no end")
    return found


def embedded(text: str) -> dict[str, str]:
    """What stands in each part."""
    return {name: text[start:end].strip() for name, (start, end) in parts(text).items()}


def replaced(text: str, blocks: Mapping[str, str]) -> str:
    """The text with the parts that have a block replaced by it."""
    places = sorted(parts(text).items(), key=lambda item: item[1], reverse=True)
    for name, (start, end) in places:
        if name in blocks:
            text = f"{text[:start]}\n\n{blocks[name].strip()}\n\n{text[end:]}"
    return text
