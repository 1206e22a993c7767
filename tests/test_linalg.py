"""minidl.linalg: what the values must satisfy, NumPy's values, gradients, and what is refused."""

import math

import numpy as np
import pytest

import minidl
from minidl import linalg
from minidl.autograd import gradcheck, gradgradcheck


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def regular(*shape, seed=0):
    return random(*shape, seed=seed) + 3 * np.eye(*shape[-2:])


def definite(*shape, seed=0):
    x = random(*shape, seed=seed)
    return x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])


def leaf(array):
    return minidl.tensor(array).requires_grad_()


def close(found, expected, rtol=1e-10):
    found = found.detach().array if isinstance(found, minidl.Tensor) else found
    np.testing.assert_allclose(found, expected, rtol, 1e-12)


# --- determinants, inverses, equations


def test_determinants():
    x = regular(2, 3, 3)
    close(linalg.det(leaf(x)), np.linalg.det(x))
    sign, log = linalg.slogdet(leaf(-x))
    close(sign, np.sign(-np.linalg.det(x)))
    close(log, np.log(np.abs(np.linalg.det(x))))
    assert linalg.det(minidl.zeros(0, 0)).item() == 1 and linalg.slogdet(minidl.zeros(2, 2)).logabsdet.item() == -math.inf
    assert gradcheck(linalg.det, leaf(x)) and gradgradcheck(linalg.det, leaf(x))
    assert gradcheck(lambda x: linalg.slogdet(x)[1], leaf(x)) and gradgradcheck(lambda x: linalg.slogdet(x)[1], leaf(x))


@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 2, 3], [2, 4, 6], [1, 0, 1]]])
def test_singular_matrices_have_cofactors(matrix):
    x = leaf(np.array(matrix))
    linalg.det(x).backward()
    minors = np.array(
        [[np.linalg.det(np.delete(np.delete(x.array, i, 0), j, 1)) for j in range(len(x))] for i in range(len(x))]
    )
    close(x.grad, minors * (-1.0) ** np.add.outer(range(len(x)), range(len(x))), 1e-9)
    assert gradcheck(linalg.det, x)


def test_inverses_and_powers():
    x = regular(2, 3, 3)
    close(linalg.inv(leaf(x)) @ leaf(x), np.broadcast_to(np.eye(3), (2, 3, 3)))
    for n in (-2, -1, 0, 1, 2, 5):
        close(linalg.matrix_power(leaf(x), n), np.linalg.matrix_power(x, n), 1e-8)
        assert gradcheck(lambda x, n=n: linalg.matrix_power(x, n), leaf(x / 3 + np.eye(3)))
    tall = random(4, 2)
    close(linalg.pinv(leaf(tall)), np.linalg.pinv(tall))
    assert gradcheck(linalg.pinv, leaf(tall))
    assert linalg.pinv(minidl.zeros(2, 3)).tolist() == [[0, 0]] * 3


@pytest.mark.parametrize(
    ("a", "b", "left"),
    [((3, 3), (3,), True), ((3, 3), (3, 2), True), ((2, 3, 3), (2, 3), True), ((2, 1, 3, 3), (4, 3, 2), True),
     ((3, 3), (2, 3), False), ((2, 3, 3), (2, 4, 3), False)],
)  # fmt: skip
def test_equations(a, b, left):
    a, b = leaf(regular(*a)), leaf(random(*b, seed=1))
    x = linalg.solve(a, b, left=left)
    if b.ndim == 1 or b.shape == a.shape[:-1]:
        close((a @ x.unsqueeze(-1)).squeeze(-1), b.array)
    else:
        close(a @ x if left else x @ a, np.broadcast_to(b.array, x.shape))
    assert gradcheck(lambda a, b: linalg.solve(a, b, left=left), (a, b))
    assert gradgradcheck(lambda a, b: linalg.solve(a, b, left=left), (a, b))


# --- decompositions


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(upper):
    x = definite(2, 3, 3)
    root = linalg.cholesky(leaf(x), upper=upper)
    close(root.mT @ root if upper else root @ root.mT, x)
    assert root.detach().equal(root.detach().triu() if upper else root.detach().tril())
    assert linalg.cholesky(leaf(np.tril(x)), upper=upper).detach().equal(root.detach())  # one triangle is read
    assert gradcheck(lambda x: linalg.cholesky((x + x.mT) / 2, upper=upper), leaf(x))


@pytest.mark.parametrize("triangle", ["L", "U"])
def test_eigh(triangle):
    x = random(2, 4, 4)
    x = x + np.swapaxes(x, -1, -2)
    w, v = linalg.eigh(leaf(x), triangle)
    close(v * w.unsqueeze(-2) @ v.mT, x, 1e-8)
    close(v.mT @ v, np.broadcast_to(np.eye(4), (2, 4, 4)))
    half = np.tril(x) if triangle == "L" else np.triu(x)
    close(linalg.eigvalsh(leaf(half), triangle), np.linalg.eigvalsh(x))
    assert gradcheck(lambda x: linalg.eigvalsh((x + x.mT) / 2, triangle), leaf(x))
    assert gradcheck(lambda x: linalg.eigh((x + x.mT) / 2, triangle)[1].abs(), leaf(x))
    assert gradgradcheck(lambda x: linalg.eigh((x + x.mT) / 2, triangle)[1].abs(), leaf(x))


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2)])
@pytest.mark.parametrize("full", [False, True])
def test_svd(shape, full):
    x = random(*shape)
    u, s, vt = linalg.svd(leaf(x), full_matrices=full)
    k = min(shape[-2:])
    close(u[..., :k] * s.unsqueeze(-2) @ vt[..., :k, :], x)
    close(u.mT @ u, np.broadcast_to(np.eye(u.shape[-1]), u.mT.shape[:-1] + u.shape[-1:]))
    assert u.shape[-1] == (shape[-2] if full else k) and vt.shape[-2] == (shape[-1] if full else k)
    close(linalg.svdvals(leaf(x)), np.linalg.svd(x, compute_uv=False))

    def product(x):  # which does not depend on signs
        u, s, vt = linalg.svd(x, full_matrices=full)
        return u[..., :k] * (s * s + 1).unsqueeze(-2) @ vt[..., :k, :]

    assert gradcheck(product, leaf(x)) and gradgradcheck(product, leaf(x)) and gradcheck(linalg.svdvals, leaf(x))


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2)])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr(shape, mode):
    x = random(*shape)
    q, r = linalg.qr(minidl.tensor(x), mode)
    close(q @ r, x)
    assert r.equal(r.triu()) and q.shape[-1] == (shape[-2] if mode == "complete" else min(shape[-2:]))
    if mode == "reduced" or shape[-2] <= shape[-1]:
        for part in (0, 1):
            assert gradcheck(lambda x, part=part: linalg.qr(x, mode)[part], leaf(x))
            assert gradgradcheck(lambda x, part=part: linalg.qr(x, mode)[part], leaf(x))
    else:
        with pytest.raises(RuntimeError, match="no gradient"):
            linalg.qr(leaf(x), mode)
    only = linalg.qr(minidl.tensor(x), "r")
    assert only.Q.shape == (0,)
    close(only.R, linalg.qr(minidl.tensor(x)).R.array)


# --- norms


@pytest.mark.parametrize("ord", [2, 1, 0, 3, 0.5, -1, -2, math.inf, -math.inf])
@pytest.mark.parametrize("dim", [None, 1, (0, 2)])
def test_vector_norms(ord, dim):
    x = random(2, 3, 2)
    size = np.abs(x)
    axes = None if dim is None else dim
    if abs(ord) == math.inf:
        expected = size.max(axis=axes) if ord > 0 else size.min(axis=axes)
    else:
        expected = np.count_nonzero(size, axis=axes) if ord == 0 else (size**ord).sum(axis=axes) ** (1 / ord)
    close(linalg.vector_norm(leaf(x), ord, dim), expected)
    kept = linalg.vector_norm(leaf(x), ord, dim, keepdim=True)
    assert kept.ndim == 3 and kept.detach().reshape(-1).equal(linalg.vector_norm(leaf(x), ord, dim).detach().reshape(-1))
    assert gradcheck(lambda x: linalg.vector_norm(x, ord, dim), leaf(x))
    close(minidl.norm(leaf(x), ord, dim), expected)


def test_the_smallest_and_zeros_in_norms():
    x = leaf(np.array([0.0, -2.0, 3.0]))
    assert linalg.vector_norm(x, -1).item() == 0 and linalg.vector_norm(x, 0).item() == 2
    linalg.vector_norm(x, -math.inf).backward()
    assert x.grad.tolist() == [0, 0, 0]
    assert linalg.vector_norm(minidl.zeros(0)).item() == 0 and linalg.vector_norm(minidl.zeros(0, 2), 1, 0).tolist() == [0, 0]
    big = minidl.tensor([1e-30, 1e-30])
    close(linalg.vector_norm(big, -2), 1e-30 / math.sqrt(2), 1e-6)  # the square of 1e30 is beyond float32


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_matrix_norms(ord):
    x = random(2, 3, 4)
    expected = np.linalg.norm(x, ord, axis=(1, 2))
    close(linalg.matrix_norm(leaf(x), ord), expected)
    close(linalg.matrix_norm(leaf(x), ord, keepdim=True), expected.reshape(2, 1, 1))
    close(linalg.matrix_norm(leaf(np.moveaxis(x, 0, 1)), ord, dim=(0, 2)), expected)
    close(linalg.norm(leaf(x[0]), ord), expected[0])
    close(linalg.norm(leaf(x), ord, dim=(2, 1)), np.linalg.norm(x, ord, axis=(2, 1)))
    assert gradcheck(lambda x: linalg.matrix_norm(x, ord), leaf(x))
    if ord in ("nuc", "fro"):
        close(minidl.norm(leaf(x), ord, dim=(1, 2)), expected)


def test_norm_decides_what_it_is_of():
    x = random(2, 3)
    close(linalg.norm(leaf(x)), math.sqrt((x**2).sum()))
    close(linalg.norm(leaf(x), 1, dim=1), np.abs(x).sum(1))
    close(linalg.norm(leaf(x), 1), np.abs(x).sum(0).max())
    assert linalg.norm(minidl.ones(2, dtype=minidl.float32), dtype=minidl.float64).dtype == minidl.float64


def test_cross_and_diagonal():
    a, b = leaf(random(2, 3)), leaf(random(2, 3, seed=1))
    close(linalg.cross(a, b), np.cross(a.array, b.array))
    close(minidl.cross(leaf(random(3, 2)), leaf(random(3, 2, seed=1))), np.cross(random(3, 2), random(3, 2, seed=1), axis=0))
    assert gradcheck(linalg.cross, (a, b))
    close(linalg.diagonal(leaf(random(2, 3, 3))), np.diagonal(random(2, 3, 3), 0, 1, 2))


@pytest.mark.parametrize("name", ["det", "inv", "cholesky", "eigvalsh", "svdvals"])
def test_float32_stays(name):
    x = definite(3, 3)
    single = getattr(linalg, name)(minidl.tensor(x.astype(np.float32)))
    assert single.dtype == minidl.float32
    close(single, getattr(linalg, name)(minidl.tensor(x)).array, 1e-4)


# --- what is refused

ONES, ROWS = minidl.ones(2, 2), minidl.ones(2, 3)
REFUSED = [
    (lambda: linalg.inv(ONES), linalg.LinAlgError, "inv: a matrix is singular"),
    (lambda: linalg.solve(ONES, ONES), linalg.LinAlgError, "singular"),
    (lambda: linalg.matrix_power(ONES, -1), linalg.LinAlgError, "singular"),
    (lambda: linalg.cholesky(-minidl.eye(2)), linalg.LinAlgError, "not positive definite"),
    (lambda: linalg.det(ROWS), ValueError, "square"),
    (lambda: linalg.det(minidl.ones(2)), ValueError, "expected matrices"),
    (lambda: linalg.det(ONES.long()), TypeError, "floating-point"),
    (lambda: linalg.det([[1.0]]), TypeError, "expected a Tensor"),
    (lambda: linalg.solve(ONES, ONES.double()), TypeError, "one dtype"),
    (lambda: linalg.solve(ONES, minidl.ones(3)), ValueError, "disagree"),
    (lambda: linalg.solve(ONES, minidl.ones(3, 2)), ValueError, "rows of B must be 2"),
    (lambda: linalg.solve(ONES, minidl.ones(2), left=False), ValueError, "left=False"),
    (lambda: linalg.solve(minidl.ones(2, 2, 2), minidl.ones(3, 2, 1)), ValueError, "do not broadcast"),
    (lambda: linalg.eigh(ONES, "X"), ValueError, "'L' or 'U'"),
    (lambda: linalg.svd(ROWS, driver="gesvd"), ValueError, "CUDA"),
    (lambda: linalg.qr(ROWS, "full"), ValueError, "'reduced'"),
    (lambda: linalg.matrix_power(ONES, 0.5), TypeError, "integer"),
    (lambda: linalg.vector_norm(ONES.long()), TypeError, "floating-point"),
    (lambda: linalg.vector_norm(ONES, "fro"), TypeError, "ord must be a number"),
    (lambda: linalg.vector_norm(minidl.ones(0), math.inf), ValueError, "no elements"),
    (lambda: linalg.vector_norm(ONES, 2, (0, 0)), ValueError, "twice"),
    (lambda: linalg.matrix_norm(ONES, 3), ValueError, "'fro', 'nuc'"),
    (lambda: linalg.matrix_norm(ONES, dim=1), ValueError, "two axes"),
    (lambda: linalg.norm(minidl.ones(2, 2, 2), 2), ValueError, "vector or a matrix"),
    (lambda: linalg.norm(ONES, "nuc", dim=1), ValueError, "is for matrices"),
    (lambda: linalg.cross(ONES, ONES), ValueError, "size 3"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()
