"""Where the time goes: which operations take how long, forward and back, called from which line and by which module.

PyTorch's names. Only operations of the thread that started the profile are seen, and only those that a Tensor's methods and
functions run: what NumPy does, and optimizers, show as the time between them. The profiler's own time is left out.
"""

import enum
import functools
import json
import os
import threading

from ..graph.modes import mode
from ..graph.watch import watching
from .averages import EventList, FunctionEventAvg
from .events import Recorder

__all__ = ["EventList", "FunctionEventAvg", "ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule"]


class ProfilerActivity(enum.Enum):
    """What is profiled. There is only the CPU."""

    CPU = 0


class ProfilerAction(enum.Enum):
    """What a schedule says of a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def schedule(*, wait, warmup, active, repeat=0, skip_first=0):
    """A function from the number of a step to what is done with it: wait, then warm up, then record, again and again.

    >>> plan = schedule(wait=1, warmup=0, active=2, repeat=1)
    >>> [plan(step).name for step in range(4)]
    ['NONE', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise ValueError("schedule: wait, warmup, repeat and skip_first must be 0 or more, and active 1 or more")

    def action(step):
        step, period = step - skip_first, wait + warmup + active
        if step < 0 or (repeat and step >= repeat * period):
            return ProfilerAction.NONE
        step %= period
        if step < wait + warmup:
            return ProfilerAction.NONE if step < wait else ProfilerAction.WARMUP
        return ProfilerAction.RECORD if step < period - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


class profile:
    """A context that records every operation of this thread.

    record_shapes: shapes of the inputs, to group by. profile_memory: bytes of new results and gradients in the table.
    with_stack and with_modules are accepted: line and module are always recorded. schedule, with `step()` after each step of
    the training: records some of the steps only. on_trace_ready(profile) is called when a recording is complete.

    >>> import minidl
    >>> with profile() as p:
    ...     x = minidl.ones(2, 3, requires_grad=True)
    ...     (x * 2).sum().backward()
    >>> [(a.key, a.count, a.backward_time_total > 0) for a in p.key_averages()]
    [('Mul', 1, True), ('Sum', 1, True)]
    """

    def __init__(
        self,
        *,
        activities=None,
        schedule=None,
        on_trace_ready=None,
        record_shapes=False,
        profile_memory=False,
        with_stack=False,
        with_flops=False,
        with_modules=False,
        experimental_config=None,
        acc_events=False,
    ):
        if activities is not None and set(activities) != {ProfilerActivity.CPU}:
            raise ValueError(f"profile: activities can only be [ProfilerActivity.CPU], got {list(activities)}")
        for name, value in {"with_flops": with_flops, "experimental_config": experimental_config}.items():
            if value:
                raise NotImplementedError(f"profile: {name} is not supported")
        self.schedule, self.on_trace_ready, self.acc_events = schedule, on_trace_ready, acc_events
        self.record_shapes, self.profile_memory, self.step_num = record_shapes, profile_memory, 0
        self._recorder, self._watching = None, None

    def start(self):
        """Begins to record; `with` calls it."""
        if self._watching is not None:
            raise RuntimeError("profile: it has been started already")
        self._go_on(self.schedule(0) if self.schedule else ProfilerAction.RECORD)

    def stop(self):
        """Ends; `with` calls it."""
        if self._pause() and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self):
        """Says that a step of the training is over. Does nothing without a schedule."""
        if self.schedule is None:
            return
        done = self.schedule(self.step_num)
        self.step_num += 1
        if done is ProfilerAction.RECORD_AND_SAVE:
            self.stop()
        self._go_on(self.schedule(self.step_num))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()

    def _go_on(self, action):
        wanted = action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if wanted and self._watching is None:
            if self._recorder is None or not self.acc_events:
                self._recorder = Recorder()
            self._watching = watching(self._recorder)
            self._watching.__enter__()

    def _pause(self):
        if self._watching is None:
            return False
        self._watching.__exit__(None, None, None)
        self._watching = None
        self._recorder.finish()
        return True

    # --- what was recorded

    def events(self):
        """All events, in the order in which they began."""
        if self._recorder is None:
            raise RuntimeError("profile: nothing has been recorded yet")
        return list(self._recorder.events)

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0):
        """The events of each name added up; also apart by shapes of the inputs, or by line (group_by_stack_n=1)."""
        if group_by_stack_n not in (0, 1):
            raise ValueError(f"key_averages: group_by_stack_n can be 0 or 1, the line of the call, got {group_by_stack_n}")
        if group_by_input_shape and not self.record_shapes:
            raise RuntimeError("key_averages: group_by_input_shape needs profile(record_shapes=True)")
        groups = {}
        for event in self.events():
            shapes, line = event.shapes if group_by_input_shape else None, event.line if group_by_stack_n else None
            groups.setdefault((event.name, shapes, line), []).append(event)
        averages = [FunctionEventAvg(key[0], events) for key, events in groups.items()]
        return EventList(averages, self.profile_memory, group_by_input_shape)

    def export_chrome_trace(self, path):
        """Writes a file that chrome://tracing and https://ui.perfetto.dev show as a picture of the time."""
        events, entries = self.events(), []
        origin = min((e.start for e in events), default=0.0)
        place = {"pid": os.getpid(), "tid": threading.get_native_id()}
        for event in events:
            name = event.name + ("Backward0" if event.kind == "backward" else "")
            kind = "user_annotation" if event.kind == "annotation" else "cpu_op"
            start, shapes = 1e6 * (event.start - origin), [list(shape) for shape in event.shapes]
            details = {"module": event.module, "line": event.line, "shapes": shapes, "bytes": event.nbytes}
            times = {"ts": start, "dur": 1e6 * event.total, **place}
            entries.append({"ph": "X", "cat": kind, "name": name, **times, "args": details})
            if event.serial is not None:  # an arrow from the way forward to the way back
                arrow = {"cat": "fwdbwd", "name": "fwdbwd", "id": event.serial, "ts": start, **place}
                entries.append({**arrow, "ph": "f", "bp": "e"} if event.kind == "backward" else {**arrow, "ph": "s"})
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": entries, "displayTimeUnit": "ms"}, file)


class record_function:
    """A context, or a decorator, whose time shows in the profile under this name, with the operations in it.

    >>> import minidl
    >>> with profile() as p, record_function("double"):
    ...     y = minidl.ones(3) * 2
    >>> [(e.name, e.parent and e.parent.name) for e in p.events()]
    [('double', None), ('Mul', 'double')]
    """

    def __init__(self, name, args=None):
        if not isinstance(name, str):
            raise TypeError(f"record_function: expected a name, got {type(name).__name__}")
        self.name = name if args is None else f"{name} ({args})"
        self._told = []

    def __enter__(self):
        self._told.append(mode.watch)
        if mode.watch is not None:
            mode.watch.enter(self.name)
        return self

    def __exit__(self, *error):
        watch = self._told.pop()
        if watch is not None:
            watch.leave(self.name)

    def __call__(self, function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with record_function(self.name):
                return function(*args, **kwargs)

        return wrapper
