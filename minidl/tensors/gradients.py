"""A tensor in the graph: requires_grad, `backward`, `.grad`, hooks, and the ways out of the graph (detach, data, clone)."""

import copy
import warnings
import weakref
from typing import Any

import numpy as np

from .. import double_backward, ops
from ..graph.modes import mode, watchers
from ..graph.nodes import Leaf, calls, next_serial
from ..graph.walk import walk
from ..graph.writes import note_write
from . import dtypes
from .record import TensorBase, apply, operand, wrap


class Gradients:
    """What makes a tensor part of the graph."""

    _frozen = None  # after requires_grad_(False): the Leaf with the .grad and the hooks, used again by requires_grad_()

    @property
    def requires_grad(self):
        """Whether operations on this tensor are recorded, so that it takes part in backward(). Can be set on a leaf.

        >>> import minidl
        >>> w, x = minidl.ones(2, requires_grad=True), minidl.ones(2)
        >>> x.requires_grad, (w * x).requires_grad
        (False, True)
        """
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted):
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad=True):
        """Makes this tensor a leaf that collects its gradient in `.grad`, or a constant again.

        It is a switch. After `requires_grad_(False)` the tensor is frozen: operations take it for a constant. Its `.grad`, its
        hooks and the graphs made before stay, and are used again when it requires grad again.

        >>> import minidl
        >>> w = minidl.tensor([1., 2.], requires_grad=True)
        >>> (w * 3).sum().backward()
        >>> w.requires_grad_(False).grad
        tensor([3., 3.])
        >>> (w.requires_grad_() * 3).sum().backward()
        >>> w.grad
        tensor([6., 6.])
        """
        if requires_grad and self.node is None:
            if self.array.dtype.kind != "f":
                raise TypeError(
                    f"requires_grad: only floating-point tensors can require gradients, got {self.dtype} "
                    "(write [1., 2.] or dtype=minidl.float32)"
                )
            self.node = self._frozen or Leaf(self.array.shape, self.array.dtype)
            self.node.owner = weakref.ref(self)
            self._frozen = None
        elif not requires_grad and self.node is not None:
            if not self.is_leaf:
                raise RuntimeError("requires_grad: only a leaf can stop requiring grad; use .detach() on a result")
            self._frozen, self.node = self.node, None
        return self

    @property
    def is_leaf(self):
        """True if the user made the tensor; False for the result of an operation on something that requires grad.

        >>> import minidl
        >>> w = minidl.ones(2, requires_grad=True)
        >>> w.is_leaf, (w * 2).is_leaf
        (True, False)
        """
        return self.node is None or type(self.node) is Leaf

    @property
    def grad_fn(self) -> Any:
        """The operation that made this tensor, a node of the graph; None for a leaf.

        >>> import minidl
        >>> w = minidl.ones(2, requires_grad=True)
        >>> (w * 2).grad_fn
        <MulBackward0>
        """
        return None if self.is_leaf else self.node

    @property
    def grad(self) -> Any:
        """The sum of the gradients of all backward() calls so far, a Tensor, or None.

        Only leaves keep theirs, and results after retain_grad(). Set it to None to begin again.

        >>> import minidl
        >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> w.grad
        tensor([2., 4.])
        """
        node = self.node or self._frozen
        if node is None:
            return None
        if not node.retains:
            warnings.warn(
                ".grad of the result of an operation is not kept, and None: call retain_grad() on it before backward()",
                stacklevel=2,
            )
        return node.grad

    @grad.setter
    def grad(self, grad):
        if grad is not None and (not isinstance(grad, TensorBase) or grad.shape != self.shape or grad.dtype != self.dtype):
            raise TypeError(f"grad: expected None or a {self.dtype} Tensor of shape {self.shape}, got {grad!r}")
        node = self.node or self._frozen
        if node is None and grad is not None:
            if not self.is_floating_point():
                raise RuntimeError(f"grad: only floating-point tensors have gradients, this is one of {self.dtype}")
            node = self._frozen = Leaf(self.array.shape, self.array.dtype)
        if node is not None:
            node.grad = grad

    @grad.deleter
    def grad(self):
        self.grad = None

    def retain_grad(self):
        """Asks that backward() also keep the gradient of this result in `.grad`.

        >>> import minidl
        >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
        >>> y = w * 3
        >>> y.retain_grad()
        >>> (y * y).sum().backward()
        >>> y.grad
        tensor([ 6., 12.])
        """
        if self.node is None:
            raise RuntimeError("retain_grad: this tensor does not require grad")
        self.node.retains = True

    @property
    def retains_grad(self):
        """Whether retain_grad() was called on this result.

        >>> import minidl
        >>> y = minidl.ones(2, requires_grad=True) * 3
        >>> y.retain_grad()
        >>> y.retains_grad
        True
        """
        return self.node is not None and self.node.retains and not self.is_leaf

    def register_hook(self, hook):
        """Calls hook(grad) when the gradient of this tensor is known. If it returns a Tensor, that replaces the gradient.

        Returns a handle; its `remove()` removes the hook.

        >>> import minidl
        >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
        >>> handle = w.register_hook(lambda grad: grad * 10)
        >>> w.sum().backward()
        >>> w.grad
        tensor([10., 10.])
        """
        if self.node is None:
            raise RuntimeError("register_hook: this tensor does not require grad")
        node, key = self.node, next_serial()

        def on_gradient(dy):
            if type(dy) is not np.ndarray:  # of a walk with create_graph
                return hook(dy)
            result = hook(wrap(dy.copy()))  # a copy, because others may be sent the same array
            return None if result is None else result.array

        node.hooks = {**(node.hooks or {}), key: on_gradient}
        calls.hooks += 1
        return HookHandle(node, key)

    def backward(self, gradient=None, retain_graph=False, create_graph=False, inputs=None):
        """Adds ∂self/∂leaf to the `.grad` of every leaf this tensor was made from (or of `inputs` only).

        gradient: the cotangent ∂L/∂self, of this tensor's shape; 1 by default, for a scalar only.

        >>> import minidl
        >>> x = minidl.tensor([1., 2.], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
        """
        wanted = ()
        if inputs is not None:
            wanted = {x.node for x in ([inputs] if isinstance(inputs, TensorBase) else inputs)}
            if not wanted or None in wanted:
                raise RuntimeError("backward: inputs must be one or more tensors that require grad")
        if create_graph:
            self._backward_recorded(gradient, wanted)
            return
        accumulate({self.node: cotangent("backward", self, gradient)}, retain_graph, wanted)

    def _backward_recorded(self, gradient, wanted):
        accumulate_recorded({self.node: recorded_cotangent("backward", self, gradient)}, wanted)

    def register_post_accumulate_grad_hook(self, hook):
        """Calls hook(tensor) when the `.grad` of this leaf is complete, within backward(). Returns a handle with `remove()`.

        >>> import minidl
        >>> w = minidl.ones(1, requires_grad=True)
        >>> handle = w.register_post_accumulate_grad_hook(lambda w: print(w.grad))
        >>> (w * 3).sum().backward()
        tensor([3.])
        """
        if self.node is None or not self.is_leaf:
            raise RuntimeError(
                "register_post_accumulate_grad_hook: expected a leaf that requires grad; for a result use register_hook"
            )
        node, key = self.node, next_serial()
        node.after, calls.expected = {**(node.after or {}), key: hook}, True
        calls.hooks += 1
        return HookHandle(node, key, "after")

    def detach(self):
        """A constant that shares this tensor's memory: no gradient flows through it.

        >>> import minidl
        >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
        >>> w.detach()
        tensor([1., 2.])
        >>> (w * w.detach()).sum().backward()
        >>> w.grad
        tensor([1., 2.])
        """
        return wrap(self.array)

    def detach_(self):
        """Removes this tensor itself from the graph. A leaf no longer requires grad.

        >>> import minidl
        >>> y = minidl.ones(2, requires_grad=True) * 3
        >>> y.detach_()
        tensor([3., 3.])
        """
        if self.is_leaf:
            return self.requires_grad_(False)
        self.node = None
        return self

    @property
    def data(self):
        """A constant that shares this tensor's memory: writing to it changes this tensor, and nothing is recorded.

        >>> import minidl
        >>> w = minidl.ones(2, requires_grad=True)
        >>> w.data[0] = 5.0
        >>> w
        tensor([5., 1.], requires_grad=True)
        """
        return wrap(self.array)

    @data.setter
    def data(self, value):
        if not isinstance(value, TensorBase) or (self.node is not None and not value.is_floating_point()):
            kind = value.dtype if isinstance(value, TensorBase) else type(value).__name__
            raise TypeError(f"data: expected a Tensor{'' if self.node is None else ' of floating-point numbers'}, got {kind}")
        self.array = value.array
        leaf = self.node or self._frozen
        if type(leaf) is Leaf:
            leaf.shape, leaf.dtype = value.shape, value.dtype

    def clone(self, *, memory_format=dtypes.preserve_format):
        """A copy with memory of its own. It is recorded: the gradient of the copy flows to this tensor.

        >>> import minidl
        >>> x = minidl.tensor([1.0, 2.0])
        >>> y = x.clone()
        >>> y[0] = 9.0
        >>> x, y
        (tensor([1., 2.]), tensor([9., 2.]))
        """
        result = apply(ops.Clone(), self)
        return result if memory_format is dtypes.preserve_format else result.contiguous(memory_format=memory_format)

    # --- copies: of leaves. A pickle has no .grad, a deepcopy of a tensor has, and one of a Parameter has not, as in PyTorch.

    def __getstate__(self):
        """For pickle and copy: a leaf's attributes, without its place in the graph."""
        if not self.is_leaf:
            raise RuntimeError("only a leaf tensor can be deep-copied or pickled: use .detach() or .clone() on a result")
        state = {key: value for key, value in vars(self).items() if key not in ("base", "views", "node", "_frozen")}
        return {**state, "requires_grad": self.requires_grad}

    def __setstate__(self, state):
        """For pickle and copy: makes this tensor what `__getstate__` gave."""
        requires_grad = state.pop("requires_grad", False)
        vars(self).update(state)
        if requires_grad:
            self.requires_grad_()

    def __copy__(self):
        """A second name, of the same memory: of a result at the same place in the graph, of a leaf a leaf of its own."""
        if not self.is_leaf:  # a view of all of it: when one of the names is written, the other's place in the graph follows
            result = self._view(ops.Permute, tuple(range(self.array.ndim)))
            result.node = self.node
            return result
        result = object.__new__(type(self))
        result.__setstate__(self.__getstate__())
        return result

    def __deepcopy__(self, memo):
        """For copy.deepcopy: a leaf with memory and a .grad of its own."""
        result = self._copy(memo)
        result.grad = copy.deepcopy(self.grad, memo)
        return result

    def _copy(self, memo):
        result = memo[id(self)] = object.__new__(type(self))
        result.__setstate__({key: copy.deepcopy(value, memo) for key, value in self.__getstate__().items()})
        return result


class HookHandle:
    """What register_hook returns: `remove()` removes the hook."""

    def __init__(self, node, key, place="hooks"):
        self.node, self.key, self.place = node, key, place

    def remove(self):
        hooks = getattr(self.node, self.place) or {}
        setattr(self.node, self.place, {key: hook for key, hook in hooks.items() if key != self.key})


def accumulate(seeds, retain_graph, wanted):
    """Walks back from the seeds, {node: array}, and adds what arrives to the `.grad` of the leaves, or of the wanted nodes."""
    if calls.expected:
        with calls.in_backward():
            _add(walk(seeds, retain_graph, wanted, lambda leaf, dx: _add({leaf: dx})), wanted)
    else:
        _add(walk(seeds, retain_graph, wanted), wanted)


def _add(gradients, wanted=()):
    for node, dx in gradients.items():
        if wanted and node not in wanted:
            continue
        if type(node) is Leaf and dx.dtype is not node.dtype and dx.dtype != node.dtype:
            raise RuntimeError(f"backward: a gradient of dtype {dx.dtype} arrived at a leaf of dtype {node.dtype}")
        before = node.grad
        if before is None:
            node.grad = wrap(dx)
        else:
            before.array += dx
        if watchers and mode.watch is not None:
            mode.watch.accumulated(node, dx)
        if before is not None:
            note_write(before.array)
        if type(node) is Leaf and node.after:
            _tell(node)


def accumulate_recorded(seeds, wanted):
    """The same with tensors, by a walk that is recorded."""
    with calls.in_backward():
        for node, dx in double_backward.walk(seeds, wanted).items():
            if not wanted or node in wanted:
                node.grad = dx.clone() if node.grad is None else node.grad + dx
                if type(node) is Leaf and node.after:
                    _tell(node)


def _tell(leaf):
    for hook in list(leaf.after.values()):
        hook(leaf.variable)


_ONE = {np.dtype(T): np.ones((), T) for T in (np.float32, np.float64)}


def cotangent(name, output, dy):
    """The array to start a walk with from this tensor; None stands for 1, at a scalar."""
    if output.node is None:
        raise RuntimeError(
            f"{name}: this tensor was not made from anything that requires grad, so there is no graph to walk; write "
            "requires_grad=True where its inputs are made (a layer's parameters have it), outside of no_grad, without .detach()"
        )
    array = output.array
    if dy is None:
        if array.size != 1:
            raise RuntimeError(
                f"{name}: a gradient can be left out only for a scalar; this tensor has shape {array.shape}: write "
                ".mean().backward() or .sum().backward(), or give a gradient of this shape"
            )
        return _ONE[array.dtype] if array.ndim == 0 else np.ones(array.shape, array.dtype)
    dy = operand(name, dy)
    dy = dy.array if isinstance(dy, TensorBase) else np.asarray(dy)
    if dy.shape != array.shape:
        raise RuntimeError(f"{name}: the gradient has shape {dy.shape}, the tensor {array.shape}")
    if dy.dtype is array.dtype:
        return dy
    with np.errstate(over="ignore"):
        return dy.astype(array.dtype, copy=False)


def recorded_cotangent(name, output, dy):
    """The tensor to start a recorded walk with: the given one, in its graph, or a constant."""
    array = cotangent(name, output, dy)
    return dy if isinstance(dy, TensorBase) and dy.node is not None and dy.dtype == output.dtype else wrap(array)
