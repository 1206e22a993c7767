"""Convolution and its gradient with respect to the input against a plain loop over taps in float64."""

import os
import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minidl.kernels import conv, planes, threads

from .kernel_checks import guarded

SMALL = bool(numba.config.DISABLE_JIT or os.environ.get("MINIDL_TEST_SMALL"))
DTYPES = (np.float32, np.float64)


@pytest.fixture(autouse=True, scope="module")
def the_general_kernel():
    """Groups of few channels too: the kernels made for them have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "pays", lambda channels, rows: False)
        yield


def pairs(x, w_shape, out, stride, dilation):
    """For each tap (i, j), the view of the padded x that it meets: (N, C, OH, OW)."""
    for i in range(w_shape[2]):
        for j in range(w_shape[3]):
            top, left = i * dilation[0], j * dilation[1]
            rows = slice(top, top + (out[0] - 1) * stride[0] + 1, stride[0])
            yield i, j, x[:, :, rows, left : left + (out[1] - 1) * stride[1] + 1 : stride[1]]


def out_size(size, w_shape, stride, padding, dilation):
    return tuple(
        (size[a] + padding[2 * a] + padding[2 * a + 1] - dilation[a] * (w_shape[2 + a] - 1) - 1) // stride[a] + 1
        for a in (0, 1)
    )


def plain(x, w, b, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """conv2d in float64, one tap at a time."""
    n, o, (top, bottom, left, right) = len(x), len(w), padding
    out = out_size(x.shape[2:], w.shape, stride, padding, dilation)
    x, w = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right))), w.astype(np.float64)
    y = np.zeros((n, groups, o // groups, *out))
    for i, j, part in pairs(x, w.shape, out, stride, dilation):
        part = part.reshape(n, groups, w.shape[1], *out)
        y += np.einsum("goc,ngchw->ngohw", w[:, :, i, j].reshape(groups, o // groups, w.shape[1]), part)
    y = y.reshape(n, o, *out)
    return y if b is None else y + b.astype(np.float64)[:, None, None]


def plain_input(dy, w, size, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """conv2d_input in float64, one tap at a time."""
    n, o, *out = dy.shape
    (top, bottom, left, right), c = padding, w.shape[1] * groups
    dx, w = np.zeros((n, c, size[0] + top + bottom, size[1] + left + right)), w.astype(np.float64)
    dy = dy.astype(np.float64).reshape(n, groups, o // groups, *out)
    for i, j, part in pairs(dx, w.shape, out, stride, dilation):
        part += np.einsum("goc,ngohw->ngchw", w[:, :, i, j].reshape(groups, o // groups, w.shape[1]), dy).reshape(part.shape)
    return dx[:, :, top : top + size[0], left : left + size[1]]


def numbers(rng, shape, dtype, layout="plain"):
    """A random array (…, H, W) that lies in memory as `layout` says."""
    if layout == "transposed":
        return rng.standard_normal(shape[::-1]).astype(dtype).T
    if layout == "spread":
        return rng.standard_normal([2 * size for size in shape]).astype(dtype)[tuple(slice(None, None, 2) for _ in shape)]
    if layout == "negative":
        return rng.standard_normal(shape).astype(dtype)[tuple(slice(None, None, -1) for _ in shape)]
    x = rng.standard_normal(shape).astype(dtype)
    if layout == "unaligned":
        records = np.zeros(shape, np.dtype([("tag", "i1"), ("x", x.dtype)]))
        records["x"] = x
        return records["x"]
    x.flags.writeable = layout != "readonly"
    return x


def close(result, expected, dtype, depth):
    assert result.dtype == dtype and result.shape == expected.shape and result.flags.c_contiguous
    assert np.allclose(result, expected, rtol=0, atol=4 * (depth + 20) * np.finfo(dtype).eps)


def check(
    n, c, size, o, kernel, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, dtype=np.float32, layout="plain"
):
    """Both passes of a convolution with random numbers."""
    rng = np.random.default_rng(0)
    x, w = numbers(rng, (n, c, *size), dtype, layout), numbers(rng, (o, c // groups, *kernel), dtype, layout)
    b = numbers(rng, (o,), dtype, layout)
    geometry = stride, padding, dilation, groups
    dy = numbers(rng, (n, o, *out_size(size, w.shape, stride, padding, dilation)), dtype, layout)
    before = [array.copy() for array in (x, w, b, dy)]
    for bias in (None, b):
        close(conv.conv2d(x, w, bias, *geometry), plain(x, w, bias, *geometry), dtype, c // groups * kernel[0] * kernel[1])
    dx = conv.conv2d_input(dy, w, size, *geometry)
    close(dx, plain_input(dy, w, size, *geometry), dtype, o // groups * kernel[0] * kernel[1])
    assert all(np.array_equal(array, old) for array, old in zip((x, w, b, dy), before, strict=True))


# n, c, size, o, kernel, stride, padding, dilation, groups
SHAPES = [
    (2, 1, (9, 9), 1, (3, 3)),
    (3, 2, (5, 7), 3, (1, 1)),
    (2, 3, (8, 6), 5, (3, 2), (2, 1), (0, 1, 1, 0)),
    (2, 4, (6, 6), 6, (2, 3), (1, 2), (1, 2, 3, 0), (2, 1), 2),
    (1, 1, (4, 4), 1, (1, 1), (3, 3)),
    (2, 2, (3, 3), 2, (3, 3), (2, 2), (3, 3, 3, 3)),  # windows that lie in the border altogether
    (1, 3, (1, 1), 4, (1, 1), (1, 1), (2, 0, 0, 2)),
    (1, 1, (1, 11), 2, (1, 4), (5, 3), (0, 0, 1, 1)),
    (2, 6, (5, 5), 6, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 6),
]
LARGE = [
    (3, 1, (28, 28), 6, (5, 5), (1, 1), (2, 2, 2, 2)),
    (3, 6, (14, 14), 16, (5, 5)),
    (5, 16, (7, 7), 33, (3, 3), (1, 1), (1, 1, 1, 1)),  # images put together
    (2, 40, (50, 50), 8, (3, 3), (1, 1), (1, 1, 1, 1)),  # images cut in bands
    (1, 40, (60, 50), 8, (3, 3), (2, 2), (1, 1, 1, 1)),
    (1, 8, (60, 50), 40, (5, 5), (2, 3), (1, 2, 0, 3)),  # bands of several phases
    (2, 300, (9, 9), 12, (1, 1)),  # k cut in blocks
    (2, 24, (9, 9), 70, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)),
    (2, 3, (40, 44), 10, (7, 7), (2, 2), (3, 3, 3, 3)),
    (1, 3, (95, 97), 40, (3, 3), (2, 2), (1, 1, 1, 1)),  # bands of several phases, the largest of which does not read the most
    (1, 2, (9, 9), 300, (3, 3)),  # more stripes of weights than stay in the cache
    (2, 8, (1, 70), 5, (1, 9), (1, 1), (0, 0, 4, 4)),
    (2, 8, (70, 1), 5, (9, 1), (1, 1), (4, 4, 0, 0)),
    (4, 64, (5, 5), 64, (5, 5)),  # a single pixel of each image
    (3, 12, (10, 11), 8, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 4),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES if SMALL else SHAPES + LARGE)
def test_shapes(shape, dtype):
    check(*shape, dtype=dtype)


@settings(max_examples=15 if SMALL else 150, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    check(draw(1, 6), *random_arguments(draw))


def random_arguments(draw, wider=20, rows=7):
    """The arguments of `check` but the number of images, from draw(low, high)."""
    kernel, dilation = (draw(1, 4), draw(1, 4)), (draw(1, 3), draw(1, 2))
    stride, padding = (draw(1, 3), draw(1, 3)), tuple(draw(0, 3) for _ in range(4))
    least = [max(1, dilation[a] * (kernel[a] - 1) + 1 - padding[2 * a] - padding[2 * a + 1]) for a in (0, 1)]
    size, groups = (least[0] + draw(0, 9), least[1] + draw(0, wider)), draw(1, 3)
    return groups * draw(1, 4), size, groups * draw(1, rows), kernel, stride, padding, dilation, groups


@settings(max_examples=10 if SMALL else 150, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_bands(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    kernel, dilation = (draw(1, 5), draw(1, 3)), (draw(1, 3), 1)
    stride, padding = (draw(1, 4), draw(1, 3)), tuple(draw(0, 3) for _ in range(4))
    size = max(1, dilation[0] * (kernel[0] - 1) + 1 - padding[0] - padding[1]) + draw(0, 40), kernel[1] + draw(0, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes, "BAND", 10 * draw(2, 40))
        clear_plans()
        check(draw(1, 2), draw(1, 4), size, draw(1, 12), kernel, stride, padding, dilation)
    clear_plans()


def clear_plans():
    conv._forward_plan.cache_clear()
    conv._backward_plan.cache_clear()


@pytest.mark.parametrize("layout", ("transposed", "spread", "negative", "unaligned", "readonly"))
def test_layouts(layout):
    for dtype in DTYPES:
        check(2, 3, (6, 7), 5, (3, 2), (1, 1), (1, 0, 1, 0), dtype=dtype, layout=layout)
        check(2, 3, (6, 7), 5, (1, 1), dtype=dtype, layout=layout)
        check(2, 4, (6, 7), 6, (3, 2), (2, 2), (1, 1, 1, 1), (1, 1), 2, dtype=dtype, layout=layout)


@pytest.mark.parametrize(("n", "c", "o"), ((0, 2, 3), (2, 0, 3), (2, 2, 0), (0, 0, 0)))
def test_nothing_in_gives_nothing_or_the_bias(n, c, o):
    x, w, b = np.ones((n, c, 4, 4), np.float32), np.ones((o, c, 3, 3), np.float32), np.arange(o, dtype=np.float32)
    y = conv.conv2d(x, w, b)
    assert np.array_equal(y, plain(x, w, b)) and y.dtype == np.float32
    dx = conv.conv2d_input(y, w, (4, 4))
    assert dx.shape == x.shape and np.array_equal(dx, plain_input(y, w, (4, 4)))


def test_an_input_without_rows_is_all_border():
    x, w = np.ones((1, 2, 0, 3), np.float32), np.ones((3, 2, 2, 2), np.float32)
    y = conv.conv2d(x, w, np.arange(3, dtype=np.float32), padding=(1, 2, 0, 0))
    assert np.array_equal(y, np.broadcast_to(np.arange(3)[:, None, None], (1, 3, 2, 2)))
    assert conv.conv2d_input(y, w, (0, 3), padding=(1, 2, 0, 0)).shape == x.shape


@pytest.mark.parametrize("kernel", ((1, 1), (3, 3)))
@pytest.mark.parametrize("stride", ((1, 1), (2, 3)))
def test_nan_and_inf_reach_exactly_what_reads_them(kernel, stride):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 2, 9, 11)), rng.standard_normal((5, 2, *kernel))
    x[1, 0, 4, 7], x[2, 1, 0, 0], x[0, 1, 8, 10] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        for y, expected in (
            (conv.conv2d(x, w, None, stride, (1, 1, 1, 1)), plain(x, w, None, stride, (1, 1, 1, 1))),
            (
                conv.conv2d_input(x, w.swapaxes(0, 1), (9 * stride[0], 11 * stride[1]), stride, (0,) * 4)
                if kernel == (1, 1)
                else conv.conv2d_input(x, w.swapaxes(0, 1), (8 * stride[0] + 1, 10 * stride[1] + 1), stride, (1,) * 4),
                plain_input(x, w.swapaxes(0, 1), (9 * stride[0], 11 * stride[1]), stride, (0,) * 4)
                if kernel == (1, 1)
                else plain_input(x, w.swapaxes(0, 1), (8 * stride[0] + 1, 10 * stride[1] + 1), stride, (1,) * 4),
            ),
        ):
            assert np.array_equal(np.isnan(y), np.isnan(expected)) and np.array_equal(np.isinf(y), np.isinf(expected))


def test_promise_22_the_unread_border_gets_exactly_zero():
    for dtype in DTYPES:
        w = np.random.default_rng(0).standard_normal((2, 3, 2, 2)).astype(dtype)
        for size, stride, read in ((8, 3, (0, 1, 3, 4, 6, 7)), (10, 3, (0, 1, 3, 4, 6, 7)), (6, 4, (0, 1, 4, 5))):
            out = (size - 2) // stride + 1
            dx = conv.conv2d_input(np.ones((2, 2, out, out), dtype), w, (size, size), (stride, stride))
            inside = np.zeros((size, size), bool)
            inside[np.ix_(read, read)] = True
            assert np.all(dx[..., ~inside] == 0) and np.all(dx[..., inside] != 0)


def test_promise_22_an_impossible_size_is_an_error_that_has_the_output_size():
    x, w = np.ones((1, 2, 3, 9), np.float32), np.ones((4, 2, 5, 3), np.float32)
    with pytest.raises(ValueError, match=r"conv2d: a kernel of \(5, 3\).*\(3, 9\).*\(-1, 7\)"):
        conv.conv2d(x, w)
    with pytest.raises(ValueError, match=r"conv2d_input: .*\(-1, 7\)"):
        conv.conv2d_input(np.ones((1, 4, 1, 7), np.float32), w, (3, 9))
    with pytest.raises(ValueError, match=r"conv2d_input: .*expected dy \(N, 4, 2, 7\), got \(1, 4, 1, 7\)"):
        conv.conv2d_input(np.ones((1, 4, 1, 7), np.float32), w, (6, 9))


def test_promise_26_wrong_arguments():
    x, w, b = np.ones((1, 4, 6, 6), np.float32), np.ones((6, 2, 3, 3), np.float32), np.ones(6, np.float32)
    for arguments, message in (
        ((x[0], w, b, (1, 1), (0,) * 4, (1, 1), 2), r"expected an input \(N, C, H, W\)"),
        ((x, w[0], b, (1, 1), (0,) * 4, (1, 1), 2), r"expected a weight"),
        ((x, w, b), r"expects 2 input channels, got 4"),
        ((x, w, b, (1, 1), (0,) * 4, (1, 1), 4), r"4 groups do not divide the 6"),
        ((x, w, b, (1, 1), (0,) * 4, (1, 1), 0), r"0 groups"),
        ((x, w, b[:5], (1, 1), (0,) * 4, (1, 1), 2), r"bias \(6,\), got \(5,\)"),
        ((x, w, b, (0, 1), (0,) * 4, (1, 1), 2), r"stride must be 2 numbers of at least 1"),
        ((x, w, b, (1, 1), (0, -1, 0, 0), (1, 1), 2), r"padding must be 4 numbers of at least 0"),
        ((x, w, b, (1, 1), (0, 0), (1, 1), 2), r"padding must be 4 numbers"),
        ((x, w, b, (1, 1), (0,) * 4, (1, 0), 2), r"dilation must be"),
        ((x, w[:, :, :0], b, (1, 1), (0,) * 4, (1, 1), 2), r"is empty"),
    ):
        with pytest.raises(ValueError, match=f"conv2d: .*{message}"):
            conv.conv2d(*arguments)
    with pytest.raises(TypeError, match=r"conv2d: .*float32, float64"):
        conv.conv2d(x, w.astype(np.float64), None, (1, 1), (0,) * 4, (1, 1), 2)
    with pytest.raises(TypeError, match=r"conv2d_input: .*int64"):
        conv.conv2d_input(np.ones((1, 6, 4, 4), np.int64), w.astype(np.int64), (6, 6), groups=2)
    with pytest.raises(ValueError, match=r"conv2d_input: .*\(N, 6, 4, 4\), got \(1, 4, 4, 4\)"):
        conv.conv2d_input(x[..., :4, :4], w, (6, 6), groups=2)


@pytest.mark.skipif(SMALL or numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")
@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_the_number_of_threads(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    for n, c, size, o, stride in (
        (5, 70, 14, 40, 1),
        (1, 30, 56, 20, 1),
        (1, 40, 15, 30, 2),
        (7, 30, 7, 50, 1),
        (3, 30, 31, 9, 2),
    ):
        x, w = numbers(rng, (n, c, size, size), dtype), numbers(rng, (o, c, 3, 3), dtype)
        b, geometry = numbers(rng, (o,), dtype), ((stride, stride), (1, 1, 1, 1))
        results = []
        number = threads.get_num_threads()
        try:
            for parts in (1, 2):
                threads.set_num_threads(parts)
                y = conv.conv2d(x, w, b, *geometry)
                results.append((y, conv.conv2d_input(y, w, (size, size), *geometry)))
        finally:
            threads.set_num_threads(number)
        assert all(np.array_equal(one, two) for one, two in zip(*results, strict=True))
        for parts in (3, 4, 7):  # shares beyond what this machine would use

            def all_shares(pays, kernel, dtype, *arguments, parts=parts):
                for part in range(parts):
                    kernel[dtype](*arguments, part, parts)

            with monkeypatch.context() as patch:
                patch.setattr(conv, "run", all_shares)
                patch.setattr(conv, "get_num_threads", lambda parts=parts: parts)
                assert np.array_equal(conv.conv2d(x, w, b, *geometry), results[0][0])
                assert np.array_equal(conv.conv2d_input(y, w, (size, size), *geometry), results[0][1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses mprotect")
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_beyond_the_arrays_is_read_or_written(dtype):
    rng, pages = np.random.default_rng(0), []
    for n, c, (h, width), o, (kh, kw), *more in SHAPES if SMALL else SHAPES + LARGE:
        stride, padding, dilation, groups = (*more, *((1, 1), (0, 0, 0, 0), (1, 1), 1)[len(more) :])
        x, w = (guarded(numbers(rng, shape, dtype), pages) for shape in ((n, c, h, width), (o, c // groups, kh, kw)))
        b = guarded(numbers(rng, (o,), dtype), pages)
        expected = conv.conv2d(x, w, b, stride, padding, dilation, groups)
        out, plan = conv._forward_plan(x.shape, w.shape, stride, padding, dilation, groups)
        y = guarded(np.full((n, o, *out), np.nan, dtype), pages)
        taps = w[0].size
        conv._run(x, w, b, y, plan, groups, o // groups, o // groups * taps, taps)
        assert np.array_equal(y, expected)
        plan = conv._backward_plan(y.shape, w.shape, (h, width), stride, padding, dilation, groups)
        dx = guarded(np.zeros(x.shape, dtype), pages)
        if plan.work:
            conv._run(y, w, b[:0], dx, plan, groups, c // groups, o // groups * taps, kh * kw)
        again = conv.conv2d_input(y, w, (h, width), stride, padding, dilation, groups)  # perhaps in another order
        assert np.allclose(dx, again, rtol=1e-4, atol=1e-4 * np.abs(dx).max())


def test_against_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for n, c, size, o, k, stride, pad, dilation, groups in (
        (2, 6, 13, 8, 3, 2, 1, 1, 2),
        (2, 3, 12, 5, 5, 1, 2, 1, 1),
        (1, 4, 12, 4, 3, 1, 2, 2, 4),
    ):
        x, w, b = (rng.standard_normal(shape) for shape in ((n, c, size, size), (o, c // groups, k, k), (o,)))
        y = torch.conv2d(*map(torch.from_numpy, (x, w, b)), stride, pad, dilation, groups)
        geometry = (stride, stride), (pad,) * 4, (dilation, dilation), groups
        assert np.allclose(conv.conv2d(x, w, b, *geometry), y.numpy(), atol=1e-12)
        dx = torch.nn.grad.conv2d_input(x.shape, torch.from_numpy(w), y, stride, pad, dilation, groups)
        assert np.allclose(conv.conv2d_input(y.numpy(), w, (size, size), *geometry), dx.numpy(), atol=1e-11)
