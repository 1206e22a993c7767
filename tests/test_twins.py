"""`f_` of every `f`: the same values and gradients, in the tensor's own memory; and `inplace=True` of layers and functions."""

from functools import partial

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn
from minidl.graph.nodes import next_serial
from minidl.ops import Op
from minidl.tensors import in_place
from minidl.tensors.in_place import twin
from minidl.tensors.record import apply

from .fuzz.values import words

V = minidl.tensor([0.5, -2.0, 1.0]).double()
M = V.outer(V) + minidl.eye(3).double()
PLACES = minidl.tensor([2, 0, 1])
OPTIONS = {
    "lerp": [V, 0.3],
    "polygamma": [1],
    "clamp": [0.4, 0.8],
    "clip": [0.4, 0.8],
    "cumsum": [0],
    "cumprod": [0],
    "remainder": [0.3],
    "masked_fill": [minidl.tensor([True, False, True]), 2.5],
    "masked_scatter": [minidl.tensor([True, False, True]), V],
    "addcdiv": [V, V + 5],
    "addcmul": [V, V],
    "addmv": [M, V],
    "addr": [V, V],
    "addmm": [M, M],
    "addbmm": [minidl.stack([M, M]), minidl.stack([M, M])],
    "index_add": [0, PLACES, V],
    "index_copy": [0, PLACES, V],
    "index_fill": [0, PLACES[:1], 2.0],
    "index_put": [(PLACES[:2],), V[:2]],
    "put": [PLACES[:2], V[:2]],
    "scatter": [0, PLACES, V],
    "scatter_add": [0, PLACES, V],
    "scatter_reduce": [0, PLACES, V, "sum"],
}
OTHER = words(
    """
    add sub subtract mul multiply div divide floor_divide pow xlogy igamma eq ne lt le gt ge logical_and logical_or
    arctan2 atan2 float_power fmod logical_xor
"""
)
MATRICES = ["tril", "triu", "addr", "addmm", "addbmm"]
NOT_HERE = words(  # not of a method of the same name, or not with the values of one, or of integers, or batches: tested below
    """
    baddbmm_ bernoulli_ bitwise_and_ bitwise_not_ bitwise_or_ bitwise_xor_ copy_ detach_ exponential_ fill_ normal_
    random_ requires_grad_ squeeze_ swapaxes_ swapdims_ t_ transpose_ uniform_ unsqueeze_ zero_
"""
)
TWINS = sorted(n for n in dir(minidl.Tensor) if n[-1] == "_" and n[0] != "_" and n not in NOT_HERE)


def arguments(name):
    return OPTIONS.get(name, [minidl.tensor([1.5, 0.7, 2.0]).double()] if name in OTHER else [])


def given(name):
    x = minidl.tensor([0.3, 0.6, 0.9]).double()
    return (x if name not in MATRICES else x.outer(x)).requires_grad_()


@pytest.mark.parametrize("name", [name[:-1] for name in TWINS])
def test_the_twin_computes_as_its_namesake_in_the_same_memory(name):
    x, other = given(name), given(name)
    expected = getattr(x * 1.0, name)(*arguments(name))
    y = other * 1.0
    memory = y.array
    assert getattr(y, f"{name}_")(*arguments(name)) is y
    assert y.array is memory and y.dtype == minidl.float64
    np.testing.assert_array_equal(y.numpy(force=True), expected.double().numpy(force=True))
    (y * y).sum().backward()
    if expected.requires_grad:
        (expected * expected).sum().backward()
        np.testing.assert_allclose(other.grad.numpy(), x.grad.numpy(), rtol=1e-14)
    else:
        assert other.grad is None or not other.grad.any()


def kept(x, old, start):
    """Of the arrays that the operations since `start` keep for backward: which hold old values of x, which its values."""
    nodes, found = [x.node], set()
    while nodes:
        node = nodes.pop()
        if node is not None and getattr(node, "serial", 0) >= start:
            arrays = [value for value in vars(node).values() if isinstance(value, np.ndarray)]
            found |= {"old" for array in arrays if np.array_equal(array, old)}
            found |= {"result" for array in arrays if np.array_equal(array, x.array)}
            nodes.extend(node.needs)
    return found


KEPT = {in_place.NOTHING: set(), in_place.ZERO: set(), in_place.FACTOR: set(), in_place.OLD: {"old"}}
KEPT[in_place.RESULT] = {"result"}
METHODS = {name: getattr(minidl.Tensor, name) for name in TWINS}
METHODS |= {f"F.{name}": getattr(F, name) for name in F.__all__ if name[-1] == "_"}
BOTH_SIGNS = words(
    "abs_ absolute_ F.celu_ F.elu_ F.hardtanh_ F.leaky_relu_ F.relu_ F.rrelu_ F.selu_ relu_"
)  # not what they are given


@pytest.mark.parametrize("name", METHODS)
def test_its_docstring_says_what_is_kept_for_backward(name):
    method, short = METHODS[name], name[:-1]
    (said,) = [text for text in KEPT if text in method.__doc__]
    leaf = given(short)
    x = 3 * leaf - 2 if name in BOTH_SIGNS else leaf * 1.0
    old, start = x.array.copy(), next_serial()
    method(x, *([0.5, 7.0] if short == "F.threshold" else arguments(short)))
    assert not np.array_equal(x.array, old) or short in {*MATRICES, "fmod", "nan_to_num"}
    assert kept(x, old, start) == KEPT[said]
    if said is in_place.ZERO:
        (dx,) = minidl.autograd.grad(x.sum(), leaf, allow_unused=True)
        assert dx is None or not dx.any()
    if said is in_place.FACTOR:
        x, other = given(short) * 1.0, minidl.tensor([1.5, 0.7, 2.0]).double().requires_grad_()
        old, start = x.array.copy(), next_serial()
        assert "old" in kept(method(x, other), old, start)


@pytest.mark.parametrize("name", TWINS)
def test_a_leaf_is_not_overwritten_while_recording(name):
    x = given(name[:-1])
    with pytest.raises(RuntimeError, match="in place: a leaf that requires grad cannot be changed"):
        getattr(x, name)(*arguments(name[:-1]))


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"])
def test_twins_of_integers(name):
    x, others = minidl.tensor([1, 6, 12]), [] if name == "bitwise_not" else [minidl.tensor([3, 5, 7])]
    expected = getattr(x, name)(*others)
    assert getattr(x, f"{name}_")(*others) is x and x.tolist() == expected.tolist() != [1, 6, 12]


def test_a_twin_of_batches():
    x, a = minidl.ones(2, 3, 3).double(), minidl.stack([M, M])
    expected = x.baddbmm(a, a)
    assert x.baddbmm_(a, a) is x and x.tolist() == expected.tolist()


def test_functions_are_there_under_the_same_names():
    x = minidl.tensor([0.25, 4.0])
    assert minidl.sqrt_(x) is x and x.tolist() == [0.5, 2.0]
    assert minidl.clamp_(input=x, max=1.0).tolist() == [0.5, 1.0]
    with pytest.raises(TypeError, match="exp: expected a Tensor, got list"):
        minidl.exp_([1.0])


class Square(Op):
    """y = x², which keeps a view of x."""

    def forward(self, x):
        self.flat = x.reshape(-1)
        return x * x

    def backward(self, dy):
        return dy * 2 * self.flat.reshape(dy.shape)


@pytest.mark.parametrize(
    "method",
    [
        lambda x: x.clamp(minidl.tensor([-1.0, 2.5]), minidl.tensor([0.5, 4.0])),
        lambda x: (x * x) * x.exp() + 1,
        lambda x: apply(Square(), x) * 2,
    ],
    ids=["clamp", "three operations", "a view"],
)
def test_what_the_operations_of_a_twin_saved_is_kept(method):
    x, other = (minidl.tensor([1.0, 3.0], requires_grad=True) for _ in range(2))
    (method(x * 1.0) * minidl.tensor([2.0, 3.0])).sum().backward()
    (twin(method)(other * 1.0) * minidl.tensor([2.0, 3.0])).sum().backward()
    assert x.grad.any()
    np.testing.assert_allclose(other.grad.numpy(), x.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "write", [lambda x, y: x.__iadd__(y), lambda x, y: x.mul_(y), lambda x, y: x.__setitem__(slice(None), y)]
)
def test_the_gradient_of_a_wider_operand_comes_in_its_own_dtype(write):
    y = minidl.tensor([2.0, 3.0], dtype=minidl.float64, requires_grad=True)
    x = minidl.ones(2)
    write(x, y)
    assert x.dtype == minidl.float32
    x.sum().backward()
    assert y.grad.dtype == minidl.float64 and y.grad.tolist() == [1.0, 1.0]


# --- the same elements in another shape


@pytest.mark.parametrize(
    ("name", "options"),
    [("unsqueeze", [1]), ("squeeze", []), ("t", []), ("transpose", [0, 1]), ("swapaxes", [0, 1]), ("swapdims", [0, 1])],
)
def test_the_tensor_itself_takes_the_new_shape(name, options):
    x = minidl.arange(3.0).reshape(1, 3).clone().requires_grad_()
    y = x * 2
    expected = getattr(y.detach().clone(), name)(*options)
    assert getattr(y, f"{name}_")(*options) is y
    assert y.shape == expected.shape and y.tolist() == expected.tolist()
    (y * expected).sum().backward()
    assert x.grad.tolist() == [[0.0, 4.0, 8.0]]


def test_views_keep_their_shape():
    x = minidl.zeros(2, 3)
    first = x[0]
    with pytest.raises(RuntimeError, match=r"t_: this tensor is a view, or has views, .* write x = x.t\(…\)"):
        x.t_()
    with pytest.raises(RuntimeError, match=r"unsqueeze_: this tensor is a view"):
        first.unsqueeze_(0)
    assert x.shape == (2, 3) and first.shape == (3,)


# --- random numbers


def test_random_draws_integers_up_to_what_the_dtype_holds():
    minidl.manual_seed(0)
    assert minidl.zeros(4).random_().tolist() == [8325664.0, 12888472.0, 1484222.0, 2214888.0]
    for dtype, top in ((minidl.uint8, 255), (minidl.int8, 127), (minidl.bool, 1)):
        drawn = minidl.zeros(4000, dtype=dtype).random_().to(minidl.int64)
        assert drawn.min() == 0 and drawn.max() == top
    drawn = minidl.zeros(2000, dtype=minidl.int64).random_(-2, 3)
    assert sorted(set(drawn.tolist())) == [-2, -1, 0, 1, 2]
    assert set(minidl.zeros(100).random_(2).tolist()) == {0.0, 1.0}
    with pytest.raises(ValueError, match="random_: int8 holds -128 to 127, not low=0 to high=1000 - 1"):
        minidl.zeros(2, dtype=minidl.int8).random_(1000)


def test_random_and_exponential_draw_as_torch():
    torch = pytest.importorskip("torch")
    for dtype in ("uint8", "int8", "int16", "int32", "int64", "float32", "float64", "bool"):
        for bounds in ((), (1,), *([(-3, 4), (5,), (2, 100)] if dtype not in ("uint8", "bool") else [])):
            minidl.manual_seed(3)
            torch.manual_seed(3)
            found = minidl.zeros(40, dtype=getattr(minidl, dtype)).random_(*bounds)
            assert found.tolist() == torch.zeros(40, dtype=getattr(torch, dtype)).random_(*bounds).tolist(), (dtype, bounds)
            assert minidl.rand(1).item() == torch.rand(1).item()
    minidl.manual_seed(3)
    torch.manual_seed(3)
    found = minidl.zeros(40).exponential_(2.5).numpy()
    np.testing.assert_allclose(found, torch.zeros(40).exponential_(2.5).numpy(), rtol=1e-6)


def test_exponential_has_the_mean_one_over_its_rate():
    minidl.manual_seed(0)
    assert minidl.zeros(100_000).exponential_(4.0).mean().item() == pytest.approx(0.25, rel=0.02)


# --- inplace=True

LAYERS = [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.SELU, nn.CELU, nn.Mish, nn.ReLU6, nn.Hardtanh, nn.Hardswish]
LAYERS += [nn.Hardsigmoid, partial(nn.Threshold, 0.2, -1.0), nn.RReLU]


def name_of(kind):
    return getattr(kind, "func", kind).__name__


@pytest.mark.parametrize("kind", LAYERS, ids=name_of)
def test_inplace_writes_the_result_into_the_input(kind):
    values = [[-2.0, -0.5], [0.5, 2.0]]
    x, other = (minidl.tensor(values, dtype=minidl.float64, requires_grad=True) for _ in range(2))
    minidl.manual_seed(0)
    expected = kind()(x * 1.0)
    given = other * 1.0
    minidl.manual_seed(0)
    y = kind(inplace=True)(given)
    assert y is given and y.tolist() == expected.tolist()
    expected.exp().sum().backward()
    y.exp().sum().backward()
    np.testing.assert_allclose(other.grad.numpy(), x.grad.numpy(), rtol=1e-14)
    assert repr(kind(inplace=True)).endswith("inplace=True)") and "inplace" not in repr(kind())


@pytest.mark.parametrize("name", sorted(name[:-1] for name in F.__all__ if name[-1] == "_"))
def test_functionals_with_an_underscore(name):
    x = minidl.tensor([-2.0, 3.0])
    more = [0.5, -1.0] if name == "threshold" else []
    expected = getattr(F, name)(x, *more)
    assert getattr(F, f"{name}_")(x, *more) is x and x.tolist() == expected.tolist() != [-2.0, 3.0]
    with pytest.raises(TypeError, match=f"{name}: expected a Tensor"):
        getattr(F, f"{name}_")([1.0], *more)
    if hasattr(minidl, f"{name}_"):
        x = minidl.tensor([-2.0, 3.0])
        assert getattr(minidl, f"{name}_")(x, *more) is x and x.tolist() == expected.tolist()


@pytest.mark.parametrize(("kind", "shape"), [(nn.Dropout, (40,)), (nn.Dropout1d, (2, 20, 3)), (nn.Dropout2d, (2, 20, 2, 2))])
def test_dropout_in_place(kind, shape):
    x = minidl.ones(*shape, requires_grad=True)
    minidl.manual_seed(0)
    expected = kind(0.5)(x)
    given = x * 1.0
    minidl.manual_seed(0)
    y = kind(0.5, inplace=True)(given)
    assert y is given and y.tolist() == expected.tolist() and 0 < y.count_nonzero() < y.numel()
    y.sum().backward()
    assert x.grad.tolist() == expected.tolist()
    assert repr(kind(0.5, inplace=True)) == f"{kind.__name__}(p=0.5, inplace=True)"
    leaf = minidl.ones(*shape, requires_grad=True)
    assert kind(0.5, inplace=True).eval()(leaf) is leaf  # nothing is written
