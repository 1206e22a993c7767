"""What the recorder replaces while it records: functions without a graph, and methods that read a value."""

import sys

from ..nn import utils
from ..nn.module import Module
from ..optim import lr_scheduler
from ..optim.optimizer import Optimizer
from ..tensors.tensor import Tensor

# The result of each depends on its arguments (and on the random stream) only, and has no graph, whatever the arguments are.
_WITHOUT_GRAPH = [
    "__eq__",
    "__ne__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "__invert__",
    "__and__",
    "__or__",
    "__xor__",
    "logical_not",
    "logical_and",
    "logical_or",
    "logical_xor",
    "isnan",
    "isinf",
    "isfinite",
    "all",
    "any",
    "count_nonzero",
    "argmax",
    "argmin",
    "argsort",
    "bincount",
    "new_zeros",
    "new_ones",
    "new_full",
    "isclose",
    "searchsorted",
    "bucketize",
]
_MAKERS = [
    "arange",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
    "rand",
    "randn",
    "randint",
    "randperm",
    "rand_like",
    "randn_like",
    "bernoulli",
    "normal",
    "multinomial",
    "isin",
    "searchsorted",
    "one_hot",
    "tril_indices",
    "triu_indices",
    "dropout_mask",
    "no_state",
    "number_array",
]
CONSTANT = [
    "arange",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
    "no_state",
    "number_array",
]
# These have one, unless their arguments are constants.
_CASTS = ["to", "float", "double", "long", "int", "bool", "type", "floor_divide", "__floordiv__"]


def functions():
    """(where, name, whether the result never has a graph) of each, in every module that has it."""
    found = [(Tensor, name, True) for name in _WITHOUT_GRAPH if hasattr(Tensor, name)]
    found += [(Tensor, name, False) for name in _CASTS]
    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] == "minidl"]:
        own = vars(module)
        found += [(module, name, True) for name in _MAKERS if getattr(own.get(name), "__module__", "").startswith("minidl.")]
    return found


def schedulers():
    """(class, name) of what changes the options of an optimizer from step to step."""
    classes = [x for x in vars(lr_scheduler).values() if isinstance(x, type) and x.__module__ == lr_scheduler.__name__]
    return [(cls, "step") for cls in classes if "step" in vars(cls)]


_READERS = (
    "item tolist numpy __bool__ __float__ __int__ __index__ __array__ __contains__ __complex__ equal allclose unique nonzero"
)
READERS = [(Tensor, name) for name in _READERS.split() if hasattr(Tensor, name)]

# These change the gradients of tensors in place, or forget them.
EFFECTS = [
    *((utils, name) for name in ("clip_grad_norm_", "clip_grad_value_")),
    (Optimizer, "zero_grad"),
    (Module, "zero_grad"),
]
