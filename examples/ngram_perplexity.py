"""How well the next character is foreseen: by counting with the notes' Laplace smoothing, and by a small network.

The text is what Python's help() says (it is on every machine), 180,000 characters of it; a tenth is held out, and every
perplexity below is that of the held-out part: as if one had to guess among so many characters alike. 1 is certainty; the size
of the alphabet is a uniform guess, which any model must beat.

- n-grams, n = 1 to 4: P(x' | h) = (n(h, x') + ε P(x'))/(n(h) + ε), which backs off to the single character (the book's 9.3,
  minidl.text.NGram), with several ε. Without smoothing (ε = 0) a single new run of letters makes it infinite.
- a network: the last six characters, each a vector of 16 numbers (nn.Embedding), and one hidden layer of 256.

Target: the network's perplexity is below that of every n-gram model here, and below a third of single characters'.

The picture shows the perplexity of each model, and a held-out sentence: how surprising each of them found each character.
"""

import argparse
import math
import sys
import time
from pathlib import Path
from pydoc_data.topics import topics

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import minidl
import minidl.nn as nn
import minidl.nn.functional as F
from minidl import information, text, viz

LENGTH, CONTEXT, ORDERS, EPSILONS = 180_000, 6, (1, 2, 3, 4), (0.1, 1.0, 10.0)


class NextCharacter(nn.Module):
    """The last CONTEXT characters (N, CONTEXT) → logits (N, characters)."""

    def __init__(self, characters):
        super().__init__()
        self.look_up = nn.Embedding(characters, 16)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(CONTEXT * 16, 256), nn.Tanh(), nn.Linear(256, characters))

    def forward(self, x):
        return self.layers(self.look_up(x))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000, help="of the network, 256 characters each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the network's weights and the order of the text")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="50 steps, and no target to meet: shows that it runs")
    options = parser.parse_args()
    steps = 50 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    minidl.manual_seed(options.seed)
    learned, held_out = corpus()
    alphabet = sorted(set(learned + held_out))
    print(f"{len(learned)} characters to learn from, {len(held_out)} held out, {len(alphabet)} different ones")

    results, losses = {}, {}  # (n, ε) -> perplexity, and −ln P of each held-out character
    for n in ORDERS:
        for epsilon in (0.0, *EPSILONS):
            model = text.NGram(learned, n, [0.01, *[epsilon] * (n - 1)], alphabet)
            log_p = model.log_probabilities(held_out)
            losses[n, epsilon], results[n, epsilon] = -log_p, information.perplexity(log_p, log=True).item()
    best = min((key for key in results if key[0] > 1), key=lambda key: results[key])

    model = train(learned, alphabet, steps)
    surprise = network_losses(model, held_out, alphabet)
    network = math.exp(surprise.mean().item())
    for n in ORDERS:
        row = ", ".join(f"ε = {e:g}: {results[n, e]:.2f}" for e in ((0.0, *EPSILONS) if n > 1 else (0.0,)))
        print(f"{n}-grams  {row}")
    print(f"network  {network:.2f}; {time.perf_counter() - start:.0f} s")

    picture(options.out / "ngram_perplexity.png", results, network, best, losses[best], surprise, held_out, len(alphabet))
    viz.report(picture=options.out / "ngram_perplexity.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'ngram_perplexity.png'}")
    if not options.quick and not network < min(results[best], results[1, 0.0] / 3):
        sys.exit(f"expected the network below {results[best]:.2f} and below {results[1, 0.0] / 3:.2f}")


def corpus():
    """(what is learned from, what is held out): every tenth paragraph of Python's help, each paragraph once."""
    paragraphs = dict.fromkeys(" ".join(p.split()) for topic in sorted(topics) for p in topics[topic].split("\n\n"))
    paragraphs = [p for p in paragraphs if len(p) > 100 and p.isascii()]
    parts = [p for i, p in enumerate(paragraphs) if i % 10], paragraphs[::10]
    return "\n".join(parts[0])[: LENGTH * 9 // 10], "\n".join(parts[1])[: LENGTH // 10]


def contexts(characters, alphabet):
    """(CONTEXT characters before each, the characters) as integers; the first CONTEXT have none."""
    places = {c: i for i, c in enumerate(alphabet)}
    codes = np.array([places[c] for c in characters])
    return minidl.tensor(np.lib.stride_tricks.sliding_window_view(codes[:-1], CONTEXT).copy()), minidl.tensor(codes[CONTEXT:])


def train(learned, alphabet, steps):
    model = NextCharacter(len(alphabet))
    optimizer = minidl.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    x, y = contexts(learned, alphabet)
    bar = tqdm(range(steps), unit="step", disable=None)
    for step in bar:
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        batch = minidl.randint(0, len(y), (256,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")
    return model


@minidl.no_grad()
def network_losses(model, characters, alphabet):
    """−ln P of each character but the first CONTEXT."""
    x, y = contexts(characters, alphabet)
    return F.cross_entropy(model(x), y, reduction="none")


def picture(path, results, network, best, counted, surprise, held_out, alphabet):
    figure, (above, below) = plt.subplots(2, 1, figsize=(12, 8), height_ratios=[1.7, 1], layout="constrained")
    colors = dict(zip(EPSILONS, ("#9ecae1", "#4292c6", "#08519c"), strict=True))
    bars: list = [(0, results[1, 0.0], "gray", None)]
    for n in ORDERS[1:]:
        for i, epsilon in enumerate(EPSILONS):
            bars.append((n - 1 + (i - 1) * 0.27, results[n, epsilon], colors[epsilon], f"ε = {epsilon:g}" if n == 2 else None))
    bars.append((len(ORDERS), network, "tab:orange", None))
    for x, height, color, label in bars:
        above.bar(x, height, 0.25, color=color, label=label)
        above.text(x, height, f"{height:.1f}", ha="center", va="bottom")
    top = 1.25 * results[1, 0.0]
    above.text(len(ORDERS) + 0.3, 0.97 * top, f"a uniform guess: {alphabet}, far above", ha="right", va="top", style="italic")
    names = ["single characters", *(f"{n}-grams" for n in ORDERS[1:]), f"network,\n{CONTEXT} characters"]
    above.set_xticks(range(len(ORDERS) + 1), names)
    above.set(
        ylim=(0, top), ylabel="perplexity of held-out text", title="Among how many characters one has to guess (less is better)"
    )
    above.legend(title="smoothing", loc="center right")

    begin = held_out.index("\n", 200) + 1
    shown = slice(begin, begin + 90)
    for shift, losses, color, label in (
        (-0.2, counted.numpy()[shown], "#4292c6", f"{best[0]}-grams, ε = {best[1]:g}"),
        (0.2, surprise.numpy()[begin - CONTEXT : begin - CONTEXT + 90], "tab:orange", "network"),
    ):
        below.bar(np.arange(90) + shift, losses / math.log(2), 0.4, color=color, label=label)
    below.set_xticks(range(90), [c if c != "\n" else "¶" for c in held_out[shown]], family="monospace")
    below.tick_params(axis="x", length=0)
    below.set(ylabel="surprise in bits", title="How surprising each character of a held-out sentence was", xlim=(-1, 90))
    below.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
