"""Adagrad, RMSprop and Adadelta: a step for each number in proportion to how large its gradients have been."""

import numpy as np

from .optimizer import check_at_least_zero, check_share
from .rule import ElementwiseOptimizer, decay_of


class Adagrad(ElementwiseOptimizer):
    """p ← p − η·g/(√s + eps), with the sum s of all squared gradients so far (Duchi, Hazan & Singer, 2011):

        g = ∂L/∂p + weight_decay·p       (−∂L/∂p with maximize)
        s ← s + g²                       s begins at initial_accumulator_value
        η = lr/(1 + (t − 1)·lr_decay)    at step t, from 1

    eps_inside_sqrt: √(s + eps) instead of √s + eps, as *Dive into Deep Learning* has it (with eps = 1e-6).
    The state of a parameter has "step" and "sum" (s).

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    _rule, _state_keys = "adagrad", ("step", "sum")

    def __init__(
        self,
        params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        fused=None,
        eps_inside_sqrt=False,
    ):
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
            **({"eps_inside_sqrt": True} if eps_inside_sqrt else {}),  # so that files of PyTorch, which has it not, load
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def begin(self, group, array):
        return {"sum": np.full_like(array, float(group["initial_accumulator_value"]))}

    def numbers(self, group, state, step):
        lr = float(group["lr"])
        rate = lr / (1 + (step - 1) * float(group["lr_decay"]))
        inside = group.get("eps_inside_sqrt", False)
        return [state["sum"].array], {"rate": rate, "eps": float(group["eps"]), "inside": inside, **decay_of(group, lr)}


class RMSprop(ElementwiseOptimizer):
    """p ← p − lr·g/(√s + eps), with a running mean s of the squared gradients (Hinton, 2012):

        g = ∂L/∂p + weight_decay·p            (−∂L/∂p with maximize)
        s ← alpha·s + (1 − alpha)·g²
        centered: m ← alpha·m + (1 − alpha)·g, and s − m², the variance, takes the place of s (Graves, 2013)
        momentum: v ← momentum·v + g/(√s + eps),   p ← p − lr·v

    eps_inside_sqrt: √(s + eps) instead of √s + eps, as *Dive into Deep Learning* has it (with eps = 1e-6).
    The state of a parameter has "step", "square_avg" (s) and, if they are used, "momentum_buffer" (v) and "grad_avg" (m).

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.1, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8000, -1.8000], requires_grad=True)
    """

    _rule, _state_keys = "rmsprop", ("step", "square_avg")

    def __init__(
        self,
        params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
        *,
        eps_inside_sqrt=False,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            **({"eps_inside_sqrt": True} if eps_inside_sqrt else {}),
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "alpha", "weight_decay", "momentum", "eps")

    def begin(self, group, array):
        return {"square_avg": np.zeros_like(array)}

    def numbers(self, group, state, step):
        momentum, centered = float(group["momentum"]), bool(group["centered"])
        buffers = [state["square_avg"].array, None, None]
        for i, key, used in ((2, "momentum_buffer", momentum), (1, "grad_avg", centered)):
            if used:
                if key not in state:  # the option may have been switched on later
                    state[key] = state["square_avg"].new_zeros(buffers[0].shape)
                buffers[i] = state[key].array
        numbers = {"alpha": float(group["alpha"]), "momentum": momentum, "centered": centered}
        numbers |= {"rate": float(group["lr"]), "eps": float(group["eps"]), "inside": group.get("eps_inside_sqrt", False)}
        return buffers, numbers | decay_of(group, 0.0)


class Adadelta(ElementwiseOptimizer):
    """p ← p − lr·d, where the step d has the size of the earlier ones, so that no rate need be chosen (Zeiler, 2012):

        g = ∂L/∂p + weight_decay·p       (−∂L/∂p with maximize)
        s ← rho·s + (1 − rho)·g²
        d = √(Δ + eps)/√(s + eps)·g
        Δ ← rho·Δ + (1 − rho)·d²

    The state of a parameter has "step", "square_avg" (s) and "acc_delta" (Δ).

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adadelta([w], lr=100.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.6838, -1.6838], requires_grad=True)
    """

    _rule, _state_keys = "adadelta", ("step", "square_avg", "acc_delta")

    def __init__(
        self,
        params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach=None,
        *,
        capturable=False,
        maximize=False,
        differentiable=False,
    ):
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "weight_decay", "eps")
        rho = group["rho"]
        if rho != 1:
            check_share(self._name, "rho", rho)

    def begin(self, group, array):
        return {"square_avg": np.zeros_like(array), "acc_delta": np.zeros_like(array)}

    def numbers(self, group, state, step):
        buffers = [state["square_avg"].array, state["acc_delta"].array]
        numbers = {"rate": float(group["lr"]), "rho": float(group["rho"]), "eps": float(group["eps"])}
        return buffers, numbers | decay_of(group, 0.0)
