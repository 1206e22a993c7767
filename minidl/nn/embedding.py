"""Embedding: a learned vector for each of a set of integers; and sums, means and maxima of several."""

from ..ops.base import normalize_axis
from ..tensors.arguments import expect_tensors, integer
from ..tensors.creation import empty
from . import functional as F, init
from .linear import checked_sizes
from .module import Module
from .parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class Embedding(Module):
    """Looks up rows of a table: integers of any shape (...) → (..., embedding_dim).

    The table has shape (num_embeddings, embedding_dim) and starts from the normal distribution. The row padding_idx starts at
    0 and gets no gradient. max_norm, norm_type and scale_grad_by_freq: as in `functional.embedding`.

    >>> import minidl
    >>> minidl.nn.Embedding(10, 3)(minidl.tensor([[1, 2], [4, 9]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
        _weight=None,
        _freeze=False,
        device=None,
        dtype=None,
    ):
        super().__init__()
        _expect_dense(self, sparse)
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        num_embeddings, embedding_dim = checked_sizes(self, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            padding_idx = integer("Embedding", padding_idx, "padding_idx")
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: padding_idx {padding_idx} is out of range for {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        if _weight is not None:  # given: nothing is drawn
            expect_tensors("Embedding", _weight=_weight)
            if _weight.shape != (num_embeddings, embedding_dim):
                right = (num_embeddings, embedding_dim)
                raise ValueError(f"Embedding: expected a _weight of shape {right}, got {_weight.shape}")
            self.weight = Parameter(_weight, requires_grad=not _freeze)
            return
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self.weight.requires_grad_(not _freeze)
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        embeddings,
        freeze=True,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
    ):
        """An Embedding around a table (num_embeddings, embedding_dim); trained only if freeze is False."""
        expect_tensors("Embedding.from_pretrained", embeddings=embeddings)
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding.from_pretrained: expected a matrix, got shape {embeddings.shape}")
        options = padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
        return cls(*embeddings.shape, *options, _weight=embeddings, _freeze=freeze)

    def reset_parameters(self):
        """Draws the first values (again)."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, input):
        options = self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        return F.embedding(input, self.weight, *options)

    def extra_repr(self):
        return f"{self.num_embeddings}, {self.embedding_dim}{_options(self)}"


class EmbeddingBag(Module):
    """The sum, mean or maximum of the rows of a table that each bag of integers names: `functional.embedding_bag`.

    Called with integers (B, L), a bag in each row, or with integers (n) and offsets (B), where each bag starts: → (B,
    embedding_dim). The table has shape (num_embeddings, embedding_dim) and starts from the normal distribution.

    >>> import minidl
    >>> bags = minidl.nn.EmbeddingBag.from_pretrained(minidl.eye(3), mode="sum")
    >>> bags(minidl.tensor([0, 2, 1]), minidl.tensor([0, 2]))
    tensor([[1., 0., 1.],
            [0., 1., 0.]])
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        mode="mean",
        sparse=False,
        _weight=None,
        include_last_offset=False,
        padding_idx=None,
        device=None,
        dtype=None,
    ):
        super().__init__()
        _expect_dense(self, sparse)
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
        num_embeddings, embedding_dim = checked_sizes(self, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            padding_idx = normalize_axis("EmbeddingBag", padding_idx, num_embeddings)
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.include_last_offset = mode, include_last_offset
        if _weight is not None:  # given: nothing is drawn
            expect_tensors("EmbeddingBag", _weight=_weight)
            if _weight.shape != (num_embeddings, embedding_dim):
                right = (num_embeddings, embedding_dim)
                raise ValueError(f"EmbeddingBag: expected a _weight of shape {right}, got {_weight.shape}")
            self.weight = Parameter(_weight)
            return
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        embeddings,
        freeze=True,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        mode="mean",
        sparse=False,
        include_last_offset=False,
        padding_idx=None,
    ):
        """An EmbeddingBag around a table (num_embeddings, embedding_dim); trained only if freeze is False."""
        expect_tensors("EmbeddingBag.from_pretrained", embeddings=embeddings)
        if embeddings.ndim != 2:
            raise ValueError(f"EmbeddingBag.from_pretrained: expected a matrix, got shape {embeddings.shape}")
        options = max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings, include_last_offset, padding_idx
        bag = cls(*embeddings.shape, *options)
        bag.weight.requires_grad_(not freeze)
        return bag

    def reset_parameters(self):
        """Draws the first values (again)."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, input, offsets=None, per_sample_weights=None):
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )

    def extra_repr(self):
        return f"{self.num_embeddings}, {self.embedding_dim}{_options(self)}, mode={self.mode!r}"


def _expect_dense(module, sparse):
    if sparse:
        raise NotImplementedError(
            f"{type(module).__name__}: sparse gradients are not supported; with sparse=False they are the same, in full"
        )


def _options(module):
    """What stands in repr after the sizes."""
    usual = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False}
    given = {name: getattr(module, name) for name in usual}
    return "".join(f", {name}={x}" for name, x in given.items() if x is not usual[name] and x != usual[name])
