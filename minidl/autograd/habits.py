"""backward as a function, anomaly mode as a switch, and the Variable of old programs."""

import numpy as np

from ..graph.anomaly import detect_anomaly
from ..tensors.gradients import accumulate, accumulate_recorded, cotangent, recorded_cotangent
from ..tensors.tensor import Tensor


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    """Adds the gradients of all these tensors together to the `.grad` of the leaves (or of `inputs` only), in one walk.

    grad_tensors: a cotangent, or None, for each; None only for tensors of one element.

    >>> import minidl
    >>> x = minidl.tensor(2.0, requires_grad=True)
    >>> backward([x * x, 3 * x])
    >>> x.grad
    tensor(7.)
    """
    if grad_variables is not None:
        raise TypeError("backward: grad_variables is the old name of grad_tensors; write grad_tensors=…")
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    given = [None] * len(tensors) if grad_tensors is None else grad_tensors
    given = [given] if isinstance(given, Tensor) else list(given)
    if len(given) != len(tensors):
        raise RuntimeError(f"backward: expected a cotangent (or None) for each of {len(tensors)} tensors, got {len(given)}")
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"backward: expected Tensors, got {type(x).__name__}")
    wanted = ()
    if inputs is not None:
        wanted = {x.node for x in ([inputs] if isinstance(inputs, Tensor) else inputs)}
        if not wanted or None in wanted:
            raise RuntimeError("backward: inputs must be one or more tensors that require grad")
    seeds, start = {}, recorded_cotangent if create_graph else cotangent
    for x, dy in zip(tensors, given, strict=True):
        dy = start("backward", x, dy)
        dy = seeds[x.node] + dy if x.node in seeds else dy
        seeds[x.node] = dy if isinstance(dy, Tensor) else np.asarray(dy)  # arithmetic on 0-d arrays makes NumPy scalars
    if create_graph:
        accumulate_recorded(seeds, wanted)
    else:
        accumulate(seeds, bool(retain_graph), wanted)


class set_detect_anomaly:
    """Switches detect_anomaly on or off for this thread, at once; as a context also back again at its end.

    check_nan must be True: finding what is not finite is all that it does.

    >>> import minidl
    >>> with set_detect_anomaly(True):
    ...     y = minidl.zeros(1, requires_grad=True).log()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    RuntimeError: detect_anomaly: Log: its output is not finite. The operation was called at ...
    """

    _switch = None  # the detect_anomaly that is on

    def __init__(self, mode, check_nan=True):
        if not isinstance(mode, bool):
            raise TypeError(f"set_detect_anomaly: expected True or False, got {mode!r}")
        if not check_nan:
            raise NotImplementedError("set_detect_anomaly: check_nan=False is not supported; leave set_detect_anomaly out")
        self.before = set_detect_anomaly._switch is not None
        _switch_anomaly(mode)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        _switch_anomaly(self.before)


def _switch_anomaly(wanted):
    switch = set_detect_anomaly._switch
    if wanted and switch is None:
        switch = set_detect_anomaly._switch = detect_anomaly()
        switch.__enter__()
    elif not wanted and switch is not None:
        set_detect_anomaly._switch = None
        switch.__exit__()


def is_anomaly_enabled():
    """Whether set_detect_anomaly is on.

    >>> is_anomaly_enabled()
    False
    """
    return set_detect_anomaly._switch is not None


class _OldVariable(type):
    def __call__(cls, data, requires_grad=None, volatile=None):
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable: expected a Tensor, got {type(data).__name__}; write minidl.tensor(…)")
        if volatile:
            raise TypeError("Variable: volatile=True is no more; write `with minidl.no_grad():` around the forward pass")
        if requires_grad is None or bool(requires_grad) is data.requires_grad:
            return data
        return data.detach().requires_grad_(bool(requires_grad))

    def __instancecheck__(cls, x):
        return isinstance(x, Tensor)


class Variable(metaclass=_OldVariable):
    """A tensor, as it is: Variable(x) is x. With requires_grad, one that shares x's memory and requires grad, or does not.

    PyTorch's Variable(x) forgets that x requires grad, which nobody means; here it stays.

    >>> import minidl
    >>> w = Variable(minidl.ones(2), requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad
    tensor([2., 2.])
    """
