"""Copies of a model's parameters along a training, and a model that is lent for a while and given back as it was."""

from collections.abc import Mapping

import numpy as np

from ..graph.modes import no_grad
from ..nn.module import Module
from ..random import fork_rng
from ..tensors.tensor import Tensor
from ..utils.callbacks import Callback


class Snapshots(Callback):
    """Copies of a model's state before the training and after each `every`-th step: what a film or a path is drawn from.

    A callback of Trainer; in a loop of one's own, call it after each step. `states` are the copies, as state_dicts of ndarrays,
    `steps` the numbers of their steps.

    >>> import minidl
    >>> model = minidl.nn.Linear(2, 1)
    >>> snapshots = Snapshots(model, every=2)
    >>> for step in range(4):
    ...     snapshots()
    >>> snapshots.steps, len(snapshots)
    ([0, 2, 4], 3)
    """

    def __init__(self, model, every=1):
        if not isinstance(model, Module):
            raise TypeError(f"Snapshots: expected a Module, got {type(model).__name__}")
        if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
            raise ValueError(f"Snapshots: every must be an integer of 1 or more, got {every!r}")
        self.model, self.every, self.steps, self.states, self._step = model, int(every), [], [], 0
        self._take()

    def __call__(self):
        self._step += 1
        if self._step % self.every == 0:
            self._take()

    def on_step_end(self, trainer):
        """As a call, by a Trainer."""
        self()

    def __len__(self):
        return len(self.states)

    def _take(self):
        self.steps.append(self._step)
        self.states.append({name: x.array.copy() for name, x in self.model.state_dict().items()})


def states_of(name, model, snapshots):
    """[(label, {name: ndarray})] of Snapshots or a list of state_dicts, which must fit the model."""
    labels = None
    if isinstance(snapshots, Snapshots):
        labels, snapshots = [f"step {step:,}" for step in snapshots.steps], snapshots.states
    if isinstance(snapshots, Mapping) or not isinstance(snapshots, (list, tuple)):
        raise TypeError(f"{name}: snapshots must be viz.Snapshots or a list of state_dicts, got {type(snapshots).__name__}")
    own, found = {key: x.array for key, x in model.state_dict().items()}, []
    for i, state in enumerate(snapshots):
        if not isinstance(state, Mapping):
            raise TypeError(f"{name}: snapshots[{i}] must be a state_dict, got {type(state).__name__}")
        if set(state) != set(own):
            different = ", ".join(sorted(set(own) ^ set(state))[:3])
            raise ValueError(f"{name}: snapshots[{i}] does not have the names of the model's state_dict(): {different}")
        arrays = {key: x.array if isinstance(x, Tensor) else np.asarray(x) for key, x in state.items()}
        for key, x in arrays.items():
            if x.shape != own[key].shape:
                raise ValueError(f"{name}: snapshots[{i}][{key!r}] has the shape {x.shape}, the model's has {own[key].shape}")
            if x.size and len(snapshots) > 1 and np.shares_memory(x, own[key]):
                raise ValueError(
                    f"{name}: snapshots[{i}] shares the model's memory, so all of them are the model as it is now; keep "
                    "copy.deepcopy(model.state_dict()), or use viz.Snapshots(model)"
                )
        found.append((labels[i] if labels else f"snapshot {i + 1}", arrays))
    if not found:
        raise ValueError(f"{name}: snapshots is empty")
    return found


class Borrowed:
    """A context in which a model may be changed: in eval mode, without graphs. At the end everything in it is as it was.

    Values are written into the arrays that are there, so that whatever holds these arrays sees them, and not noted as writes:
    a graph from before may be walked afterwards, since its arrays then hold the same numbers again.
    """

    def __init__(self, *models, train=False):
        self.models, self.train = [m for m in models if isinstance(m, Module)], train

    def __enter__(self):
        modules = {id(m): m for model in self.models for m in model.modules()}.values()
        self.modes = [(m, m.training) for m in modules]
        tensors = [x for model in self.models for xs in (model.parameters(), model.buffers()) for x in xs]
        self.kept = [(x, x.array, x.array.copy()) for x in tensors]
        self.contexts = fork_rng(), no_grad()
        for context in self.contexts:
            context.__enter__()
        for model in self.models:
            model.train(self.train)
        return self

    def __exit__(self, *error):
        for tensor, array, values in self.kept:
            tensor.array = array
            np.copyto(array, values)
        for module, training in self.modes:
            module.training = training
        for context in reversed(self.contexts):
            context.__exit__(None, None, None)

    def load(self, state):
        """Writes a state into the model."""
        for name, x in self.models[0].state_dict(keep_vars=True).items():
            if name in state:
                np.copyto(x.array, state[name], casting="unsafe")
