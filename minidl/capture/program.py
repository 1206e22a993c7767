"""A remembered step: the same calls in the same order, on memory of its own."""

import functools
from contextlib import nullcontext

import numpy as np

from ..graph import writes
from ..graph.modes import SILENT, float_errors
from ..graph.nodes import next_serial
from ..graph.writes import note_write, owner_of
from ..kernels import threads
from ..kernels.comparisons import DOUBT, PICK, PUT_BACK
from ..kernels.program import Table
from ..kernels.twister import DRAWS
from ..random import Generator, default_generator
from ..tensors.record import wrap
from .arguments import Kept, filled, skeleton, tensors_in
from .by_python import ByPython, Failed, Otherwise
from .events import Backward, Copy, Effect, Forward, Function, Grad, Step, Sum, arrays_in, flat, owners_in
from .memory import Plan
from .numbers import in_turn, numbers_of, with_counts
from .origins import CannotRemember
from .state import Before, state_arrays
from .uses import Uses, read_after, stops


class Program:
    """Built of two recordings that match. `replay(inputs)` makes the step again; then the results lie in `results`, arrays.

    copy(x) gives a copy of one of them.

    places: [(get, put)] of the attributes and variables in which the step leaves tensors that it has made.
    """

    def __init__(self, matching, results, nodes, places):
        self.matching, self.statics = matching, (statics := matching.second.statics)
        self.events, self.dropped = matching.second.events, set()
        self.optimizers = [event.optimizer for event in self.events if type(event) is Step]
        given = _generators(self.events)
        self.generators = list({id(x): x for x in (default_generator, *given)}.values())
        self._keep_fixed()
        self.lowered = matching.lowered
        for event in self.events:  # a backward in Python needs what its forward has saved
            python = type(event) is Backward and id(event) not in matching.native and id(event) not in self.lowered
            if python and not all(map(matching.known, event.kept().values())):
                self.lowered.pop(id(event.forward), None)
        self.nodes = nodes  # whose .grad the step uses; those that it changes are left as the step leaves them
        born = matching.second.born  # leaves of the step's own: nobody else sees their gradients
        changed_nodes = {id(e.node): e.node for e in self.events if type(e) is Grad and id(e.node) not in born}.values()
        self.final = [(node, None if node.grad is None else node.grad.array) for node in changed_nodes]
        self.places = [(get, put, get()) for get, put in places]
        left = [x for *_, value in self.places for x in tensors_in(value)]
        if any(id(x.node) in born for x in left):
            raise CannotRemember("it leaves a tensor behind that requires grad: keep its detach(), or its gradient")
        kept = [*results, *(grad for _, grad in self.final if grad is not None), *(x.array for x in left)]
        for x in kept:
            if not matching.known(x):
                raise CannotRemember(f"a result of shape {x.shape} comes from NumPy, not from operations on tensors")
        uses = Uses(self.events, matching, self.lowered)
        uses.to_the_end(kept)
        uses.from_the_start(self._kept_meanwhile())
        self.plan = Plan(uses.lives, statics)
        moved = self.plan.moved
        self.results = [moved(x) for x in results]
        self.copy = (
            np.ndarray.copy if all(x.flags.c_contiguous for x in self.results) else functools.partial(np.copy, order="K")
        )
        self.places = [
            (get, put, skeleton(value), [moved(x.array) for x in tensors_in(value)]) for get, put, value in self.places
        ]
        grads = {id(grad): wrap(moved(grad)) for _, grad in self.final if grad is not None}
        self.final = [(node, None if grad is None else grads[id(grad)]) for node, grad in self.final]
        self._grads, self.grads, self.rows = [], [], []
        self.by_python = ByPython(matching, self.lowered, moved)
        self.segments, self.steps = [], []
        self.state = uses.changed_before(len(self.events))
        self.changes = {id(owner_of(x)) for x in state_arrays(self)}
        draws = given or self._stream([call for event in self.events for call in event.calls])
        decides = self._build(grads)
        self.indices = self._indices()
        self.early, self.cautious = self._early(decides, uses), self._early(max(decides, uses.refused), uses)
        self.late = read_after(uses.first_change(self.changes), self.events, results, statics)
        self.writes = []
        for x in self.state:
            note_write(x)
            self.writes.append(writes._writes.times[id(x)])
        shared = any(call.launches for table in self.tables for call in table.calls)
        self.threads = threads._one_at_a_time if shared else nullcontext()
        one = (
            len(self.segments) == len(self.tables) == 1 and not shared and self.tables[0].stream is None and self.early is None
        )
        self.only = self.tables[0] if one else None
        self.exact = bool(self.places) and self.cautious is not None  # what it has left until an error is not known
        if self.exact and (self.cautious or draws):
            self.be_cautious()
        self.constants = list(matching.constant.values())  # whose addresses the tables have
        self.statics = [moved(x) if x.size else x for x in statics]  # the step may have kept those that it was given
        # The recordings hold every array of two steps: they go.
        del self.matching, self.events, self.lowered, self.by_python, self._grads, self.dropped
        del self.plan.lives, self.plan.places

    # --- building

    def _keep_fixed(self):
        """Zeros, ranges and the like that nothing changes are made once: they are constants of the program."""
        if not self.matching.fixed:
            return
        changed = set()
        for event in self.events:
            results = [event.result] if type(event) is Sum else [event.copy] if type(event) is Copy else []
            changed.update(id(owner_of(x)) for x in results)
            changed.update(event.written())
        matching = self.matching
        for event in matching.fixed:
            owned = {key for key, x in owners_in(event.result).items() if x.size}
            if not owned & changed and owned <= matching.temporary.keys():
                self.dropped.add(id(event))
                matching.constant.update((key, matching.temporary.pop(key)) for key in owned)

    def _kept_meanwhile(self):
        """Gradients of the last call that are there until this one forgets them: they are seen if it raises an error before."""
        begins = next((i for i, event in enumerate(self.events) if type(event) is not Grad), 0)
        forgotten = {id(event.node) for event in self.events[:begins]}
        found = [grad for node, grad in self.final if grad is not None and id(node) not in forgotten]
        return [x for x in found if id(owner_of(x)) in self.matching.temporary and x.size]

    def _build(self, grads):
        """Makes all parts. Gives the number of the last event at which Python decides by a value, or makes a result whose size
        may be another one; -1 if there is none. grads: {id of an array: the tensor in its place} of gradients."""
        rows, alarms, numbers, self.tables, decides = [], {}, [], [], -1

        def close():
            if rows:
                table = Table(list(rows), dict(alarms))
                table.stream = self._stream(rows)
                self.tables.append(table)
                self.segments.append((table, dict(forwards)))
                self.steps += [numbers_of(*step, table, first, self._assign_all) for *step, first in numbers]
                rows.clear(), alarms.clear(), numbers.clear(), forwards.clear()

        forwards, moved, born = {}, self.plan.moved, self.matching.second.born
        for i, event in enumerate(self.events):
            if type(event) is Grad:
                x = event.array
                if x is not None:
                    self.rows.append((Grad, event.name, "", ""))
                if id(event.node) not in born:
                    twin = grads[id(x)] if id(x) in grads else None if x is None else wrap(moved(x))
                    self._grads.append((event.node, twin))
                    if x is not None:
                        self.grads.append(self._grads[-1])
                continue
            native, lowered = id(event) in self.matching.native, self.lowered.get(id(event))
            calls = event.calls if native else lowered
            if id(event) in self.dropped:
                self.rows.append((type(event), event.name, "once", "the same in each call"))
                continue
            if calls is not None:
                kernels = tuple([call.kernel.kernel for call in calls])
                self.rows.append((type(event), event.name, "kernels", kernels or "a view"))
                calls = [call.with_arrays(moved) for call in calls]
                if type(event) is Step:
                    rows += [call.with_arrays(moved) for call in self.matching.before.get(id(event), ())]
                    numbers.append((event.optimizer, calls, len(rows)))
                    calls = with_counts(event.optimizer, calls)
                before, rows[len(rows) :] = len(rows), calls
                self._watch(event, calls, before, alarms, forwards)
                if native and type(event) is Forward and event.op.alarm:
                    alarms[len(rows) - 1] = moved(event.after[event.op.alarm])
                    forwards[len(rows) - 1] = self._refusal(event), len(rows)
            else:
                self.rows.append((type(event), event.name, "Python", self._why(event)))
                close()
                if self._grads:
                    self.segments.append((_assign(self._grads), None))
                    self._grads = []
                self.segments.append((self.by_python.function(event), None))
            if (calls is None and type(event) in (Forward, Function)) or any(map(_decides, lowered or ())):
                decides = i
        close()
        in_turn(self.steps)
        return decides

    def _watch(self, event, calls, first, alarms, forwards):
        """Where an alarm of the event goes off, Python does it, and the table goes on behind its calls."""
        for i, call in enumerate(calls):
            if stops(call):
                alarms[first + i] = call.args[-1]
                python = self.by_python.function if type(event) is Function else self.by_python.again
                forwards[first + i] = _refuse_index if _takes(call) else python(event), first + len(calls)

    def _assign_all(self):
        """Gives gradients to the parameters that get one in the step, and takes those of the call before from all others."""
        grads = [*((node, grad) for node, grad in self.final if grad is None), *self.grads]
        before = [(node, node.grad) for node, _ in reversed(grads)]
        _assign(grads)()
        return _assign(before)

    def _why(self, event):
        """Why an event stays Python."""
        if type(event) is Function and event.decides:
            return "Python decides by it"
        if type(event) is Function and not event.fixed and not event.calls:
            return "a function without a gradient: random numbers, comparisons"
        return self.matching.why.get(id(event), "it changes gradients in place" if type(event) is Effect else "NumPy does it")

    def _early(self, last, uses):
        """The arrays that change before event number `last`; None if it is -1."""
        if last < 0:
            return None
        steps = any(type(event) in (Step, Effect) for event in self.events[:last])
        return state_arrays(self) if steps else uses.changed_before(last)

    # --- running

    def keep(self, before):
        """Finds the lists, dicts and records that the step changes in place: [(get, Kept)]. before: what they held."""
        found = []
        for i, ((get, put, shape, arrays), (old, inner)) in enumerate(zip(self.places, before, strict=True)):
            if arrays and inner is not None and get() is old:
                found.append((get, kept := Kept((old, inner), old)))
                self.places[i] = get, functools.partial(_pour, get, put, kept), shape, arrays
        return found

    def be_cautious(self):
        """Where a replay would raise an error, all is put back, and the call made ordinarily: the step may catch it."""
        if self.cautious is not None:
            self.only, self.early = None, self.cautious

    def _indices(self):
        """The places of inputs that an operation in Python takes for indices, none of which is negative.

        What eager refuses before the operation runs, NumPy would count from the end.
        """
        python = [e for e in self.events if type(e) is Forward and id(e) not in self.matching.native]
        owners = {id(owner_of(x)) for e in python for x in arrays_in(list(e.before.values())) if x.dtype.kind == "i"}
        return [i for i, x in enumerate(self.statics) if id(owner_of(x)) in owners and x.size and x.min() >= 0]

    def shares(self, inputs):
        """Whether an input shares memory with what the step changes before it reads the input."""
        return any(id(owner_of(inputs[i])) in self.changes for i in self.late)

    def replay(self, inputs):
        for static, x in zip(self.statics, inputs, strict=True):
            static[...] = x
        self.run()

    def run(self):
        """Makes the step again with the inputs that lie in `statics`."""
        for i in self.indices:
            if self.statics[i].min() < 0:
                raise Otherwise("an index is negative now")
        for step in self.steps:
            step.update()
        if self.only is not None:
            stopped = self.only.run()
            if stopped >= 0:
                self._segments(stopped)
        elif self.early is None:
            self._segments()
        else:
            before = Before(self.early, self.nodes, self.generators)
            try:
                self._segments()
            except Otherwise:
                before.restore()
                raise
            except Exception as error:
                before.restore()
                raise Failed(str(error)) from error
        self.leave()

    def leave(self):
        """Gradients, the times of what was written, and what the step leaves in attributes and variables."""
        for node, grad in self.final:
            node.grad = grad
        writes._writes.newest = now = next_serial()
        for entry in self.writes:
            entry[1] = now
        for _, put, shape, arrays in self.places:
            put(filled(shape, map(np.ndarray.copy, arrays)) if arrays else shape)

    def stopped_at(self, row):
        """Goes on where the only table has stopped."""
        self._segments(self.only.checked(row))

    def _segments(self, stopped=-1):
        """All parts in order. stopped: the call of the first table that has stopped, if it was made already."""
        before = float_errors.get()
        try:
            float_errors.set(SILENT)
            with self.threads:
                for run, forwards in self.segments:
                    if forwards is None:
                        run()
                        continue
                    if stopped < 0:
                        stopped = self._run(run, 0)
                    while stopped >= 0:
                        by_python, first = forwards[stopped]
                        by_python()
                        stopped = self._run(run, first)
        finally:
            float_errors.set(before)

    def _run(self, table, first):
        with nullcontext() if table.stream is None else table.stream._lock:  # no other thread may draw meanwhile
            return table.run(first)

    def _stream(self, calls):
        """The random stream that some of the calls draw from, or None."""
        words = {id(call.args[0]) for call in calls if call.kernel in DRAWS}
        return next((x for x in self.generators if id(x._words) in words), None)

    def _refusal(self, event):
        """A function that raises the error of an operation that was given what it refuses: run by Python, it says so."""
        twin, moved = self.by_python.twin(event), self.plan.moved
        inputs = [moved(x) if isinstance(x, np.ndarray) else x for x in event.inputs]
        assign = _assign(list(self._grads))  # as far as the step has come

        def refuse():
            if self.exact:  # the call is made ordinarily
                raise Failed(f"{twin.name} refuses a value")
            assign()
            twin.forward(*inputs)
            raise RuntimeError(f"{twin.name}: it stopped, but not when it was run again")

        return refuse


def _pour(get, put, kept, new):
    put(kept.pour(get(), new))


def _generators(events):
    """The random streams that events were given."""
    events = [e for e in events if type(e) in (Forward, Function)]
    given = [e.takes() if type(e) is Function or e.before.keys() > {"needs"} else e.inputs for e in events]
    return [x for x in flat(given) if isinstance(x, Generator)]


def _takes(call):
    """Whether a kernel takes elements by an index, or puts them there."""
    return call.kernel is PICK or call.kernel is PUT_BACK


def _decides(call):
    """Whether Python may have to go on otherwise after a kernel."""
    return _takes(call) or call.kernel is DOUBT


def _refuse_index():
    raise Otherwise("an index is negative or out of range now")


def _assign(grads):
    def assign():
        for node, grad in grads:
            node.grad = grad

    return assign
