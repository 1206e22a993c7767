"""detect_anomaly: which operation first made a number that is not finite, and which line called it."""

import linecache
import sys
from pathlib import Path

import numpy as np

from .watch import Observer, watching

_package = str(Path(__file__).parents[1])


class detect_anomaly(watching):
    """Raises at the first operation whose output or gradient is not finite, and names it and the line that called it.

    >>> import minidl
    >>> x = minidl.zeros(1, requires_grad=True)
    >>> with minidl.autograd.detect_anomaly():
    ...     y = x.log()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    RuntimeError: detect_anomaly: Log: its output is not finite. The operation was called at ...
    """

    def __init__(self):
        super().__init__(_Finite())


class _Finite(Observer):
    def after(self, op, inputs, arrays, outputs):
        if op.serial:
            op.origin = user_line()
            for y in outputs:
                _check(op, y.array, "its output")

    def share(self, node, parent, dx, dy):
        _check(node, dx, "the gradient that it passes back")


def _check(op, array, what):
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        line = op.origin or "a line before detect_anomaly"
        raise RuntimeError(f"detect_anomaly: {op.name}: {what} is not finite. The operation was called at {line}")


def user_line():
    """The innermost line of code that is not minidl's own, as 'file:line: text'."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_package):
        frame = frame.f_back
    path, line = frame.f_code.co_filename, frame.f_lineno
    return f"{path}:{line}: {linecache.getline(path, line).strip()}"
