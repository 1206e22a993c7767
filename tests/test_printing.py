"""The text of tensors: PyTorch's strings (hard-coded, for machines without PyTorch), and a random comparison."""

import numpy as np
import pytest

from minidl.tensors import printing
from minidl.tensors.printing import format_tensor, set_printoptions

nan, inf = np.nan, np.inf


@pytest.fixture(autouse=True)
def default_options():
    set_printoptions(profile="default")
    yield
    set_printoptions(profile="default")


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.float32(1.6855), "tensor(1.6855)"),
        (np.float32([1, 2, 3]), "tensor([1., 2., 3.])"),
        (np.float32([1, -2.5]), "tensor([ 1.0000, -2.5000])"),
        (np.float32([[1, 1e4], [0.5, 0]]), "tensor([[1.0000e+00, 1.0000e+04],\n        [5.0000e-01, 0.0000e+00]])"),
        (np.float32([1e-5, 1]), "tensor([1.0000e-05, 1.0000e+00])"),
        (np.float32([1e9]), "tensor([1.0000e+09])"),
        (np.float32([123456789]), "tensor([1.2346e+08])"),
        (np.float32([3e38, 1e-45]), "tensor([3.0000e+38, 1.4013e-45])"),
        (np.float32([nan, inf, -inf, 2]), "tensor([nan, inf, -inf, 2.])"),
        (np.float32([nan, inf]), "tensor([nan, inf])"),
        (np.float32([-0.0, 0]), "tensor([-0., 0.])"),
        (np.float32([1.5, nan, -inf]), "tensor([1.5000,    nan,   -inf])"),
        (np.array([0.1]), "tensor([0.1000], dtype=minidl.float64)"),
        (np.int64(3), "tensor(3)"),
        (np.array([[1, -20], [300, 4]]), "tensor([[  1, -20],\n        [300,   4]])"),
        (np.int32([1, 2]), "tensor([1, 2], dtype=minidl.int32)"),
        (np.uint8([1, 2]), "tensor([1, 2], dtype=minidl.uint8)"),
        (np.bool_(True), "tensor(True)"),
        (np.array([True, False]), "tensor([ True, False])"),
        (np.float32([]), "tensor([])"),
        (np.zeros((0, 3), np.float32), "tensor([], size=(0, 3))"),
        (np.int64([]), "tensor([], dtype=minidl.int64)"),
        (np.zeros((2, 0), bool), "tensor([], size=(2, 0), dtype=minidl.bool)"),
        (np.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    ],
)
def test_one_line(array, text):
    assert format_tensor(array) == text


def test_nesting():
    text = """tensor([[[ 0,  1,  2,  3],
         [ 4,  5,  6,  7],
         [ 8,  9, 10, 11]],

        [[12, 13, 14, 15],
         [16, 17, 18, 19],
         [20, 21, 22, 23]]])"""
    array = np.arange(24).reshape(2, 3, 4)
    assert format_tensor(array) == text
    assert format_tensor(array.transpose(2, 0, 1).copy().transpose(1, 2, 0)) == text  # the memory order does not show
    assert format_tensor(array, prefix="MyTensor(") == text.replace("tensor", "MyTensor").replace("\n ", "\n   ")


def test_a_line_is_full():
    text = """tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11., 12., 13.,
        14., 15., 16., 17., 18., 19., 20., 21., 22., 23., 24., 25., 26., 27.,
        28., 29.])"""
    assert format_tensor(np.arange(30, dtype=np.float32)) == text


def test_a_summary():
    text = """tensor([[0.0000e+00, 1.4286e-01, 2.8571e-01,  ..., 5.2857e+00, 5.4286e+00,
         5.5714e+00],
        [5.7143e+00, 5.8571e+00, 6.0000e+00,  ..., 1.1000e+01, 1.1143e+01,
         1.1286e+01],
        [1.1429e+01, 1.1571e+01, 1.1714e+01,  ..., 1.6714e+01, 1.6857e+01,
         1.7000e+01],
        ...,
        [1.5429e+02, 1.5443e+02, 1.5457e+02,  ..., 1.5957e+02, 1.5971e+02,
         1.5986e+02],
        [1.6000e+02, 1.6014e+02, 1.6029e+02,  ..., 1.6529e+02, 1.6543e+02,
         1.6557e+02],
        [1.6571e+02, 1.6586e+02, 1.6600e+02,  ..., 1.7100e+02, 1.7114e+02,
         1.7129e+02]])"""
    assert format_tensor((np.arange(1200, dtype=np.float32) / 7).reshape(30, 40)) == text
    hidden = np.ones(2000, np.float32)
    hidden[1000] = 1e30  # does not choose the format
    assert format_tensor(hidden) == "tensor([1., 1., 1.,  ..., 1., 1., 1.])"


def test_suffixes():
    x = np.full(8, 0.12345)
    row = "tensor([0.1235, 0.1235, 0.1235, 0.1235, 0.1235, 0.1235, 0.1235, 0.1235"
    new_line = ",\n       "
    assert format_tensor(x.astype(np.float32), suffix_parts=["requires_grad=True"]) == f"{row}]{new_line}requires_grad=True)"
    text = f"{row}]{new_line}dtype=minidl.float64, grad_fn=<MulBackward0>)"
    assert format_tensor(x, suffix_parts=("grad_fn=<MulBackward0>",)) == text
    text = "tensor(0.9876, dtype=minidl.float64, grad_fn=<SumBackward0>)"
    assert format_tensor(x.sum(), suffix_parts=("grad_fn=<SumBackward0>",)) == text


def test_options():
    x = np.float32([1.12345, 100.5])
    set_printoptions(precision=2)
    assert format_tensor(x) == "tensor([  1.12, 100.50])"
    set_printoptions(sci_mode=True)
    assert format_tensor(x) == "tensor([1.12e+00, 1.00e+02])"
    set_printoptions(profile="short", threshold=5)
    assert format_tensor(np.arange(9)) == "tensor([0, 1,  ..., 7, 8])"
    set_printoptions(profile="full")
    assert format_tensor(np.arange(3000)).count(",") == 2999
    set_printoptions(profile="default", sci_mode=False)
    assert format_tensor(np.float32([1e-5, 1])) == "tensor([0.0000, 1.0000])"
    with pytest.raises(ValueError, match=r"set_printoptions.*'long'"):
        set_printoptions(profile="long")


OPTIONS = (
    {},
    {"precision": 2},
    {"precision": 0},
    {"profile": "short"},
    {"profile": "full", "precision": 7},
    {"threshold": 10, "edgeitems": 1},
    {"threshold": 5, "edgeitems": 0},
    {"linewidth": 40},
    {"sci_mode": True},
    {"sci_mode": False},
)


def random_array(rng):
    dtype = rng.choice(["float32", "float64", "int64", "int32", "uint8", "bool"])
    sides = [1, 300, 40, 14, 7, 5]
    ndim = rng.integers(0, 6)
    shape = tuple(rng.integers(rng.random() > 0.1, sides[ndim] + 1, ndim).tolist())
    if rng.random() < 0.1:
        shape = (int(rng.integers(1, 4)), int(rng.integers(1, 1100)))
    if dtype == "bool":
        return rng.random(shape) < rng.random()
    if dtype.startswith("float"):
        x = rng.standard_normal(shape) * 10.0 ** rng.integers(-12, 13)
        kind = rng.integers(5)
        if kind < 2:
            x = np.round(rng.standard_normal(shape) * 10.0 ** rng.integers(0, 3 + 8 * kind))
        elif kind == 2:
            x = rng.standard_normal(shape) * 10.0 ** rng.uniform(-42, 37, shape)
        elif kind == 3:
            x = rng.random(shape)
        x = np.array(x, dtype)
        if rng.random() < 0.4:
            for special in (nan, inf, -inf, -0.0, 0.0):
                x[rng.random(shape) < rng.choice([0, 0.1, 0.5])] = special
        return x
    bound = int(10 ** rng.uniform(0, 18))
    limits = np.iinfo(dtype)
    return np.array(rng.integers(max(limits.min, -bound), min(limits.max, bound), shape, endpoint=True), dtype)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_random_arrays_print_as_in_pytorch(options, monkeypatch):
    torch = pytest.importorskip("torch")
    strings = pytest.importorskip("torch._tensor_str")
    monkeypatch.setattr(strings, "PRINT_OPTS", type(strings.PRINT_OPTS)())
    add_suffixes = strings._add_suffixes

    def renamed(text, suffixes, *rest, **options):  # before the lines are filled: the names differ in length
        return add_suffixes(text, [suffix.replace("torch.", "minidl.") for suffix in suffixes], *rest, **options)

    monkeypatch.setattr(strings, "_add_suffixes", renamed)
    torch.set_printoptions(**options)
    set_printoptions(**options)
    rng = np.random.default_rng(sum(map(ord, str(options))))
    for i in range(120):
        array = random_array(rng)
        tensor, suffixes = torch.from_numpy(array if array.ndim else array[None].copy()).view(array.shape), ()
        if array.dtype.kind == "f" and i % 3:
            tensor = tensor.clone().requires_grad_()
            suffixes = ("requires_grad=True",)
            if i % 3 == 2:
                tensor, suffixes = tensor.neg().neg(), ("grad_fn=<NegBackward0>",)
        assert format_tensor(array, suffix_parts=suffixes) == repr(tensor)


def test_the_options_are_pytorchs():
    strings = pytest.importorskip("torch._tensor_str")
    assert vars(printing._options) == vars(type(strings.PRINT_OPTS)())
