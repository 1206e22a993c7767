"""kl_divergence(p, q), by a table of formulas for pairs of types.

A formula for two families is registered by its author beside them; the closest pair of base classes answers.
"""

from ..tensors.tensor import Tensor

_FORMULAS = {}  # (type of p, type of q) -> function of p and q


def register_kl(type_p, type_q):
    """Decorator: this function of (p, q) is D(p‖q), in nats, for distributions of these types and their subclasses.

    >>> class P: pass
    >>> @register_kl(P, P)
    ... def _(p, q):
    ...     return 0.0
    >>> kl_divergence(P(), P())
    0.0
    """
    for kind in (type_p, type_q):
        if not isinstance(kind, type):
            raise TypeError(f"register_kl: expected two types, got {kind!r}")

    def register(function):
        _FORMULAS[type_p, type_q] = function
        return function

    return register


def kl_divergence(p, q):
    """D(p‖q) = E_p[log p(x) − log q(x)] ≥ 0, in nats: of the batch_shape. +inf where p reaches what q does not.

    >>> kl_divergence(1, 2)
    Traceback (most recent call last):
    NotImplementedError: kl_divergence: no formula for p of type int and q of type int
    """
    for type_p in type(p).__mro__:
        for type_q in type(q).__mro__:
            formula = _FORMULAS.get((type_p, type_q))
            if formula is not None:
                nats = formula(p, q)
                return nats.clamp(min=0) if isinstance(nats, Tensor) else nats  # rounding may take it below 0
    raise NotImplementedError(f"kl_divergence: no formula for p of type {type(p).__name__} and q of type {type(q).__name__}")
