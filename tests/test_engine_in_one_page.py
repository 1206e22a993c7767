"""The engine in one page has the gradients that minidl has."""

import ast
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import minidl

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "examples" / "engine_in_one_page.py"
SPEC = importlib.util.spec_from_file_location("engine_in_one_page", PAGE)
page = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(page)

OPERATIONS = "Add Sub Mul Div MatMul Exp Log Tanh ReLU Sum".split()  # noqa: SIM905
EXPRESSIONS = {
    "Add": lambda a, b, c: a + b,
    "Sub": lambda a, b, c: a - b,
    "Mul": lambda a, b, c: a * b,
    "Div": lambda a, b, c: a / b,
    "MatMul": lambda a, b, c: a @ c,
    "Exp": lambda a, b, c: a.exp(),
    "Log": lambda a, b, c: b.log(),
    "Tanh": lambda a, b, c: a.tanh(),
    "ReLU": lambda a, b, c: a.relu(),
    "Sum": lambda a, b, c: a.sum() * a,
    "a row that is repeated": lambda a, b, c: (a @ c + c.sum()) * c,
    "a number": lambda a, b, c: (a - 2.0) * 0.5,
    "used twice": lambda a, b, c: (a + a) * (a + a),
    "a diamond": lambda a, b, c: (a.exp() + b) * a.exp().tanh() - a,
    "all of them": lambda a, b, c: ((a * b).tanh() @ c / b.sum() + c.relu() - c.exp()) * (b @ c).log(),
}


def gradients(tensor, expression, weights):
    rng = np.random.default_rng(0)
    shapes = (3, 3), (3, 3), (3, 1) if "row" in expression else (3, 3)
    a, b, c = (tensor(rng.uniform(0.5, 2, shape) * sign) for shape, sign in zip(shapes, (-1, 1, 1), strict=True))
    y = EXPRESSIONS[expression](a, b, c)
    (y * weights(y)).sum().backward()
    return [np.zeros(x.array.shape) if x.grad is None else getattr(x.grad, "array", x.grad) for x in (a, b, c)]


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_its_gradients_are_minidls(name):
    def weights(y):
        return np.arange(1.0, 1 + y.array.size).reshape(y.array.shape)

    ours = gradients(lambda x: minidl.tensor(x, requires_grad=True), name, lambda y: minidl.tensor(weights(y)))
    for mine, theirs in zip(gradients(lambda x: page.Tensor(x, True), name, weights), ours, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-12, 1e-12)


def test_broadcast_operands():
    rng = np.random.default_rng(1)
    for shape in ((), (4,), (1, 4), (3, 1), (1, 1), (2, 1, 4)):
        arrays = rng.normal(size=(3, 4)), rng.normal(size=shape)
        found = []
        for tensor in (lambda x: page.Tensor(x, True), lambda x: minidl.tensor(x, requires_grad=True)):
            a, b = map(tensor, arrays)
            (a * b * a).sum().backward()
            found.append([getattr(x.grad, "array", x.grad) for x in (a, b)])
        for mine, theirs in zip(*found, strict=True):
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, 1e-12)


def test_the_loss_of_its_network_has_minidls_gradients():
    rng = np.random.default_rng(2)
    x, label = rng.normal(size=(8, 2)), rng.integers(0, 2, 8)
    net = page.MLP(2, 5, 2)
    page.cross_entropy(net(page.Tensor(x)), np.eye(2)[label]).backward()
    (w1, b1), (w2, b2) = [[minidl.tensor(p.array, requires_grad=True) for p in layer] for layer in net.layers]
    logits = (minidl.tensor(x) @ w1 + b1).tanh() @ w2 + b2
    minidl.nn.functional.cross_entropy(logits, minidl.tensor(label)).backward()
    for mine, theirs in zip((p for layer in net.layers for p in layer), (w1, b1, w2, b2), strict=True):
        np.testing.assert_allclose(mine.grad, theirs.grad.array, 1e-10, 1e-12)


def test_gradients_add_up_over_two_walks():
    x = page.Tensor([1.0, 2.0], True)
    (x * x).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [4, 8]


@pytest.mark.parametrize("name", OPERATIONS)
def test_its_check_passes_and_finds_a_planted_mistake(name, monkeypatch):
    def scalar(x):
        y = EXPRESSIONS[name](x, page.Tensor(np.full((3, 3), 1.5)), page.Tensor(np.full((3, 3), 0.7)))
        if name == "Log":
            y = x.log()
        return (y * np.arange(1.0, 10).reshape(3, 3)).sum()

    x = page.Tensor(np.linspace(0.5, 2, 9).reshape(3, 3), True)
    assert page.gradcheck(scalar, x)
    right = getattr(page, name).backward
    monkeypatch.setattr(getattr(page, name), "backward", lambda *args: tuple(1.001 * dx for dx in right(*args)))
    assert not page.gradcheck(scalar, x)


def test_it_is_one_page_that_imports_numpy_only_and_points_to_files_that_exist():
    text = PAGE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    imports = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.Import, ast.ImportFrom))]
    names = {alias.name for n in imports if isinstance(n, ast.Import) for alias in n.names}
    assert names | {n.module for n in imports if isinstance(n, ast.ImportFrom)} == {"numpy", "argparse", "itertools"}
    files = set(re.findall(r"minidl/[\w/]+\.py", text))
    assert len(files) >= 12 and all((ROOT / file).is_file() for file in files)


def test_its_operations_have_the_names_that_they_have_in_minidl():
    assert all(issubclass(getattr(page, name), page.Op) and hasattr(minidl.ops, name) for name in OPERATIONS)


@pytest.mark.parametrize("seed", ["0", "1"])
def test_it_meets_its_target(seed, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [str(PAGE), "--seed", seed])
    page.main()
    *picture, last = capsys.readouterr().out.splitlines()
    assert len(picture) == 32 and float(last.split("%")[0]) >= 99
