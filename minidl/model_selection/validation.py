"""The average over runs, each with other data held out."""

from typing import Any, NamedTuple

import numpy as np

from ..tensors.arguments import as_int, number
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .splits import KFold, at_least, length_of, rows_of


class CrossValidated(NamedTuple):
    """What cross_validate gives: the mean over the runs, and what each run returned."""

    mean: Tensor
    scores: Tensor


class LearningCurve(NamedTuple):
    """What learning_curve gives: numbers of training examples, the mean over the runs for each, and what each run returned."""

    train_sizes: Tensor
    mean: Tensor
    scores: Tensor


def cross_validate(run, *data, cv: Any = 5):
    """Calls run(train, validation) for each fold; returns (mean, scores) over the folds, float64.

    data: one data set or tensor, whose parts run gets; or several, X and y, and then it gets (X_train, y_train) and
    (X_validation, y_validation). run trains a new model each time and returns a number, or several, such as the training and
    the validation error: scores is then (k,) or (k, m), the mean () or (m,). cv: the number of folds, a KFold,
    or a StratifiedKFold, of the classes in the last of the data.

    >>> import minidl
    >>> y = minidl.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> guess_the_mean = lambda train, validation: ((validation - train.mean()) ** 2).mean()
    >>> result = cross_validate(guess_the_mean, y, cv=3)
    >>> result.mean, result.scores
    (tensor(6.2500, dtype=minidl.float64), tensor([9.2500, 0.2500, 9.2500], dtype=minidl.float64))
    """
    folds = _folds("cross_validate", run, data, cv)
    scores = _scores("cross_validate", [run(_parts(data, train), _parts(data, test)) for train, test in folds])
    return CrossValidated(wrap(np.asarray(scores.mean(0))), wrap(scores))


def learning_curve(run, *data, train_sizes: Any = (0.1, 0.325, 0.55, 0.775, 1.0), cv: Any = 5):
    """The error against the amount of data: cross_validate, with only the first so many of each fold's training examples.

    train_sizes: fractions of the smallest training part, or numbers of examples. Returns (train_sizes, mean, scores): numbers
    of examples, rising (s,); the mean (s,) or (s, m); and scores (s, k) or (s, k, m), float64. Shuffle what is sorted, with
    cv=KFold(5, shuffle=True), or small parts hold one kind of examples.

    >>> import minidl
    >>> y = minidl.arange(12) % 4.0
    >>> guess_the_mean = lambda train, validation: ((validation - train.mean()) ** 2).mean()
    >>> curve = learning_curve(guess_the_mean, y, train_sizes=[1, 4, 8], cv=3)
    >>> curve.train_sizes, curve.mean
    (tensor([1, 4, 8]), tensor([3.5000, 1.2500, 1.2500], dtype=minidl.float64))
    """
    folds = _folds("learning_curve", run, data, cv)
    sizes = _train_sizes(train_sizes, min(len(train) for train, _ in folds))
    runs = [run(_parts(data, train[:size]), _parts(data, test)) for size in sizes for train, test in folds]
    scores = _scores("learning_curve", runs)
    scores = scores.reshape(len(sizes), len(folds), *scores.shape[1:])
    return LearningCurve(wrap(np.asarray(sizes, np.int64)), wrap(scores.mean(1)), wrap(scores))


def _folds(name, run, data, cv):
    if not callable(run):
        raise TypeError(f"{name}: expected a function run(train, validation) that returns a score, got {type(run).__name__}")
    n = length_of(name, data)
    if not hasattr(cv, "get_n_splits"):
        cv = KFold(at_least(name, "cv", cv, 2))
    elif isinstance(cv, type):
        raise TypeError(f"{name}: cv must be an integer or a KFold, got the class; write cv=KFold(5)")
    return list(cv.split(range(n), data[-1] if len(data) > 1 else None))


def _train_sizes(train_sizes, most):
    sizes = train_sizes.tolist() if isinstance(train_sizes, (Tensor, np.ndarray)) else train_sizes
    if not isinstance(sizes, (list, tuple)) or not sizes:
        raise TypeError(f"learning_curve: train_sizes must be a list of fractions or of numbers, got {train_sizes!r}")
    found = set()
    for size in sizes:
        whole = isinstance(as_int(size), int) and not isinstance(size, bool)
        n = as_int(size) if whole else number("learning_curve", "train_sizes", size)
        if isinstance(size, bool) or not (1 <= n <= most if whole else 0 < n <= 1):
            raise ValueError(
                f"learning_curve: train_sizes are fractions above 0 and up to 1, or numbers from 1 to {most}, got {size!r}"
            )
        found.add(n if whole else max(1, int(n * most)))
    return sorted(found)


def _scores(name, runs):
    rows = [list(result) if isinstance(result, (tuple, list)) else result for result in runs]
    rows = [row.tolist() if isinstance(row, (Tensor, np.ndarray)) else row for row in rows]
    listed = [row if isinstance(row, list) else [row] for row in rows]
    if any(len(row) != len(listed[0]) or not row for row in listed) or any(isinstance(row, list) for row in rows) != all(
        isinstance(row, list) for row in rows
    ):
        raise ValueError(f"{name}: run must return as many numbers each time, got {rows[0]} and {rows[-1]}")
    values = np.array([[number(name, "what run returns", x) for x in row] for row in listed], np.float64)
    return values if isinstance(rows[0], list) else values[:, 0]


def _parts(data, indices):
    parts = tuple(rows_of(x, indices.array) for x in data)
    return parts if len(parts) > 1 else parts[0]
