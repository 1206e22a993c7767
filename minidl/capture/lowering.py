"""Arithmetic that eager leaves to NumPy, as calls of kernels with the same bits."""


def lowered(event):
    """The calls of kernels that do what the event does, or None."""
    return None
