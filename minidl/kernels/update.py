"""The steps of stochastic gradient descent and of Adam, in place and in one pass over the memory."""

import math

import numpy as np
from numba import types

from .elementwise import SHARED_SIZE, part_of
from .jit import CodeByDtype, dense, jit
from .shares import SharedCode
from .threads import run


@jit(fastmath={"contract"})
def descend(p, g, lr, decay, sign):
    T = p.dtype.type
    lr, decay, sign = T(lr), T(decay), T(sign)
    for i in range(p.size):
        p[i] -= lr * (sign * g[i] + decay * p[i] if decay else sign * g[i])  # 0·∞ would be NaN


@jit(fastmath={"contract"})
def descend_with_momentum(p, g, buffer, lr, momentum, dampening, decay, nesterov, sign, first_step):
    T = p.dtype.type
    lr, momentum, decay, sign = T(lr), T(momentum), T(decay), T(sign)
    new = T(1 - dampening)
    for i in range(p.size):
        d = sign * g[i] + decay * p[i] if decay else sign * g[i]
        b = d if first_step else momentum * buffer[i] + new * d  # the buffer may be uninitialised on the first step
        buffer[i] = b
        p[i] -= lr * (d + momentum * b if nesterov else b)


# Adam's kernels are not told to contract products and sums: whether the compiler does may depend on where a part begins.


@jit
def adapt(p, g, m, v, sign, decay, shrink, beta1, beta2, rate, root, eps, part, parts):
    T = p.dtype.type
    sign, decay, shrink, old1, old2 = T(sign), T(decay), T(shrink), T(beta1), T(beta2)
    new1, new2, rate, root, eps = T(1 - beta1), T(1 - beta2), T(rate), T(root), T(eps)
    p, g, m, v = part_of(p, part, parts), part_of(g, part, parts), part_of(m, part, parts), part_of(v, part, parts)
    for i in range(p.size):
        d = sign * g[i] + decay * p[i] if decay else sign * g[i]
        m[i] = old1 * m[i] + new1 * d
        v[i] = old2 * v[i] + new2 * (d * d)
        p[i] = shrink * p[i] - rate * (m[i] / (math.sqrt(v[i]) / root + eps))


@jit
def adapt_by_maximum(p, g, m, v, top, sign, decay, shrink, beta1, beta2, rate, root, eps, part, parts):
    T = p.dtype.type
    sign, decay, shrink, old1, old2 = T(sign), T(decay), T(shrink), T(beta1), T(beta2)
    new1, new2, rate, root, eps = T(1 - beta1), T(1 - beta2), T(rate), T(root), T(eps)
    p, g, m, v = part_of(p, part, parts), part_of(g, part, parts), part_of(m, part, parts), part_of(v, part, parts)
    top = part_of(top, part, parts)
    for i in range(p.size):
        d = sign * g[i] + decay * p[i] if decay else sign * g[i]
        m[i] = old1 * m[i] + new1 * d
        now = old2 * v[i] + new2 * (d * d)
        v[i] = now
        top[i] = top[i] if now <= top[i] or top[i] != top[i] else now  # NaN stays
        p[i] = shrink * p[i] - rate * (m[i] / (math.sqrt(top[i]) / root + eps))


_NUMBER, _FLAG = types.float64, types.boolean
_sgd = CodeByDtype(descend, lambda t: (dense(t, 1, True), dense(t, 1), *[_NUMBER] * 3))
_sgd_momentum = CodeByDtype(
    descend_with_momentum,
    lambda t: (dense(t, 1, True), dense(t, 1), dense(t, 1, True), *[_NUMBER] * 4, _FLAG, _NUMBER, _FLAG),
)
_adam, _adam_maximum = (
    SharedCode(kernel, lambda t, n=n: (dense(t, 1, True), dense(t, 1), *[dense(t, 1, True)] * n, *[_NUMBER] * 8))
    for kernel, n in ((adapt, 2), (adapt_by_maximum, 3))
)


def plain(x):
    """As elementwise.plain, but always by NumPy: capture/ brings gradients into order before an optimizer's kernels itself."""
    return x if x.flags.carray else np.array(x, order="C")


def sgd(
    parameter,
    gradient,
    buffer=None,
    lr=0.001,
    momentum=0.0,
    dampening=0.0,
    weight_decay=0.0,
    nesterov=False,
    maximize=False,
    first_step=False,
):
    """Changes `parameter` and `buffer` in place as torch.optim.SGD does, all arithmetic in the parameter's dtype:

    d = ±gradient + weight_decay·parameter              - where maximize is set
    buffer = momentum·buffer + (1 - dampening)·d        d itself on the first step
    parameter -= lr·buffer                              d + momentum·buffer with nesterov; d without a buffer
    """
    shape, dtype = parameter.shape, parameter.dtype
    if gradient.shape != shape or gradient.dtype != dtype:
        _refuse("sgd", parameter, gradient)
    if buffer is not None and (buffer.shape != shape or buffer.dtype != dtype):
        _refuse("sgd", parameter, buffer)
    if not (type(lr) is type(momentum) is type(dampening) is type(weight_decay) is float):
        check_numbers("sgd", lr, momentum, dampening, weight_decay)
    sign = -1.0 if maximize else 1.0
    p, g = plain(parameter), plain(gradient)  # copies where the layout is unusual; what is new is then written back
    if p is not parameter:
        _check_writeable("sgd", parameter)
    if buffer is None:
        _sgd[dtype](p.ravel(), g.ravel(), lr, weight_decay, sign)
    else:
        b = plain(buffer)
        if b is not buffer:
            _check_writeable("sgd", buffer)
        numbers = lr, momentum, dampening, weight_decay, nesterov, sign, first_step
        _sgd_momentum[dtype](p.ravel(), g.ravel(), b.ravel(), *numbers)
        if b is not buffer:
            buffer[...] = b
    if p is not parameter:
        parameter[...] = p


def adam(
    parameter,
    gradient,
    mean,
    square,
    maximum=None,
    *,
    step=1,
    lr=0.001,
    beta1=0.9,
    beta2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    decoupled=False,
    maximize=False,
):
    """Changes `parameter`, `mean`, `square` and `maximum` in place as torch.optim.Adam does at its step number `step`, from 1:

    d = ±gradient + weight_decay·parameter              - where maximize is set; without the decay where it is decoupled
    mean = β₁·mean + (1 - β₁)·d
    square = β₂·square + (1 - β₂)·d²
    maximum = max(maximum, square)                      if there is one; it then takes the place of square below
    parameter -= lr·weight_decay·parameter              where the decay is decoupled
    parameter -= lr/(1 - β₁ˢᵗᵉᵖ) · mean / (√square/√(1 - β₂ˢᵗᵉᵖ) + eps)
    """
    check_numbers("adam", step, lr, beta1, beta2, eps, weight_decay)
    if step < 1:
        raise ValueError(f"adam: expected a step of 1 or more, got {step}")
    if beta1 == 1 or beta2 == 1:
        raise ValueError(f"adam: beta1 and beta2 must not be 1, got {beta1} and {beta2}")
    decay, shrink = (0.0, 1.0 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    sign = -1.0 if maximize else 1.0
    rate, root = float(lr) / (1 - float(beta1) ** step), math.sqrt(1 - float(beta2) ** step)
    buffers = [mean, square] if maximum is None else [mean, square, maximum]
    arrays, copies = flat_arrays("adam", parameter, gradient, buffers)
    kernel = _adam if maximum is None else _adam_maximum
    numbers = sign, decay, shrink, beta1, beta2, rate, root, eps
    run(parameter.size >= SHARED_SIZE, kernel, parameter.dtype, *arrays, *numbers)
    write_back(copies)


def flat_arrays(name, parameter, gradient, buffers):
    """[parameter, gradient, *buffers] as vectors, and (array, copy) for each that was copied because its layout is unusual."""
    shape, dtype = parameter.shape, parameter.dtype
    arrays = [parameter, gradient, *buffers]
    for x in arrays:
        if x.shape != shape or x.dtype != dtype:
            _refuse(name, parameter, x)
    used = [plain(x) for x in arrays]
    copies = [(x, y) for i, (x, y) in enumerate(zip(arrays, used, strict=True)) if x is not y and i != 1]
    for x, _ in copies:
        _check_writeable(name, x)
    return [x.ravel() for x in used], copies


def write_back(copies):
    for x, y in copies:
        x[...] = y


def check_numbers(name, *numbers):
    for x in numbers:
        if type(x) is not float and not isinstance(x, (float, int, np.integer, np.floating)):
            raise TypeError(f"{name}: expected numbers as options, got {x!r}")


def _check_writeable(name, x):
    """Before anything is changed."""
    if not x.flags.writeable:
        raise ValueError(f"{name}: the parameter or a buffer of shape {x.shape} is read-only")


def _refuse(name, parameter, other):
    expected = f"expected the parameter's shape {parameter.shape} and dtype {parameter.dtype} for its gradient and buffers"
    raise ValueError(f"{name}: {expected}, got {other.shape} of {other.dtype}")
