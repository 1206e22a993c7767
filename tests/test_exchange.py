"""Other libraries and our tensors: DLPack, PyTorch's state_dicts, matplotlib, pandas, scikit-learn, copy.

What is not installed is skipped. NumPy's functions are in test_numpy_functions.py.
"""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import nn

ROOT = Path(__file__).parent.parent
GRID = np.arange(12.0, dtype=np.float32).reshape(3, 4)
TENSORS = {
    "float32": lambda: minidl.tensor(GRID),
    "float64": lambda: minidl.tensor(GRID, dtype=minidl.float64),
    "int64": lambda: minidl.arange(5),
    "int32": lambda: minidl.arange(5).int(),
    "uint8": lambda: minidl.tensor([0, 255], dtype=minidl.uint8),
    "bool": lambda: minidl.tensor([True, False, True]),
    "0-d": lambda: minidl.tensor(3.5),
    "empty": lambda: minidl.zeros(0, 3),
    "transposed": lambda: minidl.tensor(GRID).t(),
    "steps": lambda: minidl.tensor(GRID)[::2, 1::2],
    "column": lambda: minidl.tensor(GRID)[:, 1],
    "repeated": lambda: minidl.tensor([[1.0, 2.0]]).expand(3, 2),
    "backwards": lambda: minidl.from_numpy(GRID.copy()[::-1]),
    "read-only": lambda: minidl.from_numpy(np.frombuffer(b"abcd", np.uint8)),
}
COPIED = {"backwards"}  # DLPack has no steps backwards in PyTorch


def same(x, y):
    x, y = np.asarray(x), np.asarray(y)
    assert x.dtype == y.dtype and x.shape == y.shape and (x == y).all()


# --- DLPack


@pytest.mark.parametrize("name", TENSORS)
def test_numpy_takes_tensors(name):
    x = TENSORS[name]()
    y = np.from_dlpack(x)
    same(x, y)
    assert np.shares_memory(x.numpy(), y) == (name not in COPIED | {"empty"})
    assert y.flags.writeable == (x.numpy().flags.writeable and name not in COPIED) or name in COPIED


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_comes_back_from_itself(name):
    x = TENSORS[name]()
    y = minidl.from_dlpack(x)
    same(x, y)
    assert type(y) is minidl.Tensor and not y.requires_grad
    assert np.shares_memory(x.numpy(), y.numpy()) == (name not in COPIED | {"empty"})


@pytest.mark.parametrize("name", TENSORS)
def test_pytorch_takes_tensors(name):
    torch = pytest.importorskip("torch")
    x = TENSORS[name]()
    y = torch.from_dlpack(x)
    same(x, y.numpy())
    assert y.numel() == 0 or (y.data_ptr() == x.data_ptr()) == (name not in COPIED)
    for copied in (torch.tensor(x), torch.as_tensor(x), torch.asarray(x)):
        same(x, copied.numpy())
    if x.numel():
        assert torch.tensor(x).data_ptr() != x.data_ptr()


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_pytorch_are_taken(name):
    torch = pytest.importorskip("torch")
    y = torch.from_dlpack(TENSORS[name]())
    x = minidl.from_dlpack(y)
    same(x, y.numpy())
    assert y.numel() == 0 or x.data_ptr() == y.data_ptr()


def test_memory_is_shared_with_pytorch_both_ways():
    torch = pytest.importorskip("torch")
    ours = minidl.zeros(3)
    theirs = torch.from_dlpack(ours)
    theirs[0] = 1.0
    ours[1] = 2.0
    back = minidl.from_dlpack(theirs)
    back[2] = 3.0
    assert ours.tolist() == theirs.tolist() == back.tolist() == [1.0, 2.0, 3.0]
    copied = minidl.from_dlpack(theirs, copy=True)
    copied[0] = 9.0
    assert ours[0] == 1.0
    del ours, back
    assert theirs.tolist() == [1.0, 2.0, 3.0]  # the memory lives as long as anybody has it


@pytest.mark.parametrize("name", [name for name in TENSORS if name not in ("float64", "int64", "steps", "column")])
def test_jax_takes_tensors(name):
    """Not float64 and int64, which it makes smaller by default, nor memory with gaps."""
    pytest.importorskip("jax")
    code = """
import sys, numpy as np, jax, minidl
from tests.test_exchange import TENSORS
x = TENSORS[sys.argv[1]]()
y = jax.dlpack.from_dlpack(x)
assert y.shape == x.shape and y.tolist() == x.tolist()
z = minidl.from_dlpack(jax.numpy.asarray(x.numpy()))
assert z.shape == x.shape and z.tolist() == x.tolist()
"""
    command = [sys.executable, "-c", code, name]  # in a process of its own: JAX starts threads, and other tests fork
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)


def test_capsules_are_taken():
    x = minidl.from_dlpack(minidl.arange(3).__dlpack__())
    assert x.tolist() == [0, 1, 2]


def test_the_device_is_the_cpu():
    assert minidl.ones(1).__dlpack_device__() == (1, 0)


def test_options_of_dlpack():
    x = minidl.zeros(2)
    assert np.shares_memory(np.from_dlpack(x, device="cpu", copy=False), x.numpy())
    assert not np.shares_memory(np.from_dlpack(x, copy=True), x.numpy())
    read_only, backwards = TENSORS["read-only"](), TENSORS["backwards"]()
    old = minidl.from_dlpack(read_only.__dlpack__())  # a library that asks for no version cannot be told that it must not write
    assert old.tolist() == [97, 98, 99, 100] and old.data_ptr() != read_only.data_ptr()
    new = np.from_dlpack(read_only)
    assert not new.flags.writeable
    for call in (
        lambda: read_only.__dlpack__(copy=False),
        lambda: backwards.__dlpack__(max_version=(1, 0), copy=False),
        lambda: x.__dlpack__(stream=1),
        lambda: x.__dlpack__(dl_device=(2, 0)),
    ):
        with pytest.raises(BufferError, match=r"__dlpack__: .*; "):
            call()
    with pytest.raises(TypeError, match="copy must be None, True or False"):
        x.__dlpack__(copy="yes")


def test_what_requires_grad_stays_in_the_graph():
    w = minidl.ones(2, requires_grad=True)
    for x in (w, w * 2, nn.Parameter(minidl.ones(2))):
        for call in (lambda: x.__dlpack__(), lambda: np.from_dlpack(x), lambda: minidl.from_dlpack(x)):  # noqa: B023
            with pytest.raises(BufferError, match=r"use \.detach\(\)"):
                call()
    assert np.from_dlpack(w.detach()).tolist() == [1, 1]


def test_from_dlpack_of_ndarrays():
    a = np.zeros(3)
    minidl.from_dlpack(a)[0] = 1.0
    assert a[0] == 1 and not np.shares_memory(minidl.from_dlpack(a, copy=True).numpy(), a)
    a.flags.writeable = False
    x = minidl.from_dlpack(a)
    assert np.shares_memory(x.numpy(), a)
    with pytest.raises(RuntimeError, match="read-only"):
        x.add_(1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: minidl.from_dlpack([1.0]), TypeError, r"expected an array that has __dlpack__, got builtins\.list"),
        (lambda: minidl.from_dlpack(np.ones(2, complex)), TypeError, "minidl has the dtypes"),
        (lambda: minidl.from_dlpack(np.ones(2), device="cuda"), RuntimeError, "only 'cpu' exists"),
        (lambda: minidl.from_dlpack(np.ones(2), copy=2), TypeError, "copy must be None, True or False"),
        (lambda: minidl.from_dlpack(Elsewhere()), RuntimeError, r"Elsewhere on another device; use \.cpu\(\)"),
    ],
)
def test_what_from_dlpack_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


class Elsewhere:
    def __dlpack__(self, **options):
        raise AssertionError

    def __dlpack_device__(self):
        return 2, 0


def test_what_from_dlpack_refuses_of_pytorch():
    torch = pytest.importorskip("torch")
    for x, error, message in [
        (torch.ones(2).half(), TypeError, "float16"),
        (torch.ones(2).bfloat16(), TypeError, r"torch\.Tensor of torch\.bfloat16"),
        (torch.ones(2, requires_grad=True), BufferError, r"detach\(\)"),
    ]:
        with pytest.raises(error, match=message):
            minidl.from_dlpack(x)


# --- PyTorch's modules


def networks(framework):
    return framework.nn.Sequential(framework.nn.Linear(2, 3), framework.nn.BatchNorm1d(3), framework.nn.Linear(3, 1))


def test_state_dicts_go_both_ways():
    torch = pytest.importorskip("torch")
    ours, theirs, again = networks(minidl), networks(torch), networks(minidl)
    ours(minidl.rand(4, 2))  # moves the running statistics
    weight = theirs[0].weight.data_ptr()
    assert str(theirs.load_state_dict(ours.state_dict())) == "<All keys matched successfully>"
    assert theirs[0].weight.data_ptr() == weight and theirs[0].weight.requires_grad  # copied into what was there
    for name, x in ours.state_dict().items():
        same(x, theirs.state_dict()[name].numpy())
        assert theirs.state_dict()[name].data_ptr() != x.data_ptr()
    again.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    results = [net.eval()(framework.from_numpy(x)).detach().numpy() for net, framework in ((theirs, torch), (again, minidl))]
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)


def test_a_dict_of_parameters_loads_too_and_wrong_shapes_are_told():
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Linear(2, 3), torch.nn.Linear(2, 3)
    theirs.load_state_dict(dict(ours.named_parameters()))
    same(theirs.weight.detach().numpy(), ours.weight.detach())
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        torch.nn.Linear(3, 3).load_state_dict(ours.state_dict())
    with pytest.raises(RuntimeError, match="Missing key"):
        networks(torch).load_state_dict(ours.state_dict())


def test_the_frameworks_are_not_mixed_by_accident():
    torch = pytest.importorskip("torch")
    ours, theirs = minidl.ones(2), torch.ones(2)
    for call in (lambda: torch.relu(ours), lambda: torch.nn.Linear(2, 2)(ours), lambda: torch.stack([ours, ours])):
        with pytest.raises(TypeError, match=r"got a Tensor of minidl; write torch\.from_dlpack\(t\.detach\(\)\)"):
            call()
    for call in (lambda: ours + theirs, lambda: theirs * ours, lambda: minidl.maximum(ours, theirs)):
        with pytest.raises(TypeError, match=r"got (torch\.)?Tensor; write minidl\.(from_dlpack|tensor)\(x"):
            call()


# --- matplotlib, pandas, scikit-learn


X, Y, LABELS = minidl.tensor(GRID / 7), minidl.tensor([0.3, 0.9, 0.5]), minidl.tensor([0, 1, 1])
PLOTS = """
plot(X) ; plot(Y) ; plot(Y, X) ; plot(LABELS, Y) ; plot(Y[0], Y[1], 'o') ; plot([Y[0], Y[1]]) ; plot(Y > 0.5) ; imshow(X)
hist(Y) ; hist(X) ; scatter(Y, Y) ; scatter(X[:, 0], X[:, 1], c=LABELS) ; bar(LABELS, Y) ; bar(['a', 'b', 'c'], Y)
errorbar(LABELS, Y, yerr=Y) ; step(LABELS, Y) ; fill_between(LABELS, Y, Y + 1) ; contourf(X) ; axhline(Y[0]) ; boxplot(X)
semilogy(Y) ; pcolormesh(X) ; stem(Y) ; pie(Y) ; text(Y[0], Y[1], 'a')
"""


@pytest.fixture
def axes():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots()
    yield axes
    figure.canvas.draw()
    pyplot.close(figure)


@pytest.mark.parametrize("code", [code.strip() for line in PLOTS.strip().splitlines() for code in line.split(" ; ")])
def test_matplotlib_draws_tensors(axes, code):
    eval(f"axes.{code}", {"axes": axes, "X": X, "Y": Y, "LABELS": LABELS})


def test_the_lines_have_the_numbers(axes):
    for i, line in enumerate(axes.plot(Y, X)):
        assert line.get_xdata().tolist() == Y.tolist() and line.get_ydata().tolist() == X[:, i].tolist()
    heights, _, _ = axes.hist(Y, bins=[0, 0.4, 1])
    assert heights.tolist() == [1, 2]
    assert (axes.imshow(X).get_array() == X.numpy()).all()


@pytest.mark.parametrize(
    "code", ["plot(y[:, 0])", "plot(y)", "scatter(y[:, 0], y[:, 1])", "imshow(y)", "hist(y[:, 0])", "plot([y[0, 0]])"]
)
def test_matplotlib_says_detach(axes, code):
    with pytest.raises(RuntimeError, match=r"use \.detach\(\)"):
        eval(f"axes.{code}", {"axes": axes, "y": nn.Linear(4, 2)(X)})


def test_pandas_takes_tensors():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd")).assign(y=Y)
    assert frame["a"].tolist() == X[:, 0].tolist() and frame["y"].tolist() == Y.tolist() and frame.dtypes.eq("float32").all()
    assert pandas.DataFrame({"x": Y, "n": LABELS}).dtypes.tolist() == ["float32", "int64"]
    assert pandas.Series(Y).tolist() == Y.tolist() and pandas.Series(LABELS).sum() == 2
    assert (pandas.Series(Y) + Y).tolist() == (2 * Y).tolist()
    assert minidl.tensor(frame["y"].to_numpy()).tolist() == Y.tolist()
    with pytest.raises(RuntimeError, match=r"use \.detach\(\)"):
        pandas.DataFrame(nn.Linear(4, 2)(X))


def test_scikit_learn_takes_tensors():
    linear_model = pytest.importorskip("sklearn.linear_model")
    from sklearn import metrics, model_selection, preprocessing  # noqa: PLC0415

    minidl.manual_seed(0)
    x = minidl.rand(30, 3)
    y, labels = x @ minidl.tensor([1.0, -2.0, 3.0]), (x[:, 0] > 0.5).long()
    np.testing.assert_allclose(linear_model.LinearRegression().fit(x, y).coef_, [1, -2, 3], rtol=1e-3)
    model = linear_model.LogisticRegression(C=1e4).fit(x, labels)
    assert model.score(x, labels) == metrics.accuracy_score(labels, model.predict(x)) > 0.9
    assert metrics.mean_squared_error(y, y + 1) == pytest.approx(1) and metrics.confusion_matrix(labels, labels).trace() == 30
    parts = model_selection.train_test_split(x, labels, random_state=0)
    assert [len(part) for part in parts] == [22, 8, 22, 8] and isinstance(parts[0], minidl.Tensor)
    assert abs(preprocessing.StandardScaler().fit_transform(x).mean()) < 1e-6
    with pytest.raises(RuntimeError, match=r"use \.detach\(\)"):
        linear_model.LinearRegression().fit(nn.Linear(3, 2)(x), y)


# --- copy, float


def test_a_copy_of_a_result_is_a_second_name_for_it():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    for y in (x * 2, (x * 2).reshape(1, 2).t(), (x * 2).expand(3, 2)):
        z = copy.copy(y)
        assert z is not y and z.grad_fn is y.grad_fn and z.data_ptr() == y.data_ptr() and z.stride() == y.stride()
    y = x * 2
    (copy.copy(y) * y).sum().backward()
    assert x.grad.tolist() == [8.0, 16.0]
    with minidl.no_grad():
        assert copy.copy(y).grad_fn is y.grad_fn


@pytest.mark.parametrize("written", [0, 1])
def test_a_write_to_one_name_is_seen_through_the_other(written):
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    names = y, copy.copy(y)
    names[written].mul_(3.0)
    assert names[0].tolist() == names[1].tolist() == [6.0, 12.0]
    names[1 - written].sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


def test_a_copy_of_a_leaf_is_a_leaf_of_its_own():
    w = nn.Parameter(minidl.ones(2))
    w.note = "mine"
    w.grad = minidl.ones(2)
    v = copy.copy(w)
    assert type(v) is nn.Parameter and v.note == "mine" and v.requires_grad and v.grad is None and v.data_ptr() == w.data_ptr()
    v.sum().backward()
    assert w.grad.tolist() == [1, 1] and v.grad.tolist() == [1, 1]
    assert not copy.copy(minidl.ones(2)).requires_grad
    with pytest.raises(RuntimeError, match="deep-copied"):
        copy.deepcopy(w * 2)


def test_a_gradient_can_be_given_to_what_requires_none():
    w = minidl.zeros(3)
    w.grad = minidl.ones(3)
    assert w.grad.tolist() == [1, 1, 1] and not w.requires_grad
    w.requires_grad_()
    (w * 2).sum().backward()
    assert w.grad.tolist() == [3, 3, 3]


def test_float_of_several_numbers_is_a_value_error():
    for convert in (float, int, complex):
        assert convert(minidl.tensor([[2.0]])) == 2
        with pytest.raises(ValueError, match=rf"{convert.__name__}: only a tensor with one element .* shape \(2,\)"):
            convert(minidl.ones(2))
    with pytest.raises(RuntimeError, match="item: expected a tensor with one element"):
        minidl.ones(2).item()


# --- tensor and as_tensor of other libraries' arrays


def test_arrays_of_other_libraries_keep_their_dtype():
    torch = pytest.importorskip("torch")
    pandas = pytest.importorskip("pandas")
    numbers = [1.5, 2.5]
    for data in (torch.tensor(numbers).double(), pandas.Series(numbers), pandas.DataFrame({"a": numbers}), np.array(numbers)):
        for make in (minidl.tensor, minidl.as_tensor):
            x = make(data)
            assert x.dtype == minidl.float64 and x.flatten().tolist() == numbers
            assert make([data, data]).dtype == minidl.float64
            assert make(data, dtype=minidl.float32).dtype == minidl.float32
    assert minidl.tensor(torch.ones(2)).dtype == minidl.tensor([torch.tensor(1.0), 2.0]).dtype == minidl.float32
    assert minidl.tensor(torch.arange(2)).dtype == minidl.int64 and minidl.tensor(numbers).dtype == minidl.float32


def test_as_tensor_shares_and_tensor_copies():
    torch = pytest.importorskip("torch")
    theirs = torch.zeros(2)
    assert minidl.as_tensor(theirs).data_ptr() == theirs.data_ptr() != minidl.tensor(theirs).data_ptr()
    assert minidl.as_tensor(np.float64(2)).dtype == minidl.float64
    for make in (minidl.tensor, minidl.as_tensor):
        with pytest.raises((RuntimeError, BufferError), match=r"detach\(\)"):
            make(torch.ones(2, requires_grad=True))
