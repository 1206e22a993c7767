"""Activation functions as layers. All of them keep the shape of their input."""

from ..tensors.arguments import as_int, expect_tensors
from . import functional as F
from .functional.activation import check_softmax_dim
from .module import Module

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


class InPlace(Module):
    """What activations and dropout with the argument inplace share: with True the input itself takes the result's values."""

    inplace = False

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


def options(module, text):
    return f"{text}, inplace=True" if module.inplace else text


class ReLU(InPlace):
    """max(x, 0), with slope 0 at 0. With inplace=True the input itself takes these values.

    >>> import minidl
    >>> minidl.nn.ReLU()(minidl.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input):
        return F.relu(input, self.inplace)


class LeakyReLU(InPlace):
    """x where x > 0, else negative_slope·x.

    >>> import minidl
    >>> minidl.nn.LeakyReLU(0.1)(minidl.tensor([-1.0, 2.0]))
    tensor([-0.1000,  2.0000])
    """

    def __init__(self, negative_slope=0.01, inplace=False):
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self):
        return options(self, f"negative_slope={self.negative_slope}")


class ELU(InPlace):
    """x where x > 0, else alpha·(eˣ − 1).

    >>> import minidl
    >>> minidl.nn.ELU()(minidl.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input):
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return options(self, f"alpha={self.alpha}")


class SELU(InPlace):
    """λx where x > 0, else λα(eˣ − 1): keeps mean 0 and variance 1 with weights from init.normal_(w, 0, 1/√fan_in).

    >>> import minidl
    >>> minidl.nn.SELU()(minidl.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """

    def forward(self, input):
        return F.selu(input, self.inplace)


class CELU(InPlace):
    """x where x > 0, else alpha·(e^{x/alpha} − 1).

    >>> import minidl
    >>> minidl.nn.CELU(2.0)(minidl.tensor([-1.0, 2.0]))
    tensor([-0.7869,  2.0000])
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input):
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return options(self, f"alpha={self.alpha}")


class GELU(Module):
    """x·Φ(x), with Φ the normal distribution function; approximate="tanh" for the approximation by tanh.

    >>> import minidl
    >>> minidl.nn.GELU()(minidl.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class SiLU(InPlace):
    """x·σ(x), also called swish.

    >>> import minidl
    >>> minidl.nn.SiLU()(minidl.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """

    def forward(self, input):
        return F.silu(input, self.inplace)


class Mish(InPlace):
    """x·tanh(ln(1 + eˣ)).

    >>> import minidl
    >>> minidl.nn.Mish()(minidl.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.9440])
    """

    def forward(self, input):
        return F.mish(input, self.inplace)


class GLU(Module):
    """a·σ(b), with a and b the halves of the input along dim, which has half its size afterwards: (N, 2C) → (N, C).

    >>> import minidl
    >>> minidl.nn.GLU()(minidl.tensor([3.0, 2.0, 0.0, 0.0]))
    tensor([1.5000, 1.0000])
    """

    def __init__(self, dim=-1):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        return F.glu(input, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class Softsign(Module):
    """x/(1 + |x|)

    >>> import minidl
    >>> minidl.nn.Softsign()(minidl.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """

    def forward(self, input):
        return F.softsign(input)


class Tanhshrink(Module):
    """x − tanh(x)

    >>> import minidl
    >>> minidl.nn.Tanhshrink()(minidl.tensor([-1.0, 2.0]))
    tensor([-0.2384,  1.0360])
    """

    def forward(self, input):
        return F.tanhshrink(input)


class Softplus(Module):
    """ln(1 + e^{beta·x})/beta, and x itself where beta·x > threshold.

    >>> import minidl
    >>> minidl.nn.Softplus()(minidl.tensor([-1.0, 2.0]))
    tensor([0.3133, 2.1269])
    """

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        return f"beta={self.beta}, threshold={self.threshold}"


class Sigmoid(Module):
    """1/(1 + e⁻ˣ)

    >>> import minidl
    >>> minidl.nn.Sigmoid()(minidl.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """

    def forward(self, input):
        return F.sigmoid(input)


class LogSigmoid(Module):
    """ln(1/(1 + e⁻ˣ))

    >>> import minidl
    >>> minidl.nn.LogSigmoid()(minidl.tensor([0.0, 2.0]))
    tensor([-0.6931, -0.1269])
    """

    def forward(self, input):
        return F.logsigmoid(input)


class Tanh(Module):
    """(1 − e⁻²ˣ)/(1 + e⁻²ˣ)

    >>> import minidl
    >>> minidl.nn.Tanh()(minidl.tensor([0.0, 2.0]))
    tensor([0.0000, 0.9640])
    """

    def forward(self, input):
        return F.tanh(input)


class Softmax(Module):
    """eˣ/Σeˣ along dim, which must be given.

    >>> import minidl
    >>> minidl.nn.Softmax(dim=-1)(minidl.tensor([1.0, 2.0, 3.0]))
    tensor([0.0900, 0.2447, 0.6652])
    """

    def __init__(self, dim=None):
        super().__init__()
        check_softmax_dim(type(self).__name__, dim)
        self.dim = as_int(dim)

    def forward(self, input):
        return F.softmax(input, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """The logarithm of softmax along dim, computed without it.

    >>> import minidl
    >>> minidl.nn.LogSoftmax(dim=-1)(minidl.tensor([1.0, 2.0, 3.0]))
    tensor([-2.4076, -1.4076, -0.4076])
    """

    def forward(self, input):
        return F.log_softmax(input, self.dim)


class Softmin(Softmax):
    """e⁻ˣ/Σe⁻ˣ along dim: the softmax of −x.

    >>> import minidl
    >>> minidl.nn.Softmin(dim=-1)(minidl.tensor([1.0, 2.0, 3.0]))
    tensor([0.6652, 0.2447, 0.0900])
    """

    def forward(self, input):
        return F.softmin(input, self.dim)


class Softmax2d(Module):
    """The softmax over the channels of each pixel, of images (N, C, H, W) or (C, H, W).

    >>> import minidl
    >>> minidl.nn.Softmax2d()(minidl.zeros(1, 4, 1, 2))[0, :, 0, 0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def forward(self, input):
        expect_tensors("Softmax2d", input=input)
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected an input (N, C, H, W) or (C, H, W), got shape {input.shape}")
        return F.softmax(input, -3)
