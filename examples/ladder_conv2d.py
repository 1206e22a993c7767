"""From seven loops to the convolution of the library, one step at a time, each measured.

y[n, o, i, j] = Σ x[n, c, i + a, j + b] w[o, c, a, b] has seven indices, and so seven loops. What helps is the same as with
matrices (ladder_matmul.py), but each number of the image is needed at nine places:

1. seven loops, as in the definition, the sum innermost;
2. another order: the innermost loop walks along a row of the image, so the compiler can use vectors;
3. registers: the nine taps of one channel at once, so that a row of the result is read and written once, not nine times;
4. the image as one long row: 28 numbers fill vectors badly, 838 well; what falls on the border is left out at the end;
5. a matrix product: the image is copied nine times over (im2col), and NumPy multiplies;
6. minidl on one thread: a matrix product without that copy; the images are transposed, so that a pixel of 16 of them is a
   vector, which is read where it lies (of fewer images a piece of the copy is made at a time, in the cache);
7. minidl on two threads.

The limit is what a core does when the numbers never leave its registers. Target: each step gives the same numbers, and the
library on one thread is at least 20 times as fast as the seven loops, and faster than the product of the copied image.
"""

import sys

import numba
import numpy as np
from _ladder import Step, limit, measure, options, picture, report

from minidl import kernels

TIMES_THE_FIRST = 20
CHANNELS, SIZE, K = 32, 28, 3


@numba.njit
def seven_loops(x, w, y):
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    total = np.float32(0)
                    for c in range(x.shape[1]):
                        for a in range(K):
                            for b in range(K):
                                total += x[n, c, i + a, j + b] * w[o, c, a, b]
                    y[n, o, i, j] = total


@numba.njit(fastmath={"contract"})
def along_rows(x, w, y):
    y[:] = 0
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            for c in range(x.shape[1]):
                for i in range(y.shape[2]):
                    row = y[n, o, i]
                    for a in range(K):
                        for b in range(K):
                            tap, part = w[o, c, a, b], x[n, c, i + a, b:]
                            for j in range(row.size):
                                row[j] += tap * part[j]


@numba.njit(fastmath={"contract"})
def nine_taps(x, w, y):
    y[:] = 0
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            for c in range(x.shape[1]):
                s, t, u = w[o, c, 0], w[o, c, 1], w[o, c, 2]
                s0, s1, s2, t0, t1, t2, u0, u1, u2 = s[0], s[1], s[2], t[0], t[1], t[2], u[0], u[1], u[2]
                for i in range(y.shape[2]):
                    row, p, q, r = y[n, o, i], x[n, c, i], x[n, c, i + 1], x[n, c, i + 2]
                    for j in range(row.size):
                        above = s0 * p[j] + s1 * p[j + 1] + s2 * p[j + 2]
                        here = t0 * q[j] + t1 * q[j + 1] + t2 * q[j + 2]
                        row[j] += above + here + (u0 * r[j] + u1 * r[j + 1] + u2 * r[j + 2])


@numba.njit(fastmath={"contract"})
def one_long_row(x, w, y):
    size, pitch = y.shape[2], x.shape[3]
    row = np.empty(size * pitch - (K - 1), x.dtype)
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            row[:] = 0
            for c in range(x.shape[1]):
                s, t, u = w[o, c, 0], w[o, c, 1], w[o, c, 2]
                s0, s1, s2, t0, t1, t2, u0, u1, u2 = s[0], s[1], s[2], t[0], t[1], t[2], u[0], u[1], u[2]
                p = x[n, c].reshape(-1)
                q, r = p[pitch:], p[2 * pitch :]
                for j in range(row.size):
                    above = s0 * p[j] + s1 * p[j + 1] + s2 * p[j + 2]
                    here = t0 * q[j] + t1 * q[j + 1] + t2 * q[j + 2]
                    row[j] += above + here + (u0 * r[j] + u1 * r[j + 1] + u2 * r[j + 2])
            for i in range(size):
                y[n, o, i] = row[i * pitch : i * pitch + size]


def matrix_product(x, w, y):
    (N, C), (O, size) = x.shape[:2], y.shape[1:3]
    windows = np.lib.stride_tricks.sliding_window_view(x, (K, K), (2, 3))  # (N, C, size, size, K, K)
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(N, C * K * K, size * size)  # the copy
    np.matmul(w.reshape(O, -1), columns, out=y.reshape(N, O, -1))


LIBRARY = """for each batch, as many images as a vector has lanes:
    transpose it: a pixel of all its images is a vector
    for each 3 pixels, for each 8 channels of the result:
        the tile of matmul, with vectors read where they lie
# minidl/kernels/conv.py says how, conv_batches.py has the loops"""


def main():
    given = options(__doc__, batch=(16, "images"))
    batch = 1 if given.quick else given.batch
    random = np.random.default_rng(given.seed)
    x = random.standard_normal((batch, CHANNELS, SIZE + K - 1, SIZE + K - 1)).astype(np.float32)  # with its border
    w = random.standard_normal((CHANNELS, CHANNELS, K, K)).astype(np.float32)
    y = np.empty((batch, CHANNELS, SIZE, SIZE), np.float32)

    def into_y(function):
        return lambda: (function(x, w, y), y)[1]

    def library():
        return kernels.conv2d(x, w)

    steps = [
        Step("1 seven loops", "as in the definition", into_y(seven_loops), seven_loops),
        Step("2 order", "along rows of the image, so that vectors can be used", into_y(along_rows), along_rows),
        Step("3 nine taps at once", "the result is read and written once for nine", into_y(nine_taps), nine_taps),
        Step("4 one long row", "which fills the vectors better than 28 numbers", into_y(one_long_row), one_long_row),
        Step("5 matrix product", "of the image, copied nine times, in NumPy", into_y(matrix_product), matrix_product),
        Step("6 minidl, one thread", "a matrix product without the copy", library, LIBRARY),
        Step("7 minidl, two threads", "each has its images", library, "run(True, _correlate_batches, …)", 2),
    ]
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (K, K), (2, 3))
    times = measure(steps, np.einsum("ncijab,ocab->noij", windows, w, optimize=True), 0 if given.quick else given.seconds)
    speeds = [2 * y.size * CHANNELS * K * K / time / 1e9 for time in times]
    most = limit(0 if given.quick else given.seconds) / 1e9
    report(steps, speeds, "GFLOP/s")
    print(f"a core's limit, multiply-adds in registers: {most:.0f} GFLOP/s")
    title = f"{batch} images of {CHANNELS} channels, {SIZE} × {SIZE}: a 3 × 3 convolution, from seven loops to the library"
    lines = [("limit of one core", most, "dashed"), ("of two", 2 * most, "dotted")]
    picture(title, steps, speeds, "GFLOP/s", lines, given.out / "ladder_conv2d.png")
    if not given.quick and not (speeds[5] >= TIMES_THE_FIRST * speeds[0] and speeds[5] > speeds[4]):
        sys.exit(
            f"expected minidl on one thread to be {TIMES_THE_FIRST} times as fast as seven loops, and faster than the product "
            f"of the copied image; it is {speeds[5] / speeds[0]:.1f} times and {speeds[5] / speeds[4]:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
