"""More of minidl.linalg: eigenvalues and complex tensors, least squares, ranks, conditions, triangles, products."""

import itertools
import math

import numpy as np
import pytest

import minidl
from minidl import linalg
from minidl.autograd import gradcheck, gradgradcheck

from .test_linalg import close, leaf, random, regular

GERSHGORIN = [[1.0, 0.1, 0.1, 0.1], [0.1, 3.0, 0.2, 0.3], [0.1, 0.2, 5.0, 0.5], [0.1, 0.3, 0.5, 9.0]]


# --- the book's numbers: X1 and X2


def test_the_books_geometry():
    v, w = minidl.tensor([0.0, 1.0, 2.0]), minidl.tensor([2.0, 3.0, 4.0])
    assert minidl.acos(v.dot(w) / (v.norm() * w.norm())).item() == pytest.approx(0.4189901, abs=1e-6)
    assert minidl.det(minidl.tensor([[1.0, -1.0], [2.0, 3.0]])).item() == pytest.approx(5)
    b = minidl.tensor([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]])
    a, v = minidl.tensor([[1, 2], [3, 4]]), minidl.tensor([1, 2])
    assert minidl.einsum("ijk,il,j->kl", b, a, v).tolist() == [[90, 126], [102, 144], [114, 162]]
    m, m_inv = minidl.tensor([[1.0, 2.0], [1.0, 4.0]]), minidl.tensor([[2.0, -1.0], [-0.5, 0.5]])
    assert (m_inv @ m).tolist() == [[1, 0], [0, 1]] and linalg.inv(m).allclose(m_inv)


def test_the_books_eigenvalues():
    w, v = minidl.linalg.eig(minidl.tensor([[2, 1], [2, 3]], dtype=minidl.float64))
    close(w.real, [1, 4])
    assert w.dtype == np.complex128 and w.imag.tolist() == [0, 0]
    close(v.real, [[-math.sqrt(0.5), -math.sqrt(0.2)], [math.sqrt(0.5), -2 * math.sqrt(0.2)]])
    w, _ = linalg.eig(minidl.tensor(GERSHGORIN))
    np.testing.assert_allclose(w.real.sort().values.numpy(), [0.992285, 2.973437, 4.953941, 9.080336], atol=2e-6)
    minidl.manual_seed(42)
    A = minidl.randn(5, 5, dtype=minidl.float64)
    norms = [minidl.abs(minidl.tensor(x)) for x in linalg.eig(A)[0].tolist()]
    norms.sort()
    np.testing.assert_allclose([x.item() for x in norms], [0.3490, 1.1296, 1.1296, 1.1828, 2.4532], atol=6e-5)
    v_in = minidl.randn(5, 1, dtype=minidl.float64)
    for _ in range(100):
        before, v_in = v_in.norm(), A @ v_in
    assert (v_in.norm() / before).item() == pytest.approx(norms[-1].item(), rel=1e-4)


# --- eigenvalues that are complex


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 3), (0, 2, 2), (0, 0)])
def test_vectors_are_only_lengthened(shape):
    x = random(*shape)
    w, v = linalg.eig(minidl.tensor(x))
    np.testing.assert_allclose(x @ v.numpy(), v.numpy() * w.numpy()[..., None, :], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(v.numpy(), axis=-2), np.ones(shape[:-1]))
    assert w.shape == shape[:-1] and v.shape == shape and w.dtype == np.complex128
    np.testing.assert_allclose(linalg.eigvals(minidl.tensor(x)).numpy(), w.numpy(), atol=1e-12)
    assert linalg.eigvals(minidl.tensor(x).float()).dtype == np.complex64


def test_a_rotation_has_its_angle_as_eigenvalue():
    c, s = math.cos(0.3), math.sin(0.3)
    w = linalg.eigvals(minidl.tensor([[c, -s], [s, c]], dtype=minidl.float64))
    close(w.abs(), [1, 1])
    close(w.angle(), [0.3, -0.3])
    close(minidl.angle(w), [0.3, -0.3])
    close(minidl.real(w), [c, c])
    close(minidl.imag(w), [s, -s])


def test_what_a_complex_tensor_knows():
    z = minidl.tensor([[3 + 4j, 1], [-2j, 0.5]])
    assert z.dtype == np.complex64 and z.shape == (2, 2) and z.ndim == 2 and len(z) == 2 and z.size(1) == 2
    assert z.real.tolist() == [[3, 1], [0, 0.5]] and z.imag.tolist() == [[4, 0], [-2, 0]]
    assert z.abs().tolist() == abs(z).tolist() == minidl.abs(z).tolist() == [[5, 1], [2, 0.5]]
    assert isinstance(z.real, minidl.Tensor) and z.abs().dtype == z.real.dtype == minidl.float32
    assert [row.tolist() for row in z] == z.tolist() == [[3 + 4j, 1], [-2j, 0.5]]
    assert z[0, 0].item() == complex(z[0, 0]) == 3 + 4j and z[minidl.tensor([1]), 0].tolist() == [-2j]
    flat = z[minidl.tensor([[True, True], [True, True]])]
    assert flat[flat.abs().argsort()].tolist() == [0.5, 1, -2j, 3 + 4j]
    assert flat[flat.abs() > 1].tolist() == [3 + 4j, -2j]
    assert z.is_complex() and not z.requires_grad and z.detach() is z and isinstance(z.numpy(), np.ndarray)
    assert minidl.tensor(z, dtype=minidl.complex128).dtype == np.complex128
    assert minidl.tensor(np.array([1j])).dtype == np.complex128


PRINTED = [
    ([1 + 2j, -3.5 - 0.25j, 0], None, "tensor([ 1.0000+2.0000j, -3.5000-0.2500j,  0.0000+0.0000j])"),
    ([1 + 2j, -3], None, "tensor([ 1.+2.j, -3.+0.j])"),
    (1 + 2j, "complex128", "tensor(1.+2.j, dtype=minidl.complex128)"),
    ([1e-8 + 2j, -3], None, "tensor([ 1.0000e-08+2.j, -3.0000e+00+0.j])"),
    ([complex(math.nan, 1), complex(1, math.inf)], None, "tensor([nan+1.j, 1.+infj])"),
    ([[complex(0.5, -0.0)], [12j]], None, "tensor([[0.5000-0.j],\n        [0.0000+12.j]])"),
]


@pytest.mark.parametrize(("numbers", "dtype", "text"), PRINTED)
def test_complex_numbers_print_as_pytorchs(numbers, dtype, text):
    assert repr(minidl.tensor(numbers, dtype=dtype and getattr(minidl, dtype))) == text


def test_parts_and_angles_of_real_tensors():
    x = leaf(np.array([-2.0, 3.0, 0.0, math.nan]))
    assert minidl.real(x) is x
    close(minidl.angle(x), [math.pi, 0, 0, math.nan])
    minidl.angle(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 0]
    with pytest.raises(RuntimeError, match="imag: expected a complex tensor"):
        minidl.imag(x)


Z = minidl.tensor([3 + 4j, 1j])
COMPLEX = [
    (lambda: Z + 1, TypeError, r"\+: complex"),
    (lambda: 2 * Z, TypeError, r"\*: complex"),
    (lambda: minidl.ones(2) * Z, TypeError, "mul: .* ComplexTensor, of which only"),
    (lambda: np.ones(2) - Z, TypeError, "-: complex"),
    (lambda: Z @ Z, TypeError, "@: complex"),
    (lambda: Z == Z, TypeError, "==: complex"),
    (lambda: Z < Z, TypeError, "<: complex"),
    (lambda: Z.__setitem__(0, 1), TypeError, "complex tensors have no"),
    (lambda: Z.exp(), AttributeError, "exp: complex tensors have only real, imag"),
    (lambda: minidl.exp(Z), TypeError, "exp: expected a Tensor, got ComplexTensor"),
    (lambda: minidl.cat([Z, Z]), TypeError, "ComplexTensor"),
    (lambda: linalg.det(Z), TypeError, "ComplexTensor"),
    (lambda: Z.item(), ValueError, "item: expected one element"),
    (lambda: Z[2], IndexError, "out of bounds"),
    (lambda: len(Z[0]), TypeError, "0-d"),
    (lambda: minidl.tensor(1j, requires_grad=True), RuntimeError, "no gradients"),
    (lambda: minidl.tensor(1j, dtype=minidl.float32), TypeError, "do not fit in float32"),
    (lambda: linalg.eig(minidl.ones(2, 2, requires_grad=True)), RuntimeError, "no gradient; give A.detach"),
    (lambda: linalg.eigvals(minidl.full((2, 2), math.nan)), linalg.LinAlgError, "eigvals"),
    (lambda: linalg.eigvals(minidl.ones(2, 3)), ValueError, "square"),
]


@pytest.mark.parametrize(("call", "error", "message"), COMPLEX)
def test_complex_tensors_refuse_everything_else(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_eigenvalues_are_to_be_had_where_nothing_is_recorded():
    with minidl.no_grad():
        assert linalg.eigvals(minidl.ones(1, 1, requires_grad=True)).tolist() == [1]


# --- pseudoinverses, ranks, least squares


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3), (2, 3, 2)])
def test_pseudoinverses(shape):
    x = random(*shape)
    x[..., -1, :] = x[..., 0, :] * 2  # the rank falls where the rows are few
    a, y = minidl.tensor(x), linalg.pinv(minidl.tensor(x))
    close(y, np.linalg.pinv(x))
    for product in (a @ y, y @ a):  # Moore's and Penrose's four conditions
        close(product, product.mT.array, 1e-9)
    close(a @ y @ a, x, 1e-9)
    close(y @ a @ y, y.array, 1e-9)
    full = leaf(random(*shape, seed=3))
    assert gradcheck(linalg.pinv, full) and gradgradcheck(linalg.pinv, full)


def test_the_pseudoinverse_of_equal_singular_values_has_a_gradient():
    x = leaf(np.eye(3))
    assert gradcheck(linalg.pinv, x) and gradgradcheck(linalg.pinv, x)


def test_small_singular_values_count_for_nothing():
    a = minidl.tensor(np.diag([4.0, 1.0, 1e-3]))
    ranks = [linalg.matrix_rank(a, **given).item() for given in ({}, {"atol": 0.01}, {"rtol": 0.3}, {"atol": 2, "rtol": 1e-9})]
    assert ranks == [3, 2, 1, 1]
    assert linalg.pinv(a, rtol=0.3).tolist()[1][1] == 0 and linalg.pinv(a, atol=2).diagonal().tolist() == [0.25, 0, 0]
    lower = minidl.tensor([[2.0, 7.0], [0.0, 0.0]])
    assert linalg.matrix_rank(lower, hermitian=True).item() == 1
    close(linalg.pinv(lower, hermitian=True), [[0.5, 0], [0, 0]])
    assert linalg.matrix_rank(minidl.zeros(2, 3, 3)).tolist() == [0, 0] and linalg.matrix_rank(minidl.ones(2, 5)).item() == 1


@pytest.mark.parametrize(
    ("a", "b"), [((5, 2), (5,)), ((5, 2), (5, 3)), ((2, 5), (2, 3)), ((4, 5, 2), (4, 5)), ((4, 1, 5, 2), (3, 5, 1))]
)
def test_least_squares(a, b):
    a, b = leaf(random(*a)), leaf(random(*b, seed=1))
    found = linalg.lstsq(a, b)
    vectors = b.ndim == 1 or b.shape == a.shape[:-1]
    columns = b.array[..., None] if vectors else b.array
    expected = np.linalg.pinv(a.array) @ columns
    rest = (a.array @ expected - columns) ** 2
    close(found.solution, expected[..., 0] if vectors else expected, 1e-9)
    if a.shape[-2] > a.shape[-1]:
        close(found.residuals, rest.sum(-2)[..., 0] if vectors else rest.sum(-2), 1e-9)
        assert gradcheck(lambda a, b: linalg.lstsq(a, b).residuals, (a, b))
    else:
        assert found.residuals.shape == (0,)
    assert found.rank.tolist() == np.linalg.matrix_rank(a.array).tolist()
    close(found.singular_values, np.linalg.svd(a.array, compute_uv=False))
    assert gradcheck(lambda a, b: linalg.lstsq(a, b).solution, (a, b))
    assert gradgradcheck(lambda a, b: linalg.lstsq(a, b).solution, (a, b))


def test_least_squares_of_a_lower_rank_are_the_shortest():
    a = minidl.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], dtype=minidl.float64)
    found = linalg.lstsq(a, minidl.tensor([2.0, 4.0, 6.0], dtype=minidl.float64))
    close(found.solution, [1, 1])
    assert found.rank.item() == 1 and found.residuals.shape == (0,)
    assert linalg.lstsq(minidl.tensor(np.diag([1.0, 0.1])), minidl.tensor([1.0, 1.0]).double(), 0.5).solution.tolist() == [1, 0]


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, math.inf, -math.inf, "fro", "nuc"])
def test_conditions(p):
    x = regular(2, 3, 3)
    close(linalg.cond(leaf(x), p), [np.linalg.cond(m, p) if p != "nuc" else
                                    np.linalg.norm(m, "nuc") * np.linalg.norm(np.linalg.inv(m), "nuc") for m in x])  # fmt: skip
    assert gradcheck(lambda x: linalg.cond(x, p), leaf(x))
    x[1] = 0.0
    x[1, 0, 0] = 1.0
    found = linalg.cond(minidl.tensor(x), p).tolist()
    assert found[1] == (0 if p == -2 else math.inf) and math.isfinite(found[0])


def test_a_condition_bounds_the_relative_error():
    a, b = regular(4, 4), random(4, 1)
    x, change = np.linalg.solve(a, b), 1e-3 * random(4, 1, seed=5)
    moved = np.linalg.norm(np.linalg.solve(a, b + change) - x) / np.linalg.norm(x)
    assert moved <= linalg.cond(minidl.tensor(a)).item() * np.linalg.norm(change) / np.linalg.norm(b)
    assert linalg.cond(minidl.tensor(random(4, 2))).item() == pytest.approx(np.linalg.cond(random(4, 2)))


# --- triangles and products


@pytest.mark.parametrize(("upper", "left", "unit"), list(itertools.product([False, True], repeat=3)))
def test_triangular_equations(upper, left, unit):
    a, b = leaf(regular(2, 3, 3)), leaf(random(2, 3, 3, seed=1))
    triangle = np.triu(a.array) if upper else np.tril(a.array)
    if unit:
        triangle = triangle - triangle * np.eye(3) + np.eye(3)

    def solve(a, b):
        return linalg.solve_triangular(a, b, upper=upper, left=left, unitriangular=unit)

    x = solve(a, b).detach().array
    close(triangle @ x if left else x @ triangle, b.array, 1e-9)
    assert gradcheck(solve, (a, b)) and gradgradcheck(solve, (a, b))


def test_products_of_many():
    sizes = [4, 2, 7, 1, 5]
    parts = [random(m, n, seed=m) for m, n in itertools.pairwise(sizes)]
    expected = np.linalg.multi_dot(parts)
    close(linalg.multi_dot([leaf(x) for x in parts]), expected)
    close(linalg.multi_dot([leaf(parts[0][0]), *map(leaf, parts[1:])]), expected[0])
    close(linalg.multi_dot([*map(leaf, parts[:-1]), leaf(parts[-1][:, 0])]), expected[:, 0])
    assert linalg.multi_dot([minidl.ones(3), minidl.ones(3)]).shape == ()
    assert gradcheck(lambda *x: linalg.multi_dot(x), tuple(map(leaf, parts)))


def test_the_order_of_a_product_is_the_cheapest():
    """The example of Cormen et al., 15.2: 15,125 multiplications."""
    sizes = [30, 35, 15, 5, 10, 20, 25]
    cut = linalg.matrices._order(sizes)

    def cost(i, j):
        return 0 if i == j else cost(i, cut[i, j]) + cost(cut[i, j] + 1, j) + sizes[i] * sizes[cut[i, j] + 1] * sizes[j + 1]

    assert cost(0, 5) == 15125 and cut[0, 5] == 2
    rng = np.random.default_rng(0)
    for _ in range(30):
        sizes = rng.integers(1, 30, 6).tolist()
        cut = linalg.matrices._order(sizes)
        assert cost(0, 4) == min(all_costs(sizes, 0, 4))


def all_costs(sizes, i, j):
    """Of all ways to set brackets."""
    if i == j:
        return [0]
    return [
        a + b + sizes[i] * sizes[k + 1] * sizes[j + 1]
        for k in range(i, j)
        for a in all_costs(sizes, i, k)
        for b in all_costs(sizes, k + 1, j)
    ]


def test_powers_as_columns():
    close(linalg.vander(leaf(np.array([[1.0, 2.0], [3.0, 0.0]])), N=3), [[[1, 1, 1], [1, 2, 4]], [[1, 3, 9], [1, 0, 0]]])
    assert gradcheck(linalg.vander, leaf(random(4)))


# --- the names at the top


def test_namesakes_at_the_top():
    x, tall = leaf(regular(3, 3)), minidl.tensor(random(4, 2))
    assert minidl.det(x).equal(linalg.det(x)) and minidl.inverse(x).equal(linalg.inv(x))
    assert minidl.slogdet(x)[1].equal(linalg.slogdet(x)[1]) and minidl.matrix_power(x, 2).equal(x @ x)
    close(minidl.pinverse(tall), np.linalg.pinv(tall.array))
    close(minidl.cholesky(x @ x.mT, upper=True), linalg.cholesky(x @ x.mT).detach().mT.array)
    close(minidl.qr(tall).Q @ minidl.qr(tall).R, tall.array)
    assert minidl.qr(tall, some=False).Q.shape == (4, 4)
    wide = minidl.tensor(random(4, 3))
    u, s, v = minidl.svd(wide)
    close(u * s @ v.mT, wide.array)
    assert u.shape == (4, 3) and minidl.svd(tall, some=False).U.shape == (4, 4)
    close(minidl.logdet(minidl.tensor([[[2.0, 0.0], [0.0, 2.0]], [[-1.0, 0], [0, 1.0]], [[0, 0], [0, 0]]]).double()),
          [math.log(4), math.nan, -math.inf])  # fmt: skip
    assert gradcheck(minidl.logdet, leaf(definite()))


def definite():
    x = random(3, 3)
    return x @ x.T + np.eye(3)


# --- norms: P3 to P6


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, math.inf])
def test_the_axioms_of_a_norm(p):
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = (minidl.tensor(rng.normal(size=5) * 10.0 ** rng.integers(-3, 4)) for _ in range(2))
        a = float(rng.normal() * 10)
        norm_x, norm_y = linalg.vector_norm(x, p).item(), linalg.vector_norm(y, p).item()
        assert linalg.vector_norm(a * x, p).item() == pytest.approx(abs(a) * norm_x)  # scaling
        assert linalg.vector_norm(x + y, p).item() <= (norm_x + norm_y) * (1 + 1e-12)  # triangle
        assert norm_x > 0  # definiteness: above 0 if and only if x is not 0
    assert linalg.vector_norm(minidl.zeros(5), p).item() == 0
    assert linalg.vector_norm(minidl.tensor([0.0, -1e-20]), p).item() > 0


def test_below_1_there_is_no_triangle_inequality():
    x, y = minidl.tensor([1.0, 0.0]), minidl.tensor([0.0, 1.0])
    assert linalg.vector_norm(x + y, 0.5).item() == 4 > linalg.vector_norm(x, 0.5).item() + linalg.vector_norm(y, 0.5).item()


def test_the_books_norms():
    u = minidl.tensor([3.0, -4.0])
    assert (u.norm().item(), u.norm(p=1).item(), u.abs().sum().item()) == (5, 7, 7)  # |.|, which the notes leave out (T9)
    assert minidl.ones(4, 9).norm().item() == 6
    assert u.norm(p=3).item() == pytest.approx((27 + 64) ** (1 / 3))
    zero = leaf(np.zeros(2))
    zero.norm().backward()
    assert zero.grad.tolist() == [0, 0]


# --- what is refused

ONES = minidl.ones(2, 2)
REFUSED = [
    (lambda: linalg.lstsq(ONES, minidl.ones(3)), ValueError, "B must have 2 rows"),
    (lambda: linalg.lstsq(ONES, ONES, driver="qr"), ValueError, "'gelsy'"),
    (lambda: linalg.lstsq(ONES, ONES.double()), TypeError, "one dtype"),
    (lambda: linalg.lstsq(minidl.ones(2, 2, 2), minidl.ones(3, 2, 1)), ValueError, "do not broadcast"),
    (lambda: linalg.pinv(ONES, rtol=-1), ValueError, "0 or more"),
    (lambda: linalg.matrix_rank(ONES, atol="x"), TypeError, "atol must be a number"),
    (lambda: linalg.matrix_rank(minidl.ones(2)), ValueError, "expected matrices"),
    (lambda: linalg.cond(minidl.ones(2, 3), 1), ValueError, "square"),
    (lambda: linalg.cond(ONES, 3), ValueError, "'fro', 'nuc'"),
    (lambda: linalg.cond(minidl.ones(0, 2)), ValueError, "without elements"),
    (lambda: linalg.solve_triangular(minidl.zeros(2, 2), ONES, upper=True), linalg.LinAlgError, "diagonal has a zero"),
    (lambda: linalg.solve_triangular(ONES, minidl.ones(2), upper=True), ValueError, "rows of B must be 2"),
    (lambda: linalg.solve_triangular(ONES, minidl.ones(2, 3), upper=True, left=False), ValueError, "columns of B must be 2"),
    (lambda: linalg.multi_dot([ONES]), ValueError, "two or more"),
    (lambda: linalg.multi_dot(ONES), TypeError, "list or tuple"),
    (lambda: linalg.multi_dot([ONES, minidl.ones(2), ONES]), ValueError, "tensor 1 has shape"),
    (lambda: linalg.multi_dot([ONES, minidl.ones(3, 2)]), ValueError, "disagree"),
    (lambda: linalg.multi_dot([ONES, ONES.double()]), TypeError, "one dtype"),
    (lambda: linalg.vander(minidl.ones(2), N=0), ValueError, "N of 1 or more"),
    (lambda: minidl.svd(ONES, compute_uv=False), NotImplementedError, "svdvals"),
    (lambda: minidl.pinverse(ONES, "x"), TypeError, "rcond must be a number"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()
