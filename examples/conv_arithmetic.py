"""What a convolution computes, and how large its answer is: the arithmetic of kernels, channels, padding, stride and pooling.

1. A convolution is a fully connected layer: 36 pixels to 16 outputs, a matrix of 576 weights, of which the kernel's 9 are all
   that is free. The same 9 stand in each row (translation invariance), all others are 0 (locality). Target: matrix times pixels
   is the convolution, to 1e-5.
2. Rows of the answer: floor((n - k + p + s)/s), with p rows of padding in all and the stride s. Target: right for the book's
   cases and 200 random ones; with p = k - 1 and s = 1 the size stays.
3. A convolution is a cross-correlation with the kernel turned upside down and left to right. Target: to 1e-5; and the book's
   numbers: [[19, 25], [37, 43]] from one channel, [[56, 72], [104, 120]] from two, and three such answers from three kernels.
4. A 1 x 1 convolution is a dense layer at each pixel. Target: to 1e-5.
5. Pooling has nothing to learn and leaves channels alone. Target: the book's numbers for the maximum and the mean.

The picture shows the matrix, the sizes, and what kernels and pooling make of a handwritten digit. It takes a few seconds.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import minidl
import minidl.nn as nn
import minidl.nn.functional as F
from minidl import viz
from minidl.utils.data import digits

EXACT = 1e-5
BOOK = {(8, 3, 2, 2): 4, (8, 3, 0, 3): 2, (8, 5, 2, 4): 2, (224, 11, 2, 4): 54, (28, 5, 4, 1): 28}  # (n, k, p, s): rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="random sizes to try (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the kernels and the random sizes")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="20 random sizes; the targets stay")
    options = parser.parse_args()
    if options.cases < 1 or options.out.is_file():
        parser.error("expected 1 case or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    kernel = minidl.randn(1, 1, 3, 3)
    matrix = as_matrix(kernel, 6)
    told = {"matrix and convolution": as_matrix_differs(matrix, kernel), "flipped kernels": flipped(), "1 x 1 kernels": dense()}
    for name, apart in told.items():
        print(f"{name}: differ by {apart:.1e}")
    print(f"the matrix has {matrix.numel()} weights, {(matrix != 0).sum().item()} of them not 0, 9 of them free")
    missed = [name for name, apart in told.items() if not apart < EXACT]
    missed += sizes(20 if options.quick else options.cases)
    missed += book()
    picture(matrix.numpy(), options.out / "conv_arithmetic.png")
    print("all sizes and all numbers of the book come out" if not missed else f"not as stated: {missed}")
    viz.report(picture=options.out / "conv_arithmetic.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'conv_arithmetic.png'}")
    if missed:
        sys.exit(f"not as stated: {', '.join(missed)}")


def as_matrix(kernel, n):
    """The matrix of a convolution of n x n pixels: column i is what becomes of an image of one white pixel, i."""
    units = minidl.eye(n * n).reshape(n * n, 1, n, n)
    return F.conv2d(units, kernel).reshape(n * n, -1).T


def as_matrix_differs(matrix, kernel):
    x = minidl.randn(1, 1, 6, 6)
    return (matrix @ x.flatten() - F.conv2d(x, kernel).flatten()).abs().max().item()


def flipped():
    x, kernel = minidl.randn(1, 1, 9, 9), minidl.randn(1, 1, 3, 3)
    return (F.convolve2d(x, kernel) - F.conv2d(x, kernel.flip(2, 3))).abs().max().item()


def dense():
    """How far a 1 x 1 convolution is from the same dense layer at each pixel."""
    conv, x = nn.Conv2d(5, 7, 1), minidl.randn(2, 5, 4, 6)
    pixels = x.permute(0, 2, 3, 1) @ conv.weight.reshape(7, 5).T + conv.bias
    return (conv(x) - pixels.permute(0, 3, 1, 2)).abs().max().item()


def rows_after(n, k, p, s):
    return (n - k + p + s) // s


def sizes(cases):
    """Prints the book's sizes, tries others, and returns what is wrong."""
    wrong = []
    for (n, k, p, s), stated in BOOK.items():
        rows = F.conv2d(minidl.zeros(1, 1, n, n), minidl.zeros(1, 1, k, k), stride=s, padding=p // 2).shape[2]
        print(f"n = {n:>3}, kernel {k:>2}, padding {p} in all, stride {s}: {rows} rows")
        wrong += [] if rows == stated == rows_after(n, k, p, s) else [f"rows of {n, k, p, s}"]
    for _ in range(cases):
        k, s, half = (int(minidl.randint(*span, ())) for span in ((1, 8), (1, 5), (0, 4)))
        n = k + int(minidl.randint(0, 20, ()))
        rows = F.conv2d(minidl.zeros(1, 1, n, n), minidl.zeros(1, 1, k, k), stride=s, padding=half).shape[2]
        kept = k % 2 == 0 or F.conv2d(minidl.zeros(1, 1, n, n), minidl.zeros(1, 1, k, k), padding=k // 2).shape[2] == n
        wrong += [] if rows == rows_after(n, k, 2 * half, s) and kept else [f"rows of {n, k, 2 * half, s}"]
    return wrong


def book():
    """The book's small examples; returns which of them do not come out."""
    x, kernel = minidl.arange(9.0).reshape(3, 3), minidl.arange(4.0).reshape(2, 2)
    two, kernels = minidl.stack([x, x + 1]), minidl.stack([kernel, kernel + 1])
    three = minidl.stack([kernels, kernels + 1, kernels + 2])
    square = minidl.arange(16.0).reshape(1, 1, 4, 4)
    found = {
        "one channel": (F.conv2d(x[None], kernel[None, None])[0], [[19, 25], [37, 43]]),
        "two channels": (F.conv2d(two, kernels[None])[0], [[56, 72], [104, 120]]),
        "three kernels": (F.conv2d(two, three), [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]]),
        "maximum": (F.max_pool2d(x[None], 2, stride=1)[0], [[4, 5], [7, 8]]),
        "mean": (F.avg_pool2d(x[None], 2, stride=1)[0], [[2, 3], [5, 6]]),
        "maximum with padding and stride": (F.max_pool2d(square, 3, stride=2, padding=1)[0, 0], [[5, 7], [13, 15]]),
    }
    return [name for name, (value, stated) in found.items() if value.tolist() != stated]


def picture(matrix, path):
    figure = plt.figure(figsize=(14, 7.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.6, 1]).flat
    left, right = top.subplots(1, 2, width_ratios=[1.5, 1])
    bound = np.abs(matrix).max()
    left.imshow(np.where(matrix == 0, np.nan, matrix), cmap="RdBu_r", vmin=-bound, vmax=bound)
    left.set(xlabel="36 pixels of a 6 × 6 image", ylabel="16 outputs of 4 × 4", xticks=range(0, 36, 6), yticks=range(0, 16, 4))
    left.set_title("A convolution is a dense layer with 9 free weights of 576 (white: 0)")
    n = np.arange(5, 33)
    for (k, p, s), style in zip([(5, 4, 1), (5, 0, 1), (5, 0, 2), (5, 0, 3)], ("-", "--", "-.", ":"), strict=True):
        right.plot(n, rows_after(n, k, p, s), style, color="C0", drawstyle="steps-mid", label=f"padding {p}, stride {s}")
    right.set(xlabel="rows of the image, n", ylabel="rows of the answer", title="Kernel 5 × 5: ⌊(n − k + p + s)/s⌋")
    right.legend()

    image = digits(size=8)[:][0][3:4]
    edges = minidl.tensor([[[[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]]])
    shown = {
        "a digit, 8 × 8": image,
        "cross-correlation,\nedges, 6 × 6": F.conv2d(image, edges),
        "convolution: kernel\nturned round, 6 × 6": F.convolve2d(image, edges),
        "padding 2 in all:\n8 × 8": F.conv2d(image, edges, padding=1),
        "stride 2: 3 × 3": F.conv2d(image, edges, stride=2),
        "maximum of\n2 × 2: 4 × 4": F.max_pool2d(image, 2),
        "mean of\n2 × 2: 4 × 4": F.avg_pool2d(image, 2),
    }
    for ax, (title, y) in zip(bottom.subplots(1, len(shown)), shown.items(), strict=True):
        pixels = y[0, 0].numpy()
        signed = pixels.min() < 0
        limit = np.abs(pixels).max()
        ax.imshow(pixels, cmap="RdBu_r" if signed else "Greys", vmin=-limit if signed else 0, vmax=limit)
        ax.set_title(title, fontsize=11)
        ax.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
