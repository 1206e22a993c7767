"""save and load: what comes back, which files are replaced and how, and what is refused before anything is touched."""

import base64
import io
import os
import socket
import stat
import struct
import sys
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl.io import archive, files

# What minidl.save wrote before it had a reader of its own (version of commit f89fbbb): old_content() below.
OLD_FILE = (
    b"c-p;H&ubGw6n@(@Eu<GIo;<BZScOeUvWle$?MaZR?7<vFMPhb?m9QITcCDo?B%b3z{6}*1X8!?Cf}sC_M^AbXbjEx`XEw<a*y_N?+nsse%=<NO{8nkTO4D(f-j45n"
    b"{f)6n7l|h<?ItM;YcF^l)uO?nMHeVpo$4$3?tc58|InhBbmRmf?=ok{c5bzsH$2C+onFim)`_0REC}Vw?M|PEVxB+m3_|gL^_pv+*ab%ANZ7C?5D4rGbfs;W+Yzt@"
    b"9szRh0Mf;p;!92_5D9RBSb$~r$<wQ2{Y2o2w!b<zT5xV3cJl>xpO<|N&A#*Yy_xZSQ4Dxa>{EdO;t|e?gMR)ie9N`R;MRd2YCu0Hf=(Y$^9k%vv9FrHseRu8zlS_U"
    b"kdk|-=~Z!l4Kgnd!Gbs}Q^Vdr$e)+VpKkM(rWb(EAcM>qGDaQ5m_w)Np4lA9{d}Wu)js^Vr25u|=vzq`@tD<B!x}?T$@vYdcYUdL)o^XESj(yqo$d-VPKoyROh>-|"
    b"`toMhk%n?)0>w$LBm3L)9C^S}!w=83n+02M1!j;1xdK^&!~;QPNYmNZ)t{ecooy;-M^GH)IeYx9@n0Sp;jCp^|M7GCVAgt1SwDp0Fu&%um$JTII9C<FWvx_8=2I^p"
    b"aEVPi8^gc3oPGGSe0k-@xKkSj|GnJx>;h(qvcxB-VUsv2lV0#yqAZsY>cJ#NYor%XmMAkdL@G?8yH0xE{8o8wTCQcfBI59EUH<(6Vbf_o"
)


def old_content():
    arrays = [minidl.arange(6).reshape(2, 3).t(), minidl.tensor(True)]
    return OrderedDict(
        w=minidl.tensor([[1.5, -2.0, 3.0]]),
        n=arrays,
        s=("text ü", None, True, 7, float("inf"), -0.0),
        d={3: minidl.zeros(0, 2, dtype=minidl.float64)},
    )


def same(a, b):
    """Whether two saved things are of the same types, and equal to the bit."""
    if isinstance(a, minidl.Tensor):
        return type(b) is type(a) and (a.dtype, a.shape, a.numpy().tobytes()) == (b.dtype, b.shape, b.numpy().tobytes())
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, [*a, *a.values()], [*b, *b.values()]))
    return len(a) == len(b) and all(map(same, a, b)) if isinstance(a, (list, tuple)) else repr(a) == repr(b)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", [minidl.float32, minidl.float64, minidl.int64, minidl.bool])
def test_tensor_round_trip_keeps_dtype_shape_and_bits(tmp_path, dtype):
    x = minidl.randn(3, 0, 2) if dtype.kind == "f" else minidl.randint(0, 2, (2, 3))
    x = x.to(dtype)
    minidl.save(x, tmp_path / "x")
    y = minidl.load(tmp_path / "x")
    assert y.dtype == dtype and y.shape == x.shape and np.array_equal(x.array, y.array)


def test_structures_round_trip(tmp_path):
    obj = OrderedDict(a=[minidl.ones(2), (1, 2.5, None)], b={"c": "text", 3: True})
    minidl.save(obj, tmp_path / "x")
    back = minidl.load(tmp_path / "x")
    assert list(back) == ["a", "b"] and type(back) is OrderedDict
    assert back["a"][0].tolist() == [1.0, 1.0] and back["a"][1] == (1, 2.5, None) and back["b"] == {"c": "text", 3: True}


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path):
    minidl.save(minidl.ones(1), tmp_path / "x")
    with pytest.raises(TypeError, match="got set"):
        minidl.save([minidl.zeros(1), {1}], tmp_path / "x")
    assert minidl.load(tmp_path / "x").item() == 1 and [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("content", [b"", b"not a file of ours", b"PK\x03\x04 cut short"])
def test_other_files_raise_clearly(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=r"not a file that minidl\.save wrote"):
        minidl.load(tmp_path / "x")


def test_a_truncated_file_raises_clearly(tmp_path):
    minidl.save(minidl.rand(1000), tmp_path / "x")
    whole = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        minidl.load(tmp_path / "x")


def test_a_file_has_the_permissions_of_any_other_and_needs_a_folder(tmp_path):
    (tmp_path / "plain").write_text("")
    minidl.save(minidl.ones(1), tmp_path / "x")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode
    for name in (tmp_path, tmp_path / "none" / "x", ""):
        with pytest.raises(FileNotFoundError, match="not the name of a file"):
            minidl.save(minidl.ones(1), name)
    with pytest.raises(FileNotFoundError):
        minidl.load(tmp_path / "none")


def test_damage_anywhere_is_an_error_or_does_no_harm(tmp_path):
    minidl.save({"x": minidl.arange(50), "n": 3}, tmp_path / "x")
    whole = (tmp_path / "x").read_bytes()
    for position in range(0, len(whole), 7):
        (tmp_path / "x").write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
        try:
            back = minidl.load(tmp_path / "x")
        except ValueError as error:
            assert "minidl.save" in str(error)
        else:
            assert back["n"] == 3 and back["x"].tolist() == list(range(50))


# --- The format


def test_files_of_the_first_version_load(tmp_path):
    (tmp_path / "x").write_bytes(zlib.decompress(base64.b85decode(OLD_FILE)))
    assert same(minidl.load(tmp_path / "x"), old_content())


def test_numpy_reads_what_is_saved_and_the_same_content_gives_the_same_bytes(tmp_path):
    minidl.save(old_content(), tmp_path / "x")
    minidl.save(old_content(), tmp_path / "y")
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes() == zlib.decompress(base64.b85decode(OLD_FILE))
    with np.load(tmp_path / "x", allow_pickle=False) as file:
        assert file["tensor0"].tolist() == [[1.5, -2.0, 3.0]] and file["tensor1"].tolist() == [[0, 3], [1, 4], [2, 5]]


SAME_AS_NUMPY = pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="zipfile wrote the sizes twice before Python 3.11.4")


def test_sizes_that_stand_twice_in_a_header_load(tmp_path):
    """As NumPy writes them in Python 3.10."""
    minidl.save(old_content(), tmp_path / "x")
    data, at = bytearray((tmp_path / "x").read_bytes()), 0
    while (at := data.find(b"PK\3\4", at)) >= 0:
        (length,) = struct.unpack_from("<H", data, at + 26)
        size, packed = struct.unpack_from("<2Q", data, at + 30 + length + 4)
        struct.pack_into("<2L", data, at + 18, size, packed)
        at += 30
    (tmp_path / "y").write_bytes(data)
    assert same(minidl.load(tmp_path / "y"), old_content())
    struct.pack_into("<L", data, data.find(b"PK\3\4") + 18, 12345)
    (tmp_path / "y").write_bytes(data)
    with pytest.raises(ValueError, match="the sizes of"):
        minidl.load(tmp_path / "y")


@SAME_AS_NUMPY
def test_files_with_numbers_too_large_for_the_old_zip_load(tmp_path, monkeypatch):
    for module, size, number in [(zipfile, "ZIP64_LIMIT", "ZIP_FILECOUNT_LIMIT"), (archive, "_LARGE", "_MANY")]:
        monkeypatch.setattr(module, size, 150)  # in place of 2 GiB
        monkeypatch.setattr(module, number, 3)  # in place of 65,535 tensors
    arrays = {"structure.json": np.array("[]"), "a": np.ones(2), "b": np.ones((300, 2)).T, "c": np.array(True)}
    written, expected = io.BytesIO(), io.BytesIO()
    archive.write_arrays(written, arrays)
    np.savez(expected, **arrays)
    assert written.getvalue() == expected.getvalue() and b"PK\6\6" in written.getvalue() and b"PK\6\7" in written.getvalue()
    minidl.save(old_content(), tmp_path / "x")
    assert same(minidl.load(tmp_path / "x"), old_content())


@SAME_AS_NUMPY
@pytest.mark.parametrize("array", [np.array("text"), np.ones((3, 0)), np.ones((20, 30)).T, np.ones((9, 9))[::2, ::-1]])
def test_the_bytes_are_those_of_numpy(array):
    written, expected = io.BytesIO(), io.BytesIO()
    archive.write_arrays(written, {"structure.json": array, "x": array})
    np.savez(expected, **{"structure.json": array, "x": array})
    assert written.getvalue() == expected.getvalue()


@pytest.mark.parametrize("dtype", minidl.tensors.dtypes.SUPPORTED)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5, 7), (3000,), (1,) * 64])
def test_every_dtype_and_order_of_memory(tmp_path, dtype, shape):
    x = minidl.randint(0, 100, shape).to(dtype)
    minidl.save([x, x.T if len(shape) == 2 else x, x[..., ::2] if shape else x], tmp_path / "x")
    back = minidl.load(tmp_path / "x")
    assert same(back[0], x) and back[1].tolist() == (x.T.tolist() if len(shape) == 2 else x.tolist())
    assert all(y.array.flags.writeable and y.array.flags.aligned for y in back)


def test_numbers_of_the_other_order_of_bytes_load(tmp_path):
    swapped = np.array([1.5, -2.0], ">f4")
    np.savez(tmp_path / "x.npz", **{"structure.json": np.array('{"tensor": "tensor0"}'), "tensor0": swapped})
    assert same(minidl.load(tmp_path / "x.npz"), minidl.tensor([1.5, -2.0]))


# --- Open files


def test_open_files_are_written_and_read_from_where_they_stand(tmp_path):
    buffer = io.BytesIO()
    buffer.write(b"before")
    minidl.save(old_content(), buffer)
    minidl.save({"epoch": 3}, buffer)
    buffer.write(b"after")
    buffer.seek(6)
    assert same(minidl.load(buffer), old_content()) and minidl.load(buffer) == {"epoch": 3} and buffer.read() == b"after"
    with open(tmp_path / "x", "wb", buffering=0) as file:
        minidl.save(minidl.ones(100_000), file)
    with open(tmp_path / "x", "rb") as file:
        assert minidl.load(file).sum() == 100_000
    assert minidl.load(tmp_path / "x").sum() == 100_000


def test_open_files_that_cannot_go_back():
    receiver, sender = os.pipe()
    with open(receiver, "rb") as file, open(sender, "wb") as out:
        minidl.save({"x": minidl.ones(3)}, out)
        out.close()
        assert minidl.load(file)["x"].tolist() == [1.0] * 3


def test_errors_of_open_files(tmp_path):
    with open(tmp_path / "x", "w+") as file:
        with pytest.raises(TypeError, match='open it with "wb"'):
            minidl.save(1, file)
        with pytest.raises(TypeError, match='open it with "rb"'):
            minidl.load(file)
    with pytest.raises(ValueError, match=r"load: the BytesIO is not a file that minidl\.save wrote"):
        minidl.load(io.BytesIO(b"PK"))
    for call in (lambda: minidl.load(3), lambda: minidl.save(1, 3), lambda: minidl.load(None)):
        with pytest.raises(TypeError, match="expected the name of a file, or an open file, got"):
            call()


class Slow(io.RawIOBase):
    """A raw file that takes a few bytes at a time, and then none."""

    def __init__(self, room):
        self.content, self.room = b"", room

    def writable(self):
        return True

    def write(self, data):
        if not self.room:
            return None
        piece = bytes(data[: min(7, self.room)])
        self.content += piece
        self.room -= len(piece)
        return len(piece)


def test_a_raw_file_that_takes_few_bytes_gets_them_all_or_an_error():
    slow = Slow(10_000)
    minidl.save([1, minidl.ones(3)], slow)
    assert same(minidl.load(io.BytesIO(slow.content)), [1, minidl.ones(3)])
    with pytest.raises(BlockingIOError, match="takes no more bytes"):
        minidl.save([1, minidl.ones(3)], Slow(100))


# --- Structures


def nested(depth, kind):
    obj = minidl.ones(1)
    for _ in range(depth):
        obj = {"list": lambda x: [x], "tuple": lambda x: (x,), "dict": lambda x: {"a": x}}[kind](obj)
    return obj


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_depth(tmp_path, kind):
    deep = nested(200, kind)
    minidl.save(deep, tmp_path / "x")
    back = minidl.load(tmp_path / "x")
    for _ in range(200):
        deep, back = (x["a"] if kind == "dict" else x[0] for x in (deep, back))
    assert same(deep, back)
    for depth in (201, 100_000):
        with pytest.raises(ValueError, match="save: the structure is nested more than 200 deep; save it flat"):
            minidl.save(nested(depth, kind), tmp_path / "x")
    assert names(tmp_path) == ["x"]


def test_what_contains_itself_is_refused_and_what_is_there_twice_is_not(tmp_path):
    loop, table, pair = [1], {}, ([],)
    loop.append(loop)
    table["a"] = [table]
    pair[0].append(pair)
    for obj, kind in [(loop, "list"), (table, "dict"), (pair, "tuple"), ({"state": loop}, "list")]:
        with pytest.raises(ValueError, match=f"save: a {kind} contains itself"):
            minidl.save(obj, tmp_path / "x")
    assert names(tmp_path) == []
    twice = [1, 2]
    minidl.save([twice, twice], tmp_path / "x")
    assert minidl.load(tmp_path / "x") == [[1, 2], [1, 2]]


def test_an_integer_that_python_does_not_write_out_is_refused(tmp_path):
    minidl.save(10**4000, tmp_path / "x")
    assert minidl.load(tmp_path / "x") == 10**4000
    with pytest.raises(ValueError, match=r"save: .*digits"):
        minidl.save(10**5000, tmp_path / "x")
    assert minidl.load(tmp_path / "x") == 10**4000


# --- Modes, owners and links


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o027])
def test_a_new_file_gets_its_mode_from_the_umask(tmp_path, umask, mask):
    umask(mask)
    minidl.save(1, tmp_path / "x")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666, 0o755, 0o400, 0o444])
def test_an_old_file_keeps_its_mode(tmp_path, umask, monkeypatch, mode):
    minidl.save(1, tmp_path / "x")
    (tmp_path / "x").chmod(mode)
    monkeypatch.setattr(os, "access", lambda *args: True)  # root may write to all of them, and others not
    minidl.save(2, tmp_path / "x")
    assert minidl.load(tmp_path / "x") == 2 and stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


def test_a_write_protected_file_is_not_replaced(tmp_path, monkeypatch):
    minidl.save(1, tmp_path / "x")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(PermissionError, match="save: the file is write-protected; chmod"):
        minidl.save(2, tmp_path / "x")
    assert minidl.load(tmp_path / "x") == 1 and names(tmp_path) == ["x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_is_kept_and_without_that_the_group_gets_no_rights(tmp_path, umask, monkeypatch):
    minidl.save(1, tmp_path / "x")
    (tmp_path / "x").chmod(0o664)
    os.chown(tmp_path / "x", 1234, 2345)
    minidl.save(2, tmp_path / "x")
    info = (tmp_path / "x").stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (1234, 2345, 0o664)

    def only_groups(number, uid, gid, fchown=os.fchown):
        if uid != -1:
            raise PermissionError
        fchown(number, uid, gid)

    monkeypatch.setattr(os, "fchown", only_groups)
    minidl.save(3, tmp_path / "x")
    info = (tmp_path / "x").stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (0, 2345, 0o664)

    def no_one(number, uid, gid):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", no_one)
    minidl.save(4, tmp_path / "x")
    info = (tmp_path / "x").stat()
    assert (info.st_gid, stat.S_IMODE(info.st_mode)) == (os.getegid(), 0o604) and minidl.load(tmp_path / "x") == 4


def test_symbolic_links_stay_and_their_targets_get_the_content(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    minidl.save(0, folder / "target")
    (folder / "target").chmod(0o600)
    (tmp_path / "link").symlink_to(Path("folder", "target"))
    (tmp_path / "link to link").symlink_to("link")
    (tmp_path / "dangling").symlink_to(folder / "later")
    for i, name in enumerate(["link", "link to link"]):
        minidl.save(i, tmp_path / name)
        assert (tmp_path / name).is_symlink() and minidl.load(folder / "target") == minidl.load(tmp_path / name) == i
    assert stat.S_IMODE((folder / "target").stat().st_mode) == 0o600
    minidl.save(7, tmp_path / "dangling")
    assert (tmp_path / "dangling").is_symlink() and minidl.load(folder / "later") == 7
    assert names(folder) == ["later", "target"] and names(tmp_path) == ["dangling", "folder", "link", "link to link"]


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to(tmp_path / "no folder" / "x")
    (tmp_path / "folder").symlink_to(tmp_path)
    for name, error in {"loop": OSError, "gone": FileNotFoundError, "folder": FileNotFoundError}.items():
        with pytest.raises(error):
            minidl.save(1, tmp_path / name)
    assert all(path.is_symlink() for path in tmp_path.iterdir())


def test_another_hard_link_keeps_the_old_content(tmp_path):
    minidl.save(1, tmp_path / "x")
    os.link(tmp_path / "x", tmp_path / "y")
    minidl.save(2, tmp_path / "x")
    assert minidl.load(tmp_path / "x") == 2 and minidl.load(tmp_path / "y") == 1


# --- What is no regular file


def fifo(path):
    os.mkfifo(path)
    return path


def bound(path):
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # the name of a socket must be short
        server.bind(path.name)
    return path


def linked(path):
    path.symlink_to("/dev/null")
    return path


@pytest.mark.parametrize("make", [fifo, bound, linked, lambda path: "/dev/null", lambda path: "/dev/zero"])
def test_what_is_no_regular_file_stays_what_it_is(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "x")
    before, there = os.stat(path), names(tmp_path)
    for call in (lambda: minidl.save(1, path), lambda: minidl.load(path)):
        with pytest.raises(ValueError, match="is a device, a pipe or a socket, and no regular file"):
            call()
    after = os.stat(path)
    assert (before.st_mode, before.st_ino, before.st_rdev) == (after.st_mode, after.st_ino, after.st_rdev)
    assert names(tmp_path) == there


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        minidl.load(tmp_path)
    (tmp_path / "x").write_text("")
    with pytest.raises(FileNotFoundError, match="in a folder that exists"):
        minidl.save(1, tmp_path / "x" / "y")


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "x", ".x", "a b*[c]"])
def test_names_of_any_length(tmp_path, name):
    minidl.save(1, tmp_path / name)
    minidl.save(2, tmp_path / name)
    assert minidl.load(tmp_path / name) == 2 and names(tmp_path) == [name]


def test_a_name_that_is_too_long_is_the_systems_error(tmp_path):
    with pytest.raises(OSError, match="too long"):
        minidl.save(1, tmp_path / ("n" * 256))
    assert names(tmp_path) == []


# --- Flushed, in the right order


def test_promise_55_the_file_is_flushed_before_the_rename_and_the_folder_after_it(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        true = getattr(os, name)

        def told(*args, name=name, true=true):
            what = "folder" if name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode) else "file"
            size = os.fstat(args[0]).st_size if name == "fsync" else os.stat(args[0]).st_size
            done.append((name, what, what == "folder" or size))
            return true(*args)

        monkeypatch.setattr(os, name, told)
    minidl.save(minidl.ones(1000), tmp_path / "x")
    size = (tmp_path / "x").stat().st_size
    assert done == [("fsync", "file", size), ("replace", "file", size), ("fsync", "folder", True)]


def test_a_file_system_without_flushes_or_locks_is_enough(tmp_path, monkeypatch):
    def cannot(*args):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", cannot)
    monkeypatch.setattr(files.io.posix, "lock", cannot)
    minidl.save(1, tmp_path / "x")
    minidl.save(2, tmp_path / "x")
    assert minidl.load(tmp_path / "x") == 2 and names(tmp_path) == ["x"]
