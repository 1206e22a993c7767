"""One call of a function that is differentiated: what the function is given, and what may leave it.

Three things must come out right when transforms are nested, and when the function reads tensors from around it.

An argument enters as a tensor with a node of its own, made for this call. If the tensor is in a graph already, that node is a
reshape of it: the walk of this call ends there, and the graph goes on outside. So the x of an inner function and the x of an
outer one are never taken for each other (Siskind and Pearlmutter, "Perturbation Confusion and Referential Transparency",
2005). If the tensor is a constant, the node is a new leaf.

When the function has returned, nobody outside can ask for a gradient with respect to such a new leaf any more: it has ended.
A tensor is live if a way leads from it to a leaf that has not ended: to a parameter that the function read, or to an argument
of a function around this one.

So the walk records what it computes only if an output or a cotangent is live, and only what is live leaves the call with its
graph; the rest leaves as constants. Where the caller does not record (no_grad), nothing is live for it.
"""

import numpy as np

from .. import autograd
from ..graph.modes import enable_grad, mode
from ..graph.nodes import Leaf
from ..tensors.arguments import as_ints
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .trees import leaves, map_leaves


class Call:
    """func(*args, **kwargs), differentiable with respect to the arguments that argnums (a number, or several) names."""

    def __init__(self, name, func, args, argnums, kwargs=None, has_aux=False):
        self.name, self.recording = name, mode.recording
        self.inputs = []  # the tensors that gradients are wanted for, in the order of argnums
        with enable_grad():
            entered = {i: map_leaves(self._enter, args[i]) for i in positions(name, argnums, len(args))}
            try:
                self.result, self.aux = func(*[entered.get(i, x) for i, x in enumerate(args)], **(kwargs or {})), None
            finally:
                self.end(self.inputs)
        self.chosen = tuple(entered.values())
        if has_aux:
            if not (isinstance(self.result, tuple) and len(self.result) == 2):
                raise RuntimeError(f"{name}: with has_aux=True func must return (output, aux), got {kind(self.result)}")
            self.result, self.aux = self.result

    def _enter(self, x):
        if not isinstance(x, Tensor):
            raise ValueError(f"{self.name}: the arguments to differentiate by must be Tensors, got {kind(x)}")
        if not x.is_floating_point():
            raise RuntimeError(f"{self.name}: expected floating-point arguments to differentiate by, got one of {x.dtype}")
        entered = x.reshape(x.shape) if x.requires_grad else x.detach().requires_grad_()
        self.inputs.append(wrap(entered.array, entered.node))  # another object, because func may write into its own in place
        return entered

    @staticmethod
    def end(tensors):
        for x in tensors:
            x.node.ended = True  # says something of leaves only

    def outputs(self, floating=True):
        """The tensors that func returned."""
        found = leaves(self.result)
        if not found:
            raise RuntimeError(f"{self.name}: func returned nothing that could be differentiated: {self.result!r}")
        for y in found:
            if not isinstance(y, Tensor):
                raise RuntimeError(f"{self.name}: func must return Tensors only, got {kind(y)}")
            if floating and not y.is_floating_point():
                raise RuntimeError(f"{self.name}: func must return floating-point Tensors, got one of {y.dtype}")
        return found

    def pull(self, ys, vs, recorded=None):
        """The gradients of Σ v·y with respect to the inputs, zeros where y does not depend on one."""
        if recorded is None:
            recorded = self.recording and live(*ys, *vs)
        return [
            zeros(x) if dx is None else dx for x, dx in zip(self.inputs, self._walk(ys, self.inputs, vs, recorded), strict=True)
        ]

    def push_by(self, ys):
        """The function that sends tangents of the inputs forward, to those of ys (None where y does not depend on an input).

        vᵀJ is linear in v, so its gradient with respect to v, walked back from a tangent t, is J t.
        """
        with enable_grad():
            vs = [zeros(y).requires_grad_(y.is_floating_point()) for y in ys]
            pulled = self.pull(ys, vs, recorded=True)
        self.end([v for v in vs if v.requires_grad])

        def push(tangents):
            recorded = self.recording and live(*pulled, *tangents)
            return self._walk(pulled, vs, tangents, recorded)

        return push

    @staticmethod
    def _walk(ys, xs, vs, recorded):
        pairs = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
        wanted = [x for x in xs if x.requires_grad]
        if not pairs or not wanted:
            return [None] * len(xs)
        ys, vs = zip(*pairs, strict=True)
        found = iter(autograd.grad(ys, wanted, vs, retain_graph=True, create_graph=recorded, allow_unused=True))
        return [next(found) if x.requires_grad else None for x in xs]

    def leave(self, tree):
        """The tree as the caller may have it: with its graph where it is live for him."""
        return map_leaves(lambda x: x.detach() if isinstance(x, Tensor) and not (self.recording and live(x)) else x, tree)


def live(*tensors):
    """Whether a way leads from one of the tensors to a leaf that has not ended."""
    seen, stack = set(), [x.node for x in tensors]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        if type(node) is Leaf and not getattr(node, "ended", False):
            return True
        seen.add(node)
        stack.extend(node.needs or ())
    return False


def positions(name, argnums, count):
    """argnums as a tuple of different numbers from 0 to count - 1."""
    chosen = as_ints(argnums)
    chosen = chosen if isinstance(argnums, tuple) else (chosen,)
    if not all(type(i) is int for i in chosen):
        raise RuntimeError(f"{name}: argnums must be a number or a tuple of numbers, got {argnums!r}")
    if not chosen:
        raise RuntimeError(f"{name}: argnums must not be empty")
    for i in chosen:
        if not -count <= i < count:
            raise RuntimeError(f"{name}: argnums names argument {i}, but there are only {count} positional arguments")
    chosen = tuple(i % count for i in chosen)
    if len(set(chosen)) < len(chosen):
        raise RuntimeError(f"{name}: argnums must name each argument once, got {argnums!r}")
    return chosen


def zeros(x):
    return wrap(np.zeros(x.shape, x.dtype))


def kind(x):
    return f"a Tensor of shape {x.shape}" if isinstance(x, Tensor) else type(x).__name__
