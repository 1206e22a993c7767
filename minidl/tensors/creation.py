"""Functions that make tensors: from data, filled with one number, in steps."""

import math
from collections.abc import Sequence

import numpy as np

from . import dtypes
from .arguments import expect_memory, expect_tensors, numbers_of, size_of
from .complex import ComplexTensor
from .record import number_array, remedy_for, wrap
from .tensor import Tensor

__all__ = [
    "arange",
    "as_tensor",
    "e",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "inf",
    "is_tensor",
    "linspace",
    "logspace",
    "nan",
    "numel",
    "ones",
    "ones_like",
    "pi",
    "tensor",
    "zeros",
    "zeros_like",
]


def tensor(data, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """A tensor with a copy of the data: a number, nested lists, an ndarray, a Tensor, or an array of another library.

    Floating-point numbers become float32, integers int64, as in PyTorch; an array keeps its dtype.

    >>> tensor([1.0, 2.0])
    tensor([1., 2.])
    >>> tensor([[1, 2], [3, 4]]).dtype
    dtype('int64')
    """
    _on_cpu(device)
    if isinstance(data, (Tensor, ComplexTensor)):
        array = data.array
    elif isinstance(data, (np.ndarray, np.generic)):
        array = data
    else:
        try:
            array = np.asarray(_plain(data))
        except ValueError as error:
            raise ValueError(f"tensor: the nested lists are ragged: {error}") from None
        except RecursionError:
            raise ValueError("tensor: the lists are nested too deep, or hold themselves") from None
        if dtype is None and array.dtype.kind == "f" and not _holds_doubles(data):
            dtype = dtypes.default
    if array.dtype.kind == "c":
        return _complex(array, data, dtype, requires_grad)
    if array.dtype.kind not in "fiub" and not isinstance(data, (np.ndarray, np.generic)):
        got = f"{data!r}" if data is None or isinstance(data, str) else type(data).__name__ + remedy_for(data)
        if got.endswith("minidl.tensor(x)"):  # a list, of other things
            got = f"a {type(data).__name__} with something else in it"
        raise TypeError(f"tensor: expected a number, numbers in nested lists, or an ndarray, got {got}")
    if dtype is None or array.dtype.kind not in "fiub":  # what holds no numbers is refused: NumPy would make None NaN, "1" 1
        dtype = array.dtype
    dtype = dtypes.as_dtype(dtype)
    if dtype == array.dtype:
        return made(np.array(array, dtype, order="C"), None, requires_grad)
    if dtype.kind in "iu" and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"tensor: NaN and infinity do not fit in {dtype}")
    with np.errstate(over="ignore", invalid="ignore"):  # 1e308 is infinite in float32, of which NumPy would warn
        return made(np.array(array, dtype, order="C"), None, requires_grad)


def _complex(array, data, dtype, requires_grad):
    """What holds complex numbers: Python's become complex64, or complex128 if float64 is the default."""
    if dtype is None:
        kept = array.dtype if isinstance(data, (np.ndarray, np.generic, ComplexTensor)) else None
        dtype = kept or np.result_type(dtypes.default, np.complex64)
    if dtype not in (np.complex64, np.complex128):
        raise TypeError(f"tensor: complex numbers do not fit in {dtype}; take .real, or write dtype=minidl.complex64")
    if requires_grad:
        raise RuntimeError("tensor: complex tensors have no gradients; keep two real tensors")
    return ComplexTensor(np.array(array, dtype, order="C"))


def as_tensor(data, dtype=None, device=None) -> Tensor:
    """The data as a tensor, sharing its memory where it is a Tensor, an ndarray or another library's array of that dtype.

    >>> a = np.zeros(2)
    >>> as_tensor(a)[0] = 1.0
    >>> a
    array([1., 0.])
    """
    _on_cpu(device)
    if isinstance(data, Tensor):
        result = data
    elif isinstance(data, np.ndarray):
        result = from_numpy(data)
    else:
        result = from_dlpack(data) if hasattr(data, "__dlpack__") and not isinstance(data, np.generic) else tensor(data)
        if isinstance(result, ComplexTensor):
            raise TypeError("as_tensor: expected real numbers, got complex ones; minidl.tensor takes them, or write x.real")
    return result if dtype is None else result.to(dtype)


def from_numpy(ndarray) -> Tensor:
    """A tensor that shares the memory of an ndarray: writing to one writes to the other.

    >>> a = np.zeros(2)
    >>> t = from_numpy(a)
    >>> t[0] = 1.0
    >>> a
    array([1., 0.])
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(ndarray).__name__}{remedy_for(ndarray)}")
    dtypes.as_dtype(ndarray.dtype)
    return wrap(np.asarray(ndarray))  # of a matrix, the plain array that it is


def from_dlpack(ext_tensor, *, device=None, copy=None) -> Tensor:
    """A tensor that shares the memory of another library's: of PyTorch, JAX, NumPy, of whatever has `__dlpack__`.

    ext_tensor: such an array on the CPU, or a capsule of DLPack's. copy: None shares where it can, True copies, False raises
    instead of copying. Memory that the other library calls read-only (JAX's) stays so. TypeError for what has no `__dlpack__`,
    and for dtypes that minidl has not.

    >>> a = np.zeros(2)
    >>> from_dlpack(a)[0] = 1.0
    >>> a
    array([1., 0.])
    """
    _on_cpu(device)
    if copy not in (None, True, False):
        raise TypeError(f"from_dlpack: copy must be None, True or False, got {copy!r}")
    kind = f"{type(ext_tensor).__module__}.{type(ext_tensor).__name__}"
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = _Capsule(ext_tensor)
    if not hasattr(ext_tensor, "__dlpack__") or not hasattr(ext_tensor, "__dlpack_device__"):
        raise TypeError(f"from_dlpack: expected an array that has __dlpack__, got {kind}; of numbers, use minidl.tensor")
    if ext_tensor.__dlpack_device__()[0] != 1:  # kDLCPU
        raise RuntimeError(f"from_dlpack: expected memory of the CPU, got {kind} on another device; use .cpu()")
    if isinstance(ext_tensor, np.ndarray):  # NumPy's own exporter refuses what it could share
        return wrap(np.array(ext_tensor, copy=copy)) if copy else from_numpy(ext_tensor)
    try:
        array = np.from_dlpack(ext_tensor, copy=copy)
    except RuntimeError as error:  # of bfloat16, say
        raise TypeError(f"from_dlpack: NumPy cannot take {kind} of {getattr(ext_tensor, 'dtype', '?')}: {error}") from None
    dtypes.as_dtype(array.dtype)
    return wrap(array)


class _Capsule:
    """What PyTorch's to_dlpack makes, as an array that hands it out."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **options):
        return self.capsule

    def __dlpack_device__(self):
        return 1, 0


def zeros(*sizes: int | Sequence[int], size=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """All 0: zeros(2, 3), zeros((2, 3)) or zeros(size=(2, 3)).

    >>> zeros(2, dtype=dtypes.int64)
    tensor([0, 0])
    """
    return made(np.zeros(size_of("zeros", sizes, size), dtype_or_default(dtype)), device, requires_grad)


def ones(*sizes: int | Sequence[int], size=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """All 1: ones(2, 3), ones((2, 3)) or ones(size=(2, 3)).

    >>> import minidl
    >>> minidl.ones(2, 3)
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    return made(np.ones(size_of("ones", sizes, size), dtype_or_default(dtype)), device, requires_grad)


def empty(*sizes: int | Sequence[int], size=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """A tensor with any values: whatever was in the memory. For tensors that are written to before they are read.

    >>> import minidl
    >>> minidl.empty(2, 3).shape
    (2, 3)
    """
    return made(np.empty(size_of("empty", sizes, size), dtype_or_default(dtype)), device, requires_grad)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """All one number, whose type decides the dtype.

    >>> full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])
    """
    (fill_value,) = numbers_of("full", fill_value=fill_value)
    if dtype is None:
        dtype = dtypes.default if type(fill_value) is float else tensor(fill_value).dtype
    dtype = dtypes.as_dtype(dtype)
    return made(np.full(size_of("full", (size,)), number_array("full", fill_value, dtype), dtype), device, requires_grad)


def zeros_like(input, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """As zeros, with the shape and dtype of a tensor.

    >>> import minidl
    >>> minidl.zeros_like(minidl.tensor([1, 2]))
    tensor([0, 0])
    """
    expect_tensors("zeros_like", input=input)
    return zeros(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def ones_like(input, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """As ones, with the shape and dtype of a tensor.

    >>> import minidl
    >>> minidl.ones_like(minidl.tensor([[1.0, 2.0]]))
    tensor([[1., 1.]])
    """
    expect_tensors("ones_like", input=input)
    return ones(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def empty_like(input, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """As empty, with the shape and dtype of a tensor.

    >>> import minidl
    >>> minidl.empty_like(minidl.tensor([[1, 2]])).shape
    (1, 2)
    """
    expect_tensors("empty_like", input=input)
    return empty(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def full_like(input, fill_value, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """As full, with the shape and dtype of a tensor.

    >>> import minidl
    >>> minidl.full_like(minidl.tensor([1.0, 2.0]), 7)
    tensor([7., 7.])
    """
    expect_tensors("full_like", input=input)
    return full(input.shape, fill_value, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """The identity matrix, (n, n): 1 where i = j, else 0. With m, of shape (n, m).

    >>> import minidl
    >>> minidl.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    >>> minidl.eye(2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    sizes = size_of("eye", (n, n if m is None else m))
    return made(np.eye(*sizes, dtype=dtype_or_default(dtype)), device, requires_grad)


def arange(start, end=None, step: float = 1, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """start, start + step, … below end; arange(end) starts at 0. Integers give int64, other numbers float32.

    >>> arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    start, end = (0, start) if end is None else (start, end)
    start, end, step = numbers_of("arange", start=start, end=end, step=step)
    if not math.isfinite(start + end + step) or step == 0 or (end - start) * step < 0:
        remedy = f"; write arange({start}, {end}, -1)" if step == 1 and end < start else ""
        raise ValueError(f"arange: step {step} does not lead from {start} to {end}{remedy}")
    whole = all(isinstance(x, int) for x in (start, end, step))
    dtype = (dtypes.int64 if whole else dtypes.default) if dtype is None else dtypes.as_dtype(dtype)
    count = math.ceil((end - start) / step)
    expect_memory("arange", (count,), dtype, 8 * count)
    if whole:
        array = np.arange(start, end, step)
    else:
        array = np.arange(count, dtype=np.float64)
        array *= step  # in float64, so that the steps do not add up their errors
        array += start
    return made(_cast(array, dtype), device, requires_grad)


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """`steps` numbers from start to end, both included.

    >>> linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    return made(_cast(_spaced("linspace", start, end, steps), dtype_or_default(dtype)), device, requires_grad)


def logspace(start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """base^start … base^end: `steps` numbers whose logarithms are equally spaced.

    >>> import minidl
    >>> minidl.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    >>> minidl.logspace(0, 3, 4, base=2)
    tensor([1., 2., 4., 8.])
    """
    (base,) = numbers_of("logspace", base=base)
    with np.errstate(all="ignore"):
        powers = float(base) ** _spaced("logspace", start, end, steps)
    return made(_cast(powers, dtype_or_default(dtype)), device, requires_grad)


def is_tensor(obj):
    """Whether it is a Tensor.

    >>> import minidl
    >>> minidl.is_tensor(minidl.ones(2)), minidl.is_tensor([1.0, 1.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


def numel(input):
    """How many elements.

    >>> import minidl
    >>> minidl.numel(minidl.zeros(2, 3))
    6
    """
    expect_tensors("numel", input=input)
    return input.numel()


pi, e, inf, nan = np.pi, np.e, np.inf, np.nan


# --- helpers


def _spaced(name, start, end, steps):
    start, end = numbers_of(name, start=start, end=end)
    (steps,) = size_of(name, (steps,))
    expect_memory(name, (steps,), dtypes.float64, 16 * steps)
    with np.errstate(all="ignore"):
        return np.linspace(start, end, steps)


def _cast(array, dtype):
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(dtype, copy=False)


def _on_cpu(device):
    if device is not None:
        dtypes.device(device)


def dtype_or_default(dtype):
    return dtypes.default if dtype is None else dtypes.as_dtype(dtype)


def made(array, device, requires_grad):
    _on_cpu(device)
    if requires_grad is False:
        return wrap(array)
    if requires_grad is not True:
        raise TypeError(f"requires_grad must be True or False, got {requires_grad!r}")
    return wrap(array).requires_grad_()


def _holds_doubles(data):
    """Whether nested lists hold a float64 of a library's: unlike Python's numbers, it says which precision it wants."""
    if isinstance(data, (list, tuple)):
        return any(_holds_doubles(x) for x in data)
    if type(data) in (float, int):
        return False
    if isinstance(data, (np.ndarray, np.generic, Tensor)):
        return data.dtype == np.float64
    return hasattr(data, "__array__") and np.asarray(data).dtype == np.float64  # a Series of pandas, a tensor of PyTorch


def _plain(data):
    """Nested lists with the tensors in them replaced by lists, and those of one element, as in PyTorch, by numbers."""
    if isinstance(data, Tensor):
        return data.item() if data.numel() == 1 else data.tolist()
    if isinstance(data, (list, tuple)) and any(isinstance(x, (list, tuple, Tensor)) for x in data):
        return [_plain(x) for x in data]
    return data
