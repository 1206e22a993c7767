"""Weight decay: 200 weights, 20 examples. Without it they are learned by heart.

The data are y = 0.05 + Σ 0.01 x_i + noise N(0, 0.01²) with 200 inputs: 20 examples to train on, 100 held out (chapter 3.7 of
Dive into Deep Learning; batches of 5, learning rate 0.01, 10 epochs). Weight decay adds λ/2 ‖w‖² to the loss, so each step
shrinks the weights first: w ← (1 - ηλ) w - η ∂loss/∂w; the bias is not decayed. An optimizer does it by weight_decay=λ.

Target, means of ten runs, against those of one run in NumPy: with λ = 0 a validation loss within 25 % of 0.020, and ½‖w‖²
within 15 % of 0.0101; with λ = 3 0.0116 and 0.0014. The training loss is below 2e-5 with λ = 0, and between 2e-4 and 1e-3 with
λ = 3. In one run: the penalty written into the loss gives the same weights as weight_decay, within 1e-6.

What theory says of λ = 0: 20 examples tell the weights in 20 of 200 directions, the other 180 stay as they began. So the loss
is ½·(180/200)·(‖truth‖² + ‖start‖²) = ½·0.9·(0.02 + 0.02) = 0.018 on average.
"""

import argparse
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
from minidl.utils.data import DataLoader, TensorDataset

INPUTS, TRAIN, VALIDATION, WEIGHT, BIAS, NOISE = 200, 20, 100, 0.01, 0.05, 0.01
EXPECTED = {0: (0.020, 0.0101), 3: (0.0116, 0.0014)}  # validation loss, half the squared norm
LAMBDAS = [0, 0.3, 1, 2, 3, 5, 8, 12, 20, 40]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="with other data and first weights (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="two runs, and no target to meet: shows that it runs")
    options = parser.parse_args()
    runs = 2 if options.quick else options.runs
    if runs < 1 or options.out.is_file():
        parser.error("expected 1 run or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    histories = {decay: [] for decay in LAMBDAS}
    for run in tqdm(range(runs), unit="run", disable=None):
        for decay in LAMBDAS:
            histories[decay].append(train(decay, options.seed + run)[0])
    means = {decay: np.mean(history, 0) for decay, history in histories.items()}  # (epochs + 1, 3)
    print("lambda  training  validation  ½‖w‖²")
    for decay in LAMBDAS:
        training, validation, norm = means[decay][-1]
        print(f"{decay:6}  {training:8.1e}  {validation:10.4f}  {norm:.4f}")
    decayed, penalised = (train(3, options.seed, penalty)[1].weight for penalty in (False, True))
    apart = (decayed - penalised).abs().max().item()
    print(f"weight_decay=3 and the penalty in the loss: weights at most {apart:.1g} apart")
    picture(options.out / "weight_decay.png", means, {decay: train(decay, options.seed)[1] for decay in EXPECTED})
    viz.report(picture=options.out / "weight_decay.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'weight_decay.png'}")

    met = means[0][-1][0] < 2e-5 and 2e-4 < means[3][-1][0] < 1e-3 and apart < 1e-6
    for decay, expected in EXPECTED.items():
        off = np.abs(means[decay][-1][1:] / expected - 1)
        met = met and off[0] < 0.25 and off[1] < 0.15
    if not options.quick and not met:
        sys.exit("expected the losses and norms that --help names")


def train(decay, seed, penalty=False):
    """([(training loss, validation loss, half the squared norm) before and after each epoch], the model)"""
    minidl.manual_seed(seed)
    X = minidl.randn(TRAIN + VALIDATION, INPUTS)
    y = WEIGHT * X.sum(1, keepdim=True) + BIAS + NOISE * minidl.randn(len(X), 1)
    loader = DataLoader(TensorDataset(X[:TRAIN], y[:TRAIN]), batch_size=5, shuffle=True)
    model = nn.Linear(INPUTS, 1)
    nn.init.normal_(model.weight, std=0.01)
    nn.init.zeros_(model.bias)
    decayed = {"params": [model.weight], "weight_decay": 0 if penalty else decay}
    optimizer = minidl.optim.SGD([decayed, {"params": [model.bias]}], lr=0.01)
    history = [measured(model, X, y)]
    for _ in range(10):
        for inputs, targets in loader:
            loss = F.mse_loss(model(inputs), targets) / 2
            if penalty:
                loss = loss + decay / 2 * (model.weight**2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        history.append(measured(model, X, y))
    return history, model


@minidl.no_grad()
def measured(model, X, y):
    losses = (model(X) - y) ** 2 / 2
    return losses[:TRAIN].mean().item(), losses[TRAIN:].mean().item(), (model.weight**2).sum().item() / 2


def picture(path, means, models):
    figure, axes = plt.subplots(2, 2, figsize=(13, 8.5), layout="constrained")
    for ax, decay in zip(axes[0], EXPECTED, strict=True):
        training, validation, _ = means[decay].T
        ax.plot(training, "C0o-", label="training loss")
        ax.plot(validation, "C1o-", label=f"validation loss, {validation[-1]:.4f} at the end")
        expected = EXPECTED[decay][0]
        ax.axhspan(0.75 * expected, 1.25 * expected, color="0.88", label=f"target: {expected:.4f} ± 25 %")
        ax.axhline(expected, color="black", linestyle="--", linewidth=1)
        ax.set(yscale="log", ylim=(1e-6, 0.1), xlabel="epoch", ylabel="half the squared error (logarithmic)")
        ax.set_title(f"λ = {decay}: " + ("20 examples learned by heart" if decay == 0 else "a smaller validation loss"))
        ax.legend(loc="lower left")
    ax = axes[1, 0]
    bins = np.linspace(-0.04, 0.04, 41)
    for (decay, model), color in zip(models.items(), ("C3", "C0"), strict=True):
        ax.hist(model.weight.detach().numpy()[0], bins, color=color, alpha=0.55, label=f"λ = {decay}")
    ax.axvline(WEIGHT, color="black", linestyle="--", label="truth: all 0.01")
    ax.set(xlabel="weight", ylabel="how many of 200", title="The weights at the end (first run)")
    ax.legend()
    ax = axes[1, 1]
    places = np.arange(len(means))
    ends = np.array([history[-1] for history in means.values()])
    ax.plot(places, ends[:, 1], "C1o-", label="validation loss")
    ax.plot(places, ends[:, 2], "s-", color="0.6", label="½‖w‖² (the truth has 0.0100)")
    ax.plot(places, ends[:, 0], "C0o-", label="training loss")
    ax.set_xticks(places, [str(decay) for decay in means])
    ax.set(ylim=(0, None), xlabel="λ (steps are not even)", ylabel="at the end", title="How much decay?")
    ax.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
