"""What `np` and `kernels` mean in a backward that is read with tensors for arrays: operations.

A kernel made for speed is here the formula that it computes. The tests compare each with its kernel.
"""

import math
import operator

import numpy as np

from .. import kernels, ops
from ..tensors.record import TensorBase, apply, wrap
from .linear import Opaque


class Names:
    """A module whose functions, given a tensor, are those of `meanings`; else they are its own."""

    def __init__(self, module, meanings):
        self.module, self.meanings = module, meanings

    def __getattr__(self, name):
        own, meaning = getattr(self.module, name), self.meanings.get(name)
        if isinstance(meaning, Names) or not callable(own) or isinstance(own, type):
            return meaning or own

        def function(*args, **options):
            if not _has_tensors(args):
                return own(*args, **options)
            if meaning is None:
                raise NotImplementedError(f"{name} has no meaning for tensors yet; give it one in double_backward/meanings.py")
            return meaning(*args, **options)

        setattr(self, name, function)
        return function


def _has_tensors(args):
    return any(isinstance(x, TensorBase) or (type(x) in (list, tuple) and _has_tensors(x)) for x in args)


def a_tensor(*values):
    return next(x for x in values if isinstance(x, TensorBase))


def as_tensor(x, like):
    return x if isinstance(x, TensorBase) else wrap(np.asarray(x, like.dtype))


# --- NumPy's names


def where(condition, a, b):
    condition = condition.array if isinstance(condition, TensorBase) else condition
    if isinstance(condition, (bool, np.bool_)):
        return a if condition else b  # and nothing at all of the other, whose slope may be infinite
    if not isinstance(a, TensorBase) and not isinstance(b, TensorBase):
        return np.where(condition, a, b)
    return apply(ops.Where(condition), a, b)


def einsum(expression, *xs, optimize=True):
    left, right = expression.split("->")
    return apply(ops.Einsum(tuple(left.split(",")), right), *xs)


def contracted(terms, right, *xs, shape=None):
    """kernels.einsum, which repeats along axes that only the right side has"""
    if shape is not None and (new := {*right}.difference(*terms)):
        alone = [(axis, n) for axis, n in zip(right, shape, strict=True) if axis in new]
        terms = *terms, "".join(axis for axis, _ in alone)
        xs = *xs, wrap(np.ones([n for _, n in alone], xs[0].dtype))
    return apply(ops.Einsum(terms, right), *xs)


def split(x, ends, axis):
    return x.split(np.diff([0, *ends, x.shape[axis]]).tolist(), axis)


def inverse(x):
    return apply(ops.Inverse(), x)


def solve(a, b):
    return inverse(as_tensor(a, b) if isinstance(b, TensorBase) else a) @ b


# for operations of users, where those of minidl have kernels or methods
OTHERS = {
    **{name: operator.methodcaller(name) for name in ("exp", "tanh", "square", "reciprocal", "log2", "log10", "expm1")},
    "matmul": operator.matmul,
    "dot": operator.matmul,
    "einsum": einsum,
    "minimum": lambda a, b: a.minimum(b) if isinstance(a, TensorBase) else b.minimum(a),
    "sum": lambda x, axis=None, keepdims=False: x.sum(axis, keepdims),
    "mean": lambda x, axis=None, keepdims=False: x.mean(axis, keepdims),
    "reshape": lambda x, shape: x.reshape(shape),
    "transpose": lambda x, axes=None: x.permute(axes or tuple(reversed(range(x.ndim)))),
    "expand_dims": lambda x, axis: x.unsqueeze(axis),
    "concatenate": lambda xs, axis=0: apply(ops.Cat(axis % xs[0].ndim), *xs),
}
MEANINGS = {
    **OTHERS,
    "linalg": Names(np.linalg, {"inv": inverse, "solve": solve}),
    **{name: operator.methodcaller(name) for name in ("sin", "cos", "sinh", "cosh", "sqrt", "abs", "sign", "log1p")},
    "log": lambda x, dtype=None: x.log(),
    "power": operator.pow,
    "where": where,
    "equal": operator.eq,
    "less_equal": operator.le,
    "isneginf": lambda x: x == -math.inf,
    "maximum": lambda a, b: a.maximum(b) if isinstance(a, TensorBase) else b.maximum(a),
    "clip": lambda x, low, high: x.clamp(low, high),
    "swapaxes": lambda x, i, j: x.transpose(i, j),
    "moveaxis": lambda x, i, j: x.movedim(i, j),
    "tril": lambda x: x.tril(),
    "triu": lambda x: x.triu(),
    "shape": lambda x: x.shape,
    "size": lambda x: x.numel(),
    "broadcast_to": lambda x, shape: x.expand(shape),
    "asarray": lambda x, dtype=None: x if dtype is None else x.to(dtype),
    "zeros_like": lambda x: np.zeros(x.shape, x.dtype),
    "split": split,
}
NUMPY = Names(np, MEANINGS)


# --- the kernels


def elu_backward(dy, x, alpha):
    return dy * apply(ops.Where((x > 0).array), 1.0, alpha * x.clamp(max=0).exp())


def gelu_backward(dy, x, approximate):
    if approximate:
        c = math.sqrt(8 / math.pi)
        s = (c * (x + 0.044715 * x**3)).sigmoid()
        return dy * (s + x * s * (1 - s) * c * (1 + 3 * 0.044715 * x * x))
    return dy * (0.5 * (-x / math.sqrt(2)).erfc() + x * (-0.5 * x * x).exp() / math.sqrt(2 * math.pi))


def silu_backward(dy, x):
    s = x.sigmoid()
    return dy * s * (1 + x * (1 - s))


def softmax_backward(dy, y, axis):
    return y * (dy - (dy * y).sum(axis, keepdim=True))


def log_softmax_backward(dy, y, axis):
    return dy - y.exp() * dy.sum(axis, keepdim=True)


def cross_entropy_backward(dy, x, shift_and_log, labels, weight, ignore_index, smoothing, numbers=(-1, 0, 1)):
    classes, scale = x.shape[1], 1 / float(numbers[2]) if numbers[2] else math.nan
    if weight is None and not smoothing and ignore_index not in labels:
        return dy[:, None] * scale * (x.softmax(1) - np.eye(classes, dtype=x.dtype)[labels])
    weight, counted = np.ones(classes) if weight is None else weight, labels != ignore_index
    q = np.where(counted[:, None], weight * smoothing / classes, 0)  # what each −ln p counts for
    rows, known = np.flatnonzero(counted), labels[counted]
    q[rows, known] += (1 - smoothing) * weight[known]
    q = q.astype(x.dtype)
    return dy[:, None] * scale * (x.softmax(1) * q.sum(1, keepdims=True) - q)


def cross_entropy_soft_backward(dy, x, shift_and_log, t, weight, smoothing):
    q = (1 - smoothing) * t + smoothing / t.shape[1]
    q = q if weight is None else q * weight
    return dy[:, None] * (as_tensor(x, dy).softmax(1) * q.sum(1, keepdims=True) - q)


def cross_entropy_soft_backward_targets(dy, x, shift_and_log, weight, smoothing):
    dt = dy[:, None] * (smoothing - 1) * as_tensor(x, dy).log_softmax(1)
    return dt if weight is None else dt * weight


def linear_backward(dy, x, w, needs):
    need_x, need_w, need_b = needs if len(needs) == 3 else (*needs, None)
    dx = dy @ w if need_x else None
    if dy.ndim != 2:
        dy = dy.reshape(math.prod(dy.shape[:-1]), dy.shape[-1])
        x = x.reshape(len(dy), x.shape[-1]) if need_w else None
    return dx, dy.T @ x if need_w else None, dy.sum(0) if need_b else None


def conv2d(x, w, b, *geometry):
    return apply(ops.Conv2d(*geometry), x, w)


def conv2d_input(dy, w, size, *geometry):
    return apply(ops.ConvTranspose2d(size, *geometry), dy, w)


def conv2d_weight(x, dy, kernel_size, *geometry):
    return apply(ops.Conv2dWeight(kernel_size, *geometry), x, dy)


def gamma_slope(a, log_x):
    return apply(Opaque(kernels, "gamma_slope"), a, log_x)


FORMULAS = {
    **{name: operator.methodcaller(name) for name in ("exp", "log", "lgamma", "digamma")},
    "polygamma": lambda n, x: x.polygamma(n),
    "matmul": operator.matmul,
    "relu_backward": lambda dy, y: apply(ops.Where((y > 0).array), dy, 0.0),
    "leaky_relu_backward": lambda dy, x, slope: apply(ops.Where((x > 0).array), dy, dy * slope),
    "elu_backward": elu_backward,
    "gelu_backward": gelu_backward,
    "silu_backward": silu_backward,
    "softplus_backward": lambda dy, x, beta, threshold: dy * where(beta * x > threshold, 1.0, (beta * x).sigmoid()),
    "sigmoid_backward": lambda dy, y: dy * y * (1 - y),
    "logsigmoid_backward": lambda dy, x: dy * (-x).sigmoid(),
    "tanh_backward": lambda dy, y: dy * (1 - y * y),
    "softmax_backward": softmax_backward,
    "log_softmax_backward": log_softmax_backward,
    "cross_entropy_backward": cross_entropy_backward,
    "cross_entropy_soft_backward": cross_entropy_soft_backward,
    "cross_entropy_soft_backward_targets": cross_entropy_soft_backward_targets,
    "binary_cross_entropy_with_logits_backward": lambda x, t, dy: dy * (x.sigmoid() - t),
    "squared_error_backward": lambda dy, d, divisor=1: dy / divisor * (d + d),
    "linear_backward": linear_backward,
    "conv2d": conv2d,
    "conv2d_input": conv2d_input,
    "conv2d_weight": conv2d_weight,
    "einsum": contracted,
    "sum_over": lambda x, axes, keepdims=False, divisor=1: x.sum(axes, keepdims) / divisor,
    "gamma_slope": gamma_slope,
}
KERNELS = Names(kernels, FORMULAS)
