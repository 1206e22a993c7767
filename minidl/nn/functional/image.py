"""Images enlarged, cut, taken to pieces and put together; dropout of whole channels."""

import functools
import math

import numpy as np

from ... import ops
from ...graph.watch import repeatable
from ...ops.conv import blocks
from ...tensors.arguments import as_int, as_ints, expect_memory, expect_tensors
from ...tensors.in_place import twin
from ...tensors.record import apply, unary
from ...tensors.tensor import Tensor
from .basic import check_probability, dropout_mask
from .conv import as_tuple
from .resampling import cubic, filtered, mixed, windows

__all__ = ["dropout1d", "dropout2d", "fold", "interpolate", "pad", "pixel_shuffle", "pixel_unshuffle", "unfold"]

_SMOOTH = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}  # how many axes each takes


def pad(input, pad, mode="constant", value=None):
    """A border around the last axes: pad is (left, right, top, bottom, …), the last axis first; numbers below 0 cut off.

    mode: "constant" (value, by default 0; for any axes), or the input's own elements: "reflect" (c b|a b c|b a), "replicate"
    (a a|a b c|c c) or "circular" (b c|a b c|a b). These three leave the first one or two axes as they are.

    >>> import minidl
    >>> pad(minidl.tensor([[1, 2, 3]]), (2, 1), "reflect")
    tensor([[3, 2, 1, 2, 3, 2]])
    """
    if not isinstance(input, Tensor):
        expect_tensors("pad", input=input)
    pad = as_ints(pad)
    if not isinstance(pad, tuple) or len(pad) % 2 or not {*map(type, pad)} <= {int}:
        raise ValueError(f"pad: expected two integers for each axis, (left, right, top, bottom, …), got {pad!r}")
    if value is not None and not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"pad: value must be a number, got {value!r}")
    shape = input.array.shape
    widths, grown = _borders(pad, shape, str(mode))
    expect_memory("pad", grown, input.array.dtype)
    if mode == "constant":
        return unary(ops.Pad(widths, 0 if value is None else value), input)
    if mode not in ("reflect", "replicate", "circular"):
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    if value is not None:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value!r}")
    if not 1 <= len(widths) <= 3 or len(shape) - len(widths) not in (1, 2):
        raise ValueError(f"pad: mode {mode!r} pads all but the first one or two axes; {pad} does not fit input {shape}")
    sizes = shape[len(shape) - len(widths) :]
    if mode == "circular" and min(pad) < 0:  # PyTorch cuts off first, and goes round what is left
        cuts = tuple((min(before, 0), min(after, 0)) for before, after in widths)
        input, widths = apply(ops.Pad(cuts, 0), input), tuple((max(before, 0), max(after, 0)) for before, after in widths)
        sizes = input.shape[len(shape) - len(widths) :]
    for n, (before, after) in zip(sizes, widths, strict=True):
        most = {"reflect": n - 1, "replicate": math.inf if n else 0, "circular": n}[mode]
        if max(before, after) > most:
            raise ValueError(f"pad: mode {mode!r} can add {most} to an axis of {n}, and {pad} asks for more (input {shape})")
    return apply(ops.PadFromInput(mode, widths), input)


@functools.lru_cache(1024)
def _borders(pad, shape, mode):
    """What `pad` puts (before, after) each of the last axes, in their order, and the shape that comes of it."""
    widths = tuple(zip(pad[::2], pad[1::2], strict=True))[::-1]
    lead = len(shape) - len(widths)
    if lead < 0:
        raise ValueError(f"pad: {len(pad)} numbers are for {len(widths)} axes, and input {shape} has {len(shape)}")
    least = 0 if mode == "constant" else 1
    for n, (before, after) in zip(shape[lead:], widths, strict=True):
        if n + before + after < least or min(before, after) < -n:
            raise ValueError(f"pad: {pad} cuts too much off an axis of {n}, in mode {mode!r} (input {shape})")
    return widths, (*shape[:lead], *(n + sum(pair) for n, pair in zip(shape[lead:], widths, strict=True)))


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """Every window as a column: (N, C, H, W) → (N, C·KH·KW, OH·OW), and without N too. fold is its adjoint.

    >>> import minidl
    >>> unfold(minidl.arange(6.0).reshape(1, 2, 3), 2)
    tensor([[0., 1.],
            [1., 2.],
            [3., 4.],
            [4., 5.]])
    """
    expect_tensors("unfold", input=input)
    geometry = _geometry("unfold", kernel_size, dilation, padding, stride)
    shape = input.shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise ValueError(f"unfold: expected an input (N, C, H, W) or (C, H, W), only the batch empty, got shape {shape}")
    count = blocks(shape[-2:], *geometry)
    if min(count) < 1:
        raise ValueError(
            f"unfold: a kernel of {geometry[0]} has {count} places in input {shape} (dilation, padding, stride: "
            f"{geometry[1:]}); expected 1 or more"
        )
    y = apply(ops.Unfold(*geometry), _batched(input, 4))
    return _single(y) if len(shape) == 3 else y


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Puts windows back and adds up what overlaps: (N, C·KH·KW, L) → (N, C, H, W) = output_size, and without N too.

    >>> import minidl
    >>> x = minidl.ones(1, 1, 3, 3)
    >>> fold(unfold(x, 2), (3, 3), 2)
    tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    expect_tensors("fold", input=input)
    size, geometry = (
        as_tuple("fold", "output_size", output_size, 2, 1),
        _geometry("fold", kernel_size, dilation, padding, stride),
    )
    shape, (kh, kw) = input.shape, geometry[0]
    if len(shape) not in (2, 3) or 0 in shape[-2:] or shape[-2] % (kh * kw):
        raise ValueError(f"fold: expected an input (N, C·{kh * kw}, L) or (C·{kh * kw}, L), got shape {shape}")
    count = blocks(size, *geometry)
    if min(count) < 1 or count[0] * count[1] != shape[-1]:
        raise ValueError(
            f"fold: a kernel of {geometry[0]} has {count[0]}·{count[1]} places in {size} (dilation, padding, stride: "
            f"{geometry[1:]}), input {shape} has {shape[-1]} columns on its last axis"
        )
    y = apply(ops.Fold(size, *geometry), _batched(input, 3))
    return _single(y) if len(shape) == 2 else y


def interpolate(
    input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False
):
    """Images (N, C, H, W), and signals (N, C, L) or volumes (N, C, D, H, W), in another size.

    size or scale_factor: a number for all axes after C, or one for each; a factor's size is rounded down.
    mode: "nearest"; "nearest-exact" (pixels have centres); "linear" (N, C, L), "bilinear" (N, C, H, W), "trilinear" (five
    axes): a mean of the two nearest along each axis; "bicubic" (N, C, H, W): a cubic through four; "area": the means of
    adaptive pooling. antialias: "bilinear" and "bicubic" made smaller take the mean of all that a pixel stands for.
    align_corners: the first and last elements keep their places; else pixels are squares, and corners of the images meet.
    recompute_scale_factor: scale by the sizes' ratio, not by scale_factor.

    >>> import minidl
    >>> interpolate(minidl.tensor([[[0.0, 4.0]]]), scale_factor=2, mode="linear")
    tensor([[[0., 1., 3., 4.]]])
    """
    expect_tensors("interpolate", input=input)
    if mode == "lanczos":
        raise NotImplementedError("interpolate: mode 'lanczos' is not supported; use 'bicubic'")
    if mode not in ("nearest", "nearest-exact", "area", *_SMOOTH):
        others = "'nearest', 'nearest-exact', 'area'"
        raise ValueError(f"interpolate: mode must be one of {others} and {str(list(_SMOOTH))[1:-1]}, got {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolate: antialias=True is for the modes 'bilinear' and 'bicubic', not for {mode!r}")
    d = input.ndim - 2
    if d not in (1, 2, 3) or _SMOOTH.get(mode, d) != d:
        wanted = f"{_SMOOTH[mode] + 2}" if mode in _SMOOTH else "3 to 5"
        raise ValueError(f"interpolate: mode {mode!r} takes an input with {wanted} axes, got shape {input.shape}")
    if input.dtype.kind != "f":
        raise TypeError(f"interpolate: expected floating-point numbers, got {input.dtype}; use .float() first")
    if align_corners is not None and mode not in _SMOOTH:
        raise ValueError(f"interpolate: align_corners is for linear modes and 'bicubic', not for {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: give one of size and scale_factor, got {size} and {scale_factor}")
    if size is not None and recompute_scale_factor:
        raise ValueError("interpolate: recompute_scale_factor=True is for a scale_factor, got a size")
    old = input.shape[2:]
    if scale_factor is None:
        new, factors = as_tuple("interpolate", "size", size, d, 1), (None,) * d
    else:
        factors = tuple(map(as_int, scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * d))
        if len(factors) != d:
            raise ValueError(f"interpolate: expected {d} scale factors for input {input.shape}, got {scale_factor}")
        if not all(isinstance(factor, (int, float)) and 0 < factor < math.inf for factor in factors):
            raise ValueError(f"interpolate: scale_factor must be a number above 0, or one for each axis, got {scale_factor!r}")
        new = tuple(math.floor(n * factor) for n, factor in zip(old, factors, strict=True))
        if recompute_scale_factor:
            factors = (None,) * d
    if min(*old, *new) < 1:
        raise ValueError(f"interpolate: input {input.shape} would get size {new}; expected sizes of 1 or more")
    expect_memory("interpolate", (*input.shape[:2], *new), input.dtype, 64 * sum(new))  # the places to read from
    for axis in range(2, 2 + d):
        n, out, factor = old[axis - 2], new[axis - 2], factors[axis - 2]
        if antialias:
            if n != out:  # PyTorch: what keeps its size is left alone, whatever the factor is
                input = mixed(input, axis, *filtered(n, out, factor, align_corners, mode))
        elif mode == "bicubic":
            input = mixed(input, axis, *cubic(n, out, factor, align_corners))
        elif mode == "area":
            input = mixed(input, axis, *windows(n, out))
        else:
            options = _linear(n, out, factor, align_corners) if mode in _SMOOTH else _nearest(n, out, factor, mode)
            input = apply(ops.Interpolate(axis, *options), input)
    return input


def pixel_shuffle(input, upscale_factor):
    """(…, C·r², H, W) → (…, C, H·r, W·r): r² channels become the r×r pixels of a square.

    >>> import minidl
    >>> pixel_shuffle(minidl.arange(4).reshape(4, 1, 1), 2)
    tensor([[[0, 1],
             [2, 3]]])
    """
    expect_tensors("pixel_shuffle", input=input)
    (r,) = as_tuple("pixel_shuffle", "upscale_factor", upscale_factor, 1, 1)
    if input.ndim < 3 or input.shape[-3] % r**2:
        raise ValueError(f"pixel_shuffle: expected an input (…, C·{r * r}, H, W), got shape {input.shape}")
    *lead, c, h, w = input.shape
    k = len(lead)
    parts = input.reshape(*lead, c // r**2, r, r, h, w)
    return parts.permute(*range(k), k, k + 3, k + 1, k + 4, k + 2).reshape(*lead, c // r**2, h * r, w * r)


def pixel_unshuffle(input, downscale_factor):
    """(…, C, H·r, W·r) → (…, C·r², H, W): what pixel_shuffle did, undone.

    >>> import minidl
    >>> pixel_unshuffle(minidl.arange(4).reshape(1, 2, 2), 2).flatten()
    tensor([0, 1, 2, 3])
    """
    expect_tensors("pixel_unshuffle", input=input)
    (r,) = as_tuple("pixel_unshuffle", "downscale_factor", downscale_factor, 1, 1)
    if input.ndim < 3 or input.shape[-2] % r or input.shape[-1] % r:
        raise ValueError(f"pixel_unshuffle: expected an input (…, C, H·{r}, W·{r}), got shape {input.shape}")
    *lead, c, h, w = input.shape
    k = len(lead)
    parts = input.reshape(*lead, c, h // r, r, w // r, r)
    return parts.permute(*range(k), k, k + 2, k + 4, k + 1, k + 3).reshape(*lead, c * r**2, h // r, w // r)


def dropout1d(input, p=0.5, training=True, inplace=False):
    """dropout of whole channels, (N, C, L) or (C, L): each is set to 0 with probability p, or divided by 1 − p.

    >>> import minidl
    >>> dropout1d(minidl.ones(1, 2, 3), p=1.0).sum()
    tensor(0.)
    """
    if inplace:
        return _dropout1d_(input, p, training)
    return _channel_dropout("dropout1d", 1, input, p, training)


_dropout1d_ = twin(dropout1d)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """dropout of whole channels, (N, C, H, W): each is set to 0 with probability p, or divided by 1 − p.

    >>> import minidl
    >>> dropout2d(minidl.ones(1, 2, 3, 3), p=1.0).sum()
    tensor(0.)
    """
    if inplace:
        return _dropout2d_(input, p, training)
    return _channel_dropout("dropout2d", 2, input, p, training)


_dropout2d_ = twin(dropout2d)


def _channel_dropout(name, d, input, p, training):
    check_probability(name, p)
    expect_tensors(name, input=input)
    # PyTorch takes (C, H, W) for (N, C, L), and warns that it will not always: of three axes, dropout1d knows which are which
    if input.ndim != d + 2 and (d == 2 or input.ndim != 2):
        wanted = "(N, C, H, W); for (N, C, L) use dropout1d" if d == 2 else "(N, C, L) or (C, L)"
        raise ValueError(f"{name}: expected an input {wanted}, got shape {input.shape}")
    if not training or p == 0:
        return input
    lead = input.shape[: input.ndim - d]
    return apply(ops.Dropout(dropout_mask(input.array, p, (*lead, *(1,) * d))), input)


def _geometry(name, kernel_size, dilation, padding, stride):
    return (
        as_tuple(name, "kernel_size", kernel_size, 2, 1),
        as_tuple(name, "dilation", dilation, 2, 1),
        as_tuple(name, "padding", padding, 2, 0),
        as_tuple(name, "stride", stride, 2, 1),
    )


def _batched(input, ndim):
    if not isinstance(input, Tensor) or input.dtype.kind != "f":
        raise TypeError(f"expected a floating-point Tensor, got {getattr(input, 'dtype', type(input).__name__)}")
    return input if input.ndim == ndim else apply(ops.Reshape((1, *input.shape)), input)


def _single(y):
    return apply(ops.Reshape(y.shape[1:]), y)


@repeatable(constant=True)
def _nearest(n, out, factor, mode):
    """The element of n that each of `out` shows. In float32, as PyTorch reckons: the places must not differ by rounding."""
    scale = np.float32(n) / np.float32(out) if factor is None else np.float32(1 / factor)
    places = np.arange(out, dtype=np.float32) + np.float32(0.5 if mode == "nearest-exact" else 0.0)
    return (np.minimum(np.floor(places * scale).astype(np.int64), n - 1),)


@repeatable(constant=True)
def _linear(n, out, factor, align_corners):
    """The two elements of n that each of `out` lies between, and the share of the second."""
    places = np.arange(out)
    if align_corners:
        places = places * ((n - 1) / (out - 1) if out > 1 else 0.0)
    else:
        places = np.maximum((places + 0.5) * (n / out if factor is None or n == out else 1 / factor) - 0.5, 0.0)
    low = np.minimum(places.astype(np.int64), n - 1)
    return low, np.minimum(low + 1, n - 1), places - low
