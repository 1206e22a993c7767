"""Reports of runs and the flow of gradients: their numbers, what they say of what is missing or wrong, and the page itself."""

import base64
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import nn, viz
from minidl.utils.data import DataLoader, TensorDataset
from minidl.utils.train import Trainer
from minidl.viz import charts

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None


class Chain(nn.Module):
    """y = c·(b·(a·x)): the gradients are known."""

    def __init__(self, a, b, c):
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(minidl.tensor([float(w)])) for w in (a, b, c))
        self.unused = nn.Parameter(minidl.ones(2))
        self.frozen = nn.Parameter(minidl.ones(2), requires_grad=False)

    def forward(self, x):
        return self.c * (self.b * (self.a * x))


def test_gradient_flow_has_the_sizes_and_names_what_is_wrong():
    model = Chain(1.0, 2e-5, 1.0)
    model(minidl.tensor([3.0])).sum().backward()
    rows = {row.name: row for row in viz.gradient_flow(model).rows}
    assert rows["a"].rms == pytest.approx(6e-5) and rows["b"].rms == 3.0 and rows["c"].rms == pytest.approx(6e-5)
    assert rows["b"].ratio == pytest.approx(3.0 / 2e-5) and rows["b"].weight == pytest.approx(2e-5)
    assert rows["b"].remark == "exploding: 50,000 times larger than the median"
    assert rows["unused"].remark.startswith("no gradient") and rows["frozen"].remark.startswith("frozen")
    assert not rows["a"].remark


def test_the_root_mean_square_and_the_norm_of_several_elements():
    model = nn.Linear(2, 2, bias=False)
    model.weight.grad = minidl.tensor([[1.0, -2.0], [2.0, 4.0]])
    (row,) = viz.gradient_flow(model).rows
    assert row.rms == 2.5 and row.norm == 5.0
    model.weight.grad = minidl.full((2, 2), 1e30)
    assert viz.gradient_flow(model).rows[0].rms == pytest.approx(1e30)  # squares beyond float32


def test_vanishing_zero_and_not_finite():
    model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(5)))
    for p, g in zip(model.parameters(), (1.0, 1e-5, 0.0, float("nan"), 2.0), strict=True):
        p.grad = minidl.tensor([[g]])
    flow = viz.gradient_flow(model)
    assert [remark for _, remark in flow.remarks] == [
        "vanishing: 100,000 times smaller than the median",
        "zero everywhere",
        "NaN or infinite",
    ]
    page = flow._repr_html_()
    assert page.count("<circle") == 3 and "NaN or infinite" in page and "vanishing" in page
    assert str(flow).count("\n") == 5


def test_gradient_flow_refuses_what_has_none():
    with pytest.raises(RuntimeError, match=r"call loss.backward\(\) first"):
        viz.gradient_flow(nn.Linear(1, 1))
    with pytest.raises(TypeError, match="gradient_flow: expected a Module, got Tensor"):
        viz.gradient_flow(minidl.ones(2))


def image_of(address):
    """The numbers of a grey or coloured PNG within a page."""
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    width, height, _, kind = struct.unpack(">IIBB", data[16:26])
    pieces, at = b"", 8
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        assert zlib.crc32(data[at + 4 : at + 8 + length]) == struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0]
        pieces += data[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    channels = 3 if kind == 2 else 1
    rows = np.frombuffer(zlib.decompress(pieces), np.uint8).reshape(height, 1 + width * channels)
    return rows[:, 1:].reshape(height, width, channels).squeeze()


def test_pictures_hold_their_pixels():
    grey = np.arange(6).reshape(2, 3) * 50
    assert np.array_equal(image_of(charts.address(grey)), np.repeat(grey[..., None], 3, -1))
    colours = charts.signed(np.array([[1.0, 0.0, -2.0, np.nan]]))
    assert np.array_equal(image_of(charts.address(colours))[2], [27, 99, 150]) and (colours[0, [1, 3]] == 255).all()
    assert np.array_equal(charts.grey(np.array([1.0, 3.0, 2.0])), [0, 255, 128]) and not charts.grey(np.ones(3)).any()


class Scores(nn.Module):
    """The first classes' scores are the inputs themselves: who is taken for whom is known."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(minidl.eye(3))
        self.dropout = nn.Dropout(0.9)

    def forward(self, x):
        return self.dropout(x) @ self.weight


X = minidl.tensor([[5.0, 0, 0], [0, 5.0, 0], [4.0, 0, 0], [0, 0, 1.0], [0, 9.0, 0]])
Y = minidl.tensor([0, 1, 2, 2, 0])


def write(path, **options):
    settings = {"path": path, "seed": 3, "command": "python <me>", "seconds": 1.25, **options}
    return Path(viz.report(**settings)).read_text(encoding="utf-8")


def test_confusion_matrix_and_the_order_of_the_mistakes(tmp_path):
    model = Scores()
    model.train()
    page = write(tmp_path / "a.html", model=model, data=(X, Y), classes=["cat", "<dog>", "emu"])
    assert "60.00% of 5 are right" in page and model.training  # in eval mode, and given back
    chart = page.partition("Confusion matrix")[2].partition("</svg>")[0]
    cells = re.findall(r'x="([\d.]+)" y="([\d.]+)" text-anchor="middle" class="">1<', chart)
    left = 16 + 7 * len("<dog>") + 17  # the middle of the first column
    places = [(round((float(y) - 43) / 22), round((float(x) - left) / 34)) for x, y in cells]
    assert places == [(0, 0), (0, 1), (1, 1), (2, 0), (2, 2)]  # (what it is, what the model says)
    mistakes = re.findall(r"<p>(.*?)</p>", page.partition("Worst mistakes, 2 of 2")[2])
    assert mistakes[0].startswith("cat, taken for &lt;dog&gt;; loss 9.00 (no. 4)")
    assert mistakes[1].startswith("emu, taken for cat; loss 4.04 (no. 2)")  # ln(e⁴ + 2)
    assert "<dog>" not in page and "python &lt;me&gt;" in page and "1.2 s" in page and ">3<" in page


def test_images_of_mistakes(tmp_path):
    images = minidl.zeros(2, 1, 2, 3)
    images[1, 0, 0, 2] = 1.0
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    with minidl.no_grad():
        model[1].weight.zero_(), model[1].bias.copy_(minidl.tensor([1.0, 0.0]))
    page = write(tmp_path / "a.html", model=model, data=(images, minidl.tensor([0, 1])))
    (address,) = re.findall(r'src="([^"]*)" alt="1, taken for 0', page)
    assert np.array_equal(image_of(address)[..., 0], [[0, 0, 255], [0, 0, 0]])


def test_curves_of_a_history_in_each_form(tmp_path):
    rows = [{"epoch": 1, "train_loss": 4.0, "val_loss": 2.0}, {"epoch": 2, "train_loss": 1.0, "val_loss": float("nan")}]
    by_rows = write(tmp_path / "a.html", history=rows)
    by_columns = write(tmp_path / "a.html", history={"train_loss": [4.0, 1.0], "val_loss": [2.0, float("nan")]})
    by_steps = write(tmp_path / "a.html", history={"step": [10, 20], "loss": [4.0, 1.0]})
    assert "loss by step" in by_steps and ">20</text>" in by_steps and "loss by epoch" in by_columns
    assert by_rows == by_columns and by_rows.count("<path") == 2 and "val_loss (1 numbers are not finite)" in by_rows
    first, second = re.findall(r'<path d="(.*?)"', by_rows)
    assert re.fullmatch(r"M64\.0 50\.0 L548\.0 [\d.]+", first) and second.startswith("M64.0 ") and "L" not in second
    nothing = write(tmp_path / "a.html", history=[{"epoch": 1, "loss": float("inf")}])
    assert "no finite numbers" in nothing and "<path" not in nothing


def test_axes():
    assert charts.ticks(0.0, 10.0) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0] and charts.ticks(0.93, 0.97) == [
        0.93,
        0.94,
        0.95,
        0.96,
        0.97,
    ]
    first, last, shown = charts.powers(3e-20, 5e3)
    assert (first, last) == (-20, 4) and len(shown) <= 9
    assert charts.powers(1.0, 1.0)[:2] == (0, 1)
    assert re.findall(r">([\d.]+)</text>\n<text[^>]*mute", charts.lines({"a": [(1, 0.0), (2, 1.0)]}, "epoch", "t")) == ["2"]
    assert charts.ticks(1e-15, 3e-15) == [1e-15, 1.5e-15, 2e-15, 2.5e-15, 3e-15]
    for ys in ([1e308, -1e308], [1e-320, 0.0], [5e-324, 0.0], [1e16, 1e16 + 2]):
        assert "nan" not in charts.lines({"a": list(enumerate(ys))}, "x", "t")
    flat = charts.lines({"a": [(1, 2.0), (2, 2.0)]}, "x", "t")
    assert "nan" not in flat and "M64.0" in flat


def test_gradients_over_time_and_weights_before_and_after(tmp_path):
    model = nn.Linear(4, 2, bias=False)
    with minidl.no_grad():
        model.weight.fill_(1.0)
    norms = viz.GradientNorms(model)
    for size in (1.0, 100.0, 0.0):
        model.weight.grad = minidl.full((2, 4), size)
        norms()
    with minidl.no_grad():
        model.weight.fill_(3.0)
    assert norms.sizes == [[1.0], [100.0], [0.0]]
    page = write(tmp_path / "a.html", norms=norms)
    assert re.search(r"weight\s+1\s+3\s+2\n?</pre>", page)
    shares = re.findall(r"rgba\(var\(--cell\), ([\d.]+)\)", page)
    assert shares == ["0.70"] and page.count("<rect") == 2  # of 1e0 to 1e2; that of 1e0 is pale, 0 has no colour
    before, after = (image_of(x) for x in re.findall(r'src="(data[^"]*)"', page)[:2])
    assert before.shape == (2, 4, 3) and np.array_equal(before, after)  # each in its own scale


def test_a_trainer_calls_it_after_each_epoch():
    model, data = nn.Linear(3, 1), TensorDataset(minidl.randn(8, 3), minidl.randn(8, 1))
    norms = viz.GradientNorms(model)
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)
    Trainer(3, loss=nn.MSELoss(), optimizer=optimizer, callbacks=[norms], progress=False).fit(model, DataLoader(data, 4))
    assert len(norms.sizes) == 3 and not np.array_equal(norms.before["weight"], model.weight.detach().numpy())


def test_the_same_run_gives_the_same_bytes_and_nothing_from_the_network(tmp_path):
    picture = tmp_path / "run.png"
    picture.write_bytes(b"\x89PNG not really")
    options = {"history": [{"epoch": 1, "loss": 2.0}], "model": Scores(), "data": (X, Y), "text": "a < b", "picture": picture}
    first, second = write(None, **options), write(None, **options)
    assert first == second and (tmp_path / "run.html").exists() and "a &lt; b" in first
    assert not re.search(r"""(src|href)=["']?(?!["']|data:)|url\(|@import|<script""", first)
    assert base64.b64encode(picture.read_bytes()).decode() in first


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"path": None}, TypeError, "expected path=, the file to write, or picture="),
        ({"model": "net"}, TypeError, "model must be a Module, got str"),
        ({"norms": [1.0]}, TypeError, r"norms must be GradientNorms\(model\)"),
        ({"history": 3}, TypeError, "history must be a list of dicts"),
        ({"data": (X, Y)}, TypeError, "data needs a model"),
        ({"model": Scores(), "data": X}, TypeError, r"data must be \(inputs, labels\)"),
        ({"model": Scores(), "data": (X, Y.float())}, ValueError, r"expected scores \(N, classes\) and labels"),
        ({"model": Scores(), "data": (X, Y), "classes": "ab"}, ValueError, "knows 3 classes, and classes has 2 names"),
        ({"model": Scores(), "data": (X, Y - 1)}, ValueError, "labels must be from 0 to 2, got -1 to 1"),
        ({"model": Scores(), "data": (X, Y + 5)}, ValueError, "labels must be from 0 to 2, got 5 to 7"),
        ({"picture": "no/such.png"}, FileNotFoundError, "there is no picture 'no/such.png'; save the figure first"),
        ({"path": "."}, IsADirectoryError, "is a folder; name a file"),
        ({"history": {"loss": 3}}, TypeError, r"history\['loss'\] must be a list of numbers, got int"),
        ({"history": {"loss": ["a"]}}, TypeError, r"history\['loss'\] must hold numbers, got 'a'"),
        ({"history": [{"loss": minidl.ones(2)}]}, TypeError, r"history\['loss'\] must hold numbers, got tensor"),
    ],
)
def test_bad_input_raises_and_writes_nothing(tmp_path, options, error, says):
    path = tmp_path / "a.html"
    with pytest.raises(error, match=says):
        viz.report(**{"path": path, **options})
    assert not path.exists()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(sync_playwright is None or not shutil.which("chromium"), reason="no playwright or no chromium")
def test_in_a_browser_it_fits_and_asks_for_nothing(tmp_path):
    model = nn.MLP(64, [32], 10)
    norms = viz.GradientNorms(model)
    x, y = minidl.randn(50, 64), minidl.randint(0, 10, (50,))
    for _ in range(40):
        model.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        norms()
    history = [{"epoch": i, "train_loss": 1 / i, "val_loss": 2 / i} for i in range(1, 30)]
    path = viz.report(history, model, path=tmp_path / "a.html", data=(x, y), norms=norms)
    wrong = []
    with sync_playwright() as tool:
        try:
            browser = tool.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        except Exception:
            pytest.skip("there is no chromium")
        for width, scheme in ((1200, "light"), (400, "dark")):
            tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            tab.on("pageerror", lambda error: wrong.append(str(error)))
            tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))
            tab.goto(f"file://{path}")
            assert not wrong and tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert tab.locator("h2").all_inner_texts()[0] == "Curves" and tab.locator("svg[role=img]").count() == 3
        browser.close()


def test_a_model_that_grows_or_shrinks_meanwhile(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    norms = viz.GradientNorms(model)
    model.append(nn.Linear(1, 1))
    del model[0]
    model[0].weight.grad = minidl.full((1, 2), 3.0)
    norms()
    assert norms.names[:2] == ["0.weight", "0.bias"] and norms.sizes == [[3.0, None, None, None]]
    assert "Weights before and after" in write(tmp_path / "a.html", norms=norms)


def test_a_lazy_model_is_told_to_be_called():
    for f in (viz.GradientNorms, viz.gradient_flow):
        with pytest.raises(RuntimeError, match=f"{f.__name__}: weight has no values yet; call the model once"):
            f(nn.LazyLinear(3))
