"""The recorder: an observer of the engine that notes, in order, everything a step does with arrays."""

import functools
import sys
import threading
from types import SimpleNamespace

import numpy as np

from ..graph import watch
from ..graph.nodes import Leaf, next_serial
from ..graph.writes import owner_of
from ..kernels import arithmetic, copies, jit
from ..ops import Index, Sub
from ..tensors.tensor import Tensor
from .events import Backward, Call, Copy, Forward, Grad, Loose, Step, Sum, arrays_in
from .following import FOLLOWED_NUMBERS, follow, is_followed
from .functions import EFFECTS
from .lowering import lowered, prepared
from .replacements import FORGOTTEN, Replacements, array_of


class Recorder(Replacements, watch.Observer):
    """While it is entered, this thread's step is noted. What cannot be remembered is kept in `refusal`; the step goes on.

    The events keep all arrays alive, so that an array of the next recording can't be taken for one of this.
    """

    def __init__(self, statics, check, given=()):
        self.events, self.refusal, self.modules, self.tensors = [], None, {}, {}
        self.grads = {}  # id of a leaf's node -> (node, the array of its .grad when the step first used it, None, or FORGOTTEN)
        self.statics = list(statics)
        # the copies that the step is given, what they are copies of, and what owns its memory
        self.given = [(static, x, owner_of(x)) for static, x in zip(statics, given, strict=False)]
        self.born = {}  # id of a leaf's node that the step itself has made -> the node
        self.shared = sys.maxsize  # the number of the event that first changes memory of an input
        self.check = check  # whether to call each operation's kernels again
        self.seen = set(map(id, statics))  # the ids of the owners of all arrays that kernels have written to, if it is to check
        self._existing, self._stack, self._forwards, self._written = None, [], {}, None
        self._thread, self._replaced = threading.get_ident(), []
        self._recorded_walks, self._start = 0, next_serial()  # how many are under way
        self.second = False  # whether there were any: gradients of gradients
        self.targets, self._copied = set(), (None, 0)  # ids of the owners of arrays that copies are made into
        self.empty = {}  # {id: an array without numbers that the step has made}
        self._taken = {}  # arrays that the step has taken from tensors, and no operation was given

    # --- begin and end

    def __enter__(self):
        try:
            jit.recorder, copies.noted = self._recorded, arithmetic
            for kernel in list(jit.tables):
                for dtype, code in list(kernel.items()):
                    dict.__setitem__(kernel, dtype, self._recorded(kernel, dtype, code))
            self.replace()
            watch.add(self)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        """Puts everything back. Ctrl-C may come at any line: so it may be called again, and then does the rest."""
        watch.remove(self)
        self._thread = None  # some of its functions may have been copied meanwhile (double_backward/reading.py)
        if self._taken:
            self.refuse("Tensor.array gives its values to NumPy: compute with tensors, or read it outside of the step")
        jit.recorder = copies.noted = None
        for kernel in list(jit.tables):
            for dtype, code in list(kernel.items()):
                dict.__setitem__(kernel, dtype, _restored(code))
        self.put_back()

    def refuse(self, reason):
        self.refusal = self.refusal or reason

    # --- kernels

    def _recorded(self, kernel, dtype, code):
        return _Recorded(self, kernel, dtype, code)

    def called(self, call):
        result = call.make()
        call.answers = result is not None
        if self._stack:
            self._stack[-1].calls.append(call)
        else:
            if call.answers:
                self.refuse(f"the kernel {call.name} gives a number back to Python")
            self._add(Loose([call]))
        return result

    # --- operations

    def _add(self, event):
        self.events.append(event)
        if self.check and event.calls:
            self.seen.update(event.written())

    def before(self, op):
        if self._taken:
            for x in arrays_in(list(vars(op).values())):
                self._taken.pop(id(x), None)
        event = Forward(op=op, before={**vars(op), "needs": [stub(node) for node in op.needs]})
        if self._stack:
            self._stack[-1].nested = True
        self._stack.append(event)

    def after(self, op, inputs, arrays, outputs):
        event = self._stack.pop()
        if self._stack:
            return
        if type(op) in FOLLOWED_NUMBERS:
            for key, x in vars(op).items():
                if isinstance(x, np.floating) and x is not event.before.get(key) and not any(x is y for y in arrays):
                    setattr(op, key, np.asarray(x))  # which has a place, where kernels find it
                    event.keeps = True
        event.after, event.inputs, event.outputs = dict(vars(op)), list(arrays), [array_of(y) for y in outputs]
        for x in inputs:
            self._read(x)
        self._forwards[id(op)] = event
        if type(op) is Index and any(x.dtype == bool for x in arrays_in([event.before["index"]])):
            self.refuse(
                "it takes elements by a mask, and how many there are depends on its values; multiply by the mask, or use where"
            )
        self._verify(event)
        self._add(event)

    def failed(self, op):
        self._stack.pop()
        self.refuse(f"{op.name} raises an error, which the step catches: catch errors outside of it")

    def before_backward(self, node, dy):
        if self._recorded_walks:  # its operations are noted one by one
            return
        if self._stack:
            closure = type(self._stack[0]) is Step
            where, remedy = (
                ("a closure of", ": call it before step(), which then needs no closure") if closure else ("within", "")
            )
            self.refuse(f"backward() is called in {where} {self._stack[0].name}{remedy}")
        event = Backward(forward=self._forwards.get(id(node)), saved=dict(vars(node)), dy=list(dy) if type(dy) is list else dy)
        if (
            event.forward is None and type(node) is Sub and node.serial > self._start
        ):  # of gradients of gradients: rules.distance
            needs = {"needs": list(map(stub, node.needs))}
            event.forward = Forward(op=node, before=needs, after={**vars(node), **needs}, inputs=[], outputs=[])
        elif event.forward is None:
            self.refuse(f"backward() goes through {node.name}, which was computed before the step began")
        self._stack.append(event)

    def after_backward(self, node, gradients):
        if self._recorded_walks:
            return
        event = self._stack.pop()
        if self._stack:
            return
        event.gradients = tuple([None if dx is None else np.asarray(dx) for dx in gradients])
        if node.hooks or any(parent is not None and parent.hooks for parent in node.needs):
            self.refuse(f"{node.name} has a hook, which is Python: remove it, or leave the step ordinary")
        self._verify(event)
        self._add(event)

    def summed(self, total, dx, result):
        if not self._stack:
            self._add(Sum(total=total, dx=dx, result=result))

    def copied(self, source, copy):
        if not self._stack:
            self._add(Copy(source=source, copy=copy))
            self._copied = copy, len(self.events)
            self._written = copy
            self._check_inputs(copy)

    def _check_inputs(self, array):
        owner = owner_of(array)
        for static, x, whole in self.given:
            if static is owner:
                self.refuse("it changes an input in place: compute a new tensor")
                np.copyto(x, static)
                for other, y, its in self.given:  # which may overlap it
                    if y is not x and its is whole:
                        np.copyto(other, y)
            elif whole is owner:
                np.copyto(static, x)
                self.shared = min(self.shared, len(self.events) - (not self._stack))

    def accumulated(self, node, dx):
        if self._stack:
            return
        if node.hooks or getattr(node, "after", None):
            self.refuse("a parameter has a hook, which is Python: remove it, or leave the step ordinary")
        array = array_of(node.grad)
        self._begins(node, None if array is dx else array)
        if array is not dx:
            self._add(Sum(total=array, dx=dx, result=array))
            self._written = array
        self._keeps(node, array)

    def written(self, array):
        self._check_inputs(array)
        copy, at = self._copied
        if array is copy and at == len(self.events):  # no new array, but one that is overwritten
            self.targets.add(id(owner_of(array)))
        if self._stack or array is self._written:
            return
        owner = owner_of(array)
        if not (self.events and any(w and x is owner for c in self.events[-1].calls for _, w, x in c.arrays())):
            self.refuse(
                _hidden_effect() or f"an array of shape {array.shape} is changed in place, by NumPy: keep it out of the step"
            )

    def _begins(self, node, grad):
        if type(node) is Leaf and id(node) not in self.born:
            self.grads.setdefault(id(node), (node, grad))

    def _keeps(self, node, array):
        """The gradient of a node is this array, or None; nobody sees those of what the step has made when it is over."""
        if id(node) not in self._forwards:
            self._add(Grad(node, array))

    def found_grads(self):
        """[(node, the array of its .grad, or None)] of the gradients that the step finds at its begin, and does not forget."""
        return [(node, grad) for node, grad in self.grads.values() if grad is not FORGOTTEN]

    def existing(self):
        """The ids of the arrays that modules had before the step."""
        if self._existing is None:
            tensors = [x for _, before in self.modules.values() for x in before.values() if isinstance(x, Tensor)]
            self._existing = {id(owner_of(x.array)) for x in tensors}
        return self._existing

    def has_used(self, owner):
        """Whether the step was given this array that owns memory, or has used it; not if a tensor was given it since."""
        if any(x.array is not array and owner_of(x.array) is owner for x, array, _ in self.tensors.values()):
            return False
        return any(x is owner for x in self.statics) or any(id(owner) in event.used() for event in self.events)

    # --- optimizers, modules, functions

    def steps(self):
        """The events in which an optimizer has stepped."""
        return [event for event in self.events if type(event) is Step]

    def stepping(self, optimizer):
        self._stack.append(event := Step(optimizer=optimizer))
        event.options = options_of(optimizer)  # whose text reads values

    def stepped(self, optimizer):
        event = self._stack.pop()
        if not self._stack:
            self._add(event)

    # --- the kernels of an operation, called again

    def _verify(self, event):
        if self.check and event.calls and not event.nested:
            event.same = reproduced(event, self.seen)
        self._follow(event)

    def _follow(self, event):
        """Finds what NumPy does in the event, where no rule says it."""
        if not self.check or event.nested or not is_followed(event):
            return
        if event.keeps or (lowered(event) is None and not prepared(event)):
            self._stack.append(noted := Loose([]))
            try:
                event.followed = follow(event, noted.calls)
            finally:
                self._stack.pop()


class _Recorded:
    """The code of a kernel while a recorder is entered: it notes the calls of its thread."""

    def __init__(self, recorder, kernel, dtype, code):
        self.recorder, self.kernel, self.dtype, self.code = recorder, kernel, dtype, code
        self.function, self.bound = code, ()
        while hasattr(self.function, "func"):  # a partial
            self.bound = (*self.function.args, *self.bound)
            self.function = self.function.func

    def __call__(self, *args):
        recorder = self.recorder
        if threading.get_ident() != recorder._thread:
            return self.code(*args)
        return recorder.called(Call(self.kernel, self.dtype, self.function, self.bound + args))


def _hidden_effect():
    """Why the recorder does not know the function of minidl's that changes gradients now: it is found under its name only."""
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_code.co_name
        if name in EFFECTS and frame.f_globals.get("__name__", "").startswith("minidl."):
            return f"{name} is kept in a variable or an attribute: call it by its name, as it was imported"
        frame = frame.f_back
    return None


def options_of(optimizer):
    """All options as text, to see that one has changed."""
    return [repr({key: x for key, x in group.items() if key != "params"}) for group in optimizer.param_groups]


def _restored(code):
    if isinstance(code, functools.partial) and type(code.func) is _Recorded:  # made while it was recorded
        return functools.partial(code.func.code, *code.args)
    return code.code if type(code) is _Recorded else code


def reproduced(event, known):
    """Whether an event's calls alone, made again after their results were overwritten, give the same bits.

    They do not if NumPy has changed a result, or if a kernel adds to what it takes for zeros. Afterwards the arrays are as they
    were. Calls that change an array that was there before (running means) can't be judged so: the whole step's comparison
    covers them.
    """
    given, before, times = event.given(), [], 1
    for key, x in event.written().items():
        before.append((x, x.tobytes(), there := key in known or key in given))
        floats = x.dtype.kind == "f"
        if not floats:
            times = 2  # it is filled with zeros: what is added to them shows the second time
        if not there:
            x.fill(np.nan if floats else 0)
    for _ in range(times):
        for call in event.calls:
            call.make()
    differ = [(x, old, there) for x, old, there in before if x.tobytes() != old]
    for x, old, _ in differ:
        x[...] = np.frombuffer(old, x.dtype).reshape(x.shape)
    return not differ or any(there for _, _, there in differ)


def stub(node):
    """What a backward may ask of the node of an input: its shape."""
    return None if node is None else SimpleNamespace(shape=node.shape)
