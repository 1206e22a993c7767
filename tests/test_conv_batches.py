"""Convolution of as many images at a time as a vector has lanes, against a plain loop over taps in float64.

`conv_batches.pays` chooses it where it is fast. Here it is used for every shape, so that small ones reach each of its lines.
"""

import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minidl.kernels import conv, conv_batches, conv_pixels
from minidl.kernels.planes import forward_phases
from minidl.kernels.tile import VECTOR_BYTES

from .kernel_checks import guarded, with_one_thread_and_two
from .test_conv_kernels import (
    DTYPES,
    SMALL,
    check,
    clear_plans,
    numbers,
    out_size,
    plain,
    plain_input,
    random_arguments,
    the_general_kernel as the_general_kernel,
)


@pytest.fixture(autouse=True, scope="module")
def wherever_possible():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv_batches, "pays", lambda *arguments: True)
        patch.setattr(conv_pixels, "pays", lambda *arguments: False)
        clear_plans()
        yield
    clear_plans()


def lanes(dtype):
    return VECTOR_BYTES // np.dtype(dtype).itemsize


# channels, size, rows, kernel, stride, padding, dilation, groups
SHAPES = [
    (3, (7, 7), 5, (3, 3), (1, 1), (1, 1, 1, 1)),
    (2, (6, 9), 9, (3, 2), (2, 1), (0, 1, 2, 0)),
    (4, (9, 8), 6, (2, 3), (1, 2), (1, 2, 3, 0), (2, 1), 2),
    (2, (10, 10), 3, (2, 2), (3, 3)),  # pixels of x that nothing reads: between the windows and beyond the last one
    (2, (6, 6), 2, (1, 1), (3, 3)),
    (1, (3, 1), 2, (1, 1), (2, 1), (1, 0, 0, 0)),  # only the row in the middle is read
    (2, (3, 3), 2, (3, 3), (2, 2), (3, 3, 3, 3)),  # windows that lie in the border altogether
    (1, (1, 1), 4, (1, 1), (1, 1), (2, 0, 0, 2)),
    (1, (1, 11), 2, (1, 4), (5, 3), (0, 0, 1, 1)),
    (1, (2, 2), 1, (2, 2)),  # fewer pixels than lanes
    (2, (5, 12), 9, (5, 5), (1, 1), (4, 1, 2, 6)),  # taps left out on both sides of the same pixel
    (3, (4, 5), 20, (3, 3), (1, 1), (1, 1, 1, 1)),  # three stripes of weights, the last one not whole
    (2, (9, 9), 4, (3, 3), (2, 2), (1, 1, 1, 1), (3, 2), 2),
]
LARGE = [
    (251, (4, 5), 9, (3, 3), (1, 1), (1, 1, 1, 1)),  # blocks of 126 and 125 channels
    (40, (30, 50), 8, (3, 3), (1, 1), (1, 1, 1, 1)),  # bands
    (8, (47, 50), 40, (5, 5), (2, 2), (1, 2, 0, 3)),  # bands of several phases
    (120, (31, 33), 9, (1, 1), (2, 3)),
    (8, (28, 28), 70, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)),  # not all stripes of weights at once
    (12, (10, 11), 8, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 4),
]
ALL = SHAPES if SMALL else SHAPES + LARGE


def arrays(n, shape, dtype):
    """x, w, b, dy and (stride, padding, dilation, groups)"""
    channels, size, rows, kernel, *more = shape
    geometry = (*more, *((1, 1), (0, 0, 0, 0), (1, 1), 1)[len(more) :])
    rng = np.random.default_rng(0)
    x, w = numbers(rng, (n, channels, *size), dtype), numbers(rng, (rows, channels // geometry[3], *kernel), dtype)
    dy = numbers(rng, (n, rows, *out_size(size, w.shape, *geometry[:3])), dtype)
    return x, w, numbers(rng, (rows,), dtype), dy, geometry


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ALL)
def test_shapes(shape, dtype):
    for n in (lanes(dtype), 2 * lanes(dtype) + 1):
        x, w, _, dy, geometry = arrays(n, shape, dtype)
        assert conv._forward_plan(x.shape, w.shape, *geometry)[1].batches
        assert conv._backward_plan(dy.shape, w.shape, x.shape[2:], *geometry).batches
        check(n, *shape, dtype=dtype)


@settings(max_examples=10 if SMALL else 100, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    dtype = DTYPES[draw(0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        for limit in ("SOURCE", "TARGET", "STRIPES"):  # so small that there are bands, and stripes that do not pass together
            patch.setattr(conv_batches, limit, draw(10, 1000))
        clear_plans()
        check(lanes(dtype) + draw(0, 1), *random_arguments(draw), dtype)
    clear_plans()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the micro-kernel in Python adds to what is there at the end")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ALL)
def test_the_bits_of_an_image_do_not_depend_on_how_many_there_are(shape, dtype):
    n = lanes(dtype) + 1
    x, w, b, dy, geometry = arrays(n, shape, dtype)
    y, dx = conv.conv2d(x, w, b, *geometry), conv.conv2d_input(dy, w, x.shape[2:], *geometry)
    for i in (0, n - 2, n - 1):
        assert np.array_equal(y[i : i + 1], conv.conv2d(x[i : i + 1], w, b, *geometry))
        assert np.array_equal(dx[i : i + 1], conv.conv2d_input(dy[i : i + 1], w, x.shape[2:], *geometry))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ALL)
def test_bits_do_not_depend_on_the_number_of_threads(shape, dtype, monkeypatch):
    x, w, b, dy, geometry = arrays(2 * lanes(dtype), shape, dtype)
    expected = conv.conv2d(x, w, b, *geometry), conv.conv2d_input(dy, w, x.shape[2:], *geometry)
    for parts in (2, 3, 7):

        def all_shares(pays, kernel, dtype, *arguments, parts=parts):
            for part in range(parts):
                kernel[dtype](*arguments, part, parts)

        monkeypatch.setattr(conv, "run", all_shares)
        assert np.array_equal(conv.conv2d(x, w, b, *geometry), expected[0])
        assert np.array_equal(conv.conv2d_input(dy, w, x.shape[2:], *geometry), expected[1])


@pytest.mark.skipif(SMALL or numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")
@pytest.mark.parametrize("rows", (40, 360))  # with 360 both threads pack the weights, too
def test_two_threads(rows):
    x, w, b, dy, geometry = arrays(48, (64, (9, 9), rows, (3, 3), (2, 2), (1, 1, 1, 1)), np.float32)
    assert (w.size >= conv.PARALLEL_PACKING) is (rows == 360)

    def both():
        return conv.conv2d(x, w, b, *geometry), conv.conv2d_input(dy, w, x.shape[2:], *geometry)

    assert all(np.array_equal(one, two) for one, two in with_one_thread_and_two(both))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses mprotect")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ALL)
def test_nothing_beyond_the_arrays_is_read_or_written(shape, dtype):
    pages = []
    x, w, b, dy, geometry = arrays(lanes(dtype), shape, dtype)
    y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
    x, w, b, dy, y, dx = (guarded(array, pages) for array in (x, w, b, dy, y, dx))
    (rows, channels, *kernel), groups = w.shape, geometry[3]
    taps = kernel[0] * kernel[1]
    _, plan = conv._forward_plan(x.shape, w.shape, *geometry)
    conv._run(x, w, b, y, plan, groups, rows // groups, rows // groups * channels * taps, channels * taps)
    plan = conv._backward_plan(dy.shape, w.shape, x.shape[2:], *geometry)
    conv._run(dy, w, b[:0], dx, plan, groups, channels, w.size // groups, taps)
    assert np.allclose(y, plain(x, w, b, *geometry), atol=1e-3) and np.allclose(
        dx, plain_input(dy, w, x.shape[2:], *geometry), atol=1e-3
    )


@pytest.mark.parametrize("stride", ((1, 1), (2, 3)))
def test_nan_and_inf_reach_exactly_what_reads_them(stride):
    rng, n = np.random.default_rng(0), lanes(np.float64)
    x, w = rng.standard_normal((n, 2, 9, 11)), rng.standard_normal((5, 2, 3, 3))
    x[1, 0, 4, 7], x[n - 1, 1, 0, 0], x[0, 1, 8, 10] = np.nan, np.inf, -np.inf
    size, wt = (8 * stride[0] + 1, 10 * stride[1] + 1), w.swapaxes(0, 1)
    with np.errstate(invalid="ignore"):
        for y, expected in (
            (conv.conv2d(x, w, None, stride, (1,) * 4), plain(x, w, None, stride, (1,) * 4)),
            (conv.conv2d_input(x, wt, size, stride, (1,) * 4), plain_input(x, wt, size, stride, (1,) * 4)),
        ):
            assert np.array_equal(np.isnan(y), np.isnan(expected)) and np.array_equal(np.isinf(y), np.isinf(expected))


def test_an_infinite_weight_does_not_meet_the_padding():
    x, w = np.ones((lanes(np.float32), 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32)
    w[0, 0, 0, 0] = np.inf
    y = conv.conv2d(x, w, None, padding=(1, 1, 1, 1))
    assert np.isfinite(y[:, 0, 0]).all() and np.isfinite(y[:, 0, :, 0]).all() and np.isinf(y[:, 0, 1:, 1:]).all()


def test_images_that_would_need_much_memory_are_not_transposed():
    for channels, rows, side in ((64, 8, 3000), (1, 64, 20_000)):
        phases = forward_phases((3, 3), (side, side), (1, 1, 1, 1), (1, 1))
        assert conv_batches.make_batch_plan((side, side), (side, side), (1, 1), channels, rows, phases, 8) is None
