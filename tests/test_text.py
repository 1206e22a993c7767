"""Text: tokens, vocabularies, n-grams with the notes' smoothing, batches of sequences, BLEU. Rows R1 to R8 of the mission."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minidl
from minidl import information, text
from minidl.nn import functional as F

TOY = ["the", "cat", "sat", "on", "the", "mat", "the", "cat", "ran"]
WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=30)


# --- tokens and vocabularies


def test_words_and_characters():
    assert text.words("The Time Machine, by H. G. Wells") == ["the", "time", "machine", ",", "by", "h", ".", "g", ".", "wells"]
    assert text.characters("a b\n") == ["a", " ", "b", "\n"] and text.words("") == []


CORPUS = "low low low low low lower lower newest newest newest newest newest newest widest widest widest"


def test_byte_pairs_are_joined_by_how_often_they_come():
    """The example of Sennrich et al. (2016): e and s come together nine times, es and t too, then l and o (seven)."""
    pieces = text.BytePairEncoding(CORPUS, 3)
    assert list(pieces.merges) == [(b"e", b"s"), (b"es", b"t"), (b"l", b"o")]
    assert len(pieces) == 259
    assert pieces.tokens("lowest") == [b"lo", b"w", b"est"]
    assert pieces.encode("est") == [257] and pieces.decode(minidl.tensor([257, 32, 258])) == "est lo"
    assert len(text.BytePairEncoding("aaaa", 100).merges) == 2  # aa, then aaaa: nothing more is left to join


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back_from_its_pieces(sample):
    sample = sample.encode(errors="ignore").decode()  # no lone surrogates: they are no UTF-8
    pieces = PIECES
    assert pieces.decode(pieces.encode(sample)) == sample and b"".join(pieces.tokens(sample)) == sample.encode()


PIECES = text.BytePairEncoding(CORPUS + " ä ö ü 1234 ... !!", 30)


def test_vocab():
    vocab = text.Vocab([["b", "a"], ["b", "c"], ["b", "a"]], min_freq=2, reserved_tokens=["<pad>", "<bos>"])
    assert vocab.token_freqs == [("b", 3), ("a", 2), ("c", 1)]
    assert vocab.idx_to_token == ["<bos>", "<pad>", "<unk>", "a", "b"] and len(vocab) == 5  # the book sorts all of them
    assert vocab["b"] == 4 and vocab["c"] == vocab.unk == 2 and vocab[["a", ["b"]]] == [3, [4]]
    assert vocab.to_tokens(minidl.tensor([[3], [4]])) == [["a"], ["b"]] and vocab.to_tokens(1) == "<pad>"
    assert "a" in vocab and "c" not in vocab and len(text.Vocab()) == 1
    assert len(text.Vocab([("a", "b"), ("a", "b")])) == 2  # a pair is a token by itself


# --- n-grams


def test_row_r3_laplace_smoothing():
    """mission.md R3, worked by hand: n = 9, m = 6, every ε = 1."""
    model = text.NGram(TOY, n=3)
    assert model.probability("the") == pytest.approx((3 + 1 / 6) / 10, abs=1e-12)
    assert model.probability("dog") == pytest.approx(1 / 60, abs=1e-12)
    assert model.probability("cat") == pytest.approx(0.2166667, abs=1e-7)
    assert model.probability("cat", "the") == pytest.approx(0.5541667, abs=1e-7)
    # n(the, cat) = 2, n(the, cat, sat) = 1; it backs off to the single token, P(sat) = (1 + 1/6)/10, and not to P(sat | cat)
    assert model.probability("sat", "the", "cat") == pytest.approx((1 + (1 + 1 / 6) / 10) / (2 + 1), abs=1e-12)
    assert model.probability("sat", "on", "mat", "the", "cat") == model.probability("sat", "the", "cat")
    assert model.probability("cat", "ran") == pytest.approx(model.probability("cat"))  # nothing ever followed "ran"
    other = text.NGram(TOY, n=2, smoothing=[2.0, 0.5])
    single = (2 + 2 / 6) / (9 + 2)
    assert other.probability("cat") == pytest.approx(single) and other.probability("cat", "the") == pytest.approx(
        (2 + 0.5 * single) / 3.5
    )


@given(WORDS, st.integers(1, 4), st.sampled_from([0.01, 1.0, 30.0]))
@settings(max_examples=100, deadline=None)
def test_probabilities_add_up_to_one_after_any_history(tokens, n, smoothing):
    model = text.NGram(tokens, n, smoothing, vocabulary="abcde")
    for length in range(n):
        for history in itertools.product("abe", repeat=length):
            p = [model.probability(x, *history) for x in "abcde"]
            assert math.isclose(sum(p), 1, abs_tol=1e-12) and min(p) > 0


def test_the_limits_of_smoothing():
    frequencies, flat = text.NGram(TOY, 2, 0.0), text.NGram(TOY, 2, [1e12, 1e12])
    assert frequencies.probability("cat", "the") == 2 / 3 and frequencies.probability("ran", "the") == 0
    assert frequencies.probability("the", "ran") == frequencies.probability("the") == 1 / 3
    assert flat.probability("the") == pytest.approx(1 / 6) and flat.probability("cat", "the") == pytest.approx(1 / 6)
    assert text.NGram(TOY, 2, [1.0, 1e12]).probability("cat", "the") == pytest.approx(0.2166667, abs=1e-6)


def test_row_r1_the_chain_of_conditional_probabilities():
    model = text.NGram("aababbab", n=2)
    log_p = model.log_probabilities("abb")
    parts = [model.probability("a"), model.probability("b", "a"), model.probability("b", "b")]
    assert log_p.exp().tolist() == pytest.approx(parts)
    total = sum(math.exp(model.log_probabilities(x).sum().item()) for x in itertools.product("ab", repeat=4))
    assert total == pytest.approx(1)  # over all sequences of one length


def test_row_r5_perplexity():
    """1 for certainty, the size of the vocabulary for the uniform distribution, infinite once something had probability 0."""
    certain, uniform = text.NGram("ab" * 50, n=2, smoothing=0), text.NGram("abcd", n=1, smoothing=0)
    assert information.perplexity(certain.log_probabilities("b" + "ab" * 9)[1:], log=True).item() == pytest.approx(1)
    assert information.perplexity(uniform.log_probabilities("abcdabcd"), log=True).item() == pytest.approx(4)
    assert information.perplexity(certain.log_probabilities("aab"), log=True).item() == math.inf


def test_row_r2_a_markov_source_is_learned_and_sampled():
    """The source of mission.md 3.8: its perplexity is 1.471713, and that of single letters 1.569193."""
    matrix = {"a": {"a": 0.9, "b": 0.1}, "b": {"a": 0.5, "b": 0.5}}
    generator = minidl.Generator().manual_seed(0)
    model = text.NGram("ab" * 500, n=2)
    model.probability = lambda x, *history: matrix[history[-1] if history else "a"][x]
    chain = model.sample(20_000, "a", generator)
    learned, single = text.NGram(chain, n=2), text.NGram(chain, n=1)
    assert learned.probability("b", "a") == pytest.approx(0.1, abs=0.01) == matrix["a"]["b"]
    assert information.perplexity(learned.log_probabilities(chain), log=True).item() == pytest.approx(1.471713, abs=0.02)
    assert information.perplexity(single.log_probabilities(chain), log=True).item() == pytest.approx(1.569193, abs=0.03)
    again = text.NGram(chain, 2).sample(50, "a", minidl.Generator().manual_seed(3))
    assert again == text.NGram(chain, 2).sample(50, "a", minidl.Generator().manual_seed(3))
    assert text.NGram("abcabcabc", n=3, smoothing=0).sample(6, "ab") == list("cabcab")


# --- batches


@pytest.mark.parametrize("generator", [None, minidl.Generator().manual_seed(1)])
def test_sequential_batches(generator):
    batches = list(text.sequential_batches(range(40), 3, 4, generator))
    begin = batches[0][0][0, 0].item()
    assert (begin == 0) if generator is None else 0 <= begin < 4
    rows = [np.concatenate([x[i].numpy() for x, _ in batches]) for i in range(3)]
    for row in rows:  # one batch goes on where the one before ended
        np.testing.assert_array_equal(row, row[0] + np.arange(len(row)))
    for x, y in batches:
        assert x.shape == y.shape == (3, 4) and x.dtype == minidl.int64 and minidl.equal(y, x + 1)


def test_random_batches():
    begins = []
    for x, y in text.random_batches(minidl.arange(103), 2, 5, minidl.Generator().manual_seed(0)):
        assert x.shape == (2, 5) and minidl.equal(y, x + 1)
        np.testing.assert_array_equal(x.numpy(), x.numpy()[:, :1] + np.arange(5))
        begins += x[:, 0].tolist()
    assert len(set(begins)) == len(begins) == (102 - begins[0] % 5) // 5 // 2 * 2 and begins != sorted(begins)
    assert {b % 5 for b in begins} == {begins[0] % 5}


@pytest.mark.parametrize("make", [text.sequential_batches, text.random_batches])
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 40), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_batches_of_any_corpus_that_is_long_enough(make, batch_size, num_steps, more, seed):
    """From batch_size·num_steps + 1 tokens on, whatever is drawn: no target twice, and only what fills no batch is left out."""
    corpus = np.arange(batch_size * num_steps + 1 + more)
    batches = list(make(corpus, batch_size, num_steps, minidl.Generator().manual_seed(seed)))
    targets = np.concatenate([y.numpy().ravel() for _, y in batches])
    begin = min(x.numpy().min() for x, _ in batches)
    assert all(x.shape == (batch_size, num_steps) and minidl.equal(y, x + 1) for x, y in batches)
    assert len(set(targets)) == len(targets) and targets.max() <= corpus[-1]
    if make is text.sequential_batches:
        assert begin < num_steps and len(batches) == (len(corpus) - 1 - begin) // batch_size // num_steps
    with pytest.raises(ValueError, match=rf"need {batch_size * num_steps + 1} tokens or more, got {batch_size * num_steps}"):
        list(make(corpus[: batch_size * num_steps], batch_size, num_steps, minidl.Generator().manual_seed(seed)))


def test_a_token_outside_the_vocabulary_given_is_refused():
    """Without one it has the probability of what was never seen, as in row R3; with one a perplexity would be too good."""
    model = text.NGram("abab", n=2, vocabulary="abc")
    assert model.probability("c", "a") > 0 and len(model.log_probabilities("abc")) == 3
    for call in (lambda: model.probability("z"), lambda: model.log_probabilities("az"), lambda: model.sample(1, "za")):
        with pytest.raises(ValueError, match=r"tokens of the vocabulary given, but .* has \['z'\]"):
            call()
    with pytest.raises(ValueError, match="but the corpus has"):
        text.NGram("abc", vocabulary="ab")
    assert text.NGram("abab").log_probabilities("z").exp().item() == pytest.approx(1 / 2 / 5)


def test_arrays_of_sentences_and_their_loss():
    vocab = text.Vocab(["il", "est", "parti"], reserved_tokens=["<pad>", "<bos>", "<eos>"])
    arrays, lens = text.sequence_arrays([["il", "est"], ["il", "est", "parti", "il"]], vocab, 4, begin=True)
    assert [vocab.to_tokens(row) for row in arrays.tolist()] == [
        ["<bos>", "il", "est", "<eos>"],
        ["<bos>", "il", "est", "parti"],
    ]
    assert lens.tolist() == [4, 4]
    logits = minidl.randn(2, 3, 5, dtype=minidl.float64).requires_grad_()
    labels, lens = minidl.tensor([[1, 2, 0], [4, 3, 2]]), minidl.tensor([2, 1])
    loss = text.sequence_loss(logits, labels, lens)
    each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").reshape(2, 3)
    assert loss.item() == pytest.approx((each[0, 0] + each[0, 1] + each[1, 0]).item() / 3)
    loss.backward()
    assert not logits.grad[0, 2].any() and not logits.grad[1, 1:].any() and logits.grad[0, 1].any()


def test_row_r8_bleu():
    assert text.bleu("A B", "A B C D E F", 2) == pytest.approx(math.exp(1 - 6 / 2))
    assert text.bleu("je suis .", "je suis chez moi .", 2) == pytest.approx(0.4317306, abs=1e-7)
    assert text.bleu("il est calme .", "il est calme .", 4) == 1
    assert text.bleu("a a a", "a b", 1) == pytest.approx((1 / 3) ** 0.5)  # each n-gram counts as often as it is in the label
    assert text.bleu("x y", "a b", 2) == 0 and text.bleu("", "a b", 2) == text.bleu([], ["a"], 1) == 0
    # shorter than k: the book's n goes to min(k, len_pred)
    assert text.bleu("va", "va", 2) == 1 and text.bleu("va", "va !", 2) == pytest.approx(math.exp(1 - 2))
    assert text.bleu("va vite", "va vite !", 4) == pytest.approx(math.exp(1 - 3 / 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: text.words(b"a"), TypeError, "words: expected a str, got bytes"),
        (lambda: text.BytePairEncoding("", 3), ValueError, "empty"),
        (lambda: text.BytePairEncoding("a", -1), ValueError, "num_merges"),
        (lambda: PIECES.decode([10**6]), ValueError, "from 0 to"),
        (lambda: text.Vocab("abc"), TypeError, "text.characters"),
        (lambda: text.Vocab(["a"]).to_tokens(2), ValueError, "from 0 to 1, got 2"),
        (lambda: text.Vocab(["a"]).to_tokens([-1]), ValueError, "got -1"),
        (lambda: text.ngrams("abc", 0), ValueError, "n must be an integer of 1 or more, got 0"),
        (lambda: text.NGram([]), ValueError, "empty"),
        (lambda: text.NGram("ab", n=2, smoothing=-1), ValueError, "smoothing"),
        (lambda: text.NGram("ab", n=2, smoothing=[1, 1, 1]), ValueError, "2 of them"),
        (lambda: list(text.sequential_batches(range(5), 2, 3)), ValueError, "2 rows of 3 steps"),
        (lambda: list(text.sequential_batches("hello there", 1, 3)), TypeError, "text.Vocab"),
        (lambda: list(text.random_batches(range(9), 0, 3)), ValueError, "batch_size"),
        (lambda: list(text.random_batches(range(9), 2, "a")), ValueError, "random_batches: num_steps .* got 'a'"),
        (
            lambda: list(text.sequential_batches(range(9), 2, 0, minidl.Generator())),
            ValueError,
            "sequential_batches: num_steps must be an integer of 1 or more, got 0",
        ),
        (lambda: text.sequence_arrays([["a"]], text.Vocab(["a"]), 3), ValueError, "<pad>, <eos>"),
        (lambda: text.bleu("a", "", 1), ValueError, "label_seq"),
        (lambda: text.bleu("a", "a", 0), ValueError, "k must be"),
        (
            lambda: text.sequence_loss(minidl.zeros(1, 2, 3), minidl.zeros(1, 2).long(), minidl.tensor([3])),
            ValueError,
            r"from 0 to 2, not all 0, got \[3\]",
        ),
    ],
)
def test_promise_26_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()
