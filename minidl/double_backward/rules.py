"""Backwards written a second time, in tensors: those that `ops/` has for arrays alone. `self` is the operation with tensors."""

import copy
import math

import numpy as np

from .. import ops
from ..graph.nodes import next_serial
from ..ops import arithmetic, reduce
from ..ops.shape import is_basic
from ..tensors.record import TensorBase, apply, wrap
from .linear import Adjoint
from .meanings import as_tensor


def distance(self, dy):
    node = ops.Sub()  # d = x − t was saved, not x and t
    node.needs, node.shape, node.serial = self.inputs, self.d.shape, next_serial()
    self.d = wrap(self.d.array, node)
    return self.backward(dy)


def of_two(self, dy):
    share = wrap(arithmetic.shares(self.wins, _array(self.a), _array(self.b), dy.dtype))
    a, b = self.needs
    return _sum_to(dy * share, a.shape) if a else None, _sum_to(dy * (1 - share), b.shape) if b else None


def _array(x):
    return x.array if isinstance(x, TensorBase) else x


def extreme(self, dy):
    return self.restore(dy) * wrap(reduce.shares(self.x.array, self.restore(self.y.array), self.axes))


def picked(self, dy):
    return apply(Adjoint(ops.TakeAlongAxis(self.index, self.axis, self.keepdim), self.needs[0].shape), dy)


def in_order(self, dy):
    return apply(Adjoint(ops.Sort(self.index, self.axis), self.needs[0].shape), dy)


def var(self, dy):
    n = math.prod(self.x.shape[axis] for axis in self.axes)
    centred = self.x - self.x.mean(self.axes, keepdim=True)
    return self.restore(dy) * centred * (2 / max(n - self.correction, 0) if n > self.correction else math.inf)


def std(self, dy):
    n, zero = math.prod(self.x.shape[axis] for axis in self.axes), self.y.array == 0
    centred = self.x - self.x.mean(self.axes, keepdim=True)
    slope = apply(ops.Where(zero), 0.0, dy / (apply(ops.Where(zero), 1.0, self.y) * max(n - self.correction, 0)))
    return self.restore(slope) * centred


def prod(self, dy):
    x, kept = self.x, [axis for axis in range(self.x.ndim) if axis not in self.axes]
    order = kept + list(self.axes)
    n = math.prod(x.shape[axis] for axis in self.axes)
    rows = x.permute(order).reshape([*(x.shape[axis] for axis in kept), 1, n])
    others = apply(ops.Where(np.eye(n, dtype=bool)), 1.0, rows).prod(-1)  # Π of row i without element i
    others = others.reshape([x.shape[axis] for axis in order]).permute(np.argsort(order).tolist())
    return self.restore(dy) * others


def relative_entropy(self, dy):
    p, q = as_tensor(self.p, dy), as_tensor(self.q, dy)
    a, b = (p.exp(), q.exp()) if self.log else (p, q)
    zero = a.array == 0
    # filled before the logarithm: what comes back from there is 0
    x, y = (apply(ops.Where(zero), 0.0 if self.log else 1.0, t) for t in (p, q))
    ratio = x - y if self.log else x.log() - y.log()
    if self.log:
        return dy * a * ratio, dy * (b - a)
    return dy * ratio, dy * (1 - apply(ops.Where(zero), 0.0, a / y))


def kl_divergence(self, dy):
    needs_x, needs_t = self.needs
    x, t = as_tensor(self.x, dy), as_tensor(self.t, dy)
    p = t.exp() if self.log_target else t
    log_p = t if self.log_target else apply(ops.Where(t.array == 0), 1.0, t).log()
    dt = None
    if needs_t:
        dt = dy * apply(ops.Where(p.array == 0), 0.0, log_p - x + 1)
        dt = dt * p if self.log_target else dt
    return -dy * p if needs_x else None, dt


def entropy(self, dy):
    log_p = self.x.log_softmax(self.axis)
    p = log_p.exp()
    log_p = apply(ops.Where(p.array == 0), 0.0, log_p)
    y = -(p * log_p).sum(self.axis, keepdim=True)
    return -dy.unsqueeze(self.axis) * p * (log_p + y)


def pad(self, dy):
    # The border does not move: what is linear is the rest.
    return apply(Adjoint(ops.Pad(self.widths, 0.0), self.needs[0].shape), dy)


def max_pool(self, dy):
    index = self.indices()
    planes, places = math.prod(index.shape[: -len(self.axes)]), math.prod(index.shape[-len(self.axes) :])
    x_shape = self.needs[0].shape
    taken = ops.Index((np.arange(planes)[:, None], index.reshape(planes, places)))
    dx = apply(Adjoint(taken, (planes, math.prod(x_shape[-len(self.axes) :]))), dy.reshape(planes, places))
    return dx.reshape(x_shape)


def unbind(self, dy):
    like = next(part for part in dy if part is not None)
    zeros = np.zeros(like.shape, like.dtype)
    return apply(ops.Stack(self.axis), *(wrap(zeros) if part is None else part for part in dy))


def set_item(self, dy):
    x, v = self.needs
    dx = dv = None
    if x:
        dx = apply(ops.SetItem(self.index), dy, np.zeros((), dy.dtype))
    if v:
        taken = apply(ops.Index(self.index), dy)
        if not is_basic(self.index):
            number = np.arange(taken.numel()).reshape(taken.shape)
            last = np.full(dy.shape, -1)
            last[self.index] = number
            taken = taken * (last[self.index] == number)
        dv = _sum_to(taken, v.shape)
    return dx, dv


def scatter_prod(self, dy):
    dx = dv = None
    need_x, need_v = self.needs
    x, v, where = as_tensor(self.x, dy), as_tensor(self.v, dy), self.touched
    if need_x:
        ones = wrap(np.ones(x.shape, x.dtype))
        others = apply(ops.ScatterProd(self.index, True), ones, v)
        dx = dy * others if self.counts else apply(ops.Where(where), 0.0, dy)
    if need_v:
        if not (v.array.all() and x.array[where].all()):
            raise NotImplementedError("a factor is 0, and the slopes of products without it are not written; move it a little")
        dv = (dy * apply(ops.ScatterProd(self.index, self.counts), x, v))[self.index] / v
    return dx, dv


def patch(self, dy):
    dv = apply(copy.copy(self.view), dy)
    return apply(ops.ReplaceView(copy.copy(self.view)), dy, np.zeros(dv.shape, dy.dtype)), dv


# --- linear algebra: what forward found, once more and recorded, and the same formula with it


def det(self, dy):
    if not np.linalg.det(self.x.array).all():
        raise NotImplementedError("a matrix is singular, and the slopes of its cofactors are not written; move it a little")
    return (dy * apply(ops.Det(), self.x))[..., None, None] * apply(ops.Inverse(), self.x).transpose(-1, -2)


def eigh(self, dy):
    self.w, self.v = apply(ops.Eigh(), self.x)
    return self.backward(dy)


def svd(self, dy):
    u, self.s, vt = apply(ops.SVD(), self.x)
    self.u, self.vt = u, vt
    return self.backward(dy)


def qr(self, dy):
    self.q, self.r = apply(ops.QR(), self.x)
    return self.backward(dy)


# --- running products


def cum_prod(self, dy):
    x = self.x.movedim(self.axis, 0)
    before = apply(ops.Cat(0), wrap(np.ones((min(len(x), 1), *x.shape[1:]), x.dtype)), apply(ops.CumProd(0), x[:-1]))
    return before.movedim(0, self.axis) * from_the_end(dy.movedim(self.axis, 0), x[1:]).movedim(0, self.axis)


def log_cum_sum_exp(self, dy):
    y = self.y.movedim(self.axis, 0)
    rest = from_the_end(dy.movedim(self.axis, 0), difference(y[:-1], y[1:]).exp()).movedim(0, self.axis)
    return difference(self.x, self.y).exp() * rest


def difference(a, b):
    same = a.array == b.array
    return apply(ops.Where(same), 0.0, a - b)


def from_the_end(dy, factors):
    r = list(dy.unbind())
    for j in range(len(r) - 2, -1, -1):
        r[j] = r[j] + factors[j] * r[j + 1]
    return apply(ops.Stack(0), *r) if r else dy


# --- normalisation: x̂ from x again, as the statistics move with it


def _standard(x, axes, eps, centred=True):
    d = x - x.mean(axes, keepdim=True) if centred else x
    r = ((d * d).mean(axes, keepdim=True) + eps).rsqrt()
    return d * r, r


def _across(g, x_hat, r, axes, centred=True):
    """r·(g − mean(g) − x̂·mean(g·x̂))"""
    g = g - g.mean(axes, keepdim=True) if centred else g
    return r * (g - x_hat * (g * x_hat).mean(axes, keepdim=True))


def batch_norm(self, dy):
    need_x, need_w, need_b = self.needs
    x, axes = as_tensor(self.x, dy), (0, *range(2, dy.ndim))
    column = [-1 if axis == 1 else 1 for axis in range(dy.ndim)]
    if self.batch:
        x_hat, r = _standard(x, axes, self.eps)
    else:
        mean, variance = self.stats.array  # the running ones, which do not move with x
        r = 1 / np.sqrt(variance + self.eps)
        mean, r = (as_tensor(v.reshape(column), dy) for v in (mean, r))
        x_hat = (x - mean) * r
    g = dy if self.w is None else dy * as_tensor(self.w, dy).reshape(column)
    dx = (_across(g, x_hat, r, axes) if self.batch else r * g) if need_x else None
    return dx, (dy * x_hat).sum(axes) if need_w else None, dy.sum(axes) if need_b else None


def layer_norm(self, dy):
    need_x, need_w, need_b = self.needs
    axes = tuple(range(dy.ndim - self.axes, dy.ndim))
    x_hat, r = _standard(as_tensor(self.x, dy), axes, self.eps, self.centred)
    dx = _across(dy if self.w is None else dy * self.w, x_hat, r, axes, self.centred) if need_x else None
    dw = _sum_to(dy * x_hat, need_w.shape) if need_w else None
    return dx, dw, _sum_to(dy, need_b.shape) if need_b else None


def _sum_to(dy, shape):
    """As ops.shape._fit."""
    given = shape[max(len(shape) - dy.ndim, 0) :]
    lead = dy.ndim - len(given)
    axes = (*range(lead), *(lead + i for i, size in enumerate(given) if size == 1))
    return (dy.sum(axes) if axes else dy).reshape(shape)


def group_norm(self, dy):
    need_x, need_w, need_b = self.needs
    shape, axes = dy.shape, (0, *range(2, dy.ndim))
    grouped = shape[0], self.groups, math.prod(shape[1:]) // self.groups
    x_hat, r = _standard(as_tensor(self.x, dy).reshape(grouped), 2, self.eps)
    column = [-1 if axis == 1 else 1 for axis in range(dy.ndim)]
    g = dy if self.w is None else dy * as_tensor(self.w, dy).reshape(column)
    dx = _across(g.reshape(grouped), x_hat, r, 2).reshape(shape) if need_x else None
    dw = (dy * x_hat.reshape(shape)).sum(axes) if need_w else None
    return dx, dw, dy.sum(axes) if need_b else None


RULES = {
    ops.SquaredError: distance,
    ops.AbsoluteError: distance,
    ops.Huber: distance,
    ops.Maximum: of_two,
    ops.Minimum: of_two,
    ops.Amax: extreme,
    ops.Amin: extreme,
    ops.Median: extreme,
    ops.MaxAlongAxis: picked,
    ops.MinAlongAxis: picked,
    ops.TopK: in_order,
    ops.Var: var,
    ops.Std: std,
    ops.Prod: prod,
    ops.RelativeEntropy: relative_entropy,
    ops.KLDivergence: kl_divergence,
    ops.EntropyFromLogits: entropy,
    ops.Pad: pad,
    ops.MaxPool: max_pool,
    ops.SetItem: set_item,
    ops.Unbind: unbind,
    ops.ScatterProd: scatter_prod,
    ops.ReplaceView: patch,
    ops.Det: det,
    ops.Eigh: eigh,
    ops.SVD: svd,
    ops.QR: qr,
    ops.CumProd: cum_prod,
    ops.LogCumSumExp: log_cum_sum_exp,
    ops.BatchNorm: batch_norm,
    ops.LayerNorm: layer_norm,
    ops.RMSNorm: layer_norm,
    ops.GroupNorm: group_norm,
}
