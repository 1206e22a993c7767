"""Update rules, and schedules for their learning rates."""

from typing import TYPE_CHECKING

from ..nn.names import no_attribute
from . import book_schedules, lr_scheduler, swa_utils
from .adam import Adam, AdamW
from .adam_family import Adamax, NAdam, RAdam, Yogi
from .adaptive import Adadelta, Adagrad, RMSprop
from .factored import Adafactor
from .lbfgs import LBFGS
from .muon import Muon
from .optimizer import Optimizer
from .sgd import SGD
from .signs import ASGD, Lion, Rprop

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "Yogi",
    "book_schedules",
    "lr_scheduler",
    "swa_utils",
]


if not TYPE_CHECKING:  # an editor says of itself what is not there

    def __getattr__(name):
        """Only for what is not there: says which name is meant."""
        if name == "SparseAdam":
            raise AttributeError(f"module {__name__!r} has no attribute 'SparseAdam': there are no sparse tensors; write Adam")
        raise no_attribute(__name__, name, __all__, (("optim.lr_scheduler", dir(lr_scheduler)),))
