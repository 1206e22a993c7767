"""Where PyTorch has it: `from minidl.distributions.multinomial import Multinomial`, as the book writes."""

from .categorical import Multinomial

__all__ = ["Multinomial"]
