"""Learning rates that change with time: one step() of a schedule after each epoch's (or each batch's) optimizer steps.

All schedules stand in this one file: programs ask whether `schedule.__module__ == lr_scheduler.__name__`. Schedules that are
functions of the epoch, as *Dive into Deep Learning* writes them, are in book_schedules.py.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping

from ..tensors.arguments import as_int, integer, numbers_of
from ..tensors.tensor import Tensor
from .optimizer import Optimizer

_SHARED = "optimizer", "base_lrs", "last_epoch", "lr_lambdas"
_HALF_WAVE = {"cos": lambda share: (1 - math.cos(math.pi * share)) / 2, "linear": lambda share: share}


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
        self._first_step()

    def _first_step(self):
        self._is_initial = True
        self.step()
        self._is_initial = False

    def _restart(self):
        """Back to its first epoch, with the initial rates."""
        self.last_epoch = -1
        for group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = lr
        self._first_step()

    def get_lr(self):
        """The rates at `last_epoch`, one for each group. A schedule writes it."""
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
        """What a resumed training needs, as a dict: all but the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict):
        """Continues from the epoch of another schedule's state_dict()."""
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
        """As LRScheduler.state_dict, without the functions, which cannot be saved."""
        return {key: value for key, value in super().state_dict().items() if key != "lr_lambdas"}

    def load_state_dict(self, state_dict):
        """As LRScheduler.load_state_dict; the functions stay those that were given here."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "lr_lambdas"})


class MultiplicativeLR(LambdaLR):
    """The rate is multiplied by lr_lambda(epoch) after every epoch; a list gives each group its own function.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = MultiplicativeLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> for epoch in range(2):
    ...     schedule.step()
    >>> round(schedule.get_last_lr()[0], 4)
    0.1667
    """

    def get_lr(self):
        if self._is_initial:
            return self._rates()
        return [lr * f(self.last_epoch) for lr, f in zip(self._rates(), self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """lr·gamma^⌊epoch/step_size⌋: the rate is multiplied by gamma after every step_size epochs.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for epoch in range(4):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

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
    """The rate is multiplied by gamma at each of the epochs in `milestones`.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5), []
    >>> for epoch in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 0.5, 0.25]
    """

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
    """lr·gamma^epoch: the rate is multiplied by gamma after every epoch.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = ExponentialLR(optimizer, gamma=0.5), []
    >>> for epoch in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = _number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [lr if self._is_initial else lr * self.gamma for lr in self._rates()]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate down to eta_min at epoch T_max: eta_min + (lr₀ − eta_min)·(1 + cos(π·t/T_max))/2.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=10)
    >>> for epoch in range(5):
    ...     schedule.step()
    >>> round(schedule.get_last_lr()[0], 4)
    0.5
    """

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


class ConstantLR(LRScheduler):
    """lr·factor for the first total_iters epochs, then lr.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = ConstantLR(optimizer, factor=0.5, total_iters=2), []
    >>> for epoch in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.5, 1.0, 1.0]
    """

    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1):
        self.factor = _share("ConstantLR", "factor", factor)
        if not self.factor > 0:  # the rate is divided by it at the end
            raise ValueError(f"ConstantLR: factor must be above 0 and at most 1, got {factor!r}")
        self.total_iters = _count("ConstantLR", "total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._rates()]
        if self.last_epoch == self.total_iters:
            return [lr / self.factor for lr in self._rates()]
        return self._rates()


class LinearLR(LRScheduler):
    """From lr·start_factor in total_iters equal steps to lr·end_factor: a warm-up, for example.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = LinearLR(optimizer, start_factor=0.5, total_iters=2), []
    >>> for epoch in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1):
        self.start_factor = _share("LinearLR", "start_factor", start_factor)
        if not self.start_factor > 0:
            raise ValueError(f"LinearLR: start_factor must be above 0 and at most 1, got {start_factor!r}")
        self.end_factor = _share("LinearLR", "end_factor", end_factor)
        self.total_iters = _count("LinearLR", "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._rates()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._rates()
        rise = self.end_factor - self.start_factor
        factor = 1 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)
        return [lr * factor for lr in self._rates()]


class PolynomialLR(LRScheduler):
    """lr·(1 − epoch/total_iters)^power: falls to 0 at total_iters.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = PolynomialLR(optimizer, total_iters=2, power=2.0), []
    >>> for epoch in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 0.25, 0.0, 0.0]
    """

    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1):
        self.total_iters = _count("PolynomialLR", "total_iters", total_iters, 1)
        self.power = _number("PolynomialLR", "power", power)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._rates()
        now, before = (1 - epoch / self.total_iters for epoch in (self.last_epoch, self.last_epoch - 1))
        return [lr * (now / before) ** self.power for lr in self._rates()]


class CosineAnnealingWarmRestarts(LRScheduler):
    """CosineAnnealingLR that begins again after T_0 epochs, then after T_0·T_mult, T_0·T_mult², … (Loshchilov & Hutter, 2017).

    step(epoch) takes a fraction of an epoch, too: step(epoch + batch/batches) after each batch.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = CosineAnnealingWarmRestarts(optimizer, T_0=2), []
    >>> for epoch in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> [round(rate, 4) for rate in rates]
    [1.0, 0.5, 1.0, 0.5]
    """

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1):
        self.T_0 = self.T_i = _count("CosineAnnealingWarmRestarts", "T_0", T_0, 1)
        self.T_mult = _count("CosineAnnealingWarmRestarts", "T_mult", T_mult, 1)
        self.eta_min = _number("CosineAnnealingWarmRestarts", "eta_min", eta_min)
        self.T_cur = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]

    def step(self, epoch=None):
        """On to the next epoch, or to this one."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch, self.T_cur = self.last_epoch + 1, self.T_cur + 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        else:
            epoch = _number("CosineAnnealingWarmRestarts", "epoch", epoch)
            if epoch < 0:
                raise ValueError(f"CosineAnnealingWarmRestarts: expected an epoch of 0 or more, got {epoch}")
            begin, self.T_i = 0, self.T_0
            if self.T_mult == 1:
                begin = epoch // self.T_0 * self.T_0
            while epoch >= begin + self.T_i:
                begin, self.T_i = begin + self.T_i, self.T_i * self.T_mult
            self.T_cur = epoch - begin
        self.last_epoch = math.floor(epoch) - 1
        super().step()


class CyclicLR(LRScheduler):
    """Up from base_lr to max_lr in step_size_up steps, down in step_size_down, and again; a step a batch (Smith, 2017).

    mode: "triangular"; "triangular2", in which each cycle reaches half as far; "exp_range", in which step i reaches gammaⁱ as
    far. scale_fn and scale_mode ("cycle" or "iterations": of which number scale_fn is a function) take the place of mode.
    cycle_momentum: the momentum (of Adam, β₁) goes the other way, from max_momentum down to base_momentum.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = CyclicLR(optimizer, 0.0, 1.0, step_size_up=2, cycle_momentum=False), []
    >>> for step in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer,
        base_lr,
        max_lr,
        step_size_up=2000,
        step_size_down=None,
        mode="triangular",
        gamma=1.0,
        scale_fn=None,
        scale_mode="cycle",
        cycle_momentum=True,
        base_momentum=0.8,
        max_momentum=0.9,
        last_epoch=-1,
    ):
        low = _for_groups("CyclicLR", "base_lr", base_lr, optimizer)
        self.max_lrs = _for_groups("CyclicLR", "max_lr", max_lr, optimizer)
        up = _number("CyclicLR", "step_size_up", step_size_up)
        down = up if step_size_down is None else _number("CyclicLR", "step_size_down", step_size_down)
        if not (up > 0 and down > 0):
            raise ValueError(f"CyclicLR: step sizes must be above 0, got {step_size_up} and {step_size_down}")
        self.total_size, self.step_ratio = float(up + down), up / (up + down)
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range', got {mode!r}")
        if scale_mode not in ("cycle", "iterations") or not (scale_fn is None or callable(scale_fn)):
            raise ValueError("CyclicLR: scale_fn must be a function, and scale_mode 'cycle' or 'iterations'")
        self.mode, self.gamma, self.cycle_momentum = mode, _number("CyclicLR", "gamma", gamma), bool(cycle_momentum)
        self._scale_fn = scale_fn
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, low, strict=True):
                group["lr"] = lr
        if self.cycle_momentum:
            self.base_momentums = _for_groups("CyclicLR", "base_momentum", base_momentum, optimizer)
            self.max_momentums = _for_groups("CyclicLR", "max_momentum", max_momentum, optimizer)
            _check_momentum("CyclicLR", optimizer)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = low

    def scale(self, x):
        """How far the cycle or step number x reaches, from base_lr to max_lr."""
        if self._scale_fn is not None:
            return self._scale_fn(x)
        return {"triangular": 1.0, "triangular2": 1 / 2 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def get_lr(self):
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            low, high = self.base_momentums, self.max_momentums
            _set_momentum(self.optimizer, [b - (b - a) * height for a, b in zip(low, high, strict=True)])
        low = self._rates() if self._is_initial else self.base_lrs
        return [a + (b - a) * height for a, b in zip(low, self.max_lrs, strict=True)]

    def state_dict(self):
        """As LRScheduler.state_dict, without scale_fn, which cannot be saved."""
        return {key: value for key, value in super().state_dict().items() if key != "_scale_fn"}

    def load_state_dict(self, state_dict):
        """As LRScheduler.load_state_dict; scale_fn stays the one that was given here."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key not in ("_scale_fn", "_scale_fn_ref")})


class OneCycleLR(LRScheduler):
    """One rise and one long fall over the whole training; a step after each batch (Smith & Topin, 2018).

    From max_lr/div_factor up to max_lr in the first pct_start of total_steps (or epochs·steps_per_epoch), then down to
    1/final_div_factor of where it began; with three_phase first down to where it began, as fast as it rose.
    anneal_strategy: "cos" or "linear".
    cycle_momentum: the momentum (of Adam, β₁) goes the other way, from max_momentum to base_momentum and back.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule, rates = OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.4, anneal_strategy="linear"), []
    >>> for step in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step() if step < 4 else None
    >>> [round(rate, 3) for rate in rates]
    [0.04, 1.0, 0.667, 0.333, 0.0]
    """

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps=None,
        epochs=None,
        steps_per_epoch=None,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
        three_phase=False,
        last_epoch=-1,
    ):
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
        if total_steps is None:
            total_steps = _count("OneCycleLR", "epochs", epochs, 1) * _count(
                "OneCycleLR", "steps_per_epoch", steps_per_epoch, 1
            )
        self.total_steps = total = _count("OneCycleLR", "total_steps", total_steps, 1)
        pct_start = _share("OneCycleLR", "pct_start", pct_start)
        if anneal_strategy not in _HALF_WAVE:
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self._anneal_func_type, self.cycle_momentum = anneal_strategy, bool(cycle_momentum)
        ends = [2 * pct_start * total - 2, total - 1] if three_phase else [total - 1]
        self._ends = [pct_start * total - 1, *ends]  # where a phase ends
        ways = [("initial_lr", "max_lr"), ("max_lr", "initial_lr"), ("initial_lr", "min_lr")]
        self._ways = ways if three_phase else [ways[0], ("max_lr", "min_lr")]
        high = _for_groups("OneCycleLR", "max_lr", max_lr, optimizer)
        div_factor, final = (
            _number("OneCycleLR", "div_factor", div_factor),
            _number("OneCycleLR", "final_div_factor", final_div_factor),
        )
        if not (div_factor > 0 and final > 0):
            raise ValueError(f"OneCycleLR: div_factor and final_div_factor must be above 0, got {div_factor} and {final}")
        if self.cycle_momentum:
            low, most = (
                _for_groups("OneCycleLR", option, value, optimizer)
                for option, value in (("base_momentum", base_momentum), ("max_momentum", max_momentum))
            )
            _check_momentum("OneCycleLR", optimizer)
            self._momentums = {"low": low, "most": most}
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, high, strict=True):
                group["initial_lr"] = group["lr"] = lr / div_factor
        self._rates_at = {
            "initial_lr": [lr / div_factor for lr in high],
            "max_lr": high,
            "min_lr": [lr / div_factor / final for lr in high],
        }
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"OneCycleLR: {step} steps, of {self.total_steps} that it was made for; one for each batch?")
        phase = next((i for i, end in enumerate(self._ends) if step <= end), len(self._ends) - 1)
        start = self._ends[phase - 1] if phase else 0
        share = _HALF_WAVE[self._anneal_func_type]((step - start) / (self._ends[phase] - start))

        def between(low, high):
            return [a + (b - a) * share for a, b in zip(low, high, strict=True)]

        if self.cycle_momentum:
            most, low = self._momentums["most"], self._momentums["low"]
            ways = [(most, low), (low, most), (most, most)] if len(self._ends) == 3 else [(most, low), (low, most)]
            _set_momentum(self.optimizer, between(*ways[phase]))
        return between(*(self._rates_at[name] for name in self._ways[phase]))


class SequentialLR(LRScheduler):
    """One schedule after another: the next one takes over at each of the epochs in `milestones`, from its own first epoch.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> warm_up, then = LinearLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.5)
    >>> schedule, rates = SequentialLR(optimizer, [warm_up, then], milestones=[2]), []
    >>> for epoch in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1):
        schedulers = _schedules("SequentialLR", schedulers, optimizer)
        if not isinstance(milestones, (list, tuple)):
            raise TypeError(f"SequentialLR: milestones must be a list of integers, got {milestones!r}; write [30, 80]")
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected {len(schedulers) - 1} milestones, one between two schedules, got {milestones}"
            )
        self._schedulers, self._milestones = schedulers, [integer("SequentialLR", epoch, "a milestone") for epoch in milestones]
        if sorted(self._milestones) != self._milestones:
            raise ValueError(f"SequentialLR: milestones must not fall, got {milestones}")
        self.optimizer, self.last_epoch = optimizer, last_epoch + 1
        schedulers[0]._restart()
        self._last_lr = schedulers[0].get_last_lr()

    def step(self):
        self.last_epoch += 1
        current = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[current]
        if current and self._milestones[current - 1] == self.last_epoch:
            schedule._restart()
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()

    def state_dict(self):
        """Its own epoch, and the states of the schedules."""
        return _with_states(super().state_dict())

    def load_state_dict(self, state_dict):
        """Continues from the epoch of another one's state_dict()."""
        _load_all(self, super().load_state_dict, state_dict)


class ChainedScheduler(LRScheduler):
    """All schedules at once: each step makes one of each, in order, so their factors multiply.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ChainedScheduler([ConstantLR(optimizer, 0.5, total_iters=9), ExponentialLR(optimizer, 0.5)])
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, schedulers, optimizer=None):
        schedulers = schedulers if isinstance(schedulers, (list, tuple)) else [schedulers]
        optimizer = optimizer or getattr(next(iter(schedulers), None), "optimizer", None)
        self._schedulers, self.optimizer = _schedules("ChainedScheduler", schedulers, optimizer), optimizer
        self._last_lr = self._rates()

    last_epoch = property(lambda self: self._schedulers[-1].last_epoch)

    def step(self):
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = self._rates()

    def state_dict(self):
        """The states of the schedules."""
        return _with_states(super().state_dict())

    def load_state_dict(self, state_dict):
        """Continues from another one's state_dict()."""
        _load_all(self, lambda state: vars(self).update(state), state_dict)


class ReduceLROnPlateau(LRScheduler):
    """The rate is multiplied by factor when a measured value has not become better for more than `patience` epochs.

    step(metrics) takes the value, for example the loss on held-out data. mode: "min" if small values are good, "max" if large.
    Better is what beats the best one so far by threshold, as a share of it (threshold_mode "rel") or by itself ("abs"). After a
    reduction `cooldown` epochs do not count. No rate falls below min_lr, and one that would fall by less than eps stays.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = ReduceLROnPlateau(optimizer, patience=1, factor=0.5), []
    >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0):
    ...     schedule.step(loss)
    ...     rates += schedule.get_last_lr()
    >>> rates
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0,
        eps=1e-8,
    ):
        name = "ReduceLROnPlateau"
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"{name}: mode must be 'min' or 'max' and threshold_mode 'rel' or 'abs', got {mode!r}, {threshold_mode!r}"
            )
        self.min_lrs = _for_groups(name, "min_lr", min_lr, optimizer)
        self.factor = _number(name, "factor", factor)
        if not 0 <= self.factor < 1:
            raise ValueError(f"{name}: factor must be at least 0 and below 1, got {factor!r}")
        self.mode, self.threshold, self.threshold_mode = mode, _number(name, "threshold", threshold), threshold_mode
        self.patience, self.cooldown = _count(name, "patience", patience, 0), _count(name, "cooldown", cooldown, 0)
        self.eps, self.optimizer, self.last_epoch = _number(name, "eps", eps), optimizer, 0
        self.best, self.num_bad_epochs, self.cooldown_counter = (math.inf if mode == "min" else -math.inf), 0, 0
        self._last_lr = self._rates()

    def step(self, metrics):
        """Takes the value of an epoch, and reduces the rates if it is time."""
        try:
            value = float(metrics)
        except (TypeError, ValueError):
            raise TypeError(f"ReduceLROnPlateau.step: expected the measured value, a number, got {metrics!r}") from None
        self.last_epoch += 1
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                old = float(group["lr"])
                new = max(old * self.factor, least)
                if old - new > self.eps:
                    group["lr"] = new
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()

    def _is_better(self, value):
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            return sign * value < sign * self.best * (1 - sign * self.threshold)
        return sign * value < sign * self.best - self.threshold


def _number(name, what, x):
    try:
        (n,) = numbers_of(name, **{what: x})
    except TypeError:
        n = True
    if isinstance(n, bool) or not math.isfinite(n):
        raise ValueError(f"{name}: {what} must be a number, and finite, got {x!r}")
    return n


def _count(name, what, x, least):
    n = integer(name, x, what)
    if n < least:
        raise ValueError(f"{name}: {what} must be an integer of {least} or more, got {x!r}")
    return n


def _share(name, what, x):
    n = _number(name, what, x)
    if not 0 <= n <= 1:
        raise ValueError(f"{name}: {what} must be from 0 to 1, got {x!r}")
    return n


def _for_groups(name, what, x, optimizer):
    """A number for each group of the optimizer: given as a list, or one for all."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name}: expected an Optimizer, got {type(optimizer).__name__}")
    groups = len(optimizer.param_groups)
    if isinstance(x, (list, tuple)):
        if len(x) != groups:
            raise ValueError(f"{name}: expected {groups} numbers for {what}, one for each group, got {len(x)}")
        return [_number(name, what, number) for number in x]
    return [_number(name, what, x)] * groups


def _check_momentum(name, optimizer):
    if not {"momentum", "betas"} & set(optimizer.defaults):
        kind = type(optimizer).__name__
        raise ValueError(f"{name}: {kind} has neither momentum nor betas; write cycle_momentum=False")


def _set_momentum(optimizer, momentums):
    for group, momentum in zip(optimizer.param_groups, momentums, strict=True):
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


def _schedules(name, schedulers, optimizer):
    schedulers = list(schedulers)
    if not schedulers:
        raise ValueError(f"{name}: expected one schedule or more")
    for i, schedule in enumerate(schedulers):
        if not isinstance(schedule, LRScheduler) or (name == "SequentialLR" and isinstance(schedule, ReduceLROnPlateau)):
            raise TypeError(f"{name}: schedule {i} must be one whose step() takes nothing, got {type(schedule).__name__}")
        if schedule.optimizer is not optimizer:
            raise ValueError(f"{name}: schedule {i} belongs to another optimizer than the others")
    return schedulers


def _with_states(state):
    return {**state, "_schedulers": [schedule.state_dict() for schedule in state["_schedulers"]]}


def _load_all(schedule, load, state_dict):
    name, schedules = type(schedule).__name__, schedule._schedulers
    states = state_dict.get("_schedulers") if isinstance(state_dict, Mapping) else None
    if not isinstance(states, list) or len(states) != len(schedules):
        raise ValueError(f"{name}.load_state_dict: expected the states of {len(schedules)} schedules")
    for own, state in zip(schedules, states, strict=True):
        own.load_state_dict(state)
    load({**state_dict, "_schedulers": schedules})
