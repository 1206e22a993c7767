"""Gradients that have a graph of their own, so that they can be differentiated again: what `create_graph=True` does.

A backward is written once, in `ops/`, for arrays: that is what runs in training, and what one reads. It is a text of array
mathematics, and the same text says what to do with tensors. So it is read a second time, with tensors where arrays were saved,
and with `np` and `kernels` meaning the operations of the same names (`names`); what it computes is then recorded as anything
else is, and gradients of gradients of any order are walks along what was recorded.

Two kinds of backward are not read again. Of a linear operation y = A x it is dx = Aᵀ dy, and the gradient of that is A:
`Adjoint`. And a few texts are for arrays alone (they write in place, or read what is no input and no output): `again` tells
those once more.
"""

import functools
import inspect
import sys
from heapq import heappop
from types import FunctionType

import numpy as np

from .. import kernels, ops
from ..graph.modes import SILENT, float_errors, mode
from ..graph.nodes import Leaf, Part
from ..graph.walk import enqueue
from ..graph.writes import check_unchanged, written_since
from ..tensors.record import TensorBase, apply, wrap
from .linear import Adjoint, Unknown
from .meanings import KERNELS, NUMPY
from .rules import RULES


def walk(seeds, wanted=()):
    """Sends the cotangents `seeds` ({node: tensor}) back, as `graph.walk` does, by operations that are recorded.

    Returns {node: gradient, a tensor} for the leaves, the nodes that retain theirs and the `wanted` ones; if some are wanted,
    only what leads to them is computed. Nothing is released.
    """
    recording, mode.recording = mode.recording, True
    token = float_errors.set(SILENT)
    try:
        return _walk(seeds, set(wanted), _leading_to(wanted, seeds) if wanted else None)
    finally:
        float_errors.reset(token)
        mode.recording = recording


def _walk(seeds, wanted, useful):
    pending, queue, found = dict(seeds), [], {}
    for node in seeds:
        enqueue(queue, node)
    while queue:
        node = heappop(queue)[1]
        dy = pending.pop(node)
        for hook in list((node.hooks or {}).values()):
            dy = _given(hook(dy), dy)
        if node.retains or node in wanted:
            found[node] = dy
        if type(node) is Part:
            op = node.needs[0]
            if op not in pending:
                pending[op] = [None] * op.outputs
                enqueue(queue, op)
            pending[op][node.index] = dy
            continue
        if written_since(node.serial):
            check_unchanged(node)
        needs = node.needs if useful is None else [parent if parent in useful else None for parent in node.needs]
        if not any(needs):
            continue
        watch = mode.watch
        if watch is not None:
            watch.before_backward(node, _arrays(dy))
        gradients = backward(node, dy, needs)
        if watch is not None:
            watch.after_backward(node, tuple(_arrays(gradients)))
        for parent, dx in zip(needs, gradients, strict=False):
            if parent is None or dx is None:
                continue
            if dx.shape != parent.shape:
                raise RuntimeError(f"{node.name}: a gradient of shape {dx.shape} for an input of {parent.shape}")
            if watch is not None:
                watch.share(node, parent, dx.array, _arrays(dy))
            if parent in pending:
                pending[parent] = pending[parent] + dx
            else:
                pending[parent] = dx
                if type(parent) is not Leaf:
                    enqueue(queue, parent)
    for leaf, dy in pending.items():
        for hook in list((leaf.hooks or {}).values()):
            dy = _given(hook(dy), dy)
        found[leaf] = dy
    return {node: _own(dx, seeds, found) for node, dx in found.items()}


def _arrays(dy):
    """What an observer is told: the array of a tensor, those of the tensors of a list, None for None."""
    return [_arrays(d) for d in dy] if isinstance(dy, list) else None if dy is None else dy.array


def _given(result, dy):
    return dy if result is None else result


def _own(dx, seeds, found):
    """The gradient in memory that no other shares."""
    alone = dx.array.base is None and sum(dx.array is other.array for other in (*found.values(), *seeds.values())) == 1
    return dx if alone else dx.clone()


def _leading_to(wanted, seeds):
    """The nodes from which a way leads back to a wanted one."""
    reached, stack = set(), list(seeds)
    while stack:
        node = stack.pop()
        if node is not None and node not in reached:
            reached.add(node)
            stack.extend(node.needs or ())
    useful = set(wanted)
    for node in sorted((n for n in reached if n.needs), key=lambda n: n.serial):
        if any(parent in useful for parent in node.needs):
            useful.add(node)
    return useful


def backward(op, dy, needs):
    """`op.backward` in tensors: a tuple of gradients for the inputs that `needs` names, each a tensor or None."""
    try:
        if hasattr(op, "backward_recorded"):
            gradients = op.backward_recorded(dy)
        elif op.linear:
            gradients = apply(Adjoint(op), dy)
        else:
            twin = with_tensors(op, wrap, needs)
            told = RULES.get(type(op))
            gradients = told(twin, dy) if told else twin.backward(dy)
    except NotImplementedError as error:
        raise NotImplementedError(f"{op.name}: its gradient cannot be differentiated: {error}") from None
    gradients = gradients if type(gradients) is tuple else (gradients,)
    return [dx if dx is None or isinstance(dx, TensorBase) else wrap(np.asarray(dx)) for dx in gradients]


def with_tensors(op, wrap, needs):
    """A copy of the operation that holds a tensor for each input and output that was saved; its methods mean tensors, too.

    A saved array is known by its name: it is called as the parameter of `forward` that it came in by, and an output is `y`.
    What else was saved of numbers must not be differentiated, unless it is an option, or said to be constant.
    """
    twin = object.__new__(_class_of_tensors(type(op)))
    state = twin.__dict__ = {**vars(op), "needs": needs, "inputs": op.needs}
    names, several, options = _parameters(type(op))
    saved = {name: np.asarray(value) for name, value in vars(op).items() if isinstance(value, (np.ndarray, np.floating))}
    inputs = {name: node for name, node in zip(names, op.needs, strict=False) if name in saved}
    state |= {name: saved[name] if node is None else wrap(saved[name], node) for name, node in inputs.items()}
    if several in state:
        state[several] = [x if node is None else wrap(x, node) for x, node in zip(state[several], op.needs, strict=True)]
    for name in saved.keys() - inputs.keys() - options - {*op.constants, "y"}:
        if saved[name].dtype.kind == "f":
            state[name] = wrap(saved[name], Unknown(op, name, saved[name].shape))
    if "y" in saved:  # saved with axes that the result has not, it is reshaped in the graph, too
        y = saved["y"]
        state["y"] = wrap(y, op) if y.shape == op.shape else wrap(y.reshape(op.shape), op).reshape(y.shape)
    return twin


@functools.cache
def _parameters(cls):
    """The names of the inputs of forward; that of *inputs, or None; and those of the options."""
    inputs = list(inspect.signature(cls.forward).parameters.values())[1:]
    several = [p.name for p in inputs if p.kind is p.VAR_POSITIONAL]
    names, options = [p.name for p in inputs if p.name not in several], set(inspect.signature(cls).parameters)
    return names, several[0] if several else None, options - set(names)


# --- the same text in other words: a function's globals are where it looks up `np`, `kernels` and its helpers


@functools.cache
def _class_of_tensors(cls):
    members = {}
    for base in cls.__mro__[-3::-1]:  # from the oldest below Op and object
        names = _globals_of_tensors(base.__module__)
        members |= {name: _rebound(value, names) for name, value in vars(base).items() if type(value) is FunctionType}
    return type(cls.__name__, (cls,), members)


_GLOBALS = {}


def _globals_of_tensors(module):
    """The names of a module of operations, as they are for tensors."""
    if module in _GLOBALS:
        return _GLOBALS[module]
    names = dict(vars(sys.modules[module]))
    for name, value in names.items():
        if value is np or value is kernels:
            names[name] = NUMPY if value is np else KERNELS
        elif type(value) is FunctionType and value.__module__ == module:
            names[name] = _rebound(value, names)
        elif isinstance(value, type) and issubclass(value, ops.Op) and value.__module__ != module:
            names[name] = _class_of_tensors(value)
    if module.startswith(ops.__name__):
        _GLOBALS[module] = names  # another module may go on, as a notebook does
    return names


def _rebound(function, names):
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
