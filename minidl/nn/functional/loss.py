"""Losses. Logarithms are natural (nats). Input and target must have one shape: only gaussian_nll_loss broadcasts its target.

reduction says what becomes of the losses of the elements (or rows): "mean", "sum", or "none" for all of them. size_average and
reduce are PyTorch's old words for it; they are in the signatures so that an old call raises, and says what to write.
"""

import math

import numpy as np

from ... import kernels, ops
from ...graph.watch import repeatable
from ...ops.base import normalize_axis
from ...tensors.arguments import expect_tensors, integer, number, within
from ...tensors.record import apply, number_array, remedy_for, unary, wrap
from ...tensors.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "entropy_from_logits",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]

# --- numbers


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """(x − t)²; with a weight of the input's shape for each element, whose mean divides by the sum of the weights.

    >>> import minidl
    >>> mse_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(2.)
    """
    check_reduction("mse_loss", reduction, size_average, reduce)
    if weight is not None:
        return _weighted("mse_loss", (input - _matched("mse_loss", input, target)).square(), weight, reduction)
    return apply(ops.SquaredError(reduction), input, _matched("mse_loss", input, target))


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """|x − t|; weight as in mse_loss.

    >>> import minidl
    >>> l1_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(1.)
    """
    check_reduction("l1_loss", reduction, size_average, reduce)
    if weight is not None:
        return _weighted("l1_loss", (input - _matched("l1_loss", input, target)).abs(), weight, reduction)
    return apply(ops.AbsoluteError(reduction), input, _matched("l1_loss", input, target))


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """½(x − t)²/beta where |x − t| < beta, else |x − t| − ½beta

    >>> import minidl
    >>> smooth_l1_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([1.5, 4.0]), reduction="none")
    tensor([0.1250, 1.5000])
    """
    check_reduction("smooth_l1_loss", reduction, size_average, reduce)
    if not isinstance(beta, (int, float, np.integer, np.floating)) or not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta must be 0 or more, got {beta}")
    target = _matched("smooth_l1_loss", input, target)
    return apply(ops.Huber(reduction, beta, 1 / beta) if beta else ops.AbsoluteError(reduction), input, target)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """½(x − t)² where |x − t| ≤ delta, else delta·(|x − t| − ½delta); times the weight, if given: the mean is the plain one.

    >>> import minidl
    >>> huber_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([1.5, 4.0]), reduction="none")
    tensor([0.1250, 1.5000])
    """
    check_reduction("huber_loss", reduction)
    if not isinstance(delta, (int, float, np.integer, np.floating)) or not delta > 0:
        raise ValueError(f"huber_loss: delta must be above 0, got {delta}")
    target = _matched("huber_loss", input, target)
    if weight is not None:
        return _reduced(_weighted("huber_loss", apply(ops.Huber("none", delta, 1), input, target), weight, "none"), reduction)
    return apply(ops.Huber(reduction, delta, 1), input, target)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """½(ln v + (x − t)²/v), v the variance, at least eps; with full also the constant ½ln 2π.

    var: a number, or a tensor of the input's shape, or of that shape with a last axis of 1 or none (one variance for each row).
    target: of the input's shape, or one that broadcasts to it, as in PyTorch: (), (D) or (N, 1) for an input (N, D). The input
    does not grow, so (N, 1) and (N) raise, as in all losses.

    >>> import minidl
    >>> gaussian_nll_loss(minidl.tensor([1.0]), minidl.tensor([2.0]), minidl.tensor([1.0]))
    tensor(0.5000)
    """
    check_reduction("gaussian_nll_loss", reduction)
    target = _matched("gaussian_nll_loss", input, _widened(input, target))
    if not isinstance(var, Tensor):
        if not isinstance(var, (int, float, np.integer, np.floating)):
            raise TypeError(f"gaussian_nll_loss: var must be a Tensor or a number, got {type(var).__name__}")
        var = wrap(np.full(input.shape, number_array("gaussian_nll_loss", var, input.dtype)))
    if not isinstance(eps, (int, float, np.integer, np.floating)) or not eps >= 0:
        raise ValueError(f"gaussian_nll_loss: eps must be a number of 0 or more, got {eps!r}")
    _check_variances(var.array)
    if var.shape != input.shape and var.shape == input.shape[:-1]:
        var = var.unsqueeze(-1)
    single = [m for m, n in zip(var.shape, input.shape, strict=False) if m != n]
    if var.ndim != input.ndim or single not in ([], [1]):
        raise ValueError(
            f"gaussian_nll_loss: a variance of shape {var.shape} does not fit an input of shape {input.shape}: expected the "
            "same, or 1 instead of one size"
        )
    var = var + (eps - var.detach()).clamp(min=0)  # held at eps, but with the slope of the variance itself, as in PyTorch
    losses = (var.log() + (input - target).square() / var) * 0.5
    return _reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def poisson_nll_loss(input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"):
    """eˣ − t·x, for x the logarithm of the mean of a count t; without log_input x − t·ln(x + eps), for x the mean itself.

    full: with Stirling's approximation of ln t! where t > 1: t·ln t − t + ½ln 2πt.

    >>> import minidl
    >>> poisson_nll_loss(minidl.tensor([0.0, 1.0]), minidl.tensor([1.0, 2.0]), reduction="none")
    tensor([1.0000, 0.7183])
    """
    name = "poisson_nll_loss"
    check_reduction(name, reduction, size_average, reduce)
    eps = number(name, "eps", eps)
    target = _matched(name, input, target)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        count = target.clamp(min=1)  # where t ≤ 1 no term is added, and 0·ln 0 must not be NaN
        stirling = count * count.log() - count + (2 * math.pi * count).log() * 0.5
        losses = losses + stirling.masked_fill(target <= 1, 0)
    return _reduced(losses, reduction)


# --- classes


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """−ln softmax(input)[label]: logits against class indices or class probabilities.

    The cross-entropy CE(T, P) = H(T) + D(T‖P) of the targets T and the predictions P; of an index, the surprise at it.
    input: logits (N, C), (N, C, d₁, …) or (C). target: integers (N), (N, d₁, …) or (), or probabilities of the input's shape.
    weight: (C), the weight of each class. ignore_index: a label whose row counts for nothing.
    label_smoothing: ε mixes the target with the uniform distribution, (1 − ε)·target + ε/C.
    The mean over indices is weighted: it divides by the sum of the labels' weights, and is NaN if every label is ignored. The
    mean over probabilities divides by the number of rows.

    >>> import minidl
    >>> cross_entropy(minidl.tensor([[0.3, 0.6, 0.1], [0.2, 0.3, 0.5]]).log(), minidl.tensor([0, 2]))
    tensor(0.9486)
    """
    name = "cross_entropy"
    if size_average is not None or reduce is not None or reduction not in ("mean", "sum", "none"):
        check_reduction(name, reduction, size_average, reduce)
    try:
        fits = 0 <= label_smoothing <= 1
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(f"cross_entropy: label_smoothing must lie in [0, 1], got {label_smoothing!r}")
    try:
        soft = target.array.dtype.kind == "f" and target.array.shape == input.array.shape
    except AttributeError:
        raise _not_tensors(name, input, target) from None
    if soft:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    rows, labels = _rows(name, input, target)
    if type(ignore_index) is not int:
        ignore_index = integer(name, ignore_index, "ignore_index")
    weights = None if weight is None else _class_weights(name, weight, rows)
    smoothing = number(name, "label_smoothing", label_smoothing)
    if reduction == "none":
        return apply(ops.CrossEntropy(labels, weights, ignore_index, smoothing), rows).reshape(target.shape)
    return apply(ops.CrossEntropyTotal(labels, weights, ignore_index, smoothing, reduction == "mean"), rows)


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """−input[label]: log-probabilities against class indices. Shapes, weight, ignore_index and mean as in cross_entropy.

    The surprise at each label; its mean is the cross-entropy of what was observed and what was predicted.
    >>> import minidl
    >>> nll_loss(minidl.tensor([[0.3, 0.6, 0.1], [0.2, 0.3, 0.5]]).log(), minidl.tensor([0, 2]))
    tensor(0.9486)
    """
    if size_average is not None or reduce is not None or reduction not in ("mean", "sum", "none"):
        check_reduction("nll_loss", reduction, size_average, reduce)
    if type(ignore_index) is not int:
        ignore_index = integer("nll_loss", ignore_index, "ignore_index")
    rows, labels = _rows("nll_loss", input, target)
    weights = None if weight is None else _class_weights("nll_loss", weight, rows)
    if reduction != "none":
        return unary(ops.NegativeLogLikelihoodTotal(labels, weights, ignore_index, reduction == "mean"), rows)
    _check_labels("nll_loss", labels, rows.shape[1], ignore_index)
    weights = _row_weights(labels, weights, ignore_index, rows.dtype)
    return apply(ops.NegativeLogLikelihood(labels, weights), rows).reshape(target.shape)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """−t·ln x − (1 − t)·ln(1 − x), for probabilities x; logarithms below −100 count as −100, as in PyTorch.

    The cross-entropy of two coins, (t, 1 − t) and (x, 1 − x).
    weight: broadcasts to the input. From logits, binary_cross_entropy_with_logits is exact.

    >>> import minidl
    >>> binary_cross_entropy(minidl.tensor([0.5, 0.9]), minidl.tensor([0.0, 1.0]), reduction="none")
    tensor([0.6931, 0.1054])
    """
    name = "binary_cross_entropy"
    check_reduction(name, reduction, size_average, reduce)
    target = _matched(name, input, target)
    _check_shares(name, input.array)
    losses = apply(ops.BinaryCrossEntropy(), input, target)
    return _reduced(losses if weight is None else losses * _broadcast(name, "weight", weight, input), reduction)


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """−p·t·ln σ(x) − (1 − t)·ln σ(−x), for logits x; p is pos_weight, 1 by default.

    The cross-entropy of two coins, (t, 1 − t) and (σ(x), σ(−x)).
    weight, pos_weight: broadcast to the input.

    >>> import minidl
    >>> binary_cross_entropy_with_logits(minidl.tensor([0.0, 1000.0]), minidl.tensor([0.0, 1.0]), reduction="none")
    tensor([0.6931, 0.0000])
    """
    name = "binary_cross_entropy_with_logits"
    check_reduction(name, reduction, size_average, reduce)
    target = _matched(name, input, target)
    if pos_weight is None:
        losses = apply(ops.BinaryCrossEntropyWithLogits(), input, target)
    else:
        # −p·t·ln σ(x) − (1 − t)·ln σ(−x); 0·ln 0 counts as 0, so there the logarithm is taken of σ(0)
        ones, zeros = _broadcast(name, "pos_weight", pos_weight, input) * target, 1 - target
        log_p = apply(ops.LogSigmoid(), input.masked_fill((ones == 0) & (input == -math.inf), 0))
        log_q = apply(ops.LogSigmoid(), (-input).masked_fill((zeros == 0) & (input == math.inf), 0))
        losses = -ones * log_p - zeros * log_q
    return _reduced(losses if weight is None else losses * _broadcast(name, "weight", weight, input), reduction)


# --- distributions


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """t·(ln t − x), for log-probabilities x and probabilities t (or their logarithms); 0 where t is 0.

    Summed over outcomes the Kullback-Leibler divergence D(T‖X) = CE(T, X) − H(T).
    reduction: "batchmean", the sum divided by the size of the first axis, is the divergence of distributions in rows; "mean"
    divides by the number of elements, as in PyTorch.

    >>> import minidl
    >>> q, p = minidl.tensor([[0.5, 0.5]]), minidl.tensor([[0.0, 1.0]])
    >>> kl_div(q.log(), p, reduction="batchmean")
    tensor(0.6931)
    """
    check_reduction("kl_div", reduction, size_average, reduce, ("batchmean", "mean", "sum", "none"))
    losses = apply(ops.KLDivergence(bool(log_target)), input, _matched("kl_div", input, target))
    if reduction != "batchmean":
        return _reduced(losses, reduction)
    return losses.sum() / (input.shape[0] if input.ndim else 1)


def entropy_from_logits(logits, dim=-1):
    """−Σ p ln p in nats, for p = softmax(logits) along dim, which is dropped. Finite gradients also at p = 0. (minidl's own)

    >>> import minidl
    >>> entropy_from_logits(minidl.zeros(4))
    tensor(1.3863)
    """
    expect_tensors("entropy_from_logits", logits=logits)
    if logits.dtype.kind != "f":
        raise TypeError(f"entropy_from_logits: expected floating-point logits, got {logits.dtype}")
    return apply(ops.EntropyFromLogits(normalize_axis("entropy_from_logits", dim, logits.ndim)), logits)


# --- helpers


def check_reduction(name, reduction, size_average=None, reduce=None, allowed=("mean", "sum", "none")):
    """Raises for another reduction, and for the old words for one."""
    if size_average is not None or reduce is not None:
        wanted = "none" if reduce is not None and not reduce else "mean" if size_average in (None, True) else "sum"
        raise TypeError(f"{name}: size_average and reduce are PyTorch's old words for reduction; write reduction={wanted!r}")
    if not isinstance(reduction, str) or reduction not in allowed:
        words = ", ".join(map(repr, allowed[:-1]))
        raise ValueError(f"{name}: reduction must be {words} or {allowed[-1]!r}, got {reduction!r}")


def _weighted(name, losses, weight, reduction):
    """With a weight for each element: what is reduced, the mean by the sum of the weights."""
    expect_tensors(name, weight=weight)
    if weight.shape != losses.shape:
        raise ValueError(f"{name}: expected a weight of the input's shape {losses.shape}, got {weight.shape}")
    return (losses * weight).sum() / weight.sum() if reduction == "mean" else _reduced(losses * weight, reduction)


def _not_tensors(name, input, target):
    wrong = target if isinstance(input, Tensor) else input
    kinds = f"{type(input).__name__} and {type(target).__name__}{remedy_for(wrong)}"
    return TypeError(f"{name}: expected two Tensors, got {kinds}")


def _reduced(losses, reduction):
    return losses.mean() if reduction == "mean" else losses.sum() if reduction == "sum" else losses


def _matched(name, input, target):
    """The target, in the input's dtype if it holds integers; raises unless both have one shape and dtype."""
    try:
        x, t = input.array, target.array
    except AttributeError:
        raise _not_tensors(name, input, target) from None
    if x.shape != t.shape:
        advice = "give both the same shape"
        if x.size == t.size:
            advice = f"if its elements correspond, use target.reshape{x.shape} (or the input in the target's shape)"
        raise ValueError(f"{name}: input {x.shape} and target {t.shape} differ, and losses do not broadcast: {advice}")
    if x.dtype is not t.dtype or x.dtype.kind != "f":
        if x.dtype.kind == "f" and t.dtype.kind in "iub":
            return target.to(x.dtype)
        if x.dtype != t.dtype or x.dtype.kind != "f":
            raise TypeError(
                f"{name}: the input is {x.dtype} and the target {t.dtype}; expected one floating-point dtype, as by "
                "target.to(input.dtype)"
            )
    return target


def _widened(input, target):
    """The target, repeated to the input's shape where it broadcasts to it; what does not is left to the check of the shapes."""
    if isinstance(input, Tensor) and isinstance(target, Tensor) and target.shape != input.shape:
        front = input.ndim - target.ndim
        if front >= 0 and all(n in (1, m) for m, n in zip(input.shape[front:], target.shape, strict=True)):
            return target.expand(input.shape)
    return target


def _broadcast(name, what, weight, input):
    if not isinstance(weight, Tensor):
        raise TypeError(f"{name}: {what} must be a Tensor, got {type(weight).__name__}")
    try:
        return weight.to(input.dtype).expand(input.shape)
    except ValueError:
        raise ValueError(f"{name}: {what} of shape {weight.shape} does not broadcast to the input {input.shape}") from None


def _rows(name, input, target):
    """The input as rows (n, C), and the labels as int64 (n)."""
    try:
        x, labels = input.array, target.array
    except AttributeError:
        raise _not_tensors(name, input, target) from None
    if x.ndim == 2 and labels.dtype is _int64 and labels.shape == x.shape[:1] and x.dtype.kind == "f":  # the usual call
        return input, labels
    if x.ndim != 2 and x.ndim and labels.shape == x.shape[:1] * (x.ndim > 1) + x.shape[2:]:
        input = (input.movedim(1, -1) if x.ndim > 2 else input).reshape(-1, x.shape[min(1, x.ndim - 1)])
        x, labels = input.array, labels.reshape(-1)
    if x.ndim != 2 or labels.shape != x.shape[:1] or labels.dtype.kind not in "iu" or x.dtype.kind != "f":
        _refuse_rows(name, input, target)
    if labels.dtype is not _int64:
        labels = kernels.to_int64(labels)
    return input, labels


@repeatable
def _check_shares(name, x):
    outside = ~((x >= 0) & (x <= 1) | np.isnan(x))
    if outside.any():
        raise ValueError(
            f"{name}: expected probabilities in [0, 1], got {x[outside][0]}; for logits use binary_cross_entropy_with_logits"
        )


@repeatable
def _check_variances(x):
    if (x < 0).any():
        raise ValueError(f"gaussian_nll_loss: a variance cannot be negative, got {x.min()}")


@repeatable
def _check_labels(name, labels, classes, ignore_index):
    if within(labels, classes):
        return
    bad = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
    if bad.any():
        raise IndexError(
            f"{name}: label {labels[bad][0]} at index {bad.argmax()} is out of range for {classes} classes: "
            f"expected 0 to {classes - 1}, or ignore_index {ignore_index}"
        )


_int64 = np.dtype(np.int64)


def _refuse_rows(name, input, target):
    x, t = input.array, target.array
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating-point input, got {x.dtype}; give it the logits, not their argmax")
    wanted = x.shape[:1] * (x.ndim > 1) + x.shape[2:]
    if t.dtype.kind not in "iu" and t.shape == wanted:
        raise TypeError(f"{name}: labels must be integers, got {t.dtype}; use target.long()")
    hint = ""
    if name == "cross_entropy" and t.shape == x.shape:
        hint = "; probabilities must be floating-point: target.float()"
    elif t.size == math.prod(wanted):
        hint = f"; use target.reshape{wanted}"
    raise ValueError(f"{name}: an input of shape {x.shape} needs labels of shape {wanted}, got {t.shape}{hint}")


def _class_weights(name, weight, rows):
    """The weight of each class, as an array."""
    classes = rows.shape[1]
    if not isinstance(weight, Tensor) or weight.shape != (classes,) or weight.dtype != rows.dtype:
        got = f"{weight.dtype} {weight.shape}" if isinstance(weight, Tensor) else type(weight).__name__ + remedy_for(weight)
        raise ValueError(
            f"{name}: weight must be a {rows.dtype} tensor with one weight for each of {classes} classes, got {got}"
        )
    if weight.requires_grad:
        raise NotImplementedError(f"{name}: there is no gradient with respect to weight; use weight.detach()")
    return weight.array


@repeatable
def _total(weights):
    """The sum of the weights of all rows; NaN if it is 0. An array, as a number would be the same in all calls of a replay."""
    total = kernels.total(weights, (0,))
    return np.where(total == 0, math.nan, total).astype(weights.dtype)


@repeatable
def _row_weights(labels, weights, ignore_index, dtype):
    """The weight of each row: that of its class, or 1; 0 if it is to be ignored."""
    kept = labels != ignore_index
    if weights is None:
        return kept.astype(dtype)
    return np.where(kept, weights[np.where(kept, labels, 0)], dtype.type(0))


def _soft_cross_entropy(input, target, weight, reduction, label_smoothing):
    name, shape = "cross_entropy", input.shape
    target = _matched(name, input, target)
    if not shape:
        raise ValueError("cross_entropy: expected an input with an axis of classes, got a number")
    axis = min(1, len(shape) - 1)
    rows, targets = (x.movedim(axis, -1).reshape(-1, shape[axis]) for x in (input, target))
    weights = None if weight is None else _class_weights(name, weight, rows)
    losses = apply(ops.CrossEntropySoft(weights, number(name, "label_smoothing", label_smoothing)), rows, targets)
    if reduction == "none":
        return losses.reshape(shape[:axis] + shape[axis + 1 :])
    return _reduced(losses, reduction)
