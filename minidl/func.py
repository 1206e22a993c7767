"""Functions of functions, as in torch.func: grad(f) is the gradient of f as a function, and can be given to grad again.

Arguments and results may be tensors, or tuples, lists and dicts of them.

>>> import minidl
>>> from minidl.func import grad
>>> grad(grad(grad(lambda x: x**4)))(minidl.tensor(2.0))
tensor(48.)
"""

import numpy as np

from . import autograd
from .graph.modes import enable_grad
from .graph.nodes import Leaf
from .tensors.joining import stack
from .tensors.record import wrap
from .tensors.tensor import Tensor


def grad(func, argnums=0, has_aux=False):
    """The function that gives ∂func/∂argument argnums (a number or several); func gives one number, or (number, aux)."""
    both = grad_and_value(func, argnums, has_aux)
    return lambda *args, **kwargs: _first(both(*args, **kwargs), has_aux)


def grad_and_value(func, argnums=0, has_aux=False):
    """As grad, with the value: (gradient, value), or (gradient, (value, aux))."""

    def function(*args, **kwargs):
        with enable_grad():
            entries, args = _enter(args, argnums)
            result = func(*args, **kwargs)
            y, aux = result if has_aux else (result, None)
            if not isinstance(y, Tensor) or y.numel() != 1:
                raise RuntimeError(f"grad: func must return one number, got {getattr(y, 'shape', type(y).__name__)}")
            gradients = _regroup(args, argnums, _walk([y], entries, [wrap(np.ones(y.shape, y.dtype))]))
        return _leave((gradients, (y, aux) if has_aux else y), entries)

    return function


def vjp(func, *primals, has_aux=False):
    """(func(*primals), pull): pull(v) is vᵀJ, one for each primal (not in a tuple if there is one)."""
    with enable_grad():
        entries, args = _enter(primals, tuple(range(len(primals))))
        result = func(*args)
    y, aux = result if has_aux else (result, None)
    ys = _flat(y)

    def pull(v):
        with enable_grad():
            found = _regroup(args, tuple(range(len(args))), _walk(ys, entries, _flat(v)))
        return found[0] if len(args) == 1 else found

    return (_leave(y, entries), pull, aux) if has_aux else (_leave(y, entries), pull)


def jvp(func, primals, tangents):
    """(func(*primals), J·tangents), by the gradient of vᵀJ with respect to v."""
    with enable_grad():
        entries, args = _enter(primals, tuple(range(len(primals))))
        y = func(*args)
        ys = _flat(y)
        us = [wrap(np.zeros(part.shape, part.dtype)).requires_grad_() for part in ys]
        pulled = _walk(ys, entries, us, recorded=True)
        pairs = [(p, t) for p, t in zip(pulled, _flat(tangents), strict=True) if p.requires_grad]
        pushed = [None] * len(us)
        if pairs:
            gs, ts = zip(*pairs, strict=True)
            pushed = autograd.grad(gs, us, ts, create_graph=True, allow_unused=True)
        pushed = [wrap(np.zeros(u.shape, u.dtype)) if p is None else p for p, u in zip(pushed, us, strict=True)]
    out = iter(pushed)
    return _leave((y, _map(lambda part: next(out), y)), [*entries, *us])


def jacrev(func, argnums=0):
    """The Jacobian of func as a function, row by row: (*output.shape, *input.shape)."""

    def function(*args):
        with enable_grad():
            entries, args = _enter(args, argnums)
            y = func(*args)
            rows = [_walk([y], entries, [wrap(seed)]) for seed in _basis(y)]
            blocks = [stack([row[k] for row in rows]).reshape(y.shape + x.shape) for k, x in enumerate(entries)]
        return _leave(_regroup(args, argnums, blocks), entries)

    return function


def jacfwd(func, argnums=0):
    """The same Jacobian, column by column: one jvp for each number of the input."""

    def function(*args):
        x = args[argnums]

        def of_one(x):
            return func(*args[:argnums], x, *args[argnums + 1 :])

        columns = [jvp(of_one, (x,), (wrap(seed),))[1] for seed in _basis(x)]
        y_shape = columns[0].shape
        return stack(columns, -1).reshape(y_shape + x.shape)

    return function


def hessian(func, argnums=0):
    """The second derivatives of func (one number) as a function."""
    return jacrev(jacrev(func, argnums), argnums)


def vmap(func, in_dims=0, out_dims=0):
    """func for each slice of its arguments along in_dims (None: the same for all), the results stacked along out_dims.

    A loop: it says what torch.func.vmap says, and is as slow as the loop that it replaces.
    """

    def function(*args):
        dims = in_dims if isinstance(in_dims, tuple) else (in_dims,) * len(args)
        sizes = {x.shape[d] for arg, d in zip(args, dims, strict=True) if d is not None for x in _flat(arg)}
        if len(sizes) != 1:
            raise ValueError(f"vmap: expected arguments of one size along in_dims, got sizes {sorted(sizes)}")

        def part(arg, d, i):
            return arg if d is None else _map(lambda x: x.select(d, i), arg)

        results = [func(*(part(arg, d, i) for arg, d in zip(args, dims, strict=True))) for i in range(sizes.pop())]
        columns = iter([stack(column, out_dims) for column in zip(*map(_flat, results), strict=True)])
        return _map(lambda x: next(columns), results[0])

    return function


def functional_call(module, parameters_and_buffers, args=(), kwargs=None):
    """module(*args) with other tensors in the place of those parameters and buffers, named as in named_parameters()."""
    args, kept = args if isinstance(args, tuple) else (args,), []
    known = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name in parameters_and_buffers:
        if name not in known:
            raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}")
    try:
        for name, value in parameters_and_buffers.items():
            path, _, last = name.rpartition(".")
            attributes = vars(module.get_submodule(path) if path else module)
            kept.append((attributes, last, attributes[last]))
            attributes[last] = value  # not by setattr, which would ask for a Parameter
        return module(*args, **(kwargs or {}))
    finally:
        for attributes, last, value in reversed(kept):
            attributes[last] = value


# --- tensors in tuples, lists and dicts


def _flat(tree):
    if isinstance(tree, dict):
        return [x for value in tree.values() for x in _flat(value)]
    if isinstance(tree, (tuple, list)):
        return [x for value in tree for x in _flat(value)]
    return [tree] if isinstance(tree, Tensor) else []


def _map(function, tree):
    if isinstance(tree, dict):
        return {key: _map(function, value) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        return type(tree)(_map(function, value) for value in tree)
    return function(tree) if isinstance(tree, Tensor) else tree


# --- into a function that is to be differentiated, and out of it


def _enter(args, argnums):
    """The tensors that gradients are wanted for, new ones that go on in the graph around, and the arguments with these."""
    chosen, entries = argnums if isinstance(argnums, tuple) else (argnums,), []

    def enter(x):
        entries.append(x.reshape(x.shape) if x.requires_grad else x.detach().requires_grad_())
        return entries[-1]

    return entries, tuple(_map(enter, arg) if i in chosen else arg for i, arg in enumerate(args))


def _walk(ys, entries, vs, recorded=None):
    """The gradients of Σ v·y, recorded if anything around the function could ask for theirs."""
    pairs = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
    if not pairs:
        return [wrap(np.zeros(x.shape, x.dtype)) for x in entries]
    ys, vs = zip(*pairs, strict=True)
    if recorded is None:
        recorded = any(_depends(x, entries) for x in (*ys, *vs)) or any(type(x.node) is not Leaf for x in entries)
    found = autograd.grad(ys, entries, vs, retain_graph=True, create_graph=recorded, allow_unused=True)
    return [wrap(np.zeros(x.shape, x.dtype)) if dx is None else dx for dx, x in zip(found, entries, strict=True)]


def _depends(x, entries):
    """Whether x depends on something that requires grad, other than by the leaves made for the entries, or for calls past."""
    seen, ways = {e.node for e in entries if type(e.node) is Leaf}, [x.node]
    while ways:
        node = ways.pop()
        if node is not None and node not in seen:
            if type(node) is Leaf and getattr(node, "active", True):
                return True
            seen.add(node)
            ways.extend(node.needs or ())
    return False


def _leave(tree, entries):
    """What leaves the function; the leaves that it was given are constants from now on."""
    for x in entries:
        x.node.active = False
    return _map(lambda x: x if _depends(x, ()) else x.detach(), tree)


def _regroup(args, argnums, values):
    values = iter(values)
    if isinstance(argnums, tuple):
        return tuple(_map(lambda x: next(values), args[i]) for i in argnums)
    return _map(lambda x: next(values), args[argnums])


def _basis(x):
    for i in range(x.numel()):
        seed = np.zeros(x.shape, x.dtype)
        seed.flat[i] = 1
        yield seed


def _first(result, has_aux):
    return (result[0], result[1][1]) if has_aux else result[0]
