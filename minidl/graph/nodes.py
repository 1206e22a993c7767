"""The nodes of the graph beside the operations themselves.

A node is a recorded operation (`ops.base.Op`) or a `Leaf`, the end of the graph at a tensor the user made. An operation points
to the nodes of its inputs (`needs`), so the graph is held by its results and dies with them; nothing points forward.
"""

import contextlib
import itertools

from ..ops.base import Name

next_serial = itertools.count(1).__next__


class _End(Name):
    def __call__(self):
        return "AccumulateGrad"


class Calls:
    """What is called in the course of a backward()."""

    expected = False  # whether any leaf ever got a hook `after`; only then does the walk count when a leaf is complete
    hooks = 0  # how many hooks were ever given to tensors: a remembered step (capture/) looks for them when it grows
    at_end = ()  # functions that such hooks want called when this backward() is over, a list meanwhile

    @contextlib.contextmanager
    def in_backward(self):
        outer, self.at_end = self.at_end, []
        try:
            yield
            for function in self.at_end:
                function()
        finally:
            self.at_end = outer


calls = Calls()


class Leaf:
    """The node of a tensor that the user made and that requires grad: an end of the graph, which keeps the gradient."""

    needs = next_functions = ()
    hooks = None
    after = None  # {key: function of the tensor}, called when .grad has grown, while the walk goes on
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
    """Output number `index` of an operation with several outputs. Each output is a node, which collects its own gradient."""

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


def walked_before(node):
    raise RuntimeError(
        f"backward: this graph has been walked before and {node.name} has dropped what it had saved. "
        "Pass retain_graph=True to the first backward, or compute the loss again."
    )
