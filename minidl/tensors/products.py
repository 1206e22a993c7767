"""Products of vectors and matrices, and Einstein's summation."""

import numpy as np

from .. import ops
from .arguments import tensors_of
from .record import TensorBase, apply, operand, wrap


class Products:
    """The matrix product under its names."""

    def __matmul__(self, other):
        return matmul(self, other)

    def __rmatmul__(self, other):
        return matmul(other, self)

    def matmul(self, other):
        """The matrix product; leading axes are batches and broadcast."""
        return matmul(self, other)

    def mm(self, mat2):
        """The product of two matrices: (n, k), (k, m) → (n, m)."""
        return _product("mm", self, mat2, 2, 2)

    def mv(self, vec):
        """The product of a matrix and a vector: (n, k), (k) → (n)."""
        return _product("mv", self, vec, 2, 1)

    def dot(self, tensor):
        """The product of two vectors, Σ x y: (n), (n) → ()."""
        return _product("dot", self, tensor, 1, 1)

    def bmm(self, mat2):
        """The products of two batches of matrices: (B, n, k), (B, k, m) → (B, n, m)."""
        if self.ndim == np.ndim(mat2) == 3 and len(self) != len(mat2):
            raise ValueError(f"bmm: the batches differ: {self.shape} and {mat2.shape}")
        return _product("bmm", self, mat2, 3, 3)

    def outer(self, vec2):
        """The products of every pair of two vectors' elements: (n), (m) → (n, m)."""
        if self.ndim != 1 or np.ndim(vec2) != 1:
            raise ValueError(f"outer: expected two vectors, got shapes {self.shape} and {np.shape(vec2)}")
        return self[:, None] * vec2[None, :]


def matmul(input, other):
    """The matrix product of two tensors of one dtype; leading axes are batches and broadcast.

    (n, k) @ (k, m) → (n, m);  (k) @ (k) → ();  (n, k) @ (k) → (n);  (k) @ (k, m) → (m)
    """
    try:
        return apply(ops.MatMul(), input, other)
    except (AttributeError, TypeError, ValueError):  # from the kernel, which checks in any case
        return _checked_matmul(operand("matmul", input), operand("matmul", other))


def _checked_matmul(a, b):
    if not isinstance(a, TensorBase) or not isinstance(b, TensorBase) or not a.ndim or not b.ndim:
        raise ValueError("matmul: both operands need at least one axis; use * to scale by a number")
    if a.dtype != b.dtype:
        raise TypeError(f"matmul: expected one dtype, got {a.dtype} and {b.dtype}; write b.to(a.dtype)")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape} disagree: the last axis of the first has {a.shape[-1]}, "
            f"{'the second-to-last' if b.ndim > 1 else 'the'} axis of the second {b.shape[-2 if b.ndim > 1 else 0]}"
        )
    if a.array.dtype.kind == "f":
        return apply(ops.MatMul(), a, b)
    return wrap(np.asarray(np.matmul(a.array, b.array)))


def _product(name, a, b, a_rank, b_rank):
    if not isinstance(b, TensorBase) or a.ndim != a_rank or b.ndim != b_rank:
        raise ValueError(f"{name}: expected tensors with {a_rank} and {b_rank} axes, got shapes {a.shape} and {np.shape(b)}")
    return matmul(a, b)


def einsum(equation, *operands):
    """Einstein's summation: "ij,jk->ik" multiplies matrices. Each letter names an axis; what is not on the right is summed.

    >>> import minidl
    >>> einsum("ij,j->i", minidl.ones(2, 3), minidl.ones(3))
    tensor([3., 3.])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    if not isinstance(equation, str):
        raise TypeError(f"einsum: expected an equation such as 'ij,jk->ik' first, got {type(equation).__name__}")
    if len({x.dtype for x in tensors_of("einsum", operands)}) > 1:
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
    return apply(ops.Einsum(tuple(terms), right), *operands)
