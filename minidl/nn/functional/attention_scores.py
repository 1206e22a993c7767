"""Attention as pooling: Attention(q, D) = Σ_i α(q, k_i) v_i over a database D of keys k_i and values v_i.

What differs is where the weights α come from: any weights; a kernel of the distance between query and key (Nadaraya, 1964;
Watson, 1964); or the softmax of a score. Everything here is written from primitive operations. Section 11 of the notes.

Shapes: n queries of d numbers are (..., n, d), m keys (..., m, d), values (..., m, v); scores and weights (..., n, m).
"""

import math

import numpy as np

from ...graph.watch import repeatable
from ...tensors.arguments import expect_tensors
from ...tensors.creation import ones
from ...tensors.indexing import where
from ...tensors.record import wrap
from ...tensors.tensor import Tensor

__all__ = [
    "additive_scores",
    "attention_pooling",
    "bilinear_scores",
    "dot_product_scores",
    "gaussian_scores",
    "masked_softmax",
    "nadaraya_watson",
    "scaled_dot_product_scores",
    "similarity",
]

KERNELS = ("gaussian", "boxcar", "triangular", "constant")


def attention_pooling(weights, values, mask=None):
    """Σ_i α(q, k_i) v_i for any weights:  weights (..., n, m), values (..., m, v) → (..., n, v)

    Weights of at least 0 give a point of the cone of the values, weights that also sum to 1 one of their convex hull; a single
    1 looks a value up, and all 1/m average. mask: boolean, of a shape that broadcasts to the weights'; where it is False, the
    weight counts as 0, and it does not matter what value is there, not even NaN.

    >>> import minidl
    >>> values = minidl.tensor([[1.0, 0.0], [0.0, 4.0]])
    >>> attention_pooling(minidl.tensor([[0.0, 1.0], [0.5, 0.5]]), values)
    tensor([[0.0000, 4.0000],
            [0.5000, 2.0000]])
    """
    name = "attention_pooling"
    expect_tensors(name, weights=weights, values=values)
    if weights.ndim < 2 or values.ndim < 2 or weights.shape[-1] != values.shape[-2]:
        raise ValueError(
            f"{name}: expected weights (..., n, m) and values (..., m, v) with one m, got {weights.shape} and {values.shape}"
        )
    if mask is None:
        return weights @ values
    mask = _mask_of(name, mask, weights.shape)
    return pool_where(mask, where(mask, weights, 0.0), values)


def pool_where(mask, weights, values):
    """attention_pooling for weights that are 0 where the mask (an ndarray) is False."""
    values = where_seen(mask, values)
    if _all_finite(values.array):
        return weights @ values
    # A value that is not finite is hidden from one query and seen by another. 0·NaN would be NaN, so each pair is alone.
    return (weights[..., None] * where(mask[..., None], values.unsqueeze(-3), 0.0)).sum(-2)


def masked_softmax(X, valid_lens=None):
    """The softmax along the last axis over the first valid positions only; all others get exactly 0.

    X: scores, (B, ..., n, m). valid_lens: integers, None (all m), (B,) for each sequence, or (B, n) for each query. A length of
    0 gives a row of zeros. What stands at the other positions does not matter, not even NaN, and they get no gradient.

    >>> import minidl
    >>> masked_softmax(minidl.zeros(2, 1, 4), minidl.tensor([2, 3]))
    tensor([[[0.5000, 0.5000, 0.0000, 0.0000]],
    <BLANKLINE>
            [[0.3333, 0.3333, 0.3333, 0.0000]]])
    """
    expect_tensors("masked_softmax", X=X)
    if X.ndim == 0 or X.dtype.kind != "f":
        raise TypeError(f"masked_softmax: expected floating-point scores with an axis for the keys, got {X.shape} of {X.dtype}")
    if valid_lens is None:
        return X.softmax(-1)
    return softmax_where(valid_mask("masked_softmax", X.shape, valid_lens), X)


def softmax_where(mask, scores):
    """The softmax over the positions where the mask (an ndarray) is True; zeros where there are none."""
    return where(mask, scores, -math.inf).softmax(-1)


def where_seen(mask, x):
    """Keys or values (..., m, d), if not all finite with 0 at positions that the mask (..., n, m) hides from every query."""
    if _all_finite(x.array):  # 0·x is 0
        return x
    return where(_seen_by_any(mask), x, 0.0)


@repeatable
def _all_finite(x):
    return bool(np.isfinite(x).all())


@repeatable
def _seen_by_any(mask):
    return mask.any(-2)[..., None]


@repeatable
def valid_mask(name, shape, valid_lens):
    """The boolean ndarray, of a shape that broadcasts to the scores' `shape`, of positions below the valid lengths."""
    expect_tensors(name, valid_lens=valid_lens)
    lens, m = valid_lens.array, shape[-1]
    if lens.dtype.kind not in "iu":
        raise TypeError(f"{name}: valid_lens must be integers, got {lens.dtype}; write valid_lens.long()")
    wanted = [shape[:1]] if len(shape) == 2 else [shape[:1], (shape[0], shape[-2])]
    if len(shape) < 2 or lens.shape not in wanted:
        raise ValueError(
            f"{name}: expected valid_lens of shape {' or '.join(map(str, wanted))}, one length for each sequence or for each "
            f"query, for scores {shape}, got {lens.shape}"
        )
    if ((lens < 0) | (lens > m)).any():
        wrong = lens.min() if lens.min() < 0 else lens.max()
        raise ValueError(f"{name}: valid_lens must be from 0 to {m}, the number of keys, got {wrong}")
    middle = (1,) * (len(shape) - 1 - lens.ndim)
    places = lens.shape[:1] + middle + lens.shape[1:] + (1,)
    return np.arange(m) < lens.reshape(places)


# --- weights by similarity


def nadaraya_watson(queries, keys, values, kernel="gaussian", width=1.0, empty=0.0, return_weights=False):
    """f(q) = Σ_i v_i α(q, k_i) / Σ_j α(q, k_j): the mean of the values, weighted by how near their keys are to the query.

    queries (..., n, d), keys (..., m, d), values (..., m, v) → (..., n, v); values (..., m) → (..., n). One number for each
    query and key may also be (n,) and (m,). Numbers as values: regression. One-hot labels (`F.one_hot(y)`): classification,
    f(q) are the probabilities. No training.

    kernel, width: as `similarity` has them. Where no key is near enough (0/0), all weights are 0, f(q) is `empty`, and there is
    no gradient; the Gaussian and the constant kernel always find some. return_weights: returns (f(q), weights (..., n, m)).

    >>> import minidl
    >>> x, y = minidl.tensor([0.0, 1.0, 5.0]), minidl.tensor([2.0, 4.0, 9.0])
    >>> nadaraya_watson(minidl.tensor([0.5, 3.0]), x, y, "boxcar")
    tensor([3., 0.])
    """
    name = "nadaraya_watson"
    queries, keys = _features(name, queries, keys)
    expect_tensors(name, values=values)
    batch, m = keys.shape[:-2], keys.shape[-2]
    scalars = values.shape == (*batch, m)
    if not scalars and (values.ndim != keys.ndim or values.shape[:-1] != (*batch, m)):
        raise ValueError(
            f"{name}: expected one value for each key, {(*batch, m)} or {(*batch, m, 'v')}, for keys {keys.shape}, "
            f"got {values.shape}"
        )
    if isinstance(empty, bool) or not isinstance(empty, (int, float)):
        raise TypeError(f"{name}: empty must be a number, got {empty!r}")
    if kernel == "gaussian":  # as a softmax, which does not underflow to 0/0 where all keys are far away
        weights, found, mask = gaussian_scores(queries, keys, width).softmax(-1), None, None
    else:
        alpha = similarity(queries, keys, kernel, width)
        total = alpha.sum(-1, keepdim=True)
        found = total != 0
        weights = alpha / where(found, total, 1.0)
        mask = alpha != 0 if kernel in ("boxcar", "triangular") else None  # values with weight 0 do not matter
    if values.dtype.kind != "f":
        values = values.to(weights.dtype)
    y = attention_pooling(weights, values.unsqueeze(-1) if scalars else values, mask)
    if found is not None and empty != 0:
        y = where(found, y, float(empty))
    y = y.squeeze(-1) if scalars else y
    return (y, weights) if return_weights else y


def similarity(queries, keys, kernel="gaussian", width=1.0):
    """α(q, k), a function of the distance u = ‖(q − k)/width‖:  queries (..., n, d), keys (..., m, d) → (..., n, m)

    "gaussian": e^{−u²/2}; "boxcar": 1 where u ≤ 1, else 0; "triangular": max(0, 1 − u) (the notes call it Epanechnikov's, whose
    own is max(0, 1 − u²)); "constant": 1; or a function of the Tensor u. width: a number, a tensor with one number, or with one
    for each coordinate, (d,), above 0. Differentiable in queries, keys and width, where the kernel is; boxcar and constant have
    no slope. Queries (n,) and keys (m,) count as (n, 1) and (m, 1).

    >>> import minidl
    >>> q, k = minidl.zeros(1, 1), minidl.tensor([[0.5], [1.0]])
    >>> similarity(q, k), similarity(q, k, "boxcar"), similarity(q, k, "triangular")
    (tensor([[0.8825, 0.6065]]), tensor([[1., 1.]]), tensor([[0.5000, 0.0000]]))
    """
    queries, keys = _features("similarity", queries, keys)
    width = _width("similarity", width, keys.shape[-1])
    if callable(kernel):
        weights, shape = kernel(_distance(queries, keys, width)), _score_shape(queries, keys)
        if not isinstance(weights, Tensor) or weights.shape != shape:
            got = weights.shape if isinstance(weights, Tensor) else type(weights).__name__
            raise ValueError(f"similarity: the kernel must return a Tensor of the distances' shape {shape}, got {got}")
        return weights
    if kernel == "gaussian":
        return gaussian_scores(queries, keys, width).exp()
    if kernel == "boxcar":
        return (_distance(queries.detach(), keys.detach(), width) <= 1).to(queries.dtype)
    if kernel == "triangular":
        return (1.0 - _distance(queries, keys, width)).clamp(min=0)
    if kernel == "constant":
        return ones(*_score_shape(queries, keys), dtype=queries.dtype)
    hint = '; the notes\' kernel of that name is "triangular"' if kernel in ("epanechnikov", "epanechikov") else ""
    raise ValueError(f"similarity: expected a kernel of {', '.join(map(repr, KERNELS))}, or a function, got {kernel!r}{hint}")


# --- scores, to be made weights by a softmax


def gaussian_scores(queries, keys, width=1.0):
    """a(q, k) = −½‖(q − k)/width‖², the logarithm of the Gaussian kernel; for width 1 it is qᵀk − ½‖k‖² − ½‖q‖².

    The last term is the same for all keys and vanishes in a softmax, and so does the second where all keys have one norm, as
    behind layer normalisation: what is left is the dot product.

    >>> import minidl
    >>> gaussian_scores(minidl.zeros(1, 2), minidl.tensor([[1.0, 1.0]]))
    tensor([[-1.]])
    """
    queries, keys = _features("gaussian_scores", queries, keys)
    u = _differences(queries, keys, _width("gaussian_scores", width, keys.shape[-1]))
    return (u * u).sum(-1) * -0.5


def dot_product_scores(queries, keys):
    """a(q, k) = qᵀk:  queries (..., n, d), keys (..., m, d) → (..., n, m)

    >>> import minidl
    >>> dot_product_scores(minidl.ones(1, 3), minidl.ones(2, 3))
    tensor([[3., 3.]])
    """
    _check_pair("dot_product_scores", queries, keys)
    return queries @ keys.transpose(-2, -1)


def scaled_dot_product_scores(queries, keys):
    """a(q, k) = qᵀk/√d, of variance 1 for independent elements of variance 1, whatever d is. Shapes as `dot_product_scores`.

    >>> import minidl
    >>> scaled_dot_product_scores(minidl.ones(1, 4), minidl.ones(2, 4))
    tensor([[2., 2.]])
    """
    _check_pair("scaled_dot_product_scores", queries, keys)
    return (queries / math.sqrt(max(1, queries.shape[-1]))) @ keys.transpose(-2, -1)


def bilinear_scores(queries, keys, weight):
    """a(q, k) = qᵀ M k, for queries and keys of unequal sizes:  (..., n, q), (..., m, k), weight M (q, k) → (..., n, m)

    >>> import minidl
    >>> bilinear_scores(minidl.ones(1, 3), minidl.ones(2, 4), minidl.ones(3, 4))
    tensor([[12., 12.]])
    """
    _check_pair("bilinear_scores", queries, keys, one_size=False)
    expect_tensors("bilinear_scores", weight=weight)
    wanted = queries.shape[-1], keys.shape[-1]
    if weight.shape != wanted:
        raise ValueError(
            f"bilinear_scores: expected a weight {wanted} for queries {queries.shape} and keys {keys.shape}, got {weight.shape}"
        )
    return (queries @ weight) @ keys.transpose(-2, -1)


def additive_scores(queries, keys, query_weight, key_weight, value_weight):
    """a(q, k) = w_vᵀ tanh(W_q q + W_k k), without biases (Bahdanau, Cho and Bengio, 2015).

    It is an MLP on [q; k] whose products with q and k are computed once for each, not for each pair.
    queries (..., n, q), keys (..., m, k), W_q (h, q), W_k (h, k), w_v (h,) → (..., n, m)

    >>> import minidl
    >>> additive_scores(minidl.zeros(1, 3), minidl.zeros(2, 4), minidl.ones(5, 3), minidl.ones(5, 4), minidl.ones(5))
    tensor([[0., 0.]])
    """
    name = "additive_scores"
    _check_pair(name, queries, keys, one_size=False)
    expect_tensors(name, query_weight=query_weight, key_weight=key_weight, value_weight=value_weight)
    hidden = value_weight.shape[0] if value_weight.ndim == 1 else "h"
    wanted = (hidden, queries.shape[-1]), (hidden, keys.shape[-1]), (hidden,)
    if (query_weight.shape, key_weight.shape, value_weight.shape) != wanted:
        raise ValueError(
            f"{name}: expected W_q, W_k and w_v of shapes {', '.join(map(str, wanted))} for queries {queries.shape} and keys "
            f"{keys.shape}, got {query_weight.shape}, {key_weight.shape} and {value_weight.shape}"
        )
    return additive(queries @ query_weight.T, keys @ key_weight.T) @ value_weight


def additive(queries, keys):
    """tanh(q + k) for all pairs of projected queries (..., n, h) and keys (..., m, h) → (..., n, m, h)"""
    return (queries.unsqueeze(-2) + keys.unsqueeze(-3)).tanh()


# --- helpers


def _features(name, queries, keys):
    """Queries and keys as matrices of coordinates, checked."""
    expect_tensors(name, queries=queries, keys=keys)
    if queries.ndim == keys.ndim == 1:
        queries, keys = queries.unsqueeze(-1), keys.unsqueeze(-1)
    _check_pair(name, queries, keys)
    return queries, keys


def _check_pair(name, queries, keys, one_size=True):
    expect_tensors(name, queries=queries, keys=keys)
    sizes = "(..., n, d) and (..., m, d)" if one_size else "(..., n, q) and (..., m, k)"
    fit = min(queries.ndim, keys.ndim) >= 2 and (not one_size or queries.shape[-1] == keys.shape[-1])
    if not fit or queries.shape[:-2] != keys.shape[:-2]:
        raise ValueError(f"{name}: expected queries {sizes} of keys, equal before them, got {queries.shape} and {keys.shape}")
    if queries.dtype != keys.dtype or queries.dtype.kind != "f":
        raise TypeError(f"{name}: expected queries and keys of one floating-point dtype, got {queries.dtype} and {keys.dtype}")


def _width(name, width, d):
    """A number or tensor by which differences of d coordinates can be divided."""
    values = width.array if isinstance(width, Tensor) else width
    if isinstance(values, bool) or not isinstance(values, (int, float, np.integer, np.floating, np.ndarray)):
        raise TypeError(f"{name}: width must be a number or a Tensor, got {type(width).__name__}")
    if np.shape(values) not in ((), (1,), (d,)):
        raise ValueError(f"{name}: width must be one number, or one for each of {d} coordinates, got shape {np.shape(values)}")
    if not np.all((np.asarray(values) > 0) & np.isfinite(values)):
        raise ValueError(f"{name}: width must be above 0, and finite, got {width!r}")
    return width if isinstance(width, Tensor) else (float(values) if np.ndim(values) == 0 else wrap(values))


def _differences(queries, keys, width):
    difference = queries.unsqueeze(-2) - keys.unsqueeze(-3)
    return difference / (width.to(queries.dtype) if isinstance(width, Tensor) else width)


def _distance(queries, keys, width):
    return _differences(queries, keys, width).norm(dim=-1)


def _score_shape(queries, keys):
    return (*queries.shape[:-1], keys.shape[-2])


def _mask_of(name, mask, shape):
    """The mask as a boolean ndarray of this shape."""
    mask = mask.array if isinstance(mask, Tensor) else np.asarray(mask)
    if mask.dtype.kind != "b":
        raise TypeError(f"{name}: the mask must be boolean, True where a value counts, got {mask.dtype}")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(f"{name}: the mask {mask.shape} does not broadcast to the weights {shape}") from None
