"""Update rules, and schedules for their learning rates."""

from typing import TYPE_CHECKING

from ..nn.names import no_attribute
from . import lr_scheduler
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]


if not TYPE_CHECKING:  # an editor says of itself what is not there

    def __getattr__(name):
        """Only for what is not there: says which name is meant."""
        raise no_attribute(__name__, name, __all__, (("optim.lr_scheduler", dir(lr_scheduler)),))
