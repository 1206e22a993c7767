"""Where the arrays of a step come from, seen from two recordings of it.

An array that an operation or a kernel reads must be one of

- an input of the step,
- what an earlier event of this step has made (a temporary),
- memory that was there before: the same array in both recordings (a parameter, a buffer, a table).

What is none of the three was computed by NumPy behind the recorder's back, and the step can't be remembered.
"""

import weakref

from ..kernels.memory import offset_of, owner_of
from ..nn.module import Module
from ..tensors.tensor import Tensor
from .arguments import parts
from .comparing import SIMPLE
from .events import PLAIN, Sum


class CannotRemember(RuntimeError):
    """Why a step can't be remembered."""


class Carried(CannotRemember):
    """The step reads what the call before has made, so that other recordings would not match either."""


class Origins:
    """`temporary` {id of owner: owner}, what the second recording has made; `constant` (likewise), what was there before.

    maker: {id of a temporary: the event that made it}.
    """

    def __init__(self, first, second):
        self.first, self.second = first, second
        self.temporary, self.constant, self.maker = {}, {}, {}
        pairs = list(zip(first.statics, second.statics, strict=False))  # of inputs, and later of temporaries
        self._yours = {id(mine): yours for yours, mine in pairs}  # what it was in the first recording
        self._mine = {id(yours): mine for yours, mine in pairs}  # what it is in the second
        self._alike = {}  # id of an array of the second recording -> (an array of the first that was found to be the same, it)
        self._tables = self._yours, self._mine, self._alike, self.temporary, self.constant

    def _same(self, a, b, event, kernel=None):
        """Raises unless both arrays, which the event reads, or this kernel, are the same part of the same thing."""
        if not self._explained(a, b):
            reader = f"the kernel {kernel}" if kernel else event.name
            if owner_of(b) is not owner_of(a) and self.first.has_used(owner_of(b)):
                if type(event) is Sum:
                    raise Carried(
                        "it adds to the gradients of the call before, and forgets them only then: call zero_grad() before the "
                        "first backward()"
                    )
                raise Carried(
                    f"it carries a tensor of shape {b.shape}, which {reader} reads, from one call to the next: change one "
                    "tensor in place, with x.copy_(…) under no_grad(), or give it back, and pass it as an argument"
                )
            raise CannotRemember(
                f"{reader} reads an array of shape {b.shape} that no operation has made: NumPy has, or it is another one in "
                "each call. Pass it to the step as an input, or compute it with tensors"
            )

    def _explained(self, a, b):
        return self._are_same(a, a if a.base is None else owner_of(a), b, b if b.base is None else owner_of(b))

    def _are_same(self, a, yours, b, mine):
        """Whether two arrays, and what owns the memory of each, are the same part of the same thing."""
        found = self._alike.get(id(b))
        if found is not None and found[0] is a:
            return True
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if b.size:
            twin = self._yours.get(id(mine))
            if twin is not yours and (twin is not None or mine is not yours or id(yours) in self._mine):
                return False
            if a.strides != b.strides or (a is not b and offset_of(a, yours) != offset_of(b, mine)):
                return False
            if twin is None:
                self.constant.setdefault(id(mine), mine)
        self._alike[id(b)] = a, b
        return True

    def known(self, array):
        return not array.size or self._knows(owner_of(array))

    def _knows(self, owner):
        return id(owner) in self._yours or id(owner) in self.constant

    def _made(self, a, b, event):
        """The arrays are what this event has made: from now on they are known. Parts of known arrays are compared."""
        if a.shape != b.shape or a.dtype != b.dtype or (a.strides != b.strides and b.size):
            raise CannotRemember(f"{event.name} has made arrays of shapes {a.shape} and {b.shape} in two calls")
        yours, mine = a if a.base is None else owner_of(a), b if b.base is None else owner_of(b)
        if id(yours) in self._mine or id(mine) in self._yours or (yours is mine and b.size):
            self._same(a, b, event)
        elif b.size:
            self._alike[id(b)] = a, b
            self._yours[id(mine)], self._mine[id(yours)] = yours, mine
            self.temporary[id(mine)], self.maker[id(mine)] = mine, event

    def _noted(self):
        """How much is known, for `_forget`."""
        return list(map(len, self._tables))

    def _forget(self, noted):
        """Forgets what was found since then."""
        for table, number in zip(self._tables, noted, strict=True):
            while len(table) > number:
                table.popitem()

    def made(self, value):
        """Whether something is a tensor that the step has made, or a tuple, list, dict or record of such and of numbers."""
        kind = type(value)
        if kind in PLAIN or kind in weakref.ProxyTypes or isinstance(value, Module):
            return False
        if isinstance(value, Tensor):
            return value.array.size > 0 and id(owner_of(value.array)) in self._yours
        if isinstance(value, (tuple, list, dict)):
            items = value.values() if isinstance(value, dict) else value
            if len(value) > 100 or PLAIN.issuperset(map(type, items)):
                return False
        found = list(parts(value))
        tensors = [x for x in found if isinstance(x, Tensor)]
        owners = {id(owner_of(x.array)) for x in tensors if x.array.size}
        if owners.isdisjoint(self._yours):
            return False
        return all(isinstance(x, (Tensor, *SIMPLE)) for x in found) and owners <= self._yours.keys() | self.constant.keys()

    def passing(self, array):
        """Whether it is memory that only this call has made, or the one before."""
        key = id(owner_of(array))
        return key in self._yours or key in self._mine
