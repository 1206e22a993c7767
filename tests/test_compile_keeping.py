"""Distances and maxima keep for backward what NumPy makes of their inputs: in a replay kernels do, with the same bits."""

import numpy as np
import pytest

import minidl
from minidl.capture import recorder
from minidl.kernels.comparisons import PUT, TAKE
from minidl.nn import functional as F
from tests.test_compile import numbers
from tests.test_compile_programs import trained, with_zeros

T = (numbers(7, 4, 3, 5) * 2).round() / 2  # equal to the data in places
T[0, 0], T[1, 2], T[3, 0] = 0.0, -0.0, -1.5
T[2, 1] = float("nan")


def twice(loss):
    """Of one number two, as `trained` weighs the first one by 0."""
    return loss if loss.ndim else (loss * 3).view(1).expand(2)


KEPT = {
    **{f"l1, {r}": lambda x, r=r: twice(F.l1_loss(x, T, reduction=r)) for r in ("mean", "sum", "none")},
    **{f"huber, {r}": lambda x, r=r: twice(F.huber_loss(x, T, delta=0.7, reduction=r)) for r in ("mean", "sum", "none")},
    "smooth l1": lambda x: twice(F.smooth_l1_loss(x * 2, T, beta=0.3)),
    "smooth l1 without a parabola": lambda x: twice(F.smooth_l1_loss(x, T, beta=0.0)),
    "the target learns": lambda x: twice(F.l1_loss(T, x) + F.huber_loss(T, x, delta=2.0)),
    "both learn": lambda x: F.smooth_l1_loss(x, x[[3, 2, 1, 0]] * 0.5, reduction="none"),
    "in another order": lambda x: F.huber_loss(x.transpose(0, 1), T.transpose(0, 1), reduction="none"),
    "maximum": lambda x: x.maximum(T),
    "minimum": lambda x: minidl.minimum(T, x * 1),
    "maximum of both": lambda x: minidl.maximum(x, -x).transpose(0, 2),
    "minimum with a row": lambda x: x.minimum(x[0, 0]),
    "maximum with a number of a tensor": lambda x: minidl.max(x, x.mean()),
    "ppo": lambda x: minidl.min(x * 0.9, x.clamp(0.5, 1.5) * 0.9),
    "max": lambda x: -x.max(-1).values,
    "min": lambda x: -x.min(dim=2, keepdim=True)[0],
    "max of a part": lambda x: x[1].max(1)[0] * 2,
    "q": lambda x: twice(F.smooth_l1_loss(x.sum(2), 0.9 * (x.detach() * 1.5).max(-1)[0] + 1)),
}


@pytest.mark.parametrize("name", KEPT)
def test_it_is_made_by_kernels(name):
    told = trained(KEPT[name], with_zeros)
    assert "and 0 calls of Python" in told, told


@pytest.mark.parametrize("name", ["maximum", "minimum", "maximum of both", "minimum with a row"])
def test_numpy_is_not_asked_for_maxima_in_a_replay(name, monkeypatch):
    asked = []
    for extreme in (np.maximum, np.minimum):
        monkeypatch.setattr(np, extreme.__name__, lambda *args, f=extreme: asked.append(1) or f(*args))
    trained(KEPT[name], with_zeros)
    assert len(asked) == 12 + 5 + 1  # by the ordinary step; by the other one in calls 1, 2, 3, 4 and 8; once by what follows it


@pytest.mark.parametrize(
    "compute, name",
    [
        (lambda x: x.median(0).values, "TakeAlongAxis"),
        (lambda x: twice(F.huber_loss(x.transpose(0, 1), T.transpose(0, 1))), "Huber"),
        (lambda x: twice(F.l1_loss(x.transpose(0, 2), T.transpose(0, 2), reduction="sum")), "AbsoluteError"),
    ],
)
def test_where_python_goes_forward_it_goes_back_too(compute, name, monkeypatch):
    """What it keeps is not where kernels would look for it."""
    monkeypatch.setattr(recorder, "follow", lambda *args: None)
    told = trained(compute, with_zeros)
    python = [line for line in told.splitlines() if name in line and "Python" in line]
    assert len(python) in (1, 2), told


def test_a_place_outside_stops_the_table():
    table, number = np.ones((2, 3), np.float32), np.full((1, 1, 1, 1), 5, np.float32)
    for row, column, stops in ((0, 0, 0), (1, 2, 0), (2, 0, 1), (0, 3, 1), (-1, 0, 1), (0, -1, 1)):
        at = [np.full((1, 1, 1, 1), i) for i in (row, column)]
        for kernel, options in ((TAKE, ()), (PUT, (0,))):
            alarm, x = np.zeros(1), table.copy()
            kernel[x.dtype](x, *at, number.copy(), *options, alarm)
            assert (alarm[0] >= 0) == stops
        assert x.sum() == (0 if stops else 5)
