"""Boxes: which operations belong together. Calls of modules are boxes within boxes, and runs of equal parts are folded.

A box holds operations that follow each other in the order of creation. So boxes and operations of one level form a graph
without cycles, and each box can be laid out by itself.
"""

FEW = 3  # equal calls of a module that follow each other, from which on they are folded
SHORT = 8  # fewer operations than this, of no module, are not folded
PERIOD = 24  # the longest repeated part of a loop, in items


class Box:
    """A box: kind is "module", "backward" (a walk back that was recorded), "fold" (equal parts) or "turn" (one of them)."""

    def __init__(self, kind, label="", attr="", key=None):
        self.kind, self.label, self.attr, self.key, self.items, self.id = kind, label, attr, key, [], None


def boxes(entries, module_of):
    """The tree of boxes as one Box, whose items are Boxes and entries. module_of(number) gives a call's module, or None."""
    root = Box("root")
    way = [root]
    for entry in entries:
        depth = 0
        while depth < min(len(entry.calls), len(way) - 1) and way[depth + 1].key == entry.calls[depth]:
            depth += 1
        del way[depth + 1 :]
        for number in entry.calls[depth:]:
            way.append(_call(number, module_of, way))
            way[-2].items.append(way[-1])
        way[-1].items.append(entry)
    _fold(root)
    return root


def _call(number, module_of, way):
    module = module_of(number)
    if module is None:
        return Box("backward", "recorded walk back", key=number)
    above = next((module_of(b.key) for b in reversed(way) if b.kind == "module"), None)
    names = [name for name, child in above.named_children() if child is module] if above is not None else []
    return Box("module", type(module).__name__, names[0] if names else "", number)


def _sign(item):
    """What two parts must have in common to be folded: kinds, shapes and lines of all operations in them."""
    if isinstance(item, Box):
        return item.kind, item.label, tuple(item.signs)
    return item.name, item.line, tuple(y.shape for y in item.outputs)


def _fold(box):
    for item in box.items:
        if isinstance(item, Box):
            _fold(item)
    box.signs = signs = [_sign(item) for item in box.items]
    numbers, known = [], {}
    for sign in signs:
        numbers.append(known.setdefault(sign, len(known)))
    items, i = [], 0
    while i < len(numbers):
        period, times = _longest(numbers, i)
        enough = period * times >= SHORT or any(isinstance(item, Box) for item in box.items[i : i + period])
        if times and enough:
            items.append(_folded(box.items[i : i + period * times], period, times))
            i += period * times
        else:
            items.append(box.items[i])
            i += 1
    if len(items) > 1 or box.kind == "root" or (items and isinstance(items[0], Box) and items[0].kind == "fold"):
        box.items = items


def _longest(numbers, i):
    """(period, times) of the longest run of equal parts that begins at i; times is 0 if there is none."""
    best = (0, 0)
    for period in range(1, min(PERIOD, (len(numbers) - i) // FEW) + 1):
        if numbers[i] != numbers[i + period]:
            continue
        times, at = 1, i + period
        while numbers[at : at + period] == numbers[i : i + period]:
            times, at = times + 1, at + period
        if times >= FEW and period * times > best[0] * best[1]:
            best = period, times
    return best


def _folded(items, period, times):
    first = items[:period]
    fold = Box("fold", _label(first))
    fold.times = times
    for k in range(times):
        part = items[k * period : (k + 1) * period]
        if period == 1 and isinstance(part[0], Box):
            part[0].turn = k + 1
            fold.items.append(part[0])
        else:
            turn = Box("turn", f"turn {k + 1}")
            turn.items = part
            fold.items.append(turn)
    return fold


def _label(items):
    modules = [item.label for item in items if isinstance(item, Box)]
    if modules:
        return " + ".join(dict.fromkeys(modules))
    return " ".join(item.name for item in items[:3]) + (" …" if len(items) > 3 else "")


def numbered(root):
    """(rows of boxes for the page, {entry: number of its box or None}). A box's number is its place among the rows."""
    rows, of = [], {}
    stack = [(root, None)]
    while stack:
        box, parent = stack.pop()
        if box.kind != "root":
            row = {"kind": box.kind, "label": box.label, "attr": box.attr, "parent": parent}
            if box.kind == "fold":
                row["times"] = box.times
            if getattr(box, "turn", None):
                row["turn"] = box.turn
            box.id = len(rows)
            rows.append(row)
        inner = []
        for item in box.items:
            if isinstance(item, Box):
                inner.append((item, box.id))
            else:
                of[item] = box.id
        stack += reversed(inner)
    return rows, of


def common(rows, a, b):
    """The innermost box that holds both boxes, by their numbers; None is the whole page."""
    above = set()
    while a is not None:
        above.add(a)
        a = rows[a]["parent"]
    while b is not None and b not in above:
        b = rows[b]["parent"]
    return b
