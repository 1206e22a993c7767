"""Layers of convolutional networks in plain NumPy, float64: what networks are compared with. Images are (N, C, H, W)."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def relu(x):
    return np.maximum(x, 0.0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def windows(x, size, stride, padding, fill):
    """The windows of padded images: (N, C, OH, OW, KH, KW)"""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=fill)
    return sliding_window_view(x, (size, size), (2, 3))[:, :, ::stride, ::stride]


def conv(x, weight, bias, stride=1, padding=0, groups=1):
    """y[n, o, i, j] = b[o] + Σ w[o, c, u, v] x[n, c, i·stride + u, j·stride + v], over the channels c of o's group"""
    cut = windows(x, weight.shape[-1], stride, padding, 0.0)
    parts = zip(np.split(cut, groups, 1), np.split(weight, groups), strict=True)
    y = np.concatenate([np.tensordot(part, w, ((1, 4, 5), (1, 2, 3))) for part, w in parts], -1)
    return np.moveaxis(y + bias, -1, 1)


def max_pool(x, size, stride, padding=0):
    return windows(x, size, stride, padding, -np.inf).max((-2, -1))


def mean_pool(x, size, stride):
    return windows(x, size, stride, 0, 0.0).mean((-2, -1))


def flat(x):
    return x.reshape(len(x), -1)


class Twin:
    """The layers of a network, by their names in its state_dict: those of eval() or of train(), as the network is.

    In training, batch_norm takes the mean and variance of the batch and moves the running ones towards them. draw(shape, p)
    says what dropout multiplies with, drawn from minidl's stream: with the same seed, network and twin agree only if they drop
    at the same rates, at the same places, in the same order.
    """

    def __init__(self, net, draw):
        self.state = {name: x.numpy(force=True).copy() for name, x in net.state_dict().items()}
        self.training, self.draw, self.used = net.training, draw, set()

    def get(self, name, part):
        self.used.add(f"{name}.{part}")
        return self.state[f"{name}.{part}"]

    def conv(self, x, name, **options):
        return conv(x, self.get(name, "weight"), self.get(name, "bias"), **options)

    def dense(self, x, name):
        return x @ self.get(name, "weight").T + self.get(name, "bias")

    def batch_norm(self, x, name):
        channels = (1, -1) + (1,) * (x.ndim - 2)
        mean, var = self.get(name, "running_mean"), self.get(name, "running_var")
        seen = self.get(name, "num_batches_tracked")
        if self.training:
            axes = (0, *range(2, x.ndim))
            count = x.size // x.shape[1]
            running = 0.9 * mean + 0.1 * x.mean(axes), 0.9 * var + 0.1 * x.var(axes) * count / (count - 1)
            mean, var = x.mean(axes), x.var(axes)
            self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"] = running
            self.state[f"{name}.num_batches_tracked"] = seen + 1
        y = (x - mean.reshape(channels)) / np.sqrt(var.reshape(channels) + 1e-5)
        return y * self.get(name, "weight").reshape(channels) + self.get(name, "bias").reshape(channels)

    def dropout(self, x, p):
        return x * self.draw(x.shape, p) if self.training else x
