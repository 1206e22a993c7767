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
from minidl.autograd import Function, GradcheckError, gradcheck, gradgradcheck, hints
from minidl.tensors.record import apply

from .checks import check_gradient, check_row, check_value
from .table import ELEMENTWISE, MASK, ROW_OF, Row, each
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


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def standardized(x):
    return (x - x.mean(0)) / x.std(0)


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
    "near 0": (minidl.relu, [np.array([1.0, 3e-7, -2.0])], "at_a_kink", "a kink or a tie", ("where_wrong",)),
    "right": (
        function(lambda x: 1e8 + np.sin(x), lambda dy, x: dy * np.cos(x)),
        [(3, 4)],
        "outputs_too_large",
        r"perhaps nothing is wrong: beside outputs as large as 1e\+08",
        (),
    ),
    "on top of a large number": (
        function(lambda x: 1e8 + np.sin(x), lambda dy, x: dy * 0.3 - dy * np.cos(x)),
        [(1,)],
        None,
        "none of the usual",
        (),
    ),
    "straight through": (function(np.sign, lambda dy, x: dy), [(3, 4)], "should_be_zero", "must be 0", ()),
    "rounded constant": (
        function(lambda x: np.exp(np.pi * x), lambda dy, x: dy * 3.1415 * np.exp(3.1415 * x)),
        [(3, 4)],
        "imprecise",
        "nearly right: a constant",
        (),
    ),
    "another eps": (
        function(lambda x: np.sqrt(x * x + 1), lambda dy, x: dy * x / np.sqrt(x * x + 1 + 1e-3)),
        [(3, 4)],
        "imprecise",
        "nearly right: .* an eps added",
        (),
    ),
    "1.000003": (slope_of_sine(lambda dx: dx * 1.000003), [(1, 3, 1)], "factor", "a factor of 1.000003", ("imprecise",)),
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
    "1.001": (slope_of_sine(lambda dx: dx * 1.001), [(3, 4)], "factor", "off by a factor of 1.001", ("imprecise",)),
    "mean not divided": (
        function(np.mean, lambda dy, x: np.full(x.shape, dy)),
        [(3, 4)],
        "factor",
        "a factor of 12: 12 is the number of elements.* A mean divides",
        ("statistic_fixed",),
    ),
    "mean of rows not divided": (
        function(lambda x: x.mean(1), lambda dy, x: np.broadcast_to(dy[:, None], x.shape)),
        [(3, 4)],
        "factor",
        "a factor of 4: 4 is the size of one or more axes",
        ("statistic_fixed",),
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
        "operand_turned",
        "if input 1 were transposed",
        ("forward_again",),
    ),
    "a not transposed": (
        matmul(lambda dy, a, b: (dy @ b.T, a @ dy)),
        [(3, 3), (3, 3)],
        "operand_turned",
        "if input 0 were transposed",
        ("forward_again",),
    ),
    "dy transposed": (
        matmul(lambda dy, a, b: (dy.T @ b.T, a.T @ dy)),
        [(3, 3), (3, 3)],
        "operand_turned",
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
    "filter not turned": (
        function(np.correlate, lambda dy, x, w: (np.convolve(dy, w[::-1]), np.correlate(x, dy))),
        [(6,), (3,)],
        "operand_turned",
        "if input 1 were in reverse",
        (),
    ),
    "kernel not turned": (
        function(lambda x, w: x * np.flip(w), lambda dy, x, w: (dy * w, np.flip(dy * x))),
        [(3, 4), (3, 4)],
        "operand_turned",
        "if input 1 were in reverse along two axes",
        (),
    ),
    "x² forgotten": (function(lambda x: x**3 / 3, lambda dy, x: dy), [(3, 4)], "missing_factor", "the square of input 0", ()),
    "mean held fixed": (
        function(lambda x: x - x.mean(1, keepdims=True), lambda dy, x: dy),
        [(3, 4)],
        "statistic_fixed",
        "the same number along axis 1: forward takes a mean",
        (),
    ),
    "mean and variance held fixed": (
        function(standardized, lambda dy, x: dy / x.std(0)),
        [(4, 3)],
        "statistic_fixed",
        "a multiple of the output and a constant along axis 0: the mean or the variance",
        (),
    ),
    "y for y(1 − y)": (
        function(sigmoid, lambda dy, x: dy * sigmoid(x)),
        [(3, 4)],
        "missing_factor",
        "times 1 − the output",
        (),
    ),
    "1 − y for 1 − y²": (
        function(np.tanh, lambda dy, x: dy * (1 - np.tanh(x))),
        [(3, 4)],
        "missing_factor",
        "times 1 . the output",
        (),
    ),
    "only the largest of all": (
        function(lambda x: x.max(1), lambda dy, x: dy[:, None] * (x == x.max())),
        [(3, 4)],
        "where_wrong",
        "is 0 at the wrong elements: is a mask",
        (),
    ),
    "those left out, too": (
        function(lambda x: x * MASK, lambda dy, x: dy),
        [(3, 4)],
        "where_wrong",
        "the wrong elements should be 0, as",
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
    told = [line for line in lines if "hint:" in line]
    assert len(told) == 1 and told[0].startswith("hint: " if hint else "no hint: ")
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
    answering = {hint.__name__ for hint in hints.HINTS if finding.says(hint)}
    assert answering == {*also, *([hint] if hint else [])}


def test_every_hint_has_a_mistake():
    assert {hint.__name__ for hint in hints.HINTS} == {hint for _, _, hint, *_ in MISTAKES.values()} - {None}


# --- shapes

SHAPES = {
    "not summed": (add(lambda dy, a, b: (dy, dy)), [(3, 4), (4,)], r"Sum over axis 0 \(arrays: .*unbroadcast"),
    "kept axis not summed": (add(lambda dy, a, b: (dy, dy)), [(3, 4), (3, 1)], "Sum over axis 1 "),
    "not summed over two": (add(lambda dy, a, b: (dy, dy)), [(2, 3, 4), (3, 1)], r"Sum over axes \(0, 2\) "),
    "transposed": (slope_of_sine(lambda dx: dx.T), [(3, 4)], "transposed: a .T"),
    "raveled": (slope_of_sine(np.ravel), [(3, 4)], "a reshape to the input's shape"),
    "not spread": (function(lambda x: x.sum(1), lambda dy, x: dy), [(3, 4)], "spreads dy over all of them"),
    "not padded": (function(lambda x: x[1:], lambda dy, x: dy), [(5,)], "or puts 0 there"),
    "of no kin": (slope_of_sine(lambda dx: np.ones((7, 5))), [(3,)], None),
}


@pytest.mark.parametrize("mistake", SHAPES)
def test_promise_04_a_wrong_shape_is_explained(mistake):
    func, shapes, hint = SHAPES[mistake]
    with pytest.raises(GradcheckError, match=r"backward fails: Custom.backward: a gradient of shape") as error:
        gradcheck(func, [leaf(*shape, seed=i) for i, shape in enumerate(shapes)])
    _, *rest = str(error.value).splitlines()
    assert len(rest) == bool(hint)
    if hint:
        with pytest.raises(GradcheckError, match="\nhint: .*" + hint):
            raise error.value
    assert error.value.__cause__ is None


# --- of several, the one that shows most


class Halves(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2, x * 3


def test_of_several_outputs_the_one_at_fault_is_named():
    class Second(Halves):
        @staticmethod
        def backward(ctx, da, db):
            return da * 2 - db * 3

    with pytest.raises(GradcheckError, match=r"the gradient of output 1 with .*\n(.*\n)*hint: the sign is wrong"):
        gradcheck(Second.apply, leaf(3))
    with pytest.raises(GradcheckError, match=r"the gradient of the outputs with .*\n(.*\n)*no hint"):
        gradcheck(Second.apply, leaf(3), check_undefined_grad=False)


def test_of_several_inputs_the_one_with_a_hint_and_the_most_elements_is_reported():
    wrong_twice = function(lambda a, b: a + b.sum(), lambda dy, a, b: (-dy, np.full(b.shape, -dy.sum())))
    with pytest.raises(GradcheckError, match=r"input 1, shape \(3, 4\).*\n(.*\n)*\(wrong, too: .* input 0\)$"):
        gradcheck(wrong_twice, (leaf(), leaf(3, 4)))
    without_and_with = function(lambda a, b: a + b.sum(), lambda dy, a, b: (dy * np.exp(a), np.full(b.shape, -dy.sum())))
    with pytest.raises(GradcheckError, match=r"input 1, shape \(2,\).*\n(.*\n)*hint: the sign"):
        gradcheck(without_and_with, (leaf(3, 4), leaf(2)))


def test_a_later_input_at_a_border_hides_no_finding():
    near = minidl.tensor(np.array([1e-9, 1.0]), requires_grad=True)
    func = function(lambda a, b: a[:2] + np.sqrt(b), lambda dy, a, b: (np.append(-dy, 0.0), dy / (2 * np.sqrt(b))))
    with np.errstate(invalid="ignore"), pytest.raises(GradcheckError, match=r"input 0.*\n(.*\n)*hint: the sign"):
        gradcheck(func, (leaf(3), near))


class WrongSine(ops.Op):
    def forward(self, x):
        self.x = x
        return np.sin(x)

    def backward(self, dy):
        return -dy * np.cos(self.x)


SINE = Row(WrongSine, each(np.sin), ELEMENTWISE)


def test_the_table_reports_its_richest_case():
    with pytest.raises(AssertionError, match=r"^WrongSine-\(3,4\): gradcheck: .*\n(.*\n)*hint: the sign is wrong") as error:
        check_row(check_gradient, SINE)
    assert error.value.__suppress_context__ and str(error.value).count("hint:") == 1


def test_the_table_prefers_a_case_with_a_hint():
    class Swapped(ops.MatMul):
        def backward(self, dy):
            return dy @ self.b, self.a.T @ dy

    with pytest.raises(AssertionError, match=r"^MatMul-\(3,3\)-\(3,3\): .*\n(.*\n)*hint: .* if input 1 were transposed"):
        check_row(check_gradient, ROW_OF[ops.MatMul], Swapped)


def test_the_table_says_where_an_operation_broke_down():
    class Broken(WrongSine):
        def forward(self, x):
            return x.no_such_method()

    message = (
        r"^WrongSine-\(3,4\): AttributeError: .*\nraised in forward, .*test_diagnosis.py:\d+: return x.no_such_method\(\)$"
    )
    with pytest.raises(AssertionError, match=message):
        check_row(check_value, SINE, Broken)


# --- what is no matter of elements


def test_a_gradient_that_went_through_float32_is_found_within_the_tolerance():
    narrow = slope_of_sine(lambda dx: dx.astype(np.float32).astype(float))
    with pytest.raises(GradcheckError, match="the gradient for input 0 has the digits of float32 only"):
        gradcheck(narrow, leaf(3, 4))
    assert gradcheck(lambda x: x * 0.5 + x.sum(), leaf(3, 4))  # short numbers, of dy's length
    assert gradcheck(lambda x: (x * 0).sum(), leaf(3, 4))
    for short in (np.zeros(3), np.array([2.0**-60, -3 * 2.0**-55]), np.array([1e300]), np.array([0.5, 0.1])):
        assert not hints.rounded(short)  # what rounding leaves of a 0 is short
    assert hints.rounded(np.array([0.0, np.float32(0.1), 0.5]))


class WritesToSaved(ops.Op):
    def forward(self, x):
        self.kept = np.cos(x)
        return np.sin(x)

    def backward(self, dy):
        self.kept *= dy
        return self.kept.copy()


class WritesToCotangent(WritesToSaved):
    def backward(self, dy):
        dy *= self.kept
        return dy.copy()


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (WritesToSaved, "a second walk back .* writes to an array that forward saved"),
        (WritesToCotangent, "changed dy, .*in place"),
    ],
)
def test_a_backward_that_writes_where_it_must_not(op, message):
    with pytest.raises(GradcheckError, match=message):
        gradcheck(lambda x: apply(op(), x), leaf(3, 4))


def test_gradgradcheck_names_the_gradients_and_cotangents():
    class Half(Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, dy):
            a, b = ctx.saved_tensors
            return dy * b, dy.detach() * a

    assert gradcheck(Half.apply, (leaf(3), leaf(3, seed=1)))
    message = "gradgradcheck: the gradient of the gradient for input 1 with respect to the cotangent of output 0, .* is missing"
    with pytest.raises(GradcheckError, match=message):
        gradgradcheck(Half.apply, (leaf(3), leaf(3, seed=1)))


# --- what one reads, under pytest and without


def test_an_error_of_the_users_comes_without_the_frames_of_the_engine():
    def fails(dy, x):
        raise KeyError("mine")

    with pytest.raises(KeyError) as error:
        gradcheck(function(np.sin, fails), leaf(3))
    names = [entry.name for entry in error.traceback]

    def fails_as_the_engine_does(dy, x):
        raise RuntimeError("mine")

    message = r"backward fails: mine\nraised in fails_as_the_engine_does, .*test_diagnosis.py:\d+$"
    with pytest.raises(GradcheckError, match=message):
        gradcheck(function(np.sin, fails_as_the_engine_does), leaf(3))
    assert names[0] == "test_an_error_of_the_users_comes_without_the_frames_of_the_engine" and names[-1] == "fails"
    assert not {"walk", "_walk", "grad"} & set(names)


HEADER = """
import numpy as np
from minidl import ops, tensor
from minidl.autograd import gradcheck
from minidl.tensors.record import apply
from tests.checks import check_gradient, check_row
from tests.table import ROW_OF

X = tensor(np.random.default_rng(0).normal(size=(3, 4)), requires_grad=True)
"""
WITH_GRADCHECK = """
class Sine(ops.Op):
    def forward(self, x):
        self.x = x
        return np.sin(x)

    def backward(self, dy):
        return -dy * np.cos(self.x)

def test_sine():
    gradcheck(lambda x: apply(Sine(), x), X)
"""
WITH_THE_TABLE = """
class Exp(ops.Exp):
    def backward(self, dy):
        return -dy * self.y

def test_exp():
    check_row(check_gradient, ROW_OF[ops.Exp], Exp)
"""
NOT_SUMMED = """
class Add(ops.Add):
    def backward(self, dy):
        return dy, dy

def test_add():
    gradcheck(lambda a, b: apply(Add(), a, b), (X, X[0].detach().clone().requires_grad_()))
"""
BREAKS = """
class Sine(ops.Op):
    def forward(self, x):
        return np.sin(x)

    def backward(self, dy):
        return dy * np.cos(self.x)

def test_sine():
    gradcheck(lambda x: apply(Sine(), x), X)
"""


def run_python(folder, *args):
    names = ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS")  # in CI pytest repeats whole messages at its end
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"PYTHONPATH": str(ROOT), "MINIDL_QUIET": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, *args], cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (WITH_GRADCHECK, "hint: the sign is wrong"),
        (WITH_THE_TABLE, "hint: the sign is wrong"),
        (NOT_SUMMED, "hint: broadcasting repeated this input. Sum over axis 0"),
        (BREAKS, "AttributeError: 'Sine' object has no attribute 'x'"),
    ],
    ids=["gradcheck", "table", "shape", "error"],
)
def test_under_pytest_a_wrong_operation_is_told_in_a_few_lines_and_once(program, said, tmp_path):
    (tmp_path / "test_mine.py").write_text(textwrap.dedent(HEADER + program), encoding="utf-8")
    text = run_python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_mine.py")
    assert "1 failed" in text
    assert text.count(said) == 1, text
    assert len(text.splitlines()) < 35, text
    assert "minidl/autograd" not in text and "minidl/graph" not in text, text


def test_without_pytest_the_traceback_is_short_too(tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(HEADER + WITH_GRADCHECK + "\ntest_sine()\n"), encoding="utf-8")
    text = run_python(tmp_path, "mine.py")
    assert text.count("hint: the sign is wrong") == 1 and len(text.splitlines()) < 25, text
