"""The methods of Tensor as functions: `minidl.exp(x)` is `x.exp()`, and documented there."""

from functools import wraps as _wraps

from .record import remedy_for as _remedy_for
from .tensor import Tensor


def _function(method):
    """The method as a function, whose first argument is called input, as in PyTorch."""

    @_wraps(method)
    def function(input, *args, **kwargs):
        if isinstance(input, Tensor):
            return method(input, *args, **kwargs)
        raise TypeError(f"{method.__name__.strip('_')}: expected a Tensor, got {type(input).__name__}{_remedy_for(input)}")

    return function


def pow(input, exponent):
    """input to the power of exponent: numbers or tensors, one of them a tensor."""
    _one_tensor("pow", input, exponent)
    return input**exponent


def remainder(input, other):
    """input % other, numbers or tensors, one of them a tensor."""
    _one_tensor("remainder", input, other)
    return input % other


def _one_tensor(name, a, b):
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        raise TypeError(f"{name}: expected a Tensor among the operands, got {type(a).__name__} and {type(b).__name__}")


def polygamma(n, input):
    """The n-th derivative of digamma, n from 0 to 170."""
    return _polygamma(input, n)


_polygamma = _function(Tensor.polygamma)


@_function
def reshape(input, shape):
    """The same elements in another shape, a tuple; one size may be −1. Shares memory where it can."""
    return input.reshape(shape)


@_function
def permute(input, dims):
    """The axes in the given order, a tuple."""
    return input.permute(dims)


@_function
def flip(input, dims):
    """In reverse order along the given axes, a tuple or one (a copy)."""
    return input.flip(dims)


@_function
def tile(input, dims):
    """Tiled, dims[i] copies along axis i."""
    return input.tile(dims)


@_function
def broadcast_to(input, size):
    """Repeated to the given shape without copying."""
    return input.broadcast_to(size)


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
masked_fill = _function(Tensor.masked_fill)
masked_select = _function(Tensor.masked_select)
eq = _function(Tensor.eq)
ne = _function(Tensor.ne)
lt = _function(Tensor.lt)
le = _function(Tensor.le)
gt = _function(Tensor.gt)
ge = _function(Tensor.ge)
logical_not = _function(Tensor.logical_not)
logical_and = _function(Tensor.logical_and)
logical_or = _function(Tensor.logical_or)
is_floating_point = _function(Tensor.is_floating_point)
isnan = _function(Tensor.isnan)
isinf = _function(Tensor.isinf)
isfinite = _function(Tensor.isfinite)
isclose = _function(Tensor.isclose)
allclose = _function(Tensor.allclose)
equal = _function(Tensor.equal)
exp = _function(Tensor.exp)
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
sinh = _function(Tensor.sinh)
cosh = _function(Tensor.cosh)
tanh = _function(Tensor.tanh)
sigmoid = _function(Tensor.sigmoid)
erf = _function(Tensor.erf)
erfc = _function(Tensor.erfc)
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
softmax = _function(Tensor.softmax)
log_softmax = _function(Tensor.log_softmax)
logsumexp = _function(Tensor.logsumexp)
sum = _function(Tensor.sum)
nansum = _function(Tensor.nansum)
mean = _function(Tensor.mean)
var = _function(Tensor.var)
std = _function(Tensor.std)
prod = _function(Tensor.prod)
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
cumsum = _function(Tensor.cumsum)
norm = _function(Tensor.norm)
sort = _function(Tensor.sort)
argsort = _function(Tensor.argsort)
topk = _function(Tensor.topk)
mm = _function(Tensor.mm)
mv = _function(Tensor.mv)
dot = _function(Tensor.dot)
bmm = _function(Tensor.bmm)
outer = _function(Tensor.outer)
flatten = _function(Tensor.flatten)
ravel = _function(Tensor.ravel)
unflatten = _function(Tensor.unflatten)
t = _function(Tensor.t)
transpose = _function(Tensor.transpose)
swapaxes = _function(Tensor.swapaxes)
swapdims = _function(Tensor.swapdims)
movedim = _function(Tensor.movedim)
unsqueeze = _function(Tensor.unsqueeze)
squeeze = _function(Tensor.squeeze)
repeat_interleave = _function(Tensor.repeat_interleave)
roll = _function(Tensor.roll)
unbind = _function(Tensor.unbind)
split = _function(Tensor.split)
chunk = _function(Tensor.chunk)
narrow = _function(Tensor.narrow)
select = _function(Tensor.select)
diagonal = _function(Tensor.diagonal)
diag = _function(Tensor.diag)
tril = _function(Tensor.tril)
triu = _function(Tensor.triu)
trace = _function(Tensor.trace)
gather = _function(Tensor.gather)
take_along_dim = _function(Tensor.take_along_dim)
index_select = _function(Tensor.index_select)
clone = _function(Tensor.clone)
detach = _function(Tensor.detach)
