"""The matrix products against NumPy's in float64: every layout, every awkward size, every processor width."""

import os
import subprocess
import sys
from itertools import product

import numba
import numpy as np
import pytest

from minidl.kernels import gemm, threads, tile, vector_products

from .kernel_checks import WIDE, guarded

SMALL = bool(numba.config.DISABLE_JIT or os.environ.get("MINIDL_TEST_SMALL"))
SIZES = (0, 1, 5, 17) if SMALL else (0, 1, 2, 5, 6, 7, 9, 16, 17, 31, 40)
LAYOUTS = ("plain", "transposed", "sliced", "negative", "spread", "readonly")


def numbers(rng, shape, dtype, layout="plain"):
    """A random array whose last two axes lie in memory as `layout` says."""
    *batch, m, n = shape
    if layout == "transposed":
        return rng.standard_normal((*batch, n, m)).astype(dtype).swapaxes(-1, -2)
    if layout == "sliced":
        return rng.standard_normal((*batch, m + 2, n + 3)).astype(dtype)[..., 1 : m + 1, 2 : n + 2]
    if layout == "negative":
        return rng.standard_normal(shape).astype(dtype)[..., ::-1, ::-1]
    if layout == "spread":
        return rng.standard_normal((*batch, 2 * m, 3 * n)).astype(dtype)[..., ::2, ::3]
    x = rng.standard_normal(shape).astype(dtype)
    x.flags.writeable = layout != "readonly"
    return x


def check(result, a, b, bias=0):
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    expected = a64 @ b64 + bias
    scale = np.abs(a64) @ np.abs(b64) + np.abs(bias)
    assert result.dtype == a.dtype and result.shape == expected.shape and result.flags.c_contiguous
    assert np.all(np.abs(result - expected) <= 0.5 * max(a.shape[-1] + 1, 8) * np.finfo(a.dtype).eps * scale)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_awkward_sizes(rng, dtype):
    for m, k, n in product(SIZES, repeat=3):
        for left, right in (("plain", "plain"), ("transposed", "plain"), ("plain", "transposed")):
            a, b = numbers(rng, (m, k), dtype, left), numbers(rng, (k, n), dtype, right)
            check(gemm.matmul(a, b), a, b)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("shape", ((7, 5, 9), (1, 9, 20), (20, 9, 1), (19, 40, 37), (101, 300, 129), (35, 600, 3)))
def test_layouts(rng, shape, dtype):
    m, k, n = (min(size, 20) for size in shape) if SMALL else shape
    for left, right in product(LAYOUTS, repeat=2):
        a, b = numbers(rng, (m, k), dtype, left), numbers(rng, (k, n), dtype, right)
        before = a.copy(), b.copy()
        check(gemm.matmul(a, b), a, b)
        assert np.array_equal(a, before[0]) and np.array_equal(b, before[1])


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("width", (5, gemm.ROWS, 17, gemm.VECTORS * gemm.VECTOR_BYTES // 4))
def test_panels_hold_the_columns_and_nothing_is_written_beside_them(rng, width, dtype):
    """Of a matrix whose columns are contiguous. The numbers around it, which are NaN, are not read."""
    for rows, columns in product((3, 16, 21), (1, 3, 10, 16, 30, 49)):
        around = np.full((columns + 2, rows + 2), np.nan, dtype)
        around[1:-1, 1:-1] = rng.standard_normal((columns, rows))
        b, count = around[1:-1, 1:-1].T, -(-columns // width)
        memory = np.full((count * rows + 4, width), -9, dtype)
        gemm.pack(b, 0, rows, 0, columns, width, memory[:-4])
        assert (memory[-4:] == -9).all() and not np.isnan(memory).any()
        for p in range(count):
            panel, right = memory[p * rows : (p + 1) * rows], b[:, p * width : (p + 1) * width]
            np.testing.assert_array_equal(panel[:, : right.shape[1]], right)


def test_broadcast_and_unaligned_matrices(rng):
    row = np.broadcast_to(rng.standard_normal(30).astype(np.float32), (20, 30))
    column = np.broadcast_to(rng.standard_normal((30, 1)).astype(np.float32), (30, 25))
    check(gemm.matmul(row, column), row, column)
    records = np.zeros((20, 30), np.dtype([("tag", "i1"), ("x", "f4")]))
    records["x"] = row
    check(gemm.matmul(records["x"], column), row, column)
    check(gemm.matmul(column.T, records["x"].T), column.T, row.T)


@pytest.mark.parametrize(
    ("left", "right"),
    (
        ((8, 4, 5, 6), (8, 4, 6, 7)),
        ((3, 5, 6), (6, 7)),
        ((5, 6), (3, 6, 7)),
        ((2, 1, 5, 6), (3, 6, 7)),
        ((1, 5, 6), (4, 6, 7)),
        ((3, 1, 6), (3, 6, 1)),
        ((0, 5, 6), (0, 6, 7)),
        ((3, 5, 0), (3, 0, 7)),
        ((3, 5, 0), (0, 7)),
        ((3, 0, 6), (6, 7)),
        ((3, 5, 6), (6, 0)),
        ((6,), (6,)),
        ((6,), (6, 7)),
        ((5, 6), (6,)),
        ((6,), (3, 6, 7)),
        ((3, 5, 6), (6,)),
        ((0,), (0,)),
        ((0,), (0, 3)),
    ),
)
def test_batches_and_vectors(rng, left, right):
    a, b = rng.standard_normal(left).astype(np.float32), rng.standard_normal(right).astype(np.float32)
    check(gemm.matmul(a, b), a, b)
    check(gemm.matmul(a[..., ::-1], np.flip(b, -1 if b.ndim == 1 else -2)), a[..., ::-1], np.flip(b, max(-2, -b.ndim)))


def test_batches_in_any_layout(rng):
    for left, right in product(LAYOUTS, repeat=2):
        a, b = numbers(rng, (3, 2, 9, 10), np.float32, left), numbers(rng, (3, 2, 10, 18), np.float32, right)
        check(gemm.matmul(a, b), a, b)
    heads = rng.standard_normal((3, 9, 2, 10)).astype(np.float32).transpose(0, 2, 1, 3)
    check(gemm.matmul(heads, heads.swapaxes(-1, -2)), heads, heads.swapaxes(-1, -2))
    backwards = heads[::-1, ::-1]
    check(gemm.matmul(backwards, heads.swapaxes(-1, -2)), backwards, heads.swapaxes(-1, -2))


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_linear(rng, dtype):
    for *batch, k, n in ((4, 3, 5), (1, 9, 20), (7, 9, 1), (2, 3, 16, 32), (9, 4), (5, 0, 3), (2, 5, 0, 3), (0, 4, 3)):
        for layout in LAYOUTS:
            x = numbers(rng, (1, *batch, k), dtype, layout)[0]
            w, b = numbers(rng, (n, k), dtype, layout), numbers(rng, (2, n), dtype, layout)[0]
            check(gemm.linear(x, w), x, w.T)
            check(gemm.linear(x, w, b), x, w.T, b)
    if not SMALL:
        x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in ((300, 600), (70, 600), 70))
        check(gemm.linear(x, w, b), x, w.T, b)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_linear_backward(rng, dtype):
    """Together in one call where it is small, apart where it is large or thin; and only what is asked for."""
    shapes = [(4, 3, 5), (1, 9, 20), (7, 9, 1), (7, 1, 9), (0, 4, 3), (5, 0, 3), (6, 3, 0), (33, 17, 40)]
    for m, k, n in shapes if SMALL else [*shapes, (300, 100, 70)]:
        for layout in LAYOUTS:
            dy, x, w = (numbers(rng, shape, dtype, layout) for shape in ((m, n), (m, k), (n, k)))
            dx, dw, db = gemm.linear_backward(dy, x, w)
            check(dx, dy, w)
            check(dw, dy.T, x)
            np.testing.assert_allclose(db, dy.sum(0, dtype=np.float64), rtol=1e-4, atol=1e-4 if dtype == np.float32 else 1e-12)
            for needs in ((True, False, False), (False, True, False), (False, False, True), (False, True, True)):
                part = gemm.linear_backward(dy, x if needs[1] else None, w if needs[0] else None, needs)
                for ours, whole, need in zip(part, (dx, dw, db), needs, strict=True):
                    same = np.allclose if ours is part[2] else np.array_equal  # a sum alone is made in other blocks
                    assert ours is None if not need else same(ours, whole) and ours.dtype == dtype


def test_linear_backward_checks_before_it_runs():
    dy, x, w = np.ones((4, 5)), np.ones((4, 3)), np.ones((5, 3))
    for wrong in ((dy, x[:3], w), (dy, x, w[:4]), (dy, x, np.ones((5, 4)))):
        with pytest.raises(ValueError, match="linear_backward"):
            gemm.linear_backward(*wrong)
    with pytest.raises(TypeError, match="linear_backward"):
        gemm.linear_backward(dy, x.astype(np.float32), w)


def test_nan_and_inf_reach_exactly_their_row_and_column(rng):
    for m, k, n in ((13, 9, 21), (1, 9, 21), (13, 9, 1)):
        a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
        a[m // 2, 3] = np.nan
        b[4, n // 2] = np.inf
        with np.errstate(invalid="ignore"):
            assert np.array_equal(np.isfinite(gemm.matmul(a, b)), np.isfinite(a @ b))
            assert np.array_equal(np.isnan(gemm.matmul(a, b)), np.isnan(a @ b))


@pytest.mark.skipif(SMALL or numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_bits_do_not_depend_on_the_number_of_threads(rng, dtype):
    for m, k, n in ((150, 300, 130), (100, 100, 100), (2000, 40, 10), (11, 700, 400), (700, 900, 1), (1, 900, 700)):
        for left, right in product(("plain", "transposed"), repeat=2):
            a, b = numbers(rng, (m, k), dtype, left), numbers(rng, (k, n), dtype, right)
            batch = numbers(rng, (1, 3, m // 2, k), dtype, left)[0]
            results = []
            number = threads.get_num_threads()
            try:
                for parts in (1, 2):
                    threads.set_num_threads(parts)
                    results.append((gemm.matmul(a, b), gemm.matmul(batch, b)))
            finally:
                threads.set_num_threads(number)
            assert all(np.array_equal(one, two) for one, two in zip(*results, strict=True))
    for parts in range(1, 8):  # shares beyond what this machine would use: each element is written once, alike
        c = np.full((m, n), np.nan, dtype)
        a, b = numbers(rng, (m := 101, 300), dtype), numbers(rng, (300, n := 75), dtype)
        c = np.full((m, n), np.nan, dtype)
        for part in range(parts):
            gemm.product(a, b, np.empty(0, dtype), c, np.zeros((1, 2), np.int64), part, parts)
        assert np.array_equal(c, gemm.matmul(a, b))


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_a_matrix_times_a_vector(rng, dtype):
    """Rows left over from groups of them, ragged ends, sums and results that are cut, empty ones; in every layout."""
    shapes = [(1, 1), (1, 40), (7, 33), (9, 5), (5, 0), (0, 5), (31, 17)]
    if not SMALL:
        step, strip = vector_products.SUM, vector_products.STRIP
        shapes += [(64, 784), (13, step), (13, step + 1), (67, 2 * step + 35), (strip + 35, 11), (strip + 35, step + 9)]
    for m, k in shapes:
        large = m > vector_products.STRIP and k > vector_products.SUM  # where copying other layouts takes most of the time
        for layout in LAYOUTS[:2] if large else (*LAYOUTS, "one row", "one column"):
            a, x = numbers(rng, (m, k), dtype, layout), numbers(rng, (2, k), dtype, layout)[0]
            if layout.startswith("one"):  # again and again, by a stride of 0
                size = (1, k) if layout == "one row" else (m, 1)
                a, x = np.broadcast_to(numbers(rng, size, dtype), (m, k)), np.broadcast_to(dtype(0.3), k)
            check(gemm.matmul(a, x), a, x)
            check(gemm.matmul(x, a.T), x, a.T)
            if m and k:
                bias = numbers(rng, (2, m), dtype, layout)[0]
                check(gemm.linear(x[None], a, bias)[0], a, x, bias)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_shares_of_a_product_with_a_vector_have_the_same_bits_beyond_two_threads(rng, dtype):
    for m, k in ((75, 20), (9, 30)) if SMALL else ((301, 75), (130, 1100)):
        for layout in ("plain", "transposed"):
            a, x, bias = numbers(rng, (m, k), dtype, layout), numbers(rng, (1, k), dtype)[0], numbers(rng, (1, m), dtype)[0]
            whole = gemm.linear(x[None], a, bias)[0]
            for parts in range(1, 8):
                y = np.full(m, np.nan, dtype)
                for part in range(parts):
                    vector_products.vector(a, x, bias, y, part, parts)
                assert np.array_equal(y, whole)


@pytest.mark.parametrize("height, width, packing", [(8, 48, 32), (6, 16, 32), (5, 7, 0)])
def test_shares_meet_each_number_once_and_are_even(height, width, packing):
    for m, n, parts in product((1, 8, 50, 101), (1, 7, 48, 64, 100), range(1, 8)):
        shares = np.zeros((m, n), int)
        for part in range(parts):
            i0, i1, j0, j1 = gemm.cut(m, n, height, width, packing, part, parts)
            shares[i0:i1, j0:j1] += 1
        assert (shares == 1).all()
    # Columns of 48 and 16 would leave one of two threads without work for half of the time.
    for m, n in ((4096, 64), (784, 64), (784, 256), (4096, 48), (48, 4096)):
        i0, i1, j0, j1 = gemm.cut(m, n, height, width, packing, 0, 2)
        assert 0.48 <= (i1 - i0) * (j1 - j0) / (m * n) <= 0.52


def test_tables_give_the_product_of_windows(rng):
    """A 1-D convolution through offset tables: c[o, t] = Σ_{ch, q} w[o, ch, q] · x[ch, t + q]."""
    channels, taps, length, out = 3, 5, 60, 7
    w = rng.standard_normal((out, channels, taps)).astype(np.float32)
    x = rng.standard_normal((channels, length)).astype(np.float32)
    n = length - taps + 1
    steps = (np.arange(channels)[:, None] * length + np.arange(taps)).ravel()
    c = np.zeros((out, n), np.float32)
    padded = np.concatenate((x.ravel(), np.zeros(64, np.float32)))
    rows, along = np.arange(out) * channels * taps, np.arange(channels * taps)
    for adds in (0, 1):
        tiles_from_tables(w.ravel(), rows, along, padded, steps, c.ravel(), n, adds)
        windows = np.lib.stride_tricks.sliding_window_view(x, n, 1)
        assert np.allclose(c, (1 + adds) * np.einsum("ocq,cqn->on", w, windows), atol=1e-4)


@gemm.jit
def tiles_from_tables(a, rows, along, b, steps, c, n, adds):
    width = tile.VECTORS * tile.VECTOR_BYTES // a.itemsize
    for j in range(0, n, width):
        for i in range(0, rows.size, tile.ROWS):
            tile.table_tile(a, rows, i, along, b, j, steps, along.size, c, i * n + j, n, adds, rows.size - i, n - j)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses mprotect")
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_nothing_beyond_the_arrays_is_read_or_written(rng, dtype):
    pages, sizes = [], [(20, 300, 70), (50, 9, 420)]  # packed; the last with A in blocks
    for m, k, n in (*product((1, 7, 20), (1, 17), (1, 5, 17, 33)), *([] if SMALL else sizes)):
        for left, right in product((False, True), repeat=2):
            a = guarded(numbers(rng, (k, m) if left else (m, k), dtype), pages)
            b = guarded(numbers(rng, (n, k) if right else (k, n), dtype), pages)
            c, bias = guarded(numbers(rng, (m, n), dtype), pages), guarded(numbers(rng, (1, n), dtype)[0], pages)
            a, b = a.T if left else a, b.T if right else b
            gemm._fill(c, a, b, bias, m, n, k)
            check(c, a, b, bias.astype(np.float64))


@pytest.mark.parametrize(("features", "width"), ((WIDE.split("=")[1], 64), ("+fma,+avx2", 32), ("+avx512f", 16), ("", 16)))
def test_the_width_of_vectors(features, width, monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
    monkeypatch.setattr(numba.config, "ENABLE_AVX", 1)
    assert tile._vector_bytes() == width


@pytest.mark.parametrize(
    ("left", "right"), (((2, 3), (2, 3)), ((3,), (4,)), ((2, 5, 3), (4, 3, 2)), ((), (3,)), ((3,), ()), ((2, 3), (2,)))
)
def test_wrong_shapes(left, right):
    with pytest.raises(ValueError, match="matmul") as error:
        gemm.matmul(np.ones(left, np.float32), np.ones(right, np.float32))
    assert str(left) in str(error.value) and str(right) in str(error.value)


def test_wrong_arguments_of_linear():
    x, w, b = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), np.ones(4, np.float32)
    for arguments in ((x, w.T), (x, w, b[:3]), (x, w, b[None]), (x, w[0]), (x[0, 0], w)):
        with pytest.raises(ValueError, match="linear: expected"):
            gemm.linear(*map(np.asarray, arguments))
    with pytest.raises(TypeError, match="float64"):
        gemm.linear(x, w, b.astype(np.float64))


@pytest.mark.parametrize(("left", "right"), (("f4", "f8"), ("i4", "i4"), ("f2", "f2"), (">f4", ">f4"), ("c8", "c8")))
def test_wrong_dtypes(left, right):
    with pytest.raises(TypeError, match="float32 or all of float64"):
        gemm.matmul(np.ones((2, 2), left), np.ones((2, 2), right))


@pytest.mark.skipif(SMALL, reason="needs the compiler")
def test_first_use_by_several_threads_at_once():
    code = """
import threading
import numpy as np
from minidl.kernels import gemm
x, barrier, right = np.eye(90, dtype=np.float32), threading.Barrier(4), []
def use():
    barrier.wait()
    right.append(np.array_equal(gemm.matmul(x, x), x) and np.array_equal(gemm.matmul(x, x[0]), x[0]))
users = [threading.Thread(target=use) for _ in range(4)]
for user in users: user.start()
for user in users: user.join()
print(right)
"""
    environment = {**os.environ, "MINIDL_CACHE": "0", "MINIDL_QUIET": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str([True] * 4), done.stdout + done.stderr
