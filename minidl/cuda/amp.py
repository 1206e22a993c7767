"""The old place of `minidl.amp`: `from minidl.cuda.amp import GradScaler, autocast`."""

from ..amp import GradScaler as _GradScaler, autocast as _autocast

__all__ = ["GradScaler", "autocast"]


class autocast(_autocast):
    """minidl.amp.autocast("cuda", …): everything is computed in float32.

    >>> with autocast(enabled=False):
    ...     pass
    """

    def __init__(self, enabled=True, dtype=None, cache_enabled=True):
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(_GradScaler):
    """minidl.amp.GradScaler("cuda", …): scales by 1.

    >>> GradScaler(enabled=False).get_scale()
    1.0
    """

    def __init__(self, init_scale=65536.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000, enabled=True):
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
