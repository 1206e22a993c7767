import numpy as np

from .gemm import linear, matmul


def column_sums(x):
    return x.sum(0)


exp, log, log2, log1p, expm1, tanh = [
    (lambda f: lambda x: np.asarray(np.errstate(all="ignore")(f)(x)))(f)
    for f in (np.exp, np.log, np.log2, np.log1p, np.expm1, np.tanh)
]


def sigmoid(x):
    return exp(x) / (1 + exp(x))


def relu(x):
    return np.maximum(x, 0)


def relu_backward(dy, y):
    return dy * (y > 0)


def tanh_backward(dy, y):
    return dy * (1 - y * y)


def sigmoid_backward(dy, y):
    return dy * y * (1 - y)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def softmax_backward(dy, y, axis=-1):
    return y * (dy - (dy * y).sum(axis, keepdims=True))


def log_softmax(x, axis=-1):
    return np.log(softmax(x, axis))


def log_softmax_backward(dy, y, axis=-1):
    return dy - np.exp(y) * dy.sum(axis, keepdims=True)


def sgd(p, g, buffer, lr, momentum, dampening, decay, nesterov, maximize, first):
    f = p.dtype.type
    g = -g if maximize else g
    g = g + f(decay) * p if decay else g
    if buffer is not None:
        buffer[...] = g if first else f(momentum) * buffer + f(1 - dampening) * g
        g = g + f(momentum) * buffer if nesterov else buffer
    p -= f(lr) * g
