"""What every function of nn.functional computes, in plain NumPy: rows of calls, each with its reference.

A reference takes the call's arrays and options. `test_completeness` runs all calls, and asks that each option is given another
value than its default somewhere, in a call that gives something else without it.
"""

import itertools
import math

import numpy as np

import minidl

from . import table


class Call:
    """One call: arrays (and other arguments), options, and the reference for both.

    call(function, *tensors, **options): what to compare with the reference's answer, if not the result alone. gradient: whether
    the gradients of all arrays of floats are to be compared with central differences.
    """

    def __init__(self, reference, *args, call=None, gradient=True, **options):
        self.reference, self.args, self.options = reference, args, options
        self.call, self.gradient = call or plainly, gradient

    def found(self, function, without=()):
        """What the function gives, with these options left out."""
        options = {name: tensor(x) for name, x in self.options.items() if name not in without}
        return arrays(self.call(function, *map(tensor, self.args), **options))

    def expected(self):
        return arrays(self.reference(*self.args, **self.options))

    def single(self, function):
        """What the function gives for float32, as tensors and whatever else it gives."""
        options = {name: single(x) for name, x in self.options.items()}
        results = self.call(function, *map(single, self.args), **options)
        return results if isinstance(results, (tuple, list)) else [results]


def plainly(function, *args, **options):
    return function(*args, **options)


def tensor(x):
    return minidl.tensor(x) if isinstance(x, np.ndarray) else x


def single(x):
    return minidl.tensor(x.astype(np.float32) if x.dtype == np.float64 else x) if isinstance(x, np.ndarray) else x


def assert_single(found, expected):
    """Where float64 would give float64, float32 gives float32, as exact as it can be."""
    for y, wanted in zip(found, expected, strict=True):
        if isinstance(y, minidl.Tensor):
            assert y.dtype == (np.float32 if wanted.dtype == np.float64 else wanted.dtype), f"{y.dtype}, expected float32"
            np.testing.assert_allclose(y.numpy(force=True), wanted, rtol=1e-3, atol=1e-4)


def arrays(results):
    """Results as a list of arrays."""
    results = results if isinstance(results, (tuple, list)) else [results]
    return [x.numpy(force=True) if isinstance(x, minidl.Tensor) else np.asarray(x) for x in results]


def assert_same(found, expected):
    assert len(found) == len(expected), f"{len(found)} results, expected {len(expected)}"
    for y, wanted in zip(found, expected, strict=True):
        assert y.shape == wanted.shape, f"shape {y.shape}, expected {wanted.shape}"
        assert y.dtype == wanted.dtype, f"{y.dtype}, expected {wanted.dtype}"
        np.testing.assert_allclose(y, wanted, rtol=1e-9, atol=1e-11)


# --- what the calls are given

rng = np.random.default_rng(0)
X = np.array([[-2.3, -0.4, 0.7, 1.9], [0.35, -1.2, 2.6, -0.15], [1.1, 3.2, -3.1, 0.9]])
Y = X[::-1, ::-1] * 0.7 + 0.23
P = rng.uniform(0.1, 0.9, (3, 4))
ROWS = P / P.sum(1, keepdims=True)  # probabilities in rows
OTHER = P[::-1, ::-1] / P[::-1, ::-1].sum(1, keepdims=True)
LABELS = np.array([2, 0, 3])
WEIGHTS = np.array([0.5, 1.5, 2.0, 0.8])
SIGNALS = table.distinct(rng, (2, 3, 7))
IMAGES = table.distinct(rng, (2, 3, 5, 6))
CHANNELS = rng.normal(size=(4, 3))  # a weight, a bias, a mean and a variance for three channels
CHANNELS[3] = rng.uniform(0.5, 2, 3)
QUERIES, KEYS, VALUES = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 2))


def normal(*shape):
    return rng.normal(size=shape)


# --- activations


def of_each(function):
    return lambda x, **options: np.vectorize(lambda v: function(v, **options), otypes=[float])(x)


def logistic(v):
    return 1 / (1 + math.exp(-v))


def leaky_relu(v, negative_slope=0.01):
    return v if v > 0 else negative_slope * v


def elu(v, alpha=1.0):
    return v if v > 0 else alpha * math.expm1(v)


def gelu(v, approximate="none"):
    return table.gelu(v, approximate)


def softplus(v, beta=1.0, threshold=20.0):
    return table.softplus(v, beta, threshold)


def selu(v):
    return 1.0507009873554804934193349852946 * elu(v, 1.6732632423543772848170429916717)


def celu(v, alpha=1.0):
    return v if v > 0 else alpha * math.expm1(v / alpha)


def glu(x, dim=-1):
    a, b = np.split(x, 2, dim)
    return a / (1 + np.exp(-b))


def hardtanh(v, min_val=-1.0, max_val=1.0):
    return min(max(v, min_val), max_val)


def hardsigmoid(v):
    return hardtanh(v / 6 + 0.5, 0.0, 1.0)


def hardshrink(v, lambd=0.5):
    return 0.0 if -lambd <= v <= lambd else v


def softshrink(v, lambd=0.5):
    return v - lambd if v > lambd else v + lambd if v < -lambd else 0.0


def threshold(v, threshold, value):
    return v if v > threshold else value


def prelu(x, weight):
    y = x.copy()
    for place in np.argwhere(x < 0):
        y[tuple(place)] *= weight[0] if len(weight) == 1 else weight[place[1]]
    return y


def rrelu(v, lower=1 / 8, upper=1 / 3):
    return v if v > 0 else v * (lower + upper) / 2


def slopes(function, x, lower=1 / 8, upper=1 / 3, training=False):
    """Of rrelu: the smallest and the largest slope below 0, about, whether they differ, and what is above 0."""
    minidl.manual_seed(0)
    y = (function(x, lower, upper, training=training) / x).numpy(force=True)
    found = y[x.numpy() < 0]
    return np.array([found.min().round(1), found.max().round(1), found.std() > 0.1, (y[x.numpy() > 0] == 1).all()], float)


def softmax(x, dim, dtype=None):
    e = np.exp(x.astype(dtype or x.dtype))
    return e / e.sum(dim, keepdims=True)


def log_softmax(x, dim, dtype=None):
    return np.log(softmax(x, dim, dtype))


def in_place(function, x, inplace=False):
    """The result, and what the input is afterwards."""
    x = x * 1
    return function(x, inplace=inplace), x


SLOPED = table.distinct(rng, (40, 50))
ACTIVATIONS = {
    "relu": [
        Call(of_each(lambda v: max(v, 0.0)), 3 * X),
        Call(lambda x, inplace: (np.maximum(x, 0), np.maximum(x, 0)), X, call=in_place, gradient=False, inplace=True),
    ],
    "leaky_relu": [Call(of_each(leaky_relu), X), Call(of_each(leaky_relu), X, negative_slope=0.3)],
    "elu": [Call(of_each(elu), X), Call(of_each(elu), X, alpha=1.7)],
    "gelu": [Call(of_each(gelu), X), Call(of_each(gelu), X, approximate="tanh")],
    "silu": [Call(of_each(lambda v: v * logistic(v)), X)],
    "softplus": [Call(of_each(softplus), X), Call(of_each(softplus), X, beta=2.5), Call(of_each(softplus), X, threshold=1.5)],
    "sigmoid": [Call(of_each(logistic), X)],
    "logsigmoid": [Call(of_each(lambda v: math.log(logistic(v))), X)],
    "tanh": [Call(of_each(lambda v: (1 - math.exp(-2 * v)) / (1 + math.exp(-2 * v))), X)],
    "celu": [Call(of_each(celu), X), Call(of_each(celu), X, alpha=1.7)],
    "glu": [Call(glu, X), Call(glu, IMAGES, dim=3), Call(glu, X.T, dim=0)],
    "hardshrink": [Call(of_each(hardshrink), X), Call(of_each(hardshrink), X, lambd=1.0)],
    "hardsigmoid": [Call(of_each(hardsigmoid), X), Call(of_each(hardsigmoid), 3 * X)],
    "hardswish": [Call(of_each(lambda v: v * hardsigmoid(v)), X), Call(of_each(lambda v: v * hardsigmoid(v)), 3 * X)],
    "hardtanh": [
        Call(of_each(hardtanh), X),
        Call(of_each(hardtanh), X, min_val=-2.0),
        Call(of_each(hardtanh), X, max_val=1.5),
    ],
    "mish": [Call(of_each(lambda v: v * math.tanh(v if v > 30 else math.log1p(math.exp(v)))), X)],
    "prelu": [Call(prelu, X, np.array([0.3])), Call(prelu, X, WEIGHTS), Call(prelu, IMAGES, WEIGHTS[:3])],
    "relu6": [Call(of_each(lambda v: hardtanh(v, 0.0, 6.0)), 3 * X)],
    "rrelu": [
        Call(of_each(rrelu), X),
        Call(of_each(rrelu), X, lower=0.1),
        Call(of_each(rrelu), X, upper=0.7),
        Call(
            lambda x, **o: np.array([-0.2, 0.7, 1, 1]),
            SLOPED,
            call=slopes,
            gradient=False,
            lower=-0.2,
            upper=0.7,
            training=True,
        ),
    ],
    "selu": [Call(of_each(selu), X)],
    "softmin": [
        Call(lambda x, dim: softmax(-x, dim), X, dim=1),
        Call(lambda x, dim: softmax(-x, dim), X, dim=0),
        Call(lambda x, dim, dtype: softmax(-x, dim, dtype), X.astype(np.float32), dim=-1, dtype=np.float64, gradient=False),
    ],
    "softshrink": [Call(of_each(softshrink), X), Call(of_each(softshrink), X, lambd=1.0)],
    "softsign": [Call(of_each(lambda v: v / (1 + abs(v))), X)],
    "tanhshrink": [Call(of_each(lambda v: v - math.tanh(v)), X)],
    "threshold": [
        Call(of_each(threshold), X, threshold=0.5, value=2.0),
        Call(of_each(threshold), X, threshold=-1.0, value=0.0),
    ],
    "softmax": [
        Call(softmax, X, 1),
        Call(softmax, X, dim=0),
        Call(softmax, X.astype(np.float32), -1, dtype=np.float64, gradient=False),
    ],
    "log_softmax": [
        Call(log_softmax, X, 1),
        Call(log_softmax, X, dim=0),
        Call(log_softmax, X.astype(np.float32), -1, dtype=np.float64, gradient=False),
    ],
}

# --- affine maps, look-ups, distances, dropout


def bilinear(a, b, w, bias=None):
    y = np.array([[sum(a[n, i] * m[i, j] * b[n, j] for i, j in np.ndindex(m.shape)) for m in w] for n in range(len(a))])
    return y if bias is None else y + bias


def one_hot(index, num_classes=-1):
    y = np.zeros((*index.shape, index.max() + 1 if num_classes == -1 else num_classes), np.int64)
    for place in np.ndindex(index.shape):
        y[(*place, index[place])] = 1
    return y


def embedded(function, index, weight, **options):
    """The rows, the gradient of the table for a cotangent that differs everywhere, and the table."""
    weight.requires_grad_()
    y = function(index, weight, **options)
    y.backward(minidl.arange(1.0, y.numel() + 1, dtype=y.dtype).reshape(y.shape))
    return y, weight.grad, weight


def shortened(index, weight, max_norm=None, norm_type=2.0):
    weight = weight.copy()
    for row in set(index.ravel().tolist()):
        length = (abs(weight[row]) ** norm_type).sum() ** (1 / norm_type)
        if max_norm is not None and length > max_norm:
            weight[row] *= max_norm / (length + 1e-7)
    return weight


def embedding(index, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False):
    weight = shortened(index, weight, max_norm, norm_type)
    y, gradient = weight[index], np.zeros(weight.shape)
    dy = np.arange(1.0, y.size + 1).reshape(y.shape)
    for n, row in enumerate(index):
        if padding_idx is None or row != padding_idx % len(weight):
            gradient[row] += dy[n] / ((index == row).sum() if scale_grad_by_freq else 1)
    return y, gradient, weight


def embedding_bag(index, weight, offsets=None, mode="mean", per_sample_weights=None, include_last_offset=False, **options):
    """The bags, the gradient of the table for a cotangent that differs everywhere, and the table."""
    skipped = options.pop("padding_idx", None)
    often = options.pop("scale_grad_by_freq", False)
    weight = shortened(index, weight, **options)
    starts = [n * index.shape[-1] for n in range(len(index))] if offsets is None else offsets.tolist()
    index, factors = index.ravel(), None if per_sample_weights is None else per_sample_weights.ravel()
    ends = [*starts[1:], len(index)]
    y, gradient = np.zeros((len(starts) - include_last_offset, weight.shape[1])), np.zeros(weight.shape)
    dy = np.arange(1.0, y.size + 1).reshape(y.shape)
    for b, e in np.ndindex(y.shape):
        places = [i for i in range(starts[b], ends[b]) if index[i] != skipped]
        if mode == "max" and places:
            places = [max(places, key=lambda i: weight[index[i], e])]
        for i in places:
            factor = 1 / len(places) if mode == "mean" else 1 if factors is None else factors[i]
            y[b, e] += factor * weight[index[i], e]
            gradient[index[i], e] += factor * dy[b, e] / ((index == index[i]).sum() if often else 1)
    return y, gradient, weight


def alpha_dropped(function, x, p=None, training=None):
    """Of alpha dropout of many numbers with mean 0 and variance 1: these two afterwards, and how many alike there are."""
    options = {name: value for name, value in (("p", p), ("training", training)) if value is not None}
    minidl.manual_seed(3)
    y = function(x, **options).numpy()
    alike = np.unique(y, return_counts=True)[1].max() / len(y) if len(np.unique(y)) < 19000 else 0
    return np.array([np.round(y.mean(), 1), np.round(y.var(), 1), np.round(alike, 1)]) + 0.0


def alpha_dropout(x, p=0.5, training=False):
    return np.array([0.0, 1.0, p if training else 0.0])


def sampled(function, x, **options):
    """In float64, for which the reference draws."""
    minidl.manual_seed(0)
    return function(x.double(), **options).to(x.dtype)


def gumbel(x, tau=1.0, hard=False, dim=-1):
    minidl.manual_seed(0)
    y = softmax((x - np.log(minidl.default_generator.exponential(x.shape, x.dtype))) / tau, dim)
    return np.where(y == y.max(dim, keepdims=True), 1.0, 0.0) if hard else y


def lengths(x, p, dim):
    return table.over_axes(lambda values: table.norm(values, p))(x, (dim % x.ndim,), True)


def normalize(x, p=2.0, dim=1, eps=1e-12):
    return x / np.maximum(lengths(x, p, dim), eps)


def cosine_similarity(a, b, dim=1, eps=1e-8):
    norms = np.maximum(lengths(a, 2, dim), eps) * np.maximum(lengths(b, 2, dim), eps)
    return ((a * b).sum(dim, keepdims=True) / norms).squeeze(dim)


def pairwise_distance(a, b, p=2.0, eps=1e-6, keepdim=False):
    y = lengths(a - b + eps, p, -1)
    return y if keepdim else y.squeeze(-1)


def traits(y, x, p):
    """Of what dropout left: is each element 0 or x/(1 − p); is the share of zeros p; what part of the rows is all alike?"""
    kept = y != 0
    right = np.allclose(y[kept], x[kept] / (1 - p), rtol=1e-12)
    rows = kept.reshape(len(kept), -1)
    return right, abs(1 - kept.mean() - p) < 0.05, (rows == rows[:, :1]).all(1).mean() > 0.9


def dropped(rows_alike):
    """What dropout does with p in training; `rows_alike` says that it drops whole rows."""

    def call(function, x, p=None, training=None):
        options = {name: value for name, value in (("p", p), ("training", training)) if value is not None}
        minidl.manual_seed(3)
        y = function(x, **options).numpy()
        return np.array([*traits(y, x.numpy(), 0.2 if p is None else p), np.array_equal(y, x.numpy())], float)

    def reference(x, p=0.2, training=True):
        whole = x.reshape(len(x), -1).shape[1] == 1
        return np.array([1, 1, rows_alike or whole, 0], float) if training else np.array([0, 0, 1, 1], float)

    return call, reference


def dropouts(*shape, rows_alike):
    call, reference = dropped(rows_alike)
    x = np.arange(1.0, math.prod(shape) + 1).reshape(shape)
    options = {"call": call, "gradient": False}
    none = Call(lambda x, p: 0 * x, x, p=1.0)
    return [Call(reference, x, p=0.2, **options), Call(reference, x, p=0.2, training=False, **options), none]


BAGS = np.array([[2, 0, 2], [1, 3, 0]])
NORMAL = rng.normal(size=20000)
BASICS = {
    "linear": [Call(table.linear, X, normal(2, 4)), Call(lambda x, w, bias: table.linear(x, w, bias), X, X[:2], bias=X[0, :2])],
    "bilinear": [
        Call(bilinear, X, Y[:, :2], normal(5, 4, 2)),
        Call(bilinear, X, Y[:, :2], normal(5, 4, 2), bias=normal(5)),
    ],
    "dropout": dropouts(500, 4, rows_alike=False),
    "dropout1d": dropouts(900, 4, rows_alike=True),
    "dropout2d": dropouts(900, 1, 2, 3, rows_alike=True),
    "one_hot": [Call(one_hot, np.array([[1, 0], [3, 1]])), Call(one_hot, LABELS, num_classes=6)],
    "embedding": [
        Call(embedding, np.array([2, 0, 2, 1]), X, call=embedded, gradient=False),
        Call(embedding, np.array([2, 0, 2, 1]), X, call=embedded, gradient=False, padding_idx=-1),
        Call(embedding, np.array([2, 0, 2, 1]), X, call=embedded, gradient=False, max_norm=2.5),
        Call(embedding, np.array([2, 0, 2]), X, call=embedded, gradient=False, max_norm=2.5, norm_type=1.0),
        Call(embedding, np.array([2, 0, 2, 1]), X, call=embedded, gradient=False, scale_grad_by_freq=True),
    ],
    "embedding_bag": [
        *(Call(embedding_bag, BAGS, X.T, call=embedded, gradient=False, mode=mode) for mode in ("sum", "max")),
        Call(embedding_bag, BAGS, X.T, call=embedded, gradient=False),
        Call(embedding_bag, BAGS.ravel(), X.T, call=embedded, gradient=False, offsets=np.array([0, 2, 2, 5])),
        Call(
            embedding_bag,
            BAGS.ravel(),
            X.T,
            call=embedded,
            gradient=False,
            offsets=np.array([0, 2, 2, 6]),
            include_last_offset=True,
        ),
        Call(embedding_bag, BAGS, X.T, call=embedded, gradient=False, mode="sum", per_sample_weights=X[:2, :3]),
        *(
            Call(embedding_bag, BAGS, X.T, call=embedded, gradient=False, **options)
            for options in (
                {"padding_idx": 2},
                {"padding_idx": 2, "mode": "max"},
                {"max_norm": 2.5},
                {"max_norm": 2.5, "norm_type": 1.0},
                {"scale_grad_by_freq": True},
            )
        ),
    ],
    "alpha_dropout": [
        Call(alpha_dropout, NORMAL, call=alpha_dropped, gradient=False),
        Call(alpha_dropout, NORMAL, call=alpha_dropped, gradient=False, training=True),
        Call(alpha_dropout, NORMAL, call=alpha_dropped, gradient=False, training=True, p=0.2),
    ],
    "gumbel_softmax": [
        Call(gumbel, X, call=sampled, gradient=False),
        Call(gumbel, X, call=sampled, gradient=False, hard=True),
        Call(gumbel, X, call=sampled, gradient=False, tau=0.3),
        Call(gumbel, X, call=sampled, gradient=False, dim=0),
    ],
    "normalize": [
        Call(normalize, X),
        Call(normalize, X, p=1.5),
        Call(normalize, X, p=math.inf, dim=0),
        Call(normalize, X, eps=4.0),
    ],
    "cosine_similarity": [
        Call(cosine_similarity, X, Y),
        Call(cosine_similarity, X, Y, dim=0),
        Call(cosine_similarity, X, Y, eps=3.0),
    ],
    "pairwise_distance": [
        Call(pairwise_distance, X, Y),
        *(Call(pairwise_distance, X, Y, p=p) for p in (1.0, 3.0, 0.5, math.inf)),
        Call(pairwise_distance, X, Y, eps=0.1),
        Call(pairwise_distance, X, Y, p=1.5, keepdim=True),
    ],
}

# --- convolutions, windows, other sizes


def pair(value, d=2):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * d


def conv2d(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
    stride, dilation, b = pair(stride), pair(dilation), np.zeros(len(w)) if bias is None else bias
    if padding == "same":
        total = [r * (k - 1) for r, k in zip(dilation, w.shape[2:], strict=True)]
        sides = tuple(side for n in total for side in (n // 2, n - n // 2))
    else:
        sides = tuple(p for p in pair(0 if padding == "valid" else padding) for _ in (0, 1))
    return table.conv2d(x, w, b, stride, sides, dilation, groups)


def conv_transpose2d(x, w, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Each element of x is spread over a window of y."""
    stride, padding, extra, dilation = map(pair, (stride, padding, output_padding, dilation))
    kernel, (N, C, H, W), out = w.shape[2:], x.shape, w.shape[1]
    size = [(n - 1) * s + r * (k - 1) + 1 + e for n, s, r, k, e in zip((H, W), stride, dilation, kernel, extra, strict=True)]
    y = np.zeros((N, out * groups, *size))
    for n, c, o, i, j, k, l in np.ndindex(N, C, out, H, W, *kernel):
        place = i * stride[0] + k * dilation[0], j * stride[1] + l * dilation[1]
        y[(n, c // (C // groups) * out + o, *place)] += w[c, o, k, l] * x[n, c, i, j]
    y = y[:, :, padding[0] : size[0] - padding[0], padding[1] : size[1] - padding[1]]
    return y if bias is None else y + bias[:, None, None]


def one_row(function):
    """A function of images for signals, as images of one row."""

    def reference(x, w, bias=None, **options):
        rest = {"stride": 1, "dilation": 1, "padding": 0, "output_padding": 0}
        options = {name: (rest[name], v) if name in rest and type(v) is int else v for name, v in options.items()}
        return function(x[:, :, None], w[:, :, None], bias, **options)[:, :, 0]

    return reference


def alone(reference):
    """The reference for batches, for what has no axis of samples."""
    return lambda x, *args, **options: reference(x[None], *args, **options)[0]


def convolutions(reference, x, w, grouped, bias, *more):
    """Each option by itself, and what more there is."""
    return [
        *(Call(reference, x, w, **o) for o in ({}, {"bias": bias}, {"stride": 2}, {"padding": 1}, {"dilation": 2}, *more)),
        Call(alone(reference), x[0], w, bias=bias),
        Call(reference, x, grouped, groups=3),
    ]


IMAGE, SIGNAL = IMAGES[:1], SIGNALS[:1]
W1, G1 = normal(3, 3, 3), normal(6, 1, 2)
W2, G2 = normal(2, 3, 3, 2), normal(6, 1, 2, 2)
T1, U1 = normal(3, 3, 3), normal(3, 2, 2)
T2, U2 = normal(3, 2, 3, 2), normal(3, 2, 2, 2)
PAIRS = {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2)}
B2, B3 = normal(2), normal(3)
FAR = {"stride": 1, "dilation": 2, "output_padding": 1}  # a whole stride more
CONVOLUTIONS = {
    "conv1d": convolutions(one_row(conv2d), SIGNAL, W1, G1, B3),
    "conv2d": convolutions(conv2d, IMAGE, W2, G2, B2, PAIRS, {"padding": "same"}, {"padding": "valid"}),
    "convolve2d": convolutions(lambda x, w, *b, **o: conv2d(x, w[:, :, ::-1, ::-1], *b, **o), IMAGE, W2, G2, B2, PAIRS),
    "conv_transpose1d": convolutions(one_row(conv_transpose2d), SIGNAL, T1, U1, B3, {"stride": 3, "output_padding": 2}, FAR),
    "conv_transpose2d": convolutions(
        conv_transpose2d, IMAGE, T2, U2, B2, PAIRS, {"stride": (2, 3), "output_padding": (0, 2)}, FAR
    ),
}


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    return table.unfold(x, pair(kernel_size), pair(dilation), pair(padding), pair(stride))


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    return table.fold(x, pair(output_size), *map(pair, (kernel_size, dilation, padding, stride)))


def pad(x, pad, mode="constant", value=None):
    widths = tuple(zip(pad[::2], pad[1::2], strict=True))[::-1]
    if mode == "constant":
        return table.constantly_padded(x, widths, 0.0 if value is None else value)
    return table.continued(x, mode, widths)


def keys(x, a):
    """The cubic of Keys (1981): 1 at 0, 0 at all other integers."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def shares(n, o, place, step, mode, antialias, out):
    """{element: its share} in new element o, for the modes that mix more than two."""
    if mode == "area":
        window = adaptive_windows(n, out)[o]
        return dict.fromkeys(window, 1 / len(window))
    if not antialias:
        found, low = {}, math.floor(place)
        for i in range(low - 1, low + 3):
            inside = min(max(i, 0), n - 1)
            found[inside] = found.get(inside, 0.0) + keys(place - i, -0.75)
        return found
    width = max(step, 1.0)
    weight = (lambda u: keys(u, -0.5)) if mode == "bicubic" else lambda u: max(0.0, 1 - abs(u))
    found = {i: weight((i + 0.5 - step * (o + 0.5)) / width) for i in range(n)}
    return {i: share / sum(found.values()) for i, share in found.items()}


def interpolate(
    x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False
):
    d = x.ndim - 2
    factors = pair(1.0 if scale_factor is None else scale_factor, d)
    grown = [math.floor(n * factor) for n, factor in zip(x.shape[2:], factors, strict=True)]
    for axis, out in enumerate(grown if size is None else pair(size, d), 2):
        n, lines, new = x.shape[axis], np.moveaxis(x, axis, 0), []
        given = scale_factor is not None and not recompute_scale_factor
        step = 1 / factors[axis - 2] if given else n / out
        if (mode.endswith("linear") or antialias) and n == out:
            continue  # PyTorch: what keeps its size is left alone, whatever the factor is
        if mode in ("area", "bicubic") or antialias:
            step = ((n - 1) / (out - 1) if out > 1 else 0.0) if align_corners else step
            for o in range(out):
                place = o * step if align_corners else (o + 0.5) * step - 0.5
                found = shares(n, o, place, step, mode, antialias, out)
                new.append(sum(share * lines[i] for i, share in found.items()))
            x = np.moveaxis(np.array(new), 0, axis)
            continue
        for o in range(out):
            if not mode.endswith("linear"):
                i = math.floor((o + (0.5 if mode == "nearest-exact" else 0)) * step)
                new.append(lines[min(i, n - 1)])
                continue
            place = (o * (n - 1) / (out - 1) if out > 1 else 0.0) if align_corners else max((o + 0.5) * step - 0.5, 0)
            i = min(math.floor(place), n - 1)
            new.append((1 - (place - i)) * lines[i] + (place - i) * lines[min(i + 1, n - 1)])
        x = np.moveaxis(np.array(new), 0, axis)
    return x


def pixel_shuffle(x, r):
    *lead, c, h, w = x.shape
    y = np.empty((*lead, c // r**2, h * r, w * r), x.dtype)
    for k, i, j in np.ndindex(c // r**2, h * r, w * r):
        y[..., k, i, j] = x[..., k * r * r + i % r * r + j % r, i // r, j // r]
    return y


def pixel_unshuffle(x, r):
    *lead, c, h, w = x.shape
    y = np.empty((*lead, c * r**2, h // r, w // r), x.dtype)
    for k, i, j in np.ndindex(c, h, w):
        y[..., k * r * r + i % r * r + j % r, i // r, j // r] = x[..., k, i, j]
    return y


CUT = IMAGES, (3, -2, -1, 2)
COLUMNS = normal(1, 12, 20)  # 3 channels, windows of 2 × 2, 4 · 5 places in 5 × 6
VOLUMES = normal(1, 2, 2, 3, 4)
SIZES = {
    "unfold": [Call(unfold, IMAGES, (2, 3)), *(Call(unfold, IMAGES, 2, **{name: 2}) for name in ("dilation", "stride"))]
    + [
        Call(alone(unfold), IMAGES[0], 2),
        Call(unfold, IMAGES, 2, padding=1),
        Call(unfold, IMAGES, (2, 3), dilation=(2, 1), padding=(0, 1), stride=(1, 2)),
    ],
    "fold": [
        Call(fold, COLUMNS, (5, 6), 2),
        Call(alone(fold), COLUMNS[0], (5, 6), 2),
        Call(fold, COLUMNS[..., :12], (5, 6), 2, dilation=2),
        Call(fold, COLUMNS[..., :6], (5, 6), 2, stride=2),
        Call(fold, COLUMNS[..., :12], (2, 3), 2, padding=1),
        Call(fold, normal(1, 12, 6), (5, 6), (2, 3), dilation=(2, 1), padding=(0, 1), stride=(1, 3)),
    ],
    "pad": [
        Call(pad, IMAGES, (1, 2)),
        Call(pad, IMAGES, (1, -2, 0, 3, 2, 1)),
        Call(pad, IMAGES, (1, 0, 2, 1), value=1.5),
        Call(lambda x, pad, mode: np.pad(x[..., 1:, :-2], [(0, 0)] * 2 + [(0, 2), (3, 0)], "wrap"), *CUT, mode="circular"),
        *(Call(pad, IMAGES, (1, 2, 3, 0), mode=mode) for mode in ("reflect", "replicate", "circular")),
    ],
    "interpolate": [
        *(
            Call(interpolate, SIGNALS, **{"size": n, "mode": m})
            for n in (3, 12)
            for m in ("nearest", "nearest-exact", "linear")
        ),
        *(Call(interpolate, SIGNALS, size=n, mode="linear", align_corners=True) for n in (1, 3, 12)),
        *(
            Call(interpolate, SIGNALS, scale_factor=f, mode=m)
            for f in (0.6, 1.7)
            for m in ("nearest", "nearest-exact", "linear")
        ),
        *(
            Call(interpolate, SIGNALS, scale_factor=1.7, mode=m, recompute_scale_factor=True)
            for m in ("nearest", "nearest-exact", "linear")
        ),
        Call(interpolate, SIGNALS, scale_factor=1.1, mode="linear"),
        Call(interpolate, IMAGES, size=(3, 8)),
        Call(interpolate, IMAGES, scale_factor=(1.5, 2.0)),
        *(Call(interpolate, IMAGES, size=(3, 8), mode="bilinear", align_corners=a) for a in (None, False, True)),
        *(Call(interpolate, IMAGES, scale_factor=(1.7, 0.6), mode="bilinear", align_corners=a) for a in (False, True)),
        *(Call(interpolate, VOLUMES, size=(3, 2, 5), mode="trilinear", align_corners=a) for a in (False, True)),
        Call(interpolate, VOLUMES, size=(3, 2, 5), mode="nearest-exact"),
        *(Call(interpolate, x, scale_factor=f, mode="area") for x in (SIGNALS, IMAGES, VOLUMES) for f in (0.6, 1.7)),
        *(
            Call(interpolate, IMAGES, size=(3, 8), mode=m, antialias=a, align_corners=c)
            for m, a in (("bicubic", False), ("bicubic", True), ("bilinear", True))
            for c in (False, True)
        ),
        *(
            Call(interpolate, IMAGES, scale_factor=(0.5, 1.1), mode=m, antialias=a)
            for m, a in (("bicubic", False), ("bicubic", True), ("bilinear", True))
        ),
    ],
    "pixel_shuffle": [
        Call(pixel_shuffle, normal(3, 8, 2, 3), 2),
        Call(pixel_shuffle, normal(9, 2, 1), 3),
        Call(pixel_shuffle, IMAGES, 1),
    ],
    "pixel_unshuffle": [
        Call(pixel_unshuffle, normal(3, 2, 4, 6), 2),
        Call(pixel_unshuffle, normal(2, 6, 3), 3),
        Call(pixel_unshuffle, IMAGES, 1),
    ],
}

# --- pooling


def axis_windows(n, kernel, stride, padding=0, dilation=1, ceil_mode=False):
    """The places that each window of an axis reaches, those on the padding too."""
    count = (math.ceil if ceil_mode else math.floor)((n + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
    if ceil_mode and (count - 1) * stride >= n + padding:
        count -= 1  # a window must not start behind the input
    return [[o * stride - padding + k * dilation for k in range(kernel)] for o in range(count)]


def adaptive_windows(n, out):
    out = n if out is None else out
    return [list(range(o * n // out, -(-(o + 1) * n // out))) for o in range(out)]


def pooled(x, axes, padding, function):
    """function(numbers of a window, their places in the plane, how many it has with padding) for every window."""
    d, y = len(axes), []
    sizes = x.shape[-d:]
    for plane in x.reshape(-1, *sizes):
        for windows in itertools.product(*axes):
            inside = [[i for i in window if 0 <= i < n] for window, n in zip(windows, sizes, strict=True)]
            area = math.prod(len([i for i in w if i < n + p]) for w, n, p in zip(windows, sizes, padding, strict=True))
            places = list(itertools.product(*inside))
            y.append(function([plane[i] for i in places], [np.ravel_multi_index(i, sizes) for i in places], area))
    return np.array(y).reshape(*x.shape[:-d], *map(len, axes))


def with_maxima(x, axes, padding, return_indices):
    y = pooled(x, axes, padding, lambda values, places, area: max(values))
    return (y, pooled(x, axes, padding, lambda values, places, area: places[int(np.argmax(values))])) if return_indices else y


def axes_of(x, d, kernel_size, stride, padding, dilation, ceil_mode):
    options = zip(
        *(pair(o, d) for o in (kernel_size, kernel_size if stride is None else stride, padding, dilation)), strict=True
    )
    return [axis_windows(n, *of_axis, ceil_mode) for n, of_axis in zip(x.shape[-d:], options, strict=True)]


def max_pool(d):
    def reference(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        axes = axes_of(x, d, kernel_size, stride, padding, dilation, ceil_mode)
        return with_maxima(x, axes, pair(padding, d), return_indices)

    return reference


def avg_pool(d):
    def reference(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        axes = axes_of(x, d, kernel_size, stride, padding, 1, ceil_mode)

        def mean(values, places, area):
            return sum(values) / (divisor_override or (area if count_include_pad else len(values)))

        return pooled(x, axes, pair(padding, d), mean)

    return reference


def adaptive_max_pool(d):
    def reference(x, output_size, return_indices=False):
        axes = [adaptive_windows(n, out) for n, out in zip(x.shape[-d:], pair(output_size, d), strict=True)]
        return with_maxima(x, axes, (0,) * d, return_indices)

    return reference


def adaptive_avg_pool(d):
    def reference(x, output_size):
        axes = [adaptive_windows(n, out) for n, out in zip(x.shape[-d:], pair(output_size, d), strict=True)]
        return pooled(x, axes, (0,) * d, lambda values, places, area: sum(values) / len(values))

    return reference


def max_unpool2d(x, indices, kernel_size, stride=None, padding=0, output_size=None):
    options = zip(x.shape[-2:], *map(pair, (kernel_size, kernel_size if stride is None else stride, padding)), strict=True)
    sizes = tuple((n - 1) * s - 2 * p + k for n, k, s, p in options) if output_size is None else tuple(output_size)
    y = np.zeros((*x.shape[:-2], math.prod(sizes)))
    for place in np.ndindex(x.shape):
        y[(*place[:-2], indices[place])] = x[place]
    return y.reshape(*x.shape[:-2], *sizes)


MAX_OPTIONS = [
    {},
    {"stride": 3},
    {"padding": 1},
    {"dilation": 2},
    {"stride": 2, "ceil_mode": True},
    {"return_indices": True},
]
AVG_OPTIONS = [{}, {"stride": 3}, {"padding": 1}, {"stride": 2, "ceil_mode": True}, {"padding": 1, "count_include_pad": False}]
PLACES = np.array([[[0, 3], [11, 9]], [[5, 2], [8, 13]]])
POOLING = {
    "max_pool1d": [Call(max_pool(1), SIGNALS, 3 if "padding" in o else 2, **o) for o in MAX_OPTIONS],
    "max_pool2d": [Call(max_pool(2), IMAGES, 3 if "padding" in o else 2, **o) for o in MAX_OPTIONS]
    + [Call(max_pool(2), IMAGES, (3, 2), stride=(1, 2), padding=(1, 0), dilation=(1, 2))],
    "avg_pool1d": [Call(avg_pool(1), SIGNALS, 3 if "padding" in o else 2, **o) for o in AVG_OPTIONS],
    "avg_pool2d": [Call(avg_pool(2), IMAGES, 3 if "padding" in o else 2, **o) for o in AVG_OPTIONS]
    + [Call(avg_pool(2), IMAGES, (3, 2), stride=(1, 2), padding=(1, 0)), Call(avg_pool(2), IMAGES, 2, divisor_override=3)],
    "adaptive_max_pool1d": [
        Call(adaptive_max_pool(1), SIGNALS, 3),
        Call(adaptive_max_pool(1), SIGNALS, 3, return_indices=True),
    ],
    "adaptive_max_pool2d": [
        Call(adaptive_max_pool(2), IMAGES, (3, 4)),
        Call(adaptive_max_pool(2), IMAGES, (2, None), return_indices=True),
    ],
    "adaptive_avg_pool1d": [Call(adaptive_avg_pool(1), SIGNALS, 4)],
    "adaptive_avg_pool2d": [Call(adaptive_avg_pool(2), IMAGES, (3, 4)), Call(adaptive_avg_pool(2), IMAGES, (None, 4))],
    "max_unpool2d": [
        Call(max_unpool2d, normal(2, 2, 2), PLACES, 2),
        Call(max_unpool2d, normal(2, 2, 2), PLACES, 2, stride=3),
        Call(max_unpool2d, normal(2, 2, 2), PLACES, 3, stride=3, padding=1),
        Call(max_unpool2d, normal(2, 2, 2), PLACES, 2, output_size=(5, 4)),
    ],
}

# --- normalisation


def moved(running, values, momentum):
    return (1 - momentum) * running + momentum * values


def batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """y, and the running statistics afterwards."""
    stats = None if training else np.array([mean, var])
    if training:
        rows = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
        mean, var = moved(mean, rows.mean(1), momentum), moved(var, rows.var(1, ddof=1), momentum)
    return table.batch_norm(x, weight, bias, eps, stats), mean, var


def instance_norm(x, mean=None, var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    """y, and the running statistics afterwards: they move towards the mean of the samples' statistics."""
    if not use_input_stats:
        return batch_norm(x, mean, var, weight, bias, False, momentum, eps)
    y = table.group_norm(x, weight, bias, x.shape[1], eps)
    if mean is None:
        return y
    rows = x.reshape(*x.shape[:2], -1)
    return y, moved(mean, rows.mean(2).mean(0), momentum), moved(var, rows.var(2, ddof=1).mean(0), momentum)


def with_running(function, x, mean, var, **options):
    return function(x, mean, var, **options), mean, var


def with_given(function, x, running_mean=None, running_var=None, **options):
    if running_mean is None or running_var is None:
        return function(x, **options)
    return function(x, running_mean, running_var, **options), running_mean, running_var


def named(reference):
    return lambda x, running_mean, running_var, **options: reference(x, running_mean, running_var, **options)


def layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    return table.layer_norm(x, weight, bias, len(shape), eps)


def rms_norm(x, shape, weight=None, eps=None):
    return table.rms_norm(x, weight, None, len(shape), np.finfo(x.dtype).eps if eps is None else eps)


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    return table.group_norm(x, weight, bias, groups, eps)


WEIGHT, BIAS, MEAN, VAR = CHANNELS
AFFINE = {"weight": WEIGHT, "bias": BIAS}
RUNNING = {"running_mean": MEAN, "running_var": VAR, "call": with_given, "gradient": False}
EACH_RUNNING = {"call": with_running, "gradient": False}
NORMS = {
    "batch_norm": [
        Call(batch_norm, IMAGES, MEAN, VAR, **EACH_RUNNING),
        *(Call(batch_norm, IMAGES, MEAN, VAR, training=t, **AFFINE, **EACH_RUNNING) for t in (False, True)),
        Call(batch_norm, SIGNALS, MEAN, VAR, training=True, momentum=0.4, **EACH_RUNNING),
        Call(batch_norm, X[:, :3], MEAN, VAR, training=True, eps=0.2, **EACH_RUNNING),
        Call(lambda x, m, v, **o: table.batch_norm(x, WEIGHT, None, 1e-5), IMAGES, None, None, training=True, weight=WEIGHT),
        Call(lambda x, m, v, **o: table.batch_norm(x, None, BIAS, 1e-5), IMAGES, None, None, training=True, bias=BIAS),
    ],
    "instance_norm": [
        Call(instance_norm, IMAGES),
        Call(instance_norm, SIGNALS, **AFFINE),
        Call(instance_norm, IMAGES, eps=0.2),
        Call(named(instance_norm), IMAGES, **RUNNING),
        Call(named(instance_norm), SIGNALS, momentum=0.4, **AFFINE, **RUNNING),
        Call(named(instance_norm), IMAGES, use_input_stats=False, **AFFINE, **RUNNING),
    ],
    "layer_norm": [
        Call(layer_norm, X, (4,)),
        Call(layer_norm, X, (3, 4), weight=Y, bias=Y[::-1]),
        Call(layer_norm, X, (4,), weight=WEIGHTS, bias=X[0], eps=0.2),
    ],
    "rms_norm": [Call(rms_norm, X, (4,)), Call(rms_norm, X, (3, 4), weight=Y), Call(rms_norm, X, (4,), weight=X[0], eps=0.2)],
    "group_norm": [
        Call(group_norm, normal(2, 4, 3), 2),
        Call(group_norm, normal(2, 4, 3), 2, weight=WEIGHTS, bias=X[0]),
        Call(group_norm, IMAGES, 3, eps=0.2),
    ],
}

# --- losses


def reduced(losses, reduction="mean"):
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def loss_of(function):
    """A loss of pairs of numbers."""

    def reference(x, t, reduction="mean", **options):
        pairs = zip(x.ravel().tolist(), t.ravel().tolist(), strict=True)
        return reduced(np.array([function(a, b, **options) for a, b in pairs]).reshape(x.shape), reduction)

    return reference


def weighted(function):
    """The same with a weight for each pair; the mean divides by the sum of the weights."""

    def reference(x, t, weight, reduction="mean"):
        losses = loss_of(function)(x, t, reduction="none") * weight
        return losses.sum() / weight.sum() if reduction == "mean" else reduced(losses, reduction)

    return reference


def times_weight(function):
    """The same with a factor for each pair, and the plain mean."""

    def reference(x, t, weight, reduction="mean"):
        return reduced(loss_of(function)(x, t, reduction="none") * weight, reduction)

    return reference


def smooth_l1(x, t, beta=1.0):
    d = abs(x - t)
    return d * d / (2 * beta) if d < beta else d - beta / 2


def huber(x, t, delta=1.0):
    d = abs(x - t)
    return d * d / 2 if d <= delta else delta * (d - delta / 2)


def gaussian_nll(x, t, var, full=False, eps=1e-6, reduction="mean"):
    v = np.maximum(var, eps)
    return reduced((np.log(v) + (x - t) ** 2 / v) / 2 + (math.log(2 * math.pi) / 2 if full else 0), reduction)


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    if target.dtype.kind == "f":
        return reduced(table.cross_entropy_soft(x, target, weight, label_smoothing), reduction)
    losses = table.cross_entropy(x, target, weight, ignore_index, label_smoothing)
    if reduction != "mean":
        return reduced(losses, reduction)
    return losses.sum() / sum(1.0 if weight is None else weight[k] for k in target if k != ignore_index)


def nll(x, target, weight=None, ignore_index=-100, reduction="mean"):
    weights = np.array([0.0 if k == ignore_index else 1.0 if weight is None else weight[k] for k in target])
    losses = np.array([-w * x[n, k] if w else 0.0 for n, (k, w) in enumerate(zip(target, weights, strict=True))])
    return losses.sum() / weights.sum() if reduction == "mean" else reduced(losses, reduction)


def focal(x, target, weight=None, gamma=2.0, ignore_index=-100, reduction="mean"):
    weights = np.array([0.0 if k == ignore_index else 1.0 if weight is None else weight[k] for k in target])
    p = np.array([softmax(row, 0)[k] if w else 1.0 for row, k, w in zip(x, target, weights, strict=True)])
    losses = -weights * (1 - p) ** gamma * np.log(p)
    return losses.sum() / weights.sum() if reduction == "mean" else reduced(losses, reduction)


def coin(x, t, weight=None, reduction="mean"):
    return reduced((-t * np.log(x) - (1 - t) * np.log(1 - x)) * (1.0 if weight is None else weight), reduction)


def coin_of_logits(x, t, weight=None, reduction="mean", pos_weight=None):
    s = 1 / (1 + np.exp(-x))
    losses = -(1.0 if pos_weight is None else pos_weight) * t * np.log(s) - (1 - t) * np.log(1 - s)
    return reduced(losses * (1.0 if weight is None else weight), reduction)


def sigmoid_focal(x, t, alpha=0.25, gamma=2, reduction="none"):
    def of_one(x, t):
        s = logistic(x)
        wrong, surprise = (1 - s) * t + s * (1 - t), -t * math.log(s) - (1 - t) * math.log(1 - s)
        return (1 if alpha == -1 else alpha * t + (1 - alpha) * (1 - t)) * wrong**gamma * surprise

    return loss_of(of_one)(x, t, reduction)


def kl_div(x, t, reduction="mean", log_target=False):
    losses = np.exp(t) * (t - x) if log_target else t * (np.log(t) - x)
    return losses.sum() / len(x) if reduction == "batchmean" else reduced(losses, reduction)


def js_divergence(p, q, dim=-1, logits=False, reduction="mean"):
    p, q = (softmax(p, dim), softmax(q, dim)) if logits else (p, q)
    m = (p + q) / 2
    return reduced((p * np.log(p / m) + q * np.log(q / m)).sum(dim) / 2, reduction)


def info_nce(query, key, negatives=None, temperature=0.1, normalize_vectors=True, reduction="mean"):
    if normalize_vectors:
        query, key, negatives = (None if v is None else normalize(v, dim=-1) for v in (query, key, negatives))
    losses = []
    for n, q in enumerate(query):
        others = key if negatives is None else negatives if negatives.ndim == 2 else negatives[n]
        scores = [q @ k / temperature for k in others]
        own = q @ key[n] / temperature
        total = sum(map(math.exp, scores)) + (0 if negatives is None else math.exp(own))
        losses.append(math.log(total) - own)
    return reduced(np.array(losses), reduction)


def ctc_loss(x, targets, lengths, sizes, blank=0, reduction="mean", zero_infinity=False):
    y = table.ctc(x, targets, lengths, sizes, blank, zero_infinity)
    return (y / np.maximum(sizes, 1)).mean() if reduction == "mean" else reduced(y, reduction)


def entropy(x, dim=-1):
    p = softmax(x, dim)
    return -(p * np.log(p)).sum(dim)


def poisson_nll(x, t, log_input=True, full=False, eps=1e-8):
    loss = math.exp(x) - t * x if log_input else x - t * math.log(x + eps)
    return loss + (t * math.log(t) - t + math.log(2 * math.pi * t) / 2 if full and t > 1 else 0)


def margin_ranking(a, b, t, margin=0.0, reduction="mean"):
    return reduced(np.maximum(0, margin - t * (a - b)), reduction)


def cosine_embedding(a, b, t, margin=0.0, reduction="mean"):
    cosines = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return reduced(np.where(t == 1, 1 - cosines, np.maximum(0, cosines - margin)), reduction)


def multi_margin(x, t, p=1, margin=1.0, weight=None, reduction="mean"):
    losses = []
    for row, k in zip(x, t, strict=True):
        others = [max(0, margin - row[k] + v) ** p for i, v in enumerate(row) if i != k]
        losses.append(sum(others) / len(row) * (1 if weight is None else weight[k]))
    return reduced(np.array(losses), reduction)


def multilabel_margin(x, t, reduction="mean"):
    losses = []
    for row, labels in zip(x, t.tolist(), strict=True):
        labels = labels[: labels.index(-1)] if -1 in labels else labels
        others = [i for i in range(len(row)) if i not in labels]
        losses.append(sum(max(0, 1 - row[k] + row[i]) for k in labels for i in others) / len(row))
    return reduced(np.array(losses), reduction)


def multilabel_soft_margin(x, t, weight=None, reduction="mean"):
    return reduced(coin_of_logits(x, t, weight, "none").mean(-1), reduction)


def triplet_of(distance, a, p, n, margin=1.0, swap=False, reduction="mean"):
    near, far, across = distance(a, p), distance(a, n), distance(p, n)
    return reduced(np.maximum(0, margin + near - (np.minimum(far, across) if swap else far)), reduction)


def triplet(anchor, positive, negative, margin=1.0, swap=False, reduction="mean", **distance):
    vectors = anchor, positive, negative
    return triplet_of(lambda x, y: pairwise_distance(x, y, **distance), *vectors, margin, swap, reduction)


def widest(a, b):
    return abs(a - b).max(-1) if isinstance(a, np.ndarray) else (a - b).abs().amax(-1)


def triplet_with(a, p, n, distance_function=pairwise_distance, margin=1.0, swap=False, reduction="mean"):
    return triplet_of(distance_function, a, p, n, margin, swap, reduction)


def with_reductions(reference, *args, default="mean", **options):
    others = [r for r in ("mean", "sum", "none") if r != default]
    return [Call(reference, *args, **options)] + [Call(reference, *args, **options, reduction=r) for r in others]


COINS = np.array([[1.0, 0.0, 0.3, 1.0], [0.2, 1.0, 0.0, 0.7], [0.0, 0.5, 1.0, 0.9]])
IGNORED = np.array([2, 1, 3])
STEPS = np.log(softmax(normal(4, 2, 3), 2))
SPOKEN, HEARD = np.array([[1, 2], [2, 1]]), np.array([4, 3])
SAID, TOO_LONG = np.array([2, 1]), np.array([[1, 2, 2, 1, 1], [2, 1, 0, 0, 0]])
SIGNS = np.array([[1.0, -1.0, -1.0, 1.0], [-1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0]])
COUNTS = np.array([[0.0, 1.0, 2.0, 5.0], [3.0, 0.0, 1.0, 7.0], [1.0, 4.0, 0.0, 2.0]])
SEVERAL = np.array([[2, 0, -1, 1], [3, -1, -1, -1], [-1, 0, 1, 2]])
LOSSES = {
    "mse_loss": with_reductions(loss_of(lambda x, t: (x - t) ** 2), X, Y)
    + with_reductions(weighted(lambda x, t: (x - t) ** 2), X, Y, weight=COINS),
    "l1_loss": with_reductions(loss_of(lambda x, t: abs(x - t)), X, Y)
    + with_reductions(weighted(lambda x, t: abs(x - t)), X, Y, weight=COINS),
    "smooth_l1_loss": [*with_reductions(loss_of(smooth_l1), X, Y), Call(loss_of(smooth_l1), X, Y, beta=2.5)],
    "huber_loss": [
        *with_reductions(loss_of(huber), X, Y),
        Call(loss_of(huber), X, Y, delta=2.5),
        *with_reductions(times_weight(huber), X, Y, weight=COINS),
    ],
    "gaussian_nll_loss": [
        *with_reductions(gaussian_nll, X, Y, P),
        Call(gaussian_nll, X, Y, P, full=True),
        Call(gaussian_nll, X, Y, P, eps=0.5, gradient=False),
    ],
    "poisson_nll_loss": [
        *with_reductions(loss_of(poisson_nll), X, COUNTS),
        Call(loss_of(poisson_nll), X, COUNTS, full=True, gradient=False),
        Call(loss_of(poisson_nll), P, COUNTS, log_input=False),
        Call(loss_of(poisson_nll), P, COUNTS, log_input=False, eps=0.1),
    ],
    "margin_ranking_loss": [
        *with_reductions(margin_ranking, X, Y, SIGNS),
        Call(margin_ranking, X, Y, SIGNS, margin=0.7),
    ],
    "hinge_embedding_loss": [
        *with_reductions(loss_of(lambda x, t: x if t == 1 else max(0, 1 - x)), X, SIGNS, gradient=False),
        Call(loss_of(lambda x, t, margin: x if t == 1 else max(0, margin - x)), X, SIGNS.astype(int), margin=2.5),
    ],
    "cosine_embedding_loss": [
        *with_reductions(cosine_embedding, X, Y, SIGNS[:, 1].astype(int)),
        Call(cosine_embedding, X, Y, SIGNS[:, 1].astype(int), margin=-0.9),
        Call(cosine_embedding, X[0], Y[0], np.array(-1)),
    ],
    "soft_margin_loss": with_reductions(loss_of(lambda x, t: math.log(1 + math.exp(-x * t))), X, SIGNS),
    "multi_margin_loss": [
        *with_reductions(multi_margin, X, LABELS),
        Call(multi_margin, X, LABELS, p=2),
        Call(multi_margin, X, LABELS, margin=2.5),
        Call(multi_margin, X, LABELS, weight=WEIGHTS, gradient=False),
        Call(lambda x, t: multi_margin(x[None], t[None]), X[0], np.array(2)),
    ],
    "multilabel_margin_loss": [
        *with_reductions(multilabel_margin, X, SEVERAL),
        Call(lambda x, t: multilabel_margin(x[None], t[None]), X[1], SEVERAL[1]),
    ],
    "multilabel_soft_margin_loss": [
        *with_reductions(multilabel_soft_margin, X, COINS),
        *with_reductions(multilabel_soft_margin, X, COINS, weight=WEIGHTS),
    ],
    "triplet_margin_loss": [
        *with_reductions(triplet, X, Y, Y + 0.3 * X),
        Call(triplet, X, Y, Y + 0.3 * X, margin=2.5),
        Call(triplet, X, Y, Y + 0.3 * X, p=3.0),
        Call(triplet, X, Y, Y + 0.3 * X, eps=0.1),
        Call(triplet, X, Y, Y + 0.3 * X, swap=True),
    ],
    "triplet_margin_with_distance_loss": [
        *with_reductions(triplet_with, X, Y, Y + 0.3 * X),
        Call(triplet_with, X, Y, Y + 0.3 * X, margin=2.5),
        Call(triplet_with, X, Y, Y + 0.3 * X, distance_function=widest),
        Call(triplet_with, X, Y, Y + 0.3 * X, swap=True),
    ],
    "cross_entropy": [
        *with_reductions(cross_entropy, X, LABELS),
        *with_reductions(cross_entropy, X, OTHER),
        *with_reductions(cross_entropy, X, LABELS, weight=WEIGHTS, label_smoothing=0.2, gradient=False),
        *with_reductions(cross_entropy, X, OTHER, weight=WEIGHTS, label_smoothing=0.2, gradient=False),
        *with_reductions(cross_entropy, X, IGNORED, ignore_index=1),
    ],
    "nll_loss": [
        *with_reductions(nll, X, LABELS),
        *with_reductions(nll, X, LABELS, weight=WEIGHTS, gradient=False),
        *with_reductions(nll, X, IGNORED, ignore_index=1),
    ],
    "focal_loss": [
        *with_reductions(focal, X, LABELS),
        *with_reductions(focal, X, LABELS, weight=WEIGHTS, gamma=1.5, gradient=False),
        *with_reductions(focal, X, IGNORED, ignore_index=1),
    ],
    "binary_cross_entropy": [
        *with_reductions(coin, P, COINS),
        *with_reductions(coin, P, COINS, weight=WEIGHTS),
    ],
    "binary_cross_entropy_with_logits": [
        *with_reductions(coin_of_logits, X, COINS),
        *with_reductions(coin_of_logits, X, COINS, weight=WEIGHTS),
        *with_reductions(coin_of_logits, X, COINS, pos_weight=WEIGHTS),
    ],
    "sigmoid_focal_loss": [
        *with_reductions(sigmoid_focal, X, COINS, default="none"),
        *(Call(sigmoid_focal, X, COINS, alpha=a) for a in (0.6, -1)),
        Call(sigmoid_focal, X, COINS, gamma=1.5),
    ],
    "kl_div": [
        *with_reductions(kl_div, np.log(ROWS), OTHER),
        Call(kl_div, np.log(ROWS), OTHER, reduction="batchmean"),
        Call(kl_div, np.log(ROWS), np.log(OTHER), log_target=True),
    ],
    "js_divergence": [
        *with_reductions(js_divergence, ROWS, OTHER, gradient=False),
        *with_reductions(js_divergence, X, Y, logits=True),
        Call(js_divergence, X, Y, logits=True, dim=0),
    ],
    "info_nce": [
        *with_reductions(info_nce, X, Y, temperature=0.5),
        Call(info_nce, X, Y),
        Call(info_nce, X, Y, temperature=2.0, normalize_vectors=False),
        Call(info_nce, X, Y, negatives=normal(2, 4), temperature=0.5),
        Call(info_nce, X, Y, negatives=normal(3, 2, 4), temperature=0.5),
    ],
    "ctc_loss": [
        *with_reductions(ctc_loss, STEPS, SPOKEN, HEARD, SAID),
        Call(ctc_loss, STEPS, SPOKEN - 1, HEARD, SAID, blank=2),
        Call(ctc_loss, STEPS, TOO_LONG, HEARD, np.array([5, 2]), zero_infinity=True, gradient=False),
        Call(ctc_loss, STEPS, TOO_LONG, HEARD, np.array([5, 2]), reduction="none", gradient=False),
    ],
    "entropy_from_logits": [Call(entropy, X), Call(entropy, X, dim=0)],
}

# --- attention, places


def scaled_dot_product_attention(q, k, v, attn_mask=None, is_causal=False, scale=None, enable_gqa=False):
    if enable_gqa:  # each head of keys and values serves several of queries
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], axis=-3) for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    return softmax(scores, -1) @ v


def weights_dropped(function, q, k, v, dropout_p=0.0):
    """With the identity as values the result is the weights: what is left of them with and without dropout."""
    minidl.manual_seed(0)
    weights = function(q, k, v).numpy()
    y = function(q, k, v, dropout_p=dropout_p).numpy()
    kept = y != 0
    return np.array([np.allclose(y[kept] / weights[kept], 1 / (1 - 0.2), rtol=1e-9), abs(1 - kept.mean() - 0.2) < 0.05], float)


def masked_softmax(x, valid_lens=None):
    y = np.zeros(x.shape)
    for place in np.ndindex(x.shape[:-1]):
        n = x.shape[-1] if valid_lens is None else valid_lens[place[0]] if valid_lens.ndim == 1 else valid_lens[place]
        y[place][:n] = softmax(x[place][:n], 0) if n else []
    return y


def attention_pooling(weights, values, mask=None):
    return (weights if mask is None else np.where(mask, weights, 0)) @ values


def distances(q, k, width=1.0):
    return np.sqrt((((q[..., :, None, :] - k[..., None, :, :]) / width) ** 2).sum(-1))


KERNELS = {
    "gaussian": lambda u: np.exp(-u * u / 2),
    "boxcar": lambda u: (u <= 1) * 1.0,
    "triangular": lambda u: np.maximum(0, 1 - u),
    "constant": lambda u: np.ones(u.shape),
}


def similarity(q, k, kernel="gaussian", width=1.0):
    return KERNELS.get(kernel, lambda u: 1 / (1 + u))(distances(q, k, width))


def nadaraya_watson(q, k, v, kernel="gaussian", width=1.0, empty=0.0, return_weights=False):
    alpha = similarity(q, k, kernel, width)
    total = alpha.sum(-1, keepdims=True)
    weights = alpha / np.where(total == 0, 1, total)
    y = np.where(total == 0, empty, weights @ v)
    return (y, weights) if return_weights else y


def additive_scores(q, k, w_q, w_k, w_v):
    return np.tanh((q @ w_q.T)[..., :, None, :] + (k @ w_k.T)[..., None, :, :]) @ w_v


def rotary(x, positions=None, base=10000.0):
    y, width = np.empty(x.shape), x.shape[-1]
    for *n, t in np.ndindex(x.shape[:-1]):
        for i in range(0, width, 2):
            angle = (t if positions is None else positions[t]) / base ** (i / width)
            a, b = x[(*n, t, i)], x[(*n, t, i + 1)]
            y[(*n, t, i)] = a * math.cos(angle) - b * math.sin(angle)
            y[(*n, t, i + 1)] = b * math.cos(angle) + a * math.sin(angle)
    return y


def of_tensors(u):
    return 1 / (1 + u)


SEEN = np.array([[True, False, True, True, False], [False, True, True, False, True], [True] * 5])
HEADS = normal(1, 4, 3, 2), normal(1, 2, 5, 2), normal(1, 2, 5, 3)
MANY = normal(60, 4), normal(60, 4)
ATTENTION = {
    "scaled_dot_product_attention": [
        Call(scaled_dot_product_attention, QUERIES, KEYS, VALUES),
        Call(scaled_dot_product_attention, QUERIES, KEYS, VALUES, attn_mask=SEEN),
        Call(scaled_dot_product_attention, QUERIES, KEYS, VALUES, attn_mask=normal(3, 5)),
        Call(scaled_dot_product_attention, QUERIES, KEYS, VALUES, is_causal=True),
        Call(scaled_dot_product_attention, QUERIES, KEYS, VALUES, scale=1.3),
        Call(scaled_dot_product_attention, *HEADS, enable_gqa=True),
        Call(lambda *x, **o: np.ones(2), *MANY, np.eye(60), call=weights_dropped, gradient=False, dropout_p=0.2),
    ],
    "masked_softmax": [
        Call(masked_softmax, QUERIES),
        Call(masked_softmax, QUERIES, valid_lens=np.array([2, 0])),
        Call(masked_softmax, QUERIES, valid_lens=np.array([[1, 4, 2], [3, 0, 1]])),
    ],
    "attention_pooling": [
        Call(attention_pooling, normal(2, 3, 5), VALUES),
        Call(attention_pooling, normal(2, 3, 5), VALUES, mask=SEEN),
    ],
    "similarity": [
        Call(similarity, QUERIES, KEYS),
        *(Call(similarity, QUERIES, KEYS, kernel=k, width=3.0, gradient=k != "boxcar") for k in KERNELS if k != "constant"),
        Call(similarity, QUERIES, KEYS, kernel="constant", gradient=False),
        Call(similarity, QUERIES, KEYS, kernel=of_tensors, width=np.array([0.5, 1.0, 2.0, 3.0])),
    ],
    "nadaraya_watson": [
        Call(nadaraya_watson, QUERIES, KEYS, VALUES),
        Call(nadaraya_watson, QUERIES, KEYS, VALUES, kernel="triangular", width=3.0),
        Call(nadaraya_watson, QUERIES, KEYS, VALUES, kernel="constant", gradient=False),
        Call(nadaraya_watson, QUERIES, KEYS, VALUES, kernel="boxcar", width=2.0, gradient=False),
        Call(nadaraya_watson, QUERIES, KEYS, VALUES, kernel="boxcar", width=0.1, empty=2.5, gradient=False),
        Call(nadaraya_watson, QUERIES, KEYS, VALUES, return_weights=True, gradient=False),
    ],
    "gaussian_scores": [
        Call(lambda q, k, width=1.0: -(distances(q, k, width) ** 2) / 2, QUERIES, KEYS),
        Call(lambda q, k, width: -(distances(q, k, width) ** 2) / 2, QUERIES, KEYS, width=0.7),
    ],
    "dot_product_scores": [Call(lambda q, k: np.einsum("bnd,bmd->bnm", q, k), QUERIES, KEYS)],
    "scaled_dot_product_scores": [Call(lambda q, k: np.einsum("bnd,bmd->bnm", q, k) / 2, QUERIES, KEYS)],
    "bilinear_scores": [Call(lambda q, k, w: np.einsum("bnd,de,bme->bnm", q, w, k), QUERIES, KEYS[..., :3], normal(4, 3))],
    "additive_scores": [Call(additive_scores, QUERIES, KEYS[..., :3], normal(6, 4), normal(6, 3), normal(6))],
    "rotary": [
        Call(rotary, QUERIES),
        Call(rotary, QUERIES, positions=[4, 0, 7]),
        Call(rotary, QUERIES, base=50.0),
    ],
}

FUNCTIONALS = {**ACTIVATIONS, **BASICS, **CONVOLUTIONS, **SIZES, **POOLING, **NORMS, **LOSSES, **ATTENTION}
