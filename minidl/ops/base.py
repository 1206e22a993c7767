"""What an operation is, and the one rule that every backward follows.

Let L be the scalar at the end of the graph, the loss. For any array v that an operation reads or makes, `dv` is ∂L/∂v, an array
of v's shape. `backward` is given `dy`, for the operation's output, and returns one such array for each input, or None.
"""

import contextlib
import operator

import numpy as np

from .. import kernels

__all__ = ["Op", "unbroadcast"]


class Name(str):
    """The name of an operation, "Mul". Called, as in `y.grad_fn.name()`, it is the name that PyTorch gives the node.

    >>> import minidl
    >>> y = minidl.ones(2, requires_grad=True) * 2
    >>> y.grad_fn.name, y.grad_fn.name()
    ('Mul', 'MulBackward0')
    """

    def __call__(self):
        return f"{self}Backward0"


class Op:
    """One operation on arrays, and, once recorded, one node of the graph.

    Options go to the constructor, arrays to `forward`; what `backward` needs is kept in named attributes. `needs` are the edges
    of the graph, which PyTorch shows as `next_functions`: `needs[i]` is the node that receives the gradient of input i (its
    `.shape` is that input's shape), or None if nobody asked for that gradient.

    An input is saved under the name that it has in `forward`, the output under the name `y`, and anything else under another
    name. Gradients of gradients need this (`double_backward`): there a saved array is a function of the inputs too, and its
    name says of which. Masks and shares do not change when the inputs change a little; they are listed in `constants`.

    `backward` never changes an array that it is given. It returns new arrays, `dy` itself, or views of `dy`. The walk may add
    other gradients to a new array in place (dx += …). So `backward` never returns an array that it has saved, and never one
    new array for two inputs.
    """

    needs = ()
    serial = 0  # place in the order of creation
    shape = ()  # of the output
    hooks = None  # {key: function of dy}
    retains = False  # keep the gradient of the output in `grad`
    grad = None
    origin = None  # under detect_anomaly: the line of the user's program that called the operation
    warns = True  # whether forward calls NumPy, which would warn of infinities and NaNs
    constants = ()  # names of saved arrays whose derivative by the inputs is 0: masks, shares
    alarm = (
        None  # name of a saved array whose first number is 0 or more if forward has to raise: no other check is made in Python
    )
    indexes = True  # whether whole numbers that its kernels read may be indices: these have to be checked in each call
    linear = False  # whether y = A x of one input x: then dx = Aᵀ dy, and the second-order gradient follows from A alone

    def forward(self, *arrays):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dy):
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    @property
    def name(self):
        return Name(type(self).__name__)

    @property
    def next_functions(self):
        """As PyTorch's: (node, number of the node's output) for each node that this one sends a gradient to."""
        return tuple((None, 0) if node is None else node.edge for node in self.needs or ())

    @property
    def edge(self):
        """This node in another's `next_functions`."""
        return self, 0

    def __repr__(self):
        return f"<{self.name}Backward0>"


def unbroadcast(dx, shape):
    """Sums dx over the axes along which an operand of this shape was repeated: the adjoint of broadcasting is summing.

    >>> unbroadcast(np.ones((2, 3)), (3,))
    array([2., 2., 2.])
    """
    if dx.shape == shape:
        return dx
    lead = dx.ndim - len(shape)
    stretched = [lead + i for i, size in enumerate(shape) if size == 1]
    return kernels.sum_over(dx, (*range(lead), *stretched)).reshape(shape)


def normalize_axes(name, dim, ndim):
    """dim as a tuple of distinct axes in [0, ndim): None means all of them, negative ones count from the end.

    >>> normalize_axes("sum", -1, 3)
    (2,)
    """
    if dim is None:
        return tuple(range(ndim))
    axes = []
    for d in dim if isinstance(dim, (tuple, list)) else (dim,):
        axes.append(normalize_axis(name, d, ndim))
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: an axis appears twice in dim={dim}")
    return tuple(axes)


def normalize_axis(name, dim, ndim):
    """dim as an axis in [0, ndim).

    >>> normalize_axis("softmax", -1, 3)
    2
    """
    if type(dim) is not int:
        dim = _integer(name, dim)
    bound = max(ndim, 1)  # PyTorch lets a 0-d tensor be reduced over dim 0 or -1
    if not -bound <= dim < bound:
        raise IndexError(f"{name}: dim {dim} is out of range for {ndim} axes (expected {-bound} to {bound - 1})")
    return dim % bound


def _integer(name, dim):
    """dim, an integer of NumPy's or a tensor of one, as Python's."""
    if not isinstance(dim, (bool, np.bool_)) and getattr(dim, "dtype", None) != np.bool_:
        with contextlib.suppress(TypeError):
            return operator.index(dim)
    raise TypeError(f"{name}: dim must be an integer, got {dim!r}")
