"""loss_landscape: the loss over a plane of parameters, around a model or along the path of its training.

Li, Xu, Taylor, Studer and Goldstein (2018), Visualizing the Loss Landscape of Neural Nets, NeurIPS.
"""

import html
from pathlib import Path

import numpy as np

from .. import viz
from ..nn.conv import _ConvTranspose
from ..nn.module import Module
from ..random import fork_rng
from ..tensors.record import remedy_for
from ..tensors.tensor import Tensor
from .snapshots import Borrowed, states_of


def loss_landscape(model, loss_fn, snapshots=None, *, span=1.0, points=21, seed=0, train=False):
    """The loss at points × points places of a plane in the space of all parameters (Li et al., 2018).

    loss_fn: a function without arguments that computes the loss of `model`, a tensor of one element. Without snapshots the
    plane goes through the model, along two random directions, each filter of which is made as long as the model's filter
    (section 4): so pictures of networks of different scales can be compared. A filter is what makes one output: a row of a
    Linear's weight, a kernel of a convolution. Biases and the parameters of norms (fewer than two axes) stay as they are.
    Both axes go from -span to span. With snapshots, viz.Snapshots or at least three state_dicts, the plane goes through the
    last one, along the first two principal components of all parameters (section 7), with the path drawn; span then says
    how far the picture goes beyond the path, in fifths of its width.

    The model is in eval mode meanwhile (train=True: in training mode), without graphs, and at each point with the same random
    numbers; afterwards its parameters, buffers, mode and the random state are as before, also when loss_fn raises. It
    runs points² times.

    >>> import minidl
    >>> model = minidl.nn.Linear(2, 1, bias=False)
    >>> landscape = loss_landscape(model, lambda: (model.weight**2).sum(), points=5)
    >>> landscape.loss.shape, landscape.x
    ((5, 5), array([-1. , -0.5,  0. ,  0.5,  1. ]))
    >>> bool(np.isclose(landscape.loss[2, 2], (model.weight**2).sum().item()))
    True
    """
    _check(model, loss_fn, span, points, seed, train)
    if snapshots is None:
        first, second = (filter_normalised(model, np.random.default_rng([seed, k])) for k in range(2))
        state, path, share = {}, None, None
        limits = [(-span, span)] * 2
    else:
        state, (first, second), path, share = _principal(model, snapshots)
        limits = [
            (lo - 0.2 * span * (hi - lo), hi + 0.2 * span * (hi - lo)) for lo, hi in zip(path.min(0), path.max(0), strict=True)
        ]
    x, y = (np.linspace(lo, hi, points) for lo, hi in limits)
    loss = np.empty((points, points))
    with Borrowed(model, train=train) as lent:
        lent.load(state)
        centre = {name: p.array.copy() for name, p in model.named_parameters()}
        inner = [(b, b.array.copy()) for b in model.buffers()]  # training mode moves the averages of batch norm
        for i, b in enumerate(y):
            for j, a in enumerate(x):
                for name, p in model.named_parameters():
                    if name in first:
                        np.copyto(p.array, centre[name] + a * first[name] + b * second[name], casting="same_kind")
                for buffer, values in inner:
                    np.copyto(buffer.array, values)
                with fork_rng():
                    loss[i, j] = _number(loss_fn())
    return Landscape(x, y, loss, path, (first, second), share)


def _check(model, loss_fn, span, points, seed, train):
    if not isinstance(model, Module):
        raise TypeError(f"loss_landscape: model must be a Module, got {type(model).__name__}")
    if not callable(loss_fn) or isinstance(loss_fn, Module):
        what = "" if isinstance(loss_fn, Module) else remedy_for(loss_fn)
        raise TypeError(
            f"loss_landscape: loss_fn must be a function without arguments that computes the loss, got {type(loss_fn).__name__}"
            + (what or "; write lambda: loss_of(model(x), y)")
        )
    if isinstance(span, bool) or not isinstance(span, (int, float, np.number)) or not 0 < span < np.inf:
        raise ValueError(f"loss_landscape: span must be a number above 0, got {span!r}")
    if isinstance(points, bool) or not isinstance(points, (int, np.integer)) or points < 2:
        raise ValueError(f"loss_landscape: points must be an integer of 2 or more, got {points!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"loss_landscape: seed must be an integer of 0 or more, got {seed!r}")
    if not isinstance(train, bool):
        raise TypeError(f"loss_landscape: train must be True or False, got {train!r}")
    if not any(p.array.size for p in model.parameters()):
        raise ValueError("loss_landscape: the model has no parameters; a lazy one gets them when it is called once")


def _number(loss):
    if not isinstance(loss, Tensor):
        if isinstance(loss, (int, float, np.number)) and not isinstance(loss, bool):
            return float(loss)
        got = f"{type(loss).__name__}{remedy_for(loss)}"
        raise TypeError(f"loss_landscape: loss_fn must return a tensor of one element, got {got}")
    if loss.array.size != 1:
        raise ValueError(f"loss_landscape: a loss has one element, this has the shape {loss.shape}; write .mean() or .sum()")
    return float(loss.array.reshape(()))


def filter_normalised(model, rng):
    """{name: direction}: random, each filter with the norm of the model's. Nothing for what has fewer than two axes."""
    directions, transposed = {}, set()  # a transposed convolution has its filters along the second axis
    for path, m in model.named_modules():
        if isinstance(m, _ConvTranspose) and m.groups == 1:
            transposed.add(f"{path}.weight" if path else "weight")
    for name, p in model.named_parameters():
        if p.array.ndim < 2:
            continue
        d = rng.standard_normal(p.array.shape)
        axes = tuple(k for k in range(d.ndim) if k != (name in transposed))
        norm, wanted = (np.sqrt(np.square(a, dtype=np.float64).sum(axes, keepdims=True)) for a in (d, p.array))
        directions[name] = d * (wanted / np.where(norm > 0, norm, 1))
    return directions


def _principal(model, snapshots):
    """(the last state, two directions of length 1, the path's coordinates, the share of its variance in the plane)."""
    states = [state for _, state in states_of("loss_landscape", model, snapshots)]
    if len(states) < 3:
        raise ValueError(f"loss_landscape: a path through a plane needs at least 3 snapshots, got {len(states)}")
    names = [name for name, _ in model.named_parameters()]
    missing = [name for name in names if name not in states[0]]
    if missing:
        raise ValueError(f"loss_landscape: the snapshots do not have {missing[0]!r}")
    flat = np.stack([np.concatenate([state[name].ravel() for name in names], dtype=np.float64) for state in states])
    away = flat - flat[-1]
    if not np.isfinite(away).all():
        raise ValueError("loss_landscape: a snapshot holds NaN or infinity; leave out those after the training failed")
    _, sizes, components = np.linalg.svd(away - away.mean(0), full_matrices=False)
    if not sizes[1] > 1e-12 * sizes[0] or not sizes[0]:
        raise ValueError("loss_landscape: the snapshots lie on one line or in one point, which is no plane; take other steps")
    components = components[:2] * np.where(away[0] @ components[:2].T < 0, -1, 1)[:, None]  # the beginning on the positive side
    directions, at = ({}, {}), 0
    for name in names:
        shape = states[0][name].shape
        for direction, component in zip(directions, components, strict=True):
            direction[name] = component[at : at + int(np.prod(shape))].reshape(shape)
        at += int(np.prod(shape))
    return states[-1], directions, away @ components.T, float((sizes[:2] ** 2).sum() / (sizes**2).sum())


class Landscape:
    """A loss over a plane. loss[i, j] is that of parameters + x[j]·directions[0] + y[i]·directions[1].

    path: the coordinates of the snapshots, (n, 2), or None. variance: the share of the path's variance that lies in the plane.

    >>> grid = np.linspace(-1, 1, 3)
    >>> Landscape(grid, grid, np.add.outer(grid**2, grid**2), None, ({}, {}), None)
    <Landscape of 3 × 3 losses from 0 to 2>
    """

    def __init__(self, x, y, loss, path, directions, variance):
        self.x, self.y, self.loss, self.path, self.directions, self.variance = x, y, loss, path, directions, variance

    def __repr__(self):
        finite = self.loss[np.isfinite(self.loss)]
        told = f"from {finite.min():.4g} to {finite.max():.4g}" if finite.size else "of which none is finite"
        bad = self.loss.size - finite.size
        more = f", {bad} not finite" if bad and finite.size else ""
        return f"<Landscape of {len(self.x)} × {len(self.y)} losses {told}{more}>"

    def figure(self, title=None):
        """The picture, as a matplotlib Figure: lines of equal loss, the model's place, the path."""
        return viz.films.landscape(self, title)

    def draw(self, axes, title=None, levels=None):
        """Draws it into axes of your own, of matplotlib; levels: the losses at which there are lines, rising."""
        viz.films.landscape(self, title, axes, levels)

    def save(self, path, title=None):
        """Writes the picture, in the format of the name's ending, and gives the path."""
        return viz.films.save(self.figure(title), Path(path))

    def _repr_html_(self):
        picture = viz.films.svg(self.figure())
        return f'<figure role="img" aria-label="{html.escape(repr(self)[1:-1])}">{picture}</figure>'
