"""The pages of minidl.viz in a real browser: Python's playwright with Debian's chromium. Skipped without them."""

import importlib.util
import os
import pathlib
import re
import shutil

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn, viz
from minidl.viz import layout

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = os.environ.get("MINIDL_CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_axe = importlib.util.find_spec("axe_playwright_python")  # which brings the file along
AXE = os.environ.get("MINIDL_AXE") or (_axe and str(pathlib.Path(_axe.submodule_search_locations[0]) / "axe.min.js"))
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium, or set MINIDL_CHROMIUM to a browser"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def browser():
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens a Page; at the end of the test no script may have failed and nothing may have been asked for."""
    opened, trouble = [], []

    def show(page, width=1300, height=850, html=None, **options):
        path = tmp_path / f"page{len(opened)}.html"
        path.write_text(html or page.html(), encoding="utf-8")
        tab = browser.new_page(viewport={"width": width, "height": height}, **options)
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        tab.on("request", lambda r: None if r.url.startswith(("file:", "data:", "about:")) else trouble.append(r.url))
        tab.goto(path.as_uri())
        opened.append(tab)
        if html is None:
            tab.wait_for_selector("body[data-ready='1']", timeout=20000)
        return tab

    yield show
    for tab in opened:
        tab.close()
    assert not trouble


def mlp(check=True):
    minidl.manual_seed(0)
    w1, w2 = nn.Parameter(minidl.randn(6, 5)), nn.Parameter(minidl.randn(5, 3))
    x, label = minidl.randn(4, 6), minidl.tensor([0, 1, 2, 0])

    def loss():
        hidden = (x @ w1).relu()
        logits = hidden @ w2
        return F.cross_entropy(logits, label) + 0.01 * (w1 * w1).sum()

    return viz.explain(loss, title="a small network", check=check)


def residual():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh())

        def forward(self, x):
            return x + self.inner(x)

    minidl.manual_seed(0)
    net = nn.Sequential(Block(), Block(), nn.Linear(4, 1))
    x = minidl.randn(3, 4)
    return viz.explain(lambda: net(x).mean(), title="blocks")


SOLID = "[...document.querySelectorAll('.node,.boxlabel')].map(e => e.getBoundingClientRect())"
OVERLAPS = f"""(() => {{ const r = {SOLID}; let n = 0;
for (let i = 0; i < r.length; i++) for (let j = 0; j < i; j++)
  if (r[i].left < r[j].right - 1 && r[j].left < r[i].right - 1 && r[i].top < r[j].bottom - 1 && r[j].top < r[i].bottom - 1) n++;
return n; }})()"""


def test_every_step_is_reached_by_key_and_says_what_happens(show):
    page = mlp()
    tab = show(page)
    nodes, steps = page.data["nodes"], page.data["steps"]
    operations = [n for n in nodes if n["kind"] == "op"]
    assert "This is the loss" in tab.inner_text("#say")
    tab.keyboard.press("Home")
    assert f"{len(operations)} operations lead to the loss" in tab.inner_text("#say")
    for k, node in enumerate(operations, 1):
        tab.keyboard.press("ArrowRight")
        text = tab.inner_text("#say")
        assert text.startswith(f"Forward {k} of {len(operations)}: {node['name']} takes ")
    assert tab.inner_text("#count") == f"forward {len(operations)} / {len(operations)}"
    for k, step in enumerate(steps, 1):
        tab.keyboard.press("ArrowRight")
        text = tab.inner_text("#say")
        node = nodes[step["node"]]
        assert text.startswith(f"Back {k} of {len(steps)}: {node['name']} receives dy ")
        for out in step["out"]:
            assert nodes[out["to"]]["name"] in text
        assert tab.inner_text("#side h2").startswith(node["name"]) and tab.locator(".node.now").count() == 1
    assert tab.locator("#next").is_disabled() and "1 of" not in tab.inner_text("#status")
    tab.keyboard.press("ArrowLeft")
    assert tab.inner_text("#say").startswith(f"Back {len(steps) - 1} of")
    tab.keyboard.press("l")
    assert "This is the loss" in tab.inner_text("#say") and tab.locator("#side").inner_text().count("cross_entropy") == 1
    tab.keyboard.press("ArrowUp")
    assert tab.inner_text("#say").startswith("CrossEntropyTotal, operation")


def test_sums_at_fan_out_checks_and_the_nudge(show):
    page = mlp()
    tab = show(page)
    assert re.match(r"✓ \d+ numbers agree", tab.inner_text("#status"))
    w1 = next(i for i, n in enumerate(page.data["nodes"]) if n["name"] == "w1")
    tab.keyboard.press("End")
    tab.click(f"[data-key=n{w1}]")
    side = tab.inner_text("#side")
    assert "used 3 times: 3 of 3 shares have arrived, and they add up" in side
    assert "✓ agrees with the difference quotient" in side and "true change of the loss" in side
    picture = tab.locator("#side .array canvas[tabindex]").nth(1)
    picture.focus()
    tab.keyboard.press("ArrowDown")
    gradient = tab.evaluate(f"Array.from(floats(N[{w1}].grad))")
    numbers = tab.locator("#side .cap", has_text=" + ").last.inner_text()
    parts, total = numbers.replace("−", "-").split(" = ")
    assert sum(map(float, parts.split(" + "))) == pytest.approx(float(total), abs=2e-4)
    assert float(total) == pytest.approx(gradient[5], abs=2e-4)
    tab.keyboard.press("l")
    sent = 0
    for step in page.data["steps"]:
        tab.evaluate(f"chosen = {w1}; mark(); side()")
        side, node = tab.inner_text("#side"), tab.locator(f"[data-key=n{w1}]").get_attribute("class").split()
        assert f"{sent} of 3 shares have arrived" in side if sent else "has not arrived yet" in side
        assert ("some" in node) is (0 < sent < 3)
        tab.keyboard.press("ArrowRight")
        sent += sum(out["to"] == w1 for out in step["out"])
    assert sent == 3 and "done" in tab.locator(f"[data-key=n{w1}]").get_attribute("class").split()


def test_what_an_element_depends_on_is_painted_when_it_is_pointed_at(show):
    page = mlp(check=False)
    tab = show(page)
    i = next(i for i, n in enumerate(page.data["nodes"]) if n["name"] == "MatMul")
    tab.click(f"[data-key=n{i}]")
    pictures = tab.locator("#side .array canvas[tabindex]")
    pictures.nth(2).focus()  # y, after the two operands
    tab.keyboard.press("ArrowDown")  # y[1, 0]
    painted = """k => { const c = document.querySelectorAll('#side .picture')[k].lastChild, d = c.getContext('2d')
      .getImageData(0, 0, c.width, c.height).data, found = [];
      for (let p = 0; p < c.width * c.height; p++) if (d[4 * p + 3])
        found.push([p / c.width | 0, p % c.width]); return found; }"""
    assert tab.evaluate(painted, 0) == [[1, k] for k in range(6)]  # row 1 of a
    assert tab.evaluate(painted, 1) == [[k, 0] for k in range(6)]  # column 0 of b


def test_a_wrong_backward_is_red(show):
    class Wrong(minidl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, dy):
            return 3 * ctx.saved_tensors[0] * dy

    w = nn.Parameter(minidl.tensor([1.0, 2.0, 3.0]))
    tab = show(viz.explain(lambda: Wrong.apply(w).sum()))
    assert "differ from the difference quotient: Wrong" in " ".join(tab.inner_text("#status").split())
    assert [e.inner_text().split()[0] for e in tab.locator(".node.wrong").all()] == ["Wrong"]
    tab.keyboard.press("End")
    assert "✗ 3 of 3 differ from the difference quotient" in tab.inner_text("#side")


def test_a_program_that_failed_shows_where(show):
    w = nn.Parameter(minidl.ones(5, 3))

    def loss():
        h = minidl.ones(2, 5) @ w
        return (h @ w).sum()

    tab = show(viz.explain(loss))
    assert "the program failed" in tab.inner_text("#status") and tab.locator(".node.wrong").count() == 1
    side = tab.inner_text("#side")
    assert "ValueError: matmul: shapes (2, 3) and (5, 3)" in side and tab.inner_text("#side mark").split()[-2:] == [
        "@",
        "w).sum()",
    ]


@pytest.mark.parametrize("width", [400, 820, 1300])
def test_nothing_overlaps_and_nothing_is_wider_than_the_window(show, width):
    tab = show(residual(), width=width)
    for k in ("", "e", "e"):
        if k:
            tab.keyboard.press(k)
        assert tab.evaluate(OVERLAPS) == 0
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator("#view").bounding_box()["width"] > 200
    tab.keyboard.press("End")
    clipped = tab.evaluate(
        "[...document.querySelectorAll('header *')].filter(e => e.getBoundingClientRect().right > innerWidth).length"
    )
    assert clipped == 0


def test_boxes_open_and_close_and_the_scripts_layout_is_that_of_python(show):
    page = residual()
    tab = show(page)
    tree = layout.levels(page.data)
    sizes = dict(tab.evaluate("[...keyPath.keys()].map(k => [k, sizes(k)])"))
    for opened in (set(range(len(page.data["boxes"]))), {0}, set()):
        tab.evaluate("list => { open.clear(); list.forEach(b => open.add(b)); lay(); draw(); }", sorted(opened))
        found = {p["key"]: p for p in tab.evaluate("places")}
        expected = layout.arrange(tree, opened, lambda key: (sizes[key]["w"], sizes[key]["h"]))
        assert set(found) == {p.key for p in expected.places}
        for p in expected.places:
            assert found[p.key]["x"] - 24 == pytest.approx(p.x) and found[p.key]["y"] - 24 == pytest.approx(p.y)
        edges = {e["key"]: e["bends"] for e in tab.evaluate("edges")}
        assert set(edges) == {f"{r.start}>{r.end}" for r in expected.routes}
        for route in expected.routes:
            bends = [(p["x"], y) for p in edges[f"{route.start}>{route.end}"] for y in (p["y"], p["y"] + p["h"])]
            assert np.allclose(bends, route.points[1:-1])
    label = tab.locator(".node.closed").first
    label.focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"


def test_search_themes_shared_colours_and_slider(show):
    tab = show(residual())
    tab.keyboard.press("/")
    tab.keyboard.type("tanh")
    assert tab.inner_text("#hits") == "1 of 2" and tab.inner_text("#side h2") == "Tanh"
    tab.keyboard.press("Enter")
    assert tab.inner_text("#hits") == "2 of 2" and tab.locator(".node.hit").count() >= 1
    tab.evaluate("document.activeElement.blur()")
    before = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.keyboard.press("d")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != before
    tab.keyboard.press("s")
    assert tab.get_attribute("#scale", "aria-pressed") == "true" and "(shared)" in tab.inner_text("#side")
    tab.evaluate("document.querySelector('#slider').value = 1; document.querySelector('#slider').oninput({target: {value: 1}})")
    assert tab.inner_text("#say").startswith("Forward 1 of")
    tab.keyboard.press(" ")
    assert tab.get_attribute("#play", "aria-pressed") == "true"


def test_dark_and_print(show):
    tab = show(residual(), color_scheme="dark")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    tab.emulate_media(media="print")
    tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert tab.locator(".node").count() == tab.evaluate("places.filter(p => !p.open).length")
    assert not tab.locator("#play").is_visible()


@pytest.mark.skipif(AXE is None, reason="no axe.min.js: pip install axe-playwright-python, or name it in MINIDL_AXE")
def test_axe_finds_nothing(show):
    for page, options in ((residual(), {}), (mlp(), {"color_scheme": "dark"}), (mlp(), {"width": 400})):
        tab = show(page, **options)
        tab.add_script_tag(path=AXE)
        for key in ("l", "End", "e"):
            tab.keyboard.press(key)
            found = tab.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html)]))")
            assert found == []


def test_two_pages_in_one_notebook(show):
    html = "<!doctype html><html><body>" + residual()._repr_html_() + mlp(check=False)._repr_html_() + "</body></html>"
    tab = show(None, html=html)
    for k, title in enumerate(("blocks", "a small network")):
        frame = tab.frame_locator("iframe").nth(k)
        frame.locator("body[data-ready='1']").wait_for()
        assert frame.locator("h1").inner_text() == title and frame.locator(".node").count() > 3


def test_two_pages_in_an_exported_notebook(browser, tmp_path):
    nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed: pip install -e '.[notebooks]'")
    nbformat = pytest.importorskip("nbformat")
    book = nbformat.v4.new_notebook()
    for page in (residual(), mlp(check=False)):
        data = {"text/html": page._repr_html_(), "text/plain": repr(page)}
        output = nbformat.v4.new_output("execute_result", data, execution_count=1)
        book.cells += [nbformat.v4.new_markdown_cell("text\n\n" * 20), nbformat.v4.new_code_cell("page", outputs=[output])]
    html, _ = nbconvert.HTMLExporter().from_notebook_node(book)
    before, marked, after = html.rpartition("<iframe ")
    path = tmp_path / "book.html"
    path.write_text(f"{before}<iframe hidden {after}", encoding="utf-8")  # as in a tab that is not in front
    assert marked
    tab, trouble = browser.new_page(viewport={"width": 900, "height": 700}), []
    own = ("file:", "data:", "about:", "https://cdnjs.cloudflare.com/")  # from there the exporter's page takes its scripts
    tab.route(re.compile("^https?:"), lambda route: route.abort())
    tab.on("request", lambda r: None if r.url.startswith(own) else trouble.append(r.url))
    tab.on("console", lambda m: None if m.type != "error" or m.location["url"].startswith(own[3:]) else trouble.append(m.text))
    tab.on("pageerror", lambda error: None if "require" in str(error) else trouble.append(str(error)))
    tab.goto(path.as_uri(), wait_until="domcontentloaded")
    for k, title in enumerate(("blocks", "a small network")):
        tab.wait_for_timeout(200)
        tab.evaluate("k => { document.querySelectorAll('iframe')[k].hidden = false; }", k)
        tab.locator("iframe").nth(k).scroll_into_view_if_needed()
        frame = tab.frame_locator("iframe").nth(k)
        frame.locator("body[data-ready='1']").wait_for()
        assert frame.locator("h1").inner_text() == title
        size = frame.locator("#view").bounding_box()
        assert size["width"] > 300 and size["height"] > 150
        for node in frame.locator(".node").all():  # fitted: all of it is seen
            box = node.bounding_box()
            assert size["x"] - 1 <= box["x"] and box["x"] + box["width"] <= size["x"] + size["width"] + 1 and box["height"] > 8
        frame.locator("#next").click()
        assert frame.locator("#say").inner_text().startswith("Back 1 of")
        tab.keyboard.press("ArrowRight")
        assert frame.locator("#say").inner_text().startswith("Back 2 of")
        tab.keyboard.press("ArrowLeft")
        assert frame.locator("#say").inner_text().startswith("Back 1 of")
    first = tab.frame_locator("iframe").first.locator("#say").inner_text()
    assert first.startswith("Back 1 of") and "Mean" in first  # the keys went to the second page only
    tab.close()
    assert not trouble


def test_two_thousand_five_hundred_operations_open_and_step_quickly(show):
    minidl.manual_seed(0)
    w, xs = nn.Parameter(minidl.randn(4, 4)), minidl.randn(500, 2, 4)

    def loss():
        h = minidl.zeros(2, 4)
        for t in range(500):
            h = ((xs[t] + h) @ w * 0.5).tanh()
        return h.square().mean()

    tab = show(viz.explain(loss, check=False))
    opened = []
    for _ in range(3):  # the best of three: the machine has other work
        tab.reload()
        tab.wait_for_selector("body[data-ready='1']")
        opened.append(tab.evaluate("performance.getEntriesByType('navigation')[0].domComplete"))

    def step():
        script = (
            "(() => { const t = performance.now(); for (let k = 0; k < 20; k++) go(pos + 1); return performance.now() - t; })()"
        )
        return min(tab.evaluate(script) for _ in range(3)) / 20

    collapsed = step()
    tab.keyboard.press("e")
    drawn = tab.locator(".node").count()
    opened_all, places = step(), tab.evaluate("places.length")
    assert places > 3000 and drawn < 150  # only what is in view is drawn
    assert min(opened) < 2000 and collapsed < 50 and opened_all < 50, (opened, collapsed, opened_all)
