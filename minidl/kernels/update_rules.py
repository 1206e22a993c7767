"""The steps of the optimizers beside SGD and Adam, each in one pass over the memory: a formula for one number, and its loop.

A kernel changes p and its buffers in place. Its first numbers are the same for all: `sign` (−1 to maximise) and `decay`, for
the gradient d = sign·g + decay·p; `shrink`, by which p is multiplied first. Compilers may not contract products and sums:
whether they do could depend on where a part begins.
"""

import math

import numpy as np
from numba import types

from .elementwise import SHARED_SIZE, part_of
from .jit import dense, jit
from .shares import SharedCode
from .threads import run
from .update import check_numbers, flat_arrays, write_back


@jit(forceinline=True)
def slope(g, p, sign, decay):
    return sign * g + decay * p if decay else sign * g  # 0·∞ would be NaN


@jit
def adagrad(p, g, total, sign, decay, shrink, rate, eps, inside, part, parts):
    T = p.dtype.type
    sign, decay, rate, within, beside = T(sign), T(decay), T(rate), T(eps if inside else 0), T(0 if inside else eps)
    p, g, total = part_of(p, part, parts), part_of(g, part, parts), part_of(total, part, parts)
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        total[i] += d * d
        p[i] -= rate * (d / (math.sqrt(total[i] + within) + beside))


@jit
def rmsprop(p, g, square, mean, buffer, sign, decay, shrink, rate, alpha, eps, momentum, centered, inside, part, parts):
    T = p.dtype.type
    sign, decay, rate, old, new, momentum = T(sign), T(decay), T(rate), T(alpha), T(1 - alpha), T(momentum)
    within, beside = T(eps if inside else 0), T(0 if inside else eps)
    p, g, square = part_of(p, part, parts), part_of(g, part, parts), part_of(square, part, parts)
    mean, buffer = part_of(mean, part, parts), part_of(buffer, part, parts)
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        square[i] = old * square[i] + new * (d * d)
        spread = square[i]
        if centered:
            mean[i] = old * mean[i] + new * d
            spread -= mean[i] * mean[i]
        step = d / (math.sqrt(spread + within) + beside)
        if momentum:
            buffer[i] = momentum * buffer[i] + step
            step = buffer[i]
        p[i] -= rate * step


@jit
def adadelta(p, g, square, moved, sign, decay, shrink, rate, rho, eps, part, parts):
    T = p.dtype.type
    sign, decay, rate, old, new, eps = T(sign), T(decay), T(rate), T(rho), T(1 - rho), T(eps)
    p, g, square, moved = (
        part_of(p, part, parts),
        part_of(g, part, parts),
        part_of(square, part, parts),
        part_of(moved, part, parts),
    )
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        square[i] = old * square[i] + new * (d * d)
        step = math.sqrt(moved[i] + eps) / math.sqrt(square[i] + eps) * d
        moved[i] = old * moved[i] + new * (step * step)
        p[i] -= rate * step


@jit
def adamax(p, g, m, top, sign, decay, shrink, rate, beta1, beta2, eps, part, parts):
    T = p.dtype.type
    sign, decay, rate, old1, new1, old2, eps = T(sign), T(decay), T(rate), T(beta1), T(1 - beta1), T(beta2), T(eps)
    p, g, m, top = part_of(p, part, parts), part_of(g, part, parts), part_of(m, part, parts), part_of(top, part, parts)
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        m[i] = old1 * m[i] + new1 * d
        before, now = old2 * top[i], abs(d) + eps
        top[i] = before if now <= before or before != before else now  # NaN stays
        p[i] -= rate * (m[i] / top[i])


@jit
def nadam(p, g, m, v, sign, decay, shrink, rate_g, rate_m, beta1, beta2, root, eps, part, parts):
    T = p.dtype.type
    sign, decay, shrink, old1, new1, old2, new2 = T(sign), T(decay), T(shrink), T(beta1), T(1 - beta1), T(beta2), T(1 - beta2)
    rate_g, rate_m, root, eps = T(rate_g), T(rate_m), T(root), T(eps)
    p, g, m, v = part_of(p, part, parts), part_of(g, part, parts), part_of(m, part, parts), part_of(v, part, parts)
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        m[i] = old1 * m[i] + new1 * d
        v[i] = old2 * v[i] + new2 * (d * d)
        below = math.sqrt(v[i]) / root + eps
        p[i] = shrink * p[i] - (rate_g * d + rate_m * m[i]) / below


@jit
def radam(p, g, m, v, sign, decay, shrink, rate, beta1, beta2, root, eps, rectified, part, parts):
    T = p.dtype.type
    sign, decay, shrink, old1, new1, old2, new2 = T(sign), T(decay), T(shrink), T(beta1), T(1 - beta1), T(beta2), T(1 - beta2)
    rate, root, eps = T(rate), T(root), T(eps)
    p, g, m, v = part_of(p, part, parts), part_of(g, part, parts), part_of(m, part, parts), part_of(v, part, parts)
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        m[i] = old1 * m[i] + new1 * d
        v[i] = old2 * v[i] + new2 * (d * d)
        p[i] = shrink * p[i] - rate * (m[i] * (root / (math.sqrt(v[i]) + eps)) if rectified else m[i])


@jit
def yogi(p, g, m, v, sign, decay, shrink, rate, beta1, beta2, root, eps, part, parts):
    T = p.dtype.type
    sign, decay, rate, old1, new1, new2 = T(sign), T(decay), T(rate), T(beta1), T(1 - beta1), T(1 - beta2)
    root, eps, none = T(root), T(eps), T(0)
    p, g, m, v = part_of(p, part, parts), part_of(g, part, parts), part_of(m, part, parts), part_of(v, part, parts)
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        m[i] = old1 * m[i] + new1 * d
        square = d * d
        v[i] += new2 * (square if square > v[i] else none if square == v[i] else -square)
        p[i] -= rate * (m[i] / (math.sqrt(v[i]) / root + eps))


@jit
def lion(p, g, m, sign, decay, shrink, rate, beta1, beta2, part, parts):
    T = p.dtype.type
    sign, shrink, rate, old1, new1, old2, new2 = T(sign), T(shrink), T(rate), T(beta1), T(1 - beta1), T(beta2), T(1 - beta2)
    p, g, m = part_of(p, part, parts), part_of(g, part, parts), part_of(m, part, parts)
    for i in range(p.size):
        d = sign * g[i]
        way = old1 * m[i] + new1 * d
        p[i] = shrink * p[i] - (rate if way > 0 else -rate if way < 0 else rate * way)  # 0 stays, NaN too
        m[i] = old2 * m[i] + new2 * d


@jit
def asgd(p, g, average, sign, decay, shrink, rate, share, part, parts):
    T = p.dtype.type
    sign, decay, shrink, rate, share = T(sign), T(decay), T(shrink), T(rate), T(share)
    p, g, average = part_of(p, part, parts), part_of(g, part, parts), part_of(average, part, parts)
    for i in range(p.size):
        d = slope(g[i], p[i], sign, decay)
        p[i] = shrink * p[i] - rate * d
        average[i] = p[i] if share == 1 else average[i] + share * (p[i] - average[i])


@jit
def rprop(p, g, before, width, sign, decay, shrink, smaller, larger, least, most, part, parts):
    T = p.dtype.type
    sign, smaller, larger, least, most = T(sign), T(smaller), T(larger), T(least), T(most)
    p, g, before, width = (
        part_of(p, part, parts),
        part_of(g, part, parts),
        part_of(before, part, parts),
        part_of(width, part, parts),
    )
    for i in range(p.size):
        d = sign * g[i]
        agree = d * before[i]
        if agree > 0:
            width[i] *= larger
        elif agree < 0:
            width[i] *= smaller
            d = T(0)
        width[i] = min(max(width[i], least), most)
        p[i] -= width[i] if d > 0 else -width[i] if d < 0 else width[i] * d  # 0 stays, NaN too
        before[i] = d


# For each rule its kernel, how many buffers it has, and its numbers, in the kernel's order
_COMMON = "sign", "decay", "shrink"
RULES = {
    "adagrad": (adagrad, 1, ("rate", "eps", "inside")),
    "rmsprop": (rmsprop, 3, ("rate", "alpha", "eps", "momentum", "centered", "inside")),
    "adadelta": (adadelta, 2, ("rate", "rho", "eps")),
    "adamax": (adamax, 2, ("rate", "beta1", "beta2", "eps")),
    "nadam": (nadam, 2, ("rate_g", "rate_m", "beta1", "beta2", "root", "eps")),
    "radam": (radam, 2, ("rate", "beta1", "beta2", "root", "eps", "rectified")),
    "yogi": (yogi, 2, ("rate", "beta1", "beta2", "root", "eps")),
    "lion": (lion, 1, ("rate", "beta1", "beta2")),
    "asgd": (asgd, 1, ("rate", "share")),
    "rprop": (rprop, 2, ("smaller", "larger", "least", "most")),
}
_KERNELS = {
    name: SharedCode(
        kernel,
        lambda t, buffers=buffers, numbers=numbers: (
            dense(t, 1, True),
            dense(t, 1),
            *[dense(t, 1, True)] * buffers,
            *[types.float64] * (len(_COMMON) + len(numbers)),
        ),
    )
    for name, (kernel, buffers, numbers) in RULES.items()
}


def optimizer_step(rule, parameter, gradient, buffers, *, sign=1.0, decay=0.0, shrink=1.0, **numbers):
    """Changes `parameter` and `buffers` in place by one step of a rule of `RULES`; all arithmetic is in the parameter's dtype.

    buffers: as many arrays as the rule has, with the shape and dtype of the parameter. `rmsprop` has (square, mean, buffer), of
    which the second is None unless `centered`, and the third unless there is `momentum`. numbers: those that `RULES` names.
    """
    if not isinstance(rule, str) or rule not in RULES:
        raise ValueError(f"optimizer_step: expected one of {', '.join(RULES)}, got {rule!r}")
    _, count, names = RULES[rule]
    if not isinstance(buffers, (tuple, list)) or not all(x is None or isinstance(x, np.ndarray) for x in buffers):
        raise TypeError(f"{rule}: expected buffers to be a tuple of arrays, got {buffers!r}")
    if len(buffers) != count or numbers.keys() != set(names):
        raise TypeError(f"{rule}: expected {count} buffers and {', '.join(names)}, got {len(buffers)} and {', '.join(numbers)}")
    given = (sign, decay, shrink, *[numbers[name] for name in names])
    check_numbers(rule, *given)
    missing = (False, not numbers["centered"], not numbers["momentum"]) if rule == "rmsprop" else (False,) * count
    if any((x is None) != absent for x, absent in zip(buffers, missing, strict=True)):
        raise TypeError(f"{rule}: expected arrays for the buffers that its numbers use, and None for others, got {buffers}")
    (p, g, *flat), copies = flat_arrays(rule, parameter, gradient, [x for x in buffers if x is not None])
    rest = iter(flat)
    arrays = [p[:0] if absent else next(rest) for absent in missing]
    run(parameter.size >= SHARED_SIZE, _KERNELS[rule], parameter.dtype, p, g, *arrays, *map(float, given))
    write_back(copies)
