"""Splits that keep the shares of the classes: each part has as many of each class as the whole, up to rounding."""

import warnings

import numpy as np

from ..tensors.tensor import Tensor


def codes_of(name, labels):
    """(classes, codes): the sorted labels, and for each example the place of its own. Rows of a matrix are labels, too."""
    if isinstance(labels, Tensor):
        labels = labels.detach().array
    elif not isinstance(labels, (np.ndarray, list, tuple)):
        raise TypeError(f"{name}: expected labels, a tensor, an array or a list, got {type(labels).__name__}")
    try:
        array = np.asarray(labels)
    except (ValueError, OverflowError):
        array = np.empty(0, object)
    if array.dtype.kind not in "biufU" or array.ndim not in (1, 2) or (array.dtype.kind == "f" and np.isnan(array).any()):
        raise TypeError(f"{name}: expected one label for each example, numbers (not NaN) or strings, got {labels!r:.80}")
    if array.ndim == 2:
        array = np.array([" ".join(row.astype(str)) for row in array])
    return np.unique(array, return_inverse=True)


def stratified_parts(name, labels, train, test, permutation):
    """Indices of two parts of `train` and `test` examples, in a random order, with scikit-learn's draws."""
    classes, codes = codes_of(name, labels)
    counts = np.bincount(codes)
    if len(counts) == 0 or counts.min() < 2:
        rare = classes[counts.argmin()] if len(counts) else None
        raise ValueError(f"{name}: stratify wants two examples of each class or more, there is one of {rare!r}")
    if min(train, test) < len(classes):
        raise ValueError(f"{name}: parts of {train} and {test} examples cannot have each of {len(classes)} classes")
    n_train = _shares(counts, train, permutation)
    n_test = _shares(counts - n_train, test, permutation)
    parts = [], []
    for code, (a, b) in enumerate(zip(n_train, n_test, strict=True)):
        members = np.flatnonzero(codes == code)
        members = members[permutation(len(members))]
        parts[0].append(members[:a])
        parts[1].append(members[a : a + b])
    return [part[permutation(len(part))] for part in map(np.concatenate, parts)]


def _shares(counts, n, permutation):
    """n divided as the counts are: rounded down, and then one more where the remainders are largest, ties by chance."""
    exact = counts / counts.sum() * n
    shares = np.floor(exact)
    remainders, missing = exact - shares, int(n - shares.sum())
    for remainder in sorted(set(remainders.tolist()), reverse=True):
        if missing > 0:
            (tied,) = np.nonzero(remainders == remainder)
            chosen = tied[permutation(len(tied))[:missing]]
            shares[chosen] += 1
            missing -= len(chosen)
    return shares.astype(int)


def stratified_folds(name, labels, n_splits, permutation):
    """For each example the fold that holds it out. permutation: None leaves them as they lie."""
    classes, codes = codes_of(name, labels)
    if classes.dtype.kind == "f" and (classes != np.floor(classes)).any():
        raise ValueError(f"{name}: expected classes as y, got fractions such as {classes[classes != np.floor(classes)][0]}")
    _, first = np.unique(codes, return_index=True)
    codes = np.argsort(np.argsort(first))[codes]  # classes by the order in which they come, as scikit-learn has them
    counts = np.bincount(codes)
    if n_splits > counts.max(initial=0):
        raise ValueError(f"{name}: {n_splits} parts want as many examples of a class, got {counts.tolist()}")
    if n_splits > counts.min():
        warnings.warn(f"{name}: a class has {counts.min()} examples, fewer than {n_splits} parts", UserWarning, stacklevel=5)
    in_order, folds = np.sort(codes), np.empty(len(codes), np.int64)
    dealt = np.stack([np.bincount(in_order[i::n_splits], minlength=len(counts)) for i in range(n_splits)])
    for code in range(len(counts)):
        of_class = np.arange(n_splits).repeat(dealt[:, code])
        folds[codes == code] = of_class if permutation is None else of_class[permutation(len(of_class))]
    return folds
