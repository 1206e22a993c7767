"""Functions of the top level, with PyTorch's names: those that make tensors, and those of several tensors."""

import math
import operator

import numpy as np

from . import dtypes, random
from . import ops as _ops
from .tensor import Tensor, apply, cat, matmul, stack, where, wrap

__all__ = [
    "arange",
    "as_tensor",
    "bernoulli",
    "bincount",
    "cat",
    "concat",
    "concatenate",
    "e",
    "einsum",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "hstack",
    "inf",
    "is_tensor",
    "isin",
    "linspace",
    "logspace",
    "matmul",
    "meshgrid",
    "multinomial",
    "nan",
    "normal",
    "numel",
    "ones",
    "ones_like",
    "pi",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "stack",
    "tensor",
    "unique",
    "vstack",
    "where",
    "zeros",
    "zeros_like",
]

# --- making tensors


def tensor(data, *, dtype=None, device=None, requires_grad=False):
    """A tensor with a copy of the data: a number, nested lists, an ndarray or a Tensor.

    Floating-point numbers become float32, integers int64, as in PyTorch; an ndarray keeps its dtype.

    >>> tensor([1.0, 2.0])
    tensor([1., 2.])
    >>> tensor([[1, 2], [3, 4]]).dtype
    dtype('int64')
    """
    _on_cpu(device)
    if isinstance(data, Tensor):
        array = data.array
    elif isinstance(data, (np.ndarray, np.generic)):
        array = data
    else:
        try:
            array = np.asarray(_plain(data))
        except ValueError as error:
            raise ValueError(f"tensor: the nested lists are ragged: {error}") from None
        if dtype is None and array.dtype.kind == "f" and not _holds_doubles(data):
            dtype = dtypes.float32
    if dtype is None or array.dtype.kind not in "fiub":  # what holds no numbers is refused: NumPy would make None NaN, "1" 1
        dtype = array.dtype
    dtype = dtypes.as_dtype(dtype)
    return _made(np.array(array, dtype, order="C"), None, requires_grad)


def as_tensor(data, dtype=None, device=None):
    """The data as a tensor, sharing its memory where it is a Tensor or an ndarray of that dtype.

    >>> a = np.zeros(2)
    >>> as_tensor(a)[0] = 1.0
    >>> a
    array([1., 0.])
    """
    _on_cpu(device)
    result = data if isinstance(data, Tensor) else from_numpy(data) if isinstance(data, np.ndarray) else tensor(data)
    return result if dtype is None else result.to(dtype)


def from_numpy(ndarray):
    """A tensor that shares the memory of an ndarray: writing to one writes to the other.

    >>> a = np.zeros(2)
    >>> t = from_numpy(a)
    >>> t[0] = 1.0
    >>> a
    array([1., 0.])
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(ndarray).__name__}")
    dtypes.as_dtype(ndarray.dtype)
    return wrap(np.asarray(ndarray))  # of a matrix, the plain array that it is


def zeros(*sizes, size=None, dtype=None, device=None, requires_grad=False):
    """All 0: zeros(2, 3), zeros((2, 3)) or zeros(size=(2, 3)).

    >>> zeros(2, dtype=dtypes.int64)
    tensor([0, 0])
    """
    return _made(np.zeros(_size("zeros", sizes, size), _dtype(dtype)), device, requires_grad)


def ones(*sizes, size=None, dtype=None, device=None, requires_grad=False):
    """All 1: ones(2, 3), ones((2, 3)) or ones(size=(2, 3))."""
    return _made(np.ones(_size("ones", sizes, size), _dtype(dtype)), device, requires_grad)


def empty(*sizes, size=None, dtype=None, device=None, requires_grad=False):
    """Whatever the memory holds."""
    return _made(np.empty(_size("empty", sizes, size), _dtype(dtype)), device, requires_grad)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """All one number, whose type decides the dtype.

    >>> full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])
    """
    (fill_value,) = _numbers("full", fill_value=fill_value)
    dtype = tensor(fill_value).dtype if dtype is None else dtypes.as_dtype(dtype)
    return _made(np.full(_size("full", (size,)), fill_value, dtype), device, requires_grad)


def zeros_like(input, *, dtype=None, device=None, requires_grad=False):
    """As zeros, with the shape and dtype of a tensor."""
    expect_tensors("zeros_like", input=input)
    return zeros(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def ones_like(input, *, dtype=None, device=None, requires_grad=False):
    """As ones, with the shape and dtype of a tensor."""
    expect_tensors("ones_like", input=input)
    return ones(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def empty_like(input, *, dtype=None, device=None, requires_grad=False):
    """As empty, with the shape and dtype of a tensor."""
    expect_tensors("empty_like", input=input)
    return empty(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def full_like(input, fill_value, *, dtype=None, device=None, requires_grad=False):
    """As full, with the shape and dtype of a tensor."""
    expect_tensors("full_like", input=input)
    return full(input.shape, fill_value, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False):
    """The identity matrix; with m, the first m of its columns (n by m)."""
    sizes = _size("eye", (n, n if m is None else m))
    return _made(np.eye(*sizes, dtype=_dtype(dtype)), device, requires_grad)


def arange(start, end=None, step=1, *, dtype=None, device=None, requires_grad=False):
    """start, start + step, … below end; arange(end) starts at 0. Integers give int64, other numbers float32.

    >>> arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    start, end = (0, start) if end is None else (start, end)
    start, end, step = _numbers("arange", start=start, end=end, step=step)
    if not math.isfinite(start + end + step) or step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: step {step} does not lead from {start} to {end}")
    whole = all(isinstance(x, int) for x in (start, end, step))
    dtype = (dtypes.int64 if whole else dtypes.float32) if dtype is None else dtypes.as_dtype(dtype)
    count = math.ceil((end - start) / step)
    expect_room("arange", (count,), dtype, 8 * count)
    if whole:
        array = np.arange(start, end, step)
    else:
        array = np.arange(count, dtype=np.float64)
        array *= step  # in float64, so that the steps do not add up their errors
        array += start
    return _made(array.astype(dtype, copy=False), device, requires_grad)


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False):
    """`steps` numbers from start to end, both included.

    >>> linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    return _made(_spaced("linspace", start, end, steps).astype(_dtype(dtype)), device, requires_grad)


def logspace(start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False):
    """base to the powers linspace(start, end, steps)."""
    (base,) = _numbers("logspace", base=base)
    return _made((base ** _spaced("logspace", start, end, steps)).astype(_dtype(dtype)), device, requires_grad)


# --- random tensors: the same numbers as PyTorch's for the same seed


def rand(*sizes, size=None, generator=None, dtype=None, device=None, requires_grad=False):
    """Uniform on [0, 1)."""
    return _made(random.source(generator).rand(_size("rand", sizes, size), _dtype(dtype)), device, requires_grad)


def randn(*sizes, size=None, generator=None, dtype=None, device=None, requires_grad=False):
    """From the normal distribution with mean 0 and standard deviation 1."""
    return _made(random.source(generator).normal(_size("randn", sizes, size), _dtype(dtype)), device, requires_grad)


def normal(mean, std=1.0, size=None, *, generator=None, dtype=None, device=None, requires_grad=False):
    """From the normal distribution: normal(mean, std, size), or elementwise where mean or std is a tensor."""
    source = random.source(generator)
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        if size is not None:
            raise TypeError("normal: size goes with numbers; tensors say their own")
        mean, std = (
            x.array if isinstance(x, Tensor) else np.float32(*_numbers("normal", **{what: x}))
            for what, x in (("mean", mean), ("std", std))
        )
        if mean.dtype.kind != "f" or std.dtype.kind != "f":
            raise TypeError(f"normal: expected floating-point mean and std, got {mean.dtype} and {std.dtype}")
        if not np.all(std >= 0):
            raise ValueError(f"normal: std must be at least 0, got {np.min(std)}")
        try:
            shape = np.broadcast_shapes(mean.shape, std.shape)
        except ValueError:
            raise ValueError(f"normal: shapes {mean.shape} and {std.shape} do not broadcast") from None
        kind = np.result_type(mean, std)
        return wrap(np.asarray(source.normal(shape, kind) * std + mean, kind))
    if size is None:
        raise TypeError("normal: expected size=(...)")
    return _made(source.normal(_size("normal", (size,)), _dtype(dtype), mean, std), device, requires_grad)


def randint(low=0, high=None, size=None, *, generator=None, dtype=None, device=None):
    """Integers in [low, high): randint(low, high, size) or randint(high, size)."""
    if size is None:
        high, size = None, high
    if high is None:
        low, high = 0, low
    dtype = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    return _made(random.source(generator).randint(low, high, _size("randint", (size,)), dtype), device, False)


def randperm(n, *, generator=None, dtype=None, device=None):
    """The integers 0 to n − 1 in random order."""
    order = random.source(generator).randperm(n)
    return _made(order if dtype is None else order.astype(dtypes.as_dtype(dtype)), device, False)


def bernoulli(input, p=None, *, generator=None):
    """1 with the probability that the input gives for each element (or p for all), else 0."""
    expect_tensors("bernoulli", input=input)
    chance = input.array if p is None else p
    return wrap(random.source(generator).bernoulli(input.shape, chance, input.dtype))


def multinomial(input, num_samples, replacement=False, *, generator=None):
    """num_samples indices drawn with the weights in each row: (k) → (num_samples), (n, k) → (n, num_samples)."""
    expect_tensors("multinomial", input=input)
    return wrap(random.source(generator).multinomial(input.array, num_samples, replacement))


def rand_like(input, *, generator=None, dtype=None, device=None, requires_grad=False):
    """As rand, with the shape and dtype of a tensor."""
    expect_tensors("rand_like", input=input)
    options = {"dtype": dtype or input.dtype, "device": device, "requires_grad": requires_grad}
    return rand(input.shape, generator=generator, **options)


def randn_like(input, *, generator=None, dtype=None, device=None, requires_grad=False):
    """As randn, with the shape and dtype of a tensor."""
    expect_tensors("randn_like", input=input)
    options = {"dtype": dtype or input.dtype, "device": device, "requires_grad": requires_grad}
    return randn(input.shape, generator=generator, **options)


# --- several tensors


def vstack(tensors):
    """One above the other; vectors count as rows."""
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in _tensors("vstack", tensors)], 0)


def hstack(tensors):
    """One beside the other: along axis 1, or 0 for vectors."""
    tensors = [x.reshape(1) if not x.ndim else x for x in _tensors("hstack", tensors)]
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


def meshgrid(*tensors, indexing="ij"):
    """The coordinates of a grid: one tensor for each axis, all of the grid's shape.

    >>> rows, columns = meshgrid(arange(2), arange(3))
    >>> rows
    tensor([[0, 0, 0],
            [1, 1, 1]])
    """
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    for i, x in enumerate(_tensors("meshgrid", tensors)):
        if x.ndim > 1:
            raise ValueError(f"meshgrid: expected vectors, argument {i} has shape {x.shape}")
    tensors = [x.reshape(-1) for x in tensors]
    order = list(range(len(tensors)))
    if indexing == "xy" and len(tensors) > 1:
        order[:2] = 1, 0
    shape = [len(tensors[i]) for i in order]
    return tuple(
        x.reshape([-1 if order[k] == i else 1 for k in range(len(order))]).expand(shape) for i, x in enumerate(tensors)
    )


def einsum(equation, *operands):
    """Einstein's summation: "ij,jk->ik" multiplies matrices. Each letter names an axis; what is not on the right is summed.

    >>> einsum("ij,j->i", ones(2, 3), ones(3))
    tensor([3., 3.])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    if not isinstance(equation, str):
        raise TypeError(f"einsum: expected an equation such as 'ij,jk->ik' first, got {type(equation).__name__}")
    if len({x.dtype for x in _tensors("einsum", operands)}) > 1:
        raise TypeError(f"einsum: expected operands of one dtype, got {', '.join(str(x.dtype) for x in operands)}")
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if "." in equation:
        raise NotImplementedError("einsum: '...' is not supported; name every axis")
    if len(terms) != len(operands) or any(len(t) != x.ndim for t, x in zip(terms, operands, strict=False)):
        raise ValueError(f"einsum: {equation!r} does not fit shapes {[x.shape for x in operands]}")
    if any(len(set(t)) < len(t) for t in terms):
        raise NotImplementedError(f"einsum: an axis named twice in one term is not supported ({equation!r}); use diagonal()")
    if not arrow:
        right = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    sizes = {}
    for term, x in zip(terms, operands, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ValueError(f"einsum: axis {letter!r} has size {sizes[letter]} and {n} in {equation!r}")
    if not set(right) <= set(sizes) or len(set(right)) < len(right):
        raise ValueError(f"einsum: the right side of {equation!r} must name axes of the left, once each")
    return apply(_ops.Einsum(tuple(terms), right), *operands)


def isin(elements, test_elements):
    """Whether each element is among the test elements: a boolean tensor of the elements' shape."""
    expect_tensors("isin", elements=elements)
    among = test_elements if isinstance(test_elements, Tensor) else tensor(test_elements)
    return wrap(np.isin(elements.array, among.array))


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements, in order; with the indices that rebuild the input, or with their counts."""
    expect_tensors("unique", input=input)
    result = np.unique(input.array, return_inverse=return_inverse, return_counts=return_counts, axis=dim)
    return tuple(wrap(x) for x in result) if isinstance(result, tuple) else wrap(result)


def bincount(input, weights=None, minlength=0):
    """How often each of 0, 1, 2, … occurs in a vector of integers (or the sum of its weights)."""
    expect_tensors("bincount", input=input, **({} if weights is None else {"weights": weights}))
    if input.ndim != 1 or input.dtype.kind not in "iu" or (input.array < 0).any():
        raise ValueError(f"bincount: expected a vector of integers of 0 or more, got {input.dtype}, shape {input.shape}")
    if weights is not None and weights.shape != input.shape:
        raise ValueError(f"bincount: expected weights of the input's shape {input.shape}, got {weights.shape}")
    (minlength,) = _size("bincount", (minlength,))
    counts = np.bincount(input.array, None if weights is None else weights.array, minlength)
    return wrap(counts if weights is None else counts.astype(weights.dtype))


def is_tensor(obj):
    """Whether it is a Tensor."""
    return isinstance(obj, Tensor)


def numel(input):
    """How many elements."""
    expect_tensors("numel", input=input)
    return input.numel()


concat = concatenate = cat
pi, e, inf, nan = np.pi, np.e, np.inf, np.nan


# --- helpers


def expect_tensors(name, **given):
    """Raises for the first argument that is no Tensor."""
    for what, x in given.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected a Tensor as {what}, got {type(x).__name__}")


def expect_room(name, shape, dtype, more=0):
    """Raises, before any work is done, if there is no memory for an array of this shape and `more` bytes beside it."""
    need = math.prod(shape) * dtype.itemsize + more
    try:
        if need > 1 << 24:
            np.empty(need, np.uint8)  # memory that nobody writes to is promised, but not yet taken
    except (MemoryError, OverflowError, ValueError):
        raise MemoryError(f"{name}: no memory for {need / 2**30:.4g} GiB, to make {shape} of {dtype}") from None


def _tensors(name, tensors):
    """The tensors in a list or tuple, as a list."""
    if not isinstance(tensors, (list, tuple)) or not tensors or not all(isinstance(x, Tensor) for x in tensors):
        raise TypeError(f"{name}: expected one or more Tensors, in a list or tuple")
    return list(tensors)


def _numbers(name, **given):
    """The numbers that were given, also as tensors of one element, as Python's."""
    for what, x in given.items():
        x = x.item() if isinstance(x, Tensor) or (isinstance(x, np.ndarray) and x.size == 1) else x
        x = x.item() if isinstance(x, np.generic) else x
        if not isinstance(x, (int, float)):
            raise TypeError(f"{name}: {what} must be a number, got {x!r}")
        yield x


def _spaced(name, start, end, steps):
    start, end = _numbers(name, start=start, end=end)
    (steps,) = _size(name, (steps,))
    expect_room(name, (steps,), dtypes.float64, 16 * steps)
    return np.linspace(start, end, steps)


def _on_cpu(device):
    if device is not None:
        dtypes.device(device)


def _dtype(dtype):
    return dtypes.float32 if dtype is None else dtypes.as_dtype(dtype)


def _made(array, device, requires_grad):
    _on_cpu(device)
    if requires_grad is False:
        return wrap(array)
    if requires_grad is not True:
        raise TypeError(f"requires_grad must be True or False, got {requires_grad!r}")
    return wrap(array).requires_grad_()


def _size(name, sizes, size=None):
    if size is None:
        size = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    elif sizes:
        raise TypeError(f"{name}: give the sizes once, got {sizes} and size={size}")
    size = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    try:
        result = tuple(map(operator.index, size))
    except TypeError:
        result = (-1,)
    if bool in map(type, size) or min(result, default=0) < 0:
        raise ValueError(f"{name}: sizes must be integers of 0 or more, got {size}")
    return result


def _holds_doubles(data):
    """Whether nested lists hold a NumPy float64: unlike Python's numbers, it says which precision it wants."""
    return any(_holds_doubles(x) for x in data) if isinstance(data, (list, tuple)) else type(data) is np.float64


def _plain(data):
    """Nested lists with the tensors in them replaced by numbers and lists."""
    if isinstance(data, Tensor):
        return data.tolist()
    if isinstance(data, (list, tuple)) and any(isinstance(x, (list, tuple, Tensor)) for x in data):
        return [_plain(x) for x in data]
    return data
