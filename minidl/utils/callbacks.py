"""What a `Trainer` calls at certain points: stop early, write checkpoints, log the learning rate, draw, show a bar.

A callback is a subclass of Callback with the methods it needs; each gets the trainer, which has .model, .optim, .epoch,
.history, .train_batch_idx, and .stop: set to True, it ends the training.
"""

import os
import signal
import sys
import threading

from .. import utils
from . import stopping
from .board import ProgressBoard, in_notebook
from .checkpoint import save_checkpoint


class Callback:
    """Base of callbacks: nothing happens at any point.

    What it must keep over a resumed training stands in its state_dict.

    >>> from minidl.utils.train import Trainer
    >>> class StopAfter(Callback):
    ...     def on_step_end(self, trainer):
    ...         trainer.stop = trainer.train_batch_idx >= 100
    >>> Trainer(10, callbacks=[StopAfter()]).callbacks[0].state_dict()
    {}
    """

    def on_fit_start(self, trainer):
        """Before the first step, of a resumed training, too."""

    def on_step_end(self, trainer):
        """After each step of the optimizer."""

    def on_epoch_end(self, trainer):
        """After an epoch and its validation; trainer.history[-1] is its row."""

    def on_stop(self, trainer):
        """When the training is left in the middle of an epoch, by Ctrl-C or by trainer.stop."""

    def on_fit_end(self, trainer):
        """At the end of a training without an error."""

    def close(self, trainer):
        """At the very end, after an error, too."""

    def state_dict(self):
        """What a checkpoint keeps of it."""
        return {}

    def load_state_dict(self, state_dict):
        """Goes on from such a state."""


class EarlyStopping(Callback):
    """Stops a Trainer when `monitor` has not become better for `patience` epochs, and puts the best weights back.

    monitor: a column of the history. mode: "min" or "max". min_delta: less than that counts as not better. restore_best: False
    leaves the last weights. A new training begins anew. What it decides by is `model_selection.EarlyStopping`, which is for
    loops of one's own. (Goodfellow, Bengio and Courville, 2016, section 7.8.)

    >>> stopping = EarlyStopping("val_accuracy", patience=3, mode="max")
    >>> stopping.patience, stopping.best, stopping.best_epoch
    (3, -inf, None)
    """

    def __init__(self, monitor="val_loss", patience=5, mode="min", min_delta=0.0, restore_best=True):
        self.monitor, self.restore_best = monitor, restore_best
        self.patience, self.mode, self.min_delta = patience, mode, min_delta
        self._begin()

    def _begin(self):
        self._stopping = stopping.EarlyStopping(self.patience, self.min_delta, self.mode)

    @property
    def best(self):
        """The best value of the monitored column."""
        return self._stopping.best

    @property
    def best_epoch(self):
        """The epoch that it came in, as the history counts them."""
        return None if self._stopping.best_epoch is None else self._stopping.best_epoch + 1

    def on_fit_start(self, trainer):
        if trainer.train_batch_idx == 0:
            self._begin()

    def on_epoch_end(self, trainer):
        row = trainer.history[-1]
        if self.monitor not in row:
            raise KeyError(f"EarlyStopping: the history has no {self.monitor!r}, but {', '.join(row)}; give validation data")
        if self._stopping(row[self.monitor], trainer.model if self.restore_best else None):
            trainer.stop = True

    def on_fit_end(self, trainer):
        if self._stopping.weights is not None:
            self._stopping.restore(trainer.model)

    def state_dict(self):
        return self._stopping.state_dict()

    def load_state_dict(self, state_dict):
        self._stopping.load_state_dict(state_dict)


class Checkpoint(Callback):
    """Writes a checkpoint after each epoch, after every so many steps, too, and when the training is left: `fit(resume=path)`.

    path: a file, or a name with {epoch} in it, which gives each epoch a file of its own.

    >>> Checkpoint("run.npz", every_steps=100).path
    'run.npz'
    """

    def __init__(self, path, every_steps=None):
        if every_steps is not None and (type(every_steps) is not int or every_steps < 1):
            raise ValueError(f"Checkpoint: every_steps must be an integer of 1 or more, or None, got {every_steps!r}")
        self.path, self.every_steps = os.fspath(path), every_steps

    def on_step_end(self, trainer):
        if self.every_steps and trainer.train_batch_idx % self.every_steps == 0:
            self.save(trainer)

    def on_epoch_end(self, trainer):
        self.save(trainer)

    def on_stop(self, trainer):
        self.save(trainer)
        print(f"Trainer: stopped; fit(…, resume={self.path.format(epoch=trainer.epoch)!r}) goes on", file=sys.stderr)

    def save(self, trainer):
        """Writes one now."""
        save_checkpoint(self.path.format(epoch=trainer.epoch), **trainer.parts())


class LearningRateLog(Callback):
    """Keeps the learning rate of the first group at each step, in `rates`, and puts that of each epoch's end in the history.

    >>> LearningRateLog().rates
    []
    """

    def __init__(self):
        self.rates = []

    def on_fit_start(self, trainer):
        if trainer.train_batch_idx == 0:
            self.rates = []

    def on_step_end(self, trainer):
        self.rates.append(float(trainer.optim.param_groups[0]["lr"]))

    def on_epoch_end(self, trainer):
        trainer.history[-1]["lr"] = self.rates[-1]

    def state_dict(self):
        return {"rates": list(self.rates)}

    def load_state_dict(self, state_dict):
        self.rates = list(state_dict["rates"])


class Evaluation(Callback):
    """Evaluates the model on other data after each epoch, too: columns such as train_loss and train_accuracy, for name "train".

    The training data themselves may be such data: train_loss is then not the mean over the epoch, while the weights change, but
    that of the weights at its end, with dropout off, as val_loss is.

    >>> import minidl
    >>> Evaluation("train", [minidl.zeros(1)]).name
    'train'
    """

    def __init__(self, name, data):
        if not isinstance(name, str) or not hasattr(data, "__iter__") or hasattr(data, "__next__"):
            raise TypeError(f"Evaluation: expected a name and a loader, or a list of batches, got {name!r:.80}, {data!r:.80}")
        self.name, self.data = name, data

    def on_epoch_end(self, trainer):
        found = trainer.evaluate(trainer.model, self.data)
        trainer.history[-1] |= {f"{self.name}_{key}": x for key, x in found.items()}


class LivePlot(Callback):
    """Draws columns of the history after each epoch, in a notebook while it grows. `board.fig` is the figure.

    It needs matplotlib. columns: all that end in "loss", unless they are given.

    >>> LivePlot(["train_loss", "val_loss"]).columns
    ['train_loss', 'val_loss']
    """

    def __init__(self, columns=None, **options):
        self.columns = columns
        self.board = ProgressBoard(xlabel="epoch", **options)

    def on_epoch_end(self, trainer):
        row = trainer.history[-1]
        for name in [key for key in row if key.endswith("loss")] if self.columns is None else self.columns:
            self.board.draw(row["epoch"], row[name], name)


class ProgressBar(Callback):
    """A bar over all steps, of tqdm where that is installed, else a line; none where stderr is no terminal.

    >>> ProgressBar().bar is None
    True
    """

    bar = None

    def on_fit_start(self, trainer):
        if sys.stderr is None or not (sys.stderr.isatty() or in_notebook()):
            return
        total = trainer.max_epochs * trainer.num_train_batches if trainer.num_train_batches else None
        try:
            self.bar = utils.progress_bar.bar(total, trainer.train_batch_idx)
        except ModuleNotFoundError as error:
            if not error.name.startswith("tqdm"):
                raise
            self.bar = _Line(total, trainer.train_batch_idx)

    def on_step_end(self, trainer):
        if self.bar is not None:
            self.bar.update(1)

    def on_epoch_end(self, trainer):
        if self.bar is not None:
            self.bar.set_postfix({key: x if type(x) is int else f"{x:.4g}" for key, x in trainer.history[-1].items()})

    def close(self, trainer):
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class _Line:
    """What stands in for tqdm's bar: a line on stderr that is written anew after each epoch."""

    def __init__(self, total, done):
        self.total, self.done = total, done

    def update(self, n):
        self.done += n

    def set_postfix(self, numbers):
        text = ", ".join(f"{key} {x}" for key, x in numbers.items())
        print(f"\rstep {self.done} of {self.total}: {text}  ", end="", file=sys.stderr, flush=True)

    def close(self):
        print(file=sys.stderr)


class Interrupts:
    """While it is open, the first Ctrl-C sets trainer.stop, so that the step is finished; the second interrupts as always.

    Outside the main thread, where Python gets no signals, it does nothing.

    >>> from minidl.utils.train import Trainer
    >>> trainer = Trainer(1)
    >>> with Interrupts(trainer):
    ...     signal.raise_signal(signal.SIGINT)
    >>> trainer.interrupted
    True
    """

    def __init__(self, trainer):
        self.trainer = trainer

    def __enter__(self):
        self.old = None
        if threading.current_thread() is threading.main_thread():
            self.old = signal.signal(signal.SIGINT, self._stop)

    def _stop(self, number, frame):
        if self.trainer.interrupted:
            raise KeyboardInterrupt
        self.trainer.stop = self.trainer.interrupted = True
        print("Trainer: Ctrl-C, stops after this step; once more interrupts at once", file=sys.stderr)

    def __exit__(self, *error):
        if self.old is not None:
            signal.signal(signal.SIGINT, self.old)
