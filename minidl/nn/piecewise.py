"""Activation functions with corners or steps as layers. All of them keep the shape of their input."""

from ..tensors.creation import empty
from . import functional as F, init
from .activation import InPlace, options
from .linear import checked_sizes
from .module import Module
from .parameter import Parameter

__all__ = [
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "PReLU",
    "RReLU",
    "ReLU6",
    "Softshrink",
    "Threshold",
]


class Hardtanh(InPlace):
    """x held between min_val and max_val, with slope 0 at both and beyond.

    >>> import minidl
    >>> minidl.nn.Hardtanh()(minidl.tensor([-3.0, 0.5, 2.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False):
        super().__init__(inplace)
        if not min_val < max_val:
            raise ValueError(f"{type(self).__name__}: max_val must be above min_val, got {min_val} and {max_val}")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self):
        return options(self, f"min_val={self.min_val}, max_val={self.max_val}")


class ReLU6(Hardtanh):
    """x held between 0 and 6, with slope 0 at both and beyond.

    >>> import minidl
    >>> minidl.nn.ReLU6()(minidl.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """

    def __init__(self, inplace=False):
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self):
        return InPlace.extra_repr(self)


class Hardsigmoid(InPlace):
    """x/6 + ½ held between 0 and 1.

    >>> import minidl
    >>> minidl.nn.Hardsigmoid()(minidl.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """

    def forward(self, input):
        return F.hardsigmoid(input, self.inplace)


class Hardswish(InPlace):
    """x·hardsigmoid(x): 0 up to −3, x from 3 on, x·(x + 3)/6 between.

    >>> import minidl
    >>> minidl.nn.Hardswish()(minidl.tensor([-1.0, 1.0, 5.0]))
    tensor([-0.3333,  0.6667,  5.0000])
    """

    def forward(self, input):
        return F.hardswish(input, self.inplace)


class Threshold(InPlace):
    """x where x > threshold, else value.

    >>> import minidl
    >>> minidl.nn.Threshold(0.5, -1.0)(minidl.tensor([0.1, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, threshold, value, inplace=False):
        super().__init__(inplace)
        self.threshold, self.value = threshold, value

    def forward(self, input):
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self):
        return options(self, f"threshold={self.threshold}, value={self.value}")


class Hardshrink(Module):
    """0 where |x| ≤ lambd, else x.

    >>> import minidl
    >>> minidl.nn.Hardshrink()(minidl.tensor([-0.4, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        return F.hardshrink(input, self.lambd)

    def extra_repr(self):
        return f"{self.lambd}"


class Softshrink(Hardshrink):
    """0 where |x| ≤ lambd, else x moved by lambd towards 0; lambd is 0 or more.

    >>> import minidl
    >>> minidl.nn.Softshrink()(minidl.tensor([-0.4, 2.0]))
    tensor([0.0000, 1.5000])
    """

    def forward(self, input):
        return F.softshrink(input, self.lambd)


class PReLU(Module):
    """x where x > 0, else weight·x, with a learned weight for all channels (num_parameters=1) or for each (axis 1).

    >>> import minidl
    >>> minidl.nn.PReLU()(minidl.tensor([-2.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        (self.num_parameters,) = checked_sizes(self, num_parameters=num_parameters)
        self.init = init
        self.weight = Parameter(empty(self.num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self):
        """Sets the weights to their first value, init."""
        init.constant_(self.weight, self.init)

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


class RReLU(InPlace):
    """x where x > 0, else slope·x: in training each slope is drawn uniformly from [lower, upper], else it is their mean.

    >>> import minidl
    >>> minidl.nn.RReLU(0.2, 0.3).eval()(minidl.tensor([-2.0, 2.0]))
    tensor([-0.5000,  2.0000])
    """

    def __init__(self, lower=1 / 8, upper=1 / 3, inplace=False):
        super().__init__(inplace)
        self.lower, self.upper = lower, upper

    def forward(self, input):
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self):
        return options(self, f"lower={self.lower}, upper={self.upper}")
