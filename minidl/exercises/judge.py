"""Is a backward right? It runs on small arrays beside the solution, and gradcheck says what is wrong with it."""

import html
import importlib.util
import inspect
import re
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..autograd import GradcheckError, gradcheck
from ..autograd.diagnosis import of_the_shape
from ..ops.base import Op
from ..tensors.record import apply, wrap
from ..tensors.tensor import Tensor

BLANK = "backward is still to be written"  # what a sheet raises
NOT_BEGUN, WRONG, DONE = "not begun", "wrong", "done"


@dataclass
class Result:
    """What the judge says: `state` is "not begun", "wrong" or "done", `message` says why and what to look at."""

    name: str
    state: str
    message: str = ""

    def __str__(self):
        return f"{self.name}: {self.state}" + (f"\n{self.message}" if self.message else "")

    __repr__ = __str__

    def __bool__(self):
        return self.state == DONE

    def _repr_html_(self):
        return f"<p><b>{html.escape(self.name)}: {self.state}</b></p><pre>{html.escape(self.message)}</pre>"


class Wrong(Exception):
    """What to tell of an answer that is not right."""


def judged(exercise, answer):
    """The Result of an answer: a class, or the path of a file that has it."""
    try:
        answer = loaded(exercise, Path(answer)) if isinstance(answer, (str, Path)) else answer
        for method in ("forward", "backward"):
            if not callable(getattr(answer, method, None)):
                raise Wrong(f"{answer.__name__} has no method {method}: it was in the file that start has written")
        solution = loaded(exercise, exercise.sheet)
        for case in exercise.cases:
            _try(solution, answer, case)
    except _Blank:
        return Result(exercise.name, NOT_BEGUN, "write the body of backward; its docstring says what it returns")
    except Wrong as wrong:
        return Result(exercise.name, WRONG, str(wrong))
    return Result(exercise.name, DONE)


class _Blank(Exception):
    pass


def class_name(exercise):
    """The name of the class that a sheet defines: the last one of its file."""
    return re.findall(r"^class (\w+)", exercise.sheet.read_text(encoding="utf-8"), re.MULTILINE)[-1]


def loaded(exercise, path):
    """The class in a student's file."""
    wanted = class_name(exercise)
    spec = importlib.util.spec_from_file_location(f"exercise_{exercise.name}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise Wrong(f"Python cannot read the file: {error.msg}, {path}:{error.lineno}") from None
    except (Exception, SystemExit) as error:
        raise Wrong(f"the file raises {type(error).__name__}: {error}{_where(error)}") from None
    if not isinstance(getattr(module, wanted, None), type):
        raise Wrong(f"the file has no class {wanted}; `python -m minidl exercises start` writes a new one if you move it away")
    return getattr(module, wanted)


def _try(solution, answer, case):
    """Raises Wrong unless the answer is right in this case."""
    options, names = case.options, list(inspect.signature(answer.forward).parameters)[1:]
    for dtype in (np.float64, np.float32):
        arrays = case.arrays(dtype)
        right = solution(*options)
        expected = right.forward(*(x.copy() for x in arrays))
        dy = np.asarray(np.random.default_rng(1).uniform(0.5, 1.5, np.shape(expected))).astype(dtype)
        gradients, about = _run(answer, options, arrays, expected, dy, names)
        right = right.backward(dy.copy())
        right = right if isinstance(right, tuple) else (right,)
        near = 1e-9 if dtype is np.float64 else 1e-3
        for name, dx, true in zip(names, gradients, right, strict=True):
            if not np.allclose(dx, true, near, near):
                raise Wrong(_explained(answer, case, arrays, names, about) or _first(name, dx, true, about, case))
    if not case.tie:
        report = _explained(answer, case, case.arrays(np.float64), names, about)
        if report:
            raise Wrong(report)


def _run(answer, options, arrays, expected, dy, names):
    """(the gradients for the inputs, what to say of the case), once everything about them is right but their numbers."""
    shapes = ", ".join(f"{name} {x.shape}" for name, x in zip(names, arrays, strict=True))
    about = f"tried with {shapes} of {dy.dtype}" + (f", options {options}" if options else "")
    kept = [x.copy() for x in arrays]
    operation = _called("the constructor", answer, options, about)
    y = _called("forward", operation.forward, arrays, about)
    if np.shape(y) != np.shape(expected) or not np.allclose(y, expected, 1e-3, 1e-3):
        raise Wrong(f"forward gives other numbers than {answer.__name__}: leave it as it was ({about})")
    before = dy.copy()
    gradients = _called("backward", operation.backward, [dy], about)
    if not np.array_equal(before, dy):
        raise Wrong(f"backward writes into dy, which others need, too: compute in a new array ({about})")
    if not all(map(np.array_equal, kept, arrays)):
        raise Wrong(f"an input was written into: compute in a new array ({about})")
    return _checked(gradients, arrays, dy, names, about), about


def _called(what, function, args, about):
    try:
        with np.errstate(all="ignore"):
            return function(*args)
    except NotImplementedError as error:
        if str(error) == BLANK:
            raise _Blank from None
        raise Wrong(f"{what} raises NotImplementedError: {error}{_where(error)}") from None
    except (Exception, SystemExit) as error:
        raise Wrong(f"{what} raises {type(error).__name__}: {error}{_where(error)}\n({about})") from None


def _where(error):
    """The line of the student's file: the last one outside of NumPy and minidl."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename != __file__ and "site-packages" not in frame.filename and "importlib" not in frame.filename:
            return f"\n  {frame.filename}:{frame.lineno}: {frame.line}"
    return ""


def _checked(gradients, arrays, dy, names, about):
    wanted = f"({', '.join('d' + name for name in names)})" if len(names) > 1 else f"d{names[0]}"
    if gradients is None:
        raise Wrong(f"backward returns None: it ends without `return {wanted.strip('()')}`")
    if len(names) == 1 and not isinstance(gradients, (tuple, list)):
        gradients = (gradients,)
    if not isinstance(gradients, (tuple, list)) or len(gradients) != len(names):
        got = f"{len(gradients)} results" if isinstance(gradients, (tuple, list)) else f"one {type(gradients).__name__}"
        raise Wrong(f"backward returns {wanted}, a gradient for each input of forward; got {got}")
    for name, dx, x in zip(names, gradients, arrays, strict=True):
        if dx is None:
            raise Wrong(f"d{name} is None: {name} gets a gradient, too")
        if isinstance(dx, Tensor) or not isinstance(dx, (np.ndarray, np.number)):
            raise Wrong(f"d{name} is a {type(dx).__name__}: backward computes with NumPy's arrays and returns one")
        if np.shape(dx) != x.shape:
            hint = of_the_shape(f"a gradient of shape {np.shape(dx)} for an input of {x.shape}").partition(" (arrays:")[0]
            raise Wrong(f"d{name} has shape {np.shape(dx)}, and must have that of {name}, {x.shape}{hint}\n({about})")
        if dx.dtype != dy.dtype:
            raise Wrong(f"d{name} is {dx.dtype}, and must be {dy.dtype} as dy is: .astype(dy.dtype) for what is not ({about})")
        if not np.isfinite(dx).all():
            raise Wrong(f"d{name} has NaN or infinite numbers: a division by 0? ({about})")
    return gradients


def _explained(answer, case, arrays, names, about):
    """gradcheck's report on the answer in float64, or nothing if it finds nothing, or may not be asked: at a tie."""
    if case.tie:
        return ""

    class Answer(Op):
        name = answer.__name__

        def forward(self, *xs):
            self.operation = answer(*case.options)
            return np.array(self.operation.forward(*xs))

        def backward(self, dy):
            dxs = self.operation.backward(dy)
            return tuple(np.array(dx) for dx in (dxs if isinstance(dxs, (tuple, list)) else [dxs]))

    try:
        gradcheck(lambda *xs: apply(Answer(), *xs), [wrap(x.astype(np.float64)).requires_grad_() for x in arrays])
    except GradcheckError as error:
        text = re.sub(r"\binput (\d+)\b", lambda match: names[int(match[1])], str(error).removeprefix("gradcheck: "))
        return f"{text}\n({about})"
    return ""


def _first(name, dx, true, about, case):
    """Where the gradient is farthest from the right one."""
    index = np.unravel_index(np.abs(dx - true).argmax(), true.shape)
    place = f"[{', '.join(map(str, index))}]" if index else ""
    tie = " It is a kink or a tie: the exercise says what is right there." if case.tie else ""
    return f"d{name}{place} is {dx[index]:.6g}, right is {true[index]:.6g}.{tie} ({about})"
