"""The vision Transformer: an image is cut into patches, which are read like words (Dosovitskiy et al., 2021)."""

from .. import nn
from ..functions import cat, expect_tensors, randn, zeros
from ..nn import functional as F


class PatchEmbedding(nn.Module):
    """Cuts an image into patches and makes a vector of each: (N, C, H, W) → (N, num_patches, num_hiddens)

    img_size, patch_size: an integer or (height, width); patches must tile the image. A convolution whose stride is its size is
    a dense layer of each patch.

    >>> import minidl
    >>> PatchEmbedding(96, 16, 512)(minidl.zeros(4, 3, 96, 96)).shape
    (4, 36, 512)
    """

    def __init__(self, img_size=96, patch_size=16, num_hiddens=512):
        super().__init__()
        self.img_size, self.patch_size = _pair(img_size), _pair(patch_size)
        (H, W), (h, w) = self.img_size, self.patch_size
        if min(h, w) < 1 or H % h or W % w:
            raise ValueError(f"PatchEmbedding: patches of {(h, w)} pixels do not tile an image of {(H, W)}")
        self.num_patches = (H // h) * (W // w)
        self.conv = nn.LazyConv2d(num_hiddens, kernel_size=self.patch_size, stride=self.patch_size)

    def forward(self, X):
        expect_tensors("PatchEmbedding", X=X)
        if X.ndim != 4 or X.shape[2:] != self.img_size:
            raise ValueError(f"PatchEmbedding: expected images (N, C, {str(self.img_size)[1:]}, got {X.shape}")
        return self.conv(X).flatten(2).transpose(1, 2)


class ViTMLP(nn.Module):
    """Two dense layers with GELU and dropout, for each place: (N, T, E) → (N, T, mlp_num_outputs)

    >>> import minidl
    >>> ViTMLP(16, 8)(minidl.ones(2, 5, 8)).shape
    (2, 5, 8)
    """

    def __init__(self, mlp_num_hiddens, mlp_num_outputs, dropout=0.5):
        super().__init__()
        self.dense1 = nn.LazyLinear(mlp_num_hiddens)
        self.dropout1 = nn.Dropout(dropout)
        self.dense2 = nn.LazyLinear(mlp_num_outputs)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, x):
        return self.dropout2(self.dense2(self.dropout1(F.gelu(self.dense1(x)))))


class ViTBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): (N, T, num_hiddens), of the same shape out

    With need_weights=True forward returns (output, weights (N, num_heads, T, T)).

    >>> import minidl
    >>> ViTBlock(24, 24, 48, 8, 0.5)(minidl.ones(2, 101, 24)).shape
    (2, 101, 24)
    """

    def __init__(self, num_hiddens, norm_shape, mlp_num_hiddens, num_heads, dropout, use_bias=False):
        super().__init__()
        self.ln1 = nn.LayerNorm(norm_shape)
        self.attention = nn.MultiheadAttention(num_hiddens, num_heads, dropout, bias=use_bias, batch_first=True)
        self.ln2 = nn.LayerNorm(norm_shape)
        self.mlp = ViTMLP(mlp_num_hiddens, num_hiddens, dropout)

    def forward(self, X, need_weights=False):
        Y = self.ln1(X)
        Y, weights = self.attention(Y, Y, Y, need_weights=need_weights, average_attn_weights=False)
        X = X + Y
        X = X + self.mlp(self.ln2(X))
        return (X, weights) if need_weights else X


class ViT(nn.Module):
    """Patches behind a class token, positions, blocks, and a dense layer of what became of the class token.

    img_size, patch_size: as PatchEmbedding's. num_blks: blocks of num_heads heads. emb_dropout: of patches and positions;
    blk_dropout: of attention weights and dense layers. use_bias: whether attention has biases. (N, C, H, W) → (N, num_classes).
    With need_weights=True forward returns (logits, [weights (N, num_heads, 1 + num_patches, 1 + num_patches) of each block]);
    weights[..., 0, 1:] is where the class token looks.

    >>> import minidl
    >>> vit = ViT(img_size=28, patch_size=7, num_hiddens=16, mlp_num_hiddens=32, num_heads=2, num_blks=1)
    >>> logits, weights = vit(minidl.zeros(2, 1, 28, 28), need_weights=True)
    >>> logits.shape, weights[0].shape
    ((2, 10), (2, 2, 17, 17))
    """

    def __init__(
        self,
        img_size,
        patch_size,
        num_hiddens,
        mlp_num_hiddens,
        num_heads,
        num_blks,
        emb_dropout=0.1,
        blk_dropout=0.1,
        use_bias=False,
        num_classes=10,
    ):
        super().__init__()
        self.patch_embedding = PatchEmbedding(img_size, patch_size, num_hiddens)
        self.cls_token = nn.Parameter(zeros(1, 1, num_hiddens))
        num_steps = self.patch_embedding.num_patches + 1  # the class token stands before the patches
        self.pos_embedding = nn.Parameter(0.02 * randn(1, num_steps, num_hiddens))  # small, so that patches are heard
        self.dropout = nn.Dropout(emb_dropout)
        blocks = [
            ViTBlock(num_hiddens, num_hiddens, mlp_num_hiddens, num_heads, blk_dropout, use_bias) for _ in range(num_blks)
        ]
        self.blks = nn.ModuleList(blocks)
        self.head = nn.Sequential(nn.LayerNorm(num_hiddens), nn.Linear(num_hiddens, num_classes))

    def forward(self, X, need_weights=False):
        X = self.patch_embedding(X)
        X = cat((self.cls_token.expand(X.shape[0], -1, -1), X), 1)
        X = self.dropout(X + self.pos_embedding)
        weights = []
        for blk in self.blks:
            if need_weights:
                X, of_block = blk(X, need_weights=True)
                weights.append(of_block)
            else:
                X = blk(X)
        logits = self.head(X[:, 0])
        return (logits, weights) if need_weights else logits


def _pair(size):
    return tuple(size) if isinstance(size, (tuple, list)) else (size, size)
