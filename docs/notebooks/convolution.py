# %% [markdown]
# # Convolution
#
# A convolution looks at an image through a small window, and asks the same question at each
# place: how well does what I see agree with my *kernel*? In this notebook we
#
# 1. write it with loops, and meet minidl's `Conv2d`;
# 2. find edges with a kernel that we choose;
# 3. let a network *learn* this kernel;
# 4. count: padding, stride, channels;
# 5. make images smaller by pooling;
# 6. see how the gradient goes back through a convolution.
#
# The numbers are those of chapter 7 of *Dive into Deep Learning*. The assertions are a part of
# the text: if the notebook runs, all its numbers are right.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
import minidl.nn.functional as F
from minidl import nn, viz
from minidl.autograd import gradcheck

minidl.manual_seed(0)
plt.rcParams["figure.dpi"] = 100


def show(ax, array, title, cmap="Blues", numbers=True, **options):
    """A small array as a picture with its numbers."""
    array = np.asarray(array)
    image = ax.imshow(array, cmap=cmap, **options)
    if numbers:
        for i, j in np.ndindex(array.shape):
            dark = sum(image.cmap(image.norm(array[i, j]))[:3]) < 1.5
            color = "white" if dark else "black"
            ax.text(j, i, f"{array[i, j]:g}", ha="center", va="center", color=color)
    ax.set(xticks=[], yticks=[], title=title)


# %% [markdown]
# ## 1. With loops
#
# The window begins at the top left. We multiply what is in it with the kernel, element by
# element, and add everything up. Then the window moves on by one pixel. An image of n rows and a
# kernel of k rows give n − k + 1 rows.
#
# Strictly, this is a *cross-correlation*. A mathematician's convolution turns the kernel by 180°
# first. For a kernel that is learned this makes no difference, so everybody says "convolution".


# %%
def corr2d(X, K):
    """2-D cross-correlation."""
    h, w = K.shape
    Y = minidl.zeros(X.shape[0] - h + 1, X.shape[1] - w + 1)
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


X = minidl.arange(9.0).reshape(3, 3)
K = minidl.arange(4.0).reshape(2, 2)
assert corr2d(X, K).tolist() == [[19, 25], [37, 43]]

_, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
show(axes[0], X.numpy(), "image")
show(axes[1], K.numpy(), "kernel")
show(axes[2], corr2d(X, K).numpy(), "0·0 + 1·1 + 3·2 + 4·3 = 19")
frame = {"fill": False, "edgecolor": "C1", "linewidth": 3, "clip_on": False}
axes[0].add_patch(plt.Rectangle((-0.5, -0.5), 2, 2, **frame))
axes[2].add_patch(plt.Rectangle((-0.5, -0.5), 1, 1, **frame))
plt.show()

# %% [markdown]
# `F.conv2d` computes the same, for many images with many channels at once: images have the shape
# (examples, channels, rows, columns), kernels (channels out, channels in, rows, columns).

# %%
assert F.conv2d(X[None, None], K[None, None])[0, 0].tolist() == [[19, 25], [37, 43]]

image = minidl.randn(6, 8)
kernel = minidl.randn(3, 3)
assert F.conv2d(image[None, None], kernel[None, None])[0, 0].allclose(
    corr2d(image, kernel), atol=1e-5
)


def convolve(X, K):
    """The mathematician's: the sum of X[i − a, j − b] K[a, b]."""
    h, w = K.shape
    rows, columns = X.shape[0] - h + 1, X.shape[1] - w + 1
    Y = np.zeros((rows, columns))
    for i, j in np.ndindex(rows, columns):
        for a, b in np.ndindex(h, w):
            Y[i, j] += X[i + h - 1 - a, j + w - 1 - b] * K[a, b]
    return Y


turned = convolve(image.numpy(), kernel.flip((0, 1)).numpy())
assert np.allclose(turned, corr2d(image, kernel).numpy(), atol=1e-5)

# %% [markdown]
# **A layer with few weights.** A convolution is a linear layer from all pixels to all outputs,
# with most weights 0 (each output sees only its window: *locality*) and the others shared (each
# window has the same kernel: *translation invariance*). So a shift of the image shifts the
# answer. Here is the matrix of a 6×6 image and a 3×3 kernel: 576 numbers, of which only 9 are
# free.

# %%
small = minidl.arange(1.0, 10.0).reshape(1, 1, 3, 3)
pixels = minidl.eye(36).reshape(36, 1, 6, 6)  # 36 images, each with one white pixel
matrix = F.conv2d(pixels, small).reshape(36, 16).T
assert matrix.shape == (16, 36) and matrix.numel() == 576
assert (matrix != 0).sum().item() == 16 * 9 and len(np.unique(matrix.numpy())) == 1 + 9

picture = minidl.randn(36)
before = F.conv2d(picture.reshape(1, 1, 6, 6), small)
assert (matrix @ picture).allclose(before.flatten(), atol=1e-4)

shifted = minidl.roll(picture.reshape(1, 1, 6, 6), 1, 3)
after = F.conv2d(shifted, small)
assert after[..., 1:].allclose(before[..., :-1], atol=1e-4)

_, ax = plt.subplots(figsize=(7, 3.4))
drawn = ax.imshow(matrix.numpy(), cmap="Blues")
ax.set(xlabel="36 pixels", ylabel="16 outputs", title="A convolution as a matrix: white is 0")
plt.colorbar(drawn, ax=ax, label="weight", shrink=0.8)
plt.show()

# %% [markdown]
# ## 2. Edges
#
# An image of 6×8 pixels, black in the middle. The kernel [1, −1] compares each pixel with its
# right neighbour. It gives 1 where white becomes black, −1 where black becomes white, and 0 where
# nothing changes. Horizontal edges it does not see.

# %%
X = minidl.ones(6, 8)
X[:, 2:6] = 0.0
K = minidl.tensor([[1.0, -1.0]])
Y = corr2d(X, K)
assert Y[0].tolist() == [0, 1, 0, 0, 0, -1, 0] and (Y[0] == Y).all()
assert (corr2d(X.T, K) == 0).all()

_, axes = plt.subplots(1, 3, figsize=(9.5, 2.8), layout="constrained")
show(axes[0], X.numpy(), "image: 1 is white", cmap="gray", vmin=-0.5, vmax=1)
show(axes[1], Y.numpy(), "its vertical edges", cmap="RdBu", vmin=-1.5, vmax=1.5)
show(axes[2], corr2d(X.T, K).numpy(), "image turned: nothing", cmap="RdBu", vmin=-1.5, vmax=1.5)
plt.show()

# %% [markdown]
# ## 3. The kernel is learned
#
# Now we do not choose the kernel. We give the image `X` and the edges `Y` to a `Conv2d` with
# random weights, and make the squared error smaller by ten steps of gradient descent.

# %%
conv2d = nn.LazyConv2d(1, kernel_size=(1, 2), bias=False)
X4, Y4 = X.reshape(1, 1, 6, 8), Y.reshape(1, 1, 6, 7)
lr = 3e-2
conv2d(X4)  # a lazy layer takes its shape from its first input
assert type(conv2d) is nn.Conv2d and conv2d.weight.shape == (1, 1, 1, 2)

losses, weights = [], [conv2d.weight.flatten().tolist()]
for _ in range(10):
    loss = ((conv2d(X4) - Y4) ** 2).sum()
    conv2d.zero_grad()
    loss.backward()
    with minidl.no_grad():
        conv2d.weight -= lr * conv2d.weight.grad
    losses.append(loss.item())
    weights.append(conv2d.weight.flatten().tolist())

learned = conv2d.weight.detach().reshape(1, 2)
assert (learned - K).abs().max().item() < 0.1
learned

# %%
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3), layout="constrained")
left.semilogy(range(10), losses, "o-", color="C0")
left.set(xlabel="step", title="sum of squared errors")
right.plot(np.array(weights)[:, 0], "o-", color="C0", label="left weight")
right.plot(np.array(weights)[:, 1], "s-", color="C0", alpha=0.5, label="right weight")
right.axhline(1, color="black", linestyle="--", label="[1, −1]")
right.axhline(-1, color="black", linestyle="--")
right.set(xlabel="step", title="the kernel")
right.legend()
plt.show()

# %% [markdown]
# Why do the weights go up and down on their way? The loss is a valley that is narrow in one
# direction: a step is a little too long there, and jumps to the other side.
#
# ## 4. Padding, stride, channels
#
# **Padding** puts zeros around the image, so that windows may begin outside. **Stride** is how
# far the window moves. With n rows, k rows of the kernel, p rows of padding in all and stride s
# the output has
#
#     ⌊(n − k + p + s) / s⌋  rows.
#
# Careful: the book's p counts *both* sides. `Conv2d(padding=1)` puts one row on *each* side, so p
# = 2.


# %%
def rows(n, k, p, s):
    return (n - k + p + s) // s


def rows_of_conv2d(n, k, p, s):
    return F.conv2d(
        minidl.zeros(1, 1, n, n), minidl.zeros(1, 1, k, k), padding=p // 2, stride=s
    ).shape[2]


book = {(8, 3, 2, 1): 8, (8, 3, 2, 2): 4, (8, 5, 2, 4): 2, (28, 5, 4, 1): 28, (224, 11, 2, 4): 54}
for case, expected in book.items():
    assert rows(*case) == rows_of_conv2d(*case) == expected

n, k, p, s = 5, 3, 2, 2
_, ax = plt.subplots(figsize=(4, 4))
grid = np.zeros((n + p, n + p))
grid[1:-1, 1:-1] = 0.35
ax.imshow(grid, cmap="Blues", vmin=0, vmax=1)
for i in range(n + p + 1):
    ax.axhline(i - 0.5, color="0.8", linewidth=0.7)
    ax.axvline(i - 0.5, color="0.8", linewidth=0.7)
for count, (i, j) in enumerate(np.ndindex(rows(n, k, p, s), rows(n, k, p, s)), 1):
    ax.text(j * s + 1, i * s + 1, count, ha="center", va="center", color="C1", fontsize=15)
for start, style in ((0, "-"), (s, "--")):
    window = plt.Rectangle((start - 0.5, -0.5), k, k, fill=False, edgecolor="C1", linestyle=style)
    window.set_linewidth(2.5)
    ax.add_patch(window)
ax.set(
    xticks=[],
    yticks=[],
    title="5×5 pixels, padding 1, kernel 3×3, stride 2:\n3×3 windows, by their centres",
)
plt.show()

# %% [markdown]
# **Several channels in** (such as red, green, blue): the kernel has a plane for each channel, and
# the results are added. **Several channels out**: a kernel for each of them.

# %%
X = minidl.stack([minidl.arange(9.0).reshape(3, 3), minidl.arange(1.0, 10.0).reshape(3, 3)])
K = minidl.stack([minidl.arange(4.0).reshape(2, 2), minidl.arange(1.0, 5.0).reshape(2, 2)])
one = sum(corr2d(x, k) for x, k in zip(X, K, strict=True))
assert one.tolist() == [[56, 72], [104, 120]]

three = F.conv2d(X[None], minidl.stack([K, K + 1, K + 2]))[0]
assert three.tolist() == [
    [[56, 72], [104, 120]],
    [[76, 100], [148, 172]],
    [[96, 128], [192, 224]],
]

layer = nn.Conv2d(3, 16, kernel_size=5)
assert layer.weight.shape == (16, 3, 5, 5) and layer.bias.shape == (16,)
assert sum(p.numel() for p in layer.parameters()) == 16 * 3 * 5 * 5 + 16 == 1216

# %% [markdown]
# **A 1×1 kernel** sees only one pixel, but all its channels. It is a linear layer, the same at
# each pixel.

# %%
X = minidl.randn(1, 3, 4, 4)
mix = nn.Conv2d(3, 2, kernel_size=1)
dense = F.linear(X.permute(0, 2, 3, 1), mix.weight.reshape(2, 3), mix.bias)  # channels last
assert mix(X).allclose(dense.permute(0, 3, 1, 2), atol=1e-6)

# %% [markdown]
# ## 5. Pooling
#
# Pooling takes the largest value (or the mean) of each window. It has no weights, and treats each
# channel alone. The image becomes smaller, and a pattern that moves by one pixel gives nearly the
# same answer.

# %%
X = minidl.arange(9.0).reshape(1, 1, 3, 3)
assert F.max_pool2d(X, 2, stride=1)[0, 0].tolist() == [[4, 5], [7, 8]]
assert F.avg_pool2d(X, 2, stride=1)[0, 0].tolist() == [[2, 3], [5, 6]]

X = minidl.arange(16.0).reshape(1, 1, 4, 4)
assert nn.MaxPool2d(3)(X).item() == 10  # the stride is the size of the window
assert nn.MaxPool2d(3, padding=1, stride=2)(X)[0, 0].tolist() == [[5, 7], [13, 15]]
assert nn.MaxPool2d((2, 3), stride=(2, 3), padding=(0, 1))(X)[0, 0].tolist() == [[5, 7], [13, 15]]

_, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
show(axes[0], X[0, 0].numpy(), "image", vmin=0, vmax=15)
show(axes[1], F.max_pool2d(X, 2)[0, 0].numpy(), "the largest of 2×2", vmin=0, vmax=15)
show(axes[2], F.avg_pool2d(X, 2)[0, 0].numpy(), "the mean of 2×2", vmin=0, vmax=15)
axes[0].axhline(1.5, color="C1", linewidth=3)
axes[0].axvline(1.5, color="C1", linewidth=3)
plt.show()

# %% [markdown]
# ## 6. The gradient
#
# A pixel is used by several windows, and its gradient is the sum over them. Let the loss be the
# sum of all outputs. Then each window sends back the kernel, and these copies are added where
# windows overlap. With a kernel of ones, we simply *count the windows* that see a pixel: 1 in a
# corner, 9 in the middle.

# %%
X = minidl.zeros(1, 1, 5, 5, requires_grad=True)
F.conv2d(X, minidl.ones(1, 1, 3, 3)).sum().backward()
counts = X.grad[0, 0]
assert counts[0].tolist() == [1, 2, 3, 2, 1] and counts[2].tolist() == [3, 6, 9, 6, 3]

X = minidl.zeros(1, 1, 5, 5, requires_grad=True)
F.conv2d(X, minidl.arange(1.0, 10.0).reshape(1, 1, 3, 3))[0, 0, 1, 2].backward()
one = X.grad[0, 0]
assert one[1:4, 2:5].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]] and one.sum().item() == 45

X = minidl.arange(16.0).reshape(1, 1, 4, 4).requires_grad_()
F.max_pool2d(X, 2).sum().backward()
largest = X.grad[0, 0]
assert largest.tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 1, 0, 1]]

_, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), layout="constrained")
show(axes[0], counts.numpy(), "sum of all windows:\nhow many see each pixel")
show(axes[1], one.numpy(), "one window alone:\nit sends the kernel back")
show(axes[2], largest.numpy(), "max-pooling:\nonly to the largest of each 2×2")
plt.show()

# %% [markdown]
# In general, with stride 1:
#
# - the gradient of the **image** is a convolution of `dy`, padded by k − 1, with the kernel
#   turned by 180°;
# - the gradient of the **kernel** is a cross-correlation of the image with `dy`.
#
# So the backward walk of a convolution is made of convolutions, too.

# %%
X = minidl.randn(1, 1, 6, 6, dtype=minidl.float64, requires_grad=True)
K = minidl.randn(1, 1, 3, 3, dtype=minidl.float64, requires_grad=True)
dy = minidl.randn(1, 1, 4, 4, dtype=minidl.float64)
F.conv2d(X, K).backward(dy)
with minidl.no_grad():
    assert X.grad.allclose(F.conv2d(dy, K.flip((2, 3)), padding=2), atol=1e-12)
    assert X.grad.allclose(F.conv_transpose2d(dy, K), atol=1e-12)  # its other name
    assert K.grad.allclose(F.conv2d(X, dy), atol=1e-12)
assert gradcheck(lambda x, k: F.conv2d(x, k, padding=1, stride=2), (X, K))

# %% [markdown]
# ## Exercises
#
# 1. An image of 28×28 goes through `Conv2d(1, 6, 5, padding=2)`, `AvgPool2d(2)`, `Conv2d(6, 16,
#    5)`, `AvgPool2d(2)`: the front of LeNet. Which shapes come out?
# 2. Which kernel finds *horizontal* edges? Which one makes an image blurred?
# 3. Two convolutions with 3×3 kernels, one after the other. How large is the part of the image
#    that one output sees?
# 4. How many weights does a linear layer have that does what `Conv2d(1, 6, 5, padding=2)` does
#    for a 28×28 image?
#
# ### Answers
#
# 1. 6×28×28, 6×14×14, 16×10×10, 16×5×5.
# 2. [1, −1] as a column; a kernel whose 9 elements are all 1/9.
# 3. 5×5: we see it in the gradient of one output.
# 4. 784 pixels times 6·784 outputs: 3,687,936, instead of 6·25 = 150.

# %%
shapes, x = [], minidl.zeros(1, 1, 28, 28)
for layer in (nn.Conv2d(1, 6, 5, padding=2), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.AvgPool2d(2)):
    x = layer(x)
    shapes.append(tuple(x.shape[1:]))
assert shapes == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5)]

stripes = minidl.ones(6, 8)
stripes[3:] = 0.0
assert corr2d(stripes, minidl.tensor([[1.0], [-1.0]]))[:, 0].tolist() == [0, 0, 1, 0, 0]

x = minidl.zeros(1, 1, 9, 9, requires_grad=True)
ones = minidl.ones(1, 1, 3, 3)
F.conv2d(F.conv2d(x, ones), ones)[0, 0, 2, 2].backward()
assert (x.grad != 0).sum().item() == 5 * 5
assert 784 * 6 * 784 == 3687936

# %% [markdown]
# ## The walk back as a page
#
# The last step of the edge detector. Click on `Conv2d` and move the pointer over its output: the
# page marks the window of the image that this output sees.

# %%
page = viz.explain(lambda: ((conv2d(X4) - Y4) ** 2).sum(), title="One step of the edge detector")
assert "Conv2d" in {node["name"] for node in page.data["nodes"]}
page
