"""Functions of one number, applied to every element: y = f(x), and so dx = dy · f′(x).

Where f′ is cheaper to compute from y than from x, y is saved; no operation here saves both.
"""

import numpy as np

from .. import kernels
from .base import Op

__all__ = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Clamp",
    "Cos",
    "Cosh",
    "Erf",
    "Erfc",
    "Exp",
    "Exp2",
    "Expm1",
    "Log",
    "Log1p",
    "Log2",
    "Log10",
    "PiecewiseConstant",
    "Reciprocal",
    "Rsqrt",
    "Sin",
    "Sinh",
    "Sqrt",
    "Square",
    "Tan",
]


class Exp(Op):
    """y = eˣ
    eˣ is its own derivative:  dx = dy·y
    """

    def forward(self, x):
        self.y = kernels.exp(x)
        return self.y

    def backward(self, dy):
        return dy * self.y


class Expm1(Op):
    """y = eˣ − 1
    dx = dy·eˣ   (not y + 1, which is 0 where y has rounded to −1)
    """

    def forward(self, x):
        self.x = x
        return kernels.expm1(x)

    def backward(self, dy):
        return dy * kernels.exp(self.x)


class Exp2(Op):
    """y = 2ˣ
    dx = dy·y ln 2
    """

    def forward(self, x):
        self.y = np.exp2(x)
        return self.y

    def backward(self, dy):
        return dy * (self.y * np.log(2.0).item())


class Log(Op):
    """y = ln x
    dx = dy/x
    """

    def forward(self, x):
        self.x = x
        return kernels.log(x)

    def backward(self, dy):
        return dy / self.x


class Log2(Op):
    """y = log₂ x = ln x / ln 2
    dx = dy/(x ln 2)
    """

    def forward(self, x):
        self.x = x
        return kernels.log2(x)

    def backward(self, dy):
        return dy / (self.x * np.log(2.0).item())


class Log10(Op):
    """y = log₁₀ x = ln x / ln 10
    dx = dy/(x ln 10)
    """

    def forward(self, x):
        self.x = x
        return np.log10(x)

    def backward(self, dy):
        return dy / (self.x * np.log(10.0).item())


class Log1p(Op):
    """y = ln(1 + x)
    dx = dy/(1 + x)
    """

    def forward(self, x):
        self.x = x
        return kernels.log1p(x)

    def backward(self, dy):
        return dy / (1 + self.x)


class Sqrt(Op):
    """y = √x
    dx = dy/2y   (infinite at 0, as in PyTorch)
    """

    def forward(self, x):
        self.y = np.sqrt(x)
        return self.y

    def backward(self, dy):
        return dy / (2 * self.y)


class Rsqrt(Op):
    """y = 1/√x
    dx = −dy·y³/2
    """

    def forward(self, x):
        self.y = np.reciprocal(np.sqrt(x))
        return self.y

    def backward(self, dy):
        return dy * (self.y**3 * -0.5)


class Square(Op):
    """y = x²
    dx = 2x·dy
    """

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return dy * (2 * self.x)


class Reciprocal(Op):
    """y = 1/x
    dx = −dy·y²
    """

    def forward(self, x):
        self.y = np.reciprocal(x)
        return self.y

    def backward(self, dy):
        return -dy * self.y * self.y


class Abs(Op):
    """y = |x|
    dx = dy·sign x, and 0 at 0
    """

    def forward(self, x):
        self.x = x
        return np.abs(x)

    def backward(self, dy):
        return dy * np.sign(self.x)


class Clamp(Op):
    """y = x, held between low and high (either may be None)
    dx = dy where low ≤ x ≤ high, 0 elsewhere
    """

    warns = False

    def __init__(self, low, high):
        self.low, self.high = low, high

    def forward(self, x):
        self.x = x
        return kernels.clamp(x, self.low, self.high)

    def backward(self, dy):
        low, high = -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high
        return np.where((self.x >= low) & (self.x <= high), dy, dy.dtype.type(0))


class PiecewiseConstant(Op):
    """y = a function that is flat between its jumps (sign, floor, ceil, round, trunc)
    dx = 0
    """

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)

    def backward(self, dy):
        return np.zeros_like(dy)


class Sin(Op):
    """y = sin x
    dx = dy·cos x
    """

    def forward(self, x):
        self.x = x
        return np.sin(x)

    def backward(self, dy):
        return dy * np.cos(self.x)


class Cos(Op):
    """y = cos x
    dx = −dy·sin x
    """

    def forward(self, x):
        self.x = x
        return np.cos(x)

    def backward(self, dy):
        return -dy * np.sin(self.x)


class Tan(Op):
    """y = tan x
    dx = dy·(1 + y²)
    """

    def forward(self, x):
        self.y = np.tan(x)
        return self.y

    def backward(self, dy):
        return dy * (1 + self.y * self.y)


class Asin(Op):
    """y = arcsin x
    dx = dy/√(1 − x²)
    """

    def forward(self, x):
        self.x = x
        return np.arcsin(x)

    def backward(self, dy):
        return dy / np.sqrt(1 - self.x * self.x)


class Acos(Op):
    """y = arccos x
    dx = −dy/√(1 − x²)
    """

    def forward(self, x):
        self.x = x
        return np.arccos(x)

    def backward(self, dy):
        return -dy / np.sqrt(1 - self.x * self.x)


class Atan(Op):
    """y = arctan x
    dx = dy/(1 + x²)
    """

    def forward(self, x):
        self.x = x
        return np.arctan(x)

    def backward(self, dy):
        return dy / (1 + self.x * self.x)


class Sinh(Op):
    """y = sinh x
    dx = dy·cosh x
    """

    def forward(self, x):
        self.x = x
        return np.sinh(x)

    def backward(self, dy):
        return dy * np.cosh(self.x)


class Cosh(Op):
    """y = cosh x
    dx = dy·sinh x
    """

    def forward(self, x):
        self.x = x
        return np.cosh(x)

    def backward(self, dy):
        return dy * np.sinh(self.x)


class Erf(Op):
    """y = erf x = 2/√π ∫₀ˣ exp(−t²) dt
    the derivative is the integrand at t = x:  dx = dy·2/√π·exp(−x²)
    """

    def forward(self, x):
        self.x = x
        return kernels.erf(x)

    def backward(self, dy):
        return dy * (2 / np.sqrt(np.pi).item() * kernels.exp(-self.x * self.x))


class Erfc(Op):
    """y = 1 − erf x, also accurate where erf x is nearly 1
    dx = −dy·2/√π·exp(−x²)
    """

    def forward(self, x):
        self.x = x
        return kernels.erfc(x)

    def backward(self, dy):
        return dy * (-2 / np.sqrt(np.pi).item() * kernels.exp(-self.x * self.x))


class Asinh(Op):
    """y = arsinh x
    dx = dy/√(x² + 1)
    """

    def forward(self, x):
        self.x = x
        return np.arcsinh(x)

    def backward(self, dy):
        return dy / np.sqrt(self.x * self.x + 1)


class Acosh(Op):
    """y = arcosh x, x ≥ 1
    dx = dy/√(x² − 1), written as √(x − 1)·√(x + 1), which keeps its digits near 1
    """

    def forward(self, x):
        self.x = x
        return np.arccosh(x)

    def backward(self, dy):
        return dy / (np.sqrt(self.x - 1) * np.sqrt(self.x + 1))


class Atanh(Op):
    """y = artanh x, |x| ≤ 1
    dx = dy/(1 − x²), written as (1 − x)(1 + x), which keeps its digits near 1
    """

    def forward(self, x):
        self.x = x
        return np.arctanh(x)

    def backward(self, dy):
        return dy / ((1 - self.x) * (1 + self.x))
