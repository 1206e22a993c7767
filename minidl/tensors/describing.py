"""What a tensor holds, in words and as a picture: the text of `x.describe()`, and what a notebook shows.

    >>> describe(np.array([[0.0, 1.0], [2.0, np.nan]], np.float32), (2, 2), False, False, None)
    shape (2, 2), float32, 16 bytes
    of the finite: min 0, mean 1, max 2, std 1
    zeros 25.0%, NaN 1, inf 0
    requires_grad False

Arrays are read in pieces, so that no copy as large as the array is made.
"""

import base64
import html
import math
import struct
import zlib

import numpy as np

PIECE = 1 << 16  # elements
CELLS = 64  # along each axis of a picture
IMAGES = 8
TEXT = 20_000  # letters
FEW = 8  # elements; of fewer there is no picture


class Description(str):
    """A text of several lines that shows itself as it is."""

    __slots__ = ()

    def __repr__(self):
        return str(self)


def statistics(array):
    """The numbers of an array: min, mean, max and std (divided by n − 1) of the finite elements, and how many are what.

    >>> numbers = statistics(np.array([1, 2, 3, 0]))
    >>> numbers["mean"], round(numbers["std"], 6), numbers["zeros"]
    (1.5, 1.290994, 1)
    """
    found = {"n": array.size, "zeros": 0, "nan": 0, "inf": 0, "finite": 0}
    low, high, total, whole = math.inf, -math.inf, 0.0, array.dtype.kind in "iu"
    with np.errstate(all="ignore"):
        for piece in _pieces(array):
            found["zeros"] += int((piece == 0).sum())
            if piece.dtype.kind == "f":
                nan = int(np.isnan(piece).sum())
                finite = piece[np.isfinite(piece)]
                found["nan"] += nan
                found["inf"] += piece.size - finite.size - nan
                piece = finite
            if piece.size:
                found["finite"] += piece.size
                low, high = min(low, piece.min()), max(high, piece.max())
                total += float(piece.sum(dtype=np.float64))
        n = found["finite"]
        if n:
            mean, squares = total / n, 0.0
            for piece in _pieces(array):
                piece = piece[np.isfinite(piece)] if piece.dtype.kind == "f" else piece
                squares += float(np.square(piece - np.float64(mean)).sum())
            convert = int if whole else float
            found |= {"min": convert(low), "mean": mean, "max": convert(high)}
            found["std"] = math.sqrt(squares / (n - 1)) if n > 1 else math.nan
    return found


def _pieces(array):
    if array.size:
        flags = ["external_loop", "buffered"]
        yield from np.nditer(array, flags, buffersize=PIECE, order="K")


def describe(array, shape, requires_grad, has_grad, made_by):
    """The text. shape: the tensor's, which raises for a parameter without memory; made_by: the operation's name, or None."""
    numbers = statistics(array)
    lines = [f"shape {shape}, {array.dtype}, {array.nbytes:,} bytes"]
    if not array.size:
        lines.append("no elements")
    elif array.dtype.kind == "b":
        true = array.size - numbers["zeros"]
        lines.append(f"True {true:,} of {array.size:,}, {true / array.size:.1%}")
    else:
        if numbers["finite"]:
            told = ", ".join(f"{key} {_number(numbers[key])}" for key in ("min", "mean", "max", "std"))
            lines.append(told if numbers["finite"] == array.size else f"of the finite: {told}")
        zeros = f"zeros {numbers['zeros'] / array.size:.1%}"
        lines.append(f"{zeros}, NaN {numbers['nan']:,}, inf {numbers['inf']:,}" if array.dtype.kind == "f" else zeros)
    graph = f"requires_grad {requires_grad}"
    graph += f", made by {made_by}" if made_by else ", a leaf" if requires_grad else ""
    lines.append(graph + (", has a grad" if has_grad else ", no grad yet" if requires_grad and not made_by else ""))
    return Description("\n".join(lines))


def _number(x):
    return f"{x:,}" if isinstance(x, int) else "undefined" if math.isnan(x) else f"{x:.6g}"


# --- for notebooks


def html_of(array, text, description):
    """The text that print shows, cut if it is very long, a picture where the array is a matrix or images, the description."""
    if len(text) > TEXT:
        text = f"{text[:TEXT]}\n… {len(text) - TEXT:,} letters more; print(x) shows all"
    parts = [f"<pre>{html.escape(text)}</pre>"]
    picture = picture_of(array)
    if picture is not None:
        pixels, legend = picture
        h, w = pixels.shape[:2]
        zoom = max(1, min(12, 256 // max(h, w)))
        data = base64.b64encode(png(pixels)).decode()
        style = "image-rendering:pixelated;border:1px solid #888;max-width:100%"
        alt = html.escape(f"picture of the numbers: {legend}", quote=True)
        parts.append(
            f'<img alt="{alt}" width="{w * zoom}" height="{h * zoom}" style="{style}" src="data:image/png;base64,{data}">'
        )
        parts.append(f"<div><small>{html.escape(legend)}</small></div>")
    parts.append(f'<pre style="opacity:.8;font-size:85%">{html.escape(description)}</pre>')
    return "<div>" + "".join(parts) + "</div>"


def picture_of(array):
    """(pixels, legend) of a matrix or of images of floating-point numbers; None of anything else."""
    if array.dtype.kind != "f" or array.size < FEW:
        return None
    if array.ndim == 2:
        return _heat_map(array)
    if array.ndim in (3, 4) and array.shape[-3] in (1, 3) and min(array.shape[-2:]) >= FEW:
        return _images(array[None] if array.ndim == 3 else array)
    return None


def _means(array):
    """(means of blocks of the last two axes, so that these are at most CELLS long; what the legend says). NaN stays in them."""
    steps, means, counts = [max(1, -(-size // CELLS)) for size in array.shape[-2:]], array, 1
    with np.errstate(all="ignore"):
        for axis, step in zip((-2, -1), steps, strict=True):
            starts = np.arange(0, array.shape[axis], step)
            means = np.add.reduceat(means, starts, axis=axis, dtype=np.float64)
            lengths = np.minimum(step, array.shape[axis] - starts)  # the last block may be cut off
            counts = counts * (lengths[:, None] if axis == -2 else lengths)
        return means / counts, f"; each cell is the mean of {steps[0]} × {steps[1]} numbers" if max(steps) > 1 else ""


def _heat_map(array):
    means, note = _means(array)
    finite = np.isfinite(means)
    top = float(np.abs(means[finite]).max()) if finite.any() else 0.0
    share = np.where(finite, means, 0) / (top or 1.0)
    blue, orange, white = np.array([27, 99, 150.0]), np.array([179, 84, 30.0]), 255.0
    ends = np.where(share[..., None] < 0, blue, orange)
    pixels = _painted(white + (ends - white) * np.sqrt(np.abs(share))[..., None], means)
    legend = f"blue −{top:.3g}, white 0, orange {top:.3g}" if top else "white 0"
    return pixels, legend + _bad(finite) + note


def _images(array):
    shown = array[:IMAGES]
    means, note = _means(shown)
    finite = np.isfinite(means)
    low, high = (float(f(means[finite])) if finite.any() else 0.0 for f in (np.min, np.max))
    grey = (np.where(finite, means, low) - low) / ((high - low) or 1.0) * 255
    rgb = np.broadcast_to(np.moveaxis(grey, 1, -1), (*grey.shape[:1], *grey.shape[2:], 3))
    worst = np.moveaxis(means, 1, -1).sum(-1)
    tiles = [np.pad(_painted(p, w), ((0, 0), (0, 1), (0, 0)), constant_values=128) for p, w in zip(rgb, worst, strict=True)]
    more = f"; the first {IMAGES} of {len(array):,}" if len(array) > IMAGES else ""
    return np.concatenate(tiles, 1)[:, :-1], f"black {low:.3g}, white {high:.3g}" + _bad(finite) + note + more


def _painted(rgb, values):
    pixels = np.rint(rgb).astype(np.uint8)
    pixels[np.isnan(values)] = 200, 0, 200
    pixels[np.isinf(values)] = 0, 160, 0
    return pixels


def _bad(finite):
    return "" if finite.all() else ", magenta NaN, green infinite"


def png(pixels):
    """An (h, w, 3) array of uint8 as a PNG file (the specification, ISO/IEC 15948, sections 5 and 11)."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    h, w = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))  # 0: no filter
    header = struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)  # 8 bits of red, green and blue
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
