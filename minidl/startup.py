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
                # These two calls move all objects to the oldest generation. The next collection, of the youngest, then has
                # few to go through; else it would take a tenth of the time of the import.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
