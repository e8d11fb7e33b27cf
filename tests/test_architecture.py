"""The rules of the house, read off the sources: who may import what, and who may name it."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import types
from typing import TYPE_CHECKING, Any

import modules
import numpy as np
import pytest
from numpydoc.validate import validate

import fastsoftmax

if TYPE_CHECKING:
    from collections.abc import Iterator

# From the top down: a module imports from its own floor or from one below.
FLOORS = [
    ["__main__", "cli", "_warmup_command", "_files", "_report"],  # the command
    [
        "__init__",
        "_functions",
        "_gradients",
        "_losses",
        "_ranking",
        "_tools",
        "_calling",
    ],  # the public names
    ["_calls", "_entropy", "_leaders", "_explain", "_warmup"],  # arguments in, results out
    [
        "_summaries",
        "_compute",
        "_second_calls",
        "_casts",
        "_plain",
        "_temperature",
    ],  # casts, memory, one route or another
    ["_layout", "_ways", "_summary_ways"],  # which kernel, and what is kept of that
    [
        "_places",
        "_plans",
        "_split",
        "_copied_first",
        "_task",
        "_tiling",
        "_geometry",
        "_recall",
        "_records",
        "_recording",
        "_facts",
    ],  # with which
    ["_launch", "_team"],  # how many threads
    ["kernels"],  # arithmetic
    # how kernels become machine code
    ["_jit", "_loops", "_addresses", "_compilers", "_cache", "_cpu", "_objects"],
    [
        "_arguments",
        "_compiling",
        "_dtypes",
        "_explanation",
        "_extremes",
        "_memory",
        "_quiet",
        "_quota",
        "_replacing",
        "_shortcuts",
        "_version",
    ],
]
FLOOR_OF = {module: floor for floor, names in enumerate(FLOORS) for module in names}
MODULES = sorted(modules.sources())
KERNELS = [module for module in MODULES if module.startswith("kernels.")]
PUBLIC = [name for name in fastsoftmax.__all__ if name != "__version__"]


def floor_of(module: str) -> int:
    return FLOOR_OF[module.split(".", maxsplit=1)[0]]


def names_in(module: str) -> set[str]:
    """All names and attributes that a module mentions in its code."""
    found = set()
    for node in ast.walk(modules.tree(module)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return found | {each.name for each in modules.imports(module)}


def packages_in(module: str) -> set[str]:
    return {each.module.split(".")[0] for each in modules.imports(module)}


# --- Imports --------------------------------------------------------------------------


def test_every_module_has_its_floor() -> None:
    assert {module.split(".")[0] for module in MODULES} == set(FLOOR_OF)


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_downwards(module: str) -> None:
    for other in modules.imported(module):
        assert floor_of(other) >= floor_of(module), f"{module} imports {other}, which is above it"


def test_no_modules_import_each_other() -> None:
    left = {module: modules.imported(module) for module in MODULES}
    while free := [module for module, needed in left.items() if not needed & set(left)]:
        for module in free:
            del left[module]
    assert not left, "a circle"


@pytest.mark.parametrize("module", KERNELS)
def test_kernels_know_arithmetic_only(module: str) -> None:
    standard = {"__future__", "dataclasses", "functools", "math", "operator", "typing"}
    assert packages_in(module) <= standard | {"fastsoftmax", "llvmlite", "numba", "numpy"}
    allowed = {
        "_addresses": {"Data"},
        "_jit": {"device", "device_apart", "kernel", "kernel_of", "Kernel"},
        "_cpu": {"FIRST_LEVEL_BYTES", "REGISTER_BYTES", "VECTOR_BYTES"},
    }
    for each in modules.imports(module):
        owner = each.module.removeprefix("fastsoftmax.")
        if each.module.startswith("fastsoftmax") and not owner.startswith("kernels"):
            assert each.name in allowed.get(owner, set()), f"{each.name} of {owner}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_on_the_way_to_the_first_call_imports_numba(module: str) -> None:
    """What is imported at the top of the upper floors, and what that imports."""
    if floor_of(module) > FLOOR_OF["__init__"] and module not in FLOORS[-1]:
        return
    top = [
        node for node in modules.tree(module).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    for node in top:
        words = ast.unparse(node)
        assert "numba" not in words
        assert "llvmlite" not in words
        for other in MODULES:
            if other in words.split() or f"fastsoftmax.{other} " in f"{words} ":
                assert floor_of(other) <= FLOOR_OF["__init__"] or other in FLOORS[-1], words


# --- Who names what -------------------------------------------------------------------


@pytest.mark.parametrize("module", sorted({*MODULES} - {"_launch", "_team"}))
def test_only_launch_knows_threads(module: str) -> None:
    if module != "_compiling":  # which takes one to compile in
        assert not packages_in(module) & {"threading", "_thread", "multiprocessing", "concurrent"}
    named = names_in(module)
    assert not named & {"get_num_threads", "set_num_threads", "threading_layer", "get_thread_id"}


JIT_NAMES = {"jit", "njit", "vectorize", "guvectorize", "cfunc", "stencil", "jitclass", "overload"}
JIT_OPTIONS = {"boundscheck", "error_model", "fastmath", "forceinline", "nogil", "parallel_target"}


def departures(source: ast.AST) -> Iterator[str]:
    """Uses of Numba's decorators and their options."""
    froms = [node for node in ast.walk(source) if isinstance(node, ast.ImportFrom)]
    others = {each.name for node in froms if node.module == "typing" for each in node.names}
    for node in ast.walk(source):
        if isinstance(node, ast.Attribute | ast.Name | ast.alias):
            name = {ast.Attribute: "attr", ast.Name: "id", ast.alias: "name"}[type(node)]
            if getattr(node, name) in (JIT_NAMES | {"prange"}) - others:
                yield f"{getattr(node, name)} in line {node.lineno}"
        elif isinstance(node, ast.keyword) and node.arg in JIT_OPTIONS:
            yield f"{node.arg}= in line {node.value.lineno}"
        elif isinstance(node, ast.Constant) and node.value in JIT_OPTIONS:
            yield f"{node.value!r} in line {node.lineno}"


@pytest.mark.parametrize("module", [module for module in MODULES if module != "_jit"])
def test_no_kernel_departs_from_the_jit_policy(module: str) -> None:
    found = [each for each in departures(modules.tree(module)) if module != "_loops"]
    assert found == []


def test_one_loop_is_parallel() -> None:
    (found,) = departures(modules.tree("_loops"))
    assert found.startswith("prange ")


@pytest.mark.parametrize(
    "source",
    [
        "@numba.njit\ndef f(): pass",
        "from numba import njit as compiled",
        "numba.jit(nopython=True)(f)",
        "compile(f, fastmath=True)",
        "options = {'nogil': True}",
        "for i in numba.prange(3): pass",
        "from numba.extending import overload",
    ],
)
def test_a_departure_would_be_seen(source: str) -> None:
    assert list(departures(ast.parse(source)))


def test_the_jit_policy_is_what_the_contract_needs() -> None:
    from fastsoftmax import _jit

    assert _jit._OPTIONS == {"nogil": True, "error_model": "numpy", "fastmath": False}
    assert {**_jit._WITH_OBJECTS, "nogil": True}.items() >= _jit._OPTIONS.items()


OWNERS = {
    "_cache": {"FASTSOFTMAX_CACHE_DIR", "LOCALAPPDATA", "XDG_CACHE_HOME"},
    "_cpu": {"FASTSOFTMAX_VECTOR_WIDTH"},
    "_memory": {"FASTSOFTMAX_SPARE_BYTES"},
}


@pytest.mark.parametrize("module", MODULES)
def test_variables_of_the_environment_have_one_owner(module: str) -> None:
    named = names_in(module)
    assert "environ" not in named or module in OWNERS
    assert not named & {"getenv", "putenv", "unsetenv", "environb"}
    text = modules.sources()[module].read_text(encoding="utf-8")
    for owner, variables in OWNERS.items():
        for variable in variables:
            assert owner == module or f'"{variable}"' not in text


@pytest.mark.parametrize("module", MODULES)
def test_nobody_changes_the_environment_or_the_settings_of_numba(module: str) -> None:
    for node in ast.walk(modules.tree(module)):
        targets: list[Any] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            assert "environ" not in ast.unparse(target)
            assert "config." not in ast.unparse(target)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not called.endswith(("environ.update", "environ.setdefault", "environ.pop"))
            assert not called.endswith(("seterr", "seterrcall", "set_printoptions", "simplefilter"))


# --- Files and names ------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_a_file_fits_the_head(module: str) -> None:
    text = modules.sources()[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    assert ast.get_docstring(modules.tree(module)), "a module says what it is for"


def test_the_maps_name_every_kernel_and_no_module_that_is_not_there() -> None:
    """The docstrings of the package and of its kernels, in which lines begin with modules."""

    def named(package: str) -> set[str]:
        text = ast.get_docstring(modules.tree(package)) or ""
        lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
        found = {name for line in lines for name in re.findall(r"\w+", line.split("   ")[0])}
        return found - {"or", "and"}

    assert named("kernels") == {module.removeprefix("kernels.") for module in KERNELS}
    assert {"_recall", "_layout"} < named("__init__") < set(MODULES)


def test_thresholds_are_where_the_docs_say() -> None:
    text = (modules.PACKAGE.parent / "docs" / "thresholds.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    count = 0
    for threshold, _, place, *_ in rows[1:]:
        files = re.findall(r"`([\w/]+\.py)`", place)
        code = "".join((modules.PACKAGE / each).read_text(encoding="utf-8") for each in files)
        for name in re.findall(r"`(\w+)`", threshold):
            count += 1
            assert re.search(rf"\b{name}\b", code), f"{name} is not in {files}"
    assert count > 40


def test_all_is_exactly_the_public_names() -> None:
    names = {
        name
        for name, value in vars(fastsoftmax).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert sorted(fastsoftmax.__all__) == sorted(names | {"__version__"})
    assert len(set(fastsoftmax.__all__)) == len(fastsoftmax.__all__)


def test_the_package_says_that_it_has_types() -> None:
    assert (modules.PACKAGE / "py.typed").exists()


# --- Docstrings -----------------------------------------------------------------------

ALLOWED = {
    "ES01": "a summary may say it all",
    "GL01": "the text begins on the first line",
    "GL02": "and ends without an empty one",
    "PR03": "parameters that are as in softmax stand together",
    "PR04": "and have no types of their own",
    "PR08": "a description may begin with a formula or a name",
    "SA03": "what follows a colon is no sentence",
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_docstrings_are_numpydoc(name: str) -> None:
    errors = [
        error for error in validate(f"fastsoftmax.{name}")["errors"] if error[0] not in ALLOWED
    ]
    assert errors == []
    text = inspect.getdoc(getattr(fastsoftmax, name)) or ""
    for section in ("Parameters", "Returns", "Raises", "Notes", "Examples"):
        assert f"\n{section}\n{'-' * len(section)}\n" in text


@pytest.mark.parametrize("name", PUBLIC)
def test_their_examples_print_what_they_say(name: str) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(getattr(fastsoftmax, name), name, globs={})
    with np.printoptions():
        result = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(test)
    assert result.attempted > 0
    assert result.failed == 0
