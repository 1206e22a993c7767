"""The events of a profile in the format of chrome://tracing, which ui.perfetto.dev opens, too.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

import gzip
import json
import os

CATEGORIES = {"operation": "cpu_op", "backward": "cpu_op", "label": "user_annotation", "compile": "compile"}


def export(events, path, metadata=None):
    """Writes the events and {name: value} of metadata."""
    path = os.fspath(path)
    content = {"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": _trace_events(events), **(metadata or {})}
    with gzip.open(path, "wt", encoding="utf-8") if path.endswith(".gz") else open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)


def _trace_events(events):
    pid = os.getpid()
    found = [{"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": "minidl"}}]
    forward = {event.sequence_nr: event for event in events if event.kind == "operation" and event.sequence_nr >= 0}
    for event in events:
        where, begin = {"pid": pid, "tid": event.thread}, event.time_range.start
        found.append(
            {
                "name": event.name,
                "cat": CATEGORIES[event.kind],
                "ph": "X",
                "ts": begin,
                "dur": event.cpu_time_total,
                **where,
                "args": _arguments(event),
            }
        )
        if event.kind == "backward" and event.sequence_nr in forward:  # an arrow from the operation to its backward
            operation, arrow = forward[event.sequence_nr], {"name": "fwdbwd", "cat": "fwdbwd", "id": event.id}
            found.append({**arrow, "ph": "s", "ts": operation.time_range.start, "pid": pid, "tid": operation.thread})
            found.append({**arrow, "ph": "f", "bp": "e", "ts": begin, **where})
    return found


def _arguments(event):
    known = {
        "Input Dims": event.input_shapes,
        "Line": event.line,
        "Module": event.module,
        "Stack": event.stack,
        "Bytes": event.cpu_memory_usage,
        "Sequence number": event.sequence_nr if event.sequence_nr >= 0 else None,
        "Failed": event.failed,
    }
    return {name: value for name, value in known.items() if value}
