"""Layers that learn the size of their input from the first one they see."""

from .module import Module
from .parameter import Uninitialized

__all__ = ["LazyModule"]


class LazyModule(Module):
    """A layer whose parameters have no shape before its first call.

    `infer(input)` then gives them one, and the layer becomes one of the class `becomes`. The parameters stay the same objects,
    so an optimizer may be given them before.

    >>> import minidl
    >>> layer = minidl.nn.LazyLinear(2)
    >>> isinstance(layer, LazyModule), layer.has_uninitialized_params()
    (True, True)
    >>> y = layer(minidl.ones(1, 3))
    >>> layer, layer.weight.shape
    (Linear(in_features=3, out_features=2, bias=True), (2, 3))
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
