"""IDX files whole and damaged, MNIST's folders, and downloads from servers that behave and that do not."""

import contextlib
import gzip
import hashlib
import http.server
import importlib
import math
import os
import re
import struct
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

import minidl
from minidl.utils.data import MNIST, DataLoader, FashionMNIST, TensorDataset, download, read_idx, transforms, write_idx

TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def idx(code, sizes, data):
    """An IDX file byte by byte, as the format's description has it: the twin of write_idx."""
    return struct.pack(f">HBB{len(sizes)}I", 0, code, len(sizes), *sizes) + data


def saved(path, data):
    path.write_bytes(data)
    return path


# --- IDX files


@pytest.mark.parametrize(("code", "dtype"), TYPES.items())
@pytest.mark.parametrize("zipped", [False, True])
def test_every_type_of_number(tmp_path, code, dtype, zipped):
    numbers = np.array([[0, 1, 2], [100, 101, 127]], dtype) * np.array(-1 if dtype[0] != "u" else 1, dtype)
    data = idx(code, (2, 3), numbers.astype(numbers.dtype.newbyteorder(">")).tobytes())
    read = read_idx(saved(tmp_path / "name tells nothing", gzip.compress(data) if zipped else data))
    assert read.dtype == np.dtype(dtype) and read.dtype.isnative and read.flags.writeable and read.flags.c_contiguous
    np.testing.assert_array_equal(read, numbers)
    write_idx(tmp_path / ("x.gz" if zipped else "x"), numbers[:, ::-1])
    written = (tmp_path / ("x.gz" if zipped else "x")).read_bytes()
    assert written.startswith(b"\x1f\x8b") == zipped
    assert (gzip.decompress(written) if zipped else written)[:12] == data[:12]
    np.testing.assert_array_equal(read_idx(str(tmp_path / ("x.gz" if zipped else "x"))), numbers[:, ::-1])


@pytest.mark.parametrize("shape", [(5,), (0,), (2, 0, 3), (1,) * 64])
def test_every_shape(tmp_path, shape):
    path = saved(tmp_path / "x", idx(0x0C, shape, bytes(4 * math.prod(shape))))
    assert read_idx(path).shape == shape


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected its first 4 bytes; found 0"),
        (b"<html>404</html>", "is not an IDX file: it starts with the bytes b'<htm'"),
        (idx(0x0A, (1,), b"1"), "is not an IDX file"),
        (idx(0x08, (), b"1"), "is not an IDX file"),
        (idx(0x08, (1,) * 65, b"1"), "is not an IDX file"),
        (idx(0x08, (2, 3), b"")[:9], "expected the sizes of its 2 axes; found 5"),
        (idx(0x0B, (2, 3), bytes(11)), r"expected 12 bytes of data, as its header says \(2×3 of int16\); found 11"),
        (idx(0x0B, (2, 3), bytes(13)), "holds more than the 12 bytes"),
        (idx(0x0E, (2**32 - 1,) * 3, bytes(8)), r"of float64\); found 8"),
        (idx(0x0E, (0, *[2**32 - 1] * 3), b""), "no array that fits in memory: 0 bytes"),
    ],
)
def test_what_is_wrong_with_an_idx_file_is_said(tmp_path, data, message):
    with pytest.raises(ValueError, match=f"read_idx: .*wrong.*{message}"):
        read_idx(saved(tmp_path / "wrong", data))


def test_a_damaged_gzip_file_is_refused(tmp_path):
    numbers = np.random.default_rng(0).integers(0, 256, (40, 28, 28)).astype(np.uint8)
    data = gzip.compress(idx(0x08, numbers.shape, numbers.tobytes()))
    for length in [2, 5, 12, 100, len(data) // 2, len(data) - 8, len(data) - 1]:
        with pytest.raises(ValueError, match="is cut off: "):
            read_idx(saved(tmp_path / "cut", data[:length]))
    with pytest.raises(ValueError, match=r"expected 31360 bytes .*; found \d\d\d\d+$"):
        read_idx(saved(tmp_path / "cut", data[: len(data) // 2]))
    for extra in (b"x", data):  # a second part of a gzip file goes on with the first one's bytes
        with pytest.raises(ValueError, match=r"is a damaged gzip file|holds more than the 31360"):
            read_idx(saved(tmp_path / "long", data + extra))
    for place in range(0, len(data), 97):  # a byte changed: found out, or in a place that carries no data
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        with contextlib.suppress(ValueError):
            np.testing.assert_array_equal(read_idx(saved(tmp_path / "damaged", damaged)), numbers)
    damaged = bytearray(data)
    damaged[-6] ^= 1
    with pytest.raises(ValueError, match=r"is a damaged gzip file \(CRC check failed"):
        read_idx(saved(tmp_path / "damaged", damaged))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reading_takes_the_memory_of_the_array_and_a_lie_takes_none(tmp_path, pack):
    good = saved(tmp_path / "good", pack(idx(0x0C, (1 << 20,), (np.arange(1 << 20) // 1000).astype(">i4").tobytes())))
    lies = saved(tmp_path / "lies", pack(idx(0x08, (1 << 20, 1 << 20), bytes(1000))))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"expected 1099511627776 bytes"):
            read_idx(lies)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        numbers = read_idx(good)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * numbers.nbytes
    finally:
        tracemalloc.stop()
    assert numbers[[0, 1, -1]].tolist() == [0, 0, 1048]


def test_writing_is_checked(tmp_path):
    with pytest.raises(TypeError, match=r"dtype must be one of uint8, int8, .*, got int64"):
        write_idx(tmp_path / "x", np.arange(3))
    with pytest.raises(ValueError, match=r"expected 1 to 255 axes, .* got shape \(\)"):
        write_idx(tmp_path / "x", np.array(1.0))
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "x")


# --- MNIST


def digits_like(n=6, seed=0):
    stream = np.random.default_rng(seed)
    return stream.integers(0, 256, (n, 28, 28)).astype(np.uint8), stream.integers(0, 10, n).astype(np.uint8)


def fill(folder, part="train", images=None, labels=None, mark="-", end=""):
    folder.mkdir(parents=True, exist_ok=True)
    some_images, some_labels = digits_like()
    write_idx(folder / f"{part}-images{mark}idx3-ubyte{end}", some_images if images is None else images)
    write_idx(folder / f"{part}-labels{mark}idx1-ubyte{end}", some_labels if labels is None else labels)


@pytest.mark.parametrize("place", ["MNIST/raw", "MNIST", "."])
@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_the_usual_places_and_names(tmp_path, place, mark, end):
    fill(tmp_path / place, mark=mark, end=end)
    data = MNIST(str(tmp_path))
    images, labels = digits_like()
    assert data.data.dtype == minidl.uint8 and data.targets.dtype == minidl.int64
    np.testing.assert_array_equal(data.data.numpy(), images)
    np.testing.assert_array_equal(data.targets.numpy(), labels)
    with pytest.raises(FileNotFoundError, match="no t10k-images"):
        MNIST(tmp_path, train=False)


def test_items_are_those_of_to_tensor(tmp_path):
    fill(tmp_path)
    data, (images, labels) = MNIST(tmp_path), digits_like()
    x, y = data[2]
    assert x.dtype == minidl.float32 and x.shape == (1, 28, 28) and type(y) is int and y == labels[2]
    np.testing.assert_array_equal(x.numpy()[0], images[2].astype(np.float32) / np.float32(255))
    for index in (slice(None), slice(1, 5, 2), [3, 0], minidl.tensor([5, 5, 1]), np.array([2])):
        xs, ys = data[index]
        assert xs.dtype == minidl.float32 and ys.dtype == minidl.int64 and xs.shape == (len(ys), 1, 28, 28)
        for x, y, i in zip(xs, ys, np.arange(6)[index.numpy() if isinstance(index, minidl.Tensor) else index], strict=True):
            assert x.equal(data[int(i)][0]) and y.item() == data[int(i)][1]
    xs[:] = -1.0
    np.testing.assert_array_equal(data.data.numpy(), images)
    assert len(data) == len(list(data)) == 6 and data[-1][1] == labels[-1]
    with pytest.raises(IndexError):
        data[6]


def test_mnist_through_a_loader(tmp_path):
    fill(tmp_path)
    data = MNIST(tmp_path)
    one = [(x, y) for x, y in DataLoader(data, batch_size=4)]
    many = [(x, y) for x, y in DataLoader(TensorDataset(*data[:]), batch_size=4)]
    assert [x.shape for x, _ in one] == [(4, 1, 28, 28), (2, 1, 28, 28)]
    assert all(a.equal(c) and b.equal(d) for (a, b), (c, d) in zip(one, many, strict=True))


def test_transforms_of_mnist(tmp_path):
    fill(tmp_path)
    plain = MNIST(tmp_path)
    data = MNIST(tmp_path, True, lambda x: transforms.normalize(x, 0.1307, 0.3081), lambda y: 9 - y)
    for index in (1, slice(2, 4)):
        assert data[index][0].equal(transforms.normalize(plain[index][0], 0.1307, 0.3081))
        assert (data[index][1] + plain[index][1] == minidl.tensor(9)).all()
    with pytest.raises(TypeError, match="MNIST: transform must be a function or None, got True"):
        MNIST(tmp_path, True, True)


def test_names_of_mnist(tmp_path):
    fill(tmp_path / "FashionMNIST" / "raw", "t10k")
    data = FashionMNIST(tmp_path, train=False)
    assert data.class_to_idx["Ankle boot"] == 9 and MNIST.classes[3] == "3 - three"
    assert repr(data).splitlines() == [
        "Dataset FashionMNIST", "    Number of datapoints: 6", f"    Root location: {tmp_path}", "    Split: Test",
    ]  # fmt: skip
    assert data.raw_folder == tmp_path / "FashionMNIST" / "raw"
    with pytest.raises(FileNotFoundError):  # one data set's files are not another's
        MNIST(tmp_path, train=False)


def test_missing_files_are_told_with_places_and_remedies(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        MNIST(tmp_path)
    for part in [
        "MNIST: found no train-images-idx3-ubyte with train-labels-idx1-ubyte",
        *(f"\n  {tmp_path / place}" for place in ("MNIST/raw", "MNIST", "")),
        f"MNIST({str(tmp_path)!r}, download=True)",
        "copy the files of https://ossci-datasets.s3.amazonaws.com/mnist/",
    ]:
        assert part in str(caught.value)
    fill(tmp_path / "MNIST")
    next((tmp_path / "MNIST").glob("*labels*")).rename(tmp_path / "train-labels-idx1-ubyte")
    with pytest.raises(
        FileNotFoundError, match="beside it"
    ):  # images and labels from different folders may not belong together
        MNIST(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 28, 28), "u1"), np.zeros(3, "u1"), r"expected a byte for each of 2 images, got uint8 of shape \(3,\)"),
        (np.zeros((2, 28, 28), "u1"), np.zeros(2, "i4"), "expected a byte for each of 2 images, got int32"),
        (np.zeros((2, 28, 27), "u1"), np.zeros(2, "u1"), r"bytes of shape \(N, 28, 28\), got uint8 of shape \(2, 28, 27\)"),
        (np.zeros((2, 28, 28), "f4"), np.zeros(2, "u1"), "got float32 of shape"),
        (np.zeros((3, 28, 28), "u1"), np.array([9, 10, 9], "u1"), "labels must be 0 to 9, number 1 is 10"),
    ],
)  # fmt: skip
def test_promise_27_images_and_labels_are_checked(tmp_path, images, labels, message):
    fill(tmp_path, images=images, labels=labels)
    with pytest.raises(ValueError, match=message):
        MNIST(tmp_path)


def test_no_images_at_all(tmp_path):
    fill(tmp_path, images=np.zeros((0, 28, 28), "u1"), labels=np.zeros(0, "u1"))
    assert len(MNIST(tmp_path)) == 0 and MNIST(tmp_path)[:][0].shape == (0, 1, 28, 28)


# --- downloads


CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
ROOM = importlib.import_module("minidl.utils.data.network")


class Handler(http.server.BaseHTTPRequestHandler):
    """/how/file is answered in the manner `how`; the requests are noted as (how, Range)."""

    files, asked = {}, []

    def do_GET(self):
        _, how, name = self.path.split("/", 2)
        self.asked.append((how, self.headers.get("Range")))
        getattr(self, how)(self.files.get(name, CONTENT))

    def send(self, data, status=200, length=None, **headers):
        self.send_response(status)
        if length is not False:
            self.send_header("Content-Length", str(len(data) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def good(self, data, cut=None):
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
        if start >= len(data):
            return self.send(b"", 416, Content_Range=f"bytes */{len(data)}")
        rest, place = data[start:], f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send(rest[:cut], 206 if start else 200, len(rest), **({"Content_Range": place} if start else {}))

    def pieces(self, data):  # closes the connection after 70,000 bytes, knows ranges
        self.good(data, 70_000)

    def no_ranges(self, data):
        self.send(data)

    def half(self, data):  # always the first half only
        self.send(data[: len(data) // 2], length=len(data))

    def lengthless(self, data):
        self.send(data, length=False)

    def chunked(self, data):
        self.protocol_version = "HTTP/1.1"
        self.send(
            b"%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n", length=False, Transfer_Encoding="chunked", Connection="close"
        )

    def chunked_half(self, data):
        self.send(b"%x\r\n" % len(data) + data[:1000], length=False, Transfer_Encoding="chunked", Connection="close")

    def wrong(self, data):
        self.send(b"<html>Please log in</html>")

    def wrong_range(self, data):
        if "Range" in self.headers:
            return self.send(data[7:], 206, Content_Range=f"bytes 7-{len(data) - 1}/{len(data)}")
        self.send(data)

    def half_then_wrong_range(self, data):
        self.wrong_range(data) if "Range" in self.headers else self.half(data)

    def half_of_another(self, data):
        self.half(data[::-1])

    def silent(self, data):
        time.sleep(1)

    def stalls(self, data):
        self.send(data[:1000], length=len(data))
        time.sleep(1)

    def moved(self, data):
        self.send(b"", 302, Location=self.path.replace("moved", "good"))

    def __getattr__(self, name):
        if name.startswith("error"):
            return lambda data: self.send_error(int(name[5:]))
        raise AttributeError(name)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """The address of a server of this machine; `.asked` lists what it was asked."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.files, Handler.asked = {}, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        running.handle_error = lambda *args: None  # a client that hangs up is part of the tests
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("how", ["good", "no_ranges", "lengthless", "chunked", "moved"])
@pytest.mark.parametrize("checksum", [None, MD5, f"SHA256:{hashlib.sha256(CONTENT).hexdigest().upper()}"])
def test_a_download(server, tmp_path, how, checksum):
    path = tmp_path / "new" / "x.gz"
    assert download(f"{server}/{how}/x.gz", path, checksum) == path
    assert path.read_bytes() == CONTENT and files(path.parent) == ["x.gz"]
    assert path.stat().st_mode & 0o777 == saved(tmp_path / "other", b"").stat().st_mode & 0o777
    asked = list(Handler.asked)
    assert download([f"{server}/{how}/x.gz"], str(path), checksum) == path and Handler.asked == asked


def test_a_file_with_the_wrong_checksum_is_replaced(server, tmp_path):
    path = saved(tmp_path / "x", b"old")
    assert download(f"{server}/good/x", path).read_bytes() == b"old"
    with pytest.raises(RuntimeError, match="HTTP 404"):
        download(f"{server}/error404/x", path, MD5)
    assert path.read_bytes() == b"old" and files(tmp_path) == ["x"]
    assert download(f"{server}/good/x", path, MD5).read_bytes() == CONTENT


def test_a_connection_that_breaks_is_renewed(server, tmp_path):
    path = tmp_path / "x"
    assert download(f"{server}/pieces/x", path, MD5).read_bytes() == CONTENT
    assert Handler.asked == [("pieces", f"bytes={start}-" if start else None) for start in range(0, 300_000, 70_000)]


def test_a_server_that_never_comes_further_is_given_up(server, tmp_path):
    with pytest.raises(RuntimeError, match="half/x: the connection was closed after 150000 of 300000 bytes"):
        download(f"{server}/half/x", tmp_path / "x", MD5)
    assert len(Handler.asked) == 2 and files(tmp_path) == ["x.part"]
    with pytest.raises(RuntimeError, match=r"IncompleteRead.* after 1000 of an unknown number of bytes"):
        download(f"{server}/chunked_half/x", tmp_path / "y")
    assert files(tmp_path) == ["x.part"]  # without a checksum nobody could tell whether the rest fits


@pytest.mark.parametrize(
    ("how", "requests"), [("good", ["bytes=1000-"]), ("no_ranges", ["bytes=1000-"]), ("wrong_range", ["bytes=1000-", None])]
)
def test_a_download_goes_on_where_the_last_one_ended(server, tmp_path, how, requests):
    saved(tmp_path / "x.part", CONTENT[:1000])
    assert download(f"{server}/{how}/x", tmp_path / "x", MD5).read_bytes() == CONTENT
    assert Handler.asked == [(how, start) for start in requests] and files(tmp_path) == ["x"]


@pytest.mark.parametrize("left", [b"something else", CONTENT + b"more", CONTENT], ids=["other", "longer", "complete"])
def test_a_wrong_part_does_not_spoil_the_next_attempt(server, tmp_path, left):
    saved(tmp_path / "x.part", left)
    assert download(f"{server}/good/x", tmp_path / "x", MD5).read_bytes() == CONTENT
    assert files(tmp_path) == ["x"]


def test_a_part_is_not_trusted_without_a_checksum(server, tmp_path):
    saved(tmp_path / "x.part", CONTENT[:1000])
    assert download(f"{server}/good/x", tmp_path / "x").read_bytes() == CONTENT
    assert Handler.asked == [("good", None)] and files(tmp_path) == ["x", "x.part"]
    download([f"{server}/half_of_another/x", f"{server}/good/x"], tmp_path / "y")  # nor are two servers' parts put together
    assert (tmp_path / "y").read_bytes() == CONTENT
    with pytest.raises(RuntimeError, match="after 150000 of 300000 bytes"):
        download(f"{server}/half_then_wrong_range/x", tmp_path / "z")


def test_mirrors_are_tried_in_order_and_every_failure_is_told(server, tmp_path):
    hows = ["error404", "error500", "error429", "silent", "stalls", "wrong", "half"]
    urls = [f"{server}/{how}/x" for how in hows]
    with pytest.raises(RuntimeError) as caught:
        download(urls, tmp_path / "x", MD5, timeout=0.2)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"download: could not get x (md5 {MD5[4:]}):"
    assert lines[-1] == f"Where there is no network, copy the file to {tmp_path / 'x'} from elsewhere."
    page = hashlib.md5(b"<html>Please log in</html>").hexdigest()
    expected = [
        "HTTP 404 Not Found",
        "HTTP 500 Internal Server Error",
        "HTTP 429 Too Many Requests",
        "no connection: timed out",
        "timed out after 1000 of 300000 bytes",
        f"md5 is {page}",
        "the connection was closed after 150000 of 300000 bytes",
    ]
    for line, url, reason in zip(lines[1:-1], urls, expected, strict=True):
        assert line.startswith(f"  {url}: ") and reason in line
    assert files(tmp_path) == ["x.part"]
    Handler.asked.clear()
    download([urls[0], f"{server}/good/x", f"{server}/pieces/x"], tmp_path / "x", MD5)
    assert Handler.asked == [("error404", "bytes=150000-"), ("good", "bytes=150000-")]


def test_no_network(server, tmp_path):
    with pytest.raises(RuntimeError, match=r"http://127.0.0.1:9/x: no connection: .*refused"):
        download("http://127.0.0.1:9/x", tmp_path / "x")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "checksum", "message"),
    [
        ("file:///etc/passwd", None, "starts with http:// or https://, got 'file:///etc/passwd'"),
        ("http://x/y", "md5:12", "like 'md5:…' with 32 hexadecimal digits, got 'md5:12'"),
        ("http://x/y", "0123456789", "like 'md5:…' or 'sha256:…', got '0123456789'"),
        ("http://x/y", "shake_128:00", "like 'md5:…' or 'sha256:…'"),
    ],
)
def test_arguments_are_checked_before_anything_is_asked(tmp_path, url, checksum, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        download(url, tmp_path / "x", checksum)


def test_a_full_disk_is_told_and_the_part_kept(server, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            download(f"{server}/good/x", tmp_path / "x", MD5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(tmp_path) == ["x.part"]
    kept = (tmp_path / "x.part").read_bytes()
    assert len(kept) > 60_000 and CONTENT.startswith(kept)
    assert download(f"{server}/good/x", tmp_path / "x", MD5).read_bytes() == CONTENT
    assert Handler.asked[-1] == ("good", f"bytes={len(kept)}-")


def test_processes_that_download_the_same_file_at_once(server, tmp_path):
    saved(tmp_path / "x.part", CONTENT[:1000])
    code = "import sys; from minidl.utils.data import download; download(*sys.argv[1:])"
    command = [sys.executable, "-c", code, f"{server}/pieces/x", str(tmp_path / "x"), MD5]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert (tmp_path / "x").read_bytes() == CONTENT and files(tmp_path) == ["x"]


def test_what_a_killed_process_left_is_taken_over_when_it_is_old(server, tmp_path):
    left = saved(tmp_path / "x.123-abcd.part", CONTENT[:500])
    download(f"{server}/good/x", tmp_path / "x", MD5)
    assert Handler.asked == [("good", None)] and files(tmp_path) == ["x", "x.123-abcd.part"]  # its owner may be alive
    (tmp_path / "x").unlink()
    os.utime(left, (0, 0))
    download(f"{server}/good/x", tmp_path / "x", MD5)
    assert Handler.asked[1:] == [("good", "bytes=500-")] and files(tmp_path) == ["x"]


def test_an_interrupted_download_leaves_its_part(server, tmp_path, monkeypatch):
    def interrupt(self, size, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(ROOM._Progress, "show", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download(f"{server}/good/x", tmp_path / "x", MD5)
    assert files(tmp_path) == ["x.part"] and CONTENT.startswith((tmp_path / "x.part").read_bytes())


def test_progress_is_shown_on_a_terminal_only(server, tmp_path, capsys, monkeypatch):
    download(f"{server}/good/x", tmp_path / "a")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    download(f"{server}/good/x", tmp_path / "b", quiet=True)
    assert capsys.readouterr() == ("", "")
    download(f"{server}/lengthless/x", tmp_path / "c")
    download(f"{server}/good/x", tmp_path / "d")
    shown = capsys.readouterr().err
    assert re.search(r"\rc: \d\.\d MB +\n", shown) and re.search(r"\rd: 0\.3 of 0\.3 MB, 100% +\n$", shown)
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    download(f"{server}/good/x", tmp_path / "e")


# --- MNIST from a server


class Local(FashionMNIST):
    """A data set of this form with its own mirrors."""


@pytest.fixture
def mirrored(server, monkeypatch):
    images, labels = (idx(0x08, a.shape, a.tobytes()) for a in digits_like())
    Handler.files = {f"{part}-images-idx3-ubyte.gz": gzip.compress(images) for part in ("train", "t10k")}
    Handler.files |= {f"{part}-labels-idx1-ubyte.gz": gzip.compress(labels) for part in ("train", "t10k")}
    sums = [(name, hashlib.md5(data).hexdigest()) for name, data in Handler.files.items()]
    monkeypatch.setattr(Local, "resources", sums)
    monkeypatch.setattr(Local, "mirrors", [f"{server}/error503/", f"{server}/good/"])


def test_mnist_downloads_what_is_missing_and_only_that(mirrored, tmp_path):
    data = Local(tmp_path, download=True)
    np.testing.assert_array_equal(data.data.numpy(), digits_like()[0])
    assert files(tmp_path / "Local" / "raw") == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    assert len(Handler.asked) == 4
    Local(tmp_path, download=True)
    assert len(Handler.asked) == 4
    Local(tmp_path, train=False, download=True)
    assert len(Handler.asked) == 8 and len(files(tmp_path / "Local" / "raw")) == 4


def test_files_that_were_put_there_by_hand_are_not_downloaded(mirrored, tmp_path):
    fill(tmp_path, mark=".")
    Local(tmp_path, download=True)
    assert not Handler.asked


def test_a_mnist_with_the_wrong_bytes_is_refused(mirrored, tmp_path, monkeypatch):
    monkeypatch.setattr(Local, "mirrors", [Local.mirrors[1].replace("good", "wrong")])
    with pytest.raises(RuntimeError, match=r"could not get train-images-idx3-ubyte.gz \(md5 .*\n.*: md5 is "):
        Local(tmp_path, download=True)
    assert files(tmp_path / "Local" / "raw") == []


def test_the_real_resources_are_well_formed():
    for dataset in (MNIST, FashionMNIST):
        assert [name for name, _ in dataset.resources] == [
            f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
        ]
        assert len({md5 for _, md5 in dataset.resources}) == 4
        assert all(re.fullmatch("[0-9a-f]{32}", md5) for _, md5 in dataset.resources)
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in dataset.mirrors)
        assert len(dataset.classes) == 10
