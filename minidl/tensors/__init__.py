"""The Tensor: which file holds which of its methods.

record.py: how an operation is recorded: `apply`
tensor.py: the class, put together of the parts below
gradients.py: the graph: requires_grad, backward, grad, hooks, detach, clone, copies:
    backward clone data detach detach_ grad grad_fn is_leaf register_hook register_post_accumulate_grad_hook
    requires_grad requires_grad_ retain_grad retains_grad
arithmetic.py: operators, and functions of two tensors elementwise:
    add div divide floor_divide igamma lerp maximum minimum mul multiply neg negative pow remainder sub subtract xlogy
combined.py: functions of two or three tensors elementwise, of bits:
    addcdiv addcmul arctan2 atan2 bitwise_and bitwise_not bitwise_or bitwise_xor float_power fmod logaddexp logical_xor
    nan_to_num
products.py: products of vectors and matrices, einsum:
    bmm dot matmul mm mv outer
contractions.py: products with an addition, over several axes, of every pair:
    addbmm addmm addmv addr baddbmm cross inner kron tensordot
matrices.py: determinants, inverses and factors of matrices:
    cholesky det inverse logdet matrix_exp matrix_power pinverse qr slogdet svd
comparisons.py: comparisons and logic:
    allclose eq equal ge gt isclose isfinite isinf isnan le logical_and logical_not logical_or lt ne
elementwise.py: functions of each element, softmax:
    abs absolute acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil clamp clip cos cosh
    digamma erf erfc erfinv exp exp2 expm1 floor hardshrink lgamma log log10 log1p log2 log_softmax logit polygamma
    prelu reciprocal relu round rsqrt sigmoid sign sin sinh softmax sqrt square tan tanh trunc
reductions.py: sums, means, extremes, norms:
    all amax amin any count_nonzero cumsum logsumexp mean nansum norm prod std sum var
ordering.py: the largest, sorting:
    argmax argmin argsort max min sort topk
statistics.py: running products and extremes, medians, quantiles:
    cummax cummin cumprod diff histc kthvalue logcumsumexp median nanmean nanmedian nanquantile quantile std_mean
    var_mean
shapes.py: reshape, transpose, repeat:
    T broadcast_to contiguous expand expand_as flatten flip mT movedim permute ravel repeat repeat_interleave reshape
    reshape_as roll squeeze swapaxes swapdims t tile transpose unflatten unsqueeze view view_as
slices.py: pieces along an axis, diagonals, triangles:
    chunk diag diagonal narrow select split trace tril triu unbind
pieces.py: pieces of unequal sizes, windows, matrices of diagonals:
    as_strided diag_embed dsplit hsplit moveaxis rot90 tensor_split unfold vsplit
indexing.py: by index, by mask:
    argwhere gather index_select masked_fill masked_select nonzero take_along_dim where
scattering.py: writing at places that an index names:
    index_add index_copy index_fill index_put masked_scatter put scatter scatter_add scatter_reduce take
in_place.py: what ends in _ , and += and its relatives:
    abs_ absolute_ acos_ acosh_ add_ addbmm_ addcdiv_ addcmul_ addmm_ addmv_ addr_ arccos_ arccosh_ arcsin_ arcsinh_
    arctan2_ arctan_ arctanh_ asin_ asinh_ atan2_ atan_ atanh_ baddbmm_ bernoulli_ bitwise_and_ bitwise_not_ bitwise_or_
    bitwise_xor_ ceil_ clamp_ clip_ copy_ cos_ cosh_ cumprod_ cumsum_ digamma_ div_ divide_ eq_ erf_ erfc_ erfinv_ exp2_
    exp_ expm1_ exponential_ fill_ float_power_ floor_ floor_divide_ fmod_ ge_ gt_ igamma_ index_add_ index_copy_
    index_fill_ index_put_ le_ lerp_ lgamma_ log10_ log1p_ log2_ log_ logical_and_ logical_not_ logical_or_ logical_xor_
    logit_ lt_ masked_fill_ masked_scatter_ mul_ multiply_ nan_to_num_ ne_ neg_ negative_ normal_ polygamma_ pow_ put_
    random_ reciprocal_ relu_ remainder_ round_ rsqrt_ scatter_ scatter_add_ scatter_reduce_ sigmoid_ sign_ sin_ sinh_
    sqrt_ square_ squeeze_ sub_ subtract_ swapaxes_ swapdims_ t_ tan_ tanh_ transpose_ tril_ triu_ trunc_ uniform_
    unsqueeze_ xlogy_ zero_
views.py: what a write to a view does to the graph
conversion.py: to Python, NumPy, other dtypes; new tensors like this one:
    bfloat16 bool cpu cuda double float half int is_pinned item long new_full new_ones new_tensor new_zeros numpy
    pin_memory short to tolist type type_as
exchange.py: what only other libraries call: NumPy's functions of a Tensor (numpy_*.py), DLPack, PyTorch
attributes.py: sizes, dtype, memory, printing:
    ctypes data_ptr describe device dim dtype element_size get_device is_complex is_contiguous is_cuda
    is_floating_point is_mps is_quantized is_sparse itemsize nbytes ndim nelement numel shape size stride

The functions of the top level: creation.py makes tensors, random_tensors.py random ones, joining.py one of several, counting.py
counts; functions.py has `minidl.exp(x)` for `x.exp()`. dtypes.py has the types of numbers, printing.py what a tensor looks
like, describing.py what it holds and how a notebook shows it, arguments.py the checks of arguments that several files share.
"""
