"""What chapter 12 of the book, on optimization, trains with."""

import numpy as np

from .. import nn
from ..tensors.creation import zeros
from ..tensors.random_tensors import normal
from ..tensors.record import wrap
from .drawings import Animator
from .texts import DATA_HUB, DATA_URL, download
from .tools import Timer, evaluate_loss, linreg, load_array, squared_loss

__all__ = ["get_data_ch11", "train_2d", "train_ch11", "train_concise_ch11"]

DATA_HUB["airfoil"] = DATA_URL + "airfoil_self_noise.dat", "76e5be1548fd8222e5074cf0faae75edff8cf93f"


def train_2d(trainer, steps=20, f_grad=None):
    """The places (x1, x2) on the way of an optimizer from (−5, −2).

    trainer(x1, x2, s1, s2[, f_grad]) gives the next x1, x2, s1, s2. The last place is printed.

    >>> places = train_2d(lambda x1, x2, s1, s2: (0.5 * x1, 0.5 * x2, 0, 0), steps=2)
    epoch 2, x1: -1.250000, x2: -0.500000
    >>> places
    [(-5, -2), (-2.5, -1.0), (-1.25, -0.5)]
    """
    x1, x2, s1, s2 = -5, -2, 0, 0
    results = [(x1, x2)]
    for _ in range(steps):
        x1, x2, s1, s2 = trainer(x1, x2, s1, s2, *([f_grad] if f_grad else []))
        results.append((x1, x2))
    print(f"epoch {steps}, x1: {float(x1):f}, x2: {float(x2):f}")
    return results


def get_data_ch11(batch_size=10, n=1500, folder="../data"):
    """(batches, number of features) of NASA's airfoil noise, each column of mean 0 and deviation 1.

    airfoil_self_noise.dat is looked for in the folder, and fetched if it is not there.

    >>> import pathlib, tempfile
    >>> get_data_ch11(folder=tempfile.mkdtemp(), n=0)
    Traceback (most recent call last):
    ValueError: get_data_ch11: n must be 1 or more, got 0
    """
    if n < 1:
        raise ValueError(f"get_data_ch11: n must be 1 or more, got {n!r}")
    table = np.genfromtxt(download("airfoil", folder), dtype=np.float32, delimiter="\t")
    table = wrap((table - table.mean(0)) / table.std(0))
    return load_array((table[:n, :-1], table[:n, -1]), batch_size), table.shape[1] - 1


def train_ch11(trainer_fn, states, hyperparams, data_iter, feature_dim, num_epochs=2):
    """Linear regression by trainer_fn([w, b], states, hyperparams): (times so far, losses), drawn every 200 samples.

    >>> from ..tensors.creation import ones
    >>> from .tools import sgd
    >>> data = load_array((normal(0, 1, (200, 2)), ones(200)), 10)
    >>> times, losses = train_ch11(lambda p, s, h: sgd(p, h["lr"], 1), None, {"lr": 0.2}, data, 2)  # doctest: +ELLIPSIS
    loss: 0.000, ... sec/epoch
    >>> len(losses)
    2
    """
    w, b = normal(0.0, 0.01, (feature_dim, 1)).requires_grad_(), zeros(1, requires_grad=True)
    net = lambda X: linreg(X, w, b)  # noqa: E731

    def step(X, y):
        squared_loss(net(X), y).mean().backward()
        trainer_fn([w, b], states, hyperparams)

    return _train(net, step, lambda: evaluate_loss(net, data_iter, squared_loss), data_iter, num_epochs)


def train_concise_ch11(trainer_fn, hyperparams, data_iter, num_epochs=4):
    """The same with a layer, and an optimizer such as optim.SGD: (times so far, losses).

    >>> from ..optim import SGD
    >>> data = load_array((normal(0, 1, (200, 2)), zeros(200)), 10)
    >>> _ = train_concise_ch11(SGD, {"lr": 0.2}, data)  # doctest: +ELLIPSIS
    loss: 0.000, ... sec/epoch
    """
    net = nn.Sequential(nn.LazyLinear(1))
    net(next(iter(data_iter))[0])
    nn.init.normal_(net[0].weight, std=0.01)
    optimizer, loss = trainer_fn(net.parameters(), **hyperparams), nn.MSELoss(reduction="none")

    def step(X, y):
        optimizer.zero_grad()
        out = net(X)
        loss(out, y.reshape(out.shape)).mean().backward()
        optimizer.step()

    return _train(net, step, lambda: evaluate_loss(net, data_iter, loss) / 2, data_iter, num_epochs)  # MSELoss has no 1/2


def _train(net, step, evaluate, data_iter, num_epochs):
    animator = Animator("epoch", "loss", xlim=[0, num_epochs], ylim=[0.22, 0.35])
    n, timer, losses = 0, Timer(), []
    for _ in range(num_epochs):
        for X, y in data_iter:
            step(X, y)
            n += len(X)
            if n % 200 == 0:
                timer.stop()
                losses.append(evaluate())
                animator.add(n / len(X) / len(data_iter), losses[-1:])
                timer.start()
    print(f"loss: {losses[-1]:.3f}, {timer.sum() / num_epochs:.3f} sec/epoch")
    return timer.cumsum(), losses
