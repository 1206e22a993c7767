"""Gradients as return values, leaving every `.grad` alone."""

from typing import Any

import numpy as np

from .. import double_backward
from ..graph.modes import enable_grad
from ..graph.walk import walk
from ..tensors.gradients import cotangent, recorded_cotangent
from ..tensors.joining import stack
from ..tensors.record import wrap
from ..tensors.tensor import Tensor


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
) -> Any:
    """∂outputs/∂inputs as a tuple of tensors, one for each input, of its shape (a dict for a dict of inputs).

    Inputs may be leaves or results; only what leads to them is computed.
    grad_outputs: the cotangents of the outputs, of their shapes; 1 by default, for outputs of one number only.
    retain_graph: keeps the graph for another walk; by default if create_graph, which keeps it in any case.
    create_graph: the gradients are in a graph themselves, and can be differentiated again.
    An input that the outputs do not depend on raises; it gives None with allow_unused, zeros with materialize_grads.
    only_inputs=False and is_grads_batched=True are not supported.

    >>> import minidl
    >>> x = minidl.tensor(3.0, requires_grad=True)
    >>> minidl.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    _check_options(only_inputs, allow_unused, is_grads_batched, materialize_grads)
    names = list(inputs) if isinstance(inputs, dict) else None
    outputs, inputs = _several(outputs), _several(inputs if names is None else inputs.values())
    for x in outputs + inputs:
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: expected Tensors as outputs and inputs, got {type(x).__name__}")
    if not inputs:
        raise RuntimeError("grad: expected one or more inputs, got none")
    for i, x in enumerate(inputs):
        if x.node is None:
            raise RuntimeError(f"grad: input {i} does not require grad")
    given = [None] * len(outputs) if grad_outputs is None else _several(grad_outputs)
    if len(given) != len(outputs):
        raise ValueError(f"grad: expected a cotangent (or None) for each of {len(outputs)} outputs, got {len(given)}")
    seeds, start = {}, recorded_cotangent if create_graph else cotangent
    for output, dy in zip(outputs, given, strict=True):
        dy, node = start("grad", output, dy), output.node
        if node in seeds:
            dy = seeds[node] + dy
        seeds[node] = dy if isinstance(dy, Tensor) else np.asarray(dy)  # arithmetic on 0-d arrays makes NumPy scalars
    wanted = {x.node for x in inputs}
    found = double_backward.walk(seeds, wanted) if create_graph else walk(seeds, bool(retain_graph), wanted)
    gradients = []
    for i, x in enumerate(inputs):
        dx = found.get(x.node)
        if dx is None and materialize_grads:
            dx = _zeros(x).requires_grad_(create_graph)
        elif dx is None and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {i}; pass allow_unused=True to get None for it, "
                "materialize_grads=True to get zeros"
            )
        gradients.append(wrap(dx) if isinstance(dx, np.ndarray) else dx)
    return tuple(gradients) if names is None else dict(zip(names, gradients, strict=True))


def _check_options(only_inputs, allow_unused, is_grads_batched, materialize_grads):
    if is_grads_batched:
        raise NotImplementedError("grad: is_grads_batched=True is not supported; call grad for each cotangent of the batch")
    if not only_inputs:
        raise NotImplementedError("grad: only_inputs=False is not supported; backward() adds the gradients of all leaves")
    if materialize_grads and allow_unused is False:
        raise ValueError("grad: materialize_grads=True gives zeros for unused inputs, so allow_unused must not be False")


def _several(x):
    return (x,) if isinstance(x, Tensor) or not hasattr(x, "__iter__") else tuple(x)


# --- PyTorch's autograd.functional: products with Jacobians J and Hessians H of a function, at one point
#
# `inputs` is a Tensor, or a tuple of the Tensors that func takes; func returns a Tensor, or a tuple of Tensors. Without
# create_graph, the results are constants; with it, they are in the graph of the inputs and of what func reads. With strict, an
# output that does not depend on an input raises, where there would be zeros.


def vjp(func, inputs, v=None, create_graph=False, strict=False) -> Any:
    """(func(inputs), vᵀJ): v is like the outputs, and 1 by default if they are one number; vᵀJ is like the inputs.

    >>> import minidl
    >>> minidl.autograd.functional.vjp(lambda x: x * x, minidl.tensor([1., 2.]), minidl.tensor([1., 10.]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    call = _Call("vjp", func, inputs, create_graph, strict)
    v = call.vector(v, call.ys, "the outputs", call.one_output)
    pulled = _grad(call.ys, call.xs, v, create_graph)
    return call.result(), call.like_inputs(call.filled(pulled, call.xs, "the outputs do not depend on input"))


def jvp(func, inputs, v=None, create_graph=False, strict=False) -> Any:
    """(func(inputs), J v): v is like the inputs, and 1 by default if they are one number; J v is like the outputs.

    uᵀJ is linear in u, so its gradient with respect to u, walked back from a tangent v, is J v.

    >>> import minidl
    >>> minidl.autograd.functional.jvp(lambda x: x * x, minidl.tensor([1., 2.]), minidl.tensor([1., 10.]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    call = _Call("jvp", func, inputs, create_graph, strict)
    v = call.vector(v, call.xs, "the inputs", call.one_input)
    us = [_zeros(y).requires_grad_(y.is_floating_point()) for y in call.ys]
    pulled = _grad(call.ys, call.xs, us, True)
    call.check(pulled, "the outputs do not depend on input")
    pushed = call.filled(_grad(pulled, us, v, create_graph), call.ys, "the inputs do not lead to output")
    return call.result(), call.like_outputs(pushed)


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode") -> Any:
    """∂output/∂input, of shape (*output.shape, *input.shape): one walk for each number of the output.

    Of several inputs a tuple, of several outputs a tuple of these: [i][j] is ∂output i/∂input j.
    vectorize: PyTorch's is faster with it; here it changes nothing. strategy="forward-mode" is not supported.

    >>> import minidl
    >>> minidl.autograd.functional.jacobian(lambda x: x * x, minidl.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    _check_strategy("jacobian", "strategy", strategy, strict, vectorize)
    return _jacobian("jacobian", func, inputs, create_graph, strict)


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode") -> Any:
    """The second derivatives of a function with one number as its output, of shape (*input.shape, *input.shape).

    Of several inputs a tuple of tuples: [i][j] is ∂²output/∂input i ∂input j. The options are those of jacobian.

    >>> import minidl
    >>> minidl.autograd.functional.hessian(lambda x: (x**3).sum(), minidl.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _check_strategy("hessian", "outer_jacobian_strategy", outer_jacobian_strategy, strict, vectorize)
    one = isinstance(inputs, Tensor)

    def number(*xs):
        y = func(*xs)
        _check_number("hessian", y)
        if strict and not y.requires_grad:
            raise RuntimeError("hessian: the output of func does not depend on the inputs, and strict=True")
        return y.reshape(())

    def gradient(*xs):
        found = _jacobian("hessian", number, xs[0] if one else xs, True, False)
        for i, dx in enumerate((found,) if one else found):
            if strict and not dx.requires_grad:
                raise RuntimeError(f"hessian: the gradient for input {i} does not depend on the inputs, and strict=True")
        return found

    return _jacobian("hessian", gradient, inputs, create_graph, strict)


def vhp(func, inputs, v=None, create_graph=False, strict=False) -> Any:
    """(func(inputs), vᵀH), without the Hessian H: vᵀ times the Jacobian of the gradient. v and vᵀH are like the inputs.

    func returns one number; v is 1 by default if the inputs are one number.

    >>> import minidl
    >>> minidl.autograd.functional.vhp(lambda x: (x**3).sum(), minidl.tensor([1., 2.]), minidl.tensor([1., 1.]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    call, gradient, v = _gradient("vhp", func, inputs, v, create_graph, strict)
    products = _grad(gradient, call.xs, v, create_graph)
    return call.result(), call.like_inputs(call.filled(products, call.xs, "the gradient does not depend on input"))


def hvp(func, inputs, v=None, create_graph=False, strict=False) -> Any:
    """(func(inputs), H v), as vhp. The Hessian of a twice smooth function is symmetric: then vᵀH is the same, and faster.

    H v is the gradient of uᵀH with respect to u, walked back from v, as in jvp.

    >>> import minidl
    >>> minidl.autograd.functional.hvp(lambda x: (x**3).sum(), minidl.tensor([1., 2.]), minidl.tensor([1., 1.]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    call, gradient, v = _gradient("hvp", func, inputs, v, create_graph, strict)
    us = [_zeros(x).requires_grad_() for x in call.xs]
    products = _grad(_grad(gradient, call.xs, us, True), us, v, create_graph)
    return call.result(), call.like_inputs(call.filled(products, call.xs, "the Hessian does not lead to input"))


class _Call:
    """func at the inputs. These enter as new leaves, or, if they are in a graph, as new nodes in it (see func/calls.py)."""

    def __init__(self, name, func, inputs, create_graph, strict):
        self.name, self.create_graph, self.strict = name, create_graph, strict
        self.one_input = isinstance(inputs, Tensor)
        with enable_grad():
            self.xs = [self.enter(x) for x in self.tensors("inputs", inputs)]
            result = func(*self.xs)
        self.one_output, self.ys = isinstance(result, Tensor), self.tensors("the outputs of func", result)
        for i, y in enumerate(self.ys):
            if strict and not y.requires_grad:
                raise RuntimeError(f"{name}: output {i} does not depend on the inputs, and strict=True")

    def tensors(self, what, x):
        """A Tensor or a tuple of Tensors as a tuple."""
        xs = x if isinstance(x, tuple) else (x,)
        for one in xs:
            if not isinstance(one, Tensor):
                inside = f"a tuple with a {type(one).__name__}" if xs is x else type(x).__name__
                raise TypeError(f"{self.name}: {what} must be a Tensor or a tuple of Tensors, got {inside}")
        return xs

    def enter(self, x):
        if not x.is_floating_point():
            raise RuntimeError(f"{self.name}: expected floating-point inputs, got one of {x.dtype}")
        return x.reshape(x.shape) if x.requires_grad else x.detach().requires_grad_()

    def vector(self, v, like, of, one):
        """v as a tuple, checked against the tensors that it is like; None is 1, for one number."""
        if v is None:
            if len(like) != 1 or like[0].numel() != 1:
                raise RuntimeError(f"{self.name}: v can be left out only if {of} are one number")
            return (wrap(np.ones(like[0].shape, like[0].dtype)),)
        v = self.tensors("v", v)
        if [t.shape for t in v] != [x.shape for x in like]:
            shapes = like[0].shape if one else [x.shape for x in like]
            raise RuntimeError(f"{self.name}: expected v of the shape of {of}, {shapes}; got {[t.shape for t in v]}")
        return v if self.create_graph else tuple(t.detach() for t in v)

    def check(self, found, why, recorded=True):
        """With strict, that no gradient is missing, and, where they are recorded, that each could be differentiated again."""
        for i, dx in enumerate(found if self.strict else ()):
            if dx is None:
                raise RuntimeError(f"{self.name}: {why} {i}, and strict=True")
            if recorded and not dx.requires_grad:
                raise RuntimeError(f"{self.name}: the derivative for {i} does not depend on the inputs, and strict=True")

    def filled(self, found, like, why):
        """The gradients, with zeros for one that is missing, or, with strict, an error."""
        self.check(found, why, self.create_graph)
        return [_zeros(x) if dx is None else dx for dx, x in zip(found, like, strict=True)]

    def result(self):
        return self.like_outputs(self.ys)

    def like_inputs(self, values):
        return self.left(values[0]) if self.one_input else tuple(self.left(x) for x in values)

    def like_outputs(self, values):
        return self.left(values[0]) if self.one_output else tuple(self.left(y) for y in values)

    def left(self, x):
        return x.detach() if isinstance(x, Tensor) and not self.create_graph else x


def _jacobian(name, func, inputs, create_graph, strict):
    call = _Call(name, func, inputs, create_graph, strict)
    blocks = []
    for j, y in enumerate(call.ys):
        rows = []
        for i in range(y.numel()):
            seed = np.zeros(y.shape, y.dtype)
            seed.flat[i] = 1
            found = _grad([y], call.xs, [wrap(seed)], create_graph)
            rows.append(call.filled(found, call.xs, f"output {j} does not depend on input"))
        with enable_grad():
            blocks.append(call.like_inputs([_block([row[k] for row in rows], y, x) for k, x in enumerate(call.xs)]))
    return blocks[0] if call.one_output else tuple(blocks)


def _block(rows, y, x):
    return stack(rows).reshape(y.shape + x.shape) if rows else wrap(np.zeros(y.shape + x.shape, x.dtype))


def _gradient(name, func, inputs, v, create_graph, strict):
    """The call, the gradient of the number that func returns, recorded, and v."""
    call = _Call(name, func, inputs, create_graph, strict)
    v = call.vector(v, call.xs, "the inputs", call.one_input)
    _check_number(name, call.ys[0] if call.one_output else call.ys)
    gradient = _grad(call.ys, call.xs, None, True)
    call.check(gradient, "the output does not depend on input")
    return call, gradient, v


def _grad(ys, xs, vs, create_graph):
    """The gradients of Σ v·y, without the y that depend on nothing; None where there is none. The graph stays."""
    pairs = [(y, v) for y, v in zip(ys, vs or [None] * len(ys), strict=True) if y is not None and y.requires_grad]
    wanted = [x for x in xs if x.requires_grad]
    if not pairs or not wanted:
        return [None] * len(xs)
    ys, vs = zip(*pairs, strict=True)
    found = iter(grad(ys, wanted, vs, retain_graph=True, create_graph=create_graph, allow_unused=True))
    return [next(found) if x.requires_grad else None for x in xs]


def _check_number(name, y):
    if not isinstance(y, Tensor) or y.numel() != 1:
        given = f"a Tensor of shape {y.shape}" if isinstance(y, Tensor) else type(y).__name__
        raise RuntimeError(f"{name}: func must return one Tensor of one number, got {given}")


def _check_strategy(name, option, strategy, strict, vectorize):
    if strategy == "forward-mode":
        raise NotImplementedError(f"{name}: {option}='forward-mode' is not supported; func.jacfwd computes column by column")
    if strategy != "reverse-mode":
        raise ValueError(f"{name}: {option} must be 'reverse-mode', got {strategy!r}")
    if strict and vectorize:
        raise RuntimeError(f"{name}: strict=True and vectorize=True exclude each other, as in PyTorch")


def _zeros(x):
    return wrap(np.zeros(x.shape, x.dtype))
