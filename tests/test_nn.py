"""Modules, parameters, containers and layers."""

import copy
import gc
import math
import pickle
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn
from minidl.autograd import gradcheck

from . import table_functional


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.scale = nn.Parameter(minidl.ones(1))
        self.register_buffer("count", minidl.tensor(0))
        self.register_buffer("scratch", minidl.zeros(2), persistent=False)

    def forward(self, x):
        return self.second(self.first(x)) * self.scale


def values(module):
    return {name: x.numpy(force=True).copy() for name, x in module.state_dict().items()}


def descend(params, rate=0.1):
    with minidl.no_grad():
        for param in params:
            param -= rate * param.grad
            param.grad = None


# --- parameters


def test_a_parameter_shares_memory_and_requires_grad():
    x = minidl.zeros(2)
    p = nn.Parameter(x)
    x[0] = 1
    assert p.tolist() == [1, 0]
    assert p.requires_grad
    assert p.is_leaf
    assert isinstance(p, minidl.Tensor)
    assert not nn.Parameter(x, requires_grad=False).requires_grad
    assert type(p * 2) is minidl.Tensor
    assert repr(p) == "Parameter containing:\ntensor([1., 0.], requires_grad=True)"
    assert nn.Parameter().shape == (0,)
    with pytest.raises(TypeError, match="list"):
        nn.Parameter([1.0])
    with pytest.raises(TypeError, match="floating-point"):
        nn.Parameter(minidl.tensor([1, 2]))


# --- what is registered


def test_registration_and_names():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["scale", "first.weight", "first.bias", "second.1.weight"]
    assert [name for name, _ in net.named_buffers()] == ["count", "scratch"]
    assert [name for name, _ in net.named_children()] == ["first", "second"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "second", "second.0", "second.1"]
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert list(net.state_dict()) == ["scale", "count", "first.weight", "first.bias", "second.1.weight"]
    assert next(iter(net.state_dict(prefix="net."))) == "net.scale"
    assert net.get_submodule("second.1") is net.second[1]
    assert net.get_submodule("") is net
    assert net.get_parameter("second.1.weight") is net.second[1].weight
    assert net.get_buffer("count") is net.count
    for path in ("third", "second.7.weight", "first.weight.x"):
        with pytest.raises(AttributeError, match=path):
            net.get_parameter(path)
    with pytest.raises(AttributeError, match="Linear"):
        net.get_parameter("first")


def test_the_registries_read_and_write():
    net = Net()
    assert dict(net._parameters) == {"scale": net.scale}
    assert list(net._modules) == ["first", "second"]
    assert list(net._buffers) == ["count", "scratch"]
    net._modules["third"] = nn.ReLU()
    assert isinstance(net.third, nn.ReLU)
    del net._modules["third"]
    assert not hasattr(net, "third")
    with pytest.raises(KeyError):
        net._parameters["first"]


def test_names_match_pytorchs():
    torch = pytest.importorskip("torch")

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(3, 4)
            self.second = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(4, 2, bias=False))
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.register_buffer("count", torch.tensor(0))
            self.register_buffer("scratch", torch.zeros(2), persistent=False)

    ours, theirs = Net(), Theirs()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, method)()] == [n for n, _ in getattr(theirs, method)()]
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    expected = theirs.second(theirs.first(torch.tensor(x))).detach().numpy()
    np.testing.assert_allclose(ours(minidl.tensor(x)).numpy(force=True), expected, atol=1e-6)


def test_assignment_replaces_and_deletes():
    net = Net()
    old = net.first
    net.first = nn.Linear(3, 4)
    assert net.first is not old
    net.second = None
    assert [name for name, _ in net.named_children()] == ["first"]
    del net.scale, net.count
    assert list(net.state_dict()) == ["first.weight", "first.bias"]
    net.add_module("extra", nn.Tanh())
    net.register_parameter("gain", nn.Parameter(minidl.ones(1)))
    net.register_parameter("nothing", None)
    assert net.nothing is None
    assert [name for name, _ in net.named_parameters()] == ["gain", "first.weight", "first.bias"]
    for name in ("a.b", "", 3):
        with pytest.raises(KeyError, match="name"):
            net.register_parameter(name, None)
    with pytest.raises(KeyError, match="already has an attribute 'forward'"):
        net.add_module("forward", nn.Tanh())
    with pytest.raises(TypeError, match="'x' must be a Module or None, got function"):
        net.add_module("x", lambda x: x)
    with pytest.raises(TypeError, match="'gain' is a Parameter; expected another Parameter or None, got Tensor"):
        net.gain = minidl.ones(1)
    with pytest.raises(TypeError, match="'extra' is a Module"):
        net.extra = 3
    with pytest.raises(TypeError, match="'scratch' is a buffer"):
        net.scratch = 3
    with pytest.raises(TypeError, match="detach"):
        net.register_buffer("p", nn.Parameter(minidl.ones(1)))
    net.scratch = minidl.ones(3)
    assert [name for name, _ in net.named_buffers()] == ["scratch"]


@pytest.mark.parametrize(
    "holder, home",
    [
        (lambda: [nn.Linear(2, 2)], "a list that holds a Linear.*nn.ModuleList"),
        (lambda: (1, nn.Linear(2, 2)), "a tuple that holds a Linear.*nn.ModuleList"),
        (lambda: {"a": nn.Linear(2, 2)}, "a dict that holds a Linear.*nn.ModuleDict"),
        (lambda: [nn.Parameter(minidl.ones(2))], "a list that holds a Parameter.*nn.ParameterList"),
        (lambda: {"a": nn.Parameter(minidl.ones(2))}, "a dict that holds a Parameter.*nn.ParameterDict"),
        (lambda: [None] * 999 + [nn.ReLU()], "a list that holds a ReLU.*nn.ModuleList"),
    ],
)
def test_promise_33_a_module_in_a_plain_list_is_warned_of_once(holder, home):
    net = nn.Sequential(nn.Linear(2, 3))
    net[0].layers = holder()
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    with pytest.warns(UserWarning, match=rf"^Sequential: 0\.layers is {home}$") as caught:
        assert len(list(net.parameters())) == 2
    assert len(caught) == 1 and caught[0].filename == __file__
    list(net.parameters()), net.zero_grad(), list(net[0].named_parameters())  # warnings are errors here: it is silent now


@pytest.mark.parametrize("ask", [lambda net: net.named_parameters(), lambda net: net.zero_grad(), lambda net: net.double()])
def test_promise_33_the_warning_names_the_line_that_asked(ask):
    net = nn.Module()
    net.layers = [nn.Linear(2, 2)]
    with pytest.warns(UserWarning, match="^Module: layers is a list") as caught:
        ask(net)
    assert caught[0].filename == __file__


def test_promise_33_what_is_registered_in_the_tree_or_hidden_is_not_warned_of():
    class Book(nn.Module):
        """As the book's save_hyperparameters has it: the arguments in a dict before they are attributes."""

        def __init__(self, encoder, size):
            super().__init__()
            self.hparams = {"encoder": encoder, "size": size}
            for name, value in self.hparams.items():
                setattr(self, name, value)

    net = Book(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), 4)
    net.encoder.parent = [net]
    net.weights = [net.encoder[0].weight]
    net.deeper = [[nn.Linear(5, 5)]]  # it looks one level deep
    net.far = [None] * 1000 + [nn.Linear(5, 5)]  # at the first 1,000
    vars(net)["teacher"] = nn.Linear(6, 6)
    assert len(list(net.parameters())) == 4
    assert [name for name, _ in net.named_children()] == ["encoder"]
    assert not any(key.startswith("teacher") for key in net.state_dict())
    assert net.teacher(minidl.ones(1, 6)).shape == (1, 6)


def test_promise_33_a_large_list_is_not_walked_and_a_dict_may_hold_itself():
    class Counted(list):
        walked = 0

        def __iter__(self):
            for x in super().__iter__():
                self.walked += 1
                yield x

    net = nn.Module()
    net.memory = Counted(range(10**5))
    assert net.memory.walked == 0
    list(net.parameters())
    assert net.memory.walked == 1000
    knot = {"net": net}
    knot["self"] = knot
    net.knot = knot
    assert net.knot is knot and list(nn.Sequential(net).parameters()) == []


def test_promise_33_the_other_methods_leave_plain_lists_alone():
    net = nn.Module()
    net.body, net.others = nn.Linear(2, 2), [nn.Linear(2, 2)]
    net.eval()
    assert net.others[0].training and not net.body.training
    net.load_state_dict(net.state_dict())
    assert "others" not in repr(net)


def test_parts_are_listed_in_the_order_of_registration():
    net = nn.Module()
    net.head = None  # registers nothing
    net.register_parameter("scale", None)  # keeps a place
    net.body, net.head, net.bias = nn.Linear(2, 3), nn.Linear(3, 1), nn.Parameter(minidl.ones(1))
    net.scale = nn.Parameter(minidl.ones(1))
    assert [name for name, _ in net.named_children()] == ["body", "head"]
    assert list(net.state_dict()) == ["scale", "bias", "body.weight", "body.bias", "head.weight", "head.bias"]
    net.body = None
    net.body = nn.Linear(2, 2)
    assert [name for name, _ in net.named_children()] == ["body", "head"]
    del net.body
    net.body = nn.Linear(2, 2)
    assert [name for name, _ in net.named_children()] == ["head", "body"]


def test_promise_33_an_unknown_attribute_is_named():
    with pytest.raises(AttributeError, match=r"'Linear' object has no attribute 'wieght'"):
        nn.Linear(2, 2).wieght  # noqa: B018


def test_promise_33_super_init_must_come_first():
    class Hasty(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"Hasty: call super\(\).__init__\(\) before assigning 'layer'"):
        Hasty()
    with pytest.raises(NotImplementedError, match="Module: write a forward"):
        nn.Module()(1)


def test_shared_parts_count_once():
    shared = nn.Linear(3, 3)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    assert len(list(net.parameters())) == 2
    assert len(list(net.modules())) == 3
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    net(minidl.ones(1, 3)).sum().backward()
    once = nn.Sequential(copy.deepcopy(shared), nn.ReLU(), copy.deepcopy(shared))
    once.zero_grad()
    once(minidl.ones(1, 3)).sum().backward()
    np.testing.assert_allclose(shared.weight.grad.numpy(), (once[0].weight.grad + once[2].weight.grad).numpy(), rtol=1e-6)
    twin = copy.deepcopy(net)
    assert twin[0] is twin[2]
    assert twin[0] is not shared


def test_tied_weights():
    embedding, output = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
    output.weight = embedding.weight
    net = nn.Sequential(embedding, output)
    assert len(list(net.parameters())) == 1
    net(minidl.tensor([1, 2])).sum().backward()
    assert (embedding.weight.grad.numpy() != 0).all()


# --- what is done to all of it


def test_apply_train_eval_and_zero_grad():
    net, seen = Net(), []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    with pytest.raises(ValueError, match="True or False"):
        net.train("yes")
    net(minidl.ones(2, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all((p.grad == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(minidl.ones(2, 3)).requires_grad
    assert net.requires_grad_()(minidl.ones(2, 3)).requires_grad


def test_conversion_keeps_the_parameters_themselves():
    net = Net()
    before = list(net.parameters())
    net(minidl.ones(2, 3)).sum().backward()
    assert net.double() is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert all(p.dtype == p.grad.dtype == minidl.float64 for p in before)
    assert net.scratch.dtype == minidl.float64
    assert net.count.dtype == minidl.int64
    net.zero_grad()
    net(minidl.ones(2, 3, dtype=minidl.float64)).sum().backward()
    assert net.scale.grad.dtype == minidl.float64
    net.to(minidl.float32).to("cpu").to(minidl.zeros(1)).cpu()
    assert net.scale.dtype == minidl.float32
    assert net.to(dtype=minidl.float64).float().scale.dtype == minidl.float32
    with pytest.raises(RuntimeError, match="cpu"):
        net.to("cuda")
    with pytest.raises(RuntimeError, match="CPU"):
        net.cuda()
    with pytest.raises(TypeError, match="int64"):
        net.to(minidl.int64)


# --- state


def test_state_dict_shares_memory_outside_the_graph_and_round_trips():
    net, other = Net(), Net()
    state = net.state_dict()
    assert type(state) is OrderedDict
    assert not any(x.requires_grad for x in state.values())
    assert np.shares_memory(state["scale"].numpy(), net.scale.numpy(force=True))
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    before = list(other.parameters())
    result = other.load_state_dict(state)
    assert repr(result) == "<All keys matched successfully>"
    assert all(a is b for a, b in zip(before, other.parameters(), strict=True))
    assert all(p.requires_grad for p in before)
    x = minidl.randn(5, 3)
    assert np.array_equal(net(x).numpy(force=True), other(x).numpy(force=True))
    assert not np.shares_memory(other.scale.numpy(force=True), net.scale.numpy(force=True))


def test_state_dict_takes_arrays_and_casts():
    net = Net()
    state = {key: value.astype(np.float64) for key, value in values(net).items()}
    state["scale"] = [7.0]
    net.load_state_dict(state)
    assert net.scale.tolist() == [7]
    assert net.scale.dtype == minidl.float32
    assert net.count.dtype == minidl.int64


def test_promise_34_loading_names_all_that_is_wrong_and_changes_nothing():
    net = Net()
    before = values(net)
    state = {key: value + 1 for key, value in before.items()}
    del state["scale"], state["first.bias"]
    state["first.weight"] = np.zeros((4, 7))
    state["second.1.weight"] = "text"
    state["extra"] = state["more"] = np.zeros(1)
    with pytest.raises(RuntimeError, match="loading state_dict for Net") as error:
        net.load_state_dict(state)
    for part in ("'scale', 'first.bias'", "'extra', 'more'", "size mismatch for first.weight", "(4, 7)", "(4, 3)", "got str"):
        assert part in str(error.value)
    after = values(net)
    assert all(np.array_equal(before[key], after[key]) for key in before)
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(state, strict=False)
    del state["first.weight"], state["second.1.weight"]
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert missing == ["scale", "first.weight", "first.bias", "second.1.weight"]
    assert unexpected == ["extra", "more"]
    assert net.count.item() == 1
    with pytest.raises(TypeError, match="expected a dict, got list"):
        net.load_state_dict([])


def test_loading_after_forward_is_noticed_by_backward():
    net = nn.Linear(2, 2)
    y = net(minidl.ones(1, 2, requires_grad=True)).sum()
    net.load_state_dict(values(net))
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_promise_43_copies_and_pickles_after_a_forward():
    net = Net()
    net.register_forward_hook(print_nothing)
    x = minidl.randn(5, 3)
    y = net(x)
    y.sum().backward()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(twin(x).numpy(force=True), y.numpy(force=True))
        assert list(twin.state_dict()) == list(net.state_dict())
        assert all(type(p) is nn.Parameter and p.requires_grad for p in twin.parameters())
        assert not any(a is b for a, b in zip(twin.parameters(), net.parameters(), strict=True))
        assert all(p.grad is None for p in twin.parameters())
        twin(x).sum().backward()
        descend(p for p in twin.parameters() if p.grad is not None)
        assert not np.array_equal(twin(x).numpy(force=True), y.numpy(force=True))
        assert np.array_equal(net(x).numpy(force=True), y.numpy(force=True))
        assert [name for name, _ in twin.named_buffers()] == ["count", "scratch"]


def print_nothing(module, inputs, output):
    return None


def test_promise_37_layers_keep_no_results():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2), nn.Softmax(dim=-1))
    gc.collect()
    gc.disable()
    try:
        y = net(minidl.ones(2, 3))
        node, array = weakref.ref(y.node), weakref.ref(y.array)
        del y
        assert node() is None
        assert array() is None
    finally:
        gc.enable()


# --- hooks


def test_hooks_see_and_change_inputs_and_outputs():
    layer, seen = nn.Identity(), []
    handles = [
        layer.register_forward_pre_hook(lambda m, inputs: seen.append(("before", inputs[0].item()))),
        layer.register_forward_pre_hook(lambda m, inputs: inputs[0] + 1),
        layer.register_forward_hook(lambda m, inputs, y: seen.append(("after", inputs[0].item(), y.item()))),
        layer.register_forward_hook(lambda m, inputs, y: y * 10),
    ]
    assert layer(minidl.tensor(1.0)).item() == 20
    assert seen == [("before", 1), ("after", 2, 2)]
    for handle in handles[1::2]:
        handle.remove()
        handle.remove()
    assert layer(minidl.tensor(1.0)).item() == 1
    with layer.register_forward_hook(lambda m, inputs, y: y * 3):
        assert layer(minidl.tensor(1.0)).item() == 3
    assert layer(minidl.tensor(1.0)).item() == 1


def test_forward_takes_keyword_arguments():
    class Scaled(nn.Module):
        def forward(self, x, *, factor=1):
            return x * factor

    module = Scaled()
    assert module(minidl.tensor(2.0), factor=3).item() == 6
    module.register_forward_hook(print_nothing)
    assert module(minidl.tensor(2.0), factor=3).item() == 6


# --- repr


def build_all(nn):
    yield nn.Linear(3, 4)
    yield nn.Linear(3, 4, bias=False)
    yield nn.LazyLinear(4)
    yield nn.Bilinear(2, 3, 4)
    yield nn.Identity()
    yield nn.Flatten()
    yield nn.Unflatten(1, (2, 3))
    yield nn.Embedding(5, 3)
    yield nn.Embedding(5, 3, padding_idx=-1)
    yield nn.Dropout(0.2)
    yield from (nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.2), nn.ELU(), nn.GELU(), nn.GELU("tanh"), nn.SiLU())
    yield from (nn.Softplus(), nn.Sigmoid(), nn.LogSigmoid(), nn.Tanh(), nn.Softmax(dim=1), nn.LogSoftmax(dim=-1))
    yield from (nn.MSELoss(), nn.CrossEntropyLoss(), nn.KLDivLoss(reduction="batchmean"))
    yield nn.Sequential()
    yield nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))
    yield nn.Sequential(OrderedDict(hidden=nn.Linear(2, 3), out=nn.ReLU()))
    yield nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2), nn.Tanh()])
    yield nn.ModuleList([nn.Sequential(nn.ReLU(), nn.Linear(2, 2)) for _ in range(3)])
    yield nn.ModuleDict({"a": nn.ReLU(), "b": nn.Sequential(nn.Tanh())})


def test_repr():
    assert repr(nn.Linear(3, 4)) == "Linear(in_features=3, out_features=4, bias=True)"
    assert repr(nn.Sequential(nn.Linear(1, 2), nn.Sequential(nn.ReLU()))) == (
        "Sequential(\n  (0): Linear(in_features=1, out_features=2, bias=True)\n  (1): Sequential(\n    (0): ReLU()\n  )\n)"
    )
    assert repr(nn.ModuleList([nn.ReLU(), nn.ReLU()])) == "ModuleList(\n  (0-1): 2 x ReLU()\n)"
    assert "(0): Parameter containing: [float32 of size 2x3]" in repr(nn.ParameterList([minidl.ones(2, 3)]))


OWN_REPRS = """
ReLU() ; ReLU(inplace=True) ; LeakyReLU(negative_slope=0.3) ; ELU(alpha=1.7) ; GELU(approximate='tanh') ; SiLU() ; Sigmoid()
Softplus(beta=2.5, threshold=1.5) ; LogSigmoid() ; Tanh() ; Softmax(dim=0) ; LogSoftmax(dim=1) ; Identity()
Linear(in_features=4, out_features=2, bias=False) ; Bilinear(in1_features=4, in2_features=2, out_features=5, bias=False)
Flatten(start_dim=0, end_dim=2) ; Unflatten(dim=1, unflattened_size=(2, 2)) ; Embedding(4, 3)
Embedding(4, 3, padding_idx=2) ; Dropout(p=0.2, inplace=False) ; Dropout1d(p=0.2, inplace=False)
Dropout2d(p=0.2, inplace=False) ; Conv1d(3, 6, kernel_size=(3,), stride=(2,))
Conv1d(3, 6, kernel_size=(3,), stride=(1,), padding=same)
Conv2d(3, 6, kernel_size=(3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2), groups=3, bias=False, padding_mode=reflect)
ConvTranspose1d(3, 6, kernel_size=(3,), stride=(3,), output_padding=(2,))
ConvTranspose2d(3, 6, kernel_size=(3, 3), stride=(1, 1))
ConvTranspose2d(3, 6, kernel_size=(3, 3), stride=(2, 1), padding=(0, 1), dilation=(2, 2), output_padding=(1, 0), groups=3)
ZeroPad1d((1, 3)) ; ZeroPad2d((1, 2, 3, 0)) ; ConstantPad1d(padding=(1, 3), value=1.5)
ConstantPad2d(padding=(2, 2, 2, 2), value=1.5) ; ReflectionPad1d((1, 3)) ; ReflectionPad2d((1, 2, 3, 0))
ReplicationPad1d((1, 3)) ; ReplicationPad2d((1, 2, 3, 0)) ; CircularPad1d((1, 3)) ; CircularPad2d((1, 2, 3, 0))
Upsample(size=(3, 8), mode='bilinear') ; Upsample(scale_factor=1.7, mode='linear') ; PixelShuffle(upscale_factor=2)
PixelUnshuffle(downscale_factor=2) ; Unfold(kernel_size=(2, 3), dilation=1, padding=2, stride=3)
Fold(output_size=(5, 6), kernel_size=2, dilation=2, padding=1, stride=1)
MaxPool1d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=True)
MaxPool2d(kernel_size=(3, 2), stride=(1, 2), padding=(1, 0), dilation=(1, 2), ceil_mode=False)
AvgPool1d(kernel_size=(3,), stride=(2,), padding=(1,)) ; AvgPool2d(kernel_size=3, stride=2, padding=1)
MaxUnpool2d(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1)) ; AdaptiveMaxPool1d(output_size=4)
AdaptiveMaxPool2d(output_size=(2, None)) ; AdaptiveAvgPool1d(output_size=4) ; AdaptiveAvgPool2d(output_size=(3, 4))
BatchNorm1d(3, eps=0.3, momentum=None, affine=True, bias=False, track_running_stats=True)
BatchNorm2d(3, eps=1e-05, momentum=0.4, affine=False, bias=False, track_running_stats=False)
InstanceNorm1d(3, eps=0.3, momentum=0.1, affine=True, bias=True, track_running_stats=True)
InstanceNorm2d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)
LayerNorm((3, 4), eps=0.3, elementwise_affine=True, bias=False) ; RMSNorm((4,), eps=None, elementwise_affine=False)
GroupNorm(2, 4, eps=0.3, affine=True, bias=False) ; RNN(4, 3, num_layers=2, bias=False, batch_first=True)
LSTM(4, 3, num_layers=2, dropout=0.5) ; GRU(4, 3, num_layers=2, bidirectional=True) ; RNNCell(4, 3, nonlinearity=relu)
LSTMCell(4, 3, bias=False) ; GRUCell(4, 3) ; MSELoss() ; L1Loss() ; SmoothL1Loss() ; HuberLoss() ; GaussianNLLLoss()
CrossEntropyLoss() ; NLLLoss() ; FocalLoss() ; BCELoss() ; BCEWithLogitsLoss() ; SigmoidFocalLoss() ; KLDivLoss()
CTCLoss() ; JSDivLoss() ; InfoNCELoss()
"""


@pytest.mark.parametrize("text", OWN_REPRS.strip().replace("\n", " ; ").split(" ; "))
def test_a_repr_says_how_to_make_the_layer(text):
    """But for the marks of strings, which PyTorch leaves out of most."""
    names = {name: name for name in ("same", "reflect", "relu")} | {name: getattr(nn, name) for name in nn.__all__}
    assert repr(eval(text, names)) == text


def test_repr_is_pytorchs():
    torch = pytest.importorskip("torch")
    for ours, theirs in zip(build_all(nn), build_all(torch.nn), strict=True):
        assert repr(ours) == repr(theirs)


# --- containers


def test_sequential_indexes_and_grows():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b)
    assert net.append(c) is net
    assert list(net) == [a, b, c]
    assert (net[0], net[-1], len(net)) == (a, c, 3)
    assert list(net[1:]) == [b, c]
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"]  # PyTorch keeps the names too
    x = minidl.randn(4, 2)
    assert np.array_equal(net(x).numpy(force=True), c(b(a(x))).numpy(force=True))
    d = nn.Tanh()
    net.insert(1, d)
    assert [name for name, _ in net.named_children()] == ["0", "1", "2", "3"]
    assert list(net) == [a, d, b, c]
    del net[1]
    assert list(net) == [a, b, c]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    net[1] = d
    assert net.pop(-1) is c
    assert list(net.extend([c, b])) == [a, d, c, b]
    assert list(nn.Sequential(a) + nn.Sequential(b)) == [a, b]
    named = nn.Sequential(OrderedDict(hidden=a, out=c))
    assert named.hidden is a
    assert list(named.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    with pytest.raises(IndexError, match="index 5 is out of range for 4 items"):
        net[5]
    with pytest.raises(TypeError, match="expected a Module, got function"):
        nn.Sequential(a, F.relu)


def test_module_list():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    assert [name for name, _ in layers.named_parameters()][::2] == ["0.weight", "1.weight", "2.weight"]
    first, extra = layers[0], nn.ReLU()
    layers += [extra]
    layers.insert(0, nn.Tanh())
    assert (layers[1], layers[-1], len(layers)) == (first, extra, 5)
    assert first in layers
    assert type(layers[1:3]) is nn.ModuleList
    assert len(layers + [nn.ReLU()]) == 6
    assert layers.pop(0).__class__ is nn.Tanh
    del layers[1:3]
    assert [name for name, _ in layers.named_children()] == ["0", "1"]
    with pytest.raises(NotImplementedError, match="ModuleList: it has no forward"):
        layers(minidl.ones(1))
    with pytest.raises(TypeError, match="int"):
        layers.append(3)


def test_module_dict():
    modules = nn.ModuleDict({"a": nn.Linear(2, 2)})
    modules["b"] = nn.ReLU()
    modules.update({"a": nn.Tanh()})
    assert list(modules) == list(modules.keys()) == ["a", "b"]
    assert [type(m) for m in modules.values()] == [nn.Tanh, nn.ReLU]
    assert ("a" in modules, "c" in modules, len(modules)) == (True, False, 2)
    assert type(modules.pop("a")) is nn.Tanh
    assert dict(modules.items()) == {"b": modules["b"]}
    modules.clear()
    assert len(modules) == 0
    with pytest.raises(KeyError, match="already has an attribute 'keys'"):
        modules["keys"] = nn.ReLU()
    with pytest.raises(KeyError):
        modules["b"]


def test_parameter_list_and_dict():
    weights = nn.ParameterList([minidl.ones(2), nn.Parameter(minidl.zeros(3))])
    weights.append(minidl.ones(1))
    assert [name for name, _ in weights.named_parameters()] == ["0", "1", "2"]
    assert all(type(w) is nn.Parameter for w in weights)
    assert weights[-1].shape == (1,)
    table = nn.ParameterDict({"a": minidl.ones(2)})
    table["b"] = minidl.zeros(1)
    assert [name for name, _ in table.named_parameters()] == ["a", "b"]
    with pytest.raises(TypeError, match="Parameter"):
        weights.append(3)


# --- layers


def test_linear_by_formula():
    layer = nn.Linear(3, 4).double()
    w, b = layer.weight.numpy(force=True), layer.bias.numpy(force=True)
    for shape in ((3,), (2, 3), (2, 5, 3), (0, 3)):
        x = np.random.default_rng(0).normal(size=shape)
        np.testing.assert_allclose(layer(minidl.tensor(x)).numpy(force=True), x @ w.T + b, rtol=1e-12)
    x = minidl.randn(2, 5, 3, dtype=minidl.float64, requires_grad=True)
    gradcheck(F.linear, [x, layer.weight, layer.bias])
    gradcheck(F.linear, [x, layer.weight])


def test_promise_06_linear_and_its_twin_agree():
    x = minidl.randn(7, 3, dtype=minidl.float64, requires_grad=True)
    layer, dy = nn.Linear(3, 4, dtype=minidl.float64), minidl.randn(7, 4, dtype=minidl.float64)
    results = []
    for y in (layer(x), x @ layer.weight.T + layer.bias):
        x.grad = None
        layer.zero_grad()
        y.backward(dy)
        results.append([y.numpy(force=True), x.grad.numpy(), layer.weight.grad.numpy(), layer.bias.grad.numpy()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_promise_26_linear_checks_shapes_and_dtypes():
    layer = nn.Linear(512, 128)
    with pytest.raises(
        ValueError, match=r"linear: input \(64, 784\) and weight \(128, 512\) disagree: expected input\[..., 512\]"
    ):
        layer(minidl.zeros(64, 784))
    with pytest.raises(ValueError, match=r"input \(\)"):
        layer(minidl.tensor(1.0))
    with pytest.raises(TypeError, match="input is float64 and the weight float32"):
        layer(minidl.zeros(2, 512, dtype=minidl.float64))
    with pytest.raises(TypeError, match="expected a Tensor, got ndarray"):
        layer(np.zeros((2, 512), np.float32))
    with pytest.raises(ValueError, match=r"bias of shape \(128,\), got \(3,\)"):
        F.linear(minidl.zeros(2, 512), layer.weight, minidl.zeros(3))
    with pytest.raises(ValueError, match=r"expected input\[..., in\] and weight \(out, in\)"):
        F.linear(minidl.zeros(2, 512), minidl.zeros(512))
    with pytest.raises(TypeError, match="int64"):
        layer(minidl.zeros(2, 512, dtype=minidl.int64))
    with pytest.raises(ValueError, match="in_features must be an integer of 0 or more, got -1"):
        nn.Linear(-1, 2)
    with pytest.raises(ValueError, match=r"bilinear: inputs \(5, 2\) and \(4, 3\)"):
        nn.Bilinear(2, 3, 4)(minidl.ones(5, 2), minidl.ones(4, 3))


def test_bilinear_by_formula():
    layer = nn.Bilinear(2, 3, 4, dtype=minidl.float64)
    a, b = minidl.randn(5, 6, 2, dtype=minidl.float64), minidl.randn(5, 6, 3, dtype=minidl.float64)
    expected = np.einsum("abi,oij,abj->abo", a.numpy(), layer.weight.numpy(force=True), b.numpy())
    np.testing.assert_allclose(layer(a, b).numpy(force=True), expected + layer.bias.numpy(force=True), rtol=1e-12)


def test_flatten_and_unflatten():
    x = minidl.arange(24).reshape(2, 3, 4)
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Unflatten(1, (3, 4))(nn.Flatten()(x)).equal(x)
    with pytest.raises(TypeError, match="tuple of sizes"):
        nn.Unflatten(1, 3)


def test_embedding():
    layer = nn.Embedding(5, 3, padding_idx=1)
    assert layer.weight[1].tolist() == [0, 0, 0]
    index = minidl.tensor([[0, 1], [4, 0]])
    y = layer(index)
    np.testing.assert_array_equal(y.numpy(force=True), layer.weight.numpy(force=True)[index.numpy()])
    y.sum().backward()
    assert layer.weight.grad[:, 0].tolist() == [2, 0, 0, 0, 1]
    table = minidl.eye(3)
    assert nn.Embedding.from_pretrained(table)(minidl.tensor(1)).tolist() == [0, 1, 0]
    assert not nn.Embedding.from_pretrained(table).weight.requires_grad
    for bad in (5, -1):
        with pytest.raises(IndexError, match=rf"embedding: index {bad} is out of range: expected 0 to 4"):
            layer(minidl.tensor([0, bad]))
    with pytest.raises(TypeError, match="integers, got float32"):
        layer(minidl.tensor([0.0]))
    with pytest.raises(NotImplementedError, match="Embedding: sparse gradients are not supported"):
        nn.Embedding(5, 3, sparse=True)
    with pytest.raises(ValueError, match="padding_idx 5"):
        nn.Embedding(5, 3, padding_idx=5)


def test_one_hot():
    assert F.one_hot(minidl.tensor([[0], [2]]), 3).tolist() == [[[1, 0, 0]], [[0, 0, 1]]]
    assert F.one_hot(minidl.tensor([1])).tolist() == [[0, 1]]
    with pytest.raises(IndexError, match="index 3 is out of range: expected 0 to 2"):
        F.one_hot(minidl.tensor([3]), 3)
    with pytest.raises(IndexError, match="index -1 is out of range: expected 0 or more"):
        F.one_hot(minidl.tensor([-1]))


def test_dropout():
    minidl.manual_seed(0)
    x = minidl.ones(100, 100, requires_grad=True)
    layer = nn.Dropout(0.3)
    y = layer(x)
    assert set(np.unique(y.numpy(force=True))) == {np.float32(0), np.float32(1 / 0.7)}
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), y.numpy(force=True))
    assert layer.eval()(x) is x
    assert nn.Dropout(0)(x) is x
    assert (nn.Dropout(1)(x) == 0).all()
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            nn.Dropout(p)
    assert nn.functional.dropout(minidl.ones(2), p=0.5, training=False, inplace=False).tolist() == [1, 1]


ACTIVATIONS = {
    "relu": (F.relu, lambda x: np.maximum(x, 0)),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "elu": (lambda x: F.elu(x, 0.7), lambda x: np.where(x > 0, x, 0.7 * (np.exp(x) - 1))),
    "gelu": (F.gelu, lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2),
    "gelu-tanh": (
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "silu": (F.silu, lambda x: x / (1 + np.exp(-x))),
    "softplus": (lambda x: F.softplus(x, 2), lambda x: np.log(1 + np.exp(2 * x)) / 2),
    "sigmoid": (F.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "logsigmoid": (F.logsigmoid, lambda x: -np.log(1 + np.exp(-x))),
    "tanh": (F.tanh, np.tanh),
    "softmax": (lambda x: F.softmax(x, 0), lambda x: np.exp(x) / np.exp(x).sum(0)),
    "log_softmax": (lambda x: F.log_softmax(x, -1), lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_formula(name):
    function, formula = ACTIVATIONS[name]
    x = np.random.default_rng(0).normal(size=(5, 7)) * 2
    np.testing.assert_allclose(function(minidl.tensor(x)).numpy(), formula(x), rtol=1e-9, atol=1e-12)
    gradcheck(function, [minidl.tensor(x, requires_grad=True)])
    y = function(minidl.tensor(x.astype(np.float32), requires_grad=True))
    y.sum().backward()
    assert y.dtype == minidl.float32


def test_activation_modules_are_the_functions():
    x = minidl.randn(3, 4)
    pairs = [
        (nn.ReLU(), F.relu(x)),
        (nn.LeakyReLU(0.2), F.leaky_relu(x, 0.2)),
        (nn.ELU(0.5), F.elu(x, 0.5)),
        (nn.GELU("tanh"), F.gelu(x, approximate="tanh")),
        (nn.SiLU(), F.silu(x)),
        (nn.Softplus(2, 1), F.softplus(x, 2, 1)),
        (nn.Sigmoid(), F.sigmoid(x)),
        (nn.LogSigmoid(), F.logsigmoid(x)),
        (nn.Tanh(), F.tanh(x)),
        (nn.Softmax(dim=0), F.softmax(x, 0)),
        (nn.LogSoftmax(dim=0), F.log_softmax(x, 0)),
    ]
    for module, expected in pairs:
        assert module(x).equal(expected)


def test_slopes_at_the_kinks():
    x = minidl.zeros(1, requires_grad=True)
    F.relu(x).backward()
    assert x.grad.item() == 0
    x.grad = None
    F.sigmoid(x).backward()
    assert x.grad.item() == 0.25
    x.grad = None
    F.tanh(x).backward()
    assert x.grad.item() == 1
    assert F.sigmoid(minidl.tensor([800.0, -800.0])).tolist() == [1, 0]
    x = minidl.randn(20, dtype=minidl.float64)
    assert (F.tanh(x) + 1).allclose(2 * F.sigmoid(2 * x), rtol=1e-12)


def test_inplace_in_a_network():
    x = minidl.tensor([-1.0, 2.0])
    y = nn.ReLU(inplace=True)(x)
    assert y is x
    assert x.tolist() == [0, 2]
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True), nn.Linear(2, 1))
    net(minidl.randn(3, 2)).sum().backward()
    assert net[0].weight.grad is not None
    with pytest.raises(ValueError, match="'none' or 'tanh'"):
        F.gelu(x, approximate="fast")
    with pytest.raises(TypeError, match="floating-point tensor, got int64"):
        F.silu(minidl.tensor([1]))


# --- lazy layers


def test_a_lazy_linear_becomes_a_linear():
    layer = nn.LazyLinear(3)
    assert repr(layer.weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match="first input"):
        layer.weight.shape  # noqa: B018
    with pytest.raises(RuntimeError, match="first input"):
        layer.weight.numel()
    layer.weight.data.normal_(0, 0.01)  # nothing to fill yet: no error, as in PyTorch
    weight = layer.weight
    assert layer(minidl.ones(2, 5)).shape == (2, 3)
    assert type(layer) is nn.Linear
    assert layer.weight is weight
    assert type(weight) is nn.Parameter
    assert weight.shape == (3, 5)
    assert repr(layer) == "Linear(in_features=5, out_features=3, bias=True)"
    with pytest.raises(ValueError, match=r"expected input\[..., 5\]"):
        layer(minidl.ones(2, 6))
    assert nn.LazyLinear(3, bias=False).bias is None


def test_an_optimizer_may_hold_lazy_parameters():
    minidl.manual_seed(0)
    net = nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(1))
    params = list(net.parameters())
    optimizer = minidl.optim.SGD(params, lr=0.1, momentum=0.5)
    x = minidl.randn(16, 3)
    y = x.sum(1, keepdim=True)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(a is b for a, b in zip(params, net.parameters(), strict=True))


def test_lazy_layers_load_before_their_first_forward():
    trained = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    lazy = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2))
    lazy.load_state_dict(trained.state_dict())
    x = minidl.randn(3, 5)
    assert np.array_equal(lazy(x).numpy(force=True), trained(x).numpy(force=True))
    assert lazy[0].in_features == 5
    assert type(lazy[0]) is nn.Linear
    copied = copy.deepcopy(nn.LazyLinear(4))
    assert copied(x).shape == (3, 4)


# --- models


def test_mlp():
    net = nn.MLP(4, [8, 6], 3, activation=nn.Tanh, dropout=0.2)
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "Dropout"] * 2 + ["Linear"]
    assert net(minidl.ones(5, 4)).shape == (5, 3)
    assert [type(m).__name__ for m in nn.MLP(4, [], 3)] == ["Linear"]
    assert net[:-1](minidl.ones(5, 4)).shape == (5, 6)
    widths = []
    nn.MLP(4, [8, 6], 3, norm=lambda width: widths.append(width) or nn.Identity())
    assert widths == [8, 6]
    with pytest.raises(TypeError, match=r"sequence of widths such as \[64\], got 64"):
        nn.MLP(4, 64, 3)


def test_stacked_affine_maps_are_one():
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 5), nn.Linear(5, 2)).double()
    weight, bias = minidl.eye(3, dtype=minidl.float64), minidl.zeros(3, dtype=minidl.float64)
    for layer in net:
        weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
    x = minidl.randn(10, 3, dtype=minidl.float64)
    assert net(x).allclose(F.linear(x, weight, bias), rtol=1e-10)


def test_xor_needs_a_hidden_layer():
    x = minidl.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = minidl.tensor([[0.0], [1.0], [1.0], [0.0]])
    losses = {}
    for hidden in ([], [8]):
        minidl.manual_seed(1)
        net = nn.MLP(2, hidden, 1, activation=nn.Tanh)
        for _ in range(400):
            loss = F.binary_cross_entropy_with_logits(net(x), y)
            loss.backward()
            descend(net.parameters(), rate=1.0)
        losses[len(hidden)] = loss.item()
        wrong = ((net(x) > 0).float() != y).sum().item()
        assert (wrong == 0) == bool(hidden)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)  # no line does better than a coin
    assert losses[1] < 0.05


def test_gradients_of_backpropagation_by_hand():
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False)).double()
    x, y = minidl.randn(1, 3, dtype=minidl.float64), minidl.randn(1, 2, dtype=minidl.float64)
    decay = 0.1
    loss = F.mse_loss(net(x), y, reduction="sum") / 2
    penalty = decay / 2 * sum((w**2).sum() for w in net.parameters())
    (loss + penalty).backward()
    w1, w2 = (w.numpy(force=True) for w in net.parameters())
    h = np.tanh(x.numpy() @ w1.T)
    do = h @ w2.T - y.numpy()
    dz = (do @ w2) * (1 - h**2)
    np.testing.assert_allclose(net[2].weight.grad.numpy(), do.T @ h + decay * w2, rtol=1e-10)
    np.testing.assert_allclose(net[0].weight.grad.numpy(), dz.T @ x.numpy() + decay * w1, rtol=1e-10)


def test_promise_12_a_network_stays_in_float32():
    net = nn.MLP(3, [4], 2, activation=nn.GELU, dropout=0.5)
    y = net(minidl.randn(5, 3))
    F.cross_entropy(y, minidl.tensor([0, 1, 1, 0, 1])).backward()
    assert y.dtype == minidl.float32
    assert all(p.dtype == p.grad.dtype == minidl.float32 for p in net.parameters())


# --- gradient clipping and vectors


def with_grads(*grads, dtype=np.float32):
    params = []
    for grad in grads:
        grad = np.asarray(grad if grad is not None else [0.0], dtype)
        params.append(nn.Parameter(minidl.zeros(*grad.shape, dtype=dtype)))
        params[-1].grad = minidl.tensor(grad)
    for param, grad in zip(params, grads, strict=True):
        if grad is None:
            param.grad = None
    return params


def test_promise_24_clip_grad_norm():
    params = with_grads([3.0], None, [0.0, 4.0])
    assert nn.utils.clip_grad_norm_(params, 10).item() == 5
    assert params[0].grad.tolist() == [3]
    assert nn.utils.clip_grad_norm_(params, 5).item() == 5
    assert params[2].grad.tolist() == [0, 4]
    assert nn.utils.clip_grad_norm_(iter(params), 1).item() == 5
    assert params[0].grad.tolist() + params[2].grad.tolist() == pytest.approx([0.6, 0, 0.8], rel=1e-6)
    assert params[1].grad is None
    assert nn.utils.clip_grad_norm_(with_grads([0.0]), 1).item() == 0
    assert nn.utils.clip_grad_norm_([], 1).item() == 0
    (single,) = with_grads([3.0, 4.0])
    assert nn.utils.clip_grad_norm_(single, 1.0).item() == 5


@pytest.mark.parametrize("dtype, large", [(np.float32, 1e19), (np.float64, 1e200)])
def test_promise_24_large_and_small_gradients_clip_correctly(dtype, large):
    params = with_grads([3 * large], [4 * large], dtype=dtype)
    assert nn.utils.clip_grad_norm_(params, 1.0).item() == pytest.approx(5 * large, rel=1e-6)
    assert [p.grad.item() for p in params] == pytest.approx([0.6, 0.8], rel=1e-6)
    assert params[0].grad.dtype == dtype
    params = with_grads([3 / large], [4 / large], dtype=dtype)
    assert nn.utils.clip_grad_norm_(params, 1.0).item() == pytest.approx(5 / large, rel=1e-6)


def test_promise_24_norms_that_are_not_finite():
    for bad in (math.nan, math.inf):
        params = with_grads([1.0], [bad, 2.0])
        with pytest.raises(RuntimeError, match=r"parameter 1, shape \(2,\)"):
            nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
        assert params[0].grad.tolist() == [1]
        nn.utils.clip_grad_norm_(params, 1.0)
        assert math.isnan(params[1].grad[0].item())


def test_clip_grad_agrees_with_torch():
    torch = pytest.importorskip("torch")
    grads = [np.random.default_rng(i).normal(size=(3, 4)) for i in range(3)]
    for norm_type in (1.0, 2.0, 3.0, math.inf):
        ours = with_grads(*grads, dtype=np.float64)
        theirs = [torch.nn.Parameter(torch.zeros(3, 4, dtype=torch.float64)) for _ in grads]
        for p, g in zip(theirs, grads, strict=True):
            p.grad = torch.tensor(g)
        a = nn.utils.clip_grad_norm_(ours, 0.7, norm_type)
        b = torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm_type)
        assert a.item() == pytest.approx(b.item(), rel=1e-12)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)
    with pytest.raises(ValueError, match="norm_type"):
        nn.utils.clip_grad_norm_(ours, 1.0, 0)


def test_clip_grad_value():
    params = with_grads([-3.0, 0.5, 2.0], None)
    nn.utils.clip_grad_value_(params, 1.0)
    assert params[0].grad.tolist() == [-1, 0.5, 1]


def test_vectors_of_parameters_round_trip():
    net, other = Net(), Net()
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (sum(p.numel() for p in net.parameters()),)
    nn.utils.vector_to_parameters(vector, other.parameters())
    assert all(a.equal(b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert all(p.is_leaf for p in other.parameters())
    with pytest.raises(ValueError, match="expected a vector of"):
        nn.utils.vector_to_parameters(vector[1:], other.parameters())


# --- what is no tensor

X, V, W, IMAGES, LABELS = minidl.ones(2, 3), minidl.ones(3), minidl.ones(3, 3), minidl.ones(2, 3, 8, 8), minidl.tensor([0, 2])
SIGNALS, KERNELS = minidl.ones(2, 3, 8), minidl.ones(3, 3, 3, 3)
# every function of nn.functional: arguments of which each tensor is to be replaced in turn
FUNCTIONALS = dict.fromkeys(table_functional.ACTIVATIONS, (X,)) | {
    "alpha_dropout": (X,),
    "embedding_bag": (minidl.tensor([[0, 1]]), W),
    "gumbel_softmax": (X,),
    "glu": (minidl.ones(2, 4),),
    "prelu": (X, minidl.ones(1)),
    "softmin": (X, 1),
    "threshold": (X, 0.5, 1.0),
    "cosine_embedding_loss": (X, X, minidl.ones(2)),
    "hinge_embedding_loss": (X, minidl.ones(2, 3)),
    "margin_ranking_loss": (X, X, X),
    "multi_margin_loss": (X, minidl.tensor([0, 2]), 1, 1.0, V),
    "multilabel_margin_loss": (X, minidl.tensor([[0, 2, -1], [1, -1, -1]])),
    "multilabel_soft_margin_loss": (X, X, V),
    "poisson_nll_loss": (X, X),
    "soft_margin_loss": (X, X),
    "triplet_margin_loss": (X, X, X),
    "triplet_margin_with_distance_loss": (X, X, X),
    "adaptive_avg_pool1d": (SIGNALS, 2),
    "adaptive_avg_pool2d": (IMAGES, 2),
    "adaptive_max_pool1d": (SIGNALS, 2),
    "adaptive_max_pool2d": (IMAGES, 2),
    "additive_scores": (X, W, W, W, V),
    "attention_pooling": (X, W),
    "avg_pool1d": (SIGNALS, 2),
    "avg_pool2d": (IMAGES, 2),
    "batch_norm": (IMAGES, minidl.zeros(3), minidl.ones(3), V, V),
    "bilinear": (X, X, minidl.ones(2, 3, 3), minidl.ones(2)),
    "bilinear_scores": (X, W, W),
    "binary_cross_entropy": (X, X, X),
    "binary_cross_entropy_with_logits": (X, X, X),
    "conv1d": (SIGNALS, minidl.ones(3, 3, 3), V),
    "conv2d": (IMAGES, KERNELS, V),
    "conv_transpose1d": (SIGNALS, minidl.ones(3, 3, 3), V),
    "conv_transpose2d": (IMAGES, KERNELS, V),
    "convolve2d": (IMAGES, KERNELS),
    "cosine_similarity": (X, X),
    "ctc_loss": (minidl.zeros(3, 1, 4), minidl.tensor([[1]]), [3], [1]),
    "cross_entropy": (X, LABELS),
    "dot_product_scores": (X, W),
    "dropout": (X,),
    "dropout1d": (SIGNALS,),
    "dropout2d": (IMAGES,),
    "embedding": (LABELS, W),
    "entropy_from_logits": (X,),
    "focal_loss": (X, LABELS),
    "fold": (minidl.ones(2, 27, 36), (8, 8), 3),
    "gaussian_nll_loss": (X, X, 1.0),
    "gaussian_scores": (X, W),
    "group_norm": (IMAGES, 3, V, V),
    "huber_loss": (X, X),
    "info_nce": (X, X, X),
    "instance_norm": (IMAGES, minidl.zeros(3), minidl.ones(3), V, V),
    "interpolate": (IMAGES, 4),
    "js_divergence": (X, X),
    "kl_div": (X, X),
    "l1_loss": (X, X),
    "layer_norm": (X, (3,), V, V),
    "linear": (X, W, V),
    "log_softmax": (X, 1),
    "masked_softmax": (X, LABELS),
    "max_pool1d": (SIGNALS, 2),
    "max_pool2d": (IMAGES, 2),
    "max_unpool2d": (IMAGES, 2, 2),
    "mse_loss": (X, X),
    "nadaraya_watson": (X, W, V),
    "nll_loss": (X, LABELS),
    "normalize": (X,),
    "one_hot": (LABELS,),
    "pad": (IMAGES, (1, 1)),
    "pairwise_distance": (X, X),
    "pixel_shuffle": (minidl.ones(1, 4, 2, 2), 2),
    "pixel_unshuffle": (IMAGES, 2),
    "rms_norm": (X, (3,), V),
    "scaled_dot_product_scores": (X, W),
    "rotary": (minidl.ones(2, 4),),
    "scaled_dot_product_attention": (IMAGES, IMAGES, IMAGES),
    "sigmoid_focal_loss": (X, X),
    "similarity": (X, W),
    "smooth_l1_loss": (X, X),
    "softmax": (X, 1),
    "unfold": (IMAGES, 3),
}


def test_every_functional_is_asked_for_what_is_no_tensor():
    assert sorted(FUNCTIONALS) == sorted(name for name in F.__all__ if name[-1] != "_")


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_promise_26_what_is_no_tensor_is_told_by_every_functional(name):
    args = FUNCTIONALS[name]
    for i, x in enumerate(args):
        for wrong in ([1.0], "x", 5, {}):
            if isinstance(x, minidl.Tensor):
                with pytest.raises((TypeError, ValueError), match=f"^{name}: .*(expected|must be)") as told:
                    getattr(F, name)(*args[:i], wrong, *args[i + 1 :])
                assert type(told.value) is TypeError or i  # what comes after the input may be of a wrong shape instead


@pytest.mark.parametrize("name", [name for name in FUNCTIONALS if name != "pairwise_distance"])
def test_an_ndarray_as_input_is_told_too(name):
    first, *others = FUNCTIONALS[name]
    with pytest.raises(TypeError, match=f"^{name}: expected .*got ndarray"):
        getattr(F, name)(first.numpy(), *others)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Linear(True, 2), ValueError, "Linear: in_features must be an integer of 0 or more, got True"),
        (lambda: nn.Linear("4", 3), ValueError, "Linear: in_features must be an integer of 0 or more, got '4'"),
        (lambda: nn.Linear(-1, 3), ValueError, "Linear: in_features must be an integer of 0 or more, got -1"),
        (lambda: nn.Linear(2.0, 3), ValueError, "Linear: in_features must be an integer of 0 or more, got 2.0"),
        (lambda: nn.Embedding("4", 3), ValueError, "Embedding: num_embeddings must be an integer of 0 or more, got '4'"),
        (lambda: nn.Embedding(4, 2.5), ValueError, "Embedding: embedding_dim must be an integer of 0 or more, got 2.5"),
        (lambda: nn.Embedding(4, 3, padding_idx=2.5), TypeError, "Embedding: padding_idx must be an integer, got 2.5"),
        (lambda: nn.Embedding.from_pretrained([[1.0]]), TypeError, "Embedding.from_pretrained: expected a Tensor"),
        (lambda: nn.Dropout(math.nan), ValueError, r"Dropout: p must lie in \[0, 1\], got nan"),
        (lambda: nn.Dropout("0.5"), ValueError, r"Dropout: p must lie in \[0, 1\], got '0.5'"),
        (lambda: nn.Dropout2d(None), ValueError, r"Dropout2d: p must lie in \[0, 1\], got None"),
        (lambda: nn.LazyLinear(3)([1.0]), TypeError, "LazyLinear: expected a Tensor as input, got list"),
        (lambda: nn.LazyLinear(3)(minidl.tensor(1.0)), ValueError, "LazyLinear: expected an input"),
        (lambda: nn.LazyConv2d(3, 3)([1.0]), TypeError, "LazyConv2d: expected a Tensor as input, got list"),
        (lambda: nn.BatchNorm1d(3)([1.0]), TypeError, "BatchNorm1d: expected a Tensor as input, got list"),
        (lambda: nn.Flatten()([1.0]), TypeError, "Flatten: expected a Tensor as input, got list"),
        (lambda: nn.Unflatten(1, (3, 1))([1.0]), TypeError, "Unflatten: expected a Tensor as input, got list"),
        (lambda: nn.GroupNorm("3", 3), ValueError, "GroupNorm: num_groups must be an integer"),
        (lambda: nn.LayerNorm(None), ValueError, "LayerNorm: normalized_shape must be sizes of one axis or more, got None"),
        (lambda: nn.LayerNorm(True), ValueError, "LayerNorm: normalized_shape must be sizes of one axis or more, got True"),
        (lambda: F.layer_norm(X, 3), TypeError, "layer_norm: normalized_shape must be a tuple of sizes, got 3"),
        (lambda: F.rms_norm(minidl.ones(2).long(), (2,)), TypeError, "rms_norm: expected floating-point numbers, got int64"),
        (lambda: F.dropout(X, None), ValueError, r"dropout: p must lie in \[0, 1\], got None"),
        (lambda: F.one_hot(LABELS, "3"), ValueError, "one_hot: num_classes must be an integer of 0 or more"),
        (lambda: F.one_hot(LABELS, -2), ValueError, "one_hot: num_classes must be an integer of 0 or more"),
        (lambda: F.cross_entropy(X, LABELS > 0), TypeError, "cross_entropy: labels must be integers, got bool"),
        (lambda: F.cross_entropy(X, LABELS, ignore_index=None), TypeError, "cross_entropy: ignore_index must be an integer"),
        (lambda: F.cross_entropy(X, LABELS, label_smoothing="0"), ValueError, "cross_entropy: label_smoothing must lie in"),
        (lambda: F.nll_loss(X, LABELS, ignore_index=1.5), TypeError, "nll_loss: ignore_index must be an integer, got 1.5"),
        (lambda: F.huber_loss(X, X, delta=math.nan), ValueError, "huber_loss: delta must be above 0, got nan"),
        (lambda: F.smooth_l1_loss(X, X, beta=None), ValueError, "smooth_l1_loss: beta must be 0 or more, got None"),
        (
            lambda: F.interpolate(IMAGES, scale_factor=math.inf),
            ValueError,
            "interpolate: scale_factor must be a number above 0",
        ),
        (lambda: F.interpolate(IMAGES, scale_factor="2"), ValueError, "interpolate: scale_factor must be a number above 0"),
        (lambda: F.pad(IMAGES, (1, 1), value="0"), TypeError, "pad: value must be a number, got '0'"),
        (lambda: F.conv2d(IMAGES, KERNELS, stride=np.ones((2, 2))), ValueError, "conv2d: stride must be an integer"),
        (lambda: F.max_pool2d(IMAGES, 2, stride=minidl.ones(2)), ValueError, "max_pool2d: stride must be an integer"),
        (
            lambda: nn.utils.clip_grad_norm_([1.0], 1.0),
            TypeError,
            "clip_grad_norm_: expected Tensors, got float as parameter 0",
        ),
        (
            lambda: nn.utils.clip_grad_norm_([W], math.nan),
            ValueError,
            "clip_grad_norm_: .* max_norm 0 or more, got 2.0 and nan",
        ),
        (lambda: nn.utils.clip_grad_norm_([W], -1.0), ValueError, "clip_grad_norm_: .* max_norm 0 or more, got 2.0 and -1.0"),
        (
            lambda: nn.utils.clip_grad_value_([W], math.nan),
            ValueError,
            "clip_grad_value_: clip_value must be a number of 0 or more, got nan",
        ),
        (lambda: nn.utils.parameters_to_vector([1]), TypeError, "parameters_to_vector: expected Tensors, got int"),
        (lambda: nn.utils.vector_to_parameters(V, [1]), TypeError, "vector_to_parameters: expected Tensors, got int"),
    ],
)
def test_promise_26_wrong_arguments_are_told_early(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_sizes_of_numpy_are_sizes():
    assert nn.Linear(np.int64(3), np.int32(2))(X).shape == (2, 2)
    assert nn.Bilinear(0, 3, 2).weight.shape == (2, 0, 3)
