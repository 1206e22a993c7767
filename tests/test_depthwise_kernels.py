"""Convolution with few channels per group against a loop over taps in float64: geometries, layouts, threads, processors."""

import os
from itertools import product

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minidl.kernels import depthwise

from .kernel_checks import with_one_thread_and_two

SMALL = bool(numba.config.DISABLE_JIT or os.environ.get("MINIDL_TEST_SMALL"))


def taps(x, w, b, dy, stride, padding, dilation, groups):
    """y, dx and dw in float64, one tap of one pair of channels at a time."""
    x, w, b, dy = (array.astype(np.float64) for array in (x, w, b, dy))
    (o, channels), (oh, ow), (top, bottom, left, right) = w.shape[:2], dy.shape[2:], padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    y, dpadded, dw = np.zeros(dy.shape) + b[:, None, None], np.zeros(padded.shape), np.zeros(w.shape)
    for row, channel, i, j in np.ndindex(w.shape):
        rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
        columns = slice(j * dilation[1], j * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
        met = slice(None), row // (o // groups) * channels + channel, rows, columns
        y[:, row] += w[row, channel, i, j] * padded[met]
        dpadded[met] += w[row, channel, i, j] * dy[:, row]
        dw[row, channel, i, j] = (dy[:, row] * padded[met]).sum()
    return y, dpadded[:, :, top : top + x.shape[2], left : left + x.shape[3]], dw


def kernels(x, w, b, dy, stride, padding, dilation, groups):
    geometry = stride, padding, dilation, groups
    return (
        depthwise.depthwise(x, w, b, dy.shape[2:], *geometry),
        depthwise.depthwise_input(dy, w, x.shape[2:], *geometry),
        depthwise.depthwise_weight(x, dy, w.shape[2:], *geometry),
    )


def arrays(rng, n, groups, channels, rows, size, kernel, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), dtype="f4"):
    """Random x, w, b and dy, and the geometry."""
    out = [(size[a] + padding[2 * a] + padding[2 * a + 1] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)]
    shapes = (n, groups * channels, *size), (groups * rows, channels, *kernel), groups * rows, (n, groups * rows, *out)
    return *(rng.standard_normal(shape).astype(dtype) for shape in shapes), stride, padding, dilation, groups


def check(x, w, b, dy, *geometry):
    before = [array.copy() for array in (x, w, b, dy)]
    results = kernels(x, w, b, dy, *geometry)
    assert all(np.array_equal(old, new) for old, new in zip(before, (x, w, b, dy), strict=True))
    scales = taps(*(np.abs(array) for array in (x, w, b, dy)), *geometry)
    for result, expected, scale in zip(results, taps(x, w, b, dy, *geometry), scales, strict=True):
        assert result.dtype == x.dtype and result.shape == expected.shape and result.flags.c_contiguous
        assert np.all(np.abs(result - expected) <= 20 * np.finfo(x.dtype).eps * scale + np.finfo(x.dtype).tiny)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# Taps, stride, dilation, padding before and behind, and how much larger the image is than it need be.
sides = st.tuples(
    st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4), st.integers(0, 4), st.integers(0, 40)
)


@settings(max_examples=15 if SMALL else 100)
@given(
    sides,
    sides,
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from("f" if SMALL else "fd"),
)
def test_promise_22_geometry(high, wide, n, groups, channels, rows, dtype):
    """Any padding, strides that do not divide, dilation, kernels as large as the image, multipliers."""
    (kh, sh, dh, top, bottom, more_h), (kw, sw, dw, left, right, more_w) = high, wide
    if SMALL:
        kh, kw, more_h, more_w = min(kh, 3), min(kw, 3), more_h // 10, more_w // 3
    size = max(1, dh * (kh - 1) + 1 - top - bottom) + more_h, max(1, dw * (kw - 1) + 1 - left - right) + more_w
    geometry = size, (kh, kw), (sh, sw), (top, bottom, left, right), (dh, dw)
    check(*arrays(np.random.default_rng(n + channels), n, groups, channels, rows, *geometry, dtype=dtype))


@pytest.mark.skipif(SMALL, reason="large")
@pytest.mark.parametrize("stride", ((1, 1), (2, 2)))
@pytest.mark.parametrize(
    "case",
    (
        (1, 2, 1, 1, (112, 112), (3, 3)),  # several bands of rows
        (1, 2, 1, 2, (56, 57), (7, 7)),
        (3, 5, 1, 1, (7, 7), (5, 5)),
        (2, 3, 4, 4, (56, 56), (3, 3)),
        (1, 1, 1, 1, (3, 5001), (1, 9)),  # a row longer than a band
        (40, 2, 1, 1, (14, 14), (3, 3)),  # sums over images
    ),
)
def test_larger_images(rng, case, stride):
    for dtype in ("f4", "f8"):
        pad = [size // 2 for size in case[-1] for _ in (0, 1)]
        check(*arrays(rng, *case, stride, tuple(pad), dtype=dtype))


def test_promise_22_many_small_images(rng):
    """A lane to each plane: numbers of groups that lanes do not divide, blocks across images, few pixels, multipliers."""
    cases = (
        ((3, 8, 1, 1, (7, 7), (3, 3), (1, 1), (1, 1, 1, 1)), (2, 9, 1, 1, (7, 7), (3, 3), (2, 2), (1, 1, 1, 1)))
        + ((2, 19, 2, 3, (9, 7), (3, 2), (2, 3), (2, 1, 0, 1), (1, 2)), (5, 11, 3, 2, (8, 9), (1, 1), (3, 2)))
        + ((1, 17, 1, 2, (4, 2), (3, 3), (1, 1), (1, 1, 1, 1)), (21, 1, 2, 2, (6, 5), (3, 3), (1, 1), (2, 0, 1, 3)))
        + ((9, 3, 1, 1, (7, 8), (3, 3), (1, 2), (40, 40, 40, 40), (40, 40)), (40, 8, 1, 1, (12, 9), (5, 4), (2, 1)))
    )
    for case in cases:
        for dtype in ("f4",) if SMALL else ("f4", "f8"):
            check(*arrays(rng, *case, dtype=dtype))


def layouts(array):
    """The same numbers in other places: transposed, with gaps, backwards, read-only, unaligned."""
    yield array.T.copy().T
    spread = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    spread[..., ::2] = array
    yield spread[..., ::2]
    yield array[..., ::-1].copy()[..., ::-1]
    readonly = array.copy()
    readonly.flags.writeable = False
    yield readonly
    records = np.zeros(array.shape, np.dtype([("tag", "i1"), ("x", array.dtype)]))
    records["x"] = array
    yield records["x"]


def test_promise_41_layouts(rng):
    for count in (3, 9):
        *operands, stride, padding, dilation, groups = arrays(rng, 2, count, 1, 2, (9, 11), (3, 3), (2, 2), (1, 1, 1, 1))
        plain = kernels(*operands, stride, padding, dilation, groups)
        for others in zip(*map(layouts, operands), strict=True):
            results = kernels(*others, stride, padding, dilation, groups)
            assert all(np.array_equal(one, two) for one, two in zip(plain, results, strict=True))


def test_no_bias_is_a_bias_of_zero(rng):
    x, w, b, dy, *geometry = arrays(rng, 2, 3, 1, 1, (9, 11), (3, 3))
    without = depthwise.depthwise(x, w, None, dy.shape[2:], *geometry)
    assert np.array_equal(without, depthwise.depthwise(x, w, 0 * b, dy.shape[2:], *geometry))


def test_an_empty_batch(rng):
    y, dx, dw = kernels(*arrays(rng, 0, 3, 1, 2, (9, 11), (3, 3)))
    assert y.shape == (0, 6, 7, 9) and dx.shape == (0, 3, 9, 11) and np.array_equal(dw, np.zeros((6, 1, 3, 3)))


def test_promise_22_the_unread_border_gets_exactly_zero(rng):
    for size, kernel, stride in (((10, 12), (3, 3), (4, 4)), ((30, 29), (1, 1), (2, 3)), ((9, 40), (2, 2), (3, 2))):
        x, w, b, dy, *geometry = arrays(rng, 2, 2, 1, 1, size, kernel, stride)
        expected = taps(x, np.ones_like(w), b, np.ones_like(dy), *geometry)[1]
        dx = kernels(x, w, b, dy, *geometry)[1]
        assert np.array_equal(dx == 0, expected == 0)


@pytest.mark.parametrize("size", ((7, 7), (6, 8), (9, 14), (5, 23)))
@pytest.mark.parametrize("stride", ((1, 1), (2, 2), (3, 3)))
@pytest.mark.parametrize("count", (3, 9))
def test_nan_and_inf_reach_exactly_what_meets_them(rng, size, stride, count):
    """In the last column, which garbage behind a row could meet, and in the unread border."""
    for value in (np.nan, np.inf):
        for place in ((1, -1), (-1, -1), (0, 0), (3, 4)):
            x, w, b, dy, *geometry = arrays(rng, 2, count, 1, 1, size, (3, 3), stride, (1, 1, 1, 1))
            x[1, 1][place] = value
            dy[0, 2, -1, -1] = value
            with np.errstate(invalid="ignore"):
                results, expected = kernels(x, w, b, dy, *geometry), taps(x, w, b, dy, *geometry)
            for result, right in zip(results, expected, strict=True):
                assert np.array_equal(np.isfinite(result), np.isfinite(right))
                assert np.array_equal(np.isnan(result), np.isnan(right)) or value == np.inf


def test_no_element_outside_is_read(rng):
    """Arrays between NaN: a read beyond either end that counts would show."""
    sizes = ((7, 7), (1, 1)), ((14, 14), (2, 2)), ((5, 9), (1, 1)), ((3, 3), (3, 3)), ((20, 33), (2, 2))
    for (size, stride), count in product(sizes, (3, 9)):
        *operands, stride, padding, dilation, groups = arrays(rng, 2, count, 1, 1, size, (3, 3), stride, (1, 1, 1, 1))
        fenced = []
        for array in operands:
            memory = np.full(array.size + 128, np.nan, array.dtype)
            memory[64:-64] = array.ravel()
            fenced.append(memory[64:-64].reshape(array.shape))
        results = kernels(*fenced, stride, padding, dilation, groups)
        for one, two in zip(kernels(*operands, stride, padding, dilation, groups), results, strict=True):
            assert np.array_equal(one, two)


def test_long_sums_of_float32(rng):
    for n, count, size in ((300, 1, 28), (40, 8, 56)):
        x, w, b, dy, *geometry = arrays(rng, n, count, 1, 1, (4, 4) if SMALL else (size, size), (3, 3))
        x, dy = np.abs(x) + 1, np.abs(dy) + 1
        dw, expected = kernels(x, w, b, dy, *geometry)[2], taps(x, w, b, dy, *geometry)[2]
        assert np.all(np.abs(dw - expected) <= 3e-6 * expected)


@pytest.mark.skipif(SMALL or numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")
def test_promise_25_bits_do_not_depend_on_the_number_of_threads(rng):
    cases = ((3, 60, 1, 1, (28, 28), (3, 3)), (1, 8, 4, 4, (40, 40), (3, 3), (2, 2)), (2, 3, 1, 2, (112, 112), (5, 5), (2, 1)))
    for case in cases:
        for dtype in ("f4", "f8"):
            operands = arrays(rng, *case, dtype=dtype)
            pairs = with_one_thread_and_two(lambda operands=operands: kernels(*operands))
            assert all(np.array_equal(one, two) for one, two in pairs)
