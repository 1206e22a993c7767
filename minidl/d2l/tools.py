"""Small things of the book: clocks, sums, devices, checks, and the functions of its older chapters."""

import time

import numpy as np

from .. import nn
from ..graph.modes import no_grad
from ..optim import Optimizer
from ..tensors.arguments import expect_tensors, integer, number
from ..tensors.creation import zeros
from ..tensors.dtypes import device
from ..tensors.random_tensors import normal
from ..utils.data import DataLoader, TensorDataset

__all__ = [
    "Accumulator", "Benchmark", "Timer", "accuracy", "check_len", "check_shape", "corr2d", "cpu", "evaluate_accuracy",
    "evaluate_loss", "get_fashion_mnist_labels", "gpu", "linreg", "load_array", "num_gpus", "sgd", "squared_loss",
    "synthetic_data", "train_epoch_ch3", "try_all_gpus", "try_gpu",
]  # fmt: skip


class Timer:
    """Records several running times, in seconds.

    >>> timer = Timer()
    >>> timer.stop() >= 0, len(timer.times)
    (True, 1)
    """

    def __init__(self):
        self.times = []
        self.start()

    def start(self):
        """Starts the clock."""
        self.tik = time.perf_counter()

    def stop(self):
        """Records the time since the start, and gives it."""
        self.times.append(time.perf_counter() - self.tik)
        return self.times[-1]

    def avg(self):
        """The mean of the times."""
        return sum(self.times) / len(self.times)

    def sum(self):
        """Their sum."""
        return sum(self.times)

    def cumsum(self):
        """Their sums so far, a list."""
        return np.cumsum(self.times).tolist()


class Benchmark:
    """Prints how long a block took (13.2).

    >>> with Benchmark("nothing"):  # doctest: +ELLIPSIS
    ...     pass
    nothing: 0.00... sec
    """

    def __init__(self, description="Done"):
        self.description = description

    def __enter__(self):
        self.timer = Timer()
        return self

    def __exit__(self, *args):
        print(f"{self.description}: {self.timer.stop():.4f} sec")


class Accumulator:
    """n sums that grow together.

    >>> sums = Accumulator(2)
    >>> sums.add(1, 2)
    >>> sums.add(0.5, 3)
    >>> sums[0], sums[1]
    (1.5, 5.0)
    """

    def __init__(self, n):
        self.data = [0.0] * integer("Accumulator", n)

    def add(self, *args):
        """Adds a number to each."""
        if len(args) != len(self.data):
            raise ValueError(f"Accumulator.add: expected {len(self.data)} numbers, got {len(args)}")
        self.data = [a + number("Accumulator.add", "what is added", b) for a, b in zip(self.data, args, strict=True)]

    def reset(self):
        """Sets all to 0."""
        self.data = [0.0] * len(self.data)

    def __getitem__(self, idx):
        return self.data[idx]

    def over(self, idx, name):
        """All sums by that with this index, for the function of this name; ValueError if nothing was counted."""
        if not self.data[idx]:
            raise ValueError(f"{name}: expected a loader with examples, got one with none")
        return [x / self.data[idx] for x in self.data]


def cpu():
    """The CPU.

    >>> cpu()
    device(type='cpu')
    """
    return device("cpu")


def gpu(i=0):
    """Raises: there is no GPU; see try_gpu.

    >>> gpu()
    Traceback (most recent call last):
    RuntimeError: gpu(0): minidl runs on the CPU only; write d2l.try_gpu(), which is d2l.cpu() here
    """
    raise RuntimeError(f"gpu({i}): minidl runs on the CPU only; write d2l.try_gpu(), which is d2l.cpu() here")


def num_gpus():
    """How many GPUs there are: 0.

    >>> num_gpus()
    0
    """
    return 0


def try_gpu(i=0):
    """The GPU of this number if there is one, else the CPU: the CPU.

    >>> try_gpu()
    device(type='cpu')
    """
    return cpu()


def try_all_gpus():
    """All GPUs, or [cpu()].

    >>> try_all_gpus()
    [device(type='cpu')]
    """
    return [cpu()]


def check_shape(a, shape):
    """AssertionError unless a has this shape.

    >>> check_shape(zeros(2, 3), (2, 3))
    """
    assert tuple(a.shape) == tuple(shape), f"tensor's shape {tuple(a.shape)} != expected shape {tuple(shape)}"


def check_len(a, n):
    """AssertionError unless a has this length.

    >>> check_len([1, 2], 2)
    """
    assert len(a) == n, f"list's length {len(a)} != expected length {n}"


def corr2d(X, K):
    """The cross-correlation of a matrix and a kernel, element by element (7.2); F.conv2d is the fast one.

    >>> import minidl
    >>> corr2d(minidl.arange(9.0).reshape(3, 3), minidl.arange(4.0).reshape(2, 2))
    tensor([[19., 25.],
            [37., 43.]])
    """
    expect_tensors("corr2d", X=X, K=K)
    if X.ndim != 2 or K.ndim != 2 or any(n < k for n, k in zip(X.shape, K.shape, strict=True)):
        raise ValueError(f"corr2d: expected a matrix and a smaller kernel, got shapes {X.shape} and {K.shape}")
    h, w = K.shape
    Y = zeros(X.shape[0] - h + 1, X.shape[1] - w + 1)
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


# --- the functions of the first edition, which the optimization chapters still use


def synthetic_data(w, b, num_examples):
    """y = Xw + b + noise of 0.01, with normal X: (X, y (n, 1)).

    >>> import minidl
    >>> X, y = synthetic_data(minidl.tensor([2.0, -3.4]), 4.2, 5)
    >>> X.shape, y.shape
    ((5, 2), (5, 1))
    """
    X = normal(0, 1, (num_examples, len(w)))
    y = X @ w + b
    return X, (y + normal(0, 0.01, y.shape)).reshape(-1, 1)


def linreg(X, w, b):
    """Xw + b

    >>> linreg(zeros(2, 3), zeros(3, 1), 1.0).tolist()
    [[1.0], [1.0]]
    """
    return X @ w + b


def squared_loss(y_hat, y):
    """(ŷ − y)²/2, element by element.

    >>> squared_loss(zeros(2, 1) + 2, zeros(2)).tolist()
    [[2.0], [2.0]]
    """
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


@no_grad()
def sgd(params, lr, batch_size):
    """One step of stochastic gradient descent, in place; the gradients are those of a sum over the batch, and become 0.

    >>> w = zeros(1, requires_grad=True)
    >>> (4 * w).sum().backward()
    >>> sgd([w], 0.5, 2)
    >>> w
    tensor([-1.], requires_grad=True)
    """
    params = list(params)
    if any(param.grad is None for param in params):
        raise ValueError("sgd: a parameter has no gradient; backward comes first")
    for param in params:
        param -= lr * param.grad / batch_size
        param.grad.zero_()


def load_array(data_arrays, batch_size, is_train=True):
    """A DataLoader of tensors, in a random order to train with.

    >>> len(load_array((zeros(5, 2), zeros(5)), 2))
    3
    """
    return DataLoader(TensorDataset(*data_arrays), batch_size, shuffle=is_train)


def get_fashion_mnist_labels(labels):
    """The names of Fashion-MNIST's classes.

    >>> get_fashion_mnist_labels([1])
    ['trouser']
    """
    names = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
    numbers = [integer("get_fashion_mnist_labels", i) for i in np.asarray(labels).tolist()]
    if any(not 0 <= i < 10 for i in numbers):
        raise ValueError(f"get_fashion_mnist_labels: expected classes from 0 to 9, got {numbers}")
    return [names[i] for i in numbers]


def accuracy(y_hat, y):
    """How many predictions are right: scores (N, C), or classes (N).

    >>> import minidl
    >>> accuracy(minidl.tensor([[0.1, 0.9], [0.8, 0.2]]), minidl.tensor([1, 1]))
    1.0
    """
    if y_hat.ndim > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(1)
    return float((y_hat.type(y.dtype) == y).sum())


@no_grad()
def evaluate_accuracy(net, data_iter):
    """The share of right predictions over a loader.

    >>> evaluate_accuracy(lambda X: X, [(zeros(4), zeros(4))])
    1.0
    """
    if isinstance(net, nn.Module):
        net.eval()
    metric = Accumulator(2)
    for X, y in data_iter:
        metric.add(accuracy(net(X), y), y.numel())
    return metric.over(1, "evaluate_accuracy")[0]


@no_grad()
def evaluate_loss(net, data_iter, loss):
    """The mean loss over a loader.

    >>> evaluate_loss(lambda X: X, [(zeros(4), zeros(4) + 2)], squared_loss)
    2.0
    """
    metric = Accumulator(2)
    for X, y in data_iter:
        out = net(X)
        found = loss(out, y.reshape(out.shape))
        metric.add(found.sum(), found.numel())
    return metric.over(1, "evaluate_loss")[0]


def train_epoch_ch3(net, train_iter, loss, updater):
    """One pass over a loader: (mean training loss, training accuracy).

    updater: an optimizer, for a loss that is a mean; or a function of the batch size, for one of single losses.

    >>> w = zeros(1, 2, requires_grad=True)
    >>> step = lambda n: sgd([w], 0.1, n)
    >>> train_epoch_ch3(lambda X: X @ w, [(zeros(2, 1), zeros(2).long())], nn.CrossEntropyLoss(reduction="none"), step)[1]
    1.0
    """
    if isinstance(net, nn.Module):
        net.train()
    metric = Accumulator(3)
    for X, y in train_iter:
        y_hat = net(X)
        found = loss(y_hat, y)
        if isinstance(updater, Optimizer):
            updater.zero_grad()
            found.mean().backward()
            updater.step()
            metric.add(float(found.mean()) * len(y), accuracy(y_hat, y), y.numel())
        else:
            found.sum().backward()
            updater(X.shape[0])
            metric.add(float(found.sum()), accuracy(y_hat, y), y.numel())
    return tuple(metric.over(2, "train_epoch_ch3")[:2])
