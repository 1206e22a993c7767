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

short = int16
default = float32  # of what is made from Python's floats, or from nothing; set_default_dtype sets it

SUPPORTED = (float32, float64, int64, int32, int16, int8, uint8, bool)
_NARROW = "float16", "half", "bfloat16"
_CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2}


class device:
    """Where a tensor lives. Only "cpu" (or "cpu:0", which is the same place) exists; anything else raises.

    `with device("cpu"):` makes new tensors there, where they are made in any case.

    >>> device("cpu")
    device(type='cpu')
    >>> device("cpu", 0).index
    0
    """

    type, index = "cpu", None

    def __init__(self, type="cpu", index=None):
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        if str(type) not in ("cpu", "cpu:0") or index not in (None, 0):
            got = repr(type) if index is None else f"{type!r}, {index!r}"
            raise RuntimeError(
                f"device: only 'cpu' exists in minidl, got {got}; write minidl.device('cpu'), or for programs that run on "
                "GPUs elsewhere: device = 'cuda' if minidl.cuda.is_available() else 'cpu'"
            )
        if index == 0 or str(type) == "cpu:0":
            self.index = 0

    def __repr__(self):
        return f"device(type='cpu'{'' if self.index is None else ', index=0'})"

    def __str__(self):
        return "cpu" if self.index is None else "cpu:0"

    def __eq__(self, other):
        return isinstance(other, device)

    def __hash__(self):
        return hash("cpu")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class memory_format:
    """How the elements of a tensor lie in memory: `minidl.channels_last` and the others. Values do not depend on it.

    >>> import minidl
    >>> minidl.ones(1, 2, 3, 4).to(memory_format=minidl.channels_last).stride()
    (24, 1, 8, 2)
    """

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"minidl.{self.name}"

    def __reduce__(self):
        return self.name


contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")
channels_last, channels_last_3d = memory_format("channels_last"), memory_format("channels_last_3d")
_CHANNELS_LAST = {"channels_last": (0, 2, 3, 1), "channels_last_3d": (0, 2, 3, 4, 1)}

__all__ = [
    "bool",
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "device",
    "double",
    "float",
    "float32",
    "float64",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "long",
    "memory_format",
    "preserve_format",
    "short",
    "uint8",
]


def set_default_dtype(dtype):
    """The dtype of new tensors without one, and of what is computed from integers: float32 at first, or float64."""
    global default
    dtype = as_dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"set_default_dtype: expected minidl.float32 or minidl.float64, got {dtype}")
    default = dtype


def order_in_memory(name, format, ndim):
    """The axes in the order of memory, for channels_last; None for contiguous_format, which has them in their own."""
    if not isinstance(format, memory_format):
        raise TypeError(f"{name}: memory_format must be minidl.contiguous_format or minidl.channels_last, got {format!r}")
    order = _CHANNELS_LAST.get(format.name)
    if order is not None and len(order) != ndim:
        raise ValueError(f"{name}: memory_format={format!r} is for tensors of {len(order)} axes (N, C, …), got {ndim}")
    return order


def as_dtype(dtype):
    """What the user means by `dtype`, as one of the supported dtypes; TypeError otherwise."""
    try:
        result = np.dtype(dtype)
    except TypeError:
        result = None
    # np.dtype(None) would be float64, and np.dtype(array) the dtype of the array: both are refused
    if not isinstance(dtype, (np.dtype, type, str)) or result is None or result not in SUPPORTED:
        remedy = "; write minidl.float32" if str(dtype).rpartition(".")[2] in _NARROW else ""
        raise TypeError(f"dtype: minidl has the dtypes {', '.join(d.name for d in SUPPORTED)}; got {dtype!r}{remedy}")
    if dtype is builtins.float or dtype is builtins.int:  # Python's own types mean PyTorch's defaults
        return default if result.kind == "f" else int64
    return result


OLD_NAMES = {
    "FloatTensor": float32,
    "DoubleTensor": float64,
    "LongTensor": int64,
    "IntTensor": int32,
    "ShortTensor": int16,
    "CharTensor": int8,
    "ByteTensor": uint8,
    "BoolTensor": bool,
}
NO_GPU = (
    "{}: minidl runs on the CPU only; leave it out, or write .to(device) with device = 'cuda' if minidl.cuda.is_available() "
    "else 'cpu'"
)


def of_old_name(dtype):
    """The dtype that "torch.FloatTensor" or "minidl.FloatTensor" names, or None."""
    if not isinstance(dtype, str):
        return None
    package, _, name = dtype.rpartition(".")
    if package in ("torch.cuda", "minidl.cuda"):
        raise TypeError(f"type: minidl runs on the CPU only, so there is no {dtype}; write minidl.{name}")
    return OLD_NAMES.get(name) if package in ("torch", "minidl") else None


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
    if a is b:
        return a
    if a_rank == b_rank:
        return join(a, b)
    if a_rank < b_rank:
        a, b = b, a
    return a if _CATEGORY[a.kind] >= _CATEGORY[b.kind] else b


def _rank_and_dtype(x):
    if isinstance(x, np.ndarray):
        return (2 if x.ndim else 1), x.dtype
    return 0, bool if x is True or x is False else int64 if isinstance(x, builtins.int) else default
