"""The events of a profile, and the averages of all events of one name."""

import os
import weakref
from types import MappingProxyType

from . import table, trace

SCOPES = MappingProxyType({"operation": 0, "backward": 1, "compile": 0, "label": 7})  # PyTorch's RecordScope


class Interval:
    """From `start` to `end`, in microseconds since the profile began."""

    def __init__(self, start, end):
        self.start, self.end = start, end

    def elapsed_us(self):
        return self.end - self.start

    def __repr__(self):
        return f"Interval({self.start}, {self.end})"


class _Times:
    """Times as text, and the average, of what has a `count`."""

    @property
    def cpu_time(self):
        """The average of a call, in microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    cpu_time_avg = cpu_time

    @property
    def cpu_time_str(self):
        return table.format_time(self.cpu_time)

    @property
    def cpu_time_total_str(self):
        return table.format_time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self):
        return table.format_time(self.self_cpu_time_total)


class FunctionEvent(_Times):
    """One run of an operation or of its backward, one part of the program that has a name, or one kernel compiled.

    Times are in microseconds. `cpu_children` are the events inside it, `cpu_parent` the event around it (None after that
    was deleted). `forward_time_total` is the time of the operations inside it (or of itself, if it is one);
    `backward_time_total` is the time of their backward, whenever it ran, and of other backward steps inside it. `failed`: it
    raised, so its end is not known; the last known time inside it is taken for its end.

    >>> import minidl
    >>> with minidl.profiler.profile() as p:
    ...     y = minidl.ones(3).exp()
    >>> event = p.events()[0]
    >>> event.name, event.count, event.module, event.cpu_time_total > 0
    ('Exp', 1, '', True)
    """

    count, is_async, is_remote, node_id, use_device, is_legacy = 1, False, False, -1, None, False
    # The following are set on an event only if they are known. Few events have them, and making an event must be fast.
    input_shapes, stack, module, sequence_nr = (), (), "", -1
    cpu_memory_usage, failed, origin = 0, False, 0
    _forward, _backward, _parent, _place = 0, 0, None, None

    def __init__(self, id, kind, name, thread, start):
        self.id, self.kind, self.name, self.thread = id, kind, name, thread
        self._start, self._end = start, None  # nanoseconds, exact
        self.cpu_children = []

    @property
    def key(self):
        """Events with the same key are averaged together: the key is the name, and one key for all steps of a schedule."""
        return "ProfilerStep*" if self.name.startswith("ProfilerStep#") else self.name

    @property
    def scope(self):
        """As in PyTorch: 0 for an operation, 1 for a backward, 7 for a part that was named."""
        return SCOPES[self.kind]

    @property
    def is_user_annotation(self):
        """Whether it is a part of the program named with record_function."""
        return self.kind == "label"

    @property
    def line(self):
        """The line of the user's program, as 'file(line): function'."""
        return "" if self._place is None else "{}({}): {}".format(*self._place)

    @property
    def cpu_parent(self):
        """The event that this one ran inside of, or None."""
        return self._parent and self._parent()

    @property
    def time_range(self):
        """When it began and ended, in microseconds."""
        return Interval((self._start - self.origin) / 1000, (self._end - self.origin) / 1000)

    @property
    def cpu_time_total(self):
        """The time from its beginning to its end, in microseconds."""
        return (self._end - self._start) / 1000

    @property
    def self_cpu_time_total(self):
        """Its time without the events inside it, in microseconds."""
        return (self._end - self._start - sum(child._end - child._start for child in self.cpu_children)) / 1000

    @property
    def self_cpu_memory_usage(self):
        """The memory it took, in bytes, without the events inside."""
        return self.cpu_memory_usage - sum(child.cpu_memory_usage for child in self.cpu_children)

    @property
    def forward_time_total(self):
        return self._forward / 1000

    @property
    def backward_time_total(self):
        return self._backward / 1000

    def __repr__(self):
        return (
            f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_str} "
            f"self_cpu_time={self.self_cpu_time_total_str} cpu_memory_usage={self.cpu_memory_usage} line={self.line}>"
        )


SUMS = ("count", "cpu_time_total", "self_cpu_time_total", "cpu_memory_usage", "self_cpu_memory_usage")
SUMS += ("forward_time_total", "backward_time_total")


class FunctionEventAvg(_Times):
    """The sums over all events of one key. `cpu_time` is the average of a call, `lines` and `modules` say where they are from.

    >>> import minidl
    >>> with minidl.profiler.profile() as p:
    ...     for _ in range(3):
    ...         y = minidl.ones(3).exp()
    >>> p.key_averages()[0].key, p.key_averages()[0].count
    ('Exp', 3)
    """

    is_async, is_remote, node_id, use_device, is_legacy = False, False, -1, None, False

    def __init__(self):
        self.key = self.input_shapes = self.stack = self.scope = self.cpu_parent = self.cpu_children = None
        self.is_user_annotation, self.lines, self.modules = False, {}, {}
        for name in SUMS:
            vars(self)[name] = 0

    def add(self, other):
        """Adds an event, or the average of others."""
        if self.key is None:
            for name in ("key", "input_shapes", "stack", "scope", "cpu_parent", "cpu_children", "is_user_annotation"):
                vars(self)[name] = getattr(other, name)
        if other.key != self.key:
            raise ValueError(f"FunctionEventAvg.add: expected an event of key {self.key!r}, got {other.key!r}")
        for name in SUMS:
            vars(self)[name] += getattr(other, name)
        for ours, name in ((self.lines, "line"), (self.modules, "module")):
            value = getattr(other, name)
            for place, count in (getattr(other, name + "s") if isinstance(other, FunctionEventAvg) else {value: 1}).items():
                if place:
                    ours[place] = ours.get(place, 0) + count
        return self

    __iadd__ = add

    @property
    def line(self):
        """The line that called it most often, and how many others did."""
        return _first(self.lines)

    @property
    def module(self):
        """The module that called it most often, and how many others did."""
        return _first(self.modules)

    def __repr__(self):
        return (
            f"<FunctionEventAvg key={self.key} count={self.count} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage}>"
        )


def _first(places):
    first = max(places, key=places.get, default="")
    return f"{first} and {len(places) - 1} more" if len(places) > 1 else first


class EventList(list):
    """A list of events, or of averages, with its table.

    >>> import minidl
    >>> with minidl.profiler.profile() as p:
    ...     y = minidl.ones(3).exp()
    >>> print(p.events().key_averages().table().splitlines()[1].split()[:3])
    ['Name', 'Self', 'CPU']
    """

    def __init__(self, events=(), profile_memory=False, with_stack=False):
        super().__init__(events)
        self.profile_memory, self.with_stack = profile_memory, with_stack

    def __str__(self):
        return self.table()

    @property
    def self_cpu_time_total(self):
        return sum(event.self_cpu_time_total for event in self)

    def table(
        self,
        sort_by=None,
        row_limit=100,
        max_src_column_width=75,
        max_name_column_width=55,
        max_shapes_column_width=80,
        header=None,
        top_level_events_only=False,
        time_unit=None,
    ):
        """The list as text, a row for each entry, the largest `sort_by` first; without it in the order of the first call.

        sort_by: cpu_time, cpu_time_avg (the same), cpu_time_total, self_cpu_time_total, forward_time_total,
        backward_time_total, count; with profile_memory=True also cpu_memory_usage and self_cpu_memory_usage.
        row_limit: at most so many rows, -1 for all. time_unit: "s", "ms" or "us" for all times, None for what suits each.
        """
        return table.table(
            self,
            sort_by,
            row_limit,
            max_src_column_width,
            max_name_column_width,
            max_shapes_column_width,
            header,
            top_level_events_only,
            time_unit,
        )

    def key_averages(self, group_by_input_shapes=False, group_by_stack_n=0, group_by_overload_name=False):
        """Events of the same name (and input shapes, and innermost lines of the stack) together: a list of FunctionEventAvg."""
        if group_by_overload_name:
            raise NotImplementedError(
                "key_averages: group_by_overload_name=True is not supported, operations have one name each"
            )
        if group_by_stack_n and not self.with_stack:
            raise ValueError("key_averages: group_by_stack_n needs the stacks: profile(with_stack=True)")
        groups = {}
        for event in self:
            key = [event.key, event.is_user_annotation]
            if group_by_input_shapes:
                key.append(str(event.input_shapes))
            key += event.stack[:group_by_stack_n] if group_by_stack_n else ()
            groups.setdefault(tuple(key), FunctionEventAvg()).add(event)
        averages = EventList(groups.values(), self.profile_memory, self.with_stack)
        for average in averages:
            if not group_by_input_shapes:
                average.input_shapes = ""
            average.stack = (average.stack or [])[:group_by_stack_n]
        return averages

    def total_average(self):
        """The sums over all events, as one average of key "Total"; what is inside another event counts in both."""
        total = FunctionEventAvg()
        for event in self:
            total.key = event.key
            total.add(event)
        total.key = "Total"
        return total

    def export_chrome_trace(self, path):
        """Writes the events as JSON that chrome://tracing and ui.perfetto.dev open; compressed if the path ends in .gz."""
        trace.export(self, path)

    def supported_export_stacks_metrics(self):
        """The metrics that export_stacks can write."""
        return ["self_cpu_time_total"]

    def export_stacks(self, path, metric="self_cpu_time_total"):
        """Writes a line for each event, its stack from the outside in and its time, as flame graphs are made of."""
        if metric not in self.supported_export_stacks_metrics():
            raise ValueError(f"export_stacks: metric must be one of {self.supported_export_stacks_metrics()}, got {metric!r}")
        if not self.with_stack:
            raise ValueError("export_stacks: needs the stacks: profile(with_stack=True)")
        clean = str.maketrans(" ;\t\n", "____")
        with open(os.fspath(path), "w", encoding="utf-8") as file:
            for event in self:
                value = int(getattr(event, metric))
                if event.stack and value > 0:
                    file.write(";".join(entry.translate(clean) for entry in reversed(event.stack)) + f" {value}\n")


def nest(parent, child):
    """Puts one event into another. The child does not keep its parent alive: a reference cycle would stay in memory longer."""
    parent.cpu_children.append(child)
    child._parent = weakref.ref(parent)


def connect(events):
    """Computes the forward and backward time of each event, after the events of a profile are complete.

    A backward is connected to the operation by its serial number.
    """
    operations = {event.sequence_nr: event for event in events if event.kind == "operation" and event.sequence_nr >= 0}
    counted = {}  # id of a backward event -> ids of those that it has been added to
    for event in events:
        above = list(_ancestors(event))
        elapsed = event._end - event._start
        if event.kind == "operation":
            event._forward += elapsed
            if not any(parent.kind in ("operation", "backward") for parent in above):
                for parent in above:
                    parent._forward += elapsed
        elif event.kind == "backward":
            operation = operations.get(event.sequence_nr)
            if operation is not None:
                event._place, event.module, event.stack = operation._place, operation.module, operation.stack
                above += [operation, *_ancestors(operation)]
            outer = set().union(*(counted[parent.id] for parent in _ancestors(event) if parent.kind == "backward"))
            targets = {target.id: target for target in [event, *above]}
            counted[event.id] = outer | set(targets)
            for key in targets.keys() - outer:
                targets[key]._backward += elapsed


def _ancestors(event):
    while (event := event.cpu_parent) is not None:
        yield event
