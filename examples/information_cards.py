"""How much there is to learn from a card, a monkey and a slot machine: the questions of a chapter, with their answers.

They are the thought experiments and exercises of *Dive into Deep Learning*'s chapter on information theory, each one line of
`minidl.information` beside its answer. Then three of its theorems are tried out:

1. The slot machine: the mean surprise at what it shows comes near its entropy, and stays.
2. No code is shorter than the entropy: Huffman's, the shortest there is, takes less than a bit more (for each symbol; for whole
   blocks of n symbols the bit is shared, 1/n).
3. No divergence is negative, whatever the two distributions.

Target: every answer to the digits stated, the slot machine within four standard errors, no code and no divergence out of
bounds. It takes a second or two.

The picture shows the surprises, bits per character of ever better writers, the slot machine's means and the codes' lengths.
"""

import argparse
import heapq
import itertools
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import information, viz

SLOTS = [0.1, 0.5, 0.1, 0.3]  # how often the machine shows each of its four symbols
COINS = [0.9, 0.1]
JOINT = [[0.1, 0.5], [0.1, 0.3]]
LOG_ORDERS = -math.lgamma(53)  # ln 1/52!; 1/52! itself is 0 in float32


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20000, help="pulls at the slot machine (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the slot machine and the random distributions")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="2,000 pulls and fewer distributions; the targets stay")
    options = parser.parse_args()
    samples, distributions = (2000, 50) if options.quick else (options.samples, 400)
    if samples < 100 or options.out.is_file():
        parser.error("expected 100 samples or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    wrong = []
    for title, rows in answers().items():
        print(f"\n{title}")
        for what, value, stated in rows:
            digits = len(stated.partition(".")[2])
            good = f"{value:.{digits}f}" == stated
            print(f"  {what:<68}{value:>12.{digits}f}{'' if good else f'  EXPECTED {stated}'}")
            wrong += [] if good else [what]

    surprises, entropy, error = slot_machine(samples)
    mean = surprises.mean()
    print(f"\nSlot machine: {samples} pulls, mean surprise {mean:.4f} bits (error {error:.4f}), entropy {entropy:.4f}")
    if abs(mean - entropy) > 4 * error:
        wrong.append("the slot machine's mean")

    codes = np.array([random_code() for _ in range(distributions)])
    excess = codes[:, 1] - codes[:, 0]
    print(f"Huffman: {len(codes)} codes take {excess.min():.4f} to {excess.max():.4f} bits per symbol more than the entropy")
    if excess.min() < -1e-9 or excess.max() >= 1:
        wrong.append("the length of a code")

    divergences = [information.kl_divergence(*random_distributions(2)).item() for _ in range(distributions)]
    print(f"Divergences of {distributions} random pairs: {min(divergences):.4f} to {max(divergences):.4f} bits, none below 0")
    if min(divergences) < -1e-12:
        wrong.append("a divergence")

    picture(surprises, entropy, codes, options.out / "information_cards.png")
    viz.report(picture=options.out / "information_cards.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'information_cards.png'}")
    if wrong:
        sys.exit(f"not as stated: {', '.join(wrong)}")


def answers():
    """{section: [(question, computed, the answer in as many digits as are stated)]}."""
    surprise, entropy = information.self_information, information.entropy
    a = minidl.tensor(JOINT, dtype=minidl.float64)
    columns, rows = a.sum(0), a.sum(1)
    return {
        "Surprises, in bits: minus log2 of the probability": [
            ("it is a card", surprise(1.0), "0"),
            ("it is a heart", surprise(13 / 52), "2"),
            ("it is the 3 of spades", surprise(1 / 52), "5.700440"),
            ("the order of the whole deck, from ln 1/52!", surprise(LOG_ORDERS, log=True), "225.581003"),
            ("the same, from 1/52! in float32, which is 0", surprise(minidl.tensor(math.exp(LOG_ORDERS))).item(), "inf"),
            ("60 fair binary digits", surprise(2.0**-60), "60"),
        ],
        "Exercise 3: bits per character": [
            ("a monkey at a typewriter of 44 keys", entropy(uniform(44)).item(), "5.459432"),
            ("a drunk typesetter, 2000 words of 4.5 letters", entropy(uniform(2000)).item() / 4.5, "2.436841"),
            ("the same, counting the space after each word", entropy(uniform(2000)).item() / 5.5, "1.993779"),
            ("a language model of perplexity 15 for each word (as meant)", bits(perplexity=15) / 4.5, "0.868198"),
            ("a language model of perplexity 15 for each character (as written)", bits(perplexity=15), "3.906891"),
        ],
        "Entropies, in bits": [
            ("of the slot machine, [0.1, 0.5, 0.1, 0.3]", entropy(double(SLOTS)).item(), "1.685475"),
            ("of a certain outcome", entropy(double([1.0, 0.0])).item(), "0"),
            ("of 8 outcomes alike: the most that 8 can have", entropy(uniform(8)).item(), "3"),
            ("of a uniform density on an interval of length 1/2: may be negative", information.uniform_entropy(0, 0.5), "-1"),
            ("of a standard normal density", information.normal_entropy(1.0), "2.047096"),
        ],
        "Exercise 4: mutual information in three ways, of [[0.1, 0.5], [0.1, 0.3]]": [
            ("H(X) - H(X|Y)", (entropy(rows) - information.conditional_entropy(a.T)).item(), "0.0074034"),
            ("H(Y) - H(Y|X)", (entropy(columns) - information.conditional_entropy(a)).item(), "0.0074034"),
            ("the sum of p(x, y) log2 p(x, y)/(p(x) p(y))", information.mutual_information(a).item(), "0.0074034"),
        ],
        "Exercise 5: divergences of normal distributions, in nats": [
            ("of N(0, 1) from N(1, 1), and back", information.normal_kl(0, 1, 1, 1, base=math.e), "0.5"),
            ("of N(0, 1) from N(0, 4)", information.normal_kl(0, 1, 0, 2, base=math.e), "0.318147"),
            ("of N(0, 4) from N(0, 1): another number", information.normal_kl(0, 2, 0, 1, base=math.e), "0.806853"),
        ],
    }


def double(values):
    return minidl.tensor(values, dtype=minidl.float64)


def uniform(k):
    return minidl.full((k,), 1 / k, dtype=minidl.float64)


def bits(perplexity):
    """What is to learn from an outcome that a model finds as hard to guess as one of so many alike."""
    return information.self_information(1 / perplexity)


def slot_machine(samples):
    """(the surprise at each pull, the entropy, the standard error of the mean), in bits."""
    p = double(SLOTS)
    shown = minidl.multinomial(p, samples, replacement=True)
    surprises = information.self_information(p)[shown].numpy()
    return surprises, information.entropy(p).item(), surprises.std() / math.sqrt(samples)


def random_distributions(n):
    """n distributions over one number of outcomes, some nearly even and some nearly certain."""
    k = int(minidl.randint(2, 13, ()))
    sharpness = 2 * minidl.rand(()).item()
    return (sharpness * minidl.randn(n, k, dtype=minidl.float64)).softmax(1)


def random_code():
    """(entropy, mean length of the Huffman code) of a random distribution, in bits per symbol."""
    (p,) = random_distributions(1)
    return information.entropy(p).item(), mean_length(p.numpy())


def mean_length(p):
    """Of Huffman's code for the probabilities p: at each step the two least probable groups get one bit more."""
    heap = sorted(p.tolist())
    length = 0.0
    while len(heap) > 1:
        group = heapq.heappop(heap) + heapq.heappop(heap)
        length += group
        heapq.heappush(heap, group)
    return length


def picture(surprises, entropy, codes, path):
    figure, axes = plt.subplots(2, 3, figsize=(14, 8), layout="constrained")
    told = answers()
    cards, writers, machine = axes[0]

    _, values, _ = zip(*told["Surprises, in bits: minus log2 of the probability"][:4], strict=True)
    bars = cards.bar(["a card", "a heart", "3 of spades", "the whole\ndeck's order"], values, color="C0")
    cards.bar_label(bars, [f"{value:.2f}" if value % 1 else f"{value:.0f}" for value in values])
    cards.set(yscale="symlog", ylim=(0, 600), ylabel="bits", title="Surprise at what is told of a deck of cards")

    _, values, _ = zip(*told["Exercise 3: bits per character"], strict=True)
    names = ["monkey", "drunk\ntypesetter", "with\nspaces", "perplexity 15\nper word", "perplexity 15\nper character"]
    bars = writers.bar(names, values, color=["C0", "C0", "lightsteelblue", "C0", "lightsteelblue"])
    writers.bar_label(bars, fmt="%.2f")
    writers.set(ylabel="bits per character", xlabel="dark: as the chapter means it; light: other readings")
    writers.set(ylim=(0, 6.2), title="The better the writer, the less to learn")
    writers.tick_params(axis="x", labelsize=8)

    pulls = np.arange(1, len(surprises) + 1)
    deviation = surprises.std()
    for start in range(3):  # three thirds of the pulls, as three runs
        run = surprises[start * len(pulls) // 3 : (start + 1) * len(pulls) // 3]
        machine.plot(pulls[: len(run)], run.cumsum() / pulls[: len(run)], linewidth=1)
    shown = pulls[: len(pulls) // 3]
    machine.fill_between(
        shown,
        entropy - 2 * deviation / np.sqrt(shown),
        entropy + 2 * deviation / np.sqrt(shown),
        color="gray",
        alpha=0.2,
        label="two standard errors",
    )
    machine.axhline(entropy, color="black", linestyle=":", label=f"entropy, {entropy:.4f} bits")
    machine.set(xscale="log", xlabel="pulls", ylabel="mean surprise (bits)", ylim=(0.9, 2.5), title="Slot machine, three runs")
    machine.legend()

    scatter, blocks, coin = axes[1]
    scatter.plot(codes[:, 0], codes[:, 1], ".", alpha=0.6, label="Huffman's code")
    ends = np.array([0, 3.6])
    scatter.plot(ends, ends, color="black", linestyle=":", label="entropy")
    scatter.plot(ends, ends + 1, color="gray", linestyle="--", label="entropy + 1")
    scatter.set(xlabel="entropy (bits)", ylabel="mean length of the code (bits)", title="Codes of random distributions")
    scatter.legend()

    sizes = np.arange(1, 11)
    lengths = [
        mean_length(np.array([math.prod(block) for block in itertools.product(COINS, repeat=n)])) / n for n in sizes.tolist()
    ]
    floor = information.entropy(COINS).item()
    blocks.plot(sizes, lengths, marker=".", label="Huffman's code for blocks")
    blocks.plot(sizes, floor + 1 / sizes, color="gray", linestyle="--", label="entropy + 1/n")
    blocks.axhline(floor, color="black", linestyle=":", label=f"entropy, {floor:.4f} bits")
    blocks.set(xlabel="symbols in a block, n", ylabel="bits per symbol", title="A coin of 0.9 and 0.1, in blocks")
    blocks.set(ylim=(0.4, 1.55))
    blocks.legend()

    p = minidl.linspace(0, 1, 201)
    coin.plot(p.numpy(), information.entropy(minidl.stack([p, 1 - p]), dim=0).numpy())
    coin.plot([0.5], [1], "o", color="black")
    coin.set(xlabel="probability of heads", ylabel="entropy (bits)", title="A coin: most to learn when it is fair")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
