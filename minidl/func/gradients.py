"""Gradients as functions, and products with the Jacobian J of a function at a point."""

import functools
from typing import Any

import numpy as np

from ..graph.modes import mode
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .calls import Call, kind, zeros
from .trees import leaves, like, refill, shape_of


def grad(func, argnums=0, has_aux=False) -> Any:
    """The gradient of func as a function: ∂func/∂argument argnums, of that argument's shape.

    argnums: which positional argument, or a tuple of several (then the result is a tuple); negative ones count from the end.
    func returns a tensor of shape (); with has_aux the pair (this tensor, aux), and the result is (gradient, aux).

    >>> import minidl
    >>> from minidl.func import grad
    >>> grad(lambda x: (x**2).sum())(minidl.tensor([1., 2.]))
    tensor([2., 4.])
    >>> grad(lambda x, y: x * y, argnums=(0, 1))(minidl.tensor(2.), minidl.tensor(3.))
    (tensor(3.), tensor(2.))
    """

    @functools.wraps(func, updated=())
    def gradient(*args, **kwargs):
        found, value = _grad_and_value("grad", func, argnums, has_aux, args, kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def grad_and_value(func, argnums=0, has_aux=False) -> Any:
    """As grad, with the value: (gradient, value), or (gradient, (value, aux)).

    >>> import minidl
    >>> from minidl.func import grad_and_value
    >>> grad_and_value(lambda x: (x**2).sum())(minidl.tensor([1., 2.]))
    (tensor([2., 4.]), tensor(5.))
    """

    @functools.wraps(func, updated=())
    def gradient_and_value(*args, **kwargs):
        return _grad_and_value("grad_and_value", func, argnums, has_aux, args, kwargs)

    return gradient_and_value


def _grad_and_value(name, func, argnums, has_aux, args, kwargs):
    call = Call(name, func, args, argnums, kwargs, has_aux)
    y = call.result
    if not isinstance(y, Tensor) or y.shape != () or not y.is_floating_point():
        given = f"{kind(y)} of {y.dtype}" if isinstance(y, Tensor) else kind(y)
        raise RuntimeError(
            f"{name}: func must return one number, a floating-point Tensor of shape (), got {given}; vjp and jacrev take more"
        )
    found = refill(call.chosen, call.pull([y], [wrap(np.ones((), y.dtype))]))
    gradients = found if isinstance(argnums, tuple) else found[0]
    value = (call.leave(y), call.leave(call.aux)) if has_aux else call.leave(y)
    return call.leave(gradients), value


def vjp(func, *primals, has_aux=False) -> Any:
    """(func(*primals), pull), with has_aux (output, pull, aux): pull(v) is vᵀJ, a tuple of one for each primal.

    v is built like the output, of the same shapes; vᵀJ is like the primals. pull can be called any number of times.

    >>> import minidl
    >>> from minidl.func import vjp
    >>> y, pull = vjp(minidl.sin, minidl.tensor([0., 1.]))
    >>> pull(minidl.tensor([2., 0.]))
    (tensor([2., 0.]),)
    """
    if not primals:
        raise RuntimeError("vjp: expected arguments for func after it: vjp(func, *primals)")
    call = Call("vjp", func, primals, tuple(range(len(primals))), has_aux=has_aux)
    ys, result = call.outputs(), call.result

    def pull(cotangents, retain_graph=True, create_graph=None):
        if not retain_graph or create_graph is not None:
            raise NotImplementedError("vjp: pull takes the cotangents only; it keeps the graph, and records itself as needed")
        vs = like(result, cotangents)
        if vs is None:
            raise RuntimeError(f"vjp: expected cotangents built as {shape_of(result)}, got {shape_of(cotangents)}")
        _check_shapes("vjp", "a cotangent", "the output", vs, ys)
        call.recording = mode.recording
        return call.leave(refill(call.chosen, call.pull(ys, vs)))

    y = call.leave(result)
    return (y, pull, call.leave(call.aux)) if has_aux else (y, pull)


def jvp(func, primals, tangents, *, strict=False, has_aux=False) -> Any:
    """(func(*primals), J·tangents), with has_aux (output, J·tangents, aux). J·tangents is like the output.

    primals: a tuple, the arguments. tangents: built like it, of the same shapes.
    strict: an output that does not depend on the primals raises; otherwise its part of J·tangents is zeros.

    >>> import minidl
    >>> from minidl.func import jvp
    >>> jvp(lambda x: x**2, (minidl.tensor([1., 2.]),), (minidl.tensor([1., 10.]),))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    if not isinstance(primals, tuple) or not leaves(primals):
        raise RuntimeError(f"jvp: primals must be a tuple of one or more arguments, got {kind(primals)}")
    ts = like(primals, tangents)
    if ts is None:
        raise RuntimeError(f"jvp: expected tangents built as {shape_of(primals)}, got {shape_of(tangents)}")
    call = Call("jvp", func, primals, tuple(range(len(primals))), has_aux=has_aux)
    ys = call.outputs(floating=False)
    _check_shapes("jvp", "a tangent", "the primal", ts, call.inputs)
    pushed = call.push_by(ys)(ts)
    if strict and any(t is None for t in pushed):
        raise RuntimeError("jvp: an output of func does not depend on the primals, and strict=True")
    pushed = refill(call.result, [zeros(y) if t is None else t for y, t in zip(ys, pushed, strict=True)])
    y, pushed = call.leave(call.result), call.leave(pushed)
    return (y, pushed, call.leave(call.aux)) if has_aux else (y, pushed)


def _check_shapes(name, what, of, given, expected):
    for t, x in zip(given, expected, strict=True):
        if not isinstance(t, Tensor) or t.shape != x.shape:
            raise RuntimeError(f"{name}: {what} must be a Tensor of the shape of {of}, {x.shape}; got {kind(t)}")
