"""Which Amazon is on fire? Words that keep company with one meaning tell it from the other, by pointwise mutual information.

Chapter 22.11 of Dive into Deep Learning tells the way: find the words that have a large mutual information with the company
Amazon, and those that have it with the rain forest; then see of which group a text has more. Here 48 short texts on the two
are counted; the pointwise mutual information of a meaning s and a word w is log2 p(s, w)/(p(s) p(w)): positive where the word
comes more often beside this meaning than by chance, negative where more seldom, and 0 for words that tell nothing ("the").

Counts of a small text are full of chance: a word that came once with one meaning seems to tell it for certain. So half a text
is added to each count, and a group has the words whose part in I(S, W) = sum of p(s, w) pmi(s, w) is largest, but for words of
grammar like "of".

Target: of 16 other texts the right meaning of at least 14 (in the manner of the chapter, by counting words of each group), and
the sum of p(s, w) pmi(s, w) is I(S, W) to 1e-12. The headline alone, "Amazon is on fire", has no word of either group: no
meaning is more likely, and the article must go on. The texts are made up for this example. It takes a second.
"""

import argparse
import re
import sys
from collections import Counter
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

import minidl
from minidl import information, viz

SENSES = "company", "forest"
COLORS = "C0", "C1"
SMOOTHING, GROUP = 0.5, 40
FUNCTION_WORDS = """a an and any are as at by each for from had has have in into is it its many met no of on or other than that
the their they to up was were when which who will with would"""
TARGET, EXACT = 14, 1e-12

COMPANY = """\
Amazon opened a new warehouse and will hire two thousand workers for the holiday orders
shares of Amazon fell after the company said that sales online grew less than expected
customers of Amazon can return a parcel to any store of the chain
Amazon raised the price of its subscription, the company told customers on Monday
the online retailer Amazon bought a maker of robots for its warehouse
analysts expect Amazon to report a profit from cloud services and advertising
workers at an Amazon warehouse voted on a union on Friday
Amazon sells more books online than all stores of the country together
the company Amazon said that its cloud services were down for an hour
sellers on Amazon complain about fees that the retailer takes from each order
Amazon delivers orders by drone in two towns, the company said
a court ruled that Amazon must pay taxes on sales to customers in the state
Amazon began as an online store for books in a garage
technology shares rose, led by Amazon and other companies of the cloud business
the price of shares in Amazon doubled within a year on strong online sales
Amazon invests in technology that reads a customer's voice and places an order
the warehouse of Amazon near the airport ships a million parcels in a week
regulators ask whether Amazon favours its own products in online search
Amazon will close its stores for books and put the money into delivery
the retailer told investors that advertising on Amazon brings more profit than sales
a customer of Amazon received a parcel with stones and no computer
drivers who deliver for Amazon went on strike over pay, the company did not comment
the founder of Amazon sold shares worth a billion dollars
Amazon offers technology and cloud services to banks and other business customers"""

FOREST = """\
the Amazon loses a tenth of its trees to farms and cattle in a decade, scientists warn
heavy rain fell on the Amazon and the river rose by ten metres
in the Amazon more kinds of birds live than in any other tropical forest
smoke of burning forest darkened the sky over the Amazon for weeks
tribes of the Amazon protect the forest in which they live
the river Amazon carries more water to the sea than the next seven rivers
drought in the Amazon leaves villages without fish and water
satellites count the trees that are cut in the Amazon forest each month
scientists found a new species of frog in the tropical rain forest of the Amazon
cattle farms spread along each road that is cut into the Amazon
the climate of the continent depends on the rain that the Amazon sends south
loggers fell old trees in the Amazon and take them down the river by night
the soil of the Amazon is poor, its forest feeds on fallen leaves
jaguars, monkeys and parrots of the Amazon lose the trees in which they live
pink dolphins swim in the river and the flooded forest of the Amazon
the tropical forest of the Amazon stores carbon that would warm the climate
indigenous tribes in the Amazon sued over a dam on their river
dry years and burning make the Amazon a savanna, a study of the climate says
mosquitoes carry malaria to villages along the river in the Amazon
Brazil sends soldiers to the Amazon to stop the burning of trees
plants of the Amazon gave medicine many of its drugs, and most species are unknown
mist rises from the trees of the Amazon and comes down as rain in the afternoon
fish of the Amazon swim among trees when the river floods the forest
explorers went up the Amazon by boat and met tribes that knew no metal"""

NEW = [
    ("company", "Amazon is on fire: the warehouse near the town burned, orders are late and customers wait"),
    ("forest", "Amazon is on fire: smoke rises from the trees, and in the tropical forest no rain is expected"),
    ("company", "profit at Amazon rose as customers bought more online"),
    ("forest", "the water of the Amazon is low, and boats cannot go up the river"),
    ("company", "Amazon lets workers choose their hours at the new warehouse"),
    ("forest", "a species of monkey was found in the Amazon"),
    ("company", "cloud services of Amazon will run the bank's computers"),
    ("forest", "the study says that cattle do more harm to the Amazon than roads"),
    ("company", "why the shares of Amazon are worth their price"),
    ("forest", "birds of the Amazon sing before the rain"),
    ("company", "parcels that Amazon delivers on Sunday cost more"),
    ("forest", "tribes in the Amazon fight for land, a court will hear them"),
    ("company", "a seller sues Amazon over a product that nobody had ordered"),
    ("forest", "scientists measure how much carbon the Amazon takes up in dry years"),
    ("company", "Amazon, the retailer, plans stores without a cashier"),
    ("forest", "soldiers leave the Amazon, and the loggers come back"),
]
HEADLINE = "Amazon is on fire"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", help="another text with the word Amazon, to be told its meaning")
    parser.add_argument("--group", type=int, default=GROUP, help="words in each group (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="the same: it takes a second anyway")
    options = parser.parse_args()
    if options.group < 1 or options.out.is_file():
        parser.error("expected a group of 1 word or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    vocabulary, p = counts(COMPANY.splitlines(), FOREST.splitlines())
    pmi = information.pointwise_mutual_information(p)
    mean, mutual = (p * pmi).sum().item(), information.mutual_information(p).item()
    print(f"{len(vocabulary)} words; I(sense, word) = {mutual:.4f} bits, the mean of pmi is {mean:.4f}")
    groups = choose(vocabulary, p, pmi, options.group)
    for sense, group in zip(SENSES, groups, strict=True):
        print(f"{sense:>8}: {', '.join(group)}")

    texts = [HEADLINE, *(text for _, text in NEW), *([options.text] if options.text else [])]
    found = [tell(text, groups) for text in texts]
    right = 0
    for text, (sense, votes) in zip(texts, found, strict=True):
        print(f"{sense or 'undecided':>10} {votes[0]}:{votes[1]}  {text}")
    for (truth, _), (sense, _) in zip(NEW, found[1:], strict=False):
        right += sense == truth
    print(f"{right} of {len(NEW)} right")

    picture(vocabulary, p, pmi, groups, texts, found, right, options.out / "word_senses.png")
    viz.report(picture=options.out / "word_senses.png", text=__doc__)
    print(f"picture: {options.out / 'word_senses.png'}")
    if abs(mean - mutual) > EXACT or found[0][0] is not None or (right < TARGET and options.group == GROUP):
        sys.exit(f"expected {TARGET} of {len(NEW)} texts, none of the headline, and a mean pmi within {EXACT} of I")


def words(text):
    """The different words of a text, without the s of the plural, and without Amazon, which all have."""
    return {re.sub("(?<=[^s])s$", "", word) for word in re.findall(r"[a-z]+", text.lower())} - {"amazon"}


def counts(*corpora):
    """(words, p (senses, words)): in how many texts of each sense a word comes, smoothed, as a joint distribution."""
    counters = [Counter(word for text in texts for word in words(text)) for texts in corpora]
    vocabulary = sorted(set().union(*counters))
    table = minidl.tensor([[counter[word] + SMOOTHING for word in vocabulary] for counter in counters], dtype=minidl.float64)
    return vocabulary, table / table.sum()


def choose(vocabulary, p, pmi, size):
    """For each sense the words that speak for it and that tell most of all. Grammar may tell something, too, but by chance."""
    told = (p * pmi).sum(0).tolist()  # each word's part in I(S, W)
    order = sorted(range(len(vocabulary)), key=lambda i: -told[i])
    function = words(FUNCTION_WORDS)
    return [[vocabulary[i] for i in order if row[i] > 0 and vocabulary[i] not in function][:size] for row in pmi.tolist()]


def tell(text, groups):
    """(sense or None, votes): of which group the text has more words."""
    votes = [len(words(text).intersection(group)) for group in groups]
    return (None if votes[0] == votes[1] else SENSES[votes[1] > votes[0]]), votes


def picture(vocabulary, p, pmi, groups, texts, found, right, path):
    figure, (left, ax) = plt.subplots(1, 2, figsize=(14, 7.5), width_ratios=[1, 1.35], layout="constrained")
    neutral = [word for word in ("the", "of", "and", "in") if word in vocabulary]
    shown = [*groups[0][:11], *neutral, *groups[1][:11][::-1]]
    for i, word in enumerate(shown):
        row = pmi[:, vocabulary.index(word)].tolist()
        left.barh([i - 0.19, i + 0.19], row, 0.38, color=COLORS)
    left.set(yticks=range(len(shown)), yticklabels=shown, xlabel="pointwise mutual information with a meaning (bits)")
    left.set_title("Words beside “Amazon”: more (> 0) or less often than by chance")
    left.axvline(0, color="black", linewidth=0.8)
    left.invert_yaxis()
    left.legend([Rectangle((0, 0), 1, 1, color=c) for c in COLORS], [f"the {sense}" for sense in SENSES], loc="center left")

    truths = [None, *(truth for truth, _ in NEW)]
    for i, (text, (sense, votes)) in enumerate(zip(texts, found, strict=True)):
        ax.barh(i, -votes[0], 0.7, color=COLORS[0])
        ax.barh(i, votes[1], 0.7, color=COLORS[1])
        short = text if len(text) < 52 else text[:50].rsplit(" ", 1)[0] + " …"
        wrong = i < len(truths) and sense != truths[i]
        side = 1 if votes[0] > votes[1] else -1  # beside the longer bar there is room
        where = "left" if side > 0 else "right"
        ax.text(0.1 * side, i, short, ha=where, va="center", fontsize=8.5, color="C3" if wrong else "black")
    ax.axvline(0, color="black", linewidth=0.8, zorder=0)
    widest = max(4, *(max(votes) for _, votes in found)) + 1
    ax.set(yticks=[], xlim=(-widest - 1.5, widest + 1.5), xticks=range(-widest + 1, widest))
    ax.set_xticklabels([str(abs(x)) for x in range(-widest + 1, widest)])
    ax.set(xlabel="words of the company's group                    words of the forest's group")
    ax.set_title(f"Other texts: {right} of {len(NEW)} right (target {TARGET}; red: not); the headline alone is undecided")
    ax.invert_yaxis()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
