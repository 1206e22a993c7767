"""Activation functions."""

from ... import ops
from ...ops.base import normalize_axis
from ...tensors.arguments import expect_tensors, number
from ...tensors.in_place import OLD, RESULT, twin
from ...tensors.record import apply
from ...tensors.tensor import Tensor

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "relu",
    "relu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]


def relu(input, inplace=False):
    """max(x, 0), with slope 0 at 0.

    >>> import minidl
    >>> relu(minidl.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    try:
        return input.relu_() if inplace else input.relu()
    except AttributeError:
        expect_tensors("relu", input=input)
        raise


relu_ = twin(relu, RESULT, "[-1.0, 2.0]", "relu_(x)", "[0., 2.]")


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where x > 0, else negative_slope·x.

    >>> import minidl
    >>> leaky_relu(minidl.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    if inplace:
        return leaky_relu_(input, negative_slope)
    return apply(ops.LeakyReLU(number("leaky_relu", "negative_slope", negative_slope)), floating("leaky_relu", input))


leaky_relu_ = twin(leaky_relu, OLD, "[-1.0, 2.0]", "leaky_relu_(x, 0.1)", "[-0.1000,  2.0000]")


def elu(input, alpha=1.0, inplace=False):
    """x where x > 0, else alpha·(eˣ − 1).

    >>> import minidl
    >>> elu(minidl.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    if inplace:
        return elu_(input, alpha)
    return apply(ops.ELU(number("elu", "alpha", alpha)), floating("elu", input))


elu_ = twin(elu, OLD, "[-1.0, 2.0]", "elu_(x)", "[-0.6321,  2.0000]")


def selu(input, inplace=False):
    """λx where x > 0, else λα(eˣ − 1), with α = 1.6733 and λ = 1.0507, which keep mean 0, variance 1 (Klambauer et al., 2017).

    >>> import minidl
    >>> selu(minidl.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    if inplace:
        return selu_(input)
    return apply(ops.ELU(SELU_ALPHA), floating("selu", input)) * SELU_SCALE


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
selu_ = twin(selu, OLD, "[0.0, 1.0]", "selu_(x)", "[0.0000, 1.0507]")


def celu(input, alpha=1.0, inplace=False):
    """x where x > 0, else alpha·(e^{x/alpha} − 1), whose slope is 1 on both sides of 0 for every alpha (Barron, 2017).

    >>> import minidl
    >>> celu(minidl.tensor([-1.0, 2.0]), 2.0)
    tensor([-0.7869,  2.0000])
    """
    if inplace:
        return celu_(input, alpha)
    alpha = number("celu", "alpha", alpha)
    if not alpha > 0:
        raise ValueError(f"celu: alpha must be above 0, got {alpha}")
    return apply(ops.ELU(1.0), floating("celu", input) / alpha) * alpha


celu_ = twin(celu, OLD, "[-1.0, 2.0]", "celu_(x, 0.5)", "[-0.4323,  2.0000]")


def gelu(input, *, approximate="none"):
    """x·Φ(x), with Φ the normal distribution function; approximate="tanh" for the approximation by tanh.

    >>> import minidl
    >>> gelu(minidl.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return apply(ops.GELU(approximate), floating("gelu", input))


def silu(input, inplace=False):
    """x·σ(x), also called swish.

    >>> import minidl
    >>> silu(minidl.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    if inplace:
        return _silu_(input)
    return apply(ops.SiLU(), floating("silu", input))


_silu_ = twin(silu)


def mish(input, inplace=False):
    """x·tanh(ln(1 + eˣ)) (Misra, 2020).

    >>> import minidl
    >>> mish(minidl.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.9440])
    """
    if inplace:
        return _mish_(input)
    return input * apply(ops.Softplus(1.0, 20.0), floating("mish", input)).tanh()


_mish_ = twin(mish)


def glu(input, dim=-1):
    """a·σ(b), where a and b are the halves of the input along dim: that axis must be even, and has half its size afterwards.

    >>> import minidl
    >>> glu(minidl.tensor([3.0, 2.0, 0.0, 0.0]))
    tensor([1.5000, 1.0000])
    """
    shape = floating("glu", input).shape
    size = shape[normalize_axis("glu", dim, len(shape))] if shape else 1
    if size % 2:
        raise ValueError(f"glu: axis {dim} of input {shape} must have an even size, to be cut into halves; got {size}")
    half = size // 2
    return input.narrow(dim, 0, half) * input.narrow(dim, half, half).sigmoid()


def softsign(input):
    """x/(1 + |x|)

    >>> import minidl
    >>> softsign(minidl.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return apply(ops.Softsign(), floating("softsign", input))


def tanhshrink(input):
    """x − tanh(x)

    >>> import minidl
    >>> tanhshrink(minidl.tensor([-1.0, 2.0]))
    tensor([-0.2384,  1.0360])
    """
    return floating("tanhshrink", input) - input.tanh()


def softplus(input, beta=1.0, threshold=20.0):
    """ln(1 + e^{beta·x})/beta, and x itself where beta·x > threshold.

    >>> import minidl
    >>> softplus(minidl.tensor([-1.0, 2.0]))
    tensor([0.3133, 2.1269])
    """
    return apply(
        ops.Softplus(number("softplus", "beta", beta), number("softplus", "threshold", threshold)), floating("softplus", input)
    )


def sigmoid(input):
    """1/(1 + e⁻ˣ)

    >>> import minidl
    >>> sigmoid(minidl.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """
    try:
        return input.sigmoid()
    except AttributeError:
        expect_tensors("sigmoid", input=input)
        raise


def logsigmoid(input):
    """ln(1/(1 + e⁻ˣ))

    >>> import minidl
    >>> logsigmoid(minidl.tensor([0.0, 2.0]))
    tensor([-0.6931, -0.1269])
    """
    return apply(ops.LogSigmoid(), floating("logsigmoid", input))


def tanh(input):
    """(1 − e⁻²ˣ)/(1 + e⁻²ˣ)

    >>> import minidl
    >>> tanh(minidl.tensor([0.0, 2.0]))
    tensor([0.0000, 0.9640])
    """
    try:
        return input.tanh()
    except AttributeError:
        expect_tensors("tanh", input=input)
        raise


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """eˣ/Σeˣ along dim; a row that is −inf throughout gives zeros.

    >>> import minidl
    >>> softmax(minidl.tensor([1.0, 2.0, 3.0]), dim=-1)
    tensor([0.0900, 0.2447, 0.6652])
    """
    if dim is None or _stacklevel != 3:
        check_softmax_dim("softmax", dim, _stacklevel)
    try:
        return input.softmax(dim, dtype)
    except AttributeError:
        expect_tensors("softmax", input=input)
        raise


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """The softmax of −x along dim: e⁻ˣ/Σe⁻ˣ.

    >>> import minidl
    >>> softmin(minidl.tensor([1.0, 2.0, 3.0]), dim=-1)
    tensor([0.6652, 0.2447, 0.0900])
    """
    expect_tensors("softmin", input=input)
    check_softmax_dim("softmin", dim, _stacklevel)
    return (-input).softmax(dim, dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """The logarithm of softmax along dim, computed without it.

    >>> import minidl
    >>> log_softmax(minidl.tensor([1.0, 2.0, 3.0]), dim=-1)
    tensor([-2.4076, -1.4076, -0.4076])
    """
    if dim is None or _stacklevel != 3:
        check_softmax_dim("log_softmax", dim, _stacklevel)
    try:
        return input.log_softmax(dim, dtype)
    except AttributeError:
        expect_tensors("log_softmax", input=input)
        raise


def check_softmax_dim(name, dim, _stacklevel=3):
    """Raises without a dim, which PyTorch once guessed from the shape; _stacklevel is not a dtype."""
    if dim is None:
        raise TypeError(
            f"{name}: give the axis that sums to 1; write dim=-1 for the last, or dim=1 for the classes of (N, C, …)"
        )
    if isinstance(dim, Tensor) and dim.ndim:
        raise TypeError(f"{name}: it is made first and then called; write nn.{name}(dim=-1)(input)")
    if type(_stacklevel) is not int:
        raise TypeError(f"{name}: the third argument is PyTorch's _stacklevel; write dtype={_stacklevel}")


def floating(name, input):
    """The input, which must be a tensor of floats."""
    try:
        kind = input.array.dtype.kind
    except AttributeError:
        expect_tensors(name, input=input)
        raise
    if kind != "f":
        raise TypeError(f"{name}: expected a floating-point tensor, got {input.dtype}; use .float()")
    return input
