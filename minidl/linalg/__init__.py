"""Linear algebra, with the names of torch.linalg: matrices are the last two axes, what is in front are stacks of them.

matrices.py        determinants, inverses, equations, products
decompositions.py  Cholesky, eigenvalues, singular values, QR
norms.py           norms, and the condition of a matrix
composed.py        what is put together of these: exponentials, reflections, equations over several axes
namesakes.py       what PyTorch has at the top only: minidl.cholesky_solve
checks.py          what is asked of arguments; LinAlgError

`tensors/matrices.py` has those that are methods, too: `x.det()`, `minidl.det(x)`.

The values are LAPACK's, as NumPy has it; the gradients are in `ops/linalg.py`, with their derivations.
"""

from . import checks, composed, decompositions, matrices, namesakes as namesakes, norms
from .checks import *  # noqa: F403
from .composed import *  # noqa: F403
from .decompositions import *  # noqa: F403
from .matrices import *  # noqa: F403
from .norms import *  # noqa: F403

__all__ = sorted(name for module in (checks, composed, decompositions, matrices, norms) for name in module.__all__)
