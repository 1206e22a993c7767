"""Ctrl-C at any line of a recording leaves nothing of NumPy's or minidl's replaced, and the step goes on."""

import gc
import sys
import threading

import minidl
from minidl import double_backward, nn
from minidl.capture import compiled, recorder, remembered, replacements
from minidl.capture.functions import functions, schedulers
from minidl.capture.numbers import dry_step
from minidl.graph import modes, watch
from minidl.graph.modes import mode
from minidl.kernels import jit
from tests.test_compile import batches, mlp, sgd, training

OURS = recorder.__file__, replacements.__file__, compiled.__file__, remembered.__file__, modes.__file__, watch.__file__


def everything():
    """All that a recording may replace, as it is now."""
    found, effects, readers, empties = functions()
    places = [(p, n) for p, n, _ in found] + effects + schedulers() + readers + empties
    places += [(nn.Module, "__call__"), (double_backward, "walk"), (minidl.Tensor, "array")]
    found = {(id(place), name): vars(place).get(name) for place, name in places}
    codes = {(id(kernel), dtype): code for kernel in jit.tables for dtype, code in kernel.items()}
    return {**found, **codes, "recorder": jit.recorder, "watch": mode.watch}


def same(before):
    now = everything()
    return all(now[key] is value for key, value in before.items())


class Interrupt:
    """Raises KeyboardInterrupt at the line number `at` of those that run in these files and functions."""

    def __init__(self, at, functions, files=OURS):
        self.at, self.functions, self.files, self.count, self.where = at, functions, files, 0, None

    def __call__(self, frame, event, arg):
        code = frame.f_code
        return self.line if code.co_filename in self.files and code.co_name in self.functions else None

    def line(self, frame, event, arg):
        if event == "line":
            self.count += 1
            if self.count == self.at:
                self.where = f"{frame.f_code.co_name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self.line


def interrupted(interrupt, call):
    """Whether it was interrupted."""
    sys.settrace(interrupt)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


NAMES = ["__enter__", "__exit__", "_call", "_begin", "_record", "_patch", "_restored", "replace", "put_back"]
NAMES += ["__init__", "add", "remove", "watch"]


def lines():
    """Numbers of lines to interrupt: all of the first and of the last, and some of the many between, in loops over kernels."""
    net = mlp()
    step = minidl.compile(training(net, sgd(net)), fullgraph=True)
    step(*batches(0))
    counter = Interrupt(-1, NAMES)
    interrupted(counter, lambda: step(*batches(0)))
    n = counter.count
    return sorted({*range(1, 40), *range(40, n - 120, max(n // 60, 1)), *range(n - 120, n + 1)} & set(range(1, n + 1)))


def test_nothing_stays_replaced():
    net = mlp()
    optimizer = sgd(net)
    before, hit = everything(), set()
    for at in lines():
        step = minidl.compile(training(net, optimizer), fullgraph=True)
        step(*batches(0))
        interrupt = Interrupt(at, NAMES)
        assert interrupted(interrupt, lambda: step(*batches(0))) == (interrupt.where is not None)  # noqa: B023
        hit.add(interrupt.where)
        assert same(before) and gc.isenabled(), interrupt.where
        assert remembered.recording in ({}, {"thread": threading.get_ident()}) and not step._remembered.busy
        assert mode.watch is None and len(modes.watchers) <= len(hit)
        modes.watchers.clear()  # an entry too many costs time only, but other tests count them
    assert len(hit) > 25  # lines of all of these functions
    for i in range(5):
        step(*batches(i))  # begins again, and is remembered
    assert next(iter(step._remembered.plans.values())).program is not None


def test_an_optimizer_that_is_asked_for_its_numbers():
    """At each line of the dry step, too."""
    net = mlp()
    optimizer = sgd(net)
    step = minidl.compile(training(net, optimizer), fullgraph=True)
    for i in range(5):
        step(*batches(i))
    (plan,) = step._remembered.plans.values()
    calls = plan.program.steps[0].calls
    before, values = everything(), [p.array.copy() for p in net.parameters()]
    for at in range(1, 200):
        interrupt = Interrupt(at, ("dry_step", "put_back"), (sys.modules["minidl.capture.numbers"].__file__,))
        stopped = interrupted(interrupt, lambda: dry_step(optimizer, calls))
        assert same(before), interrupt.where
        assert all((p.array == old).all() for p, old in zip(net.parameters(), values, strict=True)), interrupt.where
        if not stopped:
            break
    assert at > 10
