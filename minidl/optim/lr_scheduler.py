"""Learning rates that change with time: one step() of a schedule after each epoch's optimizer steps."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from ..tensors.arguments import as_int, integer, numbers_of
from ..tensors.tensor import Tensor
from .optimizer import Optimizer

_SHARED = "optimizer", "base_lrs", "last_epoch", "lr_lambdas"


class LRScheduler:
    """Base of the schedules. A schedule writes `get_lr()`: the rate of each group at `last_epoch`.

    last_epoch: −1 at the start of a training; a resumed one gives the last epoch that was finished.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(1, requires_grad=True)], lr=0.5)
    >>> minidl.optim.lr_scheduler.StepLR(optimizer, 30)
    StepLR(step_size=30, gamma=0.1, last_epoch=0, lr=[0.5])
    """

    def __init__(self, optimizer, last_epoch=-1):
        if not isinstance(optimizer, Optimizer):
            name = type(self).__name__
            raise TypeError(
                f"{name}: expected an Optimizer, got {type(optimizer).__name__}; write {name}(optimizer, …) with "
                "optimizer = optim.SGD(net.parameters(), lr=0.1)"
            )
        last_epoch = as_int(last_epoch)
        if type(last_epoch) is not int or last_epoch < -1:
            raise ValueError(f"{type(self).__name__}: last_epoch must be an integer of -1 or more, got {last_epoch!r}")
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: to resume at epoch {last_epoch}, group {i} of the optimizer needs 'initial_lr'"
                )
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._is_initial = True
        self.step()
        self._is_initial = False

    def get_lr(self):
        raise NotImplementedError(f"{type(self).__name__} has no get_lr")

    def step(self):
        """Goes on by one epoch and sets the rates of the optimizer's groups."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = self._rates()

    def get_last_lr(self):
        """The rates that are set now, one for each group."""
        return self._last_lr

    def __repr__(self):
        own = {key: value for key, value in vars(self).items() if key not in _SHARED and key[0] != "_"}
        own = {key: sorted(value.elements()) if isinstance(value, Counter) else value for key, value in own.items()}
        parts = [f"{key}={value}" for key, value in own.items()] + [f"last_epoch={self.last_epoch}", f"lr={self._rates()}"]
        return f"{type(self).__name__}({', '.join(parts)})"

    def state_dict(self):
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict):
        name = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"{name}: expected a dict, got {type(state_dict).__name__}")
        missing = [key for key in self.state_dict() if key not in state_dict]
        if missing or type(state_dict["last_epoch"]) is not int:
            raise ValueError(
                f"{name}: expected what {type(self).__name__}.state_dict() gives, with {', '.join(self.state_dict())}"
            )
        vars(self).update(state_dict)

    def _rates(self):
        return [group["lr"] for group in self.optimizer.param_groups]


class LambdaLR(LRScheduler):
    """The initial rate times lr_lambda(epoch); a list gives each group its own function.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        groups = len(optimizer.param_groups) if isinstance(optimizer, Optimizer) else 1
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if not all(map(callable, self.lr_lambdas)):
            raise TypeError(f"LambdaLR: lr_lambda must be a function, or one for each group, got {lr_lambda!r}")
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: {len(self.lr_lambdas)} functions for {groups} parameter groups")
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [lr * f(self.last_epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    # Functions cannot be saved: the one who loads has given the same ones.

    def state_dict(self):
        return {key: value for key, value in super().state_dict().items() if key != "lr_lambdas"}

    def load_state_dict(self, state_dict):
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "lr_lambdas"})


class StepLR(LRScheduler):
    """Times gamma after every step_size epochs."""

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        step_size = integer("StepLR", step_size, "step_size")
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be 1 or more, got {step_size}")
        self.step_size, self.gamma = step_size, _number("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self._rates()]


class MultiStepLR(LRScheduler):
    """Times gamma at each of the epochs in `milestones`."""

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        if isinstance(milestones, str) or not isinstance(milestones, (Iterable, Tensor)):
            raise TypeError(f"MultiStepLR: milestones must be a list of integers, got {milestones!r}; write [30, 80]")
        epochs = milestones.elements() if isinstance(milestones, Counter) else milestones
        self.milestones = Counter(
            integer("MultiStepLR", epoch, "milestones must be a list of integers: each") for epoch in epochs
        )
        self.gamma = _number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        times = self.milestones[self.last_epoch]
        return [lr * self.gamma**times if times else lr for lr in self._rates()]


class ExponentialLR(LRScheduler):
    """Times gamma after every epoch."""

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = _number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [lr if self._is_initial else lr * self.gamma for lr in self._rates()]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate down to eta_min at epoch T_max: eta_min + (lr₀ − eta_min)·(1 + cos(π·t/T_max))/2."""

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        self.T_max = _number("CosineAnnealingLR", "T_max", T_max)
        if self.T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be 1 or more, got {T_max}")
        self.eta_min = _number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self._is_initial:
            return self._rates()
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]


def _number(name, what, x):
    try:
        (n,) = numbers_of(name, **{what: x})
    except TypeError:
        n = True
    if isinstance(n, bool) or not math.isfinite(n):
        raise ValueError(f"{name}: {what} must be a number, and finite, got {x!r}")
    return n
