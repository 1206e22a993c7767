"""The operations of PyTorch that minidl promises to have, by their names in `op_db` (see opinfo.py), separated by blanks."""

TIER_1 = """
zeros ones zeros_like ones_like arange eye randn rand_like normal abs add sub mul div neg pow exp log log2 sqrt square sign
sin cos tanh sigmoid maximum minimum clamp eq ne lt le gt ge isnan bitwise_not logical_not __radd__ __rsub__ __rmul__ __rdiv__
__rpow__ __rmatmul__ __getitem__ __setitem__ sum mean std var max min argmax argmin cumsum sort norm nansum logsumexp softmax
log_softmax xlogy dot mv mm bmm matmul reshape view t T transpose permute unsqueeze squeeze expand repeat flatten cat stack
clone where masked_fill gather zero_ fill to float double long int bool item nn.functional.relu nn.functional.linear
nn.functional.embedding nn.functional.one_hot nn.functional.dropout nn.functional.conv2d nn.functional.max_pool2d
nn.functional.avg_pool2d nn.functional.batch_norm nn.functional.layer_norm nn.functional.cross_entropy nn.functional.nll_loss
nn.functional.mse_loss nn.functional.kl_div nn.functional.binary_cross_entropy nn.functional.binary_cross_entropy_with_logits
"""

TIER_2 = """
full full_like new_zeros new_ones new_full linspace randint randn_like uniform bernoulli multinomial acos asin atan atan2 tan
sinh cosh asinh acosh atanh floor ceil round trunc fmod remainder floor_divide log1p log10 expm1 exp2 reciprocal rsqrt erf
lgamma lerp addcmul addcdiv logaddexp nan_to_num isinf isfinite isclose allclose equal rsub float_power logical_and logical_or
logical_xor bitwise_and bitwise_or bitwise_xor __rand__ __ror__ __rxor__ prod amax amin all any count_nonzero median cumprod
var_mean std_mean nanmean logcumsumexp diff trace outer tril triu diag diagonal diag_embed einsum tensordot inner addmm
baddbmm kron cross cdist linalg.det linalg.slogdet linalg.inv linalg.solve linalg.cholesky linalg.norm linalg.vector_norm
linalg.matrix_norm linalg.eigh linalg.eigvalsh linalg.svd linalg.qr linalg.matrix_power meshgrid repeat_interleave flip roll
movedim narrow select split chunk unbind tensor_split hstack vstack tile broadcast_to broadcast_tensors expand_as view_as
reshape_as unflatten ravel contiguous atleast_1d atleast_2d masked_select nonzero take_along_dim index_select index_add
index_fill index_put scatter scatter_add topk argsort unique searchsorted bincount nn.functional.gelu nn.functional.silu
nn.functional.elu nn.functional.selu nn.functional.leaky_relu nn.functional.softplus nn.functional.logsigmoid
nn.functional.hardtanh nn.functional.relu6 nn.functional.prelu nn.functional.softsign nn.functional.mish nn.functional.softmin
nn.functional.glu nn.functional.normalize nn.functional.cosine_similarity nn.functional.pairwise_distance nn.functional.conv1d
nn.functional.conv_transpose1d nn.functional.conv_transpose2d nn.functional.max_pool1d nn.functional.avg_pool1d
nn.functional.adaptive_avg_pool1d nn.functional.adaptive_avg_pool2d nn.functional.adaptive_max_pool2d nn.functional.group_norm
nn.functional.instance_norm nn.functional.rms_norm nn.functional.pad nn.functional.unfold
nn.functional.scaled_dot_product_attention nn.functional.l1_loss nn.functional.smooth_l1_loss nn.functional.huber_loss
nn.functional.gaussian_nll_loss
"""
