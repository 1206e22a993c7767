"""What the checker says of a wrong gradient: the hint that fits, no other, on the case that shows most, and in few lines."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import Function, GradcheckError, diagnosis, gradcheck, gradgradcheck
from minidl.tensors.record import apply

from .checks import check_gradient, check_row, check_value
from .table import ELEMENTWISE, ROW_OF, Row, each
from .test_gradcheck import function, leaf

ROOT = Path(__file__).parent.parent


def slope_of_sine(change):
    return function(np.sin, lambda dy, x: change(dy * np.cos(x)))


def product(backward):
    return function(lambda a, b: a * b, backward)


def matmul(backward):
    return function(np.matmul, backward)


def add(backward):
    return function(lambda a, b: a + b, backward)


def one_wrong(dx):
    dx = dx.copy()
    dx[1, 2] *= 1.01
    return dx


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def last_row_forgotten(dx):
    dx = dx.copy()
    dx[-1] = 0
    return dx


SHUFFLE = np.array([2, 0, 1, 4, 3, 5])

# mistake: (function, shapes of its inputs, the hint that is printed, what it says, other hints that are true as well)
MISTAKES = {
    "NaN": (slope_of_sine(lambda dx: dx * np.nan), [(3,)], "not_finite", "not finite", ()),
    "infinite at one": (
        slope_of_sine(lambda dx: np.where(np.arange(3) == 1, np.inf, dx)),
        [(3,)],
        "not_finite",
        "not finite",
        ("where_wrong",),
    ),
    "relu at 0": (minidl.relu, [np.array([1.0, 0.0, -2.0])], "at_a_kink", "a kink or a tie", ("where_wrong",)),
    "float32 in forward": (
        function(lambda x: np.exp(x.astype(np.float32)).astype(float), lambda dy, x: dy * np.exp(x)),
        [(3, 4)],
        "computed_in_float32",
        "digits of float32 only",
        (),
    ),
    "nothing": (slope_of_sine(lambda dx: 0 * dx), [(3, 4)], "zero", "is zero: is a term missing", ()),
    "dy forgotten": (
        function(np.sin, lambda dy, x: np.cos(x)),
        [(3, 4)],
        "cotangent_ignored",
        "must multiply by dy",
        (),
    ),
    "dy squared": (function(np.sin, lambda dy, x: dy**2 * np.cos(x)), [(3, 4)], "cotangent_ignored", "not linear in dy", ()),
    "mask of dy": (function(np.sin, lambda dy, x: dy * (dy > 0)), [(3, 4)], "cotangent_ignored", "not linear in dy", ()),
    "minus forgotten": (
        function(np.cos, lambda dy, x: dy * np.sin(x)),
        [(3, 4)],
        "sign",
        "the sign is wrong",
        ("factor", "signs"),
    ),
    "minus of one operand": (add(lambda dy, a, b: (dy, -dy)), [(3,), (3,)], "sign", "the sign is wrong", ("factor", "signs")),
    "2 of the square": (function(np.square, lambda dy, x: dy * x), [(3, 4)], "factor", "a factor of 0.5 = 1/2: the 2 of", ()),
    "1.001": (slope_of_sine(lambda dx: dx * 1.001), [(3, 4)], "factor", "off by a factor of 1.001", ()),
    "mean not divided": (
        function(np.mean, lambda dy, x: np.full(x.shape, dy)),
        [(3, 4)],
        "factor",
        "a factor of 12: 12 is the number of elements.* A mean divides",
        (),
    ),
    "mean of rows not divided": (
        function(lambda x: x.mean(1), lambda dy, x: np.broadcast_to(dy[:, None], x.shape)),
        [(3, 4)],
        "factor",
        "a factor of 4: 4 is the size of one or more axes",
        (),
    ),
    "broadcast averaged": (add(lambda dy, a, b: (dy, dy.mean(0))), [(3, 4), (4,)], "factor", "used 3 times", ("one_of_many",)),
    "abs of it": (
        function(np.cos, lambda dy, x: -dy * np.abs(np.sin(x))),
        [(3, 4)],
        "signs",
        "only the sign is wrong, at ",
        ("where_wrong",),
    ),
    "factor forgotten": (product(lambda dy, a, b: (dy, dy * a)), [(3, 4), (3, 4)], "missing_factor", "times input 1", ()),
    "factor twice": (
        product(lambda dy, a, b: (dy * b * b, dy * a)),
        [(3, 4), (3, 4)],
        "missing_factor",
        "too many: divided by input 1",
        (),
    ),
    "output forgotten": (function(np.exp, lambda dy, x: dy), [(3, 4)], "missing_factor", "times the output", ()),
    "transposed": (slope_of_sine(lambda dx: dx.T), [(3, 3)], "transposed", r"in the order \(1, 0\)", ("moved",)),
    "weight's gradient transposed": (
        matmul(lambda dy, a, b: (dy @ b.T, dy.T @ a)),
        [(3, 3), (3, 3)],
        "transposed",
        r"input 1, .*\n(.*\n)*.*in the order \(1, 0\)",
        ("moved",),
    ),
    "exchanged": (
        product(lambda dy, a, b: (dy * a, dy * b)),
        [(3, 4), (3, 4)],
        "of_another_input",
        "the gradient for input 1",
        (),
    ),
    "in reverse": (slope_of_sine(lambda dx: dx[::-1]), [(5,)], "moved", "in reverse along axis 0", ()),
    "off by one": (
        function(lambda x: x[1:], lambda dy, x: np.append(dy, 0.0)),
        [(5,)],
        "moved",
        "moved by -1 along axis 0",
        (),
    ),
    "other order": (slope_of_sine(lambda dx: dx[SHUFFLE]), [(6,)], "moved", "the right numbers in the wrong places", ()),
    "one wrong": (slope_of_sine(one_wrong), [(3, 4)], "where_wrong", r"right but the one at \(1, 2\)", ()),
    "mask forgotten": (
        function(lambda x: np.maximum(x, 0), lambda dy, x: dy),
        [(3, 4)],
        "where_wrong",
        "wrong where the input is negative",
        (),
    ),
    "last row left out": (slope_of_sine(last_row_forgotten), [(3, 4)], "where_wrong", "wrong at index 2 of axis 0", ()),
    "one of the repeats": (
        add(lambda dy, a, b: (dy, dy[0])),
        [(3, 4), (4,)],
        "one_of_many",
        "repeated this input 3 times.*sum over axis 0",
        (),
    ),
    "b not transposed": (
        matmul(lambda dy, a, b: (dy @ b, a.T @ dy)),
        [(3, 3), (3, 3)],
        "operand_transposed",
        "if input 1 were transposed",
        ("forward_again",),
    ),
    "a not transposed": (
        matmul(lambda dy, a, b: (dy @ b.T, a @ dy)),
        [(3, 3), (3, 3)],
        "operand_transposed",
        "if input 0 were transposed",
        ("forward_again",),
    ),
    "dy transposed": (
        matmul(lambda dy, a, b: (dy.T @ b.T, a.T @ dy)),
        [(3, 3), (3, 3)],
        "operand_transposed",
        "if dy were transposed",
        (),
    ),
    "softmax as a sigmoid": (
        function(softmax, lambda dy, x: dy * softmax(x) * (1 - softmax(x))),
        [(3, 4)],
        "own_place_only",
        "at its own place only",
        (),
    ),
    "cumsum not in reverse": (
        function(lambda x: np.cumsum(x, 1), lambda dy, x: np.cumsum(dy, 1)),
        [(3, 4)],
        "forward_again",
        "must go the other way",
        (),
    ),
    "second use forgotten": (
        function(lambda x: x / (1 + np.exp(-x)), lambda dy, x: dy / (1 + np.exp(-x))),
        [(3, 4)],
        None,
        "a term for each use",
        (),
    ),
    "first use only": (function(lambda x: x @ x.T, lambda dy, x: dy @ x), [(3, 4)], None, "a term for each use", ()),
    "another function's": (function(np.tanh, lambda dy, x: dy * np.exp(-x * x)), [(3, 4)], None, "none of the usual", ()),
}


def inputs_of(mistake):
    shapes = enumerate(MISTAKES[mistake][1])
    return [leaf(*x, seed=i) if isinstance(x, tuple) else minidl.tensor(x, requires_grad=True) for i, x in shapes]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_promise_04_the_hint_that_fits_is_printed_once(mistake):
    func, _, hint, message, _ = MISTAKES[mistake]
    with pytest.raises(GradcheckError, match=message) as error:
        gradcheck(func, inputs_of(mistake))
    lines = str(error.value).splitlines()
    hints = [line for line in lines if "hint:" in line]
    assert len(hints) == 1 and hints[0].startswith("hint: " if hint else "no hint: ")
    assert len(lines) <= 9


@pytest.mark.parametrize("mistake", MISTAKES)
def test_promise_04_hints_fit_no_other_mistake(mistake, monkeypatch):
    """Each hint is asked about each mistake, also those that come after the first that answers."""
    func, _, hint, _, also = MISTAKES[mistake]
    kept = []
    monkeypatch.setattr(sys.modules["minidl.autograd.gradcheck"], "report", lambda findings: kept.extend(findings) or "")
    with pytest.raises(GradcheckError):
        gradcheck(func, inputs_of(mistake))
    finding = max(kept, key=lambda finding: finding.richness)
    answering = {hint.__name__ for hint in diagnosis.HINTS if finding.says(hint)}
    assert answering == {*also, *([hint] if hint else [])}


def test_every_hint_has_a_mistake():
    assert {hint.__name__ for hint in diagnosis.HINTS} == {hint for _, _, hint, *_ in MISTAKES.values()} - {None}
