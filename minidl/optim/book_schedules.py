"""Schedules as *Dive into Deep Learning* writes them: objects that are called with the number of the epoch and return a rate.

for epoch in range(epochs):
    ...
    for group in optimizer.param_groups:
        group["lr"] = schedule(epoch)
"""

import math

__all__ = ["CosineScheduler", "FactorScheduler", "SquareRootScheduler"]


class SquareRootScheduler:
    """lr/√(epoch + 1)

    >>> round(SquareRootScheduler(lr=0.1)(29), 7)
    0.0182574
    """

    def __init__(self, lr=0.1):
        self.lr = lr

    def __call__(self, num_update):
        return self.lr * pow(num_update + 1.0, -0.5)


class FactorScheduler:
    """The rate is multiplied by factor at each call, before it is returned, but does not fall below stop_factor_lr.

    >>> schedule = FactorScheduler(factor=0.9, base_lr=2.0)
    >>> schedule(0), round([schedule(epoch) for epoch in range(1, 50)][-1], 7)
    (1.8, 0.0103076)
    """

    def __init__(self, factor=1, stop_factor_lr=1e-7, base_lr=0.1):
        self.factor, self.stop_factor_lr, self.base_lr = factor, stop_factor_lr, base_lr

    def __call__(self, num_update):
        self.base_lr = max(self.stop_factor_lr, self.base_lr * self.factor)
        return self.base_lr


class CosineScheduler:
    """Half a cosine from base_lr down to final_lr at epoch max_update, after warmup_steps epochs of rise from warmup_begin_lr.

    >>> schedule = CosineScheduler(max_update=20, base_lr=0.3, final_lr=0.01, warmup_steps=5)
    >>> [round(schedule(epoch), 6) for epoch in (0, 1, 4, 5, 12, 20)]
    [0.0, 0.06, 0.24, 0.3, 0.170157, 0.01]
    """

    def __init__(self, max_update, base_lr=0.01, final_lr=0, warmup_steps=0, warmup_begin_lr=0):
        if not 0 <= warmup_steps < max_update:
            raise ValueError(f"CosineScheduler: expected 0 <= warmup_steps < max_update, got {warmup_steps} and {max_update}")
        self.base_lr_orig = self.base_lr = base_lr
        self.max_update, self.final_lr = max_update, final_lr
        self.warmup_steps, self.warmup_begin_lr = warmup_steps, warmup_begin_lr
        self.max_steps = max_update - warmup_steps

    def get_warmup_lr(self, epoch):
        """The rate while it rises."""
        return self.warmup_begin_lr + (self.base_lr_orig - self.warmup_begin_lr) * float(epoch) / float(self.warmup_steps)

    def __call__(self, epoch):
        if epoch < self.warmup_steps:
            return self.get_warmup_lr(epoch)
        if epoch <= self.max_update:
            share = (1 + math.cos(math.pi * (epoch - self.warmup_steps) / self.max_steps)) / 2
            self.base_lr = self.final_lr + (self.base_lr_orig - self.final_lr) * share
        return self.base_lr
