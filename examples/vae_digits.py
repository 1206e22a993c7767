"""A variational autoencoder draws digits: a map of all that it knows, on two numbers.

The encoder turns an image x into a normal distribution q(z|x) over codes z of two numbers, the decoder a code into the
probability that each pixel is dark, and codes are N(0, 1) before an image is seen. log p(x) is an integral over all codes; what
is raised instead is a bound from below, the ELBO = E_q log p(x|z) - D(q(z|x)||N(0, 1)): by Jensen's inequality it is at most
log p(x), and how much is missing is the divergence of q from the true posterior. Gradients reach the encoder through the
sample z = mean + std * noise (Kingma and Welling, 2014).

A better bound is the logarithm of the mean over many codes of p(x|z) p(z)/q(z|x): with 500 of them it is nearly log p(x).

Target, on digits that were held out: the ELBO is 2 nats or more above what pixels reach that do not depend on each other (the
mean image for every digit), and at most the better bound, on average; the divergence is 2 nats or more, so that the codes are
used. Some seconds. The picture shows reconstructions, samples, the map of codes and a walk from one digit to another.
"""

import argparse
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import minidl
import minidl.nn as nn
import minidl.nn.functional as F
from minidl import viz
from minidl.models import VAE, standard_normal_kl
from minidl.utils.data import DataLoader, digits

ABOVE, USED = 2.0, 2.0
WALK = 3, 6  # from the mean code of this digit to that of the other


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=100, help="passes over the digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for weights, order and noise")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="two epochs, and no target to meet: shows that it runs")
    options = parser.parse_args()
    epochs = 2 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)
    minidl.set_num_threads(1)  # such small layers are hardly faster with two

    train, test = digits(train=True), digits(train=False)
    x, y = test.tensors
    mean_image = train.tensors[0].mean(0).clamp(1e-3, 1 - 1e-3)
    alone = -F.binary_cross_entropy(mean_image.expand_as(x), x, reduction="none").sum(1).mean().item()
    model = VAE(64, [128, 64], 2, nn.Tanh)
    norms = viz.GradientNorms(model)
    history = fit(model, train, x, epochs, norms)
    with minidl.no_grad():
        mean, log_variance = model.encode(x)
        divergence = standard_normal_kl(mean, log_variance).mean().item()
        bound = better_bound(model, x, 20 if options.quick else 500)
        elbo = minidl.stack([model.elbo(x).mean() for _ in range(20)]).mean().item()
    print(f"held-out digits: ELBO {elbo:.2f} nats, of which -{divergence:.2f} is the divergence; log p(x) about {bound:.2f};")
    print(f"pixels that do not depend on each other: {alone:.2f}")
    picture(options.out / "vae_digits.png", model, history, x, y, (elbo, bound, alone))
    columns = {"train_elbo": [row[0] for row in history], "val_elbo": [row[1] for row in history]}
    viz.report(columns, model, norms=norms, picture=options.out / "vae_digits.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'vae_digits.png'}")
    if not options.quick and not (elbo >= alone + ABOVE and elbo <= bound and divergence >= USED):
        sys.exit(f"expected an ELBO of {alone + ABOVE:.2f} or more and at most log p(x), and a divergence of {USED} or more")


def fit(model, train, x, epochs, norms):
    """[(ELBO on the training digits, ELBO on those held out)] for each epoch."""
    optimizer = minidl.optim.Adam(model.parameters(), lr=0.003)
    schedule = minidl.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    history = []
    bar = tqdm(range(epochs), unit="epoch", disable=None)
    for _ in bar:
        sums = 0.0
        for images, _ in DataLoader(train, batch_size=64, shuffle=True):
            loss = -model.elbo(images).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sums -= loss.item() * len(images)
        norms()
        schedule.step()
        with minidl.no_grad():
            history.append((sums / len(train), model.elbo(x).mean().item()))
        bar.set_postfix(elbo=f"{history[-1][1]:.2f}")
    return history


def better_bound(model, x, samples):
    """log of the mean over codes z from q(z|x) of p(x|z) p(z)/q(z|x), averaged over x: nats (Burda et al., 2016)."""
    mean, log_variance = model.encode(x)
    ratios = []
    for _ in range(samples):
        z = model.reparameterize(mean, log_variance)
        log_prior = -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)
        log_q = -0.5 * ((z - mean) ** 2 / log_variance.exp() + log_variance + math.log(2 * math.pi)).sum(1)
        ratios.append(model.log_likelihood(x, model.decoder(z)) + log_prior - log_q)
    return (minidl.stack(ratios).logsumexp(0) - math.log(samples)).mean().item()


@minidl.no_grad()
def picture(path, model, history, x, y, values):
    figure = plt.figure(figsize=(17, 8), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, squeeze=False, width_ratios=[0.95, 1, 1]).flat
    elbo, bound, alone = values
    curve, codes = left.subplots(2, 1, height_ratios=[1, 1.7])
    training, held_out = np.array(history).T
    curve.plot(training, "C0", label="training digits")
    curve.plot(held_out, "C1", label=f"held-out digits, {elbo:.2f} at the end")
    curve.axhline(bound, color="black", linestyle="--", linewidth=1, label=f"log p(x) of held-out digits, about {bound:.2f}")
    curve.axhline(alone, color="C3", linestyle=":", label=f"the mean image for every digit, {alone:.2f}")
    curve.set(ylim=(alone - 2, bound + 1.5), xlabel="epoch", ylabel="nats for each image", title="ELBO: a bound that rises")
    curve.legend(fontsize=8, loc="lower right")

    mean, _ = model.encode(x)
    z = mean.numpy()
    labels = y.numpy()
    centres = np.array([z[labels == digit].mean(0) for digit in range(10)])
    for digit in range(10):
        codes.scatter(*z[labels == digit].T, s=9, color=plt.colormaps["tab10"](digit), alpha=0.6)
        codes.text(*centres[digit], str(digit), fontsize=15, weight="bold", ha="center", va="center")
    codes.plot(*centres[list(WALK)].T, "k--", linewidth=1)
    codes.set(xlabel="z₁", ylabel="z₂", xlim=(-2.9, 2.9), ylim=(-2.9, 2.9), aspect="equal", title="Codes of held-out digits")

    steps = np.linspace(-2.1, 2.1, 15)
    grid = np.stack(np.meshgrid(steps, steps[::-1]), -1).reshape(-1, 2)
    above, below = middle.subplots(2, 1, height_ratios=[9, 1])
    above.imshow(mosaic(decoded(model, grid), 15), cmap="gray_r", vmin=0, vmax=1, extent=(-2.25, 2.25, -2.25, 2.25))
    above.set(xlabel="z₁", ylabel="z₂", title="The map: what the decoder draws for each code")
    walk = centres[WALK[0]] + np.linspace(0, 1, 12)[:, None] * (centres[WALK[1]] - centres[WALK[0]])
    show(below, decoded(model, walk), 12, f"A walk from {WALK[0]} to {WALK[1]} (dashed among the codes)")

    above, below = right.subplots(2, 1, height_ratios=[4, 6])
    shown = np.array([np.flatnonzero(labels == i % 10)[i // 10] for i in range(20)])
    rebuilt = model.decode(mean[shown]).numpy()
    pairs = np.stack([x.numpy()[shown].reshape(2, 10, 64), rebuilt.reshape(2, 10, 64)], 1)
    show(above, pairs.reshape(-1, 64), 10, "Held-out digits, and below each what two numbers keep of it")
    show(below, model.sample(60, minidl.Generator().manual_seed(0)).numpy(), 10, "Samples: codes drawn from N(0, 1)")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def decoded(model, codes):
    return model.decode(minidl.tensor(codes, dtype=minidl.float32)).numpy()


def mosaic(images, columns):
    """Images (N, 64) side by side in rows, with a light line between them."""
    tiles = np.pad(images.reshape(-1, columns, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=0.15)
    return tiles.transpose(0, 2, 1, 3).reshape(10 * len(tiles), 10 * columns)


def show(ax, images, columns, title):
    ax.imshow(mosaic(images, columns), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], title=title)


if __name__ == "__main__":
    main()
