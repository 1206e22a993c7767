"""Linear algebra, with the names of torch.linalg: matrices are the last two axes, what is in front are stacks of them.

matrices.py        determinants, inverses, equations, products
decompositions.py  Cholesky, eigenvalues, singular values, QR
norms.py           norms, and the condition of a matrix
namesakes.py       what PyTorch has at the top as well: minidl.det
checks.py          what is asked of matrices; LinAlgError

The values are LAPACK's, as NumPy has it; the gradients are in `ops/linalg.py`, with their derivations.
"""

from . import checks, decompositions, matrices, namesakes as namesakes, norms
from .checks import *  # noqa: F403
from .decompositions import *  # noqa: F403
from .matrices import *  # noqa: F403
from .norms import *  # noqa: F403

__all__ = sorted(name for module in (checks, decompositions, matrices, norms) for name in module.__all__)
