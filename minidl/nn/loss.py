"""Losses as modules: their options at construction, `loss(input, target)` in the loop. The functions say what they compute."""

from ..tensors.tensor import Tensor
from . import functional as F
from .functional.loss import check_reduction
from .module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "InfoNCELoss",
    "JSDivLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
]


class _Loss(Module):
    reductions, called_with_tensors = ("mean", "sum", "none"), False  # a weight is a tensor, and an option

    def __init__(self, reduction, size_average=None, reduce=None):
        super().__init__()
        name = type(self).__name__
        if any(isinstance(x, Tensor) for x in (reduction, size_average, reduce)):
            raise TypeError(f"{name}: it is made first and then called; write loss = nn.{name}() and loss(input, target)")
        check_reduction(name, reduction, size_average, reduce, self.reductions)
        self.reduction = reduction


class MSELoss(_Loss):
    """(x − t)²: `functional.mse_loss`.

    >>> import minidl
    >>> minidl.nn.MSELoss()(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)

    def forward(self, input, target):
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|x − t|: `functional.l1_loss`.

    >>> import minidl
    >>> minidl.nn.L1Loss()(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(1.)
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)

    def forward(self, input, target):
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """A parabola below beta, |x − t| above: `functional.smooth_l1_loss`.

    >>> import minidl
    >>> minidl.nn.SmoothL1Loss()(minidl.tensor([1.0, 2.0]), minidl.tensor([1.5, 4.0]))
    tensor(0.8125)
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", beta=1.0):
        super().__init__(reduction, size_average, reduce)
        self.beta = beta

    def forward(self, input, target):
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """A parabola up to delta, its tangent beyond: `functional.huber_loss`.

    >>> import minidl
    >>> minidl.nn.HuberLoss()(minidl.tensor([1.0, 2.0]), minidl.tensor([1.5, 4.0]))
    tensor(0.8125)
    """

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input, target):
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class GaussianNLLLoss(_Loss):
    """½(ln v + (x − t)²/v), called as loss(input, target, var): `functional.gaussian_nll_loss`.

    >>> import minidl
    >>> minidl.nn.GaussianNLLLoss()(minidl.tensor([1.0]), minidl.tensor([2.0]), minidl.tensor([1.0]))
    tensor(0.5000)
    """

    def __init__(self, *, full=False, eps=1e-6, reduction="mean"):
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input, target, var):
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class PoissonNLLLoss(_Loss):
    """eˣ − t·x, for counts t and the logarithms x of their means: `functional.poisson_nll_loss`.

    >>> import minidl
    >>> minidl.nn.PoissonNLLLoss()(minidl.tensor([0.0]), minidl.tensor([1.0]))
    tensor(1.)
    """

    def __init__(self, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input, target):
        return F.poisson_nll_loss(log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction)


class CrossEntropyLoss(_Loss):
    """−ln softmax(input)[label], from logits: `functional.cross_entropy`.

    >>> import minidl
    >>> minidl.nn.CrossEntropyLoss()(minidl.zeros(2, 4), minidl.tensor([0, 3]))
    tensor(1.3863)
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0):
        super().__init__(reduction, size_average, reduce)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input, target):
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """−input[label], from log-probabilities: `functional.nll_loss`.

    >>> import minidl
    >>> minidl.nn.NLLLoss()(minidl.tensor([[0.25, 0.75]]).log(), minidl.tensor([0]))
    tensor(1.3863)
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CTCLoss(_Loss):
    """−ln P(target) over all alignments to the steps: `functional.ctc_loss`.

    >>> import minidl
    >>> minidl.nn.CTCLoss()(minidl.full((2, 1, 3), 1 / 3).log(), minidl.tensor([[1]]), [2], [1])
    tensor(1.0986)
    """

    def __init__(self, blank=0, reduction="mean", zero_infinity=False):
        super().__init__(reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs, targets, input_lengths, target_lengths):
        options = self.blank, self.reduction, self.zero_infinity
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, *options)


class BCELoss(_Loss):
    """−t·ln x − (1 − t)·ln(1 − x), from probabilities: `functional.binary_cross_entropy`.

    >>> import minidl
    >>> minidl.nn.BCELoss()(minidl.tensor([0.5]), minidl.tensor([1.0]))
    tensor(0.6931)
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)
        self.register_buffer("weight", weight)

    def forward(self, input, target):
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """−p·t·ln σ(x) − (1 − t)·ln σ(−x), from logits: `functional.binary_cross_entropy_with_logits`.

    >>> import minidl
    >>> minidl.nn.BCEWithLogitsLoss()(minidl.tensor([0.0]), minidl.tensor([1.0]))
    tensor(0.6931)
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
        super().__init__(reduction, size_average, reduce)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """t·(ln t − x), from log-probabilities: `functional.kl_div`.

    >>> import minidl
    >>> q, p = minidl.tensor([[0.5, 0.5]]), minidl.tensor([[0.0, 1.0]])
    >>> minidl.nn.KLDivLoss(reduction="batchmean")(q.log(), p)
    tensor(0.6931)
    """

    reductions = "batchmean", "mean", "sum", "none"

    def __init__(self, size_average=None, reduce=None, reduction="mean", log_target=False):
        super().__init__(reduction, size_average, reduce)
        self.log_target = log_target

    def forward(self, input, target):
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class SigmoidFocalLoss(_Loss):
    """α·(1 − p)^γ·(−ln p), from logits of yes or no: `functional.sigmoid_focal_loss`. (minidl's own)

    >>> import minidl
    >>> minidl.nn.SigmoidFocalLoss(alpha=-1)(minidl.tensor([0.0]), minidl.tensor([1.0]))
    tensor([0.1733])
    """

    def __init__(self, alpha=0.25, gamma=2, reduction="none"):
        super().__init__(reduction)
        self.alpha, self.gamma = alpha, gamma

    def forward(self, inputs, targets):
        return F.sigmoid_focal_loss(inputs, targets, self.alpha, self.gamma, self.reduction)


class FocalLoss(_Loss):
    """(1 − p)^γ·(−ln p), from logits of classes: `functional.focal_loss`. (minidl's own)

    >>> import minidl
    >>> minidl.nn.FocalLoss(gamma=1.0)(minidl.zeros(1, 4), minidl.tensor([0]))
    tensor(1.0397)
    """

    def __init__(self, weight=None, *, gamma=2.0, ignore_index=-100, reduction="mean"):
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.gamma, self.ignore_index = gamma, ignore_index

    def forward(self, input, target):
        options = {"gamma": self.gamma, "ignore_index": self.ignore_index, "reduction": self.reduction}
        return F.focal_loss(input, target, self.weight, **options)


class JSDivLoss(_Loss):
    """½D(P‖M) + ½D(Q‖M), M = ½(P + Q), from probabilities or logits: `functional.js_divergence`. (minidl's own)

    >>> import minidl
    >>> minidl.nn.JSDivLoss()(minidl.tensor([[1.0, 0.0]]), minidl.tensor([[0.0, 1.0]]))
    tensor(0.6931)
    """

    def __init__(self, *, dim=-1, logits=False, reduction="mean"):
        super().__init__(reduction)
        self.dim, self.logits = dim, logits

    def forward(self, input, target):
        return F.js_divergence(input, target, dim=self.dim, logits=self.logits, reduction=self.reduction)


class InfoNCELoss(_Loss):
    """−ln softmax(query·keys/temperature)[its own key], called as loss(query, key, negatives=None): `functional.info_nce`.

    minidl's own.

    >>> import minidl
    >>> minidl.nn.InfoNCELoss()(minidl.eye(4), minidl.ones(4, 4))
    tensor(1.3863)
    """

    def __init__(self, *, temperature=0.1, normalize_vectors=True, reduction="mean"):
        super().__init__(reduction)
        self.temperature, self.normalize_vectors = temperature, normalize_vectors

    def forward(self, query, key, negatives=None):
        options = {"normalize_vectors": self.normalize_vectors, "reduction": self.reduction}
        return F.info_nce(query, key, negatives, temperature=self.temperature, **options)
