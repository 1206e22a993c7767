"""Attention piece by piece: what weights do, and five ways to score how well a key suits a query.

Attention(q, D) is the sum of weights times values. Here are its pieces, each with a number that it must reach:
1. Weights of at least 0 stay in the cone of the values, weights that also sum to 1 in their convex hull; a single 1 looks a
   value up, equal weights average. Target: 1000 random weights of each kind stay where they must.
2. The Gaussian score -½|q - k|² is qᵀk - ½|k|² - ½|q|². Softmax does not see the last term, and where all keys have one norm,
   as after layer norm, not the second one: dot products give the same weights. Target: to 1e-5, and for other keys not.
3. Dot products of longer vectors are larger, their variance is d, and softmax becomes a choice of one key: its entropy falls to
   nothing, and with it the gradient. Divided by √d the variance is 1. Target: within 10 % for d = 2 to 512.
4. Masked softmax: what lies beyond a sequence's length gets the weight 0, whatever is there, even NaN. Target: exactly 0.
5. Queries and keys of unequal lengths: qᵀMk; or additive, wᵀ tanh(Uq + Vk), an MLP on q and k side by side. Target: to 1e-5.
6. Batches of matrices are multiplied pair by pair (bmm). Target: to 1e-5 as a loop.
7. A kernel may have a width for each coordinate. Where only the first of two tells anything, a wide second one halves the
   error, at least.

The picture shows the cone and the hull, what scaling does to weights, and a mask. It takes a few seconds.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import minidl
import minidl.nn.functional as F
from minidl import information, viz

EXACT, NEAR, DIFFERENT = 1e-5, 0.1, 0.01
SIZES = [2, 4, 8, 16, 32, 64, 128, 256, 512]
VALUES = [[1.0, 0.2], [2.2, 0.9], [1.9, 1.8], [0.9, 1.9], [0.5, 1.2]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="random queries for each size (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for queries, keys and weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="500 queries; the targets stay")
    options = parser.parse_args()
    samples = 500 if options.quick else options.samples
    if samples < 100 or options.out.is_file():
        parser.error("expected 100 samples or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    cone, hull, outside = weights_of_two_kinds()
    print(f"weights: {outside} of {len(cone) + len(hull)} results lie outside of the cone or the hull")
    of_one_norm, of_others = gaussian_and_dot()
    print(f"Gaussian and dot product: weights differ by {of_one_norm:.1e} for keys of one norm, by {of_others:.2f} for others")
    rows = [scaling(d, samples) for d in SIZES]
    print(f"variance of qᵀk at d = {SIZES[-1]}: {rows[-1][0]:.1f}, scaled {rows[-1][1]:.3f}; entropy of the weights: ", end="")
    print(f"{rows[-1][2]:.2f} bits, scaled {rows[-1][3]:.2f} of {math.log2(10):.2f}")
    masked, hidden = masking()
    print(f"masked softmax: hidden weights sum to {hidden}")
    told = {"additive score and MLP": additive_and_mlp(), "bilinear score and its sum": bilinear(), "bmm and a loop": bmm()}
    for name, apart in told.items():
        print(f"{name}: differ by {apart:.1e}")
    alike, wide = widths()
    print(f"mean squared error with one width {alike:.3f}, with a wide second one {wide:.3f}")

    picture(cone, hull, rows, masked, options.out / "attention_scores.png")
    missed = [name for name, apart in told.items() if not apart < EXACT]
    missed += ["cone and hull"] if outside else []
    missed += ["Gaussian and dot product"] if of_one_norm > EXACT or of_others < DIFFERENT else []
    missed += [
        f"variance, d = {d}" for d, row in zip(SIZES, rows, strict=True) if abs(row[0] / d - 1) + abs(row[1] - 1) > 2 * NEAR
    ]
    missed += ["masked softmax"] if hidden != 0 or not np.isfinite(masked).all() else []
    missed += ["widths"] if wide > alike / 2 else []
    print("all seven pieces do what they must" if not missed else f"not as stated: {missed}")
    viz.report(picture=options.out / "attention_scores.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'attention_scores.png'}")
    if missed:
        sys.exit(f"not as stated: {', '.join(missed)}")


def weights_of_two_kinds():
    """(1000 results with weights of at least 0, 1000 whose weights sum to 1 as well, how many lie where they must not)."""
    values = minidl.tensor(VALUES)
    positive = minidl.rand(1000, len(VALUES)) ** 4
    convex = (3 * minidl.randn(1000, len(VALUES))).softmax(1)
    cone, hull = F.attention_pooling(positive, values), F.attention_pooling(convex, values)
    angles = values[:, 1].atan2(values[:, 0])
    angle = cone[:, 1].atan2(cone[:, 0])
    outside = ((angle < angles.min() - EXACT) | (angle > angles.max() + EXACT)).sum().item()
    for a, b in zip(VALUES, VALUES[1:] + VALUES[:1], strict=True):  # the hull is left of each of its sides
        left = (b[0] - a[0]) * (hull[:, 1] - a[1]) - (b[1] - a[1]) * (hull[:, 0] - a[0])
        outside += (left < -EXACT).sum().item()
    looked_up = F.attention_pooling(minidl.eye(len(VALUES)), values)
    average = F.attention_pooling(minidl.full((1, len(VALUES)), 1 / len(VALUES)), values)[0]
    outside += int(not looked_up.allclose(values)) + int(not average.allclose(values.mean(0)))
    return cone.numpy(), hull.numpy(), outside


def gaussian_and_dot(n=20, d=8):
    """How far the weights by both scores are apart: for keys after layer norm, and for others."""
    queries, keys = minidl.randn(n, d), minidl.randn(n, d) * minidl.rand(n, 1) * 2
    apart = []
    for k in (F.layer_norm(keys, (d,), eps=1e-12), keys):
        weights = (scores(queries, k).softmax(1) for scores in (F.gaussian_scores, F.dot_product_scores))
        apart.append((next(weights) - next(weights)).abs().max().item())
    return apart


def scaling(d, samples, keys=10):
    """(variance of qᵀk, of qᵀk/√d, mean entropy of the weights in bits by either) for standard normal q and k."""
    q, k = minidl.randn(samples, 1, d), minidl.randn(samples, keys, d)
    plain, scaled = F.dot_product_scores(q, k), F.scaled_dot_product_scores(q, k)
    entropies = (information.entropy(scores.softmax(-1), dim=-1).mean().item() for scores in (plain, scaled))
    return plain.var().item(), scaled.var().item(), *entropies


def masking():
    """(weights (2, 4, 6) of sequences of the lengths 2 and 5, the sum of what is hidden)."""
    scores = minidl.randn(2, 4, 6)
    lengths = minidl.tensor([2, 5])
    for row, length in zip(scores, lengths.tolist(), strict=True):
        row[:, length:] = math.nan  # it does not matter what is there
    weights = F.masked_softmax(scores, lengths).numpy()
    return weights, float(weights[0, :, 2:].sum() + weights[1, :, 5:].sum())


def additive_and_mlp(q=3, k=5, h=7):
    queries, keys, u, v, w = (minidl.randn(*shape) for shape in ((4, q), (6, k), (h, q), (h, k), (h,)))
    pairs = minidl.cat([queries[:, None].expand(4, 6, q), keys[None].expand(4, 6, k)], -1)
    mlp = F.linear(pairs, minidl.cat([u, v], 1)).tanh() @ w
    return (F.additive_scores(queries, keys, u, v, w) - mlp).abs().max().item()


def bilinear(q=3, k=5):
    queries, keys, m = minidl.randn(4, q), minidl.randn(6, k), minidl.randn(q, k)
    return (F.bilinear_scores(queries, keys, m) - minidl.einsum("ni,ij,mj->nm", queries, m, keys)).abs().max().item()


def bmm():
    a, b = minidl.randn(5, 3, 4), minidl.randn(5, 4, 6)
    return (a.bmm(b) - minidl.stack([x @ y for x, y in zip(a, b, strict=True)])).abs().max().item()


def widths(n=200):
    """The errors of a kernel estimate where y depends on the first of two coordinates: one width for both, a wide second."""
    keys, places = minidl.rand(2, n, 2)
    y = (6 * keys[:, :1]).sin() + 0.3 * minidl.randn(n, 1)
    truth = (6 * places[:, :1]).sin()
    wide: Any = minidl.tensor([0.05, 5.0])
    estimates = (F.nadaraya_watson(places, keys, y, width=width) for width in (0.05, wide))
    return [((estimate - truth) ** 2).mean().item() for estimate in estimates]


def picture(cone, hull, rows, masked, path):
    figure, (plane, variance, entropy, mask) = plt.subplots(1, 4, figsize=(16, 4.6), layout="constrained")
    plane.plot(*cone.T, ".", color="0.75", markersize=3, label="weights ≥ 0: cone")
    plane.plot(*hull.T, ".", color="C0", markersize=3, label="… that sum to 1: hull")
    plane.plot(*np.array(VALUES).T, "o", color="black", label="values: a single 1")
    plane.plot(*np.mean(VALUES, 0), "X", color="C1", markersize=11, label="their mean: equal weights")
    plane.set(xlim=(0, 5), ylim=(0, 5), title="Weighted sums of five values", aspect="equal")
    plane.legend(loc="upper left", fontsize=8)

    plain, scaled, plain_entropy, scaled_entropy = zip(*rows, strict=True)
    variance.plot(SIZES, plain, "o-", color="C1", label="qᵀk")
    variance.plot(SIZES, scaled, "o-", color="C0", label="qᵀk/√d")
    variance.plot(SIZES, SIZES, color="black", linestyle="--", label="expected: d and 1")
    variance.axhline(1, color="black", linestyle="--")
    variance.set(xscale="log", yscale="log", xlabel="length d of queries and keys", title="Variance of the scores")
    variance.legend()
    entropy.plot(SIZES, plain_entropy, "o-", color="C1", label="softmax of qᵀk")
    entropy.plot(SIZES, scaled_entropy, "o-", color="C0", label="softmax of qᵀk/√d")
    entropy.axhline(math.log2(10), color="black", linestyle=":", label="equal weights")
    entropy.set(xscale="log", ylim=(0, 3.6), xlabel="length d", ylabel="bits", title="Entropy of the weights of 10 keys")
    entropy.legend(loc="lower left")

    shown = np.concatenate([masked[0], np.full((1, 6), np.nan), masked[1]])
    image = mask.imshow(np.where(shown == 0, np.nan, shown), cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(shown):
        for j, value in enumerate(row):
            if not np.isnan(value):
                mask.text(j, i, f"{value:.2f}" if value else "0", ha="center", va="center", fontsize=8)
    mask.set(xlabel="keys", yticks=[1.5, 6.5], yticklabels=["length 2", "length 5"], title="Masked softmax (NaN beyond)")
    mask.tick_params(axis="y", labelrotation=90)
    figure.colorbar(image, ax=mask, shrink=0.7)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
