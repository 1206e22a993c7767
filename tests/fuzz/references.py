"""What the functions of `cases` compute, in plain NumPy: loops over places and windows, nothing that minidl uses.

The arguments are those of the functions, arrays in place of tensors, in double precision.
"""

import itertools
import math

import numpy as np

from ..table_functional import ACTIVATIONS
from .values import under, words

REFERENCES = {}


reference = under(REFERENCES)


def _each(function):
    return np.vectorize(function, otypes=[float])


def _float(x):
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _gamma_or_nan(x):
    if x == -math.inf or math.isnan(x):
        return math.nan if math.isnan(x) else math.inf
    return math.inf if x <= 0 and x == math.floor(x) else math.lgamma(x)


for _name in words(
    """
    exp expm1 log log2 log10 log1p sqrt square reciprocal sin cos tan sinh cosh tanh
"""
):
    REFERENCES[f"T.{_name}"] = lambda x, name=_name: getattr(np, name)(x if name == "square" else _float(x))
for _name, _f in {
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "erf": _each(math.erf),
    "erfc": _each(math.erfc),
    "lgamma": _each(_gamma_or_nan),
}.items():
    REFERENCES[f"T.{_name}"] = lambda x, f=_f: np.asarray(f(_float(x)))
for _name, _f in {
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "abs": np.abs,
    "neg": np.negative,
    "relu": None,
}.items():
    REFERENCES[f"T.{_name}"] = lambda x, f=_f: (
        x * (x > 0) if f is None and x.dtype.kind != "f" else np.where(x <= 0, 0.0, x) if f is None else f(x)
    )
for _name in ("isnan", "isinf", "isfinite", "logical_not"):
    REFERENCES[f"T.{_name}"] = getattr(np, _name)
for _name, _f in {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}.items():
    REFERENCES[f"T.{_name}"] = _f
for _name, _f in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}.items():
    REFERENCES[f"T.{_name}"] = _f
REFERENCES["T.div"] = lambda a, b: _float(np.asarray(a)) / b
REFERENCES["T.rsqrt"] = lambda x: 1 / np.sqrt(_float(x))
REFERENCES["T.sigmoid"] = REFERENCES["F.sigmoid"] = lambda x: np.where(
    x >= 0, 1 / (1 + np.exp(-abs(_float(x)))), np.exp(-abs(_float(x))) / (1 + np.exp(-abs(_float(x))))
)
REFERENCES["F.relu"], REFERENCES["F.tanh"] = REFERENCES["T.relu"], np.tanh
REFERENCES["F.logsigmoid"] = lambda x: np.minimum(x, 0) - np.log1p(np.exp(-abs(x)))
REFERENCES["F.silu"] = lambda x: x * REFERENCES["F.sigmoid"](x)
REFERENCES["F.elu"] = lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))
REFERENCES["F.leaky_relu"] = lambda x, slope: np.where(x > 0, x, slope * x)
REFERENCES["F.softplus"] = lambda x, beta, threshold: np.where(
    x * beta > threshold, x, np.log1p(np.exp(np.minimum(x * beta, threshold))) / beta
)
REFERENCES["T.xlogy"] = lambda a, b: np.where((a == 0) & ~np.isnan(b), 0.0, a * np.log(np.asarray(b, float)))
REFERENCES["T.floor_divide"], REFERENCES["T.remainder"] = np.floor_divide, np.remainder
REFERENCES["T.lerp"] = lambda a, b, w: a + (b - a) * w
REFERENCES["T.masked_fill"] = lambda x, mask, value: np.where(mask, value, x)
REFERENCES["T.where"] = lambda x, mask, other: np.where(mask, x, other)


@reference("F.gelu")
def _(x, approximate):
    if approximate == "none":
        return np.where(x == -np.inf, -0.0, x / 2 * _each(math.erfc)(-x / math.sqrt(2)))
    return np.where(
        x < -20,
        -0.0,
        np.where(
            x > 20,
            x,
            # x·σ(2u), which is x/2·(1 + tanh u) without its loss of digits
            x / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (np.clip(x, -20, 20) + 0.044715 * np.clip(x, -20, 20) ** 3))),
        ),
    )


@reference("T.clamp")
def _(x, low, high):
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


@reference("T.pow")
def _(x, exponent):
    return np.power(x, np.asarray(exponent, float))


# --- reductions


def _axes(dim):
    return None if dim is None or dim == () else dim


for _name, _f in {"sum": np.sum, "mean": np.mean, "nansum": np.nansum}.items():
    REFERENCES[f"T.{_name}"] = lambda x, dim, keepdim, f=_f: np.asarray(f(x, axis=_axes(dim), keepdims=keepdim))
for _name, _f in {"amax": np.max, "amin": np.min}.items():
    REFERENCES[f"T.{_name}"] = lambda x, dim, keepdim, f=_f: np.asarray(f(x, axis=_axes(dim), keepdims=keepdim))
REFERENCES["T.var"] = lambda x, dim, keepdim, correction: np.asarray(
    np.var(x, axis=_axes(dim), keepdims=keepdim, ddof=correction)
)
REFERENCES["T.std"] = lambda x, dim, keepdim, correction: np.sqrt(REFERENCES["T.var"](x, dim, keepdim, correction))
for _name, _f in {"prod": np.prod, "all": np.all, "any": np.any}.items():
    REFERENCES[f"T.{_name}"] = lambda x, dim, keepdim, f=_f: np.asarray(f(x, axis=dim, keepdims=keepdim))
REFERENCES["T.argmax"] = lambda x, dim: np.asarray(np.argmax(x, axis=dim))
REFERENCES["T.argmin"] = lambda x, dim: np.asarray(np.argmin(x, axis=dim))
REFERENCES["T.max"] = lambda x, dim: (np.asarray(x.max(dim)), np.asarray(np.argmax(x, dim)))
REFERENCES["T.min"] = lambda x, dim: (np.asarray(x.min(dim)), np.asarray(np.argmin(x, dim)))
REFERENCES["T.cumsum"] = lambda x, dim: np.cumsum(x, dim)


@reference("T.logsumexp")
def _(x, dim, keepdim):
    most = np.max(x, axis=dim, keepdims=True)
    most = np.where(np.isfinite(most), most, 0)
    y = np.log(np.exp(x - most).sum(axis=dim, keepdims=True)) + most
    return y if keepdim else np.asarray(np.squeeze(y, dim))


@reference("T.softmax", "F.softmax")
def softmax(x, dim):
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


@reference("T.log_softmax", "F.log_softmax")
def log_softmax(x, dim):
    x = x - x.max(dim, keepdims=True)
    return x - np.log(np.exp(x).sum(dim, keepdims=True))


@reference("T.norm")
def _(x, p, dim, keepdim):
    if p == math.inf:
        return np.asarray(abs(x).max(axis=dim, keepdims=keepdim))
    return np.asarray((abs(x) ** p).sum(axis=dim, keepdims=keepdim) ** (1 / p))


@reference("T.sort")
def _(x, dim, descending, stable):
    order = REFERENCES["T.argsort"](x, dim, descending, stable)
    return np.take_along_axis(x, order, dim), order


@reference("T.argsort")
def _(x, dim, descending, stable):
    return np.argsort(-x if descending else x, axis=dim, kind="stable")


@reference("T.topk")
def _(x, k, dim, largest, ordered):
    order = np.take(np.argsort(-x if largest else x, axis=dim, kind="stable"), range(k), dim)
    return np.take_along_axis(x, order, dim), order


# --- products, shapes and places

REFERENCES["T.matmul"] = REFERENCES["T.mm"] = REFERENCES["T.bmm"] = REFERENCES["T.mv"] = REFERENCES["T.dot"] = lambda a, b: (
    np.asarray(np.matmul(a, b))
)
REFERENCES["T.outer"] = np.outer
REFERENCES["F.linear"] = lambda x, w, b: x @ w.T + (0 if b is None else b)
REFERENCES["F.bilinear"] = lambda x1, x2, w, b: np.einsum("...a,oab,...b->...o", x1, w, x2) + (0 if b is None else b)
REFERENCES["T.transpose"], REFERENCES["T.permute"], REFERENCES["T.unsqueeze"] = np.swapaxes, np.transpose, np.expand_dims
REFERENCES["T.flip"], REFERENCES["T.roll"], REFERENCES["T.tril"], REFERENCES["T.triu"] = np.flip, np.roll, np.tril, np.triu
REFERENCES["T.narrow"] = lambda x, dim, start, length: np.take(x, range(start, start + length), dim)
REFERENCES["T.select"] = lambda x, dim, index: np.asarray(np.take(x, index, dim))
REFERENCES["T.diagonal"], REFERENCES["T.diag"], REFERENCES["T.trace"] = np.diagonal, np.diag, lambda x: np.asarray(np.trace(x))
REFERENCES["T.repeat_interleave"], REFERENCES["T.tile"], REFERENCES["T.repeat"] = np.repeat, np.tile, np.tile
REFERENCES["T.index_select"] = lambda x, dim, index: np.take(x, index, dim)
REFERENCES["T.unflatten"] = lambda x, dim, sizes: x.reshape(2, *sizes, 3)
REFERENCES["T.flatten"] = lambda x, a, b: x.reshape(*x.shape[:a], int(np.prod(x.shape[a : b + 1])), *x.shape[b + 1 :])


@reference("T.gather")
def _(x, dim, index):
    y = np.empty(index.shape)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[dim] = index[place]
        y[place] = x[tuple(source)]
    return y


@reference("F.pad")
def _(x, pads, mode, value=0.0):
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    width = [(0, 0)] * (x.ndim - len(pads) // 2) + [tuple(pads[i : i + 2]) for i in range(len(pads) - 2, -1, -2)]
    y = x[tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(width, x.shape, strict=True))]
    return np.pad(
        y, [(max(0, a), max(0, b)) for a, b in width], names[mode], **({"constant_values": value} if mode == "constant" else {})
    )


# --- images: windows, one after the other


def _pair(x, spatial):
    return tuple(x) if isinstance(x, tuple) else (x,) * spatial


@reference("F.conv1d", "F.conv2d")
def _(x, w, b, stride, padding, groups, dilation):
    spatial = x.ndim - 2
    stride, dilation = _pair(stride, spatial), _pair(dilation, spatial)
    if padding == "same":
        reach = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
        pads = [(r // 2, r - r // 2) for r in reach]
    else:
        pads = [(p, p) for p in _pair(padding, spatial)]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    out = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(x.shape[2:], dilation, w.shape[2:], stride, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    ci, co = w.shape[1], w.shape[0] // groups
    for tap in np.ndindex(*w.shape[2:]):
        part = x[
            (..., *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilation, out, stride, strict=True)))
        ]
        for g in range(groups):
            weight = w[(slice(g * co, (g + 1) * co), slice(None), *tap)]
            y[:, g * co : (g + 1) * co] += np.einsum("nc...,oc->no...", part[:, g * ci : (g + 1) * ci], weight)
    return y if b is None else y + b.reshape(-1, *[1] * spatial)


@reference("F.conv_transpose1d", "F.conv_transpose2d")
def _(x, w, b, stride, padding, groups, dilation, output_padding):
    spatial = x.ndim - 2
    stride, dilation, padding, extra = (_pair(v, spatial) for v in (stride, dilation, padding, output_padding))
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, s, d, k, e in zip(x.shape[2:], stride, dilation, w.shape[2:], extra, strict=True)
    ]
    ci, co = w.shape[0] // groups, w.shape[1]
    y = np.zeros((x.shape[0], co * groups, *full))
    for tap in np.ndindex(*w.shape[2:]):
        where = (
            ...,
            *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(tap, dilation, x.shape[2:], stride, strict=True)),
        )
        for g in range(groups):
            weight = w[(slice(g * ci, (g + 1) * ci), slice(None), *tap)]
            y[:, g * co : (g + 1) * co][where] += np.einsum("nc...,co->no...", x[:, g * ci : (g + 1) * ci], weight)
    y = y[(..., *(slice(p, n - p) for p, n in zip(padding, full, strict=True)))]
    return y if b is None else y + b.reshape(-1, *[1] * spatial)


def _windows(n, k, s, p, d, ceil):
    """The first places of the windows, in the input's numbers."""
    span = n + 2 * p - d * (k - 1) - 1
    count = (-(-span // s) if ceil else span // s) + 1
    if ceil and (count - 1) * s >= n + p:
        count -= 1
    return [o * s - p for o in range(count)]


@reference("F.max_pool1d", "F.max_pool2d")
def _(x, kernel, stride, padding, ceil_mode, dilation, return_indices):
    sizes = x.shape[-len(kernel) :]
    starts = [_windows(*of_axis, ceil_mode) for of_axis in zip(sizes, kernel, stride, padding, dilation, strict=True)]
    y = np.empty((*x.shape[: -len(kernel)], *map(len, starts)))
    indices = np.empty(y.shape, np.int64)
    for lead in np.ndindex(*x.shape[: -len(kernel)]):
        for place in np.ndindex(*map(len, starts)):
            best, found = -math.inf, None
            for tap in np.ndindex(*kernel):
                at = tuple(starts[a][place[a]] + tap[a] * dilation[a] for a in range(len(kernel)))
                if all(0 <= i < n for i, n in zip(at, sizes, strict=True)):
                    value = x[lead + at]
                    if found is None or value > best or math.isnan(value):
                        best, found = value, at
            y[lead + place], indices[lead + place] = best, np.ravel_multi_index(found, sizes)
    return (y, indices) if return_indices else y


@reference("F.avg_pool1d", "F.avg_pool2d")
def _(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override=None):
    sizes = x.shape[-len(kernel) :]
    starts = [_windows(n, k, s, p, 1, ceil_mode) for n, k, s, p in zip(sizes, kernel, stride, padding, strict=True)]
    y = np.empty((*x.shape[: -len(kernel)], *map(len, starts)))
    for place in np.ndindex(*map(len, starts)):
        first = [starts[a][i] for a, i in enumerate(place)]
        inside = tuple(slice(max(0, f), max(0, min(n, f + k))) for f, k, n in zip(first, kernel, sizes, strict=True))
        padded = math.prod(min(f + k, n + p) - f for f, k, n, p in zip(first, kernel, sizes, padding, strict=True))
        real = math.prod(max(0, part.stop - part.start) for part in inside)
        y[(..., *place)] = x[(..., *inside)].sum(tuple(range(-len(kernel), 0))) / (
            divisor_override or (padded if count_include_pad else real)
        )
    return y


def _adaptive(reduce):
    def pool(x, output_size):
        sizes = output_size if isinstance(output_size, tuple) else (output_size,)
        y = np.empty((*x.shape[: -len(sizes)], *sizes))
        for place in np.ndindex(*sizes):
            parts = [
                slice(o * n // m, -(-(o + 1) * n // m)) for o, n, m in zip(place, x.shape[-len(sizes) :], sizes, strict=True)
            ]
            y[(..., *place)] = reduce(x[(..., *parts)], tuple(range(-len(sizes), 0)))
        return y

    return pool


for _name in ("1d", "2d"):
    REFERENCES[f"F.adaptive_avg_pool{_name}"], REFERENCES[f"F.adaptive_max_pool{_name}"] = _adaptive(np.mean), _adaptive(np.max)


@reference("F.unfold")
def _(x, kernel, padding, stride, dilation):
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    starts = [range(0, n - dilation * (k - 1), s) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    columns = []
    for i, j in itertools.product(*starts):
        window = x[:, :, i : i + dilation * (kernel[0] - 1) + 1 : dilation, j : j + dilation * (kernel[1] - 1) + 1 : dilation]
        columns.append(window.reshape(len(x), -1))
    return np.stack(columns, -1)


@reference("F.fold")
def _(x, size, kernel, stride):
    y = np.zeros((len(x), x.shape[1] // math.prod(kernel), *size))
    starts = [range(0, n - k + 1, s) for n, k, s in zip(size, kernel, stride, strict=True)]
    for column, (i, j) in enumerate(itertools.product(*starts)):
        y[:, :, i : i + kernel[0], j : j + kernel[1]] += x[..., column].reshape(len(x), -1, *kernel)
    return y


@reference("F.pixel_shuffle")
def _(x, r):
    *lead, C, H, W = x.shape
    return np.moveaxis(x.reshape(*lead, C // r**2, r, r, H, W), (-4, -3), (-3, -1)).reshape(*lead, C // r**2, H * r, W * r)


@reference("F.pixel_unshuffle")
def _(x, r):
    *lead, C, H, W = x.shape
    return np.moveaxis(x.reshape(*lead, C, H // r, r, W // r, r), (-3, -1), (-4, -3)).reshape(*lead, C * r**2, H // r, W // r)


# --- norms, attention


def _normed(x, axes, eps, mean=None, var=None):
    mean = x.mean(axes, keepdims=True) if mean is None else mean
    var = ((x - mean) ** 2).mean(axes, keepdims=True) if var is None else var
    return (x - mean) / np.sqrt(var + eps)


def _scaled(y, w, b, shape):
    y = y if w is None else y * w.reshape(shape)
    return y if b is None else y + b.reshape(shape)


def _channels(x):
    return (-1, *[1] * (x.ndim - 2))


@reference("F.layer_norm")
def _(x, shape, w, b, eps):
    return _scaled(_normed(x, tuple(range(-len(shape), 0)), eps), w, b, shape)


@reference("F.group_norm")
def _(x, groups, w, b):
    y = _normed(x.reshape(len(x), groups, -1), (2,), 1e-5).reshape(x.shape)
    return _scaled(y, w, b, _channels(x))


@reference("F.batch_norm")
def _(x, mean, var, w, b, training):
    if training:
        mean = var = None
    else:
        mean, var = mean.reshape(_channels(x)), var.reshape(_channels(x))
    return _scaled(_normed(x, (0, *range(2, x.ndim)), 1e-5, mean, var), w, b, _channels(x))


@reference("F.instance_norm")
def _(x, mean, var, w, b):
    return _scaled(_normed(x, tuple(range(2, x.ndim)), 1e-5), w, b, _channels(x))


@reference("F.scaled_dot_product_attention")
def _(q, k, v, scale, is_causal=False, attn_mask=None):
    scores = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = np.tril(np.ones(scores.shape[-2:], bool))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    return softmax(scores, -1) @ v


@reference("F.normalize")
def _(x, p, dim):
    return x / np.maximum((abs(x) ** p).sum(dim, keepdims=True) ** (1 / p), 1e-12)


@reference("F.cosine_similarity")
def _(a, b, dim):
    return (a * b).sum(dim) / (np.sqrt((a * a).sum(dim)) * np.sqrt((b * b).sum(dim)))


@reference("F.pairwise_distance")
def _(a, b, p, keepdim):
    return np.asarray((abs(a - b + 1e-6) ** p).sum(-1, keepdims=keepdim) ** (1 / p))


REFERENCES["F.embedding"] = lambda index, weight, padding_idx: weight[index]
REFERENCES["F.one_hot"] = lambda index, n: np.eye(n, dtype=np.int64)[index]


# --- losses


def _reduced(loss, reduction, weights=None):
    if reduction == "none":
        return np.asarray(loss)
    total = np.asarray(loss.sum())
    return total if reduction == "sum" else total / (loss.size if weights is None else weights.sum())


REFERENCES["F.mse_loss"] = lambda x, t, reduction: _reduced((x - t) ** 2, reduction)
REFERENCES["F.l1_loss"] = lambda x, t, reduction: _reduced(abs(x - t), reduction)


@reference("F.smooth_l1_loss")
def _(x, t, reduction, beta):
    d = abs(x - t)
    return _reduced(d if beta == 0 else np.where(d < beta, d**2 / (2 * beta), d - beta / 2), reduction)


@reference("F.huber_loss")
def _(x, t, reduction, delta):
    d = abs(x - t)
    return _reduced(np.where(d < delta, d**2 / 2, delta * (d - delta / 2)), reduction)


@reference("F.binary_cross_entropy")
def _(x, t, weight, reduction):
    return _reduced(-(t * np.log(x) + (1 - t) * np.log1p(-x)) * (1 if weight is None else weight), reduction)


@reference("F.binary_cross_entropy_with_logits")
def _(x, t, reduction, weight, pos_weight):
    log_p = np.minimum(x, 0) - np.log1p(np.exp(-abs(x)))
    log_q = np.minimum(-x, 0) - np.log1p(np.exp(-abs(x)))
    loss = -((1 if pos_weight is None else pos_weight) * t * log_p + (1 - t) * log_q)
    return _reduced(loss * (1 if weight is None else weight), reduction)


def _picked(log_p, target, weight, ignore_index, reduction, smoothing=0.0):
    """−w_t·log p_t, and with smoothing the mean over all classes beside it."""
    axis = 1 if log_p.ndim > 1 else 0
    C = log_p.shape[axis]
    w = np.ones(C) if weight is None else weight
    log_p = np.moveaxis(log_p, axis, -1)
    loss, weights = np.zeros(target.shape), np.zeros(target.shape)
    for place in np.ndindex(*target.shape):
        label = target[place]
        if label != ignore_index:
            row = log_p[place]
            loss[place] = -(1 - smoothing) * w[label] * row[label] - (smoothing / C * (w * row).sum() if smoothing else 0)
            weights[place] = w[label]
    return _reduced(loss, reduction, weights)


@reference("F.cross_entropy")
def _(x, target, reduction, label_smoothing, weight, ignore_index=-100):
    axis = 1 if x.ndim > 1 else 0
    log_p = log_softmax(x, axis)
    if target.dtype.kind == "i":
        return _picked(log_p, target, weight, ignore_index, reduction, label_smoothing)
    C = x.shape[axis]
    w = np.ones(C) if weight is None else weight
    shape = [1] * x.ndim
    shape[axis] = C
    loss = -((target * (1 - label_smoothing) + label_smoothing / C) * w.reshape(shape) * log_p).sum(axis)
    return _reduced(loss, reduction, np.ones(loss.shape))


@reference("F.nll_loss")
def _(x, target, weight, reduction, ignore_index):
    return _picked(x, target, weight, ignore_index, reduction)


@reference("F.kl_div")
def _(x, t, reduction, log_target):
    loss = np.exp(t) * (t - x) if log_target else t * (np.log(t) - x)
    return loss.sum() / len(x) if reduction == "batchmean" else _reduced(loss, reduction)


@reference("F.gaussian_nll_loss")
def _(x, t, var, full, reduction):
    return _reduced((np.log(var) + (x - t) ** 2 / var) / 2 + (math.log(2 * math.pi) / 2 if full else 0), reduction)


@reference("F.ctc_loss")
def _(x, targets, lengths, sizes, reduction, zero_infinity):
    losses = []
    for n, (T, S) in enumerate(zip(lengths, sizes, strict=True)):
        total = 0.0
        for path in itertools.product(range(x.shape[2]), repeat=T):
            if [label for label, _ in itertools.groupby(path) if label] == targets[n, :S].tolist():
                total += math.exp(sum(x[t, n, label] for t, label in enumerate(path)))
        losses.append(-math.log(total) if total else 0.0 if zero_infinity else math.inf)
    losses = np.array(losses)
    return np.mean(losses / np.maximum(sizes, 1)) if reduction == "mean" else _reduced(losses, reduction)


class Reference:
    name = "numpy"

    def run(self, name, arguments, keywords, cotangents=None, leaf=True):
        results = REFERENCES[name](*arguments, **keywords)
        return [np.asarray(y) for y in (results if isinstance(results, tuple) else (results,))], []


REFERENCES["F.threshold"] = lambda x, limit, value: np.where(x <= limit, value, x)
REFERENCES["F.prelu"] = lambda x, w: np.where(x > 0, x, x * (w[0] if len(w) == 1 else w.reshape(-1, *(1,) * (x.ndim - 2))))
REFERENCES["F.glu"] = lambda x, dim: np.split(x, 2, dim)[0] / (1 + np.exp(-np.split(x, 2, dim)[1]))
REFERENCES["F.softmin"] = lambda x, dim: softmax(-x, dim)

# --- activations without a reference above: that of tests/table_functional.py

for _name, _calls in ACTIVATIONS.items():
    if f"F.{_name}" not in REFERENCES and len(_calls[0].args) == 1:
        REFERENCES[f"F.{_name}"] = _calls[0].reference
