"""Pooling layers. They have no parameters and treat each channel alike."""

from ..tensors.arguments import as_int, as_ints
from . import functional as F
from .module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxUnpool2d",
]


class _MaxPool(Module):
    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__()
        self.kernel_size, self.stride = as_ints(kernel_size), as_ints(kernel_size if stride is None else stride)
        self.padding, self.dilation = as_ints(padding), as_ints(dilation)
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def options(self):
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices

    def extra_repr(self):
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """F.max_pool1d: (N, C, L) → (N, C, OL)

    >>> import minidl
    >>> minidl.nn.MaxPool1d(2)(minidl.ones(1, 2, 6)).shape
    (1, 2, 3)
    """

    def forward(self, input):
        return F.max_pool1d(input, *self.options())


class MaxPool2d(_MaxPool):
    """F.max_pool2d: (N, C, H, W) → (N, C, OH, OW)

    >>> import minidl
    >>> minidl.nn.MaxPool2d(3, stride=2, padding=1)(minidl.ones(1, 2, 8, 8)).shape
    (1, 2, 4, 4)
    """

    def forward(self, input):
        return F.max_pool2d(input, *self.options())


class AvgPool1d(Module):
    """F.avg_pool1d: (N, C, L) → (N, C, OL)

    >>> import minidl
    >>> minidl.nn.AvgPool1d(2)(minidl.ones(1, 2, 6)).shape
    (1, 2, 3)
    """

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__()
        self.kernel_size, self.stride, self.padding = (
            (value,) if isinstance(value, int) else value
            for value in map(as_ints, (kernel_size, kernel_size if stride is None else stride, padding))
        )
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input):
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """F.avg_pool2d: (N, C, H, W) → (N, C, OH, OW)

    >>> import minidl
    >>> minidl.nn.AvgPool2d(2)
    AvgPool2d(kernel_size=2, stride=2, padding=0)
    """

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        super().__init__()
        self.kernel_size, self.stride = as_ints(kernel_size), as_ints(kernel_size if stride is None else stride)
        self.padding, self.divisor_override = as_ints(padding), as_int(divisor_override)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input):
        options = self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override
        return F.avg_pool2d(input, *options)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AdaptiveAvgPool(Module):
    def __init__(self, output_size):
        super().__init__()
        self.output_size = as_ints(output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """F.adaptive_avg_pool1d: (N, C, L) → (N, C, output_size)

    >>> import minidl
    >>> minidl.nn.AdaptiveAvgPool1d(3)(minidl.ones(1, 2, 7)).shape
    (1, 2, 3)
    """

    def forward(self, input):
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """F.adaptive_avg_pool2d: (N, C, H, W) → (N, C, *output_size); 1 is global average pooling.

    >>> import minidl
    >>> minidl.nn.AdaptiveAvgPool2d((1, 1))(minidl.ones(4, 10, 5, 5)).shape
    (4, 10, 1, 1)
    """

    def forward(self, input):
        return F.adaptive_avg_pool2d(input, self.output_size)


class _AdaptiveMaxPool(Module):
    def __init__(self, output_size, return_indices=False):
        super().__init__()
        self.output_size, self.return_indices = as_ints(output_size), return_indices

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """F.adaptive_max_pool1d: (N, C, L) → (N, C, output_size)

    >>> import minidl
    >>> minidl.nn.AdaptiveMaxPool1d(3)(minidl.ones(1, 2, 7)).shape
    (1, 2, 3)
    """

    def forward(self, input):
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """F.adaptive_max_pool2d: (N, C, H, W) → (N, C, *output_size); 1 is global max pooling.

    >>> import minidl
    >>> minidl.nn.AdaptiveMaxPool2d((None, 2))(minidl.ones(1, 2, 5, 7)).shape
    (1, 2, 5, 2)
    """

    def forward(self, input):
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class MaxUnpool2d(Module):
    """F.max_unpool2d: the maxima back to where MaxPool2d(…, return_indices=True) found them, 0 elsewhere.

    >>> import minidl
    >>> y, where = minidl.nn.MaxPool2d(2, return_indices=True)(minidl.ones(1, 4, 4))
    >>> minidl.nn.MaxUnpool2d(2)(y, where).shape
    (1, 4, 4)
    """

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        self.kernel_size, self.stride, self.padding = (
            (value, value) if isinstance(value, int) else value
            for value in map(as_ints, (kernel_size, kernel_size if stride is None else stride, padding))
        )

    def forward(self, input, indices, output_size=None):
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
