"""Which examples a model is trained on, and which are held out."""

import math
import numbers
from typing import Any

import numpy as np

from ..random import source
from ..tensors.arguments import as_int, integer, number
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from ..utils.data import Dataset, Subset
from .stratified import stratified_folds, stratified_parts


class KFold:
    """k parts of the data, each held out once: `split(X)` yields k pairs (train, test) of indices.

    The parts are disjoint and cover all examples; where n is no multiple of k, the first n mod k parts have one example more
    (the book's k_fold_data leaves them out). Without shuffle the parts are runs of the data as they lie: shuffle what
    is sorted.

    random_state: an integer, with the parts that scikit-learn draws for it, the same at each call. generator: a
    minidl.Generator; by default the global one. Both only with shuffle=True.

    >>> import minidl
    >>> for train, test in KFold(n_splits=3).split(minidl.zeros(7, 2)):
    ...     print(train.tolist(), test.tolist())
    [3, 4, 5, 6] [0, 1, 2]
    [0, 1, 2, 5, 6] [3, 4]
    [0, 1, 2, 3, 4] [5, 6]
    """

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None, generator=None):
        name = type(self).__name__
        self.n_splits = at_least(name, "n_splits", n_splits, 2)
        _check_chance(name, shuffle, random_state, generator)
        self.shuffle, self.random_state, self.generator = shuffle, random_state, generator

    def __repr__(self):
        return f"{type(self).__name__}(n_splits={self.n_splits}, shuffle={self.shuffle})"

    def split(self, X, y=None, groups=None):
        """Yields (train, test), rising indices. X: anything with a length; y must be as long if it is given."""
        name = f"{type(self).__name__}.split"
        if groups is not None:
            raise NotImplementedError(f"{name}: groups is not supported; leave it out")
        n = length_of(name, X if y is None else (X, y))
        if n < self.n_splits:
            raise ValueError(f"{name}: {self.n_splits} parts want as many examples or more, got {n}")
        return _pairs(self._folds(name, n, y))

    def _folds(self, name, n, y):
        """For each example the fold that holds it out."""
        folds = np.empty(n, np.int64)
        order = _permutations(self.random_state, self.generator)(n) if self.shuffle else np.arange(n)
        for i, part in enumerate(np.array_split(order, self.n_splits)):
            folds[part] = i
        return folds

    def get_n_splits(self, X=None, y=None, groups=None):
        """The number of parts; what it is given is not looked at, as in scikit-learn."""
        return self.n_splits


def _pairs(folds):
    for i in range(folds.max() + 1):
        yield wrap(np.flatnonzero(folds != i)), wrap(np.flatnonzero(folds == i))


class StratifiedKFold(KFold):
    """k parts with the same shares of each class: `split(X, y)`; otherwise as KFold, and scikit-learn's parts.

    y: the class of each example, integers, booleans or strings. A class of fewer examples than parts is warned of: some parts
    have none of it.

    >>> for train, test in StratifiedKFold(2).split(range(6), [0, 0, 0, 0, 1, 1]):
    ...     print(train.tolist(), test.tolist())
    [2, 3, 5] [0, 1, 4]
    [0, 1, 4] [2, 3, 5]
    """

    def split(self, X, y=None, groups=None):
        """Yields (train, test), rising indices. X: anything with a length; y: the classes."""
        if y is None:
            raise TypeError("StratifiedKFold.split: expected the classes as y, got none; write split(X, y)")
        return super().split(X, y, groups)

    def _folds(self, name, n, y):
        return stratified_folds(
            name, y, self.n_splits, _permutations(self.random_state, self.generator) if self.shuffle else None
        )


def train_test_split(
    *arrays, test_size=None, train_size=None, random_state=None, shuffle=True, stratify=None, generator=None
) -> Any:
    """Each array in two, a training and a test part: [X_train, X_test, y_train, y_test, …], the same examples of each.

    arrays: tensors, ndarrays, lists or data sets (which give Subsets), equally long. test_size, train_size: a fraction, or a
    number of examples; one follows from the other, and without both a quarter is held out. random_state, generator: as for
    KFold. shuffle=False: the last ones are held out. stratify: the class of each example; both parts have the same shares.

    >>> import minidl
    >>> X, y = minidl.arange(10).reshape(5, 2), minidl.arange(5)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0)
    >>> y_train, y_test, bool((X_test[:, 0] == 2 * y_test).all())
    (tensor([1, 3, 4]), tensor([2, 0]), True)
    """
    n = length_of("train_test_split", arrays if stratify is None else (*arrays, stratify))
    train, test = _sizes(n, train_size, test_size)
    if shuffle is False and (random_state is not None or generator is not None):
        raise ValueError("train_test_split: random_state and generator are for shuffle=True")
    _check_chance("train_test_split", shuffle, random_state, generator)
    if stratify is not None:
        if not shuffle:
            raise ValueError("train_test_split: stratify is for shuffle=True")
        draw = _permutations(random_state, generator)
        train_indices, test_indices = stratified_parts("train_test_split", stratify, train, test, draw)
    elif shuffle:  # as scikit-learn has it: a permutation, whose beginning is the test part
        order = _permutations(random_state, generator)(n)
        test_indices, train_indices = order[:test], order[test : test + train]
    else:
        train_indices, test_indices = np.arange(train), np.arange(train, train + test)
    return [rows_of(x, indices) for x in arrays for indices in (train_indices, test_indices)]


def _sizes(n, train_size, test_size):
    train, test = (_size(n, *given) for given in (("train_size", train_size, math.floor), ("test_size", test_size, math.ceil)))
    if test is None:
        test = math.ceil(0.25 * n) if train is None else n - train
    train = n - test if train is None else train
    if train < 1 or test < 1 or train + test > n:
        raise ValueError(
            f"train_test_split: of {n} examples, train_size={train_size} and test_size={test_size} make {train} and {test}; "
            "expected 1 or more each, and not more than there are"
        )
    return train, test


def _size(n, what, size, rounded):
    if size is None:
        return None
    if isinstance(as_int(size), int) and not isinstance(size, bool):
        return as_int(size)
    fraction = number("train_test_split", what, size)
    if isinstance(size, bool) or not 0 < fraction < 1:
        raise ValueError(f"train_test_split: {what} must be a fraction between 0 and 1 or a number of examples, got {size!r}")
    return rounded(fraction * n)


def at_least(name, what, n, least):
    n = integer(name, n, what)
    if n < least:
        raise ValueError(f"{name}: {what} must be {least} or more, got {n}")
    return n


def _check_chance(name, shuffle, random_state, generator):
    if not isinstance(shuffle, bool):
        raise TypeError(f"{name}: shuffle must be True or False, got {shuffle!r}")
    if not shuffle and (random_state is not None or generator is not None):
        raise ValueError(f"{name}: random_state and generator are for shuffle=True")
    if random_state is not None:
        if generator is not None:
            raise ValueError(f"{name}: give random_state or generator, not both")
        if not 0 <= integer(name, random_state, "random_state") < 2**32:
            raise ValueError(f"{name}: random_state must be an integer from 0 to 2**32 - 1, got {random_state}")
    source(generator)


def _permutations(random_state, generator):
    """A function of n that gives the numbers below n in a random order; with a random_state in scikit-learn's."""
    return source(generator).randperm if random_state is None else np.random.RandomState(as_int(random_state)).permutation


def length_of(name, data):
    """The one length of all of the data."""
    data = data if isinstance(data, tuple) else (data,)
    if not data:
        raise TypeError(f"{name}: expected data, a tensor, an array, a list or a data set, got none")
    lengths = []
    for x in data:
        if isinstance(x, (numbers.Number, str, bytes, type)) or not hasattr(x, "__len__") or getattr(x, "ndim", 1) == 0:
            raise TypeError(f"{name}: expected tensors, arrays, lists or data sets, got {type(x).__name__}")
        lengths.append(len(x))
    if len(set(lengths)) > 1:
        raise ValueError(f"{name}: expected data of one length, got lengths {lengths}")
    return lengths[0]


def rows_of(x, indices):
    if isinstance(x, (Tensor, np.ndarray)):
        return x[indices]
    if isinstance(x, Dataset):
        return Subset(x, indices.tolist())
    return [x[i] for i in indices.tolist()]
