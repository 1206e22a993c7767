"""Normalisation as users call it: against its composite twins, against PyTorch, in training and evaluation, and its errors."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minidl
from minidl import nn
from minidl.autograd import grad, gradcheck
from minidl.nn import functional as F


def draw(*shape, seed=0, dtype=np.float64, mean=0.5):
    return minidl.tensor(np.random.default_rng(seed).normal(mean, 1.5, shape).astype(dtype), requires_grad=True)


# --- twins: the same from simpler operations, and what a reader reads first


def twin(x, axes, eps, weight=None, bias=None):
    mean = x.mean(axes, keepdim=True)
    var = ((x - mean) ** 2).mean(axes, keepdim=True)
    y = (x - mean) / (var + eps).sqrt()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def along_channels(v, x):
    return v if v is None else v.reshape(-1, *[1] * (x.ndim - 2))


def twin_batch_norm(x, weight=None, bias=None, eps=1e-5):
    axes = tuple(k for k in range(x.ndim) if k != 1)
    return twin(x, axes, eps, along_channels(weight, x), along_channels(bias, x))


def twin_batch_norm_eval(x, mean, var, weight, bias, eps=1e-5):
    mean, var, weight, bias = (along_channels(v, x) for v in (mean, var, weight, bias))
    return (x - mean) / (var + eps).sqrt() * weight + bias


def twin_layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    return twin(x, tuple(range(-len(shape), 0)), eps, weight, bias)


def twin_rms_norm(x, weight, eps):
    return x / ((x * x).mean(-1, keepdim=True) + eps).sqrt() * weight


def twin_group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    rows = x.reshape(x.shape[0], groups, -1)
    y = twin(rows, (2,), eps).reshape(x.shape)
    y = y if weight is None else y * along_channels(weight, x)
    return y if bias is None else y + along_channels(bias, x)


MEAN, VAR = minidl.tensor([0.3, -0.2, 1.0]).double(), minidl.tensor([0.5, 1.5, 2.0]).double()
IMAGES, BATCH, CHANNELS = draw(4, 3, 5, 2), draw(6, 3), [draw(3, seed=1), draw(3, seed=2)]
TWINS = {
    "batch norm": (lambda *xs: F.batch_norm(xs[0], None, None, *xs[1:], training=True), twin_batch_norm),
    "batch norm, eps": (
        lambda *xs: F.batch_norm(xs[0], None, None, *xs[1:], training=True, eps=0.3),
        lambda *xs: twin_batch_norm(*xs, eps=0.3),
    ),
    "batch norm, evaluation": (
        lambda x, w, b: F.batch_norm(x, MEAN, VAR, w, b),
        lambda x, w, b: twin_batch_norm_eval(x, MEAN, VAR, w, b),
    ),
    "group norm": (lambda x, w, b: F.group_norm(x, 3, w, b), lambda x, w, b: twin_group_norm(x, 3, w, b)),
    "group norm, one group": (lambda x, w, b: F.group_norm(x, 1, w, b), lambda x, w, b: twin_group_norm(x, 1, w, b)),
    "layer norm": (
        lambda x, w, b: F.layer_norm(x.transpose(1, -1), (3,), w, b),
        lambda x, w, b: twin_layer_norm(x.transpose(1, -1), (3,), w, b),
    ),
    "RMS norm": (
        lambda x, w, b: F.rms_norm(x.transpose(1, -1), (3,), w, 0.1) + 0 * b.sum(),
        lambda x, w, b: twin_rms_norm(x.transpose(1, -1), w, 0.1) + 0 * b.sum(),
    ),
}


@pytest.mark.parametrize("x", [BATCH, IMAGES], ids=lambda x: str(x.shape))
@pytest.mark.parametrize("name", TWINS)
def test_promise_06_fused_and_twin_agree(name, x):
    if name == "group norm" and x is BATCH:
        pytest.skip("one value in each group")
    fused, composite = TWINS[name]
    inputs = [x, *CHANNELS]
    y, expected = fused(*inputs), composite(*inputs)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), 1e-11, 1e-12)
    dy = draw(*y.shape, seed=5).detach()
    for found, truth in zip(grad(y, inputs, dy), grad(expected, inputs, dy), strict=True):
        np.testing.assert_allclose(found.numpy(), truth.numpy(), 1e-9, 1e-11)
    assert gradcheck(fused, inputs)


def test_promise_06_without_weight_or_bias():
    """Each alone, and neither; layer norm over two axes; instance norm."""
    w, b = draw(3, 5, 2, seed=1), draw(3, 5, 2, seed=2)
    for chosen in ([], ["weight"], ["bias"]):
        channels = dict(zip(["weight", "bias"], CHANNELS, strict=True))
        some = {key: channels[key] for key in chosen}
        rows = {key: {"weight": w, "bias": b}[key] for key in chosen}
        for fused, expected in [
            (lambda x, o=some: F.batch_norm(x, None, None, **o, training=True), twin_batch_norm(IMAGES, **some)),
            (lambda x, o=some: F.instance_norm(x, **o), twin_group_norm(IMAGES, 3, **some)),
            (lambda x, o=rows: F.layer_norm(x, (3, 5, 2), **o), twin_layer_norm(IMAGES, (3, 5, 2), **rows)),
        ]:
            np.testing.assert_allclose(fused(IMAGES).detach().numpy(), expected.detach().numpy(), 1e-11, 1e-12)
            assert gradcheck(fused, [IMAGES])


# --- PyTorch

EPS = st.sampled_from([1e-5, 1e-3, 0.5])
SHAPES = st.one_of(
    st.tuples(st.integers(2, 9), st.integers(1, 20)),
    st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(2, 140)),
    st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 13), st.integers(2, 13)),
)


def compare(torch, ours, theirs, arrays):
    """Values and gradients, of functions of the same arrays (or None)."""
    mine = [None if a is None else minidl.tensor(a, requires_grad=True) for a in arrays]
    other = [None if a is None else torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*mine), theirs(*other)
    assert y.shape == tuple(z.shape)
    dy = np.random.default_rng(9).normal(size=y.shape).astype(y.dtype)
    y.backward(minidl.tensor(dy))
    z.backward(torch.tensor(dy))
    found = [y.detach(), *(x.grad for x in mine if x is not None)]
    truth = [z.detach(), *(x.grad for x in other if x is not None)]
    for a, b in zip(found, truth, strict=True):
        assert str(a.dtype) == str(b.dtype).split(".")[1]
        b = b.numpy()
        rtol = 1e-4 if b.dtype == np.float32 else 1e-9
        np.testing.assert_allclose(a.numpy(), b, rtol, rtol * np.abs(b).max(initial=1))


def some_parameters(rng, shape, dtype, weight, bias):
    w, b = rng.normal(size=(2, *shape)).astype(dtype)
    return (w if weight else None), (b if bias else None)


COMMON = {"seed": st.integers(0, 99), "eps": EPS, "weight": st.booleans(), "bias": st.booleans()}


@settings(max_examples=40)
@given(shape=SHAPES, training=st.booleans(), dtype=st.sampled_from(["float32", "float64"]), **COMMON)
def test_batch_norm_against_pytorch(shape, training, dtype, seed, eps, weight, bias):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    x = rng.normal(1, 2, shape).astype(dtype)
    running = rng.uniform(0.5, 2, (2, shape[1])).astype(dtype)
    mine, theirs = [minidl.tensor(r) for r in running], [torch.tensor(r) for r in running]
    compare(
        torch,
        lambda x, w, b: F.batch_norm(x, *mine, w, b, training, 0.3, eps),
        lambda x, w, b: torch.nn.functional.batch_norm(x, *theirs, w, b, training, 0.3, eps),
        [x, *some_parameters(rng, shape[1:2], dtype, weight, bias)],
    )
    for r, s in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(r.numpy(), s.numpy(), 1e-5)


@settings(max_examples=40)
@given(shape=SHAPES, axes=st.integers(1, 3), dtype=st.sampled_from(["float32", "float64"]), **COMMON)
def test_layer_norm_against_pytorch(shape, axes, dtype, seed, eps, weight, bias):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    last = shape[-min(axes, len(shape)) :]
    x, (w, b) = rng.normal(1, 2, shape).astype(dtype), some_parameters(rng, last, dtype, weight, bias)
    for name, arrays in (("layer_norm", [x, w, b]), ("rms_norm", [x, w])):
        functions = getattr(F, name), getattr(torch.nn.functional, name)
        ours, theirs = (lambda x, *p, f=f: f(x, last, *p, eps) for f in functions)
        compare(torch, ours, theirs, arrays)


@settings(max_examples=40)
@given(shape=SHAPES, factor=st.integers(1, 3), dtype=st.sampled_from(["float32", "float64"]), **COMMON)
def test_group_and_instance_norm_against_pytorch(shape, factor, dtype, seed, eps, weight, bias):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    groups, shape = shape[1], (shape[0], shape[1] * factor, *shape[2:])
    # PyTorch's group norm has no gradients for a bias without a weight.
    arrays = [rng.normal(1, 2, shape).astype(dtype), *some_parameters(rng, shape[1:2], dtype, weight, bias and weight)]
    other = torch.nn.functional
    if factor > 1 or len(shape) > 2:
        compare(
            torch, lambda x, *p: F.group_norm(x, groups, *p, eps), lambda x, *p: other.group_norm(x, groups, *p, eps), arrays
        )
    if len(shape) > 2:
        running = rng.uniform(0.5, 2, (2, shape[1])).astype(dtype)
        mine, theirs = [minidl.tensor(r) for r in running], [torch.tensor(r) for r in running]
        compare(
            torch,
            lambda x, *p: F.instance_norm(x, *mine, *p, eps=eps),
            lambda x, *p: other.instance_norm(x, *theirs, *p, eps=eps),
            arrays,
        )
        for r, s in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(r.numpy(), s.numpy(), 1e-4)


LAYERS = {
    "BatchNorm1d(3)": (4, 3),
    "BatchNorm1d(3, eps=0.1, momentum=None)": (4, 3, 5),
    "BatchNorm1d(3, momentum=0.4, affine=False)": (4, 3),
    "BatchNorm1d(3, track_running_stats=False)": (4, 3),
    "BatchNorm2d(3)": (4, 3, 5, 2),
    "BatchNorm2d(3, bias=False)": (4, 3, 5, 2),
    "LazyBatchNorm1d()": (4, 3),
    "LazyBatchNorm2d(1e-3, 0.2, False)": (4, 3, 5, 2),
    "LayerNorm(5)": (4, 3, 5),
    "LayerNorm((3, 5), eps=0.1)": (4, 3, 5),
    "LayerNorm([3, 5], elementwise_affine=False)": (4, 3, 5),
    "LayerNorm(5, bias=False)": (4, 5),
    "RMSNorm(5)": (4, 5),
    "RMSNorm((3, 5), eps=0.1, elementwise_affine=False)": (4, 3, 5),
    "GroupNorm(2, 4)": (3, 4, 5),
    "GroupNorm(4, 4, affine=False)": (3, 4, 5, 2),
    "InstanceNorm1d(3)": (4, 3, 5),
    "InstanceNorm1d(3, affine=True)": (3, 5),
    "InstanceNorm2d(3, track_running_stats=True)": (4, 3, 5, 2),
    "InstanceNorm2d(3, momentum=0.5, affine=True, track_running_stats=True)": (3, 5, 2),
}


@pytest.mark.parametrize("code", LAYERS)
def test_layers_against_pytorch(code):
    """repr, state_dict, and three batches in training and one in evaluation: outputs, gradients and buffers."""
    torch = pytest.importorskip("torch")
    mine, theirs = eval("nn." + code), eval("torch.nn." + code)
    assert mine(minidl.ones(LAYERS[code])).shape == theirs(torch.ones(LAYERS[code])).shape
    assert type(mine).__name__ == type(theirs).__name__
    if torch.__version__ >= "2.12":  # earlier ones do not mention bias everywhere
        assert repr(mine) == repr(theirs)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in mine.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    for step in range(4):
        if step == 3:
            mine.eval(), theirs.eval()
        x = np.random.default_rng(step).normal(1, 2, LAYERS[code]).astype(np.float32)
        compare(torch, mine, theirs, [x])
        for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
            assert str(a.dtype) == str(b.dtype).split(".")[1]
            np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-4, 1e-6, err_msg=name)
    mine.load_state_dict(theirs.state_dict())
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-4, 1e-4)


# --- promise 19


def test_promise_19_biased_normalizes_unbiased_is_stored():
    x = minidl.tensor([[0.0], [2.0], [4.0], [6.0]])  # mean 3, variance 5, unbiased 20/3
    bn = nn.BatchNorm1d(1, eps=0.0)
    np.testing.assert_allclose(bn(x).detach().numpy(), (x.numpy() - 3) / np.sqrt(5), 1e-6)
    assert bn.running_mean.item() == pytest.approx(0.1 * 3)
    assert bn.running_var.item() == pytest.approx(0.9 + 0.1 * 20 / 3)
    assert bn.num_batches_tracked.item() == 1 and bn.num_batches_tracked.dtype == minidl.int64


def test_promise_19_eps_is_inside_the_root():
    x = minidl.tensor([[-1.0], [1.0]])
    assert F.batch_norm(x, None, None, training=True, eps=3.0).tolist() == [[-0.5], [0.5]]


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)], ids=str)
def test_promise_19_one_value_per_channel_raises_in_training(shape):
    layer = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    bn = layer(3)
    with pytest.raises(ValueError, match=r"more than 1 value per channel in training.*drop_last.*eval\(\)"):
        bn(minidl.ones(shape))
    assert bn.num_batches_tracked.item() == 0
    assert bn.eval()(minidl.ones(shape)).shape == shape
    with pytest.raises(ValueError, match="more than 1 value"):
        layer(3, track_running_stats=False).eval()(minidl.ones(shape))


def test_promise_19_evaluation_depends_on_no_other_sample():
    x = draw(5, 3, 4, 4, dtype=np.float32)
    bn = nn.BatchNorm2d(3)
    bn(x)
    bn.eval()
    state = copy.deepcopy(bn.state_dict())
    together = bn(x).detach().numpy()
    for n in range(5):
        np.testing.assert_array_equal(bn(x[n : n + 1]).detach().numpy()[0], together[n])
    assert all((state[key] == value).all() for key, value in bn.state_dict().items())


def test_promise_19_running_buffers_are_saved_and_are_no_parameters():
    bn = nn.BatchNorm1d(2)
    bn(draw(4, 2, dtype=np.float32))
    assert list(bn.state_dict()) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [name for name, _ in bn.named_parameters()] == ["weight", "bias"]
    assert [name for name, _ in bn.named_buffers()] == ["running_mean", "running_var", "num_batches_tracked"]
    assert not bn.running_mean.requires_grad
    other = nn.BatchNorm1d(2)
    other.load_state_dict(bn.state_dict())
    assert other.running_var.tolist() == bn.running_var.tolist() != [1, 1] and other.num_batches_tracked.item() == 1
    bn.reset_parameters()
    assert (bn.running_mean.tolist(), bn.running_var.tolist(), bn.num_batches_tracked.item()) == ([0, 0], [1, 1], 0)


def test_promise_19_and_12_float32_stays_float32():
    bn = nn.BatchNorm1d(2, momentum=np.float64(0.1), eps=np.float64(1e-5))
    x = draw(4, 2, dtype=np.float32)
    bn(x).sum().backward()
    for t in (bn(x), bn.running_mean, bn.running_var, bn.weight.grad, x.grad):
        assert t.dtype == minidl.float32
    bn.double()
    assert bn(x.detach().double()).dtype == bn.running_mean.dtype == minidl.float64


def test_running_statistics_move_under_no_grad_but_not_in_a_forward_that_fails():
    bn, x = nn.BatchNorm1d(2), draw(4, 2, dtype=np.float32)
    with minidl.no_grad():
        bn(x)
    assert bn.num_batches_tracked.item() == 1 and bn.running_mean.tolist() != [0, 0]
    before = [b.tolist() for b in bn.buffers()]
    for wrong in (minidl.ones(4, 3), x.detach().double(), minidl.ones(4, 2, 1, 1), minidl.ones(1, 2)):
        with pytest.raises((ValueError, TypeError)):
            bn(wrong)
    assert [b.tolist() for b in bn.buffers()] == before
    bn.weight.data = minidl.ones(3)  # not noticed before the kernel's own check
    with pytest.raises(ValueError, match=r"expected weight of shape \(2,\), got \(3,\)"):
        bn(x)
    assert [b.tolist() for b in bn.buffers()] == before


def test_a_batch_of_nothing_leaves_the_statistics():
    bn = nn.BatchNorm1d(2)
    assert bn(minidl.zeros(0, 2)).shape == (0, 2)
    assert (bn.running_mean.tolist(), bn.running_var.tolist()) == ([0, 0], [1, 1])


def test_momentum_none_averages_all_batches_alike():
    bn, batches = nn.BatchNorm1d(1, momentum=None), [draw(6, 1, seed=k, dtype=np.float32) for k in range(4)]
    for x in batches:
        bn(x)
    assert bn.running_mean.item() == pytest.approx(np.mean([x.detach().numpy().mean() for x in batches]), rel=1e-5)
    assert bn.running_var.item() == pytest.approx(np.mean([x.detach().numpy().var(ddof=1) for x in batches]), rel=1e-5)


def test_promise_09_a_step_between_forward_and_backward_raises():
    bn, x = nn.BatchNorm1d(2), draw(4, 2, dtype=np.float32)
    y = bn(x).sum()
    with minidl.no_grad():
        bn.weight += 1
    with pytest.raises(RuntimeError, match="BatchNorm: an array that backward needs"):
        y.backward()
    y = (bn.running_mean * x).sum()
    bn(x)  # moves what the product has saved
    with pytest.raises(RuntimeError, match="Mul: an array that backward needs"):
        y.backward()
    bn.eval()
    y = bn(x).sum()
    bn.train()(x)  # does not matter to a forward in evaluation: it has its own copy
    y.backward()


@pytest.mark.parametrize("code", LAYERS)
def test_promise_43_copies_and_pickles_after_a_forward(code):
    layer, x = eval("nn." + code), draw(*LAYERS[code], dtype=np.float32)
    layer(x).sum().backward()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == repr(layer)
        np.testing.assert_array_equal(other.eval()(x).detach().numpy(), copy.deepcopy(layer).eval()(x).detach().numpy())
        assert all(not np.shares_memory(a.array, b.array) for a, b in zip(other.buffers(), layer.buffers(), strict=True))


# --- lazy


def test_lazy_layers_become_the_others_in_place():
    lazy = nn.LazyBatchNorm1d(momentum=0.2)
    params = list(lazy.parameters())
    optimizer = minidl.optim.SGD(params, lr=0.1)
    assert repr(lazy) == "LazyBatchNorm1d(0, eps=1e-05, momentum=0.2, affine=True, bias=True, track_running_stats=True)"
    with pytest.raises(ValueError, match="LazyBatchNorm1d: expected an input with 2 or 3 axes"):
        lazy(minidl.ones(3))
    y = lazy(draw(4, 3, dtype=np.float32))
    assert type(lazy) is nn.BatchNorm1d and lazy.num_features == 3
    assert all(a is b for a, b in zip(lazy.parameters(), params, strict=True))
    assert lazy.running_mean.shape == (3,) and lazy.num_batches_tracked.item() == 1
    (y * y * y).sum().backward()
    optimizer.step()
    assert lazy.weight.tolist() != [1, 1, 1]


def test_lazy_layers_load_before_their_first_forward():
    trained = nn.BatchNorm2d(3)
    trained(minidl.randn(4, 3, 5, 5))
    lazy = nn.LazyBatchNorm2d()
    lazy.load_state_dict(trained.state_dict())
    x = minidl.randn(2, 3, 4, 4)
    assert lazy.eval()(x).equal(trained.eval()(x))
    assert type(lazy) is nn.BatchNorm2d and lazy.num_features == 3 and type(lazy.running_var) is minidl.Tensor


def test_lazy_layers_without_parameters_or_statistics():
    for options in ({"affine": False}, {"track_running_stats": False}, {"affine": False, "track_running_stats": False}):
        lazy = nn.LazyBatchNorm2d(**options)
        assert lazy(minidl.ones(2, 3, 4, 4)).shape == (2, 3, 4, 4)
        assert type(lazy) is nn.BatchNorm2d and lazy.num_features == 3


# --- layer norm, and what the norms have in common


def test_layer_norm_depends_on_no_other_row_nor_on_the_mode():
    x, ln = draw(5, 8, dtype=np.float32), nn.LayerNorm(8)
    y = ln(x).detach().numpy()
    np.testing.assert_array_equal(ln.eval()(x[2:3]).detach().numpy()[0], y[2])
    np.testing.assert_allclose(ln(3 * x).detach().numpy(), y, 0, 1e-4)  # and hardly on the scale
    assert list(ln.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm], ids=lambda norm: norm.__name__)
def test_mlp_with_norm(norm):
    minidl.manual_seed(1)
    net = nn.MLP(4, [8, 8], 2, norm=norm)
    assert [type(m).__name__ for m in net][:3] == ["Linear", norm.__name__, "ReLU"]
    x, optimizer = draw(32, 4, dtype=np.float32).detach(), minidl.optim.SGD(net.parameters(), lr=0.1)
    labels = (x[:, 0] > x[:, 1]).long()
    for _ in range(60):
        loss = F.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


WRONG = [
    (
        lambda: F.batch_norm(minidl.ones(3), None, None, training=True),
        ValueError,
        r"batch_norm: expected an input \(N, C, ...\)",
    ),
    (lambda: F.batch_norm(np.ones((2, 3)), None, None), TypeError, "batch_norm: expected a Tensor, got ndarray"),
    (
        lambda: F.batch_norm(minidl.ones(2, 3), None, None),
        ValueError,
        "running_mean and running_var are needed",
    ),
    (lambda: F.batch_norm(minidl.ones(2, 3), minidl.zeros(3), None), ValueError, "both, or neither"),
    (lambda: nn.BatchNorm1d(4)(minidl.ones(2, 3)), ValueError, r"expected running_mean of shape \(3,\), got \(4,\)"),
    (lambda: nn.BatchNorm1d(3)(minidl.ones(2, 3).double()), TypeError, "input is float64 and running_mean float32"),
    (lambda: nn.BatchNorm1d(3)(minidl.ones(2, 3, 4, 4)), ValueError, "BatchNorm1d: expected an input with 2 or 3 axes"),
    (
        lambda: nn.BatchNorm2d(3)(minidl.ones(2, 3)),
        ValueError,
        r"expected an input with 4 axes, got shape \(2, 3\)",
    ),
    (lambda: nn.BatchNorm1d(3.0), ValueError, "num_features must be an integer of 0 or more, got 3.0"),
    (lambda: nn.BatchNorm1d(3, device="cuda"), RuntimeError, "only 'cpu' exists"),
    (lambda: F.layer_norm(minidl.ones(2, 3), (4,)), ValueError, r"normalized_shape \(4,\) and input \(2, 3\) disagree"),
    (lambda: F.layer_norm(minidl.ones(2, 3), ()), ValueError, "must name one axis or more"),
    (lambda: F.layer_norm(minidl.ones(2, 3).long(), (3,)), TypeError, "expected float32 or float64, got int64"),
    (lambda: F.layer_norm([1.0], (1,)), TypeError, "layer_norm: expected a Tensor, got list"),
    (lambda: nn.LayerNorm([]), ValueError, "LayerNorm: normalized_shape must be sizes"),
    (lambda: nn.RMSNorm(3)(minidl.ones(2, 4)), ValueError, "rms_norm: normalized_shape"),
    (lambda: F.group_norm(minidl.ones(2, 3), 2), ValueError, "the 3 channels of the input .* cannot make 2 equal groups"),
    (lambda: F.group_norm(minidl.ones(1, 2), 2), ValueError, "more than 1 value in a group"),
    (lambda: nn.GroupNorm(2, 3), ValueError, "num_channels 3 must be divisible by num_groups 2"),
    (lambda: F.instance_norm(minidl.ones(2, 3, 1)), ValueError, "more than 1 value per channel of a sample"),
    (lambda: nn.InstanceNorm1d(3, affine=True)(minidl.ones(4, 5)), ValueError, "InstanceNorm1d: expected 3 channels"),
    (lambda: nn.InstanceNorm2d(3)(minidl.ones(2, 3)), ValueError, "expected an input with 3 or 4 axes"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_promise_26_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()
