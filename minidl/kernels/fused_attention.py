"""Scaled dot-product attention: what callers see. The loops, and how they go about it, are in `attention_loops`.

What stands at a hidden place does not matter, not even NaN: a query that may not see a key gets nothing from it, forward and
back. The loops multiply by a weight of 0, and 0·NaN is NaN; so where a result with a mask is not finite, it is computed again
with what is not finite replaced by 0, and then made NaN exactly where it was seen (`_seen`). PyTorch's result would be NaN.
"""

import math
from functools import lru_cache

import numpy as np
from numba import types

from .alarms import is_finite
from .attention_loops import backward_kernel, forward_kernel
from .copies import assign, in_order, reshape, zeros
from .elementwise import number, plain
from .jit import CodeByDtype, dense, jit, strided
from .threads import get_num_threads, run
from .tile import MASKS, VECTOR_BYTES

NAME = "scaled_dot_product_attention"
ALL_BUT_MASK = True, True, True, False
PARALLEL_WORK = 300_000  # multiply-adds from which a second thread pays


@lru_cache(maxsize=256)
def _offsets(batch, *strides):
    """How many bytes behind the first item's matrix each item's lies, for arrays with these strides along the batch axes."""
    offsets = np.zeros((*batch, len(strides)), np.int64)
    for s, steps in enumerate(strides):
        for axis, step in enumerate(steps):
            offsets[..., s] += (np.arange(batch[axis]) * step).reshape(-1, *[1] * (len(batch) - 1 - axis))
    return offsets.reshape(-1, len(strides))


def _rows(x):
    """x with contiguous rows."""
    return x if x.strides[-1] == x.itemsize and x.flags.aligned else in_order(x)


def _right_operand(x):
    """x with contiguous rows, which may be read in whole vectors: without masked loads, a little more than the row is read."""
    lanes = VECTOR_BYTES // x.itemsize
    if MASKS or x.shape[-1] % lanes == 0:
        return _rows(x)
    rows = zeros((*x.shape[:-1], x.shape[-1] + lanes), x.dtype)[..., : x.shape[-1]]
    assign(rows, x)
    return rows


def _like(x, shape):
    """A new array whose axes lie in memory in the order of x's: a transposed view of the result needs no copy, either."""
    if 0 in x.strides[:-1] or len(shape) != x.ndim or x.strides[-1] != x.itemsize:
        return np.empty(shape, x.dtype)
    y = np.empty_like(x, shape=shape)
    return y if y.strides[-1] == y.itemsize else np.empty(shape, x.dtype)


@lru_cache(maxsize=64)
def _no_mask(items, dtype):
    return np.zeros((0, 0, 0), np.uint8), np.zeros((0, 0, 0), dtype), np.zeros(items, np.int64)


@lru_cache(maxsize=64)
def _kinds(lead, batch):
    """The number of the mask that each item has, of masks with the axes `lead`."""
    return np.ascontiguousarray(np.broadcast_to(np.arange(math.prod(lead)).reshape(lead), batch).reshape(-1))


@jit
def turn(x, y):
    """y = x"""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for k in range(x.shape[2]):
                y[i, j, k] = x[i, j, k]


_TURN = CodeByDtype(turn, lambda t: (strided(types.boolean, 3), dense(types.uint8, 3, True)))
_TURN_BIAS = CodeByDtype(turn, lambda t: (strided(t, 3), dense(t, 3, True)))


def _masks(mask, batch, Tq, Tk, dtype):
    """A mask (…, Tq or 1, Tk or 1) as the kernels want it: (hidden, bias, number of each item's), the first two transposed."""
    if mask is None:
        return _no_mask(math.prod(batch), dtype)
    hidden, bias, _ = _no_mask(0, dtype)
    lead = mask.shape[:-2]
    columns = mask.shape[-2] if mask.dtype == bool else Tq
    turned = np.broadcast_to(mask, (*lead, columns, Tk)).swapaxes(-1, -2).reshape(-1, Tk, columns)
    if mask.dtype == bool:
        hidden = np.empty(turned.shape, np.uint8)
        _TURN[dtype](turned, hidden)
    else:
        bias = np.empty(turned.shape, dtype)
        _TURN_BIAS[dtype](turned, bias)
    return hidden, bias, _kinds(lead, batch)


def _check(q, k, v, mask, drop):
    """The batch axes of all; errors in the names that users know."""
    dtype, batch = q.dtype, q.shape[:-2]
    if dtype not in (np.float32, np.float64) or k.dtype != dtype or v.dtype != dtype:
        got = f"{dtype}, {k.dtype} and {v.dtype}"
        raise TypeError(f"{NAME}: expected query, key and value all of float32 or all of float64, got {got}")
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        got = f"{q.shape}, {k.shape} and {v.shape}"
        raise ValueError(f"{NAME}: expected query (…, L, E), key (…, S, E) and value (…, S, F), got {got}")
    if k.shape[:-2] != batch or v.shape[:-2] != batch:
        try:
            batch = np.broadcast_shapes(batch, k.shape[:-2], v.shape[:-2])
        except ValueError:
            got = f"{q.shape}, {k.shape} and {v.shape}"
            raise ValueError(f"{NAME}: batch axes of query, key and value do not broadcast, got {got}") from None
    if mask is not None:
        if mask.dtype != bool and mask.dtype != dtype:
            raise TypeError(f"{NAME}: expected an attn_mask of bool or {dtype}, got {mask.dtype}")
        full = (*batch, q.shape[-2], k.shape[-2])
        fits = all(m in (1, n) for m, n in zip(mask.shape[::-1], full[::-1], strict=False))
        if not 2 <= mask.ndim <= len(full) or not fits:
            raise ValueError(f"{NAME}: expected an attn_mask that broadcasts to {full}, got {mask.shape}")
    if not 0 <= drop < 1:
        raise ValueError(f"{NAME}: expected a dropout of at least 0 and below 1, got {drop}")
    return batch


def _seed(seed):
    """The seed where the kernels read it: in a remembered step it is another one in each call."""
    if isinstance(seed, np.ndarray) and seed.size == 1 and seed.dtype == np.int64:
        return plain(seed).reshape(1)
    return _seeds(int(seed))


@lru_cache(maxsize=64)
def _seeds(seed):
    return np.array([seed], np.int64)


def _check_saved(do, q, v, o, lse, batch):
    """What backward is given beside the inputs of forward: a wrong shape would let the kernel read foreign memory."""
    shape, rows = (*batch, q.shape[-2], v.shape[-1]), (math.prod(batch), q.shape[-2])
    for what, x, wanted in (("do", do, shape), ("o", o, shape), ("lse", lse, rows)):
        if x.shape != wanted or x.dtype != q.dtype:
            raise ValueError(f"attention_backward: expected {what} {wanted} of {q.dtype}, got {x.shape} of {x.dtype}")


def _of_batch(x, batch):
    """(the first item's matrix, the strides along the batch axes)"""
    x = np.broadcast_to(x, (*batch, *x.shape[-2:])) if x.shape[:-2] != batch else x
    return x[(0,) * len(batch)], x.strides[:-2]


def _compute(q, k, v, mask, batch, options):
    (Tq, E), (Tk, Ev), items = q.shape[-2:], v.shape[-2:], math.prod(batch)
    o, lse = _like(q, (*batch, Tq, Ev)), np.empty((items, Tq), q.dtype)
    if 0 in (items, Tq, Tk, Ev):
        assign(o, 0)
        assign(lse, 0)
        return o, lse
    firsts, steps = zip(*(_of_batch(x, batch) for x in (_rows(q), _rows(k), _rows(v), o)), strict=True)
    before = *firsts[:3], _offsets(batch, *steps), *_masks(mask, batch, Tq, Tk, q.dtype), *options
    run(items * Tq * Tk * E > PARALLEL_WORK, forward_kernel, q.dtype, *before, firsts[3], lse)
    return o, lse


def _compute_back(do, q, k, v, o, lse, mask, batch, options, needs):
    (Tq, E), (Tk, Ev), items, dtype = q.shape[-2:], v.shape[-2:], math.prod(batch), q.dtype
    wants_q, wants_kv, wants_mask = needs[0], needs[1] or needs[2], needs[3]
    none, nothing = np.zeros((*[1] * len(batch), 0, 0), dtype), np.zeros((0, 0), dtype)
    dq = _like(q, (*batch, Tq, E)) if wants_q else none
    dk, dv = (_like(k, (*batch, Tk, E)), _like(v, (*batch, Tk, Ev))) if wants_kv else (none, none)
    dmask = zeros((math.prod(mask.shape[:-2]), Tk, Tq) if wants_mask else (0, 0, 0), dtype)
    if 0 in (items, Tq, Tk, Ev):
        for x in (dq, dk, dv):
            assign(x, 0)
    else:
        arrays = _right_operand(q), _rows(k), _rows(v), o, _right_operand(do), dq, dk, dv
        firsts, steps = zip(*(_of_batch(x, batch) for x in arrays), strict=True)
        before = *firsts[:5], lse, _offsets(batch, *steps), *_masks(mask, batch, Tq, Tk, dtype), *options
        threads, pays = get_num_threads(), items * Tq * Tk * E > PARALLEL_WORK
        even = not pays or items % threads == 0 or items >= 4 * threads
        if even and not wants_mask and wants_q and wants_kv:  # one pass, shared by items
            run(pays, backward_kernel, dtype, *before, *firsts[5:], dmask, False)
        else:
            if wants_q:
                run(pays, backward_kernel, dtype, *before, firsts[5], nothing, nothing, dmask[:0], False)
            if wants_kv or wants_mask:
                run(pays, backward_kernel, dtype, *before, nothing, *firsts[6:], dmask, True)
    if wants_mask:
        dmask = reshape(dmask.swapaxes(-1, -2), (*mask.shape[:-2], Tq, Tk))
    return dq if wants_q else None, *((dk, dv) if wants_kv else (None, None)), dmask if wants_mask else None


# --- what is not finite, and hidden


def _finite(*arrays):
    seen = [x is None or is_finite(x) for x in arrays]  # all of them in any case: remembered steps make the same calls
    return all(seen)


def _clean(*arrays):
    return [np.where(np.isfinite(x), x, x.dtype.type(0)) for x in arrays]


def _bad(x):
    return ~np.isfinite(x).all(-1)


def _seen(mask, causal, batch, Tq, Tk):
    """Which query sees which key: (*batch, Tq, Tk)."""
    seen = np.tri(Tq, Tk, dtype=bool) if causal else np.ones((Tq, Tk), bool)
    if mask is not None:
        seen = seen & (mask if mask.dtype == bool else mask != -np.inf)
    return np.broadcast_to(seen, (*batch, Tq, Tk))


def _compute_seen(q, k, v, mask, batch, options):
    o, lse = _compute(*_clean(q, k, v), mask, batch, options)
    seen = _seen(mask, options[0], batch, q.shape[-2], k.shape[-2])
    for value, there in ((np.inf, v == np.inf), (-np.inf, v == -np.inf), (np.nan, np.isnan(v))):
        o += np.where(seen.astype(o.dtype) @ there.astype(o.dtype) > 0, o.dtype.type(value), o.dtype.type(0))
    o[(seen & (_bad(q)[..., :, None] | _bad(k)[..., None, :])).any(-1)] = np.nan
    return o, lse


def _compute_back_seen(do, q, k, v, o, lse, mask, batch, options, needs):
    dq, dk, dv, dmask = _compute_back(*_clean(do, q, k, v), o, lse, mask, batch, options, needs)
    seen = _seen(mask, options[0], batch, q.shape[-2], k.shape[-2])
    lost = seen & (_bad(q)[..., :, None] | _bad(k)[..., None, :])  # these scores are not finite
    slopes = lost | (seen & (_bad(do)[..., :, None] | _bad(v)[..., None, :]))  # nor are these weights' gradients
    rows, weights = slopes.any(-1, keepdims=True), (lost.any(-1) | _bad(do))[..., None]
    if dq is not None:
        dq[rows[..., 0]] = np.nan
    if dk is not None:
        dk[(seen & rows).any(-2)] = np.nan
        dv[(seen & weights).any(-2)] = np.nan
    if dmask is not None:
        places = seen & rows
        places = places.any(tuple(range(places.ndim - dmask.ndim)))
        dmask[places.any(tuple(i for i, n in enumerate(dmask.shape[:-2]) if n == 1), keepdims=True)] = np.nan
    return dq, dk, dv, dmask


# --- the two functions


def attention(q, k, v, mask=None, causal=False, scale=1.0, drop=0.0, seed=0):
    """(o, lse): softmax(q·kᵀ·scale + mask)·v for q (…, Tq, E), k (…, Tk, E), v (…, Tk, Ev), whose batch axes broadcast.

    mask: bool, True where a query may see a key, or float, added to the scores; (…, Tq or 1, Tk or 1). causal: no query sees a
    later key. A query that sees nothing gets zeros. Weights are dropped with probability `drop`, chosen by the seed, a number
    or an int64 array that has it. lse (items, Tq) is what `attention_backward` wants.
    """
    batch = _check(q, k, v, mask, drop)
    q, k = (x if x.shape[-1] else np.zeros((*x.shape[:-1], 1), x.dtype) for x in (q, k))  # E = 0: equal scores
    options = bool(causal), number(scale), _seed(seed), number(drop)
    o, lse = _compute(q, k, v, mask, batch, options)
    if (causal or mask is not None) and not _finite(o):
        return _compute_seen(q, k, v, mask, batch, options)
    return o, lse


def attention_backward(do, q, k, v, o, lse, mask=None, causal=False, scale=1.0, drop=0.0, seed=0, needs=ALL_BUT_MASK):
    """(dq, dk, dv, dmask) of `attention`, each with the batch axes of do, or None; needs: which are wanted.

    dk and dv are computed if either is wanted. dmask is of the mask's shape but for its last two axes, which are full.
    """
    batch = _check(q, k, v, mask, drop)
    _check_saved(do, q, v, o, lse, batch)
    lse, E = plain(lse), q.shape[-1]
    q, k = (x if E else np.zeros((*x.shape[:-1], 1), x.dtype) for x in (q, k))
    zero = scale == 0  # the same as queries of 0, but that dmask is found from dS, in which `scale` is a factor
    q, scale = (np.zeros_like(q), 1.0) if zero else (q, scale)
    arguments = do, q, k, v, o, lse, mask, batch, (bool(causal), number(scale), _seed(seed), number(drop)), needs
    dq, dk, dv, dmask = _compute_back(*arguments)
    if (causal or mask is not None) and not _finite(dq, dk, dv, dmask):
        dq, dk, dv, dmask = _compute_back_seen(*arguments)
    if zero and dq is not None:
        dq = dq * 0  # a new array: a step that is remembered does not see what NumPy changes
    return *(x if E or x is None else x[..., :0] for x in (dq, dk)), dv, dmask
