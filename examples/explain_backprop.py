"""Backprop of seven networks as pages to step through, and how large the gradient is on its way back.

XOR, a digits MLP, LeNet, a small ResNet, a GRU of 30 steps, a Transformer block, and cross-entropy written by hand: for each,
`minidl.viz.explain` writes out/explain_NAME.html, one file that opens in any browser. There → steps through the program, on to
the loss and back; each step shows formula, values, dy, the line of the program, and backward against difference quotients.

Target: no number of any backward differs from its difference quotient (numbers at kinks, where a slope has two sides, are
counted apart), and the gradients on the pages are those of loss.backward(), to the six digits that a page has.

The picture shows the size of dy, the gradient that each operation receives, from the loss to the first operation.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm

import minidl
import minidl.nn as nn
import minidl.nn.functional as F
from minidl import models, viz
from minidl.utils.data import digits

STEPS = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="for the initial weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the pages and the picture")
    parser.add_argument("--quick", action="store_true", help="three pages")
    options = parser.parse_args()
    if options.out.is_file():
        parser.error("expected --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    chosen = NETWORKS[:3] if options.quick else NETWORKS
    pages, same = {}, True
    for title, make in tqdm(chosen, desc="pages", disable=None):
        minidl.manual_seed(options.seed)
        loss, leaves = make()
        page = pages[title] = viz.explain(loss, title=title)
        page.save(options.out / f"explain_{make.__name__}.html")
        same = same and as_backward(page, loss, leaves)
    counts = dict.fromkeys(("ok", "kink", "wrong"), 0)
    for title, page in pages.items():
        found = verdicts(page)
        for verdict in counts:
            counts[verdict] += found.count(verdict)
        operations = sum(node["kind"] == "op" for node in page.data["nodes"])
        print(f"{title}: {operations} operations, {len(page.html()) // 1000} kB, {found.count('ok')} numbers agree")
    path = options.out / "explain_backprop.png"
    picture(pages, path)
    ok, kink, wrong = counts.values()
    print(f"{ok} numbers of {len(pages)} networks agree with quotients, {kink} lie at kinks, {wrong} differ")
    viz.report(picture=path, seed=options.seed, text=__doc__)
    print(f"picture: {path}")
    if wrong or not ok or not same:
        sys.exit(f"expected no gradient to differ from its quotient, and those of backward (the same: {same})")


# --- the networks: each gives a function that computes the loss, and the tensors whose gradient is wanted


def cross_entropy_by_hand():
    x, label = digits()[:16]
    w = nn.Parameter(0.1 * minidl.randn(64, 10))

    def loss():
        logits = x @ w
        shifted = logits - logits.amax(1, keepdim=True)
        logp = shifted - shifted.exp().sum(1, keepdim=True).log()
        return -logp.gather(1, label[:, None]).mean()

    return loss, [w]


def xor():
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    x, y = minidl.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), minidl.tensor([[0.0], [1.0], [1.0], [0.0]])
    return lambda: F.mse_loss(model(x), y), list(model.parameters())


def digits_mlp():
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    x, label = digits()[:16]
    return lambda: F.cross_entropy(model(x), label), list(model.parameters())


def lenet():
    first = nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2)
    last = nn.Flatten(), nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)
    model = nn.Sequential(*first, *last)
    images, label = digits(size=28)[:4]
    return lambda: F.cross_entropy(model(images), label), list(model.parameters())


def resnet():
    model = models.ResNet(((1, 8), (1, 16)))
    images, label = digits(size=28)[:4]
    model(images)  # lazy layers get their shapes
    return lambda: F.cross_entropy(model(images), label), list(model.parameters())


class Reader(nn.Module):
    """Reads a sequence with one GRU cell, and says what it was."""

    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.GRUCell(8, 12), nn.Linear(12, 3)

    def forward(self, sequence):
        h = minidl.zeros(sequence.shape[1], 12)
        for x in sequence:
            h = self.cell(x, h)
        return self.out(h)


def gru():
    model, x, label = Reader(), minidl.randn(STEPS, 4, 8), minidl.tensor([0, 1, 2, 0])
    return lambda: F.cross_entropy(model(x), label), list(model.parameters())


def transformer():
    block, head = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True), nn.Linear(16, 3)
    x, label = minidl.randn(4, 6, 16), minidl.tensor([0, 1, 2, 0])
    return lambda: F.cross_entropy(head(block(x)[:, 0]), label), [*block.parameters(), *head.parameters()]


NETWORKS = [
    ("cross-entropy by hand", cross_entropy_by_hand),
    ("XOR", xor),
    ("digits MLP", digits_mlp),
    ("LeNet", lenet),
    ("small ResNet", resnet),
    (f"GRU, {STEPS} steps", gru),
    ("Transformer block", transformer),
]


# --- what is checked


def verdicts(page):
    """What the difference quotients say of each number that was compared: ok, kink, wrong or not finite."""
    rules = [out.get("check") for step in page.data["steps"] for out in step["out"]]
    chains = [node.get("chain") for node in page.data["nodes"]]
    return [row["verdict"] for rows in (*rules, *chains) if isinstance(rows, list) for row in rows]


def as_backward(page, loss, leaves):
    """Whether the page has the gradients of loss.backward(), by their statistics and their number."""
    loss().backward()
    shown = [page.data["arrays"][n["grad"]] for n in page.data["nodes"] if n.get("grad") is not None]
    told = sorted((row["n"], row["min"], row["max"]) for row in shown)
    expected = sorted((leaf.grad.numel(), six(leaf.grad.min()), six(leaf.grad.max())) for leaf in leaves)
    return told == expected


def six(x):
    """A number with the six digits of the page."""
    return float(f"{float(x.item()):.6g}")


def picture(pages, path):
    figure, axes = plt.subplots(2, 4, figsize=(15, 7), layout="constrained", sharey=True)
    for ax, (title, page) in zip(axes.flat, pages.items(), strict=False):
        arrays, steps = page.data["arrays"], page.data["steps"]
        sizes = np.array([np.sqrt(sum(float(arrays[a]["rms"]) ** 2 for a in step["dy"] if a is not None)) for step in steps])
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.semilogy(range(1, len(sizes) + 1), sizes, "o-", color="C0", markersize=4)
        ax.set(title=title, xlabel="operations, from the loss back")
        ax.axhline(1, color="0.6", linewidth=0.8)
        ax.grid(axis="y", color="0.92")
    for ax in axes[:, 0]:
        ax.set_ylabel("size of dy (root mean square)")
    for ax in axes.flat[len(pages) :]:
        ax.axis("off")
        ax.text(
            0, 0.6, "The pages:\n" + "explain_NAME.html,\nbeside this picture.\n→ steps on, ← back.", fontsize=13, va="center"
        )
    figure.suptitle("How large the gradient is when it arrives at each operation; it begins with 1 at the loss")
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    main()
