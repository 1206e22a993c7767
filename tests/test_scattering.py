"""Writing at places that an index names: against plain loops, with gradients, in place, and what is refused."""

import math

import numpy as np
import pytest

import minidl
from minidl.autograd import gradcheck, gradgradcheck


def rng(seed=0):
    return np.random.default_rng(seed)


def tensor(array):
    return minidl.tensor(array)


def leaf(*shape, seed=0):
    return tensor(rng(seed).normal(size=shape)).requires_grad_()


def indices(*shape, high, seed=1):
    return tensor(rng(seed).integers(0, high, shape))


def places(index, dim):
    """(where in the index, where in self) for every element of the index."""
    for i in np.ndindex(index.shape):
        yield i, (*i[:dim], int(index.array[i]), *i[dim + 1 :])


def reduced(x, index, src, dim, reduce, include_self=True):
    y, met = x.copy(), {}
    for i, place in places(index, dim):
        met.setdefault(place, []).append(src[i])
    combine = {"sum": sum, "prod": math.prod, "mean": lambda v: sum(v) / len(v), "amax": max, "amin": min}[reduce]
    for place, values in met.items():
        y[place] = combine(values + [x[place]] * include_self)
    return y


# --- scatter and its relatives

DIMS = pytest.mark.parametrize("dim", [0, 1, -1])


@DIMS
def test_scatter_writes_and_the_last_one_stays(dim):
    x, src, index = leaf(3, 4), leaf(3, 4, seed=2), indices(3, 3, high=3)
    expected = x.array.copy()
    for i, place in places(index, dim % 2):
        expected[place] = src.array[i]
    np.testing.assert_array_equal(x.scatter(dim, index, src).array, expected)
    assert gradcheck(lambda x, src: x.scatter(dim, index, src), (x, src))
    assert gradgradcheck(lambda x, src: x.scatter(dim, index, src), (x, src))


def test_scatter_of_a_number():
    x = minidl.zeros(2, 3)
    index = tensor([[0], [2]])
    assert x.scatter(1, index, 5).tolist() == x.scatter(1, index, value=5).tolist() == [[5, 0, 0], [0, 0, 5]]
    assert x.scatter(1, index, 5, reduce="add").sum() == 10
    assert (x + 2).scatter(1, index, 5, reduce="multiply").tolist() == [[10, 2, 2], [2, 2, 10]]
    assert x.tolist() == [[0] * 3] * 2


@DIMS
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_reduce_is_a_loop(dim, reduce, include_self):
    x, src, index = leaf(3, 4), leaf(3, 4, seed=2), indices(3, 3, high=3)

    def function(x, src):
        return x.scatter_reduce(dim, index, src, reduce, include_self=include_self)

    expected = reduced(x.array, index, src.array, dim % 2, reduce, include_self)
    np.testing.assert_allclose(function(x, src).array, expected, rtol=1e-12)
    assert gradcheck(function, (x, src)) and gradgradcheck(function, (x, src))
    if reduce == "sum" and include_self:
        np.testing.assert_array_equal(x.scatter_add(dim, index, src).array, function(x, src).array)


@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_reduce_of_integers(reduce, include_self):
    x, src, index = tensor([7, -2, 5]), tensor([3, 8, -9, 4]), tensor([0, 2, 2, 0])
    y = x.scatter_reduce(0, index, src, reduce, include_self=include_self)
    met = {0: [3, 4], 2: [8, -9]}
    combine = {"sum": sum, "prod": math.prod, "mean": lambda v: sum(v) // len(v), "amax": max, "amin": min}[reduce]
    expected = [combine(met[i] + [v] * include_self) if i in met else v for i, v in enumerate([7, -2, 5])]
    assert y.tolist() == expected and y.dtype == minidl.int64


def test_zeros_among_the_factors_of_a_product():
    """dv is the product of the others: with one zero only its own place has a gradient, with two none."""
    x, src = tensor([2.0, 3.0, 4.0]).double().requires_grad_(), tensor([0.0, 5.0, 0.0, 0.0]).double().requires_grad_()
    x.scatter_reduce(0, tensor([0, 0, 1, 1]), src, "prod").sum().backward()
    assert src.grad.tolist() == [10.0, 0.0, 0.0, 0.0] and x.grad.tolist() == [0.0, 0.0, 1.0]


def test_equal_ones_share_the_gradient_of_the_largest():
    x, src = tensor([5.0, 0.0]).requires_grad_(), tensor([5.0, 5.0, 1.0]).requires_grad_()
    x.scatter_reduce(0, tensor([0, 0, 0]), src, "amax").sum().backward()
    np.testing.assert_allclose(x.grad.array, [1 / 3, 1])
    np.testing.assert_allclose(src.grad.array, [1 / 3, 1 / 3, 0])


def test_an_index_may_be_shorter_and_src_longer():
    x, src = minidl.zeros(4, 5), minidl.arange(12.0).reshape(3, 4)
    y = x.scatter(0, tensor([[3, 1]]), src)
    assert y[3, 0] == 0 and y[1, 1] == 1 and y.sum() == 1
    assert x.scatter(0, minidl.zeros(0).long(), src).equal(x)  # an empty index of any shape


def test_tensors_without_axes():
    x, zero = tensor(2.0), tensor(0)
    assert x.scatter(0, zero, tensor(3.0)).item() == 3 and x.scatter_add(0, tensor([0]), tensor([3.0])).item() == 5
    assert x.index_add(0, tensor([0]), tensor(3.0)).item() == 5 and x.index_fill(0, zero, 7).item() == 7
    assert x.index_copy(0, zero, tensor(4.0)).item() == 4 and x.gather(0, zero).item() == 2
    assert x.gather(0, tensor([0, 0])).tolist() == [2, 2] and x.index_select(0, tensor([0])).shape == ()
    assert x.topk(1).values.shape == () and x.sort().indices.item() == 0 and x.put(tensor([0]), tensor([9.0])).shape == ()


# --- slices: index_add, index_copy, index_fill


@DIMS
@pytest.mark.parametrize("alpha", [1, -2.5])
def test_index_add_is_a_loop(dim, alpha):
    x, index = leaf(3, 4), indices(5, high=3)
    source = leaf(*((5, 4) if dim == 0 else (3, 5)), seed=2)
    expected = x.array.copy()
    for k, i in enumerate(index.tolist()):
        np.moveaxis(expected, dim, 0)[i] += alpha * np.moveaxis(source.array, dim, 0)[k]
    np.testing.assert_allclose(x.index_add(dim, index, source, alpha=alpha).array, expected)
    assert gradcheck(lambda x, s: x.index_add(dim, index, s, alpha=alpha), (x, source))


def test_index_copy_and_index_fill():
    x, source, index = leaf(4, 3), leaf(2, 3, seed=2), tensor([3, 0])
    y = x.index_copy(0, index, source).detach()
    assert y[3].equal(source[0].detach()) and y[0].equal(source[1].detach()) and y[1:3].equal(x[1:3].detach())
    assert x.index_fill(1, tensor([2]), 1.5).detach()[:, 2].tolist() == [1.5] * 4
    assert gradcheck(lambda x, s: x.index_copy(0, index, s), (x, source))
    assert gradcheck(lambda x, v: x.index_fill(1, tensor([2, 0]), v), (x, leaf()))


# --- index_put, put, take, masked_scatter


def test_index_put_is_setitem_and_adds_on_request():
    x, values = leaf(3, 4), leaf(3, seed=2)
    index = tensor([0, 2, 0]), tensor([1, 1, 1])
    y = x.detach().clone()
    y[index] = values.detach()
    assert x.index_put(index, values).detach().equal(y)
    expected = x.array.copy()
    np.add.at(expected, (np.array([0, 2, 0]), np.array([1, 1, 1])), values.array)
    np.testing.assert_allclose(x.index_put(index, values, accumulate=True).array, expected)
    assert gradcheck(lambda x, v: x.index_put(index, v, True), (x, values))
    mask = tensor([[True, False, True, False]] * 3)
    assert x.index_put((mask,), tensor(0.0).double()).detach()[mask].eq(0).all()
    assert x.index_put((tensor([1]),), leaf(4)).detach()[1].equal(leaf(4).detach())


def test_put_and_take_count_in_the_flattened_tensor():
    x, source = leaf(3, 4), leaf(2, 2, seed=2)
    index = tensor([[5, -1], [0, 5]])
    expected = x.array.ravel().copy()
    for k, v in zip([5, 11, 0, 5], source.array.ravel(), strict=True):
        expected[k] += v
    np.testing.assert_allclose(x.put(index, source, accumulate=True).array.ravel(), expected)
    np.testing.assert_array_equal(x.take(index).array, x.array.ravel()[[[5, 11], [0, 5]]])
    assert gradcheck(lambda x, s: x.put(index, s, True), (x, source)) and gradcheck(lambda x: x.take(index), x)


def test_masked_scatter_takes_the_source_in_order():
    x, source, mask = leaf(2, 3), leaf(5, seed=2), tensor([[True, False, True], [False, True, False]])
    y = x.masked_scatter(mask, source)
    assert y.detach()[mask].equal(source.detach()[:3]) and y.detach()[~mask].equal(x.detach()[~mask])
    assert gradcheck(lambda x, s: x.masked_scatter(mask, s), (x, source))
    assert x.masked_scatter(tensor([True, False, False]), source).detach()[:, 0].equal(source.detach()[:2])


def test_take_along_dim_counts_from_the_end_and_gather_does_not():
    x = minidl.arange(6).reshape(2, 3)
    assert x.take_along_dim(tensor([[-1], [0]]), 1).tolist() == [[2], [3]]
    with pytest.raises(IndexError, match="gather: index -1"):
        x.gather(1, tensor([[-1], [0]]))


# --- in place

IN_PLACE = [
    ("scatter", (0, tensor([[1, 0]]), tensor([[1.0, 2.0]]))),
    ("scatter_add", (0, tensor([[1, 1]]), tensor([[1.0, 2.0]]))),
    ("scatter_reduce", (0, tensor([[1, 1]]), tensor([[1.0, 9.0]]), "amax")),
    ("index_add", (0, tensor([1, 1]), tensor([[1.0, 2.0], [3.0, 4.0]]))),
    ("index_copy", (0, tensor([1]), tensor([[1.0, 2.0]]))),
    ("index_fill", (1, tensor([1]), 9.0)),
    ("index_put", ((tensor([1]), tensor([0])), tensor([5.0]))),
    ("put", (tensor([3]), tensor([5.0]))),
    ("masked_scatter", (tensor([[True, False], [False, True]]), tensor([5.0, 6.0]))),
    ("addcmul", (minidl.ones(2, 2), minidl.full((2, 2), 3.0))),
    ("addcdiv", (minidl.ones(2, 2), minidl.full((2, 2), 4.0))),
    ("lerp", (minidl.ones(2, 2), 0.25)),
]


@pytest.mark.parametrize(("name", "args"), IN_PLACE, ids=[name for name, _ in IN_PLACE])
def test_in_place_is_the_same_in_the_same_memory(name, args):
    x = minidl.arange(4.0).reshape(2, 2)
    expected = getattr(x, name)(*args)
    assert x.tolist() == [[0, 1], [2, 3]] and not expected.equal(x)
    y = x.clone()
    memory = y.data_ptr()
    assert getattr(y, f"{name}_")(*args) is y and y.equal(expected) and y.data_ptr() == memory
    leaf = x.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="leaf"):
        getattr(leaf, f"{name}_")(*args)
    z = leaf * 1
    getattr(z, f"{name}_")(*args)
    z.sum().backward()
    other = x.clone().requires_grad_()
    getattr(other, name)(*args).sum().backward()
    assert leaf.grad.equal(other.grad)


def test_rmsprop_as_users_write_it():
    """avg ← ρ avg + (1 − ρ) g²; w ← w − lr g/√(avg + ε)"""
    w, g, avg = tensor([1.0, 2.0]), tensor([0.5, -4.0]), minidl.zeros(2)
    avg.mul_(0.9).addcmul_(g, g, value=0.1)
    w.addcdiv_(g, (avg + 1e-8).sqrt(), value=-0.01)
    np.testing.assert_allclose(w.array, [1 - 0.01 * 0.5 / math.sqrt(0.025), 2 + 0.01 * 4 / math.sqrt(1.6)], rtol=1e-6)


# --- what is refused

X, I = minidl.zeros(3, 4), tensor([[0, 1]])
REFUSED = [
    (lambda: X.scatter(0, I, minidl.zeros(1, 2).double()), TypeError, "scatter: expected a src of float32"),
    (lambda: X.scatter(0, I.float(), minidl.zeros(1, 2)), TypeError, "integers"),
    (lambda: X.scatter(0, I + 3, minidl.zeros(1, 2)), IndexError, "index 3 is out of range for size 3"),
    (lambda: X.scatter(0, I - 1, minidl.zeros(1, 2)), IndexError, "index -1"),
    (lambda: X.scatter(0, I, minidl.zeros(1, 1)), ValueError, "must fit in self, and in src"),
    (lambda: X.scatter(1, minidl.zeros(4, 1).long(), minidl.zeros(4, 1)), ValueError, "must fit in self"),
    (lambda: X.scatter(0, I), TypeError, "expected src"),
    (lambda: X.scatter(0, I, 1.0, value=2.0), TypeError, "expected src"),
    (lambda: X.scatter(0, I, 1.0, reduce="sum"), ValueError, "'add' or 'multiply'"),
    (lambda: X.long().scatter(0, I, 1.5), (TypeError, ValueError), "scatter"),
    (lambda: X.scatter_reduce(0, I, minidl.zeros(1, 2), "max"), ValueError, "'amax'"),
    (lambda: X.scatter_add(2, I, minidl.zeros(1, 2)), IndexError, "dim 2"),
    (lambda: X.index_add(0, tensor([3]), minidl.zeros(1, 4)), IndexError, "index 3"),
    (lambda: X.index_add(0, tensor([0]), minidl.zeros(2, 4)), ValueError, "source of shape"),
    (lambda: X.long().index_add(0, tensor([0]), minidl.zeros(1, 4).long(), alpha=0.5), TypeError, "0.5"),
    (lambda: X.index_copy(0, I, minidl.zeros(1, 4)), ValueError, "vector of indices"),
    (lambda: X.long().index_fill(0, tensor([0]), 1.5), TypeError, "1.5"),
    (lambda: X.index_fill(0, tensor([0]), minidl.zeros(2)), ValueError, "0-d"),
    (lambda: X.index_put(I, minidl.zeros(2)), TypeError, "tuple"),
    (lambda: X.index_put((tensor([3]),), minidl.zeros(4)), IndexError, "index_put"),
    (lambda: X.index_put((tensor([0]),), minidl.zeros(3)), ValueError, "shape"),
    (lambda: X.index_put((tensor([0]),), minidl.zeros(4).double()), TypeError, "values of float32"),
    (lambda: X.put(tensor([12]), minidl.zeros(1)), IndexError, "index 12"),
    (lambda: X.put(tensor([1, 2]), minidl.zeros(1)), ValueError, "2 indices"),
    (lambda: X.take(tensor([-13])), IndexError, "index -13"),
    (lambda: X.masked_scatter(X > -1, minidl.zeros(11)), ValueError, "12 elements"),
    (lambda: X.masked_scatter(X, minidl.zeros(12)), TypeError, "boolean"),
    (lambda: X.clone().masked_scatter_(X > -1, minidl.zeros(12).double()), TypeError, "float32"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()
