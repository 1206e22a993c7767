"""Adafactor: steps as Adam's, with a memory of rows and columns instead of one for each number."""

import math

import numpy as np

from ..graph.writes import note_write
from ..tensors import dtypes
from ..tensors.record import wrap
from .optimizer import Optimizer, check_at_least_zero, check_number


class Adafactor(Optimizer):
    """p ← (1 − lr·weight_decay)·p − α·u/max(1, rms(u)/d), where u = g/√v (Shazeer and Stern, 2018):

        g = ∂L/∂p                              (−∂L/∂p with maximize)
        β = 1 − t^beta2_decay                  at step t, from 1
        v ← β·v + (1 − β)·g²                   of vectors and single numbers
        r ← β·r + (1 − β)·mean over columns of g²,  c likewise over rows,  v = r c/mean(r)      of matrices
        α = max(eps₂, rms(p))·min(lr, 1/√t)

    rms is the root of the mean square. The last two axes are the matrices; of one of (m, n) m + n numbers are kept. v is at
    least eps₁², mean(r) at least eps₁, which is the dtype's rounding error where it is None.
    The state of a parameter has "step" and "row_var" (r), "col_var" (c), or "variance" (v).

    >>> import minidl
    >>> w = minidl.tensor([[1.0, -2.0], [3.0, 0.5]], requires_grad=True)
    >>> optimizer = Adafactor([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([[ 0.9044, -1.7067],
            [ 2.7892,  0.4461]], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps=(None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach=None,
        maximize=False,
    ):
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        eps = group["eps"]
        if not isinstance(eps, (tuple, list)) or len(eps) != 2:
            raise TypeError(f"Adafactor: eps must be two numbers, the first of which may be None, got {eps!r}")
        numbers = {f"eps[{i}]": x for i, x in enumerate(eps) if not (i == 0 and x is None)}
        super().check_options({**group, "eps": 0.0})
        check_at_least_zero("Adafactor", {**group, **numbers}, "lr", "weight_decay", *numbers)
        for option in ("beta2_decay", "d"):
            check_number("Adafactor", option, group[option])
        if group["beta2_decay"] > 0:
            raise ValueError(f"Adafactor: beta2_decay must be at most 0, got {group['beta2_decay']}")
        if group["d"] < 1:
            raise ValueError(f"Adafactor: d must be at least 1, got {group['d']}")

    def state_shapes(self, p):
        shape = p.array.shape
        if len(shape) < 2:
            return {"step": (), "variance": shape}
        return {"step": (), "row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}

    def update(self, group):
        lr, decay, most = float(group["lr"]), float(group["weight_decay"]), float(group["d"])
        for p in group["params"]:
            if p.grad is None:
                continue
            array, state = p.array, self.state[p]
            if not state:
                shapes = self.state_shapes(p)
                state.update((key, wrap(np.zeros(shape, array.dtype))) for key, shape in shapes.items() if key != "step")
                state["step"] = wrap(np.zeros((), dtypes.float32))
            step, least = float(state["step"].array) + 1, group["eps"][0]
            least = float(np.finfo(array.dtype).eps) if least is None else float(least)
            state["step"].array[...] = step
            if not array.size:
                continue
            with np.errstate(all="ignore"):  # infinite gradients give NaN, as in PyTorch
                rate = max(float(group["eps"][1]), _rms(array)) * min(lr, 1 / math.sqrt(step))
                grad = -p.grad.array if group["maximize"] else p.grad.array
                u = _inverse_root(state, grad, step ** float(group["beta2_decay"]), least) * grad
                array *= array.dtype.type(1 - lr * decay)
                array -= array.dtype.type(rate / max(1.0, _rms(u) / most)) * u
            note_write(array)


def _inverse_root(state, grad, share, least):
    """1/√v, after the memory of it took in a share of this gradient."""
    if "variance" in state:
        estimate = _mix(state["variance"].array, grad * grad, share)
    else:
        squares = grad * grad
        rows, columns = (
            _mix(state[key].array, squares.mean(axis, keepdims=True), share) for key, axis in (("row_var", -1), ("col_var", -2))
        )
        estimate = rows * columns / np.maximum(rows.mean(-2, keepdims=True), rows.dtype.type(least))
    return 1 / np.sqrt(np.maximum(estimate, estimate.dtype.type(least * least)))


def _mix(old, new, share):
    old += old.dtype.type(share) * (new - old)
    return old


def _rms(x):
    return float(np.sqrt((x * x).mean(dtype=np.float64)))
