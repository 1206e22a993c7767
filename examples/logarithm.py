"""Why a logarithm? What a measure of surprise must do, and what other measures do instead.

Chapter 22.11.2.3 of Dive into Deep Learning asks why information is -log p. The surprise at an event should
1. fall as the event grows more likely: nothing is to learn from what was certain, without end from what is impossible;
2. add up over independent events, whose probabilities are multiplied: a heart and a six tell what both tell by themselves.
Of the measures 1 - p, 1/p - 1, (log p)² and -log2 p, which all fall and are 0 at p = 1, only the last adds up. Another base
is another unit, nothing more.

There is a third use: a product of many probabilities is too small for a float, and its logarithm is not. The probability of
150 throws of a coin is 0 in float32, and 1100 are 0 in float64; the sum of the logarithms is 150 and 1100 bits.

Target: on 1000 random pairs of events -log2 of the product is the sum within 1e-12, and each other measure is off by more than
0.1 on average; -log2 p falls all the way, from infinity at 0 to 0 at 1; n throws are n bits, n = 0 to 1100; nats are bits times
ln 2. It takes two seconds. The picture shows the four measures, whether they add up, and the throws.
"""

import argparse
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import information, viz

EXACT, APART = 1e-12, 0.1
MEASURES = {
    "1 − p": lambda p: 1 - p,
    "1/p − 1": lambda p: 1 / p - 1,
    "(log2 p)²": lambda p: p.log2() ** 2,
    "−log2 p": information.self_information,
}
COLORS = "0.6", "C1", "C3", "C0"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--throws", type=int, default=1100, help="throws of a coin (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the pairs of events")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="the same: it takes two seconds anyway")
    options = parser.parse_args()
    if options.throws < 1 or options.out.is_file():
        parser.error("expected 1 throw or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)
    missed = []

    p, q = 0.05 + 0.95 * minidl.rand(2, 1000, dtype=minidl.float64)
    sums = {name: (measure(p) + measure(q), measure(p * q)) for name, measure in MEASURES.items()}
    for name, (apart, together) in sums.items():
        off = (apart - together).abs()
        print(f"{name:>10}: surprise at both events differs from the sum by {off.mean().item():.2g} on average")
        good = off.max().item() < EXACT if name == "−log2 p" else off.mean().item() > APART
        missed += [] if good else [f"{name} on pairs"]

    grid = minidl.linspace(0, 1, 1001, dtype=minidl.float64)
    surprise = information.self_information(grid)
    print(f"at p = 0: {surprise[0].item()} bits; at p = 1: {surprise[-1].item()}")
    if surprise[0] != math.inf or surprise[-1] != 0 or not (surprise[1:] < surprise[:-1]).all():
        missed.append("falling from infinity to 0")
    nats = information.self_information(grid[1:], base=math.e)
    if (nats - surprise[1:] * math.log(2)).abs().max().item() > EXACT:
        missed.append("nats")

    half = minidl.full((options.throws,), 0.5, dtype=minidl.float64)
    single, double, logs = half.float().cumprod(0), half.cumprod(0), information.self_information(half).cumsum(0)
    for name, product in (("float32", single), ("float64", double)):
        zeros = (product == 0).nonzero()
        first = zeros[0].item() + 1 if len(zeros) else None
        print(f"{name}: the product is 0 {f'from {first} throws on' if first else 'nowhere'}; the sum goes on")
    if (logs - minidl.arange(1, options.throws + 1)).abs().max().item() > EXACT:
        missed.append("bits of throws")

    picture(sums, single, double, logs, options.out / "logarithm.png")
    viz.report(picture=options.out / "logarithm.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'logarithm.png'}")
    if missed:
        sys.exit(f"not as stated: {', '.join(missed)}")


def picture(sums, single, double, logs, path):
    figure, (curves, adds, throws) = plt.subplots(1, 3, figsize=(15, 5), layout="constrained")
    p = minidl.linspace(0.001, 1, 1000, dtype=minidl.float64)
    for (name, measure), color in zip(MEASURES.items(), COLORS, strict=True):
        wide = 2.5 if name == "−log2 p" else 1.2
        curves.plot(p.numpy(), measure(p).numpy(), color=color, linewidth=wide, label=name)
    curves.set(ylim=(0, 7), xlabel="probability p", ylabel="surprise", title="All fall, and are 0 where p = 1")
    curves.legend()

    for (name, (apart, together)), color in zip(sums.items(), COLORS, strict=True):
        adds.plot(apart.numpy(), together.numpy(), ".", markersize=3, color=color, label=name)
    adds.axline((0, 0), (1, 1), color="black", linestyle="--", label="both = one + the other")
    adds.set(xlim=(0, 8), ylim=(0, 8), xlabel="surprise at one event + at the other", ylabel="surprise at both")
    adds.set(title="Two independent events: only −log p adds up")
    adds.legend(loc="lower right", fontsize=9, markerscale=3)

    n = np.arange(1, len(logs) + 1)
    throws.plot(n, logs.numpy(), color="C0", linewidth=3, alpha=0.5, label="sum of −log2 p")
    for product, color, name in ((double, "0.6", "float64"), (single, "C3", "float32")):
        seen = product.numpy() > 0
        throws.plot(n[seen], -np.log2(product.numpy()[seen]), color=color, label=f"−log2 of the product, {name}")
        if not seen.all():
            throws.plot(n[seen][-1], logs[int(seen.sum()) - 1].item(), "x", color=color, markersize=12, markeredgewidth=3)
    throws.set(xlabel="throws of a coin", ylabel="bits", title="At × the product of the probabilities becomes 0")
    throws.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
