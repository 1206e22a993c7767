"""The step of stochastic gradient descent, in place and in one pass over the memory."""

from numba import types

from .elementwise import plain
from .jit import PerDtype, dense, jit


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


_NUMBER, _FLAG = types.float64, types.boolean
_sgd = PerDtype(descend, lambda t: (dense(t, 1, True), dense(t, 1), *[_NUMBER] * 3))
_sgd_momentum = PerDtype(
    descend_with_momentum,
    lambda t: (dense(t, 1, True), dense(t, 1), dense(t, 1, True), *[_NUMBER] * 4, _FLAG, _NUMBER, _FLAG),
)


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
        _refuse(parameter, gradient)
    if buffer is not None and (buffer.shape != shape or buffer.dtype != dtype):
        _refuse(parameter, buffer)
    sign = -1.0 if maximize else 1.0
    p, g = plain(parameter), plain(gradient)  # copies where the layout is unusual; what is new is then written back
    if buffer is None:
        _sgd[dtype](p.ravel(), g.ravel(), lr, weight_decay, sign)
    else:
        b = plain(buffer)
        numbers = lr, momentum, dampening, weight_decay, nesterov, sign, first_step
        _sgd_momentum[dtype](p.ravel(), g.ravel(), b.ravel(), *numbers)
        if b is not buffer:
            buffer[...] = b
    if p is not parameter:
        parameter[...] = p


def _refuse(parameter, other):
    expected = f"expected the parameter's shape {parameter.shape} and dtype {parameter.dtype} for its gradient and buffer"
    raise ValueError(f"sgd: {expected}, got {other.shape} of {other.dtype}")
