"""What the time loops of recurrent layers are made of.

- Sequences are lists of rows, step after step: rows starts[t] … starts[t + 1] − 1 are step t, one row for each sequence that is
  still running, longest first. For sequences of one length starts[t] = N·t; packed sequences are the other case.
- `states` begins with the N rows of the initial state, so that the state after step t follows the one before it.
- A kernel takes a block of sequences through all steps, so that its rows stay in the cache from the product to the gates; a
  thread takes some of the blocks. Sequences never meet, so the bits depend neither on the blocks nor on the threads.
- Each weight is packed once per call, not once per step.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .gemm import pack
from .jit import jit
from .tile import ROWS, VECTOR_BYTES, VECTORS, contiguous, tile
from .vmath import by_dtype, constants, exp_parts, power_of_two, select

DEPTH = 256  # rows of a packed weight between two passes over the result (measured: 128, 192 and 512 are up to 5 % slower)
BLOCK_BYTES = 16 * 1024  # of gates that a block of sequences has at one step, but …
LEAST_ROWS, MOST_ROWS = 4 * ROWS, 96  # … never fewer sequences than make good use of a panel of the weight
PROJECTED = 64  # rows of x projected at once where a step has fewer


@by_dtype
def sigmoid(T):
    """1 / (1 + e⁻ˣ), within 2.5 ulp, for 0.6 of the time of vmath.sigmoid (2 ulp, and right down to subnormals)."""
    limit, one = constants(T, {np.float32: 87, np.float64: 708}[T], 1)

    def formula(x):
        x = select(x < -limit, -limit, x)  # NaN stays
        x = select(x > limit, limit, x)
        q, n = exp_parts(-x)
        p = power_of_two(n)
        return one / (q * p + (p + one))

    return formula


@by_dtype
def tanh(T):
    """(e²ˣ − 1) / (e²ˣ + 1), within 2.5 ulp; e²ˣ − 1 comes without cancellation."""
    limit, one, two = constants(T, {np.float32: 10, np.float64: 20}[T], 1, 2)

    def formula(x):
        x = select(x < -limit, -limit, x)
        x = select(x > limit, limit, x)
        q, n = exp_parts(x + x)
        p = power_of_two(n)
        e = q * p + (p - one)
        return e / (e + two)

    return formula


@intrinsic
def hidden(typing, number):
    """The same number, but LLVM does not know it.

    LLVM guards a vector loop by a check that its arrays do not overlap, and moves the check out of the loop over rows around
    it, where it compares whole matrices: two columns' runs of one matrix then always seem to overlap, and the slow loop runs.
    """

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(args[0].type, [args[0].type])
        return builder.asm(kind, "", "=r,0", [args[0]], False)

    return types.intp(types.intp), codegen


if numba.config.DISABLE_JIT:

    def hidden(number):
        return number


@jit(forceinline=True)
def run_of(a, i, j, n):
    return contiguous(a, hidden(i), j, n)


@jit(forceinline=True)
def rows_together(a, i, rows):
    """Rows of a contiguous matrix as one run: a loop over it has nothing to start anew at each row."""
    first, columns = hidden(i), a.shape[1]
    return a.reshape(-1)[first * columns : (first + rows) * columns]


@jit(forceinline=True)
def depth_of(k_all):
    blocks = (k_all + DEPTH - 1) // DEPTH
    return (k_all + blocks - 1) // blocks


@jit
def packed(b):
    """All of b in panels as wide as a tile; rows 0…depth - 1 of all panels, then the next depth rows."""
    k_all, n = b.shape
    width = VECTORS * (VECTOR_BYTES // b.itemsize)
    count, depth = (n + width - 1) // width, depth_of(k_all)
    panels = np.zeros((k_all * count, width), b.dtype)  # not zero_array, whose memory would end with this function
    for k in range(0, k_all, depth):
        pack(b, k, min(depth, k_all - k), 0, n, width, panels[k * count :])
    return panels  # an array and not `moved`: that would not keep the memory alive


@jit
def times(a, i, rows, ka, k_all, panels, n, c, ic, jc, bias, adds):
    """c[ic + r, jc : jc + n] = Σ_k a[i + r, ka + k] · b[k] for r < rows, k < k_all; + c if adds is 1, + bias[jc:] if 2."""
    width = VECTORS * (VECTOR_BYTES // a.itemsize)
    count, depth = (n + width - 1) // width, depth_of(k_all)
    for k in range(0, k_all, depth):
        kn, more = min(depth, k_all - k), 1 if k else adds
        for p in range(count):
            row, j = k * count + p * kn, p * width
            for r in range(0, rows, ROWS):
                tile(a, i + r, ka + k, kn, panels, row, 0, c, ic + r, jc + j, bias, more, rows - r, n - j)


@jit(forceinline=True)
def share(N, columns, itemsize, part, parts):
    """(first, last, step): this share's sequences, and how many make a block."""
    tiles = (N + ROWS - 1) // ROWS
    rows = min(MOST_ROWS, BLOCK_BYTES // (columns * itemsize)) // ROWS * ROWS
    return tiles * part // parts * ROWS, min(N, tiles * (part + 1) // parts * ROWS), max(LEAST_ROWS, rows)


@jit(forceinline=True)
def rows_of(starts, t, n, step):
    """(at, before, rows): where a block's rows of step t begin in x, where the states before it are, and how many there are."""
    N = starts[1]
    return starts[t] + n, n if t == 0 else N + starts[t - 1] + n, max(0, min(step, starts[t + 1] - starts[t] - n))


@jit(forceinline=True)
def project(x, starts, t, n, at, rows, whole, panels, columns, c, ic, bias):
    """The share of x in step t; of some steps at once where they are short and all in this block."""
    N, T = starts[1], starts.size - 1
    chunk = max(1, PROJECTED // N) if whole else 1
    if t % chunk == 0:
        count = starts[min(T, t + chunk)] - at if chunk > 1 else rows
        times(x, at, count, 0, x.shape[1], panels, columns, c, ic, 0, bias, 2)
