"""Dropout."""

from . import functional as F
from .functional.basic import check_probability
from .module import Module


class Dropout(Module):
    """In training each element is set to 0 with probability p, and the others are divided by 1 − p: the mean stays.

    In evaluation (`module.eval()`) and for p = 0 it passes its input on.

    >>> import minidl
    >>> minidl.nn.Dropout(0.5).eval()(minidl.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        check_probability("Dropout", p)
        if inplace:
            raise NotImplementedError("Dropout: inplace=True is not supported; use inplace=False (the values are the same)")
        self.p = p

    def forward(self, input):
        return F.dropout(input, self.p, self.training)

    def extra_repr(self):
        return f"p={self.p}, inplace=False"
