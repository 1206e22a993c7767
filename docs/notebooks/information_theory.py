# %% [markdown]
# # Information theory
#
# These are the cells of the chapter on information theory of *Dive into Deep Learning* (section
# 22.11), in its order. One import is changed: `import torch` is now `import minidl as torch`. All
# other lines of the chapter's cells are as they are in the book, and they give the printed
# values. Beside each of them stands the same function of `minidl.information`, which also checks
# its input.
#
# **Bits and nats.** Information is counted in *bits* if the logarithm has base 2, in *nats* if it
# has base e. One nat is 1/ln 2 ≈ 1.4427 bits. The chapter says "always base 2", but its
# cross-entropy (and every loss in deep learning) is in nats. Here each number says its unit.
#
# The assertions are a part of the text: if the notebook runs, all its numbers are right.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

import minidl as torch
from minidl import information
from minidl.nn import NLLLoss, functional as F

plt.rcParams["figure.dpi"] = 100


def nansum(x):
    # Define nansum, as pytorch does not offer it inbuilt.
    return x[~torch.isnan(x)].sum()


def double(values):
    return torch.tensor(values, dtype=torch.float64)


# %% [markdown]
# ## 22.11.1 Information
#
# A friend shuffles a deck of cards and tells us something about it. The less probable the news,
# the more information it has. An event of probability p has the *self-information*
#
#     I = −log₂ p   bits
#
# The code "0010" is one of 2⁴ equally likely codes of length 4, so it has −log₂ 1/16 = 4 bits:
# one for each digit.


# %%
def self_information(p):
    return -torch.log2(torch.tensor(p)).item()


assert self_information(1 / 64) == 6.0
assert self_information(1 / 16) == 4.0
self_information(1 / 64)

# %% [markdown]
# The chapter's four statements about the cards, and what they are worth (this is exercise 1):
#
# | statement | probability | bits |
# |---|---|---|
# | "I see a card" | 1 | 0 |
# | "I see a heart" | 13/52 | 2 |
# | "this is the 3 of spades" | 1/52 | 5.7 |
# | the order of the whole deck | 1/52! | 225.6 |
#
# There is a trap in the last row: 1/52! is about 10⁻⁶⁸. In float32 it is 0, and the information
# would be infinite. So we give the *logarithm* of the probability: ln 52! is `lgamma(53)`.

# %%
assert information.self_information(1.0) == 0
assert information.self_information(13 / 52) == 2
assert round(information.self_information(1 / 52), 6) == 5.700440
whole_deck = information.self_information(-math.lgamma(53), log=True)
assert round(whole_deck, 6) == 225.581003
assert self_information(1 / math.factorial(52)) == math.inf  # the trap, in float32

names = ["a card", "a heart", "the 3 of spades", "the whole deck"]
bits = [information.self_information(p) for p in (1.0, 13 / 52, 1 / 52)] + [whole_deck]
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained")
p = np.linspace(0.005, 1, 400)
left.plot(p, -np.log2(p))
left.plot([1, 0.25, 1 / 52], bits[:3], "o", color="C0")
for name, x, y in zip(names, [1, 0.25, 1 / 52], bits, strict=False):
    left.annotate(
        name, (x, y), (x - 0.02 if x == 1 else x + 0.03, y + 0.35), ha="right" if x == 1 else "left"
    )
left.set(xlabel="probability", ylabel="bits", ylim=(-0.3, 8), title="Rare events say more")
drawn = right.barh(names, bits)
right.bar_label(drawn, [f"{b:.1f}" for b in bits], padding=3)
right.invert_yaxis()
right.set(xlabel="bits", xlim=(0, 260), title="What each statement tells")
plt.show()

# %% [markdown]
# ## 22.11.2 Entropy
#
# The *entropy* of a random variable is its mean self-information, the mean surprise:
#
#     H(X) = −Σ p(x) log₂ p(x)
#
# A term with p = 0 counts as 0. The computer says 0·log 0 = NaN, so the chapter leaves NaN out of
# the sum.


# %%
def entropy(p):
    entropy = -p * torch.log2(p)
    # Operator `nansum` will sum up the non-nan number
    out = nansum(entropy)
    return out


assert repr(entropy(torch.tensor([0.1, 0.5, 0.1, 0.3]))) == "tensor(1.6855)"
entropy(torch.tensor([0.1, 0.5, 0.1, 0.3]))

# %% [markdown]
# **What it means.** A slot machine shows four symbols with these probabilities. At each pull we
# note our surprise, −log₂ p of the symbol. The mean of the surprises comes near to the entropy.

# %%
slots = double([0.1, 0.5, 0.1, 0.3])
in_bits, in_nats = information.entropy(slots).item(), information.entropy(slots, base=math.e).item()
assert abs(in_bits - 1.6854752972273346) < 1e-12
assert abs(in_nats - 1.16828245) < 1e-8
assert abs(in_nats / math.log(2) - in_bits) < 1e-12
print(f"{in_bits:.4f} bits = {in_nats:.4f} nats")

torch.manual_seed(0)
shown = torch.multinomial(slots, 5000, replacement=True)
surprise = information.self_information(slots)[shown].numpy()
means = surprise.cumsum() / np.arange(1, 5001)
assert abs(means[-1] - in_bits) < 4 * surprise.std() / math.sqrt(5000)

_, ax = plt.subplots(figsize=(7, 3))
ax.semilogx(np.arange(1, 5001), means, color="C0", label="mean surprise so far")
ax.axhline(in_bits, color="black", linestyle="--", label="entropy, 1.6855 bits")
ax.set(xlabel="pulls", ylabel="bits", ylim=(0, 3.5), title="The slot machine")
ax.legend()
plt.show()

# %% [markdown]
# **Properties.**
#
# - H ≥ 0 for discrete variables. For densities it may be negative: uniform on [0, ½] has −1 bit.
# - With k outcomes H ≤ log₂ k, and only the uniform distribution reaches it: 8 outcomes, 3 bits.
# - A certain outcome has the entropy 0.

# %%
assert information.entropy(torch.full((8,), 1 / 8)).item() == 3.0
assert information.entropy(torch.tensor([1.0, 0.0])).item() == 0.0
assert information.uniform_entropy(0, 0.5) == -1.0 and information.uniform_entropy(0, 1) == 0.0
assert round(information.normal_entropy(1.0), 6) == 2.047096  # ½ log₂(2πe)

p = torch.linspace(0, 1, 201, dtype=torch.float64)
coins = information.entropy(torch.stack([p, 1 - p], 1), dim=1)
assert coins.max().item() == 1.0 and p[coins.argmax()].item() == 0.5

_, ax = plt.subplots(figsize=(5, 3))
ax.plot(p.numpy(), coins.numpy())
ax.plot(0.5, 1, "o", color="C0")
ax.annotate("a fair coin: 1 bit", (0.5, 1), (0.5, 0.75), ha="center")
ax.set(xlabel="probability of heads", ylabel="bits", title="Entropy of a coin")
plt.show()

# %% [markdown]
# ## 22.11.3 Mutual information
#
# ### Joint entropy
#
# For a pair of variables the sum goes over all pairs of outcomes. It is the same code as before:


# %%
def joint_entropy(p_xy):
    joint_ent = -p_xy * torch.log2(p_xy)
    # Operator `nansum` will sum up the non-nan number
    out = nansum(joint_ent)
    return out


assert repr(joint_entropy(torch.tensor([[0.1, 0.5], [0.1, 0.3]]))) == "tensor(1.6855)"
joint_entropy(torch.tensor([[0.1, 0.5], [0.1, 0.3]]))

# %% [markdown]
# ### Conditional entropy
#
# What is left to learn about Y if X is known: H(Y|X) = −ΣΣ p(x, y) log₂ p(y|x) = H(X, Y) − H(X).


# %%
def conditional_entropy(p_xy, p_x):
    p_y_given_x = p_xy / p_x
    cond_ent = -p_xy * torch.log2(p_y_given_x)
    # Operator `nansum` will sum up the non-nan number
    out = nansum(cond_ent)
    return out


book = conditional_entropy(torch.tensor([[0.1, 0.5], [0.2, 0.3]]), torch.tensor([0.2, 0.8]))
assert repr(book) == "tensor(0.8635)"
book

# %% [markdown]
# **Look closely at the book's numbers.** The table [[0.1, 0.5], [0.2, 0.3]] has the sum 1.1. It
# is not a distribution, and 0.8635 is what the code gives, not an entropy. With the table of the
# joint entropy, [[0.1, 0.5], [0.1, 0.3]], whose columns have the sums 0.2 and 0.8, everything is
# right. `minidl.information` needs only the table, and finds the sums itself:

# %%
A = double([[0.1, 0.5], [0.1, 0.3]])  # rows: y, columns: x
p_x, p_y = A.sum(0), A.sum(1)
H = information.entropy
H_x, H_y, H_xy = H(p_x).item(), H(p_y).item(), information.joint_entropy(A).item()
H_y_given_x = information.conditional_entropy(A.T).item()  # what is known has the rows
H_x_given_y = information.conditional_entropy(A).item()

assert abs(H_x - 0.7219281) < 1e-7 and abs(H_y - 0.9709506) < 1e-7
assert abs(H_y_given_x - 0.9635472) < 1e-7 and abs(H_x_given_y - 0.7145247) < 1e-7
assert abs(H_y_given_x - (H_xy - H_x)) < 1e-12  # the chain rule
assert abs(conditional_entropy(A, p_x).item() - H_y_given_x) < 1e-12  # the book's code is right

try:
    information.conditional_entropy(double([[0.1, 0.5], [0.2, 0.3]]))
except ValueError as error:
    refused = str(error)
assert "1.1" in refused
print(refused)

# %% [markdown]
# ### Mutual information
#
# What X and Y share: I(X, Y) = ΣΣ p(x, y) log₂ p(x, y) / (p(x) p(y)).


# %%
def mutual_information(p_xy, p_x, p_y):
    p = p_xy / (p_x * p_y)
    mutual = p_xy * torch.log2(p)
    # Operator `nansum` will sum up the non-nan number
    out = nansum(mutual)
    return out


book = mutual_information(
    torch.tensor([[0.1, 0.5], [0.1, 0.3]]), torch.tensor([0.2, 0.8]), torch.tensor([[0.75, 0.25]])
)
assert repr(book) == "tensor(0.7195)"
book

# %% [markdown]
# Again a trap: the rows have the sums 0.6 and 0.4, not 0.75 and 0.25, and p(y) should be a
# column. So 0.7195 is not the information that X and Y share. The true value is almost 0: X and Y
# are nearly independent. Four ways give the same:

# %%
I = information.mutual_information(A).item()
assert abs(I - 0.0074033921) < 1e-9
assert abs(mutual_information(A, p_x, p_y[:, None]).item() - I) < 1e-12
assert abs((H_x - H_x_given_y) - I) < 1e-12
assert abs((H_y - H_y_given_x) - I) < 1e-12
assert abs((H_x + H_y - H_xy) - I) < 1e-12


def diagram(ax, joint, title):
    """H(X) and H(Y) as bars under H(X, Y): where they overlap is what they share."""
    h_x, h_y = H(joint.sum(0)).item(), H(joint.sum(1)).item()
    h_xy = information.joint_entropy(joint).item()
    rows = [("H(X, Y)", 0, h_xy, "0.6"), ("H(X)", 0, h_x, "C0"), ("H(Y)", h_xy - h_y, h_y, "C1")]
    for k, (name, start, width, color) in enumerate(rows):
        ax.barh(k, width, left=start, color=color)
        ax.text(
            start + width / 2, k, f"{name} = {width:.2f}", ha="center", va="center", color="white"
        )
    shared = h_x + h_y - h_xy
    ax.axvspan(h_xy - h_y, h_x, color="0.85", zorder=0)
    ax.text(h_x - shared / 2, 2.75, f"I = {shared:.2f}", ha="center", va="center")
    ax.set(xlim=(0, 2.05), ylim=(3.1, -0.6), yticks=[], xlabel="bits", title=title)


_, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
diagram(axes[0], A, "the table A: almost nothing shared")
diagram(axes[1], double([[0.4, 0.1], [0.1, 0.4]]), "equal in 8 of 10 cases")
diagram(axes[2], double([[0.5, 0.0], [0.0, 0.5]]), "Y = X: everything shared")
plt.show()

# %% [markdown]
# **More than correlation.** Let X be −1, 0 or 1, and Y = X². The correlation is 0. But who knows
# X knows Y, so they share all of H(Y).
#
# ### Pointwise mutual information
#
# The term log₂ p(x, y) / (p(x) p(y)) of one pair says whether the two come together more often (>
# 0) or less often (< 0) than by chance. Its mean is the mutual information.

# %%
third = 1 / 3
square = double([[0.0, third, 0.0], [third, 0.0, third]])  # rows: Y = 0, 1; columns: X = −1, 0, 1
X, Y = double([-1.0, 0.0, 1.0]), double([0.0, 1.0])
covariance = (square * Y[:, None] * X).sum() - (square.sum(0) * X).sum() * (square.sum(1) * Y).sum()
assert covariance.item() == 0
assert abs(information.mutual_information(square).item() - H(square.sum(1)).item()) < 1e-12
assert abs(information.mutual_information(square).item() - 0.9182958) < 1e-7

pointwise = information.pointwise_mutual_information(A)
assert abs((A * pointwise).sum().item() - I) < 1e-12
assert (pointwise.sign() == double([[-1, 1], [1, -1]])).all()
pointwise

# %% [markdown]
# ## 22.11.4 Kullback–Leibler divergence
#
# How much more we are surprised, on average, if we believe in Q while P is true:
#
#     D(P‖Q) = Σ p(x) log₂ p(x)/q(x)
#
# It is never negative, it is 0 only for P = Q, it is infinite if Q excludes what P allows, and
# D(P‖Q) ≠ D(Q‖P).


# %%
def kl_divergence(p, q):
    kl = p * torch.log2(p / q)
    out = nansum(kl)
    return out.abs().item()


p, q = double([0.5, 0.5]), double([1.0, 0.0])
assert information.kl_divergence(p, q).item() == math.inf
assert information.kl_divergence(q, p).item() == 1.0  # bit
p, q = double([0.5, 0.3, 0.2]), double([0.2, 0.3, 0.5])
assert abs(kl_divergence(p, q) - information.kl_divergence(p, q).item()) < 1e-12
assert abs(information.kl_divergence(p, q).item() - 0.3 * math.log2(2.5)) < 1e-12

independent = p_y[:, None] * p_x
assert abs(information.kl_divergence(A.flatten(), independent.flatten()).item() - I) < 1e-12

# %% [markdown]
# The chapter's example: three sorted samples of normal distributions. The random numbers of
# minidl are PyTorch's for the same seed, so the printed values come out (the last digits depend
# on the order of a sum in float32).

# %%
torch.manual_seed(1)

tensor_len = 10000
p = torch.normal(0, 1, (tensor_len,))
q1 = torch.normal(-1, 1, (tensor_len,))
q2 = torch.normal(1, 1, (tensor_len,))

p = torch.sort(p)[0]
q1 = torch.sort(q1)[0]
q2 = torch.sort(q2)[0]

kl_pq1 = kl_divergence(p, q1)
kl_pq2 = kl_divergence(p, q2)
similar_percentage = abs(kl_pq1 - kl_pq2) / ((kl_pq1 + kl_pq2) / 2) * 100
kl_q2p = kl_divergence(q2, p)
differ_percentage = abs(kl_q2p - kl_pq2) / ((kl_q2p + kl_pq2) / 2) * 100

printed = (8582.0341796875, 8828.3095703125, 2.8290698237936858, 14130.125, 46.18621024399691)
found = (kl_pq1, kl_pq2, similar_percentage, kl_q2p, differ_percentage)
assert np.allclose(found, printed, rtol=1e-5)
found

# %% [markdown]
# **Look closely again.** The samples are not probabilities: many are negative, their logarithm is
# NaN, and `nansum` drops it. So these are not divergences. Those of the normal distributions
# themselves are known exactly (exercise 5):
#
#     D(N(μ₁,σ₁²)‖N(μ₂,σ₂²)) = ln(σ₂/σ₁) + (σ₁² + (μ₁−μ₂)²)/(2σ₂²) − ½   nats
#
# For N(0, 1) and N(±1, 1) it is ½ nat in *both* directions. To see that the divergence is not
# symmetric, the widths must differ:

# %%
kl = information.normal_kl  # (mean1, std1, mean2, std2)
for mean in (-1, 1):
    assert kl(0, 1, mean, 1, base=math.e) == kl(mean, 1, 0, 1, base=math.e) == 0.5
assert abs(kl(0, 1, 1, 1) - 0.7213475) < 1e-7  # the same in bits
narrow_wide, wide_narrow = kl(0, 1, 0, 2, base=math.e), kl(0, 2, 0, 1, base=math.e)
assert abs(narrow_wide - 0.3181472) < 1e-7 and abs(wide_narrow - 0.8068528) < 1e-7

x = np.linspace(-12, 12, 2401)
narrow, wide = (np.exp(-((x / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi)) for s in (1, 2))
cases = [
    (narrow, wide, "P narrow, Q wide", narrow_wide),
    (wide, narrow, "P wide, Q narrow", wide_narrow),
]
_, axes = plt.subplots(1, 2, figsize=(9.5, 3), layout="constrained", sharey=True)
for ax, (true, believed, title, nats) in zip(axes, cases, strict=True):
    surprise = true * np.log(true / believed)
    assert abs(surprise.sum() * 0.01 - nats) < 1e-5  # the area is the divergence
    ax.plot(x, true, "k--", label="p, true")
    ax.plot(x, believed, color="C0", label="q, believed")
    ax.fill_between(x, surprise, color="C3", alpha=0.3, label="p ln p/q: its area is D(P‖Q)")
    ax.set(xlabel="x", xlim=(-7, 7), title=f"{title}: D(P‖Q) = {nats:.3f} nats")
axes[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# Right: the narrow Q says "almost impossible" of values far out, which do occur. This costs much.
#
# ## 22.11.5 Cross-entropy
#
# CE(P, Q) = −Σ p(x) log q(x) = H(P) + D(P‖Q): our mean surprise if we believe in Q. P is given by
# the data, so H(P) is constant. To make the cross-entropy small *is* to make the divergence
# small, and to make the data likely.
#
# The chapter's function has the natural logarithm, so this is in **nats**:


# %%
def cross_entropy(y_hat, y):
    ce = -torch.log(y_hat[range(len(y_hat)), y])
    return ce.mean()


labels = torch.tensor([0, 2])
preds = torch.tensor([[0.3, 0.6, 0.1], [0.2, 0.3, 0.5]])

assert repr(cross_entropy(preds, labels)) == "tensor(0.9486)"
assert abs(cross_entropy(preds.double(), labels).item() - 0.9485599924429406) < 1e-7
assert abs(cross_entropy(preds, labels).item() / math.log(2) - 1.36848) < 1e-5  # in bits
P, Q = double([0.5, 0.3, 0.2]), double([0.2, 0.3, 0.5])
ce = information.cross_entropy(P, Q).item()
assert abs(ce - (H(P) + information.kl_divergence(P, Q)).item()) < 1e-12
assert information.cross_entropy(P, P).item() == H(P).item()  # its smallest value

one_hot = F.one_hot(labels, 3)
assert one_hot.tolist() == [[1, 0, 0], [0, 0, 1]]
assert (
    abs(-(one_hot * preds.log()).sum(1).mean().item() - cross_entropy(preds, labels).item()) < 1e-6
)
cross_entropy(preds, labels)

# %% [markdown]
# `NLLLoss` takes the logarithms of the probabilities and gives the same. `F.cross_entropy` takes
# *logits*, any real numbers, and does the softmax itself, in one operation that does not
# overflow.

# %%
# Implementation of cross-entropy loss in PyTorch combines `nn.LogSoftmax()`
# and `nn.NLLLoss()`
nll_loss = NLLLoss()
loss = nll_loss(torch.log(preds), labels)
assert repr(loss) == "tensor(0.9486)"
assert repr(F.cross_entropy(torch.log(preds), labels)) == "tensor(0.9486)"
assert F.cross_entropy(torch.tensor([[1000.0, 0.0, -1000.0]]), torch.tensor([0])).item() == 0
loss

# %% [markdown]
# **As a loss.** We have counted 50, 30 and 20 times the outcomes 0, 1 and 2, and we learn three
# logits by gradient descent on the cross-entropy. The loss falls to the entropy of the counts,
# and not below. The distance that remains is the divergence.

# %%
data = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
truth = double([0.5, 0.3, 0.2])
floor = information.entropy(truth, base=math.e).item()
logits = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
losses, divergences = [], []
for _ in range(60):
    loss = F.cross_entropy(logits.expand(100, 3), data)
    losses.append(loss.item())
    divergences.append(
        information.kl_divergence(truth, logits.detach().softmax(0), base=math.e).item()
    )
    loss.backward()
    with torch.no_grad():
        logits -= 0.5 * logits.grad
        logits.grad.zero_()

assert np.allclose(np.array(losses) - floor, divergences, atol=1e-12)  # CE = H + D, at each step
assert 0 < losses[-1] - floor < 1e-3
assert np.allclose(logits.softmax(0).tolist(), [0.5, 0.3, 0.2], atol=0.02)

_, ax = plt.subplots(figsize=(7, 3.2))
ax.plot(losses, color="C0", label="cross-entropy")
ax.axhline(floor, color="black", linestyle="--", label=f"entropy of the data, {floor:.3f} nats")
ax.fill_between(range(60), floor, losses, color="C0", alpha=0.2, label="divergence")
ax.set(xlabel="step", ylabel="nats", ylim=(0, None), title="The loss falls to the entropy")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## 22.11.7 Exercises, with answers
#
# 1. *The cards*: see the second picture's cell above.
# 2. *D(p‖q) ≥ 0*: −log is convex, so by Jensen's inequality D = E[−log q/p] ≥ −log E[q/p] ≥ −log
#    1 = 0.
# 3. *Bits per character.* A monkey with 44 keys: log₂ 44. A drunk typesetter with 2,000 words of
#    4.5 letters: log₂ 2000 / 4.5. A language model of perplexity 15: if this is meant for each
#    word, log₂ 15 / 4.5; as it is written, for each character, log₂ 15.
# 4. *I(X, Y) = H(X) − H(X|Y)*: what Y tells about X is the uncertainty about X, less what is left
#    of it when Y is known. As expectations: E[−log p(x)] − E[−log p(x|y)] = E[log p(x|y)/p(x)] =
#    E[log p(x, y)/(p(x) p(y))].
# 5. *Two Gaussians*: the formula is above.

# %%
random = (2 * torch.randn(200, 2, 6, dtype=torch.float64)).softmax(-1)
assert information.kl_divergence(random[:, 0], random[:, 1], dim=-1).min().item() > -1e-12

monkey, typesetter = math.log2(44), math.log2(2000) / 4.5
per_word, per_character = math.log2(15) / 4.5, math.log2(15)
assert [round(v, 6) for v in (monkey, typesetter)] == [5.459432, 2.436841]
assert [round(v, 6) for v in (per_word, per_character)] == [0.868198, 3.906891]
uniform = torch.full((15,), 1 / 15, dtype=torch.float64)
assert abs(information.perplexity(uniform).item() - 15) < 1e-12

_, ax = plt.subplots(figsize=(6.5, 2.2))
writers = ["monkey", "drunk typesetter", "language model"]
drawn = ax.barh(writers, [monkey, typesetter, per_word])
ax.bar_label(drawn, fmt="%.2f", padding=3)
ax.invert_yaxis()
ax.set(xlabel="bits per character", xlim=(0, 6.2), title="The better the writer, the less surprise")
plt.show()
