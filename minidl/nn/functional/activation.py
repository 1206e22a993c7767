"""Activation functions."""

from ... import ops
from ...tensors.arguments import expect_tensors, number
from ...tensors.in_place import twin
from ...tensors.record import apply
from ...tensors.tensor import Tensor

__all__ = [
    "elu",
    "elu_",
    "gelu",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "relu",
    "relu_",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
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


relu_ = twin(relu)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where x > 0, else negative_slope·x.

    >>> import minidl
    >>> leaky_relu(minidl.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    if inplace:
        return leaky_relu_(input, negative_slope)
    return apply(ops.LeakyReLU(number("leaky_relu", "negative_slope", negative_slope)), _floating("leaky_relu", input))


leaky_relu_ = twin(leaky_relu)


def elu(input, alpha=1.0, inplace=False):
    """x where x > 0, else alpha·(eˣ − 1).

    >>> import minidl
    >>> elu(minidl.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    if inplace:
        return elu_(input, alpha)
    return apply(ops.ELU(number("elu", "alpha", alpha)), _floating("elu", input))


elu_ = twin(elu)


def gelu(input, *, approximate="none"):
    """x·Φ(x), with Φ the normal distribution function; approximate="tanh" for the approximation by tanh.

    >>> import minidl
    >>> gelu(minidl.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return apply(ops.GELU(approximate), _floating("gelu", input))


def silu(input, inplace=False):
    """x·σ(x), also called swish.

    >>> import minidl
    >>> silu(minidl.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    if inplace:
        return _silu_(input)
    return apply(ops.SiLU(), _floating("silu", input))


_silu_ = twin(silu)


def softplus(input, beta=1.0, threshold=20.0):
    """ln(1 + e^{beta·x})/beta, and x itself where beta·x > threshold.

    >>> import minidl
    >>> softplus(minidl.tensor([-1.0, 2.0]))
    tensor([0.3133, 2.1269])
    """
    return apply(
        ops.Softplus(number("softplus", "beta", beta), number("softplus", "threshold", threshold)), _floating("softplus", input)
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
    return apply(ops.LogSigmoid(), _floating("logsigmoid", input))


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


def _floating(name, input):
    try:
        kind = input.array.dtype.kind
    except AttributeError:
        expect_tensors(name, input=input)
        raise
    if kind != "f":
        raise TypeError(f"{name}: expected a floating-point tensor, got {input.dtype}; use .float()")
    return input
