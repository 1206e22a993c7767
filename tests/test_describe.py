"""x.describe() against NumPy, and what a notebook shows of a tensor: of bounded size, escaped, without an error."""

import base64
import io
import re
import struct
import zlib

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.tensors import describing

INF, NAN = float("inf"), float("nan")


def pixels(text):
    """The picture in the HTML, as an array, read by the rules of PNG."""
    data = base64.b64decode(re.search(r"base64,([^\"]*)", text)[1])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    file, found = io.BytesIO(data[8:]), {}
    while head := file.read(8):
        length, kind = struct.unpack(">I4s", head)
        found[kind] = file.read(length)
        assert struct.unpack(">I", file.read(4))[0] == zlib.crc32(kind + found[kind])
    w, h, *rest = struct.unpack(">IIBBBBB", found[b"IHDR"])
    assert rest == [8, 2, 0, 0, 0] and b"IEND" in found
    rows = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(h, 1 + 3 * w)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(h, w, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("view", [lambda x: x, lambda x: x.T, lambda x: x[::2, 1:]])
def test_the_numbers_are_numpys(dtype, view):
    x = view((np.random.default_rng(0).normal(size=(301, 400)) * 20 + 60).clip(50, 255).astype(dtype))
    x.flat[:7] = 0
    found = describing.statistics(x)
    wide = x.astype(np.float64)
    assert (found["min"], found["max"], found["zeros"]) == (wide.min(), wide.max(), (wide == 0).sum())
    assert found["n"] == found["finite"] == x.size
    np.testing.assert_allclose([found["mean"], found["std"]], [wide.mean(), wide.std(ddof=1)], rtol=1e-12)
    assert isinstance(found["min"], int) == (x.dtype.kind != "f")


def test_the_text_of_floats_ints_bools_and_of_nothing():
    x = minidl.tensor([[0.0, -1.5], [2.0, 1e6]])
    assert str(x.describe()).splitlines() == [
        "shape (2, 2), float32, 16 bytes", "min -1.5, mean 250000, max 1e+06, std 500000", "zeros 25.0%, NaN 0, inf 0",
        "requires_grad False",
    ]  # fmt: skip
    assert repr(x.describe()) == str(x.describe())
    assert minidl.tensor([3, -1234567]).describe().splitlines()[1:3] == [
        "min -1,234,567, mean -617282, max 3, std 872973",
        "zeros 0.0%",
    ]
    assert minidl.tensor([True, False, True]).describe().splitlines()[1:] == ["True 2 of 3, 66.7%", "requires_grad False"]
    assert minidl.zeros(0, 3).describe().splitlines()[:2] == ["shape (0, 3), float32, 0 bytes", "no elements"]
    assert minidl.tensor(2.0).describe().splitlines()[:2] == [
        "shape (), float32, 4 bytes", "min 2, mean 2, max 2, std undefined",
    ]  # fmt: skip
    big = 2**62 + 1
    assert f"min {big:,}," in minidl.tensor([big, big]).describe()


def test_what_is_not_finite_is_counted_and_left_out():
    x = minidl.tensor([NAN, 1.0, INF, -INF, 3.0, NAN, NAN])
    assert x.describe().splitlines()[1:3] == ["of the finite: min 1, mean 2, max 3, std 1.41421", "zeros 0.0%, NaN 3, inf 2"]
    assert minidl.tensor([NAN, NAN]).describe().splitlines()[1] == "zeros 0.0%, NaN 2, inf 0"
    assert "std inf" in minidl.tensor([1e300, -1e300], dtype=minidl.float64).describe()


def test_the_graph_is_named_and_left_alone():
    w = minidl.ones(3, requires_grad=True)
    assert w.describe().splitlines()[-1] == "requires_grad True, a leaf, no grad yet"
    y = w.exp()
    y.retain_grad()
    assert y.describe().splitlines()[-1] == "requires_grad True, made by Exp"
    node = y.node
    y._repr_html_()
    (y * 2).describe()  # whose .grad would warn
    assert y.node is node and w.grad is None
    y.sum().backward()
    assert w.describe().endswith("requires_grad True, a leaf, has a grad")
    assert y.describe().endswith("made by Exp, has a grad")
    w.requires_grad_(False)
    assert w.describe().endswith("requires_grad False, has a grad")
    assert nn.Linear(2, 1).weight.describe().endswith("a leaf, no grad yet")
    assert "made by QR" in minidl.linalg.qr(minidl.eye(2, requires_grad=True))[0].describe()


def test_a_matrix_is_a_heat_map():
    x = minidl.tensor([[0.0, 1.0, -1.0, NAN], [INF, 0.25, -0.25, 0.0]])
    text = x._repr_html_()
    found = pixels(text)
    assert found.shape == (2, 4, 3)
    assert found[0].tolist() == [[255, 255, 255], [179, 84, 30], [27, 99, 150], [200, 0, 200]]
    assert found[1].tolist() == [[0, 160, 0], [217, 170, 142], [141, 177, 202], [255, 255, 255]]  # roots: half of the way
    assert "blue −1, white 0, orange 1, magenta NaN, green infinite" in text and "NaN 1, inf 1" in text


def test_a_large_matrix_is_shown_by_means_of_blocks_in_which_nan_stays():
    x = np.zeros((130, 65), np.float32)
    x[:3, :2], x[129, 64], x[60, 30] = 2.0, 8.0, NAN
    means, note = describing._means(x)
    assert means.shape == (44, 33) and note == "; each cell is the mean of 3 × 2 numbers"
    assert means[0, 0] == 2.0 and means[43, 32] == 8.0  # the last block holds one number
    assert np.isnan(means[20, 15]) and np.isnan(means).sum() == 1
    rows = [x[i : i + 3, j : j + 2].mean(dtype=np.float64) for i in range(0, 130, 3) for j in range(0, 65, 2)]
    np.testing.assert_allclose(means.ravel(), rows, rtol=1e-12)
    assert pixels(minidl.tensor(x)._repr_html_()).shape == (44, 33, 3)


def test_images_are_tiles_from_black_to_white():
    x = np.zeros((10, 3, 8, 9), np.float32)
    x[0, 0], x[1, :, 2, 3], x[2, 1, 0, 0] = 4.0, 2.0, NAN
    text = minidl.tensor(x)._repr_html_()
    found = pixels(text)
    assert found.shape == (8, 8 * 10 - 1, 3) and (found[:, 9] == 128).all()
    assert (found[:, :9] == [255, 0, 0]).all() and found[2, 13].tolist() == [128, 128, 128]
    assert found[0, 20].tolist() == [200, 0, 200]
    assert "black 0, white 4, magenta NaN, green infinite; the first 8 of 10" in text
    assert pixels(minidl.ones(1, 8, 8)._repr_html_()).shape == (8, 8, 3)


@pytest.mark.parametrize(
    "x",
    [
        minidl.tensor(1.0),
        minidl.zeros(0, 3),
        minidl.zeros(3, 0, 8, 8),
        minidl.zeros(0, 1, 8, 8),
        minidl.arange(100).reshape(10, 10),
        minidl.ones(5, 5) > 0,
        minidl.zeros(9, 9),
        minidl.full((9, 9), NAN),
        minidl.full((9, 9), -INF),
        minidl.full((9, 9), 1e308, dtype=minidl.float64),
        minidl.ones(2, 3, 4, 5, 6),
        minidl.ones(1, 4000),
        minidl.ones(600, 600),
        minidl.ones(9, 9).T[::2],
        nn.Parameter(minidl.ones(9, 9)),
    ],
    ids=lambda x: f"{x.dtype}{x.shape}",
)
def test_every_tensor_has_html_of_bounded_size(x):
    text = x._repr_html_()
    assert text.startswith("<div><pre>") and len(text) < 60_000
    if "<img" in text:
        assert pixels(text).size <= 3 * 64 * (8 * 65)


def test_html_is_escaped_cut_and_never_raises():
    class Odd(minidl.Tensor):
        def __repr__(self):
            return "<b>" + "x" * 50_000

    text = Odd([[1.0, 2.0]])._repr_html_()
    assert "&lt;b&gt;xx" in text and "<b>" not in text and len(text) < 25_000 and "30,003 letters more" in text
    y = (minidl.ones(3, requires_grad=True) * 2)._repr_html_()
    assert "grad_fn=&lt;MulBackward0&gt;" in y and "made by Mul" in y

    class Broken(minidl.Tensor):
        def __repr__(self):
            raise KeyError("no")

    assert Broken([1.0])._repr_html_() is None
    lazy = nn.LazyLinear(3).weight
    assert lazy._repr_html_() is None
    with pytest.raises(RuntimeError, match="there is none before the lazy module has seen a first input"):
        lazy.describe()
