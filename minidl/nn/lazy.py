"""Layers that learn the size of their input from the first one they see."""

from .module import Module
from .parameter import Uninitialized

__all__ = ["LazyModule"]


class LazyModule(Module):
    """A layer with parameters of unknown shape. At its first call `infer(input)` gives them one; it is then a `becomes`.

    The parameters stay the same objects, so an optimizer may be given them before.
    """

    becomes = None  # the class of the layer once its sizes are known

    def infer(self, input):
        """Materializes the parameters, and gives them their first values, from the shape of an input."""
        raise NotImplementedError(f"{type(self).__name__}: write an infer(self, input) method")

    def __call__(self, *inputs, **options):
        self.infer(inputs[0])
        self.__class__ = self.becomes
        return self(*inputs, **options)

    def has_uninitialized_params(self):
        """Whether a parameter is still without a shape (load_state_dict gives them one too)."""
        return any(isinstance(param, Uninitialized) for param in self._parameters.values())
