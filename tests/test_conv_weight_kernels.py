"""The weight gradient of convolution against a plain loop over taps in float64: geometries, layouts, threads, processors."""

import os

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minidl.kernels import conv_weight, threads

SMALL = bool(numba.config.DISABLE_JIT or os.environ.get("MINIDL_TEST_SMALL"))


def taps(x, dy, kernel_size, stride, padding, dilation, groups):
    """dw in float64, one tap at a time."""
    (n, o, oh, ow), (kh, kw), (top, bottom, left, right) = dy.shape, kernel_size, padding
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    x = x.reshape(n, groups, x.shape[1] // groups, *x.shape[2:])
    dy = dy.astype(np.float64).reshape(n, groups, o // groups, oh, ow)
    dw = np.empty((groups, o // groups, x.shape[2], kh, kw))
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
            columns = slice(j * dilation[1], j * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
            dw[..., i, j] = np.einsum("ngoij,ngcij->goc", dy, x[..., rows, columns], optimize=True)
    return dw.reshape(o, x.shape[2], kh, kw)


def images(rng, n, c, size, o, kernel_size, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, dtype="f4"):
    """Random x, dy and the geometry, as the arguments of conv2d_weight."""
    out = [
        (size[a] + padding[2 * a] + padding[2 * a + 1] - dilation[a] * (kernel_size[a] - 1) - 1) // stride[a] + 1
        for a in (0, 1)
    ]
    x, dy = rng.standard_normal((n, c, *size)).astype(dtype), rng.standard_normal((n, o, *out)).astype(dtype)
    return x, dy, kernel_size, stride, padding, dilation, groups


def check(x, dy, *geometry):
    before = x.copy(), dy.copy()
    dw = conv_weight.conv2d_weight(x, dy, *geometry)
    assert np.array_equal(x, before[0]) and np.array_equal(dy, before[1])
    scale = taps(np.abs(x), np.abs(dy), *geometry)
    expected = taps(x, dy, *geometry)
    assert dw.dtype == x.dtype and dw.shape == expected.shape and dw.flags.c_contiguous
    assert np.all(np.abs(dw - expected) <= 20 * np.finfo(x.dtype).eps * scale + np.finfo(x.dtype).tiny)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


sides = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2), st.integers(0, 9)
)


@settings(max_examples=20 if SMALL else 150)
@given(
    sides,
    sides,
    st.integers(0, 4),
    st.integers(1, 3),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from("f" if SMALL else "fd"),
)
def test_promise_22_geometry(high, wide, n, groups, c, o, dtype):
    """Asymmetric padding, strides that do not divide, dilation, groups, an empty batch, kernels as large as the image."""
    (kh, sh, dh, top, bottom, more_h), (kw, sw, dw, left, right, more_w) = high, wide
    height, width = (max(1, dh * (kh - 1) + 1 - top - bottom) + more_h, max(1, dw * (kw - 1) + 1 - left - right) + more_w)
    geometry = (kh, kw), (sh, sw), (top, bottom, left, right), (dh, dw), groups
    rng = np.random.default_rng(n + 10 * c + 100 * o)
    check(*images(rng, n, c * groups, (height, width), o * groups, *geometry, dtype=dtype))


@pytest.mark.skipif(SMALL, reason="large")
@pytest.mark.parametrize(
    "case",
    (
        (3, 1, (28, 28), 6, (5, 5), (1, 1), (2, 2, 2, 2)),  # some rows of an image in a block
        (9, 20, (7, 7), 40, (3, 3), (1, 1), (1, 1, 1, 1)),  # several images in a block, the last with fewer
        (2, 3, (61, 60), 20, (7, 7), (2, 2), (3, 3, 3, 3)),
        (2, 2, (1, 1000), 3, (1, 9), (1, 2), (0, 0, 4, 4)),  # parts of a row in a block
        (2, 2, (2, 1001), 3, (2, 3), (1, 1), (0, 0, 0, 0)),
        (1, 70, (17, 17), 270, (3, 3), (2, 2), (1, 1, 1, 1)),  # more channels than are packed or copied at once
        (2, 64, (20, 20), 24, (1, 1)),
        (2, 24, (20, 20), 64, (1, 1)),
        (9, 24, (20, 20), 64, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 2),
        (1, 256, (7, 7), 100, (3, 3), (1, 1), (1, 1, 1, 1)),
        (9, 70, (20, 20), 3, (5, 5), (1, 1), (1, 2, 0, 3)),  # x and dy change places, below too
        (2, 64, (12, 12), 4, (3, 2), (1, 1), (2, 0, 0, 2), (2, 3), 2),
        (2, 3, (3, 3), 8, (1, 1), (2, 2), (1, 1, 1, 1)),  # as many pixels in dy as in x, but others
        (2, 64, (20, 20), 24, (1, 1), (2, 2)),
        (2, 40, (20, 20), 24, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 4),
        (30, 6, (14, 14), 16, (5, 5)),
    ),
)
def test_larger_images(rng, case):
    for dtype in ("f4", "f8"):
        check(*images(rng, *case, dtype=dtype))


def layouts(array):
    """The same numbers in other places: transposed, with gaps, backwards, read-only, unaligned."""
    yield np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    spread = np.zeros((*array.shape[:3], 2 * array.shape[3]), array.dtype)
    spread[..., ::2] = array
    yield spread[..., ::2]
    yield np.ascontiguousarray(array[:, ::-1, :, ::-1])[:, ::-1, :, ::-1]
    readonly = array.copy()
    readonly.flags.writeable = False
    yield readonly
    records = np.zeros(array.shape, np.dtype([("tag", "i1"), ("x", array.dtype)]))
    records["x"] = array
    yield records["x"]


@pytest.mark.parametrize("padding", ((0, 0, 0, 0), (1, 0, 2, 1)))
def test_promise_41_layouts(rng, padding):
    x, dy, *geometry = images(rng, 2, 4, (6, 7), 6, (3, 2), (2, 1), padding, (1, 2), 2)
    for other_x in layouts(x):
        for other_dy in layouts(dy):
            check(other_x, other_dy, *geometry)
    check(x, np.broadcast_to(np.float32(0.5), dy.shape), *geometry)


@pytest.mark.parametrize("padding", ((0, 0, 0, 0), (1, 1, 1, 1)))
def test_nothing_outside_the_arrays_is_used(rng, padding):
    for n, c, size, o, kernel in ((2, 3, (9, 9), 5, (3, 3)), (3, 7, (8, 5), 17, (1, 1)), (1, 1, (5, 5), 9, (5, 5))):
        for stride in ((1, 1), (2, 3)):
            x, dy, *geometry = images(rng, n, c, size, o, kernel, stride, padding)
            if stride != (1, 1) and not any(padding):  # what the stride leaves unread is not used either
                x = np.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=np.nan) if (size[1] - kernel[1]) % 3 < 2 else x
            walled = []
            for array in (x, dy):
                wall = np.full(array.size + 2000, np.nan, array.dtype)
                inside = wall[1000:-1000].reshape(array.shape)
                inside[...] = array
                walled.append(inside)
            assert np.array_equal(conv_weight.conv2d_weight(*walled, *geometry), conv_weight.conv2d_weight(x, dy, *geometry))
            assert np.all(np.isfinite(conv_weight.conv2d_weight(*walled, *geometry)))


def test_a_dy_of_fewer_pixels_than_conv2d_gives(rng):
    for padding in ((0, 0, 0, 0), (1, 1, 1, 1)):
        x, dy, *geometry = images(rng, 2, 3, (9, 9), 5, (3, 3), (2, 2), padding)
        check(x, dy[:, :, :-1, :-2], *geometry)
        x, dy, *geometry = images(rng, 2, 3, (9, 9), 3, (3, 3), (2, 2), padding, (1, 1), 3)
        check(x, dy[:, :, :-1, :-2], *geometry)
        x, dy, *geometry = images(rng, 2, 20, (9, 9), 3, (3, 3), (1, 1), padding)
        check(x, dy[:, :, :-1, :-2], *geometry)
        check(x, dy[:, :, :1, :1], *geometry)


def test_an_empty_batch_gives_zeros():
    x, dy = np.ones((0, 4, 5, 5), np.float32), np.ones((0, 6, 3, 3), np.float32)
    dw = conv_weight.conv2d_weight(x, dy, (3, 3), groups=2)
    assert dw.shape == (6, 2, 3, 3) and not dw.any()


THREAD_CASES = (
    (64, 1, (28, 28), 6, (5, 5), (1, 1), (2, 2, 2, 2)),
    (2, 50, (9, 9), 40, (3, 3), (1, 1), (1, 1, 1, 1)),
    (1, 50, (9, 9), 12, (3, 3)),
    (2, 40, (20, 20), 24, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 4),
    (40, 8, (20, 20), 24, (1, 1), (2, 2)),
    (30, 8, (20, 20), 24, (1, 1)),
    (30, 40, (20, 20), 3, (3, 3), (1, 1), (1, 1, 1, 1)),
    (1, 40, (9, 9), 3, (3, 3), (1, 1), (1, 1, 1, 1)),
    (1, 16, (20, 20), 48, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 2),
)


@pytest.mark.skipif(SMALL or numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")
@pytest.mark.parametrize("case", THREAD_CASES)
def test_promise_25_bits_do_not_depend_on_the_number_of_threads(rng, case):
    arguments = images(rng, *case)
    results, number = [], threads.get_num_threads()
    try:
        for parts in (1, 2):
            threads.set_num_threads(parts)
            results.append(conv_weight.conv2d_weight(*arguments))
    finally:
        threads.set_num_threads(number)
    assert np.array_equal(*results)


@pytest.mark.skipif(SMALL, reason="large")
@pytest.mark.parametrize("case", THREAD_CASES)
def test_shares_write_each_sum_once_and_alike(rng, case, monkeypatch):
    """Also with more shares than this machine would use."""
    arguments = images(rng, *case)
    expected = conv_weight.conv2d_weight(*arguments)
    for parts in (2, 3, 4, 7):

        def all_shares(pays, kernel, dtype, *args, parts=parts):
            output = args[-1] if isinstance(args[-1], np.ndarray) else args[1]
            output[...] = np.nan
            for part in range(parts):
                kernel[dtype](*args, part, parts)

        monkeypatch.setattr(conv_weight, "run", all_shares)
        assert np.array_equal(conv_weight.conv2d_weight(*arguments), expected)


@pytest.mark.skipif(SMALL, reason="large")
def test_long_sums_are_accurate(rng):
    """A million terms per weight: the error stays near that of one short sum."""
    x, dy, *geometry = images(rng, 100, 1, (100, 100), 2, (1, 1))
    x += 1
    dy += 1
    exact = taps(x, dy, *geometry)
    assert np.all(np.abs(conv_weight.conv2d_weight(x, dy, *geometry) / exact - 1) < 2e-6)


def test_promise_26_arguments_that_do_not_fit():
    x, dy = np.ones((2, 4, 6, 6), np.float32), np.ones((2, 6, 4, 4), np.float32)
    wrong = [
        (x[0], dy, (3, 3)),
        (x[:1], dy, (3, 3)),
        (x, np.ones((2, 6, 5, 4), np.float32), (3, 3)),
        (x, dy, (5, 3)),
        (x, dy, (7, 7)),
        (x, dy, (3, 3), (2, 1)),
        (x, dy, (3, 3), (0, 1)),
        (x, dy, (3, 3), (1, 1), (-1, 1, 0, 0)),
        (x, dy, (3, 3), (1, 1), (0, 0, 0, 0), (2, 1)),
        (x, dy, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 4),
    ]
    for arguments in wrong:
        with pytest.raises(ValueError, match="conv2d_weight: expected"):
            conv_weight.conv2d_weight(*arguments)
    with pytest.raises(ValueError, match=r"expected dy \(N, O, 4, 3\) or less for x \(2, 4, 6, 6\), got \(2, 6, 4, 4\)"):
        conv_weight.conv2d_weight(x, dy, (3, 4))
    for arguments in ((x, dy.astype("f8")), (x.astype("i4"), dy.astype("i4")), (x.astype(">f4"), dy.astype(">f4"))):
        with pytest.raises(TypeError, match="float32 or both of float64"):
            conv_weight.conv2d_weight(*arguments, (3, 3))


@pytest.mark.skipif(SMALL, reason="large")
def test_pytorch_gives_the_same(rng):
    torch = pytest.importorskip("torch")
    for case in ((4, 6, (14, 14), 16, (5, 5)), (2, 32, (15, 15), 48, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 2)):
        x, dy, kernel, stride, padding, dilation, groups = images(rng, *case)
        weight = torch.zeros(dy.shape[1], x.shape[1] // groups, *kernel)
        options = stride, padding[::2], dilation, False, (0, 0), groups, [False, True, False]
        theirs = torch.ops.aten.convolution_backward(torch.from_numpy(dy), torch.from_numpy(x), weight, None, *options)[1]
        mine = conv_weight.conv2d_weight(x, dy, kernel, stride, padding, dilation, groups)
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-4, atol=1e-3)
