"""All that a training needs to go on to the same bits, in one file: one call writes it, one goes on from it.

    loader = ResumableLoader(DataLoader(data, batch_size=32, shuffle=True))
    parts = dict(model=model, optimizer=optimizer, scheduler=scheduler, loader=loader)
    first = load_checkpoint("run.npz", **parts)["epoch"] if Path("run.npz").exists() else 0
    for epoch in range(first, 10):
        for x, y in loader:
            …
            save_checkpoint("run.npz", epoch=epoch, **parts)  # in the middle of an epoch, too
        scheduler.step()

A process that is killed at any moment leaves the last file that was complete, for `minidl.save` writes under another name and
then renames. `Trainer` writes such files by its callback `Checkpoint`.
"""

import copy
import itertools
import os
import random as python_random

import numpy as np

from .. import random
from ..io import load, save
from ..nn.parameter import Uninitialized
from ..tensors.record import wrap

_FORMAT = "minidl checkpoint 1"
_KEYS = {"format", "random", "parts", "values"}


class ResumableLoader:
    """A DataLoader, or another iterable of batches, that remembers its order and place, to go on in the middle of an epoch.

    Its state is the random state at the start of the epoch and how many batches were given since. To go on, the epoch is begun
    again from that state, its first batches are loaded and dropped, and the random state of the checkpoint is set.

    >>> import minidl
    >>> batches = ResumableLoader(minidl.utils.data.DataLoader(range(6), batch_size=2, shuffle=True))
    >>> one = iter(batches)
    >>> first, state = next(one), batches.state_dict()
    >>> rest = list(one)
    >>> batches.load_state_dict(state)
    >>> [a.equal(b) for a, b in zip(rest, batches, strict=True)]
    [True, True]
    """

    def __init__(self, loader):
        if not hasattr(loader, "__iter__"):
            raise TypeError(f"ResumableLoader: expected a DataLoader, or another iterable of batches, got {loader!r}")
        if hasattr(loader, "__next__"):
            raise TypeError("ResumableLoader: expected what can be read once an epoch, such as a DataLoader, got an iterator")
        self.loader, self.count = loader, 0
        self._start, self._resumed = None, False

    def __len__(self):
        return len(self.loader)

    def __getattr__(self, name):
        if name == "loader":  # in a copy that is being made
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __iter__(self):
        if self._resumed:
            self._resumed = False
            now = self._random()
            self._set_random(self._start)
            batches = iter(self.loader)
            if sum(1 for _ in itertools.islice(batches, self.count)) < self.count:
                raise ValueError(f"ResumableLoader: the checkpoint is {self.count} batches into an epoch, which now has fewer")
            self._set_random(now)
        else:
            self._start, self.count = self._random(), 0
            batches = iter(self.loader)
        for batch in batches:
            self.count += 1
            yield batch
        self._start, self.count = None, 0

    def generators(self):
        """The generators of its own that the loader and its samplers draw from."""
        places = [self.loader, getattr(self.loader, "sampler", None), getattr(self.loader, "batch_sampler", None)]
        places.append(getattr(places[-1], "sampler", None))
        found = [getattr(place, "generator", None) for place in places]
        return list({id(x): x for x in found if isinstance(x, random.Generator)}.values())

    def state_dict(self):
        """How far the epoch is, the random state at its start, and that of its generators now."""
        now = [generator.get_state() for generator in self.generators()]
        return {"count": self.count, "start": self._start, "generators": now}

    def load_state_dict(self, state_dict):
        """Goes on where another loader of the same data was, at the next `iter`."""
        if not isinstance(state_dict, dict) or set(state_dict) != {"count", "start", "generators"}:
            raise ValueError("ResumableLoader.load_state_dict: expected what ResumableLoader.state_dict() gives")
        count, start, now = state_dict["count"], state_dict["start"], state_dict["generators"]
        generators = self.generators()
        if type(count) is not int or count < 0 or (count and start is None) or len(now) != len(generators):
            raise ValueError(
                f"ResumableLoader.load_state_dict: a state of {count} batches and {len(now)} generators does not fit a loader "
                f"with {len(generators)} generators"
            )
        for generator, state in zip(generators, now, strict=True):
            generator.set_state(state)
        self.count, self._start, self._resumed = count, start, count > 0

    def _random(self):
        return random_state(), [generator.get_state() for generator in self.generators()]

    def _set_random(self, state):
        set_random_state(state[0])
        for generator, own in zip(self.generators(), state[1], strict=True):
            generator.set_state(own)


def random_state():
    """Where the random numbers stand: minidl's default generator, NumPy's global one and Python's.

    >>> import minidl
    >>> state, x = random_state(), minidl.rand(2)
    >>> set_random_state(state)
    >>> minidl.rand(2).equal(x)
    True
    """
    return {"minidl": random.get_rng_state(), "numpy": np.random.get_state(), "python": python_random.getstate()}


def set_random_state(state):
    """Takes the random numbers back to where `random_state` was called.

    >>> state, x = random_state(), np.random.rand()
    >>> set_random_state(state)
    >>> np.random.rand() == x
    True
    """
    random.set_rng_state(state["minidl"])
    np.random.set_state(state["numpy"])
    python_random.setstate(state["python"])


def save_checkpoint(path, /, **parts):
    """Writes what has a state_dict (model, optimizer, scheduler, loader …), the random state, and other values as they are.

    path: a file, which keeps its old content until the new one is complete. TypeError for what `minidl.save` does not take.

    >>> import minidl, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.npz")
    >>> model = minidl.nn.Linear(2, 1)
    >>> save_checkpoint(path, model=model, epoch=3)
    >>> other = minidl.nn.Linear(2, 1)
    >>> load_checkpoint(path, model=other)
    {'epoch': 3}
    >>> other.weight.equal(model.weight)
    True
    """
    if not parts:
        raise ValueError("save_checkpoint: nothing to save; write save_checkpoint(path, model=model, optimizer=optimizer, …)")
    states = {name: part.state_dict() for name, part in parts.items() if hasattr(part, "state_dict")}
    _expect_shapes(states)
    values = {name: part for name, part in parts.items() if name not in states}
    save({"format": _FORMAT, "random": random_state(), "parts": states, "values": values}, path)


def load_checkpoint(path, /, **parts):
    """Puts what `save_checkpoint` wrote into the same parts, sets the random state, and returns the other values as a dict.

    A file that is damaged, or was written with other parts or for a model of another shape, changes nothing: ValueError, which
    names the file and the part. A part that the file has and the call has not, is an error too: nothing is left out in silence.

    >>> import minidl, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.npz")
    >>> save_checkpoint(path, model=minidl.nn.Linear(2, 1), steps=100)
    >>> load_checkpoint(path, model=minidl.nn.Linear(2, 1))["steps"]
    100
    """
    state = load(path)
    if not isinstance(state, dict) or set(state) != _KEYS or state["format"] != _FORMAT:
        raise ValueError(f"load_checkpoint: {os.fspath(path)} is no checkpoint; save_checkpoint writes them")
    saved = state["parts"]
    wrong = [name for name, part in parts.items() if not hasattr(part, "load_state_dict")]
    if wrong:
        raise TypeError(
            f"load_checkpoint: {wrong[0]} has no load_state_dict, got {type(parts[wrong[0]]).__name__}; values are returned"
        )
    if set(saved) != set(parts):
        raise ValueError(
            f"load_checkpoint: {os.fspath(path)} has {', '.join(sorted(saved)) or 'no parts'}, asked for were "
            f"{', '.join(sorted(parts)) or 'none'}; give all of them, and no others"
        )
    before = {name: _copied(part.state_dict()) for name, part in parts.items()}
    draws, name = random_state(), ""
    try:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        name = "the random state"
        set_random_state(state["random"])
    except Exception as error:
        for part, (old, lazy) in zip(parts.values(), before.values(), strict=True):
            part.load_state_dict(old, **({"strict": False} if lazy else {}))
            for x, kind in lazy:
                x.data, x.__class__ = wrap(np.empty(0, x.array.dtype)), kind
        set_random_state(draws)
        raise ValueError(f"load_checkpoint: {os.fspath(path)} does not fit, {name}: {error}") from error
    return state["values"]


def _copied(state):
    """A copy of a part's state, and those of its tensors that have no shape yet, with their classes."""
    lazy = {key: x for key, x in state.items() if isinstance(x, Uninitialized)}
    old = {key: x for key, x in state.items() if key not in lazy}
    return copy.deepcopy(old), [(x, type(x)) for x in lazy.values()]


def _expect_shapes(states):
    for name, state in states.items():
        lazy = [key for key, x in state.items() if isinstance(x, Uninitialized)]
        if lazy:
            raise ValueError(
                f"save_checkpoint: {name} has parameters without a shape yet ({lazy[0]}); give it one batch before"
            )
