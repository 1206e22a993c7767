"""Text as numbers: tokens, vocabularies, counts of n-grams and models made of them, batches of sequences, BLEU.

The quality of a language model is its perplexity, `minidl.information.perplexity`: 1 if it was certain and right, the size of
the vocabulary for a uniform guess, infinite if a token came to which it gave the probability 0.
"""

import math
import operator
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np

from .nn import functional as F
from .random import source
from .tensors.arguments import expect_tensors
from .tensors.record import wrap
from .tensors.tensor import Tensor

# --- tokens


def characters(text):
    """The characters of a text, as a list.

    >>> characters("ab c")
    ['a', 'b', ' ', 'c']
    """
    return list(_text("characters", text))


def words(text):
    """The words of a text in lower case; each other sign is a token of its own, and spaces are left out.

    >>> words("Don't panic, 42!")
    ["don't", 'panic', ',', '42', '!']
    """
    return re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", _text("words", text).lower())


def _text(name, text):
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected a str, got {type(text).__name__}")
    return text


class BytePairEncoding:
    """Pieces of words, learned from a text: the most frequent pair of neighbours becomes one piece, and so on, many times.

    It begins with the 256 bytes of UTF-8, so that any text can be written with it, and adds up to num_merges pieces. Pieces do
    not go beyond a word and the space before it. Of equally frequent pairs the first one in the text is taken. (Gage, 1994;
    Sennrich et al., 2016; on bytes: Radford et al., 2019.)

    >>> pieces = BytePairEncoding("low lower lowest", num_merges=3)
    >>> pieces.tokens("lowest low")
    [b'low', b'e', b's', b't', b' low']
    >>> pieces.decode(pieces.encode("new: ö"))
    'new: ö'
    """

    def __init__(self, text, num_merges):
        if not _text("BytePairEncoding", text):
            raise ValueError("BytePairEncoding: expected a corpus with at least one character, got an empty one")
        num_merges = _count("BytePairEncoding", "num_merges", num_merges, 0)
        counts = Counter(_chunks(text))
        parts = {chunk: [bytes([b]) for b in chunk.encode()] for chunk in counts}
        self.merges = {}  # pair -> its rank
        for rank in range(num_merges):
            pairs = Counter()
            for chunk, count in counts.items():
                for pair in pairwise(parts[chunk]):
                    pairs[pair] += count
            if not pairs:
                break
            best = max(pairs, key=pairs.get)  # of equally frequent pairs the first
            self.merges[best] = rank
            for chunk in counts:
                parts[chunk] = _merged(parts[chunk], best)
        self.pieces = [bytes([b]) for b in range(256)] + [a + b for a, b in self.merges]
        self._numbers = {piece: number for number, piece in reversed(list(enumerate(self.pieces)))}

    def __len__(self):
        return len(self.pieces)

    def tokens(self, text):
        """The pieces of a text, as a list of bytes."""
        found = []
        for chunk in _chunks(_text("BytePairEncoding.tokens", text)):
            parts = [bytes([b]) for b in chunk.encode()]
            while len(parts) > 1:
                best = min(pairwise(parts), key=lambda pair: self.merges.get(pair, math.inf))
                if best not in self.merges:
                    break
                parts = _merged(parts, best)
            found += parts
        return found

    def encode(self, text):
        """The numbers of the pieces of a text."""
        return [self._numbers[piece] for piece in self.tokens(text)]

    def decode(self, numbers):
        """The text of these pieces. Bytes that are not valid UTF-8 become �."""
        numbers = [operator.index(n) for n in (numbers.tolist() if isinstance(numbers, Tensor) else numbers)]
        wrong = [n for n in numbers if not 0 <= n < len(self)]
        if wrong:
            raise ValueError(f"BytePairEncoding.decode: expected numbers from 0 to {len(self) - 1}, got {wrong[0]}")
        return b"".join(self.pieces[n] for n in numbers).decode(errors="replace")


def _chunks(text):
    return re.findall(r" ?\w+| ?[^\w\s]+|\s+(?!\S)|\s+", text)


def _merged(parts, pair):
    """The parts with this pair of neighbours joined, from the left."""
    joined, i = [], 0
    while i < len(parts):
        both = tuple(parts[i : i + 2]) == pair
        joined.append(pair[0] + pair[1] if both else parts[i])
        i += 2 if both else 1
    return joined


class Vocab:
    """Tokens as numbers: the reserved ones, "<unk>" for all that is not in it, and the others, in sorted order.

    tokens: a list of tokens, or of lists of them. min_freq: rarer ones are left out. `token_freqs` are (token, how often), the
    most frequent first. From *Dive into Deep Learning*, 9.2.

    >>> vocab = Vocab(["to", "be", "or", "not", "to", "be"], min_freq=2, reserved_tokens=["<pad>"])
    >>> len(vocab), vocab["be"], vocab[["to", "or"]], vocab.to_tokens([1, 2])
    (4, 2, [3, 1], ['<unk>', 'be'])
    """

    def __init__(self, tokens=(), min_freq=0, reserved_tokens=()):
        if isinstance(tokens, str) or isinstance(reserved_tokens, str):
            raise TypeError("Vocab: expected lists of tokens, got a str; see text.characters and text.words")
        tokens = list(tokens)
        if tokens and isinstance(tokens[0], list):
            tokens = [token for line in tokens for token in line]
        counts = Counter(tokens)
        self.token_freqs = sorted(counts.items(), key=lambda pair: pair[1], reverse=True)
        kept = [token for token, count in counts.items() if count >= min_freq]
        self.idx_to_token = sorted({"<unk>", *reserved_tokens, *kept}, key=str)
        self.token_to_idx = {token: i for i, token in enumerate(self.idx_to_token)}

    def __len__(self):
        return len(self.idx_to_token)

    def __getitem__(self, tokens):
        if isinstance(tokens, (list, tuple)):
            try:
                return [self[token] for token in tokens]
            except RecursionError:
                raise ValueError("Vocab: the tokens are nested too deep, or hold themselves") from None
        return self.token_to_idx.get(tokens, self.unk)

    def __contains__(self, token):
        return token in self.token_to_idx

    def to_tokens(self, indices):
        """The token of a number, or the tokens of a list or a Tensor of numbers."""
        indices = indices.tolist() if isinstance(indices, Tensor) else indices
        if isinstance(indices, (list, tuple)):
            return [self.to_tokens(i) for i in indices]
        if not 0 <= operator.index(indices) < len(self):
            raise ValueError(f"Vocab.to_tokens: expected indices from 0 to {len(self) - 1}, got {indices}")
        return self.idx_to_token[indices]

    @property
    def unk(self):
        """The number of "<unk>"."""
        return self.token_to_idx["<unk>"]


# --- n-grams


def ngrams(tokens, n):
    """How often each run of n tokens comes: a Counter of tuples.

    >>> ngrams("the cat the cat".split(), 2).most_common(1)
    [(('the', 'cat'), 2)]
    """
    tokens, n = list(tokens), _count("ngrams", "n", n, 1)
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False)) if n <= len(tokens) else Counter()


class NGram:
    """A Markov model of order n − 1: the probability of a token after n − 1 others, from counts, with Laplace smoothing.

    P(x) = (n(x) + ε₁/m)/(n + ε₁) for n tokens, of which m are different;
    P(x' | h) = (n(h, x') + ε P(x'))/(n(h) + ε) for a history h of up to n − 1 tokens, so P(x') if n(h) = 0.

    n(h) is how often h was followed by a token, so that all P(x' | h) add up to 1. ε → 0 gives the frequencies, a large ε the
    uniform distribution, or P(x'). With ε = 0, an unknown history gives P(x'), too. smoothing: ε, or one for each length
    (ε₁, ε₂, …). vocabulary: all possible tokens, and any other raises; by default the tokens of the text, and any other has the
    probability of a token with count 0, as "dog" below. From *Dive into Deep Learning*, 9.3.

    >>> model = NGram("the cat sat on the mat the cat ran".split(), n=2)
    >>> round(model.probability("cat", "the"), 7), round(model.probability("dog"), 7)
    (0.5541667, 0.0166667)
    """

    def __init__(self, tokens, n=2, smoothing: Any = 1.0, vocabulary=None):
        tokens, self.n = list(tokens), _count("NGram", "n", n, 1)
        if not tokens:
            raise ValueError("NGram: expected a corpus of one token or more, got an empty one")
        self.smoothing = tuple(smoothing) if isinstance(smoothing, (list, tuple)) else (smoothing,) * n
        numbers = [e for e in self.smoothing if isinstance(e, (int, float)) and 0 <= e < math.inf]
        if len(numbers) != n or len(self.smoothing) != n:
            raise ValueError(f"NGram: expected a smoothing of 0 or more, or {n} of them, got {smoothing!r}")
        self.vocabulary = sorted(set(tokens)) if vocabulary is None else list(dict.fromkeys(vocabulary))
        self._known = None if vocabulary is None else set(self.vocabulary)
        self._expect_known("the corpus", tokens)
        self.counts = [ngrams(tokens, k) for k in range(1, n + 1)]
        self.histories = [Counter() for _ in range(n)]  # how often each is followed by a token
        for k, counts in enumerate(self.counts):
            for gram, count in counts.items():
                self.histories[k][gram[:-1]] += count

    def _expect_known(self, what, tokens):
        if self._known is not None and not self._known.issuperset(tokens):
            strange = list(dict.fromkeys(x for x in tokens if x not in self._known))
            raise ValueError(f"NGram: expected tokens of the vocabulary given, but {what} has {strange[:3]}")

    def probability(self, token, *history):
        """P(token | the last n − 1 tokens of the history)."""
        self._expect_known("probability", (token, *history))
        history = history[max(0, len(history) - self.n + 1) :]
        single = self._smoothed((token,), (), 1 / len(self.vocabulary))
        return self._smoothed((*history, token), history, single) if history else single

    def _smoothed(self, gram, history, lower):
        k, e = len(history), self.smoothing[len(history)]
        seen = self.histories[k][history]
        return (self.counts[k][gram] + e * lower) / (seen + e) if seen + e else lower

    def log_probabilities(self, tokens):
        """ln P of each token, given the tokens before it, as a float64 Tensor; for minidl.information.perplexity(…, log=True).

        >>> NGram("abab", n=2, smoothing=0).log_probabilities("ba").exp()
        tensor([0.5000, 1.0000], dtype=minidl.float64)
        """
        tokens = list(tokens)
        p = [self.probability(x, *tokens[max(0, i - self.n + 1) : i]) for i, x in enumerate(tokens)]
        return wrap(np.array([math.log(q) if q else -math.inf for q in p]))

    def sample(self, length, start=(), generator=None):
        """`length` tokens, each drawn with its probability after those before it; they go on from `start`."""
        tokens, begun = list(start), len(start)
        self._expect_known("start", tokens)
        uniform = source(generator).rand((_count("NGram.sample", "length", length, 0),), np.float64)
        for u in uniform:
            history = tokens[max(0, len(tokens) - self.n + 1) :]
            sums = np.cumsum([self.probability(x, *history) for x in self.vocabulary])
            tokens.append(self.vocabulary[min(int(np.searchsorted(sums, u * sums[-1], "right")), len(sums) - 1)])
        return tokens[begun:]


# --- sequences for networks


def sequential_batches(corpus, batch_size, num_steps, generator=None):
    """Pieces of a long sequence in order, for truncated backpropagation: yields X, Y (batch_size, num_steps), int64

    Y is X shifted by one token. The corpus is cut into batch_size parts, and each row continues the same row of the batch
    before. With a generator, the first token is drawn from places 0 to num_steps − 1 (fewer in a short corpus), else it is 0.

    >>> for x, y in sequential_batches(range(9), batch_size=2, num_steps=2):
    ...     print(x.tolist(), y.tolist())
    [[0, 1], [4, 5]] [[1, 2], [5, 6]]
    [[2, 3], [6, 7]] [[3, 4], [7, 8]]
    """
    corpus, places = _corpus("sequential_batches", corpus, batch_size, num_steps)
    offset = 0 if generator is None else int(source(generator).randint(0, places, ()))
    columns = (len(corpus) - 1 - offset) // batch_size
    usable = columns * batch_size
    x = corpus[offset : offset + usable].reshape(batch_size, columns)
    y = corpus[offset + 1 : offset + usable + 1].reshape(batch_size, columns)
    for i in range(0, columns - num_steps + 1, num_steps):
        yield wrap(x[:, i : i + num_steps].copy()), wrap(y[:, i : i + num_steps].copy())


def random_batches(corpus, batch_size, num_steps, generator=None):
    """Pieces of a long sequence in random order: yields X, Y (batch_size, num_steps), int64; Y is X shifted by one token.

    The pieces begin num_steps apart, the first at a place drawn from 0 to num_steps − 1 (or fewer, in a short corpus); none
    comes twice.

    >>> import minidl
    >>> batches = list(random_batches(range(35), 2, 5, minidl.Generator().manual_seed(0)))
    >>> len(batches), all((y == x + 1).all() for x, y in batches)
    (3, True)
    """
    corpus, places = _corpus("random_batches", corpus, batch_size, num_steps)
    numbers = source(generator)
    offset = int(numbers.randint(0, places, ()))
    begins = offset + num_steps * numbers.randperm((len(corpus) - 1 - offset) // num_steps)
    for i in range(0, len(begins) - batch_size + 1, batch_size):
        inputs = begins[i : i + batch_size, None] + np.arange(num_steps)
        yield wrap(corpus[inputs]), wrap(corpus[inputs + 1])


def _corpus(name, corpus, batch_size, num_steps):
    """The corpus as int64, and the number of places to begin at that leave a whole batch: at most num_steps."""
    corpus = np.asarray(corpus.array if isinstance(corpus, Tensor) else list(corpus))
    if corpus.ndim != 1 or corpus.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected a sequence of integers, got {corpus.dtype} of shape {corpus.shape}; see text.Vocab")
    batch_size, num_steps = _count(name, "batch_size", batch_size, 1), _count(name, "num_steps", num_steps, 1)
    least = batch_size * num_steps + 1  # the last input has a target, too
    if len(corpus) < least:
        raise ValueError(f"{name}: {batch_size} rows of {num_steps} steps need {least} tokens or more, got {len(corpus)}")
    return corpus.astype(np.int64), min(num_steps, len(corpus) - least + 1)


def pad_or_cut(tokens, length, padding):
    """The tokens, cut to `length` or filled up with `padding`.

    >>> pad_or_cut([1, 2], 4, 0), pad_or_cut([1, 2, 3], 2, 0)
    ([1, 2, 0, 0], [1, 2])
    """
    length = _count("pad_or_cut", "length", length, 1)
    return list(tokens[:length]) + [padding] * (length - len(tokens))


def sequence_arrays(sentences, vocab, num_steps, begin=False):
    """Lists of tokens as (N, num_steps) int64 and how long each is, (N); "<eos>" is put at the end, and "<pad>" behind it.

    begin: "<bos>" is put in front. A sentence that is too long is cut, and loses its "<eos>". The vocab must have these tokens.

    >>> vocab = Vocab(["go", "now"], reserved_tokens=["<pad>", "<bos>", "<eos>"])
    >>> sequence_arrays([["go"], ["go", "now"]], vocab, 3)
    (tensor([[4, 1, 2],
            [4, 5, 1]]), tensor([2, 3]))
    """
    wanted = ["<pad>", "<eos>", *(["<bos>"] if begin else [])]
    missing = [token for token in wanted if token not in vocab]
    if missing or not len(sentences):
        what = f"a vocabulary with {', '.join(missing)}" if missing else "one sentence or more"
        raise ValueError(f"sequence_arrays: expected {what}; reserved_tokens of Vocab puts tokens into it")
    rows = [[*(["<bos>"] if begin else []), *sentence, "<eos>"] for sentence in sentences]
    arrays = np.array([pad_or_cut(vocab[row], num_steps, vocab["<pad>"]) for row in rows])
    return wrap(arrays), wrap(np.array([min(len(row), num_steps) for row in rows]))


def sequence_loss(logits, labels, valid_lens):
    """The mean cross-entropy, in nats, of all but the padding:  logits (N, T, V), labels (N, T), valid_lens (N) → ()

    >>> import minidl
    >>> sequence_loss(minidl.zeros(2, 3, 4), minidl.zeros(2, 3, dtype=minidl.int64), minidl.tensor([3, 1])).exp()
    tensor(4.)
    """
    expect_tensors("sequence_loss", logits=logits, labels=labels, valid_lens=valid_lens)
    if logits.ndim != 3 or labels.shape != logits.shape[:2] or valid_lens.shape != labels.shape[:1]:
        got = f"{logits.shape}, {labels.shape} and {valid_lens.shape}"
        raise ValueError(f"sequence_loss: expected logits (N, T, V), labels (N, T) and valid_lens (N), got {got}")
    lens, T = valid_lens.array, labels.shape[1]
    if lens.dtype.kind not in "iu" or (lens.size and not 0 <= lens.min() <= lens.max() <= T) or not lens.sum():
        raise ValueError(f"sequence_loss: expected valid lengths from 0 to {T}, not all 0, got {valid_lens.tolist()}")
    hidden = np.arange(T) >= lens[:, None]
    return F.cross_entropy(logits.flatten(0, 1), labels.masked_fill(wrap(hidden), -100).flatten(), ignore_index=-100)


def bleu(pred_seq, label_seq, k):
    """How similar a translation is to the right one, from 0 to 1: exp(min(0, 1 − len_label/len_pred)) ∏ₙ pₙ^(1/2ⁿ), n ≤ k

    pₙ is the share of n-grams of pred_seq that are in label_seq, each as often as it is there. Both are strings of words with
    spaces between them, or lists of tokens. In a pred_seq of fewer than k tokens, n goes only up to its length;
    an empty one gives 0. (Papineni et al., 2002; with the weights 1/2ⁿ of *Dive into Deep Learning*, 10.7.)

    >>> round(bleu("A B", "A B C D E F", 2), 6)
    0.135335
    """
    pred, label = (x.split(" ") if isinstance(x, str) else list(x) for x in (pred_seq, label_seq))
    k = _count("bleu", "k", k, 1)
    if not label or label == [""]:
        raise ValueError("bleu: expected a label_seq of one token or more, got an empty one")
    if not pred or pred == [""]:
        return 0.0
    score = math.exp(min(0.0, 1 - len(label) / len(pred)))
    for n in range(1, min(k, len(pred)) + 1):
        found, right = ngrams(pred, n), ngrams(label, n)
        score *= (sum((found & right).values()) / sum(found.values())) ** 0.5**n
    return score


def _count(name, what, value, least):
    """An integer of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ValueError(f"{name}: {what} must be an integer of {least} or more, got {value!r}")
    return number
