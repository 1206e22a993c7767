"""Intel's library for layers: not used here."""

__all__ = ["is_available"]


def is_available():
    """False

    >>> is_available()
    False
    """
    return False
