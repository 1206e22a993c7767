"""Gradients as return values, leaving every `.grad` alone."""

from collections.abc import Iterable

from ..graph import walk
from ..tensor import Tensor, cotangent, wrap


def grad(outputs, inputs, grad_outputs=None, retain_graph=False, create_graph=False, allow_unused=False):
    """∂outputs/∂inputs as a tuple of tensors, one for each input. Inputs may be leaves or results.

    grad_outputs: the cotangents of the outputs; 1 by default, for scalars only.
    An input that the outputs do not depend on raises, or gives None with allow_unused.

    >>> import minidl
    >>> x = minidl.tensor(3.0, requires_grad=True)
    >>> minidl.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    outputs, inputs = _tuple(outputs), _tuple(inputs)
    for x in outputs + inputs:
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: expected Tensors as outputs and inputs, got {type(x).__name__}")
    for i, x in enumerate(inputs):
        if x.node is None:
            raise RuntimeError(f"grad: input {i} does not require grad")
    if create_graph:
        raise NotImplementedError("grad: create_graph=True (gradients of gradients) is not supported")
    given = [None] * len(outputs) if grad_outputs is None else _tuple(grad_outputs)
    if len(given) != len(outputs):
        raise ValueError(f"grad: expected a cotangent (or None) for each of {len(outputs)} outputs, got {len(given)}")
    seeds = {}
    for output, dy in zip(outputs, given, strict=True):
        dy, node = cotangent("grad", output, dy), output.node
        seeds[node] = seeds[node] + dy if node in seeds else dy
    found = walk(seeds, retain_graph, {x.node for x in inputs})
    for i, x in enumerate(inputs):
        if x.node not in found and not allow_unused:
            raise RuntimeError(f"grad: the outputs do not depend on input {i}; pass allow_unused=True to get None for it")
    return tuple(wrap(found[x.node]) if x.node in found else None for x in inputs)


def _tuple(x):
    return tuple(x) if isinstance(x, Iterable) and not isinstance(x, Tensor) else (x,)
