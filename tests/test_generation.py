"""Generation: the properties of sampling and of beam search, on models whose best sequences are known."""

import itertools
import math

import numpy as np
import pytest

import minidl
from minidl.models import GPT, beam_search, generate, greedy_search, next_probabilities

KINDS = ("learned", "rotary", "alibi")


def table_model(seed, V=4, sharpness=2.0):
    """A Markov source of second order: logits (N, V) from the last two tokens."""
    logits = np.random.default_rng(seed).standard_normal((V, V, V)) * sharpness

    def model(tokens):
        before = tokens[:, -2] if tokens.shape[1] > 1 else tokens[:, -1]
        return minidl.tensor(logits)[before, tokens[:, -1]]

    return model


def log_softmax(x):
    return x - x.max(-1, keepdims=True) - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True))


def log_probability(model, start, sequence):
    """ln P of the tokens after the start, one by one."""
    total, tokens = 0.0, list(start)
    for token in sequence:
        total += log_softmax(model(minidl.tensor([tokens])).numpy()[0])[token]
        tokens.append(token)
    return total


# --- probabilities


LOGITS = np.log([0.1, 0.4, 0.05, 0.3, 0.15])


def probabilities(**options):
    return next_probabilities(minidl.tensor(LOGITS), **options).numpy()


def test_temperature():
    for T in (0.5, 1.0, 3.0):
        wanted = np.exp(LOGITS / T) / np.exp(LOGITS / T).sum()
        np.testing.assert_allclose(probabilities(temperature=T), wanted)
    assert probabilities(temperature=0).tolist() == [0, 1, 0, 0, 0]
    np.testing.assert_allclose(probabilities(temperature=1e-300), [0, 1, 0, 0, 0])
    np.testing.assert_allclose(probabilities(temperature=1e300), [0.2] * 5)


def test_top_k():
    np.testing.assert_allclose(probabilities(top_k=2), [0, 4 / 7, 0, 3 / 7, 0])
    assert probabilities(top_k=1).tolist() == [0, 1, 0, 0, 0]
    np.testing.assert_allclose(probabilities(top_k=9), np.exp(LOGITS))
    tied = next_probabilities(minidl.zeros(2, 4), top_k=2)
    assert tied.tolist() == [[0.5, 0.5, 0, 0]] * 2


@pytest.mark.parametrize("seed", range(20))
def test_top_p_keeps_the_least_set(seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(6, 0.5))
    limit = rng.uniform(0.05, 0.99)
    kept = next_probabilities(minidl.tensor(np.log(p)), top_p=limit).numpy()
    chosen = set(np.flatnonzero(kept))
    enough = [s for n in range(1, 7) for s in itertools.combinations(range(6), n) if p[list(s)].sum() >= limit]
    least = min(enough, key=lambda s: (len(s), -p[list(s)].sum()))
    assert chosen == set(least)
    np.testing.assert_allclose(kept[list(least)], p[list(least)] / p[list(least)].sum())


def test_options_together():
    np.testing.assert_allclose(probabilities(top_k=3, top_p=0.6), [0, 4 / 7, 0, 3 / 7, 0])
    np.testing.assert_allclose(probabilities(top_k=1, top_p=1.0), [0, 1, 0, 0, 0])
    np.testing.assert_allclose(probabilities(temperature=0.5, top_k=2), [0, 16 / 25, 0, 9 / 25, 0])
    # The temperature comes first: at 0.5 the likeliest token alone has half of all.
    assert np.count_nonzero(probabilities(temperature=0.5, top_p=0.5)) == 1
    assert np.count_nonzero(probabilities(top_p=0.5)) == 2
    assert probabilities(top_p=1.0).all()
    assert next_probabilities(minidl.tensor([0.0, -math.inf])).tolist() == [1, 0]
    assert next_probabilities(minidl.zeros(2, 3)).dtype == np.float32


# --- sampling


START = [[0, 1], [3, 2], [2, 2]]


def test_greedy_takes_the_likeliest_each_time():
    model = table_model(0)
    tokens = greedy_search(model, minidl.tensor(START), 6)
    assert tokens.shape == (3, 8) and tokens[:, :2].tolist() == START
    for t in range(2, 8):
        assert tokens[:, t].equal(model(tokens[:, :t]).argmax(-1))
    for options in ({"temperature": 0}, {"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-6}):
        assert generate(model, minidl.tensor(START), 6, **options).equal(tokens), options


def test_sampling_follows_the_probabilities():
    model = table_model(1, sharpness=1.0)
    tokens = generate(model, minidl.zeros(20000, 2, dtype=minidl.int64), 2)
    first = next_probabilities(model(minidl.tensor([[0, 0]])))[0].numpy()
    np.testing.assert_allclose(np.bincount(tokens[:, 2].numpy(), minlength=4) / 20000, first, atol=0.015)
    for a in range(4):
        rows = tokens.numpy()[tokens[:, 2].numpy() == a]
        second = next_probabilities(model(minidl.tensor([[0, a]])))[0].numpy()
        np.testing.assert_allclose(np.bincount(rows[:, 3], minlength=4) / len(rows), second, atol=0.05)


def test_seeds():
    model, start = table_model(2), minidl.tensor(START)
    minidl.manual_seed(3)
    a = generate(model, start, 30)
    assert not generate(model, start, 30).equal(a)
    minidl.manual_seed(3)
    assert generate(model, start, 30).equal(a)
    own = [generate(model, start, 30, generator=minidl.Generator().manual_seed(3)) for _ in range(2)]
    assert own[0].equal(own[1]) and own[0].equal(a)
    state = minidl.get_rng_state()
    generate(model, start, 30, generator=minidl.Generator())
    greedy_search(model, start, 30)
    beam_search(model, start[0], 5, 2)
    assert (minidl.get_rng_state() == state).all()


def test_each_step_is_one_multinomial_of_all_rows():
    model, tokens = table_model(3), minidl.tensor(START)
    minidl.manual_seed(4)
    wanted = tokens
    for _ in range(5):
        wanted = minidl.cat([wanted, minidl.multinomial(next_probabilities(model(wanted), 0.7), 1)], 1)
    minidl.manual_seed(4)
    assert generate(model, tokens, 5, temperature=0.7).equal(wanted)


def test_a_row_that_stopped_stays_stopped():
    def successor(tokens):
        return 50.0 * minidl.nn.functional.one_hot((tokens + 1) % 5, 5)

    start = minidl.tensor([[1], [3], [4]])
    wanted = [[1, 2, 3, 4, 4, 4], [3, 4, 4, 4, 4, 4], [4, 0, 1, 2, 3, 4]]  # a stop in the prompt does not count
    assert generate(successor, start, 9, stop_token=4).tolist() == wanted
    assert generate(successor, start, 2, stop_token=4).shape == (3, 3)
    assert generate(successor, start, 0).equal(start)
    assert generate(successor, start.int(), 2).dtype == np.int32


@pytest.mark.parametrize("positions", KINDS)
def test_tokens_are_the_same_with_and_without_the_cache(positions):
    model = GPT(9, 12, 2, 2, 8, positions=positions).eval()
    with minidl.no_grad():
        for p in model.parameters():
            p += minidl.randn(p.shape) * 0.5
    start = minidl.randint(0, 9, (3, 4))
    for n in (1, 8, 20):  # the last beyond the block: its places move on
        for options in ({"temperature": 0}, {"temperature": 0.9, "top_k": 5}):
            tokens = []
            for use_cache in (True, False):
                minidl.manual_seed(1)
                tokens.append(generate(model, start, n, use_cache=use_cache, **options))
            assert tokens[0].equal(tokens[1]) and tokens[0].shape == (3, 4 + n)
    for n in (5, 15):
        for stop in (None, *range(9)):  # beams that are finished leave the cache
            options = {"num_beams": 4, "stop_token": stop}
            with_cache, without = (beam_search(model, start[0], n, use_cache=use, **options) for use in (True, False))
            assert with_cache[0].equal(without[0]) and math.isclose(with_cache[1], without[1], rel_tol=1e-4)
    long = minidl.randint(0, 9, (2, 15))
    assert greedy_search(model, long, 1)[:, -1].equal(model(long[:, -12:])[:, -1].argmax(-1))


def test_the_cache_reads_each_token_once():
    model, read = GPT(9, 12, 1, 2, 8).eval(), []
    hook = model.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].shape))
    greedy_search(model, minidl.zeros(2, 3, dtype=minidl.int64), 5)
    assert read == [(2, 3), (2, 1), (2, 1), (2, 1), (2, 1)]
    read.clear()
    greedy_search(model, minidl.zeros(2, 3, dtype=minidl.int64), 3, use_cache=False)
    assert read == [(2, 3), (2, 4), (2, 5)]
    hook.remove()


def test_nothing_is_recorded():
    model = GPT(9, 12, 1, 2, 8)
    assert not generate(model, minidl.zeros(1, 1, dtype=minidl.int64), 2).requires_grad
    assert model.training and all(p.grad is None for p in model.parameters())


# --- beam search


@pytest.mark.parametrize("seed", range(8))
def test_one_beam_is_greedy(seed):
    model = table_model(seed)
    for stop in (None, 3):
        wanted = greedy_search(model, minidl.tensor([[0, 1]]), 6, stop_token=stop)[0]
        tokens, score = beam_search(model, minidl.tensor([0, 1]), 6, 1, stop_token=stop)
        assert tokens.equal(wanted)
        new = tokens[2:].tolist()
        assert math.isclose(score, log_probability(model, [0, 1], new) / len(new) ** 0.75)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("alpha", [0.0, 0.75, 2.0])
def test_beams_enough_find_the_best_of_all(seed, alpha):
    model, n = table_model(seed), 3
    candidates = {}
    for sequence in itertools.product(range(4), repeat=n):
        if 3 in sequence:  # 3 stops
            sequence = sequence[: sequence.index(3) + 1]
        candidates[sequence] = log_probability(model, [0, 1], sequence) / len(sequence) ** alpha
    best = max(candidates, key=candidates.get)
    tokens, score = beam_search(model, minidl.tensor([[0, 1]]), n, 64, alpha, stop_token=3)
    assert tuple(tokens[2:].tolist()) == best and math.isclose(score, candidates[best])


def test_beam_search_finds_what_greedy_misses():
    found = 0
    for seed in range(20):
        model, start = table_model(seed), [0, 1]
        greedy = greedy_search(model, minidl.tensor([start]), 5)[0, 2:].tolist()
        score = beam_search(model, minidl.tensor(start), 5, 3)[1]
        of_greedy = log_probability(model, start, greedy) / 5**0.75
        found += score > of_greedy + 1e-9
    assert found >= 5


def test_book_example_of_beam_search():
    """Greedy takes A B C and has 0.5·0.4·0.4·0.6 = 0.048; taking C second gives 0.5·0.3·0.6·0.6 = 0.054 (section 10.8)."""
    A, B, C, END = range(4)
    after = {
        (): [0.5, 0.2, 0.2, 0.1],
        (A,): [0.1, 0.4, 0.3, 0.2],
        (A, B): [0.2, 0.2, 0.4, 0.2],
        (A, B, C): [0.0, 0.2, 0.2, 0.6],
        (A, C): [0.1, 0.6, 0.2, 0.1],
        (A, C, B): [0.1, 0.2, 0.1, 0.6],
    }

    def model(tokens):
        rows = [after.get(tuple(row[1:]), [0.25] * 4) for row in tokens.tolist()]
        return (minidl.tensor(rows).double() + 1e-12).log()

    start = minidl.tensor([9])
    assert greedy_search(model, start.unsqueeze(0), 4, stop_token=END).tolist() == [[9, A, B, C, END]]
    for beams, wanted, p in ((1, [A, B, C, END], 0.048), (4, [A, C, B, END], 0.054)):
        tokens, score = beam_search(model, start, 4, beams, length_penalty=1.0, stop_token=END)
        assert tokens.tolist() == [9, *wanted] and math.isclose(score, math.log(p) / 4, rel_tol=1e-6)


def test_no_new_tokens():
    tokens, score = beam_search(table_model(0), minidl.tensor([0, 1]), 0, 3)
    assert tokens.tolist() == [0, 1] and score == 0


# --- mistakes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, x: generate(model, x, -1), "generate: max_new_tokens must be.*-1"),
        (lambda model, x: generate(model, x, 2.0), "max_new_tokens.*2.0"),
        (lambda model, x: generate(model, x[0], 2), r"generate: expected integers \(N, T\).*\(2,\)"),
        (lambda model, x: generate(model, x.float(), 2), "got float32"),
        (lambda model, x: generate(model, x[:, :0], 2), "at least 1"),
        (lambda model, x: generate(model, x, 2, temperature=-1), "temperature must be a number of 0 or more, got -1"),
        (lambda model, x: generate(model, x, 2, temperature="1"), "temperature.*'1'"),
        (lambda model, x: generate(model, x, 2, top_k=0), "top_k must be an integer of 1 or more, got 0"),
        (lambda model, x: generate(model, x, 2, top_p=0.0), r"top_p must be in \(0, 1\], got 0.0"),
        (lambda model, x: generate(model, x, 2, top_p=1.1), "top_p.*1.1"),
        (lambda model, x: generate(model, x, 2, stop_token=1.5), "stop_token must be an integer, got 1.5"),
        (lambda model, x: generate(lambda tokens: tokens[0].float(), x, 2), r"logits \(1, T, V\) or \(1, V\), got \(2,\)"),
        (lambda model, x: beam_search(model, x, 2, 0), "num_beams must be.*0"),
        (lambda model, x: beam_search(model, x, 2, 2, math.nan), "length_penalty"),
        (lambda model, x: beam_search(model, x.repeat(2, 1), 2, 2), r"expected one sequence.*\(2, 2\)"),
        (lambda model, x: next_probabilities(x), "expected floats"),
    ],
)
def test_wrong_use(call, message):
    with pytest.raises(ValueError, match=message):
        call(table_model(0), minidl.tensor([[0, 1]]))


def test_what_is_no_tensor():
    with pytest.raises(TypeError, match="generate: expected a Tensor as tokens, got list"):
        generate(table_model(0), [[0]], 2)
    with pytest.raises(TypeError, match="next_probabilities: expected a Tensor as logits"):
        next_probabilities([1.0])
