"""The parts of a Transformer in plain NumPy, float64, place by place: what the models are compared with."""

import math

import numpy as np

gelu = np.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)


def dense(x, state, name):
    """x Wᵀ + b, without b if the state has none."""
    return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0.0)


def norm(x, state, name):
    """Each vector to mean 0 and variance 1, scaled and shifted."""
    centred = x - x.mean(-1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return y * state[f"{name}.weight"] + state.get(f"{name}.bias", 0.0)


def attention(x, state, name, heads, causal, turn=None, slopes=None):
    """One sequence (T, E) → (T, E) and the weights (heads, T, T). turn(vector, place) is for queries and keys."""
    length, width = x.shape
    size = width // heads
    queries, keys, values = np.split(dense(x, state, f"{name}.qkv"), 3, axis=-1)
    y, weights = np.zeros((length, width)), np.zeros((heads, length, length))
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        for i in range(length):
            scores = np.full(length, -np.inf)
            for j in range(i + 1 if causal else length):
                q, k = queries[i, part], keys[j, part]
                if turn is not None:
                    q, k = turn(q, i), turn(k, j)
                scores[j] = q @ k / math.sqrt(size)
                if slopes is not None:
                    scores[j] -= slopes[h] * (i - j)
            exponentials = np.exp(scores - scores.max())
            weights[h, i] = exponentials / exponentials.sum()
            y[i, part] = weights[h, i] @ values[:, part]
    return dense(y, state, f"{name}.out"), weights


def turned(vector, place):
    """The rotary turn of one vector, as a product of complex numbers."""
    pairs = vector[::2] + 1j * vector[1::2]
    angles = place / 10000 ** (2 * np.arange(len(pairs)) / len(vector))
    pairs = pairs * np.exp(1j * angles)
    return np.stack([pairs.real, pairs.imag], axis=-1).ravel()
