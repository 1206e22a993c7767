"""The methods of Tensor as functions: `minidl.exp(x)` is `x.exp()`, and documented there."""

from collections.abc import Callable as _Callable
from functools import wraps as _wraps
from types import FunctionType as _FunctionType
from typing import TypeVar as _TypeVar

from .complex import ComplexTensor as _ComplexTensor
from .record import remedy_for as _remedy_for
from .tensor import Tensor

# Methods that are looked up in each call: a remembered step (capture/) replaces them while it is recorded.
_LATE = {
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "isclose", "isnan", "isinf", "isfinite", "all", "any"),
    *("count_nonzero", "argmax", "argmin", "argsort", "searchsorted", "bucketize", "bincount", "__floordiv__"),
    *("logical_not", "logical_and", "logical_or", "logical_xor", "equal", "allclose", "nonzero", "argwhere", "floor_divide"),
}

_Method = _TypeVar("_Method", bound=_Callable)


def _function(method: _Method) -> _Method:
    """The method as a function, whose first argument is called input, as in PyTorch."""

    late = method.__name__ in _LATE

    @_wraps(method)
    def function(input, *args, **kwargs):
        if isinstance(input, Tensor):
            return (getattr(Tensor, method.__name__) if late else method)(input, *args, **kwargs)
        if isinstance(input, _ComplexTensor) and method.__name__ in ("abs", "absolute", "detach", "is_complex"):
            return getattr(input, method.__name__)(*args, **kwargs)
        raise TypeError(f"{method.__name__.strip('_')}: expected a Tensor, got {type(input).__name__}{_remedy_for(input)}")

    function.__wrapped__ = _with_input(getattr(method, "__wrapped__", method))
    return function


def _with_input(method):
    """The method with its parameter self renamed to input, as `help` shall show it."""
    code = method.__code__
    code = code.replace(co_varnames=("input", *code.co_varnames[1:]))
    twin = _FunctionType(code, method.__globals__, method.__name__, method.__defaults__, method.__closure__)
    twin.__kwdefaults__ = method.__kwdefaults__
    return twin


def pow(input, exponent):
    """input to the power of exponent: tensors or numbers, at least one a tensor.

    >>> import minidl
    >>> minidl.pow(minidl.tensor([1, 2, 3]), 2)
    tensor([1, 4, 9])
    >>> minidl.pow(2, minidl.tensor([1, 2, 3]))
    tensor([2, 4, 8])
    """
    _one_tensor("pow", input, exponent)
    return input**exponent


def remainder(input, other):
    """input − other·⌊input/other⌋: the remainder, with the sign of other. Tensors or numbers, at least one a tensor.

    >>> import minidl
    >>> minidl.remainder(minidl.tensor([7, -7]), 3)
    tensor([1, 2])
    """
    _one_tensor("remainder", input, other)
    return input % other


def _one_tensor(name, a, b):
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        raise TypeError(f"{name}: expected a Tensor among the operands, got {type(a).__name__} and {type(b).__name__}")


def polygamma(n, input):
    """ψ⁽ⁿ⁾(x), the n-th derivative of digamma, n from 0 to 170.

    >>> import minidl
    >>> minidl.polygamma(1, minidl.tensor([1.0]))
    tensor([1.6449])
    """
    return _polygamma(input, n)


_polygamma = _function(Tensor.polygamma)


@_function
def reshape(input, shape):
    """The same elements in another shape, a tuple. One size may be −1: it is what is left for it. Shares memory where it can.

    >>> import minidl
    >>> minidl.reshape(minidl.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    return input.reshape(shape)


@_function
def permute(input, dims):
    """The axes in the given order, a tuple. Shares memory.

    >>> import minidl
    >>> minidl.permute(minidl.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return input.permute(dims)


@_function
def flip(input, dims):
    """In reverse order along the given axes, a tuple or one number (a copy).

    >>> import minidl
    >>> minidl.flip(minidl.tensor([[1, 2], [3, 4]]), (0, 1))
    tensor([[4, 3],
            [2, 1]])
    """
    return input.flip(dims)


@_function
def tile(input, dims):
    """The tensor several times: dims[i] copies along axis i.

    >>> import minidl
    >>> minidl.tile(minidl.tensor([1, 2]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    return input.tile(dims)


@_function
def broadcast_to(input, size):
    """Repeated to the given shape, without a copy.

    >>> import minidl
    >>> minidl.broadcast_to(minidl.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return input.broadcast_to(size)


@_function
def fill(input, value):
    """A tensor like input, with one value, a number or a 0-d tensor, everywhere.

    >>> import minidl
    >>> minidl.fill(minidl.zeros(2), 7)
    tensor([7., 7.])
    """
    return input.clone().fill_(value)


@_function
def rsub(input, other, *, alpha=1):
    """other − alpha·input

    >>> import minidl
    >>> minidl.rsub(minidl.tensor([1.0, 2.0]), 10)
    tensor([9., 8.])
    """
    return (input if isinstance(alpha, int) and alpha == 1 else input.mul(alpha)).__rsub__(other)


abs = _function(Tensor.abs)
absolute = _function(Tensor.absolute)
add = _function(Tensor.add)
sub = _function(Tensor.sub)
subtract = _function(Tensor.subtract)
mul = _function(Tensor.mul)
multiply = _function(Tensor.multiply)
div = _function(Tensor.div)
divide = _function(Tensor.divide)
floor_divide = _function(Tensor.floor_divide)
neg = _function(Tensor.neg)
negative = _function(Tensor.negative)
maximum = _function(Tensor.maximum)
minimum = _function(Tensor.minimum)
xlogy = _function(Tensor.xlogy)
lerp = _function(Tensor.lerp)
addcmul = _function(Tensor.addcmul)
addcdiv = _function(Tensor.addcdiv)
fmod = _function(Tensor.fmod)
atan2 = _function(Tensor.atan2)
arctan2 = _function(Tensor.arctan2)
logaddexp = _function(Tensor.logaddexp)
float_power = _function(Tensor.float_power)
nan_to_num = _function(Tensor.nan_to_num)
masked_fill = _function(Tensor.masked_fill)
masked_select = _function(Tensor.masked_select)
masked_scatter = _function(Tensor.masked_scatter)
eq = _function(Tensor.eq)
ne = _function(Tensor.ne)
lt = _function(Tensor.lt)
le = _function(Tensor.le)
gt = _function(Tensor.gt)
ge = _function(Tensor.ge)
logical_not = _function(Tensor.logical_not)
logical_and = _function(Tensor.logical_and)
logical_or = _function(Tensor.logical_or)
logical_xor = _function(Tensor.logical_xor)
bitwise_and = _function(Tensor.bitwise_and)
bitwise_or = _function(Tensor.bitwise_or)
bitwise_xor = _function(Tensor.bitwise_xor)
bitwise_not = _function(Tensor.bitwise_not)
is_floating_point = _function(Tensor.is_floating_point)
isnan = _function(Tensor.isnan)
isinf = _function(Tensor.isinf)
isfinite = _function(Tensor.isfinite)
isclose = _function(Tensor.isclose)
allclose = _function(Tensor.allclose)
equal = _function(Tensor.equal)
exp = _function(Tensor.exp)
exp2 = _function(Tensor.exp2)
expm1 = _function(Tensor.expm1)
log = _function(Tensor.log)
log2 = _function(Tensor.log2)
log10 = _function(Tensor.log10)
log1p = _function(Tensor.log1p)
sqrt = _function(Tensor.sqrt)
rsqrt = _function(Tensor.rsqrt)
square = _function(Tensor.square)
reciprocal = _function(Tensor.reciprocal)
sin = _function(Tensor.sin)
cos = _function(Tensor.cos)
tan = _function(Tensor.tan)
asin = _function(Tensor.asin)
acos = _function(Tensor.acos)
atan = _function(Tensor.atan)
arcsin = _function(Tensor.arcsin)
arccos = _function(Tensor.arccos)
arctan = _function(Tensor.arctan)
asinh = _function(Tensor.asinh)
acosh = _function(Tensor.acosh)
atanh = _function(Tensor.atanh)
arcsinh = _function(Tensor.arcsinh)
arccosh = _function(Tensor.arccosh)
arctanh = _function(Tensor.arctanh)
sinh = _function(Tensor.sinh)
cosh = _function(Tensor.cosh)
tanh = _function(Tensor.tanh)
sigmoid = _function(Tensor.sigmoid)
erf = _function(Tensor.erf)
erfc = _function(Tensor.erfc)
erfinv = _function(Tensor.erfinv)
logit = _function(Tensor.logit)
lgamma = _function(Tensor.lgamma)
digamma = _function(Tensor.digamma)
igamma = _function(Tensor.igamma)
relu = _function(Tensor.relu)
sign = _function(Tensor.sign)
floor = _function(Tensor.floor)
ceil = _function(Tensor.ceil)
trunc = _function(Tensor.trunc)
round = _function(Tensor.round)
clamp = _function(Tensor.clamp)
clip = _function(Tensor.clip)
hardshrink = _function(Tensor.hardshrink)
prelu = _function(Tensor.prelu)
softmax = _function(Tensor.softmax)
log_softmax = _function(Tensor.log_softmax)
logsumexp = _function(Tensor.logsumexp)
sum = _function(Tensor.sum)
nansum = _function(Tensor.nansum)
mean = _function(Tensor.mean)
var = _function(Tensor.var)
std = _function(Tensor.std)
prod = _function(Tensor.prod)
var_mean = _function(Tensor.var_mean)
std_mean = _function(Tensor.std_mean)
nanmean = _function(Tensor.nanmean)
median = _function(Tensor.median)
nanmedian = _function(Tensor.nanmedian)
kthvalue = _function(Tensor.kthvalue)
quantile = _function(Tensor.quantile)
nanquantile = _function(Tensor.nanquantile)
histc = _function(Tensor.histc)
amax = _function(Tensor.amax)
amin = _function(Tensor.amin)
max = _function(Tensor.max)
min = _function(Tensor.min)
argmax = _function(Tensor.argmax)
argmin = _function(Tensor.argmin)
all = _function(Tensor.all)
any = _function(Tensor.any)
count_nonzero = _function(Tensor.count_nonzero)
nonzero = _function(Tensor.nonzero)
argwhere = _function(Tensor.argwhere)
cumsum = _function(Tensor.cumsum)
cumprod = _function(Tensor.cumprod)
logcumsumexp = _function(Tensor.logcumsumexp)
cummax = _function(Tensor.cummax)
cummin = _function(Tensor.cummin)
diff = _function(Tensor.diff)
norm = _function(Tensor.norm)
sort = _function(Tensor.sort)
argsort = _function(Tensor.argsort)
topk = _function(Tensor.topk)
mm = _function(Tensor.mm)
mv = _function(Tensor.mv)
dot = _function(Tensor.dot)
bmm = _function(Tensor.bmm)
outer = _function(Tensor.outer)
inner = _function(Tensor.inner)
addmm = _function(Tensor.addmm)
addmv = _function(Tensor.addmv)
addr = _function(Tensor.addr)
baddbmm = _function(Tensor.baddbmm)
addbmm = _function(Tensor.addbmm)
kron = _function(Tensor.kron)
cross = _function(Tensor.cross)
cholesky = _function(Tensor.cholesky)
det = _function(Tensor.det)
inverse = _function(Tensor.inverse)
logdet = _function(Tensor.logdet)
matrix_exp = _function(Tensor.matrix_exp)
matrix_power = _function(Tensor.matrix_power)
pinverse = _function(Tensor.pinverse)
qr = _function(Tensor.qr)
slogdet = _function(Tensor.slogdet)
svd = _function(Tensor.svd)
flatten = _function(Tensor.flatten)
ravel = _function(Tensor.ravel)
unflatten = _function(Tensor.unflatten)
t = _function(Tensor.t)
transpose = _function(Tensor.transpose)
swapaxes = _function(Tensor.swapaxes)
swapdims = _function(Tensor.swapdims)
movedim = _function(Tensor.movedim)
moveaxis = _function(Tensor.moveaxis)
rot90 = _function(Tensor.rot90)
as_strided = _function(Tensor.as_strided)
unsqueeze = _function(Tensor.unsqueeze)
squeeze = _function(Tensor.squeeze)
repeat_interleave = _function(Tensor.repeat_interleave)
roll = _function(Tensor.roll)
unbind = _function(Tensor.unbind)
split = _function(Tensor.split)
chunk = _function(Tensor.chunk)
tensor_split = _function(Tensor.tensor_split)
hsplit = _function(Tensor.hsplit)
vsplit = _function(Tensor.vsplit)
dsplit = _function(Tensor.dsplit)
narrow = _function(Tensor.narrow)
select = _function(Tensor.select)
diagonal = _function(Tensor.diagonal)
diag = _function(Tensor.diag)
diag_embed = _function(Tensor.diag_embed)
tril = _function(Tensor.tril)
triu = _function(Tensor.triu)
trace = _function(Tensor.trace)
gather = _function(Tensor.gather)
take_along_dim = _function(Tensor.take_along_dim)
index_select = _function(Tensor.index_select)
take = _function(Tensor.take)
scatter = _function(Tensor.scatter)
scatter_add = _function(Tensor.scatter_add)
scatter_reduce = _function(Tensor.scatter_reduce)
index_add = _function(Tensor.index_add)
index_copy = _function(Tensor.index_copy)
index_fill = _function(Tensor.index_fill)
index_put = _function(Tensor.index_put)
clone = _function(Tensor.clone)
detach = _function(Tensor.detach)
abs_ = _function(Tensor.abs_)
acos_ = _function(Tensor.acos_)
arccos_ = _function(Tensor.arccos_)
arcsin_ = _function(Tensor.arcsin_)
arctan_ = _function(Tensor.arctan_)
asin_ = _function(Tensor.asin_)
atan_ = _function(Tensor.atan_)
ceil_ = _function(Tensor.ceil_)
clamp_ = _function(Tensor.clamp_)
clip_ = _function(Tensor.clip_)
cos_ = _function(Tensor.cos_)
cosh_ = _function(Tensor.cosh_)
erf_ = _function(Tensor.erf_)
erfc_ = _function(Tensor.erfc_)
exp_ = _function(Tensor.exp_)
expm1_ = _function(Tensor.expm1_)
floor_ = _function(Tensor.floor_)
log_ = _function(Tensor.log_)
log10_ = _function(Tensor.log10_)
log1p_ = _function(Tensor.log1p_)
log2_ = _function(Tensor.log2_)
neg_ = _function(Tensor.neg_)
negative_ = _function(Tensor.negative_)
reciprocal_ = _function(Tensor.reciprocal_)
relu_ = _function(Tensor.relu_)
round_ = _function(Tensor.round_)
rsqrt_ = _function(Tensor.rsqrt_)
sigmoid_ = _function(Tensor.sigmoid_)
sin_ = _function(Tensor.sin_)
sinh_ = _function(Tensor.sinh_)
sqrt_ = _function(Tensor.sqrt_)
square_ = _function(Tensor.square_)
tan_ = _function(Tensor.tan_)
tanh_ = _function(Tensor.tanh_)
trunc_ = _function(Tensor.trunc_)
xlogy_ = _function(Tensor.xlogy_)
acosh_ = _function(Tensor.acosh_)
arccosh_ = _function(Tensor.arccosh_)
arcsinh_ = _function(Tensor.arcsinh_)
arctanh_ = _function(Tensor.arctanh_)
asinh_ = _function(Tensor.asinh_)
atanh_ = _function(Tensor.atanh_)
exp2_ = _function(Tensor.exp2_)
logit_ = _function(Tensor.logit_)
nan_to_num_ = _function(Tensor.nan_to_num_)
addmv_ = _function(Tensor.addmv_)
index_put_ = _function(Tensor.index_put_)
fill_ = _function(Tensor.fill_)
zero_ = _function(Tensor.zero_)
detach_ = _function(Tensor.detach_)
