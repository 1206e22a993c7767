"""Convolutional layers, their transposes, and those that take their channels from the first input."""

import math

from ..tensors.arguments import as_int, as_ints, expect_tensors
from ..tensors.creation import empty
from . import functional as F, init
from .functional.conv import as_tuple
from .lazy import LazyModule
from .module import Module
from .parameter import Parameter, UninitializedParameter

__all__ = [
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
]


class _Conv(Module):
    """What all of them share. A weight is (O, C/groups, *kernel), where `transposed` (C, O/groups, *kernel)."""

    dims = 2
    transposed = False

    def __init__(
        self, channels, kernel_size, stride, padding, dilation, output_padding, groups, bias, padding_mode, device, dtype
    ):
        super().__init__()
        name, (self.in_channels, self.out_channels) = type(self).__name__, as_ints(channels)
        self.kernel_size = as_tuple(name, "kernel_size", kernel_size, self.dims, 1)
        self.stride = as_tuple(name, "stride", stride, self.dims, 1)
        self.padding = padding if isinstance(padding, str) else as_tuple(name, "padding", padding, self.dims, 0)
        self.dilation = as_tuple(name, "dilation", dilation, self.dims, 1)
        self.output_padding = as_tuple(name, "output_padding", output_padding, self.dims, 0)
        self.groups, self.padding_mode = as_int(groups), padding_mode
        self._check_options()
        self.weight = self._parameter(self._weight_shape(), device, dtype)
        self.bias = self._parameter((self.out_channels,), device, dtype) if bias else None
        self.reset_parameters()

    def _check_options(self):
        name = type(self).__name__
        for option in ("in_channels", "out_channels", "groups"):
            value = getattr(self, option)
            unknown = option == "in_channels" and isinstance(self, LazyModule)
            if type(value) is not int or (value < 1 and not unknown):
                raise ValueError(f"{name}: {option} must be an integer of 1 or more, got {value!r}")
        self._check_groups()
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        if self.padding_mode not in modes:
            raise ValueError(f"{name}: padding_mode must be one of {modes}, got {self.padding_mode!r}")
        if isinstance(self.padding, str):
            if self.transposed or self.padding not in ("same", "valid"):
                words = "" if self.transposed else ", 'same' or 'valid'"
                raise ValueError(f"{name}: padding must be integers{words}, got {self.padding!r}")
            if self.padding == "same" and self.stride != (1,) * self.dims:
                raise ValueError(f"{name}: padding='same' is not supported for strided convolutions, got stride {self.stride}")

    def _check_groups(self):
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"{type(self).__name__}: {self.in_channels} input and {self.out_channels} output channels must be multiples of "
                f"groups={self.groups}"
            )

    def _weight_shape(self):
        first, second = (self.in_channels, self.out_channels)[:: 1 if self.transposed else -1]
        return (first, second // self.groups, *self.kernel_size)

    def _parameter(self, shape, device, dtype):
        return Parameter(empty(shape, device=device, dtype=dtype))

    def reset_parameters(self):
        """Draws the first values (again): uniform on ±1/√(weights that meet in an output)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # with this slope the bound is 1/√fan_in
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._border(), self.padding_mode), 0
        return self.convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _border(self):
        """The padding as F.pad takes it: two numbers for each axis, the last axis first."""
        if self.padding == "same":
            total = [r * (k - 1) for k, r in zip(self.kernel_size, self.dilation, strict=True)]
            return [side for n in total[::-1] for side in (n // 2, n - n // 2)]
        padding = (0,) * self.dims if self.padding == "valid" else self.padding
        return [side for n in padding[::-1] for side in (n, n)]

    def extra_repr(self):
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        usual = {"padding": (0,) * self.dims, "dilation": (1,) * self.dims, "output_padding": (0,) * self.dims, "groups": 1}
        parts += [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class _ConvTranspose(_Conv):
    transposed = True

    def forward(self, input, output_size=None):
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        return self.convolve(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, input, output_size):
        """What brings the output to a size (H, W), or (N, C, H, W), that is within reach."""
        d, name = self.dims, type(self).__name__
        size = as_tuple(name, "output_size", tuple(output_size)[-d:], d, 0)
        options = zip(input.shape[-d:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        least = tuple((n - 1) * s - 2 * p + r * (k - 1) + 1 for n, s, p, r, k in options)
        extra = tuple(n - m for n, m in zip(size, least, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(m + s - 1 for m, s in zip(least, self.stride, strict=True))
            raise ValueError(f"{name}: from input {input.shape} come outputs of size {least} to {most}, not {size}")
        return extra


class Conv1d(_Conv):
    """Cross-correlation of signals with `out_channels` kernels: (N, C, L) → (N, O, L'), and without N too.

    The options are Conv2d's.

    >>> import minidl
    >>> minidl.nn.Conv1d(3, 6, 5, padding=2)(minidl.ones(2, 3, 10)).shape
    (2, 6, 10)
    """

    dims, convolve = 1, staticmethod(F.conv1d)

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        channels = in_channels, out_channels
        super().__init__(channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device, dtype)


class Conv2d(_Conv):
    """Cross-correlation of images with `out_channels` kernels: (N, C, H, W) → (N, O, OH, OW), and without N too.

    The weight has shape (O, C/groups, KH, KW), the bias (O); both start uniform on ±1/√(C/groups·KH·KW). See F.conv2d for
    stride, padding, dilation, groups and the output's size. padding_mode: what the padding shows, "zeros", or with "reflect",
    "replicate" or "circular" (see F.pad) the input itself.

    >>> import minidl
    >>> minidl.nn.Conv2d(3, 6, kernel_size=5, stride=2, padding=2)(minidl.ones(2, 3, 8, 8)).shape
    (2, 6, 4, 4)
    """

    dims, convolve = 2, staticmethod(F.conv2d)

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        channels = in_channels, out_channels
        super().__init__(channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device, dtype)


class ConvTranspose1d(_ConvTranspose):
    """Spreads each element over a window: (N, C, L) → (N, O, (L − 1)·stride − 2·padding + K + output_padding)

    >>> import minidl
    >>> minidl.nn.ConvTranspose1d(3, 6, 4, stride=2, padding=1)(minidl.ones(2, 3, 5)).shape
    (2, 6, 10)
    """

    dims, convolve = 1, staticmethod(F.conv_transpose1d)

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        channels = in_channels, out_channels
        super().__init__(
            channels, kernel_size, stride, padding, dilation, output_padding, groups, bias, padding_mode, device, dtype
        )


class ConvTranspose2d(_ConvTranspose):
    """Spreads each pixel over a window: (N, C, H, W) → (N, O, OH, OW), the map of Conv2d turned round.

    The weight has shape (C, O/groups, KH, KW). See F.conv_transpose2d for the options. A stride takes several sizes to one:
    output_padding, or output_size at the call, says which is meant.

    >>> import minidl
    >>> layer, x = minidl.nn.ConvTranspose2d(3, 6, 3, stride=2, padding=1), minidl.ones(2, 3, 4, 4)
    >>> layer(x).shape, layer(x, output_size=(8, 8)).shape
    ((2, 6, 7, 7), (2, 6, 8, 8))
    """

    dims, convolve = 2, staticmethod(F.conv_transpose2d)

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        channels = in_channels, out_channels
        super().__init__(
            channels, kernel_size, stride, padding, dilation, output_padding, groups, bias, padding_mode, device, dtype
        )


class _LazyConv(LazyModule):
    def _parameter(self, shape, device, dtype):
        return UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self):
        """Draws the first values, once there is something to fill."""
        if not self.has_uninitialized_params():
            super().reset_parameters()

    def infer(self, input):
        """Takes in_channels from the input."""
        if self.has_uninitialized_params():
            expect_tensors(type(self).__name__, input=input)
            if input.ndim not in (self.dims + 1, self.dims + 2):
                raise ValueError(
                    f"{type(self).__name__}: expected an input with {self.dims + 1} or {self.dims + 2} axes, got {input.shape}"
                )
            channels = input.shape[-self.dims - 1]
            if not channels:
                raise ValueError(f"{type(self).__name__}: expected an input with channels, got shape {input.shape}")
            self.in_channels = channels
            self._check_groups()
            self.weight.materialize(self._weight_shape())
            if self.bias is not None:
                self.bias.materialize((self.out_channels,))
            self.reset_parameters()
        else:  # load_state_dict came first
            self.in_channels = self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups


class LazyConv1d(_LazyConv, Conv1d):
    """A Conv1d that takes in_channels from its first input, and is then a Conv1d.

    >>> import minidl
    >>> minidl.nn.LazyConv1d(6, 5)(minidl.ones(2, 3, 10)).shape
    (2, 6, 6)
    """

    becomes = Conv1d

    def __init__(
        self,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        super().__init__(0, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype)


class LazyConv2d(_LazyConv, Conv2d):
    """A Conv2d that takes in_channels from its first input, and is then a Conv2d.

    >>> import minidl
    >>> layer = minidl.nn.LazyConv2d(6, kernel_size=5)
    >>> layer(minidl.ones(2, 3, 8, 8)).shape, layer
    ((2, 6, 4, 4), Conv2d(3, 6, kernel_size=(5, 5), stride=(1, 1)))
    """

    becomes = Conv2d

    def __init__(
        self,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        super().__init__(0, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype)


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """A ConvTranspose1d that takes in_channels from its first input, and is then a ConvTranspose1d.

    >>> import minidl
    >>> minidl.nn.LazyConvTranspose1d(6, 4)(minidl.ones(2, 3, 5)).shape
    (2, 6, 8)
    """

    becomes = ConvTranspose1d

    def __init__(
        self,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        super().__init__(
            0, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype
        )


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """A ConvTranspose2d that takes in_channels from its first input, and is then a ConvTranspose2d.

    >>> import minidl
    >>> minidl.nn.LazyConvTranspose2d(6, 4)(minidl.ones(2, 3, 5, 5)).shape
    (2, 6, 8, 8)
    """

    becomes = ConvTranspose2d

    def __init__(
        self,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        super().__init__(
            0, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype
        )
