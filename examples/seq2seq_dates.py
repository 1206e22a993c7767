"""An encoder and a decoder with attention learn to write dates as ISO 8601 has them: "the third of March 1998" → 1998-03-03.

The dates lie between 1600 and 2099 and come in sixteen spellings, read and written character by character. In three of them
the year has two digits and means 1950 to 2049. One has no day ("March 1998" → 1998-03), so answers differ in length, and the
padding behind the shorter ones must not count in the loss. Of the 1,200 pairs of a month and the last two digits of the year a
fifth is held out: the network never sees a date of March 98, of whatever century and in whatever spelling.

A bidirectional GRU reads; Bahdanau's decoder (2015) writes. Its state starts from zeros, so that all it knows of the date has
come to it by attention. It is trained with the true characters before each one (teacher forcing), by Adam and with clipped
gradients, and must then write with its own. Target: at least 98 % of 2,000 held-out dates without any mistake. Half a minute.

The picture shows where the decoder looks while it writes: a row for each character written, a column for each character read,
dark where the weight is large. It looks at the year first, then at the month and at the day, wherever these stand. (Often at
the second digit of the year for the first one, which follows from it; and where it looks for a hyphen is of no account.) Below,
how the share of faultless dates went, and a date of each spelling as it was written early and at the end (mistakes in red).
"""

import argparse
import calendar
import datetime
import string
import sys
import time
from itertools import zip_longest
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
from minidl.models import Encoder, EncoderDecoder, Seq2SeqAttentionDecoder
from minidl.nn.utils import clip_grad_norm_

TARGET, WIDTH, BATCH = 0.98, 64, 64
MONTHS, WEEKDAYS = list(calendar.month_name)[1:], list(calendar.day_name)
ONES = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"]
TEENS = [f"{word}teenth" for word in ("thir", "four", "fif", "six", "seven", "eigh", "nine")]
ORDINALS = [*ONES, "tenth", "eleventh", "twelfth", *TEENS, "twentieth", *(f"twenty-{word}" for word in ONES)]
ORDINALS += ["thirtieth", "thirty-first"]

SPELLINGS = {
    "3 March 1998": lambda d: f"{d.day} {MONTHS[d.month - 1]} {d.year}",
    "3 Mar 1998": lambda d: f"{d.day} {MONTHS[d.month - 1][:3]} {d.year}",
    "3 Mar 98": lambda d: f"{d.day} {MONTHS[d.month - 1][:3]} {d.year % 100:02}",
    "03-MAR-1998": lambda d: f"{d.day:02}-{MONTHS[d.month - 1][:3].upper()}-{d.year}",
    "March 3, 1998": lambda d: f"{MONTHS[d.month - 1]} {d.day}, {d.year}",
    "Mar 3, '98": lambda d: f"{MONTHS[d.month - 1][:3]} {d.day}, '{d.year % 100:02}",
    "March 3rd, 1998": lambda d: f"{MONTHS[d.month - 1]} {ordinal(d.day)}, {d.year}",
    "3rd of March 1998": lambda d: f"{ordinal(d.day)} of {MONTHS[d.month - 1]} {d.year}",
    "the third of March 1998": lambda d: f"the {ORDINALS[d.day - 1]} of {MONTHS[d.month - 1]} {d.year}",
    "Tuesday, 3 March 1998": lambda d: f"{WEEKDAYS[d.weekday()]}, {d.day} {MONTHS[d.month - 1]} {d.year}",
    "03/03/1998": lambda d: f"{d.day:02}/{d.month:02}/{d.year}",  # the day first
    "3.3.1998": lambda d: f"{d.day}.{d.month}.{d.year}",
    "3/3/98": lambda d: f"{d.day}/{d.month}/{d.year % 100:02}",
    "19980303": lambda d: f"{d.year}{d.month:02}{d.day:02}",
    "1998, March 3": lambda d: f"{d.year}, {MONTHS[d.month - 1]} {d.day}",
    "March 1998": lambda d: f"{MONTHS[d.month - 1]} {d.year}",
}
NO_DAY = "March 1998"
SHORT_YEAR = {"3 Mar 98", "Mar 3, '98", "3/3/98"}  # mean the years 1950 to 2049
SHOWN = [["the third of March 1998", "3.3.1998"], ["Tuesday, 3 March 1998", "Mar 3, '98", "19980303"]]  # two rows of heat maps

PAD, BEGIN, END = "_^$"
LETTERS = PAD + string.ascii_letters + string.digits + " ,.'/-"
ANSWERS = PAD + BEGIN + END + "0123456789-"
LONGEST, STEPS = len("the twenty-seventh of September 1998"), len("1998-03-03$")


def ordinal(n):
    return f"{n}{'th' if n // 10 == 1 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


class BidirectionalEncoder(Encoder):
    """Tokens (B, T) → outputs (T, B, width), half of each from the left and half from the right, and a state of zeros."""

    def __init__(self, symbols, width):
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.rnn = nn.GRU(width, width // 2, bidirectional=True)

    def forward(self, X, *args):
        outputs, _ = self.rnn(self.embedding(X.T))
        return outputs, minidl.zeros(1, *outputs.shape[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=700, help=f"batches of {BATCH} dates (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the months held out, the dates and the weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="20 steps, and no target to meet: shows that it runs")
    options = parser.parse_args()
    steps = 20 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    minidl.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    months = random.permutation([(year, month) for year in range(100) for month in range(1, 13)])  # of every century
    held_out, months = months[:240], months[240:]
    test = draw(random, held_out, 400 if options.quick else 2000)

    encoder = BidirectionalEncoder(len(LETTERS), WIDTH)
    model = EncoderDecoder(encoder, Seq2SeqAttentionDecoder(len(ANSWERS), WIDTH, WIDTH, 1))
    start = time.perf_counter()
    history = train(model, random, months, test[:400], steps)
    written = write(model, [source for _, source, _ in test])[0]
    exact = faultless(written, test)
    print(f"{steps} steps in {time.perf_counter() - start:.0f} s; without any mistake: {exact.mean():.2%} of {len(test)} dates")

    picture(options.out / "seq2seq_dates.png", model, history, test, written, exact)
    columns = {"step": [row[0] for row in history], "dates without a mistake": [row[1] for row in history]}
    viz.report(columns, model, picture=options.out / "seq2seq_dates.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'seq2seq_dates.png'}")
    if not options.quick and exact.mean() < TARGET:
        sys.exit(f"expected at least {TARGET:.0%}")


def draw(random, months, n):
    """n random dates of these months, each as (name of the spelling, what is read, what is to be written)."""
    names, samples = list(SPELLINGS), []
    columns = random.integers(len(names), size=n), random.integers(len(months), size=n), random.integers(16, 21, n)
    for spelling, pick, century, day in zip(*columns, random.random(n), strict=True):
        name, (year, month) = names[spelling], map(int, months[pick])
        if name in SHORT_YEAR:
            century = 19 if year >= 50 else 20
        first = datetime.date(100 * int(century) + year, month, 1)
        days = ((first + datetime.timedelta(31)).replace(day=1) - first).days
        date = first.replace(day=1 + int(day * days))
        iso = date.isoformat()
        samples.append((name, SPELLINGS[name](date), iso[:7] if name == NO_DAY else iso))
    return samples


def encode(texts, alphabet, length):
    """Integers (N, length), padded on the right."""
    return minidl.tensor([[alphabet.index(c) for c in text.ljust(length, PAD)] for text in texts])


def encode_sources(sources):
    """(tokens (N, LONGEST), the number of characters of each)

    The GRU that reads from the right reads the padding first, so its amount must not depend on the other dates of the batch.
    """
    return encode(sources, LETTERS, LONGEST), minidl.tensor([len(source) for source in sources])


def train(model, random, months, test, steps):
    """Trains, and returns [(step, share of `test` written without any mistake, what was written)]."""
    optimizer = minidl.optim.Adam(model.parameters(), lr=0.005)
    scheduler = minidl.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    history = []
    bar = tqdm(range(1, steps + 1), unit="step", disable=None)
    for step in bar:
        _, sources, answers = zip(*draw(random, months, BATCH), strict=True)
        tokens, lengths = encode_sources(sources)
        target = encode([answer + END for answer in answers], ANSWERS, STEPS)
        before = encode([BEGIN + answer for answer in answers], ANSWERS, STEPS)
        model.train()
        optimizer.zero_grad()
        logits = model(tokens, before, lengths)
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=ANSWERS.index(PAD))
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step % max(1, steps // 40) == 0 or step == steps:
            written = write(model, [source for _, source, _ in test])[0]
            share = faultless(written, test).mean()
            history.append((step, share, written))
            bar.set_postfix(loss=f"{loss.item():.4f}", faultless=f"{share:.1%}")
    return history


def write(model, sources):
    """(the answers, the weights (N, steps, LONGEST) with which each character of them looked at the source)"""
    model.eval()
    tokens, lengths = encode_sources(sources)
    options = {"bos": ANSWERS.index(BEGIN), "eos": ANSWERS.index(END), "num_steps": STEPS}
    codes, weights = model.predict(tokens, lengths, **options)
    answers = ["".join(ANSWERS[c] for c in row).split(END)[0] for row in codes.tolist()]
    return answers, minidl.cat(weights, 1).numpy()


def faultless(written, test):
    return np.array([answer == true for answer, (_, _, true) in zip(written, test, strict=True)])


def picture(path, model, history, test, written, exact):
    figure = plt.figure(figsize=(14, 12), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.35, 1]).flat
    above.suptitle(
        "Where the decoder looks in dates that it has never seen: a column for each character read, a row for each written\n",
        weight="bold",
    )
    rows = [[shown(test, name) for name in names] for names in SHOWN]
    columns = max(sum(map(len, row)) for row in rows)
    for row, line in zip(rows, above.subfigures(len(rows), 1), strict=True):
        widths = [len(source) for source in row]
        grid = line.add_gridspec(1, len(row) + 1, width_ratios=[*widths, columns - sum(widths) + 0.1])  # cells of one size
        for i, source in enumerate(row):
            heat_map(line.add_subplot(grid[i]), model, source, {s: true for _, s, true in test}[source])

    left, right = below.subplots(1, 2, width_ratios=[1, 1.6])
    left.plot([h[0] for h in history], [h[1] for h in history], "o-")
    left.axhline(TARGET, color="gray", linestyle=":")
    left.text(history[-1][0], TARGET - 0.01, f"target: {TARGET:.0%}", ha="right", va="top", color="gray")
    left.set(title="400 of the held-out dates", xlabel="step", ylabel="share without any mistake", ylim=(-0.02, 1.03))

    early_step, _, early = min(history, key=lambda h: abs(h[1] - 0.5))
    right.axis("off")
    right.set_title(f"{exact.sum()} of {len(test)} held-out dates are right at the end", pad=14)
    head = (0, "a date of each spelling"), (0.41, f"step {early_step}"), (0.57, "at the end"), (0.9, "right")
    for x, text in head:
        right.text(x, 1, text, color="gray", va="center")
    for i, name in enumerate(SPELLINGS):
        of = [j for j, sample in enumerate(test) if sample[0] == name]
        j = min(of, key=lambda j: (exact[j], j >= len(early) or early[j] == test[j][2]))  # a mistaken one if there is
        height, true = 1 - (i + 1) / (len(SPELLINGS) + 0.5), test[j][2]
        right.text(0, height, test[j][1], family="monospace", va="center")
        if j < len(early):
            in_red(right, 0.41, height, early[j], true)
        in_red(right, 0.57, height, written[j], true)
        if not exact[j]:
            right.text(0.71, height, f"(is {true})", family="monospace", va="center")
        right.text(0.9, height, f"{exact[of].sum()} of {len(of)}", color="gray", va="center")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def in_red(axes, x, y, answer, true):
    """Writes the answer, black where it is right, red where it is not (or where something is missing)."""
    pairs = list(zip_longest(answer, true, fillvalue=PAD))
    for color, right in (("black", True), ("red", False)):
        text = "".join(a if (a == t) == right else " " for a, t in pairs)
        axes.text(x, y, text, color=color, family="monospace", va="center")


def shown(test, name):
    """What is read in the first date of this spelling; of those in words, the longest."""
    sources = [source for spelling, source, _ in test if spelling == name]
    return max(sources, key=len) if name == SHOWN[0][0] else sources[0]


def heat_map(axes, model, source, true):
    """The weights of one date: a column for each character that is read, a row for each that is written (in red: wrong)."""
    (answer,), (weights,) = write(model, [source])
    axes.imshow(weights[: len(answer), : len(source)], cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_xticks(range(len(source)), source, family="monospace", fontsize=13)
    axes.set_yticks(range(len(answer)), answer, family="monospace", fontsize=13)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    for label, a, t in zip(axes.get_yticklabels(), answer, true.ljust(len(answer), PAD)[: len(answer)], strict=True):
        label.set_color("black" if a == t else "red")
    axes.set_xticks(np.arange(len(source)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(answer)) - 0.5, minor=True)
    axes.grid(which="minor", color="gainsboro", linewidth=0.5)
    axes.tick_params(which="minor", length=0)


if __name__ == "__main__":
    main()
