"""Recurrent layers: what callers see. All sequences run through all steps in one kernel of `recurrent_loops`.

x (rows, I) has the rows of step t from starts[t] to starts[t + 1], one for each sequence that still runs, longest first;
starts[1] is N, the number of sequences, of which h and c (N, H) are the first states. All float32 or all float64.

`states` (N + rows, H) are h and then the states after each row, `cells` the same of LSTM's c, `gates` (rows, 4H or a little
more) the gates after their functions. The functions for backward return d, what reaches the gates before their functions, and
the gradients of the first states; their dh and dc are those of the last states, which they do not change.
"""

import numpy as np
from numba import types

from . import memory, recurrent_loops as loops
from .elementwise import add, plain
from .index import copy, join
from .jit import CodeByDtype, dense, jit
from .threads import run
from .tile import ROWS, VECTOR_BYTES

PARALLEL_WORK = 600_000  # multiply-adds from which a second thread pays


@jit
def put(x, rows):
    """rows[i] = x[i] for the first rows"""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            rows[i, j] = x[i, j]


@jit
def clear(rows, first):
    """0 in the columns from the first one on"""
    for i in range(rows.shape[0]):
        for j in range(first, rows.shape[1]):
            rows[i, j] = 0


_put = CodeByDtype(put, lambda t: (dense(t, 2), dense(t, 2, True)))
_clear = CodeByDtype(clear, lambda t: (dense(t, 2, True), types.intp))


def _wide(rows, columns, dtype):
    """Rows a cache line apart from multiples of 1024 bytes: those would all fall into the same few sets of the cache."""
    more = VECTOR_BYTES // dtype.itemsize if columns * dtype.itemsize % 1024 == 0 else 0
    x = memory.empty((rows, columns + more), dtype)
    if more:
        _clear[dtype](x, columns)
    return x


def _after(initial, rows):
    """Room for the states: the first one, then one row for each row of x."""
    N, H = initial.shape
    states = memory.empty((N + rows, H), initial.dtype)
    _put[states.dtype](plain(initial), states)
    return states


def _pays(starts, H, gates):
    return int(starts[-1]) * H * H * gates >= PARALLEL_WORK and starts[1] > ROWS


def _steps(name, starts):
    """Where the steps begin, in the form for kernels."""
    starts = plain(starts)
    good = starts.ndim == 1 and starts.dtype == np.int64 and len(starts) > 1 and starts[0] == 0
    if not good or (np.diff(starts) < 0).any() or (np.diff(starts, 2) > 0).any():
        raise ValueError(f"{name}: expected int64 starts of steps that get shorter, from 0, got {starts}")
    return starts


def _check(name, x, starts, w_ih, w_hh, bias, gates, *states):
    """The arrays in the form for kernels; a wrong one would be read past its end."""
    dtype, H, rows = x.dtype, w_hh.shape[-1], gates * w_hh.shape[-1]
    if dtype not in (np.float32, np.float64) or any(a.dtype != dtype for a in (w_ih, w_hh, bias, *states)):
        got = ", ".join(str(a.dtype) for a in (x, w_ih, w_hh, bias, *states))
        raise TypeError(f"{name}: expected arrays all of float32 or all of float64, got {got}")
    N = int(starts[1])
    fits = x.ndim == 2 and x.shape == (starts[-1], w_ih.shape[-1]) and w_ih.shape == (rows, x.shape[1])
    if not fits or w_hh.shape != (rows, H) or bias.shape != (rows,) or not H or not x.shape[1]:
        got = f"{x.shape}, {w_ih.shape}, {w_hh.shape}, {bias.shape}"
        raise ValueError(f"{name}: x, w_ih, w_hh and bias of shapes {got} do not fit {starts[-1]} rows and {gates} gates")
    if any(a.shape != (N, H) for a in states):
        raise ValueError(f"{name}: expected first states of shape {(N, H)}, got {[a.shape for a in states]}")
    return plain(x), plain(w_ih), plain(w_hh), plain(bias)


def _check_back(name, dy, starts, columns, *others, gates=None):
    """The arrays as the kernels want them, dy first; the others are (shape, array) pairs. `gates` has 4H columns or more."""
    rows = int(starts[-1])
    pairs = [((rows, columns), dy), *others]
    if gates is not None:
        wide = gates.shape[1] if gates.ndim == 2 else 0
        pairs.append(((rows, max(wide, 4 * columns)), gates))
    for shape, a in pairs:
        if a.shape != shape or a.dtype != dy.dtype:
            raise ValueError(f"{name}: expected an array {shape} of {dy.dtype}, got {a.shape} of {a.dtype}")
    return [plain(a) for _, a in pairs]


def rnn(x, h, w_ih, w_hh, bias, starts, relu=False):
    """states: h_t = f(W_ih x_t + W_hh h_{t−1} + bias), f = tanh or ReLU."""
    starts = _steps("rnn", starts)
    x, w_ih, w_hh, bias = _check("rnn", x, starts, w_ih, w_hh, bias, 1, h)
    states = _after(h, len(x))
    run(_pays(starts, w_hh.shape[1], 1), loops.rnn_forward, x.dtype, x, w_ih, w_hh, bias, starts, bool(relu), states)
    return states


def rnn_backward(dy, dh, w_hh, starts, states, relu=False):
    """(d, dh) of `rnn`"""
    starts = _steps("rnn_backward", starts)
    N, H = int(starts[1]), w_hh.shape[-1]
    pairs = ((N, H), dh), ((H, H), w_hh), ((N + len(dy), H), states)
    dy, dh, w_hh, states = _check_back("rnn_backward", dy, starts, H, *pairs)
    dh, d = copy(dh), memory.empty(dy.shape, dy.dtype)
    run(_pays(starts, H, 1), loops.rnn_backward, dy.dtype, w_hh, starts, bool(relu), states, dy, dh, d)
    return d, dh


def lstm(x, h, c, w_ih, w_hh, bias, starts):
    """(gates, states, cells): c_t = f c_{t−1} + i g and h_t = o tanh c_t.

    i, f, o = σ(…), g = tanh(…) of W_ih x_t + W_hh h_{t−1} + bias, in the order i, f, g, o.
    """
    starts = _steps("lstm", starts)
    x, w_ih, w_hh, bias = _check("lstm", x, starts, w_ih, w_hh, bias, 4, h, c)
    H = w_hh.shape[1]
    gates, states, cells = _wide(len(x), 4 * H, x.dtype), _after(h, len(x)), _after(c, len(x))
    run(_pays(starts, H, 4), loops.lstm_forward, x.dtype, x, w_ih, w_hh, bias, starts, gates, states, cells)
    return gates, states, cells


def lstm_backward(dy, dh, dc, w_hh, starts, gates, cells):
    """(d, dh, dc) of `lstm`"""
    starts = _steps("lstm_backward", starts)
    N, H = int(starts[1]), w_hh.shape[-1]
    pairs = ((N, H), dh), ((N, H), dc), ((4 * H, H), w_hh), ((N + len(dy), H), cells)
    dy, dh, dc, w_hh, cells, gates = _check_back("lstm_backward", dy, starts, H, *pairs, gates=gates)
    dh, dc, d = copy(dh), copy(dc), _wide(len(dy), 4 * H, dy.dtype)
    run(_pays(starts, H, 4), loops.lstm_backward, dy.dtype, w_hh, starts, gates, cells, dy, dh, dc, d)
    return d[:, : 4 * H], dh, dc


def gru(x, h, w_ih, w_hh, b_ih, b_hh, starts, reset_after=True):
    """(gates, states): r, z = σ(…); n = tanh(W_in x_t + b_in + r (W_hn h_{t−1} + b_hn)), h_t = (1 − z) n + z h_{t−1}.

    reset_after=False: n = tanh(W_in x_t + b_in + W_hn (r h_{t−1}) + b_hn). Columns of gates: n, r, z, and q = W_hn h + b_hn, or
    r h. Rows of the weights: r, z, n.
    """
    H, starts = w_hh.shape[-1], _steps("gru", starts)
    x, w_ih, w_hh, b_ih = _check("gru", x, starts, w_ih, w_hh, b_ih, 3, h)
    b_hh = _check("gru", x, starts, w_ih, w_hh, b_hh, 3, h)[3]
    if reset_after:
        kernel, bias = loops.gru_forward, join(b_ih[2 * H :], add(b_ih[: 2 * H], b_hh[: 2 * H]), b_hh[2 * H :])
    else:
        kernel, both = loops.gru_before_forward, add(b_ih, b_hh)
        bias = join(both[2 * H :], both[: 2 * H])
    gates, states = _wide(len(x), 4 * H, x.dtype), _after(h, len(x))
    rolled = join(w_ih[2 * H :], w_ih[: 2 * H])  # r, z, n to n, r, z
    run(_pays(starts, H, 3), kernel, x.dtype, x, rolled, w_hh, bias, starts, gates, states)
    return gates, states


def gru_backward(dy, dh, w_hh, starts, gates, states, reset_after=True):
    """(d, dh) of `gru`; columns of d: n, r, z, and with reset_after q."""
    starts = _steps("gru_backward", starts)
    N, H = int(starts[1]), w_hh.shape[-1]
    pairs = ((N, H), dh), ((3 * H, H), w_hh), ((N + len(dy), H), states)
    dy, dh, w_hh, states, gates = _check_back("gru_backward", dy, starts, H, *pairs, gates=gates)
    dh, d = copy(dh), _wide(len(dy), 4 * H, dy.dtype)
    kernel = loops.gru_backward if reset_after else loops.gru_before_backward
    run(_pays(starts, H, 3), kernel, dy.dtype, w_hh, starts, gates, states, dy, dh, d)
    return d[:, : 4 * H if reset_after else 3 * H], dh
