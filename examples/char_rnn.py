"""Recurrent networks foresee the next character: RNN, GRU and LSTM, on a source whose true perplexity is known, and on text.

1. A Markov source of two letters: after a, another a comes with probability 0.9; after b, another b with 0.5. Nothing can be
   foreseen better than with perplexity 1.4717 (e to the entropy rate, 0.3864 nats), and who ignores the letter before gets
   1.5692. Target: the network's perplexity on letters it has not seen lies between, and within 0.01 of the best. (It is
   measured with the true probabilities of the next letter, so that chance in the letters plays no part.)

2. Characters of what Python's help() says (it is on every machine). Each of the three layers, 64 wide, learns for the same
   number of steps, in pieces of 32 characters, through which the state is carried on but the gradient is not (truncated
   backpropagation). Target: GRU and LSTM halve the perplexity of single characters on a tenth of the text that is held out.

The picture shows both: how the perplexities fell, between their bounds, and what the networks write. Half a minute.
"""

import argparse
import math
import re
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
from minidl import viz
from minidl.nn.utils import clip_grad_norm_

MARKOV = np.array([[0.9, 0.1], [0.5, 0.5]])
BEST, UNIGRAM, MARGIN = 1.471713, 1.569193, 0.01
KINDS = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
COLORS = dict(zip(KINDS, ("tab:blue", "tab:orange", "tab:green"), strict=True))


class LanguageModel(nn.Module):
    """Symbols (N, T) and the state before them → logits (N, T, symbols) for what comes next, and the state after."""

    def __init__(self, kind, symbols, width):
        super().__init__()
        self.look_up = nn.Embedding(symbols, width)
        self.layer = KINDS[kind](width, width, batch_first=True)
        self.out = nn.Linear(width, symbols)

    def forward(self, x, state=None):
        y, state = self.layer(self.look_up(x), state)
        return self.out(y), state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=900, help="of each network on text (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the source, the weights and what is written")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="20 steps, and no target to meet: shows that it runs")
    options = parser.parse_args()
    steps = 20 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    minidl.manual_seed(options.seed)
    start = time.perf_counter()
    letters = markov_chain(100_000, options.seed)
    source = train("GRU", letters[:50_000], letters[50_000:], 2, width=8, steps=max(20, steps // 2), name="source")[1]
    print(f"source: perplexity {source[-1][1]:.4f}; best {BEST:.4f}, letters alone {UNIGRAM:.4f}")

    text = help_text()
    alphabet = sorted(set(text))
    codes = np.array([alphabet.index(c) for c in text])
    split = len(codes) * 9 // 10
    alone = unigram_perplexity(codes[:split], codes[split:], len(alphabet))
    curves, samples = {}, {}
    for kind in KINDS:
        model, curves[kind] = train(kind, codes[:split], codes[split:], len(alphabet), 64, steps, kind)
        samples[kind] = write(model, alphabet, "The ", 110)
        print(f"{kind:4} perplexity {curves[kind][-1][1]:.2f} (single characters {alone:.2f}); it writes: {samples[kind]!r}")
    told = ", ".join(f"{kind} {curves[kind][-1][1]:.2f}" for kind in KINDS)
    print(f"perplexity of the text: {told}, single characters {alone:.2f}; {time.perf_counter() - start:.0f} s")

    picture(options.out / "char_rnn.png", source, curves, samples, alone)
    columns = {"step": [step for step, _ in curves[kind]], **{k: [p for _, p in curve] for k, curve in curves.items()}}
    viz.report(columns, model, picture=options.out / "char_rnn.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'char_rnn.png'}")
    if options.quick:
        return
    if not BEST - MARGIN < source[-1][1] < min(UNIGRAM, BEST + MARGIN):
        sys.exit(f"expected the source's perplexity within {MARGIN} of {BEST}")
    if max(curves[kind][-1][1] for kind in ("GRU", "LSTM")) > alone / 2:
        sys.exit("expected GRU and LSTM to halve the perplexity of single characters")


def markov_chain(length, seed):
    draws, chain = np.random.default_rng(seed).random(length), np.zeros(length, int)
    for t in range(1, length):
        chain[t] = draws[t] >= MARKOV[chain[t - 1], 0]
    return chain


def help_text():
    """The paragraphs of Python's help, each once, in small letters and with few signs."""
    paragraphs = dict.fromkeys(
        re.sub(r"[^a-z0-9 .,']+", " ", p.lower()).strip() for t in topics.values() for p in t.split("\n\n")
    )
    return re.sub(" +", " ", " ".join(p for p in paragraphs if len(p) > 80))


def unigram_perplexity(train, test, symbols):
    shares = (np.bincount(train, minlength=symbols) + 1) / (len(train) + symbols)
    return math.exp(-np.log(shares[test]).mean())


def pieces(codes, batch, length):
    """Pieces (batch, length + 1) of `batch` long runs of the text: each goes on where the one before ended."""
    runs = codes[: len(codes) // batch * batch].reshape(batch, -1)
    for i in range(0, runs.shape[1] - length - 1, length):
        yield minidl.tensor(runs[:, i : i + length + 1])


def train(kind, codes, held_out, symbols, width, steps, name):
    """(the model, [(step, perplexity on what is held out)])"""
    model = LanguageModel(kind, symbols, width)
    optimizer = minidl.optim.Adam(model.parameters(), lr=0.01)
    measure = true_perplexity if name == "source" else perplexity
    curve, state, source = [(0, measure(model, held_out))], None, iter(())
    bar = tqdm(range(1, steps + 1), desc=f"{name:6}", unit="step", disable=None)
    for step in bar:
        piece = next(source, None)
        if piece is None:  # the text is through: from the start again
            source, state = pieces(codes, 32, 32), None
            piece = next(source)
        if state is not None:  # carried on, but the gradient ends here
            state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        optimizer.zero_grad()
        logits, state = model(piece[:, :-1], state)
        F.cross_entropy(logits.flatten(0, 1), piece[:, 1:].flatten()).backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % max(1, steps // 12) == 0 or step == steps:
            curve.append((step, measure(model, held_out)))
            bar.set_postfix(perplexity=f"{curve[-1][1]:.3f}")
    return model, curve


@minidl.no_grad()
def perplexity(model, codes):
    """e to the mean of −ln p over all characters, the state carried on from piece to piece."""
    total, count, state = 0.0, 0, None
    for piece in pieces(codes[:10_000], 16, 64):
        logits, state = model(piece[:, :-1], state)
        total += F.cross_entropy(logits.flatten(0, 1), piece[:, 1:].flatten(), reduction="sum").item()
        count += piece[:, 1:].numel()
    return math.exp(total / count)


@minidl.no_grad()
def true_perplexity(model, letters):
    """e to the cross-entropy H(P, Q) of the network's probabilities Q and the source's P, by how often each letter comes."""
    logits, _ = model(minidl.tensor(letters.reshape(50, -1)))
    losses = -F.log_softmax(logits, dim=-1).flatten(0, 1).numpy()
    by_letter = [(MARKOV[letter] * losses[letters == letter]).sum(1).mean() for letter in (0, 1)]
    return math.exp(5 / 6 * by_letter[0] + 1 / 6 * by_letter[1])  # a is five times as frequent as b


@minidl.no_grad()
def write(model, alphabet, beginning, length):
    """Lets the model go on, each character drawn from its probabilities, sharpened a little."""
    codes = [alphabet.index(c) for c in beginning.lower()]
    logits, state = model(minidl.tensor([codes]))
    for _ in range(length):
        codes.append(minidl.multinomial(F.softmax(logits[0, -1] / 0.6, dim=-1), 1).item())
        logits, state = model(minidl.tensor([codes[-1:]]), state)
    return "".join(alphabet[c] for c in codes)


def picture(path, source, curves, samples, alone):
    figure = plt.figure(figsize=(13, 7), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[2.2, 1], width_ratios=[1, 1.4])
    left, right, below = (figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :]))

    left.plot(*zip(*source, strict=True), "o-", color=COLORS["GRU"], label="GRU")
    left.text(source[1][0], 1.59, f"begins at {source[0][1]:.2f}", color=COLORS["GRU"])
    left.axhline(UNIGRAM, color="gray", linestyle="--")
    left.text(source[-1][0], UNIGRAM, "letters alone: 1.569", ha="right", va="bottom", color="gray")
    left.axhline(BEST, color="black", linestyle="--")
    left.text(source[-1][0], BEST - 0.004, "nobody can do better: 1.472", ha="right", va="top")
    left.set(title="A source with a known limit", xlabel="step", ylabel="perplexity, held out", ylim=(1.45, 1.6))

    for kind, curve in curves.items():
        right.plot(*zip(*curve[1:], strict=True), "o-", color=COLORS[kind], label=f"{kind}: {curve[-1][1]:.2f}")
    right.axhline(alone, color="gray", linestyle="--")
    right.text(curves["RNN"][-1][0], 0.98 * alone, f"single characters: {alone:.1f}", ha="right", va="top", color="gray")
    right.set(title="Python's help, character by character", xlabel="step", ylabel="perplexity, held out", yscale="log")
    ticks = [t for t in (4, 5, 6, 8, 10, 15, 20, 30) if t < 1.3 * alone]
    right.set_yticks(ticks, [str(t) for t in ticks])
    right.minorticks_off()
    right.legend(title="at the end", loc="center right")

    below.axis("off")
    below.set_title("What they write after “The ”", loc="left")
    for i, (kind, sample) in enumerate(samples.items()):
        height = 0.85 - i / 3
        below.text(0, height, kind, color=COLORS[kind], weight="bold", va="top", transform=below.transAxes)
        below.text(0.06, height, sample, family="monospace", fontsize=10, va="top", transform=below.transAxes, wrap=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
