"""The mission's rows on convolutional networks: code as a reader of *Dive into Deep Learning* types it, and its numbers.

N1 to N12; pooling (N13) has its own file. As in test_book, the imports change and the code does not: with PyTorch's in place
of these three the file passes too, but for the tests that use `F.convolve2d`, which PyTorch has not.
"""

import math

import pytest

import minidl as torch
from minidl import nn
from minidl.nn import functional as F


def corr2d(X, K):
    """The book's two-dimensional cross-correlation."""
    h, w = K.shape
    Y = torch.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


def corr2d_multi_in(X, K):
    return sum(corr2d(x, k) for x, k in zip(X, K, strict=True))


def corr2d_multi_in_out(X, K):
    return torch.stack([corr2d_multi_in(X, k) for k in K], 0)


def corr2d_multi_in_out_1x1(X, K):
    c_i, h, w = X.shape
    c_o = K.shape[0]
    X = X.reshape((c_i, h * w))
    K = K.reshape((c_o, c_i))
    Y = torch.matmul(K, X)
    return Y.reshape((c_o, h, w))


X3, K2 = torch.arange(9.0).reshape(3, 3), torch.arange(4.0).reshape(2, 2)


def image(*shape):
    return torch.randn(shape, dtype=torch.float64)


def test_N1_a_perceptron_does_not_care_in_what_order_pixels_come():
    X, order = torch.randn(5, 16), torch.randperm(16)
    net, other = nn.Linear(16, 3), nn.Linear(16, 3)
    other.load_state_dict({"weight": net.weight.detach()[:, order], "bias": net.bias.detach()})
    assert torch.allclose(net(X), other(X[:, order]), atol=1e-6)


def test_N2_a_fully_connected_layer_reindexed():
    """H[i,j] = U[i,j] + Σ_{k,l} W[i,j,k,l] X[k,l] = U[i,j] + Σ_{a,b} V[i,j,a,b] X[i+a,j+b]: V[i,j,a,b] is W[i,j,i+a,j+b]."""
    n = 4
    X, U, W = image(n, n), image(n, n), image(n, n, n, n)
    H = U + torch.einsum("ijkl,kl->ij", W, X)
    for i in range(n):
        for j in range(n):
            # a runs from −i to n − 1 − i, b alike: V[i, j] is W[i, j], counted from the pixel itself
            shifted = sum(W[i, j, i + a, j + b] * X[i + a, j + b] for a in range(-i, n - i) for b in range(-j, n - j))
            assert torch.allclose(H[i, j], U[i, j] + shifted)


@pytest.mark.parametrize("shift", [(1, 0), (0, 2), (3, 1)])
def test_N3_N4_a_shift_of_the_input_shifts_the_output(shift):
    """H[i,j] = u + Σ_{|a|,|b| ≤ Δ} V[a,b] X[i+a,j+b]: the same V everywhere, of a size that does not know the image's."""
    delta = 1
    V, u = image(1, 1, 2 * delta + 1, 2 * delta + 1), image(1)
    X = torch.zeros((1, 1, 12, 12), dtype=torch.float64)
    X[:, :, 3:6, 4:7] = image(1, 1, 3, 3)
    H = F.conv2d(X, V, u, padding=delta)
    moved = F.conv2d(torch.roll(X, shift, (2, 3)), V, u, padding=delta)
    assert torch.allclose(moved, torch.roll(H, shift, (2, 3)))
    far = H.clone()
    far[:, :, 3 - delta : 6 + delta, 4 - delta : 7 + delta] = u.item()  # what is further off than Δ is seen nowhere
    assert (far == u).all()
    assert V.numel() + u.numel() == 10


def test_N5_convolution_of_functions():
    """(f*g)(x) = ∫ f(z) g(x − z) dz: two boxes of width 1 make a triangle, and as a sum the same to the grid's width."""
    n = 200
    box = torch.ones((1, 1, 1, n), dtype=torch.float64)
    triangle = F.convolve2d(box, box, padding=(0, n - 1)).flatten() / n
    x = torch.arange(1, 2 * n, dtype=torch.float64) / n
    assert (triangle - torch.minimum(x, 2 - x)).abs().max() < 1e-12


def test_N5_discrete_convolution():
    """(f*g)(i, j) = Σ_{a,b} f(a, b) g(i − a, j − b), which commutes, where cross-correlation does not."""
    f, g = image(3, 4), image(2, 3)
    full = torch.zeros((4, 6), dtype=torch.float64)
    for i in range(4):
        for j in range(6):
            pairs = [(a, b) for a in range(3) for b in range(4) if 0 <= i - a < 2 and 0 <= j - b < 3]
            full[i, j] = sum(f[a, b] * g[i - a, j - b] for a, b in pairs)
    f, g = f.reshape(1, 1, 3, 4), g.reshape(1, 1, 2, 3)
    assert torch.allclose(F.convolve2d(f, g, padding=(1, 2))[0, 0], full)
    assert torch.allclose(F.convolve2d(g, f, padding=(2, 3))[0, 0], full)
    assert not torch.allclose(F.conv2d(f, g, padding=(1, 2)), F.conv2d(g, f, padding=(2, 3)))


def test_N5_cross_correlation_is_convolution_with_the_flipped_kernel():
    X, K = image(2, 3, 6, 5), image(4, 3, 2, 3)
    for options in ({}, {"stride": 2, "padding": 1}, {"dilation": (2, 1)}):
        assert torch.allclose(F.convolve2d(X, torch.flip(K, (2, 3)), **options), F.conv2d(X, K, **options))
    assert torch.allclose(F.conv2d(X, torch.flip(K, (2, 3))), F.convolve2d(X, K))


def test_N6_channels():
    """H[i,j,d] = Σ_a Σ_b Σ_c V[a,b,c,d] X[i+a,j+b,c]"""
    X, V = image(5, 5, 3), image(2, 2, 3, 4)
    H = torch.zeros((4, 4, 4), dtype=torch.float64)
    for a in range(2):
        for b in range(2):
            H = H + torch.einsum("ijc,cd->ijd", X[a : a + 4, b : b + 4], V[a, b])
    found = F.conv2d(X.permute(2, 0, 1), V.permute(3, 2, 0, 1))
    assert torch.allclose(found.permute(1, 2, 0), H)


def test_N7_cross_correlation():
    expected = [[19, 25], [37, 43]]
    assert corr2d(X3, K2).tolist() == expected
    assert F.conv2d(X3.reshape(1, 1, 3, 3), K2.reshape(1, 1, 2, 2))[0, 0].tolist() == expected
    for n, k in ((3, 2), (8, 3), (5, 5), (7, 1)):
        assert F.conv2d(torch.ones(1, 1, n, n + 1), torch.ones(1, 1, k, k)).shape == (1, 1, n - k + 1, n + 2 - k)


def test_N7_the_books_layer_and_its_edge_detector():
    class Conv2D(nn.Module):
        def __init__(self, kernel_size):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(kernel_size))
            self.bias = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return corr2d(x, self.weight) + self.bias

    X = torch.ones((6, 8))
    X[:, 2:6] = 0
    K = torch.tensor([[1.0, -1.0]])
    Y = corr2d(X, K)
    assert Y.tolist() == [[0, 1, 0, 0, 0, -1, 0]] * 6
    assert not corr2d(X.t(), K).any()
    net = Conv2D((1, 2))
    net(X).sum().backward()
    assert net.weight.grad.tolist() == [[corr2d(X, torch.tensor([k])).sum() for k in ([1.0, 0.0], [0.0, 1.0])]]
    assert net.bias.grad.tolist() == [42]


@pytest.mark.parametrize("start", range(5))
def test_N7_a_kernel_is_learned(start):
    torch.manual_seed(start)
    X = torch.ones((6, 8))
    X[:, 2:6] = 0
    Y = corr2d(X, torch.tensor([[1.0, -1.0]]))
    conv2d = nn.LazyConv2d(1, kernel_size=(1, 2), bias=False)
    X = X.reshape((1, 1, 6, 8))
    Y = Y.reshape((1, 1, 6, 7))
    lr = 3e-2
    for _ in range(10):
        Y_hat = conv2d(X)
        l = (Y_hat - Y) ** 2
        conv2d.zero_grad()
        l.sum().backward()
        conv2d.weight.data[:] -= lr * conv2d.weight.grad
    assert l.sum() < 0.5
    assert (conv2d.weight.data.reshape((1, 2)) - torch.tensor([[1.0, -1.0]])).abs().max() < 0.1


def comp_conv2d(conv2d, X):
    X = X.reshape((1, 1) + X.shape)
    Y = conv2d(X)
    return Y.reshape(Y.shape[2:])


def test_N8_N9_T11_padding_and_stride_as_the_book_types_them():
    X = torch.rand(size=(8, 8))
    assert comp_conv2d(nn.LazyConv2d(1, kernel_size=3, padding=1), X).shape == (8, 8)
    assert comp_conv2d(nn.LazyConv2d(1, kernel_size=(5, 3), padding=(2, 1)), X).shape == (8, 8)
    assert comp_conv2d(nn.LazyConv2d(1, kernel_size=3, padding=1, stride=2), X).shape == (4, 4)
    assert comp_conv2d(nn.LazyConv2d(1, kernel_size=(3, 5), padding=(0, 1), stride=(3, 4)), X).shape == (2, 2)


@pytest.mark.parametrize("k", range(1, 8))
def test_N8_a_padding_of_k_minus_1_in_all_keeps_the_size(k):
    x, w = torch.randn(1, 1, 9, 9), torch.randn(1, 1, k, k)
    y = F.conv2d(x, w, padding="same") if k % 2 else F.conv2d(F.pad(x, ((k - 1) // 2, k // 2) * 2), w)
    assert y.shape == x.shape
    if k % 2:
        assert torch.allclose(y, F.conv2d(x, w, padding=(k - 1) // 2), atol=1e-5)


@pytest.mark.parametrize(
    ("n", "k", "total", "stride", "out"),
    [(8, 3, 2, 2, 4), (8, 3, 0, 3, 2), (8, 5, 2, 4, 2), (224, 11, 2, 4, 54), (28, 5, 4, 1, 28)],
)
def test_N9_T11_stride(n, k, total, stride, out):
    """⌊(n − k + p + s)/s⌋, where p is the padding of both sides together: twice what `padding` says."""
    assert (n - k + total + stride) // stride == out
    y = F.conv2d(torch.ones(1, 1, n, k), torch.ones(1, 1, k, k), stride=stride, padding=(total // 2, 0))
    assert y.shape == (1, 1, out, 1)


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_N9_with_a_padding_of_k_minus_1_the_kernel_does_not_matter(stride):
    for n in (7, 8, 15):
        for k in (1, 3, 5):
            y = F.conv2d(torch.ones(1, 1, n, 1), torch.ones(1, 1, k, 1), stride=(stride, 1), padding=((k - 1) // 2, 0))
            assert y.shape[2] == (n + stride - 1) // stride == math.ceil(n / stride)


X = torch.stack([X3, X3 + 1])
K = torch.stack([K2, K2 + 1])


def test_N10_several_input_channels():
    expected = [[56, 72], [104, 120]]
    assert corr2d_multi_in(X, K).tolist() == expected
    assert F.conv2d(X, K[None])[0].tolist() == expected


def test_N11_several_output_channels():
    kernels = torch.stack((K, K + 1, K + 2), 0)
    assert kernels.shape == (3, 2, 2, 2)
    expected = [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]]
    assert corr2d_multi_in_out(X, kernels).tolist() == expected
    assert F.conv2d(X, kernels).tolist() == expected


def test_N12_a_convolution_of_1_by_1_is_a_dense_layer_for_each_pixel():
    X = torch.normal(0, 1, (3, 3, 3))
    K = torch.normal(0, 1, (2, 3, 1, 1))
    Y1 = corr2d_multi_in_out_1x1(X, K)
    Y2 = corr2d_multi_in_out(X, K)
    assert float(torch.abs(Y1 - Y2).sum()) < 1e-5
    assert float(torch.abs(Y1 - F.conv2d(X, K)).max()) < 1e-6
    dense = F.linear(X.permute(1, 2, 0), K.reshape(2, 3))
    assert float(torch.abs(dense.permute(2, 0, 1) - Y1).max()) < 1e-6
