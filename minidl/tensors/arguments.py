"""Checks of arguments that many functions share: tensors, sizes, integers, memory for a result."""

import math
import operator

import numpy as np

from .record import TensorBase


def expect_tensors(name, **given):
    """Raises for the first argument that is no Tensor."""
    for what, x in given.items():
        if not isinstance(x, TensorBase):
            raise TypeError(f"{name}: expected a Tensor as {what}, got {type(x).__name__}")


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
    if not isinstance(tensors, (list, tuple)) or not tensors or not all(isinstance(x, TensorBase) for x in tensors):
        raise TypeError(f"{name}: expected one or more Tensors, in a list or tuple")
    return list(tensors)


def numbers_of(name, **given):
    """The given numbers, or tensors of one element, as Python numbers."""
    for what, x in given.items():
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


def size_of(name, sizes, size=None):
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


def integer(name, n):
    """n as a Python int. It may be an integer of Python or NumPy, or a tensor of one integer; not a boolean or a float."""
    try:
        if type(n) is not bool:
            return operator.index(n)
    except TypeError:
        pass
    raise TypeError(f"{name}: expected an integer, got {n!r}")


def one_name(name, dim, axis):
    if axis is None:
        return dim
    if dim is not None:
        raise TypeError(f"{name}: give dim or axis, not both")
    return axis
