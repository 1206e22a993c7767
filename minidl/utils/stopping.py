"""When to stop: `model_selection.EarlyStopping` for a loop of one's own, and what the Trainer's callback asks."""

import copy
import math

from ..tensors.arguments import integer, number


class EarlyStopping:
    """Tells when training should end, and keeps the best weights: `if stop(validation_loss, model): break`

    It is called once after each epoch, and says True once `patience` values in a row were no better than the best one before
    by more than min_delta. NaN is no better. mode: "min" for errors, "max" for accuracies. A copy of the weights is kept at
    each new best value, and `restore(model)` puts them back. `best` is that value, `best_epoch` the call it came with, from 0.
    It is for a loop of one's own; a `Trainer` takes `utils.callbacks.EarlyStopping`, which asks one of these after each epoch.

    >>> import minidl
    >>> model, stop = minidl.nn.Linear(1, 1), EarlyStopping(patience=2)
    >>> for epoch, loss in enumerate([3.0, 1.0, 2.0, 1.5, 0.5]):
    ...     _ = model.weight.data.fill_(epoch)
    ...     if stop(loss, model):
    ...         break
    >>> stop.restore(model)
    >>> epoch, stop.best, stop.best_epoch, model.weight.item()
    (3, 1.0, 1, 1.0)
    """

    def __init__(self, patience=10, min_delta=0.0, mode="min"):
        self.patience = integer("EarlyStopping", patience, "patience")
        if self.patience < 1:
            raise ValueError(f"EarlyStopping: patience must be 1 or more, got {patience}")
        self.min_delta = number("EarlyStopping", "min_delta", min_delta)
        if not 0 <= self.min_delta < math.inf:
            raise ValueError(f"EarlyStopping: min_delta must be a number of 0 or more, got {min_delta}")
        if not isinstance(mode, str) or mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: mode must be 'min' or 'max', got {mode!r}")
        self.mode = mode
        self.best = math.inf if mode == "min" else -math.inf
        self.best_epoch, self.epochs, self.weights = None, 0, None

    def __repr__(self):
        return f"EarlyStopping(patience={self.patience}, min_delta={self.min_delta}, mode={self.mode!r})"

    def __call__(self, value, model=None):
        value = number("EarlyStopping", "value", value)
        if model is not None and not (hasattr(model, "state_dict") and not isinstance(model, type)):
            raise TypeError(f"EarlyStopping: expected a Module as model, got {model!r:.80}")
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > self.min_delta:
            self.best, self.best_epoch = value, self.epochs
            self.weights = None if model is None else copy.deepcopy(model.state_dict())
        self.epochs += 1
        return self.stopped

    @property
    def stopped(self):
        """Whether the last `patience` values were no better."""
        return self.epochs - (0 if self.best_epoch is None else self.best_epoch + 1) >= self.patience

    def restore(self, model):
        """Puts the weights of the best value into the model."""
        if self.weights is None:
            why = "no value was better than none" if self.best_epoch is None else "the model was not given with the best value"
            raise RuntimeError(f"EarlyStopping.restore: there are no weights, {why}; call stop(value, model)")
        model.load_state_dict(self.weights)

    def state_dict(self):
        """What load_state_dict takes to go on from here: the best value and weights, and how many values came."""
        return {name: copy.deepcopy(getattr(self, name)) for name in ("best", "best_epoch", "epochs", "weights")}

    def load_state_dict(self, state_dict):
        """Goes on from where another one was."""
        wanted = {"best", "best_epoch", "epochs", "weights"}
        if not isinstance(state_dict, dict) or set(state_dict) != wanted:
            raise ValueError(f"EarlyStopping.load_state_dict: expected a dict with {sorted(wanted)}, got {state_dict!r:.80}")
        best, at, epochs = (state_dict[name] for name in ("best", "best_epoch", "epochs"))
        best = number("EarlyStopping.load_state_dict", "best", best)
        if type(epochs) is not int or not (at is None or (type(at) is int and 0 <= at < epochs)):
            raise ValueError(f"EarlyStopping.load_state_dict: epoch {at!r} of {epochs!r} cannot be the best one")
        self.best, self.best_epoch, self.epochs = best, at, epochs
        self.weights = copy.deepcopy(state_dict["weights"])
