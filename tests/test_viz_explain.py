"""minidl.viz: what explain and record keep of a loss, checks against difference quotients, boxes, layout, clear errors."""

import base64
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn, viz
from minidl.graph.modes import mode, watchers
from minidl.tensors.record import apply, wrap
from minidl.viz import layout, packing, reach
from minidl.viz.tape import Tape

from .table import TABLE

PAGE = Path(viz.__file__).parent / "page"


def made(data, name, which=0):
    return [node for node in data["nodes"] if node["name"] == name][which]


def array(data, number):
    """The numbers of an array of a page."""
    row = data["arrays"][number]
    raw = np.frombuffer(base64.b64decode(row["data"]), np.float32)
    return raw.reshape(row["shown"])


def value(data, name, which=0, output=0):
    return array(data, made(data, name, which)["values"][output])


def steps(data):
    """[(name of the operation, {name of what it sends to: dx})] in the order of the walk back."""
    nodes = data["nodes"]
    return [
        (nodes[s["node"]]["name"], [(nodes[o["to"]]["name"], array(data, o["dx"])) for o in s["out"]]) for s in data["steps"]
    ]


def verdicts(data):
    """All judgements of a page, of rules and of the chain."""
    rules = [c["verdict"] for s in data["steps"] for o in s["out"] if isinstance(o.get("check"), list) for c in o["check"]]
    return rules + [c["verdict"] for n in data["nodes"] if isinstance(n.get("chain"), list) for c in n["chain"]]


def parameter(*shape, dtype=None):
    return nn.Parameter(minidl.randn(*shape, dtype=dtype))


@pytest.fixture(autouse=True)
def seeded():
    minidl.manual_seed(0)
    yield
    assert mode.watch is None and not watchers  # nothing watches any more


# --- what is kept


def test_values_cotangents_and_gradients_are_those_of_the_walk():
    w, x = parameter(3, 4), minidl.randn(2, 3)

    def loss():
        hidden = x @ w
        return hidden.square().mean()

    page = viz.explain(loss)
    data = page.data
    hidden = x.numpy() @ w.detach().numpy()
    assert [node["name"] for node in data["nodes"]] == ["x", "w", "MatMul", "Square", "Mean"]
    assert [node["kind"] for node in data["nodes"]] == ["constant", "parameter", "op", "op", "op"]
    assert made(data, "MatMul")["needs"] == [0, 1] and made(data, "MatMul")["var"] == "hidden"
    np.testing.assert_allclose(value(data, "MatMul"), hidden, rtol=1e-6)
    found = steps(data)
    assert [name for name, _ in found] == ["Mean", "Square", "MatMul"]
    np.testing.assert_allclose(found[1][1][0][1], hidden / 4, rtol=1e-5)
    [(to, dw)] = found[2][1]
    assert to == "w"
    np.testing.assert_allclose(dw, x.numpy().T @ hidden / 4, rtol=1e-5)
    np.testing.assert_allclose(array(data, made(data, "w")["grad"]), dw, rtol=1e-6)
    assert w.grad is None and data["loss"] == 4
    assert set(verdicts(data)) == {"ok"} and len(made(data, "w")["nudge"][0]["rows"]) == 6


def test_an_operand_that_is_there_twice_gets_two_shares():
    w = parameter(3)
    data = viz.explain(lambda: (w * w).sum()).data
    shares = steps(data)[1][1]
    assert [to for to, _ in shares] == ["w", "w"] and [o["input"] for o in data["steps"][1]["out"]] == [0, 1]
    np.testing.assert_allclose(array(data, made(data, "w")["grad"]), 2 * w.detach().numpy(), rtol=1e-6)


def test_an_operation_with_several_outputs_is_one_node():
    class Ends(minidl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x[0] * 2, x[1] * 1, x[2] * 3

        @staticmethod
        def backward(ctx, first, middle, last):
            return minidl.stack([first * 2, middle, last * 3])

    w = parameter(3, 2)

    def loss():
        a, _, c = Ends.apply(w)
        return (a * c).sum()

    data = viz.explain(loss).data
    node = made(data, "Ends")
    assert node["outputs"] == 3 and len(node["values"]) == 3
    np.testing.assert_array_equal(value(data, "Ends", output=2), 3 * w.detach().numpy()[2])
    step = data["steps"][-1]
    assert data["nodes"][step["node"]] is node and step["dy"][1] is None
    assert [o.get("output", 0) for o in data["steps"][-2]["out"]] == [0, 2]
    assert set(verdicts(data)) == {"ok"}
    (lower,) = [viz.explain(lambda: minidl.linalg.qr(w)[0][0, 0]).data["steps"][-1]["out"][0]["check"]]
    assert {c["verdict"] for c in lower} == {"ok"}


def test_views_and_writes_in_place_show_the_values_of_that_moment():
    w = parameter(2, 3)

    def loss():
        y = w * 1.0
        y[0] *= 3.0
        return (y * y).sum()

    data = viz.explain(loss).data
    np.testing.assert_array_equal(value(data, "Mul", 0), w.detach().numpy())
    np.testing.assert_allclose(value(data, "Mul", 2), (w.detach().numpy() * [[3], [1]]) ** 2, rtol=1e-6)
    scale = np.array([[9], [1]])
    np.testing.assert_allclose(array(data, made(data, "w")["grad"]), 2 * scale * w.detach().numpy(), rtol=1e-5)
    assert set(verdicts(data)) == {"ok"}


def test_a_constant_written_between_two_uses_is_two_constants():
    w, mask = parameter(3), minidl.ones(3)

    def loss():
        a = (w * mask).sum()
        with minidl.no_grad():
            mask[0] = 0.0
        return a + (w * mask).sum()

    data = viz.explain(loss).data
    found = [value(data, n["name"], k) for k, n in enumerate(n for n in data["nodes"] if n["name"] == "mask")]
    assert [list(x) for x in found] == [[1, 1, 1], [0, 1, 1]]


class Cube(minidl.autograd.Function):
    """y = x³
    dx = 3x² dy
    """

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 3 * x * x * dy


class WrongCube(Cube):
    """y = x³, with a factor that is wrong"""

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 2 * x * x * dy


def test_a_function_of_the_user_is_one_operation_with_its_own_text():
    w = parameter(4)
    data = viz.explain(lambda: Cube.apply(w).sum()).data
    assert [n["name"] for n in data["nodes"]] == ["w", "Cube", "Sum"]
    rule = data["rules"]["Cube"]
    assert rule["doc"].startswith("y = x³\ndx = 3x² dy")
    assert [s["name"] for s in rule["source"]] == ["forward", "backward"] and "3 * x * x * dy" in rule["source"][1]["text"]
    assert set(verdicts(data)) == {"ok"}


def test_a_wrong_backward_is_found_by_both_checks_and_only_there():
    w = parameter(4)
    data = viz.explain(lambda: (WrongCube.apply(w) * 2).sum()).data
    for step in data["steps"]:
        expected = {"wrong"} if data["nodes"][step["node"]]["name"] == "WrongCube" else {"ok"}
        assert {c["verdict"] for c in step["out"][0]["check"]} == expected
    assert {c["verdict"] for c in made(data, "w")["chain"]} == {"wrong"}
    assert {c["verdict"] for c in made(data, "Mul")["chain"]} == {"ok"}


def test_kinks_are_named_and_are_no_errors():
    w = nn.Parameter(minidl.tensor([0.0, 1.0, -1.0]))
    data = viz.explain(lambda: (w.relu() * 3).sum()).data
    rows = [c for s in data["steps"] for o in s["out"] for c in o["check"] if c["verdict"] == "kink"]
    assert rows and all(c["at"] == [0] and c["back"] == 0 and np.allclose(c["sides"], [0, 3]) for c in rows)
    assert set(verdicts(data)) == {"ok", "kink"}


def test_a_number_near_a_kink_is_checked_with_a_smaller_step():
    w = nn.Parameter(minidl.tensor([3e-7, 2.0], dtype=minidl.float64))
    rows = [c for s in viz.explain(lambda: (w.relu() * 3).sum()).data["steps"] for o in s["out"] for c in o["check"]]
    assert [(c["verdict"], c["quotient"], "near" in c) for c in rows if c["at"] == [0]][-1] == ("kink", pytest.approx(3), True)
    wrong = nn.Parameter(minidl.tensor([3e-7, 2.0], dtype=minidl.float64))
    assert "wrong" in verdicts(viz.explain(lambda: WrongCube.apply(wrong.relu()).sum()).data)


def test_ties_in_overlapping_windows_are_kinks():
    x = nn.Parameter(minidl.zeros(1, 1, 5, 5))
    weight = minidl.tensor([[1.0, -0.5], [0.25, 2.0]])
    data = viz.explain(lambda: (F.max_pool2d(x, 3, 2) * weight).sum()).data
    assert set(verdicts(data)) == {"ok", "kink"}


def test_modules_are_boxes_and_a_shared_one_is_there_twice():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(self.layer(x).tanh())

    net, x = Net(), minidl.randn(2, 3)
    data = viz.explain(lambda: net(x).sum()).data
    assert [(b["label"], b["attr"], b["parent"]) for b in data["boxes"]] == [
        ("Net", "", None), ("Linear", "layer", 0), ("Linear", "layer", 0),
    ]  # fmt: skip
    weight = made(data, "layer.weight")
    assert weight["kind"] == "parameter" and weight["box"] == 0  # in the innermost box with both users
    assert [n["box"] for n in data["nodes"] if n["name"] == "Linear"] == [1, 2] and made(data, "Tanh")["box"] == 0
    sent = [s for name, shares in steps(data) for s in shares if s[0] == "layer.weight"]
    assert len(sent) == 2
    np.testing.assert_allclose(array(data, weight["grad"]), sent[0][1] + sent[1][1], rtol=1e-5)
    assert made(viz.explain(lambda: net.layer(x).sum(), model=net).data, "layer.bias")["kind"] == "parameter"


def test_what_no_grad_computed_is_drawn_as_not_recorded():
    w, x = parameter(3), minidl.randn(3)

    def loss():
        with minidl.no_grad():
            scaled = x * 2
            shift = w.exp()
        return (w * scaled + shift).sum()

    data = viz.explain(loss).data
    kinds = {n["name"]: n.get("unrecorded", False) for n in data["nodes"] if n["kind"] == "op"}
    assert kinds == {"Mul": False, "Exp": True, "Add": False, "Sum": False}
    scaled = made(data, "Mul", 0)
    assert scaled["unrecorded"] and scaled["var"] == "scaled"
    assert len(data["steps"]) == 3 and set(verdicts(data)) == {"ok"}


def test_float64_is_checked_to_its_own_digits():
    w = parameter(3, dtype=minidl.float64)
    page = viz.explain(lambda: w.exp().sum())
    assert {row["dtype"] for row in page.data["arrays"]} == {"float64"}
    assert all(abs(c["back"] - c["quotient"]) < 1e-6 for c in made(page.data, "w")["chain"])


def test_empty_arrays_and_numbers_that_are_not_finite():
    w = nn.Parameter(minidl.tensor([0.0, -1.0, 2.0]))
    empty = nn.Parameter(minidl.zeros(0, 3))
    data = viz.explain(lambda: w.log().sum() + empty.sum()).data
    row = data["arrays"][made(data, "Log")["values"][0]]
    assert row["bad"] == [1, 0, 1] and row["n"] == 3 and row["max"] == pytest.approx(np.log(2), rel=1e-5)
    assert data["arrays"][made(data, "empty")["values"][0]] == {
        "shape": [0, 3], "dtype": "float32", "n": 0, "shown": [0, 3], "data": "",
    }  # fmt: skip
    assert "wrong" not in verdicts(data) and "not finite" in verdicts(data)
    json.dumps(data, allow_nan=False)


# --- programs that fail


def test_a_program_that_fails_gives_the_page_up_to_there():
    w = parameter(5, 3)

    def loss():
        h = minidl.ones(2, 5) @ w
        return (h @ w).sum()

    page = viz.explain(loss)
    assert isinstance(page.error, ValueError) and page.data["error"].startswith("ValueError: matmul: shapes (2, 3) and (5, 3)")
    last = page.data["nodes"][-1]
    assert last["error"] == page.data["error"] and last["shape"] is None
    assert [page.data["nodes"][j]["shape"] for j in last["needs"]] == [[2, 3], [5, 3]]
    assert page.data["lines"][last["line"]]["text"][3][1].strip() == "return (h @ w).sum()"
    assert page.data["steps"] == [] and "failed: ValueError" in repr(page)


def test_an_error_within_an_operation_and_one_of_the_users_own():
    w = parameter(3)

    def loss():
        return (w + minidl.ones(4)).sum()

    page = viz.explain(loss)
    last = page.data["nodes"][-1]
    assert last["name"] == "add" and "broadcast" in page.data["error"] and len(last["needs"]) == 2

    def mine():
        h = w.exp()
        raise KeyError(f"no {h.shape}")

    page = viz.explain(mine)
    assert [n["name"] for n in page.data["nodes"]] == ["w", "Exp", "KeyError"] and isinstance(page.error, KeyError)


def test_a_backward_that_fails_is_the_failing_operation():
    class Bad(Cube):
        @staticmethod
        def backward(ctx, dy):
            raise ArithmeticError("too hard")

    w = parameter(3)
    page = viz.explain(lambda: Bad.apply(w.exp()).sum())
    assert isinstance(page.error, ArithmeticError) and "too hard" in made(page.data, "Bad")["error"]
    assert [name for name, _ in steps(page.data)] == ["Sum", "Bad"]


def test_an_error_that_was_caught_leaves_no_trace():
    w = parameter(3)

    def loss():
        try:
            w + minidl.ones(4)
        except ValueError:
            return Cube.apply(w).sum()

    assert [n["name"] for n in viz.explain(loss).data["nodes"]] == ["w", "Cube", "Sum"]


def test_what_is_no_loss_is_refused_with_the_remedy():
    w = parameter(3)
    with pytest.raises(ValueError, match=r"explain: a loss has one element, this has the shape \(3,\); write .sum\(\)"):
        viz.explain(lambda: w * 2)
    with pytest.raises(TypeError, match=r"explain: expected a tensor as loss, got tuple; it is a tuple, .* x\[0\]"):
        viz.explain(lambda: (w.sum(), w))
    with pytest.raises(TypeError, match="got NoneType; a function that ends without `return`"):
        viz.explain(lambda: None)
    with pytest.raises(ValueError, match="depends on nothing that requires grad"):
        viz.explain(lambda: minidl.ones(2).sum())
    with pytest.raises(ValueError, match="the loss is a leaf"):
        viz.explain(minidl.ones(1, requires_grad=True))
    with pytest.raises(TypeError, match=r"got Linear; write explain\(lambda: loss_of\(model\(x\)\)\)"):
        viz.explain(nn.Linear(2, 1))
    with pytest.raises(TypeError, match="expected a tensor, or a function that returns the loss, got int"):
        viz.explain(3)
    good = lambda: w.sum()  # noqa: E731
    for options in ({"budget": -1}, {"budget": 1.5}, {"budget": True}):
        with pytest.raises(ValueError, match="budget must be a number of bytes"):
            viz.explain(good, **options)
    for options in ({"model": "net"}, {"title": 3}, {"check": 1}):
        with pytest.raises(TypeError, match=f"explain: {next(iter(options))} must be"):
            viz.explain(good, **options)


def test_a_graph_that_was_released_is_refused_unless_the_tape_saw_the_walk():
    w = parameter(3)
    loss = (w * w).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match=r"has been walked and released, at Sum; pass retain_graph=True"):
        viz.explain(loss)
    with viz.record() as tape:
        loss = (w * w).sum()
        loss.backward()
    page = tape.explain(loss)
    assert [name for name, _ in steps(page.data)] == ["Sum", "Mul"] and set(verdicts(page.data)) == {"ok"}
    with pytest.raises(ValueError, match="not computed while the tape watched"):
        tape.explain((w * 2).sum())


def test_a_part_that_was_released_fails_there():
    w = parameter(3)
    h = w.exp()
    h.sum().backward()
    with pytest.raises(RuntimeError, match="has been walked and released, at Exp"):
        viz.explain((h * 2).sum())


# --- record, and losses made outside


def test_a_tape_of_a_training_loop_explains_each_loss_alone():
    w = parameter(3)
    optimizer = minidl.optim.SGD([w], lr=0.1)
    losses, values = [], []
    with viz.record() as tape:
        for _ in range(3):
            optimizer.zero_grad()
            values.append(w.detach().numpy().copy())
            losses.append((w * w).sum())
            losses[-1].backward()
            optimizer.step()
    for loss, at in zip(losses, values, strict=True):
        data = tape.explain(loss).data
        assert [n["name"] for n in data["nodes"]] == ["w", "Mul", "Sum"]
        np.testing.assert_array_equal(value(data, "w"), at)
        np.testing.assert_allclose(array(data, made(data, "w")["grad"]), 2 * at, rtol=1e-6)


def test_a_loss_made_outside_has_shapes_and_gradients_and_says_what_is_missing():
    w, x = parameter(3, 2), minidl.randn(4, 3)
    loss = (x @ w).square().sum()
    data = viz.explain(loss).data
    assert [(n["name"], n["shape"]) for n in data["nodes"] if n["kind"] == "op"] == [
        ("MatMul", [4, 2]), ("Square", [4, 2]), ("Sum", []),
    ]  # fmt: skip
    assert made(data, "MatMul")["values"] == [] and "No values" in data["notes"][0]
    assert made(data, "MatMul")["saved"][0][0] == "a"
    expected = 2 * x.numpy().T @ (x.numpy() @ w.detach().numpy())
    gradient = next(n for n in data["nodes"] if n["kind"] == "parameter")["grad"]
    np.testing.assert_allclose(array(data, gradient), expected, rtol=1e-4)
    loss.backward()  # the graph is still there


def test_a_part_made_outside_and_hooks_are_said():
    w = parameter(3)
    outside = w * 3
    data = viz.explain(lambda: (outside * 2).sum()).data
    assert [n["name"] for n in data["nodes"] if n["kind"] == "op"] == ["Mul", "Mul", "Sum"]
    assert data["notes"] == ["No values of 1 operations, which were computed before anything watched."]

    def hooked():
        y = w * 2
        y.register_hook(lambda dy: dy * 5)
        return y.sum()

    data = viz.explain(hooked).data
    assert data["notes"] == ["A hook may change gradients here: the difference quotient knows nothing of it."]
    assert list(array(data, made(data, "w")["grad"])) == [10, 10, 10]


def test_second_derivatives_have_a_graph_too():
    w = parameter(3)

    def loss():
        (dw,) = minidl.autograd.grad((w**3).sum(), w, create_graph=True)
        return dw.square().sum()

    data = viz.explain(loss).data
    at = w.detach().numpy()
    np.testing.assert_allclose(array(data, made(data, "w")["grad"]), 36 * at**3, rtol=1e-4)
    assert [b["label"] for b in data["boxes"]] == ["recorded walk back"] and "wrong" not in verdicts(data)


# --- the page


def test_the_same_program_gives_the_same_bytes():
    def page():
        minidl.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
        x = minidl.randn(5, 3)
        return viz.explain(lambda: F.cross_entropy(model(x), minidl.tensor([0, 1, 0, 1, 1]))).html()

    first = page()
    assert first == page() and not re.search("0x[0-9a-f]{6}", first)
    state = minidl.get_rng_state()
    w = parameter(2)
    viz.explain(lambda: w.sum())
    minidl.set_rng_state(state)


def test_a_page_is_one_file_that_asks_for_nothing(tmp_path, monkeypatch):
    w = parameter(2)
    page = viz.explain(lambda: w.sum(), title="</script><b>&")
    path = page.save(tmp_path / "new" / "step.html")
    text = path.read_text(encoding="utf-8")
    assert text == page.html() and "<title>&lt;/script&gt;&lt;b&gt;&amp;</title>" in text
    assert text.count("</script>") == 2 and not re.search(r"(src|href)=|https?://(?!www.w3.org/2000/svg)|@import|url\(", text)
    with pytest.raises(IsADirectoryError, match="is a folder; name a file"):
        page.save(tmp_path)
    frame = page._repr_html_()
    assert frame.startswith('<iframe title="&lt;/script') and 'sandbox="allow-scripts"' in frame and "<script" not in frame
    monkeypatch.setattr("webbrowser.open", lambda uri: uri.endswith("page.html"))
    assert page.open().read_text(encoding="utf-8") == text
    monkeypatch.setattr("webbrowser.open", lambda uri: False)
    with pytest.raises(RuntimeError, match="no browser was found"):
        page.open()


def test_scripts_and_style_are_few_lines_written_by_hand():
    lines = [line for path in PAGE.iterdir() for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) <= 1200
    assert {path.name for path in PAGE.iterdir()} == {"page.html", "page.css", "layout.js", "page.js"}


def test_what_exceeds_the_budget_is_left_out_and_said():
    w = parameter(30, 30)
    page = viz.explain(lambda: w.exp().sum(), budget=6000)
    rows = page.data["arrays"]
    assert page.left_out == sum("data" not in row for row in rows) > 0
    assert sum(len(row.get("data", "")) for row in rows) <= 6000 and all("n" in row for row in rows)
    assert f"{page.left_out} arrays are left out" in page.data["notes"][0]


def test_large_arrays_are_cut_and_have_statistics_of_all():
    x = np.arange(100_000, dtype=np.float32).reshape(10, 100, 100)
    arrays = packing.Arrays(10**9)
    row = arrays.rows[arrays.add(x)]
    assert row["shown"] == [1, 40, 100] and row["max"] == 99999 and row["n"] == 100_000
    for shape in ((5000,), (3, 5000), (70, 70), (2, 2, 2, 5000), (4096, 1), ()):
        x = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
        cut = packing.corner(x)
        assert cut.size <= packing.WHOLE and cut.ndim == x.ndim
        assert np.array_equal(cut, x[tuple(slice(n) for n in cut.shape)])


def test_two_thousand_five_hundred_operations():
    w, xs = parameter(4, 4), minidl.randn(500, 2, 4)

    def loss():
        h = minidl.zeros(2, 4)
        for t in range(500):
            h = ((xs[t] + h) @ w * 0.5).tanh()
        return h.square().mean()

    page = viz.explain(loss)
    data = page.data
    assert sum(n["kind"] == "op" for n in data["nodes"]) == 2502
    fold = data["boxes"][0]
    assert (fold["kind"], fold["times"], fold["parent"]) == ("fold", 500, None)
    assert len(page.html()) < 4_000_000 and "1701 steps back are not checked" in data["notes"][0]
    assert set(verdicts(data)) == {"ok"}


def test_what_takes_long_to_run_again_is_not_checked(monkeypatch):
    w, x = parameter(3, 3), minidl.randn(2, 3)
    loss = lambda: (x @ w).sum()  # noqa: E731
    monkeypatch.setattr("minidl.viz.replay.LONG", 0)
    checks = [o["check"] for s in viz.explain(loss).data["steps"] for o in s["out"]]
    assert checks == ["it would take too long to run it again"] * 2
    monkeypatch.undo()
    monkeypatch.setattr("minidl.viz.building.EFFORT", 0)
    data = viz.explain(loss).data
    assert verdicts(data) == [] and len(data["notes"]) == 2 and "2 steps back are not checked" in data["notes"][0]
    assert "The whole chain is not checked: it would take too long" in data["notes"][1]


def test_a_tape_names_what_its_own_function_names():
    w = parameter(3)

    def inner():
        with viz.record() as tape:
            mine = w.exp()
            loss = mine.sum()
        return tape.explain(loss)

    other = inner().data
    assert made(other, "Exp")["var"] == "mine" and made(other, "w")["kind"] == "parameter"


def test_equal_calls_are_folded_and_unequal_ones_are_not():
    cell = nn.Linear(3, 3)
    other = nn.Sequential(nn.Linear(3, 3), nn.Tanh())

    def loss():
        h = minidl.ones(1, 3)
        for _ in range(30):
            h = cell(h)
        return other(h).sum()

    boxes = viz.explain(loss).data["boxes"]
    assert [(b["label"], b.get("times")) for b in boxes if b["parent"] is None] == [("Linear", 30), ("Sequential", None)]
    assert [b["turn"] for b in boxes if b["parent"] == 0] == list(range(1, 31))


def test_every_operation_can_be_run_again_and_agrees_with_its_quotients():
    for row in TABLE:
        case = row.cases[0]
        inputs = [wrap(x.copy()) if isinstance(x, np.ndarray) else x for x in case.inputs]
        for x in inputs:
            if isinstance(x, minidl.Tensor) and x.is_floating_point():
                x.requires_grad_()

        def loss(row=row, case=case, inputs=inputs):
            outputs = apply(row.op(*case.options), *inputs)
            outputs = [y for y in (outputs if isinstance(outputs, tuple) else (outputs,)) if y.requires_grad]
            minidl.manual_seed(1)
            return sum((y * minidl.randn(*y.shape, dtype=y.dtype)).sum() for y in outputs)

        page = viz.explain(loss)
        assert page.error is None, row.op
        assert all(isinstance(out["check"], list) for step in page.data["steps"] for out in step["out"]), row.op
        assert set(verdicts(page.data)) <= {"ok"} and not page.data["notes"], row.op


# --- which elements an element depends on


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w, b: x @ w.mT,
        lambda x, w, b: F.linear(x, w, b),
        lambda x, w, b: x.softmax(1),
        lambda x, w, b: x.log_softmax(0),
        lambda x, w, b: x.sum(0),
        lambda x, w, b: x.mean(1, keepdim=True),
        lambda x, w, b: x.cumsum(1),
        lambda x, w, b: x * b[None, :1],
        lambda x, w, b: x.t(),
        lambda x, w, b: x.reshape(2, 6),
        lambda x, w, b: F.layer_norm(x, (3,)),
        lambda x, w, b: F.conv2d(x[None, None], w[None, None, :2, :2], b[:1], stride=2, padding=1),
        lambda x, w, b: F.conv2d(x[None, None], w[None, None, :2, :2], dilation=2),
        lambda x, w, b: F.avg_pool2d(x[None, None], 2, 1),
        lambda x, w, b: F.max_pool2d(x[None, None].abs() + 5 * x[None, None], 2, 2, 1),
        lambda x, w, b: F.adaptive_avg_pool2d(x[None, None], (3, 2)),
    ],
)
def test_what_an_element_depends_on_is_where_its_gradient_is_not_zero(function):
    tape = Tape()
    x, w, b = (minidl.randn(*shape, dtype=minidl.float64, requires_grad=True) for shape in ((4, 3), (5, 3), (5,)))
    with tape:
        y = function(x, w, b)
    entry = tape.entries[-1]
    rules = reach.rules(entry)
    shape = y.shape
    assert any(rules)
    for index in np.ndindex(*shape):
        dy = np.zeros(shape)
        dy[index] = 1.0
        gradients = entry.op.backward(dy)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        for rule, dx, (_, operand) in zip(rules, gradients, entry.inputs, strict=False):
            if rule is not None and dx is not None:
                mask = reach.reached(rule, index, operand.shape, shape)
                assert not dx[~mask].any()
                # of a window only the largest has a gradient, and a weight that meets the padding has none
                if entry.name != "MaxPool" and entry.options.get("padding", 0) in (0, (0, 0, 0, 0)):
                    assert (dx[mask] != 0).all()


# --- layout


def sizes(key):
    return (156, 80) if key[0] == "n" else (104, 42) if key[0] == "a" else (200, 58)


def overlapping(places):
    """Pairs of places that overlap, none of which is an open box."""
    solid = [p for p in places if not p.open]
    return [
        (p.key, q.key)
        for i, p in enumerate(solid)
        for q in solid[:i]
        if p.x < q.x + q.w and q.x < p.x + p.w and p.y < q.y + q.h and q.y < p.y + p.h
    ]


def encoder():
    model, x = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), minidl.randn(1, 3, 4)
    return viz.explain(lambda: model(x).square().mean(), check=False).data


def test_nothing_overlaps_and_lines_lead_down_whatever_is_open():
    data = encoder()
    tree = layout.levels(data)
    everything = set(range(len(data["boxes"])))
    for opened in (set(), {0}, everything):
        drawing = layout.arrange(tree, opened, sizes)
        places = {p.key: p for p in drawing.places}
        assert not overlapping(drawing.places)
        for p in drawing.places:
            assert p.x >= 0 and p.x + p.w <= drawing.w + 1e-9 and p.y >= 0 and p.y + p.h <= drawing.h + 1e-9
            box = tree.paths[p.key][-1] if tree.paths[p.key] else None
            if box is not None:
                around = places[f"b{box}"]
                assert around.x <= p.x and p.x + p.w <= around.x + around.w and around.y < p.y
        for route in drawing.routes:
            ys = [y for _, y in route.points]
            for x, y in route.points[1:-1]:  # lines go around everything, also within boxes
                assert not any(p.x < x < p.x + p.w and p.y < y < p.y + p.h for p in drawing.places if not p.open)
            assert ys == sorted(ys) and route.points[0][1] == places[route.start].y + places[route.start].h
    assert [p.key for p in layout.arrange(tree, set(), sizes).places if p.key[0] == "b"] == ["b0"]
    nodes = [p for p in layout.arrange(tree, everything, sizes).places if p.key[0] == "n"]
    assert len(nodes) == len(data["nodes"])


def test_a_leaf_with_many_users_is_drawn_beside_each():
    w = parameter(2)
    data = viz.explain(lambda: (w * w.exp() * w.sin() * w.cos() * w.tanh()).sum(), check=False).data
    keys = {p.key for p in layout.arrange(layout.levels(data), set(), sizes).places}
    users = [i for i, n in enumerate(data["nodes"]) if 0 in n["needs"]]
    assert len(users) == 5 and {f"a0.{i}" for i in users} <= keys and "n0" not in keys


def test_nothing_warns_of_infinities():
    w = nn.Parameter(minidl.tensor([0.0, 1e30]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        viz.explain(lambda: (w.log() * w * w).sum())


def test_masked_scores_are_checked_and_nothing_warns():
    minidl.manual_seed(0)
    scores, values, mask = nn.Parameter(minidl.randn(2, 2)), minidl.randn(2, 3), minidl.ones(2, 2).tril().bool()
    data = viz.explain(lambda: (scores.masked_fill(~mask, -float("inf")).softmax(1) @ values).square().sum()).data
    assert set(verdicts(data)) == {"ok"}
    checks = {data["nodes"][step["node"]]["name"]: step["out"][0]["check"] for step in data["steps"]}
    assert [0, 1] in [c["at"] for c in checks["Where"]] and [0, 1] in [c["at"] for c in checks["Softmax"]]


def test_a_line_of_a_notebook_is_not_named_by_its_hash():
    names = {"w": nn.Parameter(minidl.ones(3)), "explain": viz.explain}
    exec(compile("\npage = explain(lambda: (w * w).sum())", "/tmp/ipykernel_77/2844918162.py", "exec"), names)
    assert {(row["file"], row["line"]) for row in names["page"].data["lines"]} == {("notebook cell", 2)}


def test_a_notebook_that_is_not_trusted_shows_a_text():
    w = nn.Parameter(minidl.ones(3))
    text = viz.explain(lambda: (w * w).sum(), title="<squares>", check=False)._repr_html_()
    left = re.sub("<[^>]*>", "", text)  # JupyterLab takes the frame away, and leaves what is in it
    assert left == "“&lt;squares&gt;” is a page to step through. Run this cell, or trust the notebook, to see it."
