"""The table of a profile, laid out as PyTorch's."""

TIMES = ("cpu_time", "cpu_time_avg", "cpu_time_total", "self_cpu_time_total", "forward_time_total", "backward_time_total")
MEMORY = ("cpu_memory_usage", "self_cpu_memory_usage")
KEYS = (*TIMES, *MEMORY, "count")
UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}
WIDTH = 12  # of a column of numbers


def table(
    events,
    sort_by=None,
    row_limit=100,
    max_src_column_width=75,
    max_name_column_width=55,
    max_shapes_column_width=80,
    header=None,
    top_level_events_only=False,
    time_unit=None,
):
    """A list of events as text; see EventList.table."""
    if sort_by is not None and sort_by not in KEYS:
        raise ValueError(f"table: cannot sort by {sort_by!r}; expected one of {', '.join(KEYS)}")
    if sort_by in MEMORY and not events.profile_memory:
        raise ValueError(f"table: to sort by {sort_by} needs profile(profile_memory=True)")
    if time_unit is not None and time_unit not in UNITS:
        raise ValueError(f"table: time_unit must be None or one of {', '.join(UNITS)}, got {time_unit!r}")
    if not events:
        return ""
    whole = sum(event.self_cpu_time_total for event in events)
    rows = list(events) if sort_by is None else sorted(events, key=lambda event: getattr(event, sort_by), reverse=True)
    if top_level_events_only:
        rows = [event for event in rows if event.cpu_parent is None]
    rows = rows if row_limit is None or row_limit < 0 else rows[:row_limit]
    columns = _columns(events, rows, whole, time_unit)
    limits = {"Name": max_name_column_width, "Input Shapes": max_shapes_column_width, "Source Location": max_src_column_width}
    widths = [_width(title, cells, limits) for title, cells in columns.items()]
    rule = "  ".join("-" * width for width in widths) + "  "
    lines = []
    if header is not None:
        lines += ["=" * (len(rule) - 2), header]
    if top_level_events_only:
        lines += ["=" * (len(rule) - 2), "This report only display top-level ops statistics"]
    lines += [rule, _line(columns, widths, columns), rule]
    lines += [_line(cells, widths, columns) for cells in zip(*columns.values(), strict=True)]
    total = format_time(whole, time_unit)
    return "\n".join([*lines, rule, f"Self CPU time total: {total}"]) + "\n"


def _columns(events, rows, whole, unit):
    """{title: cells}. Whether a column is there depends on the profile, not on the rows that are shown."""

    def share(time):
        return f"{100 * time / whole:.2f}%" if whole else "NaN"

    def times(name):
        return [format_time(getattr(event, name), unit) for event in rows]

    columns = {
        "Name": [event.key for event in rows],
        "Self CPU %": [share(event.self_cpu_time_total) for event in rows],
        "Self CPU": times("self_cpu_time_total"),
        "CPU total %": [share(event.cpu_time_total) for event in rows],
        "CPU total": times("cpu_time_total"),
        "CPU time avg": times("cpu_time"),
    }
    if events.profile_memory:
        columns["CPU Mem"] = [format_memory(event.cpu_memory_usage) for event in rows]
        columns["Self CPU Mem"] = [format_memory(event.self_cpu_memory_usage) for event in rows]
    columns["# of Calls"] = [str(event.count) for event in rows]
    columns["Forward"], columns["Backward"] = times("forward_time_total"), times("backward_time_total")
    if any(event.input_shapes for event in events):
        columns["Input Shapes"] = [str(event.input_shapes) for event in rows]
    if any(event.module for event in events):
        columns["Module"] = [event.module for event in rows]
    columns["Source Location"] = [event.line for event in rows]
    return columns


LEFT = ("Module", "Source Location")  # text is aligned to the left, except names and shapes, as in PyTorch


def _width(title, cells, limits):
    if title not in ("Name", "Input Shapes", *LEFT):
        return max(WIDTH, *map(len, cells)) if cells else WIDTH
    width = max(map(len, [title, *cells])) + (0 if title in LEFT else 4)
    limit = limits.get(title)
    return width if limit is None else min(width, max(limit, len(title)))


def _line(cells, widths, titles):
    parts = []
    for cell, width, title in zip(cells, widths, titles, strict=True):
        if len(cell) > width:  # the end of a path says most
            cell = "..." + cell[len(cell) - width + 3 :] if title == "Source Location" else cell[: width - 3] + "..."
        parts.append(cell.ljust(width) if title in LEFT else cell.rjust(width))
    return "  ".join(parts) + "  "


def format_time(time, unit=None):
    """A time in microseconds as text, as PyTorch writes it.

    >>> format_time(1234.5)
    '1.234ms'
    """
    if unit is None:
        unit = "s" if time >= UNITS["s"] else "ms" if time >= UNITS["ms"] else "us"
    return f"{time / UNITS[unit]:.3f}{unit}"


def format_memory(nbytes):
    """A number of bytes as text, as PyTorch writes it.

    >>> format_memory(2048)
    '2.00 KB'
    """
    for unit, size in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} B"
