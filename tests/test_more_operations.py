"""Operations that programs ask for now and then: against plain NumPy and loops, with gradients, and what is refused."""

import itertools
import math

import numpy as np
import pytest

import minidl
from minidl import special
from minidl.autograd import gradcheck, gradgradcheck

T = minidl


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def leaf(*shape, seed=0):
    return T.tensor(random(*shape, seed=seed)).requires_grad_()


def close(found, expected, rtol=1e-12):
    found = found.detach().array if isinstance(found, T.Tensor) else found
    np.testing.assert_allclose(found, expected, rtol, 1e-14)


# --- elementwise

UNARY = [
    ("asinh", np.arcsinh, (-3, 3)),
    ("acosh", np.arccosh, (1.1, 4)),
    ("atanh", np.arctanh, (-0.9, 0.9)),
    ("exp2", np.exp2, (-3, 3)),
    ("logit", lambda x: np.log(x / (1 - x)), (0.05, 0.95)),
]


@pytest.mark.parametrize(("name", "function", "bounds"), UNARY)
def test_functions_of_one_number(name, function, bounds):
    x = np.linspace(*bounds, 11)
    close(getattr(T, name)(T.tensor(x)), function(x))
    assert getattr(T.ones(2).long(), name)().dtype == T.float32
    x = T.tensor(x).requires_grad_()
    assert gradcheck(getattr(T.Tensor, name), x) and gradgradcheck(getattr(T.Tensor, name), x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_erfinv_undoes_erf(dtype):
    ulp = np.finfo(dtype).eps
    x = np.concatenate([np.linspace(-0.999, 0.999, 201), 1 - 10.0 ** -np.arange(1, 7), [1e-30, 0.0, -0.0]]).astype(dtype)
    y = T.tensor(x).erfinv()
    assert y.dtype == dtype
    slope = 2 / math.sqrt(math.pi) * np.exp(-(y.array.astype(float) ** 2))  # an error of y in its last digit moves erf by this
    assert (np.abs(y.double().erf().array - x) <= 2 * ulp * (np.abs(y.array) * slope + np.abs(x)) + 1e-300).all()
    assert T.tensor([1.0, -1.0, 1.5]).erfinv().tolist()[:2] == [math.inf, -math.inf]
    assert T.tensor([1.5]).erfinv().isnan().all() and math.copysign(1, T.tensor(-0.0).erfinv().item()) == -1


def test_functions_of_two_numbers():
    a, b = leaf(3, 4), leaf(4, seed=1)
    for name, function in (
        ("atan2", np.arctan2),
        ("fmod", np.fmod),
        ("logaddexp", np.logaddexp),
    ):
        close(getattr(T, name)(a, b), function(a.array, b.array))
        assert gradcheck(getattr(T, name), (a, b)) and gradgradcheck(getattr(T, name), (a, b))
    close(T.rsub(a, b, alpha=2), b.array - 2 * a.array)
    close(T.addcmul(a, b, a, value=3), a.array + 3 * b.array * a.array)
    close(T.addcdiv(a, a, b, value=-2), a.array - 2 * a.array / b.array)
    assert gradcheck(lambda a, b: T.addcdiv(a, a, b, value=-2) + T.addcmul(b, a, b), (a, b))
    close(T.float_power(T.tensor([2, 3]), 0.5), [2**0.5, 3**0.5])
    assert T.float_power(T.tensor([2, 3]), T.tensor([-1, 2])).dtype == T.float64


def test_signs_of_rests():
    """fmod's is that of the first number, remainder's that of the second."""
    a, b = T.tensor([5, -5, 5, -5]), T.tensor([3, 3, -3, -3])
    assert a.fmod(b).tolist() == [2, -2, 2, -2] and a.remainder(b).tolist() == [2, 1, -1, -2]
    x = T.tensor(np.array([0.3])).requires_grad_()
    y = T.tensor(np.array([0.1])).requires_grad_()
    x.fmod(y).backward()  # 0.3/0.1 rounds to 3, but 0.1 goes into 0.3 only twice
    assert x.fmod(y).item() == math.fmod(0.3, 0.1) and y.grad.item() == -2


def test_far_away():
    assert T.logaddexp(T.tensor(1e4), T.tensor(1e4)).item() == pytest.approx(1e4 + math.log(2))
    inf = T.tensor([math.inf, -math.inf])
    assert T.logaddexp(inf, inf).tolist() == [math.inf, -math.inf]
    zero = T.zeros(2).requires_grad_()
    T.atan2(zero, zero).sum().backward()
    assert zero.grad.tolist() == [0, 0]


def test_nan_to_num():
    x = T.tensor([math.nan, math.inf, -math.inf, 1.0]).requires_grad_()
    y = x.nan_to_num()
    largest = np.finfo(np.float32).max
    assert y.tolist() == [0, largest, -largest, 1] and x.nan_to_num(1, 2, 3).tolist() == [1, 2, 3, 1]
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 1] and T.tensor([1, 2]).nan_to_num().tolist() == [1, 2]


def test_bits():
    a, b = T.tensor([6, 5, -1]), T.tensor([3, 5, 4])
    assert (a.bitwise_and(b).tolist(), a.bitwise_or(b).tolist(), a.bitwise_xor(1).tolist()) == (
        [2, 5, 4],
        [7, 5, -1],
        [7, 4, -2],
    )
    assert a.bitwise_not().tolist() == [-7, -6, 0] and T.tensor(True).bitwise_not().array.ndim == 0
    assert T.logical_xor(T.tensor([0, 2]), T.tensor([1.0, 3.0])).tolist() == [True, False]
    assert type((~T.tensor(3)).array) is np.ndarray


# --- along an axis


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_running_products_and_sums(dim):
    x = leaf(3, 4)
    close(x.cumprod(dim), np.cumprod(x.array, dim))
    close(x.logcumsumexp(dim), np.log(np.cumsum(np.exp(x.array), dim)))
    for function in (lambda x: x.cumprod(dim), lambda x: x.logcumsumexp(dim)):
        assert gradcheck(function, x) and gradgradcheck(function, x)
    for name, function in (("cummax", np.maximum), ("cummin", np.minimum)):
        values, index = getattr(x, name)(dim)
        close(values, function.accumulate(x.array, dim))
        close(np.take_along_axis(x.array, index.array, dim), values.array)
        assert gradcheck(lambda x, name=name: getattr(x, name)(dim)[0], x)


def test_zeros_in_running_products_are_no_exception():
    x = T.tensor([2.0, 0.0, 3.0, 0.0]).double().requires_grad_()
    assert gradcheck(lambda x: x.cumprod(0), x) and gradgradcheck(lambda x: x.cumprod(0), x)


def test_infinities_in_running_sums_of_powers():
    x = T.tensor([-math.inf, -math.inf, 0.0, 1000.0]).requires_grad_()
    y = x.logcumsumexp(0)
    assert y.tolist() == [-math.inf, -math.inf, 0, 1000]
    y[2:].sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 1]
    assert T.tensor([1, 2]).cumprod(0).dtype == T.int64 and T.tensor([1, 2]).cumprod(0, dtype=T.float64).dtype == T.float64
    assert T.tensor([True, True]).cumsum(0, dtype=T.float32).tolist() == [1, 2]


def test_nan_and_equal_ones_in_running_extremes():
    values, index = T.tensor([1.0, 1.0, math.nan, 5.0, math.nan]).cummax(0)
    assert index.tolist() == [0, 1, 2, 2, 4] and values.isnan().tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(("n", "dim"), [(1, -1), (2, 0), (0, 1), (5, 1)])
def test_differences(n, dim):
    x = leaf(3, 4)
    close(x.diff(n, dim), np.diff(x.array, n, dim))
    first = leaf(3, 4, seed=1)
    close(x.diff(n, dim, prepend=first, append=first), np.diff(x.array, n, dim, first.array, first.array))
    assert gradcheck(lambda x: x.diff(n, dim, first), x)
    assert gradcheck(lambda p: x.detach().diff(1, dim, p), first)
    assert T.tensor([True, True, False]).diff().tolist() == [False, True]


# --- statistics


def test_moments_together():
    x = leaf(3, 4)
    for pair, spread in (((T.var_mean(x, 1)), x.var(1)), (T.std_mean(x, 1), x.std(1))):
        assert pair[0].detach().equal(spread.detach()) and pair[1].detach().equal(x.mean(1).detach())
    assert (
        T.var_mean(x, False)[0].item() == x.var(False).item()
        and T.std_mean(x, correction=0)[0].item() == x.std(correction=0).item()
    )
    holes = T.tensor([[1.0, math.nan], [3.0, 5.0]]).requires_grad_()
    assert holes.nanmean(0).tolist() == [2, 5] and holes.nanmean().item() == 3
    holes.nanmean(0).sum().backward()
    assert holes.grad.tolist() == [[0.5, 0], [0.5, 1]]


@pytest.mark.parametrize("n", [4, 5])
def test_medians_and_ranks(n):
    x = leaf(3, n)
    rows = np.sort(x.array, 1)
    values, index = x.median(1)
    close(values, rows[:, (n - 1) // 2])
    close(x.array[range(3), index.array], values.array)
    close(x.median(), np.sort(x.array.ravel())[(3 * n - 1) // 2])
    for k in range(1, n + 1):
        close(x.kthvalue(k, 1).values, rows[:, k - 1])
    assert x.kthvalue(1, keepdim=True).values.shape == (3, 1)
    for function in (lambda x: x.median(), lambda x: x.median(1)[0], lambda x: x.kthvalue(2)[0]):
        assert gradcheck(function, x)


def test_medians_with_nan():
    x = T.tensor([[3.0, math.nan, 1.0, 2.0], [4.0, 1.0, 2.0, 3.0]])
    assert x.median().isnan() and x.nanmedian().item() == 2
    assert x.median(1).indices.tolist() == [1, 2] and x.nanmedian(1).values.tolist() == [2, 2]
    assert T.zeros(0).median().isnan()
    tied = T.tensor([1.0, 2.0, 2.0, 5.0]).requires_grad_()
    tied.median().backward()
    assert tied.grad.tolist() == [0, 0.5, 0.5, 0]


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("dim", [None, 0, 1])
def test_quantiles(interpolation, dim):
    x, q = leaf(3, 6), np.array([0.0, 0.3, 0.5, 0.77, 1.0])
    expected = np.quantile(x.array, q, axis=dim, method=interpolation)
    close(x.quantile(T.tensor(q), dim, interpolation=interpolation), expected)
    kept = x.quantile(0.3, dim, keepdim=True, interpolation=interpolation)
    assert kept.shape == np.quantile(x.array, 0.3, axis=dim, keepdims=True).shape
    close(kept.reshape(-1), np.ravel(expected[1]))
    assert gradcheck(lambda x: x.quantile(T.tensor(q), dim, interpolation=interpolation), x)


def test_quantiles_with_nan():
    x = T.tensor([[3.0, math.nan, 1.0], [4.0, 1.0, 2.0]])
    assert x.quantile(0.5, 1).isnan().tolist() == [True, False] and x.nanquantile(0.5, 1).tolist() == [2, 2]
    assert T.quantile(T.tensor([1.0, 2.0]), 0.5).item() == 1.5


def test_histograms_and_places():
    x = T.tensor([0.0, 1.0, 1.5, 3.0, 2.9, -7.0])
    assert x.histc(3, 0, 3).tolist() == [1, 2, 2] and x.histc(2).sum() == 6 and T.ones(3).histc(2).tolist() == [0, 3]
    rows = np.sort(random(2, 5), 1)
    values = random(2, 3, seed=1)
    for right in (False, True):
        side = "right" if right else "left"
        expected = [np.searchsorted(r, v, side) for r, v in zip(rows, values, strict=True)]
        assert T.searchsorted(T.tensor(rows), T.tensor(values), right=right).tolist() == np.array(expected).tolist()
        assert T.bucketize(T.tensor([1, 2, 3]), T.tensor([1.5, 2.0]), right=right).tolist() == [0, 1 + right, 2]
    assert T.searchsorted(T.tensor([5, 1, 3]), 4, sorter=T.tensor([1, 2, 0])).item() == 2
    assert T.searchsorted(T.tensor([1, 2]), T.tensor([2]), out_int32=True).dtype == T.int32
    assert T.bincount(T.tensor([0, 1, 1]), T.tensor([1, 2, 3])).dtype == T.float64


# --- products


def test_products_with_something_added():
    x, a, b = leaf(2, 1), leaf(2, 3, seed=1), leaf(3, 4, seed=2)
    close(T.addmm(x, a, b, beta=0.5, alpha=2), 0.5 * x.array + 2 * a.array @ b.array)
    assert gradcheck(lambda x, a, b: T.addmm(x, a, b, beta=0.5, alpha=2), (x, a, b))
    v = leaf(3, seed=3)
    close(T.addmv(leaf(2), a, v, alpha=3), random(2) + 3 * a.array @ v.array)
    close(T.addr(leaf(3, 2), v, leaf(2)), random(3, 2) + np.outer(v.array, random(2)))
    batch, other = leaf(5, 2, 3), leaf(5, 3, 4, seed=1)
    close(T.baddbmm(leaf(4), batch, other, beta=2), 2 * random(4) + batch.array @ other.array)
    close(T.addbmm(leaf(2, 4), batch, other), random(2, 4) + (batch.array @ other.array).sum(0))
    nan = T.full((2, 4), math.nan).double()
    assert T.addmm(nan, a, b, beta=0).isfinite().all()  # what is multiplied by 0 does not count


def test_products_over_axes():
    a, b = leaf(2, 3, 4), leaf(4, 3, 5, seed=1)
    close(T.tensordot(a, b, ([1, 2], [1, 0])), np.tensordot(a.array, b.array, ([1, 2], [1, 0])))
    close(T.tensordot(a, leaf(3, 4), 2), np.tensordot(a.array, random(3, 4), 2))
    close(T.tensordot(a, leaf(2), 0), np.tensordot(a.array, random(2), 0))
    close(T.inner(a, leaf(5, 4)), np.inner(a.array, random(5, 4)))
    close(T.inner(a, T.tensor(2.0).double()), a.array * 2)
    close(T.kron(leaf(2, 3), leaf(2)), np.kron(random(2, 3), random(2)))
    assert gradcheck(lambda a, b: T.tensordot(a, b, ([1, 2], [1, 0])), (a, b)) and gradcheck(T.kron, (leaf(2, 2), leaf(3)))


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, 3, math.inf])
def test_distances_of_every_pair(p):
    a, b = leaf(2, 3, 4), leaf(5, 4, seed=1)
    expected = np.array([[[np.linalg.norm(x - y, p) for y in b.array] for x in rows] for rows in a.array])
    close(T.cdist(a, b, p), expected)
    assert gradcheck(lambda a, b: T.cdist(a, b, p), (a, b))
    same = leaf(3, 2)
    T.cdist(same, same.detach(), p).sum().backward()
    assert same.grad.isfinite().all()


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("ii", [(3, 3)]), ("ii->i", [(3, 3)]), ("iji->j", [(2, 3, 2)]), ("iii->i", [(2, 2, 2)]),
     ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]),
     ("i...->...", [(2, 3)]), ("...ii->...i", [(4, 2, 2)]), ("a...,...b", [(2, 3), (3, 4)]), ("...,...->...", [(2, 1), (3,)]),
     ("bij, bjk -> bik", [(2, 3, 4), (2, 4, 1)])],
)  # fmt: skip
def test_einsum_with_repeated_letters_and_dots(equation, shapes):
    xs = [leaf(*shape, seed=i) for i, shape in enumerate(shapes)]
    close(T.einsum(equation, *xs), np.einsum(equation, *(x.array for x in xs)))
    assert gradcheck(lambda *xs: T.einsum(equation, *xs), xs)


# --- pieces and arrangements


def test_pieces():
    x = leaf(5, 6)
    for where, dim in itertools.product((2, 3, 7, (1, 3), (0, -1), ()), (0, 1)):
        for found, expected in zip(x.tensor_split(where, dim), np.array_split(x.array, where, dim), strict=True):
            close(found, expected)
    assert [p.shape for p in x.tensor_split(T.tensor([2]), 1)] == [(5, 2), (5, 4)]
    assert [p.shape for p in x.hsplit(3)] == [(5, 2)] * 3 and [p.shape for p in x.vsplit((1,))] == [(1, 6), (4, 6)]
    assert [p.shape for p in leaf(1, 2, 4).dsplit(2)] == [(1, 2, 2)] * 2 and [len(p) for p in T.arange(4).hsplit(2)] == [2, 2]
    y = T.zeros(4)
    y.tensor_split(2)[1].fill_(1.0)
    assert y.tolist() == [0, 0, 1, 1]  # pieces are views


def test_rotations_and_diagonals():
    x = leaf(2, 3, 4)
    for k, dims in itertools.product(range(-1, 5), ((0, 1), (2, 0), (-1, 1))):
        close(x.rot90(k, dims), np.rot90(x.array, k, dims))
    for offset in (-1, 0, 2):
        y = x.diag_embed(offset)
        assert y.shape == (2, 3, 4 + abs(offset), 4 + abs(offset)) and y.detach().diagonal(offset, -2, -1).equal(x.detach())
        assert y.detach().count_nonzero() == 24
    assert leaf(2, 3).diag_embed(dim1=0, dim2=1).shape == (3, 3, 2)
    assert gradcheck(lambda x: x.diag_embed(1, 0, 2), x) and gradcheck(lambda x: x.rot90(1, (2, 0)), x)
    close(T.moveaxis(x, (0, 1), (-1, 0)), np.moveaxis(x.array, (0, 1), (-1, 0)))


@pytest.mark.parametrize(("dim", "size", "step"), [(0, 2, 1), (1, 3, 2), (-1, 2, 3), (0, 5, 1), (1, 1, 1), (1, 0, 2)])
def test_windows(dim, size, step):
    x = leaf(5, 7)
    n = (x.shape[dim] - size) // step + 1
    expected = np.stack([np.moveaxis(x.array, dim, -1)[..., i * step : i * step + size] for i in range(n)], -2)
    close(x.unfold(dim, size, step), np.moveaxis(expected, -2, dim % 2))
    assert gradcheck(lambda x: x.unfold(dim, size, step), x) and gradgradcheck(lambda x: x.unfold(dim, size, step), x)


def test_windows_are_views_that_write_through_unless_they_overlap():
    x = T.zeros(6)
    x.unfold(0, 2, 3)[1] = 1.0
    assert x.tolist() == [0, 0, 0, 1, 1, 0]
    with pytest.raises(RuntimeError, match="clone"):
        x.unfold(0, 3, 1).fill_(1.0)
    w = T.zeros(4).requires_grad_()
    y = w * 1
    y.unfold(0, 2, 2)[0].mul_(3.0)
    y.sum().backward()
    assert w.grad.tolist() == [3, 3, 1, 1]


def test_strided_views():
    x = T.arange(9.0).reshape(3, 3)
    x.as_strided((3,), (4,)).fill_(-1.0)
    assert x.diagonal().tolist() == [-1] * 3 and x.sum() == 24 - 3
    y = leaf(12)
    close(y.as_strided((3, 4), (2, 1), 1), np.lib.stride_tricks.as_strided(y.array[1:], (3, 4), (16, 8)))
    assert gradcheck(lambda y: y.as_strided((3, 4), (2, 1), 1), y) and gradgradcheck(lambda y: y.as_strided((3, 4), (0, 1)), y)
    with pytest.raises(RuntimeError, match="clone"):
        x.as_strided((3, 3), (1, 1)).fill_(0.0)
    assert x.as_strided((0, 5), (1, 1), 9).shape == (0, 5) and x.as_strided((), (), 8).item() == -1


# --- several tensors


def test_tensors_side_by_side():
    a, b = T.broadcast_tensors(T.zeros(2, 1), T.zeros(3))
    assert a.shape == b.shape == T.broadcast_shapes((2, 1), (3,)) == (2, 3)
    assert [T.atleast_1d(T.tensor(1.0)).shape, T.atleast_2d(T.ones(3)).shape, T.atleast_3d(T.ones(3)).shape] == [
        (1,),
        (1, 3),
        (1, 3, 1),
    ]
    assert T.atleast_3d(T.ones(2, 3)).shape == (2, 3, 1) and [x.ndim for x in T.atleast_2d(T.tensor(1.0), T.ones(2, 2, 2))] == [
        2,
        3,
    ]
    assert T.dstack([T.ones(2), T.zeros(2)]).tolist() == [[[1, 0], [1, 0]]]
    blocks = T.block_diag(T.ones(1, 2), T.full((2, 1), 3.0), T.tensor(5.0))
    assert blocks.tolist() == [[1, 1, 0, 0], [0, 0, 3, 0], [0, 0, 3, 0], [0, 0, 0, 5]]
    v = T.tensor([1, 2, 3])
    assert T.cartesian_prod(v, T.tensor([4, 5])).tolist() == [list(p) for p in itertools.product([1, 2, 3], [4, 5])]
    assert T.cartesian_prod(v).equal(v)
    for r, again in itertools.product(range(1, 5), (False, True)):
        choose = itertools.combinations_with_replacement if again else itertools.combinations
        assert T.combinations(v, r, again).tolist() == [list(p) for p in choose([1, 2, 3], r)]


def test_nothing_beside_something():
    """PyTorch's legacy: a vector of no elements may be concatenated with tensors of any shape."""
    x = T.ones(2, 3).requires_grad_()
    y = T.cat([T.tensor([]), x, T.zeros(2, 1)], 1)
    assert y.shape == (2, 4) and T.cat([T.tensor([])]).shape == (0,)
    y.sum().backward()
    assert x.grad.equal(T.ones(2, 3))
    assert T.tensor([[0, 3], [4, 0]]).nonzero(as_tuple=True)[1].tolist() == [1, 0]
    assert T.argwhere(T.tensor([0, 2])).tolist() == [[1]] and T.tensor(3).nonzero(as_tuple=True)[0].tolist() == [0]
    assert T.fill(T.zeros(2), 3).tolist() == [3, 3] and T.zero_(T.ones(2)).tolist() == [0, 0]


# --- special functions


def test_special_functions():
    x = T.tensor([0.1, 0.5, 0.9]).double().requires_grad_()
    close(special.entr(x), -x.array * np.log(x.array))
    close(special.expit(x), 1 / (1 + np.exp(-x.array)))
    close(special.ndtr(x), [(1 + math.erf(v / math.sqrt(2))) / 2 for v in x.tolist()])
    close(special.ndtr(special.ndtri(x)), x.array)
    close(special.sinc(x), np.sinc(x.array))
    close(special.xlog1py(x, x), x.array * np.log1p(x.array))
    close(
        special.multigammaln(x + 2, 3),
        [1.5 * math.log(math.pi) + sum(math.lgamma(v + 2 - j / 2) for j in range(3)) for v in x.tolist()],
    )
    for function in (special.entr, special.ndtr, special.ndtri, special.log_ndtr, special.sinc):
        assert gradcheck(function, x) and gradgradcheck(function, x)
    assert special.entr(T.tensor([0.0, -1.0])).tolist() == [0, -math.inf] and special.sinc(T.tensor(0.0)).item() == 1
    far = T.tensor([-3.0, -5.5, -30.0, -300.0]).double().requires_grad_()
    known = [-6.607726221510343, -17.77937635198872, -454.3212439955974, -45006.6227321157]
    close(special.log_ndtr(far), known, 1e-9)
    special.log_ndtr(far).sum().backward()
    assert far.grad.isfinite().all() and far.grad[3].item() == pytest.approx(300, rel=1e-4)
    for name in special.__all__:
        assert callable(getattr(special, name))


# --- what is refused

V, M = T.ones(3), T.ones(2, 3)
REFUSED = [
    (lambda: M.addcmul(2.0, M), TypeError, "tensor1"),
    (lambda: M.long().addcdiv(M.long(), M.long()), TypeError, "floating-point"),
    (lambda: M.atan2(1.0), TypeError, "atan2: expected a Tensor"),
    (lambda: M.long().fmod(0), ZeroDivisionError, "fmod"),
    (lambda: M.logaddexp(T.ones(4)), ValueError, "do not broadcast"),
    (lambda: M.bitwise_not(), TypeError, "boolean or integer"),
    (lambda: M.cumprod(2), IndexError, "cumprod: dim 2"),
    (lambda: T.tensor(1.0).diff(), ValueError, "0-d"),
    (lambda: M.diff(-1), ValueError, "0 or more"),
    (lambda: M.diff(prepend=V), ValueError, "prepend"),
    (lambda: M.long().nanmean(), RuntimeError, "floating-point"),
    (lambda: M.median(keepdim=True), TypeError, "needs dim"),
    (lambda: T.ones(0, 2).median(0), ValueError, "size 0"),
    (lambda: M.kthvalue(4), ValueError, "from 1 to 3"),
    (lambda: M.quantile(1.5), ValueError, "from 0 to 1"),
    (lambda: M.quantile(T.tensor([0.5]).double()), ValueError, "float32"),
    (lambda: M.quantile(0.5, interpolation="cubic"), ValueError, "interpolation"),
    (lambda: T.ones(0).quantile(0.5), ValueError, "quantile"),
    (lambda: M.histc(0), ValueError, "1 bin"),
    (lambda: M.histc(2, 3, 1), ValueError, "min ≤ max"),
    (lambda: T.searchsorted(M, T.ones(3, 2)), ValueError, "rows for numbers"),
    (lambda: T.searchsorted(V, V.double()), TypeError, "one dtype"),
    (lambda: T.searchsorted(V, V, side="up"), ValueError, "'left' or 'right'"),
    (lambda: T.searchsorted(V, V, right=True, side="left"), ValueError, "agree"),
    (lambda: T.searchsorted(V, V, sorter=T.tensor([0, 1, 3])), IndexError, "index 3"),
    (lambda: T.bucketize(V, M), ValueError, "vector"),
    (lambda: M.addmm(M, M), ValueError, "disagree"),
    (lambda: M.addmm(M, T.ones(3, 3).double()), TypeError, "one dtype"),
    (lambda: T.ones(4).addmm(M, T.ones(3, 3)), ValueError, "addmm: self"),
    (lambda: M.tensordot(M, 3), ValueError, "from 0 to 2"),
    (lambda: M.tensordot(M, ([0], [1])), ValueError, "do not fit"),
    (lambda: M.inner(T.ones(2)), ValueError, "last axes"),
    (lambda: M.cross(T.ones(2, 2)), ValueError, "cross"),
    (lambda: T.cdist(M, V), ValueError, "cdist"),
    (lambda: T.cdist(M, M, -1), ValueError, "0 or more"),
    (lambda: T.cdist(M, M, compute_mode="fast"), ValueError, "compute_mode"),
    (lambda: T.einsum("ii", M), ValueError, "size 2 and 3"),
    (lambda: T.einsum("i1", M), ValueError, "single letters"),
    (lambda: M.tensor_split(0), ValueError, "1 piece"),
    (lambda: M.tensor_split(T.tensor(2.0)), TypeError, "int64"),
    (lambda: M.hsplit(2), ValueError, "equal pieces"),
    (lambda: V.vsplit(1), ValueError, "two axes"),
    (lambda: M.rot90(1, (0, 0)), ValueError, "rot90"),
    (lambda: M.diag_embed(0, 1, 1), ValueError, "different axes"),
    (lambda: M.unfold(0, 3), ValueError, "from 0 to 2"),
    (lambda: M.unfold(0, 1, 0), ValueError, "step 1 or more"),
    (lambda: M.as_strided((3, 3), (3, 1)), ValueError, "reach element 8"),
    (lambda: M.as_strided((2,), (1,), -1), ValueError, "no negative"),
    (lambda: M.t().as_strided((2,), (1,)), ValueError, "contiguous"),
    (lambda: T.broadcast_tensors(T.ones(2), V), ValueError, "do not broadcast"),
    (lambda: T.cartesian_prod(M), ValueError, "vectors"),
    (lambda: T.combinations(M), ValueError, "vector"),
    (lambda: T.block_diag(T.ones(1, 1, 1)), ValueError, "matrices"),
    (lambda: M.repeat_interleave(2, 0, output_size=3), ValueError, "output_size=3"),
    (lambda: M.narrow(0, T.tensor(True), 1), TypeError, "integer"),
    (lambda: special.multigammaln(V, 3), ValueError, "above"),
    (lambda: M.norm("nuc", dim=0), ValueError, "two axes"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()
