"""The atlas of operations: a page for each class, and what the pages say is what the package does."""

import inspect
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import GradcheckError
from minidl.viz import reach

from .checks import check_gradient
from .table import ABSTRACT, ROW_OF

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import atlas
import atlas_mutants
from atlas_pictures import Curve, Dependence

ROOT = Path(__file__).resolve().parents[1]
CHOSEN = ["Exp", "Clamp", "Softsign", "Asin", "MatMul", "Softmax", "Conv2d", "Unbind"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas")
    assert atlas.write(folder, only=CHOSEN) == sorted(CHOSEN, key=[op.__name__ for op in atlas.operations()].index)
    return folder


def section(folder, name, title):
    text = (folder / f"{name}.md").read_text(encoding="utf-8")
    return re.search(rf"^## {title}\n\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def rows(folder):
    return dict(re.findall(r"^\| \[?(\w+)(?:\]\(\w+\.md\))? \| (`.+?`) \|", (folder / "index.md").read_text("utf-8"), re.M))


class Nothing:
    """A page that costs no time."""

    curve = None

    def __init__(self, op, link=None):
        self.page = SimpleNamespace(save=lambda path: None)

    def markdown(self, quick=False):
        return "quick" if quick else "whole"


def test_each_class_has_a_page_and_a_row_and_nothing_else_has(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(atlas, "Entry", Nothing)
    monkeypatch.setattr(sys, "argv", ["atlas.py", str(tmp_path), "--quick"])
    atlas.main()
    modules = [module for name, module in sys.modules.items() if name.startswith("minidl.ops.")]
    classes = {x for module in modules for x in vars(module).values() if inspect.isclass(x) and issubclass(x, ops.Op)}
    names = sorted(op.__name__ for op in classes - ABSTRACT - {ops.Op} if op.__module__.startswith("minidl.ops"))
    assert sorted(path.stem for path in tmp_path.glob("*.md")) == sorted([*names, "index"])
    assert sorted(rows(tmp_path)) == names
    assert (tmp_path / "Exp.md").read_text() == "quick"
    assert f"{len(names)} operations" in capsys.readouterr().out


def test_lines_of_a_docstring_stay_lines(folder):
    for name in CHOSEN:
        block = section(folder, name, "Formula and derivative")
        inside = re.fullmatch(r"```\{code-block\} text\n:class: atlas-text\n\n(.*)\n```\n\n", block, re.S)[1]
        assert inside.splitlines() == inspect.getdoc(getattr(ops, name)).splitlines()
    assert "y = x/(1 + |x|)\n" in section(folder, "Softsign", "Formula and derivative")


def test_index_has_the_formula_of_each_operation_and_curves(folder):
    found = rows(folder)
    assert found["Exp"] == "`y = eˣ`"
    assert found["Softsign"] == r"`y = x/(1 + \|x\|)`"  # in a table a bar ends the cell
    assert len(found) == len(atlas.operations())
    lines = (folder / "index.md").read_text("utf-8").splitlines()
    assert [line.count("<svg") for line in lines if re.match(r"\| \[(Exp|MatMul)\]", line)] == [1, 0]
    assert all(f"\n{name}\n" in (folder / "index.md").read_text("utf-8") for name in CHOSEN)  # of the toctree


def test_sources_are_quoted_with_their_place(folder):
    for name in ("Clamp", "Conv2d", "Unbind"):
        text = section(folder, name, "Source")
        found = re.findall(r"^`(\w+)`: `([\w/.]+)`, line (\d+)\n\n```python\n(.*?)\n```", text, re.M | re.S)
        assert [row[0] for row in found] == ["__init__", "forward", "backward"]
        for what, path, line, code in found:
            first, *rest = (ROOT / path).read_text("utf-8").splitlines()[int(line) - 1 :]
            assert first.strip().startswith(f"def {what}(self")
            assert [row[4:] for row in [first, *rest][: len(code.splitlines())]] == code.splitlines()


# --- pictures


@pytest.mark.parametrize(("op", "options"), [(ops.Exp, ()), (ops.Log, ()), (ops.GELU, ("none",)), (ops.ELU, (1.0,))])
def test_slope_that_is_drawn_is_the_difference_quotient(op, options):
    x, _, slope = Curve(lambda: op(*options)).lines()
    kept = np.isfinite(slope) & (np.abs(slope) < 5) & (np.abs(x) > 0.1)
    h = 1e-5
    quotient = (op(*options).forward(x[kept] + h) - op(*options).forward(x[kept] - h)) / (2 * h)
    assert kept.sum() > 700
    np.testing.assert_allclose(slope[kept], quotient, 1e-6, 1e-8)


def test_curve_with_a_wrong_backward_is_refused():
    wrong = type("Wrong", (ops.Square,), {"backward": lambda s, dy: dy * s.x})
    with pytest.raises(ValueError, match=r"Wrong: at x = -2.* backward gives -2.*, the difference quotient is -4"):
        Curve(wrong)


def test_curves_know_their_domain_kinks_and_jumps():
    assert Curve(ops.Acosh).low == 1
    assert 0 < Curve(ops.Log).low < 0.01
    assert (Curve(ops.Asin).low, Curve(ops.Asin).high) == (-1, 1)
    curve = Curve(ops.ReLU)
    assert curve.kinks.tolist() == [0] and not len(curve.jumps)
    x, f, slope = curve.lines()
    assert np.isnan(slope[x == 0]).all() and f[x == 0].tolist() == [0]  # no line from 0 to 1
    assert curve.svg("ReLU").count("<use ") > Curve(ops.SiLU).svg("SiLU").count("<use ")  # a dot and a ring
    floor = Curve(lambda: ops.PiecewiseConstant(np.floor))
    assert floor.jumps.tolist() == list(range(-4, 5))


def path_of(svg, style):
    numbers = re.search(rf'<path d="([^"]*)"[^>]*{style}', svg)[1]
    return np.array(re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", numbers), float)


def test_lines_of_the_svg_are_f_and_its_slope():
    svg = Curve(ops.Square).svg("Square")
    x, y = path_of(svg, "stroke: #d9730d").T  # the slope 2x: a straight line
    bend = np.abs(np.polyval(np.polyfit(x, y, 1), x) - y).max()
    x, y = path_of(svg, "stroke: #3b7fd4").T
    assert bend < 0.3 and np.abs(np.polyval(np.polyfit(x, y, 1), x) - y).max() > 30
    assert np.abs(np.polyval(np.polyfit(x, y, 2), x) - y).max() < 0.3


def test_curve_has_labels_and_the_colours_of_the_page(folder):
    svg = section(folder, "Asin", "Curve")
    assert 'aria-label="Asin: f and its derivative for x from -1 to 1"' in svg
    assert re.findall(r">(x|f\(x\) and f′\(x\)|f: forward|f′: backward, for dy = 1|−0\.75)</text>", svg) == [
        "−0.75",
        "x",
        "f(x) and f′(x)",
        "f: forward",
        "f′: backward, for dy = 1",
    ]
    assert "currentColor" in svg and "#010203" not in svg and "<style" not in svg and "<metadata" not in svg
    assert "they agree" in svg


@pytest.mark.parametrize("name", ["MatMul", "Softmax", "Conv2d"])
def test_picture_shows_the_elements_that_explain_points_to(name):
    op, case = getattr(ops, name), atlas.sample(ROW_OF[getattr(ops, name)])
    arrays = Dependence(lambda: op(*case.options), case.inputs)
    options = dict(zip(atlas.parameters(op.__init__, len(case.options)) if case.options else [], case.options, strict=True))
    inputs = [(None, x) for x in case.inputs]
    entry = SimpleNamespace(name=name, failed=False, options=options, inputs=inputs, outputs=arrays.outputs)
    for rule, x, dx in zip(reach.rules(entry), case.inputs, arrays.gradients, strict=True):
        np.testing.assert_array_equal(dx != 0, reach.reached(rule, arrays.place, x.shape, arrays.outputs[0].shape))


def test_picture_has_every_element_with_its_number(folder):
    text = section(folder, "MatMul", "What one element depends on")
    case = atlas.sample(ROW_OF[ops.MatMul])
    a, b = case.inputs
    assert text.count("<title>") == 2 * a.size + 2 * b.size + (a @ b).size
    assert f"<title>[0, 1]: {a[0, 1]:.4g}</title>" in text
    assert "∂y[1, 1]/∂a" in text and text.count('stroke-width="2.5"') == 1
    assert section(folder, "Unbind", "What one element depends on").count("<text") == 5  # x, its gradient, y1 to y3


# --- pages of explain


def test_page_of_explain_stands_beside(folder):
    for name in CHOSEN:
        assert f'src="explain/{name}.html"' in section(folder, name, "Step by step")
        html = (folder / "explain" / f"{name}.html").read_text("utf-8")
        assert f"apply({name}(" in html and len(html) < 100_000
        assert '"verdict":"ok"' in html and '"verdict":"wrong"' not in html
    assert sorted(path.stem for path in (folder / "explain").iterdir()) == sorted(CHOSEN)


def test_writing_again_gives_the_same_bytes_wherever_the_pages_stand(folder, tmp_path):
    atlas.write(tmp_path / "atlas", pages=tmp_path / "extra", link="source:{path}#L{line}", only=["Clamp", "Unbind"])
    for name in ("Clamp", "Unbind"):
        assert (tmp_path / "extra" / f"{name}.html").read_bytes() == (folder / "explain" / f"{name}.html").read_bytes()
        text = (tmp_path / "atlas" / f"{name}.md").read_text("utf-8")
        assert re.search(r"\[`(minidl/ops/\w+\.py)`, line (\d+)\]\(source:\1#L\2\)", text)
        unlinked = re.sub(r"\[(`[^`]+`, line \d+)\]\(source:[^)]+\)", r"\1", text)
        assert unlinked == (folder / f"{name}.md").read_text("utf-8")


def test_options_are_said(folder):
    assert "for `low` = `-0.5`, `high` = `0.7`." in section(folder, "Clamp", "Curve")


# --- wrong rules


@pytest.mark.parametrize("name", CHOSEN)
def test_report_on_the_wrong_rule_is_that_of_gradcheck(folder, name):
    text = section(folder, name, "A wrong rule under gradcheck")
    report = re.search(r"```\{code-block\} text\n:class: atlas-text\n\n(.*?)\n```", text, re.S)[1]
    what, code = re.search(r"is planted: \*(.+)\*\.\n\n```python\n(.*?)\n```", text, re.S).groups()
    what = re.sub(r"\\(.)", r"\1", what)
    op = getattr(ops, name)
    methods, tree = {wrong: rest for wrong, *rest in atlas_mutants.planted()[op]}[what]
    assert code == atlas_mutants.quoted(tree)
    assert code.splitlines()[0] in (ROOT / "tests" / "test_mutants.py").read_text("utf-8")
    case = next(case for case in ROW_OF[op].cases if f"case `{case}`" in text)
    with pytest.raises(GradcheckError) as error:
        check_gradient(case, type(name, (op,), methods))
    assert str(error.value) == report and ("is wrong at" in report or "fails" in report)
    assert "The right rule passes the same check" in text


def test_rule_that_is_not_wrong_is_noticed(monkeypatch):
    monkeypatch.setattr(atlas_mutants, "planted", lambda: {ops.Exp: [("nothing", {"backward": ops.Exp.backward}, None)]})
    with pytest.raises(AssertionError, match="Exp: gradcheck lets a wrong rule pass"):
        atlas_mutants.Wrong(ROW_OF[ops.Exp])


def test_helpers_of_a_wrong_rule_are_quoted(folder):
    text = section(folder, "Conv2d", "A wrong rule under gradcheck")
    assert "def with_turned_kernel(s, dy):\n    kept" in text and "`right(s, dy)` what the right rule gives" in text


# --- who uses an operation


def test_users_are_found_in_the_code(folder):
    assert section(folder, "Exp", "Used by").strip() == "{py:obj}`minidl.Tensor.exp`, {py:obj}`minidl.exp`."
    users = {op.__name__: [name.removeprefix("minidl.") for name, _ in found] for op, found in atlas.users().items()}
    assert users["Conv2d"][:3] == ["nn.Conv2d", "nn.functional.conv2d", "nn.Conv1d"]
    assert {"Tensor.matmul", "Tensor.mm", "linalg.matmul", "Tensor.__matmul__"} <= set(users["MatMul"])
    assert users["LSTM"] == ["nn.LSTM", "nn.LSTMCell"]
    assert users["Hardtanh"] == ["nn.functional.hardtanh", "nn.functional.relu6"]
    assert "add" in users["Add"] and "Tensor.add_" not in users["Add"]


def test_names_that_are_linked_are_public():
    for name in {name for found in atlas.users().values() for name, linked in found if linked}:
        x = minidl
        for part in name.split(".")[1:]:
            x = getattr(x, part)
        assert "._" not in name
