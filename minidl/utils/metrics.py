"""Numbers that say how good predictions are: functions of (predictions, targets), as `Trainer(metrics=…)` takes them.

Scikit-learn's take tensors, too: `lambda y_hat, y: sklearn.metrics.f1_score(y, y_hat.argmax(1), average="macro")`.
"""

import numpy as np

from ..tensors.arguments import expect_tensors
from ..tensors.record import wrap


def accuracy(y_hat, y):
    """The share of right predictions, a float.  y_hat (N, C, …) scores of C classes or (N, …) classes, y (N, …)

    >>> import minidl
    >>> accuracy(minidl.tensor([[0.1, 0.9], [0.8, 0.2]]), minidl.tensor([1, 1]))
    0.5
    """
    predicted, labels = _classes("accuracy", y_hat, y)
    if not labels.size:
        raise ValueError("accuracy: expected one prediction or more, got none")
    return float(np.mean(predicted == labels))


def confusion_matrix(y_hat, y, num_classes=None):
    """How often a sample of class i was taken for class j, as a tensor (C, C) of int64. Arguments as `accuracy` has them.

    num_classes: C, where not all classes are among y and y_hat, which are classes and not scores.

    >>> import minidl
    >>> confusion_matrix(minidl.tensor([0, 1, 1, 1]), minidl.tensor([0, 0, 1, 1]))
    tensor([[1, 1],
            [0, 2]])
    """
    predicted, labels = _classes("confusion_matrix", y_hat, y)
    scores = y_hat.shape[1] if y_hat.ndim > y.ndim else 0
    most = int(max(predicted.max(initial=-1), labels.max(initial=-1), scores - 1)) + 1
    count = most if num_classes is None else num_classes
    if type(count) is not int or count < most:
        raise ValueError(f"confusion_matrix: num_classes must be an integer of {most} or more, got {num_classes!r}")
    if min(predicted.min(initial=0), labels.min(initial=0)) < 0:
        raise ValueError("confusion_matrix: classes must be 0 or more")
    return wrap(np.bincount(labels.ravel() * count + predicted.ravel(), minlength=count * count).reshape(count, count))


def _classes(name, y_hat, y):
    expect_tensors(name, y_hat=y_hat, y=y)
    if y_hat.ndim == y.ndim + 1 and y_hat.shape[:1] + y_hat.shape[2:] == y.shape:
        predicted = y_hat.array.argmax(1)
    elif y_hat.shape == y.shape:
        predicted = y_hat.array
    else:
        raise ValueError(
            f"{name}: expected scores (N, C, …) or classes (N, …) for targets (N, …), got {y_hat.shape}, {y.shape}"
        )
    if y.array.dtype.kind not in "iub" or predicted.dtype.kind not in "iub":
        kinds = f"{predicted.dtype} and {y.dtype}"
        raise TypeError(f"{name}: expected classes as integers, got {kinds}; of a single score write (y_hat > 0).long()")
    return predicted.astype(np.int64), y.array.astype(np.int64)
