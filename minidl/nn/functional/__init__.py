"""Layers and losses as functions: `import minidl.nn.functional as F`."""

from typing import TYPE_CHECKING

from ..names import no_attribute
from . import (
    activation,
    attention,
    attention_scores,
    bags,
    basic,
    conv,
    ctc,
    image,
    information,
    loss,
    margin,
    norm,
    piecewise,
    pool,
    positional,
)
from .activation import *  # noqa: F403
from .attention import *  # noqa: F403
from .attention_scores import *  # noqa: F403
from .bags import *  # noqa: F403
from .basic import *  # noqa: F403
from .conv import *  # noqa: F403
from .ctc import *  # noqa: F403
from .image import *  # noqa: F403
from .information import *  # noqa: F403
from .loss import *  # noqa: F403
from .margin import *  # noqa: F403
from .norm import *  # noqa: F403
from .piecewise import *  # noqa: F403
from .pool import *  # noqa: F403
from .positional import *  # noqa: F403

__all__ = []
__all__ += activation.__all__
__all__ += attention.__all__
__all__ += attention_scores.__all__
__all__ += bags.__all__
__all__ += basic.__all__
__all__ += conv.__all__
__all__ += ctc.__all__
__all__ += image.__all__
__all__ += information.__all__
__all__ += loss.__all__
__all__ += margin.__all__
__all__ += norm.__all__
__all__ += piecewise.__all__
__all__ += pool.__all__
__all__ += positional.__all__


if not TYPE_CHECKING:  # an editor says of itself what is not there

    def __getattr__(name):
        """Only for what is not there: says which name is meant."""
        raise no_attribute(__name__, name, __all__)
