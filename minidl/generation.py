"""Text from a language model: token after token, drawn at random, the most likely one, or by beam search.

A model is any function of tokens (N, T) that gives logits (N, T, V) of what follows each of them: a `models.GPT`, a recurrent
network, a table in a test. All of it runs without gradients, and a Module in evaluation mode.

A model may have three attributes more. `context`: the largest number of tokens that it reads; it gets the last ones only.
`vocab_size`: how many tokens there are. `new_cache()`: an empty cache; `model(tokens, cache)` reads tokens after those in the
cache. Once there are more tokens than `context`, each step shifts their positions by one, and the cache would be wrong: then
the last `context` tokens are read again at each step. So a cache saves time only up to the context, and changes no result.
"""

import math
import operator
from typing import NamedTuple

import numpy as np

from .graph.modes import no_grad
from .nn import Module
from .nn.utils import evaluating
from .tensors.arguments import expect_tensors
from .tensors.joining import cat
from .tensors.random_tensors import multinomial
from .tensors.record import wrap
from .tensors.tensor import Tensor


def generate(
    model,
    tokens,
    length,
    temperature=1.0,
    top_k=None,
    top_p=None,
    greedy=False,
    generator=None,
    stop=None,
    cache=None,
):
    """Appends up to `length` tokens, one at a time: integers (T) or (N, T) → (T + length) or (N, T + length)

    Each is drawn with the probabilities softmax(logits/temperature): with a temperature below 1, likely tokens become more
    likely. top_k: only the k most likely tokens. top_p: only the smallest set of most likely tokens that together have this
    probability (after top_k). greedy: always the most likely token. generator: of random numbers; the global one by default.

    stop: a token that ends a sequence. In a batch it fills the rest of sequences that end early; when all have ended, nothing
    more is drawn. cache: False to read all tokens at each step; by default a model's cache is used if it has one (see above).

    Top-k: Fan, Lewis and Dauphin, 2018; top-p: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020.

    >>> import minidl
    >>> after = 5 * minidl.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # 0, then 1, then 2, then 0
    >>> generate(lambda tokens: after[tokens], minidl.tensor([0]), 4, greedy=True)
    tensor([0, 1, 2, 0, 1])
    """
    prompt = _prompt("generate", model, tokens)
    length = _integer("generate", "length", length, 0)
    if greedy and (temperature != 1 or top_k is not None or top_p is not None or generator is not None):
        raise ValueError("generate: greedy=True draws nothing; leave out temperature, top_k, top_p and generator")
    _check_sampling(temperature, top_k, top_p)
    stop = None if stop is None else _integer("generate", "stop", stop, 0)
    with no_grad(), evaluating(model):
        reader = _Reader("generate", model, cache)
        ended = np.zeros(len(prompt), bool)
        for _ in range(length):
            logits = reader.next(prompt, stop)  # (N, V)
            if greedy:
                new = logits.argmax(-1, keepdim=True)
            else:
                new = multinomial(next_probabilities(logits, temperature, top_k, top_p), 1, generator=generator)
            if stop is not None:
                new = wrap(np.where(ended[:, None], stop, new.array))
                ended |= new.array[:, 0] == stop
            prompt = cat([prompt, new], dim=1)
            if ended.all():
                break
    return prompt if tokens.ndim == 2 else prompt[0]


def next_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    """The probability with which `generate` draws each token: logits (N, V) → (N, V), of float64

    >>> import minidl
    >>> logits = minidl.tensor([[0.5, 0.3, 0.2]]).log()
    >>> next_probabilities(logits, top_p=0.6).float()
    tensor([[0.6250, 0.3750, 0.0000]])
    """
    expect_tensors("next_probabilities", logits=logits)
    _check_sampling(temperature, top_k, top_p)
    if top_k is not None and top_k > logits.shape[-1]:
        raise ValueError(f"generate: top_k must be at most the number of tokens, {logits.shape[-1]}, got {top_k}")
    x = logits.detach().double()
    p = ((x - x.amax(-1, keepdim=True)) / temperature).softmax(-1)  # now the largest is 0, and no temperature makes it overflow
    if top_k is None and top_p is None:
        return p
    order = p.argsort(-1, descending=True)  # stable: of equal ones the first comes first, as in argmax
    p = p.gather(-1, order)
    if top_k is not None:
        p[:, top_k:] = 0
        p = p / p.sum(-1, keepdim=True)
    if top_p is not None and top_p < 1:
        before = p.cumsum(-1).roll(1, -1)  # the probability of all tokens that are more likely
        before[:, 0] = 0
        p = p.masked_fill(before >= top_p, 0)
    p = p / p.sum(-1, keepdim=True)
    return p.gather(-1, order.argsort(-1))  # back to the order of tokens


class Hypothesis(NamedTuple):
    """A result of beam_search: T + L tokens, the log-probability of the last L given the first T, and this divided by L^alpha.

    >>> import minidl
    >>> best = Hypothesis(minidl.tensor([3, 1, 4]), log_probability=-2.0, score=-1.0)
    >>> best.tokens, best.score
    (tensor([3, 1, 4]), -1.0)
    """

    tokens: Tensor
    log_probability: float
    score: float


def beam_search(model, tokens, length, beams, alpha=0.75, stop=None, cache=None):
    """The continuations of L tokens with the largest log-probability / L^alpha: integers (T) → list of Hypothesis, best first

    Each step extends all unfinished sequences by each token, and keeps the `beams` most likely results. One that ends with the
    token `stop` is finished (L counts it); so are those that reach `length`. At most `beams` are returned. beams=1 is greedy.
    alpha: 0 prefers short ones, because each token lowers the probability; 1 takes the mean. cache: as in generate.
    *Dive into Deep Learning*, 10.8.

    >>> import minidl
    >>> after = minidl.tensor([[0.0, 0.6, 0.4], [0.4, 0.3, 0.3], [0.0, 0.0, 1.0]]).log()  # 0.6·0.4 < 0.4·1
    >>> best = beam_search(lambda tokens: after[tokens], minidl.tensor([0]), 2, beams=2)[0]
    >>> best.tokens
    tensor([0, 2, 2])
    """
    live = _prompt("beam_search", model, tokens)
    if tokens.ndim != 1:
        raise ValueError(f"beam_search: expected one sequence of tokens (T), got shape {tokens.shape}; search row by row")
    length, beams = _integer("beam_search", "length", length, 1), _integer("beam_search", "beams", beams, 1)
    stop = None if stop is None else _integer("beam_search", "stop", stop, 0)
    if not _is_number(alpha) or not 0 <= alpha <= 10:  # an exponent of length: with an integer like 2**63 it would never end
        raise ValueError(f"beam_search: alpha must be a number from 0 to 10, got {alpha!r}")
    sums, complete = np.zeros(1), []  # log-probabilities of the unfinished sequences, (B)
    with no_grad(), evaluating(model):
        reader = _Reader("beam_search", model, cache)
        for step in range(1, length + 1):
            logits = reader.next(live, stop).double()  # (B, V)
            totals = wrap(sums[:, None]) + logits.log_softmax(-1)
            best = totals.flatten().topk(min(beams, totals.numel()))
            possible = best.values.array > -math.inf
            sums, rows = best.values.array[possible], best.indices.array[possible] // totals.shape[1]
            new = best.indices.array[possible] % totals.shape[1]
            live = cat([live[wrap(rows)], wrap(new[:, None])], dim=1)
            ends = new == stop if step < length and stop is not None else np.full(len(new), step == length)
            for i in np.flatnonzero(ends):
                complete.append(Hypothesis(live[int(i)], float(sums[i]), float(sums[i]) / step**alpha))
            complete = sorted(complete, key=lambda found: -found.score)[:beams]
            kept = np.flatnonzero(~ends)
            # An unfinished one can reach sums/length^alpha at best, because each further token lowers the sum.
            if not len(kept) or (len(complete) == beams and complete[-1].score >= sums[kept].max() / length**alpha):
                break
            live, sums = live[wrap(kept)], sums[kept]
            reader.take(rows[kept])
    return complete


class _Reader:
    """Asks a model for the next token. The model gets the tokens that it has not read, or, past its context, the last ones."""

    def __init__(self, name, model, cache):
        self.name, self.model, self.context = name, model, getattr(model, "context", None)
        has = hasattr(model, "new_cache")
        if cache and not has:
            raise ValueError(f"{name}: cache=True, but the model has no new_cache(); leave cache out")
        self.cache = model.new_cache() if has and cache in (None, True) else None

    def next(self, tokens, stop):
        """Logits of the token after the last: (N, T) → (N, V)"""
        if self.context is not None and tokens.shape[1] > self.context:
            self.cache = None
            logits = self.model(tokens[:, -self.context :])
        elif self.cache is not None:
            logits = self.model(tokens[:, self.cache.length :], self.cache)
        else:
            logits = self.model(tokens)
        if not isinstance(logits, Tensor) or logits.ndim != 3 or len(logits) != len(tokens) or not logits.is_floating_point():
            got = f"shape {logits.shape}" if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(f"{self.name}: the model must give logits (N, T, V) for tokens {tokens.shape}, got {got}")
        logits = logits[:, -1]
        _check_tokens(self.name, "tokens", tokens.array, logits.shape[-1])
        _check_tokens(self.name, "stop", np.array([] if stop is None else [stop]), logits.shape[-1])
        highest = logits.array.max(-1)
        if not np.isfinite(highest).all():
            raise ValueError(f"{self.name}: the largest logit of each row must be finite, got {highest}")
        return logits

    def take(self, rows):
        """Keeps only these of the sequences."""
        if self.cache is not None:
            self.cache.take(wrap(rows))


# --- checks


def _prompt(name, model, tokens):
    """The tokens as int64, (N, T)."""
    expect_tensors(name, tokens=tokens)
    if not (callable(model) or isinstance(model, Module)):
        raise TypeError(f"{name}: the model must be a function of tokens, got {type(model).__name__}")
    if tokens.array.dtype.kind not in "iu":
        raise TypeError(f"{name}: tokens must be integers, got {tokens.dtype}")
    if tokens.ndim not in (1, 2) or not tokens.numel():
        raise ValueError(f"{name}: expected tokens (T) or (N, T), at least one to begin with, got shape {tokens.shape}")
    _check_tokens(name, "tokens", tokens.array, getattr(model, "vocab_size", math.inf))
    return (tokens if tokens.ndim == 2 else tokens.unsqueeze(0)).detach().long()


def _check_tokens(name, what, array, bound):
    wrong = array[(array < 0) | (array >= bound)]
    if wrong.size:
        raise IndexError(f"{name}: {what}: {wrong[0]} is not in the vocabulary; expected 0 to {bound - 1}")


def _integer(name, what, value, least):
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{name}: {what} must be an integer of at least {least}, got {value!r}")
    return number


def _is_number(x):
    return isinstance(x, (int, float, np.integer, np.floating)) and not isinstance(x, bool)


def _check_sampling(temperature, top_k, top_p):
    if not _is_number(temperature) or not 0 < temperature < math.inf:
        raise ValueError(f"generate: temperature must be a number above 0, got {temperature!r}; or greedy=True")
    if top_k is not None:
        _integer("generate", "top_k", top_k, 1)
    if top_p is not None and (not _is_number(top_p) or not 0 < top_p <= 1):
        raise ValueError(f"generate: top_p must be a number above 0 and at most 1, got {top_p!r}")
