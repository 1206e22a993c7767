"""Where the time goes: every operation and every backward, with its line, its module and its bytes, under PyTorch's names.

profile is the entry. recording.py observes the engine, events.py has the events and their averages, table.py prints them,
trace.py writes them for chrome://tracing, schedules.py says which steps of a training are profiled.
"""

import threading
import time
import warnings

from ..graph.watch import add, record_function, remove
from . import trace
from .events import EventList, FunctionEvent, FunctionEventAvg
from .recording import Recorder
from .schedules import RECORDED, ProfilerAction, ProfilerActivity, schedule, supported_activities

__all__ = [
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
]


class profile:
    """Records every operation of this thread, forward and backward, as a context or between start() and stop().

    record_shapes: keep the shapes of inputs (of a backward: of its gradients). profile_memory: count the bytes of the arrays
    that operations return, if they are new. Freed memory is not subtracted; what a kernel uses while it runs is not counted.
    with_stack: keep whole stacks, not only the line. with_modules: keep the path of the module; the default is not PyTorch's.
    schedule, on_trace_ready: record only some steps (step() ends each), and call on_trace_ready(profile) after each cycle. The
    events are those of the last cycle, or with acc_events=True of all cycles.

    A backward has the name of its operation with "Backward0" added, and its line and module. A kernel that is compiled while
    the profile runs is an event, "compile NAME". To load a compiled kernel at its first use counts as time of the operation:
    run one step before the profile. Other threads are not recorded.
    An event costs about 5 µs (benchmarks/watching.py prints it).

    >>> import minidl
    >>> from minidl import nn
    >>> from minidl.profiler import ProfilerActivity, profile
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
    >>> with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as p:
    ...     model(minidl.ones(2, 4)).sum().backward()
    >>> for event in p.events():
    ...     print(event.name, event.input_shapes, event.module)
    Linear [[2, 4], [8, 4], [8]] Sequential.0 (Linear)
    Tanh [[2, 8]] Sequential.1 (Tanh)
    Sum [[2, 8]]
    SumBackward0 [[2, 8]]
    TanhBackward0 [[2, 8]] Sequential.1 (Tanh)
    LinearBackward0 [[8, 4], [8]] Sequential.0 (Linear)
    >>> text = p.key_averages().table(sort_by="self_cpu_time_total", row_limit=10)
    """

    clock = staticmethod(time.perf_counter_ns)

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
        with_modules=True,
        experimental_config=None,
        execution_trace_observer=None,
        acc_events=False,
        use_cuda=None,
        custom_trace_id_callback=None,
        post_processing_timeout_s=None,
    ):
        self.activities = _check_activities(activities)
        refused = {
            "with_flops": with_flops,
            "use_cuda": use_cuda,
            "experimental_config": experimental_config,
            "execution_trace_observer": execution_trace_observer,
            "custom_trace_id_callback": custom_trace_id_callback,
            "post_processing_timeout_s": post_processing_timeout_s,
        }
        for name, value in refused.items():
            if value:
                raise NotImplementedError(f"profile: {name}={value!r} is not supported; leave it out")
        for name, value in (("schedule", schedule), ("on_trace_ready", on_trace_ready)):
            if value is not None and not callable(value):
                raise TypeError(f"profile: {name} must be a function, got {value!r}")
        self.record_shapes, self.profile_memory = record_shapes, profile_memory
        self.with_stack, self.with_modules, self.acc_events = with_stack, with_modules, acc_events
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self.step_num, self.current_action, self._origin = 0, self._planned(0), None
        self._recorder = self._thread = self._label = self._events = None
        self._metadata = {}

    def _planned(self, step):
        action = ProfilerAction.RECORD if self.schedule is None else self.schedule(step)
        if not isinstance(action, ProfilerAction):
            raise TypeError(f"profile: the schedule must give a ProfilerAction, got {action!r} for step {step}")
        return action

    # --- from start to stop

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()

    def start(self):
        """Begins to record; what was recorded before is deleted."""
        if self._thread is not None:
            raise RuntimeError("profile.start: it is already running; call stop() first, or make another profile")
        self._thread, self._events, self._origin = threading.get_ident(), None, None
        self._go()

    def stop(self):
        """Ends the recording; the events are then complete."""
        self._check_running("stop")
        self._thread = None
        self._halt(self.current_action in RECORDED)

    def step(self):
        """Call it after each step of the training: it ends one step and begins the next."""
        self._check_running("step")
        before, after = self.current_action, self._planned(self.step_num + 1)
        self.step_num, self.current_action = self.step_num + 1, after
        if self.schedule is None:
            return
        if before in RECORDED and (before is ProfilerAction.RECORD_AND_SAVE or after not in RECORDED):
            if before is ProfilerAction.RECORD:
                warnings.warn("Incorrect schedule: RECORD followed by " + after.name, stacklevel=2)
            self._halt(before is ProfilerAction.RECORD_AND_SAVE)
        elif before is ProfilerAction.WARMUP and after is ProfilerAction.NONE:
            warnings.warn("Incorrect schedule: WARMUP followed by NONE", stacklevel=2)
        self._go()

    def _check_running(self, name):
        if self._thread is None:
            raise RuntimeError(f"profile.{name}: it is not running; use `with profile():`, or call start() first")
        if self._thread != threading.get_ident():
            raise RuntimeError(f"profile.{name}: a profile is of one thread; call {name}() in the thread that called start()")

    def _go(self):
        """Begins to record, or goes on, if the schedule says so, and names the step."""
        if self._label is not None:
            self._label.__exit__()
            self._label = None
        if self.current_action not in RECORDED:
            return
        if self._recorder is None:
            self._recorder = Recorder(self.clock, self.record_shapes, self.profile_memory, self.with_stack, self.with_modules)
            add(self._recorder)
            self._recorder.begin(self._origin)
            self._origin = self._recorder.origin
        if self.schedule is not None:
            self._label = record_function(f"ProfilerStep#{self.step_num}")
            self._label.__enter__()

    def _halt(self, ready):
        """Ends the recording, if there is one, and calls on_trace_ready if a cycle is complete."""
        if self._recorder is not None:
            if self._label is not None:
                self._label.__exit__()
                self._label = None
            recorder, self._recorder = self._recorder, None
            remove(recorder)
            events = recorder.finish()
            self._events = [*(self._events or []), *events] if self.acc_events else events
            for i, event in enumerate(self._events):
                event.id = i
        if ready and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    # --- what was recorded

    def events(self):
        """All events, in the order in which they began."""
        if self._events is None:
            raise RuntimeError("profile: nothing is recorded yet; the events are there after the `with` block, or stop()")
        return EventList(self._events, self.profile_memory, self.with_stack)

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0, group_by_overload_name=False):
        """The events of each name together (or of each name and input shapes): a list of FunctionEventAvg, with a `table`."""
        if group_by_input_shape and not self.record_shapes:
            raise ValueError("key_averages: group_by_input_shape needs the shapes: profile(record_shapes=True)")
        return self.events().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def total_average(self):
        """The sums over all events."""
        return self.events().total_average()

    def add_metadata(self, key, value):
        """Adds a string to what export_chrome_trace writes."""
        self._metadata[key] = value

    def export_chrome_trace(self, path):
        """Writes the events as JSON that chrome://tracing and ui.perfetto.dev open; compressed if the path ends in .gz."""
        trace.export(self.events(), path, self._metadata)

    def export_stacks(self, path, metric="self_cpu_time_total"):
        """Writes a line for each event, its stack from the outside in and its time, as flame graphs are made of."""
        self.events().export_stacks(path, metric)


def _check_activities(activities):
    chosen = supported_activities() if activities is None else list(activities)
    for activity in chosen:
        if not isinstance(activity, ProfilerActivity):
            raise TypeError(f"profile: activities must be a list of ProfilerActivity, got {activity!r} in it")
        if activity is not ProfilerActivity.CPU:
            raise NotImplementedError(f"profile: {activity} is not supported; minidl runs on the CPU: [ProfilerActivity.CPU]")
    if not chosen:
        raise ValueError("profile: activities is empty; give [ProfilerActivity.CPU], or leave it out")
    return set(chosen)
