"""Embedding: a learned vector for each of a set of integers."""

from ..tensors.arguments import expect_tensors, integer
from ..tensors.creation import empty
from . import functional as F, init
from .linear import checked_sizes
from .module import Module
from .parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """Looks up rows of a table: integers of any shape (...) → (..., embedding_dim).

    The table has shape (num_embeddings, embedding_dim) and starts from the normal distribution. The row padding_idx starts at
    0 and gets no gradient.

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
        if max_norm is not None or norm_type != 2.0 or scale_grad_by_freq or sparse:
            raise NotImplementedError("Embedding: max_norm, norm_type, scale_grad_by_freq and sparse are not supported")
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
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None):
        """An Embedding around a table (num_embeddings, embedding_dim); trained only if freeze is False."""
        expect_tensors("Embedding.from_pretrained", embeddings=embeddings)
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding.from_pretrained: expected a matrix, got shape {embeddings.shape}")
        return cls(*embeddings.shape, padding_idx=padding_idx, _weight=embeddings, _freeze=freeze)

    def reset_parameters(self):
        """Draws the first values (again)."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, input):
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self):
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
