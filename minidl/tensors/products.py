"""Products of vectors and matrices, and Einstein's summation."""

import string

import numpy as np

from .. import kernels, ops
from ..graph.modes import watchers
from ..ops import MatMul
from .arguments import as_int, expect_tensors, tensors_of
from .record import TensorBase, apply, operand, wrap

__all__ = [
    "cdist",
    "einsum",
    "matmul",
    "tensordot",
]


class Products:
    """The matrix product under its names."""

    def __matmul__(self, other):
        """self @ other, the matrix product: see matmul."""
        try:  # as matmul, with fewer calls: small products are common
            if self.node is None and other.node is None and not watchers:  # constants, and nobody is told
                return wrap(kernels.matmul(self.array, other.array))
            return apply(MatMul(), self, other)
        except (AttributeError, TypeError, ValueError):
            return matmul(self, other)

    def __rmatmul__(self, other):
        """other @ self, the matrix product: see matmul."""
        return matmul(other, self)

    def matmul(self, other):
        """y[i, j] = Σₖ self[i, k]·other[k, j], the matrix product. Leading axes are batches and broadcast.

        >>> import minidl
        >>> a, b = minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([1.0, 10.0])
        >>> a.matmul(b), a @ b
        (tensor([21., 43.]), tensor([21., 43.]))
        """
        return matmul(self, other)

    def mm(self, mat2):
        """y[i, j] = Σₖ self[i, k]·mat2[k, j], the product of two matrices: (n, k), (k, m) → (n, m).

        >>> import minidl
        >>> minidl.tensor([[1.0, 2.0], [3.0, 4.0]]).mm(minidl.eye(2))
        tensor([[1., 2.],
                [3., 4.]])
        """
        return _product("mm", self, mat2, 2, 2)

    def mv(self, vec):
        """y[i] = Σₖ self[i, k]·vec[k], the product of a matrix and a vector: (n, k), (k) → (n).

        >>> import minidl
        >>> minidl.tensor([[1.0, 2.0], [3.0, 4.0]]).mv(minidl.tensor([1.0, 10.0]))
        tensor([21., 43.])
        """
        return _product("mv", self, vec, 2, 1)

    def dot(self, tensor):
        """Σᵢ self[i]·tensor[i], the product of two vectors: (n), (n) → ().

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0]).dot(minidl.tensor([3.0, 4.0]))
        tensor(11.)
        """
        return _product("dot", self, tensor, 1, 1)

    def bmm(self, mat2):
        """y[b] = self[b] @ mat2[b], the products of two batches of matrices: (B, n, k), (B, k, m) → (B, n, m).

        >>> import minidl
        >>> minidl.ones(5, 2, 3).bmm(minidl.ones(5, 3, 4)).shape
        (5, 2, 4)
        """
        if self.ndim == np.ndim(mat2) == 3 and len(self) != len(mat2):
            raise ValueError(f"bmm: the batches differ: {self.shape} and {mat2.shape}")
        return _product("bmm", self, mat2, 3, 3)

    def outer(self, vec2):
        """y[i, j] = self[i]·vec2[j], the products of every pair: (n), (m) → (n, m).

        >>> import minidl
        >>> minidl.tensor([1, 2]).outer(minidl.tensor([10, 20, 30]))
        tensor([[10, 20, 30],
                [20, 40, 60]])
        """
        if self.ndim != 1 or np.ndim(vec2) != 1:
            raise ValueError(f"outer: expected two vectors, got shapes {self.shape} and {np.shape(vec2)}")
        return self[:, None] * vec2[None, :]


def matmul(input, other):
    """y[i, j] = Σₖ input[i, k]·other[k, j], the matrix product of two tensors of one dtype.

    Leading axes are batches and broadcast.
    (n, k) @ (k, m) → (n, m);  (k) @ (k) → ();  (n, k) @ (k) → (n);  (k) @ (k, m) → (m)

    >>> import minidl
    >>> a, b = minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([1.0, 10.0])
    >>> minidl.matmul(a, b)
    tensor([21., 43.])
    >>> minidl.matmul(minidl.ones(5, 2, 3), minidl.ones(3, 4)).shape
    (5, 2, 4)
    """
    try:
        return apply(MatMul(), input, other)
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
        return apply(MatMul(), a, b)
    return wrap(np.asarray(np.matmul(a.array, b.array)))


def _product(name, a, b, a_rank, b_rank):
    if not isinstance(b, TensorBase) or a.ndim != a_rank or b.ndim != b_rank:
        raise ValueError(f"{name}: expected tensors with {a_rank} and {b_rank} axes, got shapes {a.shape} and {np.shape(b)}")
    return matmul(a, b)


def tensordot(a, b, dims=2):
    """Σ a b over pairs of axes: the last `dims` of a with the first of b, or the two lists of axes in dims.

    >>> import minidl
    >>> minidl.tensordot(minidl.ones(2, 3, 4), minidl.ones(3, 4, 5), dims=2).shape
    (2, 5)
    """
    expect_tensors("tensordot", a=a, b=b)
    return a.tensordot(b, dims)


def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The distance (Σ |x − y|ᵖ)^(1/p) of every row of x1 and every row of x2: (…, n, d), (…, m, d) → (…, n, m).

    The mode says how PyTorch computes it; here it is always computed from the differences, which are exact.

    >>> import minidl
    >>> minidl.cdist(minidl.tensor([[0.0, 0.0]]), minidl.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    expect_tensors("cdist", x1=x1, x2=x2)
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise ValueError(f"cdist: compute_mode must be one of {', '.join(modes)}, got {compute_mode!r}")
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"cdist: expected (…, n, d) and (…, m, d), got shapes {x1.shape} and {x2.shape}")
    if not p >= 0:
        raise ValueError(f"cdist: p must be 0 or more, got {p}")
    return (x1.unsqueeze(-2) - x2.unsqueeze(-3)).norm(p, -1)


def _equation_of(*parts):
    """(equation, operands) of operands with lists of the numbers of their axes."""
    lists = [*parts[1::2], *parts[-1:]] if len(parts) % 2 else [*parts[1::2]]
    terms = []
    for axes in lists:
        numbers = [axis if axis is Ellipsis else as_int(axis) for axis in axes] if isinstance(axes, (list, tuple)) else [None]
        if any(n is not Ellipsis and (type(n) is not int or not 0 <= n < 52) for n in numbers):
            raise TypeError(f"einsum: expected a list of numbers from 0 to 51 after each operand, got {axes!r:.80}")
        terms.append("".join("..." if n is Ellipsis else string.ascii_letters[n] for n in numbers))
    count = len(parts) // 2
    return ",".join(terms[:count]) + ("->" + terms[-1] if len(parts) % 2 else ""), parts[: 2 * count : 2]


def einsum(equation, *operands):
    """Einstein's summation: "ij,jk->ik" multiplies matrices. Each letter names an axis; what is not on the right is summed.

    A letter twice in one term means the diagonal; "..." are any axes in front of or between the others, which broadcast.
    Or each operand is followed by the numbers of its axes, below 52, and at the end stand those of the result.

    >>> import minidl
    >>> einsum("ij,j->i", minidl.ones(2, 3), minidl.ones(3)), einsum("ii", minidl.eye(3))
    (tensor([3., 3.]), tensor(3.))
    """
    if isinstance(equation, TensorBase) and not any(isinstance(x, str) for x in operands):
        equation, operands = _equation_of(equation, *operands)
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    if not isinstance(equation, str):
        raise TypeError(f"einsum: expected an equation such as 'ij,jk->ik' first, got {type(equation).__name__}")
    if len({x.dtype for x in tensors_of("einsum", operands)}) > 1:
        raise TypeError(f"einsum: expected operands of one dtype, got {', '.join(str(x.dtype) for x in operands)}")
    given = equation
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    counts = [len(term.replace("...", "")) for term in terms]
    if len(terms) != len(operands) or any(
        n > x.ndim if "..." in term else n != x.ndim for term, n, x in zip(terms, counts, operands, strict=False)
    ):
        raise ValueError(f"einsum: {given!r} does not fit shapes {[x.shape for x in operands]}")
    if any(not (c.isalpha() and c.isascii()) for c in "".join(terms + [right]).replace("...", "")):
        raise ValueError(f"einsum: axes are named by single letters, got {given!r}")
    rest = max((x.ndim - n for term, n, x in zip(terms, counts, operands, strict=True) if "..." in term), default=0)
    dots = _unused_letters(left + right, rest)
    terms = [t.replace("...", dots[rest - (x.ndim - n) :]) for t, n, x in zip(terms, counts, operands, strict=True)]
    once = (c for c in sorted(set("".join(terms))) if c not in dots and "".join(terms).count(c) == 1)
    right = right.replace("...", dots) if arrow else dots + "".join(once)
    sizes = {}
    for term, x in zip(terms, operands, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            known = sizes.setdefault(letter, n)
            if known != n and 1 not in (known, n):
                raise ValueError(f"einsum: axis {letter!r} has size {known} and {n} in {given!r}")
            sizes[letter] = n if known == 1 else known
    if not set(right) <= set(sizes) or len(set(right)) < len(right):
        raise ValueError(f"einsum: the right side of {given!r} must name axes of the left, once each")
    terms, operands = zip(*(_named_once(t, x, sizes) for t, x in zip(terms, operands, strict=True)), strict=True)
    return apply(ops.Einsum(terms, right), *operands)


def _unused_letters(used, n):
    letters = [c for c in string.ascii_letters if c not in used]
    if n > len(letters):
        raise ValueError(f"einsum: there are no letters for {n} more axes")
    return "".join(letters[:n])


def _named_once(term, x, sizes):
    """A term and its operand, expanded to the sizes, with the diagonal in place of axes of one name."""
    if x.shape != tuple(sizes[letter] for letter in term):
        x = x.expand(tuple(sizes[letter] for letter in term))
    while letter := next((c for c in term if term.count(c) > 1), None):
        i = term.index(letter)
        j = term.index(letter, i + 1)
        x = x.diagonal(0, i, j)  # its axis comes last
        term = term[:i] + term[i + 1 : j] + term[j + 1 :] + letter
    return term, x
