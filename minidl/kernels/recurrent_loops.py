"""The time loops of recurrent layers, forward and back: RNN, LSTM, GRU, each in one kernel. `recurrent_parts` has the pieces.

Forward writes the states, and the gates after their functions. Backward goes from the last step to the first, writes what
reaches each gate before its function into d, and carries dh, which comes as ∂L/∂h of the last step and goes as that of the
first. The gradients of the weights are products of tall matrices afterwards.
"""

from numba import types

from .jit import dense, jit
from .recurrent_parts import packed, project, rows_of, rows_together, run_of, share, sigmoid, tanh, times
from .shares import SharedCode
from .tile import moved
from .vmath import select

# ----------------------------------------------------------------------------------------------------------------- RNN


@jit
def rnn_loop(x, w_ih, w_hh, bias, starts, relu, states, part, parts):
    N, T, H, zero = starts[1], starts.size - 1, w_hh.shape[1], x.dtype.type(0)
    first, last, step = share(N, H, x.itemsize, part, parts)
    of_x, of_h = packed(moved(w_ih.T, 0)), packed(moved(w_hh.T, 0))
    for n in range(first, last, step):
        for t in range(T):
            at, before, rows = rows_of(starts, t, n, min(step, last - n))
            project(x, starts, t, n, at, rows, last - first == N and step >= N, of_x, H, states, N + at, bias)
            times(states, before, rows, 0, H, of_h, H, states, N + at, 0, bias, 1)
            h = rows_together(states, N + at, rows)
            if relu:
                for j in range(h.size):
                    h[j] = select(h[j] < 0, zero, h[j])  # NaN stays
            else:
                for j in range(h.size):
                    h[j] = tanh(h[j])


@jit
def rnn_back(w_hh, starts, relu, states, dy, dh, d, part, parts):
    """d = ∂L/∂(what tanh or ReLU was taken of); dh comes as ∂L/∂h_T and goes as ∂L/∂h_0."""
    N, T, H, zero, one = starts[1], starts.size - 1, w_hh.shape[1], w_hh.dtype.type(0), w_hh.dtype.type(1)
    first, last, step = share(N, 2 * H, dy.itemsize, part, parts)
    of_h, none = packed(moved(w_hh, 0)), w_hh[0, :0]
    for n in range(first, last, step):
        for t in range(T - 1, -1, -1):
            at, _, rows = rows_of(starts, t, n, min(step, last - n))
            h, above = rows_together(states, N + at, rows), rows_together(dy, at, rows)
            out, later = rows_together(d, at, rows), rows_together(dh, n, rows)
            if relu:
                for j in range(h.size):
                    out[j] = select(h[j] > 0, later[j] + above[j], zero)
            else:
                for j in range(h.size):
                    out[j] = (later[j] + above[j]) * ((one - h[j]) * (one + h[j]))
            times(d, at, rows, 0, H, of_h, H, dh, n, 0, none, 0)


# ---------------------------------------------------------------------------------------------------------------- LSTM


@jit
def lstm_loop(x, w_ih, w_hh, bias, starts, gates, states, cells, part, parts):
    N, T, H = starts[1], starts.size - 1, w_hh.shape[1]
    first, last, step = share(N, 4 * H, x.itemsize, part, parts)
    of_x, of_h = packed(moved(w_ih.T, 0)), packed(moved(w_hh.T, 0))
    for n in range(first, last, step):
        for t in range(T):
            at, before, rows = rows_of(starts, t, n, min(step, last - n))
            project(x, starts, t, n, at, rows, last - first == N and step >= N, of_x, 4 * H, gates, at, bias)
            times(states, before, rows, 0, H, of_h, 4 * H, gates, at, 0, bias, 1)
            for r in range(rows):
                i, f = run_of(gates, at + r, 0, H), run_of(gates, at + r, H, H)
                g, o = run_of(gates, at + r, 2 * H, H), run_of(gates, at + r, 3 * H, H)
                c, c_new, h = (
                    run_of(cells, before + r, 0, H),
                    run_of(cells, N + at + r, 0, H),
                    run_of(states, N + at + r, 0, H),
                )
                for j in range(H):  # at most 8 pairs of runs to be told apart, or LLVM leaves the loop as it is
                    i[j], g[j] = sigmoid(i[j]), tanh(g[j])
                for j in range(H):
                    fj = sigmoid(f[j])
                    f[j], c_new[j] = fj, fj * c[j] + i[j] * g[j]
                for j in range(H):
                    oj = sigmoid(o[j])
                    o[j], h[j] = oj, oj * tanh(c_new[j])


@jit
def lstm_back(w_hh, starts, gates, cells, dy, dh, dc, d, part, parts):
    N, T, H, one = starts[1], starts.size - 1, w_hh.shape[1], w_hh.dtype.type(1)
    first, last, step = share(N, 8 * H, dy.itemsize, part, parts)
    of_h, none = packed(moved(w_hh, 0)), w_hh[0, :0]
    for n in range(first, last, step):
        for t in range(T - 1, -1, -1):
            at, before, rows = rows_of(starts, t, n, min(step, last - n))
            for r in range(rows):
                i, f = run_of(gates, at + r, 0, H), run_of(gates, at + r, H, H)
                g, o = run_of(gates, at + r, 2 * H, H), run_of(gates, at + r, 3 * H, H)
                di, df = run_of(d, at + r, 0, H), run_of(d, at + r, H, H)
                dg, do = run_of(d, at + r, 2 * H, H), run_of(d, at + r, 3 * H, H)
                c, c_new, above = run_of(cells, before + r, 0, H), run_of(cells, N + at + r, 0, H), run_of(dy, at + r, 0, H)
                h, later = run_of(dh, n + r, 0, H), run_of(dc, n + r, 0, H)
                for j in range(H):
                    h[j] += above[j]
                for j in range(H):
                    hj, oj, tj = h[j], o[j], tanh(c_new[j])
                    later[j] += hj * oj * ((one - tj) * (one + tj))
                    do[j] = hj * tj * (oj * (one - oj))
                for j in range(H):
                    cj, ij, gj = later[j], i[j], g[j]
                    di[j] = cj * gj * (ij * (one - ij))
                    dg[j] = cj * ij * ((one - gj) * (one + gj))
                for j in range(H):
                    cj, fj = later[j], f[j]
                    df[j] = cj * c[j] * (fj * (one - fj))
                    later[j] = cj * fj
            times(d, at, rows, 0, 4 * H, of_h, H, dh, n, 0, none, 0)


# ----------------------------------------------------------------------------------------------------------------- GRU
# Columns of gates and d: n, r, z, and q = W_hn h + b_hn. Those that x has a share in (n, r, z) are neighbours, and so are those
# of h, in PyTorch's order (r, z, q): d[:, :3H] is what dx and dW_ih are made of, d[:, H : 4H] what dh and dW_hh are made of.


@jit
def gru_loop(x, w_ih, w_hh, bias, starts, gates, states, part, parts):
    """w_ih in the order n, r, z; bias: of n, r, z and q."""
    N, T, H = starts[1], starts.size - 1, w_hh.shape[1]
    first, last, step = share(N, 4 * H, x.itemsize, part, parts)
    of_x, of_h, of_q = packed(moved(w_ih.T, 0)), packed(moved(w_hh[: 2 * H].T, 0)), packed(moved(w_hh[2 * H :].T, 0))
    for n in range(first, last, step):
        for t in range(T):
            at, before, rows = rows_of(starts, t, n, min(step, last - n))
            project(x, starts, t, n, at, rows, last - first == N and step >= N, of_x, 3 * H, gates, at, bias)
            times(states, before, rows, 0, H, of_h, 2 * H, gates, at, H, bias, 1)
            times(states, before, rows, 0, H, of_q, H, gates, at, 3 * H, bias, 2)
            for k in range(rows):
                new, r = run_of(gates, at + k, 0, H), run_of(gates, at + k, H, H)
                z, q = run_of(gates, at + k, 2 * H, H), run_of(gates, at + k, 3 * H, H)
                h, h_new = run_of(states, before + k, 0, H), run_of(states, N + at + k, 0, H)
                for j in range(H):
                    rj = sigmoid(r[j])
                    r[j], new[j] = rj, tanh(new[j] + rj * q[j])
                for j in range(H):
                    zj, nj = sigmoid(z[j]), new[j]
                    z[j], h_new[j] = zj, nj + zj * (h[j] - nj)


@jit
def gru_back(w_hh, starts, gates, states, dy, dh, d, part, parts):
    N, T, H, one = starts[1], starts.size - 1, w_hh.shape[1], w_hh.dtype.type(1)
    first, last, step = share(N, 8 * H, dy.itemsize, part, parts)
    of_h, none = packed(moved(w_hh, 0)), w_hh[0, :0]
    for n in range(first, last, step):
        for t in range(T - 1, -1, -1):
            at, before, rows = rows_of(starts, t, n, min(step, last - n))
            for k in range(rows):
                new, r = run_of(gates, at + k, 0, H), run_of(gates, at + k, H, H)
                z, q = run_of(gates, at + k, 2 * H, H), run_of(gates, at + k, 3 * H, H)
                dn, dr = run_of(d, at + k, 0, H), run_of(d, at + k, H, H)
                dz, dq = run_of(d, at + k, 2 * H, H), run_of(d, at + k, 3 * H, H)
                h, above, later = run_of(states, before + k, 0, H), run_of(dy, at + k, 0, H), run_of(dh, n + k, 0, H)
                for j in range(H):
                    later[j] += above[j]
                for j in range(H):
                    dz[j] = later[j] * (h[j] - new[j]) * (z[j] * (one - z[j]))
                for j in range(H):
                    hj, zj, nj = later[j], z[j], new[j]
                    dn[j] = hj * (one - zj) * ((one - nj) * (one + nj))
                    later[j] = hj * zj
                for j in range(H):
                    nj, rj = dn[j], r[j]
                    dr[j] = nj * q[j] * (rj * (one - rj))
                    dq[j] = nj * rj
            times(d, at, rows, H, 3 * H, of_h, H, dh, n, 0, none, 1)


@jit
def gru_before_loop(x, w_ih, w_hh, bias, starts, gates, states, part, parts):
    """The variant that resets before the product: n = tanh(W_in x + W_hn (r h) + bias); the last column keeps r h."""
    N, T, H = starts[1], starts.size - 1, w_hh.shape[1]
    first, last, step = share(N, 4 * H, x.itemsize, part, parts)
    of_x, of_h, of_n = packed(moved(w_ih.T, 0)), packed(moved(w_hh[: 2 * H].T, 0)), packed(moved(w_hh[2 * H :].T, 0))
    for n in range(first, last, step):
        for t in range(T):
            at, before, rows = rows_of(starts, t, n, min(step, last - n))
            project(x, starts, t, n, at, rows, last - first == N and step >= N, of_x, 3 * H, gates, at, bias)
            times(states, before, rows, 0, H, of_h, 2 * H, gates, at, H, bias, 1)
            for k in range(rows):
                r, q, h = run_of(gates, at + k, H, H), run_of(gates, at + k, 3 * H, H), run_of(states, before + k, 0, H)
                for j in range(H):
                    rj = sigmoid(r[j])
                    r[j], q[j] = rj, rj * h[j]
            times(gates, at, rows, 3 * H, H, of_n, H, gates, at, 0, bias, 1)
            for k in range(rows):
                new, z = run_of(gates, at + k, 0, H), run_of(gates, at + k, 2 * H, H)
                h, h_new = run_of(states, before + k, 0, H), run_of(states, N + at + k, 0, H)
                for j in range(H):
                    zj, nj = sigmoid(z[j]), tanh(new[j])
                    z[j], new[j], h_new[j] = zj, nj, nj + zj * (h[j] - nj)


@jit
def gru_before_back(w_hh, starts, gates, states, dy, dh, d, part, parts):
    """The last column of d is scratch: ∂L/∂(r h)."""
    N, T, H, one = starts[1], starts.size - 1, w_hh.shape[1], w_hh.dtype.type(1)
    first, last, step = share(N, 8 * H, dy.itemsize, part, parts)
    of_h, of_n, none = packed(moved(w_hh[: 2 * H], 0)), packed(moved(w_hh[2 * H :], 0)), w_hh[0, :0]
    for n in range(first, last, step):
        for t in range(T - 1, -1, -1):
            at, before, rows = rows_of(starts, t, n, min(step, last - n))
            for k in range(rows):
                new, z = run_of(gates, at + k, 0, H), run_of(gates, at + k, 2 * H, H)
                dn, dz = run_of(d, at + k, 0, H), run_of(d, at + k, 2 * H, H)
                h, above, later = run_of(states, before + k, 0, H), run_of(dy, at + k, 0, H), run_of(dh, n + k, 0, H)
                for j in range(H):
                    later[j] += above[j]
                for j in range(H):
                    dz[j] = later[j] * (h[j] - new[j]) * (z[j] * (one - z[j]))
                for j in range(H):
                    hj, zj, nj = later[j], z[j], new[j]
                    dn[j] = hj * (one - zj) * ((one - nj) * (one + nj))
                    later[j] = hj * zj
            times(d, at, rows, 0, H, of_n, H, d, at, 3 * H, none, 0)
            for k in range(rows):
                r, dr, dq = run_of(gates, at + k, H, H), run_of(d, at + k, H, H), run_of(d, at + k, 3 * H, H)
                h, later = run_of(states, before + k, 0, H), run_of(dh, n + k, 0, H)
                for j in range(H):
                    rj, qj = r[j], dq[j]
                    dr[j] = qj * h[j] * (rj * (one - rj))
                    later[j] += qj * rj
            times(d, at, rows, H, 2 * H, of_h, H, dh, n, 0, none, 1)


# ------------------------------------------------------------------------------------------------------ how they are called


def _forward_types(written, *options):
    return lambda t: (*[dense(t, 2)] * 3, dense(t, 1), dense(types.int64, 1), *options, *[dense(t, 2, True)] * written)


def _backward_types(saved, written, *options):
    return lambda t: (
        dense(t, 2),
        dense(types.int64, 1),
        *options,
        *[dense(t, 2)] * (saved + 1),
        *[dense(t, 2, True)] * written,
    )


rnn_forward, rnn_backward = (
    SharedCode(rnn_loop, _forward_types(1, types.boolean)),
    SharedCode(rnn_back, _backward_types(1, 2, types.boolean)),
)
lstm_forward, lstm_backward = SharedCode(lstm_loop, _forward_types(3)), SharedCode(lstm_back, _backward_types(2, 3))
gru_forward, gru_backward = SharedCode(gru_loop, _forward_types(2)), SharedCode(gru_back, _backward_types(2, 2))
gru_before_forward = SharedCode(gru_before_loop, _forward_types(2))
gru_before_backward = SharedCode(gru_before_back, _backward_types(2, 2))
