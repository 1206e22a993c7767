"""Linear algebra as methods of Tensor and at the top level, by PyTorch's names; what is composed of other operations."""

import contextlib
import inspect
import itertools
import math

import numpy as np
import pytest

import minidl
from minidl import linalg
from minidl.autograd import gradcheck, gradgradcheck

from .test_linalg import close, leaf, random, regular

METHODS = ["cholesky", "det", "inverse", "logdet", "matrix_exp", "matrix_power", "pinverse", "qr", "slogdet", "svd"]


def arrays(result):
    return [part.numpy() for part in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_the_function_at_the_top(name):
    x = regular(2, 3, 3)
    x = minidl.tensor(x @ np.swapaxes(x, -1, -2))  # positive definite
    more = (3,) if name == "matrix_power" else ()
    of_method, of_function = getattr(x, name)(*more), getattr(minidl, name)(x, *more)
    for a, b in zip(arrays(of_method), arrays(of_function), strict=True):
        assert np.array_equal(a, b)
    assert next(iter(inspect.signature(getattr(minidl, name)).parameters)) == "input"
    with pytest.raises(TypeError, match=f"{name}: expected a Tensor, got list"):
        getattr(minidl, name)([[1.0]], *more)
    with pytest.raises(TypeError, match=f"{name}: expected a floating-point tensor, got int64; use .float"):
        getattr(minidl.eye(2).long(), name)(*more)
    with pytest.raises(ValueError, match=f"{name}: expected .*matrices in the last two axes"):
        getattr(minidl.ones(2), name)(*more)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (0, 2, 2), (1, 1)])
def test_values_of_the_methods_are_numpys(shape):
    a = regular(*shape)
    x = minidl.tensor(a)
    close(x.det(), np.linalg.det(a))
    close(x.inverse(), np.linalg.inv(a))
    sign, log = np.linalg.slogdet(a)
    close(x.slogdet().sign, sign)
    close(x.slogdet().logabsdet, log)
    close(x.logdet(), np.where(sign > 0, log, np.nan))
    close(x.matrix_power(-2), np.linalg.inv(a) @ np.linalg.inv(a))
    close(x.pinverse(), np.linalg.inv(a))
    u, s, v = x.svd()
    close((u * s.unsqueeze(-2)) @ v.mT, a)
    q, r = x.qr()
    close(q @ r, a)
    b = a @ np.swapaxes(a, -1, -2)
    close(minidl.tensor(b).cholesky(), np.linalg.cholesky(b))
    close(minidl.tensor(b).cholesky(True), np.swapaxes(np.linalg.cholesky(b), -1, -2))


def test_options_of_the_methods():
    x = minidl.tensor(random(4, 2))
    assert x.svd(some=False).U.shape == (4, 4) and x.qr(some=False).Q.shape == (4, 4)
    assert minidl.tensor([[1.0, 0.0], [0.0, 0.1]]).pinverse(0.5).tolist() == [[1, 0], [0, 0]]
    with pytest.raises(NotImplementedError, match=r"svd: compute_uv=False is not supported; use minidl\.linalg\.svdvals"):
        x.svd(compute_uv=False)
    for name in ("inverse", "matrix_power"):
        with pytest.raises(linalg.LinAlgError, match=f"{name}: a matrix is singular"):
            getattr(minidl.ones(2, 2), name)(*[-1] * (name == "matrix_power"))


def series(x, terms=60):
    """The exponential by its definition, a term at a time."""
    total = term = np.eye(len(x))
    for k in range(1, terms):
        term = term @ x / k
        total = total + term
    return total


def test_the_exponential_is_its_series():
    for scale in (0, 1e-3, 0.4, 1.0, 3.0, 10.0):
        x = scale * random(3, 3)
        np.testing.assert_allclose(minidl.tensor(x).matrix_exp().numpy(), series(x, 200), rtol=1e-11, atol=1e-12)
        small = minidl.tensor(x, dtype=minidl.float32).matrix_exp()
        assert small.dtype == minidl.float32
        np.testing.assert_allclose(small.numpy(), series(x, 200), rtol=1e-4, atol=1e-4 * np.abs(series(x, 200)).max())
    turn = minidl.tensor([[0.0, -math.pi], [math.pi, 0.0]], dtype=minidl.float64)
    close(
        linalg.matrix_exp(minidl.stack([turn, turn / 2, 0 * turn])), [[[-1, 0], [0, -1]], [[0, -1], [1, 0]], [[1, 0], [0, 1]]]
    )
    assert minidl.zeros(0, 3, 3).matrix_exp().shape == (0, 3, 3) and minidl.zeros(2, 0, 0).matrix_exp().shape == (2, 0, 0)
    assert minidl.full((2, 2), math.nan).matrix_exp().isnan().all()
    assert minidl.full((1, 1), 1e30).matrix_exp().item() == math.inf


def reflections(a, tau):
    """The first columns of H₁ H₂ …, each H written out."""
    m, n = a.shape
    q = np.eye(m)
    for i, t in enumerate(tau):
        v = np.array([0.0] * i + [1.0] + [a[j, i] for j in range(i + 1, m)])
        q = q @ (np.eye(m) - t * np.outer(v, v))
    return q[:, :n]


def test_a_product_of_reflections():
    a, tau = random(2, 5, 3), random(2, 2, seed=1)
    close(
        linalg.householder_product(minidl.tensor(a), minidl.tensor(tau)),
        [reflections(*one) for one in zip(a, tau, strict=True)],
    )
    assert minidl.orgqr(minidl.tensor(a), minidl.tensor(tau)).equal(
        linalg.householder_product(minidl.tensor(a), minidl.tensor(tau))
    )
    v = random(4, 1)  # tau = 2/‖v‖² with v₀ = 1: a reflection, which keeps lengths
    v[0] = 1
    q = linalg.householder_product(minidl.tensor(v), minidl.tensor(2 / (v**2).sum(0)))
    close((q**2).sum(), 1)


def test_systems_over_several_axes():
    a, b = random(2, 3, 6), random(2, 3, seed=1)
    x = linalg.tensorsolve(minidl.tensor(a), minidl.tensor(b))
    close(x, np.linalg.tensorsolve(a, b))
    moved = np.moveaxis(a, 2, 0)
    close(linalg.tensorsolve(minidl.tensor(moved), minidl.tensor(b), dims=(0,)), np.linalg.tensorsolve(moved, b, axes=(0,)))
    close(linalg.tensorinv(minidl.tensor(a)), np.linalg.tensorinv(a))
    close(linalg.tensorinv(minidl.tensor(a.reshape(6, 3, 2)), ind=1), np.linalg.tensorinv(a.reshape(6, 3, 2), ind=1))


def test_equations_with_a_factor():
    a, b = regular(2, 3, 3), random(2, 3, 4)
    a = a @ np.swapaxes(a, -1, -2)
    L = np.linalg.cholesky(a)
    for factor, upper in ((L, False), (np.swapaxes(L, -1, -2), True)):
        close(minidl.cholesky_solve(minidl.tensor(b), minidl.tensor(factor), upper), np.linalg.solve(a, b))
        close(minidl.cholesky_inverse(minidl.tensor(factor), upper), np.linalg.inv(a))


def test_products_of_vectors_and_of_chains():
    x, y = random(2, 3, 4), random(3, 1, seed=1)
    expected = [[sum(x[i, k, j] * y[k, 0] for k in range(3)) for j in range(4)] for i in range(2)]
    close(linalg.vecdot(minidl.tensor(x), minidl.tensor(y), dim=-2), expected)
    close(linalg.vecdot(minidl.tensor(x), minidl.tensor(x[0]), dim=2), (x * x[0]).sum(2))
    parts = [random(a, b, seed=a) for a, b in itertools.pairwise((2, 7, 1, 5))]
    close(minidl.chain_matmul(*map(minidl.tensor, parts)), parts[0] @ parts[1] @ parts[2])
    assert minidl.chain_matmul(minidl.eye(2)).equal(minidl.eye(2))


GRADIENTS = [
    (lambda x: x.matrix_exp(), (2, 3, 3)),
    (lambda x: (3 * x).matrix_exp(), (2, 2)),
    (lambda x: linalg.householder_product(x[..., :2], x[0, :2]), (4, 3)),
    (lambda x: linalg.tensorinv(x, ind=1), (3, 3)),
    (lambda x: linalg.tensorsolve(x, x[0]), (3, 3)),
    (lambda x: minidl.cholesky_solve(x, x), (3, 3)),
    (lambda x: minidl.cholesky_inverse(x, True), (3, 3)),
    (lambda x: linalg.vecdot(x, x[0], dim=-1), (2, 4, 3)),
    (lambda x: minidl.stack([x.det(), x.slogdet().logabsdet, x.inverse().sum(), x.pinverse().sum()]), (3, 3)),
    (lambda x: (x @ x.mT).cholesky() + (x @ x.mT).logdet() + x.matrix_power(-2), (3, 3)),
]


@pytest.mark.parametrize(("function", "shape"), GRADIENTS)
def test_gradients(function, shape):
    x = leaf(regular(*shape) if shape[-1] == shape[-2] else random(*shape))
    assert gradcheck(function, x) and gradgradcheck(function, x)


def test_matrices_that_are_no_numbers_give_no_warning():
    x = minidl.tensor([[2.0, math.nan], [math.nan, 1.0]])
    assert x.logdet().isnan() and minidl.tensor(2.0).movedim(0, 0).item() == 2
    for place in ((0, 0), (1, 0)):
        x = minidl.eye(2)
        x[place] = math.inf
        with contextlib.suppress(linalg.LinAlgError):  # LAPACK may refuse it
            assert not x.cholesky().isfinite().all()


def test_no_elements_take_no_time():
    assert linalg.svdvals(minidl.zeros(0, 2**40)).shape == (0,)
    u, s, vh = linalg.svd(minidl.zeros(2, 3, 0, requires_grad=True), full_matrices=False)
    assert (u.shape, s.shape, vh.shape, u.requires_grad) == ((2, 3, 0), (2, 0), (2, 0, 0), True)
    assert minidl.ones(2, 3).diagonal(10**30).shape == minidl.ones(2, 3).diagonal(-(2**40)).shape == (0,)


E = minidl.eye
MISTAKES = [
    (lambda: linalg.householder_product(minidl.ones(2, 3), minidl.ones(2)), ValueError, "m >= n and tau"),
    (lambda: linalg.householder_product(minidl.ones(3, 2), minidl.ones(3)), ValueError, r"got shapes \(3, 2\) and \(3,\)"),
    (lambda: linalg.householder_product(minidl.ones(3, 2), minidl.ones(2).double()), TypeError, "expected one dtype"),
    (lambda: linalg.householder_product(minidl.ones(3, 2), [1.0]), TypeError, "householder_product: expected a Tensor as tau"),
    (lambda: linalg.vecdot(minidl.ones(3), minidl.ones(2)), ValueError, "vecdot: .* vectors of different lengths in axis 0"),
    (lambda: linalg.vecdot(minidl.ones(3, 1), minidl.ones(3), dim=0), ValueError, "vecdot: .* different lengths in axis 0"),
    (lambda: linalg.vecdot(minidl.ones(3), minidl.tensor(1.0)), ValueError, "vecdot: expected vectors"),
    (lambda: linalg.tensorinv(minidl.ones(2, 3)), ValueError, "tensorinv: expected as many elements"),
    (lambda: linalg.tensorinv(E(4), ind=0), ValueError, "ind=0"),
    (lambda: linalg.tensorinv(minidl.ones(2, 2), ind=1), linalg.LinAlgError, "tensorinv: a matrix is singular"),
    (lambda: linalg.tensorsolve(minidl.ones(2, 3), minidl.ones(3)), ValueError, "tensorsolve: shapes"),
    (lambda: minidl.cholesky_solve(minidl.ones(2), E(2)), ValueError, "cholesky_solve: expected matrices"),
    (lambda: minidl.cholesky_solve(E(2), E(2).double()), TypeError, "cholesky_solve: expected matrices B and L of one dtype"),
    (lambda: linalg.tensorsolve(minidl.tensor(1.0), minidl.ones(3), dims=0), ValueError, "tensorsolve: shapes"),
    (lambda: E(2).cholesky(np.zeros(3)), TypeError, "cholesky: upper must be True or False, got array"),
    (lambda: E(2).qr(1), TypeError, "qr: some must be True or False, got 1"),
    (lambda: linalg.qr(E(2), np.zeros(3)), ValueError, "qr: mode must be 'reduced', 'complete' or 'r', got array"),
    (lambda: linalg.eigh(E(2), np.zeros(3)), ValueError, "eigh: UPLO must be 'L' or 'U'"),
    (lambda: linalg.lstsq(E(2), E(2), driver="svd"), ValueError, "lstsq: driver must be 'gels', 'gelsy', 'gelsd' or 'gelss'"),
    (lambda: linalg.cond(E(2), np.zeros(3)), TypeError, "cond: p must be a number"),
    (lambda: linalg.vander(minidl.ones(3), N=2**62), MemoryError, "vander: no memory"),
    (lambda: leaf(np.ones((2, 2))).logdet().backward(), ValueError, "a singular matrix has no gradient"),
    (lambda: minidl.chain_matmul(minidl.ones(2), E(2)), ValueError, "chain_matmul: expected matrices"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES)
def test_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.filterwarnings("ignore:torch.(qr|cholesky) is deprecated", "ignore:torch.svd")
@pytest.mark.parametrize("name", [*METHODS, "cholesky_inverse", "cholesky_solve", "orgqr"])
def test_pytorch_has_the_same(name):
    torch = pytest.importorskip("torch")
    a = regular(3, 3)
    a = a @ a.T
    given = {"matrix_power": (a, 3), "cholesky_solve": (a, np.linalg.cholesky(a)), "orgqr": (a, a[0])}.get(name, (a,))

    def result(lib):
        if name == "cholesky_inverse":
            return lib.cholesky_inverse(lib.tensor(np.linalg.cholesky(a)))
        found = getattr(lib, name)(*[lib.tensor(x) if isinstance(x, np.ndarray) else x for x in given])
        return found[1] if name in ("qr", "svd") else found  # the others have free signs

    ours, theirs = result(minidl), result(torch)
    for x, y in zip(arrays(ours), arrays(tuple(theirs) if isinstance(theirs, tuple) else theirs), strict=True):
        np.testing.assert_allclose(np.abs(x), np.abs(y), rtol=1e-9, atol=1e-12)
