"""Adam and AdamW: a step for each coordinate in proportion to what its gradients have been."""

from collections.abc import Mapping

import numpy as np

from .. import kernels
from ..graph.writes import note_write
from ..tensors import dtypes
from ..tensors.record import wrap
from .optimizer import Optimizer, check_at_least_zero, check_betas


class Adam(Optimizer):
    """p ← p − lr·m̂/(√v̂ + eps), with running means m of the gradient g and v of its square (Kingma & Ba, 2015):

        g = ∂L/∂p + weight_decay·p       (−∂L/∂p with maximize)
        m ← β₁·m + (1 − β₁)·g            m̂ = m/(1 − β₁ᵗ), because m began at 0
        v ← β₂·v + (1 − β₂)·g²           v̂ = v/(1 − β₂ᵗ)

    amsgrad: the largest v so far takes the place of v (Reddi et al., 2018).
    decoupled_weight_decay: p ← (1 − lr·weight_decay)·p instead of the term in g; `AdamW` is Adam with it.

    The state of a parameter has "step", "exp_avg" (m), "exp_avg_sq" (v) and, with amsgrad, "max_exp_avg_sq".

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    _state_keys = "step", "exp_avg", "exp_avg_sq"

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero(self._name, group, "lr", "eps", "weight_decay")
        check_betas(self._name, group)

    def update(self, group):
        # float() because a tensor may hold the rate
        lr, (beta1, beta2), eps = float(group["lr"]), map(float, group["betas"]), float(group["eps"])
        decay, decoupled = float(group["weight_decay"]), bool(group["decoupled_weight_decay"])
        maximize, amsgrad = bool(group["maximize"]), bool(group["amsgrad"])
        for p in group["params"]:
            grad, array = p.grad, p.array
            if grad is None:
                continue
            state = self.state[p]
            if not state:
                state.update(
                    step=wrap(np.zeros((), dtypes.float32)),
                    exp_avg=wrap(np.zeros_like(array)),
                    exp_avg_sq=wrap(np.zeros_like(array)),
                )
            if amsgrad and "max_exp_avg_sq" not in state:
                state["max_exp_avg_sq"] = wrap(np.zeros_like(array))
            step = state["step"].array
            top = state["max_exp_avg_sq"].array if amsgrad else None
            kernels.adam(
                array,
                grad.array,
                state["exp_avg"].array,
                state["exp_avg_sq"].array,
                top,
                step=float(step) + 1,
                lr=lr,
                beta1=beta1,
                beta2=beta2,
                eps=eps,
                weight_decay=decay,
                decoupled=decoupled,
                maximize=maximize,
            )
            step += 1  # after the kernel: if it raises, the step does not count
            note_write(array)

    def load_state_dict(self, state_dict):
        """As Optimizer has it. Files of PyTorch before 2.7 do not say whether the decay is decoupled: AdamW's always is."""
        if isinstance(state_dict, Mapping) and isinstance(state_dict.get("param_groups"), list):
            groups = [self._completed(group) for group in state_dict["param_groups"]]
            state_dict = {**state_dict, "param_groups": groups}
        super().load_state_dict(state_dict)

    def _completed(self, group):
        if not isinstance(group, Mapping):
            return group  # load_state_dict raises the error, with a full message
        return {**group, "decoupled_weight_decay": group.get("decoupled_weight_decay", False)}


class AdamW(Adam):
    """Adam whose weight decay shrinks p by lr·weight_decay at each step and stays out of m and v (Loshchilov & Hutter, 2019).

    >>> import minidl
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8500, -1.8000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
        foreach=None,
        capturable=False,
        differentiable=False,
        fused=None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def _completed(self, group):
        return {**group, "decoupled_weight_decay": True} if isinstance(group, Mapping) else group
