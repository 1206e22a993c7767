"""Sums: over any axes of any layout, as exact as float64 makes them, and what averages, varies and accumulates with them."""

import itertools
import math

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import kernels
from minidl.kernels import sums

SHAPES = [
    (),
    (1,),
    (5,),
    (3, 4),
    (2, 3, 4),
    (2, 1, 3, 5),
    (0, 3),
    (3, 0, 2),
    (600, 7),
    (1025, 3),
    (2, 700, 5),
    (70000,),
    (3, 2, 2, 2, 3),
]


def layouts(x):
    yield x
    yield x.T
    yield np.asfortranarray(x)
    yield np.broadcast_to(x, (2, *x.shape))
    if x.ndim:
        yield x[::-1]
        yield np.repeat(x, 2, -1)[..., ::2]
        buffer = np.empty(x.nbytes + 1, np.uint8)
        unaligned = buffer[1:].view(x.dtype).reshape(x.shape) if x.size else x
        unaligned[...] = x
        yield unaligned


@pytest.mark.parametrize("T", ["f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_totals_over_all_axes_of_all_layouts(shape, T):
    for x in layouts(np.random.default_rng(0).standard_normal(shape).astype(T)):
        before = x.copy()
        for number in range(x.ndim + 1):
            for axes in itertools.combinations(range(x.ndim), number):
                for squares in (False, True):
                    y = sums.total(x, axes, squares)
                    expected = (x.astype("f8") ** (2 if squares else 1)).sum(axis=axes)
                    assert y.dtype == np.float64 and np.shape(y) == expected.shape
                    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-11)
                kept = sums.sum_over(x, axes, True)
                assert kept.dtype == T and kept.shape == x.sum(axis=axes, keepdims=True).shape
        assert np.array_equal(x, before)


def test_a_total_of_float32_is_the_true_one_rounded_once():
    x = np.random.default_rng(1).uniform(0, 1, (3, 70001)).astype("f4")
    exact = np.array([math.fsum(row) for row in x])
    assert np.array_equal(sums.sum_over(x, (1,)), exact.astype("f4"))
    assert np.array_equal(sums.sum_over(np.ascontiguousarray(x.T), (0,)), exact.astype("f4"))
    assert sums.sum_over(x, (0, 1)) == np.float32(math.fsum(x.ravel()))


def test_a_total_of_float64_errs_by_a_few_last_digits():
    x = np.random.default_rng(1).uniform(0, 1, (1_000_000, 2))
    for array, axis in ((x, 0), (np.ascontiguousarray(x.T), 1)):
        exact = np.array([math.fsum(column) for column in x.T])
        assert np.abs(sums.total(array, (axis,)) / exact - 1).max() < 2e-15


def test_infinities_and_nan_come_through():
    x = np.ones((3, 1000), "f4")
    x[0, 7], x[1, 5], x[1, 900] = np.inf, np.inf, -np.inf
    for array, axis in ((x, 1), (np.ascontiguousarray(x.T), 0)):
        y = sums.total(array, (axis,))
        assert y[0] == np.inf and np.isnan(y[1]) and y[2] == 1000


@pytest.mark.skipif(minidl.kernels.threads.numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")
def test_promise_25_the_same_bits_on_two_threads():
    rng, number = np.random.default_rng(0), kernels.get_num_threads()
    cases = [
        ((300, 1000), (0,)),
        ((300, 1000), (1,)),
        ((1_000_003,), (0,)),
        ((100_003, 3), (0,)),
        ((5, 400, 90), (1,)),
        ((400, 700), (0, 1)),
    ]
    try:
        for shape, axes in cases:
            for T in ("f4", "f8"):
                x, found = rng.standard_normal(shape).astype(T), []
                for parts in (1, 2):
                    kernels.set_num_threads(parts)
                    found.append(sums.total(x, axes))
                assert np.array_equal(*found)
    finally:
        kernels.set_num_threads(number)


def test_integers_stay_integers():
    x = np.array([[2**60, 1], [2**60, 2]])
    assert sums.sum_over(x, (0,)).tolist() == [2**61, 3] and sums.running_sums(x, 0).tolist() == [[2**60, 1], [2**61, 3]]


def test_running_sums_are_added_in_float64():
    for shape, axis in itertools.product([(4,), (3, 4), (2, 3, 4), (0, 3), (3, 0)], (0, -1)):
        x, axis = np.random.default_rng(0).standard_normal(shape), axis % len(shape)
        np.testing.assert_allclose(sums.running_sums(x, axis), np.cumsum(x, axis), rtol=1e-12)
        backwards = np.flip(np.cumsum(np.flip(x, axis), axis), axis)
        np.testing.assert_allclose(sums.running_sums(x, axis, backwards=True), backwards, rtol=1e-12)
    ones = minidl.ones(17_000_000)
    assert ones.cumsum(0)[-1] == 17_000_000
    x = np.full((100_001, 2), 0.1, "f4")
    exact = 100_001 * float(np.float32(0.1))
    assert (minidl.tensor(x).cumsum(0)[-1].numpy() == np.float32(exact)).all()
    w = minidl.tensor(x, requires_grad=True)
    w.cumsum(0).backward(minidl.tensor(x))
    assert (w.grad[0].numpy() == np.float32(exact)).all()


# --- what tensors make of them


def test_sums_of_many_float32_numbers():
    assert minidl.ones(17_000_000, 2).sum(0).tolist() == [17_000_000, 17_000_000]
    years = minidl.full((100_000, 3), 2000.0246)
    assert (years.mean(0) == years[0]).all() and (years.T.mean(-1) == years[0]).all()
    assert years.logsumexp(0)[0].item() == pytest.approx(2000.0246 + math.log(100_000), rel=1e-7)
    assert years.norm(dim=0)[0].item() == pytest.approx(float(years[0, 0]) * math.sqrt(100_000), rel=1e-7)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_the_variance_of_numbers_far_from_0(axis):
    x = np.random.default_rng(0).normal(1e6, 1, (10_000, 10)).astype("f4")
    x = x if axis == 0 else x.T
    exact = x.astype("f8").var(axis, ddof=1)
    w = minidl.tensor(x, requires_grad=True)
    np.testing.assert_allclose(w.var(axis).detach().numpy(), exact, rtol=1e-6)
    np.testing.assert_allclose(w.std(axis).detach().numpy(), np.sqrt(exact), rtol=1e-6)
    w.var(axis).sum().backward()
    n = x.size if axis is None else x.shape[axis]
    centred = x - x.astype("f8").mean(axis, keepdims=True)
    np.testing.assert_allclose(w.grad.numpy(), 2 * centred / (n - 1), rtol=1e-4, atol=1e-9)


def test_the_deviation_of_large_numbers_does_not_overflow():
    assert minidl.tensor([1e20, -1e20]).std().item() == pytest.approx(math.sqrt(2) * 1e20)
    assert minidl.tensor([3e30, 4e30]).norm().item() == pytest.approx(5e30)
    assert minidl.tensor([3e-30, 4e-30]).norm().item() == pytest.approx(5e-30)


@pytest.mark.parametrize("dim", [None, 0, 1, (0, 1)])
def test_promise_46_the_gradient_of_a_deviation_of_0_is_0(dim):
    x = minidl.full((3, 2), 2.0, requires_grad=True)
    x.std(dim).sum().backward()
    assert (x.grad == 0).all()


@pytest.mark.parametrize("T", [minidl.float32, minidl.float64])
def test_promise_45_the_mean_of_ones_is_1(T):
    for n in (*range(1, 200), 1000, 12345):
        x = minidl.ones(n, dtype=T)
        assert x.mean() == 1 and x[:, None].mean(0) == 1 and F.mse_loss(x, 0 * x) == 1 and F.l1_loss(x, 0 * x) == 1
        assert F.adaptive_avg_pool1d(x[None], 1) == 1 and F.avg_pool1d(x[None], n) == 1
        assert F.binary_cross_entropy(x / math.e, x).item() == pytest.approx(1, rel=1e-6)
    for shape in ((41, 3), (3, 41), (7, 5, 11)):
        assert (minidl.ones(shape, dtype=T).mean(0) == 1).all() and minidl.ones(shape, dtype=T).mean() == 1


def test_gradients_that_are_sums():
    n = 100_000
    rng = np.random.default_rng(0)
    x, dy = rng.uniform(0, 1, (n, 4)).astype("f4"), rng.uniform(0, 1, (n, 3)).astype("f4")
    inputs = [minidl.tensor(a, requires_grad=True) for a in (x, rng.standard_normal((3, 4)).astype("f4"), np.zeros(3, "f4"))]
    F.linear(*inputs).backward(minidl.tensor(dy))
    x64, dy64 = x.astype("f8"), dy.astype("f8")
    np.testing.assert_allclose(inputs[1].grad.numpy(), dy64.T @ x64, rtol=3e-7)
    np.testing.assert_allclose(inputs[2].grad.numpy(), dy64.sum(0), rtol=1e-7)
    b = minidl.zeros(3, requires_grad=True)
    (minidl.tensor(dy) + b).backward(minidl.tensor(dy))
    np.testing.assert_allclose(b.grad.numpy(), dy64.sum(0), rtol=1e-7)
    b = minidl.zeros(3, requires_grad=True)
    b.expand(n, 3).backward(minidl.tensor(dy))
    np.testing.assert_allclose(b.grad.numpy(), dy64.sum(0), rtol=1e-7)


@pytest.mark.parametrize(
    "shape", [(8, 100_000, 8), (64, 4096, 32), (3, 20_001, 5), (1, 100_000, 6), (6, 100_000, 1), (1, 100_000, 1)]
)
def test_products_with_a_long_k(shape):
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, (m, k)).astype("f4"), rng.uniform(0, 1, (k, n)).astype("f4")
    exact = a.astype("f8") @ b.astype("f8")
    for left, right in itertools.product((a, np.asfortranarray(a)), (b, np.asfortranarray(b))):
        np.testing.assert_allclose(kernels.matmul(left, right), exact, rtol=1e-6)
    np.testing.assert_allclose(kernels.matmul(a[0], b), exact[0], rtol=1e-6)
    np.testing.assert_allclose(kernels.linear(a, np.ascontiguousarray(b.T), np.ones(n, "f4")), exact + 1, rtol=1e-6)


@pytest.mark.parametrize(
    "equation, shapes", [("ij->j", [(100_000, 3)]), ("ij->i", [(3, 100_000)]), ("ij,k->k", [(100_000, 2), (3,)])]
)
def test_einsum_adds_in_float64_what_one_factor_has_alone(equation, shapes):
    xs = [np.random.default_rng(0).uniform(0, 1, shape).astype("f4") for shape in shapes]
    exact = np.einsum(equation, *(x.astype("f8") for x in xs))
    np.testing.assert_allclose(minidl.einsum(equation, *map(minidl.tensor, xs)).numpy(), exact, rtol=2e-7)


@pytest.mark.parametrize("kernel", [kernels.amax, kernels.amin])
@pytest.mark.parametrize("axes", [(0, 0), (0, 2), (2,)])
def test_extremes_refuse_axes_that_are_no_axes(kernel, axes):
    with pytest.raises(ValueError, match="distinct axes"):
        kernel(np.ones((2, 3)), axes)
