"""What scikit-learn lacks for the heads."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.neural_network import MLPClassifier
from sklearn.utils.class_weight import compute_sample_weight

__all__ = ["BalancedMLPClassifier"]


class BalancedMLPClassifier(MLPClassifier):
    """A multilayer perceptron in whose loss every class weighs the same.

    It is ``MLPClassifier`` with ``class_weight="balanced"`` as the other classifiers of
    scikit-learn know it: a sample of class c weighs n_samples / (n_classes * n_c).
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array of float, shape (n_samples, n_features)
            Features.
        y : array, shape (n_samples,)
            Labels.

        Returns
        -------
        self
            The fitted classifier.
        """
        # Without labels scikit-learn's own message is the right one.
        weights = None if y is None else compute_sample_weight("balanced", np.asarray(y))
        super().fit(X, y, sample_weight=weights)
        return self
