"""A scikit-learn classifier for the heads: a multilayer perceptron with class weights."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.neural_network import MLPClassifier
from sklearn.utils.class_weight import compute_sample_weight

__all__ = ["BalancedMLPClassifier"]


class BalancedMLPClassifier(MLPClassifier):
    """A multilayer perceptron whose loss gives every class the same weight.

    It is ``MLPClassifier`` with the ``class_weight="balanced"`` of other scikit-learn
    classifiers: a sample of class c has the weight n_samples / (n_classes * n_c).
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of float, shape (n_samples, n_features)
            Features.
        y : array-like, shape (n_samples,)
            Labels.

        Returns
        -------
        self
            The fitted classifier.
        """
        # If y is None, scikit-learn raises its own error.
        weights = None if y is None else compute_sample_weight("balanced", np.asarray(y))
        super().fit(X, y, sample_weight=weights)
        return self
