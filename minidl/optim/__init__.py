"""Update rules, and schedules for their learning rates."""

from importlib import import_module
from typing import TYPE_CHECKING

from ..nn.names import no_attribute
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

if TYPE_CHECKING:  # what is loaded at its first use
    from . import book_schedules, lr_scheduler, swa_utils
    from .adam_family import Adamax, NAdam, RAdam, Yogi
    from .adaptive import Adadelta, Adagrad, RMSprop
    from .factored import Adafactor
    from .lbfgs import LBFGS
    from .muon import Muon
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

_FILE_OF = {
    **dict.fromkeys(("Adamax", "NAdam", "RAdam", "Yogi"), "adam_family"),
    **dict.fromkeys(("Adadelta", "Adagrad", "RMSprop"), "adaptive"),
    "Adafactor": "factored",
    "LBFGS": "lbfgs",
    "Muon": "muon",
    **dict.fromkeys(("ASGD", "Lion", "Rprop"), "signs"),
}


def __dir__():
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # an editor says of itself what is not there

    def __getattr__(name):
        """Loads what few programs need at its first use (PEP 562); of what is not there it says which name is meant."""
        if name in ("book_schedules", "lr_scheduler", "swa_utils"):
            return import_module(f".{name}", __name__)
        if name in _FILE_OF:
            value = globals()[name] = getattr(import_module(f".{_FILE_OF[name]}", __name__), name)
            return value
        if name == "SparseAdam":
            raise AttributeError(f"module {__name__!r} has no attribute 'SparseAdam': there are no sparse tensors; write Adam")
        schedules = import_module(".lr_scheduler", __name__)
        raise no_attribute(__name__, name, __all__, (("optim.lr_scheduler", dir(schedules)),))
