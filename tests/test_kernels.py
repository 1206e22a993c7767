"""The element-wise, row and update kernels against plain NumPy, over every layout, dtype and special value.

With NUMBA_DISABLE_JIT=1 the same tests run the kernels as plain Python, on fewer points.
"""

import itertools
import math
import warnings

import numpy as np
import pytest
from numba import config

from minidl import kernels
from minidl.kernels import elementwise as ew, rows, threads, update, vmath

from .kernel_checks import bits_with_gaps

PLAIN = bool(config.DISABLE_JIT)
POINTS = 300 if PLAIN else 60_000
DTYPES = [np.float32, np.float64]

# In plain Python the kernels' scalars are NumPy's, which warn; compiled code cannot.
pytestmark = [pytest.mark.filterwarnings("ignore::RuntimeWarning")] if PLAIN else []


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def close(T, single, double):
    """Tolerances for float32 or float64."""
    tolerance = {np.float32: single, np.float64: double}[T]
    return {"rtol": tolerance, "atol": tolerance / 10}


def quiet(f):
    def g(*args):
        with np.errstate(all="ignore"):
            return f(*args)

    return g


def reference_sigmoid(x):
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def reference_erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def reference_erfc(x):
    return np.vectorize(math.erfc, otypes=[np.float64])(x)


def reference_softplus(x):
    return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20))))


def reference_gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


EXACT = {  # name: truth; these promise 2 ulp
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": reference_sigmoid,
    "erf": reference_erf,
}
FORWARD = {
    **EXACT,
    "logsigmoid": lambda x: np.minimum(x, 0) - np.log1p(np.exp(-abs(x))),
    "relu": lambda x: np.where(np.isnan(x), x, np.maximum(x, 0)),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "erfc": reference_erfc,
    "gelu": lambda x: np.where(x == -np.inf, 0, x * 0.5 * reference_erfc(-x / math.sqrt(2))),  # 0 is the limit at -inf
    "silu": lambda x: np.where(x == -np.inf, 0, x * reference_sigmoid(x)),
    "softplus": reference_softplus,
}
BACKWARD = {  # name: (forward, does backward take y?)
    "tanh_backward": (ew.tanh, True),
    "sigmoid_backward": (ew.sigmoid, True),
    "relu_backward": (ew.relu, True),
    "logsigmoid_backward": (ew.logsigmoid, False),
    "leaky_relu_backward": (ew.leaky_relu, False),
    "elu_backward": (ew.elu, False),
    "gelu_backward": (ew.gelu, False),
    "silu_backward": (ew.silu, False),
    "softplus_backward": (ew.softplus, False),
}


def ulps(y, truth):
    """Distance in units of the last place of y's type; 0 for the same special value."""
    with np.errstate(all="ignore"):
        rounded = truth.astype(y.dtype)
        distance = abs(y.astype(truth.dtype) - truth) / np.spacing(abs(rounded))
    distance[(y == rounded) | (np.isnan(y) & np.isnan(rounded))] = 0
    return distance


def whole_range(T):
    info = np.finfo(T)
    powers = np.linspace(np.log2(float(info.smallest_subnormal)), float(info.maxexp) - 1e-6, POINTS)
    with np.errstate(under="ignore"):
        sizes = np.exp2(powers).astype(T)
    edge = {np.float32: 110, np.float64: 760}[T]  # past the overflow and underflow of exp
    parts = [np.linspace(-e, e, POINTS).astype(T) for e in (edge, 20, 2)]
    special = [0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, info.max, -info.max, info.tiny, -info.tiny]
    return np.concatenate([sizes, -sizes, *parts, np.array(special, T)])


@rows.jit
def exponentials_of_negative(x, y):
    for i in range(x.size):
        y[i] = vmath.exp_of_negative(x[i])


@pytest.mark.parametrize("T", DTYPES)
def test_exp_of_negative_has_the_bits_of_exp(T):
    x = whole_range(T)
    x = x[~(x > 0)]
    y = np.empty_like(x)
    exponentials_of_negative(x, y)
    np.testing.assert_array_equal(y, ew.exp(x))


@pytest.mark.parametrize("T", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_within_two_ulp_of_the_truth_over_the_whole_range(name, T):
    """Promise 15 in its sharpest form: also subnormal results, overflow, NaN and ±inf."""
    x = whole_range(T)
    if name == "erf":
        truth = reference_erf(x)  # a double itself, so half an ulp of its own for float64
    else:
        truth = quiet(EXACT[name])(x.astype(np.longdouble))
    y = getattr(ew, name)(x)
    assert y.dtype == T
    distance = ulps(y, truth)
    worst = np.argmax(distance)
    assert distance[worst] <= 2, (x[worst], y[worst], truth[worst])


@pytest.mark.parametrize("T", DTYPES)
@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "erf"])
def test_zero_keeps_its_sign(name, T):
    y = getattr(ew, name)(np.array([0.0, -0.0], T))
    assert list(np.signbit(y)) == [False, True]


def layouts(rng, T):
    """Promise 41: the ways an array can lie in memory."""
    a = (rng.standard_normal((6, 10)) * 3).astype(T)
    frozen = a.copy()
    frozen.flags.writeable = False
    odd = np.frombuffer(b"\0" + a.tobytes(), T, offset=1, count=60)  # unaligned
    yield from (a, a.T, a[::2, 1::3], a[::-1, ::-1], frozen, odd, a[0], a[:, 0], np.asfortranarray(a), a[2:2], a[:, :0])
    yield np.array(0.7, T)
    yield np.broadcast_to(a[:, None], (6, 2, 10))
    yield np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1000, -1000], T)


@pytest.mark.parametrize("T", DTYPES)
@pytest.mark.parametrize("name", FORWARD)
def test_forward_against_numpy_in_every_layout(name, T, rng):
    """Promises 6, 12, 41: values, dtype, shape, a fresh array, and an input that stays as it was."""
    for x in layouts(rng, T):
        before = x.copy()
        y = getattr(ew, name)(x)
        truth = quiet(FORWARD[name])(x.astype(np.float64))
        assert y.dtype == T and y.shape == x.shape and not np.shares_memory(x, y)
        np.testing.assert_allclose(y, truth, **close(T, 4e-6, 1e-14))
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("T", DTYPES)
@pytest.mark.parametrize("name", BACKWARD)
def test_backward_in_every_layout(name, T, rng):
    """Promises 6, 12, 41: like the same numbers in a plain array."""
    backward = getattr(ew, name)
    for x in layouts(rng, T):
        if not np.isfinite(x).all():
            continue
        dy = rng.standard_normal(x.shape).astype(T)
        dx = backward(dy, x)
        assert dx.dtype == T and dx.shape == x.shape
        np.testing.assert_array_equal(dx, backward(dy.copy(), np.array(x)))


@pytest.mark.parametrize("name", BACKWARD)
def test_backward_is_the_derivative(name, rng):
    """Promise 3: central differences in float64 with a random cotangent, away from the kinks at 0 and 20."""
    forward, takes_y = BACKWARD[name]
    x = np.concatenate([np.linspace(-6, -0.1, 40), np.linspace(0.1, 6, 40)])
    dy, h = rng.standard_normal(x.size), 1e-5
    numeric = dy * (forward(x + h) - forward(x - h)) / (2 * h)
    dx = getattr(ew, name)(dy, forward(x) if takes_y else x)
    np.testing.assert_allclose(dx, numeric, rtol=1e-7, atol=1e-9)


def test_options_reach_forward_and_backward(rng):
    x, dy, h = rng.standard_normal(50), rng.standard_normal(50), 1e-5
    for f, b, options in [
        (ew.leaky_relu, ew.leaky_relu_backward, (0.3,)),
        (ew.elu, ew.elu_backward, (2,)),
        (ew.gelu, ew.gelu_backward, (True,)),
        (ew.softplus, ew.softplus_backward, (np.float64(2.5), 3)),
    ]:
        numeric = dy * (f(x + h, *options) - f(x - h, *options)) / (2 * h)
        np.testing.assert_allclose(b(dy, x, *options), numeric, rtol=1e-7, atol=1e-9)
        assert f(x.astype(np.float32), *options).dtype == np.float32
    np.testing.assert_allclose(ew.gelu(x, tanh=True), reference_gelu_tanh(x), rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(ew.softplus(np.array([4.0, 5.0]), 1.0, 3.0), [4, 5])


@pytest.mark.parametrize("T", DTYPES)
def test_gates_keep_their_digits_far_left(T):
    """Values from mpmath; at ±inf the limits, and NaN stays NaN."""
    x = np.array([-6.9, -8, -12, -np.inf, np.inf, np.nan], T)
    rtol = 60 * np.finfo(T).eps
    ones = np.ones_like(x)
    if T is np.float64:
        gelu = [-1.7940876062903349e-11, -4.976768459417427e-15, -2.1317785344932148e-32, -0.0, np.inf, np.nan]
    else:  # of -6.9 in float32
        gelu = [-1.7940864266642921e-11, -4.976768459417427e-15, -2.1317785344932148e-32, -0.0, np.inf, np.nan]
    np.testing.assert_allclose(ew.gelu(x), gelu, rtol)
    slope = [None, -3.979607261086796e-14, -2.5578956616748956e-31, 0, 1, np.nan]
    np.testing.assert_allclose(ew.gelu_backward(ones, x)[1:], slope[1:], rtol)
    for f in (ew.gelu, ew.silu, lambda x: ew.gelu(x, True)):
        np.testing.assert_array_equal(f(x)[3:], [0, np.inf, np.nan])
    for b in (ew.gelu_backward, ew.silu_backward, lambda dy, x: ew.gelu_backward(dy, x, True)):
        np.testing.assert_array_equal(b(ones, x)[3:], [0, 1, np.nan])
        np.testing.assert_array_equal(b(ones[:2], np.array([-1e30, 1e30], T)), [0, 1])


def test_relu_at_zero_and_nan():
    """Promise 21: ReLU'(0) = 0."""
    x = np.array([-1, -0.0, 0, 2, np.nan], np.float32)
    y = ew.relu(x)
    np.testing.assert_array_equal(y, [0, 0, 0, 2, np.nan])
    np.testing.assert_array_equal(ew.relu_backward(np.ones_like(x), y)[:4], [0, 0, 0, 1])


def test_sigmoid_and_binary_cross_entropy_at_the_extremes():
    """Promise 15: no overflow, no warning, finite gradients."""
    x, t = np.array([1000, -1000, 1000, -1000, 0], np.float32), np.array([1, 0, 0, 1, 0.5], np.float32)
    with warnings.catch_warnings():
        if not PLAIN:
            warnings.simplefilter("error")
        np.testing.assert_array_equal(ew.sigmoid(x), [1, 0, 1, 0, 0.5])
        losses = ew.binary_cross_entropy_with_logits(x, t)
        np.testing.assert_allclose(losses, [0, 0, 1000, 1000, math.log(2)], rtol=1e-6)
        np.testing.assert_array_equal(ew.binary_cross_entropy_with_logits_backward(x, t), [0, 0, 1, -1, 0])


ANY_PLACE = {  # maps of one array, and backward maps of a dy that is 1
    **{name: getattr(ew, name) for name in [*EXACT, "erfc", "gelu", "logsigmoid", "silu", "softplus"]},
    "gelu by tanh": lambda x: ew.gelu(x, True),
    "gelu_backward by tanh": lambda x: ew.gelu_backward(np.ones_like(x), x, True),
    "gelu_backward": lambda x: ew.gelu_backward(np.ones_like(x), x),
    "silu_backward": lambda x: ew.silu_backward(np.ones_like(x), x),
    "softplus_backward": lambda x: ew.softplus_backward(np.ones_like(x), x),
    "binary_cross_entropy_with_logits_backward": lambda x: ew.binary_cross_entropy_with_logits_backward(x, np.ones_like(x)),
}


@pytest.mark.parametrize("T", DTYPES)
@pytest.mark.parametrize("name", ANY_PLACE)
def test_bits_do_not_depend_on_the_place_in_the_array(name, T, rng):
    """Alone, among others, at any distance from a round address, on either side of the end of the vector code."""
    f = ANY_PLACE[name]
    x = (rng.standard_normal(75) * 4).astype(T)
    x[::9] *= 20
    y = f(x)
    for i in range(x.size):
        np.testing.assert_array_equal(f(x[i : i + 1]), y[i : i + 1])
    for start in range(1, 18):
        np.testing.assert_array_equal(f(x[start:]), y[start:])
        np.testing.assert_array_equal(f(x[:-start]), y[:-start])


def layer_norm(x, dy):
    y, stats = kernels.layer_norm(x, 1)
    return y, *kernels.layer_norm_backward(dy, x, 1, None, stats)


def batch_norm(x, dy):
    x, dy = x[None], dy[None]
    y, stats = kernels.batch_norm(x)
    return y, stats, *kernels.batch_norm_backward(dy, x, None, 1e-5, stats)


def cross_entropy(x, dy):
    labels = np.arange(len(x))
    losses, shift_and_log, *_ = kernels.cross_entropy(x, labels, mean=False)
    return losses, kernels.cross_entropy_backward(dy[:, 0], x, shift_and_log, labels)


def attention(x, dy):
    y, lse = kernels.attention(x, x, x)
    return y, *kernels.attention_backward(dy, x, x, x, y, lse)


CLOSE = {
    "variance of rows": lambda x, dy: kernels.variance(x, (1,), 3.0),
    "variance of columns": lambda x, dy: kernels.variance(x, (0,), 3.0),
    "sums": lambda x, dy: [kernels.sum_over(x, axes) for axes in [(0,), (1,), (0, 1)]],
    "softmax": lambda x, dy: [y := kernels.softmax(x), kernels.softmax_backward(dy, y), kernels.softmax(x, 0)],
    "log_softmax": lambda x, dy: [y := kernels.log_softmax(x), kernels.log_softmax_backward(dy, y), kernels.logsumexp(x)],
    "layer_norm": layer_norm,
    "batch_norm": batch_norm,
    "cross_entropy": cross_entropy,
    "attention": attention,
    "matmul": lambda x, dy: [kernels.matmul(x, dy.T), kernels.matmul(x.T, dy), kernels.matmul(x, dy[0])],
}


@pytest.mark.parametrize("T", DTYPES)
@pytest.mark.parametrize("name", CLOSE)
def test_promise_25_bits_do_not_depend_on_how_close_arrays_lie(name, T, rng):
    for shape in itertools.product((1, 2, 3), (4, 5, 7, 12, 13, 20)):
        x, dy = (rng.standard_normal(shape).astype(T) for _ in range(2))
        far, *close = bits_with_gaps(CLOSE[name], x, dy)
        assert close == [far] * len(close), f"of shape {shape}"


@pytest.fixture
def two_threads(monkeypatch):
    """A machine where a second thread always pays."""
    if config.NUMBA_NUM_THREADS < 2:
        pytest.skip("needs two threads")
    monkeypatch.setattr(ew, "SHARED_SIZE", 0)
    monkeypatch.setattr(rows, "SHARED_SIZE", 0)
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_one_thread_and_two_give_the_same_bits(rng):
    """Promise 25. Compiling a parallel kernel takes seconds: all of them only in plain Python, which is quick."""
    N, C = (13, 7) if PLAIN else (1003, 201)
    x, dy = (rng.standard_normal((N, C)).astype(np.float32) for _ in range(2))
    labels = rng.integers(0, C, N)

    def results():
        yield ew.gelu(x)
        yield ew.tanh_backward(dy, x)
        y = rows.softmax(x)
        yield y
        losses, shift_and_log, *_ = rows.cross_entropy(x, labels)
        yield losses
        if PLAIN:
            z = rows.log_softmax(x)
            yield z
            yield rows.softmax_backward(dy, y)
            yield rows.log_softmax_backward(dy, z)
            yield rows.cross_entropy_backward(dy[:, 0], x, shift_and_log, labels)
            yield rows.cross_entropy_soft_backward(dy[:, 0], x, shift_and_log, y)

    threads.set_num_threads(1)
    one = list(results())
    threads.set_num_threads(2)
    for a, b in zip(one, results(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_add_rows(dtype):
    rng = np.random.default_rng(0)
    for V, E, n in ((7, 3, 20), (5, 1, 9), (1, 4, 3), (3, 0, 4), (3, 4, 0)):
        index, rows = rng.integers(0, V, n), rng.standard_normal((n, E)).astype(dtype)
        table = rng.standard_normal((V, E)).astype(dtype)
        expected = table.copy()
        np.add.at(expected, index, rows)
        ew.add_rows(table, index, rows[::-1][::-1])
        assert np.array_equal(table, expected)
    for wrong in (np.array([0, 7]), np.array([-1, 0])):
        with pytest.raises(IndexError, match="add_rows"):
            ew.add_rows(np.ones((7, 3)), wrong, np.ones((2, 3)))
    with pytest.raises(ValueError, match="add_rows"):
        ew.add_rows(np.ones((7, 3)), np.array([0]), np.ones((1, 4)))


def test_sum_of_squares_is_accumulated_in_float64():
    """Promise 24: the squared norm of float32 gradients of 1e19 is finite."""
    assert ew.sum_of_squares(np.full(4, 1e19, np.float32)) == pytest.approx(4e38)
    assert math.isnan(ew.sum_of_squares(np.array([1, np.nan, np.inf])))


def reference_softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


ROW_SHAPES = [(64, 10), (3, 1), (5, 2, 7), (4,), (1, 3000), (0, 4), (2, 0, 3), (700, rows.FEW - 1), (90, rows.FEW)]


@pytest.mark.parametrize("T", DTYPES)
def test_softmax_family_over_shapes_and_axes(T, rng):
    tolerance = close(T, 1e-5, 1e-13)
    for shape in ROW_SHAPES:
        for axis in range(-1, len(shape)):
            if shape[axis] == 0:
                continue
            x = (rng.standard_normal(shape) * 3).astype(T)
            dy = rng.standard_normal(shape).astype(T)
            exact, exact_dy = x.astype(np.float64), dy.astype(np.float64)
            p = reference_softmax(exact, axis) if x.size else exact
            y, logy = rows.softmax(x, axis), rows.log_softmax(x, axis)
            results = [
                (y, p),
                (logy, np.log(p)),
                (rows.softmax_backward(dy, y, axis), p * (exact_dy - (exact_dy * p).sum(axis, keepdims=True))),
                (rows.log_softmax_backward(dy, logy, axis), exact_dy - p * exact_dy.sum(axis, keepdims=True)),
                (rows.logsumexp(x, axis), np.log(np.exp(exact).sum(axis))),
            ]
            for result, truth in results:
                assert result.dtype == T and result.shape == truth.shape and result.flags.c_contiguous
                np.testing.assert_allclose(result, truth, **tolerance)


@pytest.mark.parametrize("T", DTYPES)
def test_softmax_family_in_every_layout(T, rng):
    """Promise 41."""
    for x in layouts(rng, T):
        if x.size == 0 or not np.isfinite(x).all():
            continue
        before, dense = x.copy(), np.array(x, order="C")
        for f in (rows.softmax, rows.log_softmax, rows.logsumexp):
            np.testing.assert_array_equal(f(x), f(dense))
        np.testing.assert_array_equal(rows.softmax_backward(x, x), rows.softmax_backward(dense, dense))
        np.testing.assert_array_equal(x, before)
    assert rows.softmax(np.zeros((), T)) == 1
    assert rows.softmax(np.zeros((3, 0), T)).shape == (3, 0)
    np.testing.assert_array_equal(rows.logsumexp(np.zeros((3, 0), T)), [-np.inf] * 3)


@pytest.mark.skipif(PLAIN, reason="plain Python takes a minute, and does not read ahead")
@pytest.mark.parametrize("T", (np.float32, np.float64))
@pytest.mark.parametrize("shape", [(40, 9000), (300, 1000), (2500, 130), (131_072, 3)])
def test_a_large_softmax_is_that_of_its_rows(T, shape, rng):
    """The kernel reads ahead from some size on; not a bit may change, in whole blocks and in the last."""
    x = rng.normal(size=shape).astype(T)
    assert x.size >= rows.LARGE
    for f in (rows.softmax, rows.log_softmax, rows.logsumexp):
        y, step = f(x), max(1, shape[0] // 7)
        for i in range(0, shape[0], step):
            np.testing.assert_array_equal(y[i : i + step], f(x[i : i + step].copy()))


@pytest.mark.parametrize("T", DTYPES)
def test_softmax_at_the_extremes(T):
    """Promise 15, exactly and without a warning."""
    x = np.array([[1000, 0, 0, 0]], T)
    np.testing.assert_array_equal(rows.softmax(x), [[1, 0, 0, 0]])
    np.testing.assert_array_equal(rows.log_softmax(x), [[0, -1000, -1000, -1000]])
    np.testing.assert_array_equal(rows.logsumexp(x), [1000])
    np.testing.assert_allclose(rows.logsumexp(np.full((1, 4), -1000, T)), [np.log(4) - 1000], rtol=1e-6)
    losses, shift_and_log, *_ = rows.cross_entropy(x, np.array([1]))
    np.testing.assert_array_equal(losses, [1000])
    np.testing.assert_array_equal(rows.cross_entropy_backward(np.ones(1, T), x, shift_and_log, np.array([1])), [[1, -1, 0, 0]])


@pytest.mark.parametrize("T", [np.float32, np.float64])
@pytest.mark.parametrize("C", [1, 2, 10, 17, 33, 100, 1000])
def test_nan_wherever_it_stands_spoils_its_row_and_no_other(C, T, rng):
    labels, others = np.zeros(3, np.int64), [0, 2]
    for place in {0, C // 2, C - 1}:
        x = (50 * rng.standard_normal((3, C))).astype(T)
        x[1, 0] = 1e30  # its exponential would be infinite if a maximum beside NaN were forgotten and the rest were used
        x[1, place] = np.nan
        losses, kept, numbers = rows.cross_entropy(x, labels)[:3]
        gradient = rows.cross_entropy_backward(np.ones(1, T), x, kept, labels, numbers=numbers)
        for y in (rows.softmax(x), rows.log_softmax(x), rows.logsumexp(x), losses, gradient):
            assert np.isnan(y[1]).all() and np.isfinite(y[others]).all()


def test_fully_masked_rows_have_no_weight_and_spoil_nothing():
    """Promise 16."""
    x = np.array([[-np.inf] * 3, [0, -np.inf, 0], [np.nan, 0, 0], [np.inf, 0, 0]])
    y = rows.softmax(x)
    np.testing.assert_array_equal(y[:2], [[0, 0, 0], [0.5, 0, 0.5]])
    assert np.isnan(y[2]).all() and np.isnan(y[3]).any()
    np.testing.assert_array_equal(rows.softmax_backward(np.ones((2, 3)), y[:2]), np.zeros((2, 3)))
    np.testing.assert_array_equal(rows.log_softmax(x)[0], [-np.inf] * 3)
    assert rows.logsumexp(x)[0] == -np.inf


def losses_by_hand(logits, q, weight):
    """-Σ_c w_c q_c ln p_c with 0·ln 0 = 0."""
    logits = logits.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = -np.log(reference_softmax(logits)) * q * weight
    return np.where(q == 0, 0, terms).sum(1)


def one_hot(labels, C):
    return (labels[:, None] == np.arange(C)).astype(np.float64)


@pytest.mark.parametrize("T", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_against_numpy(weighted, smoothing, T, rng):
    N, C = 23, 10
    tolerance = close(T, 1e-5, 1e-12)
    logits = (rng.standard_normal((N, C)) * 3).astype(T)
    labels, dloss = rng.integers(0, C, N), rng.standard_normal(N).astype(T)
    labels[[3, 7]] = -100
    weight = rng.uniform(0.5, 2, C).astype(T) if weighted else None
    w = np.ones(C) if weight is None else weight.astype(np.float64)
    q = (1 - smoothing) * one_hot(labels, C) + smoothing / C
    q[[3, 7]] = 0
    p = reference_softmax(logits.astype(np.float64))

    losses, shift_and_log, *_ = rows.cross_entropy(logits, labels, weight, -100, smoothing)
    assert losses.dtype == T and losses[3] == 0
    np.testing.assert_allclose(losses, losses_by_hand(logits, q, w), **tolerance)
    gradient = dloss[:, None] * ((q * w).sum(1, keepdims=True) * p - q * w)
    result = rows.cross_entropy_backward(dloss, logits, shift_and_log, labels, weight, -100, smoothing)
    assert result.dtype == T
    np.testing.assert_allclose(result, gradient, **tolerance)

    targets = rng.dirichlet(np.ones(C), N).astype(T)
    q = (1 - smoothing) * targets + smoothing / C
    losses, shift_and_log = rows.cross_entropy_soft(logits, targets, weight, smoothing)
    np.testing.assert_allclose(losses, losses_by_hand(logits, q, w), **tolerance)
    gradient = dloss[:, None] * ((q * w).sum(1, keepdims=True) * p - q * w)
    result = rows.cross_entropy_soft_backward(dloss, logits, shift_and_log, targets, weight, smoothing)
    np.testing.assert_allclose(result, gradient, **tolerance)
    result = rows.cross_entropy_soft_backward_targets(dloss, logits, shift_and_log, weight, smoothing)
    assert result.dtype == T
    np.testing.assert_allclose(result, dloss[:, None] * (1 - smoothing) * w * -np.log(p), **tolerance)


def test_cross_entropy_against_torch(rng):
    torch = pytest.importorskip("torch")
    logits, dloss = rng.standard_normal((9, 5)), rng.standard_normal(9)
    labels, targets, weight = rng.integers(0, 5, 9), rng.dirichlet(np.ones(5), 9), rng.uniform(0.5, 2, 5)
    labels[2] = 4
    for w, smoothing in itertools.product([None, weight], [0.0, 0.2]):
        options = {"weight": None if w is None else torch.tensor(w), "label_smoothing": smoothing, "reduction": "none"}
        x, t = torch.tensor(logits, requires_grad=True), torch.tensor(targets, requires_grad=True)
        expected = torch.nn.functional.cross_entropy(x, torch.tensor(labels), ignore_index=4, **options)
        expected.backward(torch.tensor(dloss))
        losses, shift_and_log, *_ = rows.cross_entropy(logits, labels, w, 4, smoothing)
        np.testing.assert_allclose(losses, expected.detach(), atol=1e-13)
        np.testing.assert_allclose(
            rows.cross_entropy_backward(dloss, logits, shift_and_log, labels, w, 4, smoothing), x.grad, atol=1e-13
        )
        x.grad = None
        expected = torch.nn.functional.cross_entropy(x, t, **options)
        expected.backward(torch.tensor(dloss))
        losses, shift_and_log = rows.cross_entropy_soft(logits, targets, w, smoothing)
        np.testing.assert_allclose(losses, expected.detach(), atol=1e-13)
        np.testing.assert_allclose(
            rows.cross_entropy_soft_backward(dloss, logits, shift_and_log, targets, w, smoothing), x.grad, atol=1e-13
        )
        np.testing.assert_allclose(
            rows.cross_entropy_soft_backward_targets(dloss, logits, shift_and_log, w, smoothing), t.grad, atol=1e-13
        )


def test_cross_entropy_of_ruled_out_classes_is_finite():
    """Promises 16, 17: a logit of -inf for a wrong class costs nothing and gets no gradient."""
    x, labels = np.array([[-np.inf, 1.0, 1.0]]), np.array([1])
    losses, shift_and_log, *_ = rows.cross_entropy(x, labels)
    np.testing.assert_allclose(losses, [math.log(2)])
    np.testing.assert_allclose(rows.cross_entropy_backward(np.ones(1), x, shift_and_log, labels), [[0, -0.5, 0.5]], atol=1e-15)
    losses, shift_and_log = rows.cross_entropy_soft(x, np.array([[0, 0.5, 0.5]]))
    np.testing.assert_allclose(losses, [math.log(2)])
    assert rows.cross_entropy_soft(x, np.array([[0.5, 0.5, 0]]))[0] == np.inf


def test_bad_labels_are_named():
    """Promise 27: before any kernel runs, with the value and the bound."""
    x = np.zeros((5, 10), np.float32)
    with pytest.raises(IndexError, match="label 10 at index 3 is out of range for 10 classes"):
        rows.cross_entropy(x, np.array([0, 9, -100, 10, 11]))
    with pytest.raises(IndexError, match="label -1 at index 0"):
        rows.cross_entropy(x, np.array([-1, 0, 0, 0, 0]))


@pytest.mark.parametrize("T", DTYPES)
def test_sgd_three_steps_against_numpy(T, rng):
    """Promises 12, 41: in the parameter's dtype also for np.float64 options, in place, in any layout."""
    start, gradients = rng.standard_normal((4, 6)).astype(T), rng.standard_normal((3, 4, 6)).astype(T)
    flags = (False, True)
    for momentum, dampening, decay, nesterov, maximize in itertools.product((0, 0.9), (0, 0.3), (0, 0.1), flags, flags):
        if nesterov and (momentum == 0 or dampening):
            continue
        for layout in (np.ascontiguousarray, np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2]):
            p, exact = layout(start.copy()), start.astype(np.float64)
            buffer = layout(np.full_like(start, np.nan)) if momentum else None  # as np.empty may be
            exact_buffer = None
            for step, g in enumerate(gradients):
                update.sgd(p, layout(g), buffer, np.float64(0.1), momentum, dampening, decay, nesterov, maximize, step == 0)
                d = (-g if maximize else g) + decay * exact
                if momentum:
                    exact_buffer = d if step == 0 else momentum * exact_buffer + (1 - dampening) * d
                    d = d + momentum * exact_buffer if nesterov else exact_buffer
                exact = exact - 0.1 * d
            assert p.dtype == T
            np.testing.assert_allclose(p, exact, **close(T, 1e-5, 1e-13))


def test_arrays_that_do_not_match_raise_before_the_kernel():
    """Kernels check no bounds: a wrong length would read or write memory that is not theirs."""
    x, y, labels = np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32), np.zeros(4, np.int64)
    shift_and_log = rows.cross_entropy(x, labels)[1]
    ones = np.ones(4, np.float32)
    wrong = [
        lambda: ew.relu_backward(x, y),
        lambda: ew.binary_cross_entropy_with_logits(x, x[0]),
        lambda: rows.softmax_backward(x, y),
        lambda: rows.log_softmax_backward(x, y),
        lambda: rows.cross_entropy(x, labels[:3]),
        lambda: rows.cross_entropy(x, labels, np.ones(2, np.float32)),
        lambda: rows.cross_entropy_backward(ones[:2], x, shift_and_log, labels),
        lambda: rows.cross_entropy_backward(ones, x, shift_and_log[:2], labels),
        lambda: rows.cross_entropy_backward(ones, x, shift_and_log, labels[:2]),
        lambda: rows.cross_entropy_soft(x, y),
        lambda: rows.cross_entropy_soft_backward(ones[:2], x, shift_and_log, x),
        lambda: update.sgd(x, y),
        lambda: update.sgd(x, x, y, momentum=0.9),
    ]
    for call in wrong:
        with pytest.raises(ValueError, match="expected"):
            call()


def test_labels_that_were_spoilt_after_forward_write_nowhere():
    x, labels = np.zeros((2, 3), np.float32), np.array([0, 1])
    shift_and_log = rows.cross_entropy(x, labels)[1]
    labels[1] = 10**9
    dx = rows.cross_entropy_backward(np.ones(2, np.float32), x, shift_and_log, labels)
    np.testing.assert_allclose(dx, [[-2 / 3, 1 / 3, 1 / 3], [0, 0, 0]], rtol=1e-6)


def test_without_weight_decay_an_infinite_parameter_stays_infinite():
    for buffer in (None, np.zeros(2, np.float32)):
        p = np.array([np.inf, 1], np.float32)
        update.sgd(p, np.ones(2, np.float32), buffer, lr=0.5, first_step=True)
        np.testing.assert_array_equal(p, [np.inf, 0.5])
