"""PyTorch's library for Apple's GPUs: not used here."""

__all__ = ["is_available", "is_built"]


def is_available():
    """False

    >>> is_available()
    False
    """
    return False


def is_built():
    """False

    >>> is_built()
    False
    """
    return False
