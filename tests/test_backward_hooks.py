"""Hooks on the way back, the nodes of the graph as PyTorch shows them, and autograd's functions of that name."""

import gc
import weakref

import pytest

import minidl
from minidl import autograd, nn
from minidl.autograd import Variable


class Two(nn.Module):
    """Two inputs, two outputs."""

    def forward(self, a, b, factor=2.0):
        return a * b, a * factor


def seen_by(module, **options):
    seen = []
    handle = module.register_full_backward_hook(lambda m, dx, dy: seen.append((m, dx, dy)))
    return seen, handle


def test_a_full_backward_hook_sees_all_gradients_of_inputs_and_outputs():
    net = Two()
    seen, handle = seen_by(net)
    a, b = minidl.tensor([1.0, 2.0], requires_grad=True), minidl.tensor([3.0, 4.0], requires_grad=True)
    y, z = net(a, b)
    (y.sum() + 10 * z.sum()).backward()
    ((module, dx, dy),) = seen
    assert module is net
    assert [g.tolist() for g in dx] == [[23.0, 24.0], [1.0, 2.0]]
    assert [g.tolist() for g in dy] == [[1.0, 1.0], [10.0, 10.0]]
    assert a.grad.tolist() == [23.0, 24.0] and b.grad.tolist() == [1.0, 2.0]
    handle.remove()
    net(a, b)[0].sum().backward()
    assert len(seen) == 1


def test_inputs_without_gradient_and_outputs_that_nobody_uses_have_none():
    net = Two()
    seen, _ = seen_by(net)
    a, b = minidl.ones(2, requires_grad=True), minidl.ones(2)
    net(a, b, 3.0)[1].sum().backward()
    ((_, dx, dy),) = seen
    assert dx[0].tolist() == [3.0, 3.0] and dx[1:] == (None, None)
    assert dy[0] is None and dy[1].tolist() == [1.0, 1.0]


def test_a_layer_whose_input_wants_no_gradient_is_told_at_its_output():
    layer = nn.Linear(2, 1)
    seen, _ = seen_by(layer)
    layer(minidl.ones(3, 2)).sum().backward()
    ((_, dx, dy),) = seen
    assert dx == (None,) and dy[0].shape == (3, 1)
    assert layer.weight.grad.tolist() == [[3.0, 3.0]]


def test_what_the_hooks_return_takes_the_place_of_the_gradients_one_after_the_other():
    net = Two()
    net.register_full_backward_pre_hook(lambda m, dy: tuple(10 * g for g in dy))
    net.register_full_backward_hook(lambda m, dx, dy: (dx[0] + 1, dx[1]))
    net.register_full_backward_hook(lambda m, dx, dy: (dx[0] * 2, dx[1]))
    a, b = minidl.ones(1, requires_grad=True), minidl.ones(1, requires_grad=True)
    y, z = net(a, b)
    (y + z).sum().backward()
    assert a.grad.tolist() == [2 * (10 * 3 + 1)] and b.grad.tolist() == [10.0]
    net.register_full_backward_hook(lambda m, dx, dy: (dx[0],))
    with pytest.raises(RuntimeError, match="Two: a backward hook returned 1 gradients as grad_input, expected 2"):
        sum(net(a, b)).sum().backward()
    other = Two()
    other.register_full_backward_hook(lambda m, dx, dy: (dx[0].reshape(1, 1), dx[1]))
    with pytest.raises(RuntimeError, match=r"must return grad_input of float32 and shape \(1,\), got float32 \(1, 1\)"):
        sum(other(a, b)).sum().backward()


def test_a_graph_with_hooks_is_walked_twice_and_differentiated_twice():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Tanh())
    seen, _ = seen_by(net)
    net[0].weight.data.fill_(0.7)
    x = minidl.tensor([[0.5]], requires_grad=True)
    y = net(x)
    y.backward(retain_graph=True)
    y.backward()
    assert len(seen) == 2 and (x.grad == 2 * seen[0][1][0]).all()
    (dx,) = autograd.grad(net(x), x, create_graph=True)
    (second,) = autograd.grad(dx, x)
    plain = nn.Sequential(*net)
    (wanted,) = autograd.grad(autograd.grad(plain(x), x, create_graph=True)[0], x)
    assert minidl.allclose(second, wanted) and second.abs().item() > 1e-4


def test_hooks_in_no_grad_are_not_called_and_an_output_that_is_a_dict_is_refused():
    layer = nn.Linear(2, 1)
    seen, _ = seen_by(layer)
    with minidl.no_grad():
        layer(minidl.ones(1, 2))
    assert not seen

    class Dict(nn.Module):
        def forward(self, x):
            return {"y": x}

    net = Dict()
    net.register_full_backward_hook(print)
    with pytest.raises(NotImplementedError, match="Dict: backward hooks need a Tensor, or a tuple of Tensors"):
        net(minidl.ones(1))
    with pytest.raises(NotImplementedError, match="write register_full_backward_hook"):
        net.register_backward_hook(print)
    with pytest.raises(TypeError, match="Dict: a hook must be a function, got int"):
        net.register_full_backward_hook(3)


def test_in_place_after_a_hooked_module_leaves_its_input_alone():
    net = nn.Identity()
    seen_by(net)
    x = minidl.ones(2, requires_grad=True)
    y = (x * 1).clone()
    net(y).mul_(5)
    assert y.tolist() == [1.0, 1.0]


def test_against_pytorch():
    torch = pytest.importorskip("torch")
    found = []
    for t in (minidl, torch):
        seen = []
        net = t.nn.Sequential(t.nn.Linear(3, 2), t.nn.ReLU(), t.nn.Linear(2, 1))
        for i, p in enumerate(net.parameters()):
            p.data = t.linspace(-1, 1 + i, p.numel()).reshape(p.shape)
        for layer in net:
            layer.register_full_backward_hook(
                lambda m, dx, dy, seen=seen: seen.append([None if g is None else g.tolist() for g in (*dx, *dy)])
            )
        net(t.linspace(0, 1, 6).reshape(2, 3).requires_grad_()).sum().backward()
        found.append(seen)
    assert len(found[0]) == 3
    for mine, theirs in zip(*found, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert (a is None) == (b is None)
            assert a is None or minidl.allclose(minidl.tensor(a), minidl.tensor(b))


# --- tensors


def test_a_hook_after_accumulation_sees_the_sum_and_may_drop_it():
    w, seen = minidl.ones(2, requires_grad=True), []
    handle = w.register_post_accumulate_grad_hook(lambda x: seen.append((x is w, x.grad.tolist())))
    for _ in range(2):
        (w * 3).sum().backward()
    assert seen == [(True, [3.0, 3.0]), (True, [6.0, 6.0])]
    handle.remove()
    (w * 3).sum().backward()
    assert len(seen) == 2
    optimizers = {}

    def step(x):
        optimizers[x].step()
        x.grad = None

    v = minidl.ones(1, requires_grad=True)
    optimizers[v] = minidl.optim.SGD([v], lr=0.5)
    v.register_post_accumulate_grad_hook(step)
    (v * v).sum().backward(create_graph=True)
    assert v.tolist() == [0.0] and v.grad is None
    with pytest.raises(RuntimeError, match="expected a leaf that requires grad; for a result use register_hook"):
        (v * 2).register_post_accumulate_grad_hook(print)
    with pytest.raises(RuntimeError, match="expected a leaf"):
        minidl.ones(1).register_post_accumulate_grad_hook(print)


def test_a_hook_after_accumulation_is_not_called_for_inputs_that_are_not_wanted():
    a, b, seen = minidl.ones(1, requires_grad=True), minidl.ones(1, requires_grad=True), []
    for x in (a, b):
        x.register_post_accumulate_grad_hook(seen.append)
    (a * b).backward(inputs=[b])
    assert len(seen) == 1 and seen[0] is b


def test_the_nodes_have_names_and_lead_to_the_leaves():
    x = minidl.ones(2, requires_grad=True)
    y = (x * 2).sum()
    assert y.grad_fn.name() == "SumBackward0"
    ((mul, index),) = y.grad_fn.next_functions
    assert mul.name() == "MulBackward0" and index == 0
    (leaf, _), (none, _) = mul.next_functions
    assert none is None and leaf.name() == "AccumulateGrad" and leaf.variable is x and leaf.next_functions == ()
    assert repr(leaf) == "<AccumulateGrad>"
    net = Two()
    net.register_full_backward_hook(lambda m, dx, dy: None)
    a, b = net(x, x)  # two outputs of one operation
    assert a.grad_fn.name() == b.grad_fn.name() == "BackwardHookBackward0"


def test_a_leaf_does_not_keep_its_tensor_alive():
    x = minidl.ones(2, requires_grad=True)
    node, tensor = x.node, weakref.ref(x)
    del x
    gc.collect()
    assert tensor() is None and node.variable is None


# --- functions


def test_backward_of_several_tensors_is_one_walk():
    x, y = minidl.tensor([1.0, 2.0], requires_grad=True), minidl.ones(1, requires_grad=True)
    z = x * 2
    autograd.backward([z, z.sum() * y], [minidl.tensor([1.0, 10.0]), None])
    assert x.grad.tolist() == [4.0, 22.0] and y.grad.tolist() == [6.0]
    autograd.backward(x.sum(), inputs=[x])
    assert x.grad.tolist() == [5.0, 23.0]
    w = minidl.tensor(3.0, requires_grad=True)
    autograd.backward([w**2, w**2], create_graph=True)
    assert w.grad.item() == 12.0 and w.grad.requires_grad
    loss = w * w
    autograd.backward(loss, retain_graph=True)
    autograd.backward((loss, loss))
    assert w.grad.item() == 12 + 6 + 12
    for call, error, message in [
        (lambda: autograd.backward([loss], [None, None]), RuntimeError, r"a cotangent .or None. for each of 1 tensors, got 2"),
        (lambda: autograd.backward([3.0]), TypeError, "backward: expected Tensors, got float"),
        (lambda: autograd.backward(loss, inputs=[]), RuntimeError, "inputs must be one or more"),
        (lambda: autograd.backward(loss, grad_variables=[None]), TypeError, "write grad_tensors="),
        (lambda: autograd.backward(x * 2), RuntimeError, "a gradient can be left out only for a scalar"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_anomaly_mode_is_a_switch_and_a_context():
    x = minidl.zeros(1, requires_grad=True)
    assert not autograd.is_anomaly_enabled()
    autograd.set_detect_anomaly(True)
    try:
        assert autograd.is_anomaly_enabled()
        with pytest.raises(RuntimeError, match="detect_anomaly: Log"):
            x.log()
        with autograd.set_detect_anomaly(False):
            x.log()
        with pytest.raises(RuntimeError, match="detect_anomaly: Log"):
            x.log()
        with autograd.set_detect_anomaly(True):
            pass
        assert autograd.is_anomaly_enabled()
    finally:
        autograd.set_detect_anomaly(False)
    x.log()
    assert not autograd.is_anomaly_enabled()
    with pytest.raises(NotImplementedError, match="check_nan=False"):
        autograd.set_detect_anomaly(True, check_nan=False)
    with pytest.raises(TypeError, match="expected True or False, got 1"):
        autograd.set_detect_anomaly(1)


def test_variable_keeps_what_it_is_given():
    x = minidl.ones(2, requires_grad=True)
    assert Variable(x) is x and Variable(x, requires_grad=True) is x
    y = x * 2
    assert Variable(y) is y
    constant = minidl.ones(2)
    w = Variable(constant, requires_grad=True)
    assert w.requires_grad and not constant.requires_grad and w.array is constant.array
    assert not Variable(x, requires_grad=False).requires_grad and x.requires_grad
    assert isinstance(x, Variable) and not isinstance(3, Variable)
    with pytest.raises(TypeError, match="volatile=True is no more"):
        Variable(x, volatile=True)
    with pytest.raises(TypeError, match="Variable: expected a Tensor, got list"):
        Variable([1.0])
