"""The types of numbers, and which one comes out when two meet: PyTorch's rules, not NumPy's.

A dtype of minidl is an `np.dtype`. So it can be given to NumPy's functions, and NumPy's dtypes to minidl's.
"""

import builtins

import numpy as np

float32, float64 = np.dtype("float32"), np.dtype("float64")
float, double = float32, float64
int64, int32, int16, int8, uint8 = (np.dtype(name) for name in ("int64", "int32", "int16", "int8", "uint8"))
long, int = int64, int32
bool = np.dtype("bool")

__all__ = ["bool", "device", "double", "float", "float32", "float64", "int", "int8", "int16", "int32", "int64", "long", "uint8"]

SUPPORTED = (float32, float64, int64, int32, int16, int8, uint8, bool)
_CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2}


class device:
    """Where a tensor lives. Only "cpu" exists; anything else raises.

    >>> device("cpu")
    device(type='cpu')
    """

    type, index = "cpu", None

    def __init__(self, type="cpu"):
        if str(type) != "cpu":
            raise RuntimeError(f"device: only 'cpu' exists in minidl, got {type!r}")

    def __repr__(self):
        return "device(type='cpu')"

    def __str__(self):
        return "cpu"

    def __eq__(self, other):
        return isinstance(other, device)

    def __hash__(self):
        return hash("cpu")


def as_dtype(dtype):
    """What the user means by `dtype`, as one of the supported dtypes; TypeError otherwise."""
    try:
        result = np.dtype(dtype)
    except TypeError:
        result = None
    # np.dtype(None) would be float64, and np.dtype(array) the dtype of the array: both are refused
    if not isinstance(dtype, (np.dtype, type, str)) or result is None or result not in SUPPORTED:
        raise TypeError(f"dtype: minidl has the dtypes {', '.join(d.name for d in SUPPORTED)}; got {dtype!r}")
    if dtype is builtins.float or dtype is builtins.int:  # Python's own types mean PyTorch's defaults
        return float32 if result.kind == "f" else int64
    return result


def is_float(dtype):
    return dtype.kind == "f"


def join(a, b):
    """The dtype of an operation on two tensors of one rank: the higher category wins (bool < integer < float)."""
    if _CATEGORY[a.kind] == _CATEGORY[b.kind]:
        return np.promote_types(a, b)
    return a if _CATEGORY[a.kind] > _CATEGORY[b.kind] else b


def fits(dtype, into):
    """Whether numbers of a dtype may be kept, in place, in a tensor of another: its category must not be higher."""
    return _CATEGORY[dtype.kind] <= _CATEGORY[into.kind]


def result_type(a, b):
    """The dtype of an operation on arrays or Python numbers a and b.

    There are three ranks: arrays with axes, then 0-d arrays, then Python numbers. The operand of the higher rank decides,
    unless the other has a higher category (bool < integer < float). Operands of one rank: see join.

    >>> result_type(np.zeros(3, "int64"), np.zeros(3, "float32")), result_type(np.zeros(3, "float32"), 2.0)
    (dtype('float32'), dtype('float32'))
    """
    (a_rank, a), (b_rank, b) = _rank_and_dtype(a), _rank_and_dtype(b)
    if a_rank == b_rank:
        return join(a, b)
    if a_rank < b_rank:
        a, b = b, a
    return a if _CATEGORY[a.kind] >= _CATEGORY[b.kind] else b


def _rank_and_dtype(x):
    if isinstance(x, np.ndarray):
        return (2 if x.ndim else 1), x.dtype
    return 0, bool if x is True or x is False else int64 if isinstance(x, builtins.int) else float32
