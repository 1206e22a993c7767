"""The kernels of normalisation against NumPy in float64, over shapes, layouts, dtypes and threads."""

import itertools

import numpy as np
import pytest
from numba import config

from minidl import kernels
from minidl.kernels import norm, threads

PLAIN = bool(config.DISABLE_JIT)
DTYPES = [np.float32, np.float64]

# In plain Python the kernels' scalars are NumPy's, which warn; compiled code cannot.
pytestmark = [pytest.mark.filterwarnings("ignore::RuntimeWarning")] if PLAIN else []


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def reference(x, w, b, dy, axes, eps, stats=None, centred=True):
    """y, dx and the terms of dw and db, for statistics over these axes; w, b and the given stats broadcast against x."""
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    mean, var = stats if stats else (x.mean(axes, keepdims=True) * centred, None)
    rstd = 1 / np.sqrt((var if stats else ((x - mean) ** 2).mean(axes, keepdims=True)) + eps)
    xhat, g = (x - mean) * rstd, dy * w
    dx = g
    if not stats:
        dx = g - xhat * (g * xhat).mean(axes, keepdims=True) - centred * g.mean(axes, keepdims=True)
    return xhat * w + b, dx * rstd, dy * xhat, dy


def check(found, expected, T):
    assert found.dtype == T and found.shape == expected.shape and found.flags.c_contiguous
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, 0, scale * {np.float32: 3e-6, np.float64: 1e-13}[T])


def parameters(rng, shape, T):
    return rng.standard_normal(shape).astype(T), rng.standard_normal(shape).astype(T)


def over_all_but(x, axis):
    return tuple(k for k in range(x.ndim) if k != axis)


# (N, C), with sizes around 4, 16, 64 and 1024; small planes; planes above 128 and above 1024 elements; nothing
BATCHES = [
    (2, 1),
    (5, 3),
    (3, 70),
    (66, 17),
    (2, 3, 5),
    (4, 30, 7, 7),
    (3, 2, 10, 13),
    (2, 2, 33, 35),
    (1, 2, 9),
    (0, 3),
    (0, 3, 4),
]
BATCHES += [] if PLAIN else [(9, 1100), (130, 40, 8, 8), (3, 19, 12, 12)]


@pytest.mark.parametrize("T", DTYPES)
def test_promise_06_batch_norm(T, rng):
    for shape, given in itertools.product(BATCHES, [False, True]):
        x, dy = rng.normal(3, 2, shape).astype(T), rng.standard_normal(shape).astype(T)
        w, b = parameters(rng, shape[1], T)
        along = (-1, *[1] * (len(shape) - 2))
        stats = np.array([rng.standard_normal(shape[1]), rng.uniform(0.5, 2, shape[1])]) if given else None
        expected = (
            reference(
                *(x, w.reshape(along), b.reshape(along), dy, over_all_but(x, 1), 1e-3),
                stats=[s.reshape(along) for s in stats] if given else None,
            )
            if x.size
            else (x, dy, dy, dy)
        )
        y, found = kernels.batch_norm(x, w, b, 1e-3, stats)
        check(y, expected[0], T)
        dx, dw, db = kernels.batch_norm_backward(dy, x, w, 1e-3, found, not given)
        check(dx, expected[1], T)
        check(dw, expected[2].sum(over_all_but(x, 1)), T)
        check(db, expected[3].sum(over_all_but(x, 1)), T)
        nothing, same, also = kernels.batch_norm_backward(dy, x, w, 1e-3, found, not given, wanted=False)
        assert nothing is None
        np.testing.assert_array_equal([same, also], [dw, db])
        if x.size and not given:
            np.testing.assert_allclose(found[0], x.mean(over_all_but(x, 1), dtype=float), 1e-6, 1e-6)
            np.testing.assert_allclose(found[1], x.astype(float).var(over_all_but(x, 1)), 1e-5)


@pytest.mark.parametrize("T", DTYPES)
def test_promise_06_layer_norm(T, rng):
    shapes = [((3, 1), 1), ((5, 3), 1), ((4, 70), 1), ((2, 3, 35), 2), ((64, 5), 1), ((130, 6), 1), ((7,), 1), ((0, 3), 1)]
    shapes += [] if PLAIN else [((2, 2100), 1), ((300, 130), 1)]
    for (shape, axes), centred in itertools.product(shapes, [True, False]):
        x, dy = rng.normal(3, 2, shape).astype(T), rng.standard_normal(shape).astype(T)
        w, b = parameters(rng, shape[len(shape) - axes :], T)
        last, lead = tuple(range(-axes, 0)), tuple(range(len(shape) - axes))
        expected = reference(x, w, b, dy, last, 1e-3, centred=centred)
        y, stats = kernels.layer_norm(x, axes, w, b, 1e-3, centred)
        check(y, expected[0], T)
        dx, dw, db = kernels.layer_norm_backward(dy, x, axes, w, stats, centred)
        check(dx, expected[1], T)
        check(dw, expected[2].sum(lead), T)
        check(db, expected[3].sum(lead), T)
        assert kernels.layer_norm_backward(dy, x, axes, w, stats, centred, wanted=False)[0] is None


@pytest.mark.parametrize("T", DTYPES)
def test_promise_06_group_norm(T, rng):
    shapes = [((2, 6), 3), ((2, 6, 5), 2), ((3, 4, 3, 3), 4), ((2, 4, 33, 35), 1), ((1, 4, 5), 2), ((0, 4, 2), 2)]
    for shape, groups in shapes:
        x, dy = rng.normal(3, 2, shape).astype(T), rng.standard_normal(shape).astype(T)
        w, b = parameters(rng, shape[1], T)
        along = (-1, *[1] * (len(shape) - 2))
        rows = (shape[0], groups, shape[1] // groups, *shape[2:])
        wide = [np.broadcast_to(v.reshape(along), shape).reshape(rows) for v in (w, b)]
        expected = [
            v.reshape(shape) for v in reference(x.reshape(rows), *wide, dy.reshape(rows), tuple(range(2, len(rows))), 1e-3)
        ]
        y, stats = kernels.group_norm(x, groups, w, b, 1e-3)
        check(y, expected[0], T)
        dx, dw, db = kernels.group_norm_backward(dy, x, groups, w, stats)
        check(dx, expected[1], T)
        check(dw, expected[2].sum(over_all_but(x, 1)), T)
        check(db, expected[3].sum(over_all_but(x, 1)), T)
        assert kernels.group_norm_backward(dy, x, groups, w, stats, wanted=False)[0] is None


def every_norm(x, w, b, dy):
    """All results of all normalisations of x (N, C, …)."""
    y, stats = kernels.batch_norm(x, w, b)
    yield from (y, stats, *kernels.batch_norm_backward(dy, x, w, 1e-5, stats))
    y, stats = kernels.group_norm(x, 2, w, b)
    yield from (y, stats, *kernels.group_norm_backward(dy, x, 2, w, stats))
    x, dy = np.moveaxis(x, 1, -1), np.moveaxis(dy, 1, -1)
    y, stats = kernels.layer_norm(x, 1, w, b)
    yield from (y, stats, *kernels.layer_norm_backward(dy, x, 1, w, stats))
    y, stats = kernels.layer_norm(x, 1)
    yield from (y, stats, kernels.layer_norm_backward(dy, x, 1, None, stats)[0])


@pytest.mark.parametrize("T", DTYPES)
@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3), (2, 4, 10, 13)])
def test_promise_41_every_layout(T, shape, rng):
    x, dy = rng.normal(3, 2, shape).astype(T), rng.standard_normal(shape).astype(T)
    w, b = parameters(rng, 4, T)
    expected = list(every_norm(x, w, b, dy))
    layouts = [
        np.asfortranarray,
        lambda a: np.repeat(a, 2, -1)[..., ::2],
        lambda a: np.flip(np.flip(a).copy()),
        lambda a: np.frombuffer(b"\0" + a.tobytes(), T, offset=1).reshape(a.shape),
    ]
    for layout in layouts:
        arrays = [layout(a) for a in (x, w, b, dy)]
        for a in arrays:
            a.flags.writeable = False
        for found, truth in zip(every_norm(*arrays), expected, strict=True):
            np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("T", DTYPES)
@pytest.mark.parametrize("mean", [0, 1, 333.3, 1e4, -1e4])
def test_promise_18_close_values_around_a_large_mean(T, mean):
    """Within 1e-3 of float64 (they come within 1e-6); what is constant gives exactly 0."""
    row = (mean + np.arange(16) * 1e-3).astype(T)
    exact = row.astype(np.float64)
    exact = (exact - exact.mean()) / np.sqrt(exact.var() + 1e-5)
    wide = np.tile(row, (3, 2, 20))
    for found in (
        kernels.layer_norm(row[None], 1)[0],
        kernels.batch_norm(row[:, None])[0].T,
        kernels.batch_norm(row[None, None])[0][0],
        kernels.batch_norm(wide)[0][0, :, :16],
        kernels.group_norm(row[None], 1)[0],
        kernels.group_norm(wide, 2)[0][0, :, :16],
    ):
        np.testing.assert_allclose(found, np.broadcast_to(exact, found.shape), 0, 1e-6)
    constant = np.full((4, 160), mean, T)
    for found in (
        kernels.layer_norm(constant, 1)[0],
        kernels.batch_norm(constant)[0],
        kernels.batch_norm(constant[:, None])[0],
        kernels.group_norm(constant, 1)[0],
    ):
        assert not found.any()


def test_promise_18_far_from_the_first_value(rng):
    """The first value, from which the sums begin, lies a hundred thousand standard deviations off the others' mean."""
    x = rng.standard_normal((2000, 1)).astype(np.float32)
    x[0] = 1e5
    exact = x.astype(np.float64)
    exact = (exact - exact.mean()) / np.sqrt(exact.var() + 1e-5)
    for found in (kernels.batch_norm(x)[0], kernels.batch_norm(x.reshape(2, 1, 1000))[0], kernels.layer_norm(x.T, 1)[0]):
        np.testing.assert_allclose(found.ravel(), exact.ravel(), 1e-4, 1e-5)


def test_nan_and_inf_stay_in_their_channel(rng):
    for shape in [(4, 3), (4, 3, 2), (2, 3, 140)]:
        x = rng.standard_normal(shape).astype(np.float32)
        clean, _ = kernels.batch_norm(x)
        x[0, 1, ...], x[1, 2, ...] = np.nan, np.inf
        y, stats = kernels.batch_norm(x)
        np.testing.assert_array_equal(y[:, 0], clean[:, 0])
        assert np.isnan(y[:, 1:]).all()
        dx, _, _ = kernels.batch_norm_backward(np.ones_like(x), x, None, 1e-5, stats)
        assert np.isfinite(dx[:, 0]).all() and np.isnan(dx[:, 1:]).all()


def test_promise_25_one_thread_and_two_give_the_same_bits(rng, monkeypatch):
    if config.NUMBA_NUM_THREADS < 2 or config.BOUNDSCHECK:
        pytest.skip("needs two threads; and a check of bounds between a product and a sum keeps them two operations")
    monkeypatch.setattr(norm, "SHARED_SIZE", 0)
    before, results = threads.get_num_threads(), []
    shapes = [(5, 6), (3, 4, 11, 13)] if PLAIN else [(150, 70), (5, 38, 3, 3), (7, 38, 11, 13)]
    inputs = [
        (x, *parameters(rng, s[1], np.float32), rng.standard_normal(s).astype(np.float32))
        for s in shapes
        for x in [rng.standard_normal(s).astype(np.float32)]
    ]
    try:
        for number in (1, 2):
            threads.set_num_threads(number)
            results.append([result for arrays in inputs for result in every_norm(*arrays)])
    finally:
        threads.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("T", DTYPES)
def test_running_statistics_move_in_place(T):
    stats = np.array([[1.0, 2.0], [3.0, 4.0]])
    memory = np.array([[0.5, 9.0, 1.0], [2.0, 9.0, 1.0]], T)
    mean, var = memory[:, 0], memory[:, 2]  # every third element
    kernels.update_running(mean, var, stats, 0.25, 5)
    np.testing.assert_allclose(memory, [[0.625, 9, 1.6875], [2, 9, 2.0]], 1e-6)
    with pytest.raises(ValueError, match=r"update_running: expected two arrays of one dtype and shape \(2,\)"):
        kernels.update_running(np.zeros(3, T), np.zeros(3, T), stats, 0.1, 5)


def test_promise_26_shapes_and_dtypes_that_disagree_raise():
    x, w = np.ones((2, 4, 3), np.float32), np.ones(4, np.float32)
    for name, f in [
        ("batch_norm", kernels.batch_norm),
        ("group_norm", lambda x, w, b=None: kernels.group_norm(x, 2, w, b)),
        ("layer_norm", lambda x, w, b=None: kernels.layer_norm(np.moveaxis(x, 1, 2), 1, w, b)),
    ]:
        with pytest.raises(ValueError, match=rf"{name}: .* expected weight of shape \(4,\), got \(3,\)"):
            f(x, w[:3])
        with pytest.raises(ValueError, match=rf"{name}: .* expected bias of shape \(4,\), got \(1,\)"):
            f(x, w, w[:1])
        with pytest.raises(TypeError, match=rf"{name}: the input is float32 and weight float64"):
            f(x, w.astype(float))
        with pytest.raises(TypeError, match=f"{name}: expected float32 or float64, got int64"):
            f(x.astype(int), w)
    _, stats = kernels.batch_norm(x, w)
    with pytest.raises(ValueError, match=r"expected dy of shape \(2, 4, 3\), got \(4, 3\)"):
        kernels.batch_norm_backward(x[0], x, w, 1e-5, stats)
    with pytest.raises(ValueError, match=r"statistics of shape \(2, 4\), got \(4, 2\)"):
        kernels.batch_norm_backward(x, x, w, 1e-5, stats.T)
    with pytest.raises(ValueError, match="groups that divide C"):
        kernels.group_norm(x, 3)
