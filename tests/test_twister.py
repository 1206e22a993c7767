"""Dropout's kernel draws the numbers that the generator draws, and leaves it where they end."""

import numpy as np
import pytest

import minidl
from minidl.kernels import twister
from minidl.random import Generator

DTYPES = np.dtype(np.float32), np.dtype(np.float64)


def generator(used, seed=3):
    """A generator that has used so many of its words of 32 bits."""
    made = Generator()
    made.manual_seed(seed)
    if used:
        minidl.rand(used, generator=made)
    return made


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("used", [0, 1, 2, 311, 620, 621, 622, 623, 624, 625, 1000])
def test_masks_and_what_is_drawn_next(used, dtype):
    for n in (0, 1, 2, 3, 310, 311, 312, 313, 314, 1000):
        for p in (0.3, 0.5, 0.9):
            by_kernel, by_numpy = generator(used), generator(used)
            mask = by_kernel.with_words(lambda words, n=n, p=p: twister.bernoulli(words, (n,), p, 1 / p, dtype))
            expected = by_numpy.bernoulli((n,), p, dtype) * dtype.type(1 / p)
            assert mask.dtype == dtype
            np.testing.assert_array_equal(mask, expected)
            after = [minidl.rand(5, generator=g).tolist() for g in (by_kernel, by_numpy)]
            assert after[0] == after[1], (used, n, p)


def test_certain_and_impossible():
    assert not generator(1).with_words(lambda words: twister.bernoulli(words, (700,), 0, 1, DTYPES[0])).any()
    assert generator(1).with_words(lambda words: twister.bernoulli(words, (700,), 1, 1, DTYPES[0])).all()


@pytest.mark.parametrize(
    "words, p, dtype, error",
    [
        (np.zeros(624, np.uint32), 0.5, np.float32, ValueError),
        (np.zeros(625, np.int64), 0.5, np.float32, ValueError),
        (np.full(625, 625, np.uint32), 0.5, np.float32, ValueError),
        (np.zeros(625, np.uint32), 1.5, np.float32, ValueError),
        (np.zeros(625, np.uint32), float("nan"), np.float32, ValueError),
        (np.zeros(625, np.uint32), 0.5, np.int64, TypeError),
    ],
)
def test_nothing_is_read_that_is_no_twister(words, p, dtype, error):
    with pytest.raises(error, match="bernoulli"):
        twister.bernoulli(words, (3,), p, 1.0, dtype)


def test_what_a_remembered_step_draws_is_what_the_generator_draws():
    for used in (0, 1, 500, 622, 623, 624):
        for n in (0, 1, 3, 624, 700):
            pairs = [
                (lambda w, n=n: twister.raw_words(w, n), lambda g, n=n: g._engine.random_raw(n)),
                *((lambda w, n=n, d=d: twister.uniform(w, (n,), d), lambda g, n=n, d=d: g.rand((n,), d)) for d in DTYPES),
                (lambda w, n=n: twister.integers(w, (n,), -3, 10, False), lambda g, n=n: g.randint(-3, 7, (n,))),
                (lambda w, n=n: twister.integers(w, (n,), 5, 2**40, True), lambda g, n=n: g.randint(5, 5 + 2**40, (n,))),
            ]
            for by_kernel, by_numpy in pairs:
                one, two = generator(used), generator(used)
                found, expected = one.with_words(by_kernel), by_numpy(two)
                assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes(), (used, n)
                assert one.rand(3).tobytes() == two.rand(3).tobytes()
