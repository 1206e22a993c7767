"""Images brought into shape, and made to vary: functions of tensors (..., C, H, W), with torchvision's names where it has them.

They are for data, not for layers: the result is a new tensor of the same dtype, without a graph. What is random is drawn for
each image of a batch by itself, from `generator` or minidl's default one; the same seed gives the same images.

Classes with torchvision's names, such as `Normalize(mean, std)`, keep the options and are called with images; `Compose` calls
several, one after the other.
"""

import numpy as np

from ... import kernels, random
from ...nn import Module
from ...tensors.record import number_array, wrap
from ...tensors.tensor import Tensor


def normalize(x, mean, std):
    """(x - mean) / std, with a number for all channels or C of them.

    >>> import minidl
    >>> normalize(minidl.tensor([[[0.0, 1.0]]]), 0.5, 0.25)
    tensor([[[-2.,  2.]]])
    """
    array = _images("normalize", x)
    if array.dtype.kind != "f":
        raise TypeError(f"normalize: expected a floating-point tensor, got {array.dtype}")
    mean, std = (_per_channel(name, value, array) for name, value in {"mean": mean, "std": std}.items())
    if not (std > 0).all():
        raise ValueError(f"normalize: std must be positive, got {std.ravel().tolist()}")
    with np.errstate(all="ignore"):  # infinities are results, as in the operations
        result = np.subtract(array, mean, order="C")
        result /= std
    return wrap(result)


def pad(x, padding, fill=0):
    """Adds rows and columns of `fill`. padding: one number for all sides, (left and right, top and bottom), or (left, top,
    right, bottom), as in torchvision.

    >>> import minidl
    >>> pad(minidl.ones(1, 1, 1), (2, 0, 0, 1))
    tensor([[[0., 0., 1.],
             [0., 0., 0.]]])
    """
    return wrap(_padded("pad", _images("pad", x), padding, fill))


def random_crop(x, size, padding=0, fill=0, generator=None):
    """A part of `size` (h, w), or size×size, of each image, after padding as in `pad`: every place is as likely.

    >>> import minidl
    >>> random_crop(minidl.rand(8, 1, 28, 28), 28, padding=2).shape
    (8, 1, 28, 28)
    """
    array, (h, w) = _padded("random_crop", _images("random_crop", x), padding, fill), _pair("random_crop", size)
    return wrap(_crops("random_crop", array, h, w, generator))


def random_shift(x, limit, fill=0, generator=None):
    """Each image moved by -limit to limit rows and as many columns; `fill` comes in.

    >>> import minidl
    >>> random_shift(minidl.ones(8, 1, 5, 5), 2).sum() < 8 * 25
    tensor(True)
    """
    array = _images("random_shift", x)
    padded = _padded("random_shift", array, limit, fill)
    return wrap(_crops("random_shift", padded, *array.shape[-2:], generator))


def shift(x, dy, dx, fill=0):
    """The images moved down by dy rows and right by dx columns (negative: up and left); what leaves is lost, `fill` comes in.

    >>> import minidl
    >>> shift(minidl.tensor([[[1, 2], [3, 4]]]), 1, 0)
    tensor([[[0, 0],
             [1, 2]]])
    """
    array = _images("shift", x)
    if not all(isinstance(step, (int, np.integer)) for step in (dy, dx)):
        raise TypeError(f"shift: dy and dx must be integers, got {dy!r} and {dx!r}")
    h, w = array.shape[-2:]
    result = np.full(array.shape, _filling("shift", fill, array.dtype))
    dy, dx = max(min(int(dy), h), -h), max(min(int(dx), w), -w)
    result[..., max(dy, 0) : max(h + dy, 0), max(dx, 0) : max(w + dx, 0)] = array[
        ..., max(-dy, 0) : max(h - dy, 0), max(-dx, 0) : max(w - dx, 0)
    ]
    return wrap(result)


def horizontal_flip(x):
    """Left and right exchanged.

    >>> import minidl
    >>> horizontal_flip(minidl.tensor([[[1, 2, 3]]]))
    tensor([[[3, 2, 1]]])
    """
    return wrap(_images("horizontal_flip", x)[..., ::-1].copy())


def random_horizontal_flip(x, p=0.5, generator=None):
    """Left and right exchanged in each image with probability p.

    >>> import minidl
    >>> random_horizontal_flip(minidl.tensor([[[1, 2, 3]]]), p=1.0)
    tensor([[[3, 2, 1]]])
    """
    array = _images("random_horizontal_flip", x)
    if not 0 <= p <= 1:
        raise ValueError(f"random_horizontal_flip: p must lie between 0 and 1, got {p}")
    flipped = random.source(generator).rand(array.shape[:-3]) < p
    result = array.copy()
    result[flipped] = result[flipped][..., ::-1]
    return wrap(result)


def resize(x, size, interpolation="bilinear"):
    """The images at another size (h, w); of a single number, the shorter side gets it and the other keeps its proportion.

    "bilinear": an image made larger takes its values from straight lines between the pixels' centres; made smaller, each
    pixel is a mean over all those that it stands for, near ones counting more. "nearest": each pixel is one of the old.
    The values are those of torchvision's resize, up to rounding; uint8 is computed in float32 and rounded.

    >>> import minidl
    >>> resize(minidl.tensor([[[0.0, 1.0]]]), (1, 4))
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    array, (h, w) = _images("resize", x), _pair("resize", size)
    if 0 in array.shape[-2:]:
        raise ValueError(f"resize: the images have no pixels, their shape is {array.shape}")
    if h == w == size:
        h, w = (h * side // min(array.shape[-2:]) for side in array.shape[-2:])
    if interpolation == "nearest":
        rows, columns = (np.arange(new) * old // new for new, old in zip((h, w), array.shape[-2:], strict=True))
        return wrap(array.take(rows, -2).take(columns, -1))
    if interpolation != "bilinear":
        raise ValueError(f"resize: interpolation must be 'bilinear' or 'nearest', got {interpolation!r}")
    if array.dtype.kind != "f" and array.dtype != np.uint8:
        raise TypeError(f"resize: expected a floating-point or uint8 tensor, got {array.dtype}")
    values = array if array.dtype.kind == "f" else array.astype(np.float32)
    rows, columns = (_hats(new, old, values.dtype) for new, old in zip((h, w), array.shape[-2:], strict=True))
    result = kernels.matmul(kernels.matmul(rows, values), columns.T)
    return wrap(result if array.dtype.kind == "f" else np.rint(result).astype(np.uint8))


def _hats(new, old, dtype):
    """The matrix (new, old) that resizes an axis: row i has a hat function around the place of new pixel i, of sum 1."""
    scale = old / new
    centres = (np.arange(new)[:, None] + 0.5) * scale
    weights = np.maximum(0, 1 - abs(np.arange(old) + 0.5 - centres) / max(scale, 1))
    return (weights / weights.sum(1, keepdims=True)).astype(dtype)


def _images(name, x):
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(x).__name__}")
    if x.requires_grad:
        raise ValueError(f"{name}: transforms have no gradients; pass x.detach()")
    if x.ndim < 3:
        raise ValueError(f"{name}: expected images of shape (..., C, H, W), got {x.shape}")
    return x.array


def _pair(name, size):
    h, w = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size, size)
    if not all(isinstance(n, (int, np.integer)) and n > 0 for n in (h, w)):
        raise ValueError(f"{name}: expected size as a positive integer or a pair of them, got {size!r}")
    return int(h), int(w)


def _per_channel(name, value, array):
    value = np.asarray(value.array if isinstance(value, Tensor) else value)
    if value.dtype.kind not in "fiu":
        raise TypeError(f"normalize: expected numbers as {name}, got {value.dtype}")
    value = number_array("normalize", value, array.dtype)
    channels = array.shape[-3]
    if value.shape not in ((), (1,), (channels,)):
        raise ValueError(f"normalize: expected one {name} or one for each of {channels} channels, got shape {value.shape}")
    return value.reshape(-1, 1, 1)


def _filling(name, fill, dtype):
    if not isinstance(fill, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: fill must be a number, got {type(fill).__name__}")
    return number_array(name, fill, dtype)


def _padded(name, array, padding, fill):
    sides = list(padding) if isinstance(padding, (tuple, list)) else [padding]
    if len(sides) not in (1, 2, 4) or not all(isinstance(n, (int, np.integer)) and n >= 0 for n in sides):
        raise ValueError(f"{name}: expected padding as 1, 2 or 4 integers that are not negative, got {padding!r}")
    left, top, right, bottom = map(int, sides * (4 // len(sides)))
    *outer, h, w = array.shape
    result = np.full((*outer, top + h + bottom, left + w + right), _filling(name, fill, array.dtype))
    result[..., top : top + h, left : left + w] = array
    return result


def _crops(name, array, h, w, generator):
    *batch, channels, height, width = array.shape
    if h > height or w > width:
        raise ValueError(f"{name}: the size {(h, w)} is larger than the images, {(height, width)} with their padding")
    generator = random.source(generator)
    top = generator.randint(0, height - h + 1, batch)
    left = generator.randint(0, width - w + 1, batch)
    images = array.reshape(-1, channels, height, width)
    parts = np.lib.stride_tricks.sliding_window_view(images, (h, w), (-2, -1))
    chosen = parts[np.arange(len(images)), :, top.ravel(), left.ravel()]
    return chosen.reshape(*batch, channels, h, w)


# --- as classes


class Compose:
    """Functions of images, one after the other.

    >>> import minidl
    >>> Compose([ToTensor(), Normalize(0.5, 0.5)])(np.array([[0, 255]], np.uint8))
    tensor([[[-1.,  1.]]])
    """

    def __init__(self, transforms):
        self.transforms = list(transforms)
        for transform in self.transforms:
            if not callable(transform):
                raise TypeError(f"Compose: expected functions of images, got {transform!r}")

    def __call__(self, x):
        for transform in self.transforms:
            x = transform(x)
        return x

    def __repr__(self):
        lines = "".join(f"    {transform!r}\n" for transform in self.transforms)
        return f"Compose(\n{lines})"


class ToTensor:
    """An ndarray (H, W) or (H, W, C), or a picture of PIL's, as a tensor (C, H, W); uint8 as float32 from 0 to 1.

    >>> ToTensor()(np.array([[0, 51, 255]], np.uint8))
    tensor([[[0.0000, 0.2000, 1.0000]]])
    """

    def __call__(self, pic):
        if isinstance(pic, Tensor):
            raise TypeError("ToTensor: expected an ndarray or a picture, got a tensor already; leave ToTensor out")
        array = np.asarray(pic)
        if array.ndim not in (2, 3) or array.dtype.kind not in "fiub":
            raise TypeError(
                f"ToTensor: expected a picture of numbers, (H, W) or (H, W, C), got {type(pic).__name__}, shape {array.shape}"
            )
        array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        if array.dtype == np.uint8:
            return wrap(array.astype(np.float32) / np.float32(255))
        return wrap(array.copy(order="C"))

    def __repr__(self):
        return "ToTensor()"


class _Transform(Module):
    """What keeps the options of a function above, by name, and shows them."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def extra_repr(self):
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


class Normalize(_Transform):
    """(x − mean)/std for each channel: `normalize`.

    >>> import minidl
    >>> Normalize((0.5,), (0.25,))(minidl.tensor([[[0.0, 1.0]]]))
    tensor([[[-2.,  2.]]])
    """

    def __init__(self, mean, std, inplace=False):
        super().__init__(mean=mean, std=std)
        if inplace:
            raise NotImplementedError("Normalize: inplace=True is not supported; write x = Normalize(mean, std)(x)")

    def forward(self, tensor):
        return normalize(tensor, **self.options)


class Resize(_Transform):
    """Images at another size, (h, w), or of one number that of the shorter side: `resize`.

    >>> import minidl
    >>> Resize((2, 8))(minidl.ones(1, 4, 4)).shape
    (1, 2, 8)
    """

    def __init__(self, size, interpolation="bilinear", max_size=None, antialias=True):
        super().__init__(size=size, interpolation=interpolation)
        if max_size is not None:
            raise NotImplementedError("Resize: max_size is not supported; give both sides as size=(h, w)")
        if not antialias and interpolation != "nearest":
            raise NotImplementedError("Resize: antialias=False is not supported; nn.functional.interpolate is without")

    def forward(self, img):
        return resize(img, **self.options)


class Pad(_Transform):
    """Rows and columns of `fill` added: `pad`.

    >>> import minidl
    >>> Pad(1)(minidl.ones(1, 2, 2)).shape
    (1, 4, 4)
    """

    def __init__(self, padding, fill=0, padding_mode="constant"):
        super().__init__(padding=padding, fill=fill)
        _expect_constant("Pad", padding_mode)

    def forward(self, img):
        return pad(img, **self.options)


class CenterCrop(_Transform):
    """The middle part of `size` (h, w), or size×size; what is smaller is padded with 0 first.

    >>> import minidl
    >>> CenterCrop(2)(minidl.arange(16).reshape(1, 4, 4))
    tensor([[[ 5,  6],
             [ 9, 10]]])
    """

    def __init__(self, size):
        super().__init__(size=size)
        _pair("CenterCrop", size)

    def forward(self, img):
        (h, w), array = _pair("CenterCrop", self.options["size"]), _images("CenterCrop", img)
        more = [max(n - m, 0) for n, m in zip((h, w), array.shape[-2:], strict=True)]
        if any(more):  # as torchvision has it, the odd row or column on the right and at the bottom
            down, right = more
            array = _padded("CenterCrop", array, (right // 2, down // 2, (right + 1) // 2, (down + 1) // 2), 0)
        top, left = (round((m - n) / 2) for n, m in zip((h, w), array.shape[-2:], strict=True))
        return wrap(array[..., top : top + h, left : left + w].copy())


class RandomCrop(_Transform):
    """A part of `size` of each image, at random, after padding: `random_crop`.

    >>> import minidl
    >>> RandomCrop(28, padding=2)(minidl.rand(8, 1, 28, 28)).shape
    (8, 1, 28, 28)
    """

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant"):
        super().__init__(size=size, padding=0 if padding is None else padding, fill=fill)
        _expect_constant("RandomCrop", padding_mode)
        if pad_if_needed:
            raise NotImplementedError("RandomCrop: pad_if_needed=True is not supported; give padding")

    def forward(self, img):
        return random_crop(img, **self.options)


class RandomHorizontalFlip(_Transform):
    """Left and right exchanged in each image with probability p: `random_horizontal_flip`.

    >>> import minidl
    >>> RandomHorizontalFlip(1.0)(minidl.tensor([[[1, 2, 3]]]))
    tensor([[[3, 2, 1]]])
    """

    def __init__(self, p=0.5):
        super().__init__(p=p)

    def forward(self, img):
        return random_horizontal_flip(img, **self.options)


def _expect_constant(name, padding_mode):
    if padding_mode != "constant":
        raise NotImplementedError(
            f"{name}: padding_mode must be 'constant', got {padding_mode!r}; nn.functional.pad has others"
        )
