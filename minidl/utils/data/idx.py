"""IDX, the file format of MNIST: a header that says type and shape, then the numbers, highest byte first.

    0 0 type ndim | ndim sizes, 4 bytes each | the numbers, last axis fastest

The format has no checksum and no end mark, and many copies are gzipped, so reading it means distrusting it.
"""

import contextlib
import gzip
import math
import os
import zlib

import numpy as np

from ...io.files import open_to_read, write_file

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PIECE = 1 << 18  # bytes read at a time: unpacking the whole at once would hold it in memory twice
_DEFLATE_MOST = 1032  # no byte of a gzip file unpacks to more (258 bytes for 2 bits)


def read_idx(path):
    """The array in an IDX file, plain or gzipped (its first bytes tell, not its name), in the machine's byte order.

    ValueError, naming the file, if it is no IDX file, is damaged, or holds fewer or more bytes than its header says. A header
    that promises more than the file can hold is refused before memory is taken.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "three.gz"
    >>> write_idx(path, np.array([[1, 2, 3]], "int16"))
    >>> read_idx(path)
    array([[1, 2, 3]], dtype=int16)
    """
    with open_to_read("read_idx", path) as (file, size):
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return _read(file, path, size)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(unpacked, path, size * _DEFLATE_MOST, "at most ")
        except (zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"read_idx: {path} is a damaged gzip file ({error}); take another copy of it") from None


def write_idx(path, array):
    """Writes an array as an IDX file, gzipped if the name ends with .gz. TypeError for a dtype that IDX does not have.

    The file appears when it is complete, as with minidl.save: an error leaves what was there before.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels"
    >>> write_idx(path, np.array([7, 2], "uint8"))
    >>> path.read_bytes().hex(" ")
    '00 00 08 01 00 00 00 02 07 02'
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"write_idx: expected an ndarray, got {type(array).__name__}")
    code = next((code for code, name in _TYPES.items() if np.dtype(name) == array.dtype.newbyteorder(">")), None)
    if code is None:
        names = ", ".join(np.dtype(name).name for name in _TYPES.values())
        raise TypeError(f"write_idx: dtype must be one of {names}, got {array.dtype}")
    if not 1 <= array.ndim <= 255 or max(array.shape) >= 2**32:
        raise ValueError(f"write_idx: expected 1 to 255 axes, each shorter than 2**32, got shape {array.shape}")
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    numbers = array.astype(_TYPES[code]).tobytes()

    def write(file):
        if os.fspath(path).endswith(".gz"):
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:  # the same array gives the same bytes
                packed.write(header)
                packed.write(numbers)
        else:
            file.write(header)
            file.write(numbers)

    write_file("write_idx", path, write)


def _read(file, path, size, about=""):
    start = _take(file, path, bytearray(4), "its first 4 bytes")
    if start[:2] != b"\0\0" or start[2] not in _TYPES or not 1 <= start[3] <= 64:
        raise ValueError(
            f"read_idx: {path} is not an IDX file: it starts with the bytes {bytes(start)}, not with 0, 0, "
            f"one of the types {', '.join(map(hex, _TYPES))}, and 1 to 64 for the number of axes"
        )
    sizes = _take(file, path, bytearray(4 * start[3]), f"the sizes of its {start[3]} axes")
    dtype, shape = np.dtype(_TYPES[start[2]]), tuple(np.frombuffer(sizes, ">u4").tolist())
    promised = math.prod(shape) * dtype.itemsize
    what = f"{promised} bytes of data, as its header says ({'×'.join(map(str, shape))} of {dtype.name})"
    room = size - len(start) - len(sizes)
    if promised > room:
        raise ValueError(f"read_idx: {path} is cut off: expected {what}; found {about}{room}")
    try:
        array = np.empty(shape, dtype)
    except ValueError:  # no elements, but sizes that NumPy cannot multiply
        raise ValueError(f"read_idx: {path} is no array that fits in memory: {what}") from None
    except MemoryError:
        if about and (found := _count(file)) < promised:  # a gzip file: how much it has is known when it is unpacked
            raise ValueError(f"read_idx: {path} is cut off: expected {what}; found {found}") from None
        raise
    _take(file, path, array.reshape(-1).view(np.uint8) if array.size else bytearray(), what)
    try:
        if file.read(1):  # at the end of a gzip file this compares its checksum
            raise ValueError(f"read_idx: {path} holds more than the {what}")
    except EOFError:
        raise ValueError(f"read_idx: {path} is cut off: the checksum at the end of the gzip file is missing") from None
    return array if array.dtype.isnative else array.byteswap(inplace=True).view(dtype.newbyteorder("="))


def _take(file, path, buffer, what):
    """The buffer, filled from the file."""
    view, found = memoryview(buffer), 0
    while found < len(view):
        try:
            read = file.readinto1(view[found : found + _PIECE])
        except EOFError:  # a gzip file without its end
            read = 0
        if not read:
            raise ValueError(f"read_idx: {path} is cut off: expected {what}; found {found}")
        found += read
    return buffer


def _count(file):
    """How many bytes there are from here to the end."""
    count = 0
    with contextlib.suppress(EOFError):  # a gzip file without its end
        while piece := file.read(_PIECE):
            count += len(piece)
    return count
