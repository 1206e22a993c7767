"""Fused operations as the primitive ones that they are made of. The gradient of these, recorded, is theirs.

Each is given a copy of the operation that holds tensors for its inputs, and gives the outputs. What the kernel saved on its way
is not used: it is computed again.
"""

import math
from itertools import pairwise

import numpy as np

from .. import kernels, ops
from ..tensors.record import apply, wrap


def cat(tensors, axis=0):
    return apply(ops.Cat(axis), *tensors)


def attention(self):
    """softmax(q kᵀ·scale + mask), with places hidden and weights dropped, times v."""
    q, k, v, mask = self.q, self.k, self.v, self.mask
    seen = np.tri(q.shape[-2], k.shape[-2], dtype=bool) if self.causal else True
    seen = seen if self.allowed is None else seen & self.allowed
    seen = seen if mask is None else seen & (mask.array != -math.inf)
    if seen is not True and not all(np.isfinite(x.array).all() for x in (q, k, v)):
        q = apply(ops.Where(seen.any(-1)[..., None]), q, 0.0)  # queries and keys that are hidden everywhere may be NaN
        k, v = (apply(ops.Where(seen.any(-2)[..., None]), x, 0.0) for x in (k, v))
    scores = q @ k.transpose(-1, -2) * self.scale
    scores = scores if mask is None else scores + mask
    if seen is not True:
        scores = apply(ops.Where(seen), scores, -math.inf)
    p = scores.softmax(-1)
    return (p * _kept(self, p) if self.drop else p) @ v


def _kept(self, p):
    """0 where the kernel drops a weight, else 1/(1 − drop). Found by the kernel: with values I, its output is its weights."""
    (L, S), batch = (
        p.shape[-2:],
        np.broadcast_shapes(p.shape[:-2], self.v.shape[:-2]),
    )  # each item has its own drops
    equal = np.zeros((*batch, L, 1), p.dtype), np.zeros((*batch, S, 1), p.dtype)
    values = np.broadcast_to(np.eye(S, dtype=p.dtype), (*batch, S, S))
    weights, _ = kernels.attention(*equal, values, None, False, 1.0, self.drop, int(self.seed))
    return wrap((weights > 0).astype(p.dtype) / p.dtype.type(1 - self.drop))


# --- recurrent layers


def recurrent(step):
    """y and the last states, from a function step(a, states, self) of a step; a is W_ih x_t + b_ih."""

    def composite(self):
        x, H = self.x, self.w_hh.shape[1]
        count = math.prod(x.shape[:-1])
        order = self.rows(np.arange(count).reshape(*x.shape[:-1], 1)).ravel()  # the order in which the rows of x are read
        a = x.reshape(count, x.shape[-1]) @ self.w_ih.T
        if self.b_ih is not None:
            a = a + self.b_ih
        states = [self.h, self.c] if isinstance(self, ops.LSTM) else [self.h]
        starts, hidden, ended = self.starts(x), [], []
        for begin, end in pairwise(starts):
            n = end - begin
            if n < len(states[0]):
                ended.insert(0, [state[n:] for state in states])
                states = [state[:n] for state in states]
            states = step(self, a[order[begin:end]], *states)
            hidden.append(states[0])
        last = [cat(parts) for parts in zip(states, *ended, strict=True)]
        back = np.empty(count, np.int64)
        back[order] = np.arange(count)
        y = cat(hidden)[back] if hidden else a[:, :H]
        return y.reshape(*x.shape[:-1], H), *last

    return composite


def _through_hidden(self, h, rows=slice(None)):
    """W_hh h + b_hh, or some rows of it."""
    a = h @ self.w_hh[rows].T
    return a if self.b_hh is None else a + self.b_hh[rows]


def rnn(self, a, h):
    a = a + _through_hidden(self, h)
    return [a.relu() if self.relu else a.tanh()]


def lstm(self, a, h, c):
    i, f, g, o = (a + _through_hidden(self, h)).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return [o.sigmoid() * c.tanh(), c]


def gru(self, a, h):
    H = self.w_hh.shape[1]
    (r, z), n = (a[:, : 2 * H] + _through_hidden(self, h, slice(2 * H))).sigmoid().chunk(2, 1), a[:, 2 * H :]
    if self.reset_after:
        n = (n + r * _through_hidden(self, h, slice(2 * H, None))).tanh()
    else:
        n = (n + _through_hidden(self, r * h, slice(2 * H, None))).tanh()
    return [(1 - z) * n + z * h]


# --- CTC


def ctc(self):
    """−ln of the sum over all alignments, place by place through the labels with blanks between them (see kernels/ctc.py)."""
    (targets, lengths, sizes, blank), x = self.lists, self.x
    if self.impossible.any():
        out = self.impossible[:, None]
        x = apply(ops.Where(out), 0.0, x) if self.zero_infinity else x * np.where(out, math.nan, 1.0).astype(x.dtype)
    T, N, _ = x.shape
    places = 2 * targets.shape[1] + 1
    labels = np.full((N, places), blank)
    labels[:, 1::2] = targets
    labels[np.arange(places) > 2 * sizes[:, None]] = blank  # the padding behind a target is never read
    before = np.pad(labels, ((0, 0), (2, 0)), constant_values=blank)[:, :places]
    skips = (labels != blank) & (labels != before)
    p = x[:, np.arange(N)[:, None], labels]  # (T, N, places)
    nothing = wrap(np.full((N, places), -math.inf, x.dtype))
    a = apply(ops.Where(np.arange(places) < 2), p[0], nothing) if T else nothing
    for t in range(1, T):
        one = cat([nothing[:, :1], a[:, :-1]], 1)
        two = cat([nothing[:, :2], a[:, :-2]], 1) if places > 2 else nothing
        ways = apply(ops.Stack(0), a, one, apply(ops.Where(skips), two, nothing))
        a = apply(ops.Where((t < lengths)[:, None]), ways.logsumexp(0) + p[t], a)
    ends = np.arange(places) - 2 * sizes[:, None]
    whole = apply(ops.Where((ends == 0) | (ends == -1)), a, nothing).logsumexp(1)
    whole = apply(ops.Where(lengths == 0), wrap(np.where(sizes == 0, 0.0, -math.inf).astype(x.dtype)), whole)
    return -whole


COMPOSITES = {
    ops.ScaledDotProductAttention: attention,
    ops.RNN: recurrent(rnn),
    ops.LSTM: recurrent(lstm),
    ops.GRU: recurrent(gru),
    ops.CTC: ctc,
}
