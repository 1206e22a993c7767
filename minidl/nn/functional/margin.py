"""Losses that ask for a margin: one score, or one distance, is to be above another by at least so much.

As in loss.py, tensors must have one shape (losses do not broadcast), and reduction is "mean", "sum" or "none".
"""

import numpy as np

from ... import ops
from ...graph.watch import repeatable
from ...tensors.arguments import expect_tensors, number
from ...tensors.record import apply, wrap
from .activation import floating
from .basic import pairwise_distance
from .loss import (
    _broadcast,
    _class_weights,
    _matched,
    _reduced,
    _rows,
    binary_cross_entropy_with_logits,
    check_reduction,
)

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def margin_ranking_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    """max(0, margin − t·(x₁ − x₂)): x₁ is to be larger where t is 1, and x₂ where t is −1. All three of one shape.

    >>> import minidl
    >>> margin_ranking_loss(minidl.tensor([2.0, 1.0]), minidl.tensor([1.0, 3.0]), minidl.tensor([1, 1]), reduction="none")
    tensor([0., 2.])
    """
    name = "margin_ranking_loss"
    check_reduction(name, reduction, size_average, reduce)
    input2, target = _matched(name, input1, input2), _matched(name, input1, target)
    return _reduced((number(name, "margin", margin) - target * (input1 - input2)).clamp(min=0), reduction)


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """x where t is 1, and max(0, margin − x) where t is −1: x is a distance, small for pairs that belong together.

    >>> import minidl
    >>> hinge_embedding_loss(minidl.tensor([0.2, 0.4]), minidl.tensor([1, -1]), reduction="none")
    tensor([0.2000, 0.6000])
    """
    name = "hinge_embedding_loss"
    check_reduction(name, reduction, size_average, reduce)
    target = _signs(name, _matched(name, input, target))
    return _reduced(apply(ops.Where(target), input, (number(name, "margin", margin) - input).clamp(min=0)), reduction)


def cosine_embedding_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    """1 − cos where t is 1, and max(0, cos − margin) where t is −1; cos is the cosine between x₁ and x₂.

    input1, input2: (N, D), target: (N); or (D) and ().

    >>> import minidl
    >>> x = minidl.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> cosine_embedding_loss(x, minidl.tensor([[0.0, 1.0], [3.0, 0.0]]), minidl.tensor([1, -1]), reduction="none")
    tensor([1., 1.])
    """
    name = "cosine_embedding_loss"
    check_reduction(name, reduction, size_average, reduce)
    input2 = _matched(name, input1, input2)
    expect_tensors(name, target=target)
    if input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise ValueError(
            f"{name}: expected inputs (N, D) and a target (N), or (D) and (), got {input1.shape} and {target.shape}"
        )
    squares = ((x * x).sum(-1) + 1e-12 for x in (input1, input2))  # PyTorch's number, which keeps zeros from being divided
    first, second = squares
    cosine = (input1 * input2).sum(-1) / (first * second).sqrt()
    apart = (cosine - number(name, "margin", margin)).clamp(min=0)
    return _reduced(apply(ops.Where(_signs(name, target)), 1 - cosine, apart), reduction)


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """ln(1 + e^{−t·x}), for targets t of 1 and −1.

    >>> import minidl
    >>> soft_margin_loss(minidl.tensor([0.0, 2.0]), minidl.tensor([1, -1]), reduction="none")
    tensor([0.6931, 2.1269])
    """
    check_reduction("soft_margin_loss", reduction, size_average, reduce)
    target = _matched("soft_margin_loss", input, target)
    return _reduced(-apply(ops.LogSigmoid(), target * input), reduction)


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Σ max(0, margin − x[t] + x[i])ᵖ/C over all classes i but t: the score of class t is to be the highest by a margin.

    input: scores (N, C) or (C), target: integers (N) or (). p: 1 or 2. weight: (C), by which the loss of each t is multiplied.

    >>> import minidl
    >>> multi_margin_loss(minidl.tensor([[0.1, 0.2, 0.4, 0.8]]), minidl.tensor([3]))
    tensor(0.3250)
    """
    name = "multi_margin_loss"
    check_reduction(name, reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, got {p!r}")
    rows, labels = _rows(name, input, target)
    if input.ndim > 2:
        raise ValueError(f"{name}: expected an input (N, C) or (C), got shape {input.shape}")
    classes = rows.shape[1]
    _check_classes(name, labels, classes, 0)
    own = rows.gather(1, wrap(labels[:, None]))
    losses = (number(name, "margin", margin) - own + rows).relu()
    losses = losses * losses if p == 2 else losses
    weights = None if weight is None else _class_weights(name, weight, rows)
    shares = _shares_of_others(labels, classes, rows.dtype, weights)
    return _reduced((losses * wrap(shares)).sum(1).reshape(target.shape), reduction)


@repeatable
def _shares_of_others(labels, classes, dtype, weights):
    """1/C for each class, times the weight of the label, and 0 for the label itself."""
    shares = np.full((len(labels), classes), 1 / classes, dtype)
    if weights is not None:
        shares *= weights[labels][:, None]
    shares[np.arange(len(labels)), labels] = 0
    return shares


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Σ max(0, 1 − x[t] + x[i])/C over the labels t of a row and the classes i that are none of them.

    input: scores (N, C) or (C). target: integers of the same shape, the labels of each row, followed by −1.

    >>> import minidl
    >>> multilabel_margin_loss(minidl.tensor([[0.1, 0.2, 0.4, 0.8]]), minidl.tensor([[3, 0, -1, 1]]))
    tensor(0.8500)
    """
    name = "multilabel_margin_loss"
    check_reduction(name, reduction, size_average, reduce)
    expect_tensors(name, target=target)
    floating(name, input)
    if input.ndim not in (1, 2) or target.shape != input.shape or target.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: expected an input (N, C) or (C) and integers of the same shape, got {input.shape} and {target.shape}, "
            f"{target.dtype}"
        )
    classes = input.shape[-1]
    rows = input.reshape(-1, classes)
    places, pairs = _label_pairs(name, target.array.reshape(-1, classes), rows.dtype)
    losses = (1 - rows.gather(1, wrap(places)).unsqueeze(2) + rows.unsqueeze(1)).relu() * wrap(pairs)
    return _reduced((losses.sum((1, 2)) / classes).reshape(input.shape[:-1]), reduction)


@repeatable
def _label_pairs(name, labels, dtype):
    """The labels of each row, 0 behind the last; and 1 for each pair of a label and a class that is none of them, else 0."""
    labels, classes = labels.astype(np.int64), labels.shape[1]
    _check_classes(name, labels, classes, -1)
    given = np.logical_and.accumulate(labels >= 0, 1)  # what follows the first −1 counts for nothing
    wanted = np.zeros(labels.shape, bool)
    wanted[np.nonzero(given)[0], labels[given]] = True
    pairs = given[:, :, None] & ~wanted[:, None, :]
    return np.where(given, labels, 0), pairs.astype(dtype)


def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The mean over the classes (the last axis) of −t·ln σ(x) − (1 − t)·ln σ(−x): each class is a question of yes or no.

    weight: of each class; broadcasts to the input.

    >>> import minidl
    >>> multilabel_soft_margin_loss(minidl.tensor([[0.0, 2.0]]), minidl.tensor([[1.0, 0.0]]))
    tensor(1.4100)
    """
    check_reduction("multilabel_soft_margin_loss", reduction, size_average, reduce)
    target = _matched("multilabel_soft_margin_loss", input, target)
    if not input.ndim:
        raise ValueError("multilabel_soft_margin_loss: expected an input with an axis of classes, got a number")
    losses = binary_cross_entropy_with_logits(input, target, reduction="none")
    weighted = losses if weight is None else losses * _broadcast("multilabel_soft_margin_loss", "weight", weight, input)
    return _reduced(weighted.mean(-1), reduction)


def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"
):
    """max(0, margin + ‖a − p‖ − ‖a − n‖): the positive is to be nearer to the anchor than the negative by a margin.

    anchor, positive, negative: (N, D) or (D). p, eps: of the distance, `pairwise_distance`. swap: where the negative is nearer
    to the positive than to the anchor, that distance counts (Balntas et al., 2016).

    >>> import minidl
    >>> a = minidl.zeros(1, 2)
    >>> triplet_margin_loss(a, minidl.tensor([[3.0, 4.0]]), minidl.tensor([[0.0, 5.5]]))
    tensor(0.5000)
    """
    check_reduction("triplet_margin_loss", reduction, size_average, reduce)
    expect_tensors("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    if anchor.ndim not in (1, 2):
        raise ValueError(f"triplet_margin_loss: expected vectors (N, D) or (D), got shape {anchor.shape}")

    check_reduction("triplet_margin_loss", reduction, size_average, reduce)

    def distance(a, b):
        return pairwise_distance(a, b, p, eps)

    return _triplet("triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """max(0, margin + d(a, p) − d(a, n)), as triplet_margin_loss with a distance of one's own: a function of two tensors.

    >>> import minidl
    >>> x = minidl.tensor([[1.0, 2.0]])
    >>> triplet_margin_with_distance_loss(x, x + 1, x + 2, distance_function=lambda a, b: (a - b).abs().amax(-1))
    tensor(0.)
    """
    name = "triplet_margin_with_distance_loss"
    if distance_function is not None and not callable(distance_function):
        raise TypeError(f"{name}: distance_function must be a function of two tensors, got {distance_function!r}")
    return _triplet(name, anchor, positive, negative, distance_function or pairwise_distance, margin, swap, reduction)


def _triplet(name, anchor, positive, negative, distance, margin, swap, reduction):
    check_reduction(name, reduction)
    margin = number(name, "margin", margin)
    if not margin > 0:
        raise ValueError(f"{name}: margin must be above 0, got {margin}")
    positive, negative = _matched(name, anchor, positive), _matched(name, anchor, negative)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return _reduced((near - far + margin).clamp(min=0), reduction)


@repeatable
def _signs(name, target):
    """Where a target of 1 and −1 is 1, as an array."""
    wrong = abs(target.array) != 1
    if wrong.any():
        raise ValueError(f"{name}: targets must be 1 or -1, got {target.array[wrong][0]}; from 0 and 1 make them by 2 * t - 1")
    return target.array > 0


@repeatable
def _check_classes(name, labels, classes, least):
    bad = (labels < least) | (labels >= classes)
    if bad.any():
        raise IndexError(f"{name}: label {labels[bad][0]} is out of range for {classes} classes: expected 0 to {classes - 1}")
