"""What the functions of linear algebra ask of matrices, and their error."""

import numpy as np

from ..tensors import dtypes
from ..tensors.arguments import expect_tensors
from ..tensors.record import apply, wrap

__all__ = ["LinAlgError"]


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


def check_triangle(name, UPLO):
    if UPLO not in ("L", "U", "l", "u"):
        raise ValueError(f"{name}: UPLO must be 'L' or 'U', got {UPLO!r}")


def of_floats(name, A, dtype):
    expect_tensors(name, A=A)
    dtype = A.dtype if dtype is None else dtypes.as_dtype(dtype)
    if A.array.dtype.kind != "f" or dtype.kind != "f":
        raise TypeError(
            f"{name}: expected a floating-point tensor, got {A.dtype if dtype.kind == 'f' else dtype}; use .float()"
        )
    return A.to(dtype)


def symmetric(A, lower):
    """A with one triangle mirrored into the other. As in PyTorch the gradient is that of symmetric matrices, for all of A."""
    x = A.array
    triangle = np.tril(x) if lower else np.triu(x)
    mirrored = triangle + np.swapaxes(triangle - triangle * np.eye(x.shape[-1], dtype=x.dtype), -1, -2)
    if np.array_equal(mirrored, x):
        return A
    return wrap(mirrored) + (A - A.detach())


def existing(name, why, op, *inputs):
    try:
        return apply(op, *inputs)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: {why} (shapes {[x.shape for x in inputs]}): {error}") from None
