"""What every kernel for gradients computes, in plain NumPy: the function whose slopes it gives, and how it is called.

The truth is a central difference of that function, written in float64 without minidl. `test_completeness` compares.
"""

import math
from functools import cached_property

import numpy as np

from minidl import kernels

from . import table
from .table_functional import COINS, IMAGES, LABELS, MAX_OPTIONS, OTHER, STEPS, WEIGHTS, X, Y, avg_pool, max_pool, normal


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
        return [kernels.cross_entropy_backward(dy, x, shift_and_log, LABELS, weight, -100, smoothing, 1.0)]

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
            lambda dy, x, t: [dy * kernels.binary_cross_entropy_with_logits_backward(x, t)],
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
