"""What is timed of gradients of gradients: Hessian-vector products, a Hessian, and a gradient for one input only."""

import numpy as np
from cases import arrays


def _product(lib, model, loss):
    """Hv of the loss for all parameters: reverse over reverse, as in PyTorch."""
    parameters = list(model.parameters())
    vectors = [lib.tensor(v) for v in arrays(*(tuple(p.shape) for p in parameters))]
    grad = lib.autograd.grad

    def run():
        gradients = grad(loss(), parameters, create_graph=True)
        grad(gradients, parameters, vectors)

    return run


def _classifier(lib, model, shape):
    x, y = lib.tensor(arrays(shape)[0]), lib.tensor(np.arange(shape[0]) % 10)
    return _product(lib, model, lambda: lib.nn.functional.cross_entropy(model(x), y))


def _mlp(lib):
    nn = lib.nn
    return _classifier(lib, nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 10)), (64, 64))


def _normalised(lib):
    nn = lib.nn
    return _classifier(lib, nn.Sequential(nn.Linear(32, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 10)), (64, 32))


def _cnn(lib):
    nn = lib.nn
    first = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)
    return _classifier(
        lib,
        nn.Sequential(*first, nn.Conv2d(8, 16, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(256, 10)),
        (16, 1, 16, 16),
    )


def _hessian(lib):
    x = lib.tensor(arrays((20,))[0])

    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    return lambda: lib.autograd.functional.hessian(rosenbrock, x)


def _pendulum(lib):
    nn, grad = lib.nn, lib.autograd.grad
    net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
    t = lib.linspace(0, 1, 64).reshape(64, 1).requires_grad_()

    def run():
        u = net(t)
        (slope,) = grad(u.sum(), t, create_graph=True)
        (bend,) = grad(slope.sum(), t, create_graph=True)
        grad(((bend + u) ** 2).mean(), list(net.parameters()))

    return run


def _of_the_input(lib):
    nn = lib.nn
    net = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256))
    x = lib.tensor(arrays((64, 256))[0]).requires_grad_()
    return lambda: lib.autograd.grad(net(x).sum(), x)


CASES = {
    "Hv, MLP 64-128-10, tanh, batch 64": _mlp,
    "Hv, layer norm and GELU, 32-64-10, batch 64": _normalised,
    "Hv, CNN with batch norm, 16x1x16x16": _cnn,
    "Hessian of 20 variables": _hessian,
    "equation u″ + u = 0, 64 points": _pendulum,
    "gradient for the input only, 2 layers of 256": _of_the_input,
}


def second_order(library, lib):
    """Gradients of gradients, and gradients for one input."""
    for name, make in CASES.items():
        yield name, make(lib) if library in ("minidl", "torch") else None
