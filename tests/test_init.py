"""First values: their distributions by the formulas, and PyTorch's very numbers for the same seed."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.nn import init


def test_calculate_gain():
    gains = {"linear": 1, "conv2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    assert {name: init.calculate_gain(name) for name in gains} == gains
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / 1.0001)
    with pytest.raises(ValueError, match="'softplus'"):
        init.calculate_gain("softplus")
    with pytest.raises(ValueError, match="True"):
        init.calculate_gain("leaky_relu", True)


def test_bounds_and_deviations():
    minidl.manual_seed(0)
    w = minidl.empty(200, 300)
    for fill, bound in [
        (lambda: init.xavier_uniform_(w, gain=2), 2 * math.sqrt(6 / 500)),
        (lambda: init.kaiming_uniform_(w, a=math.sqrt(5)), 1 / math.sqrt(300)),
        (lambda: init.kaiming_uniform_(w, nonlinearity="relu", mode="fan_out"), math.sqrt(6 / 200)),
        (lambda: init.uniform_(w, -0.3, 0.3), 0.3),
    ]:
        assert fill() is w
        assert 0.99 * bound < w.abs().max().item() <= bound
        assert w.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    for fill, std in [
        (lambda: init.xavier_normal_(w), math.sqrt(2 / 500)),
        (lambda: init.kaiming_normal_(w, nonlinearity="relu"), math.sqrt(2 / 300)),
        (lambda: init.normal_(w, 1.0, 0.5), 0.5),
    ]:
        assert fill() is w
        assert w.std().item() == pytest.approx(std, rel=0.01)


def test_fans_count_the_kernel():
    w = init.xavier_uniform_(minidl.empty(8, 4, 5, 5))
    assert w.abs().max().item() <= math.sqrt(6 / (12 * 25))


def test_constants_and_matrices():
    assert init.constant_(minidl.empty(2), 0.5).tolist() == [0.5, 0.5]
    assert init.zeros_(minidl.empty(2)).tolist() == [0, 0]
    assert init.ones_(minidl.empty(2)).tolist() == [1, 1]
    assert init.eye_(minidl.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    for shape in ((3, 5), (5, 3), (4, 2, 3)):
        q = init.orthogonal_(minidl.empty(*shape, dtype=minidl.float64), gain=2).numpy().reshape(shape[0], -1)
        gram = q @ q.T if shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_truncated_normals_stay_inside_and_have_the_moments():
    minidl.manual_seed(0)
    w = init.trunc_normal_(minidl.empty(20000))
    assert w.abs().max().item() <= 2
    assert w.std().item() == pytest.approx(0.8796, rel=0.02)  # of the standard normal, cut at ±2
    tail = init.trunc_normal_(minidl.empty(20000), a=1.0, b=1.5)
    assert 1 <= tail.min().item() <= tail.max().item() <= 1.5
    assert tail.mean().item() == pytest.approx(1.2247, rel=0.01)  # (φ(1) − φ(1.5))/(Φ(1.5) − Φ(1))
    with pytest.warns(UserWarning, match="2 std"):
        init.trunc_normal_(minidl.empty(5), a=5.0, b=6.0)


def test_parameters_are_filled_outside_the_graph_and_with_their_own_generator():
    w = nn.Parameter(minidl.empty(3, 3))
    generator = minidl.Generator().manual_seed(3)
    before = minidl.get_rng_state()
    init.xavier_normal_(w, generator=generator)
    assert w.is_leaf
    assert w.requires_grad
    assert np.array_equal(np.asarray(before), np.asarray(minidl.get_rng_state()))
    again = init.xavier_normal_(minidl.empty(3, 3), generator=minidl.Generator().manual_seed(3))
    assert np.array_equal(w.numpy(force=True), again.numpy())


def test_promise_26_shapes_are_checked():
    for function in (init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_, init.orthogonal_):
        with pytest.raises(ValueError, match=rf"{function.__name__}: expected .*2 axes or more.*\(3,\)"):
            function(minidl.empty(3))
    with pytest.raises(ValueError, match=r"eye_: expected a matrix, got shape \(2, 2, 2\)"):
        init.eye_(minidl.empty(2, 2, 2))
    with pytest.raises(ValueError, match="fan_avg"):
        init.kaiming_normal_(minidl.empty(2, 2), mode="fan_avg")


def test_symmetric_values_keep_hidden_units_identical():
    minidl.manual_seed(0)
    x, y = minidl.randn(16, 3), minidl.randn(16, 1)
    for fill, identical in ((lambda w: init.constant_(w, 0.3), True), (init.xavier_uniform_, False)):
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        for param in net.parameters():
            if param.ndim == 2:
                fill(param)
            else:
                init.zeros_(param)
        for _ in range(20):
            net.zero_grad()
            nn.functional.mse_loss(net(x), y).backward()
            with minidl.no_grad():
                for param in net.parameters():
                    param -= 0.1 * param.grad
        rows = net[0].weight.numpy(force=True)
        assert (rows == rows[0]).all() == identical


# --- PyTorch's numbers


@pytest.mark.parametrize("shape", [(2, 3), (20, 30), (8, 4, 3, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_promise_25_the_stream_is_pytorchs(shape, dtype):
    torch = pytest.importorskip("torch")
    fills = [
        lambda m: m.uniform_,
        lambda m: m.normal_,
        lambda m: m.xavier_uniform_,
        lambda m: m.xavier_normal_,
        lambda m: m.kaiming_uniform_,
        lambda m: m.kaiming_normal_,
        lambda m: m.trunc_normal_,
        lambda m: lambda w: m.trunc_normal_(w, a=1.0, b=1.5),
    ]
    for fill in fills:
        minidl.manual_seed(7)
        torch.manual_seed(7)
        ours = fill(init)(minidl.empty(*shape, dtype=dtype)).numpy()
        theirs = fill(torch.nn.init)(torch.empty(*shape, dtype=getattr(torch, dtype))).numpy()
        np.testing.assert_array_max_ulp(ours, theirs, 4)


def test_promise_25_orthogonal_matrices_are_pytorchs():
    torch = pytest.importorskip("torch")
    for shape in ((3, 5), (5, 3), (4, 2, 3)):
        minidl.manual_seed(7)
        torch.manual_seed(7)
        ours, theirs = init.orthogonal_(minidl.empty(*shape)), torch.nn.init.orthogonal_(torch.empty(*shape))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.Linear(3, 2),
        lambda nn: nn.Linear(64, 100),
        lambda nn: nn.Linear(5, 2, bias=False),
        lambda nn: nn.Bilinear(3, 4, 2),
        lambda nn: nn.Embedding(5, 3),
        lambda nn: nn.Embedding(20, 7, padding_idx=3),
        lambda nn: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
    ],
)
def test_promise_25_layers_start_from_pytorchs_values(make):
    torch = pytest.importorskip("torch")
    minidl.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = make(nn).state_dict(), make(torch.nn).state_dict()
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        np.testing.assert_array_max_ulp(value.numpy(), theirs[key].numpy(), 1)


def test_a_lazy_layer_starts_from_the_same_values():
    minidl.manual_seed(0)
    lazy = nn.LazyLinear(2)
    lazy(minidl.zeros(1, 3))
    minidl.manual_seed(0)
    eager = nn.Linear(3, 2)
    for a, b in zip(lazy.parameters(), eager.parameters(), strict=True):
        assert np.array_equal(a.numpy(force=True), b.numpy(force=True))


FILLERS = "uniform_ normal_ trunc_normal_ zeros_ ones_ eye_ xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_"


@pytest.mark.parametrize("name", [*FILLERS.split(), "orthogonal_"])
@pytest.mark.parametrize("wrong", [[1.0], np.ones((2, 2), "float32"), None])
def test_what_is_no_tensor_is_told(name, wrong):
    with pytest.raises(TypeError, match=f"expected a Tensor as tensor, got {type(wrong).__name__}"):
        getattr(init, name)(wrong)


@pytest.mark.parametrize("options", [{"mean": np.nan}, {"std": 0.0}, {"std": np.nan}, {"a": 2.0, "b": -2.0}])
def test_a_truncated_normal_that_makes_no_sense_is_told(options):
    with pytest.raises(ValueError, match="trunc_normal_: expected a finite mean, std above 0 and a ≤ b"):
        init.trunc_normal_(minidl.zeros(3), **options)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "kaiming_normal_", "orthogonal_"])
def test_a_generator_that_is_none_is_told(name):
    with pytest.raises(TypeError, match=r"generator: expected a minidl.Generator or None, got int"):
        getattr(init, name)(minidl.zeros(2, 2), generator=0)
