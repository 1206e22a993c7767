# %% [markdown]
# # Attention
#
# Attention answers a question by looking at many examples, and by looking more closely at those
# that fit. The question is called *query*. Each example is a pair of *key* and *value*: the key
# says what it is about, the value is what it has to say. The answer is a mean of the values,
# weighted by how well each key fits the query:
#
#     Attention(q) = Σᵢ α(q, kᵢ) vᵢ      with weights α ≥ 0 whose sum is 1.
#
# In this notebook we
#
# 1. estimate a curve by averaging (this is attention from 1964);
# 2. make weights from scores with softmax;
# 3. use dot products as scores, and *measure* why they are divided by √d;
# 4. hide keys with masks;
# 5. look back only: the causal mask;
# 6. look with several heads at once.
#
# It follows chapter 11 of *Dive into Deep Learning*. The assertions are a part of the text: if
# the notebook runs, all its numbers are right.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

import minidl
import minidl.nn.functional as F
from minidl import information, nn, viz

minidl.manual_seed(0)
plt.rcParams["figure.dpi"] = 100


def heat(ax, weights, title, numbers=False, xlabel="keys", ylabel="queries"):
    """Weights as a heat map: white is 0, dark blue is 1."""
    image = ax.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    if numbers:
        for i, j in np.ndindex(weights.shape):
            color = "white" if weights[i, j] > 0.55 else "black"
            text = f"{weights[i, j]:.2f}" if weights[i, j] else "0"
            ax.text(j, i, text, ha="center", va="center", color=color, fontsize=8)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return image


# %% [markdown]
# ## 1. Averaging
#
# We have 40 noisy points of the curve y = 2 sin x + x. What is y at some new place q? The
# simplest answer is the mean of all 40 values, whatever q is. A better answer looks more at the
# points that are near: Nadaraya and Watson proposed this in 1964. With a Gaussian of width σ:
#
#     α(q, kᵢ) = exp(−(q − kᵢ)²/2σ²) / Σⱼ exp(−(q − kⱼ)²/2σ²)
#
# The places are the keys, the noisy numbers are the values, the new place is the query.


# %%
def curve(x):
    return 2 * x.sin() + x


keys = (minidl.rand(40) * 5).sort()[0]
values = curve(keys) + minidl.randn(40)
queries = minidl.arange(0, 5, 0.1)


def gaussian_weights(queries, keys, sigma):
    scores = -((queries[:, None] - keys) ** 2) / (2 * sigma**2)
    weights = scores.exp()
    return weights / weights.sum(1, keepdim=True)


everywhere = minidl.full((50, 40), 1 / 40)
near = gaussian_weights(queries, keys, 0.5)
assert near.sum(1).allclose(minidl.ones(50))

flat, estimate = everywhere @ values, near @ values
errors = [((found - curve(queries)) ** 2).mean().item() for found in (flat, estimate)]
assert flat.std().item() < 1e-5 and errors[1] < errors[0] / 4
print(
    "mean squared distance from the curve: equal weights {:.3f}, near ones {:.3f}".format(*errors)
)

# %%
figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
rows = [("equal weights", everywhere), ("σ = 0.5", near)]
rows.append(("σ = 0.1", gaussian_weights(queries, keys, 0.1)))
for (above, below), (title, weights) in zip(axes.T, rows, strict=True):
    above.plot(keys.numpy(), values.numpy(), "o", color="0.6", markersize=4, label="points")
    above.plot(queries.numpy(), curve(queries).numpy(), "k--", label="true curve")
    above.plot(queries.numpy(), (weights @ values).numpy(), color="C0", label="estimate")
    above.set(title=title, xlabel="x", ylim=(-2, 8))
    image = below.imshow(weights.numpy(), cmap="Blues", vmin=0, vmax=0.4, aspect="auto")
    below.set(xlabel="keys, sorted", ylabel="queries, sorted")
axes[0, 0].legend(fontsize=8, loc="lower right")
figure.colorbar(image, ax=axes[1], label="weight", shrink=0.9)
plt.show()

# %% [markdown]
# Below, each row shows where one query looks. Equal weights see no curve. A narrow Gaussian (σ =
# 0.1) looks at one or two points and copies their noise.
#
# ## 2. Softmax makes weights of scores
#
# exp, then division by the sum: this is the *softmax*. So the Gaussian weights are the softmax of
# the scores −(q − k)²/2σ². Softmax does not see what is added to all scores of a query. In −½|q −
# k|² = qᵀk − ½|k|² − ½|q|² the last term is such a number. If all keys have the same length,
# ½|k|² is such a number, too. What remains is the *dot product* qᵀk: cheap, and one matrix
# product for all pairs.

# %%
scores = -((queries[:, None] - keys) ** 2) / (2 * 0.5**2)
assert scores.softmax(1).allclose(near, atol=1e-6)
assert (scores + 7).softmax(1).allclose(near, atol=1e-5)

q, k = minidl.randn(4, 8), F.normalize(minidl.randn(6, 8), dim=1)  # keys of length 1
distances = ((q[:, None] - k) ** 2).sum(2)
assert (-distances / 2).softmax(1).allclose((q @ k.T).softmax(1), atol=1e-6)

assert (
    minidl.tensor([1.0, 2.0, 3.0])
    .softmax(0)
    .allclose(minidl.tensor([0.09003057, 0.24472847, 0.66524096]), atol=1e-7)
)

# %% [markdown]
# **A soft dictionary.** Dot products with sharp scores look a value up, as a dictionary does.
# With soft scores they mix values. Here are four keys, and the value of each is a number.

# %%
k = minidl.eye(4)
v = minidl.tensor([[10.0], [20.0], [30.0], [40.0]])
asked = minidl.tensor([[0.0, 0.0, 1.0, 0.0]])  # the third key
sharp, soft, none = ((asked * s @ k.T).softmax(1) for s in (100.0, 1.0, 0.0))
assert (sharp @ v).item() == 30
assert (none @ v).item() == 25  # the mean
assert abs((soft @ v).item() - (10 + 20 + 30 * math.e + 40) / (3 + math.e)) < 1e-5

_, axes = plt.subplots(1, 3, figsize=(10, 1.9), layout="constrained")
for ax, (title, weights) in zip(
    axes, {"scores · 100": sharp, "scores · 1": soft, "scores · 0": none}.items(), strict=True
):
    heat(ax, weights.numpy(), f"{title}: answer {(weights @ v).item():.1f}", True, ylabel="")
    ax.set(yticks=[], xticks=range(4), xticklabels=["10", "20", "30", "40"], xlabel="values")
plt.show()

# %% [markdown]
# ## 3. Why the scores are divided by √d
#
# If the elements of q and k are independent with mean 0 and variance 1, then qᵀk is a sum of d
# products: its variance is **d**. Long vectors have large scores. Softmax of large scores is
# almost a hard choice: one weight near 1, all others near 0. We say that softmax is *saturated*.
# Divided by √d, scores have the variance 1 for every d.


# %%
def scores_of(d, samples=1000, keys=10):
    q, k = minidl.randn(samples, 1, d), minidl.randn(samples, keys, d)
    return (q @ k.transpose(1, 2)).squeeze(1)


sizes = [1, 4, 16, 64, 256, 1024]
plain = {d: scores_of(d) for d in sizes}
scaled = {d: scores / math.sqrt(d) for d, scores in plain.items()}
for d in sizes:
    assert abs(plain[d].var().item() / d - 1) < 0.15
    assert abs(scaled[d].var().item() - 1) < 0.15

# %% [markdown]
# Is this bad? Yes, for learning. The derivative of weight i by score j is αᵢ(δᵢⱼ − αⱼ), where δᵢⱼ
# is 1 for i = j and else 0. If one α is 1 and the others are 0, *all* these numbers are 0. Then
# no gradient reaches queries and keys. We measure three things for each d: the largest weight,
# the entropy of the weights in bits (log₂ 10 = 3.32 is "looks at all ten keys alike", 0 is "looks
# at one"), and the size of the gradient.


# %%
def measure(scores):
    """(mean largest weight, mean entropy in bits, mean norm of softmax's Jacobian)."""
    weights = scores.softmax(1)
    largest = weights.max(1).values.mean().item()
    bits = information.entropy(weights, dim=1).mean().item()
    jacobian = minidl.diag_embed(weights) - weights[:, :, None] * weights[:, None, :]
    return largest, bits, (jacobian**2).sum((1, 2)).sqrt().mean().item()


one = minidl.randn(5, requires_grad=True)  # the formula, against autograd
one.softmax(0)[2].backward()
alpha = one.detach().softmax(0)
assert one.grad.allclose(alpha[2] * (minidl.eye(5)[2] - alpha), atol=1e-6)

without, with_scale = (np.array([measure(s[d]) for d in sizes]) for s in (plain, scaled))
assert without[-1, 0] > 0.95 > 0.4 > with_scale[:, 0].max()  # the largest weight
assert without[-1, 1] < 0.15 and with_scale[:, 1].min() > 2.5  # bits
assert without[-1, 2] < with_scale[-1, 2] / 4  # the gradient

_, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for ax, title, a, b in zip(
    axes,
    ["largest of 10 weights", "entropy of the weights (bits)", "gradient through softmax"],
    without.T,
    with_scale.T,
    strict=True,
):
    ax.semilogx(sizes, a, "o-", color="C1", label="qᵀk")
    ax.semilogx(sizes, b, "o-", color="C0", label="qᵀk / √d")
    ax.set(title=title, xlabel="length d", ylim=(0, max(a.max(), b.max()) * 1.1))
axes[0].legend()
plt.show()

# %% [markdown]
# For d = 1 the two are equal, because the scale is 1. Without the scale, a network with d = 1024
# can hardly learn where to look.
#
# So this is **scaled dot-product attention**, for all queries at once:
#
#     softmax(Q Kᵀ / √d) V
#
# minidl has it as `F.scaled_dot_product_attention`, in one operation that does not store the
# weights.


# %%
def attention(q, k, v, mask=None):
    """(answers, weights). mask: True where a query may look."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


q, k, v = minidl.randn(2, 1, 8), minidl.randn(2, 10, 8), minidl.randn(2, 10, 4)
answers, weights = attention(q, k, v)
assert answers.shape == (2, 1, 4) and weights.shape == (2, 1, 10)
assert answers.allclose(F.scaled_dot_product_attention(q, k, v), atol=1e-6)

order = minidl.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
assert attention(q, k[:, order], v[:, order])[0].allclose(answers, atol=1e-6)

# %% [markdown]
# The last lines show a property: the *order* of the keys does not matter. Attention sees a set,
# not a sequence. If order matters, as in language, positions must be added to the keys.
#
# ## 4. Masks
#
# Sequences in a batch have different lengths and are filled up with padding. No query may look
# there. We set the scores of hidden keys to −∞. Then exp gives exactly 0, and the other weights
# have the sum 1. The book's function for this is `masked_softmax`.

# %%
lengths = minidl.tensor([2, 6])
keep = minidl.arange(10) < lengths[:, None, None]  # (2, 1, 10)
answers, weights = attention(q, k, v, keep)
assert (weights[0, 0, 2:] == 0).all() and (weights[1, 0, 6:] == 0).all()
assert weights.sum(-1).allclose(minidl.ones(2, 1))
assert weights.allclose(F.masked_softmax(q @ k.transpose(1, 2) / math.sqrt(8), lengths), atol=1e-6)
assert answers.allclose(F.scaled_dot_product_attention(q, k, v, attn_mask=keep), atol=1e-6)

changed = k.clone()
changed[0, 2:] = 1000.0  # what is hidden changes nothing
assert attention(q, changed, v, keep)[0].allclose(answers, atol=1e-6)

_, axes = plt.subplots(2, 1, figsize=(7.5, 2.6), layout="constrained")
for row, (ax, length) in enumerate(zip(axes, (2, 6), strict=True)):
    heat(ax, weights[row].numpy(), f"length {length}", True, ylabel="", xlabel="")
    ax.set(yticks=[], xticks=range(10))
plt.show()

# %% [markdown]
# The book's example: the same keys for all, so each weight is 1/2 or 1/6, and the answer is the
# mean of the first 2 or 6 values.

# %%
queries = minidl.normal(0, 1, (2, 1, 2))
keys = minidl.ones(2, 10, 2)
values = minidl.arange(40.0).reshape(1, 10, 4).repeat(2, 1, 1)
dot = nn.DotProductAttention(dropout=0.5).eval()
answers = dot(queries, keys, values, minidl.tensor([2, 6]))
assert answers.allclose(
    minidl.tensor([[[2.0, 3.0, 4.0, 5.0]], [[10.0, 11.0, 12.0, 13.0]]]), atol=1e-5
)
answers

# %% [markdown]
# ## 5. Look back only
#
# A language model predicts the next word, so it must not see it. Word i may look at words 0 to i.
# The mask is a lower triangle, and it is called *causal*. With equal scores row i has the weights
# 1/(i + 1): word 0 sees only itself.

# %%
n = 6
causal = minidl.ones(n, n).tril().bool()
equal = attention(minidl.zeros(n, 8), minidl.zeros(n, 8), minidl.eye(n), causal)[1]
assert all(equal[i, j] == (1 / (i + 1) if j <= i else 0) for i in range(n) for j in range(n))

x = minidl.randn(n, 8)
answers, weights = attention(x, x, x, causal)  # self-attention: one sequence asks itself
assert answers.allclose(F.scaled_dot_product_attention(x, x, x, is_causal=True), atol=1e-6)

later = x.clone()
later[4:] = 0.0  # the future changes, the past does not
assert attention(later, later, later, causal)[0][:4].allclose(answers[:4], atol=1e-6)

figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), layout="constrained")
heat(axes[0], causal.numpy().astype(float), "who may look where")
heat(axes[1], equal.numpy(), "equal scores", True)
image = heat(axes[2], weights.numpy(), "self-attention of random words", True)
figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
plt.show()

# %% [markdown]
# The diagonal is dark on the right: qᵀk of a word with itself is |x|², always large. In a real
# network, queries and keys come from two different linear layers, and a word can look at others.
#
# Which inputs can an answer depend on? The gradient says it. The gradient of answer 2 is 0 for
# all words after word 2.

# %%
x.requires_grad_()
answer, _ = attention(x, x, x, causal)
answer[2].sum().backward()
reach = x.grad.abs().sum(1)
assert (reach[:3] > 0).all() and (reach[3:] == 0).all()
reach

# %% [markdown]
# ## 6. Several heads
#
# One softmax looks mainly at one kind of thing. *Multi-head attention* cuts queries, keys and
# values into h parts, after a linear layer each. Each part (head) looks for itself, with vectors
# of length d/h. The h answers are put side by side, and go through a last linear layer. Here it
# is in a few lines, with the weights of minidl's layer, and it gives the same.

# %%
d, h = 12, 3
layer = nn.MultiheadAttention(d, h, batch_first=True)
x = minidl.randn(2, 5, d)


def heads(x, weight, bias):
    """(batch, n, d) → (batch, heads, n, d/h)."""
    return F.linear(x, weight, bias).reshape(2, 5, h, d // h).transpose(1, 2)


with minidl.no_grad():
    q, k, v = (
        heads(x, weight, bias)
        for weight, bias in zip(
            layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True
        )
    )
    answers, weights = attention(q, k, v)
    together = layer.out_proj(answers.transpose(1, 2).reshape(2, 5, d))
    expected, shown = layer(x, x, x, average_attn_weights=False)
assert weights.shape == (2, h, 5, 5)
assert together.allclose(expected, atol=1e-6) and weights.allclose(shown, atol=1e-6)
assert sum(p.numel() for p in layer.parameters()) == 4 * (d * d + d)  # for any number of heads

# %% [markdown]
# **Learned heads.** The task: eight numbers come in, and at place i we want x[i + 1] − x[i − 1]
# (in a circle). The weights of a head are never negative, so one head cannot subtract: it can
# find only one of the two numbers. Two heads can. The last layer, here one factor for each head,
# subtracts. We train queries and keys of the eight places, and these factors.


# %%
def learn(heads, steps=150, n=8):
    minidl.manual_seed(1)
    q, k = (minidl.randn(heads, n, n, requires_grad=True) for _ in range(2))
    mix = minidl.tensor([1.0, -1.0][:heads], requires_grad=True)
    optimizer = minidl.optim.Adam([q, k, mix], lr=0.1)
    for _ in range(steps):
        x = minidl.randn(64, n)
        target = minidl.roll(x, -1, 1) - minidl.roll(x, 1, 1)
        weights = (q @ k.transpose(1, 2) / math.sqrt(n)).softmax(-1)
        found = (mix[:, None, None] * weights).sum(0) @ x.T
        loss = F.mse_loss(found.T, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item(), weights.detach().numpy(), mix.tolist()


loss1, weights1, _ = learn(1)
loss2, weights2, mix = learn(2)
following, before = (np.roll(np.eye(8), k, 1) for k in (1, -1))
assert loss1 > 0.5 and loss2 < 0.01  # one head misses one of two numbers of variance 1
assert np.abs(weights2[0] - following).max() < 0.1 and np.abs(weights2[1] - before).max() < 0.1
assert np.allclose(mix, [1, -1], atol=0.1)

figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), layout="constrained")
heat(axes[0], weights1[0], f"one head: loss {loss1:.3f}", xlabel="looks at", ylabel="place")
heat(
    axes[1],
    weights2[0],
    f"two heads: loss {loss2:.3f}\nthe first, times {mix[0]:.2f}",
    xlabel="looks at",
    ylabel="",
)
image = heat(
    axes[2], weights2[1], f"\nthe second, times {mix[1]:.2f}", xlabel="looks at", ylabel=""
)
figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
plt.show()

# %% [markdown]
# ## Exercises
#
# 1. All keys are equal. What is the answer of attention?
# 2. All scores of a query are multiplied by 1000. What happens to the weights? And by 0?
# 3. n queries and n keys of length d. How many multiplications does Q Kᵀ need? What if n doubles?
# 4. A query may look at no key at all: its row of the mask is all False. What would softmax give?
#
# ### Answers
#
# 1. The mean of the values: equal scores, equal weights.
# 2. The largest gets all the weight; all become equal.
# 3. n²d; four times as many. This is why long texts are expensive.
# 4. exp(−∞) = 0 for each key, so 0/0: PyTorch gives NaN. minidl gives weights of 0, and so the
#    answer 0.

# %%
q, v = minidl.randn(3, 8), minidl.randn(5, 2)
assert attention(q, minidl.ones(5, 8), v)[0].allclose(v.mean(0).expand(3, 2), atol=1e-6)
s = minidl.tensor([0.1, 0.3, 0.2])
assert (s * 1000).softmax(0).allclose(minidl.tensor([0.0, 1.0, 0.0]))
assert (s * 0).softmax(0).allclose(minidl.full((3,), 1 / 3))
assert minidl.full((3,), -math.inf).softmax(0).tolist() == [0, 0, 0]

# %% [markdown]
# ## The walk back as a page
#
# Causal self-attention of four words. Click on `Softmax` and move the pointer over its output: an
# element depends on its row only. Go back step by step, and see how the gradient of hidden scores
# stays 0.

# %%
words = minidl.randn(4, 3, requires_grad=True)
lower = minidl.ones(4, 4).tril().bool()
page = viz.explain(
    lambda: attention(words, words, words, lower)[0].square().mean(), title="Causal attention"
)
assert "Softmax" in {node["name"] for node in page.data["nodes"]}
page
