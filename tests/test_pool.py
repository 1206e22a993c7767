"""Pooling as functions and layers: values, rules for ties and borders, geometry that cannot be; PyTorch as an oracle."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minidl
from minidl import nn
from minidl.autograd import gradcheck
from minidl.nn import functional as F


def image(*shape, dtype=minidl.float32):
    return minidl.arange(float(np.prod(shape)), dtype=dtype).reshape(*shape)


def leaf(values):
    return minidl.tensor(np.array(values, float), requires_grad=True)


def slopes(f, x, dy=None):
    y = f(x)
    y.backward(minidl.ones(y.shape, dtype=y.dtype) if dy is None else minidl.tensor(dy, dtype=y.dtype))
    return x.grad.tolist()


def test_values_and_shapes():
    x = image(2, 3, 5, 4)
    assert F.max_pool2d(x, 2).shape == (2, 3, 2, 2)
    assert F.max_pool2d(x, (3, 2), stride=(2, 1)).shape == (2, 3, 2, 3)
    assert F.max_pool2d(x[0], 2).tolist() == F.max_pool2d(x, 2)[0].tolist()
    assert F.avg_pool2d(x[0], 2).tolist() == F.avg_pool2d(x, 2)[0].tolist()
    assert F.max_pool1d(x[0], 2).shape == (3, 5, 2)
    assert F.max_pool1d(x[0, 0], 2).tolist() == [[1, 3], [5, 7], [9, 11], [13, 15], [17, 19]]
    assert F.avg_pool1d(x[0, 0], 2, padding=1)[0].tolist() == [0, 1.5, 1.5]
    assert F.avg_pool1d(x[0, 0], 2, padding=1, count_include_pad=False)[0].tolist() == [0, 1.5, 3]
    assert F.avg_pool2d(x, 2, divisor_override=1)[0, 0, 0, 0].item() == 0 + 1 + 4 + 5
    assert F.adaptive_avg_pool2d(x, (None, 1)).shape == (2, 3, 5, 1)
    assert F.adaptive_avg_pool2d(x, [2, None]).shape == (2, 3, 2, 4)
    assert F.adaptive_avg_pool2d(x, 1).flatten().tolist() == x.mean((2, 3)).flatten().tolist()
    assert F.adaptive_max_pool2d(x, 1).flatten().tolist() == x.amax((2, 3)).flatten().tolist()
    assert F.adaptive_max_pool1d(x[0], 3).shape == (3, 5, 3)


def test_empty_batches_keep_their_shape():
    x = minidl.zeros(0, 3, 4, 4, requires_grad=True)
    for f in (lambda x: F.max_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2), lambda x: F.adaptive_avg_pool2d(x, 2)):
        y = f(x)
        assert y.shape == (0, 3, 2, 2)
        y.sum().backward()
        assert x.grad.shape == x.shape
    assert F.adaptive_max_pool2d(image(1, 3, 3), (0, 2)).shape == (1, 0, 2)


def test_promise_12_float32_stays_float32():
    x = image(1, 2, 6, 6).requires_grad_()
    for f in (lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: F.adaptive_avg_pool2d(x, 4)):
        y = f(x)
        y.sum().backward()
        assert (y.dtype, x.grad.dtype) == (minidl.float32, minidl.float32)


def test_promise_20_ties_the_first_of_the_window_takes_the_gradient():
    x = leaf([[[2.0, 2.0, 1.0], [2.0, 2.0, 1.0]]])
    assert slopes(lambda x: F.max_pool2d(x, 2), x) == [[[1, 0, 0], [0, 0, 0]]]
    x = leaf([[0.0, 5.0, 5.0, 5.0]])
    assert slopes(lambda x: F.max_pool1d(x, 2, 1), x, [[1.0, 10.0, 100.0]]) == [[0, 11, 100, 0]]


def test_promise_20_gradients_add_up_where_windows_overlap():
    x = leaf([[[0.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 0.0]]])
    dy = [[[1.0, 10.0], [100.0, 1000.0]]]
    assert slopes(lambda x: F.max_pool2d(x, 2, 1), x, dy) == [[[0, 0, 0], [0, 1111, 0], [0, 0, 0]]]


def test_promise_20_not_a_number_goes_through_and_takes_the_gradient():
    x = leaf([[1.0, np.nan, 2.0, 3.0]])
    y = F.max_pool1d(x, 2)
    assert np.isnan(y[0, 0].item())
    assert y[0, 1].item() == 3
    assert slopes(lambda x: F.max_pool1d(x, 2), x) == [[0, 1, 0, 1]]
    assert np.isnan(F.avg_pool1d(x, 2)[0, 0].item())
    assert np.isnan(F.adaptive_max_pool1d(x, 1).item())
    assert F.max_pool1d(minidl.tensor([[np.nan, 1.0, np.nan]]), 3, return_indices=True)[1].tolist() == [[2]]  # as PyTorch


def test_promise_20_padding_is_minus_infinity():
    x = minidl.full((1, 1, 3, 3), -5.0)
    assert F.max_pool2d(x, 3, 1, 1).tolist() == x.tolist()
    assert F.max_pool2d(x, 2, 2, 1, ceil_mode=True).tolist() == [[[[-5, -5], [-5, -5]]]]
    lowest = minidl.full((1, 2, 2), -np.inf)
    y, where = F.max_pool2d(lowest, 2, 1, 1, return_indices=True)
    assert y.tolist() == [[[-np.inf] * 3] * 3]
    assert where.tolist() == [[[0, 0, 1], [0, 0, 1], [2, 2, 3]]]  # never on the padding


def test_promise_22_a_border_that_is_not_read_gets_exactly_zero():
    for f in (lambda x: F.max_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2)):
        x = image(1, 5, 5, dtype=minidl.float64).requires_grad_()
        dx = np.array(slopes(f, x))
        assert (dx[:, 4, :] == 0).all() and (dx[:, :, 4] == 0).all()
        assert dx.sum() == 4
    for f in (lambda x: F.max_pool1d(x, 1, 3), lambda x: F.avg_pool1d(x, 1, 3)):
        assert slopes(f, image(1, 8).requires_grad_()) == [[1, 0, 0, 1, 0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: F.max_pool2d(x, 5), r"max_pool2d: input \(1, 1, 3, 3\), axis -2: the computed output size is 0: .* over 5"),
        (lambda x: F.avg_pool2d(x, (2, 9)), "avg_pool2d: .*axis -1: the computed output size is 0"),
        (lambda x: F.max_pool2d(x, 2, dilation=3), "computed output size is 0: a window that reaches over 4"),
        (lambda x: F.max_pool1d(x[0], 4), "max_pool1d: .*computed output size is 0"),
        (lambda x: F.max_pool2d(x, 3, padding=2), r"padding \(2, 2\) must be at most half of kernel_size \(3, 3\)"),
        (lambda x: F.avg_pool2d(x, (3, 2), padding=(0, 2)), "must be at most half"),
        (lambda x: F.max_pool2d(x, 3, padding=2, dilation=2), "must be at most half"),
        (lambda x: F.max_pool2d(x, 2, padding=-1), "padding must be an integer of 0 or more"),
        (lambda x: F.max_pool2d(x, 2, stride=0), "stride must be an integer of 1 or more"),
        (lambda x: F.max_pool2d(x, 0), "kernel_size must be an integer of 1 or more"),
        (lambda x: F.max_pool2d(x, 2, dilation=0), "dilation must be an integer of 1 or more"),
        (lambda x: F.max_pool2d(x, (2, 2, 2)), "kernel_size must be an integer of 1 or more or 2 of them"),
        (lambda x: F.max_pool2d(x, 2.0), "kernel_size must be an integer"),
        (lambda x: F.avg_pool1d(x[0], (2, 2)), "kernel_size must be an integer"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), "divisor_override must be an integer other than 0"),
        (lambda x: F.max_pool2d(x[0, 0], 2), r"expected an input \(N, C, H, W\) or \(C, H, W\), got shape \(3, 3\)"),
        (lambda x: F.max_pool1d(x, 2), r"expected an input \(N, C, L\) or \(C, L\), got shape \(1, 1, 3, 3\)"),
        (lambda x: F.adaptive_avg_pool2d(x, (1, 2, 3)), "output_size must be 2 integers"),
        (lambda x: F.adaptive_avg_pool2d(x, -1), "output_size must be 2 integers"),
        (lambda x: F.adaptive_max_pool1d(x[0], 1.5), "output_size must be 1 integer"),
        (lambda x: F.adaptive_avg_pool2d(x[:, :, :0], 1), "must have elements"),
        (lambda x: F.max_pool2d(x[:, :, :0], 2), "computed output size"),
    ],
)
def test_promise_22_what_cannot_be_pooled_raises(f, message):
    with pytest.raises(ValueError, match=message):
        f(image(1, 1, 3, 3))


def test_promise_26_dtypes():
    n = minidl.arange(16).reshape(1, 4, 4)
    y, where = F.max_pool2d(n, 2, return_indices=True)
    assert (y.dtype, where.dtype) == (minidl.int64, minidl.int64)
    assert y.tolist() == where.tolist() == [[[5, 7], [13, 15]]]
    assert F.max_pool2d(-n, 3, 2, 1).tolist() == [[[0, -1], [-4, -5]]]
    for f in (lambda x: F.avg_pool2d(x, 2), lambda x: F.adaptive_avg_pool2d(x, 2)):
        with pytest.raises(TypeError, match=r"_pool2d: expected a tensor of floating-point numbers, got int64; convert it"):
            f(n)
    with pytest.raises(TypeError, match="max_pool2d: expected a tensor of numbers, got bool"):
        F.max_pool2d(n > 3, 2)
    with pytest.raises(TypeError, match="max_pool2d: expected a Tensor, got ndarray"):
        F.max_pool2d(n.numpy(), 2)


def test_gradients_against_differences():
    rng = np.random.default_rng(0)
    x = minidl.tensor(rng.permutation(84).reshape(2, 1, 6, 7) / 7.0, requires_grad=True)
    for f in (
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.max_pool2d(x, (2, 3), (1, 2), ceil_mode=True),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: F.adaptive_max_pool2d(x, (4, 3)),
        lambda x: F.adaptive_avg_pool2d(x, (4, 3)),
        lambda x: F.max_pool1d(x[0], 3),
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=(6, 7)),
    ):
        assert gradcheck(f, [x])


def test_indices_and_back():
    x = image(1, 1, 5, 5)
    y, where = F.max_pool2d(x, 2, return_indices=True)
    assert where.tolist() == y.tolist()
    back = F.max_unpool2d(y, where, 2, output_size=x.shape)
    assert back.shape == x.shape
    assert back.flatten()[where.flatten()].tolist() == y.flatten().tolist()
    assert back.sum().item() == y.sum().item()
    with pytest.raises(IndexError, match="index 16 is out of range for planes of 4×4: give output_size"):
        F.max_unpool2d(y, where, 2)
    with pytest.raises(ValueError, match="must be within the stride"):
        F.max_unpool2d(y, where, 2, output_size=(7, 5))
    with pytest.raises(ValueError, match="expected indices int64 of the input's shape"):
        F.max_unpool2d(y, where[0], 2)
    _, where = F.adaptive_max_pool1d(image(2, 7), 3, return_indices=True)
    assert where.tolist() == [[2, 4, 6], [2, 4, 6]]
    assert not where.requires_grad


def test_layers_say_what_they_are_and_do_it():
    x = image(2, 3, 6, 6)
    for layer, text, y in (
        (nn.MaxPool2d(2), "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)", F.max_pool2d(x, 2)),
        (
            nn.MaxPool2d((2, 3), stride=(2, 1), padding=(0, 1)),
            "MaxPool2d(kernel_size=(2, 3), stride=(2, 1), padding=(0, 1), dilation=1, ceil_mode=False)",
            F.max_pool2d(x, (2, 3), (2, 1), (0, 1)),
        ),
        (nn.AvgPool2d(3, 2, 1), "AvgPool2d(kernel_size=3, stride=2, padding=1)", F.avg_pool2d(x, 3, 2, 1)),
        (nn.AdaptiveAvgPool2d((None, 1)), "AdaptiveAvgPool2d(output_size=(None, 1))", F.adaptive_avg_pool2d(x, (None, 1))),
        (nn.AdaptiveMaxPool2d(1), "AdaptiveMaxPool2d(output_size=1)", F.adaptive_max_pool2d(x, 1)),
    ):
        assert repr(layer) == text
        assert not list(layer.parameters()) and not layer.state_dict()
        for same in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert same(x).tolist() == y.tolist()
    for layer, text in (
        (nn.MaxPool1d(3, 2), "MaxPool1d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)"),
        (nn.AvgPool1d(2), "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"),
        (nn.AdaptiveAvgPool1d(3), "AdaptiveAvgPool1d(output_size=3)"),
        (nn.AdaptiveMaxPool1d(3), "AdaptiveMaxPool1d(output_size=3)"),
    ):
        assert repr(layer) == text
        assert layer(x[0]).shape[:2] == (3, 6)
    y, where = nn.MaxPool2d(2, return_indices=True)(x)
    unpool = nn.MaxUnpool2d(2)
    assert repr(unpool) == "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"
    assert unpool(y, where).shape == x.shape
    for layer in (nn.AdaptiveMaxPool2d(2, True), nn.AdaptiveMaxPool1d(2, True), nn.MaxPool1d(2, None, 0, 1, True)):
        assert len(layer(x[0])) == 2


# --- PyTorch as a second oracle


def assert_same(x, f):
    """f(t, F, x) has the same values and gradients with either framework; x may have ties."""
    torch = pytest.importorskip("torch")
    ours, theirs = minidl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = f(F, ours), f(torch.nn.functional, theirs)
    if isinstance(z, tuple):
        assert y[1].tolist() == z[1].tolist()
        assert y[1].dtype == minidl.int64
        y, z = y[0], z[0]
    assert y.shape == tuple(z.shape)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), 1e-12, 1e-12)
    dy = np.random.default_rng(3).normal(size=y.shape)
    y.backward(minidl.tensor(dy))
    z.backward(torch.tensor(dy))
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), 1e-12, 1e-12)


@settings(max_examples=80)
@given(st.data(), st.sampled_from([1, 2]), st.booleans(), st.integers(0, 2**31))
def test_any_options_as_pytorch(data, d, batched, number):
    kernel = [data.draw(st.integers(1, 4)) for _ in range(d)]
    stride = data.draw(st.sampled_from([None, [data.draw(st.integers(1, 4)) for _ in range(d)]]))
    padding = [data.draw(st.integers(0, k // 2)) for k in kernel]
    dilation = [data.draw(st.sampled_from([1, 1, 2])) for _ in range(d)]
    reach = [r * (k - 1) + 1 for k, r in zip(kernel, dilation, strict=True)]
    sizes = [max(n - 2 * p, r, 1) + data.draw(st.integers(0, 6)) for n, p, r in zip(reach, padding, dilation, strict=True)]
    ceil, include = data.draw(st.booleans()), data.draw(st.booleans())
    divisor = data.draw(st.sampled_from([None, 3, -1])) if d == 2 else None
    out = tuple(data.draw(st.one_of(st.integers(1, 9), st.none() if d == 2 else st.integers(1, 3))) for _ in range(d))
    rng = np.random.default_rng(number)
    x = rng.integers(-3, 4, (*(2,) * batched, 2, *sizes)) + rng.choice([0.0, 0.5])  # many ties
    name = f"pool{d}d"

    def largest(F, x):
        options = tuple(kernel), stride and tuple(stride), tuple(padding), tuple(dilation), ceil
        return getattr(F, f"max_{name}")(x, *options, return_indices=True)

    def mean(F, x):
        options = tuple(kernel), stride and tuple(stride), tuple(padding), ceil, include
        return getattr(F, f"avg_{name}")(x, *options, *(divisor,) * (d == 2))

    assert_same(x, largest)
    assert_same(x, lambda F, x: getattr(F, f"adaptive_max_{name}")(x, out, return_indices=True))
    assert_same(x, lambda F, x: getattr(F, f"adaptive_avg_{name}")(x, out))
    if all(n + 2 * p >= k for n, p, k in zip(sizes, padding, kernel, strict=True)):
        assert_same(x, mean)


@settings(max_examples=20)
@given(st.integers(2, 3), st.integers(1, 3), st.integers(0, 2**31))
def test_unpooling_as_pytorch(kernel, stride, number):
    """Not where windows overlap: of two maxima at one place PyTorch sends both the gradient of the one that was kept."""
    stride = max(stride, kernel)
    x = np.random.default_rng(number).normal(size=(2, 2, 7, 8))

    def there_and_back(F, x):
        y, where = F.max_pool2d(x, kernel, stride, return_indices=True)
        return F.max_unpool2d(y, where, kernel, stride, output_size=(7, 8))

    fits = all(abs((n - kernel) // stride * stride + kernel - n) < stride for n in (7, 8))
    if fits:
        assert_same(x, there_and_back)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_promise_20_special_values_as_pytorch(special):
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 1.0):
        x = rng.normal(size=(2, 7, 8))
        x[rng.random(x.shape) < share] = special
        assert_same(x, lambda F, x: F.max_pool2d(x, 3, 2, 1, return_indices=True))
        assert_same(x, lambda F, x: F.max_pool2d(x, 2, 1, return_indices=True))
        assert_same(x, lambda F, x: F.adaptive_max_pool2d(x, (3, 5), return_indices=True))
