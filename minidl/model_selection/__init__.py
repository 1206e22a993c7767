"""Choosing a model by data that it was not trained on: splits, cross-validation, early stopping, learning curves.

The training error is the mean loss over the examples that a model was fitted to; the generalisation error is the expected loss
over all that may come. The second cannot be computed, only estimated from examples that were held out. A model that is too
simple has both large; one that is too flexible has a small training error and a large error on what was held out.

Names, arguments and results are scikit-learn's where it has them. Where a seed is given as `random_state`, splits are
scikit-learn's, too. Indices are int64 tensors.

Source: *Dive into Deep Learning*, chapters 3.6 and 5.5.
"""

from ..utils.stopping import EarlyStopping
from .features import PolynomialFeatures, count_monomials
from .splits import KFold, StratifiedKFold, train_test_split
from .validation import cross_validate, learning_curve

__all__ = [
    "EarlyStopping",
    "KFold",
    "PolynomialFeatures",
    "StratifiedKFold",
    "count_monomials",
    "cross_validate",
    "learning_curve",
    "train_test_split",
]
