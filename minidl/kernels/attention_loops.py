"""Scaled dot-product attention in one pass: softmax(q·kᵀ·scale + mask)·v, of which no queries × keys array is stored.

Everything is computed transposed, with queries in the columns. For a panel of WIDTH queries and a block of keys:

    Sᵀ = K·Qᵀ          rows of K are read in place; Qᵀ is a packed panel, E × WIDTH, times scale/ln 2
    Pᵀ = 2^(Sᵀ − m)    maxima and sums run down the columns (`attention_columns`)
    Oᵀ += Vᵀ·Pᵀ        columns of V are read in place; Pᵀ already lies as the micro-kernel wants its right operand

so neither K nor V is packed. Where a block has a greater maximum m, what was summed before is scaled down. Beside O, one number
per query is kept, lse = m + log₂ Σ 2^(S − m). Backward makes Pᵀ again, block by block:

    dPᵀ = V·dOᵀ    dSᵀ = scale·Pᵀ·(dPᵀ − D), D = Σ_e dO·O    dQᵀ = Kᵀ·dSᵀ    dV = Pᵀ·dO    dK = dSᵀ·Q

The micro-kernel begins with what is there and adds products in the order of k, so the bits of dQ, dK and dV depend neither on
the blocks nor on who computes them: one pass for each item (batch entry and head), or one pass for dQ, shared by queries, and
one for dK and dV, shared by keys. Those of O depend on KEYS, a constant.

Dao et al., "FlashAttention" (2022), is where this order of computing comes from. `fused_attention` calls these loops.
"""

import math

import numpy as np
from numba import types

from . import vmath
from .arrays import empty_array, zero_array
from .attention_columns import (
    column_exponentials,
    column_gradients,
    column_maxima,
    dropped_exponentials,
    dropped_gradients,
    scrambled,
)
from .gemm import pack
from .jit import dense, jit, strided
from .shares import SharedCode
from .tile import ROWS, VECTOR_BYTES, VECTORS, contiguous, moved, moved_target, tile, transpose_block

KEYS = 256  # in a block of forward, each of which is summed up on its own: one long sum loses more to rounding
BACK_KEYS, BACK_PANELS = 96, 4  # in a block of backward: Sᵀ and dPᵀ, 72 KiB each in single precision, stay in the L2 cache
LOG2E = 1 / math.log(2)


@jit
def times_panel(a, a0, rows, depth, panel, p0, out, j, n):
    """out[:rows, j : j + n] = a[a0 : a0 + rows, :depth] @ panel[p0 : p0 + depth, :n]"""
    nothing = out[0, :0]
    for r in range(0, rows, ROWS):
        tile(a, a0 + r, 0, depth, panel, p0, 0, out, r, j, nothing, 0, rows - r, n)


@jit
def put_transposed(source, s0, n, E, target, t0):
    """target[t0 + c, e] = source[s0 + e, c] for c < n, e < E"""
    lanes = VECTOR_BYTES // source.itemsize
    if n >= lanes and lanes <= E:
        for c in range(0, n, lanes):
            for e in range(0, E, lanes):  # the last block is moved back, over the one before it
                c1, e1 = min(c, n - lanes), min(e, E - lanes)
                transpose_block(source.T, c1, s0 + e1, target, t0 + c1, e1)
    else:
        for c in range(n):
            for e in range(E):
                target[t0 + c, e] = source[s0 + e, c]


@jit
def hide(s, j, rows, n, mask, bias, kind, causal, k0, q0):
    """Masks the scores s[r, j + c] of key k0 + r and query q0 + c: −inf where they may not meet, else plus the bias."""
    lowest, unit = s.dtype.type(-np.inf), s.dtype.type(LOG2E)
    for r in range(rows if mask.size else 0):
        row = contiguous(s, r, j, n)
        if mask.shape[2] == 1:
            if not mask[kind, k0 + r, 0]:
                row[:] = lowest
        else:
            allowed = mask[kind, k0 + r, q0 : q0 + n]
            for c in range(n):
                row[c] = vmath.select(allowed[c] != 0, row[c], lowest)
    for r in range(rows if bias.size else 0):
        row, more = contiguous(s, r, j, n), bias[kind, k0 + r, q0 : q0 + n]
        for c in range(n):
            row[c] = vmath.select(more[c] == lowest, lowest, row[c] + more[c] * unit)
    if causal:
        for r in range(max(0, q0 + 1 - k0), rows):
            for c in range(min(n, k0 + r - q0)):
                s[r, j + c] = lowest


@jit
def forward(q, k, v, offsets, mask, bias, kinds, causal, scale, seed, drop, o, lse, part, parts):
    """One share of o and lse (items, Tq): some of the panels of queries of all items.

    q (Tq, E), k (Tk, E), v (Tk, Ev) and o (Tq, Ev) are the first item's; those of item i lie offsets[i] bytes behind. Item i
    has number kinds[i] of mask (0: hidden) and bias, each (kinds, Tk, Tq), mask also (kinds, Tk, 1), or of size 0. drop is
    dropout's probability, and seed[0] chooses what it drops.
    """
    (Tq, E), (Tk, Ev), items, T = q.shape, v.shape, offsets.shape[0], lse.dtype.type
    width = VECTORS * (VECTOR_BYTES // lse.itemsize)
    lanes, panels = width // VECTORS, (Tq + width - 1) // width
    factor, more, limit = T(scale * LOG2E), T(1 / (1 - drop)), int(drop * 2**32)
    qt, st = zero_array((E, width), lse.dtype), empty_array((min(KEYS, Tk), width), lse.dtype)
    ot, some = zero_array((Ev, width), lse.dtype), zero_array((Ev, width), lse.dtype)
    m, shift, sums, totals = zero_array(width, T), zero_array(width, T), zero_array(width, T), zero_array(width, T)
    shrink, nothing = zero_array(width, T), lse[0, :0]
    for unit in range(part, items * panels, parts):  # in turns: causal panels differ in work
        item, q0 = unit // panels, unit % panels * width
        k_, vT, o_ = moved(k, offsets[item, 1]), moved(v.T, offsets[item, 2]), moved_target(o, offsets[item, 3])
        n = min(width, Tq - q0)
        whole = (n + lanes - 1) // lanes * lanes
        pack(moved(q.T, offsets[item, 0]), 0, E, q0, n, width, qt)
        for e in range(E):
            for c in range(whole):
                qt[e, c] *= factor
        for c in range(whole):
            m[c], shift[c], totals[c] = -np.inf, 0, 0
        last = min(Tk, q0 + n) if causal else Tk
        for b in range(0, last, KEYS):
            keys = min(KEYS, last - b)
            times_panel(k_, b, keys, E, qt, 0, st, 0, n)
            hide(st, 0, keys, n, mask, bias, kinds[item], causal, b, q0)
            column_maxima(st, 0, keys, n, m, 0)
            for c in range(whole):
                new = vmath.select(m[c] == -np.inf, T(0), m[c])
                # Above 0 only where all keys so far were hidden: then what it is a factor of is 0.
                shrink[c] = vmath.exp(vmath.select(shift[c] > new, T(0), shift[c] - new) * T(1 / LOG2E))
                shift[c], sums[c] = new, 0
            if limit:
                counter, this = q0 * Tk + b, scrambled(seed[0], item)
                dropped_exponentials(st, 0, keys, n, shift, sums, 0, counter, Tk, this, limit)
            else:
                column_exponentials(st, 0, keys, n, shift, sums, 0, 0, 0, 0, 0)
            for e in range(0, Ev, ROWS):
                tile(vT, e, b, keys, st, 0, 0, some if b else ot, e, 0, nothing, 0, Ev - e, n)
            for c in range(whole):
                totals[c] = totals[c] * shrink[c] + sums[c]
            if b:
                for e in range(Ev):
                    for c in range(whole):
                        ot[e, c] = ot[e, c] * shrink[c] + some[e, c]
        for c in range(whole):
            total = vmath.select(totals[c] == 0, T(1), totals[c])
            shift[c] += vmath.log2(total)
            totals[c] = more / total
        for c in range(n):
            lse[item, q0 + c] = shift[c]
        for e in range(Ev):
            for c in range(whole):
                ot[e, c] *= totals[c]
        put_transposed(ot, 0, n, Ev, o_, q0)


@jit(fastmath={"reassoc", "contract"})
def inner_products(x, y, i0, n, factor, out):
    """out[i] = factor·Σ_e x[i0 + i, e]·y[i0 + i, e]"""
    for i in range(n):
        a, b, total = contiguous(x, i0 + i, 0, x.shape[1]), contiguous(y, i0 + i, 0, x.shape[1]), out.dtype.type(0)
        for e in range(x.shape[1]):
            total += a[e] * b[e]
        out[i] = total * factor


@jit
def backward(
    q, k, v, o, do, lse, offsets, mask, bias, kinds, causal, scale, seed, drop, dq, dk, dv, dbias, by_keys, part, parts
):
    """One share: all gradients of some items; or, of all items, dq of some queries, or dk, dv and dbias of some keys (by_keys).

    As in `forward`; offsets also of do, dq, dk and dv, in this order. What has size 0 (dq; or dk and dv; or dbias) is not
    computed. dbias (kinds, Tk, Tq) is added to. With `parts` > 1 and both dq and dk wanted, shares are of items.
    """
    (Tq, E), (Tk, Ev), items, T = q.shape, v.shape, offsets.shape[0], lse.dtype.type
    width = VECTORS * (VECTOR_BYTES // lse.itemsize)
    wants_q, wants_kv = dq.size > 0, dv.size > 0
    factor, outer, more, limit = T(scale * LOG2E), T(scale), T(1 / (1 - drop)), int(drop * 2**32)
    panels = min(BACK_PANELS, (Tq + width - 1) // width)
    span = panels * width  # queries of a group of panels
    qt, gt, dqt = (zero_array((panels * E, width), T), zero_array((panels * Ev, width), T), zero_array((panels * E, width), T))
    st, dt = zero_array((min(BACK_KEYS, Tk), span), T), zero_array((min(BACK_KEYS, Tk), span), T)
    delta, logs, nothing = zero_array(span, T), zero_array(span, T), lse[0, :0]
    first_item, last_item, qa, qz, ka, kz = 0, items, 0, Tq, 0, Tk
    if wants_q and (wants_kv or dbias.size):
        first_item, last_item = items * part // parts, items * (part + 1) // parts
    elif by_keys:  # whole tiles of keys
        tiles = (Tk + ROWS - 1) // ROWS
        ka, kz = tiles * part // parts * ROWS, min(Tk, tiles * (part + 1) // parts * ROWS)
    else:
        tiles = (Tq + width - 1) // width
        qa, qz = tiles * part // parts * width, min(Tq, tiles * (part + 1) // parts * width)
    for item in range(first_item, last_item):
        q_, k_, v_ = moved(q, offsets[item, 0]), moved(k, offsets[item, 1]), moved(v, offsets[item, 2])
        o_, do_ = moved(o, offsets[item, 3]), moved(do, offsets[item, 4])
        dq_, kind = moved_target(dq, offsets[item, 5]), kinds[item]
        dk_, dv_ = moved_target(dk, offsets[item, 6]), moved_target(dv, offsets[item, 7])
        kT = moved(k.T, offsets[item, 1])
        if wants_kv:
            for r in range(ka, kz):
                dk_[r], dv_[r] = 0, 0
        first = max(0, ka // span * span) if causal and by_keys else qa  # queries before it see none of these keys
        for q0 in range(first, qz, span):
            n = min(span, qz - q0)
            pack(moved(q.T, offsets[item, 0]), 0, E, q0, n, width, qt)
            pack(moved(do.T, offsets[item, 4]), 0, Ev, q0, n, width, gt)
            for e in range(qt.shape[0]):
                for c in range(width):
                    qt[e, c] *= factor
            inner_products(do_, o_, q0, n, outer, delta)
            for c in range(n):
                logs[c] = lse[item, q0 + c]
            for b in range(ka, min(kz, q0 + n) if causal else kz, BACK_KEYS):
                keys = min(BACK_KEYS, (min(kz, q0 + n) if causal else kz) - b)
                for p in range((n + width - 1) // width):
                    j, w = p * width, min(width, n - p * width)
                    these = min(keys, (q0 + j + w - b + ROWS - 1) // ROWS * ROWS) if causal else keys  # whole tiles
                    if these <= 0:
                        continue
                    times_panel(k_, b, these, E, qt, p * E, st, j, w)
                    times_panel(v_, b, these, Ev, gt, p * Ev, dt, j, w)
                    hide(st, j, these, w, mask, bias, kind, causal, b, q0 + j)
                    if limit:
                        counter, this = (q0 + j) * Tk + b, scrambled(seed[0], item)
                        dropped_gradients(st, dt, j, these, w, logs, delta, j, outer, more, counter, Tk, this, limit)
                    else:
                        column_gradients(st, dt, j, these, w, logs, delta, j, outer, more, 0, 0, 0, 0)
                    if dbias.size:
                        for r in range(these):
                            for c in range(w):
                                dbias[kind, b + r, q0 + j + c] += dt[r, j + c] / outer
                    if wants_q:
                        for e in range(0, E, ROWS):
                            tile(kT, e, b, these, dt, 0, j, dqt, p * E + e, 0, nothing, 1 if b > ka else 0, E - e, w)
                if wants_kv:
                    for r in range(0, keys, ROWS):
                        begin = max(0, b + r - q0) if causal else 0  # the first query of the group that sees one of these keys
                        for e in range(0, Ev, width):
                            tile(st, r, begin, n - begin, do_, q0 + begin, e, dv_, b + r, e, nothing, 1, keys - r, Ev - e)
                        for e in range(0, E, width):
                            tile(dt, r, begin, n - begin, q_, q0 + begin, e, dk_, b + r, e, nothing, 1, keys - r, E - e)
            if wants_q:
                for p in range((n + width - 1) // width):
                    put_transposed(dqt, p * E, min(width, n - p * width), E, dq_, q0 + p * width)


def _forward_types(t):
    options = types.boolean, types.float64, dense(types.int64, 1), types.float64
    masks = dense(types.uint8, 3), dense(t, 3), dense(types.int64, 1)
    return *[strided(t, 2)] * 3, strided(types.int64, 2), *masks, *options, strided(t, 2, True), dense(t, 2, True)


def _backward_types(t):
    options = types.boolean, types.float64, dense(types.int64, 1), types.float64
    masks = dense(types.uint8, 3), dense(t, 3), dense(types.int64, 1)
    outs = *[strided(t, 2, True)] * 3, dense(t, 3, True), types.boolean
    return *[strided(t, 2)] * 5, dense(t, 2), strided(types.int64, 2), *masks, *options, *outs


forward_kernel, backward_kernel = SharedCode(forward, _forward_types), SharedCode(backward, _backward_types)
