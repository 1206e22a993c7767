"""The exercises: for each what answers are tried on, and hints from the idea to nearly the line."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SHEETS = Path(__file__).parent / "sheets"


@dataclass
class Case:
    """Options of the constructor, and the shapes of the inputs or the inputs themselves. tie: where y has no one derivative."""

    inputs: tuple
    options: tuple = ()
    tie: bool = False

    def arrays(self, dtype):
        """The inputs as new arrays; those of which only the shape is given are random, and alike each time."""
        rng = np.random.default_rng(7)
        return [np.asarray(x if isinstance(x, np.ndarray) else rng.normal(size=x)).astype(dtype) for x in self.inputs]


@dataclass
class Exercise:
    """One exercise, and what answers are tried on."""

    name: str
    title: str
    cases: list = field(repr=False)
    hints: tuple = field(repr=False)

    @property
    def sheet(self):
        """The file with the solution, from which the blank one is made."""
        return SHEETS / f"{self.name}.py"


def _labels(*numbers):
    return (np.array(numbers),)


_TIES = np.array([[2.0, 1.0, 2.0], [0.0, 0.0, 0.0], [3.0, 5.0, 4.0]])

EXERCISES = [
    Exercise(
        "add",
        "Add: y = a + b, with broadcasting",
        [Case(((3, 5), (3, 5))), Case(((3, 5), (5,))), Case(((4, 1, 3), (5, 1))), Case(((), (3, 3)))],
        (
            "If one number of a grows by h, by how much does y grow?",
            "Where shapes are equal, da and db are both dy. An input that was repeated is in y several times.",
            "Sum dy over the axes in front that the input lacks, and, with keepdims=True, over those where it has size 1.",
        ),
    ),
    Exercise(
        "multiply",
        "Multiply: y = a·b",
        [Case(((3, 5), (3, 5))), Case(((4,), (4,)))],
        (
            "If one number of a grows by h, y grows by h times what?",
            "∂y/∂a = b, and ∂y/∂b = a.",
            "da is dy * self.b",
        ),
    ),
    Exercise(
        "square",
        "Square: y = x²",
        [Case(((3, 5),)), Case(((),))],
        ("The slope of a parabola at x.", "dy/dx = 2x. Chain rule: times dy.", "dx is dy * 2 * self.x"),
    ),
    Exercise(
        "exp",
        "Exp: y = eˣ",
        [Case(((3, 5),))],
        ("Which function is its own derivative?", "The slope at x is y, and forward has kept y.", "dx is dy * self.y"),
    ),
    Exercise(
        "relu",
        "ReLU: y = max(x, 0)",
        [Case(((3, 4),)), Case((np.array([[-1.0, 0.0, 2.0]]),), tie=True)],
        (
            "Where does y move if x moves a little, and where not?",
            "The slope is 1 where x is above 0, and 0 elsewhere, at 0 too.",
            "dy where self.x > 0, else 0: np.where",
        ),
    ),
    Exercise(
        "sum",
        "Sum: y = Σ x over an axis",
        [Case(((3, 5),), (0, False)), Case(((2, 3, 4),), (-2, False)), Case(((3, 3),), (1, True)), Case(((3, 3),), (1, False))],
        (
            "Every number of the sum moves it by as much as it moves itself.",
            "dx has x's shape: each x gets the dy of the sum that it is in. Without keepdim dy lacks the axis.",
            "np.expand_dims(dy, self.axis) puts the axis back, np.broadcast_to(…, self.shape) repeats it.",
        ),
    ),
    Exercise(
        "matmul",
        "MatMul: y = a b",
        [Case(((3, 5), (5, 4))), Case(((3, 3), (3, 3)))],
        (
            "In which numbers of y is a[i, k], and with which factor?",
            "da[i, k] = Σⱼ dy[i, j]·b[k, j]: a product of matrices, with b transposed.",
            "da is dy @ self.b.T. For db, the shapes leave one way only.",
        ),
    ),
    Exercise(
        "permute",
        "Permute: y = x with its axes in another order",
        [Case(((3, 5),), ((1, 0),)), Case(((2, 3, 4),), ((1, 2, 0),)), Case(((2, 2, 2),), ((2, 0, 1),))],
        (
            "No number is changed, they only move: each gradient moves back.",
            "It takes the permutation that undoes axes. Of a matrix it is the same one; of three axes not always.",
            "np.argsort(self.axes) is the inverse of a permutation.",
        ),
    ),
    Exercise(
        "max",
        "Max: y = max x over an axis",
        [Case(((3, 4),), (1,)), Case(((3, 4),), (0,)), Case(((2, 3, 4),), (-2,)), Case((_TIES,), (1,), tie=True)],
        (
            "Which x moves y if it moves a little?",
            "dy goes to the largest, 0 to the others. Of several that are equally large, each gets its part.",
            "largest = x == y with the axis put back; divide by largest.sum(self.axis, keepdims=True).",
        ),
    ),
    Exercise(
        "softmax",
        "Softmax: y = eˣ / Σ eˣ",
        [Case(((3, 5),)), Case(((2, 3, 4),))],
        (
            "Each x is in the numerator of its own y, and in the denominator of all y of its row.",
            "∂yᵢ/∂xⱼ = yᵢ·(δᵢⱼ − yⱼ). Sum over i: dxⱼ = Σᵢ dyᵢ yᵢ (δᵢⱼ − yⱼ).",
            "dx = y·(dy − the sum of dy·y over the row)",
        ),
    ),
    Exercise(
        "log_softmax",
        "LogSoftmax: y = x − ln Σ eˣ",
        [Case(((3, 5),)), Case(((2, 3, 4),))],
        (
            "x is in y twice: as itself, and in the logarithm.",
            "The derivative of ln Σ eˣ by xⱼ is softmax(x)ⱼ, which is e^yⱼ. It is in every y of the row.",
            "dx = dy − e^y times the sum of dy over the row",
        ),
    ),
    Exercise(
        "cross_entropy",
        "CrossEntropy: y = mean of −ln softmax(x)[label]",
        [Case(((3, 4),), _labels(2, 0, 2)), Case(((4, 3),), _labels(1, 1, 0, 2))],
        (
            "Exercise 11 has the derivative of ln softmax. Only the label's is taken.",
            "Of one row: softmax(x) less 1 at the label. Predicted less right.",
            "np.exp(self.log_p), less 1 at [np.arange(N), labels], times dy / N",
        ),
    ),
    Exercise(
        "layer_norm",
        "LayerNorm: y = (x − μ)/σ",
        [Case(((3, 5),), (1e-5,)), Case(((2, 3, 4),), (0.5,))],
        (
            "x is in y three times: as itself, in the mean μ and in σ.",
            "∂μ/∂x = 1/n, ∂σ/∂xⱼ = (xⱼ − μ)/(n σ) = yⱼ/n.",
            "dx = (dy − the mean of dy − y·the mean of dy·y)/σ",
        ),
    ),
    Exercise(
        "conv2d",
        "Conv2d: y = x convolved with w",
        [
            Case(((2, 2, 4, 5), (3, 2, 2, 3)), (1,)),
            Case(((1, 2, 6, 5), (2, 2, 3, 2)), (2,)),
            Case(((1, 1, 3, 3), (1, 1, 3, 3)), (1,)),
        ],
        (
            "For one place (p, q) of the kernel, forward is a product. You know its two rules.",
            "dw[:, :, p, q] is a product of dy and a part of x; the same part of dx gets dy times w[:, :, p, q], and adds up.",
            'dx[self.part(p, q)] += np.einsum("noij,oc->ncij", dy, self.w[:, :, p, q])',
        ),
    ),
    Exercise(
        "attention",
        "Attention: y = softmax(q kᵀ/√d) v",
        [Case(((2, 3, 4), (2, 5, 4), (2, 5, 2))), Case(((3, 3), (3, 3), (3, 3)))],
        (
            "Take it apart: scores, softmax, product with v. Go back through them one after the other.",
            "dp = dy vᵀ and dv = pᵀ dy; ds by exercise 10; then the product q kᵀ, and the scale.",
            "ds = p·(dp − Σ dp·p)·scale; dq = ds k; dk = dsᵀ q, with np.swapaxes(…, -1, -2) for the transposes.",
        ),
    ),
]
BY_NAME = {exercise.name: exercise for exercise in EXERCISES}
