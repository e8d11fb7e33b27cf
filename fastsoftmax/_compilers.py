"""The compilers of kernels and of their parts: Numba's, without what these don't need.

Numba makes machine code of every function it compiles, and optimises each with all that it
calls.  A part of a kernel is inlined wherever it is called and never called itself, so this
is work for nothing, for some 40 functions a kernel: without it, compiling takes about half
the time.  A part is typed and lowered, and the optimiser sees the kernel as a whole.

What the sum of two integers is, Numba finds out in each place anew, by asking a dozen templates
(of arrays, lists, dates): a tenth of the time.  It is told what it has found before.  And it would
compile a part for each integer that is written where it is called; the optimiser, which has it
inlined there, sees the integer anyway.
"""

from __future__ import annotations

import weakref
from typing import Any

from numba import _dynfunc
from numba.core import types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering, NopythonTypeInference


class KernelCompiler(CompilerBase):  # type: ignore[misc]  # Numba has no type hints
    """Numba's compiler for functions without parallel loops."""

    def define_pipelines(self) -> list[Any]:
        """The usual passes that are needed, with another one for types."""
        return [_passes(self.state, {NopythonTypeInference: _Typing})]


class DeviceCompiler(CompilerBase):  # type: ignore[misc]
    """The same up to LLVM's language."""

    def define_pipelines(self) -> list[Any]:
        """The same passes, but for lowering."""
        instead = {NopythonTypeInference: _Typing, NativeLowering: _DeviceLowering}
        return [_passes(self.state, instead)]


def _passes(state: Any, instead: dict[Any, Any]) -> Any:
    """Numba's passes, some left out and others in their stead."""
    manager = DefaultPassBuilder.define_nopython_pipeline(state)
    manager.passes = [
        (instead.get(each, each), description)
        for each, description in manager.passes
        if each.__name__ not in _NOT_NEEDED
    ]
    return manager


# Passes for what kernels and their parts do not have: closures, with-blocks, array expressions,
# generators, functions inlined by Numba itself, lists to unroll over; and annotations.
_NOT_NEEDED = {
    "AnnotateTypes",
    "DeadBranchPrune",
    "DumpParforDiagnostics",
    "FindLiterallyCalls",
    "InlineClosureLikes",
    "InlineInlinables",
    "InlineOverloads",
    "LiteralPropagationSubPipelinePass",
    "LiteralUnroll",
    "MakeFunctionToJitFunction",
    "NoPythonSupportedFeatureValidation",
    "NopythonRewrites",
    "RewriteDynamicRaises",
    "WithLifting",
}


# --- Types ----------------------------------------------------------------------------


class _Remembering:
    """A typing context that remembers what Python's operators and functions return for numbers.

    To a part of a kernel, an integer that is written where it is called is like any other.
    """

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, arguments: Any, named: Any) -> Any:
        """The signature of a call."""
        if isinstance(function, types.Dispatcher):
            arguments = tuple(map(_any_integer, arguments))
        key = function, tuple(map(types.unliteral, arguments))
        if named or not _is_known(*key):
            return self._context.resolve_function_type(function, arguments, named)
        if key not in _signatures:
            _signatures[key] = self._context.resolve_function_type(*key, named)
        return _signatures[key]


_signatures: dict[Any, Any] = {}


def _any_integer(kind: Any) -> Any:
    """The type of an integer that is known, or any other type."""
    return types.unliteral(kind) if isinstance(kind, types.IntegerLiteral) else kind


def _is_known(function: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether what such a call returns depends on nothing but types, not on literals."""
    named = getattr(function, "typing_key", function)
    python = getattr(named, "__module__", None) in {"_operator", "builtins"}
    return python and all(isinstance(each, types.Number | types.Boolean) for each in arguments)


@register_pass(mutates_CFG=False, analysis_only=False)
class _Typing(NopythonTypeInference):  # type: ignore[misc]
    """Typing with a memory."""

    _name = "fastsoftmax_typing"

    def run_pass(self, state: Any) -> bool:
        """Type the function."""
        context = state.typingctx
        state.typingctx = _Remembering(context)
        try:
            return bool(super().run_pass(state))
        finally:
            state.typingctx = context


# --- Lowering -------------------------------------------------------------------------


@register_pass(mutates_CFG=True, analysis_only=False)
class _DeviceLowering(NativeLowering):  # type: ignore[misc]
    """Lowering without machine code."""

    _name = "fastsoftmax_device_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower the function into a library that is there to be linked into others."""
        library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        library.enable_object_caching()
        library._optimize_final_module = _nothing
        library._finalize_final_module = lambda: _finalize(library)
        state.library = library
        state.targetctx.get_executable = _placeholder
        try:
            return bool(super().run_pass(state))
        finally:
            del state.targetctx.get_executable


def _nothing() -> None:
    pass


def _finalize(library: Any) -> None:
    """`CodeLibrary._finalize_final_module` without the engine that makes machine code."""
    library._finalize_dynamic_globals()
    library._final_module.__library = weakref.proxy(library)
    library._finalized = True


def _placeholder(library: Any, fndesc: Any, env: Any) -> Any:
    """Something callable that stands for a function; nobody calls it."""
    library._ensure_finalized()
    name = fndesc.qualname.split(".")[-1]
    return _dynfunc.make_function(
        fndesc.lookup_module(), name, "a part of kernels", 0, env, (library,)
    )
