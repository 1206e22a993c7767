"""What the optimizers beside SGD and Adam share, whose step is one formula for each number of a parameter."""

import numpy as np

from .. import kernels
from ..graph.writes import note_write
from ..tensors import dtypes
from ..tensors.record import wrap
from .optimizer import Optimizer


class ElementwiseOptimizer(Optimizer):
    """Base of them: a rule says what it keeps for a parameter (`begin`) and with which numbers a step is made (`numbers`).

    >>> import minidl
    >>> issubclass(minidl.optim.Adagrad, ElementwiseOptimizer), issubclass(minidl.optim.SGD, ElementwiseOptimizer)
    (True, False)
    """

    _rule = None  # its name among the kernels

    def begin(self, group, array):
        """The state of a parameter before its first step, as arrays by name, beside "step"."""
        raise NotImplementedError(f"{self._name} has no state to begin with")

    def numbers(self, group, state, step):
        """(the arrays that the step changes, the numbers of the rule) at step number `step`, from 1."""
        raise NotImplementedError(f"{self._name} has no rule")

    def update(self, group):
        sign = -1.0 if group["maximize"] else 1.0
        for p in group["params"]:
            grad, array = p.grad, p.array
            if grad is None:
                continue
            state = self.state[p]
            if not state:
                begin = {"step": np.zeros((), dtypes.float32), **self.begin(group, array)}
                state.update((key, wrap(x)) for key, x in begin.items())
            step = state["step"].array
            buffers, numbers = self.numbers(group, state, float(step) + 1)
            kernels.optimizer_step(self._rule, array, grad.array, buffers, sign=sign, **numbers)
            self.finish(group, state, float(step) + 1)
            step += 1  # after the kernel: if it raises, the step does not count
            note_write(array)

    def finish(self, group, state, step):
        """What else changes after a step."""


def decay_of(group, lr):
    """Weight decay as a term of the gradient, or as a factor of the parameter where it is decoupled."""
    decay = float(group["weight_decay"])
    return {"shrink": 1 - lr * decay} if group.get("decoupled_weight_decay") else {"decay": decay}
