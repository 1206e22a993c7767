"""Numba's way from a kernel to machine code, without what a kernel does not need. jit.py gives it to Numba."""

import functools

from llvmlite.binding import create_new_function_pass_manager
from numba import types
from numba.core import compiler, lowering, typed_passes, untyped_passes
from numba.core.compiler_machinery import register_pass
from numba.core.ir import Return


class _Lower(lowering.Lower):
    """Writes LLVM's code. `memory` says how to give back what arrays.py has asked for; that is done before each `return`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.context.memory, self._ends = [], []

    def lower_inst(self, inst):
        super().lower_inst(inst)
        if isinstance(inst, Return):
            self._ends.append(self.builder.block)

    def post_lower(self):
        super().post_lower()
        if self.context.memory and isinstance(self.fndesc.restype, types.Array):
            raise TypeError(f"{self.fndesc.qualname} makes an array with arrays.py, and returns one: its memory would be gone")
        for block in self._ends:
            self.builder.position_before(block.terminator)
            for give_back in self.context.memory:
                give_back(self.builder)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(typed_passes.NativeLowering):
    _name = "minidl_lowering"
    lowering_class = _Lower


@register_pass(mutates_CFG=True, analysis_only=False)
class _Types(typed_passes.NopythonTypeInference):
    """A kernel may return a part of an array that it was given, though it counts no references."""

    _name = "minidl_types"

    def run_pass(self, state):
        context = state.targetctx
        state.targetctx = context.subtarget(enable_nrt=True)
        try:
            return super().run_pass(state)
        finally:
            state.targetctx = context


_OURS = {typed_passes.NativeLowering: _Lowering, typed_passes.NopythonTypeInference: _Types}


class Kernel(compiler.Compiler):
    """Compiles a kernel as Numba does, without steps that would leave it as it is, but first look through all of it."""

    def define_pipelines(self):
        (steps,) = super().define_pipelines()
        if self.state.flags.auto_parallel.enabled:
            return [steps]
        kept = compiler.PassManager(steps.pipeline_name)
        kept.passes.extend((_OURS.get(step, step), text) for step, text in steps.passes if step not in _IDLE)
        kept.finalize()
        return [kept]

    def compile_extra(self, function):
        self.state.library = self.library(function)
        return super().compile_extra(function)

    def library(self, function):
        """Where LLVM's code goes."""
        library = self.state.targetctx.codegen().create_library(function.__qualname__)
        library.enable_object_caching()
        if not (self.state.flags.nrt or self.state.flags.fastmath):  # else a last bit may depend on it
            library._optimize_functions = functools.partial(_simplify, library)
            library._optimize_final_module = functools.partial(_optimize, library)
        return library


def _simplify(library, module):
    """The first few of LLVM's steps. Numba makes all of them here, for each function, and again at the end."""
    module.data_layout = library.codegen._data_layout
    builder, steps = library.codegen._pass_builder(), create_new_function_pass_manager()
    steps.add_sroa_pass()
    steps.add_instruction_combine_pass()
    steps.add_simplify_cfg_pass()
    for function in module.functions:
        if not function.is_declaration:
            steps.run(function, builder)


def _optimize(library):
    """All of LLVM's steps. Numba makes some before, to find references that need no count; they would spoil loops here."""
    steps, builder = library.codegen._module_pass_manager()
    steps.run(library._final_module, builder)


# They are for functions and comprehensions within a kernel, `with`, `raise`, literal_unroll, literally, and inline="always".
_IDLE = {
    untyped_passes.WithLifting,
    untyped_passes.InlineClosureLikes,
    untyped_passes.RewriteDynamicRaises,
    untyped_passes.MakeFunctionToJitFunction,
    untyped_passes.InlineInlinables,
    untyped_passes.FindLiterallyCalls,
    untyped_passes.LiteralUnroll,
    untyped_passes.LiteralPropagationSubPipelinePass,
    typed_passes.InlineOverloads,
    typed_passes.NoPythonSupportedFeatureValidation,
    typed_passes.DumpParforDiagnostics,
}


class Within(Kernel):
    """Compiles a kernel for kernels that call it, up to LLVM's code: it becomes a part of theirs, which is then optimised.

    Numba would optimise it on its own first and make machine code of it, which nobody runs.
    """

    def library(self, function):
        library = super().library(function)
        library._optimize_final_module = lambda: None
        library._finalize_final_module = functools.partial(setattr, library, "_finalized", True)
        library.serialize_using_object_code = library.serialize_using_bitcode
        return library

    def compile_extra(self, function):
        self.state.flags.no_compile = True
        result = super().compile_extra(function)
        # Numba finds the code by a function in C, which it would call from Python: any one that is no other kernel's.
        result = result._replace(entry_point=[].append)
        self.state.targetctx.insert_user_function(result.entry_point, result.fndesc, [result.library])
        return result


KERNEL = {"pipeline_class": Kernel, "no_cfunc_wrapper": True}
WITHIN = {"pipeline_class": Within, "no_cfunc_wrapper": True, "no_cpython_wrapper": True}
