"""How parts of kernels are compiled: to LLVM's language only.

Numba makes machine code of every function it compiles, and optimises each with all that it
calls.  A part of a kernel is inlined wherever it is called and never called itself, so this
is work for nothing, for some 40 functions a kernel: without it, compiling takes about half
the time.  A part is typed and lowered, and the optimiser sees the kernel as a whole.
"""

from __future__ import annotations

import weakref
from typing import Any

from numba import _dynfunc
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class DeviceCompiler(CompilerBase):  # type: ignore[misc]  # Numba has no type hints
    """Numba's compiler up to LLVM's language."""

    def define_pipelines(self) -> list[Any]:
        """The usual passes, but for lowering."""
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [
            (_DeviceLowering if each is NativeLowering else each, description)
            for each, description in manager.passes
            if each.__name__ not in _NOT_NEEDED
        ]
        return [manager]


# Passes for what parts of kernels do not have: closures, with-blocks, array expressions,
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
