"""How arrays become text: the strings PyTorch prints, with minidl's name in them.

    >>> print(format_tensor(np.array([[1.5, -2], [0, 1e4]], np.float32)))
    tensor([[ 1.5000e+00, -2.0000e+00],
            [ 0.0000e+00,  1.0000e+04]])

One format serves all elements of a tensor, chosen by the nonzero finite ones: whole numbers print as `2.`, a spread of
magnitudes above 1000 in scientific notation, anything else with four decimals; the longest sets the column's width.
(NumPy's array2string chooses its formats, and breaks its lines, by other rules.)
"""

import math
from types import SimpleNamespace

import numpy as np

_options = SimpleNamespace(precision=4, threshold=1000, edgeitems=3, linewidth=80, sci_mode=None)
_default = SimpleNamespace(dtype=np.dtype(np.float32))  # of floating-point numbers: it is not named
_PROFILES = {"default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80)}


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """Change how tensors print: `torch.set_printoptions`.

    precision: digits after the point. threshold: more elements than this are summarized, with `edgeitems` of them shown
    at either end of each axis. linewidth: characters per line. profile: default, short or full, sets these four first.
    sci_mode: scientific notation or not; None, the default of every call, lets the values decide.

    >>> set_printoptions(precision=2)
    >>> print(format_tensor(np.float32([1.12345])))
    tensor([1.12])
    >>> set_printoptions(profile="default")
    >>> print(format_tensor(np.float32([1.12345])))
    tensor([1.1235])
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions: profile must be one of {', '.join(_PROFILES)}, got {profile!r}")
        _options.precision, _options.threshold, _options.edgeitems, _options.linewidth = _PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        wanted = (int, float) if name == "threshold" else int
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool) or value < 0):
            raise ValueError(f"set_printoptions: {name} must be an integer of 0 or more, got {value!r}")
    if sci_mode not in (None, True, False):
        raise ValueError(f"set_printoptions: sci_mode must be True, False or None, got {sci_mode!r}")
    for name, value in given.items():
        if value is not None:
            setattr(_options, name, value)
    _options.sci_mode = sci_mode


def set_default_dtype(dtype):
    """The dtype of floating-point numbers that is not named."""
    _default.dtype = dtype


def format_tensor(array, *, prefix="tensor(", suffix_parts=()):
    """The text of an array between `prefix` and ")", continuation lines indented to the prefix's width.

    The dtype is named where the digits do not tell it: not for float32, int64 and bool, but for all the others, and for
    every empty array that is not float32. `suffix_parts` follow it, each on a new line where the line is full.

    >>> print(format_tensor(np.zeros((0, 3)), suffix_parts=("requires_grad=True",)))
    tensor([], size=(0, 3), dtype=minidl.float64, requires_grad=True)
    """
    array, indent, suffixes = np.asarray(array), len(prefix), []
    if array.size == 0:
        text = "[]"
        if array.ndim != 1:
            suffixes.append(f"size={array.shape}")
        if array.dtype not in (_default.dtype, np.result_type(_default.dtype, np.complex64)):
            suffixes.append(f"dtype=minidl.{array.dtype}")
    else:
        summarize = array.size > _options.threshold
        visible = array[np.ix_(*map(_ends, array.shape))] if summarize else array
        text = _nested(array, indent, summarize, *_format_for(visible))
        if not _options.edgeitems:
            suffixes.append(f"size={array.shape}")
        if array.dtype not in (_default.dtype, np.result_type(_default.dtype, np.complex64), np.int64, np.bool_):
            suffixes.append(f"dtype=minidl.{array.dtype}")
    text = prefix + text
    length = len(text) - text.rfind("\n") + 1  # of the last line; PyTorch counts two too many, and so do we
    for suffix in [*suffixes, *suffix_parts]:
        if length + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            length = indent + len(suffix)
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text + ")"


def _format_for(array):
    """How to write one element, in a column, and the width of this column."""
    if array.dtype.kind == "c":  # each part has a format of its own
        (real, width), (imaginary, more) = _format_for(array.real), _format_for(array.imag)
        return lambda z: real(z.real) + _signed(imaginary(z.imag).strip()) + "j", width + more + 1
    if array.dtype.kind != "f":
        show, deciding = str, array.reshape(-1)
    else:
        deciding = array[np.isfinite(array) & (array != 0)]
        scientific = False
        if deciding.size:
            sizes = np.abs(deciding)
            smallest, largest = float(sizes.min()), float(sizes.max())  # Python floats: the ratio may be huge
            automatic = largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4
            scientific = automatic if _options.sci_mode is None else _options.sci_mode
        if scientific:
            show = f"{{:.{_options.precision}e}}".format
        elif (deciding == np.ceil(deciding)).all():
            show = _whole
        else:
            show = f"{{:.{_options.precision}f}}".format
    width = max((len(show(value)) for value in deciding.tolist()), default=1)
    return lambda value: show(value).rjust(width), width


def _signed(text):
    return text if text[0] == "-" else "+" + text


def _whole(value):
    return f"{value:.0f}." if math.isfinite(value) else str(value)


def _nested(array, indent, summarize, show, width):
    if array.ndim == 0:
        return show(array.item())
    cut = summarize and len(array) > 2 * _options.edgeitems
    shown = array[_ends(len(array))] if cut else array
    if array.ndim == 1:
        parts = [show(value) for value in shown.tolist()]
    else:
        parts = [_nested(row, indent + 1, summarize, show, width) for row in shown]
    if cut:
        parts.insert(_options.edgeitems, " ..." if array.ndim == 1 and parts else "...")
    if array.ndim == 1:
        per_line = max(1, (_options.linewidth - indent) // (width + 2))
        parts = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
    return "[" + ("," + "\n" * max(1, array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _ends(length):
    edge = _options.edgeitems
    return np.r_[:length] if length <= 2 * edge else np.r_[:edge, length - edge : length]
