"""Mixed precision, as far as there is one: programs with `autocast` and `GradScaler` run in float32, which is said once.

Numbers of 16 bits save time on a GPU. On the CPU, NumPy computes with them more slowly than with float32, and less exactly.
"""

import functools
import sys
import warnings

__all__ = ["GradScaler", "autocast", "is_autocast_available"]

_told = set()


def _tell_once(name):
    """Warns at the line of the user's program that first asks."""
    if name in _told:
        return
    _told.add(name)
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("minidl."):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"{name}: minidl computes in the dtype of its tensors, float32 by default, so this changes nothing; "
        f"{name}(enabled=False) says so without a warning",
        stacklevel=level,
    )


def is_autocast_available(device_type):
    """False: nothing is cast.

    >>> is_autocast_available("cpu")
    False
    """
    return False


class autocast:
    """A context, or decorator, in which everything is computed as outside of it: in float32. It says so once.

    device_type: any of PyTorch's, as "cpu" or "cuda"; dtype: any.

    >>> import minidl
    >>> with minidl.autocast("cpu", enabled=False):
    ...     print((minidl.ones(2, 2) @ minidl.ones(2, 2)).dtype)
    float32
    """

    def __init__(self, device_type="cpu", dtype=None, enabled=True, cache_enabled=None):
        if not isinstance(device_type, str):
            raise TypeError(f"autocast: expected a device type such as 'cpu', got {device_type!r}")
        if not isinstance(enabled, bool):
            raise TypeError(f"autocast: enabled must be True or False, got {enabled!r}")
        self.device_type, self.dtype = device_type, dtype
        if enabled:
            _tell_once("autocast")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __call__(self, function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper


class GradScaler:
    """Scales by 1: gradients of float32 do not vanish. `step` is the optimizer's; it says so once.

    >>> import minidl
    >>> w = minidl.ones(1, requires_grad=True)
    >>> optimizer, scaler = minidl.optim.SGD([w], lr=0.5), GradScaler(enabled=False)
    >>> scaler.scale((w * w).sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.detach()
    tensor([0.])
    """

    def __init__(
        self,
        device="cuda",
        init_scale=65536.0,
        growth_factor=2.0,
        backoff_factor=0.5,
        growth_interval=2000,
        enabled=True,
    ):
        if enabled:
            _tell_once("GradScaler")

    def scale(self, outputs):
        """The outputs as they are."""
        return outputs

    def unscale_(self, optimizer):
        """Nothing: the gradients are not scaled."""

    def step(self, optimizer, *args, **kwargs):
        """optimizer.step(*args, **kwargs)"""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale=None):
        """Nothing."""

    def get_scale(self):
        """1.0"""
        return 1.0

    def is_enabled(self):
        """False"""
        return False

    def state_dict(self):
        """Empty, as that of a scaler of PyTorch's that is not enabled."""
        return {}

    def load_state_dict(self, state_dict):
        """Takes any: a program resumed here goes on unscaled."""
