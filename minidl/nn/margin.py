"""Losses that ask for a margin, as modules, and the two distances as modules. The functions say what they compute."""

from . import functional as F
from .loss import _Loss
from .module import Module

__all__ = [
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "PairwiseDistance",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class CosineSimilarity(Module):
    """The cosine between two tensors along dim: `functional.cosine_similarity`.

    >>> import minidl
    >>> minidl.nn.CosineSimilarity()(minidl.tensor([[1.0, 0.0]]), minidl.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """

    def __init__(self, dim=1, eps=1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1, x2):
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """‖x₁ − x₂ + eps‖ₚ along the last axis: `functional.pairwise_distance`.

    >>> import minidl
    >>> minidl.nn.PairwiseDistance()(minidl.tensor([[3.0, 4.0]]), minidl.zeros(1, 2))
    tensor([5.0000])
    """

    def __init__(self, p=2.0, eps=1e-6, keepdim=False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1, x2):
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class MarginRankingLoss(_Loss):
    """max(0, margin − t·(x₁ − x₂)), called as loss(x₁, x₂, t): `functional.margin_ranking_loss`.

    >>> import minidl
    >>> minidl.nn.MarginRankingLoss(0.5)(minidl.tensor([1.0]), minidl.tensor([3.0]), minidl.tensor([1]))
    tensor(2.5000)
    """

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """x where t is 1, max(0, margin − x) where t is −1: `functional.hinge_embedding_loss`.

    >>> import minidl
    >>> minidl.nn.HingeEmbeddingLoss()(minidl.tensor([0.25, 0.5]), minidl.tensor([1, -1]))
    tensor(0.3750)
    """

    def __init__(self, margin=1.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)
        self.margin = margin

    def forward(self, input, target):
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 − cos where t is 1, max(0, cos − margin) where t is −1: `functional.cosine_embedding_loss`.

    >>> import minidl
    >>> minidl.nn.CosineEmbeddingLoss()(minidl.tensor([[1.0, 0.0]]), minidl.tensor([[0.0, 1.0]]), minidl.tensor([1]))
    tensor(1.)
    """

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """ln(1 + e^{−t·x}): `functional.soft_margin_loss`.

    >>> import minidl
    >>> minidl.nn.SoftMarginLoss()(minidl.tensor([0.0]), minidl.tensor([1]))
    tensor(0.6931)
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)

    def forward(self, input, target):
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_Loss):
    """Σ max(0, margin − x[t] + x[i])ᵖ/C over the classes i but t: `functional.multi_margin_loss`.

    >>> import minidl
    >>> minidl.nn.MultiMarginLoss()(minidl.tensor([[0.1, 0.2, 0.4, 0.8]]), minidl.tensor([3]))
    tensor(0.3250)
    """

    def __init__(self, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p must be 1 or 2, got {p!r}")
        self.register_buffer("weight", weight)
        self.p, self.margin = p, margin

    def forward(self, input, target):
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Σ max(0, 1 − x[t] + x[i])/C over labels t and other classes i: `functional.multilabel_margin_loss`.

    >>> import minidl
    >>> minidl.nn.MultiLabelMarginLoss()(minidl.tensor([[0.1, 0.2, 0.4, 0.8]]), minidl.tensor([[3, 0, -1, 1]]))
    tensor(0.8500)
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)

    def forward(self, input, target):
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """The mean over the classes of their two-way cross-entropies: `functional.multilabel_soft_margin_loss`.

    >>> import minidl
    >>> minidl.nn.MultiLabelSoftMarginLoss()(minidl.tensor([[0.0, 2.0]]), minidl.tensor([[1.0, 0.0]]))
    tensor(1.4100)
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)
        self.register_buffer("weight", weight)

    def forward(self, input, target):
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """max(0, margin + ‖a − p‖ − ‖a − n‖), called as loss(anchor, positive, negative): `functional.triplet_margin_loss`.

    >>> import minidl
    >>> a = minidl.zeros(1, 2)
    >>> minidl.nn.TripletMarginLoss()(a, minidl.tensor([[3.0, 4.0]]), minidl.tensor([[0.0, 5.5]]))
    tensor(0.5000)
    """

    def __init__(self, margin=1.0, p=2.0, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"):
        super().__init__(reduction, size_average, reduce)
        if not margin > 0:
            raise ValueError(f"TripletMarginLoss: margin must be above 0, got {margin}")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor, positive, negative):
        options = self.margin, self.p, self.eps, self.swap
        return F.triplet_margin_loss(anchor, positive, negative, *options, reduction=self.reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """max(0, margin + d(a, p) − d(a, n)), d a function of two tensors: `functional.triplet_margin_with_distance_loss`.

    >>> import minidl
    >>> loss = minidl.nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: (a - b).abs().amax(-1))
    >>> x = minidl.tensor([[1.0, 2.0]])
    >>> loss(x, x + 1.0, x + 1.5)
    tensor(0.5000)
    """

    def __init__(self, *, distance_function=None, margin=1.0, swap=False, reduction="mean"):
        super().__init__(reduction)
        if not margin > 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: margin must be above 0, got {margin}")
        self.distance_function = F.pairwise_distance if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
