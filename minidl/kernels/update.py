"""The step of stochastic gradient descent, in place and in one pass over the memory."""

from .elementwise import plain
from .jit import jit


@jit(fastmath={"contract"})
def _sgd(p, g, lr, decay, sign):
    T = p.dtype.type
    lr, decay, sign = T(lr), T(decay), T(sign)
    for i in range(p.size):
        p[i] -= lr * (sign * g[i] + decay * p[i] if decay else sign * g[i])  # 0·∞ would be NaN


@jit(fastmath={"contract"})
def _sgd_momentum(p, g, buffer, lr, momentum, dampening, decay, nesterov, sign, first_step):
    T = p.dtype.type
    lr, momentum, decay, sign = T(lr), T(momentum), T(decay), T(sign)
    new = T(1 - dampening)
    for i in range(p.size):
        d = sign * g[i] + decay * p[i] if decay else sign * g[i]
        b = d if first_step else momentum * buffer[i] + new * d  # the buffer may be uninitialised on the first step
        buffer[i] = b
        p[i] -= lr * (d + momentum * b if nesterov else b)


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
    if gradient.shape != parameter.shape or (buffer is not None and buffer.shape != parameter.shape):
        other = gradient if gradient.shape != parameter.shape else buffer
        raise ValueError(f"sgd: expected a gradient and a buffer of the parameter's shape {parameter.shape}, got {other.shape}")
    p = plain(parameter)  # a copy where the layout is unusual, then written back
    g = plain(gradient).ravel()
    sign = -1.0 if maximize else 1.0
    if buffer is None:
        _sgd(p.ravel(), g, float(lr), float(weight_decay), sign)
    else:
        b = plain(buffer)
        _sgd_momentum(
            p.ravel(),
            g,
            b.ravel(),
            float(lr),
            float(momentum),
            float(dampening),
            float(weight_decay),
            bool(nesterov),
            sign,
            bool(first_step),
        )
        if b is not buffer:
            buffer[...] = b
    if p is not parameter:
        parameter[...] = p
