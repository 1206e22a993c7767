"""Views, in-place operations and the check of saved arrays: what shares memory, and what the graph makes of a write."""

import numpy as np
import pytest

import minidl
from minidl.autograd import gradcheck


def leaf(values):
    return minidl.tensor(values, requires_grad=True)


# --- what shares memory with what: as in PyTorch

SHARE = {
    "reshape": lambda x: x.reshape(3, 2),
    "view": lambda x: x.view(6),
    "view_as": lambda x: x.view_as(minidl.ones(3, 2)),
    "flatten": lambda x: x.flatten(),
    "ravel": lambda x: x.ravel(),
    "unflatten": lambda x: x.unflatten(1, (3, 1)),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "t": lambda x: x.t(),
    "transpose": lambda x: x.transpose(0, 1),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "permute": lambda x: x.permute(1, 0),
    "movedim": lambda x: x.movedim(0, 1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x.squeeze(),
    "expand": lambda x: x.expand(4, 2, 3),
    "broadcast_to": lambda x: minidl.broadcast_to(x, (4, 2, 3)),
    "index": lambda x: x[0],
    "index of one element": lambda x: x[0, 0],
    "slice": lambda x: x[:, 1:],
    "none": lambda x: x[None],
    "unbind": lambda x: x.unbind(0)[0],
    "iteration": lambda x: next(iter(x)),
    "split": lambda x: x.split(1)[0],
    "chunk": lambda x: x.chunk(2)[0],
    "narrow": lambda x: x.narrow(0, 0, 1),
    "select": lambda x: x.select(0, 0),
    "diagonal": lambda x: x.diagonal(),
    "contiguous": lambda x: x.contiguous(),
    "to": lambda x: x.to(minidl.float32),
    "float": lambda x: x.float(),
    "cpu": lambda x: x.cpu(),
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "numpy": lambda x: x.numpy(),
    "asarray": lambda x: np.asarray(x),
    "as_tensor": lambda x: minidl.as_tensor(x),
    "from_numpy": lambda x: minidl.from_numpy(x.numpy()),
    "meshgrid": lambda x: minidl.meshgrid(x[0], x[1])[0],
}

COPY = {
    "clone": lambda x: x.clone(),
    "diag": lambda x: x.diag(),
    "tensor": lambda x: minidl.tensor(x),
    "tensor of an array": lambda x: minidl.tensor(x.numpy()),
    "add": lambda x: x + 0,
    "reshape of a transpose": lambda x: x.T.reshape(6),
    "contiguous of a transpose": lambda x: x.T.contiguous(),
    "flatten of a transpose": lambda x: x.T.flatten(),
    "double": lambda x: x.double(),
    "to with copy": lambda x: x.to(minidl.float32, copy=True),
    "index with a list": lambda x: x[[0, 1]],
    "index with a mask": lambda x: x[x > -1],
    "repeat": lambda x: x.repeat(1, 1),
    "tile": lambda x: x.tile(1),
    "repeat_interleave": lambda x: x.repeat_interleave(1, 0),
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(1),
    "cat of one": lambda x: minidl.cat([x]),
    "stack of one": lambda x: minidl.stack([x]),
    "gather": lambda x: x.gather(0, minidl.zeros(2, 3, dtype=minidl.int64)),
    "index_select": lambda x: x.index_select(0, minidl.tensor([0])),
    "masked_select": lambda x: x.masked_select(x > -1),
    "sort": lambda x: x.sort().values,
    "tril": lambda x: x.tril(),
    "relu": lambda x: x.relu(),
    "abs": lambda x: x.abs(),
    "clamp": lambda x: x.clamp(0),
    "softmax": lambda x: x.softmax(1),
    "sum over nothing": lambda x: x[:1].sum(0),
    "mean of one": lambda x: x[:1].mean(0),
    "max of one": lambda x: x[:1].max(0).values,
    "zeros_like": lambda x: minidl.zeros_like(x),
}


def memory(x):
    return x if isinstance(x, np.ndarray) else x.numpy()


@pytest.mark.parametrize("name", SHARE)
def test_these_share_memory(name):
    x = minidl.arange(6.0).reshape(2, 3)
    assert np.shares_memory(memory(SHARE[name](x)), x.numpy())


@pytest.mark.parametrize("name", COPY)
def test_these_copy(name):
    x = minidl.arange(6.0).reshape(2, 3)
    assert not np.may_share_memory(memory(COPY[name](x)), x.numpy())


@pytest.mark.parametrize("name", [*SHARE, *COPY])
def test_torch_shares_and_copies_the_same(name):
    torch = pytest.importorskip("torch")
    if "minidl" in (SHARE | COPY)[name].__code__.co_names or name == "to with copy":
        return
    x = torch.arange(6.0).reshape(2, 3)
    y = (SHARE | COPY)[name](x)
    assert np.may_share_memory(y if isinstance(y, np.ndarray) else y.numpy(), x.numpy()) == (name in SHARE)


def test_promise_10_tensor_copies_and_from_numpy_shares():
    a = np.zeros(3)
    copied, shared, also = minidl.tensor(a), minidl.from_numpy(a), minidl.as_tensor(a)
    a[0] = 1
    assert copied.tolist() == [0.0, 0.0, 0.0]
    assert shared.tolist() == also.tolist() == [1.0, 0.0, 0.0]
    shared[1] = 2
    assert a.tolist() == [1.0, 2.0, 0.0]
    shared.numpy()[2] = 3
    assert a[2] == 3
    backwards = minidl.from_numpy(a[::-1])
    backwards += 1
    assert a.tolist() == [2.0, 3.0, 4.0]


def test_view_raises_where_reshape_copies():
    x = minidl.ones(2, 3)
    with pytest.raises(RuntimeError, match=r"view: shape \(6,\) needs a copy.*use .reshape"):
        x.T.view(6)
    with pytest.raises(TypeError, match="reinterpreting the memory as another dtype"):
        x.view(minidl.int32)


# --- in-place operations compute what their namesakes do, in the same memory

IN_PLACE = {
    "+=": (lambda a, b: a.__iadd__(b), lambda a, b: a + b),
    "-=": (lambda a, b: a.__isub__(b), lambda a, b: a - b),
    "*=": (lambda a, b: a.__imul__(b), lambda a, b: a * b),
    "/=": (lambda a, b: a.__itruediv__(b), lambda a, b: a / b),
    "**=": (lambda a, b: a.__ipow__(b), lambda a, b: a**b),
    "add_": (lambda a, b: a.add_(b, alpha=2), lambda a, b: a + 2 * b),
    "sub_": (lambda a, b: a.sub_(b, alpha=2), lambda a, b: a - 2 * b),
    "mul_": (lambda a, b: a.mul_(b), lambda a, b: a * b),
    "div_": (lambda a, b: a.div_(b), lambda a, b: a / b),
    "pow_": (lambda a, b: a.pow_(b), lambda a, b: a**b),
    "square": (lambda a, b: a.__ipow__(2), lambda a, b: a**2),
    "neg_": (lambda a, b: a.neg_(), lambda a, b: -a),
    "exp_": (lambda a, b: a.exp_(), lambda a, b: a.exp()),
    "sqrt_": (lambda a, b: a.sqrt_(), lambda a, b: a.sqrt()),
    "relu_": (lambda a, b: a.relu_(), lambda a, b: a.relu()),
    "sigmoid_": (lambda a, b: a.sigmoid_(), lambda a, b: a.sigmoid()),
    "tanh_": (lambda a, b: a.tanh_(), lambda a, b: a.tanh()),
    "clamp_": (lambda a, b: a.clamp_(0.6, 1.2), lambda a, b: a.clamp(0.6, 1.2)),
    "masked_fill_": (lambda a, b: a.masked_fill_(b > 0.8, 3.0), lambda a, b: a.masked_fill(b > 0.8, 3.0)),
    "copy_": (lambda a, b: a.copy_(b[0]), lambda a, b: b[0].expand(a.shape)),
    "fill_": (lambda a, b: a.fill_(2.0), lambda a, b: a * 0 + 2.0),
    "zero_": (lambda a, b: a.zero_(), lambda a, b: a * 0),
    "setitem": (lambda a, b: (a.__setitem__(0, b[1]), a)[1], lambda a, b: minidl.stack([b[1], a[1]])),
    "by itself": (lambda a, b: a.__imul__(a), lambda a, b: a * a),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_is_its_namesake(name):
    in_place, plain = IN_PLACE[name]
    rng = np.random.default_rng(0)
    a, b = (minidl.tensor(rng.uniform(0.5, 1.5, (2, 3)), requires_grad=True) for _ in range(2))
    x = a.detach().clone()
    memory = x.array
    assert in_place(x, b.detach()) is x
    assert x.array is memory
    assert x.tolist() == plain(a, b).tolist()

    def through_memory(a, b):
        h = a * 1.0
        in_place(h, b)
        return h * b + h + a * b

    def through_view(a, b):
        base = minidl.cat([a, a]) * 1.0
        in_place(base[1:3], b)
        return (base * base).sum(0) + a * b

    assert gradcheck(through_memory, (a, b))
    assert gradcheck(through_view, (a, b))


OVERWRITES = {
    "zero_": lambda h: h.zero_(),
    "fill_": lambda h: h.fill_(5.0),
    "copy_": lambda h: h.copy_(minidl.ones(2)),
    "normal_": lambda h: h.normal_(),
    "a slice": lambda h: h[:].zero_(),
    "an index": lambda h: h.__setitem__(slice(None), 3.0),
}


@pytest.mark.parametrize("name", OVERWRITES)
def test_a_tensor_overwritten_whole_keeps_its_place_in_the_graph_with_gradient_0(name):
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    h = x * 2
    OVERWRITES[name](h)
    assert h.requires_grad and h.grad_fn is not None
    h.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [0.0, 0.0]
    h += w
    h.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]
    assert w.grad.tolist() == [1.0, 1.0]


def test_shapes_and_dtypes_that_do_not_fit():
    x = minidl.ones(3)
    with pytest.raises(ValueError, match=r"in place: the result has shape \(2, 3\) and does not fit into shape \(3,\)"):
        x += minidl.ones(2, 3)
    with pytest.raises(ValueError, match="expand"):
        x.copy_(minidl.ones(2))
    with pytest.raises(ValueError, match="fill_: expected a number or a 0-d tensor"):
        x.fill_(minidl.ones(3))
    for call in (lambda: x.masked_fill(x > 0, minidl.ones(3)), lambda: minidl.arange(3).masked_fill(x > 0, 0.5)):
        with pytest.raises((ValueError, TypeError), match="masked_fill"):
            call()
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_read_only_memory_is_refused():
    a = np.ones(3)
    a.flags.writeable = False
    shared = minidl.from_numpy(a)
    expanded = minidl.ones(1).expand(3)
    for x in (shared, expanded):
        with pytest.raises(RuntimeError, match="read-only, or shared by several of its elements"):
            x += 1
        with pytest.raises(RuntimeError, match="read-only"):
            x[0] = 1.0
    assert (shared + 1).tolist() == [2.0, 2.0, 2.0]


# --- leaves


@pytest.mark.parametrize(
    "write",
    [
        lambda w: w.add_(1),
        lambda w: w.__setitem__(0, 1.0),
        lambda w: w[0].zero_(),
        lambda w: w.reshape(-1)[1:].mul_(2),
        lambda w: w.T.fill_(1),
        lambda w: w.normal_(),
        lambda w: w.uniform_(),
        lambda w: w.zero_(),
    ],
)
def test_a_leaf_cannot_be_changed_while_recording(write):
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(RuntimeError, match=r"a leaf that requires grad cannot be changed while recording; use no_grad\(\)"):
        write(w)
    assert w.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_leaf_can_be_changed_without_recording_or_through_data():
    w = leaf([1.0, 2.0])
    memory = w.array
    with minidl.no_grad():
        w -= 0.5
        w[0] = 7.0
        w[1:].mul_(2)
    assert w.tolist() == [7.0, 3.0]
    w.data.fill_(1.0)
    w.detach()[0] = 2.0
    w.data[1] += 4
    assert w.tolist() == [2.0, 5.0]
    assert w.array is memory
    assert w.is_leaf
    assert w.requires_grad
    w.data = minidl.tensor([0.0, 0.0, 1.0])
    w.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0, 1.0]


# --- promise 9: what backward needs is not changed behind its back

SAVING = {
    "Mul": lambda x, w: x * w,
    "Div": lambda x, w: w / x,
    "Pow": lambda x, w: w**x,
    "MatMul": lambda x, w: w @ x,
    "Maximum": lambda x, w: minidl.maximum(x, w) * x,
    "Exp of the result": lambda x, w: x * w.exp(),
    "Where": lambda x, w: minidl.where(x > 0, w, 0) * x,
    "Einsum": lambda x, w: minidl.einsum("i,i->", x, w),
    "XLogY": lambda x, w: w.xlogy(x),
}

WRITES = {
    "+=": lambda x: x.__iadd__(1),
    "*=": lambda x: x.__imul__(2),
    "setitem": lambda x: x.__setitem__(0, 9.0),
    "setitem with a list": lambda x: x.__setitem__([0, 1], 9.0),
    "setitem with a mask": lambda x: x.__setitem__(x > 0, 9.0),
    "fill_": lambda x: x.fill_(3),
    "zero_": lambda x: x.zero_(),
    "copy_": lambda x: x.copy_(minidl.ones(2)),
    "normal_": lambda x: x.normal_(),
    "uniform_": lambda x: x.uniform_(),
    "bernoulli_": lambda x: x.bernoulli_(),
    "masked_fill_": lambda x: x.masked_fill_(x > 0, 0.0),
    "exp_": lambda x: x.exp_(),
    "clamp_": lambda x: x.clamp_(0, 0.1),
    "a view": lambda x: x[0].zero_(),
    "a view of a view": lambda x: x.reshape(2, 1).T[:, 1:].add_(1),
    "iteration": lambda x: [row.zero_() for row in x],
    ".data": lambda x: x.data.zero_(),
    ".data with an index": lambda x: x.data.__setitem__(0, 1.0),
    "detach()": lambda x: x.detach().mul_(2),
    "a view of detach()": lambda x: x.detach()[:1].zero_(),
    "in no_grad": minidl.no_grad()(lambda x: x.sub_(1)),
    "setitem in no_grad": minidl.no_grad()(lambda x: x.__setitem__(0, 5.0)),
}


@pytest.mark.parametrize("saving", SAVING)
def test_promise_09_every_saving_operation_is_watched(saving):
    x, w = minidl.tensor([1.0, 2.0]), leaf([3.0, 4.0])
    y = SAVING[saving](x, w).sum()
    x += 1
    with pytest.raises(RuntimeError, match=r"\w+: an array that backward needs .* was changed in place"):
        y.backward()
    assert w.grad is None


@pytest.mark.parametrize("write", WRITES)
def test_promise_09_every_write_is_noticed(write):
    x, w = minidl.tensor([1.0, 2.0]), leaf([3.0, 4.0])
    y = (x * w).sum()
    WRITES[write](x)
    with pytest.raises(RuntimeError, match=r"Mul: an array that backward needs \(saved as 'a', shape \(2,\)\) was changed"):
        y.backward()


@pytest.mark.parametrize("write", WRITES)
def test_promise_09_a_saved_result_is_watched_too(write):
    x = leaf([1.0, 2.0])
    y = x.exp()
    loss = (y + 0).sum()
    WRITES[write](y)
    with pytest.raises(RuntimeError, match="Exp: an array that backward needs"):
        loss.backward()


def test_promise_09_a_write_through_the_base_a_sibling_or_numpys_view():
    for write in (
        lambda base: base.zero_(),
        lambda base: base[:2].zero_(),
        lambda base: base.reshape(2, 2)[0].zero_(),
        lambda base: minidl.from_numpy(base.numpy()[:3]).zero_(),
    ):
        base, w = minidl.ones(4), leaf([3.0, 4.0])
        y = (base[:2] * w).sum()
        write(base)
        with pytest.raises(RuntimeError, match="Mul: an array that backward needs"):
            y.backward()


def test_promise_09_an_optimizer_step_between_forward_and_backward():
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    x = leaf([[1.0, 1.0]])
    y = (x @ w @ w).sum()
    with minidl.no_grad():
        w -= 0.1
    with pytest.raises(RuntimeError, match="MatMul: an array that backward needs"):
        y.backward()


def test_promise_09_index_tensors_are_watched():
    for use in (
        lambda x, i: x[i],
        lambda x, i: x[i, 0],
        lambda x, i: x.gather(0, i.reshape(2, 1)),
        lambda x, i: x.index_select(0, i),
    ):
        x, i = leaf([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([0, 1])
        y = use(x, i).sum()
        i.zero_()
        with pytest.raises(RuntimeError, match="an array that backward needs"):
            y.backward()


UNHARMED = {
    "sum": lambda x, w: x + w,
    "difference": lambda x, w: w - x,
    "product with a constant": lambda x, w: w * 2 + x,
    "sum over an axis": lambda x, w: (x + w).sum(0, keepdim=True),
    "cat": lambda x, w: minidl.cat([x, w]),
    "reshape": lambda x, w: (w + x).reshape(2, 1),
    "index": lambda x, w: x[:1] + w[1:],
    "factor that needs no gradient": lambda x, w: x * minidl.tensor([2.0, 3.0]) + w,
}


@pytest.mark.parametrize("name", UNHARMED)
def test_promise_09_nothing_raises_where_nothing_saved_was_changed(name):
    w = leaf([3.0, 4.0])
    x = minidl.tensor([1.0, 2.0])
    y = UNHARMED[name](x, w)
    x += 1
    y.sum().backward()
    assert w.grad is not None
    h = leaf([1.0, 2.0]) * 1.0
    y = UNHARMED[name](h, w)
    h += 1
    y.sum().backward()


def test_promise_09_writes_before_the_operation_and_to_other_memory_are_fine():
    x, w, other = minidl.tensor([1.0, 2.0]), leaf([3.0, 4.0]), minidl.ones(2)
    x += 1
    y = (x * w).sum()
    other += 1
    x.clone().zero_()
    x[[0, 1]].zero_()
    w.grad = minidl.zeros(2)
    w.grad += 1
    y.backward()
    assert w.grad.tolist() == [3.0, 4.0]


def test_promise_09_memory_that_is_used_again_is_not_taken_for_the_old():
    for _ in range(200):
        x, w = minidl.ones(1000), leaf(np.ones(1000, np.float32))
        x += 1
        y = (x * w).sum()
        del x
        minidl.ones(1000).add_(1)
        y.backward()


# --- views in the graph


def test_writing_to_a_view_changes_base_and_siblings_in_the_graph():
    x = leaf([1.0, 2.0, 3.0])
    base = x * 1
    left, right = base[:2], base[1:]
    left *= 10  # base = 10, 20, 3; right = 20, 3
    assert base.tolist() == [10.0, 20.0, 3.0]
    right.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [0.0, 10.0, 1.0]
    x.grad = None
    base.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0, 1.0]


def test_writing_to_the_base_changes_its_views_in_the_graph():
    x = leaf([1.0, 2.0, 3.0])
    base = x * 1
    view = base[:2]
    wide = base[2:].expand(4)
    base *= 3
    (view.sum() + wide.sum()).backward()
    assert x.grad.tolist() == [3.0, 3.0, 12.0]


def test_a_constant_that_a_result_is_written_into_joins_the_graph():
    w = leaf([1.0, 2.0])
    buffer = minidl.zeros(2, 2)
    row = buffer[1]
    other = buffer.T
    row += w
    assert buffer.requires_grad
    assert other.requires_grad
    other.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


def test_detached_views_are_outside_the_graph_but_in_the_memory():
    x = leaf([1.0, 2.0])
    h = x * 1
    d = h.detach()
    d[0] = 9.0
    assert h.tolist() == [9.0, 2.0]
    assert not d.requires_grad
    h.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_many_views_of_one_tensor_leave_nothing_behind():
    x = minidl.zeros(10)
    for _ in range(1000):
        x[:5]
    assert len(x.views) < 5
    held = [x[i % 10] for i in range(100)]
    x += 1
    assert all(h.item() == 1.0 for h in held)


def test_promise_36_a_long_chain_of_views_is_written_to_from_either_end():
    x = leaf([1.0, 2.0])
    first = last = x * 1
    for _ in range(3000):
        last = last.reshape(-1)
    last *= 2
    first += 1
    (first + last).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]


def test_promise_14_augmented_assignment_and_sums():
    w = leaf([1.0, 2.0])
    total = 0
    for i in range(3):
        total += (w * i).sum()
    assert total.item() == 9.0
    loss = sum([(w * w).sum(), w.sum()])
    loss.backward()
    assert w.grad.tolist() == [3.0, 5.0]
    t = u = w * 1
    t += 1
    assert u is t
    assert u.tolist() == [2.0, 3.0]
    k = 1.0
    k += w  # a float has no place for it: a new tensor
    assert k.tolist() == [2.0, 3.0]
    assert w.tolist() == [1.0, 2.0]


def test_promise_14_numpy_arrays_take_no_tensor_in_place():
    a = np.ones(2)
    with pytest.raises(TypeError):
        a += leaf([1.0, 2.0])
    assert a.tolist() == [1.0, 1.0]
