"""How large a model is: its layers, the shapes between them, parameters, multiply-adds and memory."""

import copy
import html
import math
from collections import namedtuple

import numpy as np

from ..graph.modes import no_grad
from ..graph.watch import Observer, watching
from ..random import fork_rng
from ..tensors.random_tensors import rand
from ..tensors.tensor import Tensor

_Layer = namedtuple("Layer", "name kind depth output_shape parameters multiply_adds memory")
_UNITS = "B", "kB", "MB", "GB"


def summary(model, input_size=None, input_data=None):
    """A table of the layers in the order in which they are called, with output shapes, parameters, multiply-adds and memory.

    input_size: the shape of a batch of float32 numbers, (N, …), or a list of shapes for several inputs. input_data: the inputs
    themselves instead, a tensor or a tuple of them (token numbers, say). The model stays as it is: a copy computes, in eval
    mode, so that a lazy model gets no shapes.

    Parameters that several layers share are counted where they are first used. multiply_adds are those of matrix products,
    convolutions, attention and recurrent layers, forward. Memory is that of what the operations made, which a training step
    keeps for the way back. The result has `layers`, `parameters`, `trainable`, `multiply_adds`, `parameter_bytes` and `memory`.

    >>> from minidl import nn
    >>> summary(nn.Sequential(nn.LazyConv2d(6, 5, padding=2), nn.Sigmoid(), nn.Flatten(), nn.LazyLinear(10)), (1, 1, 28, 28))
    layer             output          parameters  multiply-adds   memory
    Sequential        (1, 10)                                        0 B
      0: Conv2d       (1, 6, 28, 28)         156        117,600  18.8 kB
      1: Sigmoid      (1, 6, 28, 28)                             18.8 kB
      2: Flatten      (1, 4704)                                      0 B
      3: Linear       (1, 10)             47,050         47,040     40 B
    47,206 parameters, 47,206 trainable (188.8 kB); 164,640 multiply-adds; 37.7 kB of results
    """
    if (input_size is None) == (input_data is None):
        raise ValueError("summary: give input_size, such as (1, 1, 28, 28), or input_data, and not both")
    with fork_rng():
        inputs = _inputs(input_size) if input_data is None else input_data
        model, names = copy.deepcopy(model).eval(), {}
        for name, module in model.named_modules():
            names[id(module)] = name.rpartition(".")[2]
        watcher = _Watcher(model, names)
        with no_grad(), watching(watcher):
            model(*(inputs if isinstance(inputs, (tuple, list)) else (inputs,)))
    return Summary(model, watcher.finish())


def _inputs(sizes):
    sizes = [sizes] if all(isinstance(n, int) for n in sizes) else list(sizes)
    if not all(isinstance(size, (tuple, list)) and all(type(n) is int and n > 0 for n in size) for size in sizes):
        raise ValueError(f"summary: expected input_size to be a shape such as (1, 3, 32, 32), or a list of them, got {sizes}")
    return [rand(*size) for size in sizes]


class _Watcher(Observer):
    """Gives each operation to the module that is running, and each module a row when it is called."""

    def __init__(self, model, names):
        self.model, self.names, self.rows, self.open, self.called = model, names, [], [], {}
        for module in model.modules():
            module.register_forward_pre_hook(self._begin)
            module.register_forward_hook(self._end)

    def _begin(self, module, inputs):
        name = self.names[id(module)]
        row = {"name": name, "module": module, "depth": len(self.open), "multiply_adds": 0, "memory": 0, "output": None}
        self.rows.append(row)
        self.open.append(row)
        self.called.setdefault(id(module), row)

    def _end(self, module, inputs, output):
        self.open.pop()["output"] = output

    def after(self, op, inputs, arrays, outputs):
        if self.open:
            self.open[-1]["multiply_adds"] += _multiply_adds(op, arrays, outputs[0].array)
            made = (y.array for y in outputs if not any(_may_share(y.array, x) for x in arrays))  # views take none
            self.open[-1]["memory"] += sum(y.nbytes for y in made)

    def finish(self):
        """The rows. What a module that was not called holds is its parent's: that one computes with it."""
        counts, seen, owner = {}, set(), {}
        for path, module in self.model.named_modules():
            owner[path] = self.called.get(id(module)) or owner.get(path.rpartition(".")[0])
            for param in module.parameters(recurse=False):
                if id(param) not in seen and owner[path] is not None:
                    counts[id(owner[path])] = counts.get(id(owner[path]), 0) + param.numel()
                seen.add(id(param))
        return [
            _Layer(
                row["name"], type(row["module"]).__name__, row["depth"], _shape(row["output"]), counts.get(id(row), 0),
                row["multiply_adds"], row["memory"],
            )
            for row in self.rows
        ]  # fmt: skip


def _may_share(y, x):
    return isinstance(x, np.ndarray) and np.may_share_memory(y, x)


def _shape(output):
    if isinstance(output, Tensor):
        return tuple(output.shape)
    return tuple(_shape(y) for y in output) if isinstance(output, (tuple, list)) else None


def _multiply_adds(op, arrays, y):
    kind = op.name
    if kind in ("MatMul", "Linear"):
        return y.size * arrays[0].shape[-1]
    if kind == "Conv2d":
        return y.size * arrays[1][0].size
    if kind == "ConvTranspose2d":
        return arrays[0].size * arrays[1][0].size
    if kind == "Einsum" and len(arrays) > 1:
        lengths = {axis: n for term, x in zip(op.terms, arrays, strict=True) for axis, n in zip(term, x.shape, strict=True)}
        return math.prod(lengths.values())
    if kind == "ScaledDotProductAttention":
        return y.size // y.shape[-1] * arrays[1].shape[-2] * (arrays[0].shape[-1] + y.shape[-1])
    if kind in ("RNN", "LSTM", "GRU"):
        w_ih, w_hh = (x for x in arrays[-4:] if x.ndim == 2) if arrays[-1].ndim == 1 else arrays[-2:]
        return arrays[0].size // arrays[0].shape[-1] * (w_ih.size + w_hh.size)
    return 0


class Summary:
    """What `summary` gives: its repr is a table, and in a notebook one of HTML.

    >>> from minidl import nn
    >>> found = summary(nn.Linear(3, 2), (5, 3))
    >>> found.parameters, found.multiply_adds, found.layers[0].output_shape
    (8, 30, (5, 2))
    """

    def __init__(self, model, layers):
        parameters = list(model.parameters())
        self.layers = layers
        self.parameters = sum(p.numel() for p in parameters)
        self.trainable = sum(p.numel() for p in parameters if p.requires_grad)
        self.parameter_bytes = sum(p.array.nbytes for p in parameters)
        self.multiply_adds = sum(layer.multiply_adds for layer in layers)
        self.memory = sum(layer.memory for layer in layers)

    def _table(self):
        yield "layer", "output", "parameters", "multiply-adds", "memory"
        for layer in self.layers:
            label = f"{layer.name}: {layer.kind}" if layer.name else layer.kind
            numbers = (f"{n:,}" if n else "" for n in (layer.parameters, layer.multiply_adds))
            yield "  " * layer.depth + label, str(layer.output_shape), *numbers, _bytes(layer.memory)

    def _total(self):
        sizes = f"{self.parameters:,} parameters, {self.trainable:,} trainable ({_bytes(self.parameter_bytes)})"
        return f"{sizes}; {self.multiply_adds:,} multiply-adds; {_bytes(self.memory)} of results"

    def __repr__(self):
        rows = list(self._table())
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            cells = [x.ljust(w) if i < 2 else x.rjust(w) for i, (x, w) in enumerate(zip(row, widths, strict=True))]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, self._total()])

    def _repr_html_(self):
        head, *rows = self._table()
        lines = ["<table><thead><tr>" + "".join(f"<th>{x}</th>" for x in head) + "</tr></thead><tbody>"]
        for row, layer in zip(rows, self.layers, strict=True):
            first = f'<td style="text-align:left;padding-left:{layer.depth + 0.5}em">{html.escape(row[0].strip())}</td>'
            lines.append(f"<tr>{first}" + "".join(f"<td>{html.escape(x)}</td>" for x in row[1:]) + "</tr>")
        return "\n".join([*lines, f"</tbody></table><p>{html.escape(self._total())}</p>"])


def _bytes(n):
    unit = 0
    while n >= 1000 and unit < len(_UNITS) - 1:
        n, unit = n / 1000, unit + 1
    return f"{n:.1f} {_UNITS[unit]}" if unit else f"{n} B"
