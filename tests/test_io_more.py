"""Files as ordinary programs use them: shared memory, leaves, NumPy's arrays, a resumed training, and .safetensors."""

import io
import json
import random
from collections import Counter, OrderedDict

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.optim import lr_scheduler
from minidl.utils.data import DataLoader, TensorDataset

from .test_file_attacks import archive, mutant, npy, text
from .test_io import same

T = minidl


def round_trip(obj, **options):
    file = io.BytesIO()
    minidl.save(obj, file)
    file.seek(0)
    return minidl.load(file, **options)


def arrays_in(obj):
    file = io.BytesIO()
    minidl.save(obj, file)
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "structure.json"}


# --- Options of load


@pytest.mark.parametrize("place", [None, "cpu", minidl.device("cpu"), {"cuda:0": "cpu"}, {}])
@pytest.mark.parametrize("weights_only", [True, False, None])
def test_load_takes_what_changes_nothing(place, weights_only):
    assert round_trip({"x": minidl.ones(2)}, map_location=place, weights_only=weights_only)["x"].tolist() == [1, 1]


def test_load_refuses_what_would_change_something():
    for place in ("cuda", "cuda:0", "mps", 3, {"cpu": "cuda"}, lambda storage, location: storage):
        with pytest.raises(ValueError, match=r'load: map_location=.*use map_location="cpu"'):
            round_trip(1, map_location=place)
    with pytest.raises(ValueError, match="no pickles"):
        round_trip(1, pickle_module=json)
    with pytest.raises(NotImplementedError, match="mmap=True is not supported"):
        round_trip(1, mmap=True)
    with pytest.raises(TypeError, match="weights_only must be True or False"):
        round_trip(1, weights_only="yes")


# --- Shared memory


def test_tied_weights_are_tied_again_and_once_in_the_file():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    state = model.state_dict()
    assert len(arrays_in(state)) == 3
    back = round_trip(state)
    assert back["0.weight"].data_ptr() == back["1.weight"].data_ptr() != model[0].weight.data_ptr()
    assert all(same(back[key], state[key]) for key in state) and list(back) == list(state)
    back["0.weight"].zero_()
    assert not back["1.weight"].any() and model[0].weight.any()


VIEWS = {
    "rows": lambda x: x[1:3],
    "column": lambda x: x[:, 1],
    "transpose": lambda x: x.t(),
    "steps": lambda x: x[::2, 1::2],
    "all": lambda x: x.detach(),
    "flat": lambda x: x.view(-1),
    "repeated": lambda x: x[0].expand(3, 4),
    "element": lambda x: x[2, 3],
    "backwards": lambda x: minidl.from_numpy(x.array[::-1, ::-1]),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_one_again(name, first):
    x = minidl.arange(12.0).reshape(3, 4).clone()
    view = VIEWS[name](x)
    pair = round_trip([x, view] if first else [view, x])
    y, shown = pair if first else pair[::-1]
    assert same(y, x) and same(shown.contiguous(), view.contiguous()) and np.shares_memory(y.array, shown.array)
    y.mul_(2.0)
    assert shown.tolist() == (2 * view).tolist()
    assert shown.array.flags.writeable == view.array.flags.writeable
    assert len(arrays_in([x, view])) == 1


def test_views_that_overlap_without_their_base():
    x = minidl.arange(10.0)
    a, b, c, apart = round_trip([x[:5], x[3:8], x[4:6], x[9:]])
    assert [a.tolist(), b.tolist(), c.tolist()] == [[0, 1, 2, 3, 4], [3, 4, 5, 6, 7], [4, 5]] and apart.tolist() == [9]
    a[4] = 70.0
    assert b[1] == c[0] == 70 and not np.shares_memory(a.array, apart.array)
    stored = arrays_in([x[::3], x[3::3]])
    assert [array.tolist() for array in stored.values()] == [[0, 0, 0, 3, 0, 0, 6, 0, 0, 9]]  # nothing that nobody saved


def test_parts_of_one_share_with_it_wherever_they_are():
    x = minidl.arange(10.0)
    whole, first, later = round_trip([x, x[1:2], x[5:8]])
    whole.add_(1.0)
    assert first.tolist() == [2] and later.tolist() == [6, 7, 8] and len(arrays_in([x[5:8], x[1:2], x])) == 1


def test_neighbours_share_nothing():
    x = minidl.arange(6.0)
    assert [array.tolist() for array in arrays_in([x[:3], x[3:], x[:0]]).values()] == [[0, 1, 2], [3, 4, 5], []]


def test_one_object_twice_is_one_object():
    w, a = minidl.ones(2, requires_grad=True), np.ones(2)
    back = round_trip({"first": w, "again": [w, w.detach(), a], "array": a})
    assert back["first"] is back["again"][0] is not back["again"][1] and back["array"] is back["again"][2]
    assert back["first"].data_ptr() == back["again"][1].data_ptr() and not back["again"][1].requires_grad


def test_memory_as_two_types_is_refused():
    a = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match=r"save: an array of int32 shares memory with one of float32.*\.clone\(\)"):
        round_trip([minidl.from_numpy(a), minidl.from_numpy(a.view(np.int32))])


# --- Leaves, Parameters


def test_what_requires_grad_requires_it_again():
    w = minidl.ones(2, requires_grad=True)
    frozen = nn.Parameter(minidl.zeros(2), requires_grad=False)
    w.grad = minidl.ones(2)
    leaf, result, plain, parameter, frozen = round_trip([w, w * 2, w.detach(), nn.Parameter(minidl.ones(3)), frozen])
    assert leaf.requires_grad and leaf.is_leaf and leaf.grad is None and result.requires_grad and result.is_leaf
    assert type(leaf) is minidl.Tensor and not plain.requires_grad
    assert type(parameter) is type(frozen) is nn.Parameter and parameter.requires_grad and not frozen.requires_grad
    (leaf * parameter[:2]).sum().backward()
    assert leaf.grad.tolist() == [1, 1] and parameter.grad.tolist() == [1, 1, 0]


# --- NumPy's


DTYPES = [*"float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool >f4 >i8".split()]  # noqa: SIM905


@pytest.mark.parametrize("dtype", DTYPES)
def test_ndarrays_and_scalars(dtype):
    a = np.arange(6).reshape(2, 3).astype(dtype)
    back = round_trip([a, a.T, a[0, 1], a[:, ::2]])
    for found, expected in zip(back, [a, a.T, a[0, 1], a[:, ::2]], strict=True):
        assert type(found) is type(expected) and found.shape == expected.shape and (found == expected).all()
        assert found.dtype == expected.dtype.newbyteorder("=")
    assert np.shares_memory(back[0], back[1]) == a.dtype.isnative  # numbers of the other order of bytes are copied


def test_an_ndarray_and_a_tensor_share():
    t = minidl.ones(2)
    x, a = round_trip((t, t.numpy()))
    a[0] = 5.0
    assert type(a) is np.ndarray and x.tolist() == [5, 1]


def test_numbers_keep_their_types():
    obj = {"a": np.float64(0.1), "b": np.float32(0.1), "c": np.int64(3), "d": np.bool_(True), "e": 0.1, np.int64(3): 1}
    assert same(round_trip(obj), obj)
    assert np.isnan(round_trip(np.float64("nan")))


@pytest.mark.parametrize(
    "obj",
    [
        np.array([None]),
        np.array(["a"]),
        np.ones(2, complex),
        np.complex64(1),
        np.datetime64("2020"),
        np.longdouble(1),
        np.zeros(2, "i4,f4"),
        {1},
        1j,
        b"a",
    ],
)
def test_other_things_are_refused(obj):
    with pytest.raises(TypeError, match="save: expected"):
        round_trip([minidl.ones(1), obj])


def test_dicts_keep_their_types():
    for obj in (Counter("abba"), OrderedDict(b=1, a=2), {"b": 1}, Counter()):
        back = round_trip(obj)
        assert type(back) is type(obj) and list(back.items()) == list(obj.items())
    assert round_trip(Counter("a"))["z"] == 0


# --- Generators


def test_states_of_generators_are_tensors():
    minidl.manual_seed(3)
    generator = minidl.Generator().manual_seed(4)
    minidl.randn(5), generator.normal(3)  # an odd number: one of a pair is kept for the next call
    numpys = np.random.RandomState(1)
    saved = round_trip({"rng": minidl.get_rng_state(), "own": generator.get_state(), "numpy": numpys.get_state()})
    assert type(saved["rng"]) is minidl.Tensor and saved["rng"].dtype == minidl.uint8
    assert minidl.equal(saved["rng"], minidl.get_rng_state()) and minidl.equal(saved["own"], generator.get_state())
    expected = minidl.randn(5).tolist(), generator.normal(3).tolist()
    minidl.set_rng_state(saved["rng"])
    assert generator.set_state(saved["own"]) is generator
    assert (minidl.randn(5).tolist(), generator.normal(3).tolist()) == expected
    number = numpys.random()
    numpys.set_state(saved["numpy"])
    assert numpys.random() == number
    state = minidl.get_rng_state()
    minidl.rand(1)
    assert not minidl.equal(state, minidl.get_rng_state())  # a copy


def test_other_states_are_refused():
    before = minidl.get_rng_state()
    for state, error, message in [
        (minidl.zeros(5056), TypeError, "expected the uint8 Tensor of get_state, got Tensor of float32"),
        (before.tolist(), TypeError, "got list"),
        (None, TypeError, "got NoneType"),
        (before[:-1], ValueError, r"expected the shape \(\d+,\)"),
        (minidl.full(before.shape, 255, dtype=minidl.uint8), ValueError, "position"),
    ]:
        with pytest.raises(error, match=message):
            minidl.set_rng_state(state)
    assert minidl.equal(before, minidl.get_rng_state())
    minidl.set_rng_state(before.numpy())  # also as an ndarray


# --- A training that goes on


class Training:
    """All that a program has while it trains."""

    def __init__(self, schedule):
        minidl.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1))
        self.optimizer = minidl.optim.Adam(self.model.parameters(), lr=0.01, weight_decay=0.1)
        self.scheduler = schedule(self.optimizer)
        self.generator = minidl.Generator().manual_seed(1)
        data = TensorDataset(minidl.rand(24, 4), minidl.rand(24, 1))
        self.loader = DataLoader(data, batch_size=7, shuffle=True, generator=self.generator)
        self.losses = []

    def epoch(self):
        for x, y in self.loader:
            loss = nn.functional.mse_loss(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.losses.append(loss.item())
        self.scheduler.step(*([loss] if "Plateau" in type(self.scheduler).__name__ else []))

    def parts(self):
        return {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}

    def save(self, path):
        states = {name: part.state_dict() for name, part in self.parts().items()}
        minidl.save({**states, "rng": minidl.get_rng_state(), "generator": self.generator.get_state(), "epoch": 2}, path)

    def load(self, path):
        saved = minidl.load(path, map_location="cpu", weights_only=True)
        for name, part in self.parts().items():
            part.load_state_dict(saved[name])
        minidl.set_rng_state(saved["rng"])
        self.generator.set_state(saved["generator"])
        assert saved["epoch"] == 2


SCHEDULES = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 1, 0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1, 3]),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=8),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_resumed_training_gives_the_same_bits(name, tmp_path):
    if not hasattr(lr_scheduler, name):
        pytest.skip(f"{name} is not here yet")
    whole = Training(SCHEDULES[name])
    for _ in range(4):
        whole.epoch()
    end = minidl.get_rng_state()
    half = Training(SCHEDULES[name])
    half.epoch()
    half.epoch()
    half.save(tmp_path / "resume.pt")
    other = Training(SCHEDULES[name])
    minidl.rand(17)  # it has been somewhere else
    other.load(tmp_path / "resume.pt")
    other.epoch()
    other.epoch()
    assert half.losses + other.losses == whole.losses
    assert same(other.model.state_dict(), whole.model.state_dict())
    assert same(other.optimizer.state_dict(), whole.optimizer.state_dict())
    assert minidl.equal(minidl.get_rng_state(), end) and minidl.equal(other.generator.get_state(), whole.generator.get_state())


# --- Files made on purpose

FOUR = ("tensor0.npy", npy(np.arange(4, dtype="f4")))
TWO = {"list": [{"tensor": "tensor0", "view": None}, {"tensor": "tensor0", "view": [0, [2], [2]]}]}


def with_view(view, kind="tensor"):
    return {"list": [{kind: "tensor0", "view": None}, {kind: "tensor0", "view": view}]}


HOSTILE = {
    "before the beginning": (with_view([-1, [2], [1]]), "reaches out"),
    "behind the end": (with_view([3, [2], [1]]), "reaches out"),
    "a long step": (with_view([0, [2], [4]]), "reaches out"),
    "a step back": (with_view([0, [2], [-1]]), "reaches out"),
    "a size of 0": (with_view([0, [0], [1]]), "reaches out"),
    "a negative size": (with_view([0, [-3], [1]]), "reaches out"),
    "an absurd size": (with_view([0, [2**62, 2**62], [0, 0]]), "reaches out"),
    "an absurd offset": (with_view([2**70, [1], [1]]), "reaches out"),
    "an absurd step": (with_view([0, [2], [2**70]]), "reaches out"),
    "too many axes": (with_view([0, [1] * 65, [1] * 65]), "is damaged"),
    "a size missing": (with_view([0, [2], [1, 1]]), "is damaged"),
    "a boolean": (with_view([True, [2], [1]]), "is damaged"),
    "a fraction": (with_view([0, [2.0], [1]]), "is damaged"),
    "a text": (with_view("all"), "is damaged"),
    "numbers alone": (with_view([0, 1, 1]), "is damaged"),
    "first shared, then not": ({"list": [{"tensor": "tensor0", "view": None}, {"tensor": "tensor0"}]}, "used twice"),
    "first not, then shared": ({"list": [{"tensor": "tensor0"}, {"tensor": "tensor0", "view": None}]}, "used twice"),
    "the same as a later one": ({"list": [{"same": 0}, {"tensor": "tensor0"}]}, "does not write"),
    "the same as none": ({"list": [{"tensor": "tensor0"}, {"same": 1}]}, "does not write"),
    "the same as minus one": ({"list": [{"tensor": "tensor0"}, {"same": -1}]}, "does not write"),
    "the same as true": ({"list": [{"tensor": "tensor0"}, {"same": False}]}, "does not write"),
    "an ndarray with a gradient": ({"ndarray": "tensor0", "requires_grad": True}, "cannot require"),
    "half a gradient": ({"tensor": "tensor0", "requires_grad": 1}, "cannot require"),
    "an unknown option": ({"tensor": "tensor0", "code": "x"}, "does not write"),
    "a scalar of four": ({"scalar": "tensor0"}, "does not write"),
    "a list of a parameter": ({"parameter": ["tensor0"]}, "does not write"),
    "a view first": ({"view": None, "tensor": "tensor0"}, "does not write"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_made_on_purpose(name):
    structure, message = HOSTILE[name]
    with pytest.raises(ValueError, match=r"load: the BytesIO is not a file that minidl\.save wrote") as error:
        minidl.load(io.BytesIO(archive(text(structure), FOUR)))
    assert message in str(error.value)


def test_files_of_pytorch_and_pickles_are_told_apart():
    torch = pytest.importorskip("torch")
    for zipped, message in [(True, r"no array \(of a file of PyTorch's, .* \.safetensors"), (False, "but as a pickle")]:
        file = io.BytesIO()
        torch.save({"a": torch.ones(2)}, file, _use_new_zipfile_serialization=zipped)
        file.seek(0)
        with pytest.raises(ValueError, match=message):
            minidl.load(file)


def test_the_attacks_are_on_a_file_that_loads():
    array = minidl.load(io.BytesIO(archive(text(TWO), FOUR)))
    assert array[0].shape == (4,) and array[1].tolist() == array[0][::2].tolist()
    assert np.shares_memory(array[0].array, array[1].array)


@pytest.mark.parametrize("kind", ["tensor", "parameter"])
def test_numbers_that_no_tensor_has(kind):
    file = io.BytesIO()
    minidl.save(np.ones(4, np.uint16), file)
    changed = file.getvalue().replace(b"tensor0.npy", b"TENSOR0.npy")
    with pytest.raises(ValueError, match="not a file"):
        minidl.load(io.BytesIO(changed))
    half = io.BytesIO()
    np.savez(half, **{"structure.json": np.array(json.dumps({kind: "x"})), "x": np.ones(2, np.uint16)})
    with pytest.raises(ValueError, match="has the type <u2, which no tensor has"):
        minidl.load(io.BytesIO(half.getvalue()))


def test_damage_to_what_is_shared_is_an_error_or_does_no_harm():
    x = minidl.arange(12.0).reshape(3, 4).clone().requires_grad_()
    obj = [x, x.detach()[1:], np.arange(3, dtype=np.uint32), np.float64(2), x]
    file = io.BytesIO()
    minidl.save(obj, file)
    whole, chance, errors = file.getvalue(), random.Random(5), 0
    for _ in range(1500):
        try:
            back = minidl.load(io.BytesIO(mutant(whole, chance)))
        except ValueError:
            errors += 1
            continue
        assert [getattr(a, "tolist", lambda: None)() for a in back] == [a.tolist() for a in obj]
    assert errors > 1000
