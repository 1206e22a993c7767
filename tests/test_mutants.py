"""Hundreds of wrong operations, and each must be caught by the check that every right one passes.

A mutant is an operation of the table with one method replaced, by a mistake that somebody has made or could make: a sign, a
factor, a term, an axis, a mask, an option that is ignored. A suite that lets one through would let that bug through too. The
same checks pass on unchanged copies of the same classes, so it is the mistake that fails and not the harness.
"""

import math

import numpy as np
import pytest

from minidl import kernels, ops
from minidl.autograd import GradcheckError
from minidl.ops.base import unbroadcast

from .checks import (
    CHECKS,
    check_again,
    check_far,
    check_float32,
    check_gradient,
    check_layouts,
    check_memory,
    check_needs,
    check_places,
    check_purity,
    check_row,
    check_value,
)
from .table import ROW_OF, TABLE


def right(s, dy):
    """The gradients of the real operation."""
    real = next(kind for kind in type(s).__mro__ if kind.__module__.startswith("minidl."))
    return real.backward(s, dy)


def both(f, g):
    """The backward of a binary operation, from the slope rule for each operand."""

    def backward(s, dy):
        a, b = s.needs
        return unbroadcast(f(s, dy), a.shape) if a else None, unbroadcast(g(s, dy), b.shape) if b else None

    return backward


def cross_entropy_without(**changed):
    def backward(s, dy):
        kept = {"labels": s.labels, "weight": s.weight, "ignore_index": s.ignore_index, "smoothing": s.smoothing}
        return kernels.cross_entropy_backward(dy, s.x, s.shift_and_log, *{**kept, **changed}.values())

    return backward


def attention_with(**changed):
    """The gradients of attention with other arguments."""

    def backward(s, dy):
        kept = {"q": s.q, "k": s.k, "v": s.v, "o": s.y, "lse": s.lse, "mask": s.allowed if s.mask is None else s.mask}
        kept |= {"causal": s.causal, "scale": s.scale, "drop": s.drop, "seed": s.seed}
        changes = {name: value(s) for name, value in changed.items()}
        needs = (*(need is not None for need in s.needs), False)[:4]
        gradients = kernels.attention_backward(dy, **{**kept, **changes}, needs=needs)[: len(s.needs)]
        return tuple(unbroadcast(g, n.shape) if n else None for g, n in zip(gradients, s.needs, strict=True))

    return backward


def overwritten(s, dy, places):
    dx = np.zeros(s.needs[0].shape, dy.dtype)
    dx.reshape(-1)[places] = dy
    return dx


def exchanged(s, dy):
    s.a, s.b = s.b, s.a
    try:
        return right(s, dy)
    finally:
        s.a, s.b = s.b, s.a


def with_changed(s, dy, **changed):
    """The gradients of the real operation when it had saved something else."""
    kept = {name: getattr(s, name) for name in changed}
    vars(s).update(changed)
    try:
        return right(s, dy)
    finally:
        vars(s).update(kept)


def scattered(shape, where, dy):
    """0 with dy at the places, where a later one overwrites an earlier one."""
    dx = np.zeros(shape, dy.dtype)
    dx[where] = dy
    return dx


def as_if(op, s, dy):
    """The gradient as another operation would have it."""
    op.needs = s.needs
    return op.backward(dy)


def with_turned_kernel(s, dy):
    kept, s.w = s.w, np.flip(s.w, (2, 3))
    gradients = right(s, dy)
    s.w = kept
    return gradients


def half_angle(x):
    return 0.5 * (1 + np.tanh(x / 2))


def pooled_without_adding(s, dy):
    """The gradient of max-pooling in which the last of overlapping windows has the word."""
    index, k = s.indices(), len(s.axes)
    planes = math.prod(dy.shape[:-k])
    dx = np.zeros((planes, math.prod(s.needs[0].shape[-k:])), dy.dtype)
    np.put_along_axis(dx, index.reshape(planes, -1), dy.reshape(planes, -1), 1)
    return dx.reshape(s.needs[0].shape)


def taken(s, dy):
    lead = dy.reshape(len(s.places), math.prod(s.sizes))
    return np.take_along_axis(lead, s.places, 1).reshape(s.needs[0].shape)


# (operation, what is wrong with it, its backward), to be caught by the gradient check
BACKWARDS = [
    (ops.Add, "broadcast not summed", lambda s, dy: (dy, dy)),
    (ops.Add, "second operand's sign", both(lambda s, dy: dy, lambda s, dy: -dy)),
    (ops.Add, "second operand forgotten", lambda s, dy: (right(s, dy)[0], None)),
    (ops.Sub, "minus forgotten", both(lambda s, dy: dy, lambda s, dy: dy)),
    (ops.Sub, "minus on the wrong operand", both(lambda s, dy: -dy, lambda s, dy: dy)),
    (ops.Mul, "operands not exchanged", both(lambda s, dy: dy * s.a, lambda s, dy: dy * s.b)),
    (ops.Mul, "broadcast not summed", lambda s, dy: (dy * s.b, dy * s.a)),
    (ops.Mul, "factor 1.001", both(lambda s, dy: dy * s.b * 1.001, lambda s, dy: dy * s.a)),
    (ops.Div, "b not squared", both(lambda s, dy: dy / s.b, lambda s, dy: -dy * s.a / s.b)),
    (ops.Div, "minus forgotten", both(lambda s, dy: dy / s.b, lambda s, dy: dy * s.a / s.b**2)),
    (ops.Neg, "minus forgotten", lambda s, dy: dy),
    (ops.Pow, "exponent not lowered", both(lambda s, dy: dy * s.b * s.a**s.b, lambda s, dy: dy * s.y * np.log(s.a))),
    (ops.Pow, "exponent not in front", both(lambda s, dy: dy * s.a ** (s.b - 1), lambda s, dy: dy * s.y * np.log(s.a))),
    (ops.Pow, "logarithm forgotten", both(lambda s, dy: dy * s.b * s.a ** (s.b - 1), lambda s, dy: dy * s.y)),
    (ops.Remainder, "b's part forgotten", both(lambda s, dy: dy, lambda s, dy: 0 * dy)),
    (ops.Remainder, "b's sign", both(lambda s, dy: dy, lambda s, dy: dy * s.floor)),
    (ops.Maximum, "shares exchanged", both(lambda s, dy: dy * (s.a < s.b), lambda s, dy: dy * (s.a > s.b))),
    (ops.Maximum, "always half and half", both(lambda s, dy: dy / 2, lambda s, dy: dy / 2)),
    (ops.Minimum, "the larger takes it", both(lambda s, dy: dy * (s.a > s.b), lambda s, dy: dy * (s.a < s.b))),
    (ops.Where, "mask forgotten", both(lambda s, dy: dy, lambda s, dy: dy)),
    (ops.Where, "mask inverted", both(lambda s, dy: dy * ~s.condition, lambda s, dy: dy * s.condition)),
    (ops.XLogY, "x for ln y", both(lambda s, dy: dy * s.b, lambda s, dy: dy * s.a / s.b)),
    (ops.XLogY, "a forgotten in db", both(lambda s, dy: dy * np.log(s.b), lambda s, dy: dy / s.b)),
    (ops.Cast, "halved", lambda s, dy: dy / 2),
    (ops.Clone, "detached", lambda s, dy: None),
    # of each element
    (ops.Exp, "x for y", lambda s, dy: dy * np.log(s.y)),
    (ops.Expm1, "eˣ − 1 for eˣ", lambda s, dy: dy * np.expm1(s.x)),
    (ops.Log, "x for 1/x", lambda s, dy: dy * s.x),
    (ops.Log2, "base forgotten", lambda s, dy: dy / s.x),
    (ops.Log2, "divided by the base", lambda s, dy: dy / (s.x * 2)),
    (ops.Log10, "multiplied by ln 10", lambda s, dy: dy / s.x * np.log(10)),
    (ops.Log1p, "1 forgotten", lambda s, dy: dy / s.x),
    (ops.Sqrt, "half forgotten", lambda s, dy: dy / s.y),
    (ops.Sqrt, "square for root", lambda s, dy: dy / (2 * s.y**2)),
    (ops.Rsqrt, "y for y³", lambda s, dy: -dy * s.y / 2),
    (ops.Rsqrt, "sign", lambda s, dy: dy * s.y**3 / 2),
    (ops.Square, "2 forgotten", lambda s, dy: dy * s.x),
    (ops.Reciprocal, "sign", lambda s, dy: dy * s.y**2),
    (ops.Reciprocal, "y for y²", lambda s, dy: -dy * s.y),
    (ops.Abs, "sign forgotten", lambda s, dy: dy),
    (ops.Abs, "x for its sign", lambda s, dy: dy * s.x),
    (ops.Clamp, "mask forgotten", lambda s, dy: dy),
    (ops.Clamp, "upper bound forgotten", lambda s, dy: dy * (s.x >= (-np.inf if s.low is None else s.low))),
    (ops.PiecewiseConstant, "straight through", lambda s, dy: dy),
    (ops.Sin, "sin for cos", lambda s, dy: dy * np.sin(s.x)),
    (ops.Cos, "sign", lambda s, dy: dy * np.sin(s.x)),
    (ops.Tan, "1 forgotten", lambda s, dy: dy * s.y**2),
    (ops.Tan, "minus for plus, as for tanh", lambda s, dy: dy * (1 - s.y**2)),
    (ops.Asin, "root forgotten", lambda s, dy: dy / (1 - s.x**2)),
    (ops.Acos, "sign", lambda s, dy: dy / np.sqrt(1 - s.x**2)),
    (ops.Atan, "minus for plus", lambda s, dy: dy / (1 - s.x**2)),
    (ops.Sinh, "sinh for cosh", lambda s, dy: dy * np.sinh(s.x)),
    (ops.Cosh, "sign, as for cos", lambda s, dy: -dy * np.sinh(s.x)),
    (ops.Tanh, "y for y²", lambda s, dy: dy * (1 - s.y)),
    (ops.Tanh, "tanh taken again", lambda s, dy: dy * (1 - np.tanh(s.y) ** 2)),
    (ops.Erf, "1/√π for 2/√π", lambda s, dy: dy / np.sqrt(np.pi) * np.exp(-(s.x**2))),
    (ops.Erf, "the normal density's exponent", lambda s, dy: dy * 2 / np.sqrt(np.pi) * np.exp(-(s.x**2) / 2)),
    (ops.Erfc, "sign, as for erf", lambda s, dy: dy * 2 / np.sqrt(np.pi) * np.exp(-(s.x**2))),
    (ops.Erfc, "the normal density's factor", lambda s, dy: -dy * np.sqrt(2 / np.pi) * np.exp(-(s.x**2))),
    (ops.Sigmoid, "y for y(1 − y)", lambda s, dy: dy * s.y),
    (ops.Sigmoid, "as if y were x", lambda s, dy: dy * half_angle(s.y) * (1 - half_angle(s.y))),
    (ops.LogSigmoid, "σ(x) for σ(−x)", lambda s, dy: dy * half_angle(s.x)),
    (ops.ReLU, "mask forgotten", lambda s, dy: dy),
    (ops.ReLU, "dy's sign for x's", lambda s, dy: dy * (dy > 0)),
    (ops.ReLU, "values for mask", lambda s, dy: dy * s.y),
    (ops.LeakyReLU, "slope ignored", lambda s, dy: dy * (s.x > 0)),
    (ops.LeakyReLU, "default slope", lambda s, dy: np.where(s.x > 0, dy, 0.01 * dy)),
    (ops.ELU, "alpha ignored", lambda s, dy: np.where(s.x > 0, dy, dy * np.exp(s.x))),
    (ops.ELU, "y for y + alpha", lambda s, dy: np.where(s.x > 0, dy, dy * s.alpha * np.expm1(s.x))),
    (ops.Hardtanh, "slope beyond the bounds", lambda s, dy: dy),
    (ops.Hardtanh, "default bounds", lambda s, dy: np.where((s.x > -1) & (s.x < 1), dy, 0)),
    (ops.Hardswish, "second term forgotten", lambda s, dy: dy * np.clip(s.x / 6 + 0.5, 0, 1)),
    (ops.Hardswish, "x/6 for x/3", lambda s, dy: np.where(s.x <= -3, 0, np.where(s.x >= 3, dy, dy * (s.x / 6 + 0.5)))),
    (ops.Hardswish, "no bounds", lambda s, dy: dy * (s.x / 3 + 0.5)),
    (ops.Softsign, "no square", lambda s, dy: dy / (1 + np.abs(s.x))),
    (ops.Softsign, "x for |x|", lambda s, dy: dy / (1 + s.x) ** 2),
    (ops.GELU, "second term forgotten", lambda s, dy: dy * 0.5 * (1 + kernels.erf(s.x / np.sqrt(2)))),
    (ops.GELU, "approximate ignored", lambda s, dy: kernels.gelu_backward(dy, s.x, False)),
    (ops.SiLU, "second term forgotten", lambda s, dy: dy * half_angle(s.x)),
    (ops.Softplus, "beta ignored", lambda s, dy: kernels.softplus_backward(dy, s.x, 1.0, s.threshold)),
    (ops.Softplus, "threshold ignored", lambda s, dy: kernels.softplus_backward(dy, s.x, s.beta, 1e9)),
    (ops.Dropout, "mask forgotten", lambda s, dy: dy),
    (ops.Dropout, "scale forgotten", lambda s, dy: dy * (s.mask != 0)),
    # reductions
    (ops.Sum, "averaged", lambda s, dy: right(s, dy) / max(np.prod(s.needs[0].shape), 1)),
    (ops.Mean, "not divided", lambda s, dy: ops.Sum.backward(s, dy)),
    (ops.Mean, "divided by all elements", lambda s, dy: ops.Sum.backward(s, dy) / max(np.prod(s.needs[0].shape), 1)),
    (ops.Std, "of the variance", lambda s, dy: 2 * s.restore(dy) * s.scaled),
    (ops.Std, "2 left", lambda s, dy: 2 * right(s, dy)),
    (ops.Var, "2 forgotten", lambda s, dy: s.restore(dy) * s.scaled),
    (ops.Var, "correction ignored", lambda s, dy: right(s, dy) * (1 - s.correction / max(np.prod(s.needs[0].shape), 1))),
    (ops.Var, "not centred", lambda s, dy: 2 * s.restore(dy) * (s.scaled + 0.1)),
    (ops.Prod, "own factor kept", lambda s, dy: right(s, dy) * s.x),
    (ops.Prod, "as a sum", lambda s, dy: np.broadcast_to(s.restore(dy), s.x.shape)),
    (ops.Amax, "every element", lambda s, dy: np.broadcast_to(s.restore(dy), s.x.shape)),
    (ops.Amax, "all but the largest", lambda s, dy: s.restore(dy) - right(s, dy)),
    (ops.Amin, "in reverse", lambda s, dy: np.flip(right(s, dy))),
    (ops.LogSumExp, "not normalised", lambda s, dy: s.restore(dy) * np.exp(s.x)),
    (ops.LogSumExp, "every element", lambda s, dy: np.broadcast_to(s.restore(dy), s.x.shape)),
    (ops.Norm, "sign forgotten", lambda s, dy: np.abs(right(s, dy))),
    (ops.Norm, "p ignored", lambda s, dy: s.restore(dy) * s.x / np.where(s.y == 0, 1, s.y)),
    (ops.Norm, "root forgotten", lambda s, dy: right(s, dy) * s.y),
    (ops.MaxAlongAxis, "off by one", lambda s, dy: np.roll(right(s, dy), 1)),
    (ops.MinAlongAxis, "every element", lambda s, dy: right(s, dy) + dy.sum() / 9),
    (ops.TakeAlongAxis, "off by one", lambda s, dy: np.roll(right(s, dy), 1)),
    (ops.TakeAlongAxis, "every element", lambda s, dy: right(s, dy) + dy.sum() / 9),
    (ops.CumSum, "not in reverse", lambda s, dy: np.cumsum(dy, s.axis).reshape(dy.shape)),
    (ops.CumSum, "itself left out", lambda s, dy: right(s, dy) - dy),
    (ops.Softmax, "diagonal only", lambda s, dy: dy * s.y),
    (ops.Softmax, "as if a sigmoid", lambda s, dy: dy * s.y * (1 - s.y)),
    (ops.Softmax, "summed over everything", lambda s, dy: s.y * (dy - (dy * s.y).sum())),
    (ops.LogSoftmax, "sum forgotten", lambda s, dy: dy),
    (ops.LogSoftmax, "y for e^y", lambda s, dy: dy - s.y * dy.sum(s.axis if dy.ndim else None, keepdims=True)),
    (ops.Exp2, "ln 2 forgotten", lambda s, dy: dy * s.y),
    (ops.Asinh, "− for +", lambda s, dy: dy / np.sqrt(np.abs(s.x * s.x - 1))),
    (ops.Acosh, "+ for −", lambda s, dy: dy / np.sqrt(s.x * s.x + 1)),
    (ops.Atanh, "as atan", lambda s, dy: dy / (1 + s.x * s.x)),
    (ops.Erfinv, "sign in the exponent", lambda s, dy: dy * (np.sqrt(np.pi) / 2 * np.exp(-s.y * s.y))),
    (ops.Erfinv, "x for y", lambda s, dy: dy * (np.sqrt(np.pi) / 2 * np.exp(np.square(kernels.erf(s.y))))),
    (ops.Fmod, "as remainder", both(lambda s, dy: dy, lambda s, dy: -dy * np.floor(s.floor - 0.5))),
    (ops.Fmod, "b's slope forgotten", both(lambda s, dy: dy, lambda s, dy: 0 * dy * s.floor)),
    (ops.Atan2, "operands exchanged", lambda s, dy: exchanged(s, dy)),
    (ops.Atan2, "sign of db", lambda s, dy: (right(s, dy)[0], None if right(s, dy)[1] is None else -right(s, dy)[1])),
    (ops.LogAddExp, "half each", both(lambda s, dy: dy / 2, lambda s, dy: dy / 2)),
    (ops.LogAddExp, "shares exchanged", lambda s, dy: exchanged(s, dy)),
    (ops.Median, "all share it", lambda s, dy: s.spread(dy) / s.x.size),
    (ops.CumProd, "y/x without what follows", lambda s, dy: dy * np.cumprod(s.x, s.axis) / s.x),
    (ops.CumProd, "from the start on", lambda s, dy: np.cumsum(dy * np.cumprod(s.x, s.axis), s.axis) / s.x),
    (ops.LogCumSumExp, "only its own", lambda s, dy: dy * np.exp(s.x - s.y)),
    (ops.LogCumSumExp, "as cumsum", lambda s, dy: np.flip(np.cumsum(np.flip(dy, s.axis), s.axis), s.axis)),
    # products
    (ops.MatMul, "b not transposed", lambda s, dy: (dy @ s.b, right(s, dy)[1]) if s.b.shape == (3, 3) else right(s, dy)),
    (ops.MatMul, "a not transposed", lambda s, dy: (right(s, dy)[0], s.a @ dy) if s.b.shape == (3, 3) else right(s, dy)),
    (ops.MatMul, "operands exchanged", lambda s, dy: right(s, dy)[::-1]),
    (
        ops.MatMul,
        "batch not summed",
        lambda s, dy: (right(s, dy)[0], np.swapaxes(s.a, -1, -2) @ dy) if s.a.ndim > 2 else right(s, dy),
    ),
    (ops.Linear, "weight transposed", lambda s, dy: (dy @ s.w.T, *right(s, dy)[1:]) if s.w.shape == (3, 3) else right(s, dy)),
    (
        ops.Linear,
        "weight's gradient transposed",
        lambda s, dy: (right(s, dy)[0], s.x.T @ dy, *right(s, dy)[2:]) if s.w.shape == (3, 3) else right(s, dy),
    ),
    (ops.ScaledDotProductAttention, "sum's slope forgotten", attention_with(o=lambda s: 0 * s.y)),
    (ops.ScaledDotProductAttention, "later keys seen", attention_with(causal=lambda s: False)),
    (ops.ScaledDotProductAttention, "hidden keys seen", attention_with(mask=lambda s: s.mask)),
    (ops.ScaledDotProductAttention, "dropout forgotten", attention_with(drop=lambda s: 0.0)),
    (ops.ScaledDotProductAttention, "other weights dropped", attention_with(seed=lambda s: s.seed + 1)),
    (ops.ScaledDotProductAttention, "scale's sign", lambda s, dy: (*(-g for g in right(s, dy)[:2]), *right(s, dy)[2:])),
    (ops.ScaledDotProductAttention, "mask scaled", lambda s, dy: (*right(s, dy)[:3], *(s.scale * g for g in right(s, dy)[3:]))),
    (ops.ScaledDotProductAttention, "heads exchanged", lambda s, dy: (right(s, dy)[0][::-1], *right(s, dy)[1:])),
    (ops.RNN, "ReLU for tanh", lambda s, dy: with_changed(s, dy, relu=not s.relu)),
    (ops.RNN, "last state forgotten", lambda s, dy: right(s, [dy[0], 0 * dy[1]])),
    (ops.RNN, "read from the other end", lambda s, dy: with_changed(s, dy, reverse=not s.reverse)),
    (
        ops.RNN,
        "the state after for the one before",
        lambda s, dy: with_changed(s, dy, before=lambda h, _: h[len(h) - len(s.rows(s.x)) :]),
    ),
    (ops.RNN, "second bias forgotten", lambda s, dy: (*right(s, dy)[:-1], None)),
    (ops.LSTM, "last cell forgotten", lambda s, dy: right(s, [*dy[:2], 0 * dy[2]])),
    (ops.LSTM, "outputs forgotten", lambda s, dy: right(s, [0 * dy[0], *dy[1:]])),
    (ops.LSTM, "first states exchanged", lambda s, dy: (right(s, dy)[0], *right(s, dy)[2:0:-1], *right(s, dy)[3:])),
    (ops.LSTM, "gates in another order", lambda s, dy: with_changed(s, dy, gates=np.ascontiguousarray(s.gates[:, ::-1]))),
    (ops.GRU, "reset on the other side", lambda s, dy: with_changed(s, dy, gates=s.gates * 0.99)),
    (
        ops.GRU,
        "weights' rows not put back",
        lambda s, dy: (*right(s, dy)[:2], np.roll(right(s, dy)[2], 1, 0), *right(s, dy)[3:]),
    ),
    (ops.GRU, "first state forgotten", lambda s, dy: (right(s, dy)[0], 0 * right(s, dy)[1], *right(s, dy)[2:])),
    (ops.CTC, "sign", lambda s, dy: -right(s, dy)),
    (ops.CTC, "PyTorch's, for logits", lambda s, dy: right(s, dy) + dy[None, :, None] * np.exp(s.x)),
    (ops.CTC, "another blank", lambda s, dy: with_changed(s, dy, lists=(*s.lists[:3], (s.lists[3] + 1) % s.x.shape[2]))),
    (ops.CTC, "padding counts", lambda s, dy: with_changed(s, dy, lists=(s.lists[0], 0 * s.lists[1] + len(s.x), *s.lists[2:]))),
    (ops.Linear, "bias averaged", lambda s, dy: (*right(s, dy)[:2], *(g / 3 for g in right(s, dy)[2:]))),
    (ops.Einsum, "first factor's twice", lambda s, dy: (2 * right(s, dy)[0], *right(s, dy)[1:])),
    (
        ops.Einsum,
        "summed axis read as 1",
        lambda s, dy: tuple(g / max(g.shape[-1:], default=1) if g.size else g for g in right(s, dy)),
    ),
    # normalisations
    (
        ops.BatchNorm,
        "statistics held fixed",
        lambda s, dy: kernels.batch_norm_backward(dy, s.x, s.w, s.eps, s.stats, False),
    ),
    (
        ops.BatchNorm,
        "given statistics moved",
        lambda s, dy: kernels.batch_norm_backward(dy, s.x, s.w, s.eps, s.stats, True),
    ),
    (ops.BatchNorm, "eps forgotten", lambda s, dy: kernels.batch_norm_backward(dy, s.x, s.w, 0.0, s.stats, s.batch)),
    (ops.BatchNorm, "weight ignored", lambda s, dy: kernels.batch_norm_backward(dy, s.x, None, s.eps, s.stats, s.batch)),
    (ops.BatchNorm, "weight's gradient for the bias", lambda s, dy: (*right(s, dy)[:2], right(s, dy)[1])),
    (
        ops.LayerNorm,
        "weight after the projection",
        lambda s, dy: (
            kernels.layer_norm_backward(dy, s.x, s.axes, None, s.stats)[0] * (1 if s.w is None else s.w),
            *right(s, dy)[1:],
        ),
    ),
    (ops.LayerNorm, "mean held fixed", lambda s, dy: kernels.layer_norm_backward(dy, s.x, s.axes, s.w, s.stats, False)),
    (ops.RMSNorm, "mean moved", lambda s, dy: kernels.layer_norm_backward(dy, s.x, s.axes, s.w, s.stats, True)),
    (ops.RMSNorm, "statistics held fixed", lambda s, dy: (dy * (1 if s.w is None else s.w), *right(s, dy)[1:])),
    (ops.GroupNorm, "weight ignored", lambda s, dy: kernels.group_norm_backward(dy, s.x, s.groups, None, s.stats)),
    (ops.GroupNorm, "weight's gradient not centred", lambda s, dy: (right(s, dy)[0], right(s, dy)[2], right(s, dy)[2])),
    (ops.Cholesky, "diagonal not halved", lambda s, dy: right(s, dy + np.triu(np.tril(dy)))),
    (ops.Cholesky, "as if x were L", lambda s, dy: dy),
    (ops.SolveTriangular, "a not transposed", lambda s, dy: (right(s, dy)[0], np.linalg.solve(s.a, dy))),
    (ops.SolveTriangular, "sign of da", lambda s, dy: (-right(s, dy)[0], right(s, dy)[1])),
    (ops.Lgamma, "ln x for ψ(x)", lambda s, dy: dy * np.log(s.x)),
    (ops.Lgamma, "ψ(x + 1) for ψ(x)", lambda s, dy: dy * kernels.digamma(s.x + 1)),
    (ops.Digamma, "1/x for ψ′(x)", lambda s, dy: dy / s.x),
    (ops.Digamma, "ψ″ for ψ′", lambda s, dy: dy * kernels.polygamma(2, s.x)),
    (ops.Polygamma, "order not raised", lambda s, dy: dy * kernels.polygamma(s.n, s.x)),
    (ops.Polygamma, "sign", lambda s, dy: -right(s, dy)),
    (ops.GammaInc, "sign of da", lambda s, dy: (-right(s, dy)[0], right(s, dy)[1])),
    (ops.GammaInc, "density of ln x for that of x", lambda s, dy: (right(s, dy)[0], right(s, dy)[1] * s.x)),
    (ops.Inverse, "sign", lambda s, dy: -right(s, dy)),
    (ops.Inverse, "not transposed", lambda s, dy: -(s.y @ dy @ s.y)),
    (ops.PseudoInverse, "as if it were the inverse", lambda s, dy: -s.y.mT @ dy @ s.y.mT),
    (ops.PseudoInverse, "x y for 1 - x y", lambda s, dy: right(s, dy) - 2 * dy.mT @ s.y @ s.y.mT),
    (ops.LogDet, "inverse not transposed", lambda s, dy: dy[..., None, None] * np.linalg.inv(s.x)),
    (ops.LogDet, "det for its logarithm", lambda s, dy: right(s, dy) * np.linalg.det(s.x)[..., None, None]),
    (ops.Solve, "a not transposed", lambda s, dy: with_changed(s, dy, a=np.swapaxes(s.a, -1, -2))),
    (ops.Solve, "sign of da", lambda s, dy: (-right(s, dy)[0], right(s, dy)[1])),
    (ops.Det, "inverse for cofactors", lambda s, dy: right(s, dy) / np.linalg.det(s.x)[..., None, None]),
    (ops.Det, "not transposed", lambda s, dy: np.swapaxes(right(s, dy), -1, -2)),
    (ops.Eigh, "vectors' part forgotten", lambda s, dy: right(s, [dy[0], 0 * dy[1]])),
    (ops.Eigh, "values' part forgotten", lambda s, dy: right(s, [0 * dy[0], dy[1]])),
    (ops.Eigh, "gaps' sign", lambda s, dy: 2 * right(s, [dy[0], 0 * dy[1]]) - right(s, dy)),
    (ops.SVD, "u's part forgotten", lambda s, dy: right(s, [0 * dy[0], *dy[1:]])),
    (ops.SVD, "v's part forgotten", lambda s, dy: right(s, [*dy[:2], 0 * dy[2]])),
    (ops.SVD, "values' part forgotten", lambda s, dy: right(s, [dy[0], 0 * dy[1], dy[2]])),
    (ops.QR, "q's part forgotten", lambda s, dy: right(s, [0 * dy[0], dy[1]])),
    (ops.QR, "r's part forgotten", lambda s, dy: right(s, [dy[0], 0 * dy[1]])),
    (ops.QR, "r below the diagonal", lambda s, dy: right(s, [dy[0], np.tril(dy[1])])),
    (ops.ScatterAdd, "index ignored", lambda s, dy: np.resize(dy, s.needs[0].shape)),
    (ops.ScatterExtreme, "x gets all", lambda s, dy: (dy, right(s, dy)[1])),
    (ops.ScatterExtreme, "all v get it", lambda s, dy: (right(s, dy)[0], dy[s.index])),
    (ops.ScatterProd, "as a sum", lambda s, dy: (dy, dy[s.index])),
    (ops.ScatterProd, "x forgotten", lambda s, dy: (right(s, dy)[0], right(s, dy)[1] / s.x[s.index])),
    (ops.AsStrided, "overlaps overwrite", lambda s, dy: overwritten(s, dy, s.places())),
    (ops.AsStrided, "offset forgotten", lambda s, dy: with_changed(s, dy, where=(*s.where[:2], 0))),
    (ops.Windows, "step ignored", lambda s, dy: with_changed(s, dy, step=1)),
    (ops.Windows, "in reverse", lambda s, dy: right(s, np.flip(dy, -1))),
    # losses
    (ops.CrossEntropy, "weight ignored", cross_entropy_without(weight=None)),
    (ops.CrossEntropy, "smoothing ignored", cross_entropy_without(smoothing=0.0)),
    (ops.CrossEntropy, "ignore_index ignored", cross_entropy_without(ignore_index=-100)),
    (ops.CrossEntropy, "cotangent ignored", lambda s, dy: right(s, np.ones_like(dy))),
    (ops.CrossEntropy, "softmax only", lambda s, dy: dy[:, None] * kernels.softmax(s.x, 1)),
    (ops.CrossEntropyTotal, "total ignored", lambda s, dy: ops.CrossEntropy.backward(s, dy.reshape(1))),
    (ops.CrossEntropySoft, "targets' sign", lambda s, dy: (right(s, dy)[0], -right(s, dy)[1])),
    (ops.CrossEntropySoft, "smoothing ignored", lambda s, dy: (right(s, dy)[0], right(s, dy)[1] / (1 - s.smoothing))),
    (
        ops.CrossEntropySoft,
        "weight ignored",
        lambda s, dy: (right(s, dy)[0], right(s, dy)[1] / (1 if s.weight is None else s.weight)),
    ),
    (ops.SquaredError, "mean not divided", lambda s, dy: (2 * dy * s.d, -2 * dy * s.d)),
    (ops.SquaredError, "2 forgotten", lambda s, dy: tuple(g / 2 for g in right(s, dy))),
    (ops.SquaredError, "target's sign", lambda s, dy: (right(s, dy)[0], right(s, dy)[0])),
    (ops.AbsoluteError, "target exchanged", lambda s, dy: right(s, dy)[::-1]),
    (ops.Huber, "scale ignored", lambda s, dy: tuple(g / s.scale for g in right(s, dy))),
    (ops.NegativeLogLikelihoodTotal, "divisor ignored", lambda s, dy: right(s, dy) * s.numbers[2]),
    (ops.NegativeLogLikelihoodTotal, "off by one", lambda s, dy: np.roll(right(s, dy), 1, 1)),
    (ops.NegativeLogLikelihood, "sign", lambda s, dy: -right(s, dy)),
    (ops.NegativeLogLikelihood, "weights ignored", lambda s, dy: np.where(right(s, dy) == 0, 0, -dy[:, None])),
    (ops.NegativeLogLikelihood, "off by one", lambda s, dy: np.roll(right(s, dy), 1, 1)),
    (ops.BinaryCrossEntropy, "denominator forgotten", lambda s, dy: (dy * (s.x - s.t), right(s, dy)[1])),
    (ops.BinaryCrossEntropy, "logarithms exchanged", lambda s, dy: (right(s, dy)[0], -right(s, dy)[1])),
    (ops.BinaryCrossEntropyWithLogits, "target ignored", lambda s, dy: (dy * half_angle(s.x), right(s, dy)[1])),
    (ops.BinaryCrossEntropyWithLogits, "no gradient for targets", lambda s, dy: (right(s, dy)[0], None)),
    (ops.KLDivergence, "sign", lambda s, dy: (dy * s.t, right(s, dy)[1])),
    (ops.KLDivergence, "log_target ignored", lambda s, dy: (right(s, dy)[0], dy * (s.gap + 1))),
    (ops.RelativeEntropy, "q left out", lambda s, dy: (right(s, dy)[0], right(s, dy)[1] - dy)),
    (ops.RelativeEntropy, "p for the logarithm", lambda s, dy: (dy * s.p, right(s, dy)[1])),
    (ops.EntropyFromLogits, "entropy itself forgotten", lambda s, dy: -np.expand_dims(dy, s.axis) * s.p * s.logp),
    (ops.EntropyFromLogits, "probability forgotten", lambda s, dy: -np.expand_dims(dy, s.axis) * (s.logp + s.entropy)),
    # convolutions and images
    (ops.Conv2d, "kernel turned for dx", lambda s, dy: (with_turned_kernel(s, dy)[0], *right(s, dy)[1:])),
    (
        ops.Conv2d,
        "kernel's gradient turned",
        lambda s, dy: (right(s, dy)[0], np.flip(right(s, dy)[1], (2, 3)), *right(s, dy)[2:]),
    ),
    (ops.Conv2dWeight, "off by a column", lambda s, dy: (np.roll(right(s, dy)[0], 1, 3), right(s, dy)[1])),
    (ops.Conv2dWeight, "images exchanged", lambda s, dy: (right(s, dy)[0], -right(s, dy)[1])),
    (ops.Conv2d, "bias averaged", lambda s, dy: (*right(s, dy)[:2], *(g / 4 for g in right(s, dy)[2:]))),
    (ops.Conv2d, "bias of the first image", lambda s, dy: (*right(s, dy)[:2], *(dy[:1].sum((0, 2, 3)) for _ in s.needs[2:]))),
    (ops.Conv2d, "off by a column", lambda s, dy: (np.roll(right(s, dy)[0], 1, 3), *right(s, dy)[1:])),
    (ops.Conv2d, "channels in reverse", lambda s, dy: (right(s, dy)[0], right(s, dy)[1][:, ::-1], *right(s, dy)[2:])),
    (ops.ConvTranspose2d, "kernel turned for dx", lambda s, dy: (with_turned_kernel(s, dy)[0], *right(s, dy)[1:])),
    (ops.ConvTranspose2d, "bias forgotten", lambda s, dy: (*right(s, dy)[:2], *(0 * g for g in right(s, dy)[2:]))),
    (
        ops.ConvTranspose2d,
        "kernel's gradient turned",
        lambda s, dy: (right(s, dy)[0], np.flip(right(s, dy)[1], (2, 3)), *right(s, dy)[2:]),
    ),
    (ops.Unfold, "overlaps averaged", lambda s, dy: right(s, dy) / np.maximum(right(s, np.ones_like(dy)), 1)),
    (ops.Unfold, "windows in reverse", lambda s, dy: right(s, dy[:, :, ::-1])),
    (ops.Fold, "averaged", lambda s, dy: right(s, dy) / 4),
    (ops.Fold, "taps in reverse", lambda s, dy: right(s, dy)[:, ::-1]),
    (ops.Pad, "the border's too", lambda s, dy: right(s, dy) + (dy.sum() - right(s, dy).sum())),
    (ops.Pad, "from the first element", lambda s, dy: dy[tuple(slice(n) for n in s.needs[0].shape)]),
    (ops.PadFromInput, "border forgotten", lambda s, dy: as_if(ops.Pad(s.widths, 0), s, dy)),
    (ops.PadFromInput, "always around the ends", lambda s, dy: as_if(ops.PadFromInput("circular", s.widths), s, dy)),
    (ops.Interpolate, "the first takes all", lambda s, dy: as_if(ops.Interpolate(s.axis, s.low), s, dy)),
    (
        ops.Interpolate,
        "shares exchanged",
        lambda s, dy: right(s, dy) if s.t is None else as_if(ops.Interpolate(s.axis, s.low, s.high, 1 - s.t), s, dy),
    ),
    (ops.Interpolate, "repeats overwrite", lambda s, dy: scattered(s.needs[0].shape, (slice(None),) * s.axis + (s.low,), dy)),
    # arrangements
    (ops.Reshape, "column by column", lambda s, dy: dy.reshape(s.needs[0].shape, order="F")),
    (ops.Permute, "the same axes again", lambda s, dy: dy.transpose(s.axes)),
    (ops.Expand, "averaged", lambda s, dy: right(s, dy) * (right(s, dy).size / dy.size if dy.size else 1)),
    (ops.Expand, "not summed", lambda s, dy: dy),
    (ops.Repeat, "runs for tiles", lambda s, dy: ops.Repeat.backward(s, np.sort(dy, -1) if dy.ndim else dy)),
    (ops.Repeat, "averaged", lambda s, dy: right(s, dy) / max(np.prod(s.repeats), 1)),
    (
        ops.RepeatInterleave,
        "last of each run",
        lambda s, dy: scattered(s.needs[0].shape, (slice(None),) * s.axis + (s.source,), dy),
    ),
    (ops.Flip, "not flipped back", lambda s, dy: dy),
    (ops.Flip, "every axis", lambda s, dy: np.flip(dy)),
    (ops.Roll, "rolled on", lambda s, dy: np.roll(dy, s.shifts, s.axes)),
    (ops.Index, "repeats overwrite", lambda s, dy: scattered(s.needs[0].shape, s.index, dy)),
    (ops.Embedding, "repeats overwrite", lambda s, dy: scattered(s.needs[0].shape, (s.index,), dy)),
    (ops.SetItem, "what was overwritten kept", lambda s, dy: (dy, right(s, dy)[1])),
    (
        ops.SetItem,
        "every repeat counts",
        lambda s, dy: (
            right(s, dy)[0],
            dy[s.index].reshape(right(s, dy)[1].shape) if dy[s.index].size == right(s, dy)[1].size else right(s, dy)[1],
        ),
    ),
    (ops.ReplaceView, "what was overwritten kept", lambda s, dy: (dy, right(s, dy)[1])),
    (ops.ReplaceView, "nothing for the part", lambda s, dy: (right(s, dy)[0], None)),
    (ops.Gather, "repeats overwrite", lambda s, dy: scattered(s.needs[0].shape, s.where, dy)),
    (ops.Cat, "in reverse", lambda s, dy: tuple(np.split(np.flip(dy, s.axis), np.cumsum(s.sizes)[:-1], s.axis))),
    (ops.Unbind, "in reverse", lambda s, dy: right(s, dy[::-1])),
    (ops.Unbind, "one forgotten", lambda s, dy: right(s, [*dy[:-1], 0 * dy[-1]])),
    (ops.Stack, "in reverse", lambda s, dy: right(s, dy)[::-1]),
    (ops.Diagonal, "in reverse", lambda s, dy: right(s, np.flip(dy, -1))),
    (ops.Triangle, "mask forgotten", lambda s, dy: dy),
    (ops.Triangle, "k ignored", lambda s, dy: s.cut(dy, 0)),
    (ops.Triangle, "the other triangle", lambda s, dy: dy - right(s, dy)),
    (ops.TopK, "off by one", lambda s, dy: np.roll(right(s, dy), 1, -1)),
    (ops.Sort, "taken instead of put", lambda s, dy: np.take_along_axis(dy, s.index, s.axis)),
    # pooling
    (ops.MaxPool, "overlaps overwrite", pooled_without_adding),
    (ops.MaxPool, "all taps alike", lambda s, dy: kernels.mean_pool_backward(dy, s.axes)),
    (ops.MaxPool, "next to the maximum", lambda s, dy: np.roll(right(s, dy), 1, -1)),
    (ops.MeanPool, "not divided", lambda s, dy: kernels.mean_pool_backward(dy, s.axes, divisor=1)),
    (ops.MeanPool, "padding always counted", lambda s, dy: kernels.mean_pool_backward(dy, s.axes, True, s.divisor)),
    (ops.MeanPool, "divisor ignored", lambda s, dy: kernels.mean_pool_backward(dy, s.axes, s.count_include_pad)),
    (ops.MaxUnpool, "overwritten ones kept", lambda s, dy: taken(s, dy)),
    (ops.MaxUnpool, "index ignored", lambda s, dy: np.resize(dy, s.needs[0].shape)),
]


def batch_norm_in_place(s, x, w, b):
    y = ops.BatchNorm.forward(s, x, w, b)
    s.given = s.stats
    return y


def max_unpool_in_place(s, x):
    y = ops.MaxUnpool.forward(s, x)
    s.index = s.places
    return y


def by_address(s, x):
    return ops.Var.forward(s, x) * (1 + 1e-15 * (x.ctypes.data & 48))


# (operation, what is wrong with it, the methods replaced, the check that must notice)
OTHERS = [
    (ops.Sum, "axes put back at the end", {"restore": lambda s, y: y.reshape(y.shape + (1,) * (2 - y.ndim))}, check_gradient),
    (ops.AbsoluteError, "as if squared", {"slope": lambda s, d: d}, check_gradient),
    (ops.Huber, "delta ignored", {"slope": lambda s, d: s.scale * d}, check_gradient),
    (
        ops.ScaledDotProductAttention,
        "forward ignores scale",
        {"forward": lambda s, *xs: ops.ScaledDotProductAttention(1.0, s.causal, s.allowed, s.drop, s.seed).forward(*xs)},
        check_value,
    ),
    (ops.RNN, "forward ignores reverse", {"forward": lambda s, *xs: ops.RNN(s.sizes, False, s.relu).forward(*xs)}, check_value),
    (ops.GRU, "forward resets after", {"forward": lambda s, *xs: ops.GRU(s.sizes, s.reverse).forward(*xs)}, check_value),
    (ops.LSTM, "forward forgets c", {"forward": lambda s, x, h, c, *ws: ops.LSTM.forward(s, x, h, 0 * c, *ws)}, check_value),
    (ops.CTC, "infinity kept", {"forward": lambda s, x: ops.CTC(*s.lists).forward(x)}, check_value),
    (ops.Mean, "forward sums", {"forward": ops.Sum.forward}, check_value),
    (ops.ReLU, "forward takes |x|", {"forward": lambda s, x: np.abs(x)}, check_value),
    (ops.ELU, "forward ignores alpha", {"forward": lambda s, x: kernels.elu(x, 1.0)}, check_value),
    (
        ops.BatchNorm,
        "unbiased variance",
        {"forward": lambda s, x, w, b: ops.BatchNorm.forward(s, x, w, b) * (1 - 0.5 / max(len(x), 1))},
        check_value,
    ),
    (
        ops.GroupNorm,
        "forward makes one group",
        {"forward": lambda s, x, w, b: kernels.group_norm(x, 1, w, b, s.eps)[0]},
        check_value,
    ),
    (ops.Var, "forward ignores correction", {"forward": lambda s, x: x.var(s.axes, keepdims=s.keepdim)}, check_value),
    (ops.Softmax, "forward ignores axis", {"forward": lambda s, x: kernels.softmax(x, -1)}, check_value),
    (ops.Amax, "forward ignores keepdim", {"forward": lambda s, x: x.max(s.axes)}, check_value),
    (
        ops.Mul,
        "float64 gradients",
        {"backward": lambda s, dy: tuple(g if g is None else g.astype(float) for g in right(s, dy))},
        check_float32,
    ),
    (ops.Expm1, "y + 1 for eˣ", {"backward": lambda s, dy: dy * (np.expm1(s.x) + 1)}, check_far),
    (
        ops.SiLU,
        "1 − σ(x) for σ(−x)",
        {"backward": lambda s, dy: dy * (1 - half_angle(-s.x)) * (1 + s.x * (1 - half_angle(s.x)))},
        check_far,
    ),
    (ops.BatchNorm, "statistics in the option's place", {"forward": batch_norm_in_place}, check_again),
    (ops.MaxUnpool, "places in the option's place", {"forward": max_unpool_in_place}, check_again),
    (ops.Exp, "float64 values", {"forward": lambda s, x: ops.Exp.forward(s, x).astype(float)}, check_float32),
    (
        ops.Mul,
        "gradients only for both at once",
        {"backward": lambda s, dy: right(s, dy) if all(s.needs) else (None, None)},
        check_needs,
    ),
    (
        ops.Linear,
        "memory order for element order",
        {"backward": lambda s, dy: right(s, dy.ravel("K").reshape(dy.shape))},
        check_layouts,
    ),
    (ops.Neg, "forward in memory order", {"forward": lambda s, x: -x.ravel("K").reshape(x.shape)}, check_layouts),
    (ops.Neg, "cotangent overwritten", {"backward": lambda s, dy: np.negative(dy, out=dy)}, check_purity),
    (ops.Abs, "input overwritten", {"forward": lambda s, x: np.abs(ops.Abs.forward(s, x), out=x)}, check_purity),
    (
        ops.Tanh,
        "saved array used up",
        {"backward": lambda s, dy: np.multiply(s.y, s.y, out=s.y) * 0 + right(s, dy)},
        check_purity,
    ),
    (ops.Clone, "no copy", {"forward": lambda s, x: x}, check_memory),
    (ops.Add, "one array twice", {"backward": lambda s, dy: (dy.copy(),) * 2}, check_memory),
    (ops.Var, "what depends on the address", {"forward": by_address}, check_places),
    (ops.Neg, "what was in the memory", {"backward": lambda s, dy: 0 * np.empty_like(dy) - dy}, check_places),
    (ops.Dropout, "a saved array", {"backward": lambda s, dy: np.multiply(dy, s.mask, out=s.mask)}, check_memory),
]
MUTANTS = [(op, what, {"backward": backward}, check_gradient) for op, what, backward in BACKWARDS] + OTHERS


def caught(check, row, mutant):
    """Whether the check fails on some case. An operation that breaks down in another way is no catch, and raises."""
    for case in row.cases:
        try:
            with np.errstate(all="ignore"):
                check(case, mutant)
        except (AssertionError, GradcheckError):
            return True
    return False


@pytest.mark.parametrize(("op", "what", "methods", "check"), MUTANTS, ids=[f"{m[0].__name__}: {m[1]}" for m in MUTANTS])
def test_promise_04_mutant_is_caught(op, what, methods, check):
    mutant = type(f"{op.__name__}Mutant", (op,), methods)
    assert caught(check, ROW_OF[op], mutant), f"{op.__name__}, {what}: {check.__name__} lets it pass"


@pytest.mark.parametrize("check", dict.fromkeys(m[3] for m in MUTANTS), ids=lambda check: check.__name__)
def test_an_unchanged_copy_passes_the_same_check(check):
    for op in dict.fromkeys(m[0] for m in MUTANTS if m[3] is check):
        check_row(check, ROW_OF[op], type(f"{op.__name__}Copy", (op,), {}))


def test_mutants_are_many_and_everywhere():
    assert len(MUTANTS) >= 276
    assert {m[3] for m in MUTANTS} == set(CHECKS)
    mutated = {m[0] for m in MUTANTS if m[3] is check_gradient}
    unmutated = [row.op.__name__ for row in TABLE if row.op not in mutated]
    assert not unmutated, f"give each a wrong backward in tests/test_mutants.py: {unmutated}"
