"""Files that end in .safetensors, in both directions, and state_dicts that the package itself is given."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import nn

from .test_io import same

ROOT = Path(__file__).parent.parent


@pytest.fixture
def model():
    minidl.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_safetensors_by_the_name_of_the_file(tmp_path, model):
    numpys = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "x.safetensors"
    minidl.save(model.state_dict(), path)
    for found in (numpys.load_file(path), minidl.load(path), minidl.load(str(path), map_location="cpu", weights_only=True)):
        assert set(found) == set(model.state_dict())
        for name, x in model.state_dict().items():
            y = np.asarray(found[name])
            assert y.shape == x.shape and y.dtype == x.dtype and (y == x.numpy()).all()
    assert list(minidl.load(path)) == sorted(model.state_dict())
    assert all(type(x) is minidl.Tensor and x.array.flags.writeable for x in minidl.load(path).values())
    again = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    again.load_state_dict(minidl.load(path))
    assert same(again.state_dict(), model.state_dict())
    before = path.read_bytes()
    minidl.save(model.state_dict(), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("dtype", minidl.tensors.dtypes.SUPPORTED)
def test_safetensors_of_every_dtype_and_order_of_memory(tmp_path, dtype):
    pytest.importorskip("safetensors")
    x = minidl.arange(12).reshape(3, 4).to(dtype)
    obj = {"x": x, "t": x.t(), "part": x[::2, 1:], "number": x[1, 1], "empty": x[:0]}
    minidl.save(obj, tmp_path / "x.safetensors")
    assert all(same(y, obj[name].contiguous()) for name, y in minidl.load(tmp_path / "x.safetensors").items())


def test_an_open_file_of_that_name(tmp_path, model):
    pytest.importorskip("safetensors")
    path = tmp_path / "x.safetensors"
    with open(path, "wb") as file:
        minidl.save(model.state_dict(), file)
    with open(path, "rb") as file:
        assert len(minidl.load(file)) == len(minidl.load(path)) == len(model.state_dict())
    with open(path, "w+") as file, pytest.raises(TypeError, match='open it with "wb"'):
        minidl.save(model.state_dict(), file)


def test_safetensors_of_pytorch(tmp_path, model):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("safetensors.torch")
    state = {
        "h": torch.tensor([1.5, -3e-5]).half(),
        "b": torch.tensor([1.5, 3e38]).bfloat16(),
        "f": torch.arange(6.0).reshape(2, 3),
    }
    theirs.save_file(state, tmp_path / "theirs.safetensors")
    found = minidl.load(tmp_path / "theirs.safetensors")
    assert {name: x.tolist() for name, x in found.items()} == {name: x.tolist() for name, x in state.items()}
    assert {x.dtype for x in found.values()} == {minidl.float32}
    minidl.save(model.state_dict(), tmp_path / "ours.safetensors")
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    net.load_state_dict(theirs.load_file(tmp_path / "ours.safetensors"))
    assert net[2].weight.tolist() == model[2].weight.tolist()


def test_the_package_itself_takes_a_state_dict(model):
    numpys = pytest.importorskip("safetensors.numpy")
    found = numpys.load(numpys.save(dict(model.state_dict())))
    assert all((found[name] == x.numpy()).all() for name, x in model.state_dict().items())
    with pytest.raises(ValueError, match=r"ctypes: .* do not lie in order; use \.contiguous\(\)"):
        numpys.save({"x": minidl.ones(2, 3).t()})  # of an ndarray it would write other numbers


def test_what_safetensors_cannot_hold(tmp_path):
    pytest.importorskip("safetensors")
    for obj, got in [([minidl.ones(1)], "got list"), ({"a": 1}, "got int under 'a'"), ({1: minidl.ones(1)}, "Tensor under 1")]:
        with pytest.raises(TypeError, match=rf"save: a \.safetensors file holds .*{got}"):
            minidl.save(obj, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_damaged_safetensors(tmp_path):
    numpys = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "x.safetensors"
    whole = numpys.save({"x": np.ones(3), "y": np.ones(2, np.uint16)})
    for content in (b"", whole[:20], whole[:-1], b"PK" + whole, whole + b"x"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"load: .*x\.safetensors is no file of safetensors, or is damaged"):
            minidl.load(path)
    path.write_bytes(whole)
    with pytest.raises(TypeError, match="load: 'y' has the type U16, which no tensor has"):
        minidl.load(path)
    with pytest.raises(FileNotFoundError):
        minidl.load(tmp_path / "none.safetensors")


def test_under_another_name_the_error_says_what_it_is(tmp_path, model):
    numpys = pytest.importorskip("safetensors.numpy")
    (tmp_path / "x.bin").write_bytes(numpys.save({"x": np.ones(3)}))
    with pytest.raises(ValueError, match=r"load: .*x\.bin is not .* but as a file of safetensors.* ends in \.safetensors"):
        minidl.load(tmp_path / "x.bin")


def test_without_the_package_the_error_says_how_to_get_it():
    code = """
import sys
sys.modules["safetensors"] = None  # as if it were not installed
import minidl
for call in (lambda: minidl.save({}, "x.safetensors"), lambda: minidl.load("x.safetensors")):
    try:
        call()
    except ModuleNotFoundError as error:
        print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.count("need the package safetensors: pip install minidl[safetensors]") == 2


def test_import_does_not_load_the_package():
    code = "import sys, minidl; print([name for name in ('safetensors', 'torch', 'jax') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "[]"
