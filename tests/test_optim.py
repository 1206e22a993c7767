"""Update rules and schedules: against plain NumPy, against PyTorch where it is installed, and where users trip."""

import copy
import itertools
import pickle
import re

import numpy as np
import pytest

import minidl
from minidl.optim import SGD, Optimizer
from minidl.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, MultiStepLR, StepLR

# Every kind of step: (momentum, dampening, weight_decay, nesterov, maximize)
RULES = [
    rule
    for rule in itertools.product((0.0, 0.9), (0.0, 0.3), (0.0, 0.1), (False, True), (False, True))
    if not (rule[3] and (rule[0] == 0 or rule[1] != 0))
]
NAMES = ("momentum", "dampening", "weight_decay", "nesterov", "maximize")


def leaf(array, dtype=None):
    return minidl.tensor(array, dtype=dtype, requires_grad=True)


def descend(optimizer, p, gradients):
    for g in gradients:
        p.grad = None if g is None else minidl.tensor(g)
        optimizer.step()


def numpy_sgd(p, gradients, lr, momentum, dampening, weight_decay, nesterov, maximize):
    """The rule, as its docstring has it, in float64."""
    p, v = p.astype(np.float64), None
    for g in gradients:
        g = (-g if maximize else g) + weight_decay * p
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        p = p - lr * g
    return p


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (0, 4), (2, 3, 4), (130, 33)])
def test_sgd_against_numpy(shape, dtype):
    random = np.random.default_rng(0)
    start = random.normal(size=shape).astype(dtype)
    gradients = random.normal(size=(4, *shape)).astype(dtype)
    for rule in RULES:
        p = leaf(start)
        before = gradients.copy()
        descend(SGD([p], lr=0.05, **dict(zip(NAMES, rule, strict=True))), p, gradients)
        expected = numpy_sgd(start, gradients, 0.05, *rule)
        assert p.dtype == dtype
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)
        np.testing.assert_array_equal(gradients, before)


def test_sgd_against_pytorch():
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(6, 5)).astype("float32"), random.normal(size=(5, 6, 5)).astype("float32")
    for rule in RULES:
        options = {"lr": 0.05, **dict(zip(NAMES, rule, strict=True))}
        ours, theirs = leaf(start), torch.tensor(start, requires_grad=True)
        optimizer, other = SGD([ours], **options), torch.optim.SGD([theirs], **options)
        for g in gradients:
            ours.grad, theirs.grad = minidl.tensor(g), torch.tensor(g)
            optimizer.step()
            other.step()
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=3e-6, atol=1e-6)
        assert repr(optimizer) == repr(other)
        mine, yours = optimizer.state_dict(), other.state_dict()
        assert mine["param_groups"] == yours["param_groups"]
        assert mine["state"].keys() == yours["state"].keys()
        if rule[0]:
            buffer = mine["state"][0]["momentum_buffer"].numpy()
            np.testing.assert_allclose(buffer, yours["state"][0]["momentum_buffer"].numpy(), rtol=1e-5, atol=1e-6)


def test_strided_parameters_and_gradients():
    base = np.arange(24.0).reshape(4, 6)
    p = minidl.from_numpy(base.copy().T).requires_grad_()
    descend(SGD([p], lr=0.5), p, [np.ones((6, 4))])
    np.testing.assert_array_equal(p.detach().numpy(), base.T - 0.5)
    q = minidl.from_numpy(base.copy()).requires_grad_()
    q.grad = minidl.from_numpy(np.ascontiguousarray(base.T).T)
    SGD([q], lr=0.5, momentum=0.9).step()
    np.testing.assert_array_equal(q.detach().numpy(), base / 2)


# --- promises


def test_promise_09_a_step_between_forward_and_backward_raises():
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    optimizer = SGD([w, x], lr=0.1)
    loss = (w * x).sum()
    w.grad = minidl.ones(2)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"Mul.*changed in place.*optimizer step"):
        loss.backward()


def test_promise_12_a_numpy_rate_keeps_float32():
    p = leaf([1.0, 2.0])
    numbers = {"lr": np.float64(0.1), "momentum": np.float64(0.9), "weight_decay": np.float64(0.1)}
    optimizer = SGD([p], **numbers)
    descend(optimizer, p, [np.ones(2, "float32")] * 2)
    assert p.dtype == minidl.float32
    assert optimizer.state[p]["momentum_buffer"].dtype == minidl.float32


def test_promise_32_an_empty_list_raises():
    with pytest.raises(ValueError, match="empty list of parameters"):
        SGD([], lr=0.1)
    with pytest.raises(ValueError, match="empty list of parameters"):
        SGD([{"params": []}], lr=0.1)
    parameters = iter([leaf([1.0])])
    SGD(parameters, lr=0.1)
    with pytest.raises(ValueError, match="a generator can be used only once"):
        SGD(parameters, lr=0.1)


def test_promise_32_a_duplicate_raises():
    p, q = leaf([1.0]), leaf([1.0])
    with pytest.raises(ValueError, match="parameter 2 appears more than once"):
        SGD([p, q, p], lr=0.1)
    with pytest.raises(ValueError, match="parameter 0 appears more than once"):
        SGD([{"params": [p]}, {"params": [p]}], lr=0.1)


def test_promise_32_a_non_leaf_raises():
    with pytest.raises(ValueError, match=r"parameter 1 is the result of an operation \(<MulBackward0>\)"):
        SGD([leaf([1.0]), leaf([1.0]) * 2], lr=0.1)


@pytest.mark.parametrize("wrong", [np.ones(2), 1.0, None, "weight"])
def test_promise_32_what_is_no_tensor_raises(wrong):
    with pytest.raises(TypeError, match=f"parameter 1 must be a Tensor, got {type(wrong).__name__}"):
        SGD([leaf([1.0]), wrong], lr=0.1)


def test_promise_32_no_gradient_no_change():
    p, q = leaf([1.0, 2.0]), leaf([3.0])
    optimizer = SGD([p, q], lr=0.1, momentum=0.9, weight_decay=0.5)
    descend(optimizer, q, [np.ones(1, "float32"), None])
    assert p.tolist() == [1.0, 2.0]
    assert p not in optimizer.state
    assert q.item() == pytest.approx(3 - 0.1 * (1 + 0.5 * 3))


def test_promise_32_a_zero_gradient_still_decays():
    p = leaf([1.0, -2.0])
    descend(SGD([p], lr=0.1, weight_decay=0.5), p, [np.zeros(2, "float32")])
    np.testing.assert_allclose(p.detach().numpy(), [0.95, -1.9])


# --- what may be given as params


def test_params_in_all_forms():
    p, q = leaf([1.0]), leaf([2.0])
    assert SGD((x for x in (p, q)), lr=0.1).param_groups[0]["params"] == [p, q]
    assert SGD({"a": p, "b": q}.values(), lr=0.1).param_groups[0]["params"] == [p, q]
    named = SGD([("weight", p), ("bias", q)], lr=0.1).param_groups[0]
    assert named["params"] == [p, q] and named["param_names"] == ["weight", "bias"]
    groups = SGD([{"params": p, "lr": 0.5}, {"params": iter([q]), "momentum": 0.9}], lr=0.1).param_groups
    assert [(g["lr"], g["momentum"]) for g in groups] == [(0.5, 0), (0.1, 0.9)]


@pytest.mark.parametrize("wrong", [leaf([1.0]), {leaf([1.0])}, {"params": [leaf([1.0])]}])
def test_params_must_be_an_ordered_iterable(wrong):
    with pytest.raises(TypeError, match="params must be an ordered iterable"):
        SGD(wrong, lr=0.1)
    with pytest.raises(TypeError, match="params must have an order, got a set"):
        SGD([{"params": {leaf([1.0])}}], lr=0.1)


def test_groups_step_with_their_own_options():
    p, q, r = leaf([1.0]), leaf([1.0]), leaf([1.0])
    optimizer = SGD([{"params": [p]}, {"params": [q], "lr": 0.5, "weight_decay": 1.0}], lr=0.1)
    optimizer.add_param_group({"params": [r], "lr": 1.0})
    for x in (p, q, r):
        x.grad = minidl.ones(1)
    optimizer.step()
    assert (p.item(), q.item(), r.item()) == pytest.approx((0.9, 0.0, 0.0))
    optimizer.param_groups[0]["lr"] = 0.2
    optimizer.step()
    assert p.item() == pytest.approx(0.7)


def test_a_lazy_parameter_is_found_again_after_its_first_forward():
    p = leaf(np.zeros(0, "float32"))
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    p.data = minidl.ones(2, 3)
    (p * p).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), np.full((2, 3), 0.8), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -0.1}, "lr must be at least 0, got -0.1"),
        ({"lr": float("nan")}, "lr must be at least 0, got nan"),
        ({"momentum": -1}, "momentum must be at least 0, got -1"),
        ({"weight_decay": -1}, "weight_decay must be at least 0, got -1"),
        ({"nesterov": True}, "nesterov needs momentum > 0 and dampening = 0"),
        ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov needs momentum > 0 and dampening = 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SGD([leaf([1.0])], **options)
    with pytest.raises(ValueError, match=re.escape(message)):
        SGD([{"params": [leaf([1.0])], **options}])


@pytest.mark.parametrize("option", ["lr", "momentum", "dampening", "weight_decay"])
@pytest.mark.parametrize("wrong", ["0.1", [0.1], None, float("nan"), np.ones(2), minidl.ones(2)])
def test_options_that_are_no_numbers_are_refused_also_when_they_are_set_later(option, wrong):
    error = ValueError if isinstance(wrong, float) else TypeError
    with pytest.raises(error, match=f"SGD: {option} must be"):
        SGD([leaf([1.0])], **{option: wrong})
    p = leaf([1.0, 2.0])
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    descend(optimizer, p, [np.ones(2, "float32")])
    before, buffer = p.tolist(), optimizer.state[p]["momentum_buffer"].tolist()
    optimizer.param_groups[0][option] = wrong
    for _ in range(2):  # once it has been found, it is found again
        with pytest.raises(error, match=f"SGD: {option} must be"):
            optimizer.step()
    assert p.tolist() == before and optimizer.state[p]["momentum_buffer"].tolist() == buffer


def test_options_out_of_range_are_refused_also_when_they_are_set_later():
    p, q = leaf([1.0]), leaf([1.0])
    optimizer = SGD([{"params": [p]}, {"params": [q]}], lr=0.1)
    p.grad, q.grad = minidl.ones(1), minidl.ones(1)
    for option in ("lr", "momentum", "weight_decay"):
        optimizer.param_groups[1][option] = -1.0
        with pytest.raises(ValueError, match=f"SGD: {option} must be at least 0, got -1.0"):
            optimizer.step()
        optimizer.param_groups[1][option] = 0.5
    assert p.item() == q.item() == 1  # not even the group without a fault was moved
    optimizer.param_groups[1]["lr"] = minidl.tensor(0.25)
    optimizer.step()
    assert p.item() == pytest.approx(0.9) and q.item() == pytest.approx(0.625)


@pytest.mark.parametrize("wrong", [None, 5])
def test_what_holds_no_parameters_is_refused(wrong):
    with pytest.raises(TypeError, match="SGD: params must be an ordered iterable of tensors or dicts, got"):
        SGD(wrong, lr=0.1)
    with pytest.raises(TypeError, match="SGD: params must have an order, got"):
        SGD([{"params": wrong}], lr=0.1)


@pytest.mark.parametrize("option", ["foreach", "differentiable", "fused"])
def test_promise_35_what_is_missing_raises(option):
    with pytest.raises(NotImplementedError, match=f"{option}=True is not supported"):
        SGD([leaf([1.0])], lr=0.1, **{option: True})


# --- the rest of the interface


def test_zero_grad():
    p, q = leaf([1.0]), leaf([1.0])
    optimizer = SGD([p, q], lr=0.1)
    p.grad = kept = minidl.ones(1)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is kept and p.grad.item() == 0 and q.grad is None
    optimizer.zero_grad()
    assert p.grad is None


def test_a_closure_is_recorded_and_its_loss_returned():
    p = leaf([3.0])
    optimizer = SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with minidl.no_grad():
        assert optimizer.step(closure).item() == 9
    assert p.item() == pytest.approx(2.4)
    optimizer.zero_grad()
    assert optimizer.step() is None


def momentum_optimizer():
    p, q = leaf([1.0, 2.0]), leaf([3.0])
    optimizer = SGD([{"params": [p]}, {"params": [q], "lr": 0.5}], lr=0.1, momentum=0.9)
    descend(optimizer, p, [np.ones(2, "float32")] * 2)
    return optimizer, p


def test_state_dict_resumes_bit_for_bit():
    optimizer, p = momentum_optimizer()
    resumed, q = leaf([0.0, 0.0]), leaf([0.0])
    other = SGD([{"params": [resumed]}, {"params": [q]}], lr=9.0)
    other.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    assert [group["lr"] for group in other.param_groups] == [0.1, 0.5]
    resumed.data = p.data.clone()
    for x, o in ((p, optimizer), (resumed, other)):
        descend(o, x, [np.full(2, 0.5, "float32")])
    assert resumed.equal(p)
    assert not np.shares_memory(other.state[resumed]["momentum_buffer"].array, optimizer.state[p]["momentum_buffer"].array)


def test_a_state_dict_of_pytorch_loads():
    torch = pytest.importorskip("torch")
    theirs = torch.ones(2, requires_grad=True)
    other = torch.optim.SGD([theirs], lr=0.3, momentum=0.9)
    theirs.grad = torch.tensor([1.0, 2.0])
    other.step()
    saved = other.state_dict()
    saved["state"][0]["momentum_buffer"] = minidl.tensor(saved["state"][0]["momentum_buffer"].numpy())
    p = leaf([1.0, 1.0])
    optimizer = SGD([p], lr=0.1)
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.3
    assert optimizer.state[p]["momentum_buffer"].tolist() == [1.0, 2.0]


def test_a_state_dict_that_does_not_fit_changes_nothing():
    optimizer, _ = momentum_optimizer()
    saved = optimizer.state_dict()
    one = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=r"groups of sizes \[1\], got \[1, 1\]"):
        SGD([one], lr=0.1).load_state_dict(saved)
    other = SGD([{"params": [leaf([1.0])]}, {"params": [leaf([1.0])]}], lr=7.0)
    with pytest.raises(ValueError, match=r"momentum_buffer of parameter 0 has shape \(2,\), the parameter \(1,\)"):
        other.load_state_dict(saved)
    saved["state"][5] = {}
    with pytest.raises(ValueError, match=r"parameters \[5\], which are in no group"):
        optimizer.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 7.0 and not other.state


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda s: None,
            TypeError,
            "expected a dict with 'state' and 'param_groups', as optimizer.state_dict.. gives, got NoneType",
        ),
        (lambda s: {}, TypeError, r"expected a dict with 'state' and 'param_groups', .* got \[\]"),
        (lambda s: {"state": s["state"]}, TypeError, r"expected a dict with 'state' and 'param_groups', .* got \['state'\]"),
        (lambda s: {**s, "state": None}, TypeError, "expected 'state' to be a dict"),
        (lambda s: {**s, "state": {0: None}}, TypeError, "expected 'state' to be a dict with a dict for each parameter"),
        (lambda s: {**s, "state": {"a": {}}}, ValueError, r"state for parameters \['a'\], which are in no group"),
        (
            lambda s: {**s, "state": {0: {"momentum_buffer": "text"}}},
            TypeError,
            "momentum_buffer of parameter 0 must be a tensor",
        ),
        (lambda s: {**s, "state": {0: {"momentum_buffer": [1.0, 2.0]}}}, TypeError, "must be a tensor or a number, got list"),
        (lambda s: {**s, "state": {0: {"momentum_buffer": np.array(["a", "b"])}}}, TypeError, "must hold numbers, got <U1"),
        (lambda s: {**s, "state": {0: {"momentum_buffer": np.ones(3)}}}, ValueError, r"has shape \(3,\), the parameter \(2,\)"),
        (
            lambda s: {**s, "param_groups": None},
            TypeError,
            "expected 'param_groups' to be a list of dicts with 'params', got None",
        ),
        (lambda s: {**s, "param_groups": [None]}, TypeError, "expected 'param_groups' to be a list of dicts"),
        (lambda s: {**s, "param_groups": [{"params": 0}]}, TypeError, "expected 'param_groups' to be a list of dicts"),
        (
            lambda s: {**s, "param_groups": [{"params": [0]}]},
            ValueError,
            "parameter group 0 has no dampening, .* lr, .* weight_decay",
        ),
        (
            lambda s: {**s, "param_groups": [{**s["param_groups"][0], "lr": "0.1"}]},
            TypeError,
            "SGD: lr must be a number, got '0.1'",
        ),
    ],
)
def test_a_state_dict_that_is_none_changes_nothing(change, error, message):
    p = leaf([1.0, 2.0])
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    descend(optimizer, p, [np.ones(2, "float32")])
    groups, buffer = optimizer.param_groups, optimizer.state[p]["momentum_buffer"]
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(change(optimizer.state_dict()))
    assert optimizer.param_groups is groups and optimizer.state[p]["momentum_buffer"] is buffer


def test_a_state_of_ndarrays_loads():
    p = leaf([1.0, 2.0])
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    saved = {"state": {0: {"momentum_buffer": np.array([1, 2])}}, "param_groups": optimizer.state_dict()["param_groups"]}
    optimizer.load_state_dict(saved)
    descend(optimizer, p, [np.zeros(2, "float32")])
    assert optimizer.state[p]["momentum_buffer"].dtype == minidl.float32
    np.testing.assert_allclose(p.detach().numpy(), [1 - 0.09, 2 - 0.18], rtol=1e-6)


def test_copies_step_by_themselves():
    optimizer, p = momentum_optimizer()
    again = copy.deepcopy(optimizer)
    twin = again.param_groups[0]["params"][0]
    before = p.tolist()
    descend(again, twin, [np.ones(2, "float32")])
    assert p.tolist() == before != twin.tolist()


def test_a_rule_of_ones_own():
    class SignSGD(Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def update(self, group):
            for p in group["params"]:
                if p.grad is not None:
                    p.data -= group["lr"] * p.grad.sign()

    p = leaf([1.0, -1.0])
    optimizer = SignSGD([p], lr=0.5)
    (p * p).sum().backward()
    optimizer.step()
    assert p.tolist() == [0.5, -0.5]
    with pytest.raises(NotImplementedError, match="Optimizer has no update rule"):
        Optimizer([p], {}).step()


# --- schedules

SCHEDULES = {
    "LambdaLR": (LambdaLR, {"lr_lambda": lambda epoch: 0.95**epoch}),
    "StepLR": (StepLR, {"step_size": 3, "gamma": 0.5}),
    "MultiStepLR": (MultiStepLR, {"milestones": [2, 5, 5], "gamma": 0.3}),
    "ExponentialLR": (ExponentialLR, {"gamma": 0.9}),
    "CosineAnnealingLR": (CosineAnnealingLR, {"T_max": 4, "eta_min": 0.01}),
}


def two_groups():
    return SGD([{"params": [leaf([1.0])]}, {"params": [leaf([1.0])], "lr": 0.5}], lr=0.1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_against_pytorch(name):
    torch = pytest.importorskip("torch")
    make, options = SCHEDULES[name]
    optimizer = two_groups()
    schedule = make(optimizer, **options)
    parameters = [torch.ones(1, requires_grad=True) for _ in range(2)]
    other = torch.optim.SGD([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.5}], lr=0.1)
    theirs = getattr(torch.optim.lr_scheduler, name)(other, **options)
    for _ in range(10):
        assert schedule.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-12)
        assert [group["lr"] for group in optimizer.param_groups] == schedule.get_last_lr()
        other.step()
        schedule.step()
        theirs.step()


def test_schedules_in_closed_form():
    expected = {
        "LambdaLR": 0.95**6,
        "StepLR": 0.25,
        "MultiStepLR": 0.027,
        "ExponentialLR": 0.9**6,
        "CosineAnnealingLR": None,
    }
    for name, (make, options) in SCHEDULES.items():
        schedule = make(two_groups(), **options)
        assert schedule.get_last_lr() == [0.1, 0.5]
        for _ in range(6):
            schedule.step()
        if expected[name] is None:  # half-way up again
            assert schedule.get_last_lr() == pytest.approx([0.055, 0.255])
        else:
            assert schedule.get_last_lr() == pytest.approx([0.1 * expected[name], 0.5 * expected[name]])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_resumes(name):
    make, options = SCHEDULES[name]
    optimizer, other = two_groups(), two_groups()
    schedule = make(optimizer, **options)
    for _ in range(3):
        schedule.step()
    resumed = make(other, **options)
    other.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(pickle.loads(pickle.dumps(schedule.state_dict())))
    for _ in range(4):
        schedule.step()
        resumed.step()
    assert resumed.get_last_lr() == schedule.get_last_lr()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: StepLR(o, 2.5), TypeError, "StepLR: step_size must be an integer, got 2.5"),
        (lambda o: StepLR(o, "2"), TypeError, "StepLR: step_size must be an integer, got '2'"),
        (lambda o: StepLR(o, 2, gamma="0.1"), ValueError, "StepLR: gamma must be a number, and finite, got '0.1'"),
        (lambda o: ExponentialLR(o, float("nan")), ValueError, "ExponentialLR: gamma must be a number, and finite, got nan"),
        (lambda o: MultiStepLR(o, 5), TypeError, "MultiStepLR: milestones must be a list of integers, got 5"),
        (lambda o: MultiStepLR(o, [1.5]), TypeError, "MultiStepLR: milestones must be a list of integers"),
        (lambda o: MultiStepLR(o, [1], gamma=None), ValueError, "MultiStepLR: gamma must be a number"),
        (lambda o: CosineAnnealingLR(o, "5"), ValueError, "CosineAnnealingLR: T_max must be a number, and finite, got '5'"),
        (lambda o: CosineAnnealingLR(o, 5, eta_min=None), ValueError, "CosineAnnealingLR: eta_min must be a number"),
        (lambda o: LambdaLR(o, 0.95), TypeError, "LambdaLR: lr_lambda must be a function, or one for each group, got 0.95"),
        (lambda o: LambdaLR([o], len), TypeError, "LambdaLR: expected an Optimizer, got list"),
        (lambda o: StepLR(o, 2, last_epoch=None), ValueError, "StepLR: last_epoch must be an integer of -1 or more, got None"),
        (lambda o: StepLR(o, 2).load_state_dict(None), TypeError, "StepLR.load_state_dict: expected a dict, got NoneType"),
        (
            lambda o: StepLR(o, 2).load_state_dict({}),
            ValueError,
            r"expected what StepLR.state_dict\(\) gives, with step_size, gamma",
        ),
        (lambda o: StepLR(o, 2).load_state_dict(ExponentialLR(o, 0.9).state_dict()), ValueError, "expected what StepLR"),
    ],
)
def test_schedules_refuse_what_makes_no_sense(make, error, message):
    optimizer = SGD([leaf([1.0])], lr=0.1)
    with pytest.raises(error, match=message):
        make(optimizer)


def test_schedules_are_checked():
    with pytest.raises(TypeError, match="StepLR: expected an Optimizer, got list"):
        StepLR([], 3)
    with pytest.raises(ValueError, match="step_size must be 1 or more, got 0"):
        StepLR(two_groups(), 0)
    with pytest.raises(ValueError, match="1 functions for 2 parameter groups"):
        LambdaLR(two_groups(), [lambda epoch: 1])
    with pytest.raises(KeyError, match="initial_lr"):
        StepLR(two_groups(), 3, last_epoch=4)
