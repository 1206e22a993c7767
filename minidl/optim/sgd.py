"""Stochastic gradient descent."""

import numpy as np

from .. import kernels
from ..graph.writes import note_write
from ..tensors.record import wrap
from .optimizer import Optimizer


class SGD(Optimizer):
    """p ← p − lr·v, where v is the gradient g, or with momentum what is left of the earlier ones plus this one:

        g = ∂L/∂p + weight_decay·p          (−∂L/∂p with maximize)
        v ← momentum·v + (1 − dampening)·g  (v = g at the first step)
        p ← p − lr·v                        (lr·(g + momentum·v) with nesterov)

    Weight decay shrinks every parameter that has a gradient, even where the gradient is 0; give biases a group of their own
    with weight_decay=0 to spare them.

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8000, -1.6000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        for option in ("lr", "momentum", "weight_decay"):
            if not float(group[option]) >= 0:
                raise ValueError(f"SGD: {option} must be at least 0, got {group[option]}")
        if group["nesterov"] and not (group["momentum"] > 0 and group["dampening"] == 0):
            raise ValueError(
                "SGD: nesterov needs momentum > 0 and dampening = 0, "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def update(self, group):
        # float() because a float64 of NumPy's must not widen float32 parameters, and a tensor may hold the rate.
        lr, momentum, dampening = float(group["lr"]), float(group["momentum"]), float(group["dampening"])
        decay, nesterov, maximize = float(group["weight_decay"]), bool(group["nesterov"]), bool(group["maximize"])
        for p in group["params"]:
            grad, array = p.grad, p.array
            if grad is None:
                continue
            buffer, first = None, False
            if momentum:
                kept = self.state[p].get("momentum_buffer")
                first = kept is None
                buffer = np.empty_like(array) if first else kept.array
            kernels.sgd(array, grad.array, buffer, lr, momentum, dampening, decay, nesterov, maximize, first)
            note_write(array)
            if first:  # after the kernel: if it raises, the buffer has no values
                self.state[p]["momentum_buffer"] = wrap(buffer)
