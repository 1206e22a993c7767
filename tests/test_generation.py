"""Writing with a language model: by chance, greedily and with beams; with a cache and without."""

import itertools
import math

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.generation import beam_search, generate, next_probabilities


def table(rows):
    """A model whose next token depends on the last one alone: probabilities (V, V)."""
    with np.errstate(divide="ignore"):
        logits = minidl.tensor(np.log(np.array(rows, np.float64)))  # by NumPy: no kernel, as it is also called for parameters
    return lambda tokens: logits[tokens]


def gpt(positions="learned", seed=0, **options):
    minidl.manual_seed(seed)
    model = models.GPT(13, context=10, width=16, heads=2, layers=2, positions=positions, **options)
    with minidl.no_grad():
        for param in model.parameters():
            param.copy_(minidl.randn(param.shape) * 0.5)  # far from uniform, so that a wrong position changes tokens
    return model


def draw(*size, bound=13):
    return minidl.randint(0, bound, size)


POSITIONS = ("learned", "rotary", "alibi")
CHAIN = [[0.1, 0.6, 0.2, 0.1], [0.2, 0.1, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.25, 0.3, 0.4, 0.05]]


# --- one token


def test_probabilities_are_those_of_the_definition():
    logits = np.random.default_rng(0).normal(size=(3, 6)) * 2
    for temperature in (0.3, 1.0, 5.0):
        e = np.exp(logits / temperature)
        p = next_probabilities(minidl.tensor(logits), temperature).numpy()
        np.testing.assert_allclose(p, e / e.sum(1, keepdims=True), rtol=1e-12)


def test_top_k_keeps_the_k_most_likely():
    p = np.array([[0.1, 0.4, 0.2, 0.3], [0.7, 0.05, 0.2, 0.05]])
    logits = minidl.tensor(np.log(p))
    np.testing.assert_allclose(next_probabilities(logits, top_k=2).numpy(), [[0, 4 / 7, 0, 3 / 7], [7 / 9, 0, 2 / 9, 0]])
    np.testing.assert_allclose(next_probabilities(logits, top_k=4).numpy(), p)
    # of equals exactly so many stay, the first ones
    np.testing.assert_allclose(next_probabilities(minidl.zeros(1, 4), top_k=2).numpy(), [[0.5, 0.5, 0, 0]])


def test_top_p_keeps_the_least_set():
    rng = np.random.default_rng(1)
    for _ in range(20):
        p = rng.dirichlet(np.ones(5) * 0.7, size=2)
        top_p = rng.uniform(0.05, 0.99)
        found = next_probabilities(minidl.tensor(np.log(p)), top_p=top_p).numpy()
        for row, kept in zip(p, found, strict=True):
            sets = [s for n in range(1, 6) for s in itertools.combinations(range(5), n) if row[list(s)].sum() >= top_p]
            size = min(len(s) for s in sets)
            best = max((s for s in sets if len(s) == size), key=lambda s: row[list(s)].sum())
            assert set(np.flatnonzero(kept)) == set(best)
            np.testing.assert_allclose(kept[list(best)], row[list(best)] / row[list(best)].sum(), rtol=1e-9)


def test_top_p_comes_after_top_k_and_1_is_all():
    logits = minidl.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    # of the first two, 4/7 and 3/7, the first has more than 0.5; of all four it has not
    np.testing.assert_allclose(next_probabilities(logits, top_k=2, top_p=0.5).numpy(), [[1, 0, 0, 0]])
    np.testing.assert_allclose(next_probabilities(logits, top_p=0.5).numpy(), [[4 / 7, 3 / 7, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(next_probabilities(logits, top_p=1.0).numpy(), [[0.4, 0.3, 0.2, 0.1]], rtol=1e-6)


def test_extreme_temperatures_do_not_overflow():
    logits = minidl.tensor([[1000.0, 999.0, -math.inf]])
    np.testing.assert_array_equal(next_probabilities(logits, 1e-307).numpy(), [[1, 0, 0]])
    np.testing.assert_allclose(next_probabilities(logits, 1e300).numpy(), [[0.5, 0.5, 0]])


# --- generate


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.6, 0.3, 0.1]),
        ({"temperature": 0.5}, [0.36 / 0.46, 0.09 / 0.46, 0.01 / 0.46]),
        ({"temperature": 100.0}, [1 / 3] * 3),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0]),
        ({"top_p": 0.5}, [1, 0, 0]),
    ],
)
def test_tokens_are_drawn_with_their_probabilities(options, expected):
    minidl.manual_seed(0)
    prompt = minidl.zeros(4000, 1, dtype=minidl.int64)
    new = generate(table([[0.6, 0.3, 0.1]] * 3), prompt, 2, **options).numpy()[:, 1:]
    found = np.bincount(new.ravel(), minlength=3) / new.size
    np.testing.assert_allclose(found, expected, atol=0.03)  # five deviations of 8000 draws
    if 0 in expected:
        assert not found[np.array(expected) == 0].any()


def test_each_token_depends_on_the_last():
    minidl.manual_seed(0)
    text = generate(table(CHAIN), minidl.zeros(200, 1, dtype=minidl.int64), 40).numpy()
    assert text.shape == (200, 41) and not text[:, 0].any()
    pairs = np.zeros((4, 4))
    np.add.at(pairs, (text[:, :-1], text[:, 1:]), 1)
    np.testing.assert_allclose(pairs / pairs.sum(1, keepdims=True), CHAIN, atol=0.05)


def test_seeds_reproduce():
    model, prompt = table(CHAIN), minidl.tensor([[0, 1], [2, 3]])
    minidl.manual_seed(3)
    first, second = generate(model, prompt, 20), generate(model, prompt, 20)
    minidl.manual_seed(3)
    np.testing.assert_array_equal(generate(model, prompt, 20).numpy(), first.numpy())
    assert not first.equal(second)
    mine = [generate(model, prompt, 20, generator=minidl.Generator().manual_seed(3)) for _ in range(2)]
    assert mine[0].equal(mine[1]) and mine[0].equal(first)
    np.testing.assert_array_equal(generate(model, prompt, 20).numpy(), second.numpy())  # the global stream was left alone


def test_greedy_takes_the_most_likely_and_so_does_top_k_1():
    prompt = minidl.tensor([[0, 1], [0, 3]])
    found = generate(table(CHAIN), prompt, 5, greedy=True)
    assert found.tolist() == [[0, 1, 3, 2, 0, 1, 3], [0, 3, 2, 0, 1, 3, 2]]
    assert generate(table(CHAIN), prompt, 5, top_k=1).equal(found)
    assert generate(table([[0.5, 0.5]] * 2), minidl.tensor([1]), 3, top_k=1).tolist() == [1, 0, 0, 0]
    assert generate(table([[0.5, 0.5]] * 2), minidl.tensor([1]), 3, greedy=True).tolist() == [1, 0, 0, 0]
    model, prompt = gpt(), draw(3, 4)
    assert generate(model, prompt, 12, top_k=1).equal(generate(model, prompt, 12, greedy=True))


def test_shapes_and_what_stays():
    prompt = minidl.tensor([1, 2], dtype=minidl.int32)
    found = generate(table(CHAIN), prompt, 3)
    assert found.shape == (5,) and found.dtype == minidl.int64 and found[:2].tolist() == [1, 2]
    assert generate(table(CHAIN), prompt, 0).tolist() == prompt.tolist() == [1, 2]


def test_a_stop_ends_a_row_and_all_stops_end_it_all():
    step = [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]  # 0 → 1 → 2 → 3 → 0
    calls = []

    def model(tokens):
        calls.append(tokens.shape)
        return table(step)(tokens)

    found = generate(model, minidl.tensor([[0], [2]]), 9, greedy=True, stop=3)
    assert found.tolist() == [[0, 1, 2, 3], [2, 3, 3, 3]] and len(calls) == 3
    assert generate(model, minidl.tensor([3]), 2, greedy=True, stop=3).tolist() == [3, 0, 1]  # in the prompt it ends nothing


# --- the cache


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_cache_changes_no_token_even_past_the_context(positions):
    model, prompt = gpt(positions), draw(3, 4)
    assert generate(model, prompt, 16, greedy=True).equal(generate(model, prompt, 16, greedy=True, cache=False))
    drawn = []
    for cache in (True, False):
        minidl.manual_seed(5)
        drawn.append(generate(model, prompt, 16, temperature=1.5, cache=cache))
    assert drawn[0].equal(drawn[1])
    found = [beam_search(model, prompt[0], 16, beams=3, cache=cache) for cache in (True, False)]
    for a, b in zip(*found, strict=True):
        assert a.tokens.equal(b.tokens) and a.score == pytest.approx(b.score, abs=1e-4)


def test_what_the_model_is_asked():
    asked = []

    class Spy(models.GPT):
        def forward(self, tokens, cache=None):
            assert not self.training and not minidl.is_grad_enabled()
            asked.append((tokens.tolist()[0], cache is not None))
            return super().forward(tokens, cache)

    minidl.manual_seed(0)
    model = Spy(13, context=4, width=8, heads=2, layers=1, dropout=0.5)
    found = generate(model, minidl.tensor([1, 2]), 4, greedy=True).tolist()
    assert asked == [([1, 2], True), (found[2:3], True), (found[3:4], True), (found[1:5], False)]
    asked.clear()
    generate(model, minidl.tensor([1, 2]), 4, greedy=True, cache=False)
    assert asked == [(found[:2], False), (found[:3], False), (found[:4], False), (found[1:5], False)]
    assert model.training and all(module.training for module in model.modules())


def test_a_wrong_model_leaves_the_mode_as_it_was():
    net = nn.Sequential(nn.Embedding(5, 3), nn.Flatten())
    with pytest.raises(ValueError, match=r"must give logits \(N, T, V\) for tokens \(1, 2\), got shape \(1, 6\)"):
        generate(net, minidl.tensor([1, 2]), 1)
    assert net.training and minidl.is_grad_enabled()


# --- beam search


def every_sequence(rows, start, length, alpha, stop=None):
    """All continuations with their scores, best first: what a beam search looks for."""
    found, live = [], [((), 0.0, start)]
    for step in range(1, length + 1):
        longer = []
        for words, total, last in live:
            for word, p in enumerate(rows[last]):
                if p > 0:
                    item = (*words, word), total + math.log(p), word
                    if word == stop or step == length:
                        found.append((item[1] / step**alpha, item[0]))
                    else:
                        longer.append(item)
        live = longer
    return sorted(found, reverse=True)


def test_a_beam_finds_what_greedy_misses():
    # greedy goes to 1 (0.6), from where nothing is likely; 2 (0.4) leads to a certain 3
    rows = [[0, 0.6, 0.4, 0], [0.3, 0.3, 0.2, 0.2], [0, 0, 0, 1.0], [0.25, 0.25, 0.25, 0.25]]
    assert generate(table(rows), minidl.tensor([0]), 2, greedy=True).tolist() == [0, 1, 0]
    best = beam_search(table(rows), minidl.tensor([0]), 2, beams=2)
    assert best[0].tokens.tolist() == [0, 2, 3]
    assert best[0].log_probability == pytest.approx(math.log(0.4))
    assert best[0].score == pytest.approx(math.log(0.4) / 2**0.75)
    assert best[1].tokens.tolist() == [0, 1, 0] and best[1].log_probability == pytest.approx(math.log(0.18))


@pytest.mark.parametrize("alpha", [0.0, 0.75, 1.0])
@pytest.mark.parametrize("stop", [None, 3])
def test_enough_beams_find_the_best_of_all(alpha, stop):
    expected = every_sequence(CHAIN, 1, 4, alpha, stop)
    found = beam_search(table(CHAIN), minidl.tensor([1]), 4, beams=300, alpha=alpha, stop=stop)
    assert len(found) == len(expected)
    np.testing.assert_allclose([h.score for h in found], [score for score, _ in expected], rtol=1e-9)
    assert sorted(tuple(h.tokens.tolist()[1:]) for h in found) == sorted(words for _, words in expected)


def test_one_beam_is_greedy():
    for model, prompt, stop in [(table(CHAIN), [0], None), (table(CHAIN), [0], 2), (gpt(), [1, 2, 3], None)]:
        prompt = minidl.tensor(prompt)
        (only,) = beam_search(model, prompt, 8, beams=1, stop=stop)
        assert only.tokens.equal(generate(model, prompt, 8, greedy=True, stop=stop))


def test_alpha_weighs_length():
    rows = [[0, 0.5, 0, 0.5], [0, 0, 0.8, 0.2], [0, 0, 0.1, 0.9], [0.25] * 4]  # 3 ends: 3 has 0.5, 1 2 3 has 0.36
    for alpha, words in [(0.0, [3]), (1.0, [1, 2, 3])]:
        assert beam_search(table(rows), minidl.tensor([0]), 5, 3, alpha, stop=3)[0].tokens.tolist() == [0, *words]


def test_the_search_ends_when_no_live_one_can_win():
    calls = []
    rows = [[0, 0.05, 0, 0.95], [0, 0.9, 0.1, 0], [0, 0.5, 0.5, 0], [0.25] * 4]

    def model(tokens):
        calls.append(tokens.shape)
        return table(rows)(tokens)

    found = beam_search(model, minidl.tensor([0]), 20, beams=1, stop=3)
    assert [h.tokens.tolist() for h in found] == [[0, 3]] and len(calls) == 1
    calls.clear()
    assert len(beam_search(model, minidl.tensor([0]), 20, beams=2, alpha=0.0, stop=3)) == 2
    assert len(calls) == 20  # there is room for a second one, however unlikely


# --- errors


MODEL = table(CHAIN)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"temperature": 0}, ValueError, "temperature must be a number above 0, got 0; or greedy=True"),
        ({"temperature": -1.0}, ValueError, "temperature"),
        ({"temperature": math.nan}, ValueError, "temperature"),
        ({"temperature": math.inf}, ValueError, "temperature"),
        ({"top_k": 0}, ValueError, "top_k must be an integer of at least 1, got 0"),
        ({"top_k": 1.5}, ValueError, "top_k must be an integer"),
        ({"top_k": 5}, ValueError, "top_k must be at most the number of tokens, 4, got 5"),
        ({"top_p": 0.0}, ValueError, "top_p must be a number above 0 and at most 1, got 0.0"),
        ({"top_p": 1.1}, ValueError, "top_p"),
        ({"greedy": True, "top_k": 2}, ValueError, "greedy=True draws nothing"),
        ({"greedy": True, "temperature": 0.5}, ValueError, "greedy=True draws nothing"),
        ({"length": -1}, ValueError, "length must be an integer of at least 0, got -1"),
        ({"stop": 4}, IndexError, "stop: 4 is not in the vocabulary; expected 0 to 3"),
        ({"cache": True}, ValueError, r"the model has no new_cache\(\)"),
        ({"tokens": minidl.tensor([], dtype=minidl.int64)}, ValueError, "at least one to begin with"),
        ({"tokens": minidl.zeros(2, 0, dtype=minidl.int64)}, ValueError, "at least one to begin with"),
        ({"tokens": minidl.tensor([1.0])}, TypeError, "tokens must be integers"),
        ({"tokens": [1]}, TypeError, "expected a Tensor as tokens, got list"),
        ({"tokens": minidl.tensor([1, -1])}, IndexError, "tokens: -1 is not in the vocabulary"),
        ({"model": 3}, TypeError, "must be a function of tokens, got int"),
        ({"model": lambda tokens: tokens}, ValueError, r"must give logits \(N, T, V\)"),
        ({"model": lambda tokens: MODEL(tokens) * math.nan}, ValueError, "must be finite, got .nan"),
        ({"model": lambda tokens: minidl.zeros(1, 2, 2)}, IndexError, "tokens: 2 is not in the vocabulary; expected 0 to 1"),
    ],
)
def test_errors_say_what_is_wrong(options, error, message):
    with pytest.raises(error, match=message):
        generate(**{"model": MODEL, "tokens": minidl.tensor([0, 2]), "length": 2, **options})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"beams": 0}, ValueError, "beams must be an integer of at least 1, got 0"),
        ({"length": 0}, ValueError, "length must be an integer of at least 1, got 0"),
        ({"alpha": -0.5}, ValueError, "alpha must be a number from 0 to 10"),
        ({"tokens": minidl.tensor([[1]])}, ValueError, "one sequence of tokens"),
        ({"tokens": minidl.tensor([], dtype=minidl.int64)}, ValueError, "at least one to begin with"),
        ({"stop": 9}, IndexError, "stop: 9 is not in the vocabulary"),
        ({"model": lambda tokens: MODEL(tokens) * math.nan}, ValueError, "must be finite"),
    ],
)
def test_errors_of_beam_search(options, error, message):
    with pytest.raises(error, match=message):
        beam_search(**{"model": MODEL, "tokens": minidl.tensor([0, 2]), "length": 2, "beams": 2, **options})


def test_tokens_that_a_gpt_does_not_know():
    with pytest.raises(IndexError, match="tokens: 13 is not in the vocabulary; expected 0 to 12"):
        generate(gpt(), minidl.tensor([1, 13]), 1)
