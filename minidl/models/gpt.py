"""GPT: a Transformer that reads text from left to right and says at each place what may come next.

Radford et al., "Language Models are Unsupervised Multitask Learners" (2019). `minidl.generation` writes with it.
"""

import math

from .. import nn
from ..graph.modes import no_grad
from ..nn.positional import alibi_bias, alibi_slopes
from ..nn.utils import evaluating
from ..tensors.arguments import as_ints, expect_tensors
from ..tensors.creation import arange
from .attention import KeyValueCache, SelfAttention, later_hidden

POSITIONS = ("learned", "rotary", "alibi")


class GPTBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)):  (N, T, width) → (N, T, width)

    The sums come before the norms ("pre-norm"), so that a gradient reaches the first block unchanged. The MLP is four times as
    wide inside. Options go to the attention.

    >>> import minidl
    >>> GPTBlock(8, heads=2)(minidl.randn(3, 5, 8), causal=True).shape
    (3, 5, 8)
    """

    def __init__(self, width, heads, dropout=0.0, bias=True):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, bias=bias)
        self.attention = SelfAttention(width, heads, dropout, bias)
        self.norm2 = nn.LayerNorm(width, bias=bias)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width, bias=bias), nn.GELU(), nn.Linear(4 * width, width, bias=bias))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, **options):
        x = x + self.dropout(self.attention(self.norm1(x), **options))
        return x + self.dropout(self.mlp(self.norm2(x)))


class GPT(nn.Module):
    """Logits of what follows each token, from it and those before:  integers (N, T) → (N, T, vocab_size)

    context: how many tokens it reads at once. dropout: of embeddings, attention weights and of what each block adds.
    bias=False: no biases in dense layers and norms.

    positions: how it knows the order of tokens.
      "learned": a vector for each place is added to the embedding. More than `context` tokens are an error.
      "rotary": queries and keys are turned by their places (F.rotary). Any length works, the worse the longer.
      "alibi": scores fall with distance (nn.positional.alibi_bias). Any length works; the paper's point is that it works well.

    tie_weights: the rows that give the logits are the embedding's (Press and Wolf, 2017): one parameter in two places.

    First values as in GPT-2: weights and embeddings are normal with deviation 0.02, biases 0; the last dense layers of
    attention and MLP have 0.02/√(2·layers), so that the sum of what 2·layers of them add does not grow with the depth.

    cache: a KeyValueCache that holds what was read before; `tokens` go on from there, and it is extended by them.

    >>> import minidl
    >>> model = GPT(vocab_size=10, context=8, width=12, heads=2, layers=1)
    >>> model(minidl.tensor([[1, 2, 3]])).shape
    (1, 3, 10)
    """

    def __init__(
        self,
        vocab_size,
        context,
        width,
        heads,
        layers,
        dropout=0.0,
        bias=True,
        positions="learned",
        tie_weights=True,
    ):
        super().__init__()
        sizes = {"vocab_size": vocab_size, "context": context, "width": width, "heads": heads, "layers": layers}
        vocab_size, context, width, heads, layers = as_ints(tuple(sizes.values()))
        for name, size in zip(sizes, (vocab_size, context, width, heads, layers), strict=True):
            if type(size) is not int or size < 1:
                raise ValueError(f"GPT: {name} must be an integer of at least 1, got {size!r}")
        if positions not in POSITIONS:
            raise ValueError(f"GPT: positions must be one of {POSITIONS}, got {positions!r}")
        if positions == "rotary" and width // heads % 2:
            raise ValueError(f"GPT: rotary positions turn pairs; width/heads must be even, got {width}/{heads}")
        self.vocab_size, self.context, self.positions = vocab_size, context, positions
        self.embedding = nn.Embedding(vocab_size, width)
        self.places = nn.Embedding(context, width) if positions == "learned" else None
        self.slopes = None
        if positions == "alibi":
            self.register_buffer("slopes", alibi_slopes(heads), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([GPTBlock(width, heads, dropout, bias) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, bias=bias)
        self.head = nn.Linear(width, vocab_size, bias=False)
        if tie_weights:
            self.head.weight = self.embedding.weight
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the first values (again)."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
        for block in self.blocks:
            for last in (block.attention.out, block.mlp[-1]):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * len(self.blocks)))

    def forward(self, tokens, cache=None):
        return self.head(self._read(tokens, cache))

    def new_cache(self):
        """An empty KeyValueCache, for `forward(tokens, cache)`."""
        return KeyValueCache()

    def attention_weights(self, tokens):
        """What each place looks at, in each layer: integers (N, T) → a list of (N, H, T, T). Without dropout or gradients."""
        seen = []
        with no_grad(), evaluating(self):
            self._read(tokens, None, seen)
        return seen

    def _read(self, tokens, cache, seen=None):
        """The vectors after the last norm, (N, T, E)."""
        start = self._check(tokens, cache)
        length = tokens.shape[1]
        x = self.embedding(tokens)  # (N, T, E)
        options = {"seen": seen}
        if self.positions == "learned":
            x = x + self.places.weight[start : start + length]
        if self.positions == "rotary":
            options["positions"] = arange(start, start + length)
        if self.positions == "alibi":
            options["mask"] = alibi_bias(self.slopes, length, start + length)
        elif start == 0:
            options["causal"] = True
        elif length > 1:  # several after a past; a single one sees all
            options["mask"] = later_hidden(length, start + length)
        x = self.dropout(x)
        for layer, block in enumerate(self.blocks):
            past = None if cache is None else (layer, cache)
            x = block(x, past=past, **options)
        return self.norm(x)

    def _check(self, tokens, cache):
        """Raises if the tokens cannot be read; returns the place of the first of them."""
        expect_tensors("GPT", tokens=tokens)
        if tokens.ndim != 2 or not tokens.shape[1]:
            raise ValueError(f"GPT: expected tokens (N, T), at least one in each row, got shape {tokens.shape}")
        if cache is not None and not isinstance(cache, KeyValueCache):
            raise TypeError(f"GPT: cache must be a KeyValueCache, as model.new_cache() gives, got {type(cache).__name__}")
        start = 0 if cache is None else cache.length
        if start and cache.batch != len(tokens):
            raise ValueError(f"GPT: the cache holds {cache.batch} sequences, and tokens {len(tokens)}; begin a new cache")
        if self.positions == "learned" and start + tokens.shape[1] > self.context:
            raise ValueError(
                f"GPT: there are positions for context={self.context} tokens, got {start + tokens.shape[1]}; "
                "give it the last of them alone"
            )
        return start


def decay_groups(model, weight_decay):
    """Parameters in two groups for an optimizer: matrices decay, and vectors (biases, scales of norms) do not.

    >>> import minidl
    >>> groups = decay_groups(minidl.nn.Linear(2, 3), 0.1)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.1), (1, 0.0)]
    >>> optimizer = minidl.optim.AdamW(groups, lr=1e-3)
    """
    trained = [param for param in model.parameters() if param.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim >= 2], [p for p in trained if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
