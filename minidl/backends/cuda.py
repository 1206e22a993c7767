"""Settings of products on GPUs, which change nothing.

>>> import minidl
>>> minidl.backends.cuda.matmul.allow_tf32 = True
"""

from types import SimpleNamespace

__all__ = ["is_built", "matmul"]

matmul = SimpleNamespace(allow_tf32=False)


def is_built():
    """False

    >>> is_built()
    False
    """
    return False
