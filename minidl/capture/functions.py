"""What the recorder replaces while it records: functions without a graph, and methods that read a value."""

import sys

from ..tensors.tensor import Tensor

# The result of each depends on its arguments (and on the random stream) only, and has no graph.
_METHODS = """
    __eq__ __ne__ __lt__ __le__ __gt__ __ge__ eq ne lt le gt ge __invert__ __and__ __or__ __xor__ logical_not logical_and
    logical_or logical_xor isnan isinf isfinite all any count_nonzero argmax argmin argsort bincount floor_divide
    __floordiv__ to float double long int bool type new_zeros new_ones new_full isclose searchsorted bucketize
""".split()
_NAMES = """
    arange empty_like eye full full_like linspace logspace ones ones_like tensor zeros zeros_like rand randn randint randperm
    rand_like randn_like bernoulli normal multinomial isin searchsorted one_hot tril_indices triu_indices dropout_mask
""".split()


def FUNCTIONS():
    """(where, name) of each, in every module that has it."""
    found = [(Tensor, name) for name in _METHODS if hasattr(Tensor, name)]
    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] == "minidl"]:
        own = vars(module)
        found += [(module, name) for name in _NAMES if getattr(own.get(name), "__module__", "").startswith("minidl.")]
    return found


_READERS = "item tolist numpy __bool__ __float__ __int__ __index__ __array__ __contains__ __complex__ equal allclose unique nonzero"
READERS = [(Tensor, name) for name in _READERS.split() if hasattr(Tensor, name)]
