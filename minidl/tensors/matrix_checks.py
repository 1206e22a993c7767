"""What functions of matrices ask of them, and their error, which is `linalg.LinAlgError`."""

import numpy as np

from ..graph.watch import repeatable
from .arguments import expect_tensors
from .record import apply, wrap


class LinAlgError(RuntimeError, ValueError):
    """The error where no result exists: the inverse of a singular matrix, the root of one that is not positive definite.

    >>> import minidl
    >>> try:
    ...     minidl.linalg.inv(minidl.zeros(2, 2))
    ... except minidl.linalg.LinAlgError:
    ...     print("singular")
    singular
    """


def matrices(name, A):
    expect_tensors(name, A=A)
    if A.ndim < 2:
        raise ValueError(f"{name}: expected matrices in the last two axes, got shape {A.shape}")
    if A.array.dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating-point tensor, got {A.dtype}; use .float()")


def square(name, A):
    matrices(name, A)
    if A.shape[-1] != A.shape[-2]:
        raise ValueError(f"{name}: expected square matrices in the last two axes, got shape {A.shape}")


def symmetric(A, lower):
    """A with one triangle mirrored into the other. As in PyTorch the gradient is that of symmetric matrices, for all of A."""
    if _is_symmetric(A.array, lower):
        return A
    return wrap(_mirrored(A.array, lower)) + (A - A.detach())


@repeatable
def _is_symmetric(x, lower):
    return np.array_equal(_mirror(x, lower), x)


@repeatable
def _mirrored(x, lower):
    return _mirror(x, lower)


def _mirror(x, lower):
    triangle, strict = (np.tril(x), np.tril(x, -1)) if lower else (np.triu(x), np.triu(x, 1))
    return triangle + np.swapaxes(strict, -1, -2)


def existing(name, why, op, *inputs):
    try:
        return apply(op, *inputs)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: {why} (shapes {[x.shape for x in inputs]}): {error}") from None
