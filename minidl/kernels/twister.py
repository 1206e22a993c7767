"""Dropout's masks and seeds, and other random numbers of remembered steps: MT19937 in the memory of NumPy's engine.

The Mersenne Twister is by Matsumoto and Nishimura (1998).

`words` is that memory: 624 words of 32 bits, and how many of them are used up. After a call it is as NumPy would have left it,
so that the stream goes on with the next number, whoever draws it.
"""

import math

import numpy as np
from numba import types

from . import memory
from .jit import FLOATS, CodeByDtype, dense, jit


@jit
def next_word(word, following, far):
    """The word of the next 624 in the place of `word`, from the one after it and the one 397 places on."""
    y = (np.int64(word) & 0x80000000) | (np.int64(following) & 0x7FFFFFFF)
    return np.int64(far) ^ (y >> 1) ^ ((y & 1) * 0x9908B0DF)


@jit
def twist(words):
    """The next 624 words; beyond the end, places count from the beginning."""
    for i in range(227):
        words[i] = next_word(words[i], words[i + 1], words[i + 397])
    for i in range(227, 623):
        words[i] = next_word(words[i], words[i + 1], words[i - 227])
    words[623] = next_word(words[623], words[0], words[396])


@jit
def tempered(word):
    y = np.int64(word)
    y ^= y >> 11
    y ^= (y << 7) & 0x9D2C5680
    y ^= (y << 15) & 0xEFC60000
    return y ^ (y >> 18)


@jit
def below(high, low, limit):
    """Whether the 53 bits of two words make a number below the limit."""
    return ((tempered(high) & 0x1FFFFF) << 32 | tempered(low)) < limit


@jit
def draw(words, limit, kept, mask):
    """mask[i] = kept with probability limit/2⁵³, else 0. Each takes two words, the high one first."""
    at, i, n = np.int64(words[624]), 0, mask.shape[0]
    kept = mask.dtype.type(kept)
    zero = mask.dtype.type(0)
    while i < n:
        pairs = min(n - i, (624 - at) // 2)
        for k in range(pairs):
            mask[i + k] = kept if below(words[at + 2 * k], words[at + 2 * k + 1], limit) else zero
        i += pairs
        at += 2 * pairs
        if i < n:  # the last word, if there is one, is the high word of a pair
            high = words[623]
            twist(words)
            if at == 623:
                mask[i] = kept if below(high, words[0], limit) else zero
                i += 1
                at = 1
            else:
                at = 0
    words[624] = at


DRAW = CodeByDtype(draw, lambda t: (dense(types.uint32, 1, True), types.intp, types.float64, dense(t, 1, True)))


@jit
def next_raw(words):
    """The next word of the stream."""
    if words[624] == 624:
        twist(words)
        words[624] = 0
    word = tempered(words[np.int64(words[624])])
    words[624] += 1
    return word


@jit
def draw_seed(words, seed):
    """seed[0] = the 64 bits of two words, the high one first, modulo 2⁶³ − 1"""
    high = np.uint64(next_raw(words))
    seed[0] = (high << np.uint64(32) | np.uint64(next_raw(words))) % np.uint64(2**63 - 1)


@jit
def draw_words(words, raw):
    """raw[i] = the next word"""
    for i in range(raw.size):
        raw[i] = next_raw(words)


@jit
def draw_uniform(words, y):
    """y[i] = 24 bits of a word as a number of [0, 1), or in double precision 53 bits of two words, the high one first"""
    T = y.dtype.type
    for i in range(y.size):
        if y.itemsize == 4:
            y[i] = T(next_raw(words) & 0xFFFFFF) * T(2.0**-24)
        else:
            high = next_raw(words) & 0x1FFFFF
            y[i] = T(high << 32 | next_raw(words)) * T(2.0**-53)


@jit
def draw_integers(words, low, span, two, y):
    """y[i] = low + (a word, or two of them, the high one first, modulo span)"""
    for i in range(y.size):
        value = np.uint64(next_raw(words))
        if two:
            value = value << np.uint64(32) | np.uint64(next_raw(words))
        y[i] = low + np.int64(value % np.uint64(span))


_WORDS = dense(types.uint32, 1, True)
DRAW_SEED = CodeByDtype(draw_seed, lambda t: (_WORDS, dense(types.int64, 1, True)))
DRAW_WORDS = CodeByDtype(draw_words, lambda t: (_WORDS, dense(types.uint64, 1, True)))
DRAW_UNIFORM = CodeByDtype(draw_uniform, lambda t: (_WORDS, dense(t, 1, True)))
DRAW_INTEGERS = CodeByDtype(
    draw_integers, lambda t: (_WORDS, types.intp, types.intp, types.boolean, dense(types.int64, 1, True))
)
DRAWS = DRAW, DRAW_SEED, DRAW_WORDS, DRAW_UNIFORM, DRAW_INTEGERS  # what changes a stream


def raw_words(words, count):
    """The next words as NumPy's engine gives them, in an array of uint64."""
    _check_words("raw_words", words)
    raw = np.empty(count, np.uint64)
    DRAW_WORDS[FLOATS[1]](words, raw)
    return raw


def uniform(words, shape, dtype):
    """Numbers of [0, 1), drawn as Generator.rand draws them."""
    _check_words("uniform", words)
    y = memory.empty(tuple(shape), dtype)
    DRAW_UNIFORM[y.dtype](words, y.reshape(-1))
    return y


def integers(words, shape, low, span, two):
    """Integers from low to low + span − 1, drawn as Generator.randint draws them, each from one word or from two."""
    _check_words("integers", words)
    if not (-(2**62) <= low <= 2**62 and 0 < span <= 2**62):
        raise ValueError(f"integers: expected low and span of at most 2**62, got {low} and {span}")
    y = np.empty(tuple(shape), np.int64)
    DRAW_INTEGERS[FLOATS[1]](words, low, span, bool(two), y.reshape(-1))
    return y


def seed_from(words):
    """An integer from 0 to 2⁶³ − 2, drawn as Generator.randint draws it, in an array without axes."""
    _check_words("seed_from", words)
    seed = np.empty((), np.int64)
    DRAW_SEED[FLOATS[1]](words, seed.reshape(1))
    return seed


def _check_words(name, words):
    good = isinstance(words, np.ndarray) and words.shape == (625,) and words.dtype == np.uint32 and words.flags.c_contiguous
    if not good or not 0 <= words[624] <= 624:
        raise ValueError(f"{name}: expected the 625 words of a Mersenne Twister")


def bernoulli(words, shape, p, kept, dtype):
    """An array of `kept` with probability p, else 0, drawn as Generator.bernoulli draws it."""
    dtype = np.dtype(dtype)
    _check_words("bernoulli", words)
    if dtype not in FLOATS:
        raise TypeError(f"bernoulli: expected float32 or float64, got {dtype}")
    if not 0 <= p <= 1:
        raise ValueError(f"bernoulli: p must lie in [0, 1], got {p}")
    mask = memory.empty(tuple(shape), dtype)
    DRAW[dtype](words, math.ceil(p * 2**53), float(kept), mask.reshape(-1))
    return mask
