"""Where the temporary arrays of a remembered step lie (minidl/capture/memory.py)."""

import numpy as np
import pytest

from minidl.capture.memory import Plan


def some_lives(seed, sizes, count=200, events=150, longest=20):
    r = np.random.default_rng(seed)
    arrays = [np.empty(r.choice(sizes), np.uint8) for _ in range(count)]
    firsts = r.integers(0, events, count)
    lasts = np.minimum(firsts + r.integers(0, longest, count), events)
    return {id(x): [x, int(first), int(last)] for x, first, last in zip(arrays, firsts, lasts, strict=True)}


SIZES = {
    "small": (4, 64, 100, 1000, 4096),
    "large": (4097, 5000, 20_000, 65_536),
    "both": (1, 60, 640, 4096, 4100, 9000, 50_000),
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_arrays_that_live_at_the_same_time_have_bytes_of_their_own(sizes, seed):
    lives = some_lives(seed, SIZES[sizes])
    plan = Plan(dict(lives))
    last_event = max(last for _, _, last in lives.values())
    for event in range(last_event + 1):
        taken = np.zeros(plan.size, bool)
        for key, (x, first, last) in lives.items():
            if first <= event <= last:
                mine = taken[plan.offsets[key] :][: x.nbytes]
                assert mine.size == x.nbytes and not mine.any()
                mine[:] = True


@pytest.mark.parametrize("sizes", SIZES)
def test_memory_is_used_again(sizes):
    lives = some_lives(0, SIZES[sizes])
    plan = Plan(dict(lives))
    most = max(
        sum(-(-x.nbytes // 64) * 64 for x, first, last in lives.values() if first <= event <= last) for event in range(150)
    )
    assert plan.separate == sum(-(-x.nbytes // 64) * 64 for x, _, _ in lives.values())
    assert most <= plan.size <= 1.35 * most < plan.separate / 3


def test_pieces_that_are_free_beside_each_other_become_one():
    # Four arrays of 64 bytes one after the other in memory; then, where they were, one of 256.
    small = [np.empty(64, np.uint8) for _ in range(4)]
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (0, 2, 1, 3), (1, 3, 0, 2)):
        lives = {id(x): [x, i, 4 + place] for i, (x, place) in enumerate(zip(small, order, strict=True))}
        large = np.empty(256, np.uint8)
        lives[id(large)] = [large, 9, 10]
        assert Plan(lives).size == 256
    # Free memory at the end grows: 64 bytes are free there, 128 are wanted.
    first, second, third = np.empty(64, np.uint8), np.empty(64, np.uint8), np.empty(128, np.uint8)
    lives = {id(first): [first, 0, 9], id(second): [second, 1, 2], id(third): [third, 3, 9]}
    assert Plan(lives).size == 192


def test_every_array_begins_with_a_line_of_the_cache():
    plan = Plan(some_lives(1, SIZES["both"]))
    assert all(offset % 64 == 0 for offset in plan.offsets.values()) and plan.memory.ctypes.data % 64 == 0
