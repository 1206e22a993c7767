"""From three readable loops to the softmax of the library, one step at a time, each measured.

y = exp(x − max) / Σ exp(x − max), for each row of a matrix. Here nearly all time goes to the exponential and to memory:

1. three loops over each row: the largest, the sum of the exponentials, the quotients, each exponential computed twice;
2. once: the exponentials are kept in y, and only divided there;
3. a polynomial: e^x = 2ⁿ e^r with |r| ≤ ln 2 / 2, which a few multiply-adds give, in vectors, where `math.exp` is a call for
   each number;
4. sums in any order: the compiler may add up several parts of a row side by side, as it may not with floats if not told;
5. minidl on one thread: the same, and rows that are short are treated several at a time;
6. minidl on two threads.

The limit is the time of the exponentials alone, minidl's on one thread; a copy of the matrix takes far less. Target: each step
gives the same numbers, and the library on one thread is at least 5 times as fast as the first loops.
"""

import math
import sys
import time

import numba
import numpy as np
from _ladder import Step, measure, options, picture, report

import minidl
from minidl import kernels

TIMES_THE_FIRST = 5
LOG2_E, LN2_HIGH, LN2_LOW = np.float32(1.442695041), np.float32(0.693145752), np.float32(1.42860677e-6)
SIXTH, TWENTY_FOURTH = np.float32(1 / 6), np.float32(1 / 24)
P5, P6 = np.float32(1 / 120), np.float32(1 / 720)
HALF, ONE = np.float32(0.5), np.float32(1)


@numba.njit
def three_loops(x, y):
    for n in range(x.shape[0]):
        largest = x[n, 0]
        for j in range(x.shape[1]):
            largest = max(largest, x[n, j])
        total = np.float32(0)
        for j in range(x.shape[1]):
            total += math.exp(x[n, j] - largest)
        for j in range(x.shape[1]):
            y[n, j] = math.exp(x[n, j] - largest) / total


@numba.njit
def once(x, y):
    for n in range(x.shape[0]):
        largest = x[n, 0]
        for j in range(x.shape[1]):
            largest = max(largest, x[n, j])
        total = np.float32(0)
        for j in range(x.shape[1]):
            y[n, j] = math.exp(x[n, j] - largest)
            total += y[n, j]
        for j in range(x.shape[1]):
            y[n, j] /= total


@numba.njit(fastmath={"contract"})
def exp(x):
    """e^x for x ≤ 0: 2^n e^r"""
    x = max(x, np.float32(-87))
    n = np.int32(x * LOG2_E - HALF)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    power = ONE + r * (ONE + r * (HALF + r * (SIXTH + r * (TWENTY_FOURTH + r * (P5 + r * P6)))))
    return power * np.int32((n + 127) << 23).view(np.float32)


@numba.njit(fastmath={"contract"})
def polynomial(x, y):
    for n in range(x.shape[0]):
        source, row = x[n], y[n]
        largest = source[0]
        for j in range(row.size):
            largest = max(largest, source[j])
        for j in range(row.size):
            row[j] = exp(source[j] - largest)
        total = np.float32(0)
        for j in range(row.size):
            total += row[j]
        for j in range(row.size):
            row[j] /= total


@numba.njit(fastmath={"contract", "reassoc", "nnan", "nsz"})
def any_order(x, y):
    for n in range(x.shape[0]):
        source, row = x[n], y[n]
        largest = source[0]
        for j in range(row.size):
            largest = source[j] if source[j] > largest else largest
        for j in range(row.size):
            row[j] = exp(source[j] - largest)
        total = np.float32(0)
        for j in range(row.size):
            total += row[j]
        for j in range(row.size):
            row[j] /= total


def with_numpy(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def source_of(*functions):
    return "\n".join(Step("", "", None, function).source() for function in functions)


def main():
    given = options(__doc__, rows=(1000, "rows of the matrix"), columns=(1000, "its columns"))
    rows = 20 if given.quick else given.rows
    x = np.random.default_rng(given.seed).standard_normal((rows, given.columns)).astype(np.float32) * 3
    y = np.empty_like(x)

    def into_y(function):
        return lambda: (function(x, y), y)[1]

    def library():
        return kernels.softmax(x)

    steps = [
        Step("1 three loops", "as in the definition", into_y(three_loops), three_loops),
        Step("2 once", "each exponential is computed once", into_y(once), once),
        Step("3 a polynomial", "vectors of exponentials", into_y(polynomial), source_of(exp, polynomial)),
        Step("4 sums in any order", "maximum and sum in vectors, too", into_y(any_order), any_order),
        Step(
            "5 minidl, one thread",
            "NaN and inf included",
            library,
            "# softmax_rows in minidl/kernels/rows.py",
        ),
        Step("6 minidl, two threads", "each has its rows", library, "run(True, _softmax, …)", 2),
        Step("NumPy", "one pass over memory for each operation", lambda: with_numpy(x), with_numpy),
    ]
    exact = with_numpy(x.astype(np.float64))
    times = measure(steps, exact, 0 if given.quick else given.seconds)
    speeds = [x.size / spent / 1e6 for spent in times]
    seconds = 0 if given.quick else given.seconds
    exponentials = x.size / least(minidl.tensor(x).exp, seconds) / 1e6
    copies = x.size / least(x.copy, seconds) / 1e6
    report(steps, speeds, "million numbers/s")
    print(f"limit, the exponentials alone: {exponentials:,.0f} million numbers/s; a copy of the matrix: {copies:,.0f}")
    title = f"softmax of {rows:,} rows of {given.columns:,} numbers, from three loops to the library"
    lines = [("limit: the exponentials alone", exponentials, "dashed")]
    picture(title, steps, speeds, "million numbers/s", lines, given.out / "ladder_softmax.png")
    if not given.quick and not speeds[4] >= TIMES_THE_FIRST * speeds[0]:
        sys.exit(
            f"expected minidl on one thread to be {TIMES_THE_FIRST} times as fast as the loops; "
            f"it is {speeds[4] / speeds[0]:.1f} times as fast"
        )


def least(function, seconds):
    """The least time that the function takes, of all its runs on one thread."""
    minidl.set_num_threads(1)
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


if __name__ == "__main__":
    main()
