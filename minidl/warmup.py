"""Compiling ahead of time, so that the first training step is as fast as the second."""

import copy
import sys

from . import kernels, nn, optim
from .graph.modes import enable_grad
from .random import fork_rng
from .tensors.creation import zeros
from .tensors.random_tensors import rand
from .tensors.tensor import Tensor

__all__ = ["warmup"]


def warmup(model=None, *inputs, loss=None):
    """Compiles the kernels that a training step of this model needs: forward, loss, backward and SGD, on a copy of the model.

    inputs: a batch of the size to come, as the model takes it; large ones have kernels of their own, for two threads or more.
    loss: function of the model's output; cross-entropy where the output is (N, C), else the sum.
    Without a model, what a small multilayer perceptron needs. The model, the gradients of all tensors and the random
    state stay as they are.

    With more than one thread, two processes compile, except in `minidl.distributed`. For that the model is called once more
    before, while kernels do nothing: the numbers it gets then are whatever memory held.

    >>> import minidl
    >>> minidl.warmup(minidl.nn.Linear(3, 2), minidl.zeros(4, 3))
    """
    with fork_rng(), enable_grad():
        if model is None:
            model, inputs = nn.MLP(8, [8], 4), (rand(2, 8),)

        def step():
            copied = copy.deepcopy(model)
            leaves = [x.detach().clone().requires_grad_(x.requires_grad) for x in inputs if isinstance(x, Tensor)]
            clones = (x.clone() for x in leaves)  # which the model may change in place
            y = copied(*(next(clones) if isinstance(x, Tensor) else x for x in inputs))
            if loss is not None:
                y = loss(y)
            elif y.ndim == 2:
                y = nn.functional.cross_entropy(y, zeros(len(y)).long())
            else:
                y = y.sum()
            y.backward(inputs=[x for x in (*copied.parameters(), *leaves) if x.requires_grad])  # no other tensor gets a .grad
            for options in ({}, {"momentum": 0.9, "weight_decay": 1e-4}):
                optim.SGD(copied.parameters(), lr=0.0, **options).step()

        # Among processes that train together, a plan that ends early would leave others waiting. A program that trains alone
        # has not loaded this file.
        together = sys.modules.get(f"{__package__}.nn.parallel.group")
        if together is None or together.current.group is None:
            kernels.compile_ahead(step)
        step()
