"""Einstein's summation of two factors and more as products of matrices, pair by pair.

The axes of a pair are of four kinds: those that both have and that stay (a batch of products), those of one factor only, and
those that both have and that are summed. With each kind made one axis the pair is a product of matrices. Where nothing is
summed it is a product of numbers, and NumPy does it.
"""

import functools
import math

import numpy as np

from .copies import in_order, multiply, repeated, reshape
from .gemm import matmul
from .memory import owner_of
from .sums import sum_over


def einsum(terms, right, *xs, shape=None):
    """Σ x₁[term₁]·x₂[term₂]·… over every axis that is not on the right; each term names its axes once, by single letters.

    Along axes that only the right side has, the result is repeated; `shape` says its sizes. Sums over an axis that only one
    factor has come first, in float64. A new array, or a view of one.

    >>> einsum(("ij", "jk"), "ik", np.ones((2, 3)), np.ones((3, 1)))
    array([[3.],
           [3.]])
    """
    if shape is not None and (new := {*right}.difference(*terms)):
        y = einsum(terms, "".join(axis for axis in right if axis not in new), *xs)
        return repeated(y[tuple(None if axis in new else slice(None) for axis in right)], shape)
    sizes, alike = {}, all(x.dtype == xs[0].dtype for x in xs) and xs[0].dtype.kind == "f"
    for term, x in zip(terms, xs, strict=True):
        alike = alike and len(set(term)) == len(term) == x.ndim
        for axis, n in zip(term, x.shape, strict=False):
            alike = alike and sizes.setdefault(axis, n) == n
    if not alike or not {*right} <= sizes.keys():
        return np.einsum(",".join(terms) + "->" + right, *xs, optimize=True)
    parts = []
    for i, (term, x) in enumerate(zip(terms, xs, strict=True)):
        others = right + "".join(terms[:i] + terms[i + 1 :])
        alone = tuple(place for place, axis in enumerate(term) if axis not in others)
        parts.append(("".join(axis for axis in term if axis in others), sum_over(x, alone)) if alone else (term, x))
    for pair in _path(tuple(term for term, _ in parts), right, tuple(x.shape for _, x in parts)):
        first, *others = (parts.pop(i) for i in sorted(pair, reverse=True))
        for n, other in enumerate(others):
            rest = right + "".join(term for term, _ in (*others[n + 1 :], *parts))
            first = _product(*other, *first, rest, right)
        parts.append(first)
    ((term, y),) = parts
    y = y if term == right else y.transpose([term.index(axis) for axis in right])
    return in_order(y) if len(xs) == 1 and owner_of(y) is owner_of(xs[0]) else y


@functools.lru_cache(256)
def _path(terms, right, shapes):
    """In which order the factors are taken together: tuples of their places, in NumPy's form."""
    if len(terms) < 3:
        return [(0, 1)] * (len(terms) - 1)
    empty = (np.broadcast_to(np.float32(0), shape) for shape in shapes)
    return np.einsum_path(",".join(terms) + "->" + right, *empty, optimize="greedy")[0][1:]


def _product(a_term, a, b_term, b, rest, right):
    """(term, array): the product of two factors, summed over axes that neither the rest has nor the right side."""
    inner = [axis for axis in a_term if axis in b_term and axis not in rest]
    batch = sorted((axis for axis in a_term if axis in b_term and axis in rest), key=right.find)
    rows, columns = (sorted(set(x) - set(inner) - set(batch), key=right.find) for x in (a_term, b_term))
    if "".join([*batch, *columns, *rows]) == right:
        a_term, a, b_term, b, rows, columns = b_term, b, a_term, a, columns, rows
    sizes = {**dict(zip(a_term, a.shape, strict=True)), **dict(zip(b_term, b.shape, strict=True))}
    term = "".join([*batch, *rows, *columns])
    a = a.transpose([a_term.index(axis) for axis in [*batch, *rows, *inner]])
    b = b.transpose([b_term.index(axis) for axis in [*batch, *inner, *columns]])
    if not inner:
        rows, columns = len(rows), len(columns)
        return term, multiply(a[(..., *[None] * columns)], b[(slice(None),) * len(batch) + (None,) * rows])
    groups, m, k, n = (math.prod(sizes[axis] for axis in axes) for axes in (batch, rows, inner, columns))
    lead = (groups,) if batch else ()
    y = matmul(reshape(a, (*lead, m, k)), reshape(b, (*lead, k, n)))
    return term, y.reshape([sizes[axis] for axis in term])
