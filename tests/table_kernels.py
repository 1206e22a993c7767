"""What every kernel computes, in plain NumPy. `test_completeness` compares.

Of a kernel for gradients: the function whose slopes it gives. The truth is a central difference of that function, written in
float64 without minidl.
"""

import math
from functools import cached_property

import numpy as np

from minidl import kernels

from . import table
from .table_functional import (
    COINS,
    IMAGES,
    LABELS,
    MAX_OPTIONS,
    OTHER,
    STEPS,
    WEIGHTS,
    X,
    Y,
    adaptive_avg_pool,
    avg_pool,
    max_pool,
    normal,
)


class Backward:
    """A call of a kernel for gradients.

    function(*arrays): the result that is differentiated. call(dy, *arrays): what the kernel says of the first `wanted` arrays
    (all by default), as a list.
    """

    def __init__(self, function, call, *arrays, wanted=None):
        self.function, self.call, self.arrays = function, call, arrays
        self.wanted = len(arrays) if wanted is None else wanted

    def found(self):
        return [np.asarray(dx) for dx in self.call(self.cotangent(), *self.arrays)]

    def cotangent(self):
        y = np.asarray(self.function(*self.arrays))
        return np.random.default_rng(7).uniform(0.5, 1.5, y.shape) * np.where(np.arange(y.size).reshape(y.shape) % 3, 1.0, -1.0)

    @cached_property
    def expected(self):
        dy, slopes, step = self.cotangent(), [], 1e-5
        for i, x in enumerate(self.arrays[: self.wanted]):
            dx = np.zeros(x.shape)
            for place in np.ndindex(x.shape):
                ends = []
                for sign in (1, -1):
                    moved = x.copy()
                    moved[place] += sign * step
                    ends.append((self.function(*self.arrays[:i], moved, *self.arrays[i + 1 :]) * dy).sum())
                dx[place] = (ends[0] - ends[1]) / (2 * step)
            slopes.append(dx)
        return slopes


def of_each(function, kernel, *options, takes_y=False):
    """A kernel (dy, x or y, *options) for a function of each element."""
    plain = table.each_of_one(function)

    def call(dy, x):
        return [getattr(kernels, kernel)(dy, plain(x, *options) if takes_y else x, *options)]

    return Backward(lambda x: plain(x, *options), call, X)


ROW_WEIGHTS = np.array([0.5, 0.0, 2.0])


def softmax(x, axis):
    e = np.exp(x)
    return e / e.sum(axis, keepdims=True)


def logistic(v):
    return 1 / (1 + math.exp(-v))


def leaky_relu(v, slope=0.01):
    return v if v > 0 else slope * v


def elu(v, alpha=1.0):
    return v if v > 0 else alpha * (math.exp(v) - 1)


def gelu(v, by_tanh=False):
    return table.gelu(v, "tanh" if by_tanh else "none")


def softplus(v, beta=1.0, threshold=20.0):
    return table.softplus(v, beta, threshold)


# --- normalisation: x, a weight and a bias


def batch_norm(dy, x, w, b):
    _, stats = kernels.batch_norm(x, w, b, 0.1, None)
    return kernels.batch_norm_backward(dy, x, w, 0.1, stats, True, True)


STATS = np.array([[0.3, -0.2, 1.0], [0.5, 1.5, 2.0]])


def batch_norm_of_given(dy, x, w, b):
    _, stats = kernels.batch_norm(x, w, b, 0.1, STATS)
    return kernels.batch_norm_backward(dy, x, w, 0.1, stats, False, True)


def layer_norm(centred):
    def call(dy, x, w, b):
        _, stats = kernels.layer_norm(x, 2, w, b if centred else None, 0.1, centred)
        return kernels.layer_norm_backward(dy, x, 2, w, stats, centred, True)[: 3 if centred else 2]

    return call


def group_norm(dy, x, w, b):
    _, stats = kernels.group_norm(x, 2, w, b, 0.1)
    return kernels.group_norm_backward(dy, x, 2, w, stats, True)


# --- losses, attention, pooling


def cross_entropy(weight, smoothing):
    def call(dy, x):
        shift_and_log = kernels.cross_entropy(x, LABELS, weight, -100, smoothing)[1]
        return [kernels.cross_entropy_backward(dy, x, shift_and_log, LABELS, weight, -100, smoothing)]

    return Backward(lambda x: table.cross_entropy(x, LABELS, weight, -100, smoothing), call, X)


def soft(weight, smoothing, targets):
    def call(dy, *given):
        x, t = given[::-1] if targets else given
        _, shift_and_log = kernels.cross_entropy_soft(x, t, weight, smoothing)
        if targets:
            return [kernels.cross_entropy_soft_backward_targets(dy, x, shift_and_log, weight, smoothing)]
        return [kernels.cross_entropy_soft_backward(dy, x, shift_and_log, t, weight, smoothing)]

    def plain(*given):
        x, t = given[::-1] if targets else given
        return table.cross_entropy_soft(x, t, weight, smoothing)

    return Backward(plain, call, *((OTHER, X) if targets else (X, OTHER)), wanted=1)


def attention(mask, causal, scale):
    def plain(q, k, v, *bias):
        return table.attention(q, k, v, *bias, scale, causal, None if bias else mask, 0.0, 0)

    def call(dy, q, k, v, *bias):
        options = bias[0] if bias else mask, causal, scale, 0.0, 0
        y, lse = kernels.attention(q, k, v, *options)
        return kernels.attention_backward(dy, q, k, v, y, lse, *options, needs=[True] * 3 + [bool(bias)])[: 3 + len(bias)]

    given = () if mask is None or mask.dtype == bool else (mask,)
    return Backward(plain, call, normal(1, 2, 3, 4), normal(1, 2, 5, 4), normal(1, 2, 5, 2), *given)


SEEN = np.array([[True, False, True, True, False], [False, True, True, False, True], [True] * 5])


def max_pooling(**options):
    def call(dy, x):
        axes = windows_of(x, **{"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, **options})
        _, codes = kernels.max_pool(x, axes)
        return [kernels.max_pool_backward(dy, codes, axes)]

    return Backward(lambda x: max_pool(2)(x, 3, **options), call, IMAGES[:1])


def windows_of(x, stride, padding, dilation, ceil_mode):
    return tuple(kernels.pool_windows(n, 3, 3 if stride is None else stride, padding, dilation, ceil_mode) for n in x.shape[2:])


def mean_pooling(count_include_pad=True, divisor_override=None, **options):
    def call(dy, x):
        axes = windows_of(x, **{"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, **options})
        return [kernels.mean_pool_backward(dy, axes, count_include_pad, divisor_override)]

    more = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
    return Backward(lambda x: avg_pool(2)(x, 3, **options, **more), call, IMAGES[:1])


HEARD, SAID, SPOKEN = np.array([4, 3]), np.array([2, 1]), np.array([[1, 2], [2, 1]])


def ctc(dy, x):
    return [kernels.ctc_backward(dy, x, SPOKEN, HEARD, SAID, 0)]


# --- sequences: what reaches the sums a_t, as if W_ih were the identity, and the first states


T, N, H = 3, 2, 2
STARTS = np.arange(0, T * N + 1, N)


def recurrent(step, gates, backward, *options):
    """x holds the sums W_ih x_t + b; all states are the result, of which those after the first steps get cotangents."""
    count = 2 if step is table.lstm_step else 1
    weights = np.eye(gates * H), normal(gates * H, H), np.zeros(gates * H), 0.5 * normal(gates * H)

    def plain(x, *states):
        flat = table.recurrent(step, count)(x.reshape(T, N, -1), *states, *weights, None, False, *options)
        return flat

    def call(dy, x, *states):
        of_y, *of_last = np.split(dy, np.cumsum([T * N * H] + [N * H] * count)[:-1])
        return backward(of_y.reshape(T * N, H), [d.reshape(N, H) for d in of_last], x, states, *weights, *options)

    return Backward(plain, call, normal(T * N, gates * H), *(normal(N, H) for _ in range(count)))


def rnn_backward(dy, dlast, x, states, w_ih, w_hh, b_ih, b_hh, relu):
    after = kernels.rnn(x, states[0], w_ih, w_hh, b_ih + b_hh, STARTS, relu)
    return kernels.rnn_backward(dy, *dlast, w_hh, STARTS, after, relu)


def lstm_backward(dy, dlast, x, states, w_ih, w_hh, b_ih, b_hh):
    gates, _, cells = kernels.lstm(x, *states, w_ih, w_hh, b_ih + b_hh, STARTS)
    return kernels.lstm_backward(dy, *dlast, w_hh, STARTS, gates, cells)


def gru_backward(dy, dlast, x, states, w_ih, w_hh, b_ih, b_hh, reset_after):
    gates, after = kernels.gru(x, states[0], w_ih, w_hh, b_ih, b_hh, STARTS, reset_after)
    d, dh = kernels.gru_backward(dy, *dlast, w_hh, STARTS, gates, after, reset_after)
    return np.roll(d[:, : 3 * H], -H, axis=1), dh  # columns n, r, z; the sums are r, z, n


def linear(dy, x, w, b):
    return kernels.linear_backward(dy, x, w)


BACKWARD = {
    "attention_backward": [
        attention(None, False, 0.5),
        attention(None, True, 0.7),
        attention(SEEN, False, 0.5),
        attention(normal(3, 5), False, 0.5),
    ],
    "batch_norm_backward": [
        Backward(lambda x, w, b: table.batch_norm(x, w, b, 0.1), batch_norm, IMAGES, normal(3), normal(3)),
        Backward(lambda x, w, b: table.batch_norm(x, w, b, 0.1, STATS), batch_norm_of_given, IMAGES, normal(3), normal(3)),
    ],
    "binary_cross_entropy_with_logits_backward": [
        Backward(
            lambda x, t: -t * np.log(1 / (1 + np.exp(-x))) - (1 - t) * np.log(1 / (1 + np.exp(x))),
            lambda dy, x, t: [kernels.binary_cross_entropy_with_logits_backward(x, t, dy)],
            X,
            COINS,
            wanted=1,
        )
    ],
    "cross_entropy_backward": [cross_entropy(None, 0.0), cross_entropy(WEIGHTS, 0.2)],
    "cross_entropy_soft_backward": [soft(None, 0.0, False), soft(WEIGHTS, 0.2, False)],
    "cross_entropy_soft_backward_targets": [soft(None, 0.0, True), soft(WEIGHTS, 0.2, True)],
    "ctc_backward": [Backward(lambda x: table.ctc(x, SPOKEN, HEARD, SAID, 0, False), ctc, STEPS)],
    "elu_backward": [of_each(elu, "elu_backward"), of_each(elu, "elu_backward", 1.7)],
    "gelu_backward": [of_each(gelu, "gelu_backward"), of_each(gelu, "gelu_backward", True)],
    "group_norm_backward": [
        Backward(lambda x, w, b: table.group_norm(x, w, b, 2, 0.1), group_norm, normal(2, 4, 3), normal(4), normal(4))
    ],
    "gru_backward": [recurrent(table.gru_step, 3, gru_backward, reset_after) for reset_after in (True, False)],
    "layer_norm_backward": [
        Backward(
            lambda x, w, b: table.layer_norm(x, w, b, 2, 0.1), layer_norm(True), normal(3, 2, 4), normal(2, 4), normal(2, 4)
        ),
        Backward(
            lambda x, w, b: table.rms_norm(x, w, None, 2, 0.1), layer_norm(False), normal(3, 2, 4), normal(2, 4), X, wanted=2
        ),
    ],
    "leaky_relu_backward": [of_each(leaky_relu, "leaky_relu_backward"), of_each(leaky_relu, "leaky_relu_backward", 0.3)],
    "negative_log_likelihood_backward": [
        Backward(
            lambda x: -ROW_WEIGHTS * x[np.arange(3), LABELS],
            lambda dy, x: [kernels.negative_log_likelihood_backward(dy, LABELS, ROW_WEIGHTS, x.shape[1])],
            X,
        )
    ],
    "negative_log_likelihood_total_backward": [
        Backward(
            lambda x: -(WEIGHTS[LABELS] * x[np.arange(3), LABELS]).sum(keepdims=True) / 2,
            lambda dy, x: [
                kernels.negative_log_likelihood_total_backward(dy, LABELS, np.array([-1.0, 0, 2]), x.shape[1], WEIGHTS)
            ],
            X,
        )
    ],
    "squared_error_backward": [Backward(lambda x: x * x, lambda dy, x: [kernels.squared_error_backward(dy, x)], X)],
    "linear_backward": [Backward(table.linear, linear, X, Y[:2], normal(2))],
    "log_softmax_backward": [
        Backward(
            lambda x, axis=axis: np.log(softmax(x, axis)),
            lambda dy, x, axis=axis: [kernels.log_softmax_backward(dy, np.log(softmax(x, axis)), axis)],
            X,
        )
        for axis in (0, 1)
    ],
    "logsigmoid_backward": [of_each(lambda v: math.log(logistic(v)), "logsigmoid_backward")],
    "lstm_backward": [recurrent(table.lstm_step, 4, lstm_backward)],
    "max_pool_backward": [max_pooling(**o) for o in MAX_OPTIONS if "return_indices" not in o],
    "mean_pool_backward": [
        mean_pooling(),
        mean_pooling(stride=1, padding=1),
        mean_pooling(stride=2, padding=1, ceil_mode=True),
        mean_pooling(padding=1, count_include_pad=False),
        mean_pooling(divisor_override=5),
    ],
    "relu_backward": [of_each(lambda v: max(v, 0.0), "relu_backward", takes_y=True)],
    "rnn_backward": [recurrent(table.rnn_step, 1, rnn_backward, relu) for relu in (False, True)],
    "sigmoid_backward": [of_each(logistic, "sigmoid_backward", takes_y=True)],
    "silu_backward": [of_each(lambda v: v * logistic(v), "silu_backward")],
    "softmax_backward": [
        Backward(
            lambda x, axis=axis: softmax(x, axis),
            lambda dy, x, axis=axis: [kernels.softmax_backward(dy, softmax(x, axis), axis)],
            X,
        )
        for axis in (0, 1)
    ],
    "softplus_backward": [of_each(softplus, "softplus_backward", *o) for o in ((), (2.5, 20.0), (1.0, 1.5))],
    "tanh_backward": [of_each(math.tanh, "tanh_backward", takes_y=True)],
}


# --- kernels that are no slopes


class Forward:
    """A call of a kernel: its arguments, what to take of its results, and what that is.

    A function among the arguments gives one: no kernel is compiled while the tests are found, which each process does.
    """

    def __init__(self, expected, *args, take=None, **options):
        self.args, self.options, self.take = args, options, take or (lambda result, *args: result)
        self.expected = [np.asarray(y) for y in (expected if isinstance(expected, tuple) else (expected,))]

    def found(self, kernel):
        args = [copied(x() if callable(x) else x) for x in self.args]
        result = self.take(kernel(*args, **self.options), *args)
        return [np.asarray(y) for y in (result if isinstance(result, tuple) else (result,))]


def copied(x):
    return tuple(map(copied, x)) if type(x) is tuple else x.copy() if isinstance(x, np.ndarray) else x


def each(function, x, *options):
    return Forward(table.each_of_one(function)(x, *options), x, *options)


def first(result, *args):
    return result[0]


def written(*places):
    """The arguments at these places, after the kernel has changed them."""
    return lambda result, *args: tuple(args[i] for i in places)


def normed(reference, x, *args):
    return Forward(reference, x, *args, take=first)


POSITIVE = np.abs(X) + 0.3
GEOMETRY = (2, 1), (1, 0, 2, 1), (1, 2), 3  # stride, padding, dilation, groups
IMAGE, KERNEL, OUTPUT = IMAGES[:1], normal(6, 1, 2, 2), normal(1, 6, 3, 7)
SHAPES = table.conv2d(IMAGE, KERNEL, np.zeros(6), *GEOMETRY).shape
SEQUENCE, STATE, CELL = normal(T * N, 3), normal(N, H), normal(N, H)
OF_WINDOWS = windows_of(IMAGE, 2, 1, 1, False)


def states_of(step, gates, *options):
    """All states of a sequence, and the arguments of the kernel but for `starts`."""
    weights, biases = (normal(gates * H, 3), normal(gates * H, H)), (normal(gates * H), normal(gates * H))
    states = [STATE, CELL][: 2 if step is table.lstm_step else 1]
    flat = table.recurrent(step, len(states))(SEQUENCE.reshape(T, N, 3), *states, *weights, *biases, None, False, *options)
    y = np.concatenate([STATE, flat[: T * N * H].reshape(T * N, H)])
    joint = biases if step is table.gru_step else [sum(biases)]
    return y, (SEQUENCE, *states, *weights, *joint, STARTS, *options)


def recurrent_states(step, gates, take, *options):
    y, args = states_of(step, gates, *options)
    return Forward(y, *args, take=take)


def conv_input(dy, w, size, stride, padding, dilation, groups):
    return table.conv_transpose2d(dy, w, size, stride, padding, dilation, groups)


def gamma_slope(a, x, step=1e-5):
    """With P(a, x) held: d ln x/da = −(∂P/∂a)/(x ∂P/∂x), by central differences."""
    by_a = table.gamma_inc(a + step, x) - table.gamma_inc(a - step, x)
    by_x = table.gamma_inc(a, x + step) - table.gamma_inc(a, x - step)
    return -by_a / by_x / x


def sgd(p, g, buffer, lr, momentum, dampening, weight_decay):
    g = g + weight_decay * p
    buffer = momentum * buffer + (1 - dampening) * g
    return p - lr * buffer, buffer


def adam(p, g, mean, square, step, lr, beta1, beta2, eps, weight_decay):
    g = g + weight_decay * p
    mean, square = beta1 * mean + (1 - beta1) * g, beta2 * square + (1 - beta2) * g * g
    return p - lr * (mean / (1 - beta1**step)) / (np.sqrt(square / (1 - beta2**step)) + eps), mean, square


def optimizer_step(rule, p, g, buffers, sign=1.0, decay=0.0, shrink=1.0, **o):
    """(p, *buffers) after one step of a rule."""
    d = sign * g + decay * p
    if rule == "adagrad":
        total = buffers[0] + d * d
        return p - o["rate"] * d / (np.sqrt(total) + o["eps"]), total
    if rule == "rmsprop":
        square, mean = (o["alpha"] * x + (1 - o["alpha"]) * new for x, new in zip(buffers, (d * d, d), strict=False))
        buffer = o["momentum"] * buffers[2] + d / (np.sqrt(square - mean**2) + o["eps"])
        return p - o["rate"] * buffer, square, mean, buffer
    if rule == "adadelta":
        square = o["rho"] * buffers[0] + (1 - o["rho"]) * d * d
        step = np.sqrt(buffers[1] + o["eps"]) / np.sqrt(square + o["eps"]) * d
        return p - o["rate"] * step, square, o["rho"] * buffers[1] + (1 - o["rho"]) * step * step
    if rule == "asgd":
        p = shrink * p - o["rate"] * d
        return p, buffers[0] + o["share"] * (p - buffers[0])
    if rule == "rprop":
        agree = d * buffers[0]
        width = buffers[1] * np.where(agree > 0, o["larger"], np.where(agree < 0, o["smaller"], 1))
        width, d = np.clip(width, o["least"], o["most"]), np.where(agree < 0, 0, d)
        return p - width * np.sign(d), d, width
    beta1, beta2 = o["beta1"], o["beta2"]
    if rule == "lion":
        way = beta1 * buffers[0] + (1 - beta1) * sign * g
        return shrink * p - o["rate"] * np.sign(way), beta2 * buffers[0] + (1 - beta2) * sign * g
    m = beta1 * buffers[0] + (1 - beta1) * d
    if rule == "adamax":
        top = np.maximum(beta2 * buffers[1], np.abs(d) + o["eps"])
        return p - o["rate"] * m / top, m, top
    v = beta2 * buffers[1] + (1 - beta2) * d * d
    if rule == "yogi":
        v = buffers[1] + (1 - beta2) * np.sign(d * d - buffers[1]) * d * d
    root = np.sqrt(v)
    if rule == "radam":
        return shrink * p - o["rate"] * m * o["root"] / (root + o["eps"]), m, v
    move = o["rate"] * m if rule == "yogi" else o["rate_g"] * d + o["rate_m"] * m
    return shrink * p - move / (root / o["root"] + o["eps"]), m, v


def rule_row(rule, *buffers, **options):
    expected = optimizer_step(rule, X, Y, buffers, **options)
    return Forward(expected, rule, X, Y, buffers, take=lambda _, rule, p, g, buffers: (p, *buffers), **options)


def update_running(mean, var, stats, momentum, count):
    keep = 1 - momentum
    return keep * mean + momentum * stats[0], keep * var + momentum * stats[1] * count / (count - 1)


def place_row():
    y = LAYERED.copy()
    y[:, 1] = 7.0
    return Forward(y, np.full((len(y), *y.shape[2:]), 7.0), 1, LAYERED, 1, take=written(2))


ROWS3 = np.array([2, 0, 2])
SIDES = np.array([[3, 0], [0, 0]], np.float32), np.array([4], np.float32)
SGD_OPTIONS = 0.1, 0.9, 0.2, 0.03
ADAM_OPTIONS = {"step": 3, "lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.03}
W4, B4, W3, B3 = normal(4), normal(4), normal(3), normal(3)
GROUPED, LAYERED = normal(2, 4, 3), normal(3, 2, 4)
WORDS = np.arange(32, dtype=np.uint64) * np.uint64(0x9E3779B1) % np.uint64(2**32)


def normal_numbers(words, mean, std):
    u, v = np.moveaxis((words % 2**24 / 2**24).reshape(-1, 2, 8), 1, 0)
    radius = np.sqrt(-2 * np.log(1 - u))
    return mean + std * np.stack([radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)], 1).reshape(-1)


FORWARD = {
    "adam": [
        Forward(
            adam(X, Y, Y / 2, POSITIVE, *ADAM_OPTIONS.values()), X, Y, Y / 2, POSITIVE, take=written(0, 2, 3), **ADAM_OPTIONS
        )
    ],
    "adaptive_windows": [
        Forward(adaptive_avg_pool(1)(X, 3), 4, 3, take=lambda w, *_: kernels.mean_pool(X, (w,))),
    ],
    "add_rows": [
        Forward(X + [1.0 * Y[1], 0 * Y[0], Y[0] + Y[2]], X, ROWS3, Y, take=written(0)),
    ],
    "add": [Forward(X + Y[:, :1], X, np.repeat(Y[:, :1], X.shape[1], 1))],
    "box_muller": [
        Forward(
            normal_numbers(WORDS, 3.0, 0.5).round(4),
            *(WORDS, 3.0, 0.5, np.zeros(32, np.float32)),
            take=lambda _, words, mean, std, y: y.astype(np.float64).round(4),
        )
    ],
    "copy": [Forward(X, X), Forward(np.array(1.5), np.array(1.5))],
    "einsum": [
        Forward(table.einsum(X, Y, ("ij", "kj"), "ki"), ("ij", "kj"), "ki", X, Y),
        Forward(table.einsum(X, Y, ("ij", "kj"), "jik"), ("ij", "kj"), "jik", X, Y),
        Forward(table.einsum(X, Y, X, ("ij", "kj", "il"), "lk"), ("ij", "kj", "il"), "lk", X, Y, X),
        Forward(table.einsum(X, ("ij",), "j"), ("ij",), "j", X),
    ],
    "join": [Forward(np.concatenate([X, X[:1], 2 * X]), X, X[:1], 2 * X)],
    "common_norm": [
        Forward((np.float32(5), np.array([5, 0.5 / 5.000001])), SIDES, 0.5, take=lambda y, *args: (y[1], y[0])),
        Forward((np.float32(5), np.array([5.0, 1.0])), SIDES, 5.0, take=lambda y, *args: (y[1], y[0])),
    ],
    "scale_all": [Forward(SIDES[0] / 4, SIDES, np.array([2, 0.25]), take=lambda _, arrays, numbers: arrays[0])],
    "squared_error": [Forward((X - Y[:, :1], (X - Y[:, :1]) ** 2), X, np.repeat(Y[:, :1], X.shape[1], 1))],
    "sum_rows": [Forward(np.stack([1.0 * Y[1], 0 * Y[0], Y[0] + Y[2]]), Y, ROWS3, 3)],
    "place_at": [place_row()],
    "to_int64": [Forward(np.array([3, 200]), np.array([3, 200], np.uint8))],
    "take_rows": [Forward(X[ROWS3], X, ROWS3, take=first)],
    "negative_log_likelihood": [
        Forward(np.array([-0.5 * 0.7, 0, last]), X, np.array(labels), ROW_WEIGHTS)
        for labels, last in (([2, -100, 3], -2 * 0.9), ([2, 0, 4], 0), ([2, 0, -1], 0))
    ],
    "negative_log_likelihood_total": [
        Forward(-(X[np.arange(3), LABELS] * w).sum() / (w.sum() if mean else 1), X, LABELS, weight, -100, mean, take=first)
        for weight, w in ((None, np.ones(3)), (WEIGHTS, WEIGHTS[LABELS]))
        for mean in (True, False)
    ],
    "max_along": [Forward((X.max(axis), X.argmax(axis)), X, axis) for axis in (0, 1)],
    "min_along": [Forward((X.min(axis), X.argmin(axis)), X, axis) for axis in (0, 1)],
    "topk": [
        Forward((np.take_along_axis(X, order, 1), order), X, 3, largest)
        for largest in (True, False)
        for order in [np.argsort(-X if largest else X)[:, :3]]
    ],
    "amax": [Forward(X.max(axes), X, axes) for axes in ((0,), (1,), (0, 1))],
    "amin": [Forward(X.min(axes), X, axes) for axes in ((0,), (1,), (0, 1))],
    "clamp": [Forward(np.minimum(np.maximum(X, low), high), X, low, high) for low, high in ((-0.5, 0.5), (1, -1))],
    "variance": [
        Forward((X.var(axes, ddof=1) ** power, (X - X.mean(axes, keepdims=True)) / free), X, axes, free, power < 1)
        for axes, free in (((0,), 2), ((1,), 3), ((0, 1), 11))
        for power in (1, 0.5)
    ],
    "add_to_channels": [Forward(IMAGES + W3[:, None, None], IMAGES, W3, take=written(0))],
    "attention": [
        Forward(
            table.attention(*(x[None] for x in (X[:2], X, Y)), 0.5, False, None, 0.0, 0)[0],
            *(x for x in (X[:2], X, Y)),
            scale=0.5,
            take=first,
        )
    ],
    "batch_norm": [normed(table.batch_norm(IMAGES, W3, B3, 0.1), IMAGES, W3, B3, 0.1)],
    "binary_cross_entropy_with_logits": [
        Forward(-COINS * np.log(1 / (1 + np.exp(-X))) - (1 - COINS) * np.log(1 / (1 + np.exp(X))), X, COINS)
    ],
    "conv2d": [Forward(table.conv2d(IMAGE, KERNEL, W6, *GEOMETRY), IMAGE, KERNEL, W6, *GEOMETRY) for W6 in [normal(6)]],
    "conv2d_input": [
        Forward(conv_input(dy, KERNEL, (5, 6), *GEOMETRY), dy, KERNEL, (5, 6), *GEOMETRY) for dy in [normal(*SHAPES)]
    ],
    "conv2d_weight": [
        Forward(table.conv2d_weight(IMAGE, dy, (2, 2), *GEOMETRY), IMAGE, dy, (2, 2), *GEOMETRY) for dy in [normal(*SHAPES)]
    ],
    "cross_entropy": [
        Forward(table.cross_entropy(X, LABELS, WEIGHTS, 0, 0.2), X, LABELS, WEIGHTS, 0, 0.2, take=first),
    ],
    "cross_entropy_soft": [Forward(table.cross_entropy_soft(X, OTHER, WEIGHTS, 0.2), X, OTHER, WEIGHTS, 0.2, take=first)],
    "ctc_forward": [Forward(table.ctc(STEPS, SPOKEN, HEARD, SAID, 0, False), STEPS, SPOKEN, HEARD, SAID, 0)],
    "digamma": [each(table.digamma, POSITIVE)],
    "elu": [each(elu, X), each(elu, X, 1.7)],
    "erfc": [each(math.erfc, X)],
    "erf": [each(math.erf, X)],
    "exp": [each(math.exp, X)],
    "expm1": [each(math.expm1, X)],
    "gamma_slope": [Forward(np.vectorize(gamma_slope)(POSITIVE, POSITIVE[::-1]), POSITIVE, np.log(POSITIVE[::-1]))],
    "gammainc": [Forward(np.vectorize(table.gamma_inc)(POSITIVE, POSITIVE[::-1]), POSITIVE, POSITIVE[::-1])],
    "gelu": [each(gelu, X), each(gelu, X, True)],
    "group_norm": [Forward(table.group_norm(GROUPED, W4, B4, 2, 0.1), GROUPED, 2, W4, B4, 0.1, take=first)],
    "gru": [recurrent_states(table.gru_step, 3, lambda result, *_: result[1], reset) for reset in (True, False)],
    "layer_norm": [
        Forward(table.layer_norm(LAYERED, X[:2], Y[:2], 2, 0.1), LAYERED, 2, X[:2], Y[:2], 0.1, take=first),
        Forward(table.rms_norm(LAYERED, X[:2], None, 2, 0.1), LAYERED, 2, X[:2], None, 0.1, False, take=first),
    ],
    "leaky_relu": [each(leaky_relu, X), each(leaky_relu, X, 0.3)],
    "lgamma": [each(math.lgamma, POSITIVE)],
    "linear": [Forward(table.linear(X, Y[:2], W4[:2]), X, Y[:2], W4[:2])],
    "log": [each(math.log, POSITIVE)],
    "log1p": [each(math.log1p, POSITIVE)],
    "log2": [each(math.log2, POSITIVE)],
    "log_softmax": [Forward(np.log(softmax(X, axis)), X, axis) for axis in (0, 1)],
    "logsigmoid": [each(lambda v: math.log(logistic(v)), X)],
    "logsumexp": [Forward(np.log(np.exp(X).sum(axis)), X, axis) for axis in (0, 1)],
    "lstm": [recurrent_states(table.lstm_step, 4, lambda result, *_: result[1])],
    "matmul": [Forward(table.matmul(X, Y.T.copy()), X, Y.T.copy())],
    "max_pool": [Forward(max_pool(2)(IMAGE, 3, 2, 1), IMAGE, OF_WINDOWS, take=first)],
    "max_pool_indices": [
        Forward(max_pool(2)(IMAGE, 3, 2, 1, return_indices=True)[1], lambda: kernels.max_pool(IMAGE, OF_WINDOWS)[1], OF_WINDOWS)
    ],
    "mean_pool": [
        Forward(avg_pool(2)(IMAGE, 3, 2, 1, **options), IMAGE, OF_WINDOWS, *options.values())
        for options in ({}, {"count_include_pad": False}, {"count_include_pad": True, "divisor_override": 4})
    ],
    "optimizer_step": [
        rule_row("adagrad", POSITIVE, rate=0.1, eps=0.01, inside=False, decay=0.3, sign=-1.0),
        rule_row(
            "rmsprop", POSITIVE, Y / 4, X, rate=0.1, alpha=0.9, eps=0.1, momentum=0.5, centered=True, inside=False, decay=0.3
        ),
        rule_row("adadelta", POSITIVE, POSITIVE / 2, rate=0.5, rho=0.8, eps=0.01, decay=0.3),
        rule_row("adamax", Y / 2, POSITIVE, rate=0.1, beta1=0.8, beta2=0.9, eps=0.01, decay=0.3),
        rule_row("nadam", Y / 2, POSITIVE, rate_g=0.1, rate_m=0.2, beta1=0.8, beta2=0.9, root=0.5, eps=0.01, shrink=0.9),
        rule_row("radam", Y / 2, POSITIVE, rate=0.1, beta1=0.8, beta2=0.9, root=0.5, eps=0.01, rectified=True, shrink=0.9),
        rule_row("yogi", Y / 2, POSITIVE, rate=0.1, beta1=0.8, beta2=0.9, root=0.5, eps=0.01, decay=0.3),
        rule_row("lion", X / 2, rate=0.1, beta1=0.8, beta2=0.9, shrink=0.9),
        rule_row("asgd", X / 2, rate=0.1, share=0.25, shrink=0.9, decay=0.3),
        rule_row("rprop", X, POSITIVE, smaller=0.5, larger=1.2, least=0.2, most=2.0),
    ],
    "polygamma": [Forward(table.each_of_one(table.polygamma)(POSITIVE, n), n, POSITIVE) for n in (1, 2, 3)],
    "pool_windows": [
        Forward(max_pool(1)(X, *options), 4, *options, take=lambda w, *_: kernels.max_pool(X, (w,))[0])
        for options in ((2, 1, 1, 2, False), (2, 3, 0, 1, True))
    ],
    "relu": [each(lambda v: max(v, 0.0), X)],
    "rnn": [recurrent_states(table.rnn_step, 1, None, relu) for relu in (False, True)],
    "sgd": [Forward(sgd(X, Y, POSITIVE, *SGD_OPTIONS), X, Y, POSITIVE, *SGD_OPTIONS, take=written(0, 2))],
    "sigmoid": [each(logistic, X)],
    "silu": [each(lambda v: v * logistic(v), X)],
    "softmax": [Forward(softmax(X, axis), X, axis) for axis in (0, 1)],
    "softplus": [each(softplus, X, *o) for o in ((), (2.5, 20.0), (1.0, 1.5))],
    "running_sums": [
        Forward(np.array([X[: i + 1].sum(0) for i in range(len(X))]), X, 0),
        Forward(np.array([X[:, i:].sum(1) for i in range(X.shape[1])]).T.copy(), X, 1, True),
    ],
    "sum_over": [
        Forward(X.sum(0), X, (0,)),
        Forward(X.sum(1, keepdims=True), X, (1,), True),
        Forward(IMAGES.sum((0, 2, 3)), IMAGES, (0, 2, 3)),
        Forward(X.mean(0), X, (0,), False, len(X)),
    ],
    "total": [Forward(X.sum(1), X, (1,)), Forward((X * X).sum(0), X, (0,), True)],
    "running_statistics": [Forward(np.stack([W3, B3]), W3, B3)],
    "count_up": [Forward(np.array(3), np.array(2), take=written(0))],
    "sum_of_squares": [Forward(sum(v * v for v in X.ravel().tolist()), X)],
    "tanh": [each(math.tanh, X)],
    "update_running": [
        Forward(update_running(W3, B3, X[:2, :3], 0.3, 5), W3, B3, X[:2, :3], 0.3, 5, take=written(0, 1)),
    ],
}
# No functions of arrays.
SETTINGS = {"empty_cache", "get_memory_kept", "get_num_threads", "set_memory_kept", "set_num_threads", "xray"}
