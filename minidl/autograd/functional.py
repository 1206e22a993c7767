"""Gradients as return values, leaving every `.grad` alone."""

from collections.abc import Iterable

import numpy as np

from .. import double_backward
from ..graph.modes import enable_grad
from ..graph.walk import walk
from ..tensors.gradients import cotangent, recorded_cotangent
from ..tensors.joining import stack
from ..tensors.record import wrap
from ..tensors.tensor import Tensor


def grad(outputs, inputs, grad_outputs=None, retain_graph=False, create_graph=False, allow_unused=False):
    """∂outputs/∂inputs as a tuple of tensors, one for each input. Inputs may be leaves or results.

    grad_outputs: the cotangents of the outputs; 1 by default, for scalars only.
    create_graph: the gradients are in a graph themselves, and can be differentiated again; the graph is retained.
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
    given = [None] * len(outputs) if grad_outputs is None else _tuple(grad_outputs)
    if len(given) != len(outputs):
        raise ValueError(f"grad: expected a cotangent (or None) for each of {len(outputs)} outputs, got {len(given)}")
    seeds, start = {}, recorded_cotangent if create_graph else cotangent
    for output, dy in zip(outputs, given, strict=True):
        dy, node = start("grad", output, dy), output.node
        if node in seeds:
            dy = seeds[node] + dy
        seeds[node] = dy if isinstance(dy, Tensor) else np.asarray(dy)  # arithmetic on 0-d arrays makes NumPy scalars
    wanted = {x.node for x in inputs}
    found = double_backward.walk(seeds, wanted) if create_graph else walk(seeds, retain_graph, wanted)
    for i, x in enumerate(inputs):
        if x.node not in found and not allow_unused:
            raise RuntimeError(f"grad: the outputs do not depend on input {i}; pass allow_unused=True to get None for it")
    if create_graph:
        return tuple(found.get(x.node) for x in inputs)
    return tuple(wrap(found[x.node]) if x.node in found else None for x in inputs)


# --- PyTorch's autograd.functional: products with Jacobians J and Hessians H of a function, at one point


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), vᵀJ), v like the outputs; 1 by default, for one number.

    >>> import minidl
    >>> minidl.autograd.functional.vjp(lambda x: x * x, minidl.tensor([1., 2.]), minidl.tensor([1., 10.]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    call = _Call(func, inputs, create_graph)
    return call.result(), call.like_inputs(call.pull(v, strict))


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), J v), v like the inputs; 1 by default, for one number.

    vᵀJ is linear in v, so its gradient with respect to v, walked back from a tangent, is J times the tangent.
    """
    call = _Call(func, inputs, create_graph)
    u = [wrap(np.zeros(y.shape, y.dtype)).requires_grad_() for y in call.ys]
    with enable_grad():
        pulled = call.pull(u, strict, create_graph=True)
        v = _cotangents("jvp", pulled, v)
        pushed = _grad([(p, t) for p, t in zip(pulled, v, strict=True) if p.requires_grad], u, create_graph)
    return call.result(), call.like_outputs(_filled("jvp", pushed, u, strict))


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """∂output/∂input for each pair, of shape (*output.shape, *input.shape): one walk for each number of the output.

    >>> import minidl
    >>> minidl.autograd.functional.jacobian(lambda x: x * x, minidl.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    call = _Call(func, inputs, create_graph)
    rows = [[call.pull_one(y, i, strict) for i in range(y.numel())] for y in call.ys]

    def block(y, of_y, k, x):
        empty = wrap(np.zeros(y.shape + x.shape, x.dtype))
        return stack([row[k] for row in of_y]).reshape(y.shape + x.shape) if of_y else empty

    with enable_grad():
        blocks = [[block(y, of_y, k, x) for k, x in enumerate(call.xs)] for y, of_y in zip(call.ys, rows, strict=True)]
    return call.like_outputs([call.like_inputs(row) for row in blocks])


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The second derivatives of a function with one number as its output: for each pair of inputs (*input.shape, *input.shape).

    >>> import minidl
    >>> minidl.autograd.functional.hessian(lambda x: (x**3).sum(), minidl.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    number, one = _one_number("hessian", func), isinstance(inputs, Tensor)
    return jacobian(lambda *xs: jacobian(number, xs[0] if one else xs, True, strict), inputs, create_graph, strict)


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), vᵀH), without the Hessian: vᵀ times the Jacobian of the gradient. v is like the inputs."""
    call = _Call(_one_number("vhp", func), inputs, True)
    with enable_grad():
        gradient = call.pull(None, strict, create_graph=True)
        live = [(g, t) for g, t in zip(gradient, _cotangents("vhp", gradient, v), strict=True) if g.requires_grad]
        products = _filled("vhp", _grad(live, call.xs, create_graph), call.xs, strict)
    call.create_graph = create_graph
    return call.result(), call.like_inputs([p if create_graph else p.detach() for p in products])


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), H v). The Hessian of a twice smooth function is symmetric, so this is vᵀH."""
    return vhp(func, inputs, v, create_graph, strict)


class _Call:
    """func at the inputs, which are made leaves of a new graph, or, with create_graph, go on in theirs."""

    def __init__(self, func, inputs, create_graph):
        self.create_graph, self.one_input = create_graph, isinstance(inputs, Tensor)
        with enable_grad():
            self.xs = [_entry(x, create_graph) for x in _tuple(inputs)]
            result = func(*self.xs)
        self.one_output, self.ys = isinstance(result, Tensor), list(_tuple(result))

    def result(self):
        return self.like_outputs([y if self.create_graph else y.detach() for y in self.ys])

    def like_inputs(self, values):
        return values[0] if self.one_input else tuple(values)

    def like_outputs(self, values):
        return values[0] if self.one_output else tuple(values)

    def pull(self, v, strict, create_graph=None):
        create_graph = self.create_graph if create_graph is None else create_graph
        with enable_grad():
            pairs = [(y, t) for y, t in zip(self.ys, _cotangents("vjp", self.ys, v), strict=True) if y.requires_grad]
            return _filled("vjp", _grad(pairs, self.xs, create_graph), self.xs, strict)

    def pull_one(self, y, i, strict):
        seed = np.zeros(y.shape, y.dtype)
        seed.flat[i] = 1
        with enable_grad():
            found = _grad([(y, wrap(seed))] if y.requires_grad else [], self.xs, self.create_graph)
        return _filled("jacobian", found, self.xs, strict)


def _entry(x, create_graph):
    if not isinstance(x, Tensor):
        raise TypeError(f"expected Tensors as inputs, got {type(x).__name__}")
    return x.reshape(x.shape) if create_graph and x.requires_grad else x.detach().requires_grad_()


def _grad(pairs, inputs, create_graph):
    """The gradients of Σ v·y over pairs (y, v), None where there is none; the graph stays."""
    if not pairs:
        return [None] * len(inputs)
    ys, vs = zip(*pairs, strict=True)
    return grad(ys, inputs, vs, retain_graph=True, create_graph=create_graph, allow_unused=True)


def _cotangents(name, ys, v):
    if v is None:
        if len(ys) != 1 or ys[0].numel() != 1:
            raise RuntimeError(f"{name}: v can be left out only for one number")
        return [wrap(np.ones(ys[0].shape, ys[0].dtype))]
    v = _tuple(v)
    if [t.shape for t in v] != [y.shape for y in ys]:
        raise RuntimeError(f"{name}: expected v of shapes {[y.shape for y in ys]}, got {[t.shape for t in v]}")
    return v


def _filled(name, found, like, strict):
    """Zeros for a gradient that is missing, or an error if that is not to be."""
    if strict and any(dx is None for dx in found):
        raise RuntimeError(f"{name}: an output does not depend on input {[dx is None for dx in found].index(True)}")
    return [wrap(np.zeros(x.shape, x.dtype)) if dx is None else dx for dx, x in zip(found, like, strict=True)]


def _one_number(name, func):
    def checked(*xs):
        y = func(*xs)
        if not isinstance(y, Tensor) or y.numel() != 1:
            raise RuntimeError(f"{name}: func must return one number, got {getattr(y, 'shape', type(y).__name__)}")
        return y.reshape(())

    return checked


def _tuple(x):
    return tuple(x) if isinstance(x, Iterable) and not isinstance(x, Tensor) else (x,)
