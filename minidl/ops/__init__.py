"""The calculus: one small class for each operation, its backward right under its forward.

Read `base` first (the rule for gradients), then `arithmetic`, `matmul`, `softmax`. This package uses no tensors and no graph.
"""

from . import (
    activation,
    arithmetic,
    attention,
    base,
    conv,
    ctc,
    elementwise,
    image,
    linalg,
    loss,
    matmul,
    norm,
    pool,
    recurrent,
    reduce,
    scan,
    scatter,
    shape,
    softmax,
    special,
)
from .activation import *  # noqa: F403
from .arithmetic import *  # noqa: F403
from .attention import *  # noqa: F403
from .base import *  # noqa: F403
from .conv import *  # noqa: F403
from .ctc import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .image import *  # noqa: F403
from .linalg import *  # noqa: F403
from .loss import *  # noqa: F403
from .matmul import *  # noqa: F403
from .norm import *  # noqa: F403
from .pool import *  # noqa: F403
from .recurrent import *  # noqa: F403
from .reduce import *  # noqa: F403
from .scan import *  # noqa: F403
from .scatter import *  # noqa: F403
from .shape import *  # noqa: F403
from .softmax import *  # noqa: F403
from .special import *  # noqa: F403

__all__ = []
__all__ += activation.__all__
__all__ += arithmetic.__all__
__all__ += attention.__all__
__all__ += base.__all__
__all__ += conv.__all__
__all__ += ctc.__all__
__all__ += elementwise.__all__
__all__ += image.__all__
__all__ += linalg.__all__
__all__ += loss.__all__
__all__ += matmul.__all__
__all__ += norm.__all__
__all__ += pool.__all__
__all__ += recurrent.__all__
__all__ += reduce.__all__
__all__ += scan.__all__
__all__ += scatter.__all__
__all__ += shape.__all__
__all__ += softmax.__all__
__all__ += special.__all__
