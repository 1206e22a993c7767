"""What the recorder replaces while it records: functions without a graph, and methods that read a value."""

import functools
import sys

from ..graph.watch import repeatables
from ..nn.module import Module
from ..optim import lr_scheduler
from ..optim.optimizer import Optimizer
from ..random import Generator
from ..tensors import creation
from ..tensors.tensor import Tensor

# fmt: off
# The result of each depends on its arguments (and on the random stream) only, and has no graph, whatever the arguments are.
_WITHOUT_GRAPH = [
    "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "eq", "ne", "lt", "le", "gt", "ge", "__invert__", "__and__",
    "__or__", "__xor__", "logical_not", "logical_and", "logical_or", "logical_xor", "isnan", "isinf", "isfinite", "all", "any",
    "count_nonzero", "argmax", "argmin", "argsort", "bincount", "new_zeros", "new_ones", "new_full", "isclose", "searchsorted",
    "bucketize",
]
CONSTANT = [  # the same in each call, if no tensor is among the arguments
    "arange", "eye", "full", "full_like", "linspace", "logspace", "ones", "ones_like", "tensor", "zeros", "zeros_like",
]
_MAKERS = [
    *CONSTANT, "empty_like", "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "bernoulli", "normal",
    "multinomial", "isin", "searchsorted", "bincount", "one_hot", "tril_indices", "triu_indices",
]
# These have one, unless their arguments are constants.
_DRAWS = ["rand", "uniform", "normal", "randint", "integers", "randperm", "bernoulli", "exponential", "multinomial"]
_CASTS = ["to", "float", "double", "long", "int", "bool", "type", "floor_divide", "__floordiv__", "__rfloordiv__"]
# fmt: on


_READERS = [
    *("item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__", "__array__", "__contains__", "__complex__"),
    *("equal", "allclose", "unique", "nonzero", "argwhere", "describe", "__repr__", "__format__", "__dlpack__"),
]
EFFECTS = ["clip_grad_norm_", "clip_grad_value_"]
_FOREIGN = {*sys.stdlib_module_names, "numpy", "numba", "llvmlite"} - {"builtins"}  # packages that know nothing of minidl
_FOREIGN |= {"scipy", "sklearn", "pandas", "matplotlib", "PIL", "torch", "hypothesis", "pytest", "_pytest"}  # large ones


@functools.cache
def _is_foreign(path):
    return path.partition(".")[0] in _FOREIGN


def functions():
    """(where, name, whether the result never has a graph) of each, in every module that has it; then effects, readers, makers.

    Those are (where, name) of what changes gradients of tensors in place, or forgets them, of what reads values, and of what
    makes tensors without numbers.
    """
    found = [(Tensor, name, True) for name in _WITHOUT_GRAPH if hasattr(Tensor, name)]
    found += [(Tensor, name, name in ("long", "int", "bool")) for name in _CASTS]
    found += [(Generator, name, True) for name in _DRAWS]
    effects = [(Optimizer, "zero_grad"), (Module, "zero_grad")]
    readers = [(Tensor, name) for name in _READERS if hasattr(Tensor, name)]
    empties = []
    for module, name, function in _places({*repeatables, *_MAKERS, *EFFECTS, "empty"}):
        if name in EFFECTS:
            effects.append((module, name))
        elif name in _MAKERS or function in repeatables.get(name, ()):
            found.append((module, name, True))
        elif function.__module__ == creation.__name__:
            empties.append((module, name))
    return found, effects, readers, empties


def _places(wanted):
    """(module, name, function) wherever a module, ours or a user's, has a function of minidl's of one of these names.

    All modules are asked at each recording: this was two thirds of its time before foreign ones were left out quickly.
    """
    for path, module in list(sys.modules.items()):
        if _is_foreign(path):
            continue
        own = getattr(module, "__dict__", {})
        if names := own.keys() & wanted:
            for name in sorted(names):
                home = getattr(own.get(name), "__module__", None)
                if isinstance(home, str) and home.startswith("minidl."):
                    yield module, name, own[name]


def is_hooked(module):
    """Whether a module has a hook of the user's. Those of minidl's that compute a weight before forward only compute."""
    before, *others = module._hooks or ({},)
    return any(others) or any(not (hook.__module__ or "").startswith("minidl.") for hook in before.values())


def schedulers():
    """(class, name) of what changes the options of an optimizer from step to step."""
    classes = [x for x in vars(lr_scheduler).values() if isinstance(x, type) and x.__module__ == lr_scheduler.__name__]
    return [(cls, "step") for cls in classes if "step" in vars(cls)]


STREAMS = [(Generator, name) for name in ("manual_seed", "seed", "set_state", "initial_seed", "get_state")]
