"""Lion and Rprop, which look at signs of gradients only, and ASGD, which averages the parameters."""

import numpy as np

from ..tensors import dtypes
from .optimizer import check_at_least_zero, check_betas, check_number
from .rule import ElementwiseOptimizer


class Lion(ElementwiseOptimizer):
    """p ← p − lr·sign(β₁·m + (1 − β₁)·g): a step of the same size in each number (Chen et al., 2023):

        g = ∂L/∂p                        (−∂L/∂p with maximize)
        p ← (1 − lr·weight_decay)·p − lr·sign(β₁·m + (1 − β₁)·g)
        m ← β₂·m + (1 − β₂)·g

    Where the sum is 0 nothing moves. Rates are some three to ten times smaller than Adam's, and the decay as much larger.
    PyTorch has no Lion. The state of a parameter has "step" and "exp_avg" (m).

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Lion([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    _rule, _state_keys = "lion", ("step", "exp_avg")

    def __init__(
        self,
        params,
        lr: float = 1e-4,
        betas=(0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize=False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "weight_decay")
        check_betas(self._name, group)

    def begin(self, group, array):
        return {"exp_avg": np.zeros_like(array)}

    def numbers(self, group, state, step):
        lr, (beta1, beta2) = float(group["lr"]), map(float, group["betas"])
        numbers = {"rate": lr, "beta1": beta1, "beta2": beta2, "shrink": 1 - lr * float(group["weight_decay"])}
        return [state["exp_avg"].array], numbers


class Rprop(ElementwiseOptimizer):
    """Each number has a step size of its own, which grows while the gradient keeps its sign and shrinks when it changes.

        g = ∂L/∂p                          (−∂L/∂p with maximize)
        Δ ← η₊·Δ if g·g' > 0,  η₋·Δ if g·g' < 0,  within step_sizes;  g' is the last gradient
        p ← p − sign(g)·Δ                  no step, and g' ← 0, where the sign has changed

    For full batches: noise in the gradient changes signs. etas = (η₋, η₊); lr is the first step size. Riedmiller & Braun, 1993.
    The state of a parameter has "step", "prev" (g') and "step_size" (Δ).

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Rprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    _rule, _state_keys = "rprop", ("step", "prev", "step_size")

    def __init__(
        self,
        params,
        lr: float = 1e-2,
        etas=(0.5, 1.2),
        step_sizes=(1e-6, 50),
        *,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr")
        for option, example in (("etas", "(0.5, 1.2)"), ("step_sizes", "(1e-6, 50)")):
            pair = group[option]
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(f"{self._name}: {option} must be two numbers, such as {example}, got {pair!r}")
            for i, number in enumerate(pair):
                check_number(self._name, f"{option}[{i}]", number)
        if not 0 < group["etas"][0] < 1 < group["etas"][1]:
            raise ValueError(f"{self._name}: etas must be below and above 1, such as (0.5, 1.2), got {group['etas']!r}")
        if not 0 <= group["step_sizes"][0] <= group["step_sizes"][1]:
            raise ValueError(f"{self._name}: step_sizes must be the least and the most, got {group['step_sizes']!r}")

    def begin(self, group, array):
        return {"prev": np.zeros_like(array), "step_size": np.full_like(array, float(group["lr"]))}

    def numbers(self, group, state, step):
        (smaller, larger), (least, most) = map(float, group["etas"]), map(float, group["step_sizes"])
        numbers = {"smaller": smaller, "larger": larger, "least": least, "most": most}
        return [state["prev"].array, state["step_size"].array], numbers


class ASGD(ElementwiseOptimizer):
    """Stochastic gradient descent that also averages the parameters over its steps (Polyak & Juditsky, 1992):

        g = ∂L/∂p + weight_decay·p            (−∂L/∂p with maximize)
        p ← (1 − lambd·η)·p − η·g
        a ← a + μ·(p − a)                     the average, from step t0 on; before, a = p
        η = lr/(1 + lambd·lr·t)^alpha,   μ = 1/max(1, t − t0)     for the next step

    The state of a parameter has "step", "eta" (η), "mu" (μ) and "ax" (a), the average, which nobody writes into the model.

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = ASGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8000, -1.6000], requires_grad=True)
    """

    _rule, _state_keys = "asgd", ("step", "eta", "mu", "ax")

    def __init__(
        self,
        params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach=None,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "weight_decay")
        for option in ("lambd", "alpha", "t0"):
            check_number(self._name, option, group[option])

    def begin(self, group, array):
        return {
            "eta": np.array(float(group["lr"]), dtypes.float32),
            "mu": np.ones((), dtypes.float32),
            "ax": np.zeros_like(array),
        }

    def numbers(self, group, state, step):
        eta = float(state["eta"].array)
        numbers = {"rate": eta, "share": float(state["mu"].array), "shrink": 1 - float(group["lambd"]) * eta}
        return [state["ax"].array], {**numbers, "decay": float(group["weight_decay"])}

    def finish(self, group, state, step):
        lr = float(group["lr"])
        state["eta"].array[...] = lr / (1 + float(group["lambd"]) * lr * step) ** float(group["alpha"])
        state["mu"].array[...] = 1 / max(1, step - float(group["t0"]))
