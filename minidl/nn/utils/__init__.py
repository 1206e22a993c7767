"""Gradient clipping, parameters as one vector, and evaluation for a while. `rnn` packs and pads sequences.

`parametrize` has parameters computed from others, `parametrizations` the two ways to do so that are known by name.
"""

import math
from collections.abc import Iterable
from contextlib import contextmanager

import numpy as np

from ... import kernels
from ...graph.writes import note_write
from ...tensors.arguments import numbers_of
from ...tensors.joining import cat
from ...tensors.record import number_array, wrap
from ...tensors.tensor import Tensor
from ..module import Module
from . import parametrizations, parametrize  # noqa: F401
from .norms import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm  # noqa: F401


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Scales all gradients by one factor so that their common norm is at most max_norm; returns the norm before.

    The norm is summed in float64. Below max_norm no bit is changed; parameters without a gradient are passed over. A norm that
    is not finite raises with error_if_nonfinite, naming the first parameter to blame; without it the gradients are scaled all
    the same, which leaves NaN in them.

    >>> import minidl
    >>> w = minidl.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> clip_grad_norm_([w], 1.0), w.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    parameters = _list("clip_grad_norm_", parameters)
    grads = [p.grad.array for p in parameters if p.grad is not None]
    max_norm, norm_type = numbers_of("clip_grad_norm_", max_norm=max_norm, norm_type=norm_type)
    max_norm, norm_type = float(max_norm), float(norm_type)
    if not norm_type > 0 or not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be above 0 and max_norm 0 or more, got {norm_type} and {max_norm}")
    quick = norm_type == 2 and grads and all(g.dtype == np.float32 and g.flags.carray for g in grads)
    if quick:  # squares of float32 do not leave float64's range
        numbers, norm = kernels.common_norm(grads, max_norm)
        total = float(numbers[0])
    else:
        total = _norm(np.array([_norm(g, norm_type) for g in grads]), norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        for i, p in enumerate(parameters):
            if p.grad is not None and not math.isfinite(_norm(p.grad.array, norm_type)):
                raise RuntimeError(
                    f"clip_grad_norm_: the norm of the gradients is {total}; parameter {i}, shape {p.shape}, is the first "
                    "whose gradient is not finite"
                )
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {total}")
    if quick:
        kernels.scale_all(grads, numbers)
    elif not total <= max_norm:
        with np.errstate(invalid="ignore"):
            for g in grads:
                g *= max_norm / (total + 1e-6)
    if not total <= max_norm:
        for g in grads:
            note_write(g)
    if quick:
        return wrap(norm)
    with np.errstate(over="ignore"):
        return wrap(np.array(total).astype(np.result_type(*grads) if grads else np.float32))


def clip_grad_value_(parameters, clip_value):
    """Holds every element of the gradients within ±clip_value.

    >>> import minidl
    >>> w = minidl.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> clip_grad_value_([w], 3.5)
    >>> w.grad
    tensor([3.0000, 3.5000])
    """
    if not isinstance(clip_value, (int, float, np.integer, np.floating)) or not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value must be a number of 0 or more, got {clip_value!r}")
    for p in _list("clip_grad_value_", parameters):
        if p.grad is not None:
            bound = number_array("clip_grad_value_", clip_value, p.grad.dtype)
            np.clip(p.grad.array, -bound, bound, out=p.grad.array)
            note_write(p.grad.array)


def parameters_to_vector(parameters):
    """All parameters, flattened, one after the other.

    >>> import minidl
    >>> parameters_to_vector([minidl.ones(2, 1), minidl.zeros(1)])
    tensor([1., 1., 0.])
    """
    return cat([p.reshape(-1) for p in _list("parameters_to_vector", parameters)])


def vector_to_parameters(vec, parameters):
    """Copies consecutive stretches of a vector into the parameters.

    >>> import minidl
    >>> w = minidl.zeros(2, 1)
    >>> vector_to_parameters(minidl.tensor([1.0, 2.0]), [w])
    >>> w
    tensor([[1.],
            [2.]])
    """
    parameters = _list("vector_to_parameters", parameters)
    sizes = [p.numel() for p in parameters]
    if not isinstance(vec, Tensor) or vec.shape != (sum(sizes),):
        raise ValueError(f"vector_to_parameters: expected a vector of {sum(sizes)} elements, got shape {np.shape(vec)}")
    start = 0
    for p, size in zip(parameters, sizes, strict=True):
        p.data.copy_(vec.detach()[start : start + size].reshape(p.shape))
        start += size


@contextmanager
def evaluating(model):
    """Within it a Module and all in it are in evaluation mode; after it each is in the mode that it was in before.

    What is no Module stays as it is.

    >>> import minidl
    >>> net = minidl.nn.Sequential(minidl.nn.Dropout(0.5))
    >>> with evaluating(net):
    ...     net(minidl.ones(3))
    tensor([1., 1., 1.])
    >>> net.training
    True
    """
    modes = [(module, module.training) for module in model.modules()] if isinstance(model, Module) else []
    for module, _ in modes:
        module.training = False
    try:
        yield model
    finally:
        for module, mode in modes:
            module.training = mode


def _list(name, parameters):
    if isinstance(parameters, Module) or not isinstance(parameters, Iterable):
        raise TypeError(f"{name}: expected Tensors, got {type(parameters).__name__}; write net.parameters()")
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for i, p in enumerate(parameters):
        if not isinstance(p, Tensor):
            raise TypeError(f"{name}: expected Tensors, got {type(p).__name__} as parameter {i}")
    return parameters


def _norm(g, p):
    """The p-norm of an array, in float64, as a float."""
    if not g.size:
        return 0.0
    top = float(np.abs(g).max())
    if p == math.inf or top == 0 or not math.isfinite(top):
        return top
    with np.errstate(over="ignore", under="ignore"):
        total = kernels.sum_of_squares(g) if p == 2 else float((np.abs(g, dtype=np.float64) ** p).sum())
        if not 1e-280 < total < math.inf:  # float64's own range was left: only float64 gradients get here
            return top * float(np.sum((np.abs(g, dtype=np.float64) / top) ** p)) ** (1 / p)
    return total ** (1 / p)
