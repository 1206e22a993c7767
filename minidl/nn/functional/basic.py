"""Affine maps, dropout, look-ups and distances."""

import math

import numpy as np

from ... import kernels, ops, random
from ...graph.modes import no_grad
from ...graph.watch import repeatable
from ...kernels import copies, twister
from ...ops.base import normalize_axis
from ...tensors.arguments import as_int, expect_tensors, integer, numbers_of
from ...tensors.in_place import twin
from ...tensors.record import apply, check_broadcast, remedy_for, wrap
from ...tensors.tensor import Tensor

__all__ = [
    "alpha_dropout",
    "bilinear",
    "cosine_similarity",
    "dropout",
    "embedding",
    "gumbel_softmax",
    "linear",
    "normalize",
    "one_hot",
    "pairwise_distance",
]


def linear(input, weight, bias=None):
    """y = x Wᵀ + b:  (..., in), weight (out, in), bias (out) → (..., out)

    >>> import minidl
    >>> linear(minidl.ones(2, 3), minidl.ones(4, 3), minidl.ones(4)).shape
    (2, 4)
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"linear: expected a Tensor, got {type(input).__name__}{remedy_for(input)}")
    try:
        return apply(ops.Linear(), input, weight) if bias is None else apply(ops.Linear(), input, weight, bias)
    except (ValueError, TypeError, AttributeError):  # from the kernel, which checks in any case
        _check_linear(input, weight, bias)
        raise


def bilinear(input1, input2, weight, bias=None):
    """y_o = x₁ᵀ W_o x₂ + b_o:  (..., in1), (..., in2), weight (out, in1, in2), bias (out) → (..., out)

    >>> import minidl
    >>> bilinear(minidl.ones(5, 2), minidl.ones(5, 3), minidl.ones(4, 2, 3)).shape
    (5, 4)
    """
    expect_tensors("bilinear", input1=input1, input2=input2, weight=weight, bias=weight if bias is None else bias)
    lead = input1.shape[:-1]
    if weight.ndim != 3 or input1.shape != lead + weight.shape[1:2] or input2.shape != lead + weight.shape[2:]:
        raise ValueError(
            f"bilinear: inputs {input1.shape} and {input2.shape} and weight {weight.shape} disagree: expected "
            "(..., in1), (..., in2) and (out, in1, in2)"
        )
    out, in1, in2 = weight.shape
    rows = input1.reshape(-1, in1), input2.reshape(-1, in2)
    y = apply(ops.Einsum(("na", "oab", "nb"), "no"), rows[0], weight, rows[1]).reshape(*lead, out)
    if bias is None:
        return y
    _check_bias("bilinear", bias, out, weight.dtype)
    return y + bias


def dropout(input, p=0.5, training=True, inplace=False):
    """Sets elements to 0 with probability p and divides the others by 1 − p; the input itself unless training.

    >>> import minidl
    >>> dropout(minidl.ones(2), p=1.0)
    tensor([0., 0.])
    """
    if inplace:
        return _dropout_(input, p, training)
    check_probability("dropout", p)
    if not isinstance(input, Tensor):
        raise TypeError(f"dropout: expected a Tensor as input, got {type(input).__name__}{remedy_for(input)}")
    if not training or p == 0:
        return input
    return apply(ops.Dropout(dropout_mask(input.array, p)), input)


@repeatable
def dropout_mask(x, p, shape=None):
    """0 with probability p, else 1/(1 − p), for each element of an array like x, or of this shape."""
    if p == 1:
        return copies.zeros(x.shape if shape is None else shape, x.dtype)

    kept = x.dtype.type(1 / (1 - p))

    def draw(shape):
        return random.default_generator.with_words(lambda words: twister.bernoulli(words, shape, 1 - p, kept, x.dtype))

    return random.like(x, draw) if shape is None else draw(shape)


_dropout_ = twin(dropout)


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps mean 0 and variance 1, for networks of SELU: what is dropped takes the value −1.7581, selu(−∞).

    Afterwards all elements are scaled and moved by two constants (Klambauer et al., 2017, section 3).

    >>> import minidl
    >>> alpha_dropout(minidl.zeros(2), p=0.5)
    tensor([0., 0.])
    """
    if inplace:
        return _alpha_dropout_(input, p, training)
    check_probability("alpha_dropout", p)
    expect_tensors("alpha_dropout", input=input)
    if not training or p == 0:
        return input
    dtype, low = input.array.dtype, 1.7580993408473766
    if dtype.kind != "f":
        raise TypeError(f"alpha_dropout: expected a floating-point tensor, got {dtype}; use .float()")
    if p == 1:
        return apply(ops.Dropout(np.zeros(input.shape, dtype)), input)
    scales, moved = _alpha_masks(input.array, p, low)
    return apply(ops.Dropout(scales), input) + wrap(moved)


@repeatable
def _alpha_masks(x, p, low):
    """What each element is multiplied by, and what is added to it."""
    kept = random.like(x, lambda shape: random.default_generator.bernoulli(shape, 1 - p, x.dtype))
    scale = 1 / math.sqrt((low * low * p + 1) * (1 - p))
    return (kept * scale).astype(x.dtype), ((kept - 1) * (low * scale) + low * scale * p).astype(x.dtype)


_alpha_dropout_ = twin(alpha_dropout)


def gumbel_softmax(logits, tau=1.0, hard=False, eps=1e-10, dim=-1):
    """A sample from the Gumbel-softmax distribution: softmax((logits + g)/tau) along dim, where g = −ln e, e exponential.

    The smaller tau, the nearer to one-hot. hard: one-hot itself, with the gradient of the soft sample ("straight through").
    eps has had no meaning in PyTorch for long, and may not be given. (Jang et al., 2017; Maddison et al., 2017)

    >>> import minidl
    >>> gumbel_softmax(minidl.tensor([0.0, 100.0, 0.0]), hard=True)
    tensor([0., 1., 0.])
    """
    expect_tensors("gumbel_softmax", logits=logits)
    if logits.dtype.kind != "f":
        raise TypeError(f"gumbel_softmax: expected floating-point logits, got {logits.dtype}; use .float()")
    if eps != 1e-10:
        raise ValueError(f"gumbel_softmax: eps has no meaning any more, got {eps!r}; leave it out")
    (tau,) = numbers_of("gumbel_softmax", tau=tau)
    if not tau > 0:
        raise ValueError(f"gumbel_softmax: tau must be above 0, got {tau}")
    axis = normalize_axis("gumbel_softmax", dim, logits.ndim)
    soft = ((logits - wrap(_logarithms(logits.shape, logits.dtype))) / tau).softmax(axis)
    return wrap(_largest(soft.array, axis)) - soft.detach() + soft if hard else soft


@repeatable
def _logarithms(shape, dtype):
    """Of random numbers with the exponential distribution."""
    noise = random.default_generator.exponential(shape, dtype)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(noise))


@repeatable
def _largest(x, axis):
    """1 at the largest element along an axis, else 0."""
    if not x.ndim:
        return np.ones((), x.dtype)
    one = np.zeros(x.shape, x.dtype)
    np.put_along_axis(one, x.argmax(axis, keepdims=True), 1, axis)
    return one


def one_hot(tensor, num_classes=-1):
    """Integers (...) → (..., num_classes) int64, 1 at each integer's place; num_classes is the largest + 1 by default.

    >>> import minidl
    >>> one_hot(minidl.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    num_classes = as_int(num_classes)
    if type(num_classes) is not int or num_classes < -1:
        raise ValueError(f"one_hot: num_classes must be an integer of 0 or more (-1: the largest + 1), got {num_classes!r}")
    index = _indices("one_hot", tensor, None if num_classes == -1 else num_classes)
    if num_classes == -1:
        if not index.size:
            raise ValueError("one_hot: give num_classes for an empty tensor")
        num_classes = int(index.max()) + 1
    y = np.zeros((*index.shape, num_classes), np.int64)
    np.put_along_axis(y, index[..., None], 1, -1)
    return wrap(y)


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """Rows of a table: integers (...), weight (V, E) → (..., E). The row padding_idx gets no gradient.

    max_norm: each row that is looked up and whose norm (norm_type says which) is larger is shortened to it first, in the table
    itself. scale_grad_by_freq: the gradient of each row is divided by how often it was looked up here.

    >>> import minidl
    >>> embedding(minidl.tensor([1, 0]), minidl.eye(2))
    tensor([[0., 1.],
            [1., 0.]])
    """
    expect_tensors("embedding", weight=weight)
    if sparse:
        raise NotImplementedError("embedding: sparse gradients are not supported; with sparse=False they are the same, in full")
    if weight.ndim != 2:
        raise ValueError(f"embedding: expected a weight (rows, features), got shape {weight.shape}")
    if not isinstance(scale_grad_by_freq, bool):
        raise TypeError(f"embedding: scale_grad_by_freq must be True or False, got {scale_grad_by_freq!r}")
    quick = weight.array.dtype.kind == "f" and weight.array.flags.carray and max_norm is None
    index = _integers("embedding", input) if quick else _indices("embedding", input, weight.shape[0])
    if padding_idx is not None:
        padding_idx = row_of("embedding", padding_idx, weight)
    if max_norm is not None:
        if isinstance(max_norm, bool):
            raise TypeError(f"embedding: max_norm must be a number or None, got {max_norm}")
        _shorten(weight, np.unique(index), *numbers_of("embedding", max_norm=max_norm, norm_type=norm_type))
    y = apply(ops.Embedding(index) if quick else ops.Index((index,)), weight)
    if padding_idx is not None:
        y = apply(ops.Where(_places_of(index, padding_idx)[..., None]), y.detach(), y)
    if scale_grad_by_freq and y.requires_grad:
        counts = np.bincount(index.ravel(), minlength=weight.shape[0])[index]
        share = wrap((1 / counts).astype(weight.dtype)[..., None])
        y.register_hook(lambda dy: dy * share)
        y = apply(ops.Reshape(y.shape), y)  # another tensor: hooks of the user come before ours
    return y


@repeatable
def _places_of(index, number):
    return index == number


def row_of(name, padding_idx, weight):
    """padding_idx as an index from 0 on."""
    rows = len(weight)
    padding_idx = integer(name, padding_idx, "padding_idx")
    if not -rows <= padding_idx < rows:
        raise IndexError(f"{name}: padding_idx {padding_idx} is out of range for {rows} rows")
    return padding_idx % rows


def _shorten(weight, rows, max_norm, norm_type):
    """Scales those rows of a table that are longer than max_norm down to it, outside the graph."""
    if not norm_type > 0 or not max_norm >= 0:
        raise ValueError(f"embedding: norm_type must be above 0 and max_norm 0 or more, got {norm_type} and {max_norm}")
    norms = wrap(weight.array[rows]).norm(norm_type, 1, keepdim=True).array
    with np.errstate(over="ignore"):
        factors = np.where(norms > max_norm, max_norm / (norms + 1e-7), 1)  # PyTorch's 1e-7
    with no_grad():
        weight[wrap(rows)] = wrap((weight.array[rows] * factors).astype(weight.dtype))


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """x/max(‖x‖ₚ, eps), the norm taken along dim.

    >>> import minidl
    >>> normalize(minidl.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    expect_tensors("normalize", input=input)
    if out is not None:
        raise NotImplementedError("normalize: out= is not supported; write out.copy_(F.normalize(input))")
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps)


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x₁·x₂/(max(‖x₁‖, eps)·max(‖x₂‖, eps)) along dim.

    >>> import minidl
    >>> cosine_similarity(minidl.tensor([[1.0, 0.0]]), minidl.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    expect_tensors("cosine_similarity", x1=x1, x2=x2)
    check_broadcast("cosine_similarity", x1, x2)
    shape = np.broadcast_shapes(x1.shape, x2.shape)  # first, so that dim counts the axes of both
    x1, x2 = x1.expand(shape), x2.expand(shape)
    norms = x1.norm(2, dim).clamp(min=eps) * x2.norm(2, dim).clamp(min=eps)
    return (x1 * x2).sum(dim) / norms


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """‖x₁ − x₂ + eps‖ₚ along the last axis.

    >>> import minidl
    >>> pairwise_distance(minidl.tensor([[3.0, 4.0]]), minidl.zeros(1, 2))
    tensor([5.0000])
    """
    expect_tensors("pairwise_distance", x1=x1, x2=x2)
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def check_probability(name, p):
    if not isinstance(p, (int, float, np.integer, np.floating)) or not 0 <= p <= 1:
        raise ValueError(f"{name}: p must lie in [0, 1], got {p!r}")


def _check_linear(x, w, b):
    expect_tensors("linear", weight=w, bias=w if b is None else b)
    if w.ndim != 2 or x.shape[-1:] != w.shape[1:]:
        wanted = f"input[..., {w.shape[1]}]" if w.ndim == 2 else "input[..., in] and weight (out, in)"
        given = x.shape[-1] if x.ndim else 0
        remedy = f"; for this input the layer is nn.Linear({given}, {w.shape[0]})" if w.ndim == 2 and given else ""
        if w.ndim == 2 and x.ndim > 2 and math.prod(x.shape[1:]) == w.shape[1]:
            remedy = "; write x.flatten(1), or nn.Flatten() before the layer"
        raise ValueError(f"linear: input {x.shape} and weight {w.shape} disagree: expected {wanted}{remedy}")
    if x.dtype != w.dtype:
        raise TypeError(
            f"linear: the input is {x.dtype} and the weight {w.dtype}; bring them to one dtype, as by input.to(weight.dtype)"
        )
    if b is not None:
        _check_bias("linear", b, w.shape[0], w.dtype)


def _check_bias(name, bias, out, dtype):
    if bias.shape != (out,):
        raise ValueError(f"{name}: expected a bias of shape ({out},), got {bias.shape}")
    if bias.dtype != dtype:
        raise TypeError(f"{name}: the weight is {dtype} and the bias {bias.dtype}")


def _integers(name, input):
    """The integers of a tensor, as int64."""
    if not isinstance(input, Tensor) or input.dtype.kind not in "iu":
        got = f"{input.dtype}; write x.long()" if isinstance(input, Tensor) else type(input).__name__ + remedy_for(input)
        raise TypeError(f"{name}: expected a tensor of integers, got {got}")
    return kernels.to_int64(input.array)


@repeatable
def _indices(name, input, bound):
    """The integers of a tensor, as int64; they lie in [0, bound)."""
    index = _integers(name, input)
    bad = index < 0 if bound is None else (index < 0) | (index >= bound)
    if bad.any():
        limit = "expected 0 or more" if bound is None else f"expected 0 to {bound - 1}"
        if bound is not None and name == "embedding":
            limit += f"; the table has {bound} rows: make it nn.Embedding(n, …) with n above every index"
        raise IndexError(f"{name}: index {index[bad][0]} is out of range: {limit}")
    return index
