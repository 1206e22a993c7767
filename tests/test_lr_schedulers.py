"""Learning-rate schedules: against closed forms, PyTorch where it is installed, resumed, given bad input; averaged weights."""

import math
import pickle

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.optim import book_schedules, lr_scheduler as lrs, swa_utils


def optimizer_of(module, kind="SGD"):
    groups = [{"params": [module.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.5, 0.1)]
    return getattr(module.optim, kind)(groups, lr=1.0, **({"momentum": 0.9} if kind == "SGD" else {}))


def cycle(scale):
    return {"base_lr": 0.01, "max_lr": [0.2, 0.1], "step_size_up": 3, "step_size_down": 5, **scale}


# For each schedule: arguments beside the optimizer
SCHEDULES = [
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ("MultiplicativeLR", {"lr_lambda": [lambda epoch: 0.9, lambda epoch: 1 / (1 + epoch)]}),
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5], "gamma": 0.5}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 4}),
    ("LinearLR", {"start_factor": 0.25, "end_factor": 0.75, "total_iters": 5}),
    ("LinearLR", {}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("PolynomialLR", {"total_iters": 6, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 6, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("CyclicLR", cycle({})),
    ("CyclicLR", cycle({"mode": "triangular2", "base_momentum": 0.5, "max_momentum": 0.8})),
    ("CyclicLR", cycle({"mode": "exp_range", "gamma": 0.9, "cycle_momentum": False})),
    ("CyclicLR", cycle({"scale_fn": lambda x: 1 / x, "scale_mode": "cycle"})),
    ("OneCycleLR", {"max_lr": [0.4, 0.3], "total_steps": 20}),
    ("OneCycleLR", {"max_lr": 0.4, "epochs": 4, "steps_per_epoch": 5, "three_phase": True, "pct_start": 0.25}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 20, "anneal_strategy": "linear", "cycle_momentum": False}),
    ("SWALR", {"swa_lr": [0.05, 0.2], "anneal_epochs": 5}),
    ("SWALR", {"swa_lr": 0.05, "anneal_epochs": 4, "anneal_strategy": "linear"}),
    ("SWALR", {"swa_lr": 0.05, "anneal_epochs": 0}),
]
NAMED = [pytest.param(name, given, id=f"{name}{i}") for i, (name, given) in enumerate(SCHEDULES)]


def combined(module, optimizer):
    lrs = module.optim.lr_scheduler
    yield lrs.SequentialLR(
        optimizer,
        [lrs.LinearLR(optimizer, 0.1, total_iters=3), lrs.ExponentialLR(optimizer, 0.5), lrs.StepLR(optimizer, 2)],
        [4, 8],
    )
    yield lrs.ChainedScheduler([lrs.ConstantLR(optimizer, 0.1, total_iters=4), lrs.ExponentialLR(optimizer, 0.9)], optimizer)


def make(module, name, given, optimizer):
    space = module.optim.swa_utils if name == "SWALR" else module.optim.lr_scheduler
    return getattr(space, name)(optimizer, **given)


def momenta(optimizer):
    return [group["betas"][0] if "betas" in group else group["momentum"] for group in optimizer.param_groups]


def walk(optimizer, schedule, steps, *values):
    """The rates and momenta at the start and after each step."""
    rates = [(schedule.get_last_lr(), momenta(optimizer))]
    for step in range(steps):
        optimizer.step()
        schedule.step(*(value[step] for value in values))
        rates.append((list(schedule.get_last_lr()), momenta(optimizer)))
    return rates


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "given"), NAMED)
def test_against_pytorch(name, given, kind):
    torch = pytest.importorskip("torch")
    ours, theirs = (optimizer_of(module, kind) for module in (minidl, torch))
    mine, yours = make(minidl, name, given, ours), make(torch, name, given, theirs)
    np.testing.assert_allclose(
        np.array(walk(ours, mine, 18), float), np.array([*walk(theirs, yours, 18)], float), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("which", [0, 1])
def test_combined_against_pytorch(which):
    torch = pytest.importorskip("torch")
    ours, theirs = (optimizer_of(module) for module in (minidl, torch))
    mine, yours = (
        list(combined(module, o))[which] for module, o in ((minidl, optimizer_of(minidl)), (torch, optimizer_of(torch)))
    )
    del ours, theirs
    a, b = walk(mine.optimizer, mine, 14), walk(yours.optimizer, yours, 14)
    np.testing.assert_allclose(np.array(a, float), np.array(b, float), rtol=1e-12)


PLATEAU = [
    {"patience": 1, "factor": 0.5},
    {"mode": "max", "patience": 0, "factor": 0.5, "threshold": 0.2, "threshold_mode": "abs"},
    {"patience": 0, "cooldown": 2, "factor": 0.1, "min_lr": [0.02, 0.05]},
    {"patience": 0, "threshold": 0.5, "eps": 0.03},
    {"mode": "max", "patience": 0},
]


@pytest.mark.parametrize("given", PLATEAU)
def test_plateau_against_pytorch(given):
    torch = pytest.importorskip("torch")
    values = [3.0, 2.0, 2.0, 1.99, 2.0, 1.0, 1.0, 0.9, math.nan, 5.0, 5.1, 4.0, 4.0, 4.0]
    both = []
    for module in (minidl, torch):
        optimizer = optimizer_of(module)
        both.append(walk(optimizer, module.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **given), len(values), values))
    np.testing.assert_allclose(np.array(both[0], float), np.array(both[1], float), rtol=1e-12)


def rates(schedule, steps):
    return [schedule.get_last_lr()[0]] + [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(steps)]


def one(lr=1.0, **more):
    return optim.SGD([minidl.zeros(1, requires_grad=True)], lr, **more)


def test_closed_forms():
    """What each formula says, for those who have no PyTorch."""
    close = np.testing.assert_allclose
    t = np.arange(8)
    close(rates(lrs.ConstantLR(one(), 0.5, 3), 7), np.where(t < 3, 0.5, 1))
    close(rates(lrs.LinearLR(one(), 0.2, 0.8, 4), 7), 0.2 + 0.6 * np.minimum(t / 4, 1))
    close(rates(lrs.PolynomialLR(one(), 5, 2.0), 7), np.maximum(1 - t / 5, 0) ** 2, atol=1e-15)
    close(rates(lrs.MultiplicativeLR(one(), lambda epoch: 1 / epoch), 7), [1 / math.factorial(i) for i in t])
    cosine = (1 + np.cos(np.pi * (t % 4) / 4)) / 2
    close(rates(lrs.CosineAnnealingWarmRestarts(one(), 4), 7), cosine)
    close(
        rates(lrs.CosineAnnealingWarmRestarts(one(), 2, 2), 7),
        (1 + np.cos(np.pi * np.array([0, 1, 0, 1, 2, 3, 0, 1]) / [2, 2, 4, 4, 4, 4, 8, 8])) / 2,
    )
    close(rates(lrs.CyclicLR(one(), 0, 1, 2, cycle_momentum=False), 7), [0, 0.5, 1, 0.5, 0, 0.5, 1, 0.5], atol=1e-12)
    close(
        rates(lrs.CyclicLR(one(), 0, 1, 2, mode="triangular2", cycle_momentum=False), 7),
        [0, 0.5, 1, 0.5, 0, 0.25, 0.5, 0.25],
        atol=1e-12,
    )
    optimizer = one(momentum=0.9)
    schedule = lrs.OneCycleLR(optimizer, 1.0, 11, pct_start=0.5, anneal_strategy="linear", div_factor=10, final_div_factor=10)
    seen = [(optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"])]
    for _ in range(10):
        schedule.step()
        seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
    up = np.interp(np.arange(11), [0, 4.5, 10], [0.1, 1.0, 0.01])
    close(np.array(seen), np.stack([up, np.interp(np.arange(11), [0, 4.5, 10], [0.95, 0.85, 0.95])], 1))
    with pytest.raises(ValueError, match="of 11 that it was made for"):
        for _ in range(3):
            schedule.step()
    warm = one()
    schedule = lrs.SequentialLR(warm, [lrs.LinearLR(warm, 0.5, total_iters=2), lrs.ExponentialLR(warm, 0.5)], [3])
    close(rates(schedule, 5), [0.5, 0.75, 1, 1, 0.5, 0.25])
    both = one()
    close(
        rates(lrs.ChainedScheduler([lrs.ConstantLR(both, 0.1, 2), lrs.ExponentialLR(both, 0.5)]), 3), [0.1, 0.05, 0.25, 0.125]
    )
    close(rates(swa_utils.SWALR(one(), 0.2, 4), 5), 0.2 + 0.8 * (1 + np.cos(np.pi * np.minimum(np.arange(6) / 4, 1))) / 2)


def test_momentum_goes_the_other_way_in_a_cycle():
    optimizer = one(momentum=0.9)
    schedule = lrs.CyclicLR(optimizer, 0, 1, 2, base_momentum=0.5, max_momentum=0.9)
    seen = momenta(optimizer)
    for _ in range(4):
        schedule.step()
        seen += momenta(optimizer)
    np.testing.assert_allclose(seen, [0.9, 0.7, 0.5, 0.7, 0.9])


def test_a_plateau_leaves_rates_that_would_hardly_fall():
    optimizer = one()
    schedule = lrs.ReduceLROnPlateau(optimizer, patience=0, factor=0.9, eps=0.2)
    for _ in range(4):
        schedule.step(1.0)
    assert optimizer.param_groups[0]["lr"] == 1.0


def test_plateau_by_hand():
    optimizer = one()
    schedule = lrs.ReduceLROnPlateau(optimizer, patience=1, factor=0.5, cooldown=1, min_lr=0.3)
    seen = []
    for loss in (1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5):
        schedule.step(minidl.tensor(loss))
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.3, 0.3]
    with pytest.raises(TypeError, match="expected the measured value"):
        schedule.step("low")
    with pytest.raises(TypeError, match="metrics"):
        schedule.step()


def test_schedules_of_the_book():
    """Mission's values: section 12.11 of *Dive into Deep Learning*."""
    assert book_schedules.SquareRootScheduler(0.1)(29) == pytest.approx(0.0182574, abs=5e-8)
    factor = book_schedules.FactorScheduler(0.9, 1e-2, 2.0)
    values = [factor(t) for t in range(50)]
    assert values[0] == pytest.approx(1.8) and values[49] == pytest.approx(0.0103076, abs=5e-8)
    assert [factor(t) for t in range(9)][-1] == 1e-2
    cosine = book_schedules.CosineScheduler(20, base_lr=0.3, final_lr=0.01)
    assert [round(cosine(t), 6) for t in (0, 10, 20, 25)] == [0.3, 0.155, 0.01, 0.01]
    warm = book_schedules.CosineScheduler(20, warmup_steps=5, base_lr=0.3, final_lr=0.01)
    assert [round(warm(t), 6) for t in (0, 1, 4, 5, 12)] == [0.0, 0.06, 0.24, 0.3, 0.170157]
    assert rates(lrs.MultiStepLR(one(0.5), [15, 30], 0.5), 31)[14:16] + rates(lrs.MultiStepLR(one(0.5), [15, 30], 0.5), 31)[
        30:
    ] == [0.5, 0.25, 0.125, 0.125]
    with pytest.raises(ValueError, match="warmup_steps < max_update"):
        book_schedules.CosineScheduler(5, warmup_steps=5)
    assert book_schedules.CosineScheduler.__module__ != lrs.__name__  # the book asks this, to know whether to call step()


def test_all_schedules_say_that_they_are_of_this_module():
    for name, _ in SCHEDULES:
        if name != "SWALR":
            assert getattr(lrs, name).__module__ == lrs.__name__ == "minidl.optim.lr_scheduler"


@pytest.mark.parametrize(("name", "given"), NAMED)
def test_resumed_from_a_state(name, given):
    optimizer, other = optimizer_of(minidl), optimizer_of(minidl)
    schedule, again = make(minidl, name, given, optimizer), make(minidl, name, given, other)
    walk(optimizer, schedule, 5)
    saved = pickle.loads(pickle.dumps((schedule.state_dict(), optimizer.state_dict())))
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    assert walk(optimizer, schedule, 8) == walk(other, again, 8)
    assert repr(again) == repr(schedule) and type(schedule).__name__ in repr(schedule)


@pytest.mark.parametrize("which", [0, 1])
def test_combined_ones_resume(which):
    mine, again = (list(combined(minidl, optimizer_of(minidl)))[which] for _ in range(2))
    walk(mine.optimizer, mine, 5)
    saved = pickle.loads(pickle.dumps((mine.state_dict(), mine.optimizer.state_dict())))
    again.load_state_dict(saved[0])
    again.optimizer.load_state_dict(saved[1])
    assert walk(mine.optimizer, mine, 8) == walk(again.optimizer, again, 8)
    with pytest.raises(ValueError, match="expected the states of"):
        again.load_state_dict({"last_epoch": 3})


WRONG = [
    (lambda o: lrs.ConstantLR(o, 2.0), "factor must be from 0 to 1"),
    (lambda o: lrs.ConstantLR(o, 0.0), "factor must be above 0"),
    (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1) for _ in range(3)], [5, 2]), "milestones must not fall"),
    (lambda o: lrs.LinearLR(o, 0.0), "start_factor must be above 0"),
    (lambda o: lrs.LinearLR(o, total_iters=0), "total_iters must be an integer of 1 or more"),
    (lambda o: lrs.PolynomialLR(o, power="2"), "power must be a number"),
    (lambda o: lrs.CosineAnnealingWarmRestarts(o, 0), "T_0 must be an integer of 1 or more"),
    (lambda o: lrs.CosineAnnealingWarmRestarts(o, 2).step(-1), "expected an epoch of 0 or more"),
    (lambda o: lrs.CyclicLR(o, 0, 1, 0), "step sizes must be above 0"),
    (lambda o: lrs.CyclicLR(o, 0, 1, mode="square"), "mode must be 'triangular'"),
    (lambda o: lrs.CyclicLR(o, [0, 0, 0], 1), "expected 1 numbers for base_lr"),
    (lambda o: lrs.CyclicLR(optim.Adagrad(o.param_groups[0]["params"]), 0, 1), "Adagrad has neither momentum nor betas"),
    (lambda o: lrs.OneCycleLR(o, 1.0), "give total_steps, or epochs"),
    (lambda o: lrs.OneCycleLR(o, 1.0, 10, anneal_strategy="sin"), "'cos' or 'linear'"),
    (lambda o: lrs.SequentialLR(o, [], []), "one schedule or more"),
    (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1)], [2]), "expected 0 milestones"),
    (lambda o: lrs.SequentialLR(o, [lrs.StepLR(one(), 1)], []), "belongs to another optimizer"),
    (lambda o: lrs.ReduceLROnPlateau(o, factor=1.0), "at least 0 and below 1"),
    (lambda o: lrs.ReduceLROnPlateau(o, mode="least"), "mode must be 'min' or 'max'"),
    (lambda o: swa_utils.SWALR(o, 0.1, -1), "anneal_epochs must be an integer of 0 or more"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(one())
    with pytest.raises(TypeError, match="schedule 0 must be one"):
        lrs.ChainedScheduler([one()], one())
    for make in (lambda: lrs.ReduceLROnPlateau(0.1), lambda: swa_utils.SWALR(0.1, 0.2)):
        with pytest.raises(TypeError, match="expected an Optimizer"):
            make()
    optimizer = one()
    with pytest.raises(TypeError, match="milestones must be a list"):
        lrs.SequentialLR(optimizer, [lrs.StepLR(optimizer, 1)], 3)


def test_fractions_of_an_epoch():
    schedule = lrs.CosineAnnealingWarmRestarts(one(), 2, 2)
    seen = []
    for epoch in (0.0, 0.5, 1.5, 2.0, 4.0, 6.0):
        schedule.step(epoch)
        seen.append(schedule.get_last_lr()[0])
    shares = [0, 0.25, 0.75, 0, 0.5, 0]
    np.testing.assert_allclose(seen, [(1 + math.cos(math.pi * share)) / 2 for share in shares])


# -------------------------------------------------------------------------------------------------- averaged weights


def weights(step):
    return np.array([[1.0 + step, 2.0 * step**2]], "float32")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (None, lambda seen: np.mean(seen, 0)),
        ("get_swa_multi_avg_fn", lambda seen: np.mean(seen, 0)),
        ("get_ema_multi_avg_fn", lambda seen: seen[0] * 0.7**3 + 0.3 * (seen[1] * 0.49 + seen[2] * 0.7 + seen[3])),
    ],
)
def test_averages(function, expected):
    for single in (False, True):
        model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1))
        given = {}
        if function:
            name = function.replace("multi_", "") if single else function
            chosen = getattr(swa_utils, name)(*([0.7] if "ema" in name else []))
            given = {"avg_fn" if single else "multi_avg_fn": chosen}
        averaged, seen = swa_utils.AveragedModel(model, **given), []
        for step in range(4):
            seen.append(weights(step))
            with minidl.no_grad():
                model[0].weight.copy_(minidl.tensor(seen[-1]))
                model[1].running_mean.fill_(step)
            averaged.update_parameters(model)
        np.testing.assert_allclose(averaged.module[0].weight.detach().numpy(), expected(np.array(seen)), rtol=1e-6)
        assert averaged.n_averaged.item() == 4 and averaged.module[1].running_mean.item() == 3  # buffers are the newest
        assert model[0].weight.tolist() == weights(3).tolist()
        x = minidl.ones(3, 2)
        assert averaged.eval()(x).equal(averaged.module(x))
    other = swa_utils.AveragedModel(model, **given)
    other.load_state_dict(averaged.state_dict())
    assert other.module[0].weight.equal(averaged.module[0].weight)


def test_averages_of_buffers_too():
    model = nn.BatchNorm1d(1)
    averaged = swa_utils.AveragedModel(model, use_buffers=True)
    for mean in (1.0, 3.0):
        model.running_mean.fill_(mean)
        averaged.update_parameters(model)
    assert averaged.module.running_mean.item() == 2.0
    with pytest.raises(ValueError, match="of other shapes"):
        averaged.update_parameters(nn.BatchNorm1d(2))
    with pytest.raises(ValueError, match="not both"):
        swa_utils.AveragedModel(model, avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ValueError, match="from 0 to 1"):
        swa_utils.get_ema_multi_avg_fn(1.5)


def test_update_bn_is_the_mean_over_the_batches():
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Dropout(0.5)).eval()
    batches = [minidl.randn(10, 3) + i for i in range(3)]
    model(batches[0])
    swa_utils.update_bn([(batch, 0) for batch in batches], model)
    hidden = [model[0](batch).detach().numpy() for batch in batches]
    np.testing.assert_allclose(model[1].running_mean.numpy(), np.mean([h.mean(0) for h in hidden], 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model[1].running_var.numpy(), np.mean([h.var(0, ddof=1) for h in hidden], 0), rtol=1e-5)
    assert model[1].momentum == 0.3 and not model.training and not model[1].training
    with pytest.raises(TypeError, match="a DataLoader or a list of batches"):
        swa_utils.update_bn(batches[0], model)


def test_update_bn_leaves_the_model_as_it_was_after_an_error():
    model = nn.Sequential(nn.BatchNorm1d(4)).eval()
    with pytest.raises(ValueError, match="running_mean"):
        swa_utils.update_bn([minidl.ones(2, 5)], model)
    assert model[0].momentum == 0.1 and not model.training
