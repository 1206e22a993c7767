"""Exercises: backward rules that are left blank. You write them, with NumPy, and gradcheck tells you what is wrong.

    python -m minidl exercises                 the list, and how far you are
    python -m minidl exercises start           writes the files, into the folder `exercises`
    python -m minidl exercises check add       judges one; without a name all that you have begun
    python -m minidl exercises hint add        a hint; with --level 2 or 3 a stronger one
    python -m minidl exercises solution add    the solution, with its reason

Forward is given. `backward(self, dy)` gets dy, the gradient of the loss by y, and returns the gradients by the inputs. In a
notebook write the class there, and call `check`.
"""

from .catalogue import EXERCISES
from .command import main
from .folder import check, hint, names, solution, start
from .judge import Result

__all__ = ["EXERCISES", "Result", "check", "hint", "main", "names", "solution", "start"]
