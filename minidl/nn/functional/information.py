"""Losses built from quantities of information theory, in nats. Most are not PyTorch's; the formulas are in minidl.information.

The others are with the losses: cross_entropy (with label_smoothing), nll_loss, kl_div, and entropy_from_logits, which as a
regulariser is subtracted, `loss - beta * entropy_from_logits(logits).mean()`, so that a network is not surer than it must be.
"""

import math

import numpy as np

from ...graph.watch import repeatable
from ...information import relative_entropy
from ...ops.base import normalize_axis
from ...tensors.arguments import expect_tensors, integer
from ...tensors.creation import arange, zeros
from ...tensors.joining import cat
from ...tensors.record import wrap
from .basic import normalize
from .loss import (
    _check_labels,
    _class_weights,
    _matched,
    _reduced,
    _row_weights,
    _rows,
    _total,
    binary_cross_entropy_with_logits,
    check_reduction,
    cross_entropy,
    nll_loss,
)

__all__ = ["focal_loss", "info_nce", "js_divergence", "sigmoid_focal_loss"]

# --- surprises that count by how great they are


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2, reduction="none"):
    """α·(1 − p)^γ·(−ln p), p the probability σ(±x) of what the target says: the name and the defaults are torchvision's.

    The surprise −ln p, weighted by how wrong the guess was: with γ = 0 the binary cross-entropy, with γ > 0 no divergence.
    inputs: logits. targets: 0, 1 or between, of the same shape. alpha: the weight of the ones, 1 − alpha that of the zeros;
    -1 for no weights. (Lin et al., Focal loss for dense object detection, 2017)

    >>> import minidl
    >>> sigmoid_focal_loss(minidl.tensor([0.0, 4.0]), minidl.tensor([1.0, 1.0]), alpha=-1)
    tensor([1.7329e-01, 5.8716e-06])
    """
    name = "sigmoid_focal_loss"
    check_reduction(name, reduction)
    _check_gamma(name, gamma)
    if not (alpha == -1 or 0 <= alpha <= 1):
        raise ValueError(f"{name}: alpha must lie in [0, 1], or be -1 for no weights, got {alpha}")
    t = _matched(name, inputs, targets)
    wrong = (-inputs).sigmoid() * t + inputs.sigmoid() * (1 - t)
    losses = _power(wrong, gamma) * binary_cross_entropy_with_logits(inputs, t, reduction="none")
    return _reduced(losses if alpha == -1 else (alpha * t + (1 - alpha) * (1 - t)) * losses, reduction)


def focal_loss(input, target, weight=None, *, gamma=2.0, ignore_index=-100, reduction="mean"):
    """(1 − p)^γ·(−ln p), p = softmax(input)[label]: the focal loss of one class among many. (minidl's own)

    The surprise −ln p, weighted by how wrong the guess was: with γ = 0 the cross-entropy. Shapes, weight, ignore_index and the
    weighted mean are those of cross_entropy with class indices.

    >>> import minidl
    >>> focal_loss(minidl.zeros(1, 4), minidl.tensor([0]), gamma=1.0)  # 0.75 ln 4
    tensor(1.0397)
    """
    check_reduction("focal_loss", reduction)
    _check_gamma("focal_loss", gamma)
    ignore_index = integer("focal_loss", ignore_index, "ignore_index")
    rows, labels = _rows("focal_loss", input, target)
    _check_labels("focal_loss", labels, rows.shape[1], ignore_index)
    weights = None if weight is None else _class_weights("focal_loss", weight, rows)
    weights = _row_weights(labels, weights, ignore_index, rows.dtype)
    surprise = nll_loss(rows.log_softmax(1), wrap(labels), ignore_index=ignore_index, reduction="none")
    losses = wrap(weights) * _power(-(-surprise).expm1(), gamma) * surprise
    if reduction != "mean":
        return losses.sum() if reduction == "sum" else losses.reshape(target.shape)
    return losses.sum() / wrap(_total(weights))


# --- of two distributions


def js_divergence(input, target, *, dim=-1, logits=False, reduction="mean"):
    """½D(P‖M) + ½D(Q‖M), M = ½(P + Q): the Jensen-Shannon divergence, from 0 to ln 2 nats, for all P and Q. (minidl's own)

    What a fair coin that chooses between P and Q shares in information with the outcome. Symmetric.
    input, target: probabilities along dim, or with logits=True what softmax makes such of; one shape. dim is dropped, and the
    reduction goes over the rest. A term 0·ln 0 is 0 and sends the gradient 0 back.

    >>> import minidl
    >>> p, q = minidl.tensor([[1.0, 0.0], [0.5, 0.5]]), minidl.tensor([[0.0, 1.0], [0.5, 0.5]])
    >>> js_divergence(p, q, reduction="none")
    tensor([0.6931, 0.0000])
    """
    name = "js_divergence"
    check_reduction(name, reduction)
    p, q = input, _matched(name, input, target)
    dim = normalize_axis(name, dim, p.ndim)
    if logits:
        p, q = p.softmax(dim), q.softmax(dim)
    else:
        _check_probabilities(name, "input", p, dim)
        _check_probabilities(name, "target", q, dim)
    dtype, p, q = p.dtype, p.double(), q.double()
    parts = [relative_entropy(2 * x, p + q, dim) for x in (p, q)]
    return _reduced(((parts[0] + parts[1]) / 4).to(dtype), reduction)


# --- of two views


def info_nce(query, key, negatives=None, *, temperature=0.1, normalize_vectors=True, reduction="mean"):
    """−ln softmax(query·keys/temperature)[its own key]: contrast each query's key with N − 1 others. (minidl's own)

    ln N − loss, its mean, is a lower bound in nats on the mutual information of the two views, so at most ln N of it is seen.
    query, key: (N, E), row n of one belonging to row n of the other. negatives: None for the other N − 1 keys of the batch, or
    the keys to use in their place: (M, E) for all queries, (N, M, E) for each its own; N is then M + 1.
    normalize_vectors: compare directions (cosine similarity), as is usual. reduction: over the queries.
    (van den Oord, Li and Vinyals, Representation learning with contrastive predictive coding, 2018)

    >>> import minidl
    >>> info_nce(minidl.eye(4), minidl.eye(4), temperature=0.5)  # ln(1 + 3 exp(-2))
    tensor(0.3408)
    >>> info_nce(minidl.eye(4), minidl.ones(4, 4))  # keys that are all alike tell nothing: ln 4
    tensor(1.3863)
    """
    name = "info_nce"
    check_reduction(name, reduction)
    if not temperature > 0:
        raise ValueError(f"{name}: temperature must be above 0, got {temperature}")
    key = _matched(name, query, key)
    if query.ndim != 2:
        raise ValueError(f"{name}: expected queries and keys (N, E), got {query.shape}")
    n, e = query.shape
    vectors = [query, key]
    if negatives is not None:
        expect_tensors(name, negatives=negatives)
        shape = negatives.shape
        if shape not in (shape[-2:-1] + (e,), (n,) + shape[-2:-1] + (e,)) or len(shape) < 2:
            raise ValueError(f"{name}: expected negatives (M, {e}) or ({n}, M, {e}), got {shape}")
        if negatives.dtype != query.dtype:
            raise TypeError(f"{name}: the queries are {query.dtype} and the negatives {negatives.dtype}")
        vectors.append(negatives)
    if normalize_vectors:
        vectors = [normalize(x, dim=-1) for x in vectors]
    query, key = vectors[:2]
    if negatives is None:
        similarity = query @ key.T
        own = arange(n)
    else:
        others = vectors[2]
        against = query @ others.T if others.ndim == 2 else (others @ query.unsqueeze(-1)).squeeze(-1)
        similarity = cat([(query * key).sum(1, keepdim=True), against], 1)
        own = zeros(n, dtype=np.int64)
    return cross_entropy(similarity / temperature, own, reduction=reduction)


# --- helpers


def _check_gamma(name, gamma):
    if not 0 <= gamma < math.inf:
        raise ValueError(f"{name}: gamma must be finite and not negative, got {gamma}")


def _power(wrong, gamma):
    """wrong^γ, held above 0, where the slope of a root is infinite; what it multiplies there is next to 0."""
    return wrong.clamp(min=float(np.finfo(wrong.dtype).tiny)) ** gamma


@repeatable
def _check_probabilities(name, which, p, dim):
    x = p.array
    if (bad := x < 0).any():
        raise ValueError(f"{name}: the {which} holds {x[bad].flat[0]}, which is no probability; for logits use logits=True")
    sums = x.sum(axis=dim, dtype=np.float64)
    off = abs(sums - 1) > float(np.finfo(x.dtype).eps) ** 0.5
    if off.any():
        found = f"the {which} of shape {x.shape} sums to {sums[off].flat[0]:.6g} along dim {dim}"
        raise ValueError(f"{name}: {found}, expected 1; for logits use logits=True")
