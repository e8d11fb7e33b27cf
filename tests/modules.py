"""The modules of the package as their sources say: who imports whom, read without importing."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1] / "fastsoftmax"


class Import(NamedTuple):
    """A name that a module imports."""

    module: str
    """Absolute; within the package, of the file that is imported."""
    name: str
    """What is taken from it; empty for the module itself."""


@functools.cache
def sources() -> dict[str, Path]:
    """All modules of the package by name, without "fastsoftmax": "_jit", "kernels.rows"."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__") or "__init__"] = path
    return found


@functools.cache
def tree(module: str) -> ast.Module:
    """The syntax of a module."""
    return ast.parse(sources()[module].read_text(encoding="utf-8"))


def imports(module: str, for_types: bool = False) -> list[Import]:
    """What a module imports, at any depth; what only type checkers see on request."""
    skipped = set()
    if not for_types:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                skipped |= {id(each) for child in node.body for each in ast.walk(child)}
    found = []
    for node in ast.walk(tree(module)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [Import(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports are not the house's way"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix("fastsoftmax.") in sources()
                found.append(
                    Import(whole, "") if is_module else Import(str(node.module), alias.name)
                )
    return found


def imported(module: str) -> set[str]:
    """The modules of the package that a module imports, in the names of `sources`."""
    found = set()
    for each in imports(module):
        if each.module == "fastsoftmax":
            found.add("__init__")
        elif each.module.startswith("fastsoftmax."):
            found.add(each.module.removeprefix("fastsoftmax."))
    return found


def below(folder: str) -> list[Path]:
    """The files of a folder and of all that they import, but for those that say nothing."""
    waiting = [name for name in sources() if name.startswith(f"{folder}.")]
    reached: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += imported(module)
    return [sources()[module] for module in sorted(reached - {"_version"})]
