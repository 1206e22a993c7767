"""Muon: steps for matrices in which all directions count alike."""

import math

import numpy as np

from .. import kernels
from ..graph.writes import note_write
from ..tensors.record import wrap
from .optimizer import Optimizer, check_at_least_zero, check_number

_ADJUSTMENTS = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """p ← (1 − lr·weight_decay)·p − lr'·O, for matrices: O is the momentum, made nearly orthogonal (Jordan et al., 2024).

        v ← momentum·v + (1 − momentum)·g
        u = (1 − momentum)·g + momentum·v      with nesterov; u = v without
        O ≈ U Vᵀ where u = U S Vᵀ, by ns_steps times  X ← a·X + b·(X Xᵀ)X + c·(X Xᵀ)²X  from X = u/‖u‖

    So every direction of a matrix moves by about the same length, however small its gradient was. Use it for the matrices
    within a network, and AdamW for biases, embeddings and the last layer.

    adjust_lr_fn: "original" (or None): lr' = lr·√max(1, rows/columns); "match_rms_adamw": lr' = 0.2·lr·√max(rows, columns),
    with which AdamW's lr and weight_decay can be kept. PyTorch makes O in bfloat16, minidl in the parameter's dtype.
    The state of a parameter has "momentum_buffer" (v).

    >>> import minidl
    >>> w = minidl.tensor([[3.0, 0.0], [0.0, 0.1]], requires_grad=True)
    >>> optimizer = Muon([w], lr=0.1, weight_decay=0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach().diagonal().tolist()[0] < 3.0 and w[1, 1].item() < 0.1
    True
    """

    _state_keys = ("momentum_buffer",)

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov=True,
        ns_coefficients=(3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps=5,
        adjust_lr_fn=None,
    ):
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero("Muon", group, "lr", "weight_decay", "momentum", "eps")
        if group["adjust_lr_fn"] not in _ADJUSTMENTS:
            raise ValueError(f"Muon: adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got {group['adjust_lr_fn']!r}")
        steps, coefficients = group["ns_steps"], group["ns_coefficients"]
        if not isinstance(steps, (int, np.integer)) or isinstance(steps, bool) or not 0 <= steps < 100:
            raise ValueError(f"Muon: ns_steps must be an integer from 0 to 99, got {steps!r}")
        if not isinstance(coefficients, (tuple, list)) or len(coefficients) != 3:
            raise TypeError(f"Muon: ns_coefficients must be three numbers, got {coefficients!r}")
        for i, number in enumerate(coefficients):
            check_number("Muon", f"ns_coefficients[{i}]", number)
        for i, p in enumerate(group["params"]):
            if p.ndim != 2:
                raise ValueError(f"Muon: expected matrices, but parameter {i} has shape {p.shape}; use AdamW for it")

    def update(self, group):
        lr, momentum = float(group["lr"]), float(group["momentum"])
        for p in group["params"]:
            grad, array = p.grad, p.array
            if grad is None:
                continue
            state, T = self.state[p], array.dtype.type
            v = state["momentum_buffer"].array if state else np.zeros_like(array)
            v = v + T(1 - momentum) * (grad.array - v)
            u = grad.array + T(momentum) * (v - grad.array) if group["nesterov"] else v
            u = orthogonal(u, group["ns_coefficients"], int(group["ns_steps"]), float(group["eps"]))
            state["momentum_buffer"] = wrap(v)
            array *= T(1 - lr * float(group["weight_decay"]))
            array -= T(lr * _ratio(group["adjust_lr_fn"], *array.shape)) * u
            note_write(array)


def _ratio(name, rows, columns):
    if name == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns)) if columns else 1.0


def orthogonal(matrix, coefficients=(3.4445, -4.775, 2.0315), steps=5, eps=1e-7):
    """About U Vᵀ, where the matrix is U S Vᵀ: its singular values end between 0.7 and 1.2 unless they were tiny.

    >>> np.round(np.linalg.svd(orthogonal(np.diag([4.0, 1.0])), compute_uv=False), 1)
    array([0.7, 0.7])
    """
    a, b, c = (matrix.dtype.type(number) for number in coefficients)
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / max(matrix.dtype.type(eps), np.sqrt((x * x).sum()))
    for _ in range(steps):
        gram = kernels.matmul(x, x.T)
        x = a * x + kernels.matmul(b * gram + c * kernels.matmul(gram, gram), x)
    return x.T if matrix.shape[0] > matrix.shape[1] else x
