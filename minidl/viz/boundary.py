"""decision_boundary: which class a model gives to each place of the plane, at one moment or as a film of a training."""

import html
from pathlib import Path

import numpy as np

from .. import viz
from ..nn.module import Module
from ..tensors.record import remedy_for, wrap
from ..tensors.tensor import Tensor
from .snapshots import Borrowed, states_of

FRAMES = 60  # of more snapshots so many are taken, evenly
BATCH = 4096  # places at a time
MOMENTS = 8  # frames beside each other, at most


def decision_boundary(model, x, y, snapshots=None, *, points=100, margin=0.15, threshold=0.0, title=None):
    """The regions of the classes of a model with two inputs; of several snapshots a film of how they change.

    model: a Module, or another function of (n, 2) tensors; or a list of these, one for each frame. x: (n, 2), the points to
    draw. y: (n,), their classes 0, 1, …. The model gives (n, classes) scores, of which the largest wins, or one number, (n,)
    or (n, 1), that is above `threshold` for class 1 (0 for logits, 0.5 for probabilities). snapshots: viz.Snapshots, or a
    list of state_dicts, of the model; of more than 60, 60 are drawn. points: places along each axis. margin: how far the
    picture goes beyond the points, as a part of their width.

    Models are in eval mode meanwhile, without graphs; afterwards parameters, buffers, mode and random state are as before.
    `.save("film.html")` writes one file that needs nothing else, `.save("picture.png")` the last frame (moments=4: four).

    >>> import minidl
    >>> x, y = minidl.tensor([[-1.0, 0.0], [1.0, 0.0]]), minidl.tensor([0, 1])
    >>> boundary = decision_boundary(lambda x: x[:, 0], x, y, points=5)
    >>> boundary
    <Boundary of 2 classes, 100.0% right>
    >>> boundary.classes[0, 0].tolist()
    [0, 0, 0, 1, 1]
    """
    x, y = _points(x, y)
    _check(points, margin, threshold, title)
    models = list(model) if isinstance(model, (list, tuple)) else [model]
    for i, m in enumerate(models):
        if not callable(m):
            what = f"model[{i}]" if isinstance(model, (list, tuple)) else "model"
            raise TypeError(f"decision_boundary: {what} must be a Module or a function, got {type(m).__name__}{remedy_for(m)}")
    if not models:
        raise ValueError("decision_boundary: the list of models is empty")
    if snapshots is None:
        frames = [("" if len(models) == 1 else f"model {i + 1}", m, None) for i, m in enumerate(models)]
    elif len(models) > 1 or not isinstance(models[0], Module):
        raise TypeError(
            "decision_boundary: snapshots are those of one Module; give either it and snapshots, or a list of models"
        )
    else:
        frames = [(label, models[0], state) for label, state in states_of("decision_boundary", models[0], snapshots)]
    if len(frames) > FRAMES:
        frames = [frames[i] for i in np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
    low, high = x.min(0), x.max(0)
    width = np.where(high > low, high - low, 1.0) * margin
    axes = [np.linspace(a - w, b + w, points) for a, b, w in zip(low, high, width, strict=True)]
    places = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
    dtype = next((p.array.dtype for m in models if isinstance(m, Module) for p in m.parameters()), np.dtype(np.float32))
    found = []
    with Borrowed(*models) as lent:
        for _, m, state in frames:
            if state is not None:
                lent.load(state)
            found.append([_judge(m, inputs.astype(dtype), threshold) for inputs in (places, x)])
    count = max(2, int(y.max()) + 1, *(k for (_, _, k), _ in found))
    classes, confidence = (np.stack([grid[i].reshape(points, points) for grid, _ in found]) for i in range(2))
    accuracy = [float((at == y).mean()) for _, (at, _, _) in found]
    return Boundary(*axes, classes, confidence, accuracy, [label for label, _, _ in frames], x, y, count, title)


def _points(x, y):
    x, y = (np.asarray(a.array if isinstance(a, Tensor) else a) for a in (x, y))
    if x.ndim != 2 or x.shape[1] != 2 or not len(x) or x.dtype.kind not in "fiu":
        raise ValueError(f"decision_boundary: x must be (n, 2), points of a plane, got shape {x.shape} of {x.dtype}")
    if not np.isfinite(x).all():
        raise ValueError("decision_boundary: x holds NaN or infinity")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.shape != (len(x),):
        raise ValueError(f"decision_boundary: y must be ({len(x)},), one class for each point, got shape {y.shape}")
    if y.dtype.kind not in "fiub" or (y != y.astype(np.int64)).any() or y.min() < 0:
        raise ValueError("decision_boundary: y must hold classes 0, 1, …")
    return x.astype(np.float64), y.astype(np.int64)


def _check(points, margin, threshold, title):
    if isinstance(points, bool) or not isinstance(points, (int, np.integer)) or points < 2:
        raise ValueError(f"decision_boundary: points must be an integer of 2 or more, got {points!r}")
    for name, value, least in (("margin", margin, 0), ("threshold", threshold, -np.inf)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not least <= value < np.inf:
            raise ValueError(
                f"decision_boundary: {name} must be a number{' of 0 or more' if least == 0 else ''}, got {value!r}"
            )
    if title is not None and not isinstance(title, str):
        raise TypeError(f"decision_boundary: title must be a text, got {title!r}")


def _judge(model, inputs, threshold):
    """(class, probability of this class, number of classes) at each place."""
    outputs = [model(wrap(inputs[k : k + BATCH])) for k in range(0, len(inputs), BATCH)]
    for part, y in enumerate(outputs):
        n = len(inputs[part * BATCH : (part + 1) * BATCH])
        if not isinstance(y, Tensor):
            raise TypeError(f"decision_boundary: the model must return a tensor, got {type(y).__name__}{remedy_for(y)}")
        if y.ndim not in (1, 2) or y.shape[0] != n or (y.ndim == 2 and not y.shape[1]):
            raise ValueError(
                f"decision_boundary: of ({n}, 2) inputs the model must make ({n}, classes) or ({n},), got {y.shape}"
            )
    scores = np.concatenate([np.asarray(y.array, np.float64) for y in outputs])
    with np.errstate(over="ignore", invalid="ignore"):
        if scores.ndim == 1 or scores.shape[1] == 1:
            scores = scores.reshape(-1) - threshold
            return (scores > 0).astype(np.int64), 1 / (1 + np.exp(-np.abs(scores))), 2
        parts = np.exp(scores - scores.max(1, keepdims=True))
        return scores.argmax(1), parts.max(1) / parts.sum(1), scores.shape[1]


class Boundary:
    """The regions of classes. classes[k, i, j] is the class at (x[j], y[i]) in frame k, confidence its probability there.

    accuracy: the share of the points that is right, for each frame; labels: what the frames are called.

    >>> axis = np.arange(2.0)
    >>> Boundary(axis, axis, np.zeros((1, 2, 2), int), np.ones((1, 2, 2)), [0.5], [""], np.zeros((1, 2)), np.zeros(1), 2)
    <Boundary of 2 classes, 50.0% right>
    """

    def __init__(self, x, y, classes, confidence, accuracy, labels, points, truth, count, title=None):
        self.x, self.y, self.classes, self.confidence, self.accuracy = x, y, classes, confidence, accuracy
        self.labels, self.points, self.truth, self.count, self.title = labels, points, truth, count, title

    def __repr__(self):
        frames = f" in {len(self.labels)} frames" if len(self.labels) > 1 else ""
        right = " to ".join(f"{a:.1%}" for a in dict.fromkeys((self.accuracy[0], self.accuracy[-1])))
        return f"<Boundary of {self.count} classes{frames}, {right} right>"

    def figure(self, moments: int | list | tuple = 1):
        """Some frames as a matplotlib Figure: moments many, evenly, of one the last; or a list of the numbers of frames."""
        n = len(self.labels)
        if isinstance(moments, (list, tuple)) and 0 < len(moments) <= MOMENTS and all(type(k) is int for k in moments):
            if not all(-n <= k < n for k in moments):
                raise ValueError(f"Boundary: there are frames 0 to {n - 1}, got moments={moments!r}")
            return viz.films.moments(self, [k % n for k in moments])
        if isinstance(moments, bool) or not isinstance(moments, (int, np.integer)) or not 1 <= moments <= MOMENTS:
            raise ValueError(f"Boundary: moments must be an integer from 1 to {MOMENTS}, or so many numbers, got {moments!r}")
        which = [n - 1] if moments == 1 else np.unique(np.linspace(0, n - 1, moments).round().astype(int)).tolist()
        return viz.films.moments(self, which)

    def html(self):
        """The film as HTML, with buttons; of one frame the picture."""
        if len(self.labels) == 1:
            return f'<figure role="img" aria-label="{html.escape(repr(self)[1:-1])}">{viz.films.svg(self.figure())}</figure>'
        return viz.films.film(self)

    def save(self, path, moments: int | list | tuple = 1):
        """Writes the film (.html), or a picture of some frames in the format of the name's ending, and gives the path."""
        path = Path(path)
        if path.suffix != ".html":
            return viz.films.save(self.figure(moments), path)
        if moments != 1:
            raise ValueError("Boundary.save: a film has all frames; leave moments out, or save as .png")
        title = html.escape(self.title or "decision boundary")
        path.parent.mkdir(parents=True, exist_ok=True)
        head = f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        path.write_text(f"<!DOCTYPE html>\n{head}\n<body>{self.html()}</body></html>\n", encoding="utf-8")
        return path

    def _repr_html_(self):
        return self.html()
