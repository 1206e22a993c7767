"""Attention: for each query a weighted mean of the values; a weight is larger the better the query matches the key."""

from .. import kernels
from .base import Op, unbroadcast

__all__ = ["ScaledDotProductAttention"]


class ScaledDotProductAttention(Op):
    """y_i = Σ_j p_ij v_j with p_i = softmax_j(s_ij), s_ij = scale·Σ_e q_ie k_je + mask_ij
    v_j enters y_i with weight p_ij:                        dv_j = Σ_i p_ij dy_i
    s_ij raises p_ij and lowers the other weights of row i: ds_ij = p_ij (dy_i·v_j − dy_i·y_i)
    s is a product of q and k, plus the mask:               dq_i = scale·Σ_j ds_ij k_j;  dk_j = scale·Σ_i ds_ij q_i;  dmask = ds
    Hidden places (`allowed` False; if `causal`, later keys) have p = 0. Dropout multiplies p by 0 or 1/(1 − drop).
    """

    warns = False
    indexes = False

    def __init__(self, scale, causal=False, allowed=None, drop=0.0, seed=0):
        self.scale, self.causal, self.allowed, self.drop, self.seed = scale, causal, allowed, drop, seed

    def forward(self, q, k, v, mask=None):
        self.q, self.k, self.v, self.mask = q, k, v, mask
        self.y, self.lse = kernels.attention(q, k, v, *self._options())  # lse: the logarithm of the sum of each row
        return self.y

    def backward(self, dy):
        wanted = [need is not None for need in self.needs] + [False]
        gradients = kernels.attention_backward(dy, self.q, self.k, self.v, self.y, self.lse, *self._options(), needs=wanted[:4])
        pairs = zip(self.needs, gradients, strict=False)
        return tuple(unbroadcast(dx, need.shape) if need is not None else None for need, dx in pairs)

    def _options(self):
        return self.allowed if self.mask is None else self.mask, self.causal, self.scale, self.drop, self.seed
