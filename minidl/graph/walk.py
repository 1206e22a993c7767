"""The walk back: sends cotangents from the outputs to the leaves.

Why it goes from the newest node to the oldest: take

    b = a + a
    c = b + b

Every input exists before the output made from it, so the order of creation is already a topological order. Walked newest first,
a node is reached only after everything that used it has sent its share, and `b` hands on 2 once rather than 1 twice.
"""

from heapq import heappop, heappush

import numpy as np
from numpy import ndarray

from ..kernels.memory import Block
from .modes import SILENT, float_errors, mode
from .nodes import Leaf, Part
from .writes import _writes, check_unchanged


def walk(seeds, retain_graph=False, wanted=()):
    """Sends the cotangents `seeds` ({node: dy}) back to the leaves.

    Returns {node: gradient} for the leaves, for the nodes that retain theirs and for the `wanted` ones; these arrays belong to
    the caller alone. If some are wanted, only what leads to them is computed. Operations are released as they are passed,
    unless `retain_graph`.
    """
    before = float_errors.get()
    try:
        float_errors.set(SILENT)  # infinities and NaNs are results here as in PyTorch, not warnings
        useful = leading_to(wanted, seeds) if wanted else None
        if useful is not None:
            seeds = {node: dy for node, dy in seeds.items() if node in useful}
        found = _walk(seeds, retain_graph, wanted, useful)
    finally:
        float_errors.set(before)
    return found


def _walk(seeds, retain_graph, wanted, useful):
    pending = dict(seeds)  # node -> the gradient that has arrived so far
    shared = set(seeds)  # nodes whose pending array others hold, too: it may not be added to in place, nor given away
    queue = []  # the operations among the pending nodes, the newest at the top of the heap
    found = {}
    watch = mode.watch
    for node in seeds:
        enqueue(queue, node)
    while queue:
        node = heappop(queue)[1]
        dy = pending.pop(node)
        if node.hooks:
            dy = run_hooks(node, dy)
            shared.add(node)
        if node.retains or (wanted and node in wanted):
            found[node] = dy.copy() if node in shared else dy
        if useful is not None and not leads_on(node, useful):
            continue
        if type(node) is Part:
            op = node.needs[0]
            if op not in pending:
                pending[op] = [None] * op.outputs
                enqueue(queue, op)
            others = pending[op][node.index]  # an output may have several nodes: a gradient of a gradient makes one anew
            pending[op][node.index] = dy if others is None else np.asarray(others + dy)
            continue
        if node.serial < _writes.newest:
            check_unchanged(node)
        if watch is not None:
            watch.before_backward(node, dy)
        gradients = node.backward(dy) if useful is None else _backward_for(node, dy, useful)
        if type(gradients) is not tuple:
            gradients = (gradients,)
        if watch is not None:
            watch.after_backward(node, gradients)
        for parent, dx in zip(node.needs, gradients):  # noqa: B905 (strict=True would cost as much as the loop)
            if parent is None or dx is None:
                continue
            if type(dx) is not ndarray:
                dx = np.asarray(dx)  # arithmetic on 0-d arrays makes NumPy scalars
            if dx.shape != parent.shape:
                raise RuntimeError(f"{node.name}.backward: a gradient of shape {dx.shape} for an input of {parent.shape}")
            if watch is not None:
                watch.share(node, parent, dx, dy)
            if parent not in pending:
                pending[parent] = dx
                if dx is dy or not (dx.base is None or type(dx.base) is Block):  # anything but an array of its own
                    shared.add(parent)
                if type(parent) is not Leaf:
                    enqueue(queue, parent)
            elif parent in shared:
                pending[parent] = np.asarray(pending[parent] + dx)
                shared.discard(parent)
            else:
                pending[parent] += dx
        if not retain_graph:
            release(node)
    for leaf, dy in pending.items():  # what is left has no way on
        if leaf.hooks:
            dy = run_hooks(leaf, dy)
            shared.add(leaf)
        found[leaf] = dy.copy() if leaf in shared else dy
    return found


def leading_to(wanted, seeds):
    """The nodes between the seeds and the wanted ones, both included: those from which a way leads back to a wanted one.

    None stands for all of them: every way from the seeds ends in a wanted leaf.
    """
    reached, stack, all_ends_wanted = {None}, list(seeds), True
    while stack:
        node = stack.pop()
        if node not in reached:
            reached.add(node)
            if node.needs:
                stack += node.needs
            elif node not in wanted:
                all_ends_wanted = False
    if all_ends_wanted:
        return None
    reached.discard(None)
    useful = {node for node in reached if node in wanted or node.needs is None}  # of a released one nobody knows where it led
    for node in sorted((n for n in reached if n.needs), key=lambda n: n.serial):
        if leads_on(node, useful):
            useful.add(node)
    return useful


def leads_on(node, useful):
    """Whether the gradient of one of the node's inputs is of use."""
    return not useful.isdisjoint(node.needs or (node,))


def _backward_for(node, dy, useful):
    """node.backward(dy) as if nobody had asked for the gradients that are of no use."""
    needs = [parent if parent in useful else None for parent in node.needs]
    if needs == node.needs:
        return node.backward(dy)
    twin = object.__new__(type(node))
    twin.__dict__ = {**vars(node), "needs": needs}
    gradients = twin.backward(dy)
    gradients = gradients if type(gradients) is tuple else (gradients,)
    return tuple([dx if parent else None for parent, dx in zip(needs, gradients, strict=False)])


def enqueue(queue, node):
    if node.needs:
        heappush(queue, (-node.serial, node))
    elif node.needs is None:
        raise RuntimeError(
            f"backward: this graph has been walked before and {node.name} has dropped what it had saved. "
            "Pass retain_graph=True to the first backward, or compute the loss again."
        )


def release(op):
    """Drops all that an operation saved, and its way to older nodes; a gradient that was asked for stays."""
    op.__dict__ = {"needs": None, "retains": True, "grad": op.grad} if op.retains else {"needs": None}


def run_hooks(node, dy):
    """dy, an array or a tensor of a recorded walk, as the hooks of a node leave it."""
    for hook in list(node.hooks.values()):
        result = hook(dy)
        if result is not None:
            if result.shape != dy.shape:
                raise RuntimeError(f"hook on {node.name}: expected a gradient of shape {dy.shape}, got {result.shape}")
            dy = result
    return dy
