"""Parameters computed from others: weight and spectral normalisation, and parametrizations of one's own."""

import copy

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import gradcheck
from minidl.nn.utils import parametrizations, parametrize


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).T


class Exp(nn.Module):
    def forward(self, x):
        return x.exp()

    def right_inverse(self, y):
        return y.log()


def test_a_parameter_is_computed_from_its_original():
    layer = nn.Linear(3, 3)
    original = layer.weight
    assert parametrize.register_parametrization(layer, "weight", Symmetric()) is layer
    assert layer.parametrizations.weight.original is original
    assert (layer.weight == layer.weight.T).all() and isinstance(layer, nn.Linear)
    layer(minidl.ones(1, 3)).sum().backward()
    assert original.grad[0, 2] == 2 and original.grad[2, 0] == 0  # both sides of the diagonal are one number
    assert [name for name, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    with minidl.no_grad():
        original += 1
    assert layer.weight[0, 1] == original[0, 1]


def test_assigning_sets_the_original():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "bias", Exp())
    wanted = minidl.tensor([2.0, 3.0])
    layer.bias = wanted
    assert layer.bias.allclose(wanted) and layer.parametrizations.bias.original.allclose(wanted.log())
    parametrize.register_parametrization(layer, "weight", Symmetric())
    with pytest.raises(RuntimeError, match="Symmetric has no method right_inverse"):
        layer.weight = minidl.ones(2, 2)
    with pytest.raises(TypeError, match="expected a Tensor as bias, got list"):
        layer.bias = [1.0]


def test_removing_leaves_the_value_or_the_original():
    layer = nn.Linear(3, 3)
    original, start = layer.weight, layer.weight.tolist()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    value = layer.weight.tolist()
    parametrize.remove_parametrizations(layer, "weight")
    assert layer.weight is original and layer.weight.tolist() == value and type(layer) is nn.Linear
    assert list(layer.state_dict()) == ["bias", "weight"]
    layer.weight.data.copy_(minidl.tensor(start))
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False).weight.tolist() == start
    with pytest.raises(ValueError, match="Linear has no parametrization of 'weight'"):
        parametrize.remove_parametrizations(layer, "weight")


def test_two_functions_and_two_layers():
    layer, other = nn.Linear(2, 2), nn.Linear(2, 2)
    original = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", nn.Tanh())
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert layer.weight.allclose(Symmetric()(original.tanh()))
    assert not parametrize.is_parametrized(other) and type(other) is nn.Linear
    assert parametrize.is_parametrized(layer) and not parametrize.is_parametrized(layer, "bias")
    twin = copy.deepcopy(layer)
    assert twin.weight.tolist() == layer.weight.tolist()
    twin.parametrizations.weight.original.data.zero_()
    assert not twin.weight.any() and layer.weight.any()
    layer.double()
    assert layer.weight.dtype == minidl.float64


def test_what_another_shape_would_break_is_told():
    class Half(nn.Module):
        def forward(self, x):
            return x[:1]

    with pytest.raises(ValueError, match=r"Half makes of \(2, 2\), .* expected the same, or unsafe=True"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", Half())
    layer = parametrize.register_parametrization(nn.Linear(2, 2, bias=False), "weight", Half(), unsafe=True)
    assert layer(minidl.ones(3, 2)).shape == (3, 1)
    with pytest.raises(ValueError, match="Linear has no parameter or buffer 'weights'"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weights", Symmetric())


def test_cached_computes_once():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    assert layer.weight is not layer.weight
    with parametrize.cached():
        first = layer.weight
        assert layer.weight is first
    assert layer.weight is not first


# --- weight normalisation


@pytest.mark.parametrize("make", [parametrizations.weight_norm, nn.utils.weight_norm])
@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_keeps_the_function_and_learns_lengths(make, dim):
    layer = nn.Linear(4, 3).double()
    x, weight = minidl.randn(5, 4).double(), layer.weight.detach().clone()
    expected = layer(x).tolist()
    make(layer, dim=dim)
    np.testing.assert_allclose(layer(x).tolist(), expected, rtol=1e-12)
    g, v = list(layer.parameters())[1:]
    axes = {0: 1, 1: 0, None: (0, 1)}[dim]
    np.testing.assert_allclose(g.tolist(), np.sqrt((weight.numpy() ** 2).sum(axes, keepdims=dim is not None)), rtol=1e-12)
    with minidl.no_grad():
        g *= 2
        v *= 7
    layer(x)
    np.testing.assert_allclose(layer.weight.tolist(), (2 * weight).tolist(), rtol=1e-12)
    assert gradcheck(parametrizations._WeightNorm(dim), [x.detach().requires_grad_() for x in (g, v)])


# --- spectral normalisation


@pytest.mark.parametrize("make", [parametrizations.spectral_norm, nn.utils.spectral_norm])
@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv2d, nn.ConvTranspose2d])
def test_spectral_norm_has_the_largest_singular_value_1(make, kind):
    layer = kind(4, 3).double() if kind is nn.Linear else kind(2, 3, 2).double()
    weight = layer.weight.detach().numpy().copy()
    minidl.manual_seed(0)
    make(layer, n_power_iterations=5)
    x = minidl.ones(1, 4).double() if isinstance(layer, nn.Linear) else minidl.ones(1, layer.in_channels, 4, 4).double()
    for _ in range(40):
        y = layer(x)
    rows = weight if weight.ndim == 2 else (weight.swapaxes(0, 1) if "Transpose" in type(layer).__name__ else weight)
    top = np.linalg.svd(rows.reshape(len(rows), -1))[1][0]
    np.testing.assert_allclose(layer.weight.tolist(), weight / top, rtol=1e-6)
    y.sum().backward()
    assert next(p for name, p in layer.named_parameters() if "orig" in name).grad.any()
    layer.eval()
    state = {name: x.tolist() for name, x in layer.state_dict().items()}
    layer(x)
    assert {name: x.tolist() for name, x in layer.state_dict().items()} == state


@pytest.mark.parametrize("make", [parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_only_training_moves_the_estimate(make):
    minidl.manual_seed(0)
    layer = make(nn.Linear(20, 20))
    layer.load_state_dict({name: minidl.randn(x.shape) for name, x in layer.state_dict().items()})
    estimate = [x for name, x in layer.state_dict().items() if name.endswith(("_u", "_v"))]
    before = [x.tolist() for x in estimate]
    layer.eval()(minidl.ones(1, 20))
    assert [x.tolist() for x in estimate] == before
    layer.train()(minidl.ones(1, 20))
    assert all(x.tolist() != old for x, old in zip(estimate, before, strict=True))


def test_two_calls_before_one_backward():
    layer = parametrizations.spectral_norm(nn.Linear(3, 2))
    (layer(minidl.ones(1, 3)) - layer(minidl.zeros(1, 3))).sum().backward()
    assert layer.parametrizations.weight.original.grad.any()


def test_wrong_arguments_are_told():
    for module in (parametrizations, nn.utils):
        with pytest.raises(ValueError, match="spectral_norm: n_power_iterations must be 1 or more, got 0"):
            module.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    with pytest.raises(ValueError, match="weight_norm: expected a Module with a parameter 'w', got Linear"):
        nn.utils.weight_norm(nn.Linear(2, 2), "w")
    with pytest.raises(ValueError, match="remove_weight_norm: Linear has no weight_norm of 'weight'"):
        nn.utils.remove_weight_norm(nn.Linear(2, 2))


@pytest.mark.parametrize(("make", "remove"), [("weight_norm", "remove_weight_norm"), ("spectral_norm", "remove_spectral_norm")])
def test_the_old_hooks_can_be_removed(make, remove):
    layer = nn.Linear(3, 2)
    getattr(nn.utils, make)(layer)
    x = minidl.ones(1, 3)
    layer.eval()
    expected = layer(x).tolist()
    getattr(nn.utils, remove)(layer)
    assert layer(x).tolist() == expected and list(layer.state_dict()) == ["bias", "weight"]
    assert isinstance(layer.weight, nn.Parameter)


# --- as PyTorch


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("space", ["parametrizations", ""])
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("kind", ["Linear", "Conv2d", "ConvTranspose2d"])
def test_names_values_and_steps_are_torchs(space, name, kind):
    torch = pytest.importorskip("torch")

    def run(lib):
        lib.manual_seed(0)
        layer = getattr(lib.nn, kind)(4, 3) if kind == "Linear" else getattr(lib.nn, kind)(4, 3, 2)
        x = lib.rand(2, 4) if kind == "Linear" else lib.rand(2, 4, 3, 3)
        utils = getattr(lib.nn.utils, space) if space else lib.nn.utils
        layer = getattr(utils, name)(layer)
        optimizer = lib.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (layer(x) ** 2).sum().backward()
            optimizer.step()
        return layer

    ours, theirs = run(minidl), run(torch)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, x in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), x.numpy(), rtol=1e-4, atol=1e-5, err_msg=key)
    assert repr(ours) == repr(theirs)
