"""Events of one name added up, and the table of them."""

import math
import os

SORT_KEYS = {
    "cpu_time": "cpu_time",
    "cpu_time_avg": "cpu_time",
    "cpu_time_total": "cpu_time_total",
    "self_cpu_time_total": "self_cpu_time_total",
    "cpu_memory_usage": "cpu_memory_usage",
    "self_cpu_memory_usage": "self_cpu_memory_usage",
    "count": "count",
    "forward_time_total": "forward_time_total",
    "backward_time_total": "backward_time_total",
}


class FunctionEventAvg:
    """All events of one name (and shapes, and line, if grouped by them). Times are microseconds, memory is bytes.

    cpu_time_total is forward and backward together, with what ran within; count is how often it ran forward.
    """

    def __init__(self, key, events):
        forward = [e for e in events if e.kind != "backward"]
        self.key, self.events = key, events
        self.count = len(forward) or len(events)
        self.forward_time_total = 1e6 * sum(e.total for e in forward)
        self.backward_time_total = 1e6 * sum(e.total for e in events if e.kind == "backward")
        self.cpu_time_total = self.forward_time_total + self.backward_time_total
        self.self_cpu_time_total = 1e6 * sum(e.self_total for e in events)
        self.cpu_time = self.cpu_time_total / self.count
        self.cpu_memory_usage = sum(e.nbytes for e in events)
        self.self_cpu_memory_usage = sum(e.self_nbytes for e in events)
        self.input_shapes = [list(shape) for shape in events[0].shapes]
        self.is_user_annotation = events[0].kind == "annotation"
        self.line, self.module = _mostly(events, "line"), _mostly(events, "module")

    def __repr__(self):
        return f"<FunctionEventAvg {self.key}: {self.count} calls, {time_text(self.cpu_time_total)}>"


def _mostly(events, attribute):
    """The value that took the most time, and how many others there are."""
    times = {}
    for e in events:
        times[getattr(e, attribute)] = times.get(getattr(e, attribute), 0) + e.total
    first = max(times, key=times.get)
    return f"{first} +{len(times) - 1}" if len(times) > 1 else first


class EventList(list):
    """A list of averages with a `table`."""

    def __init__(self, averages, memory=False, shapes=False):
        super().__init__(averages)
        self.memory, self.shapes = memory, shapes

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
        """The averages as text, a row each: PyTorch's columns, then the time forward and back, the module and the line.

        sort_by: cpu_time, cpu_time_total, self_cpu_time_total, cpu_memory_usage, self_cpu_memory_usage, count,
        forward_time_total or backward_time_total, the largest first. row_limit: −1 for all. time_unit: "us", "ms" or "s".
        """
        if sort_by is not None and sort_by not in SORT_KEYS:
            raise ValueError(f"table: sort_by must be one of {', '.join(SORT_KEYS)}, got {sort_by!r}")
        if time_unit not in (None, "us", "ms", "s"):
            raise ValueError(f"table: time_unit must be 'us', 'ms' or 's', got {time_unit!r}")
        rows = [a for a in self if not top_level_events_only or any(e.parent is None for e in a.events)]
        if sort_by is not None:
            rows.sort(key=lambda a: getattr(a, SORT_KEYS[sort_by]), reverse=True)
        whole = sum(a.self_cpu_time_total for a in self)
        columns = self._columns(whole, time_unit, (max_name_column_width, max_shapes_column_width, max_src_column_width))
        texts = [[name for name, _ in columns]]
        texts += [[text(a) for _, text in columns] for a in (rows if row_limit < 0 else rows[:row_limit])]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        rule = "  ".join("-" * width for width in widths)
        lines = ["  ".join(t.rjust(width) for t, width in zip(row, widths, strict=True)).rstrip() for row in texts]
        head = [header] if header else []
        return "\n".join([*head, rule, lines[0], rule, *lines[1:], rule, f"Self CPU time total: {time_text(whole, time_unit)}"])

    def total_average(self):
        """One average of all events."""
        events = [e for a in self for e in a.events]
        total = FunctionEventAvg("Total", events) if events else None
        if total:
            total.cpu_time_total = sum(a.cpu_time_total for a in self)
            total.count = sum(a.count for a in self)
        return total

    def _columns(self, whole, unit, limits):
        def share(time):
            return f"{100 * time / whole:.2f}%" if whole else "0.00%"

        name_width, shapes_width, line_width = limits
        columns = [
            ("Name", lambda a: _cut(a.key, name_width)),
            ("Self CPU %", lambda a: share(a.self_cpu_time_total)),
            ("Self CPU", lambda a: time_text(a.self_cpu_time_total, unit)),
            ("CPU total %", lambda a: share(a.cpu_time_total)),
            ("CPU total", lambda a: time_text(a.cpu_time_total, unit)),
            ("CPU time avg", lambda a: time_text(a.cpu_time, unit)),
            ("Forward", lambda a: time_text(a.forward_time_total, unit)),
            ("Backward", lambda a: time_text(a.backward_time_total, unit)),
        ]
        if self.memory:
            columns.append(("CPU Mem", lambda a: bytes_text(a.cpu_memory_usage)))
            columns.append(("Self CPU Mem", lambda a: bytes_text(a.self_cpu_memory_usage)))
        columns.append(("# of Calls", lambda a: str(a.count)))
        if self.shapes:
            columns.append(("Input Shapes", lambda a: _cut(str(a.input_shapes), shapes_width)))
        return [*columns, ("Module", lambda a: a.module), ("Line", lambda a: _cut(os.path.basename(a.line), line_width))]


def _cut(text, width):
    return text if width is None or width < 0 or len(text) <= width else text[: max(width - 3, 0)] + "..."


def time_text(microseconds, unit=None):
    """12.345us, 12.345ms or 12.345s.

    >>> time_text(1234.5)
    '1.234ms'
    """
    unit = unit or ("s" if microseconds >= 1e6 else "ms" if microseconds >= 1e3 else "us")
    return f"{microseconds / {'us': 1, 'ms': 1e3, 's': 1e6}[unit]:.3f}{unit}"


def bytes_text(n):
    """12 b, 12.34 Kb, 12.34 Mb or 12.34 Gb, of 1,024 each.

    >>> bytes_text(2048)
    '2.00 Kb'
    """
    level = min(int(math.log(max(abs(n), 1), 1024)), 3)
    return f"{n} b" if not level else f"{n / 1024**level:.2f} {['', 'K', 'M', 'G'][level]}b"
