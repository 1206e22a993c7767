"""Generation: a sequence is continued token by token, by what a model says comes next.

A model is any function of tokens (N, T) that gives logits (N, T, V), of which the last row counts, or (N, V). A GPT's keys and
values are kept in a cache (`make_cache`), so that each step reads one token; the tokens are the same as without it.
"""

import math

import numpy as np

from ..functions import cat, expect_tensors, multinomial
from ..grad_mode import no_grad
from ..tensor import wrap


def next_probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    """The probabilities of the next token, (…, V) → (…, V): softmax(logits/temperature), then the unlikely left out.

    temperature: below 1 sharper, above 1 flatter; 0 gives all to the likeliest. top_k: only the k likeliest. top_p: only the
    fewest likeliest tokens that have this probability together (Holtzman et al., 2020). Of equally likely tokens those with the
    smaller number stay. What stays is scaled to 1.

    >>> import minidl
    >>> logits = minidl.tensor([0.5, 0.3, 0.2]).log()
    >>> next_probabilities(logits, top_k=2)
    tensor([0.6250, 0.3750, 0.0000])
    >>> next_probabilities(logits, top_p=0.5)
    tensor([1., 0., 0.])
    """
    expect_tensors("next_probabilities", logits=logits)
    if not logits.ndim or not logits.shape[-1] or not logits.is_floating_point():
        raise ValueError(f"next_probabilities: expected floats (..., V), V at least 1, got {logits.dtype} {logits.shape}")
    _check_number("temperature", temperature, 0 <= _number(temperature) < math.inf, "a number of 0 or more")
    if top_k is not None:
        _check_number("top_k", top_k, type(top_k) is int and top_k >= 1, "an integer of 1 or more")
    if top_p is not None:
        _check_number("top_p", top_p, 0 < _number(top_p) <= 1, "in (0, 1]")
    scores = logits.array.astype(np.float64)
    scores -= scores.max(-1, keepdims=True)
    if temperature == 0:
        top_k = 1
    else:
        scores /= temperature
    p = np.exp(scores)
    p /= p.sum(-1, keepdims=True)
    if top_k is not None or top_p is not None:
        order = np.argsort(-scores, -1, kind="stable")
        ranked = np.take_along_axis(p, order, -1)
        keep = np.ones(ranked.shape, bool)
        if top_k is not None:
            keep[..., top_k:] = False
        if top_p is not None:
            keep &= ranked.cumsum(-1) - ranked < top_p  # those before it do not have top_p yet
        np.put_along_axis(p, order, np.where(keep, ranked, 0.0), -1)
        p /= p.sum(-1, keepdims=True)
    return wrap(p.astype(logits.dtype))


def generate(
    model,
    tokens,
    max_new_tokens,
    temperature=1.0,
    top_k=None,
    top_p=None,
    stop_token=None,
    use_cache=True,
    generator=None,
):
    """The tokens (N, T) and up to max_new_tokens drawn after them, from next_probabilities: → (N, T + new)

    stop_token: a row that has drawn it is filled with it, and when all have, generation ends. generator: where the random
    numbers come from; each step is one minidl.multinomial(p, 1) of the N rows, with the numbers that torch.multinomial(p, 1)
    takes for the same seed, and temperature=0 takes none. A model with a block_size sees at most that many of the last tokens.
    The model is called as it is: eval() it first.

    >>> import minidl
    >>> def successor(tokens):
    ...     return 100.0 * minidl.nn.functional.one_hot((tokens + 1) % 5, 5)
    >>> generate(successor, minidl.tensor([[3], [0]]), 3)
    tensor([[3, 4, 0, 1],
            [0, 1, 2, 3]])
    """
    _check_tokens("generate", tokens, max_new_tokens, stop_token)
    done = np.zeros(len(tokens), bool)
    with no_grad():
        reader = _Reader(model, tokens, max_new_tokens, use_cache)
        for _ in range(max_new_tokens):
            p = next_probabilities(reader.logits(tokens), temperature, top_k, top_p)
            drawn = p.argmax(-1).array[:, None] if temperature == 0 else multinomial(p, 1, generator=generator).array
            if stop_token is not None:
                drawn = np.where(done[:, None], stop_token, drawn)
                done |= drawn[:, 0] == stop_token
            tokens = cat((tokens, wrap(drawn.astype(tokens.dtype))), 1)
            if done.all() and stop_token is not None:
                break
    return tokens


def greedy_search(model, tokens, max_new_tokens, stop_token=None, use_cache=True):
    """As generate, but always the likeliest token; of equally likely ones the one with the smallest number.

    >>> import minidl
    >>> greedy_search(lambda tokens: minidl.tensor([[0.1, 0.7, 0.2]]).log(), minidl.tensor([[0]]), 3)
    tensor([[0, 1, 1, 1]])
    """
    return generate(model, tokens, max_new_tokens, 0, stop_token=stop_token, use_cache=use_cache)


def beam_search(model, tokens, max_new_tokens, num_beams, length_penalty=0.75, stop_token=None, use_cache=True):
    """The best continuation found of one sequence (T) or (1, T), and its score: → (tokens (T + new), score)

    At each step the num_beams likeliest continuations of those kept are kept. One that ends in stop_token is finished and takes
    its place with it. Among the finished ones and those kept at the end, the best has the largest log P/L^length_penalty, L the
    number of new tokens, since a longer sequence is less likely only by its length. num_beams=1 is greedy search, and as many
    beams as there are sequences search them all. The book, section 10.8; Wu et al. (2016) have another penalty.

    >>> import minidl
    >>> def model(tokens):  # after 0 the likelier 1 leads nowhere, 2 surely to 0
    ...     return minidl.tensor([[0.0, 0.6, 0.4], [0.3, 0.3, 0.4], [1.0, 0.0, 0.0]]).log()[tokens[:, -1]]
    >>> beam_search(model, minidl.tensor([0]), 2, num_beams=1)[0], beam_search(model, minidl.tensor([0]), 2, num_beams=2)[0]
    (tensor([0, 1, 2]), tensor([0, 2, 0]))
    """
    expect_tensors("beam_search", tokens=tokens)
    if tokens.ndim == 1:
        tokens = tokens.unsqueeze(0)
    _check_tokens("beam_search", tokens, max_new_tokens, stop_token)
    if len(tokens) != 1:
        raise ValueError(f"beam_search: expected one sequence, (T) or (1, T), got {tokens.shape}; search for each row alone")
    _check_number("num_beams", num_beams, type(num_beams) is int and num_beams >= 1, "an integer of 1 or more", "beam_search")
    _check_number("length_penalty", length_penalty, math.isfinite(_number(length_penalty)), "a number", "beam_search")
    start, finished = tokens.shape[1], []
    beams, totals = tokens.array, np.zeros(1)  # totals: ln P of what was added to each beam

    def rated(beam, total):
        return total / max(len(beam) - start, 1) ** length_penalty, beam

    with no_grad():
        reader = _Reader(model, tokens, max_new_tokens, use_cache)
        for _ in range(max_new_tokens):
            scores = reader.logits(wrap(beams)).array.astype(np.float64)
            scores = scores - scores.max(-1, keepdims=True)
            scores = totals[:, None] + scores - np.log(np.exp(scores).sum(-1, keepdims=True))
            best = np.argsort(-scores, None, kind="stable")[:num_beams]
            best = best[scores.ravel()[best] > -math.inf]
            rows, drawn = np.divmod(best, scores.shape[1])
            beams, totals = np.concatenate([beams[rows], drawn[:, None].astype(beams.dtype)], 1), scores.ravel()[best]
            live = np.ones(len(beams), bool) if stop_token is None else drawn != stop_token
            finished += [rated(*pair) for pair in zip(beams[~live], totals[~live], strict=True)]
            beams, totals = beams[live], totals[live]
            if not len(beams):
                break
            reader.select(rows[live])
    finished += [rated(*pair) for pair in zip(beams, totals, strict=True)]
    score, beam = max(finished, key=lambda pair: pair[0])
    return wrap(beam), float(score)


class _Reader:
    """Asks the model for the logits of the last place, with its cache as long as there is one and it has room."""

    def __init__(self, model, tokens, max_new_tokens, use_cache):
        self.model, self.block_size = model, getattr(model, "block_size", None)
        self.cache = None
        if use_cache and hasattr(model, "make_cache") and tokens.shape[1] <= (self.block_size or math.inf):
            self.cache = model.make_cache(len(tokens))

    def logits(self, tokens):
        if self.cache is not None and tokens.shape[1] > (self.block_size or math.inf):
            self.cache = None  # every place has moved on by one: what was kept holds no more
        if self.cache is not None:
            logits = self.model(tokens[:, self.cache.length :], cache=self.cache)
        else:
            logits = self.model(tokens if self.block_size is None else tokens[:, -self.block_size :])
        if logits.ndim not in (2, 3) or len(logits) != len(tokens):
            raise ValueError(
                f"generation: for tokens {tokens.shape} the model must give logits ({len(tokens)}, T, V) or "
                f"({len(tokens)}, V), got {logits.shape}"
            )
        return logits[:, -1] if logits.ndim == 3 else logits

    def select(self, rows):
        if self.cache is not None:
            self.cache.select(rows)


def _check_tokens(name, tokens, max_new_tokens, stop_token):
    expect_tensors(name, tokens=tokens)
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or not tokens.numel():
        raise ValueError(f"{name}: expected integers (N, T), N and T at least 1, got {tokens.dtype} of shape {tokens.shape}")
    whole = type(max_new_tokens) is int and max_new_tokens >= 0
    _check_number("max_new_tokens", max_new_tokens, whole, "an integer of 0 or more", name)
    if stop_token is not None:
        _check_number("stop_token", stop_token, type(stop_token) is int, "an integer", name)


def _check_number(what, given, right, wanted, name="next_probabilities"):
    if not right:
        raise ValueError(f"{name}: {what} must be {wanted}, got {given!r}")


def _number(x):
    """NaN for what is no number, so that every comparison fails."""
    return x if isinstance(x, (int, float, np.number)) and not isinstance(x, bool) else math.nan
