"""From a tape to the data of a page: nodes, boxes, steps back, arrays, texts and checks, in the order of creation."""

import numpy as np

from ..graph.nodes import Leaf
from ..nn.parameter import Parameter
from ..ops.base import Op
from . import folding, packing, reach, replay
from .frames import Frames
from .tape import Step, options, source_of
from .texts import Texts

CHECKED = 300  # operations; of more, the first are checked
EFFORT = 20_000  # in replay's units of cost, for the checks of rules and as much for those of the whole chain


class Unseen:
    """An operation of a graph that was made before anything watched: shapes and what it saved, no values."""

    failed = line = None
    recorded, calls, given = True, (), ()

    def __init__(self, op):
        self.op, self.name = op, str(op.name)
        self.inputs = [(node, None) for node in op.needs]
        self.outputs, self.names, self.results = [], [None], ()
        self.options, self.saved = {}, options(op)


class Building:
    """Makes the data of one page."""

    def __init__(self, tape, loss, names, budget, check):
        self.tape, self.names, self.check = tape, names, check
        self.arrays, self.texts = packing.Arrays(budget), Texts()
        self.nodes, self.index, self.uses = [], {}, {}
        self.loss, self.refused, self.unchecked = loss, None, 0  # why the chain is not checked; steps that are not
        self.entries = self._entries()

    def _entries(self):
        """The operations that lead to the loss, in the order of creation; of a program that failed, all."""
        tape = self.tape
        if self.loss is None:
            return list(tape.entries)
        made = {id(y.array): e for e in tape.entries for y in e.results}
        goal, found, unseen = source_of(self.loss.node)[0], set(), {}
        stack = [goal]
        while stack:
            op = stack.pop()
            if type(op) is Leaf or op in found:
                continue
            found.add(op)
            entry = tape.by_node.get(op)
            if entry is None:
                entry = unseen[op] = Unseen(op)
            stack += [source_of(node)[0] for node, _ in entry.inputs if node is not None]
            constants = zip(entry.inputs, entry.given, strict=bool(entry.given))
            makers = [made.get(id(x)) for (node, _), x in constants if node is None]
            stack += [maker.op for maker in makers if maker is not None and maker is not entry]
        entries = [e for e in tape.entries if e.op in found]
        return sorted(unseen.values(), key=lambda e: e.op.serial) + entries

    def data(self):
        rows, box_of = folding.numbered(folding.boxes(self.entries, self.tape.frames.module))
        self.boxes = rows
        self.made = {}
        for entry in self.entries:
            self._operation(entry, box_of[entry])
            for k, y in enumerate(entry.results):
                self.made.setdefault(id(y.array), (entry, k))
        goal = None if self.loss is None else source_of(self.loss.node)[0]
        data = {
            "loss": self.index.get(goal, len(self.nodes) - 1),
            "nodes": self.nodes,
            "boxes": rows,
            "steps": self._steps(),
        }
        if self.check:
            self._chain()
        for leaf, gradient in self.gradients().items():
            if leaf in self.index:
                self.nodes[self.index[leaf]]["grad"] = self.arrays.add(gradient)
        return {**data, "rules": self.texts.rules, "lines": self.texts.lines, "arrays": self.arrays.rows}

    # --- nodes

    def _operation(self, entry, box):
        inputs = [self._input(entry, k, box) for k in range(len(entry.inputs))]
        names = self.tape.frames.names
        outputs = [self._name(y) for y in entry.results]
        saved = [[k, self._told(v)] for k, v in entry.saved.items()]
        chosen = [[k, self._told(v)] for k, v in entry.options.items() if k not in ("args", "function")]
        node = {
            "kind": "op",
            "name": entry.name,
            "var": names.get(entry.op) or next((n for n in outputs if n), ""),
            "box": box,
            "needs": [i for i in inputs if i is not None],
            "values": [self.arrays.add(y) for y in entry.outputs],
            "shape": list(entry.outputs[0].shape if entry.outputs else entry.op.shape),
            "rule": self.texts.rule(entry.op) if isinstance(entry.op, Op) else None,
            "line": self.texts.line(entry.line),
            "options": chosen,
            "saved": saved,
        }
        if not entry.recorded:
            node["unrecorded"] = True
        if entry.failed is not None:
            node["error"] = f"{type(entry.failed).__name__}: {entry.failed}"
            node["shape"] = None
        if len(entry.outputs) > 1:
            node["outputs"] = len(entry.outputs)
        found = [r for r, i in zip(reach.rules(entry), inputs, strict=True) if i is not None]
        if any(found):
            node["reach"] = found
        self._add(entry.op, node)

    def _name(self, tensor):
        names = self.tape.frames.names
        return names.get(tensor.__dict__.get("node")) or names.get(id(tensor.array))

    def _told(self, value):
        array = self.arrays.add(value) if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" else None
        if array is None:
            return packing.told(value)
        return {"array": array, "name": self.tape.frames.names.get(id(value))}

    def _add(self, key, node):
        self.index[key] = len(self.nodes)
        self.nodes.append(node)
        return self.index[key]

    def _input(self, entry, k, box):
        """The number of the node that an operand comes from; None for a Python number, which is no node."""
        node, x = entry.inputs[k]
        if node is not None:
            key = source_of(node)[0]
            if type(key) is not Leaf:
                return self.index.get(key)
            if key not in self.index:
                self._add(key, self._leaf(key, x, box))
            return self._used(self.index[key], box)
        if not isinstance(x, np.ndarray):
            return None
        maker = self.made.get(id(entry.given[k]))
        if maker is not None and np.array_equal(maker[0].outputs[maker[1]], x, equal_nan=x.dtype.kind == "f"):
            return self.index[maker[0].op]
        key = "constant", id(entry.given[k]), self.arrays.add(x)
        if key not in self.index:
            name = self.tape.frames.names.get(id(entry.given[k]), "constant")
            shape, value = list(x.shape), [self.arrays.add(x)]
            self._add(key, {"kind": "constant", "name": name, "box": box, "needs": [], "values": value, "shape": shape})
        return self._used(self.index[key], box)

    def _used(self, i, box):
        """Leaves and constants are drawn in the innermost box that holds all their users."""
        self.nodes[i]["box"] = folding.common(self.boxes, self.nodes[i]["box"], box)
        return i

    def _leaf(self, leaf, x, box):
        tensor = self.tape.leaves.get(leaf, leaf.variable)
        if x is None and tensor is not None:
            x = tensor.array
        name = self.names.get(leaf) or self.tape.frames.names.get(leaf) or (self._name(tensor) if tensor is not None else None)
        kind = "parameter" if leaf in self.names or isinstance(tensor, Parameter) else "leaf"
        values = [] if x is None else [self.arrays.add(x)]
        return {"kind": kind, "name": name or "leaf", "box": box, "needs": [], "values": values, "shape": list(leaf.shape)}

    # --- the way back

    def gradients(self):
        """{leaf: the sum of all shares that have been sent to it}."""
        sums = {}
        for step in self.tape.steps:
            if step.node in self.index:
                for parent, dx in step.shares:
                    if type(parent) is Leaf:
                        sums[parent] = sums[parent] + dx if parent in sums else dx
        return sums

    def _steps(self):
        steps, checked, effort = [], 0, 0
        for step in self.tape.steps:
            i = self.index.get(step.node)
            if i is None:
                continue
            checked += 1
            entry = self.tape.by_node.get(step.node)
            judged = entry is not None and self.check and checked <= CHECKED and effort < EFFORT
            effort += 3 * replay.PICKS * replay.cost(entry) if judged else 0
            self.unchecked += bool(self.check and entry is not None and not judged)
            dys = step.dy if isinstance(step.dy, list) else [step.dy]
            row = {"node": i, "dy": [None if d is None else self.arrays.add(d) for d in dys], "out": []}
            for parent, k, dx in self._shares(step, entry):
                to, output = source_of(parent)
                out = {"to": self.index[to], "input": k, "dx": self.arrays.add(dx)}
                if output:
                    out["output"] = output
                if judged:
                    out["check"] = _rounded(replay.check_rule(entry, step.dy, k, dx))
                row["out"].append(out)
            if step.failed is not None:
                self.nodes[i]["error"] = f"{type(step.failed).__name__}: {step.failed}"
            steps.append(row)
        return steps

    def _shares(self, step: Step, entry):
        """(parent, number of the input, dx): the same node may be an operand twice, as in x * x."""
        needs = [node for node, _ in entry.inputs] if entry is not None else list(step.node.needs or ())
        free = list(range(len(needs)))
        for parent, dx in step.shares:
            k = next((k for k in free if needs[k] is parent), None)
            if k is None:
                k = next((k for k in range(len(needs)) if needs[k] is not None), 0)
            else:
                free.remove(k)
            if source_of(parent)[0] in self.index:
                yield parent, k, dx

    # --- the whole chain

    def _chain(self):
        if self.loss is None or self.tape.error or not self.tape.steps or any(isinstance(e, Unseen) for e in self.entries):
            return
        if sum(map(replay.cost, self.entries)) > EFFORT / 4:
            self.refused = "it would take too long to run all operations again"
            return
        try:
            chain = replay.Chain(self.entries, source_of(self.loss.node), self.loss.array)
        except Exception as error:
            self.refused = f"{type(error).__name__}: {error}" if not isinstance(error, replay.Refused) else str(error)
            return
        gradients, leaves = self.gradients(), replay.leaves_of(self.entries)
        for leaf, x in leaves.items():
            if leaf in gradients and chain.runs < EFFORT and x.size:
                row = self.nodes[self.index[leaf]]
                row["chain"] = _rounded(chain.check((leaf, 0), x, gradients[leaf]))
                if chain.runs < EFFORT and isinstance(row["chain"], list):
                    row["nudge"] = _rounded(chain.nudge((leaf, 0), x, gradients[leaf]))
        for step in self.tape.steps:
            entry = self.tape.by_node.get(step.node)
            if step.node in self.index and entry and not isinstance(step.dy, list) and chain.runs < EFFORT and step.dy.size:
                found = chain.check((step.node, 0), entry.outputs[0], step.dy, most=1)
                self.nodes[self.index[step.node]]["chain"] = _rounded(found)


def _rounded(rows):
    """The same with six digits, and a text for what is not finite."""
    if isinstance(rows, float):
        return packing.number(rows)
    if isinstance(rows, dict):
        return {k: _rounded(v) for k, v in rows.items()}
    return [_rounded(x) for x in rows] if isinstance(rows, list) else rows


def parameter_names(model, frames: Frames):
    """{leaf: name} of the parameters of a model, or of the outermost modules that were called."""
    if model is not None:
        roots = [("", model)]
    else:
        outer = {
            id(m): m for f in frames.frames if (m := f.f_locals.get("self")) is not None and hasattr(m, "named_parameters")
        }
        inner = {id(child) for m in outer.values() for child in m.modules() if child is not m}
        roots = [(frames.modules.get(i, ("", None))[0], m) for i, m in outer.items() if i not in inner]
        if len(roots) == 1:
            roots = [("", roots[0][1])]
    names = {}
    for prefix, module in roots:
        for name, parameter in module.named_parameters():
            if parameter.node is not None:
                names.setdefault(parameter.node, f"{prefix}.{name}" if prefix else name)
    return names
