"""Functions that the book writes the same for all frameworks: `d2l.reshape(x, shape)` for x.reshape(shape), and so on."""

from ..graph.modes import no_grad
from ..nn import Module as nn_Module
from ..tensors.creation import arange, eye, linspace, ones, ones_like, tensor, zeros, zeros_like
from ..tensors.dtypes import float32, int32, int64
from ..tensors.joining import cat as concat, meshgrid, stack
from ..tensors.random_tensors import normal, rand, randn
from ..tensors.tensor import Tensor

abs, cos, cosh, exp, log = Tensor.abs, Tensor.cos, Tensor.cosh, Tensor.exp, Tensor.log
sigmoid, sin, sinh, tanh = Tensor.sigmoid, Tensor.sin, Tensor.sinh, Tensor.tanh
matmul, batch_matmul = Tensor.matmul, Tensor.bmm

__all__ = [
    "abs", "arange", "argmax", "astype", "batch_matmul", "concat", "cos", "cosh", "exp", "expand_dims", "eye", "float32",
    "int32", "int64", "linspace", "log", "matmul", "meshgrid", "nn_Module", "no_grad", "normal", "numpy", "ones", "ones_like",
    "rand", "randn", "reduce_mean", "reduce_sum", "repeat", "reshape", "sigmoid", "sin", "sinh", "size", "stack", "swapaxes",
    "tanh", "tensor", "to", "transpose", "zeros", "zeros_like",
]  # fmt: skip


def reshape(x, *shape):
    """x.reshape(*shape)

    >>> reshape(arange(4), (2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return x.reshape(*shape)


def reduce_sum(x, axis=None, keepdims=False):
    """x.sum(axis, keepdims)

    >>> reduce_sum(ones(2, 3), axis=1)
    tensor([3., 3.])
    """
    return x.sum(axis, keepdims)


def reduce_mean(x, axis=None, keepdims=False):
    """x.mean(axis, keepdims)

    >>> reduce_mean(tensor([1.0, 3.0]))
    tensor(2.)
    """
    return x.mean(axis, keepdims)


def argmax(x, axis=None):
    """x.argmax(axis)

    >>> argmax(tensor([[1, 2], [4, 3]]), axis=1)
    tensor([1, 0])
    """
    return x.argmax(axis)


def astype(x, dtype):
    """x.type(dtype)

    >>> astype(tensor([1.5]), int32)
    tensor([1], dtype=minidl.int32)
    """
    return x.type(dtype)


def to(x, *args):
    """x.to(*args)

    >>> to(ones(1), "cpu")
    tensor([1.])
    """
    return x.to(*args)


def numpy(x):
    """x.detach().numpy()

    >>> numpy(ones(2, requires_grad=True))
    array([1., 1.], dtype=float32)
    """
    return x.detach().numpy()


def size(x):
    """x.numel()

    >>> size(ones(2, 3))
    6
    """
    return x.numel()


def transpose(x):
    """x.t()

    >>> transpose(ones(2, 3)).shape
    (3, 2)
    """
    return x.t()


def swapaxes(x, axis0, axis1):
    """x.swapaxes(axis0, axis1)

    >>> swapaxes(ones(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    return x.swapaxes(axis0, axis1)


def expand_dims(x, dim):
    """x.unsqueeze(dim)

    >>> expand_dims(ones(2), 0).shape
    (1, 2)
    """
    return x.unsqueeze(dim)


def repeat(x, *sizes):
    """x.repeat(*sizes)

    >>> repeat(tensor([1, 2]), 2)
    tensor([1, 2, 1, 2])
    """
    return x.repeat(*sizes)
