"""How large the gradient of each parameter is: which gradients vanish, which explode, which parameters have none."""

import html
import math
from dataclasses import dataclass

import numpy as np

from ..nn.module import Module
from ..nn.parameter import UninitializedParameter
from ..utils.callbacks import Callback
from . import charts

FAR = 1000  # times smaller or larger than the median: vanishing, exploding


@dataclass
class Row:
    """One parameter: `rms` is the root mean square of its gradient (None without one), `weight` that of its values."""

    name: str
    shape: tuple
    rms: float | None
    weight: float
    norm: float | None = None
    remark: str = ""

    @property
    def ratio(self):
        """Gradient over weight: by how much of itself a step with learning rate 1 would change the parameter."""
        return None if self.rms is None else self.rms / self.weight if self.weight else math.inf


def rms(array):
    """√(Σ x²/n), in float64; 0 of an empty array.

    >>> rms(np.array([3.0, 4.0, 0.0, 0.0]))
    2.5
    """
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0


def rows_of(name, model):
    """A Row for each parameter of the model."""
    if not isinstance(model, Module):
        raise TypeError(f"{name}: expected a Module, got {type(model).__name__}; write {name}(net)")
    rows = []
    for parameter_name, p in model.named_parameters():
        if isinstance(p, UninitializedParameter):
            raise RuntimeError(
                f"{name}: {parameter_name} has no values yet; call the model once, for lazy layers to take shape"
            )
        grad = None if p.grad is None else p.grad.array
        size = None if grad is None else rms(grad)
        norm = None if grad is None else size * math.sqrt(grad.size)
        rows.append(Row(parameter_name, p.shape, size, rms(p.array), norm))
    finite = sorted(row.rms for row in rows if row.rms and math.isfinite(row.rms))
    median = finite[len(finite) // 2] if finite else None
    for row, (_, p) in zip(rows, model.named_parameters(), strict=True):
        row.remark = _remark(row, median, p)
    return rows


def _remark(row, median, parameter):
    if row.rms is None:
        return "no gradient: the loss does not depend on it" if parameter.requires_grad else "frozen: requires_grad is False"
    if not math.isfinite(row.rms):
        return "NaN or infinite"
    if row.rms == 0:
        return "zero everywhere" if math.prod(row.shape) else "empty"
    if row.rms * FAR < median:
        return f"vanishing: {median / row.rms:,.0f} times smaller than the median"
    if row.rms > FAR * median:
        return f"exploding: {row.rms / median:,.0f} times larger than the median"
    return ""


class GradientFlow:
    """What gradient_flow gives. `rows` are the numbers; printed it is a table, in a notebook a picture, `save` writes it.

    >>> import minidl
    >>> net = minidl.nn.Linear(1, 1, bias=False)
    >>> net(minidl.ones(1, 1)).sum().backward()
    >>> flow = gradient_flow(net)
    >>> len(flow.rows), str(flow).split()[:2]
    (1, ['parameter', 'shape'])
    """

    def __init__(self, rows):
        self.rows = rows

    @property
    def remarks(self):
        """[(name, what is wrong)] of the parameters about which there is something to say."""
        return [(row.name, row.remark) for row in self.rows if row.remark]

    def __str__(self):
        wide = max([len(row.name) for row in self.rows], default=0)
        lines = [f"{'parameter':{wide}}  {'shape':>16}  {'gradient':>10}  {'weight':>10}  {'ratio':>10}"]
        for row in self.rows:
            numbers = [f"{'-' if x is None else format(x, '.2e'):>10}" for x in (row.rms, row.weight, row.ratio)]
            lines.append(f"{row.name:{wide}}  {row.shape!s:>16}  {'  '.join(numbers)}  {row.remark}".rstrip())
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        names = [row.name for row in self.rows]
        remarks = [row.remark.partition(":")[0] for row in self.rows]
        what = "Root mean square of each parameter's gradient"
        return charts.STYLE + charts.dots(names, [row.rms for row in self.rows], remarks, what)

    def save(self, path):
        """Writes the picture and the table as one HTML file."""
        table = f"<pre>{html.escape(str(self))}</pre>"
        with open(path, "w", encoding="utf-8") as file:
            file.write(charts.page("Gradient flow", f"<h1>Gradient flow</h1>{self._repr_html_()}{table}"))


def gradient_flow(model):
    """The size of each parameter's gradient after loss.backward(), on one log scale, with what vanishes or explodes named.

    The size is the root mean square of the elements, so that large and small parameters compare. Vanishing or exploding is what
    is 1,000 times smaller or larger than the median. RuntimeError if no parameter has a gradient.

    >>> import minidl
    >>> net = minidl.nn.Sequential(minidl.nn.Linear(2, 3), minidl.nn.Linear(3, 1))
    >>> net(minidl.ones(4, 2)).sum().backward()
    >>> flow = gradient_flow(net)
    >>> [row.name for row in flow.rows], flow.rows[3].rms, flow.remarks
    (['0.weight', '0.bias', '1.weight', '1.bias'], 4.0, [])
    """
    rows = rows_of("gradient_flow", model)
    if all(row.rms is None for row in rows):
        raise RuntimeError("gradient_flow: no parameter has a gradient; call loss.backward() first, and zero_grad() after it")
    return GradientFlow(rows)


class GradientNorms(Callback):
    """Sizes of the gradients over a training, for report; and the parameters as they were before it.

    A callback of Trainer, which notes the last step of each epoch; in a loop of one's own, call it after backward().

    >>> import minidl
    >>> net = minidl.nn.Linear(2, 1)
    >>> norms = GradientNorms(net)
    >>> for _ in range(3):
    ...     net.zero_grad()
    ...     net(minidl.ones(4, 2)).sum().backward()
    ...     norms()
    >>> norms.names, norms.sizes[0]
    (['weight', 'bias'], [4.0, 4.0])
    """

    def __init__(self, model):
        rows_of("GradientNorms", model)
        self.model, self.sizes = model, []
        self.names = [name for name, _ in model.named_parameters()]
        self.before = {name: p.array.copy() for name, p in model.named_parameters()}

    def __call__(self):
        grads = {name: p.grad for name, p in self.model.named_parameters()}  # by name: the model may have changed since
        self.sizes.append([None if grads.get(name) is None else rms(grads[name].array) for name in self.names])

    def on_epoch_end(self, trainer):
        """As a call, by a Trainer."""
        self()
