"""What a run leaves behind: one page with its curves, gradients, weights and mistakes."""

import base64
import html
import math
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numba
import numpy as np

from ..nn import functional as F
from ..nn.module import Module
from ..tensors.tensor import Tensor
from . import charts
from .flow import GradientNorms, gradient_flow, rms
from .snapshots import Borrowed

MISTAKES, PICTURES, COLUMNS = 12, 16, 24  # shown at the most: mistakes, weights of the first layer, points in time


def report(
    history=None,
    model=None,
    *,
    path=None,
    title=None,
    seed=None,
    command=None,
    seconds=None,
    text=None,
    picture=None,
    data=None,
    classes=None,
    norms=None,
):
    """Writes a page about a run, one HTML file without anything from the network, and returns its path.

    history: of a Trainer, a list of dicts, or a dict of lists: one chart for what begins alike (loss and val_loss). model: its
    gradients (see gradient_flow), if it has some. norms: GradientNorms, for those over time instead, and the weights before and
    after. data: held-out (inputs, labels): with a model whose outputs are scores of classes, a confusion matrix and the worst
    mistakes, as pictures where the inputs are images. picture: a PNG to put in; path: else the file beside it. text: what
    the run printed, say. command and seconds are those of this process by default.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.path.basename(report([{"epoch": 1, "loss": 0.5}], path=folder + "/run.html", seed=0))
    'run.html'
    """
    path, picture = _paths(path, picture)
    if model is not None and not isinstance(model, Module):
        raise TypeError(f"report: model must be a Module, got {type(model).__name__}")
    if norms is not None and not isinstance(norms, GradientNorms):
        raise TypeError(f"report: norms must be GradientNorms(model), made before the training, got {type(norms).__name__}")
    title = path.stem if title is None else str(title)
    sections = [f"<h1>{html.escape(title)}</h1>", _facts(seed, command, seconds)]
    if text:
        sections.append(f'<pre class="text">{html.escape(text.strip())}</pre>')
    if picture is not None:
        sections.append(_picture(picture, title))
    sections += [*_curves(history), *_gradients(model, norms)]
    if data is not None:
        sections += _mistakes(model, data, classes)
    if norms is not None:
        sections += _weights(norms)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(charts.page(title, "\n".join(sections)), encoding="utf-8")
    return str(path)


def _paths(path, picture):
    if path is None and picture is None:
        raise TypeError("report: expected path=, the file to write, or picture=, the PNG beside which it is written")
    if picture is not None and not Path(picture).is_file():
        raise FileNotFoundError(f"report: there is no picture {str(picture)!r}; save the figure first")
    path = Path(path) if path is not None else Path(picture).with_suffix(".html")
    if path.is_dir():
        raise IsADirectoryError(f"report: {str(path)!r} is a folder; name a file, such as 'out/run.html'")
    return path, None if picture is None else Path(picture)


def _facts(seed, command, seconds):
    command = " ".join(["python", *sys.argv]) if command is None else command
    facts = {
        "command": command,
        "seed": seed,
        "time": f"{time.process_time():.1f} s of processor time" if seconds is None else f"{seconds:.1f} s",
        "versions": f"minidl {_version()}, NumPy {np.__version__}, Numba {numba.__version__}, "
        f"Python {platform.python_version()}",
        "machine": f"{platform.system()}, {platform.machine()}",
    }
    rows = [f"<tr><th>{name}</th><td>{html.escape(str(x))}</td></tr>" for name, x in facts.items() if x is not None]
    return f"<table>{''.join(rows)}</table>"


def _version():
    return sys.modules[__name__.partition(".")[0]].__version__


def _picture(path, title):
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img class="smooth" src="data:image/png;base64,{data}" alt="{html.escape(title, quote=True)}: its picture"></p>'


def _section(heading, *parts):
    return f"<section><h2>{html.escape(heading)}</h2>{''.join(parts)}</section>"


# --- curves


def _columns(history):
    """{name: [(x, y)]} of a history in any of its forms, and what x is."""
    if isinstance(history, Mapping):
        x_name = next((name for name in ("epoch", "step") if name in history), "epoch")
        steps = history.get(x_name)
        rows = {k: [_number(k, y) for y in _list(k, v)] for k, v in history.items() if k not in ("epoch", "step")}
        return {k: list(zip(steps or range(1, len(v) + 1), v, strict=False)) for k, v in rows.items()}, x_name
    if not isinstance(history, (list, tuple)) or not all(isinstance(row, Mapping) for row in history):
        kind = type(history).__name__
        raise TypeError(f"report: history must be a list of dicts, as Trainer.fit gives, or a dict of lists, got {kind}")
    x_name = next((name for name in ("epoch", "step") if history and name in history[0]), "row")
    columns = {}
    for i, row in enumerate(history, 1):
        for name, y in row.items():
            if name != x_name and isinstance(y, (int, float, np.number, Tensor)) and not isinstance(y, bool):
                columns.setdefault(name, []).append((row.get(x_name, i), _number(name, y)))
    return columns, x_name


def _list(name, values):
    if not isinstance(values, (list, tuple, np.ndarray)):
        raise TypeError(f"report: history[{name!r}] must be a list of numbers, got {type(values).__name__}")
    return values


def _number(name, y):
    if isinstance(y, bool) or not isinstance(y, (int, float, np.number, Tensor)) or np.size(y) != 1:
        raise TypeError(f"report: history[{name!r}] must hold numbers, got {y!r:.80}")
    return float(y.item() if isinstance(y, Tensor) else y)


def _curves(history):
    if not history:
        return []
    columns, x_name = _columns(history)
    groups = {}
    for name, values in columns.items():
        groups.setdefault(name.removeprefix("train_").removeprefix("val_"), {})[name] = values
    figures = [charts.lines(series, x_name, f"{name} by {x_name}") for name, series in groups.items()]
    return [_section("Curves", *figures)] if figures else []


# --- gradients and weights


def _gradients(model, norms):
    found = []
    if norms is None and model is not None and any(p.grad is not None for p in model.parameters()):
        flow = gradient_flow(model)
        found.append(_section("Gradients at the end", flow._repr_html_().removeprefix(charts.STYLE)))
    if norms is not None and norms.sizes:
        found.append(_section("Gradients over time", _over_time(norms)))
    return found


def _over_time(norms):
    count = len(norms.sizes)
    shown = sorted({round(i * (count - 1) / max(min(count, COLUMNS) - 1, 1)) for i in range(min(count, COLUMNS))})
    table = [[norms.sizes[t][i] for t in shown] for i in range(len(norms.names))]
    good = [x for row in table for x in row if x and math.isfinite(x)]
    if not good:
        return '<p class="mute">no gradient was finite and other than 0</p>'
    first, last, _ = charts.powers(min(good), max(good))

    def share(x):
        return (math.log10(x) - first) / (last - first) if x and math.isfinite(x) else None

    def said(x):
        return "" if x is None or (x and math.isfinite(x)) else "0" if x == 0 else "!"

    what = (
        f"Root mean square of each gradient, from 1e{first} (pale) to 1e{last} (full colour); 0 and ! (NaN, infinite) are said"
    )
    shares, texts = [[share(x) for x in row] for row in table], [[said(x) for x in row] for row in table]
    chart = charts.matrix(shares, norms.names, [t + 1 for t in shown], what, texts=texts)
    return f'<p class="mute">{html.escape(what)}.</p>{chart}'


def _weights(norms):
    now = {name: p.array for name, p in norms.model.named_parameters()}
    now = {name: w for name, w in now.items() if name in norms.before and norms.before[name].shape == w.shape}
    lines = ["parameter: size before, size after, how far it moved (root mean squares)"]
    wide = max(map(len, now), default=0)
    for name, w in now.items():
        old = norms.before[name]
        with np.errstate(all="ignore"):
            sizes = [rms(x) for x in (old, w, w - old)]
        lines.append(f"{name:{wide}}  {sizes[0]:9.3g}  {sizes[1]:9.3g}  {sizes[2]:9.3g}")
    parts = [f"<pre>{html.escape(chr(10).join(lines))}</pre>"]
    name, first = next(((n, w) for n, w in now.items() if w.ndim > 1), (None, None))
    if name is not None:
        for when, weights in (("before", norms.before[name]), ("after", first)):
            images = _as_images(weights)
            if images is not None:
                pictures = "".join(charts.picture(charts.signed(x), f"{name} {i} {when}", str(i)) for i, x in enumerate(images))
                parts.append(f"<h3>{html.escape(name)} {when} (blue below 0, orange above)</h3>{pictures}")
    return [_section("Weights before and after", *parts)]


def _as_images(weights):
    """The first weights as pictures: kernels of a convolution, rows that have a square number of elements, or a matrix."""
    if weights.ndim == 4:
        return weights[:PICTURES].mean(1)
    side = math.isqrt(weights.shape[-1])
    if weights.ndim == 2 and side >= 4 and side**2 == weights.shape[1]:
        return weights[:PICTURES].reshape(-1, side, side)
    return weights[None, :64, :64] if weights.ndim == 2 else None


# --- mistakes


def _mistakes(model, data, classes):
    if model is None:
        raise TypeError("report: data needs a model, whose mistakes are shown")
    if not isinstance(data, (tuple, list)) or len(data) != 2 or not all(isinstance(x, Tensor) for x in data):
        raise TypeError("report: data must be (inputs, labels), two tensors; write test[:]")
    x, y = data
    with Borrowed(model):
        scores = model(x)
    if scores.ndim != 2 or y.array.dtype.kind not in "iu" or y.shape != scores.shape[:1]:
        raise ValueError(f"report: expected scores (N, classes) and labels (N), got {scores.shape} and {y.shape} of {y.dtype}")
    count = scores.shape[1]
    names = [str(c) for c in (range(count) if classes is None else classes)]
    if len(names) != count:
        raise ValueError(f"report: the model knows {count} classes, and classes has {len(names)} names")
    truth, said = y.numpy(), scores.array.argmax(1)
    if ((truth < 0) | (truth >= count)).any():
        raise ValueError(f"report: labels must be from 0 to {count - 1}, got {truth.min()} to {truth.max()}")
    table = np.zeros((count, count), int)
    np.add.at(table, (truth, said), 1)
    losses = F.cross_entropy(scores.detach(), y, reduction="none").numpy()
    right = (truth == said).mean() if len(truth) else float("nan")
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    texts = [[str(n) if n else "" for n in row] for row in table]
    what = f"Rows: what it is; columns: what the model says. {right:.2%} of {len(truth):,} are right"
    sections = [
        _section("Confusion matrix", f'<p class="mute">{what}.</p>', charts.matrix(shares, names, names, what, texts=texts))
    ]
    wrong = [i for i in np.argsort(-losses, kind="stable") if truth[i] != said[i]][:MISTAKES]
    figures = [_mistake(x.array[i], names[truth[i]], names[said[i]], losses[i], i) for i in wrong]
    heading = f"Worst mistakes, {len(wrong)} of {int((truth != said).sum())}"
    return [*sections, _section(heading, *figures)] if wrong else sections


def _mistake(x, truth, said, loss, i):
    caption = f"{truth}, taken for {said}; loss {loss:.2f} (no. {i})"
    side = math.isqrt(x.size)
    image = x[0] if x.ndim == 3 and len(x) == 1 else x.mean(0) if x.ndim == 3 else x
    image = image.reshape(side, side) if image.ndim == 1 and side**2 == x.size and side >= 4 else image
    if image.ndim == 2:
        return charts.picture(charts.grey(image), caption, caption, 96)
    return f"<p>{html.escape(caption)}</p>"
