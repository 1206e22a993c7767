"""Convolution with output channels in vectors, against a plain loop over taps in float64 and, by bits, the other ways.

`conv_pixels.pays` chooses it where it is fast. Here it is used for every shape, so that small ones reach each of its lines.
"""

import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minidl.kernels import conv, conv_pixels
from minidl.kernels.pixel_tile import PIXELS
from minidl.kernels.planes import forward_phases
from minidl.kernels.tile import VECTOR_BYTES

from .kernel_checks import guarded, with_one_thread_and_two
from .test_conv_batches import SHAPES, arrays
from .test_conv_kernels import (
    DTYPES,
    SMALL,
    check,
    clear_plans,
    plain,
    random_arguments,
    the_general_kernel as the_general_kernel,
)

LARGE = [
    (251, (4, 5), 9, (3, 3), (2, 1), (1, 1, 1, 1)),  # blocks of 126 and 125 channels
    (3, (95, 97), 40, (3, 3), (2, 2), (1, 1, 1, 1)),  # two bands
    (2, (9, 90), 70, (5, 5), (1, 1), (2, 1, 0, 3)),  # rows of many tiles, three stripes of channels
    (4, (70, 3), 33, (3, 3), (2, 2), (1, 1, 1, 1)),  # tiles along columns
    (120, (31, 33), 9, (1, 1), (2, 3)),
    (12, (10, 11), 8, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 4),
]
ALL = SHAPES if SMALL else SHAPES + LARGE


@pytest.fixture(autouse=True)
def wherever_possible(monkeypatch):
    take(monkeypatch, True)
    yield
    clear_plans()


def take(monkeypatch, this_way):
    monkeypatch.setattr(conv_pixels, "pays", lambda *arguments: this_way)
    clear_plans()


def both(x, w, b, dy, geometry):
    return conv.conv2d(x, w, b, *geometry), conv.conv2d_input(dy, w, x.shape[2:], *geometry)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ALL)
def test_shapes(shape, dtype):
    for n in (1, 3):
        x, w, _, dy, geometry = arrays(n, shape, dtype)
        assert conv._forward_plan(x.shape, w.shape, *geometry)[1].pixels
        backward = conv._backward_plan(dy.shape, w.shape, x.shape[2:], *geometry)
        assert backward.pixels or geometry[0] != (1, 1)
        check(n, *shape, dtype=dtype)


@settings(max_examples=10 if SMALL else 150, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv_pixels, "BAND", draw(5, 300))
        clear_plans()
        check(draw(1, 3), *random_arguments(draw, wider=30, rows=40), DTYPES[draw(0, 1)])


@pytest.mark.parametrize("n", range(1, 2 * PIXELS + 2))
def test_rows_of_every_length(n):
    for size, kernel in (((1, n), (1, 1)), ((n, 1), (1, 1)), ((3, n), (3, 1)), ((n, 2), (1, 2))):
        check(2, 3, size, 5, kernel)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the micro-kernel in Python adds to what is there at the end")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ALL)
def test_the_bits_are_those_of_the_other_ways(shape, dtype, monkeypatch):
    x, w, b, dy, geometry = arrays(VECTOR_BYTES // np.dtype(dtype).itemsize + 1, shape, dtype)
    y, dx = both(x, w, b, dy, geometry)
    take(monkeypatch, False)
    for result, other in zip((y, dx), both(x, w, b, dy, geometry), strict=True):
        assert np.array_equal(result, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ALL)
def test_bits_do_not_depend_on_the_number_of_threads(shape, dtype, monkeypatch):
    x, w, b, dy, geometry = arrays(3, shape, dtype)
    expected = both(x, w, b, dy, geometry)
    for parts in (2, 3, 7):

        def all_shares(pays, kernel, dtype, *arguments, parts=parts):
            for part in range(parts):
                kernel[dtype](*arguments, part, parts)

        monkeypatch.setattr(conv, "run", all_shares)
        for result, other in zip(both(x, w, b, dy, geometry), expected, strict=True):
            assert np.array_equal(result, other)


@pytest.mark.skipif(SMALL or numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")
def test_two_threads():
    arguments = arrays(9, (64, (29, 29), 130, (3, 3), (2, 2), (1, 1, 1, 1)), np.float32)
    assert all(np.array_equal(one, two) for one, two in with_one_thread_and_two(lambda: both(*arguments)))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses mprotect")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ALL)
def test_nothing_beyond_the_arrays_is_read_or_written(shape, dtype):
    pages = []
    x, w, b, dy, geometry = arrays(2, shape, dtype)
    y = np.full_like(dy, np.nan)
    x, w, b, y = (guarded(array, pages) for array in (x, w, b, y))
    (rows, channels, *kernel), groups = w.shape, geometry[3]
    taps = kernel[0] * kernel[1]
    _, plan = conv._forward_plan(x.shape, w.shape, *geometry)
    conv._run(x, w, b, y, plan, groups, rows // groups, rows // groups * channels * taps, channels * taps)
    assert np.allclose(y, plain(x, w, b, *geometry), atol=1e-3)


@pytest.mark.parametrize("stride", ((1, 1), (2, 3)))
def test_nan_and_inf_reach_exactly_what_reads_them(stride):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 2, 9, 11)), rng.standard_normal((5, 2, 3, 3))
    x[1, 0, 4, 7], x[1, 1, 0, 0], x[0, 1, 8, 10] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        y, expected = conv.conv2d(x, w, None, stride, (1,) * 4), plain(x, w, None, stride, (1,) * 4)
        assert np.array_equal(np.isnan(y), np.isnan(expected)) and np.array_equal(np.isinf(y), np.isinf(expected))


def test_an_infinite_weight_does_not_meet_the_padding():
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32)
    w[0, 0, 0, 0] = np.inf
    y = conv.conv2d(x, w, None, padding=(1, 1, 1, 1))
    assert np.isfinite(y[:, 0, 0]).all() and np.isfinite(y[:, 0, :, 0]).all() and np.isinf(y[:, 0, 1:, 1:]).all()


def test_what_lies_outside_the_image_altogether_is_the_bias():
    x, w, b = np.ones((2, 1, 2, 2), np.float32), np.ones((3, 1, 1, 1), np.float32), np.float32([-1, 0, 2])
    y = conv.conv2d(x, w, b, padding=(1, 1, 1, 1))
    assert np.array_equal(y[:, :, 0], np.broadcast_to(b[:, None], (2, 3, 4)))
    y = conv.conv2d(x, -w, None, padding=(1, 1, 1, 1))
    assert not np.signbit(y[:, :, 0]).any()


def test_rows_that_would_need_much_memory_go_another_way(monkeypatch):
    monkeypatch.undo()
    for width, taken in ((2**17, VECTOR_BYTES == 64), (2**17 + 2, False)):
        phases = forward_phases((1, 5), (1, width // 2), (0, 0, 2, 2), (1, 1))
        plan = conv_pixels.make_pixel_plan((1, width), (1, width // 2), (1, 2), 16, 32, phases, 16)
        assert bool(plan) is taken


def test_where_it_is_taken(monkeypatch):
    monkeypatch.undo()
    clear_plans()
    x, w = np.ones((2, 16, 56, 56), np.float32), np.ones((32, 16, 3, 3), np.float32)
    for stride, taken in (((2, 2), VECTOR_BYTES == 64), ((1, 1), False)):
        assert bool(conv._forward_plan(x.shape, w.shape, stride, (1,) * 4, (1, 1), 1)[1].pixels) is taken
