"""What is drawn with matplotlib, without pyplot: no window, no global state. Loaded at its first use: it is no dependency."""

import hashlib
import io
import re

import matplotlib
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure

LEVELS = 14


def figure(width, height):
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(made, path):
    known = sorted(made.canvas.get_supported_filetypes())
    if path.suffix[1:] not in known:
        raise ValueError(f"save: expected a name that ends in one of {', '.join('.' + k for k in known)}, got {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {"Date": None} if path.suffix in (".svg", ".pdf") else None
    with matplotlib.rc_context({"svg.hashsalt": "minidl"}):
        made.savefig(path, dpi=120, metadata=plain)
    return path


def svg(made):
    """The figure as SVG to stand within HTML."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "minidl"}):
        made.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def landscape(of, title=None, axes=None, levels=None):
    """Lines of equal loss, in steps of equal ratio where the losses differ by more than a factor of 20."""
    own = axes is None
    made = figure(5.6, 4.8) if own else axes.figure
    axes = made.subplots() if axes is None else axes
    loss = np.ma.masked_invalid(of.loss)
    if loss.count():
        lo, hi = float(loss.min()), float(loss.max())
        lo, hi = (lo, hi) if levels is None else (levels[0], levels[-1])
        ratio = lo > 0 and hi / lo > 20
        if levels is None:
            levels = np.geomspace(lo, hi, LEVELS) if ratio else np.linspace(lo, hi, LEVELS)
        if hi > lo:
            norm = (LogNorm if ratio else Normalize)(levels[0], levels[-1])
            filled = axes.contourf(of.x, of.y, loss, levels, cmap="Blues", norm=norm, alpha=0.85, extend="both")
            lines = axes.contour(of.x, of.y, loss, levels, colors="0.25", linewidths=0.6)
            axes.clabel(lines, lines.levels[1::3], fontsize=7, fmt="%.3g")
            bar = made.colorbar(filled, ax=axes, ticks=levels[::3], format="%.3g")
            bar.set_label("loss" + (", equal ratios" if ratio else ""))
    if of.path is None:
        axes.plot(0, 0, "o", color="C3", ms=6, label="the model")
        axes.set(xlabel="first random direction", ylabel="second random direction")
    else:
        axes.plot(*of.path.T, ".-", color="C1", lw=1.3, ms=4, label="path of the training")
        axes.plot(*of.path[0], "s", color="C1", ms=6, label="start")
        axes.plot(*of.path[-1], "o", color="C3", ms=7, label="end")
        axes.set(xlabel="first principal component", ylabel="second principal component")
    axes.set_facecolor("0.85")  # where the loss is not finite
    bad = of.loss.size - loss.count()
    words = [title or "the loss over a plane of parameters"]
    words += [f"{of.variance:.0%} of the path's variance lies in it"] if of.path is not None else []
    words += [f"{bad} places (grey) are not finite"] if bad else []
    axes.set_title("\n".join(words), fontsize=10)
    axes.locator_params(nbins=5)
    if own:
        made.legend(loc="outside lower center", ncols=3, fontsize=8)
    return made


# --- regions of classes


def colours(count):
    return ListedColormap([to_rgb(f"C{k % 10}") for k in range(count)])


def paint(of, k):
    """Frame k as colours: each place in that of its class, paler where the model is less sure, grey where it says NaN."""
    sure = 0.12 + 0.5 * np.clip((of.confidence[k] - 1 / of.count) / (1 - 1 / of.count), 0, 1)
    colour = 1 - sure[..., None] * (1 - colours(of.count)(of.classes[k])[..., :3])
    return np.where(np.isfinite(of.confidence[k])[..., None], colour, 0.5)


def regions(axes, of, k):
    """Draws frame k, with the points in the colours of their true classes; gives the image."""
    x, y, cmap = of.x, of.y, colours(of.count)
    image = axes.imshow(
        paint(of, k), origin="lower", extent=(x[0], x[-1], y[0], y[-1]), aspect="auto", interpolation="bilinear"
    )
    for label in range(of.count):
        axes.plot(
            *of.points[of.truth == label].T, "o", color=cmap(label), mec="white", mew=0.6, ms=4.5,
            label=f"class {label}" if of.count <= 6 else None,
        )  # fmt: skip
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xlabel="x₁")
    axes.set_title(name(of, k), fontsize=10)
    return image


def name(of, k):
    return f"{of.labels[k]}{': ' if of.labels[k] else ''}{of.accuracy[k]:.1%} right"


def moments(of, which):
    """Some frames beside each other."""
    made = figure(3.3 * len(which) + (0.4 if len(which) > 1 else 1.2), 3.6 if len(which) > 1 else 4.0)
    for axes, k in zip(np.atleast_1d(made.subplots(1, len(which), sharey=True)), which, strict=True):
        regions(axes, of, k)
    made.axes[0].set_ylabel("x₂")
    if of.count <= 6:
        made.axes[0].legend(fontsize=7, loc="upper right")
    if of.title:
        made.suptitle(of.title)
    return made


ICONS = {
    "fa-minus": "−", "fa-fast-backward": "|◀", "fa-step-backward": "◁", "fa-play fa-flip-horizontal": "◀", "fa-pause": "❚❚",
    "fa-play": "▶", "fa-step-forward": "▷", "fa-fast-forward": "▶|", "fa-plus": "+",
}  # fmt: skip


def film(of, fps=8):
    """All frames as HTML with buttons, of matplotlib, but without the symbols that it would load from the network."""
    made = Figure(figsize=(5.2, 4.4))
    FigureCanvasAgg(made)
    axes = made.add_axes((0.12, 0.11, 0.85, 0.76))
    image = regions(axes, of, 0)
    axes.set_ylabel("x₂")
    if of.count <= 6:
        axes.legend(fontsize=7, loc="upper right")
    if of.title:
        made.suptitle(of.title)

    def draw(k):
        image.set_data(paint(of, k))
        axes.set_title(name(of, k), fontsize=10)
        return ()

    with matplotlib.rc_context({"animation.embed_limit": 100, "savefig.dpi": 80}):
        text = FuncAnimation(made, draw, frames=len(of.labels), interval=1000 / fps, cache_frame_data=False).to_jshtml(fps)
    text = re.sub(r'<link rel="stylesheet"\s+href="[^"]*">', "", text)
    text = re.sub(r'<i class="fa ([^"]*)"></i>', lambda found: ICONS.get(found[1], "•"), text)
    mark = set(re.findall(r"_anim_img([0-9a-f]{32})", text))
    for old in mark:  # matplotlib makes random names
        text = text.replace(old, hashlib.sha1(of.classes.tobytes() + of.confidence.tobytes()).hexdigest()[:32])
    text = re.sub(r'title="([^"]*)"( aria-label="[^"]*")?', r'title="\1" aria-label="\1"', text)
    text = text.replace('<input id="_anim_slider', '<input aria-label="frame" id="_anim_slider')
    style = "max-width:100%;box-sizing:border-box"
    return text.replace('<img id="', f'<img style="{style}" alt="the regions of the classes, at the step named above" id="')
