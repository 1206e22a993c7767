"""A student's folder: blank files written, answers judged, hints and solutions shown."""

import ast
import difflib
from pathlib import Path

from .catalogue import BY_NAME, EXERCISES
from .judge import BLANK, class_name, judged

FOLDER = "exercises"


def names():
    """The names of the exercises, in their order.

    >>> names()[:3]
    ['add', 'multiply', 'square']
    """
    return [exercise.name for exercise in EXERCISES]


def start(folder=FOLDER):
    """Writes a file for each exercise that has none in the folder yet, never over one; returns the paths that it wrote.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     len(start(folder)), len(start(folder))
    (15, 0)
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for i, exercise in enumerate(EXERCISES, 1):
        path = folder / f"{i:02}_{exercise.name}.py"
        if not path.exists():
            path.write_text(blank(exercise), encoding="utf-8")
            written.append(path)
    return written


def blank(exercise):
    """The sheet without the body of backward."""
    text = exercise.sheet.read_text(encoding="utf-8")
    lines, method = text.splitlines(), _backward(text)
    docstring = method.body[0]
    kept = lines[: docstring.end_lineno]
    return "\n".join([*kept, f'        raise NotImplementedError("{BLANK}")', *lines[method.end_lineno :]]) + "\n"


def _backward(text):
    (cls,) = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
    return next(node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == "backward")


def path_of(name, folder=FOLDER):
    """Where the student's file of an exercise lies."""
    return Path(folder) / f"{names().index(name) + 1:02}_{name}.py"


def check(answer, name=None):
    """Judges an answer, a class or the path of a file with one; the name is that of the exercise, if the class has another.

    >>> class Square:
    ...     def forward(self, x):
    ...         self.x = x
    ...         return x * x
    ...     def backward(self, dy):
    ...         return dy * self.x
    >>> print(check(Square))  # doctest: +ELLIPSIS
    square: wrong
    the gradient of the output with respect to x, shape (3, 5), is wrong at 15 of 15 elements; the worst:
    ...
    hint: off by a factor of 0.5...
    """
    if not isinstance(answer, (str, Path, type)):
        raise TypeError(f"check: expected a class or the path of a file, got {type(answer).__name__}; write check(Add)")
    if name is None:
        given = answer.__name__ if isinstance(answer, type) else Path(answer).stem
        name = next((e.name for e in EXERCISES if given == class_name(e) or given.lstrip("0123456789_") == e.name), given)
    return judged(exercise_of(name), answer)


def exercise_of(name):
    """The exercise of that name; a ValueError names those that are like it."""
    if name not in BY_NAME:
        near = difflib.get_close_matches(name, BY_NAME, 3, 0.5)
        raise ValueError(f"exercises: there is none called {name!r}; did you mean {' or '.join(near or BY_NAME)}?")
    return BY_NAME[name]


def hint(name, level=1):
    """A hint for an exercise: level 1 is the idea, 2 the formula, 3 nearly the line.

    >>> print(hint("multiply", 3))
    da is dy * self.b
    """
    hints = exercise_of(name).hints
    if level not in range(1, len(hints) + 1):
        raise ValueError(f"hint: expected a level from 1 to {len(hints)}, got {level}")
    return hints[level - 1]


def solution(name):
    """The method backward of the solution, with the reason as a comment.

    >>> print(solution("exp"))
        def backward(self, dy):
            \"""Returns dx.\"""
            # eˣ is its own derivative.
            return dy * self.y
    """
    text = exercise_of(name).sheet.read_text(encoding="utf-8")
    method = _backward(text)
    return "\n".join(text.splitlines()[method.lineno - 1 : method.end_lineno])
