"""Matrix products: C[i, j] = Σ_k A[i, k] · B[k, j], the loops around the micro-kernel of `tile`.

- B must have contiguous rows. If it has, and is small, it is read in place; else up to DEPTH rows of it at a time are
  packed into panels as wide as a tile, whose numbers lie in the order in which they are used.
- The loops keep one panel of B in the L1 cache while BLOCK_ROWS rows of A, which stay in the L2 cache, pass by.
- A is read in place if few columns make use of it, else copied a block at a time: as it is if its rows are contiguous,
  in panels of ROWS columns of its transpose if its columns are.
- The sum over k runs in the same blocks and order for every element, in whichever tile and thread it falls, so the
  bits of a result do not depend on the number of threads.

Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), explains the blocking.
"""

import math
from functools import lru_cache

import numpy as np
from numba import types

from .arrays import empty_array, zero_array
from .copies import assign, reshape
from .elementwise import plain
from .jit import CodeByDtype, call, dense, jit, strided
from .memory import empty
from .shares import SharedCode
from .sums import NARROW, SHARED_SIZE, add_columns, sum_over, total
from .threads import run
from .tile import MASKS, ROWS, VECTOR_BYTES, VECTORS, contiguous, copy_rows, copy_wide, moved, tile, transpose_columns
from .vector_products import as_dense, inner_product, times_vector

# k is cut in blocks of at most this many: a panel of B (20 KiB; AVX-512: 36 KiB) stays in the L1 cache.
DEPTH = 192 if VECTOR_BYTES == 64 else 320
CHAIN = 192  # products that are added up in registers, at most, before their sum is added to C: short sums err less
LONG_SUM, SEGMENT = 4096, 1024  # from the one length on, segments of about the other are summed apart, and these in float64
SEGMENTS_BYTES = 16 << 20  # unless they take more memory
BLOCK_ROWS = 96  # rows of A that stay in the L2 cache (120 KiB of float32) while the panels of B pass by
BLOCK_COLUMNS = 1536  # columns of B packed at once
IN_PLACE_BYTES = 40 * 1024  # a B no larger than this is read in place
IN_PLACE_ROWS = 2 * ROWS  # as is one that no more than these rows of A make use of
COPY_ROWS, COPY_PANELS = 400, 128  # columns of C from which a copy of a block of A pays: as rows, in panels
GROUP = 8  # panels packed side by side, so that whole cache lines of the source are used
PACKING = 32  # rows of A that are multiplied with a column of B in the time in which it is packed, about
PARALLEL_WORK = 600_000  # multiply-adds from which a second thread pays

# ------------------------------------------------------------------------------------------------------- the loops


@jit
def pack(b, k0, depth, j0, columns, width, panels):
    """Rows k0… and columns j0… of b, panel by panel of `width` columns, each panel `depth` rows of `panels`."""
    itemsize = b.itemsize
    lanes = VECTOR_BYTES // itemsize
    whole = columns // width if b.strides[1] == itemsize and (width == VECTORS * lanes or width == ROWS) else 0
    for p0 in range(0, whole, GROUP):
        for k in range(depth):
            for p in range(p0, min(p0 + GROUP, whole)):
                if width == ROWS:
                    copy_rows(b, k0 + k, j0 + p * width, panels, p * depth + k)
                else:
                    copy_wide(b, k0 + k, j0 + p * width, panels, p * depth + k)
    for p in range(whole, (columns + width - 1) // width):
        row, j, n = p * depth, j0 + p * width, min(width, columns - p * width)
        if b.strides[1] == itemsize:
            for k in range(depth):
                source, target = contiguous(b, k0 + k, j, n), contiguous(panels, row + k, 0, n)
                for q in range(n):
                    target[q] = source[q]
        elif b.strides[0] == itemsize and depth >= lanes and width >= lanes:
            for k in range(0, depth, lanes):
                for q in range(0, n, lanes):  # the last block is moved back, over the one before it
                    k1, q1 = min(k, depth - lanes), min(q, width - lanes)
                    transpose_columns(b, k0 + k1, j + q1, panels, row + k1, q1, n - q1)
        else:
            for k in range(depth):
                for q in range(n):
                    panels[row + k, q] = b[k0 + k, j + q]


@jit
def cut(m, n, height, width, packing, part, parts):
    """Rows and columns (i0, i1, j0, j1) of one of `parts` shares of m × n numbers, made of whole tiles, height × width.

    They are cut in the way in which the largest share takes least time. A column costs the rows of the share, and as much
    again as `packing` rows: shares one below the other would each pack the same columns of B.
    """
    tiles_down, tiles_across = (m + height - 1) // height, (n + width - 1) // width
    across, least = 0, 0
    for columns in range(1, parts + 1):
        rows = parts // columns
        most = min((tiles_down + rows - 1) // rows * height, m) + packing
        most *= min((tiles_across + columns - 1) // columns * width, n)
        if parts % columns == 0 and (most <= least or not across):
            across, least = columns, most
    down = parts // across
    row, column = part // across, part % across
    i0, i1 = tiles_down * row // down * height, tiles_down * (row + 1) // down * height
    j0, j1 = tiles_across * column // across * width, tiles_across * (column + 1) // across * width
    return min(i0, m), min(i1, m), min(j0, n), min(j1, n)


@jit
def product(a, b, bias, c, offsets, part, parts):
    """One share of c = a @ b + bias for a batch: item s of a and of b lies offsets[s] bytes behind the first."""
    m, k_all, n, items, itemsize = a.shape[0], a.shape[1], b.shape[1], offsets.shape[0], a.itemsize
    lanes = VECTOR_BYTES // itemsize
    width = VECTORS * lanes
    blocks = (k_all + DEPTH - 1) // DEPTH
    depth = (k_all + blocks - 1) // blocks
    first, last, i0, i1, j0, j1 = 0, items, 0, m, 0, n
    if parts > 1 and items >= parts:
        first, last = items * part // parts, items * (part + 1) // parts
    elif parts > 1:
        i0, i1, j0, j1 = cut(m, n, ROWS, width, PACKING, part, parts)
        if i0 >= i1 or j0 >= j1:
            return  # fewer tiles than shares
    bias_mode = 2 if bias.size else 0
    # In place: a B that fits the L1 cache, or of which so few rows of A make use that packing would not pay.
    packs = (
        not (b.strides[1] == itemsize or n == 1)
        or not (MASKS or n % lanes == 0)
        or (k_all * n * itemsize > IN_PLACE_BYTES and m > IN_PLACE_ROWS)
    )
    columns = min(BLOCK_COLUMNS // width, (j1 - j0 + width - 1) // width) * width if packs else n
    panels = c[:0]  # no memory, for now
    if packs:
        shape = columns // width * depth, width
        panels = empty_array(shape, c.dtype) if MASKS else zero_array(shape, c.dtype)
    # A is copied block by block where enough columns make use of it: rows far apart evict each other from the caches.
    along = a.strides[1] <= a.strides[0]
    copies = packs and j1 - j0 >= (COPY_ROWS if along else COPY_PANELS)
    block = c[:0]
    if copies:
        block = empty_array((BLOCK_ROWS, depth) if along else (BLOCK_ROWS // ROWS * depth, ROWS), c.dtype)
    for s in range(first, last):
        a_s, b_s = moved(a, offsets[s, 0]), moved(b, offsets[s, 1])
        for j in range(j0, j1, columns):
            jn = min(columns, j1 - j)
            for k in range(0, k_all, depth):
                kn, adds = min(depth, k_all - k), 1 if k else bias_mode
                b_from, kb, jb, panel_rows, panel_columns = b_s, k, j, 0, width
                if packs:
                    pack(b_s, k, kn, j, jn, width, panels)
                    b_from, kb, jb, panel_rows, panel_columns = moved(panels, 0), 0, 0, kn, 0
                for i in range(i0, i1, BLOCK_ROWS):
                    rows, ic = min(BLOCK_ROWS, i1 - i), s * m + i
                    a_from, ia, ka, tile_rows, tile_steps = a_s, i, k, ROWS, 0
                    if copies and along:
                        pack(a_s, i, rows, k, kn, depth, block)
                        a_from, ia, ka = moved(block, 0), 0, 0
                    elif copies:
                        pack(moved(a_s.T, 0), k, kn, i, rows, block.shape[1], block)
                        a_from, ia, ka, tile_rows, tile_steps = moved(block.T, 0), 0, 0, 0, kn
                    for p in range((jn + width - 1) // width):
                        kp, jp, jc = kb + p * panel_rows, jb + p * panel_columns, j + p * width
                        for q in range(0, kn, CHAIN):
                            kq = min(CHAIN, kn - q)
                            for t in range((rows + ROWS - 1) // ROWS):
                                it, kt, r = ia + t * tile_rows, ka + t * tile_steps + q, t * ROWS
                                rest = rows - r, jn - p * width
                                tile(a_from, it, kt, kq, b_from, kp + q, jp, c, ic + r, jc, bias, 1 if q else adds, *rest)


@jit
def linear_gradients(body, dy, x, w, dx, dw, db, offsets):
    """dx = dy @ w, dw = dyᵀ @ x and db = Σ_n dy[n], where there is room for them; `body` is the address of `product`."""
    none = dy[0, :0]
    if dx.size:
        call(body, moved(dy, 0), w, none, dx, offsets, 0, 1)
    if dw.size:
        call(body, moved(dy.T, 0), x, none, dw, offsets, 0, 1)
    if db.size:
        sums = zero_array(db.size, np.float64)
        add_columns(dy, sums)
        for o in range(db.size):
            db[o] = sums[o]


# --------------------------------------------------------------------------------------------- what callers see


def _product_types(t):
    return strided(t, 2), strided(t, 2), dense(t, 1), dense(t, 2, True), strided(types.int64, 2)


def _gradient_types(t):
    written = dense(t, 2, True), dense(t, 2, True), dense(t, 1, True)
    return types.intp, dense(t, 2), strided(t, 2), strided(t, 2), *written, strided(types.int64, 2)


_product = SharedCode(product, _product_types)
_linear_gradients = CodeByDtype(linear_gradients, _gradient_types, calls=_product)
_ONE_ITEM = np.zeros((1, 2), np.int64)
_NOTHING = {np.dtype(char): np.empty((0, 0), char) for char in "fd"}
_NO_BIAS = {np.dtype(char): np.empty(0, char) for char in "fd"}


def _fill(c, a, b, bias, m, n, k):
    """c[...] = a @ b + bias, for 2-D arrays whose shapes have been checked."""
    work = m * n * k
    if m > 1 and n > 1 and 0 < work < PARALLEL_WORK:
        _product[bias.dtype](a, b, bias, c, _ONE_ITEM, 0, 1)
    elif work == 0:
        assign(c, bias if bias.size else 0)
    elif k >= LONG_SUM and m > 1 and n > 1 and k // SEGMENT * c.nbytes <= SEGMENTS_BYTES:
        _sum_segments(c, a, b, bias, k)
    elif m == 1:
        times_vector(b.T, a[0], bias, c[0])
    elif n == 1:
        times_vector(a, b[:, 0], bias, c.reshape(-1))
    else:
        run(True, _product, c.dtype, a, b, bias, c, _ONE_ITEM)


def _sum_segments(c, a, b, bias, k):
    """As _fill, for a long sum over k: its segments are the items of a batch."""
    (m, n), segment = c.shape, -(-k // -(-k // SEGMENT))  # as even as they can be
    items, none = k // segment, _NO_BIAS[c.dtype]
    parts = empty((-(-k // segment), m, n), c.dtype)
    offsets = np.arange(items)[:, None] * (segment * np.array([a.strides[1], b.strides[0]]))
    run(True, _product, c.dtype, a[:, :segment], b[:segment], none, parts[:items].reshape(-1, n), offsets)
    if items < len(parts):
        run(True, _product, c.dtype, a[:, items * segment :], b[items * segment :], none, parts[items], _ONE_ITEM)
    sums = total(parts, (0,))
    with np.errstate(all="ignore"):  # of infinities and NaNs nobody is warned: they are results
        c[...] = sums + bias if bias.size else sums


def _check(name, *arrays):
    dtype = arrays[0].dtype
    if dtype not in _NO_BIAS or any(x.dtype != dtype for x in arrays[1:]):
        got = ", ".join(str(x.dtype) for x in arrays)
        raise TypeError(f"{name}: expected arrays all of float32 or all of float64, got {got}")


@lru_cache(maxsize=256)
def _offsets(a_shape, a_strides, b_shape, b_strides):
    """Batch shape, and how far (in bytes) each item's two matrices lie behind the first ones."""
    batch = np.broadcast_shapes(a_shape, b_shape)
    offsets = np.zeros((*batch, 2), np.int64)
    for side, shape, strides in ((0, a_shape, a_strides), (1, b_shape, b_strides)):
        for axis, (size, stride) in enumerate(zip(reversed(shape), reversed(strides), strict=True)):
            if size > 1:
                offsets[..., side] += (np.arange(size) * stride).reshape(-1, *[1] * axis)
    return batch, offsets.reshape(-1, 2)


def matmul(a, b):
    """a @ b with NumPy's meaning: matrices in the last two axes, batch axes broadcast, 1-D arrays as row and column.

    Both float32 or both float64 (TypeError otherwise), in any layout. Returns a new C-contiguous array. ValueError if
    the shapes do not fit.
    """
    dtype, a_shape, b_shape = a.dtype, a.shape, b.shape
    none = _NO_BIAS.get(dtype)
    if none is None or b.dtype is not dtype:  # "is" decides nearly always, and quickly
        _check("matmul", a, b)
    if len(a_shape) == 2 and len(b_shape) == 2 and a_shape[1] == b_shape[0]:
        (m, k), n = a_shape, b_shape[1]
        if m > 1 and n > 1 and 0 < m * n * k < PARALLEL_WORK:  # as _fill would, without the call: small ones are common
            c = np.empty((m, n), dtype)
            _product[dtype](a, b, none, c, _ONE_ITEM, 0, 1)
        else:
            c = empty((m, n), dtype)
            _fill(c, a, b, none, m, n, k)
        return c
    if len(a_shape) + len(b_shape) == 3 and a_shape and b_shape and a_shape[-1] == b_shape[0]:
        if len(b_shape) == 1:
            c = np.empty(a_shape[0], dtype)
            times_vector(a, b, none, c)
        else:
            c = np.empty(b_shape[1], dtype)
            times_vector(b.T, a, none, c)
        return c
    if not a_shape or not b_shape or a_shape[-1] != b_shape[-2 if len(b_shape) > 1 else 0]:
        raise ValueError(f"matmul: expected (..., m, k) and (..., k, n), got {a_shape} and {b_shape}")
    if len(a_shape) == 1 and len(b_shape) == 1:
        c = np.empty((), dtype)
        inner_product(a, b, c)
        return c
    if len(a_shape) == 1:
        c = matmul(a[None], b if b.ndim > 1 else b[:, None])
        return c.reshape(c.shape[:-2] + b_shape[1:][-1:])
    if len(b_shape) == 1:
        return matmul(a, b[:, None]).reshape(a_shape[:-1])
    m, n = a_shape[-2], b_shape[-1]
    if len(b_shape) == 2 and a.flags.c_contiguous and a.size and n:  # one tall matrix
        return matmul(a.reshape(-1, a_shape[-1]), b).reshape(*a_shape[:-1], n)
    try:
        batch, offsets = _offsets(a_shape[:-2], a.strides[:-2], b_shape[:-2], b.strides[:-2])
    except ValueError:
        raise ValueError(f"matmul: batch axes cannot be broadcast, got {a_shape} and {b_shape}") from None
    c = empty((*batch, m, n), dtype)
    if c.size == 0 or a_shape[-1] == 0:
        assign(c, 0)
        return c
    a, b = a[(0,) * (a.ndim - 2)], b[(0,) * (b.ndim - 2)]
    pays = c.size * a.shape[1] >= PARALLEL_WORK
    run(pays, _product, dtype, a, b, none, c.reshape(-1, n), offsets)
    return c


def linear(x, w, b=None):
    """y[..., o] = Σ_i x[..., i] · w[o, i] + b[o] for x (..., in), w (out, in) and b (out,); new and C-contiguous.

    All float32 or all float64 (TypeError otherwise); ValueError if the shapes do not fit.
    """
    dtype, shape = x.dtype, x.shape
    if w.dtype is not dtype or dtype not in _NO_BIAS or (b is not None and b.dtype is not dtype):
        _check("linear", *((x, w) if b is None else (x, w, b)))
    if not shape or w.ndim != 2 or shape[-1] != w.shape[1] or (b is not None and b.shape != (w.shape[0],)):
        got = f"{shape} and {w.shape}" + (f" and {b.shape}" if b is not None else "")
        raise ValueError(f"linear: expected x (..., in), w (out, in) and b (out,), got {got}")
    n, k = w.shape
    bias = _NO_BIAS[dtype] if b is None else as_dense(b)
    if len(shape) == 2:
        m = shape[0]
        if m > 1 and n > 1 and 0 < m * n * k < PARALLEL_WORK:  # as _fill would, without the call: small ones are common
            y = np.empty((m, n), dtype)
            _product[dtype](x, w.T, bias, y, _ONE_ITEM, 0, 1)
        else:
            y = empty((m, n), dtype)
            _fill(y, x, w.T, bias, m, n, k)
        return y
    y = empty((*shape[:-1], n), dtype)
    if y.size:
        m = y.size // n
        _fill(y.reshape(m, n), reshape(x, (m, k)), w.T, bias, m, n, k)
    return y


def linear_backward(dy, x, w, needs=(True, True, True)):
    """(dx, dw, db) of `linear` from dy (..., out), x (..., in) and w (out, in); None for what is not needed.

    dx = dy @ w, dw = Σ dyᵀ @ x, db = Σ dy over the leading axes. Only dx needs w, and only dw needs x.
    """
    need_x, need_w, need_b = needs if len(needs) == 3 else (*needs, False)
    shape, dtype = dy.shape, dy.dtype
    if len(shape) != 2:
        m = math.prod(shape[:-1])
        rows = reshape(x, (m, x.shape[-1])) if need_w else None
        dx, dw, db = linear_backward(reshape(dy, (m, shape[-1])), rows, w, needs)
        return dx.reshape(*shape[:-1], dx.shape[1]) if need_x else None, dw, db
    m, n = shape
    k = w.shape[1] if need_x else x.shape[1] if need_w else 0
    if (need_x and w.shape != (n, k)) or (need_w and x.shape != (m, k)):
        got = " and ".join(str(None if a is None else a.shape) for a in (dy, x, w))
        raise ValueError(f"linear_backward: expected dy (..., out), x (..., in) and w (out, in), got {got}")
    if m > 1 and n > 1 and k > 1 and m * n * k < PARALLEL_WORK:  # one call for all three
        if dtype not in _NO_BIAS or (need_x and w.dtype is not dtype) or (need_w and x.dtype is not dtype):
            _check("linear_backward", *(a for a in (dy, x, w) if a is not None))
        dx = dw = nothing = _NOTHING[dtype]
        if need_x:
            dx = np.empty((m, k), dtype)
        if need_w:
            dw = np.empty((n, k), dtype)
        db = np.empty(n, dtype) if need_b else _NO_BIAS[dtype]
        _linear_gradients[dtype](plain(dy), x if need_w else nothing, w if need_x else nothing, dx, dw, db, _ONE_ITEM)
        return dx if need_x else None, dw if need_w else None, db if need_b else None
    dx, dw, db = matmul(dy, w) if need_x else None, matmul(dy.T, x) if need_w else None, None
    # A small sum comes from a kernel that there is already; it adds in the order of `sum_over`.
    if need_b and dtype in _NO_BIAS and 8 <= m < 2 * NARROW and 0 < dy.size < SHARED_SIZE and dy.flags.carray:
        db, nothing = np.empty(n, dtype), _NOTHING[dtype]
        _linear_gradients[dtype](dy, nothing, nothing, nothing, nothing, db, _ONE_ITEM)
    elif need_b:
        db = sum_over(dy, (0,))
    return dx, dw, db
