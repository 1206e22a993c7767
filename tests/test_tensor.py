"""Making tensors, looking at them, taking them to Python and NumPy and back, and the errors on the way."""

import math
import re

import numpy as np
import pytest

import minidl
from minidl import float32, float64, int32, int64

# --- making


def test_tensor_of_numbers_lists_arrays_and_tensors():
    assert minidl.tensor(3).dtype == int64
    assert minidl.tensor(3.0).dtype == float32
    assert minidl.tensor([True, False]).dtype == minidl.bool
    assert minidl.tensor([[1, 2.5], [3, 4]]).tolist() == [[1.0, 2.5], [3.0, 4.0]]
    assert minidl.tensor([]).shape == (0,)
    assert minidl.tensor([]).dtype == float32
    assert minidl.tensor(np.ones(2)).dtype == float64
    assert minidl.tensor(np.float64(2)).dtype == float64
    assert minidl.tensor([np.float64(2), 1.0]).dtype == float64
    assert minidl.tensor(np.ones(2, np.int32)).dtype == int32
    assert minidl.tensor([minidl.tensor(1.0), 2.0]).tolist() == [1.0, 2.0]
    assert minidl.tensor([minidl.ones(2), minidl.zeros(2)]).shape == (2, 2)
    assert minidl.tensor(range(3)).tolist() == [0, 1, 2]
    assert minidl.tensor([1, 2], dtype=float64, device="cpu", requires_grad=True).requires_grad
    assert minidl.tensor([1.9], dtype=int64).tolist() == [1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: minidl.tensor([[1, 2], [3]]), ValueError, "tensor: the nested lists are ragged"),
        (lambda: minidl.tensor("abc"), TypeError, "tensor: expected a number"),
        (lambda: minidl.tensor([1, None]), TypeError, "tensor: expected a number"),
        (lambda: minidl.tensor(1j, dtype=minidl.float32), TypeError, "complex numbers do not fit in float32"),
        (lambda: minidl.tensor(1.0, device="cuda"), RuntimeError, "only 'cpu' exists in minidl, got 'cuda'"),
        (lambda: minidl.zeros(2, device="cuda:0"), RuntimeError, "only 'cpu' exists"),
        (lambda: minidl.ones(1).cuda(), RuntimeError, "CPU only"),
        (lambda: minidl.ones(1).to("cuda"), RuntimeError, "only 'cpu' exists"),
        (lambda: minidl.ones(1).to("mps"), RuntimeError, "only 'cpu' exists"),
        (lambda: minidl.from_numpy([1, 2]), TypeError, "from_numpy: expected an ndarray, got list"),
        (lambda: minidl.from_numpy(np.ones(1, np.complex64)), TypeError, "minidl has the dtypes"),
        (lambda: minidl.zeros(-1), ValueError, r"zeros: sizes must be integers of 0 or more, got \(-1,\)"),
        (lambda: minidl.ones(2.0), ValueError, "ones: sizes must be integers"),
        (lambda: minidl.rand(2, size=(3,)), TypeError, "rand: give the sizes once"),
        (lambda: minidl.arange(0, 5, -1), ValueError, "arange: step -1 does not lead from 0 to 5"),
        (lambda: minidl.arange(0, 5, 0), ValueError, "arange: step 0"),
        (lambda: minidl.full((2,), "a"), TypeError, "full: fill_value must be a number, got 'a'"),
        (lambda: minidl.meshgrid(minidl.ones(2), indexing="yx"), ValueError, "indexing must be 'ij' or 'xy'"),
        (lambda: minidl.normal(0, 1), TypeError, "normal: expected size"),
        (lambda: minidl.tensor(None, dtype=float32), TypeError, "tensor: expected a number"),  # NumPy makes it NaN
        (lambda: minidl.tensor(["1"], dtype=float32), TypeError, "tensor: expected a number"),  # and this 1.0
        (lambda: minidl.tensor([1.0], requires_grad="False"), TypeError, "requires_grad must be True or False, got 'False'"),
        (lambda: minidl.zeros(2, requires_grad=0), TypeError, "requires_grad must be True or False, got 0"),
        (lambda: minidl.zeros(2, dtype=minidl.ones(1)), TypeError, "minidl has the dtypes"),  # NumPy takes the tensor's dtype
        (lambda: minidl.zeros(True), ValueError, r"zeros: sizes must be integers of 0 or more, got \(True,\)"),
        (lambda: minidl.zeros(size=2.5), ValueError, "zeros: sizes must be integers of 0 or more"),
        (lambda: minidl.zeros(minidl.ones(2, 3)), ValueError, "zeros: sizes must be integers of 0 or more"),
        (lambda: minidl.full(None, 1.0), ValueError, "full: sizes must be integers of 0 or more"),
        (lambda: minidl.full((2,), None), TypeError, "full: fill_value must be a number, got None"),
        (lambda: minidl.full_like(minidl.ones(2), "1"), TypeError, "full: fill_value must be a number, got '1'"),
        (lambda: minidl.zeros_like([1.0]), TypeError, "zeros_like: expected a Tensor as input, got list"),
        (lambda: minidl.ones_like(np.ones(2)), TypeError, "ones_like: expected a Tensor as input, got ndarray"),
        (lambda: minidl.empty_like(5), TypeError, "empty_like: expected a Tensor as input, got int"),
        (lambda: minidl.full_like(None, 5), TypeError, "full_like: expected a Tensor as input, got NoneType"),
        (lambda: minidl.rand_like("x"), TypeError, "rand_like: expected a Tensor as input, got str"),
        (lambda: minidl.randn_like((1, 2)), TypeError, "randn_like: expected a Tensor as input, got tuple"),
        (lambda: minidl.eye(2.0), ValueError, "eye: sizes must be integers"),
        (lambda: minidl.eye(2, -1), ValueError, "eye: sizes must be integers"),
        (lambda: minidl.arange(math.inf), ValueError, "arange: step 1 does not lead from 0 to inf"),
        (lambda: minidl.arange(math.nan), ValueError, "arange: step 1 does not lead from 0 to nan"),
        (lambda: minidl.arange("5"), TypeError, "arange: end must be a number, got '5'"),
        (lambda: minidl.linspace([0, 1], 1, 5), TypeError, r"linspace: start must be a number, got \[0, 1\]"),
        (lambda: minidl.linspace(0, 1, 2.5), ValueError, "linspace: sizes must be integers"),
        (lambda: minidl.logspace(0, "1", 5), TypeError, "logspace: end must be a number, got '1'"),
        (lambda: minidl.logspace(0, 1, 5, base=None), TypeError, "logspace: base must be a number, got None"),
        (lambda: minidl.normal("0", 1.0, size=(2,)), TypeError, "normal: mean must be a number, got '0'"),
        (lambda: minidl.normal(minidl.zeros(2), None), TypeError, "normal: std must be a number, got None"),
        (lambda: minidl.normal(minidl.zeros(2), math.nan), ValueError, "normal: std must be at least 0, got nan"),
        (lambda: minidl.normal(minidl.zeros(2), minidl.ones(3)), ValueError, r"normal: shapes \(2,\) and \(3,\)"),
        (lambda: minidl.normal(minidl.arange(2), 1.0), TypeError, "normal: expected floating-point mean and std"),
        (lambda: minidl.bernoulli([0.5]), TypeError, "bernoulli: expected a Tensor as input, got list"),
        (lambda: minidl.multinomial([0.5], 1), TypeError, "multinomial: expected a Tensor as input, got list"),
        (lambda: minidl.multinomial(minidl.ones(3), 2, "False"), TypeError, "multinomial: replacement must be True or False"),
        (lambda: minidl.vstack([1, 2]), TypeError, "vstack: expected one or more Tensors"),
        (lambda: minidl.hstack([]), TypeError, "hstack: expected one or more Tensors"),
        (lambda: minidl.meshgrid([1], [2]), TypeError, "meshgrid: expected one or more Tensors"),
        (lambda: minidl.meshgrid(minidl.ones(2, 2)), ValueError, r"meshgrid: expected vectors, argument 0 has shape \(2, 2\)"),
        (lambda: minidl.einsum(minidl.ones(2), "i->i"), TypeError, "einsum: expected an equation such as 'ij,jk->ik' first"),
        (lambda: minidl.einsum("i->i", [1.0]), TypeError, "einsum: expected one or more Tensors"),
        (
            lambda: minidl.einsum("i,i->i", minidl.arange(2), minidl.ones(2)),
            TypeError,
            "einsum: expected operands of one dtype",
        ),
        (lambda: minidl.isin([1], minidl.ones(1)), TypeError, "isin: expected a Tensor as elements, got list"),
        (lambda: minidl.isin(minidl.ones(1), "1"), TypeError, "tensor: expected a number"),
        (lambda: minidl.unique([1, 1]), TypeError, "unique: expected a Tensor as input, got list"),
        (lambda: minidl.bincount([1, 1]), TypeError, "bincount: expected a Tensor as input, got list"),
        (lambda: minidl.bincount(minidl.tensor([-1])), ValueError, "bincount: expected a vector of integers of 0 or more"),
        (
            lambda: minidl.bincount(minidl.ones(2)),
            ValueError,
            "bincount: expected a vector of integers of 0 or more, got float32",
        ),
        (
            lambda: minidl.bincount(minidl.arange(2), minidl.ones(3)),
            ValueError,
            "bincount: expected weights of the input's shape",
        ),
        (lambda: minidl.numel([1]), TypeError, "numel: expected a Tensor as input, got list"),
        (lambda: minidl.pow(2.0, 3), TypeError, "pow: expected a Tensor among the operands"),
        (lambda: minidl.remainder(2.0, 3), TypeError, "remainder: expected a Tensor among the operands"),
        (lambda: minidl.ones(2).new_full((2,), None), TypeError, "expected a Tensor or a number, got NoneType"),
        (lambda: minidl.ones(2).new_tensor(["1"]), TypeError, "new_tensor: expected numbers"),
        (lambda: minidl.ones(2).new_zeros(2.5), TypeError, "new_zeros: expected an integer, got 2.5"),
    ],
)
def test_promise_26_wrong_arguments_of_makers(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("maker", [minidl.zeros, minidl.ones, minidl.empty, minidl.rand, minidl.randn])
def test_sizes_in_every_form(maker):
    for made in (maker(2, 3), maker((2, 3)), maker([2, 3]), maker(size=(2, 3)), maker(minidl.ones(2, 3).shape)):
        assert made.shape == (2, 3)
        assert made.dtype == float32
        assert not made.requires_grad
    assert maker(()).shape == ()
    assert maker(4).shape == (4,)
    assert maker(0, 3).numel() == 0
    assert maker(np.int64(2), minidl.tensor(3)).shape == (2, 3)
    made = maker(2, dtype=float64, device=minidl.device("cpu"), requires_grad=True)
    assert made.dtype == float64
    assert made.requires_grad
    assert made.is_leaf


def test_the_other_makers():
    assert minidl.arange(3).tolist() == [0, 1, 2]
    assert minidl.arange(3).dtype == int64
    assert minidl.arange(1, 2, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]
    assert minidl.arange(0, minidl.tensor(3)).tolist() == [0, 1, 2]
    assert len(minidl.arange(-8.0, 8.0, 0.1)) == 160
    assert minidl.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]
    assert minidl.logspace(0, 2, 3).tolist() == [1.0, 10.0, 100.0]
    assert minidl.eye(2, 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert minidl.full((2,), 3).dtype == int64
    assert minidl.full((2,), 3.0, dtype=float64, requires_grad=True).requires_grad
    x = minidl.ones(2, 3, dtype=float64)
    for like in (minidl.zeros_like, minidl.ones_like, minidl.empty_like, minidl.rand_like, minidl.randn_like):
        assert like(x).shape == (2, 3)
        assert like(x).dtype == float64
        assert like(x, dtype=float32, device="cpu", requires_grad=True).dtype == float32
    assert minidl.full_like(x, 7).tolist() == [[7.0] * 3] * 2
    rows, columns = minidl.meshgrid(minidl.arange(2), minidl.arange(3), indexing="ij")
    assert rows.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert columns.shape == (2, 3)
    assert minidl.randint(0, 5, (100,)).max() < 5
    assert minidl.randint(5, (3,)).dtype == minidl.randint(high=5, size=(3,)).dtype == int64
    assert minidl.normal(0, 0.01, (2, 3)).shape == minidl.normal(mean=0.0, std=1.0, size=(2, 3)).shape == (2, 3)


def test_tensor_of_a_tensor_is_a_constant_copy():
    x = minidl.ones(2, requires_grad=True)
    y = minidl.tensor(x)
    assert not y.requires_grad
    assert not np.shares_memory(y.numpy(), x.detach().numpy())


# --- looking


def test_attributes():
    x = minidl.zeros(2, 3)
    assert x.shape == (2, 3) == x.size()
    assert x.shape + (4,) == (2, 3, 4)
    assert [*x.shape, 1] == [2, 3, 1]
    assert x.shape[0] == x.size(0) == len(x) == 2
    assert x.size(-1) == x.size(dim=1) == 3
    assert x.ndim == x.dim() == 2
    assert x.numel() == x.nelement() == 6
    assert x.itemsize == x.element_size() == 4
    assert x.nbytes == 24
    assert x.stride() == (3, 1)
    assert x.T.stride() == (1, 3)
    assert x.is_contiguous()
    assert not x.T.is_contiguous()
    assert x.dtype is float32
    assert x.dtype == np.float32
    assert str(x.device) == "cpu"
    assert x.device == minidl.device("cpu")
    assert x.is_floating_point()
    assert x.data_ptr() == x[0].data_ptr()
    with pytest.raises(IndexError, match="size: dim 2 is out of range for 2 axes"):
        x.size(2)


def test_leaf_and_grad_fn():
    x = minidl.ones(2, requires_grad=True)
    y = x * 2
    assert x.is_leaf
    assert x.grad_fn is None
    assert not y.is_leaf
    assert repr(y.grad_fn) == "<MulBackward0>"
    assert minidl.ones(2).is_leaf
    assert minidl.ones(2).grad is None
    x.requires_grad = False
    assert not x.requires_grad
    with pytest.raises(RuntimeError, match="only a leaf can stop requiring grad"):
        y.requires_grad_(False)
    assert y.requires_grad_() is y
    assert not y.detach().requires_grad
    y.detach_()
    assert y.is_leaf


def test_grad_can_be_assigned_and_is_checked():
    x = minidl.ones(2, requires_grad=True)
    x.grad = minidl.tensor([1.0, 2.0])
    (x * 2).sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]
    del x.grad
    assert x.grad is None
    for wrong in (minidl.ones(3), minidl.ones(2, dtype=float64), np.ones(2)):
        with pytest.raises(TypeError, match=r"grad: expected None or a float32 Tensor of shape \(2,\)"):
            x.grad = wrong
    with pytest.raises(RuntimeError, match="only floating-point tensors have gradients"):
        minidl.arange(2).grad = minidl.arange(2)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: minidl.tensor(1.6855), "tensor(1.6855)"),
        (lambda: minidl.arange(3), "tensor([0, 1, 2])"),
        (lambda: minidl.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (lambda: minidl.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
        (lambda: minidl.ones(2, requires_grad=True) * 2, "tensor([2., 2.], grad_fn=<MulBackward0>)"),
        (lambda: minidl.ones(1, dtype=float64), "tensor([1.], dtype=minidl.float64)"),
        (lambda: minidl.tensor([True]), "tensor([True])"),
        (lambda: minidl.zeros(0, 3), "tensor([], size=(0, 3))"),
    ],
)
def test_repr(make, text):
    assert repr(make()) == str(make()) == text


def test_format():
    s = minidl.tensor(2 / 3)
    assert f"{s:.3f}" == "0.667"
    assert f"{s:8.2e}" == "6.67e-01"
    assert f"{minidl.tensor(7):04d}" == "0007"
    assert f"{minidl.tensor([1, 2])}" == "tensor([1, 2])"
    assert f"{s * minidl.ones((), requires_grad=True):.1f}" == "0.7"
    with pytest.raises(TypeError):
        f"{minidl.ones(2):.3f}"


# --- to Python and NumPy


def test_numbers():
    assert minidl.tensor([[2.5]]).item() == 2.5
    assert isinstance(minidl.tensor(3).item(), int)
    assert isinstance(minidl.tensor(True).item(), bool)
    assert float(minidl.tensor(3)) == 3.0
    assert int(minidl.tensor([2.9])) == 2
    assert math.sqrt(minidl.tensor(4.0)) == 2.0
    assert round(float(minidl.tensor(2.5)), 1) == 2.5
    assert bool(minidl.tensor([1]))
    assert not minidl.tensor(0.0)
    assert minidl.tensor([[1, 2]]).tolist() == [[1, 2]]
    assert minidl.tensor(1.5).tolist() == 1.5
    x = minidl.ones((), requires_grad=True)
    assert float(x) == x.item() == x.tolist() == 1.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.item(), RuntimeError, r"item: expected a tensor with one element, got shape \(2,\)"),
        (lambda x: float(x), ValueError, "one element"),
        (lambda x: int(x), ValueError, "one element"),
        (lambda x: bool(x), RuntimeError, r"the truth of a tensor with shape \(2,\) is ambiguous"),
        (lambda x: bool(x[:0]), RuntimeError, "ambiguous"),
        (lambda x: len(x[0]), TypeError, "0-d"),
        (lambda x: iter(x[0]), TypeError, "0-d"),
        (lambda x: (x * 2).numpy(), RuntimeError, r"requires grad; use .detach\(\).numpy\(\)"),
        (lambda x: np.asarray(x), RuntimeError, "requires grad"),
        (lambda x: np.exp(x, where=True), TypeError, "where= cannot be given with a Tensor"),
    ],
)
def test_conversions_that_cannot_be(call, error, message):
    with pytest.raises(error, match=message):
        call(minidl.ones(2, requires_grad=True))


def test_arrays():
    x = minidl.arange(4.0)
    assert np.asarray(x) is not x
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert np.array(x).dtype == np.float32
    assert np.asarray(x, dtype=np.int64).tolist() == [0, 1, 2, 3]
    assert np.array([x, x]).shape == (2, 4)
    assert np.allclose(x, [0, 1, 2, 3])
    assert minidl.ones(2, requires_grad=True).numpy(force=True).tolist() == [1.0, 1.0]
    assert np.array([minidl.tensor(1), minidl.tensor(2)]).tolist() == [1, 2]


def test_iteration():
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    assert first.tolist() == [1.0, 2.0]
    assert [row.tolist() for row in reversed(x)] == [[3.0, 4.0], [1.0, 2.0]]
    assert sum(x).tolist() == [4.0, 6.0]
    assert max(minidl.tensor([3, 1])).item() == 3
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert 3.0 in x
    assert 9.0 not in x
    assert [i for i, _ in enumerate(minidl.zeros(3))] == [0, 1, 2]
    assert {x: 1}[x] == 1


def test_promise_14_sum_of_a_generator():
    xs = [minidl.tensor(float(i), requires_grad=True) for i in range(3)]
    sum(x * x for x in xs).backward()
    assert [x.grad.item() for x in xs] == [0.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("f", "value", "slope"),
    [
        (lambda t: np.float64(2) * t, [2.0, 4.0], [2.0, 2.0]),
        (lambda t: np.float32(2) - t, [1.0, 0.0], [-1.0, -1.0]),
        (lambda t: np.ones(2, np.float32) + t, [2.0, 3.0], [1.0, 1.0]),
        (lambda t: np.ones(2, np.float32) / t, [1.0, 0.5], [-1.0, -0.25]),
        (lambda t: np.float64(2) ** t, [2.0, 4.0], [2 * math.log(2), 4 * math.log(2)]),
        (lambda t: np.array([[1.0, 1.0]], np.float32) @ t, [3.0], [1.0, 1.0]),
        (lambda t: t @ np.ones((2, 1), np.float32), [3.0], [1.0, 1.0]),
        (lambda t: t * np.arange(2, dtype=np.int64), [0.0, 2.0], [0.0, 1.0]),
        (lambda t: np.int64(7) // t.detach() + t, [8.0, 5.0], [1.0, 1.0]),
        (lambda t: np.array(3.0) * t, [3.0, 6.0], [3.0, 3.0]),
    ],
)
def test_promise_13_numpy_on_the_left(f, value, slope):
    t = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = f(t)
    assert isinstance(y, minidl.Tensor)
    assert y.dtype == float32
    assert y.tolist() == value
    y.sum().backward()
    assert t.grad.tolist() == pytest.approx(slope)


def test_promise_13_numpy_compares_too():
    t = minidl.tensor([1.0, 2.0])
    for y in (np.float64(1.5) < t, np.array([1.5, 1.5]) < t, np.float64(2) == t):
        assert isinstance(y, minidl.Tensor)
        assert y.tolist() == [False, True]


def test_comparison_with_other_things():
    x = minidl.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "auto") is False
    assert (x != "auto") is True
    with pytest.raises(TypeError, match="equal: expected a Tensor or a number, got list"):
        x == [1, 1]  # noqa: B015
    with pytest.raises(TypeError, match="less: expected a Tensor or a number, got str"):
        x < "a"  # noqa: B015


# --- axes


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std"])
def test_dim_or_axis_and_keepdim_or_keepdims(name):
    x = minidl.arange(24.0).reshape(2, 3, 4)
    f = getattr(minidl.Tensor, name)
    for dim in (0, -1, (0, 2), (-1, 0)):
        expected = f(x, dim).tolist()
        assert f(x, axis=dim).tolist() == f(x, dim=dim).tolist() == expected
        kept = f(x, dim, keepdim=True)
        assert kept.shape == f(x, axis=dim, keepdims=True).shape
        axes = [d % 3 for d in (dim if isinstance(dim, tuple) else (dim,))]
        assert kept.shape == tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    with pytest.raises(TypeError, match=f"{name}: give dim or axis, not both"):
        f(x, 0, axis=1)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "prod", "amax", "amin", "all", "any", "norm", "logsumexp"])
def test_promise_23_axes_of_reductions(name):
    x = minidl.tensor(np.random.default_rng(0).uniform(1, 2, (2, 3, 4)))

    def f(dim, keepdim=False):
        return x.norm(2, dim, keepdim) if name == "norm" else getattr(x, name)(dim, keepdim=keepdim)

    assert f((0, 1, 2)).shape == ()
    assert f((0, 1, 2), True).shape == (1, 1, 1)
    assert f((0, -1)).shape == (3,)
    assert np.allclose(f((-1, 0)), f((0, 2)))
    assert np.allclose(f(-2), f(1))
    with pytest.raises(ValueError, match=f"{name}: an axis appears twice"):
        f((0, -3))
    for bad in (3, -4, (0, 5)):
        with pytest.raises(IndexError, match=f"{name}: dim -?\\d is out of range for 3 axes"):
            f(bad)
    with pytest.raises(TypeError, match=f"{name}: dim must be an integer"):
        f(1.0)


def test_promise_23_permutations():
    x = minidl.zeros(2, 3, 4)
    assert x.permute(-1, 0, -2).shape == (4, 2, 3)
    assert x.transpose(-1, 0).shape == (4, 3, 2)
    assert x.movedim(-1, 0).shape == (4, 2, 3)
    assert x.T.shape == (4, 3, 2)
    with pytest.raises(ValueError, match="permute: an axis appears twice"):
        x.permute(0, 0, 1)
    with pytest.raises(ValueError, match="permute: expected 3 axes"):
        x.permute(0, 1)
    with pytest.raises(ValueError, match=r"t: expected at most 2 axes, got shape \(2, 3, 4\)"):
        x.t()
    with pytest.raises(IndexError, match="transpose: dim 3"):
        x.transpose(0, 3)


# --- errors in the user's terms


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: a + minidl.ones(4), ValueError, r"add: shapes \(2, 3\) and \(4,\) do not broadcast: axis -1 has 3 and 4"),
        (lambda a: minidl.ones(3, 1, 3) * minidl.ones(2, 2, 1), ValueError, "mul: .* axis -3 has 3 and 2"),
        (lambda a: a // minidl.ones(4), ValueError, "floor_divide: shapes"),
        (lambda a: a % minidl.ones(4), ValueError, "remainder: shapes"),
        (lambda a: a ** minidl.ones(4), ValueError, "pow: shapes"),
        (lambda a: a == minidl.ones(4), ValueError, "equal: shapes"),
        (lambda a: minidl.where(a > 0, a, minidl.ones(4)), ValueError, r"where: shapes \(2, 3\), \(2, 3\) and \(4,\)"),
        (lambda a: minidl.where(a, a, a), TypeError, "where: the condition must be boolean, got float32"),
        (lambda a: a @ a, ValueError, r"matmul: shapes \(2, 3\) and \(2, 3\) disagree.*has 3, .* of the second 2"),
        (lambda a: a @ minidl.ones(3, 2, dtype=float64), TypeError, "matmul: expected one dtype, got float32 and float64"),
        (lambda a: a @ 2, ValueError, "matmul: both operands need at least one axis"),
        (lambda a: a.mv(a), ValueError, r"mv: expected tensors with 2 and 1 axes, got shapes \(2, 3\) and \(2, 3\)"),
        (lambda a: a.mm(a[0]), ValueError, "mm: expected tensors with 2 and 2 axes"),
        (lambda a: a.dot(a), ValueError, "dot: expected tensors with 1 and 1 axes"),
        (lambda a: minidl.ones(2, 3, 4).bmm(minidl.ones(3, 4, 2)), ValueError, "bmm: the batches differ"),
        (lambda a: a.bmm(a), ValueError, "bmm: expected tensors with 3 and 3 axes"),
        (lambda a: a.outer(a), ValueError, "outer: expected two vectors"),
        (lambda a: a.reshape(4, 2), ValueError, r"reshape: 6 elements of shape \(2, 3\) do not fit into shape \(4, 2\)"),
        (lambda a: a.reshape(-1, -1), ValueError, "reshape"),
        (lambda a: a.reshape(-1, 4), ValueError, "reshape"),
        (lambda a: a.expand(4, 3), ValueError, r"expand: shape \(2, 3\) cannot be expanded to \(4, 3\)"),
        (lambda a: a.repeat(2), ValueError, "repeat: expected a count of 0 or more for each of the 2 axes"),
        (lambda a: a.flatten(1, 0), ValueError, "flatten: start_dim 1 comes after end_dim 0"),
        (lambda a: a.split([1, 1], 1), ValueError, r"split: sizes \[1, 1\] do not add up to 3"),
        (lambda a: a.chunk(0), ValueError, "chunk: expected 1 chunk or more"),
        (lambda a: a.narrow(1, 2, 2), IndexError, r"narrow: \[2, 4\) is not within axis 1 of size 3"),
        (lambda a: a.topk(4), ValueError, "topk: k must be between 0 and 3, got 4"),
        (lambda a: minidl.cat([a, a[:, :2]]), ValueError, r"cat: shapes .* must have axes, and be equal but for axis 0"),
        (lambda a: minidl.cat([]), TypeError, "cat: expected one or more Tensors"),
        (lambda a: minidl.cat([a, [1.0]]), TypeError, "cat: expected one or more Tensors"),
        (lambda a: minidl.stack([a, a[0]]), ValueError, "stack: expected equal shapes"),
        (lambda a: minidl.arange(3).mean(), RuntimeError, "mean: expected a floating-point tensor, got int64; use .float()"),
        (lambda a: minidl.arange(3).std(), RuntimeError, "std: expected a floating-point tensor"),
        (lambda a: a[:0].max(), ValueError, "amax: cannot be taken over an axis of size 0"),
        (lambda a: a[:0].argmax(0), ValueError, "argmax: cannot be taken over an axis of size 0"),
        (lambda a: a.clamp(), ValueError, "clamp: expected min, max or both"),
        (lambda a: a.norm("max"), ValueError, "norm: p must be a number"),
        (lambda a: a.cumsum(), TypeError, "cumsum: expected dim"),
        (lambda a: ~a, TypeError, "~: expected a boolean or integer tensor, got float32"),
        (lambda a: a + "b", TypeError, "add: expected a Tensor or a number, got str"),
        (lambda a: a + [1.0], TypeError, "add: expected a Tensor or a number, got list"),
        (lambda a: a * None, TypeError, "mul: expected a Tensor or a number, got NoneType"),
        (lambda a: a.div(2, rounding_mode="up"), ValueError, "div: rounding_mode must be None, 'floor' or 'trunc'"),
        (lambda a: a.diagonal(0, 1, 1), ValueError, "diagonal: expected two different axes"),
        (lambda a: a[0].diagonal(), (ValueError, IndexError), "diagonal"),
        (lambda a: a.view(minidl.int32), TypeError, "view: reinterpreting"),
        (lambda a: minidl.einsum("ij,jk->ik", a, a), ValueError, "einsum: axis 'j' has size 3 and 2"),
        (lambda a: minidl.einsum("ij->ik", a), ValueError, "einsum: the right side"),
        (lambda a: minidl.einsum("ijk->i", a), ValueError, "einsum: 'ijk->i' does not fit shapes"),
        (lambda a: minidl.einsum("...ijk->i", a), ValueError, "einsum: '...ijk->i' does not fit shapes"),
        (lambda a: minidl.einsum("ii->i", a), ValueError, "einsum: axis 'i' has size 2 and 3"),
        (lambda a: a.repeat_interleave(-1), ValueError, "repeat_interleave: expected one count"),
        (lambda a: a.roll((1, 1), 0), ValueError, "roll: 2 shifts for 1 axes"),
    ],
)
def test_promise_26_shapes_and_dtypes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(minidl.ones(2, 3))


OTHERS = ("Tensor", "pow", "remainder", "polygamma")  # with a number first, or a number on either side
FUNCTIONS = [name for name in dir(minidl.tensors.functions) if not name.startswith("_") and name not in OTHERS]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_promise_26_functions_say_that_they_expect_a_tensor(name):
    function = getattr(minidl, name)
    for wrong in (2.0, [1.0, 2.0], np.ones(2), None):
        with pytest.raises(TypeError, match=rf"\w+: expected a Tensor, got {type(wrong).__name__}"):
            function(wrong)


def test_functions_are_methods():
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert minidl.sum(x, dim=0).tolist() == minidl.sum(input=x, dim=0).tolist() == x.sum(0).tolist()
    assert minidl.pow(2, x).tolist() == [[2.0, 4.0], [8.0, 16.0]]
    assert minidl.remainder(5, x).tolist() == [[0.0, 1.0], [2.0, 1.0]]
    assert minidl.reshape(x, (4,)).tolist() == minidl.flatten(x).tolist()
    assert minidl.flip(x, dims=[0]).tolist() == [[3.0, 4.0], [1.0, 2.0]]
    for name in FUNCTIONS:
        assert getattr(minidl, name).__doc__ or getattr(minidl.Tensor, name).__doc__ or name in OBVIOUS.split(), name


OBVIOUS = """
abs absolute exp log2 log10 sqrt rsqrt square reciprocal sin cos tan asin acos atan arcsin arccos arctan sinh cosh tanh
sigmoid erf erfc sign floor ceil trunc neg negative mul multiply floor_divide eq ne lt le gt ge logical_not logical_and
logical_or isnan isinf isfinite isclose allclose prod all any count_nonzero cumsum argsort ravel trace is_floating_point
take_along_dim
"""  # mathematics that has no more to say than its name


def test_the_name_space_is_clean():
    """`import *` in minidl/__init__.py lets nothing through that is not meant for users."""
    for name in ("np", "apply", "wrap", "functools", "as_dtype", "join", "SUPPORTED", "is_float"):
        assert not hasattr(minidl, name), name
    for name in [
        "matmul",
        "where",
        "stack",
        "cat",
        "concat",
        "einsum",
        "meshgrid",
        "exp",
        "sum",
        "max",
        "float32",
        "float64",
        "int64",
        "int32",
        "bool",
        "long",
        "pi",
        "inf",
    ]:
        assert hasattr(minidl, name), name


def test_mission_examples():
    assert minidl.norm(minidl.tensor([3.0, -4.0])).item() == 5.0
    assert minidl.tensor([3.0, -4.0]).abs().sum().item() == minidl.norm(minidl.tensor([3.0, -4.0]), p=1).item() == 7.0
    assert minidl.norm(minidl.ones(4, 9)).item() == 6.0
    p = minidl.tensor([0.1, 0.5, 0.1, 0.3])
    assert f"{minidl.nansum(-p * minidl.log2(p)):.4f}" == "1.6855"
    x = minidl.arange(4.0, requires_grad=True)
    y = 2 * minidl.dot(x, x)
    y.backward()
    assert (x.grad == 4 * x).all()
    x.grad.zero_()
    (x.detach() * x * x).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 8.0, 18.0]

    def f(a):
        b = a * 2
        while b.norm() < 1000:
            b = b * 2
        return b if b.sum() > 0 else 100 * b

    a = minidl.tensor(-0.3, requires_grad=True)
    d = f(a)
    d.backward()
    assert a.grad == d / a


# --- memory in any order


LAYOUTS = {
    "transposed": lambda a: np.asfortranarray(a),
    "strided": lambda a: np.repeat(np.repeat(a, 2, 0), 3, 1)[::2, ::3],
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "empty": lambda a: a[:0],
    "one column": lambda a: a[:, :1],
}

OPERATIONS = {
    name: getattr(minidl.Tensor, name)
    for name in "abs exp expm1 log log2 log1p sqrt square reciprocal sin tanh sigmoid erf relu sign floor neg sort".split()  # noqa: SIM905
} | {
    "softmax": lambda x: x.softmax(1),
    "softmax of columns": lambda x: x.softmax(0) if len(x) else x,
    "log_softmax": lambda x: x.log_softmax(-1),
    "logsumexp": lambda x: x.logsumexp(1),
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(1),
    "var": lambda x: x.var(1, unbiased=False),
    "cumsum": lambda x: x.cumsum(1),
    "norm": lambda x: x.norm(),
    "max": lambda x: x.max(1),
    "matmul": lambda x: x @ x.T,
    "matmul, transposed": lambda x: x.T @ x,
    "mv": lambda x: x @ x[0] if len(x) else x,
    "add": lambda x: x + x.flip(0),
    "where": lambda x: minidl.where(x > 0.5, x, 0),
    "cat": lambda x: minidl.cat([x, x], 1),
    "einsum": lambda x: minidl.einsum("ij,kj->ik", x, x),
    "repr": repr,
}


def values(result):
    return [r if isinstance(r, str) else r.tolist() for r in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_promise_41_memory_in_any_order_is_read_and_never_written(name, layout, dtype):
    a = LAYOUTS[layout](np.random.default_rng(0).uniform(0.1, 0.9, (6, 5)).astype(dtype))
    before = a.copy()
    x = minidl.from_numpy(a)
    ours, plain = values(OPERATIONS[name](x)), values(OPERATIONS[name](minidl.tensor(before)))
    assert np.array_equal(a, before)
    for one, other in zip(ours, plain, strict=True):
        assert one == other if isinstance(one, str) else np.allclose(one, other, rtol=1e-6)
    if layout != "empty" and name not in ("sign", "floor", "repr"):
        gradients = []
        for array in (a, before):
            leaf = minidl.from_numpy(array).requires_grad_()
            result = OPERATIONS[name](leaf)
            result = result if isinstance(result, minidl.Tensor) else result[0]
            cotangent = np.asarray(np.cos(np.arange(2.0 * result.numel())), dtype)[::2].reshape(result.shape[::-1]).T
            result.backward(minidl.from_numpy(cotangent))
            gradients.append(leaf.grad.numpy())
        assert np.allclose(*gradients, rtol=1e-5, atol=1e-6)
        assert np.array_equal(a, before)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: minidl.Tensor(None), TypeError, "Tensor: expected numbers, got None"),
        (lambda: minidl.Tensor(["1"]), TypeError, "Tensor: expected numbers, got ['1']"),
        (lambda: minidl.zeros(2).equal([0, 0]), TypeError, "equal: expected a Tensor, got list"),
        (lambda: minidl.zeros(2).masked_select([True, False]), TypeError, "expected a boolean Tensor as mask, got list"),
        (lambda: minidl.zeros(2).masked_select(minidl.ones(2)), TypeError, "expected a boolean Tensor as mask, got float32"),
        (lambda: minidl.zeros(2).masked_select(minidl.ones(3) > 0), ValueError, "masked_select: shapes (2,) and (3,)"),
    ],
)
def test_what_is_no_tensor_or_no_mask_is_named(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_new_tensors_take_a_dtype_a_device_and_a_gradient():
    x = minidl.ones(2)
    made = [
        x.new_zeros(2, dtype=minidl.int64, device="cpu"),
        x.new_ones((2,), dtype=minidl.float64, requires_grad=True),
        x.new_full((2,), 16777217, dtype=minidl.int64),  # float32 has no such number
        x.new_tensor([16777217, 1], dtype=minidl.int64),
        x.new_full((2,), 0.5, requires_grad=True),
    ]
    assert [y.tolist() for y in made] == [[0, 0], [1, 1], [16777217] * 2, [16777217, 1], [0.5, 0.5]]
    assert [y.dtype for y in made] == [minidl.int64, minidl.float64, minidl.int64, minidl.int64, minidl.float32]
    assert [y.requires_grad for y in made] == [False, True, False, False, True]
    with pytest.raises(RuntimeError):
        x.new_zeros(2, device="cuda")


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_pieces_along_an_axis_are_numpys(axis):
    a = np.arange(4 * 5 * 6.0).reshape(4, 5, 6)
    x, n = minidl.tensor(a), a.shape[axis]
    for size in (1, 2, 3, n, n + 2):
        pieces = x.split(size, axis)
        expected = np.split(a, range(size, n, size), axis)
        assert [p.tolist() for p in pieces] == [e.tolist() for e in expected]
    assert [p.tolist() for p in x.split([1, 0, n - 1], axis)] == [e.tolist() for e in np.split(a, [1, 1], axis)]
    for chunks in (1, 2, 3, n + 1):
        size = -(-n // chunks)
        assert [p.tolist() for p in x.chunk(chunks, axis)] == [e.tolist() for e in np.split(a, range(size, n, size), axis)]
    assert [p.tolist() for p in x.unbind(axis)] == [np.take(a, i, axis).tolist() for i in range(n)]
    for start, length in ((0, 2), (1, n - 1), (n, 0)):
        assert x.narrow(axis, start, length).tolist() == np.take(a, range(start, start + length), axis).tolist()
    for i in (0, n - 1, -1):
        assert x.select(axis, i).tolist() == np.take(a, i, axis).tolist()
    with pytest.raises(IndexError):
        x.select(axis, n)


@pytest.mark.parametrize(
    "view", [lambda x: x.reshape(6), lambda x: x.T, lambda x: x[0], lambda x: x.flatten(), lambda x: x.sum(0)]
)
def test_what_has_one_input_is_not_recorded_under_no_grad(view):
    x = minidl.ones(2, 3, requires_grad=True)
    with minidl.no_grad():
        assert not view(x).requires_grad
    view(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0], np.ones(3))


def test_shapes_that_are_remembered_are_those_of_integers_only():
    """flatten and permute look up what they have computed before, where 1, 1.0 and True are one key."""
    x, dim = minidl.zeros(2, 3, 4), minidl.tensor(1)
    assert x.flatten(1).shape == (2, 12) and x.permute(1, 0, 2).shape == (3, 2, 4)
    for wrong in (1.0, True):
        with pytest.raises(TypeError, match="flatten"):
            x.flatten(wrong)
        with pytest.raises(TypeError, match="permute"):
            x.permute(wrong, 0, 2)
    assert x.flatten(dim).shape == (2, 12)
    dim.fill_(0)
    assert x.flatten(dim).shape == (24,)
