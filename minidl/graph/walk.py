"""The walk back: sends cotangents from the outputs to the leaves.

Why it goes from the newest node to the oldest: take

    b = a + a
    c = b + b

An input exists before the output that is made from it. So everything that used a node is newer than the node. The walk goes
from the newest node to the oldest: when it comes to a node, all shares of its gradient have arrived. Here `b` receives
1 + 1 = 2 from `c` and sends 2 + 2 = 4 to `a`, in one step. In another order `b` might send its first share before the second
arrives.
"""

from heapq import heappop, heappush

import numpy as np
from numpy import ndarray

from ..kernels.memory import Block
from .modes import SILENT, float_errors, mode
from .nodes import Leaf, Part, walked_before
from .uses import Uses
from .writes import _writes, check_unchanged


def walk(seeds, retain_graph=False, wanted=(), complete=None):
    """Sends the cotangents `seeds` ({node: dy}) back to the leaves.

    Returns {node: gradient} for the leaves, for the nodes that retain their gradient, and for the `wanted` nodes. The arrays
    share memory with nothing else. If nodes are wanted, only the gradients on the ways to them are computed. After an operation
    has sent its gradients, it drops what it had saved, unless `retain_graph`.

    complete(leaf, dy), if given, is called for each leaf with hooks `after` as soon as its last share has arrived, while the
    walk goes on; such a leaf is then not in the result. Not if nodes are wanted.
    """
    before = float_errors.get()
    try:
        float_errors.set(SILENT)  # infinities and NaNs are results here as in PyTorch, not warnings
        useful = leading_to(wanted, seeds) if wanted else None
        if useful is not None:
            seeds = {node: dy for node, dy in seeds.items() if node in useful}
        uses = Uses(seeds) if complete is not None and useful is None else None
        found = _walk(seeds, retain_graph, wanted, useful, uses, complete)
    finally:
        float_errors.set(before)
    return found


def _walk(seeds, retain_graph, wanted, useful, uses, complete):
    pending = dict(seeds)  # node -> the gradient that has arrived so far
    shared = set(seeds)  # nodes whose pending array is also used elsewhere: adding to it in place would change that, too
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
            found[node] = _copy(dy, watch) if node in shared else dy
        if useful is not None and not leads_on(node, useful):
            continue
        if type(node) is Part:
            op = node.needs[0]
            if op not in pending:
                pending[op] = [None] * op.outputs
                enqueue(queue, op)
            others = pending[op][node.index]  # an array if this output has two nodes (double_backward)
            pending[op][node.index] = dy if others is None else _sum(others, dy, watch)
            continue
        if node.serial < _writes.newest:
            check_unchanged(node)
        if watch is not None:
            watch.before_backward(node, dy)
        try:
            gradients = node.backward(dy) if useful is None else _backward_for(node, dy, useful)
        except BaseException:
            if watch is not None:
                watch.failed(node)
            raise
        if type(gradients) is not tuple:
            gradients = (gradients,)
        if watch is not None:
            gradients = tuple([None if dx is None else np.asarray(dx) for dx in gradients])  # not NumPy's scalars
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
                if dx is dy or not (dx.base is None or type(dx.base) is Block):  # dy itself, or a view
                    shared.add(parent)
                if type(parent) is not Leaf:
                    enqueue(queue, parent)
            elif parent in shared:
                pending[parent] = _sum(pending[parent], dx, watch)
                shared.discard(parent)
            else:
                pending[parent] += dx
                if watch is not None:
                    watch.summed(pending[parent], dx, pending[parent])
        if uses is not None:
            for leaf in uses.completed(node):
                if leaf in pending:
                    complete(leaf, _arrived(leaf, pending.pop(leaf), shared))
        if not retain_graph:
            release(node)
    for leaf, dy in pending.items():  # only leaves are left
        if leaf.hooks:
            dy = run_hooks(leaf, dy)
            shared.add(leaf)
        found[leaf] = _copy(dy, watch) if leaf in shared else dy
    return found


def _sum(total, dx, watch):
    result = np.asarray(total + dx)
    if watch is not None:
        watch.summed(total, dx, result)
    return result


def _copy(dy, watch):
    result = dy.copy()
    if watch is not None:
        watch.copied(dy, result)
    return result


def _arrived(leaf, dy, shared):
    """The same for one leaf."""
    if leaf.hooks:
        return run_hooks(leaf, dy).copy()
    return dy.copy() if leaf in shared else dy


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
    useful = {node for node in reached if node in wanted or node.needs is None}  # a released node no longer knows its inputs
    for node in sorted((n for n in reached if n.needs), key=lambda n: n.serial):
        if leads_on(node, useful):
            useful.add(node)
    return useful


def leads_on(node, useful):
    """Whether a useful node is among the node's inputs."""
    return not useful.isdisjoint(node.needs or (node,))


def _backward_for(node, dy, useful):
    """node.backward(dy), without the gradients that lead to no wanted node."""
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
        walked_before(node)


def release(op):
    """Drops the arrays that an operation has saved, and its inputs' nodes. A gradient that it retains is kept."""
    op.__dict__ = {"needs": None, "retains": True, "grad": op.grad} if op.retains else {"needs": None}


def run_hooks(node, dy):
    """dy after the hooks of a node: a hook may replace it. dy is an array, or in a recorded walk a tensor."""
    for hook in list(node.hooks.values()):
        result = hook(dy)
        if result is not None:
            if result.shape != dy.shape:
                raise RuntimeError(f"hook on {node.name}: expected a gradient of shape {dy.shape}, got {result.shape}")
            dy = result
    return dy
