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
            if not gc.get_freeze_count():  # nobody has put anything aside
                # Together they move all there is to the oldest generation, where the next quick look for garbage does not go
                # through it: that would take as long as a tenth of the import.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
