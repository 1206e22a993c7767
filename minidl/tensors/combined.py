"""Functions of two or three tensors elementwise that have no operator: addcmul, lerp, fmod, atan2, logaddexp; and of bits."""

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from . import dtypes
from .arguments import expect_tensors, numbers_of
from .arithmetic import _check_divisor
from .comparisons import _compare
from .record import TensorBase, apply, binary, floating, number_array, operand, promote, wrap


class Combined:
    """Elementwise with broadcasting; the operands come to PyTorch's common dtype first."""

    def addcmul(self, tensor1, tensor2, *, value=1):
        """self + value·tensor1·tensor2

        >>> import minidl
        >>> minidl.ones(2).addcmul(minidl.tensor([1.0, 2.0]), minidl.tensor([3.0, 4.0]), value=0.5)
        tensor([2.5000, 5.0000])
        """
        expect_tensors("addcmul", tensor1=tensor1, tensor2=tensor2)
        (value,) = numbers_of("addcmul", value=value)
        product = tensor1 * tensor2
        return self + (product if value == 1 else product * value)

    def addcdiv(self, tensor1, tensor2, *, value=1):
        """self + value·tensor1/tensor2, of floating-point tensors

        >>> import minidl
        >>> minidl.ones(2).addcdiv(minidl.tensor([1.0, 2.0]), minidl.tensor([2.0, 4.0]), value=-1)
        tensor([0.5000, 0.5000])
        """
        expect_tensors("addcdiv", tensor1=tensor1, tensor2=tensor2)
        (value,) = numbers_of("addcdiv", value=value)
        if tensor1.array.dtype.kind != "f" and tensor2.array.dtype.kind != "f":
            raise TypeError(
                f"addcdiv: expected floating-point tensors, got {tensor1.dtype} and {tensor2.dtype}; use .float() first"
            )
        quotient = tensor1 / tensor2
        return self + (quotient if value == 1 else quotient * value)

    def fmod(self, other):
        """The rest of self/other rounded towards 0, so that it has self's sign (that of % is other's).

        >>> import minidl
        >>> minidl.tensor([-5.0, 5.0]).fmod(3), minidl.tensor([-5.0, 5.0]) % 3
        (tensor([-2.,  2.]), tensor([1., 2.]))
        """
        a, b = promote("fmod", self, other)
        _check_divisor("fmod", a, b)
        return binary(ops.Fmod(), a, b)

    def atan2(self, other):
        """The angle of the point (other, self), in (−π, π]

        >>> import minidl
        >>> minidl.tensor([1.0, -1.0]).atan2(minidl.tensor([-1.0, 1.0]))
        tensor([ 2.3562, -0.7854])
        """
        expect_tensors("atan2", other=other)
        a, b = promote("atan2", self, other)
        return binary(ops.Atan2(), floating(a), floating(b))

    arctan2 = atan2

    def logaddexp(self, other):
        """ln(e^self + e^other), also where the powers overflow

        >>> import minidl
        >>> minidl.tensor([1000.0]).logaddexp(minidl.tensor([1000.0]))
        tensor([1000.6932])
        """
        expect_tensors("logaddexp", other=other)
        return binary(ops.LogAddExp(), floating(self), floating(other))

    def float_power(self, exponent):
        """self to a power, both in float64

        >>> import minidl
        >>> minidl.tensor([4]).float_power(-0.5)
        tensor([0.5000], dtype=minidl.float64)
        """
        exponent = operand("float_power", exponent)
        return self.to(dtypes.float64) ** (exponent.to(dtypes.float64) if isinstance(exponent, TensorBase) else float(exponent))

    def nan_to_num(self, nan=0.0, posinf=None, neginf=None):
        """Numbers in place of NaN and of the infinities: by default 0, and the largest and the smallest of the dtype.

        >>> import minidl
        >>> minidl.tensor([minidl.nan, minidl.inf, 1.0]).nan_to_num(posinf=9.0)
        tensor([0., 9., 1.])
        """
        dtype, x, y = self.dtype, self.array, self
        if dtype.kind != "f":
            return self.clone()
        bounds = np.finfo(dtype)
        given = {"nan": 0.0 if nan is None else nan}
        given |= {"posinf": bounds.max if posinf is None else posinf, "neginf": bounds.min if neginf is None else neginf}
        values = [number_array("nan_to_num", value, dtype) for value in numbers_of("nan_to_num", **given)]
        for where, value in zip(_no_numbers(x), values, strict=True):
            y = apply(ops.Where(where), wrap(value), y)
        return y

    # --- of bits and of truth values

    def bitwise_and(self, other):
        """The bits that both have; of booleans, whether both are True.

        >>> import minidl
        >>> minidl.tensor([0b110]).bitwise_and(minidl.tensor([0b011]))  # 0b010
        tensor([2])
        """
        return _compare(np.bitwise_and, self, other)

    def bitwise_or(self, other):
        """The bits that one has or both; of booleans, whether one is True.

        >>> import minidl
        >>> minidl.tensor([0b110]).bitwise_or(minidl.tensor([0b011]))  # 0b111
        tensor([7])
        """
        return _compare(np.bitwise_or, self, other)

    def bitwise_xor(self, other):
        """The bits that just one of them has; of booleans, whether they differ.

        >>> import minidl
        >>> minidl.tensor([0b110]).bitwise_xor(minidl.tensor([0b011]))  # 0b101
        tensor([5])
        """
        return _compare(np.bitwise_xor, self, other)

    def bitwise_not(self):
        """The other bits: −1 − x of an integer; of a boolean the other one.

        >>> import minidl
        >>> minidl.tensor([0, 5]).bitwise_not(), minidl.tensor([True, False]).bitwise_not()
        (tensor([-1, -6]), tensor([False,  True]))
        """
        return ~self

    def logical_xor(self, other):
        """Whether just one of the two is not 0.

        >>> import minidl
        >>> minidl.tensor([0, 1, 2]).logical_xor(minidl.tensor([1, 0, 1]))
        tensor([ True,  True, False])
        """
        expect_tensors("logical_xor", other=other)
        return _compare(np.logical_xor, self, other)


@repeatable
def _no_numbers(x):
    return np.isnan(x), np.isposinf(x), np.isneginf(x)
