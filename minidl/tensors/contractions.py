"""Products made of products: with something added, over several axes, of every pair; distances of every pair."""

import math

import numpy as np

from .. import ops
from ..ops.base import normalize_axes, normalize_axis
from .arguments import expect_tensors, integer, numbers_of
from .record import apply, check_broadcast


class Contractions:
    """Products with an addition, over several axes, and of every pair."""

    def addmm(self, mat1, mat2, *, beta=1, alpha=1):
        """beta·self + alpha·mat1 @ mat2; self broadcasts: (n, k), (k, m) → (n, m)

        >>> import minidl
        >>> minidl.ones(2).addmm(minidl.eye(2), minidl.eye(2), alpha=3)
        tensor([[4., 1.],
                [1., 4.]])
        """
        return _added("addmm", self, mat1, mat2, "mm", beta, alpha)

    def addmv(self, mat, vec, *, beta=1, alpha=1):
        """beta·self + alpha·mat @ vec; self broadcasts: (n, k), (k) → (n)

        >>> import minidl
        >>> minidl.tensor([100.0, 200.0]).addmv(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([1.0, 10.0]))
        tensor([121., 243.])
        """
        return _added("addmv", self, mat, vec, "mv", beta, alpha)

    def addr(self, vec1, vec2, *, beta=1, alpha=1):
        """beta·self + alpha·(the outer product of two vectors); self broadcasts: (n), (m) → (n, m)

        >>> import minidl
        >>> minidl.zeros(2, 2).addr(minidl.tensor([1.0, 2.0]), minidl.tensor([10.0, 20.0]))
        tensor([[10., 20.],
                [20., 40.]])
        """
        return _added("addr", self, vec1, vec2, "outer", beta, alpha)

    def baddbmm(self, batch1, batch2, *, beta=1, alpha=1):
        """beta·self + alpha·batch1 @ batch2; self broadcasts: (B, n, k), (B, k, m) → (B, n, m)

        >>> import minidl
        >>> minidl.ones(1, 2, 2).baddbmm(minidl.ones(1, 2, 4), minidl.ones(1, 4, 2), alpha=10)
        tensor([[[41., 41.],
                 [41., 41.]]])
        """
        return _added("baddbmm", self, batch1, batch2, "bmm", beta, alpha)

    def addbmm(self, batch1, batch2, *, beta=1, alpha=1):
        """beta·self + alpha·(the sum of batch1 @ batch2 over the batch): (B, n, k), (B, k, m) → (n, m)

        >>> import minidl
        >>> minidl.zeros(2, 2).addbmm(minidl.ones(3, 2, 4), minidl.ones(3, 4, 2))  # 3 products, each of fours
        tensor([[12., 12.],
                [12., 12.]])
        """
        return _added("addbmm", self, batch1, batch2, "bmm", beta, alpha, total=True)

    def inner(self, other):
        """Σ x y over the last axes of both: (…, n), (*, n) → (…, *); with a 0-d tensor the plain product.

        >>> import minidl
        >>> minidl.tensor([[1.0, 2.0], [3.0, 4.0]]).inner(minidl.tensor([1.0, 10.0]))
        tensor([21., 43.])
        """
        expect_tensors("inner", other=other)
        if not self.ndim or not other.ndim:
            return self * other
        if self.shape[-1] != other.shape[-1]:
            raise ValueError(f"inner: the last axes differ: {self.shape} and {other.shape}")
        return self.tensordot(other, ([-1], [-1]))

    def tensordot(self, other, dims=2):
        """Σ x y over pairs of axes: the last `dims` of self with the first of other, or the two lists of axes in dims.

        >>> import minidl
        >>> minidl.ones(2, 3, 4).tensordot(minidl.ones(4, 3), dims=([1, 2], [1, 0]))
        tensor([12., 12.])
        """
        expect_tensors("tensordot", other=other)
        if isinstance(dims, (tuple, list)):
            if len(dims) != 2:
                raise ValueError(f"tensordot: expected a number or two lists of axes as dims, got {dims!r}")
            left, right = (list(d) if isinstance(d, (tuple, list)) else [d] for d in dims)
        else:
            n = integer("tensordot", dims)
            if not 0 <= n <= min(self.ndim, other.ndim):
                raise ValueError(f"tensordot: dims must be from 0 to {min(self.ndim, other.ndim)}, got {n}")
            left, right = list(range(self.ndim - n, self.ndim)), list(range(n))
        left, right = (list(normalize_axes("tensordot", d, x.ndim)) for d, x in ((left, self), (right, other)))
        pairs = [(i, j, {self.shape[i], other.shape[j]}) for i, j in zip(left, right, strict=False)]
        if len(left) != len(right) or any(len(sizes) > 1 and 1 not in sizes for *_, sizes in pairs):
            raise ValueError(f"tensordot: axes {left} of {self.shape} do not fit axes {right} of {other.shape}")
        for i, j, sizes in pairs:
            if len(sizes) > 1:  # an axis of size 1 broadcasts
                a = self.sum(i, True) if self.shape[i] > 1 else self
                return a.tensordot(other.sum(j, True) if other.shape[j] > 1 else other, dims)
        rows = [i for i in range(self.ndim) if i not in left]
        columns = [j for j in range(other.ndim) if j not in right]
        shape = [self.shape[i] for i in rows] + [other.shape[j] for j in columns]
        n = math.prod(self.shape[i] for i in left)
        a = self.permute(rows + left).reshape(math.prod(self.shape[i] for i in rows), n)
        b = other.permute(right + columns).reshape(n, math.prod(other.shape[j] for j in columns))
        return (a @ b).reshape(shape)

    def kron(self, other):
        """Kronecker's product: every element of self times the whole of other, in blocks.

        >>> import minidl
        >>> minidl.tensor([1, 2]).kron(minidl.tensor([1, 10]))
        tensor([ 1, 10,  2, 20])
        """
        expect_tensors("kron", other=other)
        n = max(self.ndim, other.ndim)
        a, b = ((1,) * (n - x.ndim) + x.shape for x in (self, other))
        shape = [size * times for size, times in zip(a, b, strict=True)]
        first = self.reshape([size for n in a for size in (n, 1)])
        return (first * other.reshape([size for n in b for size in (1, n)])).reshape(shape)

    def cross(self, other, dim=None):
        """The cross product of vectors of 3 along an axis; without dim, the first axis of size 3.

        >>> import minidl
        >>> minidl.tensor([1, 0, 0]).cross(minidl.tensor([0, 1, 0]))
        tensor([0, 0, 1])
        """
        expect_tensors("cross", other=other)
        check_broadcast("cross", self, other)
        shape = np.broadcast_shapes(self.shape, other.shape)
        if self.ndim != other.ndim:
            raise ValueError(f"cross: expected as many axes in both, got shapes {self.shape} and {other.shape}")
        if dim is None:
            if 3 not in shape:
                raise ValueError(f"cross: no axis of shape {shape} has size 3")
            dim = shape.index(3)
        return cross(self, other, normalize_axis("cross", dim, len(shape)))


def cross(a, b, axis):
    """Vectors of 3 along an axis, the others broadcast: y_i = a_{i+1} b_{i+2} − a_{i+2} b_{i+1}"""
    if not a.ndim or not b.ndim or a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ValueError(f"cross: axis {axis} of shapes {a.shape} and {b.shape} must have size 3 in both")
    return a.roll(-1, axis) * b.roll(-2, axis) - a.roll(-2, axis) * b.roll(-1, axis)


def _added(name, x, a, b, product, beta, alpha, total=False):
    given = {"mm": ("mat1", "mat2"), "mv": ("mat", "vec"), "outer": ("vec1", "vec2"), "bmm": ("batch1", "batch2")}[product]
    expect_tensors(name, **dict(zip(given, (a, b), strict=True)))
    beta, alpha = numbers_of(name, beta=beta, alpha=alpha)
    if len({t.dtype for t in (x, a, b)}) > 1:
        raise TypeError(f"{name}: expected one dtype, got {x.dtype}, {a.dtype} and {b.dtype}")
    if x.dtype.kind != "f" and (isinstance(beta, float) or isinstance(alpha, float)):
        raise TypeError(f"{name}: beta and alpha must be integers for {x.dtype}, got {beta} and {alpha}")
    y = getattr(a, product)(b)
    y = y.sum(0) if total else y
    try:
        x = x.expand(y.shape)
    except ValueError:
        raise ValueError(f"{name}: self of shape {x.shape} does not fit a product of shape {y.shape}") from None
    y = y if alpha == 1 else y * alpha
    if beta == 0:  # whatever self holds, NaN too, does not count
        return apply(ops.Where(np.zeros(y.shape, bool)), x, y)
    return (x if beta == 1 else x * beta) + y
