"""minidl.compile: a step that is remembered after its first calls, and then made without Python."""

import functools
import gc
import os
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any, overload

import numpy as np

from ..graph.modes import mode as engine, watchers
from ..graph.writes import owner_of
from ..nn.module import Module
from ..tensors.tensor import Tensor
from .arguments import copied, examine, is_plain, leaves, put_back, refused, skeleton, tensors_in, twins, with_statics
from .explain import explained
from .guards import LEFT, Guards
from .matching import CannotRemember, Carried, Matching
from .numbers import Changed
from .plans import ENOUGH, Plan
from .program import Failed, Otherwise, Program, read_after
from .recorder import Recorder, options_of
from .state import State, equal, grads_of
from .surroundings import SIMPLE, same

MOST = 8  # programs of one step
MISSES = 4  # calls in which Python would have gone on otherwise, after which a step is recorded anew
# The attributes of a Compiled itself; all others are those of the function or the module.
_OWN = {
    *("_function", "_fullgraph", "_disabled", "_bound", "_plans", "_last", "refusal"),
    *("_steps", "_found", "_lock", "_busy", "_method"),
}
_recording = {}  # one thread records at a time: {"thread": which}
_all = weakref.WeakSet()


def _open_locks():
    """In a forked child, where the threads that held them are not."""
    _recording.clear()
    for step in _all:
        step._lock, step._busy = threading.RLock(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_locks)


@overload
def compile(model: Callable[..., Any], **options: Any) -> "Compiled": ...


@overload
def compile(model: None = None, **options: Any) -> Callable[[Callable[..., Any]], "Compiled"]: ...


def compile(model: Any = None, *, fullgraph=False, dynamic=None, backend=None, mode=None, options=None, disable=False) -> Any:
    """A function that does what `model` does, after its first calls without Python: a training step, or a model's forward.

    model: a function of tensors that gives tensors, with zero_grad, forward, backward and optimizer.step inside; or a Module,
    for calls under no_grad. As a decorator, too. fullgraph: raise if it can't be remembered, else it stays ordinary with
    a warning. The other options of PyTorch's compile are refused. MINIDL_COMPILE=0 in the environment turns it off.

    The first three calls are ordinary; the second and third are recorded. The fourth is made both ways and compared bit for
    bit, and so are calls 8, 16, 32, …; all others make the recorded calls of kernels again. There is one program for each
    combination of shapes, and of the values of arguments that are no tensors; at most 8. Tensors may be in tuples, lists,
    dicts, named tuples and dataclasses. A step that is recorded anew for the ninth time, each time within 32 calls, stays
    ordinary.

    - Python within the step runs only in the ordinary calls: no prints, no counts, no `if` about a value. Give back what you
      want to see, or leave it in an attribute or a variable: `self.loss = loss` is done in each call, `losses.append(loss)`
      can't be remembered. Arguments are copied: the step finds them contiguous, in memory of their own. Results, and what it
      leaves, are copies without a graph. `.grad` is right after each call, and overwritten by the next.
    - What may change between calls: parameters, buffers and optimizers' state (also if they are loaded or replaced), learning
      rates and other options, train() and eval(), attributes of modules, and numbers and tensors that the function closes over
      or finds among its globals. What changes to and fro is recorded once for each of up to three ways. Random numbers go on
      as in ordinary calls.
    - What can't be remembered: `item()` and whatever else reads a value (`array`, the text of a tensor), NumPy between
      operations, random numbers of Python's or NumPy's, `.data` that is set, hooks, a scheduler's step, gradients of gradients
      of some operations. The warning says which it was.
    - What the recorder can't see: Python's own state, a counter in an iterator or in a library's object that changes the
      formula; items of lists of more than 1000, and numbers that Python takes from arrays of more than 10,000; attributes
      that are put into `vars(module)`, functions of minidl that are replaced, memory whose shape or flags NumPy sets in place.
      Such a step is wrong until one of the later comparisons, which then raises RuntimeError (if what has changed is not put
      back before). Pass such values as arguments.
      What is no tensor and is another in each call, such as `self.time = time.time()`, stays as an ordinary call has left it.
    - A method that is remembered for an object with __slots__ keeps this object.

    `explain()` of the result says what was remembered.

    >>> import minidl
    >>> from minidl import nn
    >>> net = nn.Linear(2, 1)
    >>> optimizer = minidl.optim.SGD(net.parameters(), lr=0.1)
    >>> @minidl.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = nn.functional.mse_loss(net(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = minidl.ones(4, 2), minidl.zeros(4, 1)
    >>> losses = [step(x, y).item() for _ in range(6)]
    >>> losses[-1] < losses[0]
    True
    """
    for name, value, fine in (
        ("dynamic", dynamic, (None, False)),
        ("backend", backend, (None,)),
        ("mode", mode, (None, "default")),
        ("options", options, (None,)),
    ):
        if value not in fine:
            raise NotImplementedError(f"compile: {name}={value!r} is not supported; leave it out")
    if not isinstance(fullgraph, bool) or not isinstance(disable, bool):
        raise TypeError(f"compile: fullgraph and disable must be True or False, got {fullgraph!r} and {disable!r}")
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, disable=disable)
    if isinstance(model, Compiled):
        return model
    if not callable(model):
        raise TypeError(f"compile: expected a function or a Module, got {type(model).__name__}")
    return Compiled(model, fullgraph, disable or os.environ.get("MINIDL_COMPILE") == "0")


class Compiled:
    """What compile returns. `explain()` says what was remembered. Threads that call it wait for one another."""

    def __init__(self, function, fullgraph, disabled, bound=False):
        self._function, self._fullgraph, self._disabled, self._bound = function, fullgraph, disabled, bound
        self._plans, self._last, self.refusal, self._steps = {}, None, None, {}
        self._found = []  # nodes whose .grad the step finds when it begins: there are programs with and without it
        self._lock, self._busy = threading.RLock(), False
        functools.update_wrapper(self, function, updated=())
        _all.add(self)

    def __repr__(self):
        return f"compile({self._function!r})"

    def __get__(self, instance, owner=None):
        """A method: each object has a remembered step of its own, which it keeps."""
        if instance is None:
            return self
        own = None if isinstance(instance, type) else getattr(instance, "__dict__", None)  # of a class, or with slots: here
        steps, key = (self._steps, id(instance)) if own is None else (own.setdefault("_compiled", {}), id(self))
        step = steps.get(key)
        if step is not None and own is not None and _dict_of(step._function) is not own:  # of the object that this is a copy of
            own["_compiled"], step = {}, None
            steps = own["_compiled"]
        if step is None:
            step = steps[key] = Compiled(self._function.__get__(instance), self._fullgraph, self._disabled, True)
            step._method = self  # alive, so that no other gets its id
        return step

    def __reduce__(self):
        """For copy and pickle: a copy remembers nothing. That of a method is made anew where it is next called."""
        return (type(None), ()) if self._bound else (Compiled, (self._function, self._fullgraph, self._disabled))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._function, name)

    def __setattr__(self, name, value):
        if name in _OWN or name.startswith("__"):
            object.__setattr__(self, name, value)
        else:  # as it is read: of the function or the module
            setattr(self._function, name, value)

    def __delattr__(self, name):
        delattr(self._function, name)

    def explain(self):
        """What was remembered, as a table for each combination of shapes: the events of the step, and how each is made.

        >>> import minidl
        >>> double = compile(lambda x: x * 2)
        >>> for _ in range(4):
        ...     y = double(minidl.ones(3))
        >>> print(double.explain())  # doctest: +ELLIPSIS
        <lambda>: inputs float32 (3,)
          1 events in 1 calls of kernels, made by 1 native table, and 0 calls of Python
        ...
              1  Mul                          kernels  ...
        """
        name = getattr(self._function, "__name__", type(self._function).__name__)
        if self._disabled:
            return f"{name}: compile is turned off"
        if self.refusal is not None:
            return f"{name} stays ordinary: {self.refusal}"
        return "\n\n".join(explained(name, plan) for plan in self._plans.values()) or f"{name}: not called yet"

    def run_kernels(self):
        """Makes the kernels' calls of the last remembered step once more, and nothing else: what they take without any Python.

        For measuring; parameters move. RuntimeError if there is none, or if a part of it stays Python.

        >>> import minidl
        >>> double = compile(lambda x: x * 2)
        >>> for _ in range(6):
        ...     y = double(minidl.ones(3))
        >>> double.run_kernels()
        """
        if self._last is None or self._last.program.only is None:
            raise RuntimeError("run_kernels: expected a step that is remembered and has no part in Python; see explain()")
        self._last.program.only.run()

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self._disabled or self.refusal is not None or (watchers and engine.watch is not None):  # watchers see operations
            return self._function(*args, **options)
        with self._lock:
            plan = self._last
            if plan is not None and not options and not self._busy and len(args) == len(plan.inputs):
                for x, (static, shape, dtype) in zip(args, plan.inputs):  # noqa: B905 (strict=True takes 0.1 µs)
                    if type(x) is not Tensor or x.node is not None or (x := x.array).shape != shape or x.dtype is not dtype:
                        break
                    static[...] = x  # in half the time of copyto
                else:
                    number = plan.number + 1
                    if len(args) > 1 and (args[0] is args[1] if len(args) == 2 else len({*map(id, args)}) < len(args)):
                        number = 0  # a tensor is given twice: not here
                    late = plan.program.late and plan.program.shares([x.array for x in args])
                    if number & plan.number and not late and plan.guards.broken() is None:  # not call 8, 16, 32, …
                        plan.number = number
                        try:
                            return plan.answer(plan.program.run())
                        except (Otherwise, Changed):
                            plan.number -= 1
            if self._busy or self.refusal is not None:  # busy: it is called from within itself
                return self._function(*args, **options)
            try:
                self._busy = True
                return self._call(args, options)
            finally:
                self._busy = False

    def _call(self, args, options):
        if engine.recording and isinstance(self._function, Module):
            raise RuntimeError(
                "compile: a compiled Module computes without gradients: call it under minidl.no_grad(). To train, compile the "
                "whole step: a function with zero_grad, forward, backward and optimizer.step"
            )
        tensors, key = {}, [engine.recording]
        for name, x in (*enumerate(args), *options.items()):
            key.append(name)
            examine(x, tensors, key)
        arrays = [x.array for x in tensors.values()]
        given = tuple(key)
        key = (*given, *[node.grad is None for node in self._found])
        try:
            plan = self._plans.get(key)
        except TypeError:
            return self._stay(f"an argument can't be compared with the last call's: {args!r}", args, options)
        if plan is None:
            if len(self._plans) >= MOST:
                return self._stay(_too_many(leaves((args, options))), args, options)
            plan = self._plans[key] = Plan(given)
        changed = None if plan.program is None else plan.guards.broken()
        if plan.others and changed is not LEFT and (changed is not None or plan.program is None):
            changed, self._last = plan.turn_back(changed), None
        if plan.program is not None:
            if changed is LEFT:
                return self._settle(plan, args, options)
            if changed is None:
                try:
                    if plan.program.shares(arrays):
                        raise Otherwise("an input shares memory with what the step changes")
                    number = plan.number + 1
                    if plan.doubt or not number & plan.number:  # call 4, 8, 16, 32, …
                        return self._check(plan, number, tensors, args, options)
                    if not options and is_plain(args) and not plan.guards.looks:  # the short way from now on
                        plan.inputs = [(x, x.shape, x.dtype) for x in plan.statics]
                        self._last = plan
                    plan.number = number
                    return plan.answer(plan.program.replay(arrays))
                except Otherwise as what:
                    plan.misses += type(what) is not Failed
                    if plan.misses < MISSES or type(what) is Failed:
                        return self._function(*args, **options)
                    changed = str(what)
                except Changed as what:
                    changed = str(what)
            else:
                plan.put_aside()
            self._last = None
            plan.begin_again(changed)
            if plan.begun > MOST:
                return self._stay(_too_often(changed), args, options)
        return self._begin(plan, tensors, args, options)

    def _settle(self, plan, args, options):
        """An ordinary call, after which replays set what it has set."""
        guards, program = plan.guards, plan.program
        left = [place for place in guards.settled if not same(place[0](), place[2])]
        result = self._function(*args, **options)
        guards.settle()
        program.places += [(get, put, value, []) for get, put, value in left if same(get(), value)]
        guards.settled = [place for place in guards.settled if place not in left]
        plan.left, plan.left_at = plan.left + 1 if plan.left_at == plan.number else 1, plan.number
        if plan.left > ENOUGH and self._last in (None, plan):  # in so many calls one after the other, and no other is replayed
            self._refuse(f"{LEFT}, in each call: pass it as an argument")
        elif plan.left == MISSES and plan.begun == 0:  # it may stay as it is now
            self._last = None if self._last is plan else self._last
            plan.begin_again(LEFT)
        return result

    # --- the first calls

    def _begin(self, plan, tensors, args, options):
        if plan.number == 0:
            plan.number = 1
            result = self._function(*args, **options)
            return result if refused(result) else copied(result)  # so that it may be given to the next call
        me, collects = threading.get_ident(), gc.isenabled()
        try:
            if _recording.setdefault("thread", me) != me:  # another step is recorded, in another thread
                return self._function(*args, **options)
            try:
                gc.disable()  # a recording makes many objects and no garbage
                return self._record(plan, tensors, args, options)
            finally:
                if collects:
                    gc.enable()
        finally:  # Ctrl-C may come at any line: a lock could stay locked for ever, an entry of this thread holds it up no more
            if collects:  # if it came where it is done first
                gc.enable()
            if _recording.get("thread") == me:
                _recording.clear()

    def _record(self, plan, tensors, args, options):
        number, plan.number = plan.number + 1, 1  # if it is interrupted, the next call begins again
        arrays = [x.array for x in tensors.values()]
        if number == 2:
            plan.first = None
        statics = [np.array(x, order="C") for x in arrays]  # new ones each time: the step may keep them
        given, before = (args, options), [x.copy() for x in statics]
        made = []
        args, options = with_statics(given, twins(tensors, statics), made)
        recorder = None
        try:
            recorder = Recorder(statics, number == 3, arrays)
            with recorder:
                result = self._function(*args, **options)
        finally:
            if recorder is not None:
                recorder.__exit__()  # once more, if Ctrl-C came while it left
                for static, x, old in zip(statics, arrays, before, strict=True):
                    if not (equal([static], [x]) or equal([static], [old])):  # NumPy has written, which tells nobody
                        recorder.refuse("it changes an input in place: compute a new tensor")
                        np.copyto(x, static)
                if what := put_back(made, statics, arrays):
                    recorder.refuse(what)
        reason = recorder.refusal or refused([result, [node.grad for node, _ in recorder.grads.values()]])
        if reason is None and read_after(recorder.shared, recorder.events, [x.array for x in tensors_in(result)], statics):
            reason = "it reads an input that shares memory with what it has changed before: pass a clone() of it"
        if reason is None and any(event.options != options_of(event.optimizer) for event in recorder.steps()):
            reason = "an option of an optimizer changes in the step: let the scheduler step outside of it"
        if reason is None and number == 2:
            plan.first = recorder
            self._note_found(plan, recorder)
        elif reason is None:
            try:
                self._build(plan, recorder, result, given)
            except CannotRemember as error:
                other = _grads(plan.first) != _grads(recorder)  # it was given other ones
                if plan.begun < MOST and (
                    other or (plan.tries and type(error) is not Carried)
                ):  # something may have changed since: this is the first
                    plan.first, number, plan.begun, plan.tries = recorder, 2, plan.begun + 1, plan.tries - (not other)
                else:
                    reason = f"in gradients of gradients, {error}" if recorder.second else str(error)
        if reason is not None:
            plan.first = plan.program = None
            self._refuse(reason)
            return result  # with its graph
        plan.number = number
        return copied(result)

    def _note_found(self, plan, recorder):
        """A step that adds to gradients has two programs, if it also begins without them. What was recorded before is lost."""
        found = {id(node): (node, grad is None) for node, grad in recorder.found_grads()}
        known = {id(node) for node in self._found}
        if found.keys() <= known:
            return
        self._found += [node for key, (node, _) in found.items() if key not in known]
        none = [found[id(node)][1] if id(node) in found else node.grad is None for node in self._found]
        self._plans = {(*plan.given, *none): plan}

    def _build(self, plan, recorder, result, given):
        matching = Matching(plan.first, recorder)
        plan.shape = skeleton(result)
        steps = [event.optimizer for event in recorder.steps()]
        read = [x for x, array, _ in recorder.tensors.values() if id(owner_of(array)) in matching.constant]
        read += [p for o in steps for group in o.param_groups for p in group["params"]]
        grads = [  # what they have to be when the step begins; True: anything but None
            (node, grad if grad is None or id(owner_of(grad)) in matching.constant else True)
            for node, grad in recorder.found_grads()
        ]
        arguments, modules = list(leaves(given)), list(recorder.modules.values())
        try:
            found = matching.constant.keys(), matching.made, matching.passing
            guards = Guards(self._function, arguments, read, modules, steps, grads, *found)
        except Exception as error:  # of an object of the user's, at which it looks
            raise CannotRemember(f"what it takes from around it can't be looked at: {type(error).__name__}: {error}") from error
        program = Program(
            matching, [x.array for x in tensors_in(result)], [x for x, _ in recorder.grads.values()], guards.places
        )
        if guards.catches:
            program.be_cautious()
        plan.program, plan.guards, plan.statics, plan.first = program, guards, program.statics, None

    # --- the step both ways

    def _check(self, plan, number, tensors, args, options):
        """Makes the step ordinarily and by replay, from the same state, over rubbish: the same bits?

        If the step raises an error, the next call is compared.
        """
        program = plan.program
        before, given = State(program), [x.array.copy() for x in tensors.values()]  # it may be a gradient of the last call
        if not all(x.array.flags.c_contiguous for x in tensors.values()):  # in another order, sums have other bits
            args, options = with_statics((args, options), twins(tensors, [x.copy() for x in given]), [])
        unseen = plan.guards.unseen(program.changes) if number == 4 else list
        result = self._function(*args, **options)
        unseen = unseen()
        if number == 4:
            plan.guards.keep(program.keep(before.held))
        plan.guards.settle()
        expected, grads, after = [x.array.copy() for x in tensors_in(result)], grads_of(program), State(program)
        program.plan.poison()
        before.restore()  # gradients of the last call lie in the same memory
        try:
            got = program.replay(given)
            differs = not (equal(expected, got) and after.equal() and equal(grads, grads_of(program)))
        except (Otherwise, Changed) as what:
            if type(what) is not Failed or plan.guards.catches:  # the next call is compared
                after.restore()
                self._last = None
                plan.misses += type(what) is Otherwise
                if type(what) is Changed or plan.misses >= MISSES:
                    plan.begin_again(str(what))
                    if plan.begun > MOST:
                        self._refuse(_too_often(what))
                return copied(result)
            differs = f"the replay raises {type(what.__cause__).__name__}: {what}"
        except Exception as error:
            differs = f"the replay raises {type(error).__name__}: {error}"
        changed = None if number > 4 else plan.guards.moved_around()
        if not differs and changed is None and not unseen:
            plan.number, plan.doubt = number, False
            return plan.answer(got)
        after.restore()
        if plan.doubt and differs:  # something that no guard sees has changed meanwhile
            self._last = None
            plan.begin_again("it gave other numbers than before, when all seemed to be as it was")
            if plan.begun > MOST:
                self._refuse(_too_often(plan.changed))
            return copied(result)
        reason = "the replay gives other numbers than the step" if differs is True else differs
        if changed:
            reason = (
                f"it is changed by the step itself: {changed}. Change it outside of the step; give back what you keep in it"
            )
        reason = unseen if unseen and not changed else reason
        plan.program = self._last = None
        if number > 4:
            self.refusal = reason
            raise RuntimeError(
                f"compile: at call {number} {reason}. The step depends on something that the recorder can't see: a count "
                "of its calls, say, or a list that Python changes. Its last calls may be wrong. Pass such values as arguments."
            )
        self._refuse(reason)
        return result

    def _refuse(self, reason):
        self.refusal, self._last = reason, None
        for plan in self._plans.values():
            plan.others.clear()
        if self._fullgraph:
            raise CannotRemember(f"compile: the step can't be remembered: {reason}")
        name = getattr(self._function, "__name__", type(self._function).__name__)
        warnings.warn(f"compile: {name} stays ordinary: {reason}", stacklevel=5)

    def _stay(self, reason, args, options):
        self._refuse(reason)
        return self._function(*args, **options)


def _dict_of(method):
    return getattr(getattr(method, "__self__", None), "__dict__", None)


def _too_many(arguments):
    arguments = list(arguments)
    if any(isinstance(x, Tensor) and not x.is_leaf for x in arguments):
        return "an argument has a graph, and is another tensor in each call: pass x.detach()"
    remedy = "give all batches the same shape"
    if any(type(x) in (int, float, np.float32, np.float64, np.int64) for x in arguments):
        remedy = "pass a number that changes as a tensor"
    kinds = [type(x).__name__ for x in arguments if not isinstance(x, (Tensor, type, *SIMPLE))]
    if kinds:
        remedy = f"of a {kinds[0]} each object counts by itself; pass tensors in tuples, lists, dicts or dataclasses"
    return f"it was called with more than {MOST} combinations of shapes and values: {remedy}"


def _too_often(changed):
    return f"it changed too often: {changed}. Pass what changes as an argument, or change it less often"


def _grads(recorder):
    return [None if grad is None else id(grad) for _, grad in recorder.found_grads()]
