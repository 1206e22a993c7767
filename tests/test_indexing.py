"""Reading and writing parts of a tensor, in every form, against NumPy; gradients against finite differences."""

import numpy as np
import pytest

import minidl
from minidl.autograd import gradcheck

A = np.arange(24.0).reshape(2, 3, 4)


BOOLEAN = np.array([[True, False, True], [False, True, False]])

BASIC = {
    "integer": 1,
    "negative": -1,
    "integers": (1, 2, 3),
    "slice": slice(0, 1),
    "step": (slice(None), slice(None, None, 2)),
    "backwards": slice(None, None, -1),
    "empty": slice(1, 1),
    "none": None,
    "ellipsis": (..., 1),
    "mixed": (0, ..., None, slice(1, 3)),
    "all": ...,
    "tuple": (),
    "numpy integer": np.int64(1),
}

ADVANCED = {
    "list": [1, 0, 1],
    "lists": ([0, 1], [2, 0]),
    "range": (range(2), [2, 1]),
    "array": np.array([1, 0]),
    "array after slice": (slice(None), np.array([2, 0])),
    "array before slice": (np.array([1, 0]), slice(1, 3)),
    "two arrays apart": (np.array([0, 1]), slice(None), np.array([3, 0])),
    "broadcast": (np.array([[0], [1]]), np.array([2, 0])),
    "last": (..., np.array([0, 0, 3])),
    "boolean": BOOLEAN,
    "boolean of one axis": (slice(None), np.array([True, False, True])),
    "boolean, then none": (BOOLEAN, None),
    "boolean list": [True, False],
    "empty list": [],
    "matrix": np.array([[0, 1], [1, 1]]),
}


def as_tensors(index):
    if isinstance(index, tuple):
        return tuple(as_tensors(part) for part in index)
    return minidl.tensor(index) if isinstance(index, np.ndarray) else index


def as_numpy(index):
    return tuple(list(part) if isinstance(part, range) else part for part in index) if isinstance(index, tuple) else index


@pytest.mark.parametrize("name", [*BASIC, *ADVANCED])
@pytest.mark.parametrize("convert", [as_tensors, lambda index: index], ids=["tensors", "arrays"])
def test_get_and_set_as_numpy(name, convert):
    index = (BASIC | ADVANCED)[name]
    x, expected = minidl.tensor(A), A[as_numpy(index)]
    part = x[convert(index)]
    assert part.shape == expected.shape
    assert part.tolist() == expected.tolist()
    assert np.may_share_memory(part.numpy(), x.numpy()) == (name in BASIC and part.numel() > 0)
    values = -1.0 - np.arange(expected.size).reshape(expected.shape)
    for value in (9.0, values, values[..., :1] if values.ndim else values):
        ours, theirs = minidl.tensor(A), A.copy()
        ours[convert(index)] = minidl.tensor(value) if isinstance(value, np.ndarray) else value
        theirs[as_numpy(index)] = value
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("name", [*BASIC, *ADVANCED])
def test_gradients_of_get_and_set(name):
    index = as_tensors((BASIC | ADVANCED)[name])
    x = minidl.tensor(A, requires_grad=True)
    assert gradcheck(lambda x: x[index] * 1.0, x)
    if name in ("list", "last", "matrix"):
        return  # an element written twice keeps one of the values, which the next test looks at
    v = minidl.tensor(x.detach().numpy()[as_numpy((BASIC | ADVANCED)[name])] + 1.0, requires_grad=True)

    def write(x, v):
        y = x * 1.0
        y[index] = v
        return y * y

    assert gradcheck(write, (x, v))


def test_the_last_of_several_values_written_to_one_place_gets_the_gradient():
    x, v = minidl.zeros(3, requires_grad=True), minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    y[[0, 0, 2]] = v
    assert y.tolist() == [2.0, 0.0, 3.0]
    y.backward(minidl.tensor([5.0, 6.0, 7.0]))
    assert v.grad.tolist() == [0.0, 5.0, 7.0]
    assert x.grad.tolist() == [0.0, 6.0, 0.0]


def test_an_element_read_twice_gets_both_gradients():
    x = minidl.arange(3.0, requires_grad=True)
    x[[1, 1, 1, 0]].backward(minidl.tensor([1.0, 10.0, 100.0, 5.0]))
    assert x.grad.tolist() == [5.0, 111.0, 0.0]


@pytest.mark.parametrize(
    ("index", "axes"),
    [
        ((0, slice(None), [1, 2, 3]), "PyTorch: (3, 3), NumPy would put the list first"),
        ((slice(None), [0, 2], slice(None), 1), "(2, 2, 5)"),
        (([0, 1], 2, slice(None), [1, 2]), "(2, 4)"),
        ((0, [0, 1], [2, 3]), "(2, 5)"),
    ],
)
def test_integers_are_taken_before_arrays_as_in_pytorch(index, axes):
    a = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    first = tuple(p if isinstance(p, int) else slice(None) for p in index)
    rest = tuple(p for p in index if not isinstance(p, int))
    x = minidl.tensor(a, requires_grad=True)
    assert x[index].tolist() == a[first][rest].tolist(), axes
    y = x * 1
    y[index] = 0.0
    a[first][rest] = 0
    b = a.copy()
    b[first][rest] = 0
    assert (y.detach().numpy() == 0).sum() >= b[first][rest].size
    y.sum().backward()
    assert x.grad.sum().item() == a.size - b[first][rest].size


def test_d2l_forms():
    y_hat, y = minidl.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]), minidl.tensor([0, 2])
    assert y_hat[[0, 1], y].tolist() == pytest.approx([0.1, 0.5])
    assert y_hat[range(len(y_hat)), y].tolist() == pytest.approx([0.1, 0.5])
    x = minidl.arange(12.0).reshape(3, 4)
    x[1, 2] = 17
    x[:2, :] = 12
    assert x[-1].tolist() == [8.0, 9.0, 10.0, 11.0]
    assert x[0:2].tolist() == [[12.0] * 4] * 2
    before = x.numpy()
    x[:] = x + 1
    assert x.numpy() is before


def test_corr2d_is_differentiable():
    def corr2d(x, k):
        h, w = k.shape
        y = minidl.zeros((x.shape[0] - h + 1, x.shape[1] - w + 1), dtype=x.dtype)
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                y[i, j] = (x[i : i + h, j : j + w] * k).sum()
        return y

    x = minidl.arange(9.0).reshape(3, 3).double().requires_grad_()
    k = minidl.arange(4.0).reshape(2, 2).double().requires_grad_()
    assert corr2d(x, k).tolist() == [[19.0, 25.0], [37.0, 43.0]]
    assert gradcheck(corr2d, (x, k))


def test_masked_softmax_writes_through_a_reshaped_view():
    def masked_softmax(x, lengths):
        shape = x.shape
        lengths = minidl.repeat_interleave(lengths, shape[1])
        x = x.reshape(-1, shape[-1])
        mask = minidl.arange(shape[-1])[None, :] < lengths[:, None]
        x[~mask] = -1e6
        return x.reshape(shape).softmax(-1)

    scores = minidl.tensor(np.random.default_rng(0).normal(size=(2, 2, 4)), requires_grad=True)
    lengths = minidl.tensor([2, 3])
    weights = masked_softmax(scores * 1.0, lengths)
    assert (weights[0, :, 2:] == 0).all()
    assert (weights[1, :, 3:] == 0).all()
    assert weights.sum(-1).detach().numpy() == pytest.approx(np.ones((2, 2)))
    assert gradcheck(lambda s: masked_softmax(s * 1.0, lengths), scores)
    (weights * minidl.tensor(A[:, :2])).sum().backward()
    assert (scores.grad[0, :, 2:] == 0).all()


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (5, IndexError, "index 5 is out of bounds for axis 0 with size 2"),
        ([0, 7], IndexError, "index 7 is out of bounds for axis 0 with size 2"),
        ((0, 0, 0, 0), IndexError, r"index: 4 indices for a tensor with 3 axes, shape \(2, 3, 4\)"),
        (1.0, TypeError, "index: expected integers, slices, None, ..., lists or tensors, got float"),
        ("a", TypeError, "got str"),
        (np.array([0.0, 1.0]), TypeError, "must be integers or booleans, got float64"),
        (np.array([True, False, True]), IndexError, "boolean index did not match"),
        (np.array([1], np.uint8), TypeError, "must be integers or booleans, got uint8"),
    ],
)
def test_promise_27_indices_are_checked(index, error, message):
    x = minidl.tensor(A)
    with pytest.raises(error, match=message):
        x[index]
    with pytest.raises(error, match=message):
        x[index] = 0.0
    assert x.tolist() == A.tolist()


def test_promise_26_values_that_do_not_fit():
    x = minidl.tensor(A)
    with pytest.raises(ValueError, match=r"setitem: a value of shape \(2,\) does not fit in \(2, 3, 4\)\[index\]"):
        x[0] = minidl.ones(2)
    with pytest.raises(ValueError, match=r"setitem: a value of shape \(2,\)"):
        x[0] = minidl.ones(2, requires_grad=True) * 2
    for value in ([1, 2, 3, 4], "a", None):
        with pytest.raises(TypeError, match="setitem: expected a Tensor or a number"):
            x[0, 0] = value
    assert x.tolist() == A.tolist()


def test_promise_27_gather_and_index_select_are_checked():
    x = minidl.tensor(A[0])
    with pytest.raises(IndexError, match="gather: index 4 is out of range for size 4"):
        x.gather(1, minidl.tensor([[0], [4], [0]]))
    with pytest.raises(IndexError, match="index_select: index -1 is out of range for size 3"):
        x.index_select(0, minidl.tensor([-1]))
    with pytest.raises(TypeError, match="gather: the index must hold integers, got float32"):
        x.gather(1, minidl.ones(3, 1))
    with pytest.raises(ValueError, match=r"gather: an index of shape \(3,\) does not fit input \(3, 4\)"):
        x.gather(1, minidl.tensor([0, 0, 0]))


def test_overlapping_writes_are_as_if_copied_first():
    x = minidl.arange(5)
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3]


def test_tensors_as_bounds_and_integers():
    x, two = minidl.arange(5), minidl.tensor(2)
    assert x[two].item() == 2
    assert x[:two].tolist() == [0, 1]
    assert x[minidl.tensor([True, False, True, False, True])].tolist() == [0, 2, 4]
    assert x[[two, minidl.tensor(0)]].tolist() == [2, 0]
    assert [10, 20, 30][two] == 30
    assert list(range(two)) == [0, 1]
    with pytest.raises(TypeError, match="only an integer tensor with one element can be an index"):
        [1, 2][minidl.tensor(1.0)]


def test_advanced_reading_copies_and_the_saved_index_is_watched():
    x = minidl.arange(3.0, requires_grad=True)
    index = minidl.tensor([0, 2])
    y = x[index]
    y2 = y * 2
    y += 1
    assert x.tolist() == [0.0, 1.0, 2.0]
    index[0] = 1
    with pytest.raises(RuntimeError, match="Index: an array that backward needs"):
        y2.sum().backward()


def test_0d_and_empty():
    s = minidl.tensor(3.0)
    assert s[None].shape == (1,)
    assert s[...].item() == 3.0
    s[...] = 4
    assert s.item() == 4.0
    with pytest.raises(IndexError, match="1 indices for a tensor with 0 axes"):
        s[0]
    e = minidl.zeros(0, 3)
    assert e[:, 0].shape == (0,)
    assert e[e > 0].shape == (0,)
    e[:] = 5
    assert minidl.arange(3)[[]].shape == (0,)
