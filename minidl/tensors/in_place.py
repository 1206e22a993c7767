"""Writing in place: each method computes as its namesake does; the result takes this tensor's memory and place in the graph.

How a write to a view reaches its base is in views.py.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .. import random
from ..graph.nodes import next_serial
from .arithmetic import Arithmetic
from .combined import Combined
from .comparisons import Comparisons
from .contractions import Contractions
from .elementwise import Elementwise
from .indexing import Indexing
from .record import TensorBase, number_array, operand, wrap
from .reductions import Reductions
from .scattering import Scattering
from .shapes import Shapes
from .slices import Slices
from .statistics import Statistics

P, R = ParamSpec("P"), TypeVar("R")


# What a recorded write keeps for backward; tests/test_twins.py compares each with what is kept.
NOTHING = "For backward none of its values are kept."
OLD = "For backward a copy of the old values is kept."
RESULT = "For backward a copy of the result is kept, and none of the old values."
FACTOR = "For backward the other operand is kept, and a copy of the old values if that one requires a gradient."
ZERO = "The gradient through it is 0."

_WRITTEN = """The tensor keeps its memory and its dtype, and its views show the result too.
    RuntimeError if the dtype cannot hold the result (floats in integers), or for a leaf that requires a gradient.
    """
_SHOWN = """The tensor itself has the new shape afterwards, and keeps its memory.
    RuntimeError for a leaf that requires a gradient, and for a view or a tensor with views: their shapes would not fit."""


def twin(method: Callable[P, R], kept: str = NOTHING, *example: str) -> Callable[P, R]:
    """`f_` of a method or function `f`: it computes as f does, and writes the result into its first argument, a tensor.

    For its docstring: what it keeps for backward, and an example, see _describe.
    """

    @functools.wraps(method)
    def in_place(self, *args, **kwargs):
        start = next_serial()
        result = method(self, *args, **kwargs)
        return self if result is self else self._become(result, start)

    return _describe(in_place, _WRITTEN + kept, *example)


def _reshaped(method: Callable[P, R], *example: str) -> Callable[P, R]:
    """The method `f_` of a method `f` that shows the same elements in another shape: this tensor has that shape afterwards."""

    @functools.wraps(method)
    def in_place(self, *args, **kwargs):
        return self._show(method(self, *args, **kwargs), f"{method.__name__}_")

    return _describe(in_place, _SHOWN, *example)


def _describe(in_place, text, x=None, call="", result=""):
    """Gives it name and docstring. The example: `call` changes x, minidl.tensor(x) or minidl.x, into tensor(result)."""
    method = in_place.__wrapped__
    name = method.__name__.strip("_")
    in_place.__name__ = f"{name}_"
    if method.__module__.startswith(__package__):
        in_place.__module__ = __name__  # where doctest looks for the examples of a class of this module
    first = (method.__doc__ or "").partition("\n")[0]
    in_place.__doc__ = f"As {name}, in place: {first}\n\n    {text}\n    "
    if x is not None:
        x = f"tensor({x})" if x.startswith("[") else x
        returned = "" if "= " in call.partition("(")[0] else " is x\n    True"
        in_place.__doc__ += (
            f"\n    >>> import minidl\n    >>> x = minidl.{x}\n    >>> {call}{returned}\n    >>> x\n    tensor({result})\n    "
        )
    return in_place


class InPlace:
    """The methods that end in _, and the operators such as +=."""

    __iadd__ = twin(Arithmetic.__add__, NOTHING, "[1.0, 2.0]", "x += 10", "[11., 12.]")
    __isub__ = twin(Arithmetic.__sub__, NOTHING, "[1.0, 2.0]", "x -= 1", "[0., 1.]")
    __imul__ = twin(Arithmetic.__mul__, FACTOR, "[1.0, 2.0]", "x *= 3", "[3., 6.]")
    __itruediv__ = twin(Arithmetic.__truediv__, FACTOR, "[1.0, 3.0]", "x /= 2", "[0.5000, 1.5000]")
    __ifloordiv__ = twin(Arithmetic.__floordiv__, ZERO, "[7, -7]", "x //= 2", "[ 3, -4]")
    __ipow__ = twin(Arithmetic.__pow__, OLD, "[1.0, 3.0]", "x **= 2", "[1., 9.]")
    __imod__ = twin(Arithmetic.__mod__, NOTHING, "[7, -7]", "x %= 3", "[1, 2]")
    __iand__ = twin(Comparisons.__and__, NOTHING, "[True, True]", "x &= minidl.tensor([True, False])", "[ True, False]")
    __ior__ = twin(Comparisons.__or__, NOTHING, "[True, False]", "x |= minidl.tensor([False, False])", "[ True, False]")
    __ixor__ = twin(Comparisons.__xor__, NOTHING, "[True, False]", "x ^= minidl.tensor([True, True])", "[False,  True]")

    add_ = twin(Arithmetic.add, NOTHING, "[1.0, 2.0]", "x.add_(10, alpha=3)", "[31., 32.]")
    sub_ = twin(Arithmetic.sub, NOTHING, "[1.0, 2.0]", "x.sub_(minidl.tensor([1.0, 1.0]), alpha=2)", "[-1.,  0.]")
    subtract_ = twin(Arithmetic.subtract, NOTHING, "[1.0, 2.0]", "x.subtract_(1)", "[0., 1.]")
    mul_ = twin(Arithmetic.mul, FACTOR, "[1.0, 2.0]", "x.mul_(minidl.tensor([10.0, 100.0]))", "[ 10., 200.]")
    multiply_ = twin(Arithmetic.multiply, FACTOR, "[1.0, 2.0]", "x.multiply_(-3)", "[-3., -6.]")
    div_ = twin(Arithmetic.div, FACTOR, "[7.0, -7.0]", 'x.div_(2, rounding_mode="trunc")', "[ 3., -3.]")
    divide_ = twin(Arithmetic.divide, FACTOR, "[7.0, -7.0]", "x.divide_(2)", "[ 3.5000, -3.5000]")
    floor_divide_ = twin(Arithmetic.floor_divide, ZERO, "[7, -7]", "x.floor_divide_(2)", "[ 3, -4]")
    remainder_ = twin(Arithmetic.remainder, NOTHING, "[7, -7]", "x.remainder_(3)", "[1, 2]")
    pow_ = twin(Arithmetic.pow, OLD, "[4.0, 9.0]", "x.pow_(0.5)", "[2., 3.]")
    neg_ = twin(Arithmetic.neg, NOTHING, "[1.0, -2.0]", "x.neg_()", "[-1.,  2.]")
    negative_ = twin(Arithmetic.negative, NOTHING, "[3, -4]", "x.negative_()", "[-3,  4]")
    lerp_ = twin(Arithmetic.lerp, NOTHING, "[0.0, 10.0]", "x.lerp_(minidl.tensor([4.0, 20.0]), 0.25)", "[ 1.0000, 12.5000]")
    xlogy_ = twin(Arithmetic.xlogy, OLD, "[0.0, 0.5]", "x.xlogy_(minidl.tensor([0.0, 0.5]))", "[ 0.0000, -0.3466]")
    igamma_ = twin(Arithmetic.igamma, OLD, "[1.0]", "x.igamma_(minidl.tensor([2.0]))", "[0.8647]")
    addcmul_ = twin(
        Combined.addcmul,
        NOTHING,
        "ones(2)",
        "x.addcmul_(minidl.tensor([1.0, 2.0]), minidl.tensor([3.0, 4.0]), value=0.5)",
        "[2.5000, 5.0000]",
    )
    addcdiv_ = twin(
        Combined.addcdiv,
        NOTHING,
        "ones(2)",
        "x.addcdiv_(minidl.tensor([1.0, 2.0]), minidl.tensor([2.0, 4.0]), value=-1)",
        "[0.5000, 0.5000]",
    )
    fmod_ = twin(Combined.fmod, NOTHING, "[-5.0, 5.0]", "x.fmod_(3)", "[-2.,  2.]")
    atan2_ = twin(Combined.atan2, OLD, "[1.0, -1.0]", "x.atan2_(minidl.tensor([-1.0, 1.0]))", "[ 2.3562, -0.7854]")
    arctan2_ = twin(Combined.arctan2, OLD, "[0.0, 2.0]", "x.arctan2_(minidl.tensor([-1.0, 0.0]))", "[3.1416, 1.5708]")
    float_power_ = twin(Combined.float_power, OLD, "[4.0, 9.0]", "x.float_power_(-0.5)", "[0.5000, 0.3333]")
    nan_to_num_ = twin(
        Combined.nan_to_num, NOTHING, "[minidl.nan, minidl.inf, 1.0]", "x.nan_to_num_(posinf=9.0)", "[0., 9., 1.]"
    )
    addmm_ = twin(
        Contractions.addmm, NOTHING, "ones(2, 2)", "x.addmm_(minidl.eye(2), minidl.eye(2), alpha=3)", "[[4., 1.], [1., 4.]]"
    )
    addmv_ = twin(
        Contractions.addmv,
        NOTHING,
        "[1.0, 2.0]",
        "x.addmv_(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([1.0, 10.0]))",
        "[22., 45.]",
    )
    addr_ = twin(
        Contractions.addr,
        NOTHING,
        "zeros(2, 2)",
        "x.addr_(minidl.tensor([1.0, 2.0]), minidl.tensor([10.0, 20.0]))",
        "[[10., 20.], [20., 40.]]",
    )
    baddbmm_ = twin(
        Contractions.baddbmm,
        NOTHING,
        "ones(1, 1, 2)",
        "x.baddbmm_(minidl.ones(1, 1, 4), minidl.ones(1, 4, 2), alpha=10)",
        "[[[41., 41.]]]",
    )
    addbmm_ = twin(
        Contractions.addbmm, NOTHING, "zeros(1, 2)", "x.addbmm_(minidl.ones(3, 1, 4), minidl.ones(3, 4, 2))", "[[12., 12.]]"
    )

    abs_ = twin(Elementwise.abs, OLD, "[-1.5, 0.0, 2.0]", "x.abs_()", "[1.5000, 0.0000, 2.0000]")
    absolute_ = twin(Elementwise.absolute, OLD, "[-3, 2]", "x.absolute_()", "[3, 2]")
    exp_ = twin(Elementwise.exp, RESULT, "[0.0, 1.0]", "x.exp_()", "[1.0000, 2.7183]")
    expm1_ = twin(Elementwise.expm1, OLD, "[0.0, 1e-10]", "x.expm1_()", "[0.0000e+00, 1.0000e-10]")
    log_ = twin(Elementwise.log, OLD, "[1.0, minidl.e, 0.0]", "x.log_()", "[0., 1., -inf]")
    log2_ = twin(Elementwise.log2, OLD, "[1.0, 8.0, 0.5]", "x.log2_()", "[ 0.,  3., -1.]")
    log10_ = twin(Elementwise.log10, OLD, "[10.0, 50.0]", "x.log10_()", "[1.0000, 1.6990]")
    log1p_ = twin(Elementwise.log1p, OLD, "[0.0, 1e-10]", "x.log1p_()", "[0.0000e+00, 1.0000e-10]")
    sqrt_ = twin(Elementwise.sqrt, RESULT, "[4.0, 2.0]", "x.sqrt_()", "[2.0000, 1.4142]")
    rsqrt_ = twin(Elementwise.rsqrt, RESULT, "[4.0, 2.0]", "x.rsqrt_()", "[0.5000, 0.7071]")
    square_ = twin(Elementwise.square, OLD, "[-3, 2]", "x.square_()", "[9, 4]")
    reciprocal_ = twin(Elementwise.reciprocal, RESULT, "[4.0, -0.5]", "x.reciprocal_()", "[ 0.2500, -2.0000]")
    sin_ = twin(Elementwise.sin, OLD, "[0.0, minidl.pi / 6]", "x.sin_()", "[0.0000, 0.5000]")
    cos_ = twin(Elementwise.cos, OLD, "[0.0, minidl.pi / 3]", "x.cos_()", "[1.0000, 0.5000]")
    tan_ = twin(Elementwise.tan, RESULT, "[0.0, minidl.pi / 4]", "x.tan_()", "[0., 1.]")
    asin_ = twin(Elementwise.asin, OLD, "[0.0, 1.0, 2.0]", "x.asin_()", "[0.0000, 1.5708,    nan]")
    acos_ = twin(Elementwise.acos, OLD, "[1.0, 0.0, -1.0]", "x.acos_()", "[0.0000, 1.5708, 3.1416]")
    atan_ = twin(Elementwise.atan, OLD, "[0.0, 1.0]", "x.atan_()", "[0.0000, 0.7854]")
    arcsin_ = twin(Elementwise.arcsin, OLD, "[0.0, -1.0]", "x.arcsin_()", "[ 0.0000, -1.5708]")
    arccos_ = twin(Elementwise.arccos, OLD, "[1.0, 0.5]", "x.arccos_()", "[0.0000, 1.0472]")
    arctan_ = twin(Elementwise.arctan, OLD, "[0.0, -1.0]", "x.arctan_()", "[ 0.0000, -0.7854]")
    sinh_ = twin(Elementwise.sinh, OLD, "[0.0, 1.0]", "x.sinh_()", "[0.0000, 1.1752]")
    cosh_ = twin(Elementwise.cosh, OLD, "[0.0, 1.0]", "x.cosh_()", "[1.0000, 1.5431]")
    tanh_ = twin(Elementwise.tanh, RESULT, "[0.0, 1.0]", "x.tanh_()", "[0.0000, 0.7616]")
    asinh_ = twin(Elementwise.asinh, OLD, "[0.0, 1.0]", "x.asinh_()", "[0.0000, 0.8814]")
    acosh_ = twin(Elementwise.acosh, OLD, "[1.0, 2.0]", "x.acosh_()", "[0.0000, 1.3170]")
    atanh_ = twin(Elementwise.atanh, OLD, "[0.0, 0.5]", "x.atanh_()", "[0.0000, 0.5493]")
    arcsinh_ = twin(Elementwise.arcsinh, OLD, "[0.0, -1.0]", "x.arcsinh_()", "[ 0.0000, -0.8814]")
    arccosh_ = twin(Elementwise.arccosh, OLD, "[1.0, 3.0]", "x.arccosh_()", "[0.0000, 1.7627]")
    arctanh_ = twin(Elementwise.arctanh, OLD, "[0.0, -0.5]", "x.arctanh_()", "[ 0.0000, -0.5493]")
    exp2_ = twin(Elementwise.exp2, RESULT, "[0.0, 3.0]", "x.exp2_()", "[1., 8.]")
    logit_ = twin(Elementwise.logit, OLD, "[0.5, 0.75]", "x.logit_()", "[0.0000, 1.0986]")
    sigmoid_ = twin(Elementwise.sigmoid, RESULT, "[0.0, 1.0]", "x.sigmoid_()", "[0.5000, 0.7311]")
    relu_ = twin(Elementwise.relu, RESULT, "[-1.0, 2.0]", "x.relu_()", "[0., 2.]")
    erf_ = twin(Elementwise.erf, OLD, "[0.0, 1.0]", "x.erf_()", "[0.0000, 0.8427]")
    erfc_ = twin(Elementwise.erfc, OLD, "[0.0, 1.0]", "x.erfc_()", "[1.0000, 0.1573]")
    erfinv_ = twin(Elementwise.erfinv, RESULT, "[0.0, 0.5]", "x.erfinv_()", "[0.0000, 0.4769]")
    lgamma_ = twin(Elementwise.lgamma, OLD, "[1.0, 5.0]", "x.lgamma_()", "[0.0000, 3.1781]")
    digamma_ = twin(Elementwise.digamma, OLD, "[1.0, 2.0]", "x.digamma_()", "[-0.5772,  0.4228]")
    polygamma_ = twin(Elementwise.polygamma, OLD, "[1.0, 2.0]", "x.polygamma_(1)", "[1.6449, 0.6449]")
    sign_ = twin(Elementwise.sign, ZERO, "[-2.0, 0.0, 3.0]", "x.sign_()", "[-1.,  0.,  1.]")
    floor_ = twin(Elementwise.floor, ZERO, "[1.7, -1.2]", "x.floor_()", "[ 1., -2.]")
    ceil_ = twin(Elementwise.ceil, ZERO, "[1.2, -1.7]", "x.ceil_()", "[ 2., -1.]")
    trunc_ = twin(Elementwise.trunc, ZERO, "[1.7, -1.7]", "x.trunc_()", "[ 1., -1.]")
    round_ = twin(Elementwise.round, ZERO, "[1.5, 2.5]", "x.round_()", "[2., 2.]")
    clamp_ = twin(Elementwise.clamp, OLD, "[-1.0, 0.5, 2.0]", "x.clamp_(0, 1)", "[0.0000, 0.5000, 1.0000]")
    clip_ = twin(Elementwise.clip, OLD, "[-1, 5]", "x.clip_(max=3)", "[-1,  3]")

    eq_ = twin(Comparisons.eq, ZERO, "[1.0, 2.0]", "x.eq_(2)", "[0., 1.]")
    ne_ = twin(Comparisons.ne, ZERO, "[1.0, 2.0]", "x.ne_(2)", "[1., 0.]")
    lt_ = twin(Comparisons.lt, ZERO, "[1.0, 2.0]", "x.lt_(2)", "[1., 0.]")
    le_ = twin(Comparisons.le, ZERO, "[1.0, 2.0]", "x.le_(1)", "[1., 0.]")
    gt_ = twin(Comparisons.gt, ZERO, "[1.0, 2.0]", "x.gt_(1)", "[0., 1.]")
    ge_ = twin(Comparisons.ge, ZERO, "[1.0, 2.0]", "x.ge_(2)", "[0., 1.]")
    logical_not_ = twin(Comparisons.logical_not, ZERO, "[0.0, 3.0]", "x.logical_not_()", "[1., 0.]")
    logical_and_ = twin(
        Comparisons.logical_and, ZERO, "[True, True]", "x.logical_and_(minidl.tensor([True, False]))", "[ True, False]"
    )
    logical_or_ = twin(
        Comparisons.logical_or, ZERO, "[True, False]", "x.logical_or_(minidl.tensor([False, False]))", "[ True, False]"
    )
    logical_xor_ = twin(
        Combined.logical_xor, ZERO, "[True, False]", "x.logical_xor_(minidl.tensor([True, True]))", "[False,  True]"
    )
    bitwise_and_ = twin(Combined.bitwise_and, NOTHING, "[6]", "x.bitwise_and_(minidl.tensor([3]))", "[2]")
    bitwise_or_ = twin(Combined.bitwise_or, NOTHING, "[6]", "x.bitwise_or_(minidl.tensor([3]))", "[7]")
    bitwise_xor_ = twin(Combined.bitwise_xor, NOTHING, "[6]", "x.bitwise_xor_(minidl.tensor([3]))", "[5]")
    bitwise_not_ = twin(Combined.bitwise_not, NOTHING, "[0, 5]", "x.bitwise_not_()", "[-1, -6]")

    cumsum_ = twin(Reductions.cumsum, NOTHING, "[1, 2, 3]", "x.cumsum_(0)", "[1, 3, 6]")
    cumprod_ = twin(Statistics.cumprod, OLD, "[2.0, 3.0, 4.0]", "x.cumprod_(0)", "[ 2.,  6., 24.]")

    tril_ = twin(Slices.tril, NOTHING, "ones(2, 2)", "x.tril_()", "[[1., 0.], [1., 1.]]")
    triu_ = twin(Slices.triu, NOTHING, "ones(2, 2)", "x.triu_(1)", "[[0., 1.], [0., 0.]]")

    masked_fill_ = twin(Indexing.masked_fill, NOTHING, "[3, -1, 2]", "x.masked_fill_(x < 0, 0)", "[3, 0, 2]")
    scatter_ = twin(
        Scattering.scatter,
        NOTHING,
        "zeros(3)",
        "x.scatter_(0, minidl.tensor([2, 0]), minidl.tensor([5.0, 7.0]))",
        "[7., 0., 5.]",
    )
    scatter_add_ = twin(
        Scattering.scatter_add,
        NOTHING,
        "zeros(2)",
        "x.scatter_add_(0, minidl.tensor([1, 1]), minidl.tensor([1.0, 3.0]))",
        "[0., 4.]",
    )
    scatter_reduce_ = twin(
        Scattering.scatter_reduce,
        NOTHING,
        "zeros(2)",
        'x.scatter_reduce_(0, minidl.tensor([1, 1]), minidl.tensor([3.0, 5.0]), "amax")',
        "[0., 5.]",
    )
    index_add_ = twin(
        Scattering.index_add,
        NOTHING,
        "zeros(3)",
        "x.index_add_(0, minidl.tensor([2, 2]), minidl.tensor([1.0, 2.0]))",
        "[0., 0., 3.]",
    )
    index_copy_ = twin(
        Scattering.index_copy,
        NOTHING,
        "zeros(3)",
        "x.index_copy_(0, minidl.tensor([2, 0]), minidl.tensor([1.0, 2.0]))",
        "[2., 0., 1.]",
    )
    index_fill_ = twin(Scattering.index_fill, NOTHING, "zeros(3)", "x.index_fill_(0, minidl.tensor([2, 0]), 7)", "[7., 0., 7.]")
    index_put_ = twin(
        Scattering.index_put,
        NOTHING,
        "zeros(3)",
        "x.index_put_((minidl.tensor([1, 2]),), minidl.tensor([2.0, 3.0]))",
        "[0., 2., 3.]",
    )
    put_ = twin(
        Scattering.put,
        NOTHING,
        "zeros(2, 2)",
        "x.put_(minidl.tensor([3, 0]), minidl.tensor([1.0, 2.0]))",
        "[[2., 0.], [0., 1.]]",
    )
    masked_scatter_ = twin(
        Scattering.masked_scatter,
        NOTHING,
        "[1.0, 1.0]",
        "x.masked_scatter_(minidl.tensor([True, False]), minidl.tensor([5.0]))",
        "[5., 1.]",
    )

    unsqueeze_ = _reshaped(Shapes.unsqueeze, "[1, 2]", "x.unsqueeze_(0)", "[[1, 2]]")
    squeeze_ = _reshaped(Shapes.squeeze, "[[1, 2]]", "x.squeeze_()", "[1, 2]")
    t_ = _reshaped(Shapes.t, "[[1, 2], [3, 4]]", "x.t_()", "[[1, 3], [2, 4]]")
    transpose_ = _reshaped(Shapes.transpose, "[[1, 2]]", "x.transpose_(0, 1)", "[[1], [2]]")
    swapaxes_ = _reshaped(Shapes.swapaxes, "[[1], [2]]", "x.swapaxes_(0, 1)", "[[1, 2]]")
    swapdims_ = _reshaped(Shapes.swapdims, "[[[1, 2]]]", "x.swapdims_(1, 2)", "[[[1], [2]]]")

    def copy_(self, src):
        """Writes the values of `src` into this tensor, broadcast to its shape and cast to its dtype.

        >>> import minidl
        >>> minidl.zeros(2, 2).copy_(minidl.tensor([1, 2]))
        tensor([[1., 2.],
                [1., 2.]])
        """
        source = operand("copy_", src)
        source = source.to(self.dtype) if isinstance(source, TensorBase) else wrap(number_array("copy_", source, self.dtype))
        return self._become(source.expand(self.shape))

    def fill_(self, value):
        """Sets every element to a number, or to a 0-d tensor.

        >>> import minidl
        >>> minidl.zeros(2).fill_(7)
        tensor([7., 7.])
        """
        if isinstance(value, TensorBase) and value.ndim:
            raise ValueError(f"fill_: expected a number or a 0-d tensor, got shape {value.shape}; use copy_")
        return self.copy_(value)

    def zero_(self):
        """Sets every element to 0.

        >>> import minidl
        >>> minidl.ones(2).zero_()
        tensor([0., 0.])
        """
        return self.fill_(0)

    def normal_(self, mean=0.0, std=1.0, *, generator=None):
        """Draws every element from the normal distribution with this mean and standard deviation.

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(3).normal_(10.0, 2.0, generator=generator)
        tensor([13.0820,  9.4131,  5.6424])
        """
        return self._become(wrap(random.normal_like(self.array, random.source(generator), self.dtype, mean, std)))

    def uniform_(self, low=0.0, high=1.0, *, generator=None):
        """Draws every element from the uniform distribution on [low, high).

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(3).uniform_(-1.0, 1.0, generator=generator)
        tensor([-0.0075,  0.5364, -0.8230])
        """
        source = random.source(generator)
        return self._become(wrap(random.like(self.array, lambda shape: source.uniform(shape, self.dtype, low, high))))

    def bernoulli_(self, p=0.5, *, generator=None):
        """Sets every element to 1 with probability p, else to 0.

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(5).bernoulli_(0.8, generator=generator)
        tensor([0., 1., 1., 0., 1.])
        """
        source = random.source(generator)
        return self._become(wrap(random.like(self.array, lambda shape: source.bernoulli(shape, p, self.dtype))))

    def exponential_(self, lambd=1.0, *, generator=None):
        """Draws every element from the exponential distribution with rate lambd, whose density is lambd·exp(−lambd·x).

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(3).exponential_(2.0, generator=generator)
        tensor([1.7542, 0.6152, 0.3075])
        """
        source = random.source(generator)
        return self._become(wrap(random.like(self.array, lambda shape: source.exponential(shape, self.dtype, lambd))))

    def random_(self, from_=None, to=None, /, *, generator=None):
        """Draws every element from the integers from_ … to − 1: random_(), random_(to) or random_(from_, to).

        Without `to`, up to the largest integer of the dtype; for floats up to 2^p, with p their number of binary digits.

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(5).random_(1, 7, generator=generator)
        tensor([3., 4., 6., 1., 2.])
        """
        source = random.source(generator)
        bounds = (0, from_) if to is None else (from_, to)

        def draw(shape):
            if from_ is None:
                return source.integers(shape, self.dtype)
            return source.randint(*bounds, shape, self.dtype, "random_")

        return self._become(wrap(random.like(self.array, draw)))
