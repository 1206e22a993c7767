"""`minidl.accelerator`: there is none. What asks is answered, what waits for it has nothing to wait for."""

__all__ = ["current_accelerator", "device_count", "empty_cache", "is_available", "synchronize"]


def is_available():
    """False: minidl runs on the CPU.

    >>> is_available()
    False
    """
    return False


def device_count():
    """0

    >>> device_count()
    0
    """
    return 0


def current_accelerator(check_available=False):
    """None

    >>> current_accelerator() is None
    True
    """
    return None


def synchronize(device=None):
    """Nothing: every operation is finished when it returns.

    >>> synchronize()
    """


def empty_cache():
    """Nothing: there is no memory of a GPU.

    >>> empty_cache()
    """
