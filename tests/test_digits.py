"""The digits' two parts against a plain loop over scikit-learn's rows, and images in another size against a plain formula."""

import numpy as np
import pytest

import minidl
from minidl.utils.data import digits, transforms


def held_out(target, fraction, seed):
    """Of each class the first rows, in an order that `seed` decides, are held out: as many as the fraction, rounded."""
    order = minidl.randperm(len(target), generator=minidl.Generator().manual_seed(seed)).tolist()
    chosen = set()
    for label in range(10):
        rows = [row for row in order if target[row] == label]
        chosen |= set(rows[: round(fraction * len(rows))])
    return chosen


@pytest.mark.parametrize(("fraction", "seed"), [(0.2, 0), (0.2, 3), (0.35, 0)])
def test_train_and_test_are_the_two_parts_of_all_digits(fraction, seed):
    data, target = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    out = held_out(target, fraction, seed)
    options = {} if (fraction, seed) == (0.2, 0) else {"fraction": fraction, "seed": seed}  # these are the defaults
    for train in (True, False):
        x, y = digits(train=train, **options).tensors
        rows = [row for row in range(len(target)) if (row in out) != train]  # in the order of the file
        np.testing.assert_array_equal(x.numpy(), np.float32(data[rows] / 16))
        np.testing.assert_array_equal(y.numpy(), target[rows])
    assert 1000 < len(digits()) == len(digits(train=True))  # the larger part is the one that is given by default


def weights(n, out, mode):
    """What each of `out` pixels takes from each of n: the nearest, or a triangle as wide as a pixel of the smaller image."""
    w, scale = np.zeros((out, n)), n / out
    for o in range(out):
        if mode == "nearest":
            w[o, int(o * scale)] = 1
            continue
        for i in range(n):
            w[o, i] = max(0.0, 1 - abs(i + 0.5 - (o + 0.5) * scale) / max(scale, 1))
        w[o] /= w[o].sum()
    return w


@pytest.mark.parametrize("size", [(5, 4), (28, 28), (10, 12), (2, 3), (1, 1), (7, 2), (3, 9)])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_images_in_another_size(size, mode):
    x = minidl.tensor(np.random.default_rng(0).uniform(size=(2, 3, 5, 4)))
    expected = np.einsum("ih,jw,nchw->ncij", weights(5, size[0], mode), weights(4, size[1], mode), x.numpy())
    np.testing.assert_allclose(transforms.resize(x, size, mode).numpy(), expected, rtol=1e-6, atol=1e-6)
