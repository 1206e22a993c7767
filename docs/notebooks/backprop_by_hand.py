# %% [markdown]
# # Backpropagation by hand
#
# A network is trained with the gradient of its loss. The gradient says, for each weight: if this
# weight grows a little, how much does the loss grow? Backpropagation computes all these numbers
# in one walk, from the loss back to the weights.
#
# In this notebook we do this walk by hand, with small whole numbers, so that you can check each
# step with pencil and paper:
#
# 1. a chain of four operations on single numbers;
# 2. a number that is used twice: its gradients are added;
# 3. a long chain: why gradients vanish;
# 4. matrices;
# 5. a network with two layers, and weight decay;
# 6. a batch of examples with softmax and cross-entropy.
#
# Each result is compared with minidl, and with a *difference quotient*: we change one number a
# little and look at the loss. At the end, a page lets you step through the whole walk. Each cell
# contains assertions: if the notebook runs, all its numbers are right.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
import minidl.nn.functional as F
from minidl import nn, viz
from minidl.autograd import gradcheck

minidl.set_default_dtype(minidl.float64)  # 16 digits, so that difference quotients are exact enough
minidl.manual_seed(0)
plt.rcParams["figure.dpi"] = 100

# %% [markdown]
# ## 1. A chain
#
# One neuron without an activation: input `x`, weight `w`, bias `b`, target `t`. The loss is the
# square of the error:
#
#     z = w·x        s = z + b        e = s − t        L = e²
#
# **Forward**: we compute from left to right, and we keep each value.

# %%
w, x, b, t = 2.0, 3.0, 1.0, 5.0
z = w * x
s = z + b
e = s - t
L = e**2
assert (z, s, e, L) == (6, 7, 2, 4)

# %% [markdown]
# **Backward**: we walk from right to left. Write `dz` for ∂L/∂z, the derivative of the loss by
# `z`. We begin with `dL = 1`. Each operation receives the derivative by its output, and
# multiplies it by its own local derivative. This is the chain rule:
#
# | operation | local derivative | backward |
# |---|---|---|
# | `L = e²` | ∂L/∂e = 2e | `de = 2e · dL` |
# | `e = s − t` | 1 and −1 | `ds = de`, `dt = −de` |
# | `s = z + b` | 1 and 1 | `dz = ds`, `db = ds` |
# | `z = w·x` | x and w | `dw = x · dz`, `dx = w · dz` |
#
# The product needs `x` and `w`, the square needs `e`. This is why we kept the values of the
# forward walk.

# %%
dL = 1.0
de = 2 * e * dL
ds, dt = de, -de
dz, db = ds, ds
dw, dx = x * dz, w * dz
assert (de, ds, dt, dz, db, dw, dx) == (4, 4, -4, 4, 4, 12, 8)


# %%
def chain_picture(names, values, gradients, operations):
    """Boxes in a row: values above in blue, gradients below in orange."""
    _, ax = plt.subplots(figsize=(2.2 * len(names), 2.6))
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "0.4"}
    for k, name in enumerate(names):
        ax.text(k, 0, name, ha="center", va="center", fontsize=15, bbox=box)
        ax.text(k, 0.62, f"{values[k]:g}", ha="center", va="center", fontsize=14, color="C0")
        ax.text(k, -0.62, f"{gradients[k]:g}", ha="center", va="center", fontsize=14, color="C1")
        if k:
            arrow = {"arrowstyle": "->", "shrinkA": 16, "shrinkB": 16}
            ax.annotate("", (k, 0.62), (k - 1, 0.62), arrowprops=arrow | {"color": "C0"})
            ax.annotate("", (k - 1, -0.62), (k, -0.62), arrowprops=arrow | {"color": "C1"})
            ax.text(
                k - 0.5, 0, operations[k - 1], ha="center", va="center", fontsize=11, color="0.3"
            )
    ax.text(-0.45, 0.62, "value", ha="right", va="center", color="C0", fontsize=11)
    ax.text(-0.45, -0.62, "gradient", ha="right", va="center", color="C1", fontsize=11)
    ax.set(xlim=(-1, len(names) - 0.5), ylim=(-1, 1))
    ax.axis("off")


chain_picture(
    ["w", "z", "s", "e", "L"],
    [w, z, s, e, L],
    [dw, dz, ds, de, dL],
    ["· 3", "+ 1", "− 5", "square"],
)
plt.show()

# %% [markdown]
# Blue goes forward, orange goes back. `dw = 12` says: if `w` grows by 0.001, the loss grows by
# about 0.012.
#
# Now minidl. A tensor with `requires_grad=True` remembers what is computed from it. `backward()`
# does the walk, and leaves the result in `.grad`.
#
# The last lines need no calculus: they change `w` by a small `h` in both directions, and look at
# how much the loss changes. This is a *difference quotient*.

# %%
leaves = {
    name: minidl.tensor(value, requires_grad=True)
    for name, value in {"w": w, "x": x, "b": b, "t": t}.items()
}


def neuron(w, x, b, t):
    return (w * x + b - t) ** 2


loss = neuron(**leaves)
loss.backward()
assert loss.item() == 4
assert {name: leaf.grad.item() for name, leaf in leaves.items()} == {
    "w": 12,
    "x": 8,
    "b": 4,
    "t": -4,
}

h = 1e-6
quotient = (neuron(w + h, x, b, t) - neuron(w - h, x, b, t)) / (2 * h)
assert abs(quotient - 12) < 1e-8
quotient

# %% [markdown]
# How small should `h` be? We try many on a function that is not a polynomial, sin(x²) at x = 2.
# Its derivative is 2x·cos(x²).
#
# - If `h` is large, the function bends within the step. One step forward has an error in
#   proportion to `h`, two steps (forward and back) in proportion to `h²`.
# - If `h` is very small, the two values are almost equal, and their difference loses its digits.

# %%
true = 4 * np.cos(4.0)
steps = 10.0 ** np.arange(-13, 0.5, 0.25)
forward = np.abs((np.sin((2 + steps) ** 2) - np.sin(4.0)) / steps - true)
central = np.abs((np.sin((2 + steps) ** 2) - np.sin((2 - steps) ** 2)) / (2 * steps) - true)

_, ax = plt.subplots(figsize=(6.5, 3.6))
ax.loglog(steps, forward, "o-", color="C1", markersize=3, label="(f(x+h) − f(x)) / h")
ax.loglog(steps, central, "o-", color="C0", markersize=3, label="(f(x+h) − f(x−h)) / 2h")
ax.set(xlabel="step h", ylabel="error of the derivative", title="Not too large, not too small")
ax.legend()

best = steps[central.argmin()]
assert 1e-7 < best < 1e-4 and central.min() < 1e-9 < forward.min()

# %% [markdown]
# About 1e-6 to 1e-5 is best for the symmetric quotient in float64. So quotients are a good
# *check* of a gradient. They are a bad way to *compute* it: a network with a million weights
# would need two million forward walks. The walk back needs one.
#
# ## 2. A number that is used twice
#
# y = x·x + x at x = 3. The number `x` goes into the product (twice!) and into the sum. Each use
# gives a share of the gradient, and the shares are added: 3 + 3 + 1 = 7. By calculus: 2x + 1 = 7.
#
# `.grad` also adds over several calls of `backward()`. This is why training loops call
# `zero_grad()` before each step.

# %%
x = minidl.tensor(3.0, requires_grad=True)
y = x * x + x
y.backward()
shares = [3, 3, 1]
assert x.grad.item() == sum(shares) == 7

y = x * x + x
y.backward()
assert x.grad.item() == 14  # 7 + 7
x.grad.zero_()
(x * x + x).backward()
assert x.grad.item() == 7

# %% [markdown]
# ## 3. A long chain
#
# The gradient at the beginning of a chain is a *product* of all local derivatives. The sigmoid's
# derivative is σ(x)(1 − σ(x)), at most 1/4. After ten sigmoids the gradient is at most (1/4)¹⁰,
# about a millionth. We say: the gradient *vanishes*. The derivative of ReLU is 1 for each
# positive number, so the gradient arrives whole.

# %%
depth = 10


def gradients_along(function):
    values = [minidl.tensor(0.5, requires_grad=True)]
    for _ in range(depth):
        values.append(function(values[-1]))
    for value in values:
        value.retain_grad()
    values[-1].backward()
    return [value.grad.item() for value in values], [value.item() for value in values]


by_sigmoid, values = gradients_along(minidl.sigmoid)
by_relu, _ = gradients_along(minidl.relu)

product = 1.0
for value in values[1:]:
    product *= value * (1 - value)  # the local derivative of a sigmoid, from its output
assert abs(by_sigmoid[0] - product) < 1e-18 and 0 < by_sigmoid[0] < 0.25**depth
assert by_relu == [1.0] * (depth + 1)

_, ax = plt.subplots(figsize=(6.5, 3.4))
ax.semilogy(by_relu, "o-", color="C0", label="ten ReLUs")
ax.semilogy(by_sigmoid, "o-", color="C1", label="ten sigmoids")
ax.semilogy([0.25 ** (depth - k) for k in range(depth + 1)], "k--", linewidth=1, label="(1/4)ⁿ")
ax.set(
    xlabel="place in the chain: 0 is the input, 10 is the output",
    ylabel="gradient",
    title="The way back is from right to left",
)
ax.legend()
plt.show()

# %% [markdown]
# ## 4. A matrix
#
# y = W x, with W of 2 rows and 3 columns. Let `dy` be the derivative of the loss by `y`, one
# number for each element of `y`. Then
#
#     dW = dy xᵀ  (each dyᵢ times each xⱼ)        dx = Wᵀ dy
#
# There is a way to remember it: a gradient has the shape of what it belongs to. `dW` must be 2×3,
# and `dy` times `x` transposed is the only product that has this shape.

# %%
W = minidl.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]], requires_grad=True)
x = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
dy = minidl.tensor([10.0, 100.0])
y = W @ x
y.backward(dy)

assert y.tolist() == [5, -1]
assert W.grad.tolist() == np.outer([10, 100], [1, 2, 3]).tolist() == [[10, 20, 30], [100, 200, 300]]
assert x.grad.tolist() == [10, 120, -100]  # Wᵀ dy: 1·10 + 0·100, 2·10 + 1·100, 0·10 − 1·100

# %% [markdown]
# ## 5. A network with two layers
#
# Two inputs, three hidden units with ReLU, two outputs, and half the squared distance from the
# target `y`:
#
#     z = W1 x        h = relu(z)        o = W2 h        L = ½ |o − y|²
#
# **Forward** by hand:

# %%
x = np.array([1.0, 2.0])
W1 = np.array([[1.0, 0.0], [0.0, -1.0], [1.0, 1.0]])
W2 = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
y = np.array([2.0, 1.0])

z = W1 @ x
h = np.maximum(z, 0)
o = W2 @ h
L = ((o - y) ** 2).sum() / 2
assert z.tolist() == [1, -2, 3] and h.tolist() == [1, 0, 3] and o.tolist() == [1, 3] and L == 2.5

# %% [markdown]
# **Backward** by hand, from the last line to the first. ReLU lets a gradient pass where its input
# was positive, and stops it elsewhere. The second hidden unit had z = −2, so nothing passes
# there, and its weights get no gradient: the second row of `dW1` is 0.

# %%
do = o - y
dW2 = np.outer(do, h)
dh = W2.T @ do
dz = dh * (z > 0)
dW1 = np.outer(dz, x)
dx = W1.T @ dz
assert do.tolist() == [-1, 2]
assert dW2.tolist() == [[-1, 0, -3], [2, 0, 6]]
assert dh.tolist() == [-1, 1, 2] and dz.tolist() == [-1, 0, 2]
assert dW1.tolist() == [[-1, -2], [0, 0], [2, 4]]
assert dx.tolist() == [1, 2]

# %% [markdown]
# The same with minidl. `retain_grad()` keeps the gradients of values between, which are not kept
# otherwise.

# %%
leaves = {
    name: minidl.tensor(array, requires_grad=True)
    for name, array in {"x": x, "W1": W1, "W2": W2}.items()
}
target = minidl.tensor(y)


def network(x, W1, W2):
    z = W1 @ x
    h = z.relu()
    o = W2 @ h
    return z, h, o, ((o - target) ** 2).sum() / 2


kept = dict(zip("zhoL", network(**leaves), strict=True))
for name in "zho":
    kept[name].retain_grad()
kept["L"].backward()

by_hand = {"x": dx, "W1": dW1, "W2": dW2, "z": dz, "h": dh, "o": do}
by_minidl = {name: tensor.grad.numpy() for name, tensor in (leaves | kept).items() if name != "L"}
for name, gradient in by_hand.items():
    assert (by_minidl[name] == gradient).all(), name

# %% [markdown]
# And by difference quotients, for each of the 2 + 6 + 6 numbers. minidl has this check built in, as
# `gradcheck`.


# %%
def quotients(function, arrays, name, h=1e-6):
    """(f(v + h) − f(v − h)) / 2h for each number v of one of the arrays."""
    result = np.zeros_like(arrays[name])
    for i in np.ndindex(result.shape):
        above, below = arrays[name].copy(), arrays[name].copy()
        above[i] += h
        below[i] -= h
        up, down = (
            function(**tensors(arrays | {name: changed})).item() for changed in (above, below)
        )
        result[i] = (up - down) / (2 * h)
    return result


def tensors(arrays):
    return {name: minidl.tensor(array) for name, array in arrays.items()}


arrays = {"x": x, "W1": W1, "W2": W2}
checks = {name: quotients(lambda **tensors: network(**tensors)[3], arrays, name) for name in arrays}
assert all(np.abs(checks[name] - by_hand[name]).max() < 1e-8 for name in checks)
assert gradcheck(lambda *tensors: network(*tensors)[3], tuple(leaves.values()))

figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for ax, (title, shown) in zip(
    axes,
    {"by hand": dW1, "by minidl": by_minidl["W1"], "by quotients": checks["W1"]}.items(),
    strict=True,
):
    image = ax.imshow(shown, cmap="RdBu_r", vmin=-4, vmax=4)
    for i, j in np.ndindex(shown.shape):
        color = "white" if shown[i, j] > 3 else "black"
        ax.text(j, i, f"{shown[i, j]:.2g}", ha="center", va="center", color=color)
    ax.set(
        title=title,
        xticks=[0, 1],
        xticklabels=["from x₁", "from x₂"],
        yticks=[0, 1, 2],
        yticklabels=["z₁", "z₂", "z₃"],
    )
figure.colorbar(image, ax=axes, label="∂L/∂W1", shrink=0.9)
plt.show()

# %% [markdown]
# ### With weight decay
#
# Now the aim is J = L + λ/2 (|W1|² + |W2|²). The weights are used twice, in the network and in
# the penalty. So their gradients are sums of two shares: dW + λW. With λ = 0.5.
#
# A step against the gradient makes the aim smaller. The gradient promises how much: `η |gradient|²`
# for a small step η.

# %%
decay = 0.5
for leaf in leaves.values():
    leaf.grad = None
*_, L = network(**leaves)
J = L + decay / 2 * ((leaves["W1"] ** 2).sum() + (leaves["W2"] ** 2).sum())
J.backward()
assert J.item() == 2.5 + 0.25 * (4 + 4) == 4.5
assert (leaves["W1"].grad.numpy() == dW1 + decay * W1).all()
assert (leaves["W2"].grad.numpy() == dW2 + decay * W2).all()
assert leaves["W2"].grad.tolist() == [[-0.5, 0.5, -3], [2, 0.5, 6.5]]

with minidl.no_grad():
    slope = sum((leaves[name].grad ** 2).sum() for name in ("W1", "W2")).item()
    rate = 1e-3
    stepped = {name: leaves[name] - rate * leaves[name].grad for name in ("W1", "W2")}
    after = network(leaves["x"], **stepped)[3] + decay / 2 * sum(
        (v**2).sum() for v in stepped.values()
    )
fallen = J.item() - after.item()
assert 0.95 < fallen / (rate * slope) < 1.0
print(f"promised {rate * slope:.4f}, true {fallen:.4f}")

# %% [markdown]
# ## 6. A batch, softmax and cross-entropy
#
# A batch is a matrix X with one example in each row. For `O = X Wᵀ + b` (this is `nn.Linear`) the
# gradients are sums over the examples: `dW = dOᵀ X`, `db` = the sum of the rows of `dO`.
#
# The mean cross-entropy of softmax has the gradient that is easiest to remember: *probability
# minus truth*, divided by the number of examples:
#
#     dO = (softmax(O) − onehot(labels)) / n

# %%
layer = nn.Linear(2, 3)
X = minidl.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0], [-2.0, 0.5]])
labels = minidl.tensor([0, 2, 1, 1])
O = layer(X)
O.retain_grad()
loss = F.cross_entropy(O, labels)
loss.backward()

with minidl.no_grad():
    dO = (O.softmax(1) - F.one_hot(labels, 3)) / len(X)
    assert O.grad.allclose(dO, rtol=0, atol=1e-15)
    assert layer.weight.grad.allclose(dO.T @ X, rtol=0, atol=1e-15)
    assert layer.bias.grad.allclose(dO.sum(0), rtol=0, atol=1e-15)
    assert dO.sum(1).abs().max().item() < 1e-15  # what one class wins, the others lose

# %% [markdown]
# ## Exercises
#
# Answer with pencil and paper. The answers are below.
#
# 1. f = (a + b)·(b + 1) at a = 2, b = 1. What are ∂f/∂a and ∂f/∂b?
# 2. In section 5, let x = [2, 1]. Which rows of `dW1` are 0 now?
# 3. f = max(a, b)·c at a = 1, b = 4, c = 5. What are the three derivatives?
# 4. y = A B with matrices, and `dy` is given. What are `dA` and `dB`?
# 5. Why does a network whose weights are all 0 not learn, if it is like that of section 5?
#
# ### Answers
#
# 1. ∂f/∂a = b + 1 = 2. `b` is used twice: (b + 1) + (a + b) = 2 + 3 = 5.
# 2. z = [2, −1, 3], so it is again the second row: only its unit has a negative z.
# 3. Only the larger one gets the gradient: 0 for `a`, c = 5 for `b`, and max(a, b) = 4 for `c`.
# 4. `dA = dy Bᵀ` and `dB = Aᵀ dy`: the only products of the right shapes.
# 5. h = 0, so dW2 = do hᵀ = 0. W2 = 0, so dh = W2ᵀ do = 0, and dW1 = 0. No weight ever moves.

# %%
a, b, c = (minidl.tensor(v, requires_grad=True) for v in (2.0, 1.0, 5.0))
((a + b) * (b + 1)).backward()
assert (a.grad.item(), b.grad.item()) == (2, 5)

assert (W1 @ [2, 1]).tolist() == [2, -1, 3]

a, b = minidl.tensor(1.0, requires_grad=True), minidl.tensor(4.0, requires_grad=True)
(minidl.maximum(a, b) * c).backward()
assert (a.grad.item(), b.grad.item(), c.grad.item()) == (0, 5, 4)

A, B, dy = (
    minidl.randn(2, 3, requires_grad=True),
    minidl.randn(3, 4, requires_grad=True),
    minidl.randn(2, 4),
)
(A @ B).backward(dy)
with minidl.no_grad():
    assert A.grad.allclose(dy @ B.T) and B.grad.allclose(A.T @ dy)

silent = [minidl.zeros(*shape, requires_grad=True) for shape in ((3, 2), (2, 3))]
network(leaves["x"], *silent)[3].backward()
assert all((weight.grad == 0).all() for weight in silent)

# %% [markdown]
# ## The whole walk as a page
#
# `viz.explain` takes a function that computes a loss, and makes a page of it: here of the network
# of section 5. The page begins at the loss. Press ▶ (or the right arrow key), and the gradients
# come back, operation by operation. Press |◀ (or Home) to see the values go forward first. Click
# on a box to see its formula, its numbers, and how the shares of its gradient are added. The page
# compares each rule with the difference quotient, too: ✓ says that they agree.

# %%
x, W1, W2 = leaves["x"], leaves["W1"], leaves["W2"]
page = viz.explain(lambda: network(x, W1, W2)[3], title="Two layers by hand")
assert {"x", "W1", "W2", "MatMul", "ReLU"} <= {node["name"] for node in page.data["nodes"]}
page
