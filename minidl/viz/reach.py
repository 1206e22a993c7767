"""Which elements of an input an element of the output depends on: a row and a column, a window, a row of softmax.

The answer for one input is a list with one item for each axis of it, which the page reads (`reach` in page.js):

    ["same", k]             the index along the output's axis k
    ["all"]                 the whole axis
    ["upto", k]             from 0 to the index along the output's axis k
    ["spans", k, starts, counts]    starts[i] to starts[i] + counts[i] − 1 (adaptive pooling)
    ["window", k, s, p, d, n]   s·i − p + d·j for j < n, where i is the index along axis k (stride, padding, dilation, size)

or "flat": the same place in the order of reading. None: not known.
"""

import numpy as np

ELEMENTWISE = [
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "Asin",
    "Asinh",
    "Atan",
    "Atan2",
    "Atanh",
    "BinaryCrossEntropyWithLogits",
    "Cast",
    "Clamp",
    "Clone",
    "Cos",
    "Cosh",
    "Digamma",
    "Div",
    "Dropout",
    "ELU",
    "Erf",
    "Erfc",
    "Erfinv",
    "Exp",
    "Exp2",
    "Expm1",
    "Expand",
    "Fmod",
    "GELU",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "Lgamma",
    "Log",
    "Log10",
    "Log1p",
    "Log2",
    "LogAddExp",
    "LogSigmoid",
    "Maximum",
    "Minimum",
    "Mul",
    "Neg",
    "Pow",
    "ReLU",
    "Reciprocal",
    "Remainder",
    "Rsqrt",
    "SiLU",
    "Sigmoid",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Square",
    "Sub",
    "Tan",
    "Tanh",
    "Where",
    "XLogY",
]
REDUCTIONS = "Sum", "Mean", "Var", "Std", "Prod", "Amax", "Amin", "Norm"


def rules(entry):
    """One rule for each input of an operation."""
    if entry.failed or len(entry.outputs) != 1:
        return [None] * len(entry.inputs)
    shapes, y = [np.shape(x) for _, x in entry.inputs], entry.outputs[0].shape
    find = FINDERS.get(entry.name)
    found = find(entry.options, shapes, y) if find else None
    return found if found and len(found) == len(shapes) else [None] * len(shapes)


def _same(options, shapes, y):
    lead = [len(y) - len(x) for x in shapes]
    return [
        [["same", lead[i] + k] if n == y[lead[i] + k] and n > 1 else ["all"] for k, n in enumerate(x)] if lead[i] >= 0 else None
        for i, x in enumerate(shapes)
    ]


def _reduction(options, shapes, y):
    axes, keep, place, rule = options.get("axes"), options.get("keepdim"), 0, []
    axes = range(len(shapes[0])) if axes is None else axes
    for k in range(len(shapes[0])):
        reduced = k in axes
        rule.append(["all"] if reduced else ["same", place])
        place += keep or not reduced
    return [rule]


def _along(options, shapes, y):
    return [[["all"] if k == options["axis"] % len(y) else ["same", k] for k in range(len(y))]]


def _running(options, shapes, y):
    return [[["upto", k] if k == options["axis"] % len(y) else ["same", k] for k in range(len(y))]]


def _matmul(options, shapes, y):
    a, b = shapes
    if len(a) < 2 or len(b) < 2:
        return [[["all"]] if len(x) == 1 else [["same", 0], ["all"]] if x is a else [["all"], ["same", 0]] for x in shapes]
    n = len(y)
    batch = [_same(options, [x[:-2]], y[:-2])[0] for x in shapes]
    return [[*batch[0], ["same", n - 2], ["all"]], [*batch[1], ["all"], ["same", n - 1]]]


def _linear(options, shapes, y):
    last = len(y) - 1
    rows = [[["same", k] for k in range(last)] + [["all"]], [["same", last], ["all"]], [["same", last]]]
    return rows[: len(shapes)]


def _conv(options, shapes, y):
    if len(y) != 4 or options.get("groups", 1) != 1:
        return None
    windows = []
    for k in (0, 1):
        stride, padding, dilation = (_pair(options[name], k) for name in ("stride", "padding", "dilation"))
        windows.append(["window", 2 + k, stride, padding, dilation, shapes[1][2 + k]])
    rows = [[["same", 0], ["all"], *windows], [["same", 1], ["all"], ["all"], ["all"]], [["same", 1]]]
    return rows[: len(shapes)]


def _pair(value, k):
    if isinstance(value, (int, np.integer)):
        return int(value)
    return int(value[2 * k if len(value) == 4 else k])  # four: padding at the top, bottom, left, right


def _layer_norm(options, shapes, y):
    last = len(y) - 1
    axes = len(shapes[1]) if len(shapes) > 1 and shapes[1] else options.get("axes", 1)
    if axes != 1:
        return None
    rows = [[["same", k] for k in range(last)] + [["all"]]]
    return rows + [[["same", last]] if x else None for x in shapes[1:]]


def _batch_norm(options, shapes, y):
    if len(shapes) != 3 or not options.get("batch"):
        return None
    return [[["same", 1] if k == 1 else ["all"] for k in range(len(y))], [["same", 1]], [["same", 1]]]


def _permute(options, shapes, y):
    where = {axis: k for k, axis in enumerate(options["axes"])}
    return [[["same", where[k]] for k in range(len(y))]]


def _pool(options, shapes, y):
    axes, lead = options["axes"], len(y) - len(options["axes"])
    items = []
    for k, w in enumerate(axes, lead):
        if w.stride:
            items.append(["window", k, *(int(n) for n in (w.stride, w.padding, w.dilation, w.kernel))])
        else:
            items.append(["spans", k, [int(n) for n in w.starts], [int(n) for n in w.counts]])
    return [[*(["same", k] for k in range(lead)), *items]]


def _attention(options, shapes, y):
    lead = [["same", k] for k in range(len(y) - 2)]
    if any(len(x) != len(y) for x in shapes[:3]):
        return None
    q, k = [*lead, ["same", len(y) - 2], ["all"]], [*lead, ["all"], ["all"]]
    return [q, k, [*lead, ["all"], ["same", len(y) - 1]], *([None] * (len(shapes) - 3))]


FINDERS = {
    **dict.fromkeys(ELEMENTWISE, _same),
    **dict.fromkeys(REDUCTIONS, _reduction),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _along),
    "CrossEntropy": lambda options, shapes, y: [[["same", 0], ["all"]]] if len(shapes[0]) == 2 and len(y) == 1 else None,
    **dict.fromkeys(
        ("CrossEntropyTotal", "NegativeLogLikelihoodTotal"), lambda options, shapes, y: [[["all"]] * len(shapes[0])]
    ),
    "CumSum": _running,
    "MatMul": _matmul,
    "Linear": _linear,
    "Conv2d": _conv,
    "MaxPool": _pool,
    "MeanPool": _pool,
    "ScaledDotProductAttention": _attention,
    "LayerNorm": _layer_norm,
    "RMSNorm": _layer_norm,
    "BatchNorm": _batch_norm,
    "Permute": _permute,
    "Reshape": lambda options, shapes, y: ["flat"],
}


def reached(rule, index, shape, y_shape):
    """The elements that a rule names, as a boolean array of the input's shape: what the page paints."""
    mask = np.zeros(shape, bool)
    if rule == "flat":
        mask.reshape(-1)[np.ravel_multi_index(index, y_shape) if index else 0] = True
        return mask
    ranges = [_range(item, index, n) for item, n in zip(rule, shape, strict=True)]
    mask[np.ix_(*ranges) if ranges else ()] = True
    return mask


def _range(item, index, n):
    kind, *numbers = item
    if kind == "all":
        return list(range(n))
    i = index[numbers[0]]
    if kind == "same":
        return [i]
    if kind == "upto":
        return list(range(i + 1))
    if kind == "spans":
        return list(range(numbers[1][i], numbers[1][i] + numbers[2][i]))
    _, stride, padding, dilation, size = numbers
    places = (stride * i - padding + dilation * j for j in range(size))
    return [p for p in places if 0 <= p < n]
