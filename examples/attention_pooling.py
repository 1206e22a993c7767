"""Attention before there were networks: a noisy curve is estimated by looking at the examples that are near.

The estimate at a place q is the mean of all values, weighted by how near their places k are to q (Nadaraya, 1964; Watson, 1964;
section 11.2 of Dive into Deep Learning): 40 examples of y = 2 sin x + x + noise on [0, 5]. Four kernels make weights of the
distance: Gaussian, boxcar, triangular, constant; the Gaussian in the widths 0.1, 0.2, 0.5 and 1. There is nothing to train.

Or one thing: the width. Its gradient is known, so it is learned, with the leave-one-out error as the loss: each example is
estimated from the 39 others. The error may have several valleys, so descent begins at three widths, and the best end counts.
Targets: it is within 1 % of the lowest error of 200 widths that are simply tried, and the squared distance of its estimate from
the true curve is at most nine tenths of the constant kernel's. (For most seeds it is a fifth; how far 40 noisy examples lead
depends on the noise.)

The picture shows each estimate, and below it its weights: a row for each q, a column for each example. Narrow kernels look at
one or two examples and copy their noise, wide ones at all of them and see no curve.
"""

import argparse
import sys
from pathlib import Path

import matplotlib.colors

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tqdm import tqdm

import minidl
import minidl.nn.functional as F
from minidl import viz
from minidl.optim import Adam

EXAMPLES, WIDTHS = 40, (0.1, 0.2, 0.5, 1.0)
STARTS = (0.1, 0.3, 1.0)
NEAR_LOWEST, OF_CONSTANT = 1.01, 0.9
NAMES = {"gaussian": "Gaussian", "boxcar": "Boxcar", "triangular": "Triangular", "constant": "Constant"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="steps of learning the width (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the examples' places and noise")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="5 steps, and no target to meet: shows that it runs")
    options = parser.parse_args()
    steps = 5 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    minidl.manual_seed(options.seed)
    x = minidl.rand(EXAMPLES).sort().values * 5
    y = curve(x) + minidl.randn(EXAMPLES)
    queries = minidl.arange(0, 5, 0.1)

    ends = learn_width(x, y, steps)
    learned = min(ends, key=lambda width: leave_one_out_error(x, y, width).item())
    tried = minidl.linspace(0.05, 2, 200)
    errors = minidl.stack([leave_one_out_error(x, y, width) for width in tried])
    lowest, reached = errors.min().item(), leave_one_out_error(x, y, learned).item()
    print(f"learned width {learned:.3f}: leave-one-out error {reached:.4f}; lowest of {len(tried)} tried {lowest:.4f}")

    by_kernel = {name: estimate(queries, x, y, name, 1.0) for name in NAMES}
    by_width = {width: estimate(queries, x, y, "gaussian", width) for width in (*WIDTHS, learned)}
    for what, found in {**by_kernel, **by_width}.items():
        label = NAMES.get(what) or f"Gaussian, width {what:.3g}"
        print(f"{label:22} mean squared distance from the true curve {found[2]:.3f}")

    path = options.out / "attention_pooling.png"
    picture(path, (x, y, queries), by_kernel, by_width, learned, (tried, errors, ends))
    viz.report(picture=path, seed=options.seed, text=__doc__)
    print(f"picture: {path}")
    if options.quick:
        return
    if reached > NEAR_LOWEST * lowest:
        sys.exit(f"expected a leave-one-out error of at most {NEAR_LOWEST * lowest:.4f}, got {reached:.4f}")
    if by_width[learned][2] > OF_CONSTANT * by_kernel["constant"][2]:
        sys.exit("expected the learned width to be nearer to the true curve than the constant kernel")


def curve(x):
    return 2 * x.sin() + x


@minidl.no_grad()
def estimate(queries, x, y, kernel, width):
    """(f(q), weights (queries, examples), mean squared distance from the true curve)"""
    f, weights = F.nadaraya_watson(queries, x, y, kernel, width, return_weights=True)
    return f, weights, (f - curve(queries)).square().mean().item()


def leave_one_out_error(x, y, width):
    """The mean squared error of estimates at each example from all others, by the Gaussian kernel."""
    others = ~minidl.eye(len(x), dtype=bool)
    scores = F.gaussian_scores(x, x, width).masked_fill(~others, -minidl.inf)
    f = F.attention_pooling(scores.softmax(-1), y[:, None])
    return F.mse_loss(f[:, 0], y)


def learn_width(x, y, steps):
    """The widths at which descent ends, one for each of STARTS."""
    logs = [minidl.tensor(width).log().requires_grad_() for width in STARTS]  # logarithms, because widths are above 0
    optimizer = Adam(logs, lr=0.03)
    bar = tqdm(range(steps), unit="step", desc="learning the width", disable=None)
    for _ in bar:
        optimizer.zero_grad()
        errors = minidl.stack([leave_one_out_error(x, y, log.exp()) for log in logs])
        errors.sum().backward()  # each error has its own width, so the gradients do not mix
        optimizer.step()
        bar.set_postfix(error=f"{errors.min().item():.4f}")
    return [log.exp().item() for log in logs]


def picture(path, data, by_kernel, by_width, learned, search):
    figure = plt.figure(figsize=(17, 12.5), layout="constrained")
    kernels, widths = figure.subfigures(2, 1, squeeze=False).flat
    how = "above: the estimate; below, one row for each q: how much the estimate looks at each example"
    kernels.suptitle(f"Four kernels of width 1 ({how})", fontsize=14, weight="bold")
    widths.suptitle("The Gaussian kernel: too narrow copies the noise, too wide sees no curve", fontsize=14, weight="bold")

    panels = kernels.subplots(2, 5, height_ratios=[1, 1.15])
    draw(kernels, panels[:, :4], data, {NAMES[name]: found for name, found in by_kernel.items()})
    for ax in panels[:, 4]:
        ax.remove()
    ax = kernels.add_subplot(panels[0, 4].get_gridspec()[:, 4])
    tried, errors, ends = search
    ax.plot(tried.numpy(), errors.numpy(), "C0")
    for places, label, style in (
        (STARTS, "descent begins", {"marker": "o", "markerfacecolor": "white"}),
        (ends, "and ends", {"marker": "*", "markersize": 12, "alpha": 0.6}),
    ):
        heights = [leave_one_out_error(data[0], data[1], width).item() for width in places]
        ax.plot(places, heights, color="C3", linestyle="none", label=label, **style)
    ax.axvline(learned, color="C3", linestyle=":", label=f"learned: {learned:.2f}", zorder=0)
    ax.set(xlabel="width of the Gaussian kernel", ylabel="leave-one-out error", title="Which width is best?", xscale="log")
    ax.set(xticks=[0.05, 0.1, 0.2, 0.5, 1, 2], xticklabels=["0.05", "0.1", "0.2", "0.5", "1", "2"])
    ax.minorticks_off()
    low, high = errors.min().item(), errors.max().item()
    ax.set_ylim(low - 0.05 * (high - low), high + 0.25 * (high - low))
    ax.legend(loc="upper center")

    panels = widths.subplots(2, 5, height_ratios=[1, 1.15])
    titles = {f"width {width:.2g}" if width != learned else f"learned: {width:.2f}": found for width, found in by_width.items()}
    draw(widths, panels, data, titles)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw(figure, panels, data, columns):
    """Estimates above, weights below."""
    x, y, queries = (t.numpy() for t in data)
    top = max(found[1].max().item() for found in columns.values())
    for i, (title, (f, weights, distance)) in enumerate(columns.items()):
        above, below = panels[:, i]
        above.plot(x, y, "o", color="gray", alpha=0.6, markersize=5, label="examples")
        above.plot(queries, curve(data[2]).numpy(), "k--", linewidth=1.3, label="true curve")
        above.plot(queries, f.numpy(), "C3", linewidth=2.2, label="estimate")
        above.set(title=f"{title}\nmean squared error {distance:.2f}", xlim=(0, 5), ylim=(-2.5, 7), xlabel="x")
        image = below.imshow(
            weights.numpy(), aspect="auto", origin="lower", cmap="magma", norm=matplotlib.colors.PowerNorm(0.4, 0, top)
        )
        image.set_extent((0.5, EXAMPLES + 0.5, 0, 5))
        below.set(xlabel="example, from left to right")
        if i == 0:
            above.set_ylabel("y")
            above.legend(fontsize=9, loc="lower right", ncols=1)
            below.set_ylabel("q, where the curve is estimated")
        else:
            above.set_yticklabels([])
            below.set_yticklabels([])
    figure.colorbar(image, ax=panels[1, :].tolist(), label="weight", shrink=0.9, pad=0.01)


if __name__ == "__main__":
    main()
