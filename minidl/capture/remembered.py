"""What is remembered of one function: its first calls, the comparison, and the replays that are no short way."""

import gc
import threading
import warnings

import numpy as np

from ..graph.modes import mode as engine
from ..graph.writes import owner_of
from ..nn.module import Module
from ..tensors.tensor import Tensor
from .arguments import copied, examine, is_plain, leaves, put_back, refused, skeleton, tensors_in, twins, with_statics
from .comparing import SIMPLE, same
from .guards import LEFT, Guards
from .matching import Matching
from .numbers import Changed
from .origins import CannotRemember, Carried
from .plans import ENOUGH, Plan, no_replay
from .program import Failed, Otherwise, Program
from .recorder import Recorder, options_of
from .replay import replay_of
from .state import State, equal, grads_of
from .uses import read_after

MOST = 8  # programs of one step
MISSES = 4  # calls in which Python would have gone on otherwise, after which a step is recorded anew
recording = {}  # one thread records at a time: {"thread": which}


class Remembered:
    """plans: one for each combination of shapes. last: the one whose program may be replayed the short way, see Compiled.

    refusal: why the function stays ordinary, or None. lock: for those who call.
    """

    def __init__(self, function, fullgraph):
        self.function, self.fullgraph = function, fullgraph
        self.plans, self.last, self.refusal = {}, None, None
        self.found = []  # nodes whose .grad the step finds when it begins: there are programs with and without it
        self.lock, self.busy = threading.RLock(), False

    def call(self, args, options):
        if engine.recording and isinstance(self.function, Module):
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
        key = (*given, *[node.grad is None for node in self.found])
        try:
            plan = self.plans.get(key)
        except TypeError:
            return self._stay(f"an argument can't be compared with the last call's: {args!r}", args, options)
        if plan is None:
            if len(self.plans) >= MOST:
                return self._stay(_too_many(leaves((args, options))), args, options)
            plan = self.plans[key] = Plan(given)
        changed = None if plan.program is None else plan.guards.broken()
        if plan.others and changed is not LEFT and (changed is not None or plan.program is None):
            changed, self.last = plan.turn_back(changed), None
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
                        if plan.replay is no_replay:
                            plan.replay = replay_of(plan, [list(tensors).index(id(x)) for x in args])
                        self.last = plan
                    plan.number = number
                    plan.program.replay(arrays)
                    return plan.answer()
                except Otherwise as what:
                    plan.misses += type(what) is not Failed
                    if plan.misses < MISSES or type(what) is Failed:
                        return self.function(*args, **options)
                    changed = str(what)
                except Changed as what:
                    changed = str(what)
            else:
                plan.put_aside()
            self.last = None
            plan.begin_again(changed)
            if plan.begun > MOST:
                return self._stay(_too_often(changed), args, options)
        return self._begin(plan, tensors, args, options)

    def _settle(self, plan, args, options):
        """An ordinary call, after which replays set what it has set."""
        guards, program = plan.guards, plan.program
        left = [place for place in guards.settled if not same(place[0](), place[2])]
        result = self.function(*args, **options)
        guards.settle()
        plan.replay = no_replay  # it is to be written anew
        program.places += [(get, put, value, []) for get, put, value in left if same(get(), value)]
        guards.settled = [place for place in guards.settled if place not in left]
        plan.left, plan.left_at = plan.left + 1 if plan.left_at == plan.number else 1, plan.number
        if plan.left > ENOUGH and self.last in (None, plan):  # in so many calls one after the other, and no other is replayed
            self._refuse(f"{LEFT}, in each call: pass it as an argument")
        elif plan.left == MISSES and plan.begun == 0:  # it may stay as it is now
            self.last = None if self.last is plan else self.last
            plan.begin_again(LEFT)
        return result

    # --- the first calls

    def _begin(self, plan, tensors, args, options):
        if plan.number == 0:
            plan.number = 1
            result = self.function(*args, **options)
            return result if refused(result) else copied(result)  # so that it may be given to the next call
        me, collects = threading.get_ident(), gc.isenabled()
        try:
            if recording.setdefault("thread", me) != me:  # another step is recorded, in another thread
                return self.function(*args, **options)
            try:
                gc.disable()  # a recording makes many objects and no garbage
                return self._record(plan, tensors, args, options)
            finally:
                if collects:
                    gc.enable()
        finally:  # Ctrl-C may come at any line: a lock could stay locked for ever, an entry of this thread holds it up no more
            if collects:  # if it came where it is done first
                gc.enable()
            if recording.get("thread") == me:
                recording.clear()

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
                result = self.function(*args, **options)
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
        known = {id(node) for node in self.found}
        if found.keys() <= known:
            return
        self.found += [node for key, (node, _) in found.items() if key not in known]
        none = [found[id(node)][1] if id(node) in found else node.grad is None for node in self.found]
        self.plans = {(*plan.given, *none): plan}

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
            guards = Guards(self.function, arguments, read, modules, steps, grads, *found)
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
        result = self.function(*args, **options)
        unseen = unseen()
        if number == 4:
            plan.guards.keep(program.keep(before.held))
        plan.guards.settle()
        expected, grads, after = [x.array.copy() for x in tensors_in(result)], grads_of(program), State(program)
        program.plan.poison()
        before.restore()  # gradients of the last call lie in the same memory
        try:
            program.replay(given)
            differs = not (equal(expected, program.results) and after.equal() and equal(grads, grads_of(program)))
        except (Otherwise, Changed) as what:
            if type(what) is not Failed or plan.guards.catches:  # the next call is compared
                after.restore()
                self.last = None
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
            return plan.answer()
        after.restore()
        if plan.doubt and differs:  # something that no guard sees has changed meanwhile
            self.last = None
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
        plan.program = self.last = None
        if number > 4:
            self.refusal = reason
            raise RuntimeError(
                f"compile: at call {number} {reason}. The step depends on something that the recorder can't see: a count "
                "of its calls, say, or a list that Python changes. Its last calls may be wrong. Pass such values as arguments."
            )
        self._refuse(reason)
        return result

    def _refuse(self, reason):
        self.refusal, self.last = reason, None
        for plan in self.plans.values():
            plan.others.clear()
        if self.fullgraph:
            raise CannotRemember(f"compile: the step can't be remembered: {reason}")
        name = getattr(self.function, "__name__", type(self.function).__name__)
        warnings.warn(f"compile: {name} stays ordinary: {reason}", stacklevel=5)

    def _stay(self, reason, args, options):
        self._refuse(reason)
        return self.function(*args, **options)


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
