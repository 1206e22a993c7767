"""minidl.viz.make_dot: what the picture of a graph shows, that nothing overlaps, and clear errors."""

import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest

import minidl
from minidl import nn, viz
from minidl.viz.svg import CHAR, SIZE, width

SVG = "{http://www.w3.org/2000/svg}"


def parameter(*shape):
    return nn.Parameter(minidl.randn(*shape))


@pytest.fixture(autouse=True)
def seeded():
    minidl.manual_seed(0)


def items(dot):
    """[(class, (x, y, w, h), [lines])] of what is drawn."""
    found = []
    for group in ET.fromstring(dot.svg).iter(f"{SVG}g"):
        kind = group.get("class") or ""
        if kind.startswith("item"):
            rect = group.find(f"{SVG}rect")
            box = tuple(float(rect.get(name)) for name in ("x", "y", "width", "height"))
            found.append((kind.removeprefix("item "), box, [text.text for text in group.findall(f"{SVG}text")]))
    return found


def names(dot, kind):
    return [lines[0] for k, _, lines in items(dot) if k == kind]


def check_layout(dot):
    root = ET.fromstring(dot.svg)
    _, _, w, h = map(float, root.get("viewBox").split())
    found = items(dot)
    for _, (x, y, a, b), lines in found:
        assert x >= 0 and y >= 0 and x + a <= w and y + b <= h
        assert all(width(line) <= a for line in lines) and 16 * len(lines) <= b
    for (_, (x, y, a, b), p), (_, (u, v, c, d), q) in combinations(found, 2):
        assert x + a <= u or u + c <= x or y + b <= v or v + d <= y, (p, q)
    for text in root.iter(f"{SVG}text"):
        if text.get("text-anchor") is None:
            assert float(text.get("x")) + len(text.text) * SIZE * CHAR <= w + 1


def test_parameters_operations_shapes_and_the_loss():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)), minidl.randn(2, 3)
    loss = model(x).mean()
    dot = viz.make_dot(loss, params=dict(model.named_parameters()))
    assert names(dot, "parameter") == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [lines for kind, _, lines in items(dot) if kind == "op"] == [
        ["Linear", "(2, 4)"], ["ReLU", "(2, 4)"], ["Linear", "(2, 1)"],
    ]  # fmt: skip
    assert [lines for kind, _, lines in items(dot) if kind == "result"] == [["loss = Mean", "()"]]
    lines = dot.source.splitlines()
    assert '  n0 [label="0.weight\\n(4, 3)" shape=ellipse style=filled fillcolor=lightblue]' in lines
    arrows = [tuple(map(int, re.findall(r"\d+", line))) for line in lines if "->" in line]
    assert arrows == [(0, 2), (1, 2), (2, 3), (3, 6), (4, 6), (5, 6), (6, 7)]
    edges = [e for e in ET.fromstring(dot.svg).iter(f"{SVG}path") if e.get("class") == "edge"]
    assert len(edges) == len(arrows)
    assert names(viz.make_dot(loss), "parameter") == names(dot, "parameter")  # the caller's `model` gives the same names
    check_layout(dot)


def test_shares_that_add_up_are_counted_at_each_output():
    w, v = parameter(3), minidl.ones(3, requires_grad=True)
    dot = viz.make_dot((w * w + v.exp() * w).sum())
    assert ["w", "(3,)", "Σ of 3 shares"] in [lines for _, _, lines in items(dot)]
    assert ["v", "(3,)"] in [lines for kind, _, lines in items(dot) if kind == "leaf"]
    assert "which shares of the gradient come" in dot.svg
    q, r = minidl.linalg.qr(parameter(3, 3))
    used = viz.make_dot(q.sum() + r.sum())
    assert ["QR", "(3, 3) · (3, 3)"] in [lines for _, _, lines in items(used)] and "Σ" not in used.svg
    assert ["QR", "(3, 3) · (3, 3)", "Σ of 2 shares"] in [lines for _, _, lines in items(viz.make_dot((q * q).sum() + r.sum()))]


def test_a_weight_with_many_uses_is_drawn_at_each():
    w = parameter(2)
    dot = viz.make_dot((w * w.exp() * w.sin() * w.cos()).sum())
    assert [lines for kind, _, lines in items(dot) if kind == "parameter"] == [["w", "(2,)", "Σ of 4 shares"]] * 4
    check_layout(dot)


def test_a_page_has_the_calls_of_modules_as_frames():
    model, x = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), minidl.randn(1, 3, 4)
    page = viz.explain(lambda: model(x).square().mean(), check=False)
    dot = viz.make_dot(page)
    labels = [t.text for t in ET.fromstring(dot.svg).iter(f"{SVG}text") if t.get("class") == "label"]
    assert labels[:2] == ["TransformerEncoderLayer", "self_attn: MultiheadAttention"]
    assert "self_attn.in_proj_weight" in names(dot, "parameter") and names(dot, "constant") == ["x"]
    check_layout(dot)
    closed = viz.make_dot(page, most=5)
    first = next(lines for kind, _, lines in items(closed) if kind == "closed")
    assert first[:2] == ["TransformerEncoderLayer", "17 operations, closed"]
    check_layout(closed)


def test_equal_parts_are_folded_when_there_are_many():
    w, h = parameter(4, 4), minidl.ones(2, 4)
    for _ in range(60):
        h = (h @ w).tanh()
    dot = viz.make_dot(h.sum())
    assert next(lines for kind, _, lines in items(dot) if kind == "closed") == [
        "MatMul Tanh ×60", "120 operations, closed", "MatMul ×60, Tanh ×60", "with w",
    ]  # fmt: skip
    assert "121 operations, 1 parameter. 120 of them are within a closed box" in dot.svg
    everything = viz.make_dot(h.sum(), most=1000)
    assert len(names(everything, "op")) == 120 and "closed box" not in everything.svg
    assert len(dot.source.splitlines()) == len(everything.source.splitlines())
    check_layout(everything)


def test_2500_operations_that_do_not_repeat():
    w = parameter(3)
    made = [w, w.exp()]
    for i in range(2498):
        made.append(
            (made[-1] + made[-1 - i * i % 2]).sin() if i % 7 in (0, 3) else [made[-1].exp, made[-1].cos][i * i // 3 % 2]()
        )
    dot = viz.make_dot(made[-1].sum())
    n = sum(node["kind"] == "op" for node in dot.picture.nodes)
    assert n > 2500 and f"{n:,} operations" in dot.svg
    found = items(dot)
    assert 20 < len(found) <= 121
    shown = sum(kind in ("op", "result") for kind, _, _ in found)
    inside = [int(lines[1].split()[0]) for kind, _, lines in found if kind == "closed"]
    assert shown + sum(inside) == n and f"{sum(inside):,} of them are within {len(inside)} closed boxes" in dot.svg
    check_layout(dot)


def test_attributes_and_saved_arrays():
    w = parameter(2, 3)
    loss = w.exp().sum(1).sum()
    plain, full = viz.make_dot(loss), viz.make_dot(loss, show_attrs=True, show_saved=True)
    assert "keeps" not in plain.svg and "axis" not in plain.svg
    assert ["Exp", "(2, 3)", "keeps y (2, 3) float32"] in [lines for _, _, lines in items(full)]
    assert any(re.fullmatch(r"(axis|dim|axes): .*1.*", line) for _, _, lines in items(full) for line in lines)
    short = viz.make_dot(loss, show_attrs=True, show_saved=True, max_attr_chars=8)
    assert "keeps y…" in short.svg and "(2, 3) float32" not in short.svg
    page = viz.make_dot(viz.explain(lambda: w.exp().sum(), check=False), show_saved=True)
    assert ["Exp", "(2, 3)", "keeps y (2, 3) float32"] in [lines for _, _, lines in items(page)]


def test_names_are_escaped_and_wide_letters_have_room():
    w = parameter(2)
    dot = viz.make_dot(w.exp().sum(), params={'<b>"重み"</b> & \\n': w})
    assert names(dot, "parameter") == ['<b>"重み"</b> & \\n']
    assert width("重み") == 2 * width("ab")
    assert 'label="<b>\\"重み\\"</b> & \\\\n\\n(2,)"' in dot.source
    check_layout(dot)


def test_several_tensors_and_two_pictures_in_one_document():
    w = parameter(2)
    a, b = w.exp(), w.sin()
    dot = viz.make_dot((a, b))
    assert names(dot, "result") == ["a = Exp", "b = Sin"]
    other = viz.make_dot(a)
    ids = re.findall(r'id="(\w+)"', dot.svg + other.svg)
    assert len(ids) == len(set(ids)) == 4
    root = ET.fromstring(dot.svg)
    assert root.get("role") == "img" and root.find(f"{SVG}title").text == "the graph of a, b"
    assert root.find(f"{SVG}desc").text.endswith("From the inputs down: Exp of w; Sin of w.")
    assert dot.svg == viz.make_dot((a, b)).svg and dot._repr_svg_() == dot.svg and dot.svg in dot._repr_html_()


def test_files_and_formats(tmp_path):
    dot = viz.make_dot(parameter(2).sum())
    assert dot.render(tmp_path / "net") == str(tmp_path / "net.svg")
    assert (tmp_path / "net.svg").read_text(encoding="utf-8") == dot.svg
    assert dot.render("net.svg", directory=tmp_path / "a" / "b") == str(tmp_path / "a" / "b" / "net.svg")
    assert dot.save(tmp_path / "net.gv") == str(tmp_path / "net.gv")
    assert (tmp_path / "net.gv").read_text(encoding="utf-8") == dot.source
    with pytest.raises(ValueError, match=r"format 'png' needs Graphviz.*write format='svg'.*graphviz.Source\(dot.source\)"):
        dot.render(tmp_path / "net", format="png")
    dot.format = "pdf"
    with pytest.raises(ValueError, match="format 'pdf' needs"):
        dot.render(tmp_path / "net")
    with pytest.raises(ValueError, match=r"ends in \.svg, \.gv or \.dot"):
        dot.save(tmp_path / "net.png")


def test_what_is_no_graph_is_refused_with_the_remedy():
    w = parameter(2)
    with pytest.raises(TypeError, match="expected a tensor, a tuple of tensors or a page, got float"):
        viz.make_dot([1.0])
    with pytest.raises(TypeError, match=r"got Linear; call it: make_dot\(model\(x\)\)"):
        viz.make_dot(nn.Linear(2, 1))
    with pytest.raises(ValueError, match="there is no tensor in"):
        viz.make_dot(())
    with pytest.raises(ValueError, match="depends on nothing that requires grad"):
        viz.make_dot(minidl.ones(2).sum())
    with pytest.raises(ValueError, match="the tensor is a leaf"):
        viz.make_dot(w)
    loss = w.exp().sum()
    loss.backward()
    with pytest.raises(RuntimeError, match=r"walked and released, at Sum; call make_dot before"):
        viz.make_dot(loss)
    good = w.exp()
    with pytest.raises(TypeError, match=r"write params=dict\(model.named_parameters\(\)\)"):
        viz.make_dot(good, nn.Linear(2, 1))
    with pytest.raises(TypeError, match=r"params must be {name: tensor}, got list"):
        viz.make_dot(good, [w])
    with pytest.raises(TypeError, match=r"params\['w'\] must be a tensor, got int"):
        viz.make_dot(good, {"w": 1})
    with pytest.raises(ValueError, match="a page has its names already"):
        viz.make_dot(viz.explain(lambda: w.sum(), check=False), {"w": w})
    for options in ({"show_attrs": 1}, {"show_saved": None}):
        with pytest.raises(TypeError, match=f"{next(iter(options))} must be True or False"):
            viz.make_dot(good, **options)
    for options in ({"max_attr_chars": 2}, {"most": 0}, {"most": True}, {"max_attr_chars": 1.5}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be an integer"):
            viz.make_dot(good, **options)


def test_a_failed_program_is_drawn_up_to_there():
    w = parameter(5, 3)
    page = viz.explain(lambda: (minidl.ones(2, 5) @ w @ w).sum())
    dot = viz.make_dot(page)
    assert names(dot, "result") == ["matmul"] and "the operation that failed" in dot.svg
