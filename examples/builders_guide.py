"""A builder's guide: custom layers, lazy layers, tied weights, freezing, and a training that is cut off and goes on.

Each part checks what it says, and the program ends with an error if one is wrong:

- a layer of one's own without parameters, which subtracts the mean, and one with parameters;
- a lazy layer, which gets its shape from the first batch and stays the same object in the optimizer;
- two layers that share one weight: one parameter, whose gradient is the sum of both uses;
- a frozen layer, which training leaves as it is;
- a checkpoint: a training of handwritten digits is cut off in the middle of an epoch, as if the machine had been switched off,
  and goes on from the last file in a new model. Target: it ends in the same bits as one that was never cut off.

The picture shows that: the training loss of each step, in one go and in two pieces, and what happens around the cut.
"""

import argparse
import contextlib
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import minidl
import minidl.nn as nn
from minidl import viz
from minidl.utils.callbacks import Callback, Checkpoint
from minidl.utils.data import DataLoader, digits
from minidl.utils.train import Trainer

EVERY = 10  # steps from one checkpoint to the next


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6, help="passes over the digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the initial weights and the order of the digits")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture and the checkpoint")
    parser.add_argument("--quick", action="store_true", help="two epochs")
    options = parser.parse_args()
    epochs = 2 if options.quick else options.epochs
    if epochs < 2 or options.out.is_file():
        parser.error("expected 2 epochs or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    found = {"custom layers": custom(), "lazy layers": lazy(), "tied weights": tied(), "freezing": frozen()}
    path = options.out / "builders_guide.npz"
    losses, whole = train(options.seed, epochs)
    cut = int(0.55 * len(losses)) // EVERY * EVERY + 6
    first, _ = train(options.seed, epochs, path, stop=cut)
    second, resumed = train(options.seed + 1, epochs, path, resume=True)
    found["checkpoint"] = first == losses[:cut] and second == losses[-len(second) :]
    found["checkpoint"] &= all(whole[key].equal(x) for key, x in resumed.items())
    print(f"cut off in step {cut + 1} of {len(losses)}, resumed after step {len(losses) - len(second)}:")
    print(f"last loss {second[-1]:.6f}, without a cut {losses[-1]:.6f}")

    picture(losses, first, second, len(losses) // epochs, options.out / "builders_guide.png")
    viz.report(picture=options.out / "builders_guide.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'builders_guide.png'}")
    for name, right in found.items():
        print(f"{name}: {'as expected' if right else 'WRONG'}")
    if not all(found.values()):
        sys.exit("expected all of them to hold, and the same bits after the cut")


class Centered(nn.Module):
    """A layer without parameters."""

    def forward(self, x):
        return x - x.mean()


class Dense(nn.Module):
    """A layer with parameters: what is assigned as a Parameter is found by the optimizer and saved."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(0.1 * minidl.randn(inputs, outputs))
        self.bias = nn.Parameter(minidl.zeros(outputs))

    def forward(self, x):
        return (x @ self.weight + self.bias).relu()


def custom():
    net = nn.Sequential(Dense(8, 128), Centered())
    names = list(net.state_dict())
    return abs(net(minidl.rand(4, 8)).mean().item()) < 1e-6 and names == ["0.weight", "0.bias"]


def lazy():
    first = nn.LazyLinear(16)
    net = nn.Sequential(first, nn.ReLU(), nn.LazyLinear(2))
    weight, optimizer = first.weight, minidl.optim.SGD(net.parameters(), lr=0.1)
    before = type(weight).__name__
    net(minidl.rand(4, 20)).sum().backward()
    optimizer.step()
    same = type(first) is nn.Linear and first.weight is weight
    return same and before == "UninitializedParameter" and weight.shape == (16, 20)


def tied():
    shared = nn.Linear(8, 8, bias=False)
    net, x = nn.Sequential(shared, nn.Tanh(), shared), minidl.rand(4, 8)
    net(x).sum().backward()
    one, two = (shared.weight.detach().clone().requires_grad_() for _ in range(2))  # the same network with two weights
    ((x @ one.T).tanh() @ two.T).sum().backward()
    both = minidl.stack([one.grad, two.grad]).sum(0)
    return len(list(net.parameters())) == 1 and (shared.weight.grad - both).abs().max().item() < 1e-5


def frozen():
    net = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.ReLU(), nn.Linear(4, 1))
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = minidl.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net(minidl.rand(8, 4) + 1).sum().backward()
    optimizer.step()
    return [p.equal(old) for p, old in zip(net.parameters(), before, strict=True)] == [True, True, False, False]


class PowerCut(Exception):
    """Stands for a machine that is switched off."""


class Watch(Callback):
    """Keeps the loss of each step, and pulls the plug in the middle of the one after `stop`."""

    def __init__(self, stop, bar):
        self.losses, self.last, self.bar = [], stop, bar

    def on_step_end(self, trainer):
        self.bar.update(1)

    def loss(self, logits, labels):
        if len(self.losses) == self.last:
            raise PowerCut
        loss = nn.functional.cross_entropy(logits, labels)
        self.losses.append(loss.item())
        return loss


def train(seed, epochs, path=None, stop=None, resume=False):
    """(the loss of each step, the weights at the end), with dropout, momentum, a schedule and a random order."""
    minidl.manual_seed(seed)
    net = nn.Sequential(nn.LazyLinear(64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.LazyLinear(10))
    loader = DataLoader(digits(), batch_size=32, shuffle=True, drop_last=True)
    with tqdm(total=epochs * len(loader), unit="step", disable=None, leave=False) as bar:
        watch = Watch(stop, bar)
        trainer = Trainer(
            epochs,
            loss=watch.loss,
            optimizer=minidl.optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
            scheduler=lambda optimizer: minidl.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.3),
            callbacks=[watch, Checkpoint(path, every_steps=EVERY)] if path else [watch],
            progress=False,
        )
        with contextlib.suppress(PowerCut):
            trainer.fit(net, loader, resume=path if resume else None)
    return watch.losses, dict(net.state_dict())


def picture(losses, first, second, steps_per_epoch, path):
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained", width_ratios=[1.4, 1])
    saved, cut = len(losses) - len(second), len(first)
    steps = np.arange(1, len(losses) + 1)
    for axes in (left, right):
        axes.plot(steps[:cut], first, color="C0", linewidth=2, label="until the power is cut")
        axes.plot(steps[saved:], second, color="C1", linewidth=2, label="a new model, from the checkpoint on")
        axes.plot(steps, losses, color="black", linestyle="--", linewidth=1, label="never cut off")
        axes.axvline(cut + 0.5, color="C3", linestyle=":", label=f"power cut, in step {cut + 1}")
        axes.set(xlabel="step")
    left.set(ylabel="training loss (nats)", title="Cut off in the middle of an epoch, it goes on to the same bits", ylim=0)
    for epoch in range(1, len(losses) // steps_per_epoch):
        left.axvline(epoch * steps_per_epoch + 0.5, color="0.9", zorder=0)
    left.legend(title="grey lines: epochs")
    near = slice(max(0, saved - 12), cut + 12)
    right.plot(steps[near][: saved - near.start], losses[near][: saved - near.start], "o", color="C0")
    right.plot(steps[saved:cut], losses[saved:cut], "o", color="C1", markersize=9, label="done a second time")
    right.axvline(saved + 0.5, color="0.6", label=f"checkpoint, after step {saved}")
    right.set(title="Around the cut", xlim=(near.start + 0.5, near.stop + 0.5), ylim=(-0.02, 1.5 * max(losses[near])))
    handles = [h for h in right.get_legend_handles_labels()[0] if h.get_label()[:4] in ("chec", "done", "powe")]
    right.legend(handles=handles, loc="upper left")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
