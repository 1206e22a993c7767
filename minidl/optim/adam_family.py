"""Relatives of Adam: Adamax, NAdam, RAdam and Yogi."""

import math

import numpy as np

from ..tensors import dtypes
from .optimizer import check_at_least_zero, check_betas
from .rule import ElementwiseOptimizer, decay_of


class Adamax(ElementwiseOptimizer):
    """p ← p − lr/(1 − β₁ᵗ)·m/u: Adam with the largest of the recent gradients in the place of their root mean square.

        g = ∂L/∂p + weight_decay·p       (−∂L/∂p with maximize)
        m ← β₁·m + (1 − β₁)·g
        u ← max(β₂·u, |g| + eps)

    Kingma & Ba, 2015, section 7. The state of a parameter has "step", "exp_avg" (m) and "exp_inf" (u).

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    _rule, _state_keys = "adamax", ("step", "exp_avg", "exp_inf")

    def __init__(
        self,
        params,
        lr: float = 2e-3,
        betas=(0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "weight_decay", "eps")
        check_betas(self._name, group)

    def begin(self, group, array):
        return {"exp_avg": np.zeros_like(array), "exp_inf": np.zeros_like(array)}

    def numbers(self, group, state, step):
        lr, (beta1, beta2) = float(group["lr"]), map(float, group["betas"])
        numbers = {"rate": lr / (1 - beta1**step), "beta1": beta1, "beta2": beta2, "eps": float(group["eps"])}
        return [state["exp_avg"].array, state["exp_inf"].array], numbers | decay_of(group, lr)


class NAdam(ElementwiseOptimizer):
    """Adam with Nesterov's momentum: a step looks ahead to where the momentum will have led (Dozat, 2016).

        g = ∂L/∂p + weight_decay·p       (−∂L/∂p with maximize; without the decay where it is decoupled, as in AdamW)
        m ← β₁·m + (1 − β₁)·g,   v ← β₂·v + (1 − β₂)·g²,   v̂ = v/(1 − β₂ᵗ)
        μₜ = β₁·(1 − 0.96^(t·momentum_decay)/2),   Π = μ₁·μ₂ ⋯ μₜ
        p ← p − lr·[(1 − μₜ)/(1 − Π)·g + μₜ₊₁/(1 − Π·μₜ₊₁)·m]/(√v̂ + eps)

    The state of a parameter has "step", "mu_product" (Π), "exp_avg" (m) and "exp_avg_sq" (v).

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8944, -1.8944], requires_grad=True)
    """

    _rule, _state_keys = "nadam", ("step", "mu_product", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params,
        lr: float = 2e-3,
        betas=(0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "weight_decay", "momentum_decay", "eps")
        check_betas(self._name, group)

    def begin(self, group, array):
        return {"mu_product": np.ones((), dtypes.float32), "exp_avg": np.zeros_like(array), "exp_avg_sq": np.zeros_like(array)}

    def numbers(self, group, state, step):
        lr, (beta1, beta2), eps = float(group["lr"]), map(float, group["betas"]), float(group["eps"])
        now, following = (self._momentum(group, t) for t in (step, step + 1))
        product = float(state["mu_product"].array * np.float32(now))  # in float32, as PyTorch keeps it
        numbers = {"rate_g": lr * (1 - now) / (1 - product), "rate_m": lr * following / (1 - product * following)}
        numbers |= {"beta1": beta1, "beta2": beta2, "root": math.sqrt(1 - beta2**step), "eps": eps}
        return [state["exp_avg"].array, state["exp_avg_sq"].array], numbers | decay_of(group, lr)

    def finish(self, group, state, step):
        state["mu_product"].array[...] *= np.float32(self._momentum(group, step))

    def _momentum(self, group, step):
        return float(group["betas"][0]) * (1 - 0.5 * 0.96 ** (step * float(group["momentum_decay"])))


class RAdam(ElementwiseOptimizer):
    """Adam that begins with plain momentum, until enough gradients have been seen to trust their variance (Liu et al., 2020):

        g = ∂L/∂p + weight_decay·p       (−∂L/∂p with maximize; without the decay where it is decoupled, as in AdamW)
        m ← β₁·m + (1 − β₁)·g,   v ← β₂·v + (1 − β₂)·g²,   m̂ = m/(1 − β₁ᵗ)
        ρ∞ = 2/(1 − β₂) − 1,   ρ = ρ∞ − 2t·β₂ᵗ/(1 − β₂ᵗ)
        p ← p − lr·m̂·r·√(1 − β₂ᵗ)/(√v + eps)   if ρ > 5, with r² = (ρ − 4)(ρ − 2)·ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)·ρ)
        p ← p − lr·m̂                           before

    The state of a parameter has "step", "exp_avg" (m) and "exp_avg_sq" (v).

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8000, -1.6000], requires_grad=True)
    """

    _rule, _state_keys = "radam", ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        betas=(0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "weight_decay", "eps")
        check_betas(self._name, group)

    def begin(self, group, array):
        return {"exp_avg": np.zeros_like(array), "exp_avg_sq": np.zeros_like(array)}

    def numbers(self, group, state, step):
        lr, (beta1, beta2), eps = float(group["lr"]), map(float, group["betas"]), float(group["eps"])
        left = beta2**step
        most = 2 / (1 - beta2) - 1
        rho, rectified, root = most - 2 * step * left / (1 - left), False, 1.0
        if rho > 5:
            rectified = True
            root = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho) * (1 - left))
        numbers = {"rate": lr / (1 - beta1**step), "beta1": beta1, "beta2": beta2, "root": root, "eps": eps}
        return [state["exp_avg"].array, state["exp_avg_sq"].array], numbers | {"rectified": rectified} | decay_of(group, lr)


class Yogi(ElementwiseOptimizer):
    """Adam whose v changes by steps of bounded size, so that it does not forget large gradients too soon (Zaheer et al., 2018):

        g = ∂L/∂p + weight_decay·p       (−∂L/∂p with maximize)
        m ← β₁·m + (1 − β₁)·g,           m̂ = m/(1 − β₁ᵗ)
        v ← v + (1 − β₂)·sign(g² − v)·g²,   v̂ = v/(1 − β₂ᵗ)
        p ← p − lr·m̂/(√v̂ + eps)

    PyTorch has no Yogi; eps = 0.001 is *Dive into Deep Learning*'s. The state is Adam's: "step", "exp_avg", "exp_avg_sq".

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Yogi([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    _rule, _state_keys = "yogi", ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params,
        lr: float = 1e-2,
        betas=(0.9, 0.999),
        eps: float = 1e-3,
        weight_decay: float = 0,
        *,
        maximize=False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "weight_decay", "eps")
        check_betas(self._name, group)

    def begin(self, group, array):
        return {"exp_avg": np.zeros_like(array), "exp_avg_sq": np.zeros_like(array)}

    def numbers(self, group, state, step):
        lr, (beta1, beta2), eps = float(group["lr"]), map(float, group["betas"]), float(group["eps"])
        numbers = {"rate": lr / (1 - beta1**step), "beta1": beta1, "beta2": beta2}
        numbers |= {"root": math.sqrt(1 - beta2**step), "eps": eps}
        return [state["exp_avg"].array, state["exp_avg_sq"].array], numbers | decay_of(group, lr)
