"""Chapter 22.11 of *Dive into Deep Learning* (https://d2l.ai), information theory, row by row.

First the cells that its reader types: two imports change, the code does not, and the outputs are the printed ones. Then what
the text says between the cells, each row by its number (I1 to I38), and the exercises (E1 to E5). Some of the chapter's
examples are not what they seem (T1 to T8, T12): each has a test for the number that is printed, and one for the number that is
meant. What holds for all distributions is in test_information_properties: I4, I9, I10, I15, I18, I20, I21, I27, I29, I33.
"""

import ast
import math
import random
from collections import Counter

import pytest

import minidl
from minidl import information, nn
from minidl.nn import functional as F

FLOAT64 = minidl.float64
A = [[0.1, 0.5], [0.1, 0.3]]  # the joint distribution of the chapter


def double(values):
    return minidl.tensor(values, dtype=FLOAT64)


def near(value, rel=1e-6, abs=0.0):
    return pytest.approx(value, rel=rel, abs=abs)


# --- the cells, and what they print

DEFINITIONS = """
import minidl as torch
from minidl.nn import NLLLoss

def nansum(x):
    # Define nansum, as pytorch does not offer it inbuilt.
    return x[~torch.isnan(x)].sum()

def self_information(p):
    return -torch.log2(torch.tensor(p)).item()

def entropy(p):
    entropy = - p * torch.log2(p)
    # Operator `nansum` will sum up the non-nan number
    out = nansum(entropy)
    return out

def joint_entropy(p_xy):
    joint_ent = -p_xy * torch.log2(p_xy)
    out = nansum(joint_ent)
    return out

def conditional_entropy(p_xy, p_x):
    p_y_given_x = p_xy/p_x
    cond_ent = -p_xy * torch.log2(p_y_given_x)
    out = nansum(cond_ent)
    return out

def mutual_information(p_xy, p_x, p_y):
    p = p_xy / (p_x * p_y)
    mutual = p_xy * torch.log2(p)
    out = nansum(mutual)
    return out

def kl_divergence(p, q):
    kl = p * torch.log2(p / q)
    out = nansum(kl)
    return out.abs().item()

def cross_entropy(y_hat, y):
    ce = -torch.log(y_hat[range(len(y_hat)), y])
    return ce.mean()
"""

SAMPLES = """
torch.manual_seed(1)

tensor_len = 10000
p = torch.normal(0, 1, (tensor_len, ))
q1 = torch.normal(-1, 1, (tensor_len, ))
q2 = torch.normal(1, 1, (tensor_len, ))

p = torch.sort(p)[0]
q1 = torch.sort(q1)[0]
q2 = torch.sort(q2)[0]
"""

LABELS = """
labels = torch.tensor([0, 2])
preds = torch.tensor([[0.3, 0.6, 0.1], [0.2, 0.3, 0.5]])
"""

CELLS = {
    "I3 self_information": ("self_information(1 / 64)", "6.0"),
    "I5 entropy": ("entropy(torch.tensor([0.1, 0.5, 0.1, 0.3]))", "tensor(1.6855)"),
    "I12 joint_entropy": ("joint_entropy(torch.tensor([[0.1, 0.5], [0.1, 0.3]]))", "tensor(1.6855)"),
    "I16 T1 conditional_entropy": (
        "conditional_entropy(torch.tensor([[0.1, 0.5], [0.2, 0.3]]),\n                    torch.tensor([0.2, 0.8]))",
        "tensor(0.8635)",
    ),
    "I19 T2 mutual_information": (
        "mutual_information(torch.tensor([[0.1, 0.5], [0.1, 0.3]]),\n"
        "                   torch.tensor([0.2, 0.8]), torch.tensor([[0.75, 0.25]]))",
        "tensor(0.7195)",
    ),
    "I32 cross_entropy": (LABELS + "cross_entropy(preds, labels)", "tensor(0.9486)"),
    "I37 NLLLoss": (LABELS + "nll_loss = NLLLoss()\nloss = nll_loss(torch.log(preds), labels)\nloss", "tensor(0.9486)"),
}


def notebook(*cells):
    """Runs the cells one after the other; the value of the last one's last line."""
    names = {}
    for cell in cells:
        *statements, last = ast.parse(cell).body
        exec(compile(ast.Module(statements, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        else:
            value = exec(compile(ast.Module([last], []), "cell", "exec"), names)
    return value


@pytest.mark.parametrize(("cell", "printed"), CELLS.values(), ids=CELLS)
def test_cells_print_what_the_chapter_prints(cell, printed):
    assert repr(notebook(DEFINITIONS, cell)) == printed


@pytest.mark.parametrize(("cell", "printed"), list(CELLS.values())[:5], ids=list(CELLS)[:5])
def test_the_library_in_place_of_the_definitions_prints_the_same(cell, printed):
    assert repr(notebook("import minidl as torch\nfrom minidl.information import *", cell)) == printed


KL_CELL = """
kl_pq1 = kl_divergence(p, q1)
kl_pq2 = kl_divergence(p, q2)
similar_percentage = abs(kl_pq1 - kl_pq2) / ((kl_pq1 + kl_pq2) / 2) * 100
kl_q2p = kl_divergence(q2, p)
differ_percentage = abs(kl_q2p - kl_pq2) / ((kl_q2p + kl_pq2) / 2) * 100
kl_pq1, kl_pq2, similar_percentage, kl_q2p, differ_percentage
"""
OURS = """
import minidl as torch
from minidl import information

def kl_divergence(p, q):
    return information.kl_divergence(p, q, raw=True).item()
"""


@pytest.mark.parametrize("definitions", [DEFINITIONS, OURS], ids=["the chapter's", "minidl's"])
def test_I30_T4_divergences_of_sorted_samples_of_a_seeded_stream(definitions):
    """Single precision: 2 units in the last place of the sums, and what they make of their differences."""
    kl_pq1, kl_pq2, similar, kl_q2p, differ = notebook(definitions, SAMPLES, KL_CELL)
    assert [kl_pq1, kl_pq2, kl_q2p] == near([8582.0341796875, 8828.3095703125, 14130.125], rel=2.4e-7)
    assert similar == near(2.8290698237936858, rel=1e-5)
    assert differ == near(46.18621024399691)
    assert similar < 3
    assert 40 < differ < 50


def test_I30_T3_the_samples_are_no_distributions_and_checked_functions_say_so():
    notes = notebook("import minidl as torch", SAMPLES, "p, q1, q2")
    p, q1, _ = notes
    assert 0.33 < (p / q1 < 0).double().mean().item() < 0.36  # the terms that nansum drops
    with pytest.raises(ValueError, match=r"kl_divergence: p: -.* is not a probability; raw=True computes"):
        information.kl_divergence(p, q1)


def test_I30_T3_the_true_divergence_of_the_two_distributions_is_symmetric():
    for mean in (-1, 1):
        assert information.normal_kl(0, 1, mean, 1) == information.normal_kl(mean, 1, 0, 1) == near(0.72135, rel=1e-5)
        assert information.normal_kl(0, 1, mean, 1, base=math.e) == 0.5
    assert information.normal_kl(0, 1, 0, 2, base=math.e) == near(0.318147)  # where it is not: unequal spread
    assert information.normal_kl(0, 2, 0, 1, base=math.e) == near(0.806853)


# --- traps


def test_T1_the_conditional_entropy_of_what_is_no_joint_distribution():
    p_xy, p_x = double([[0.1, 0.5], [0.2, 0.3]]), double([0.2, 0.8])
    assert information.conditional_entropy(p_xy, p_x).item() == near(0.8635472)
    with pytest.raises(ValueError, match=r"conditional_entropy: the probabilities of shape \(2, 2\) sum to 1.1, expected 1"):
        information.conditional_entropy(p_xy)
    p_xy = p_xy / p_xy.sum()
    assert information.conditional_entropy(p_xy.T).item() == near(0.94458, rel=1e-5)  # X in columns
    assert information.conditional_entropy(p_xy).item() == near(0.79590, rel=1e-5)  # X in rows


def test_T2_the_mutual_information_of_what_are_no_marginals():
    p_xy, p_x, p_y = double(A), double([0.2, 0.8]), double([[0.75, 0.25]])
    assert information.mutual_information(p_xy, p_x, p_y).item() == near(0.7194603)
    assert information.mutual_information(p_xy).item() == near(0.0074033921, rel=1e-8)
    assert information.mutual_information(p_xy, base=math.e).item() == near(0.0051316, rel=1e-5)
    true = information.mutual_information(p_xy, p_xy.sum(1, keepdim=True), p_xy.sum(0, keepdim=True))
    assert true.item() == near(0.0074033921, rel=1e-8)


def test_T5_bits_and_nats():
    p, q = double([[1.0, 0, 0], [0, 0, 1.0]]), double([[0.3, 0.6, 0.1], [0.2, 0.3, 0.5]])
    nats = information.cross_entropy(p, q, base=math.e, dim=1).mean()
    assert nats.item() == near(0.9485599924429406, rel=1e-7)
    assert information.cross_entropy(p, q, dim=1).mean().item() == near(1.36848, rel=1e-5)
    bits = information.cross_entropy(p, q, dim=1).mean().item()
    assert information.perplexity([0.3, 0.5]).item() == near(math.exp(nats.item())) == near(2**bits)


def test_T6_one_order_of_a_deck_of_cards_in_single_precision():
    p = minidl.tensor(1 / math.factorial(52))
    assert p == 0
    assert information.self_information(p).item() == math.inf
    log_p = minidl.tensor(-math.lgamma(53))
    assert information.self_information(log_p, log=True).item() == near(225.581003, rel=1e-7)


def test_T7_nansum_drops_nan_only_on_the_way_forward():
    p = minidl.tensor([0.0, 1.0], requires_grad=True)
    notebook(DEFINITIONS, "entropy")(p).backward()
    assert not math.isfinite(p.grad[0].item())
    assert p.grad[1].item() == near(-1 / math.log(2))
    p.grad = None
    information.entropy(p).backward()
    assert p.grad.tolist() == [0, near(-1 / math.log(2))]


def test_T8_rows_printed_in_other_tabs_sum_to_the_same():
    """They sum over the last axis only; so does the library if asked."""
    assert information.entropy(A, dim=-1, raw=True).tolist() == near([0.8321928, 0.8532826])
    p = double([[0.1, 0.5], [0.2, 0.3]])
    rows = minidl.nansum(-p * minidl.log2(p / double([0.2, 0.8])), dim=-1)
    assert rows.tolist() == near([0.43903595, 0.42451128])
    assert rows.sum().item() == near(0.8635472)
    p = double(A)
    rows = minidl.nansum(p * minidl.log2(p / (double([0.2, 0.8]) * double([[0.75, 0.25]]))), dim=-1)
    assert rows.tolist() == near([0.60246783, 0.1169925])
    assert rows.sum().item() == near(0.7194603)


# --- information and entropy


def test_I1_what_a_friend_tells_about_cards():
    """ "I see a card", "a heart", "the 3 of spades", and the order of the whole deck."""
    assert information.self_information(1) == 0
    assert information.self_information(13 / 52) == 2
    assert information.self_information(1 / 52) == near(5.700439718141092, rel=1e-15)
    assert information.self_information(1 / math.factorial(52)) == near(225.5810031237028, rel=1e-14)


def test_I2_I3_n_binary_digits_hold_n_bits():
    assert [information.self_information(2.0**-n) for n in range(61)] == list(range(61))
    assert information.self_information([2.0**-n for n in range(61)]).tolist() == list(range(61))
    assert information.self_information(0.5 ** len("0010")) == 4
    assert information.self_information(1 / 64) == 6


def test_I4_nearly_certain_is_nearly_nothing():
    assert 0 < information.self_information(1 - 1e-9) < 1e-8
    assert 0 < information.entropy(double([1 - 1e-9, 1e-9])).item() < 1e-7


def test_I5_I6_entropy_and_its_convention_for_zero():
    assert information.entropy([0.1, 0.5, 0.1, 0.3]).item() == near(1.6854753)
    p = double([0.1, 0.5, 0.1, 0.3])
    assert information.entropy(p).item() == near(1.6854752972273346, rel=1e-14)
    assert information.entropy(p, base=math.e).item() == near(1.16828245, rel=1e-8)
    assert information.entropy([0.0, 1.0]).item() == 0
    assert information.entropy([0.5, 0.0, 0.5]).item() == 1


def test_I7_differential_entropy_may_be_negative():
    assert information.uniform_entropy(0, 0.5) == -1
    assert information.uniform_entropy(0, 1) == 0
    assert information.normal_entropy(1) == near(2.0470956, rel=1e-7)
    assert information.normal_entropy(0.2419707) == near(0, abs=1e-6)
    x = minidl.linspace(-12, 12, 24001, dtype=FLOAT64)  # the integral −∫ p log p, as a sum
    p = minidl.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    assert (-p * minidl.log2(p)).sum().item() * 1e-3 == near(information.normal_entropy(1), rel=1e-8)


def test_I8_entropy_is_the_mean_surprise_of_a_slot_machine():
    p = double([0.1, 0.5, 0.1, 0.3])
    surprise = information.self_information(p[minidl.multinomial(p, 10000, replacement=True)])
    assert surprise.mean().item() == near(1.6854753, abs=3 * surprise.std().item() / 100)


def test_I11_the_uniform_distribution_has_the_most_entropy():
    for k in (1, 2, 3, 44, 1024):
        assert information.entropy(minidl.full((k,), 1 / k, dtype=FLOAT64)).item() == near(math.log2(k), rel=1e-13, abs=1e-15)
    n = 1000  # on [0, 1]: any density, in n steps, against the uniform one, whose entropy is 0
    for seed in range(5):
        minidl.manual_seed(seed)
        density = minidl.rand(n, dtype=FLOAT64)
        p = density / density.sum()
        assert information.entropy(p).item() + math.log2(1 / n) < information.uniform_entropy(0, 1)


# --- two variables


def test_I12_I13_joint_entropy_of_a_table_and_of_a_normal_pair():
    assert information.joint_entropy(A).item() == near(1.6854753)
    covariance = [[2.0, 0.6], [0.6, 1.0]]
    det = 2 - 0.36
    expected = math.log2((2 * math.pi * math.e) ** 2 * det) / 2
    assert information.multivariate_normal_entropy(double(covariance)).item() == near(expected, rel=1e-14)
    independent = information.multivariate_normal_entropy(double([[2.0, 0.0], [0.0, 1.0]])).item()
    assert independent == near(information.normal_entropy(math.sqrt(2)) + information.normal_entropy(1))


def test_I14_extremes_of_the_joint_entropy():
    p = double([0.2, 0.3, 0.5])
    h = information.entropy(p).item()
    assert information.joint_entropy(minidl.diag(p)).item() == near(h)  # X = Y
    assert information.joint_entropy(minidl.outer(p, double([0.9, 0.1]))).item() == near(
        h + information.entropy(double([0.9, 0.1])).item()
    )


def test_I16_I17_I18_chain_rule_of_a_table_and_of_a_normal_pair():
    p = double(A)
    column, row = information.entropy(p.sum(0)).item(), information.entropy(p.sum(1)).item()
    assert (column, row) == (near(0.7219281), near(0.9709506))
    given_column, given_row = information.conditional_entropy(p.T).item(), information.conditional_entropy(p).item()
    assert (given_column, given_row) == (near(0.9635472), near(0.7145247))
    joint = information.joint_entropy(p).item()
    assert (given_row, given_column) == (near(joint - row, rel=1e-12), near(joint - column, rel=1e-12))
    rho = 0.6  # given X, Y is normal with the variance 1 − ρ²
    joint = information.multivariate_normal_entropy(double([[1, rho], [rho, 1]])).item()
    assert joint - information.normal_entropy(1) == near(information.normal_entropy(math.sqrt(1 - rho**2)), rel=1e-13)


def test_I19_I20_mutual_information_in_all_its_forms():
    p = double(A)
    h_x, h_y, h_xy = (information.entropy(t).item() for t in (p.sum(1), p.sum(0), p))
    y_given_x, x_given_y = information.conditional_entropy(p).item(), information.conditional_entropy(p.T).item()
    forms = [h_xy - y_given_x - x_given_y, h_x - x_given_y, h_y - y_given_x, h_x + h_y - h_xy]
    assert forms == near([information.mutual_information(p).item()] * 4, rel=0, abs=1e-15)


def test_I22_mutual_information_sees_what_correlation_does_not():
    x = double([-2.0, -1.0, 0.0, 1.0, 2.0])  # each with probability 1/5, and y = x²
    y = x * x
    assert ((x - x.mean()) * (y - y.mean())).mean().item() == 0
    p_xy = (y[:, None] == double([0.0, 1.0, 4.0])).double() / 5
    assert information.mutual_information(p_xy).item() == near(information.entropy(double([0.2, 0.4, 0.4])).item())
    assert information.bivariate_normal_mutual_information(0.0) == 0  # where all there is is correlation
    rho = 0.8
    by_entropies = (
        2 * information.normal_entropy(1) - information.multivariate_normal_entropy(double([[1, rho], [rho, 1]])).item()
    )
    assert information.bivariate_normal_mutual_information(rho) == near(by_entropies, rel=1e-13)


def test_I23_pointwise_mutual_information():
    p = double(A)
    pmi = information.pointwise_mutual_information(p)
    assert pmi.tolist() == [
        [near(math.log2(0.1 / (0.6 * 0.2))), near(math.log2(0.5 / (0.6 * 0.8)))],
        [near(math.log2(0.1 / (0.4 * 0.2))), near(math.log2(0.3 / (0.4 * 0.8)))],
    ]
    assert (pmi > 0).tolist() == [[False, True], [True, False]]  # more often than by chance
    assert (p * pmi).sum().item() == near(information.mutual_information(p).item(), rel=1e-12)


def test_I24_words_in_the_company_of_amazon():
    """A meaning is told by the words that keep its company: those of a large pmi with it, of which the headline has more."""
    senses = {
        "company": ["online", "technology", "commerce", "the", "of"],
        "forest": ["rain", "forest", "tropical", "the", "of"],
    }
    rng = random.Random(0)
    counts = Counter((s, w) for s in senses for _ in range(300) for w in rng.choices(senses[s], k=3))
    words = sorted({word for _, word in counts})
    table = double([[counts[sense, word] for word in words] for sense in senses])
    pmi = information.pointwise_mutual_information(table / table.sum()).tolist()
    groups = [{word for word, value in zip(words, row, strict=True) if value > 0.5} for row in pmi]
    assert groups == [{"online", "technology", "commerce"}, {"rain", "forest", "tropical"}]
    headline = ["amazon", "on", "fire", "the", "tropical", "rain", "forest"]
    assert max(range(2), key=lambda i: len(groups[i].intersection(headline))) == 1


# --- two distributions


def test_I25_I26_divergence_is_a_mean_surprise_relative_to_another():
    p, q = double([0.5, 0.25, 0.25]), double([0.25, 0.25, 0.5])
    relative = information.self_information(q) - information.self_information(p)
    assert relative.tolist() == [1, 0, -1]
    assert information.kl_divergence(p, q).item() == (p * relative).sum().item() == 0.25


def test_I27_divergence_is_not_symmetric():
    p, q = [0.5, 0.5], [0.9, 0.1]
    assert information.kl_divergence(p, q).item() == near(0.5 * math.log2(0.5 / 0.9) + 0.5 * math.log2(0.5 / 0.1))
    assert information.kl_divergence(q, p).item() == near(0.9 * math.log2(0.9 / 0.5) + 0.1 * math.log2(0.1 / 0.5))


def test_I28_divergence_where_probabilities_are_zero():
    assert information.kl_divergence([0.5, 0.5], [1.0, 0.0]).item() == math.inf
    assert information.kl_divergence([1.0, 0.0], [0.5, 0.5]).item() == 1
    assert information.kl_divergence([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]).item() == 0


def test_I31_cross_entropy_of_a_binary_likelihood():
    pi, y = double([0.9, 0.2, 0.6]), double([1.0, 0.0, 0.0])
    likelihood = (y * pi.log() + (1 - y) * (1 - pi).log()).sum().item()
    assert F.binary_cross_entropy(pi, y, reduction="sum").item() == near(-likelihood)
    logits = (pi / (1 - pi)).log()
    assert F.binary_cross_entropy_with_logits(logits, y, reduction="sum").item() == near(-likelihood)
    both = information.cross_entropy(minidl.stack([y, 1 - y], 1), minidl.stack([pi, 1 - pi], 1), base=math.e, dim=1)
    assert both.sum().item() == near(-likelihood)


PREDS, TARGETS = [[0.3, 0.6, 0.1], [0.2, 0.3, 0.5]], [0, 2]


def test_I32_I34_I35_cross_entropy_of_labels_and_of_their_one_hot_rows():
    preds, labels = double(PREDS), minidl.tensor(TARGETS)
    assert F.one_hot(minidl.tensor([0, 1, 2])).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    rows = F.one_hot(labels, 3)
    by_index = -preds[range(2), labels].log()
    by_row = information.cross_entropy(rows, preds, base=math.e, dim=1)
    assert by_row.tolist() == near(by_index.tolist())
    assert by_row.mean().item() == near(0.9485599924429406, rel=1e-15)
    assert by_row.sum().item() == near(-(rows * preds.log()).sum().item())


def test_I32_cross_entropy_is_entropy_and_divergence():
    p, q = double([0.1, 0.5, 0.1, 0.3]), double([0.4, 0.3, 0.2, 0.1])
    parts = information.entropy(p) + information.kl_divergence(p, q)
    assert information.cross_entropy(p, q).item() == near(parts.item(), rel=1e-14)


def test_I36_the_likelihood_of_a_multinoulli_variable():
    pi = double([0.2, 0.5, 0.3])
    for j, z in enumerate(F.one_hot(minidl.tensor([0, 1, 2]))):
        assert (pi**z).prod().item() == near(pi[j].item())
    seen = minidl.tensor([0, 1, 1, 2, 1, 2, 0, 1])
    logits = minidl.zeros(3, dtype=FLOAT64, requires_grad=True)
    for _ in range(200):  # the most likely parameters are where the cross-entropy is least: the frequencies
        logits.grad = None
        F.cross_entropy(logits.expand(8, 3), seen).backward()
        with minidl.no_grad():
            logits -= 2 * logits.grad
    frequencies = minidl.bincount(seen) / 8
    assert logits.softmax(0).tolist() == near(frequencies.tolist())
    least = F.cross_entropy(logits.expand(8, 3), seen).item()
    assert least == near(information.entropy(frequencies.double(), base=math.e).item())


def test_I37_the_loss_of_log_probabilities_is_the_cross_entropy():
    preds, labels = double(PREDS), minidl.tensor(TARGETS)
    loss = nn.NLLLoss()(preds.log(), labels).item()
    assert loss == near(0.9485599924429406, rel=1e-14)
    assert loss == near(0.9485599994659424, rel=1e-7)
    logits = preds.log() + 3  # a constant more changes nothing
    assert nn.CrossEntropyLoss()(logits, labels).item() == near(loss)
    assert nn.NLLLoss()(nn.LogSoftmax(dim=1)(logits), labels).item() == near(loss)


# --- exercises (I38)


def test_E1_cards():
    outcomes = [1, 4, 52, math.factorial(52)]
    bits = [information.self_information(1 / n) for n in outcomes]
    assert bits == near([0, 2, 5.700440, 225.581003])
    assert bits[3] == near(sum(math.log2(k) for k in range(1, 53)), rel=1e-14)
    assert information.self_information(-math.lgamma(53), log=True) == near(bits[3], rel=1e-14)


def test_E2_divergence_is_not_negative_by_jensen():
    """D(p‖q) = E_p[−log q/p] ≥ −log E_p[q/p] = −log Σ_{p>0} q ≥ 0, since −log is convex and q sums to 1."""
    for seed in range(20):
        minidl.manual_seed(seed)
        p, q = (minidl.randn(5, dtype=FLOAT64).softmax(0) for _ in range(2))
        p = minidl.cat([p, minidl.zeros(2, dtype=FLOAT64)])
        q = minidl.cat([q * 0.9, minidl.full((2,), 0.05, dtype=FLOAT64)])
        seen = p > 0
        middle = -minidl.log2((p[seen] * (q[seen] / p[seen])).sum())
        assert information.kl_divergence(p, q) >= middle >= 0
        assert middle.item() == near(-math.log2(0.9))
    assert information.kl_divergence(q, q).item() == 0


def test_E3_a_monkey_a_typesetter_and_a_language_model():
    assert information.entropy(minidl.full((44,), 1 / 44, dtype=FLOAT64)).item() == near(5.459432)
    word = information.self_information(1 / 2000)
    assert word == near(10.965784)
    assert word / 4.5 == near(2.436841)
    assert word / 5.5 == near(1.993779)  # if the space counts
    # T12: "15 points per word" read as it is meant, and as the formula says, for characters
    of_a_word = information.self_information(1 / 15)
    assert of_a_word / 4.5 == near(0.868198)
    assert of_a_word == near(3.906891)
    assert information.self_information(15 ** (-1 / 4.5)) == near(0.868198)
    p = double([0.5, 0.1, 0.02, 0.25])  # of the characters of a word; the text writes the formula in two ways
    assert information.perplexity(p).item() == near(p.prod().item() ** (-1 / 4)) == near((-p.log().mean()).exp().item())
    assert information.perplexity(double([1 / 15] * 4)).item() == near(15)


def test_E4_mutual_information_is_the_entropy_less_what_is_left():
    p = double(A)
    assert (
        information.mutual_information(p).item()
        == near(0.7219281 - 0.7145247, rel=1e-4)
        == near(0.9709506 - 0.9635472, rel=1e-4)
    )
    # as expectations over the joint distribution: −log p(x) and −log p(x|y) under p(x, y)
    surprise = information.self_information(p.sum(1, keepdim=True)) - information.self_information(p / p.sum(0, keepdim=True))
    assert (p * surprise).sum().item() == near(information.mutual_information(p).item(), rel=1e-12)


@pytest.mark.parametrize(("mean1", "std1", "mean2", "std2"), [(0, 1, 0, 1), (0, 1, 1, 1), (0.5, 2, -1, 0.7), (1, 0.3, 0, 4)])
def test_E5_divergence_of_two_normal_distributions(mean1, std1, mean2, std2):
    kl = information.normal_kl(mean1, std1, mean2, std2, base=math.e)
    assert kl == near(math.log(std2 / std1) + (std1**2 + (mean1 - mean2) ** 2) / (2 * std2**2) - 0.5, abs=1e-15)
    assert information.normal_kl(mean1, std1, mean2, std2) == near(kl / math.log(2))
    x = minidl.normal(mean1, std1, (20000,), dtype=FLOAT64)
    ratio = math.log(std2 / std1) - ((x - mean1) / std1) ** 2 / 2 + ((x - mean2) / std2) ** 2 / 2
    assert ratio.mean().item() == near(kl, abs=3 * ratio.std().item() / math.sqrt(20000) + 1e-12)


def test_E5_and_of_independent_ones():
    """As the divergence of a variational autoencoder from N(0, 1): ½ Σ (μ² + σ² − 1 − ln σ²)."""
    mean, std = double([0.3, -1.0]), double([0.5, 2.0])
    kl = information.normal_kl(mean, std, 0, 1, base=math.e).sum().item()
    assert kl == near((0.5 * (mean**2 + std**2 - 1 - (std**2).log())).sum().item())
