"""Reads and writes .npz files as NumPy's savez writes them: zip files of .npy arrays that are stored as they are.

Python's zipfile compares the checksum of an array only if it is read to its end, inflates without a limit, and fails in a dozen
ways on damage. Here the file is read once, from its first byte to its last. Memory is taken only for bytes that the file has.
Every fault of a file is a ValueError. When a disk is full, zipfile tries to write again when it is deleted; here nothing does.
The layout, from PKWARE's APPNOTE.TXT (section 4) and numpy.lib.format:

    for each array: header, name, extra (the sizes, 8 bytes each) | .npy header, numbers
    for each array: the same header again, with the position of the array in the file
    [if the file is large: an end record with 8 bytes for each number]  the end record
"""

import io
import math
import re
import struct
import zlib

import numpy as np

from ..tensors.dtypes import SUPPORTED

_HERE, _LISTED, _END, _LARGE_END, _LARGE_END_AT = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7"
_COMMON = "5H3L2H"  # version, flags, method, time, date, checksum, size in the file, size, length of the name, of the extra
_CHECKSUM_AT = 14  # bytes behind the beginning of an array
_PIECE = 1 << 18  # bytes at a time: they are still in the processor's cache when their checksum is computed
_TEXT = 0x800  # the flag of a name in UTF-8
_IN_EXTRA = 0xFFFFFFFF  # means: the size or position is in the extra
_SIZES_ID = 1  # of the extra that has it
_MAGIC = b"\x93NUMPY\1\0"
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|])([a-zA-Z])(\d{1,18})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}(?:, \d{1,18})*,?)?)\), \} *\n"
)
_LARGE = (1 << 31) - 1  # a size or place above it is written with 8 bytes
_MANY = 0xFFFF  # arrays: for more, their number is written with 8 bytes
_VERSION, _UNIX, _DATE, _MODE = 45, 3 << 8, 0x21, 0o600 << 16  # as zipfile: the first version with sizes of 8 bytes; 1980-01-01


def write_arrays(file, arrays):
    """Writes the arrays {name: array} as a .npz, with the bytes that np.savez writes.

    file: empty and seekable, because the checksum of an array is known only after its numbers are written.
    """
    place, listed = 0, bytearray()
    for name, array in arrays.items():
        header, numbers, name = _npy_header(array), _bytes(array), f"{name}.npy".encode()
        size = len(header) + len(numbers)
        extra = struct.pack("<2H2Q", _SIZES_ID, 16, size, size)
        start = (_VERSION, 0, 0, 0, _DATE, 0, _IN_EXTRA, _IN_EXTRA, len(name), len(extra))
        file.write(_HERE + struct.pack("<" + _COMMON, *start) + name + extra + header)
        checksum = zlib.crc32(header)
        for i in range(0, len(numbers), _PIECE):
            piece = bytes(numbers[i : i + _PIECE])  # a copy: another thread may change the numbers before they are written
            checksum = zlib.crc32(piece, checksum)
            file.write(piece)
        end = file.tell()
        file.seek(place + _CHECKSUM_AT)
        file.write(struct.pack("<L", checksum))
        file.seek(end)
        large = [size, size] * (size > _LARGE) + [place] * (place > _LARGE)
        extra = struct.pack(f"<2H{len(large)}Q", _SIZES_ID, 8 * len(large), *large) if large else b""
        short = _IN_EXTRA if size > _LARGE else size
        start = (_VERSION | _UNIX, _VERSION, 0, 0, 0, _DATE, checksum, short, short, len(name), len(extra))
        listed += _LISTED + struct.pack("<H" + _COMMON, *start)
        listed += struct.pack("<3H2L", 0, 0, 0, _MODE, _IN_EXTRA if place > _LARGE else place) + name + extra
        place = end
    count, length = len(arrays), len(listed)
    if count > _MANY or place > _LARGE or length > _LARGE:
        listed += _LARGE_END + struct.pack("<Q2H2L4Q", 44, _VERSION, _VERSION, 0, 0, count, count, length, place)
        listed += _LARGE_END_AT + struct.pack("<LQL", 0, place + length, 1)
    shorts = (min(count, 0xFFFF), min(count, 0xFFFF), min(length, _IN_EXTRA), min(place, _IN_EXTRA))
    file.write(listed + _END + struct.pack("<4H2LH", 0, 0, *shorts, 0))


def _npy_header(array):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, np.lib.format.header_data_from_array_1_0(array))
    return out.getvalue()


def _bytes(array):
    """The numbers in the order in which .npy has them: as in memory, if that is one block."""
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        array = array.T
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def read_arrays(file, size):
    """The arrays by name, and how many bytes are left, of a .npz that starts at the current position of the file.

    size: how many bytes the file has from there. ValueError for anything that np.savez does not write.
    """
    source = _Source(file, size)
    arrays, members = {}, []
    while (mark := source.take(4)) == _HERE:
        place = source.place - 4
        member, array = _read_member(source)
        if member[0] in arrays:
            raise ValueError(f"it has two arrays {member[0]!r}")
        arrays[member[0]] = array
        members.append((*member, place))
    if not members:
        found = ""
        if mark[:1] == b"\x80":
            found = ", but as a pickle, which minidl does not open because it could run any code"
        elif size > 8 and source.take(5)[4:] == b"{":  # behind the length of its header, in 8 bytes
            found = ", but as a file of safetensors, which is read as one if its name ends in .safetensors"
        raise ValueError(f"it begins with the bytes {mark!r}, not with {_HERE!r} as a zip file{found}")
    start = source.place - 4
    for member in members:
        if mark != _LISTED or _read_listed(source) != member:
            raise ValueError("the list of its arrays is not that of the arrays in it")
        mark = source.take(4)
    _read_end(source, mark, len(members), start)
    return arrays, source.size - source.place


class _Source:
    """Reads a file from front to back, and keeps the checksum of what was read."""

    def __init__(self, file, size):
        self.file, self.size = file, size
        self.place = self.checksum = 0

    def take(self, count):
        self.expect(count)
        piece = bytearray(count)
        self.fill(memoryview(piece))
        return bytes(piece)

    def unpack(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def fill(self, view):
        self.expect(len(view))
        filled = 0
        while filled < len(view):
            count = self.file.readinto(view[filled : filled + _PIECE])
            if not count:
                raise ValueError(f"it is cut off at byte {self.place + filled}")
            self.checksum = zlib.crc32(view[filled : filled + count], self.checksum)
            filled += count
        self.place += filled

    def expect(self, count):
        """ValueError if the file has fewer bytes left: asked before memory is taken for them."""
        if count > self.size - self.place:
            raise ValueError(f"it is cut off: at byte {self.place} it needs {count} more and has {self.size - self.place}")


def _read_member(source):
    """(name, checksum, size) and the array, from a place behind the mark of an array."""
    name, checksum, size, _ = _read_header(source, *source.unpack(_COMMON))
    source.expect(size)
    start, source.checksum = source.place, 0
    array = _read_array(source, size, name)
    if source.checksum != checksum or source.place != start + size:
        raise ValueError(f"the checksum of {name!r} is not that of its bytes")
    return (name, checksum, size), array


def _read_listed(source):
    """(name, checksum, size, place) from the list at the end."""
    (_, *common) = source.unpack("H" + _COMMON)
    comment, disk, _, _, place = source.unpack("3H2L")
    name, checksum, size, place = _read_header(source, *common, place)
    if comment or disk:
        raise ValueError(f"{name!r} has a comment, or is in another file")
    return name, checksum, size, place


def _read_header(source, version, flags, method, time, date, checksum, packed, size, name_length, extra_length, place=0):
    name, extra = source.take(name_length).decode("utf-8"), source.take(extra_length)
    if flags & 1 or method:
        raise ValueError(f"{name!r} is compressed or encrypted, and minidl.save stores arrays as they are")
    if not name.endswith(".npy"):
        raise ValueError(
            f"{name!r} in it is no array (of a file of PyTorch's, write the state_dict there with safetensors.torch.save_file "
            f"to a file that ends in .safetensors, which minidl.load reads)"
        )
    if flags & ~_TEXT:
        raise ValueError(f"the flags of {name!r} are {flags:#x}")
    numbers = [size, packed, place]
    missing = [i for i, number in enumerate(numbers) if number == _IN_EXTRA]
    twice = not missing and extra == struct.pack("<2H2Q", _SIZES_ID, 16, size, packed)  # as NumPy in Python 3.10 writes them
    if (missing or extra) and not twice:
        if extra[:4] != struct.pack("<2H", _SIZES_ID, 8 * len(missing)) or len(extra) != 4 + 8 * len(missing):
            raise ValueError(f"the sizes of {name!r} are missing")
        for i, number in zip(missing, struct.unpack(f"<{len(missing)}Q", extra[4:]), strict=True):
            numbers[i] = number
    size, packed, place = numbers
    if size != packed:
        raise ValueError(f"{name!r} has two sizes, {size} and {packed}")
    return name.removesuffix(".npy"), checksum, size, place


def _read_end(source, mark, count, start):
    """Checks the end against how many arrays there are, and where their list is."""
    place = source.place - 4
    expected = (0, 0, count, count, place - start, start)
    if mark == _LARGE_END:
        length, _, _, *found = source.unpack("Q2H2L4Q")
        if length != 44 or tuple(found) != expected or source.take(4) != _LARGE_END_AT:
            raise ValueError("its end is damaged")
        if source.unpack("LQL") != (0, place, 1):
            raise ValueError("its end is damaged")
        mark = source.take(4)
    if mark != _END:
        raise ValueError("its end is missing")
    *found, comment = source.unpack("4H2LH")
    most = (0, 0, 0xFFFF, 0xFFFF, _IN_EXTRA, _IN_EXTRA)
    if comment or any(f not in (e, m) for f, e, m in zip(found, expected, most, strict=True)):
        raise ValueError("its end is damaged")


def _read_array(source, size, name):
    """The array in the next `size` bytes: NumPy's .npy format, version 1.0."""
    start = source.place
    magic, length = source.unpack("8sH")
    header = _NPY_HEADER.fullmatch(source.take(length)) if magic == _MAGIC else None
    if header is None:
        raise ValueError(f"the header of {name!r} is damaged")
    order, kind, itemsize, transposed, sizes = (part.decode("ascii") for part in header.groups())
    shape = tuple(int(number) for number in re.findall(r"\d+", sizes))
    dtype = _dtype(order, kind, int(itemsize), shape, name)
    count = math.prod(shape)
    if count * dtype.itemsize != size - (source.place - start):
        raise ValueError(f"{name!r} has {size} bytes, which is not what its header says (shape {shape}, {dtype})")
    array = np.empty(count, dtype)
    if array.nbytes:
        source.fill(memoryview(array.reshape(-1).view(np.uint8)))
    if dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise ValueError(f"{name!r} is of type bool and has other bytes than 0 and 1")
    array = array.astype(dtype.newbyteorder("="), copy=False)
    try:
        return array.reshape(shape[::-1]).T if transposed == "True" else array.reshape(shape)
    except ValueError:
        raise ValueError(f"{name!r} is no array that fits in memory: its shape is {shape}") from None


def _dtype(order, kind, itemsize, shape, name):
    """A dtype of NUMBERS, or for a single text that of the text."""
    if kind == "U" and not shape and itemsize < 1 << 29:
        return np.dtype(f"{order}U{itemsize}")
    dtype = np.dtype(f"{order}{kind}{itemsize}") if f"{kind}{itemsize}" in NUMBERS else None
    if dtype is None:
        raise ValueError(f"{name!r} has the type {order}{kind}{itemsize}, which no tensor has")
    return dtype


NUMBERS = {*(dtype.str[1:] for dtype in SUPPORTED), "u2", "u4", "u8", "f2"}  # those of tensors, and of more ndarrays
