"""Layers without parameters for images: borders, windows, other sizes, dropout of whole channels."""

from ..tensors.arguments import as_int, as_ints, number
from . import functional as F
from .functional.basic import check_probability
from .module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "ConstantPad1d",
    "ConstantPad2d",
    "Dropout1d",
    "Dropout2d",
    "Fold",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "Unfold",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
    "ZeroPad1d",
    "ZeroPad2d",
]


class _ChannelDropout(Module):
    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        check_probability(type(self).__name__, p)
        self.p, self.inplace = p, inplace

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(_ChannelDropout):
    """Dropout of whole channels of (N, C, L) or (C, L): neighbours are alike, so single elements would hardly be missed.

    >>> import minidl
    >>> minidl.nn.Dropout1d(0.5).eval()(minidl.ones(1, 1, 2))
    tensor([[[1., 1.]]])
    """

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_ChannelDropout):
    """Dropout of whole channels of (N, C, H, W): neighbours are alike, so single pixels would hardly be missed.

    >>> import minidl
    >>> minidl.nn.Dropout2d(0.5).eval()(minidl.ones(1, 1, 1, 2))
    tensor([[[[1., 1.]]]])
    """

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace)


class _Pad(Module):
    """`padding` numbers on each side, or (left, right, top, bottom); numbers below 0 cut off."""

    dims, mode, value = 2, "constant", None

    def __init__(self, padding):
        super().__init__()
        sides = 2 * self.dims
        sizes = as_ints(padding)
        self.padding = sizes if isinstance(sizes, tuple) else (sizes,) * sides
        if len(self.padding) != sides or any(type(n) is not int for n in self.padding):
            raise ValueError(f"{type(self).__name__}: padding must be an integer or {sides} of them, got {padding!r}")

    def forward(self, input):
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self):
        return str(self.padding)


class _ConstantPad(_Pad):
    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A border of one value: padding is a number, or (left, right).

    >>> import minidl
    >>> minidl.nn.ConstantPad1d(1, 5.0)(minidl.ones(1, 2))
    tensor([[5., 1., 1., 5.]])
    """

    dims = 1


class ConstantPad2d(_ConstantPad):
    """A border of one value: padding is a number, or (left, right, top, bottom).

    >>> import minidl
    >>> minidl.nn.ConstantPad2d((1, 0, 1, 0), 5.0)(minidl.ones(1, 1, 1))
    tensor([[[5., 5.],
             [5., 1.]]])
    """


class ZeroPad1d(_Pad):
    """A border of zeros: padding is a number, or (left, right).

    >>> import minidl
    >>> minidl.nn.ZeroPad1d((2, 0))(minidl.ones(1, 2))
    tensor([[0., 0., 1., 1.]])
    """

    dims, value = 1, 0.0


class ZeroPad2d(_Pad):
    """A border of zeros: padding is a number, or (left, right, top, bottom).

    >>> import minidl
    >>> minidl.nn.ZeroPad2d(1)(minidl.ones(2, 3, 4, 4)).shape
    (2, 3, 6, 6)
    """

    value = 0.0


class ReflectionPad1d(_Pad):
    """A border that mirrors the input, its edge once: padding is a number, or (left, right).

    >>> import minidl
    >>> minidl.nn.ReflectionPad1d(2)(minidl.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """A border that mirrors the input, its edge once: padding is a number, or (left, right, top, bottom).

    >>> import minidl
    >>> minidl.nn.ReflectionPad2d(1)(minidl.ones(2, 3, 4, 4)).shape
    (2, 3, 6, 6)
    """

    mode = "reflect"


class ReplicationPad1d(_Pad):
    """A border of the edge's own values: padding is a number, or (left, right).

    >>> import minidl
    >>> minidl.nn.ReplicationPad1d(2)(minidl.tensor([[1.0, 2.0]]))
    tensor([[1., 1., 1., 2., 2., 2.]])
    """

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """A border of the edge's own values: padding is a number, or (left, right, top, bottom).

    >>> import minidl
    >>> minidl.nn.ReplicationPad2d(1)(minidl.ones(2, 3, 4, 4)).shape
    (2, 3, 6, 6)
    """

    mode = "replicate"


class CircularPad1d(_Pad):
    """A border in which the other end goes on: padding is a number, or (left, right).

    >>> import minidl
    >>> minidl.nn.CircularPad1d(1)(minidl.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]])
    """

    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """A border in which the other end goes on: padding is a number, or (left, right, top, bottom).

    >>> import minidl
    >>> minidl.nn.CircularPad2d(1)(minidl.ones(2, 3, 4, 4)).shape
    (2, 3, 6, 6)
    """

    mode = "circular"


class Upsample(Module):
    """Images (N, C, H, W), signals or volumes in another size: see F.interpolate for the modes.

    >>> import minidl
    >>> minidl.nn.Upsample(scale_factor=2)(minidl.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 1., 2., 2.]]])
    """

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
        super().__init__()
        self.size, self.mode, self.align_corners = as_ints(size), mode, align_corners
        factors = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,)
        factors = tuple(None if x is None else number("Upsample", "scale_factor", x) for x in factors)
        self.scale_factor = factors if isinstance(scale_factor, (tuple, list)) else factors[0]
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input):
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor)

    def extra_repr(self):
        how = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{how}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images (N, C, H, W) in another size, pixels repeated.

    >>> import minidl
    >>> minidl.nn.UpsamplingNearest2d(scale_factor=2)(minidl.ones(1, 1, 2, 2)).shape
    (1, 1, 4, 4)
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Images (N, C, H, W) in another size, pixels mixed, corners in their places (align_corners=True).

    >>> import minidl
    >>> minidl.nn.UpsamplingBilinear2d(size=(1, 3))(minidl.tensor([[[[1.0, 3.0]]]]))
    tensor([[[[1., 2., 3.]]]])
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(Module):
    """(…, C·r², H, W) → (…, C, H·r, W·r): r² channels become the r×r pixels of a square (Shi et al., 2016).

    >>> import minidl
    >>> minidl.nn.PixelShuffle(2)(minidl.ones(1, 8, 3, 3)).shape
    (1, 2, 6, 6)
    """

    def __init__(self, upscale_factor):
        super().__init__()
        self.upscale_factor = as_int(upscale_factor)

    def forward(self, input):
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self):
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """(…, C, H·r, W·r) → (…, C·r², H, W): what PixelShuffle did, undone.

    >>> import minidl
    >>> minidl.nn.PixelUnshuffle(2)(minidl.ones(1, 2, 6, 6)).shape
    (1, 8, 3, 3)
    """

    def __init__(self, downscale_factor):
        super().__init__()
        self.downscale_factor = as_int(downscale_factor)

    def forward(self, input):
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self):
        return f"downscale_factor={self.downscale_factor}"


class _Windows(Module):
    def __init__(self, kernel_size, dilation, padding, stride):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = map(as_ints, (kernel_size, dilation, padding, stride))

    def extra_repr(self):
        names = ("kernel_size", "dilation", "padding", "stride")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class Unfold(_Windows):
    """Every window as a column: (N, C, H, W) → (N, C·KH·KW, OH·OW)

    >>> import minidl
    >>> minidl.nn.Unfold(3)(minidl.ones(2, 4, 5, 5)).shape
    (2, 36, 9)
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__(kernel_size, dilation, padding, stride)

    def forward(self, input):
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Windows):
    """Puts windows back and adds up what overlaps: (N, C·KH·KW, L) → (N, C, H, W), with (H, W) the output_size.

    >>> import minidl
    >>> minidl.nn.Fold((5, 5), 3)(minidl.ones(2, 36, 9)).shape
    (2, 4, 5, 5)
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = as_ints(output_size)

    def forward(self, input):
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return f"output_size={self.output_size}, {super().extra_repr()}"
