"""Handwritten digits: real data of a size that fits a lesson, without a download."""

import importlib.util
from pathlib import Path

import numpy as np

from ...random import Generator
from ...tensors.record import wrap
from .dataset import TensorDataset
from .transforms import resize


def digits(train=True, fraction=0.2, seed=0, size=None):
    """The 1,797 handwritten digits that come with scikit-learn (UCI's optical recognition test set, 43 writers).

    A TensorDataset of float32 values in [0, 1], shape (N, 64) for 8×8 pixels, and int64 labels 0 to 9. With a size the values
    are images (N, 1, size, size), as convolutions take them: size=8 the pixels as they are, size=28 enlarged to MNIST's size.

    `fraction` of each class, chosen by `seed`, is held out: train=False gives these samples, train=True the others. The same
    fraction and seed always give the same split, whatever the state of the random generator.

    >>> data = digits()
    >>> data.tensors[0].shape, len(digits(train=False))
    ((1438, 64), 359)
    >>> digits(size=28).tensors[0].shape
    (1438, 1, 28, 28)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"digits: fraction must lie between 0 and 1, got {fraction}")
    table = np.loadtxt(_file(), delimiter=",", dtype=np.float32)
    images, labels = table[:, :-1] / 16, table[:, -1].astype(np.int64)
    order = Generator().manual_seed(seed).randperm(len(labels))
    held_out = np.zeros(len(labels), bool)
    for label in range(10):
        rows = order[labels[order] == label]
        held_out[rows[: round(fraction * len(rows))]] = True
    chosen = held_out != train
    images = wrap(images[chosen])
    if size is not None:
        images = images.reshape(-1, 1, 8, 8)
        images = images if size == 8 else resize(images, size)
    return TensorDataset(images, wrap(labels[chosen]))


def _file():
    # The file is read where scikit-learn keeps it: importing scikit-learn takes twenty times as long as reading it.
    spec = importlib.util.find_spec("sklearn")
    if spec is None:
        raise ImportError("digits: the data comes with scikit-learn; install it with: pip install scikit-learn")
    path = Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if not path.exists():
        raise FileNotFoundError(f"digits: this version of scikit-learn does not keep its digits in {path}")
    return path
