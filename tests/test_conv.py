"""Convolutions: functions, their errors, layers. Values and gradients of the operations are checked in test_ops."""

import copy
import math
import pickle
import re
from itertools import product

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn, ops
from minidl.autograd import gradcheck
from minidl.graph.nodes import Leaf


def randn(*shape, dtype=minidl.float32):
    return minidl.randn(shape, dtype=dtype)


def raises(message, error=ValueError):
    return pytest.raises(error, match=re.escape(message))


def same(ours, theirs, tol=1e-5):
    """Equal to a torch tensor in shape, dtype and, nearly, in values."""
    assert str(ours.dtype) in str(theirs.dtype)
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=tol, atol=tol)


def compare(torch, name, shapes, options):
    """One function of both frameworks: values, and the gradients of all its operands."""
    ours = [minidl.randn(shape, requires_grad=True) for shape in shapes]
    theirs = [torch.tensor(x.detach().numpy(), requires_grad=True) for x in ours]
    y, other = getattr(F, name)(*ours, **options), getattr(torch.nn.functional, name)(*theirs, **options)
    same(y, other)
    dy = minidl.randn(y.shape)
    y.backward(dy)
    other.backward(torch.tensor(dy.numpy()))
    for a, b in zip(ours, theirs, strict=True):
        same(a.grad, b.grad, 1e-4)


WARNED = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # by PyTorch

# --- functions


@WARNED
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 3)])
@pytest.mark.parametrize("stride", [1, (2, 3)])
@pytest.mark.parametrize("padding", [0, 1, (2, 0), "same", "valid"])
@pytest.mark.parametrize("dilation", [1, (2, 1)])
def test_conv2d_is_torchs(kernel, stride, padding, dilation):
    torch = pytest.importorskip("torch")
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    if padding == "same" and stride != 1:
        with raises("padding='same' is not supported for strided convolutions"):
            F.conv2d(randn(1, 2, 9, 9), randn(2, 2, *kernel), **options)
        return
    for groups in (1, 2):
        compare(torch, "conv2d", [(2, 4, 8, 9), (6, 4 // groups, *kernel), (6,)], {**options, "groups": groups})
    compare(torch, "conv2d", [(4, 8, 9), (3, 4, *kernel)], options)  # without a batch


@WARNED
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), list(product([1, 2, 3], [1, 2], [0, 2], [1, 2])))
def test_conv1d_is_torchs(kernel, stride, padding, dilation):
    torch = pytest.importorskip("torch")
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    for groups in (1, 2):
        compare(torch, "conv1d", [(2, 4, 9), (6, 4 // groups, kernel), (6,)], {**options, "groups": groups})
    compare(torch, "conv1d", [(4, 9), (3, 4, kernel), (3,)], options)
    if stride == 1:
        compare(torch, "conv1d", [(1, 4, 9), (3, 4, kernel)], {**options, "padding": "same"})


TRANSPOSED = [
    (stride, padding, extra, dilation)
    for stride, padding, extra, dilation in product([1, 2, (3, 2)], [0, 1, (1, 0)], [0, 1, (1, 0)], [1, 2])
    if all(e < max(s, dilation) for e, s in zip(np.broadcast_to(extra, 2), np.broadcast_to(stride, 2), strict=True))
]


@pytest.mark.parametrize(("stride", "padding", "extra", "dilation"), TRANSPOSED)
def test_conv_transpose2d_is_torchs(stride, padding, extra, dilation):
    torch = pytest.importorskip("torch")
    options = {"stride": stride, "padding": padding, "output_padding": extra, "dilation": dilation}
    for kernel, groups in (((3, 3), 1), ((2, 4), 2)):
        shapes = [(2, 4, 3, 4), (4, 6 // groups, *kernel), (6,)]
        compare(torch, "conv_transpose2d", shapes, {**options, "groups": groups})
    compare(torch, "conv_transpose2d", [(4, 3, 4), (4, 2, 3, 3)], options)


def test_conv_transpose1d_is_torchs():
    torch = pytest.importorskip("torch")
    for stride, padding, extra, groups in product([1, 2], [0, 1], [0, 1], [1, 2]):
        if extra < stride:
            options = {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups}
            compare(torch, "conv_transpose1d", [(2, 4, 5), (4, 6 // groups, 3), (6,)], options)
    compare(torch, "conv_transpose1d", [(2, 5), (2, 3, 3)], {"output_padding": 1, "dilation": 2})


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_promise_22_rows_that_a_stride_does_not_reach_get_exactly_zero(stride):
    x = minidl.randn(1, 1, 9, 10, requires_grad=True)
    y = F.conv2d(x, minidl.ones(1, 1, 3, 3), stride=stride)
    assert y.shape == (1, 1, (9 - 3) // stride + 1, (10 - 3) // stride + 1)
    y.backward(minidl.ones(y.shape))
    read = [(n - 3) // stride * stride + 3 for n in (9, 10)]
    assert (x.grad[:, :, : read[0], : read[1]] > 0).all()
    assert x.grad.sum() == 9 * y.numel()


def test_promise_22_26_geometry_that_does_not_fit():
    x = minidl.ones(1, 2, 5, 4)
    with raises("conv2d: the output would have size 0 on axis 3: a kernel of (3, 5)") as e:
        F.conv2d(x, minidl.ones(4, 2, 3, 5))
    assert "input (1, 2, 5, 4) has, with its padding, only 4" in str(e.value)
    with raises("size -3 on axis 2: a kernel of (4, 2) with dilation (4, 1) reaches over 13"):
        F.conv2d(x, minidl.ones(4, 2, 4, 2), dilation=(4, 1), padding=(2, 0))
    with raises("conv_transpose2d: the output would have size (-1, -2)"):
        F.conv_transpose2d(x, minidl.ones(2, 4, 1, 1), padding=3)
    with raises("output_padding must be smaller than stride or dilation, got (1, 1) with stride (1, 1)"):
        F.conv_transpose2d(x, minidl.ones(2, 4, 1, 1), output_padding=1)
    assert F.conv2d(x, minidl.ones(4, 2, 5, 4)).shape == (1, 4, 1, 1)


def test_promise_26_operands_that_do_not_fit():
    x, w = minidl.ones(2, 3, 5, 5), minidl.ones(4, 3, 2, 2)
    with raises("input (2, 3, 5, 5) and weight (4, 2, 2, 2) disagree: expected 2 channels on axis 1"):
        F.conv2d(x, minidl.ones(4, 2, 2, 2))
    with raises("expected 3·2 = 6 channels on axis 0 of the input"):
        F.conv2d(x[0], w, groups=2)
    with raises("weight.shape[0] to be a multiple of 3"):
        F.conv2d(x, minidl.ones(4, 1, 2, 2), groups=3)
    with raises("expected an input (N, C, H, W) or (C, H, W), got shape (5, 5)"):
        F.conv2d(x[0, 0], w)
    with raises("expected an input (N, C, L) or (C, L), got shape (2, 3, 5, 5)"):
        F.conv1d(x, w)
    with raises("expected a weight with 4 axes, none empty, got shape (4, 3, 2)"):
        F.conv2d(x, w[..., 0])
    with raises("none empty, got shape (0, 3, 2, 2)"):
        F.conv2d(x, w[:0])
    with raises("only the batch may be empty, got an input of shape (2, 3, 0, 5)"):
        F.conv2d(x[:, :, :0], w)
    with raises("expected a bias of shape (4,) and float32, got (3,) and float32"):
        F.conv2d(x, w, minidl.ones(3))
    with raises("the input is float64 and the weight float32", TypeError):
        F.conv2d(x.double(), w)
    with raises("expected floating-point numbers, got int64", TypeError):
        F.conv2d(x.long(), w.long())
    with raises("expected a Tensor as weight, got list", TypeError):
        F.conv2d(x, [1.0])
    with raises("expected a Tensor as bias, got int", TypeError):
        F.conv2d(x, w, 1)
    with raises("input (2, 3, 5, 5) and weight (4, 3, 2, 2) disagree with groups=1: expected 4 channels on axis 1"):
        F.conv_transpose2d(x, w)


@pytest.mark.parametrize(
    ("option", "values"),
    [("stride", [0, -1, 1.5, (1, 2, 3), "2"]), ("dilation", [0, (1, 0)]), ("padding", [-1, (0, -1), 0.5, "full"])],
)
def test_promise_35_options_that_make_no_sense(option, values):
    for value in values:
        with raises(f"conv2d: {option} must be"):
            F.conv2d(minidl.ones(1, 1, 3, 3), minidl.ones(1, 1, 2, 2), **{option: value})
    with raises("groups must be an integer of 1 or more, got 0"):
        F.conv2d(minidl.ones(1, 1, 3, 3), minidl.ones(1, 1, 2, 2), groups=0)


def test_an_empty_batch_gives_an_empty_result_and_zero_gradients():
    x, w, b = minidl.ones(0, 3, 5, 5, requires_grad=True), randn(4, 3, 2, 2).requires_grad_(), randn(4).requires_grad_()
    y = F.conv2d(x, w, b)
    assert y.shape == (0, 4, 4, 4)
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert not w.grad.any()
    assert not b.grad.any()


def test_promise_12_float32_and_float64_stay_as_they_are():
    for dtype in (np.float32, np.float64):
        x, w, b = (randn(*shape, dtype=dtype).requires_grad_() for shape in ((2, 3, 5, 5), (4, 3, 3, 3), (4,)))
        for y in (F.conv2d(x, w, b), F.conv_transpose2d(x, w.reshape(3, 4, 3, 3), b), F.conv1d(x[:, :, 0], w[:, :, 0], b)):
            assert y.dtype == dtype
            y.sum().backward()
            assert {t.grad.dtype for t in (x, w, b)} == {np.dtype(dtype)}


def test_gradients_through_views_of_the_operands():
    x, w, b = (randn(*shape, dtype=np.float64).requires_grad_() for shape in ((2, 5, 6, 3), (3, 2, 3, 4), (4,)))
    assert gradcheck(lambda x, w, b: F.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 0, 1, 2), b, padding="same"), (x, w, b))


def test_the_first_layer_computes_no_gradient_of_its_input(monkeypatch):
    def forbidden(*args):
        raise AssertionError("nobody asked for the input's gradient")

    monkeypatch.setattr(ops.conv.kernels, "conv2d_input", forbidden)
    layer = nn.Conv2d(1, 2, 3)
    layer(minidl.ones(1, 1, 5, 5)).sum().backward()
    assert layer.weight.grad.tolist() == [[[[9.0] * 3] * 3]] * 2


@pytest.mark.parametrize(
    "op", [ops.Conv2d((1, 1), (0,) * 4, (1, 1), 1), ops.ConvTranspose2d((4, 4), (1, 1), (0,) * 4, (1, 1), 1)]
)
def test_operations_keep_only_what_backward_reads(op):
    x, w = np.ones((1, 2, 3, 3), np.float32), np.ones((2, 2, 2, 2), np.float32)
    for wants_x, wants_w in product([False, True], repeat=2):
        op.needs = [Leaf(x.shape, x.dtype) if wants_x else None, Leaf(w.shape, w.dtype) if wants_w else None]
        op.forward(x, w)
        assert (op.x is x, op.w is w) == (wants_w, wants_x)
        gradients = op.backward(np.ones(op.forward(x, w).shape, np.float32))
        assert [g is not None for g in gradients] == [wants_x, wants_w]


def test_transposed_convolution_is_the_adjoint():
    x, w = randn(1, 3, 9, 8, dtype=np.float64), randn(4, 3, 3, 2, dtype=np.float64)
    for options in ({}, {"stride": 2}, {"stride": (3, 2), "padding": 1}, {"dilation": 2, "padding": (1, 0)}):
        y = F.conv2d(x, w, **options)
        z = randn(*y.shape, dtype=np.float64)
        back = nn.ConvTranspose2d(4, 3, (3, 2), bias=False, dtype=minidl.float64, **options)
        back.load_state_dict({"weight": w})
        assert (y * z).sum().item() == pytest.approx((x * back(z, output_size=x.shape)).sum().item())


def test_convolution_of_windows_is_one_product_of_matrices():
    x, w, b = randn(2, 3, 7, 6), randn(4, 3, 3, 2), randn(4)
    columns = F.unfold(x, (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1))
    y = w.reshape(4, -1) @ columns + b[:, None]
    expected = F.conv2d(x, w, b, (2, 1), (1, 0), (1, 2))
    assert y.reshape(expected.shape).allclose(expected, atol=1e-5)


# --- layers

LAYERS = {
    "Conv2d(3, 6, 3)": (2, 3, 7, 8),
    "Conv2d(4, 6, (3, 2), stride=2, padding=1, dilation=2, groups=2, bias=False, padding_mode='reflect')": (2, 4, 7, 8),
    "Conv2d(4, 6, (2, 3), padding='same', padding_mode='replicate')": (1, 4, 5, 5),
    "Conv2d(4, 6, (2, 4), padding='same', dilation=(3, 1), padding_mode='circular')": (1, 4, 6, 6),
    "Conv2d(4, 4, [3, 3], padding='valid', groups=4, padding_mode='reflect')": (4, 5, 5),
    "Conv2d(4, 6, 4, padding='same')": (1, 4, 5, 5),
    "Conv1d(3, 6, 3, padding=1)": (2, 3, 7),
    "Conv1d(2, 4, 4, stride=2, padding=(3,), groups=2, padding_mode='circular')": (2, 6),
    "ConvTranspose1d(3, 4, 2, dilation=2)": (2, 3, 5),
    "ConvTranspose2d(3, 6, 3, 2, 1, 1)": (2, 3, 5, 4),
    "ConvTranspose2d(4, 6, (2, 3), stride=(1, 3), output_padding=(0, 2), groups=2, bias=False)": (4, 5, 4),
    "LazyConv1d(6, 5, padding=2)": (2, 3, 7),
    "LazyConv2d(6, 5, padding=2, groups=3)": (2, 3, 7, 8),
    "LazyConv2d(6, (5, 1), stride=2)": (3, 7, 8),
    "LazyConvTranspose1d(6, 5, 2)": (2, 3, 7),
    "LazyConvTranspose2d(6, 5, 2, groups=2, bias=False)": (2, 4, 7, 8),
}


@WARNED
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.parametrize("text", LAYERS)
def test_layers_are_torchs(text):
    """The same repr, the same first values for the same generator, the same results, and weights that load."""
    torch = pytest.importorskip("torch")
    minidl.manual_seed(3)
    torch.manual_seed(3)
    layer, other = eval(f"nn.{text}"), eval(f"torch.nn.{text}")
    x = minidl.randn(LAYERS[text])
    z = torch.randn(LAYERS[text])
    assert repr(layer) == repr(other)
    same(layer(x), other(z))
    assert repr(layer) == repr(other)
    assert list(layer.state_dict()) == list(other.state_dict())
    for ours, theirs in zip(layer.parameters(), other.parameters(), strict=True):
        assert np.array_equal(ours.detach().numpy(), theirs.detach().numpy())
    fresh = eval(f"nn.{text}")
    fresh.load_state_dict(other.state_dict())
    same(fresh(x), other(z))
    assert type(fresh).__name__ == type(other).__name__


def test_first_values_lie_within_their_bound():
    for layer in (nn.Conv2d(4, 8, 3, groups=2), nn.ConvTranspose2d(8, 4, 3, groups=2), nn.Conv1d(2, 4, 9)):
        bound = 1 / math.sqrt(18)
        for param in layer.parameters():
            assert 0.5 * bound < param.abs().max().item() <= bound
        before = layer.weight.detach().clone()
        layer.reset_parameters()
        assert (layer.weight != before).any()


def test_a_lazy_convolution_becomes_a_convolution():
    layer = nn.LazyConv2d(4, 3, groups=2)
    assert repr(layer) == "LazyConv2d(0, 4, kernel_size=(3, 3), stride=(1, 1), groups=2)"
    weight, bias = layer.weight, layer.bias
    weight.data.normal_(0, 0.01)  # nothing to fill yet: no error, as in PyTorch
    with raises("expected an input with 3 or 4 axes, got (3, 3)"):
        layer(minidl.ones(3, 3))
    with raises("3 input and 4 output channels must be multiples of groups=2"):
        layer(minidl.ones(1, 3, 5, 5))
    assert layer(minidl.ones(2, 6, 5, 5)).shape == (2, 4, 3, 3)
    assert type(layer) is nn.Conv2d
    assert (layer.weight is weight, layer.bias is bias, weight.shape, layer.in_channels) == (True, True, (4, 3, 3, 3), 6)
    assert nn.LazyConv2d(4, 3, bias=False).bias is None
    copied = pickle.loads(pickle.dumps(copy.deepcopy(nn.LazyConvTranspose2d(4, 3))))
    assert copied(minidl.ones(2, 6, 5, 5)).shape == (2, 4, 7, 7)
    assert type(copied) is nn.ConvTranspose2d


def test_lazy_convolutions_in_a_network_that_an_optimizer_holds():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.LazyConv2d(1, 2), nn.Flatten(), nn.LazyLinear(1))
    optimizer = minidl.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    x = minidl.randn(16, 2, 5, 5)
    y = x[:, 0, 2, 2:3] - x[:, 1, 2, 2:3]
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_output_size_of_a_transposed_convolution():
    layer = nn.ConvTranspose2d(2, 4, 3, stride=2)
    x = minidl.ones(1, 2, 5, 5)
    assert layer(x).shape == layer(x, (11, 11)).shape == (1, 4, 11, 11)
    assert layer(x, output_size=[12, 11]).shape == layer(x, output_size=(1, 4, 12, 11)).shape == (1, 4, 12, 11)
    with raises("from input (1, 2, 5, 5) come outputs of size (11, 11) to (12, 12), not (13, 11)"):
        layer(x, output_size=(13, 11))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "3 input and 4 output channels must be multiples of groups=2"),
        (lambda: nn.LazyConv2d(3, 3, groups=2), "multiples of groups=2"),
        (lambda: nn.Conv2d(0, 4, 3), "in_channels must be an integer of 1 or more, got 0"),
        (lambda: nn.Conv2d(3, 4.0, 3), "out_channels must be an integer of 1 or more, got 4.0"),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size must be an integer of 1 or more or 2 of them, got (0, 0)"),
        (lambda: nn.Conv2d(3, 4, (1, 2, 3)), "kernel_size must be"),
        (lambda: nn.Conv1d(3, 4, 3, stride=0), "stride must be an integer of 1 or more, got (0,)"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), "padding must be an integer of 0 or more"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "padding must be integers, 'same' or 'valid', got 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), "padding='same' is not supported for strided convolutions"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode must be one of"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), "padding_mode must be one of ('zeros',)"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), "padding must be integers, got 'same'"),
    ],
)
def test_promise_35_layers_refuse_what_makes_no_sense(make, message):
    with raises(message):
        make()


def test_a_stride_beyond_the_image_leaves_one_output():
    x, w = minidl.randn(2, 3, 8, 7, requires_grad=True), minidl.randn(4, 3, 3, 3, requires_grad=True)
    results = []
    for stride in (20, 10**12):
        y = F.conv2d(x, w, stride=stride)
        assert y.shape == (2, 4, 1, 1)
        results.append([y.detach(), *minidl.autograd.grad(y.sum(), (x, w))])
    assert all(a.equal(b) for a, b in zip(*results, strict=True))
