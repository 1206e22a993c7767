"""The walk back in operations on tensors, which are recorded: gradients that can be differentiated again."""

import copy
from collections import Counter
from heapq import heappop

import numpy as np

from .. import ops
from ..graph.modes import SILENT, float_errors, mode
from ..graph.nodes import Leaf, Part
from ..graph.walk import enqueue, leading_to, leads_on, run_hooks
from ..graph.writes import check_unchanged, written_since
from ..tensors.record import TensorBase, apply, wrap
from .composites import COMPOSITES
from .linear import Adjoint
from .reading import parameters, with_tensors
from .rules import RULES


def walk(seeds, wanted=()):
    """Sends the cotangents `seeds` ({node: tensor}) back, as `graph.walk` does, by operations that are recorded.

    Returns {node: gradient, a tensor} for the leaves, the nodes that retain their gradient, and the `wanted` nodes. If nodes
    are wanted, only the gradients on the ways to them are computed. Operations keep what they have saved.
    """
    recording, before = mode.recording, float_errors.get()
    try:
        mode.recording = True
        float_errors.set(SILENT)
        useful = leading_to(wanted, seeds) if wanted else None
        if useful is not None:
            seeds = {node: dy for node, dy in seeds.items() if node in useful}
        found = _walk(seeds, wanted, useful)
    finally:
        float_errors.set(before)
        mode.recording = recording
    return found


def _walk(seeds, wanted, useful):
    pending, queue, found = dict(seeds), [], {}
    for node in seeds:
        enqueue(queue, node)
    while queue:
        node = heappop(queue)[1]
        dy = pending.pop(node)
        if node.hooks:
            dy = run_hooks(node, dy)
        if node.retains or node in wanted:
            found[node] = dy
        if useful is not None and not leads_on(node, useful):
            continue
        if type(node) is Part:
            op = node.needs[0]
            if op not in pending:
                pending[op] = [None] * op.outputs
                enqueue(queue, op)
            others = pending[op][node.index]
            pending[op][node.index] = dy if others is None else others + dy
            continue
        if written_since(node.serial):
            check_unchanged(node)
        watch = mode.watch
        if watch is not None:
            watch.before_backward(node, _arrays(dy))
        needs = node.needs if useful is None else [parent if parent in useful else None for parent in node.needs]
        gradients = backward(node, dy, needs)
        if watch is not None:
            watch.after_backward(node, tuple(_arrays(list(gradients))))
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
        if leaf.hooks:
            dy = run_hooks(leaf, dy)
        found[leaf] = dy
    holders = Counter(id(x.array) for x in (*found.values(), *seeds.values()))
    alone = {node for node, dx in found.items() if dx.array.base is None and holders[id(dx.array)] == 1}
    return {node: dx if node in alone else dx.clone() for node, dx in found.items()}  # each with memory of its own


def _arrays(dy):
    """What an observer receives for dy: the array of a tensor, a list of arrays for a list of tensors, None for None."""
    return [_arrays(d) for d in dy] if isinstance(dy, list) else None if dy is None else dy.array


def backward(op, dy, needs):
    """`op.backward` in tensors: a tuple of gradients for the inputs that `needs` names, each a tensor or None."""
    try:
        if hasattr(op, "backward_recorded"):
            gradients = op.backward_recorded(dy, needs)
        elif op.linear:
            gradients = apply(Adjoint(op), dy)
        else:
            composite, rule = COMPOSITES.get(type(op)), RULES.get(type(op))
            if composite:
                return of_composite(composite, op, dy, needs)
            twin = with_tensors(op, needs)
            gradients = rule(twin, dy) if rule else twin.backward(dy)
    except NotImplementedError as error:
        raise NotImplementedError(f"{op.name}: its gradient cannot be differentiated: {error}") from None
    gradients = gradients if type(gradients) is tuple else (gradients,)
    return [dx if dx is None or isinstance(dx, TensorBase) else wrap(np.asarray(dx)) for dx in gradients]


def of_composite(composite, op, dy, needs):
    """The gradients of the same formula, written in primitive operations."""
    twin, inputs = copy.copy(op), []
    for name, node, need in zip(parameters(type(op))[0], op.needs, needs, strict=False):
        if vars(op).get(name) is not None:
            x = wrap(getattr(op, name), node)
            x = x if need is None else apply(ops.Reshape(x.shape), x)  # a new node: one input may be made of another
            setattr(twin, name, x)
        inputs.append(None if need is None else x.node)
    outputs, seeds = composite(twin), {}
    for y, d in zip(*((outputs, dy) if isinstance(dy, list) else ((outputs,), (dy,))), strict=True):
        if d is not None and y.node is not None:
            seeds[y.node] = seeds[y.node] + d if y.node in seeds else d
    found = walk(seeds, {node for node in inputs if node is not None})
    return [None if node is None else found.get(node) for node in inputs]
