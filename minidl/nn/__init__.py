"""Layers, losses and their initial values: the vocabulary of models. Thin; the mathematics is in `minidl.ops`.

Read `module` first, then `linear` and `containers`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from . import (
    activation,
    attention,
    attention_pooling,
    containers,
    conv,
    dropout,
    embedding,
    functional,
    image,
    init,
    lazy,
    linear,
    loss,
    margin,
    module,
    norm,
    parameter,
    piecewise,
    pool,
    positional,
    recurrent,
    recurrent_cells,
    transformer,
    utils,
)
from .activation import *  # noqa: F403
from .attention import *  # noqa: F403
from .attention_pooling import *  # noqa: F403
from .containers import *  # noqa: F403
from .conv import *  # noqa: F403
from .dropout import *  # noqa: F403
from .embedding import *  # noqa: F403
from .image import *  # noqa: F403
from .lazy import *  # noqa: F403
from .linear import *  # noqa: F403
from .loss import *  # noqa: F403
from .margin import *  # noqa: F403
from .module import *  # noqa: F403
from .names import no_attribute
from .norm import *  # noqa: F403
from .parameter import *  # noqa: F403
from .piecewise import *  # noqa: F403
from .pool import *  # noqa: F403
from .positional import *  # noqa: F403
from .recurrent import *  # noqa: F403
from .recurrent_cells import *  # noqa: F403
from .transformer import *  # noqa: F403

__all__ = ["SyncBatchNorm", "functional", "init", "utils"]
__all__ += activation.__all__
__all__ += attention.__all__
__all__ += attention_pooling.__all__
__all__ += containers.__all__
__all__ += conv.__all__
__all__ += dropout.__all__
__all__ += embedding.__all__
__all__ += image.__all__
__all__ += lazy.__all__
__all__ += linear.__all__
__all__ += loss.__all__
__all__ += margin.__all__
__all__ += module.__all__
__all__ += norm.__all__
__all__ += parameter.__all__
__all__ += piecewise.__all__
__all__ += pool.__all__
__all__ += positional.__all__
__all__ += recurrent.__all__
__all__ += recurrent_cells.__all__
__all__ += transformer.__all__


if TYPE_CHECKING:  # what is loaded at its first use
    from . import parallel as parallel
    from .sync_norm import SyncBatchNorm as SyncBatchNorm

if not TYPE_CHECKING:  # an editor says of itself what is not there

    def __getattr__(name):
        """Loads `parallel` when it is first asked for (PEP 562); of what is not there it says which name is meant."""
        if name == "parallel":
            return import_module(".parallel", __name__)
        if name == "SyncBatchNorm":
            return import_module(".sync_norm", __name__).SyncBatchNorm
        raise no_attribute(__name__, name, __all__, (("nn.functional", functional.__all__), ("nn.init", dir(init))))
