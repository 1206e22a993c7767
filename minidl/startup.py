"""What `import minidl` does first."""

import gc


class NoCollection:
    """Python looks for garbage again and again while NumPy, Numba and minidl are imported. They make none: so it pauses.

    >>> import gc
    >>> with NoCollection():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """

    def __enter__(self):
        self.enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *exception):
        if self.enabled:
            gc.enable()
