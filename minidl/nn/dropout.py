"""Dropout."""

from . import functional as F
from .functional.basic import check_probability
from .module import Module

__all__ = ["AlphaDropout", "Dropout"]


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
        self.p, self.inplace = p, inplace

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class AlphaDropout(Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of SELU: `functional.alpha_dropout`.

    >>> import minidl
    >>> minidl.nn.AlphaDropout(0.5).eval()(minidl.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training, self.inplace)
