"""save and load."""

from collections import OrderedDict

import numpy as np
import pytest

import minidl


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
