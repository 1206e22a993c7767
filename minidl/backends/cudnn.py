"""Settings that change nothing: results are the same in every run (deterministic), whichever way is chosen (benchmark).

>>> import minidl
>>> minidl.backends.cudnn.deterministic = True
>>> minidl.backends.cudnn.benchmark = False
"""

__all__ = ["is_available", "version"]

enabled, deterministic, benchmark, allow_tf32 = True, False, False, False  # PyTorch's defaults, for programs that ask


def is_available():
    """False

    >>> is_available()
    False
    """
    return False


def version():
    """None: it is not there.

    >>> version() is None
    True
    """
    return None
