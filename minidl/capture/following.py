"""What NumPy does within an operation, as calls of kernels: the operation is made once more, with arrays that note it.

Its methods are copied so that they find other modules under the names `np` and `kernels`. In the place of each array stands a
`Followed`: what NumPy does with it is also done by kernels, by NumPy's own loops most of all (kernels/numpy_loops.py), and has
to give the same bits. Wherever Python would look at a value, or does something that is not known here, it is `Unclear`, and
the operation stays Python.
"""

import functools
import math
from types import FunctionType, SimpleNamespace

import numba
import numpy as np

from .. import ops
from ..distributions.constraints import Constraint
from ..double_backward.reading import Reading
from ..graph.writes import owner_of
from ..kernels.arithmetic import buffer_of
from ..kernels.memory import address_of, offset_of
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from . import followed
from .events import Forward, Function, arrays_in, keeps_numbers, own, owners_in
from .followed import Followed, FollowedTensor, Unclear
from .followed_functions import KERNELS, NUMPY
from .state import same_bits

_READING = Reading(NUMPY, KERNELS)
_DECIDED = {type(None), bool, int, str}  # what Python goes on by: a Followed gives none of them but where a kernel watches it


def is_followed(event):
    """Whether the event is one that can be followed."""
    if type(event) is Function:
        return event.name in FOLLOWED_FUNCTIONS and not event.fixed
    operation = event.op if type(event) is Forward else event.forward and event.forward.op
    return type(operation) in FOLLOWED and not _by_kernels(event)


def _by_kernels(event):
    """Whether its own kernels make all of it, of what it was given. Whole numbers were looked at before."""
    if not event.calls or not event.same:
        return False
    given, written = event.given(), event.written()
    for call in event.calls:
        if call.integers():
            return False
        for x, _, owner in call.arrays():
            if id(owner) not in given and id(owner) not in written and x.size:
                return False
    return all(key in given or key in written for key in owners_in(*event.gives()))


def follow(event, noted):
    """The calls of kernels that do what the event does, or None. noted: the list to which the recorder adds each call."""
    if numba.config.DISABLE_JIT:
        return None
    followed.begin()
    try:
        with np.errstate(all="ignore"):
            return _calls_for(event, list(_again(event)), noted)
    except Exception:  # what an array does and a Followed does not: the operation stays Python
        return None


def _again(event):
    """Makes the operation again. Gives (a Followed, what it was when the step made it) for all that it makes."""
    if type(event) is Function:
        result = _rebound(event.function)(*_followed(event.args), **_followed(event.options))
        real = event.result.array if isinstance(event.result, Tensor) else event.result
        if real is not None or result is not None:
            yield from _pairs(result, real)
        return
    forward = event if type(event) is Forward else event.forward
    if keeps_numbers(forward):
        raise Unclear
    twin = object.__new__(_READING.class_of(type(forward.op)))
    vars(twin).update(_followed({**(event.before if event is forward else event.saved), "needs": forward.before["needs"]}))
    if event is forward:
        results, reals = twin.forward(*_followed(event.inputs)), event.outputs
    else:
        results, reals = twin.backward(_followed(event.dy)), event.gradients
    results = results if type(results) in (tuple, list) else (results,)
    yield from _pairs(list(results), list(reals))
    if event is forward:
        for key, value in own(event.after).items():
            if arrays_in(value):
                yield from _pairs(getattr(twin, key), value)


@functools.cache
def _rebound(function):
    return _READING.function(function, _INSTEAD)


def _within(index, bound):
    return not ((index < 0) | (index >= bound)).any()


def _promoted(name, a, b):
    """Two operands that need not be brought to one dtype first."""
    if isinstance(b, Followed):
        if isinstance(a, Followed) and a.dtype == b.dtype:
            return a, b
    elif (a.dtype.kind == "f" and type(b) in (int, float) and not abs(b) > 2**53) or b in (math.inf, -math.inf):
        return a, b
    raise Unclear


def _sure(holds):
    if not holds:
        raise Unclear


# of what functions without a graph call
_INSTEAD = {
    "within": _within,
    "promote": _promoted,
    "wrap": lambda x: x if isinstance(x, Followed) else wrap(x),
    "expect_tensors": lambda name, **xs: _sure(all(isinstance(x, FollowedTensor) for x in xs.values())),
    "TensorBase": Followed,
    "Tensor": FollowedTensor,
}


def _followed(value):
    """The value with a Followed in the place of each array."""
    if isinstance(value, (np.ndarray, Tensor)):
        return Followed(value) if isinstance(value, np.ndarray) else FollowedTensor(value.array)
    if isinstance(value, Constraint) and (value.test.__module__ or "").startswith("minidl."):
        return SimpleNamespace(check=value.test, event_dim=value.event_dim, rule=value.rule)
    if type(value) in (tuple, list):
        return type(value)(map(_followed, value))
    if type(value) is dict:
        return {key: _followed(x) for key, x in value.items()}
    if value is None or isinstance(value, (bool, int, float, str, bytes, slice, type(...), np.dtype, np.ufunc, type)):
        return value
    if type(value) is FunctionType and value.__module__.startswith("minidl.") and _plain_closure(value):
        return value
    if type(value) is SimpleNamespace or getattr(getattr(value, "func", value), "__module__", None) == "numpy":  # or a partial
        return value
    raise Unclear


def _plain_closure(function):
    return all(type(cell.cell_contents) in (int, float) for cell in function.__closure__ or ())


def _pairs(mine, real):
    if isinstance(real, np.ndarray):
        mine = mine if isinstance(mine, Followed) else Followed(followed.plain(np.asarray(mine)))  # the same in each call
        if mine.shape != real.shape or mine.dtype != real.dtype or not same_bits(mine.inner, real):
            raise Unclear
        if real.size:
            yield mine.inner, real
    elif type(real) in (tuple, list):
        for x, y in zip(mine, real, strict=True):
            yield from _pairs(x, y)
    elif isinstance(real, np.generic) or (mine is not real and not (type(mine) is type(real) in _DECIDED and mine == real)):
        raise Unclear  # a value of this call, perhaps


def _calls_for(event, pairs, noted):
    """The calls, so that they make the arrays of the step itself, after a look at what they read."""
    given, written, moved = event.given(), {}, {}
    constants = {id(owner_of(x)) for x in followed.now.constants}
    for mine, real in pairs:
        one, two = owner_of(mine), owner_of(real)
        if one is two and address_of(mine) == address_of(real) and mine.strides == real.strides:
            continue
        alike = mine.strides == real.strides and one.nbytes == two.nbytes and offset_of(mine, one) == offset_of(real, two)
        if (
            alike
            and id(one) not in given
            and id(one) not in constants
            and id(two) not in given
            and moved.get(id(one), two) is two
        ):
            moved[id(one)] = two
        else:
            followed.write(real, Followed(mine))
    if any(call.answers for call in noted):
        raise Unclear
    for call in noted:
        for x, writes, owner in call.arrays():
            if writes and x.size:
                written[id(owner)] = owner
            elif x.size and id(owner) not in given and id(owner) not in written and id(owner) not in constants:
                raise Unclear
    if not given.keys().isdisjoint(written) or not moved.keys() <= written.keys() or not _alone(noted, written):
        raise Unclear

    def change(x):
        owner = owner_of(x)
        if id(owner) not in moved:
            return x
        target = moved[id(owner)]
        return np.ndarray(x.shape, x.dtype, buffer_of(target), offset_of(x, owner), x.strides)

    return [call.with_arrays(change) for call in noted]


def _alone(calls, written):
    """Whether the calls, made again after their results were overwritten, give the same bits."""
    before = {key: x.tobytes("A") for key, x in written.items()}
    for x in written.values():
        buffer_of(x).reshape(-1).view(np.uint8).fill(0xFF)
    for call in calls:
        call.make()
    return all(x.tobytes("A") == before[key] for key, x in written.items())


_NAMES = """
    Abs Acos Acosh Add Amax Amin Asin Asinh Atan Atan2 Atanh Clamp Cos Cosh CumProd CumSum Div Digamma Erf Erfc Exp Exp2 Expm1
    Fmod GammaInc Lgamma Log Log10 Log1p Log2 LogAddExp Maximum Minimum Mul Neg PiecewiseConstant Polygamma Pow Reciprocal
    Remainder Rsqrt Sin Sinh Sqrt Square Sub Tan Where XLogY

    AbsoluteError BinaryCrossEntropy BinaryCrossEntropyWithLogits CrossEntropySoft EntropyFromLogits Huber KLDivergence
    NegativeLogLikelihood RelativeEntropy SquaredError

    LogSoftmax LogSumExp Mean Median Norm Prod Softmax Std Sum Var

    ELU GELU LeakyReLU LogSigmoid ReLU SiLU Sigmoid Softplus Tanh

    Cast Cat Diagonal Flip Fold Gather Hardswish Hardtanh Index Interpolate MaxAlongAxis MinAlongAxis Pad PadFromInput Repeat
    RepeatInterleave Reshape Roll ScatterAdd SetItem Softsign Sort Stack TakeAlongAxis TopK Triangle Unbind Unfold
    Windows
"""
FOLLOWED = {getattr(ops, name) for name in _NAMES.split()}
FOLLOWED_NUMBERS = FOLLOWED - {ops.Norm, ops.Pow, ops.Rsqrt}  # to raise a number gives other bits than to raise an array
_FUNCTIONS = """
    __and__ __eq__ __ge__ __gt__ __invert__ __le__ __lt__ __ne__ __or__ __xor__ isfinite isinf isnan logical_and logical_not
    logical_or logical_xor

    _all_finite _arg_extreme _between _check_classes _check_labels _check_probabilities _check_shares _check_variances _expect
    _first _hiding _neighbours _no_numbers _of_rank _order _places _places_of_extremes _row_weights _seen_by_any _signs _total
    argsort is_causal_mask one_hot seen_by valid_mask
"""
FOLLOWED_FUNCTIONS = set(_FUNCTIONS.split())
