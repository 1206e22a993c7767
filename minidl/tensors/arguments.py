"""Checks of arguments that many functions share: tensors, sizes, integers, memory for a result."""

import math
import operator

import numpy as np

from .record import TensorBase, remedy_for


def expect_tensors(name, **given):
    """Raises for the first argument that is no Tensor."""
    for what, x in given.items():
        if not isinstance(x, TensorBase):
            raise TypeError(f"{name}: expected a Tensor as {what}, got {type(x).__name__}{remedy_for(x)}")


def expect_memory(name, shape, dtype, more=0):
    """Raises, before any work is done, if there is no memory for an array of this shape and `more` bytes beside it."""
    need = math.prod(shape) * dtype.itemsize + more
    try:
        if need > 1 << 24:
            np.empty(need, np.uint8)  # the system reserves it, and gives it only when it is written to
    except (MemoryError, OverflowError, ValueError):
        raise MemoryError(f"{name}: no memory for {need / 2**30:.4g} GiB, to make {shape} of {dtype}") from None


def tensors_of(name, tensors):
    """The tensors in a list or tuple, as a list."""
    if isinstance(tensors, (list, tuple)):
        for x in tensors:
            if not isinstance(x, TensorBase):
                got = type(x).__name__ + remedy_for(x)
                raise TypeError(f"{name}: expected one or more Tensors, in a list or tuple, among them is one {got}")
    if not isinstance(tensors, (list, tuple)) or not tensors:
        got = "none" if isinstance(tensors, (list, tuple)) else f"{type(tensors).__name__}; write {name}([a, b])"
        raise TypeError(f"{name}: expected one or more Tensors, in a list or tuple, got {got}")
    return list(tensors)


def numbers_of(name, **given):
    """The given numbers, or tensors of one element, as Python numbers."""
    for what, x in given.items():
        if isinstance(x, TensorBase) and x.array.size != 1:
            raise TypeError(f"{name}: {what} must be a number, got a tensor of shape {x.shape}")
        x = x.item() if isinstance(x, TensorBase) or (isinstance(x, np.ndarray) and x.size == 1) else x
        x = x.item() if isinstance(x, np.generic) else x
        if not isinstance(x, (int, float)):
            raise TypeError(f"{name}: {what} must be a number, got {x!r}")
        yield x


def number(name, what, x):
    """x as a float: a number of Python's or NumPy's, or a tensor of one."""
    if type(x) is float:
        return x
    (x,) = numbers_of(name, **{what: x})
    return float(x)


def flag(name, what, x):
    """x as a bool; nothing else is one."""
    if not isinstance(x, (bool, np.bool_)):
        raise TypeError(f"{name}: {what} must be True or False, got {x!r:.80}")
    return bool(x)


def one_of(name, what, x, choices):
    """x, which must be one of some strings."""
    if not isinstance(x, str) or x not in choices:
        *most, last = map(repr, choices)
        raise ValueError(f"{name}: {what} must be {', '.join(most)} or {last}, got {x!r:.80}")
    return x


def as_int(n):
    """An integer as Python's int: one of Python or NumPy, or a tensor of one integer. Anything else (bool, float) as it is.

    Every function that takes sizes, axes, strides or counts asks this first, and then refuses what is no int.

    >>> as_int(np.int64(3)), as_int(2.0), as_int(True)
    (3, 2.0, True)
    """
    if type(n) is int or isinstance(n, (bool, np.bool_)) or getattr(n, "dtype", None) == np.bool_:
        return n
    try:
        return operator.index(n)
    except TypeError:
        return n


def as_ints(value):
    """as_int of a number, or of each number in a tuple, list or vector, as a tuple. Strings, None and others as they are."""
    if type(value) is int or isinstance(value, str) or value is None:
        return value
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if isinstance(value, (tuple, list)):
        return value if type(value) is tuple and all(type(n) is int for n in value) else tuple(map(as_int, value))
    return as_int(value)


def size_of(name, sizes, size=None):
    if size is None:
        size = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    elif sizes:
        raise TypeError(f"{name}: give the sizes once, got {sizes} and size={size}")
    size = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    result = size
    for n in size:
        if type(n) is not int or n < 0:
            result = as_ints(size)
            if not all(type(n) is int and n >= 0 for n in result):
                remedy = f"; write {name}(2, 3) or {name}((2, 3))" if any(isinstance(n, (tuple, list)) for n in size) else ""
                raise ValueError(f"{name}: sizes must be integers of 0 or more, got {size}{remedy}")
            break
    if len(result) > 64 or math.prod(n or 1 for n in result) > 2**59:  # beyond what NumPy can count in bytes
        raise ValueError(f"{name}: sizes of at most 64 axes and 2**59 elements, got {size}")
    return result


def sizes_of(name, sizes):
    """(2, 3), ((2, 3),) and ([2, 3],) alike, as a tuple of integers."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    for n in sizes:
        if type(n) is not int:
            return tuple(integer(name, n) for n in sizes)
    return tuple(sizes)


def integer(name, n, what=None):
    """n as a Python int. It may be an integer of Python or NumPy, or a tensor of one integer; not a boolean or a float."""
    result = as_int(n)
    if type(result) is int:
        return result
    raise TypeError(f"{name}: {'expected' if what is None else f'{what} must be'} an integer, got {n!r}")


def within(index, bound):
    """Whether all integers of an array are from 0 to bound − 1. Read without a sign, a negative one is larger than any bound.

    >>> within(np.array([0, 2]), 3), within(np.array([0, 3]), 3), within(np.array([-1, 2]), 3)
    (True, False, False)
    """
    if index.dtype.kind == "i":
        index = index.astype(np.int64, copy=False).view(np.uint64)
    return not np.count_nonzero(index >= bound)


def one_name(name, dim, axis):
    if axis is None:
        return dim
    if dim is not None:
        raise TypeError(f"{name}: give dim or axis, not both")
    return axis
