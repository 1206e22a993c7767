"""What the functions of linear algebra ask of matrices, and their error."""

from ..tensors import dtypes
from ..tensors.arguments import expect_tensors
from ..tensors.matrix_checks import LinAlgError

__all__ = ["LinAlgError"]


def check_triangle(name, UPLO):
    if not isinstance(UPLO, str) or UPLO not in ("L", "U", "l", "u"):
        raise ValueError(f"{name}: UPLO must be 'L' or 'U', got {UPLO!r:.80}")


def of_floats(name, A, dtype):
    expect_tensors(name, A=A)
    dtype = A.dtype if dtype is None else dtypes.as_dtype(dtype)
    if A.array.dtype.kind != "f" or dtype.kind != "f":
        raise TypeError(
            f"{name}: expected a floating-point tensor, got {A.dtype if dtype.kind == 'f' else dtype}; use .float()"
        )
    return A.to(dtype)
