"""Views, and what a write in place does to the graph: a write to a view changes its base, and the base's other views.

A view refers to its base, and the base to its views, also if the view was made under no_grad. Let v = b[:2] be a view of b.
After v *= 2 has been recorded, b is a function of the new v: b's node in the graph is the old b with v in the place of b[:2].
The nodes of b's other views are then outdated. Such a view gets the class `Outdated`: when its node is next read, it makes a
new one from its base. So n writes to n views take n steps; to make all nodes anew at each write would take n² steps.
"""

import functools
from weakref import ref

import numpy as np

from .. import ops
from ..graph.modes import mode, watchers
from ..graph.nodes import Leaf
from ..graph.writes import note_write, owner_of
from . import dtypes
from .record import apply, unary

_Reshape = ops.Reshape


def _shares(reshaped, array):
    """Whether the result of a reshape shares the array's memory. NumPy copies where no strides describe the new shape."""
    shown = reshaped.base
    return shown is array or shown is (array if array.base is None else array.base)


class Views:
    """Making views, and writing in place."""

    base = None  # of a view: (the tensor it shows a part of, the class of the operation that shows it, its options)
    views = None  # of a tensor with views that are not outdated: weak references to them

    def _view(self, op_class, options):
        """The result of an operation that shows a part of this memory. The result and this tensor then refer to each other."""
        view = unary(op_class(options), self)
        if op_class is not _Reshape or _shares(view.array, self.array):
            view.base = self, op_class, options
            views = self.views
            if views is None:
                self.views = [ref(view)]
            else:
                n = len(views)
                if n >= 4 and not n & (n - 1):  # at 4, 8, 16, … references, remove those whose views have died
                    views[:] = [reference for reference in views if reference() is not None]
                views.append(ref(view))
        return view

    def _become(self, result, start=None):
        """self ← result: copies the result into this tensor's memory, and gives this tensor the result's node in the graph.

        start: if several operations computed the result, a serial number from before the first of them.
        """
        if result.shape != self.shape:
            raise ValueError(f"in place: the result has shape {result.shape} and does not fit into shape {self.shape}")
        if not dtypes.fits(result.dtype, self.dtype):
            raise RuntimeError(f"in place: a result of {result.dtype} cannot be kept in a tensor of {self.dtype}")
        self._check_writable()
        result = result.to(self.dtype)
        old, new = self.node, result.node
        recorded = mode.recording and old is not new
        if recorded and new is None:  # a constant is written: the old values get the gradient 0
            new = apply(ops.PiecewiseConstant(lambda x: result.array), self).node
        if new is not None:
            _keep_old_values(new, self.array, new.serial if start is None else start)
        if recorded:
            self._outdate_views()
        np.copyto(self.array, result.array)
        if watchers and mode.watch is not None:
            mode.watch.copied(result.array, self.array)
        note_write(self.array)
        if recorded:
            if self.retains_grad:  # the new node must retain the gradient, not the old one
                old.retains, new.retains = False, True
            self.node = new
            self._update_base()
        return self

    def _show(self, result, name):
        """self ← result, a view of self with another shape."""
        if self.base is not None or any(view is not None and view is not result for view in (x() for x in self.views or ())):
            short = name.strip("_")
            raise RuntimeError(
                f"{name}: this tensor is a view, or has views, whose shapes would no longer fit; write x = x.{short}(…) instead"
            )
        self._check_writable()
        self.array, self.node, self.views = result.array, result.node, None
        return self

    def _check_writable(self):
        root, in_graph = self, False
        while root.base is not None:
            root = root.base[0]
            in_graph = in_graph or root.node is not None
        if mode.recording:
            if type(root.node) is Leaf:
                what = "a leaf" if root is self else "a view of a leaf"
                raise RuntimeError(
                    f"in place: {what} that requires grad cannot be changed while recording; use no_grad(), as in "
                    "`with minidl.no_grad(): w -= lr * w.grad`"
                )
            if in_graph and self.node is None:
                raise RuntimeError(
                    "in place: this view was made under no_grad() of a tensor that requires grad, so a change of it cannot be "
                    "recorded; make the view again while recording, or change it under no_grad()"
                )
        if not self.array.flags.writeable:
            raise RuntimeError(
                "in place: this tensor's memory is read-only, or shared by several of its elements; use .clone()"
            )

    def _outdate_views(self):
        """Marks as outdated all views of this tensor, and all other views of its bases. _update_base updates the bases."""
        seen, source, base = [], None, self
        while base is not None:
            seen.append((base, source))
            base, source = base.base and base.base[0], base
        outdated = []
        for base, source in seen:  # the loop appends to it: views have views
            for reference in base.views or ():
                view = reference()
                if view is not None and view is not source:
                    if type(view.node) is Leaf:
                        raise RuntimeError(
                            "in place: this memory is shown by a view that is a leaf and requires grad, and cannot be changed "
                            "while recording; use no_grad(), or make the view require grad after the change"
                        )
                    outdated.append(view)
                    seen.append((view, None))
        for base, source in seen:
            base.views = None if source is None else [ref(source)]
        for view in outdated:
            view.__class__ = _outdated(type(view))

    def _update_base(self):
        """After a write to a view: base ← the old base with this part replaced (ops.ReplaceView), then the base's base, …"""
        view = self
        while view.base is not None:
            base, op_class, options = view.base
            base.node = apply(ops.ReplaceView(op_class(options), base.array), base, view).node
            view = base


def _keep_old_values(node, array, start):
    """Gives a copy of `array`, before it is overwritten, to each operation recorded since `start` that has saved it."""
    owner, nodes = owner_of(array), [node]
    while nodes:
        node = nodes.pop()
        if node is None or getattr(node, "serial", 0) < start:
            continue
        for name, value in vars(node).items():
            if isinstance(value, np.ndarray) and owner_of(value) is owner:
                setattr(node, name, kept := value.copy())
                if watchers and mode.watch is not None:
                    mode.watch.copied(value, kept)
        nodes.extend(node.needs)


class Outdated:
    """A view whose memory was written to through another tensor. When its node is read, it gets a new one and its own class."""

    @property
    def node(self):
        """The operation that shows the base as it is now."""
        chain = [self]
        while isinstance(base := chain[-1].base[0], Outdated):
            chain.append(base)
        recording, mode.recording = mode.recording, True
        try:
            for view in reversed(chain):
                base, op_class, options = view.base
                view.node = apply(op_class(options), base).node
                if base.views is None:
                    base.views = []
                base.views.append(ref(view))
        finally:
            mode.recording = recording
        return self.node

    @node.setter
    def node(self, node):
        self.__class__ = type(self).__mro__[2]
        self.node = node


@functools.cache
def _outdated(cls):
    return type(cls.__name__, (Outdated, cls), {})
