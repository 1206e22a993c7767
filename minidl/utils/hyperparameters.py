"""The arguments of a constructor as attributes, as *Dive into Deep Learning* (3.2) has it."""

import inspect


class HyperParameters:
    """Base of classes that keep what they were built with: `save_hyperparameters()` in `__init__` makes attributes of it.

    >>> class Net(HyperParameters):
    ...     def __init__(self, width, lr=0.1, seed=0):
    ...         self.save_hyperparameters(ignore=["seed"])
    >>> net = Net(8)
    >>> net.width, net.hparams
    (8, {'width': 8, 'lr': 0.1})
    """

    def save_hyperparameters(self, ignore=()):
        """Makes attributes of the arguments, and other local names, of the function that calls it; and the dict `hparams`.

        Left out are those of `ignore`, self, and names that begin with an underscore.
        """
        if isinstance(ignore, str):
            raise TypeError(f"save_hyperparameters: expected ignore to be a list of names, got {ignore!r}; write [{ignore!r}]")
        caller = inspect.currentframe().f_back.f_locals
        left_out = {"self", *ignore}
        self.hparams = {name: value for name, value in caller.items() if name not in left_out and name[0] not in "_."}
        for name, value in self.hparams.items():
            setattr(self, name, value)
