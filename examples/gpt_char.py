"""A small GPT learns to write like Python's help, character by character, and shows what its heads look at.

Three blocks of a Transformer, 96 wide with four heads, read 64 characters and say at each place what comes next
(minidl.models.GPT, with learned positions and tied weights). AdamW, with weight decay for matrices only; the learning rate
rises for a tenth of the steps and then falls along a cosine; gradients are clipped. It writes with minidl.generation, which
keeps keys and values.

Target: the perplexity on a tenth of the text that is held out is at most half of what pairs of characters reach by counting
(2-grams with Laplace smoothing). It takes a minute or two.

The picture shows the perplexity beside that of counting, what the network writes at the start, while it learns and at the end,
and for a sentence, where four of its heads look: a row for each character, a column for each that it can see.
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
from tqdm import tqdm

import minidl
import minidl.nn.functional as F
from minidl import information, text, viz
from minidl.generation import generate
from minidl.models import GPT, decay_groups
from minidl.nn.utils import clip_grad_norm_

LENGTH, CONTEXT, BATCH, RATE = 300_000, 64, 32, 3e-3
BEGINNING, SENTENCE = "The ", "The value of the expression is returned."
OF_PAIRS = 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000, help="of 32 pieces of text each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the weights, the pieces and what is written")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="10 steps, and no target to meet: shows that it runs")
    options = parser.parse_args()
    steps = 10 if options.quick else options.steps
    if steps < 2 or options.out.is_file():
        parser.error("expected 2 steps or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    minidl.manual_seed(options.seed)
    learned, held_out = corpus()
    vocab = text.Vocab(text.characters(learned + held_out))
    counted = {n: by_counting(learned, held_out[:10_000], n, vocab) for n in (1, 2)}
    model = GPT(len(vocab), CONTEXT, width=96, heads=4, layers=3)
    size = sum(p.numel() for p in model.parameters())
    print(f"{len(learned)} characters to learn from, {len(vocab)} different ones; the network has {size} numbers")

    codes = [minidl.tensor(vocab[text.characters(part)]) for part in (learned, held_out[:10_000])]
    norms = viz.GradientNorms(model)
    curve, samples = train(model, codes[0], codes[1], steps, lambda: write(model, vocab), norms)
    perplexity = curve[-1][1]
    for step, sample in samples.items():
        print(f"after {step:4} steps it writes: {sample!r}")
    print(f"{time.perf_counter() - start:.0f} s")
    print(f"held out: perplexity {perplexity:.2f}; 2-grams {counted[2]:.2f}, single characters {counted[1]:.2f}")

    picture(options.out / "gpt_char.png", model, vocab, curve, samples, counted)
    columns = {"step": [step for step, _ in curve], "perplexity": [p for _, p in curve]}
    viz.report(columns, model, norms=norms, picture=options.out / "gpt_char.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'gpt_char.png'}")
    if not options.quick and perplexity > OF_PAIRS * counted[2]:
        sys.exit(f"expected a perplexity of at most {OF_PAIRS * counted[2]:.2f}")


def corpus():
    """(what is learned from, what is held out): every tenth paragraph of Python's help, each paragraph once."""
    paragraphs = dict.fromkeys(" ".join(p.split()) for topic in sorted(topics) for p in topics[topic].split("\n\n"))
    paragraphs = [p for p in paragraphs if len(p) > 100 and p.isascii()]
    parts = [p for i, p in enumerate(paragraphs) if i % 10], paragraphs[::10]
    return "\n".join(parts[0])[: LENGTH * 9 // 10], "\n".join(parts[1])[: LENGTH // 10]


def by_counting(learned, held_out, n, vocab):
    """The perplexity of n-grams with Laplace smoothing, ε = 1."""
    model = text.NGram(learned, n, vocabulary=vocab.idx_to_token)
    return information.perplexity(model.log_probabilities(held_out), log=True).item()


def train(model, learned, held_out, steps, sample, norms):
    """([(step, perplexity on what is held out)], {step: what it writes then})"""
    optimizer = minidl.optim.AdamW(decay_groups(model, 0.1), lr=RATE)
    curve, samples = [(0, evaluate(model, held_out))], {0: sample()}
    bar = tqdm(range(1, steps + 1), unit="step", disable=None)
    for step in bar:
        warm = min(1.0, step / (0.1 * steps))
        for group in optimizer.param_groups:
            group["lr"] = RATE * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        begins = minidl.randint(0, len(learned) - CONTEXT - 1, (BATCH, 1))
        pieces = learned[begins + minidl.arange(CONTEXT + 1)]  # (N, T + 1)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(pieces[:, :-1]).flatten(0, 1), pieces[:, 1:].flatten())
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % max(1, steps // 12) == 0 or step == steps:
            norms()
            curve.append((step, evaluate(model, held_out)))
            bar.set_postfix(perplexity=f"{curve[-1][1]:.2f}")
        if step in (steps // 12, steps // 3, steps):
            samples[step] = sample()
    return curve, samples


@minidl.no_grad()
def evaluate(model, codes):
    """The perplexity of the later half of each piece: there it has seen 32 characters and more."""
    pieces = codes[: len(codes) // (CONTEXT + 1) * (CONTEXT + 1)].reshape(-1, CONTEXT + 1)
    logits, half = model(pieces[:, :-1]), CONTEXT // 2
    return math.exp(F.cross_entropy(logits[:, half:].flatten(0, 1), pieces[:, half + 1 :].flatten()).item())


def write(model, vocab):
    prompt = minidl.tensor(vocab[text.characters(BEGINNING)])
    return "".join(vocab.to_tokens(generate(model, prompt, 150, temperature=0.7)))


def picture(path, model, vocab, curve, samples, counted):
    figure = plt.figure(figsize=(14, 8.5), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.25]).flat
    left, right = above.subplots(1, 2, width_ratios=[1, 1.7])
    left.plot(*zip(*curve[1:], strict=True), "o-", color="tab:orange")
    for name, n in (("single characters", 1), ("pairs (2-grams)", 2)):
        left.axhline(counted[n], color="gray", linestyle="--")
        left.text(curve[-1][0], counted[n], f"counting {name}: {counted[n]:.1f}", ha="right", va="bottom", color="gray")
    left.axhline(OF_PAIRS * counted[2], color="gray", linestyle=":")
    left.text(curve[1][0], OF_PAIRS * counted[2], "target", va="bottom", color="gray")
    left.set(title=f"Perplexity of held-out text: {curve[-1][1]:.2f}", xlabel="step", yscale="log")
    ticks = [t for t in (3, 4, 5, 7, 10, 15, 20, 30) if t < 1.3 * counted[1]]
    left.set_yticks(ticks, [str(t) for t in ticks])
    left.minorticks_off()

    right.axis("off")
    right.set_title("What it writes while it learns", loc="left")
    for i, (step, sample) in enumerate(samples.items()):
        lines = "\n".join(sample[j : j + 100].replace("\n", "¶").replace("$", r"\$") for j in range(0, len(sample), 100))
        right.text(0, 0.97 - i / len(samples), f"after {step} steps", weight="bold", va="top", transform=right.transAxes)
        right.text(0, 0.90 - i / len(samples), lines, family="monospace", fontsize=9, va="top", transform=right.transAxes)

    below.suptitle("Where four heads look (a row for each character that is read, dark: a large weight)")
    weights = [w[0].numpy() for w in model.attention_weights(minidl.tensor([vocab[text.characters(SENTENCE)]]))]
    heads = [(layer, head) for layer in range(len(weights)) for head in range(len(weights[layer]))]
    # those whose weights are most in one place, one of each layer first: the others look at everything a little
    focus = {(layer, head): weights[layer][head].max(-1).mean() for layer, head in heads}
    chosen = [max((h for h in heads if h[0] == layer), key=lambda head: focus[head]) for layer in range(len(weights))]
    chosen += sorted((h for h in heads if h not in chosen), key=lambda head: focus[head], reverse=True)[: 4 - len(chosen)]
    for axes, (layer, head) in zip(below.subplots(1, 4), sorted(chosen), strict=True):
        axes.imshow(weights[layer][head], cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(SENTENCE)), SENTENCE, family="monospace", fontsize=7)
        axes.set_yticks(range(len(SENTENCE)), SENTENCE, family="monospace", fontsize=7)
        axes.tick_params(length=0)
        axes.set_title(f"layer {layer + 1}, head {head + 1}")
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
