"""Intel's library for linear algebra; NumPy may use one of its own: not used here."""

__all__ = ["is_available"]


def is_available():
    """False

    >>> is_available()
    False
    """
    return False
