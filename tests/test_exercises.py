"""The exercises: solutions are minidl's own mathematics, planted mistakes are found and named, files are never lost."""

import re
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import exercises
from minidl.exercises.catalogue import BY_NAME, EXERCISES
from minidl.exercises.command import main
from minidl.exercises.folder import blank, path_of
from minidl.exercises.judge import class_name, judged, loaded
from minidl.nn import functional as F

# minidl's own operations, which the solutions must agree with.
OWN = {
    "add": lambda o, a, b: a + b,
    "multiply": lambda o, a, b: a * b,
    "square": lambda o, x: x.square(),
    "exp": lambda o, x: x.exp(),
    "relu": lambda o, x: F.relu(x),
    "sum": lambda o, x: x.sum(o[0], o[1]),
    "matmul": lambda o, a, b: a @ b,
    "permute": lambda o, x: x.permute(o[0]),
    "max": lambda o, x: x.amax(o[0]),
    "softmax": lambda o, x: x.softmax(-1),
    "log_softmax": lambda o, x: x.log_softmax(-1),
    "cross_entropy": lambda o, x: F.cross_entropy(x, minidl.tensor(o[0])),
    "layer_norm": lambda o, x: F.layer_norm(x, x.shape[-1:], eps=o[0]),
    "conv2d": lambda o, x, w: F.conv2d(x, w, stride=o[0]),
    "attention": lambda o, q, k, v: F.scaled_dot_product_attention(q, k, v),
}


def as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("name", exercises.names())
def test_a_solution_is_right_and_what_minidl_computes(name):
    exercise = BY_NAME[name]
    solution = loaded(exercise, exercise.sheet)
    assert judged(exercise, solution)
    for case in exercise.cases:
        arrays, operation = case.arrays(np.float32), solution(*case.options)
        leaves = [minidl.tensor(x).requires_grad_() for x in arrays]
        y = OWN[name](case.options, *leaves)
        np.testing.assert_allclose(operation.forward(*arrays), y.detach().numpy(), 1e-4, 1e-6)
        dy = np.random.default_rng(3).normal(size=y.shape).astype(np.float32)
        y.backward(minidl.tensor(dy))
        for dx, leaf in zip(as_tuple(operation.backward(dy)), leaves, strict=True):
            np.testing.assert_allclose(dx, leaf.grad.numpy(), 1e-3, 1e-5)


def changed(name, backward):
    """The solution with another backward(right, self, dy), where right(self, dy) is the right one."""
    solution = loaded(BY_NAME[name], BY_NAME[name].sheet)
    right = solution.backward
    return type(solution.__name__, (solution,), {"backward": lambda self, dy: backward(right, self, dy)})


def of(*part):
    """A mistake in the gradients of these inputs only."""

    def make(change):
        def backward(right, self, dy):
            return tuple(change(dx) if i in part else dx for i, dx in enumerate(as_tuple(right(self, dy))))

        return backward

    return make


def sign(right, self, dy):
    return tuple(-dx for dx in as_tuple(right(self, dy)))


def twice(right, self, dy):
    return tuple(2 * dx for dx in as_tuple(right(self, dy)))


def ignores_dy(right, self, dy):
    return right(self, np.ones_like(dy))


def only_zeros(right, self, dy):
    return tuple(np.zeros_like(dx) for dx in as_tuple(right(self, dy)))


def one_row(right, self, dy):
    dxs = [dx.copy() for dx in as_tuple(right(self, dy))]
    for dx in dxs:
        dx[(-1,) if dx.ndim else ()] *= 1.01
    return tuple(dxs)


USUAL = [
    (sign, "hint: wrong sign|hint: .*sign"),
    (twice, "hint: off by a factor of 0?.?[25]|factor"),
    (ignores_dy, "dy|cotangent|factor|at 15 of 15"),
    (only_zeros, "wrong at"),
    (one_row, "wrong at"),
]


@pytest.mark.parametrize("name", exercises.names())
@pytest.mark.parametrize(("mistake", "says"), USUAL, ids=lambda x: getattr(x, "__name__", ""))
def test_a_usual_mistake_is_found_and_named(name, mistake, says):
    result = judged(BY_NAME[name], changed(name, mistake))
    assert result.state == "wrong" and re.search(says, result.message), result


def softmax_alone(right, self, dy):
    return self.y * dy


def max_of_row(right, self, dy):
    largest = self.x == np.expand_dims(self.y, self.axis)
    return np.expand_dims(dy, self.axis) * largest


def first_largest(right, self, dy):
    dx = np.zeros_like(self.x)
    np.put_along_axis(dx, np.expand_dims(self.x.argmax(self.axis), self.axis), np.expand_dims(dy, self.axis), self.axis)
    return dx


def spoils(right, self, dy):
    self.y *= dy
    return self.y


OWN_MISTAKES = [  # (exercise, what is wrong, backward, what is said)
    (
        "add",
        "not summed",
        lambda right, self, dy: (dy, dy),
        r"db has shape \(3, 5\), and must have that of b, \(5,\)(.|\n)*Sum over",
    ),
    ("add", "the mean of copies", of(1)(lambda dx: dx / 2), "with respect to b"),
    ("add", "one only", lambda right, self, dy: right(self, dy)[0], "a gradient for each input of forward; got one ndarray"),
    ("multiply", "exchanged", lambda right, self, dy: right(self, dy)[::-1], "the gradient of the output with respect to a"),
    ("multiply", "b forgotten", lambda right, self, dy: (dy * self.b, None), "db is None: b gets a gradient, too"),
    ("multiply", "the same for both", lambda right, self, dy: (dy * self.b, dy * self.b), "with respect to b"),
    ("square", "x only", lambda right, self, dy: dy * self.x, "off by a factor of 0.5"),
    ("square", "no x", lambda right, self, dy: dy * 2, "wrong at"),
    ("exp", "of x", lambda right, self, dy: dy * np.log(self.y), "wrong at"),
    ("exp", "no dy", lambda right, self, dy: self.y.copy(), "dy|cotangent"),
    ("exp", "writes into what forward has kept", spoils, "writes to an array that forward saved"),
    ("relu", "1 at 0", lambda right, self, dy: dy * (self.x >= 0), r"dx\[0, 1\] is .* It is a kink or a tie"),
    ("relu", "all", lambda right, self, dy: dy.copy(), "wrong at"),
    ("sum", "no axis", lambda right, self, dy: np.broadcast_to(dy, self.shape), "ValueError|wrong at"),
    ("sum", "keepdim only", lambda right, self, dy: dy, "and must have that of x(.|\n)*Backward spreads dy"),
    ("matmul", "no transpose", lambda right, self, dy: (dy @ self.b, self.a @ dy), "matmul: Input operand"),
    ("matmul", "turned", lambda right, self, dy: ((self.b @ dy.T), self.a.T @ dy), r"da has shape \(5, 3\)(.|\n)*transposed"),
    ("permute", "the same again", lambda right, self, dy: dy.transpose(self.axes), r"dx has shape|wrong at"),
    ("permute", "reversed", lambda right, self, dy: dy.transpose(), "dx has shape|wrong at"),
    ("max", "ties get all", max_of_row, "a kink or a tie"),
    ("max", "the first of ties", first_largest, "a kink or a tie"),
    ("softmax", "diagonal only", softmax_alone, "wrong at"),
    ("softmax", "all rows", lambda right, self, dy: self.y * (dy - (dy * self.y).sum()), "wrong at"),
    ("log_softmax", "of dy alone", lambda right, self, dy: dy - np.exp(self.y), "wrong at"),
    ("log_softmax", "mean", lambda right, self, dy: dy - np.exp(self.y) * dy.mean(-1, keepdims=True), "wrong at"),
    ("cross_entropy", "sum", lambda right, self, dy: right(self, dy) * len(self.labels), "factor"),
    ("cross_entropy", "no label", lambda right, self, dy: np.exp(self.log_p) * dy / len(self.labels), "wrong at"),
    ("cross_entropy", "no dy", lambda right, self, dy: right(self, np.ones_like(dy)), "dy|cotangent|factor"),
    ("layer_norm", "σ constant", lambda right, self, dy: (dy - dy.mean(-1, keepdims=True)) / self.std, "hint: "),
    ("layer_norm", "μ and σ constant", lambda right, self, dy: dy / self.std, "hint: "),
    ("conv2d", "exchanged", lambda right, self, dy: right(self, dy)[::-1], "dx has shape"),
    ("conv2d", "kernel turned", of(1)(lambda dw: dw[:, :, ::-1].copy()), "with respect to w"),
    ("attention", "no scale", of(0, 1)(lambda dx: dx * 2), "factor"),
    ("attention", "k for q", lambda right, self, dy: (*right(self, dy)[1::-1], right(self, dy)[2]), "d[qk] has shape"),
]


@pytest.mark.parametrize(("name", "what", "backward", "says"), OWN_MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_a_mistake_of_this_exercise_is_found_and_named(name, what, backward, says):
    result = judged(BY_NAME[name], changed(name, backward))
    assert result.state == "wrong" and re.search(says, result.message), result
    assert "(tried with " in result.message or "a gradient" in result.message


STRANGE = [  # what a student's backward may do besides
    ("return None", "backward returns None: it ends without `return dx`"),
    ("dy *= 2; return dy * self.x", "backward writes into dy"),
    ("self.x *= 2; return dy * self.x", "an input was written into"),
    ("return (dy * 2 * self.x).astype('float32')", "dx is float32, and must be float64"),
    ("return 3.0", "dx is a float: backward computes with NumPy's arrays"),
    ("return dy * 2 * self.x / 0", "NaN or infinite numbers"),
    ("return dy.sum()", r"dx has shape \(\)"),
    ("return dy, dy", "a gradient for each input of forward; got 2 results"),
    ("return dy * self.z", "AttributeError: .*no attribute 'z'\n  .*03_square.py:\\d+: return dy"),
    ("raise NotImplementedError('later')", "NotImplementedError: later"),
    ("raise SystemExit(3)", "backward raises SystemExit: 3\n  .*03_square.py"),
    ("return self.backward(dy)", "RecursionError"),
    ("return [dy * self.x]", "off by a factor of 0.5"),
    ("import minidl; return minidl.tensor(dy)", "dx is a Tensor"),
    ("return dy *", r"Python cannot read the file: invalid syntax, .*03_square.py:\d+"),
]


@pytest.mark.parametrize(("line", "says"), STRANGE)
def test_whatever_a_file_does_is_told(tmp_path, line, says):
    exercises.start(tmp_path)
    path = path_of("square", tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"raise NotImplementedError\(.*\)", lambda match: line, text), encoding="utf-8")
    result = exercises.check(path)
    assert (result.name, result.state) == ("square", "wrong") and re.search(says, result.message), result


def test_a_blank_file_is_not_begun_and_a_kept_one_is_not_overwritten(tmp_path):
    assert len(exercises.start(tmp_path)) == len(EXERCISES) >= 12
    for exercise in EXERCISES:
        path = path_of(exercise.name, tmp_path)
        text = path.read_text(encoding="utf-8")
        assert text == blank(exercise) and "# " not in text.partition("def backward")[2]  # without the reason
        assert exercises.check(path).state == "not begun"
    mine = path_of("exp", tmp_path)
    mine.write_text(BY_NAME["exp"].sheet.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    path_of("relu", tmp_path).unlink()
    assert exercises.start(tmp_path) == [path_of("relu", tmp_path)]
    assert mine.read_text(encoding="utf-8").endswith("# mine\n") and exercises.check(mine).state == "done"


def test_a_file_without_the_class_and_one_that_raises(tmp_path):
    path = tmp_path / "01_add.py"
    path.write_text("class Sum:\n    pass\n")
    assert "the file has no class Add" in exercises.check(path).message
    path.write_text("import sys\nsys.exit(3)\n")
    assert re.search(r"the file raises SystemExit: 3(.|\n)*01_add.py:2", exercises.check(path).message)
    path.write_text("class Add:\n    def forward(self, a, b):\n        return a + b\n")
    assert "Add has no method backward" in exercises.check(path).message
    path.write_text("import numpy\n1 / 0\n")
    assert re.search(r"the file raises ZeroDivisionError(.|\n)*01_add.py:2: 1 / 0", exercises.check(path).message)


def test_forward_must_stay(tmp_path):
    answer = changed("square", lambda right, self, dy: right(self, dy))
    answer.forward = lambda self, x: x
    assert "forward gives other numbers" in judged(BY_NAME["square"], answer).message


def test_check_finds_the_exercise_and_refuses_what_is_none():
    assert exercises.check(loaded(BY_NAME["add"], BY_NAME["add"].sheet))
    assert exercises.check(loaded(BY_NAME["add"], BY_NAME["add"].sheet), "add")
    with pytest.raises(ValueError, match=r"none called 'ad'; did you mean add\?"):
        exercises.check(type("ad", (), {}))
    with pytest.raises(TypeError, match="expected a class or the path of a file, got int"):
        exercises.check(3)
    with pytest.raises(ValueError, match="expected a level from 1 to 3, got 4"):
        exercises.hint("add", 4)
    assert all(len(exercise.hints) == 3 and class_name(exercise) for exercise in EXERCISES)


def test_a_result_in_a_notebook_is_escaped():
    result = exercises.Result("add", "wrong", "<b> & x")
    assert "&lt;b&gt; &amp; x" in result._repr_html_() and not result


def test_the_command(tmp_path, capsys):
    def said(*arguments):
        code = main([*arguments])
        return code, capsys.readouterr().out

    folder = ["--folder", str(tmp_path / "mine")]
    assert said("list", *folder)[1].endswith("To begin: python -m minidl exercises start\n")
    assert "15 files written" in said("start", *folder)[1]
    assert "0 files written" in said("start", *folder)[1]
    assert said("check", "add", *folder)[0] == 1 and said("check", *folder)[1].startswith("no exercise is begun")
    path = path_of("multiply", tmp_path / "mine")
    path.write_text(path.read_text().replace('raise NotImplementedError("backward is still to be written")', "return dy, dy"))
    code, text = said("check", *folder)
    assert code == 1 and text.startswith("multiply: wrong") and "hint multiply" in text and "add" not in text
    path.write_text(BY_NAME["multiply"].sheet.read_text(encoding="utf-8"), encoding="utf-8")
    assert said("check", "multiply", *folder) == (0, "multiply: done\n")
    assert re.search(r"2  done +multiply(.|\n)*1 of 15 done", said("list", *folder)[1])
    assert "--level 2" in said("hint", "add")[1] and said("hint", "add", "--level", "3")[1].count("\n") == 1
    assert "return dy * self.b, dy * self.a" in said("solution", "multiply")[1]
    assert said("hint", "nothing")[0] == 2 and said("check", "add", "--folder", str(tmp_path))[0] == 2
    assert said("start", "--folder", str(path))[0] == 2


def test_python_m_minidl():
    run = subprocess.run(
        [sys.executable, "-m", "minidl", "exercises", "hint", "exp"], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("Which function is its own derivative?")
