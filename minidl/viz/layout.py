"""Where boxes and operations are placed, for static pictures: the algorithm of page/layout.js, which reacts to the reader.

`levels` reads the nodes and boxes of a page (`Page.data`) and gives the tree, `arrange` places everything, given which boxes
are open and how large a closed item is:

    tree = levels(page.data)
    drawing = arrange(tree, open=set(range(len(page.data["boxes"]))), size=lambda key: (156, 80))
    drawing.places   # Place(key, x, y, w, h, open), boxes before what is in them
    drawing.routes   # Route(start, end, points) for each line, from the key of what gives to that of what takes

Keys are "n3" (node 3), "a3.7" (the leaf 3, which has many users, drawn beside its user 7) and "b2" (box 2).

Why it is quick: the operations of one call follow each other in the order of creation, so boxes and operations of one level
form a graph without cycles, and each box is laid out by itself. Within a box: the longest path gives the row, and eight sweeps
move each item to the middle of its neighbours above, then below (Sugiyama, Tagawa and Toda 1981).
"""

from collections import namedtuple

GAP_X, GAP_Y, PAD, HEAD, BEND, SWEEPS = 22, 34, 14, 26, 12, 8
MANY = 3  # a leaf with more users is drawn beside each of them

Place = namedtuple("Place", "key x y w h open")
Route = namedtuple("Route", "start end points")
Drawing = namedtuple("Drawing", "w h places routes")
Tree = namedtuple("Tree", "items edges paths links enters leaves")


def levels(data):
    """The Tree of a page's data: what is in each box (None is the page), the edges there, the boxes around each key, the links.

    A link is (giver, taker, box, edge): the edge of that box by which the line is routed. What lines from outside enter, and
    what lines to the outside leave, is in `enters` and `leaves` for each box: there a way is kept free.
    """
    nodes, boxes = data["nodes"], data["boxes"]
    users = [[] for _ in nodes]
    for i, node in enumerate(nodes):
        for j in node["needs"]:
            users[j].append(i)
    repeated = [node["kind"] != "op" and len(users[i]) > MANY for i, node in enumerate(nodes)]
    items, edges, paths, links, enters, leaves = {None: []}, {}, {}, {}, {}, {}

    def around(box):
        path = []
        while box is not None:
            path.append(box)
            box = boxes[box]["parent"]
        return path[::-1]

    def add(key, path):
        paths[key] = path
        for depth, box in enumerate(path):
            if f"b{box}" not in paths:
                paths[f"b{box}"] = path[:depth]
                items.setdefault(path[depth - 1] if depth else None, []).append(f"b{box}")
        items.setdefault(path[-1] if path else None, []).append(key)

    for i, node in enumerate(nodes):
        for j in node["needs"]:
            if repeated[j] and f"a{j}.{i}" not in paths:
                add(f"a{j}.{i}", around(node["box"]))
        if not repeated[i]:
            add(f"n{i}", around(node["box"]))
    for i, node in enumerate(nodes):
        for j in node["needs"]:
            start, end = f"a{j}.{i}" if repeated[j] else f"n{j}", f"n{i}"
            p, q = paths[start], paths[end]
            depth = 0
            while depth < min(len(p), len(q)) and p[depth] == q[depth]:
                depth += 1
            box = p[depth - 1] if depth else None
            edge = f"b{p[depth]}" if depth < len(p) else start, f"b{q[depth]}" if depth < len(q) else end
            if edge[0] != edge[1]:
                edges.setdefault(box, {})[edge] = True
            links[start, end] = box, edge
            for ways, way, key in ((leaves, p, start), (enters, q, end)):
                for outer, inner in _within(way[depth:], key):
                    ways.setdefault(outer, {})[inner] = True
    return Tree(items, edges, paths, [(*ends, *rest) for ends, rest in links.items()], enters, leaves)


def arrange(tree, open, size):
    """The Drawing of a tree. open: the numbers of the boxes that are open; size(key): (w, h) of any other item."""
    places, bends = {}, {}

    def inner(box):
        subs, items = {}, []
        for key in tree.items.get(box, ()):
            if key[0] == "b" and int(key[1:]) in open:
                subs[key] = sub = inner(int(key[1:]))
                items.append((key, max(size(key)[0], sub[1] + 2 * PAD), sub[2] + PAD + HEAD))
            else:
                items.append((key, *size(key)))
        ways = [tuple(found.get(box, ())) for found in (tree.enters, tree.leaves)]
        return items, *place(items, tree.edges.get(box, ()), *ways), subs

    def spread(level, box, x, y):
        items, _, _, at, ways, subs = level
        for edge, points in ways.items():
            bends[box, edge] = [(px + x, py + y, h) for px, py, h in points]
        for key, w, h in items:
            px, py = at[key]
            places[key] = Place(key, x + px, y + py, w, h, key in subs)
            if key in subs:
                spread(subs[key], int(key[1:]), x + px + (w - subs[key][1]) / 2, y + py + HEAD)

    top = inner(None)
    spread(top, None, 0, 0)
    routes = {}
    for start, end, box, edge in tree.links:
        a, b = _visible(tree, start, open), _visible(tree, end, open)
        if a != b and (a, b) not in routes:
            p, q = places[a], places[b]
            points = [(p.x + p.w / 2, p.y + p.h)]
            above = [(outer, (key, None)) for outer, key in _ways(tree, start, box)]
            below = [(outer, (None, key)) for outer, key in _ways(tree, end, box)]
            for way in (*reversed(above), (box, edge), *below):
                for x, y, h in bends.get(way, ()):
                    points += [(x, y), (x, y + h)]
            routes[a, b] = Route(a, b, [*points, (q.x + q.w / 2, q.y)])
    return Drawing(top[1], top[2], list(places.values()), list(routes.values()))


def _ways(tree, key, box):
    """[(box, the item in it that leads to key)] for the boxes around key that are within `box`, the outermost first."""
    path = tree.paths[key]
    return _within(path[path.index(box) + 1 :] if box is not None else path, key)


def _within(path, key):
    """[(box, the next box, or at last the key)] for the boxes of a path."""
    return list(zip(path, [*(f"b{box}" for box in path[1:]), key], strict=True)) if path else []


def _visible(tree, key, open):
    """The key, or the outermost closed box around it."""
    return next((f"b{box}" for box in tree.paths[key] if box not in open), key)


class _Cell:
    """A place in a row: an item, or the bend of an edge that crosses the row (key None)."""

    def __init__(self, key, w, h):
        self.key, self.w, self.h, self.up, self.down, self.x, self.y = key, w, h, [], [], 0.0, 0.0

    @property
    def middle(self):
        return self.x + self.w / 2


def place(items, edges, enters=(), leaves=()):
    """(w, h, {key: (x, y)}, {edge: [(x, y, h), …]}) of one level. items: (key, w, h) in the order of creation; no cycles.

    The edge (None, key) is the way from the top to an item that is entered from outside, (key, None) that to the bottom.
    """
    number = {key: i for i, (key, _, _) in enumerate(items)}
    before, after = [[] for _ in items], [[] for _ in items]
    for a, b in edges:
        before[number[b]].append(number[a])
        after[number[a]].append(number[b])
    layer, order = _layers(before, after)
    cells, rows = [_Cell(*item) for item in items], [[] for _ in range(max(layer, default=-1) + 1)]
    for i in order:
        rows[layer[i]].append(cells[i])
    chains = {}
    for i in order:
        for j in after[i]:
            last, chain = cells[i], []
            for row in rows[layer[i] + 1 : layer[j]]:
                bend = _Cell(None, BEND, 0)
                last.down.append(bend)
                bend.up.append(last)
                row.append(bend)
                chain.append(bend)
                last = bend
            last.down.append(cells[j])
            cells[j].up.append(last)
            if chain:
                chains[items[i][0], items[j][0]] = chain
    for key in enters:
        chains[None, key] = _way(rows[: layer[number[key]]], cells[number[key]], "up")
    for key in leaves:
        chains[key, None] = _way(rows[layer[number[key]] + 1 :], cells[number[key]], "down")
    _sweep(rows)
    left = min((c.x for row in rows for c in row), default=0)
    right = max((c.x + c.w for row in rows for c in row), default=0)
    y = 0
    for row in rows:
        h = max((c.h for c in row), default=0)
        for c in row:
            c.x -= left
            c.y, c.h = (y, h) if c.key is None else (y + (h - c.h) / (2 if c.up else 1), c.h)
        y += h + GAP_Y
    at = {c.key: (c.x, c.y) for row in rows for c in row if c.key is not None}
    bends = {edge: [(c.middle, c.y, c.h) for c in chain] for edge, chain in chains.items()}
    return right - left, y - GAP_Y if rows else 0, at, bends


def _way(rows, cell, side):
    """A bend in each of these rows, from the top to the cell ("up") or from it to the bottom ("down")."""
    chain, other = [], "down" if side == "up" else "up"
    for row in reversed(rows) if side == "up" else rows:
        bend = _Cell(None, BEND, 0)
        getattr(cell, side).append(bend)
        getattr(bend, other).append(cell)
        row.append(bend)
        chain.append(bend)
        cell = bend
    return chain[::-1] if side == "up" else chain


def _layers(before, after):
    """The row of each item, the length of the longest path to it, and an order in which givers come before takers."""
    n = len(before)
    layer, waiting = [0] * n, [len(p) for p in before]
    order = [i for i in range(n) if not waiting[i]]
    for i in order:  # grows meanwhile
        for j in after[i]:
            layer[j] = max(layer[j], layer[i] + 1)
            waiting[j] -= 1
            if not waiting[j]:
                order.append(j)
    own = [False] * n
    for i in order:
        own[i] = all(len(after[p]) == 1 and own[p] for p in before[i])
    for i in reversed(order):  # a branch that leads to one place only is drawn beside it
        if after[i] and own[i]:
            layer[i] = min(layer[j] for j in after[i]) - 1
    return layer, order


def _sweep(rows):
    for row in rows:
        x = 0
        for c in row:
            c.x = x
            x += c.w + GAP_X
    for sweep in range(SWEEPS):
        for row in reversed(rows) if sweep % 2 else rows:
            for c in row:
                near = c.down if sweep % 2 else c.up
                c.wish = sum(d.middle for d in near) / len(near) if near else c.middle
            row.sort(key=lambda c: c.wish)
            x, off = float("-inf"), 0
            for c in row:
                c.x = max(x, c.wish - c.w / 2)
                x = c.x + c.w + GAP_X
                off += c.middle - c.wish
            for c in row:
                c.x -= off / len(row)
