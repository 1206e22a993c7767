"""Attacks on the reading of files: damage by the thousand, and files made on purpose.

What is read is exactly what was saved, or a ValueError that names the file. All chance comes from SEED.
"""

import gzip
import io
import json
import os
import random
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import minidl
from minidl.utils.data import read_idx, write_idx

from .test_io import names, same

SEED = 11
MUTANTS = 10_000  # of model files
IDX_MUTANTS = 6000

# --- Damage


def contents():
    """Things to save: few bytes and many, some tensors over zipfile's 4 KB, and every kind of structure."""
    minidl.manual_seed(SEED)
    yield {
        "w": minidl.rand(3, 5),
        "b": minidl.arange(12).reshape(3, 4).t(),
        "epoch": 3,
        "name": "ü",
        "flag": minidl.tensor(True),
    }
    yield [minidl.rand(40, 37), (minidl.zeros(1200, dtype=minidl.int16), None, [True, 2.5, minidl.ones(0, 3)])]
    yield minidl.zeros(10, 100, 2)  # in zeros many blocks look alike
    yield minidl.rand(2100)
    yield {"plain": [1, 2, {"x": (3, "text")}]}


def mutant(data, chance):
    """The data with one to three faults of the kinds that disks, networks, editors and people make."""
    data = bytearray(data)
    headers = [i for mark in (b"PK", b"NUMPY", b"shape", b"descr") for i in places(data, mark)] or [0]
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        n = len(data)
        if not n:
            break
        where = chance.choice([chance.randrange(n), min(n - 1, chance.choice(headers) + chance.randrange(64))])
        length = chance.choice([1, 2, 8, 100, 4096])
        other = chance.randrange(n)
        kind = chance.randrange(8)
        if kind <= 1:
            data[where] ^= 1 << chance.randrange(8)
        elif kind == 2:
            data[where] = chance.choice([0, 255, 48 + chance.randrange(10), chance.randrange(256)])
        elif kind == 3:
            del data[where : where + length]
        elif kind == 4:
            data[where:where] = chance.randbytes(length)
        elif kind == 5:
            data[where : where + length], data[other : other + length] = (
                data[other : other + length],
                data[where : where + length],
            )
        elif kind == 6:
            data[where : where + length] = bytes(length)
        else:
            del data[where:]
    return bytes(data)


def places(data, mark):
    place = data.find(mark)
    while place >= 0:
        yield place
        place = data.find(mark, place + 1)


def put(path, data):
    """Gives an existing file another content. To empty it first would make some file systems flush it, 5 ms each time."""
    with open(path, "r+b", buffering=0) as file:
        file.truncate(file.write(data))


def outcome(read, path, is_right):
    """ "refused", "right", or what is wrong."""
    try:
        back = read(path)
    except ValueError as error:
        return "refused" if str(path) in str(error) else f"an error that does not name the file: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "right" if is_right(back) else "another content"


def test_thousands_of_damaged_model_files(tmp_path):
    path, chance, results = tmp_path / "x", random.Random(SEED), []
    for content in contents():
        minidl.save(content, path)
        whole = path.read_bytes()
        for _ in range(MUTANTS // 5):
            put(path, mutant(whole, chance))
            results.append(outcome(minidl.load, path, lambda back, content=content: same(back, content)))
    assert {*results} == {"refused", "right"}
    assert results.count("refused") > 0.8 * MUTANTS


def test_every_bit_and_every_length_of_a_model_file(tmp_path):
    path, content = tmp_path / "x", [minidl.arange(600, dtype=minidl.float64), 3]
    minidl.save(content, path)
    whole = path.read_bytes()
    start = whole.index(b"tensor0")
    flips = [*range(start + 200), *range(start + 200, start + 4800, 50), *range(start + 4800, len(whole))]
    ignored = 0
    for place in flips:
        for bit in range(8):
            put(path, whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            result = outcome(minidl.load, path, lambda back: same(back, content))
            assert result in ("refused", "right"), (place, bit)
            ignored += result == "right"
    assert ignored < 350  # versions, dates and attributes, which say nothing about the tensors
    for length in [*range(start + 200), *range(start + 200, start + 4800, 50), *range(start + 4800, len(whole))]:
        put(path, whole[:length])
        assert outcome(minidl.load, path, lambda back: False) == "refused", length
    for end in (b"\0", b"more", whole):
        put(path, whole + end)
        assert outcome(minidl.load, path, lambda back: False) == "refused", end


def test_a_flipped_digit_in_the_shape_of_a_large_tensor_is_found(tmp_path):
    path = tmp_path / "x"
    minidl.save(minidl.rand(1200, 10), path)
    whole = path.read_bytes()
    assert whole.count(b"(1200, 10)") == 1
    put(path, whole.replace(b"(1200, 10)", b"(1000, 12)"))
    with pytest.raises(ValueError, match="the checksum of 'tensor0' is not that of its bytes"):
        minidl.load(path)


def swapped(array):
    return array.astype(array.dtype.newbyteorder(">")).tobytes()


def test_thousands_of_damaged_idx_files(tmp_path):
    chance, results = random.Random(SEED), []
    stream = np.random.default_rng(SEED)
    arrays = [stream.integers(0, 256, (9, 28, 28)).astype("u1"), stream.random(50), np.zeros((2, 3, 4), "i2")]
    for name in ("x", "x.gz"):
        path = tmp_path / name
        for array in arrays:
            write_idx(path, array)
            whole = path.read_bytes()
            for _ in range(IDX_MUTANTS // 6):
                damaged = mutant(whole, chance)
                put(path, damaged)

                def right(back, name=name, array=array, damaged=damaged):
                    if name == "x.gz":
                        return back.dtype == array.dtype and back.shape == array.shape and back.tobytes() == array.tobytes()
                    # a plain IDX file has no checksum: what it says is what is read
                    return damaged[4:] == struct.pack(f">{back.ndim}I", *back.shape) + swapped(back)

                results.append(outcome(read_idx, path, right))
    assert {*results} == {"refused", "right"}
    assert results.count("refused") > 0.5 * IDX_MUTANTS


def test_every_bit_and_every_length_of_idx_files(tmp_path):
    array = np.arange(60, dtype="int16").reshape(3, 20)
    for name in ("x", "x.gz"):
        path = tmp_path / name
        write_idx(path, array)
        whole = path.read_bytes()
        for length in range(len(whole)):
            put(path, whole[:length])
            assert outcome(read_idx, path, lambda back: False) == "refused", length
        for place in range(len(whole)) if name == "x.gz" else range(12):
            for bit in range(8):
                put(path, whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
                result = outcome(read_idx, path, lambda back: np.array_equal(back, array))
                assert result in ("refused", "right" if name == "x.gz" else "refused"), (name, place, bit)


# --- Files that somebody made on purpose: every checksum is right


def npy(array=None, descr="<f4", shape="(2,)", order="False", data=bytes(8), head=None):
    if array is not None:
        out = io.BytesIO()
        np.lib.format.write_array(out, array, allow_pickle=False)
        return out.getvalue()
    head = head or f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + data


def archive(*members, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members:
            file.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def text(structure):
    return "structure.json.npy", npy(np.array(structure if isinstance(structure, str) else json.dumps(structure)))


ONE = ("tensor0.npy", npy(np.ones(2, "f4")))
TENSOR = text({"tensor": "tensor0"})


def sized(data, place, size):
    """The archive with another size of the member at a place, in its header and in the list."""
    name = data[place + 30 : place + 30 + data[place + 26]]
    listed = data.rindex(name) - 46
    data = bytearray(data)
    for at in (place + 18, place + 22, listed + 20, listed + 24):
        data[at : at + 4] = struct.pack("<L", size)
    return bytes(data)


def overlapping():
    """Two members in the list that are the same bytes."""
    data = archive(TENSOR, ONE)
    listed = data.index(b"PK\1\2")
    entry = data[data.index(b"PK\1\2", listed + 1) : data.index(b"PK\5\6")]
    twin = entry.replace(b"tensor0", b"tensor1")
    end = bytearray(data[data.index(b"PK\5\6") :])
    end[8:12] = struct.pack("<2H", 3, 3)
    end[12:16] = struct.pack("<L", len(data) - len(end) - listed + len(twin))
    return data[: data.index(b"PK\5\6")] + twin + bytes(end)


CRAFTED = {
    "an object": (archive(TENSOR, ("tensor0.npy", npy(descr="|O8"))), "the type |O8, which no tensor has"),
    "complex": (archive(TENSOR, ("tensor0.npy", npy(descr="<c8"))), "the type <c8, which no tensor has"),
    "half": (archive(TENSOR, ("tensor0.npy", npy(np.ones(4, "f2")))), "the type <f2, which no tensor has"),
    "a record": (archive(TENSOR, ("tensor0.npy", npy(np.ones(2, "i4,i4")))), "the header of 'tensor0' is damaged"),
    "text for a tensor": (archive(TENSOR, ("tensor0.npy", npy(np.array("text")))), "'tensor0' is text"),
    "texts for a tensor": (archive(TENSOR, ("tensor0.npy", npy(np.array(["a", "b"])))), "the type <U1, which"),
    "no bool": (archive(TENSOR, ("tensor0.npy", npy(descr="|b1", shape="(8,)", data=bytes([2] * 8)))), "0 and 1"),
    "larger than it is": (archive(TENSOR, ("tensor0.npy", npy(shape="(3,)"))), "not what its header says"),
    "smaller than it is": (archive(TENSOR, ("tensor0.npy", npy(shape="(1,)"))), "not what its header says"),
    "absurd": (archive(TENSOR, ("tensor0.npy", npy(shape=f"({10**17},)"))), "not what its header says"),
    "more digits": (archive(TENSOR, ("tensor0.npy", npy(shape=f"({10**30},)"))), "the header of 'tensor0' is damaged"),
    "overflow to 8 bytes": (archive(TENSOR, ("tensor0.npy", npy(shape="(4294967296, 4294967296, 2)"))), "not what its"),
    "nothing, hugely": (
        archive(TENSOR, ("tensor0.npy", npy(shape="(0, 999999999999999999, 999999999999999999)", data=b""))), "array that fits",
    ),
    "65 axes": (archive(TENSOR, ("tensor0.npy", npy(shape=f"({'1, ' * 64}2)"))), "no array that fits"),
    "a negative size": (archive(TENSOR, ("tensor0.npy", npy(shape="(-2,)"))), "the header of 'tensor0' is damaged"),
    "code": (archive(TENSOR, ("tensor0.npy", npy(head=b"__import__('os').abort()\n"))), "the header of 'tensor0'"),
    "brackets": (archive(TENSOR, ("tensor0.npy", npy(head=b"(" * 60000))), "the header of 'tensor0' is damaged"),
    "no token": (archive(TENSOR, ("tensor0.npy", npy(head=b"{'descr': '''\n"))), "the header of 'tensor0' is damaged"),
    "a text of zeros": (archive(("structure.json.npy", npy(descr="<U2", shape="()", data=bytes(8)))), "Expecting value"),
    "a text that is none": (
        archive(("structure.json.npy", npy(descr="<U2", shape="()", data=b"\xff" * 8))), "'utf-32-le' codec can't decode",
    ),
    "an absurd text": (archive(("structure.json.npy", npy(descr=f"<U{10**17}", shape="()"))), "<U100000000000000000"),
    "numbers for the structure": (archive(("structure.json.npy", npy(np.ones(2, "f4")))), "structure.json is no text"),
    "no structure": (archive(ONE), "it has no structure.json"),
    "no tensor": (archive(TENSOR), "there is no 'tensor0' in it"),
    "one tensor used twice": (archive(text({"list": [{"tensor": "tensor0"}] * 2}), ONE), "or it is used twice"),
    "a tensor too many": (archive(TENSOR, ONE, ("tensor1.npy", ONE[1])), "no place for tensor1"),
    "another file in it": (archive(TENSOR, ONE, ("evil.py", b"")), "'evil.py' in it is no array"),
    "a model of PyTorch": (archive(("x/data.pkl", b"\x80\2}q\0."), ("x/version", b"3\n")), "of a file of PyTorch"),
    "deflated": (archive(TENSOR, ONE, method=zipfile.ZIP_DEFLATED), "is compressed or encrypted"),
    "a bomb": (archive(("structure.json.npy", bytes(1 << 26)), method=zipfile.ZIP_DEFLATED), "is compressed or encrypted"),
    "bzip2": (archive(TENSOR, ONE, method=zipfile.ZIP_BZIP2), "is compressed or encrypted"),
    "lzma": (archive(TENSOR, ONE, method=zipfile.ZIP_LZMA), "is compressed or encrypted"),
    "longer than the file": (sized(archive(TENSOR, ONE), 0, 0xFFFFFFF0), "it is cut off"),
    "over its neighbour": (sized(archive(TENSOR, ONE), 0, len(TENSOR[1]) + 20), "structure.json"),
    "overlapping": (overlapping(), "its end is"),
    "an empty archive": (archive(), "it begins with the bytes b'PK\\x05\\x06'"),
    "a plain array": (npy(np.ones(3, "f4")), "it begins with the bytes b'\\x93NUM'"),
    "a pickle": (b"\x80\4K\1.", "which minidl does not open"),
    "nothing": (b"", "it is cut off: at byte 0"),
    "too deep": (archive(text("[" * 100_000 + "]" * 100_000)), "nested deeper than Python's recursion limit"),
    "too deep a list": (archive(text('{"list": [' * 10_000 + "]}" * 10_000)), "nested deeper than Python's recursion limit"),
    **{
        f"structure {structure}": (archive(text(structure), ONE), message)
        for structure, message in {
            "{": "Expecting property name",
            "[]": "something that minidl.save does not write",
            "{}": "something that minidl.save does not write",
            '{"set": []}': "something that minidl.save does not write",
            '{"list": 3}': "something that minidl.save does not write",
            '{"list": {}}': "something that minidl.save does not write",
            '{"list": [], "tuple": []}': "something that minidl.save does not write",
            '{"tensor": []}': "something that minidl.save does not write",
            '{"tensor": null}': "something that minidl.save does not write",
            '{"tensor": "structure.json"}': "there is no 'structure.json' in it",
            '{"dict": []}': "something that minidl.save does not write",
            '{"dict": [], "ordered": "yes"}': "something that minidl.save does not write",
            '{"dict": [], "ordered": 1}': "something that minidl.save does not write",
            '{"dict": [1], "ordered": false}': "a dict that is not made of pairs",
            '{"dict": [[1, 2, 3]], "ordered": false}': "a dict that is not made of pairs",
            '{"dict": [["a", 1], ["a", 2]], "ordered": true}': "the key 'a' twice",
            '{"dict": [[{"list": []}, 1]], "ordered": false}': "a list as a key",
            '{"dict": [[{"tuple": [{"list": []}]}, 1]], "ordered": false}': "a tuple as a key",
            '{"tensor": "tensor0", "tensor": "tensor0"}x': "Extra data",
            "1" * 5000: "digits",
        }.items()
    },
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(("data", "message"), CRAFTED.values(), ids=[name[:60] for name in CRAFTED])
def test_crafted_files_are_refused_with_the_reason_and_without_memory(tmp_path, data, message):
    path = tmp_path / "x"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            minidl.load(path)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(data) + 2_000_000
    finally:
        tracemalloc.stop()
    assert type(caught.value) is ValueError and message in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_two_arrays_of_one_name_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(archive(TENSOR, ONE, ONE))
    with pytest.raises(ValueError, match="it has two arrays 'tensor0'"):
        minidl.load(tmp_path / "x")


def test_the_crafted_files_differ_from_a_good_one_in_what_they_say_only(tmp_path):
    (tmp_path / "x").write_bytes(archive(TENSOR, ONE))
    assert same(minidl.load(tmp_path / "x"), minidl.ones(2))


def idx(code, sizes, data=b""):
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(idx(8, (10,)) + bytes(1 << 25)), "holds more than the 10 bytes"),
        (gzip.compress(bytes(1 << 25)), "is not an IDX file"),
        (gzip.compress(idx(8, (2**32 - 1,)) + bytes(1000)), "is cut off"),
        (idx(8, (2**32 - 1,), bytes(1000)), "is cut off"),
        (idx(0x0E, (2**32 - 1,) * 64, bytes(1000)), "is cut off"),
        (idx(0x0E, (2**31, 2**31, 4), bytes(8)), "is cut off"),  # 2**67 bytes
        (gzip.compress(b"") * 10_000, "is cut off"),
        (b"\x1f\x8b\x08\x08" + bytes(6) + b"name" * 10_000, "is cut off"),
        (gzip.compress(idx(8, (1000,), bytes(1000)))[:-5], "is cut off"),
    ],
    ids=range(9),  # not the bytes, which hold the time
)
def test_crafted_idx_files_are_refused_without_memory(tmp_path, data, message):
    path = tmp_path / "x"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"read_idx: .*{message}"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_lie_for_which_there_is_no_memory_is_a_lie_and_not_too_little_memory(tmp_path, monkeypatch):
    def empty(shape, dtype):
        raise MemoryError

    monkeypatch.setattr(np, "empty", empty)
    for data in (bytes(5_000), bytes(1000)):
        (tmp_path / "x").write_bytes(gzip.compress(idx(8, (5_000,)) + data))
        with pytest.raises(ValueError, match="found 1000") if len(data) == 1000 else pytest.raises(MemoryError):
            read_idx(tmp_path / "x")
    with open(tmp_path / "x", "r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 8)  # without its end
    with pytest.raises(ValueError, match=r"is cut off: expected 5000 .*; found"):
        read_idx(tmp_path / "x")


def test_no_regular_file_is_an_idx_file(tmp_path):
    os.mkfifo(tmp_path / "x")
    for path in (tmp_path / "x", "/dev/zero"):
        for call in (lambda path=path: read_idx(path), lambda path=path: write_idx(path, np.zeros(3, "u1"))):
            with pytest.raises(ValueError, match=r"_idx: .* is a device, a pipe or a socket"):
                call()
    with pytest.raises(IsADirectoryError):
        read_idx(tmp_path)
    assert names(tmp_path) == ["x"]
