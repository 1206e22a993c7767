"""Which steps of a training are profiled."""

import operator
from enum import Enum


class ProfilerActivity(Enum):
    """What can be profiled: only the CPU. The other names exist so that an error can say that they are not supported.

    >>> ProfilerActivity.CPU.name
    'CPU'
    """

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3


class ProfilerAction(Enum):
    """What a schedule returns for a step. Steps with NONE or WARMUP are not recorded.

    >>> schedule(wait=0, warmup=1, active=1)(0)
    <ProfilerAction.WARMUP: 1>
    """

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


RECORDED = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def supported_activities():
    """The activities that can be profiled.

    >>> supported_activities()
    {<ProfilerActivity.CPU: 0>}
    """
    return {ProfilerActivity.CPU}


def schedule(*, wait, warmup, active, repeat=0, skip_first=0, skip_first_wait=0):
    """A function that gives the action for the number of a step: first NONE for `wait` steps, then WARMUP for `warmup` steps,
    then RECORD for `active` steps. This is repeated `repeat` times, with 0 without end.

    The first `skip_first` steps are left out, and with skip_first_wait the first wait, too.

    >>> plan = schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [plan(step).name for step in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    given = {"wait": wait, "warmup": warmup, "active": active, "repeat": repeat, "skip_first": skip_first}
    for name, value in given.items():
        least = 1 if name == "active" else 0
        if operator.index(value) < least:
            raise ValueError(f"schedule: {name} must be at least {least}, got {value}")
    length = wait + warmup + active

    def action(step):
        if step < 0:
            raise ValueError(f"schedule: a step must be at least 0, got {step}")
        if step < skip_first:
            return ProfilerAction.NONE
        step += (wait if skip_first_wait else 0) - skip_first
        if (repeat and step >= repeat * length) or step % length < wait:
            return ProfilerAction.NONE
        if step % length < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if step % length < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action
