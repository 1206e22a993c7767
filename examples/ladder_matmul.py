"""From three loops to the matrix product of the library, one step at a time, each measured.

C = A B takes n³ multiply-adds, whatever one does. How many of them a processor does in a second depends on how soon the numbers
reach it. Each step mends one cause of waiting:

1. three loops, as in the definition: the innermost one walks down a column of B, and uses one number of each cache line;
2. another order: the innermost loop walks along rows of B and C, so the compiler can use vectors;
3. blocks: a piece of B that fits into the cache is used for all rows of A before the next one is read;
4. packing: the piece is copied, so that its rows lie one after another and a page of memory serves more of them;
5. registers: four rows of C at once make four uses of each number of B that is loaded;
6. minidl on one thread: a tile of C stays in registers while the loop goes along k, in vector code written by hand;
7. minidl on two threads.

Blocks and packing alone gain nothing while the matrices fit into the larger caches, and make the innermost loop shorter. They
are what the fifth step needs: there the numbers must come from the nearest cache, or the registers wait for them.

The limit is what a core does when the numbers never leave its registers. Target: each step gives the same numbers, and the
library on one thread is at least 20 times as fast as the three loops and reaches half of the limit.
"""

import sys

import numba
import numpy as np
from _ladder import Step, limit, measure, options, picture, report

from minidl import kernels
from minidl.kernels.tile import ROWS, VECTOR_BYTES, VECTORS

TIMES_THE_FIRST, OF_THE_LIMIT = 20, 0.5
DEPTH, WIDTH = 64, 128  # rows and columns of a block of B: 32 KiB


@numba.njit
def three_loops(a, b, c):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = np.float32(0)
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            c[i, j] = total


@numba.njit(fastmath={"contract"})
def along_rows(a, b, c):
    for i in range(a.shape[0]):
        c[i] = 0
        for k in range(a.shape[1]):
            x = a[i, k]
            for j in range(b.shape[1]):
                c[i, j] += x * b[k, j]


@numba.njit(fastmath={"contract"})
def blocks(a, b, c):
    c[:] = 0
    for k0 in range(0, a.shape[1], DEPTH):
        for j0 in range(0, b.shape[1], WIDTH):
            for i in range(a.shape[0]):
                row = c[i, j0 : j0 + WIDTH]
                for k in range(k0, k0 + DEPTH):
                    x, part = a[i, k], b[k, j0 : j0 + WIDTH]
                    for j in range(WIDTH):
                        row[j] += x * part[j]


@numba.njit(fastmath={"contract"})
def packing(a, b, c):
    c[:] = 0
    panel = np.empty((DEPTH, WIDTH), b.dtype)
    for k0 in range(0, a.shape[1], DEPTH):
        for j0 in range(0, b.shape[1], WIDTH):
            panel[:] = b[k0 : k0 + DEPTH, j0 : j0 + WIDTH]
            for i in range(a.shape[0]):
                row = c[i, j0 : j0 + WIDTH]
                for k in range(DEPTH):
                    x, part = a[i, k0 + k], panel[k]
                    for j in range(WIDTH):
                        row[j] += x * part[j]


@numba.njit(fastmath={"contract"})
def registers(a, b, c):
    c[:] = 0
    panel = np.empty((DEPTH, WIDTH), b.dtype)
    for k0 in range(0, a.shape[1], DEPTH):
        for j0 in range(0, b.shape[1], WIDTH):
            panel[:] = b[k0 : k0 + DEPTH, j0 : j0 + WIDTH]
            for i in range(0, a.shape[0], 2):  # two rows of C, four of B: eight multiply-adds for six loads
                p, q = c[i, j0 : j0 + WIDTH], c[i + 1, j0 : j0 + WIDTH]
                for k in range(0, DEPTH, 4):
                    s, t, u, v = panel[k], panel[k + 1], panel[k + 2], panel[k + 3]
                    x, y = a[i, k0 + k : k0 + k + 4], a[i + 1, k0 + k : k0 + k + 4]
                    x0, x1, x2, x3, y0, y1, y2, y3 = x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]
                    for j in range(WIDTH):
                        p[j] += x0 * s[j] + x1 * t[j] + x2 * u[j] + x3 * v[j]
                        q[j] += y0 * s[j] + y1 * t[j] + y2 * u[j] + y3 * v[j]


LIBRARY = f"""for each panel of B, {VECTORS * VECTOR_BYTES // 4} packed columns, in the L1 cache:
    for each {ROWS} rows of A:
        {ROWS * VECTORS} vector registers = 0
        for k in …:  # {VECTORS} loads of B, {ROWS} numbers of A,
            {ROWS * VECTORS} multiply-adds of {VECTOR_BYTES // 4} numbers each
        store the tile of C
# minidl/kernels/gemm.py has the loops, tile.py the tile"""


def main():
    given = options(__doc__, n=(768, f"rows and columns, a multiple of {WIDTH}"))
    n = WIDTH if given.quick else given.n
    if n % WIDTH:
        sys.exit(f"expected --n to be a multiple of {WIDTH}, got {n}")
    random = np.random.default_rng(given.seed)
    a, b = (random.standard_normal((n, n)).astype(np.float32) for _ in range(2))
    c = np.empty_like(a)

    def into_c(function):
        return lambda: (function(a, b, c), c)[1]

    steps = [
        Step("1 three loops", "as in the definition", into_c(three_loops), three_loops),
        Step("2 order", "along rows, so that vectors can be used", into_c(along_rows), along_rows),
        Step("3 blocks", "of B that stay in the cache", into_c(blocks), blocks),
        Step("4 packing", "the block lies in one piece", into_c(packing), packing),
        Step("5 registers", "each number that is loaded is used more often", into_c(registers), registers),
        Step("6 minidl, one thread", "a tile of C never leaves the registers", lambda: kernels.matmul(a, b), LIBRARY),
        Step("7 minidl, two threads", "each has its part of C", lambda: kernels.matmul(a, b), "run(True, _product, …)", 2),
        Step("NumPy", "its OpenBLAS, with the threads it takes", lambda: a @ b, "a @ b"),
    ]
    times = measure(steps, a.astype(np.float64) @ b, 0 if given.quick else given.seconds)
    speeds = [2 * n**3 / time / 1e9 for time in times]
    most = limit(0 if given.quick else given.seconds) / 1e9
    report(steps, speeds, "GFLOP/s")
    print(f"a core's limit, multiply-adds in registers: {most:.0f} GFLOP/s")
    title = f"The product of two {n} × {n} matrices of float32, from three loops to the library"
    lines = [("limit of one core", most, "dashed"), ("of two", 2 * most, "dotted")]
    picture(title, steps, speeds, "GFLOP/s", lines, given.out / "ladder_matmul.png")
    one = speeds[5]
    if not given.quick and not (one >= TIMES_THE_FIRST * speeds[0] and one >= OF_THE_LIMIT * most):
        sys.exit(
            f"expected minidl on one thread to be {TIMES_THE_FIRST} times as fast as three loops and to reach "
            f"{OF_THE_LIMIT:.0%} of the limit; it is {one / speeds[0]:.1f} times as fast and reaches {one / most:.0%}"
        )


if __name__ == "__main__":
    main()
