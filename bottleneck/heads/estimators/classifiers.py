"""scikit-learn classifiers for the heads: a perceptron with class weights, nearest neighbours."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.utils.class_weight import compute_sample_weight

__all__ = ["BalancedMLPClassifier", "FewNeighborsClassifier"]


class BalancedMLPClassifier(MLPClassifier):
    """A multilayer perceptron whose loss gives every class the same weight.

    It is ``MLPClassifier`` with the ``class_weight="balanced"`` of other scikit-learn
    classifiers: a sample of class c has the weight n_samples / (n_classes * n_c).
    """

    balances_classes = True  # As class_weight="balanced" says of other classifiers.

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


class FewNeighborsClassifier(KNeighborsClassifier):
    """Nearest neighbours: all samples of a training set that is smaller than their number.

    It is ``KNeighborsClassifier``, which refuses to predict from a training set of fewer than
    ``n_neighbors`` samples; here all of them are then neighbours. ``weights`` must be "distance"
    or a callable, since only these use ``kneighbors``.
    """

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Return the nearest training samples; parameters as for ``KNeighborsClassifier``."""
        wanted = self.n_neighbors if n_neighbors is None else n_neighbors
        return super().kneighbors(X, min(wanted, self.n_samples_fit_), return_distance)
