"""Numba's way from a kernel to machine code, without what a kernel does not need. jit.py gives it to Numba."""

import functools
import operator
from types import BuiltinFunctionType

from llvmlite.binding import create_new_function_pass_manager
from llvmlite.ir import PointerType
from numba import types
from numba.core import compiler, ir, lowering, typed_passes, typing, untyped_passes
from numba.core.compiler_machinery import register_pass
from numba.core.rewrites.static_getitem import RewriteConstGetitems, RewriteConstSetitems
from numba.core.transforms import canonicalize_cfg
from numba.extending import intrinsic


def _choice(compare):
    """min or max of two numbers, as Python's: the second one if it compares so with the first. It is two instructions."""

    def choose(typing_context, a, b):
        kind = typing_context.unify_types(types.unliteral(a), types.unliteral(b))

        def codegen(context, builder, sig, arguments):
            a, b = (context.cast(builder, x, given, kind) for x, given in zip(arguments, sig.args, strict=True))
            second = context.get_function(compare, typing.signature(types.boolean, kind, kind))(builder, (b, a))
            return builder.select(second, b, a)

        return kind(a, b), codegen

    return intrinsic(choose)


# What a kernel calls instead: Numba compiles its own as functions, anew for kernels with other options.
_INSTEAD = {min: _choice(operator.lt), max: _choice(operator.gt)}


def apart(function):
    """Tells LLVM that the arrays of this kernel, which other kernels call, never overlap. It goes below @jit.

    Without it, a loop that reads one array and writes to another checks how far apart they lie, and uses vectors only if that
    is far enough. If the loop also adds up, in free order, its result then depends on the addresses.
    """
    function.apart = True
    return function


class _Lower(lowering.Lower):
    """Writes LLVM's code, and before it what the kernel `begins` with.

    `memory` says how to give back what arrays.py has asked for; that is done before each `return`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.context.memory, self._ends = [], []

    def pre_lower(self):
        super().pre_lower()
        if self.metadata.get("apart"):
            for argument in self.context.call_conv.get_arguments(self.function):
                if isinstance(argument.type, PointerType):
                    argument.add_attribute("noalias")
        if self.metadata.get("begins"):
            self.metadata["begins"](self.context, self.builder, self.function)

    def lower_inst(self, inst):
        super().lower_inst(inst)
        if isinstance(inst, ir.Return):
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


@register_pass(mutates_CFG=True, analysis_only=False)
class _Prepare(untyped_passes.GenericRewrites):
    """Of all that Numba would look for, what kernels have: constants as indices; and two functions get other code."""

    _name = "minidl_prepare"

    def run_pass(self, state):
        code = state.func_ir
        code.blocks = canonicalize_cfg(code.blocks)
        for place, block in code.blocks.items():
            for line in block.find_insts(ir.Assign):
                if isinstance(line.value, ir.Global) and isinstance(line.value.value, BuiltinFunctionType):
                    line.value.value = _INSTEAD.get(line.value.value, line.value.value)
            for rewrite in RewriteConstGetitems(state), RewriteConstSetitems(state):
                if rewrite.match(code, block, None, None):
                    code.blocks[place] = block = rewrite.apply()
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _NoPhis(typed_passes.PreLowerStripPhis):
    """Numba's would then search for the lines where each variable is used."""

    _name = "minidl_no_phis"

    def run_pass(self, state):
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        return True


class _Steps(compiler.PassManager):
    """Numba's also tells listeners of each step, looks whether it has left the code in order, and measures its time."""

    def _runPass(self, index, step, state):
        step.analysis = self._analysis
        step.run_pass(state)


class _Flags(compiler.Flags):
    """The options of a compilation. Numba compares all their values at each call in the code, and reads them one by one."""

    __slots__ = ()
    _DEFAULTS = {name: option.default for name, option in compiler.Flags.options.items()}

    def values(self):
        return {**self._DEFAULTS, **self._values}


class Kernel(compiler.Compiler):
    """Compiles a kernel as Numba does, without steps that would leave it as it is, but first look through all of it."""

    def define_pipelines(self):
        (steps,) = super().define_pipelines()
        if self.state.flags.auto_parallel.enabled:
            return [steps]
        kept = _Steps(steps.pipeline_name)
        idle, ours = (_IDLE, _OURS) if self.state.flags.nrt else (_IDLE | _IDLE_UNCOUNTED, _OURS | _OURS_UNCOUNTED)
        for step, text in steps.passes:
            if step not in idle and (step, text) not in kept.passes:  # dead branches are looked for once instead of three times
                kept.passes.append((ours.get(step, step), text))
        kept.finalize()
        return [kept]

    def compile_extra(self, function):
        self.state.flags = _Flags(self.state.flags)
        self.state.library = self.library(function)
        self.state.metadata["begins"] = self.begins(function)
        self.state.metadata["apart"] = getattr(function, "apart", False)
        return super().compile_extra(function)

    def begins(self, function):
        """What writes the code that comes before all else, a function of Numba's context, LLVM's builder and function."""
        return getattr(function, "begins", None)

    def library(self, function):
        """Where LLVM's code goes."""
        library = self.state.targetctx.codegen().create_library(function.__qualname__)
        library.enable_object_caching()
        library.add_ir_module = functools.partial(_add, library)
        if not self.state.flags.nrt:  # the steps that are left out find references whose counts cancel
            library._optimize_functions = functools.partial(_simplify, library)
            library._optimize_final_module = functools.partial(_optimize, library)
        return library


def _add(library, module):
    """Adds LLVM's code as text, and takes its objects apart: Python's search for garbage would take long to see they can go."""
    type(library).add_ir_module(library, module)
    for function in module.functions:
        for block in function.blocks:
            block.instructions.clear()
            block.terminator = None
        function.blocks.clear()
    module.globals.clear()


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
    typed_passes.AnnotateTypes,
}
_OURS = {
    untyped_passes.GenericRewrites: _Prepare,
    typed_passes.NopythonTypeInference: _Types,
    typed_passes.NativeLowering: _Lowering,
}
# Where no reference is counted, nobody asks where it ends. Nor can `+` make a new array, which Numba would look for.
_IDLE_UNCOUNTED = {untyped_passes.IRProcessing, typed_passes.NopythonRewrites, typed_passes.IRLegalization}
_OURS_UNCOUNTED = {typed_passes.PreLowerStripPhis: _NoPhis}


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

    def begins(self, function):
        return None

    def compile_extra(self, function):
        self.state.flags.no_compile = True
        result = super().compile_extra(function)
        # Numba finds the code by a function in C, which it would call from Python: any one that is no other kernel's.
        result = result._replace(entry_point=[].append)
        self.state.targetctx.insert_user_function(result.entry_point, result.fndesc, [result.library])
        return result


KERNEL = {"pipeline_class": Kernel, "no_cfunc_wrapper": True}
WITHIN = {"pipeline_class": Within, "no_cfunc_wrapper": True, "no_cpython_wrapper": True}
