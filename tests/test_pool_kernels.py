"""The kernels of pooling against windows taken one by one, over geometries, dtypes, layouts, special values and threads.

With NUMBA_DISABLE_JIT=1 the same tests run the kernels as plain Python.
"""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numba import config

from minidl import kernels
from minidl.kernels import adaptive_windows, pool_windows

pytestmark = [pytest.mark.filterwarnings("ignore::RuntimeWarning")] if config.DISABLE_JIT else []

FLOATS = [np.float32, np.float64]


def taps(axis, o):
    """The places that window o covers, from the definition; some lie on the padding."""
    if axis.stride:
        return [o * axis.stride - axis.padding + k * axis.dilation for k in range(axis.kernel)]
    return list(range(o * axis.size // axis.out, -(-(o + 1) * axis.size // axis.out)))


def pooled(x, axes):
    """Maxima, their places, means; for dy: gradients of both. All from the definition, in float64."""
    rows, columns = axes
    places = np.arange(rows.size * columns.size).reshape(rows.size, columns.size)
    P = x.shape[0]
    y, index, mean = (np.zeros((P, rows.out, columns.out), kind) for kind in (x.dtype, np.int64, np.float64))
    for i, j in np.ndindex(rows.out, columns.out):
        h, w = ([t for t in taps(axis, o) if 0 <= t < axis.size] for axis, o in ((rows, i), (columns, j)))
        area = np.prod([sum(t < axis.size + axis.padding for t in taps(axis, o)) for axis, o in ((rows, i), (columns, j))])
        window = x[:, h][:, :, w].reshape(P, len(h) * len(w))
        for p in range(P):
            best = 0
            for k, v in enumerate(window[p]):
                if v > window[p, best] or v != v:
                    best = k
            y[p, i, j], index[p, i, j] = window[p, best], places[np.ix_(h, w)].ravel()[best]
        mean[:, i, j] = window.sum(1, dtype=np.float64) / area
    return y, index, mean


def gradients(dy, index, axes):
    rows, columns = axes
    dmax, dmean = (np.zeros((len(dy), rows.size, columns.size)) for _ in range(2))
    for p, i, j in np.ndindex(dy.shape):
        dmax[p].ravel()[index[p, i, j]] += dy[p, i, j]
        h, w = ([t for t in taps(axis, o) if 0 <= t < axis.size] for axis, o in ((rows, i), (columns, j)))
        area = np.prod([sum(t < axis.size + axis.padding for t in taps(axis, o)) for axis, o in ((rows, i), (columns, j))])
        dmean[p][np.ix_(h, w)] += dy[p, i, j] / area
    return dmax, dmean


def check(x, axes):
    dilated = any(axis.dilation > 1 for axis in axes)
    y, index, mean = pooled(x, axes)
    found, codes = kernels.max_pool(x, axes)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, y)
    np.testing.assert_array_equal(kernels.max_pool_indices(codes, axes), index)
    if x.dtype.kind != "f":
        return
    rng = np.random.default_rng(1)
    dy = rng.normal(size=y.shape).astype(x.dtype)
    dmax, dmean = gradients(dy, index, axes)
    close = {"rtol": 1e-5, "atol": 1e-5} if x.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(kernels.max_pool_backward(dy, codes, axes), dmax, **close)
    if not dilated:
        np.testing.assert_allclose(kernels.mean_pool(x, axes), mean, **close)
        np.testing.assert_allclose(kernels.mean_pool_backward(dy, axes), dmean, **close)


@st.composite
def axes(draw, adaptive):
    if adaptive:
        return adaptive_windows(draw(st.integers(1, 12)), draw(st.integers(0, 14)))
    kernel, stride, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.sampled_from([1, 1, 2, 3]))
    padding = draw(st.integers(0, kernel // 2))
    least = max(dilation * (kernel - 1) + 1 - 2 * padding, dilation, 1)  # not all taps in the padding
    return pool_windows(least + draw(st.integers(0, 9)), kernel, stride, padding, dilation, draw(st.booleans()))


pairs = st.booleans().flatmap(lambda adaptive: st.tuples(axes(adaptive), axes(adaptive)))


@settings(max_examples=60)
@given(pairs, st.integers(0, 3), st.integers(0, 2**31), st.sampled_from([*FLOATS, np.int64]))
def test_promise_06_against_the_definition(axes, planes, number, dtype):
    x = np.random.default_rng(number).integers(-4, 5, (planes, *[axis.size for axis in axes]))  # many ties
    check(x.astype(dtype), axes)


COMMON = [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 5, 0), (1, 1, 0), (7, 3, 3)]


@pytest.mark.parametrize("options", COMMON)
@pytest.mark.parametrize("dtype", FLOATS)
def test_promise_06_planes_of_several_blocks(options, dtype):
    """Wider and higher than what is compared at once, so blocks meet in the middle of a plane."""
    shape = (1, 40, 23) if config.DISABLE_JIT else (2, 90, 61)
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    check(x, tuple(pool_windows(n, *options) for n in shape[1:]))


def test_windows_of_more_than_256_taps():
    x = np.random.default_rng(0).normal(size=(2, 21, 37))
    check(x, (pool_windows(21, 17, 3, 8), pool_windows(37, 18, 5, 9)))
    check(x, (adaptive_windows(21, 1), adaptive_windows(37, 1)))
    check(x, (adaptive_windows(21, 1), adaptive_windows(37, 2)))
    _, codes = kernels.max_pool(x, (adaptive_windows(21, 1), adaptive_windows(37, 1)))
    assert codes.dtype == np.int32


def test_places_take_one_byte():
    x = np.zeros((2, 4, 4), np.float32)
    assert kernels.max_pool(x, (pool_windows(4, 2, 2),) * 2)[1].dtype == np.uint8


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "axes", [(pool_windows(6, 3, 2, 1), pool_windows(7, 3, 1, 1)), (adaptive_windows(6, 4), adaptive_windows(7, 3))]
)
def test_promise_20_special_values(special, dtype, axes):
    rng = np.random.default_rng(0)
    for share in (0.05, 0.3, 1.0):
        x = rng.normal(size=(3, 6, 7)).astype(dtype)
        x[rng.random(x.shape) < share] = special
        y, index, _ = pooled(x, axes)
        found, codes = kernels.max_pool(x, axes)
        np.testing.assert_array_equal(found, y)
        np.testing.assert_array_equal(kernels.max_pool_indices(codes, axes), index)


def test_promise_41_layouts_and_read_only_arrays():
    axes = pool_windows(6, 3, 2, 1), pool_windows(8, 2, 2)
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 8))
    y, codes = kernels.max_pool(x, axes)
    dy = np.random.default_rng(1).normal(size=y.shape)
    wanted = y, codes, kernels.mean_pool(x, axes)
    wanted += kernels.max_pool_backward(dy, codes, axes), kernels.mean_pool_backward(dy, axes)
    for change in (
        lambda a: a.T.copy().T,
        lambda a: np.flip(np.flip(a).copy()),
        lambda a: np.repeat(a, 2, -1)[..., ::2],
        lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    ):
        x2, dy2, codes2 = change(x), change(dy), change(codes)
        before = x2.tobytes(), dy2.tobytes(), codes2.tobytes()
        found = *kernels.max_pool(x2, axes), kernels.mean_pool(x2, axes)
        found += kernels.max_pool_backward(dy2, codes2, axes), kernels.mean_pool_backward(dy2, axes)
        assert (x2.tobytes(), dy2.tobytes(), codes2.tobytes()) == before
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(config.NUMBA_NUM_THREADS < 2 or bool(config.DISABLE_JIT), reason="needs two threads")
def test_promise_25_one_thread_and_two_give_the_same_bits():
    x = np.random.default_rng(0).normal(size=(7, 5, 40, 36)).astype(np.float32)
    assert x.size > kernels.pool.SHARED_SIZE
    several = [tuple(pool_windows(n, *options) for n in x.shape[2:]) for options in COMMON]
    several += [tuple(adaptive_windows(n, out) for n in x.shape[2:]) for out in (1, 7)]

    def everything(axes):
        y, codes = kernels.max_pool(x, axes)
        mean = kernels.mean_pool(x, axes)
        return y, codes, mean, kernels.max_pool_backward(y, codes, axes), kernels.mean_pool_backward(y, axes)

    number = kernels.get_num_threads()
    try:
        for axes in several:
            results = []
            for threads in (1, 2):
                kernels.set_num_threads(threads)
                results.append([a.tobytes() for a in everything(axes)])
            assert results[0] == results[1]
    finally:
        kernels.set_num_threads(number)


def test_wrong_arrays_are_refused():
    axes = pool_windows(4, 2, 2), pool_windows(6, 2, 2)
    with pytest.raises(ValueError, match=r"max_pool: expected an array \(..., 4, 6\), got \(2, 4, 5\)"):
        kernels.max_pool(np.zeros((2, 4, 5)), axes)
    with pytest.raises(ValueError, match="mean_pool: expected"):
        kernels.mean_pool(np.zeros((2, 6, 4)), axes)
    with pytest.raises(ValueError, match=r"mean_pool_backward: expected an array \(..., 2, 3\), got \(2, 4, 6\)"):
        kernels.mean_pool_backward(np.zeros((2, 4, 6)), axes)
    with pytest.raises(ValueError, match="disagree"):
        kernels.max_pool_backward(np.zeros((2, 2, 3)), np.zeros((2, 2, 2), np.uint8), axes)
    with pytest.raises(ValueError, match="must be adaptive, or of neither"):
        kernels.max_pool(np.zeros((2, 4, 6)), (adaptive_windows(4, 3), pool_windows(6, 2, 2, 1)))
    with pytest.raises(ValueError, match="must not be dilated"):
        kernels.mean_pool(np.zeros((2, 4, 6)), (pool_windows(4, 2, 2, 0, 2), pool_windows(6, 2, 2)))


def test_promise_22_windows_that_cannot_be():
    with pytest.raises(ValueError, match="computed output size is -1"):
        pool_windows(3, 5, 1)
    with pytest.raises(ValueError, match="computed output size is 0"):
        pool_windows(0, 2, 2, 1)
    with pytest.raises(ValueError, match="meet padding only"):
        pool_windows(1, 2, 1, 1, 2)
    with pytest.raises(ValueError, match="without elements"):
        adaptive_windows(0, 2)
