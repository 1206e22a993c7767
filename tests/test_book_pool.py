"""The mission's row N13 (pooling): code as a reader of *Dive into Deep Learning* types it, and the numbers that reader expects.

As in test_book, the imports change and the code does not: with PyTorch's in place of these two the file passes too.
"""

import minidl as torch
from minidl import nn


def pool2d(X, pool_size, mode="max"):
    """The book's pooling, one window at a time."""
    p_h, p_w = pool_size
    Y = torch.zeros((X.shape[0] - p_h + 1, X.shape[1] - p_w + 1))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            if mode == "max":
                Y[i, j] = X[i : i + p_h, j : j + p_w].max()
            elif mode == "avg":
                Y[i, j] = X[i : i + p_h, j : j + p_w].mean()
    return Y


def test_N13_pooling_from_scratch():
    X = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])
    assert pool2d(X, (2, 2)).tolist() == [[4, 5], [7, 8]]
    assert pool2d(X, (2, 2), "avg").tolist() == [[2, 3], [5, 6]]


def test_N13_layers_agree_with_the_loops():
    X = torch.arange(9, dtype=torch.float32).reshape((1, 1, 3, 3))
    assert nn.MaxPool2d(2, stride=1)(X)[0, 0].tolist() == pool2d(X[0, 0], (2, 2)).tolist()
    assert nn.AvgPool2d(2, stride=1)(X)[0, 0].tolist() == pool2d(X[0, 0], (2, 2), "avg").tolist()


def test_N13_padding_and_stride():
    X = torch.arange(16, dtype=torch.float32).reshape((1, 1, 4, 4))
    assert str(X) == (
        "tensor([[[[ 0.,  1.,  2.,  3.],\n"
        "          [ 4.,  5.,  6.,  7.],\n"
        "          [ 8.,  9., 10., 11.],\n"
        "          [12., 13., 14., 15.]]]])"
    )
    assert str(nn.MaxPool2d(3)(X)) == "tensor([[[[10.]]]])"
    shown = "tensor([[[[ 5.,  7.],\n          [13., 15.]]]])"
    assert str(nn.MaxPool2d(3, padding=1, stride=2)(X)) == shown
    assert str(nn.MaxPool2d((2, 3), stride=(2, 3), padding=(0, 1))(X)) == shown


def test_N13_each_channel_by_itself():
    X = torch.arange(16, dtype=torch.float32).reshape((1, 1, 4, 4))
    X = torch.cat((X, X + 1), 1)
    assert nn.MaxPool2d(3, padding=1, stride=2)(X).tolist() == [[[[5, 7], [13, 15]], [[6, 8], [14, 16]]]]


def test_N13_no_parameters_and_a_stride_of_the_window_by_default():
    for layer in (nn.MaxPool2d(3), nn.AvgPool2d(3), nn.AdaptiveAvgPool2d((1, 1))):
        assert list(layer.parameters()) == []
    assert nn.MaxPool2d(3).stride == 3


def test_N13_padding_of_the_maximum_is_minus_infinity():
    X = torch.full((1, 1, 2, 2), -1.0)
    assert nn.MaxPool2d(3, padding=1, stride=2)(X).tolist() == [[[[-1]]]]
    assert nn.AvgPool2d(3, padding=1, stride=2)(X).tolist()[0][0][0][0] == nn.AvgPool2d(3, 2, 1)(X).item()
