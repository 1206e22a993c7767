"""Names that programs written for PyTorch begin with. They do what is harmless; what cannot be had says what to write instead.

Loaded at the first use of one of them (see `minidl/__init__.py`). Devices have modules of their own: `cuda`, `accelerator`,
`backends`, and `amp` for numbers of 16 bits.
"""

import math

import numpy as np

from .tensors import dtypes, printing
from .tensors.arguments import as_int
from .tensors.creation import as_tensor, zeros
from .tensors.dtypes import OLD_NAMES, as_dtype, device
from .tensors.record import wrap
from .tensors.tensor import Tensor

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "Size",
    "are_deterministic_algorithms_enabled",
    "bfloat16",
    "complex64",
    "complex128",
    "finfo",
    "float16",
    "get_default_device",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "half",
    "iinfo",
    "set_default_device",
    "set_default_dtype",
    "set_default_tensor_type",
    "set_float32_matmul_precision",
    "set_num_interop_threads",
    "use_deterministic_algorithms",
]

# --- dtypes


class _Absent:
    """The name of a dtype that NumPy has not, either: nothing can be made with it."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"minidl.{self.name}"


# Programs have tables of dtypes and take one from them. To make a tensor with one of these raises, and says what there is (but
# minidl.tensor makes complex ones of complex numbers, which know little: see tensors/complex.py).
float16 = half = np.dtype("float16")
bfloat16 = _Absent("bfloat16")
complex64, complex128 = np.dtype("complex64"), np.dtype("complex128")


def get_default_dtype():
    """The dtype of new tensors that are given none.

    >>> get_default_dtype()
    dtype('float32')
    """
    return dtypes.default


def set_default_dtype(d):
    """Makes float32 or float64 the dtype of new tensors that are given none, of new layers, and of what integers become.

    >>> import minidl
    >>> set_default_dtype(minidl.float64)
    >>> minidl.zeros(2).dtype, minidl.nn.Linear(2, 1).weight.dtype
    (dtype('float64'), dtype('float64'))
    >>> set_default_dtype(minidl.float32)
    """
    dtypes.set_default_dtype(d)
    printing.set_default_dtype(dtypes.default)


def set_default_tensor_type(t):
    """set_default_dtype by an old name: FloatTensor or DoubleTensor, or such a name in quotes.

    >>> import minidl
    >>> set_default_tensor_type(minidl.FloatTensor)
    """
    set_default_dtype(dtypes.of_old_name(t) or t)


class finfo:
    """What floating-point numbers of a dtype can hold; of the default dtype if none is given. All as Python floats.

    >>> import minidl
    >>> finfo(minidl.float64).eps, finfo().max
    (2.220446049250313e-16, 3.4028234663852886e+38)
    """

    def __init__(self, type=None):
        dtype = dtypes.default if type is None else as_dtype(type)
        if dtype.kind != "f":
            raise TypeError(f"finfo: expected a floating-point dtype, got {dtype}; for integers use minidl.iinfo")
        info = np.finfo(dtype)
        self.bits, self.dtype = info.bits, dtype.name
        for name in ("eps", "max", "min", "tiny", "smallest_normal", "resolution"):
            setattr(self, name, float(getattr(info, name)))

    def __repr__(self):
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{name}={getattr(self, name):.6g}' for name in names)}, dtype={self.dtype})"


class iinfo:
    """What integers of a dtype can hold.

    >>> import minidl
    >>> iinfo(minidl.int8).min, iinfo(minidl.int8).max
    (-128, 127)
    """

    def __init__(self, type):
        dtype = as_dtype(type)
        if dtype.kind not in "iu":
            raise TypeError(f"iinfo: expected a dtype of integers, got {dtype}; for floating-point numbers use minidl.finfo")
        info = np.iinfo(dtype)
        self.bits, self.min, self.max, self.dtype = info.bits, int(info.min), int(info.max), dtype.name

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


# --- tensors by the names of their types


class _OldType(type):
    """The class of FloatTensor and its kin: called, they make tensors; isinstance asks for the dtype."""

    def __call__(cls, *data, device=None):
        if device is not None:
            dtypes.device(device)
        if not data or (all(type(as_int(n)) is int for n in data) and not isinstance(data[0], Tensor)):
            return zeros(data or (0,), dtype=cls.dtype)
        if len(data) > 1:
            raise TypeError(f"{cls.__name__}: expected sizes, as in {cls.__name__}(2, 3), or one list of numbers, got {data!r}")
        if isinstance(data[0], (float, bool)):
            raise TypeError(f"{cls.__name__}: expected sizes or a list of numbers, got {data[0]!r}; write minidl.tensor(…)")
        given = as_tensor(data[0])
        if isinstance(data[0], Tensor) and given.dtype != cls.dtype:
            raise TypeError(f"{cls.__name__}: expected a tensor of {cls.dtype}, got {given.dtype}; write x.type({cls!r})")
        return wrap(np.array(given.detach().array, cls.dtype))

    def __instancecheck__(cls, x):
        return isinstance(x, Tensor) and x.dtype == cls.dtype

    def __repr__(cls):
        return f"minidl.{cls.__name__}"


def _old_type(name):
    article = "booleans" if name == "BoolTensor" else OLD_NAMES[name].name
    text = (
        f"{name}(2, 3) is zeros of {article}, {name}([1, 2]) a tensor of these. New programs write minidl.tensor(…).\n\n"
        f"    >>> import minidl\n    >>> isinstance(minidl.{name}([1, 0]), minidl.{name})\n    True\n    "
    )
    return _OldType(name, (), {"dtype": OLD_NAMES[name], "__doc__": text, "__module__": __name__})


FloatTensor, DoubleTensor = _old_type("FloatTensor"), _old_type("DoubleTensor")
LongTensor, IntTensor, ShortTensor = _old_type("LongTensor"), _old_type("IntTensor"), _old_type("ShortTensor")
CharTensor, ByteTensor, BoolTensor = _old_type("CharTensor"), _old_type("ByteTensor"), _old_type("BoolTensor")


class _Sizes(type):
    def __instancecheck__(cls, x):
        return isinstance(x, tuple) and all(type(n) is int for n in x)


class Size(tuple, metaclass=_Sizes):
    """A shape that somebody makes: a tuple. Shapes of tensors are plain tuples, which isinstance takes for a Size.

    >>> import minidl
    >>> Size([2, 3]).numel(), Size([2, 3]) == minidl.ones(2, 3).shape, isinstance(minidl.ones(2).shape, Size)
    (6, True, True)
    """

    def __new__(cls, sizes=()):
        sizes = tuple(map(as_int, sizes))
        if not all(type(n) is int for n in sizes):
            raise TypeError(f"Size: expected integers, got {sizes}")
        return super().__new__(cls, sizes)

    def numel(self):
        """How many elements a tensor of this shape has."""
        return math.prod(self)

    def __repr__(self):
        return f"minidl.Size({list(self)})"


# --- settings of a machine and of its libraries: there is one machine, and its results are the same in every run


def get_default_device():
    """The CPU.

    >>> get_default_device()
    device(type='cpu')
    """
    return device("cpu")


def set_default_device(device):
    """Takes "cpu" (or None); any other raises.

    >>> set_default_device("cpu")
    """
    if device is not None:
        dtypes.device(device)


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Changes nothing: all results are the same in every run, whatever the mode.

    >>> use_deterministic_algorithms(True)
    """
    if not isinstance(mode, bool):
        raise TypeError(f"use_deterministic_algorithms: expected True or False, got {mode!r}")


def are_deterministic_algorithms_enabled():
    """True: there are no others.

    >>> are_deterministic_algorithms_enabled()
    True
    """
    return True


def set_float32_matmul_precision(precision):
    """Takes "highest", "high" or "medium"; products of float32 are computed with all its digits in any case.

    >>> set_float32_matmul_precision("high")
    """
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"set_float32_matmul_precision: expected 'highest', 'high' or 'medium', got {precision!r}")


def get_float32_matmul_precision():
    """ "highest": float32 in, all digits of float32 out.

    >>> get_float32_matmul_precision()
    'highest'
    """
    return "highest"


def get_num_interop_threads():
    """1: operations run one after the other; a single one may use several threads (`minidl.get_num_threads`).

    >>> get_num_interop_threads()
    1
    """
    return 1


def set_num_interop_threads(number):
    """Takes a number of 1 or more, and changes nothing: operations run one after the other.

    >>> set_num_interop_threads(4)
    """
    number = as_int(number)
    if type(number) is not int or number < 1:
        raise ValueError(f"set_num_interop_threads: expected an integer of 1 or more, got {number!r}")
