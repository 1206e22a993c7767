"""The vision Transformer: an image is cut into patches, and they are read as words are.

Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021); block by block as in the book *Dive into Deep Learning*, 11.8.
"""

from .. import nn
from ..graph.modes import no_grad
from ..nn.utils import evaluating
from ..tensors.arguments import as_ints, expect_tensors
from ..tensors.creation import zeros
from ..tensors.joining import cat
from ..tensors.random_tensors import randn
from .attention import SelfAttention


def _pair(name, what, size):
    """(height, width) from an integer or a pair."""
    pair = as_ints(size)
    pair = pair if isinstance(pair, tuple) else (pair, pair)
    if len(pair) != 2 or any(type(n) is not int or n < 1 for n in pair):
        raise ValueError(f"{name}: {what} must be an integer of at least 1, or two of them, got {size!r}")
    return pair


class PatchEmbedding(nn.Module):
    """Cuts images into patches and makes a vector of each, row after row:  (N, C, H, W) → (N, num_patches, num_hiddens)

    A convolution whose windows do not overlap does both. What does not fill a patch, at the right and below, is left out.

    >>> import minidl
    >>> PatchEmbedding(96, 16, 512)(minidl.zeros(4, 3, 96, 96)).shape
    (4, 36, 512)
    """

    def __init__(self, img_size=96, patch_size=16, num_hiddens=512):
        super().__init__()
        self.img_size = _pair("PatchEmbedding", "img_size", img_size)
        patch = _pair("PatchEmbedding", "patch_size", patch_size)
        rows, columns = (n // m for n, m in zip(self.img_size, patch, strict=True))
        if not rows * columns:
            raise ValueError(f"PatchEmbedding: a patch of {patch} does not fit into an image of {self.img_size}")
        self.num_patches = rows * columns
        self.conv = nn.LazyConv2d(num_hiddens, kernel_size=patch, stride=patch)

    def forward(self, X):
        expect_tensors("PatchEmbedding", X=X)
        if X.ndim != 4 or X.shape[2:] != self.img_size:
            height, width = self.img_size
            raise ValueError(f"PatchEmbedding: expected images (N, C, {height}, {width}), got shape {X.shape}")
        # (N, num_hiddens, rows, columns) → (N, num_patches, num_hiddens)
        return self.conv(X).flatten(2).transpose(1, 2)


class ViTMLP(nn.Module):
    """A dense layer, GELU, a dense layer, each followed by dropout:  (N, T, E) → (N, T, mlp_num_outputs)

    >>> import minidl
    >>> ViTMLP(16, 8)(minidl.zeros(2, 5, 8)).shape
    (2, 5, 8)
    """

    def __init__(self, mlp_num_hiddens, mlp_num_outputs, dropout=0.5):
        super().__init__()
        self.dense1 = nn.LazyLinear(mlp_num_hiddens)
        self.gelu = nn.GELU()
        self.dropout1 = nn.Dropout(dropout)
        self.dense2 = nn.LazyLinear(mlp_num_outputs)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, x):
        return self.dropout2(self.dense2(self.dropout1(self.gelu(self.dense1(x)))))


class ViTBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)):  (N, T, num_hiddens) → (N, T, num_hiddens)

    norm_shape: which last axes are normalized, num_hiddens in a ViT. use_bias: biases in the attention's dense layers. With a
    list as `seen`, forward appends the attention's weights (N, H, T, T) to it.

    >>> import minidl
    >>> ViTBlock(24, 24, 48, 8, 0.5)(minidl.zeros(2, 100, 24)).shape
    (2, 100, 24)
    """

    def __init__(self, num_hiddens, norm_shape, mlp_num_hiddens, num_heads, dropout, use_bias=False):
        super().__init__()
        self.ln1 = nn.LayerNorm(norm_shape)
        self.attention = SelfAttention(num_hiddens, num_heads, dropout, use_bias)
        self.ln2 = nn.LayerNorm(norm_shape)
        self.mlp = ViTMLP(mlp_num_hiddens, num_hiddens, dropout)

    def forward(self, X, seen=None):
        X = X + self.attention(self.ln1(X), seen=seen)
        return X + self.mlp(self.ln2(X))


class ViT(nn.Module):
    """Logits of classes from what blocks of attention write into a class token:  (N, C, H, W) → (N, num_classes)

    A learned token is put in front of the patches, and to each of them a learned vector for its place is added; a dense layer
    reads the class token after the last block. emb_dropout acts on the sum, blk_dropout within the blocks.

    >>> import minidl
    >>> ViT(32, 8, 24, 48, num_heads=2, num_blks=1)(minidl.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self,
        img_size,
        patch_size,
        num_hiddens,
        mlp_num_hiddens,
        num_heads,
        num_blks,
        emb_dropout=0.0,
        blk_dropout=0.0,
        use_bias=False,
        num_classes=10,
    ):
        super().__init__()
        self.patch_embedding = PatchEmbedding(img_size, patch_size, num_hiddens)
        self.cls_token = nn.Parameter(zeros(1, 1, num_hiddens))
        places = self.patch_embedding.num_patches + 1  # one for the class token
        self.pos_embedding = nn.Parameter(randn(1, places, num_hiddens))
        self.dropout = nn.Dropout(emb_dropout)
        options = num_hiddens, num_hiddens, mlp_num_hiddens, num_heads, blk_dropout, use_bias
        self.blks = nn.ModuleList([ViTBlock(*options) for _ in range(num_blks)])
        self.head = nn.Sequential(nn.LayerNorm(num_hiddens), nn.Linear(num_hiddens, num_classes))

    def forward(self, X):
        return self.head(self._read(X)[:, 0])

    def attention_weights(self, X):
        """What each place looks at, in each block: images → a list of (N, H, T, T). Without dropout or gradients.

        Place 0 is the class token, and place 1 + i the patch i, counted row after row.
        """
        seen = []
        with no_grad(), evaluating(self):
            self._read(X, seen)
        return seen

    def _read(self, X, seen=None):
        """The vectors after the last block, (N, 1 + num_patches, num_hiddens)."""
        X = self.patch_embedding(X)
        X = cat([self.cls_token.expand(len(X), -1, -1), X], dim=1)
        X = self.dropout(X + self.pos_embedding)
        for blk in self.blks:
            X = blk(X, seen)
        return X
