"""Views, and what a write in place does to the graph: a write to a view changes its base, and the base's other views."""

import weakref

import numpy as np

from .. import ops
from ..graph.modes import mode
from ..graph.nodes import Leaf
from ..graph.writes import note_write
from . import dtypes
from .record import apply


class Views:
    """Views and bases know of each other, so that the graph says after a write what memory says."""

    def _view(self, op_class, options):
        """The result of an operation that shows a part of this memory; view and base learn of each other."""
        view = apply(op_class(options), self)
        if mode.recording:
            owner = self.array if self.array.base is None else self.array.base
            shown = view.array.base
            if shown is owner or shown is self.array or op_class is not ops.Reshape:  # else it had to be copied
                view.base = (self, op_class, options)
                views = self.views
                if views is None:
                    self.views = views = []
                elif not len(views) & (len(views) - 1):  # at 1, 2, 4, 8, … references: those to views that are gone can go
                    views[:] = [reference for reference in views if reference() is not None]
                views.append(weakref.ref(view))
        return view

    def _become(self, result):
        """self ← result, in self's memory; in the graph self is from now on what the result is."""
        if result.shape != self.shape:
            raise ValueError(f"in place: the result has shape {result.shape} and does not fit into shape {self.shape}")
        if not dtypes.fits(result.dtype, self.dtype):
            raise RuntimeError(f"in place: a result of {result.dtype} cannot be kept in a tensor of {self.dtype}")
        self._check_writable()
        result, old, new = result.to(self.dtype), self.node, result.node
        if new is not None:  # what its backward reads of the old values would be lost with them
            for name, value in vars(new).items():
                if value is self.array:
                    setattr(new, name, value.copy())
        np.copyto(self.array, result.array)
        note_write(self.array)
        if mode.recording and old is not new:
            if self.retains_grad and new is not None:  # follows the tensor
                old.retains, new.retains = False, True
            self.node = new
            self._update_views()
            self._update_base()
        return self

    def _check_writable(self):
        root = self
        while root.base is not None:
            root = root.base[0]
        if mode.recording and type(root.node) is Leaf:
            part = "" if root is self else "a view of "
            raise RuntimeError(f"in place: {part}a leaf that requires grad cannot be changed while recording; use no_grad()")
        if not self.array.flags.writeable:
            raise RuntimeError(
                "in place: this tensor's memory is read-only, or shared by several of its elements; use .clone()"
            )

    def _update_base(self):
        """After a write to a view: its base is the old base with a patch, and the base's other views are views of that."""
        view = self
        while view.base is not None:
            base, op_class, options = view.base
            base.node = apply(ops.Patch(op_class(options)), base, view).node
            base._update_views(view)
            view = base

    def _update_views(self, source=None):
        """After a write: what shows this memory (but for the source of the write) is recorded again, from what is there now."""
        stack = [self]
        while stack:
            base = stack.pop()
            for reference in base.views or ():
                view = reference()
                if view is not None and view is not source:
                    _, op_class, options = view.base
                    view.node = apply(op_class(options), base).node
                    stack.append(view)
