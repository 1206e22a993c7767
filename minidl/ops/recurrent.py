"""Recurrent layers: each step of a sequence changes a state. The results are y = h_1 … h_T and the last states.

In all of them a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh is the input of functions that give h_t. Once da_t is known,

    dx_t = W_ihᵀ da_t,  dW_ih = Σ_t da_t x_tᵀ,  dW_hh = Σ_t da_t h_{t−1}ᵀ,  db_ih = db_hh = Σ_t da_t

h_t is an output and an input of the next step, so its gradient has two terms: dh_t = dy_t + W_hhᵀ da_{t+1}.

x is (T, N, I), or, for packed sequences, (rows, I) with `sizes`, how many sequences still run at each step. With `reverse`,
each sequence is read from its end, and y is in the order of x.
"""

import math
from functools import lru_cache

import numpy as np

from .. import kernels
from .base import Op

__all__ = ["GRU", "LSTM", "RNN"]


class Recurrent(Op):
    """The rows of x in the order in which the kernels read them, and what all kinds have in common in backward."""

    warns = False

    def __init__(self, sizes=None, reverse=False):
        self.sizes, self.reverse = None if sizes is None else tuple(map(int, sizes)), reverse

    def keep(self, x, h, w_ih, w_hh, b_ih, b_hh):
        """The inputs; backward reads x, w_ih and w_hh, a gradient of the gradient all of them."""
        self.x, self.h, self.w_ih, self.w_hh, self.b_ih, self.b_hh = x, h, w_ih, w_hh, b_ih, b_hh

    def rows(self, x):
        """(T, N, ·) or (rows, ·) as the rows that the kernel reads one after the other."""
        if self.sizes is not None:
            return _taken(x, _turned(self.sizes)) if self.reverse else x
        x = x[::-1] if self.reverse else x
        if isinstance(x, np.ndarray) and x.dtype.kind == "f" and not x.flags.c_contiguous:
            x = kernels.copy(x)
        return x.reshape(-1, x.shape[-1])

    def unrows(self, rows, shape):
        """The inverse of `rows`."""
        if self.sizes is not None:
            return _taken(rows, _turned(self.sizes)) if self.reverse else rows
        x = rows.reshape(*shape[:-1], rows.shape[-1])
        return x[::-1] if self.reverse else x

    def starts(self, x):
        return _starts((x.shape[1],) * x.shape[0] if self.sizes is None else self.sizes)

    def results(self, x, states):
        """y and the last state of each sequence."""
        N = int(self.starts(x)[1])
        last = kernels.copy(states[-N:]) if self.sizes is None else _taken(states, _ends(self.starts(x).tobytes()))
        return self.unrows(states[N:], x.shape), last

    def before(self, states, starts):
        """The state before each row."""
        return states[: -int(starts[1])] if self.sizes is None else _taken(states, _before(starts.tobytes()))

    def cotangents(self, dy, dlast):
        """The rows of dy, and dh and dc, with zeros for gradients that are None."""
        y, last = self.y, (int(self.starts(self.x)[1]), self.w_hh.shape[1])
        dy = _zeros(y.shape, y.dtype) if dy is None else dy
        return self.rows(dy), *(_zeros(last, y.dtype) if d is None else d for d in dlast)

    def of_weights(self, needs, d, before):
        """dw_ih, dw_hh, db_ih, db_hh from d, the gradient of the gates; None for those that are not needed."""
        w_ih, w_hh, *biases = needs
        yield kernels.matmul(d.T, self.rows(self.x)) if w_ih else None
        yield kernels.matmul(d.T, before) if w_hh else None
        sums = kernels.sum_over(d, (0,)) if any(biases) else None
        for i, need in enumerate(biases):
            yield (kernels.copy(sums) if i else sums) if need else None


def _taken(x, index):
    return kernels.take_rows(x, index)[0] if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x[index]


def _zeros(shape, dtype):
    """Zeros that nobody writes to: few of them are kept."""
    return (_kept_zeros if math.prod(shape) <= 65536 else np.zeros)(shape, dtype)


@lru_cache(maxsize=64)
def _kept_zeros(shape, dtype):
    return np.zeros(shape, dtype)


def _bias(x, w_hh, b_ih, b_hh):
    """The sum of both biases."""
    return _zeros((len(w_hh),), x.dtype) if b_ih is None else kernels.add(b_ih, b_hh)


def _rolled(x, first):
    """x from row `first` on, and then the rows before it."""
    return kernels.join(x[first:], x[:first])


@lru_cache(maxsize=64)
def _starts(sizes):
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


@lru_cache(maxsize=64)
def _ends(starts):
    """The index of the last state of each sequence among all states."""
    starts = np.frombuffer(starts, np.int64)
    N, sizes = int(starts[1]), np.diff(starts)
    steps = (sizes[:, None] > np.arange(N)).sum(0) - 1
    return N + starts[steps] + np.arange(N)


@lru_cache(maxsize=64)
def _before(starts):
    """For each row, the index of the state before it among all states."""
    starts = np.frombuffer(starts, np.int64)
    N, sizes = int(starts[1]), np.diff(starts)
    return np.concatenate([(np.arange(n) if t == 0 else N + starts[t - 1] + np.arange(n)) for t, n in enumerate(sizes)])


@lru_cache(maxsize=64)
def _turned(sizes):
    """The order of packed rows that reverses each sequence. Applied twice, it gives the first order again."""
    starts = _starts(sizes)
    lengths = (np.array(sizes)[:, None] > np.arange(sizes[0])).sum(0)
    return np.concatenate([starts[lengths[:n] - 1 - t] + np.arange(n) for t, n in enumerate(sizes)])


class RNN(Recurrent):
    """h_t = tanh(a_t), or ReLU(a_t)
    tanh' = 1 − h²:  da_t = dh_t·(1 − h_t²);  ReLU: da_t = dh_t where h_t > 0
    """

    def __init__(self, sizes=None, reverse=False, relu=False):
        super().__init__(sizes, reverse)
        self.relu = relu

    def forward(self, x, h, w_ih, w_hh, b_ih=None, b_hh=None):
        bias = _bias(x, w_hh, b_ih, b_hh)
        self.keep(x, h, w_ih, w_hh, b_ih, b_hh)
        self.states = kernels.rnn(self.rows(x), h, w_ih, w_hh, bias, self.starts(x), self.relu)
        self.y, last = self.results(x, self.states)
        return self.y, last

    def backward(self, dy):
        x, h, *weights = self.needs
        starts = self.starts(self.x)
        d, dh = kernels.rnn_backward(*self.cotangents(dy[0], dy[1:]), self.w_hh, starts, self.states, self.relu)
        dx = self.unrows(kernels.matmul(d, self.w_ih), self.x.shape) if x else None
        return dx, dh if h else None, *self.of_weights(weights, d, self.before(self.states, starts))


class LSTM(Recurrent):
    """i, f, o = σ(a), g = tanh(a), of four parts of a_t;  c_t = f·c_{t−1} + i·g;  h_t = o·tanh(c_t)
    dc_t = dh_t·o·(1 − tanh²c_t) + f_{t+1}·dc_{t+1}
    di = dc·g·i(1 − i);  df = dc·c_{t−1}·f(1 − f);  dg = dc·i·(1 − g²);  do = dh·tanh(c)·o(1 − o)
    """

    def forward(self, x, h, c, w_ih, w_hh, b_ih=None, b_hh=None):
        bias = _bias(x, w_hh, b_ih, b_hh)
        self.keep(x, h, w_ih, w_hh, b_ih, b_hh)
        self.c, starts = c, self.starts(x)
        self.gates, self.states, self.cells = kernels.lstm(self.rows(x), h, c, w_ih, w_hh, bias, starts)
        self.y, last = self.results(x, self.states)
        return self.y, last, self.results(x, self.cells)[1]

    def backward(self, dy):
        x, h, c, *weights = self.needs
        starts = self.starts(self.x)
        cotangents = self.cotangents(dy[0], dy[1:])
        d, dh, dc = kernels.lstm_backward(*cotangents, self.w_hh, starts, self.gates, self.cells)
        dx = self.unrows(kernels.matmul(d, self.w_ih), self.x.shape) if x else None
        weights = self.of_weights(weights, d, self.before(self.states, starts))
        return dx, dh if h else None, dc if c else None, *weights


class GRU(Recurrent):
    """r, z = σ(a), of two parts of a_t;  h_t = (1 − z)·n + z·h_{t−1}
    n = tanh(W_in x_t + b_in + r·q), q = W_hn h_{t−1} + b_hn
    dn = dh·(1 − z)·(1 − n²);  dz = dh·(h_{t−1} − n)·z(1 − z);  dr = dn·q·r(1 − r);  dq = dn·r;  z·dh goes to h_{t−1}, too
    reset_after=False: n = tanh(W_in x_t + b_in + W_hn (r·h_{t−1}) + b_hn);  dr = (W_hnᵀ dn)·h_{t−1}·r(1 − r)
    """

    def __init__(self, sizes=None, reverse=False, reset_after=True):
        super().__init__(sizes, reverse)
        self.reset_after = reset_after

    def forward(self, x, h, w_ih, w_hh, b_ih=None, b_hh=None):
        none = _zeros((len(w_hh),), x.dtype)
        biases = (none, none) if b_ih is None else (b_ih, b_hh)
        self.keep(x, h, w_ih, w_hh, b_ih, b_hh)
        self.gates, self.states = kernels.gru(self.rows(x), h, w_ih, w_hh, *biases, self.starts(x), self.reset_after)
        self.y, last = self.results(x, self.states)
        return self.y, last

    def backward(self, dy):
        x, h, w_ih, w_hh, *biases = self.needs
        starts, H = self.starts(self.x), self.w_hh.shape[1]
        cotangents = self.cotangents(dy[0], dy[1:])
        d, dh = kernels.gru_backward(*cotangents, self.w_hh, starts, self.gates, self.states, self.reset_after)
        d_ih = d[:, : 3 * H]  # columns n, r, z; the weights' rows are r, z, n
        dx = self.unrows(kernels.matmul(d_ih, _rolled(self.w_ih, 2 * H)), self.x.shape) if x else None
        dw_ih = _rolled(kernels.matmul(d_ih.T, self.rows(self.x)), H) if w_ih else None
        dw_hh = self._of_hidden(d, self.before(self.states, starts), H) if w_hh else None
        db = [None] * len(biases)
        if any(biases):
            sums = kernels.sum_over(d, (0,))
            db = [_rolled(sums[: 3 * H], H), kernels.copy(sums[H:]) if self.reset_after else _rolled(sums, H)]
        db = [b if need else None for b, need in zip(db, biases, strict=True)]
        return dx, dh if h else None, dw_ih, dw_hh, *db

    def _of_hidden(self, d, before, H):
        if self.reset_after:
            return kernels.matmul(d[:, H : 4 * H].T, before)
        reset = self.gates[:, 3 * H : 4 * H]  # r·h_{t−1}, which W_hn was multiplied with
        return kernels.join(kernels.matmul(d[:, H : 3 * H].T, before), kernels.matmul(d[:, :H].T, reset))
