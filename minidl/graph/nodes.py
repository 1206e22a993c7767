"""The nodes of the graph beside the operations themselves.

A node is a recorded operation (`ops.base.Op`) or a `Leaf`, the end of the graph at a tensor the user made. An operation points
to the nodes of its inputs (`needs`), so the graph is held by its results and dies with them; nothing points forward.
"""

import itertools

from ..ops.base import Name

next_serial = itertools.count(1).__next__


class _End(Name):
    def __call__(self):
        return "AccumulateGrad"


class Leaf:
    """Where the gradient of a tensor that the user made arrives and is kept."""

    needs = next_functions = ()
    hooks = None
    after = None  # {key: function of the tensor}, called when .grad has grown
    owner = None  # a weak reference to the tensor
    retains = True
    name = _End("leaf")

    def __init__(self, shape, dtype):
        self.shape, self.dtype, self.grad = shape, dtype, None

    @property
    def edge(self):
        return self, 0

    @property
    def variable(self):
        """The tensor whose gradient it keeps."""
        return self.owner and self.owner()

    def __repr__(self):
        return "<AccumulateGrad>"


class Part:
    """Output number `index` of an operation with several: a node of its own, so that each collects its own gradient."""

    hooks, retains, grad = None, False, None

    def __init__(self, op, index, shape):
        self.needs, self.index, self.shape, self.serial = (op,), index, shape, next_serial()

    @property
    def next_functions(self):
        return self.edge[0].next_functions if self.needs else ()

    @property
    def edge(self):
        return self.needs[0], self.index

    @property
    def name(self):
        return self.needs[0].name if self.needs else Name("Part")

    def __repr__(self):
        return repr(self.needs[0])
