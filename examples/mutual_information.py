"""Correlation sees straight lines; mutual information sees whatever one variable tells about another.

1. Pairs of numbers, half a million of each kind: on a parabola and on a circle (with some noise) the correlation is zero and
   the information is not; on a noisy line it is what the closed form for normal variables says, -1/2 log2(1 - r^2). It is
   estimated as anyone would from samples: count how many fall into each field of a grid, call that p(x, y). The truth for the
   parabola and the circle comes from their densities. Target: |r| < 0.02 and more than 0.5 bits for both, and all estimates
   within 0.05 bits of the truth. (They come out a little low: a grid does not tell apart what falls into one field.)
2. What such counts make up: two variables of which neither tells anything about the other seem to share about
   (rows - 1)(columns - 1)/(2n ln 2) bits, because chance alone fills the fields unevenly. Shuffling one of the variables shows
   how much, and that is taken off. Target: what remains of unrelated numbers is below 0.002 bits.
3. Pairs of words that stand together more often than by chance, by pointwise mutual information, in real text: what Python's
   help() shows on its topics, or --text. Most of what a word seems to tell about the next one is made up as well: the text
   would have to be far longer than the table of all pairs.

It takes a few seconds. The picture shows the samples, what counting makes up, and the pairs of words.
"""

import argparse
import itertools
import math
import re
import sys
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import information, viz

NOISE = 0.1  # standard deviation of what is added to the parabola and the circle
SLOPE = 0.8  # the correlation along the noisy line
WITHIN = 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500_000, help="pairs of numbers of each kind (default: %(default)s)")
    parser.add_argument("--bins", type=int, default=40, help="rows and columns of the grid (default: %(default)s)")
    parser.add_argument("--text", type=Path, help="a file of text, in UTF-8, instead of Python's help")
    parser.add_argument("--seed", type=int, default=0, help="for the samples and the shuffling")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="100,000 pairs; the targets stay")
    options = parser.parse_args()
    samples = 100_000 if options.quick else options.samples
    if samples < 1000 or options.bins < 2 or options.out.is_file():
        parser.error("expected 1000 samples and 2 bins or more, and --out to name a folder")
    if options.text and not options.text.is_file():
        parser.error(f"{options.text} is no file")
    options.out.mkdir(parents=True, exist_ok=True)
    words = read_words(options.text)
    minidl.manual_seed(options.seed)

    truths, missed, shown = densities(), [], {}
    print(f"{samples} samples, {options.bins} x {options.bins} bins; bits")
    print(f"{'':<16}{'r':>8}{'counted':>10}{'shuffled':>10}{'estimate':>10}{'truth':>10}")
    for kind, (x, y) in draw(samples).items():
        r = np.corrcoef(x, y)[0, 1]
        counted = estimate(x, y, options.bins)
        made_up = estimate(x, shuffle(y), options.bins)
        shown[kind] = x, y, r, counted - made_up, truths[kind]
        print(f"{kind:<16}{r:>8.4f}{counted:>10.4f}{made_up:>10.4f}{counted - made_up:>10.4f}{truths[kind]:>10.4f}")
        curved = kind in ("parabola", "circle")
        if (curved and not (abs(r) < 0.02 and counted - made_up > 0.5)) or abs(counted - made_up - truths[kind]) > WITHIN:
            missed.append(kind)
        if kind == "unrelated" and abs(counted - made_up) > 0.002:
            missed.append(kind)

    pairs, table, (counted, made_up) = word_pairs(words)
    print(f"\nWord pairs: {len(words)} words, {int(table.sum())} pairs of the {len(table)} most frequent")
    print(f"a word and the next one: {counted:.2f} bits counted, {made_up:.2f} bits of them also when shuffled")
    print(f"{'':<30}{'times':>6}{'by chance':>11}{'PMI (bits)':>12}")
    for pair, times, chance, pmi in [*pairs[:12], *pairs[-3:]]:
        print(f"{pair:<30}{times:>6}{chance:>11.3g}{pmi:>12.2f}")

    told = ", ".join(f"{kind} r {r:.3f} and {bits:.2f} bits" for kind, (_, _, r, bits, _) in shown.items())
    print(f"correlation and information: {told}")

    picture(shown, unrelated(options.quick), pairs, options.out / "mutual_information.png")
    viz.report(picture=options.out / "mutual_information.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'mutual_information.png'}")
    if missed:
        sys.exit(f"not as stated: {', '.join(missed)}")


# --- pairs of numbers


def draw(n):
    """{kind: (x, y)}, n of each."""
    x, noise = minidl.randn(2, n, dtype=minidl.float64)
    even = 2 * minidl.rand(n, dtype=minidl.float64) - 1
    pairs = {
        "line": (x, SLOPE * x + math.sqrt(1 - SLOPE**2) * noise),
        "parabola": (even, even**2 + NOISE * noise),
        "circle": ((math.pi * even).cos() + NOISE * x, (math.pi * even).sin() + NOISE * noise),
        "unrelated": (x, noise),
    }
    return {kind: (x.numpy(), y.numpy()) for kind, (x, y) in pairs.items()}


def estimate(x, y, bins):
    """I(X, Y) in bits from counts: bins in each direction, each with as many of the samples as any other."""
    counts = np.zeros((bins, bins))
    np.add.at(counts, (ranks(x) * bins // len(x), ranks(y) * bins // len(y)), 1)
    return information.mutual_information(counts / len(x)).item()


def ranks(x):
    """Of each element its place in the order of all. Information asks only which bin it is, so any rising scale will do."""
    places = np.empty(len(x), np.int64)
    places[x.argsort()] = np.arange(len(x))
    return places


def shuffle(x):
    return x[minidl.randperm(len(x)).numpy()]


def densities(points=500):
    """{kind: I(X, Y) in bits}, for the parabola and the circle from p(x, y) at points x points places."""
    grid = np.linspace(-1.6, 1.6, points)[:, None]
    even = (np.arange(4000) + 0.5) / 2000 - 1  # in place of all samples of the variable that is uniform
    x, y = bell(grid - np.cos(np.pi * even)), bell(grid - np.sin(np.pi * even))
    circle = x @ y.T
    across = np.linspace(-1, 1, points)
    parabola = bell(grid - across**2)
    return {
        "line": information.bivariate_normal_mutual_information(SLOPE),
        "parabola": information.mutual_information(parabola / parabola.sum()).item(),
        "circle": information.mutual_information(circle / circle.sum()).item(),
        "unrelated": 0.0,
    }


def bell(x):
    return np.exp(-((x / NOISE) ** 2) / 2)


def unrelated(quick):
    """(samples, bins, bits): what counts find where there is nothing to find."""
    sizes = [100, 300, 1000, 3000, 10_000] + ([] if quick else [30_000, 100_000])
    pairs = {n: minidl.randn(2, n, dtype=minidl.float64).numpy() for n in sizes}
    return [(n, bins, estimate(x, y, bins)) for bins in (5, 10, 20, 40) for n, (x, y) in pairs.items()]


# --- pairs of words


def read_words(path):
    """Lower-case words, each paragraph taken once: Python's help repeats many under several topics. None between two."""
    text = path.read_text(encoding="utf-8") if path else "\n\n".join(topics.values())
    paragraphs = dict.fromkeys(" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    words = [word for part in paragraphs for word in [*re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", part.lower()), None]]
    if len(words) < 1000:
        sys.exit(f"expected a text of 1000 words or more, got {len(words)}")
    return words


def word_pairs(words, vocabulary=1000, least=10):
    """[(pair, times, times to be expected by chance, PMI)] from high to low, the counts, and (I counted, I shuffled)."""
    frequent = [word for word, _ in Counter(filter(None, words)).most_common(vocabulary)]
    number = {word: i for i, word in enumerate(frequent)}
    pairs = [(number[a], number[b]) for a, b in itertools.pairwise(words) if a in number and b in number]
    first, second = np.array(pairs).T
    table = count(first, second, len(frequent))
    p = minidl.tensor(table / table.sum())
    pmi = information.pointwise_mutual_information(p).numpy()
    chance = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    rows = [(i, j) for i, j in np.argwhere(np.maximum(table, chance) >= least) if table[i, j] > 0]
    if not rows:
        sys.exit(f"expected a text in which some pairs of words come {least} times or more")
    rows.sort(key=lambda at: -pmi[at])
    told = [(f"{frequent[i]} {frequent[j]}", int(table[i, j]), chance[i, j], pmi[i, j]) for i, j in rows]
    shuffled = count(first, shuffle(second), len(frequent))
    bits = [information.mutual_information(counts / counts.sum()).item() for counts in (table, shuffled)]
    return told, table, bits


def count(first, second, size):
    table = np.zeros((size, size))
    np.add.at(table, (first, second), 1)
    return table


def picture(shown, unrelated, pairs, path):
    figure, axes = plt.subplots(2, 3, figsize=(14, 8.5), layout="constrained")
    for ax, kind in zip(axes.flat, ("line", "parabola", "circle"), strict=False):
        x, y, r, bits, truth = shown[kind]
        ax.plot(x[:4000], y[:4000], ".", markersize=2, alpha=0.5)
        ax.set(xlabel="x", ylabel="y", title=f"{kind.capitalize()}: r = {r:.3f}, I = {bits:.2f} bits (truth {truth:.2f})")
    axes[0, 2].set_aspect("equal")

    made_up, high, low = axes[1]
    for i, bins in enumerate(sorted({bins for _, bins, _ in unrelated})):
        n, bits = np.array([(n, bits) for n, b, bits in unrelated if b == bins]).T
        made_up.plot(n, bits, "o", color=f"C{i}", label=f"{bins} x {bins} bins")
        made_up.plot(n, (bins - 1) ** 2 / (2 * n * math.log(2)), color=f"C{i}", linewidth=1)
    made_up.set(xscale="log", yscale="log", xlabel="samples", ylabel="bits", ylim=(1e-4, 20))
    made_up.set_title("Unrelated numbers: counted (dots), expected (lines)")
    made_up.legend()

    for ax, title, rows in (
        (high, "Words that seek each other", pairs[:18]),
        (low, "Words that avoid each other", pairs[:-19:-1]),
    ):
        names, times, chance, pmi = zip(*rows, strict=True)
        bars = ax.barh(names, pmi)
        ax.bar_label(bars, [f" {n} times, {c:.3g} by chance " for n, c in zip(times, chance, strict=True)], fontsize=7)
        ax.invert_yaxis()
        ax.set(xlabel="pointwise mutual information (bits)", title=title)
        ax.tick_params(axis="y", labelsize=8)
        ends = min(0, *pmi), max(0, *pmi)
        ax.set_xlim(1.8 * ends[0], 1.8 * ends[1])
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
