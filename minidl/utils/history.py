"""What a training did, epoch by epoch, and how far it is."""

_COUNTS = "epoch", "train_batch_idx", "val_batch_idx"


class History(list):
    """A row for each epoch, as a dict; `column(name)` is one number of all of them. Its repr is a table.

    >>> History([{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}]).column("train_loss")
    [0.5, 0.25]
    """

    def column(self, name):
        """The numbers of this name, one for each epoch that has one."""
        return [row[name] for row in self if name in row]

    def __repr__(self):
        names = list(dict.fromkeys(name for row in self for name in row))
        names = [name for name in names if not any(getattr(row.get(name), "ndim", 0) for row in self)]  # no matrices
        cells = [[f"{row[n]:.5g}" if n in row else "" for n in names] for row in self]
        widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
        lines = [[n.rjust(w) for n, w in zip(row, widths, strict=True)] for row in [names, *cells]]
        return "\n".join("  ".join(line) for line in lines) if self else "History()"


class Progress:
    """Base of Trainer: how far it is, and the sums of an epoch's numbers, which are the next row of its history.

    >>> progress = Progress()
    >>> progress.begin()
    >>> progress.log("loss", 0.5, train=True)
    >>> progress.log("loss", 0.2, train=True, weight=2)
    >>> progress.end_epoch()["epoch"]
    1
    >>> progress.history
    epoch  train_loss
        1         0.3
    """

    callbacks, evaluating, _sums = (), False, {}
    epoch = train_batch_idx = val_batch_idx = 0

    def begin(self):
        """Back to the start."""
        self.epoch = self.train_batch_idx = self.val_batch_idx = 0
        self.history, self._sums = History(), {}
        self.stop = self.interrupted = self._is_cut = False

    def end_epoch(self):
        """Puts the means of what was logged into the history; returns that row."""
        self.epoch += 1
        self.history.append({"epoch": self.epoch, **self.means()})
        self._sums = {}
        return self.history[-1]

    def log(self, key, value, train, weight=1):
        """Counts a number in: the history has the mean of an epoch's, weighted, as train_… or val_…"""
        name = ("train_" if train else "val_") + key
        total, count = self._sums.get(name, (0.0, 0))
        self._sums[name] = total + float(value) * weight, count + weight

    def set(self, name, value):
        """Puts a number, or a tensor such as a confusion matrix, into the next row."""
        self._sums[name] = value if getattr(value, "ndim", 0) else float(value), 1

    def means(self):
        """The means of what was logged since the last row."""
        return {key: (total if count == 1 else total / count) for key, (total, count) in self._sums.items()}

    def state_dict(self):
        """How far the training is."""
        callbacks = [state for callback in self.callbacks if (state := callback.state_dict())]
        counts = {key: getattr(self, key) for key in _COUNTS}
        return {**counts, "history": list(self.history), "sums": dict(self._sums), "callbacks": callbacks}

    def load_state_dict(self, state_dict):
        """Goes on where another training was."""
        states, keepers = state_dict["callbacks"], [callback for callback in self.callbacks if callback.state_dict()]
        if len(states) != len(keepers):
            raise ValueError(f"the checkpoint has {len(states)} callbacks with a state, the trainer {len(keepers)}")
        for callback, state in zip(keepers, states, strict=True):
            callback.load_state_dict(state)
        for key in _COUNTS:
            setattr(self, key, state_dict[key])
        self.history, self._sums = History(state_dict["history"]), dict(state_dict["sums"])
