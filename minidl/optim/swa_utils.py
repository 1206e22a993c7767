"""Averages of a model's weights over its training, which often generalise better than the last ones."""

from collections.abc import Iterable
from copy import deepcopy

from ..graph.modes import no_grad
from ..graph.watch import repeatable
from ..nn.module import Module
from ..nn.norm import BatchNorm1d, BatchNorm2d
from ..tensors.creation import tensor
from ..tensors.tensor import Tensor
from .lr_scheduler import _HALF_WAVE, LRScheduler, _count, _for_groups

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def get_swa_avg_fn():
    """The function (average, new, number) → average that gives all models so far the same weight.

    >>> get_swa_avg_fn()(3.0, 9.0, 2)  # the mean of three, after two with mean 3
    5.0
    """

    def average(averaged, new, number):
        return averaged + (new - averaged) / (number + 1)

    return average


def get_ema_avg_fn(decay=0.999):
    """The function (average, new, number) → decay·average + (1 − decay)·new: an exponential moving average.

    >>> get_ema_avg_fn(0.5)(3.0, 9.0, 2)
    6.0
    """
    _check_decay("get_ema_avg_fn", decay)

    def average(averaged, new, number):
        return decay * averaged + (1 - decay) * new

    return average


def get_swa_multi_avg_fn():
    """As get_swa_avg_fn, for lists of tensors, which change in place.

    >>> import minidl
    >>> averages = [minidl.tensor([3.0])]
    >>> get_swa_multi_avg_fn()(averages, [minidl.tensor([9.0])], 2)
    >>> averages
    [tensor([5.])]
    """
    return _of_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay=0.999):
    """As get_ema_avg_fn, for lists of tensors, which change in place.

    >>> import minidl
    >>> averages = [minidl.tensor([3.0])]
    >>> get_ema_multi_avg_fn(0.5)(averages, [minidl.tensor([9.0])], 2)
    >>> averages
    [tensor([6.])]
    """
    _check_decay("get_ema_multi_avg_fn", decay)
    return _of_lists(get_ema_avg_fn(decay))


def _of_lists(average):
    def averages(averaged, new, number):
        for a, b in zip(averaged, new, strict=True):
            a.copy_(average(a, b, number))

    return averages


@repeatable
def _is_first(number):
    return int(number) == 0


def _check_decay(name, decay):
    if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 <= decay <= 1:
        raise ValueError(f"{name}: decay must be a number from 0 to 1, got {decay!r}")


class AveragedModel(Module):
    """A copy of a model whose weights are the average of the model's at each call of update_parameters.

    avg_fn: (average, new, number of models so far) → average, of two tensors; multi_avg_fn: the same in place, for lists. The
    default is the mean of all, get_swa_avg_fn(). use_buffers: buffers are averaged, too; otherwise they are the model's newest.
    With batch norm, update_bn afterwards. Izmailov et al., 2018.

    >>> import minidl
    >>> model = minidl.nn.Linear(1, 1, bias=False)
    >>> averaged = AveragedModel(model)
    >>> with minidl.no_grad():
    ...     for value in (1.0, 2.0, 6.0):
    ...         _ = model.weight.fill_(value)
    ...         averaged.update_parameters(model)
    >>> averaged.module.weight.item()
    3.0
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        if not isinstance(model, Module):
            raise TypeError(f"AveragedModel: expected a Module, got {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: give avg_fn or multi_avg_fn, not both")
        super().__init__()
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args, **kwargs):
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model):
        """Takes the model's weights of now into the average; the first ones are copied."""
        own, new = self._weights(self.module), self._weights(model)
        if [p.shape for p in own] != [p.shape for p in new]:
            raise ValueError("AveragedModel.update_parameters: expected the model that was averaged, got one of other shapes")
        first = _is_first(self.n_averaged)
        with no_grad():
            if first:
                for a, b in zip(own, new, strict=True):
                    a.copy_(b)
            elif self.avg_fn is not None:
                for a, b in zip(own, new, strict=True):
                    a.copy_(self.avg_fn(a, b, self.n_averaged))
            else:
                (self.multi_avg_fn or get_swa_multi_avg_fn())(own, new, self.n_averaged)
            if not self.use_buffers:
                for a, b in zip(self.module.buffers(), model.buffers(), strict=True):
                    a.copy_(b)
            self.n_averaged += 1

    def _weights(self, model):
        return [x.detach() for x in (*model.parameters(), *(model.buffers() if self.use_buffers else ()))]


def update_bn(loader, model, device=None):
    """Computes the running statistics of batch norm anew, as plain means over the batches of a loader.

    Batches are inputs, or tuples whose first element is the input. Averaged weights need it: they have seen no batch yet.

    >>> import minidl
    >>> model = minidl.nn.Sequential(minidl.nn.BatchNorm1d(1))
    >>> update_bn([minidl.tensor([[1.0], [3.0]]), minidl.tensor([[4.0], [6.0]])], model)
    >>> model[0].running_mean
    tensor([3.5000])
    """
    if isinstance(loader, Tensor) or not isinstance(loader, Iterable):
        raise TypeError(f"update_bn: expected a DataLoader or a list of batches, got {type(loader).__name__}")
    norms = [module for module in model.modules() if isinstance(module, (BatchNorm1d, BatchNorm2d))]
    if not norms:
        return
    momentums, training = [norm.momentum for norm in norms], model.training
    model.train()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # each batch has the same weight
        with no_grad():
            for batch in loader:
                batch = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(batch if device is None else batch.to(device))
    finally:
        for norm, momentum in zip(norms, momentums, strict=True):
            norm.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """From the present rate to swa_lr in anneal_epochs epochs, along half a cosine ("cos") or a line ("linear"); then constant.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear"), []
    >>> for epoch in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        if anneal_strategy not in _HALF_WAVE:
            raise ValueError(f"SWALR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        rates = _for_groups("SWALR", "swa_lr", swa_lr, optimizer)
        for group, lr in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = lr
        self.anneal_epochs = _count("SWALR", "anneal_epochs", anneal_epochs, 0)
        self._anneal_strategy, self._steps = anneal_strategy, -1
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        self._steps += 1
        now = max(1, self._steps) if self.anneal_epochs == 0 else self._steps
        before, after = (
            _HALF_WAVE[self._anneal_strategy](max(0, min(1, step / max(1, self.anneal_epochs)))) for step in (now - 1, now)
        )
        rates = []
        for group in self.optimizer.param_groups:
            lr, end = group["lr"], group["swa_lr"]
            start = end if before == 1 else (lr - before * end) / (1 - before)
            rates.append(end * after + start * (1 - after))
        return rates
